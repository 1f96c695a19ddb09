"""Exercises of notebook 07."""

import random
from collections.abc import Mapping
from typing import Any

from lapnet_lab.checks import Check, Exercises
from lapnet_lab.exercise import Exercise, Unreadable
from lapnet_lab.functions import LEARNING_RATE
from lapnet_lab.lessons.training.failures import CASES
from lapnet_lab.lessons.training.study import stop
from lapnet_lab.tries import called

TRIES = 300


def nasty_maps(seed: int = 0) -> list[tuple[list[float], int]]:
    """Results of validations, with ties, plateaus and zeros, and a patience."""
    draw = random.Random(seed)
    edges = [([0.5], 1), ([0.0, 0.0, 0.0], 2), ([0.1, 0.1, 0.2], 1), ([0.3, 0.2, 0.1], 0), ([0.3, 0.2, 0.4, 0.1], 2)]
    drawn = [([draw.randint(0, 6) / 10 for _ in range(draw.randint(1, 12))], draw.randint(0, 4)) for _ in range(TRIES)]
    return [*edges, *drawn]


def _patience(answer: Any) -> str:
    for maps, patience in nasty_maps():
        told = f"mAP {maps} with patience {patience}"
        given = called(answer, maps, patience, asked="stops(maps, patience)")
        try:
            made, best = map(float, given)  # of a tuple, a list, an array
        except (TypeError, ValueError):
            raise Unreadable(
                f"for {told} two numbers are asked for, (validations, best); what came is {given!r}."
            ) from None
        truth = stop(range(len(maps)), maps, patience)
        right = (truth.ended + 1, truth.best)
        if (made, best) == right:
            continue
        if made == right[0]:
            if best == maps[right[1]]:
                return f"for {told}: {best:g} is the mAP of the best one; its number is asked for."
            if best in range(len(maps)) and maps[int(best)] == maps[right[1]]:
                return f"for {told}: of equal results the first is the best; nothing better has come since."
            if made <= best < len(maps):
                return f"for {told}: number {best:g} is never made, as the training has ended before it."
            return f"for {told} the best one is number {right[1]} (from 0), not {best:g}."
        if patience == 0:
            return f"for {told}: a patience of 0 never ends a training."
        return f"for {told} it ends after {right[0]} validations, not after {made:g}."
    return ""


def _diagnosis(answer: Any, *, truth: Mapping[str, str]) -> str:
    if not isinstance(answer, Mapping):
        raise Unreadable(f"this needs a dict, log -> fault; what came is of type {type(answer).__name__}.")
    if missing := [name for name in truth if name not in answer]:
        raise Unreadable(f"there is no answer for {', '.join(missing)}.")
    if strange := [str(answer[name]) for name in truth if str(answer[name]) not in CASES]:
        raise Unreadable(f"there is no fault called {', '.join(strange)}; there are {', '.join(CASES)}.")
    wrong = [name for name in truth if answer[name] != truth[name]]
    would = {
        "rate": "a rate that is too high throws the boxes away: Ô falls",
        "anchors": "anchors that fit nothing have no positives: positives_loc is 0, whatever there is to find",
        "classes": "with classes mixed up everything in the log looks well, Ô too, except mAP",
        "overfitting": "a network that learns by heart is good on train_map, what it has seen, and poor on others",
    }
    return f"{', '.join(wrong)}: look again; {would[answer[wrong[0]]]}. Is it so in {wrong[0]}?" if wrong else ""


EXERCISES = Exercises(
    {
        "patience": Exercise(
            "write stops; then run this cell.",
            "it ends every one of some hundred trainings where `lapnet train --patience` does.",
            "keep two numbers, which one is the best so far and how many have come since; only `>` is better.",
            _patience,
        ),
        "diagnosis": Exercise(
            f"write what each has: one of {', '.join(CASES)}.",
            "you have read four logs that nobody had labelled. It is what one does when a training fails.",
            "ask in this order: are there positives? does Ô rise? is train_map high? is val_map, too?",
            _diagnosis,
        ),
    },
    functions=(LEARNING_RATE,),
)
check, judge = Check(EXERCISES), EXERCISES.judge
