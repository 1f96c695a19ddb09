"""The challenge of notebook 12: what becomes of all the boxes of a cluster, where `nms` keeps one of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchvision.ops import nms

from lapnet_core.data import Detection, Target
from lapnet_core.data.named import Images
from lapnet_core.detector import Detector
from lapnet_core.evaluate import CocoResult, coco_map_from_targets
from lapnet_lab.exercise import Unreadable
from lapnet_lab.tries import called

Thin = Any
"""Whatever a learner hands in. It should be a function: boxes (N, 4) of one class in one picture, by falling score, and
scores (N,) -> the boxes and scores that are left."""

LEAST_SCORE = 0.05
"""Of the boxes that are handed over: those below decide next to nothing, and are most of them."""
GAIN = 0.005
"""AP on val that a function has to be ahead of `by_nms`; other thresholds of nms are behind it."""


class Candidates(NamedTuple):
    """Whatever a detector sees in some pictures, before any of it is suppressed, and what is there."""

    found: list[Detection]
    truth: list[Target]

    @classmethod
    def of(cls, detector: Detector, images: Images, *, progress: bool = False) -> "Candidates":
        """By the detector, its largest scores first."""
        options = {"score_threshold": LEAST_SCORE, "nms_iou": 1.0, "max_detections": 4000}
        found, truth, _ = detector.predict_dataset(images, progress=progress, **options)
        return cls(found, truth)

    def measured(self, thin: Thin, class_names: Sequence[str]) -> CocoResult:
        """COCO's AP of what `thin` leaves."""
        left = [_thinned(detection, thin, len(class_names)) for detection in self.found]
        return coco_map_from_targets(left, self.truth, len(class_names), class_names=class_names)


def by_nms(boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """What a detector does: of boxes that overlap by more than a half the most certain one stays."""
    kept = nms(boxes, scores, 0.5)
    return boxes[kept], scores[kept]


class Board:
    """The learner's function beside `nms`: on val, where one may try, and on test, once that has gone well.

    Args:
        class_names: of the labels.
        val, test: of pictures that the detector has not seen.
    """

    def __init__(self, class_names: Sequence[str], val: Candidates, test: Candidates) -> None:
        self.class_names, self.val, self.test = class_names, val, test
        self.nms = self.val.measured(by_nms, self.class_names)
        self.yours: CocoResult | None = None
        """On val, of the last function that could be measured."""
        self.ahead: Thin | None = None
        """That function, where it is ahead of nms."""
        self.tried = 0

    def judge(self, thin: Thin) -> str:
        """What is wrong with a function: that it is not ahead of `nms` on val. Empty where it is."""
        self.yours = self.ahead = None
        self.yours = self.val.measured(thin, self.class_names)
        self.tried += 1
        if self.yours.ap < self.nms.ap + GAIN:
            least = f"{self.nms.ap + GAIN:.3f} is wanted"
            return f"on val its AP is {self.yours.ap:.3f}; that of nms is {self.nms.ap:.3f}, and {least}."
        self.ahead = thin
        return ""

    def __str__(self) -> str:
        rows = [("val", "nms", self.nms)] + ([("val", "yours", self.yours)] if self.yours else [])
        if self.ahead:
            measured = (
                (who, self.test.measured(f, self.class_names)) for who, f in (("nms", by_nms), ("yours", self.ahead))
            )
            rows += [("test", who, one) for who, one in measured]
        lines = ["scenes  who     AP     at .5  at .75"]
        lines += [f"{where:6}  {who:5}  {one.ap:.3f}  {one.ap50:.3f}  {one.ap75:.3f}" for where, who, one in rows]
        if not self.ahead:
            lines.append(f"test is shown once yours is {GAIN} ahead on val")
        elif self.tried > 1:
            lines.append(f"(tried on val {self.tried} times: the more often, the more of the gain there is luck)")
        return "\n".join(lines)


def _thinned(detection: Detection, thin: Thin, classes: int) -> Detection:
    boxes, scores, labels = [torch.zeros(0, 4)], [torch.zeros(0)], [torch.zeros(0, dtype=torch.int64)]
    for c in range(classes):
        rows = detection["labels"] == c
        if bool(rows.any()):
            given = detection["boxes"][rows], detection["scores"][rows]
            left = _read(called(thin, *given, asked="thin(boxes, scores)", in_place=True))
            boxes.append(left[0])
            scores.append(left[1])
            labels.append(torch.full((len(left[1]),), c))
    return Detection(boxes=torch.cat(boxes), scores=torch.cat(scores), labels=torch.cat(labels))


def _read(answer: Any) -> tuple[Tensor, Tensor]:
    """Boxes and scores as a learner returned them."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise Unreadable("thin must return two things: the boxes, (K, 4), and their scores, (K,).")
    try:
        boxes, scores = (torch.as_tensor(part).detach().float() for part in answer)
    except (TypeError, ValueError, RuntimeError):
        raise Unreadable("thin must return two tensors; torch.stack makes one of a list of tensors.") from None
    if boxes.dim() != 2 or boxes.shape[1] != 4 or scores.shape != boxes.shape[:1]:
        raise Unreadable(
            f"thin must return boxes (K, 4) and scores (K,), not {tuple(boxes.shape)} and {tuple(scores.shape)}."
        )
    if not bool(boxes.isfinite().all() & scores.isfinite().all()):
        raise Unreadable("a box or a score that thin returns is not finite: is a sum divided by 0?")
    return boxes, scores
