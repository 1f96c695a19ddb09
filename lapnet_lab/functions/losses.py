"""AMS and the weighted loss (paper 3.3): notebooks 03 and 04."""

import torch
from torch import Generator, Tensor

from lapnet_lab.exercise import Example, FunctionExercise


def ams_labels(overlap: Tensor, predicted_iou: Tensor) -> Tensor:
    """P, which anchors count as positive for the score: where O * O_hat > 0.5 (AMS, eq. 3 of the paper).

    overlap: (P,), O of each anchor, its PONO; P can be 0
    predicted_iou: (P,), O_hat of each anchor: the IoU of the box that the network predicts there with the anchor's
        object. It comes from the network and may carry a gradient; a label carries none
    returns: (P,) bool
    """
    return overlap * predicted_iou.detach() > 0.5


def weighted_cross_entropy(scores: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """The classification loss of K anchor slots of N cells each (eq. 4 and 6 of the paper, without lambda_cls).

    1 / (K * N) * sum over k of weights[k] * (sum over n of CE(scores[k, n], labels[k, n])), where
    CE(s, y) = -log(sigmoid(s)) where y is True, and -log(1 - sigmoid(s)) where it is False

    scores: (K, N), logits, that is before the sigmoid; they can be as large as 1000 and as small as -1000
    labels: (K, N) bool
    weights: (K,), the weight of each slot
    returns: one number, as a tensor of shape (): scores and weights are trained through it
    """
    each = torch.where(labels, torch.nn.functional.softplus(-scores), torch.nn.functional.softplus(scores))
    return (weights[:, None] * each).mean()


def held_update(s: Tensor, gradient: Tensor, has_positive: Tensor, rate: float) -> Tensor:
    """A step of plain gradient descent on s = log(1 / lambda) of each anchor slot (paper 3.3).

    A slot without a positive in the batch is held: it stays exactly where it is.

    s: (K,), one number for each anchor slot
    gradient: (K,), of the loss, for each s
    has_positive: (K,) bool, whether the slot has a positive in this batch
    rate: the learning rate
    returns: (K,), s - rate * gradient where the slot has a positive, else s
    """
    return torch.where(has_positive, s - rate * gradient, s)


def _ams_examples(generator: Generator) -> list[Example]:
    by_hand = [
        ([], []), ([1.0], [1.0]), ([1.0], [0.0]), ([1.0], [0.5]), ([0.5], [1.0]), ([0.6], [0.6]), ([0.8], [0.8]),
        ([0.55], [1.0]), ([1.0], [0.55]), ([0.0], [1.0]), ([0.75, 1.0, 0.6], [0.75, 0.5, 0.95]),
        ([0.7, 0.95], [0.6, 0.45]),
    ]  # fmt: skip
    examples = [(torch.tensor(overlap), torch.tensor(fit)) for overlap, fit in by_hand]
    for k in range(14):
        overlap, fit = 0.3 + 0.7 * torch.rand(2, 3 + k, generator=generator)
        clear = (overlap * fit - 0.5).abs() > 0.01  # no rounding decides
        examples.append((overlap[clear], fit[clear]))
    return examples


def _cross_entropy_examples(generator: Generator) -> list[Example]:
    by_hand = [
        ([[0.0]], [[True]], [1.0]),
        ([[2.0]], [[True]], [1.0]),
        ([[2.0]], [[False]], [1.0]),
        ([[2.0]], [[False]], [0.5]),
        ([[2.0]], [[True]], [0.0]),
        ([[1000.0]], [[True]], [1.0]),
        ([[1000.0]], [[False]], [1.0]),
        ([[-1000.0]], [[True]], [2.0]),
        ([[-1000.0, 0.0]], [[False, True]], [2.0]),
        ([[1.0, -2.0, 3.0]], [[False, False, False]], [1.0]),  # no positive
        ([[1.0], [-2.0]], [[True], [False]], [0.2, 3.0]),
        ([[1.0, 0.0], [-2.0, 2.0]], [[True, False], [False, False]], [0.2, 3.0]),
    ]
    examples = [(torch.tensor(s), torch.tensor(y), torch.tensor(w)) for s, y, w in by_hand]
    for k in range(14):
        scores = torch.randn(1 + k % 4, 1 + k % 5, generator=generator) * 3
        labels = torch.rand(scores.shape, generator=generator) < 0.3
        examples.append((scores, labels, 0.2 + torch.rand(len(scores), generator=generator)))
    return examples


def _held_examples(generator: Generator) -> list[Example]:
    by_hand = [
        ([1.0], [0.5], [True], 0.1),
        ([1.0], [0.5], [False], 0.1),
        ([1.0], [0.0], [True], 0.1),
        ([-2.0], [3.0], [True], 1.0),
        ([1.0, 2.0], [0.5, 0.5], [False, True], 0.5),
        ([1.0, 2.0], [0.5, 0.5], [False, False], 0.5),
        ([0.0, 2.0, -1.0], [4.0, -2.0, 1.0], [True, True, True], 0.01),
    ]
    examples: list[Example] = [(torch.tensor(s), torch.tensor(g), torch.tensor(h), r) for s, g, h, r in by_hand]
    for k in range(12):
        s, gradient = torch.randn(2, 2 + k % 5, generator=generator)
        examples.append((s, gradient, torch.rand(len(s), generator=generator) < 0.5, 0.1 + 0.2 * (k % 4)))
    return examples


AMS_LABELS = FunctionExercise(
    ams_labels,
    title="AMS",
    task="An anchor is positive only if it lies well *and* the network fits its object from there. Write `ams_labels`.",
    praise="the network itself now says which anchors see their object, and no label can be bent by the gradient.",
    hints=("Two numbers between 0 and 1 multiplied, one comparison.", "`detach()` cuts a tensor from its gradient."),
    difficulty=1,
    minutes=5,
    examples=_ams_examples,
)
WEIGHTED_CROSS_ENTROPY = FunctionExercise(
    weighted_cross_entropy,
    title="Weighted cross-entropy",
    task="Every anchor counts in the loss of the score, each slot with its own weight. Write `weighted_cross_entropy`.",
    praise="each slot counts by its weight, and a score of 1000 neither breaks the loss nor its gradient.",
    hints=(
        "-log(sigmoid(s)) = log(1 + exp(-s)), and -log(1 - sigmoid(s)) = log(1 + exp(s)). "
        "PyTorch has both without overflow: look up `softplus`, or `binary_cross_entropy_with_logits`.",
        "`weights[:, None]` has the shape (K, 1), so each row gets its weight. Then the mean over all K * N.",
    ),
    difficulty=2,
    minutes=15,
    examples=_cross_entropy_examples,
)
HELD_UPDATE = FunctionExercise(
    held_update,
    title="A step that holds",
    task="A slot that saw no positive has learned nothing about its weight. Write the step that leaves it alone.",
    praise="a slot waits for its next positive instead of drifting away.",
    hints=(
        "Gradient descent goes against the gradient.",
        "`torch.where(condition, a, b)` chooses between two tensors, element by element.",
    ),
    difficulty=1,
    minutes=5,
    examples=_held_examples,
)
