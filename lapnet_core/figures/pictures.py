"""Pictures with boxes and maps on them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import ArrayLike

from lapnet_core.figures.style import (
    BLACK,
    BLUE,
    HEAT,
    VERMILLION,
    YELLOW,
    add_boxes,
    draw_box,
    panel_row,
    picture,
    stars,
    styled,
)


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
    figure, (ax,) = panel_row(1, 5.2, 5.2)
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
    figure = Figure(figsize=(2.75 * columns, 2.95 * len(rows)), layout="constrained")
    for r, (title, found) in enumerate(rows.items()):
        for c, (image, each) in enumerate(zip(images, found, strict=True)):
            ax = figure.add_subplot(len(rows), columns, r * columns + c + 1)
            picture(ax, image, title if c == 0 else "")
            add_boxes(ax, each["boxes"], each["labels"], names, each.get("scores"), width=1.5)
    return figure


@styled
def one_anchor(
    image: ArrayLike, cell: tuple[int, int], anchors: ArrayLike, ious: ArrayLike, box: ArrayLike, stride: int
) -> Figure:
    """Anchors laid on a cell, one a panel, beside the object; their intersection is filled.

    Args:
        cell: (row, column).
        anchors: (K, 4) `xyxy`, all of that cell.
        ious: (K,) with the object.
        box: (4,) the object, `xyxy`.
        stride: pixels per cell.
    """
    anchors, box = np.asarray(anchors), np.asarray(box)
    figure, axes = panel_row(len(anchors))
    for ax, anchor, iou in zip(axes, anchors, np.asarray(ious), strict=True):
        picture(ax, image, f"IoU = {iou:.2f}", fade=0.25)
        low, high = np.maximum(anchor[:2], box[:2]), np.minimum(anchor[2:], box[2:])
        if (high > low).all():
            ax.add_patch(Rectangle(tuple(low), *(high - low), fc=YELLOW, ec="none", alpha=0.6))
        draw_box(ax, box, BLUE)
        draw_box(ax, anchor, VERMILLION, dashed=True)
        ax.add_patch(Rectangle((cell[1] * stride, cell[0] * stride), stride, stride, fc="white", ec=BLACK, lw=1))
    figure.legend(
        handles=[
            Patch(fill=False, ec=BLUE, lw=2, label="object"),
            Patch(fill=False, ec=VERMILLION, lw=2, ls="--", label="anchor"),
            Patch(fc=YELLOW, alpha=0.6, label="intersection"),
            Patch(fc="white", ec=BLACK, label="the cell"),
        ],
        loc="outside lower center",
        ncols=4,
    )
    return figure


@styled
def map_strip(
    image: ArrayLike,
    maps: Sequence[ArrayLike],
    titles: Sequence[str],
    boxes: ArrayLike | None = None,
    peaks: Sequence[ArrayLike] | None = None,
    views: Sequence[tuple[int, int, int, int] | None] | None = None,
) -> Figure:
    """A picture, then overlap maps over it, all on one scale from 0 to 1.

    Args:
        maps: (H, W) each, one value a cell.
        titles: of the picture and of the maps.
        boxes: (G, 4) drawn on every panel.
        peaks: for each map (K, 2), (x, y) in pixels, marked with a star.
        views: for each panel the part of the picture to show, `xyxy` in pixels; None is all of it.
    """
    figure, axes = panel_row(len(maps) + 1)
    height, width = np.asarray(image).shape[-2:]
    heat = None
    views = views or [None] * len(axes)
    for k, (ax, title, view) in enumerate(zip(axes, titles, views, strict=True)):
        picture(ax, image, title)
        if k:
            values = np.asarray(maps[k - 1])
            heat = ax.imshow(values, cmap=HEAT, vmin=0, vmax=1, extent=(0, width, height, 0), alpha=0.82)
            if peaks is not None:
                stars(ax, peaks[k - 1])
        for box in [] if boxes is None else np.asarray(boxes):
            draw_box(ax, box, "white" if k else BLUE, width=1.4)
        x1, y1, x2, y2 = view or (0, 0, width, height)
        ax.set(xlim=(x1, x2), ylim=(y2, y1))
    if heat is not None:
        figure.colorbar(heat, ax=axes, shrink=0.8, pad=0.01, label="overlap")
    return figure
