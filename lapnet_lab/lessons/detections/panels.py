"""Panels of notebook 06: what a score threshold shows, what suppression costs in a crowd, a curve with its areas."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import ipywidgets
from jaxtyping import UInt8
from torch import Tensor

from lapnet_core.bench.table import counted
from lapnet_core.data import Detection, Target
from lapnet_core.scenes import SCENE_CLASSES
from lapnet_lab.lessons.detections import figures
from lapnet_lab.lessons.detections.study import (
    Judged,
    Ranking,
    Suppression,
    above,
    judge,
    ranking,
    rows,
    suppressed,
    suppression,
    three_aps,
)
from lapnet_lab.panel import FigurePanel

SCORES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
"""Of suppression."""
IOUS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
WIDE = {"style": {"description_width": "initial"}, "layout": {"width": "300px"}, "continuous_update": False}
Scene = tuple[UInt8[Tensor, "3 H W"], Target]


def _score(value: float = 0.3) -> ipywidgets.SelectionSlider:
    return ipywidgets.SelectionSlider(options=SCORES, value=value, description="score threshold", **WIDE)


class Shown(NamedTuple):
    """A scene, everything that was found in it, and which score it takes to be shown."""

    number: int
    every: Detection
    judged: Judged
    score: float


def threshold_panel(scenes: dict[int, Scene], found: Sequence[Detection]) -> FigurePanel:
    """Raise and lower the score threshold, and see what is right, what is a false alarm, and what is missed.

    Args:
        scenes: number -> picture and objects, those to choose from.
        found: what was found in every scene, after suppression.
    """

    def compute(scene: int, score: float) -> Shown:
        return Shown(scene, found[scene], judge(found[scene], scenes[scene][1]), score)

    def describe(shown: Shown) -> str:
        own, judged = shown.every["scores"] >= shown.score, shown.judged
        hits, alarms = int((own & judged.hit).sum()), int((own & judged.counted & ~judged.hit).sum())
        objects = int((~scenes[shown.number][1]["difficult"]).sum())
        return (
            f"score at least {shown.score:g}: {int(own.sum())} boxes, {hits} right, {counted(alarms, 'false alarm')}; "
            f"{objects - hits} of {objects} objects missed"
        )

    def draw(shown: Shown):
        image, target = scenes[shown.number]
        return figures.judged_scene(image, target, shown.every, shown.judged, SCENE_CLASSES, shown.score)

    controls = {
        "scene": ipywidgets.Dropdown(options=list(scenes), description="scene", layout={"width": "180px"}),
        "score": _score(),
    }
    states = {"as in pictures": {}, "hide nothing": {"score": 0.01}, "only the sure": {"score": 0.8}}
    return FigurePanel(controls, compute, describe, draw, states)


class Crowded(NamedTuple):
    """What a threshold of suppression leaves of one scene."""

    threshold: float
    found: Detection
    judged: Judged


def suppression_panel(
    scene: Scene, number: int, found: Sequence[Detection], targets: Sequence[Target], score: float = 0.3
) -> FigurePanel:
    """Suppress at other thresholds: one crowd, and the count over all scenes.

    Args:
        number: of the scene in `found`.
        found: before suppression, of all scenes.
        score: the crowd and the counts are shown from this score on.
    """

    @cache
    def results() -> tuple[Suppression, ...]:
        return tuple(suppression(found, targets, threshold, score) for threshold in THRESHOLDS)

    def compute(threshold: float) -> Crowded:
        kept = above(suppressed([found[number]], threshold), score)[0]
        return Crowded(threshold, kept, judge(kept, scene[1]))

    def describe(crowd: Crowded) -> str:
        one, judged = results()[THRESHOLDS.index(crowd.threshold)], crowd.judged
        shares = ", ".join(f"{share:.0%} {name}" for name, share in one.shares.items())
        return (
            f"suppression at {crowd.threshold:g}. This scene: {int(judged.hit.sum())} right, "
            f"{counted(int((judged.counted & ~judged.hit).sum()), 'false alarm')}.\n"
            f"All scenes: found {shares}; {one.doubles} doubles; mAP {one.mean_ap:.3f}"
        )

    def draw(crowd: Crowded):
        return figures.crowd(*scene, crowd.found, crowd.judged, THRESHOLDS, results(), crowd.threshold)

    controls = {
        "threshold": ipywidgets.SelectionSlider(
            options=THRESHOLDS,
            value=0.5,
            description="suppress above an IoU of",
            **WIDE | {"layout": {"width": "420px"}},
        )
    }
    states = {"strict": {"threshold": 0.3}, "usual": {}, "lax": {"threshold": 0.8}}
    return FigurePanel(controls, compute, describe, draw, states)


class Curve(NamedTuple):
    """The ranking of a class at an IoU, and where a score cuts it."""

    name: str
    iou: float
    score: float
    ranking: Ranking


def curve_panel(found: Sequence[Detection], targets: Sequence[Target]) -> FigurePanel:
    """Precision and recall of a class, at any score and any IoU; three average precisions beside them.

    Args:
        found: after suppression, of all scenes.
    """

    @cache
    def ranked(name: str, iou: float) -> Ranking:
        label = SCENE_CLASSES.index(name)
        own = [rows(one, one["labels"] == label) for one in found]
        return ranking(own, targets, label, iou)

    def compute(name: str, iou: float, score: float) -> Curve:
        return Curve(name, iou, score, ranked(name, iou))

    def describe(curve: Curve) -> str:
        hits, alarms = curve.ranking.at(curve.score)
        area, eleven, coco = three_aps(curve.ranking)
        precision = f"{hits / (hits + alarms):.2f}" if hits + alarms else "none"
        return (
            f"{curve.name}, IoU {curve.iou:g}, score {curve.score:g}: {hits} right, {counted(alarms, 'false alarm')}; "
            f"precision {precision}, recall {hits / curve.ranking.objects:.2f}\n"
            f"average precision: area {area:.3f}, 11 points {eleven:.3f}, 101 points {coco:.3f}"
        )

    def draw(curve: Curve):
        title = f"{curve.name.replace('_', ' ')}, right from an IoU of {curve.iou:g}"
        return figures.curves(curve.ranking, curve.score, title)

    controls = {
        "name": ipywidgets.Dropdown(options=list(SCENE_CLASSES), description="class", layout={"width": "200px"}),
        "iou": ipywidgets.SelectionSlider(options=IOUS, value=0.5, description="IoU threshold", **WIDE),
        "score": _score(),
    }
    states = {
        "people": {},
        "people, tight": {"iou": 0.75},
        "buses": {"name": "bus"},
    }
    return FigurePanel(controls, compute, describe, draw, states)
