"""What the learner has written: every function that passed its check, kept in a folder, used wherever it is called.

`mine.pono` is hers where she has written one that is right, and the library's until then, so that the cells after an
exercise run in either case. Each function is a file of its own in `my_lapnet/`, with what it needs to be imported
elsewhere; an older version is kept beside a newer one.
"""

import ast
import functools
import inspect
import math
import os
import symtable
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lapnet_lab.functions import FUNCTIONS
from lapnet_lab.tries import try_out

FOLDER = "my_lapnet"
_known: dict[str, tuple[Callable[..., Any], str]] = {}
"""The functions that were asked for or kept in this session: each with whose it is."""


def folder() -> Path:
    """Where her functions are: LAPNET_MINE, else `my_lapnet` where the notebook is."""
    return Path(os.environ.get("LAPNET_MINE") or FOLDER)


def keep(name: str, function: Callable[..., Any]) -> str:
    """Take a function that passed its check into use, and write it down. Only a text that is right by itself replaces
    an earlier one.

    Returns:
        Why it could not be written down, in a sentence; nothing where it could. In this session it is used anyway.
    """
    _known[name] = (function, "yours")
    try:
        text = portable(function, name)
        path = folder() / f"{name}.py"
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return ""
        if why := _tried(name, text, "by itself, its text")[1]:
            raise ValueError(why)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            path.rename(_free(path))
        path.write_text(text, encoding="utf-8")
    except Exception as problem:  # what a learner hands in can be anything
        why = str(problem).rstrip(".")
        return f"(It is used in this notebook, but could not be written down for the others: {why}.)"
    return ""


def function(name: str) -> Callable[..., Any]:
    """Hers if it is right, else the library's. What hers returns is of the dtype of what it was given: the checks take
    float64 and int32 as right, and torch compares and joins nothing with another dtype."""
    found, whose = _find(name)
    return _of_one_dtype(found) if whose == "yours" else found


def _of_one_dtype(own: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(own)
    def fitting(*given: Any) -> Any:
        result = own(*given)
        if not isinstance(result, Tensor) or result.dtype == torch.bool:
            return result
        if not result.is_floating_point():
            return result.to(torch.int64)
        floats = (each.dtype for each in given if isinstance(each, Tensor) and each.is_floating_point())
        return result.to(next(floats, result.dtype))

    return fitting


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
        (target / f"{name}.py").write_text(portable(exercise.solution, name), encoding="utf-8")


def portable(function: Callable[..., Any], name: str) -> str:
    """The text that gives a function its name, and of whatever it uses of its notebook: imports, helper functions,
    plain constants.

    Raises:
        ValueError: it uses something that cannot be written down, by its name.
        OSError, TypeError: its text is not to be had.
    """
    inner = inspect.unwrap(function.func if isinstance(function, functools.partial) else function)
    module = getattr(inner, "__module__", None)
    if module == "__main__" and not isinstance(inner, types.FunctionType):
        raise ValueError("it is an object, which lives in the notebook only; write it with def")
    text = _Text()
    text.bind(name, function, module)
    return "\n\n\n".join(filter(None, ["\n".join(text.imports), *text.parts])) + "\n"


class _Text:
    """What is written down so far. Helpers first, so that it can be run from top to bottom."""

    def __init__(self) -> None:
        self.imports: dict[str, None] = {}
        self.parts: list[str] = []
        self.bound: dict[str, Any] = {}
        """The names that it gives, and what to."""

    def bind(self, name: str, value: Any, module: str | None) -> None:
        """Give a name to a value. What comes from the `module` of its user is written down, from others imported."""
        value = inspect.unwrap(value)
        if name in self.bound:
            if self.bound[name] is not value:  # one text has no room for both
                raise ValueError(f"it uses something else that is called {name} as well; rename one of them")
            return
        self.bound[name] = value
        if isinstance(value, types.ModuleType):
            self.imports[f"import {value.__name__} as {name}" if name != value.__name__ else f"import {name}"] = None
        elif isinstance(value, types.FunctionType) and value.__module__ == module:
            self._function(name, value)
        elif isinstance(value, functools.partial):
            self._partial(name, value, module)
        elif callable(value) and getattr(value, "__module__", None) not in (None, "__main__"):
            own = getattr(value, "__name__", name)
            self.imports[f"from {value.__module__} import {own}" + (f" as {name}" if own != name else "")] = None
        else:
            self.parts.append(f"{name} = {_constant(name, value)}")

    def _function(self, name: str, function: types.FunctionType) -> None:
        own = function.__name__
        if function.__closure__:
            raise ValueError("it is defined inside another function")
        if own not in ("<lambda>", name):
            self.bind(own, function, function.__module__)
            self.parts.append(f"{name} = {own}")
            return
        source = _lambda(function) if own != name else textwrap.dedent(inspect.getsource(function)).rstrip()
        for used in _names(source):
            if used in function.__globals__:
                self.bind(used, function.__globals__[used], function.__module__)
        self.parts.append(f"{name} = {source}" if own != name else source)

    def _partial(self, name: str, value: functools.partial[Any], module: str | None) -> None:
        own = getattr(value.func, "__name__", "")
        own = own if own.isidentifier() else f"_{name}"  # a lambda has none
        self.bind(own, value.func, module)
        self.bind("functools", functools, module)
        given = [_constant(f"an argument of {own}", each) for each in value.args]
        given += [f"{key}={_constant(key, each)}" for key, each in value.keywords.items()]
        self.parts.append(f"{name} = functools.partial({', '.join([own, *given])})")


def _lambda(function: types.FunctionType) -> str:
    """The text of a lambda alone: inspect has that of its lines, with whatever it is handed to."""
    tree = ast.parse("".join(inspect.findsource(function)[0]))
    first = function.__code__.co_firstlineno
    there = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda) and node.lineno == first]
    if len(there) != 1:
        raise ValueError("its line has more than one lambda; write it with def")
    return ast.unparse(there[0])


def _constant(name: str, value: Any) -> str:
    """A plain constant as Python writes it; numbers of numpy as Python's, since np is nothing where it is read."""
    if isinstance(value, np.generic):
        value = value.item()
    if type(value) is float and not math.isfinite(value):
        return f'float("{value}")'
    if type(value) in (bool, int, float, str):
        return repr(value)
    if isinstance(value, tuple | list):
        inside = ", ".join(_constant(name, each) for each in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' * (len(value) == 1)})"
    raise ValueError(f"it uses {name}, which lives in the notebook only; hand it over as an argument")


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
    library, path = FUNCTIONS[name].solution, folder() / f"{name}.py"
    if not path.is_file():
        return library, "the library's"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as problem:
        return library, f"the library's: {path} cannot be read ({type(problem).__name__}: {problem})"
    own, why = _tried(name, text, str(path))
    return (library, f"the library's: {why}") if why else (own, "yours")


def _tried(name: str, text: str, file: str) -> tuple[Any, str]:
    """(The function of that name in a text that is run by itself, why it is of no use; empty where it is right)."""
    space: dict[str, Any] = {"__name__": f"{FOLDER}.{name}"}
    try:
        exec(compile(text, file, "exec"), space)
        own = space[name]
    except Exception as problem:  # a file of the learner's can be anything
        return None, f"{file} cannot be run ({type(problem).__name__}: {problem})"
    found = try_out(FUNCTIONS[name], own)
    if found is None:
        return own, ""
    return None, f"{file} is not right by now" + (f": {found.message}" if found.message else "")


def _free(path: Path) -> Path:
    """A name for the version before."""
    number = 1
    while (there := path.with_name(f"{path.stem}.{number}.py")).exists():
        number += 1
    return there
