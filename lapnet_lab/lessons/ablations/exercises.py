"""Exercises of notebook 09: two functions that the reader writes, and what a metric changes."""

import math
from collections.abc import Collection
from typing import Any

import numpy as np

from lapnet_core.evaluate.bootstrap import interval
from lapnet_lab.checks import Check, Exercises
from lapnet_lab.exercise import Exercise, Unreadable, numbers
from lapnet_lab.lessons.ablations.study import Try, apart
from lapnet_lab.runs import Row
from lapnet_lab.tries import called

CLOSE = 1e-9


def _runs(seeds: int, draws: int, level: float, photographs: np.ndarray, seed: int) -> np.ndarray:
    """(S, R): runs that share the luck of the photographs, and have some of their own."""
    own = np.random.default_rng(seed).normal(0, 0.01, (seeds, 1))
    return level + own + photographs + np.random.default_rng(seed + 1).normal(0, 0.002, (seeds, draws))


METHODS: tuple[Any, ...] = ("linear", "lower", "higher", "nearest", "midpoint", "hazen", "weibull")
"""How a quantile may be read off between two draws: each is right, and so is whoever counts in the sorted list."""


def _paired(answer: Any) -> str:
    for number, (ours, theirs, draws) in enumerate(((3, 3, 200), (3, 2, 200), (1, 1, 400))):
        luck = np.random.default_rng(number).normal(0, 0.03, draws)
        a, b = _runs(ours, draws, 0.4, luck, 10 + number), _runs(theirs, draws, 0.35, luck, 20 + number)
        given = f"{ours} and {theirs} seeds"
        returned = called(answer, a, b, asked="paired_interval(a, b)")
        low_high = numbers(returned, (2,), "two numbers, (low, high)").numpy()
        means = a.mean(0), b.mean(0)
        truth = np.array(interval(means[0] - means[1]))
        ends = [np.quantile(means[0] - means[1], (0.025, 0.975), method=method) for method in METHODS]
        if bool((np.abs(low_high - ends) <= CLOSE).any(0).all()):
            continue
        apart = interval(means[0]), interval(means[1])
        shuffled = np.sort(means[0]) - np.sort(means[1])
        told = {
            (-truth[1], -truth[0]): "this is how far b is above a; a minus b is asked for.",
            (truth[1], truth[0]): "low and high have changed places.",
            (
                apart[0][0] - apart[1][1],
                apart[0][1] - apart[1][0],
            ): "you subtract the ends of two intervals; that throws the pairing away. Subtract draw by draw first.",
            (apart[0][0] - apart[1][0], apart[0][1] - apart[1][1]): "you subtract the ends of two intervals; a quantile"
            " of a difference is not the difference of two quantiles.",
            interval(shuffled): "you sort before you subtract; draw r of a belongs to draw r of b.",
            interval(means[0] - means[1], 0.9): "this is the interval of 90 %; 95 % leaves 2.5 % out at either end.",
            (100 * truth[0], 100 * truth[1]): "in percent it is right; leave it between 0 and 1.",
            interval((a - b).ravel() if a.shape == b.shape else truth): "average over the seeds first: one difference"
            " for each draw.",
        }
        for wrong, why in told.items():
            if np.allclose(low_high, wrong, rtol=0, atol=CLOSE):
                return why
        return f"with {given} it gives ({low_high[0]:.4f}, {low_high[1]:.4f}), not ({truth[0]:.4f}, {truth[1]:.4f})."
    return ""


TRIALS = {
    "in any order": [Try(0.01, 0.44, 0.42), Try(0.005, 0.30, 0.31), Try(0.04, 0.20, 0.21), Try(0.02, 0.41, 0.45)],
    "with the best at the end": [Try(0.005, 0.45, 0.44), Try(0.01, 0.40, 0.46), Try(0.02, 0.3, 0.3)],
    "with a training that ended in nan": [Try(0.1, math.nan, math.nan), Try(0.01, 0.2, 0.2), Try(0.03, 0.3, 0.3),
                                          Try(0.001, 0.25, 0.2)],
    "one alone": [Try(0.02, 0.4, 0.4)],
}  # fmt: skip
"""Tries of learning rates: what they are called -> the list that the reader's function gets."""


def _choose(answer: Any) -> str:
    for name, tried in TRIALS.items():
        returned = numbers(
            called(answer, list(tried), asked="choose(tries)"), (2,), "(learning rate, whether at the edge)"
        )
        lr, edge = float(returned[0]), bool(returned[1])
        best = max((t for t in tried if not math.isnan(t.val)), key=lambda t: t.val)
        rates = [t.lr for t in tried]
        at_edge = best.lr in (min(rates), max(rates))
        if lr != best.lr:
            if lr == max((t for t in tried if not math.isnan(t.test)), key=lambda t: t.test).lr:
                return f"with tries {name} you take the best on *test*; what is chosen is chosen on val."
            if math.isnan(next((t.val for t in tried if t.lr == lr), 0.0)):
                return f"with tries {name} it takes the rate that ended in nan; a comparison with nan is always false."
            return f"with tries {name} it takes {lr:g}, not {best.lr:g}."
        if bool(edge) != at_edge:
            how = "is" if at_edge else "is not"
            return f"with tries {name}, {lr:g} {how} the smallest or the largest rate that was tried."
    return ""


def _better_classes(answer: Any, *, ours: Row, theirs: Row, names: Collection[str]) -> str:
    if isinstance(answer, str) or not isinstance(answer, Collection) or not all(isinstance(n, str) for n in answer):
        raise Unreadable("this needs a set of names of classes, {...}.")
    if unknown := sorted(set(answer) - set(names)):
        return f"no class is called {unknown[0]!r}; there are {', '.join(names)}."
    above = {name for name in names if ours.mean(objects=name) > theirs.mean(objects=name)}
    apart_in = {name for name in names if apart(ours, theirs, name)}
    given = set(answer)
    if given == above & apart_in:
        return ""
    if given == above != above & apart_in:
        return "of one of these the mean is higher, but the seeds of the two overlap."
    if given == apart_in - above:
        return f"in these {theirs.name} is above, in every seed."
    wrong = sorted(given - above & apart_in)
    return f"not {wrong[0]}." if wrong else f"right so far; {len(above & apart_in)} classes are wanted."


EXERCISES = Exercises(
    {
        "choose": Exercise(
            "write choose; then run this cell.",
            "by val alone; and where the best is at the edge you know that you have not seen the best.",
            "a try has .lr, .val and .test; leave out where math.isnan(t.val).",
            _choose,
        ),
        "paired": Exercise(
            "write paired_interval; then run this cell.",
            "draw by draw, so that the luck of the photographs is taken out.",
            "what is the same luck in a and b? Average over the seeds, then think of one draw.",
            _paired,
        ),
        "better_classes": Exercise(
            "replace None by the set of names of classes.",
            "a mean over classes hides who wins where.",
            "Row.values(objects=name) has each seed's AP50 of a class: the least of one against the best of the other.",
            _better_classes,
        ),
    }
)
check, judge = Check(EXERCISES), EXERCISES.judge
