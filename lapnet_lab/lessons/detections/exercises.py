"""Exercises of notebook 06."""

from collections.abc import Sequence
from typing import Any

from lapnet_core.data import Detection, Target
from lapnet_core.evaluate import voc_map
from lapnet_core.scenes import SCENE_CLASSES
from lapnet_lab.checks import Check, Exercises
from lapnet_lab.exercise import Exercise, numbers
from lapnet_lab.functions import AVERAGE_PRECISION, MATCH, NMS
from lapnet_lab.lessons.detections.study import above, mean_ap, rows

CUT = 0.3
"""Score below which the exercise hides a detection."""


def _closest(answer: Any) -> str:
    share = numbers(answer, (), "one number, a share of the width").item()
    if abs(share - 1 / 3) < 0.004:
        return ""
    if abs(share - 100 / 3) < 0.4:
        return "give a share of the width, between 0 and 1, and no per cent."
    if abs(share - 0.5) < 0.004:
        return "with half a width between them they share half of each box; but the union has more than one box's area."
    if abs(share - 2 / 3) < 0.004:
        return "that is what they share; how far apart are they then?"
    if not 0 <= share <= 1:
        return "two boxes that are a width apart do not touch; it has to be less, and not negative."
    iou = (1 - share) / (1 + share)
    return f"at a distance of {share:.3g} widths their IoU is {iou:.2f}; you want 0.50."


def _cut(answer: Any, *, found: Sequence[Detection], targets: Sequence[Target]) -> str:
    value = numbers(answer, (), "one number, the mAP").item()
    hidden, whole = above(found, CUT), mean_ap(found, targets)
    truth = mean_ap(hidden, targets)

    if all(bool((one["scores"] >= CUT).all()) for one in found):
        return (
            "`found` itself has lost all scores below .3, and later cells need them: run the cell of section 1 in "
            "which it is made again, and give what is left of it another name."
        )

    def is_(other: float) -> bool:
        return abs(value - other) <= 0.00051

    if is_(truth):
        return ""
    if is_(100 * truth) or abs(value - 100 * truth) <= 0.051:
        return "this is in per cent; the library's mAP lies between 0 and 1."
    if is_(whole):
        return "this is the mAP of all detections; is anything hidden?"
    if is_(truth - whole) or is_(whole - truth):
        return "this is the difference; what is asked for is the mAP that is left."
    if is_(voc_map(hidden, targets, len(SCENE_CLASSES), metric="11point").mean_ap):
        return "this is the mean of 11 points; take the area, voc_map's default."
    if is_(mean_ap([rows(one, one["scores"] < CUT) for one in found], targets)):
        return "you kept the weak ones, and hid the strong."
    return "this is not the mAP of what has a score of at least .3."


EXERCISES = Exercises(
    {
        "closest": Exercise(
            "replace None by a share of the width.",
            "whoever stands closer than a third of a width to a better one is removed, however well the box fits.",
            "two boxes of width w, d apart, share w - d of their width, and together they are w + d wide.",
            _closest,
        ),
        "cut": Exercise(
            "replace None by the mAP of what has a score of at least .3.",
            "hiding changes nobody's rank, and still costs: the curve ends earlier. Measure before you hide.",
            "study.above(found, 0.3) hides; evaluate.voc_map(...).mean_ap measures.",
            _cut,
            digits=3,
        ),
    },
    functions=(NMS, MATCH, AVERAGE_PRECISION),
)
check, judge = Check(EXERCISES), EXERCISES.judge
