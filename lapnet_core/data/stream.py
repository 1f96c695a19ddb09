"""The order of training: which image stands at which position, and how it is augmented."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from lapnet_core.data.checked import check_dataset, checked, ours
from lapnet_core.data.common import DetectionDataset
from lapnet_core.data.memory import Kept
from lapnet_core.data.named import Images
from lapnet_core.data.types import Sample, Skipped, SkipReport

ORDER, AUGMENTATION, LAYERS = range(3)
"""What random numbers are for; each purpose has its own."""


class Transformed(Dataset[Sample | Skipped]):
    """A data set with each sample transformed, called as transform(image, target). The data set itself stays as it is.

    Where the data set is one of ours, whose images are always the same, `keep` bytes of them stay in memory as they are
    before the transform; and a transform of training gets large JPEGs no larger than it needs them (`largest`).

    Raises:
        ValueError: this is no data set; it has a transform of its own, so that its images are not what its targets say;
            an image or a target that is not as `Images` says, by its number.
    """

    def __init__(self, dataset: Images, transform: Callable[..., Any], keep: float = 0) -> None:
        check_dataset(dataset)
        if getattr(dataset, "transform", None) is not None:
            raise ValueError("the data set has a transform of its own: make it without, and hand the transform on")
        self.dataset, self.transform, self.ours = dataset, transform, ours(dataset)
        self.kept = Kept(keep if self.ours else 0)
        self.least: tuple[int, int] | None = getattr(transform, "largest", None) if self.ours else None

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample | Skipped:
        sample = self.kept.get(index, self._read)
        return sample if isinstance(sample, Skipped) else self.transform(*sample)

    def _read(self, index: int) -> Sample | Skipped:
        dataset = self.dataset
        if self.least and isinstance(dataset, DetectionDataset):
            return dataset.load(index, self.least)
        sample = dataset[index]
        return sample if self.ours or isinstance(sample, Skipped) else checked(sample, index)


class TrainingStream(Dataset[Sample | Skipped]):
    """Position p of training is one augmented image, a function of (seed, p) alone; each epoch is shuffled anew."""

    def __init__(self, dataset: Transformed, seed: int) -> None:
        self.dataset, self.seed = dataset, seed
        self.epoch, self.order = -1, torch.empty(0)

    def __getitem__(self, position: int) -> Sample | Skipped:
        epoch, k = divmod(position, len(self.dataset))
        if epoch != self.epoch:
            generator = torch.Generator().manual_seed(mixed(self.seed, ORDER, epoch))
            self.epoch, self.order = epoch, torch.randperm(len(self.dataset), generator=generator)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(mixed(self.seed, AUGMENTATION, position))  # no GPU's: it takes .1 ms
            return self.dataset[int(self.order[k])]


def mended(dataset: object) -> str:
    """A sentence on images that are used though they end too early, or may be annotated as stored; else empty. Asks the
    data set that a `TrainingStream` or a `Transformed` stands before, which knows what its worker processes met."""
    while isinstance(dataset, TrainingStream | Transformed):
        dataset = dataset.dataset
    report = getattr(dataset, "report", SkipReport())
    told = {"truncated": "images end too early and were used as far as they go", "turned": SkipReport.TOLD["turned"]}
    found = {kind: report.counts[kind] for kind in told if report.counts[kind]}
    return "; ".join(f"{n} {told[kind]}, first: {report.messages[kind][0]}" for kind, n in found.items())


def mixed(seed: int, *purpose: int) -> int:
    """32 bits that depend on all of `seed` and of `purpose`. torch's generator on the CPU keeps no more than 32 of a
    seed, the lowest: a sum or a shift would leave out what lies above them."""
    return int(np.random.SeedSequence((seed, *purpose)).generate_state(1)[0])
