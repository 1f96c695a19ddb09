"""Faults put into a copy of the project on purpose: each has to turn the test red that is there for it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from browser.chromium import required

ROOT = Path(__file__).resolve().parents[1]
# name: (file, what stands there, what is put in its place, the tests that have to see it)
MUTATIONS = {
    "a paint call is removed from the widget": (
        "lapnet_lab/explorer/explorer.js",
        "      paintMap(ui.canvas, maps, selected);\n",
        "",
        "tests/browser/test_explorer_page.py::test_dragging_a_box_moves_it_and_paints_the_new_map",
    ),
    "the division by the cluster's maximum is removed from assign": (
        "lapnet_core/assign.py",
        "best = iou / divisor[:, None, None, None]",
        "best = iou.clone()",
        "tests/core/test_assign.py",
    ),
    "the explorer's answer to an error is removed": (
        "lapnet_lab/explorer/widget.py",
        '            self.reply = {**message, "seq": self.seq, "error": self.error, "refused": self._refused}\n',
        "            if not self.error:\n"
        '                self.reply = {**message, "seq": self.seq, "error": "", "refused": self._refused}\n',
        "tests/lab/test_explorer.py::test_every_update_is_acknowledged_also_after_an_error",
    ),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The library and its tests, to be damaged."""
    for name in ("lapnet_core", "lapnet_lab", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def run(folder: Path, tests: str) -> tuple[int, dict[str, int], str]:
    """Exit status, counts and output of pytest in a process of its own, in the copy."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", tests],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    summary = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|error|skipped)", summary)}
    return done.returncode, counts, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATIONS)
def test_turns_a_test_red(name: str, copy: Path) -> None:
    file, old, new, tests = MUTATIONS[name]
    path = copy / file
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, "the line that is to be damaged has changed: change it here, too"
    path.write_text(text.replace(old, new), encoding="utf-8")
    status, counts, output = run(copy, tests)
    if counts == {"skipped": 1} and not required():
        pytest.skip("no browser")
    assert status == 1, output[-3000:]
    assert counts.get("failed", 0) >= 1, output[-3000:]


@pytest.mark.slow
def test_the_copy_alone_stays_green(copy: Path) -> None:
    status, counts, output = run(copy, "tests/core/test_assign.py")
    assert status == 0, output[-3000:]
    assert counts["passed"] > 10
