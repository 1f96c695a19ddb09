"""PASCAL VOC's mean average precision.

Detections and targets are lists of dicts, one per image, as in torchvision; both in one pixel frame, images in the
same order.

VOC's development kit compares boxes whose corners are inclusive pixel numbers, so its widths are xmax - xmin + 1. Boxes
here are continuous: x1 = xmin - 1, x2 = xmax (and the same in y), so x2 - x1 is the kit's width and every IoU equals
the kit's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lapnet_core.boxes import paired_iou
from lapnet_core.data.types import Detection, Target
from lapnet_core.evaluate.inputs import FlatBoxes, flatten_images, names_of
from lapnet_core.inputs import check_number


@dataclass(frozen=True, eq=False)
class VocResult:
    """What `voc_map` found, per class (C of them) and on average. Tensors are on the CPU.

    mean_ap: mean of `ap` over the classes that have objects; nan if none has.
    ap: (C,) float64 in 0..1; nan for a class without an object that is not difficult.
    num_objects: (C,) int64, objects that are not difficult.
    num_detections: (C,) int64, all detections, also those that matched a difficult object.
    precision, recall: per class a (K,) float64 curve, one point per detection that counts (a hit or a false alarm),
        best score first; empty for a class whose `ap` is nan.
    """

    mean_ap: float
    ap: Float[Tensor, "C"]
    metric: str
    iou_threshold: float
    num_objects: Int[Tensor, "C"]
    num_detections: Int[Tensor, "C"]
    precision: tuple[Float[Tensor, "_"], ...]
    recall: tuple[Float[Tensor, "_"], ...]
    class_names: tuple[str, ...]

    def __str__(self) -> str:
        width = max(len("class"), *(len(name) for name in self.class_names))
        columns = zip(
            self.class_names, self.num_objects.tolist(), self.num_detections.tolist(), self.ap.tolist(), strict=True
        )
        rows = [f"{name:<{width}}  {objects:>8}  {found:>10}  {ap:6.4f}" for name, objects, found, ap in columns]
        absent = int(self.ap.isnan().sum())
        note = f" ({absent} without objects left out)" if absent else ""
        return "\n".join(
            [
                f"VOC mean AP at IoU {self.iou_threshold:g}, {self.metric} metric: {self.mean_ap:.4f}",
                f"over {len(self.class_names) - absent} classes{note}",
                f"{'class':<{width}}  {'objects':>8}  {'detections':>10}  {'AP':>6}",
                *rows,
            ]
        )


def voc_map(
    detections: Sequence[Detection], targets: Sequence[Target], num_classes: int, *,
    iou_threshold: float = 0.5, metric: str = "area", class_names: Sequence[str] | None = None,
) -> VocResult:  # fmt: skip
    """PASCAL VOC's average precision, by the rules of the (MATLAB) development kit.

    Class by class, detections are taken by falling score. Each is compared with the object of its image and class that
    it overlaps most (the first listed, if several), whether that one is free or not:

    - IoU < threshold: a false alarm. An IoU equal to the threshold is a match, as in the kit; py-faster-rcnn asks more.
    - the object is difficult: the detection is ignored. Difficult objects do not count in the recall either.
    - the object is matched already: a false alarm, even if a second-best object is free.
    - otherwise a hit, and the object is matched.

    Equal scores keep their order: earlier image first, then earlier row.

    Args:
        detections: per image: boxes (D, 4) float xyxy px, scores (D,) float, labels (D,) int64 in 0..C-1.
        targets: per image: boxes (G, 4) float xyxy px, labels (G,) int64, difficult (G,) bool (absent: none is).
        num_classes: C.
        iou_threshold: in (0, 1].
        metric: "area" (VOC 2010 and later) is the area under the precision curve after it is made monotone: at each
            recall the best precision at that recall or beyond. "11point" (VOC 2007) is the mean of that at recalls 0,
            .1, ..., 1.
        class_names: C names for the table; default "0", "1", ...

    Raises:
        ValueError: an unknown metric, a threshold outside (0, 1], lengths that differ; and, naming image and row, a
            missing entry, a wrong shape or dtype, a label out of range, a box or score that is not finite, a box with
            x2 < x1 or y2 < y1.
    """
    if metric not in ("area", "11point"):
        raise ValueError(f"metric must be 'area' or '11point', not {metric!r}")
    check_number("iou_threshold", iou_threshold, 0, 1)
    if iou_threshold == 0:
        raise ValueError("iou_threshold must be above 0, or a box that touches no object would match it")
    names = names_of(detections, targets, num_classes, class_names)

    found, objects = in_order(detections, targets, num_classes)
    hit, counted = judge(found, objects, num_classes, iou_threshold)

    num_objects = np.bincount(objects.labels[~objects.values], minlength=num_classes)
    bounds = np.searchsorted(found.labels, np.arange(num_classes + 1))
    ap, precision, recall = np.full(num_classes, np.nan), [], []
    for c in range(num_classes):
        rows = slice(bounds[c], bounds[c + 1] if num_objects[c] else bounds[c])
        hits = hit[rows][counted[rows]]
        cumulated = hits.cumsum()
        precision.append(cumulated / np.arange(1, len(hits) + 1))
        recall.append(cumulated / max(1, num_objects[c]))
        if num_objects[c]:
            average = _area if metric == "area" else _eleven_points
            ap[c] = average(hits, precision[c], int(num_objects[c]))
    present = ap[num_objects > 0]
    return VocResult(
        mean_ap=float(present.mean()) if len(present) else float("nan"),
        ap=torch.from_numpy(ap), metric=metric, iou_threshold=iou_threshold, class_names=names,
        num_objects=torch.from_numpy(num_objects), num_detections=torch.from_numpy(np.diff(bounds)),
        precision=tuple(torch.from_numpy(curve) for curve in precision),
        recall=tuple(torch.from_numpy(curve) for curve in recall),
    )  # fmt: skip


def in_order(
    detections: Sequence[Detection], targets: Sequence[Target], num_classes: int
) -> tuple[FlatBoxes, FlatBoxes]:
    """The detections as they are taken, by class, then by falling score, and the objects."""
    objects = flatten_images(targets, num_classes, key="difficult")
    found = flatten_images(detections, num_classes, key="scores")
    # lexsort is stable, which settles ties by image and row.
    return found.take(np.lexsort((-found.values, found.labels))), objects


def judge(
    found: FlatBoxes, objects: FlatBoxes, num_classes: int, iou_threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """For detections in the order in which they are taken: (N,) bool is a hit, and (N,) bool counts at all."""
    best, iou = _best_object(found, objects, num_classes)
    matched = np.flatnonzero(iou >= iou_threshold)
    difficult = objects.values[best[matched]]
    counted = np.ones(len(best), dtype=bool)
    counted[matched[difficult]] = False
    # An object goes to the first detection that matches it. np.unique returns the first occurrence of each value.
    claims = matched[~difficult]
    _, first = np.unique(best[claims], return_index=True)
    hit = np.zeros(len(best), dtype=bool)
    hit[claims[first]] = True
    return hit, counted


def _best_object(found: FlatBoxes, objects: FlatBoxes, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """For each detection the row of the object of its image and class that it overlaps most, and their IoU (0: none).

    All pairs would fill the memory on crowded images. This takes the first object of every detection's group (one
    image, one class), then the second and so on: as many rounds as the largest group has objects, each over the
    detections that have one left.
    """
    keys = objects.images * num_classes + objects.labels
    by_group = np.argsort(keys, kind="stable")
    groups, wanted = keys[by_group], found.images * num_classes + found.labels
    start = np.searchsorted(groups, wanted, side="left")
    count = np.searchsorted(groups, wanted, side="right") - start

    best, best_iou = np.zeros(len(wanted), dtype=np.int64), np.zeros(len(wanted))
    active, taken = np.flatnonzero(count), 0
    while len(active):
        candidate = by_group[start[active] + taken]
        # In float64, so that an IoU of exactly the threshold is seen as such.
        iou = paired_iou(torch.from_numpy(found.boxes[active]), torch.from_numpy(objects.boxes[candidate])).numpy()
        better = iou > best_iou[active]  # not >=: of equals the first listed stays
        best[active[better]], best_iou[active[better]] = candidate[better], iou[better]
        taken += 1
        active = active[count[active] > taken]
    return best, best_iou


def _area(hits: np.ndarray, precision: np.ndarray, num_objects: int) -> float:
    """Area under the monotone precision curve: recall steps by 1 / num_objects at each hit and nowhere else."""
    return float(_envelope(precision)[hits].sum() / num_objects)


def _eleven_points(hits: np.ndarray, precision: np.ndarray, num_objects: int) -> float:
    """Mean of the best precision at recall >= 0, .1, ..., 1."""
    # hits / num_objects >= k / 10 in whole numbers: in floats, 3 of 10 may miss a recall of 3 * .1.
    reached = np.searchsorted(10 * hits.cumsum(), np.arange(11) * num_objects)
    return float(np.append(_envelope(precision), 0.0)[reached].sum() / 11)


def _envelope(precision: np.ndarray) -> np.ndarray:
    """At each point the best precision from there on."""
    return np.maximum.accumulate(precision[::-1])[::-1]
