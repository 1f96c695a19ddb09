"""Exercises of notebook 12."""

from typing import Any

from lapnet_lab.checks import Check, Exercises
from lapnet_lab.exercise import Exercise, Unreadable
from lapnet_lab.functions import BALANCED_LOSS

LISTED = frozenset({"iou", "decode", "nms", "pono", "ams_labels", "held_update"})
IN_TRAINING = frozenset({"iou", "pono", "ams_labels", "held_update"})


def _only_in_training(answer: Any) -> str:
    if isinstance(answer, str) or not hasattr(answer, "__iter__"):
        raise Unreadable('this needs a set of names, as in {"pono", "nms"}.')
    given = {name if isinstance(name, str) else getattr(name, "__name__", str(name)) for name in answer}
    if unknown := given - LISTED:
        raise Unreadable(f"{', '.join(sorted(unknown))}: choose from {', '.join(sorted(LISTED))}.")
    if given | {"iou"} == IN_TRAINING:  # an nms may call it: with it and without it is right
        return ""
    if "decode" in given:
        return "without `decode` there is no box: offsets alone are no place in the picture."
    if "nms" in given:
        return "without `nms` every object is found a hundred times, since a whole cluster answers to it."
    missing = sorted(IN_TRAINING - {"iou"} - given)
    return f"{missing[0]} is not called either when a finished detector looks at a picture; or where would it be?"


EXERCISES = Exercises(
    {
        "only_in_training": Exercise(
            "replace None by a set of names.",
            "that is why the paper may say that PONO, AMS and the weights cost nothing at inference.",
            "the table of section 2 says what is called when a detector looks at a picture.",
            _only_in_training,
        ),
        "thin": Exercise(
            "write thin; it gets the boxes and scores of one class in one picture, by falling score.",
            "print(board) tells what that is worth on scenes on which you did not try.",
            "which boxes mean the same object? At an IoU of .5 many mean its neighbour. Average those that agree "
            "closely, or lower scores in place of throwing boxes away.",
            lambda thin, board: board.judge(thin),
            seconds=60.0,
            slow="There may be a thousand boxes of a class: torchvision.ops.box_iou compares all of them at once.",
        ),
    },
    functions=(BALANCED_LOSS,),
)
check, judge = Check(EXERCISES), EXERCISES.judge
