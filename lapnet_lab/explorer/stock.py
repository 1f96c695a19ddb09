"""The pictures that one explorer can show: what was given, the situations, photographs, and the learner's own."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import UInt8
from torch import Tensor
from torchvision.transforms import v2

from lapnet_core.detector import Detector
from lapnet_core.scenes import SCENE_CLASSES
from lapnet_lab.explorer import presets
from lapnet_lab.explorer.state import Objects
from lapnet_lab.models import shipped


@dataclass(frozen=True)
class Start:
    """A picture at the size at which it is shown, its objects, and the detector that looks at it."""

    image: UInt8[Tensor, "3 h w"] | None
    """None is an empty ground."""
    size: tuple[int, int]
    objects: Objects
    about: str
    model: str
    """Name of the shipped detector, where it is one."""
    detector: Detector | None


class Stock:
    """Pictures by the names of the trait `preset`; empty is what was given.

    Args:
        given: image and objects.
        empty: (height, width) where there is no image.
        shipped: name of the shipped model that shows what is given; empty where shapes or a detector came with it. With
            a shipped model, situations are shown by that of the scenes, photographs by that of the photographs.
        detector: that came with what is given.
    """

    def __init__(
        self, given: presets.Preset, empty: tuple[int, int], shipped: str = "", detector: Detector | None = None
    ) -> None:
        self.given, self.empty, self.shipped, self.detector = given, empty, shipped, detector
        self.own: dict[str, presets.Preset] = {}

    def names(self, class_names: Sequence[str]) -> list[str]:
        """What one can go on to: situations for the classes of the scenes, and with a shipped model photographs too."""
        situations = list(presets.ABOUT) if self.shipped or tuple(class_names) == tuple(SCENE_CLASSES) else []
        return [*situations, *(presets.photographs() if self.shipped else []), *self.own]

    def start(self, name: str) -> Start:
        """What a name begins with, brought to the size of the detector.

        Raises:
            ValueError: there is no such picture.
        """
        found, model = self.given, self.shipped
        if name:
            is_photograph = name.startswith((presets.PHOTOGRAPH, presets.OWN))
            find = presets.photograph if name.startswith(presets.PHOTOGRAPH) else presets.preset
            found = self.own[name] if name in self.own else find(name)
            model = "photographs" if is_photograph else "scenes"
        image, boxes = found.image, found.boxes
        detector = shipped(model) if self.shipped else self.detector
        size = (int(image.shape[1]), int(image.shape[2])) if image is not None else self.empty
        if detector is not None and size != detector.image_size:
            height, width = detector.image_size
            boxes = boxes * boxes.new_tensor([width / size[1], height / size[0]] * 2)
            size = (height, width)
            image = None if image is None else v2.functional.resize(image, [height, width], antialias=True)
        rounded = [[round(side, 1) for side in box] for box in boxes.tolist()]
        image = None if image is None else torch.as_tensor(image)
        return Start(
            image, size, Objects(rounded, found.labels.tolist()), found.about, model if self.shipped else "", detector
        )

    def keep(self, photograph: presets.Preset) -> str:
        """One more of the learner's own, by a new name; the oldest goes where there are too many."""
        number = 1 + max((int(name.rsplit("_")[-1]) for name in self.own), default=0)
        name = f"{presets.OWN}_{number}"
        self.own = {**dict([*self.own.items()][1 - presets.MOST_OWN :]), name: photograph}
        return name
