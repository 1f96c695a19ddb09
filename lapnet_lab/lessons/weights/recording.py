"""Who has the say: what each slot (c, a) adds to the two losses while LapNet trains, recorded for notebook 08.

`python -m lapnet_lab.lessons.weights.recording FILE` makes the trainings that FILE does not have, a line for each, from
pretrained weights on voc_animals; each takes minutes of one core.
"""

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lapnet_core.ablate import TABLES, append, rounded
from lapnet_core.boxes import at_least_float32
from lapnet_core.config import TrainConfig, small_photos
from lapnet_core.data.named import open_dataset
from lapnet_core.losses import LapNetLoss, LossTerms, classification_loss, localization_loss
from lapnet_core.method import Method
from lapnet_core.timing import machine_name
from lapnet_core.train import train
from lapnet_lab.runs import runs

LOOKS = 30
"""So many times in a training the means since the look before are written down."""
BINS = 16
"""Of absences: 1 batch, 2 to 3, 4 to 7, and so on."""
SETTLED = 0.1
"""Comebacks are counted after this share of the steps, when the weights have found their size."""

Numbers = Float[np.ndarray, "C A"]


@dataclass(frozen=True, eq=False)
class Parts:
    """What each slot adds to the losses of a batch, before weights. A held slot has no positive: it is background."""

    loc: Numbers
    """Sum of (1 - O_hat)^2, over N+."""
    ones: Numbers
    """Cross-entropy of its positives, over N."""
    background: Numbers
    """Cross-entropy of its other anchors, over N."""
    has: Mapping[str, Bool[np.ndarray, "C A"]]
    """Which slots have a positive, for "loc" and for "cls"."""


def parts_of(loss: LapNetLoss, scores: Float[Tensor, "B C A H W"], terms: LossTerms) -> Parts:
    """The parts of a batch of this process, from what the loss was given and what it returned."""
    at, shape = terms.positives, tuple(scores.shape[1:3])
    slot = at.label * shape[1] + at.anchor

    def by_slot(values: Tensor, slots: Tensor) -> Tensor:
        return torch.zeros(shape[0] * shape[1], dtype=torch.float64).index_add(0, slots.cpu(), values.double().cpu())

    each = classification_loss(at_least_float32(scores.detach()), terms.labels, loss.balance).contiguous().view(-1)
    positive = at.flat[terms.positive]
    ones = by_slot(each[positive], slot[terms.positive])
    each[at.flat if loss.ams_rule == "ignore" else positive] = 0
    background = each.view(scores.shape).sum((0, 3, 4)).view(-1).double().cpu()
    loc = by_slot(localization_loss(terms.predicted_overlap), slot)
    count = max(1, scores.numel())
    tables = (loc / max(1, len(slot)), ones / count, background / count)
    loc, ones, background = (table.view(shape).numpy() for table in tables)
    slots = {"loc": slot, "cls": slot[terms.positive]}
    has = {which: found.bincount(minlength=loc.size).view(shape).cpu().numpy() > 0 for which, found in slots.items()}
    return Parts(loc, ones, background, has)


@dataclass
class Comebacks:
    """How loud the slots of one loss are when they come back, by how many batches they stayed away."""

    shape: tuple[int, int]
    batch: int = 0
    sums: Float[np.ndarray, "bins 4"] = field(default_factory=lambda: np.zeros((BINS, 4)))
    """Comebacks; and summed over them: C*A times the weighted part, which is 1 where a slot has what its weight wishes;
    k times its share of what the k active slots add; the log of how far its weight was carried up meanwhile."""

    def __post_init__(self) -> None:
        self.last = np.full(self.shape, -1)  # batch in which the slot was seen last
        self.s_then = np.zeros(self.shape)  # s of the loss after that batch's step
        self.longest, self.loud = np.zeros(self.shape, dtype=int), np.zeros(self.shape)

    def hear(self, s: float, weighted: Numbers, has: Bool[np.ndarray, "C A"], counted: bool) -> None:
        """One more batch: s of the loss in it, and the weighted part of each slot."""
        self.s_then = np.where(self.last == self.batch - 1, s, self.s_then)
        away, back = self.batch - self.last, has & (self.last >= 0) & counted
        loud, share = weighted.size * weighted, weighted / max(float(weighted[has].sum()), 1e-300)
        told = np.stack([back, loud, has.sum() * share, self.s_then - s], -1)[back]
        np.add.at(self.sums, np.minimum(np.log2(away[back]).astype(int), BINS - 1), told)
        longer = back & (away > self.longest)
        self.longest, self.loud = np.where(longer, away, self.longest), np.where(longer, loud, self.loud)
        self.last = np.where(has, self.batch, self.last)
        self.batch += 1

    @property
    def told(self) -> list[list[float]]:
        """(Shortest absence, comebacks, loudness, share, factor by which the weight rose), means over the bin."""
        rows = [(2**b, n, *(x / n)) for b, (n, *sums) in enumerate(self.sums) if n for x in [np.array(sums)]]
        return [[start, n, loud, share, float(np.exp(rise))] for start, n, loud, share, rise in rows]


class Recorder:
    """Hand it to `train` as `on_step`; `told` is what it recorded. It hears each batch from the second on."""

    def __init__(self, steps: int) -> None:
        self.steps, self.every = steps, max(1, steps // LOOKS)
        self.told: dict[str, Any] = {"steps": [], "cls_of": [], "loc": [], "active": [], "s_loc": [], "s_cls": []}
        self.seconds = 0.0
        """What listening took, of this process's time."""
        self.hook: Any = None

    def __call__(self, step: int, method: Method) -> None:
        lapnet: Any = method
        loss: LapNetLoss = lapnet.criterion
        if self.hook is None:
            shape = loss.s_loc_anchor.shape[0], loss.s_loc_anchor.shape[1]
            self.told["shapes"] = rounded(lapnet.shapes.cpu().numpy())
            self.comebacks = {"loc": Comebacks(shape), "cls": Comebacks(shape)}
            self.heard, self.late = np.zeros(7), {name: np.zeros((4, *shape)) for name in ("loc", "cls")}
            self.hook = loss.register_forward_hook(self.hear)
        if step % self.every == 0:
            self.look(step, loss)
        if step == self.steps:
            self.hook.remove()
            self.finish(loss)

    @torch.no_grad()
    def hear(self, loss: LapNetLoss, given: tuple[Any, ...], terms: LossTerms) -> None:
        """The loss was computed for a batch, with the weights as they are."""
        started = time.process_time()
        parts = parts_of(loss, given[0], terms)
        batch = self.comebacks["loc"].batch + 2  # the first one was not heard
        sums = {"loc": parts.loc, "cls": parts.ones + parts.background}
        learned, weights = dict(loss.named_parameters()), dict[str, Numbers]()
        for which, table in sums.items():
            s, s_anchor = (learned[f"s_{which}{end}"].cpu().double() for end in ("", "_anchor"))
            weights[which], has = torch.exp(-s - s_anchor).numpy(), parts.has[which]
            self.comebacks[which].hear(s.item(), weights[which] * table, has, batch > SETTLED * self.steps)
            if batch > self.steps * 3 // 4:
                self.late[which] += np.stack([has * table, has, ~has * table, ~has])
        ones, background = weights["cls"] * parts.ones, weights["cls"] * parts.background
        has = parts.has["cls"]
        of = [ones.sum(), background[has].sum(), background[~has].sum(), (weights["loc"] * parts.loc).sum()]
        self.heard += np.array([1, *of, parts.has["loc"].mean(), has.mean()])
        self.seconds += time.process_time() - started

    def look(self, step: int, loss: LapNetLoss) -> None:
        """Write down the means since the look before."""
        means = self.heard[1:] / max(1, self.heard[0])
        for name, value in (
            ("steps", step), ("cls_of", rounded(means[:3])), ("loc", rounded(means[3])), ("active", rounded(means[4:])),
            ("s_loc", rounded(loss.s_loc.item())), ("s_cls", rounded(loss.s_cls.item())),
        ):  # fmt: skip
            self.told[name].append(value)
        self.heard = np.zeros(7)

    def finish(self, loss: LapNetLoss) -> None:
        """Write down the last weights, the comebacks, and of the last quarter what each slot's loss was on average."""
        _, _, of_held, held = self.late["cls"]
        self.told["mean_held"] = rounded(of_held / np.maximum(held, 1))
        self.told["batches"] = self.steps - self.steps * 3 // 4
        for which, (of_active, active, _, _) in self.late.items():
            back = self.comebacks[which]
            self.told |= {
                f"weight_{which}": rounded(loss.anchor_weights[which == "cls"].cpu().numpy()),
                f"mean_{which}": rounded(of_active / np.maximum(active, 1)),
                f"seen_{which}": active.astype(int).tolist(),
                f"back_{which}": rounded(back.told),
                f"loud_{which}": rounded(back.loud),
                f"longest_{which}": back.longest.tolist(),
            }


def configs() -> dict[str, TrainConfig]:
    """What is recorded: the two rules without AMS, as `lapnet ablate` trains them; and for 1,000 steps with batches of
    two images, at a learning rate in proportion."""
    rows = TABLES["2b without AMS"]
    rules = {"learned": rows["loss and anchor weights"], "steady": rows["steady (ours)"]}
    found = {}
    for name, less in (("", {}), (", batch 2", {"batch_size": 2, "lr": 0.01, "steps": 1000})):
        for rule, changes in rules.items():
            start = small_photos().with_options(data="voc_animals", split="train", steps=1500, val_every=0)
            found[rule + name] = start.with_options(**changes, **less)
    return found


def record(name: str, config: TrainConfig, progress: bool = True) -> dict[str, Any]:
    """Train, and what a line of data/runs/slots_voc_animals.jsonl has."""
    dataset = open_dataset(config.data, config.split, image_size=config.image_size, on_error=config.on_error)
    recorder = Recorder(config.steps)
    before = time.process_time()
    train(config, dataset, save=False, progress=progress, on_step=recorder)
    listening = recorder.seconds / (time.process_time() - before)
    return {
        "run": name, "class_names": list(dataset.class_names), "seed": config.seed, "batch_size": config.batch_size,
        "lr": config.lr, "listening": rounded(listening), "torch": torch.__version__,
        "machine": machine_name(config.device), "threads": torch.get_num_threads(), "date": time.strftime("%Y-%m-%d"),
        **recorder.told,
    }  # fmt: skip


def main() -> None:
    """Record what is not recorded yet."""
    parser = argparse.ArgumentParser(prog="python -m lapnet_lab.lessons.weights.recording", description=__doc__)
    parser.add_argument("file", type=Path, help="a line for each training")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name, config in configs().items():
        if not given.file.is_file() or name not in {line["run"] for line in runs(given.file)}:
            append(given.file, record(name, config))
            print(f"{given.file} has {name}", flush=True)


if __name__ == "__main__":
    main()
