"""The glossary and the teacher's page name what is there: names in the code, notebooks, panels, functions, numbers."""

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from lapnet_lab import records
from lapnet_lab.explorer import presets
from lapnet_lab.explorer.maps import LAYERS
from lapnet_lab.functions import FUNCTIONS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
GLOSSARY = (DOCS / "glossary.md").read_text("utf-8")
TEACHING = (DOCS / "teaching.md").read_text("utf-8")
PAGES = sorted(DOCS.glob("*.md"))
TOPICS = {"00": "start", "01": "anchors", "02": "pono", "03": "ambiguity", "04": "balance", "05": "model",
          "06": "detections", "07": "training", "08": "weights", "09": "ablations", "10": "speed_accuracy"}  # fmt: skip


def rows(text: str, columns: int) -> list[list[str]]:
    """The rows of all tables of so many columns, without heads."""
    found = []
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        cells = [[cell.strip() for cell in line.strip().strip("|").split(" | ")] for line in table.splitlines()]
        found += [row for row in cells[2:] if len(row) == columns]
    return found


def dead_links(text: str, folder: Path) -> set[str]:
    """Links that lead nowhere. A notebook is there if its .py is: that it is built, test_notebooks holds."""
    links = {link for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text) if not link.startswith("http")}
    there = {link for link in links if (folder / link).exists()}
    there |= {link for link in links if link.endswith(".ipynb") and (folder / link).with_suffix(".py").exists()}
    return links - there


def resolves(name: str) -> bool:
    """Whether a dotted name can be imported, or is a field of a class that can."""
    parts = name.split(".")
    for k in range(len(parts), 0, -1):
        try:
            here = importlib.import_module(".".join(parts[:k]))
        except ModuleNotFoundError:
            continue
        for part in parts[k:]:
            if part in getattr(here, "__annotations__", {}):
                return part == parts[-1]
            if not hasattr(here, part):
                return False
            here = getattr(here, part)
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    assert dead_links(page.read_text("utf-8"), DOCS) == set()


def test_a_dead_link_is_seen() -> None:
    text = "[a](glossary.md#ao) [b](../notebooks/02_pono.ipynb) [c](../notebooks/02_pong.ipynb) [d](https://x.y/z)"
    assert dead_links(text, DOCS) == {"../notebooks/02_pong.ipynb"}


def test_the_readme_leads_to_the_pages() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert {f"docs/{page.name}" for page in PAGES} <= set(re.findall(r"\]\((docs/[^)]+)\)", text))


# The glossary


ENTRIES = rows(GLOSSARY, 4)


def test_the_glossary_is_read() -> None:
    assert len(ENTRIES) > 50
    assert all(all(row) for row in ENTRIES)
    words = [row[0] for row in ENTRIES]
    assert len(set(words)) == len(words)
    asked = ("O, ", "O_hat", "P", "AO", "PONO", "AMS", "cluster", "anchor", "slot", "stride", "R", "N, N+", "λ_loc",
             "λ^{c,a}", "s", "rescue", "AP", "mAP", "AP50", "IoU", "NMS", "held", "steady", "even", "drift", "tier",
             "seed", "peer", "warm-up", "poly schedule", "EMA")  # fmt: skip
    for word in asked:
        assert any(re.search(rf"(?:^|[\s,(]){re.escape(word)}(?:$|[\s,)])?", each) for each in words), word


@pytest.mark.parametrize("row", ENTRIES, ids=lambda row: row[0].replace(" ", "_"))
def test_a_word_has_a_name_in_the_code_and_a_notebook(row: list[str]) -> None:
    word, _, code, where = row
    name = re.fullmatch(r"`(lapnet_(?:core|lab)\.[\w.]+)`", code)
    assert name, code
    assert resolves(name[1]), f"{word}: there is no {name[1]}"
    assert re.fullmatch(r"\[(\d\d_\w+)\]\(\.\./notebooks/\1\.ipynb\)|none: `.+`", where), where


@pytest.mark.parametrize(
    "name", ["lapnet_core.boxes.STRIDES", "lapnet_core.box.STRIDE", "lapnet_core.losses.LossTerms.label", "lapnet_xyz"]
)
def test_a_name_that_is_not_there_is_seen(name: str) -> None:
    assert not resolves(name)


# The teacher's page


def test_the_numbers_are_the_recorded_ones(tmp_path: Path) -> None:
    """`python -m lapnet_lab.records docs/teaching.md` writes them."""
    assert records.stale(DOCS / "teaching.md") == []
    copy = tmp_path / "teaching.md"
    copy.write_text(TEACHING.replace("-->32<!--", "-->33<!--"), "utf-8")
    assert len(records.stale(copy)) == 2


def test_every_notebook_has_its_place() -> None:
    """A notebook of the course is in the table of the order, in its order."""
    listed = [row[0] for row in rows(TEACHING.split("## Courses")[0], 3)]
    names = [name for row in listed for name in re.findall(r"^\[(\d\d_\w+)\]", row)]
    assert names == sorted(names)
    assert {path.stem for path in (ROOT / "notebooks").glob("[0-9]*.py")} <= set(names)


def test_every_function_is_where_it_is_written() -> None:
    """In the table of the order, and once in that of the difficulties, in the right column."""
    ordered = rows(TEACHING.split("## Courses")[0], 3)
    named = [(row[0][1:3], name) for row in ordered for name in re.findall(r"`(\w+)`", row[2])]
    assert sorted(name for _, name in named) == sorted(FUNCTIONS)
    for number, name in named:
        (path,) = (ROOT / "notebooks").glob(f"{number}_*.py")
        marks = [file.stem for file in (ROOT / "notebooks").glob("[0-9]*.py")
                 if f"# exercise: {name}\n" in file.read_text("utf-8")]  # fmt: skip
        assert marks in ([], [path.stem]), (name, marks)  # none: its notebook has not asked for it yet
    (levels,) = rows(TEACHING.split("## Fourteen functions")[1].split("\n## ")[0], 3)
    for level, cell in enumerate(levels, 1):
        wanted = {name for name, exercise in FUNCTIONS.items() if exercise.difficulty == level}
        assert set(re.findall(r"`(\w+)`", cell)) == wanted, level


PROJECTED = rows(TEACHING.split("## What to project")[1].split("\n### ")[0], 3)


def test_what_is_projected_is_named() -> None:
    assert len(PROJECTED) > 8


@pytest.mark.parametrize("row", PROJECTED, ids=lambda row: "_".join(row[:2]).replace(" ", "_").replace("`", ""))
def test_what_is_projected_is_there(row: list[str]) -> None:
    when, what, _ = row
    number, section = re.fullmatch(r"(\d\d), section (\d+)", when).groups()  # pyright: ignore[reportOptionalMemberAccess]
    assert has_section(number, section)
    if panel := re.match(r"`(\w+_panel)`", what):
        text = (ROOT / "lapnet_lab" / "lessons" / TOPICS[number] / "panels.py").read_text("utf-8")
        assert f"def {panel[1]}(" in text
        for state in re.findall(r"\*([^*]+)\*", what):
            assert f'"{state}"' in text, state
    else:
        situation = re.match(r"situation `(\w+)`", what)
        assert situation and situation[1] in presets.ABOUT  # noqa: PT018
        assert all(layer in LAYERS.values() for layer in re.findall(r"map \*([^*]+)\*", what))


def has_section(number: str, section: str) -> bool:
    (path,) = (ROOT / "notebooks").glob(f"{number}_*.py")
    return bool(re.search(rf"^# ## {section}\. ", path.read_text("utf-8"), re.MULTILINE))


def test_sections_that_are_named_exist() -> None:
    """ "02, sections 1 to 4", "03, sections 1, 2 and 4", "00, section 8"."""
    found = re.findall(r"\b(\d\d), sections? ([\d, ]+(?:(?:and|to) \d+)?)", TEACHING)
    assert len(found) > 30
    for number, sections in found:
        for section in re.findall(r"\d+", sections):
            assert has_section(number, section), f"{number}, section {section}"


@pytest.mark.slow
def test_students_are_told_what_is_theirs(tmp_path: Path) -> None:
    """The command of "Assess", in a folder that was handed in."""
    folder = tmp_path / "my_lapnet"
    write = f"from pathlib import Path; from lapnet_lab import mine; mine.write_solutions(Path({str(folder)!r}))"
    subprocess.run([sys.executable, "-c", write], cwd=ROOT, check=True)  # without the tests' hook on every function
    (command,) = re.findall(r"^\s*LAPNET_MINE=\S+ (.*mine\.table\(\).*)$", TEACHING, re.MULTILINE)
    words = shlex.split(command)
    assert words[0] == ".venv/bin/python"
    environment = {"LAPNET_MINE": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *words[1:]], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("yours") == len(FUNCTIONS)


@pytest.mark.slow
def test_slides_are_made_as_it_says(tmp_path: Path) -> None:
    """The lines of the page, as they stand there; with files of one's own the slides ask no other site for a script."""
    (marking,) = re.findall(r"```python\n(.*?)```", TEACHING, re.DOTALL)
    for folder in ("notebooks", "lapnet_lab"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    subprocess.run([sys.executable, "-c", marking], cwd=tmp_path, check=True)
    marked = nbformat.read(tmp_path / "02_pono_slides.ipynb", 4)
    slides = sum(cell.metadata.slideshow.slide_type == "slide" for cell in marked.cells)
    texts = [cell.source for cell in nbformat.read(ROOT / "notebooks" / "02_pono.ipynb", 4).cells]
    assert slides == sum(len(re.findall(r"^##? [A-Z1-9]", text, re.MULTILINE)) for text in texts) > 8
    commands = re.findall(r"^\.venv/bin/(jupyter nbconvert [^#\n]*)", TEACHING, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        subprocess.run([sys.executable, "-m", *shlex.split(command)], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "pages" / "02_pono.html").is_file()
    text = (tmp_path / "02_pono_slides.slides.html").read_text("utf-8")
    assert '"reveal.js/dist/reveal.js"' in text
    assert 'src="require.js"' in text
    assert text.count("<section>") > slides
