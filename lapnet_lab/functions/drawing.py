"""Where a learner's function fails, as a small figure: what should come, and beside it what came."""

from typing import Any

import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from torch import Tensor

from lapnet_lab.compare import side_by_side
from lapnet_lab.exercise import Example
from lapnet_lab.style import BLUE, GREEN, GREY, HEAT, ORANGE, VERMILLION, color, draw_box, ink, panel_row, styled

FAR = 1e4
"""Pixels; a wrong box that reaches further, or nowhere (nan), is not drawn."""
MANY = 8
"""Boxes, and rows of a map, that can be told apart in a small figure."""


def overlaps(example: Example, expected: Any, got: Any) -> Figure | None:
    """Two lists of boxes, at the pair whose IoU is most wrong."""
    a, b = example
    if not expected.numel():
        return None
    worst = int((expected - got.detach()).abs().nan_to_num(torch.inf).argmax())
    n, m = divmod(worst, len(b))
    return _overlap(a[n], b[m], f"{expected[n, m]:.3f}", f"{got[n, m]:.3f}", f"a[{n}]", f"b[{m}]")


@styled
def _overlap(a: Tensor, b: Tensor, right: str, own: str, name_a: str, name_b: str) -> Figure:
    figure, (ax,) = panel_row(1, 4.2, 3.0)
    frame(ax, torch.stack([a, b]))
    named_box(ax, a, BLUE, name_a)
    named_box(ax, b, ORANGE, name_b, dashed=True)
    ax.set_title(f"IoU {right}, yours {own}")
    return figure


def decoded(example: Example, expected: Any, got: Any) -> Figure | None:
    """Anchors, the boxes that they become, and what came instead."""
    _, anchors = example
    own = got.detach()
    if not 0 < len(anchors) <= MANY or not bool((own.abs() <= FAR).all()):
        return None
    laid = torch.cat([anchors[:, :2] - anchors[:, 2:] / 2, anchors[:, :2] + anchors[:, 2:] / 2], dim=1)
    return _decoded(laid, expected, own)


@styled
def _decoded(anchors: Tensor, expected: Tensor, got: Tensor) -> Figure:
    figure, panels = panel_row(2, 3.4, 2.8)
    for ax, title, boxes in zip(panels, ("expected", "yours"), (expected, got), strict=True):
        frame(ax, torch.cat([anchors, expected, got]))
        for k, box in enumerate(boxes):
            draw_box(ax, anchors[k], GREY, dashed=True, width=1.2)
            named_box(ax, box, color(k), str(k))
        ax.set_title(title)
    return figure


def kept(example: Example, expected: Any, got: Any) -> Figure | None:
    """The boxes with their scores; those that are kept stand out."""
    boxes, scores, threshold = example
    numbers = got.detach().long()
    if not 0 < len(boxes) <= MANY or bool(((numbers < 0) | (numbers >= len(boxes))).any()):
        return None
    return _kept(boxes, scores, threshold, (expected.tolist(), numbers.tolist()))


@styled
def _kept(boxes: Tensor, scores: Tensor, threshold: float, both: tuple[list[int], list[int]]) -> Figure:
    figure, panels = panel_row(2, 3.4, 3.0)
    for ax, title, numbers in zip(panels, ("expected", "yours"), both, strict=True):
        frame(ax, boxes)
        for k in sorted(range(len(boxes)), key=lambda n: n in numbers):
            stays = k in numbers
            edge = color(k) if stays else GREY
            name = f"{k}: {scores[k]:.2f}" if stays else ""
            named_box(ax, boxes[k], edge, name, dashed=not stays, width=2.0 if stays else 1.0)
        ax.set_title(f"{title}: {', '.join(map(str, numbers)) or 'none'} stay (threshold {threshold:g})")
    return figure


def maps(example: Example, expected: Any, got: Any) -> Figure | None:
    """The IoUs that the function is given, above both answers: columns are anchors."""
    ious, right, own = example[0], expected.double(), got.detach().double()
    if len(ious) > MANY or right.ndim != 1:
        return side_by_side(example, expected, got)
    return _maps(ious, right, own, whole=not expected.is_floating_point())


@styled
def _maps(ious: Tensor, expected: Tensor, got: Tensor, whole: bool) -> Figure:
    count, anchors = ious.shape
    figure = Figure(figsize=(max(3.4, 0.55 * anchors + 1.2), 0.42 * (count + 4) + 0.4), layout="constrained")
    grid = figure.add_gridspec(3, 1, height_ratios=[count, 1, 1])
    parts = (("IoU", ious), ("expected", expected[None]), ("yours", got[None]))
    for k, (title, values) in enumerate(parts):
        ax = figure.add_subplot(grid[k])
        owners = whole and k > 0
        if owners:  # each object its colour, nobody none
            shades = [[to_rgb(color(int(n)) if 0 <= n < count else "#e6e6e6") for n in line] for line in values]
        else:  # nan as 0
            shades = colormaps[HEAT](values.nan_to_num(0).clamp(0, 1).numpy())[..., :3]
        ax.imshow(shades, aspect="auto")
        ax.grid(visible=False)
        ax.set(xticks=[], yticks=range(len(values)))
        ax.set_yticklabels([f"object {n}" for n in range(count)] if k == 0 else [title], fontsize=8)
        for row, line in enumerate(values.tolist()):
            for column, value in enumerate(line):
                text = f"{value:.0f}" if owners else f"{value:.2f}"
                ax.text(column, row, text, ha="center", va="center", fontsize=8, color=ink(shades[row][column]))
    return figure


def sizes(example: Example, expected: Any, got: Any) -> Figure | None:
    """The sizes of the boxes, the centres, and where they should have gone and went."""
    boxes, centers = example
    if len(boxes) > 40 or not bool((got.detach().abs() <= FAR).all()):
        return None
    return _sizes(boxes, centers, expected, got.detach())


@styled
def _sizes(boxes: Tensor, centers: Tensor, expected: Tensor, got: Tensor) -> Figure:
    figure, (ax,) = panel_row(1, 4.6, 3.2)
    ax.plot(*boxes.T.tolist(), "o", color=GREY, ms=5, label="boxes")
    ax.plot(*centers.T.tolist(), "s", mfc="none", mec=BLUE, ms=8, ls="none", label="centres before")
    ax.plot(*expected.T.tolist(), "*", color=GREEN, ms=12, ls="none", label="expected")
    ax.plot(*got.T.tolist(), "x", color=VERMILLION, ms=8, mew=2, ls="none", label="yours")
    ax.set(xlabel="width, px", ylabel="height, px")
    ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def curve(example: Example, expected: Any, got: Any) -> Figure | None:
    """Precision over recall, as it is and as it is made monotone."""
    hits, num_objects = example
    return _curve(hits, num_objects, float(expected), float(got)) if len(hits) else None


@styled
def _curve(hits: Tensor, num_objects: int, expected: float, got: float) -> Figure:
    precision = hits.cumsum(0) / torch.arange(1, len(hits) + 1)
    recall = hits.cumsum(0) / num_objects
    figure, (ax,) = panel_row(1, 4.2, 3.0)
    ax.plot(recall.numpy(), precision.numpy(), "o-", color=BLUE, ms=4, lw=1.2, label="precision after each detection")
    best = precision.flip(0).cummax(0).values.flip(0)
    edges, tops = torch.cat([torch.zeros(1), recall]), torch.cat([best[:1], best])
    ax.fill_between(edges.numpy(), tops.numpy(), step="pre", color=ORANGE, alpha=0.35, label="the area")
    ax.set(xlim=(-0.03, 1.03), ylim=(0, 1.08), xlabel="recall", title=f"AP {expected:.3f}, yours {got:.3f}")
    ax.legend(fontsize=8, loc="lower left")
    return figure


def named_box(ax: Axes, box: Tensor, edge: str, name: str, dashed: bool = False, width: float = 2.0) -> None:
    """A box with its name inside, at its corner; `draw_box` sets it two pixels above, which is far off a small box."""
    draw_box(ax, box, edge, dashed=dashed, width=width)
    if name:
        place = {"xytext": (3, -3), "textcoords": "offset points", "va": "top", "fontsize": 8, "clip_on": True}
        ax.annotate(name, (float(box[0]), float(box[1])), **place)


def frame(ax: Axes, boxes: Tensor) -> None:
    """Axes in pixels, y downwards, around boxes and a little more."""
    (x1, y1), (x2, y2) = boxes[:, :2].amin(0).tolist(), boxes[:, 2:].amax(0).tolist()
    x1, x2, y1, y2 = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
    room = 0.08 * max(x2 - x1, y2 - y1, 1.0)
    ax.set(xlim=(x1 - room, x2 + room), ylim=(y2 + room, y1 - 2 * room), aspect="equal")
