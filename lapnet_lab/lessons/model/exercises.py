"""Exercises of notebook 05."""

from typing import Any

import torch
from torch import nn

from lapnet_core.model import stack
from lapnet_lab.checks import Check, Exercises
from lapnet_lab.exercise import Exercise, numbers
from lapnet_lab.lessons.model.receptive import follow
from lapnet_lab.lessons.model.study import anatomy


def _output_channels(answer: Any, *, num_classes: int, per_class: int) -> str:
    scores, offsets = numbers(answer, (2,), "two numbers, (score channels, offset channels)").tolist()
    maps = anatomy("light", (64, 64), num_classes, per_class).maps
    channels = [torch.Size(maps[name][:-2]).numel() for name in ("scores", "offsets")]
    if [scores, offsets] == channels:
        return ""
    if [offsets, scores] == channels:
        return "these are the right numbers in the wrong order: scores come first."
    if (scores, offsets) == (num_classes, 4 * num_classes):
        return "this is one anchor per class; every class has several, and each has its own score and offsets."
    if (scores, offsets) == (per_class, 4 * per_class):
        return "this would be right if the classes shared their anchors; in LapNet every class has its own."
    if scores == channels[0]:
        return "the scores are right. An anchor has one score, but how many offsets?"
    return f"({scores:g}, {offsets:g}) are not the channels of the two heads."


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


def _one_more_class(answer: Any, *, num_classes: int, image_size: tuple[int, int]) -> str:
    value = numbers(answer, (), "one number, in MACs").item()
    one, more = (anatomy("darknet53", image_size, num_classes + k) for k in (0, 1))
    macs, weights = more.macs - one.macs, more.parameters - one.parameters
    cells = one.maps["fused"][1] * one.maps["fused"][2]
    if value == macs:
        return ""
    if value in (weights, macs // cells):
        return f"this is about parameters; each weight is used in every one of {cells} cells."
    if value * 5 == macs:
        return "this is the score head alone; the offset head has four times as many channels more."
    if value * 5 == macs * 4:
        return "this is the offset head alone; the score head grows, too."
    if value * 10 == macs:
        return "every class brings ten anchors."
    if value == macs / 1e6:
        return "the right digits, but in millions; give the plain number."
    return f"{value:g} differs from what `study.anatomy` counts with {num_classes} and with {num_classes + 1} classes."


EXERCISES = Exercises(
    {
        "output_channels": Exercise(
            "replace None by (score channels, offset channels).",
            "the two heads end in convolutions with so many output channels.",
            "every class has A anchors; each anchor has one score and four offsets.",
            _output_channels,
        ),
        "sees": Exercise(
            "replace None by the number of pixels.",
            "so the four convolutions of one level at stride 8 reach four cells further to every side.",
            "r grows by (k - 1) · j with every convolution; j, the distance between neighbouring cells, is the stride.",
            _sees,
        ),
        "one_more_class": Exercise(
            "replace None by the number of MACs that one more class costs.",
            "it is what study.anatomy counts, and a twentieth of one per cent of the network.",
            "channels more × channels of the head × cells of the map; the last convolutions are 1 × 1.",
            _one_more_class,
        ),
    }
)
check, judge = Check(EXERCISES), EXERCISES.judge
