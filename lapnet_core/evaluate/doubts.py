"""Annotations that a trained detector doubts: objects that may be forgotten, or have the name of another class."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torchvision.ops import box_iou

from lapnet_core.boxes import covered
from lapnet_core.data.types import Detection, Target
from lapnet_core.evaluate.inputs import flatten_images, names_of
from lapnet_core.inputs import check_number

SURE = 0.5
"""A detection with this score is one that the detector is sure of."""
APART, MATCH = 0.1, 0.5
"""IoU below which a box is about no object, and from which on about this one: TIDE's (Bolya et al., 2020)."""


@dataclass(frozen=True, eq=False)
class Doubt:
    """One detection that the annotations contradict.

    image, row: its places in the detections. score: in [0, 1]. label: what the detector says. box: (4,) float xyxy px.
    annotated: the label of the object that it lies on; None: there is none, the object may have been overlooked.
    """

    image: int
    row: int
    score: float
    label: int
    box: Float[Tensor, "4"]
    annotated: int | None


def doubts(
    detections: Sequence[Detection], targets: Sequence[Target], num_classes: int, *, sure: float = SURE
) -> list[Doubt]:
    """What a detector is sure of, and the annotations lack or call otherwise; the surest first.

    *Overlooked*: the IoU with every object of the image, of whichever class, is below APART; in place of the IoU with a
    difficult object, such as a crowd, the share of the detection that it covers. *Swapped*: the object that it overlaps
    most, by at least MATCH, is of another class and not difficult, and no sure detection of that class matches it. (The
    names are cleanlab's.) Either may also be the detector's mistake: a person has to look.

    Args:
        detections, targets: as in `voc_map`.
        sure: the least score.

    Raises:
        ValueError: as `voc_map`; `sure` outside [0, 1].
    """
    check_number("sure", sure, 0, 1)
    names_of(detections, targets, num_classes, None)
    flatten_images(detections, num_classes, key="scores")
    flatten_images(targets, num_classes, key="difficult")
    found: list[Doubt] = []
    for image, (detected, target) in enumerate(zip(detections, targets, strict=True)):
        rows = (detected["scores"] >= sure).nonzero()[:, 0]
        boxes, labels = detected["boxes"][rows].as_subclass(Tensor), detected["labels"][rows]
        overlap, objects = torch.zeros(len(rows)), torch.zeros(len(rows), dtype=torch.int64)
        settled = torch.zeros(0, dtype=torch.bool)  # (G,): nothing swaps an object that is difficult, or seen as it is
        if len(target["labels"]):
            others = target["boxes"].as_subclass(Tensor).to(boxes)
            iou = box_iou(boxes, others).nan_to_num(0)  # of two boxes without area
            difficult = target.get("difficult", torch.zeros(len(others), dtype=torch.bool))
            overlap, objects = torch.where(difficult, covered(boxes, others), iou).max(1)
            settled = difficult | ((iou >= MATCH) & (labels[:, None] == target["labels"])).any(0)
        for k, row in enumerate(rows.tolist()):
            annotated = None
            if overlap[k] >= APART:
                if overlap[k] < MATCH or settled[objects[k]]:
                    continue
                annotated = int(target["labels"][objects[k]])
            found.append(Doubt(image, row, float(detected["scores"][row]), int(labels[k]), boxes[k], annotated))
    return sorted(found, key=lambda doubt: -doubt.score)


def without(detections: Sequence[Detection], left_out: Sequence[Doubt]) -> list[Detection]:
    """The detections but for those in doubt."""
    kept = [torch.ones(len(detected["scores"]), dtype=torch.bool) for detected in detections]
    for doubt in left_out:
        kept[doubt.image][doubt.row] = False
    return [
        Detection(boxes=one["boxes"][keep], scores=one["scores"][keep], labels=one["labels"][keep])
        for one, keep in zip(detections, kept, strict=True)
    ]
