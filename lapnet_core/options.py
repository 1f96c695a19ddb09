"""LapNet's own switches. Without torch, so that a command can show its flags before anything heavy is imported."""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

Overlap = Literal["pono", "ao"]
"""Assignment map: PONO (paper 3.2), or the plain IoU, the baseline."""
Balance = Literal["learned", "loss", "focal", "retina", "ones", "steady", "even"]
"""The rows of Table 2b, from last to first; and ours, in which learned weights do not drift, the last one with an even
say for each class and anchor (`losses.LapNetLoss`)."""
AmsRule = Literal["paper", "annealed", "relative", "ignore"]
"""What becomes of the anchors that AMS rejects: the paper's rule, and three of ours (`assign.ams_labels`)."""


@dataclass(frozen=True)
class LapNetOptions:
    """What only LapNet has: anchors per class, depth, assignment, ambiguity and balance."""

    anchors_per_class: int = 10
    """A (paper 4: 10)."""
    anchors: str = ""
    """File made by `lapnet anchors`, or a name (voc0712_512, coco_512); empty: cluster them on the training data."""
    depth: int = 4
    """3x3 convolutions on each map of the pyramid and in each head. The paper's 4 take long to learn; 1 is ours."""
    overlap: Overlap = "pono"
    """Assignment map: pono or ao, the baseline."""
    rescue: bool = True
    """Give an object with an empty cluster its best free anchor; false is the literal paper."""
    ams: bool = True
    """Let the network reject anchors that it cannot fit: boxes fit better, but in a short training AP50 falls."""
    ams_rule: AmsRule = "paper"
    """How: paper, or ours: annealed, relative, ignore (`lapnet_core.assign.ams_labels`)."""
    ams_from: float = 0.0
    """AMS begins after this share of the training. The paper's begins at once."""
    balance: Balance = "learned"
    """Rows of Table 2b: learned, loss, focal, retina, ones; and ours: steady, learned weights that do not drift, and
    even, in which seldom seen classes have the same say."""
    cls_weight: float = 1.0
    """How much more the classification counts than the localisation, whatever the balance; the paper's is 1."""
    balance_lr: float | None = None
    """Multiplier on the learning rate of the anchor weights; none derives it from the schedule."""
    loss_weight_lr: float | None = None
    """The same for the two loss weights."""

    def __post_init__(self) -> None:
        check_types(self)
        rules = {
            "anchors_per_class: at least 1": self.anchors_per_class >= 1,
            "depth: 1 to 16": 1 <= self.depth <= 16,
            "ams_from: 0 to 1": 0 <= self.ams_from <= 1,
            "cls_weight: finite and above 0": 0 < self.cls_weight < math.inf,
            "balance_lr, loss_weight_lr: finite and not below 0": all(
                x is None or 0 <= x < math.inf for x in (self.balance_lr, self.loss_weight_lr)
            ),
        }
        for rule, holds in rules.items():
            if not holds:
                raise ValueError(f"config: {rule}; got {told(self, rule)}")


def check_types(options: object) -> None:
    """ValueError, by its name, for a field that does not hold what its annotation says. Without it a word that is
    misspelt, or a list where a tuple is due, would be found out late, or by nobody."""
    for name, kind in get_type_hints(type(options)).items():
        if not _holds(value := getattr(options, name), kind):
            due = f"one of {', '.join(get_args(kind))}" if get_origin(kind) is Literal else kind
            due = kind.__name__ if isinstance(kind, type) else due
            raise ValueError(f"config: {name} must be {due}, not {value!r}")


def _holds(value: Any, kind: Any) -> bool:
    parts = get_args(kind)
    if get_origin(kind) is Literal:
        return value in parts
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and len(value) == len(parts) and all(map(_holds, value, parts))
    if parts:  # this or that
        return any(_holds(value, part) for part in parts)
    return isinstance(value, (int, float) if kind is float else kind) and isinstance(value, bool) == (kind is bool)


def told(options: object, rule: str) -> str:
    """The values of the fields that a rule begins with: "lr, momentum: not below 0"."""
    names = [name for name in rule.split(":")[0].split(", ") if hasattr(options, name)] or list(vars(options))
    return ", ".join(f"{name} {getattr(options, name)}" for name in names)
