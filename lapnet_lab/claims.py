"""What the paper claims and what became of it: data/claims.toml, checked, and rendered to docs/claims.md.

A claim names where it is taught and what shows it. Each name has to be there: the notebook and its heading, the test,
the record. So whoever renames one of them is told which claim to edit. `python -m lapnet_lab.claims [--check]`.
"""

import argparse
import ast
import difflib
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from lapnet_lab import records

ROOT = Path(__file__).resolve().parents[1]
"""Of the repository; an installed package has no claims."""
STATUS = {
    "reproduced": "it holds, by a proof, a test or a count; no size of a training plays a part",
    "at small scale only": "we saw it too, on a toy or in trainings far smaller than the paper's",
    "ambiguous": "it holds in part, our runs cannot decide it, or the paper's words allow two readings",
    "not reproduced": "we tried, and saw nothing of it or the opposite, at our scale",
    "not tried": "what would show it was not done",
}
SECTIONS = {
    "abstract": "Abstract",
    "1": "1 Introduction",
    "2": "2 Related work",
    "3.1": "3.1 Overview: anchors and network",
    "3.2": "3.2 Assignment and PONO",
    "3.3": "3.3 Training: losses, AMS, balance",
    "4": "4 Experiments: training details",
    "4.1": "4.1 PASCAL VOC",
    "4.2": "4.2 MSCOCO",
    "5": "5 Conclusion",
}
LONGEST_QUOTE = 12
"""Words: a quotation leads to its sentence, and does not stand for it."""
PRINTS = " prints: "
"""In "02_pono prints: PONO > 0.5" of a claim's `shown`: words of a line of code whose output strict nbval compares."""
NAMES = re.compile(r"\bAP\d\d\b|\bVOC ?\d+|\bval\d+|\bYOLOv\d|-v\d\b|\b(?:eqs?|fig)\. \d|\btable \d[ab]?|\bL1\b")
"""What has a digit in it and is no number."""


@dataclass(frozen=True)
class Claim:
    """A claim of the paper; data/claims.toml says what each field holds."""

    id: str
    section: str
    claim: str
    quote: str
    taught: str
    shown: tuple[str, ...]
    status: str
    saw: str
    place: str = ""


def load(root: Path = ROOT) -> list[Claim]:
    """All claims, in the order of the file. ValueError for a file that is no TOML, or a claim without its
    fields."""
    path = root / "data" / "claims.toml"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; data/ is part of the repository, not of an installed lapnet_lab")
    try:
        listed = tomllib.loads(path.read_text("utf-8")).get("claim", [])
    except ValueError as error:
        raise ValueError(f"{path}: is no TOML ({error})") from error
    names, claims = {field.name for field in fields(Claim)}, []
    for number, given in enumerate(listed, 1):
        who = f"{path}: claim '{given.get('id', f'number {number}')}'"
        if wrong := sorted((names - {"place"} - given.keys()) | (given.keys() - names)):
            raise ValueError(f"{who}: {', '.join(wrong)} is missing, or is no field of a claim")
        if not isinstance(given["shown"], list) or not all(isinstance(x, str) for x in [*given["shown"], *(
            value for key, value in given.items() if key != "shown")]):  # fmt: skip
            raise ValueError(f"{who}: 'shown' is a list of strings, and every other field a string")
        claims.append(Claim(**{**given, "shown": tuple(given["shown"])}))
    return claims


def problems(claims: list[Claim], root: Path = ROOT) -> list[str]:
    """What does not hold, a sentence each, with the claim that has to be edited."""
    ids = [claim.id for claim in claims]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    found = [f"claim '{name}': there are several of this id" for name in twice]
    return found + [f"claim '{claim.id}': {wrong}" for claim in claims for wrong in _wrong(claim, root)]


def _wrong(claim: Claim, root: Path) -> Iterator[str]:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", claim.id):
        yield "an id is small letters, digits and hyphens"
    if claim.section not in SECTIONS:
        yield f"the paper has no section '{claim.section}'; known are {', '.join(SECTIONS)}"
    if claim.status not in STATUS:
        yield f"'{claim.status}' is no status; there are {', '.join(STATUS)}"
    if not claim.quote or len(claim.quote.split()) > LONGEST_QUOTE:
        yield f"a quote has one to {LONGEST_QUOTE} words"
    if not claim.shown and claim.status != "not tried":
        yield f"nothing shows it, so it cannot be '{claim.status}'"
    yield from _wrong_heading(claim.taught, root)
    for shown in claim.shown:
        yield from _wrong_evidence(shown, root)
    for reference in records.IN_A_CELL.findall(claim.saw):
        yield from _wrong_record(reference, root)
    if number := re.search(r"\S*\d\S*", NAMES.sub("", records.IN_A_CELL.sub("", claim.saw))):
        yield f"'saw' states {number[0]}, which no record holds; write {{FILE.KEY}}, or a word"
    if not claim.saw.endswith("."):
        yield "'saw' is a sentence, and ends with a full stop"


def _wrong_heading(taught: str, root: Path) -> Iterator[str]:
    name, _, heading = taught.partition(": ")
    path = root / "notebooks" / f"{name}.py"
    if not path.is_file():
        yield f"it is taught in '{taught}', but there is no notebooks/{name}.py"
        return
    known = headings(path)
    if heading not in known:
        near = difflib.get_close_matches(heading, known, 1, 0)
        nearest = f"the nearest is '{near[0]}'" if near else "it has none"
        yield f"notebooks/{name}.py has no heading '{heading}'; {nearest}: edit 'taught'"


def headings(path: Path) -> list[str]:
    """Of a notebook's .py or of a Markdown text, without the marks before them."""
    return re.findall(
        r"^(?:# )?#{1,6} (\S.*)$" if path.suffix == ".py" else r"^#{1,6} (\S.*)$", path.read_text("utf-8"), re.M
    )


def _wrong_evidence(shown: str, root: Path) -> Iterator[str]:
    if "::" in shown:
        file, _, name = shown.partition("::")
        path = root / file
        if not path.is_file():
            yield f"it is shown by {shown}, but there is no {file}: edit 'shown'"
        elif name not in tests(path):
            near = difflib.get_close_matches(name, tests(path), 1, 0)
            yield f"{file} has no test {name}; the nearest is {near[0] if near else ''}: edit 'shown'"
    elif PRINTS in shown:
        name, _, text = shown.partition(PRINTS)
        path = root / "notebooks" / f"{name}.py"
        if not path.is_file():
            yield f"it is shown by what {name} prints, but there is no notebooks/{name}.py: edit 'shown'"
        elif not any(text in line for line in path.read_text("utf-8").splitlines() if line[:1] != "#"):
            yield f"no code of notebooks/{name}.py prints '{text}' any more: edit 'shown'"
    elif shown.startswith("README.md: "):
        if shown.partition(": ")[2] not in headings(root / "README.md"):
            yield f"README.md has no heading '{shown.partition(': ')[2]}': edit 'shown'"
    else:
        yield from _wrong_record(shown, root)


@cache
def tests(path: Path) -> tuple[str, ...]:
    """The names of the tests of a file, without what they are parametrised by."""
    tree = ast.parse(path.read_text("utf-8"))
    return tuple(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name[:5] == "test_")


def _wrong_record(reference: str, root: Path) -> Iterator[str]:
    try:
        records.written(reference, root / "data")
    except (ValueError, FileNotFoundError) as error:
        yield f"{reference} is no record: {error}"


def render(claims: list[Claim], root: Path = ROOT) -> str:
    """The text of docs/claims.md."""
    counted = {status: sum(claim.status == status for claim in claims) for status in STATUS}
    lines = [
        "<!-- Rendered from data/claims.toml by python -m lapnet_lab.claims; edit that file. -->",
        "",
        "# The paper's claims, and what became of them",
        "",
        f"{len(claims)} sentences of the paper that say something testable: where each is taught, what shows it,",
        "what we saw. Nothing here judges the paper's own numbers. Our trainings are far smaller: drawn scenes,",
        "blood cells, six classes of photographs. Two numbers in brackets are an interval of 95 percent.",
        "*Our LapNet* is PONO with weights that do not drift and give each class and anchor an even say, without AMS.",
        "",
        "| status | claims | that is to say |",
        "| --- | --- | --- |",
        *(f"| **{status}** | {counted[status]} | {meaning} |" for status, meaning in STATUS.items()),
        "",
        "In a quotation stand a few words of the sentence, so that it is found in",
        "[the paper](https://arxiv.org/abs/1911.01149).",
    ]
    for section, title in SECTIONS.items():
        of_it = [claim for claim in claims if claim.section == section]
        if of_it:
            lines += [
                "",
                f"## {title}",
                "",
                "| claim | status | what we saw | taught in; shown by |",
                "| --- | --- | --- | --- |",
            ]
            lines += [_row(claim, root) for claim in of_it]
    return "\n".join(lines) + "\n"


def _row(claim: Claim, root: Path) -> str:
    place = f" ({claim.place})" if claim.place else ""
    notebook, _, heading = claim.taught.partition(": ")
    taught = f"[{notebook}](../notebooks/{notebook}.ipynb), *{heading}*"
    shown = "; ".join(_link(each) for each in claim.shown) or "nothing"
    saw = records.IN_A_CELL.sub(lambda found: records.written(found[1], root / "data"), claim.saw)
    text = f'<a id="{claim.id}"></a>{claim.claim} “{claim.quote}”{place}'
    return "| " + " | ".join((text, claim.status, saw, f"{taught}; {shown}")) + " |"


def _link(shown: str) -> str:
    if "::" in shown:
        file, _, name = shown.partition("::")
        return f"[{name}](../{file})"
    if PRINTS in shown:
        name, _, text = shown.partition(PRINTS)
        return f"[{name}](../notebooks/{name}.ipynb) where it prints `{text}`"
    if shown.startswith("README.md: "):
        heading = shown.partition(": ")[2]
        return f"[README](../README.md#{re.sub(r'[^a-z0-9 -]', '', heading.lower()).replace(' ', '-')}), *{heading}*"
    name, _, rest = shown.partition(".")
    if name == "paper":
        return f"[`{shown}`](../data/paper/{rest.partition('.')[0]}.csv)"
    return f"[`{shown}`](../data/records/{name}.json)"


def main() -> int:
    """Exit status 1 where something does not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m lapnet_lab.claims", description="The paper's claims, into docs/claims.md."
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail where docs/claims.md is not up to date"
    )
    arguments = parser.parse_args()
    path = ROOT / "docs" / "claims.md"
    try:
        claims = load()
        if found := problems(claims):
            print("\n".join(found))
            return 1
        text = render(claims)
    except (OSError, ValueError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    if not path.is_file() or path.read_text("utf-8") != text:
        if arguments.check:
            print(f"{path} is not what data/claims.toml says: python -m lapnet_lab.claims writes it")
            return 1
        path.write_text(text, "utf-8")
    print(f"{len(claims)} claims hold what they name")
    return 0


if __name__ == "__main__":
    sys.exit(main())
