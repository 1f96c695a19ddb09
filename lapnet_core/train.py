"""Training (paper 3.3 and 4): a set-up, one step, one loop; on one CPU, or on many GPUs by torchrun and DDP.

What a step sees depends on the seed and the step alone, so that a resumed training repeats the uninterrupted one.
"""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from lapnet_core.checkpoint import LAST, RunLog, check_classes, load_checkpoint, run_folder, save_checkpoint
from lapnet_core.config import TrainConfig
from lapnet_core.data import Batch, Target, collate, train_transform
from lapnet_core.data.named import Images, open_dataset
from lapnet_core.data.stream import TrainingStream, Transformed
from lapnet_core.detector import Detector
from lapnet_core.method import Losses, Method
from lapnet_core.peers import method_class
from lapnet_core.processes import join_processes, mean_of_all, pick_device, signals_held, stop_signal, usable_cores

SHOWN = 3
"""So many of `Method.progress` stand behind the progress bar."""
EMPTY_STEPS = 20
"""After so many batches without a single readable image, one after the other, a training gives up."""
OnStep = Callable[[int, Method], None]


@dataclass
class Training:
    """What `train` returns: the detector, and what happened."""

    detector: Detector
    config: TrainConfig
    log: list[dict[str, Any]] = field(default_factory=list)
    """The lines of the JSONL log, without its header."""
    skipped: list[str] = field(default_factory=list)
    """Messages of images that could not be read, once each."""
    interrupted: bool = False
    """Stopped by a signal before the last step; the checkpoint is saved."""

    @property
    def method(self) -> Method:
        """What was trained, with all that it learned."""
        return self.detector.method


def make_optimizer(method: Method, config: TrainConfig) -> torch.optim.SGD:
    """SGD over the method's groups, each with the multiplier of its learning rate."""
    return torch.optim.SGD(method.parameter_groups(config), lr=config.lr, momentum=config.momentum)


def learning_rate(config: TrainConfig, step: int) -> float:
    """Polynomial decay to zero (paper 4), after an optional linear warm-up."""
    warm = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    return config.lr * warm * (1 - step / config.steps) ** config.power


def train_step(
    method: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, targets: Sequence[Target],
    config: TrainConfig, step: int,
) -> Losses:  # fmt: skip
    """One step: forward, backward, clip, update. `method` is a `Method`, or DDP around one.

    Raises:
        FloatingPointError: the loss is not finite; the parameters are left as they were.
    """
    lr = learning_rate(config, step)
    for group in optimizer.param_groups:
        group["lr"] = lr * group["multiplier"]
    with torch.autocast(images.device.type, torch.bfloat16, enabled=config.amp):
        losses: Losses = method(images, targets)
    if not bool(losses.total.isfinite()):
        parts = ", ".join(f"{name} {part.item()}" for name, part in losses.parts.items())
        raise FloatingPointError(
            f"step {step}: the loss is {losses.total.item()} ({parts}); try a smaller lr, warmup or clip_norm. "
            "Checkpoints stay as they are."
        )
    optimizer.zero_grad(set_to_none=True)
    losses.total.backward()
    clip_gradients(optimizer, config.clip_norm)
    optimizer.step()
    return losses


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


def train(
    config: TrainConfig,
    dataset: Images | None = None,
    *,
    transform: Callable[..., Any] | None = None,
    resume: bool = False,
    save: bool = True,
    progress: bool = True,
    on_step: OnStep | None = None,
) -> Training:
    """Train the detector that `config.method` names.

    Args:
        config: see `config.TrainConfig`.
        dataset: what to train on, its images as they are; None opens `config.data`.
        transform: augmentation, (image uint8, target) -> (image float32 of `config.image_size`, normalised; target);
            None takes the config's.
        resume: go on from the checkpoint in `config.run_dir`.
        save: write checkpoints, log and model to `config.run_dir`; False keeps everything in memory.
        progress: show a progress bar with the losses.
        on_step: called as on_step(step, method) after each step; `method.progress()` has the numbers.

    Ctrl-C, SIGTERM or SIGHUP finishes the step, saves the checkpoint and returns with `interrupted`; a second Ctrl-C
    breaks off. Under torchrun each process calls this with the same config; the log is of all of them. On CPUs each
    normalises its own share of a batch (BatchNorm is synchronised on GPUs only), so the result is not one process's.

    Raises:
        FileExistsError: the run folder holds a training and `resume` is False, or another training is at work in it:
            nothing trained is overwritten.
        ValueError: `resume`, but the checkpoint is damaged, or belongs to another config or to other classes.
        FloatingPointError: the loss, or what was learned, is not finite. The last finite checkpoints stay.
    """
    rank, world = join_processes(config.device)
    save, progress = save and rank == 0, progress and rank == 0
    try:
        with stop_signal() as stopped, run_folder(config.run_dir, resume) if save else nullcontext():
            run = Run.set_up(config, dataset, transform, resume, save, progress, rank, world)
            return run.loop(on_step, stopped)
    finally:
        if world > 1:
            dist.destroy_process_group()


@dataclass
class Run:
    """A training that is set up: all that `loop` works with."""

    config: TrainConfig
    training: Training
    parallel: nn.Module
    """The method, or DDP around it."""
    optimizer: torch.optim.Optimizer
    loader: DataLoader[Any]
    """One batch a step, from step `first` on."""
    log: RunLog | None
    """None keeps everything in memory."""
    device: torch.device
    first: int
    world: int
    progress: bool

    @classmethod
    def set_up(
        cls,
        config: TrainConfig,
        dataset: Images | None,
        transform: Callable[..., Any] | None,
        resume: bool,
        save: bool,
        progress: bool,
        rank: int,
        world: int,
    ) -> "Run":
        """Everything before the first step, in the order that decides the random numbers."""
        folder = config.run_dir
        checkpoint = load_checkpoint(folder, config) if resume else None
        if config.batch_size % world:
            raise ValueError(f"batch_size {config.batch_size} cannot be shared equally by {world} processes")
        if dataset is None:
            dataset = open_dataset(config.data, config.split, image_size=config.image_size, on_error=config.on_error)
            if progress and hasattr(dataset, "report"):
                print(dataset.report.summary())  # pyright: ignore[reportAttributeAccessIssue]
        if checkpoint is not None:
            check_classes(folder / LAST, checkpoint, tuple(dataset.class_names))
        augment = transform or train_transform(
            config.image_size, scale=config.scale, flip=config.flip, color=config.color
        )
        stream = TrainingStream(Transformed(dataset, augment), config.seed)

        device, kind = pick_device(config.device), method_class(config.method)
        torch.manual_seed(config.seed)
        method = kind.create(config, dataset, progress) if checkpoint is None else kind.restore(checkpoint["about"])
        method = method.to(device).to(memory_format=torch.channels_last)
        optimizer = make_optimizer(method, config)
        if checkpoint is not None:
            method.load_state_dict(checkpoint["state"])
            optimizer.load_state_dict(checkpoint["optimizer"])
        first = 0 if checkpoint is None else checkpoint["step"]

        detector = Detector(method, tuple(dataset.class_names), config.image_size)
        log = RunLog(folder, config, detector.class_names, first) if save else None
        for name, file in method.files(detector.class_names, config.image_size).items() if save else ():
            file.save(folder / name)
        training = Training(detector, config, log.lines if log else [])
        parallel, loader = _in_parallel(method, device, world), _batches(config, stream, first, rank, world)
        return cls(config, training, parallel, optimizer, loader, log, device, first, world, progress)

    def loop(self, on_step: OnStep | None, stopped: Callable[[torch.device], bool]) -> Training:
        """Step after step, to the last one or to a signal."""
        config, result, method = self.config, self.training, self.training.method
        step, started = self.first, time.perf_counter()
        self.parallel.train()
        hidden = None if self.progress else True
        with tqdm(total=config.steps, initial=step, desc="train", unit="step", disable=hidden) as bar:
            for batch in self.batches():
                result.skipped += [message for message in batch.skipped if message not in result.skipped]
                method.share = step / config.steps
                losses = self.step(batch, step)
                step += 1
                if losses and (step % config.log_every == 0 or step == config.steps):
                    bar.set_postfix(self.note(step, losses, time.perf_counter() - started), refresh=False)
                if losses and on_step:
                    on_step(step, method)
                bar.update()
                result.interrupted = stopped(self.device) and step < config.steps
                if step % config.save_every == 0 or step == config.steps or result.interrupted:
                    self.save(step)
                if result.interrupted:
                    break
        method.eval()
        if self.log and not result.interrupted:
            result.detector.save(config.run_dir / "model.safetensors")
        if result.skipped:
            warnings.warn(f"{len(result.skipped)} images were skipped, first: {result.skipped[0]}", stacklevel=3)
        return result

    def batches(self) -> Iterator[Batch]:
        """The batches of the steps to come. Where the next one cannot be had, what was learned is saved first."""
        empty = 0
        with signals_held():  # while the processes start that load images
            batches = iter(self.loader)
        for step in range(self.first, self.config.steps):
            try:
                batch = next(batches)
                empty = 0 if len(batch) else empty + 1
                if empty and (self.world > 1 or empty == EMPTY_STEPS):
                    raise ValueError(f"step {step}: none of the images can be read; {batch.skipped[0]}")
            except Exception:
                if step > self.first:
                    self.save(step)
                raise
            yield batch
        if empty and empty == self.config.steps - self.first:
            raise ValueError("no image can be read, so nothing was learned; see the messages of the skipped images")

    def step(self, batch: Batch, step: int) -> Losses | None:
        """Train on a batch; None where none of its images could be read, and nothing changes."""
        if not len(batch):
            return None
        batch = batch.to(self.device, non_blocking=True)
        images = batch.images.contiguous(memory_format=torch.channels_last)
        return train_step(self.parallel, self.optimizer, images, batch.targets, self.config, step)

    def note(self, step: int, losses: Losses, seconds: float) -> dict[str, str]:
        """Write a line of the log; returns what the progress bar shows of it."""
        told = mean_of_all({"total": losses.total.item(), **self.training.method.progress()})
        line = {"step": step, **told, "lr": self.optimizer.param_groups[0]["lr"]}
        line["seconds"] = round(seconds, 3)
        self.training.log.append(line)
        if self.log:
            self.log.write(line)
        return {name: f"{told[name]:.3f}" for name in list(told)[1 : SHOWN + 1]}

    def save(self, step: int) -> None:
        """Replace the checkpoint."""
        if self.log:
            method = self.training.method
            names = self.training.detector.class_names
            content = {"step": step, "class_names": names, "about": method.about(), "state": method.state_dict()}
            content["optimizer"] = self.optimizer.state_dict()
            save_checkpoint(self.config.run_dir, self.config, content)


def _in_parallel(method: Method, device: torch.device, world: int) -> nn.Module:
    if world == 1:
        return method
    on_gpu = device.type == "cuda"
    if not on_gpu and dist.get_rank() == 0:
        warnings.warn(
            f"{world} processes on CPUs: each normalises its own share of a batch, so the result is not quite that of "
            "one process with the same batch size",
            stacklevel=2,
        )
    synchronised = nn.SyncBatchNorm.convert_sync_batchnorm(method) if on_gpu else method
    return DistributedDataParallel(synchronised, [device] if on_gpu else None)


def _batches(config: TrainConfig, stream: TrainingStream, first: int, rank: int, world: int) -> DataLoader[Any]:
    """Batches of this process from step `first` on: its equal share of each step's positions."""
    share = config.batch_size // world
    positions = [
        range(step * config.batch_size + rank * share, step * config.batch_size + (rank + 1) * share)
        for step in range(first, config.steps)
    ]
    return DataLoader(
        stream,
        batch_sampler=positions,  # pyright: ignore[reportArgumentType]
        collate_fn=collate,
        num_workers=min(config.workers, usable_cores()),  # more would only wait for each other
        pin_memory=torch.cuda.is_available() and config.device != "cpu",
    )
