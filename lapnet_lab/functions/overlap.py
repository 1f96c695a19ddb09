"""Clusters, PONO and the rescue (paper 3.2): notebook 02."""

import torch
from torch import Generator, Tensor

from lapnet_lab.exercise import Example, FunctionExercise, Mistake


def clusters(ious: Tensor) -> Tensor:
    """To which object each anchor belongs.

    ious: (G, N), the IoU of each of G objects with each of N anchors of their class; G and N are at least 1
    returns: (N,) int64, the number of the object with the largest IoU, the first of several equal ones;
        -1 for an anchor that overlaps nobody
    """
    best, owner = ious.max(0)
    return torch.where(best > 0, owner, -1)


def pono(ious: Tensor, owner: Tensor) -> Tensor:
    """O, the Per-Object Normalized Overlap of each anchor (eq. 1 of the paper).

    ious: (G, N), the IoU of each of G objects with each of N anchors
    owner: (N,) int64, the object to which each anchor belongs, -1 for nobody (what clusters returns)
    returns: (N,) float, the IoU with that object over the largest IoU in the object's cluster; 0 for nobody's anchors
    """
    overlap = torch.zeros(ious.shape[1])
    for n in range(len(ious)):
        mine = owner == n
        if mine.any():
            overlap[mine] = ious[n, mine] / ious[n, mine].max()
    return overlap


def some_ious(generator: Generator) -> list[Tensor]:
    """Maps of IoU: by hand the nasty ones, then random ones with ties and zeros."""
    by_hand = [
        [[0.3]], [[0.0]], [[0.6, 0.3]], [[0.2, 0.1], [0.0, 0.4]], [[0.5, 0.5], [0.5, 0.5]], [[0.4, 0.0], [0.6, 0.0]],
    ]  # fmt: skip
    random = []
    for k in range(30):
        objects, anchors = 1 + k % 4, 2 + k % 7
        values = torch.rand(objects, anchors, generator=generator) * 0.9
        coarse = (values * 5).round() / 5 if k % 3 == 0 else values  # ties
        random.append(torch.where(torch.rand(values.shape, generator=generator) < 0.3, 0, coarse))
    return [*map(torch.tensor, by_hand), *random]


def _clusters_examples(generator: Generator) -> list[Example]:
    return [(ious,) for ious in some_ious(generator)]


def _pono_examples(generator: Generator) -> list[Example]:
    return [(ious, clusters(ious)) for ious in some_ious(generator)]


CLUSTERS = FunctionExercise(
    clusters,
    title="Clusters",
    task="Each anchor goes to the object that it overlaps most, if it overlaps anyone. Write `clusters`.",
    praise="every anchor has found its object, ties and strangers too.",
    hints=("`ious.max(0)` gives two things for each anchor.", "Where the largest value is 0, the anchor is nobody's."),
    difficulty=1,
    minutes=5,
    examples=_clusters_examples,
    mistakes=(Mistake(lambda ious: ious.argmax(0), "an anchor that overlaps nobody is nobody's: -1, not object 0."),),
)
PONO = FunctionExercise(
    pono,
    title="PONO",
    task="Inside each cluster, divide by its largest value (eq. 1). Write `pono`.",
    praise="each object with a cluster peaks at 1, and nobody's anchors stay at 0.",
    hints=("Take one object at a time: `owner == n` is its cluster.", "An empty cluster has no maximum: leave it out."),
    difficulty=2,
    minutes=10,
    examples=_pono_examples,
    mistakes=(
        Mistake(
            lambda ious, owner: torch.where(owner >= 0, ious.max(0).values / ious.max().clamp(min=1e-9), 0),
            "you divide all by one number, the largest of the picture; by which maximum does eq. 1 divide?",
        ),
    ),
)
