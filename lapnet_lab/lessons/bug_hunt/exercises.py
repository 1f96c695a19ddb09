"""Exercises of notebook 11."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from lapnet_lab.checks import Check, Exercises
from lapnet_lab.exercise import Exercise, Unreadable
from lapnet_lab.lessons.bug_hunt import patients, study
from lapnet_lab.tries import called

ABOUT = {
    "A": ("measured against the picture's luckiest object, the others look worse than they are.",
          "compare the largest O of each object in the crowd, and in the picture with one person."),
    "B": ("a rider and what is ridden cover each other nearly completely, and both are there.",
          "which box was lost, and what is the class of the one that covers it?"),
    "C": ("a gradient of 0 is not enough: the velocity goes on. `hold_without_positives` is there for that.",
          "look at what happens after the dotted line."),
    "D": ("it is right at 0.5, where everybody tests it; a well-known textbook had this for years.",
          "set the threshold to 0.8. What changes on the map, and what among the positives?"),
    "E": ("the network finds that an anchor which fits nothing is never blamed, and stops fitting.",
          "the loss falls. Which of its parts can fall by making the boxes worse?"),
    "F": ("at a stride of 8 that is 4 px: nothing for a bus, and half of a bird.",
          "the largest O of every object is 1, so the division is right. Where is the map?"),
}  # fmt: skip
"""Praise and hint for each patient."""


def _diagnosis(answer: Any, *, letter: str) -> str:
    if not isinstance(answer, str) or answer not in study.CAUSES:
        raise Unreadable(f"this needs one of the words {', '.join(study.CAUSES)}.")
    if answer == study.TRUTH[letter]:
        return ""
    return f"if {study.CAUSES[answer]}, {study.WOULD[answer]}. Is it so?"


def _mended_loss(answer: Any) -> str:
    generator = torch.Generator().manual_seed(0)
    for _ in range(8):
        score = torch.randn(5, generator=generator)
        overlap, raw = torch.rand(5, generator=generator), torch.rand(5, generator=generator)
        overlap[0], raw[0] = 1.0, 0.5  # a product of exactly 0.5
        values, gradients = [], []
        for function in (answer, patients.healthy_loss):
            leaf_score, fit = score.clone().requires_grad_(), raw.clone().requires_grad_()
            found = called(function, leaf_score, overlap, fit, asked="mended_loss(score, overlap, predicted_iou)")
            value = torch.as_tensor(found).to(score.dtype)  # float64 is right, too
            if value.shape != () or not value.requires_grad:
                raise Unreadable("this needs one number through which score and predicted_iou are trained.")
            values.append(value)
            gradients.append(torch.autograd.grad(value, (leaf_score, fit), allow_unused=True))
        (mine, right), ((mine_score, mine_fit), (right_score, right_fit)) = values, gradients
        if torch.isclose(mine, right, atol=1e-4):
            for name, own, due in (("score", mine_score, right_score), ("predicted_iou", mine_fit, right_fit)):
                if own is None or not torch.allclose(own, due, atol=1e-4):
                    return f"the value is right, but {name} is not trained as it should be: what does detach() cut off?"
            continue
        tied = (overlap * raw >= 0.5).float()
        if torch.isclose(mine, ((1 - raw) ** 2).mean() + 4 * cross_entropy(score, tied), atol=1e-4):
            return "a product of exactly 0.5 is positive in yours: is the comparison of eq. 3 strict?"
        if torch.isclose(mine.detach(), patients.loss_e(score, overlap, raw), atol=1e-4):
            (pull,) = torch.autograd.grad(((1 - fit) ** 2).mean(), fit)
            if mine_fit is not None and torch.allclose(mine_fit, pull, atol=1e-4):
                return "nothing flows back through the label any more, but it is soft; eq. 3 says yes or no."
            return "this is E's own: the label is O times O_hat, and both parts of the loss pull at O_hat."
        return "the value is not localisation + 4 * cross-entropy against the label of eq. 3."
    return ""


def _mended_update(answer: Any) -> str:
    asked = "mended_update(s, gradient, velocity, has_positive, rate)"
    generator = torch.Generator().manual_seed(0)
    for _ in range(8):
        s, gradient, velocity = torch.randn(3, 6, generator=generator)
        has = torch.rand(6, generator=generator) < 0.5
        has[0] = True
        gradient[0] = 0  # by chance, and not for want of a positive
        gradient = torch.where(has, gradient, 0)
        found = called(answer, s, gradient, velocity, has, 0.1, asked=asked, in_place=True)  # as optimisers do
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise Unreadable("this needs two results: s and velocity.")
        new, later = (torch.as_tensor(values).to(s.dtype) for values in found)
        if new.shape != s.shape:
            raise Unreadable(f"s has to keep its shape {tuple(s.shape)}; yours has {tuple(new.shape)}.")
        if torch.allclose(new[has], (0.9 * velocity + gradient)[has], atol=1e-5):
            return "the two have changed places: s first, then the velocity."
        if not torch.equal(new[~has], s[~has]):
            return "a slot without a positive has moved. What does its velocity do there?"
        right = s - 0.1 * (0.9 * velocity + gradient)
        if torch.allclose(new[has], (s - 0.1 * gradient)[has]) and not torch.allclose(new[has], right[has]):
            return "slots with a positive have lost their momentum; only those without one are to be held."
        if torch.allclose(new, torch.where(gradient != 0, right, s), atol=1e-5):
            return "a slot with a positive stood still, as its gradient happened to be 0: ask `has_positive`."
        if not torch.allclose(new[has], right[has], atol=1e-5):
            return "slots with a positive should go as C's did: s - rate * (0.9 * velocity + gradient)."
        if later.shape != s.shape or not torch.allclose(later[has], (0.9 * velocity + gradient)[has], atol=1e-5):
            return "s is right, but the velocity that you hand on is not the new one: the next step goes on from it."
    return ""


def _patient(letter: str) -> Exercise:
    praise, hint = ABOUT[letter]
    verify: Callable[..., str] = partial(_diagnosis, letter=letter)
    return Exercise(f'replace None by the word of a cause, as in "{next(iter(study.CAUSES))}".', praise, hint, verify)


EXERCISES = Exercises(
    {f"patient_{letter.lower()}": _patient(letter) for letter in study.TRUTH}
    | {
        "mended_loss": Exercise(
            "write the loss with the label of eq. 3.",
            "the label says yes or no, and nothing flows back through it.",
            "`detach()` cuts a tensor from its gradient; `(condition).float()` makes 0 and 1.",
            _mended_loss,
        ),
        "mended_update": Exercise(
            "write the update that holds a slot without a positive.",
            "whatever the optimiser remembers, a slot that has seen nothing stays where it is.",
            "compute the step as before, then choose with torch.where between it and the old s.",
            _mended_update,
        ),
    }
)
check, judge = Check(EXERCISES), EXERCISES.judge
