"""Ambiguous anchors and what AMS does with them (paper 3.3, fig. 5)."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from lapnet_lab.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    HEAT,
    ORANGE,
    PALETTE,
    PURPLE,
    SKY,
    VERMILLION,
    color,
    draw_box,
    panel_row,
    picture,
    styled,
)

MARKERS = "osD^v<>p"
KINDS = {
    "kept": ("o", GREEN),
    "returned": ("D", BLUE),
    "rejected": ("x", GREY),
    "lost": ("X", VERMILLION),
}
"""How a positive is drawn that AMS keeps or rejects; "returned" and "lost" have changed since the moment before."""


def around(boxes: ArrayLike, image: ArrayLike, margin: float = 12.0) -> tuple[float, float, float, float]:
    """The part of a picture that holds all boxes, `xyxy`; not smaller than 60 pixels a side."""
    boxes, (height, width) = np.asarray(boxes).reshape(-1, 4), np.asarray(image).shape[-2:]
    if not len(boxes):
        return 0.0, 0.0, float(width), float(height)
    low, high = boxes[:, :2].min(0) - margin, boxes[:, 2:].max(0) + margin
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, 30)
    low, high = np.maximum(middle - half, 0), np.minimum(middle + half, (width, height))
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _show(ax: Axes, view: tuple[float, float, float, float]) -> None:
    ax.set(xlim=(view[0], view[2]), ylim=(view[3], view[1]))


def _boxes(ax: Axes, boxes: np.ndarray, width: float = 1.8) -> None:
    for n, box in enumerate(boxes):
        draw_box(ax, box, color(n), dashed=n % 2 == 1, width=width)


@styled
def ambiguous_anchors(
    image: ArrayLike, boxes: ArrayLike, points: ArrayLike, owner: ArrayLike, ratio: ArrayLike, limit: float
) -> Figure:
    """The objects, their positives coloured by object, and the same positives coloured by their ambiguity ratio.

    Args:
        boxes: (G, 4) objects, `xyxy`.
        points: (P, 2) a place for each positive, in pixels.
        owner: (P,) object of each.
        ratio: (P,) in 0..1; from `limit` on a positive is ambiguous, and ringed.
    """
    boxes, points = np.asarray(boxes), np.asarray(points, dtype=float).reshape(-1, 2)
    owner, ratio = np.asarray(owner), np.asarray(ratio, dtype=float)
    figure, axes = panel_row(3, 3.5, 3.7)
    picture(axes[0], image, "(a) the objects")
    _boxes(axes[0], boxes)
    picture(axes[1], image, "(b) positives, O > 0.5, by object", fade=0.6)
    for n in range(len(boxes)):
        marker = MARKERS[(n // len(PALETTE) + n) % len(MARKERS)]
        axes[1].plot(*points[owner == n].T, marker, color=color(n), mec=BLACK, mew=0.4, ms=4)
    picture(axes[2], image, f"(c) ambiguity ratio, ringed from {limit:g}", fade=0.6)
    order = np.argsort(ratio, kind="stable")
    edges = [BLACK if value >= limit else "none" for value in ratio[order]]
    heat = axes[2].scatter(*points[order].T, c=ratio[order], cmap=HEAT, vmin=0, vmax=1, s=20, edgecolors=edges, lw=1)
    for ax in axes:
        _show(ax, around(boxes, image))
    figure.colorbar(heat, ax=axes, shrink=0.8, pad=0.01, label="second best IoU / best IoU")
    return figure


@styled
def ambiguity_shares(edges: ArrayLike, counts: ArrayLike, names: Sequence[str], shares: ArrayLike) -> Figure:
    """How common ambiguity is: the histogram of the ratio, and the ambiguous share of the positives by class.

    Args:
        edges, counts: (K + 1,) limits of the ratio and (K,) positives between them.
        names, shares: (C,) of the classes; shares in 0..1.
    """
    edges, counts, shares = np.asarray(edges), np.asarray(counts), np.asarray(shares, dtype=float)
    figure, (left, right) = panel_row(2, 4.6, 2.9)
    left.bar(edges[:-1], 100 * counts / max(1, counts.sum()), np.diff(edges), align="edge", color=SKY, ec="white")
    left.set(xlabel="ambiguity ratio", ylabel="% of the positives", title="all positives")
    order = np.argsort(shares, kind="stable")
    right.barh(range(len(shares)), 100 * shares[order], color=VERMILLION, height=0.65)
    for k, share in enumerate(100 * shares[order]):
        right.text(share + 0.15, k, f"{share:.1f}", va="center", fontsize=9)
    right.set_yticks(range(len(shares)), [names[int(c)].replace("_", " ") for c in order])
    right.set(xlabel="% ambiguous", title="by class", xlim=(0, max(1.0, 115 * shares.max())))
    right.grid(axis="y", visible=False)
    return figure


def _plane(ax: Axes, overlap: np.ndarray, fit: np.ndarray, ratio: np.ndarray, limit: float, title: str) -> None:
    """O across, O_hat up, and the border O * O_hat = 0.5 of eq. 3."""
    border = np.linspace(0.5, 1, 60)
    ax.fill_between(border, 0.5 / border, 1, color=GREEN, alpha=0.12, lw=0)
    ax.plot(border, 0.5 / border, color=BLACK, lw=1.4)
    ax.text(0.995, 0.965, "kept", ha="right", fontsize=9)
    ax.text(0.505, 0.03, "rejected", fontsize=9)
    clear = ratio < limit
    ax.plot(overlap[clear], fit[clear], "o", color=BLUE, ms=4, alpha=0.55, mew=0, label=f"ratio below {limit:g}")
    ax.plot(overlap[~clear], fit[~clear], "^", color=ORANGE, mec=BLACK, mew=0.5, ms=5.5, label="ambiguous")
    ax.set(xlim=(0.5, 1.01), ylim=(0, 1.01), xlabel="O, the overlap before (PONO)", ylabel="Ô, the fit of the answer")
    ax.set_title(title)


def _kinds(kept: np.ndarray, before: np.ndarray | None) -> dict[str, np.ndarray]:
    before = kept if before is None else before
    return {"kept": kept & before, "returned": kept & ~before, "rejected": ~kept & ~before, "lost": ~kept & before}


def _verdicts(ax: Axes, points: np.ndarray, kept: np.ndarray, before: np.ndarray | None) -> None:
    for name, which in _kinds(kept, before).items():
        marker, shade = KINDS[name]
        edge = shade if marker == "x" else BLACK
        ax.plot(*points[which].T, marker, color=shade, mec=edge, mew=1 if marker == "x" else 0.5, ms=4.5, label=name)


@styled
def ams_moments(
    image: ArrayLike, boxes: ArrayLike, points: ArrayLike, moments: Mapping[str, ArrayLike]
) -> Figure:  # fmt: skip
    """Which positives of one picture AMS keeps, at several moments of a training.

    Args:
        boxes: (G, 4) objects, `xyxy`.
        points: (P, 2) a place for each positive, in pixels.
        moments: title -> kept (P,) bool, in order; from the second on, what has changed is marked.
    """
    boxes, points = np.asarray(boxes), np.asarray(points, dtype=float).reshape(-1, 2)
    figure, axes = panel_row(len(moments), 3.0, 3.5)
    before = None
    for ax, (title, kept) in zip(axes, moments.items(), strict=True):
        kept = np.asarray(kept, dtype=bool)
        picture(ax, image, title, fade=0.55)
        for n, box in enumerate(boxes):
            draw_box(ax, box, "white", dashed=n % 2 == 1, width=1.2)
        _verdicts(ax, points, kept, before)
        _show(ax, around(boxes, image))
        before = kept
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(KINDS))
    return figure


@styled
def plane_and_picture(
    image: ArrayLike,
    boxes: ArrayLike,
    points: ArrayLike,
    overlap: ArrayLike,
    fit: ArrayLike,
    ratio: ArrayLike,
    kept: ArrayLike,
    limit: float,
    title: str,
) -> Figure:
    """The positives of one picture at one step: in the plane of O and O_hat, and where they sit."""
    boxes, points = np.asarray(boxes), np.asarray(points, dtype=float).reshape(-1, 2)
    figure, (left, right) = panel_row(2, 4.3, 3.9)
    before, after, doubt = (np.asarray(x, dtype=float) for x in (overlap, fit, ratio))
    _plane(left, before, after, doubt, limit, title)
    left.legend(loc="lower center", fontsize=8.5, ncols=2, bbox_to_anchor=(0.6, 0.0), handletextpad=0.1)
    picture(right, image, "dots: kept by AMS; crosses: rejected", fade=0.55)
    _boxes(right, boxes, 1.4)
    _verdicts(right, points, np.asarray(kept, dtype=bool), None)
    _show(right, around(boxes, image))
    return figure


@styled
def kept_and_fit(
    steps: ArrayLike, kept: Mapping[str, ArrayLike], fit: Mapping[str, ArrayLike]
) -> Figure:  # fmt: skip
    """How a training goes: the share of positives that AMS keeps, and the mean O_hat; a line for each group."""
    figure, axes = panel_row(2, 4.6, 3.2)
    titles = ("share of the positives kept by AMS", "mean Ô")
    for ax, series, title in zip(axes, (kept, fit), titles, strict=True):
        for k, (name, values) in enumerate(series.items()):
            shade = (BLUE, ORANGE, PURPLE, BLACK)[k % 4]
            ax.plot(steps, values, marker=MARKERS[k % len(MARKERS)], color=shade, ms=4, label=name)
        ax.set(title=title, xlabel="step", ylim=(0, 1))
    axes[1].legend(loc="lower right")
    return figure


@styled
def rejection_by_overlap(edges: ArrayLike, rates: Mapping[str, ArrayLike], counts: Mapping[str, ArrayLike]) -> Figure:
    """Share of positives that AMS rejects, in bins of O, a line for each degree of ambiguity.

    Args:
        edges: (K + 1,) limits of O.
        rates, counts: name -> (K,) share rejected, 0..1, and number of positives; a bin under 10 is left out.
    """
    edges = np.asarray(edges, dtype=float)
    figure, (ax,) = panel_row(1, 6.4, 3.5)
    middle = (edges[:-1] + edges[1:]) / 2
    for k, (name, values) in enumerate(rates.items()):
        enough = np.asarray(counts[name]) >= 10
        shade = (BLUE, SKY, ORANGE, VERMILLION)[k % 4]
        ax.plot(middle[enough], np.asarray(values)[enough], marker=MARKERS[k], color=shade, ms=6, label=name)
    ax.set(xlabel="O", ylabel="share rejected", ylim=(-0.02, 1.02), xlim=(edges[0], edges[-1]))
    ax.set_title("rejected by AMS, at equal O")
    ax.legend(title="ambiguity ratio", loc="lower left")
    return figure


@styled
def unlabelled_by_size(edges: ArrayLike, side: ArrayLike, without: Mapping[str, ArrayLike]) -> Figure:
    """Share of the objects of each size that have no positive label, a bar for each rule.

    Args:
        edges: (K + 1,) limits of the side, in pixels. What lies beyond the first or the last counts in the end bins.
        side: (G,) sqrt(w*h) of the objects, in pixels.
        without: name -> (G,) bool, those without a label.
    """
    edges, side = np.asarray(edges), np.asarray(side)
    bins = np.searchsorted(edges[1:-1], side)
    total = np.bincount(bins, minlength=len(edges) - 1)
    figure, (ax,) = panel_row(1, 7.4, 3.3)
    width = 0.8 / len(without)
    for k, (name, which) in enumerate(without.items()):
        counts = np.bincount(bins[np.asarray(which, dtype=bool)], minlength=len(total))
        share = 100 * counts / np.maximum(total, 1)
        place = np.arange(len(total)) + (k - (len(without) - 1) / 2) * width
        shade, hatch = ((SKY, ""), (BLUE, "//"), (ORANGE, ""), (VERMILLION, "xx"))[k % 4]
        ax.bar(place, share, width * 0.92, color=shade, hatch=hatch, ec="white", label=name)
        for x, y, n in zip(place, share, counts, strict=True):
            ax.text(x, y + 0.8, f"{int(n)}", ha="center", fontsize=7.5)
    rows = [f"{low:g} to {high:g}\n({int(n)})" for (low, high), n in zip(pairwise(edges), total, strict=True)]
    ax.set_xticks(range(len(total)), rows)
    ax.set(xlabel="side of the object, √(w·h), in pixels (objects)", ylabel="without a label, %", ylim=(0, 105))
    ax.legend(loc="upper right", fontsize=9)
    ax.grid(axis="x", visible=False)
    return figure


@styled
def approaching(
    boxes: ArrayLike, points: ArrayLike, owner: ArrayLike, ratio: ArrayLike, limit: float,
    distances: ArrayLike, shares: ArrayLike, distance: float,
) -> Figure:  # fmt: skip
    """Two objects and their positives, and the share of ambiguous ones against the distance of the two.

    Args:
        boxes: (2, 4), `xyxy`.
        points, owner, ratio: (P, 2), (P,), (P,) of the positives; ambiguous from `limit` on.
        distances, shares: (D,) pixels, and the share 0..1 at each.
        distance: where the two stand now.
    """
    boxes, points = np.asarray(boxes), np.asarray(points, dtype=float).reshape(-1, 2)
    owner, doubtful = np.asarray(owner), np.asarray(ratio) >= limit
    figure, (left, right) = panel_row(2, 4.6, 3.7)
    _boxes(left, boxes)
    for n in range(2):
        mine = owner == n
        left.plot(*points[mine & ~doubtful].T, "os"[n], color=color(n), mec=BLACK, mew=0.3, ms=3.5)
        left.plot(*points[mine & doubtful].T, "^", color=color(n), mec=BLACK, mew=1.1, ms=6)
    left.set(xlim=(36, 220), ylim=(206, 54), aspect="equal", title="the positives; triangles are ambiguous")
    left.axis("off")
    right.plot(distances, 100 * np.asarray(shares), color=GREY)
    now = float(np.interp(distance, np.asarray(distances, dtype=float), 100 * np.asarray(shares, dtype=float)))
    right.plot([distance], [now], "o", color=VERMILLION, ms=9)
    right.set(xlabel="distance of the two, px", ylabel="% of the positives", ylim=(0, 105), title="ambiguous positives")
    return figure


@styled
def blind_spot(iou: ArrayLike, overlap: ArrayLike, product: ArrayLike) -> Figure:
    """The anchor between two objects: its O, and O * O_hat for the box in the middle, against the IoU of the two.

    Args:
        iou, overlap, product: (D,) each, in 0..1, iou rising.
    """
    iou, overlap, product = (np.asarray(x, dtype=float) for x in (iou, overlap, product))
    figure, (ax,) = panel_row(1, 6.8, 3.4)
    positive, kept = overlap > 0.5, product > 0.5
    regions = ((~positive, GREY, "no positive"), (positive & ~kept, GREEN, "excused"), (kept, VERMILLION, "kept"))
    for which, shade, name in regions:
        low, high = iou[which][[0, -1]]
        ax.axvspan(low, high, color=shade, alpha=0.18, lw=0)
        ax.text((low + high) / 2, 0.06, name, ha="center")
    ax.plot(iou, overlap, "--", color=BLUE, label="O of the anchor between them")
    ax.plot(iou, product, color=BLACK, label="O · Ô, if the answer is the box between them")
    ax.axhline(0.5, color=BLACK, lw=0.8, ls=":")
    ax.set(xlim=(iou[0], iou[-1]), ylim=(0, 1.02), xlabel="IoU of the two objects", title="what eq. 3 sees of a tie")
    ax.legend(loc="upper left")
    return figure
