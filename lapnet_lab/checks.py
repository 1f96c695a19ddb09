"""Checks of the exercises. An answer is compared with what `lapnet_core` itself gives, and whatever is handed in comes
back as a sentence: a student never sees a traceback from here."""

from dataclasses import dataclass
from typing import Any

from lapnet_lab.exercise import Exercise, Unreadable


@dataclass(frozen=True)
class Verdict:
    """`done` is None for an exercise that is not begun."""

    done: bool | None
    message: str

    def __str__(self) -> str:
        return f"{ {None: 'Not yet', True: 'Correct', False: 'Not quite'}[self.done] }: {self.message}"


class Exercises(dict[str, Exercise]):
    """The exercises of one lesson by name; its notebook calls `check`."""

    def judge(self, name: str, answer: Any, **given: Any) -> Verdict:
        """What there is to say about an answer.

        Args:
            name: of the exercise.
            answer: the student's; None is an exercise that is not begun.
            given: what the exercise starts from, handed on to its check.
        """
        if name not in self:
            return Verdict(False, f'there is no exercise "{name}"; there are {", ".join(self)}.')
        exercise = self[name]
        if answer is None or answer is ...:
            return Verdict(None, exercise.task)
        try:
            wrong = exercise.verify(answer, **given)
        except Unreadable as problem:
            return Verdict(False, str(problem))
        except Exception as problem:  # a student's answer can be anything at all
            hint = f"Hint: {exercise.hint}"
            return Verdict(False, f"the check could not read this answer ({type(problem).__name__}). {hint}")
        return Verdict(False, f"{wrong} Hint: {exercise.hint}") if wrong else Verdict(True, exercise.praise)

    def check(self, name: str, answer: Any, **given: Any) -> None:
        """Print what `judge` says."""
        print(self.judge(name, answer, **given))
