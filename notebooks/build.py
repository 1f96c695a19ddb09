"""Build the notebooks: `python notebooks/build.py [names]`; `--check` only looks whether they are built.

The .py beside a notebook is its one source, the side that people edit and review. Two notebooks are generated from it:

- solved/NAME.ipynb, with the solutions of its exercises in their cells, is executed in the tiny tier; nbval runs it;
- NAME.ipynb, the learner's, has stubs there, and everything else with its outputs from the solved one. `solutions.py`
  says how, and makes sure that no other cell depends on a solution.

Building renders the recorded numbers (lapnet_lab.records), adds the lines that lead to the neighbours, and removes what
would make the files heavy. What ships is not paired with the .py: what a student saves stays in the .ipynb.
"""

import argparse
import atexit
import base64
import copy
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from PIL import Image

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))  # the repository's packages, installed or not

sys.path.insert(0, str(FOLDER))
import order
import prose
import solutions

from lapnet_lab import mine, records
from lapnet_lab.saving import VIEW

SOLVED = "solved"
"""The folder of the solved notebooks, beside the learner's."""
NOTEBOOKS = (
    "00_start_here",
    "01_anchors",
    "02_pono",
    "03_ambiguity",
    "04_balance",
    "05_model",
    "06_detections",
    "07_training",
    "08_weights",
    "09_ablations",
    "10_speed_accuracy",
    "11_bug_hunt",
    "12_your_lapnet",
)
"""Every notebook, in reading order; the tests run these, and fail on an .ipynb that is not among them."""

CELLS = range(25, 51)
MOST_WORDS = 1800
"""To read, in a notebook, beside what is folded away."""
LONGEST_CELL = 25
SHORT_CELL = 8
LONG_CELLS = 2
"""So many code cells of a notebook, the imports among them, may be longer than SHORT_CELL lines; exercises apart, whose
contract is as long as it has to be."""
WIDEST = 116
"""Letters of a line that JupyterLab shows on a screen of 1366 x 768, beside the list of files. Of more the end of a line of
code is out of sight, and print is wrapped."""
LARGEST_FILE = 1_500_000
ENVIRONMENT = {"TQDM_DISABLE": "1", "LAPNET_TIER": "tiny"}
"""Under which the reference outputs are made and compared."""


@cache
def written_solutions() -> Path:
    """A folder with every function that the exercises ask for, as if a learner had written them all."""
    folder = Path(tempfile.mkdtemp(prefix="my_lapnet_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    mine.write_solutions(folder)
    return folder


def kernel_environment() -> dict[str, str]:
    """The environment of a kernel: the repository's packages are found whether they are installed or not.

    OMP_WAIT_POLICY: idle threads of torch sleep, unless you say otherwise; spinning ones stall another kernel's.
    LAPNET_MINE: the solutions are the learner's functions, and nothing is written beside the notebook.
    """
    path = os.pathsep.join(filter(None, (str(FOLDER.parent), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": path, "LAPNET_MINE": str(written_solutions())}
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return environment


def source_of(name: str, solved: bool = False) -> Any:
    """The notebook that the .py describes, without outputs: the learner's, or the solved one."""
    notebook = solutions.expand(jupytext.read(FOLDER / f"{name}.py"), solved)
    lead(notebook, name, solved)
    for cell in notebook.cells:
        if solved:
            cell.source = cell.source.replace("](../docs/", "](../../docs/")  # it lies one folder deeper
        if cell.cell_type == "code" and cell.source.startswith("Predict("):
            cell.metadata["jupyter"] = {"source_hidden": True}  # the answer stands in it; a click shows it
    return notebook


def lead(notebook: Any, name: str, solved: bool) -> None:
    """Write the way to the neighbours, the time it takes and the tiers under the title, and the way on at the end."""
    if name not in NOTEBOOKS:
        return
    at = NOTEBOOKS.index(name)
    before = f"[◂ {NOTEBOOKS[at - 1]}]({NOTEBOOKS[at - 1]}.ipynb)" if at else ""
    after = f"[{NOTEBOOKS[at + 1]} ▸]({NOTEBOOKS[at + 1]}.ipynb)" if at + 1 < len(NOTEBOOKS) else ""
    other = f"[without solutions](../{name}.ipynb)" if solved else f"[with solutions]({SOLVED}/{name}.ipynb)"
    read, do = prose.minutes(notebook)
    time_ = f"{read} minutes to read and run" + (f", {do} with all exercises" if do > read else "")
    if any(word in cell.source for cell in code_cells(notebook) for word in ("lab.choose(", "lab.tier")):
        time_ += ". Larger runs: set `LAPNET_TIER=laptop` before `make lab`"
    way = " · ".join(filter(None, (before, after, other)))
    # A comment at the beginning of a line would make the rest of it HTML, its stars and backticks included.
    line = f"{way}\n\n*<!--given-->{time_}.<!--/given-->*"
    title, _, rest = notebook.cells[0].source.partition("\n")
    notebook.cells[0].source = f"{title}\n\n{line}\n{rest}"
    notebook.cells[-1].source += f"\n\n---\n{way}"


def merge(source: Any, built: Any | None) -> Any:
    """Cells of the source, with the ids of the built notebook where a cell is the same, so that diffs stay small."""
    known: dict[tuple[str, str], list[str]] = {}
    for cell in built.cells if built else []:
        known.setdefault((cell.cell_type, cell.source), []).append(cell.id)
    for number, cell in enumerate(source.cells):
        ids = known.get((cell.cell_type, cell.source))
        cell.id = ids.pop(0) if ids else f"cell-{number:02d}-{zlib.crc32(cell.source.encode()):08x}"
    source.metadata = {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    source.nbformat, source.nbformat_minor = 4, 5
    return source


def lighter(png: str) -> str:
    """A base64 PNG with a palette of 256 colours: a third of the bytes, and nbval does not compare pictures."""
    with Image.open(io.BytesIO(base64.b64decode(png))) as image:
        # MAXCOVERAGE keeps the ends of a colour map, where the default, median cut, turns a heat map's peak orange;
        # k-means then gives pictures their shades back.
        small = image.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE)
    file = io.BytesIO()
    small.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def code_cells(notebook: Any) -> list[Any]:
    """Cells with code in them."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def length(cell: Any) -> int:
    """Lines of a cell."""
    return len(cell.source.splitlines())


def long_cells(notebook: Any) -> int:
    """How many code cells that are no exercise are longer than SHORT_CELL lines."""
    return sum(length(cell) > SHORT_CELL and not solutions.asked(cell) for cell in code_cells(notebook))


def widest(cell: Any) -> tuple[int, str]:
    """The letters of its longest line of code or of print, and the line; print that a picture or HTML stands for is
    never seen."""
    shown = [cell.source]
    for output in cell.outputs:
        data = output.get("data", {})
        if not {"image/png", "text/html"} & set(data):
            shown += [output.get("text", ""), data.get("text/plain", "")]
    return max((len(line), line) for text in shown for line in [*text.splitlines(), ""])


def lengths(notebook: Any) -> str:
    """How long its code cells are, in words."""
    return f"{long_cells(notebook)} of {len(code_cells(notebook))} code cells are over {SHORT_CELL} lines"


def read(path: Path) -> Any | None:
    """A built notebook, if it is there."""
    return nbformat.read(path, 4) if path.exists() else None


def solved_path(name: str) -> Path:
    """Of the solved notebook."""
    return FOLDER / SOLVED / f"{name}.ipynb"


def build(name: str) -> None:
    """Render, execute the solved one, strip, and derive the learner's from it."""
    from nbclient import NotebookClient

    path = solved_path(name)
    path.parent.mkdir(exist_ok=True)
    records.stale(FOLDER / f"{name}.py", write=True)
    notebook = merge(source_of(name, solved=True), read(path))
    started = time.perf_counter()
    here = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(notebook, timeout=3600, kernel_name="python3", resources=here, record_timing=False)
    client.execute(env=kernel_environment())
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                data["image/png"] = lighter(data["image/png"])
            if "image/png" in data or "text/html" in data:
                data.pop(VIEW, None)  # without its kernel a widget is an error message; its picture is not
    nbformat.write(notebook, path)
    strip = ("--keep-output", "--keep-count", "--keep-id", "--extra-keys", "metadata.widgets")
    subprocess.run([sys.executable, "-m", "nbstripout", *strip, str(path)], check=True)
    seconds, size = time.perf_counter() - started, path.stat().st_size
    derive(name)
    print(f"{name}: {len(notebook.cells)} cells in {seconds:.0f} s, {size // 1000} kB; {lengths(notebook)}; "
          f"{prose.words(source_of(name))} words")  # fmt: skip


def retext(name: str) -> None:
    """Build without executing, where the code is as it was executed: after an edit of the text."""
    path = solved_path(name)
    records.stale(FOLDER / f"{name}.py", write=True)
    before = read(path)
    notebook = merge(source_of(name, solved=True), before)
    old, new = code_cells(before) if before else [], code_cells(notebook)
    if [cell.source for cell in old] != [cell.source for cell in new]:
        sys.exit(f"{name}: the code differs from what was executed; build it without --text")
    for cell, done in zip(new, old, strict=True):
        cell.outputs, cell.execution_count = done.outputs, done.execution_count
        cell.metadata = {**done.metadata, **cell.metadata}
    nbformat.write(notebook, path)
    derive(name)


def derive(name: str) -> None:
    """Write the learner's notebook from the solved one."""
    path = FOLDER / f"{name}.ipynb"
    nbformat.write(learners(name, read(solved_path(name))), path)


def learners(name: str, solved: Any) -> Any:
    """The learner's notebook with the outputs of the solved one, but for its exercises."""
    notebook = merge(source_of(name), read(FOLDER / f"{name}.ipynb"))
    return solutions.with_outputs(notebook, copy.deepcopy(solved), solutions.of_lesson(name))


def problems(source: Any, built: Any) -> Iterator[str]:
    """What keeps a built notebook from being the tested image of its source."""

    def visible(notebook: Any) -> list[tuple[str, str, list[str]]]:
        return [(cell.cell_type, cell.source, sorted(cell.metadata.get("tags", []))) for cell in notebook.cells]

    if visible(source) != visible(built):
        yield "the .py and the .ipynb differ: run `make notebooks`"
    if len(built.cells) not in CELLS:
        yield f"{len(built.cells)} cells; {CELLS.start} to {CELLS.stop - 1} are wanted"
    for suffix, notebook in ((".py", source), (".ipynb", built)):
        if "formats" in notebook.metadata.get("jupytext", {}):
            yield f"the {suffix} says that it is paired: to save in JupyterLab would rewrite the .py"
    for cell in code_cells(built):
        number = built.cells.index(cell)
        if cell.execution_count is None:
            yield f"cell {number} was not executed; nbval would pass it, whatever it prints"
        if any(output.output_type == "error" for output in cell.outputs):
            yield f"cell {number} shows an error"
        if length(cell) > LONGEST_CELL and not solutions.asked(cell):
            yield f"cell {number} has {length(cell)} lines; {LONGEST_CELL} is the most"
        letters, line = widest(cell)
        if letters > WIDEST:
            yield f"cell {number} has a line of {letters} letters; {WIDEST} is the most: {line.strip()[:40]} ..."


def check(name: str) -> list[str]:
    """Problems of one notebook, each with its name."""
    path, solved = FOLDER / f"{name}.ipynb", read(solved_path(name))
    if not path.exists() or solved is None:
        return [f"{name}: not built; run `make notebooks`"]
    built, source = nbformat.read(path, 4), source_of(name, solved=True)
    found = [f"{SOLVED}: {problem}" for problem in problems(source, solved)]
    found += problems(source_of(name), built)
    if not found and learners(name, solved) != built:
        found.append(f"it is not what {SOLVED}/{name}.ipynb gives: run `make notebooks`")
    found += solutions.used_elsewhere(source)
    found += order.not_run_again(source)
    found += map(str, prose.unheld(solved))
    if (count := prose.words(built)) > MOST_WORDS:
        found.append(f"{count} words to read; {MOST_WORDS} is the most")
    if long_cells(built) > LONG_CELLS:
        found.append(f"{lengths(built)}; {LONG_CELLS} is the most")
    try:
        found += [f"not what is recorded: {line}" for line in records.stale(path.with_suffix(".py"))]
    except ValueError as error:
        found.append(str(error))
    if path.stat().st_size > LARGEST_FILE:
        found.append(f"{path.stat().st_size // 1000} kB; {LARGEST_FILE // 1000} kB is the most")
    return [f"{name}: {problem}" for problem in found]


def main() -> int:
    """Exit status 1 where a check found something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(NOTEBOOKS)}; all without any")
    parser.add_argument("--text", action="store_true", help="execute nothing: the code is as it was built")
    parser.add_argument("--check", action="store_true", help="execute nothing; fail where a notebook is not built")
    arguments = parser.parse_args()
    names = [Path(name).stem for name in arguments.names] or list(NOTEBOOKS)
    if unknown := set(names) - set(NOTEBOOKS):
        parser.error(f"no notebook is called {', '.join(sorted(unknown))}; see NOTEBOOKS")
    found: list[str] = []
    for name in names:
        if not arguments.check:
            (retext if arguments.text else build)(name)
        found += check(name)
    print("\n".join(found) if found else f"{len(names)} notebooks checked")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
