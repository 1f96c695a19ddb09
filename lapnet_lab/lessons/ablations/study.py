"""The recorded trainings, by table and row: means over seeds, intervals, differences, verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from lapnet_core.ablate import SIZES, TABLES, TUNED
from lapnet_core.config import laptop_bccd
from lapnet_core.evaluate.bootstrap import interval, of_seeds
from lapnet_lab.runs import BLOOD, matching, options, runs

STEPS = 1500
"""Of every training but those that say so: 4.5 epochs."""
LONG = 3 * STEPS
BLOOD_STEPS = 600
"""Of the trainings on BCCD: 23 epochs of its 205 images."""
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


def table(
    name: str, steps: int = STEPS, among: Sequence[Mapping[str, Any]] | None = None, lr: float = TUNED["lapnet"]
) -> dict[str, Row]:
    """The rows of one of `lapnet_core.ablate.TABLES` that have run, by name; `lr` is LapNet's."""
    among = runs() if among is None else among
    rows: dict[str, Row] = {}
    for label, changes in TABLES[name].items():
        wanted = {"method": "lapnet", "lr": lr, "steps": steps, **changes}
        tested = tuple(run for run in matching(wanted, among) if "replicates" in run.get("test", {}))
        if tested:
            rows[label] = Row(label, tested)
    return rows


def blood(name: str, among: Sequence[Mapping[str, Any]] | None = None) -> dict[str, Row]:
    """The same of the trainings on BCCD: the light backbone, from scratch, with the rate of its preset."""
    return table(name, BLOOD_STEPS, runs(BLOOD) if among is None else among, laptop_bccd().lr)


def best_of_ours(steps: int = STEPS, among: Sequence[Mapping[str, Any]] | None = None) -> Row:
    """PONO, steady weights, no AMS: the best LapNet on val, and so the one to compare the peers with."""
    found = table("ams", steps, among)["none"]
    return Row("LapNet (steady, no AMS)", found.runs)


def without(rows: Mapping[str, Row], name: str) -> dict[str, Row]:
    """The other rows."""
    return {other: row for other, row in rows.items() if other != name}


PEERS = {
    "yolov3": "YOLOv3-style",
    "ssd": "SSD",
    "faster_rcnn": "Faster R-CNN",
    "retinanet": "RetinaNet",
    "fcos": "FCOS",
}


def peers(among: Sequence[Mapping[str, Any]] | None = None) -> dict[str, Row]:
    """LapNet, and the peers that have run; one whose learning rate had no choice says so in its name."""
    among = runs() if among is None else among
    rows = {"lapnet": best_of_ours(among=among)}
    for method, found in table("peers", among=among).items():
        untuned = "" if len(tries(method, among)) > 1 else " (not tuned)"
        rows[method] = Row(PEERS[method] + untuned, found.runs)
    return rows


@dataclass(frozen=True)
class Try:
    """A learning rate, and what it reached from seed 0: AP50, 0 to 1."""

    lr: float
    val: float
    test: float


def tries(method: str, among: Sequence[Mapping[str, Any]] | None = None) -> list[Try]:
    """The learning rates that a method was tried with, by size; LapNet with steady weights and without AMS."""
    among = runs() if among is None else among
    base = TABLES["ams"]["none"] if method == "lapnet" else {}
    rates = sorted({options(run)["lr"] for run in among if options(run)["method"] == method})
    found = []
    for lr in rates:
        wanted = {"method": method, "lr": lr, "steps": STEPS, **base}
        at_zero = [run for run in matching(wanted, among) if run["seed"] == 0]
        found += [Try(lr, run["val"]["ap50"], run["test"]["ap50"]) for run in at_zero]
    return found


def kept(found: Row) -> tuple[list[int], Float[np.ndarray, " T"]]:
    """(Steps, share of the anchors above PONO's threshold that the classification keeps), the mean over seeds; each
    from the one batch of that step."""
    steps = [entry["step"] for entry in found.runs[0]["log"]]
    share = [[entry["positives_cls"] / max(1, entry["positives_loc"]) for entry in run["log"]] for run in found.runs]
    return steps, np.array(share).mean(0)


def apart(first: Row, second: Row, objects: str) -> bool:
    """Whether every seed of one is above every seed of the other. By chance alone, with three seeds each, it is so in
    one of ten comparisons."""
    a, b = first.values(objects=objects), second.values(objects=objects)
    return bool(a.min() > b.max() or b.min() > a.max())


def class_names() -> tuple[str, ...]:
    """Of the test photographs."""
    return best_of_ours().class_names
