"""What an exercise is made of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Exercise:
    """`verify` takes the answer and returns what is wrong with it, or nothing where it is right."""

    task: str
    praise: str
    hint: str
    verify: Callable[..., str]


class Unreadable(Exception):
    """The answer is not of the kind that was asked for; the text says which."""


def numbers(answer: Any, shape: tuple[int, ...], asked: str) -> Tensor:
    """The answer as float64 of that shape."""
    try:
        values = torch.as_tensor(answer, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise Unreadable(f"this needs {asked}; what came is of type {type(answer).__name__}.") from None
    if values.shape != shape:
        raise Unreadable(f"this needs {asked}; what came has the shape {tuple(values.shape)}.")
    return values
