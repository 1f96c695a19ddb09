"""Controls above a figure: state -> numbers -> picture, each of them testable without a browser."""

import io
import math
import threading
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import ipywidgets
import matplotlib as mpl
import traitlets
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from lapnet_lab import alt
from lapnet_lab.static import as_png, figure_png, told, with_picture
from lapnet_lab.style import ALARM, RING

HEADING = 26
"""Pixels of the line with a state's name, above its picture in the still one."""
AS_SET = "as the controls are set"
"""The name of what is shown where the controls are in no state that has one."""
NOW = "lapnet-now"
"""Class of the button whose state is shown."""
ARROW = "#cccccc"
"""Of a menu on a dark ground, where ipywidgets' own is black."""
_MENU = (
    "%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 18 18'%3E%3Cpath d='M5.5 7.5 9 11l3.5-3.5' fill='none' "
    f"stroke='{ARROW.replace('#', '%23')}' stroke-width='1.6'/%3E%3C/svg%3E"
)
LOOK = f"""<style>
.lapnet-panel pre {{ white-space: pre-wrap; overflow: visible; }}
.lapnet-panel .lapnet-error {{ color: {ALARM[0]} !important; }}
[data-jp-theme-light="false"] .lapnet-panel .lapnet-error {{ color: {ALARM[1]} !important; }}
[data-jp-theme-light="false"] .lapnet-panel select {{
  background-image: url("data:image/svg+xml,{_MENU}") !important;
}}
.lapnet-panel button .fa {{ visibility: hidden; }}
.lapnet-panel button.{NOW} .fa {{ visibility: visible; }}
.lapnet-panel button.{NOW} {{ box-shadow: inset 0 0 0 2px {RING[0]}; }}
[data-jp-theme-light="false"] .lapnet-panel button.{NOW} {{ box-shadow: inset 0 0 0 2px {RING[1]}; }}
.lapnet-panel :is(button, select, input, .noUi-handle, [tabindex]):focus-visible {{
  outline: 3px solid {RING[0]} !important; outline-offset: 2px;
}}
[data-jp-theme-light="false"] .lapnet-panel :is(button, select, input, .noUi-handle, [tabindex]):focus-visible {{
  outline-color: {RING[1]} !important;
}}
</style>"""
"""What ipywidgets leaves to us: who has the keyboard's focus, which state is shown, what is wrong; in either theme."""


class FigurePanel(ipywidgets.VBox):
    """Controls, a sentence with the numbers, and a figure that follows.

    Args:
        controls: name -> ipywidgets control; all have a `value`. They stand in this order.
        compute: called with the controls' values by name, returns the numbers.
        describe: numbers -> a line or a few of text, for reading, for screen readers and for the notebook's test.
        draw: numbers -> figure.
        states: short plain name -> control -> value, what differs from how the panel starts; nothing for how it does
            start, which must be among them. A text says "the state *loud background*" and everybody finds it: live,
            each has a button that sets the controls; in the static picture that takes the panel's place where no
            widget can be shown (GitHub, nbviewer, before the first run) each has its figure, under its name.
        beside: whether the text stands beside the controls, as a narrow table can, and not beneath them.

    Buttons, controls, text and figure are to fit a screen of 1366 x 768 together, in JupyterLab: a figure is 9.2 inches
    wide at most, and is never enlarged.

    An exception of `compute`, `describe` or `draw` is shown in the panel, which stays usable. Callbacks may come from
    a thread of their own while a cell runs; one at a time is served.
    """

    def __init__(
        self,
        controls: Mapping[str, Any],
        compute: Callable[..., Any],
        describe: Callable[[Any], str],
        draw: Callable[[Any], Figure],
        states: Mapping[str, Mapping[str, Any]] | None = None,
        beside: bool = False,
    ) -> None:
        self.controls = dict(controls)
        self.compute, self.describe, self.draw = compute, describe, draw
        start = self._values()
        self.states = {name: {**start, **settings} for name, settings in (states or {}).items()}
        """Name -> every control's value."""
        if self.states and start not in self.states.values():
            raise ValueError("how the panel starts needs a name too: a state without settings")
        self.numbers: Any = None
        """What `compute` returned last."""
        self.error = ""
        """What went wrong in the last update; empty where nothing did."""
        self.text = ipywidgets.HTML(layout={"margin": "2px 2px 2px 24px"} if beside else {})
        # As large as it is: stretched to the page, it would be blurred and push the controls off the screen. Without a
        # margin at its sides, which would be wider than the page where a scroll bar takes room.
        self.picture = _Picture(
            format="png", layout={"max_width": "100%", "margin": "2px 0", "align_self": "flex-start"}
        )
        self.buttons = {name: self._button(name) for name in self.states}
        self._alt = ""
        self._lock = threading.RLock()
        self._held = False
        wrap = {"flex_flow": "row wrap"}
        set_by = ipywidgets.Box(list(self.controls.values()), layout={"flex_flow": "column"} if beside else wrap)
        both = [ipywidgets.HBox([set_by, self.text], layout=wrap)] if beside else [set_by, self.text]
        buttons = [ipywidgets.HBox(list(self.buttons.values()), layout=wrap)] if self.buttons else []
        look = ipywidgets.HTML(LOOK, layout={"display": "none"})
        super().__init__([look, *buttons, *both, self.picture])
        self.add_class("lapnet-panel")
        for control in self.controls.values():
            control.observe(self._update, "value")
        self._update()

    @property
    def state(self) -> str:
        """The name of the state that the controls are in; empty where it has none."""
        for name, values in self.states.items():
            if all(_is_at(control, values[of]) for of, control in self.controls.items()):
                return name
        return ""

    def show(self, state: str) -> None:
        """Set all controls to a state, by its name, and draw once."""
        with self._lock:
            self._held = True
            try:
                for name, value in self.states[state].items():
                    self.controls[name].value = value
            finally:
                self._held = False
            self._update()

    def _values(self) -> dict[str, Any]:
        return {name: control.value for name, control in self.controls.items()}

    def _button(self, state: str) -> Any:
        button = ipywidgets.Button(description=state, icon="check", layout={"width": "auto"})
        button.on_click(lambda _: self.show(state))
        return button

    def _update(self, _change: Any = None) -> None:
        with self._lock:
            if self._held:
                return
            try:
                numbers = self.compute(**self._values())
                words, figure = self.describe(numbers), self.draw(numbers)
                png = figure_png(figure)
            except Exception as problem:  # anything at all may come out of a notebook's function
                self.error = told(problem)
                self.text.value = f'<pre role="alert" class="lapnet-error">{_escaped(self.error)}</pre>'
                self._mark()
                return
            self.numbers, self.error = numbers, ""
            self.text.value = f'<pre aria-live="polite">{_escaped(words)}</pre>'
            self.picture.value, self._alt = png, alt.of(figure)
            self._mark()

    def _mark(self) -> None:
        """The button of the state that is shown has a tick, and says so to those who hear it."""
        now = self.state
        for name, button in self.buttons.items():
            (button.add_class if name == now else button.remove_class)(NOW)
            button.tooltip = "the controls are set so" if name == now else "set the controls so"

    def _static_picture(self) -> bytes:
        now, shown = self.state, bytes(self.picture.value)
        drawn = {
            name: shown if name in (now, AS_SET) else figure_png(self.draw(self.compute(**self.states[name])))
            for name in self._names()
        }
        return _stacked(drawn) if self.states else shown

    def _names(self) -> list[str]:
        """Of the figures in the static picture, from top to bottom."""
        return [*([] if self.state else [AS_SET]), *self.states]

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        if self.error:  # no silent panel in a notebook that runs in CI
            raise RuntimeError(self.error)
        picture, text = self._static_picture(), self.describe(self.numbers)
        return with_picture(super()._repr_mimebundle_(**kwargs), text, picture, self.alt_text())

    def alt_text(self) -> str:
        """What the static picture shows, in words."""
        names = self._names()
        under = f"{len(names)} figures, one beneath the other: {', '.join(names)}. The first: " if names[1:] else ""
        return alt.shortened(under + self._alt)


class _Picture(ipywidgets.Image):
    """One with a name for screen readers, which see its title: ipywidgets has no alternative text."""

    description = traitlets.Unicode("", read_only=True).tag(sync=True)  # without it, its JavaScript breaks on a tooltip

    def __init__(self, **settings: Any) -> None:
        super().__init__(tooltip="a drawing of what stands above it in words", **settings)


def _is_at(control: Any, value: Any) -> bool:
    """Whether a control has a value. On its way to a browser and back a number may change in its last digit, and that
    of a logarithmic slider is moved to the nearest of its steps."""
    now = control.value
    if isinstance(value, float) and isinstance(now, int | float):
        base = getattr(control, "base", None)  # of a logarithmic slider alone
        near = base ** (control.step / 2) - 1 if base else 1e-9
        return math.isclose(now, value, rel_tol=near, abs_tol=1e-12)
    return bool(now == value)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


@cache
def _font() -> Any:
    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"), 14)


def _stacked(pictures: Mapping[str, bytes]) -> bytes:
    """Pictures one under the other, each under its name, as one PNG."""
    images = {name: Image.open(io.BytesIO(picture)).convert("RGB") for name, picture in pictures.items()}
    width = max(image.width for image in images.values())
    whole = Image.new("RGB", (width, sum(HEADING + image.height for image in images.values())), "white")
    pen, top = ImageDraw.Draw(whole), 0
    for name, image in images.items():
        pen.text((8, top + HEADING / 2), name, "black", _font(), anchor="lm")
        whole.paste(image, (0, top + HEADING))
        top += HEADING + image.height
    return as_png(whole)
