"""The truth, slowly: each equation of the paper as plain loops over anchors and objects. No torch operators beyond
reading numbers, so that nothing is shared with the code that is tested."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np

F = np.float32
LIMIT = math.log(1000 / 16)


def anchor_box(shape, i, j, stride=8):
    """xyxy of the anchor (w, h) in cell (i, j)."""
    w, h = shape
    cx, cy = (j + 0.5) * stride, (i + 0.5) * stride
    return cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2


def iou(a, b, number=float):
    """IoU of two xyxy boxes. number=np.float32 divides once in float32: exact where both areas are."""
    w = max(min(a[2], b[2]) - max(a[0], b[0]), 0.0)
    h = max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h
    return number(w * h) / number(union) if union > 0 else number(0)


def giou(a, b):
    """Generalised IoU of two xyxy boxes."""
    w = max(min(a[2], b[2]) - max(a[0], b[0]), 0.0)
    h = max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return w * h / union - (hull - union) / hull


def assign(shapes, grid, boxes, labels, images, num_images, overlap="pono", rescue=True, stride=8):
    """Section 3.2 and eq. 1, word by word. Returns (O, owner, empty) as numpy arrays [B, C, A, H, W] and [G]."""
    classes, anchors = len(shapes), len(shapes[0])
    height, width = grid
    size = (num_images, classes, anchors, height, width)
    absolute, owner = np.zeros(size, F), np.full(size, -1)
    for b in range(num_images):
        for c in range(classes):
            rivals = [n for n in range(len(boxes)) if labels[n] == c and images[n] == b]
            for a in range(anchors):
                for i in range(height):
                    for j in range(width):
                        for n in rivals:
                            value = iou(anchor_box(shapes[c][a], i, j, stride), boxes[n], F)
                            if value > absolute[b, c, a, i, j]:
                                absolute[b, c, a, i, j], owner[b, c, a, i, j] = value, n
    empty = np.array([not (owner == n).any() for n in range(len(boxes))], dtype=bool)
    if overlap == "ao":
        return absolute, owner, empty
    out = absolute.copy()
    best = {}
    for n in range(len(boxes)):
        if not empty[n]:
            cluster = [tuple(k) for k in np.argwhere(owner == n)]
            peak = max(absolute[k] for k in cluster)
            best[n] = next(k for k in cluster if absolute[k] == peak)
            for k in cluster:
                out[k] = absolute[k] / peak
    if rescue:
        for n in np.flatnonzero(empty):
            b, c = images[n], labels[n]
            free = [
                (b, c, a, i, j)
                for a in range(anchors)
                for i in range(height)
                for j in range(width)
                if (b, c, a, i, j) not in best.values()
            ]
            if not free:
                continue
            value = {k: iou(anchor_box(shapes[c][k[2]], k[3], k[4], stride), boxes[n], F) for k in free}
            if max(value.values()) == 0:
                value = {k: giou(anchor_box(shapes[c][k[2]], k[3], k[4], stride), boxes[n]) for k in free}
            k = max(free, key=lambda k: value[k])  # the first of equals
            best[n], owner[k], out[k] = k, n, 1
    return out, owner, empty


def decode(offset, shape, i, j, stride=8, limit=LIMIT):
    """Faster R-CNN's offsets applied to the anchor in cell (i, j)."""
    dx, dy, dw, dh = offset
    w_a, h_a = shape
    cx, cy = (j + 0.5) * stride + dx * w_a, (i + 0.5) * stride + dy * h_a
    w, h = w_a * math.exp(min(dw, limit)), h_a * math.exp(min(dh, limit))
    return cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2


def cross_entropy(logit, label):
    """-log of the probability that sigmoid(logit) gives to the label, without overflow."""
    return math.log1p(math.exp(-abs(logit))) + max(-logit if label else logit, 0.0)


def focal(logit, label, alpha=0.25, gamma=2.0):
    """Focal loss (Lin et al., 2017, eq. 5)."""
    p = 1 / (1 + math.exp(-logit))
    p_t, alpha_t = (p, alpha) if label else (1 - p, 1 - alpha)
    return alpha_t * (1 - p_t) ** gamma * cross_entropy(logit, label)


def ams(overlap, fit, owner, rule="paper", share=1.0):
    """Eq. 3 by loops over the P positives, and our rules: True where the label is 1."""
    if rule == "annealed":
        return [o * f**share > 0.5 for o, f in zip(overlap, fit, strict=True)]
    if rule == "relative":
        best = {n: max(o * f for o, f, m in zip(overlap, fit, owner, strict=True) if m == n) for n in owner}
        return [
            (o * f / best[n] if best[n] > 0 else o) > 0.5 for o, f, n in zip(overlap, fit, owner, strict=True)
        ]  # fmt: skip
    return [o * f > 0.5 for o, f in zip(overlap, fit, strict=True)]


def losses(
    scores, offsets, shapes, boxes, labels, images, s, balance="learned", ams=True, rule="paper", share=1.0,
    cls_weight=1.0, heard=None, batches=0, **how,
):  # fmt: skip
    """Eqs. 2 to 7 by loops. s = (s_loc, s_cls, s_loc_anchor [C, A], s_cls_anchor [C, A]), lambda = exp(-s).
    heard [2, C, A], of so many batches before this one: of loc and of cls, for balance "even".

    Returns a dict: loc, cls, reg, total, P (numpy bool map), n_loc.
    """
    size = scores.shape
    overlap, owner, _ = assign(shapes, size[3:], boxes, labels, images, size[0], **how)
    s_loc, s_cls, s_loc_anchor, s_cls_anchor = s
    sum_loc, sum_cls = 0.0, 0.0
    chosen = np.zeros(size, bool)
    found = [k for k in np.ndindex(*size) if overlap[k] > 0.5]
    fit = [
        iou(decode(offsets[b, c, a, :, i, j], shapes[c][a], i, j), boxes[owner[b, c, a, i, j]])
        for b, c, a, i, j in found
    ]
    accepted = globals()["ams"]([overlap[k] for k in found], fit, [owner[k] for k in found], rule, share)
    for k, o_hat, yes in zip(found, fit, accepted, strict=True):
        chosen[k] = yes if ams else True
        sum_loc += math.exp(-s_loc_anchor[k[1]][k[2]]) * (1 - o_hat) ** 2
    left_out = {k for k, yes in zip(found, accepted, strict=True) if ams and rule == "ignore" and not yes}
    for k in np.ndindex(*size):
        entropy = focal if balance == "focal" else cross_entropy
        if k not in left_out:
            sum_cls += math.exp(-s_cls_anchor[k[1]][k[2]]) * entropy(float(scores[k]), bool(chosen[k]))
    positives = len(found)
    n_all, n_loc = scores.size, max(positives, 1)
    lam_cls = n_all / n_loc if balance in ("retina", "focal") else math.exp(-s_cls)
    loc = math.exp(-s_loc) / n_loc * sum_loc
    cls = cls_weight * lam_cls / n_all * sum_cls
    grids = size[1] * size[2]
    reg = 0.0
    for which, (s_loss, s_anchor, active, weight) in enumerate(
        (
            (s_loc, s_loc_anchor, {k[1:3] for k in found}, 1.0),
            (s_cls, s_cls_anchor, {k[1:3] for k in np.ndindex(*size) if chosen[k]}, cls_weight),
        )
    ):
        wish = dict.fromkeys(np.ndindex(*size[1:3]), 1.0)
        if balance == "even":  # the mean of how often a grid was heard, over its own
            often = {k: (heard[which][k[0]][k[1]] + (k in active) + 10) / (batches + 1 + 10) for k in wish}
            wish = {k: min(10.0, sum(often.values()) / grids / often[k]) for k in wish}
        share = sum(wish[k] for k in active) / grids if balance in ("steady", "even") else 1.0
        reg += weight * (share * s_loss + sum(wish[k] * s_anchor[k[0]][k[1]] for k in wish) / grids)
    return {"loc": loc, "cls": cls, "reg": reg, "total": loc + cls + reg, "P": chosen, "n_loc": positives}


def centred_iou(a, b):
    """IoU of two (w, h) with one centre."""
    inter = min(a[0], b[0]) * min(a[1], b[1])
    return inter / (a[0] * a[1] + b[0] * b[1] - inter)


def nms(boxes, scores, labels, limit):
    """Greedy suppression per class: indices kept, best first."""
    kept = []
    for n in sorted(range(len(boxes)), key=lambda n: -scores[n]):
        if all(labels[n] != labels[m] or iou(boxes[n], boxes[m]) <= limit for m in kept):
            kept.append(n)
    return kept


def voc_iou(a, b):
    """Exact IoU of two xyxy boxes; 0 unless they share an area."""
    a, b = [Fraction(float(v)) for v in a], [Fraction(float(v)) for v in b]
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return Fraction(0)
    inter = width * height
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)


def voc_verdicts(detections, targets, label, iou_threshold):
    """ "hit", "miss" or "ignored" for each detection of the class, by falling score; ties by image, then by row."""
    queue = []
    for image, sample in enumerate(detections):
        for row in range(len(sample["boxes"])):
            if int(sample["labels"][row]) == label:
                queue.append((-float(sample["scores"][row]), image, row))
    matched, verdicts = set(), []
    for _, image, row in sorted(queue):
        target, best, best_iou = targets[image], None, Fraction(0)
        for n in range(len(target["boxes"])):
            if int(target["labels"][n]) == label:
                iou = voc_iou(detections[image]["boxes"][row], target["boxes"][n])
                if iou > best_iou:
                    best, best_iou = n, iou
        if best is None or float(best_iou) < iou_threshold:
            verdicts.append("miss")
        elif "difficult" in target and bool(target["difficult"][best]):
            verdicts.append("ignored")
        elif (image, best) in matched:
            verdicts.append("miss")
        else:
            matched.add((image, best))
            verdicts.append("hit")
    return verdicts


def voc_average_precision(verdicts, num_objects, metric):
    """AP from the verdicts in order. Ignored detections leave no trace."""
    points, hits, seen = [], 0, 0
    for verdict in verdicts:
        if verdict != "ignored":
            seen += 1
            hits += verdict == "hit"
            points.append((Fraction(hits, num_objects), Fraction(hits, seen)))

    def best_from(recall):
        return max((p for r, p in points if r >= recall), default=Fraction(0))

    if metric == "11point":
        return float(sum(best_from(Fraction(k, 10)) for k in range(11)) / 11)
    levels = sorted({Fraction(0), *(r for r, _ in points)})
    return float(sum((high - low) * best_from(high) for low, high in pairwise(levels)))


def voc_ap_per_class(detections, targets, num_classes, iou_threshold=0.5, metric="area"):
    """AP of each class as a numpy array, nan for a class whose objects are all difficult or absent."""
    ap = np.full(num_classes, np.nan)
    for label in range(num_classes):
        num_objects = 0
        for target in targets:
            for n in range(len(target["boxes"])):
                difficult = "difficult" in target and bool(target["difficult"][n])
                num_objects += int(target["labels"][n]) == label and not difficult
        if num_objects:
            verdicts = voc_verdicts(detections, targets, label, iou_threshold)
            ap[label] = voc_average_precision(verdicts, num_objects, metric)
    return ap


def yolo_slots(image_size, strides=(8, 16, 32), per_level=3):
    """(anchor of all nine, stride, row, column) of each slot of an image, in order."""
    return [
        (per_level * level + a, stride, row, column)
        for level, stride in enumerate(strides)
        for a in range(per_level)
        for row in range(image_size[0] // stride)
        for column in range(image_size[1] // stride)
    ]


def yolo_decode(said, shape, stride, row, column, limit=LIMIT):
    """Figure 2 of YOLOv3: xyxy of what a slot predicts."""
    tx, ty, tw, th = said
    cx, cy = (column + 1 / (1 + math.exp(-tx))) * stride, (row + 1 / (1 + math.exp(-ty))) * stride
    w, h = shape[0] * math.exp(min(tw, limit)), shape[1] * math.exp(min(th, limit))
    return cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2


def yolo_answers(shapes, image_size, boxes):
    """The slot of each object: the anchor whose shape fits it best, the first of equals, in the cell of its centre."""
    every = yolo_slots(image_size)
    found = []
    for x1, y1, x2, y2 in boxes:
        w, h = x2 - x1, y2 - y1
        fit = []
        for a in shapes:
            inter = min(a[0], w) * min(a[1], h)
            fit.append(F(inter) / F(a[0] * a[1] + w * h - inter))
        best = fit.index(max(fit))
        stride = next(stride for anchor, stride, _, _ in every if anchor == best)
        cell = []
        for middle, side in (((y1 + y2) / 2, image_size[0]), ((x1 + x2) / 2, image_size[1])):
            inside = [k for k in range(side // stride) if k * stride <= middle < (k + 1) * stride]
            cell.append(inside[0] if inside else 0 if middle < 0 else side // stride - 1)
        found.append(every.index((best, stride, *cell)))
    return found


def yolo_losses(raw, shapes, image_size, objects, ignore=0.5):
    """YOLOv3's loss by loops, Darknet's where the paper is silent. raw[b][n] = (tx, ty, tw, th, objectness, classes);
    objects: of each image a list of (box, label).

    Returns a dict: box, objectness, classification, and how close an IoU came to the ignore threshold.
    """
    every = yolo_slots(image_size)
    box = objectness = classification = 0.0
    number, close = 0, 1.0
    for said, mine in zip(raw, objects, strict=True):
        answers = yolo_answers(shapes, image_size, [b for b, _ in mine])
        for n, (anchor, stride, row, column) in enumerate(every):
            here = [k for k, slot in enumerate(answers) if slot == n]
            predicted = yolo_decode(said[n][:4], shapes[anchor], stride, row, column)
            best = max((iou(predicted, b) for b, _ in mine), default=0.0)
            close = min(close, abs(best - ignore))
            if here:
                number += 1
                objectness += cross_entropy(said[n][4], True)
                labels = {mine[k][1] for k in here}
                classification += sum(cross_entropy(x, c in labels) for c, x in enumerate(said[n][5:]))
                x1, y1, x2, y2 = mine[here[-1]][0]  # Darknet writes one over the other
                weight = 2 - min((x2 - x1) * (y2 - y1) / (image_size[0] * image_size[1]), 1)
                for logit, middle, cell in ((said[n][0], (x1 + x2) / 2, column), (said[n][1], (y1 + y2) / 2, row)):
                    t = min(max(middle / stride - cell, 0), 1)
                    box += weight * (t * cross_entropy(logit, True) + (1 - t) * cross_entropy(logit, False))
                for value, side, of in ((said[n][2], x2 - x1, 0), (said[n][3], y2 - y1, 1)):
                    box += weight * (value - math.log(side / shapes[anchor][of])) ** 2 / 2
            elif best <= ignore:
                objectness += cross_entropy(said[n][4], False)
    number = max(number, 1)
    parts = {"box": box / number, "objectness": objectness / number, "classification": classification / number}
    return parts, close


def doubts(detections, targets, sure):
    """(image, row, annotated label or None) of each detection that the annotations contradict, in the images' order."""
    found = []
    for image, (detected, target) in enumerate(zip(detections, targets, strict=True)):
        boxes, labels = detected["boxes"].tolist(), detected["labels"].tolist()
        objects, names = target["boxes"].tolist(), target["labels"].tolist()
        ignored = target["difficult"].tolist()
        rows = [row for row, score in enumerate(detected["scores"].tolist()) if score >= sure]
        for row in rows:
            a = [Fraction(x) for x in boxes[row]]
            shares = []
            for k, other in enumerate(objects):
                b = [Fraction(x) for x in other]
                width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
                inner = max(width, 0) * max(height, 0)
                first, second = ((x[2] - x[0]) * (x[3] - x[1]) for x in (a, b))
                whole = first if ignored[k] else first + second - inner
                shares.append(inner / whole if whole else Fraction(0))
            best = max(range(len(objects)), key=lambda k: shares[k], default=None)
            if best is None or shares[best] < Fraction(1, 10):
                found.append((image, row, None))
            elif shares[best] >= Fraction(1, 2) and not ignored[best] and names[best] != labels[row]:
                own = [other for other in rows if labels[other] == names[best]]
                if all(iou(boxes[other], objects[best], Fraction) < Fraction(1, 2) for other in own):
                    found.append((image, row, names[best]))
    return found
