"""What every figure shares: the style, the colours, and how a picture, a box or a star is drawn.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; where two things must not be confused they also
differ in line style or marker. matplotlib is an optional dependency (`lab`), and only this package needs it.
"""

import threading
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE, BLACK = (
    "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#000000",
)  # fmt: skip
PALETTE = (ORANGE, SKY, GREEN, PURPLE, BLUE, VERMILLION, BLACK)
"""Okabe and Ito, in the order in which classes and objects take them; from the start again after seven. Without their
yellow: on white, from a projector, a line of it is not seen."""
GREY = "#8a8a8a"
SOFT = "#555555"
"""Of words beside a line or a mark; GREY is too light for letters."""
READABLE = 4.5
"""The least contrast of letters with their ground (WCAG 1.4.3)."""
PAGE = 9.2
"""Inches that JupyterLab leaves to a figure on a screen of 1366 x 768, beside the list of files. A wider one is shrunk,
letters and all."""
ALARM = ("#A64500", "#FF9A5C")
"""Vermillion, as text may be: on a light ground, on a dark one."""
RING = (BLUE, SKY)
"""Of what has the keyboard's focus: on a light ground, on a dark one."""
HEAT = "viridis"
"""Colour map of every overlap: 0 dark, 1 light, also in print."""
HEAT_RGB = [[round(255 * part) for part in mpl.colormaps[HEAT](k / 15)[:3]] for k in range(16)]
"""The same for others who draw: 16 colours from 0 to 1, [r, g, b] in 0..255."""

STYLE: dict[Any, Any] = {
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "image.interpolation": "nearest",
}

P = ParamSpec("P")
_DRAWING = threading.RLock()  # rcParams are global, and a widget may draw in a thread of its own beside a running cell


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw under STYLE, whatever the session has set."""

    @wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with _DRAWING, mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(STYLE)
            return draw(*args, **kwargs)

    return wrapper


def color(index: int) -> str:
    """Colour of a class or an object by its number."""
    return PALETTE[index % len(PALETTE)]


def contrast(one: Any, other: Any) -> float:
    """Between two colours, from 1 to 21 (WCAG 2)."""
    low, high = sorted(float(luminance(to_rgb(colour))) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def ink(ground: Any) -> str:
    """Black or white, whichever is read better on a ground: its contrast is 4.58 at least."""
    return max("black", "white", key=lambda letters: contrast(letters, ground))


def luminance(rgb: Any) -> np.ndarray:
    """Of colours (..., 3) between 0 and 1, relative to white (WCAG 2)."""
    values = np.asarray(rgb, dtype=float)
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ (0.2126, 0.7152, 0.0722))


def panel_row(count: int, width: float = 3.1, height: float = 3.3) -> tuple[Figure, list[Axes]]:
    """`count` panels in a row, each `width` x `height` inches; smaller in proportion where that is wider than PAGE."""
    fits = min(1.0, PAGE / (width * count))
    figure = Figure(figsize=(fits * width * count, fits * height), layout="constrained")
    return figure, [figure.add_subplot(1, count, k + 1) for k in range(count)]


def picture(ax: Axes, image: ArrayLike, title: str = "", fade: float = 0.0) -> None:
    """An image (3, H, W), uint8 or 0..1, without axes; `fade` mixes it with white so that what lies on it is seen."""
    pixels = np.moveaxis(np.asarray(image), 0, -1)
    pixels = pixels / 255.0 if pixels.dtype == np.uint8 else pixels
    height, width = pixels.shape[:2]
    ax.imshow(pixels * (1 - fade) + fade, extent=(0, width, height, 0))
    ax.set(xlim=(0, width), ylim=(height, 0), title=title)
    ax.axis("off")


def draw_box(ax: Axes, box: ArrayLike, edge: str, label: str = "", dashed: bool = False, width: float = 2.0) -> None:
    """One `xyxy` box in pixels, with its label on top; a white one stands on dark maps and is thin."""
    x1, y1, x2, y2 = (float(v) for v in np.asarray(box))
    lines = [(width, edge)] if edge == "white" else [(width + 1.6, "white"), (width, edge)]
    for line, line_color in lines:  # the white halo keeps a colour visible on any ground
        style = (0, (3, 1.6)) if dashed and line_color == edge else "solid"
        ax.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, ec=line_color, lw=line, ls=style))
    if label:
        (low, high), (top, bottom) = sorted(ax.get_xlim()), sorted(ax.get_ylim())
        late = x1 > low + 0.75 * (high - low)  # a name that began there would be cut at the picture's edge
        above = y1 > top + 0.06 * (bottom - top)  # one that ended above the picture would not be seen
        tag(
            ax, min(x2, high) if late else max(x1, low), y1 - 2 if above else max(y1, top), label, edge,
            va="bottom" if above else "top", ha="right" if late else "left", clip_on=True,
        )  # fmt: skip


def tag(ax: Axes, x: float, y: float, label: str, edge: str, **where: Any) -> None:
    """The name of a box in the colour of its edge; `where` as in matplotlib's `text`."""
    ground = {"facecolor": edge, "edgecolor": "none", "pad": 1.2}
    ax.text(x, y, label, fontsize=8, color=ink(edge), bbox=ground, **where)


def add_boxes(
    ax: Axes, boxes: ArrayLike, labels: ArrayLike, names: Sequence[str], scores: ArrayLike | None, width: float = 2.0
) -> None:
    ends = [""] * len(np.asarray(boxes)) if scores is None else [f" {score:.2f}" for score in np.asarray(scores)]
    for box, label, end in zip(np.asarray(boxes), np.asarray(labels), ends, strict=True):
        draw_box(ax, box, color(int(label)), f"{names[int(label)]}{end}", width=width)


def stars(ax: Axes, points: ArrayLike) -> None:
    x, y = np.asarray(points).reshape(-1, 2).T
    ax.plot(x, y, "*", ms=13, mfc=VERMILLION, mec="white", mew=1.0, ls="none")
