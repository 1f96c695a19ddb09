"""Detections of many images: which are kept, which of them are right, and the one number that comes of it."""

import json
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torchvision.ops import batched_nms, box_iou

from lapnet_core.boxes import covered
from lapnet_core.data import Detection, Target
from lapnet_core.evaluate import voc_map
from lapnet_core.evaluate.bootstrap import draws, interval, verdicts
from lapnet_core.evaluate.doubts import Doubt
from lapnet_core.scenes import SCENE_CLASSES, Scenes
from lapnet_lab.records import DATA

RECORDED = DATA / "runs" / "detections_scenes.jsonl"
"""Written by `recording.py`: what a network finds differs in its digits between processors, what follows is exact."""
SCENES, SIZE = 40, (192, 192)
"""The first so many test scenes, at the size that the shipped detector takes."""
NMS = 0.5
"""`predict.detect`'s own threshold."""


# ---- the record -----------------------------------------------------------------------------------------------------


def recorded_scenes() -> Scenes:
    """The scenes of the record."""
    return Scenes(SCENES, size=SIZE, split="test", keep=True)


@cache
def recorded(path: Path = RECORDED) -> tuple[Detection, ...]:
    """What was recorded, scene by scene, best score first."""
    nothing = torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64)
    parts: list[list[tuple[Tensor, Tensor, Tensor]]] = [[nothing] for _ in range(SCENES)]
    for line in path.read_text(encoding="utf-8").splitlines():
        told = json.loads(line)
        label = torch.full((len(told["scores"]),), SCENE_CLASSES.index(told["class"]))
        parts[told["scene"]].append((torch.tensor(told["boxes"]), torch.tensor(told["scores"]), label))
    found = []
    for own in parts:
        boxes, scores, labels = map(torch.cat, zip(*own, strict=True))
        order = scores.argsort(descending=True, stable=True)
        found.append(Detection(boxes=boxes[order], scores=scores[order], labels=labels[order]))
    return tuple(found)


# ---- what is kept ---------------------------------------------------------------------------------------------------


def rows(found: Detection, which: Tensor) -> Detection:
    """Some detections of an image."""
    return Detection(boxes=found["boxes"][which], scores=found["scores"][which], labels=found["labels"][which])


def above(found: Sequence[Detection], score: float) -> list[Detection]:
    """What has at least this score."""
    return [rows(one, one["scores"] >= score) for one in found]


def suppressed(found: Sequence[Detection], threshold: float = NMS) -> list[Detection]:
    """What non-maximum suppression leaves, class by class."""
    return [rows(one, batched_nms(one["boxes"], one["scores"], one["labels"], threshold)) for one in found]


# ---- what is right --------------------------------------------------------------------------------------------------


class Judged(NamedTuple):
    """The detections of an image, by the rules of VOC, in their own order, which has to be by falling score."""

    hit: Bool[Tensor, " D"]
    counted: Bool[Tensor, " D"]
    """Not so where it matches a difficult object."""
    best: Int[Tensor, " D"]
    """The object of its class that it overlaps most; -1 where it overlaps none."""
    iou: Float[Tensor, " D"]
    """With that one."""
    found: Bool[Tensor, " G"]
    """The objects that a detection hits."""


def judge(found: Detection, target: Target, iou_threshold: float = 0.5) -> Judged:
    """Which detections of an image are right: each looks at the object of its class that it overlaps most, whether
    that one is taken or not. `evaluate.voc_map` judges alike, all images at once."""
    ious = box_iou(found["boxes"].double(), torch.as_tensor(target["boxes"]).double())
    ious = ious * (found["labels"][:, None] == target["labels"])
    iou, best = ious.max(1) if ious.shape[1] else (torch.zeros(len(ious)).double(), torch.full((len(ious),), -1))
    best = torch.where(iou > 0, best, -1)
    hit, counted = torch.zeros(len(ious), dtype=torch.bool), torch.ones(len(ious), dtype=torch.bool)
    taken = torch.zeros(ious.shape[1], dtype=torch.bool)
    for d in (iou >= iou_threshold).nonzero().flatten().tolist():
        if target["difficult"][best[d]]:
            counted[d] = False
        elif not taken[best[d]]:
            hit[d] = taken[best[d]] = True
    return Judged(hit, counted, best, iou, taken)


def judge_coco(found: Detection, target: Target, iou_threshold: float = 0.5) -> tuple[Tensor, Tensor]:
    """(hit, counted) of each detection by COCO's rules: each takes the best object of its class that is still free.

    A difficult object is a crowd, as in `evaluate.coco_map_from_targets`: what lies in it with this share of its own
    area, and hits nothing else, is not counted. Of a class the best 100 are looked at, the rest are not counted.
    """
    boxes = found["boxes"].double(), torch.as_tensor(target["boxes"]).double()
    ious = box_iou(*boxes) * (found["labels"][:, None] == target["labels"])
    inside = covered(*boxes) * (found["labels"][:, None] == target["labels"])
    hit, counted = torch.zeros(len(ious), dtype=torch.bool), torch.ones(len(ious), dtype=torch.bool)
    free, seen = ~target["difficult"], [0] * (1 + int(found["labels"].max()) if len(ious) else 0)
    for d, label in enumerate(found["labels"].tolist()):
        seen[label] += 1
        own = torch.where(free, ious[d], 0.0)
        if seen[label] > 100:
            counted[d] = False
        elif len(own) and own.max() >= iou_threshold:
            hit[d] = True
            free[len(own) - 1 - int(own.flip(0).argmax())] = False  # of equals COCO takes the last
        elif bool((inside[d][target["difficult"]] >= iou_threshold).any()):
            counted[d] = False
    return hit, counted


class Ranking(NamedTuple):
    """All detections of a class that count, of all images, best score first."""

    scores: Float[Tensor, " K"]
    hits: Bool[Tensor, " K"]
    objects: int
    """Of the class, those that are not difficult."""

    def curve(self) -> tuple[Float[Tensor, " K"], Float[Tensor, " K"]]:
        """(Precision, recall) of the best detection, the best two, and so on."""
        found = self.hits.double().cumsum(0)
        return found / torch.arange(1, len(found) + 1), found / max(1, self.objects)

    def at(self, score: float) -> tuple[int, int]:
        """(Hits, false alarms) with at least this score."""
        own = self.hits[self.scores >= score]
        return int(own.sum()), int((~own).sum())


class OfClass(NamedTuple):
    """The detections and objects of one class in one image."""

    ious: Float[Tensor, "D G"]
    scores: Float[Tensor, " D"]
    """Falling."""
    ignored: Bool[Tensor, " D"]
    """Those that match a difficult object."""


def of_class(found: Detection, target: Target, label: int, iou_threshold: float = 0.5) -> OfClass:
    """What `match` needs, rows by falling score, and which rows do not count."""
    own, theirs = rows(found, found["labels"] == label), target["labels"] == label
    own = rows(own, own["scores"].argsort(descending=True, stable=True))
    ious = box_iou(own["boxes"].double(), torch.as_tensor(target["boxes"])[theirs].double())
    ignored = torch.zeros(len(ious), dtype=torch.bool)
    if ious.shape[1]:
        ignored = target["difficult"][theirs][ious.argmax(1)] & (ious.amax(1) >= iou_threshold)
    return OfClass(ious, own["scores"], ignored)


def counts(targets: Sequence[Target]) -> list[int]:
    """The objects of each class that are not difficult."""
    labels = torch.cat([target["labels"][~target["difficult"]] for target in targets])
    return labels.bincount(minlength=len(SCENE_CLASSES)).tolist()


def ranking(
    found: Sequence[Detection], targets: Sequence[Target], label: int, iou_threshold: float = 0.5, rule: str = "voc"
) -> Ranking:
    """The detections of a class in the order in which average precision takes them.

    Args:
        rule: "voc", or "coco" where a detection may take its second-best object.
    """
    scores, hits, objects = [], [], 0
    for one, target in zip(found, targets, strict=True):
        own = rows(one, one["labels"] == label)
        own = rows(own, own["scores"].argsort(descending=True, stable=True))
        hit, counted = (judge if rule == "voc" else judge_coco)(own, target, iou_threshold)[:2]
        scores.append(own["scores"][counted])
        hits.append(hit[counted])
        objects += int(((target["labels"] == label) & ~target["difficult"]).sum())
    every, right = torch.cat(scores), torch.cat(hits)
    order = every.argsort(descending=True, stable=True)
    return Ranking(every[order], right[order], objects)


# ---- one number -----------------------------------------------------------------------------------------------------


def envelope(precision: Float[Tensor, " K"]) -> Float[Tensor, " K"]:
    """At each point the best precision from there on."""
    return precision.flip(0).cummax(0).values.flip(0)


ELEVEN = torch.arange(11).double() / 10
"""VOC 2007's levels of recall."""
COCO = torch.from_numpy(np.linspace(0, 1, 101))
"""COCO's, as it makes them: its .15 is more than 3/20 in the last digit, and so 3 of 20 objects do not reach it."""


def at_recalls(
    precision: Float[Tensor, " K"], recall: Float[Tensor, " K"], levels: Float[Tensor, " L"]
) -> Float[Tensor, " L"]:
    """The best precision at each level of recall or beyond it; 0 where that is not reached."""
    first = torch.searchsorted(recall, levels.double())
    return torch.cat((envelope(precision), torch.zeros(1, dtype=torch.float64)))[first]


def three_aps(one: Ranking) -> tuple[float, float, float]:
    """(VOC's area, VOC's 11 points, COCO's 101 points) of one ranking."""
    precision, recall = one.curve()
    area = float(envelope(precision)[one.hits].sum()) / max(1, one.objects)
    return area, float(at_recalls(precision, recall, ELEVEN).mean()), float(at_recalls(precision, recall, COCO).mean())


def mean_ap(found: Sequence[Detection], targets: Sequence[Target]) -> float:
    """VOC's, by area, at an IoU of .5."""
    return voc_map(found, targets, len(SCENE_CLASSES)).mean_ap


def forgetful(targets: Sequence[Target], share: float, seed: int) -> tuple[list[Target], list[Tensor]]:
    """The targets without some of their objects, each forgotten with the probability `share`; difficult ones stay.

    Returns:
        the targets, and for each scene the boxes of what it lacks now, (n, 4) xyxy in pixels.
    """
    draw = torch.Generator().manual_seed(seed)
    lacking: list[Target] = []
    forgotten: list[Tensor] = []
    for target in targets:
        gone = (torch.rand(len(target["labels"]), generator=draw) < share) & ~target["difficult"]
        boxes = target["boxes"].as_subclass(Tensor)
        forgotten.append(boxes[gone])
        kept = {"boxes": boxes[~gone], "labels": target["labels"][~gone], "difficult": target["difficult"][~gone]}
        lacking.append(Target(**{**target, **kept}))
    return lacking, forgotten


def found_again(doubted: Sequence[Doubt], forgotten: Sequence[Tensor]) -> int:
    """How many of the doubts lie on a forgotten object, with an IoU of at least .5."""
    on = [box_iou(doubt.box[None], forgotten[doubt.image]) for doubt in doubted]
    return sum(bool((iou >= 0.5).any()) for iou in on)


# ---- crowds ---------------------------------------------------------------------------------------------------------


def nearness(target: Target) -> Float[Tensor, " G"]:
    """For each object of an image the largest IoU with another one of its class."""
    boxes, labels = torch.as_tensor(target["boxes"]), target["labels"]
    ious = box_iou(boxes, boxes) * (labels[:, None] == labels)
    return ious.fill_diagonal_(0).amax(1) if len(boxes) else torch.zeros(0)


GROUPS = {"alone": (0.0, 0.1), "side by side": (0.1, 0.3), "in a crowd": (0.3, 1.01)}
"""Name -> IoU with the nearest object of the class, from, to."""


class Suppression(NamedTuple):
    """What one threshold of suppression does to all scenes, as `figures.crowd` draws it."""

    shares: dict[str, float]
    """Group -> the share of its objects that are found, 0 to 1."""
    doubles: int
    """Second boxes of an object."""
    mean_ap: float


def suppression(found: Sequence[Detection], targets: Sequence[Target], threshold: float, score: float) -> Suppression:
    """Suppress at a threshold, and count.

    Args:
        found: before suppression.
        score: shares and doubles are of detections with at least so much; mean AP is of all.
    """
    kept = suppressed(found, threshold)
    near, seen, doubles = [], [], 0
    for one, target in zip(above(kept, score), targets, strict=True):
        judged, use = judge(one, target), ~target["difficult"]
        near.append(nearness(target)[use])
        seen.append(judged.found[use])
        doubles += int((judged.counted & ~judged.hit & (judged.iou >= 0.5)).sum())
    distance, right = torch.cat(near), torch.cat(seen).double()
    groups = {name: (distance >= low) & (distance < high) for name, (low, high) in GROUPS.items()}
    return Suppression(
        {name: float(right[which].mean()) for name, which in groups.items()}, doubles, mean_ap(kept, targets)
    )


def group_sizes(targets: Sequence[Target]) -> dict[str, int]:
    """How many objects each group has, those that are difficult left out."""
    near = torch.cat([nearness(target)[~target["difficult"]] for target in targets])
    return {name: int(((near >= low) & (near < high)).sum()) for name, (low, high) in GROUPS.items()}


# ---- noise, and the meaning of a score ------------------------------------------------------------------------------


class Spread(NamedTuple):
    """An average precision, and between which values 95 % of the draws lie."""

    ap: float
    low: float
    high: float
    objects: int


def spreads(found: Sequence[Detection], targets: Sequence[Target], replicates: int = 200) -> dict[str, Spread]:
    """Class by class, and last of all their mean: so many times the images are drawn again, with replacement."""
    whole = verdicts(found, targets, len(SCENE_CLASSES))
    weights = draws(len(targets), replicates)
    parts = {name: whole.of_class(c) for c, name in enumerate(SCENE_CLASSES)} | {"mean": whole}
    return {
        name: Spread(float(part.mean_ap(np.ones((1, len(targets))))[0]), *interval(part.mean_ap(weights)),
                     int(part.objects.sum()))
        for name, part in parts.items()
    }  # fmt: skip


BINS = (0.1, 0.3, 0.5, 0.7, 0.9, 1.01)
"""Of scores."""


def precision_by_score(one: Ranking) -> list[tuple[int, float]]:
    """For each of BINS: detections whose score lies in it, and the share of them that are right (nan without any)."""
    told = []
    for low, high in pairwise(BINS):
        own = one.hits[(one.scores >= low) & (one.scores < high)]
        told.append((len(own), float(own.double().mean())))
    return told
