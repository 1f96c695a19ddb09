"""What the figures of the first notebook show, gathered from what `lapnet_core` computed."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lapnet_core.assign import Assignment, Positives
from lapnet_core.boxes import STRIDE


def counts(labels: Int[Tensor, " n"], names: Sequence[str]) -> dict[str, int]:
    """How many objects there are of each class, by name, none of some included."""
    return dict(zip(names, labels.bincount(minlength=len(names)).tolist(), strict=True))


def centers(at: Positives, stride: int = STRIDE) -> Float[Tensor, "P 2"]:
    """(x, y) of the anchors' centres in pixels."""
    return (torch.stack((at.column, at.row), -1) + 0.5) * stride


class PonoMaps(NamedTuple):
    """One class of one image as `figures.pono_story` shows it, the best anchor of each cell."""

    clusters: Int[Tensor, "H W"]
    """Object to which the anchor of the highest PONO belongs; -1 where none."""
    overlap: Float[Tensor, "H W"]
    """Largest plain overlap, AO."""
    pono: Float[Tensor, "H W"]
    """Largest PONO."""
    peaks: Float[Tensor, "K 2"]
    """Centres (x, y), in pixels, of the anchors with a PONO of 1."""


def pono_maps(plain: Assignment, pono: Assignment, image: int = 0, label: int = 0) -> PonoMaps:
    """Maps over the anchors of one class in one image.

    Args:
        plain, pono: `assign.assign` of the same objects, with overlap="ao" and "pono". All objects are of this class
            and image, or their peaks are among the others'.
    """
    ranked, which = pono.overlap[image, label].max(0)
    clusters = pono.object_index[image, label].gather(0, which[None])[0]
    peaks = centers(pono.positives(threshold=1 - 1e-4))
    return PonoMaps(clusters, plain.overlap[image, label].amax(0), ranked, peaks)


class BySide(NamedTuple):
    """Objects in K bins of their side sqrt(w * h)."""

    total: Int[Tensor, " K"]
    missed: Int[Tensor, " K"]


def by_side(sizes: Float[Tensor, "G 2"], missed: Bool[Tensor, " G"], edges: Sequence[float]) -> BySide:
    """Count the objects, and those that are missed, in bins of their side.

    Args:
        sizes: (w, h) in pixels.
        edges: K + 1 ascending limits in pixels; a side equal to a limit counts above it. The first and the last bin
            also take what lies beyond the ends.
    """
    bins = torch.bucketize(sizes.prod(-1).sqrt(), torch.tensor(edges, dtype=torch.float32)[1:-1], right=True)
    return BySide(*(bins[which].bincount(minlength=len(edges) - 1) for which in (missed >= 0, missed)))
