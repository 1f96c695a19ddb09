"""The learning rate over a training (paper 4): notebook 07."""

import math

from torch import Generator

from lapnet_lab.exercise import Example, FunctionExercise, Mistake


def learning_rate(step: int, steps: int, base: float, power: float) -> float:
    """The learning rate of a step: it falls from base to 0, by a power of what is left of the training (paper 4).

    base * (1 - step / steps) ** power

    step: how many steps are done, from 0 to steps
    steps: of the whole training, at least 1
    base: the learning rate of step 0
    power: above 0; 1 is a straight line, and the paper's is 0.9
    returns: the learning rate, a float
    """
    return base * (1 - step / steps) ** power


def _examples(_generator: Generator) -> list[Example]:
    return [
        (0, 100, 0.1, 1.0), (50, 100, 0.1, 1.0), (100, 100, 0.1, 1.0), (0, 1, 1.0, 0.9), (1, 1, 1.0, 0.9),
        (25, 100, 1.0, 2.0), (75, 100, 0.5, 0.5), (1, 3, 0.02, 0.9), (2, 3, 0.02, 0.9), (999, 1000, 0.02, 0.9),
        (1, 1000, 0.02, 0.9), (500, 1000, 3.0, 0.9), (7, 40, 0.01, 4.0),
    ]  # fmt: skip


_MISTAKES = (
    Mistake(
        lambda step, steps, base, power: base * (step / steps) ** power,
        "your rate begins at 0 and rises: is step / steps what is done, or what is left?",
    ),
    Mistake(
        lambda step, steps, base, power: base * (1 - (step / steps) ** power),
        "both ends are right, the way between them is not: of what is the power taken?",
    ),
    Mistake(
        lambda step, steps, base, power: (base * (1 - step / steps)) ** power,
        "step 0 should have the rate base, and has base ** power in yours: what stands inside the brackets?",
    ),
    Mistake(
        lambda step, steps, base, power: base * (1 - step / steps),
        "it falls in a straight line, whatever the power: where does it come in?",
    ),
    Mistake(
        lambda step, steps, base, power: base * (1 - step / steps) * power,
        "you multiply by the power: what is a power?",
    ),
    Mistake(
        lambda step, steps, base, power: (1 - step / steps) ** power,
        "your rate always begins at 1: at what should it begin?",
    ),
    Mistake(
        lambda step, steps, base, power: base * (1 - step // steps) ** power,
        "your rate stays where it is until the last step: what is 1 // 2?",
    ),
    Mistake(
        lambda step, steps, base, power: base * max(0.0, 1 - (step + 1) / steps) ** power,
        "you are a step ahead: how many steps are done at step 0?",
    ),
    Mistake(
        lambda step, steps, base, power: base * power ** (step / steps),
        "this is a power of `power`, and does not end at 0: what is raised to which power?",
    ),
    Mistake(
        lambda step, steps, base, power: base * (1 + math.cos(math.pi * step / steps)) / 2,
        "this is the cosine schedule of other papers: which form has LapNet's?",
    ),
)

LEARNING_RATE = FunctionExercise(
    learning_rate,
    title="Polynomial decay",
    task="Large steps at the start, small ones at the end. Write `learning_rate`.",
    praise="the last steps are the smallest, and the training comes to rest.",
    hints=(
        "How much of the training is left after `step` of `steps`?",
        "The power is of that share alone, not of base.",
    ),
    difficulty=1,
    minutes=5,
    examples=_examples,
    mistakes=_MISTAKES,
    tolerance=1e-7,
)
