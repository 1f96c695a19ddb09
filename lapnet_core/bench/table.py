"""The lines of `lapnet bench` as people read them, and as JSON."""

import math
import sys
import textwrap
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from lapnet_core import __version__
from lapnet_core.bench.line import Result
from lapnet_core.timing import machine_name

COLUMNS = (10, 20, 11)
"""Characters of figure, ratio and limit; the names have what is left of a line."""
PACKAGES = ("torchvision", "timm", "numpy", "pycocotools", "onnxruntime")


def about() -> dict[str, Any]:
    """Where and with what is measured."""
    versions = {"lapnet": __version__, "python": sys.version.split()[0], "torch": torch.__version__}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # onnxruntime need not be there
            continue
    return {
        "machine": machine_name(),
        "gpu": machine_name("cuda") if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions,
    }


def opening(here: dict[str, Any]) -> str:
    """What `about` found, and what the figures are."""
    versions = ", ".join(f"{name} {here['versions'][name]}" for name in ("lapnet", "torch", "python"))
    where = " and ".join(filter(None, (here["machine"], here["gpu"])))
    return (
        f"{where}; {counted(here['threads'], 'thread')}; {versions}; {here['date']}\n"
        "Both are measured in turn. ratio: ours / other, the median of the turns' ratios, with its quartiles"
    )


def as_json(part: str, result: Result) -> dict[str, Any]:
    """All of a result: `ours` and `other` in `unit`, `holds` null where there is no limit."""
    return {"part": part, **asdict(result), "holds": result.holds}


def header(width: int) -> str:
    """The names of the columns of a table of so many characters."""
    return _lines("  ours, under it what it is compared with", ("median", "ratio [quartiles]", "limit"), width)


def row(result: Result, width: int) -> str:
    """A result in two lines, ours and what it is compared with; more where a name is longer than its column."""
    ratio = _short(result.ratio)
    if result.repeats > 1:
        ratio += f" [{_short(result.low)}, {_short(result.high)}]"
    limit = "" if result.limit is None else f"{result.limit:g} {'ok' if result.holds else 'MISSED'}"
    ours, other = (f"{_short(figure)} {result.unit}" for figure in (result.ours, result.other))
    return (
        _lines(f"  {result.what}", (ours, ratio, limit), width)
        + "\n"
        + _lines(f"    {result.against}", (other,), width)
    )


def counted(number: int, what: str) -> str:
    """1 thread, 2 threads."""
    return f"{number} {what}{'s' * (number != 1)}"


def closing(results: list[Result], seconds: float) -> str:
    """How many lines there are, and what became of their limits."""
    judged = [result for result in results if result.limit is not None]
    missed = [result.what for result in judged if not result.holds]
    told = (
        f"{counted(len(results), 'line')} in {seconds:.0f} s; {len(judged) - len(missed)} of {len(judged)} limits hold"
    )
    return told + (f"; MISSED: {'; '.join(missed)}" if missed else "")


def _lines(name: str, figures: tuple[str, ...], width: int) -> str:
    free = max(24, width - sum(COLUMNS) - 2 * len(COLUMNS))
    first, *others = textwrap.wrap(name, free, subsequent_indent="      ")
    cells = (first.ljust(free), *(figure.ljust(size) for figure, size in zip(figures, COLUMNS, strict=False)))
    return "\n".join(("  ".join(cells).rstrip(), *others))


def _short(figure: float) -> str:
    """Three digits, as far as they tell something: 1234, 12.3, 1.23, 0.123, 0.012."""
    return f"{figure:.{min(3, max(0, 2 - math.floor(math.log10(abs(figure) or 1))))}f}"
