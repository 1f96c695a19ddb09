"""One step of a training (paper 4): learning rate, forward, backward, clip, update."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lapnet_core.config import TrainConfig
from lapnet_core.data import Target
from lapnet_core.method import Losses, Method


def make_optimizer(method: Method, config: TrainConfig) -> torch.optim.SGD:
    """SGD over the method's groups, each with the multiplier of its learning rate. All of it in one kernel, which gives
    the same to the bit."""
    return torch.optim.SGD(method.parameter_groups(config), lr=config.lr, momentum=config.momentum, fused=True)


def learning_rate(config: TrainConfig, step: int) -> float:
    """Polynomial decay to zero (paper 4), after an optional linear warm-up."""
    warm = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    return config.lr * warm * (1 - step / config.steps) ** config.power


def train_step(
    method: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, targets: Sequence[Target],
    config: TrainConfig, step: int, on_part: Callable[[], object] | None = None,
) -> Losses:  # fmt: skip
    """One step: forward, backward, clip, update. `method` is a `Method`, or DDP around one.

    With `config.accumulate` the images go through it in so many parts, one after the other, and the step is that on the
    mean of their losses. It is not quite the loss of the whole batch: each part is normalised by its own BatchNorm, and
    counts its own objects and anchor slots. `on_part` is called between them.

    Raises:
        FloatingPointError: the loss is not finite; the parameters are left as they were.
    """
    lr = learning_rate(config, step)
    for group in optimizer.param_groups:
        group["lr"] = lr * group["multiplier"]
    optimizer.zero_grad(set_to_none=True)
    count = min(config.accumulate, len(images))  # fewer where images could not be read
    ends = [len(images) * k // count for k in range(count + 1)]
    done: list[tuple[float, Losses]] = []
    for start, end in pairwise(ends):
        waits = end < len(images) and isinstance(method, DistributedDataParallel)
        with method.no_sync() if waits else nullcontext():  # pyright: ignore[reportCallIssue]
            with torch.autocast(images.device.type, torch.bfloat16, enabled=config.amp):
                losses: Losses = method(images[start:end], targets[start:end])
            check_finite(losses, step)
            share = (end - start) / len(images)
            (losses.total * share if count > 1 else losses.total).backward()
        done.append((share, losses))
        if on_part and end < len(images):
            on_part()
    clip_gradients(optimizer, config.clip_norm)
    optimizer.step()
    return mean_losses(done)


def check_finite(losses: Losses, step: int) -> None:
    """FloatingPointError, with the parts of the loss, where it is not finite."""
    if not bool(losses.total.isfinite()):
        parts = ", ".join(f"{name} {part.item()}" for name, part in losses.parts.items())
        raise FloatingPointError(
            f"step {step}: the loss is {losses.total.item()} ({parts}); try a smaller lr, warmup or clip_norm. "
            "Checkpoints stay as they are."
        )


def mean_losses(done: Sequence[tuple[float, Losses]]) -> Losses:
    """The losses of a batch from those of its parts and their shares of its images."""
    if len(done) == 1:
        return done[0][1]
    names = done[0][1].parts
    total = torch.stack([share * losses.total for share, losses in done]).sum()
    return Losses(total, {n: torch.stack([share * losses.parts[n] for share, losses in done]).sum() for n in names})


def clip_gradients(optimizer: torch.optim.Optimizer, norm: float) -> None:
    """Groups with a `max_step` change by no more than that in a plain step, lr * gradient; the others are clipped to
    `norm` together, where it is not 0."""
    together = [p for group in optimizer.param_groups if group.get("max_step") is None for p in group["params"]]
    if norm:
        nn.utils.clip_grad_norm_(together, norm)
    for group in optimizer.param_groups:
        moved = [p for p in group["params"] if p.grad is not None]  # none where the values are constants
        if group.get("max_step") is not None and moved:
            nn.utils.clip_grad_value_(moved, group["max_step"] / max(group["lr"], 1e-12))
