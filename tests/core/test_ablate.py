"""Tables of trainings: the queue, what a run leaves, and the intervals."""

import functools
import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lapnet_core import ablate
from lapnet_core.ablate import TABLES, Job, fitting, jobs, results, table
from lapnet_core.checkpoint import run_folder
from lapnet_core.cli import main
from lapnet_core.config import TrainConfig, small_photos
from lapnet_core.evaluate import voc_map
from lapnet_core.evaluate.bootstrap import draws, interval, of_seeds, verdicts
from lapnet_core.peers import METHODS
from lapnet_core.scenes import Scenes

BASE = TrainConfig(image_size=(64, 64), batch_size=2, steps=3, log_every=1, lr=0.01, clip_norm=5.0)


@functools.cache
def open_images(name, split, *, image_size, class_names=None, on_error="raise"):
    return Scenes(24, size=image_size, split=split, keep=True)


@st.composite
def samples(draw):
    """Detections and targets of some images, with ties, misses, difficult objects and empty images."""
    number = st.sampled_from([0.0, 5.0, 10.0, 20.0])
    box = st.tuples(number, number, number, number).map(lambda b: [b[0], b[1], b[0] + b[2] + 1, b[1] + b[3] + 1])
    detections, targets = [], []
    for _ in range(draw(st.integers(1, 4))):
        found = draw(st.lists(st.tuples(box, st.integers(0, 1), st.sampled_from([0.2, 0.5, 0.9])), max_size=5))
        objects = draw(st.lists(st.tuples(box, st.integers(0, 1), st.booleans()), max_size=4))
        detections.append({
            "boxes": torch.tensor([b for b, *_ in found]).view(-1, 4), "scores": torch.tensor([s for *_, s in found]),
            "labels": torch.tensor([c for _, c, _ in found], dtype=torch.int64),
        })  # fmt: skip
        targets.append({
            "boxes": torch.tensor([b for b, *_ in objects]).view(-1, 4),
            "labels": torch.tensor([c for _, c, _ in objects], dtype=torch.int64),
            "difficult": torch.tensor([d for *_, d in objects], dtype=torch.bool),
        })  # fmt: skip
    return detections, targets


@given(samples(), st.sampled_from([0.3, 0.5, 0.75]))
@settings(max_examples=100)
def test_with_every_image_once_it_is_voc_map(sample, threshold):
    detections, targets = sample
    got = verdicts(detections, targets, 2, iou_threshold=threshold).mean_ap(np.ones((2, len(targets))))
    expected = voc_map(detections, targets, 2, iou_threshold=threshold).mean_ap
    np.testing.assert_allclose(got, [expected, expected], rtol=1e-9)


@pytest.mark.slow
@given(samples(), st.integers(0, 3))
@settings(max_examples=60)
def test_a_draw_that_leaves_images_out_is_the_map_of_the_others(sample, seed):
    """Weights 0 and 1 are a subset; all weights doubled change nothing."""
    detections, targets = sample
    use = np.random.default_rng(seed).integers(0, 2, len(targets))
    judged = verdicts(detections, targets, 2)
    got = judged.mean_ap(np.stack((use, 2 * use)).astype(float))
    chosen = [k for k in range(len(targets)) if use[k]]
    expected = voc_map([detections[k] for k in chosen], [targets[k] for k in chosen], 2).mean_ap
    np.testing.assert_allclose(got, [expected, expected], rtol=1e-9)


@pytest.mark.slow
@given(samples())
@settings(max_examples=50)
def test_a_class_alone(sample):
    detections, targets = sample
    judged, once = verdicts(detections, targets, 2), np.ones((1, len(targets)))
    expected = voc_map(detections, targets, 2).ap.tolist()
    np.testing.assert_allclose([judged.of_class(c).mean_ap(once)[0] for c in (0, 1)], expected, rtol=1e-9)


def test_objects_of_another_size_are_left_out_as_coco_does_it():
    """A detection on a large object is ignored among small ones; so is a large false alarm, but not a small one."""
    small, large, far = [0.0, 0, 10, 10], [20.0, 20, 60, 60], [70.0, 70, 110, 110]
    target = {"boxes": torch.tensor([small, large]), "labels": torch.zeros(2, dtype=torch.int64)}

    def ap(boxes, scores):
        found = {"boxes": torch.tensor(boxes), "scores": torch.tensor(scores), "labels": torch.zeros(len(boxes)).long()}
        return verdicts([found], [target], 1, area=(0, 400)).mean_ap(np.ones((1, 1)))[0]

    assert ap([large, far, small], [0.9, 0.8, 0.7]) == 1
    assert ap([[70.0, 70, 80, 80], small], [0.9, 0.7]) == pytest.approx(0.5)


def test_draws_are_of_as_many_images_and_always_the_same():
    first = draws(50, 7)
    assert first.sum(1).tolist() == [50] * 7
    assert np.array_equal(first, draws(50, 7))
    assert len({tuple(row) for row in first}) == 7
    assert first.mean() == 1


def test_an_interval_covers_what_it_says():
    """95 % of the bootstrap intervals of a mean hold it, near enough for 30 values (a fixed seed)."""
    generator, held = np.random.default_rng(0), 0
    for _ in range(300):
        values = generator.normal(0, 1, 30)
        low, high = interval(draws(30, 400) @ values / 30)
        held += low <= 0 <= high
    assert 0.88 < held / 300 < 0.98
    spread = of_seeds(np.repeat([[0.2], [0.4], [0.6]], 2000, 1))
    means = {round(sum(three) / 3, 6) for three in itertools.product((0.2, 0.4, 0.6), repeat=3)}
    assert set(np.round(spread, 6)) <= means
    assert spread.mean() == pytest.approx(0.4, abs=0.01)


def test_the_tables_are_the_paper_s_and_each_row_is_another_training(tmp_path):
    assert [len(TABLES[name]) for name in ("2a", "2b")] == [4, 5]
    assert set(TABLES["peers"]) == set(METHODS) - {"lapnet"}
    for name, rows in TABLES.items():
        keys = [job.key for job in jobs([name], small_photos(), 2, tmp_path)]
        assert len(set(keys)) == 2 * len(rows), name
    shared = {job.key for job in jobs(["2a"], BASE, 1, tmp_path)} & {job.key for job in jobs(["2b"], BASE, 1, tmp_path)}
    assert len(shared) == 1  # the complete LapNet stands in both, and runs once
    with pytest.raises(ValueError, match="no table is called 3c; there are 2a, 2b"):
        jobs(["3c"], BASE, 1, tmp_path)


@pytest.mark.slow
def test_a_queue_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    queue = jobs(["2a"], BASE, 1, tmp_path)[:3]
    told = []
    real = ablate._run

    def run_one(job, *args):
        return None if len(results(tmp_path)) == 1 else real(job, *args)

    monkeypatch.setattr(ablate, "_run", run_one)
    assert not ablate.ablate(queue, tmp_path, open_images=open_images, progress=False, told=told.append)
    assert len(results(tmp_path)) == 1
    monkeypatch.setattr(ablate, "_run", real)
    with run_folder(tmp_path / "jobs" / queue[2].key, resume=True):  # another process, as it seems: it is this one
        assert ablate.ablate(queue, tmp_path, open_images=open_images, progress=False, told=told.append)
    assert [line["key"] for line in results(tmp_path)] == [queue[0].key, queue[1].key]
    with (tmp_path / "results.jsonl").open("a") as file:
        file.write('{"key": "cut in ha')
    assert ablate.ablate(queue, tmp_path, open_images=open_images, progress=False, told=told.append)
    lines = results(tmp_path)
    assert [line["key"] for line in lines] == [job.key for job in queue]
    assert told == [
        f"{k} of 3: 2a, {row}, seed 0" for k, row in ((1, "AO"), (2, "AO, AMS"), (2, "AO, AMS"), (3, "PONO"))
    ]
    line = lines[0]
    assert len(line["test"]["replicates"]["ap50"]) == 200
    assert "replicates" not in line["val"]
    assert line["test"]["images"] == 24
    assert 0 <= line["test"]["ap75"] <= line["test"]["ap50"] <= 1
    assert set(line["test"]["per_class"]) == set(Scenes.class_names)
    assert {"machine", "threads", "seconds", "torch", "date"} <= set(line)
    folder = queue[0].config.run_dir
    assert (folder / "model.safetensors").is_file()
    assert not (folder / "last.pt").exists()
    watched = json.loads((folder / "weights.json").read_text())
    assert watched["steps"] == [1, 2, 3]
    assert np.array(watched["s_cls_anchor"]).shape == (3, len(Scenes.class_names), 10)
    rows = table("2a", lines, BASE)
    assert [row["row"] for row in rows] == ["AO", "AO, AMS", "PONO"]
    assert rows[0]["interval"][0] <= rows[0]["ap50"] + 0.5
    assert rows[-1]["difference"] is None
    assert main(["ablate", "2a", "--data", "scenes", "--out", str(tmp_path), "--show"]) == 0


def test_a_training_that_diverges_is_a_line_not_an_end(tmp_path, monkeypatch):
    def diverge(*_, **__):
        raise FloatingPointError("step 2: the loss is inf")

    monkeypatch.setattr(ablate, "train", diverge)
    queue = jobs(["2a"], BASE, 1, tmp_path)[:1]
    assert ablate.ablate(queue, tmp_path, open_images=open_images, progress=False, told=lambda _: None)
    (line,) = results(tmp_path)
    assert line["failed"] == "step 2: the loss is inf"
    assert line["test"]["ap50"] == 0


def fits(line, config):
    return fitting([line], config) == [line]


def test_a_line_fits_the_config_that_it_tells():
    job = Job("2a", "PONO", BASE.with_options(**TABLES["2a"]["PONO"], seed=3))
    line = ablate._line(job)
    assert fits(line, job.config)
    assert fits(line, replace(job.config, out="elsewhere", workers=3, device="cpu", log_every=7))
    for other in (
        replace(job.config, seed=4), replace(job.config, lr=0.02), job.config.with_options(ams=True),
        replace(job.config, data="bccd"), replace(job.config, method="ssd"),
    ):  # fmt: skip
        assert not fits(line, other)
    line["config"] = {"lr": 0.01, "lapnet": {"ams": False}}  # a shortened record
    assert fits(line, job.config)
    assert not fits(line, job.config.with_options(ams=True))


def test_the_command_lists_its_tables_and_refuses_what_makes_no_sense(capsys):
    assert main(["ablate"]) == 0
    assert "2a: AO; AO, AMS; PONO; PONO, AMS" in capsys.readouterr().out
    for flags, says in (
        (["2a", "--seeds", "0"], "--seeds at least 1"),
        (["2a", "--metric", "map"], "ap50 or ap75"),
        (["9z", "--data", "scenes"], "no table is called 9z"),
        (["2a", "--preset", "huge"], "no preset"),
    ):
        assert main(["ablate", *flags]) == 1
        assert says in capsys.readouterr().err
