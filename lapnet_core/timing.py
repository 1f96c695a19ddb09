"""Wall times."""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from lapnet_core.config import TrainConfig
from lapnet_core.data import Target
from lapnet_core.peers import method_class
from lapnet_core.processes import pick_device
from lapnet_core.step import make_optimizer, train_step


def seconds_each(work: Callable[[], object], *, warmup: int = 1, repeats: int = 5) -> float:
    """Median wall time of a call in seconds; waits for the GPU where there is one."""
    times = []
    for k in range(warmup + repeats):
        start = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if k >= warmup:
            times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def machine_name(device: str = "cpu") -> str:
    """The processor and its cores, or the GPU, as a record names them."""
    if device != "cpu" and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


class MadeUp:
    """A data set of one grey image with an object of each class, of many sizes, five at least; see `Images`."""

    def __init__(self, num_classes: int, image_size: tuple[int, int]) -> None:
        self.class_names = tuple(f"class {c}" for c in range(num_classes))
        self.image_size = image_size

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> tuple[torch.Tensor, Target]:
        return torch.full((3, *self.image_size), 128, dtype=torch.uint8), self.target(index)

    def target(self, index: int) -> Target:
        count, (height, width) = max(5, len(self.class_names)), self.image_size
        share = torch.linspace(0.1, 0.5, count)[:, None] * torch.tensor([width, height])
        return Target(
            boxes=torch.cat((0.5 * share, 1.5 * share), 1),
            labels=torch.arange(count) % len(self.class_names),
            difficult=torch.zeros(count, dtype=torch.bool),
            image_id=index,
            original_size=self.image_size,
        )


class MadeUpStep:
    """A training step on made-up images, at least five objects each, to be called: it trains `method` on `images` and
    `targets`, by steps too small to lead anywhere."""

    def __init__(self, config: TrainConfig, num_classes: int) -> None:
        device, data = pick_device(config.device), MadeUp(num_classes, config.image_size)
        method = method_class(config.method).create(config, data, progress=False)
        self.method = method.to(device).to(memory_format=torch.channels_last).train()
        self.config = replace(config, lr=1e-6)
        self.optimizer = make_optimizer(self.method, self.config)
        images = torch.randn(config.batch_size, 3, *config.image_size)  # 0 has a variance below 0, by rounding, on GPUs
        self.images = images.to(device).contiguous(memory_format=torch.channels_last)
        target = data.target(0)
        for name in ("boxes", "labels", "difficult"):
            target[name] = target[name].to(device)
        self.targets = [target] * config.batch_size

    def __call__(self) -> object:
        return train_step(self.method, self.optimizer, self.images, self.targets, self.config, 0)


def step_seconds(config: TrainConfig, num_classes: int, repeats: int = 3) -> float:
    """Median wall time of one training step on made-up images."""
    return seconds_each(MadeUpStep(config, num_classes), warmup=1, repeats=repeats)


def bfloat16_gain(config: TrainConfig, num_classes: int, repeats: int = 5) -> float:
    """How many times as fast a training step is in bfloat16. Steps of either kind follow each other in turn, and the
    median of their ratios counts: what else a machine does slows both."""
    steps = [MadeUpStep(replace(config, amp=amp), num_classes) for amp in (False, True)]
    times = [[seconds_each(step, warmup=k == 0, repeats=1) for step in steps] for k in range(repeats)]
    return sorted(plain / half for plain, half in times)[repeats // 2]
