"""The panel of lesson 10: the reader picks what accuracy is drawn against, how it is measured, and where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import ipywidgets
from matplotlib.figure import Figure

from lapnet_lab.charts import still
from lapnet_lab.lessons.speed_accuracy import figures, study
from lapnet_lab.lessons.speed_accuracy.measuring import SMALL
from lapnet_lab.lessons.speed_accuracy.study import AGAINST, METRICS, Point
from lapnet_lab.panel import FigurePanel

HIGHEST = 370
"""Pixels of the figure: with controls and words above it, it has to fit a small screen."""
WIDE = {"style": {"description_width": "initial"}, "layout": {"width": "330px"}}
WHO = {
    "all": lambda point: True,
    "all with the same backbone": lambda point: point.kind[1] == SMALL,
    "LapNet alone": lambda point: point.kind[0] == "lapnet",
    "all at 192 px": lambda point: point.size == study.TRAINED_AT,
}  # fmt: skip
"""Which points are shown."""


@dataclass(frozen=True)
class Picked:
    """What the reader has asked for."""

    place: str
    points: Sequence[Point]
    metric: str
    against: str

    @property
    def front(self) -> list[Point]:
        return study.front(self.points, self.metric, self.against)


def plane_panel(among: Sequence[Mapping[str, Any]]) -> FigurePanel:
    """Data set, metric, what it is drawn against, and which detectors; the machine, too, where there is a choice.

    Args:
        among: recorded lines.
    """
    pairs = [(data, machine) for data in study.datasets(among) for machine in study.machines(among, data)]
    found = {pair: points for pair in pairs if (points := study.points(among, *pair))}
    offered = {f"{data}; {machine}": points for (data, machine), points in found.items()}
    machines = {machine for _, machine in pairs}
    one = len(machines) == 1  # long names, which the words beside tell, would be cut in the menu
    told = "{0}" if one else "{0}; {1.short}" if len({m.short for m in machines}) == len(machines) else "{0}; {1}"
    places = [(told.format(*pair), name) for pair, name in zip(found, offered, strict=True)]
    controls = {
        "place": ipywidgets.Dropdown(options=places, description="data" if one else "data; machine", **WIDE),
        "metric": ipywidgets.Dropdown(options=[(name, key) for key, name in METRICS.items()], description="metric",
                                      **WIDE),
        "against": ipywidgets.Dropdown(options=[(name, key) for key, name in AGAINST.items()], description="against",
                                       **WIDE),
        "who": ipywidgets.Dropdown(options=list(WHO), description="detectors", **WIDE),
    }  # fmt: skip

    def compute(place: str, metric: str, against: str, who: str) -> Picked:
        return Picked(place, [point for point in offered[place] if WHO[who](point)], metric, against)

    def describe(picked: Picked) -> str:
        told = [
            f"{point.label:17}{point.at(picked.against):6.3g}{100 * point.accuracy[picked.metric]:6.1f} %"
            for point in picked.front
        ]
        half = -(-len(told) // 2)  # in two columns: the panel has to fit a small screen
        rows = [f"{left}   {right}" for left, right in zip_longest(told[:half], told[half:], fillvalue="")]
        head = f"on the front, of {len(picked.points)}: {AGAINST[picked.against]}; {METRICS[picked.metric]}"
        return "\n".join([picked.place, head, *(row.rstrip() for row in rows)])

    def draw(picked: Picked) -> Figure:
        figure = figures.plane_of(picked.points, picked.metric, picked.against, menu=False, intervals=True)
        return still(figure.update_layout(height=HIGHEST))

    states = {
        "AP50 against time": {},
        "AP75 against time": {"metric": "ap75"},
        "AP75 in batches": {"metric": "ap75", "against": "batch"},
        "AP50 against multiplications": {"against": "gmacs"},
    }
    return FigurePanel(controls, compute, describe, draw, states, beside=True)
