"""What an exercise is made of: one that asks for a value, and one that asks for a function (`lapnet_lab.functions`)."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

Example = tuple[Any, ...]
"""The arguments of one call."""


@dataclass(frozen=True)
class Exercise:
    """`verify` takes the answer and returns what is wrong with it, or nothing where it is right.

    digits: significant digits to which the solution prints its value; so rounded it is right as well. 0 where the
        answer is no measured number.
    seconds: that `verify` may take with a function, `tries.SECONDS` where it is None. slow: what to say of one that
        takes longer.
    """

    task: str
    praise: str
    hint: str
    verify: Callable[..., str]
    digits: int = 0
    seconds: float | None = None
    slow: str = "Does a loop ever end?"


@dataclass(frozen=True)
class Mistake:
    """A function as learners really write it, and the sentence that leads on from there."""

    wrong: Callable[..., Any]
    says: str


def nothing(_function: Callable[..., Any]) -> str:
    """The check of an exercise that has no further one."""
    return ""


@dataclass(frozen=True)
class FunctionExercise:
    """A function that the learner writes. This is its one source: notebooks show the solution's signature and docstring
    as the stub, and fold its text away; the check compares with what it returns.

    solution: plain code with a docstring that states the contract, shapes included.
    title: a few words. task: what to write, in a sentence or two; markdown.
    praise: what to say when it is right. hints: two, the second nearer to the solution.
    difficulty: 1 to 3. minutes: that it takes a student.
    examples: draws the calls to try from a generator; nasty ones by hand among them.
    mistakes: told apart by what they return on all examples; the first that agrees is named.
    tolerance: absolute and relative, of floating point values.
    also: a further check of the function, beyond its values: the sentence on what is wrong, or nothing.
    draw: a figure of (example, expected, got); None takes `compare.side_by_side`.
    """

    solution: Callable[..., Any]
    title: str
    task: str
    praise: str
    hints: tuple[str, str]
    difficulty: int
    minutes: int
    examples: Callable[[torch.Generator], Sequence[Example]]
    mistakes: Sequence[Mistake] = ()
    tolerance: float = 1e-5
    also: Callable[[Callable[..., Any]], str] = nothing
    draw: Callable[[Example, Any, Any], Figure | None] | None = None

    @property
    def name(self) -> str:
        """Of the function, of the check and of what is kept in `lapnet_lab.mine`."""
        return self.solution.__name__

    def source(self) -> str:
        """The solution as text."""
        return textwrap.dedent(inspect.getsource(self.solution)).rstrip()

    def stub(self) -> str:
        """The solution's signature and docstring, with nothing behind them."""
        source = self.source()
        (function,) = ast.parse(source).body
        assert isinstance(function, ast.FunctionDef)
        lines = source.splitlines()[: function.body[0].end_lineno]
        return "\n".join([*lines, "    ..."])

    def text(self, label: str) -> str:
        """The exercise as it stands in a notebook above its stub: task, hints and solution, the latter folded."""
        stars = "●" * self.difficulty + "○" * (3 - self.difficulty)
        folds = [("Hint", self.hints[0]), ("Second hint", self.hints[1])]
        folds.append(("Solution", f"```python\n{self.source()}\n```"))
        folded = [f"<details><summary>{name}</summary>\n\n{inside}\n</details>" for name, inside in folds]
        head = f"**{label}. {self.title}** *({stars}, {self.minutes} minutes)*. {self.task}"
        return "\n\n".join([head, "\n".join(folded)])


class Unreadable(Exception):
    """The answer is not of the kind that was asked for; the text says which."""


def numbers(
    answer: Any, shape: tuple[int, ...], asked: str, nan: str = "is something 0 / 0, inf - inf or inf * 0?"
) -> Tensor:
    """The answer as float64 of that shape, without nan; `nan` is what to say of one."""
    try:
        whole = np.ascontiguousarray(answer) if isinstance(answer, np.ndarray) else answer  # also one turned round
        values = torch.as_tensor(whole, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise Unreadable(f"this needs {asked}; what came is of type {type(answer).__name__}.") from None
    if not shape and values.numel() == 1:  # one number in brackets is one number
        values = values.reshape(())
    if values.shape != shape:
        raise Unreadable(f"this needs {asked}; what came has the shape {tuple(values.shape)}.")
    if bool(values.isnan().any()):
        raise Unreadable(f"this needs {asked}; what came has a nan in it: {nan}")
    return values
