"""The exercises of a notebook, from their one source to the learner's and to the solved notebook.

In a .py an exercise that asks for a function is a code cell with the line `# exercise: NAME`; all else of it is in
`lapnet_lab.functions`. One that asks for a value is a text cell with a folded solution, and a code cell in which
`answer = None` is handed to `check("name", answer)`, or a stub is, `def answer(...):` with a docstring and `...` in its
last line. The solved notebook has the solution in that place.
"""

import ast
import re
from importlib import import_module
from typing import Any

import nbformat

from lapnet_lab.checks import Exercises
from lapnet_lab.functions import FUNCTIONS

MARK = re.compile(r"# exercise: (\w+)")
CHECK = re.compile(r'^check(?:\.(\w+)\((\w+)\)|\("(\w+)", (\w+))', re.MULTILINE)
SOLUTION = re.compile(r"<summary>Solution</summary>.*?```python\n(.*?)```", re.DOTALL)


def topic_of(name: str) -> str:
    """The lesson that a notebook belongs to: 02_pono -> pono; 00_start_here -> start."""
    topic = name.partition("_")[2]
    return {"start_here": "start"}.get(topic, topic)


def of_lesson(name: str) -> Exercises:
    """The exercises of the lesson that a notebook belongs to."""
    module = f"lapnet_lab.lessons.{topic_of(name)}.exercises"
    try:
        return import_module(module).EXERCISES
    except ModuleNotFoundError as problem:
        if problem.name is None or not module.startswith(problem.name):
            raise
        return Exercises({})


def expand(notebook: Any, solved: bool) -> Any:
    """A notebook as jupytext reads it, with its exercises written out."""
    cells: list[Any] = []
    number = 0
    for cell in notebook.cells:
        if cell.cell_type == "code" and (found := MARK.fullmatch(cell.source.strip())):
            number += 1
            exercise = FUNCTIONS[found[1]]
            cells.append(nbformat.v4.new_markdown_cell(exercise.text(f"Write it yourself {number}")))
            written = exercise.source() if solved else exercise.stub()
            cells.append(nbformat.v4.new_code_cell(f"{written}\n\n\ncheck.{exercise.name}({exercise.name})"))
            continue
        if solved and cell.cell_type == "code" and (asked := CHECK.search(cell.source)) and asked[4]:
            solutions = SOLUTION.findall(cells[-1].source) if cells and cells[-1].cell_type == "markdown" else []
            unanswered = rf"^(?:{asked[4]} = None.*|def {asked[4]}\((?:.*\n)+?    \.\.\.)$"
            parts = re.split(unanswered, cell.source, maxsplit=1, flags=re.MULTILINE)
            if len(solutions) != 1 or len(parts) != 2:
                raise ValueError(
                    f'{asked[0]}: it wants one folded solution above it, and "{asked[4]} = None" or a stub'
                )
            cell.source = solutions[0].rstrip().join(parts)
        cells.append(cell)
    notebook.cells = cells
    return notebook


def asked(cell: Any) -> tuple[str, str] | None:
    """(Name of the exercise, name of the answer) of a cell that checks one."""
    if cell.cell_type != "code" or not (found := CHECK.search(cell.source)):
        return None
    return (found[1] or found[3], found[2] or found[4])


def with_outputs(notebook: Any, solved: Any, exercises: Exercises) -> Any:
    """The learner's notebook with the outputs of the solved one; an exercise's are those of one that is not begun."""
    for cell, done in zip(notebook.cells, solved.cells, strict=True):
        if cell.cell_type != "code":
            continue
        cell.outputs, cell.execution_count = done.outputs, done.execution_count
        if exercise := asked(cell):
            verdict, begin = exercises.judge(exercise[0], None), f"Correct: {praise(exercises, exercise[0])}\n"
            for output in cell.outputs:
                if output.get("text", "").endswith(begin):
                    output.text = output.text.removesuffix(begin) + f"{verdict}\n"
                    break
            else:
                raise ValueError(f"{exercise[0]}: the solution is not correct; its cell printed {cell.outputs}")
    return notebook


def praise(exercises: Exercises, name: str) -> str:
    """What is said to the right answer."""
    return (exercises.functions[name] if name in exercises.functions else exercises[name]).praise


def used_elsewhere(solved: Any) -> list[str]:
    """Answers that another cell reads: the learner's notebook could not be run there before she has written one."""
    found = []
    answers: dict[str, str] = {}
    for cell in solved.cells:
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        tree = ast.parse(cell.source)
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        made = {node.id for node in names if isinstance(node.ctx, ast.Store)}
        made |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        exercise = asked(cell)
        for name in {node.id for node in names if isinstance(node.ctx, ast.Load)} & answers.keys() - made:
            found.append(f"a later cell reads {name}, the answer of {answers[name]}; mine.{name} works without one")
        for name in made:
            answers.pop(name, None)
        if exercise:
            answers[exercise[1]] = exercise[0]
    return found
