"""Exercises of notebook 05."""

import math
from typing import Any

import torch
from torch import nn

from lapnet_core.model import stack
from lapnet_lab.checks import Check, Exercises
from lapnet_lab.exercise import Exercise, numbers
from lapnet_lab.functions import DECODE
from lapnet_lab.lessons.model.receptive import follow
from lapnet_lab.lessons.model.study import anatomy


def _sees(answer: Any, *, before: int, stride: int) -> str:
    value = numbers(answer, (), "one number, in pixels").item()
    # Our own four convolutions, on a map whose cells are one pixel: `grown` cells more than the one they started from.
    with torch.device("meta"):
        four: nn.Module = stack(3, 3).eval()
    grown = int(follow(lambda x: {"map": four(x)}, width=64)["map"].width[32]) - 1
    if value == before + grown * stride:
        return ""
    if value == grown * stride:
        return f"so much comes on top; the cell before saw {before} pixels already."
    if value == before + grown:
        return f"this counts cells as pixels: neighbouring cells of this map are {stride} pixels apart."
    if value == before + 4 * 3 * stride:
        return "a 3 × 3 convolution adds not three cells but two: one on each side."
    return f"{value:g} pixels is too {'much' if value > before + grown * stride else 'little'}."


def _near(value: float, truth: float) -> bool:
    """To the two digits that are asked for."""
    return math.isclose(value, truth, rel_tol=0.019)


def _one_more_class(answer: Any, *, num_classes: int, image_size: tuple[int, int]) -> str:
    value = numbers(answer, (), "one number, in MACs").item()
    one, more = (anatomy("darknet53", image_size, num_classes + k) for k in (0, 1))
    macs, weights = more.macs - one.macs, more.parameters - one.parameters
    cells = one.maps["fused"][1] * one.maps["fused"][2]
    if _near(value, macs):
        return ""
    if _near(value, weights):
        return f"this is about parameters; each weight is used in every one of {cells} cells."
    if _near(value * 5, macs):
        return "this is the score head alone; the offset head has four times as many channels more."
    if _near(value * 5, macs * 4):
        return "this is the offset head alone; the score head grows, too."
    if _near(value * 10, macs):
        return "every class brings ten anchors."
    if _near(value * 1e6, macs):
        return "the right digits, but in millions; give the plain number."
    return f"{value:g} differs from what `study.anatomy` counts with {num_classes} and with {num_classes + 1} classes."


EXERCISES = Exercises(
    {
        "one_more_class": Exercise(
            "replace None by the number of MACs that one more class costs.",
            "it is what study.anatomy counts, and a twentieth of one per cent of the network.",
            "channels more × channels of the head × cells of the map; the last convolutions are 1 × 1.",
            _one_more_class,
            digits=2,
        ),
        "sees": Exercise(
            "replace None by the number of pixels.",
            "so the four convolutions of one level at stride 8 reach four cells further to every side.",
            "r grows by (k - 1) · j with every convolution; j, the distance between neighbouring cells, is the stride.",
            _sees,
        ),
    },
    functions=(DECODE,),
)
check, judge = Check(EXERCISES), EXERCISES.judge
