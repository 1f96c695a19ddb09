"""Exercises of notebook 00."""

from typing import Any

import torch

from lapnet_core.anchors import anchor_boxes
from lapnet_core.assign import POSITIVE_THRESHOLD, ams_labels
from lapnet_lab.checks import Check, Exercises
from lapnet_lab.exercise import Exercise, numbers
from lapnet_lab.functions import IOU

ROUNDING = 0.0051
"""By which a fit may be off: two digits are enough."""


def _cell_center(answer: Any, *, row: int, column: int) -> str:
    x, y = numbers(answer, (2,), "two numbers, (x, y)").tolist()
    box = anchor_boxes(torch.ones(1, 1, 2), (row + 1, column + 1))[0, 0, row, column].double()
    true_x, true_y = ((box[:2] + box[2:]) / 2).tolist()
    if (x, y) == (true_x, true_y):
        return ""
    if (x, y) == (true_y, true_x):
        return "these are the right numbers in the wrong order: x comes from the column, y from the row."
    if (x, y) == (true_x - 4, true_y - 4):
        return "this is the corner of the cell; its centre lies half a cell further, in x and in y."
    if {x, y} <= {row, column, row + 0.5, column + 0.5}:
        return "these are cells; how many pixels is a cell wide?"
    return f"({x:g}, {y:g}) is not the centre of that cell."


def _least_fit(answer: Any, *, overlap: float) -> str:
    value = numbers(answer, (), "one number").item()
    fits = torch.tensor([value - ROUNDING, value + ROUNDING], dtype=torch.float64)
    just_below, just_above = ams_labels(torch.full_like(fits, overlap), fits).tolist()
    if just_above and not just_below:
        return ""
    product = f"O · Ô = {overlap:g} · {value:g} = {overlap * value:.3f}"
    side = "above" if just_below else "below"
    return (
        f"{product}, which lies {side} {POSITIVE_THRESHOLD:g}. At the limit it would be {POSITIVE_THRESHOLD:g} itself."
    )


EXERCISES = Exercises(
    {
        "cell_center": Exercise(
            "replace None by (x, y), the centre of that cell in pixels.",
            "this is where every anchor of the cell sits; anchors.anchor_boxes puts it there, too.",
            "cells are 8 pixels wide, and the first begins at 0.",
            _cell_center,
        ),
        "least_fit": Exercise(
            "replace None by a number between 0 and 1.",
            "an anchor that fits worse is told to stay silent about this object.",
            "eq. 3 asks for O · Ô > 0.5; solve it for Ô.",
            _least_fit,
            digits=3,
        ),
    },
    functions=(IOU,),
)
check, judge = Check(EXERCISES), EXERCISES.judge
