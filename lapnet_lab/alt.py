"""Words in a figure's place: for those who hear a notebook, and where a picture does not load.

`setup()` has them written into the metadata of every figure and picture that a notebook shows, where others look for
them.
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast
from weakref import WeakKeyDictionary

from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from lapnet_lab.static import as_png, figure_png

LONGEST = 300
"""Characters; what is longer wears out who listens."""
_MOST_LABELS = 6
_told: WeakKeyDictionary[Figure, str] = WeakKeyDictionary()


def describe(shown: Any, text: str) -> Any:
    """Say what a figure or a PIL picture shows, where what is derived would miss the point; returns it."""
    if isinstance(shown, Figure):
        _told[shown] = text
    else:
        shown.info["alt"] = text
    return shown


def of(shown: Figure | Image.Image) -> str:
    """What stands in the place of a figure or picture: what `describe` was told, or else what it holds, in words."""
    if isinstance(shown, Figure):
        return shortened(_told.get(shown) or _derived(shown))
    return shortened(str(shown.info.get("alt") or f"A picture of {shown.width} by {shown.height} pixels."))


def metadata(text: str) -> dict[str, dict[str, str]]:
    """The metadata of an output whose PNG has this text."""
    return {"image/png": {"alt": shortened(text)}}


def shortened(text: str) -> str:
    """In one line, of no more than LONGEST characters, cut between words."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1].rsplit(" ", 1)[0].rstrip(",;:") + "…"


def figure_alts(shell: Any) -> None:
    """From now on every figure and picture that a notebook shows has its text. Once for each shell."""
    formatter = shell.display_formatter.formatters["image/png"]
    for kind, own in {Figure: figure_png, Image.Image: as_png}.items():
        plain = formatter.type_printers.get(kind, own)
        if not hasattr(plain, "with_alt"):
            formatter.for_type(kind, _with_alt(plain))


def _with_alt(plain: Any) -> Any:
    def drawn(shown: Any) -> Any:
        found = plain(shown)
        png, told = found if isinstance(found, tuple) else (found, {})
        return found if png is None else (png, {**told, "alt": of(shown)})

    drawn.with_alt = True
    return drawn


def _derived(figure: Figure) -> str:
    title = cast("Any", figure)._suptitle
    parts = [text for ax in figure.axes if (text := _axes(ax))]
    alike = list(dict.fromkeys(parts))
    if len(alike) == 1 < len(parts):
        alike = [f"{len(parts)} times: {alike[0]}"]
    legends = ["colours: " + _names(legend) for legend in figure.legends if _names(legend)]
    first = [title.get_text()] if title is not None and title.get_text() else []
    return " ".join(_sentence(part) for part in [*first, *alike, *legends]) or "A figure."


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _axes(ax: Axes) -> str:
    """Title, marks, names, what is over what; empty where there is nothing, as in the axes of a colour bar."""
    title = " ".join(filter(None, (ax.get_title(loc=place) for place in ("left", "center", "right"))))
    marks = _marks(ax)
    if not (title or marks):
        return ""
    legend = ax.get_legend()
    names = _names(legend) if legend else ""
    texts = list(dict.fromkeys(filter(None, (text.get_text().strip() for text in ax.texts))))
    named = f"of {names}" if names else f"labelled {_listed(texts)}" if texts else ""
    said = " ".join(filter(None, (marks, named)))
    x, y = ax.get_xlabel(), ax.get_ylabel()
    over = f" ({y} over {x})" if x and y else f" ({x or y})" if x or y else ""
    return ": ".join(filter(None, (title, said))) + over


def _names(legend: Any) -> str:
    return _listed(text.get_text() for text in legend.get_texts())


def _listed(names: Iterable[str]) -> str:
    listed = [" ".join(name.split()) for name in names]
    return ", ".join(listed[:_MOST_LABELS]) + (" and others" if len(listed) > _MOST_LABELS else "")


def _marks(ax: Axes) -> str:
    """What kinds of marks there are, in words."""
    bars = {id(bar) for container in ax.containers for bar in container if isinstance(bar, Rectangle)}
    lines = [line for line in ax.lines if len(cast("Any", line.get_xdata()))]
    kinds: Mapping[str, bool] = {
        "a picture": any(cast("Any", image.get_array()).ndim == 3 for image in ax.images),
        "a heat map": any(cast("Any", image.get_array()).ndim == 2 for image in ax.images)
        or any(isinstance(found, QuadMesh) for found in ax.collections),
        "bars": bool(bars),
        "boxes": any(isinstance(patch, Rectangle) and id(patch) not in bars for patch in ax.patches),
        "lines": any(line.get_linestyle() not in ("None", "none", " ", "") for line in lines),
        "points": any(line.get_linestyle() in ("None", "none", " ", "") for line in lines)
        or any(isinstance(found, PathCollection) for found in ax.collections),
        "a drawing": bool(ax.patches) and not any(isinstance(patch, Rectangle) for patch in ax.patches),
    }
    return ", ".join(kind for kind, there in kinds.items() if there)
