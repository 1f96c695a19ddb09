"""Figures: each draws what it was given, keeps its inputs and the session's style as they were, and renders."""

import io
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lapnet_lab import pictures, style
from lapnet_lab.lessons.start import figures

IMAGE = torch.randint(0, 255, (3, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
BOXES = torch.tensor([[8.0, 8.0, 30.0, 40.0], [20.0, 12.0, 60.0, 60.0]])
LABELS = torch.tensor([0, 1])
NAMES = ("person", "traffic_light")
SHAPES = torch.tensor([[[8.0, 16.0], [16.0, 32.0]], [[20.0, 10.0], [40.0, 20.0]]])
MAP = torch.linspace(0, 1, 96).view(8, 12)
POINTS = torch.tensor([[12.0, 20.0], [28.0, 20.0], [36.0, 44.0]])
OWNERS, KEPT = torch.tensor([0, 0, 1]), torch.tensor([True, False, True])
LOG = [{"step": s, "loc": 1 / s, "cls": 2 / s, "overlap": 1 - 1 / s} for s in range(1, 41)]
FOUND = {"boxes": BOXES, "labels": LABELS, "scores": torch.tensor([0.9, 0.4])}
NOTHING = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
WEIGHTS = {"one": torch.rand(2, 2) + 0.1, "two": torch.rand(2, 2) + 0.1}

CASES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "boxes": (pictures.draw_boxes, (IMAGE, BOXES, LABELS, NAMES)),
    "boxes with scores": (pictures.draw_boxes, (IMAGE, BOXES, LABELS, NAMES, [0.9, 0.4], "found")),
    "no boxes": (pictures.draw_boxes, (IMAGE / 255, BOXES[:0], LABELS[:0], NAMES)),
    "gallery": (figures.gallery, ([IMAGE, IMAGE], {"before": [NOTHING, NOTHING], "after": [FOUND, NOTHING]}, NAMES)),
    "shapes": (pictures.anchor_shapes, (SHAPES, NAMES)),
    "one anchor": (figures.one_anchor, (IMAGE, (2, 3), BOXES, [0.2, 0.7], BOXES[0], 8)),
    "anchor apart": (figures.one_anchor, (IMAGE, (2, 3), BOXES[:1] + 60, [0.0], BOXES[0], 8)),
    "maps": (
        figures.map_strip,
        (IMAGE, [MAP, MAP], ("a", "b", "c"), BOXES, [POINTS, POINTS[:0]], [None, None, (0, 0, 20, 20)]),
    ),
    "maps alone": (figures.map_strip, (IMAGE, [MAP], ("a", "b"))),
    "pono": (figures.pono_story, (IMAGE, BOXES, BOXES, torch.full((8, 12), -1), MAP, MAP, POINTS[:2])),
    "ambiguity": (figures.ambiguity, (IMAGE, BOXES, {"all": (POINTS, OWNERS, KEPT), "none": (POINTS[:0], [], [])})),
    "missed": (figures.missed_by_area, ([0, 8, 16], [4, 0], [1, 0])),
    "losses": (figures.loss_curves, (LOG, 100)),
    "first losses": (figures.loss_curves, (LOG[:1],)),
    "precision": (figures.precision_by_class, (NAMES, [0.5, float("nan")], [3, 0], "mAP")),
    "weights": (figures.weights_vs_area, (SHAPES, WEIGHTS, NAMES)),
}


@pytest.mark.parametrize("name", CASES)
def test_draws_and_leaves_everything_else_alone(name: str) -> None:
    draw, arguments = CASES[name]
    tensors = [x for x in arguments if isinstance(x, torch.Tensor)]
    before, style = [x.clone() for x in tensors], dict(mpl.rcParams)
    figure = draw(*arguments)
    assert isinstance(figure, Figure)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    assert len(file.getvalue()) > 2000
    assert dict(mpl.rcParams) == style
    assert all(torch.equal(a, b) for a, b in zip(before, tensors, strict=True))


def test_boxes_are_drawn_where_they_are() -> None:
    (ax,) = pictures.draw_boxes(IMAGE, BOXES, LABELS, NAMES, [0.9, 0.4]).axes
    corners = {
        (*patch.get_xy(), patch.get_width(), patch.get_height()) for patch in ax.patches if isinstance(patch, Rectangle)
    }
    assert corners == {(8.0, 8.0, 22.0, 32.0), (20.0, 12.0, 40.0, 48.0)}
    assert [text.get_text() for text in ax.texts] == ["person 0.90", "traffic_light 0.40"]


def test_excused_anchors_are_crosses() -> None:
    axes = figures.ambiguity(IMAGE, BOXES, {"all": (POINTS, OWNERS, KEPT)}).axes
    drawn = {line.get_marker(): len(np.asarray(line.get_xdata())) for line in axes[1].lines}
    assert drawn == {"x": 1, "o": 1, "s": 1}


def test_weights_are_drawn_against_the_area() -> None:
    ax = figures.weights_vs_area(SHAPES, WEIGHTS, NAMES).axes[0]
    assert [line.get_label() for line in ax.lines] == ["person", "traffic light"]
    np.testing.assert_allclose(ax.lines[1].get_xdata(), [200, 800])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), WEIGHTS["one"][1])


def test_the_style_does_not_depend_on_the_session() -> None:
    with mpl.rc_context({"axes.titlesize": 40, "figure.dpi": 33, "figure.facecolor": "red"}):
        figure = pictures.draw_boxes(IMAGE, BOXES, LABELS, NAMES, title="x")
    assert figure.get_dpi() == style.STYLE["figure.dpi"]
    assert figure.axes[0].title.get_fontsize() == style.STYLE["axes.titlesize"]


def test_colours_start_again_after_seven() -> None:
    assert style.color(0) == style.color(7) != style.color(1)
    assert len(set(style.PALETTE)) == 7
