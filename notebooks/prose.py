"""The text of a notebook: how long it is, and whether each number in it is held by something that a test compares.

A number in prose is held where it is

- recorded (`<!--record NAME-->...<!--/record-->`, or in a table of records),
- printed by a compared cell, rounded as the text rounds it: of the same section, or of any where it has three digits,
- a constant of the notebook's code, or written as code or as a formula in the text,
- a choice of the author's and no result: `<!--given-->an anchor of 0.3<!--/given-->`.

Numbers of sections, equations, figures, tables, exercises and dates are names, and 0, 1 and 2 are words.
"""

import io
import re
import tokenize
from collections.abc import Iterator
from typing import Any, NamedTuple

IGNORED = "nbval-ignore-output"
NAMES = re.compile(
    r"(?i)\b(?:section|sect|eq|fig|figure|table|exercise|notebook|cell|chapter|question|seed|step|stage|picture|person|"
    r"panel|class|object|run|row|column|shape|anchor|cell|line|image|voc|coco|lapnet|page)s?\.?\s+"
    r"(?:[\d.]+[a-z]?\b(?:(?:\s*,\s*|\s+(?:and|to|or)\s+)[\d.]+[a-z]?\b)*)"
)
MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
DATES = re.compile(rf"\b\d{{1,2}} (?:{MONTHS}) \d{{4}}")
NUMBER = re.compile(r"(?<![\w.,/-])(\d{1,3}(?:,\d{3})+|\d*\.?\d+)(?![\w/]|\.\d)(\s?%| per cent)?")
PRINTED = re.compile(r"(?<![\w.])-?(?:\d{1,3}(?:,\d{3})+|\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?")
REMOVED = (
    re.compile(r"^\s*(?:```|~~~).*?^\s*(?:```|~~~)", re.MULTILINE | re.DOTALL),
    re.compile(r"<!-- records: .*?<!-- /records -->", re.DOTALL),
    re.compile(r"<!--record \S+?-->.*?<!--/record-->", re.DOTALL),
    re.compile(r"<!--given-->.*?<!--/given-->", re.DOTALL),
    re.compile(r"<!--.*?-->", re.DOTALL),
    re.compile(r"`+[^`]*`+"),
    re.compile(r"\$\$.*?\$\$|\$[^$]*\$", re.DOTALL),
    re.compile(r"\]\([^)]*\)"),
    re.compile(r"^#+ .*$", re.MULTILINE),
    re.compile(r"^\s*\d+\. ", re.MULTILINE),
    re.compile(r"\[\d+(?:_\w+)?"),
    re.compile(r"\(\d\.\d(?:, \d\.\d)*\)"),
    re.compile(r"\*\([^)\n]* minutes\)\*"),
    DATES,
    NAMES,
)
"""What holds no number that a reader could take for a result."""
FOLD = re.compile(r"<details>.*?</details>", re.DOTALL)


class Unheld(NamedTuple):
    """A number of the text that nothing holds: in which cell, and the words around it."""

    cell: int
    number: str
    context: str

    def __str__(self) -> str:
        return f"cell {self.cell}: nothing holds {self.number} in “{self.context}”"


def words(notebook: Any) -> int:
    """Words to read: text cells without code, tables of records and what is folded away."""
    count = 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = FOLD.sub(" ", cell.source)
            for pattern in REMOVED[:2]:
                text = pattern.sub(" ", text)
            text = re.sub(r"<!--.*?-->|\]\([^)]*\)", " ", text)
            count += len(re.findall(r"[^\W_][\w'’-]*", text))
    return count


def minutes(notebook: Any) -> tuple[int, int]:
    """(To read it and run its cells, to do its exercises as well)."""
    names = {"two": 2, "three": 3, "four": 4, "five": 5, "eight": 8, "ten": 10, "fifteen": 15, "twenty": 20}
    exercises = 0
    cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    for cell in notebook.cells:
        for said in re.findall(r"\*\([^)]*?(\w+) minutes", cell.source if cell.cell_type == "markdown" else ""):
            exercises += names.get(said, int(said) if said.isdigit() else 5)
    reading = words(notebook) / 180 + cells / 2
    return _fives(reading), _fives(reading + exercises)


def unheld(notebook: Any) -> Iterator[Unheld]:
    """Numbers of the text of a built notebook that nothing holds."""
    sections = list(_sections(notebook))
    constants = {value for cell in notebook.cells if cell.cell_type == "code" for value in _constants(cell.source)}
    everywhere = {value for cell in notebook.cells for value in _printed(cell)}
    here: dict[int, set[float]] = {}
    for section, cell in zip(sections, notebook.cells, strict=True):
        here.setdefault(section, set()).update(_printed(cell))
    for k, (section, cell) in enumerate(zip(sections, notebook.cells, strict=True)):
        if cell.cell_type != "markdown":
            continue
        text = cell.source
        for pattern in REMOVED:
            text = pattern.sub(lambda found: re.sub(r"\S", "_", found[0]) if found[0].strip() else found[0], text)
        for found in NUMBER.finditer(text):
            number, percent = found[1], bool(found[2])
            digits = len(number.replace(".", "").replace(",", "").lstrip("0"))
            # A cell that begins a section may still speak of the one before.
            near = here[section] | here.get(section - 1, set()) | (everywhere if digits >= 3 else set())
            if (
                number in ("0", "1", "2")
                or _matches(number, percent, near)
                or _matches(number, percent, constants, True)
            ):
                continue
            around = " ".join(cell.source[max(0, found.start() - 30) : found.end() + 30].split())
            yield Unheld(k, found[0].strip(), around)


def _sections(notebook: Any) -> Iterator[int]:
    """The section in which each cell lies, counted by headings."""
    section = 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and re.search(r"^#+ ", cell.source, re.MULTILINE):
            section += 1
        yield section


def _printed(cell: Any) -> Iterator[float]:
    """The numbers that a compared cell has printed; a chart's too."""
    if cell.cell_type != "code" or IGNORED in cell.metadata.get("tags", []):
        return
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        shown = [
            output.get("text", ""),
            data.get("text/plain", ""),
            *(str(v) for k, v in data.items() if "plotly" in k),
        ]
        for text in shown:
            for found in PRINTED.findall("".join(text)):
                yield abs(float(found.replace(",", "")))


def _constants(code: str) -> Iterator[float]:
    """The numbers in code, in its strings and comments too."""
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type in (tokenize.NUMBER, tokenize.STRING, tokenize.COMMENT):
                for found in PRINTED.findall(token.string.replace("_", "")):
                    yield float(found.replace(",", ""))
    except (tokenize.TokenError, IndentationError, SyntaxError):
        return


def _matches(number: str, percent: bool, values: set[float], exact: bool = False) -> bool:
    decimals = len(number.partition(".")[2])
    wanted = float(number.replace(",", ""))
    for scale in (1, 100) if percent else (1,):
        for value in values:
            if abs(value * scale - wanted) < 1e-9 or (
                not exact and abs(value * scale - wanted) <= 0.5 * 10**-decimals + 1e-9
            ):
                return True
    return False


def _fives(value: float) -> int:
    return max(5, 5 * round(value / 5))
