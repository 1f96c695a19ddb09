"""What a training yields: losses, precision, balance weights (fig. 6)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import ArrayLike

from lapnet_core.figures.style import (
    BLUE,
    GREEN,
    VERMILLION,
    color,
    panel_row,
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
    for ax, (key, title, shade) in zip(axes, (*series, ("overlap", "mean Ô of the positives", GREEN)), strict=True):
        values = np.array([line[key] for line in log], dtype=float)
        ax.plot(step, values, color=shade, lw=0.8, alpha=0.4)
        window = max(1, len(values) // 10)
        if len(values) > window:
            smooth = np.convolve(values, np.ones(window) / window, "valid")
            ax.plot(step[window - 1 :], smooth, color=shade)
        ax.set(title=title, xlabel="step", xlim=(0, steps or max(step.max(initial=1), 1)))
        ax.set_ylim(0, 1 if key == "overlap" else float(np.quantile(values, 0.98)) * 1.15 + 1e-6)
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
