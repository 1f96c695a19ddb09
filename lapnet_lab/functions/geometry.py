"""Overlap and boxes: IoU (notebook 00), and the decoding of offsets (paper 3.1, notebook 05)."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Generator, Tensor

from lapnet_lab.exercise import Example, FunctionExercise, Mistake
from lapnet_lab.functions import drawing
from lapnet_lab.functions.gradients import wrong_gradient


def iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU, intersection over union: the area that two boxes share, over the area that they cover together.

    a: (N, 4), boxes as (x1, y1, x2, y2) in pixels, with x1 < x2 and y1 < y2; a width is x2 - x1. N can be 0
    b: (M, 4), likewise
    returns: (N, M), in row n and column m the IoU of a[n] and b[m]: 0 if they share nothing, 1 if they are equal
    """
    top_left = torch.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = (bottom_right - top_left).clamp(min=0)
    shared = sides[..., 0] * sides[..., 1]
    area_a = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])
    area_b = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    return shared / (area_a[:, None] + area_b[None, :] - shared)


def decode(offsets: Tensor, anchors: Tensor) -> Tensor:
    """The boxes that the network means by its offsets, as Faster R-CNN decodes them (paper 3.1).

    cx = cx_a + dx * w_a,  cy = cy_a + dy * h_a,  w = w_a * exp(dw),  h = h_a * exp(dh)

    offsets: (P, 4), (dx, dy, dw, dh); a dw or dh above log(62.5) = 4.135167 counts as that much
    anchors: (P, 4), (cx_a, cy_a, w_a, h_a): centre and size in pixels
    returns: (P, 4), (x1, y1, x2, y2) in pixels: the offsets are trained through it. P can be 0
    """
    center = anchors[:, :2] + offsets[:, :2] * anchors[:, 2:]
    size = anchors[:, 2:] * offsets[:, 2:].clamp(max=4.135167).exp()
    return torch.cat([center - size / 2, center + size / 2], dim=1)


def some_boxes(generator: Generator, count: int, side: int = 12) -> Tensor:
    """(count, 4) xyxy: whole numbers, so that areas are exact however they are computed."""
    corner = torch.randint(0, side, (count, 2), generator=generator)
    size = torch.randint(1, side, (count, 2), generator=generator)
    return torch.cat([corner, corner + size], dim=1).float()


def _iou_examples(generator: Generator) -> list[Example]:
    none, unit = torch.zeros(0, 4), torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    one = torch.tensor([[2.0, 3.0, 6.0, 9.0]])
    others = [
        [2.0, 3.0, 6.0, 9.0],  # equal
        [4.0, 3.0, 8.0, 9.0],  # half of it
        [6.0, 3.0, 9.0, 9.0],  # touches with an edge
        [6.0, 9.0, 8.0, 12.0],  # touches with a corner
        [8.0, 11.0, 10.0, 14.0],  # beyond in both directions: two negative sides
        [8.0, 3.0, 10.0, 9.0],  # beyond in one
        [3.0, 4.0, 5.0, 6.0],  # inside
        [-4.0, -2.0, 4.0, 5.0],  # partly out of the picture
        [3.5, 0.0, 4.5, 20.0],  # a cross
    ]
    examples = [(none, one), (one, none), (unit, unit), (unit, 1 + unit), (unit, unit * 100)]
    examples += [(one, torch.tensor([other])) for other in others]
    examples += [(torch.tensor(others[1:4]), one), (torch.tensor(others[6:]), torch.tensor(others[:2]))]
    for k in range(18):
        examples.append((some_boxes(generator, 1 + k % 3), some_boxes(generator, 1 + k % 4)))
    return examples


def _sides(a: Tensor, b: Tensor, pixel: float = 0.0) -> Tensor:
    """(N, M, 2): of the shared box, below 0 where there is none."""
    top_left = torch.maximum(a[:, None, :2], b[None, :, :2])
    return torch.minimum(a[:, None, 2:], b[None, :, 2:]) - top_left + pixel


def _areas(a: Tensor, b: Tensor, pixel: float = 0.0) -> tuple[Tensor, Tensor]:
    sides = (boxes[:, 2:] - boxes[:, :2] + pixel for boxes in (a, b))
    first, second = (side.prod(1) for side in sides)
    return first[:, None].expand(-1, len(b)), second[None, :].expand(len(a), -1)


def _over(shared: Tensor, a: Tensor, b: Tensor, pixel: float = 0.0) -> Tensor:
    first, second = _areas(a, b, pixel)
    return shared / (first + second - shared)


def _one_side_free(a: Tensor, b: Tensor, side: int) -> Tensor:
    """With the width (0) or the height (1) below 0 where the boxes lie apart."""
    sides = _sides(a, b)
    return _over(sides[..., side] * sides[..., 1 - side].clamp(min=0), a, b)


def _hull_iou(a: Tensor, b: Tensor) -> Tensor:
    hull = torch.maximum(a[:, None, 2:], b[None, :, 2:]) - torch.minimum(a[:, None, :2], b[None, :, :2])
    return _sides(a, b).clamp(min=0).prod(-1) / hull.prod(-1)


def _by_pairs(a: Tensor, b: Tensor) -> Tensor:
    """The IoU of a[n] with b[n] only, and of a single box with each of the others."""
    sides = torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])
    shared = sides.clamp(min=0).prod(1)
    first, second = ((boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (a, b))
    return shared / (first + second - shared)


def _without_brackets(a: Tensor, b: Tensor) -> Tensor:
    shared, (first, second) = _sides(a, b).clamp(min=0).prod(-1), _areas(a, b)
    return shared / first + second - shared


def _from_center(boxes: Tensor) -> Tensor:
    return torch.cat([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], dim=1)


def _from_corner(boxes: Tensor) -> Tensor:
    return torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], dim=1)


_PAIRS = "you compare each box with one other, a[n] with b[n]: how many pairs have 2 boxes of a and 3 of b?"
_IOU_MISTAKES = (
    Mistake(_by_pairs, _PAIRS),
    Mistake(lambda a, b: iou(a, b).diagonal(), _PAIRS),
    Mistake(
        _without_brackets,
        "a division comes before sums: without brackets around the union, by what does yours divide?",
    ),
    Mistake(
        lambda a, b: iou(b, a),
        "rows belong to the boxes of a and columns to those of b; which of the two comes first in yours?",
    ),
    Mistake(
        lambda a, b: _sides(a, b).clamp(min=0).prod(-1),
        "this is the area that they share, in square pixels; what do you divide it by, so that two equal boxes get 1?",
    ),
    Mistake(
        lambda a, b: _sides(a, b).clamp(min=0).prod(-1) / sum(_areas(a, b)),
        "two equal boxes get 0.5 instead of 1: how often does the sum of both areas count what they share?",
    ),
    Mistake(
        lambda a, b: _over(_sides(a, b).prod(-1), a, b),
        "boxes that lie apart get a value other than 0: what is `min(x2) - max(x1)` for them, and what comes of it?",
    ),
    Mistake(
        lambda a, b: _over(_sides(a, b).prod(-1).clamp(min=0), a, b),
        "boxes that lie apart both in x and in y seem to share something: what is the product of two negative sides?",
    ),
    *(
        Mistake(
            partial(_one_side_free, side=side),
            f"boxes that lie apart in {axis} get a value other than 0: which {length} do they share?",
        )
        for side, axis, length in ((0, "x", "width"), (1, "y", "height"))
    ),
    Mistake(
        lambda a, b: _over(_sides(a, b).abs().prod(-1), a, b),
        "an overlap of the gap between two boxes comes of `abs`: what do boxes share that lie apart?",
    ),
    Mistake(
        lambda a, b: _over(_sides(a, b, 1).clamp(min=0).prod(-1), a, b, 1),
        "boxes that only touch share something in yours: from x1 = 0 to x2 = 1, how wide is a box here?",
    ),
    Mistake(
        lambda a, b: _sides(a, b).clamp(min=0).prod(-1) / torch.minimum(*_areas(a, b)),
        "a small box inside a large one gets 1, as if they were equal: which area do you divide by?",
    ),
    Mistake(
        lambda a, b: _sides(a, b).clamp(min=0).prod(-1) / torch.maximum(*_areas(a, b)),
        "you divide by the larger of the two areas; do two boxes that cross cover no more than that together?",
    ),
    Mistake(
        lambda a, b: _sides(a, b).clamp(min=0).prod(-1) / _areas(a, b)[0],
        "swap a and b, and yours changes; whose area is missing in what you divide by?",
    ),
    Mistake(
        _hull_iou,
        "you divide by the smallest box around both; do they cover all of it?",
    ),
    Mistake(
        lambda a, b: iou(_from_center(a), _from_center(b)),
        "you read the boxes as centre and size; what do the third and the fourth number mean here?",
    ),
    Mistake(
        lambda a, b: iou(_from_corner(a), _from_corner(b)),
        "you read the boxes as a corner and a size; is the third number a width here?",
    ),
)


def _corners(center: Tensor, size: Tensor) -> Tensor:
    return torch.cat([center - size / 2, center + size / 2], dim=1)


def _scale(offsets: Tensor) -> Tensor:
    return offsets[:, 2:].clamp(max=4.135167).exp()


def _center(offsets: Tensor, anchors: Tensor) -> Tensor:
    return anchors[:, :2] + offsets[:, :2] * anchors[:, 2:]


def _decode_from_corners(offsets: Tensor, anchors: Tensor) -> Tensor:
    size = anchors[:, 2:] - anchors[:, :2]
    center = (anchors[:, 2:] + anchors[:, :2]) / 2 + offsets[:, :2] * size
    return _corners(center, size * _scale(offsets))


_EXPLODES = "one large dw makes a box without measure: at which value does the contract stop dw and dh?"
_DECODE_MISTAKES = (
    Mistake(
        lambda o, a: torch.cat([_center(o, a), a[:, 2:] * _scale(o)], dim=1),
        "this is centre and size; which four numbers does the contract return?",
    ),
    Mistake(
        lambda o, a: torch.cat([_center(o, a), _center(o, a) + a[:, 2:] * _scale(o)], dim=1),
        "your boxes begin at the centre; how far is it from there to the left edge?",
    ),
    Mistake(
        lambda o, a: torch.cat([_center(o, a) - a[:, 2:] * _scale(o), _center(o, a) + a[:, 2:] * _scale(o)], dim=1),
        "your boxes are twice as wide and high as they should be: how far is an edge from the centre?",
    ),
    Mistake(
        lambda o, a: _corners(_center(o, a), a[:, 2:] * _scale(o))[:, [0, 2, 1, 3]],
        "the numbers are right, their order is not: (x1, y1, x2, y2), or (x1, x2, y1, y2)?",
    ),
    Mistake(lambda o, a: _corners(_center(o, a), a[:, 2:] * o[:, 2:].exp()), _EXPLODES),
    Mistake(
        lambda o, a: _corners(_center(o, a), a[:, 2:] * o[:, 2:].exp().clamp(max=4.135167)),
        "a box can grow to 62.5 anchors, and yours stops at 4.1: what does the limit apply to, dw or exp(dw)?",
    ),
    Mistake(
        lambda o, a: _corners(_center(o, a), a[:, 2:] * o[:, 2:].clamp(-4.135167, 4.135167).exp()),
        "very small boxes come out too large: does the contract limit dw from below?",
    ),
    Mistake(
        lambda o, a: _corners(a[:, :2] + o[:, :2] * 8, a[:, 2:] * _scale(o)),
        "you move the centre by cells of 8 pixels; in which unit does the contract count dx?",
    ),
    Mistake(
        lambda o, a: _corners(a[:, :2] + o[:, :2], a[:, 2:] * _scale(o)),
        "you move the centre by dx pixels; how far should it go for a large anchor, and for a small one?",
    ),
    Mistake(
        lambda o, a: _corners(a[:, :2] + o[:, :2] * a[:, 2:] * _scale(o), a[:, 2:] * _scale(o)),
        "the centre moves by the size of the predicted box; by whose size should it?",
    ),
    Mistake(
        lambda o, a: _corners(_center(o, a), a[:, 2:] * o[:, 2:].clamp(max=4.135167)),
        "an offset of 0 should leave the anchor as it is, and yours has no width there: which function is 1 at 0?",
    ),
    Mistake(
        lambda o, a: _corners(_center(o, a), a[:, 2:] * (1 + o[:, 2:])),
        "for small dw it is nearly right, but dw = -1 gives a box without width: what does the equation say for w?",
    ),
    Mistake(
        lambda o, a: _corners(a[:, :2] + o[:, :2] * a[:, [3, 2]], a[:, 2:] * _scale(o)),
        "dx moves the centre by heights and dy by widths in yours: which of them belongs to x?",
    ),
    Mistake(
        lambda o, a: _corners(_center(o, a), a[:, 2:] * _scale(o)[:, [1, 0]]),
        "dw stretches the height and dh the width in yours: in which order do the offsets come?",
    ),
    Mistake(
        _decode_from_corners,
        "you read the anchors as corners; what do the third and the fourth number mean here?",
    ),
)


def _decode_examples(generator: Generator) -> list[Example]:
    anchor = [20.0, 12.0, 8.0, 4.0]
    by_hand = [
        [0.0, 0.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.7, 0.0], [0.0, 0.0, 0.0, -0.7],
        [0.25, -0.5, -1.0, 1.0], [0.0, 0.0, 6.0, 0.0], [0.0, 0.0, 0.0, 100.0], [0.0, 0.0, -6.0, -8.0],
    ]  # fmt: skip
    examples = [(torch.zeros(0, 4), torch.zeros(0, 4))]
    examples += [(torch.tensor([offsets]), torch.tensor([anchor])) for offsets in by_hand]
    for k in range(12):
        offsets = torch.randn(1 + k % 4, 4, generator=generator)
        center = torch.rand(1 + k % 4, 2, generator=generator) * 64
        size = 2 + torch.rand(1 + k % 4, 2, generator=generator) * 30
        examples.append((offsets, torch.cat([center, size], dim=1)))
    return examples


def _gradient_flows(function: Callable[..., Tensor]) -> str:
    """To the offsets, as much as in the solution: none where dw or dh is more than counts."""
    offsets = torch.tensor([[0.5, -0.2, 0.3, -0.4], [-0.3, 0.1, 6.0, 0.7]])
    anchors = torch.tensor([[20.0, 12.0, 8.0, 4.0], [30.0, 40.0, 6.0, 10.0]])
    return wrong_gradient(function, decode, {"offsets": offsets, "anchors": anchors}, "offsets")


IOU = FunctionExercise(
    iou,
    title="IoU",
    task="How well do two boxes agree? Write `iou`, for every box of one list with every box of another at once.",
    praise="everything that follows is measured with it: anchors, assignment, loss and evaluation.",
    hints=(
        "What two boxes share is a box again: from the larger of the two x1 to the smaller of the two x2. "
        "And if the first of these lies right of the second?",
        "`a[:, None]` has the shape (N, 1, 4), `b[None]` has (1, M, 4): together they give (N, M, ...). "
        "The union is both areas less the shared one, which would be counted twice.",
    ),
    difficulty=1,
    minutes=10,
    examples=_iou_examples,
    mistakes=_IOU_MISTAKES,
    draw=drawing.overlaps,
)
DECODE = FunctionExercise(
    decode,
    title="From offsets to boxes",
    task="The network says how a box differs from its anchor. Write `decode`, which says where the box is.",
    praise="four numbers at an anchor have become a box, and none is larger than 62.5 anchors.",
    hints=(
        "Centre first, then size, both for all boxes at once: `anchors[:, :2]` and `anchors[:, 2:]`.",
        "`clamp(max=...)` comes before `exp()`. A corner is half a size away from the centre.",
    ),
    difficulty=2,
    minutes=10,
    examples=_decode_examples,
    mistakes=_DECODE_MISTAKES,
    also=_gradient_flows,
    draw=drawing.decoded,
    tolerance=1e-3,  # log(62.5) may be written with three digits
)
