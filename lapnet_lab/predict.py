"""Predict first: a question whose guess is committed before the answer is shown."""

import html
from collections.abc import Sequence
from typing import Any

import ipywidgets


class Predict(ipywidgets.VBox):
    """A question with choices. The answer shows when a guess is committed, and the guess stays beside it.

    Args:
        question: one sentence.
        choices: at least two, told apart.
        answer: the number of the right one, from 0.
        because: why, in a sentence or two; what the next cell shows.
    """

    def __init__(self, question: str, choices: Sequence[str], answer: int, because: str) -> None:
        if len(set(choices)) != len(choices) or not 0 <= answer < len(choices) >= 2:
            raise ValueError(f"answer {answer}: of at least two choices that differ, one is right; got {choices}")
        self.question, self.options, self.answer, self.because = question, tuple(choices), answer, because
        self.guess: int | None = None
        """The committed one."""
        self.choices = ipywidgets.RadioButtons(
            options=[(choice, k) for k, choice in enumerate(choices)], value=None, layout={"width": "auto"}
        )
        self.button = ipywidgets.Button(description="Commit", disabled=True, tooltip="Show the answer to this guess")
        self.said = ipywidgets.HTML()
        super().__init__([ipywidgets.HTML(f"<b>{html.escape(question)}</b>"), self.choices, self.button, self.said])
        self.choices.observe(self._chosen, "value")
        self.button.on_click(self._commit)

    def _chosen(self, _change: Any) -> None:
        self.button.disabled = self.choices.value is None or self.guess is not None

    def _commit(self, _button: Any) -> None:
        if self.choices.value is None or self.guess is not None:
            return
        self.guess = int(self.choices.value)
        self.choices.disabled = self.button.disabled = True
        right = self.guess == self.answer
        verdict = "So it is" if right else f"You said “{self.options[self.guess]}”. It is “{self.options[self.answer]}”"
        self.said.value = f'<div aria-live="polite"><b>{html.escape(verdict)}</b>: {html.escape(self.because)}</div>'

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle: Any = super()._repr_mimebundle_(**kwargs)
        data, *metadata = bundle if isinstance(bundle, tuple) else (bundle,)
        listed = "".join(f"<li>{html.escape(choice)}</li>" for choice in self.options)
        answer = f"“{html.escape(self.options[self.answer])}”: {html.escape(self.because)}"
        data = {
            **data,
            "text/plain": "\n".join([f"Predict: {self.question}", *(f"( ) {choice}" for choice in self.options)]),
            # Where no widget can be shown the answer is folded away.
            "text/html": f"<p><b>{html.escape(self.question)}</b></p><ul>{listed}</ul>"
            f"<details><summary>Answer</summary>{answer}</details>",
        }
        return (data, *metadata) if metadata else data
