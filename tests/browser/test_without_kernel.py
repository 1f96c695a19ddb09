"""A real JupyterLab opens a notebook whose widgets were saved, and whose kernel is gone."""

import base64
import json
import urllib.request
from pathlib import Path
from typing import Any

import ipywidgets
import nbformat
import pytest
import torch
from browser.jupyterlab import ROOT, server
from matplotlib.figure import Figure

from lapnet_lab import Explorer
from lapnet_lab.panel import FigurePanel
from lapnet_lab.saving import VIEW
from lapnet_lab.static import ADVICE


def output_of(widget: Any) -> Any:
    """What the kernel sends to be displayed."""
    data, metadata = widget._repr_mimebundle_()
    data = {**data, "image/png": base64.b64encode(data["image/png"]).decode()}
    return nbformat.v4.new_output("execute_result", data, execution_count=1, metadata=metadata)


def draw(n: int) -> Figure:
    figure = Figure(figsize=(4, 2))
    figure.add_subplot().plot([0, n])
    return figure


def save(address: str, name: str, notebook: Any) -> None:
    """As JupyterLab does it."""
    place, token = address.split("/lab/tree/")[0], address.split("token=")[1]
    body = json.dumps({"type": "notebook", "format": "json", "content": notebook}).encode()
    headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{place}/api/contents/{name}", body, headers, method="PUT")
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status in (200, 201)


@pytest.mark.slow
def test_saved_widgets_are_pictures_without_their_kernel(
    page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = torch.tensor([[[12.0, 20.0], [30.0, 50.0]]])
    explorer = Explorer(None, torch.tensor([[40.0, 40.0, 100.0, 120.0]]), torch.tensor([0]), shapes, ["thing"])
    panel = FigurePanel({"n": ipywidgets.IntSlider(3, 1, 9)}, lambda n: n, lambda n: f"n is {n}", draw)
    trusted = {"trusted": True}  # as JupyterLab calls what was run in it; of others' notebooks it shows the picture
    cells = [
        nbformat.v4.new_code_cell("shown", outputs=[output_of(each)], metadata=trusted) for each in (explorer, panel)
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(ROOT / "lapnet_lab" / "jupyter"))
    with server(tmp_path) as address:
        save(address, "a.ipynb", notebook)
        saved = nbformat.read(tmp_path / "a.ipynb", 4)
        assert all(VIEW in cell.outputs[0].data for cell in saved.cells)  # for a kernel that is still there
        page.goto(address.format(name="a.ipynb"))
        page.wait_for_selector(".jp-OutputArea-output", timeout=90_000)
        page.wait_for_function(
            "() => document.querySelectorAll('.jp-OutputArea-output img[alt]').length === 2"
            " || document.body.innerText.includes('model not found')",
            timeout=60_000,
        )
        assert page.get_by_text("model not found").count() == 0
        alts = page.locator(".jp-OutputArea-output img[alt]").evaluate_all("(all) => all.map((one) => one.alt)")
        assert [alt.startswith(ADVICE) for alt in alts] == [True, True]
        assert all(len(alt) > len(ADVICE) + 3 for alt in alts)  # and what it shows
        assert "AO, clusters, PONO and positives of thing" in alts[0]
