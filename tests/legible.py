"""Whether the words of a figure can be read: large enough, apart from each other, inside the figure, and of a contrast
that is measured on the pixels behind them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.text import Text

from lapnet_lab.style import PAGE, READABLE, luminance

LEAST = 7.5
"""Points; 10 pixels."""
BEHIND = 0.2
"""Part of the pixels behind a word that may be nearer to its colour than READABLE: a line that crosses it."""


def faults(figure: Figure) -> list[str]:
    """What keeps one from reading it, a line each."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer: Any = canvas.get_renderer()
    hidden = {text for ax in figure.axes for text in _beyond(ax)}
    texts = [text for text in figure.findobj(Text) if _is_drawn(text) and text not in hidden]
    shown = [(text, text.get_window_extent(renderer)) for text in texts]
    found = []
    if figure.get_figwidth() > PAGE + 0.01:
        found.append(f"{figure.get_figwidth():.1f} inches wide; {PAGE} are shown as they are")
    colours = [to_rgba(text.get_color()) for text, _ in shown]
    for text, _ in shown:
        text.set_color("none")  # a box behind it stays
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3] / 255
    for (text, box), colour in zip(shown, colours, strict=True):
        text.set_color(colour)
        rows = slice(max(0, round(len(pixels) - box.y1)), round(len(pixels) - box.y0))
        behind = pixels[rows, max(0, round(box.x0)) : round(box.x1)]
        said = text.get_text().replace("\n", " ")
        if not behind.size:
            continue
        light = luminance(behind)
        low, high = np.minimum(light, luminance(colour[:3])), np.maximum(light, luminance(colour[:3]))
        if (ratio := np.quantile((high + 0.05) / (low + 0.05), BEHIND)) < READABLE:
            found.append(f"“{said}” has a contrast of {ratio:.1f}")
        if text.get_fontsize() < LEAST:
            found.append(f"“{said}” has letters of {text.get_fontsize()} points")
        if min(box.x0, box.y0) < -2 or box.x1 > pixels.shape[1] + 2 or box.y1 > len(pixels) + 2:
            found.append(f"“{said}” is cut at the edge")
    return found


def _is_drawn(text: Text) -> bool:
    axes = text.axes
    return bool(text.get_visible() and text.get_text().strip() and (axes is None or axes.get_visible()))


def _beyond(ax: Axes) -> Iterator[Any]:
    """Labels of ticks that lie beyond the ends of an axis, or on an axis that is switched off: nobody draws them."""
    for axis in (ax.xaxis, ax.yaxis):
        placed = axis.get_transform().transform  # on a logarithmic axis ends and ticks lie by their logarithms
        low, high = sorted(placed(np.asarray(axis.get_view_interval(), dtype=float)))
        slack = 1e-6 * (high - low)
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            at = placed(np.asarray([tick.get_loc()], dtype=float))[0]
            if not ax.axison or not low - slack <= at <= high + slack:
                yield from (tick.label1, tick.label2)
