"""Wrong functions of boxes and detections as learners write them, not as the exercises know them; each gets a hint."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from wrong import Wrong, gets_its_own_hint

from lapnet_lab.functions import FUNCTIONS

NAMES = ("iou", "kmeans_step", "decode", "nms", "match", "average_precision")
wrong = Wrong(NAMES)


def pairs(a, b, value):
    """(N, M) of a function of two boxes, as lists of numbers."""
    rows = [[float(value(first, second)) for second in b.tolist()] for first in a.tolist()]
    return torch.tensor(rows).reshape(len(a), len(b))


def centred(a, b):
    inter = torch.minimum(a, b).prod()
    return inter / (a.prod() + b.prod() - inter)


def sides(a, b):
    return min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])


def shared(a, b):
    width, height = sides(a, b)
    return max(width, 0) * max(height, 0)


def area(a):
    return (a[2] - a[0]) * (a[3] - a[1])


def over(inter, a, b):
    return inter / (area(a) + area(b) - inter)


@wrong("iou", "how often does the sum of both areas count")
def _(a, b):
    return pairs(a, b, lambda p, q: shared(p, q) / (area(p) + area(q)))


@wrong("iou", "boxes that lie apart get a value")
def _(a, b):
    return pairs(a, b, lambda p, q: over(math.prod(sides(p, q)), p, q))


@wrong("iou", "lie apart in x get a value")
def _(a, b):
    return pairs(a, b, lambda p, q: over(sides(p, q)[0] * max(sides(p, q)[1], 0), p, q))


@wrong("iou", "lie apart in y get a value")
def _(a, b):
    return pairs(a, b, lambda p, q: over(max(sides(p, q)[0], 0) * sides(p, q)[1], p, q))


@wrong("iou", "an overlap of the gap")
def _(a, b):
    return pairs(a, b, lambda p, q: over(abs(sides(p, q)[0]) * abs(sides(p, q)[1]), p, q))


@wrong("iou", "product of two negative sides")
def _(a, b):
    return pairs(a, b, lambda p, q: over(max(0, math.prod(sides(p, q))), p, q))


@wrong("iou", "how wide is a box here")
def _(a, b):
    def with_pixels(p, q):
        p, q = [*p[:2], p[2] + 1, p[3] + 1], [*q[:2], q[2] + 1, q[3] + 1]
        return over(shared(p, q), p, q)

    return pairs(a, b, with_pixels)


@wrong("iou", "which area do you divide by")
def _(a, b):
    return pairs(a, b, lambda p, q: shared(p, q) / min(area(p), area(q)))


@wrong("iou", "which of the two comes first")
def _(a, b):
    return pairs(b, a, lambda p, q: over(shared(p, q), p, q))


@wrong("iou", "centre and size")
def _(a, b):
    def corners(box):
        x, y, w, h = box
        return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]

    return pairs(a, b, lambda p, q: over(shared(corners(p), corners(q)), corners(p), corners(q)))


@wrong("iou", "in square pixels")
def _(a, b):
    return pairs(a, b, shared)


@wrong("iou", "how many pairs have 2 boxes of a and 3 of b")
def _(a, b):
    return torch.tensor([over(shared(p, q), p, q) for p, q in zip(a.tolist(), b.tolist(), strict=False)])


@wrong("iou", "how many pairs have 2 boxes of a and 3 of b")
def _(a, b):
    width = (torch.minimum(a[:, 2], b[:, 2]) - torch.maximum(a[:, 0], b[:, 0])).clamp(min=0)
    height = (torch.minimum(a[:, 3], b[:, 3]) - torch.maximum(a[:, 1], b[:, 1])).clamp(min=0)
    return over(width * height, a.T, b.T)


@wrong("iou", "by what does yours divide")
def _(a, b):
    return pairs(a, b, lambda p, q: shared(p, q) / area(p) + area(q) - shared(p, q))


@wrong("iou", "tensors have torch.maximum")
def _(a, b):
    return max(a[0], b[0])


def k_means(sizes, centers, likeness, middle):
    out = []
    near = [int(np.argmax([likeness(size, center) for center in centers.tolist()])) for size in sizes.tolist()]
    for k, center in enumerate(centers.tolist()):
        out.append(middle([size for size, n in zip(sizes.tolist(), near, strict=True) if n == k], center))
    return torch.tensor(out)


def size_iou(a, b):
    return over(shared([0, 0, *a], [0, 0, *b]), [0, 0, *a], [0, 0, *b])


def mean_or_stay(own, center):
    return np.mean(own, axis=0).tolist() if own else center


@wrong("kmeans_step", "you compare in pixels")
def _(sizes, centers):
    return k_means(sizes, centers, lambda a, b: -math.dist(a, b), mean_or_stay)


@wrong("kmeans_step", "becomes nan")
def _(sizes, centers):
    near = torch.stack([torch.tensor([size_iou(a, b) for b in centers.tolist()]) for a in sizes.tolist()]).argmax(1)
    return torch.stack([sizes[near == k].mean(0) for k in range(len(centers))])


@wrong("kmeans_step", "jumps to 0 x 0")
def _(sizes, centers):
    return k_means(sizes, centers, size_iou, lambda own, _: np.mean(own, axis=0).tolist() if own else [0.0, 0.0])


@wrong("kmeans_step", "the one in the middle")
def _(sizes, centers):
    return k_means(sizes, centers, size_iou, lambda own, c: np.median(own, axis=0).tolist() if own else c)


@wrong("kmeans_step", "how many of them are there")
def _(sizes, centers):
    return k_means(sizes, centers, size_iou, lambda own, c: np.sum(own, axis=0).tolist() if own else c)


@wrong("kmeans_step", "least like")
def _(sizes, centers):
    return k_means(sizes, centers, lambda a, b: 1 - size_iou(a, b), mean_or_stay)


@wrong("kmeans_step", "nothing has moved")
def _(sizes, centers):
    return centers * 1


def laid(offsets, anchors, box):
    rows = [box(*o, *a) for o, a in zip(offsets.tolist(), anchors.tolist(), strict=True)]
    return torch.tensor(rows).reshape(-1, 4)


def grown(side, d):
    return side * math.exp(min(d, math.log(62.5)))


def around(x, y, w, h):
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


@wrong("decode", "by cells of 8 pixels")
def _(offsets, anchors):
    def box(dx, dy, dw, dh, cx, cy, w, h):
        return around(cx + dx * 8, cy + dy * 8, grown(w, dw), grown(h, dh))

    return laid(offsets, anchors, box)


@wrong("decode", "which function is 1 at 0")
def _(offsets, anchors):
    def box(dx, dy, dw, dh, cx, cy, w, h):
        return around(cx + dx * w, cy + dy * h, w * min(dw, math.log(62.5)), h * min(dh, math.log(62.5)))

    return laid(offsets, anchors, box)


@wrong("decode", "twice as wide")
def _(offsets, anchors):
    def box(dx, dy, dw, dh, cx, cy, w, h):
        return around(cx + dx * w, cy + dy * h, 2 * grown(w, dw), 2 * grown(h, dh))

    return laid(offsets, anchors, box)


@wrong("decode", "a box without measure")
def _(offsets, anchors):
    xy = offsets[:, :2] * anchors[:, 2:] + anchors[:, :2]
    wh = torch.exp(offsets[:, 2:]) * anchors[:, 2:]
    return torch.hstack([xy - wh / 2, xy + wh / 2])


@wrong("decode", "this is centre and size")
def _(offsets, anchors):
    def box(dx, dy, dw, dh, cx, cy, w, h):
        return cx + dx * w, cy + dy * h, grown(w, dw), grown(h, dh)

    return laid(offsets, anchors, box)


@wrong("decode", "you read the anchors as corners")
def _(offsets, anchors):
    def box(dx, dy, dw, dh, x1, y1, x2, y2):
        w, h = x2 - x1, y2 - y1
        return around(x1 + w / 2 + dx * w, y1 + h / 2 + dy * h, grown(w, dw), grown(h, dh))

    return laid(offsets, anchors, box)


@wrong("decode", "your boxes begin at the centre")
def _(offsets, anchors):
    def box(dx, dy, dw, dh, cx, cy, w, h):
        x, y = cx + dx * w, cy + dy * h
        return x, y, x + grown(w, dw), y + grown(h, dh)

    return laid(offsets, anchors, box)


@wrong("decode", "no gradient flows back: do you leave torch on the way, by `.tolist()`")
def _(offsets, anchors):
    def box(dx, dy, dw, dh, cx, cy, w, h):
        return around(cx + dx * w, cy + dy * h, grown(w, dw), grown(h, dh))

    return laid(offsets, anchors, box)


@wrong("decode", "its gradient for the offsets is not: what cuts a part off")
def _(offsets, anchors):
    scale = torch.tensor([[math.exp(min(d, 4.135167)) for d in pair] for pair in offsets[:, 2:]]).reshape(-1, 2)
    center = anchors[:, :2] + offsets[:, :2] * anchors[:, 2:]
    return torch.hstack([center - anchors[:, 2:] * scale / 2, center + anchors[:, 2:] * scale / 2])


@wrong("decode", "no gradient flows through numpy")
def _(offsets, anchors):
    moves, laid = offsets.numpy(), anchors.numpy()
    center, size = laid[:, :2] + moves[:, :2] * laid[:, 2:], laid[:, 2:] * np.exp(np.minimum(moves[:, 2:], 4.135167))
    return torch.from_numpy(np.hstack([center - size / 2, center + size / 2]))


def survivors(boxes, order, covers, removed_too=False):
    rows, kept, seen = boxes.tolist(), [], []
    for n in order:
        if not any(covers(over(shared(rows[n], rows[k]), rows[n], rows[k])) for k in (seen if removed_too else kept)):
            kept.append(n)
        seen.append(n)
    return torch.tensor(kept, dtype=torch.int64)


def falling(scores):
    return sorted(range(len(scores)), key=lambda n: -float(scores[n]))


@wrong("nms", "whose turn is it first")
def _(boxes, scores, threshold):
    return survivors(boxes, range(len(boxes)), lambda value: value > threshold)


@wrong("nms", "who may remove a box")
def _(boxes, scores, threshold):
    return survivors(boxes, falling(scores), lambda value: value > threshold, removed_too=True)


@wrong("nms", "where does your sorting begin")
def _(boxes, scores, threshold):
    return survivors(boxes, falling(-scores), lambda value: value > threshold)


@wrong("nms", "this is a mask")
def _(boxes, scores, threshold):
    keep = torch.ones(len(boxes), dtype=torch.bool)
    order = falling(scores)
    for k, n in enumerate(order):
        for m in order[k + 1 :]:
            first, second = boxes[n].tolist(), boxes[m].tolist()
            if keep[n] and over(shared(first, second), first, second) > threshold:
                keep[m] = False
    return keep


@wrong("nms", "is it `>` or `>=`")
def _(boxes, scores, threshold):
    return survivors(boxes, falling(scores), lambda value: value >= threshold)


@wrong("nms", "in the order of their rows")
def _(boxes, scores, threshold):
    kept = survivors(boxes, falling(scores), lambda value: value > threshold).tolist()
    return torch.tensor(sorted(kept), dtype=torch.int64)


@wrong("nms", "places in the sorted list")
def _(boxes, scores, threshold):
    boxes = boxes[scores.argsort(descending=True)]
    return survivors(boxes, range(len(boxes)), lambda value: value > threshold)


@wrong("nms", "an empty list is float32: add `dtype=torch.int64`")
def _(boxes, scores, threshold):
    return torch.tensor(FUNCTIONS["nms"].solution(boxes, scores, threshold).tolist())


def hits(ious, decide):
    taken, out = [], []
    for row in ious.tolist():
        best = decide(row, taken) if row else None
        out.append(best is not None)
        taken += [best] if best is not None else []
    return torch.tensor(out, dtype=torch.bool)


@wrong("match", "what is the second one by VOC's rule")
def _(ious, threshold):
    return (ious >= threshold).any(1)


@wrong("match", "as in COCO")
def _(ious, threshold):
    def decide(row, taken):
        free = [g for g in range(len(row)) if g not in taken]
        best = max(free, key=lambda g: row[g], default=None)
        return best if best is not None and row[best] >= threshold else None

    return hits(ious, decide)


@wrong("match", "an IoU of exactly the threshold is a false alarm")
def _(ious, threshold):
    def decide(row, taken):
        best = row.index(max(row))
        return best if row[best] > threshold and best not in taken else None

    return hits(ious, decide)


@wrong("match", "when is an object taken")
def _(ious, threshold):
    taken, out = set(), torch.zeros(len(ious), dtype=torch.bool)
    for d in range(len(ious) if ious.numel() else 0):
        best = ious[d].argmax().item()
        if best not in taken:
            taken.add(best)
            out[d] = ious[d, best] >= threshold
    return out


@wrong("match", "who chooses by VOC's rule")
def _(ious, threshold):
    out = torch.zeros(len(ious), dtype=torch.bool)
    for g in range(ious.shape[1] if len(ious) else 0):
        best = ious[:, g].argmax()
        out[best] |= ious[best, g] >= threshold
    return out


def precisions(found):
    return [sum(found[: k + 1]) / (k + 1) for k in range(len(found))]


@wrong("average_precision", "should count here as well")
def _(hits, num_objects):
    found = hits.tolist()
    return sum(p for p, hit in zip(precisions(found), found, strict=True) if hit) / num_objects


@wrong("average_precision", "eleven points")
def _(hits, num_objects):
    found, total = hits.tolist(), 0.0
    for k in range(11):
        total += max(
            (p for n, p in enumerate(precisions(found)) if 10 * sum(found[: n + 1]) >= k * num_objects), default=0
        )
    return total / 11


@wrong("average_precision", "costs nothing in yours: by how many")
def _(hits, num_objects):
    found = hits.tolist()
    values = [max(precisions(found)[k:]) for k in range(len(found)) if found[k]]
    return sum(values) / len(values) if values else 0.0


@wrong("average_precision", "straight lines")
def _(hits, num_objects):
    recall = np.append(0, np.cumsum(hits.numpy()) / num_objects)
    return torch.trapezoid(torch.tensor([1.0, *precisions(hits.tolist())]), torch.from_numpy(recall).float())


@wrong("average_precision", "does recall grow there")
def _(hits, num_objects):
    return float(np.mean(precisions(hits.tolist()))) if len(hits) else 0.0


@wrong("average_precision", "this is the recall at the end")
def _(hits, num_objects):
    return sum(hits.tolist()) / num_objects


@wrong("average_precision", "where does the order by score come in")
def _(hits, num_objects):
    return hits.float().mean()


@wrong("average_precision", "which one stands beside the first hit")
def _(hits, num_objects):
    best, ap = 0.0, 0.0
    for precision, hit in zip(reversed(precisions(hits.tolist())), hits.tolist(), strict=True):
        best = max(best, precision)
        ap += hit * best / num_objects
    return ap


@wrong("average_precision", "in per cent")
def _(hits, num_objects):
    return 100 * FUNCTIONS["average_precision"].solution(hits, num_objects)


@wrong("kmeans_step", "over which dimension is it taken")
def _(sizes, centers):
    near = [max(range(len(centers)), key=lambda k: float(centred(s, centers[k]))) for s in sizes]
    own = [sizes[torch.tensor(near) == k] for k in range(len(centers))]
    return torch.stack([o.mean().repeat(2) if len(o) else c for o, c in zip(own, centers, strict=True)])


@wrong("decode", "which of them belongs to x")
def _(offsets, anchors):
    w, h = anchors[:, 2:].unbind(1)
    dx, dy, dw, dh = offsets.unbind(1)
    right = torch.stack([dx * h / w, dy * w / h, dw, dh], 1)
    return FUNCTIONS["decode"].solution(right, anchors)


@wrong("decode", "in which order do the offsets come")
def _(offsets, anchors):
    return FUNCTIONS["decode"].solution(offsets[:, [0, 1, 3, 2]], anchors)


@wrong("nms", "does it remove itself")
def _(boxes, scores, threshold):
    covered = FUNCTIONS["iou"].solution(boxes, boxes) > threshold
    return torch.tensor([n for n in range(len(boxes)) if not covered[n].any()], dtype=torch.int64)


@pytest.mark.parametrize(("name", "hint", "function"), wrong.cases())
def test_it_gets_its_own_hint(name: str, hint: str, function: Callable[..., Any]) -> None:
    gets_its_own_hint(name, hint, function)


def test_each_has_four_at_least_with_hints_that_differ() -> None:
    assert wrong.with_few_hints() == set()
