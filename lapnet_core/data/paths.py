"""Files as other people name and write them."""

import os
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Container, Iterator
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from lapnet_core.data.types import DataError

HIDDEN = (".", "__MACOSX")
"""How the names of folders begin that nobody means: hidden ones, and what macOS puts into archives."""


OURS = ".lapnet-predictions"
"""Lies in a folder that `lapnet predict` made: what is in it, pictures with boxes drawn on, is nobody's data."""


def safe_name(name: str) -> bool:
    """Whether a file name taken from the data stays inside the folder that it is joined to."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and not set(name) & set("\\:\0")


def ends(name: str) -> list[str]:
    """What a path of another disk, also of Windows, may be called in a folder of ours: all of it, or without its first
    parts. None of them leads out of the folder."""
    steps = [step for step in re.split(r"[/\\]", name) if not re.fullmatch(r"|\.|\.\.|[A-Za-z]:", step)]
    return ["/".join(steps[n:]) for n in range(len(steps))]


def located(name: str, folder: Path, files: Container[str] = ()) -> Path | None:
    """The file in a folder, or below it, that a path of another disk means: by one of its `ends`, whichever way Unicode
    writes its accents. `files` are names that are known to be there. None: there is no such file."""
    for end in ends(name):
        for form in dict.fromkeys((end, normalize("NFC", end), normalize("NFD", end))):
            if form in files or os.path.isfile(folder / form):
                return folder / form
    return None


def folders_below(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """A folder and all below it, sorted, each with the names of its files. Hidden ones and OURS are left out; a link is
    followed once, but to no folder that this one lies in: that would hold more, up to all of the disk."""
    seen = {*Path(os.path.realpath(folder)).parents}
    for base, folders, names in os.walk(folder, followlinks=True):
        real = Path(os.path.realpath(base))
        new = real not in seen and (OURS not in names or Path(base) == folder)
        seen.add(real)
        folders[:] = sorted(name for name in folders if new and not name.startswith(HIDDEN))
        if new:
            yield Path(base), sorted(name for name in names if not name.startswith("."))


def read_text(path: Path, what: str) -> str:
    """A text file in UTF-8, or in the UTF-16 of Windows.

    Raises:
        DataError: it cannot be read as `what`, such as "these labels".
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would block
            raise OSError("no regular file")
        content = path.read_bytes()
        return content.decode("utf-16" if content.startswith((BOM_UTF16_BE, BOM_UTF16_LE)) else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        hint = ": save it as UTF-8" if isinstance(error, UnicodeDecodeError) else ""
        raise DataError(f"{path}: cannot read {what} ({error}){hint}") from error


def read_lines(path: Path, what: str) -> list[str]:
    """The lines of a text file that are not blank, without what is blank about them; raises as `read_text`."""
    return [line.strip() for line in read_text(path, what).splitlines() if line.strip()]


def files_in(folder: Path) -> set[str]:
    """The names of the files directly in a folder, read once: cheaper than asking for each of 118,000 images.

    Raises:
        DataError: the folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except OSError as error:
        raise DataError(f"{folder}: cannot read this folder of images ({error.strerror})") from error
