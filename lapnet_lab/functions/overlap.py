"""Clusters, PONO and the rescue (paper 3.2): notebook 02."""

import torch
from torch import Generator, Tensor

from lapnet_lab.exercise import Example, FunctionExercise


def clusters(ious: Tensor) -> Tensor:
    """To which object each anchor belongs (paper 3.2).

    ious: (G, N), the IoU of each of G objects with each of N anchors of their class; G and N are at least 1
    returns: (N,) int64, the number of the object with the largest IoU, the first of several equal ones;
        -1 for an anchor that overlaps nobody
    """
    best, owner = ious.max(0)
    return torch.where(best > 0, owner, -1)


def pono(ious: Tensor, owner: Tensor) -> Tensor:
    """O, the Per-Object Normalized Overlap of each anchor (eq. 1 of the paper).

    ious: (G, N), the IoU of each of G objects with each of N anchors; G and N are at least 1
    owner: (N,) int64, the object to which each anchor belongs, -1 for nobody (what `clusters` returns). All anchors of
        one object are its cluster
    returns: (N,) float, the IoU with that object over the largest IoU in the object's cluster; 0 for nobody's anchors
    """
    overlap = torch.zeros_like(ious[0])
    for n in range(len(ious)):
        mine = owner == n
        if mine.any():
            overlap[mine] = ious[n, mine] / ious[n, mine].max()
    return overlap


def rescue(ious: Tensor, owner: Tensor) -> Tensor:
    """Each object whose cluster is empty gets one anchor (of ours: the paper passes over it in 3.2).

    Objects are rescued in their order, first 0, then 1, ... Each takes the free anchor with which its IoU is largest,
    the first of several equal ones. Not free is the best anchor of an object that has a cluster (the largest IoU in
    that cluster, the first of several), and what an earlier rescue has taken. An object that overlaps no free anchor
    stays without one (the library goes on with GIoU, which tells near from far).

    ious: (G, N), the IoU of each of G objects with each of N anchors; G and N are at least 1
    owner: (N,) int64, what `clusters` returns: the object to which each anchor belongs, -1 for nobody
    returns: (N,) int64, the owners after all rescues
    """
    owner = owner.clone()
    free = torch.ones(len(owner), dtype=torch.bool)
    empty = []
    for n in range(len(ious)):
        if (owner == n).any():
            free[torch.where(owner == n, ious[n], 0).argmax()] = False
        else:
            empty.append(n)
    for n in empty:
        own = torch.where(free, ious[n], 0)
        best = own.argmax()
        if own[best] > 0:
            owner[best] = n
            free[best] = False
    return owner


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


def _rescue_examples(generator: Generator) -> list[Example]:
    by_hand = [
        [[0.6], [0.4]],  # the only anchor is taken
        [[0.6, 0.5], [0.4, 0.3]],  # the rival keeps its best anchor
        [[0.5, 0.6], [0.3, 0.4]],
        [[0.6, 0.5], [0.4, 0.0]],  # it touches nothing but its rival's best anchor
        [[0.4, 0.3], [0.4, 0.3]],  # equal objects
        [[0.8, 0.7, 0.6], [0.5, 0.4, 0.3], [0.4, 0.35, 0.1]],  # two rescues
        [[0.8, 0.7], [0.5, 0.4], [0.4, 0.35]],  # more objects than anchors
        [[0.8, 0.0, 0.0], [0.5, 0.0, 0.2]],  # nobody's anchors are free too
        [[0.8, 0.0, 0.6], [0.5, 0.3, 0.4]],  # it has an anchor already
        [[0.8, 0.7, 0.3], [0.5, 0.4, 0.6], [0.2, 0.2, 0.5]],
        # Object 1 overlaps anchor 0 or 1 most, but these are object 0's: the best that it has is anchor 2.
        [[0.9, 0.8, 0.1], [0.7, 0.6, 0.5], [0.1, 0.05, 0.4]],
        [[0.9, 0.8, 0.1], [0.7, 0.75, 0.5], [0.1, 0.55, 0.05]],
    ]
    maps = [*map(torch.tensor, by_hand), *(ious for ious in some_ious(generator) if len(ious) > 1)]
    for k in range(14):  # crowds: the last objects are shadows of the first
        first = torch.rand(1 + k % 2, 3 + k % 4, generator=generator)
        shadows = first[torch.arange(1 + k % 3) % len(first)] * 0.6 * torch.rand(3 + k % 4, generator=generator)
        maps.append(torch.cat([first, shadows]))
    return [(ious, clusters(ious)) for ious in maps]


CLUSTERS = FunctionExercise(
    clusters,
    title="Clusters",
    task="Each anchor goes to the object that it overlaps most, if it overlaps anyone. Write `clusters`.",
    praise="every anchor has found its object, ties and strangers too.",
    hints=("`ious.max(0)` gives two things for each anchor.", "Where the largest value is 0, the anchor is nobody's."),
    difficulty=1,
    minutes=5,
    examples=_clusters_examples,
)
PONO = FunctionExercise(
    pono,
    title="PONO",
    task="Inside each cluster, divide by its largest value (eq. 1). Write `pono`.",
    praise="each object with a cluster peaks at 1, however badly the anchors fit it, and nobody's anchors stay at 0.",
    hints=("Take one object at a time: `owner == n` is its cluster.", "An empty cluster has no maximum: leave it out."),
    difficulty=2,
    minutes=10,
    examples=_pono_examples,
)
RESCUE = FunctionExercise(
    rescue,
    title="The rescue",
    task="An object whose every anchor belongs to a rival would never be learned. Write `rescue`, which gives it one.",
    praise="no object goes without an anchor while one that it touches is free, and none loses its best.",
    hints=(
        "First go through the objects that have a cluster and note which anchors are not free. Then rescue.",
        "`torch.where(free, ious[n], 0)` leaves an object's free anchors. What is its maximum where there is none?",
    ),
    difficulty=3,
    minutes=20,
    examples=_rescue_examples,
)
