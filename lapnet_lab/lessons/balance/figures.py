"""Balance: how rare positives are, how weights move and settle, whose gradient it is, and Table 2b."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from numpy.typing import ArrayLike

from lapnet_lab.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    HEAT,
    ORANGE,
    SKY,
    SOFT,
    VERMILLION,
    color,
    ink,
    panel_row,
    styled,
)

MARKERS = "os^Dv<>"
LINES = ("-", "--", "-.", ":")


@styled
def positives_by_grid(counts: ArrayLike, shapes: ArrayLike, names: Sequence[str], per_grid: int) -> Figure:
    """How few anchors are positive: by class, and by grid (c, a) against the area of its anchor.

    Args:
        counts: (C, A), positives of each grid.
        shapes: (C, A, 2), (w, h) in pixels.
        per_grid: anchors of one grid, positive or not.
    """
    counts, area = np.asarray(counts), np.asarray(shapes).prod(-1)
    figure, (left, right) = panel_row(2, 5.2, 3.4)
    totals = counts.sum(1)
    order = np.argsort(totals, kind="stable")
    share = np.maximum(totals, 0.5) / (per_grid * counts.shape[1])
    left.barh(range(len(order)), share[order], color=[color(int(c)) for c in order], height=0.65)
    for k, c in enumerate(order):
        left.text(share[c] * 1.15, k, f"1 in {1 / share[c]:,.0f}" if totals[c] else "none", va="center", fontsize=8.5)
    left.set_yticks(range(len(order)), [names[int(c)].replace("_", " ") for c in order])
    left.set(xscale="log", xlim=(share.min() / 2, share.max() * 8), title="share of a class's anchors that is positive")
    left.grid(axis="y", visible=False)
    for c, name in enumerate(names):
        right.plot(area[c], np.maximum(counts[c], 0.5), marker=MARKERS[c % len(MARKERS)], ms=5, lw=1, color=color(c),
                   label=name.replace("_", " "))  # fmt: skip
    right.set(xscale="log", yscale="log", xlabel="area of the anchor, px²", title="positives of each slot (c, a)")
    _plain(right)
    if bool((counts == 0).any()):
        right.axhline(0.5, color=GREY, lw=0.8, ls=":")
        right.text(area.max(), 0.52, "none", ha="right", va="bottom", fontsize=8, color=SOFT)
    right.legend(fontsize=8, handlelength=1.2, loc="lower right", ncols=2)
    return figure


@styled
def weight_paths(
    panels: Mapping[str, Mapping[str, ArrayLike]], ylabel: str = "weight λ", rest: float | None = None
) -> Figure:
    """Weights over the steps, on a logarithmic axis; a path that ends in nan (λ below 0) is crossed out there.

    Args:
        panels: title -> label -> (T,) values.
        rest: where they should settle, drawn as a dotted line.
    """
    figure, axes = panel_row(len(panels), 5.2 if len(panels) > 1 else 7.2, 2.7)
    shades = (VERMILLION, BLUE, GREEN, ORANGE, SKY, BLACK)
    for ax, (title, paths) in zip(axes, panels.items(), strict=True):
        for k, (label, values) in enumerate(paths.items()):
            values = np.asarray(values, dtype=float)
            drawn = np.where(values > 0, values, np.nan)
            ax.plot(drawn, color=shades[k % 6], ls=LINES[k % 4], lw=2.2, label=label)
            lost = np.flatnonzero(~(values > 0))
            if len(lost):
                last = max(int(lost[0]) - 1, 0)
                ax.plot(last, values[last], "X", ms=11, color=shades[k % 6], mec="white")
                ax.annotate("next: λ < 0", (last, values[last]), (8, 8), textcoords="offset points", fontsize=8.5)
        if rest is not None:
            ax.axhline(rest, color=BLACK, lw=1, ls=":", label="λ = 1 / L")
        ax.set(yscale="log", title=title, xlabel="step", xlim=(0, None))
        ax.legend(fontsize=8.5, handlelength=2.4)
    axes[0].set_ylabel(ylabel)
    return figure


@styled
def weight_and_product(paths: Mapping[str, tuple[ArrayLike, ArrayLike]], title: str) -> Figure:
    """The weight of a grid over the steps, and its product with the loss weight, each on its own axis.

    Args:
        paths: label -> (T,) and (T,) values, as `study.Settling.grid` has them. title: of the weight.
    """
    weights, products = ({label: both[k] for label, both in paths.items()} for k in (0, 1))
    return weight_paths({title: weights, "and its product with λ": products})


@styled
def settling(lam_anchor: ArrayLike, part: ArrayLike, names: Sequence[str], columns: Sequence[str]) -> Figure:
    """The anchor weights over the steps, and what each grid adds to the loss, times C·A.

    Args:
        lam_anchor, part: (T, C, A).
        names: of the C classes. columns: of the A anchors.
    """
    figure, axes = panel_row(2, 4.6, 3.5)
    for ax, values, title in zip(
        axes, (lam_anchor, part), ("weight λ of a slot (c, a)", "its part of the loss, times C·A"), strict=True
    ):
        values = np.asarray(values, dtype=float)
        for c in range(values.shape[1]):
            for a in range(values.shape[2]):
                ax.plot(values[:, c, a], color=color(c), ls=LINES[a % 4], lw=1.5)
        ax.set(yscale="log", title=title, xlabel="step", xlim=(0, len(values) - 1))
        _plain(ax)
    axes[1].axhline(1, color=BLACK, lw=0.8)
    keys = [axes[0].plot([], [], color=color(c), lw=3, label=name)[0] for c, name in enumerate(names)]
    keys += [axes[0].plot([], [], color=GREY, ls=LINES[a % 4], label=name)[0] for a, name in enumerate(columns)]
    figure.legend(handles=keys, loc="outside right center", handlelength=2.2, fontsize=9)
    return figure


@styled
def number_tables(
    tables: Mapping[str, ArrayLike], rows: Sequence[str], columns: Sequence[str], form: str = "{:.3g}",
    logarithmic: bool = True,
) -> Figure:  # fmt: skip
    """Tables with a colour behind each number, dark for the least; each table has its own range.

    Args:
        tables: title -> (rows, columns); nan is left blank.
        form: how a number is written.
    """
    figure, axes = panel_row(len(tables), 0.85 * len(columns) + 1.2, 0.42 * len(rows) + 1.0)
    for ax, (title, numbers) in zip(axes, tables.items(), strict=True):
        numbers = np.asarray(numbers, dtype=float)
        shade = np.log(np.maximum(numbers, 1e-12)) if logarithmic else numbers
        low, high = float(np.nanmin(shade)), float(np.nanmax(shade))
        heat = ax.imshow(shade, cmap=HEAT, aspect="auto", vmin=low, vmax=max(high, low + 1e-9))
        for (r, k), number in np.ndenumerate(numbers):
            if not np.isnan(number):
                letters = ink(heat.cmap(heat.norm(shade[r, k])))
                ax.text(k, r, form.format(number), ha="center", va="center", fontsize=9.5, color=letters)
        ax.set_xticks(range(len(columns)), columns)
        ax.set_yticks(range(len(rows)), rows if ax is axes[0] else [""] * len(rows))
        ax.set_title(title)
        ax.grid(visible=False)
        ax.tick_params(length=0)
    return figure


@styled
def gradient_shares(
    rows: Sequence[str], size: ArrayLike, panels: Mapping[str, tuple[Sequence[str], ArrayLike]], title: str = ""
) -> Figure:
    """Whose gradient it is: first its size, then bars of the length 1 that are divided.

    Args:
        size: of the gradient, one for each row.
        panels: title -> (names of the K parts, (rows, K) shares that add up to 1 in each row).
    """
    size = np.asarray(size, dtype=float)
    figure, axes = panel_row(1 + len(panels), 2.3, 0.33 * len(rows) + 1.6)
    axes[0].barh(range(len(rows)), size, color=GREY, height=0.7)
    for k, value in enumerate(size):
        axes[0].text(value * 1.2, k, f"{value:.2g}", va="center", fontsize=8.5)
    axes[0].set(xscale="log", xlim=(min(size.min() / 2, 0.01), size.max() * 6), title="pull on all scores,\nR = 1")
    axes[0].xaxis.set_minor_locator(NullLocator())
    shades, hatches = (BLUE, ORANGE, GREEN, SKY), ("", "//", "..", "xx")
    for ax, (name, (parts, shares)) in zip(axes[1:], panels.items(), strict=True):
        shares = np.asarray(shares, dtype=float)
        left = np.zeros(len(rows))
        for k, part in enumerate(parts):
            ax.barh(range(len(rows)), shares[:, k], left=left, color=shades[k % 4], hatch=hatches[k % 4],
                    edgecolor="white", lw=0.6, height=0.7, label=part)  # fmt: skip
            left += shares[:, k]
        ax.set(xlim=(0, 1), title=name, xticks=(0, 0.5, 1), xticklabels=("0", "50 %", ""))  # the next 0 is too near
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.11), ncols=2, fontsize=8, handlelength=1.4)
    for ax in axes:
        ax.set_yticks(range(len(rows)), rows if ax is axes[0] else [""] * len(rows))
        ax.invert_yaxis()
        ax.grid(axis="y", visible=False)
    if title:
        figure.suptitle(title, fontsize=10.5)
    return figure


@styled
def table_2b(paper: Mapping[str, float], runs: Mapping[str, Sequence[float]], names: Mapping[str, str]) -> Figure:
    """The paper's mAP beside ours, each on its own axis, as they are measured on different data.

    Args:
        paper: balance -> mAP in percent.
        runs: balance -> mAP (0 to 1) of each of our runs; a run is a dot, the bar is their mean.
        names: balance -> how it is called, in the order of the rows.
    """
    figure, (left, right) = panel_row(2, 4.4, 0.36 * len(names) + 1.2)
    most = max((100 * ap for every in runs.values() for ap in every), default=1.0)
    left.barh(range(len(names)), [paper[key] for key in names], color=GREY, height=0.62)
    for k, key in enumerate(names):
        left.text(paper[key] + 1, k, f"{paper[key]:.1f}", va="center", fontsize=9)
        ours = 100 * np.array(runs.get(key, ()))
        if len(ours):
            right.barh(k, ours.mean(), color=SKY, height=0.62)
            right.plot(ours, np.full(len(ours), k), "o", ms=5, mfc="white", mec=BLUE)
            right.text(ours.max() + 0.03 * most, k, f"{ours.mean():.1f}", va="center", fontsize=9)
    left.set(xlim=(0, 100), xlabel="mAP, %", title="the paper: VOC 2007 test")
    right.set(xlim=(0, most * 1.2), xlabel="mAP, %", title="here: drawn scenes; a dot is a run")
    for ax, rows in ((left, list(names.values())), (right, [""] * len(names))):
        ax.set_yticks(range(len(names)), rows)
        ax.invert_yaxis()
        ax.grid(axis="y", visible=False)
    return figure


def _plain(ax: Axes) -> None:
    """1000 and 0.01, not powers of ten."""
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
