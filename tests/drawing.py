"""What every figure keeps: its inputs, the session's style, and that it renders; and every panel at its ends."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import torch
from legible import faults
from matplotlib.figure import Figure

from lapnet_lab.panel import FigurePanel


def draws_and_leaves_everything_else_alone(draw: Callable[..., Figure], arguments: Sequence[Any]) -> None:
    """Draw, and fail unless a picture comes and nothing else has changed."""
    tensors = [x for x in arguments if isinstance(x, torch.Tensor)]
    before, style = [x.clone() for x in tensors], dict(mpl.rcParams)
    figure = draw(*arguments)
    assert isinstance(figure, Figure)
    assert not (found := faults(figure)), found
    file = io.BytesIO()
    figure.savefig(file, format="png")
    assert len(file.getvalue()) > 2000
    assert dict(mpl.rcParams) == style
    assert all(torch.equal(a, b) for a, b in zip(before, tensors, strict=True))


def drive(panel: FigurePanel, values: dict[str, list[Any]]) -> dict[tuple[str, Any], str]:
    """Each control at each of its values, the others at their first; what the panel then says."""
    said = {}
    for name, options in values.items():
        first = panel.controls[name].value
        for value in options:
            panel.controls[name].value = value
            assert panel.error == "", (name, value)
            assert bytes(panel.picture.value).startswith(b"\x89PNG")
            said[name, value] = panel.describe(panel.numbers)
        panel.controls[name].value = first
    return said
