"""Figures of notebook 06."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from lapnet_core.data import Detection, Target
from lapnet_lab.lessons.detections.mistakes import Cost
from lapnet_lab.lessons.detections.study import (
    BINS,
    ELEVEN,
    Judged,
    Ranking,
    Spread,
    Suppression,
    at_recalls,
    envelope,
)
from lapnet_lab.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    PALETTE,
    PURPLE,
    VERMILLION,
    color,
    draw_box,
    ink,
    panel_row,
    picture,
    styled,
)

HIT, ALARM, MISSED = (BLUE, "right"), (VERMILLION, "false alarm"), (BLACK, "missed object")
"""Colour and name, in every picture."""
LINES = {"alone": (GREEN, "o", "-"), "side by side": (PURPLE, "s", "--"), "in a crowd": (BLUE, "^", ":")}
"""Colour, marker and line of a group of objects."""


@styled
def steps(image: ArrayLike, found: Sequence[Detection], names: Sequence[str]) -> Figure:
    """One picture several times, each time with other boxes, in the colours of their classes, and their number."""
    figure, axes = panel_row(len(found), 3.05, 3.35)
    for ax, one, name in zip(axes, found, names, strict=True):
        picture(ax, image, f"{name}: {len(one['scores'])}")
        for (x1, y1, x2, y2), label in zip(np.asarray(one["boxes"]), np.asarray(one["labels"]), strict=True):
            ax.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, ec=color(int(label)), lw=1.0))
    return figure


@styled
def judged_scene(
    image: ArrayLike, target: Target, every: Detection, judged: Judged, names: Sequence[str], score: float
) -> Figure:
    """A scene with what a threshold lets through, and all scores of the scene in a row for each class.

    Args:
        every: all detections of the scene; drawn into the picture is what has at least `score`.
        judged: about `every`.
    """
    figure = Figure(figsize=(9.2, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.05))
    own = np.asarray(every["scores"]) >= score
    _verdicts(left, image, target, every, judged, own)
    present = sorted({*np.asarray(every["labels"]).tolist(), *np.asarray(target["labels"]).tolist()})
    scores, hit, counted = (np.asarray(x) for x in (every["scores"], judged.hit, judged.counted))
    for row, label in enumerate(present):
        mine = np.asarray(every["labels"]) == label
        for which, marker, shade in ((mine & counted & ~hit, "x", ALARM[0]), (mine & hit, "o", HIT[0])):
            right.plot(scores[which], np.full(which.sum(), row), marker, color=shade, ms=6 if marker == "o" else 4.5)
    right.axvline(score, color=BLACK, lw=1.4)
    right.axvspan(0, score, color="#eeeeee", zorder=0)
    right.set(xlim=(0, 1.02), ylim=(len(present) - 0.5, -0.5), xlabel="score", title="all scores; hidden on grey")
    right.set_yticks(range(len(present)), [str(names[int(label)]).replace("_", " ") for label in present])
    return figure


def _verdicts(
    ax: Axes, image: ArrayLike, target: Target, found: Detection, judged: Judged, own: np.ndarray, title: str = ""
) -> None:
    """Right detections, false alarms and missed objects; `own` are the detections that are drawn."""
    picture(ax, image, title, fade=0.15)
    boxes, hit, counted, best = (np.asarray(x) for x in (found["boxes"], judged.hit, judged.counted, judged.best))
    seen = set(best[own & hit].tolist())
    for n, box in enumerate(np.asarray(target["boxes"])):
        if n not in seen and not target["difficult"][n]:
            draw_box(ax, box, MISSED[0], dashed=True, width=1.3)
    for which, (shade, _) in ((own & counted & ~hit, ALARM), (own & hit, HIT)):
        for box in boxes[which]:
            draw_box(ax, box, shade, width=1.6)
    styles = [(*HIT, "-"), (*ALARM, "-"), (*MISSED, "--")]
    ax.legend(
        handles=[Line2D([], [], color=shade, ls=line, label=name) for shade, name, line in styles],
        loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=3, handlelength=1.6, columnspacing=1.2,
    )  # fmt: skip


@styled
def crowd(
    image: ArrayLike, target: Target, found: Detection, judged: Judged,
    thresholds: Sequence[float], counted: Sequence[Suppression], now: float,
) -> Figure:  # fmt: skip
    """A crowd at one threshold of suppression, and all scenes at all of them.

    Args:
        found: what the threshold `now` leaves of the scene.
        counted: for each of the thresholds.
    """
    figure = Figure(figsize=(9.2, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
    _verdicts(left, image, target, found, judged, np.ones(len(found["scores"]), dtype=bool), "one scene")
    for name, (shade, marker, line) in LINES.items():
        right.plot(thresholds, [one.shares[name] for one in counted], color=shade, marker=marker, ls=line, label=name)
    right.plot(thresholds, [one.mean_ap for one in counted], color=BLACK, lw=2.4, label="mAP, all")
    right.axvline(now, color=GREY, lw=1.4)
    right.set(ylim=(0.3, 0.9), xlabel="IoU from which on the weaker goes", title="all scenes: objects found, and mAP")
    right.legend(ncols=2, loc="lower right", frameon=True, framealpha=1, edgecolor="none")  # the line ends behind it
    return figure


@styled
def by_hand(objects: ArrayLike, difficult: ArrayLike, boxes: ArrayLike, scores: ArrayLike) -> Figure:
    """Objects filled, detections as frames with their numbers: what is matched by hand."""
    figure = Figure(figsize=(7.4, 2.9), layout="constrained")
    ax = figure.subplots()
    objects, boxes, difficult = np.asarray(objects), np.asarray(boxes), np.asarray(difficult)
    for n, (x1, y1, x2, y2) in enumerate(objects):
        hatch = "//" if difficult[n] else ""
        ax.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fc="#dddddd", ec="white", hatch=hatch, lw=0, zorder=0))
        ax.text((x1 + x2) / 2, y2 + 4, f"object {n}" + ", difficult" * bool(difficult[n]), ha="center", va="top")
    for d, (box, score) in enumerate(zip(boxes, np.asarray(scores), strict=True)):
        draw_box(ax, box, color(d), dashed=d % 2 == 1, width=2.2)
        x, side = (box[0], "left") if d % 2 == 0 else (box[2], "right")
        own = {"facecolor": color(d), "edgecolor": "none", "pad": 1.2}
        ax.text(x, box[1] - 2, f"{d}: {score:.2f}", ha=side, va="bottom", fontsize=8.5, color=ink(color(d)), bbox=own)
    whole = np.concatenate((objects, boxes))
    ax.set(xlim=(whole[:, 0].min() - 3, whole[:, 2].max() + 3), ylim=(whole[:, 3].max() + 12, whole[:, 1].min() - 10))
    ax.set_aspect("equal")
    ax.axis("off")
    return figure


@styled
def curves(one: Ranking, score: float, name: str) -> Figure:
    """Precision over recall with its envelope, its area and the eleven points; and both over the score."""
    figure = Figure(figsize=(9.2, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    precision, recall = one.curve()
    hits, alarms = one.at(score)
    best = envelope(precision)
    x, y = (np.concatenate(([first], np.asarray(values))) for first, values in ((0.0, recall), (1.0, best)))
    y[0] = y[1] if len(y) > 1 else 0
    left.fill_between(x, y, step="pre", color=BLUE, alpha=0.15, lw=0, label="area")
    left.plot(recall, precision, color=GREY, lw=1.2, label="precision")
    left.step(x, y, where="pre", color=BLUE, label="best from here on")
    levels = np.arange(11) / 10
    left.plot(levels, at_recalls(precision, recall, ELEVEN), "o", mfc="white", mec=BLACK, ms=5, label="11 points")
    at = hits + alarms
    if at:
        left.plot(recall[at - 1], precision[at - 1], "D", color=VERMILLION, ms=8, label="at the threshold")
    left.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04), xlabel="recall", ylabel="precision", title=name)
    left.legend(fontsize=8.5)
    right.plot(one.scores, precision, color=BLUE, drawstyle="steps-post", label="precision")
    right.plot(one.scores, recall, color=PURPLE, ls="--", drawstyle="steps-post", label="recall")
    right.axvline(score, color=VERMILLION, lw=1.4)
    right.set(xlim=(0, 1), xlabel="score threshold", title="both over the threshold")
    right.legend()
    return figure


@styled
def repairs(told: Mapping[str, Cost]) -> Figure:
    """How many mistakes of each kind there are, and what mean AP would gain without them."""
    figure, (left, right) = panel_row(2, 4.6, 2.7)
    place = np.arange(len(told))
    for ax, values, form in (
        (left, [one.count for one in told.values()], "{:.0f}"), (right, [one.gain for one in told.values()], "{:+.3f}"),
    ):  # fmt: skip
        ax.barh(place, values, color=BLUE if ax is right else GREY)
        for at, value in zip(place, values, strict=True):
            ax.text(value, float(at), " " + form.format(value), va="center", fontsize=9)
        ax.set_yticks(place, list(told) if ax is left else [""] * len(told))
        ax.set(ylim=(len(told) - 0.5, -0.5), xlim=(0, 1.25 * max(*values, 1e-3)))
        ax.grid(axis="y", visible=False)
    left.set(title="how many")
    right.set(title="mAP, if these were repaired")
    return figure


@styled
def intervals(told: Mapping[str, Spread]) -> Figure:
    """Average precision of each class with the central 95 % of its draws; classes in the order given."""
    figure, (ax,) = panel_row(1, 8.2, 3.1)
    for at, one in enumerate(told.values()):
        shade = BLACK if at == len(told) - 1 else BLUE
        ax.plot([one.low, one.high], [at, at], color=shade, lw=5, alpha=0.35, solid_capstyle="butt")
        ax.plot(one.ap, at, "o", color=shade, ms=7)
    ax.set_yticks(range(len(told)), [f"{name.replace('_', ' ')}, {one.objects} objects" for name, one in told.items()])
    ax.set(ylim=(len(told) - 0.5, -0.5), xlim=(0, 1.02), xlabel="average precision; bars: 95 % of 200 draws of scenes")
    ax.grid(axis="y", visible=False)
    return figure


@styled
def meaning_of_scores(told: Mapping[str, Sequence[tuple[int, float]]]) -> Figure:
    """The share of right detections by their score, a line for each class; small dots: fewer than 10 of them."""
    figure, (ax,) = panel_row(1, 7.4, 3.5)
    middle = (np.array(BINS[:-1]) + np.minimum(BINS[1:], 1)) / 2
    ax.plot([0, 1], [0, 1], color=GREY, lw=1.2, ls=":")
    markers = "os^DvPX"
    for k, (name, own) in enumerate(told.items()):
        count, share = np.array([n for n, _ in own]), np.array([part for _, part in own], dtype=float)
        there = count > 0
        ax.plot(middle[there], share[there], color=PALETTE[k % 7], lw=1.2, label=name.replace("_", " "))
        for few, size in ((count < 10, 4), (count >= 10, 8)):
            ax.plot(middle[there & few], share[there & few], markers[k % 7], color=PALETTE[k % 7], ms=size)
    ax.set(xlim=(0, 1), ylim=(-0.04, 1.04), xlabel="score", ylabel="share that is right", title="what a score means")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
