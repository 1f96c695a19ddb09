"""Panels about the network: fig. 2 with its costs, the cost of channels, offsets by hand, the receptive field."""

from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from lapnet_core.boxes import decode, paired_iou
from lapnet_core.model import WIDTHS
from lapnet_lab.lessons.model import diagrams, figures
from lapnet_lab.lessons.model.receptive import side_with
from lapnet_lab.lessons.model.study import BACKBONES, Anatomy, anatomy, yolov3_macs
from lapnet_lab.panel import FigurePanel

WIDE = {"description_width": "initial"}


def _slider(value: int, low: int, high: int, step: int, description: str) -> ipywidgets.IntSlider:
    # Drawn when the slider is let go: a large network takes half a second.
    return ipywidgets.IntSlider(
        value, low, high, step, description=description, style=WIDE, continuous_update=False, layout={"width": "22em"}
    )


def architecture_panel() -> FigurePanel:
    """Fig. 2 of any LapNet: backbone, input size, classes and anchors -> shapes, operations, parameters by part."""

    def compute(backbone: str, size: int, classes: int, anchors: int) -> Anatomy:
        return anatomy(backbone, (size, size), classes, anchors)

    def describe(found: Anatomy) -> str:
        lines = [f"LapNet, {found.backbone}, {found.image_size[0]} px, C = {found.num_classes}, A = {found.per_class}"]
        lines += [f"{p.name:19}{p.macs / 1e9:8.3f} GMAC{p.parameters / 1e6:8.3f} M parameters" for p in found.parts]
        lines.append(f"{'together':19}{found.macs / 1e9:8.3f} GMAC{found.parameters / 1e6:8.3f} M parameters")
        anchors = found.num_classes * found.per_class * found.maps["fused"][1] * found.maps["fused"][2]
        return "\n".join([*lines, f"{anchors} anchors, each with a score and four offsets"])

    def draw(found: Anatomy) -> Any:
        parameters = {part.name: part.parameters for part in found.parts}
        title = f"LapNet on {found.backbone}; maps are to scale with each other, the image is not"
        return diagrams.architecture(found.maps, found.stacks, found.macs_by_part, parameters, title)

    controls = {
        "backbone": ipywidgets.Dropdown(options=list(BACKBONES), value="light", description="backbone"),
        "size": _slider(256, 64, 1024, 32, "image, pixels"),
        "classes": _slider(7, 1, 100, 1, "classes C"),
        "anchors": _slider(10, 1, 20, 1, "anchors per class A"),
    }
    states = {"light network": {}, "DarkNet-53, as in the paper": {"backbone": "darknet53", "size": 512, "classes": 20}}
    return FigurePanel(controls, compute, describe, draw, states, beside=True)


def width_panel() -> FigurePanel:
    """LapNet-512 on DarkNet-53 with other channels: how many times YOLOv3's operations it costs."""
    decoder, level, head = WIDTHS["darknet53"]

    def compute(level: int, head: int, classes: int) -> Anatomy:
        return anatomy("darknet53", (512, 512), classes, 10, (decoder, level, head))

    def describe(found: Anatomy) -> str:
        channels = f"level {found.maps['L3'][0]}, fused {found.maps['fused'][0]} channels"
        ratio = found.macs / yolov3_macs(512)
        return f"{channels}, {found.num_classes} classes: {found.macs / 1e9:.1f} GMAC, {ratio:.2f} times YOLOv3"

    def draw(found: Anatomy) -> Any:
        usual = anatomy("darknet53", (512, 512), found.num_classes)
        rows = {"as set": found.macs_by_part, "our choice": usual.macs_by_part}
        return diagrams.cost_bars(rows, ("YOLOv3 at 512, 80 classes", yolov3_macs(512)), "LapNet-512 on DarkNet-53")

    controls = {
        "level": _slider(256, 16, 256, 16, "level channels"),
        "head": _slider(256, 32, 256, 32, "head channels"),
        "classes": _slider(80, 1, 100, 1, "classes C"),
    }
    states = {"256 channels everywhere": {}, "our choice": {"level": level, "head": head}}
    return FigurePanel(controls, compute, describe, draw, states)


def offset_panel(
    image: UInt8[Tensor, "3 H W"], box: Float[Tensor, "4"], shape: Float[Tensor, "2"], cell: tuple[int, int]
) -> FigurePanel:
    """The network's part, played by hand: move four offsets until an anchor fits its object.

    Args:
        box: the object, `xyxy` in pixels.
        shape: (w, h) of the anchor in pixels.
        cell: (row, column) where it sits.
    """
    row, column = torch.tensor([cell[0]]), torch.tensor([cell[1]])

    def compute(**offsets: float) -> dict[str, Any]:
        boxes = [decode(torch.tensor([d]), shape[None], row, column) for d in ([0.0] * 4, list(offsets.values()))]
        before, after = (paired_iou(b, box[None]).item() for b in boxes)
        return {"anchor": boxes[0][0], "moved": boxes[1][0], "before": before, "after": after}

    def describe(found: Mapping[str, Any]) -> str:
        fit, moved = found["after"], ", ".join(f"{v:.0f}" for v in found["moved"].tolist())
        start = f"anchor's IoU {found['before']:.2f}; predicted box ({moved})"
        return f"{start}: Ô = {fit:.2f}, localisation loss (1 - Ô)² = {(1 - fit) ** 2:.3f}"

    def draw(found: Mapping[str, Any]) -> Any:
        return figures.moved_anchor(image, found["anchor"], found["moved"], box, f"Ô = {found['after']:.2f}")

    controls = {
        name: ipywidgets.FloatSlider(0.0, min=-1.0, max=1.0, step=0.02, description=name, readout_format=".2f")
        for name in ("dx", "dy", "dw", "dh")
    }
    states = {"anchor as it is": {}, "moved and widened": {"dx": 0.4, "dw": 0.6}}
    return FigurePanel(controls, compute, describe, draw, states)


def receptive_panel(
    image: UInt8[Tensor, "3 H W"],
    fields: Mapping[str, tuple[Float[Tensor, "H W"], int]],
    shapes: Float[Tensor, "C A 2"],
    names: Sequence[str],
) -> FigurePanel:
    """What the central cell sees, and which anchors of a class fit in.

    Args:
        fields: name of a choice -> (share of each pixel, side of the theoretical receptive field in pixels).
        shapes, names: the anchors and the classes.
    """

    def compute(through: str, label: int) -> dict[str, Any]:
        field, side = fields[through]
        squares = {"can see": side, "90 %": side_with(0.9, field), "half": side_with(0.5, field)}
        fit = {name: int((shapes[label].amax(1) <= pixels).sum()) for name, pixels in squares.items()}
        return {"through": through, "label": label, "field": field, "squares": squares, "fit": fit}

    def describe(found: Mapping[str, Any]) -> str:
        side, most, half = found["squares"].values()
        fit = ", ".join(f"{name} {count}" for name, count in found["fit"].items())
        return (
            f"{found['through']}: can see {side} px; 90 % of the gradient lies in {most} px, half of it in {half} px\n"
            f"of the {shapes.shape[1]} anchors of {names[found['label']]} fit into the squares: {fit}"
        )

    def draw(found: Mapping[str, Any]) -> Any:
        return figures.receptive_field(
            image, found["field"], found["squares"], shapes[found["label"]], found["through"]
        )

    classes = [(name.replace("_", " "), label) for label, name in enumerate(names)]
    controls = {
        "through": ipywidgets.Dropdown(options=list(fields), description="through"),
        "label": ipywidgets.Dropdown(options=classes, description="class"),
    }
    first, second, *_ = fields
    states = {first: {}, second: {"through": second}}
    return FigurePanel(controls, compute, describe, draw, states)
