"""Which objects are left without a positive anchor."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from lapnet_core.analyse.tables import BoxTable
from lapnet_core.assign import POSITIVE_THRESHOLD, assign
from lapnet_core.boxes import STRIDE, area

SMALL_AREA = 32.0**2
"""COCO's limit of a small object, in square pixels of the original image."""

IMAGES_AT_ONCE = 16


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
            f"{self.objects} objects, {self.small} of them under 32x32 px. Left without a positive anchor: "
            f"AO {self.missed_ao} ({self.share_missed_ao:.1%}; of the small ones {self.share_missed_ao_small:.1%}), "
            f"PONO {self.missed_pono}, after {self.rescued} rescues"
        )


def coverage(
    table: BoxTable, shapes: Float[Tensor, "C A 2"], grid_size: tuple[int, int], scale: float, stride: int = STRIDE
) -> Coverage:
    """Assign every image of a table by AO and by PONO, and count the objects that no anchor is positive for.

    Args:
        shapes: anchors, in pixels of the network input.
        grid_size: (H, W) cells.
        scale: pixels of the network input per pixel of the original images.
    """
    missed = {"ao": 0, "pono": 0}
    missed_small = rescued = 0
    boxes = table.boxes * scale
    small = area(table.boxes) < SMALL_AREA
    for first in range(0, table.num_images, IMAGES_AT_ONCE):
        here = (table.image_index >= first) & (table.image_index < first + IMAGES_AT_ONCE)
        if not bool(here.any()):
            continue
        batch = boxes[here], table.labels[here], table.image_index[here] - first, IMAGES_AT_ONCE
        for overlap in ("ao", "pono"):
            result = assign(shapes, grid_size, *batch, stride=stride, overlap=overlap)
            lost = result.peaks <= POSITIVE_THRESHOLD
            missed[overlap] += int(lost.sum())
            if overlap == "ao":
                missed_small += int((lost & small[here]).sum())
                rescued += int(result.rescued.sum())
    return Coverage(len(boxes), int(small.sum()), missed["ao"], missed_small, missed["pono"], rescued)
