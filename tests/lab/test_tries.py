"""What there is to say about a learner's function, whatever it does: one sentence, with the smallest example."""

import ast
import re
import signal
import threading
import time
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from lapnet_lab import checks, compare, tries
from lapnet_lab.exercise import Exercise, FunctionExercise, Mistake, Unreadable, numbers
from lapnet_lab.tries import at_most, called, kind, same, try_out


def halves(x: Tensor, least: float) -> Tensor:
    """Half of x, at least `least`.

    x: (N,) float
    """
    return (x / 2).clamp(min=least)


def examples(generator: torch.Generator) -> list[Any]:
    large = [(torch.rand(5 + k, generator=generator) * 4, 0.5) for k in range(4)]
    return [*large, (torch.tensor([4.0]), 0.0), (torch.tensor([-4.0, 2.0]), 0.0), (torch.zeros(0), 0.0)]


EXERCISE = FunctionExercise(
    halves,
    title="Halves",
    task="Write `halves`.",
    praise="half of it.",
    hints=("Divide.", "By two."),
    difficulty=2,
    minutes=5,
    examples=examples,
    mistakes=(
        Mistake(lambda x, least: x / 2, "what becomes of the least?"),
        Mistake(lambda x, least: x * 2, "this is twice: what is half?"),
        Mistake(lambda x, least: (x > 0) & (x < least), "is this a half?"),
    ),
)


def said(function: Any, exercise: FunctionExercise = EXERCISE) -> str:
    found = try_out(exercise, function)
    return "" if found is None else found.message


def test_a_right_function_is_right_however_it_is_written() -> None:
    def loop(values, least):
        return torch.tensor([max(float(v) / 2, least) for v in values])

    def double(values, least):
        return torch.from_numpy(np.maximum(values.numpy().astype(np.float64) / 2, least))

    class Callable_:
        def __call__(self, x, least):
            return halves(x, least)

    for right in (halves, loop, double, lambda x, least, extra=1: halves(x, least), lambda *a: halves(*a), Callable_()):
        assert try_out(EXERCISE, right) is None


@pytest.mark.parametrize("nothing", [None, ...])
def test_nothing_is_not_begun(nothing: Any) -> None:
    found = try_out(EXERCISE, nothing)
    assert found is not None
    assert not found.begun


def test_a_stub_is_not_begun_and_a_function_without_return_is_wrong() -> None:
    space: dict[str, Any] = {"Tensor": Tensor}
    exec(EXERCISE.stub(), space)

    def passes(x, least):
        pass

    def forgets(x, least):
        (x / 2).clamp(min=least)

    def adds(x, least):
        x + least

    for stub in (space["halves"], passes):
        found = try_out(EXERCISE, stub)
        assert found is not None
        assert not found.begun
    for begun in (forgets, adds):
        found = try_out(EXERCISE, begun)
        assert found is not None
        assert found.begun
        assert "return" in found.message


def test_the_function_itself_is_asked_for_with_its_arguments() -> None:
    assert "without brackets" in said(torch.zeros(3))
    assert "1 argument; it is called with 2: x, least" in said(lambda x: x)
    assert "3 arguments" in said(lambda x, least, more: x)
    assert "0 arguments" in said(lambda: 1)
    assert said(torch.maximum) != ""  # a built-in function without a signature


def test_the_smallest_example_is_told() -> None:
    found = try_out(EXERCISE, lambda x, least: halves(x, least) + 1)
    assert found is not None
    assert found.example is not None
    assert (found.example[0].tolist(), found.expected.tolist(), found.got.tolist()) == ([4.0], [2.0], [3.0])
    assert found.message == "this is not the value that it should be."


def test_the_examples_are_the_same_each_time() -> None:
    def late(x, least):
        return halves(x, least) if len(x) < 5 else torch.full_like(x, 7)

    torch.manual_seed(1)
    first = try_out(EXERCISE, late)
    torch.rand(5)
    second = try_out(EXERCISE, late)
    assert first is not None
    assert second is not None
    assert first.example is not None
    assert second.example is not None
    assert torch.equal(first.example[0], second.example[0])
    assert len(first.example[0]) == 5


def test_the_first_mistake_that_agrees_on_all_examples_is_named() -> None:
    assert said(lambda x, least: x / 2) == "what becomes of the least?"
    assert said(lambda x, least: x + x) == "this is twice: what is half?"
    assert said(lambda x, least: x / 2 if len(x) < 5 else x) == "this is not the value that it should be."


def test_a_mistake_is_named_also_where_kind_or_shape_are_wrong() -> None:
    assert said(lambda x, least: (x < least) & (x > 0)) == "is this a half?"


def test_a_mistake_is_named_although_the_function_stops_elsewhere() -> None:
    def stops(x, least):
        return x * 2 if len(x) < 6 else x[99]

    assert said(stops) == "this is twice: what is half?"


def test_the_example_shown_is_one_on_which_the_mistake_can_be_seen() -> None:
    def above(x: Tensor, least: float) -> Tensor:
        return (x > least).nonzero().flatten()

    def below(x, least):
        return torch.tensor([k for k in range(len(x)) if x[k] < least])  # of floats where it is empty

    wrong = Mistake(lambda x, least: (x < least).nonzero().flatten(), "which side?")
    found = try_out(replace(EXERCISE, solution=above, mistakes=(wrong,)), below)
    assert found is not None
    assert found.message == "which side?"
    assert found.example is not None
    assert found.example[0].tolist() == [4.0]  # without values nothing is on the wrong side
    assert found.expected.tolist() == [0]


def products(a: Tensor, b: Tensor) -> Tensor:
    """Each of a by each of b."""
    return a[:, None] * b[None]


def of_sizes(*sizes: tuple[int, int]) -> Any:
    return lambda _generator: [(torch.arange(1.0, n + 1), torch.arange(1.0, m + 1)) for n, m in sizes]


@pytest.mark.parametrize("mistakes", [(), (Mistake(lambda a, b: a * b, "how many pairs are there?"),)])
def test_where_a_dimension_is_missing_the_example_has_none_of_one(mistakes: tuple[Mistake, ...]) -> None:
    pairs = replace(EXERCISE, solution=products, examples=of_sizes((1, 1), (1, 2), (2, 2), (3, 3)), mistakes=mistakes)
    shape = "it should return the shape (2, 2) here; yours returns (2,)."
    found = try_out(pairs, lambda a, b: a * b)
    assert found is not None
    assert found.message == (mistakes[0].says if mistakes else shape)
    assert found.got.tolist() == [1.0, 4.0]
    value = try_out(pairs, lambda a, b: products(a, b) + 1)  # of the right shape: the smallest
    assert value is not None
    assert value.got.tolist() == [[2.0]]
    alone = try_out(replace(pairs, examples=of_sizes((1, 1), (2, 3))), lambda a, b: a * b)  # it stops on the other
    assert alone is not None
    assert alone.got.tolist() == [1.0]


def test_where_it_stops_is_a_line_of_its_own(tmp_path: Any) -> None:
    text = "def helper(x):\n    return x[99]\n\ndef halves(x, least):\n    y = x / 2\n    return helper(y)\n"
    path = tmp_path / "cell.py"
    path.write_text(text)
    space: dict[str, Any] = {}
    exec(compile(text, str(path), "exec"), space)
    message = said(space["halves"])
    assert message.startswith("it stops in line 3, `return helper(y)`, with IndexError: ")
    assert "\n" not in message
    exec("def nowhere(x, least):\n    raise ValueError('no, and\\nno.')", space)
    assert said(space["nowhere"]) == "it stops in line 2, with ValueError: no, and."
    exec("def dotted(x, least):\n    raise ValueError('no.')", space)
    assert said(space["dotted"]) == "it stops in line 2, with ValueError: no."


def test_exceptions_become_sentences() -> None:
    def again(x, least):
        return again(x, least)

    def mute(x, least):
        raise ValueError

    assert "RecursionError" in said(again)
    assert said(mute).endswith("with ValueError: no words.")
    assert said(torch.linalg.svd).startswith("it stops with ") or "argument" in said(torch.linalg.svd)
    assert "ZeroDivisionError" in said(lambda x, least: 1 / 0)
    assert "NameError" in said(lambda x, least: unknown)
    assert tries.ONE_NUMBER not in said(lambda x, least: unknown)
    both = "is ambiguous. `max`, `min`, `if` and `and` take one number; tensors have torch.maximum"
    assert both in said(lambda x, least: max(torch.stack([x, x]), torch.stack([x, x])))


def test_what_changes_its_arguments_is_wrong_though_the_value_is_right() -> None:
    def in_place(x, least):
        return x.div_(2).clamp_(min=least)

    assert "copy" in said(in_place)
    assert "copy" in said(lambda x, least: halves(x.unsqueeze_(0), least)[0])


def test_what_is_printed_or_warned_of_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    def talks(x, least):
        print("x is", x)
        warnings.warn("so it is", stacklevel=1)
        return halves(x, least)

    assert said(talks) == ""
    assert capsys.readouterr().out == ""


def test_a_loop_without_end_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[BaseException] = []

    class Rung(tries.TooSlow):
        def __init__(self) -> None:
            rung.append(self)

    monkeypatch.setattr(tries, "SECONDS", 0.2)
    monkeypatch.setattr(tries, "TooSlow", Rung)

    def loops(x, least):
        while True:
            pass

    def catches(x, least):
        try:
            while True:
                pass
        except Exception:
            return x

    def sometimes(x, least):  # wrong on a small example, and without end on others
        while len(x) > 4:
            pass
        return x

    for function in (loops, catches):
        assert said(function) == "after 0.2 seconds it had not come back. Does a loop ever end?"
    assert said(sometimes) == "this is not the value that it should be."
    assert len(rung) == 3  # and not once for each example


def double(values: Any) -> Any:
    return [2 * value for value in values]


def given_back(function: Any, *given: Any, **how: Any) -> str:
    with pytest.raises(Unreadable) as told:
        called(function, *given, asked="double(values)", **how)
    return str(told.value)


def test_a_function_that_an_exercise_calls_itself_is_told_the_same() -> None:
    assert called(double, [1, 2], asked="double(values)") == [2, 4]
    assert given_back(3, [1]) == "this needs a function, double(values); what came is of type int."
    assert "takes 2 arguments; it is called as double(values)" in given_back(lambda a, b: a, [1])
    assert "is there a `return`?" in given_back(lambda values: None, [1])
    assert "with IndexError" in given_back(lambda values: values[9], [1])

    def in_place(values):
        values.sort()
        return values

    handed = [2, 1]
    assert "work on a copy" in given_back(in_place, handed)
    assert called(in_place, handed, asked="double(values)", in_place=True) == [1, 2]
    assert handed == [2, 1]


def test_a_gradient_flows_to_what_is_handed_to_a_function() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    called(lambda x: (x * x).sum(), x, asked="f(x)").backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2.0, 4.0]


def test_the_check_of_a_value_comes_back_whatever_function_it_is_handed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tries, "SECONDS", 0.2)
    verify = lambda answer: "" if called(answer, 3, asked="f(x)") == 6 else "this is not twice."  # noqa: E731
    exercises = checks.Exercises({"twice": Exercise("write f.", "twice it is.", "two times", verify)})

    def loops(x):
        while x:
            pass

    def talks(x):
        print("x is", x)
        return 2 * x

    assert exercises.judge("twice", loops).message == "after 0.2 seconds it had not come back. Does a loop ever end?"
    assert exercises.judge("twice", talks).done is True
    assert capsys.readouterr().out == ""


def test_no_number_is_no_number() -> None:
    with pytest.raises(Unreadable, match="one number; what came has a nan in it"):
        numbers(float("nan"), (), "one number")


def test_what_came_is_shown_whatever_its_kind() -> None:
    exercises = checks.Exercises({}, [EXERCISE])
    short = exercises.judge("halves", lambda x, least: x[:0])
    assert short.message.splitlines()[-1] == "  got      []"
    assert short.figure is None
    long = exercises.judge("halves", lambda x, least: np.arange(500).reshape(5, 100))
    assert len(long.message.splitlines()) == 6
    assert max(map(len, long.message.splitlines())) < 130


def test_the_alarm_of_others_goes_on() -> None:
    rung: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    left = signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with at_most(5):
            pass
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 0.3
        time.sleep(0.4)
        assert rung == [1]
    finally:
        signal.setitimer(signal.ITIMER_REAL, *left)
        signal.signal(signal.SIGALRM, before)


def test_without_alarms_a_function_is_tried_too() -> None:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(try_out(EXERCISE, halves)))
    thread.start()
    thread.join()
    assert found == [None]


def test_the_further_check_speaks_last_and_stops_as_the_function_does() -> None:
    strict = replace(EXERCISE, also=lambda function: "and now?" if function(torch.ones(1), 0.0).item() else "")
    assert said(halves, strict) == "and now?"
    assert said(lambda x, least: x, strict) != "and now?"

    def large(x, least):
        return halves(x, least) if len(x) < 50 else x[99]

    also = replace(EXERCISE, also=lambda function: function(torch.ones(60), 0.0) and "")
    assert "IndexError" in said(large, also)


@pytest.mark.parametrize(
    ("expected", "got", "words"),
    [
        (torch.zeros(2), [0.0, 0.0], "a list"),
        (torch.zeros(2), np.zeros(2), "an ndarray"),
        (torch.zeros(2), torch.zeros(3), r"\(2,\) here; yours returns \(3,\)"),
        (torch.zeros(2), torch.zeros(2, 1), r"\(2, 1\)"),
        (torch.tensor(1.0), 1.0, "a gradient flows"),
        (torch.tensor(1.0), torch.ones(1), r"\(1,\)"),
        (torch.ones(2, dtype=torch.bool), torch.ones(2), "torch.bool"),
        (torch.ones(2, dtype=torch.int64), torch.ones(2), "whole numbers"),
        (torch.ones(2, dtype=torch.int64), torch.ones(2, dtype=torch.bool), "whole numbers"),
        (torch.ones(0, dtype=torch.bool), torch.tensor([]), "float32. torch.tensor of .* add `dtype=torch.bool`"),
        (torch.ones(0, dtype=torch.int64), torch.tensor([]), "float32. torch.tensor of .* add `dtype=torch.int64`"),
        (torch.ones(0, dtype=torch.int64), torch.ones(0).double(), "yours returns torch.float64.$"),
        (torch.ones(2), torch.tensor([1.0, torch.nan]), "not finite"),
        (1.0, "1", "one number"),
        (1.0, torch.ones(2), "one number"),
        (1.0, torch.tensor(1j), "one number"),
    ],
)
def test_the_wrong_kind_is_told(expected: Any, got: Any, words: str) -> None:

    assert re.search(words, kind(expected, got))


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        (1.5, torch.tensor(1.5)), (1.5, torch.tensor([1.5])), (1.5, np.float32(1.5)), (2.0, 2), (2.0, np.int64(2)),
        (torch.ones(2), torch.ones(2, dtype=torch.float64)), (torch.ones(2), torch.ones(2, requires_grad=True)),
        (torch.ones(2, dtype=torch.int64), torch.ones(2, dtype=torch.int32)), (torch.zeros(0), torch.zeros(0)),
        (torch.tensor([torch.nan]), torch.tensor([torch.nan])), (torch.tensor([1.0]), torch.tensor([1.000001])),
    ],
)  # fmt: skip
def test_equal_values_are_equal_whatever_they_are_made_of(expected: Any, got: Any) -> None:
    assert kind(expected, got) == ""
    assert same(expected, got, 1e-5)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (torch.ones(2), torch.ones(3)), (torch.ones(1, 2), torch.ones(2)), (1.0, 1.001), (torch.ones(1), 2.0),
        (torch.tensor([torch.nan]), torch.zeros(1)), (torch.tensor([torch.inf]), torch.zeros(1)), ("a", "b"),
        (1e-3, 1.1e-3),
    ],
)  # fmt: skip
def test_other_values_are_not(a: Any, b: Any) -> None:
    assert not same(a, b, 1e-5)
    assert not same(b, a, 1e-5)


def test_the_stub_and_the_text() -> None:
    tree = ast.parse(EXERCISE.stub())
    (function,) = tree.body
    assert isinstance(function, ast.FunctionDef)
    assert ast.get_docstring(function) == "Half of x, at least `least`.\n\nx: (N,) float"
    assert len(function.body) == 2
    text = EXERCISE.text("2.1")
    assert text.startswith("**2.1. Halves** *(●●○, 5 minutes)*. Write `halves`.")
    assert [text.count(part) for part in ("<details>", "</details>", "Divide.", "By two.", "clamp(min=least)")] == (
        [3, 3, 1, 1, 1]
    )


def test_the_verdict_says_it_with_the_example_and_a_figure() -> None:
    exercises = checks.Exercises({}, [EXERCISE])
    assert exercises.judge("halves", halves).done is True
    assert str(exercises.judge("halves", None)) == "Not yet: write halves; then run this cell."
    wrong = exercises.judge("halves", lambda x, least: x * 2)
    assert wrong.done is False
    assert wrong.message.splitlines() == [
        "this is twice: what is half?", "The smallest example on which it fails:", "  x = [4.0]", "  least = 0",
        "  expected [2.0]", "  got      [8.0]",
    ]  # fmt: skip
    assert wrong.figure is None  # one value is not drawn
    several = exercises.judge("halves", lambda x, least: halves(x, least) + (len(x) > 1))
    assert isinstance(several.figure, Figure)
    assert exercises.judge("halves", lambda x, least: x[:, 99]).figure is None


def test_values_are_written_short() -> None:
    assert compare.written(torch.zeros(5, 6)) == "a tensor of shape (5, 6)"
    assert compare.written(torch.tensor([[0.123456, 1.0]])) == "[[0.1235, 1.0]]"
    assert compare.written(torch.tensor(True)) == "True"
    assert compare.written(1 / 3) == "0.3333"
    assert compare.written(7) == "7"


@pytest.mark.parametrize(
    ("expected", "got", "drawn"),
    [
        (torch.rand(3, 4), torch.rand(3, 4), True), (torch.rand(3), torch.full((3,), torch.nan), True),
        (torch.tensor([True, False]), torch.tensor([True, True]), True), (torch.rand(2), torch.rand(3), False),
        (torch.rand(50, 2), torch.rand(50, 2), False), (torch.rand(0, 2), torch.rand(0, 2), False), (1.0, 2.0, False),
        (torch.rand(2, 2, 2), torch.rand(2, 2, 2), False),
    ],
)  # fmt: skip
def test_both_are_drawn_side_by_side_where_they_can_be(expected: Any, got: Any, drawn: bool) -> None:
    figure = compare.side_by_side((), expected, got)
    assert (figure is not None) == drawn
    if figure is not None:
        figure.canvas.draw()
