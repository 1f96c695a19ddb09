"""Exercises of notebook 03."""

from typing import Any

import torch
from torch import Tensor

from lapnet_core.assign import POSITIVE_THRESHOLD, ams_labels
from lapnet_lab.checks import Check, Exercises
from lapnet_lab.exercise import Exercise, numbers
from lapnet_lab.functions import AMS_LABELS

HALF_A_DIGIT = 0.005
"""To which a limit is asked for: two digits."""


def _ratio_by_hand(answer: Any, *, ious: Tensor) -> str:
    values = numbers(answer, (len(ious),), f"{len(ious)} numbers, one an anchor")
    ious = ious.double()
    ranked = ious.sort(1, descending=True).values
    truth = ranked[:, 1] / ranked[:, 0]
    if torch.allclose(values, truth, rtol=0, atol=1e-4):
        return ""
    if torch.allclose(values, 1 / truth, rtol=0, atol=1e-4):
        return "this is the best IoU by the second best; turned over it lies between 0 and 1."
    if torch.allclose(values, ious[:, 1] / ious[:, 0], rtol=0, atol=1e-4):
        return "these are the second column by the first; the best object of an anchor need not be listed first."
    if torch.allclose(values, ranked[:, 0] - ranked[:, 1], rtol=0, atol=1e-4):
        return "this is the difference of the two; the ratio is asked for."
    others = ious.sort(0, descending=True).values
    if (
        others.shape == ious.shape
        and len(others) > 1
        and torch.allclose(values, others[1] / others[0], rtol=0, atol=1e-4)
    ):
        return "you rank the anchors of each person; ranked should be the people of each anchor."
    wrong = (values - truth).abs().argmax().item()
    return f"the ratio of anchor {wrong} is not {values[int(wrong)]:g}."


def _two_limits(answer: Any, *, iou: float, best: float) -> str:
    pono, ao = numbers(answer, (2,), "two numbers, for PONO and for AO").tolist()

    def is_limit(overlap: float, fit: float) -> bool:
        around = torch.tensor([fit - HALF_A_DIGIT, fit + HALF_A_DIGIT], dtype=torch.float64)
        return ams_labels(torch.full_like(around, overlap), around).tolist() == [False, True]

    if is_limit(iou / best, pono) and is_limit(iou, ao):
        return ""
    if is_limit(iou / best, ao) and is_limit(iou, pono):
        return "these are the right numbers in the wrong order: PONO first, then AO."
    if not is_limit(iou, ao):
        return f"under AO, O is the IoU itself: at your limit, O · Ô = {iou:g} · {ao:g} = {iou * ao:.3f}."
    return (
        f"under PONO, O is {iou:g} / {best:g} = {iou / best:.3f}, and at your limit O · Ô = {iou / best * pono:.3f}; "
        f"it should be {POSITIVE_THRESHOLD:g}."
    )


def _starved(answer: Any, *, owner: Tensor, overlap: Tensor, fit: Tensor, objects: int) -> str:
    value = numbers(answer, (), "one number").item()
    kept = ams_labels(overlap, fit)
    labels = owner[kept].bincount(minlength=objects)
    if value == int((labels == 0).sum()):
        return ""
    if value == int((owner[overlap * fit >= POSITIVE_THRESHOLD].bincount(minlength=objects) == 0).sum()):
        return "a product of exactly 0.5 is positive in yours: is the comparison of eq. 3 strict?"
    if value == int((owner[kept].bincount() == 0).sum()):
        return "the last objects are not counted: `bincount` ends at the last one that has a label."
    if value == int((labels > 0).sum()):
        return "these are the objects that do have a label."
    if value == int((~kept).sum()):
        return "this counts rejected anchors; an object is starved if all of its anchors are rejected."
    if value == len(owner[~kept].unique()):
        return "these are the objects that lose at least one anchor; most of them keep another."
    return f"there are {objects} objects, and {value:g} of them is not the right number."


EXERCISES = Exercises(
    {
        "ambiguity_ratio": Exercise(
            "replace None by the ambiguity ratio of each anchor.",
            "the last anchor touches one object only: nothing about it is ambiguous.",
            "`ious.sort(1, descending=True).values` has the best IoU of each anchor first, the second best next to it.",
            _ratio_by_hand,
            digits=2,
        ),
        "two_limits": Exercise(
            "replace None by two numbers: the least Ô under PONO, and the least Ô under AO.",
            "with AO the same anchor has to fit almost perfectly, and before the training nothing does.",
            "O is IoU divided by the best IoU under PONO, the IoU itself under AO; then solve O · Ô = 0.5.",
            _two_limits,
            digits=2,
        ),
        "starved_objects": Exercise(
            "replace None by the number of objects without a positive label.",
            "nobody asks the network to find these objects, at this moment of the training.",
            "`owner[kept].bincount(minlength=objects)` counts the labels of each object.",
            _starved,
        ),
    },
    functions=(AMS_LABELS,),
)
check, judge = Check(EXERCISES), EXERCISES.judge
