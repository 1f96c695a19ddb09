"""Average precision (paper 4): notebook 06."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from lapnet_lab.exercise import Example, FunctionExercise, Mistake
from lapnet_lab.functions import drawing


def average_precision(hits: Tensor, num_objects: int) -> float:
    """AP, PASCAL VOC's average precision: the area under the curve of precision over recall (paper 4).

    After k detections, precision is hits so far / k, and recall is hits so far / num_objects. Before the area is
    taken, the precision at each point is raised to the largest one at that point or later. The area then is the
    sum, over the hits, of this precision times 1 / num_objects, by which recall grows there.

    hits: (D,) bool, whether each detection is a hit; they come by falling score. D can be 0
    num_objects: how many objects there are, at least 1
    returns: between 0 and 1; 0 without a hit
    """
    precision = hits.cumsum(0) / torch.arange(1, len(hits) + 1)
    best_from_here = precision.flip(0).cummax(0).values.flip(0)
    return float(best_from_here[hits].sum() / num_objects)


def _average_precision_examples(generator: Generator) -> list[Example]:
    by_hand = [
        ([], 2), ([True], 1), ([True], 4), ([False], 1), ([False, True], 1), ([True, False], 1), ([True, False], 3),
        ([False, False, True], 2), ([True, True, False, True], 3), ([False, True, True, True], 3),
        ([True, False, True, False, True], 6), ([False, True, False, True, True, True, False], 5),
    ]  # fmt: skip
    examples: list[Example] = [(torch.tensor(hits, dtype=torch.bool), objects) for hits, objects in by_hand]
    for k in range(16):
        hits = torch.rand(2 + k % 9, generator=generator) < 0.6
        examples.append((hits, max(1, int(hits.sum()) + k % 3)))
    return examples


def _precision(hits: Tensor) -> Tensor:
    return hits.cumsum(0) / torch.arange(1, len(hits) + 1)


def _envelope(hits: Tensor) -> Tensor:
    return _precision(hits).flip(0).cummax(0).values.flip(0)


def _or_zero(mean: Callable[[Tensor, int], Tensor]) -> tuple[Callable[[Tensor, int], float], ...]:
    """A wrong mean, with its nan and with 0 in place of it."""
    return lambda h, g: float(mean(h, g)), lambda h, g: float(torch.nan_to_num(mean(h, g)))


def _eleven_points(hits: Tensor, num_objects: int) -> float:
    reached = [_precision(hits)[10 * hits.cumsum(0) >= k * num_objects] for k in range(11)]
    return sum(float(points.max()) if len(points) else 0.0 for points in reached) / 11


def _trapezoid(hits: Tensor, num_objects: int, at_start: float = 1.0) -> float:
    recall = torch.cat([torch.zeros(1), hits.cumsum(0) / num_objects])
    return float(torch.trapezoid(torch.cat([torch.tensor([at_start]), _precision(hits)]), recall))


_TRAPEZOID = "you lay straight lines between the points; which precision counts for the whole step of recall at a hit?"
_AVERAGE_PRECISION_MISTAKES = (
    Mistake(
        lambda hits, objects: float(_precision(hits)[hits].sum() / objects),
        "a precision that is better further on should count here as well: what happens to the curve before its area?",
    ),
    *(
        Mistake(wrong, "an object that nobody found costs nothing in yours: by how many do you divide?")
        for wrong in _or_zero(lambda hits, _objects: _envelope(hits)[hits].mean())
    ),
    *(
        Mistake(wrong, "the precision counts in yours at false alarms too: does recall grow there?")
        for wrong in (
            *_or_zero(lambda hits, _objects: _precision(hits).mean()),
            *_or_zero(lambda hits, _objects: _envelope(hits).mean()),
        )
    ),
    *(
        Mistake(
            wrong,
            "neither the curve before its hits nor the objects that were missed count: by how many do you divide?",
        )
        for wrong in _or_zero(lambda hits, _objects: _precision(hits)[hits].mean())
    ),
    *(
        Mistake(wrong, "this is the precision of all detections together; where does the order by score come in?")
        for wrong in _or_zero(lambda hits, _objects: hits.float().mean())
    ),
    Mistake(
        lambda hits, objects: float(hits.sum() / objects),
        "this is the recall at the end; false alarms cost nothing in it. By what is each step of it multiplied?",
    ),
    Mistake(
        lambda hits, objects: float(_envelope(hits).sum() / objects),
        "you add the precision at every detection: at which of them does recall grow?",
    ),
    Mistake(
        lambda hits, objects: float(_precision(hits).cummax(0).values[hits].sum() / objects),
        "your maximum is over what came before; from which side does the curve become monotone?",
    ),
    Mistake(
        lambda hits, objects: float(_precision(hits).flip(0).cummax(0).values[hits].sum() / objects),
        "your maxima run from the last detection to the first: which one stands beside the first hit?",
    ),
    Mistake(
        lambda hits, objects: 100 * average_precision(hits, objects),
        "in per cent it is right: between which two numbers does the contract want it?",
    ),
    Mistake(
        _eleven_points,
        "these are the eleven points of VOC 2007: which area does the contract ask for?",
    ),
    Mistake(_trapezoid, _TRAPEZOID),
    Mistake(lambda hits, objects: _trapezoid(hits, objects, 0.0), _TRAPEZOID),
)

AVERAGE_PRECISION = FunctionExercise(
    average_precision,
    title="Average precision",
    task="One number for a whole curve. Write `average_precision`, the area under precision over recall.",
    praise="the mean of it over the classes is the mAP of every table in this course.",
    hints=(
        "`hits.cumsum(0)` counts the hits so far. Divide it by 1, 2, 3, ... for the precision.",
        "Go from the back: each precision becomes the larger of itself and the one behind it. Then add those of the "
        "hits, and divide by the number of objects.",
    ),
    difficulty=2,
    minutes=15,
    examples=_average_precision_examples,
    mistakes=_AVERAGE_PRECISION_MISTAKES,
    draw=drawing.curve,
)
