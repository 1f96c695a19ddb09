"""Panels of notebook 04: one weight on its way, and whose gradient it is."""

from dataclasses import dataclass

import ipywidgets
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from lapnet_core.method import MAX_S_STEP
from lapnet_lab.lessons.balance import figures
from lapnet_lab.lessons.balance.fixed import TOY_ANCHORS, TOY_CLASSES, toy_batch
from lapnet_lab.lessons.balance.study import BALANCES, Pull, one_weight, pull
from lapnet_lab.panel import FigurePanel

STEPS = 200

WIDE = {"style": {"description_width": "initial"}, "layout": {"width": "340px"}}


@dataclass(frozen=True)
class OneWeight:
    """Paths of one weight; see `study.one_weight`."""

    loss: float
    direct: list[float]
    by_s: list[float]
    title: str

    @property
    def lost(self) -> int | None:
        """The step that made lambda negative, in descent on lambda itself."""
        return next((k for k, lam in enumerate(self.direct) if not lam > 0), None)


def one_weight_panel() -> FigurePanel:
    """Descent on lambda, and on s = log(1/lambda), for a constant loss."""
    controls = {
        "loss": ipywidgets.FloatLogSlider(20.0, min=-4, max=2, step=0.1, description="loss L", **WIDE),
        "lr": ipywidgets.FloatLogSlider(0.02, min=-3, max=0, step=0.1, description="learning rate", **WIDE),
        "start": ipywidgets.FloatLogSlider(3.0, min=-3, max=3, step=0.1, description="first λ", **WIDE),
        "limit": ipywidgets.Checkbox(False, description="a step changes s by 1 at most", indent=False),
    }

    def compute(loss: float, lr: float, start: float, limit: bool) -> OneWeight:
        direct, by_s = one_weight(loss, lr, start, STEPS, MAX_S_STEP if limit else float("inf"))
        title = f"loss L = {loss:.2g}, learning rate {lr:.2g}, first λ = {round(start, 3):g}"
        return OneWeight(loss, direct, by_s, title + (", limited steps of s" if limit else ""))

    def describe(paths: OneWeight) -> str:
        direct = (
            f"λ itself: negative after {paths.lost} steps, its loss is nan"
            if paths.lost is not None
            else f"λ itself: {paths.direct[-1]:.3g} after {STEPS} steps"
        )
        return f"rest at 1/L = {1 / paths.loss:.3g}\n{direct}\ns = log(1/λ): {paths.by_s[-1]:.3g} after {STEPS} steps"

    def draw(paths: OneWeight) -> Figure:
        both = {"descent on λ": paths.direct, "descent on s = log(1/λ)": paths.by_s}
        return figures.weight_paths({paths.title: both}, rest=1 / paths.loss)

    far = {"loss": 1.0, "lr": 0.1, "start": 1000.0}
    states = {
        "large loss": {},
        "small loss": {"loss": 0.01, "lr": 0.1, "start": 1.0},
        "first λ too large": far,
        "first λ too large, steps limited": {**far, "limit": True},
    }
    return FigurePanel(controls, compute, describe, draw, states)


@dataclass(frozen=True)
class Shares:
    """Who pulls at the scores, one row for each of BALANCES; see `study.pull`."""

    pulls: tuple[Pull, ...]
    title: str

    @property
    def size(self) -> Float[Tensor, " R"]:
        """The pull on all scores, in units of the row "retina"."""
        sizes = torch.tensor([pull.scores for pull in self.pulls])
        return sizes / sizes[list(BALANCES).index("retina")]

    @property
    def positives(self) -> Float[Tensor, "R 2"]:
        """Shares of the positive and the negative anchors."""
        ours = torch.stack([pull.positive.sum() / pull.scores for pull in self.pulls])
        return torch.stack((ours, 1 - ours), 1)

    @property
    def classes(self) -> Float[Tensor, "R C"]:
        """Of the positive anchors' pull, the share of each class."""
        return torch.stack([pull.positive.sum(1) / pull.positive.sum() for pull in self.pulls])

    @property
    def anchors(self) -> Float[Tensor, "R A"]:
        """Of the positive anchors' pull, the share of each anchor, small to large."""
        return torch.stack([pull.positive.sum(0) / pull.positive.sum() for pull in self.pulls])


def gradient_panel() -> FigurePanel:
    """Whose gradient it is under the five rows of Table 2b, on the toy batch."""
    controls = {
        "rare": ipywidgets.IntSlider(1, min=1, max=16, description="rare objects of each size", **WIDE),
        "negative": ipywidgets.FloatLogSlider(
            0.002, min=-4, max=-0.7, step=0.1, readout_format=".4f", description="score of the background", **WIDE
        ),
        "positive": ipywidgets.FloatSlider(0.3, min=0.05, max=0.95, step=0.05, description="score of objects", **WIDE),
    }

    def compute(rare: int, negative: float, positive: float) -> Shares:
        batch = toy_batch((16, 4, rare), positive=positive, negative=negative)
        title = f"objects of each size: 16, 4 and {rare}; background scored {negative:.2g}, objects {positive:.2g}"
        return Shares(tuple(pull(balance, batch) for balance in BALANCES), title)

    def describe(shares: Shares) -> str:
        lines = [f"{'':22}{'pull':>7}{'positives':>11}{'rare class':>12}{'smallest':>10}"]
        rows = zip(BALANCES.values(), shares.size, shares.positives, shares.classes, shares.anchors, strict=True)
        for name, size, positives, classes, anchors in rows:
            lines.append(f"{name:22}{size:7.2f}{positives[0]:11.0%}{classes[-1]:12.0%}{anchors[0]:10.0%}")
        return "\n".join(lines)

    def draw(shares: Shares) -> Figure:
        panels = {
            "positives or\nbackground?": (("positives", "background"), shares.positives),
            "of the positives:\nwhich class?": (TOY_CLASSES, shares.classes),
            "of the positives:\nwhich anchor?": (TOY_ANCHORS, shares.anchors),
        }
        return figures.gradient_shares(list(BALANCES.values()), shares.size, panels, shares.title)

    states = {
        "toy batch": {},
        "loud background": {"negative": 0.02},
        "silent background, no rare class": {"rare": 16, "negative": 0.0002},
    }
    return FigurePanel(controls, compute, describe, draw, states, beside=True)
