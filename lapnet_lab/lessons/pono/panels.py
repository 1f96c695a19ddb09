"""Panels of notebook 02: one object on the grid, and what it would take to save AO."""

from functools import cache

import ipywidgets
import torch
from jaxtyping import Float
from torch import Tensor

from lapnet_core.assign import POSITIVE_THRESHOLD
from lapnet_core.boxes import STRIDE
from lapnet_core.data.box_table import BoxTable
from lapnet_lab.coverage import ObjectCoverage, object_coverage
from lapnet_lab.lessons.pono.figures import coverage_by_side, coverage_over_shift
from lapnet_lab.lessons.pono.study import shifted_object
from lapnet_lab.panel import FigurePanel

DIRECTIONS = {"to the right": (1.0, 0.0), "down": (0.0, 1.0), "along the diagonal": (1.0, 1.0)}
THRESHOLDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)
WIDE = {"style": {"description_width": "initial"}, "layout": {"width": "330px"}, "continuous_update": False}


def shift_panel() -> FigurePanel:
    """Move an object over one cell of the grid: its best IoU and its positives, under AO and PONO, as curves."""
    shifts = torch.linspace(0, STRIDE, STRIDE + 1)

    def compute(width: int, height: int, factor: float, direction: str) -> tuple[ObjectCoverage, float]:
        size = (float(width), float(height))
        found = shifted_object(
            size, shifts[:, None] * torch.tensor(DIRECTIONS[direction]), factor * torch.tensor([size])
        )
        return found, factor

    def describe(numbers: tuple[ObjectCoverage, float]) -> str:
        found, factor = numbers
        worst = int(found.ao_peak.argmin())
        lost = int(found.missed_ao.sum())
        return (
            f"side {found.side[0]:.0f} px, anchor {factor:g} times as large. Best IoU {found.ao_peak.max():.2f} to "
            f"{found.ao_peak.min():.2f} (after {worst} px).\n"
            f"AO: {_range(found.ao_positives)} positives, none at {lost} of {len(shifts)} places. "
            f"PONO: {_range(found.pono_positives)} positives, none at {int(found.missed_pono.sum())}."
        )

    def draw(numbers: tuple[ObjectCoverage, float]):
        found, _ = numbers
        counts = {"AO": found.ao_positives, "PONO": found.pono_positives}
        return coverage_over_shift(shifts, found.ao_peak, counts, "IoU with the best anchor")

    controls = {
        "width": ipywidgets.IntSlider(16, 4, 96, 2, description="width of the object, px", **WIDE),
        "height": ipywidgets.IntSlider(16, 4, 96, 2, description="height of the object, px", **WIDE),
        "factor": ipywidgets.FloatSlider(1.0, min=0.5, max=2.0, step=0.1, description="anchor = object times", **WIDE),
        "direction": ipywidgets.Dropdown(
            options=list(DIRECTIONS), value="along the diagonal", description="move it", layout={"width": "260px"}
        ),
    }
    states = {
        "16 px, exact anchor": {},
        "32 px, exact anchor": {"width": 32, "height": 32},
        "32 px, anchor too large": {"width": 32, "height": 32, "factor": 1.5},
    }
    return FigurePanel(controls, compute, describe, draw, states)


def save_ao_panel(
    table: BoxTable, shapes: Float[Tensor, "C A 2"], input_size: tuple[int, int], edges: list[float]
) -> FigurePanel:
    """Turn every screw that AO has, and see whom it still misses and what it pays, beside PONO at its own threshold.

    Args:
        table: the objects, in pixels of the network input.
        shapes: anchors for them, in the same pixels.
        input_size: (height, width) of the network input in pixels.
        edges: limits of the bins of the side, in pixels.
    """

    @cache
    def found(stride: int, factor: float) -> ObjectCoverage:
        grid_size = (input_size[0] // stride, input_size[1] // stride)
        return object_coverage(table, factor * shapes, grid_size, stride=stride, ao_thresholds=THRESHOLDS)

    def compute(threshold: float, stride: int, factor: float) -> ObjectCoverage:
        return found(stride, factor).with_ao_threshold(threshold)

    def describe(objects: ObjectCoverage) -> str:
        total, large = objects.total(), objects.side >= 48
        ao, pono = (int(counts[large].float().median()) for counts in (objects.ao_positives, objects.pono_positives))
        return (
            f"{total.objects} objects; AO misses {total.missed_ao} ({total.share_missed_ao:.1%}), "
            f"PONO {total.missed_pono}.\nThe median object of 48 px and more has {ao} positives under AO, "
            f"{pono} under PONO."
        )

    def draw(objects: ObjectCoverage):
        return coverage_by_side(objects.by_side(edges))

    controls = {
        "threshold": ipywidgets.SelectionSlider(
            options=THRESHOLDS, value=POSITIVE_THRESHOLD, description="AO's threshold", **WIDE
        ),
        "stride": ipywidgets.Dropdown(
            options=[("4 px", 4), ("8 px", 8), ("16 px", 16)],
            value=STRIDE,
            description="grid",
            layout={"width": "180px"},
        ),
        "factor": ipywidgets.SelectionSlider(
            options=[0.5, 0.7, 1.0, 1.4, 2.0], value=1.0, description="anchors times", **WIDE
        ),
    }
    states = {"AO as it is": {}, "low threshold": {"threshold": 0.2}, "fine grid": {"stride": 4}}
    return FigurePanel(controls, compute, describe, draw, states)


def _range(counts: Tensor) -> str:
    return f"{int(counts.min())} to {int(counts.max())}"
