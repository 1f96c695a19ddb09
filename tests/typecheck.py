"""The checker that jaxtyping's import hook puts on every function in tests: beartype, with int for float."""

from collections.abc import Callable
from inspect import Signature, signature
from typing import Any

from beartype import BeartypeConf, beartype

_beartype = beartype(conf=BeartypeConf(is_pep484_tower=True))
_made: dict[tuple[str, str, Signature], Callable[..., Any]] = {}


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """With beartype's checks. A function within another is defined anew in each call of that one: thousands of times
    where scenes are painted. What jaxtyping hands over is empty but for its signature, so one checker serves them all.
    """
    if "<locals>" not in function.__qualname__ or function.__closure__:
        return _beartype(function)
    key = (function.__module__, function.__qualname__, signature(function))
    try:
        if key not in _made:
            _made[key] = _beartype(function)
        return _made[key]
    except TypeError:  # a default value that has no hash
        return _beartype(function)
