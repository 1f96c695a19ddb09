"""Notebook 06: its study against slow loops and the library, its record, its panels, figures and exercises."""

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawing import drive
from exercises import check_solutions
from matplotlib.figure import Figure

from lapnet_core.data import Detection, Target
from lapnet_core.evaluate import coco_map_from_targets, voc_map
from lapnet_core.evaluate.doubts import doubts
from lapnet_core.evaluate.voc import in_order
from lapnet_core.evaluate.voc import judge as judge_all
from lapnet_core.scenes import SCENE_CLASSES
from lapnet_lab import mine
from lapnet_lab.lessons.detections import figures, mistakes, panels, recording, study
from lapnet_lab.lessons.detections.exercises import EXERCISES, check, judge
from lapnet_lab.static import figure_png

CLASSES = len(SCENE_CLASSES)


@cache
def targets() -> list[Target]:
    scenes = study.recorded_scenes()
    return [scenes.target(k) for k in range(len(scenes))]


@cache
def kept() -> list[Detection]:
    return study.suppressed(study.recorded())


def crowd(seed: int, images: int = 6) -> tuple[list[Detection], list[Target]]:
    """Detections near the objects and elsewhere, of two classes; every second image has a difficult object."""
    generator = torch.Generator().manual_seed(seed)
    found, wanted = [], []
    for k in range(images):
        count = k % 5
        low = torch.rand(count, 2, generator=generator) * 40
        boxes = torch.cat((low, low + 8 + 20 * torch.rand(count, 2, generator=generator)), 1)
        labels = torch.randint(0, 2, (count,), generator=generator)
        difficult = torch.zeros(count, dtype=torch.bool)
        difficult[:1] = k % 2 == 0
        target = {"boxes": boxes, "labels": labels, "difficult": difficult, "image_id": k, "original_size": (80, 80)}
        wanted.append(Target(**target))  # pyright: ignore[reportArgumentType]
        source = torch.randint(0, max(1, count), (12,), generator=generator)
        moved = boxes[source] if count else torch.tensor([[5.0, 5, 30, 30]]).repeat(12, 1)
        moved = moved + 4 * torch.randn(12, 4, generator=generator)
        moved[:, 2:] = torch.maximum(moved[:, 2:], moved[:, :2] + 1)
        order = torch.rand(12, generator=generator).sort(descending=True).values
        own = torch.randint(0, 2, (12,), generator=generator)
        found.append(Detection(boxes=moved, scores=order, labels=own))
    return found, wanted


# ---- the record -----------------------------------------------------------------------------------------------------


def test_the_record_is_read_as_it_was_written() -> None:
    found = study.recorded()
    assert len(found) == study.SCENES
    assert recording.lines(found) == study.RECORDED.read_text(encoding="utf-8").splitlines()
    for one in found:
        assert bool((one["scores"][:-1] >= one["scores"][1:]).all())
        for label in one["labels"].unique().tolist():
            own = one["scores"][one["labels"] == label]
            assert len(own.unique()) == len(own)  # what is equal would be suppressed in any order


def test_scores_that_round_alike_keep_their_order() -> None:
    boxes = torch.tensor([[0.04, 0, 9.96, 10]]).repeat(4, 1)
    one = Detection(boxes=boxes, scores=torch.tensor([1.0, 0.99999, 0.99998, 0.5]), labels=torch.zeros(4).long())
    (line,) = recording.lines([one])
    assert json.loads(line)["scores"] == [1.0, 0.9999, 0.9998, 0.5]
    assert json.loads(line)["boxes"][0] == [0.0, 0.0, 10.0, 10.0]


def test_a_scene_without_detections_is_read(tmp_path: Path) -> None:
    file = tmp_path / "few.jsonl"
    file.write_text('{"scene":3,"class":"dog","scores":[0.5],"boxes":[[1,2,3,4]]}\n')
    found = study.recorded(file)
    assert [len(one["scores"]) for one in found] == [0] * 3 + [1] + [0] * (study.SCENES - 4)
    assert found[3]["labels"].tolist() == [SCENE_CLASSES.index("dog")]


@pytest.mark.slow
def test_the_detector_still_finds_what_was_recorded() -> None:
    """On two scenes, but for the last digits: those of the highest scores, box by box."""
    scenes = study.recorded_scenes()
    scenes.length = 2
    for now, then in zip(recording.detected(scenes), study.recorded(), strict=False):
        assert len(now["scores"]) == pytest.approx(len(then["scores"]), rel=0.02)
        for label in then["labels"].unique().tolist():
            new, old = (study.rows(one, one["labels"] == label) for one in (now, then))
            best = old["scores"] > 0.5
            if best.any():
                nearest = torch.cdist(old["boxes"][best], new["boxes"]).min(1)
                assert float(nearest.values.max()) < 0.3
                assert torch.allclose(old["scores"][best], new["scores"][nearest.indices], atol=0.01)


# ---- the study ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_an_image_is_judged_as_the_library_judges_all(seed: int) -> None:
    found, wanted = crowd(seed)
    flat, objects = in_order(found, wanted, 2)
    hit, counted = judge_all(flat, objects, 2, 0.5)
    told = {(i, c, s): (bool(h), bool(n)) for i, c, s, h, n in
            zip(flat.images, flat.labels, flat.values, hit, counted, strict=True)}  # fmt: skip
    for k, (one, target) in enumerate(zip(found, wanted, strict=True)):
        judged = study.judge(one, target)
        for d, (label, score) in enumerate(zip(one["labels"].tolist(), one["scores"].double().tolist(), strict=True)):
            assert (bool(judged.hit[d]), bool(judged.counted[d])) == told[k, label, score]
        assert int(judged.found.sum()) == int(judged.hit.sum())
        assert sorted(judged.best[judged.hit].tolist()) == judged.found.nonzero().flatten().tolist()


@pytest.mark.parametrize("seed", range(4))
def test_three_average_precisions_are_the_library_s(seed: int) -> None:
    found, wanted = crowd(seed)
    by_area, by_points = (voc_map(found, wanted, 2, metric=metric) for metric in ("area", "11point"))
    by_coco = coco_map_from_targets(found, wanted, 2)
    for c in range(2):
        area, eleven, _ = study.three_aps(study.ranking(found, wanted, c))
        assert area == pytest.approx(by_area.ap[c].item(), abs=1e-9)
        assert eleven == pytest.approx(by_points.ap[c].item(), abs=1e-9)
        ious = [study.ranking(found, wanted, c, iou, "coco") for iou in panels.IOUS]
        own = np.mean([study.three_aps(one)[2] for one in ious])
        assert own == pytest.approx(by_coco.class_ap[c].item(), abs=1e-6)


def test_the_recorded_detections_have_the_library_s_numbers() -> None:
    by_area = voc_map(kept(), targets(), CLASSES)
    assert study.mean_ap(kept(), targets()) == by_area.mean_ap
    assert study.counts(targets()) == by_area.num_objects.tolist()
    for c in range(CLASSES):
        ranking = study.ranking(kept(), targets(), c)
        assert study.three_aps(ranking)[0] == pytest.approx(by_area.ap[c].item(), abs=1e-9)
        assert mine.average_precision(ranking.hits, ranking.objects) == pytest.approx(by_area.ap[c].item(), abs=1e-6)
        precision, recall = ranking.curve()
        assert torch.equal(precision, by_area.precision[c])
        assert torch.equal(recall, by_area.recall[c])


def test_at_points_of_recall_by_a_loop() -> None:
    precision = torch.tensor([1, 0.5, 2 / 3, 0.5], dtype=torch.float64)
    recall = torch.tensor([0.25, 0.25, 0.5, 0.5], dtype=torch.float64)
    assert study.envelope(precision).tolist() == [1, 2 / 3, 2 / 3, 0.5]
    found = study.at_recalls(precision, recall, study.ELEVEN).tolist()
    for k, value in enumerate(found):
        reached = [p for p, r in zip(precision.tolist(), recall.tolist(), strict=True) if r >= k / 10]
        assert value == max(reached, default=0)
    nothing = study.Ranking(torch.zeros(0), torch.zeros(0, dtype=torch.bool), 0)
    assert study.three_aps(nothing) == (0, 0, 0)
    assert nothing.at(0.5) == (0, 0)


def test_a_class_is_matched_with_what_the_learner_writes() -> None:
    for c in range(CLASSES):
        scores, hits = [], []
        for one, target in zip(kept(), targets(), strict=True):
            own = study.of_class(one, target, c)
            scores.append(own.scores[~own.ignored])
            hits.append(mine.match(own.ious, 0.5)[~own.ignored])
        order = torch.cat(scores).argsort(descending=True, stable=True)
        ranking = study.ranking(kept(), targets(), c)
        assert torch.equal(torch.cat(hits)[order], ranking.hits)
        assert torch.equal(torch.cat(scores)[order], ranking.scores)


def test_suppression_and_what_is_shown() -> None:
    one = study.recorded()[24]
    left = study.suppressed([one])[0]
    for label in one["labels"].unique().tolist():
        mask = one["labels"] == label
        rows = mine.nms(one["boxes"][mask], one["scores"][mask], study.NMS)
        assert torch.equal(one["boxes"][mask][rows], left["boxes"][left["labels"] == label])
    assert bool((study.above([left], 0.3)[0]["scores"] >= 0.3).all())
    assert len(study.above([left], 0.3)[0]["scores"]) == int((left["scores"] >= 0.3).sum())


def test_who_stands_in_a_crowd() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10], [0, 0, 10, 10], [50, 50, 60, 60]])
    target: Any = {"boxes": boxes, "labels": torch.tensor([0, 0, 1, 0]), "difficult": torch.zeros(4, dtype=torch.bool)}
    assert study.nearness(target).tolist() == pytest.approx([1 / 3, 1 / 3, 0, 0])
    assert study.group_sizes([target]) == {"alone": 2, "side by side": 0, "in a crowd": 2}
    empty: Any = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long(), "difficult": torch.zeros(0).bool()}
    assert study.nearness(empty).tolist() == []


def test_what_suppression_does_to_groups() -> None:
    """By a loop over images and objects."""
    score, told = 0.3, study.suppression(study.recorded(), targets(), 0.4, 0.3)
    left = study.suppressed(study.recorded(), 0.4)
    found: dict[str, list[bool]] = {name: [] for name in study.GROUPS}
    for one, target in zip(left, targets(), strict=True):
        judged, near = study.judge(study.above([one], score)[0], target), study.nearness(target).tolist()
        for n, distance in enumerate(near):
            if not target["difficult"][n]:
                (group,) = [name for name, (low, high) in study.GROUPS.items() if low <= distance < high]
                found[group].append(bool(judged.found[n]))
    assert told.shares == pytest.approx({name: np.mean(own) for name, own in found.items()})
    assert {name: len(own) for name, own in found.items()} == study.group_sizes(targets())
    assert told.mean_ap == study.mean_ap(left, targets())


BOXES = torch.tensor([[0.0, 0, 40, 60], [60, 0, 100, 60], [120, 0, 160, 60], [200, 0, 240, 60]])
TARGET: Any = {
    "boxes": BOXES, "labels": torch.tensor([0, 0, 1, 0]), "difficult": torch.tensor([False, False, False, False]),
    "image_id": 0, "original_size": (64, 256),
}  # fmt: skip
FOUND = Detection(
    boxes=torch.tensor([[2.0, 0, 42, 60], [-4, 2, 38, 62], [76, 0, 116, 60], [121, 3, 158, 60], [300, 0, 340, 60]]),
    scores=torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5]),
    labels=torch.tensor([0, 0, 0, 0, 1]),
)


def test_each_kind_of_mistake_and_its_repair() -> None:
    wrong = mistakes.mistakes(FOUND, TARGET)
    assert wrong.kind == ["", "double", "position", "class", "background"]
    assert wrong.object_index.tolist() == [0, 0, 1, 2, -1]
    assert wrong.missed.tolist() == [False, False, False, True]
    assert set(mistakes.KINDS) == {*filter(None, wrong.kind), "missed"}

    def after(kind: str) -> tuple[list[str], list[int], list[bool]]:
        (one,), (target,) = mistakes.repaired([FOUND], [TARGET], kind)
        return mistakes.mistakes(one, target).kind, one["labels"].tolist(), target["difficult"].tolist()

    none = [False] * 4
    assert after("double") == (["", "position", "class", "background"], [0, 0, 0, 1], none)
    assert after("position") == (["", "double", "", "class", "background"], [0, 0, 0, 0, 1], none)
    assert after("class") == (["", "double", "position", "", "background"], [0, 0, 0, 1, 1], none)
    assert after("background") == (["", "double", "position", "class"], [0, 0, 0, 0], none)
    assert after("missed")[2] == [False, False, False, True]
    costs = mistakes.costs([FOUND], [TARGET])
    assert {kind: cost.count for kind, cost in costs.items()} == dict.fromkeys(mistakes.KINDS, 1)
    assert all(cost.gain >= 0 for cost in costs.values())


def test_a_repair_gives_an_object_no_second_hit() -> None:
    twice = Detection(
        boxes=torch.tensor([[16.0, 0, 56, 60], [17, 0, 57, 60]]), scores=torch.tensor([0.9, 0.8]),
        labels=torch.tensor([0, 0]),
    )  # fmt: skip
    (one,), _ = mistakes.repaired([twice], [TARGET], "position")
    assert one["boxes"].tolist() == [BOXES[0].tolist()]
    assert mistakes.mistakes(twice, TARGET).missed.tolist() == [False, True, True, True]


def test_images_without_objects_or_detections_are_judged() -> None:
    nothing: Any = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long(), "difficult": torch.zeros(0).bool()}
    assert mistakes.mistakes(FOUND, nothing).kind == ["background"] * 5
    assert not study.judge_coco(FOUND, nothing)[0].any()
    none = study.rows(FOUND, torch.zeros(5, dtype=torch.bool))
    assert mistakes.mistakes(none, TARGET).missed.tolist() == [True] * 4
    assert len(study.judge_coco(none, TARGET)[0]) == 0
    assert study.of_class(FOUND, nothing, 0).ignored.tolist() == [False] * 4


def test_how_an_average_precision_spreads() -> None:
    told = study.spreads(kept(), targets())
    assert list(told) == [*SCENE_CLASSES, "mean"]
    assert told["mean"].ap == pytest.approx(study.mean_ap(kept(), targets()))
    assert [one.objects for one in told.values()] == [*study.counts(targets()), sum(study.counts(targets()))]
    assert all(one.low <= one.ap <= one.high for one in told.values())


def test_what_a_score_means() -> None:
    one = study.Ranking(torch.tensor([1.0, 0.95, 0.9, 0.5, 0.3]), torch.tensor([True, True, False, False, True]), 4)
    told = study.precision_by_score(one)
    assert [count for count, _ in told] == [0, 1, 1, 0, 3]
    assert [share for count, share in told if count] == pytest.approx([1, 0, 2 / 3])
    assert math.isnan(told[0][1])


# ---- panels ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_threshold_panel_at_all_its_ends() -> None:
    scenes = study.recorded_scenes()
    panel = panels.threshold_panel({k: scenes[k] for k in (24, 12)}, kept())
    said = drive(panel, {"scene": [24, 12], "score": [0.01, 0.3, 0.9]})
    one = kept()[24]
    assert said["score", 0.01].startswith(f"score at least 0.01: {len(one['scores'])} boxes, ")
    counts = [int(said["score", score].split(": ")[1].split()[0]) for score in (0.01, 0.3, 0.9)]
    assert counts == sorted(counts, reverse=True)
    assert "of 12 objects missed" in said["scene", 24]
    for state in panel.states:
        panel.show(state)
        assert panel.state == state
        assert panel.error == ""


@pytest.mark.slow
def test_the_suppression_panel_at_all_its_ends() -> None:
    panel = panels.suppression_panel(study.recorded_scenes()[34], 34, study.recorded(), targets())
    said = drive(panel, {"threshold": [0.1, 0.5, 0.8]})
    assert len(set(said.values())) == 3
    expected = study.suppression(study.recorded(), targets(), 0.8, 0.3)
    assert f"{expected.doubles} doubles; mAP {expected.mean_ap:.3f}" in said["threshold", 0.8]
    for state in panel.states:
        panel.show(state)
        assert panel.error == ""


@pytest.mark.slow
def test_the_curve_panel_at_all_its_ends() -> None:
    panel = panels.curve_panel(kept(), targets())
    said = drive(panel, {"name": list(SCENE_CLASSES), "iou": [0.5, 0.95], "score": [0.01, 0.9]})
    by_area, by_points = (voc_map(kept(), targets(), CLASSES, metric=metric) for metric in ("area", "11point"))
    for c, name in enumerate(SCENE_CLASSES):
        assert f"area {by_area.ap[c]:.3f}, 11 points {by_points.ap[c]:.3f}" in said["name", name]
    assert "1 right, 205 false alarms; precision 0.00, recall 0.01" in said["iou", 0.95]
    panel.controls["name"].value, panel.controls["score"].value = "dog", 0.9
    assert panel.error == ""
    assert "precision none" in panel.describe(panel.numbers)  # nothing is above
    for state in panel.states:
        panel.show(state)
        assert panel.error == ""


# ---- figures --------------------------------------------------------------------------------------------------------

IMAGE = torch.randint(0, 255, (3, 64, 256), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
COSTS = {kind: mistakes.Cost(k, k / 10) for k, kind in enumerate(mistakes.KINDS)}
SPREADS = {"person": study.Spread(0.5, 0.4, 0.6, 30), "mean": study.Spread(0.5, 0.5, 0.5, 30)}
MEANING = {"person": [(0, math.nan), (3, 0.5), (12, 0.75), (1, 1.0), (40, 0.9)]}
HITS = study.Ranking(torch.tensor([0.9, 0.8, 0.7, 0.6]), torch.tensor([True, False, True, False]), 3)
NOTHING = study.Ranking(torch.zeros(0), torch.zeros(0, dtype=torch.bool), 2)
CASES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "steps": (figures.steps, (IMAGE, [FOUND, FOUND], ["a", "b"])),
    "scene": (figures.judged_scene, (IMAGE, TARGET, FOUND, study.judge(FOUND, TARGET), ["a", "b"], 0.65)),
    "crowd": (
        figures.crowd,
        (IMAGE, TARGET, FOUND, study.judge(FOUND, TARGET), [0.3, 0.5],
         [study.Suppression({"alone": 0.5, "side by side": 0.4, "in a crowd": 0.3}, 1, 0.4)] * 2, 0.5),
    ),
    "by hand": (figures.by_hand, (BOXES, [False, False, True, False], FOUND["boxes"], FOUND["scores"])),
    "curves": (figures.curves, (HITS, 0.75, "a")),
    "no curve": (figures.curves, (NOTHING, 0.75, "a")),
    "repairs": (figures.repairs, (COSTS,)),
    "intervals": (figures.intervals, (SPREADS,)),
    "meaning": (figures.meaning_of_scores, (MEANING,)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_figure_renders(name: str) -> None:
    draw, arguments = CASES[name]
    figure = draw(*arguments)
    assert isinstance(figure, Figure)
    assert figure.get_figwidth() <= 9.2
    assert len(figure_png(figure)) > 2000


def test_figures_show_the_numbers_that_they_are_given() -> None:
    left, right = figures.repairs(COSTS).axes
    assert [bar.get_width() for bar in left.patches] == [0, 1, 2, 3, 4]
    assert [bar.get_width() for bar in right.patches] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    left, _ = figures.curves(HITS, 0.75, "a").axes
    lines = {line.get_label(): line for line in left.lines}
    assert list(lines["precision"].get_ydata()) == pytest.approx([1, 0.5, 2 / 3, 0.5])
    assert list(lines["best from here on"].get_ydata()) == pytest.approx([1, 1, 2 / 3, 2 / 3, 0.5])
    assert lines["at the threshold"].get_xydata().tolist() == [[pytest.approx(1 / 3), 0.5]]
    picture, scores = figures.judged_scene(*CASES["scene"][1]).axes
    assert [len(line.get_xdata()) for line in scores.lines[:4]] == [3, 1, 1, 0]  # wrong and right, class by class
    assert len(picture.patches) == 2 * (3 + 3)  # a line and its halo of three missed, two false alarms and a hit


# ---- exercises ------------------------------------------------------------------------------------------------------


def given(name: str) -> dict[str, Any]:
    return {"found": kept(), "targets": targets()} if name == "cut" else {}


def hidden() -> float:
    return study.mean_ap(study.above(kept(), 0.3), targets())


@pytest.mark.parametrize("name", EXERCISES)
def test_right_answers_pass_and_stubs_wait(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    right = {"closest": 1 / 3, "cut": hidden()}[name]
    assert judge(name, right, **given(name)).done is True
    assert judge(name, round(right, 3), **given(name)).done is True
    check(name, None, **given(name))
    assert capsys.readouterr().out.startswith("Not yet: ")


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize("answer", ["x", [], {}, object(), torch.zeros(3), -5, 1e9, float("nan"), (1, 2), True])
def test_anything_at_all_gets_a_sentence(name: str, answer: Any) -> None:
    verdict = judge(name, answer, **given(name))
    assert verdict.done is False
    assert len(verdict.message) > 15


def test_wrong_answers_are_told_apart() -> None:
    for answer, reason in (
        (0.5, "more than one box's area"), (2 / 3, "what they share"), (33.3, "no per cent"), (7, "do not touch"),
        (0.2, "IoU is 0.67"),
    ):  # fmt: skip
        assert reason in judge("closest", answer).message
    whole = study.mean_ap(kept(), targets())
    eleven = voc_map(study.above(kept(), 0.3), targets(), CLASSES, metric="11point").mean_ap
    weak = [study.rows(one, one["scores"] < 0.3) for one in kept()]
    for answer, reason in (
        (whole, "anything hidden"), (hidden() - whole, "the difference"), (100 * hidden(), "per cent"),
        (eleven, "11 points"), (study.mean_ap(weak, targets()), "hid the strong"), (0.3, "is not the mAP"),
    ):  # fmt: skip
        assert reason in judge("cut", answer, **given("cut")).message, answer


def test_whoever_hides_in_found_itself_is_told_before_later_cells_read_it() -> None:
    verdict = judge("cut", hidden(), found=study.above(kept(), 0.3), targets=targets())
    assert verdict.done is False
    assert "another name" in verdict.message


def test_the_solutions_in_the_notebook_are_right() -> None:
    def known() -> dict[str, Any]:
        from lapnet_core import evaluate

        return {"study": study, "evaluate": evaluate, "found": kept(), "targets": targets()}

    check_solutions("06_detections", EXERCISES, judge, given, known)


def test_the_functions_of_the_lesson_are_asked_for() -> None:
    assert list(EXERCISES.functions) == ["nms", "match", "average_precision"]
    for name, exercise in EXERCISES.functions.items():
        assert judge(name, exercise.solution).done is True
        assert judge(name, None).done is None


def test_forgotten_objects_are_missing_and_found_again() -> None:
    lacking, forgotten = study.forgetful(targets(), 0.2, 0)
    again, _ = study.forgetful(targets(), 0.2, 0)
    for before, after, twice, gone in zip(targets(), lacking, again, forgotten, strict=True):
        assert torch.equal(after["boxes"], twice["boxes"])
        assert len(after["labels"]) + len(gone) == len(before["labels"])
        rest = {tuple(box) for box in after["boxes"].tolist()} | {tuple(box) for box in gone.tolist()}
        assert rest == {tuple(box) for box in before["boxes"].tolist()}
        assert int(after["difficult"].sum()) == int(before["difficult"].sum())
        assert len(after["labels"]) == len(after["difficult"]) == len(after["boxes"])
    assert study.mean_ap(kept(), lacking) < study.mean_ap(kept(), targets()) - 0.05
    doubted = doubts(kept(), lacking, CLASSES, sure=0.7)
    overlooked = [one for one in doubted if one.annotated is None]
    assert len(overlooked) / 2 < study.found_again(overlooked, forgotten) <= len(overlooked)
    assert study.found_again(overlooked, [gone[:0] for gone in forgotten]) == 0
    nothing, none = study.forgetful(targets(), 0.0, 0)
    assert sum(map(len, none)) == 0
    assert study.mean_ap(kept(), nothing) == study.mean_ap(kept(), targets())
