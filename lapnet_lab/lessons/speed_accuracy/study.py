"""The recorded speeds and accuracies: joined, compared, and which of them no other beats."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from lapnet_core.evaluate.bootstrap import interval
from lapnet_lab.lessons.speed_accuracy.measuring import KINDS, SMALL, Speed, Weights
from lapnet_lab.ranks import rank_correlation
from lapnet_lab.records import DATA
from lapnet_lab.runs import runs

PATH = DATA / "runs" / "speed_voc_animals.jsonl"
BLOOD = DATA / "runs" / "speed_bccd.jsonl"
NAMES = {
    ("lapnet", SMALL): "LapNet",
    ("lapnet", "light"): "LapNet, light",
    ("yolov3", SMALL): "YOLOv3-style",
    ("retinanet", SMALL): "RetinaNet",
    ("fcos", SMALL): "FCOS",
    ("ssd", SMALL): "SSD",
    ("faster_rcnn", SMALL): "Faster R-CNN",
}
"""What each of KINDS is called."""
CALLED = NAMES | {("lapnet", "darknet53"): "LapNet, DarkNet"}
"""What was recorded besides: the paper's backbone, trained on a GPU."""
TRAINED_AT = 192
METRICS = {"ap50": "AP50", "ap75": "AP75"}
SCALE = (0.5, 1.5)
"""Of the images in the trainings, about TRAINED_AT."""
AGAINST = {
    "ms": "ms an image, one at a time",
    "single": "images/s, one at a time",
    "batch": "images/s, in batches of 8",
    "gmacs": "billion multiplications an image",
}
"""What accuracy can be drawn against."""
MORE_IS_BETTER = ("single", "batch")
SAYS_LITTLE = re.compile(r"\(R\)|\(TM\)| Processor|NVIDIA | \d+GB| HBM\d\w*|, \d+ cores")
"""In the names of machines."""


def lines_of(path: Path = PATH) -> list[dict[str, Any]]:
    """The lines of the file; none where it is not there."""
    return runs(path) if path.is_file() else []


def same(wanted: Mapping[str, Any], line: Mapping[str, Any]) -> bool:
    """Whether a line has all that is wanted."""
    return all(key in line and line[key] == value for key, value in wanted.items())


def kind_of(line: Mapping[str, Any]) -> tuple[str, str]:
    """(Method, backbone)."""
    return line["method"], line["backbone"]


@dataclass(frozen=True)
class Machine:
    """Where times were taken, all of them in one process."""

    name: str
    threads: int

    @property
    def short(self) -> str:
        """The name without what says little."""
        return SAYS_LITTLE.sub("", self.name)

    def __str__(self) -> str:
        return f"{self.short}, {self.threads} thread{'' if self.threads == 1 else 's'}"


@dataclass(frozen=True)
class Point:
    """A detector at one size: what it reaches, and how fast it is."""

    accuracy: Mapping[str, Any]
    speed: Speed
    machine: Machine

    @property
    def kind(self) -> tuple[str, str]:
        return self.speed.method, self.speed.backbone

    @property
    def name(self) -> str:
        return CALLED[self.kind]

    @property
    def size(self) -> int:
        return self.speed.size

    @property
    def label(self) -> str:
        return f"{self.name} {self.size}"

    @property
    def ms(self) -> float:
        return self.speed.ms

    @property
    def ap50(self) -> float:
        """Between 0 and 1."""
        return self.accuracy["ap50"]

    @property
    def ap75(self) -> float:
        return self.accuracy["ap75"]

    def at(self, against: str) -> float:
        """One of AGAINST."""
        return {"ms": self.ms, "single": 1e3 / self.ms, "batch": self.speed.images_per_second,
                "gmacs": self.speed.gmacs}[against]  # fmt: skip

    def cost(self, against: str) -> float:
        """The same, less being better."""
        return 1 / self.at(against) if against in MORE_IS_BETTER else self.at(against)


def datasets(among: Sequence[Mapping[str, Any]]) -> list[str]:
    """What was tested on, in the order of the file."""
    return list(dict.fromkeys(line["data"] for line in among if line["kind"] == "accuracy"))


def machines(among: Sequence[Mapping[str, Any]], data: str) -> list[Machine]:
    """Where speeds were measured, in the order of the file."""
    found = (Machine(x["machine"], x["threads"]) for x in among if same({"kind": "speed", "data": data}, x))
    return list(dict.fromkeys(found))


def accuracies(among: Sequence[Mapping[str, Any]], data: str) -> dict[tuple[tuple[str, str], int], Mapping[str, Any]]:
    """(Kind, size) -> line; of several trainings of a kind the one that was best on val, not on test."""
    found = [line for line in among if same({"kind": "accuracy", "data": data}, line) and kind_of(line) in CALLED]
    found.sort(key=lambda line: line["val"] or 0.0)
    return {(kind_of(line), line["size"]): line for line in found}


def speeds(
    among: Sequence[Mapping[str, Any]], data: str, machine: Machine, weights: Weights
) -> dict[tuple[tuple[str, str], int], Speed]:
    """(Kind, size) -> what was measured on a machine."""
    wanted = {"kind": "speed", "data": data, "machine": machine.name, "threads": machine.threads, "weights": weights}
    fields = Speed.__dataclass_fields__
    found = [Speed(**{name: line[name] for name in fields}) for line in among if same(wanted, line)]
    return {((one.method, one.backbone), one.size): one for one in found}


def points(
    among: Sequence[Mapping[str, Any]], data: str = "voc_animals", machine: Machine | None = None,
    timed: Mapping[tuple[tuple[str, str], int], Speed] | None = None,
) -> list[Point]:  # fmt: skip
    """What has an accuracy and a speed, in the order of CALLED, by size.

    Args:
        machine: the first that was recorded without one. What was not timed there with trained weights has the time
            with random ones.
        timed: other speeds than the recorded ones, with `machine` their name.
    """
    known = machines(among, data)
    machine = machine or (known[0] if known else Machine("none", 0))
    if timed is None:
        timed = speeds(among, data, machine, "random") | speeds(among, data, machine, "trained")
    tested = accuracies(among, data)
    both = [key for kind in CALLED for key in sorted(tested) if key[0] == kind and key in timed]
    return [Point(tested[key], timed[key], machine) for key in both]


def missing(among: Sequence[Mapping[str, Any]], data: str = "voc_animals") -> list[str]:
    """Names of what has no point at TRAINED_AT."""
    there = {point.kind for point in points(among, data) if point.size == TRAINED_AT}
    return [NAMES[kind] for kind in KINDS if kind not in there]


def of_kind(found: Sequence[Point], name: str) -> list[Point]:
    """The points of one name, by size."""
    return sorted((point for point in found if point.name == name), key=lambda point: point.size)


def at_size(found: Sequence[Point], size: int = TRAINED_AT) -> dict[str, Point]:
    """Name -> point of that size."""
    return {point.name: point for point in found if point.size == size}


def same_order(found: Sequence[Point], others: Sequence[Point], metric: str = "ap50") -> float:
    """Rank correlation of what the names that both have reach at TRAINED_AT, between -1 and 1."""
    one, other = at_size(found), at_size(others)
    pairs = [(one[name].accuracy[metric], other[name].accuracy[metric]) for name in one if name in other]
    return rank_correlation(*zip(*pairs, strict=True))


def unbeaten(costs: ArrayLike, aps: ArrayLike) -> list[bool]:
    """Which points no other beats: one beats another that is neither cheaper nor more accurate, and is not its equal.

    Of equals all stay.
    """
    cost, ap = np.asarray(costs, dtype=float), np.asarray(aps, dtype=float)
    no_worse = (cost[:, None] <= cost) & (ap[:, None] >= ap)
    better = (cost[:, None] < cost) | (ap[:, None] > ap)
    beaten = (no_worse & better).any(axis=0)
    return np.logical_not(beaten).tolist()


def front(found: Sequence[Point], metric: str = "ap50", against: str = "ms") -> list[Point]:
    """The Pareto front, the cheapest first."""
    kept = unbeaten([p.cost(against) for p in found], [p.accuracy[metric] for p in found])
    return sorted((p for p, stays in zip(found, kept, strict=True) if stays), key=lambda p: p.cost(against))


def front_shares(found: Sequence[Point], metric: str = "ap50", against: str = "ms") -> dict[str, float]:
    """Label -> in which share of the draws of the photographs it is on the front; the most first."""
    drawn = np.array([point.accuracy["replicates"][metric] for point in found])
    costs = [point.cost(against) for point in found]
    share = np.mean([unbeaten(costs, drawn[:, r]) for r in range(drawn.shape[1])], axis=0)
    order = sorted(range(len(found)), key=lambda k: (-share[k], k))
    return {found[k].label: float(share[k]) for k in order}


def gap(a: Point, b: Point, metric: str) -> tuple[float, float, float]:
    """How far a is above b, and the ends of 95 % of the draws of the photographs, which are the same for both; 0 to 1.

    One seed each: what another training would give is not in it.
    """
    drawn: Float[np.ndarray, " R"] = np.subtract(*(p.accuracy["replicates"][metric] for p in (a, b)))
    return (a.accuracy[metric] - b.accuracy[metric], *interval(drawn))


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """(Median, least, most)."""
    return median(values), min(values), max(values)


def ratios(found: Sequence[Point], name: str, other: str, against: str = "ms") -> list[float]:
    """What `name` costs in terms of `other`, of each size that both have."""
    theirs = {point.size: point.at(against) for point in of_kind(found, other)}
    return [p.at(against) / theirs[p.size] for p in of_kind(found, name) if p.size in theirs]


def batch_gains(found: Sequence[Point]) -> list[float]:
    """Images a second in batches, over those one at a time, of each point."""
    return [point.at("batch") / point.at("single") for point in found]


def growth(found: Sequence[Point], name: str) -> tuple[float, float]:
    """(How many times as many pixels the largest size has as the smallest, how many times as long it takes)."""
    first, *_, last = of_kind(found, name)
    return (last.size / first.size) ** 2, last.ms / first.ms


def best_size(found: Sequence[Point], name: str, metric: str) -> int:
    """The size at which a name reaches most."""
    return max(of_kind(found, name), key=lambda point: point.accuracy[metric]).size


def of_weights(among: Sequence[Mapping[str, Any]], data: str = "voc_animals") -> dict[str, list[float]]:
    """Name -> the time with random weights over that with trained ones, of each size, on the first machine."""
    known = machines(among, data)
    if not known:
        return {}
    trained, random = (speeds(among, data, known[0], weights) for weights in ("trained", "random"))
    found = {name: [random[key].ms / trained[key].ms for key in sorted(trained) if key[0] == kind and key in random]
             for kind, name in NAMES.items()}  # fmt: skip
    return {name: values for name, values in found.items() if values}


def agreement(mine: Sequence[Speed], recorded: Mapping[tuple[tuple[str, str], int], Speed]) -> tuple[float, float]:
    """(Rank correlation, median of my time over the recorded), over what both have."""
    both = [(x.ms, recorded[key].ms) for x in mine if (key := ((x.method, x.backbone), x.size)) in recorded]
    ours, theirs = zip(*both, strict=True)
    return rank_correlation(ours, theirs), median(a / b for a, b in both)
