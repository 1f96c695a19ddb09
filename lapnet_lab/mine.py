"""What the learner has written: every function that passed its check, kept in a folder, used wherever it is called.

`mine.pono` is hers where she has written one that is right, and the library's until then, so that the cells after an
exercise run in either case. Each function is a file of its own in `my_lapnet/`, with what it needs to be imported
elsewhere; an older version is kept beside a newer one.
"""

import ast
import inspect
import math
import os
import symtable
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lapnet_lab.functions import FUNCTIONS
from lapnet_lab.tries import try_out

FOLDER = "my_lapnet"
_known: dict[str, tuple[Callable[..., Any], str]] = {}
"""The functions that were asked for or kept in this session: each with whose it is."""


def folder() -> Path:
    """Where her functions are: LAPNET_MINE, else `my_lapnet` where the notebook is."""
    return Path(os.environ.get("LAPNET_MINE") or FOLDER)


def keep(name: str, function: Callable[..., Any]) -> str:
    """Take a function that passed its check into use, and write it down.

    Returns:
        Why it could not be written down, in a sentence; nothing where it could. In this session it is used anyway.
    """
    _known[name] = (function, "yours")
    try:
        text = portable(function)
        path = folder() / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            if path.read_text(encoding="utf-8") == text:
                return ""
            path.rename(_free(path))
        path.write_text(text, encoding="utf-8")
    except (OSError, TypeError, ValueError) as problem:
        return f"(It is used in this notebook, but could not be written down for the others: {problem}.)"
    return ""


def function(name: str) -> Callable[..., Any]:
    """Hers if it is right, else the library's."""
    return _find(name)[0]


def whose(name: str) -> str:
    """ "yours", "the library's", or that with the reason why a file of hers is not used."""
    return _find(name)[1]


def table() -> str:
    """Every function and whose it is."""
    width = max(map(len, FUNCTIONS))
    return "\n".join(f"{name:<{width}}  {whose(name)}" for name in FUNCTIONS)


def forget() -> None:
    """Look at the folder again."""
    _known.clear()


def __getattr__(name: str) -> Callable[..., Any]:
    if name not in FUNCTIONS:
        raise AttributeError(f'no function of the exercises is called "{name}"; there are {", ".join(FUNCTIONS)}')
    return function(name)


def write_solutions(target: Path) -> None:
    """The solutions as a learner would have written them, for the solved notebooks."""
    target.mkdir(parents=True, exist_ok=True)
    for name, exercise in FUNCTIONS.items():
        (target / f"{name}.py").write_text(portable(exercise.solution), encoding="utf-8")


def portable(function: Callable[..., Any]) -> str:
    """The text of a function and of whatever it uses of its notebook: imports, helper functions, plain constants.

    Raises:
        ValueError: it uses something that cannot be written down, by its name.
        OSError, TypeError: its text is not to be had.
    """
    imports: dict[str, None] = {}
    parts: list[str] = []
    _collect(inspect.unwrap(function), imports, parts, set())
    return "\n\n\n".join(filter(None, ["\n".join(imports), *parts])) + "\n"


def _collect(function: Callable[..., Any], imports: dict[str, None], parts: list[str], seen: set[str]) -> None:
    """Helpers first, so that the text can be run from top to bottom."""
    source = textwrap.dedent(inspect.getsource(function)).rstrip()
    seen.add(function.__name__)
    if getattr(function, "__closure__", None):
        raise ValueError("it is defined inside another function")
    for name in _names(source):
        if name in seen or name not in function.__globals__:
            continue
        seen.add(name)
        value = inspect.unwrap(function.__globals__[name])
        if isinstance(value, types.ModuleType):
            imports[f"import {value.__name__} as {name}" if name != value.__name__ else f"import {name}"] = None
        elif isinstance(value, types.FunctionType) and value.__module__ == function.__module__:
            _collect(value, imports, parts, seen)
        elif callable(value) and getattr(value, "__module__", None) not in (None, "__main__"):
            own = getattr(value, "__name__", name)
            imports[f"from {value.__module__} import {own}" + (f" as {name}" if own != name else "")] = None
        elif isinstance(value, float) and not math.isfinite(value):
            parts.append(f'{name} = float("{value}")')
        elif isinstance(value, bool | int | float | str | tuple | list):
            parts.append(f"{name} = {value!r}")
        else:
            raise ValueError(f"it uses {name}, which lives in the notebook only; hand it over as an argument")
    parts.append(source)


def _names(source: str) -> Iterator[str]:
    """Every name that a text takes from its notebook, once: no argument of its own, and no variable."""
    outside: set[str] = set()
    tables = [symtable.symtable(source, "", "exec")]
    for table in tables:
        everything = table.get_type() == "module"
        read = (symbol for symbol in table.get_symbols() if symbol.is_referenced())
        outside |= {symbol.get_name() for symbol in read if everything or symbol.is_global()}
        tables += table.get_children()
    names = (node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name))
    yield from dict.fromkeys(name for name in names if name in outside)


def _find(name: str) -> tuple[Callable[..., Any], str]:
    if name not in _known:
        _known[name] = _load(name)
    return _known[name]


def _load(name: str) -> tuple[Callable[..., Any], str]:
    """The function in the learner's folder, if it is right."""
    exercise, path = FUNCTIONS[name], folder() / f"{name}.py"
    if not path.is_file():
        return exercise.solution, "the library's"
    space: dict[str, Any] = {"__name__": f"{FOLDER}.{name}"}
    try:
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), space)
        own = space[name]
    except Exception as problem:  # a file of the learner's can be anything
        return exercise.solution, f"the library's: {path} cannot be run ({type(problem).__name__}: {problem})"
    found = try_out(exercise, own)
    if found is None:
        return own, "yours"
    why = f": {found.message}" if found.message else ""
    return exercise.solution, f"the library's: {path} is not right by now{why}"


def _free(path: Path) -> Path:
    """A name for the version before."""
    number = 1
    while (there := path.with_name(f"{path.stem}.{number}.py")).exists():
        number += 1
    return there
