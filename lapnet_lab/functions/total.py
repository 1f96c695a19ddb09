"""The loss as a whole (paper 3.3): notebook 12."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Generator, Tensor

from lapnet_lab.exercise import Example, FunctionExercise, Mistake
from lapnet_lab.functions.gradients import wrong_gradient


def balanced_loss(fit: Tensor, slot: Tensor, cross_entropy: Tensor, s: Tensor, s_anchor: Tensor) -> Tensor:
    """The three parts of LapNet's loss of a batch (eq. 2 and 5 to 7 of the paper), where lambda is exp(-s).

    L_loc = lambda_loc / P * sum over p of lambda_loc[slot[p]] * (1 - fit[p])^2, and 0 where P is 0
    L_cls = lambda_cls * cross_entropy
    L_reg = s_loc + s_cls + mean over k of (s_loc[k] + s_cls[k])

    fit: (P,), O_hat of each positive: the IoU of the predicted box with the object of the anchor; P can be 0
    slot: (P,) int64, the anchor slot of each, from 0 to K - 1
    cross_entropy: one number, what `weighted_cross_entropy` returns: the weights of the slots are in it
    s: (2,), s_loc and s_cls of the two losses
    s_anchor: (2, K), s_loc[k] and s_cls[k] of the K slots
    returns: (3,), L_loc, L_cls and L_reg. All but slot is trained through it
    """
    lam, lam_anchor = (-s).exp(), (-s_anchor).exp()
    loc = lam[0] * (lam_anchor[0, slot] * (1 - fit) ** 2).sum() / max(1, len(fit))
    cls = lam[1] * cross_entropy
    reg = s.sum() + s_anchor.sum(0).mean()
    return torch.stack([loc, cls, reg])


def _examples(generator: Generator) -> list[Example]:
    by_hand = [
        ([0.5], [0], 0.5, [0.0, 0.0], [[0.0], [0.0]]),
        ([1.0], [0], 0.5, [0.0, 0.0], [[0.0], [0.0]]),
        ([0.0], [0], 0.0, [0.0, 0.0], [[0.0], [0.0]]),
        ([0.5], [0], 0.5, [1.0, 0.0], [[0.0], [0.0]]),
        ([0.5], [0], 0.5, [0.0, 1.0], [[0.0], [0.0]]),
        ([0.5], [0], 0.5, [0.0, 0.0], [[1.0], [0.0]]),
        ([0.5], [0], 0.5, [0.0, 0.0], [[0.0], [1.0]]),
        ([0.5, 0.9], [0, 0], 2.0, [0.0, 0.0], [[0.0, 0.0], [0.0, 0.0]]),
        ([0.5, 0.9], [1, 0], 2.0, [-1.0, 2.0], [[0.0, -2.0], [1.0, 0.0]]),
        ([0.5, 0.5, 0.5], [1, 1, 0], 2.0, [0.0, 0.0], [[0.0, -2.0, 4.0], [1.0, 0.0, -1.0]]),
        ([], [], 0.25, [1.0, -1.0], [[1.0, 2.0], [0.0, -3.0]]),
    ]
    examples: list[Example] = [
        (torch.tensor(fit), torch.tensor(slot, dtype=torch.int64), *map(torch.tensor, rest))
        for fit, slot, *rest in by_hand
    ]
    for k in range(12):
        count, slots = 1 + k % 6, 1 + k % 4
        fit, slot = torch.rand(count, generator=generator), torch.randint(0, slots, (count,), generator=generator)
        s, s_anchor = torch.randn(2, generator=generator), torch.randn(2, slots, generator=generator)
        examples.append((fit, slot, torch.rand((), generator=generator) * 3, s, s_anchor))
    return examples


def _parts(
    fit: Tensor, slot: Tensor, cross_entropy: Tensor, s: Tensor, s_anchor: Tensor, *,
    misfit: Callable[[Tensor], Tensor] = lambda fit: (1 - fit) ** 2,
    weigh: Callable[[Tensor], Tensor] = lambda s: (-s).exp(),
    slots: Callable[[Tensor, Tensor], Tensor] = lambda lam_anchor, slot: lam_anchor[0, slot],
    by: Callable[[Tensor, Tensor], float] = lambda fit, _slots: max(1, len(fit)),
    losses: tuple[int | None, int | None] = (0, 1),
    regular: Callable[[Tensor, Tensor], Tensor] = lambda s, s_anchor: s.sum() + s_anchor.sum(0).mean(),
) -> Tensor:  # fmt: skip
    """`balanced_loss`, with one thing changed. losses: which lambda stands before L_loc and L_cls, or none."""
    lam, lam_anchor = weigh(s), weigh(s_anchor)
    before = [torch.ones(()) if which is None else lam[which] for which in losses]
    loc = before[0] * (slots(lam_anchor, slot) * misfit(fit)).sum() / by(fit, s_anchor[0])
    return torch.stack([loc, before[1] * cross_entropy, regular(s, s_anchor)])


_MISTAKES = (
    *(
        Mistake(partial(_parts, **{name: wrong}), says)
        for name, wrong, says in (
            ("misfit", lambda fit: 1 - fit, "your L_loc lacks the square of eq. 2: which misfits does it make small?"),
            ("misfit", lambda fit: fit**2, "a box that fits perfectly costs most in yours: what of fit is squared?"),
            ("misfit", lambda fit: 1 - fit**2, "you square the fit, and then take it from 1: which comes first?"),
            ("weigh", torch.exp, "you take exp(s): is s the logarithm of lambda, or of 1 / lambda?"),
            ("weigh", lambda s: 1 / s, "lambda is not 1 / s: of what is s the logarithm?"),
            ("weigh", lambda s: s, "you multiply by s itself, which can be below 0: how does lambda come of it?"),
            (
                "slots",
                lambda _lam, slot: torch.ones(len(slot)),
                "the slots play no part in your L_loc: whose weight is before each square?",
            ),
            ("slots", lambda lam, slot: lam[1, slot], "your L_loc has the weights of the classification: which row?"),
            (
                "slots",
                lambda lam, _slot: lam[0].mean(),
                "each positive has the mean weight in yours: whose is its own?",
            ),
            (
                "by",
                lambda _fit, _k: 1,
                "your L_loc grows with the number of positives: by what does the contract divide?",
            ),
            ("by", lambda _fit, k: len(k), "you divide L_loc by K, the slots: what is averaged over in eq. 5?"),
            ("by", lambda fit, _k: len(fit), "without a positive your L_loc is nan: what is 0 / 0?"),
            ("losses", (None, 1), "lambda_loc plays no part in your L_loc: what stands before the sum?"),
            ("losses", (0, None), "lambda_cls plays no part in your L_cls: is it in `cross_entropy` already?"),
            ("losses", (1, 0), "your two losses have each other's lambda: in which order are they in s?"),
            ("regular", lambda s, _anchor: s.sum(), "your L_reg lacks the slots: what keeps their weights above 0?"),
            (
                "regular",
                lambda _s, a: a.sum(0).mean(),
                "your L_reg lacks s_loc and s_cls: what holds these two?",
            ),
            (
                "regular",
                lambda s, a: s.sum() + a.sum(),
                "you add up the slots in L_reg: what is 1 / (CA) in eq. 7?",
            ),
            (
                "regular",
                lambda s, a: s.sum() + a.mean(),
                "over how many numbers do you take the mean in L_reg?",
            ),
            (
                "regular",
                lambda s, a: s.mean() + a.mean(),
                "your L_reg is half of what it should be: which means are sums?",
            ),
            ("regular", lambda s, a: -s.sum() - a.sum(0).mean(), "your L_reg rewards small weights: which sign has s?"),
        )
    ),
    Mistake(
        lambda *given: balanced_loss(*given).sum(),
        "this is the loss itself, the sum; where are its three parts, one beside the other?",
    ),
)


def _trained(function: Callable[..., Tensor]) -> str:
    arguments = {
        "fit": torch.tensor([0.3, 0.9, 0.6]), "slot": torch.tensor([1, 0, 1]), "cross_entropy": torch.tensor(0.7),
        "s": torch.tensor([0.5, -1.0]), "s_anchor": torch.tensor([[1.0, -0.5], [0.2, 0.4]]),
    }  # fmt: skip
    return wrong_gradient(function, balanced_loss, arguments, "fit", "cross_entropy", "s", "s_anchor")


BALANCED_LOSS = FunctionExercise(
    balanced_loss,
    title="The whole loss",
    task="Boxes, scores and weights: all that LapNet minimises. Write `balanced_loss`, its three parts.",
    praise="that is all that is minimised: the network and its weights go down the same three terms.",
    hints=(
        "First `lam = (-s).exp()`, and the same of `s_anchor`. Then one line for each part.",
        "`lam_anchor[0, slot]` has the weight of each positive. `max(1, len(fit))` is never 0. "
        "`torch.stack([loc, cls, reg])` keeps the gradients.",
    ),
    difficulty=2,
    minutes=15,
    examples=_examples,
    mistakes=_MISTAKES,
    also=_trained,
)
