"""Notebook 07: plans and command lines, recorded runs, what fails on purpose, the live panel, the exercises."""

import json
import random
import re
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from drawing import draws_and_leaves_everything_else_alone
from exercises import check_solutions
from matplotlib.figure import Figure
from toys import Squares

from lapnet_core import cli, train
from lapnet_core.cli.train import Train
from lapnet_core.config import PRESETS, TrainConfig, laptop_scenes, preset_for
from lapnet_core.data.named import Images, object_sizes
from lapnet_core.detector import note_of
from lapnet_core.method import LapNetMethod
from lapnet_core.model import LapNet
from lapnet_core.scenes import SCENE_CLASSES, Scenes
from lapnet_core.step import learning_rate
from lapnet_core.validation import Average, Best, Validation, impatient
from lapnet_lab import gather, models, records
from lapnet_lab.charts import PLOTLY, Chart
from lapnet_lab.functions import LEARNING_RATE
from lapnet_lab.lessons.training import failures, figures, panels, study
from lapnet_lab.lessons.training.exercises import EXERCISES, check, judge

ROOT = Path(__file__).resolve().parents[2]
SIZE = (64, 64)
IMAGE = torch.randint(0, 255, (3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
FOUND: dict[str, Any] = {
    "boxes": torch.tensor([[5.0, 5, 30, 40], [20, 12, 60, 60]]),
    "labels": torch.tensor([0, 1]),
    "scores": torch.tensor([0.9, 0.4]),
}
NAMES = ("person", "car")
LOG: list[dict[str, Any]] = [
    {"step": s, "loc": 1 / s, "cls": 2 / s, "predicted_iou": 1 - 1 / s, "positives_loc": 9} for s in range(1, 21)
]
MAPS: list[dict[str, Any]] = [
    {"step": 10, "val_map": 0.1, "train_map": 0.5},
    {"step": 20, "val_map": 0.3, "train_map": 0.9},
]


# Plans and command lines


@pytest.mark.parametrize("tier", ["tiny", "laptop", "full"])
def test_a_plan_is_the_preset_with_validations(tier: str) -> None:
    plan = study.plan("scenes", tier, "somewhere")
    assert plan.split == "train"
    assert plan.val_every * 4 == plan.steps
    assert str(plan.run_dir) == "somewhere"
    if tier != "tiny":
        assert plan == laptop_scenes().with_options(val_every=plan.val_every, out="somewhere")


def test_voc_is_trained_on_train_and_validated_on_val() -> None:
    plan, preset = study.plan("voc", "full"), preset_for("voc")
    assert plan.with_options(out="") == preset.with_options(split="train", val_every=preset.steps // 4)
    assert study.plan("voc", "tiny").steps == study.TINY_STEPS


def test_the_tiny_tier_keeps_a_few_scenes() -> None:
    dataset, held = study.open_images(study.plan("scenes", "tiny"), "tiny")
    assert held is not None
    assert (len(dataset), len(held)) == (study.TINY_SCENES, study.TINY_HELD)
    assert not torch.equal(dataset[0][0], held[0][0])
    whole, val = study.open_images(laptop_scenes().with_options(val_every=10), "laptop")
    assert val is not None
    assert (len(whole), len(val)) == (4000, 300)
    assert study.open_images(laptop_scenes(), "laptop")[1] is None


CONFIGS: dict[str, TrainConfig] = {
    **{name: preset() for name, preset in PRESETS.items()},
    "tiny": study.plan("scenes", "tiny"),
    "shipped": study.shipped_config(),
    "folder": preset_for("my photos/of cats").with_options(val_every=200, widths=(64, 32, 64)),
    "odd": laptop_scenes().with_options(
        amp=True, rescue=False, scale=(0.7, 1.0), anchors="a b.json", out="x y", ema=0.9
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_command_line_means_the_same_config(name: str) -> None:
    import shlex

    told = study.command(CONFIGS[name])
    assert max(map(len, told.splitlines())) <= study.LONGEST + 2
    line = shlex.split(told.replace("\\\n", ""))  # as a shell joins them
    assert line[:2] == ["lapnet", "train"]
    parsed = cli._parse(line[1:])
    assert isinstance(parsed, Train)
    assert parsed.config == CONFIGS[name]


def test_a_preset_needs_no_other_flag() -> None:
    assert study.command(laptop_scenes()) in ("lapnet train --preset laptop_scenes", "lapnet train --data scenes")


# Numbers


def test_smoothing_is_the_mean_of_the_last() -> None:
    values = [1.0, 5.0, 3.0, 7.0]
    assert study.smoothed(values, 3) == [1.0, 3.0, 3.0, 5.0]
    assert study.smoothed(values, 1) == values


def test_columns_leave_out_lines_without_the_number() -> None:
    assert study.column([*LOG[:2], *MAPS], "val_map") == ([10, 20], [0.1, 0.3])


def test_patience_ends_where_a_training_does() -> None:
    draw = random.Random(3)
    for _ in range(200):
        maps, patience = [draw.randint(0, 5) / 10 for _ in range(draw.randint(1, 9))], draw.randint(0, 3)
        config = TrainConfig(val_every=1, patience=patience)
        watch: Any = Validation(config, Scenes(1, size=SIZE), Best(), torch.device("cpu"), 0, 1, False)
        ended = len(maps)
        for k, value in enumerate(maps, 1):
            watch.note(10 * k, value)
            if impatient(config, watch.best):
                ended = k
                break
        stop = study.stop([10 * k for k in range(1, len(maps) + 1)], maps, patience)
        assert stop == (10 * ended, watch.best.step, watch.best.val_map)


def test_hits_take_each_object_once() -> None:
    target: Any = {"boxes": torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10]]), "labels": torch.tensor([0, 1])}
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10], [20, 0, 30, 9]])
    found: Any = {"boxes": boxes, "labels": torch.tensor([0, 0, 0, 1]), "scores": torch.tensor([0.9, 0.8, 0.7, 0.6])}
    assert study.hits(found, target) == (2, 2, 2)  # twice found, and another class, are false
    nothing: Any = study.confident(found, 0.95)
    assert study.hits(nothing, target) == (0, 2, 0)
    assert study.confident(found, 0.7)["labels"].tolist() == [0, 0, 0]


# Recorded runs


def test_the_recorded_run_is_what_the_texts_say() -> None:
    log = study.runs("scenes")["scenes"]
    steps, maps = study.column(log, "val_map")
    assert max(maps) == pytest.approx(records.value("training.scenes_val_map"), abs=5e-4)
    assert steps[-1] <= records.value("training.scenes_steps") == study.shipped_config().steps
    assert note_of(models.path_of("scenes"))["val_map"] == pytest.approx(max(maps), abs=5e-4)
    told = set(LapNetMethod(LapNet(1, 1), torch.ones(1, 1, 2)).progress()) or set(log[0])
    assert told <= set(log[0])


def test_the_notebook_explains_every_number_of_the_log() -> None:
    text = (ROOT / "notebooks" / "07_training.py").read_text("utf-8")
    lines = {name for line in study.runs("scenes")["scenes"] for name in line}
    for name in lines - {"step"}:
        assert f"`{name}`" in text, name


def test_snapshots_are_of_scenes_in_the_order_of_the_steps() -> None:
    found = study.snapshots()
    assert list(found) == sorted(found)
    assert all(set(each) == {17, 36, 85} for each in found.values())


def test_the_recorded_failures_show_their_signs() -> None:
    logs = study.runs("failures")
    assert set(logs) == set(failures.CASES) == set(failures.PATIENTS.values())
    ends = {
        name: {key: study.column(log, key)[1] for key in ("predicted_iou", "val_map", "train_map")}
        for name, log in logs.items()
    }
    assert ends["rate"]["predicted_iou"][-1] < 0.1 < ends["rate"]["predicted_iou"][0]
    assert set(study.column(logs["anchors"], "positives_loc")[1]) == {0}
    assert ends["classes"]["predicted_iou"][-1] > 0.7
    assert ends["classes"]["train_map"][-1] > 0.5 > 10 * ends["classes"]["val_map"][-1]
    heart = ends["overfitting"]
    assert heart["train_map"][-1] > 2 * heart["val_map"][-1]


# Shipped detectors


@pytest.mark.parametrize("name", models.SHIPPED)
def test_shipped_detectors_are_small_and_whole(name: str) -> None:
    assert models.path_of(name).stat().st_size < 8_000_000
    detector = models.shipped(name)
    assert models.shipped(name) is detector
    assert detector.image_size == (192, 192)
    assert {p.dtype for p in detector.method.parameters()} == {torch.float32}
    assert detector.class_names == {"scenes": SCENE_CLASSES, "photographs": models.ANIMALS}[name]


def test_another_shipped_detector_is_not_there() -> None:
    with pytest.raises(ValueError, match="there are scenes, photographs"):
        models.shipped("bccd")


@pytest.mark.slow
def test_the_shipped_detector_finds_what_is_recorded() -> None:
    scenes = Scenes(100, size=(192, 192), split="test")
    from lapnet_core.evaluate import voc_map

    found, truth, _ = models.shipped("scenes").predict_dataset(scenes, progress=False)
    result = voc_map(found, truth, len(SCENE_CLASSES)).mean_ap
    assert result == pytest.approx(records.value("training.scenes_map_100"), abs=5e-3)
    for name, targets in failures.mistakes(truth, len(SCENE_CLASSES), 192).items():
        wrong = voc_map(found, targets, len(SCENE_CLASSES)).mean_ap
        assert wrong == result if name == "as they are" else wrong < result / 10


def test_photographs_are_there_or_none(tmp_path: Path) -> None:
    assert models.unseen_photographs(None) is None
    assert models.unseen_photographs(tmp_path) is None


# Failures


def test_anchors_that_fit_nothing_have_no_positives_under_ao() -> None:
    dataset, config = Scenes(12, size=(96, 96), keep=True), study.plan("scenes", "tiny")
    counts = {}
    for scale in (1, 16):
        with failures.anchors_of(dataset, (96, 96), scale) as file:
            counts[scale] = [failures.positives(dataset, config, file, kind)[1] for kind in ("ao", "pono")]
            assert Path(file).exists()
        assert not Path(file).exists()
    assert counts[16][0] == 0 < counts[1][0] < counts[1][1]
    assert counts[16][1] > 0  # PONO hides it


class Photographs(Squares):
    """Each of another size, all larger than the network's input."""

    def target(self, index: int) -> Any:
        return {**super().target(index), "original_size": (64 * (index + 1), 128)}


def test_sides_and_positives_are_those_of_the_input_however_few_photographs_there_are() -> None:
    few, size = cast(Images, Photographs(3)), (32, 64)
    sides, labels = object_sizes(few, size, progress=False)
    found = gather.objects(few, size=size)
    assert torch.allclose(gather.sizes(found.boxes), sides)
    assert torch.equal(found.labels, labels)
    assert torch.equal(gather.objects(few, 2).boxes[2:], few.target(1)["boxes"])
    config = study.plan("scenes", "tiny").with_options(image_size=size)
    with failures.anchors_of(few, size, 1) as file:
        assert failures.positives(few, config, file, "pono")[0] == 6


def test_relabelled_scenes_say_another_class() -> None:
    scenes = Scenes(2, size=SIZE)
    other = failures.Relabelled(scenes, 1)
    assert len(other) == 2
    assert torch.equal(other[1][0], scenes[1][0])
    assert other[1][1]["labels"].tolist() == [(c + 1) % 7 for c in scenes.target(1)["labels"].tolist()]


@pytest.mark.slow
def test_a_failing_run_ends_where_it_is_told() -> None:
    lines, why = failures.run("anchors", steps=6)
    assert why == ""
    assert [line["step"] for line in lines if "loc" in line] == list(range(1, 7))
    assert {line["positives_loc"] for line in lines if "loc" in line} == {0}
    assert [set(line) for line in lines if "val_map" in line] == [{"step", "val_map", "train_map"}]


def test_what_is_kept_of_a_log() -> None:
    kept = failures.short([*LOG, *MAPS], count=4)
    assert [line["step"] for line in kept if "val_map" not in line] == [1, 5, 10, 15, 20]
    assert [line for line in kept if "val_map" in line] == MAPS
    assert kept[1]["loc"] == 0.2


# Figures and panels

CHARTS: dict[str, Chart] = {
    "schedules": figures.schedules({"a": laptop_scenes(), "one step": laptop_scenes().with_options(steps=1)}),
    "curves": figures.curves(LOG, figures.LOSSES, "log", log_scale=True),
    "maps": figures.map_chart({"val": ([10, 20], [0.1, 0.3])}, {"patience 1": study.Stop(20, 10, 0.1)}),
    "compared": figures.compared({"a": LOG, "b": LOG[:1]}, "predicted_iou", "two"),
}


@pytest.mark.parametrize("name", CHARTS)
def test_charts_have_numbers_text_and_picture(name: str) -> None:
    bundle, _ = CHARTS[name]._repr_mimebundle_()
    assert bundle["text/plain"].count("\n") == len(bundle["text/plain"].splitlines()) - 1
    assert bundle["image/png"].startswith(b"\x89PNG")
    assert json.loads(json.dumps(bundle[PLOTLY]))["data"]


def test_the_chart_of_schedules_says_what_they_are() -> None:
    config = laptop_scenes()
    text = repr(figures.schedules({"a": config}))
    assert f"first {config.lr / config.warmup:.4f}" in text
    trace: Any = figures.schedules({"a": config}).figure.data[0]
    assert trace.x[-1] == config.steps - 1
    assert trace.y[0] == pytest.approx(config.lr / config.warmup)


PICTURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "boxes": (figures.with_boxes, ([IMAGE, IMAGE], [FOUND, {k: FOUND[k][:0] for k in FOUND}], NAMES, ["a", "b"])),
    "live": (figures.live, (LOG, MAPS, 20, IMAGE, FOUND, NAMES)),
    "live at first": (figures.live, (LOG[:1], [], 20, IMAGE, FOUND, NAMES)),
}


@pytest.mark.parametrize("name", PICTURES)
def test_draws_and_leaves_everything_else_alone(name: str) -> None:
    draws_and_leaves_everything_else_alone(*PICTURES[name])


class Place:
    """Where a notebook would show something."""

    def __init__(self) -> None:
        self.shown: list[Any] = []

    def update(self, figure: Any) -> None:
        self.shown.append(figure)


@pytest.mark.slow
def test_the_live_panel_follows_a_training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place = Place()
    monkeypatch.setattr(panels, "display", lambda text, display_id: place)
    config = study.plan("scenes", "tiny", tmp_path / "run").with_options(
        image_size=SIZE, steps=8, val_every=4, batch_size=2
    )
    scenes = Scenes(8, size=SIZE, keep=True)
    watch = panels.LiveTraining(config, IMAGE, SCENE_CLASSES, times=3)
    training = train.train(config, scenes, val_dataset=scenes, progress=False, on_step=watch)
    assert [line["step"] for line in watch.log] == list(range(1, 9))
    assert list(watch.seen) == [2, 4, 6, 8]
    assert all(isinstance(figure, Figure) for figure in place.shown)
    assert len(place.shown) == 4
    watch.draw()
    assert len(place.shown) == 5
    assert [line["step"] for line in watch.maps()] == [4, 8]
    assert watch.maps() == [line for line in training.log if "val_map" in line]
    assert not training.method.training


def test_a_run_without_a_log_has_no_validations(tmp_path: Path) -> None:
    assert panels.validations(tmp_path) == []


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.999])
def test_the_average_of_the_toy_is_the_librarys(decay: float) -> None:
    path = study.wander(steps=30)
    method = LapNetMethod(LapNet(1, 1), torch.ones(1, 1, 2))
    torch.nn.init.constant_(method.criterion.s_loc, path[0])  # any one of its numbers
    library: Any = Average(method, decay)
    for step, value in enumerate(path[1:], 1):
        torch.nn.init.constant_(method.criterion.s_loc, value)
        library.update(method, step)
    assert study.averaged(path, decay)[-1] == pytest.approx(library.method.criterion.s_loc.item(), abs=1e-5)


def test_the_average_panel_answers_what_the_notebook_asks() -> None:
    panel = panels.average_panel()
    off = {}
    for gently in (True, False):
        for falling in (True, False):
            for decay in panels.DECAYS:
                said = panel.describe(panel.compute(decay, gently, falling))
                own, average = (float(word) for word in re.findall(r"0\.\d\d", said)[-2:])
                off[gently, falling, decay] = (own, average)
    own, average = off[True, False, 0.999]
    assert average < own / 2  # it helps where the rate stays,
    assert off[False, False, 0.999][1] > 2 * own  # not with a long memory of the start,
    assert off[True, True, 0.0][1] < average  # and a rate that falls to zero does as much without it
    assert min(off[True, False, decay][1] for decay in panels.DECAYS) == average


def test_the_growth_panel_at_its_ends() -> None:
    snapshots: Any = {
        1: {5: {k: v[:1].tolist() for k, v in FOUND.items()}},
        9: {5: {k: v.tolist() for k, v in FOUND.items()}},
    }
    target: Any = {"boxes": FOUND["boxes"], "labels": FOUND["labels"]}
    panel = panels.growth_panel(snapshots, {5: IMAGE}, {5: target}, NAMES)
    assert panel.numbers["marks"] == [(2, 2, 0)]
    for step in (1, 9):
        for threshold in (0.05, 0.5, 0.95):
            panel.controls["step"].value, panel.controls["threshold"].value = step, threshold
            assert panel.error == ""
            count = sum(score >= threshold for score in snapshots[step][5]["scores"])
            assert panel.numbers["marks"] == [(count, 2, 0)]
    assert "0 of 2 objects" in panel.describe(panel.numbers)
    assert panel._static_picture().startswith(b"\x89PNG")


# Exercises


def stops(maps: list[float], patience: int) -> tuple[int, int]:
    best, stale = 0, 0
    for k in range(1, len(maps)):
        best, stale = (k, 0) if maps[k] > maps[best] else (best, stale + 1)
        if patience and stale == patience:
            return k + 1, best
    return len(maps), best


RIGHT: dict[str, Any] = {"patience": stops, "diagnosis": dict(failures.PATIENTS)}
GIVEN: dict[str, Any] = {"patience": {}, "diagnosis": {"truth": failures.PATIENTS}}


@pytest.mark.parametrize("name", EXERCISES)
def test_right_answers_pass(name: str) -> None:
    verdict = judge(name, RIGHT[name], **GIVEN[name])
    assert verdict.done is True, verdict.message


def test_the_patience_may_come_in_an_array() -> None:
    for kind in (list, np.array, torch.tensor):
        assert judge("patience", lambda *given, kind=kind: kind(stops(*given))).done is True
    told = judge("diagnosis", {name: ["rate"] for name in failures.PATIENTS}, **GIVEN["diagnosis"]).message
    assert "there is no fault called" in told


def stub(maps, patience):
    """As the notebook hands it out, with nothing but this behind it."""


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize("stub", [None, ..., stub])
def test_a_stub_is_not_yet_done(name: str, stub: Any, capsys: pytest.CaptureFixture[str]) -> None:
    check(name, stub, **GIVEN[name])
    assert capsys.readouterr().out.startswith("Not yet: ")


ANYTHING = [
    "twelve", [], {}, object(), torch.zeros(3), float("nan"), lambda x: x, lambda *x: "text", lambda *x: None,
    lambda *x: True, (1, 2), True, int, lambda *x: 1 / 0, lambda *x: (1, 2, 3), lambda *x: ("a", "b"),
    {"A": 1, "B": 2, "C": 3, "D": 4}, lambda *x: torch.zeros(2), lambda *x: float("inf"), lambda *x: {},
    lambda *x: [[], []],
]  # fmt: skip


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize("answer", ANYTHING)
def test_anything_at_all_gets_a_sentence(name: str, answer: Any) -> None:
    verdict = judge(name, answer, **GIVEN[name])
    assert verdict.done is False
    assert len(verdict.message) > 15


STOPS: dict[str, Any] = {
    "the first is the best": lambda maps, patience: (stops(maps, patience)[0], max(
        k for k in range(stops(maps, patience)[0]) if maps[k] == maps[stops(maps, patience)[1]])),
    "never ends": lambda maps, patience: stops(maps, max(1, patience)),
    "not after": lambda maps, patience: stops(maps, patience + 1 if patience else 0),
    "its number is asked for": lambda maps, patience: (stops(maps, patience)[0], maps[stops(maps, patience)[1]]),
    "is never made": lambda maps, patience: (stops(maps, patience)[0], maps.index(max(maps))),
    "(from 0), not": lambda maps, patience: (stops(maps, patience)[0], stops(maps, patience)[1] + 1),
}  # fmt: skip


@pytest.mark.parametrize("told", STOPS)
def test_wrong_patience_is_told_apart(told: str) -> None:
    assert told in judge("patience", STOPS[told]).message


def test_wrong_diagnoses_say_where_to_look() -> None:
    swapped = {**failures.PATIENTS, "A": "overfitting", "C": "classes"}
    message = judge("diagnosis", swapped, truth=failures.PATIENTS).message
    assert message.startswith("A, C: ")
    assert "learns by heart" in message  # what was answered for A is questioned, and what is right is not told
    assert "except mAP" not in message
    assert "no answer for D" in judge("diagnosis", dict.fromkeys("ABC", "rate"), truth=failures.PATIENTS).message
    assert "no fault called flu" in judge("diagnosis", dict.fromkeys("ABCD", "flu"), truth=failures.PATIENTS).message


@pytest.mark.parametrize("warmup", [0, 4])
def test_the_learners_rate_is_the_librarys_but_for_the_warm_up(warmup: int) -> None:
    config = study.plan("scenes", "tiny").with_options(warmup=warmup)
    for step in range(config.steps):
        own = LEARNING_RATE.solution(step, config.steps, config.lr, config.power)
        assert own * (min(1.0, (step + 1) / warmup) if warmup else 1) == pytest.approx(learning_rate(config, step))
    assert set(EXERCISES.functions) == {"learning_rate"}


def test_the_solutions_in_the_notebook_are_right() -> None:
    check_solutions("07_training", EXERCISES, judge, GIVEN.__getitem__)
