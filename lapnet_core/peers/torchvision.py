"""torchvision's detectors around our backbones, behind the seam. Their losses and their matching are the library's."""

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.detection import FCOS, FasterRCNN, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.models.detection.ssd import SSD, SSDHead
from torchvision.ops import MultiScaleRoIAlign, roi_align
from torchvision.ops.poolers import LevelMapper

from lapnet_core.backbones import STRIDES, Backbone
from lapnet_core.config import TrainConfig
from lapnet_core.data.named import Images
from lapnet_core.data.types import Detection
from lapnet_core.peers.peer import PYRAMID_WIDTH, Peer, Pyramid

LEVELS = tuple(2**k for k in range(3, 8))
"""Strides of P3 to P7."""
BASE, BASE_0_1 = 4, 2
"""Smallest anchor of a level in strides, as in RetinaNet's paper; version 0.1 had half of it, since images of 192 px
have a quarter of the sides that the papers chose. But then an anchor lies up to a quarter of its side away from an
object, which it overlaps by .39, too little to answer for it: on photographs Faster R-CNN had half its AP at .75."""
DEPTH, DEPTH_0_1 = 1, 4
"""Convolutions before the outputs of RetinaNet and FCOS; their papers, and version 0.1, have four. They begin at random
behind a backbone that has learned: in 1,500 steps on photographs a RetinaNet with four finds every large object, and
names 42 %; with one it names 80 %, and its AP on val is twice as high. `yolov3.PAIRS` is the same."""
FCOS_SCALE = 0.5
"""Of the lengths that FCOS chose for images of 800 px."""
RATIOS = (0.5, 1.0, 2.0)


class Centred(AnchorGenerator):
    """In the middle of the cells, at (k + .5) strides, as LapNet's, YOLOv3's and SSD's are. The library's, at k,
    are half a cell off on a backbone that pads as TensorFlow does; and its stride is image over grid, so that P6's, 64
    where 192 px are trained at, is 53 in 160 px."""

    def grid_anchors(self, grid_sizes: Any, _strides: Any) -> list[Tensor]:
        """(H * W * A, 4) `xyxy` px of each level."""
        corners = super().grid_anchors(grid_sizes, [[torch.tensor(stride)] * 2 for stride in LEVELS])
        return [level + stride / 2 for level, stride in zip(corners, LEVELS, strict=True)]


class CentredRegions(nn.Module):
    """The library's pooling of regions, from maps whose cell k lies at (k + .5) strides."""

    def __init__(self, base: int) -> None:
        super().__init__()
        self.output_size, self.level_of = (7, 7), LevelMapper(3, 5, 224 * base // 4)

    def forward(self, maps: dict[str, Tensor], boxes: list[Tensor], _sizes: Any) -> Tensor:
        rows = torch.cat([F.pad(own.float(), (1, 0), value=n) for n, own in enumerate(boxes)])  # also under autocast
        level = self.level_of(boxes)
        pooled = rows.new_zeros(len(rows), maps["8"].shape[1], *self.output_size)
        for k, stride in enumerate(STRIDES):
            here = level == k
            pooled[here] = roi_align(maps[str(stride)], rows[here], self.output_size, 1 / stride, 2, aligned=True)
        return pooled


def anchors(base: int, in_octave: int = 1, centred: bool = False) -> AnchorGenerator:
    """Of each level so many sizes, the smallest of `base` strides, in three shapes."""
    sizes = tuple(tuple(round(base * stride * 2 ** (k / in_octave)) for k in range(in_octave)) for stride in LEVELS)
    return (Centred if centred else AnchorGenerator)(sizes, (RATIOS,) * len(LEVELS))


def points(centred: bool) -> AnchorGenerator:
    """FCOS's: the library knows the ranges of the levels, 64, 128, 256 and 512 px, as 8 "anchors" of one stride. They
    are halved with these."""
    sizes = tuple((round(FCOS_SCALE * stride),) for stride in LEVELS)
    return (Centred if centred else AnchorGenerator)(sizes, ((1.0,),) * len(LEVELS))


def shorten(head: Any, depth: int) -> None:
    """Leave the first `depth` convolutions, with what follows each, of the four in either half of a head."""
    for half in (head.classification_head, head.regression_head):
        half.conv = half.conv[: len(half.conv) // DEPTH_0_1 * depth]


class AsTheyAre(nn.Module):
    """In the place of torchvision's transform: images come normalised and of one size, boxes in their pixels."""

    def forward(self, images: Tensor, targets: list[dict[str, Tensor]] | None) -> tuple[ImageList, Any]:
        return ImageList(images, [(images.shape[2], images.shape[3])] * len(images)), targets

    def postprocess(self, found: list[Any], _sizes: Any, _original: Any) -> list[Any]:
        return found


@contextmanager
def giving_losses(*modules: nn.Module) -> Iterator[None]:
    """Losses come out of torchvision's `modules` for the time of a `with`. This flag alone decides it; those of the
    layers in them stay, so that batch normalisation does what it did."""
    before = [module.training for module in modules]
    try:
        for module in modules:
            module.training = True
        yield
    finally:
        for module, training in zip(modules, before, strict=True):
            module.training = training


class TorchvisionMethod(Peer):
    """What torchvision's detectors have in common. One more is `build`, and whatever is not as here.

    `candidates` are of each level of the pyramid, where a class does not say otherwise.
    """

    first_label: ClassVar[int] = 0
    """Label of class 0 in the library: 1 where 0 is the background."""

    def __init__(
        self, num_classes: int, backbone: str = "light", weights: str = "none", frozen: int = 0,
        width: int = PYRAMID_WIDTH,
    ) -> None:  # fmt: skip
        super().__init__(num_classes, backbone, weights, frozen, width)
        self.model: Any = self.build(Pyramid(Backbone(backbone, weights, frozen), width), num_classes)
        self.model.transform = AsTheyAre()

    @staticmethod
    @abstractmethod
    def build(pyramid: Pyramid, num_classes: int) -> nn.Module:
        """The library's detector, untrained."""

    def parts(self) -> tuple[nn.Module, ...]:
        """The modules of the library that look at their training flag themselves."""
        return (self.model,)

    def losses(self, images: Float[Tensor, "B 3 height width"], objects: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        theirs = [{**one, "labels": one["labels"] + self.first_label} for one in objects]
        with giving_losses(*self.parts()):
            return self.model(images, theirs)

    def prepare(self, score_threshold: float, nms_iou: float, candidates: int) -> None:
        """Hand the options of `detect` to the library, and let it keep everything: `found` counts."""
        model = self.model
        model.score_thresh, model.nms_thresh = score_threshold, nms_iou
        model.topk_candidates, model.detections_per_img = candidates, None

    def found(
        self, images: Float[Tensor, "B 3 height width"], score_threshold: float, nms_iou: float, candidates: int,
        max_detections: int,
    ) -> list[Detection]:  # fmt: skip
        self.prepare(score_threshold, nms_iou, candidates)
        detections: list[Detection] = []
        for one in self.model(images):
            boxes = one["boxes"]
            # Of what lay outside of the image, clipping leaves nothing. What is not finite is told by `detect`.
            nothing = (boxes[:, 2:] <= boxes[:, :2]).any(1)
            kept = nothing.logical_not_().nonzero().flatten()[:max_detections]
            labels = one["labels"][kept] - self.first_label
            detections.append(Detection(boxes=boxes[kept], scores=one["scores"][kept], labels=labels))
        return detections


class RetinaNetMethod(TorchvisionMethod):
    """RetinaNet (Lin et al., 2017): nine anchors a cell, IoU .5 and .4, focal loss, L1.

    The paper's two branches, four convolutions each that start with a deviation of .01 and have no norm, let about a
    hundredth of what reaches them through, and of its gradient. In the paper's 90,000 steps that is made up for; in a
    short training it decides. So there is one (`DEPTH`), and it is normalised by groups, as in torchvision's second
    version of RetinaNet and in its FCOS: the heads of LapNet and YOLOv3 have their norm, too.
    """

    name = "retinanet"
    now: ClassVar[dict[str, Any]] = {"normalised": True, "base": BASE, "depth": DEPTH, "centred": True}
    before: ClassVar[dict[str, Any]] = {"normalised": False, "base": BASE_0_1, "depth": DEPTH_0_1, "centred": False}

    @staticmethod
    def build(pyramid: Pyramid, num_classes: int) -> nn.Module:
        return RetinaNet(pyramid, num_classes, anchor_generator=anchors(BASE_0_1, 3))

    def reform(self, normalised: bool, base: int, depth: int, centred: bool) -> None:
        """Heads of `depth` convolutions, with a norm of 32 groups, or as many as go into the width; anchors from `base`
        strides on, in the middle of cells."""
        model, width = self.model, self.form["width"]
        model.anchor_generator = anchors(base, 3, centred)
        if normalised:
            norm, number = partial(nn.GroupNorm, math.gcd(32, width)), model.head.classification_head.num_anchors
            model.head = RetinaNetHead(width, number, self.num_classes, norm_layer=norm)
        shorten(model.head, depth)


class FCOSMethod(TorchvisionMethod):
    """FCOS (Tian et al., 2019): no anchors; points in the middle of an object, on the level that its size asks for.

    Focal loss, generalised IoU and centreness; a detection scores the root of probability times centreness.
    """

    name = "fcos"
    now: ClassVar[dict[str, Any]] = {"depth": DEPTH, "centred": True}
    before: ClassVar[dict[str, Any]] = {"depth": DEPTH_0_1, "centred": False}

    @staticmethod
    def build(pyramid: Pyramid, num_classes: int) -> nn.Module:
        if pyramid.out_channels % 32:
            raise ValueError(f"fcos normalises by 32 groups: its width must be a multiple, not {pyramid.out_channels}")
        radius: Any = 1.5 / FCOS_SCALE  # the middle of an object is 1.5 strides to each side, whatever the ranges
        grid: Any = points(centred=False)
        model: Any = FCOS(pyramid, num_classes, anchor_generator=grid, center_sampling_radius=radius)
        # Before training a box reaches a stride to each side. The library starts at 0, where its ReLU cuts off half: on
        # a small backbone that may be both of left and right, of every cell; such boxes have no area and never learn.
        nn.init.constant_(model.head.regression_head.bbox_reg.bias, 1 / FCOS_SCALE)
        return model

    def reform(self, depth: int, centred: bool) -> None:
        """Heads of `depth` convolutions; points in the middle of cells."""
        shorten(self.model.head, depth)
        self.model.anchor_generator = points(centred)


class DefaultBoxes(DefaultBoxGenerator):
    """The library's default boxes at the size that is trained at, and the same in pixels at any other.

    The library's are shares of the image: in a larger one they grow, while a cell of the network still sees what it
    saw in training, so that it puts the same offsets to other boxes, and next to no box fits.
    """

    trained: tuple[int, int] | None = None
    """(height, width) in pixels; None leaves the boxes as shares of the image, as version 0.1 had them."""

    def _grid_default_boxes(self, grid_sizes: Any, image_size: Any, dtype: torch.dtype = torch.float32) -> Tensor:
        """Of every cell of every level (cx, cy, w, h), as shares of `image_size` (height, width)."""
        if self.trained is None:
            return super()._grid_default_boxes(grid_sizes, image_size, dtype)
        levels = []
        share = [trained / now for trained, now in zip(self.trained, image_size, strict=True)]
        for k, (stride, grid) in enumerate(zip(LEVELS, grid_sizes, strict=True)):
            # The trained size has a cell for each whole or begun stride; the library spreads them evenly.
            y, x = (
                (torch.arange(cells) + 0.5) / math.ceil(trained / stride) * part
                for cells, trained, part in zip(grid, self.trained, share, strict=True)
            )
            sides = self._wh_pairs[k].clamp(0, 1) * torch.tensor(share[::-1])
            centres = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).view(-1, 1, 2).expand(-1, len(sides), -1)
            levels.append(torch.cat((centres, sides.expand_as(centres)), -1).view(-1, 4))
        return torch.cat(levels).to(dtype)


class SSDMethod(TorchvisionMethod):
    """SSD (Liu et al., 2016): default boxes, IoU .5, cross entropy with three hard negatives to a positive, smooth L1.

    Its maps are those of the pyramid, which the paper does not have: the peers differ in the head, not in what comes
    before. But its head is a single convolution without a norm, and those maps have values of ten and more, so that it
    begins with a loss of 180: the pyramid is normalised, as the paper normalises its first map. That is worth 13 points
    on photographs; YOLOv3 and FCOS gain nothing by it, and Faster R-CNN loses. `candidates` are of each class.
    """

    name = "ssd"
    first_label = 1
    now: ClassVar[dict[str, Any]] = {"normalised": True}
    before: ClassVar[dict[str, Any]] = {"normalised": False, "image_size": None}

    @staticmethod
    def build(pyramid: Pyramid, num_classes: int) -> nn.Module:
        # Sides as shares of the image: SSD300's, for five levels. At 192 px they are 1.7 to 2 strides at P3 and P4,
        # at 320 px about 3, as they are in SSD300.
        boxes = DefaultBoxes([[2], [2, 3], [2, 3], [2, 3], [2]], scales=[0.07, 0.15, 0.33, 0.55, 0.8, 1.05])
        maps = [pyramid.out_channels] * len(LEVELS)
        head = SSDHead(maps, boxes.num_anchors_per_location(), num_classes + 1)
        return SSD(pyramid, boxes, (1, 1), num_classes + 1, head=head)  # the size is for the transform alone

    @classmethod
    def create(cls, config: TrainConfig, dataset: Images, progress: bool = True) -> "SSDMethod":
        method = cast("SSDMethod", super().create(config, dataset, progress))
        method.trained_at(config.image_size)
        return method

    def reform(self, normalised: bool, image_size: Sequence[int] | None = None) -> None:
        """A normalised pyramid; default boxes that keep their pixels."""
        if normalised:
            self.model.backbone.normalise()
        if image_size is not None:
            self.trained_at(image_size)

    def trained_at(self, size: Sequence[int]) -> None:
        """Its default boxes have the places and sides, in pixels, that they have in an image of `size`."""
        height, width = size
        self.form["image_size"] = self.model.anchor_generator.trained = (height, width)


def regions(base: int) -> MultiScaleRoIAlign:
    """7 x 7 bins a region. With the paper's anchors, of 4 strides, an object of 224 px is looked at on P4."""
    return MultiScaleRoIAlign([str(stride) for stride in STRIDES], 7, 2, canonical_scale=224 * base // 4)


class FasterRCNNMethod(TorchvisionMethod):
    """Faster R-CNN (Ren et al., 2015) on a feature pyramid (Lin et al., 2017): proposals, then a head on each region.

    The region head is a quarter as wide as the library's and sees 128 regions of an image in training, as in the first
    paper, for small images with few objects: else it would cost several times what everything before it does.
    `candidates` are the proposals of an image; 300 is the paper's number.

    Anchors and regions are sampled at random, as a function of the state alone: `draws` starts at random and counts
    the losses in training mode, so that a training that is resumed draws what the uninterrupted one draws.
    """

    name = "faster_rcnn"
    now: ClassVar[dict[str, Any]] = {"base": BASE, "centred": True}
    before: ClassVar[dict[str, Any]] = {"base": BASE_0_1, "centred": False}
    options: ClassVar[dict[str, float]] = {**Peer.options, "candidates": 300}
    first_label = 1
    draws: Tensor

    def __init__(
        self, num_classes: int, backbone: str = "light", weights: str = "none", frozen: int = 0,
        width: int = PYRAMID_WIDTH,
    ) -> None:  # fmt: skip
        super().__init__(num_classes, backbone, weights, frozen, width)
        self.register_buffer("draws", torch.randint(2**31, ()))

    @staticmethod
    def build(pyramid: Pyramid, num_classes: int) -> nn.Module:
        hidden = 256
        return FasterRCNN(
            pyramid, rpn_anchor_generator=anchors(BASE_0_1), box_roi_pool=regions(BASE_0_1),
            box_head=TwoMLPHead(pyramid.out_channels * 7 * 7, hidden),
            box_predictor=FastRCNNPredictor(hidden, num_classes + 1), box_batch_size_per_image=128,
        )  # fmt: skip

    def reform(self, base: int, centred: bool) -> None:
        """Anchors from `base` strides on, in the middle of cells, and regions read so."""
        self.model.rpn.anchor_generator = anchors(base, centred=centred)
        self.model.roi_heads.box_roi_pool = CentredRegions(base) if centred else regions(base)

    def parts(self) -> tuple[nn.Module, ...]:
        return self.model, self.model.rpn, self.model.roi_heads

    def losses(self, images: Float[Tensor, "B 3 height width"], objects: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        with torch.random.fork_rng([images.device] if images.device.type == "cuda" else []):
            torch.manual_seed(int(self.draws))
            parts = super().losses(images, objects)
        if self.training:
            self.draws += 1
        return parts

    def prepare(self, score_threshold: float, nms_iou: float, candidates: int) -> None:
        proposals, regions = self.model.rpn, self.model.roi_heads
        proposals._pre_nms_top_n["testing"] = max(1000, candidates)  # of each level, before their own suppression
        proposals._post_nms_top_n["testing"] = candidates
        regions.score_thresh, regions.nms_thresh, regions.detections_per_img = score_threshold, nms_iou, None
