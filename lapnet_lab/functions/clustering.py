"""A step of k-means on box sizes (paper 3.1): notebook 01."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from lapnet_lab.exercise import Example, FunctionExercise, Mistake
from lapnet_lab.functions import drawing


def kmeans_step(sizes: Tensor, centers: Tensor) -> Tensor:
    """One step of k-means on the sizes of boxes, with 1 - IoU as the distance (paper 3.1, after YOLOv2).

    sizes: (N, 2), the (w, h) of each box in pixels; N is at least 1
    centers: (K, 2), the (w, h) of each centre, in pixels
    returns: (K, 2), the centres after the step. Each box goes to the centre of largest IoU, both laid on one
        middle; of several equal ones to the first. Then each centre becomes the mean (w, h) of its boxes, and a
        centre without a box stays as it is (the library moves it to the box that is served worst)
    """
    shared = torch.minimum(sizes[:, None], centers[None]).prod(-1)
    union = sizes.prod(-1)[:, None] + centers.prod(-1)[None] - shared
    nearest = (shared / union).argmax(1)
    moved = centers.clone()
    for k in range(len(centers)):
        own = sizes[nearest == k]
        if len(own) > 0:
            moved[k] = own.mean(0)
    return moved


def _clear(sizes: Tensor, centers: Tensor) -> bool:
    """Whether no rounding decides to which centre a box goes."""
    shared = torch.minimum(sizes[:, None], centers[None]).prod(-1)
    similar = shared / (sizes.prod(-1)[:, None] + centers.prod(-1)[None] - shared)
    first, second = similar.topk(2).values.unbind(1)
    return bool((first - second > 1e-3).all())


def _examples(generator: Generator) -> list[Example]:
    by_hand = [
        ([[4, 2]], [[1, 1]]),
        ([[4, 2], [2, 4]], [[3, 3]]),
        ([[4, 2], [6, 2], [8, 8]], [[5, 3]]),
        ([[4, 4], [6, 6], [20, 20]], [[5, 5], [18, 18]]),
        ([[6, 6]], [[4, 4], [4, 4]]),  # equal centres: the first takes all, the second stays
        ([[4, 4], [5, 5]], [[4, 5], [40, 40]]),  # an empty one
        ([[10, 10], [12, 12]], [[1, 1], [11, 11]]),  # and here the first
        ([[40, 40], [60, 60], [10, 10]], [[20, 20], [70, 70]]),  # by distance 40 is nearer to 20, by IoU to 70
        ([[10, 40], [40, 10], [12, 36]], [[40, 12], [10, 30]]),
        ([[2, 2], [2, 2], [2, 2], [30, 30]], [[3, 3], [20, 20]]),
    ]
    examples = [(torch.tensor(s, dtype=torch.float32), torch.tensor(c, dtype=torch.float32)) for s, c in by_hand]
    while len(examples) < 28:
        count = 3 + len(examples) % 7
        sizes = (torch.randn(count, 2, generator=generator).exp() * 20).round() + 1
        centers = (torch.randn(2 + count % 3, 2, generator=generator).exp() * 20).round() + 1
        if _clear(sizes, centers):
            examples.append((sizes, centers))
    return examples


def _likeness(sizes: Tensor, centers: Tensor) -> Tensor:
    shared = torch.minimum(sizes[:, None], centers[None]).prod(-1)
    return shared / (sizes.prod(-1)[:, None] + centers.prod(-1)[None] - shared)


def _step(
    likeness: Callable[[Tensor, Tensor], Tensor] = _likeness,
    middle: Callable[[Tensor], Tensor] = lambda own: own.mean(0),
    empty: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda center, _sizes, _near: center,
) -> Callable[[Tensor, Tensor], Tensor]:
    """A step with another likeness (N, K), another middle of a cluster, or another fate of an empty centre."""

    def step(sizes: Tensor, centers: Tensor) -> Tensor:
        near = likeness(sizes, centers)
        own = [sizes[near.argmax(1) == k] for k in range(len(centers))]
        moved = [middle(o) if len(o) else empty(c, sizes, near) for o, c in zip(own, centers, strict=True)]
        return torch.stack(moved)

    return step


def _last_of_equals(sizes: Tensor, centers: Tensor) -> Tensor:
    return _step()(sizes, centers.flip(0)).flip(0)


def _one_after_the_other(sizes: Tensor, centers: Tensor) -> Tensor:
    moved = centers.clone()
    for k in range(len(centers)):
        own = sizes[_likeness(sizes, moved).argmax(1) == k]
        if len(own):
            moved[k] = own.mean(0)
    return moved


_MEDIAN = "a centre becomes the mean of its boxes, and yours is the one in the middle: which of the two is asked for?"
_MISTAKES = (
    Mistake(
        _step(empty=lambda center, _sizes, _near: center * torch.nan),
        "a centre without a box becomes nan: what is the mean of nothing, and where should that centre be?",
    ),
    Mistake(
        _step(empty=lambda center, _sizes, _near: center * 0),
        "a centre without a box jumps to 0 x 0: what does the contract say of it?",
    ),
    Mistake(
        _step(empty=lambda _center, sizes, near: sizes[near.amax(1).argmin()]),
        "you send an empty centre to the box that is served worst, as the library does; what does the contract ask?",
    ),
    Mistake(
        lambda sizes, centers: centers.clone(),
        "nothing has moved: do the centres that you return know of their boxes?",
    ),
    Mistake(
        _step(likeness=lambda sizes, centers: -torch.cdist(sizes, centers)),
        "you compare in pixels, where a large box is far from everything; by which likeness are boxes compared here?",
    ),
    Mistake(
        _step(likeness=lambda sizes, centers: -(sizes[:, None] - centers[None]).abs().sum(-1)),
        "you add differences of width and of height, so a large box is far from everything; what is asked instead?",
    ),
    Mistake(
        _step(likeness=lambda sizes, centers: -(sizes.prod(-1)[:, None] - centers.prod(-1)[None]).abs()),
        "you compare areas; are a tall and a wide box of one area alike?",
    ),
    Mistake(
        _step(likeness=lambda sizes, centers: -_likeness(sizes, centers)),
        "each box went to the centre that it is least like: is a large IoU near or far?",
    ),
    Mistake(
        _step(likeness=lambda sizes, centers: torch.minimum(sizes[:, None], centers[None]).prod(-1)),
        "by the shared area alone every box likes the largest centre: what else is in an IoU?",
    ),
    Mistake(
        _last_of_equals,
        "of two equal centres the first takes the box, and yours gives it to the last: which one does `argmax` take?",
    ),
    Mistake(
        _step(middle=lambda own: own.sum(0)),
        "your centres are as large as all their boxes together: how many of them are there?",
    ),
    Mistake(
        _step(middle=lambda own: own.mean().expand(2)),
        "width and height of your centres are one number, the mean of both: over which dimension is it taken?",
    ),
    Mistake(_step(middle=lambda own: own.median(0).values), _MEDIAN),
    Mistake(_step(middle=lambda own: own.quantile(0.5, dim=0)), _MEDIAN),
    Mistake(
        _one_after_the_other,
        "your first centre has moved before the boxes choose between the others: which centres should all of them see?",
    ),
)

KMEANS_STEP = FunctionExercise(
    kmeans_step,
    title="A step of k-means",
    task="Anchors are the centres of clusters of box sizes. Write the step that is repeated until nothing moves.",
    praise="repeat it until nothing changes, and the centres are the anchors of a class.",
    hints=(
        "Boxes with one middle share min(w1, w2) by min(h1, h2). Make a table (N, K) of all pairs first.",
        "`argmax(1)` of the table is the centre of each box, `sizes[nearest == k]` are the boxes of centre k. "
        "There may be none.",
    ),
    difficulty=2,
    minutes=15,
    examples=_examples,
    mistakes=_MISTAKES,
    draw=drawing.sizes,
)
