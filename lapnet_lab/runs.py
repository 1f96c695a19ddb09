"""The recorded trainings of the ablations, data/runs, one a line: read, found by what they were trained with, and
compared: means over seeds, intervals, differences, verdicts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from lapnet_core.ablate import SIZES
from lapnet_core.evaluate.bootstrap import interval, of_seeds
from lapnet_core.options import LapNetOptions
from lapnet_lab.records import DATA

RUNS = DATA / "runs" / "ablations_voc_animals.jsonl"
BLOOD = DATA / "runs" / "ablations_bccd.jsonl"
METRICS = {"ap50": "AP50", "ap75": "AP75", "ap": "AP 50-95"}
RESAMPLED = ("ap50", "ap75")
"""Whose draws of the photographs are recorded; for the others only the seeds tell how sure a number is."""
ENOUGH = 2
"""Seeds that a verdict needs on either side: one seed's interval does not know that seeds differ."""
REPEATS = 20
"""So often the seeds are drawn for each draw of the photographs, so that the ends do not hang on this luck, too."""
MARGIN = 0.1
"""Of an interval's width: an end from 200 draws is known no better (two standard errors). Nearer to 0: no verdict."""
Verdict = Literal["reproduced", "refuted", "undecided here"]


def runs(path: Path = RUNS) -> list[dict[str, Any]]:
    """Every recorded training, one a line of the file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def options(run: Mapping[str, Any]) -> dict[str, Any]:
    """What a run's config tells, LapNet's own beside the rest: what it does not name is as it is by default."""
    config = dict(run["config"])
    own = config.pop("lapnet", None) or {}
    return config | (asdict(LapNetOptions()) | own if config["method"] == "lapnet" else {})


def matching(wanted: Mapping[str, Any], among: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """The runs that have what is wanted as far as they tell it, one a seed, the last that was recorded.

    A peer has none of LapNet's options, whatever is wanted of them.
    """
    found: dict[int, Mapping[str, Any]] = {}
    for run in among:
        told = options(run)
        if all(told.get(key, value) == value for key, value in wanted.items()):
            found[run["seed"]] = run
    return tuple(found[seed] for seed in sorted(found))


@dataclass(frozen=True)
class Row:
    """A row of a table: the same training from several seeds."""

    name: str
    runs: tuple[Mapping[str, Any], ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(run["seed"] for run in self.runs)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the test images."""
        return tuple(self.runs[0]["test"]["per_class"])

    def values(self, metric: str = "ap50", objects: str = "all", split: str = "test") -> Float[np.ndarray, " S"]:
        """What each seed reached, 0 to 1.

        Args:
            metric: one of METRICS. objects: all, a size or a class; those were measured at IoU .5 alone.
            split: test, or val, by which choices are made.
        """
        measured = [run[split] for run in self.runs]
        if objects == "all":
            return np.array([each[metric] for each in measured])
        if metric != "ap50":
            raise ValueError("sizes and classes were measured at IoU .5 alone")
        return np.array([each[objects] if objects in SIZES else each["per_class"][objects] for each in measured])

    def mean(self, metric: str = "ap50", objects: str = "all") -> float:
        return float(self.values(metric, objects).mean())

    def replicates(self, metric: str = "ap50") -> Float[np.ndarray, "S R"]:
        """The metric of each seed where the test photographs were drawn again, R times; the draws are every run's."""
        return np.array([run["test"]["replicates"][metric] for run in self.runs])

    def interval(self, metric: str = "ap50") -> tuple[float, float]:
        """95 % of the draws of photographs and seeds."""
        return interval(self.drawn(metric))

    def drawn(self, metric: str = "ap50", seed: int = 0) -> Float[np.ndarray, " D"]:
        """The mean over seeds, photographs and seeds drawn again; the photographs as in every other row."""
        return of_seeds(np.tile(self.replicates(metric), (1, REPEATS)), seed)


@dataclass(frozen=True)
class Difference:
    """How far one row is above another, 0 to 1, with the interval of 95 %; `seeds` of both."""

    mean: float
    low: float
    high: float
    seeds: tuple[int, int]

    def __str__(self) -> str:
        """In points."""
        mean, low, high = (100 * x for x in (self.mean, self.low, self.high))
        return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"

    def verdict(self, claim: Literal["more", "less"] = "more") -> Verdict:
        """What it says about the claim that the first row has more, or less, than the second."""
        low, high = (self.low, self.high) if claim == "more" else (-self.high, -self.low)
        clear = MARGIN * (high - low)
        if min(self.seeds) < ENOUGH:
            return "undecided here"
        return "reproduced" if low > clear else "refuted" if high < -clear else "undecided here"


def difference(first: Row, second: Row, metric: str = "ap50") -> Difference:
    """Paired by the draws of the photographs, the seeds of either drawn for themselves."""
    drawn = first.drawn(metric, seed=1) - second.drawn(metric)
    seeds = (len(first.runs), len(second.runs))
    return Difference(first.mean(metric) - second.mean(metric), *interval(drawn), seeds)
