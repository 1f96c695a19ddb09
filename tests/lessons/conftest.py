from collections.abc import Iterator
from typing import Any

import pytest
from legible import faults
from matplotlib.figure import Figure

MOST = 6
"""Figures of a test that are looked at: a panel is drawn dozens of times in some."""


@pytest.fixture(autouse=True)
def figures_can_be_read(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every figure that a lesson's test saves, its panels' too, has words that one can read."""
    looked: list[Figure] = []
    found: list[str] = []
    save = Figure.savefig

    def looked_at(figure: Figure, *args: Any, **kwargs: Any) -> None:
        if len(looked) < MOST and figure not in looked:
            looked.append(figure)
            found.extend(faults(figure))
        save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", looked_at)
    yield
    assert not found, "\n".join(dict.fromkeys(found))
