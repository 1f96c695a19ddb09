"""Clusters and overlap maps (paper 3.2, fig. 3)."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, NullFormatter
from numpy.typing import ArrayLike

from lapnet_lab.coverage import SideBins
from lapnet_lab.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    HEAT,
    PAGE,
    PALETTE,
    PURPLE,
    SOFT,
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
def anchors_on_grid(
    image: ArrayLike,
    anchors: ArrayLike,
    drawn: Sequence[tuple[int, Sequence[int]]],
    titles: Sequence[str],
    view: View | None = None,
) -> Figure:
    """Fig. 3b: one panel for each anchor shape, with the cells' centres and some of the anchors.

    Args:
        anchors: (K, H, W, 4) `xyxy`, every anchor of each shape.
        drawn: for each shape a row of cells, and the columns whose anchors are drawn; the first is bold.
    """
    laid = np.asarray(anchors)
    centers = (laid[0, ..., :2] + laid[0, ..., 2:]).reshape(-1, 2) / 2
    figure, axes = panel_row(len(laid), 3.1, 3.3)
    for ax, own, (row, columns), title in zip(axes, laid, drawn, titles, strict=True):
        picture(ax, image, title, fade=0.45)
        ax.plot(*centers.T, ".", color=BLACK, ms=1.8)
        first, *others = own[row, list(columns)]
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
    side = min(3.0, (PAGE - 0.8) / maps.shape[1])
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


CRITERIA = {"AO": (VERMILLION, "o", "-"), "PONO": (BLUE, "s", "--")}
"""Colour, marker and line of the two criteria, in every figure."""
GROUPS = ((PURPLE, "o", "-"), (GREEN, "s", "--"), (BLACK, "^", ":"))
"""The same for up to three groups of objects."""


@styled
def coverage_by_side(bins: SideBins, title: str = "") -> Figure:
    """What a criterion loses, and what it pays: share of objects missed, and positives of an object, by side."""
    missed = {"AO": bins.missed_ao, "PONO": bins.missed_pono}
    positives = {"AO": bins.positives_ao, "PONO": bins.positives_pono}
    figure, (left, right) = panel_row(2, 4.6, 3.5)
    objects, place = np.asarray(bins.objects), np.arange(len(bins.objects))
    for side, (name, count) in enumerate(missed.items()):
        shade, marker, _ = CRITERIA[name]
        share, x = 100 * np.asarray(count) / np.maximum(objects, 1), place + 0.36 * side - 0.18
        left.bar(x, share, width=0.34, color=shade, hatch="//" if side else "", ec="white", label=name)
        for at, height, n in zip(x, share, np.asarray(count), strict=True):
            left.text(at, height + 1, f"{int(n)}", ha="center", fontsize=8)
        low, median, high = np.asarray(positives[name], dtype=float).T
        spread = np.stack((median - low, high - median))
        right.errorbar(x, median, yerr=spread, fmt=marker, color=shade, capsize=3, ms=6, label=name)
    left.set(ylim=(0, 112), ylabel="objects without a positive, %", title=title or "missed (bars carry the counts)")
    right.set(ylabel="positives of an object", title="positive anchors: median and quartiles")
    _counts(right)
    names = [
        f"{low:g}–{high:g}\n{n:,}" for (low, high), n in zip(pairwise(np.asarray(bins.edges)), objects, strict=True)
    ]
    for ax in (left, right):
        ax.set_xticks(place, names, fontsize=8)
        ax.set_xlabel("side √(w·h) on the network's input, px; objects below")
        ax.grid(axis="x", visible=False)
        ax.legend(loc="upper right" if ax is left else "upper left")
    return figure


@styled
def coverage_over_factor(
    factors: ArrayLike, missed: Mapping[str, ArrayLike], positives: Mapping[str, ArrayLike], xlabel: str
) -> Figure:
    """Share of objects missed, and the median of their positives, under both criteria against a factor (log axis).

    Args:
        factors: (K,).
        missed: "AO" and "PONO" -> (K,) shares, 0 to 1.
        positives: "AO" and "PONO" -> (K,) median positives of an object.
    """
    figure, (left, right) = panel_row(2, 4.6, 3.2)
    for name, shares in missed.items():
        shade, marker, line = CRITERIA[name]
        for ax, values in ((left, 100 * np.asarray(shares)), (right, positives[name])):
            ax.plot(factors, values, color=shade, marker=marker, ls=line, label=name)
    left.set(ylim=(-3, 103), ylabel="objects without a positive, %", title="missed")
    right.set(ylim=(0, None), ylabel="positives of an object, median", title="positive anchors")
    for ax in (left, right):
        ax.set(xscale="log", xlabel=xlabel)
        ax.xaxis.set_major_locator(FixedLocator(list(np.asarray(factors, dtype=float))))
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.legend()
    return figure


@styled
def coverage_over_shift(
    shifts: ArrayLike, best_iou: ArrayLike, positives: Mapping[str, ArrayLike], title: str
) -> Figure:
    """What a shift of the object within its cell does: its best IoU, and its positives under both criteria.

    Args:
        shifts: (S,) pixels from the centre of a cell.
        best_iou: (S,) with the best anchor.
        positives: "AO" and "PONO" -> (S,) positive anchors.
    """
    figure, (left, right) = panel_row(2, 4.6, 3.2)
    left.plot(shifts, best_iou, color=VERMILLION, marker="o")
    left.axhline(0.5, color=GREY, lw=1.2, ls=":")
    left.text(np.asarray(shifts)[-1], 0.5, "AO's threshold", ha="right", va="bottom", fontsize=8.5, color=SOFT)
    left.set(ylim=(0, 1.05), ylabel="IoU with the best anchor", title=title)
    for name, counts in positives.items():
        shade, marker, line = CRITERIA[name]
        right.plot(shifts, counts, color=shade, marker=marker, ls=line, label=name)
    right.set(ylim=(-0.4, None), ylabel="positives", title="positive anchors")
    right.legend()
    for ax in (left, right):
        ax.set_xlabel("shift from the centre of a cell, px")
    return figure


@styled
def coverage_over_threshold(
    thresholds: ArrayLike,
    missed: Mapping[str, ArrayLike],
    positives: Mapping[str, ArrayLike],
    reference: Mapping[str, float],
) -> Figure:
    """What AO would lose and pay under other thresholds, by groups of objects.

    Args:
        thresholds: (T,) on the IoU.
        missed: group -> (T,) shares, 0 to 1.
        positives: group -> (T,) median positives of an object.
        reference: group -> its median positives under PONO, drawn as a level line.
    """
    figure, (left, right) = panel_row(2, 4.6, 3.4)
    for (name, shares), (shade, marker, line) in zip(missed.items(), GROUPS, strict=False):
        left.plot(thresholds, 100 * np.asarray(shares), color=shade, marker=marker, ls=line, label=name)
        right.plot(thresholds, positives[name], color=shade, marker=marker, ls=line, label=name)
        right.axhline(reference[name], color=shade, lw=1.0, ls=line, alpha=0.7)
        right.text(np.asarray(thresholds)[-1], reference[name], "PONO", color=SOFT, fontsize=8, va="bottom", ha="right")
    left.set(ylim=(-3, 103), ylabel="objects without a positive, %", title="missed by AO")
    right.set(ylabel="positives of an object, median", title="positive anchors")
    _counts(right)
    for ax in (left, right):
        ax.axvline(0.5, color=GREY, lw=1.2, ls=":", zorder=0)
        ax.set_xlabel("threshold of AO")
    left.legend()
    return figure


@styled
def iou_of_positives(ious: Mapping[str, ArrayLike]) -> Figure:
    """The plain IoU of the anchors that are positive under PONO, by groups of objects.

    Args:
        ious: group -> (P,) IoU of each positive with its object.
    """
    figure, (ax,) = panel_row(1, 7.4, 3.1)
    edges = np.linspace(0, 1, 21)
    for (name, own), (shade, _, line) in zip(ious.items(), GROUPS, strict=False):
        share = np.histogram(np.asarray(own), edges)[0] / max(1, len(np.asarray(own)))
        ax.stairs(100 * share, edges, color=shade, ls=line, lw=2, label=name)
    ax.axvline(0.5, color=GREY, lw=1.2, ls=":", zorder=0)
    ax.text(0.505, ax.get_ylim()[1] * 0.97, "AO would keep these →", fontsize=8.5, va="top", color=SOFT)
    ax.set(xlim=(0, 1), ylabel="share of the positives, %", xlabel="IoU of the anchor with its object")
    ax.set_title("anchors with O > 0.5: how well do they overlap?")
    ax.legend()
    return figure


def _counts(ax: Axes) -> None:
    """A log axis of counts, with a place for 0, in plain numbers."""
    ax.set_yscale("symlog", linthresh=1, linscale=0.5)
    ax.set_ylim(-0.15, 1.6 * max(1, ax.dataLim.y1))
    ax.yaxis.set_major_locator(FixedLocator([0, 1, 10, 100, 1000]))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
