"""voc_map beside the loop that everybody writes: per class, per detection, IoU with its image's objects.

There is no line for COCO's metrics: they are pycocotools' own (`evaluate/coco.py`).
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from lapnet_core.bench.line import Line
from lapnet_core.data import Detection, Target
from lapnet_core.evaluate import voc_map

CLASSES, OBJECTS, DETECTIONS = 20, 3.0, 100
"""Objects (on average) and detections of an image."""


def lines(quick: bool) -> Iterator[Line]:
    """On as many images as VOC 2007's test set has; quick, on a twentieth."""
    images = 250 if quick else 4952
    detections, targets = synthetic(images)
    ours, looped = voc_map(detections, targets, CLASSES).mean_ap, looped_map(detections, targets)
    if abs(ours - looped) > 1e-9:
        raise ValueError(f"voc_map and the loop disagree: {ours} and {looped}")
    yield Line(
        f"voc_map, {images} images, {CLASSES} classes, {images * DETECTIONS} detections",
        "the usual loop, same mAP",
        lambda: voc_map(detections, targets, CLASSES),
        lambda: looped_map(detections, targets),
        repeats=5 if quick else 3,
    )


def synthetic(images: int, seed: int = 0) -> tuple[list[Detection], list[Target]]:
    """A fifth of the objects is difficult, 30 % of the detections are jittered objects."""
    g = torch.Generator().manual_seed(seed)

    def random_boxes(n: int) -> Tensor:
        corner, size = torch.rand(n, 2, generator=g) * 400, 10 + torch.rand(n, 2, generator=g) * 150
        return torch.cat([corner, corner + size], 1)

    detections, targets = [], []
    for image in range(images):
        n = 1 + int(torch.poisson(torch.tensor(OBJECTS - 1), generator=g))
        boxes, labels = random_boxes(n), torch.randint(CLASSES, (n,), generator=g)
        difficult = torch.rand(n, generator=g) < 0.2
        targets.append(
            Target(boxes=boxes, labels=labels, difficult=difficult, image_id=image, original_size=(500, 500))
        )
        near = torch.randint(n, (DETECTIONS * 3 // 10,), generator=g)
        others = DETECTIONS - len(near)
        jittered = boxes[near] + torch.randn(len(near), 4, generator=g).clamp(-2, 2) * 2
        names = torch.cat([labels[near], torch.randint(CLASSES, (others,), generator=g)])
        scores = torch.rand(DETECTIONS, generator=g) ** 2
        detections.append(Detection(boxes=torch.cat([jittered, random_boxes(others)]), scores=scores, labels=names))
    return detections, targets


def looped_map(detections: list[Detection], targets: list[Target]) -> float:
    """The usual evaluation: one step of Python per detection, area metric."""
    aps = []
    for c in range(CLASSES):
        truth, num_objects = [], 0
        for target in targets:
            mine = target["labels"].numpy() == c
            difficult = target["difficult"].numpy()[mine]
            truth.append((target["boxes"].double().numpy()[mine], difficult, np.zeros(len(difficult), dtype=bool)))
            num_objects += int((~difficult).sum())
        mine = [found["labels"].numpy() == c for found in detections]
        box = np.concatenate([d["boxes"].double().numpy()[own] for d, own in zip(detections, mine, strict=True)])
        score = np.concatenate([d["scores"].numpy()[own] for d, own in zip(detections, mine, strict=True)])
        image_of = np.repeat(np.arange(len(mine)), [own.sum() for own in mine])
        order = np.argsort(-score, kind="stable")
        hit, miss = np.zeros(len(order)), np.zeros(len(order))
        for step, row in enumerate(order):
            objects, difficult, matched = truth[image_of[row]]
            b, iou, best = box[row], 0.0, -1
            if len(objects):
                width = np.maximum(np.minimum(objects[:, 2], b[2]) - np.maximum(objects[:, 0], b[0]), 0.0)
                height = np.maximum(np.minimum(objects[:, 3], b[3]) - np.maximum(objects[:, 1], b[1]), 0.0)
                inter = width * height
                areas = (objects[:, 2] - objects[:, 0]) * (objects[:, 3] - objects[:, 1])
                ious = inter / (areas + (b[2] - b[0]) * (b[3] - b[1]) - inter)
                best = int(ious.argmax())
                iou = ious[best]
            if iou < 0.5:
                miss[step] = 1
            elif not difficult[best]:
                (miss if matched[best] else hit)[step] = 1
                matched[best] = True
        hits, misses = hit.cumsum(), miss.cumsum()
        recall = np.concatenate([[0], hits / num_objects, [1]])
        precision = np.concatenate([[0], hits / np.maximum(hits + misses, 1e-12), [0]])
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        steps = np.flatnonzero(recall[1:] != recall[:-1])
        aps.append(((recall[steps + 1] - recall[steps]) * precision[steps + 1]).sum())
    return float(np.mean(aps))
