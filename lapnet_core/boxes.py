"""Boxes: areas, paired IoU, the separable IoU of an anchor grid, and the decoding of offsets (paper 3.1 and 3.3).

Boxes are `xyxy`: (x1, y1, x2, y2) in pixels of the network input, continuous, x2 > x1 and y2 > y1. Shapes are (w, h).
Everything here is computed in float32 (or float64, when that is what comes in), also under autocast.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

STRIDE = 8
"""Pixels of the input per cell of the output map (paper 4: "feat stride = 8")."""

MAX_LOG_SCALE = math.log(1000 / 16)
"""Largest dw or dh that `decode` uses: exp is clamped to 62.5, torchvision's and Detectron's value. Paper is silent."""


def at_least_float32(x: Tensor) -> Tensor:
    """`x` as float32; float64 stays, so that gradients can be checked in double precision."""
    return x if x.dtype == torch.float64 else x.float()


def area(boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    """Area in square pixels of `xyxy` boxes; a box turned inside out has area 0."""
    width, height = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).unbind(-1)
    return width * height


def paired_iou(a: Float[Tensor, "*n 4"], b: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    """IoU of `a[k]` with `b[k]`, both `xyxy`; 0 where the union has no area.

    Used for O_hat = IoU(predicted box, its object), so it is differentiable with finite gradients everywhere, also for
    boxes that do not touch.
    """
    top_left = torch.maximum(a[..., :2], b[..., :2])
    bottom_right = torch.minimum(a[..., 2:], b[..., 2:])
    width, height = (bottom_right - top_left).clamp(min=0).unbind(-1)
    intersection = width * height
    union = area(a) + area(b) - intersection
    # The clamp keeps 0/0 out of the gradient; no real union is that small.
    return intersection / union.clamp(min=torch.finfo(union.dtype).tiny)


def covered(boxes: Float[Tensor, "n 4"], others: Float[Tensor, "m 4"]) -> Float[Tensor, "n m"]:
    """The share of each box that each of the others covers, all `xyxy`: in [0, 1], in place of the IoU with a crowd."""
    low = torch.maximum(boxes[:, None, :2], others[:, :2])
    high = torch.minimum(boxes[:, None, 2:], others[:, 2:])
    return (high - low).clamp(min=0).prod(-1) / area(boxes)[:, None].clamp(min=1e-9)


def shape_iou(a: Float[Tensor, "n 2"], b: Float[Tensor, "m 2"]) -> Float[Tensor, "n m"]:
    """IoU of every (w, h) in `a` with every (w, h) in `b`, as boxes with one common centre (YOLOv2's k-means)."""
    intersection = torch.minimum(a[:, None], b[None]).prod(-1)
    return intersection / (a.prod(-1)[:, None] + b.prod(-1)[None] - intersection)


def cell_centers(n: int, stride: int = STRIDE, device: torch.device | None = None) -> Float[Tensor, " n"]:
    """Centres (k + 0.5) * stride, in pixels, of `n` cells in a row."""
    return (torch.arange(n, device=device, dtype=torch.float32) + 0.5) * stride


def shared_length(center: Tensor, half: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Length that [low, high] shares with the interval of `half` to both sides of each centre: one axis of an IoU."""
    return (torch.minimum(center + half, high) - torch.maximum(center - half, low)).clamp_(min=0)


def grid_sides(
    shapes: Float[Tensor, "n A 2"], boxes: Float[Tensor, "n 4"], grid_size: tuple[int, int], stride: int = STRIDE
) -> tuple[Float[Tensor, "n A H 1"], Float[Tensor, "n A 1 W"], Float[Tensor, "n A 1 1"]]:
    """What `grid_iou` is made of: the heights and the widths that are shared, and both areas together.

    The anchors form a grid, so an intersection is a width that depends on (anchor, column) only, times a height that
    depends on (anchor, row) only: A*(H + W) interval overlaps instead of A*H*W box overlaps.
    """
    height, width = grid_size
    center = cell_centers(max(grid_size), stride, shapes.device)
    low, high = boxes[:, None, :2, None], boxes[:, None, 2:, None]
    shared = shared_length(center, shapes[..., None] / 2, low, high)
    return shared[:, :, 1, :height, None], shared[:, :, 0, None, :width], both_areas(shapes, boxes)[..., None, None]


def both_areas(shapes: Float[Tensor, "n A 2"], boxes: Float[Tensor, "n 4"]) -> Float[Tensor, "n A"]:
    """Area of each anchor and of its object together; never so small that an IoU would be 0 / 0."""
    return (shapes.prod(-1) + area(boxes)[:, None]).clamp_(min=torch.finfo(boxes.dtype).tiny)


def iou_of(intersection: Float[Tensor, "*n"], areas: Float[Tensor, "*#n"]) -> Float[Tensor, "*n"]:
    """IoU from an intersection, which it overwrites, and the sum of both areas."""
    return intersection.div_(areas - intersection)


def grid_iou(
    shapes: Float[Tensor, "n A 2"], boxes: Float[Tensor, "n 4"], grid_size: tuple[int, int], stride: int = STRIDE
) -> Float[Tensor, "n A H W"]:
    """IoU of object k with the A anchors of its class in every cell.

    Args:
        shapes: for each object the (w, h) of its class's anchors, in pixels.
        boxes: one `xyxy` object each.
        grid_size: (H, W) cells.
        stride: pixels per cell.
    """
    down, across, areas = grid_sides(shapes, boxes, grid_size, stride)
    return iou_of(down * across, areas)


def grid_giou(
    shapes: Float[Tensor, "A 2"], box: Float[Tensor, "4"], grid_size: tuple[int, int], stride: int = STRIDE
) -> Float[Tensor, "A H W"]:
    """Generalised IoU (Rezatofighi et al., 2019) of one object with a grid of anchors: in (-1, 1].

    It ranks anchors by closeness even where none of them touches the object; see `assign.assign`, rescue.
    """
    iou = grid_iou(shapes[None], box[None], grid_size, stride)[0]
    enclosing = []
    for axis, cells in ((0, grid_size[1]), (1, grid_size[0])):
        center = cell_centers(cells, stride, shapes.device)
        half = shapes[:, axis, None] / 2
        enclosing.append(torch.maximum(center + half, box[axis + 2]) - torch.minimum(center - half, box[axis]))
    hull = enclosing[1][:, :, None] * enclosing[0][:, None, :]
    both_areas = (shapes.prod(-1) + area(box))[:, None, None]
    union = both_areas / (1 + iou)  # iou = i/u and u = both - i, hence u = both / (1 + iou)
    return iou - (hull - union) / hull


def decode(
    offsets: Float[Tensor, "n 4"],
    shapes: Float[Tensor, "n 2"],
    rows: Int[Tensor, " n"],
    columns: Int[Tensor, " n"],
    stride: int = STRIDE,
) -> Float[Tensor, "n 4"]:
    """Predicted boxes, `xyxy` in pixels, from offsets (dx, dy, dw, dh) at n chosen anchors.

    cx = cx_a + dx*w_a, cy = cy_a + dy*h_a, w = w_a*exp(dw), h = h_a*exp(dh), as in Faster R-CNN, with dw and dh
    clamped at MAX_LOG_SCALE. Nothing encodes: offsets are latent, trained only through the IoU (paper 3.3).
    """
    offsets = at_least_float32(offsets)
    anchor_center = (torch.stack((columns, rows), -1).to(offsets.dtype) + 0.5) * stride
    center = anchor_center + offsets[:, :2] * shapes
    half = shapes * offsets[:, 2:].clamp(max=MAX_LOG_SCALE).exp() / 2
    return torch.cat((center - half, center + half), -1)
