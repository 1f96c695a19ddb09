"""A step of k-means on box sizes (paper 3.1): notebook 01."""

import torch
from torch import Generator, Tensor

from lapnet_lab.exercise import Example, FunctionExercise


def kmeans_step(sizes: Tensor, centers: Tensor) -> Tensor:
    """One step of k-means on the sizes of boxes, with 1 - IoU as the distance (paper 3.1, after YOLOv2).

    sizes: (N, 2), the (w, h) of each box in pixels; N is at least 1
    centers: (K, 2), the (w, h) of each centre, in pixels
    returns: (K, 2), the centres after the step. Each box goes to the centre of largest IoU, both laid on one middle;
        of several equal ones to the first. Then each centre becomes the mean (w, h) of its boxes, and a centre without
        a box stays as it is (the library moves it to the box that is served worst)
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
        ([[4, 4]], [[4, 4], [4, 4]]),  # equal centres: the first takes all, the second stays
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
)
