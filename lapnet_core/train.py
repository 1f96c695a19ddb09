"""Training (paper 3.3 and 4): a set-up and one loop; on one CPU, or on many GPUs by torchrun and DDP.

What a step sees depends on the seed and the step alone, so that a resumed training repeats the uninterrupted one.
"""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from lapnet_core.checkpoint import (
    BEST,
    RunLog,
    check_data,
    load_checkpoint,
    run_folder,
    save_checkpoint,
    tensorboard,
    write_beside,
)
from lapnet_core.config import TrainConfig
from lapnet_core.data import Batch, collate, train_transform
from lapnet_core.data.checked import by_own
from lapnet_core.data.memory import room_for_images
from lapnet_core.data.named import Images, open_dataset
from lapnet_core.data.splits import split_files
from lapnet_core.data.stream import LAYERS, TrainingStream, Transformed, mended, mixed
from lapnet_core.detector import Detector
from lapnet_core.method import Losses, Method
from lapnet_core.peers import method_class
from lapnet_core.processes import (
    in_parallel,
    mean_of_all,
    pick_device,
    processes,
    read_ahead,
    stop_signal,
    summed_up,
    usable_cores,
)
from lapnet_core.step import make_optimizer, train_step
from lapnet_core.validation import Average, Best, Validation, images_to_validate_on, impatient

SHOWN = 3
"""So many of `Method.progress` stand behind the progress bar."""
EMPTY_STEPS = 20
"""After so many batches without a single readable image, one after the other, a training gives up."""
OnStep = Callable[[int, Method], None]
Stopped = Callable[[torch.device], bool]
"""Whether a signal came; see `processes.stop_signal`."""


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
    """Stopped by a signal before its end; the checkpoint is saved."""
    best: Best = field(default_factory=Best)
    """What validation has found."""
    seconds: float = 0.0
    """Wall time of the steps and validations, of all parts of a training that was gone on with."""

    @property
    def method(self) -> Method:
        """What was trained, with all that it learned; its average, where there is one (`config.ema`)."""
        return self.detector.method


def train(
    config: TrainConfig,
    dataset: Images | None = None,
    *,
    transform: Callable[..., Any] | None = None,
    resume: bool = False,
    save: bool = True,
    progress: bool = True,
    on_step: OnStep | None = None,
    val_dataset: Images | None = None,
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
        val_dataset: what to validate on (`config.val_every`), beside a `dataset`; None opens `config.val_split`.

    Ctrl-C, SIGTERM or SIGHUP finishes the step, saves the checkpoint and returns with `interrupted`; a second Ctrl-C
    breaks off. A validation that was cut off comes first when the training goes on. Under torchrun each process calls
    this with the same config, and the log is of all; on CPUs, without synchronised BatchNorm, it is another training.

    Raises:
        FileExistsError: the run folder holds a training and `resume` is False, or another training is at work in it:
            nothing trained is overwritten.
        ValueError: `resume`, but the checkpoint is damaged, or belongs to another config or to other classes; there is
            nothing to validate on; TensorBoard is not installed.
        FloatingPointError: the loss, or what was learned, is not finite. The last finite checkpoints stay.
    """
    with processes(config.device) as (rank, world):
        save, progress = save and rank == 0, progress and rank == 0
        with stop_signal() as stopped, run_folder(config.run_dir, resume) if save else nullcontext():
            run = Run.set_up(config, dataset, val_dataset, transform, resume, save, progress, rank, world)
            try:
                return run.loop(on_step, stopped)
            finally:
                if run.log:
                    run.log.close()


@dataclass
class Run:
    """A training that is set up: all that `loop` works with."""

    config: TrainConfig
    training: Training
    method: Method
    """What learns; `training.detector` holds it, or its average."""
    average: Average | None
    validation: Validation | None
    best: Best
    parallel: nn.Module
    """The method, or DDP around it."""
    optimizer: torch.optim.Optimizer
    loader: DataLoader[Any]
    """One batch a step, from step `first` on."""
    log: RunLog | None
    """None keeps everything in memory."""
    device: torch.device
    first: int
    rank: int
    world: int
    progress: bool
    started: float = 0.0
    saved: tuple[int, int] = (-1, -1)
    """Step, and step of the last validation, of the newest checkpoint."""
    shown: dict[str, str] = field(default_factory=dict)
    """What stands behind the progress bar."""
    told: list[dict[str, float]] = field(default_factory=list)
    """`Method.progress` of the parts of the batch before the last."""

    @classmethod
    def set_up(
        cls, config: TrainConfig, dataset: Images | None, val_dataset: Images | None,
        transform: Callable[..., Any] | None, resume: bool, save: bool, progress: bool, rank: int, world: int,
    ) -> "Run":  # fmt: skip
        """Everything before the first step, in the order that decides the random numbers."""
        folder = config.run_dir
        checkpoint = load_checkpoint(folder, config) if resume else None
        if save and config.tensorboard:
            tensorboard()
        if config.batch_size % (world * config.accumulate):
            parts = f" in {config.accumulate} parts" if config.accumulate > 1 else ""
            raise ValueError(f"batch_size {config.batch_size} cannot be shared equally by {world} processes{parts}")
        if dataset is not None and val_dataset is None and config.val_every:
            raise ValueError("val_every: where `dataset` is handed over, `val_dataset` has to come with it")
        if dataset is None:
            if config.split.startswith("test"):
                warnings.warn(f"trains on {config.split}: what is measured on it later says nothing", stacklevel=4)
            dataset = open_dataset(config.data, config.split, image_size=config.image_size, on_error=config.on_error)
            if progress and hasattr(dataset, "report"):
                print(dataset.report.summary())  # pyright: ignore[reportAttributeAccessIssue]
        own = by_own(transform, config.image_size) if transform else None
        augment = own or train_transform(config.image_size, scale=config.scale, flip=config.flip, color=config.color)
        # What a caller brings to transform may change what it is given: then nothing is kept for the next time.
        room = 0 if transform else room_for_images(max(1, config.workers) * world)
        stream = TrainingStream(Transformed(dataset, augment, room), config.seed)
        names = tuple(dataset.class_names)
        if checkpoint is not None:
            check_data(checkpoint, names, len(dataset))
        found: dict[str, Any] = checkpoint or {"step": 0}
        first, best, device = found["step"], Best(**found.get("best", {})), pick_device(config.device)
        validation = None
        if config.val_every:
            on = images_to_validate_on(config, names, val_dataset)
            validation = Validation(config, on, best, device, rank, world, progress)
        kind = method_class(config.method)
        torch.manual_seed(config.seed)
        method = kind.create(config, dataset, progress) if checkpoint is None else kind.restore(checkpoint["about"])
        method = method.to(device).to(memory_format=torch.channels_last)
        optimizer = make_optimizer(method, config)
        if checkpoint is not None:
            method.load_state_dict(checkpoint["state"])
            optimizer.load_state_dict(checkpoint["optimizer"])
        average = Average(method, config.ema) if config.ema else None
        if average and checkpoint is not None:
            average.method.load_state_dict(checkpoint["average"])
        detector = Detector(average.method if average else method, names, config.image_size)
        log = RunLog(folder, config, names, first, best.validated) if save else None
        beside = {**method.files(names, config.image_size), **split_files(dataset)}
        write_beside(folder, beside if save else {}, fresh=not resume)
        training = Training(detector, config, log.lines if log else [], best=best, seconds=found.get("seconds", 0.0))
        parallel = in_parallel(method, device, world, config.image_size)
        loader = _batches(config, stream, first, rank, world)
        return cls(
            config, training, method, average, validation, best, parallel, optimizer, loader, log, device, first, rank,
            world, progress,
        )  # fmt: skip

    def loop(self, on_step: OnStep | None, stopped: Stopped) -> Training:
        """Step after step, to the last one, to a signal, or to the end of patience."""
        config, result, method = self.config, self.training, self.method
        step, self.started = self.first, time.perf_counter()
        self.parallel.train()
        self.keep(step)  # where it was killed just before
        hidden = None if self.progress else True
        with tqdm(total=config.steps, initial=step, desc="train", unit="step", disable=hidden) as bar:
            result.interrupted = not self.validate(step, stopped)  # one that was cut off
            for batch in () if result.interrupted or impatient(config, self.best) else self.batches():
                result.skipped += [message for message in batch.skipped if message not in result.skipped]
                method.share = step / config.steps
                losses = self.step(batch, step)
                step += 1
                if losses and self.average:
                    self.average.update(method, step)
                if losses and self.noted(step):
                    self.note(step, losses)
                if losses and on_step:
                    on_step(step, method)
                if step % config.save_every == 0 or step == config.steps:
                    self.save(step)  # before a validation, which takes long
                whole = self.validate(step, stopped)
                bar.set_postfix(self.shown, refresh=False)
                bar.update()
                result.interrupted = not whole or (stopped(self.device) and step < config.steps)
                if result.interrupted or impatient(config, self.best):
                    self.save(step)
                    break
        return self.finish(step)

    def finish(self, step: int) -> Training:
        """Save the last state, and say what there is to say."""
        config, result = self.config, self.training
        self.method.eval()
        result.seconds += time.perf_counter() - self.started
        if self.progress and step < config.steps and (why := impatient(config, self.best)):
            print(f"stopped at step {step} of {config.steps}: {why}")
        if self.log and not result.interrupted:
            result.detector.save(config.run_dir / "model.safetensors")
        if told := mended(self.loader.dataset):
            warnings.warn(told, stacklevel=4)
        if result.skipped:
            warnings.warn(f"{len(result.skipped)} images were skipped, first: {result.skipped[0]}", stacklevel=4)
        return result

    def validate(self, step: int, stopped: Stopped) -> bool:
        """Validate where it is due; log the result, keep the best model. False where a signal cut it off."""
        if self.validation is None or not self.validation.due(step):
            return True
        try:
            found = self.validation.measure(self.training.detector, stopped)
        except Exception:  # an image cannot be read
            self.save(step)
            raise
        if found is None:
            return False
        val_map, skipped = found
        self.training.skipped += [message for message in skipped if message not in self.training.skipped]
        better = self.validation.note(step, val_map)
        self.write({"step": step, "val_map": val_map})
        self.shown["val_map"] = f"{val_map:.3f}" + ("" if better else f" (best {self.best.val_map:.3f})")
        self.save(step)  # it knows the result: whoever goes on from here need not validate again
        self.keep(step)
        return True

    def keep(self, step: int) -> None:
        """Save the model as the best one, where this step's is."""
        if self.log and self.validation and self.best.step == step > 0:
            self.validation.keep(self.training.detector, self.config.run_dir / BEST)

    def batches(self) -> Iterator[Batch]:
        """The batches of the steps to come. Where the next one cannot be had, what was learned is saved first."""
        empty, batches = 0, read_ahead(self.loader)
        for step in range(self.first, self.config.steps):
            try:
                batch = next(batches)
                empty = 0 if len(batch) else empty + 1
                # Many processes go part by part, all of them.
                if empty == EMPTY_STEPS or (self.world > 1 and len(batch) < self.config.accumulate):
                    few = "too few" if len(batch) else "none"
                    raise ValueError(f"step {step}: {few} of the images can be read; {batch.skipped[0]}")
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
        config, batch = self.config, batch.to(self.device, non_blocking=True)
        images = batch.images.contiguous(memory_format=torch.channels_last)
        self.told = []
        torch.manual_seed(mixed(config.seed, LAYERS, step, self.rank))  # for layers that draw, as stochastic depth
        tell = (lambda: self.told.append(self.method.progress())) if self.noted(step + 1) else None
        return train_step(self.parallel, self.optimizer, images, batch.targets, config, step, tell)

    def noted(self, step: int) -> bool:
        """Whether the log has a line about this step."""
        return step % self.config.log_every == 0 or step == self.config.steps

    def note(self, step: int, losses: Losses) -> None:
        """Write a line of the log, of all parts of the batch in all processes."""
        own = summed_up([*self.told, self.method.progress()])
        told = mean_of_all({"total": losses.total.item(), **own})
        self.write({"step": step, **told, "lr": self.optimizer.param_groups[0]["lr"]})
        self.shown |= {name: f"{told[name]:.3f}" for name in list(told)[1 : SHOWN + 1]}

    def write(self, line: dict[str, Any]) -> None:
        """Append a line to the log, with the time."""
        line["seconds"] = round(self.training.seconds + time.perf_counter() - self.started, 3)
        self.training.log.append(line)
        if self.log:
            self.log.write(line)

    def save(self, step: int) -> None:
        """Replace the checkpoint, unless it is what would be written."""
        if self.log is None or self.saved == (step, self.best.validated):
            return
        content = {
            "step": step,
            "class_names": self.training.detector.class_names,
            "images": len(self.loader.dataset.dataset),  # pyright: ignore[reportAttributeAccessIssue]
            "about": self.method.about(),
            "state": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "seconds": self.training.seconds + time.perf_counter() - self.started,
            "best": asdict(self.best),
        }
        if self.average:
            content["average"] = self.average.method.state_dict()
        save_checkpoint(self.config.run_dir, self.config, content)
        self.saved = (step, self.best.validated)


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
