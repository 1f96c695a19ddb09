"""voc_map beside the loop that everybody writes (per class, per detection, IoU with its image's objects).

Both run in one process, on synthetic data of the size of the VOC 2007 test set, and must agree.
Run: ``python benchmarks/bench_evaluate.py [--images N]``.
"""

import argparse
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lapnet_core.evaluate import voc_map

CLASSES, OBJECTS_PER_IMAGE, DETECTIONS_PER_IMAGE = 20, 3.0, 100
Sample = Any  # a Detection or a Target, made up


def synthetic(images: int, seed: int = 0) -> tuple[list[Sample], list[Sample]]:
    """Detections and targets; a fifth of the objects is difficult, 30 % of the detections are jittered objects."""
    g = torch.Generator().manual_seed(seed)

    def random_boxes(n: int) -> Tensor:
        corner, size = torch.rand(n, 2, generator=g) * 400, 10 + torch.rand(n, 2, generator=g) * 150
        return torch.cat([corner, corner + size], 1)

    detections, targets = [], []
    for _ in range(images):
        n = 1 + int(torch.poisson(torch.tensor(OBJECTS_PER_IMAGE - 1), generator=g))
        boxes, labels = random_boxes(n), torch.randint(CLASSES, (n,), generator=g)
        targets.append({"boxes": boxes, "labels": labels, "difficult": torch.rand(n, generator=g) < 0.2})
        near = torch.randint(n, (DETECTIONS_PER_IMAGE * 3 // 10,), generator=g)
        noise = DETECTIONS_PER_IMAGE - len(near)
        jittered = boxes[near] + torch.randn(len(near), 4, generator=g).clamp(-2, 2) * 2
        detections.append(
            {
                "boxes": torch.cat([jittered, random_boxes(noise)]),
                "labels": torch.cat([labels[near], torch.randint(CLASSES, (noise,), generator=g)]),
                "scores": torch.rand(DETECTIONS_PER_IMAGE, generator=g) ** 2,
            }
        )
    return detections, targets


def looped_map(detections: list[Sample], targets: list[Sample]) -> float:
    """The usual evaluation: one step of Python per detection, area metric."""
    aps = []
    for c in range(CLASSES):
        truth, num_objects = [], 0
        for target in targets:
            mine = target["labels"].numpy() == c
            difficult = target["difficult"].numpy()[mine]
            truth.append((target["boxes"].double().numpy()[mine], difficult, np.zeros(len(difficult), dtype=bool)))
            num_objects += int((~difficult).sum())
        boxes, scores, images = [], [], []
        for image, detection in enumerate(detections):
            mine = detection["labels"].numpy() == c
            boxes.append(detection["boxes"].double().numpy()[mine])
            scores.append(detection["scores"].numpy()[mine])
            images.append(np.full(int(mine.sum()), image))
        box, score, image_of = np.concatenate(boxes), np.concatenate(scores), np.concatenate(images)
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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=4952)
    images = parser.parse_args().images
    torch.set_num_threads(1)
    detections, targets = synthetic(images)
    ours, looped = [], []
    for _ in range(2):  # in turn, best of two: a shared machine is noisy
        start = time.perf_counter()
        result = voc_map(detections, targets, CLASSES)
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        expected = looped_map(detections, targets)
        looped.append(time.perf_counter() - start)
    if abs(result.mean_ap - expected) > 1e-9:
        raise SystemExit(f"the two disagree: {result.mean_ap} and {expected}")
    objects, found = int(result.num_objects.sum()), int(result.num_detections.sum())
    print(f"{images} images, {objects} objects that are not difficult, {found} detections, one thread")
    print(f"mean AP {result.mean_ap:.6f} by both")
    print(f"voc_map {min(ours):.2f} s, loop {min(looped):.2f} s: ratio {min(looped) / min(ours):.1f}")


if __name__ == "__main__":
    main()
