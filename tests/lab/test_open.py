"""The student's copy of the notebooks: up to date where she has changed nothing, hers where she has."""

import errno
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lapnet_lab import open as lab_open
from lapnet_lab.open import GLOSSARY, MANIFEST, ROOT, CannotCopy, Report, as_given, cells_digest, copy_notebooks

NAMES = ["00_start_here.ipynb", "02_pono.ipynb", "solved/02_pono.ipynb"]


def notebook(source: str, output: str = "") -> str:
    outputs = [{"output_type": "stream", "name": "stdout", "text": output}] if output else []
    cell = {"cell_type": "code", "source": [source], "outputs": outputs, "execution_count": None, "metadata": {}}
    whole = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


class Course:
    """What ships, and a copy."""

    def __init__(self, folder: Path) -> None:
        self.source, self.target = folder / "notebooks", folder / "my_notebooks"
        for name in NAMES:
            self.ship(name, "1")

    def ship(self, name: str, source: str, output: str = "") -> None:
        (self.source / name).parent.mkdir(parents=True, exist_ok=True)
        (self.source / name).write_text(notebook(source, output), "utf-8")

    def copy(self) -> Report:
        return copy_notebooks(self.source, self.target)

    def files(self) -> dict[str, str]:
        found = (path for path in self.target.rglob("*") if path.is_file() and path.name != MANIFEST)
        return {path.relative_to(self.target).as_posix(): path.read_text("utf-8") for path in found}

    def edit(self, name: str, text: str = "hers") -> None:
        (self.target / name).write_text(text, "utf-8")


@pytest.fixture
def course(tmp_path: Path) -> Course:
    return Course(tmp_path)


def test_all_are_copied_once_and_then_left(course: Course) -> None:
    (course.source / "02_pono.py").write_text("the source is not for her", "utf-8")
    (course.source / ".ipynb_checkpoints").mkdir()
    (course.source / ".ipynb_checkpoints" / "02_pono.ipynb").write_text("nor this", "utf-8")
    assert course.copy() == Report(copied=NAMES)
    assert course.files() == dict.fromkeys(NAMES, notebook("1"))
    assert course.copy() == Report()
    assert list(course.copy().lines(course.target)) == []


def test_what_she_has_not_changed_is_brought_up_to_date(course: Course) -> None:
    course.copy()
    course.ship("02_pono.ipynb", "2")
    assert course.copy() == Report(refreshed=["02_pono.ipynb"])
    assert course.files()["02_pono.ipynb"] == notebook("2")
    course.ship("02_pono.ipynb", "2", "new outputs")
    course.ship("solved/02_pono.ipynb", "1", "new outputs")
    assert course.copy() == Report(refreshed=["solved/02_pono.ipynb"])
    assert course.copy() == Report()


def test_her_notebooks_come_without_outputs_and_the_solved_ones_with_them(course: Course) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["É"], "metadata": {}},
        {
            "cell_type": "code",
            "source": ["1"],
            "metadata": {"tags": ["x"]},
            "outputs": [{"text": "1"}],
            "execution_count": 3,
        },
    ]
    whole = {
        "cells": cells,
        "metadata": {"kernelspec": {}, "widgets": {"state": 1}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    for name in ("02_pono.ipynb", "solved/02_pono.ipynb"):
        (course.source / name).write_text(json.dumps(whole), "utf-8")
    course.copy()
    assert course.files()["solved/02_pono.ipynb"] == json.dumps(whole)
    assert "É" in course.files()["02_pono.ipynb"]
    whole["metadata"] = {"kernelspec": {}}
    cells[1] |= {"outputs": [], "execution_count": None}
    assert json.loads(course.files()["02_pono.ipynb"]) == whole
    assert as_given(b"no notebook", "02_pono.ipynb") == b"no notebook"


def test_a_copy_of_the_version_before_loses_the_outputs_where_she_did_nothing(course: Course) -> None:
    """It gave the files with their outputs; all that it noted were their digests."""
    given = {}
    for name in NAMES:
        course.ship(name, "1", "as it shipped")
        place = course.target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(before := (course.source / name).read_bytes())
        given[name] = {"file": hashlib.sha256(before).hexdigest(), "cells": cells_digest(before)}
    (course.target / MANIFEST).write_text(json.dumps(given), "utf-8")
    course.edit("00_start_here.ipynb", notebook("1", "an hour of her machine"))
    assert course.copy() == Report(refreshed=["02_pono.ipynb"])
    assert course.files() == {
        "00_start_here.ipynb": notebook("1", "an hour of her machine"),
        "02_pono.ipynb": notebook("1"),
        "solved/02_pono.ipynb": notebook("1", "as it shipped"),
    }
    assert course.copy() == Report()
    (course.target / "02_pono.ipynb").write_bytes((course.source / "02_pono.ipynb").read_bytes())  # by hand
    (course.target / MANIFEST).unlink()
    report = course.copy()
    assert (report.refreshed, list(report.beside)) == (["02_pono.ipynb"], ["00_start_here.ipynb"])


def test_the_glossary_lies_beside_the_notebooks_and_all_links_lead_to_copies(course: Course) -> None:
    docs = course.source.parent / "docs"
    docs.mkdir()
    (docs / GLOSSARY).write_text("[02](../notebooks/02_pono.ipynb)", "utf-8")
    course.ship("00_start_here.ipynb", "[g](../docs/glossary.md)")
    course.ship("solved/02_pono.ipynb", "[g](../../docs/glossary.md)")
    assert course.copy() == Report(copied=[*NAMES, GLOSSARY])
    files = course.files()
    assert files[GLOSSARY] == "[02](02_pono.ipynb)"
    assert files["00_start_here.ipynb"] == notebook("[g](glossary.md)")
    assert files["solved/02_pono.ipynb"] == notebook("[g](../glossary.md)")
    (docs / GLOSSARY).write_text("more words", "utf-8")
    assert course.copy() == Report(refreshed=[GLOSSARY])
    course.edit(GLOSSARY, "her words")
    assert course.copy() == Report()
    (docs / GLOSSARY).write_text("still more", "utf-8")
    assert course.copy().beside == {GLOSSARY: "glossary (new).md"}
    assert course.files()[GLOSSARY] == "her words"
    assert course.copy() == Report()


def test_what_she_has_changed_stays_and_the_new_one_is_beside_it(course: Course) -> None:
    course.copy()
    for name in ("02_pono.ipynb", "solved/02_pono.ipynb"):
        course.edit(name)
    assert course.copy() == Report()  # nothing new ships
    for name in ("02_pono.ipynb", "solved/02_pono.ipynb"):
        course.ship(name, "2")
    report = course.copy()
    assert report.beside == {
        "02_pono.ipynb": "02_pono (new).ipynb", "solved/02_pono.ipynb": "solved/02_pono (new).ipynb",
    }  # fmt: skip
    line, _ = report.lines(course.target)
    assert line.endswith("02_pono.ipynb is yours and stays; its new version is beside it: 02_pono (new).ipynb")
    assert course.files()["02_pono.ipynb"] == "hers"
    assert course.files()["02_pono (new).ipynb"] == notebook("2")
    assert course.copy() == Report()
    (course.target / "02_pono (new).ipynb").unlink()
    assert course.copy() == Report(), "she has seen it"


def test_the_new_one_is_hers_too_once_she_works_in_it(course: Course) -> None:
    course.copy()
    course.edit("02_pono.ipynb")
    course.ship("02_pono.ipynb", "2")
    course.copy()
    course.ship("02_pono.ipynb", "3")
    assert course.copy().beside == {"02_pono.ipynb": "02_pono (new).ipynb"}  # she has not touched the one before
    assert course.files()["02_pono (new).ipynb"] == notebook("3")
    course.edit("02_pono (new).ipynb", "hers again")
    course.ship("02_pono.ipynb", "4")
    assert course.copy().beside == {"02_pono.ipynb": "02_pono (new 2).ipynb"}
    files = course.files()
    assert [files[f"02_pono{end}.ipynb"] for end in ("", " (new)", " (new 2)")] == [
        "hers", "hers again", notebook("4"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["02_pono.ipynb", "solved/02_pono.ipynb"])
def test_a_notebook_that_she_only_looked_at_is_not_hers(course: Course, name: str) -> None:
    """JupyterLab writes what it knows of the kernel into the metadata, and saves by itself."""
    course.ship(name, "1", "its outputs")
    course.copy()
    seen = json.loads((course.target / name).read_text("utf-8"))
    course.edit(name, json.dumps({**seen, "metadata": {"language_info": {"version": "3.11"}}}))
    assert course.copy() == Report()
    course.ship(name, "2")
    assert course.copy() == Report(refreshed=[name])
    assert json.loads(course.files()[name])["cells"][0]["source"] == ["2"]


def test_a_notebook_that_she_ran_is_hers_and_new_outputs_are_no_news(course: Course) -> None:
    course.copy()
    course.edit("02_pono.ipynb", notebook("1", "an hour of her machine"))
    course.ship("02_pono.ipynb", "1", "rebuilt")
    assert course.copy() == Report()
    assert "an hour of her machine" in course.files()["02_pono.ipynb"]
    assert cells_digest(notebook("1", "a").encode()) == cells_digest(notebook("1", "b").encode())
    assert cells_digest(notebook("1").encode()) != cells_digest(notebook("2").encode())
    assert cells_digest(b"{}") != cells_digest(b"no notebook")


def test_her_own_files_and_folders_are_not_touched(course: Course) -> None:
    (course.target / "00_start_here.ipynb").mkdir(parents=True)
    (course.target / "notes.txt").write_text("mine", "utf-8")
    (course.target / "02_pono.ipynb").write_text("mine before any manifest", "utf-8")
    report = course.copy()
    assert report.beside == {"02_pono.ipynb": "02_pono (new).ipynb"}
    assert course.files()["notes.txt"] == "mine"
    assert course.files()["02_pono.ipynb"] == "mine before any manifest"
    assert (course.target / "00_start_here.ipynb").is_dir()
    (course.target / "02_pono (new).ipynb").unlink()
    (course.target / "solved" / "02_pono.ipynb").unlink()  # she wants it as it was
    assert course.copy() == Report(copied=["solved/02_pono.ipynb"])


@pytest.mark.parametrize("manifest", ["", "[1]", '{"02_pono.ipynb": 3}', "\x00"])
def test_without_a_readable_manifest_nothing_of_hers_is_lost(course: Course, manifest: str) -> None:
    course.copy()
    course.edit("02_pono.ipynb")
    (course.target / MANIFEST).write_text(manifest, "utf-8")
    assert course.copy().beside == {"02_pono.ipynb": "02_pono (new).ipynb"}
    assert course.files()["02_pono.ipynb"] == "hers"


@pytest.mark.parametrize("after", range(6))
@pytest.mark.parametrize("problem", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=repr)
def test_interrupted_anywhere_every_file_is_whole(
    course: Course, monkeypatch: pytest.MonkeyPatch, after: int, problem: BaseException
) -> None:
    """The disk fills up, or she presses Ctrl-C, while a file is written; the next start ends what this one began."""
    course.copy()
    course.edit("02_pono.ipynb")
    for name in NAMES:
        course.ship(name, "2")
    calls, real = [], os.fsync

    def fsync(handle: int) -> None:
        calls.append(handle)
        if len(calls) > after:
            raise problem
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises((CannotCopy, KeyboardInterrupt)) as told:
            course.copy()
    if isinstance(told.value, CannotCopy):
        assert "The disk is full" in str(told.value)
        assert "make lab MY_NOTEBOOKS=" in str(told.value)
    assert set(course.files().values()) <= {notebook("1"), notebook("2"), "hers"}
    assert not list(course.target.rglob("*.partial"))
    (course.target / ".x.ipynb.1.partial").write_text("of one that was killed", "utf-8")
    course.copy()
    files = course.files()
    assert files.pop("02_pono.ipynb") == "hers"
    assert set(files.values()) == {notebook("2")}
    assert {"02_pono (new).ipynb", "00_start_here.ipynb", "solved/02_pono.ipynb"} == set(files)
    assert course.copy() == Report()


@pytest.mark.parametrize(
    ("code", "says"),
    [(errno.EROFS, "cannot be written"), (errno.EACCES, "Change its permissions"), (errno.EIO, "Try again")],
)
def test_what_cannot_be_written_is_told_with_a_remedy(
    course: Course, monkeypatch: pytest.MonkeyPatch, code: int, says: str
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(lab_open.Path, "mkdir", refuse)
    with pytest.raises(CannotCopy, match=says) as told:
        course.copy()
    assert "make lab MY_NOTEBOOKS=another/folder" in str(told.value)


def test_a_file_in_the_place_of_the_folder(course: Course) -> None:
    course.target.write_text("a file", "utf-8")
    with pytest.raises(CannotCopy, match="is no folder"):
        course.copy()
    assert course.target.read_text("utf-8") == "a file"


def test_without_notebooks_there_is_nothing_to_copy(tmp_path: Path) -> None:
    with pytest.raises(CannotCopy, match="There are no notebooks in"):
        copy_notebooks(tmp_path, tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_the_command_copies_what_ships_at_once(tmp_path: Path) -> None:
    """It needs nothing but the standard library, and leaves the tracked files as they are."""
    command = [sys.executable, "-S", "-P", str(ROOT / "lapnet_lab" / "open.py"), str(tmp_path / "mine")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shipped = {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert {path.name for path in (tmp_path / "mine").glob("*.ipynb")} == shipped
    assert f"{len(list((ROOT / 'notebooks').rglob('*.ipynb'))) + 1} files copied" in done.stdout
    assert '"output_type"' not in "".join(path.read_text("utf-8") for path in (tmp_path / "mine").glob("*.ipynb"))
    folders = (tmp_path / "mine", tmp_path / "mine" / "solved")
    for path in (file for folder in folders for file in (*folder.glob("*.ipynb"), *folder.glob("*.md"))):
        links = re.findall(r"\]\(([\w./]+\.(?:ipynb|md))[)#]", path.read_text("utf-8"))
        assert [link for link in links if not (path.parent / link).is_file()] == [], path
    (tmp_path / "a file").write_text("", "utf-8")
    refused = subprocess.run([*command[:-1], str(tmp_path / "a file")], capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.strip().count("\n") == 0


def test_make_lab_opens_the_copy() -> None:
    text = (ROOT / "Makefile").read_text("utf-8").replace("\\\n", " ")
    (recipe,) = re.findall(r"^lab:.*\n((?:\t.*\n)+)", text, re.MULTILINE)
    assert recipe.index("lapnet_lab/open.py '$(MY_NOTEBOOKS)'") < recipe.index("--notebook-dir='$(MY_NOTEBOOKS)'")
    assert "default_url=/lab/tree/00_start_here.ipynb" in recipe
    (folder,) = re.findall(r'JUPYTER_CONFIG_PATH="\$\(CURDIR\)/([\w/]+)', recipe)
    assert (ROOT / folder / "jupyter_server_config.py").is_file()
    page = json.loads((ROOT / folder / "labconfig" / "page_config.json").read_text("utf-8"))
    assert page["disabledExtensions"]["@jupyterlab/apputils-extension:announcements"]
    settings = json.loads((ROOT / folder / "labconfig" / "default_setting_overrides.json").read_text("utf-8"))
    viewers = settings["@jupyterlab/docmanager-extension:plugin"]["defaultViewers"]
    assert viewers == {"markdown": "Markdown Preview"}  # of the glossary; else a click shows its source


def test_git_does_not_see_the_copy() -> None:
    ignored = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert "/my_notebooks/" in ignored
