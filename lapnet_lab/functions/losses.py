"""AMS and the weighted loss (paper 3.3): notebooks 03 and 04."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Generator, Tensor

from lapnet_lab.exercise import Example, FunctionExercise, Mistake
from lapnet_lab.functions.gradients import wrong_gradient


def ams_labels(overlap: Tensor, predicted_iou: Tensor) -> Tensor:
    """P, which anchors count as positive for the score: where O * O_hat > 0.5 (AMS, eq. 3 of the paper).

    overlap: (P,), O of each anchor, its PONO; P can be 0
    predicted_iou: (P,), O_hat of each anchor: the IoU of the box that the network predicts there with the object
        of the anchor. It comes from the network and may carry a gradient; a label carries none
    returns: (P,) bool
    """
    return overlap * predicted_iou.detach() > 0.5


def weighted_cross_entropy(scores: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """The classification loss of K anchor slots of M cells each (eq. 4 and 6 of the paper, without lambda_cls).

    1 / (K * M) * sum over k of weights[k] * (sum over m of CE(scores[k, m], labels[k, m])), where
    CE(s, y) = -log(sigmoid(s)) where y is True, and -log(1 - sigmoid(s)) where it is False

    scores: (K, M), logits, that is before the sigmoid; they can be as large as 1000 and as small as -1000
    labels: (K, M) bool
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


_AMS_MISTAKES = (
    Mistake(
        lambda overlap, fit: fit > 0.5,
        "you ask the network alone: which anchors may it choose from?",
    ),
    Mistake(
        lambda overlap, fit: overlap > 0.5,
        "these are the positives without AMS: what has the network to say?",
    ),
    Mistake(
        lambda overlap, fit: overlap * fit >= 0.5,
        "a product of exactly 0.5 counts in yours: is the comparison of eq. 3 strict?",
    ),
    Mistake(
        lambda overlap, fit: overlap * fit,
        "this is the product itself, and a gradient flows back through it: which question does a label answer?",
    ),
    Mistake(
        lambda overlap, fit: (overlap > 0.5) & (fit > 0.5),
        "two times just above .5 is positive in yours: what is their product?",
    ),
    Mistake(
        lambda overlap, fit: torch.maximum(overlap, fit) > 0.5,
        "one of the two is enough in yours: what does a product ask of both?",
    ),
    Mistake(
        lambda overlap, fit: (overlap + fit) / 2 > 0.5,
        "you take the mean of both, so that one makes up for the other: how does eq. 3 join them?",
    ),
    Mistake(
        lambda overlap, fit: overlap * fit < 0.5,
        "your positives are the rejected ones: on which side of 0.5 is a good anchor?",
    ),
)


def _no_gradient(function: Callable[..., Tensor]) -> str:
    overlap, fit = torch.tensor([0.9, 0.7]), torch.tensor([0.8, 0.6], requires_grad=True)
    label = function(overlap, fit)
    return "a gradient flows back through your labels: where do you cut it?" if label.requires_grad else ""


def _log_of(chance: Tensor, labels: Tensor) -> Tensor:
    """CE of probabilities, as it is written in the equation."""
    return -torch.where(labels, chance.log(), (1 - chance).log())


def _each(scores: Tensor, labels: Tensor) -> Tensor:
    return torch.nn.functional.binary_cross_entropy_with_logits(scores, labels.to(scores.dtype), reduction="none")


def _multiplied(chance: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    y = labels.to(chance.dtype)
    return (weights[:, None] * -(y * chance.log() + (1 - y) * (1 - chance).log())).mean()


def _probability_cut(scores: Tensor, labels: Tensor, weights: Tensor, least: float) -> Tensor:
    return _multiplied(scores.sigmoid().clamp(least, 1 - least), labels, weights)


def _logarithm_cut(scores: Tensor, labels: Tensor, weights: Tensor, least: float) -> Tensor:
    chance = scores.sigmoid()
    return (weights[:, None] * -torch.where(labels, (chance + least).log(), (1 - chance + least).log())).mean()


_CUT = (
    "a small number keeps the logarithm finite, and cuts the loss: what should a score of 1000 on the wrong side cost?"
)
_OVERFLOWS = "a score of 1000 gives inf or nan: what is 1 - sigmoid(1000) to a computer, and what its logarithm?"
_PROBABILITIES = "you take the logarithm of the scores: are they probabilities already?"
_POSITIVES = "you divide by the number of positives, which can be 0: by how many does the contract divide?"
_CROSS_ENTROPY_MISTAKES = (
    Mistake(
        lambda s, y, w: _each(s, y).mean(),
        "the weights play no part: by what is each row multiplied?",
    ),
    Mistake(
        lambda s, y, w: (_each(s, y) * w).mean(),
        "your weights run along the cells, and with other numbers of slots and cells it stops: "
        "which shape has `weights[:, None]`?",
    ),
    Mistake(
        lambda s, y, w: _each(s, y) * w[:, None],
        "these are the losses of all anchors; how do they become one number?",
    ),
    Mistake(
        lambda s, y, w: (_each(s, y) * w[:, None]).sum(),
        "this is the sum; on a larger map it would be larger. By what does the contract divide?",
    ),
    Mistake(
        lambda s, y, w: (_each(s, y).mean(1) * w).sum(),
        "you divide by M, the cells: over how many slots do you add up?",
    ),
    Mistake(
        lambda s, y, w: (_each(s, y).sum(1) * w).mean(),
        "you divide by K, the slots: over how many cells do you add up in each?",
    ),
    Mistake(
        lambda s, y, w: (_each(s, y) * torch.where(y, w[:, None], 1)).mean(),
        "your weights act on the positives alone: which anchors of a slot does its weight multiply?",
    ),
    Mistake(lambda s, y, w: (_each(s, y) * w[:, None]).sum() / y.sum(), _POSITIVES),
    Mistake(lambda s, y, w: (_each(s, y) * w[:, None]).sum() / y.sum().clamp(min=1), _POSITIVES),
    Mistake(
        lambda s, y, w: (_each(s, y) * w[:, None]).sum() / w.sum() / s.shape[1],
        "you divide by the sum of the weights, so that doubling all of them changes nothing; by what should it be?",
    ),
    Mistake(
        lambda s, y, w: (_each(s, y) * (-w).exp()[:, None]).mean(),
        "you take exp(-w) of the weights: are they s or lambda here?",
    ),
    Mistake(
        lambda s, y, w: (_each(s, ~y) * w[:, None]).mean(),
        "a high score costs much where the label is True: which of the two logarithms belongs to a positive?",
    ),
    Mistake(
        lambda s, y, w: -(_each(s, y) * w[:, None]).mean(),
        "your loss is below 0: which sign has the logarithm of a probability?",
    ),
    Mistake(
        lambda s, y, w: (torch.nn.functional.softplus(-s) * y * w[:, None]).mean(),
        "an anchor whose label is False costs nothing in yours: what is its CE?",
    ),
    Mistake(lambda s, y, w: (_log_of(s.sigmoid(), y) * w[:, None]).mean(), _OVERFLOWS),
    Mistake(lambda s, y, w: _multiplied(s.sigmoid(), y, w), _OVERFLOWS),
    Mistake(lambda s, y, w: (_log_of(1 / (1 + (-s).exp()), y) * w[:, None]).mean(), _OVERFLOWS),
    Mistake(lambda s, y, w: _multiplied(1 / (1 + (-s).exp()), y, w), _OVERFLOWS),
    Mistake(
        lambda s, y, w: (_log_of(s.sigmoid(), y).clamp(max=100) * w[:, None]).mean(),
        "a score of 1000 on the wrong side costs just 100: who cuts the logarithm, and is there another way?",
    ),
    *(Mistake(partial(cut, least=10.0**-k), _CUT) for k in range(4, 11) for cut in (_probability_cut, _logarithm_cut)),
    Mistake(lambda s, y, w: (_log_of(s, y) * w[:, None]).mean(), _PROBABILITIES),
    Mistake(lambda s, y, w: _multiplied(s, y, w), _PROBABILITIES),
)


def _gradient_flows(function: Callable[..., Tensor]) -> str:
    """Through the scores and the weights, as much as in the solution, and finite also where scores are large."""
    arguments = {
        "scores": torch.tensor([[1.0, -2.0, 1000.0], [0.5, -1000.0, 1000.0]]),
        "labels": torch.tensor([[True, False, False], [False, True, True]]),
        "weights": torch.tensor([0.5, 2.0]),
    }
    try:
        return wrong_gradient(function, weighted_cross_entropy, arguments, "scores", "weights")
    except RuntimeError as problem:
        if "not differentiable" not in str(problem):
            raise
        return (
            "the value is right, but the weights are trained, too, and torch has no gradient for `weight=`: "
            "where else can you multiply by them?"
        )


_HELD_MISTAKES = (
    Mistake(
        lambda s, g, has, rate: s.clone(),
        "nothing moves: how does a slot with a positive learn?",
    ),
    Mistake(
        lambda s, g, has, rate: s - rate * g,
        "a slot without a positive has moved: where does `has_positive` come in?",
    ),
    Mistake(
        lambda s, g, has, rate: (s - rate * g) * has,
        "a slot without a positive falls to 0, a lambda of 1: where should it stay?",
    ),
    Mistake(
        lambda s, g, has, rate: torch.where(has, s + rate * g, s),
        "you go with the gradient, so that the loss rises: which way does it fall?",
    ),
    Mistake(
        lambda s, g, has, rate: torch.where(has, s, s - rate * g),
        "just those with a positive stand still: which ones should be held?",
    ),
    Mistake(
        lambda s, g, has, rate: torch.where(has, s - g, s),
        "the step is too long: what is `rate` for?",
    ),
    Mistake(
        lambda s, g, has, rate: torch.where(has, -rate * g, 0),
        "this is the step alone; where does a slot stand after it?",
    ),
    Mistake(
        lambda s, g, has, rate: torch.where(has, s - rate * g, s - rate * g.mean()),
        "a held slot goes along with the mean of all; how far should it go?",
    ),
    Mistake(
        lambda s, g, has, rate: torch.where(has, s * (1 - rate * g), s),
        "your step is longer where s is large, and there is none at s = 0: what is subtracted from s?",
    ),
)

AMS_LABELS = FunctionExercise(
    ams_labels,
    title="AMS",
    task="An anchor is positive only if it lies well *and* the network fits its object from there. Write `ams_labels`.",
    praise="the network itself now says which anchors see their object, and no label can be bent by the gradient.",
    hints=("Two numbers between 0 and 1 multiplied, one comparison.", "`detach()` cuts a tensor from its gradient."),
    difficulty=1,
    minutes=5,
    examples=_ams_examples,
    mistakes=_AMS_MISTAKES,
    also=_no_gradient,
)
WEIGHTED_CROSS_ENTROPY = FunctionExercise(
    weighted_cross_entropy,
    title="Weighted cross-entropy",
    task="Every anchor counts in the loss of the score, each slot with its own weight. Write `weighted_cross_entropy`.",
    praise="each slot counts by its weight, and a score of 1000 neither breaks the loss nor its gradient.",
    hints=(
        "-log(sigmoid(s)) = log(1 + exp(-s)), and -log(1 - sigmoid(s)) = log(1 + exp(s)). "
        "PyTorch has both without overflow: look up `softplus`, or `binary_cross_entropy_with_logits`.",
        "`weights[:, None]` has the shape (K, 1), so each row gets its weight. Then the mean over all K * M.",
    ),
    difficulty=2,
    minutes=15,
    examples=_cross_entropy_examples,
    mistakes=_CROSS_ENTROPY_MISTAKES,
    also=_gradient_flows,
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
    mistakes=_HELD_MISTAKES,
)
