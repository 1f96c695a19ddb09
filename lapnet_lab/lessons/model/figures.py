"""The network looked at: its features, an anchor that is moved, what a cell sees, shifted images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from numpy.typing import ArrayLike

from lapnet_lab.style import (
    BLACK,
    BLUE,
    GREEN,
    HEAT,
    ORANGE,
    PAGE,
    PURPLE,
    VERMILLION,
    draw_box,
    panel_row,
    picture,
    styled,
)


@styled
def feature_maps(image: ArrayLike, maps: Mapping[str, ArrayLike]) -> Figure:
    """A picture and channels of some maps, each channel on a scale of its own.

    Args:
        maps: title of a row -> (K, H, W), the K channels to show.
    """
    channels = {name: np.asarray(values) for name, values in maps.items()}
    columns = max(len(values) for values in channels.values())
    side = min(1.3, PAGE / (columns + 2))
    figure = Figure(figsize=(side * (columns + 2), (side + 0.2) * len(channels)), layout="constrained")
    spec = figure.add_gridspec(len(channels), columns + 2)
    picture(figure.add_subplot(spec[:2, :2]), image, "the image")
    for row, (name, values) in enumerate(channels.items()):
        for k, channel in enumerate(values):
            ax = figure.add_subplot(spec[row, k + 2])
            ax.imshow(channel, cmap="cividis")
            ax.set_title(name if k == 0 else "", fontsize=8.5)
            ax.axis("off")
    return figure


@styled
def moved_anchor(image: ArrayLike, anchor: ArrayLike, moved: ArrayLike, box: ArrayLike, title: str = "") -> Figure:
    """An anchor, the box that offsets make of it, and the object; all `xyxy` in pixels."""
    figure, (ax,) = panel_row(1, 4.2, 4.2)
    picture(ax, image, title, fade=0.2)
    draw_box(ax, box, BLUE)
    draw_box(ax, moved, GREEN)
    looks: list[tuple[ArrayLike, dict[str, Any]]] = [(moved, {"fc": GREEN, "alpha": 0.3})]
    looks.append((anchor, {"fill": False, "ec": VERMILLION, "lw": 2, "ls": "--"}))
    for corners, look in looks:
        x1, y1, x2, y2 = (float(v) for v in np.asarray(corners))
        ax.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, **look))
    handles = [
        Patch(fill=False, ec=BLUE, lw=2, label="object"),
        Patch(fill=False, ec=VERMILLION, lw=2, ls="--", label="anchor"),
        Patch(fc=GREEN, ec=GREEN, alpha=0.5, label="predicted box"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


@styled
def receptive_field(
    image: ArrayLike, field: ArrayLike, squares: Mapping[str, float], shapes: ArrayLike, title: str = ""
) -> Figure:
    """What the central cell's scores look at; and whether the anchors fit in.

    Args:
        image: (3, H, W), of the size of the network's input.
        field: (H, W) share of each pixel, which sums to 1.
        squares: name -> side in pixels about the central cell: outermost (theoretical) first.
        shapes: (A, 2), (w, h) of a class's anchors in pixels.
    """
    figure, axes = panel_row(2, 4.5, 4.3)
    field = np.asarray(field)
    height, width = field.shape
    x, y = width // 16 * 8 + 4.0, height // 16 * 8 + 4.0
    picture(axes[0], image, title, fade=0.2)
    axes[0].imshow(np.sqrt(field / field.max()), cmap=HEAT, extent=(0, width, height, 0), alpha=0.8)
    axes[1].set(xlim=(0, width), ylim=(height, 0), aspect="equal", title="the anchors on the same cell")
    looks = [(BLACK, "-"), (VERMILLION, "--"), (ORANGE, ":")]
    reach = max([max(height, width) / 2, *(side / 2 for side in squares.values())]) * 1.04
    for ax in axes:
        for (shade, line), side in zip(looks, squares.values(), strict=False):
            ax.add_patch(Rectangle((x - side / 2, y - side / 2), side, side, fill=False, ec=shade, ls=line, lw=2))
        ax.set(xlim=(x - reach, x + reach), ylim=(y + reach, y - reach))
    for w, h in np.asarray(shapes):
        axes[1].add_patch(Rectangle((x - w / 2, y - h / 2), w, h, fill=False, ec=BLUE, lw=1))
    axes[1].set_xlabel("pixels")
    handles: list[Any] = [
        Line2D([], [], color=shade, ls=line, lw=2, label=f"{name}: {side:g} px")
        for (shade, line), (name, side) in zip(looks, squares.items(), strict=False)
    ]
    handles.append(Patch(fill=False, ec=BLUE, label="anchors"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8.5)
    return figure


@styled
def shift_curves(shifts: Sequence[int], errors: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Difference between the map of the shifted image and the shifted map; 0 is exact equivariance.

    Args:
        shifts: in pixels.
        errors: title of a panel -> name of a map -> one value for each shift.
    """
    figure, axes = panel_row(len(errors), 5.2, 3.4)
    looks = (("o", BLUE, "-"), ("s", GREEN, "--"), ("^", PURPLE, "-."), ("D", VERMILLION, "-"))
    for ax, (title, maps) in zip(axes, errors.items(), strict=True):
        for (marker, shade, line), (name, values) in zip(looks, maps.items(), strict=False):
            ax.plot(shifts, values, marker=marker, ms=4.5, ls=line, lw=1.3, color=shade, label=name)
        ax.set(
            title=title, xlabel="shift of the image, pixels", xticks=range(0, max(shifts) + 1, 8), ylim=(-0.04, None)
        )
    axes[0].set_ylabel("relative error")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(looks))
    return figure
