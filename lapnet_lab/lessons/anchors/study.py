"""How good a choice of anchor shapes is, before anything is trained (paper 3.1)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lapnet_core.anchors import KMeansState, class_generator, cluster_anchors, kmeans_steps
from lapnet_core.assign import POSITIVE_THRESHOLD
from lapnet_core.boxes import shape_iou

ROUNDING = 1e-9
"""A change of the average IoU below this is rounding, neither a rise nor a fall."""


def best_overlap(
    sizes: Float[Tensor, "G 2"], labels: Int[Tensor, " G"], shapes: Float[Tensor, "C A 2"]
) -> Float[Tensor, " G"]:
    """IoU of each object with the best of its class's shapes, centres aligned: what the best place would give.

    `anchors.average_iou` is its mean over each class.

    Args:
        sizes: (w, h) in the pixels of `shapes`.
    """
    best = sizes.new_empty(len(sizes))
    for c, own in enumerate(shapes):
        best[labels == c] = shape_iou(sizes[labels == c], own).amax(1)
    return best


def shared_shapes(sizes: Float[Tensor, "G 2"], num_classes: int, count: int, seed: int = 0) -> Float[Tensor, "C k 2"]:
    """The same shapes for every class, clustered on all objects together, as YOLOv2 has them; C copies of k shapes."""
    everything = torch.zeros(len(sizes), dtype=torch.int64, device=sizes.device)
    return cluster_anchors(sizes, everything, 1, count, seed).expand(num_classes, -1, -1)


def euclidean(a: Float[Tensor, "n 2"], b: Float[Tensor, "m 2"]) -> Float[Tensor, "n m"]:
    """One minus the distance of (w, h) in pixels: what `kmeans_steps` takes in the place of the IoU."""
    return 1 - (a[:, None] - b[None]).norm(dim=-1)


def distance_maps(
    axis: Float[Tensor, " N"],
    references: Float[Tensor, "R 2"],
    similarity: Callable[[Tensor, Tensor], Tensor] = shape_iou,
) -> Float[Tensor, "R N N"]:
    """Distance of every size (w, h) = (axis[column], axis[row]) from each reference size."""
    plane = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).flatten(0, 1)
    return (1 - similarity(plane, references)).T.reshape(len(references), len(axis), len(axis))


@dataclass(frozen=True)
class Trace:
    """One run of k-means, and how good each of its states is."""

    states: tuple[KMeansState, ...]
    average_iou: Float[Tensor, " T"]
    """Mean over the boxes of the IoU with the best centre, for each state."""
    seeded: int
    """Number of the first state that has all k centres; those before it are the seeding."""

    @property
    def moves(self) -> Float[Tensor, " M"]:
        """What each move of the centres to their means changed in the average IoU."""
        return self.average_iou[self.seeded :].diff()

    @property
    def result(self) -> Float[Tensor, "k 2"]:
        """The centres of the last state."""
        return self.states[-1].centers


def trace(
    sizes: Float[Tensor, "n 2"],
    k: int,
    seed: int = 0,
    label: int = 0,
    similarity: Callable[[Tensor, Tensor], Tensor] = shape_iou,
) -> Trace:
    """Every state of k-means on the sizes of one class.

    Args:
        sizes: (w, h) of the objects of that class.
        label: with the number of the class, seed and IoU it is the run that `anchors.cluster_anchors` does.
        similarity: see `anchors.kmeans_steps`; the average IoU is one of IoUs whatever this is.
    """
    own = sizes.to(torch.float64)
    states = tuple(kmeans_steps(own, k, class_generator(seed, label), similarity))
    quality = torch.stack([shape_iou(own, state.centers).amax(1).mean() for state in states])
    return Trace(states, quality, next(t for t, state in enumerate(states) if len(state.centers) == k))


@dataclass(frozen=True)
class Descent:
    """Does k-means with distance 1 - IoU improve with every move? Counted over classes and seeds."""

    final: Float[Tensor, "C S"]
    """Average IoU that each run ends at."""
    moves: int
    falls: int
    """Moves of the centres to their means after which the average IoU is lower."""
    largest_fall: float
    runs_past_best: int
    """Runs whose last state is not their best."""

    def __str__(self) -> str:
        return (
            f"{self.final.numel()} runs, {self.moves} moves; {self.falls} moves made the average IoU worse, "
            f"the largest fall is {self.largest_fall:.4f}; {self.runs_past_best} runs end below their best"
        )


def descent(
    sizes: Float[Tensor, "G 2"], labels: Int[Tensor, " G"], num_classes: int, k: int, seeds: Sequence[int]
) -> Descent:
    """Run k-means for every class and seed, and look at each move."""
    runs = [[trace(sizes[labels == c], k, seed, c) for seed in seeds] for c in range(num_classes)]
    every = [run for row in runs for run in row]
    moves = torch.cat([run.moves for run in every])
    past = sum(bool(run.average_iou[-1] < run.average_iou.max() - ROUNDING) for run in every)
    final = torch.stack([torch.stack([run.average_iou[-1] for run in row]) for row in runs])
    largest = max(0.0, -float(moves.min())) if len(moves) else 0.0
    return Descent(final, len(moves), int((moves < -ROUNDING).sum()), largest, past)


@dataclass(frozen=True)
class Sweep:
    """Quality of the clustered shapes against their number."""

    counts: tuple[int, ...]
    by_class: Float[Tensor, "K C"]
    """Average IoU."""
    average: Float[Tensor, " K"]
    """Average IoU over all objects."""
    below: Float[Tensor, " K"]
    """Share of all objects whose best shape has an IoU of at most 0.5, centres aligned: AO loses them on any grid."""


def sweep(
    sizes: Float[Tensor, "G 2"],
    labels: Int[Tensor, " G"],
    num_classes: int,
    counts: Sequence[int],
    seed: int = 0,
    *,
    shared: bool = False,
) -> Sweep:
    """Cluster anew for every number of shapes A, and measure on the same objects.

    Args:
        shared: one set of A shapes for all classes, in the place of A for each class.
    """
    by_class, average, below = [], [], []
    for count in counts:
        if shared:
            shapes = shared_shapes(sizes, num_classes, count, seed)
        else:
            shapes = cluster_anchors(sizes, labels, num_classes, count, seed)
        best = best_overlap(sizes, labels, shapes)
        by_class.append(torch.stack([best[labels == c].mean() for c in range(num_classes)]))
        average.append(best.mean())
        below.append((best <= POSITIVE_THRESHOLD).float().mean())
    return Sweep(tuple(counts), torch.stack(by_class), torch.stack(average), torch.stack(below))
