"""Notebook 10: times by turns, the recording, points and fronts against loops, charts, the panel, the exercises."""

import itertools
import json
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
import torch
from drawing import drive
from exercises import check_solutions, check_stub

from lapnet_core import ablate
from lapnet_core.detector import Detector
from lapnet_core.scenes import SCENE_CLASSES, Scenes
from lapnet_lab import charts, records
from lapnet_lab.lessons.speed_accuracy import figures, measuring, panels, recording, stated, study
from lapnet_lab.lessons.speed_accuracy.exercises import (
    CLOCKS,
    EXERCISES,
    PLANES,
    WRONG_FRONTS,
    WRONG_RATIOS,
    check,
    judge,
)
from lapnet_lab.lessons.speed_accuracy.measuring import KINDS, SMALL, Contestant, Speed
from lapnet_lab.lessons.speed_accuracy.study import NAMES, Machine, Point
from lapnet_lab.style import contrast

HERE = Machine("a machine", 2)
LIGHT = ("lapnet", "light")


def accuracy_line(kind: tuple[str, str], size: int, ap50: float, ap75: float, **changes: Any) -> dict[str, Any]:
    luck = np.random.default_rng(0).normal(0, 0.02, 200)
    line = {
        "kind": "accuracy", "data": "voc_animals", "method": kind[0], "backbone": kind[1], "size": size,
        "trained_at": 192, "split": "test", "seed": 0, "steps": 1500, "lr": 0.02, "val": 0.4, "images": 900,
        "ap50": ap50, "ap75": ap75, "ap": ap75, "per_class": {"cat": ap50, "sheep": ap75},
        "interval": {"ap50": [ap50 - 0.04, ap50 + 0.04], "ap75": [ap75 - 0.04, ap75 + 0.04]},
        "machine": "elsewhere", "threads": 1, "torch": "2", "date": "2026-11-26",
        "replicates": {"ap50": (ap50 + luck).tolist(), "ap75": (ap75 + luck).tolist()},
    }  # fmt: skip
    return line | changes


def speed_line(kind: tuple[str, str], size: int, ms: float, weights: str = "trained", **changes: Any) -> dict[str, Any]:
    line = {
        "kind": "speed", "data": "voc_animals", "machine": HERE.name, "threads": HERE.threads, "torch": "2",
        "date": "2026-11-26", "method": kind[0], "backbone": kind[1], "size": size, "weights": weights, "ms": ms,
        "low": ms - 1, "high": ms + 1, "images_per_second": 1200 / ms, "post": 0.1, "gmacs": (size / 192) ** 2 / 2,
        "turns": 9,
    }  # fmt: skip
    return line | changes


SIX = (*measuring.SIZES, 320)


def made_up(kinds: Sequence[tuple[str, str]] = KINDS, sizes: Sequence[int] = SIX) -> list[dict[str, Any]]:
    """A whole file: each detector a little slower and a little worse than the one before, at AP75 a little better."""
    lines = []
    for k, kind in enumerate(kinds):
        for size in sizes:
            share = (size / 192) ** 2
            ap50, ap75 = 0.45 - 0.02 * k - abs(size - 224) / 2000, 0.15 + 0.01 * k + size / 5000
            lines.append(accuracy_line(kind, size, ap50, ap75))
            lines += [speed_line(kind, size, (10 + 2 * k) * (0.2 + share) * more, weights)
                      for weights, more in (("trained", 1), ("random", 1.2))]  # fmt: skip
    return lines


LINES = made_up()
POINTS = study.points(LINES)


# Times


@pytest.fixture(scope="module")
def detectors() -> list[Detector]:
    torch.manual_seed(0)
    return [measuring.untrained(kind, 3) for kind in KINDS]


@pytest.mark.slow
def test_every_kind_is_timed_at_every_size(detectors: list[Detector]) -> None:
    """Each takes sizes that it was not made for, and finds boxes within the image."""
    sizes = (128, 320)
    contestants = measuring.contestants(detectors, sizes, "random")
    for one in contestants:
        for found in one.detector.detect_images(measuring.drawn(one.size)[:2]):
            assert len(found["boxes"]) > 0
            assert found["boxes"].min() >= 0
            assert found["boxes"].max() > 128 * (one.size > 128)
            assert found["boxes"].max() <= one.size
    shown = {size: measuring.drawn(size) for size in sizes}
    speeds = measuring.measure(contestants, shown, turns=2, batch_turns=1)
    assert [(x.method, x.backbone) for x in speeds[::2]] == list(KINDS) == list(NAMES)
    for small, large in zip(speeds[::2], speeds[1::2], strict=True):
        assert (small.size, large.size) == sizes
        assert 5.5 < large.gmacs / small.gmacs < 6.5 or small.method == "faster_rcnn"  # 6.25 times as many pixels
        for each in (small, large):
            assert 0 < each.low <= each.ms <= each.high
            assert 0 < each.post < 1
            assert each.images_per_second > 0
            assert each.turns == 2
    assert json.loads(json.dumps(speeds[0].line()))["gmacs"] == pytest.approx(speeds[0].gmacs, rel=1e-3)


def test_turns_go_round_and_the_first_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that moves by what each call is given: A and B take turns, medians are of the later ones."""
    clock, calls = [0.0], []

    class Fake(Detector):
        def __init__(self, name: str, seconds: list[float]) -> None:
            self.name, self.seconds = name, iter(seconds)
            self.method: Any = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1))

        @property
        def device(self) -> torch.device:
            return torch.device("cpu")

        def detect_images(self, images: torch.Tensor, **_options: float) -> list[Any]:
            calls.append((self.name, len(images)))
            self.method(images)
            clock[0] += next(self.seconds)
            return []

    monkeypatch.setattr(measuring.time, "perf_counter", lambda: clock[0])
    a, b = Fake("a", [9, 9, 9, 1, 3, 2, 9, 8, 4]), Fake("b", [9, 9, 9, 10, 30, 20, 9, 80, 40])
    both = [Contestant(one, 32, "random") for one in (a, b)]
    monkeypatch.setattr(measuring.Contestant, "kind", property(lambda one: (one.detector.name, "light")))
    images = {32: torch.zeros(8, 3, 32, 32)}
    found = measuring.measure(both, images, turns=3, batch_turns=2)
    assert [name for name, _ in calls[4:]] == ["a", "b"] * 7
    assert [size for _, size in calls[4:]] == [1] * 8 + [8] * 6
    assert [one.ms for one in found] == [2000, 20000]
    assert [one.images_per_second for one in found] == [8 / 6, 8 / 60]
    assert found[0].post == 1  # all that the fake takes comes after its layer
    assert found[0].gmacs == pytest.approx(3 * 2 * 32 * 32 / 1e9)


def test_only_square_inputs_are_compared(detectors: list[Detector]) -> None:
    one = detectors[0]
    with pytest.raises(ValueError, match="192 × 224 px; only square"):
        measuring.at_size(Detector(one.method, one.class_names, (192, 224)), 128)


# The recording


def open_scenes(_data: str, split: str, **_options: Any) -> Any:
    assert split == "test"
    return Scenes(9, size=(96, 96), split="test")


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    """Two runs as `lapnet ablate` leaves them."""
    folders = []
    for key, kind in (("first", LIGHT), ("second", ("ssd", "light"))):
        made = measuring.untrained(kind, len(SCENE_CLASSES))
        folder = tmp_path / "runs" / key
        folder.mkdir(parents=True)
        Detector(made.method, SCENE_CLASSES, (96, 96)).save(folder / "model.safetensors")
        folders.append(folder)
    line = {"key": "first", "seed": 3, "config": {"steps": 7, "lr": 0.5}, "val": {"ap50": 0.25}}
    ablate.append(tmp_path / "results.jsonl", line)
    return folders


@pytest.mark.slow
def test_accuracies_are_recorded_once(models: list[Path], tmp_path: Path) -> None:
    out, told = tmp_path / "out.jsonl", []
    for _ in range(2):
        recording.accuracy(
            models, "some/scenes", out, (64, 96), open_images=open_scenes, progress=False, told=told.append
        )
    lines = study.lines_of(out)
    assert [(line["method"], line["size"]) for line in lines] == list(itertools.product(("lapnet", "ssd"), (64, 96)))
    assert len(told) == 4
    first = lines[0]
    assert (first["seed"], first["steps"], first["lr"], first["val"]) == (3, 7, 0.5, 0.25)
    assert lines[2]["seed"] is None
    assert (first["data"], first["trained_at"], first["images"]) == ("scenes", 96, 9)
    direct = ablate.measure(Detector.load(models[0]), open_scenes("", "test"), replicates=True)
    assert lines[1]["ap50"] == direct["ap50"]
    assert lines[1]["replicates"]["ap75"] == [round(x, 3) for x in direct["replicates"]["ap75"]]
    assert first["interval"]["ap50"][0] <= first["interval"]["ap50"][1]


@pytest.mark.slow
def test_times_of_a_machine_are_of_one_process(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "KINDS", (LIGHT,))
    out, told = tmp_path / "out.jsonl", []
    other = speed_line(LIGHT, 64, 5.0, data="scenes")
    ablate.append(out, other)
    for _ in range(2):
        recording.speed(models, "scenes", out, (64, 96), turns=1, batch_turns=1, open_images=open_scenes,
                        progress=False, told=told.append)  # fmt: skip
    lines = study.lines_of(out)
    assert lines[0] == other  # another machine's
    kinds = [(line["method"], line["weights"], line["size"]) for line in lines[1:]]
    assert kinds == [
        (m, w, s) for m, w in (("lapnet", "trained"), ("ssd", "trained"), ("lapnet", "random")) for s in (64, 96)
    ]
    assert "6 times in the place of 6 of this machine" in told[1]
    assert {line["threads"] for line in lines[1:]} == {torch.get_num_threads()}


def test_the_command_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert recording.main(["accuracy", str(tmp_path / "nothing"), "--out", str(tmp_path / "out.jsonl")]) == 1
    assert "does not exist" in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl").exists()


# Points and fronts


def test_points_are_what_has_both() -> None:
    assert len(POINTS) == 42
    assert [point.name for point in POINTS[::6]] == list(NAMES.values())
    without = [line for line in LINES if not (line["method"] == "ssd" and line["kind"] == "accuracy")]
    assert {point.name for point in study.points(without)} == {*NAMES.values()} - {"SSD"}
    assert study.missing(without) == ["SSD"]
    assert study.missing([]) == list(NAMES.values())
    point = study.at_size(POINTS)["LapNet"]
    assert (point.ms, point.at("single"), point.at("batch"), point.at("gmacs")) == (12, 1e3 / 12, 100, 0.5)
    assert (point.label, str(point.machine)) == ("LapNet 192", "a machine, 2 threads")


def test_of_several_trainings_the_best_on_val_counts() -> None:
    kind = ("ssd", SMALL)
    tries = [accuracy_line(kind, 192, ap50, 0.1, lr=lr, val=val) for lr, val, ap50 in
             ((0.01, 0.5, 0.3), (0.02, 0.4, 0.6), (0.04, None, 0.9))]  # fmt: skip
    (line,) = study.accuracies(tries, "voc_animals").values()
    assert line["lr"] == 0.01


def test_another_machine_and_data_set_are_apart() -> None:
    lines = [*LINES, *(line | {"machine": "fast", "threads": 16} for line in LINES if line["kind"] == "speed")]
    lines += [line | {"data": "bccd"} for line in made_up([LIGHT], (128, 192))]
    assert study.machines(lines, "voc_animals") == [HERE, Machine("fast", 16)]
    assert study.datasets(lines) == ["voc_animals", "bccd"]
    assert len(study.points(lines)) == len(study.points(lines, machine=Machine("fast", 16))) == 42
    assert len(study.points(lines, "bccd")) == 2


def test_the_order_on_other_images_is_that_of_what_both_have() -> None:
    turned = [line | {"data": "bccd"} | ({"ap50": 1 - line["ap50"]} if line["kind"] == "accuracy" else {})
              for line in LINES if line["method"] != "ssd"]  # fmt: skip
    others = study.points(turned, "bccd")
    assert study.same_order(POINTS, POINTS) == pytest.approx(1)
    assert study.same_order(POINTS, others) == study.same_order(others, POINTS) == pytest.approx(-1)
    assert study.same_order(POINTS, others, "ap75") == pytest.approx(1)


def test_the_front_by_a_slow_loop() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        count = int(rng.integers(1, 9))
        cost, ap = rng.integers(0, 5, count).tolist(), rng.integers(0, 5, count).tolist()
        slow = []
        for k in range(count):
            beaten = False
            for j in range(count):
                if cost[j] <= cost[k] and ap[j] >= ap[k] and (cost[j], ap[j]) != (cost[k], ap[k]):
                    beaten = True
            slow.append(not beaten)
        assert study.unbeaten(cost, ap) == slow


@pytest.mark.parametrize("against", study.AGAINST)
def test_a_front_rises_with_what_it_costs(against: str) -> None:
    for metric in study.METRICS:
        found = study.front(POINTS, metric, against)
        values = [point.at(against) for point in found]
        assert values == sorted(values, reverse=against in study.MORE_IS_BETTER)
        aps = [point.accuracy[metric] for point in found]
        assert aps == sorted(aps)
    shares = study.front_shares(POINTS, "ap50", against)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert set(shares) == {point.label for point in POINTS}
    certain = {label for label, share in shares.items() if share == 1}
    assert certain == {point.label for point in study.front(POINTS, "ap50", against)}  # all have the same luck here


def test_comparisons_by_hand() -> None:
    at_192 = study.at_size(POINTS)
    assert study.gap(at_192["LapNet"], at_192["SSD"], "ap50") == pytest.approx((0.1, 0.1, 0.1))
    assert study.ratios(POINTS, "YOLOv3-style", "LapNet") == pytest.approx([14 / 10] * 6)
    assert study.growth(POINTS, "LapNet") == pytest.approx((6.25, (0.2 + 25 / 9) / (0.2 + 4 / 9)))
    assert study.best_size(POINTS, "LapNet", "ap50") == 224
    assert study.batch_gains(POINTS) == pytest.approx([1.2] * 42)
    assert study.of_weights(LINES)["FCOS"] == pytest.approx([1.2] * 6)
    assert study.of_weights([]) == {}
    assert study.spread([3, 1, 8]) == (3, 1, 8)


def test_agreement_is_of_what_both_have() -> None:
    theirs = study.speeds(LINES, "voc_animals", HERE, "random")
    mine = [Speed(**{**vars(x), "ms": 3 * x.ms, "weights": "random"}) for x in list(theirs.values())[::5]]
    order, factor = study.agreement(mine, theirs)
    assert order == pytest.approx(1)
    assert factor == pytest.approx(3)
    upside_down = [Speed(**{**vars(x), "ms": 1 / x.ms}) for x in mine]
    assert study.agreement(upside_down, theirs)[0] == pytest.approx(-1)


# What is recorded


RECORDED = study.lines_of()


def test_the_recorded_lines_are_whole() -> None:
    assert study.points(RECORDED), "nothing is recorded"
    for line in RECORDED:
        compared = study.kind_of(line) in NAMES
        assert compared or line["backbone"] == "darknet53"
        assert line["size"] in (measuring.SIZES if compared else (256, 384, 512))
        if line["kind"] == "accuracy":
            assert line["split"] == "test"
            assert line["trained_at"] == (study.TRAINED_AT if compared else 512)
            for metric in study.METRICS:
                assert len(line["replicates"][metric]) == 200
                low, high = line["interval"][metric]
                assert low <= line[metric] <= high
                assert abs(np.mean(line["replicates"][metric]) - line[metric]) < 0.03
        else:
            assert 0 < line["low"] <= line["ms"] <= line["high"]


def test_the_answers_to_the_guesses_are_what_was_recorded() -> None:
    """The notebook asks before it shows: how much a batch helps, and whether SSD's time is its multiplications."""
    found = study.points(RECORDED)
    assert 1 < median(study.batch_gains(found)) < 4
    trained, random = (study.speeds(RECORDED, "voc_animals", found[0].machine, w) for w in ("trained", "random"))
    every = random | trained
    ssd = [speed for (kind, _), speed in every.items() if kind == ("ssd", SMALL)]
    assert ssd
    for one in ssd:
        others = [speed for ((method, backbone), size), speed in every.items()
                  if size == one.size and backbone == SMALL and method != "ssd"]  # fmt: skip
        assert one.gmacs < min(other.gmacs for other in others)
        assert one.ms / one.gmacs > median(other.ms for other in others) / median(other.gmacs for other in others)


def test_the_record_is_what_the_lines_say() -> None:
    """Red after new lines: python -m lapnet_lab.lessons.speed_accuracy.stated, then build the notebook."""
    file = json.loads(stated.RECORDS.read_text("utf-8"))
    assert stated.updated(file) == file


def test_the_record_is_written_where_it_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "speed_accuracy.json"
    file = json.loads(stated.RECORDS.read_text("utf-8"))
    file["measured"]["recorded"]["values"], file["tables"]["verdicts"]["rows"] = {}, []
    path.write_text(json.dumps(file))
    stated.main(path)
    assert path.read_text("utf-8") == stated.RECORDS.read_text("utf-8")


def test_the_closing_table_has_what_was_measured() -> None:
    known = stated.values(POINTS)
    assert known["time_yolov3"]["value"] == {"median": 1.4, "low": 1.4, "high": 1.4}
    assert known["gap50_ssd"]["value"] == {"mean": 10.0, "low": 10.0, "high": 10.0}
    assert known["larger"]["value"]["mean"] == 3.2
    rows = stated.verdict_rows(known)
    assert len(rows) == 7
    assert rows[0][3] == "reproduced"
    assert {row[3] for row in rows[1:4]} == {stated.ONE_SEED}
    few = stated.values([point for point in POINTS if point.name == "LapNet"])
    assert len(stated.verdict_rows(few)) == 2
    assert stated.verdict_rows(stated.values([])) == []
    for row in rows:
        for reference in records.IN_A_CELL.findall(" ".join(row)):
            if reference.startswith("paper."):
                assert records.written(reference)
            else:
                assert reference.split(".")[1] in known


@pytest.mark.parametrize(
    ("low", "middle", "word"),
    [(0.9, 1.3, "reproduced"), (0.8, 1.0, "undecided here"), (0.7, 0.8, "refuted"), (1.5, 2.0, "reproduced")],
)
def test_the_verdict_about_time(low: float, middle: float, word: str) -> None:
    """The peer's time over ours: at least 1 / 1.15 at every size, or not."""
    assert stated.same_time({"median": middle, "low": low, "high": 9}) == word


# Charts and the panel


def numbers_of(chart: charts.Chart) -> tuple[list[Any], Any]:
    figure = json.loads(json.dumps(chart._repr_mimebundle_()[0][charts.PLOTLY]))
    return figure["data"], figure["layout"]


def test_the_papers_bars_are_as_long_as_its_text_leaves_open() -> None:
    data, _ = numbers_of(figures.paper_figure())
    told = {trace["name"]: (trace["x"], trace["y"][0]) for trace in data}
    assert told["Lapnet-608, DarkNet-53"] == ([0, 100], 38.2)
    assert told["RetinaNet-800, ResNet-101-FPN"] == ([100, 200], 39.1)
    assert len(told) == 15


def test_each_of_the_papers_detectors_looks_different_and_can_be_seen() -> None:
    data, _ = numbers_of(figures.paper_figure())
    looks = [(trace["marker"]["color"], trace["marker"]["symbol"]) for trace in data]
    assert len(set(looks)) == len(looks)
    for trace in data:
        assert max(contrast(trace["marker"]["color"], "white"), contrast(trace["marker"]["line"]["color"], "white")) > 3
    bars = [(*trace["x"], *trace["y"]) for trace in data]
    for k, (bar, trace) in enumerate(zip(bars, data, strict=True)):  # equal ones: none is hidden by the next
        assert all(
            trace["marker"]["size"] > data[j]["marker"]["size"] for j in range(k + 1, len(data)) if bars[j] == bar
        )


def test_the_plane_has_the_numbers_and_its_menu_every_pair() -> None:
    data, layout = numbers_of(figures.plane(POINTS, title="title"))
    assert [trace["name"] for trace in data] == [*NAMES.values(), "the front"]
    assert data[0]["x"] == charts.rounded([point.ms for point in POINTS[:6]], 3)
    assert data[0]["y"] == figures.percent([point.ap50 for point in POINTS[:6]])
    (menu,) = layout["updatemenus"]
    assert len(menu["buttons"]) == len(study.METRICS) * len(study.AGAINST) == 8
    for button, (metric, against) in zip(menu["buttons"], figures.MAIN, strict=True):
        changes, axes = button["args"]
        own: Any = figures.plane_of(POINTS, metric, against, menu=False)
        assert changes["x"] == [list(trace.x) for trace in own.data]
        assert changes["y"] == [list(trace.y) for trace in own.data]
        assert axes["xaxis.title.text"] == own.layout.xaxis.title.text
        assert axes["xaxis.range"] == list(own.layout.xaxis.range)


def test_a_second_machine_stands_beside_the_first() -> None:
    speeds = study.speeds(LINES, "voc_animals", HERE, "random")
    yours = study.points(LINES, machine=Machine("yours", 4), timed=speeds)
    data, _ = numbers_of(figures.plane([*POINTS, *yours]))
    assert len(data) == 2 * 8
    assert data[7]["name"] == "LapNet, yours"
    assert "[yours, 4 threads]" in figures.described([*POINTS, *yours])
    assert data[7]["line"]["dash"] == "dash"
    assert data[7]["x"] == charts.rounded([1.2 * x for x in [point.ms for point in POINTS[:6]]], 3)


SOME = study.points([line for line in LINES if line["method"] in ("lapnet", "fcos") and line["size"] != 224])
MAKES = {
    "paper": lambda _: figures.paper_figure(),
    "plane": lambda found: figures.plane(found, "ap75", "batch", "title", intervals=True),
    "sizes": lambda found: figures.over_sizes(found, "ap75"),
    "clock": figures.clock,
}


@pytest.mark.slow
@pytest.mark.parametrize("make", MAKES.values(), ids=list(MAKES))
@pytest.mark.parametrize("found", [POINTS, SOME, SOME[:1]], ids=["all", "some", "one"])
def test_every_chart_is_light_and_the_same_twice(make: Any, found: list[Point]) -> None:
    one, two = make(found)._repr_mimebundle_()[0], make(found)._repr_mimebundle_()[0]
    assert one[charts.PLOTLY] == two[charts.PLOTLY]
    assert one["text/plain"]
    assert len(json.dumps(one[charts.PLOTLY])) < 30_000
    assert one["image/png"].startswith(b"\x89PNG")


def test_texts_have_a_line_for_each_that_was_measured() -> None:
    text = figures.described(SOME)
    assert [line.split("  ")[0] for line in text.splitlines()[1:]] == ["LapNet", "LapNet, light", "FCOS"]
    assert text.count("*") == len(study.front(SOME))
    assert "12: 43.4*" in figures.described(POINTS)
    assert len(figures.timed(SOME).splitlines()) == 1 + len(SOME)
    speeds = [point.speed for point in SOME]
    assert figures.speeds_text(speeds).splitlines()[0].split() == [
        "ms",
        "an",
        "image",
        "128",
        "160",
        "192",
        "256",
        "320",
    ]
    shares = figures.shares(POINTS).splitlines()
    assert len(shares) == 1 + len({p.label for metric in study.METRICS for p in study.front(POINTS, metric)})
    assert shares[1].split() == ["LapNet", "128", "100%", "100%"]
    beside = figures.beside_table_3(study.at_size(POINTS))
    assert "Lapnet-608, DarkNet-53" in beside
    assert beside.splitlines()[-7].split() == ["LapNet", "18.8", "43.4", "18.8"]
    classes = figures.beside_table_1(study.at_size(SOME), ("cat", "sheep"))
    assert classes.splitlines()[-1].split() == ["FCOS", "35.4", "22.8", "29.1"]


@pytest.mark.slow
def test_the_panel_at_the_ends_of_its_controls() -> None:
    lines = [*LINES, *(line | {"machine": "fast", "ms": line["ms"] / 9} for line in LINES if line["kind"] == "speed")]
    panel = panels.plane_panel(lines)
    values = {name: [value for _, value in control._options_full] for name, control in panel.controls.items()}
    assert [len(options) for options in values.values()] == [2, 2, 4, 4]
    said = drive(panel, values)
    assert all("\non the front, of " in text for text in said.values())
    most = max((text for text in said.values()), key=len)
    assert len(most.splitlines()) <= 9, "higher than the controls beside it"
    assert max(map(len, most.splitlines())) <= 75
    assert len({said["against", value] for value in values["against"]}) == 4
    assert len({said["who", value] for value in values["who"]}) == 4
    assert len({said["place", value] for value in values["place"]}) == 2
    for state in panel.states:
        panel.show(state)
        assert panel.error == ""
        assert panel.state == state


def test_the_machine_is_in_the_menu_where_there_are_two() -> None:
    """Its name is long, and would be cut there."""
    menu = panels.plane_panel(LINES).controls["place"]
    assert [name for name, _ in menu._options_full] == ["voc_animals"]
    assert menu.value == "voc_animals; a machine, 2 threads"
    other = [line | {"machine": "fast"} for line in LINES if line["kind"] == "speed"]
    menu = panels.plane_panel([*LINES, *other]).controls["place"]
    assert [name for name, _ in menu._options_full] == ["voc_animals; a machine", "voc_animals; fast"]
    other = [line | {"threads": 1} for line in LINES if line["kind"] == "speed"]
    menu = panels.plane_panel([*LINES, *other]).controls["place"]
    assert [name for name, _ in menu._options_full][1] == "voc_animals; a machine, 1 thread"


def test_a_machine_is_called_by_what_tells_it_apart() -> None:
    assert str(Machine("Intel(R) Xeon(R) Processor, 2 cores", 2)) == "Intel Xeon, 2 threads"
    assert Machine("NVIDIA H100 80GB HBM3", 1).short == "H100"


# Exercises


def pareto(times: Sequence[float], aps: Sequence[float]) -> list[bool]:
    return study.unbeaten(times, aps)


def fair(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return median(a / b for a, b in zip(ours[1:], theirs[1:], strict=True))


FOUND = study.points(RECORDED)
BUDGET = median(point.ms for point in FOUND)
AFFORDABLE = [point for point in FOUND if point.ms <= BUDGET]
GIVEN: dict[str, dict[str, Any]] = {"pareto": {}, "fair": {}, "budget": {"points": FOUND, "budget": BUDGET}}
RIGHT: dict[str, Any] = {
    "pareto": pareto,
    "fair": fair,
    "budget": max(AFFORDABLE, key=lambda point: point.ap75).label,
}


@pytest.mark.parametrize("name", EXERCISES)
def test_right_answers_pass(name: str) -> None:
    assert judge(name, RIGHT[name], **GIVEN[name]).done is True


def test_other_right_answers_pass() -> None:
    assert judge("pareto", lambda t, a: np.array(pareto(t, a))).done is True
    assert judge("pareto", lambda t, a: [int(x) for x in pareto(t, a)]).done is True
    assert judge("fair", lambda a, b: torch.tensor(fair(a, b), dtype=torch.float64)).done is True
    for of_a_tie in (torch.median, lambda ratios: ratios.sort().values[len(ratios) // 2]):
        assert (
            judge("fair", lambda a, b, middle=of_a_tie: middle(torch.tensor(a[1:]) / torch.tensor(b[1:]))).done is True
        )
    assert judge("budget", max(AFFORDABLE, key=lambda point: point.ap75), **GIVEN["budget"]).done is True


@pytest.mark.parametrize("name", EXERCISES)
def test_a_stub_is_not_yet_done(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    check_stub(partial(check, name, **GIVEN[name]), capsys)


def changes_its_input(a: Any, *_: Any) -> Any:
    a[0] = 1e9
    return a


def fails(*_: Any) -> Any:
    raise KeyError("nothing here")


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize(
    "answer",
    [
        1, "cat", {}, object(), [None], float("nan"), {"cat"}, print, len, fails, changes_its_input, lambda: None,
        lambda *given: "x", lambda *given: (1, 2, 3), lambda *given: math.nan, type, lambda t, a: list(range(len(t))),
    ],
)  # fmt: skip
def test_anything_at_all_gets_a_sentence(name: str, answer: Any) -> None:
    verdict = judge(name, answer, **GIVEN[name])
    assert verdict.done is False
    assert str(verdict).startswith("Not quite: ")
    assert "Traceback" not in str(verdict)


@pytest.mark.parametrize(("wrong", "why"), WRONG_FRONTS, ids=[why[:40] for _, why in WRONG_FRONTS])
def test_wrong_fronts_are_told_apart(wrong: Any, why: str) -> None:
    assert why in str(judge("pareto", wrong))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda t, a: [all(x <= y for y in t) for x in t], "and yours"),
        (lambda t, a: [k for k, stays in enumerate(pareto(t, a)) if stays], "are these positions?"),
        (lambda t, a: [t[0] < x or pareto(t, a)[k] for k, x in enumerate(t)], "and yours"),
        (lambda t, a: t.sort() or pareto(t, a), "changes its arguments"),
    ],
)
def test_other_wrong_fronts_get_their_points_shown(answer: Any, why: str) -> None:
    assert why in str(judge("pareto", answer))


def test_the_planes_tell_the_wrong_ones_from_each_other() -> None:
    told = [tuple(tuple(wrong(t, a)) for t, a in PLANES.values()) for wrong, _ in WRONG_FRONTS]
    right = tuple(tuple(pareto(t, a)) for t, a in PLANES.values())
    assert len({*told, right}) == len(WRONG_FRONTS) + 1


@pytest.mark.parametrize(("wrong", "why"), WRONG_RATIOS, ids=[why[:40] for _, why in WRONG_RATIOS])
def test_wrong_ratios_are_told_apart(wrong: Any, why: str) -> None:
    assert why in str(judge("fair", wrong))


def test_the_clocks_are_those_of_a_busy_machine() -> None:
    for ours, theirs in CLOCKS[:3]:
        assert fair(ours, theirs) == pytest.approx(1.5, rel=0.1)
        assert abs(sum(ours) / sum(theirs) - 1.5) > 0.15


def test_wrong_choices_are_told_apart() -> None:
    given = {"points": POINTS, "budget": 16.0}
    affordable = [point for point in POINTS if point.ms <= 16]
    assert judge("budget", max(affordable, key=lambda point: point.ap75).label, **given).done is True
    assert "more than you have" in str(judge("budget", max(POINTS, key=lambda point: point.ap75).label, **given))
    assert "best at AP50" in str(judge("budget", max(affordable, key=lambda point: point.ap50).label, **given))
    assert "higher AP75" in str(judge("budget", min(affordable, key=lambda point: point.ap75).label, **given))
    assert "no point is called 'LapNet'" in str(judge("budget", "LapNet", **given))


def test_the_solutions_in_the_notebook_are_right() -> None:
    known = {"median": median, "points": FOUND, "budget": BUDGET}
    check_solutions("10_speed_accuracy", EXERCISES, judge, GIVEN.__getitem__, known.copy)
