"""Clusters, PONO and the rescue (paper 3.2): notebook 02."""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Generator, Tensor

from lapnet_lab.exercise import Example, FunctionExercise, Mistake
from lapnet_lab.functions import drawing


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
    owner: (N,) int64, the object to which each anchor belongs, -1 for nobody (what `clusters` returns). All
        anchors of one object are its cluster
    returns: (N,) float, the IoU with that object over the largest IoU in the object's cluster; 0 for the anchors
        of nobody
    """
    overlap = torch.zeros_like(ious[0])
    for n in range(len(ious)):
        mine = owner == n
        if mine.any():
            overlap[mine] = ious[n, mine] / ious[n, mine].max()
    return overlap


def rescue(ious: Tensor, owner: Tensor) -> Tensor:
    """Each object whose cluster is empty gets one anchor. The rule is ours: the paper (3.2) passes over such.

    Objects are rescued in their order, first 0, then 1, ... Each takes the free anchor with which its IoU is
    largest, the first of several equal ones. Not free is the best anchor of an object that has a cluster (the
    largest IoU in that cluster, the first of several), and what an earlier rescue has taken. An object that
    overlaps no free anchor stays without one (the library goes on with GIoU, which tells near from far).

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
    maps = some_ious(generator)
    rescued = [torch.tensor([[0.6, 0.5], [0.4, 0.3]]), *(ious for ious in maps if len(ious) > 2)]
    return [*((ious, clusters(ious)) for ious in maps), *((ious, rescue(ious, clusters(ious))) for ious in rescued)]


def _rescue_examples(generator: Generator) -> list[Example]:
    by_hand = [
        [[0.6], [0.4]],  # the only anchor is taken
        [[0.6, 0.5], [0.4, 0.3]],  # the rival keeps its best anchor
        [[0.5, 0.6], [0.3, 0.4]],
        [[0.6, 0.5], [0.4, 0.0]],  # it touches nothing but its rival's best anchor
        [[0.4, 0.3], [0.4, 0.3]],  # equal objects
        [[0.8, 0.7, 0.6], [0.5, 0.4, 0.3], [0.4, 0.35, 0.1]],  # two rescues
        [[0.8, 0.7], [0.5, 0.4], [0.4, 0.35]],  # more objects than anchors
        [[0.8, 0.0, 0.0], [0.5, 0.0, 0.2]],  # what it alone overlaps is its own: no rescue
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


def _best_only(ious: Tensor) -> Tensor:
    owner = torch.full((ious.shape[1],), -1)
    for n in range(len(ious)):
        if ious[n].max() > 0:
            owner[ious[n].argmax()] = n
    return owner


_CLUSTERS_MISTAKES = (
    Mistake(
        lambda ious: ious.argmax(0),
        "an anchor that overlaps nobody is given to object 0: what is `argmax` of zeros, and whose is the anchor?",
    ),
    Mistake(
        lambda ious: len(ious) - 1 - ious.flip(0).argmax(0),
        "an anchor that overlaps nobody is given to the last object: what is the largest of zeros, and whose is it?",
    ),
    Mistake(
        lambda ious: torch.where(ious.amax(0) > 0, len(ious) - 1 - ious.flip(0).argmax(0), -1),
        "of two objects with one IoU the first gets the anchor: does yours replace it by one that is no better?",
    ),
    Mistake(
        lambda ious: torch.where(ious.amax(0) > 0.5, ious.argmax(0), -1),
        "you leave out what overlaps by less than .5, as AO does: how much must an anchor of a cluster overlap?",
    ),
    Mistake(
        lambda ious: torch.where(ious.amax(0) >= 0.5, ious.argmax(0), -1),
        "you ask an anchor to overlap by half its object, as AO does: how much must one of a cluster overlap?",
    ),
    Mistake(
        lambda ious: torch.where(ious.amax(0) > 0, ious.argmax(0) + 1, 0),
        "your objects are counted from 1, and 0 is nobody: from where does the contract count?",
    ),
    Mistake(
        lambda ious: ious.argmax(1),
        "you found an anchor for each object; asked is an object for each anchor: along which dimension do you look?",
    ),
    Mistake(
        lambda ious: ious.amax(0),
        "this is how much each anchor overlaps its object; asked is which object that is: what else does `max` return?",
    ),
    Mistake(
        _best_only,
        "each object has its best anchor only: to whom do the other anchors belong that overlap it?",
    ),
)


def _own(ious: Tensor, owner: Tensor) -> Tensor:
    """The IoU of each anchor with its object; 0 for nobody's."""
    return torch.where(owner >= 0, ious.gather(0, owner.clamp(min=0)[None])[0], 0)


def _within(ious: Tensor, owner: Tensor, divide: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """`divide` gets an object's row of IoUs and the mask of its cluster, and returns what is O there."""
    overlap = torch.zeros_like(ious[0])
    for n in range(len(ious)):
        if (owner == n).any():
            overlap[owner == n] = divide(ious[n], owner == n)
    return overlap


def _last_for_nobody(ious: Tensor, owner: Tensor) -> Tensor:
    peaks = torch.stack([torch.where(owner == n, row, 0).max() for n, row in enumerate(ious)])
    return ious[owner, torch.arange(len(owner))] / peaks[owner]


_PICTURE = "you divide all by one number, the largest of the picture; by which maximum does eq. 1 divide?"
_PONO_MISTAKES = (
    Mistake(
        lambda ious, owner: _own(ious, owner),
        "this is the plain overlap; by what does eq. 1 divide it, so that each cluster peaks at 1?",
    ),
    Mistake(
        lambda ious, owner: torch.where(owner >= 0, ious.amax(0), 0),
        "this is the largest overlap of each anchor; by what does eq. 1 divide?",
    ),
    Mistake(lambda ious, owner: _own(ious, owner) / ious.max(), _PICTURE),
    Mistake(lambda ious, owner: _own(ious, owner) / ious.max().clamp(min=1e-9), _PICTURE),
    Mistake(lambda ious, owner: ious.amax(0) / ious.max(), _PICTURE),
    Mistake(lambda ious, owner: torch.where(owner >= 0, ious.amax(0) / ious.max().clamp(min=1e-9), 0), _PICTURE),
    Mistake(
        lambda ious, owner: _within(ious, owner, lambda row, mine: row[mine] / row.max()),
        "a cluster does not peak at 1 where a rival has its object's best anchor: among which anchors is your maximum?",
    ),
    Mistake(
        lambda ious, owner: torch.nan_to_num(ious / ious.amax(1, keepdim=True)).amax(0),
        "you divide before it is settled to whom an anchor belongs: does its own object still win? Use `owner`.",
    ),
    Mistake(
        lambda ious, owner: _within(ious, owner, lambda row, mine: torch.ones_like(row[mine])),
        "every anchor of a cluster gets 1: are they all as good as its best?",
    ),
    Mistake(
        lambda ious, owner: _within(ious, owner, lambda row, mine: row[mine] / row[mine].sum()),
        "your clusters add up to 1; what should be 1 in each of them?",
    ),
    Mistake(
        lambda ious, owner: torch.where(owner >= 0, _within(ious, owner, lambda r, m: r[m] / r[m].max()), 1),
        "an anchor that belongs to nobody is no object's best: what is its O?",
    ),
    Mistake(
        _last_for_nobody,
        "nobody's anchors have the owner -1, as an index the last object, which may have no cluster: what is 0 / 0?",
    ),
    Mistake(
        lambda ious, owner: pono(ious, clusters(ious)),
        "you look for the owners again; after a rescue they are others: which ones are handed to you?",
    ),
)


def _free(ious: Tensor, owner: Tensor, rows: bool = False) -> Tensor:
    """What is nobody's best anchor. rows: the best of the whole row, and not of the cluster."""
    free = torch.ones(len(owner), dtype=torch.bool)
    for n in range(len(ious)):
        if (owner == n).any():
            free[torch.where((owner == n) | rows, ious[n], 0).argmax()] = False
    return free


def _rescued(
    ious: Tensor, owner: Tensor, *, free: Tensor | None = None, claim: bool = True, everyone: bool = False,
    running: bool = False, least: float = 0.0, fill: float = 0.0,
) -> Tensor:  # fmt: skip
    """`rescue`, with one thing changed.

    free: which anchors are. claim: what a rescue has taken is no longer free.
    everyone: objects that have a cluster are rescued too. running: also those whose last anchor a rescue took.
    least: the IoU has to be above this, and where an anchor is not free it counts as `fill`.
    """
    moved, free = owner.clone(), _free(ious, owner) if free is None else free
    for n in range(len(ious)):
        own = torch.where(free, ious[n], fill)
        best = own.argmax()
        empty = not ((moved if running else owner) == n).any()
        if (everyone or empty) and own[best] > least:
            moved[best] = n
            free[best] = not claim
    return moved


def _rescued_from_all(ious: Tensor, owner: Tensor, **changes: Any) -> Tensor:
    return _rescued(ious, owner, free=torch.ones(len(owner), dtype=torch.bool), **changes)


def _all_that_is_free(ious: Tensor, owner: Tensor) -> Tensor:
    moved, free = owner.clone(), _free(ious, owner)
    for n in range(len(ious)):
        if not (owner == n).any():
            moved[free & (ious[n] > 0)] = n
            free &= ious[n] <= 0
    return moved


_RIVAL = "a rescued object took the best anchor of another: for whom is an anchor not free?"
_NOTHING = "an object was given an anchor that it does not overlap: what is its largest IoU with a free one?"
_RESCUE_MISTAKES = (
    Mistake(
        lambda ious, owner: owner.clone(),
        "nothing has changed: all that such an object overlaps belongs to rivals; which of it can they spare?",
    ),
    *(
        Mistake(partial(_rescued_from_all, claim=claim, running=running, least=least), _RIVAL)
        for claim, running, least in product((False, True), (False, True), (0.0, -1.0))
    ),
    Mistake(
        lambda ious, owner: _rescued(ious, owner, claim=False),
        "two rescued objects wanted one anchor, and the second took it from the first: is it still free by then?",
    ),
    Mistake(
        lambda ious, owner: _rescued(ious, owner, everyone=True),
        "an object that has a cluster took another anchor: who is to be rescued?",
    ),
    Mistake(
        lambda ious, owner: _rescued(ious, owner, free=_free(ious, owner, rows=True)),
        "you protect what an object overlaps most, even where that is not its own: which anchors are in its cluster?",
    ),
    Mistake(
        _all_that_is_free,
        "a rescued object took all that is free: how many anchors does it get?",
    ),
    *(
        Mistake(partial(_rescued, running=running, least=least, fill=fill), _NOTHING)
        for running, (least, fill) in product((False, True), ((-1, 0.0), (-1, -0.5), (-0.4, -0.5)))
    ),
)

CLUSTERS = FunctionExercise(
    clusters,
    title="Clusters",
    task="Each anchor goes to the object that it overlaps most, if it overlaps anyone. Write `clusters`.",
    praise="every anchor has found its object, ties and strangers too.",
    hints=("`ious.max(0)` gives two things for each anchor.", "Where the largest value is 0, the anchor is nobody's."),
    difficulty=1,
    minutes=5,
    examples=_clusters_examples,
    mistakes=_CLUSTERS_MISTAKES,
    draw=drawing.maps,
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
    mistakes=_PONO_MISTAKES,
    draw=drawing.maps,
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
    mistakes=_RESCUE_MISTAKES,
    draw=drawing.maps,
)
