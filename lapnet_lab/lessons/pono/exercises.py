"""Exercises of notebook 02."""

from typing import Any

import torch
from torch import Tensor

from lapnet_core.boxes import STRIDE
from lapnet_lab.checks import Check, Exercises
from lapnet_lab.exercise import Exercise, numbers
from lapnet_lab.functions import CLUSTERS, IOU, PONO, RESCUE
from lapnet_lab.lessons.pono.study import shifted_object

TOLERANCE = 0.1
"""Pixels by which the answer to "safe_side" may be off."""


def _safe_side(answer: Any) -> str:
    side = numbers(answer, (), "one number, in pixels").item()
    if not 1 <= side <= 1000:
        return f"{side:g} px is not the side of an object."
    if not _seen_in_the_corner(side - TOLERANCE) and _seen_in_the_corner(side + TOLERANCE):
        return ""
    if abs(side - 12) < TOLERANCE:
        return (
            "12 px is right for an object that lies off the centre in x only; the worst place is off in x and in y. "
            "(Or did you lose a square root?)"
        )
    if abs(side - 43.6) < 2 * TOLERANCE:
        return "you took 8 px for the distance; the next centre is never farther than half a cell, 4 px, in x and in y."
    found = shifted_object((side, side), torch.full((1, 2), STRIDE / 2), torch.tensor([[side, side]]))
    return f"at a side of {side:g} px the IoU in the worst place is {found.ao_peak.item():.3f}; you want 0.500."


def _by_hand(answer: Any, objects: Tensor, anchors: Tensor) -> str:
    found = numbers(answer, (len(anchors),), f"the O of {len(anchors)} anchors, a list of numbers")
    ious = IOU.solution(objects, anchors)
    owner = CLUSTERS.solution(ious)
    off = ((found - PONO.solution(ious, owner)).abs() > 0.01).nonzero().flatten().tolist()
    if not off:
        return ""
    if bool(((found - ious.amax(0)).abs() <= 0.01).all()):
        return "these are the IoUs of the anchors with their objects; by what does eq. 1 divide them?"
    first = off[0]
    if owner[first] < 0:
        return f"anchor {first} overlaps nobody: what is its O?"
    return (
        f"anchor {first} is the first that is off: with which object is its IoU largest, and which anchor of this "
        "object has the largest IoU?"
    )


def _seen_in_the_corner(side: float) -> bool:
    """Whether AO sees a square whose centre is a corner of cells, with anchors of exactly its shape."""
    if side <= 0:
        return False
    found = shifted_object((side, side), torch.full((1, 2), STRIDE / 2), torch.tensor([[side, side]]))
    return not bool(found.missed_ao.any())


EXERCISES = Exercises(
    {
        "by_hand": Exercise(
            "replace None by a list of five numbers.",
            "only an anchor that shares its object with a better one is below 1. The table comes next.",
            "anchor 1 has an IoU of 0.25 with object 0 and 0.375 with object 1; anchor 2 has more with object 1.",
            _by_hand,
            digits=3,
        ),
        "safe_side": Exercise(
            "replace None by a side in pixels.",
            "that is 2.7 times the stride. Below it, AO depends on luck, however well the shape was chosen.",
            "the two squares share (s - 4)², and together they cover 2s² - (s - 4)²; their ratio has to be 1/2.",
            _safe_side,
            digits=3,
        ),
    },
    functions=(CLUSTERS, PONO, RESCUE),
)
check, judge = Check(EXERCISES), EXERCISES.judge
