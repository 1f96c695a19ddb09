"""Training (paper 3.3 and 4): one step, one loop; on one CPU, or on many GPUs by torchrun and DDP.

What a step sees depends on the seed and the step alone, so that a resumed training repeats the uninterrupted one.
"""

import signal
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from lapnet_core.anchors import AnchorFile, cluster_anchors
from lapnet_core.checkpoint import RunLog, load_checkpoint, save_checkpoint
from lapnet_core.config import TrainConfig
from lapnet_core.data import Target, collate, train_transform
from lapnet_core.data.named import Images, open_dataset
from lapnet_core.data.stream import TrainingStream
from lapnet_core.detector import Detector
from lapnet_core.losses import LapNetLoss, LossTerms
from lapnet_core.model import LapNet
from lapnet_core.processes import join_processes, pick_device, stop_signal

ANCHOR_IMAGES = 20_000
"""At most so many images give sizes for the anchors, evenly chosen. More than VOC has."""

BALANCE_SETTLING = 0.01
"""Share of the steps in which a balance weight should settle; see `balance_multipliers`."""
FASTEST_SETTLING = 10
"""... but over no fewer steps than this, so that a weight follows the data and not single batches."""
MAX_S_STEP = 1.0
"""Largest change of an s in one step: a weight changes by no more than the factor e. A step on s is proportional to
lambda * loss - 1, so one rare positive under a large weight would throw it down by many orders of magnitude, for good.
Far beyond what a step of the paper's own schedule does, so that nothing changes there. Paper is silent."""


class Trainee(nn.Module):
    """Model and loss as one module, so that DDP averages the gradients of both."""

    def __init__(self, model: LapNet, loss: LapNetLoss, amp: bool) -> None:
        super().__init__()
        self.model, self.loss, self.amp = model, loss, amp

    def forward(self, images: Tensor, shapes: Tensor, targets: list[Target]) -> LossTerms:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.amp):
            scores, offsets = self.model(images)
        return self.loss(scores, offsets, shapes, targets)


@dataclass
class Training:
    """What `train` returns: the detector, and what happened."""

    detector: Detector
    loss: LapNetLoss
    config: TrainConfig
    log: list[dict[str, Any]] = field(default_factory=list)
    """The lines of the JSONL log, without its header."""
    skipped: list[str] = field(default_factory=list)
    """Messages of images that could not be read, once each."""
    interrupted: bool = False
    """Stopped by Ctrl-C or SIGTERM before the last step; the checkpoint is saved."""


def balance_multipliers(config: TrainConfig, num_classes: int) -> tuple[float, float]:
    """Multipliers on the learning rate of the anchor weights and of the loss weights.

    Near its optimum a plain gradient step shrinks the error of s[c, a] by lr * multiplier / (C*A), since eq. 7 gives
    each anchor weight 1/(C*A) of the curvature, and that of s_loc or s_cls by lr * multiplier. The default makes either
    settle in T steps, T = max(FASTEST_SETTLING, BALANCE_SETTLING * steps): multiplier = C*A / (lr*T), or 1 / (lr*T).
    It never goes below 1, the paper's schedule. Derived from the schedule, not fitted to a data set.
    """
    settling = max(FASTEST_SETTLING, BALANCE_SETTLING * config.steps)
    per_step = 1 / (config.lr * settling)
    anchor = max(1.0, num_classes * config.anchors_per_class * per_step)
    return (
        anchor if config.balance_lr is None else config.balance_lr,
        max(1.0, per_step) if config.loss_weight_lr is None else config.loss_weight_lr,
    )


def make_optimizer(trainee: Trainee, config: TrainConfig) -> torch.optim.SGD:
    """SGD; each group holds its learning rate's multiplier. The balance weights have no momentum and no weight decay,
    and a largest step."""
    decayed, plain = [], []
    for parameter in trainee.model.parameters():
        (decayed if parameter.ndim > 1 else plain).append(parameter)
    loss = trainee.loss
    anchor_lr, loss_lr = balance_multipliers(config, loss.s_loc_anchor.shape[0])
    balance = {"momentum": 0.0, "weight_decay": 0.0, "max_step": MAX_S_STEP}
    optimizer = torch.optim.SGD(
        [
            {"params": decayed, "multiplier": 1.0, "weight_decay": config.weight_decay},
            {"params": plain, "multiplier": 1.0},
            {"params": [loss.s_loc, loss.s_cls], "multiplier": loss_lr, **balance},
            {"params": [loss.s_loc_anchor, loss.s_cls_anchor], "multiplier": anchor_lr, **balance},
        ],
        lr=config.lr,
        momentum=config.momentum,
    )
    loss.hold_without_positives(optimizer)
    return optimizer


def learning_rate(config: TrainConfig, step: int) -> float:
    """Polynomial decay to zero (paper 4), after an optional linear warm-up."""
    warm = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    return config.lr * warm * (1 - step / config.steps) ** config.power


def train_step(
    trainee: nn.Module, optimizer: torch.optim.Optimizer, batch_images: Tensor, targets: list[Target], shapes: Tensor,
    config: TrainConfig, step: int,
) -> LossTerms:  # fmt: skip
    """One step: forward, backward, clip, update.

    Raises:
        FloatingPointError: the loss is not finite; the parameters are left as they were.
    """
    lr = learning_rate(config, step)
    for group in optimizer.param_groups:
        group["lr"] = lr * group["multiplier"]
    terms: LossTerms = trainee(batch_images, shapes, targets)
    if not bool(terms.total.isfinite()):
        raise FloatingPointError(
            f"step {step}: the loss is {terms.total.item()} (loc {terms.loc.item()}, cls {terms.cls.item()}, reg "
            f"{terms.reg.item()}); try a smaller lr, warmup or clip_norm. The last checkpoint is untouched."
        )
    optimizer.zero_grad(set_to_none=True)
    terms.total.backward()
    if config.clip_norm:
        network = [p for group in optimizer.param_groups if "max_step" not in group for p in group["params"]]
        nn.utils.clip_grad_norm_(network, config.clip_norm)
    for group in optimizer.param_groups:
        if "max_step" in group:  # a balance weight takes plain gradient steps: its change is lr * gradient
            learned = [p for p in group["params"] if p.grad is not None]  # none where the weights are constants
            if learned:
                nn.utils.clip_grad_value_(learned, group["max_step"] / max(group["lr"], 1e-12))
    optimizer.step()
    return terms


def object_sizes(
    dataset: Images, image_size: tuple[int, int], limit: int = ANCHOR_IMAGES, progress: bool = True
) -> tuple[Float[Tensor, "G 2"], Int[Tensor, " G"]]:
    """(w, h) in pixels of the network input, and labels, of a training set's objects that are not difficult."""
    stride = max(1, -(-len(dataset) // limit))
    sizes, labels = [torch.zeros(0, 2)], [torch.zeros(0, dtype=torch.int64)]
    for i in tqdm(range(0, len(dataset), stride), desc="sizes", unit="image", disable=None if progress else True):
        target = dataset.target(i)
        height, width = target["original_size"]
        boxes = target["boxes"].as_subclass(Tensor)[~target["difficult"]]
        scale = boxes.new_tensor([image_size[1] / width, image_size[0] / height])
        sizes.append((boxes[:, 2:] - boxes[:, :2]) * scale)
        labels.append(target["labels"][~target["difficult"]])
    return torch.cat(sizes), torch.cat(labels)


def find_anchors(config: TrainConfig, dataset: Images, progress: bool = True) -> Float[Tensor, "C A 2"]:
    """The anchors of `config.anchors`, or clustered on the training set."""
    if not config.anchors:
        # Rendering costs more than reading: 600 scenes give thousands of sizes.
        limit = 600 if config.data == "scenes" else ANCHOR_IMAGES
        sizes, labels = object_sizes(dataset, config.image_size, limit, progress)
        names = dataset.class_names
        return cluster_anchors(sizes, labels, len(names), config.anchors_per_class, config.seed, names)
    made = AnchorFile.load(config.anchors)
    if made.class_names != tuple(dataset.class_names) or made.shapes.shape[1] != config.anchors_per_class:
        raise ValueError(
            f"{config.anchors} has {made.shapes.shape[1]} anchors each for {made.class_names}; the training needs "
            f"{config.anchors_per_class} each for {tuple(dataset.class_names)}"
        )
    height, width = config.image_size
    return made.shapes * torch.tensor([width / made.input_size[1], height / made.input_size[0]])


def train(
    config: TrainConfig,
    dataset: Images | None = None,
    *,
    resume: bool = False,
    save: bool = True,
    progress: bool = True,
    on_step: Callable[[int, LossTerms], None] | None = None,
) -> Training:
    """Train a LapNet.

    Args:
        config: see `config.TrainConfig`.
        dataset: what to train on; None opens `config.data`. Its transform is set for the time of training.
        resume: go on from the checkpoint in `config.run_dir`.
        save: write checkpoints, log and model to `config.run_dir`; False keeps everything in memory.
        progress: show a progress bar with the losses.
        on_step: called as on_step(step, terms) after each step.

    Ctrl-C or SIGTERM finishes the step, saves the checkpoint and returns with `interrupted`; a second Ctrl-C breaks
    off. Under torchrun each process calls this with the same config.

    Raises:
        FileExistsError: the run folder holds a training and `resume` is False: nothing trained is overwritten.
        ValueError: `resume`, but the checkpoint belongs to another config.
    """
    rank, world = join_processes(config.device)
    try:
        return _train(config, dataset, resume, save and rank == 0, progress and rank == 0, on_step, rank, world)
    finally:
        if world > 1:
            dist.destroy_process_group()


def _train(
    config: TrainConfig,
    dataset: Images | None,
    resume: bool,
    save: bool,
    progress: bool,
    on_step: Callable[[int, LossTerms], None] | None,
    rank: int,
    world: int,
) -> Training:
    folder = config.run_dir
    checkpoint = load_checkpoint(folder / "last.pt", config) if resume else None
    if save and not resume and (folder / "last.pt").exists():
        raise FileExistsError(f"{folder} holds a training: --resume goes on with it, --out takes another folder")
    if config.batch_size % world:
        raise ValueError(f"batch_size {config.batch_size} cannot be shared equally by {world} processes")
    if dataset is None:
        dataset = open_dataset(config.data, config.split, image_size=config.image_size, on_error=config.on_error)
        if progress and hasattr(dataset, "report"):
            print(dataset.report.summary())  # pyright: ignore[reportAttributeAccessIssue]
    device = pick_device(config.device)
    torch.manual_seed(config.seed)
    class_names = tuple(dataset.class_names)
    shapes = find_anchors(config, dataset, progress) if checkpoint is None else checkpoint["shapes"]
    weights = config.weights if checkpoint is None else "none"
    model = LapNet(len(class_names), config.anchors_per_class, config.backbone, weights)
    loss = LapNetLoss(
        len(class_names), config.anchors_per_class,
        balance=config.balance, ams=config.ams, overlap=config.overlap, rescue=config.rescue,
    )  # fmt: skip
    trainee = Trainee(model, loss, config.amp).to(device).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(trainee, config)
    first = 0
    if checkpoint is not None:
        trainee.load_state_dict(checkpoint["trainee"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        first = checkpoint["step"]
    detector = Detector(model, shapes, class_names, config.image_size, config.backbone)
    parallel: nn.Module = trainee
    if world > 1:
        if device.type == "cuda":
            parallel = nn.SyncBatchNorm.convert_sync_batchnorm(trainee)
        parallel = DistributedDataParallel(parallel, [device] if device.type == "cuda" else None)
    parallel.train()

    log = RunLog(folder, config, detector, first) if save else None
    result = Training(detector, loss, config, log.lines if log else [])
    shapes = shapes.to(device)
    before, dataset.transform = dataset.transform, _augmentation(config)
    bar = tqdm(total=config.steps, initial=first, desc="train", unit="step", disable=None if progress else True)
    step, started = first, time.perf_counter()
    try:
        with stop_signal(world, device) as stopped:
            for batch in _batches(config, dataset, first, rank, world):
                result.skipped += [message for message in batch.skipped if message not in result.skipped]
                if not len(batch):
                    raise ValueError(f"step {step}: none of the images can be read: {batch.skipped[0]}")
                batch = batch.to(device, non_blocking=True)
                images = batch.images.contiguous(memory_format=torch.channels_last)
                terms = train_step(parallel, optimizer, images, batch.targets, shapes, config, step)
                step += 1
                if step % config.log_every == 0 or step == config.steps:
                    line = _log_line(step, terms, loss, optimizer, time.perf_counter() - started)
                    result.log.append(line)
                    bar.set_postfix({k: f"{line[k]:.3f}" for k in ("loc", "cls", "overlap")}, refresh=False)
                    if log:
                        log.write(line)
                if on_step:
                    on_step(step, terms)
                bar.update()
                result.interrupted = stopped() and step < config.steps
                if save and (step % config.save_every == 0 or step == config.steps or result.interrupted):
                    state = {"step": step, "shapes": detector.shapes, "trainee": trainee.state_dict()}
                    save_checkpoint(folder / "last.pt", config, {**state, "optimizer": optimizer.state_dict()})
                if result.interrupted:
                    break
    finally:
        bar.close()
        dataset.transform = before
    model.eval()
    if save and not result.interrupted:
        detector.save(folder / "model.safetensors")
    if result.skipped:
        warnings.warn(f"{len(result.skipped)} images were skipped, first: {result.skipped[0]}", stacklevel=3)
    return result


def _augmentation(config: TrainConfig) -> Callable[..., Any]:
    return train_transform(config.image_size, scale=config.scale, flip=config.flip, color=config.color)


def _batches(config: TrainConfig, dataset: Images, first: int, rank: int, world: int) -> DataLoader[Any]:
    """Batches of this process from step `first` on: its equal share of each step's positions."""
    share = config.batch_size // world
    positions = [
        range(step * config.batch_size + rank * share, step * config.batch_size + (rank + 1) * share)
        for step in range(first, config.steps)
    ]
    return DataLoader(
        TrainingStream(dataset, config.seed),
        batch_sampler=positions,  # pyright: ignore[reportArgumentType]
        collate_fn=collate,
        num_workers=config.workers,
        worker_init_fn=_leave_signals_to_the_parent,
        pin_memory=torch.cuda.is_available() and config.device != "cpu",
    )


def _leave_signals_to_the_parent(_: int) -> None:
    # Ctrl-C reaches every process of a terminal; a worker has to live on until the step is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _log_line(
    step: int, terms: LossTerms, loss: LapNetLoss, optimizer: torch.optim.Optimizer, seconds: float
) -> dict[str, Any]:
    lam_loc, lam_cls = loss.loss_weights
    overlap = terms.predicted_overlap
    return {
        "step": step,
        "total": terms.total.item(),
        "loc": terms.loc.item(),
        "cls": terms.cls.item(),
        "reg": terms.reg.item(),
        "lam_loc": lam_loc.item(),
        "lam_cls": lam_cls.item(),
        "lr": optimizer.param_groups[0]["lr"],
        "objects": terms.object_count,
        "positives_loc": len(terms.positives.flat),
        "positives_cls": int(terms.labels.sum()),
        "overlap": overlap.mean().item() if len(overlap) else 0.0,
        "rescued": int(terms.assignment.rescued.sum()),
        "seconds": round(seconds, 3),
    }
