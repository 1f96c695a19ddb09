"""Training (paper 3.3 and 4): one step, one loop; on one CPU, or on many GPUs by torchrun and DDP.

What a step sees depends on the seed and the step alone, so that a resumed training repeats the uninterrupted one.
"""

import json
import os
import platform
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from lapnet_core.anchors import AnchorFile, cluster_anchors
from lapnet_core.config import TrainConfig
from lapnet_core.data import Sample, Skipped, Target, collate, train_transform
from lapnet_core.data.named import Images, open_dataset
from lapnet_core.detector import Detector
from lapnet_core.losses import LapNetLoss, LossTerms
from lapnet_core.model import LapNet

ANCHOR_IMAGES = 20_000
"""At most so many images give sizes for the anchors, evenly chosen. More than VOC has."""

BALANCE_SETTLING = 0.01
"""Share of the steps in which a balance weight should settle; see `balance_multipliers`."""
FASTEST_SETTLING = 10
"""... but over no fewer steps than this, so that a weight follows the data and not single batches."""

MAY_CHANGE = ("out", "workers", "device", "save_every", "log_every")
"""Fields of the config that may differ when a training is resumed; none of them changes the result."""


class TrainingStream(Dataset[Sample | Skipped]):
    """Position p of training is one augmented image, a function of (seed, p) alone; each epoch is shuffled anew."""

    def __init__(self, dataset: Images, seed: int) -> None:
        self.dataset, self.seed = dataset, seed
        self.epoch, self.order = -1, torch.empty(0)

    def __getitem__(self, position: int) -> Sample | Skipped:
        epoch, k = divmod(position, len(self.dataset))
        if epoch != self.epoch:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            self.epoch, self.order = epoch, torch.randperm(len(self.dataset), generator=generator)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed((self.seed << 40) + position)
            return self.dataset[int(self.order[k])]


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
    """SGD; each group holds its learning rate's multiplier. The balance weights: no momentum, no weight decay."""
    decayed, plain = [], []
    for parameter in trainee.model.parameters():
        (decayed if parameter.ndim > 1 else plain).append(parameter)
    loss = trainee.loss
    anchor_lr, loss_lr = balance_multipliers(config, loss.s_loc_anchor.shape[0])
    balance = {"momentum": 0.0, "weight_decay": 0.0}
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
        network = [p for group in optimizer.param_groups[:2] for p in group["params"]]
        nn.utils.clip_grad_norm_(network, config.clip_norm)
    optimizer.step()
    return terms


def object_sizes(
    dataset: Images, image_size: tuple[int, int], limit: int = ANCHOR_IMAGES
) -> tuple[Float[Tensor, "G 2"], Int[Tensor, " G"]]:
    """(w, h) in pixels of the network input, and labels, of a training set's objects that are not difficult."""
    stride = max(1, -(-len(dataset) // limit))
    sizes, labels = [torch.zeros(0, 2)], [torch.zeros(0, dtype=torch.int64)]
    for i in tqdm(range(0, len(dataset), stride), desc="sizes", unit="image", disable=None, leave=False):
        target = dataset.target(i)
        height, width = target["original_size"]
        boxes = target["boxes"].as_subclass(Tensor)[~target["difficult"]]
        scale = boxes.new_tensor([image_size[1] / width, image_size[0] / height])
        sizes.append((boxes[:, 2:] - boxes[:, :2]) * scale)
        labels.append(target["labels"][~target["difficult"]])
    return torch.cat(sizes), torch.cat(labels)


def find_anchors(config: TrainConfig, dataset: Images) -> Float[Tensor, "C A 2"]:
    """The anchors of `config.anchors`, or clustered on the training set."""
    if not config.anchors:
        # Rendering costs more than reading: 600 scenes give thousands of sizes.
        limit = 600 if config.data == "scenes" else ANCHOR_IMAGES
        sizes, labels = object_sizes(dataset, config.image_size, limit)
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


def pick_device(name: str) -> torch.device:
    """ "auto" is this process's CUDA device where there is one, else the CPU."""
    if name != "auto":
        return torch.device(name)
    return (
        torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if torch.cuda.is_available() else torch.device("cpu")
    )


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
    rank, world = _join_processes(config)
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
    checkpoint = _load_checkpoint(folder / "last.pt", config) if resume else None
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
    shapes = find_anchors(config, dataset) if checkpoint is None else checkpoint["shapes"]
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
    result = Training(detector, loss, config)
    parallel: nn.Module = trainee
    if world > 1:
        if device.type == "cuda":
            parallel = nn.SyncBatchNorm.convert_sync_batchnorm(trainee)
        parallel = DistributedDataParallel(parallel, [device] if device.type == "cuda" else None)
    parallel.train()

    log = _Log(folder, result, first) if save else None
    shapes = shapes.to(device)
    before, dataset.transform = dataset.transform, _augmentation(config)
    bar = tqdm(total=config.steps, initial=first, desc="train", unit="step", disable=None if progress else True)
    step, started = first, time.perf_counter()
    try:
        with _stop_signal(world, device) as stopped:
            for batch in _batches(config, dataset, first, rank, world):
                result.skipped += [message for message in batch.skipped if message not in result.skipped]
                if world == 1 and not len(batch):
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
                    _save_checkpoint(folder / "last.pt", config, step, trainee, optimizer, shapes, class_names)
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
        pin_memory=torch.cuda.is_available() and config.device != "cpu",
    )


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


class _Log:
    """log.jsonl: a header line with the config and the machine, then a line every `log_every` steps."""

    def __init__(self, folder: Path, result: Training, first: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "log.jsonl"
        if first and self.path.exists():
            # Lines after the checkpoint belong to steps that are about to be repeated.
            lines = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()[1:]]
            result.log += [line for line in lines if line["step"] <= first]
        header = {
            "config": json.loads(result.config.to_json()),
            "class_names": result.detector.class_names,
            "torch": torch.__version__,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        }
        lines = [header, *result.log]
        _replace(
            self.path, lambda part: part.write_text("".join(json.dumps(x) + "\n" for x in lines), encoding="utf-8")
        )
        size = result.detector.image_size
        AnchorFile(result.detector.class_names, size, result.detector.shapes, "lapnet train").save(
            folder / "anchors.json"
        )

    def write(self, line: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file so that an interruption leaves the older one whole."""
    part = path.with_name(path.name + ".part")
    write(part)
    os.replace(part, path)


def _save_checkpoint(
    path: Path, config: TrainConfig, step: int, trainee: nn.Module, optimizer: torch.optim.Optimizer, shapes: Tensor,
    class_names: tuple[str, ...],
) -> None:  # fmt: skip
    content = {
        "step": step,
        "config": config.to_json(),
        "trainee": trainee.state_dict(),
        "optimizer": optimizer.state_dict(),
        "shapes": shapes.cpu(),
        "class_names": list(class_names),
    }
    _replace(path, lambda part: torch.save(content, part))


def _load_checkpoint(path: Path, config: TrainConfig) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: there is nothing to resume")
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    saved = TrainConfig.from_json(content["config"])
    same = replace(saved, **{name: getattr(config, name) for name in MAY_CHANGE})
    if same != config:
        differing = [k for k, v in vars(same).items() if v != getattr(config, k)]
        raise ValueError(
            f"{path} was trained with another {', '.join(differing)}: {[getattr(saved, k) for k in differing]}"
        )
    return content


def _join_processes(config: TrainConfig) -> tuple[int, int]:
    """(rank, number of processes); joins torchrun's process group where there is one."""
    world = int(os.environ.get("WORLD_SIZE", 1))
    if world > 1 and not dist.is_initialized():
        device = pick_device(config.device)
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return (dist.get_rank(), world) if world > 1 else (0, 1)


@contextmanager
def _stop_signal(world: int, device: torch.device) -> Iterator[Callable[[], bool]]:
    """A function that says whether Ctrl-C or SIGTERM came to any process. The second Ctrl-C interrupts at once."""
    caught = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal caught
        if caught:
            raise KeyboardInterrupt
        caught = True

    def stopped() -> bool:
        if world == 1:
            return caught
        flag = torch.tensor(float(caught), device=device)
        dist.all_reduce(flag)  # all processes have to stop after the same step
        return bool(flag)

    main = threading.current_thread() is threading.main_thread()
    previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)} if main else {}
    try:
        yield stopped
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
