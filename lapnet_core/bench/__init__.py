"""Benchmarks: each line of a part compares something of ours with what one would take instead.

A part is a module of this folder with `lines(quick) -> Iterator[Line]`. Its data is made while its lines are asked for,
and quick is smaller and shorter. This file imports nothing, so that the names can be listed at no cost.
"""

from typing import Literal, get_args

Part = Literal["assignment", "loss", "inference", "evaluation", "training", "start", "export"]
PARTS: tuple[Part, ...] = get_args(Part)
