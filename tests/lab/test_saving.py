"""What stands in a widget's place: its picture, with the advice to run the cell and with words for screen readers."""

import base64
import copy
import io
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lapnet_lab.saving import MARK, STATE, VIEW, with_stand_ins
from lapnet_lab.static import ADVICE, as_png, with_picture

ROOT = Path(__file__).resolve().parents[2]
PNG = as_png(Image.new("RGB", (300, 100), "red"))


def notebook(*outputs: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """What Jupyter hands to its hook."""
    cells = [{"cell_type": "markdown", "source": ""}, {"cell_type": "code", "source": "x", "outputs": list(outputs)}]
    return {"type": "notebook", "content": {"nbformat": 4, "metadata": metadata, "cells": cells}}


def output(model_id: str, alt: str = "a curve", **data: Any) -> dict[str, Any]:
    picture = {"image/png": base64.encodebytes(PNG).decode()}
    data = {VIEW: {"model_id": model_id}, "text/plain": "x", **picture, **data}
    return {"output_type": "display_data", "data": data, "metadata": {"image/png": {"alt": alt}}}


def test_a_picture_says_to_run_the_cell_and_has_words_for_those_who_cannot_see_it() -> None:
    data, metadata = with_picture({"a/b": 1}, "\n first line \nsecond", PNG)
    assert (data["a/b"], data["text/plain"]) == (1, "\n first line \nsecond")
    assert metadata == {"image/png": {"alt": f"{ADVICE} first line"}}
    with Image.open(io.BytesIO(data["image/png"])) as image:
        assert image.width == 300  # as wide as it was
        assert image.getpixel((150, image.height - 50)) == (255, 0, 0)
        strip = image.crop((0, 0, 300, image.height - 100)).convert("L")
    assert strip.getextrema()[0] < 120  # there is writing
    assert strip.crop((298, 0, 300, strip.height)).getextrema() == (255, 255)  # all of it is inside
    assert with_picture(({}, {"k": 2}), "text", PNG, "two dogs")[1] == {
        "k": 2,
        "image/png": {"alt": f"{ADVICE} two dogs"},
    }


def test_a_saved_widget_gets_a_stand_in_of_its_name() -> None:
    model = notebook(output("one", '"a" <curve>'), output("two"))
    before = copy.deepcopy(model["content"]["cells"])
    with_stand_ins(model, path="a.ipynb", contents_manager=None)
    assert model["content"]["cells"] == before  # a kernel that still lives finds its widgets
    states = model["content"]["metadata"]["widgets"][STATE]["state"]
    assert list(states) == ["one", "two"]
    assert states["one"]["model_name"] == "HTMLModel"
    value = states["one"]["state"]["value"]
    assert 'alt="&quot;a&quot; &lt;curve&gt;"' in value
    assert f"base64,{base64.b64encode(PNG).decode()}" in value


def test_a_saved_question_keeps_its_words() -> None:
    data = {VIEW: {"model_id": "one"}, "text/plain": "x", "text/html": ["<b>How many?</b>", "<details>"]}
    model = notebook({"output_type": "display_data", "data": data, "metadata": {}})
    with_stand_ins(model)
    state = model["content"]["metadata"]["widgets"][STATE]["state"]["one"]
    assert (state["model_name"], MARK in state["state"]["value"]) == ("HTMLModel", True)
    assert "<b>How many?</b><details>" in state["state"]["value"]


@pytest.mark.parametrize(
    "text", ["train <1>:   0%|          | 0/200 [00:00<?, ?step/s]", "train <1>: 0it [00:00, ?it/s]"]
)
def test_of_a_saved_progress_bar_remains_what_it_was_of(text: str) -> None:
    model = notebook({"output_type": "display_data", "data": {VIEW: {"model_id": "one"}, "text/plain": text}})
    with_stand_ins(model)
    value = model["content"]["metadata"]["widgets"][STATE]["state"]["one"]["state"]["value"]
    assert value == f'<small class="{MARK}">progress bar: train &lt;1&gt;</small>'


def test_stand_ins_of_outputs_that_are_gone_go_and_saved_states_stay() -> None:
    model = notebook(output("one"))
    with_stand_ins(model)
    model["content"]["cells"][1]["outputs"] = [output("two"), output("three")]
    widgets = model["content"]["metadata"]["widgets"]
    own = {"model_name": "AnyModel", "state": {"boxes": []}}
    widgets[STATE]["state"] |= {"three": own, "a layout": {"state": {}}}
    with_stand_ins(model)
    states = model["content"]["metadata"]["widgets"][STATE]["state"]
    assert set(states) == {"two", "three", "a layout"}
    assert states["three"] == own
    assert MARK in states["two"]["state"]["value"]


@pytest.mark.parametrize(
    "model",
    [
        {"type": "file", "content": "text"},
        {"type": "notebook", "content": None},
        {"type": "notebook", "content": {"nbformat": 3}},
        notebook({"output_type": "stream", "text": "x"}),
        notebook({"output_type": "display_data", "data": {"image/png": "x"}}),
        notebook({"output_type": "display_data", "data": {VIEW: {"model_id": "x"}}}),
        notebook(
            {"output_type": "display_data", "data": {VIEW: {"model_id": "x"}, "text/plain": "IntSlider(value=0)"}}
        ),
    ],
)
def test_all_else_is_saved_as_it_is(model: dict[str, Any]) -> None:
    before = copy.deepcopy(model)
    with_stand_ins(model)
    assert model == before


def test_jupyters_configuration_takes_the_hook_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    from traitlets.config import Config

    config = Config()
    for name in [name for name in sys.modules if name.split(".")[0] == "lapnet_lab"]:
        monkeypatch.delitem(sys.modules, name)
    path = ROOT / "lapnet_lab" / "jupyter" / "jupyter_server_config.py"
    runpy.run_path(str(path), {"get_config": lambda: config})
    assert "lapnet_lab" not in sys.modules  # torch has no place in the server
    model = notebook(output("one"))
    config.FileContentsManager.pre_save_hook(model, path="a.ipynb")
    assert "widgets" in model["content"]["metadata"]
