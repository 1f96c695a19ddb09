"""The losses of LapNet (paper 3.3) and the baselines of Table 2b.

Since O_hat <= 1, only anchors with O > 0.5 can be positive in either loss. So boxes are decoded and compared at those
anchors only, and the one dense piece of work is the cross-entropy. Its labels are 1 at those few anchors and 0 at all
others, so they are not written out either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torchvision.ops import sigmoid_focal_loss

from lapnet_core.assign import Assignment, Positives, ams_labels, assign
from lapnet_core.boxes import STRIDE, at_least_float32, decode, paired_iou
from lapnet_core.data import Target, flatten_targets
from lapnet_core.inputs import check_choice, check_images, check_number, check_outputs
from lapnet_core.options import AmsRule, Balance, Overlap

FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0
INITIAL_S = 1.0
"""Start of every s = log(1/lambda) (paper 4). The paper writes s = log(lambda) there and s = log(1/lambda) in 3.3; only
the second agrees with the regularisation below."""
HEARD_FIRST, LOUDEST = 10, 10.0
"""Of balance "even": every grid counts as heard in so many batches before the first, so that it begins as "steady"; and
none wishes for more than so many times its part."""


@dataclass(frozen=True)
class LossTerms:
    """What `LapNetLoss` computed for one batch. P is the number of localisation positives, O > 0.5."""

    total: Float[Tensor, ""]
    """loc + cls + reg, the number to minimise."""
    loc: Float[Tensor, ""]
    """Weighted localisation loss."""
    cls: Float[Tensor, ""]
    """Weighted classification loss."""
    reg: Float[Tensor, ""]
    """Regularisation of the weights; 0 where no weight is learned."""
    positive: Bool[Tensor, " P"]
    """Label of the score at the localisation positives; every other anchor's is 0."""
    predicted_overlap: Float[Tensor, " P"]
    """O_hat at the localisation positives, without gradient."""
    positives: Positives
    assignment: Assignment
    object_count: int

    @cached_property
    def labels(self) -> Bool[Tensor, "B C A H W"]:
        """P for every anchor: the label of its score."""
        labels = torch.zeros(self.assignment.shape, dtype=torch.bool, device=self.positive.device)
        labels.view(-1)[self.positives.flat] = self.positive
        return labels


def localization_loss(predicted_overlap: Float[Tensor, " P"]) -> Float[Tensor, " P"]:
    """Eq. 2 at the anchors with O > 0.5: (1 - O_hat)^2."""
    return (1 - predicted_overlap) ** 2


def classification_loss(
    scores: Float[Tensor, "B C A H W"], labels: Bool[Tensor, "B C A H W"], balance: Balance
) -> Float[Tensor, "B C A H W"]:
    """Eq. 4 on every anchor: binary cross-entropy of sigmoid(score) against the label; focal loss for that baseline."""
    target = labels.to(scores.dtype)
    if balance == "focal":
        return sigmoid_focal_loss(scores, target, alpha=FOCAL_ALPHA, gamma=FOCAL_GAMMA)
    return F.binary_cross_entropy_with_logits(scores, target, reduction="none")


def check_assigned(found: Assignment, at: Positives, shape: Sequence[int], labels: Tensor, image_index: Tensor) -> None:
    """ValueError unless an assigner of somebody's own gives each positive an object of its own image and class."""
    if found.shape != tuple(shape):
        raise ValueError(f"assigned: the maps are of shape {found.shape}, the scores of {tuple(shape)}")
    plane = F.pad(image_index * shape[1] + labels, (1, 1), value=-1)  # of each object, of none before and after
    of = plane[(at.object_index + 1).clamp(0, len(labels) + 1)]
    for n in (of != at.image * shape[1] + at.label).nonzero()[:1, 0].tolist():
        where = f"image {int(at.image[n])}, class {int(at.label[n])}, anchor {int(at.anchor[n])}"
        raise ValueError(
            f"assigned: a positive of {where} has object {int(at.object_index[n])}, which is none of theirs"
        )


class CrossEntropySums(torch.autograd.Function):
    """Sums of the cross-entropy over images and cells, one for each (c, a), without a dense label.

    To the bit what `classification_loss(...).sum((0, 3, 4))` and its gradient are. `ones` and `left_out` have the
    (image, class, anchor, row, column) of the anchors whose label is 1, and of those that do not count.
    """

    @staticmethod
    def forward(
        scores: Float[Tensor, "B C A H W"], ones: Int[Tensor, "5 P"], left_out: Int[Tensor, "5 Q"]
    ) -> Float[Tensor, "C A"]:
        log_sigmoid = F.logsigmoid(scores).contiguous()  # summed in this order, however the scores lie in memory
        of_ones = -log_sigmoid[tuple(ones)]
        per_anchor = torch.sub(scores, log_sigmoid, out=log_sigmoid)
        per_anchor[tuple(ones)] = of_ones
        per_anchor[tuple(left_out)] = 0
        return per_anchor.sum((0, 3, 4))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Float[Tensor, "C A"]) -> tuple[Float[Tensor, "B C A H W"], None, None]:
        scores, ones, left_out = ctx.saved_tensors
        grad = scores.sigmoid()
        grad[tuple(ones)] -= 1
        grad[tuple(left_out)] = 0
        return grad.mul_(grads[0][..., None, None]), None, None


class LapNetLoss(nn.Module):
    """Assignment, losses and balance weights for one batch (paper 3.2 and 3.3).

    Args:
        num_classes, per_class: C and A.
        balance: the rows of Table 2b, from last to first: "learned" loss and anchor weights; "loss": learned loss
            weights, anchor weights 1; "focal": focal loss with R = N/N+; "retina": cross-entropy with R; "ones". And
            ours: "steady", learned weights that do not drift, and "even", which are even over the training (below).
        ams: let the network reject anchors that it cannot fit (`assign.ams_labels`). Without, P = [O > 0.5].
        ams_rule, ams_from: how, and after which share of the training.
        cls_weight: factor on the classification and on the regularisation of its weights. Learned weights bring both
            losses to the same size, whatever factor stands before either; so it acts on what they have balanced, and
            their own optimum, lambda * L = share of the grid, stays. Ours; 1 is the paper.
        overlap, rescue, stride: as in `assign.assign`.

    The trainable variables are s = log(1/lambda), so lambda = exp(-s), and start at 1. They act in training only.
    A grid (c, a) without a positive in the batch has an exactly zero gradient for its two s. That is enough under plain
    SGD; `hold_without_positives` makes it true for an optimiser with momentum, weight decay or adaptive state.

    Why "steady". In a batch only k of the C*A grids have a positive. Each of their weights settles where the grid's
    part of the loss is 1/(C*A), together k/(C*A) < 1; but the loss weight settles where the sum is 1. Both cannot be:
    lambda_loc and lambda_cls rise without end, the active grids' weights fall, and held grids are carried up. Steady
    gives the loss weight the same wish: its regularisation counts k/(C*A), and it hears only grids with a positive. Its
    gradient is then the sum of theirs, so that under plain steps s_loc / rate - sum over (c, a) of s[c, a] / rate never
    changes; at the rates that `method.balance_multipliers` derives, where neither is raised to 1, a loss weight
    stays the geometric mean of its anchor weights. A grid that is held moves with the mean of the others.

    Why "even". A grid wishes for its part only in the batches where it has a positive: in a share p[c, a] of them. So
    its part of the training is p/(C*A), and a class that is seldom seen has less of a say, though the regularisation
    means each to have the same; in batches that hold every grid it would. Even has each wish for mean(p)/p times as
    much when it is heard, with p counted on the way, and is steady in all else. Where every batch holds every grid,
    all three agree.
    """

    seen_loc: Tensor
    seen_cls: Tensor
    heard: Tensor
    batches: Tensor

    def __init__(
        self, num_classes: int, per_class: int, *, balance: Balance = "learned", ams: bool = True,
        ams_rule: AmsRule = "paper", ams_from: float = 0.0, overlap: Overlap = "pono", rescue: bool = True,
        cls_weight: float = 1.0, stride: int = STRIDE,
    ) -> None:  # fmt: skip
        super().__init__()
        for name, count in (("num_classes", num_classes), ("per_class", per_class), ("stride", stride)):
            check_number(name, count, 1, whole=True)
        check_choice("balance", balance, get_args(Balance))
        check_choice("overlap", overlap, get_args(Overlap))
        check_choice("ams", ams, (True, False))
        check_choice("ams_rule", ams_rule, get_args(AmsRule))
        check_number("ams_from", ams_from, 0, 1)
        check_number("cls_weight", cls_weight, 0)
        check_choice("rescue", rescue, (True, False))
        self.balance: Balance = balance
        self.overlap: Overlap = overlap
        self.ams_rule: AmsRule = ams_rule
        self.ams, self.ams_from, self.cls_weight, self.rescue, self.stride = ams, ams_from, cls_weight, rescue, stride
        grid = (num_classes, per_class)
        learns_anchor = balance in ("learned", "steady", "even")
        learns_loss = learns_anchor or balance == "loss"
        # s = 0, that is lambda = 1, where a weight is not learned.
        self.s_loc = nn.Parameter(torch.full((), INITIAL_S * learns_loss), requires_grad=learns_loss)
        self.s_cls = nn.Parameter(torch.full((), INITIAL_S * learns_loss), requires_grad=learns_loss)
        self.s_loc_anchor = nn.Parameter(torch.full(grid, INITIAL_S * learns_anchor), requires_grad=learns_anchor)
        self.s_cls_anchor = nn.Parameter(torch.full(grid, INITIAL_S * learns_anchor), requires_grad=learns_anchor)
        # Grids with a positive in any batch since the optimiser's last step.
        self.register_buffer("seen_loc", torch.zeros(grid, dtype=torch.bool), persistent=False)
        self.register_buffer("seen_cls", torch.zeros(grid, dtype=torch.bool), persistent=False)
        if balance == "even":  # in how many batches each grid had a positive, of loc and of cls; and batches
            self.register_buffer("heard", torch.zeros(2, *grid))
            self.register_buffer("batches", torch.zeros(()))

    def forward(
        self,
        scores: Float[Tensor, "B C A H W"],
        offsets: Float[Tensor, "B C A 4 H W"],
        shapes: Float[Tensor, "C A 2"],
        targets: Sequence[Target],
        share: float = 1.0,
    ) -> LossTerms:
        """Losses of a batch.

        Args:
            scores: logits.
            offsets: (dx, dy, dw, dh) per anchor.
            shapes: (w, h) of the anchors in pixels.
            targets: one dict an image, boxes `xyxy` in pixels of the network input; objects marked difficult are left
                out. No object in an image, or in the batch, is fine.
            share: how much of the training is done, 0 to 1, for AMS that does not act from the start in full.

        In a process group N, N+ and the grids with positives are counted over all processes, and the data terms are
        scaled so that the average of the gradients (DDP) is the gradient of the loss of the whole batch.

        Raises:
            ValueError: what does not fit together, by its name; an object that cannot be right, by its number.
        """
        check_outputs(scores, offsets, shapes, self.s_loc_anchor.shape)
        check_images("targets", targets, len(scores))
        with torch.autocast(scores.device.type, enabled=False):
            return self._forward(scores, offsets, shapes.float(), targets, share)

    def _forward(
        self, scores: Tensor, offsets: Tensor, shapes: Tensor, targets: Sequence[Target], share: float
    ) -> LossTerms:
        scores = at_least_float32(scores)
        classes, anchors = scores.shape[1:3]
        boxes, labels, image_index = (x.to(scores.device) for x in flatten_targets(targets))
        size = (scores.shape[3], scores.shape[4])
        assignment = self.assigned(shapes, size, boxes, labels, image_index, len(scores))
        at = assignment.positives()
        if type(self).assigned is not LapNetLoss.assigned:
            check_assigned(assignment, at, scores.shape, labels, image_index)
        own = offsets[at.image, at.label, at.anchor, :, at.row, at.column]
        predicted = decode(own, shapes[at.label, at.anchor], at.row, at.column, self.stride)
        predicted_overlap = paired_iou(predicted, boxes[at.object_index].to(predicted.dtype))
        positive = torch.ones_like(at.flat, dtype=torch.bool)
        if self.ams and share >= self.ams_from:
            how: dict[str, Any] = {"object_index": at.object_index, "rule": self.ams_rule, "share": share}
            positive = ams_labels(at.overlap, predicted_overlap, **how)

        grid = at.label * anchors + at.anchor
        loc_counts, cls_counts, images = _global_counts(grid, positive, classes * anchors, len(scores))
        n_loc = loc_counts.sum().clamp(min=1)  # no object in the whole batch: the sum is 0 anyway
        n_all = images * scores[0].numel() if len(scores) else images.clamp(min=1)
        has_loc, has_cls = ((counts > 0).view(classes, anchors) for counts in (loc_counts, cls_counts))
        s_loc, s_cls = self._anchor_weights(has_loc, has_cls)

        per_grid_loc = predicted_overlap.new_zeros(classes * anchors)
        per_grid_loc = per_grid_loc.index_add(0, grid, localization_loss(predicted_overlap)).view(classes, anchors)
        per_grid_cls = self._class_sums(scores, at, positive)
        lam_cls = n_all / n_loc if self.balance in ("retina", "focal") else (-self.s_cls).exp()
        weighted_cls = (-s_cls).exp() * per_grid_cls
        wish_loc, wish_cls = self._wishes(has_loc, has_cls) if self.balance == "even" else (1.0, 1.0)
        active_loc, active_cls = 1.0, 1.0
        if self.balance in ("steady", "even"):
            active_loc, active_cls = (has_loc * wish_loc).mean(), (has_cls * wish_cls).mean()
            constant = (self.s_cls - self.s_cls.detach()).exp()  # 1; times lambda_cls a constant: no gradient for s_cls
            weighted_cls = torch.where(has_cls, weighted_cls, weighted_cls * constant)
        processes = _world_size()
        loc = (-self.s_loc).exp() * processes / n_loc * ((-s_loc).exp() * per_grid_loc).sum()  # eq. 5
        w = self.cls_weight
        cls = w * lam_cls * processes / n_all * weighted_cls.sum()  # eq. 6
        # eq. 7
        of_anchors = (wish_loc * s_loc + w * wish_cls * s_cls).sum() / (classes * anchors)
        reg = active_loc * self.s_loc + w * active_cls * self.s_cls + of_anchors
        return LossTerms(
            loc + cls + reg, loc, cls, reg, positive, predicted_overlap.detach(), at, assignment, len(boxes)
        )

    def assigned(
        self, shapes: Float[Tensor, "C A 2"], grid_size: tuple[int, int], boxes: Float[Tensor, "G 4"],
        labels: Int[Tensor, " G"], image_index: Int[Tensor, " G"], num_images: int,
    ) -> Assignment:  # fmt: skip
        """Who is trained on what, as in `assign.assign`. A subclass with an assigner of its own overrides this."""
        options = {"stride": self.stride, "overlap": self.overlap, "rescue": self.rescue}
        return assign(shapes, grid_size, boxes, labels, image_index, num_images, **options)  # pyright: ignore

    def _class_sums(self, scores: Tensor, at: Positives, positive: Bool[Tensor, " P"]) -> Float[Tensor, "C A"]:
        """`classification_loss` summed over images and cells; without the anchors that the rule "ignore" leaves out."""
        where = torch.stack((at.image, at.label, at.anchor, at.row, at.column))
        ones, left_out = where[:, positive], where[:, ~positive if self.ams_rule == "ignore" else slice(0)]
        if self.balance != "focal":
            return CrossEntropySums.apply(scores, ones, left_out)
        labels = torch.zeros(scores.shape, dtype=torch.bool, device=scores.device)
        labels[tuple(ones)] = True
        kept = torch.ones_like(labels)
        kept[tuple(left_out)] = False
        return classification_loss(scores, labels, self.balance).where(kept, 0).sum((0, 3, 4))

    def _anchor_weights(
        self, has_loc: Bool[Tensor, "C A"], has_cls: Bool[Tensor, "C A"]
    ) -> tuple[Float[Tensor, "C A"], Float[Tensor, "C A"]]:
        """s of the anchor weights, cut from the gradient where the grid has no positive in this batch (paper 3.3)."""
        if self.training:
            self.seen_loc |= has_loc
            self.seen_cls |= has_cls
        return (
            torch.where(has_loc, self.s_loc_anchor, self.s_loc_anchor.detach()),
            torch.where(has_cls, self.s_cls_anchor, self.s_cls_anchor.detach()),
        )

    def _wishes(
        self, has_loc: Bool[Tensor, "C A"], has_cls: Bool[Tensor, "C A"]
    ) -> tuple[Float[Tensor, "C A"], Float[Tensor, "C A"]]:
        """Under "even": what each grid's part of either loss should be when it is heard, times C*A. Else it is 1."""
        if self.training:
            self.heard += torch.stack((has_loc, has_cls))
            self.batches += 1
        p = (self.heard + HEARD_FIRST) / (self.batches + HEARD_FIRST)
        wish_loc, wish_cls = (p.mean((1, 2), keepdim=True) / p).clamp(max=LOUDEST)
        return wish_loc, wish_cls

    def hold_without_positives(self, optimizer: torch.optim.Optimizer) -> None:
        """Make `optimizer.step` leave the anchor weights of grids without a positive exactly where they are.

        A zero gradient is not enough for an optimiser with momentum, weight decay or adaptive state. Counts every
        batch since the last step, so it is also right when gradients are accumulated. Call once per optimiser.
        """
        kept: list[Tensor] = []

        def before(*_: object) -> None:
            kept[:] = [self.s_loc_anchor.detach().clone(), self.s_cls_anchor.detach().clone()]

        @torch.no_grad()
        def after(*_: object) -> None:
            for s, seen, old in zip(
                (self.s_loc_anchor, self.s_cls_anchor), (self.seen_loc, self.seen_cls), kept, strict=True
            ):
                s.copy_(torch.where(seen, s, old))
                seen.zero_()

        optimizer.register_step_pre_hook(before)
        optimizer.register_step_post_hook(after)

    @property
    def loss_weights(self) -> tuple[Tensor, Tensor]:
        """(lambda_loc, lambda_cls), scalars. The baselines "retina" and "focal" use R = N/N+ for the second."""
        return (-self.s_loc).exp().detach(), (-self.s_cls).exp().detach()

    @property
    def anchor_weights(self) -> tuple[Tensor, Tensor]:
        """(lambda_loc[c, a], lambda_cls[c, a]), each of shape [C, A]."""
        return (-self.s_loc_anchor).exp().detach(), (-self.s_cls_anchor).exp().detach()


def _world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _global_counts(
    grid: Int[Tensor, " P"], positive: Bool[Tensor, " P"], grids: int, images: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Positives of either loss per grid (c, a), and images, summed over all processes."""
    counts = torch.cat(
        (grid.bincount(minlength=grids), grid[positive].bincount(minlength=grids), grid.new_tensor([images]))
    )
    if _world_size() > 1:
        dist.all_reduce(counts)
    return counts[:grids], counts[grids:-1], counts[-1]
