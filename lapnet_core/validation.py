"""What a training watches itself by: mAP on images that it is not trained on, the best model so far, and the moving
average of the weights that both are about where there is one. Training is the same to the bit without."""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
import torch.distributed as dist
from tqdm.auto import tqdm

from lapnet_core.config import TrainConfig
from lapnet_core.data import DataError
from lapnet_core.data.named import Images, open_dataset, splits_of
from lapnet_core.detector import Detector, Predicted, joined, note_of
from lapnet_core.evaluate import voc_map
from lapnet_core.files import not_finite
from lapnet_core.method import Method
from lapnet_core.processes import from_first, in_turn, usable_cores

BATCH = 8
"""Images in a batch, as `lapnet evaluate` takes them: so both say the same number, whatever the training's batch."""


def decay_after(step: int, decay: float) -> float:
    """d of the moving average after `step` steps. Early on it forgets fast: it started at random weights."""
    return min(decay, (1 + step) / (10 + step))


class Average:
    """The moving average of a method (EMA): avg = d * avg + (1 - d) * state, with d from `decay_after`.

    All numbers of the state are averaged: BatchNorm's statistics have to fit the weights that they stand behind, what
    is constant stays what it is, and balance weights play no part in detection. Counts are copied.
    """

    def __init__(self, method: Method, decay: float) -> None:
        self.method, self.decay = deepcopy(method).eval(), decay

    @torch.no_grad()
    def update(self, method: Method, step: int) -> None:
        """Take in the state after `step` steps."""
        weight = 1 - decay_after(step, self.decay)
        new = method.state_dict()
        for name, value in self.method.state_dict().items():
            if value.is_floating_point():
                value.lerp_(new[name], weight)
            else:
                value.copy_(new[name])


@dataclass
class Best:
    """What validation has found so far."""

    val_map: float = -1.0
    """VOC mAP at IoU .5 (area) of the best model, 0..1; below 0 before the first validation."""
    step: int = 0
    """... and the step that it is of."""
    stale: int = 0
    """Validations since then, which brought nothing better."""
    validated: int = 0
    """Step of the last validation."""


def impatient(config: TrainConfig, best: Best) -> str:
    """Why the training ends before its last step; empty where it does not."""
    if not 0 < config.patience <= best.stale:
        return ""
    return (
        f"{best.stale} validations, one after the other, brought nothing better than step {best.step} "
        f"(--patience {config.patience})"
    )


def images_to_validate_on(config: TrainConfig, class_names: tuple[str, ...], given: Images | None = None) -> Images:
    """The config's val_split with the labels of the training, or what is given in its place.

    Raises:
        ValueError: it has other classes, or no object that counts, so that there is no mAP.
        DataError: the data has no such part, or a faulty one.
    """
    where, dataset = f"{config.data}, {config.val_split}", given
    if dataset is None:
        if config.val_split not in splits_of(config.data):
            raise DataError(f"{where}: there are no images to validate on; train without, by --val-every 0")
        size, policy = config.image_size, config.on_error
        dataset = open_dataset(config.data, config.val_split, image_size=size, class_names=class_names, on_error=policy)
    if tuple(dataset.class_names) != class_names:
        raise ValueError(f"{where} has the classes {tuple(dataset.class_names)}; the training has {class_names}")
    if all(bool(dataset.target(i)["difficult"].all()) for i in range(len(dataset))):
        raise ValueError(f"{where}: no image has an object that counts, so that there is nothing to validate on")
    return dataset


class Validation:
    """Validations of a training on `dataset`, and what they have found."""

    def __init__(
        self, config: TrainConfig, dataset: Images, best: Best, device: torch.device, rank: int, world: int,
        progress: bool,
    ) -> None:  # fmt: skip
        self.config, self.dataset, self.best, self.device = config, dataset, best, device
        self.rank, self.world, self.progress = rank, world, progress
        report = getattr(dataset, "report", None)
        if progress and report and report.counts:  # of the training's own it was said when it was opened
            counted = report.summary().removeprefix(f"{report.source}\n")
            print(f"{config.val_split}, which is validated on: {counted}")

    def due(self, step: int) -> bool:
        """Whether the model after `step` steps is to be validated, and was not."""
        regular = step % self.config.val_every == 0 or step == self.config.steps
        return step > 0 and regular and step != self.best.validated

    def measure(self, detector: Detector, stopped: Callable[[torch.device], bool]) -> tuple[float, list[str]] | None:
        """VOC mAP at IoU .5, the same in all processes, and the messages of images that could not be read. None where
        a signal came: asked for after every batch.

        Raises:
            FloatingPointError: the state is not finite.
            ValueError: no object is left, as its images cannot be read.
        """
        state = detector.method.state_dict()
        if wrong := not_finite(state):
            raise FloatingPointError(f"{wrong} is not finite, so that there is nothing to validate; try a smaller lr")
        for value in state.values() if self.world > 1 else ():
            dist.broadcast(value, 0)  # BatchNorm's statistics are each process's own; DDP goes on from the first's
        workers, own = min(self.config.workers, usable_cores()), list[Predicted]()
        rounds = -(-len(self.dataset) // (BATCH * self.world))  # as many for all, so that all ask for a signal together
        on_gpu, hidden = [self.device] if self.device.type == "cuda" else [], None if self.progress else True
        with (
            torch.random.fork_rng(on_gpu),
            tqdm(total=rounds, desc="validate", unit="batch", leave=False, disable=hidden) as bar,
        ):
            batches = detector.predict_batches(
                self.dataset, batch_size=BATCH, workers=workers, rank=self.rank, world=self.world
            )
            for _ in range(rounds):
                own += islice(batches, 1)  # none, where only others have a batch left
                bar.update()
                if stopped(self.device):
                    return None
        detections, targets, skipped = joined(in_turn(own))
        found = voc_map(detections, targets, len(detector.class_names)).mean_ap if targets else math.nan
        found = from_first(found)
        if math.isnan(found):
            raise ValueError(f"no image to validate on that has an object can be read; {'; '.join(skipped[:1])}")
        return found, skipped

    def note(self, step: int, val_map: float) -> bool:
        """Take in a result; whether it is the best so far."""
        better = val_map > self.best.val_map
        if better:
            self.best.val_map, self.best.step, self.best.stale = val_map, step, 0
        else:
            self.best.stale += 1
        self.best.validated = step
        return better

    def keep(self, detector: Detector, path: Path) -> None:
        """Save the best model, unless a better one lies there: a training that goes on from an older checkpoint is not
        yet where it was."""
        if note_of(path).get("val_map", -1.0) <= self.best.val_map:
            detector.save(path, note={"val_map": self.best.val_map, "step": self.best.step})
