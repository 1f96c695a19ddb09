"""One line of `lapnet bench`: something of ours beside what one would take instead, in turn, in one process."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Literal

import torch


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


def run(line: Line) -> Result:
    """Both in turn, `repeats` times after one warm-up, medians; the ratio is the median of the turns' ratios, so that
    a machine that is busy for a while slows both."""
    if line.unit != "ms":
        ours, other = float(line.ours()), float(line.other())  # pyright: ignore[reportArgumentType]
        ratio = ours / other
        return Result(line.what, line.against, line.unit, ours, other, ratio, ratio, ratio, 1, line.limit)
    pairs = list(_turns(line))
    ratios = [ours / other for ours, other in pairs]
    low, _, high = quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    ours, other = (1e3 * median(times) for times in zip(*pairs, strict=True))
    return Result(line.what, line.against, "ms", ours, other, median(ratios), low, high, len(pairs), line.limit)


def _turns(line: Line) -> Iterator[tuple[float, float]]:
    for turn in range(line.repeats + 1):
        ours, other = _seconds(line.ours), _seconds(line.other)
        if turn:
            yield ours, other


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start
