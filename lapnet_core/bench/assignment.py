"""Assignment beside the writing of its result, which nothing can undercut, and beside torchvision's `box_iou`."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torchvision.ops import box_iou

from lapnet_core.anchors import anchor_boxes
from lapnet_core.assign import Assignment, assign
from lapnet_core.bench.line import Line
from lapnet_core.boxes import STRIDE
from lapnet_core.processes import pick_device

WRITING = 1.5
"""Limit: times the writing of the result."""
ANCHORS = 10


@dataclass(frozen=True)
class Objects:
    """A batch for `assign`, made up; the sides of anchors and objects are uniform, as wide as is told."""

    name: str
    classes: int
    cells: int
    """Of a side of the square grid."""
    labels: tuple[int, ...]
    images: tuple[int, ...]
    anchor_side: float = 300.0
    object_side: float = 100.0

    @property
    def args(self) -> tuple[Tensor, tuple[int, int], Tensor, Tensor, Tensor, int]:
        """What `assign` takes."""
        g, count, pixels = torch.Generator().manual_seed(0), len(self.labels), self.cells * STRIDE
        shapes = torch.rand(self.classes, ANCHORS, 2, generator=g) * self.anchor_side + 8
        corner = torch.rand(count, 2, generator=g) * (pixels - self.object_side - 5)
        boxes = torch.cat((corner, corner + torch.rand(count, 2, generator=g) * self.object_side + 5), 1)
        tensors = (shapes, boxes, torch.tensor(self.labels), torch.tensor(self.images))
        shapes, boxes, labels, images = (x.to(pick_device("auto")) for x in tensors)
        return shapes, (self.cells, self.cells), boxes, labels, images, max(self.images) + 1

    def __str__(self) -> str:
        images = f"{max(self.images) + 1} images, " if max(self.images) else ""
        return f"{self.name}, {images}{self.classes} classes, {len(self.labels):,} objects"


SEVEN = (0, 0, 0, 2, 2, 56, 79)
COCO = Objects("COCO-512", 80, 64, SEVEN, (0,) * 7)
AERIAL = Objects("aerial, 1024 px, objects of one class", 15, 128, (0,) * 1000, (0,) * 1000, 40.0, 40.0)
OTHERS = (
    Objects("VOC-512", 20, 64, (14, 14, 8, 6, 14), (0, 0, 0, 1, 1)),
    Objects("COCO-608", 80, 76, SEVEN, (0,) * 7),
)


def lines(quick: bool) -> Iterator[Line]:
    """Both maps written out, [B, C, A, H, W]; the anchors that `box_iou` needs are made beforehand."""
    for objects in (COCO, AERIAL) if quick else (*OTHERS, COCO, AERIAL):
        ours = partial(maps, *objects.args)
        written = partial(write, assign(*objects.args))
        check_same(ours(), written())
        yield Line(f"assign, {objects}", "writing the result", ours, written, WRITING)

    shapes, grid, boxes, labels, *_ = COCO.args
    anchors, ours = anchor_boxes(shapes, grid), partial(maps, *COCO.args)
    same = partial(by_box_iou, boxes, labels, anchors)
    check_same(ours(), same())
    yield Line(f"assign, {COCO}", "the same maps by box_iou with the anchors of the class", ours, same)
    yield Line(
        f"assign, {COCO}", "box_iou alone, anchors of the class", ours, partial(same_class, boxes, labels, anchors)
    )
    if not quick:
        everything = partial(box_iou, boxes, anchors.view(-1, 4))
        yield Line(f"assign, {COCO}", "box_iou alone, all anchors", ours, everything, repeats=5)


def maps(*args: object) -> tuple[Tensor, Tensor]:
    """`assign`, with O and the owners written out."""
    result = assign(*args)  # pyright: ignore[reportArgumentType]
    return result.overlap, result.object_index


def write(result: Assignment) -> tuple[Tensor, Tensor]:
    """The maps of a result that is there: filled with 0 and -1, and the planes of classes that have objects written."""
    batch, classes, *rest = result.shape
    device = result.planes.device
    overlap = torch.zeros(batch * classes, *rest, device=device)
    owner = torch.full((batch * classes, *rest), -1, device=device)
    overlap[result.planes], owner[result.planes] = result.plane_overlap, result.plane_object
    return overlap.view(result.shape), owner.view(result.shape)


def same_class(boxes: Tensor, labels: Tensor, anchors: Tensor) -> list[Tensor]:
    """IoU of the objects of each class with its anchors."""
    return [box_iou(boxes[labels == c], anchors[c].view(-1, 4)) for c in labels.unique().tolist()]


def by_box_iou(boxes: Tensor, labels: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
    """The maps of one image without rescues, as one would write them with torchvision."""
    overlap = anchors.new_zeros(1, *anchors.shape[:-1])
    owner = torch.full_like(overlap, -1, dtype=torch.long)
    for c in labels.unique().tolist():
        ids = (labels == c).nonzero().flatten()
        best, winner = box_iou(boxes[ids], anchors[c].view(-1, 4)).max(0)
        peaks = torch.stack([best[winner == k].max() for k in range(len(ids))])
        overlap[0, c] = (best / peaks[winner]).view(overlap.shape[2:])
        owner[0, c] = torch.where(best > 0, ids[winner], -1).view(overlap.shape[2:])
    return overlap, owner


def check_same(ours: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> None:
    """ValueError where an owner differs, or an overlap by more than its rounding."""
    if not torch.equal(ours[1], other[1]) or not torch.allclose(ours[0], other[0], atol=1e-5):
        raise ValueError("assign and what it is compared with disagree")
