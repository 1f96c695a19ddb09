"""Whatever a learner hands in for one of the functions, a sentence comes back, and it is the right one."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lapnet_lab import tries
from lapnet_lab.checks import Exercises, Verdict
from lapnet_lab.exercise import FunctionExercise
from lapnet_lab.functions import ALL
from lapnet_lab.tries import TooSlow

EXERCISES = Exercises({}, ALL)
every = pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.name)


def judged(exercise: FunctionExercise, function: Any) -> Verdict:
    verdict = EXERCISES.judge(exercise.name, function)
    assert "Traceback" not in str(verdict)
    return verdict


def refused(exercise: FunctionExercise, function: Any) -> str:
    verdict = judged(exercise, function)
    assert verdict.done is False
    return verdict.message


def arguments(exercise: FunctionExercise) -> int:
    return len(inspect.signature(exercise.solution).parameters)


def around(exercise: FunctionExercise, change: Callable[[Any], Any]) -> Callable[..., Any]:
    """The solution, with something done to what it returns."""
    return lambda *given: change(exercise.solution(*given))


@every
def test_what_is_not_begun_is_no_mistake(exercise: FunctionExercise) -> None:
    space: dict[str, Any] = {"Tensor": Tensor}
    exec(exercise.stub(), space)
    for answer in (None, ..., space[exercise.name]):
        assert judged(exercise, answer).done is None


@every
def test_a_right_one_may_talk(exercise: FunctionExercise, capsys: pytest.CaptureFixture[str]) -> None:
    def talks(*given):
        print(*given)
        return exercise.solution(*given)

    assert judged(exercise, talks).done is True
    assert capsys.readouterr().out == ""


@every
def test_the_solution_called_is_not_the_function(exercise: FunctionExercise) -> None:
    example = exercise.examples(torch.Generator().manual_seed(0))[5]
    assert f"check.{exercise.name}({exercise.name})" in refused(exercise, exercise.solution(*example))


@every
def test_another_number_of_arguments_is_told(exercise: FunctionExercise) -> None:
    assert "0 arguments" in refused(exercise, lambda: 1)
    assert "6 arguments" in refused(exercise, lambda a, b, c, d, e, f: 1)
    fewer = (lambda: 1, lambda a: a, lambda a, b: a, lambda a, b, c: a, lambda a, b, c, d: a)
    one_less = refused(exercise, fewer[arguments(exercise) - 1])
    assert f"called with {arguments(exercise)}" in one_less


@every
def test_nothing_is_returned(exercise: FunctionExercise) -> None:
    def forgets(*given):
        exercise.solution(*given)

    assert "return" in refused(exercise, forgets)


@every
def test_it_stops(exercise: FunctionExercise) -> None:
    def divides(*given):
        return given[0] / (len(given) - len(given)) if isinstance(given[0], int) else given[0][:, :, 99]

    def endless(*given):
        return endless(*given)

    assert refused(exercise, divides).startswith("it stops in line 2, `")
    assert "RecursionError" in refused(exercise, endless)


@every
def test_it_does_not_come_back(exercise: FunctionExercise, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tries, "SECONDS", 0.05)

    def loops(*_given):
        while True:
            pass

    assert "0.05 seconds" in refused(exercise, loops)


@every
def test_it_changes_what_it_is_given(exercise: FunctionExercise) -> None:
    def spoils(*given):
        answer = exercise.solution(*given)
        for value in given:
            if isinstance(value, Tensor):
                value.zero_()
        return answer

    verdict = judged(exercise, spoils)
    assert verdict.done is (exercise.name == "learning_rate")  # that has no tensor to spoil
    assert verdict.done or "copy" in verdict.message


@every
def test_another_kind_or_shape_is_told(exercise: FunctionExercise) -> None:
    assert "yours returns a str" in refused(exercise, around(exercise, lambda _: "answer"))
    is_tensor = isinstance(exercise.solution(*exercise.examples(torch.Generator())[5]), Tensor)
    if is_tensor:
        assert "the shape" in refused(exercise, around(exercise, lambda x: x[None]))
        assert "a list" in refused(exercise, around(exercise, lambda x: x.reshape(-1).tolist()))
        assert "an ndarray" in refused(exercise, around(exercise, lambda x: x.detach().numpy()))
    else:
        assert "one number" in refused(exercise, around(exercise, lambda x: torch.full((3,), x)))
        assert "one number" in refused(exercise, around(exercise, lambda x: [x]))


@every
def test_a_value_that_is_off_is_shown(exercise: FunctionExercise) -> None:
    def off(answer):
        return ~answer if isinstance(answer, Tensor) and answer.dtype == torch.bool else answer + 1

    message = refused(exercise, around(exercise, off))
    assert "The smallest example on which it fails:" in message
    assert "expected " in message
    assert "got " in message


def test_too_slow_is_not_caught_as_an_exception() -> None:
    assert not issubclass(TooSlow, Exception)
