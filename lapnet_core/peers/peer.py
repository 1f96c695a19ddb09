"""What the peers share, so that they differ in the detector alone: the backbone with a feature pyramid behind it, and
what the seam asks of each."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from lapnet_core.backbones import STRIDES, WIDTHS, Backbone
from lapnet_core.config import TrainConfig
from lapnet_core.data.collate import flatten_targets
from lapnet_core.data.named import Images
from lapnet_core.data.types import Detection, Target
from lapnet_core.inputs import check_images, check_objects, check_thresholds
from lapnet_core.method import Losses, Method, evaluating

PYRAMID_WIDTH = 64
"""Channels of the pyramid and of the heads behind it, where nothing says otherwise; a training has LapNet's own
(`backbones.WIDTHS`)."""


class CoarseLevels(LastLevelP6P7):
    """P6 and P7 in float32, also under autocast. They cost next to nothing, and a bfloat16 convolution of stride 2 on a
    map of one cell, as P6 of a 64 px image is, now and then gets no finite gradient on CPUs (oneDNN, torch 2.14)."""

    def forward(self, p: list[Tensor], c: list[Tensor], names: list[str]) -> tuple[list[Tensor], list[str]]:
        with torch.autocast(p[-1].device.type, enabled=False):
            return super().forward([level.float() for level in p], c, names)


class Pyramid(nn.Module):
    """Backbone and feature pyramid (Lin et al., 2017), as torchvision's detectors take them.

    Args:
        backbone: gives C3, C4, C5.
        width: channels of each map.
        coarse: P6 and P7, at strides 64 and 128, follow on P3 to P5.
    """

    def __init__(self, backbone: Backbone, width: int = PYRAMID_WIDTH, coarse: bool = True) -> None:
        super().__init__()
        self.backbone, self.out_channels, self.coarse = backbone, width, coarse
        self.fpn = self.levels()

    def levels(self, norm: type[nn.Module] | None = None) -> FeaturePyramidNetwork:
        """What stands behind the backbone, untrained; `norm` follows each of its convolutions up to P5."""
        more = CoarseLevels(self.out_channels, self.out_channels) if self.coarse else None
        return FeaturePyramidNetwork(list(self.backbone.widths), self.out_channels, more, norm_layer=norm)

    def normalise(self) -> None:
        """Begin anew, with batch normalisation."""
        self.fpn = self.levels(nn.BatchNorm2d)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Maps by name, "8", "16", "32" (their strides), "p6" and "p7".

        They are float32 also under autocast: torchvision makes its anchors of their dtype, and bfloat16 knows no pixel
        beyond the 256th but every second one.
        """
        maps = self.fpn(dict(zip(map(str, STRIDES), self.backbone(images), strict=True)))
        return {name: level.float() for name, level in maps.items()}


class Peer(Method):
    """A detector that LapNet is compared with: its subclass says what it gets for a loss, and what it finds.

    Args:
        num_classes: without background.
        backbone, weights, frozen: see `backbones.Backbone`.
        width: channels of the pyramid and of the heads.
    """

    options: ClassVar[dict[str, float]] = {
        "score_threshold": 0.001, "nms_iou": 0.5, "candidates": 1000, "max_detections": 300,
    }  # fmt: skip
    """Of `detect`, by default."""
    now: ClassVar[dict[str, Any]] = {}
    """What `reform` makes of a new one."""
    before: ClassVar[dict[str, Any]] = {}
    """The same of a saved one that does not tell it: as the library or the paper has it, and version 0.1 had it."""

    def __init__(
        self, num_classes: int, backbone: str = "light", weights: str = "none", frozen: int = 0,
        width: int = PYRAMID_WIDTH,
    ) -> None:  # fmt: skip
        super().__init__()
        self.num_classes = num_classes
        self.form: dict[str, Any] = {"num_classes": num_classes, "backbone": backbone, "frozen": frozen, "width": width}
        self.told: dict[str, Tensor] = {}
        """Losses of the last batch, without gradient."""

    @classmethod
    def create(cls, config: TrainConfig, dataset: Images, progress: bool = True) -> "Method":
        width = (config.widths or WIDTHS.get(config.backbone, WIDTHS["darknet53"]))[0]
        return cls(len(dataset.class_names), config.backbone, config.weights, config.frozen, width).formed(cls.now)

    @classmethod
    def restore(cls, about: dict[str, Any]) -> "Method":
        frozen, width = about.get("frozen", 0), about.get("width", PYRAMID_WIDTH)  # version 0.1 had neither
        told = {name: about.get(name, value) for name, value in cls.before.items()}
        return cls(about["num_classes"], about["backbone"], frozen=frozen, width=width).formed(told)

    def formed(self, form: dict[str, Any]) -> "Peer":
        """As it shall be, and as `about` tells."""
        self.form |= form
        self.reform(**form)
        return self

    def reform(self) -> None:
        """Change what is not as in the library or the paper, by what `now` and `before` name."""

    def about(self) -> dict[str, Any]:
        return dict(self.form)

    @abstractmethod
    def losses(self, images: Float[Tensor, "B 3 height width"], objects: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """The losses of a batch by name, given of each image the boxes (N, 4), xyxy px, and labels (N,), from 0, of its
        objects that are not difficult."""

    def loss(self, images: Float[Tensor, "B 3 height width"], targets: Sequence[Target]) -> Losses:
        check_images("targets", targets, len(images))
        boxes, labels, image_index = flatten_targets(targets)
        check_objects(boxes, labels, image_index, self.num_classes, len(images))
        counts = torch.bincount(image_index, minlength=len(images)).tolist()
        each = zip(boxes.float().split(counts), labels.long().split(counts), strict=True)
        parts = self.losses(images, [{"boxes": own, "labels": names} for own, names in each])
        self.told = {name: part.detach() for name, part in parts.items()}
        return Losses(torch.stack(list(parts.values())).sum(), parts)

    @abstractmethod
    def found(
        self, images: Float[Tensor, "B 3 height width"], score_threshold: float, nms_iou: float, candidates: int,
        max_detections: int,
    ) -> list[Detection]:  # fmt: skip
        """Detections, in evaluation mode, by options that are in their ranges."""

    @torch.no_grad()
    def detect(self, images: Float[Tensor, "B 3 height width"], **options: float) -> list[Detection]:
        """See `Method.detect`; the defaults are in `options`.

        Raises:
            TypeError: an option of another name.
            ValueError: an option out of its range, by name; images, or what comes of them, are not finite.
        """
        if unknown := set(options) - set(self.options):
            raise TypeError(f"{self.name} knows no option {', '.join(sorted(unknown))}")
        used: Any = self.options | options
        check_thresholds(**used)
        with evaluating(self):
            found = self.found(images, **used)
        finite = [
            images.isfinite().all(),
            *(x.isfinite().all() for one in found for x in (one["boxes"], one["scores"])),
        ]
        if not bool(torch.stack(finite).all()):
            raise ValueError("images or detections are not finite: either the images are not, or the model is damaged")
        return found

    def progress(self) -> dict[str, float]:
        return {name: part.item() for name, part in self.told.items()}
