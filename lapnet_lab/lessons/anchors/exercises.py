"""Exercises of notebook 01."""

from typing import Any

import torch
from torch import Tensor

from lapnet_core.anchors import cluster_anchors
from lapnet_core.boxes import shape_iou
from lapnet_lab.checks import Check, Exercises
from lapnet_lab.exercise import Exercise, Unreadable, numbers
from lapnet_lab.functions import KMEANS_STEP
from lapnet_lab.lessons.anchors.study import best_overlap

MOST_SHAPES = 40


def _centred_iou(answer: Any, *, a: tuple[float, float], b: tuple[float, float]) -> str:
    value = numbers(answer, (), "one number").item()
    truth = shape_iou(*torch.tensor([[a], [b]], dtype=torch.float64)).item()
    (wide, tall), (w, h) = a, b
    shared, both = min(wide, w) * min(tall, h), wide * tall + w * h
    if abs(value - truth) < 0.006:
        return ""
    if abs(value - (1 - truth)) < 0.006:
        return "this is the distance, 1 - IoU; the IoU itself was asked for."
    if abs(value - shared / both) < 0.006:
        return "the union is not the sum of both areas: what they share is in there twice."
    if abs(value - shared) < 0.5:
        return "this is the area that they share; divide it by the area that they cover together."
    return f"{value:g} is not their IoU; the area that they share is {shared:g} square pixels."


def _enough_shapes(answer: Any, *, sizes: Tensor, labels: Tensor, label: int, least: float) -> str:
    count = numbers(answer, (), "one whole number").item()
    if not 1 <= count <= MOST_SHAPES or count != int(count):
        raise Unreadable(f"this needs a whole number from 1 to {MOST_SHAPES}; what came is {count:g}.")
    classes = int(labels.max()) + 1

    def fit(shapes: int) -> float:
        own = cluster_anchors(sizes, labels, classes, shapes)
        return float(best_overlap(sizes, labels, own)[labels == label].mean())

    reached = fit(int(count))
    if reached < least:
        return f"with {count:g} shapes the average IoU is {reached:.3f}, below {least:g}."
    fewer = next((shapes for shapes in range(1, int(count)) if fit(shapes) >= least), None)
    return f"with {count:g} shapes it is {reached:.3f}, but fewer would do, too." if fewer else ""


EXERCISES = Exercises(
    {
        "centred_iou": Exercise(
            "replace None by the IoU of the two boxes, a number between 0 and 1.",
            "boxes.shape_iou says the same. One is upright and the other square, and they are still quite near.",
            "with one centre, the shared part is as wide as the narrower box and as high as the lower one.",
            _centred_iou,
            digits=2,
        ),
        "enough_shapes": Exercise(
            "replace None by the smallest number of shapes A that is enough.",
            "so many and no more. Whether that is a good bargain, the cost of the output maps decides.",
            "cluster the class for A = 1, 2, 3, ... and look where its average IoU first reaches the limit.",
            _enough_shapes,
        ),
    },
    functions=(KMEANS_STEP,),
)
check, judge = Check(EXERCISES), EXERCISES.judge
