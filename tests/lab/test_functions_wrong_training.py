"""Wrong functions of a training as learners write them, not as the exercises know them: each gets its own hint."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from wrong import Wrong, gets_its_own_hint

NAMES = ("clusters", "pono", "rescue", "ams_labels", "weighted_cross_entropy", "held_update", "learning_rate",
         "balanced_loss")  # fmt: skip
wrong = Wrong(NAMES)


@wrong("clusters", "given to object 0")
def _(ious):
    return torch.tensor([int(np.argmax(column)) for column in ious.T.tolist()])


@wrong("clusters", "no better")
def _(ious):
    owner = torch.full((ious.shape[1],), -1)
    best = torch.zeros(ious.shape[1])
    for g, row in enumerate(ious):
        better = (row >= best) & (row > 0)
        owner[better], best[better] = g, row[better]
    return owner


@wrong("clusters", "as AO does")
def _(ious):
    owner = ious.argmax(0)
    owner[ious.max(0).values <= 0.5] = -1
    return owner


@wrong("clusters", "along which dimension")
def _(ious):
    return ious.max(dim=1).indices


@wrong("clusters", "what else does `max` return")
def _(ious):
    return torch.tensor([max(column) for column in ious.T.tolist()])


def normalized(ious, owner, denominator):
    out = []
    for n, g in enumerate(owner.tolist()):
        out.append(0.0 if g < 0 else float(ious[g, n]) / float(denominator(g, n)))
    return torch.tensor(out)


@wrong("pono", "largest of the picture")
def _(ious, owner):
    return normalized(ious, owner, lambda g, n: ious.max())


@wrong("pono", "among which anchors is your maximum")
def _(ious, owner):
    return normalized(ious, owner, lambda g, n: ious[g].max())


@wrong("pono", "does its own object still win")
def _(ious, owner):
    own = torch.stack([row / row.max() if row.max() > 0 else row for row in ious])
    return own.max(0).values


@wrong("pono", "are they all as good")
def _(ious, owner):
    return (owner != -1).float()


@wrong("pono", "this is the plain overlap")
def _(ious, owner):
    return normalized(ious, owner, lambda g, n: 1)


@wrong("pono", "what is its O")
def _(ious, owner):
    return torch.where(owner == -1, 1.0, normalized(ious, owner, lambda g, n: ious[g][owner == g].max()))


@wrong("pono", "add up to 1")
def _(ious, owner):
    return normalized(ious, owner, lambda g, n: ious[g][owner == g].sum())


def saved(ious, owner, free_for, everyone=False, among=None):
    out, taken = owner.tolist(), set()
    before = list(out)
    for g, row in enumerate(ious.tolist()):
        if g in before and not everyone:
            continue
        free = [n for n in range(len(out)) if row[n] > 0 and free_for(n, g, before, taken)]
        if free:
            best = max(free, key=lambda n: row[n])
            out[best] = g
            taken.add(best)
    return torch.tensor(out)


def peaks(ious, before):
    found = set()
    for g in {g for g in before if g >= 0}:
        found.add(max((n for n in range(len(before)) if before[n] == g), key=lambda n: float(ious[g, n])))
    return found


@wrong("rescue", "took the best anchor of another")
def _(ious, owner):
    return saved(ious, owner, lambda n, g, before, taken: n not in taken)


@wrong("rescue", "is it still free by then")
def _(ious, owner):
    return saved(ious, owner, lambda n, g, before, taken: n not in peaks(ious, before))


@wrong("rescue", "who is to be rescued")
def _(ious, owner):
    return saved(ious, owner, lambda n, g, before, taken: n not in taken | peaks(ious, before), everyone=True)


@wrong("rescue", "which of it can they spare")
def _(ious, owner):
    return saved(ious, owner, lambda n, g, before, taken: before[n] == -1)


@wrong("rescue", "which anchors are in its cluster")
def _(ious, owner):
    with_cluster = set(owner.tolist()) - {-1}
    best = {int(ious[g].argmax()) for g in with_cluster}
    return saved(ious, owner, lambda n, g, before, taken: n not in taken | best)


@wrong("rescue", "that it does not overlap")
def _(ious, owner):
    owner, kept = owner.clone(), torch.zeros(len(owner), dtype=torch.bool)
    kept[list(peaks(ious, owner.tolist()))] = True
    for g in range(len(ious)):
        if g not in owner.tolist():
            best = (ious[g] * ~kept).argmax()
            owner[best], kept[best] = g, True
    return owner


@wrong("rescue", "how many anchors does it get")
def _(ious, owner):
    out, kept = owner.tolist(), peaks(ious, owner.tolist())
    for g in range(len(ious)):
        if g not in owner.tolist():
            for n in range(len(out)):
                if ious[g, n] > 0 and n not in kept:
                    out[n] = g
                    kept.add(n)
    return torch.tensor(out)


def each_pair(overlap, fit, question):
    return torch.tensor([question(a, b) for a, b in zip(overlap.tolist(), fit.tolist(), strict=True)], dtype=torch.bool)


@wrong("ams_labels", "you ask the network alone")
def _(overlap, predicted_iou):
    return each_pair(overlap, predicted_iou, lambda a, b: b > 0.5)


@wrong("ams_labels", "is the comparison of eq. 3 strict")
def _(overlap, predicted_iou):
    return each_pair(overlap, predicted_iou, lambda a, b: a * b >= 0.5)


@wrong("ams_labels", "what is their product")
def _(overlap, predicted_iou):
    return torch.minimum(overlap, predicted_iou) > 0.5


@wrong("ams_labels", "a gradient flows back through it")
def _(overlap, predicted_iou):
    return predicted_iou * overlap


@wrong("ams_labels", "without AMS")
def _(overlap, predicted_iou):
    return each_pair(overlap, predicted_iou, lambda a, b: a > 0.5)


@wrong("ams_labels", "one makes up for the other")
def _(overlap, predicted_iou):
    return torch.stack([overlap, predicted_iou]).mean(0) > 0.5


@wrong("ams_labels", "an empty list is float32: add `dtype=torch.bool`")
def _(overlap, predicted_iou):
    return torch.tensor([a * b > 0.5 for a, b in zip(overlap.tolist(), predicted_iou.tolist(), strict=True)])


def ce(scores, labels):
    return torch.where(labels, -F.logsigmoid(scores), -F.logsigmoid(-scores))


@wrong("weighted_cross_entropy", "act on the positives alone")
def _(scores, labels, weights):
    each = ce(scores, labels)
    return torch.where(labels, each * weights[:, None], each).mean()


@wrong("weighted_cross_entropy", "number of positives")
def _(scores, labels, weights):
    return (ce(scores, labels) * weights.unsqueeze(1)).sum() / max(1, int(labels.sum()))


@wrong("weighted_cross_entropy", "1 - sigmoid(1000) to a computer")
def _(scores, labels, weights):
    p, y = torch.sigmoid(scores), labels.float()
    loss = -y * torch.log(p) - (1 - y) * torch.log(1 - p)
    return (loss * weights[:, None]).mean()


@wrong("weighted_cross_entropy", "1 - sigmoid(1000) to a computer")
def _(scores, labels, weights):
    p = torch.sigmoid(scores)
    return -(weights[:, None] * torch.where(labels, p, 1 - p).log()).sum() / scores.numel()


@wrong("weighted_cross_entropy", "costs just 100")
def _(scores, labels, weights):
    each = F.binary_cross_entropy(scores.sigmoid(), labels.float(), reduction="none")
    return (each * weights[:, None]).mean()


@wrong("weighted_cross_entropy", "sum of the weights")
def _(scores, labels, weights):
    return (ce(scores, labels).mean(1) * (weights / weights.sum())).sum()


@wrong("weighted_cross_entropy", "over how many slots")
def _(scores, labels, weights):
    return (ce(scores, labels) * weights[:, None]).sum() / scores.shape[1]


@wrong("weighted_cross_entropy", "are they probabilities already")
def _(scores, labels, weights):
    return -(torch.where(labels, scores.log(), (1 - scores).log()) * weights[:, None]).mean()


@wrong("weighted_cross_entropy", "the weights play no part")
def _(scores, labels, weights):
    return F.binary_cross_entropy_with_logits(scores, labels.float())


@wrong("weighted_cross_entropy", "torch has no gradient for `weight=`")
def _(scores, labels, weights):
    return F.binary_cross_entropy_with_logits(scores, labels.float(), weights[:, None].expand_as(scores))


@wrong("weighted_cross_entropy", "no gradient flows back to the weights")
def _(scores, labels, weights):
    return (ce(scores, labels) * weights.detach()[:, None]).mean()


@wrong("weighted_cross_entropy", "no gradient flows back: do you leave")
def _(scores, labels, weights):
    return torch.tensor((ce(scores, labels) * weights[:, None]).mean().item())


@wrong("weighted_cross_entropy", "a gradient flows; `float(...)`")
def _(scores, labels, weights):
    return (ce(scores, labels) * weights[:, None]).mean().item()


@wrong("weighted_cross_entropy", "where is inf * 0")
def _(scores, labels, weights):
    x = torch.where(labels, -scores, scores)
    each = torch.where(x > 20, x, torch.log(1 + torch.exp(x)))
    return (each * weights[:, None]).mean()


@wrong("weighted_cross_entropy", "no gradient flows through numpy")
def _(scores, labels, weights):
    return (ce(scores, labels) * torch.from_numpy(weights.numpy())[:, None]).mean()


@wrong("weighted_cross_entropy", "your weights run along the cells")
def _(scores, labels, weights):
    return (weights * ce(scores, labels)).mean()


@wrong("held_update", "where does `has_positive` come in")
def _(s, gradient, has_positive, rate):
    return torch.tensor([a - rate * g for a, g in zip(s.tolist(), gradient.tolist(), strict=True)])


@wrong("held_update", "falls to 0")
def _(s, gradient, has_positive, rate):
    out = torch.zeros_like(s)
    out[has_positive] = s[has_positive] - rate * gradient[has_positive]
    return out


@wrong("held_update", "which way does it fall")
def _(s, gradient, has_positive, rate):
    return s + rate * gradient * has_positive


@wrong("held_update", "just those with a positive stand still")
def _(s, gradient, has_positive, rate):
    return s - rate * gradient * ~has_positive


@wrong("held_update", "what is `rate` for")
def _(s, gradient, has_positive, rate):
    return s - gradient * has_positive


@wrong("held_update", "where does a slot stand after it")
def _(s, gradient, has_positive, rate):
    return -rate * gradient * has_positive


@wrong("learning_rate", "what is done, or what is left")
def _(step, steps, base, power):
    return base * math.pow(step / steps, power)


@wrong("learning_rate", "of what is the power taken")
def _(step, steps, base, power):
    return base - base * (step / steps) ** power


@wrong("learning_rate", "what stands inside the brackets")
def _(step, steps, base, power):
    return math.pow(base * (steps - step) / steps, power)


@wrong("learning_rate", "whatever the power")
def _(step, steps, base, power):
    return base * (steps - step) / steps


@wrong("learning_rate", "what is 1 // 2")
def _(step, steps, base, power):
    return base * (1 - int(step / steps)) ** power


@wrong("learning_rate", "how many steps are done at step 0")
def _(step, steps, base, power):
    return base * max((steps - step - 1) / steps, 0) ** power


@wrong("weighted_cross_entropy", "what should a score of 1000")
def _(scores, labels, weights):
    p = scores.sigmoid().clamp(1e-7, 1 - 1e-7)
    return (weights.unsqueeze(1) * -torch.where(labels, p, 1 - p).log()).mean()


@wrong("weighted_cross_entropy", "what should a score of 1000")
def _(scores, labels, weights):
    p = torch.where(labels, scores.sigmoid(), 1 - scores.sigmoid())
    return -(weights.unsqueeze(1) * (p + 1e-8).log()).mean()


@wrong("balanced_loss", "what is 0 / 0")
def _(fit, slot, cross_entropy, s, s_anchor):
    loc = torch.exp(-s[0]) * (torch.exp(-s_anchor[0])[slot] * (1 - fit) ** 2).mean()
    return torch.stack([loc, torch.exp(-s[1]) * cross_entropy, s.sum() + s_anchor.sum() / s_anchor.shape[1]])


@wrong("balanced_loss", "lacks the square")
def _(fit, slot, cross_entropy, s, s_anchor):
    total = sum(float(1 - f) * math.exp(-s_anchor[0, k]) for f, k in zip(fit, slot, strict=True))
    loc = total * math.exp(-s[0]) / max(1, len(fit))
    return torch.tensor([loc, float(cross_entropy) * math.exp(-s[1]), float(s.sum() + s_anchor.mean(1).sum())])


@wrong("balanced_loss", "what is 1 / (CA)")
def _(fit, slot, cross_entropy, s, s_anchor):
    lam = torch.exp(-s)
    loc = lam[0] / max(1, len(fit)) * torch.exp(-s_anchor[0, slot]).mul((1 - fit) ** 2).sum()
    return torch.stack([loc, lam[1] * cross_entropy, s.sum() + s_anchor[0].sum() + s_anchor[1].sum()])


@wrong("balanced_loss", "is s the logarithm")
def _(fit, slot, cross_entropy, s, s_anchor):
    loc = s[0].exp() * (s_anchor[0].exp().gather(0, slot) * (1 - fit) ** 2).sum() / max(1, len(fit))
    return torch.stack([loc, s[1].exp() * cross_entropy, s.sum() + s_anchor.mean(1).sum()])


@wrong("balanced_loss", "leave torch on the way")
def _(fit, slot, cross_entropy, s, s_anchor):
    loc = sum(((1 - f) ** 2 * math.exp(-s_anchor[0, k])) for f, k in zip(fit.tolist(), slot.tolist(), strict=True))
    loc *= math.exp(-s[0]) / max(1, len(fit))
    return torch.tensor([loc, float(cross_entropy) * math.exp(-s[1]), float(s.sum() + s_anchor.mean(1).sum())])


@pytest.mark.parametrize(("name", "hint", "function"), wrong.cases())
def test_it_gets_its_own_hint(name: str, hint: str, function: Callable[..., Any]) -> None:
    gets_its_own_hint(name, hint, function)


def test_each_has_four_at_least_with_hints_that_differ() -> None:
    assert wrong.with_few_hints() == set()
