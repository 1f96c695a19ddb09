"""A guess is committed before the answer is shown, and stays beside it."""

from typing import Any

import pytest

from lapnet_lab.predict import Predict

QUESTION, CHOICES, BECAUSE = "Which <peak> is higher?", ("the cup's & saucer's", "the can's", "neither"), "both are 1."


def asked() -> Predict:
    return Predict(QUESTION, CHOICES, 2, BECAUSE)


def commit(widget: Predict, guess: int) -> None:
    widget.choices.value = guess
    widget.button.click()


def test_nothing_is_told_before_a_guess() -> None:
    widget = asked()
    assert (widget.guess, widget.said.value, widget.choices.value) == (None, "", None)
    assert widget.button.disabled
    widget.button.click()  # as from a keyboard
    assert (widget.guess, widget.said.value) == (None, "")
    widget.choices.value = 0
    assert not widget.button.disabled
    assert widget.said.value == ""


@pytest.mark.parametrize("guess", [0, 1, 2])
def test_a_guess_stays_beside_the_answer(guess: int) -> None:
    widget = asked()
    commit(widget, guess)
    told = widget.said.value
    assert widget.guess == guess
    assert BECAUSE in told
    assert ("So it is" in told) == (guess == 2)
    assert ("neither" in told) == (guess != 2)
    assert widget.choices.disabled
    assert widget.button.disabled


def test_a_guess_is_committed_once() -> None:
    widget = asked()
    commit(widget, 0)
    told = widget.said.value
    commit(widget, 2)
    assert (widget.guess, widget.said.value) == (0, told)
    assert widget.button.disabled


def test_text_is_text_and_no_markup() -> None:
    widget = asked()
    commit(widget, 0)
    assert "saucer&#x27;s" in widget.said.value
    assert "&amp;" in widget.said.value
    page = widget._repr_mimebundle_()
    data: Any = page[0] if isinstance(page, tuple) else page
    assert "<peak>" not in data["text/html"]
    assert "&lt;peak&gt;" in data["text/html"]


def test_without_widgets_the_question_is_read_and_the_answer_folded() -> None:
    page = asked()._repr_mimebundle_()
    data: Any = page[0] if isinstance(page, tuple) else page
    assert data["text/plain"].splitlines() == [f"Predict: {QUESTION}", *(f"( ) {choice}" for choice in CHOICES)]
    assert BECAUSE not in data["text/plain"]
    question, folded = data["text/html"].split("<details>")
    assert "neither" in question
    assert BECAUSE not in question
    assert BECAUSE in folded
    assert "application/vnd.jupyter.widget-view+json" in data


@pytest.mark.parametrize(
    ("choices", "answer"), [(("a", "a"), 0), (("a",), 0), ((), 0), (("a", "b"), 2), (("a", "b"), -1)]
)
def test_a_question_without_one_right_answer_is_refused(choices: tuple[str, ...], answer: int) -> None:
    with pytest.raises(ValueError, match="one is right"):
        Predict(QUESTION, choices, answer, BECAUSE)
