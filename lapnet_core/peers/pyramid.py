"""What the peers share: the backbone with a feature pyramid behind it, and how targets are read."""

import torch
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from lapnet_core.backbones import STRIDES, Backbone
from lapnet_core.data.types import Target

PYRAMID_WIDTH = 64
"""Channels of the pyramid and of the heads behind it: LapNet's own on the light backbone (`model.WIDTHS`)."""


class Pyramid(nn.Module):
    """Backbone and feature pyramid (Lin et al., 2017), as torchvision's detectors take them.

    Args:
        backbone: gives C3, C4, C5.
        width: channels of each map.
        coarse: P6 and P7, at strides 64 and 128, follow on P3 to P5.
    """

    def __init__(self, backbone: Backbone, width: int = PYRAMID_WIDTH, coarse: bool = True) -> None:
        super().__init__()
        self.backbone, self.out_channels = backbone, width
        more = LastLevelP6P7(width, width) if coarse else None
        self.fpn = FeaturePyramidNetwork(list(backbone.widths), width, more)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Maps by name, "8", "16", "32" (their strides), "p6" and "p7".

        They are float32 also under autocast: torchvision makes its anchors of their dtype, and bfloat16 knows no pixel
        beyond the 256th but every second one.
        """
        maps = self.fpn(dict(zip(map(str, STRIDES), self.backbone(images), strict=True)))
        return {name: level.float() for name, level in maps.items()}


def known(target: Target) -> dict[str, Tensor]:
    """Boxes (N, 4) and labels (N,) of a target without difficult objects; one made by hand may leave the mark out."""
    use = ~target["difficult"] if "difficult" in target else torch.ones_like(target["labels"], dtype=torch.bool)
    return {"boxes": target["boxes"].as_subclass(Tensor)[use], "labels": target["labels"][use]}
