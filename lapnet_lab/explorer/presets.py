"""The situations of the paper, to start from, and photographs: annotated ones, and the learner's own."""

import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from lapnet_core.data.collate import flatten_targets
from lapnet_core.data.download import data_dir
from lapnet_core.data.named import Images
from lapnet_core.scenes import render_situation
from lapnet_lab.models import PHOTOGRAPHS, unseen_photographs


@dataclass(frozen=True)
class Preset:
    """A picture with objects, and what to look at in it."""

    image: UInt8[Tensor, "3 H W"] | None
    """None is an empty ground."""
    boxes: Float[Tensor, "G 4"]
    labels: Int[Tensor, " G"]
    about: str


ABOUT = {
    "tiny_object": "The bird is smaller than the distance of two anchors. Under AO it has no positive anchor at all.",
    "two_people_hugging": "Two people, nearly one box: neighbouring anchors are asked to answer for different people.",
    "equal_boxes": "The same person annotated twice. All anchors go to the first box; the second has to be rescued.",
    "nested_boxes": "One box for the whole person, one for the upper body: each anchor has to choose.",
    "crowd": "People who hide each other: many clusters, and borders everywhere.",
}
PHOTOGRAPH = "photograph"
"""Names of photographs begin so; a number follows."""
OWN = "my_photograph"
"""Names of the learner's own photographs begin so; a number follows."""
MOST_OWN, MOST_BYTES = 8, 16_000_000
"""So many of them are kept; the browser sends a PNG, and none of the size that is asked for is larger than this."""
SHOWN, OBJECTS = 8, range(2, 7)
"""So many photographs are offered, with so many objects in each: few have nothing to divide, many are not seen."""
SCENES = {"equal_boxes": "tiny_object", "nested_boxes": "tiny_object"}


def preset(name: str, size: tuple[int, int] = (256, 256)) -> Preset:
    """One of `ABOUT`, rendered at a (height, width) in pixels; classes are those of the embedded scenes.

    Raises:
        ValueError: no such preset.
    """
    if name not in ABOUT:
        raise ValueError(f'there is no preset "{name}"; there are {", ".join(ABOUT)}')
    image, target = render_situation(SCENES.get(name, name), size)
    boxes, labels, _ = flatten_targets([target])
    if name in SCENES:
        person, label = boxes[-1:], labels[-1:]
        second = person.clone()
        if name == "nested_boxes":
            second[:, 3] = person[:, 1] + 0.55 * (person[:, 3] - person[:, 1])
        boxes, labels = torch.cat((person, second)), torch.cat((label, label))
    return Preset(torch.as_tensor(image), boxes, labels, ABOUT[name])


def photographs() -> list[str]:
    """Names of the photographs that can be shown: none where the data is not there. Reads nothing yet."""
    there = (data_dir() / PHOTOGRAPHS).is_dir()
    return [f"{PHOTOGRAPH}_{k}" for k in range(1, SHOWN + 1)] if there else []


def photograph(name: str) -> Preset:
    """One of `photographs`, which the shipped detector was not trained on, with its annotated objects.

    Raises:
        ValueError: no such photograph.
    """
    if name not in photographs():
        raise ValueError(f'there is no "{name}"; {PHOTOGRAPHS} has to lie in the folder that LAPNET_DATA names')
    dataset, chosen = _chosen(data_dir())
    number = int(name.removeprefix(f"{PHOTOGRAPH}_"))
    if number > len(chosen):
        raise ValueError(
            f'there is no "{name}"; only {len(chosen)} of {PHOTOGRAPHS} have enough objects, and not too many'
        )
    image, target = dataset[chosen[number - 1]]  # pyright: ignore[reportGeneralTypeIssues]
    boxes, labels, _ = flatten_targets([target])
    named = sorted({dataset.class_names[label] for label in labels.tolist()})
    about = f"A photograph of PASCAL VOC with {', '.join(named)}. The model has not seen it in training."
    return Preset(torch.as_tensor(image), boxes, labels, about)


@cache
def _chosen(folder: Path) -> tuple[Images, list[int]]:
    """The photographs, and which of them are offered: the first with neither too few nor too many objects."""
    dataset = unseen_photographs(folder)
    assert dataset is not None  # `photographs` has looked
    fits = [k for k in range(len(dataset)) if len(flatten_targets([dataset.target(k)])[0]) in OBJECTS]
    return dataset, fits[:SHOWN]


def own_photograph(png: bytes, extent: tuple[int, int], name: str, size: tuple[int, int]) -> Preset:
    """A photograph of the learner's own, without objects yet.

    Args:
        png: as the browser made it: of the explorer's (height, width), the aspect kept, and grey bars where the
            photograph does not reach.
        name, size: of its file, with (width, height) in pixels as it was.

    Raises:
        ValueError: that is no such picture.
    """
    height, width = extent
    if len(png) > MOST_BYTES:
        raise ValueError(f"The picture has {len(png) / 1e6:.0f} MB; {MOST_BYTES / 1e6:.0f} MB is the most.")
    try:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            if image.size != (width, height):  # before any pixel is read: a small file can hold a huge picture
                raise ValueError(f"The picture has {image.width} x {image.height} pixels, not {width} x {height}.")
            pixels = v2.functional.pil_to_tensor(image.convert("RGB"))
    except (OSError, SyntaxError, Image.DecompressionBombError):
        raise ValueError(f'"{name}" is no picture.') from None
    about = (
        f'Your photograph "{name}", {size[0]} x {size[1]} pixels, made to fit into {width} x {height}. '
        "Drag on it: draw a box around each object."
    )
    return Preset(pixels, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), about)
