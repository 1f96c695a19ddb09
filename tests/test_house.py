"""The set-up keeps its promises: what conda installs is what pip installs, and the core needs no Jupyter."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typecheck
import yaml
from jaxtyping import TypeCheckError, jaxtyped
from solutions import topic_of

ROOT = Path(__file__).resolve().parents[1]
# Names that conda-forge has for the same packages.
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


def declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needs = [*project["dependencies"], *extras["lab"], *extras["pretrained"], *extras["test"]]
    named = [re.fullmatch(r"([\w-]+)(?:\[\w+\])?(.*)", need).groups() for need in needs]
    return {CONDA_NAMES.get(name, name) + rest for name, rest in named} | {"python" + project["requires-python"]}


def test_environment_yml_is_pyproject_toml():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    listed = environment["dependencies"]
    by_pip = {need for need in declared() if need.startswith(("playwright", "efficientnet"))}  # not on conda-forge
    assert {x for x in listed if isinstance(x, str)} - {"pip"} == declared() - by_pip
    assert [x for x in listed if isinstance(x, dict)] == [{"pip": ["-e .", *sorted(by_pip)]}]


def test_types_are_checked_within_functions_too():
    """In each definition of a function that is made again and again, whatever the earlier ones took."""

    def made(kind):
        @jaxtyped(typechecker=typecheck.check)
        def half(x: kind, least: float = 0) -> int:
            return max(x / 2, least) if isinstance(x, float) else x

        return half

    for kind, right, wrong in ((int, 3, "a"), (str, "a", 3), (int, 4, "a")):
        with pytest.raises(TypeCheckError, match="parameters"):
            made(kind)(wrong)
        if kind is int:
            assert made(kind)(right) == right
    for _ in range(2):
        with pytest.raises(TypeCheckError, match="return value"):
            made(float)(3.0)


CORE, LAB = ROOT / "lapnet_core", ROOT / "lapnet_lab"
LAB_PACKAGES = {"IPython", "jupyterlab", "ipywidgets", "anywidget", "matplotlib", "plotly", "jupytext"}


def test_the_core_imports_without_jupyter_or_plots():
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in CORE.rglob("*.py")]
    named = [module.removesuffix(".__init__") for module in modules if not module.endswith("__main__")]
    code = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {LAB_PACKAGES | {"lapnet_lab"}}:
            raise ImportError(name)
sys.meta_path.insert(0, Block())
import {", ".join(named)}
"""
    assert len(named) > 40
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_commands_import_nothing_heavy():
    """Help answers at once: neither torch nor timm is imported before a command runs."""
    code = """
import sys
from lapnet_core.cli import main
main(["train", "--help"])
heavy = {"torch", "torchvision", "timm", "numpy", "PIL", "pycocotools"} & set(sys.modules)
sys.exit(f"imported: {heavy}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--balance" in done.stdout


def imported(path):
    """Modules of ours that a file imports anywhere, in a function too: "anchors", "data.named", "lapnet_lab.style"."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if is_module(name) else node.module for name in inside]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        ours = {name for name in names if name.split(".")[0] in ("lapnet_core", "lapnet_lab")}
        found |= {name.removeprefix("lapnet_core.") for name in ours}
    return found


def is_module(name):
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


PARTS = sorted({path.relative_to(CORE).parts[0].removesuffix(".py") for path in CORE.rglob("*.py")})
# DESIGN: boxes <- anchors, assign <- losses; backbones <- model; boxes <- predict; method sees these; train, evaluate
# and detector see method; cli sees everything of the core. What a module may see of ours, beside its own folder:
MAY_SEE = {
    "files": set(),
    "inputs": set(),
    "options": set(),
    "processes": {"data"},
    "boxes": set(),
    "anchors": {"boxes", "files", "inputs"},
    "assign": {"boxes", "inputs", "options"},
    "losses": {"assign", "boxes", "data", "inputs", "options"},
    "backbones": {"data"},
    "model": {"backbones", "inputs"},
    "predict": {"boxes", "data", "inputs"},
    "config": {"options", "peers"},
    "scenes": {"data", "inputs"},
    "data": {"files", "inputs", "scenes"},
    "method": {"anchors", "config", "data", "losses", "model", "predict"},
    "peers": {"anchors", "backbones", "boxes", "config", "data", "inputs", "method", "predict"},
    "detector": {"data", "deploy", "files", "inputs", "losses", "method", "peers", "processes"},
    "checkpoint": {"config", "files"},
    "evaluate": {"boxes", "data", "files", "inputs"},
    "step": {"config", "data", "method"},
    "validation": {"config", "data", "detector", "evaluate", "files", "method", "processes"},
    "train": {"checkpoint", "config", "data", "detector", "method", "peers", "processes", "step", "validation"},
    "ablate": {
        "backbones",
        "checkpoint",
        "config",
        "data",
        "detector",
        "evaluate",
        "files",
        "losses",
        "method",
        "options",
        "peers",
        "processes",
        "timing",
        "train",
    },
    "timing": {"config", "data", "peers", "processes", "step"},
    "deploy": {
        "boxes",
        "data",
        "detector",
        "evaluate",
        "files",
        "inputs",
        "method",
        "model",
        "peers",
        "predict",
        "processes",
    },
    "bench": set(PARTS) - {"cli", "ablate"},
}


@pytest.mark.parametrize("part", [part for part in PARTS if part not in ("__init__", "cli")])
def test_imports_go_one_way(part):
    files = [CORE / f"{part}.py"] if (CORE / f"{part}.py").is_file() else sorted((CORE / part).rglob("*.py"))
    for path in files:
        seen = {name.split(".")[0] for name in imported(path)} - {part, "lapnet_core"}
        assert seen <= MAY_SEE[part], f"{path.name} sees {seen - MAY_SEE[part]}"


def test_the_core_never_sees_the_lab():
    for path in CORE.rglob("*.py"):
        roots = {name.split(".")[0] for name in imported(path)}
        assert "lapnet_lab" not in roots, path
        text = path.read_text(encoding="utf-8")
        found = set(re.findall(r"^\s*(?:from|import) (\w+)", text, re.MULTILINE)) & LAB_PACKAGES
        assert not found, f"{path} imports {found}"


TOPICS = sorted(path.name for path in (LAB / "lessons").iterdir() if path.is_dir() and path.name != "__pycache__")


@pytest.mark.parametrize("topic", TOPICS)
def test_lessons_never_import_each_other(topic):
    for path in (LAB / "lessons" / topic).glob("*.py"):
        others = {n for n in imported(path) if n.startswith("lapnet_lab.lessons") and n.split(".")[2:3] != [topic]}
        assert not others, f"{path} sees {others}"


def test_what_lessons_share_sees_no_lesson():
    for path in LAB.rglob("*.py"):
        if "lessons" not in path.relative_to(LAB).parts:
            assert not {name for name in imported(path) if "lessons" in name}, path


@pytest.mark.parametrize("notebook", sorted((ROOT / "notebooks").glob("[0-9]*.py")), ids=lambda path: path.stem)
def test_a_lesson_has_one_name(notebook):
    topic = topic_of(notebook.stem)
    for place in (f"notebooks/{notebook.stem}.ipynb", f"lapnet_lab/lessons/{topic}/__init__.py",
                  f"tests/lessons/test_{topic}.py", f"data/records/{topic}.json"):  # fmt: skip
        assert (ROOT / place).is_file(), place
    lessons = {n for n in imported(notebook) if n.startswith("lapnet_lab.lessons")}
    assert {name.split(".")[2] for name in lessons} == {topic}


def test_every_lesson_has_a_notebook():
    assert {topic_of(path.stem) for path in (ROOT / "notebooks").glob("[0-9]*.py")} == set(TOPICS)


BUDGETS = {
    "the method and its training": 4384,
    "data": 3210,
    "cli": 1303,
    "peers": 660,
    "deploy": 1193,
    "bench": 742,
}
"""DESIGN: the core stays compact: what one reads in an evening is the method and its training, boxes to detector with
its evaluation; readers of foreign formats, commands, detectors to compare with, what a trained one is used by, and
benchmarks are read one by one, when one needs them. `inputs` and `data/checked`, some 190 lines, look at what a user
hands over from Python. Lines that are not blank; the scenes' renderer has no budget."""
LONGEST_FILE = 370
"""DESIGN: a file that outgrows about 350 lines is two by meaning."""


def lines(path):
    return len(path.read_text(encoding="utf-8").splitlines())


def test_the_core_is_compact():
    written = dict.fromkeys(BUDGETS, 0)
    for path in CORE.rglob("*.py"):
        part = path.relative_to(CORE).parts[0]
        if part != "scenes":
            kept = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
            written[part if part in BUDGETS else "the method and its training"] += len(kept)
    assert all(count <= BUDGETS[part] for part, count in written.items()), written
    assert written["the method and its training"] > 2000
    for path in (*CORE.rglob("*.py"), *LAB.rglob("*.py")):
        assert lines(path) <= LONGEST_FILE, path


@pytest.mark.parametrize("number", range(1, 8))
def test_each_equation_is_found_once(number):
    """Searching the core for "eq. N" leads to the one place where it is computed."""
    found = [
        f"{path.name}:{n}"
        for path in sorted(CORE.rglob("*.py"))
        for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(rf"\beqs?\. ?{number}\b", line, re.IGNORECASE)
    ]
    assert len(found) == 1, found
    assert found[0].split(":")[0] == ("assign.py" if number in (1, 3) else "losses.py")


def test_no_equation_is_cited_in_the_plural():
    """ "eqs. 2 to 7" would be found by nobody who searches for "eq. 5"."""
    for path in CORE.rglob("*.py"):
        assert not re.search(r"\beqs\.", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize("name", ["LICENSE", "README.md", "CONTRIBUTING.md", "environment.yml", "Makefile", ".ci/run"])
def test_the_top_level_is_complete(name):
    assert (ROOT / name).is_file()
