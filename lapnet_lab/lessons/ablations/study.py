"""The recorded trainings by table, the peers and their tries."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from lapnet_core.ablate import OURS, STEADY, TABLES, TUNED
from lapnet_core.config import laptop_bccd
from lapnet_core.peers.torchvision import DEPTH
from lapnet_lab.runs import BLOOD, Row, matching, options, runs
from lapnet_lab.runs import METRICS as METRICS  # the notebook asks the study for these
from lapnet_lab.runs import difference as difference

STEPS = 1500
"""Of every training but those that say so: 4.5 epochs."""
LONG = 3 * STEPS
GRID = {"centred": True}
"""Of the peers that are shown: in the middle of cells, as new ones have it. Rates were tried with either."""
BLOOD_STEPS = 600
"""Of the trainings on BCCD that are meant where nothing is said: 23 epochs of its 205 images."""
BLOOD_SCHEDULES = (115, 300, BLOOD_STEPS)
"""Lengths of the trainings on BCCD, in steps: 4.5 epochs, as on the photographs, and 12, and 23."""


def table(
    name: str, steps: int = STEPS, among: Sequence[Mapping[str, Any]] | None = None, lr: float = TUNED["lapnet"]
) -> dict[str, Row]:
    """The rows of one of `lapnet_core.ablate.TABLES` that have run, by name; `lr` is LapNet's. RetinaNet, FCOS
    and YOLOv3 are as they are now, with short stacks before their outputs, and their grid is GRID."""
    among = [run for run in (runs() if among is None else among) if "replicates" in run.get("test", {})]
    rows: dict[str, Row] = {}
    for label, changes in TABLES[name].items():
        wanted = {"method": "lapnet", "lr": lr, "steps": steps, "depth": DEPTH, **GRID, **changes}
        if tested := matching(wanted, among):
            rows[label] = Row(label, tested)
    return rows


def blood(name: str, steps: int = BLOOD_STEPS, among: Sequence[Mapping[str, Any]] | None = None) -> dict[str, Row]:
    """The same of the trainings on BCCD: the light backbone, from scratch, with the rate of its preset."""
    return table(name, steps, runs(BLOOD) if among is None else among, laptop_bccd().lr)


def best_of_ours(steps: int = STEPS, among: Sequence[Mapping[str, Any]] | None = None) -> Row:
    """PONO, even weights, no AMS, one convolution in each stack: the best LapNet on val, and so the one to compare
    the peers with."""
    found = table("even", steps, among)["even (ours)"]
    return Row("LapNet (ours)", found.runs)


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
    """A learning rate, and what it reached from seed 0: AP50, 0 to 1; nan on test where nobody has looked."""

    lr: float
    val: float
    test: float


def tries(method: str, among: Sequence[Mapping[str, Any]] | None = None, depth: int = DEPTH) -> list[Try]:
    """The learning rates that a method was tried with, by size; of two runs, with either grid, the last recorded.

    Args:
        depth: convolutions in its stacks, where it has any. LapNet's weights are steady where it is the paper's, and
            even where it is ours; it has no AMS.
    """
    among = runs() if among is None else among
    base = {} if method != "lapnet" else OURS if depth == DEPTH else STEADY
    wanted = {"method": method, "steps": STEPS, **base, "depth": depth}
    rates = sorted({options(run)["lr"] for run in among if options(run)["method"] == method})
    at_zero = [(lr, run) for lr in rates for run in matching({**wanted, "lr": lr}, among) if run["seed"] == 0]
    return [Try(lr, run["val"]["ap50"], run.get("test", {}).get("ap50", math.nan)) for lr, run in at_zero]


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
