"""Notebooks are built, their outputs are what a fresh kernel gives, and both checks see it when that is not so."""

import asyncio
import base64
import copy
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import numpy as np
import pytest
from jupyter_core.utils import ensure_async
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager, LargeFileManager
from jupytext import AsyncTextFileContentsManager, TextFileContentsManager
from matplotlib import colormaps
from PIL import Image

from lapnet_lab.charts import PLOTLY

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


def changed(text: str) -> str:
    """The text with its last digit counted up."""
    at = max(k for k, letter in enumerate(text) if letter.isdigit())
    return text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :]


def test_every_notebook_is_in_the_list_that_is_run() -> None:
    for folder in (ROOT / "notebooks", ROOT / "notebooks" / build.SOLVED):
        assert {path.stem for path in folder.glob("*.ipynb")} == set(build.NOTEBOOKS)


@pytest.mark.parametrize("name", build.NOTEBOOKS)
def test_is_built(name: str) -> None:
    assert build.check(name) == []


def shown_numbers(notebook: Any) -> list[tuple[Any, Any, str]]:
    """(cell, output, text) wherever a text with a digit in it is compared."""
    return [
        (cell, output, text)
        for cell in build.code_cells(notebook)
        if "nbval-ignore-output" not in cell.metadata.get("tags", [])
        for output in cell.outputs
        if re.search(r"\d", text := output.get("text") or output.get("data", {}).get("text/plain", ""))
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", build.NOTEBOOKS)
def test_outputs_are_reproduced_and_a_changed_digit_is_seen(name: str, tmp_path: Path) -> None:
    """Every cell passes, in one run with cells that must not: each prints what another shows, over a changed digit."""
    notebook = nbformat.read(build.solved_path(name), 4)
    count = len(build.code_cells(notebook))
    wrong = [
        nbformat.v4.new_code_cell(
            f"print({text!r}, end='')",
            execution_count=1,
            outputs=[nbformat.v4.new_output("stream", text=changed(text))],
        )
        for _, _, text in shown_numbers(notebook)
    ]
    assert wrong
    notebook.cells += wrong
    nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    result = run_nbval(tmp_path / f"{name}.ipynb")
    assert outcome(result) == {"failed": len(wrong), "passed": count}, result.stdout[-6000:] + result.stderr[-2000:]
    failed = {int(n) for n in re.findall(r"^FAILED .*::Cell (\d+)", result.stdout, re.MULTILINE)}
    assert failed == set(range(count, count + len(wrong))), result.stdout[-6000:]


@pytest.mark.slow
def test_a_changed_digit_is_seen_where_it_is_computed(tmp_path: Path) -> None:
    notebook = nbformat.read(ROOT / "notebooks" / "02_pono.ipynb", 4)
    cell, output, text = next(shown for shown in shown_numbers(notebook) if len(re.findall(r"\d", shown[2])) >= 4)
    notebook.cells = notebook.cells[: notebook.cells.index(cell) + 1]
    if "text" in output:
        output.text = changed(text)
    else:
        output.data["text/plain"] = changed(text)
    nbformat.write(notebook, tmp_path / "changed.ipynb")
    result = run_nbval(tmp_path / "changed.ipynb")
    assert result.returncode == 1, result.stdout + result.stderr
    passed = len(build.code_cells(notebook)) - 1
    assert outcome(result) == {"failed": 1, **({"passed": passed} if passed else {})}


@pytest.mark.slow
def test_a_changed_number_of_a_chart_is_seen(tmp_path: Path) -> None:
    notebook = nbformat.read(ROOT / "notebooks" / "09_ablations.ipynb", 4)
    cells = build.code_cells(notebook)
    last = next(cell for cell in cells if any(PLOTLY in output.get("data", {}) for output in cell.outputs))
    notebook.cells = notebook.cells[: notebook.cells.index(last) + 1]
    shown = next(output.data[PLOTLY] for output in last.outputs if PLOTLY in output.get("data", {}))
    shown["data"][0]["y"][0] += 0.1
    nbformat.write(notebook, tmp_path / "changed.ipynb")
    result = run_nbval(tmp_path / "changed.ipynb")
    assert result.returncode == 1, result.stdout + result.stderr
    assert outcome(result) == {"failed": 1, "passed": len(build.code_cells(notebook)) - 1}


def broken(notebook: Any, how: str) -> None:
    cells = build.code_cells(notebook)
    if how == "not executed":
        cells[0].execution_count = None
    elif how == "shows an error":
        cells[0].outputs = [nbformat.v4.new_output("error", ename="ValueError", evalue="", traceback=[])]
    elif how == "25 is the most":
        cells[0].source += "\npass" * build.LONGEST_CELL
    elif how == "117 letters":
        cells[0].source += f"\n# {'x' * (build.WIDEST - 1)}"
    elif how == "118 letters":
        cells[0].outputs = [nbformat.v4.new_output("stream", text=f"short\n{'x' * (build.WIDEST + 2)}\n")]
    elif how == "paired":
        notebook.metadata["jupytext"] = {"formats": "ipynb,py:percent"}
    elif how == "differ":
        notebook.cells[0].source += " "
    else:
        notebook.cells = notebook.cells[:5]


HOW = ("not executed", "shows an error", "25 is the most", "117 letters", "118 letters", "differ", "cells; ", "paired")


@pytest.mark.parametrize("how", HOW)
def test_the_guard_sees(how: str) -> None:
    source = build.source_of("00_start_here")
    notebook = nbformat.read(ROOT / "notebooks" / "00_start_here.ipynb", 4)
    damaged = copy.deepcopy(notebook)
    broken(damaged, how)
    assert not list(build.problems(source, notebook))
    assert any(how in problem for problem in build.problems(source, damaged))


def test_a_notebook_with_longer_cells_or_more_words_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "00_start_here"
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", 4)
    plain = [cell for cell in build.code_cells(notebook) if not build.solutions.asked(cell)]
    for cell in sorted(plain, key=build.length)[: build.LONG_CELLS]:
        cell.source += "\npass" * build.SHORT_CELL
    notebook.cells[0].source += "\n" + "word " * build.MOST_WORDS
    (tmp_path / build.SOLVED).mkdir()
    for folder in (tmp_path, tmp_path / build.SOLVED):
        nbformat.write(notebook, folder / f"{name}.ipynb")
    shutil.copy(ROOT / "notebooks" / f"{name}.py", tmp_path)
    monkeypatch.setattr(build, "FOLDER", tmp_path)
    found = " ".join(build.check(name))
    count = build.LONG_CELLS + build.long_cells(nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", 4))
    assert f"{count} of {len(build.code_cells(notebook))} code cells" in found
    assert "words to read; 1800 is the most" in found


def test_pictures_are_made_lighter() -> None:
    notebook = nbformat.read(ROOT / "notebooks" / "00_start_here.ipynb", 4)
    pictures = [
        output.data["image/png"]
        for cell in build.code_cells(notebook)
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


@pytest.mark.parametrize(("yours", "theirs"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_idle_threads_of_a_kernel_sleep(monkeypatch: pytest.MonkeyPatch, yours: str | None, theirs: str) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if yours:
        monkeypatch.setenv("OMP_WAIT_POLICY", yours)
    assert build.kernel_environment()["OMP_WAIT_POLICY"] == theirs


MANAGERS = (LargeFileManager, AsyncLargeFileManager, TextFileContentsManager, AsyncTextFileContentsManager)
"""Who reads and writes files for JupyterLab; without jupytext, and with it, as its server extension does."""


def save_all(folder: Path, kind: type, changed: bool = False) -> set[str]:
    """Open every notebook of a folder and save it again, as JupyterLab does; names of the files that are not the same.

    Args:
        changed: with something typed into the last cell.
    """
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}

    async def save() -> None:
        manager = kind(root_dir=str(folder))
        for path in sorted(folder.glob("*.ipynb")):
            content = json.loads(json.dumps((await ensure_async(manager.get(path.name)))["content"]))
            if changed:
                content["cells"][-1]["source"] += "#"
            model = {"type": "notebook", "format": "json", "content": content}
            await ensure_async(manager.save(model, path.name))

    asyncio.run(save())
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    return {name for name in before | after if before.get(name) != after.get(name)}


@pytest.mark.parametrize("kind", MANAGERS, ids=lambda kind: kind.__name__)
def test_what_a_student_saves_stays_in_the_notebook(
    kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))  # signatures
    folder = tmp_path / "notebooks"
    shutil.copytree(ROOT / "notebooks", folder, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    assert save_all(folder, kind) == set()
    assert save_all(folder, kind, changed=True) == {f"{name}.ipynb" for name in build.NOTEBOOKS}


def test_a_paired_notebook_would_rewrite_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    notebook = nbformat.read(ROOT / "notebooks" / "00_start_here.ipynb", 4)
    broken(notebook, "paired")
    folder = tmp_path / "notebooks"
    folder.mkdir()
    source = (ROOT / "notebooks" / "00_start_here.py").read_text(encoding="utf-8")
    header = "# jupyter:\n#   jupytext:\n#     formats: ipynb,py:percent\n"
    (folder / "00_start_here.py").write_text(source.replace("# jupyter:\n", header, 1), encoding="utf-8")
    nbformat.write(notebook, folder / "00_start_here.ipynb")  # the newer of the two
    assert save_all(folder, TextFileContentsManager, changed=True) == {"00_start_here.py", "00_start_here.ipynb"}
    written = build.jupytext.read(folder / "00_start_here.py")
    assert [problem for problem in build.problems(written, notebook) if "the .py says that it is paired" in problem]


SMALL = """# %% [markdown]
# The mAP is, as recorded, <!--record start.map-->9.99<!--/record-->.

# %%
import os

print(1 + 1, os.environ["LAPNET_TIER"], os.environ["OMP_WAIT_POLICY"])
"""


def test_building_renders_recorded_numbers_and_pairs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "FOLDER", tmp_path)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    (tmp_path / "small.py").write_text(SMALL)
    before = dict(os.environ)
    build.build("small")
    assert dict(os.environ) == before
    right = f"-->{build.records.value('start.map')}<!--"
    assert (tmp_path / "small.py").read_text() == SMALL.replace("-->9.99<!--", right)
    notebook = nbformat.read(tmp_path / "small.ipynb", 4)
    assert right in notebook.cells[0].source
    assert notebook.cells[1].outputs[0].text == "2 tiny PASSIVE\n"
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    cells = f"2 cells; {build.CELLS.start} to {build.CELLS.stop - 1} are wanted"
    assert build.check("small") == [f"small: {build.SOLVED}: {cells}", f"small: {cells}"]
    (tmp_path / "small.py").write_text(SMALL.replace("The mAP is", "It is"))
    build.retext("small")
    again = nbformat.read(tmp_path / "small.ipynb", 4)
    assert again.cells[0].source.startswith("It is")
    assert again.cells[1] == notebook.cells[1]
    (tmp_path / "small.py").write_text(SMALL.replace("1 + 1", "1 + 2"))
    with pytest.raises(SystemExit, match="the code differs"):
        build.retext("small")
    (tmp_path / "small.py").write_text(SMALL)
    found = " ".join(build.check("small"))
    assert "not what is recorded" in found
    assert "9.99" in found
    (tmp_path / "small.py").write_text(SMALL.replace("start.map", "start.nothing"))
    assert any("start.json: 'nothing' is missing" in problem for problem in build.check("small"))
