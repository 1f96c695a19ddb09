"""What a learner has written is kept as a file, read elsewhere, checked again, and never lost."""

import linecache
import math
from types import ModuleType

import pytest
import torch

from lapnet_lab import mine
from lapnet_lab.functions import FUNCTIONS


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LAPNET_MINE", str(tmp_path / "my_lapnet"))
    mine.forget()
    yield tmp_path / "my_lapnet"
    mine.forget()


def cell(code, name, known=None):
    """A function as a notebook's cell makes it: defined in __main__, its text known to inspect."""
    file = f"<cell {hash(code)}>"
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    module = ModuleType("__main__")
    vars(module).update({"torch": torch, "math": math} | (known or {}))
    exec(compile(code, file, "exec"), vars(module))
    return vars(module)[name]


RATE = """\
SHARE = 1.0
def left(step, steps):
    return SHARE - step / steps


def learning_rate(step, steps, base, power):
    return base * math.pow(left(step, steps), power)
"""


def test_the_librarys_until_there_is_one():
    assert mine.pono is FUNCTIONS["pono"].solution
    assert mine.whose("pono") == "the library's"
    with pytest.raises(AttributeError, match="iou"):
        mine.nothing  # noqa: B018


def test_what_is_kept_is_used_here_and_elsewhere(folder):
    own = cell(RATE, "learning_rate")
    assert mine.keep("learning_rate", own) == ""
    assert mine.learning_rate is own
    text = (folder / "learning_rate.py").read_text()
    assert text.startswith("import math\n")
    assert text.index("SHARE = 1.0") < text.index("def left") < text.index("def learning_rate")
    mine.forget()  # another notebook
    assert mine.learning_rate is not own
    assert mine.learning_rate(5, 10, 0.1, 2) == pytest.approx(0.025)
    assert mine.whose("learning_rate") == "yours"
    assert "learning_rate           yours" in mine.table()
    assert len(mine.table().splitlines()) == len(FUNCTIONS)


def test_an_older_version_stays_beside_a_newer_one(folder):
    first = cell(RATE, "learning_rate")
    mine.keep("learning_rate", first)
    mine.keep("learning_rate", first)
    assert [file.name for file in folder.iterdir()] == ["learning_rate.py"]
    older = (folder / "learning_rate.py").read_text()
    for k in range(2):
        mine.keep(
            "learning_rate", cell(RATE.replace("SHARE - step", f"SHARE - {k + 1} / {k + 1} * step"), "learning_rate")
        )
    assert {file.name for file in folder.iterdir()} == {f"learning_rate{n}.py" for n in ("", ".1", ".2")}
    assert (folder / "learning_rate.1.py").read_text() == older


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("def learning_rate(:", "cannot be run (SyntaxError"),
        ("x = 1", "cannot be run (KeyError"),
        ("def learning_rate(step, steps, base, power):\n    return base", "not right by now"),
        ("raise SystemError('no')", "cannot be run (SystemError: no)"),
    ],
)
def test_a_file_that_is_not_right_is_not_used_and_it_is_said(folder, text, why):
    folder.mkdir()
    (folder / "learning_rate.py").write_text(text)
    assert mine.learning_rate is FUNCTIONS["learning_rate"].solution
    assert why in mine.whose("learning_rate")
    assert (folder / "learning_rate.py").read_text() == text


def test_what_cannot_be_written_down_is_used_and_said(folder):
    own = cell(RATE.replace("SHARE = 1.0\n", ""), "learning_rate", {"SHARE": torch.ones(1)})
    said = mine.keep("learning_rate", own)
    assert "SHARE" in said
    assert mine.learning_rate is own
    assert not folder.exists()


def test_arguments_and_variables_may_be_called_as_something_of_the_notebook(folder):
    """A cell above has made a `steps`, and a tensor `share`; the function means its own."""
    text = (
        "def learning_rate(step, steps, base, power):\n    share = 1 - step / steps\n    return base * share**power\n"
    )
    own = cell(text, "learning_rate", {"steps": torch.arange(3), "share": torch.ones(1)})
    assert mine.keep("learning_rate", own) == ""
    assert (folder / "learning_rate.py").read_text() == text


def test_a_folder_that_cannot_be_written_is_said(folder):
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("a file")
    assert "could not be written down" in mine.keep("learning_rate", cell(RATE, "learning_rate"))


def test_the_solutions_written_down_are_all_right(folder):
    mine.write_solutions(folder)
    assert {mine.whose(name) for name in FUNCTIONS} == {"yours"}
    assert len(FUNCTIONS) == 13
