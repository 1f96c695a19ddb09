"""Outputs of a network that stands still, to call the loss with: a toy in which classes and sizes are unequal."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from lapnet_core.assign import assign
from lapnet_core.boxes import STRIDE
from lapnet_core.data import Target, flatten_targets
from lapnet_core.losses import LapNetLoss, LossTerms

TOY_SIDES = (16.0, 32.0, 64.0, 128.0)
TOY_SIZE = 256
"""The toy's square image, and the sides of its anchors, in pixels."""
TOY_CLASSES = ("frequent", "medium", "rare")
TOY_ANCHORS = tuple(f"{side:.0f} px" for side in TOY_SIDES)
"""What the toy's classes and anchors are called."""


@dataclass(frozen=True)
class FixedBatch:
    """What `LapNetLoss` is called with: outputs of a network that does not learn, and their targets."""

    scores: Float[Tensor, "B C A H W"]
    offsets: Float[Tensor, "B C A 4 H W"]
    shapes: Float[Tensor, "C A 2"]
    targets: list[Target]

    def terms(self, loss: LapNetLoss) -> LossTerms:
        """The losses of this batch."""
        return loss(self.scores, self.offsets, self.shapes, self.targets)

    def with_scores(self, scores: Float[Tensor, "B C A H W"]) -> "FixedBatch":
        """The same with other scores, such as ones that want a gradient."""
        return replace(self, scores=scores)

    def with_background(self, negative: float) -> "FixedBatch":
        """The same with another probability where it is lowest: the background of a `toy_batch`."""
        lowest = self.scores == self.scores.min()
        return self.with_scores(torch.where(lowest, _logit(negative), self.scores))


def toy_batch(
    objects: Sequence[int] = (16, 4, 1),
    *,
    positive: float = 0.3,
    negative: float = 0.002,
    images: int = 4,
    seed: int = 0,
) -> FixedBatch:
    """A batch in which classes and sizes are unequal, seen by an imagined network.

    Args:
        objects: for each class c, how many objects there are of each of the A = len(TOY_SIDES) sizes.
        positive, negative: the probability that the network gives to anchors with O > 0.5, and to all others. Offsets
            are 0: it returns the anchors as they are.
        images: B, of TOY_SIZE pixels. The objects are spread over them in turn.

    Class c has shapes of the sides TOY_SIDES, square, flat or upright in turn. Places and sizes are drawn from `seed`.
    Of two batches that differ in one class's number only, the other classes' objects are the same.
    """
    stretch = torch.tensor([[1.0, 1.0], [1.4, 0.7], [0.7, 1.4]])
    shapes = torch.stack([torch.tensor(TOY_SIDES)[:, None] * stretch[c % 3] for c in range(len(objects))])
    boxes: list[list[Tensor]] = [[] for _ in range(images)]
    labels: list[list[int]] = [[] for _ in range(images)]
    for c, count in enumerate(objects):
        generator = torch.Generator().manual_seed(1000 * seed + c)
        for n in range(count):
            for a in range(len(TOY_SIDES)):
                size = shapes[c, a] * (0.85 + 0.3 * torch.rand(2, generator=generator))
                corner = torch.rand(2, generator=generator) * (TOY_SIZE - size)
                boxes[(n + a + c) % images].append(torch.cat((corner, corner + size)))
                labels[(n + a + c) % images].append(c)
    targets = [
        Target(
            boxes=torch.stack(b) if b else torch.zeros(0, 4),
            labels=torch.tensor(k, dtype=torch.int64),
            difficult=torch.zeros(len(k), dtype=torch.bool),
            image_id=number,
            original_size=(TOY_SIZE, TOY_SIZE),
        )
        for number, (b, k) in enumerate(zip(boxes, labels, strict=True))
    ]
    cells = TOY_SIZE // STRIDE
    at = assign(shapes, (cells, cells), *flatten_targets(targets), images).positives()
    scores = torch.full((images, *shapes.shape[:2], cells, cells), _logit(negative))
    scores.view(-1)[at.flat] = _logit(positive)
    return FixedBatch(scores, torch.zeros(images, *shapes.shape[:2], 4, cells, cells), shapes, targets)


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))
