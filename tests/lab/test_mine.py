"""What a learner has written is kept as a file, read elsewhere, checked again, and never lost."""

import functools
import inspect
import linecache
import math
from types import ModuleType

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from lapnet_lab import mine
from lapnet_lab.functions import FUNCTIONS
from lapnet_lab.tries import try_out


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
    assert inspect.unwrap(mine.learning_rate) is own
    text = (folder / "learning_rate.py").read_text()
    assert text.startswith("import math\n")
    assert text.index("SHARE = 1.0") < text.index("def left") < text.index("def learning_rate")
    mine.forget()  # another notebook
    assert inspect.unwrap(mine.learning_rate) is not own
    assert mine.learning_rate(5, 10, 0.1, 2) == pytest.approx(0.025)
    assert mine.whose("learning_rate") == "yours"
    assert "learning_rate           yours" in mine.table()
    assert len(mine.table().splitlines()) == len(FUNCTIONS)


def other_dtype(name, dtype):
    """The solution as one writes it who computes in another dtype; its check takes it."""

    def own(*given):
        return FUNCTIONS[name].solution(*given).to(dtype)

    assert try_out(FUNCTIONS[name], own) is None
    mine.keep(name, own)


def test_what_hers_returns_can_be_compared_with_the_librarys():
    boxes, sizes = torch.tensor([[0.0, 0, 4, 4], [1, 0, 5, 4]]), torch.tensor([[4.0, 2], [6, 3]])
    for name, given in (("iou", (boxes, boxes)), ("kmeans_step", (sizes, sizes)), ("pono", (boxes.T, boxes.argmax(1)))):
        other_dtype(name, torch.float64)
        assert mine.function(name)(*given).dtype == torch.float32
    assert mine.iou(boxes.double(), boxes.double()).dtype == torch.float64
    other_dtype("clusters", torch.int32)
    assert torch.equal(mine.clusters(boxes), FUNCTIONS["clusters"].solution(boxes))  # torch.equal wants one dtype
    fit = torch.tensor([0.9, 0.1], requires_grad=True)
    assert mine.ams_labels(torch.ones(2), fit).tolist() == [True, False]
    other_dtype("weighted_cross_entropy", torch.float64)
    mine.weighted_cross_entropy(fit[None], torch.tensor([[True, False]]), torch.ones(1)).backward()
    assert fit.grad is not None


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
    assert inspect.unwrap(mine.learning_rate) is own
    assert not folder.exists()


def test_arguments_and_variables_may_be_called_as_something_of_the_notebook(folder):
    """A cell above has made a `steps`, and a tensor `share`; the function means its own."""
    text = (
        "def learning_rate(step, steps, base, power):\n    share = 1 - step / steps\n    return base * share**power\n"
    )
    own = cell(text, "learning_rate", {"steps": torch.arange(3), "share": torch.ones(1)})
    assert mine.keep("learning_rate", own) == ""
    assert (folder / "learning_rate.py").read_text() == text


SHORT = "def my_rate(step, steps, base, power):\n    return base * (1 - step / steps) ** power\n"


@pytest.mark.parametrize(
    ("code", "handed"),
    [
        (SHORT, "my_rate"),
        (SHORT + "alias = my_rate", "alias"),
        (SHORT + "learning_rate = my_rate", "learning_rate"),
        (RATE.replace("def left", "def other") + "left = other", "learning_rate"),
        ("rate = lambda s, n, base, p: base * (ONE - s / n) ** p", "rate"),
        (
            "rates = dict(\n    mine=lambda s, n, base, p: base\n    * (1 - s / n) ** p,\n)\nrate = rates['mine']",
            "rate",
        ),
        ("left = lambda s, n: 1 - s / n\ndef rate(s, n, base, p):\n    return base * left(s, n) ** p", "rate"),
        (SHORT + "rate = functools.partial(my_rate)", "rate"),
        (
            "def five(one, s, n, base, p):\n    return base * (one - s / n) ** p\nrate = functools.partial(five, ONE)",
            "rate",
        ),
        ("rate = functools.partial(lambda s, n, base, p, one: base * (one - s / n) ** p, one=1.0)", "rate"),
        (
            "def rate(s, n, base, p):\n    return base * (left(s, n)) ** p\n"
            "def share(s, n, one):\n    return one - s / n\nleft = functools.partial(share, one=1)",
            "rate",
        ),
        (
            "@functools.lru_cache\ndef rate(s, n, base, p):\n"
            "    return base * (1 - s / n) ** p if s else rate(1, 2, base, 0)",
            "rate",
        ),
    ],
)
def test_a_function_of_another_name_is_found_elsewhere(folder, code, handed):
    own = cell(code, handed, {"functools": functools, "ONE": 1})
    assert mine.keep("learning_rate", own) == ""
    mine.forget()
    assert mine.whose("learning_rate") == "yours"
    assert mine.learning_rate(5, 10, 0.1, 2) == pytest.approx(0.025)


def test_the_exercises_name_is_bound_at_the_end(folder):
    mine.keep("learning_rate", cell(SHORT, "my_rate"))
    assert (folder / "learning_rate.py").read_text() == SHORT + "\n\nlearning_rate = my_rate\n"
    assert mine.keep("pono", FUNCTIONS["pono"].solution) == ""
    assert "pono = " not in (folder / "pono.py").read_text()


def test_a_function_of_a_library_is_kept_under_its_own_name(folder):
    assert mine.keep("iou", box_iou) == ""
    assert (folder / "iou.py").read_text().endswith("\n\n\niou = box_iou\n")
    mine.forget()
    assert mine.whose("iou") == "yours"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float64(1e-12), "1e-12"),
        (np.float32(0.5), "0.5"),
        (np.int64(3), "3"),
        (np.bool_(True), "True"),
        (np.float64("inf"), 'float("inf")'),
        ((np.float64(0.5), [1, np.int32(2)], ("a",), ()), "(0.5, [1, 2], ('a',), ())"),
        ([math.inf, -1], '[float("inf"), -1]'),
        (torch.Size([2, 3]), "(2, 3)"),
    ],
)
def test_constants_are_written_as_plain_python(folder, value, text):
    own = cell(SHORT.replace("return", "KNOWN\n    return"), "my_rate", {"KNOWN": value})
    assert mine.keep("learning_rate", own) == ""
    assert (folder / "learning_rate.py").read_text().startswith(f"KNOWN = {text}\n")
    mine.forget()
    assert mine.whose("learning_rate") == "yours"


@pytest.mark.parametrize("value", [torch.ones(1), (torch.ones(1),), np.ones(2), np.datetime64("2020-01-01"), {"a": 1}])
def test_what_is_no_plain_constant_is_said(folder, value):
    own = cell(SHORT.replace("return", "KNOWN\n    return"), "my_rate", {"KNOWN": value})
    assert "it uses KNOWN, which lives in the notebook only" in mine.keep("learning_rate", own)
    assert not folder.exists()


class Rate:
    def __call__(self, step, steps, base, power):
        return base * (1 - step / steps) ** power

    def rate(self, step, steps, base, power):
        return self(step, steps, base, power)


Rate.__module__ = "__main__"  # as a notebook's
Rate.rate.__module__ = "__main__"
CLASH = SHORT.replace("my_rate", "learning_rate") + "def better(*four):\n    return learning_rate(*four)"


@pytest.mark.parametrize(
    ("own", "why"),
    [
        (cell(SHORT.replace("steps)", "eval('N'))"), "my_rate", {"N": 1}), "its text is not right by now: it stops"),
        (cell(SHORT.replace("r):", "r, n=eval('N')):"), "my_rate", {"N": 1}), "its text cannot be run (NameError: "),
        (cell(CLASH, "better"), "it uses something else that is called learning_rate"),
        (cell(CLASH + "\nshort = lambda *four: learning_rate(*four)", "short"), "called learning_rate"),
        (cell("a, rate = lambda: 0, lambda s, n, base, p: base * (1 - s / n) ** p", "rate"), "more than one lambda"),
        (Rate(), "it is an object"),
        (Rate().rate, "it is an object"),
        (functools.partial(Rate()), "it is an object"),
    ],
)  # fmt: skip
def test_what_is_not_right_by_itself_replaces_nothing_and_is_said(folder, own, why):
    mine.keep("learning_rate", cell(RATE, "learning_rate"))
    before = (folder / "learning_rate.py").read_text()
    said = mine.keep("learning_rate", own)
    assert said.startswith("(It is used in this notebook, but could not be written down for the others: ")
    assert why in said
    assert said.endswith(".)")
    assert said.count("\n") == 0
    assert inspect.unwrap(mine.learning_rate) is own
    assert [file.name for file in folder.iterdir()] == ["learning_rate.py"]
    assert (folder / "learning_rate.py").read_text() == before
    mine.forget()
    assert mine.whose("learning_rate") == "yours"


def test_a_folder_that_cannot_be_written_is_said(folder):
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("a file")
    assert "could not be written down" in mine.keep("learning_rate", cell(RATE, "learning_rate"))


def test_the_solutions_written_down_are_all_right(folder):
    mine.write_solutions(folder)
    assert {mine.whose(name) for name in FUNCTIONS} == {"yours"}
    assert len(FUNCTIONS) == 14
