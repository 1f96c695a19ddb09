"""A photograph of the learner's, and the losses of the training."""

import io
from collections.abc import Mapping
from typing import Any, NamedTuple

import ipywidgets
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms import v2

from lapnet_core.data import Detection
from lapnet_core.data.pictures import to_rgb
from lapnet_core.detector import Detector
from lapnet_lab import pictures
from lapnet_lab.panel import FigurePanel

LARGEST_SIDE = 640
"""Pixels to which a photograph is made smaller for the page; the detector sees its own size anyway."""


class Found(NamedTuple):
    """A picture and what a detector found in it."""

    image: Tensor
    detection: Detection
    names: tuple[str, ...]
    whose: str


def photograph_panel(detectors: Mapping[str, Detector], example: Tensor) -> FigurePanel:
    """Drop a photograph, choose a detector and how sure it has to be.

    Args:
        detectors: by the names that the panel shows.
        example: (3, H, W) uint8, the picture until there is another.
    """
    controls: dict[str, Any] = {
        "which": ipywidgets.Dropdown(options=list(detectors), description="detector"),
        "least": ipywidgets.FloatSlider(
            value=0.3, min=0.05, max=0.95, step=0.05, description="least score", continuous_update=False
        ),
        "upload": ipywidgets.FileUpload(
            accept="image/*",
            description="a photograph of yours",
            layout={"width": "auto"},  # else the words are cut
        ),
    }

    def compute(which: str, least: float, upload: Any) -> Found:
        image = opened(upload) if upload else example
        detector = detectors[which]
        return Found(image, detector.predict(image, score_threshold=least), detector.class_names, which)

    def describe(found: Found) -> str:
        names = [found.names[label] for label in found.detection["labels"].tolist()]
        counted = ", ".join(f"{names.count(name)} {name.replace('_', ' ')}" for name in dict.fromkeys(names))
        height, width = found.image.shape[1:]
        return f"{found.whose}, picture of {width} x {height} px: {counted or 'nothing found'}"

    def draw(found: Found) -> Any:
        detection = found.detection
        return pictures.draw_boxes(
            found.image, detection["boxes"], detection["labels"], found.names, detection["scores"]
        )

    return FigurePanel(controls, compute, describe, draw)


def opened(upload: Any) -> Tensor:
    """The picture that was handed to an upload button, (3, H, W) uint8.

    Raises:
        ValueError: it is no picture.
    """
    (file, *_) = upload
    try:
        image = to_rgb(Image.open(io.BytesIO(bytes(file["content"]))))
    except (UnidentifiedImageError, OSError, ValueError) as problem:
        raise ValueError(f"{file['name']} is no picture that can be read ({type(problem).__name__})") from None
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    return v2.functional.pil_to_tensor(image).to(torch.uint8)
