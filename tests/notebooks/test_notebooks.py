"""Notebooks are built, their outputs are what a fresh kernel gives, and both checks see it when that is not so."""

import base64
import copy
import importlib.util
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def load_build() -> ModuleType:
    """notebooks/build.py, which is a script and no module of a package."""
    spec = importlib.util.spec_from_file_location("notebooks_build", ROOT / "notebooks" / "build.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = load_build()


def run_nbval(path: Path) -> subprocess.CompletedProcess[str]:
    """Strict nbval on one notebook, in a process of its own."""
    command = [
        sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "--nbval-cell-timeout=300",
        f"--nbval-sanitize-with={HERE / 'sanitize.cfg'}", "-c", str(HERE / "nbval.ini"), "--rootdir", str(path.parent),
        "-p", "no:cacheprovider", "-p", "no:randomly", str(path),
    ]  # fmt: skip
    return subprocess.run(
        command,
        cwd=path.parent,
        env=build.kernel_environment(),
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )


def outcome(result: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """pytest's counts: {"passed": 17}."""
    summary = result.stdout.strip().splitlines()[-1] if result.stdout.strip() else result.stderr
    return {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|error|errors|skipped|xfailed)", summary)}


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def first_number(name: str) -> Any:
    """A built notebook up to the first compared output with at least four digits, and that output."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", 4)
    for cell in code_cells(notebook):
        for output in cell.outputs:
            shown = output.get("text") or output.get("data", {}).get("text/plain", "")
            if len(re.findall(r"\d", shown)) >= 4 and "nbval-ignore-output" not in cell.metadata.get("tags", []):
                notebook.cells = notebook.cells[: notebook.cells.index(cell) + 1]
                return notebook, output
    raise AssertionError(f"{name} prints no number that is compared")


def changed(text: str) -> str:
    """The text with its last digit counted up."""
    at = max(k for k, letter in enumerate(text) if letter.isdigit())
    return text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :]


def test_every_notebook_is_in_the_list_that_is_run() -> None:
    there = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert there == set(build.NOTEBOOKS)


@pytest.mark.parametrize("name", build.NOTEBOOKS)
def test_is_built(name: str) -> None:
    assert build.check(name) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", build.NOTEBOOKS)
def test_outputs_are_reproduced(name: str) -> None:
    path = ROOT / "notebooks" / f"{name}.ipynb"
    result = run_nbval(path)
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
    assert outcome(result) == {"passed": len(code_cells(nbformat.read(path, 4)))}


@pytest.mark.slow
@pytest.mark.parametrize("name", build.NOTEBOOKS)
def test_a_changed_digit_is_seen(name: str, tmp_path: Path) -> None:
    notebook, output = first_number(name)
    if "text" in output:
        output.text = changed(output.text)
    else:
        output.data["text/plain"] = changed(output.data["text/plain"])
    nbformat.write(notebook, tmp_path / "changed.ipynb")
    result = run_nbval(tmp_path / "changed.ipynb")
    assert result.returncode == 1, result.stdout + result.stderr
    passed = len(code_cells(notebook)) - 1
    assert outcome(result) == {"failed": 1, **({"passed": passed} if passed else {})}


def broken(notebook: Any, how: str) -> None:
    cells = code_cells(notebook)
    if how == "not executed":
        cells[0].execution_count = None
    elif how == "shows an error":
        cells[0].outputs = [nbformat.v4.new_output("error", ename="ValueError", evalue="", traceback=[])]
    elif how == "lines":
        cells[0].source += "\npass" * build.LONGEST_CELL
    elif how == "differ":
        notebook.cells[0].source += " "
    else:
        notebook.cells = notebook.cells[:5]


@pytest.mark.parametrize("how", ["not executed", "shows an error", "lines", "differ", "cells"])
def test_the_guard_sees(how: str) -> None:
    source = build.source_of("00_start_here")
    notebook = nbformat.read(ROOT / "notebooks" / "00_start_here.ipynb", 4)
    damaged = copy.deepcopy(notebook)
    broken(damaged, how)
    assert not list(build.problems(source, notebook))
    assert any(how in problem for problem in build.problems(source, damaged))


def test_pictures_are_made_lighter() -> None:
    notebook = nbformat.read(ROOT / "notebooks" / "00_start_here.ipynb", 4)
    pictures = [
        output.data["image/png"]
        for cell in code_cells(notebook)
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert pictures
    assert len(build.lighter(pictures[0])) <= len(pictures[0]) * 1.01


def test_the_colours_of_a_heat_map_survive() -> None:
    ramp = colormaps["viridis"](np.linspace(0, 1, 400))[None, :, :3].repeat(40, 0)
    file = io.BytesIO()
    Image.fromarray((ramp * 255).astype(np.uint8)).save(file, "PNG")
    small = Image.open(io.BytesIO(base64.b64decode(build.lighter(base64.b64encode(file.getvalue()).decode()))))
    assert np.abs(np.asarray(small.convert("RGB")) / 255 - ramp).max() < 0.06


def test_kernels_find_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    environment = build.kernel_environment()
    assert environment["PYTHONPATH"].split(os.pathsep) == [str(ROOT), "/elsewhere"]
    assert environment["LAPNET_TIER"] == "tiny"
