"""Controls above a figure: state -> numbers -> picture, each of them testable without a browser."""

import io
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets
from matplotlib.figure import Figure
from PIL import Image

from lapnet_lab.static import as_png, figure_png, with_picture


class FigurePanel(ipywidgets.VBox):
    """Controls, a sentence with the numbers, and a figure that follows.

    Args:
        controls: name -> ipywidgets control; all have a `value`. They stand in this order.
        compute: called with the controls' values by name, returns the numbers.
        describe: numbers -> a line or a few of text, for reading, for screen readers and for the notebook's test.
        draw: numbers -> figure.
        states: further settings, name -> value, whose figures stand beneath the first in the static picture that takes
            the panel's place where no widget can be shown (GitHub, nbviewer, before the first run).

    An exception of `compute`, `describe` or `draw` is shown in the panel, which stays usable. Callbacks may come from
    a thread of their own while a cell runs; one at a time is served.
    """

    def __init__(
        self,
        controls: Mapping[str, Any],
        compute: Callable[..., Any],
        describe: Callable[[Any], str],
        draw: Callable[[Any], Figure],
        states: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.controls = dict(controls)
        self.compute, self.describe, self.draw, self.states = compute, describe, draw, tuple(states)
        self.numbers: Any = None
        """What `compute` returned last."""
        self.error = ""
        """What went wrong in the last update; empty where nothing did."""
        self.text = ipywidgets.HTML()
        self.picture = ipywidgets.Image(format="png", layout={"max_width": "100%"})
        self._lock = threading.RLock()
        super().__init__([ipywidgets.HBox(list(self.controls.values()), layout={"flex_flow": "row wrap"}),
                          self.text, self.picture])  # fmt: skip
        for control in self.controls.values():
            control.observe(self._update, "value")
        self._update()

    def _update(self, _change: Any = None) -> None:
        with self._lock:
            try:
                numbers = self.compute(**{name: control.value for name, control in self.controls.items()})
                words, png = self.describe(numbers), figure_png(self.draw(numbers))
            except Exception as problem:  # anything at all may come out of a notebook's function
                self.error = f"{type(problem).__name__}: {problem}"
                self.text.value = f'<pre role="alert" style="color:#D55E00">{_escaped(self.error)}</pre>'
                return
            self.numbers, self.error = numbers, ""
            self.text.value = f'<pre aria-live="polite">{_escaped(words)}</pre>'
            self.picture.value = png

    def _static_picture(self) -> bytes:
        first = {name: control.value for name, control in self.controls.items()}
        others = [figure_png(self.draw(self.compute(**{**first, **state}))) for state in self.states]
        return _stacked([bytes(self.picture.value), *others])

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        if self.error:  # no silent panel in a notebook that runs in CI
            raise RuntimeError(self.error)
        return with_picture(super()._repr_mimebundle_(**kwargs), self.describe(self.numbers), self._static_picture())


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _stacked(pictures: Sequence[bytes]) -> bytes:
    """Pictures one under the other, as one PNG."""
    images = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]
    whole = Image.new("RGB", (max(image.width for image in images), sum(image.height for image in images)), "white")
    top = 0
    for image in images:
        whole.paste(image, (0, top))
        top += image.height
    return as_png(whole)
