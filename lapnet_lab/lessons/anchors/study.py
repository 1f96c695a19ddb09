"""How good a choice of anchor shapes is, before anything is trained (paper 3.1)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lapnet_core.anchors import KMeansState, class_generator, cluster_anchors, kmeans_steps
from lapnet_core.assign import POSITIVE_THRESHOLD
from lapnet_core.boxes import shape_iou
from lapnet_core.data.box_table import read_boxes
from lapnet_lab import gather

ROUNDING = 1e-9
"""A change of the average IoU below this is rounding, neither a rise nor a fall."""
BOX_TABLES = {"VOC07+12": ("voc0712_trainval", True, 512 / 500), "COCO val": ("coco_val2017", False, 512 / 640)}
"""Name: file in the folder of box tables, whether it counts pixels from 1, and pixels of a 512 px input per pixel."""


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

    def __str__(self) -> str:
        lines = []
        for step, (state, quality) in enumerate(zip(self.states, self.average_iou.tolist(), strict=True)):
            what = "seeded" if step <= self.seeded else f"move {step - self.seeded}"
            changed = int((state.nearest != self.states[step - 1].nearest).sum()) if step else 0
            centers = f"{what:7} {len(state.centers)} centres"
            lines.append(f"step {step:2}: {centers}, average IoU {quality:.3f}, {changed:3} boxes changed")
        return "\n".join(lines)


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
class Served:
    """How well several choices of centres serve small boxes and others; means over the choices."""

    below: float
    """Side sqrt(w * h), in pixels, under which a box, or a centre, is small."""
    small: float
    """Average IoU with the best centre, of the small boxes."""
    others: float
    small_centers: float
    """How many of a choice's centres are small."""
    lost: float
    """Share of all boxes whose best IoU is below 0.5."""

    def __str__(self) -> str:
        return (
            f"average IoU: small {self.small:.2f}, others {self.others:.2f}; {self.small_centers:.1f} centres below "
            f"{self.below:g} px; best IoU below 0.5: {self.lost:.1%}"
        )


def is_small(sizes: Float[Tensor, "n 2"], below: float) -> Bool[Tensor, " n"]:
    """Which (w, h) have a side sqrt(w * h) under `below` pixels."""
    return sizes.prod(-1).sqrt() < below


def served(sizes: Float[Tensor, "n 2"], choices: Sequence[Float[Tensor, "k 2"]], below: float) -> Served:
    """Compare small boxes and others under some choices of centres, in pixels."""
    best = torch.stack([shape_iou(sizes, centers).amax(1) for centers in choices])
    small = is_small(sizes, below)
    few = torch.stack([is_small(centers, below).sum() for centers in choices]).double().mean()
    lost = (best < POSITIVE_THRESHOLD).double().mean()
    return Served(below, *(value.item() for value in (best[:, small].mean(), best[:, ~small].mean(), few, lost)))


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


def row(title: str, values: Iterable[float], form: str) -> str:
    """A line of a printed table: the title, and every value in a column of its own, as `form` says."""
    return f"{title:14} " + "  ".join(format(value, form) for value in values)


class BoxSizes(NamedTuple):
    """The objects of a data set, as `sweep` takes them."""

    sizes: Float[Tensor, "G 2"]
    """(w, h) in pixels of a network input of 512 px."""
    labels: Int[Tensor, " G"]
    num_classes: int


def real_sizes(data: Path | None) -> dict[str, BoxSizes]:
    """The objects of the box tables in `data`/boxes, see BOX_TABLES; none where there is no such folder."""
    found: dict[str, BoxSizes] = {}
    if data is None or not (data / "boxes").is_dir():
        return found
    for name, (file, one_based, scale) in BOX_TABLES.items():
        table = read_boxes(data / "boxes" / f"{file}.csv.gz", one_based=one_based)
        found[name] = BoxSizes(gather.sizes(table.boxes) * scale, table.labels, len(table.class_names))
    return found
