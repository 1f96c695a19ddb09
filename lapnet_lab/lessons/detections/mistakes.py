"""What is wrong with each detection, and what mean average precision would be without it."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torchvision.ops import box_iou

from lapnet_core.data import Detection, Target
from lapnet_lab.lessons.detections.study import judge, mean_ap, rows

TOUCHES = 0.1
"""Least IoU with which a box belongs to an object at all; below it is background."""
KINDS = {
    "double": "a second box of an object that has one",
    "position": "the class is right, the IoU between .1 and .5",
    "class": "the box is right, the class is not",
    "background": "nothing there, or neither box nor class",
    "missed": "an object that no box is near",
}
"""What is wrong with a detection, or with an object."""


class Mistakes(NamedTuple):
    """Of one image."""

    kind: list[str]
    """Of each detection; empty where it is right, or does not count."""
    object_index: Int[Tensor, " D"]
    """The object that it should have hit; -1 where there is none."""
    found: Bool[Tensor, " G"]
    missed: Bool[Tensor, " G"]
    """Neither found, nor meant by a detection of the wrong position or class."""


def mistakes(found: Detection, target: Target) -> Mistakes:
    """What is wrong with each detection of an image, at an IoU of .5."""
    judged = judge(found, target)
    ious = box_iou(found["boxes"].double(), torch.as_tensor(target["boxes"]).double())
    ious = ious * (found["labels"][:, None] != target["labels"])
    other, whose = ious.max(1) if ious.shape[1] else (torch.zeros(len(ious)), torch.full((len(ious),), -1))
    kind, meant, missed = [], judged.best.clone(), ~judged.found & ~target["difficult"]
    for d in range(len(ious)):
        if judged.hit[d] or not judged.counted[d]:
            kind.append("")
        elif judged.iou[d] >= 0.5:
            kind.append("double")
        elif judged.iou[d] >= TOUCHES:
            kind.append("position")
            missed[judged.best[d]] = False
        elif other[d] >= 0.5:
            kind.append("class")
            meant[d] = whose[d]
            missed[whose[d]] = False
        else:
            kind.append("background")
            meant[d] = -1
    return Mistakes(kind, meant, judged.found, missed)


def repaired(found: Sequence[Detection], targets: Sequence[Target], kind: str) -> tuple[list[Detection], list[Target]]:
    """The same detections and objects without the mistakes of one kind.

    A wrong position or class is put right where the object has no better detection, else the detection goes; doubles
    and background go; objects that were missed do not count any more.
    """
    better, wanted = [], []
    for one, target in zip(found, targets, strict=True):
        wrong = mistakes(one, target)
        boxes, labels = one["boxes"].clone(), one["labels"].clone()
        keep, free = torch.ones(len(labels), dtype=torch.bool), ~wrong.found & ~target["difficult"]
        for d, own in enumerate(wrong.kind):
            if own != kind:
                continue
            n = int(wrong.object_index[d])
            if kind in ("position", "class") and free[n]:
                boxes[d], labels[d], free[n] = torch.as_tensor(target["boxes"])[n], target["labels"][n], False
            else:
                keep[d] = False
        better.append(rows(Detection(boxes=boxes, scores=one["scores"], labels=labels), keep))
        difficult = target["difficult"] | wrong.missed if kind == "missed" else target["difficult"]
        wanted.append(Target(**{**target, "difficult": difficult}))
    return better, wanted


class Cost(NamedTuple):
    """Of one kind of mistake."""

    count: int
    gain: float
    """Of mean AP, if all of them were repaired."""


def costs(found: Sequence[Detection], targets: Sequence[Target]) -> dict[str, Cost]:
    """What each kind of mistake costs; repaired one kind at a time, so that they do not add up."""
    wrong = [mistakes(one, target) for one, target in zip(found, targets, strict=True)]
    counts = {kind: sum(own.kind.count(kind) for own in wrong) for kind in KINDS}
    counts["missed"] = sum(int(own.missed.sum()) for own in wrong)
    now = mean_ap(found, targets)
    return {kind: Cost(counts[kind], mean_ap(*repaired(found, targets, kind)) - now) for kind in KINDS}
