"""Balance weights as real trainings learned them: read from data/runs, ranked, and compared with what they should be.

The laws of their drift, which need no training, are in `drift`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from lapnet_core.ablate import PAPER, Watch
from lapnet_core.config import TrainConfig, paper_voc_darknet53, tiny_scenes
from lapnet_core.losses import Balance
from lapnet_core.method import balance_multipliers
from lapnet_core.scenes import SCENE_CLASSES, Scenes
from lapnet_core.step import learning_rate
from lapnet_core.train import train
from lapnet_lab.lessons.weights.drift import climb, too_loud
from lapnet_lab.ranks import rank_correlation as rank_correlation  # the notebook asks the study for it
from lapnet_lab.records import DATA, value
from lapnet_lab.runs import RUNS, Row, difference, matching, runs

Which = Literal["loc", "cls"]
LOSSES: dict[Which, str] = {"loc": "localisation", "cls": "classification"}
RATE = TrainConfig(lr=0.04, warmup=100)
"""The schedule of the recorded trainings; each has its own number of steps."""


@dataclass(frozen=True, eq=False)
class Run:
    """The balance weights of one training. `s` and `s_anchor` have the keys "loc" and "cls"; T times were recorded."""

    name: str
    class_names: tuple[str, ...]
    shapes: Float[np.ndarray, "C A 2"]
    steps: Int[np.ndarray, " T"]
    s: dict[str, Float[np.ndarray, " T"]]
    s_anchor: dict[str, Float[np.ndarray, "T C A"]]
    active: Float[np.ndarray, "C A"]
    """Share of the last quarter's batches in which the grid had a positive."""

    @property
    def area(self) -> Float[np.ndarray, "C A"]:
        """Of the anchors, px²."""
        return self.shapes.prod(-1)

    def weights(self, which: Which, at: int = -1) -> Float[np.ndarray, "C A"]:
        """lambda[c, a] at the recorded time number `at`."""
        return np.exp(-self.s_anchor[which][at])

    def products(self, which: Which, at: int = -1) -> Float[np.ndarray, "C A"]:
        """lambda * lambda[c, a], which is all that the loss knows of either."""
        return np.exp(-self.s[which][at]) * self.weights(which, at)


def run_of(name: str, told: Mapping[str, Any]) -> Run:
    """A run from a line of data/runs/weights_voc_animals.jsonl, or from what `ablate.Watch` told of one's own."""
    steps = np.array(told["steps"])
    watched = told.get("of_batches", steps[-1] - steps[-1] * 3 // 4)
    return Run(
        name, tuple(told["class_names"]), np.array(told["shapes"]), steps,
        {which: np.array(told[f"s_{which}"]) for which in LOSSES},
        {which: np.array(told[f"s_{which}_anchor"]) for which in LOSSES},
        np.array(told["active_batches"]) / watched,
    )  # fmt: skip


def recorded(
    data: Path = DATA, names: Sequence[str] = ("learned, AMS", "learned", "steady", "steady, 4500 steps")
) -> dict[str, Run]:
    """Recorded trainings on voc_animals: "learned, AMS", the paper's complete method; "learned"; "steady"; "steady,
    4500 steps"; and, with one convolution in each stack, "steady, depth 1" and "even, depth 1"."""
    found = {told["run"]: run_of(told["run"], told) for told in runs(data / "runs" / "weights_voc_animals.jsonl")}
    return {name: found[name] for name in names}


def objects(run: Run, data: Path = DATA) -> Float[np.ndarray, " C"]:
    """How many objects of each class are in the training set of the recorded runs."""
    return np.array([float(value(f"weights.objects.{name}", data)) for name in run.class_names])


@dataclass(frozen=True, eq=False)
class EqualArea:
    """log lambda[c, a] = height of class c - slope * log area, the best fit: classes compared at the same area."""

    slope: float
    height: Float[np.ndarray, " C"]
    """As a factor on the weight; their geometric mean is 1."""
    explained: float
    """Share of the variance of log lambda[c, a] that the fit has."""


def at_equal_area(run: Run, which: Which, at: int = -1) -> EqualArea:
    """Which classes are turned up, beyond what the areas of their anchors do."""
    classes, anchors = run.area.shape
    log_weight, log_area = np.log(run.weights(which, at)).ravel(), np.log(run.area).ravel()
    columns = np.column_stack([log_area, np.repeat(np.eye(classes), anchors, 0)])
    found = np.linalg.lstsq(columns, log_weight, rcond=None)[0]
    rest = log_weight - columns @ found
    height = np.exp(found[1:] - found[1:].mean())
    return EqualArea(float(-found[0]), height, float(1 - rest.var() / log_weight.var()))


def config_of(run: Run) -> TrainConfig:
    """The schedule of a recorded training."""
    return RATE.with_options(steps=int(run.steps[-1]))


def loss_rates(config: TrainConfig, num_classes: int) -> tuple[Float[np.ndarray, " S"], float]:
    """The learning rate of the two loss weights in each step, and how many times as large that of an anchor weight is,
    over C*A: 1 with the default multipliers, unless one of them would fall below 1."""
    anchor, loss = balance_multipliers(config, num_classes)
    rates = np.array([learning_rate(config, step) for step in range(config.steps)]) * loss
    return rates, anchor / loss / (num_classes * config.lapnet.anchors_per_class)


def gap(run: Run, which: Which) -> Float[np.ndarray, " T"]:
    """(s of the loss) - sum over (c, a) of (rate of the loss / rate of the anchors) s[c, a], less its first value: what
    "steady" keeps and "learned" lets fall."""
    classes, anchors = run.area.shape
    each = 1 / loss_rates(config_of(run), classes)[1]
    s, mean = run.s[which] - 1, (run.s_anchor[which] - 1).sum((1, 2)) / (classes * anchors)  # each s starts at 1
    return s - each * mean


def predicted_gap(run: Run) -> Float[np.ndarray, " T"]:
    """The gap of the localisation under "learned", from the schedule and from how many grids a batch has, alone."""
    rates = loss_rates(config_of(run), len(run.class_names))[0]
    return -rates.cumsum()[run.steps - 1] * (1 - run.active.mean())


def held_share(run: Run) -> float:
    """What the background of the held grids adds to L_cls under "learned" without AMS, mean over the run: by so much
    less than the localisation's does the gap of the classification fall, per unit of its rate."""
    rates = loss_rates(config_of(run), len(run.class_names))[0].cumsum()[run.steps - 1]
    falls = [(gap(run, which)[-1] - gap(run, which)[0]) / (rates[-1] - rates[0]) for which in ("cls", "loc")]
    return float(falls[0] - falls[1])


def loudness(drifting: Run, still: Run) -> dict[str, tuple[Float[np.ndarray, "C A"], Float[np.ndarray, "C A"]]]:
    """How many times as loud as under "steady" each grid is under "learned": by `drift.too_loud`, which knows only how
    often it has a positive, and as the two runs recorded it, at their end. By the name of the loss."""
    pairs = {}
    for which, loss in LOSSES.items():
        held = held_share(drifting) if which == "cls" else 0.0
        wanted = too_loud(drifting.active, float(drifting.active.mean()), held)
        pairs[loss] = (wanted, drifting.products(which) / still.products(which))
    return pairs


def climbs(active: float) -> dict[str, float]:
    """The factor by which lambda_loc rises under "learned" on three schedules, by the law, if the mean share of grids
    with a positive is `active`."""
    found = {}
    kinds = (
        (RATE.with_options(steps=1500), 6, 0.0),
        (paper_voc_darknet53(), 20, 0.0),
        (paper_voc_darknet53(), 20, 0.9),
    )
    names = ("the recorded runs", "the paper's on VOC, plain steps", "the paper's on VOC, momentum 0.9")
    for name, (config, classes, momentum) in zip(names, kinds, strict=True):
        rates, ratio = loss_rates(config, classes)
        found[name] = float(np.exp(climb(rates.sum() / (1 - momentum), active, ratio)))
    return found


def by_the_law(run: Run, which: Which) -> tuple[float, float, float]:
    """At the end of a "steady" training: s of the loss, what the conservation law makes of the anchor weights, and the
    mean of their s."""
    s, mean = float(run.s[which][-1]), float(run.s_anchor[which][-1].mean())
    return s, 1 + (mean - 1) / loss_rates(config_of(run), len(run.class_names))[1], mean


def train_watched(balance: Balance, progress: bool = False, steps: int = 640, images: int = 640) -> Run:
    """Train on drawn scenes by the preset `tiny_scenes`, without AMS, and keep the weights."""
    config = tiny_scenes().with_options(balance=balance, ams=False, steps=steps)
    watch = Watch(config.steps)
    lesson = Scenes(images, size=config.image_size, keep=True)
    train(config, lesson, save=False, progress=progress, on_step=watch)
    return run_of(f"scenes, {balance}", {**watch.told, "class_names": SCENE_CLASSES})


@dataclass(frozen=True)
class Measured:
    """AP in percent of three seeds, on the same test images."""

    each: tuple[float, ...]
    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, each: Float[np.ndarray, " S"], low: float, high: float) -> "Measured":
        """From values between 0 and 1."""
        return cls(tuple((100 * each).tolist()), 100 * float(each.mean()), 100 * low, 100 * high)

    def __str__(self) -> str:
        return f"{self.mean:.1f} ({', '.join(f'{x:.1f}' for x in self.each)})"


def _kept(data: Path, **wanted: Any) -> tuple[Mapping[str, Any], ...]:
    """The ablations on voc_animals, by seed, whose LapNet is the paper's with 1500 steps but for these."""
    paper = {**PAPER, "method": "lapnet", "steps": 1500, "lr": RATE.lr}
    tested = [run for run in runs(data / "runs" / RUNS.name) if run.get("test")]
    return matching({**paper, **wanted}, tested)


def loss_weights(balance: str, ams: bool, data: Path = DATA) -> list[dict[str, list[float]]]:
    """Of each seed: "step", "loc" and "cls", lambda over the steps, as the logs have them."""
    keys = {"step": "step", "loc": "lam_loc", "cls": "lam_cls"}
    lines = _kept(data, balance=balance, ams=ams)
    return [{name: [entry[key] for entry in line["log"]] for name, key in keys.items()} for line in lines]


def precision(ams: bool, metric: str, data: Path = DATA) -> dict[str, Measured]:
    """AP of "learned", of "steady", and their difference, in percent, with 95 % intervals as `lapnet_lab.runs` has
    them."""
    rows = {balance: Row(balance, _kept(data, balance=balance, ams=ams)) for balance in ("learned", "steady")}
    found = {name: Measured.of(row.values(metric), *row.interval(metric)) for name, row in rows.items()}
    gap = difference(rows["steady"], rows["learned"], metric)
    each = rows["steady"].values(metric) - rows["learned"].values(metric)
    return {**found, "difference": Measured.of(each, gap.low, gap.high)}


def by_class(balance: str, data: Path = DATA) -> dict[str, float]:
    """AP50 in percent of each class, the mean over the seeds, without AMS and with one convolution in each stack."""
    row = Row(balance, _kept(data, balance=balance, ams=False, depth=1))
    return {name: 100 * row.mean(objects=name) for name in row.class_names}
