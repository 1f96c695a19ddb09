"""Wrong functions as learners write them: each file of tests collects its own, and each gets a hint of its own."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from lapnet_lab.functions import FUNCTIONS
from lapnet_lab.tries import try_out


class Wrong(dict[str, list[tuple[str, Callable[..., Any]]]]):
    """For each function by its name the wrong ways, each with some words of the hint that it has to get."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__({name: [] for name in names})

    def __call__(self, name: str, hint: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Marks a wrong way to write the function of this name."""

        def mark(function: Callable[..., Any]) -> Callable[..., Any]:
            self[name].append((hint, function))
            return function

        return mark

    def cases(self) -> list[Any]:
        """(name, hint, function) of each."""
        return [
            pytest.param(name, hint, function, id=f"{name}-{hint}")
            for name, ways in self.items()
            for hint, function in ways
        ]

    def with_few_hints(self) -> set[str]:
        """The functions for which fewer than four hints are tried."""
        return {name for name, ways in self.items() if len({hint for hint, _ in ways}) < 4}


def gets_its_own_hint(name: str, hint: str, function: Callable[..., Any]) -> None:
    """Fail unless the hint says these words."""
    found = try_out(FUNCTIONS[name], function)
    assert found is not None
    assert hint in found.message, (found.message, found.example, found.expected, found.got)
