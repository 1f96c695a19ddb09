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
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from lapnet_lab.static import as_png, figure_png, with_picture

HEADING = 26
"""Pixels of the line with a state's name, above its picture in the still one."""
AS_SET = "as the controls are set"
"""The name of what is shown where the controls are in no state that has one."""


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
        self.text = ipywidgets.HTML()
        self.picture = ipywidgets.Image(format="png", layout={"max_width": "100%", "align_self": "flex-start"})
        self.buttons = {name: self._button(name) for name in self.states}
        self._lock = threading.RLock()
        self._held = False
        rows = [ipywidgets.HBox(list(row.values()), layout={"flex_flow": "row wrap"})
                for row in (self.buttons, self.controls) if row]  # fmt: skip
        super().__init__([*rows, self.text, self.picture])
        for control in self.controls.values():
            control.observe(self._update, "value")
        self._update()

    @property
    def state(self) -> str:
        """The name of the state that the controls are in; empty where it has none."""
        now = self._values()
        return next(
            (name for name, values in self.states.items() if all(map(_same, values.values(), now.values()))), ""
        )

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
        button = ipywidgets.Button(description=state, layout={"width": "auto"})
        button.on_click(lambda _: self.show(state))
        return button

    def _update(self, _change: Any = None) -> None:
        with self._lock:
            if self._held:
                return
            self._mark()
            try:
                numbers = self.compute(**self._values())
                words, png = self.describe(numbers), figure_png(self.draw(numbers))
            except Exception as problem:  # anything at all may come out of a notebook's function
                self.error = f"{type(problem).__name__}: {problem}"
                self.text.value = f'<pre role="alert" style="color:#D55E00">{_escaped(self.error)}</pre>'
                return
            self.numbers, self.error = numbers, ""
            self.text.value = f'<pre aria-live="polite">{_escaped(words)}</pre>'
            self.picture.value = png

    def _mark(self) -> None:
        """The button of the state that is shown has a tick, and says so to those who hear it."""
        now = self.state
        for name, button in self.buttons.items():
            button.icon = "check" if name == now else ""
            button.button_style = "primary" if name == now else ""
            button.tooltip = "the controls are set so" if name == now else "set the controls so"

    def _static_picture(self) -> bytes:
        others = {name: values for name, values in self.states.items() if name != self.state}
        drawn = {name: figure_png(self.draw(self.compute(**values))) for name, values in others.items()}
        shown = {self.state or AS_SET: bytes(self.picture.value)}
        if not self.state:
            return _stacked({**shown, **drawn}) if drawn else bytes(self.picture.value)
        return _stacked({name: {**shown, **drawn}[name] for name in self.states})

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        if self.error:  # no silent panel in a notebook that runs in CI
            raise RuntimeError(self.error)
        return with_picture(super()._repr_mimebundle_(**kwargs), self.describe(self.numbers), self._static_picture())


def _same(one: Any, other: Any) -> bool:
    """Whether two values of a control are the same; a slider's may differ in its last digit on its way to a browser."""
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-9)
    return bool(one == other)


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
