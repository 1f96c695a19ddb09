"""Intervals of a mean average precision: the images of the test set are drawn again, with replacement."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lapnet_core.data.types import Detection, Target
from lapnet_core.evaluate.inputs import names_of
from lapnet_core.evaluate.voc import in_order, judge

REPLICATES = 200
"""Draws of the images; every model measured on the same images gets the same draws, so that differences are paired."""


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What `voc_map` decides about each detection, kept, so that AP can be computed again for other draws of images.

    Detections stand class by class, best score first; N of them, C classes, I images.
    """

    labels: np.ndarray
    """(N,) int64."""
    images: np.ndarray
    """(N,) int64."""
    hit: np.ndarray
    """(N,) bool: matches an object that is free."""
    counted: np.ndarray
    """(N,) bool: neither of a difficult object nor of an object left out."""
    objects: np.ndarray
    """(C, I) int64, objects per class and image that count."""

    def of_class(self, label: int) -> "Verdicts":
        """Those of one class alone."""
        mine = self.labels == label
        return Verdicts(
            np.zeros(mine.sum(), np.int64), self.images[mine], self.hit[mine], self.counted[mine],
            self.objects[label : label + 1],
        )  # fmt: skip

    def mean_ap(self, weights: Float[np.ndarray, "R I"]) -> Float[np.ndarray, "R"]:
        """VOC's mean AP (area) where image i counts weights[r, i] times; nan without any object.

        Over the classes that have an object in the draw. With weights of 1 it is `voc_map`'s. Of equal scores the first
        listed comes first, however often its image is drawn.
        """
        classes = len(self.objects)
        ap = np.full((classes, len(weights)), np.nan)
        bounds = np.searchsorted(self.labels, np.arange(classes + 1))
        for c in range(classes):
            rows = np.arange(bounds[c], bounds[c + 1])
            rows = rows[self.counted[rows]]
            times = weights[:, self.images[rows]].astype(float)
            found = (times * self.hit[rows]).cumsum(1)
            precision = found / np.maximum(times.cumsum(1), 1e-12)
            best = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
            number = weights @ self.objects[c]
            known = number > 0
            ap[c, known] = (times * self.hit[rows] * best).sum(1)[known] / number[known]
        present = ~np.isnan(ap)
        return np.where(present.any(0), np.nansum(ap, 0) / np.maximum(present.sum(0), 1), np.nan)


def verdicts(
    detections: Sequence[Detection], targets: Sequence[Target], num_classes: int, *,
    iou_threshold: float = 0.5, area: tuple[float, float] = (0.0, np.inf),
) -> Verdicts:  # fmt: skip
    """As `voc_map` judges.

    Args:
        detections, targets, num_classes, iou_threshold: as there.
        area: in px², low <= area < high: objects of another area are left out, as COCO does it: a detection that
            matches one is ignored, and so is one of another area that matches none.
    """
    names_of(detections, targets, num_classes, None)
    found, objects = in_order(detections, targets, num_classes)

    def outside(boxes: np.ndarray) -> np.ndarray:
        size = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        return (size < area[0]) | (size >= area[1])

    objects.values[outside(objects.boxes)] = True
    hit, counted = judge(found, objects, num_classes, iou_threshold)
    use = ~objects.values
    per_image = np.zeros((num_classes, len(targets)), np.int64)
    np.add.at(per_image, (objects.labels[use], objects.images[use]), 1)
    return Verdicts(found.labels, found.images, hit, counted & (hit | ~outside(found.boxes)), per_image)


def draws(images: int, replicates: int = REPLICATES, seed: int = 0) -> Float[np.ndarray, "R I"]:
    """How often each image comes in each draw of as many images, with replacement; the same for a number of images."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(images, np.full(images, 1 / images), replicates).astype(float)


def of_seeds(replicates: Float[np.ndarray, "S R"], seed: int = 0) -> Float[np.ndarray, "R"]:
    """The mean over seeds in each draw, the seeds drawn again too: S runs of one kind, R draws of the images.

    With few seeds this tells too small an interval: S runs show at most S values.
    """
    count, draws_of_images = replicates.shape
    chosen = np.random.default_rng(seed).integers(0, count, (draws_of_images, count))
    return replicates.T[np.arange(draws_of_images)[:, None], chosen].mean(1)


def interval(replicates: Float[np.ndarray, "R"], level: float = 0.95) -> tuple[float, float]:
    """The central share of the draws."""
    low, high = np.nanquantile(replicates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
