"""The exercises of a notebook as they stand in its text."""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from solutions import CHECK, SOLUTION

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


def _text(notebook: str) -> str:
    """The source of a notebook, its text cells without the marks of a comment."""
    return re.sub(r"^# ?", "", (NOTEBOOKS / f"{notebook}.py").read_text(encoding="utf-8"), flags=re.MULTILINE)


def exercises_of(notebook: str) -> list[tuple[str, str, str]]:
    """(code of the folded solution, name of the check, variable that it looks at) of each exercise, in order."""
    text = _text(notebook)
    solutions = SOLUTION.findall(text)
    checks = [(name, answer) for _, _, name, answer in CHECK.findall(text) if name]
    assert len(solutions) == len(checks)
    return [(solution, *check) for solution, check in zip(solutions, checks, strict=True)]


def code_in_folds(notebook: str) -> list[str]:
    """The code of every "For the curious" of a notebook, which nobody runs but the curious and a test."""
    folds = re.findall(r"<summary>For the curious: .*?</details>", _text(notebook), flags=re.DOTALL)
    return [code for fold in folds for code in re.findall(r"```python\n(.*?)```", fold, flags=re.DOTALL)]


def check_stub(check: Callable[[Any], object], capsys: Any) -> None:
    """Neither nothing nor an untouched stub is an answer to an exercise; `check` prints what it says of one."""

    def stub(given: Any) -> Any:
        """As the notebook hands it out, with nothing but this behind it."""

    for answer in (None, stub):
        check(answer)
        assert capsys.readouterr().out.startswith("Not yet: ")


def check_solutions(
    notebook: str, exercises: Iterable[str], judge: Callable[..., Any], given: Callable[[str], dict[str, Any]],
    known: Callable[[], dict[str, Any]] = dict,
) -> None:  # fmt: skip
    """Every exercise of the lesson is in its notebook, in order, and its folded solution is judged right.

    Args:
        given: what `check` hands to the judge of an exercise.
        known: the names that the notebook has by then.
    """
    found = exercises_of(notebook)
    assert [name for _, name, _ in found] == list(exercises)
    for solution, name, variable in found:
        names = known()
        exec(solution, names)
        for answer in (names[variable], *in_other_styles(names[variable])):
            assert judge(name, answer, **given(name)).done is True, (name, answer)


def in_other_styles(answer: Any) -> Iterator[Any]:
    """The same numbers as others write them: a tensor of float64, an array of float32, plain Python."""
    if isinstance(answer, int | float | tuple | list | torch.Tensor):
        yield torch.as_tensor(answer, dtype=torch.float64)
        yield np.asarray(answer, dtype=np.float32)
        yield torch.as_tensor(answer).tolist()
