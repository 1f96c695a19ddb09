"""Why lambda rises without end under eqs. 5 to 7, and under which rule it stands still: a toy, and the laws.

A batch is fixed outputs of a network that does not learn. Each step is the real `LapNetLoss` and a plain gradient step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lapnet_core.boxes import STRIDE
from lapnet_core.data import Target
from lapnet_core.losses import Balance, LapNetLoss, LossTerms

SIDES = (16.0, 40.0)
CORNERS = ((8.0, 40.0), (20.0, 4.0))
SIZE, CLASSES = 64, 2
"""The toy's square image, the sides of its anchors and where their objects are, in pixels, and its classes."""
GRIDS = CLASSES * len(SIDES)
SHAPES = torch.tensor(SIDES)[None, :, None].expand(CLASSES, -1, 2).clone()


@dataclass(frozen=True)
class ToyBatch:
    """One image with an object of each size for each class in it; float64, so that all machines agree on the digits."""

    classes: tuple[int, ...]

    @property
    def target(self) -> Target:
        boxes = [[x, y, x + side, y + side] for _ in self.classes for side, (x, y) in zip(SIDES, CORNERS, strict=True)]
        labels = [c for c in self.classes for _ in SIDES]
        return Target(
            boxes=torch.tensor(boxes).view(-1, 4), labels=torch.tensor(labels, dtype=torch.int64),
            difficult=torch.zeros(len(labels), dtype=torch.bool), image_id=0, original_size=(SIZE, SIZE),
        )  # fmt: skip

    def terms(self, loss: LapNetLoss) -> LossTerms:
        """The losses of this batch: scores of -3, and boxes that are a tenth too far to the right and too wide."""
        grid = (1, *SHAPES.shape[:2])
        cells = (SIZE // STRIDE, SIZE // STRIDE)
        scores = torch.full((*grid, *cells), -3.0, dtype=torch.float64)
        off = torch.tensor([0.1, 0.0, 0.1, 0.0], dtype=torch.float64)
        offsets = off.view(1, 1, 1, 4, 1, 1).expand(*grid, 4, *cells)
        return loss(scores, offsets, SHAPES, [self.target])


def toy_loss(balance: Balance) -> LapNetLoss:
    """The loss whose weights walk."""
    return LapNetLoss(CLASSES, len(SIDES), balance=balance, ams=False).double()


def active(terms: LossTerms) -> Bool[Tensor, "C A"]:
    """The grids with a positive."""
    return terms.labels.any(4).any(3).any(0)


@dataclass(frozen=True, eq=False)
class Walk:
    """s before each of the steps and after the last, and the weighted losses of each step."""

    s: dict[str, Float[np.ndarray, " T"]]
    s_anchor: dict[str, Float[np.ndarray, "T C A"]]
    loc: Float[np.ndarray, " S"]
    cls: Float[np.ndarray, " S"]

    def product(self, which: str, c: int, a: int) -> Float[np.ndarray, " T"]:
        """lambda * lambda[c, a]."""
        return np.exp(-self.s[which] - self.s_anchor[which][:, c, a])


def walk(
    balance: Balance, pattern: Sequence[Sequence[int]], steps: int, rate: float = 0.05, ratio: float = 1.0
) -> Walk:
    """Plain gradient steps on the weights alone.

    Args:
        pattern: the classes of each batch, in turn, from the start again after the last.
        rate: learning rate of the loss weights; C*A * `ratio` times as much is that of the anchor weights. With 1 it
            is as `method.balance_multipliers` chooses them.
    """
    loss = toy_loss(balance)
    groups = [{"params": [loss.s_loc, loss.s_cls]}, {"params": [loss.s_loc_anchor, loss.s_cls_anchor],
                                                     "lr": rate * GRIDS * ratio}]  # fmt: skip
    optimizer = torch.optim.SGD(groups, lr=rate)
    batches = [ToyBatch(tuple(classes)) for classes in pattern]
    seen: dict[str, list[np.ndarray]] = {name: [] for name, _ in loss.named_parameters()}
    values: list[tuple[float, float]] = []
    for step in range(steps + 1):
        for name, s in loss.named_parameters():
            seen[name].append(s.detach().numpy().copy())
        if step < steps:
            optimizer.zero_grad()
            terms = batches[step % len(batches)].terms(loss)
            terms.total.backward()
            optimizer.step()
            values.append((terms.loc.item(), terms.cls.item()))
    loc, cls = np.array(values).T
    s = {which: np.stack(seen[f"s_{which}"]) for which in ("loc", "cls")}
    return Walk(s, {which: np.stack(seen[f"s_{which}_anchor"]) for which in s}, loc, cls)


def sum_at_rest(active: float, ever: float = 1.0, ratio: float = 1.0) -> float:
    """The mean of Lloc where the products of "learned" have come to rest.

    Args:
        active: mean share of the C*A grids that have a positive in a batch.
        ever: share of them that ever have one.
        ratio: rate of the anchor weights over C*A times that of the loss weights: 1 by default, 1/(C*A) where all
            weights have the same rate, as in the paper.
    """
    return (ratio * active + ever) / (ratio + ever)


def too_loud(
    own: Float[np.ndarray, "*grid"], mean: float, held: float = 0.0, ratio: float = 1.0
) -> Float[np.ndarray, "*grid"]:
    """How many times the part of a grid is 1/(C*A) under "learned", where every grid comes back now and then.

    Args:
        own: share of the batches in which it has a positive. mean: of all grids.
        held: what grids without a positive add to the loss: 0 for the localisation.
        ratio: as in `sum_at_rest`.
    """
    return 1 + (1 - mean - held) / (1 + ratio) / own


def climb(rates: float, active: float, ratio: float = 1.0) -> float:
    """How far log lambda_loc rises under "learned" with the products at rest, where every grid comes back.

    Args:
        rates: the sum of the learning rates of s_loc over the training. active, ratio: as in `sum_at_rest`.
    """
    return rates * (1 - sum_at_rest(active, 1.0, ratio))


def steady_step(
    s: float, s_anchor: Float[Tensor, "C A"], losses: Float[Tensor, "C A"], has: Bool[Tensor, "C A"], rate: float,
    anchor_rate: float,
) -> tuple[float, Float[Tensor, "C A"]]:  # fmt: skip
    """One plain step of balance="steady" on the weights of one loss.

    Args:
        s, s_anchor: of the loss and of each grid. losses: each grid's, over N or N+, before weights.
        has: which grids have a positive. rate, anchor_rate: learning rates of s and of s_anchor.
    """
    part = torch.exp(-(s + s_anchor)) * losses
    gradient = torch.where(has, 1 / has.numel() - part, 0)
    return s - rate * float(gradient.sum()), s_anchor - anchor_rate * gradient
