"""Suppression, and which detections are hits (paper 4): notebook 06."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from lapnet_lab.exercise import Example, FunctionExercise, Mistake
from lapnet_lab.functions import drawing
from lapnet_lab.functions.geometry import iou, some_boxes


def nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Non-maximum suppression: of boxes that cover each other only the one with the best score stays.

    Boxes are looked at by falling score. Each is kept, unless its IoU with one that was kept before is
    > threshold.

    boxes: (D, 4), (x1, y1, x2, y2) in pixels, with x1 < x2 and y1 < y2; D can be 0
    scores: (D,), no two of them equal
    threshold: of the IoU, between 0 and 1
    returns: (K,) int64, the numbers (rows) of the kept boxes, the best score first
    """
    x1, y1, x2, y2 = boxes.unbind(1)
    area = (x2 - x1) * (y2 - y1)
    kept = []
    order = scores.argsort(descending=True)
    while len(order) > 0:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        width = torch.minimum(x2[best], x2[rest]) - torch.maximum(x1[best], x1[rest])
        height = torch.minimum(y2[best], y2[rest]) - torch.maximum(y1[best], y1[rest])
        shared = width.clamp(min=0) * height.clamp(min=0)
        order = rest[shared / (area[best] + area[rest] - shared) <= threshold]
    return torch.tensor(kept, dtype=torch.int64)


def match(ious: Tensor, threshold: float) -> Tensor:
    """Which detections of one image and class are hits, by PASCAL VOC's rule.

    Detections are looked at by falling score. Each looks only at the object that it overlaps most, the first of
    several equal ones. It is a hit if that IoU is >= threshold and no detection before it has hit that object;
    otherwise it is a false alarm.

    ious: (D, G), the IoU of each of D detections with each of G objects; the rows come by falling score already.
        D can be 0, and G can be 0
    threshold: above 0, at most 1
    returns: (D,) bool, True for a hit
    """
    hit = torch.zeros(len(ious), dtype=torch.bool)
    taken = set()
    for d in range(len(ious)):
        if ious.shape[1] > 0:
            best = int(ious[d].argmax())
            if ious[d, best] >= threshold and best not in taken:
                hit[d] = True
                taken.add(best)
    return hit


def _nms_examples(generator: Generator) -> list[Example]:
    square, beside, far = [0.0, 0.0, 4.0, 4.0], [1.0, 0.0, 5.0, 4.0], [8.0, 8.0, 12.0, 12.0]
    by_hand = [
        ([square], [0.9], 0.5),
        ([square, square], [0.9, 0.8], 0.5),
        ([square, beside], [0.3, 0.8], 0.5),  # IoU .6: the second is better
        ([square, far], [0.3, 0.8], 0.5),
        ([square, [0.0, 0.0, 4.0, 8.0]], [0.9, 0.8], 0.5),  # an IoU of just .5 is not above it
        ([square, [4.0, 0.0, 8.0, 4.0]], [0.9, 0.8], 0.0),  # they touch: IoU 0
        ([square, beside, [2.0, 0.0, 6.0, 4.0]], [0.9, 0.8, 0.7], 0.5),  # a chain: the middle goes, the end stays
        ([[2.0, 0.0, 6.0, 4.0], square, beside], [0.7, 0.9, 0.8], 0.5),
        ([square, beside, far], [-3.0, -2.0, -1.0], 0.5),  # logits are scores too
    ]
    examples: list[Example] = [(torch.zeros(0, 4), torch.zeros(0), 0.5)]
    examples += [(torch.tensor(boxes), torch.tensor(scores), threshold) for boxes, scores, threshold in by_hand]
    for k in range(20):
        count = 2 + k % 8
        scores = (torch.randperm(20, generator=generator)[:count] + 1) / 21  # all of them different
        examples.append((some_boxes(generator, count, side=5 + k % 3), scores, [0.25, 0.5, 0.75][k % 3]))
    return examples


def _match_examples(generator: Generator) -> list[Example]:
    by_hand = [
        ([[0.6]], 0.5), ([[0.4]], 0.5), ([[0.5]], 0.5), ([[0.75]], 0.75), ([[0.6], [0.8]], 0.5), ([[0.3], [0.8]], 0.5),
        ([[0.6, 0.0], [0.0, 0.7]], 0.5), ([[0.8, 0.0], [0.7, 0.6]], 0.5), ([[0.8, 0.6], [0.7, 0.0]], 0.5),
        ([[0.6, 0.6], [0.0, 0.7]], 0.5), ([[0.6, 0.6], [0.7, 0.0]], 0.5), ([[0.0, 0.0]], 0.5),
        ([[0.4, 0.3], [0.6, 0.1], [0.9, 0.2], [0.1, 0.8]], 0.5), ([[0.6, 0.8], [0.9, 0.7], [0.55, 0.5]], 0.5),
    ]  # fmt: skip
    examples: list[Example] = [(torch.zeros(0, 2), 0.5), (torch.zeros(2, 0), 0.5), (torch.zeros(0, 0), 0.5)]
    examples += [(torch.tensor(ious), threshold) for ious, threshold in by_hand]
    for k in range(18):
        ious = torch.rand(2 + k % 5, 1 + k % 4, generator=generator) ** 0.5
        threshold = [0.25, 0.5, 0.75][k % 3]
        near = (ious - threshold).abs() < 0.01  # no rounding decides
        examples.append((torch.where(near, threshold, ious), threshold))
    return examples


def _suppressed(
    boxes: Tensor, scores: Tensor, threshold: float, *, order: Tensor | None = None,
    covers: Callable[[Tensor, float], Tensor] = torch.gt, by_all: bool = False, by_last: bool = False,
) -> Tensor:  # fmt: skip
    """`nms`, with one thing changed: the order, when a box covers another, or who may remove.

    by_all: boxes that are removed remove others too. by_last: only the box that was kept last removes.
    """
    covered = covers(iou(boxes, boxes), threshold)
    kept: list[int] = []
    seen: list[int] = []
    for n in (scores.argsort(descending=True) if order is None else order).tolist():
        rivals = seen if by_all else kept[-1:] if by_last else kept
        if not any(bool(covered[n, rival]) for rival in rivals):
            kept.append(n)
        seen.append(n)
    return torch.tensor(kept, dtype=torch.int64)


def _places_in_order(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    order = scores.argsort(descending=True)
    return _suppressed(boxes[order], scores[order], threshold)


def _mask(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    mask = torch.zeros(len(boxes), dtype=torch.bool)
    mask[nms(boxes, scores, threshold)] = True
    return mask


def _removed(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    order = scores.argsort(descending=True)
    return order[~_mask(boxes, scores, threshold)[order]]


_NMS_MISTAKES = (
    Mistake(
        _mask,
        "this is a mask, True for what is kept: how do you get the numbers of those, the best first?",
    ),
    Mistake(
        _removed,
        "these are the boxes that go: which ones are asked for?",
    ),
    Mistake(
        lambda b, s, t: nms(b, s, t).sort().values,
        "the right boxes are kept, but they come in the order of their rows: in which order should they?",
    ),
    Mistake(
        lambda b, s, t: nms(b, s, t).flip(0),
        "the right boxes are kept, but the weakest comes first: in which order should they?",
    ),
    Mistake(
        _places_in_order,
        "these are places in the sorted list: which row was the first of it before you sorted?",
    ),
    Mistake(
        lambda b, s, t: s.argsort(descending=True),
        "nothing is removed: what happens to a box that a better one covers?",
    ),
    Mistake(
        lambda b, s, t: torch.arange(len(b))[:0],
        "nothing is left: a box has an IoU of 1 with itself; does it remove itself?",
    ),
    Mistake(
        lambda b, s, t: s.argsort(descending=True)[:1],
        "only the best box of all is left: does it cover those that lie elsewhere?",
    ),
    Mistake(
        lambda b, s, t: _suppressed(b, s, t, order=torch.arange(len(b))),
        "you take the boxes as they are listed: whose turn is it first?",
    ),
    Mistake(
        lambda b, s, t: _suppressed(b, s, t, order=s.argsort()),
        "you begin with the lowest score, so the weakest box of a crowd stays: where does your sorting begin?",
    ),
    Mistake(
        lambda b, s, t: _suppressed(b, s, t, by_all=True),
        "in a chain of three the middle one goes, and in yours it takes the last one with it: who may remove a box?",
    ),
    Mistake(
        lambda b, s, t: _suppressed(b, s, t, by_last=True),
        "each box is compared with the one kept just before; what of those that were kept earlier?",
    ),
    Mistake(
        lambda b, s, t: _suppressed(b, s, t, covers=torch.ge),
        "an IoU of exactly the threshold removes a box in yours: is it `>` or `>=`?",
    ),
    Mistake(
        lambda b, s, t: _suppressed(b, s, t, covers=torch.lt),
        "yours removes what lies elsewhere and keeps the crowd: on which side of the threshold is a double?",
    ),
)


def _matched(
    ious: Tensor, threshold: float, *, free_only: bool = False, first: bool = False, strict: bool = False,
    always_take: bool = False, once: bool = True, last: bool = False,
) -> Tensor:  # fmt: skip
    """`match`, with one thing changed.

    free_only: a detection looks only at objects that are free. first: at the first free one above the threshold.
    strict: the IoU has to be above the threshold. always_take: an object is taken however small the IoU.
    once: an object can be hit once. last: of equal objects the last is looked at.
    """
    hit = torch.zeros(len(ious), dtype=torch.bool)
    taken = torch.zeros(ious.shape[1], dtype=torch.bool)
    for d, row in enumerate(ious if ious.shape[1] else []):
        row = torch.where(taken, -1.0, row) if free_only or first else row
        best = int((row >= threshold).int().argmax() if first else row.argmax())
        best = len(row) - 1 - int(row.flip(0).argmax()) if last else best
        enough = bool(row[best] > threshold if strict else row[best] >= threshold)
        hit[d] = enough and not (once and bool(taken[best]))
        taken[best] |= enough or always_take
    return hit


def _best_of_each_object(ious: Tensor, threshold: float) -> Tensor:
    hit = torch.zeros(len(ious), dtype=torch.bool)
    if ious.numel():
        best, who = ious.max(0)
        hit[who[best >= threshold]] = True
    return hit


_MATCH_MISTAKES = (
    Mistake(
        lambda ious, threshold: _matched(ious, threshold, once=False),
        "two detections hit one object: what is the second one by VOC's rule?",
    ),
    Mistake(
        lambda ious, threshold: _matched(ious, threshold, strict=True),
        "an IoU of exactly the threshold is a false alarm in yours: is it `>` or `>=`?",
    ),
    Mistake(
        lambda ious, threshold: _matched(ious, threshold, free_only=True),
        "a detection whose object is taken goes to its second best, as in COCO: what does VOC make of it?",
    ),
    Mistake(
        lambda ious, threshold: _matched(ious, threshold, first=True),
        "a detection takes any free object that it overlaps enough: which one may it look at?",
    ),
    Mistake(
        lambda ious, threshold: _matched(ious, threshold, always_take=True),
        "a false alarm has taken an object from the next detection: when is an object taken?",
    ),
    Mistake(
        lambda ious, threshold: _matched(ious, threshold, last=True),
        "of two objects with one IoU you look at the last: at which one does VOC look?",
    ),
    Mistake(
        _best_of_each_object,
        "each object takes the detection that fits it best; who chooses by VOC's rule, and in which order?",
    ),
    Mistake(
        lambda ious, threshold: (
            _matched(ious, threshold, once=False) & (_matched(ious, threshold, once=False).cumsum(0) <= 1)
        ),
        "there is one hit and no more: can other objects be hit as well?",
    ),
)


NMS = FunctionExercise(
    nms,
    title="Non-maximum suppression",
    task="A whole cluster of anchors answers to one object. Write `nms`, which keeps the best box of each crowd.",
    praise="a hundred answers to one object have become one, and a box that was removed removes nobody.",
    hints=(
        "Sort first. Then take the best box that is left, strike out what it covers too much, and begin again.",
        "`order = scores.argsort(descending=True)`; in each round `order[0]` is kept, and of `order[1:]` only those "
        "stay whose IoU with it is at most the threshold. Without a box, `torch.tensor([])` would be of floats: "
        "say `dtype=torch.int64`.",
    ),
    difficulty=2,
    minutes=20,
    examples=_nms_examples,
    mistakes=_NMS_MISTAKES,
    draw=drawing.kept,
)
MATCH = FunctionExercise(
    match,
    title="Hits and false alarms",
    task="Which detections have found an object? Write `match`, by the rule of PASCAL VOC.",
    praise="each object is found once; whoever comes second is a false alarm, however well it fits.",
    hints=(
        "Go through the rows in their order and keep a list of the objects that are taken.",
        "The best object of a row is `ious[d].argmax()`, whether it is taken or not. Where G is 0 there is none.",
    ),
    difficulty=2,
    minutes=15,
    examples=_match_examples,
    mistakes=_MATCH_MISTAKES,
)
