"""Charts that a reader hovers over, filters by the legend and zooms into: plotly, with a still picture beside it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import ArrayLike

from lapnet_lab import alt
from lapnet_lab.static import figure_png
from lapnet_lab.style import BLACK, contrast, styled

PLOTLY = "application/vnd.plotly.v1+json"
MARKERS = {"circle": "o", "circle-open": "o", "square": "s", "diamond": "D", "triangle-up": "^", "x": "X"}
DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
WIDTH = 860
"""Pixels. Fixed, as the height is: in JupyterLab a chart of free size shrinks to nothing when a click redraws it, and
the picture that stands there until the mouse comes has the same size."""
SCREEN = 96
"""Pixels of the screen to an inch of the still picture."""
SEEN = 3.0
"""The least contrast of a mark with its ground (WCAG 1.4.11)."""


class Chart:
    """A figure of plotly, and what stands in its place: the text for strict nbval and for screen readers, and a
    picture where plotly does not run (GitHub, before the first run).

    Args:
        figure: its numbers should be rounded lists: strict nbval compares the JSON too.
        text: the numbers in a line or a few.
    """

    def __init__(self, figure: go.Figure, text: str) -> None:
        self.figure, self.text = figure, text

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        shown, picture = {**self.figure.to_plotly_json(), "config": {"displaylogo": False}}, still(self.figure)
        data = {PLOTLY: shown, "text/plain": self.text, "image/png": figure_png(picture)}
        return data, alt.metadata(alt.of(picture))


def chart(traces: Sequence[Any], *, title: str, x: str, y: str = "", height: int = 380, **layout: Any) -> go.Figure:
    """A figure in the style of the house; `layout` is plotly's, as xaxis_range or yaxis_tickvals."""
    figure = go.Figure(list(traces))
    grid = {"gridcolor": "#e6e6e6", "zerolinecolor": "#c0c0c0", "linecolor": "#c0c0c0", "automargin": True}
    figure.update_layout(
        template="none", paper_bgcolor="white", plot_bgcolor="white", height=height, width=WIDTH,
        title={"text": title, "x": 0.01, "font": {"size": 14}}, font={"size": 12, "color": BLACK},
        margin={"l": 60, "r": 20, "t": 44, "b": 52}, hovermode="closest",
        hoverlabel={"namelength": -1},  # else a name is cut after 15 letters
        xaxis={**grid, "title": {"text": x}}, yaxis={**grid, "title": {"text": y}},
    )  # fmt: skip
    figure.update_layout(**layout)
    return figure


def mark(colour: str, symbol: str, size: int = 9) -> dict[str, Any]:
    """A marker for plotly. Light colours have a dark edge, else they would hardly be seen on white."""
    edge = BLACK if contrast(colour, "white") < SEEN and not symbol.endswith("open") else colour
    return {"color": colour, "size": size, "symbol": symbol, "line": {"color": edge, "width": 1}}


def rounded(values: Any, digits: int = 4) -> list[float]:
    """To so many significant digits, so that a chart is light, and the same everywhere for strict nbval."""
    return [float(f"{float(each):.{digits - 1}e}") for each in np.ravel(values)]


def percent(values: ArrayLike) -> list[float]:
    """0 to 1 as percent with one digit."""
    return np.round(100 * np.asarray(values, dtype=float), 1).tolist()


@styled
def still(figure: go.Figure) -> Figure:
    """A picture of a chart of `scatter` traces on one pair of axes, by matplotlib; plotly's own needs a browser."""
    layout: Any = figure.layout
    size = ((layout.width or WIDTH) / SCREEN, (layout.height or 380) / SCREEN)
    picture = Figure(figsize=size, dpi=SCREEN, layout="constrained")
    ax = picture.add_subplot()
    for trace in figure.data:
        _draw(ax, trace)
    ax.set_title(_plain(layout.title.text))
    for name in ("x", "y"):
        _set_axis(ax, name, layout[f"{name}axis"])
    if any(text and not text.startswith("_") for text in ax.get_legend_handles_labels()[1]):
        ax.legend(fontsize=8.5, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return picture


def _draw(ax: Axes, trace: Any) -> None:
    if trace.type != "scatter" or trace.visible in (False, "legendonly"):
        return
    mode = trace.mode or "lines"
    color = trace.line.color or (trace.marker.color if isinstance(trace.marker.color, str) else None) or BLACK
    symbol = trace.marker.symbol or "circle"
    look = {
        "color": color,
        "ls": DASHES[trace.line.dash or "solid"] if "lines" in mode else "none",
        "marker": MARKERS[symbol] if "markers" in mode else "none",
        "mfc": "white" if symbol.endswith("open") else color,
        "mec": color if symbol.endswith("open") else trace.marker.line.color or color,
        "ms": 0.75 * (trace.marker.size if isinstance(trace.marker.size, int | float) else 6),
        "label": _plain(trace.name) if trace.name and trace.showlegend is not False else "_",
    }
    ax.errorbar(_known(trace.x), _known(trace.y), xerr=_bars(trace.error_x), yerr=_bars(trace.error_y), capsize=2.5,
                elinewidth=1.4, **look)  # fmt: skip


def _known(values: Any) -> list[Any]:
    return [np.nan if value is None else value for value in values]


def _bars(error: Any) -> Any:
    """What stands below and above."""
    if error.array is None:
        return None
    above = _known(error.array)
    return np.array([above if error.arrayminus is None else _known(error.arrayminus), above], dtype=float)


def _set_axis(ax: Axes, name: str, axis: Any) -> None:
    told: dict[str, Any] = {f"{name}label": _plain(axis.title.text)}
    if axis.type == "log":
        ax.set(**{f"{name}scale": "log"})
        (ax.xaxis if name == "x" else ax.yaxis).set_minor_locator(NullLocator())
    if axis.range is not None:
        told[f"{name}lim"] = [10**end for end in axis.range] if axis.type == "log" else list(axis.range)
    ax.set(**told)
    if axis.tickvals is not None:
        labels = [_plain(text) for text in axis.ticktext] if axis.ticktext is not None else None
        (ax.set_xticks if name == "x" else ax.set_yticks)(list(axis.tickvals), labels)
    if axis.rangemode == "tozero":
        ax.set(**{f"{name}lim": (0, None)})
    if axis.autorange == "reversed":
        (ax.invert_xaxis if name == "x" else ax.invert_yaxis)()


def _plain(text: str | None) -> str:
    """Without plotly's few tags."""
    return (text or "").replace("<br>", "\n").replace("<b>", "").replace("</b>", "")
