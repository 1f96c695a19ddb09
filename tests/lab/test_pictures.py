"""Pictures with boxes on them, and the style of all figures: inputs and the session's style stay as they were."""

from typing import Any

import matplotlib as mpl
import pytest
import torch
from drawing import draws_and_leaves_everything_else_alone
from matplotlib.patches import Rectangle

from lapnet_lab import pictures, style

IMAGE = torch.randint(0, 255, (3, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
BOXES = torch.tensor([[8.0, 8.0, 30.0, 40.0], [20.0, 12.0, 60.0, 60.0]])
LABELS = torch.tensor([0, 1])
NAMES = ("person", "traffic_light")
SHAPES = torch.tensor([[[8.0, 16.0], [16.0, 32.0]], [[20.0, 10.0], [40.0, 20.0]]])

CASES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "boxes": (pictures.draw_boxes, (IMAGE, BOXES, LABELS, NAMES)),
    "boxes with scores": (pictures.draw_boxes, (IMAGE, BOXES, LABELS, NAMES, [0.9, 0.4], "found")),
    "no boxes": (pictures.draw_boxes, (IMAGE / 255, BOXES[:0], LABELS[:0], NAMES)),
    "shapes": (pictures.anchor_shapes, (SHAPES, NAMES)),
}


@pytest.mark.parametrize("name", CASES)
def test_draws_and_leaves_everything_else_alone(name: str) -> None:
    draws_and_leaves_everything_else_alone(*CASES[name])


def test_boxes_are_drawn_where_they_are() -> None:
    (ax,) = pictures.draw_boxes(IMAGE, BOXES, LABELS, NAMES, [0.9, 0.4]).axes
    corners = {
        (*patch.get_xy(), patch.get_width(), patch.get_height()) for patch in ax.patches if isinstance(patch, Rectangle)
    }
    assert corners == {(8.0, 8.0, 22.0, 32.0), (20.0, 12.0, 40.0, 48.0)}
    assert [text.get_text() for text in ax.texts] == ["person 0.90", "traffic_light 0.40"]


def test_the_style_does_not_depend_on_the_session() -> None:
    with mpl.rc_context({"axes.titlesize": 40, "figure.dpi": 33, "figure.facecolor": "red"}):
        figure = pictures.draw_boxes(IMAGE, BOXES, LABELS, NAMES, title="x")
    assert figure.get_dpi() == style.STYLE["figure.dpi"]
    assert figure.axes[0].title.get_fontsize() == style.STYLE["axes.titlesize"]


def test_colours_start_again_after_seven() -> None:
    assert style.color(0) == style.color(7) != style.color(1)
    assert len(set(style.PALETTE)) == 7
