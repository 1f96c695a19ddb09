"""The explorer's state as one line of Python, to keep, to send to somebody and to paste back: `Explorer.state(...)`.

A line that comes back from the browser is read, never executed: the call's name and literals, nothing else.
"""

import ast
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lapnet_lab.explorer.maps import LAYERS

SIZE_RANGE = (0.25, 4.0)
"""Limits of the factor on the anchors' sides."""
MOST_OBJECTS = 200
LONGEST_LINE = 200_000
VIEW = {"label": "", "anchor": None, "layer": "pono", "threshold": 0.5, "size": 1.0}
"""How the map is looked at, with what it means to leave it out; `label` is the name of a class."""
BESIDE = ("extent", "model", "shapes", "class_names")
"""What says on which picture and anchors the objects are."""
EXAMPLE = 'Explorer.state(boxes=[[20, 30, 90, 120]], classes=["person"])'


def line_of(values: dict[str, Any], missing: str = "") -> str:
    """The line, without what is default anyway; `missing` names, as a comment, what no line can hold."""
    told = [f"{name}={_literal(value)}" for name, value in values.items() if name not in VIEW or value != VIEW[name]]
    return f"Explorer.state({', '.join(told)})" + (f"  # {missing}" if missing else "")


def _literal(value: Any) -> str:
    """Readable, on one line, and the same when it is read again."""
    if isinstance(value, float) and value.is_integer():
        return repr(int(value))
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, str):
        return '"' + value.translate({ord('"'): '\\"', ord("\\"): "\\\\", ord("\n"): "\\n", ord("\r"): "\\r"}) + '"'
    return repr(value)


def read_line(text: str) -> dict[str, Any]:
    """The arguments of a line, unchecked.

    Raises:
        ValueError: it is something else than a call of `Explorer.state` with literals; what, in a sentence.
    """
    if len(text) > LONGEST_LINE:
        raise ValueError(f"That is no state of an explorer: it has {len(text)} characters.")
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"That is no line of Python that I can read. A state looks like this: {EXAMPLE}") from None
    if not isinstance(call, ast.Call) or ast.unparse(call.func).split(".")[-2:] != ["Explorer", "state"]:
        raise ValueError(f"That is no state of an explorer, which looks like this: {EXAMPLE}")
    if call.args or any(word.arg is None for word in call.keywords):
        raise ValueError(f"Every value of a state has its name before it, as in {EXAMPLE}")
    values: dict[str, Any] = {}
    for word in call.keywords:
        try:
            values[str(word.arg)] = ast.literal_eval(word.value)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            raise ValueError(f"{word.arg} has to be written out in numbers and names, without any computing.") from None
    return values


@dataclass(frozen=True)
class Objects:
    """Checked objects, as the traits hold them."""

    boxes: list[list[float]]
    labels: list[int]


def checked_objects(boxes: Any, classes: Any, class_names: Sequence[str], extent: Sequence[int]) -> Objects:
    """Objects that a picture of (height, width) can have.

    Args:
        classes: a name of `class_names`, or a number from 0, for each box.

    Raises:
        ValueError: which object is none, and why, in a sentence.
    """
    boxes, classes = _list(boxes, "boxes"), _list(classes, "classes")
    if len(boxes) != len(classes):
        raise ValueError(f"There are {len(boxes)} boxes, but {len(classes)} classes for them.")
    if len(boxes) > MOST_OBJECTS:
        raise ValueError(f"There are {len(boxes)} boxes; {MOST_OBJECTS} are the most.")
    height, width = extent
    for number, box in enumerate(boxes, 1):
        if not isinstance(box, list | tuple) or len(box) != 4 or not all(map(_is_number, box)):
            raise ValueError(f"Box {number} has to be four numbers, [left, top, right, bottom].")
        left, top, right, bottom = box
        if not (0 <= left < right <= width and 0 <= top < bottom <= height):
            raise ValueError(f"Box {number}, {list(box)}, has no area in the picture of {width} x {height} pixels.")
    labels = [checked_class(name, class_names) for name in classes]
    return Objects([[float(side) for side in box] for box in boxes], labels)


def checked_preset(name: Any, known: Sequence[str]) -> str:
    """A situation or a photograph that is there; empty is what was given."""
    if not isinstance(name, str) or (name and name not in known):
        raise ValueError(
            f"There is no situation {name!r} here" + (f"; there are {', '.join(known)}." if known else ".")
        )
    return name


def check_anchors(values: dict[str, Any], there: dict[str, Any]) -> None:
    """That a line knows nothing but what a state has, and is of the model or the anchors that are there.

    Raises:
        ValueError: what is the matter, in a sentence.
    """
    if unknown := set(values) - {*VIEW, *BESIDE, "boxes", "classes", "preset"}:
        raise ValueError(f"A state of the explorer has no {', '.join(sorted(unknown))}.")
    if any(name in values and values[name] != value for name, value in there.items()):
        raise ValueError("This line is of another model or other anchors. Run it in a cell: there it makes its own.")


def checked_class(name: Any, class_names: Sequence[str]) -> int:
    """The number of a class that is given by name or by number."""
    if isinstance(name, str) and name in class_names:
        return list(class_names).index(name)
    if isinstance(name, int) and not isinstance(name, bool) and 0 <= name < len(class_names):
        return name
    raise ValueError(f"There is no class {name!r} here; there are {', '.join(class_names)}.")


def checked_view(
    values: dict[str, Any], class_names: Sequence[str], per_class: int, layers: Sequence[str]
) -> dict[str, Any]:
    """Traits of `VIEW`; what is left out is the default, since a line is a whole state.

    Raises:
        ValueError: which one is wrong, in a sentence.
    """
    view = {name: values.get(name, default) for name, default in VIEW.items()}
    checks: dict[str, tuple[Callable[[Any], bool], str]] = {
        "anchor": (lambda a: a is None or (type(a) is int and 0 <= a < per_class), f"None or 0 to {per_class - 1}"),
        "layer": (lambda name: isinstance(name, str) and name in layers, f"one of {', '.join(layers)}"),
        "threshold": (lambda t: _is_number(t) and 0 <= t <= 1, "0 to 1"),
        "size": (lambda s: _is_number(s) and SIZE_RANGE[0] <= s <= SIZE_RANGE[1], "0.25 to 4"),
    }
    for name, (fits, wanted) in checks.items():
        if not fits(view[name]):
            needs = "; that map needs a trained model" if name == "layer" and view[name] in tuple(LAYERS) else ""
            raise ValueError(f"{name} is {view[name]!r}; it has to be {wanted}{needs}.")
    label = view.pop("label")  # that of the first object, where no other is named
    named = {} if label == "" else {"label": checked_class(label, class_names)}
    sizes = {name: float(view.pop(name)) for name in ("threshold", "size")}
    return {"anchor": -1 if view["anchor"] is None else view["anchor"], "layer": view["layer"], **sizes, **named}


def _list(values: Any, name: str) -> list[Any]:
    if not isinstance(values, list | tuple):
        raise ValueError(f"{name} has to be a list.")
    return list(values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
