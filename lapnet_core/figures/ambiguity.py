"""Ambiguous anchors (fig. 5)."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from lapnet_core.figures.style import color, draw_box, panel_row, picture, styled


@styled
def ambiguity(
    image: ArrayLike, boxes: ArrayLike, panels: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike]]
) -> Figure:
    """Fig. 5 of the paper: positives as dots at their anchors' centres.

    Args:
        boxes: (G, 4) objects, each in its colour.
        panels: title -> (points (P, 2) in pixels, object of each (P,), kept (P,) bool); rejected ones are grey crosses.
    """
    figure, axes = panel_row(len(panels) + 1, 3.3, 3.5)
    boxes = np.asarray(boxes)
    picture(axes[0], image, "two people, two boxes")
    for ax, (title, (points, owner, kept)) in zip(axes[1:], panels.items(), strict=True):
        owner, kept = np.asarray(owner), np.asarray(kept, dtype=bool)
        points = np.asarray(points).astype(float).reshape(-1, 2)
        points[:, 0] += 3 * (
            owner - (len(boxes) - 1) / 2
        )  # px aside, so that two objects' anchors of one cell are both seen
        picture(ax, image, title, fade=0.45)
        ax.plot(*points[~kept].T, "x", color="#555555", ms=4, mew=1.2)
        for n in range(len(boxes)):
            ax.plot(*points[kept & (owner == n)].T, "os"[n % 2], color=color(n), mec="black", mew=0.5, ms=4.5)
    left, right = boxes[:, 0].min() - 25, boxes[:, 2].max() + 25
    for ax in axes:
        for n, box in enumerate(boxes):
            draw_box(ax, box, color(n), dashed=n % 2 == 1)
        ax.set(xlim=(left, right), ylim=(boxes[:, 3].max() + 10, boxes[:, 1].min() - 15))
    return figure
