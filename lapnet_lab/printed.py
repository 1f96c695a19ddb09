"""What a notebook prints for people: pairs on a line, or rows beneath each other; never Python's braces and quotes."""

from collections.abc import Iterable, Mapping
from typing import Any


def listed(values: Mapping[Any, Any], form: str = "") -> str:
    """`name: value` pairs on one line.

    Args:
        form: of each value, as `format` takes it.
    """
    return "; ".join(f"{name}: {value:{form}}" for name, value in values.items())


def aligned(rows: Mapping[str, str | Iterable[Any]], form: str = "") -> str:
    """A line for each row: its name, and its values in columns; words stand as they are.

    Args:
        form: of each value that is no word, as `format` takes it.
    """
    cells = {
        name: [row] if isinstance(row, str) else [v if isinstance(v, str) else format(v, form) for v in row]
        for name, row in rows.items()
    }
    wide = max(map(len, cells), default=0)
    columns = range(max(map(len, cells.values()), default=0))
    in_columns = [row for name, row in cells.items() if not isinstance(rows[name], str)]
    widths = [max((len(row[k]) for row in in_columns if k < len(row)), default=0) for k in columns]
    lines = []
    for name, row in cells.items():
        lines.append(f"{name:{wide}}  " + "  ".join(f"{v:>{w}}" for v, w in zip(row, widths, strict=False)))
    return "\n".join(line.rstrip() for line in lines)
