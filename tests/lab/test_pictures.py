"""Pictures with boxes on them, and the style of all figures: inputs and the session's style stay as they were."""

import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
import torch
from drawing import draws_and_leaves_everything_else_alone
from legible import faults
from matplotlib.patches import Rectangle

from lapnet_lab import compare, explorer, pictures, style
from lapnet_lab.functions import drawing

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


def test_contrast_is_that_of_wcag() -> None:
    assert style.contrast("black", "white") == pytest.approx(21)
    assert style.contrast("#777777", "white") == pytest.approx(4.48, abs=0.005)  # the known example just below 4.5
    assert style.contrast("red", "blue") == style.contrast("blue", "red") == pytest.approx(2.15, abs=0.005)


def test_words_can_be_read_on_every_colour_and_map() -> None:
    for shade in (*style.PALETTE, *(f"#{k:02x}{k:02x}{k:02x}" for k in range(256))):
        assert style.contrast(style.ink(shade), shade) > 4.58 - 0.01
    for k in range(256):
        shade = mpl.colormaps[style.HEAT](k)
        assert style.contrast(style.ink(shade), shade) >= style.READABLE
    assert style.contrast(style.SOFT, "white") >= style.READABLE
    assert style.contrast(style.SOFT, style.STYLE["grid.color"]) >= style.READABLE
    light, dark = "white", "#111111"  # JupyterLab's grounds
    for pair, least in ((style.ALARM, style.READABLE), (style.RING, 3.0)):
        assert min(style.contrast(pair[0], light), style.contrast(pair[1], dark)) >= least


def test_numbers_of_a_failing_function_can_be_read() -> None:
    wrong = torch.tensor([[float("nan"), float("inf"), 0.4], [0.5, 0.6, -1.0]])
    drawn = (
        compare.side_by_side((), torch.linspace(0, 1, 6).view(2, 3), wrong),
        drawing.maps((torch.rand(2, 3),), torch.rand(3), wrong[0]),
        drawing.maps((torch.rand(7, 8),), torch.arange(-1, 7), torch.arange(8)),  # objects, each in its colour
    )
    for figure in drawn:
        assert figure is not None
        assert faults(figure) == []


def test_the_explorers_words_can_be_read_in_both_themes() -> None:
    css = (Path(explorer.__file__).parent / "explorer.css").read_text("utf-8")
    light, dark = re.findall(r"--lx-soft: (#\w+); --lx-warn: (#\w+); --lx-note: (#\w+)", css)
    # JupyterLab's grounds: of the page, of a panel, of a row that is chosen.
    for shades, grounds in ((light, ("white", "#fafafa", "#eeeeee")), (dark, ("#111111", "#212121", "#424242"))):
        assert min(style.contrast(shade, ground) for shade in shades for ground in grounds) >= style.READABLE


def test_a_name_at_the_right_edge_is_not_cut() -> None:
    (ax,) = pictures.draw_boxes(IMAGE, torch.tensor([[80.0, 20, 95, 40], [8, 20, 30, 40]]), [1, 1], NAMES).axes
    assert [text.get_ha() for text in ax.texts] == ["right", "left"]
    assert faults(ax.figure) == []


def test_faults_are_seen() -> None:
    figure, (ax,) = style.panel_row(1, 3, 2)
    ax.set_axis_off()
    for y, (word, look) in enumerate({"faint": {"color": style.GREY}, "tiny": {"fontsize": 5}, "fine": {}}.items()):
        ax.text(0.1, y / 4, word, **look)
    ax.text(0.9, 0.9, "far beyond the edge").set_in_layout(False)
    ax.add_patch(Rectangle((0, 0.55), 1, 0.2, color="black"))
    ax.text(0.1, 0.6, "dark on dark")
    wide = style.panel_row(1, 9, 2)[0]
    wide.set_figwidth(12)
    said = [line.partition("”")[0].strip("“") for line in faults(figure)]
    assert said == ["faint", "tiny", "far beyond the edge", "dark on dark"]
    assert "12.0 inches wide" in faults(wide)[0]


def test_a_row_of_panels_is_no_wider_than_the_page() -> None:
    assert style.panel_row(5, 2.6, 2.9)[0].get_size_inches().tolist() == pytest.approx([style.PAGE, 2.9 * 9.2 / 13])
    assert style.panel_row(2, 4.0, 3.0)[0].get_size_inches().tolist() == [8.0, 3.0]
