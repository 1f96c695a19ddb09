"""What the balance weights of eqs. 5 to 7 do: one weight alone; where the weights settle on outputs that stand still;
the time they need; the shares of the gradient under each row of Table 2b, and trainings under each.

Nothing here computes a loss of its own: every number comes from `losses.LapNetLoss` and its gradients.
"""

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lapnet_core.config import TrainConfig, paper_voc_darknet53, tiny_scenes
from lapnet_core.data.named import Images
from lapnet_core.evaluate import voc_map
from lapnet_core.losses import Balance, LapNetLoss, LossTerms
from lapnet_core.method import balance_multipliers
from lapnet_core.scenes import SCENE_CLASSES
from lapnet_core.step import learning_rate
from lapnet_core.train import train
from lapnet_lab.lessons.balance.fixed import FixedBatch
from lapnet_lab.records import DATA, paper_table

BALANCES: dict[Balance, str] = {
    "ones": "all λ = 1",
    "retina": "R, cross-entropy",
    "focal": "R, focal loss",
    "loss": "loss weights learned",
    "learned": "all learned",
}
"""What we call the rows of the paper's Table 2b, in its order."""
RUN_COLUMNS = ("balance", "seed", "steps", "class", "objects", "ap")
"""Of data/runs/balance_scenes.csv, and of the rows of `train_and_score`."""


def descend(
    function: Callable[[Tensor], Tensor], start: float, lr: float, steps: int
) -> list[tuple[int, float, float]]:
    """PyTorch's plain gradient descent on a function of one number.

    Returns:
        (step, where it stands, the function there) before each step and after the last, steps + 1 of them.
    """
    x = torch.tensor(start, requires_grad=True)
    descent = torch.optim.SGD([x], lr=lr)
    path = []
    for step in range(steps + 1):
        value = function(x)
        path.append((step, x.item(), value.item()))
        descent.zero_grad()
        value.backward()
        descent.step()
    return path


def one_weight(
    loss: float, lr: float, start: float, steps: int, max_step: float = math.inf
) -> tuple[list[float], list[float]]:
    """Gradient descent on lambda * L + log(1/lambda) for a loss L that does not change (one term of eqs. 5 to 7).

    Args:
        loss: L > 0. start: the first lambda > 0. max_step: largest change of s in one step, as `method.MAX_S_STEP`.

    Returns:
        lambda before each step and after the last, (steps + 1) values each: of descent on lambda itself, which may
        become negative and then ends in nan, as log(1/lambda) no longer exists; and of descent on s = log(1/lambda).
    """
    lam, s = start, -math.log(start)
    direct, by_s = [lam], [lam]
    for _ in range(steps):
        lam = lam - lr * (loss - 1 / lam) if lam > 0 else math.nan
        # exp overflows for a weight that no float holds; such a step is as good as infinite.
        s -= max(-max_step, min(max_step, lr * (1 - _exp(-s) * loss)))
        direct.append(lam)
        by_s.append(_exp(-s))
    return direct, by_s


def _exp(x: float) -> float:
    return math.exp(min(x, 700.0))


class EveryGridMoves(LapNetLoss):
    """Eqs. 5 to 7 taken literally: a grid (c, a) without a positive is not held. For study; it is what the paper warns
    of (3.3)."""

    def _anchor_weights(self, loc_counts: Tensor, cls_counts: Tensor) -> tuple[Tensor, Tensor]:
        self.seen_loc.fill_(True)
        self.seen_cls.fill_(True)
        return self.s_loc_anchor, self.s_cls_anchor


def parts(loss: LapNetLoss, batch: FixedBatch) -> tuple[Float[Tensor, "C A"], Float[Tensor, "C A"]]:
    """What each grid (c, a) adds to Lloc and to Lcls, weights included; nan for a grid that is held.

    Read off the gradient of the total with respect to s[c, a], which is 1/(C*A) - part. Needs balance="learned".
    """
    terms = batch.terms(loss)
    gradients = torch.autograd.grad(terms.total, [loss.s_loc_anchor, loss.s_cls_anchor])
    loc, cls = (
        torch.where(held, torch.nan, 1 / g.numel() - g) for g, held in zip(gradients, _held(loss, terms), strict=True)
    )
    return loc, cls


def _held(loss: LapNetLoss, terms: LossTerms) -> tuple[Bool[Tensor, "C A"], Bool[Tensor, "C A"]]:
    """The grids without a positive in this batch, whose weights do not move."""
    moves_loc, moves_cls = torch.zeros_like(loss.seen_loc), terms.labels.any(4).any(3).any(0)
    moves_loc[terms.positives.label, terms.positives.anchor] = True
    everyone = isinstance(loss, EveryGridMoves)
    return ~(moves_loc | everyone), ~(moves_cls | everyone)


@torch.no_grad()
def put_at_rest(loss: LapNetLoss, batch: FixedBatch) -> None:
    """Set the learned weights to where they would settle if the network's outputs stayed as they are.

    A part is proportional to exp(-s), so one step of the size log(C*A * part) makes it 1/(C*A): the balance of eqs. 5
    to 7. The scale that lambda and its lambda[c, a] share is free; it is left in lambda[c, a]. Held grids stay.
    """
    if loss.balance == "learned":
        with torch.enable_grad():
            found = parts(loss, batch)
        for s, part in zip((loss.s_loc_anchor, loss.s_cls_anchor), found, strict=True):
            s.add_((part * part.numel()).log().nan_to_num(0))
    elif loss.balance == "loss":
        terms = batch.terms(loss)
        loss.s_loc.add_(terms.loc.log())
        loss.s_cls.add_(terms.cls.log())


@dataclass(frozen=True)
class Settling:
    """lambda_cls and lambda_cls[c, a] before each step and after the last, and `part`, what each grid adds to Lcls,
    times C*A: 1 where every grid has the same say; nan for a held grid."""

    lam: Float[Tensor, " T"]
    lam_anchor: Float[Tensor, "T C A"]
    part: Float[Tensor, "T C A"]

    def grid(self, c: int, a: int) -> tuple[Float[Tensor, " T"], Float[Tensor, " T"]]:
        """The weight of one grid, and its product with lambda_cls, which is all that the loss knows of either."""
        weight = self.lam_anchor[:, c, a]
        return weight, self.lam * weight


def settle(
    loss: LapNetLoss,
    batch: FixedBatch | Sequence[FixedBatch] | Callable[[int], FixedBatch],
    steps: int,
    lr: float,
    multiplier: float,
) -> Settling:
    """Plain gradient steps on the balance weights alone, as `train` takes them (but without its largest step).

    Args:
        batch: outputs that stand still; or those of each step, steps + 1 of them; or a function of the step.
        lr: learning rate of the two loss weights; the anchor weights have lr * multiplier.
    """
    optimizer = torch.optim.SGD(
        [
            {"params": [loss.s_loc, loss.s_cls]},
            {"params": [loss.s_loc_anchor, loss.s_cls_anchor], "lr": lr * multiplier},
        ],
        lr=lr,
    )
    loss.hold_without_positives(optimizer)
    lam, lam_anchor, part = [], [], []
    for step in range(steps + 1):
        seen = batch if isinstance(batch, FixedBatch) else batch(step) if callable(batch) else batch[step]
        terms = seen.terms(loss)
        optimizer.zero_grad()
        terms.total.backward()
        lam.append(loss.loss_weights[1])
        lam_anchor.append(loss.anchor_weights[1])
        gradient, held = loss.s_cls_anchor.grad, _held(loss, terms)[1]
        assert gradient is not None
        part.append(torch.where(held, torch.nan, 1 - gradient * gradient.numel()))
        if step < steps:
            optimizer.step()
    return Settling(torch.stack(lam), torch.stack(lam_anchor), torch.stack(part))


def one_step(loss: LapNetLoss, batch: FixedBatch, lr: float) -> None:
    """One step of plain SGD on the anchor weights, as `train` takes it: slots without a positive are held."""
    optimizer = torch.optim.SGD([loss.s_loc_anchor, loss.s_cls_anchor], lr=lr)
    loss.hold_without_positives(optimizer)
    batch.terms(loss).total.backward()
    optimizer.step()


def steps_to_settle(batch: FixedBatch, lr: float, multiplier: float, error: float = 0.1, limit: int = 5000) -> int:
    """Steps until a small error between two grids' s has shrunk to 1/e, measured.

    From the balance, one s[c, a] of the classification is raised by `error` and another one lowered. RuntimeError if it
    does not happen within `limit` steps.
    """
    loss = LapNetLoss(*batch.shapes.shape[:2], ams=False)
    put_at_rest(loss, batch)
    with torch.no_grad():
        loss.s_cls_anchor[0, 0] += error
        loss.s_cls_anchor[-1, -1] -= error
    optimizer = torch.optim.SGD([loss.s_cls_anchor], lr=lr * multiplier)
    for step in range(limit):
        optimizer.zero_grad()
        batch.terms(loss).total.backward()
        gradient = loss.s_cls_anchor.grad
        assert gradient is not None
        part = (1 - gradient * gradient.numel()).log()
        if (part[-1, -1] - part[0, 0]).item() <= 2 * error / math.e:  # it began as twice the error
            return step
        optimizer.step()
    raise RuntimeError(f"not settled after {limit} steps")


def e_folds(config: TrainConfig, num_classes: int, momentum: float = 0.0) -> float:
    """How many times within a training an error of s[c, a] shrinks to 1/e: the sum of its learning rates over C*A.

    It is also the most by which s[c, a] can fall, that is log of the most by which a weight can rise, as the gradient
    is never above 1/(C*A). A momentum m multiplies every step by 1/(1-m).
    """
    multiplier = balance_multipliers(config, num_classes)[0]
    rates = sum(learning_rate(config, step) for step in range(config.steps))
    return rates * multiplier / (num_classes * config.lapnet.anchors_per_class) / (1 - momentum)


def schedules() -> dict[str, tuple[TrainConfig, int, float]]:
    """Trainings to ask `e_folds` about: (config, number of classes, momentum of the anchor weights) by name."""
    paper, tiny = paper_voc_darknet53(), tiny_scenes()
    return {
        "paper's schedule on VOC, plain steps": (paper, 20, 0.0),
        "paper's schedule on VOC, momentum 0.9": (paper, 20, 0.9),
        "640 steps on scenes, multiplier 1": (tiny.with_options(balance_lr=1.0), len(SCENE_CLASSES), 0.0),
        "640 steps on scenes, multiplier by rule": (tiny, len(SCENE_CLASSES), 0.0),
    }


def drift_without_positives(
    make_optimizer: Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer],
    everyone: FixedBatch,
    without: FixedBatch,
    *,
    hold: bool,
    steps: int = 20,
) -> float:
    """How far the anchor weights of grids without a positive move, although their gradient is exactly 0.

    Args:
        make_optimizer: makes an optimiser over the parameters of the loss.
        everyone, without: the first 10 steps are made on one, the `steps` that count on the other.
        hold: call `LapNetLoss.hold_without_positives`.

    Returns:
        Largest |change| of an s for the classification.
    """
    loss = LapNetLoss(*everyone.shapes.shape[:2], ams=False)
    optimizer = make_optimizer(list(loss.parameters()))
    if hold:
        loss.hold_without_positives(optimizer)

    def take(steps: int, batch: FixedBatch) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            batch.terms(loss).total.backward()
            optimizer.step()

    take(10, everyone)
    before = loss.s_cls_anchor.detach().clone()
    take(steps, without)
    held = _held(loss, without.terms(loss))[1]
    return (loss.s_cls_anchor.detach() - before).abs()[held].max().item()


@dataclass(frozen=True)
class Pull:
    """Sizes of the gradient of the total loss with respect to a network's outputs, each the sum of |derivatives|: on
    the scores of anchors with the label 1 and of all others, and on the offsets, the pull of the localisation."""

    positive: Float[Tensor, "C A"]
    negative: Float[Tensor, "C A"]
    offsets: float

    @property
    def scores(self) -> float:
        """On all scores: the pull of the classification."""
        return (self.positive.sum() + self.negative.sum()).item()


def pull(balance: Balance, batch: FixedBatch) -> Pull:
    """Who pulls at the network's outputs, and how hard, under a row of Table 2b; learned weights are at rest.

    Labels are O > 0.5, without AMS, so that all rows are asked the same.
    """
    loss = LapNetLoss(*batch.shapes.shape[:2], balance=balance, ams=False)
    put_at_rest(loss, batch)
    scores, offsets = batch.scores.clone().requires_grad_(), batch.offsets.clone().requires_grad_()
    terms = loss(scores, offsets, batch.shapes, batch.targets)
    by_score, by_offset = (g.abs() for g in torch.autograd.grad(terms.total, (scores, offsets)))
    positive, negative = (torch.where(mask, by_score, 0).sum((0, 3, 4)) for mask in (terms.labels, ~terms.labels))
    return Pull(positive, negative, by_offset.sum().item())


def train_and_score(config: TrainConfig, lesson: Images, test: Images, progress: bool = False) -> list[dict[str, Any]]:
    """Train, and measure AP at IoU 0.5 on `test`.

    Returns:
        A row with RUN_COLUMNS for each class, and one with the class "mean": the mAP, and the number of all objects.
    """
    detector = train(config, lesson, save=False, progress=progress).detector
    found, truth, _ = detector.predict_dataset(test, progress=progress)
    result = voc_map(found, truth, len(detector.class_names), class_names=detector.class_names)
    counts = result.num_objects.tolist()
    per_class = [*zip(detector.class_names, counts, result.ap.tolist(), strict=True)]
    return [
        dict(zip(RUN_COLUMNS, (config.lapnet.balance, config.seed, config.steps, *row), strict=True))
        for row in (*per_class, ("mean", sum(counts), float(result.mean_ap)))
    ]


def table_2b() -> dict[str, float]:
    """The paper's Table 2b: mAP in percent on VOC 2007 test by balance, in its order."""
    return {str(row["balance"]): float(row["map"]) for row in paper_table("table_2b")}


def recorded_ap(steps: int = 400, data: Path = DATA) -> dict[str, dict[str, list[float]]]:
    """AP (0 to 1) of the trainings in data/runs/balance_scenes.csv: balance -> class, or "mean" -> one of each seed."""
    found: dict[str, dict[str, list[float]]] = {}
    with open(data / "runs" / "balance_scenes.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if int(row["steps"]) == steps:
                found.setdefault(row["balance"], {}).setdefault(row["class"], []).append(float(row["ap"]))
    return found
