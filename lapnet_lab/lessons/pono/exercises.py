"""Exercises of notebook 02."""

from typing import Any

import torch
from torch import Tensor

from lapnet_core.assign import assign
from lapnet_core.boxes import STRIDE, grid_iou
from lapnet_lab.checks import Check, Exercises
from lapnet_lab.exercise import Exercise, numbers
from lapnet_lab.lessons.pono.study import shifted_object

TOLERANCE = 0.1
"""Pixels by which the answer to "safe_side" may be off."""


def _whole_map(answer: Any, *, shapes: Tensor, grid_size: tuple[int, int], boxes: Tensor) -> str:
    truth = assign(shapes[None], grid_size, boxes, torch.zeros(len(boxes), dtype=torch.int64)).overlap[0, 0].double()
    values = numbers(answer, tuple(truth.shape), f"a map of shape {tuple(truth.shape)}, an O for every anchor")
    if torch.allclose(values, truth, rtol=0, atol=1e-6):
        return ""
    ious = grid_iou(shapes.expand(len(boxes), *shapes.shape), boxes, grid_size).double()
    largest = ious.amax(0)
    if torch.allclose(values, largest, rtol=0, atol=1e-6):
        return "this is the plain overlap, AO; each cluster still has to be divided by its own maximum."
    if torch.allclose(values, largest / largest.max(), rtol=0, atol=1e-6):
        return "you divide all of them by one number, the largest of the picture; each object needs its own."
    if torch.allclose(values, (ious / ious.amax((1, 2, 3), keepdim=True)).amax(0), rtol=0, atol=1e-6):
        return "you divide before you divide up: first each anchor goes to the object of largest IoU, then eq. 1."
    wrong = int(((values - truth).abs() > 1e-6).sum() + values.isnan().sum())
    return f"{wrong} of {truth.numel()} anchors differ from assign(...).overlap."


def _safe_side(answer: Any) -> str:
    side = numbers(answer, (), "one number, in pixels").item()
    if not 1 <= side <= 1000:
        return f"{side:g} px is not the side of an object."
    if not _seen_in_the_corner(side - TOLERANCE) and _seen_in_the_corner(side + TOLERANCE):
        return ""
    if abs(side - 12) < TOLERANCE:
        return "12 px is right for an object that lies off the centre in x only; the worst place is off in x and in y."
    if abs(side - 43.6) < 2 * TOLERANCE:
        return "you took 8 px for the distance; the next centre is never farther than half a cell, 4 px, in x and in y."
    found = shifted_object((side, side), torch.full((1, 2), STRIDE / 2), torch.tensor([[side, side]]))
    return f"at a side of {side:g} px the IoU in the worst place is {found.ao_peak.item():.2f}; you want 0.50."


def _seen_in_the_corner(side: float) -> bool:
    """Whether AO sees a square whose centre is a corner of cells, with anchors of exactly its shape."""
    if side <= 0:
        return False
    found = shifted_object((side, side), torch.full((1, 2), STRIDE / 2), torch.tensor([[side, side]]))
    return not bool(found.missed_ao.any())


def _three_twins(answer: Any, *, shapes: Tensor, grid_size: tuple[int, int], box: Tensor) -> str:
    counts = numbers(answer, (3,), "three numbers: the positives of the first, the second and the third").tolist()
    labels = torch.zeros(3, dtype=torch.int64)
    literal, truth = (
        assign(shapes[None], grid_size, box.expand(3, 4), labels, rescue=rescue)
        .positives()
        .object_index.bincount(minlength=3)
        .tolist()
        for rescue in (False, True)
    )
    if counts == truth:
        return ""
    if counts == literal:
        return "this is the literal paper, without the rescue: two of the three are missed."
    if counts == [literal[0], 1, 1]:
        return "the two rescued boxes are right; but whose were the anchors that they took?"
    if sum(counts) != sum(truth):
        return f"together that is {sum(counts):g}; the anchors above 0.5 are {sum(truth)}, whoever has them."
    return "equal boxes do not share: the first listed wins every tie, and a rescue takes one anchor."


EXERCISES = Exercises(
    {
        "whole_map": Exercise(
            "replace None by the map O of all anchors, made from the four maps of IoU.",
            "on every anchor your map equals that of assign, which does the same for a whole batch at once.",
            "ious.max(0) gives the largest IoU of each anchor, and the object that it is with.",
            _whole_map,
        ),
        "safe_side": Exercise(
            "replace None by a side in pixels.",
            "that is 2.7 times the stride. Below it, AO depends on luck, however well the shape was chosen.",
            "the two squares share (s - 4)², and together they cover 2s² - (s - 4)²; their ratio has to be 1/2.",
            _safe_side,
        ),
        "three_twins": Exercise(
            "replace None by three numbers.",
            "a rescue costs the winner one anchor, which is never its best.",
            "a rescued object takes the best anchor that nobody needs as a peak, and to whom did that belong?",
            _three_twins,
        ),
    }
)
check, judge = Check(EXERCISES), EXERCISES.judge
