"""Which objects are left without a positive anchor, object by object (paper 3.2)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lapnet_core.boxes import STRIDE
from lapnet_core.data.tables import BoxTable
from lapnet_lab.coverage import ObjectCoverage


def shifted_object(
    size: tuple[float, float],
    shifts: Float[Tensor, "S 2"],
    shapes: Float[Tensor, "A 2"],
    grid_size: tuple[int, int] = (32, 32),
    stride: int = STRIDE,
) -> ObjectCoverage:
    """One object at several places of the grid, as if each were an image of its own.

    Args:
        size: (w, h) of the object in pixels.
        shifts: (x, y) in pixels from the centre of a cell in the middle of the grid.
        shapes: (w, h) of the anchors.

    Returns:
        ObjectCoverage with one entry a shift.
    """
    middle = torch.tensor([(cells // 2 + 0.5) * stride for cells in grid_size[::-1]])
    half = torch.tensor(size) / 2
    center = middle + shifts
    number = len(shifts)
    table = BoxTable(torch.cat((center - half, center + half), 1), torch.zeros(number, dtype=torch.int64),
                     torch.arange(number), ("object",), number, dropped=0)  # fmt: skip
    return object_coverage(table, shapes[None], grid_size, stride=stride)


def inside_another(table: BoxTable, which: Bool[Tensor, " G"]) -> Bool[Tensor, " G"]:
    """Those of the objects `which` whose box lies inside (or equals) another one of their image and class."""
    found = torch.zeros_like(which)
    for n in which.nonzero().flatten().tolist():
        rival = (table.image_index == table.image_index[n]) & (table.labels == table.labels[n])
        rival[n] = False
        others, own = table.boxes[rival], table.boxes[n]
        found[n] = ((others[:, :2] <= own[:2]) & (others[:, 2:] >= own[2:])).all(1).any()
    return found
