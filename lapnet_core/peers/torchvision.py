"""torchvision's detectors around our backbones, behind the seam. Their losses and their matching are the library's."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from lapnet_core.backbones import STRIDES, Backbone
from lapnet_core.config import TrainConfig
from lapnet_core.data.collate import flatten_targets
from lapnet_core.data.named import Images
from lapnet_core.data.types import Detection, Target
from lapnet_core.inputs import check_images, check_objects, check_thresholds
from lapnet_core.method import Losses, Method, evaluating

PYRAMID_WIDTH = 64
"""Channels of the pyramid and of both heads: LapNet's own on the light backbone (`model.WIDTHS`)."""
LEVELS = tuple(2**k for k in range(3, 8))
"""Strides of P3 to P7."""
DETECTION = {"score_threshold": 0.001, "nms_iou": 0.5, "candidates": 1000, "max_detections": 300}
"""Options of `detect`; `candidates` are of each level, torchvision's default."""
BASE = 2
"""Smallest anchor of a level in strides. RetinaNet's is 4, for images of 800 px; ours have a quarter of that."""


class Pyramid(nn.Module):
    """Backbone and feature pyramid, P3 to P7, as torchvision's detectors take them."""

    def __init__(self, backbone: Backbone, width: int = PYRAMID_WIDTH) -> None:
        super().__init__()
        self.backbone, self.out_channels = backbone, width
        self.fpn = FeaturePyramidNetwork(list(backbone.widths), width, LastLevelP6P7(width, width))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return self.fpn(dict(zip(map(str, STRIDES), self.backbone(images), strict=True)))


class AsTheyAre(nn.Module):
    """In the place of torchvision's transform: images come normalised and of one size, boxes in their pixels."""

    def forward(self, images: Tensor, targets: list[dict[str, Tensor]] | None) -> tuple[ImageList, Any]:
        return ImageList(images, [(images.shape[2], images.shape[3])] * len(images)), targets

    def postprocess(self, found: list[Any], _sizes: Any, _original: Any) -> list[Any]:
        return found


class RetinaNetMethod(Method):
    """RetinaNet (Lin et al., 2017), torchvision's: nine anchors a cell, IoU .5 and .4, focal loss, smooth L1."""

    name = "retinanet"

    def __init__(self, num_classes: int, backbone: str = "light", weights: str = "none") -> None:
        super().__init__()
        sizes = tuple(tuple(round(BASE * stride * 2 ** (k / 3)) for k in range(3)) for stride in LEVELS)
        anchors = AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes))
        self.num_classes = num_classes
        self.model = RetinaNet(Pyramid(Backbone(backbone, weights)), num_classes, anchor_generator=anchors)
        self.model.transform = AsTheyAre()  # pyright: ignore[reportAttributeAccessIssue]
        self.told: dict[str, Tensor] = {}

    @classmethod
    def create(cls, config: TrainConfig, dataset: Images, progress: bool = True) -> "Method":
        return cls(len(dataset.class_names), config.backbone, config.weights)

    @classmethod
    def restore(cls, about: dict[str, Any]) -> "Method":
        return cls(about["num_classes"], about["backbone"])

    def about(self) -> dict[str, Any]:
        pyramid: Any = self.model.backbone
        return {"num_classes": self.num_classes, "backbone": pyramid.backbone.name}

    def loss(self, images: Float[Tensor, "B 3 height width"], targets: Sequence[Target]) -> Losses:
        check_images("targets", targets, len(images))
        check_objects(*flatten_targets(targets), self.num_classes, len(images))
        training, self.model.training = self.model.training, True  # this flag alone decides what torchvision returns
        try:
            parts = self.model(images, [_known(target) for target in targets])
        finally:
            self.model.training = training
        self.told = {name: part.detach() for name, part in parts.items()}
        return Losses(torch.stack(list(parts.values())).sum(), parts)

    @torch.no_grad()
    def detect(self, images: Float[Tensor, "B 3 height width"], **options: float) -> list[Detection]:
        model: Any = self.model
        if unknown := set(options) - set(DETECTION):
            raise TypeError(f"retinanet knows no option {', '.join(sorted(unknown))}")
        used: Any = DETECTION | options
        check_thresholds(**used)
        model.score_thresh, model.nms_thresh = used["score_threshold"], used["nms_iou"]
        model.topk_candidates, model.detections_per_img = used["candidates"], used["max_detections"]
        with evaluating(model):
            found = model(images)
        return [Detection(boxes=d["boxes"], scores=d["scores"], labels=d["labels"]) for d in found]

    def progress(self) -> dict[str, float]:
        return {name: part.item() for name, part in self.told.items()}


def _known(target: Target) -> dict[str, Tensor]:
    """A target without its difficult objects; one made by hand may leave the mark out."""
    use = ~target["difficult"] if "difficult" in target else torch.ones_like(target["labels"], dtype=torch.bool)
    return {"boxes": target["boxes"].as_subclass(Tensor)[use], "labels": target["labels"][use]}
