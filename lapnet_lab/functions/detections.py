"""From boxes to a score of the detector: suppression, matching, average precision (paper 4). Notebook 06."""

import torch
from torch import Generator, Tensor

from lapnet_lab.exercise import Example, FunctionExercise
from lapnet_lab.functions.geometry import some_boxes


def nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Non-maximum suppression: of boxes that cover each other only the one with the best score stays.

    Boxes are looked at by falling score. Each is kept, unless its IoU with one that was kept before is > threshold.

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

    Detections are looked at by falling score. Each looks only at the object that it overlaps most, the first of several
    equal ones. It is a hit if that IoU is >= threshold and no detection before it has hit that object; otherwise it is
    a false alarm.

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


def average_precision(hits: Tensor, num_objects: int) -> float:
    """AP, PASCAL VOC's average precision: the area under the curve of precision over recall (paper 4).

    After k detections, precision is hits so far / k, and recall is hits so far / num_objects. Before the area is taken,
    the precision at each point is raised to the largest one at that point or later. The area then is the sum, over the
    hits, of this precision times 1 / num_objects, by which recall grows there.

    hits: (D,) bool, whether each detection is a hit; they come by falling score. D can be 0
    num_objects: how many objects there are, at least 1
    returns: between 0 and 1; 0 without a hit
    """
    precision = hits.cumsum(0) / torch.arange(1, len(hits) + 1)
    best_from_here = precision.flip(0).cummax(0).values.flip(0)
    return float(best_from_here[hits].sum() / num_objects)


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


def _average_precision_examples(generator: Generator) -> list[Example]:
    by_hand = [
        ([], 2), ([True], 1), ([True], 4), ([False], 1), ([False, True], 1), ([True, False], 1), ([True, False], 3),
        ([False, False, True], 2), ([True, True, False, True], 3), ([False, True, True, True], 3),
        ([True, False, True, False, True], 6), ([False, True, False, True, True, True, False], 5),
    ]  # fmt: skip
    examples: list[Example] = [(torch.tensor(hits, dtype=torch.bool), objects) for hits, objects in by_hand]
    for k in range(16):
        hits = torch.rand(2 + k % 9, generator=generator) < 0.6
        examples.append((hits, max(1, int(hits.sum()) + k % 3)))
    return examples


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
)
AVERAGE_PRECISION = FunctionExercise(
    average_precision,
    title="Average precision",
    task="One number for a whole curve. Write `average_precision`, the area under precision over recall.",
    praise="the mean of it over the classes is the mAP of every table in this course.",
    hints=(
        "`hits.cumsum(0)` counts the hits so far. Divide it by 1, 2, 3, ... for the precision.",
        "Go from the back: each precision becomes the larger of itself and the one behind it. Then add those of the "
        "hits, and divide by the number of objects.",
    ),
    difficulty=2,
    minutes=15,
    examples=_average_precision_examples,
)
