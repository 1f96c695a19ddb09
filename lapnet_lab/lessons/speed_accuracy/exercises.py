"""Exercises of notebook 10: the front, a fair clock, and a budget."""

from collections.abc import Callable, Sequence
from statistics import mean, median, median_high, median_low
from typing import Any

import numpy as np

from lapnet_lab.checks import Check, Exercises
from lapnet_lab.exercise import Exercise, Unreadable, numbers
from lapnet_lab.lessons.speed_accuracy.study import Point, unbeaten
from lapnet_lab.tries import called

CLOSE = 1e-6
"""Relative: float32 is right, too."""
PLANES: dict[str, tuple[list[float], list[float]]] = {
    "each slower and better than the last": ([10, 20, 40], [30, 40, 45]),
    "one beaten": ([10, 20, 30, 40], [30, 45, 40, 50]),
    "the slowest is not the best": ([10, 20, 40], [30, 45, 44]),
    "in no order": ([40, 10, 30, 20], [50, 30, 40, 45]),
    "beaten by one that is not its neighbour": ([10, 20, 30, 40], [50, 30, 40, 55]),
    "two equally fast": ([10, 10, 20], [30, 35, 40]),
    "two equally accurate": ([10, 20, 30], [30, 30, 40]),
    "two that are equal": ([10, 10, 20], [30, 30, 40]),
    "under the line between its neighbours": ([10, 20, 30], [30, 31, 60]),
    "one alone": ([12], [34]),
}
"""Points: what they are -> (milliseconds, APs in percent)."""


def _kept(
    times: Sequence[float], aps: Sequence[float], beats: Callable[[float, float, float, float], bool]
) -> list[bool]:
    """Which points stay if `beats(time, ap, other time, other ap)` says whom the first beats."""
    pairs = list(zip(times, aps, strict=True))
    return [not any(beats(*one, *other) for k, one in enumerate(pairs) if k != at) for at, other in enumerate(pairs)]


def _neighbours(times: Sequence[float], aps: Sequence[float]) -> list[bool]:
    return [k == 0 or aps[k] > aps[k - 1] for k in range(len(aps))]


def _convex(times: Sequence[float], aps: Sequence[float]) -> list[bool]:
    kept = unbeaten(times, aps)
    for k, (t, ap) in enumerate(zip(times, aps, strict=True)):
        for i in range(len(times)):
            for j in range(len(times)):
                if times[i] < t < times[j] and ap < aps[i] + (aps[j] - aps[i]) * (t - times[i]) / (times[j] - times[i]):
                    kept[k] = False
    return kept


WRONG_FRONTS: tuple[tuple[Callable[[Sequence[float], Sequence[float]], list[bool]], str], ...] = (
    (
        lambda t, a: [not stays for stays in unbeaten(t, a)],
        "these are the points that are beaten; the others are asked for.",
    ),
    (
        lambda t, a: _kept(t, a, lambda t1, a1, t2, a2: t1 < t2 and a1 > a2),
        "of two equally fast points the less accurate one is beaten, too, and of two equally accurate ones the slower.",
    ),
    (
        lambda t, a: _kept(t, a, lambda t1, a1, t2, a2: t1 <= t2 and a1 >= a2),
        "of two equal points neither beats the other: one of the two comparisons has to be strict.",
    ),
    (lambda t, a: [False] * len(t), "nothing is left: does a point beat itself in yours?"),
    (
        lambda t, a: unbeaten([-x for x in t], a),
        "a smaller time is better; yours likes the slow ones.",
    ),
    (lambda t, a: unbeaten(t, [-x for x in a]), "a larger AP is better; yours likes the small ones."),
    (_neighbours, "each point has to be compared with all others, in whatever order they come."),
    (
        _convex,
        "a point under the line between two others is not beaten: there is no detector on that line.",
    ),
    (lambda t, a: [x == max(a) for x in a], "that is the most accurate point alone; the fast ones count as well."),
)  # fmt: skip


def _pareto(answer: Any) -> str:
    for name, (times, aps) in PLANES.items():
        asked = "a list with True or False for each point"
        returned = numbers(called(answer, times, aps, asked="pareto(times, aps)"), (len(times),), asked)
        kept = [bool(x) for x in returned]
        if not set(returned.tolist()) <= {0.0, 1.0}:
            raise Unreadable(f"this needs {asked}; are these positions?")
        right = unbeaten(times, aps)
        if kept != right:
            for wrong, why in WRONG_FRONTS:
                if wrong(times, aps) == kept and _agrees(answer, wrong):
                    return why
            return f"points {name}: times {times}, APs {aps} give {right}, and yours {kept}."
    return ""


def _agrees(answer: Any, wrong: Callable[..., list[bool]]) -> bool:
    """Whether an answer is this wrong one on all planes."""
    try:
        return all([bool(x) for x in answer(list(t), list(a))] == wrong(t, a) for t, a in PLANES.values())
    except Exception:  # on another plane than the first it can still do anything at all
        return False


def _busy(turns: int, seed: int) -> tuple[list[float], list[float]]:
    """Seconds of two by turns; the first turn is slow, and the machine is busy for a third of the time."""
    rng = np.random.default_rng(seed)
    busy = np.where((np.arange(turns) % 6) // 2 == 1, 3.0, 1.0) * rng.uniform(0.95, 1.05, turns)
    ours, theirs = 0.030 * busy * rng.uniform(0.9, 1.1, turns), 0.020 * busy * rng.uniform(0.9, 1.1, turns)
    ours[0] *= 9
    theirs[turns // 2] *= 5  # once something came between
    return ours.tolist(), theirs.tolist()


CLOCKS = [_busy(12, 1), _busy(13, 2), _busy(9, 3), ([9.0, 0.2], [1.0, 0.1])]
"""(Ours, theirs), seconds turn by turn."""


def _all_ratios(a: Sequence[float], b: Sequence[float]) -> list[float]:
    return [x / y for x, y in zip(a, b, strict=True)]


BY_TURNS = "divide turn by turn first."
WRONG_RATIOS: tuple[tuple[Callable[[list[float], list[float]], float], str], ...] = (
    (lambda a, b: median(_all_ratios(b[1:], a[1:])), "this is theirs over ours; ours over theirs is asked for."),
    (lambda a, b: median(_all_ratios(a, b)), "the first turn warms up; leave it out."),
    (
        lambda a, b: mean(_all_ratios(a[1:], b[1:])),
        "a mean follows the one turn in which something came between; take the median of the ratios.",
    ),
    (
        lambda a, b: median(a[1:]) / median(b[1:]),
        f"you divide two medians; they may come from different moments of the machine: {BY_TURNS}",
    ),
    (lambda a, b: mean(a[1:]) / mean(b[1:]), f"you divide two means; one slow turn moves a mean: {BY_TURNS}"),
    (lambda a, b: sum(a) / sum(b), f"you divide the totals; one slow turn moves a total: {BY_TURNS}"),
    (lambda a, b: min(a[1:]) / min(b[1:]), f"the two least times come from different turns: {BY_TURNS}"),
)


def _fair(answer: Any) -> str:
    for ours, theirs in CLOCKS:
        given = called(answer, ours, theirs, asked="fair_ratio(ours, theirs)")
        found = float(numbers(given, (), "one number"))
        right = _all_ratios(ours[1:], theirs[1:])
        if median_low(right) * (1 - CLOSE) < found < median_high(right) * (1 + CLOSE):  # however a tie is settled
            continue
        for wrong, why in WRONG_RATIOS:
            if abs(found - wrong(ours, theirs)) < CLOSE * abs(found):
                return why
        return f"with {len(ours)} turns it gives {found:.4f}, not {median(right):.4f}."
    return ""


def _budget(answer: Any, *, points: Sequence[Point], budget: float) -> str:
    labels = {point.label: point for point in points}
    if isinstance(answer, Point):
        answer = answer.label
    if not isinstance(answer, str):
        raise Unreadable("this needs a label such as “SSD 192”.")
    if answer not in labels:
        return f"no point is called {answer!r}; there is for example “{points[0].label}”."
    affordable = [point for point in points if point.ms <= budget]
    best = max(affordable, key=lambda point: point.ap75)
    if labels[answer].ap75 == best.ap75 and labels[answer].ms <= budget:
        return ""
    if labels[answer].ms > budget:
        return f"it takes {labels[answer].ms:.1f} ms, more than you have."
    if answer == max(affordable, key=lambda point: point.ap50).label:
        return "that is the best at AP50; boxes that fit are asked for."
    return "another one within the budget has a higher AP75."


EXERCISES = Exercises(
    {
        "pareto": Exercise(
            "write pareto; then run this cell.",
            "a front is all that is worth a look, if time and this metric are all that counts.",
            "point j beats point k if it is no slower and no less accurate, and one of the two is strictly better.",
            _pareto,
        ),
        "fair": Exercise(
            "write fair_ratio; then run this cell.",
            "a machine that is busy for a while slows both, and cancels.",
            "what was measured within one turn belongs together; and one odd turn should not count for much.",
            _fair,
        ),
        "budget": Exercise(
            "replace None by the label of a point.",
            "a budget is a vertical line in the figure, and the front tells what to take to the left of it.",
            "first leave out what is too slow, then compare .ap75; it is the label that is asked for.",
            _budget,
        ),
    }
)
check, judge = Check(EXERCISES), EXERCISES.judge
