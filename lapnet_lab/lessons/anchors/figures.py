"""Anchor shapes (paper 3.1), how k-means finds them, and what their number is worth."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import ArrayLike

from lapnet_lab.style import BLACK, BLUE, GREY, PALETTE, VERMILLION, color, panel_row, styled

MARKERS = "os^Dv<>"


@styled
def size_plane(panels: Mapping[str, Mapping[str, ArrayLike]]) -> Figure:
    """Boxes as points (w, h) on logarithmic axes; the dashed line is the square.

    Args:
        panels: title -> name of a group -> (n, 2), (w, h) in pixels. All panels have one scale.
    """
    figure, axes = panel_row(len(panels), 4.3, 3.7)
    everything = np.concatenate([np.asarray(points) for groups in panels.values() for points in groups.values()])
    low, high = float(everything.min()) / 1.25, float(everything.max()) * 1.25
    names = list(dict.fromkeys(name for groups in panels.values() for name in groups))
    for ax, (title, groups) in zip(axes, panels.items(), strict=True):
        ax.plot([low, high], [low, high], color=GREY, ls="--", lw=1)
        for name, points in groups.items():
            w, h = np.asarray(points).T
            g = names.index(name)
            style = {"color": color(g), "ms": 3.6, "mec": "none", "alpha": 0.65, "label": name.replace("_", " ")}
            ax.plot(w, h, MARKERS[g % len(MARKERS)], **style)
        _pixel_axes(ax, low, high)
        ax.set_title(title)
        ax.legend(fontsize=8, markerscale=1.6, handlelength=1, borderpad=0, labelspacing=0.3, loc="upper left")
    axes[0].set_ylabel("height h, px")
    return figure


def _pixel_axes(ax: Axes, low: float, high: float) -> None:
    ax.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal", xlabel="width w, px")
    ticks = [tick for tick in (2, 5, 10, 20, 50, 100, 200, 500) if low < tick < high]
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks(ticks, [str(tick) for tick in ticks])
        axis.set_minor_locator(NullLocator())  # or it labels minor ticks, too


@styled
def distance_plane(
    axis: ArrayLike, maps: Mapping[str, ArrayLike], levels: Mapping[str, Sequence[float]], references: ArrayLike
) -> Figure:
    """Lines of equal distance about some reference boxes, in the plane of sizes.

    Args:
        axis: (N,) widths of the columns and heights of the rows, px.
        maps: title -> (R, N, N), the distance of (h, w) from each reference.
        levels: title -> where the lines are drawn; each next one is thinner.
        references: (R, 2), (w, h) in pixels.
    """
    figure, axes = panel_row(len(maps), 4.3, 3.9)
    axis = np.asarray(axis)
    for ax, (title, distances) in zip(axes, maps.items(), strict=True):
        for r, (distance, reference) in enumerate(zip(np.asarray(distances), np.asarray(references), strict=True)):
            lines = ax.contour(axis, axis, distance, levels[title], colors=color(r), linewidths=(2.4, 1.6, 1.0))
            ax.clabel(lines, fontsize=8, fmt="%g", colors=BLACK)
            ax.plot(*reference, MARKERS[r], color=color(r), mec="black", ms=7)
        ax.set(title=title, xlabel="width w, px", aspect="equal", xlim=(0, axis[-1]), ylim=(0, axis[-1]))
    axes[0].set_ylabel("height h, px")
    return figure


@styled
def kmeans_state(
    sizes: ArrayLike,
    nearest: ArrayLike,
    paths: Sequence[ArrayLike],
    axis: ArrayLike,
    cells: ArrayLike,
    quality: ArrayLike,
    at: int,
    seeded: int,
) -> Figure:
    """One state of k-means in the plane of sizes, and the average IoU of all states.

    Args:
        sizes: (n, 2), (w, h) in pixels.
        nearest: (n,) centre of each box.
        paths: for each centre (T, 2), where it was so far; it is at the last of them.
        axis: (N,) widths and heights, px, of the map `cells`, evenly apart in their logarithm.
        cells: (N, N) number of the centre that the size (column, row) is nearest to.
        quality: (T,) average IoU of each state.
        at: the state that is shown.
        seeded: the first state with all centres.
    """
    figure = Figure(figsize=(9.2, 3.9))  # a layout that is found anew each time would make the sliders slow
    grid = figure.add_gridspec(1, 2, width_ratios=(1, 1.2), left=0.06, right=0.99, bottom=0.13, top=0.92, wspace=0.16)
    ax, curve = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    axis, sizes, nearest = np.asarray(axis), np.asarray(sizes), np.asarray(nearest)
    shades = ListedColormap(PALETTE)
    last = len(PALETTE) - 0.5
    ax.pcolormesh(axis, axis, np.asarray(cells) % len(PALETTE), cmap=shades, vmin=-0.5, vmax=last, alpha=0.28)
    ax.scatter(*sizes.T, c=nearest % len(PALETTE), cmap=shades, vmin=-0.5, vmax=last, s=9, lw=0.2, edgecolors="white")
    for j, path in enumerate(paths):
        path = np.asarray(path)
        ax.plot(*path.T, color=BLACK, lw=1, alpha=0.8)
        marker = MARKERS[(j // len(PALETTE)) % len(MARKERS)]
        ax.plot(*path[-1], marker=marker, ms=9, color=color(j), mec=BLACK, mew=1.4, ls="none")
    _pixel_axes(ax, float(axis[0]), float(axis[-1]))
    ax.set(ylabel="height h, px", title="each size in the colour of its nearest centre")
    ax.grid(visible=False)
    quality = np.asarray(quality)
    states = np.arange(len(quality))
    if seeded:
        curve.axvspan(-0.5, seeded - 0.5, color="#eeeeee", zorder=0)
        curve.text(-0.3, 1, " seeding", va="top", fontsize=9, transform=curve.get_xaxis_transform())
    curve.plot(states, quality, ".-", color=BLUE, ms=4, lw=1)
    curve.plot(states[at], quality[at], "o", color=VERMILLION, ms=9, mec=BLACK)
    curve.set(xlabel="step", title=f"average IoU: {quality[at]:.3f}", xlim=(-0.5, max(len(quality), 12)))
    return figure


@styled
def iou_curves(curves: Sequence[ArrayLike], title: str, zoom: int) -> Figure:
    """The average IoU of several runs of k-means; at the right the same from step `zoom` on, measured from each end.

    Args:
        curves: (T_s,) each, from the first state with all centres.
    """
    figure, (ax, close) = panel_row(2, 4.6, 3.2)
    for s, curve in enumerate(curves):
        values = np.asarray(curve)
        steps = np.arange(len(values))
        ax.plot(steps, values, color=color(s), lw=1.2)
        ax.plot(steps[-1], values[-1], MARKERS[s % len(MARKERS)], color=color(s), mec=BLACK, ms=5.5)
        close.plot(steps[zoom:], values[zoom:] - values[-1], color=color(s), lw=1.2)
        close.plot(steps[-1], 0, MARKERS[s % len(MARKERS)], color=color(s), mec=BLACK, ms=5.5)
    close.axhline(0, color=BLACK, lw=0.8)
    ax.set(title=title, xlabel="move", ylabel="average IoU")
    close.set(title="the same, minus the value at the end", xlabel="move")
    return figure


@styled
def values_by_class(names: Sequence[str], groups: Mapping[str, ArrayLike], label: str, title: str = "") -> Figure:
    """Values of each class on a line of its own, a marker and a colour for each group.

    Args:
        names: of the C classes.
        groups: name -> (C,), or (C, S) for several values that are drawn alike.
        label: of the axis of values.
    """
    figure, (ax,) = panel_row(1, 8.2, 0.3 * len(names) + 1.3)
    rows = np.arange(len(names))[::-1]
    for g, (name, values) in enumerate(groups.items()):
        values = np.asarray(values)
        values = values.reshape(len(names), -1)
        across = np.broadcast_to(rows[:, None], values.shape)
        style = {"color": color(g + 3), "mec": BLACK, "mew": 0.6, "ms": 7, "alpha": 0.85}
        ax.plot(values.ravel(), across.ravel(), MARKERS[g], ls="none", label=name, **style)
    ax.set_yticks(rows, [name.replace("_", " ") for name in names])
    ax.set(xlabel=label, ylim=(-0.6, len(names) - 0.4), title=title)
    if len(groups) > 1:
        figure.legend(*ax.get_legend_handles_labels(), loc="outside right center")
    return figure


@styled
def quality_by_count(
    average: Mapping[str, tuple[ArrayLike, ArrayLike]], lost: Mapping[str, tuple[ArrayLike, ArrayLike]], chosen: int
) -> Figure:
    """What the number of shapes is worth: average IoU at the left, share of lost objects at the right.

    Args:
        average: name -> (number of shapes (K,), average IoU (K,)).
        lost: name -> (number of shapes (K,), share of objects (K,), 0 to 1).
        chosen: the number that is marked, the paper's.
    """
    figure, axes = panel_row(2, 5.0, 3.5)
    for ax, curves, factor in zip(axes, (average, lost), (1, 100), strict=True):
        ax.axvline(chosen, color=GREY, ls="--", lw=1)
        for g, (name, (counts, values)) in enumerate(curves.items()):
            style = {"marker": MARKERS[g], "color": color(g + 3), "ls": ("-", "--", ":", "-.")[g % 4], "ms": 5}
            ax.plot(np.asarray(counts), factor * np.asarray(values), label=name, **style)
        ax.set(xlabel="number of shapes A")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        ax.legend(fontsize=9)
    axes[0].set(title="average IoU", ylim=(None, 1))
    axes[1].set(title="objects without an overlap above 0.5, %", ylim=(-2, None))
    return figure
