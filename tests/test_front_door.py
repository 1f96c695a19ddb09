"""What a newcomer meets first is true: versions agree, forms are whole, commands and paths in the texts exist."""

import ast
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import lapnet_core

ROOT = Path(__file__).resolve().parents[1]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def paths(text: str) -> set[str]:
    """What stands in backticks and is a path: with a slash or a suffix, without spaces and placeholders."""
    quoted = re.findall(r"`([^`\n]+)`", text)
    like = re.compile(r"\.?[\w-]+(/[\w.-]+)*(/|\.\w+)|\.?[\w-]+(/[\w.-]+)+")
    return {path for path in quoted if like.fullmatch(path) and not re.search(r"NN_|<", path)}


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert CITATION["version"] == lapnet_core.__version__
    assert "version" not in project  # its one source is lapnet_core/__init__.py
    assert project["dynamic"] == ["version"]


def test_the_changelog_has_the_version_and_its_day() -> None:
    headings = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert headings[1] == f"[{lapnet_core.__version__}] - {CITATION['date-released']}"
    assert set(re.findall(r"^### (\w+)$", CHANGELOG, re.MULTILINE)) <= {
        "Added", "Changed", "Deprecated", "Removed", "Fixed", "Security",
    }  # fmt: skip


def top_level(file: Path) -> set[str]:
    """Names that a module has, by its text alone."""
    found = set[str]()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        else:
            found |= {at.id for at in ast.walk(node) if isinstance(at, ast.Name) and isinstance(at.ctx, ast.Store)}
    return found


def file_of(module: str) -> Path | None:
    path = ROOT / module.replace(".", "/")
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def there(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    module, _, last = name.rpartition(".")
    file = file_of(module)
    return file_of(name) is not None or (file is not None and last in top_level(file))


def moves() -> list[tuple[str, str]]:
    return re.findall(r"^\s*\| `(lapnet[\w.]+)` \| `(lapnet[\w.]+)` \|$", CHANGELOG, re.MULTILINE)


def test_the_table_of_moves_is_read() -> None:
    assert len(moves()) > 10


@pytest.mark.parametrize(("old", "new"), moves())
def test_what_moved_is_where_the_changelog_says(old: str, new: str) -> None:
    assert there(new)
    assert not there(old)


def test_the_citation_is_whole() -> None:
    """What CFF 1.2.0 asks for, of the software and of the paper."""
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["message"]
    assert CITATION["title"] == "LapNet Lab"
    assert CITATION["authors"] == [{"name": "LapNet Lab"}]
    assert CITATION["license"] == "Apache-2.0"
    paper = CITATION["preferred-citation"]
    assert paper["type"] == "article"
    assert paper["title"] == (
        "LapNet : Automatic Balanced Loss and Optimal Assignment for Real-Time Dense Object Detection"
    )
    assert [author["family-names"] for author in paper["authors"]] == ["Chabot", "Pham", "Chaouch"]
    assert all(author["given-names"] for author in paper["authors"])
    assert paper["year"] == 2019
    assert paper["url"].rsplit("/", 1)[1] == "1911.01149"
    assert paper["url"] in README


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_forms_for_issues_are_valid(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.name == "config.yml":
        assert set(form) == {"blank_issues_enabled", "contact_links"}
        assert all(set(link) == {"name", "url", "about"} for link in form["contact_links"])
        return
    assert form["name"]
    assert form["description"]
    fields = form["body"]
    assert all(field["type"] in ("textarea", "input", "dropdown", "checkboxes", "markdown") for field in fields)
    assert all(field["attributes"]["label"] for field in fields if field["type"] != "markdown")
    names = [field["id"] for field in fields if field["type"] != "markdown"]
    assert len(names) == len(set(names)) > 0
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_there_is_a_form_for_each_need() -> None:
    assert [path.name for path in FORMS] == ["bug.yml", "config.yml", "question.yml"]
    bug = yaml.safe_load(FORMS[0].read_text(encoding="utf-8"))
    asked = str(bug["body"])
    assert all(word in asked for word in ("command", "notebook", "cell", "expected", "lapnet doctor --quick", "seed"))
    request = (ROOT / ".github" / "PULL_REQUEST_TEMPLATE.md").read_text(encoding="utf-8")
    assert all(f"make {target}`" in request for target in ("quick", "test", "notebooks"))
    assert missing(request) == set()


def hooks() -> list[dict[str, Any]]:
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert repo["repo"] == "local"  # others would be fetched
    return repo["hooks"]


@pytest.mark.parametrize("hook", hooks(), ids=lambda hook: hook["id"])
def test_hooks_run_what_is_there(hook: dict[str, Any]) -> None:
    assert hook["language"] == "system"
    program, *rest = hook["entry"].split()
    assert Path(program).parts[:2] == (".venv", "bin")  # where `make` puts it
    assert (Path(sys.executable).parent / Path(program).name).is_file()
    scripts = [word for word in rest if word.endswith(".py")]
    assert all((ROOT / script).is_file() for script in scripts)
    assert bool(scripts) == (Path(program).name == "python")


def test_hooks_look_at_style_and_at_notebooks() -> None:
    entries = {hook["id"]: hook for hook in hooks()}
    assert set(entries) == {"ruff-check", "ruff-format", "notebooks"}
    assert "--check" in entries["ruff-format"]["entry"]
    assert entries["notebooks"]["entry"].endswith("notebooks/build.py --check")
    watched = re.compile(entries["notebooks"]["files"])
    shown = ("notebooks/02_pono.py", "notebooks/02_pono.ipynb", "data/records/pono.json", "data/paper/table_3.csv")
    assert all((ROOT / path).is_file() and watched.search(path) for path in shown)
    assert not watched.search("lapnet_core/boxes.py")


def missing(text: str) -> set[str]:
    """Paths of a text that are not there, neither from the root nor from a lesson."""
    homes = (ROOT, ROOT / "lapnet_lab" / "lessons" / "pono")
    return {path for path in paths(text) if not any((home / path).exists() for home in homes)}


def test_contributing_names_what_exists() -> None:
    assert {"tests/oracles.py", "data/records", "notebooks/build.py", "README.md"} <= paths(CONTRIBUTING)
    assert missing(CONTRIBUTING) == set()
    assert len(CONTRIBUTING.splitlines()) <= 132


def test_placeholders_of_contributing_have_an_example() -> None:
    """<topic> is a lesson, <name> a peer, NN the number of a notebook."""
    found = [path for path in re.findall(r"`([^`\s]*(?:<\w+>|NN_)[^`\s]*)`", CONTRIBUTING) if "/" in path]
    assert len(found) >= 6
    for path in found:
        pattern = re.sub(r"<\w+>", "*", path).replace("NN_", "[0-9][0-9]_")
        assert list(ROOT.glob(pattern)), path


def test_the_makefile_has_the_targets_that_texts_name() -> None:
    request = (ROOT / ".github" / "PULL_REQUEST_TEMPLATE.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|^|then )make (\w+)", CONTRIBUTING + README + request, re.MULTILINE))
    assert {"quick", "test", "lab", "notebooks"} <= named
    targets = set(re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE))
    (phony,) = re.findall(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)
    assert named <= targets
    assert set(phony.split()) == targets


def test_make_test_ends_with_all_of_pytest() -> None:
    """Its last line is pytest's own; what `make quick` leaves out is not left out there."""
    (recipe,) = re.findall(r"^test:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    before, command = recipe.replace("\\\n", " ").splitlines()
    assert before.split() == ["@$(TWO)", "browser", "types", "lint"]
    (flags,) = re.findall(r"[A-Z_]+=\S* \$\(BIN\)/python -m pytest (.+)$", command)
    told = ["--durations", "20", "--durations-min", "5"]
    # None of them leaves a test out.
    assert flags.split() == ["-p", "no:nbval", "-n", "$(WORKERS)", "--dist", "worksteal", *told]


def test_quick_runs_lint_types_and_every_folder_of_tests() -> None:
    (recipe,) = re.findall(r"^quick:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert recipe.split()[-4:] == ["lint", "quick-lab", "types", "quick-core"]
    lines = dict(re.findall(r"^(quick-\w+):.*\n\t\$\(QUICK\) (.*)\n", MAKEFILE, re.MULTILINE))
    lab = lines["quick-lab"].split()
    core, *ignored = lines["quick-core"].replace("--ignore", "").split()
    folders = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "tests").glob("*/test_*.py")}
    assert core == "tests"
    assert set(lab) <= set(ignored) <= folders
    assert set(ignored) - set(lab) == {"tests/notebooks", "tests/browser"}  # they start other programs
    assert "-m 'not slow" in MAKEFILE


def slow() -> tuple[str, ...]:
    """SLOW of conftest.py, which is not imported twice."""
    text = (ROOT / "tests" / "conftest.py").read_text(encoding="utf-8")
    found = re.search(r"^SLOW = (\(.*?^\))", text, re.MULTILINE | re.DOTALL)
    return ast.literal_eval(found[1]) if found else ()


@pytest.mark.parametrize("name", slow())
def test_slow_names_tests_that_exist(name: str) -> None:
    file, test = name.split("::")
    assert re.search(rf"^def {test.split('[')[0]}", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)


def test_editors_are_told_the_width_that_ruff_holds() -> None:
    text = (ROOT / ".editorconfig").read_text(encoding="utf-8")
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]
    assert f"max_line_length = {ruff['line-length']}" in text
    makefile = text.split("[Makefile]")[1]
    assert "indent_style = tab" in makefile
