"""A patient beside the library, and courses of a training."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from lapnet_lab.lessons.bug_hunt.study import Course, Maps, Suppressed
from lapnet_lab.style import color, draw_box, panel_row, picture, styled, tag

COLORS = "viridis"
LINE = 11
"""Pixels of the picture with detections that a name takes."""


@styled
def beside(maps: Maps, letter: str) -> Figure:
    """The patient's map, the library's, and the patient's positives on the picture; the best shape of each cell."""
    figure, axes = panel_row(3, 3.0, 3.2)
    height, width = maps.image.shape[1:]
    extent = (0, width, height, 0)
    shown = {f"O of patient {letter}": maps.overlap, "O of the library": maps.library}
    for ax, (title, overlap) in zip(axes[:2], shown.items(), strict=True):
        ax.imshow(np.asarray(overlap.amax(0)), vmin=0, vmax=1, cmap=COLORS, extent=extent)
        for box in maps.boxes:
            draw_box(ax, box, "white", width=1.2)
        ax.set_title(title)
        ax.axis("off")
    picture(axes[2], maps.image, f"positives of {letter}, threshold {maps.threshold:g}", fade=0.4)
    rows, columns = maps.positive.any(0).nonzero(as_tuple=True)
    axes[2].plot(np.asarray(columns) * 8 + 4, np.asarray(rows) * 8 + 4, ".", color=color(1), ms=4)
    for box in maps.boxes:
        draw_box(axes[2], box, color(0), width=1.2)
    return figure


@styled
def suppressed(found: Suppressed, names: Sequence[str]) -> Figure:
    """All detections, those that B keeps, and those that the library keeps. Boxes that nearly coincide have their
    names one above the other."""
    figure, axes = panel_row(3, 3.0, 3.0)
    every = list(range(len(found.boxes)))
    for ax, title, rows in zip(
        axes, ("detections", "kept by B", "kept by the library"), (every, found.patient, found.library), strict=True
    ):
        ax.set(xlim=(60, 210), ylim=(190, 20), aspect="equal", title=title, xticks=[], yticks=[])
        told: list[tuple[float, float]] = []  # where the names begin
        for k in sorted(rows, key=lambda k: -float(found.boxes[k, 1])):
            label, (x, y, *_) = int(found.labels[k]), found.boxes[k].tolist()
            draw_box(ax, found.boxes[k], color(label), dashed=label > 0)
            while any(abs(x - left) < 50 and abs(y - low) < LINE for left, low in told):
                y -= 1
            told.append((x, y))
            tag(ax, x, y - 2, f"{names[label]} {found.scores[k]:.2f}", color(label))
    return figure


@styled
def courses(found: Mapping[str, Sequence[float]], seen: int) -> Figure:
    """s of one slot over the steps; its last positive is marked."""
    figure, (ax,) = panel_row(1, 6.0, 2.8)
    for k, (name, values) in enumerate(found.items()):
        ax.plot(values, color=color(k), label=name, lw=2)
    ax.axvline(seen, color="#777777", lw=1, ls=":")
    ax.annotate("last positive", (seen, ax.get_ylim()[0]), xytext=(4, 4), textcoords="offset points", fontsize=8)
    ax.set(xlabel="step", ylabel="s of one slot")
    ax.legend()
    return figure


@styled
def trainings(found: Mapping[str, Course]) -> Figure:
    """Loss and predicted IoU of small trainings."""
    figure, axes = panel_row(2, 4.2, 2.8)
    for k, (name, course) in enumerate(found.items()):
        axes[0].plot(course.loss, color=color(k), label=name, lw=2)
        axes[1].plot(course.fit, color=color(k), label=name, lw=2)
    axes[0].set(xlabel="step", ylabel="loss")
    axes[1].set(xlabel="step", ylabel="mean predicted IoU", ylim=(0, 1))
    axes[1].legend()
    return figure
