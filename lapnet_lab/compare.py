"""What a function should return beside what it returns: in words, and as a figure."""

import inspect
from typing import Any

import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from lapnet_lab.exercise import Example, FunctionExercise
from lapnet_lab.style import HEAT, ink

MOST = 24
"""Values of a tensor that are written out."""
LETTERS = 100
"""Of what is no tensor."""
LARGEST = (40, 400)
"""Rows and values of a tensor that is drawn."""


def in_words(exercise: FunctionExercise, example: Example, expected: Any, got: Any) -> str:
    """The example, what should come and what came, a line each."""
    names = inspect.signature(exercise.solution).parameters
    lines = ["The smallest example on which it fails:"]
    lines += [f"  {name} = {written(value)}" for name, value in zip(names, example, strict=True)]
    if expected is not None:
        lines.append(f"  expected {written(expected)}")
    if got is not None:
        lines.append(f"  got      {written(got)}")
    return "\n".join(lines)


def written(value: Any) -> str:
    """A value, short and in one line; of a large tensor its shape."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if not isinstance(value, Tensor):
        text = " ".join((repr(value) if isinstance(value, str) else str(value)).split())
        return text if len(text) <= LETTERS else f"{text[:LETTERS]} ..."
    if value.numel() > MOST:
        return f"a tensor of shape {tuple(value.shape)}"
    return str(_rounded(value.detach().tolist()))


def side_by_side(_example: Example, expected: Any, got: Any) -> Figure | None:
    """Both as maps, with the same colours; None where there is nothing to draw."""
    a, b = (torch.atleast_2d(torch.as_tensor(value).detach().double()) for value in (expected, got))
    if a.shape != b.shape or a.ndim != 2 or a.numel() > LARGEST[1] or len(a) > LARGEST[0] or a.numel() < 2:
        return None
    finite = torch.cat([x[x.isfinite()] for x in (a, b)])
    low, high = (finite.min().item(), finite.max().item()) if len(finite) else (0.0, 1.0)
    figure, axes = plt.subplots(1, 2, figsize=(8, max(1.4, min(3.5, 0.5 * len(a) + 0.8))), layout="constrained")
    for axis, title, values in zip(axes, ("expected", "yours"), (a, b), strict=True):
        _map(axis, values, low, high)
        axis.set_title(title)
    plt.close(figure)  # shown by who asked for it, not by the notebook a second time
    return figure


def _map(axis: Axes, values: Tensor, low: float, high: float) -> None:
    shown = axis.imshow(values.numpy(), vmin=low, vmax=max(high, low + 1e-9), cmap=HEAT, aspect="auto")
    axis.set_xticks([])
    axis.set_yticks([])
    if values.numel() <= MOST:
        for (row, column), value in zip(
            torch.ones_like(values).nonzero().tolist(), values.flatten().tolist(), strict=True
        ):
            letters = "black" if value != value else ink(shown.cmap(shown.norm(value)))  # nan leaves its cell white
            axis.text(column, row, f"{value:.3g}", ha="center", va="center", color=letters)


def _rounded(values: Any) -> Any:
    if isinstance(values, list):
        return [_rounded(value) for value in values]
    return round(values, 4) if isinstance(values, float) else values
