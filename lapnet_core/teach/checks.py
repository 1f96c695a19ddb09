"""Checks of the exercises. An answer is compared with what `lapnet_core` itself gives, and whatever is handed in comes
back as a sentence: a student never sees a traceback from here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lapnet_core.teach import ambiguity, balance, clustering, network, overlap, start
from lapnet_core.teach.exercise import Exercise, Unreadable


@dataclass(frozen=True)
class Verdict:
    """`done` is None for an exercise that is not begun."""

    done: bool | None
    message: str

    def __str__(self) -> str:
        return f"{ {None: 'Not yet', True: 'Correct', False: 'Not quite'}[self.done] }: {self.message}"


EXERCISES: Mapping[str, Exercise] = {
    name: exercise
    for notebook in (start, clustering, overlap, ambiguity, balance, network)
    for name, exercise in notebook.EXERCISES.items()
}


def judge(name: str, answer: Any, **given: Any) -> Verdict:
    """What there is to say about an answer.

    Args:
        name: a key of `EXERCISES`.
        answer: the student's; None is an exercise that is not begun.
        given: what the exercise starts from, handed on to its check.
    """
    if name not in EXERCISES:
        return Verdict(False, f'there is no exercise "{name}"; there are {", ".join(EXERCISES)}.')
    exercise = EXERCISES[name]
    if answer is None or answer is ...:
        return Verdict(None, exercise.task)
    try:
        wrong = exercise.verify(answer, **given)
    except Unreadable as problem:
        return Verdict(False, str(problem))
    except Exception as problem:  # a student's answer can be anything at all
        return Verdict(False, f"the check could not read this answer ({type(problem).__name__}). Hint: {exercise.hint}")
    return Verdict(False, f"{wrong} Hint: {exercise.hint}") if wrong else Verdict(True, exercise.praise)


def check(name: str, answer: Any, **given: Any) -> None:
    """Print what `judge` says."""
    print(judge(name, answer, **given))
