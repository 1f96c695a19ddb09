"""torchvision's detectors around our backbones, behind the seam. Their losses and their matching are the library's."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.detection import FCOS, FasterRCNN, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.ssd import SSD, SSDHead
from torchvision.ops import MultiScaleRoIAlign

from lapnet_core.backbones import STRIDES, Backbone
from lapnet_core.config import TrainConfig
from lapnet_core.data.collate import flatten_targets
from lapnet_core.data.named import Images
from lapnet_core.data.types import Detection, Target
from lapnet_core.inputs import check_images, check_objects, check_thresholds
from lapnet_core.method import Losses, Method, evaluating
from lapnet_core.peers.pyramid import PYRAMID_WIDTH, Pyramid, known

LEVELS = tuple(2**k for k in range(3, 8))
"""Strides of P3 to P7."""
BASE = 2
"""Smallest anchor of a level in strides. RetinaNet's is 4, for images of 800 px; ours have a quarter of that. Every
length in pixels that the papers chose for such images is halved with it."""
RATIOS = (0.5, 1.0, 2.0)


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


class TorchvisionMethod(Method):
    """What torchvision's detectors have in common. One more is `build`, and whatever is not as here.

    Args:
        num_classes: without background.
        backbone, weights, frozen: see `backbones.Backbone`.
        width: channels of the pyramid and of the heads.
    """

    options: ClassVar[dict[str, float]] = {
        "score_threshold": 0.001, "nms_iou": 0.5, "candidates": 1000, "max_detections": 300,
    }  # fmt: skip
    """Of `detect`. `candidates` are of each level of the pyramid, where a class does not say otherwise."""
    first_label: ClassVar[int] = 0
    """Label of class 0 in the library: 1 where 0 is the background."""

    def __init__(
        self, num_classes: int, backbone: str = "light", weights: str = "none", frozen: int = 0,
        width: int = PYRAMID_WIDTH,
    ) -> None:  # fmt: skip
        super().__init__()
        self.num_classes = num_classes
        self.model: Any = self.build(Pyramid(Backbone(backbone, weights, frozen), width), num_classes)
        self.model.transform = AsTheyAre()
        self.told: dict[str, Tensor] = {}

    @staticmethod
    @abstractmethod
    def build(pyramid: Pyramid, num_classes: int) -> nn.Module:
        """The library's detector, untrained."""

    @classmethod
    def create(cls, config: TrainConfig, dataset: Images, progress: bool = True) -> "Method":
        width = config.widths[0] if config.widths else PYRAMID_WIDTH
        return cls(len(dataset.class_names), config.backbone, config.weights, config.frozen, width)

    @classmethod
    def restore(cls, about: dict[str, Any]) -> "Method":
        frozen, width = about.get("frozen", 0), about.get("width", PYRAMID_WIDTH)  # version 0.1 had neither
        return cls(about["num_classes"], about["backbone"], "none", frozen, width)

    def about(self) -> dict[str, Any]:
        pyramid = self.model.backbone
        return {
            "num_classes": self.num_classes,
            "backbone": pyramid.backbone.name,
            "frozen": pyramid.backbone.frozen,
            "width": pyramid.out_channels,
        }

    def parts(self) -> tuple[nn.Module, ...]:
        """The modules of the library that look at their training flag themselves."""
        return (self.model,)

    def loss(self, images: Float[Tensor, "B 3 height width"], targets: Sequence[Target]) -> Losses:
        check_images("targets", targets, len(images))
        check_objects(*flatten_targets(targets), self.num_classes, len(images))
        objects = [known(target) for target in targets]
        theirs = [{"boxes": one["boxes"].float(), "labels": one["labels"].long() + self.first_label} for one in objects]
        with giving_losses(*self.parts()):
            parts = self.model(images, theirs)
        self.told = {name: part.detach() for name, part in parts.items()}
        return Losses(torch.stack(list(parts.values())).sum(), parts)

    def prepare(self, score_threshold: float, nms_iou: float, candidates: int, max_detections: int) -> None:
        """Hand the options of `detect` to the library."""
        model = self.model
        model.score_thresh, model.nms_thresh = score_threshold, nms_iou
        model.topk_candidates, model.detections_per_img = candidates, None  # `detect` counts them itself

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
        self.prepare(**used)
        with evaluating(self.model):
            found = self.model(images)
        finite = [images.isfinite().all(), *(one["boxes"].isfinite().all() for one in found)]
        if not bool(torch.stack(finite).all()):
            raise ValueError("images or boxes are not finite: either the images are not, or the model is damaged")
        return [self.cleaned(used["max_detections"], **one) for one in found]

    def cleaned(self, most: int, boxes: Float[Tensor, "n 4"], scores: Tensor, labels: Tensor) -> Detection:
        """The best `most`, without what lay outside the image, of which clipping leaves nothing; with our labels."""
        kept = (boxes[:, 2:] > boxes[:, :2]).all(1).nonzero().flatten()[:most]
        return Detection(boxes=boxes[kept], scores=scores[kept], labels=labels[kept] - self.first_label)

    def progress(self) -> dict[str, float]:
        return {name: part.item() for name, part in self.told.items()}


class RetinaNetMethod(TorchvisionMethod):
    """RetinaNet (Lin et al., 2017): nine anchors a cell, IoU .5 and .4, focal loss, smooth L1."""

    name = "retinanet"

    @staticmethod
    def build(pyramid: Pyramid, num_classes: int) -> nn.Module:
        sizes = tuple(tuple(round(BASE * stride * 2 ** (k / 3)) for k in range(3)) for stride in LEVELS)
        anchors = AnchorGenerator(sizes, (RATIOS,) * len(LEVELS))
        return RetinaNet(pyramid, num_classes, anchor_generator=anchors)


class FCOSMethod(TorchvisionMethod):
    """FCOS (Tian et al., 2019): no anchors; points in the middle of an object, on the level that its size asks for.

    Focal loss, generalised IoU and centreness; a detection scores the root of probability times centreness.
    """

    name = "fcos"

    @staticmethod
    def build(pyramid: Pyramid, num_classes: int) -> nn.Module:
        # The library knows the ranges of the levels, 64, 128, 256 and 512 px, as 8 "anchors" of one stride: they are
        # halved with these. The middle of an object is 1.5 strides to each side all the same.
        scale = BASE / 4
        sizes = tuple((round(scale * stride),) for stride in LEVELS)
        anchors = AnchorGenerator(sizes, ((1.0,),) * len(LEVELS))
        return FCOS(pyramid, num_classes, anchor_generator=anchors, center_sampling_radius=1.5 / scale)  # pyright: ignore


class SSDMethod(TorchvisionMethod):
    """SSD (Liu et al., 2016): default boxes, IoU .5, cross entropy with three hard negatives to a positive, smooth L1.

    Its maps are those of the pyramid, which the paper does not have: the peers differ in the head, not in what comes
    before. `candidates` are of each class.
    """

    name = "ssd"
    first_label = 1

    @staticmethod
    def build(pyramid: Pyramid, num_classes: int) -> nn.Module:
        # Sides as shares of the image: SSD300's, for five levels. At 192 px they are 1.7 to 2 strides at P3 and P4,
        # at 320 px about 3, as they are in SSD300.
        boxes = DefaultBoxGenerator([[2], [2, 3], [2, 3], [2, 3], [2]], scales=[0.07, 0.15, 0.33, 0.55, 0.8, 1.05])
        maps = [pyramid.out_channels] * len(LEVELS)
        head = SSDHead(maps, boxes.num_anchors_per_location(), num_classes + 1)
        return SSD(pyramid, boxes, (1, 1), num_classes + 1, head=head)  # the size is for the transform alone


class FasterRCNNMethod(TorchvisionMethod):
    """Faster R-CNN (Ren et al., 2015) on a feature pyramid (Lin et al., 2017): proposals, then a head on each region.

    The region head is a quarter as wide as the library's and sees 128 regions of an image in training, as in the first
    paper, for small images with few objects: else it would cost several times what everything before it does.
    `candidates` are the proposals of an image; 300 is the paper's number.

    Anchors and regions are sampled at random, as a function of the state alone: `draws` starts at random and counts
    the losses in training mode, so that a training that is resumed draws what the uninterrupted one draws.
    """

    name = "faster_rcnn"
    options: ClassVar[dict[str, float]] = {**TorchvisionMethod.options, "candidates": 300}
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
        anchors = AnchorGenerator(tuple((BASE * stride,) for stride in LEVELS), (RATIOS,) * len(LEVELS))
        # An object of 224 px is looked at on P4 in the paper, one of half of that here; 7x7 bins a region.
        names, canonical = [str(stride) for stride in STRIDES], 224 * BASE // 4
        regions = MultiScaleRoIAlign(names, 7, 2, canonical_scale=canonical)
        hidden = 256
        return FasterRCNN(
            pyramid, rpn_anchor_generator=anchors, box_roi_pool=regions,
            box_head=TwoMLPHead(pyramid.out_channels * 7 * 7, hidden),
            box_predictor=FastRCNNPredictor(hidden, num_classes + 1), box_batch_size_per_image=128,
        )  # fmt: skip

    def parts(self) -> tuple[nn.Module, ...]:
        return self.model, self.model.rpn, self.model.roi_heads

    def loss(self, images: Float[Tensor, "B 3 height width"], targets: Sequence[Target]) -> Losses:
        devices = [images.device] if images.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(int(self.draws))
            losses = super().loss(images, targets)
        if self.training:
            self.draws += 1
        return losses

    def prepare(self, score_threshold: float, nms_iou: float, candidates: int, max_detections: int) -> None:
        proposals, regions = self.model.rpn, self.model.roi_heads
        proposals._pre_nms_top_n["testing"] = max(1000, candidates)  # of each level, before their own suppression
        proposals._post_nms_top_n["testing"] = candidates
        regions.score_thresh, regions.nms_thresh = score_threshold, nms_iou
        regions.detections_per_img = None
