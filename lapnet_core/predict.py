"""From scores and offsets to detections (paper 3.1): best anchors, decode, non-maximum suppression per class."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchvision.ops import batched_nms, clip_boxes_to_image

from lapnet_core.boxes import STRIDE, decode
from lapnet_core.data.types import Detection
from lapnet_core.inputs import check_number, check_outputs, check_thresholds, refuse_sizes, sizes

PART = 64
"""Grids (c, a) that are searched at a time: at COCO's 512 px a megabyte, which a processor's cache holds."""
FIRST = 1024
"""Candidates that are suppressed first. Often that gives `max_detections`, and the weaker ones change nothing."""


@torch.no_grad()
def detect(
    scores: Float[Tensor, "B C A H W"], offsets: Float[Tensor, "B C A 4 H W"], shapes: Float[Tensor, "C A 2"], *,
    score_threshold: float = 0.001, nms_iou: float = 0.5, candidates: int = 4000, max_detections: int = 300,
    stride: int = STRIDE,
) -> list[Detection]:  # fmt: skip
    """Detections of each image of a batch, from what `model.LapNet` returns.

    Args:
        scores: logits.
        offsets: (dx, dy, dw, dh) per anchor.
        shapes: (w, h) of the anchors in pixels.
        score_threshold: only anchors whose probability is above it.
        nms_iou: of two detections of one class with a larger IoU the weaker goes.
        candidates: the best so many anchors of an image are decoded. A whole cluster answers to an object, a hundred
            anchors and more, so the usual thousand would be spent on ten objects: on BCCD that costs .02 of mAP.
        max_detections: kept per image; COCO's evaluation takes the best 100 of them.
        stride: pixels per cell.

    Returns:
        One dict an image, in float32; boxes in pixels of the network input, clipped to it. The balance weights play no
        part. Paper is silent on all four numbers.

    Raises:
        ValueError: what does not fit together, is out of its range, or is not finite, by its name.
    """
    check_outputs(scores, offsets, shapes)
    check_thresholds(score_threshold, nms_iou, candidates, max_detections)
    check_number("stride", stride, 1, whole=True)
    _, classes, anchors, height, width = scores.shape
    shapes = shapes.float()
    inside = 0 < score_threshold < 1
    threshold = math.log(score_threshold / (1 - score_threshold)) if inside else math.inf * (score_threshold - 0.5)
    detections: list[Detection] = []
    right = [sizes(shapes).all()]  # asked once, at the end: each question waits for a GPU
    for image_scores, image_offsets in zip(scores, offsets, strict=True):
        best, place = best_scores(image_scores, threshold, candidates)
        label, anchor, row, column = torch.unravel_index(place, (classes, anchors, height, width))
        chosen = image_offsets[label, anchor, :, row, column]
        right += [~best[:1].isnan().any(), chosen.isfinite().all()]  # nan is sorted first
        boxes = decode(chosen, shapes[label, anchor], row, column, stride).float()  # as the scores are
        size = (height * stride, width * stride)
        detections.append(suppress(boxes, best.sigmoid(), label, size, nms_iou, max_detections))
    if not bool(torch.stack(right).all()):
        refuse_sizes(shapes)
        raise ValueError("scores or offsets are not finite: either the images are not, or the model is damaged")
    return detections


def best_scores(
    scores: Float[Tensor, "C A H W"], threshold: float, candidates: int
) -> tuple[Float[Tensor, " K"], Int[Tensor, " K"]]:
    """The best logits above a threshold, best first, and their places in the flattened scores.

    They are what `topk` makes of all that pass, to the order of equal ones, but most are never looked at: a grid (c, a)
    without a candidate is passed over after its maximum, in either memory layout. And where nearly everything passes,
    as before training, the bar rises to the last of the best so many that the first parts gave. What comes later and is
    no better would not enter; CPUs select so themselves, once there are more than 64 to choose one from.
    """
    grids = scores.flatten(0, 1).flatten(1)
    left = (grids.amax(1).float() <= threshold).logical_not_().nonzero().flatten()  # not (> threshold): nan passes
    bar: float | Tensor = threshold
    values, places = [], []
    # A GPU is waited for in each part, so that it gets one alone.
    for part in left.split(PART) if scores.device.type == "cpu" else (left,):
        logits = grids[part].flatten().float()
        passing = (logits <= bar).logical_not_().nonzero().flatten()
        values.append(logits[passing])
        places.append(passing + PART * grids.shape[1] * len(places))
        if bar is threshold and sum(map(len, values)) >= 64 * candidates:
            bar = torch.cat(values).topk(candidates).values[-1]
    value, place = torch.cat(values), torch.cat(places)
    best, order = value.topk(min(candidates, len(value)))
    grid, cell = place[order] // grids.shape[1], place[order] % grids.shape[1]
    return best, left[grid] * grids.shape[1] + cell


def suppress(
    boxes: Float[Tensor, "K 4"], probability: Float[Tensor, " K"], labels: Int[Tensor, " K"],
    image_size: tuple[int, int], nms_iou: float, max_detections: int,
) -> Detection:  # fmt: skip
    """Clips the candidates of an image of (height, width), and keeps of each class what no better one covers.

    They come best first, and stay in that order.
    """
    boxes = clip_boxes_to_image(boxes, image_size)
    # A box may lie out of the image altogether; nothing is left of it then. What is not finite passes: callers tell it.
    inside = (boxes[:, 2:] <= boxes[:, :2]).any(1).logical_not_()
    boxes, probability, labels = boxes[inside], probability[inside], labels[inside]
    # Only better ones cover a candidate: what is kept of the first is kept, whatever comes after. torchvision rounds in
    # another way where it is given fewer, and on a GPU, so these are done at once.
    first = FIRST if boxes.device.type == "cpu" and max_detections < FIRST else len(boxes)
    keep = batched_nms(boxes[:first], probability[:first], labels[:first], nms_iou)
    if len(keep) < max_detections and first < len(boxes):
        keep = batched_nms(boxes, probability, labels, nms_iou)
    keep = keep.sort().values[:max_detections]
    return Detection(boxes=boxes[keep], scores=probability[keep], labels=labels[keep])
