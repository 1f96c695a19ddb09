"""Panels: live and still show the same states under the same names, and an exception leaves the panel usable."""

import io
from typing import Any

import ipywidgets
import pytest
from everypanel import PANELS, missing
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from lapnet_lab.panel import ARROW, AS_SET, HEADING, NOW, FigurePanel, _stacked
from lapnet_lab.style import ALARM, RING, VERMILLION

WIDEST, HIGHEST = 920, 480
STATES = {"little": {}, "much": {"amount": 9.0}, "none of it": {"amount": 0.0, "kind": "b"}}


def small_panel(states: Any = None, **changes: Any) -> FigurePanel:
    """Two controls; draws a figure of 200 x 100 pixels."""
    controls = {
        "amount": ipywidgets.FloatSlider(0.3, min=0, max=9, step=0.1),
        "kind": ipywidgets.Dropdown(options=["a", "b"]),
    }
    parts: dict[str, Any] = {
        "compute": lambda amount, kind: (amount, kind),
        "describe": lambda found: f"{found[0]:g} of {found[1]}",
        "draw": lambda _: Figure(figsize=(2, 1), dpi=100),
        **changes,
    }
    return FigurePanel(controls, states=STATES if states is None else states, **parts)


def pressed(panel: FigurePanel) -> list[str]:
    return [name for name, button in panel.buttons.items() if NOW in button._dom_classes]


def test_each_state_has_a_button_that_sets_the_controls() -> None:
    panel = small_panel()
    assert [button.description for button in panel.buttons.values()] == list(STATES)
    assert (panel.state, pressed(panel)) == ("little", ["little"])
    for name, text in {"none of it": "0 of b", "much": "9 of a", "little": "0.3 of a"}.items():
        panel.buttons[name].click()
        assert (panel.state, pressed(panel)) == (name, [name])
        assert panel.describe(panel.numbers) == text
        assert text in panel.text.value


def test_a_button_is_marked_while_the_controls_are_so_and_no_longer() -> None:
    panel = small_panel()
    panel.controls["amount"].value = 9.0
    assert pressed(panel) == ["much"]
    panel.controls["kind"].value = "b"
    assert (panel.state, pressed(panel)) == ("", [])
    panel.controls["amount"].value = 0.0
    assert pressed(panel) == ["none of it"]
    panel.controls["kind"].value, panel.controls["amount"].value = "a", 0.1 + 0.2  # as it may come from a browser
    assert pressed(panel) == ["little"]


def test_a_logarithmic_slider_is_in_its_state_at_the_nearest_step() -> None:
    slider = ipywidgets.FloatLogSlider(0.002, min=-4, max=-1, step=0.1)
    panel = FigurePanel({"x": slider}, lambda x: x, str, lambda _: Figure(figsize=(1, 1)), {"a": {}, "b": {"x": 0.02}})
    for value, state in ((10**-2.7, "a"), (10**-2.6, ""), (10**-1.7, "b"), (0.02, "b")):
        slider.value = value  # -2.7 is where a browser puts 0.002
        assert panel.state == state


def test_a_state_is_drawn_once_however_many_controls_it_sets() -> None:
    drawn: list[Any] = []

    def draw(found: Any) -> Figure:
        drawn.append(found)
        return Figure(figsize=(2, 1))

    panel = small_panel(draw=draw)
    panel.show("none of it")
    assert drawn == [(0.3, "a"), (0.0, "b")]


def test_the_still_picture_has_every_state_under_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def stacked(pictures: Any) -> bytes:
        seen.append(list(pictures))
        return _stacked(pictures)

    monkeypatch.setattr("lapnet_lab.panel._stacked", stacked)
    panel = small_panel()
    with Image.open(io.BytesIO(panel._static_picture())) as image:
        assert image.size == (200, 3 * (100 + HEADING))
        for k in range(3):  # black words on white, above each figure
            strip = image.convert("L").crop((0, k * (100 + HEADING), 200, k * (100 + HEADING) + HEADING))
            assert strip.getextrema() == (0, 255)
    panel.controls["amount"].value = 5.0
    panel._static_picture()
    assert seen == [list(STATES), [AS_SET, *STATES]]


def test_without_states_there_are_no_buttons_and_one_picture() -> None:
    panel = small_panel({})
    assert panel.buttons == {}
    assert panel._static_picture() == bytes(panel.picture.value)


def test_how_it_starts_needs_a_name() -> None:
    with pytest.raises(ValueError, match="how the panel starts needs a name"):
        small_panel({"much": {"amount": 9.0}})


def test_an_exception_is_shown_and_the_panel_goes_on() -> None:
    def compute(amount: float, kind: str) -> tuple[float, str]:
        return 1 / (9 - amount), kind

    panel = small_panel(compute=compute)
    panel.show("much")
    assert panel.error == "ZeroDivisionError: float division by zero"
    assert "ZeroDivisionError" in panel.text.value
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        panel._repr_mimebundle_()
    panel.show("little")
    assert panel.error == ""


def test_a_sentence_of_ours_is_shown_without_its_type() -> None:
    def compute(amount: float, kind: str) -> tuple[float, str]:
        if amount > 5:
            raise ValueError("there is no more than 5")
        return amount, kind

    panel = small_panel(compute=compute)
    panel.show("much")
    assert panel.error == "there is no more than 5"
    assert ">there is no more than 5<" in panel.text.value


def contrast(one: str, other: str) -> float:
    """WCAG's ratio of two colours."""

    def luminance(color: str) -> float:
        parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(color)]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_our_own_colours_are_seen_on_the_ground_of_either_theme() -> None:
    """JupyterLab's grounds; tests/browser/test_panels.py asks the page itself for all the rest."""
    assert contrast("white", "black") == pytest.approx(21)
    assert contrast(VERMILLION, "white") < 4.5, "which is why errors are not in it"
    for ground, alarm, ring in zip(("#ffffff", "#111111"), ALARM, RING, strict=True):
        assert contrast(alarm, ground) >= 4.5
        assert contrast(ring, ground) >= 3
    assert contrast(ARROW, ground) >= 3


def test_every_panel_of_every_lesson_is_known() -> None:
    assert missing() == set()


@pytest.mark.slow
@pytest.mark.parametrize("name", PANELS)
def test_states_have_names_that_one_can_say_and_show_different_things(name: str) -> None:
    panel = PANELS[name]()
    assert 2 <= len(panel.states) <= 4 or name == "photograph_panel"  # its photograph is the reader's
    assert all(len(state) <= 36 and "=" not in state for state in panel.states)
    said = set()
    for state in panel.states:
        panel.show(state)
        assert panel.error == ""
        assert panel.state == state
        said.add(panel.describe(panel.numbers))
        with Image.open(io.BytesIO(bytes(panel.picture.value))) as image:
            assert image.width <= WIDEST, "tests/browser/test_panels.py measures the whole on a screen"
            assert image.height <= HIGHEST
    assert len(said) == len(panel.states)
