"""A LapNet whose every equation is a function of the exercises: slow and plain, image by image and class by class.

`own` is any object that has the functions by name: `lapnet_lab.mine`, or the solutions. With the solutions the loss,
the detections and the mAP are the library's; tests hold that.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from lapnet_core.anchors import anchor_boxes
from lapnet_core.boxes import STRIDE, paired_iou
from lapnet_core.config import TrainConfig, tiny_scenes
from lapnet_core.data import Detection, Target, collate, train_transform
from lapnet_core.data.named import Images, object_sizes
from lapnet_core.data.stream import TrainingStream, Transformed
from lapnet_core.detector import Detector
from lapnet_core.evaluate import voc_map
from lapnet_core.losses import LapNetLoss
from lapnet_core.method import MAX_S_STEP, LapNetMethod, Losses, balance_multipliers, network_groups
from lapnet_core.model import LapNet
from lapnet_core.step import clip_gradients
from lapnet_core.train import train
from lapnet_lab import records
from lapnet_lab.functions import FUNCTIONS
from lapnet_lab.notebook import Lab

LONGEST = 0.5
"""Seconds of the processor in a step that one function may take; a slower one is replaced by the library's, in the
middle of a loss if need be: one batch with an IoU in Python's loops would take minutes."""
SLOW = 5.0
"""Seconds from which on it is told, outside a training, that a function was slow."""
MOVES = 100
"""Steps of k-means at most."""


class Functions:
    """The functions of the exercises under their names, each with the time that it took.

    Args:
        own: whose they are; what it lacks is the library's.
    """

    def __init__(self, own: Any) -> None:
        self.used = {name: getattr(own, name, exercise.solution) for name, exercise in FUNCTIONS.items()}
        self.seconds: dict[str, float] = defaultdict(float)
        """Since the last `replace_slow`."""
        self.told: list[str] = []
        """Which of hers were not used after all, and why; a sentence each."""
        self.in_loss = False
        """Whether the loss of a batch is being computed: then nobody waits for a slow function."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in FUNCTIONS:
            raise AttributeError(name)
        return partial(self._call, name)

    def _call(self, name: str, *arguments: Any) -> Any:
        started = time.thread_time()
        try:
            result = self.used[name](*arguments)
        except Exception as problem:  # of numpy, for example, which takes no tensor with a gradient
            if self.used[name] is FUNCTIONS[name].solution:
                raise
            words = (str(problem).splitlines() or ["no words"])[0].rstrip(".")
            self.give_up(name, f"it stops with {type(problem).__name__}: {words}")
            return self._call(name, *arguments)
        self.seconds[name] += time.thread_time() - started
        if self.in_loss:
            self._give_up_slow(name)
        # The checks take float64 as right; the network, and what is added up beside it, is float32.
        return result.float() if isinstance(result, Tensor) and result.dtype == torch.float64 else result

    def give_up(self, name: str, why: str) -> None:
        """The library's from here on."""
        self.used[name] = FUNCTIONS[name].solution
        self.told.append(f"{name}: {why}; the library's goes on in its place.")

    def slow(self) -> list[str]:
        """Which took long since the last `replace_slow`, with their seconds."""
        return [f"{name} took {seconds:.0f} s" for name, seconds in self.seconds.items() if seconds > SLOW]

    def replace_slow(self) -> None:
        """After a step: what took too long is the library's from now on."""
        for name in self.seconds:
            self._give_up_slow(name)
        self.seconds.clear()

    def _give_up_slow(self, name: str) -> None:
        seconds = self.seconds[name]
        if seconds > LONGEST and self.used[name] is not FUNCTIONS[name].solution:
            self.give_up(name, f"it took {seconds:.1f} s of one step")


class Positives(NamedTuple):
    """Anchors with O > 0.5 of the objects of one class in one image."""

    overlap: Float[Tensor, " P"]
    index: Int[Tensor, " P"]
    owner: Int[Tensor, " P"]


class OwnLapNet(LapNetMethod):
    """LapNet with its assignment, loss and detection made of `functions`."""

    def __init__(
        self, model: LapNet, shapes: Float[Tensor, "C A 2"], criterion: LapNetLoss, functions: Functions
    ) -> None:
        super().__init__(model, shapes, criterion)
        self.own = functions
        self.fit = torch.zeros(0)
        """O_hat of the positives of the last batch."""
        self.has: tuple[Tensor, Tensor] = torch.zeros(0), torch.zeros(0)
        """Which slots had a positive in the last batch, for the localisation and for the score."""

    def anchors(self, grid: tuple[int, int]) -> Float[Tensor, "C N 4"]:
        """(cx, cy, w, h) of every anchor of each class, N = A*H*W."""
        laid = anchor_boxes(self.shapes, grid, STRIDE).flatten(1, 3)
        return torch.cat([(laid[..., :2] + laid[..., 2:]) / 2, laid[..., 2:] - laid[..., :2]], dim=-1)

    def loss(self, images: Float[Tensor, "B 3 height width"], targets: Sequence[Target]) -> Losses:
        self.own.seconds.clear()
        self.own.in_loss = True
        try:
            return self._loss(images, targets)
        finally:
            self.own.in_loss = False

    def _loss(self, images: Float[Tensor, "B 3 height width"], targets: Sequence[Target]) -> Losses:
        scores, offsets = self.model(images)
        batch, classes, per_class, height, width = scores.shape
        anchors, cells = self.anchors((height, width)), height * width
        labels = torch.zeros(batch, classes, per_class * cells, dtype=torch.bool)
        slots, fits = [], []
        for b, target in enumerate(targets):
            wanted = ~target["difficult"]
            for c in target["labels"][wanted].unique().tolist():
                objects = torch.as_tensor(target["boxes"])[wanted & (target["labels"] == c)].float()
                at = self.assigned(objects, anchors[c])
                raw = offsets[b, c].movedim(1, -1).reshape(-1, 4)[at.index]
                fit = self.predicted_iou(self.own.decode(raw, anchors[c, at.index]), objects, at.owner)
                positive = at.overlap > 0.5
                if self.criterion.ams and self.share >= self.criterion.ams_from:
                    positive = self.own.ams_labels(at.overlap, fit)
                labels[b, c, at.index] = positive
                slots.append(c * per_class + at.index // cells)
                fits.append(fit)
        slot = torch.cat(slots) if slots else torch.zeros(0, dtype=torch.int64)
        fit, total_slots = torch.cat(fits) if fits else torch.zeros(0), classes * per_class
        by_slot = labels.view(batch, total_slots, cells).transpose(0, 1).reshape(total_slots, -1)
        has_loc, has_cls = slot.bincount(minlength=total_slots) > 0, by_slot.any(1)
        s = torch.stack([self.criterion.s_loc, self.criterion.s_cls])
        s_anchor = torch.stack([self.criterion.s_loc_anchor.flatten(), self.criterion.s_cls_anchor.flatten()])
        of_slot = scores.reshape(batch, total_slots, cells).transpose(0, 1).reshape(total_slots, -1)
        cross_entropy = self.own.weighted_cross_entropy(of_slot, by_slot, (-s_anchor[1]).exp())
        loc, cls, reg = self.own.balanced_loss(fit, slot, cross_entropy, s, s_anchor).unbind()
        self.fit, self.has = fit.detach(), (has_loc, has_cls)
        return Losses(loc + cls + reg, {"loc": loc, "cls": cls, "reg": reg})

    def assigned(self, objects: Float[Tensor, "G 4"], anchors: Float[Tensor, "N 4"]) -> Positives:
        """Which anchor answers for which object."""
        half = anchors[:, 2:] / 2
        with torch.no_grad():
            ious = self.own.iou(objects, torch.cat([anchors[:, :2] - half, anchors[:, :2] + half], dim=1))
            owner = self.own.rescue(ious, self.own.clusters(ious))
            overlap = self.own.pono(ious, owner)
        where = (overlap > 0.5).nonzero().flatten()
        return Positives(overlap[where], where, owner[where])

    def predicted_iou(
        self, predicted: Float[Tensor, "P 4"], objects: Float[Tensor, "G 4"], owner: Int[Tensor, " P"]
    ) -> Float[Tensor, " P"]:
        """O_hat: the IoU of each predicted box with the object of its anchor."""
        fit = predicted.new_zeros(len(predicted))
        for n in owner.unique().tolist():
            rows = (owner == n).nonzero().flatten()
            own = self.own.iou(predicted[rows], objects[n : n + 1])[:, 0]
            if predicted.requires_grad and not own.requires_grad:
                self.own.give_up("iou", "no gradient flows through it")
                return paired_iou(predicted, objects[owner])
            fit = fit.index_put((rows,), own)
        return fit

    def detect(
        self, images: Float[Tensor, "B 3 height width"], *, score_threshold: float = 0.001, nms_iou: float = 0.5,
        candidates: int = 4000, max_detections: int = 300,
    ) -> list[Detection]:  # fmt: skip
        scores, offsets = self.outputs(images)
        _, classes, _, height, width = scores.shape
        anchors, cells = self.anchors((height, width)), scores[0, 0].numel()
        found = []
        for logit, offset in zip(scores.flatten(1), offsets.movedim(3, -1), strict=True):
            best, index = logit.topk(min(candidates, len(logit)))
            best = best.sigmoid()
            best, index = best[best > score_threshold], index[best > score_threshold]
            boxes = self.own.decode(offset.reshape(-1, 4)[index], anchors.flatten(0, 1)[index])
            limit = boxes.new_tensor([width, height, width, height]) * STRIDE
            boxes = torch.minimum(boxes.clamp(min=0), limit)
            inside = (boxes[:, 2:] > boxes[:, :2]).all(1)
            boxes, best, label = boxes[inside], best[inside], index[inside] // cells
            kept = [self._kept(boxes, best, label == c, nms_iou) for c in range(classes)]
            rows = torch.cat(kept).sort().values[:max_detections]  # the candidates come by falling score
            found.append(Detection(boxes=boxes[rows], scores=best[rows], labels=label[rows]))
        return found

    def _kept(self, boxes: Tensor, scores: Tensor, of_class: Tensor, nms_iou: float) -> Int[Tensor, " K"]:
        rows = of_class.nonzero().flatten()
        return rows[self.own.nms(boxes[rows], scores[rows], nms_iou)] if len(rows) else rows


def own_anchors(
    sizes: Float[Tensor, "G 2"], labels: Int[Tensor, " G"], classes: int, per_class: int, functions: Any,
    *, progress: bool = False,
) -> Float[Tensor, "C A 2"]:  # fmt: skip
    """Anchors by the k-means step: from sizes that are evenly spread by area, until nothing moves."""
    shapes = []
    for c in range(classes):
        own = sizes[labels == c].unique(dim=0)
        own, every = own[own.prod(1).argsort()], sizes[labels == c]
        centers = own[torch.linspace(0, len(own) - 1, per_class).round().long()]
        steps = f"anchors of class {c + 1} of {classes}"
        for _ in tqdm(range(MOVES), steps, unit="step", leave=False, disable=not progress):
            moved = functions.kmeans_step(every, centers)
            if torch.equal(moved, centers):
                break
            centers = moved
        shapes.append(centers[centers.prod(1).argsort()])
    return torch.stack(shapes)


def build(config: TrainConfig, scenes: Images, functions: Functions, *, progress: bool = False) -> OwnLapNet:
    """An untrained one, with its own anchors."""
    options, classes = config.lapnet, len(scenes.class_names)
    sizes, labels = object_sizes(scenes, config.image_size, progress=progress)
    torch.manual_seed(config.seed)
    shapes = own_anchors(sizes, labels, classes, options.anchors_per_class, functions, progress=progress)
    model = LapNet(
        classes, options.anchors_per_class, config.backbone, config.weights, config.widths, config.frozen, options.depth
    )
    criterion = LapNetLoss(classes, options.anchors_per_class, ams=options.ams, ams_from=options.ams_from)
    return OwnLapNet(model, shapes, criterion, functions)


def step(method: OwnLapNet, optimizer: torch.optim.Optimizer, batch: Any, config: TrainConfig, number: int) -> Losses:
    """One step of the training: the network by SGD, the balance weights by `held_update`."""
    rate = method.own.learning_rate(number, config.steps, config.lr, config.power)
    for group in optimizer.param_groups:
        group["lr"] = rate
    method.zero_grad(set_to_none=True)
    method.share = number / config.steps
    losses = method(batch.images, batch.targets)
    losses.total.backward()
    clip_gradients(optimizer, config.clip_norm)
    optimizer.step()
    anchor_lr, loss_lr = balance_multipliers(config, method.model.num_classes)
    criterion, always = method.criterion, torch.ones(1, dtype=torch.bool)
    weights = [(criterion.s_loc, always, loss_lr), (criterion.s_cls, always, loss_lr)]
    weights += [(criterion.s_loc_anchor, method.has[0], anchor_lr), (criterion.s_cls_anchor, method.has[1], anchor_lr)]
    for s, has, multiplier in weights:
        assert s.grad is not None
        most = MAX_S_STEP / max(rate * multiplier, 1e-12)
        gradient = s.grad.flatten().clamp(-most, most)
        s.data = method.own.held_update(s.data.flatten(), gradient, has, rate * multiplier).view_as(s)
    return losses


def learn(
    config: TrainConfig, scenes: Images, own: Any, *, progress: bool = True,
    on_step: Callable[[int, Losses], None] | None = None,
) -> tuple[Detector, Functions]:  # fmt: skip
    """Train an own LapNet on the scenes, by the same batches as `lapnet_core.train` would.

    Returns:
        The detector, and the functions with what there is to tell about them.
    """
    functions = Functions(own)
    method = build(config, scenes, functions, progress=progress)
    optimizer = torch.optim.SGD(network_groups(method.model, config), lr=config.lr, momentum=config.momentum)
    augment = train_transform(config.image_size, scale=config.scale, flip=config.flip, color=config.color)
    stream = TrainingStream(Transformed(scenes, augment), config.seed)
    method.train()
    for number in tqdm(range(config.steps), desc="your LapNet", unit="step", disable=not progress):
        at = range(number * config.batch_size, (number + 1) * config.batch_size)
        losses = step(method, optimizer, collate([stream[position] for position in at]), config, number)
        functions.replace_slow()
        if on_step:
            on_step(number + 1, losses)
    method.eval()
    return Detector(method, tuple(scenes.class_names), config.image_size), functions


def own_map(
    found: Sequence[Detection], truth: Sequence[Target], classes: int, functions: Any, iou_threshold: float = 0.5
) -> float:
    """VOC's mAP by the functions iou, match and average_precision. What finds a difficult object does not count."""
    values = []
    for c in range(classes):
        hits, scores, objects = [], [], 0
        for detection, target in zip(found, truth, strict=True):
            rows = (detection["labels"] == c).nonzero().flatten()
            rows = rows[detection["scores"][rows].argsort(descending=True, stable=True)]
            there = torch.as_tensor(target["boxes"])[target["labels"] == c].float()
            ious, hard = functions.iou(detection["boxes"][rows], there), target["difficult"][target["labels"] == c]
            if len(there):
                best, which = ious.max(1)
                counts = (best < iou_threshold) | ~hard[which]
                ious, rows = ious[counts], rows[counts]
            hits.append(functions.match(ious, iou_threshold))
            scores.append(detection["scores"][rows])
            objects += int((~hard).sum())
        order = torch.cat(scores).argsort(descending=True, stable=True)
        if objects:
            values.append(functions.average_precision(torch.cat(hits)[order], objects))
    return sum(values) / len(values)


def settings(steps: int) -> TrainConfig:
    """The small scenes of notebook 00, for so many steps; AMS begins when something has been learned."""
    config = tiny_scenes()
    return replace(config, steps=steps, lapnet=replace(config.lapnet, ams_from=0.6))


def library_map(config: TrainConfig, scenes: Images, test: Images, lab: Lab) -> float:
    """VOC's mAP of the library's detector with the same settings: recorded in the tier tiny, else trained here."""
    if lab.tier == "tiny":
        return float(records.value("your_lapnet.map"))
    detector = train(config, scenes, save=False, progress=lab.progress).detector
    found, truth, _ = detector.predict_dataset(test, progress=lab.progress)
    return voc_map(found, truth, len(scenes.class_names)).mean_ap


def with_functions(detector: Detector, functions: Functions) -> Detector:
    """A trained LapNet whose boxes are decoded and thinned out by the functions."""
    method = detector.method
    assert isinstance(method, LapNetMethod)
    own = OwnLapNet(method.model, method.shapes, method.criterion, functions)
    return Detector(own.eval(), detector.class_names, detector.image_size)
