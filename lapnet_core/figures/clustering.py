"""Anchor shapes (paper 3.1)."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from lapnet_core.figures.style import color, panel_row, styled


@styled
def anchor_shapes(shapes: ArrayLike, names: Sequence[str]) -> Figure:
    """The anchors of each class, drawn about one centre at one scale.

    Args:
        shapes: (C, A, 2), (w, h) in pixels.
    """
    shapes = np.asarray(shapes)
    figure, axes = panel_row(len(shapes), 1.55, 2.0)
    reach = shapes.max() / 2 * 1.08
    for c, (ax, anchors, name) in enumerate(zip(axes, shapes, names, strict=True)):
        for w, h in anchors:
            ax.add_patch(Rectangle((-w / 2, -h / 2), w, h, fill=False, ec=color(c), lw=1.4))
        ax.set(xlim=(-reach, reach), ylim=(reach, -reach), aspect="equal", title=name.replace("_", " "))
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        ax.axhline(0, color="#e6e6e6", lw=0.8, zorder=0)
    return figure
