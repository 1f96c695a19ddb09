"""Panels of notebook 03: two objects that come closer, and the anchors of a scene while a network learns."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import ipywidgets
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from lapnet_core.assign import assign
from lapnet_core.boxes import paired_iou
from lapnet_lab.lessons.ambiguity.figures import approaching, plane_and_picture
from lapnet_lab.lessons.ambiguity.study import AMBIGUOUS, Record, ambiguity_ratio, spread_points
from lapnet_lab.panel import FigurePanel

GROUND = 200.0
"""Where both people stand, in pixels from the top of a picture of 256 x 256."""
DISTANCES = range(0, 121, 4)
WIDE = {"style": {"description_width": "initial"}, "layout": {"width": "360px"}, "continuous_update": False}


def two_people(distance: float, smaller: float) -> Float[Tensor, "2 4"]:
    """Two boxes side by side on one ground, `xyxy` in pixels of a picture of 256 x 256; the first is 50 x 140.

    Args:
        distance: of their middles, in pixels.
        smaller: how much smaller the second is, 0..1 of the first.
    """
    factor = torch.tensor([1.0, 1.0 - smaller])
    middle = 128 + distance * torch.tensor([-0.5, 0.5])
    return torch.stack((middle - 25 * factor, GROUND - 140 * factor, middle + 25 * factor, 0 * factor + GROUND), -1)


def approach_panel(shapes: Float[Tensor, "C A 2"], label: int = 0) -> FigurePanel:
    """Move two people towards each other, and see which of their positives become ambiguous.

    Args:
        shapes: anchors in pixels of a picture of 256 x 256.
        label: class of the two.
    """

    @cache
    def meeting(distance: int, smaller: int) -> dict[str, Any]:
        boxes, labels = two_people(distance, smaller / 100), torch.tensor([label, label])
        found = assign(shapes, (32, 32), boxes, labels)
        at = found.positives()
        ratio = ambiguity_ratio(at, shapes, boxes, labels)
        iou = paired_iou(boxes[:1], boxes[1:]).item()
        return {"boxes": boxes, "at": at, "ratio": ratio, "iou": iou, "rescued": int(found.rescued.sum())}

    def compute(distance: int, smaller: int, limit: float) -> dict[str, Any]:
        shares = [(meeting(d, smaller)["ratio"] >= limit).float().mean().item() for d in DISTANCES]
        return {**meeting(distance, smaller), "distance": distance, "limit": limit, "shares": shares}

    def describe(numbers: Mapping[str, Any]) -> str:
        doubtful = numbers["ratio"] >= numbers["limit"]
        owners = numbers["at"].object_index
        rescued = "; the second had no anchor of its own and was rescued" if numbers["rescued"] else ""
        return (
            f"{numbers['distance']} px apart, IoU of the two boxes {numbers['iou']:.2f}{rescued}.\n"
            f"Positives of each: {owners.bincount(minlength=2).tolist()}, of which ambiguous "
            f"(ratio from {numbers['limit']:g}): {owners[doubtful].bincount(minlength=2).tolist()}"
        )

    def draw(numbers: Mapping[str, Any]):
        at = numbers["at"]
        return approaching(
            numbers["boxes"], spread_points(at), at.object_index, numbers["ratio"], numbers["limit"],
            list(DISTANCES), numbers["shares"], numbers["distance"],
        )  # fmt: skip

    controls = {
        "distance": ipywidgets.IntSlider(24, 0, DISTANCES[-1], 4, description="distance, px", **WIDE),
        "smaller": ipywidgets.IntSlider(0, 0, 60, 5, description="the second is smaller by, %", **WIDE),
        "limit": ipywidgets.FloatSlider(
            AMBIGUOUS, min=0.5, max=0.95, step=0.05, description="ambiguous from a ratio of", **WIDE
        ),
    }
    states = {
        "half a width apart": {},
        "close together": {"distance": 8},
        "close, one smaller": {"distance": 8, "smaller": 40},
    }
    return FigurePanel(controls, compute, describe, draw, states)


def training_panel(record: Record, scenes: Mapping[str, UInt8[Tensor, "3 H W"]]) -> FigurePanel:
    """Go through the recorded steps of a training, and see the positives of a scene move across the border of eq. 3.

    Args:
        scenes: name -> picture, the first of the recorded scenes, in their order.
    """
    names, images = list(scenes), list(scenes.values())
    moments = {moment.step: moment for moment in record.moments}

    def compute(scene: int, step: int) -> dict[str, Any]:
        here = record.at.image == scene
        moment = moments[step]
        doubtful = record.ratio >= AMBIGUOUS
        return {
            "scene": scene, "step": step, "here": here, "fit": moment.fit[here], "kept": moment.kept[here],
            "ambiguous": int((here & doubtful).sum()), "ambiguous_kept": int((here & doubtful & moment.kept).sum()),
            "starved": int(record.starved(moment)[record.image_index == scene].sum()),
        }  # fmt: skip

    def describe(numbers: Mapping[str, Any]) -> str:
        kept = numbers["kept"]
        return (
            f"step {numbers['step']}, {names[numbers['scene']]}: kept {int(kept.sum())} of {len(kept)} positives, "
            f"{numbers['ambiguous_kept']} of the {numbers['ambiguous']} ambiguous ones;\n"
            f"mean Ô {numbers['fit'].mean():.2f}; objects without a label: {numbers['starved']}"
        )

    def draw(numbers: Mapping[str, Any]):
        here, scene = numbers["here"], numbers["scene"]
        points = spread_points(record.at)[here]
        return plane_and_picture(
            images[scene], record.boxes[record.image_index == scene], points, record.at.overlap[here],
            numbers["fit"], record.ratio[here], numbers["kept"], AMBIGUOUS, f"step {numbers['step']}",
        )  # fmt: skip

    steps = list(moments)
    controls = {
        "scene": ipywidgets.Dropdown(options=[(name, k) for k, name in enumerate(scenes)], description="scene"),
        "step": ipywidgets.SelectionSlider(
            options=steps, value=steps[len(steps) // 2], description="step", continuous_update=False
        ),
    }
    states = {"before training": {"step": steps[0]}, "halfway": {}, "after training": {"step": steps[-1]}}
    return FigurePanel(controls, compute, describe, draw, states)
