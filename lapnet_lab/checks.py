"""Checks of the exercises. An answer is compared with what `lapnet_core` itself gives, and whatever is handed in comes
back as a sentence: a student never sees a traceback from here."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from types import FunctionType
from typing import Any

from matplotlib.figure import Figure

from lapnet_lab import compare, mine
from lapnet_lab.exercise import Exercise, FunctionExercise, Unreadable
from lapnet_lab.tries import TooSlow, at_most, is_stub, kind, late, quiet, try_out

LONGEST = 100
"""Letters of an exception that are shown."""


@dataclass(frozen=True)
class Verdict:
    """`done` is None for an exercise that is not begun. `figure` shows where a function fails."""

    done: bool | None
    message: str
    figure: Figure | None = None

    def __str__(self) -> str:
        return f"{ {None: 'Not yet', True: 'Correct', False: 'Not quite'}[self.done] }: {self.message}"


class Exercises(dict[str, Exercise]):
    """The exercises of one lesson by name. Its notebook calls `check("name", value)`, and `check.name(function)`.

    Args:
        values: the exercises that ask for a value.
        functions: those that ask for a function.
    """

    def __init__(self, values: Mapping[str, Exercise], functions: Sequence[FunctionExercise] = ()) -> None:
        super().__init__(values)
        self.functions = {exercise.name: exercise for exercise in functions}

    def judge(self, name: str, answer: Any, **given: Any) -> Verdict:
        """What there is to say about an answer.

        Args:
            name: of the exercise.
            answer: the student's; None is an exercise that is not begun.
            given: what the exercise starts from, handed on to its check.
        """
        if name in self.functions:
            return self._judge_function(self.functions[name], answer)
        if name not in self:
            return Verdict(False, f'there is no exercise "{name}"; there are {", ".join([*self, *self.functions])}.')
        exercise = self[name]
        if answer is None or answer is ... or (isinstance(answer, FunctionType) and _is_written_stub(answer)):
            return Verdict(None, exercise.task)
        try:
            with quiet(), at_most(exercise.seconds) if callable(answer) else nullcontext():
                wrong = exercise.verify(answer, **given)
        except Unreadable as problem:
            return Verdict(False, str(problem))
        except TooSlow:
            return Verdict(False, late(exercise.seconds, exercise.slow))
        except Exception as problem:  # a student's answer can be anything at all
            words = (str(problem).strip().splitlines() or ["no words"])[0][:LONGEST].rstrip(".")
            said = f"{type(problem).__name__}: {words}"
            made = [name for name, value in given.items() if not isinstance(value, int | float | str)]
            asks = f" Is what it is compared by ({', '.join(made)}) as its cell made it?" if made else ""
            return Verdict(False, f"the check could not read this answer ({said}).{asks} Hint: {exercise.hint}")
        return Verdict(False, f"{wrong} Hint: {exercise.hint}") if wrong else Verdict(True, exercise.praise)

    def _judge_function(self, exercise: FunctionExercise, function: Any) -> Verdict:
        found = try_out(exercise, function)
        if found is None:
            return Verdict(True, exercise.praise)
        if not found.begun:
            return Verdict(None, f"write {exercise.name}; then run this cell.")
        if found.example is None:
            return Verdict(False, found.message)
        words = compare.in_words(exercise, found.example, found.expected, found.got)
        figure = None
        if found.got is not None and not kind(found.expected, found.got):
            figure = (exercise.draw or compare.side_by_side)(found.example, found.expected, found.got)
        return Verdict(False, f"{found.message}\n{words}", figure)

    def check(self, name: str, answer: Any, **given: Any) -> None:
        """Print what `judge` says, and show where a function fails. A function that is right is kept
        (`lapnet_lab.mine`)."""
        verdict = self.judge(name, answer, **given)
        print(verdict)
        if verdict.figure is not None:
            from IPython.display import display

            display(verdict.figure)
        if verdict.done and name in self.functions and (problem := mine.keep(name, answer)):
            print(problem)


def _is_written_stub(function: FunctionType) -> bool:
    """Whether it is a `def` as the notebook hands it out; a lambda is somebody's answer."""
    return function.__name__ != "<lambda>" and is_stub(function)


class Check:
    """`check("name", value)` for an exercise that asks for a value, `check.name(function)` for one that asks for a
    function."""

    def __init__(self, exercises: Exercises) -> None:
        self._exercises = exercises

    def __call__(self, name: str, answer: Any, **given: Any) -> None:
        self._exercises.check(name, answer, **given)

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("__"):
            raise AttributeError(name)
        return partial(self._exercises.check, name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._exercises.functions]
