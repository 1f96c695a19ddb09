"""Writing files that are whole or not there, and never in the place of somebody else's."""

import os
import platform
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from threading import get_ident

from torch import Tensor

PARTIAL = re.compile(r"\..+\.(\d+)-\d+@(.*)\.partial")
"""Name of a file that is being written: for which file, by which process, on which machine."""
_HERE = re.sub(r"\W", "", platform.node())[:20]
_swept: set[Path] = set()
"""Folders that this process has looked through for what killed ones left there."""


def write_whole(path: str | Path, write: Callable[[Path], object]) -> None:
    """Call `write` on a file beside `path` and rename it to `path`: an interruption leaves the older file whole.

    Makes the folder if it is not there, and leaves nothing of a write that failed. The bytes are on the disk before the
    name is, so that a power cut leaves no empty file. OSError, by `path`, where it cannot be written.
    """
    with _written(Path(path), write) as partial:
        os.replace(partial, path)


def write_new(path: str | Path, write: Callable[[Path], object]) -> Path:
    """As `write_whole`, but nothing is replaced: where a.png is taken it is a-2.png, and so on. Returns where it is."""
    path = Path(path)
    with _written(path, write) as partial:
        for n in count(1):
            there = path.with_stem(f"{path.stem}-{n}") if n > 1 else path
            with suppress(FileExistsError):
                there.open("x").close()  # from here on the name is ours, whoever else writes here
                os.replace(partial, there)
                return there
    raise AssertionError


def wrote(wanted: Path, written: Path) -> str:
    """What a command says of a file that `write_new` wrote."""
    return f"wrote {written}" if written == wanted else f"wrote {written}, as {wanted} is taken"


def check_writable(path: Path) -> None:
    """OSError where `path` cannot be written. To be asked before long work; makes the folder."""
    with _written(path, Path.touch):
        pass


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Whatever stands in the way of writing `path` in the `with` is told by its name: a full disk tells none."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # it tells its own story
            raise
        raise OSError(error.errno, f"cannot be written ({error.strerror}); give another place", str(path)) from error


@contextmanager
def _written(path: Path, write: Callable[[Path], object]) -> Iterator[Path]:
    """A file beside `path`, on the disk, for the time of a `with`; then its folder is on the disk too."""
    partial = path.with_name(f".{path.name[:40]}.{os.getpid()}-{get_ident()}@{_HERE}.partial")
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        try:
            write(partial)
            _to_disk(partial, os.O_RDWR)
            yield partial
        finally:
            partial.unlink(missing_ok=True)
    with suppress(OSError):  # Windows, and some network file systems, have no such thing
        _to_disk(path.parent, os.O_RDONLY)


def _sweep(folder: Path) -> None:
    """Remove what killed processes of this machine were writing in a folder, once a process: it may hold many files."""
    if folder in _swept:
        return
    _swept.add(folder)
    for file in folder.glob(".*.partial"):
        found = PARTIAL.fullmatch(file.name)
        if found and found[2] == _HERE and not alive(int(found[1])):
            file.unlink(missing_ok=True)


def _to_disk(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def not_finite(state: Mapping[str, Tensor]) -> str:
    """The name of a tensor that holds a value which is not finite; empty where there is none. No such state
    is written, or read as trained."""
    return next((n for n, t in state.items() if t.is_floating_point() and not bool(t.isfinite().all())), "")


def alive(pid: int) -> bool:
    """Whether a process of this machine is at work, so that what bears its number is not left over."""
    if os.name != "posix":  # elsewhere, signal 0 is no question
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # somebody else's; or no process's number
        pass
    return True
