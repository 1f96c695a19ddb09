"""The loss beside one cross-entropy over the same scores, and its memory beside a loss that is dense throughout."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from lapnet_core.assign import POSITIVE_THRESHOLD, assign
from lapnet_core.bench.assignment import COCO, OTHERS, Objects
from lapnet_core.bench.line import Line
from lapnet_core.boxes import MAX_LOG_SCALE, STRIDE, cell_centers, paired_iou
from lapnet_core.data import Target
from lapnet_core.losses import LapNetLoss

ENTROPY = 1.3
"""Limit: times one cross-entropy."""


def lines(quick: bool) -> Iterator[Line]:
    """AMS and all weights learned, as by default. Backward goes to the scores, or to scores and offsets as in a
    training; the gradient of the offsets is four times as large as the scores, and 0 almost everywhere."""
    for objects in (COCO,) if quick else (OTHERS[0], COCO):
        shapes, *_ = objects.args
        scores, offsets = outputs(objects)
        targets, loss = targets_of(objects), LapNetLoss(*shapes.shape[:2]).to(shapes.device)
        zeros, times = torch.zeros_like(scores), 5 if quick else 15

        ours = partial(total, loss, shapes, targets, scores)
        entropy = partial(F.binary_cross_entropy_with_logits, scores, zeros)
        one, against = partial(backward, entropy, scores), "one cross-entropy"
        yield Line(f"loss, forward, {objects}", against, partial(ours, offsets), entropy, ENTROPY, times)
        to_scores = partial(backward, partial(ours, offsets.detach()), scores)
        yield Line(f"loss, forward and backward to the scores, {objects}", against, to_scores, one, ENTROPY, times)
        whole, what = partial(ours, offsets), f"loss, forward and backward to scores and offsets, {objects}"
        yield Line(what, against, partial(backward, whole, scores, offsets), one, ENTROPY, times)
        dense = partial(dense_loss, objects, scores, offsets)
        plain = LapNetLoss(*shapes.shape[:2], balance="ones").to(shapes.device)
        check_same(total(plain, shapes, targets, scores, offsets), dense())
        taken, dense_taken = (partial(peak_memory, partial(backward, work, scores, offsets)) for work in (whole, dense))
        every = "every anchor's box, IoU and label written out"
        yield Line(f"memory of the {what}", every, taken, dense_taken, unit="MB")


def total(loss: LapNetLoss, shapes: Tensor, targets: list[Target], scores: Tensor, offsets: Tensor) -> Tensor:
    """The loss of a batch."""
    return loss(scores, offsets, shapes, targets).total


def outputs(objects: Objects) -> tuple[Tensor, Tensor]:
    """Scores [B, C, A, H, W] and offsets [B, C, A, 4, H, W] of a network that does not exist."""
    shapes, grid, *_, images = objects.args
    g = torch.Generator().manual_seed(1)
    scores = torch.randn(images, *shapes.shape[:2], *grid, generator=g).to(shapes.device)
    offsets = (torch.randn(images, *shapes.shape[:2], 4, *grid, generator=g) * 0.1).to(shapes.device)
    return scores.requires_grad_(), offsets.requires_grad_()


def targets_of(objects: Objects) -> list[Target]:
    """The objects by image."""
    _, grid, boxes, labels, index, images = objects.args
    size = (grid[0] * STRIDE, grid[1] * STRIDE)
    return [
        Target(boxes=boxes[index == b], labels=labels[index == b],
               difficult=torch.zeros_like(labels[index == b], dtype=torch.bool), image_id=b, original_size=size)
        for b in range(images)
    ]  # fmt: skip


def backward(work: Callable[[], Tensor], *inputs: Tensor) -> tuple[Tensor, ...]:
    """Forward, and the gradients."""
    return torch.autograd.grad(work(), inputs)


def dense_loss(objects: Objects, scores: Tensor, offsets: Tensor) -> Tensor:
    """The loss with all weights 1, as one would write it first: both losses at every anchor, then masked."""
    shapes, grid, boxes, labels, index, images = objects.args
    assigned = assign(shapes, grid, boxes, labels, index, images)
    overlap, owner = assigned.overlap, assigned.object_index
    down, across = (cell_centers(cells) for cells in grid)
    center = torch.stack((across.expand(grid), down[:, None].expand(grid)), -1).to(boxes.device)
    own, size = offsets.movedim(3, -1), shapes[:, :, None, None]
    middle, half = center + own[..., :2] * size, size * own[..., 2:].clamp(max=MAX_LOG_SCALE).exp() / 2
    fit = paired_iou(torch.cat((middle - half, middle + half), -1), boxes[owner.clamp(min=0)])
    positive = overlap > POSITIVE_THRESHOLD
    is_one = positive & (overlap * fit.detach() > POSITIVE_THRESHOLD)
    located = torch.where(positive, (1 - fit) ** 2, 0).sum() / positive.sum().clamp(min=1)
    return located + F.binary_cross_entropy_with_logits(scores, is_one.to(scores.dtype))


def check_same(ours: Tensor, other: Tensor) -> None:
    """ValueError where they differ by more than their rounding."""
    if not torch.allclose(ours, other, rtol=1e-4):
        raise ValueError(f"the loss and its dense form disagree: {ours.item()} and {other.item()}")


def peak_memory(work: Callable[[], object]) -> float:
    """Most MB that the tensors of a call take at once, beside those that were there before: PyTorch's own account of
    what its allocator gave and got back."""
    if torch.cuda.is_available():
        work()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it would report on stderr that there is no GPU
    work()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        work()
    results: Any = seen.profiler
    events = [event for event in results.kineto_results.events() if event.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return max(accumulate(event.nbytes() for event in events)) / 1e6
