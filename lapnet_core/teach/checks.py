"""Checks of the exercises. An answer is compared with what `lapnet_core` itself gives, and whatever is handed in comes
back as a sentence: a student never sees a traceback from here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lapnet_core.anchors import anchor_boxes
from lapnet_core.assign import POSITIVE_THRESHOLD, ams_labels, assign


@dataclass(frozen=True)
class Verdict:
    """`done` is None for an exercise that is not begun."""

    done: bool | None
    message: str

    def __str__(self) -> str:
        return f"{ {None: 'Not yet', True: 'Correct', False: 'Not quite'}[self.done] }: {self.message}"


@dataclass(frozen=True)
class Exercise:
    """`verify` takes the answer and returns what is wrong with it, or nothing where it is right."""

    task: str
    praise: str
    hint: str
    verify: Callable[..., str]


class Unreadable(Exception):
    """The answer is not of the kind that was asked for; the text says which."""


def _numbers(answer: Any, shape: tuple[int, ...], asked: str) -> Tensor:
    """The answer as float64 of that shape."""
    try:
        values = torch.as_tensor(answer, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise Unreadable(f"this needs {asked}; what came is of type {type(answer).__name__}.") from None
    if values.shape != shape:
        raise Unreadable(f"this needs {asked}; what came has the shape {tuple(values.shape)}.")
    return values


def _cell_center(answer: Any, *, row: int, column: int) -> str:
    x, y = _numbers(answer, (2,), "two numbers, (x, y)").tolist()
    box = anchor_boxes(torch.ones(1, 1, 2), (row + 1, column + 1))[0, 0, row, column].double()
    true_x, true_y = ((box[:2] + box[2:]) / 2).tolist()
    if (x, y) == (true_x, true_y):
        return ""
    if (x, y) == (true_y, true_x):
        return "these are the right numbers in the wrong order: x comes from the column, y from the row."
    if (x, y) == (true_x - 4, true_y - 4):
        return "this is the corner of the cell; its centre lies half a cell further, in x and in y."
    return f"({x:g}, {y:g}) is not the centre of that cell."


def _pono(
    answer: Any, *, shapes: Tensor, grid_size: tuple[int, int], boxes: Tensor, labels: Tensor, number: int
) -> str:
    assignment = assign(shapes, grid_size, boxes, labels)
    truth = torch.where(assignment.object_index == number, assignment.overlap, 0).double()
    values = _numbers(answer, tuple(truth.shape), f"a map of shape {tuple(truth.shape)}")
    if torch.allclose(values, truth, rtol=0, atol=1e-6):
        return ""
    outside = int(((values != 0) & (truth == 0)).sum())
    if outside:
        return f"{outside} anchors outside the cluster are not 0; they belong to another object, or to none."
    if bool(values.max() < 1 - 1e-6):
        return f"the largest value is {values.max().item():.2f}; divided by the cluster's maximum it becomes 1."
    return "inside the cluster the values differ from O; eq. 1 divides by the maximum over this one cluster."


def _least_fit(answer: Any, *, overlap: float) -> str:
    value = _numbers(answer, (), "one number").item()
    fits = torch.tensor([value - 1e-3, value + 1e-3], dtype=torch.float64)
    just_below, just_above = ams_labels(torch.full_like(fits, overlap), fits).tolist()
    if just_above and not just_below:
        return ""
    product = f"O · Ô = {overlap:g} · {value:g} = {overlap * value:.3f}"
    side = "above" if just_below else "below"
    return (
        f"{product}, which lies {side} {POSITIVE_THRESHOLD:g}. At the limit it would be {POSITIVE_THRESHOLD:g} itself."
    )


EXERCISES: Mapping[str, Exercise] = {
    "cell_center": Exercise(
        "replace None by (x, y), the centre of that cell in pixels.",
        "this is where every anchor of the cell sits; anchors.anchor_boxes puts it there, too.",
        "cells are 8 pixels wide, and the first begins at 0.",
        _cell_center,
    ),
    "pono": Exercise(
        "replace None by the map O of the bird, made from the map of plain overlaps.",
        "your map equals that of assign(..., overlap='pono') on every anchor.",
        "first set everything outside the cluster to 0, then look for the largest value that is left.",
        _pono,
    ),
    "least_fit": Exercise(
        "replace None by a number between 0 and 1.",
        "an anchor that fits worse is told to stay silent about this object.",
        "eq. 3 asks for O · Ô > 0.5; solve it for Ô.",
        _least_fit,
    ),
}


def judge(name: str, answer: Any, **given: Any) -> Verdict:
    """What there is to say about an answer.

    Args:
        name: a key of `EXERCISES`.
        answer: the student's; None is an exercise that is not begun.
        given: what the exercise starts from, handed on to its check.
    """
    if name not in EXERCISES:
        return Verdict(False, f'there is no exercise "{name}"; there are {", ".join(EXERCISES)}.')
    exercise = EXERCISES[name]
    if answer is None or answer is ...:
        return Verdict(None, exercise.task)
    try:
        wrong = exercise.verify(answer, **given)
    except Unreadable as problem:
        return Verdict(False, str(problem))
    except Exception as problem:  # a student's answer can be anything at all
        return Verdict(False, f"the check could not read this answer ({type(problem).__name__}). Hint: {exercise.hint}")
    return Verdict(False, f"{wrong} Hint: {exercise.hint}") if wrong else Verdict(True, exercise.praise)


def check(name: str, answer: Any, **given: Any) -> None:
    """Print what `judge` says."""
    print(judge(name, answer, **given))
