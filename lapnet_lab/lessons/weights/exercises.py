"""Exercises of notebook 08."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lapnet_lab.checks import Check, Exercises
from lapnet_lab.exercise import Exercise, Unreadable, numbers
from lapnet_lab.lessons.weights.drift import steady_step, sum_at_rest, too_loud
from lapnet_lab.tries import called

Case = tuple[float, Tensor, Tensor, Tensor, float, float]


def _sum(answer: Any, *, grids: int, active: int) -> str:
    found, share = numbers(answer, (), "one number").item(), active / grids
    for truth, why in (
        (sum_at_rest(share), ""),
        (sum_at_rest(share, share), "so it would be if the other grids never had a positive; these all come back."),
        (share, "this is what the anchor weights want; the loss weight wants 1, and they meet between."),
        (1.0, "this is what the loss weight wants; the anchor weights want k/(CA), and they meet between."),
    ):
        if math.isclose(found, truth, rel_tol=0.01):
            return why
    if share < found < 1:
        return f"{found:g} lies between the two wishes, but it is not where they meet."
    return f"{found:g} does not lie between the two wishes, {share:g} and 1."


def _loud(answer: Any, *, own: float, mean: float) -> str:
    found = numbers(answer, (), "one number").item()
    loud, usual = too_loud(np.array([own, mean]), mean).tolist()
    for truth, why in (
        (loud, ""),
        (loud - 1, "this is by how much it is *too* loud; its part is 1 + so much, over C·A."),
        (usual, "this is the loudness of a grid with the mean share; ours comes less often."),
        (2 * loud - 1, "half of what is above 1: the sum at rest is (1 + q̄) / 2, so 1 - Lloc is (1 - q̄) / 2."),
    ):
        if math.isclose(found, truth, rel_tol=0.01):
            return why
    return f"{found:g} times is too {'loud' if found > loud else 'quiet'}."


def _cases() -> list[Case]:
    """Weights and losses to step with: few grids and many; all, some, one and none with a positive; losses that are
    0, and tremendous, or not a number where the grid is held."""
    random = torch.Generator().manual_seed(0)
    cases: list[Case] = []
    for shape, share in (((1, 1), 1.0), ((2, 3), 0.5), ((6, 10), 0.5), ((6, 10), 0.05), ((3, 4), 1.0), ((2, 2), 0.0)):
        for rates in ((0.1, 0.1 * shape[0] * shape[1]), (1.0, 0.3)):
            s = torch.randn((), generator=random, dtype=torch.float64).item()
            s_anchor, losses = (torch.randn(shape, generator=random, dtype=torch.float64) for _ in range(2))
            has = torch.rand(shape, generator=random) < share
            losses = losses.exp()
            losses[has & (torch.rand(shape, generator=random) < 0.1)] = 0
            losses[~has & (torch.rand(shape, generator=random) < 0.5)] = 1e6
            losses[~has & (torch.rand(shape, generator=random) < 0.3)] = torch.inf
            cases.append((s, s_anchor, losses, has, *rates))
    return cases


def _paper(s: float, s_anchor: Tensor, losses: Tensor, has: Tensor, rate: float, anchor_rate: float) -> Any:
    part = torch.where(has, torch.exp(-(s + s_anchor)) * losses, 0)
    return s - rate * float(1 - part.sum()), steady_step(s, s_anchor, losses, has, rate, anchor_rate)[1]


def _mean(s: float, s_anchor: Tensor, losses: Tensor, has: Tensor, rate: float, anchor_rate: float) -> Any:
    moved, anchors = steady_step(s, s_anchor, losses, has, rate, anchor_rate)
    return s + (moved - s) / has.numel(), anchors


def _one_after_the_other(
    s: float, s_anchor: Tensor, losses: Tensor, has: Tensor, rate: float, anchor_rate: float
) -> Any:
    moved = steady_step(s, s_anchor, losses, has, rate, anchor_rate)[0]
    return moved, steady_step(moved, s_anchor, losses, has, rate, anchor_rate)[1]


def _all_move(s: float, s_anchor: Tensor, losses: Tensor, has: Tensor, rate: float, anchor_rate: float) -> Any:
    return steady_step(s, s_anchor, losses, torch.ones_like(has), rate, anchor_rate)


def _upwards(s: float, s_anchor: Tensor, losses: Tensor, has: Tensor, rate: float, anchor_rate: float) -> Any:
    return steady_step(s, s_anchor, losses, has, -rate, -anchor_rate)


def _one_rate(s: float, s_anchor: Tensor, losses: Tensor, has: Tensor, rate: float, anchor_rate: float) -> Any:
    return steady_step(s, s_anchor, losses, has, rate, rate)


def _active_mean(s: float, s_anchor: Tensor, losses: Tensor, has: Tensor, rate: float, anchor_rate: float) -> Any:
    part = torch.exp(-(s + s_anchor)) * losses
    gradient = torch.where(has, 1 / max(1, int(has.sum())) - part, 0)
    return s - rate * float(gradient.sum()), s_anchor - anchor_rate * gradient


def _weighted(weight: Callable[[float, Tensor], Tensor]) -> Callable[..., Any]:
    """A step under another weight of the grids than exp(-(s + s_anchor))."""

    def step(s: float, s_anchor: Tensor, losses: Tensor, has: Tensor, rate: float, anchor_rate: float) -> Any:
        gradient = torch.where(has, 1 / has.numel() - weight(s, s_anchor) * losses, 0)
        return s - rate * float(gradient.sum()), s_anchor - anchor_rate * gradient

    return step


MISTAKES: dict[Callable[..., Any], str] = {
    _paper: "this moves s by the paper's rule, 1 - the sum of all parts; steady adds up the grids' gradients.",
    _weighted(lambda s, s_anchor: (s + s_anchor).exp()): "s is log(1/λ), so a weight is exp(-s); yours rises with s.",
    _weighted(lambda _s, s_anchor: (-s_anchor).exp()): "λ multiplies each grid as well; where is s in your parts?",
    _mean: "s takes the mean of the grids' gradients; which rule did this section give it?",
    _one_after_the_other: "s has moved before you take the grids' gradients: all are those of the old weights.",
    _all_move: "a grid without a positive moved, or was heard: its gradient is 0, whatever its loss.",
    _upwards: "a step goes against the gradient; here the sign is the other way round.",
    _one_rate: "s has the rate `rate`, s_anchor the rate `anchor_rate`.",
    _active_mean: "each grid is to have 1/(C·A) of all grids, not one over the number of those with a positive.",
}


HELD = "the loss of a held grid may be inf, and 0 · inf is nan; choose with torch.where."


def _step(answer: Any) -> str:
    cases, answers = _cases(), []
    for case in cases:
        found = called(answer, *case, asked="step(s, s_anchor, losses, has, rate, anchor_rate)")
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise Unreadable(f"this needs a function that returns two things, (s, s_anchor); it returned {found!r}.")
        shape = tuple(case[1].shape)
        s = numbers(found[0], (), "a number for s", HELD)
        s_anchor = numbers(found[1], shape, f"s_anchor of shape {shape}", HELD)
        answers.append((s, s_anchor))
    if _agree(answers, steady_step, cases):
        return ""
    for mistake, why in MISTAKES.items():
        if _agree(answers, mistake, cases):
            return why
    for case, found in zip(cases, answers, strict=True):
        if not _agree([found], steady_step, [case]):
            wrong = "s_anchor" if math.isclose(found[0].item(), steady_step(*case)[0], rel_tol=1e-6) else "s"
            return f"with {int(case[3].sum())} of {case[3].numel()} grids active, {wrong} is not what LapNetLoss gives."
    return ""


def _agree(answers: list[Any], function: Callable[..., Any], cases: list[Case]) -> bool:
    for (s, s_anchor), case in zip(answers, cases, strict=True):
        true_s, true_anchor = function(*case)
        if not math.isclose(s.item(), true_s, rel_tol=1e-6, abs_tol=1e-9):
            return False
        if not torch.allclose(s_anchor, true_anchor, rtol=1e-6, atol=1e-9):
            return False
    return True


EXERCISES = Exercises(
    {
        "sum_at_rest": Exercise(
            "replace None by Lloc.",
            "the missing rest, 1 - Lloc, is what lets λ rise in every step, for ever.",
            "which of the patterns is this? All grids come back.",
            _sum,
            digits=2,
        ),
        "too_loud": Exercise(
            "replace None by how many times 1/(C·A) its part is.",
            "while it is held λ carries it up, batch after batch; and so it is heard when it comes back.",
            "while it is held, λ rises by the missing rest in each step; one step must bring it back.",
            _loud,
            digits=2,
        ),
        "steady_step": Exercise(
            "write step; then run this cell.",
            "that is all there is to a rule that stands still.",
            "section 2 has the gradients of the paper's rule; here that of s is the sum of the grids'.",
            _step,
        ),
    }
)
check, judge = Check(EXERCISES), EXERCISES.judge
