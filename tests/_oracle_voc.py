"""PASCAL VOC average precision as its definition reads: slow loops, exact fractions; nothing of the library."""

from fractions import Fraction
from itertools import pairwise

import numpy as np


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
