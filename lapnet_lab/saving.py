"""What a saved notebook keeps of its widgets: pictures that are shown where no kernel is left to make them live.

JupyterLab saves of a widget no more than the name of its model in the kernel. Opened without that kernel, such an
output is the words "Error displaying widget: model not found", though the picture that came with it (lapnet_lab.static)
lies in the same output. So whenever a notebook is saved, each widget that has a picture gets a stand-in of the same
name, in the place that Jupyter has for the state of widgets. While the kernel lives JupyterLab takes the widget itself,
also after the page was loaded again.

Nothing but the standard library: the server runs this file by its path (jupyter/jupyter_server_config.py), since the
import of the package would bring torch into the server.
"""

import html
import re
from typing import Any

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
MARK = "lapnet-stand-in"
"""Class of our pictures, to know them by when the notebook is saved the next time."""
ALT = "A still picture of a widget. Run this cell to use it."
PROGRESS = re.compile(r"(?P<of>.*?):? *(\d+%\||\d+\w* \[)")
"""The text of tqdm's bars: as they began, so that only what they were of is worth telling."""


def with_stand_ins(model: dict[str, Any], **_: Any) -> None:
    """Jupyter's `pre_save_hook`: changes what is written, in place; the page goes on with its own copy."""
    notebook = model.get("content")
    if model.get("type") != "notebook" or not isinstance(notebook, dict) or notebook.get("nbformat") != 4:
        return
    widgets = notebook.setdefault("metadata", {}).pop("widgets", {})
    saved = widgets.get(STATE, {}).get("state", {})  # by who told JupyterLab to save the state of widgets: it is better
    kept = {name: state for name, state in saved.items() if MARK not in str(state.get("state", {}).get("value", ""))}
    states: dict[str, Any] = {}
    for cell in notebook.get("cells", []):
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if VIEW in data and (state := stand_in(data, output.get("metadata", {}))):
                states[data[VIEW]["model_id"]] = state
    if states or kept:  # without a state in it, GitHub would refuse the notebook
        both = {"version_major": 2, "version_minor": 0, "state": {**states, **kept}}
        notebook["metadata"]["widgets"] = {**widgets, STATE: both}


def stand_in(data: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any] | None:
    """The state of an HTML widget, one of Jupyter's own, with an output's picture; the picture says what to do. A
    question (lapnet_lab.predict) has no picture, but its own HTML, with the answer folded away. Of a progress bar
    remains what it was of."""
    if "image/png" not in data:
        if "text/html" in data:
            return _html_model(f'<div class="{MARK}">{"".join(data["text/html"])}</div>')
        bar = PROGRESS.match("".join(data.get("text/plain", "")))
        if bar is None:
            return None
        return _html_model(f'<small class="{MARK}">progress bar: {html.escape(bar["of"]) or "gone"}</small>')
    alt = metadata.get("image/png", {}).get("alt") or ALT
    png = "".join(data["image/png"]).replace("\n", "")
    value = f'<img class="{MARK}" alt="{html.escape(alt)}" style="max-width: 100%" src="data:image/png;base64,{png}">'
    return _html_model(value)


def _html_model(value: str) -> dict[str, Any]:
    return {
        "model_name": "HTMLModel",
        "model_module": "@jupyter-widgets/controls",
        "model_module_version": "2.0.0",
        "state": {"value": value},
    }
