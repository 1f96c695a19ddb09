"""The explorer where no widget can be shown: its states side by side."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from lapnet_lab.style import HEAT, PALETTE, color, draw_box, panel_row, picture, styled

OWNERS = ListedColormap(PALETTE)


@styled
def explorer_strip(
    image: ArrayLike,
    boxes: ArrayLike,
    labels: ArrayLike,
    names: Sequence[str],
    ao: ArrayLike,
    object_index: ArrayLike,
    pono: ArrayLike,
    threshold: float,
    product: ArrayLike | None = None,
    stride: int = 8,
) -> Figure:
    """Objects, AO, clusters, PONO and positives in a row, and with a trained model what AMS keeps.

    Args:
        image: (3, h, w).
        boxes: (G, 4) `xyxy` in pixels; labels (G,).
        ao, object_index, pono: (H, W), as in `widgets.maps.Maps`.
        threshold: of the positives.
        product: (H, W), O * O_hat.
        stride: pixels per cell.
    """
    ao, pono, owner = np.asarray(ao), np.asarray(pono), np.asarray(object_index)
    boxes = np.asarray(boxes, dtype=float).reshape(-1, 4)
    positive = np.where(pono > threshold, owner, -1)
    last = {"kept by AMS": np.where(np.asarray(product) > threshold, positive, -1)} if product is not None else {}
    panels = {"AO": ao, "clusters": owner, "PONO": pono, f"positives, O > {threshold:g}": positive, **last}
    figure, axes = panel_row(len(panels) + 1, 2.5, 2.7)
    height, width = np.asarray(image).shape[-2:]
    picture(axes[0], image, "objects")
    for n, (box, label) in enumerate(zip(boxes, np.asarray(labels), strict=True)):
        draw_box(axes[0], box, color(n), f"{n + 1} {names[int(label)]}", width=1.6)
    extent = (0, ao.shape[1] * stride, ao.shape[0] * stride, 0)
    heat = None
    for (title, values), ax in zip(panels.items(), axes[1:], strict=True):
        picture(ax, image, title, fade=0.3)
        if np.issubdtype(values.dtype, np.integer):  # objects, not overlaps
            owned = np.ma.masked_less(values, 0) % len(PALETTE)
            ax.imshow(owned, cmap=OWNERS, vmin=-0.5, vmax=len(PALETTE) - 0.5, extent=extent, alpha=0.75)
        else:
            heat = ax.imshow(values, cmap=HEAT, vmin=0, vmax=1, extent=extent, alpha=0.85)
        for box in boxes:
            draw_box(ax, box, "white", width=1.0)
        ax.set(xlim=(0, width), ylim=(height, 0))
    assert heat is not None  # AO is always among them
    figure.colorbar(heat, ax=axes, shrink=0.75, pad=0.01, label="overlap")
    return figure
