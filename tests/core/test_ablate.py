"""Tables of trainings: the queue, what a run leaves, and the intervals."""

import functools
import itertools
import json
import resource
import runpy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lapnet_core import ablate, backbones
from lapnet_core.ablate import TABLES, Job, fitting, jobs, results, table
from lapnet_core.checkpoint import LAST, run_folder
from lapnet_core.cli import main
from lapnet_core.config import TrainConfig, preset_for, small_photos
from lapnet_core.data import DataError, Skipped
from lapnet_core.detector import Detector
from lapnet_core.evaluate import voc_map
from lapnet_core.evaluate.bootstrap import draws, interval, of_seeds, verdicts
from lapnet_core.peers import METHODS, method_class
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
def test_a_queue_goes_on_where_it_was_stopped(tmp_path, monkeypatch, capsys):
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
    begun = [f"{k} of 3: 2a, {row}, seed 0" for k, row in ((1, "AO"), (2, "AO, AMS"), (2, "AO, AMS"), (3, "PONO"))]
    passed = told.pop(3)  # who waits in vain for a process that has ended learns which, and what helps
    assert passed.startswith(f"3 of 3: 2a, PONO, seed 0: passed over; {tmp_path / 'jobs' / queue[2].key}: process ")
    assert passed.endswith(".lock if you know that it has ended")
    assert told == begun
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
    assert main(["ablate", "2a", "anchors", "--data", "scenes", "--out", str(tmp_path), "--show"]) == 0
    assert capsys.readouterr().out.count(f"nothing of it has run in {tmp_path}") == 2  # not with so many steps


def test_a_detector_that_nobody_has_tuned_is_a_row_at_the_preset_s_rate(monkeypatch):
    """A new peer is a file and a line in METHODS, and no more."""
    monkeypatch.setitem(METHODS, "mine", "lapnet_core.peers.mine:Mine")
    tables = runpy.run_path(ablate.__file__)["TABLES"]
    assert tables["peers"] == TABLES["peers"] | {"mine": {"method": "mine"}}
    assert "mine, lr 0.02" in tables["tune"]


def test_nothing_is_measured_on_what_it_is_trained_on(tmp_path, capsys):
    """What is chosen on val was not trained on it; a table whose training has seen val reports test alone."""
    for name, split in (("2a", "test"), ("tune", "val"), ("tune", "trainval")):
        with pytest.raises(ValueError, match=f"{name} is measured on .*, which split {split} trains on: take train"):
            jobs([name], BASE.with_options(split=split), 1, tmp_path)
    for split in ("trainval", "val"):
        assert {job.splits for job in jobs(["2a"], BASE.with_options(split=split), 1, tmp_path)} == {("test",)}
    assert main(["ablate", "2a", "--data", "scenes", "--split", "test", "--out", str(tmp_path)]) == 1
    assert "2a is measured on test, which split test trains on" in capsys.readouterr().err


@pytest.mark.slow
def test_a_training_that_was_gone_on_with_has_the_time_of_all_its_parts(tmp_path, monkeypatch):
    """Stopped while it is measured: what is left is to measure, which says nothing of the training's time."""

    def stop(*_, **__):
        raise KeyboardInterrupt

    (job,) = jobs(["2a"], BASE, 1, tmp_path)[:1]
    run = functools.partial(ablate.ablate, [job], tmp_path, open_images=open_images, progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(ablate, "measure", stop)
        with pytest.raises(KeyboardInterrupt):
            run()
    path = job.config.run_dir / LAST
    saved = torch.load(path, weights_only=True)
    torch.save(saved | {"seconds": 100.0}, path)
    assert run()
    (line,) = results(tmp_path)
    assert line["resumed"]
    assert 100 <= line["seconds"] < 110
    assert line["images_per_second"] == pytest.approx(BASE.steps * BASE.batch_size / line["seconds"], abs=0.1)


def test_images_that_cannot_be_read_are_counted_in_the_line():
    class Faulty(Scenes):
        def __getitem__(self, index):
            return Skipped("2.jpg: cannot be read") if index == 2 else super().__getitem__(index)

    images = Faulty(4, size=(64, 64), split="test")
    method = method_class("ssd").create(BASE.with_options(method="ssd"), images, progress=False)
    detector = Detector(method, images.class_names, (64, 64))
    line = ablate.measure(detector, images)
    assert (line["images"], line["skipped"]) == (3, 1)


def test_a_table_of_different_test_images_is_refused(tmp_path):
    """Differences are paired by image, and means would be of different tests."""
    first, second, *_ = jobs(["2a"], BASE, 1, tmp_path)
    lines = [reached(first, 0.5), reached(second, 0.5, images=5)]
    with pytest.raises(ValueError, match=r"2a was tested on {4, 5} images, as the data has changed: --out takes an"):
        table("2a", lines, BASE)


def test_a_line_for_which_there_is_no_room_is_no_line(tmp_path):
    """A full disk takes as much of a line as there is room for, and says nothing."""
    path = tmp_path / "results.jsonl"
    ablate.append(path, {"key": "first"})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        with pytest.raises(OSError, match=r"cannot be written.*results\.jsonl"):
            ablate.append(path, {"key": "x" * 200})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    ablate.append(path, {"key": "last"})
    assert results(tmp_path) == [{"key": "first"}, {"key": "last"}]


def test_a_training_that_diverges_is_a_line_not_an_end(tmp_path, monkeypatch):
    def diverge(*_, **__):
        raise FloatingPointError("step 2: the loss is inf")

    monkeypatch.setattr(ablate, "train", diverge)
    queue = jobs(["2a"], BASE, 1, tmp_path)[:1]
    assert ablate.ablate(queue, tmp_path, open_images=open_images, progress=False, told=lambda _: None)
    (line,) = results(tmp_path)
    assert line["failed"] == "step 2: the loss is inf"
    assert line["test"]["ap50"] == 0


@pytest.mark.slow
def test_a_row_of_two_tables_is_trained_once_and_measured_on_what_the_first_left_out(tmp_path, monkeypatch):
    """`tune` looks at val only; the same training in another table needs test, too."""
    trained, real = [], ablate.train
    monkeypatch.setattr(ablate, "train", lambda config, *args, **kw: trained.append(1) or real(config, *args, **kw))
    base = BASE.with_options(steps=1)
    tune = [job for job in jobs(["tune"], base, 1, tmp_path) if job.row == "lapnet, lr 0.04"]
    _, ours = TABLES["even"]
    tested = [job for job in jobs(["even"], base.with_options(lr=0.04), 1, tmp_path) if job.row == ours]
    assert tune[0].key == tested[0].key
    run = functools.partial(ablate.ablate, out=tmp_path, open_images=open_images, progress=False, told=lambda _: None)
    assert run(tune)
    assert "test" not in results(tmp_path)[0]
    assert run([*tune, *tested])
    first, whole = results(tmp_path)
    assert {name: whole[name] for name in first} == first
    assert set(whole) - set(first) == {"test"}
    assert [row["row"] for row in table("even", results(tmp_path), base.with_options(lr=0.04))] == [ours]
    assert run([*tune, *tested])
    assert len(results(tmp_path)) == 2
    (tmp_path / "results.jsonl").unlink()  # the model alone is left
    assert run(tested)
    (again,) = results(tmp_path)
    assert (again["val"], again["test"]) == (whole["val"], whole["test"])
    assert len(trained) == 1


def test_what_stands_in_the_way_of_a_training_is_told(tmp_path, monkeypatch):
    """Only a claim of another process is passed over, not a run's folder that is taken."""

    def refuse(*_, **__):
        raise FileExistsError("the folder holds a training")

    monkeypatch.setattr(ablate, "train", refuse)
    queue = jobs(["2a"], BASE, 1, tmp_path)[:1]
    with pytest.raises(FileExistsError, match="holds a training"):
        ablate.ablate(queue, tmp_path, open_images=open_images, progress=False, told=lambda _: None)


def test_a_row_is_not_trained_from_other_weights_than_it_says(tmp_path, monkeypatch):
    create = backbones.timm.create_model

    def nowhere(name, **options):
        if options.get("pretrained"):
            raise OSError("no network")
        return create(name, **options)

    monkeypatch.setattr(backbones, "packaged_weights", lambda _: None)
    monkeypatch.setattr(backbones.timm, "create_model", nowhere)
    base = BASE.with_options(backbone="tf_efficientnet_lite0", weights="imagenet")
    with pytest.raises(OSError, match=r"2a, AO, is not trained: ImageNet weights cannot be had.*no network"):
        ablate.ablate(jobs(["2a"], base, 1, tmp_path)[:1], tmp_path, open_images=open_images, progress=False)
    assert results(tmp_path) == []


def test_a_split_that_is_missing_is_told_before_anything_is_trained(tmp_path, monkeypatch, capsys):
    told = []
    monkeypatch.setattr(ablate, "train", lambda *_, **__: pytest.fail("it trains"))
    assert main(["ablate", "2a", "--data", "coco", "--out", str(tmp_path)]) == 1
    assert "coco has no split test, which is needed; it has train, val, test-dev" in capsys.readouterr().err
    queue = [jobs([name], BASE.with_options(data="coco"), 1, tmp_path)[0] for name in ("tune", "2a")]
    with pytest.raises(DataError, match="no split test"):
        ablate.ablate(queue, tmp_path, told=told.append)
    assert told == []
    for job in queue:  # what is done needs no data
        ablate.append(tmp_path / "results.jsonl", ablate._line(job) | {split: {} for split in job.splits})
    assert ablate.ablate(queue, tmp_path, told=told.append)


def reached(job, ap50, images=4):
    test = {"images": images, "ap50": ap50, "ap75": ap50, "replicates": {"ap50": [ap50] * 4, "ap75": [ap50] * 4}}
    return ablate._line(job) | {"val": {"ap50": ap50}, "test": test}


def diverged(job):
    return ablate._line(job) | {"failed": "step 2: the loss is inf", "val": {"ap50": 0.0}}


def test_a_table_says_what_has_diverged_and_what_it_compares_with(tmp_path, capsys):
    """The last row has diverged, another one seed of two: neither is passed over in silence."""
    by_row = {}
    base = preset_for("scenes")
    for job in jobs(["2a"], base, 2, tmp_path):
        by_row.setdefault(job.row, []).append(job)
    lines = [reached(job, 0.5) for job in by_row["AO"]] + [reached(job, 0.25) for job in by_row["PONO"]]
    lines += [reached(by_row["AO, AMS"][0], 0.75), diverged(by_row["AO, AMS"][1])]
    lines += [diverged(job) for job in by_row["PONO, AMS"]]
    rows = {row["row"]: row for row in table("2a", lines, base)}
    assert list(rows) == list(TABLES["2a"])
    assert [(row["seeds"], row["diverged"]) for row in rows.values()] == [(2, 0), (1, 1), (2, 0), (0, 2)]
    assert [row["against"] for row in rows.values()] == ["PONO", "PONO", None, None]
    assert rows["AO"]["difference"] == (0.25, 0.25)
    assert rows["AO, AMS"]["ap50"] == 0.75
    assert np.isnan([rows["PONO, AMS"]["ap50"], *rows["PONO, AMS"]["interval"]]).all()
    for line in lines:
        ablate.append(tmp_path / "results.jsonl", line)
    assert main(["ablate", "2a", "--data", "scenes", "--out", str(tmp_path), "--show"]) == 0
    ao, ao_ams, pono, pono_ams = capsys.readouterr().out.splitlines()[-4:]
    assert ao.endswith('50.0  [50.0, 50.0]  +25.0 to +25.0 against "PONO"  (2 seeds)')
    assert ao_ams.endswith('against "PONO"  (1 seeds, 1 of 2 diverged)')
    assert pono.endswith("25.0  [25.0, 25.0]  (2 seeds)")
    assert pono_ams.split() == ["PONO,", "AMS", "(0", "seeds,", "2", "of", "2", "diverged)"]


def test_what_is_chosen_on_val_is_shown_on_val(tmp_path, capsys):
    """Also where the same training was tested for another table."""
    tune = jobs(["tune"], preset_for("scenes"), 2, tmp_path)
    for job in tune:
        if job.row == "ssd, lr 0.01":
            line = reached(job, 0.5) | {"val": {"ap50": 0.25 + 0.5 * job.config.seed}}
            ablate.append(tmp_path / "results.jsonl", line)
        if job.row == "ssd, lr 0.02":
            ablate.append(tmp_path / "results.jsonl", ablate._line(job) | {"val": {"ap50": 0.75}})
    assert main(["ablate", "tune", "--data", "scenes", "--out", str(tmp_path), "--show"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "tune on scenes, 1500 steps: ap50 on val in %", f"  {'ssd, lr 0.01':28}  50.0  (2 seeds)",
        f"  {'ssd, lr 0.02':28}  75.0  (2 seeds)",
    ]  # fmt: skip


def test_what_has_diverged_once_is_not_trained_again_for_another_table(tmp_path, monkeypatch):
    monkeypatch.setattr(ablate, "train", lambda *_, **__: pytest.fail("it trains"))
    tune, (_, ours) = jobs(["tune"], BASE, 1, tmp_path), jobs(["even"], BASE.with_options(lr=0.04), 1, tmp_path)
    twice = [job for job in tune if job.key == ours.key]
    ablate.append(tmp_path / "results.jsonl", diverged(twice[0]))
    assert ablate.ablate([ours], tmp_path, open_images=open_images, progress=False)
    assert len(results(tmp_path)) == 1


def test_data_is_told_apart_by_its_whole_path(tmp_path, monkeypatch):
    """/a/cats/dataset is not /b/cells/dataset; a folder by a relative path is the same as by its whole one."""
    cats, cells = tmp_path / "cats" / "dataset", tmp_path / "cells" / "dataset"
    for folder in (cats, cells, tmp_path / "cats" / "scenes"):
        folder.mkdir(parents=True)

    def first(data):
        return jobs(["2a"], BASE.with_options(data=str(data)), 1, tmp_path)[0]

    ablate.append(tmp_path / "results.jsonl", reached(first(cats), 0.5))
    assert ablate.done(first(cats), tmp_path)
    assert not ablate.done(first(cells), tmp_path)
    assert table("2a", results(tmp_path), BASE.with_options(data=str(cells))) == []
    named = first("scenes")
    monkeypatch.chdir(tmp_path / "cats")
    assert ablate.done(first("dataset"), tmp_path)
    assert (first("dataset").key, first("dataset").config) == (first(cats).key, first(cats).config)
    assert table("2a", results(tmp_path), BASE.with_options(data="dataset"))[0]["ap50"] == 0.5
    assert first("scenes") == named  # a folder that is called so is not what is opened
    monkeypatch.chdir(tmp_path / "cells")
    assert not ablate.done(first("dataset"), tmp_path)
    record = reached(first(cats), 0.5) | {"config": {"steps": 3}}
    assert fits(record, first(cats).config)  # wherever it lay
    assert fits(record, first(cells).config)
    assert not fits(record | {"data": "scenes"}, first(cells).config)


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
    for of_another_version in ({"since": 1}, {"lapnet": line["config"]["lapnet"] | {"since": 1}}):
        assert not fits(line | {"config": line["config"] | of_another_version}, job.config)
    del line["config"]["lapnet"]["depth"]  # as a version without this option has written it
    assert fits(line, job.config)
    assert not fits(line, job.config.with_options(depth=1))
    line["config"] = {"lr": 0.01, "lapnet": {"ams": False}}  # a shortened record
    assert fits(line, job.config)
    assert not fits(line, job.config.with_options(ams=True))


def test_the_command_lists_its_tables_and_refuses_what_makes_no_sense(capsys):
    assert main(["ablate"]) == 0
    assert "2a: AO; AO, AMS; PONO; PONO, AMS" in capsys.readouterr().out
    for flags, says in (
        (["2a", "--seeds", "0"], "--seeds must be a whole number, at least 1, not 0"),
        (["2a", "--steps", "-1"], "--steps must be a whole number, at least 0, not -1"),
        (["9z", "--data", "scenes"], "no table is called 9z"),
        (["2a", "--preset", "huge"], "no preset"),
    ):
        assert main(["ablate", *flags]) == 1
        assert says in capsys.readouterr().err
    assert main(["ablate", "2a", "--metric", "map"]) == 2
    assert "'ap50', 'ap75'" in capsys.readouterr().err


def test_data_with_faults_is_left_out_where_one_asks_for_it(tmp_path, monkeypatch):
    """The message of a faulty annotation says so; bccd has two, which its preset leaves out."""
    queues = []
    monkeypatch.setattr(ablate, "ablate", lambda queue, out: queues.append(queue) or True)
    for flags in ((), ("--on-error", "skip"), ("--data", "bccd"), ("--data", "bccd", "--on-error", "raise")):
        assert main(["ablate", "2a", "--data", "scenes", "--out", str(tmp_path), *flags]) == 0
    assert [queue[0].config.on_error for queue in queues] == ["raise", "skip", "skip", "raise"]
