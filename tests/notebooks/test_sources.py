"""Learner's and solved notebooks come of one source, and numbers in the text are held."""

import copy

import build
import jupytext
import nbformat
import order
import prose
import pytest
import solutions

from lapnet_lab.checks import Exercises
from lapnet_lab.exercise import Exercise
from lapnet_lab.functions import FUNCTIONS

SOURCE = """# %% [markdown]
# # Title
#
# Some words.

# %%
# exercise: pono

# %% [markdown]
# **Exercise 1. Half** *(five minutes)*. What is half of 42?
#
# <details><summary>Solution</summary>
#
# ```python
# half = 42 / 2
# ```
# </details>

# %%
print("half of 42")
half = None  # a number

check("half", half)
"""
EXERCISES = Exercises(
    {"half": Exercise("say it.", "it is.", "divide.", lambda answer: "" if answer == 21 else "no.")},
    (FUNCTIONS["pono"],),
)


def notebook(solved):
    return solutions.expand(jupytext.reads(SOURCE, "py:percent"), solved)


def test_an_exercise_becomes_a_stub_and_a_solution():
    learner, solved = notebook(False), notebook(True)
    assert [cell.cell_type for cell in learner.cells] == ["markdown", "markdown", "code", "markdown", "code"]
    assert "<summary>Second hint</summary>" in learner.cells[1].source
    assert learner.cells[2].source.endswith('    """\n    ...\n\n\ncheck.pono(pono)')
    assert FUNCTIONS["pono"].source() in solved.cells[2].source
    assert "half = None  # a number" in learner.cells[4].source
    assert 'print("half of 42")\nhalf = 42 / 2\n' in solved.cells[4].source
    namespace = {"check": lambda *_: None}
    exec(solved.cells[4].source, namespace)
    assert namespace["half"] == 21


def executed(text="half of 42\nCorrect: it is.\n"):
    solved = notebook(True)
    shown = {2: f"Correct: {FUNCTIONS['pono'].praise}\n", 4: text}
    for k, said in shown.items():
        solved.cells[k].outputs = [nbformat.v4.new_output("stream", text=said)]
        solved.cells[k].execution_count = k
    return solved


def test_the_learners_outputs_are_those_of_exercises_not_begun():
    done = solutions.with_outputs(notebook(False), executed(), EXERCISES)
    assert done.cells[2].outputs[0].text == "Not yet: write pono; then run this cell.\n"
    assert done.cells[4].outputs[0].text == "half of 42\nNot yet: say it.\n"
    assert [cell.execution_count for cell in done.cells if cell.cell_type == "code"] == [2, 4]


def test_a_solution_that_is_not_correct_is_no_solution():
    with pytest.raises(ValueError, match="half: the solution is not correct"):
        solutions.with_outputs(notebook(False), executed("Not quite: no.\n"), EXERCISES)


@pytest.mark.parametrize("change", [("half = 42 / 2", "other = 1"), ("half = None  # a number", "half = 1")])
def test_a_solution_has_a_place(change):
    source = SOURCE.replace(*change) if change[0].startswith("half = None") else SOURCE.replace("```python", "```")
    with pytest.raises(ValueError, match="one folded solution"):
        solutions.expand(jupytext.reads(source, "py:percent"), True)


def test_an_answer_is_read_nowhere_else():
    solved = notebook(True)
    assert solutions.used_elsewhere(solved) == []
    later = copy.deepcopy(solved)
    later.cells.append(nbformat.v4.new_code_cell("print(half)"))
    assert "reads half" in solutions.used_elsewhere(later)[0]
    later.cells[-1].source = "half = 3\nprint(half)"
    assert solutions.used_elsewhere(later) == []
    later.cells[-1].source = "pono(ious, owner)"
    assert "mine.pono" in solutions.used_elsewhere(later)[0]


def code(*sources):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])


@pytest.mark.parametrize(
    "read",
    [
        "print(found)",
        "other = [found[k] for k in (0, 1)]",
        "found += 1",
        "found = found + 1",
        "for k in found:\n    found = k",
        "def g(x):\n    return found",
        "g = lambda x: found",
    ],
)
def test_a_cell_that_is_run_again_sees_what_it_saw(read):
    (told,) = order.not_run_again(code("found = 1", read, "found = 2"))
    assert told.startswith("cell 1 reads found, which cell ")


@pytest.mark.parametrize(
    ("first", "read"),
    [
        ("found = 1", "found = 3\nprint(found)"),  # it binds the name itself
        ("other = 1", "print(found)"),  # it could not have been run before
        ("found = 1", "other = [found for found in range(3)]"),
        ("found = 1", "other = {k: [found for found in k] for k in ()}"),
        ("found = 1", "g = lambda found: found"),
        ("found = 1", "def g(found):\n    return found"),
        ("found = 1", "def g():\n    found = 3\n    return found"),
    ],
)
def test_a_name_of_its_own_may_be_bound_by_others(first, read):
    assert list(order.not_run_again(code(first, read, "for found in (): pass"))) == []


@pytest.mark.parametrize("name", build.NOTEBOOKS)
def test_learners_may_run_any_cell_again(name):
    assert list(order.not_run_again(build.source_of(name, solved=True))) == []


@pytest.mark.parametrize("name", build.NOTEBOOKS)
def test_every_exercise_of_a_lesson_is_in_its_notebook(name):
    cells = [solutions.asked(cell) for cell in build.source_of(name, solved=True).cells]
    exercises = solutions.of_lesson(name)
    assert sorted(cell[0] for cell in cells if cell) == sorted([*exercises, *exercises.functions])


def test_every_function_is_an_exercise_of_one_notebook():
    found = [name for notebook in build.NOTEBOOKS for name in solutions.of_lesson(notebook).functions]
    assert sorted(found) == sorted(FUNCTIONS)


def test_neighbours_and_time_stand_under_the_title():
    cells = build.source_of("02_pono").cells
    first = cells[0].source.splitlines()
    assert first[0].startswith("# ")
    assert "[◂ 01_anchors](01_anchors.ipynb)" in first[2]
    assert "[03_ambiguity ▸](03_ambiguity.ipynb)" in first[2]
    assert "(solved/02_pono.ipynb)" in first[2]
    assert "LAPNET_TIER=laptop" in first[4]
    assert first[2] == cells[-1].source.splitlines()[-1]
    for same_in_every_tier in ("06_detections", "11_bug_hunt"):
        fourth = build.source_of(same_in_every_tier).cells[0].source.splitlines()[4]
        assert "minutes to read and run" in fourth
        assert "LAPNET_TIER" not in fourth
    assert "(../02_pono.ipynb)" in build.source_of("02_pono", solved=True).cells[0].source


def text_of(*sources, printed="", tags=()):
    cells = [nbformat.v4.new_markdown_cell(source) for source in sources]
    code = nbformat.v4.new_code_cell("side = 640  # pixels")
    code.outputs = [nbformat.v4.new_output("stream", text=printed)]
    code.metadata["tags"] = list(tags)
    return nbformat.v4.new_notebook(cells=[cells[0], code, *cells[1:]])


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("It is 0.44 at best.", "best 0.4437"),
        ("It is 30 % of them.", "share 0.298"),
        ("It is 30 % of them.", "share 30.2%"),
        ("There are 1,393 objects.", "objects 1393"),
        ("There are 640 pixels.", ""),
        ("See section 9, eq. 1, tables 2a and 2b, and exercise 3 of 23 November 2026 (3.2).", ""),
        ("One, 1 or 2 of them; `7` and $8 = 9 - 1$.", ""),
        ("About <!--given-->5 of 7<!--/given-->, or <!--record start.map-->.42<!--/record-->.", ""),
        ("VOC07 and DarkNet-53 with AP50.", ""),
        ("1. A list.\n2. Of two.\n3. Of three.", ""),
    ],
)
def test_a_number_that_is_held(text, printed):
    assert list(prose.unheld(text_of("# T", text, printed=printed))) == []


@pytest.mark.parametrize(
    ("text", "printed", "tags"),
    [
        ("It is 0.45 at best.", "best 0.4437", ()),
        ("It is 31 % of them.", "share 0.298", ()),
        ("There are 1,394 objects.", "objects 1393", ()),
        ("It is 0.44 at best.", "best 0.4437", ("nbval-ignore-output",)),
        ("There are 7 of them.", "", ()),
    ],
)
def test_a_number_that_nothing_holds(text, printed, tags):
    (found,) = prose.unheld(text_of("# T", text, printed=printed, tags=tags))
    assert found.number in text
    assert found.cell == 2
    assert "nothing holds" in str(found)


def test_a_short_number_has_to_be_held_in_its_section():
    far = text_of("# T", "## 2\n\nNothing.", "## 3\n\nIt is 0.4.", printed="0.4")
    assert len(list(prose.unheld(far))) == 1
    near = text_of("# T", "## 2\n\nIt is 0.4.", printed="0.4")
    assert list(prose.unheld(near)) == []


def test_words_are_those_that_one_reads():
    text = "# Two words\n\nThree more words `not_counted`.\n\n<details>not these</details>\n\n```python\nnor = 1\n```"
    assert prose.words(text_of(text)) == 6


def test_minutes_count_exercises_on_top():
    read, do = prose.minutes(text_of("# T", "*(●●○, 10 minutes)*", "*(five minutes)*"))
    assert (read, do) == (5, 15)
