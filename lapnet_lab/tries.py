"""A learner's function is tried on many small inputs; what there is to say about it is one sentence, never a traceback.

The sentence comes with the smallest example on which the function fails.
"""

import copy
import dis
import inspect
import io
import linecache
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from numbers import Real
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lapnet_lab.exercise import Example, Exercise, FunctionExercise, Unreadable

SECONDS = 5.0
"""That one call may take, or all calls of an exercise that calls a function itself; the examples are small."""
CHANGES = "it changes its arguments, which others still need: work on a copy (`x.clone()`, or `list(x)` of a list)."
ONE_NUMBER = " `max`, `min`, `if` and `and` take one number; tensors have torch.maximum, torch.minimum and torch.where."
NOTHING = "it returns nothing: is there a `return`?"


class TooSlow(BaseException):
    """The call took longer than it may. Not an Exception, so that a learner's `except Exception` does not catch it."""


@dataclass(frozen=True)
class Finding:
    """What is wrong, and where it shows. `got` is None where nothing was returned, `expected` where it says nothing."""

    message: str
    example: Example | None = None
    expected: Any = None
    got: Any = None
    begun: bool = True


class Tried(NamedTuple):
    """What a function returned on an example, beside what it should."""

    example: Example
    expected: Any
    got: Any


def try_out(exercise: FunctionExercise, function: Any) -> Finding | None:
    """The first thing to say about a function; None where it is right.

    The examples are the same in every call, smallest first, those with nothing in them last. What the function prints
    is not shown: it is called a hundred times.
    """
    if function is None or function is ...:
        return Finding("", begun=False)
    if not callable(function):
        return Finding(f"this needs the function itself: check.{exercise.name}({exercise.name}), without brackets.")
    asked = list(inspect.signature(exercise.solution).parameters)
    if (wanted := _arguments(function, len(asked))) is not None:
        return Finding(f"your function takes {wanted}; it is called with {len(asked)}: {', '.join(asked)}.")
    with quiet():
        return _first_finding(exercise, function)


def called(function: Any, *given: Any, asked: str, in_place: bool = False) -> Any:
    """What a learner's function returns, for the check of an exercise that asks for one and judges it by itself.

    Args:
        given: its arguments; it gets copies.
        asked: how it is called, as in "pareto(times, aps)".
        in_place: whether it may change what it is given.

    Raises:
        Unreadable: it is no function, stops, returns nothing, or changes its arguments.
    """
    if not callable(function) or isinstance(function, type):
        raise Unreadable(f"this needs a function, {asked}; what came is of type {type(function).__name__}.")
    if (wanted := _arguments(function, len(given))) is not None:
        raise Unreadable(f"your function takes {wanted}; it is called as {asked}.")
    handed = copied(given)
    try:
        got = function(*handed)
    except Exception as problem:  # a learner's function can do anything at all
        raise Unreadable(_where(function, problem)) from None
    if got is None:
        raise Unreadable(NOTHING)
    if not in_place and not all(map(same, given, handed)):
        raise Unreadable(CHANGES)
    return got


def _first_finding(exercise: FunctionExercise, function: Callable[..., Any]) -> Finding | None:
    examples = sorted(exercise.examples(torch.Generator().manual_seed(0)), key=_size)
    for example in examples:
        expected = exercise.solution(*copied(example))
        given = copied(example)
        try:
            with at_most():
                got = function(*given)
        except TooSlow:
            return Finding(late(), example)
        except Exception as problem:
            return Finding(_where(function, problem), example, expected)
        if got is None:
            return Finding(NOTHING, example, expected, begun=not is_stub(function))
        if not all(same(before, after) for before, after in zip(example, given, strict=True)):
            return Finding(CHANGES, example)
        if kind(expected, got) or not same(expected, got, exercise.tolerance):
            return _wrong_value(exercise, function, examples, Tried(example, expected, got))
    try:
        with at_most():
            more = exercise.also(function)
    except TooSlow:
        more = late()
    except Exception as problem:
        more = _where(function, problem)
    return Finding(more) if more else None


def copied(example: Example) -> Example:
    """Arguments that nobody else holds."""
    return tuple(value.clone() if isinstance(value, Tensor) else copy.deepcopy(value) for value in example)


def same(expected: Any, got: Any, tolerance: float = 0.0) -> bool:
    """Whether two values are equal, floats within the tolerance; NaN equals NaN only."""
    if isinstance(expected, Tensor) and isinstance(got, Tensor):
        if expected.shape != got.shape:
            return False
        if expected.is_floating_point() or got.is_floating_point():
            a, b = expected.detach().double(), got.detach().double()
            return torch.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)
        return torch.equal(expected, got.to(expected.dtype))
    if isinstance(expected, Real) and isinstance(got, Tensor) and got.numel() == 1:
        got = got.item()
    if isinstance(expected, Tensor | np.ndarray) or isinstance(got, Tensor):
        return same(torch.as_tensor(expected), torch.as_tensor(got), tolerance)
    if isinstance(expected, Real) and isinstance(got, Real):
        a, b = (torch.tensor(float(value), dtype=torch.float64) for value in (expected, got))
        return same(a, b, tolerance)
    return bool(expected == got)


def kind(expected: Any, got: Any) -> str:
    """What is wrong with the type, the shape or the dtype of a value; nothing where they fit."""
    if not isinstance(expected, Tensor):
        number = isinstance(got, Real) or (isinstance(got, Tensor) and got.numel() == 1 and not got.is_complex())
        return "" if number else f"it should return one number; yours returns {_called(got)}."
    if expected.ndim == 0 and isinstance(got, Real):
        return (
            "it should return a tensor of shape (), through which a gradient flows; `float(...)` and `.item()` cut it."
        )
    if not isinstance(got, Tensor):
        return f"it should return a tensor; yours returns {_called(got)}: torch.tensor(...) or torch.stack(...) helps."
    if got.shape != expected.shape:
        return f"it should return the shape {tuple(expected.shape)} here; yours returns {tuple(got.shape)}."
    of_nothing = got.dtype == torch.float32 and not got.numel()
    empty = f" torch.tensor of an empty list is float32: add `dtype={expected.dtype}`." if of_nothing else ""
    if expected.dtype == torch.bool and got.dtype != torch.bool:
        return f"it should return True and False (torch.bool); yours returns {got.dtype}.{empty}"
    whole = not expected.is_floating_point()
    if whole and expected.dtype != torch.bool and (got.is_floating_point() or got.dtype == torch.bool):
        return f"it should return whole numbers (torch.int64); yours returns {got.dtype}.{empty}"
    if not whole and not bool(got.isfinite().all()) and bool(expected.isfinite().all()):
        return "a value is not finite (nan or inf): where do you divide by 0, or take the exponential of much?"
    return ""


def late(seconds: float | None = None, slow: str = Exercise.slow) -> str:
    """What there is to say of a call that was stopped by `at_most`."""
    return f"after {seconds or SECONDS:g} seconds it had not come back. {slow}"


@contextmanager
def at_most(seconds: float | None = None) -> Iterator[None]:
    """Raise TooSlow where the body takes longer, SECONDS unless told; only where there are alarms, and in the main
    thread."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, ring)
    began = time.monotonic()
    left, again = signal.setitimer(signal.ITIMER_REAL, seconds or SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:  # somebody else's alarm was set, as pytest-timeout's is
            signal.setitimer(signal.ITIMER_REAL, max(1e-3, left - (time.monotonic() - began)), again)


@contextmanager
def quiet() -> Iterator[None]:
    """What a learner's function prints or warns of is nowhere."""
    with redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _size(example: Example) -> tuple[bool, int]:
    """Empty tensors last: as the example that a learner is shown, nothing says less."""
    counts = [value.numel() if isinstance(value, Tensor) else 1 for value in example]
    return 0 in counts, sum(counts)


def _arguments(function: Callable[..., Any], count: int) -> str | None:
    """How many arguments it takes, in words, where they are not `count`."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some built-in functions have none
        return None
    try:
        signature.bind(*range(count))
    except TypeError:
        return f"{len(signature.parameters)} argument" + "s" * (len(signature.parameters) != 1)
    return None


def is_stub(function: Callable[..., Any]) -> bool:
    """Whether nothing but the docstring and `...` or `pass` is written: its code reads no name, no argument either."""
    code = getattr(function, "__code__", None)
    if code is None or code.co_names or not set(code.co_consts) <= {None, ..., function.__doc__}:
        return False
    return not any(step.opname.startswith("LOAD_FAST") for step in dis.get_instructions(code))


def _where(function: Callable[..., Any], problem: Exception) -> str:
    """An exception as a sentence, with the line of the learner's code in which it came up."""
    words = str(problem).strip() or "no words"
    text = f"{type(problem).__name__}: {words.splitlines()[0].rstrip('.')}"
    after = ONE_NUMBER if "Boolean value of Tensor" in words else ""
    code = getattr(function, "__code__", None)
    # Only the function's own lines: a helper of the same notebook cell can stand above it.
    inside = [line for frame, line in traceback.walk_tb(problem.__traceback__) if frame.f_code is code]
    if not code or not inside:
        return f"it stops with {text}.{after}"
    number = inside[-1]
    line = linecache.getline(code.co_filename, number).strip()
    shown = f" `{line}`," if line else ""  # the text may be nowhere
    return f"it stops in line {number - code.co_firstlineno + 1},{shown} with {text}.{after}"


def _wrong_value(
    exercise: FunctionExercise, function: Callable[..., Any], examples: list[Example], first: Tried
) -> Finding:
    """A known mistake, if it is one, else what is wrong with the value or its kind, on an example that shows it.

    It is known where it returns the same on every example on which it returns anything: that it also stops on some will
    be told when this is mended. It comes with the smallest example on which the value is wrong, not the dtype alone:
    there the sentence can be seen to be true.
    """
    tried: list[Tried] = []
    for example in examples:
        got = _answer(function, example)
        if got is TooSlow:  # and so it may be on each of the others
            tried = []
            break
        if not isinstance(got, type):
            tried.append(Tried(example, exercise.solution(*copied(example)), got))
    wrong = [each for each in tried if not _alike(each.expected, each.got, exercise.tolerance)]
    for mistake in exercise.mistakes if wrong else ():
        if all(_alike(_answer(mistake.wrong, each.example), each.got, exercise.tolerance) for each in tried):
            return Finding(mistake.says, *_telling(wrong[0], wrong))
    shown = _telling(first, wrong)
    return Finding(kind(shown.expected, shown.got) or "this is not the value that it should be.", *shown)


def _telling(smallest: Tried, wrong: list[Tried]) -> Tried:
    """The example to show: where the number of dimensions is wrong, one in which none is 1, as others look alike."""
    if _fits(smallest):
        return smallest
    return next((each for each in wrong if not _fits(each) and min(each.expected.shape, default=0) > 1), smallest)


def _fits(tried: Tried) -> bool:
    """Whether it has as many dimensions as it should, or none are asked for; their lengths may depend on values."""
    expected, got = tried.expected, tried.got
    return not isinstance(expected, Tensor) or not isinstance(got, Tensor) or expected.ndim == got.ndim


def _answer(function: Callable[..., Any], example: Example) -> Any:
    """What it returns, or the type of exception that it stops with."""
    try:
        with at_most():
            return function(*copied(example))
    except (Exception, TooSlow) as problem:
        return type(problem)


def _alike(a: Any, b: Any, tolerance: float) -> bool:
    if isinstance(a, type):
        return False
    try:
        return same(a, b, tolerance)
    except (TypeError, ValueError, RuntimeError):
        return False


def _called(value: Any) -> str:
    name = type(value).__name__
    article = "an" if name.startswith(("a", "e", "i", "o", "u", "nd")) else "a"
    return f"{article} {name}" + (f" of shape {tuple(value.shape)}" if isinstance(value, Tensor) else "")
