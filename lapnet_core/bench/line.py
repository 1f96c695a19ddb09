"""One line of `lapnet bench`: something of ours beside what one would take instead, in turn, in one process."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Literal

import torch

FEWEST = 3
"""Turns that a line has however long they take; with fewer, quartiles say nothing."""


@dataclass(frozen=True)
class Line:
    """A comparison that can be run. What both work on is made beforehand, and they give the same where that is said."""

    what: str
    """Ours, with the size of the problem: "assign, COCO-512, both maps"."""
    against: str
    """The other: "writing the result"."""
    ours: Callable[[], object]
    other: Callable[[], object]
    limit: float | None = None
    """ours / other should be at most this; None where no limit was set."""
    repeats: int = 15
    unit: Literal["ms", "MB", "GMAC"] = "ms"
    """ms: both are timed. Otherwise both return the figure, and are called once."""


@dataclass(frozen=True)
class Result:
    """What a line came to. `ratio` is ours / other, below 1 where ours is the smaller: the figure to quote."""

    what: str
    against: str
    unit: str
    ours: float
    other: float
    ratio: float
    low: float
    high: float
    """Quartiles of the ratios of the single turns."""
    repeats: int
    limit: float | None

    @property
    def holds(self) -> bool | None:
        """Whether the ratio is within its limit; None without one."""
        return None if self.limit is None else self.ratio <= self.limit


def run(line: Line, seconds: float = math.inf, clock: Callable[[], float] = time.perf_counter) -> Result:
    """Both in turn, `line.repeats` times after one warm-up, with the other first in every second turn. No turn begins
    later than `seconds` after the warm-up, once there are three.

    The times are medians, and the ratio is the median of the turns' ratios. Whatever slows a machine for a while, as
    heat or another program, slows both halves of a turn and falls out of its ratio; in a ratio of two medians, or of
    two minima, it stays, as those come from different turns. A single turn that was disturbed moves a median by
    little, where it would move a mean by any amount. The quartiles are those of the turns' ratios: half of the turns
    lie between them, so that a limit between them is neither kept nor missed for certain.
    """
    if line.unit != "ms":
        ours, other = float(line.ours()), float(line.other())  # pyright: ignore[reportArgumentType]
        ratio = ours / other
        return Result(line.what, line.against, line.unit, ours, other, ratio, ratio, ratio, 1, line.limit)
    pairs = list(_turns(line, seconds, clock))
    ratios = [ours / other for ours, other in pairs]
    low, _, high = quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    ours, other = (1e3 * median(times) for times in zip(*pairs, strict=True))
    return Result(line.what, line.against, "ms", ours, other, median(ratios), low, high, len(pairs), line.limit)


def _turns(line: Line, seconds: float, clock: Callable[[], float]) -> Iterator[tuple[float, float]]:
    line.ours()
    line.other()
    end = clock() + seconds
    for turn in range(line.repeats):
        if turn >= FEWEST and clock() > end:
            return
        if turn % 2:
            other, ours = _seconds(line.other, clock), _seconds(line.ours, clock)
        else:
            ours, other = _seconds(line.ours, clock), _seconds(line.other, clock)
        yield ours, other


def _seconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    work()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return clock() - start
