"""What the browser sees of the explorer: its scripts, and the traits in which state travels."""

import json
from pathlib import Path

import anywidget
import traitlets

from lapnet_core.boxes import STRIDE
from lapnet_lab.explorer.maps import LAYERS
from lapnet_lab.explorer.state import SIZE_RANGE
from lapnet_lab.style import HEAT_RGB, PALETTE

HERE = Path(__file__).parent
SENT_BY_BROWSER = {"sync": True, "echo_update": False}
"""Traits that the browser changes while one drags. It knows what it sent: an echo would only cost time."""
SCRIPTS = (
    "explorer_draw", "explorer_page", "explorer_boxes", "explorer_link", "explorer_history", "explorer_photograph",
    "explorer_hands", "explorer",
)  # fmt: skip
"""Parts of one module, the one that exports last; a widget is sent to the browser as one text."""
COLORS = f"const PALETTE = {json.dumps(PALETTE)};\nconst HEAT = {json.dumps(HEAT_RGB)};"
"""The colours of the figures, for the browser."""


class Page(anywidget.AnyWidget):
    """The traits. The browser counts its updates in `seq`, and `reply` acknowledges the last one that was done."""

    _esm = "\n".join((COLORS, *((HERE / f"{part}.js").read_text("utf-8") for part in SCRIPTS)))
    _css = (HERE / "explorer.css").read_text("utf-8")

    picture = traitlets.Bytes().tag(sync=True)
    """PNG; empty without an image."""
    extent = traitlets.List(traitlets.Int()).tag(sync=True)
    """[height, width] in pixels."""
    stride = traitlets.Int(STRIDE).tag(sync=True)
    class_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    shapes = traitlets.List().tag(sync=True)
    layers = traitlets.List().tag(sync=True)
    """[name, title] of what can be shown."""
    presets = traitlets.List(traitlets.Unicode()).tag(sync=True)
    about = traitlets.Unicode().tag(sync=True)

    boxes = traitlets.List().tag(**SENT_BY_BROWSER)
    labels = traitlets.List(traitlets.Int()).tag(**SENT_BY_BROWSER)
    label = traitlets.Int(0).tag(**SENT_BY_BROWSER)
    anchor = traitlets.Int(-1).tag(**SENT_BY_BROWSER)
    """-1 is the best shape in each cell."""
    layer = traitlets.Enum(tuple(LAYERS), "pono").tag(**SENT_BY_BROWSER)
    threshold = traitlets.Float(0.5, min=0.0, max=1.0).tag(**SENT_BY_BROWSER)
    size = traitlets.Float(1.0, min=SIZE_RANGE[0], max=SIZE_RANGE[1]).tag(**SENT_BY_BROWSER)
    selected = traitlets.Int(-1).tag(**SENT_BY_BROWSER)
    """Object whose cluster lights up; -1 for none."""
    preset = traitlets.Unicode("").tag(**SENT_BY_BROWSER)
    """A situation of `presets.ABOUT`; empty is what was given."""
    resets = traitlets.Int(0).tag(**SENT_BY_BROWSER)
    """Counts the presses of "start again"."""
    command = traitlets.Dict().tag(**SENT_BY_BROWSER)
    """{kind, seq, ...}: paste with `text`, photograph with `name` and `size`, show with `preset`, `boxes`, `labels`."""
    upload = traitlets.Any(b"").tag(**SENT_BY_BROWSER)
    """PNG of a photograph, bytes or a view of them, until it is shown."""

    seq = traitlets.Int(0).tag(**SENT_BY_BROWSER)
    reply = traitlets.Dict().tag(sync=True)
