"""The set-up keeps its promises: what conda installs is what pip installs, and the core needs no Jupyter."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
# Names that conda-forge has for the same packages.
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


def declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needs = [*project["dependencies"], *extras["lab"], *extras["test"]]
    named = [re.fullmatch(r"([\w-]+)(?:\[\w+\])?(.*)", need).groups() for need in needs]
    return {CONDA_NAMES.get(name, name) + rest for name, rest in named} | {"python" + project["requires-python"]}


def test_environment_yml_is_pyproject_toml():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    listed = environment["dependencies"]
    by_pip = {need for need in declared() if need.startswith("playwright")}  # conda-forge has it under other names
    assert {x for x in listed if isinstance(x, str)} - {"pip"} == declared() - by_pip
    assert [x for x in listed if isinstance(x, dict)] == [{"pip": ["-e .", *by_pip]}]


def test_the_core_imports_without_jupyter_or_plots():
    code = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        lab = {"IPython", "jupyterlab", "ipywidgets", "anywidget", "matplotlib", "plotly", "jupytext"}
        if name.split(".")[0] in lab:
            raise ImportError(name)
sys.meta_path.insert(0, Block())
import lapnet_core.cli, lapnet_core.train, lapnet_core.evaluate, lapnet_core.detector, lapnet_core.analyse
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def imported(text):
    return set(re.findall(r"^from lapnet_core\.(\w+)", text, re.MULTILINE))


def test_imports_go_one_way():
    """DESIGN: boxes <- anchors, assign <- losses; backbones <- model; boxes <- predict."""
    allowed = {
        "boxes": set(),
        "anchors": {"boxes"},
        "assign": {"boxes"},
        "losses": {"assign", "boxes", "data"},
        "backbones": {"data"},
        "model": {"backbones"},
        "predict": {"boxes"},
    }
    for module, may in allowed.items():
        text = (ROOT / "lapnet_core" / f"{module}.py").read_text()
        assert imported(text) <= may, module
    for path in (ROOT / "lapnet_core" / "figures").glob("*.py"):
        assert imported(path.read_text()) <= {"figures"}, path
    for path in (ROOT / "lapnet_core").glob("**/*.py"):
        if path.parent.name not in ("widgets", "teach"):
            assert not imported(path.read_text()) & {"widgets", "teach"}, path


@pytest.mark.parametrize("name", ["LICENSE", "README.md", "CONTRIBUTING.md", "environment.yml", "Makefile", ".ci/run"])
def test_the_top_level_is_complete(name):
    assert (ROOT / name).is_file()
