"""Recorded numbers live once, in data/records, and the paper's in data/paper; texts are rendered from there.

A file data/records/NAME.json has `measured`, the runs by name, each with all of RUN (a seed is null where none plays a
part; 0 runs: an estimate), whose `values` have all of VALUE (a dict of numbers under KEY is KEY.1, KEY.3, ...), and
`tables` with `columns` and `rows`: cells of Markdown with {REFERENCE} in them. In a text, or in the comments of a .py:

    <!-- records: NAME.TABLE -->               a line; all up to the end mark is replaced by the table
    <!-- /records -->
    ... of <!--record REFERENCE-->.27<!--/record--> ...    not where a line begins: Markdown ends the paragraph there

A REFERENCE is NAME.KEY, also summed and divided as in a.b+a.c/d.e, with :FORMAT where it is not to be the record's own.
The paper's are paper.TABLE.WORD.COLUMN, of the one row that has the WORD, or all of several, among its cells.
A FORMAT is Python's, but `.2` is .27 without its zero, and `.1%` is 4.0 % with a space.
"""

import argparse
import csv
import difflib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

DATA = Path(__file__).resolve().parents[1] / "data"
"""Of the repository; an installed package has none."""
RUN = {"command": str, "seed": int | list | None, "machine": str, "date": str, "runs": int, "values": dict}
VALUE = {"value": int | float | dict, "unit": str, "format": str}
TABLE = {"columns": list, "rows": list}

BLOCK = re.compile(r"^((?:# )?)<!-- records: (\w+)\.(\w+) -->\n(?:.*\n)*?\1<!-- /records -->$", re.MULTILINE)
INLINE = re.compile(r"<!--record (\S+?)-->[^\n]*?<!--/record-->")
MARK = re.compile(r"<!--\s*/?\s*records?\b")
BEGINS_A_LINE = re.compile(r"^(?:# )?(?:\s|>|[-*+]\s|\d+[.)]\s)*<!--record .*", re.MULTILINE)
REFERENCE = re.compile(r"([^/:]+)(?:/([^/:]+))?(?::(\S+))?")
IN_A_CELL = re.compile(r"\{(\w+\.[^{}\s]+)\}")


class Record(NamedTuple):
    """A number, how it is written, and the fields of its run."""

    value: int | float
    unit: str
    format: str
    run: dict[str, Any]


def rewrite(path: Path, updated: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """A file of records as `updated` makes it of what it holds."""
    text = json.dumps(updated(json.loads(path.read_text("utf-8"))), indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _there(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; data/ is part of the repository, not of an installed lapnet_lab")
    return path


def _complete(given: Any, wanted: dict[str, Any], where: str) -> dict[str, Any]:
    """What is given, where it is all that is wanted and nothing else."""
    for name, kind in wanted.items():
        if not isinstance(given, dict) or name not in given:
            raise ValueError(f"{where}: '{name}' is missing")
        if not isinstance(given[name], kind) or (given[name] == "" and name != "format"):
            raise ValueError(f"{where}: '{name}' cannot be {given[name]!r}")
    if given.keys() - wanted.keys():
        raise ValueError(f"{where}: what is {sorted(given.keys() - wanted.keys())}?")
    return given


def load(name: str, data: Path = DATA) -> tuple[dict[str, Record], dict[str, list[list[str]]]]:
    """The values and the tables (the first row are the columns) of a file. ValueError names it and what is missing."""
    path = _there(data / "records" / f"{name}.json")
    try:
        given = json.loads(path.read_text("utf-8"))
    except ValueError as error:  # also where it is no UTF-8
        raise ValueError(f"{path}: is no JSON ({error})") from error
    file = _complete(given, {"measured": dict, "tables": dict}, str(path))
    values: dict[str, Record] = {}
    for title, run in file["measured"].items():
        for key, given in _complete(run, RUN, f"{path}: {title}")["values"].items():
            given = _complete(given, VALUE, f"{path}: {title}.{key}")
            several = given["value"] if isinstance(given["value"], dict) else {"": given["value"]}
            for sub, number in several.items():
                full = f"{key}.{sub}" if sub else key
                if full in values or not isinstance(number, int | float):
                    raise ValueError(f"{path}: {title}.{full} stands there twice, or is no number")
                values[full] = Record(number, given["unit"], given["format"], run)
    tables: dict[str, list[list[str]]] = {}
    for key, given in file["tables"].items():
        given = _complete(given, TABLE, f"{path}: {key}")
        tables[key] = [given["columns"], *given["rows"]]
        if len({len(row) for row in tables[key]}) > 1:
            raise ValueError(f"{path}: {key} has rows of different lengths")
    return values, tables


def paper_table(name: str, data: Path = DATA) -> list[dict[str, str | float]]:
    """The rows of data/paper/NAME.csv; columns that hold numbers alone as floats, "" where a cell is empty."""
    with _there(data / "paper" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = {key for key in rows[0] if all(re.fullmatch(r"[\d.]*", row[key]) for row in rows)}
    return [{key: float(cell) if cell and key in numbers else cell for key, cell in row.items()} for row in rows]


def value(reference: str, data: Path = DATA) -> int | float:
    """The number of NAME.KEY or of paper.TABLE.WORD.COLUMN, for the code of a notebook."""
    return find(reference, data)[0]


def find(reference: str, data: Path = DATA) -> tuple[int | float, str]:
    """(The number, its format)."""
    name, _, key = reference.partition(".")
    if name != "paper":
        values, _ = load(name, data)
        if key not in values:
            raise ValueError(f"{data / 'records' / name}.json: '{key}' is missing")
        return values[key].value, values[key].format
    table, *words, column = key.split(".")
    found = [row.get(column) for row in paper_table(table, data) if set(words) <= set(row.values())]
    if len(found) != 1 or not isinstance(found[0], float):
        raise ValueError(f"{data / 'paper' / table}.csv: not one number in '{column}' where a row has {words}: {found}")
    return found[0], ".1f"


def written(reference: str, data: Path = DATA) -> str:
    """What a text has to state for a REFERENCE."""
    if not (parts := REFERENCE.fullmatch(reference)) or (parts[2] and not parts[3]):
        raise ValueError(f"'{reference}' is no reference; a ratio needs a format")
    above, below = ([find(one, data) for one in part.split("+")] if part else [(1, "")] for part in parts.groups()[:2])
    number, spec = sum(number for number, _ in above), parts[3] or above[0][1]
    number = number / sum(number for number, _ in below) if parts[2] else number
    if spec.endswith("%"):
        return f"{100 * number:{spec[:-1]}f} %"
    return re.sub(r"^(-?)0\.", r"\1.", f"{number:{spec}f}") if re.fullmatch(r"\.\d+", spec) else f"{number:{spec}}"


def render(text: str, data: Path = DATA) -> str:
    """The text with all that is marked as it is recorded. ValueError for a mark that is not whole, or not known."""
    if len(MARK.findall(text)) != 2 * (len(BLOCK.findall(text)) + len(INLINE.findall(text))):
        raise ValueError("a mark is not closed, or misspelt")
    if begins := BEGINS_A_LINE.search(text):
        raise ValueError(f"a mark must not begin a line: {begins[0]}")

    def table(found: re.Match[str]) -> str:
        prefix, name, key = found.groups()
        tables = load(name, data)[1]
        if key not in tables:
            raise ValueError(f"{data / 'records' / name}.json: no table '{key}'")
        rows = [tables[key][0], ["---"] * len(tables[key][0]), *tables[key][1:]]
        lines = ["".join(f"| {cell} " if cell else "| " for cell in row) + "|" for row in rows]
        lines = [IN_A_CELL.sub(lambda cell: written(cell[1], data), line) for line in lines]
        return "\n".join(prefix + line for line in (f"<!-- records: {name}.{key} -->", *lines, "<!-- /records -->"))

    text = BLOCK.sub(table, text)
    return INLINE.sub(lambda found: f"<!--record {found[1]}-->{written(found[1], data)}<!--/record-->", text)


def stale(path: Path, data: Path = DATA, write: bool = False) -> list[str]:
    """Lines of a file that do not state what is recorded, "-" as they were found, "+" as they should be."""
    old = path.read_text("utf-8")
    try:
        new = render(old, data)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if write and new != old:
        path.write_text(new, "utf-8")
    lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), n=0, lineterm=""))
    return [f"{path}: {line}" for line in lines[2:] if line[0] in "+-"]


def main() -> int:
    """Exit status 1 where a check found something, or a text or record is damaged, which is told in one line."""
    parser = argparse.ArgumentParser(prog="python -m lapnet_lab.records", description="Recorded numbers into texts.")
    parser.add_argument("files", nargs="*", type=Path, help="all that state records without any")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a text states another number")
    arguments = parser.parse_args()
    pages = ("README.md", "data/README.md", "docs/teaching.md")
    texts = [*(DATA.parent / page for page in pages), *sorted(DATA.parent.glob("notebooks/[0-9]*.py"))]
    files = arguments.files or texts
    try:
        found = [line for path in files for line in stale(path, write=not arguments.check)]
    except (OSError, ValueError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    print("\n".join(found) if found else f"{len(files)} texts state what is recorded")
    return int(bool(found) and arguments.check)


if __name__ == "__main__":
    sys.exit(main())
