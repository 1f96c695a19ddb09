"""Every figure of a notebook has words in its place: what the author said, or what the figure holds."""

import base64
import json
import logging
import re
from pathlib import Path
from typing import Any

import ipywidgets
import nbformat
import numpy as np
import pytest
from bs4 import BeautifulSoup
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.figure import Figure
from nbconvert import HTMLExporter
from PIL import Image

import lapnet_lab
from lapnet_lab import alt, pictures, setup
from lapnet_lab.charts import Chart, chart
from lapnet_lab.panel import FigurePanel
from lapnet_lab.style import styled


@styled
def drawn() -> Figure:
    figure = Figure(layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([1, 2], [3, 4], label="AO")
    left.plot([1, 2], [4, 4], "o", label="PONO")
    left.set(title="positives", xlabel="shift, px", ylabel="count")
    left.legend()
    right.imshow(np.zeros((4, 4)))
    right.set_title("where?")
    figure.suptitle("one object")
    return figure


def test_what_a_figure_holds_is_said() -> None:
    assert alt.of(drawn()) == (
        "One object. Positives: lines, points of AO, PONO (count over shift, px). Where?: a heat map."
    )
    boxes = pictures.draw_boxes(np.zeros((3, 8, 8)), np.array([[1.0, 1, 5, 5]]), [0], ("dog",), [0.5], "found")
    assert alt.of(boxes) == "Found: a picture, boxes labelled dog 0.50."
    assert alt.of(Figure()) == "A figure."
    assert alt.of(Image.new("RGB", (30, 20))) == "A picture of 30 by 20 pixels."


def test_the_author_has_the_last_word() -> None:
    for shown in (drawn(), Image.new("L", (3, 3))):
        assert alt.of(alt.describe(shown, "Two dogs,\n asleep.")) == "Two dogs, asleep."


def test_no_text_is_longer_than_one_listens() -> None:
    long = alt.shortened("every word counts, " * 40)
    assert len(long) <= alt.LONGEST
    assert re.fullmatch(r"(every word counts, )+every( word( counts)?)?…", long)
    figure = drawn()
    figure.axes[0].set_title("a title " * 100)
    assert len(alt.of(figure)) <= alt.LONGEST
    assert alt.metadata("a " * 400)["image/png"]["alt"].endswith("a…")


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Any:
    shell = InteractiveShell()
    monkeypatch.setattr("IPython.core.getipython.get_ipython", lambda: shell)
    monkeypatch.setattr(shell, "run_line_magic", lambda *_: None)  # pyplot would keep its backend for other tests
    yield shell
    if shell.history_manager:
        shell.history_manager.end_session()


def panel() -> FigurePanel:
    slider = {"x": ipywidgets.IntSlider(1)}
    return FigurePanel(slider, lambda x: x, str, lambda _: drawn(), {"little": {}, "much": {"x": 9}})


def shown(shell: Any, thing: Any) -> Any:
    """The output of a cell that ends with it, as it stands in a notebook."""
    data, metadata = shell.display_formatter.format(thing)
    data = {kind: base64.b64encode(v).decode() if isinstance(v, bytes) else v for kind, v in data.items()}
    return nbformat.v4.new_output("execute_result", json.loads(json.dumps(data)), metadata=metadata, execution_count=1)


@pytest.mark.parametrize("template", ["classic", "lapnet"])
def test_a_page_made_of_a_notebook_lacks_no_text(template: str, shell: Any, caplog: pytest.LogCaptureFixture) -> None:
    setup(threads=1)
    setup(threads=1)  # a student runs the first cell again
    curve = Chart(chart([{"type": "scatter", "x": [1, 2], "y": [1, 2], "name": "one"}], title="AP", x="steps"), "1")
    things = [drawn(), Image.new("RGB", (30, 20)), panel(), curve]
    cells = [nbformat.v4.new_code_cell("x", outputs=[shown(shell, thing)], execution_count=1) for thing in things]
    notebook = nbformat.v4.new_notebook(cells=cells)
    folders = [str(Path(lapnet_lab.__file__).parent / "jupyter" / "templates")]
    with caplog.at_level(logging.WARNING):  # nbconvert's own "lab" has no place for the text; ours is made of it
        exporter = HTMLExporter(template_name=template, extra_template_basedirs=folders)
        page, _ = exporter.from_notebook_node(notebook)
    images = [image["alt"] for image in BeautifulSoup(page, "html.parser").find_all("img")]
    assert "Alternative text is missing" not in caplog.text
    assert len(images) == len(things)
    expected = ("One object", "30 by 20", "2 figures, one beneath the other: little, much", "AP: lines")
    for text, said in zip(images, expected, strict=True):
        assert said in text


def test_a_wrong_tier_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAPNET_TIER", "huge")
    with pytest.raises(
        ValueError, match=r'"huge"; there are tiny, laptop, full\. Set it to one of them before'
    ) as told:
        setup()
    assert "os.environ['LAPNET_TIER'] = 'tiny'" in str(told.value)
