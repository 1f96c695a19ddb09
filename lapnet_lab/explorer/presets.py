"""The situations of the paper, to start from."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from lapnet_core.data.collate import flatten_targets
from lapnet_core.scenes import render_situation


@dataclass(frozen=True)
class Preset:
    """A picture with objects, and what to look at in it."""

    image: UInt8[Tensor, "3 H W"]
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
