"""Clusters and overlap maps (paper 3.2, fig. 3)."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from lapnet_core.figures.style import (
    BLACK,
    BLUE,
    GREY,
    HEAT,
    PALETTE,
    VERMILLION,
    color,
    draw_box,
    panel_row,
    picture,
    stars,
    styled,
)

View = tuple[int, int, int, int]
"""The part of a picture to show, `xyxy` in pixels."""


@styled
def pono_story(
    image: ArrayLike,
    boxes: ArrayLike,
    anchors: ArrayLike,
    clusters: ArrayLike,
    overlap: ArrayLike,
    pono: ArrayLike,
    peaks: ArrayLike,
) -> Figure:
    """Fig. 3 of the paper in five panels: objects, anchors, clusters, overlap (AO), normalised overlap (PONO).

    Args:
        boxes: (G, 4) objects, `xyxy`.
        anchors: (K, 4) some of the anchors, `xyxy`.
        clusters: (H, W) the object of each cell's best anchor, -1 where none.
        overlap, pono: (H, W) in 0..1.
        peaks: (G, 2) centre (x, y) of each object's best anchor, in pixels.
    """
    figure, axes = panel_row(5, 2.6, 2.9)
    boxes, clusters = np.asarray(boxes), np.asarray(clusters)
    height, width = np.asarray(image).shape[-2:]
    extent = (0.0, float(width), float(height), 0.0)
    titles = ("(a) objects", "(b) a few of the anchors", "(c) clusters", "(d) overlap, AO", "(e) PONO")
    for ax, title in zip(axes, titles, strict=True):
        picture(ax, image, title, fade=0.35 if title[1] in "bc" else 0.0)
    for n, box in enumerate(boxes):
        draw_box(axes[0], box, color(n))
    for x1, y1, x2, y2 in np.asarray(anchors):
        axes[1].add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, ec=BLUE, lw=0.8, alpha=0.8))
    owned = np.ma.masked_less(clusters, 0) % len(PALETTE)
    axes[2].imshow(owned, cmap=ListedColormap(PALETTE), vmin=-0.5, vmax=len(PALETTE) - 0.5, extent=extent, alpha=0.7)
    for ax, values in ((axes[3], overlap), (axes[4], pono)):
        heat = ax.imshow(np.asarray(values), cmap=HEAT, vmin=0, vmax=1, extent=extent, alpha=0.85)
    for ax in axes[2:]:
        for box in boxes:
            draw_box(ax, box, "white", width=1.0)
    stars(axes[4], peaks)
    figure.colorbar(heat, ax=axes, shrink=0.75, pad=0.01, label="overlap")
    return figure


@styled
def anchors_on_grid(
    image: ArrayLike,
    anchors: Sequence[ArrayLike],
    centers: ArrayLike,
    titles: Sequence[str],
    view: View | None = None,
) -> Figure:
    """Fig. 3b: one panel for each anchor shape, with the cells' centres and some of the anchors.

    Args:
        anchors: for each shape some of its anchors (K, 4), `xyxy`; the first is drawn bold.
        centers: (N, 2) every cell's centre, in pixels.
    """
    figure, axes = panel_row(len(anchors), 3.1, 3.3)
    for ax, some, title in zip(axes, anchors, titles, strict=True):
        picture(ax, image, title, fade=0.45)
        ax.plot(*np.asarray(centers).T, ".", color=BLACK, ms=1.8)
        first, *others = np.asarray(some)
        for x1, y1, x2, y2 in others:
            ax.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, ec=BLUE, lw=1.0))
        draw_box(ax, first, VERMILLION)
        _look_at(ax, view)
    return figure


@styled
def overlap_grid(
    image: ArrayLike,
    maps: ArrayLike,
    boxes: Sequence[ArrayLike],
    rows: Sequence[str],
    columns: Sequence[str],
    peaks: Sequence[ArrayLike] | None = None,
    view: View | None = None,
) -> Figure:
    """Overlap maps over a picture in R rows and K columns, all on one scale from 0 to 1.

    Args:
        maps: (R, K, H, W), one value a cell.
        boxes: for each column the objects (G, 4) drawn on it.
        peaks: for each column (P, 2), points (x, y) in pixels that get a star in every row.
    """
    maps = np.asarray(maps)
    height, width = np.asarray(image).shape[-2:]
    side = 3.0 if maps.shape[1] < 4 else 2.3
    figure = Figure(figsize=(side * maps.shape[1] + 0.8, side * maps.shape[0] + 0.3), layout="constrained")
    axes = figure.subplots(*maps.shape[:2], squeeze=False)
    heat = ScalarMappable(Normalize(0, 1), HEAT)
    for r, row in enumerate(axes):
        for k, ax in enumerate(row):
            picture(ax, image, columns[k] if r == 0 else "")
            ax.imshow(maps[r, k], cmap=HEAT, vmin=0, vmax=1, extent=(0, width, height, 0), alpha=0.85)
            for box in np.asarray(boxes[k]):
                draw_box(ax, box, "white", width=1.2)
            if peaks is not None:
                stars(ax, peaks[k])
            _look_at(ax, view)
        row[0].text(-0.04, 0.5, rows[r], rotation=90, ha="right", va="center", transform=row[0].transAxes)
    figure.colorbar(heat, ax=axes, shrink=0.8 if len(axes) == 1 else 0.5, pad=0.01, label="overlap")
    return figure


@styled
def cluster_row(
    image: ArrayLike,
    owners: ArrayLike,
    boxes: Sequence[ArrayLike],
    titles: Sequence[str],
    peaks: Sequence[ArrayLike] | None = None,
    view: View | None = None,
) -> Figure:
    """Fig. 3c: to which object each anchor belongs, one panel a map; the objects' boxes are in the same colours.

    Args:
        owners: (K, H, W) number of the object of each cell's anchor, -1 where it belongs to none.
        boxes: for each panel its objects (G, 4).
        peaks: for each panel (P, 2), points (x, y) in pixels that get a star.
    """
    owners = np.asarray(owners)
    height, width = np.asarray(image).shape[-2:]
    figure, axes = panel_row(len(owners), 3.1, 3.3)
    colors = ListedColormap(PALETTE)
    for k, (ax, owner, title) in enumerate(zip(axes, owners, titles, strict=True)):
        picture(ax, image, title, fade=0.35)
        owned = np.ma.masked_less(owner, 0) % len(PALETTE)
        ax.imshow(owned, cmap=colors, vmin=-0.5, vmax=len(PALETTE) - 0.5, extent=(0, width, height, 0), alpha=0.6)
        for n, box in enumerate(np.asarray(boxes[k])):
            draw_box(ax, box, color(n), dashed=n % 2 == 1)
        if peaks is not None:
            stars(ax, peaks[k])
        _look_at(ax, view)
    return figure


@styled
def strip(boxes: ArrayLike, anchors: ArrayLike) -> Figure:
    """Objects above, anchors below, on one row of cells: the example that is worked by hand.

    Args:
        boxes: (G, 4) objects, `xyxy`.
        anchors: (K, 4) anchors of the cells, from left to right.
    """
    boxes, anchors = np.asarray(boxes), np.asarray(anchors)
    figure = Figure(figsize=(7.2, 2.0), layout="constrained")
    ax = figure.subplots()
    for k, (x1, y1, x2, y2) in enumerate(anchors):
        ax.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fc="#f2f2f2", ec=GREY, lw=1.2))
        ax.text((x1 + x2) / 2, y2 + 1.2, f"anchor {k}", ha="center", va="top", fontsize=9)
    for n, box in enumerate(boxes):
        draw_box(ax, box, color(n), dashed=n % 2 == 1, width=2.4)
        ax.text((box[0] + box[2]) / 2, -0.6, f"object {n}", ha="center", va="bottom", fontsize=9)
    ax.set(xlim=(anchors[:, 0].min() - 1, anchors[:, 2].max() + 1), ylim=(anchors[:, 3].max() + 3.5, -3))
    ax.set_aspect("equal")
    ax.axis("off")
    return figure


def _look_at(ax: Axes, view: View | None) -> None:
    if view is not None:
        ax.set(xlim=(view[0], view[2]), ylim=(view[3], view[1]))
