"""Whom an overlap criterion misses, and what it pays (paper 3.2)."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter
from numpy.typing import ArrayLike

from lapnet_core.figures.style import BLACK, BLUE, GREEN, GREY, PURPLE, VERMILLION, panel_row, styled

CRITERIA = {"AO": (VERMILLION, "o", "-"), "PONO": (BLUE, "s", "--")}
"""Colour, marker and line of the two criteria, in every figure."""
GROUPS = ((PURPLE, "o", "-"), (GREEN, "s", "--"), (BLACK, "^", ":"))
"""The same for up to three groups of objects."""


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


@styled
def coverage_by_side(
    edges: ArrayLike,
    objects: ArrayLike,
    missed: Mapping[str, ArrayLike],
    positives: Mapping[str, ArrayLike],
    title: str = "",
) -> Figure:
    """What a criterion loses, and what it pays: share of objects missed, and positives of an object, by side.

    Args:
        edges: (K + 1,) limits of the side in pixels.
        objects: (K,) objects in each bin.
        missed: "AO" and "PONO" -> (K,) objects without a positive.
        positives: "AO" and "PONO" -> (K, 3) lower quartile, median, upper quartile of the positives of an object.
    """
    figure, (left, right) = panel_row(2, 5.2, 3.5)
    objects, place = np.asarray(objects), np.arange(len(np.asarray(objects)))
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
    names = [f"{low:g}–{high:g}\n{n:,}" for (low, high), n in zip(pairwise(np.asarray(edges)), objects, strict=True)]
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
    figure, (left, right) = panel_row(2, 5.2, 3.2)
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
    figure, (left, right) = panel_row(2, 5.2, 3.2)
    left.plot(shifts, best_iou, color=VERMILLION, marker="o")
    left.axhline(0.5, color=GREY, lw=1.2, ls=":")
    left.text(np.asarray(shifts)[-1], 0.5, "AO's threshold", ha="right", va="bottom", fontsize=8.5, color="#555555")
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
    figure, (left, right) = panel_row(2, 5.2, 3.4)
    for (name, shares), (shade, marker, line) in zip(missed.items(), GROUPS, strict=False):
        left.plot(thresholds, 100 * np.asarray(shares), color=shade, marker=marker, ls=line, label=name)
        right.plot(thresholds, positives[name], color=shade, marker=marker, ls=line, label=name)
        right.axhline(reference[name], color=shade, lw=1.0, ls=line, alpha=0.7)
        right.text(
            np.asarray(thresholds)[-1], reference[name], "PONO", color=shade, fontsize=8, va="bottom", ha="right"
        )
    left.set(ylim=(-3, 103), ylabel="objects without a positive, %", title="missed by AO")
    right.set(ylabel="positives of an object, median", title="positive anchors")
    _counts(right)
    for ax in (left, right):
        ax.axvline(0.5, color=GREY, lw=1.2, ls=":", zorder=0)
        ax.set_xlabel("threshold of AO")
    left.legend()
    return figure


@styled
def iou_of_positives(edges: ArrayLike, shares: Mapping[str, ArrayLike]) -> Figure:
    """The plain IoU of the anchors that are positive under PONO, by groups of objects.

    Args:
        edges: (K + 1,) limits of the IoU.
        shares: group -> (K,) share of the group's positives in each bin, 0 to 1.
    """
    figure, (ax,) = panel_row(1, 7.4, 3.1)
    for (name, share), (shade, _, line) in zip(shares.items(), GROUPS, strict=False):
        ax.stairs(100 * np.asarray(share), edges, color=shade, ls=line, lw=2, label=name)
    ax.axvline(0.5, color=GREY, lw=1.2, ls=":", zorder=0)
    ax.text(0.505, ax.get_ylim()[1] * 0.97, "AO would keep these →", fontsize=8.5, va="top", color="#555555")
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
