"""A right function passes however it is written: loops, calls of a library, numpy, float64, another equation."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import box_iou
from torchvision.ops import nms as torchvision_nms

from lapnet_lab.functions import FUNCTIONS
from lapnet_lab.tries import try_out

RIGHT: dict[str, list[Callable[..., Any]]] = {name: [] for name in FUNCTIONS}


def right(name: str) -> Callable[[Callable[..., Any]], None]:
    """Marks a right way to write the function of this name."""
    return RIGHT[name].append


def one_iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (both - width * height)


@right("iou")
def _(a, b):
    out = torch.zeros(len(a), len(b))
    for n, first in enumerate(a.tolist()):
        for m, second in enumerate(b.tolist()):
            out[n, m] = one_iou(first, second)
    return out


@right("iou")
def _(a, b):
    return box_iou(a.double(), b.double())


@right("iou")
def _(a, b):
    x1, y1, x2, y2 = a.numpy().astype(np.float64).T[:, :, None]
    u1, v1, u2, v2 = b.numpy().astype(np.float64).T[:, None, :]
    inter = np.clip(np.minimum(x2, u2) - np.maximum(x1, u1), 0, None)
    inter = inter * np.clip(np.minimum(y2, v2) - np.maximum(y1, v1), 0, None)
    return torch.from_numpy(inter / ((x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - inter + 1e-9))


@right("kmeans_step")
def _(sizes, centers):
    clusters = [[] for _ in centers]
    for w, h in sizes.tolist():
        likeness = []
        for cw, ch in centers.tolist():
            shared = min(w, cw) * min(h, ch)
            likeness.append(shared / (w * h + cw * ch - shared))
        clusters[likeness.index(max(likeness))].append((w, h))
    return torch.tensor([
        [sum(w for w, _ in own) / len(own), sum(h for _, h in own) / len(own)] if own else centers[k].tolist()
        for k, own in enumerate(clusters)
    ])  # fmt: skip


@right("kmeans_step")
def _(sizes, centers):
    corner = torch.zeros_like(sizes)
    near = box_iou(torch.cat([corner, sizes], 1), torch.cat([torch.zeros_like(centers), centers], 1)).argmax(1)
    member = F.one_hot(near, len(centers)).T.float()
    count = member.sum(1, keepdim=True)
    return torch.where(count > 0, member @ sizes / count.clamp(min=1), centers)


@right("kmeans_step")
def _(sizes, centers):
    half_s, half_c = sizes.double() / 2, centers.double() / 2  # centred boxes, as distance 1 - IoU
    distance = 1 - box_iou(torch.cat([-half_s, half_s], 1), torch.cat([-half_c, half_c], 1)).numpy()
    owner = distance.argmin(axis=1)
    out = centers.numpy().copy()
    for k in set(owner.tolist()):
        out[k] = sizes.numpy()[owner == k].mean(axis=0)
    return torch.from_numpy(out)


@right("clusters")
def _(ious):
    owner = []
    for n in range(ious.shape[1]):
        best, who = 0, -1
        for g in range(len(ious)):
            if ious[g, n] > best:
                best, who = ious[g, n], g
        owner.append(who)
    return torch.tensor(owner)


@right("clusters")
def _(ious):
    owner = ious.argmax(dim=0)
    owner[(ious == 0).all(dim=0)] = -1
    return owner


@right("clusters")
def _(ious):
    array = ious.numpy()
    return torch.from_numpy(np.where(array.max(0) > 0, array.argmax(0), -1).astype(np.int32))


@right("pono")
def _(ious, owner):
    out = []
    for n, g in enumerate(owner.tolist()):
        if g < 0:
            out.append(0.0)
        else:
            peak = max(ious[g, m].item() for m in range(len(owner)) if owner[m] == g)
            out.append(ious[g, n].item() / peak)
    return torch.tensor(out)


@right("pono")
def _(ious, owner):
    member = owner[None] == torch.arange(len(ious))[:, None]
    inside = ious.double() * member
    return (inside / inside.amax(1, keepdim=True).clamp(min=1e-12)).sum(0)


@right("pono")
def _(ious, owner):
    value = ious.max(0).values  # of a rescued anchor the rival's IoU, but that is the whole cluster
    peaks = torch.zeros(len(ious) + 1)
    peaks.scatter_reduce_(0, owner % (len(ious) + 1), value, "amax")
    return torch.where(owner >= 0, value / peaks[owner], 0.0)


@right("rescue")
def _(ious, owner):
    out, values = owner.tolist(), ious.tolist()
    before, taken = list(out), set()
    for g, row in enumerate(values):
        mine = [n for n in range(len(out)) if before[n] == g]
        if mine:
            taken.add(max(mine, key=lambda n: row[n]))
    for g, row in enumerate(values):
        if g in before:
            continue
        free = [n for n in range(len(out)) if n not in taken and row[n] > 0]
        if free:
            best = max(free, key=lambda n: row[n])
            out[best] = g
            taken.add(best)
    return torch.tensor(out)


@right("rescue")
def _(ious, owner):
    owner = owner.clone()
    for g in range(len(ious)):
        if (owner == g).any():
            continue
        order = ious[g].argsort(descending=True, stable=True)
        for n in order[ious[g][order] > 0]:
            rival = int(owner[n])  # it always has one: who else overlaps this anchor was there before
            if rival >= 0 and n != torch.where(owner == rival, ious[rival], -1).argmax():
                owner[n] = g
                break
    return owner


@right("ams_labels")
def _(overlap, predicted_iou):
    return torch.tensor(
        [a * b > 0.5 for a, b in zip(overlap.tolist(), predicted_iou.tolist(), strict=True)], dtype=torch.bool
    )


@right("ams_labels")
def _(overlap, predicted_iou):
    with torch.no_grad():
        return torch.mul(overlap.double(), predicted_iou).gt(0.5)


@right("ams_labels")
def _(overlap, predicted_iou):
    return torch.from_numpy(overlap.numpy() * predicted_iou.detach().numpy() > 0.5)


@right("weighted_cross_entropy")
def _(scores, labels, weights):
    each = F.binary_cross_entropy_with_logits(scores, labels.float(), reduction="none")
    return (each.sum(1) * weights).sum() / labels.numel()


@right("weighted_cross_entropy")
def _(scores, labels, weights):
    total = torch.zeros(())
    for k in range(len(scores)):
        for n in range(scores.shape[1]):
            total = total - weights[k] * F.logsigmoid(scores[k, n] if labels[k, n] else -scores[k, n])
    return total / (len(scores) * scores.shape[1])


@right("weighted_cross_entropy")
def _(scores, labels, weights):
    s, y = scores.double(), labels.double()
    each = s.clamp(min=0) - s * y + torch.log1p(torch.exp(-s.abs()))
    return torch.einsum("k,kn->", weights.double(), each) / y.numel()


@right("held_update")
def _(s, gradient, has_positive, rate):
    new = s.clone()
    new[has_positive] -= rate * gradient[has_positive]
    return new


@right("held_update")
def _(s, gradient, has_positive, rate):
    return s - rate * gradient * has_positive.float()


@right("held_update")
def _(s, gradient, has_positive, rate):
    rows = zip(s.tolist(), gradient.tolist(), has_positive.tolist(), strict=True)
    return torch.tensor([a - rate * b if has else a for a, b, has in rows], dtype=torch.float64)


@right("decode")
def _(offsets, anchors):
    out = []
    for (dx, dy, dw, dh), (cx, cy, w, h) in zip(offsets, anchors.tolist(), strict=True):
        x, y = cx + dx * w, cy + dy * h
        w, h = w * dw.clamp(max=math.log(62.5)).exp(), h * min(dh, torch.tensor(4.135)).exp()
        out.append(torch.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2]))
    return torch.stack(out) if out else offsets


@right("decode")
def _(offsets, anchors):
    dx, dy, dw, dh = offsets.double().unbind(1)
    cx, cy, w, h = anchors.double().unbind(1)
    cx, cy = cx + dx * w, cy + dy * h
    w, h = w * dw.exp().clamp(max=62.5), h * dh.exp().clamp(max=62.5)
    return torch.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], dim=-1)


@right("nms")
def _(boxes, scores, threshold):
    return torchvision_nms(boxes, scores, threshold)


@right("nms")
def _(boxes, scores, threshold):
    kept = []
    for n in sorted(range(len(scores)), key=lambda k: -scores[k].item()):
        if all(one_iou(boxes[n].tolist(), boxes[k].tolist()) <= threshold for k in kept):
            kept.append(n)
    return torch.tensor(kept, dtype=torch.long)


@right("nms")
def _(boxes, scores, threshold):
    scores, kept = scores.double().clone(), []
    covered = box_iou(boxes, boxes) > threshold
    while len(scores) and scores.max() > -math.inf:
        best = int(scores.argmax())
        kept.append(best)
        scores[covered[best]] = -math.inf
    return torch.from_numpy(np.array(kept, dtype=np.int64))


@right("match")
def _(ious, threshold):
    hits, taken = [], []
    for row in ious.tolist():
        best = row.index(max(row)) if row else -1
        hits.append(bool(row) and row[best] >= threshold and best not in taken)
        if hits[-1]:
            taken.append(best)
    return torch.tensor(hits, dtype=torch.bool)


@right("match")
def _(ious, threshold):
    hit = torch.zeros(ious.shape[0], dtype=torch.bool)
    if not ious.numel():
        return hit
    best, who = ious.max(1)
    for g in who.unique():
        mine = ((who == g) & (best >= threshold)).nonzero().flatten()
        hit[mine[:1]] = True
    return hit


@right("match")
def _(ious, threshold):
    ious, hit = ious.clone(), torch.zeros(len(ious), dtype=torch.bool)
    free = torch.ones(ious.shape[1], dtype=torch.bool)
    for d in range(len(ious)):
        if len(free) and free[g := ious[d].argmax()]:
            hit[d] = ious[d].max() >= threshold
            free[g] = ~hit[d]
    return hit


@right("average_precision")
def _(hits, num_objects):
    precision, found = [], 0
    for k, hit in enumerate(hits.tolist()):
        found += hit
        precision.append(found / (k + 1))
    area, best = 0.0, 0.0
    for hit, value in reversed(list(zip(hits.tolist(), precision, strict=True))):
        best = max(best, value)
        area += hit * best / num_objects
    return area


@right("average_precision")
def _(hits, num_objects):
    """As in the development kit: with both ends added, and the widths of the steps."""
    found = np.cumsum(hits.numpy())
    recall = np.concatenate([[0], found / num_objects, [1]])
    precision = np.concatenate([[0], found / np.arange(1, len(hits) + 1), [0]])
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return np.sum(np.diff(recall) * precision[1:])


@right("average_precision")
def _(hits, num_objects):
    if not hits.any():
        return 0
    precision = hits.double().cumsum(0) / torch.arange(1, len(hits) + 1)
    return torch.stack([precision[k:].max() for k in range(len(hits)) if hits[k]]).sum() / num_objects


@right("learning_rate")
def _(step, steps, base, power):
    return base * math.pow((steps - step) / steps, power)


@right("learning_rate")
def _(step, steps, base, power):
    left = torch.tensor(1 - step / steps, dtype=torch.float64)
    return base * left**power


@right("learning_rate")
def _(step, steps, base, power):
    return float(np.float64(base) * np.power(1 - np.divide(step, steps), power))


@right("balanced_loss")
def _(fit, slot, cross_entropy, s, s_anchor):
    loc = torch.zeros(())
    for p in range(len(fit)):
        loc = loc + torch.exp(-s[0] - s_anchor[0][slot[p]]) * (1 - fit[p]).square()
    reg = s[0] + s[1] + (s_anchor[0].sum() + s_anchor[1].sum()) / s_anchor.shape[1]
    return torch.stack((loc / (len(fit) or 1), cross_entropy / s[1].exp(), reg))


@right("balanced_loss")
def _(fit, slot, cross_entropy, s, s_anchor):
    s, s_anchor = s.double(), s_anchor.double()
    per_slot = torch.zeros(s_anchor.shape[1], dtype=torch.float64).index_add(0, slot, (fit.double() - 1) ** 2)
    loc = (s_anchor[0].neg().exp() * per_slot).sum() / max(len(slot), 1)
    losses = s.neg().exp() * torch.stack([loc, cross_entropy.double()])
    return torch.cat([losses, (s.sum() + s_anchor.mean(1).sum())[None]])


CASES = [pytest.param(name, way, id=f"{name}-{k}") for name, ways in RIGHT.items() for k, way in enumerate(ways)]


@pytest.mark.parametrize(("name", "way"), CASES)
def test_it_passes_however_it_is_written(name: str, way: Callable[..., Any]) -> None:
    found = try_out(FUNCTIONS[name], way)
    assert found is None, (found.message, found.example, found.expected, found.got)


def test_each_has_two_other_ways_at_least() -> None:
    assert {name: len(ways) for name, ways in RIGHT.items() if len(ways) < 2} == {}
