"""LapNet (paper 3.1, fig. 2): backbone, decoder with skip connections, fusion at stride 8, two heads.

images -> C3 C4 C5 -> decoder -> P3 P4 P5 -> 3x3 convolutions, four each -> resized to stride 8 -> concatenated
       -> score head -> scores  [B, C, A, H, W]
       -> offset head -> offsets [B, C, A, 4, H, W]
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lapnet_core.backbones import WIDTHS, Backbone, ConvNormAct
from lapnet_core.inputs import check_number

PRIOR = 0.01
"""Probability of every anchor before training (RetinaNet's prior), so that the first steps do not explode."""

DEPTH = 4
"""3x3 convolutions on every map of the pyramid and in both heads (paper 3.1)."""


def stack(inputs: int, outputs: int, depth: int = DEPTH) -> nn.Sequential:
    """The 3x3 convolutions that the paper puts on every pyramid map and in both heads."""
    return nn.Sequential(ConvNormAct(inputs, outputs), *(ConvNormAct(outputs, outputs) for _ in range(depth - 1)))


class FPNDecoder(nn.Module):
    """RetinaNet's top-down path: 1x1 lateral, nearest upsampling, sum, 3x3 (Lin et al., 2017)."""

    def __init__(self, widths: tuple[int, int, int], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(inputs, width, 1) for inputs in widths)
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in widths)
        self.widths = (width, width, width)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        c3, c4, c5 = (lateral(level) for lateral, level in zip(self.lateral, maps, strict=True))
        c4 = c4 + F.interpolate(c5, scale_factor=2.0)
        c3 = c3 + F.interpolate(c4, scale_factor=2.0)
        return [smooth(level) for smooth, level in zip(self.smooth, (c3, c4, c5), strict=True)]


class YOLOv3Decoder(nn.Module):
    """YOLOv3's decoder: five alternating 1x1 and 3x3 convolutions, upsampling, concatenation (Redmon & Farhadi, 2018).

    `width` is the channels at stride 16; half of it at stride 8, twice at stride 32.
    """

    def __init__(self, widths: tuple[int, int, int], width: int) -> None:
        super().__init__()
        c3, c4, c5 = widths
        narrow, wide = width // 2, width * 2
        self.blocks5 = self._five(c5, wide)
        self.reduce5 = ConvNormAct(wide, width, 1)
        self.blocks4 = self._five(c4 + width, width)
        self.reduce4 = ConvNormAct(width, narrow, 1)
        self.blocks3 = self._five(c3 + narrow, narrow)
        self.widths = (narrow, width, wide)

    @staticmethod
    def _five(inputs: int, width: int) -> nn.Sequential:
        return nn.Sequential(
            ConvNormAct(inputs, width, 1),
            ConvNormAct(width, width * 2),
            ConvNormAct(width * 2, width, 1),
            ConvNormAct(width, width * 2),
            ConvNormAct(width * 2, width, 1),
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        c3, c4, c5 = maps
        p5 = self.blocks5(c5)
        p4 = self.blocks4(torch.cat((F.interpolate(self.reduce5(p5), scale_factor=2.0), c4), 1))
        p3 = self.blocks3(torch.cat((F.interpolate(self.reduce4(p4), scale_factor=2.0), c3), 1))
        return [p3, p4, p5]


class LapNet(nn.Module):
    """The detector. Its outputs are the same in training and in evaluation; the loss and the detections are apart.

    Args:
        num_classes, per_class: C and A.
        backbone, weights, frozen: see `backbones.Backbone`.
        widths: (decoder, level, head) channels; None takes those of `WIDTHS`.
        depth: 3x3 convolutions on each map of the pyramid and in each head.

    DarkNet-53 has YOLOv3's decoder, every other backbone RetinaNet's FPN (paper 4).

    Raises:
        ValueError: an argument is out of its range, by its name.
    """

    def __init__(
        self,
        num_classes: int,
        per_class: int = 10,
        backbone: str = "light",
        weights: str = "none",
        widths: tuple[int, int, int] | None = None,
        frozen: int = 0,
        depth: int = DEPTH,
    ) -> None:
        super().__init__()
        self.num_classes, self.per_class, self.depth = num_classes, per_class, depth
        self.channels = WIDTHS.get(backbone, WIDTHS["darknet53"]) if widths is None else widths
        if len(self.channels) != 3:
            raise ValueError(f"widths must be (decoder, level, head) channels, not {widths}")
        counted = ("num_classes", "per_class", *["widths"] * 3)
        for name, count in zip(counted, (num_classes, per_class, *self.channels), strict=True):
            check_number(name, count, 1, whole=True)
        check_number("depth", depth, 1, 16, whole=True)
        decoder_width, level_width, head_width = self.channels
        decoder = YOLOv3Decoder if backbone == "darknet53" else FPNDecoder
        self.backbone = Backbone(backbone, weights, frozen)
        self.decoder = decoder(self.backbone.widths, decoder_width)
        self.levels = nn.ModuleList(stack(inputs, level_width, depth) for inputs in self.decoder.widths)
        fused = level_width * len(self.levels)
        outputs = num_classes * per_class
        self.score_head = nn.Sequential(stack(fused, head_width, depth), nn.Conv2d(head_width, outputs, 1))
        self.offset_head = nn.Sequential(stack(fused, head_width, depth), nn.Conv2d(head_width, outputs * 4, 1))
        for head, bias in ((self.score_head, -math.log((1 - PRIOR) / PRIOR)), (self.offset_head, 0.0)):
            final: Any = head[-1]
            # Predictions start at the prior and at the anchors themselves.
            nn.init.normal_(final.weight, std=0.01)
            nn.init.constant_(final.bias, bias)

    def fuse(self, images: Float[Tensor, "B 3 height width"]) -> Float[Tensor, "B _ H W"]:
        """The concatenated pyramid at stride 8, which both heads read."""
        pyramid = [level(p) for level, p in zip(self.levels, self.decoder(self.backbone(images)), strict=True)]
        size = pyramid[0].shape[-2:]
        resized = [F.interpolate(p, size=size, mode="bilinear", align_corners=False) for p in pyramid[1:]]
        return torch.cat((pyramid[0], *resized), 1)

    def forward(
        self, images: Float[Tensor, "B 3 height width"]
    ) -> tuple[Float[Tensor, "B C A H W"], Float[Tensor, "B C A 4 H W"]]:
        """Scores (logits) and offsets (dx, dy, dw, dh) of every anchor, at stride 8: H = height/8, W = width/8.

        Args:
            images: normalised by ImageNet's mean and standard deviation; height and width multiples of 32.

        Raises:
            ValueError: an image size that is not a multiple of 32.
        """
        fused = self.fuse(images)
        grid = (self.num_classes, self.per_class)
        return self.score_head(fused).unflatten(1, grid), self.offset_head(fused).unflatten(1, (*grid, 4))
