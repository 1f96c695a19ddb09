"""What a training needs of a detector, whichever it is; and LapNet behind it.

`train`, `evaluate`, `Detector` and the commands know `Method` and nothing of LapNet. `peers` has the others, by name.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lapnet_core.anchors import AnchorFile, cluster_anchors
from lapnet_core.config import TrainConfig
from lapnet_core.data.named import Images, object_sizes
from lapnet_core.data.types import Detection, Target
from lapnet_core.losses import LapNetLoss, LossTerms
from lapnet_core.model import DEPTH, LapNet
from lapnet_core.predict import detect

CRITERION = ("balance", "ams", "ams_rule", "ams_from", "overlap", "rescue", "cls_weight")
"""Switches that `LapNetLoss` has from `LapNetOptions`."""
BALANCE_SETTLING = 0.01
"""Share of the steps in which a balance weight should settle; see `balance_multipliers`."""
FASTEST_SETTLING = 10
"""... but over no fewer steps than this, so that a weight follows the data and not single batches."""
MAX_S_STEP = 1.0
"""Largest change of an s in one step: a weight changes by no more than the factor e. A step on s is proportional to
lambda * loss - 1, so one rare positive under a large weight would throw it down by many orders of magnitude, for good.
Far beyond what a step of the paper's own schedule does, so that nothing changes there. Paper is silent."""


class Losses(NamedTuple):
    """The loss of a batch: `total` is minimised, `parts` are what it is the sum of, by name."""

    total: Float[Tensor, ""]
    parts: dict[str, Tensor]


class Method(nn.Module, ABC):
    """A detector as `train` and `Detector` see it.

    Images are (B, 3, height, width), normalised by ImageNet's mean and standard deviation; targets are one dict each,
    boxes `xyxy` in pixels of these images, labels from 0. Losses and detections do not depend on each other's mode.
    """

    name: ClassVar[str]
    """In `peers.METHODS`."""
    share: float = 0.0
    """How much of the training is done, 0 to 1; `train` sets it before every step."""

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return next(self.parameters()).device

    @classmethod
    @abstractmethod
    def create(cls, config: TrainConfig, dataset: Images, progress: bool = True) -> "Method":
        """An untrained one for this data set; what is random is drawn from torch's global generator."""

    @classmethod
    @abstractmethod
    def restore(cls, about: dict[str, Any]) -> "Method":
        """One of the form that `about` tells, to load the saved state into."""

    @abstractmethod
    def about(self) -> dict[str, Any]:
        """What has to be saved beside the state: plain values, as JSON has them; "num_classes" among them."""

    @abstractmethod
    def loss(self, images: Float[Tensor, "B 3 height width"], targets: Sequence[Target]) -> Losses:
        """The losses of a batch. Difficult objects are left out. No object in an image, or in the batch, is fine."""

    @abstractmethod
    def detect(self, images: Float[Tensor, "B 3 height width"], **options: float) -> list[Detection]:
        """Detections of each image, in its pixels, without gradient, in evaluation mode; `options` as
        `predict.detect`'s: score_threshold, nms_iou, candidates, max_detections."""

    def forward(self, images: Tensor, targets: Sequence[Target]) -> Losses:
        """`loss`: the call that DDP sees."""
        return self.loss(images, targets)

    def parameter_groups(self, config: TrainConfig) -> list[dict[str, Any]]:
        """Groups of the optimiser. Beside torch's options each has a `multiplier` on the learning rate and `max_step`:
        a group with one is clipped so that no value changes by more in a plain step, the others by their common norm.
        """
        return network_groups(self, config)

    def progress(self) -> dict[str, float]:
        """What belongs into a line of the log about the last batch; the most telling three come first."""
        return {}

    def files(self, class_names: tuple[str, ...], image_size: tuple[int, int]) -> dict[str, AnchorFile]:
        """What else a run folder should hold, by file name."""
        return {}


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode for the time of a `with`, whatever the mode before and after."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)


def network_groups(module: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """Parameters that are trained: weights of convolutions with weight decay; biases and norms without."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    plain = {"multiplier": 1.0, "max_step": None}
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay, **plain},
        {"params": [p for p in parameters if p.ndim <= 1], **plain},
    ]


class LapNetMethod(Method):
    """LapNet behind the seam: the model, its anchors and its loss.

    Args:
        model: scores and offsets.
        shapes: (C, A, 2), (w, h) of the anchors in pixels of the network input.
        criterion: the loss with its balance weights; None takes the default one. Detection never reads it.
    """

    name = "lapnet"
    loss_class: ClassVar[type[LapNetLoss]] = LapNetLoss
    """A subclass with a loss or an assigner of its own names it here, so that a training that goes on has it, too."""
    shapes: Tensor

    def __init__(self, model: LapNet, shapes: Float[Tensor, "C A 2"], criterion: LapNetLoss | None = None) -> None:
        super().__init__()
        self.model = model
        self.criterion = criterion or self.loss_class(model.num_classes, model.per_class)
        self.register_buffer("shapes", shapes.float())
        self.terms: LossTerms | None = None
        """Of the last batch, without gradient."""

    @classmethod
    def create(cls, config: TrainConfig, dataset: Images, progress: bool = True) -> "Method":
        classes, options = len(dataset.class_names), config.lapnet
        shapes = find_anchors(config, dataset, progress)
        model = LapNet(
            classes, options.anchors_per_class, config.backbone, config.weights, config.widths, config.frozen,
            options.depth,
        )  # fmt: skip
        switches = {name: getattr(options, name) for name in CRITERION}
        return cls(model, shapes, cls.loss_class(classes, options.anchors_per_class, **switches))

    @classmethod
    def restore(cls, about: dict[str, Any]) -> "Method":
        grid = about["num_classes"], about["per_class"]
        widths = tuple(about["widths"]) if about.get("widths") else None
        return cls(
            LapNet(
                *grid, about["backbone"], widths=widths, frozen=about.get("frozen", 0), depth=about.get("depth", DEPTH)
            ),
            torch.zeros(*grid, 2),
            cls.loss_class(*grid, **about.get("loss", {})),
        )

    def about(self) -> dict[str, Any]:
        model, criterion = self.model, self.criterion
        return {
            "num_classes": model.num_classes,
            "per_class": model.per_class,
            "backbone": model.backbone.name,
            "widths": list(model.channels),
            "frozen": model.backbone.frozen,
            "depth": model.depth,
            "loss": {name: getattr(criterion, name) for name in CRITERION},
        }

    def loss(self, images: Float[Tensor, "B 3 height width"], targets: Sequence[Target]) -> Losses:
        scores, offsets = self.model(images)
        terms = self.criterion(scores, offsets, self.shapes, targets, self.share)
        parts = {"loc": terms.loc, "cls": terms.cls, "reg": terms.reg}
        own = {name: value.detach() for name, value in (("total", terms.total), *parts.items())}
        self.terms = replace(terms, **own)
        return Losses(terms.total, parts)

    @torch.no_grad()
    def outputs(
        self, images: Float[Tensor, "B 3 height width"]
    ) -> tuple[Float[Tensor, "B C A H W"], Float[Tensor, "B C A 4 H W"]]:
        """Scores and offsets in evaluation mode, whatever the mode before and after."""
        with evaluating(self.model):
            return self.model(images)

    def detect(self, images: Float[Tensor, "B 3 height width"], **options: float) -> list[Detection]:
        scores, offsets = self.outputs(images)
        return detect(scores, offsets, self.shapes, **options)  # pyright: ignore[reportArgumentType]

    def parameter_groups(self, config: TrainConfig) -> list[dict[str, Any]]:
        """The balance weights have no momentum, no weight decay, and a largest step: a zero gradient leaves them."""
        loss = self.criterion
        anchor_lr, loss_lr = balance_multipliers(config, self.model.num_classes)
        balance = {"momentum": 0.0, "weight_decay": 0.0, "max_step": MAX_S_STEP}
        return [
            *network_groups(self.model, config),
            {"params": [loss.s_loc, loss.s_cls], "multiplier": loss_lr, **balance},
            {"params": [loss.s_loc_anchor, loss.s_cls_anchor], "multiplier": anchor_lr, **balance},
        ]

    def progress(self) -> dict[str, float]:
        if self.terms is None:
            return {}
        terms, (lam_loc, lam_cls) = self.terms, self.criterion.loss_weights
        fit = terms.predicted_overlap
        return {
            "loc": terms.loc.item(),
            "cls": terms.cls.item(),
            "predicted_iou": fit.mean().item() if len(fit) else 0.0,
            "reg": terms.reg.item(),
            "lam_loc": lam_loc.item(),
            "lam_cls": lam_cls.item(),
            "objects": terms.object_count,
            "positives_loc": len(terms.positives.flat),
            "positives_cls": int(terms.labels.sum()),
            "rescued": int(terms.assignment.rescued.sum()),
        }

    def files(self, class_names: tuple[str, ...], image_size: tuple[int, int]) -> dict[str, AnchorFile]:
        return {"anchors.json": AnchorFile(class_names, image_size, self.shapes.cpu(), "lapnet train")}


def find_anchors(config: TrainConfig, dataset: Images, progress: bool = True) -> Float[Tensor, "C A 2"]:
    """The anchors that the config names, or clustered on the training set."""
    options, names = config.lapnet, tuple(dataset.class_names)
    if not options.anchors:
        sizes, labels = object_sizes(dataset, config.image_size, progress)
        return cluster_anchors(sizes, labels, len(names), options.anchors_per_class, config.seed, names)
    made = AnchorFile.load(options.anchors)
    if made.class_names != names or made.shapes.shape[1] != options.anchors_per_class:
        raise ValueError(
            f"{options.anchors} has {made.shapes.shape[1]} anchors each for {made.class_names}; the training needs "
            f"{options.anchors_per_class} each for {names}"
        )
    height, width = config.image_size
    return made.shapes * torch.tensor([width / made.input_size[1], height / made.input_size[0]])


def balance_multipliers(config: TrainConfig, num_classes: int) -> tuple[float, float]:
    """Multipliers on the learning rate of the anchor weights and of the loss weights.

    Near its optimum a plain gradient step shrinks the error of s[c, a] by lr * multiplier / (C*A), since the
    regularisation gives each anchor weight 1/(C*A) of the curvature, and that of s_loc or s_cls by lr * multiplier. The
    default makes either settle in T steps, T = max(FASTEST_SETTLING, BALANCE_SETTLING * steps): multiplier =
    C*A / (lr*T), or 1 / (lr*T). It never goes below 1, the paper's schedule. Derived from the schedule, not fitted to a
    data set.
    """
    options = config.lapnet
    settling = max(FASTEST_SETTLING, BALANCE_SETTLING * config.steps)
    per_step = 1 / (config.lr * settling)
    anchor = max(1.0, num_classes * options.anchors_per_class * per_step)
    return (
        anchor if options.balance_lr is None else options.balance_lr,
        max(1.0, per_step) if options.loss_weight_lr is None else options.loss_weight_lr,
    )
