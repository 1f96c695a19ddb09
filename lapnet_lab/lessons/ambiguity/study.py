"""Ambiguous anchors (paper 3.3, fig. 5): how ambiguous a positive is, and what AMS (eq. 3) does with it in training."""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lapnet_core.assign import Overlap, Positives, assign
from lapnet_core.boxes import STRIDE, area, decode, paired_iou
from lapnet_core.config import TrainConfig
from lapnet_core.data import Batch, Sample, collate, eval_transform, flatten_targets
from lapnet_core.data.named import Images
from lapnet_core.losses import LapNetLoss, LossTerms
from lapnet_core.method import LapNetMethod, Method
from lapnet_core.model import LapNet
from lapnet_core.scenes import Scenes, render_situation
from lapnet_core.train import Training, train
from lapnet_lab.gather import few_images

AMBIGUOUS = 0.8
"""From this ratio on we call an anchor ambiguous: its second object overlaps it at least 80 % as well as its own. The
paper says "almost equally" and gives no number."""


def known_scenes(size: tuple[int, int]) -> dict[str, Sample]:
    """The four scenes that the lesson looks at again and again: name -> (image, target).

    Args:
        size: (height, width) in pixels.
    """
    return {
        "a hug": render_situation("two_people_hugging", size, seed=1),
        "a tight hug": render_situation("two_people_hugging", size),
        "four people": Scenes(300, size=size, split="val")[158],
        "a crowd": render_situation("crowd", size),
    }


def as_batch(samples: Iterable[Sample], image_size: tuple[int, int]) -> Batch:
    """(image uint8 (3, H, W), target) pairs as a network takes them, without augmentation."""
    resize = eval_transform(image_size)
    return collate([resize(image, target) for image, target in samples])


def anchor_boxes_at(at: Positives, shapes: Float[Tensor, "C A 2"], stride: int = STRIDE) -> Float[Tensor, "P 4"]:
    """The anchors themselves, `xyxy` in pixels: what a network with all offsets 0 predicts."""
    nothing = shapes.new_zeros(len(at.flat), 4)
    return decode(nothing, shapes[at.label, at.anchor], at.row, at.column, stride)


def spread_points(at: Positives, per_class: int = 10, stride: int = STRIDE) -> Float[Tensor, "P 2"]:
    """A place (x, y) in pixels to draw each anchor: in its cell, and there in two rows, one place a shape."""
    columns = -(-per_class // 2)
    step = stride / (columns + 0.5)
    x = (at.column + 0.5) * stride + (at.anchor % columns - (columns - 1) / 2) * step
    y = (at.row + 0.5) * stride + (at.anchor // columns - 0.5) * stride * 0.45
    return torch.stack((x, y), -1)


def ambiguity_ratio(
    at: Positives,
    shapes: Float[Tensor, "C A 2"],
    boxes: Float[Tensor, "G 4"],
    labels: Int[Tensor, " G"],
    image_index: Int[Tensor, " G"] | None = None,
    stride: int = STRIDE,
) -> Float[Tensor, " P"]:
    """How nearly an anchor belongs to somebody else: its best IoU with another object of its image and class, divided
    by its IoU with its own object.

    Args:
        at: the anchors, of `assign` on the same objects.
        shapes, boxes, labels, image_index, stride: as in `assign.assign`.

    Returns:
        0 where no other object touches the anchor; 1 where another one overlaps it just as well. Not more than 1: a
        rescued anchor, which may overlap another object more, has 1.

    Computed from the boxes alone; the network plays no part.
    """
    if image_index is None:
        image_index = torch.zeros_like(labels)
    anchors = anchor_boxes_at(at, shapes, stride)
    own = paired_iou(anchors, boxes[at.object_index])
    second = torch.zeros_like(own)
    for n in range(len(boxes)):
        rival = (at.image == image_index[n]) & (at.label == labels[n]) & (at.object_index != n)
        here = rival.nonzero().flatten()
        if len(here):
            second[here] = second[here].maximum(paired_iou(anchors[here], boxes[n].expand(len(here), 4)))
    return torch.where(second < own, second / own.clamp(min=torch.finfo(own.dtype).tiny), 1.0)


def per_object(at: Positives, objects: int, ratio: Float[Tensor, " P"] | None = None) -> list[int]:
    """How many positives each of so many objects has; only the ambiguous ones where their ratio is given."""
    which = slice(None) if ratio is None else ratio >= AMBIGUOUS
    return at.object_index[which].bincount(minlength=objects).tolist()


@dataclass(frozen=True)
class AmbiguityCounts:
    """For each object how many positives (O > 0.5) it has, and how many of them are ambiguous."""

    positives: Int[Tensor, " G"]
    ambiguous: Int[Tensor, " G"]
    """Those with a ratio of at least AMBIGUOUS."""

    @property
    def share(self) -> float:
        """Share of all positives that is ambiguous, 0 to 1."""
        return int(self.ambiguous.sum()) / max(1, int(self.positives.sum()))

    def share_among(self, which: Bool[Tensor, " G"]) -> float:
        """The same share of the positives of the objects `which`."""
        return int(self.ambiguous[which].sum()) / max(1, int(self.positives[which].sum()))

    @property
    def touched(self) -> Bool[Tensor, " G"]:
        """Objects with at least one ambiguous positive."""
        return self.ambiguous > 0

    @property
    def engulfed(self) -> Bool[Tensor, " G"]:
        """Objects all of whose positives are ambiguous."""
        return (self.ambiguous == self.positives) & (self.positives > 0)

    def __str__(self) -> str:
        objects = max(1, len(self.positives))
        return (
            f"{len(self.positives)} objects; {self.share:.1%} of their positives are ambiguous; "
            f"{int(self.touched.sum()) / objects:.0%} of the objects have such a positive, "
            f"{int(self.engulfed.sum()) / objects:.1%} have no other"
        )


def count_ambiguity(
    shapes: Float[Tensor, "C A 2"],
    grid_size: tuple[int, int],
    boxes: Float[Tensor, "G 4"],
    labels: Int[Tensor, " G"],
    image_index: Int[Tensor, " G"],
    stride: int = STRIDE,
) -> AmbiguityCounts:
    """Assign the objects of many images by PONO, a few images at a time, and count ambiguous positives.

    Args:
        shapes, grid_size, boxes, labels, image_index, stride: as in `assign.assign`; image_index need not be sorted.
    """
    positives = torch.zeros(len(boxes), dtype=torch.int64)
    ambiguous = positives.clone()
    num_images = int(image_index.max()) + 1 if len(boxes) else 0
    for here, batch in few_images(boxes, labels, image_index, num_images):
        at = assign(shapes, grid_size, *batch, stride=stride).positives()
        doubtful = ambiguity_ratio(at, shapes, *batch[:3], stride=stride) >= AMBIGUOUS
        positives[here] = at.object_index.bincount(minlength=len(batch[0]))
        ambiguous[here] = at.object_index[doubtful].bincount(minlength=len(batch[0]))
    return AmbiguityCounts(positives, ambiguous)


@torch.no_grad()
def ask(model: LapNet, shapes: Float[Tensor, "C A 2"], batch: Batch, overlap: Overlap = "pono") -> LossTerms:
    """What AMS sees on a batch: the positives, their O_hat (`predicted_overlap`) and the labels of eq. 3.

    As in training, batch normalisation uses the statistics of this batch. Early in a training the running averages,
    which a finished network uses, lag so far behind that O_hat would look much worse than what AMS works with. The
    model itself is left as it is, its averages included.
    """
    scores, offsets = copy.deepcopy(model).train()(batch.images)
    return LapNetLoss(shapes.shape[0], shapes.shape[1], overlap=overlap).eval()(scores, offsets, shapes, batch.targets)


def labelled(terms: LossTerms) -> Int[Tensor, " K"]:
    """The object of each anchor that eq. 3 leaves its label."""
    at = terms.positives
    return at.object_index[terms.labels.flatten()[at.flat]]


@dataclass(frozen=True)
class Moment:
    """The watched positives at one step of a training."""

    step: int
    fit: Float[Tensor, " P"]
    """O_hat, the IoU of each one's predicted box with its object."""
    kept: Bool[Tensor, " P"]
    """P of eq. 3."""


@dataclass
class Record:
    """The positives of a few scenes, which stay the same, and what the network made of them, which does not."""

    batch: Batch
    shapes: Float[Tensor, "C A 2"]
    boxes: Float[Tensor, "G 4"]
    labels: Int[Tensor, " G"]
    image_index: Int[Tensor, " G"]
    at: Positives
    ratio: Float[Tensor, " P"]
    """`ambiguity_ratio` of each positive."""
    moments: list[Moment] = field(default_factory=list)

    @property
    def side(self) -> Float[Tensor, " G"]:
        """sqrt(w * h) of the objects, in pixels."""
        return area(self.boxes).sqrt()

    @classmethod
    def start(cls, batch: Batch, shapes: Float[Tensor, "C A 2"]) -> "Record":
        """A record without moments."""
        boxes, labels, image_index = flatten_targets(batch.targets)
        grid_size = (batch.images.shape[2] // STRIDE, batch.images.shape[3] // STRIDE)
        at = assign(shapes, grid_size, boxes, labels, image_index, len(batch)).positives()
        ratio = ambiguity_ratio(at, shapes, boxes, labels, image_index)
        return cls(batch, shapes, boxes, labels, image_index, at, ratio)

    def look(self, step: int, model: LapNet) -> Moment:
        """Ask the network, and note what it says."""
        terms = ask(model, self.shapes, self.batch)
        moment = Moment(step, terms.predicted_overlap, terms.labels.flatten()[self.at.flat])
        self.moments.append(moment)
        return moment

    def starved(self, moment: Moment) -> Bool[Tensor, " G"]:
        """Objects without a single kept anchor: nobody is asked to find them at this step."""
        return self.at.object_index[moment.kept].bincount(minlength=len(self.boxes)) == 0


def train_recorded(
    config: TrainConfig, dataset: Images, watched: Sequence[Sample], *, every: int, progress: bool = True
) -> tuple[Training, Record]:
    """Train as `train.train` does, and look at the same scenes every so many steps. The looking changes nothing.

    Args:
        config: of the training; nothing is written.
        watched: (image uint8 (3, H, W), target) pairs, taken as they are, without augmentation.
        every: steps between two looks; the untrained and the finished network are looked at in any case.
    """
    states: dict[int, dict[str, Tensor]] = {}
    last = 0

    def keep(step: int, method: Method) -> None:
        nonlocal last
        last = step
        if step % every == 0:
            states[step] = copy.deepcopy(_lapnet(method).model.state_dict())

    training = train(config, dataset, save=False, progress=progress, on_step=keep)
    shapes = _lapnet(training.method).shapes
    record = Record.start(as_batch(watched, config.image_size), shapes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = LapNet(shapes.shape[0], shapes.shape[1], config.backbone, config.weights)  # as `train` has made it
    record.look(0, model)
    states.pop(last, None)
    for step, state in states.items():
        model.load_state_dict(state)
        record.look(step, model)
    record.look(last, _lapnet(training.method).model)
    return training, record


def _lapnet(method: Method) -> LapNetMethod:
    if not isinstance(method, LapNetMethod):
        raise TypeError(f"AMS is a part of LapNet; {method.name} has none")
    return method


SAME_OVERLAP = 0.05
"""So near two O have to be to count as equal."""
SIDES = (10.0, 16.0, 24.0, 40.0)
"""Limits of similar sizes, in pixels."""


def equal_overlap(record: Record) -> Int[Tensor, " P"]:
    """Number of each positive's group: the same O, to within SAME_OVERLAP."""
    return (record.at.overlap * round(1 / SAME_OVERLAP)).long()


def alike(record: Record) -> Int[Tensor, " P"]:
    """Number of each positive's group: the same O, and an object of the same class and of similar size (SIDES)."""
    size = torch.bucketize(record.side, torch.tensor(SIDES))[record.at.object_index]
    return (equal_overlap(record) * len(record.shapes) + record.at.label) * (len(SIDES) + 1) + size


def higher_if_rejected(
    values: Float[Tensor, " P"], kept: Bool[Tensor, " P"], stratum: Int[Tensor, " P"] | None = None
) -> float:
    """Of all pairs (a rejected anchor, a kept one), the share in which the rejected one has the higher value; equal
    values count half. The area under the ROC curve (AUC) of `values` as a predictor of the rejection: 0.5 is chance.

    Args:
        stratum: number from 0 of the group of each anchor; only pairs within a group are compared. None: all pairs.

    Returns:
        nan where there is no pair.
    """
    if stratum is None:
        stratum = torch.zeros_like(kept, dtype=torch.int64)
    won = pairs = 0.0
    for group in stratum.unique().tolist():
        inside = stratum == group
        rejected, stayed = values[inside & ~kept], values[inside & kept].sort().values
        below = torch.searchsorted(stayed, rejected) + torch.searchsorted(stayed, rejected, right=True)
        won += below.sum().item() / 2
        pairs += len(rejected) * len(stayed)
    return won / pairs if pairs else float("nan")


def rejection_rates(
    overlap: Float[Tensor, " P"],
    ratio: Float[Tensor, " P"],
    kept: Bool[Tensor, " P"],
    edges: Float[Tensor, " K1"],
    limits: Float[Tensor, " R1"],
) -> tuple[Float[Tensor, "R K"], Int[Tensor, "R K"]]:
    """Share of the anchors that AMS rejects, by ambiguity ratio and by O, and the number of anchors.

    Args:
        edges: limits of O, rising; a bin holds its upper limit, as O is above 0.5 and reaches 1.
        limits: limits of the ratio, rising; a bin holds its lower limit, and the last one its upper limit, too.

    Returns:
        Both of shape (R, K), R and K one less than the limits; the share is nan where there is no anchor.
    """
    columns = torch.bucketize(overlap, edges) - 1
    rows = (torch.bucketize(ratio, limits, right=True) - 1).clamp(max=len(limits) - 2)
    size = (len(limits) - 1, len(edges) - 1)
    cell = rows * size[1] + columns
    count, rejected = (cell[which].bincount(minlength=size[0] * size[1]) for which in (kept | ~kept, ~kept))
    return (rejected / count).view(size), count.view(size)


def halfway(iou: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The most ambiguous anchor of all: two equal boxes side by side, an anchor of their shape exactly between them.

    Args:
        iou: of the two boxes, in [0, 1].

    Returns:
        IoU of the anchor with either box. It is O (the best anchor has IoU 1), and also the O_hat of a network that
        cannot decide and answers with the box in the middle.
    """
    shift = (1 - iou) / (1 + iou)  # of the two, in widths
    return (1 - shift / 2) / (1 + shift / 2)
