"""YOLOv3 (Redmon and Farhadi, 2018) behind the seam: ours, around the backbones and the pyramid of the other peers.

Nine anchors, shared by all classes, three on each of the strides 8, 16, 32. One anchor of one cell answers for an
object. Where the paper is silent this follows its program, Darknet.

A *slot* is an anchor in a cell. The N slots of an image stand level after level, in each by (anchor, row, column). What
the network says of one is `raw`: (tx, ty, tw, th, objectness, C classes), as logits where they are probabilities.
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torchvision.ops import box_iou

from lapnet_core.anchors import cluster_anchors
from lapnet_core.backbones import STRIDES, Backbone, ConvNormAct
from lapnet_core.boxes import MAX_LOG_SCALE, at_least_float32, shape_iou
from lapnet_core.config import TrainConfig
from lapnet_core.data.named import Images, object_sizes
from lapnet_core.data.types import Detection
from lapnet_core.method import Method
from lapnet_core.peers.peer import PYRAMID_WIDTH, Peer, Pyramid
from lapnet_core.predict import suppress

PER_LEVEL = 3
"""Anchors on each stride."""
PAIRS, PAIRS_0_1 = 1, 3
"""Of convolutions, 1x1 and 3x3, in the head on each stride; the paper, and version 0.1, have three. As for
`torchvision.DEPTH`, what begins at random has to be learned first: on photographs one pair has .511 AP on val after
1,500 steps, three have .454."""
IGNORE_IOU = 0.5
"""A prediction that overlaps an object by more, and does not answer for it, is no background (paper 2.1)."""
PRIOR = 0.01
"""Objectness of every slot before training, RetinaNet's, so that the first steps do not explode. Paper is silent."""


class Slots(NamedTuple):
    """Where the N slots of an image are, in pixels."""

    corner: Float[Tensor, "N 2"]
    """(x, y) of the cell's upper left corner."""
    stride: Float[Tensor, "N 1"]
    anchor: Float[Tensor, "N 2"]
    """(w, h)."""


def slots(shapes: Float[Tensor, "9 2"], image_size: tuple[int, int]) -> Slots:
    """The slots of an image.

    Args:
        shapes: (w, h) of the anchors in pixels, by area: the first three belong to stride 8.
        image_size: (height, width), multiples of 32.
    """
    corners, strides, anchors = [], [], []
    for stride, own in zip(STRIDES, shapes.split(PER_LEVEL), strict=True):
        y, x = (torch.arange(0, side, stride, device=shapes.device, dtype=shapes.dtype) for side in image_size)
        cells = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).flatten(0, 1)
        corners.append(cells.repeat(PER_LEVEL, 1))
        strides.append(torch.full_like(corners[-1][:, :1], stride))
        anchors.append(own.repeat_interleave(len(cells), 0))
    return Slots(torch.cat(corners), torch.cat(strides), torch.cat(anchors))


def decode(raw: Float[Tensor, "*B N 4"], where: Slots) -> Float[Tensor, "*B N 4"]:
    """Predicted boxes, `xyxy` in pixels (paper, fig. 2): the centre stays in its cell, the size is the anchor's times
    exp(tw), exp(th), these clamped at `boxes.MAX_LOG_SCALE`."""
    raw = at_least_float32(raw)
    center = where.corner + raw[..., :2].sigmoid() * where.stride
    half = where.anchor * raw[..., 2:].clamp(max=MAX_LOG_SCALE).exp() / 2
    return torch.cat((center - half, center + half), -1)


class Answers(NamedTuple):
    """Which slots answer for the G objects of a batch."""

    slot: Int[Tensor, " G"]
    """In the N slots of the object's image."""
    wanted: Float[Tensor, "G 4"]
    """What the network should say: the place of the centre in its cell, 0 to 1, and the logarithms of the object's
    sides over the anchor's."""
    shared: Bool[Tensor, "G G"]
    """Whether two objects have one slot."""

    @property
    def owner(self) -> Bool[Tensor, " G"]:
        """Of the objects that share a slot the last one has its box, as in Darknet."""
        return ~self.shared.triu(1).any(1)


def assign(
    shapes: Float[Tensor, "9 2"],
    image_size: tuple[int, int],
    boxes: Float[Tensor, "G 4"],
    image_index: Int[Tensor, " G"],
) -> Answers:
    """The slot of each object: of the nine anchors the one whose shape overlaps most (the first of equals), and with it
    the stride, in the cell that holds the object's centre. Outside of the image that is the nearest cell.

    Args:
        shapes, image_size: as `slots` takes them.
        boxes: `xyxy` in pixels, with an area.
        image_index: the place of each object's image in the batch.
    """
    height, width = image_size
    sides = boxes[:, 2:] - boxes[:, :2]
    anchor = shape_iou(sides, shapes).argmax(1)
    level = anchor // PER_LEVEL
    # Of each level: its stride, its columns and rows, and how many slots stand before its own.
    table = [(stride, width // stride, height // stride) for stride in STRIDES]
    counts = [0, *(PER_LEVEL * columns * rows for _, columns, rows in table[:-1])]
    strides, columns, rows = torch.tensor(table, device=boxes.device).T[:, level]
    before = torch.tensor(counts, device=boxes.device).cumsum(0)[level]
    place = (boxes[:, :2] + boxes[:, 2:]) / 2 / strides[:, None]
    most = torch.stack((columns, rows), -1) - 1
    cell = torch.minimum(place.floor().long().clamp(min=0), most)
    slot = before + (anchor % PER_LEVEL * rows + cell[:, 1]) * columns + cell[:, 0]
    wanted = torch.cat(((place - cell).clamp(0, 1), (sides / shapes[anchor]).log()), -1)
    shared = (slot[:, None] == slot) & (image_index[:, None] == image_index)
    return Answers(slot, wanted, shared)


@torch.no_grad()
def overlapping(
    predicted: Float[Tensor, "B N 4"], objects: Sequence[Float[Tensor, "_ 4"]], limit: float = IGNORE_IOU
) -> Bool[Tensor, "B N"]:
    """Which predicted boxes have an IoU above `limit` with any object of their image."""
    each = zip(predicted, objects, strict=True)
    return torch.stack([(box_iou(boxes, own) > limit).any(1) for boxes, own in each])


def yolo_losses(
    raw: Float[Tensor, "B N _"],
    shapes: Float[Tensor, "9 2"],
    image_size: tuple[int, int],
    objects: Sequence[dict[str, Tensor]],
) -> dict[str, Tensor]:
    """What the network said against what it should have said, summed, per object that has a slot's box.

    Args:
        raw: (B, N, 5 + C), see the top of this file.
        shapes, image_size: as `slots` takes them.
        objects: of each image the boxes (G, 4), `xyxy` in pixels, and labels (G,).

    Returns:
        box: cross entropy of the centre's place, half the squared error of the sizes' logarithms, both weighted by 2
            minus the object's share of the image. The paper says squared error for all four; Darknet's gradient, place
            wanted minus place said on the logit, is that of a cross entropy. Its least value is not 0.
        objectness: cross entropy, 1 for slots that answer for an object, 0 for the others but those that overlap one
            by more than IGNORE_IOU.
        classification: one cross entropy a class, of slots that answer; a slot that several objects share is of each
            of their classes.

    Darknet divides by the images; here it is the objects, as the losses of the other peers do it, so that a learning
    rate that suits one suits the others.
    """
    boxes, labels = (torch.cat([one[name] for one in objects]) for name in ("boxes", "labels"))
    counts = torch.tensor([len(one["labels"]) for one in objects])
    image_index = torch.repeat_interleave(counts).to(boxes.device)
    answers = assign(shapes, image_size, boxes, image_index)
    owner = answers.owner.to(raw.dtype)
    said = raw[image_index, answers.slot]

    share = (boxes[:, 2:] - boxes[:, :2]).prod(1) / (image_size[0] * image_size[1])
    place = F.binary_cross_entropy_with_logits(said[:, :2], answers.wanted[:, :2], reduction="none").sum(1)
    size = (said[:, 2:4] - answers.wanted[:, 2:]).square().sum(1) / 2
    box = owner * (2 - share.clamp(max=1)) * (place + size)

    classes = answers.shared.to(raw.dtype) @ F.one_hot(labels, raw.shape[2] - 5).to(raw.dtype)
    named = F.binary_cross_entropy_with_logits(said[:, 5:], classes.clamp(max=1), reduction="none").sum(1)

    answering = torch.zeros(raw.shape[:2], dtype=torch.bool, device=raw.device)
    answering[image_index, answers.slot] = True
    near = overlapping(decode(raw[..., :4], slots(shapes, image_size)), [one["boxes"] for one in objects])
    entropy = F.binary_cross_entropy_with_logits(raw[..., 4], answering.to(raw.dtype), reduction="none")
    objectness = entropy.masked_fill(near & ~answering, 0)

    number = owner.sum().clamp(min=1)
    return {
        "box": box.sum() / number,
        "objectness": objectness.sum() / number,
        "classification": (owner * named).sum() / number,
    }


class YOLOv3Method(Peer):
    """YOLOv3 around a backbone. Its head on each stride is the paper's, but for its length: 1x1 and 3x3 convolutions by
    turns, the 3x3 twice as wide. `candidates` are the best so many pairs of slot and class of an image."""

    name = "yolov3"
    now: ClassVar[dict[str, Any]] = {"pairs": PAIRS}
    before: ClassVar[dict[str, Any]] = {"pairs": PAIRS_0_1}
    shapes: Tensor
    """(9, 2), (w, h) of the anchors in pixels of the network input, by area."""

    def __init__(
        self, num_classes: int, backbone: str = "light", weights: str = "none", frozen: int = 0,
        width: int = PYRAMID_WIDTH,
    ) -> None:  # fmt: skip
        super().__init__(num_classes, backbone, weights, frozen, width)
        self.pyramid = Pyramid(Backbone(backbone, weights, frozen), width, coarse=False)
        self.heads = nn.ModuleList(head(width, num_classes) for _ in STRIDES)
        self.register_buffer("shapes", torch.ones(len(STRIDES) * PER_LEVEL, 2))

    @classmethod
    def create(cls, config: TrainConfig, dataset: Images, progress: bool = True) -> "Method":
        method: Any = super().create(config, dataset, progress)
        sizes, labels = object_sizes(dataset, config.image_size, progress)
        method.shapes.copy_(cluster_anchors(sizes, torch.zeros_like(labels), 1, len(method.shapes), config.seed)[0])
        return method

    def reform(self, pairs: int) -> None:
        """Heads of so many pairs of convolutions."""
        self.heads = nn.ModuleList(nn.Sequential(*own[: 2 * pairs], own[-1]) for own in cast(Any, self.heads))

    def raw(self, images: Float[Tensor, "B 3 height width"]) -> Float[Tensor, "B N _"]:
        """(B, N, 5 + C), float32."""
        maps = zip(self.heads, self.pyramid(images).values(), strict=True)
        said = [head(level).unflatten(1, (PER_LEVEL, -1)).movedim(2, -1).flatten(1, 3) for head, level in maps]
        return torch.cat(said, 1).float()

    def losses(self, images: Float[Tensor, "B 3 height width"], objects: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        raw = self.raw(images)
        with torch.autocast(images.device.type, enabled=False):
            return yolo_losses(raw, self.shapes, (images.shape[2], images.shape[3]), objects)

    def found(
        self, images: Float[Tensor, "B 3 height width"], score_threshold: float, nms_iou: float, candidates: int,
        max_detections: int,
    ) -> list[Detection]:  # fmt: skip
        size = (images.shape[2], images.shape[3])
        where = slots(self.shapes, size)
        detections: list[Detection] = []
        for raw in self.raw(images):
            probability = (raw[:, 4:5].sigmoid() * raw[:, 5:].sigmoid()).flatten()
            passing = (probability <= score_threshold).logical_not_().nonzero().flatten()  # not >: nan passes
            best, order = probability[passing].topk(min(candidates, len(passing)))
            slot, label = passing[order] // self.num_classes, passing[order] % self.num_classes
            boxes = decode(raw[slot, :4], Slots(*(x[slot] for x in where)))
            detections.append(suppress(boxes, best, label, size, nms_iou, max_detections))
        return detections


def head(width: int, num_classes: int) -> nn.Sequential:
    """The head on one stride: (B, width, H, W) to (B, 3 * (5 + C), H, W)."""
    last = nn.Conv2d(2 * width, PER_LEVEL * (5 + num_classes), 1)
    nn.init.zeros_(last.bias)  # pyright: ignore[reportArgumentType]
    with torch.no_grad():
        last.bias[4 :: 5 + num_classes] = -math.log((1 - PRIOR) / PRIOR)  # pyright: ignore[reportOptionalSubscript]
    narrow = [ConvNormAct(width if k == 0 else 2 * width, width, 1) for k in range(PAIRS_0_1)]
    return nn.Sequential(*(layer for first in narrow for layer in (first, ConvNormAct(width, 2 * width))), last)
