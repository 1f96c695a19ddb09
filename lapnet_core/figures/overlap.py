"""Clusters, overlap maps, and whom they miss (paper 3.2)."""

from itertools import pairwise

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from lapnet_core.figures.style import (
    BLUE,
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
def missed_by_area(edges: ArrayLike, total: ArrayLike, missed: ArrayLike) -> Figure:
    """How many objects of each size have no positive anchor.

    Args:
        edges: (K + 1,) limits of the size classes: side sqrt(w*h) in pixels.
        total, missed: (K,) objects, and those of them without a positive.
    """
    edges, total, missed = np.asarray(edges), np.asarray(total), np.asarray(missed)
    figure, (ax,) = panel_row(1, 7.0, 2.9)
    share = 100 * missed / np.maximum(total, 1)
    ax.bar(range(len(total)), share, color=VERMILLION, width=0.7)
    for k, (value, part, whole) in enumerate(zip(share, missed, total, strict=True)):
        ax.text(k, value + 1.5, f"{int(part)} of {int(whole)}", ha="center", fontsize=8.5)
    names = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    ax.set(ylim=(0, max(20, share.max() * 1.2)), ylabel="missed, %")
    ax.set_xticks(range(len(total)), names)
    ax.set_xlabel("side of the object, √(w·h), in pixels")
    ax.set_title("objects on which no anchor has an overlap above 0.5")
    ax.grid(axis="x", visible=False)
    return figure
