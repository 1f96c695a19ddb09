"""Pictures with boxes and maps on them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from lapnet_lab.style import PAGE, add_boxes, color, panel_row, picture, styled


@styled
def draw_boxes(
    image: ArrayLike,
    boxes: ArrayLike,
    labels: ArrayLike,
    names: Sequence[str],
    scores: ArrayLike | None = None,
    title: str = "",
) -> Figure:
    """One picture with its boxes.

    Args:
        image: (3, H, W), uint8 or 0..1.
        boxes: (G, 4) `xyxy` in pixels.
        labels: (G,) indices into `names`; a class has its colour everywhere.
        scores: (G,) written behind the names.
    """
    figure, (ax,) = panel_row(1, 4.8, 4.8)
    picture(ax, image, title)
    add_boxes(ax, boxes, labels, names, scores)
    return figure


@styled
def gallery(
    images: Sequence[ArrayLike],
    rows: Mapping[str, Sequence[Mapping[str, Any]]],
    names: Sequence[str],
) -> Figure:
    """The same pictures in several rows, each row with boxes of its own: before, after, annotated.

    Args:
        images: (3, H, W) each.
        rows: title of a row -> for each image a dict with boxes (G, 4), labels (G,) and, if it has them, scores (G,).
    """
    columns = len(images)
    side = min(2.75, PAGE / columns)
    figure = Figure(figsize=(side * columns, (side + 0.2) * len(rows)), layout="constrained")
    for r, (title, found) in enumerate(rows.items()):
        for c, (image, each) in enumerate(zip(images, found, strict=True)):
            ax = figure.add_subplot(len(rows), columns, r * columns + c + 1)
            picture(ax, image, title if c == 0 else "")
            add_boxes(ax, each["boxes"], each["labels"], names, each.get("scores"), width=1.5)
    return figure


@styled
def anchor_shapes(shapes: Iterable[ArrayLike], names: Sequence[str]) -> Figure:
    """The anchors of each class, drawn about one centre at one scale.

    Args:
        shapes: (C, A, 2), (w, h) in pixels; or for each class (A_c, 2).
    """
    drawn = [np.asarray(own) for own in shapes]
    figure, axes = panel_row(len(drawn), 1.55, 2.0)
    reach = max(float(own.max()) for own in drawn) / 2 * 1.08
    for c, (ax, anchors, name) in enumerate(zip(axes, drawn, names, strict=True)):
        for w, h in anchors:
            ax.add_patch(Rectangle((-w / 2, -h / 2), w, h, fill=False, ec=color(c), lw=1.4))
        ax.set(xlim=(-reach, reach), ylim=(reach, -reach), aspect="equal", title=name.replace("_", " "))
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        ax.axhline(0, color="#e6e6e6", lw=0.8, zorder=0)
    return figure
