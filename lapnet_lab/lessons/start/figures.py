"""What a training yields: losses, precision, balance weights (fig. 6)."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import ArrayLike

from lapnet_lab.style import (
    BLACK,
    BLUE,
    GREEN,
    HEAT,
    PALETTE,
    VERMILLION,
    YELLOW,
    color,
    draw_box,
    panel_row,
    picture,
    stars,
    styled,
)


@styled
def loss_curves(log: Sequence[Mapping[str, Any]], steps: int | None = None) -> Figure:
    """What a training logged: the weighted losses, and O_hat, the fit of the positives.

    Args:
        log: dicts with step, loc, cls, overlap; a thin line as they are, a thick one smoothed over the last tenth.
        steps: right end of the axis, while the training still runs.
    """
    figure, axes = panel_row(3, 3.3, 2.7)
    step = np.array([line["step"] for line in log], dtype=float)
    series = (("loc", "localisation loss, eq. 5", BLUE), ("cls", "classification loss, eq. 6", VERMILLION))
    for ax, (key, title, shade) in zip(
        axes, (*series, ("predicted_iou", "mean Ô of the positives", GREEN)), strict=True
    ):
        values = np.array([line[key] for line in log], dtype=float)
        ax.plot(step, values, color=shade, lw=0.8, alpha=0.4)
        window = max(1, len(values) // 10)
        if len(values) > window:
            smooth = np.convolve(values, np.ones(window) / window, "valid")
            ax.plot(step[window - 1 :], smooth, color=shade)
        ax.set(title=title, xlabel="step", xlim=(0, steps or max(step.max(initial=1), 1)))
        ax.set_ylim(0, 1 if key == "predicted_iou" else float(np.quantile(values, 0.98)) * 1.15 + 1e-6)
    return figure


@styled
def precision_by_class(names: Sequence[str], ap: ArrayLike, objects: ArrayLike, title: str = "") -> Figure:
    """Average precision per class, the most frequent class on top.

    Args:
        ap: (C,) in 0..1; nan for a class without objects.
        objects: (C,) how many it was measured on.
    """
    ap, objects = np.nan_to_num(np.asarray(ap, dtype=float)), np.asarray(objects)
    order = np.argsort(objects, kind="stable")
    figure, (ax,) = panel_row(1, 7.0, 0.38 * len(ap) + 1)
    ax.barh(range(len(ap)), ap[order], color=BLUE, height=0.65)
    for k, c in enumerate(order):
        ax.text(float(ap[c]) + 0.01, k, f"{ap[c]:.2f}", va="center", fontsize=9)
    rows = [f"{names[int(c)].replace('_', ' ')} ({int(objects[c])})" for c in order]
    ax.set_yticks(range(len(ap)), rows)
    ax.set(xlim=(0, 1), xlabel="average precision at IoU 0.5", title=title)
    ax.grid(axis="y", visible=False)
    return figure


@styled
def weights_vs_area(shapes: ArrayLike, weights: Mapping[str, ArrayLike], names: Sequence[str]) -> Figure:
    """Fig. 6 of the paper: balance weights against the area of the anchor.

    Args:
        shapes: (C, A, 2), (w, h) in pixels.
        weights: title -> (C, A).
        names: of the C classes.
    """
    area = np.asarray(shapes).prod(-1)
    figure, axes = panel_row(len(weights), 4.9, 3.5)
    markers = "os^Dv<>"
    for ax, (title, values) in zip(axes, weights.items(), strict=True):
        values = np.asarray(values)
        for c, name in enumerate(names):
            marker = markers[c % len(markers)]
            ax.plot(area[c], values[c], marker=marker, ms=5.5, lw=1, color=color(c), label=name.replace("_", " "))
        ax.set(xscale="log", yscale="log", title=title, xlabel="area of the anchor, px²")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter(NullFormatter())
    axes[0].set_ylabel("weight λ")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", handlelength=1)
    return figure


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
    titles = ("(a) objects", "(b) some anchors", "(c) clusters", "(d) AO", "(e) PONO")
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
        ncols=4 if len(anchors) > 1 else 2,
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
