"""What every figure keeps: its inputs, the session's style, and that it renders."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import torch
from matplotlib.figure import Figure


def draws_and_leaves_everything_else_alone(draw: Callable[..., Figure], arguments: Sequence[Any]) -> None:
    """Draw, and fail unless a picture comes and nothing else has changed."""
    tensors = [x for x in arguments if isinstance(x, torch.Tensor)]
    before, style = [x.clone() for x in tensors], dict(mpl.rcParams)
    figure = draw(*arguments)
    assert isinstance(figure, Figure)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    assert len(file.getvalue()) > 2000
    assert dict(mpl.rcParams) == style
    assert all(torch.equal(a, b) for a, b in zip(before, tensors, strict=True))
