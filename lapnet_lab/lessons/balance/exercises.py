"""Exercises of notebook 04."""

import math
from typing import Any

import torch

from lapnet_core.losses import LapNetLoss
from lapnet_lab.checks import Check, Exercises
from lapnet_lab.exercise import Exercise, numbers
from lapnet_lab.functions import HELD_UPDATE, WEIGHTED_CROSS_ENTROPY
from lapnet_lab.lessons.balance.fixed import FixedBatch
from lapnet_lab.lessons.balance.study import parts


def _settled_weight(answer: Any, *, loss: float) -> str:
    s, lam = numbers(answer, (2,), "two numbers, (s, λ)").tolist()
    true_s, true_lam = math.log(loss), 1 / loss
    right_s, right_lam = (math.isclose(a, b, rel_tol=0.01) for a, b in ((s, true_s), (lam, true_lam)))
    if right_s and right_lam:
        return ""
    if math.isclose(s, true_lam, rel_tol=0.01) and math.isclose(lam, true_s, rel_tol=0.01):
        return "these are the right numbers in the wrong order: s first, then λ."
    if math.isclose(s, -true_s, rel_tol=0.01):
        return "the sign of s is wrong: s = log(1/λ), so a large λ has a small s."
    if right_s or right_lam:
        return f"{'s' if right_s else 'λ'} is right, the other is not; λ = exp(-s) connects them."
    return f"with these, λ · L = {lam * loss:.3g}; at rest it is 1."


def _equal_say(answer: Any, *, batch: FixedBatch) -> str:
    """The answer is lambda_cls[c, a] up to a common factor; it is put into a loss, and the parts are looked at."""
    shape = tuple(batch.shapes.shape[:2])
    weights = numbers(answer, shape, f"a tensor of shape {shape}: a weight for each class and anchor")
    if not bool((weights > 0).all()) or not bool(weights.isfinite().all()):
        return "a weight is not above 0."
    loss = LapNetLoss(*shape, ams=False)
    with torch.no_grad():
        loss.s_cls_anchor.copy_(-weights.log())
    part = parts(loss, batch)[1]
    uneven = (part.max() / part.min()).item()
    if uneven < 1.01:
        return ""
    with torch.no_grad():
        loss.s_cls_anchor.zero_()
    grid_loss = parts(loss, batch)[1].double()
    if torch.allclose(weights / weights.mean(), grid_loss / grid_loss.mean(), rtol=0.01):
        return "these are the slots' losses; a slot with a large loss needs a small weight."
    return f"the loudest slot adds {uneven:.3g} times as much to the loss as the quietest; all should add the same."


EXERCISES = Exercises(
    {
        "settled_weight": Exercise(
            "replace None by (s, λ), where they come to rest.",
            "a small loss is turned up until it counts as 1.",
            "set the derivative of exp(-s) · L + s to 0.",
            _settled_weight,
            digits=3,
        ),
        "equal_say": Exercise(
            "replace None by a tensor (C, A) of weights, made from `grid_loss`.",
            "with these weights every slot adds the same to eq. 6; any common factor would do.",
            "a slot adds its weight times its loss.",
            _equal_say,
        ),
    },
    functions=(WEIGHTED_CROSS_ENTROPY, HELD_UPDATE),
)
check, judge = Check(EXERCISES), EXERCISES.judge
