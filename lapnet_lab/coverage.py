"""How many anchors answer for each object of a data set, under AO and under PONO."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from lapnet_core.assign import POSITIVE_THRESHOLD, assign
from lapnet_core.boxes import STRIDE, area
from lapnet_core.data.box_table import BoxTable
from lapnet_lab.gather import IMAGES_AT_ONCE, few_images

SMALL_AREA = 32.0**2
"""COCO's limit of a small object, in square pixels of the original image."""


@dataclass(frozen=True)
class Coverage:
    """How many objects are left without any positive anchor (overlap > 0.5)."""

    objects: int
    small: int
    """Objects under SMALL_AREA."""
    missed_ao: int
    missed_ao_small: int
    missed_pono: int
    """With the rescue."""
    rescued: int
    """Objects with an empty cluster: what PONO misses without the rescue."""

    @property
    def share_missed_ao(self) -> float:
        """Share of all objects, 0 to 1."""
        return self.missed_ao / max(1, self.objects)

    @property
    def share_missed_ao_small(self) -> float:
        """Share of the small objects, 0 to 1."""
        return self.missed_ao_small / max(1, self.small)

    def __str__(self) -> str:
        return (
            f"{self.objects} objects, {self.small} of them under 32x32 px.\nLeft without a positive anchor: "
            f"AO {self.missed_ao} ({self.share_missed_ao:.1%}; of the small ones {self.share_missed_ao_small:.1%}), "
            f"PONO {self.missed_pono}, after {self.rescued} rescues"
        )


@dataclass(frozen=True)
class SideBins:
    """The objects of a data set in K bins of their side, with what AO and PONO do for each bin."""

    edges: Float[Tensor, " E"]
    """K + 1 limits, in pixels of the network input. What lies beyond the first or the last counts in the end bins."""
    objects: Int[Tensor, " K"]
    missed_ao: Int[Tensor, " K"]
    missed_pono: Int[Tensor, " K"]
    rescued: Int[Tensor, " K"]
    positives_ao: Float[Tensor, "K 3"]
    """Positives of an object: lower quartile, median, upper quartile; nan for a bin without objects."""
    positives_pono: Float[Tensor, "K 3"]


@dataclass(frozen=True)
class ObjectCoverage:
    """What AO and PONO (with the rescue) have for each object of a data set; a positive is an overlap > 0.5."""

    area: Float[Tensor, " G"]
    """In square pixels of the original image."""
    scale: float
    """Pixels of the network input per pixel of the original image."""
    ao_peak: Float[Tensor, " G"]
    """IoU of the object's best anchor; 0 where its cluster is empty."""
    ao_positives: Int[Tensor, " G"]
    pono_positives: Int[Tensor, " G"]
    rescued: Bool[Tensor, " G"]
    """Which objects had an empty cluster."""
    ao_at: Mapping[float, Int[Tensor, " G"]] = field(default_factory=dict)
    """Other thresholds on the IoU -> the AO positives under them."""

    def with_ao_threshold(self, threshold: float) -> "ObjectCoverage":
        """The same with AO's positives under another threshold, one of `ao_at`."""
        return replace(self, ao_positives=self.ao_at[threshold])

    @property
    def side(self) -> Float[Tensor, " G"]:
        """sqrt(w * h), in pixels of the network input: there the grid has its stride."""
        return self.area.sqrt() * self.scale

    @property
    def missed_ao(self) -> Bool[Tensor, " G"]:
        """Which objects no anchor is positive for, under AO."""
        return self.ao_positives == 0

    @property
    def missed_pono(self) -> Bool[Tensor, " G"]:
        """Which objects no anchor is positive for, under PONO."""
        return self.pono_positives == 0

    def total(self) -> Coverage:
        """The counts over all objects."""
        small = self.area < SMALL_AREA
        counted = small, self.missed_ao, self.missed_ao & small, self.missed_pono, self.rescued
        return Coverage(len(self.area), *(int(which.sum()) for which in counted))

    def by_side(self, edges: Sequence[float]) -> SideBins:
        """The counts in bins of the side.

        Args:
            edges: K + 1 ascending limits in pixels of the network input; a side equal to a limit counts above it.
        """
        limits = torch.tensor(edges, dtype=torch.float32)
        bins, number = torch.bucketize(self.side, limits[1:-1], right=True), len(edges) - 1
        every = torch.ones_like(self.rescued)
        counts = [bins[which].bincount(minlength=number) for which in
                  (every, self.missed_ao, self.missed_pono, self.rescued)]  # fmt: skip
        quartiles = [torch.stack([_quartiles(positives[bins == k]) for k in range(number)]) for positives in
                     (self.ao_positives, self.pono_positives)]  # fmt: skip
        return SideBins(limits, *counts, *quartiles)


def _quartiles(counts: Int[Tensor, " n"]) -> Float[Tensor, "3"]:
    if not len(counts):
        return torch.full((3,), torch.nan)
    return counts.float().quantile(torch.tensor([0.25, 0.5, 0.75]))


def object_coverage(
    table: BoxTable,
    shapes: Float[Tensor, "C A 2"],
    grid_size: tuple[int, int],
    scale: float = 1.0,
    stride: int = STRIDE,
    ao_thresholds: Sequence[float] = (),
    progress: bool = False,
) -> ObjectCoverage:
    """Assign every image of a table by AO and by PONO, and count each object's positive anchors.

    Args:
        shapes: anchors, in pixels of the network input.
        grid_size: (H, W) cells.
        scale: pixels of the network input per pixel of the original images.
        ao_thresholds: under which AO's positives are counted, too, for `ao_at`.
        progress: show a bar.
    """
    number, boxes = len(table.boxes), table.boxes * scale
    peaks, rescued = torch.zeros(number), torch.zeros(number, dtype=torch.bool)
    positives = {overlap: torch.zeros(number, dtype=torch.int64) for overlap in ("ao", "pono")}
    ao_at = {threshold: torch.zeros(number, dtype=torch.int64) for threshold in ao_thresholds}
    parts = few_images(boxes, table.labels, table.image_index, table.num_images)
    for here, batch in tqdm(
        parts, f"{IMAGES_AT_ONCE} images", -(-table.num_images // IMAGES_AT_ONCE), disable=not progress
    ):
        ao = assign(shapes, grid_size, *batch, stride=stride, overlap="ao")
        pono = assign(shapes, grid_size, *batch, stride=stride)
        peaks[here], rescued[here] = ao.peaks, ao.rescued
        for overlap, result in (("ao", ao), ("pono", pono)):
            positives[overlap][here] = result.positives().object_index.bincount(minlength=len(batch[0]))
        above = ao.positives(min(ao_at, default=POSITIVE_THRESHOLD))
        for threshold, counts in ao_at.items():
            counts[here] = above.object_index[above.overlap > threshold].bincount(minlength=len(batch[0]))
    return ObjectCoverage(area(table.boxes), scale, peaks, positives["ao"], positives["pono"], rescued, ao_at)


def coverage(
    table: BoxTable, shapes: Float[Tensor, "C A 2"], grid_size: tuple[int, int], scale: float, stride: int = STRIDE
) -> Coverage:
    """`object_coverage` in total: how many objects no anchor is positive for."""
    return object_coverage(table, shapes, grid_size, scale, stride).total()
