"""A student's own copy of the notebooks: `python lapnet_lab/open.py [folder]`, which `make lab` calls first.

What she does in `my_notebooks/` stays hers. A notebook that she has left as it came is brought up to date; one that she
has edited, run or saved is never touched: what is new is put beside it. Her notebooks come without outputs, which would
answer each question before it is asked; those of `solved/` have them. Nothing but the standard library, so that it
starts at once.
"""

import argparse
import errno
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MANIFEST = ".copied.json"
"""In the copy: what it was given, so that one sees what she has changed."""
PARTIAL = ".partial"
GLOSSARY = "glossary.md"
"""Of the repository's docs/, in the copy beside the notebooks."""


class CannotCopy(Exception):
    """The folder cannot be had; the text says why, and what to do."""


@dataclass
class Report:
    """Names of what was done; what is not named was as it should be, or hers."""

    copied: list[str] = field(default_factory=list)
    refreshed: list[str] = field(default_factory=list)
    beside: dict[str, str] = field(default_factory=dict)
    """Hers -> where the new version is."""

    def lines(self, target: Path) -> Iterator[str]:
        """What there is to tell."""
        if self.copied:
            yield f"{target}: {len(self.copied)} files copied. Work there: what you change stays as it is."
        if self.refreshed:
            yield f"{target}: brought up to date, as you had not changed them: {', '.join(self.refreshed)}"
        for hers, new in self.beside.items():
            yield f"{target}: {hers} is yours and stays; its new version is beside it: {new}"


def copy_notebooks(source: Path, target: Path) -> Report:
    """Bring a working copy up to date; whatever in it is not as it was given is left alone.

    A file is whole or not there: it is written beside its place and then renamed. So one may stop this at any moment.

    Raises:
        CannotCopy: there is nothing to copy, or no way to write.
    """
    names = sorted(path.relative_to(source).as_posix() for path in (*source.glob("*.ipynb"), *source.glob("*/*.ipynb"))
                   if not path.parent.name.startswith("."))  # fmt: skip
    if not names:
        raise CannotCopy(f"There are no notebooks in {source}. Call this from the repository, or get it again.")
    report = Report()
    try:
        target.mkdir(parents=True, exist_ok=True)
        for left in (*target.glob(f".*{PARTIAL}"), *target.glob(f"*/.*{PARTIAL}")):  # by one that was killed
            left.unlink(missing_ok=True)
        given = _read_manifest(target)
        for name in names:
            _one(source / name, target, name, given, report)
        if (glossary := source.parent / "docs" / GLOSSARY).is_file():
            _one(glossary, target, GLOSSARY, given, report)
    except OSError as problem:
        raise CannotCopy(_remedy(problem, target)) from problem
    return report


def _one(source: Path, target: Path, name: str, given: dict[str, dict[str, str]], report: Report) -> None:
    """One file. `given`: name -> digests of the file as it was copied, and of its cells."""
    shipped, place = source.read_bytes(), target / name
    new = as_given(shipped, name)
    digests = {"file": _digest(new), "cells": cells_digest(new), "work": cells_digest(new, outputs=True)}
    before = given.get(name, {})
    if not _there(place):
        _write(place, new)
        report.copied.append(name)
    elif not place.is_file():  # a folder of hers
        return
    elif _is(hers := place.read_bytes(), digests):
        pass
    elif _is(hers, before) or hers == shipped:  # with outputs, as it was copied before
        _write(place, new)
        report.refreshed.append(name)
    elif digests["cells"] == before.get("cells"):
        return  # hers, and there is nothing new but outputs
    else:
        at = _beside(target, name, given, digests["file"])
        _write(target / at, new)
        report.beside[name] = at
        given[at] = digests
        kept = {kind: before.get(kind, "") for kind in ("file", "work")}
        digests = {**digests, **kept}  # she keeps hers, and has been told
    if given.get(name) != digests:
        given[name] = digests
        _write(target / MANIFEST, json.dumps(given, indent=1).encode())


def _beside(target: Path, name: str, given: dict[str, dict[str, str]], new: str) -> str:
    """Where the new version goes: "02_pono (new).ipynb", or with a number where she has one of that name."""
    stem, dot, suffix = name.rpartition(".")
    for count in range(1, 1000):
        at = f"{stem} (new{f' {count}' if count > 1 else ''}){dot}{suffix}"
        place = target / at
        ours = (new, given.get(at, {}).get("file"))
        if not _there(place) or (place.is_file() and _digest(place.read_bytes()) in ours):
            return at
    raise CannotCopy(f"There are a thousand versions of {name} in {target}. Delete some.")


def as_given(shipped: bytes, name: str) -> bytes:
    """A file as she gets it: links lead to what is copied, and a notebook that is not solved has no outputs."""
    text = shipped.replace(f"../docs/{GLOSSARY}".encode(), GLOSSARY.encode())
    if name == GLOSSARY:
        return text.replace(b"](../notebooks/", b"](")
    if "/" in name:
        return text
    try:
        notebook = json.loads(text)
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell["outputs"], cell["execution_count"] = [], None
        notebook["metadata"].pop("widgets", None)
    except (ValueError, KeyError, TypeError):
        return text
    return (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode()


def _is(file: bytes, digests: dict[str, str]) -> bool:
    """Whether it is what has these digests; but for metadata, which JupyterLab writes where one only looks at it."""
    return digests.get("file") == _digest(file) or digests.get("work") == cells_digest(file, outputs=True)


def cells_digest(notebook: bytes, outputs: bool = False) -> str:
    """Of what people write: kinds and sources of the cells; and of what came of them."""
    try:
        cells = json.loads(notebook)["cells"]
        parts = [[cell["cell_type"], "".join(cell["source"])] for cell in cells]
        results = [cell.get("outputs", []) for cell in cells] if outputs else []
        return _digest(json.dumps([*parts, *results]).encode())
    except (ValueError, KeyError, TypeError):
        return _digest(notebook)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _there(place: Path) -> bool:
    """Whether the name is taken, be it by a link that leads nowhere."""
    return place.exists() or place.is_symlink()


def _read_manifest(target: Path) -> dict[str, dict[str, str]]:
    """Without one, or with one that cannot be read, all that differs from what ships is hers."""
    try:
        found: Any = json.loads((target / MANIFEST).read_text("utf-8"))
        return {str(name): dict(digests) for name, digests in found.items()}
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return {}


def _write(place: Path, data: bytes) -> None:
    """The whole file or nothing."""
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(f".{place.name}.{os.getpid()}{PARTIAL}")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, place)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _remedy(problem: OSError, target: Path) -> str:
    elsewhere = "`make lab MY_NOTEBOOKS=another/folder` takes another one."
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full: the notebooks cannot be copied to {target}. Free some 30 MB, or: {elsewhere}"
    if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{target} cannot be written ({problem.strerror}). Change its permissions, or: {elsewhere}"
    if problem.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"{target} is no folder. Give that file another name, or: {elsewhere}"
    return f"The notebooks cannot be copied to {target} ({problem}). Try again, or: {elsewhere}"


def main() -> None:
    """Copy, and tell what there is to tell."""
    parser = argparse.ArgumentParser(description="Make or bring up to date your own copy of the notebooks.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("my_notebooks"))
    target = parser.parse_args().folder.expanduser()
    try:
        for line in copy_notebooks(ROOT / "notebooks", target).lines(target):
            print(line)
    except CannotCopy as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
