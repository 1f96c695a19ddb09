"""Who has the say in the losses: what `recording` wrote down while both rules trained, batch by batch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from lapnet_lab.lessons.weights.study import LOSSES
from lapnet_lab.records import DATA
from lapnet_lab.runs import runs

KINDS = ("positives", "background of active grids", "background of held grids")
"""Whose the classification loss is. A held grid (c, a) has no positive in the batch: all of it is background."""
RARE = 0.1
"""A grid is seen seldom where it has a positive in fewer of the batches."""


@dataclass(frozen=True, eq=False)
class Slots:
    """What one training told. The dicts have the keys "loc" and "cls"; T times were recorded."""

    name: str
    class_names: tuple[str, ...]
    shapes: Float[np.ndarray, "C A 2"]
    steps: Int[np.ndarray, " T"]
    cls_of: Float[np.ndarray, "T 3"]
    """Weighted classification loss of each of KINDS, mean over the batches since the time before."""
    active: Float[np.ndarray, " T"]
    """Share of the grids that have a positive in a batch, the same mean."""
    product: Mapping[str, Float[np.ndarray, "C A"]]
    """lambda * lambda[c, a] at the end."""
    mean: Mapping[str, Float[np.ndarray, "C A"]]
    """S: the grid's part of the loss before weights, mean over the batches of the last quarter in which it was seen."""
    seen: Mapping[str, Float[np.ndarray, "C A"]]
    """Share of the last quarter's batches in which it has a positive."""
    longest: Int[np.ndarray, "C A"]
    """Its longest absence, in batches."""
    back: Mapping[str, Float[np.ndarray, "B 5"]]
    """Of absences of 1 batch, 2 to 3, 4 to 7, ...: the least, how many, and means over them: how many times 1 / (C*A)
    the grid's weighted part is when it comes back, how many times 1 / k of what the k active ones add, and how many
    times as large its weight is as when it went."""

    @property
    def shares(self) -> Float[np.ndarray, "T 3"]:
        """Of the weighted classification loss, by KINDS."""
        return self.cls_of / self.cls_of.sum(1, keepdims=True)

    @property
    def late(self) -> Float[np.ndarray, " 3"]:
        """The same of all batches of the second half."""
        sums = self.cls_of[len(self.steps) // 2 :].sum(0)
        return sums / sums.sum()

    def asked(self, which: str) -> Float[np.ndarray, "C A"]:
        """1 / (C*A*S), where each product should rest; nan where the last quarter did not see the grid."""
        mean = np.where(self.seen[which] > 0, self.mean[which], np.nan)
        return 1 / (mean.size * mean)

    def rare(self, which: str = "cls") -> Any:
        """Which grids are seen seldom."""
        return self.seen[which] < RARE


def slots_of(told: Mapping[str, Any]) -> Slots:
    """From a line of data/runs/slots_voc_animals.jsonl."""
    each = {name: {which: np.array(told[f"{name}_{which}"], dtype=float) for which in LOSSES} for name in
            ("weight", "mean", "seen", "back")}  # fmt: skip
    product = {which: np.exp(-told[f"s_{which}"][-1]) * weight for which, weight in each["weight"].items()}
    seen = {which: count / told["batches"] for which, count in each["seen"].items()}
    return Slots(
        told["run"], tuple(told["class_names"]), np.array(told["shapes"], dtype=float), np.array(told["steps"]),
        np.array(told["cls_of"], dtype=float), np.array(told["active"], dtype=float)[:, 1], product, each["mean"], seen,
        np.array(told["longest_cls"]), {which: rows.reshape(-1, 5) for which, rows in each["back"].items()},
    )  # fmt: skip


def recorded(data: Path = DATA) -> dict[str, Slots]:
    """The recorded trainings, by name: both rules with batches of two, and those with batches of eight."""
    found = {told["run"]: slots_of(told) for told in runs(data / "runs" / "slots_voc_animals.jsonl")}
    return {name: found[name] for name in sorted(found, key=lambda name: (not name.endswith("batch 2"), name))}
