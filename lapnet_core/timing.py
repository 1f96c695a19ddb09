"""Wall times."""

import time
from collections.abc import Callable
from dataclasses import replace

import torch

from lapnet_core.config import TrainConfig
from lapnet_core.data import Target
from lapnet_core.losses import LapNetLoss
from lapnet_core.model import LapNet
from lapnet_core.processes import pick_device
from lapnet_core.train import Trainee, make_optimizer, train_step


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


def step_seconds(config: TrainConfig, num_classes: int, repeats: int = 3) -> float:
    """Median wall time of one training step on made-up images, five objects each."""
    device = pick_device(config.device)
    model = LapNet(num_classes, config.anchors_per_class, config.backbone)
    loss = LapNetLoss(num_classes, config.anchors_per_class, balance=config.balance, ams=config.ams)
    trainee = Trainee(model, loss, config.amp).to(device).to(memory_format=torch.channels_last).train()
    optimizer = make_optimizer(trainee, replace(config, lr=1e-6))
    height, width = config.image_size
    images = torch.zeros(config.batch_size, 3, height, width, device=device).contiguous(
        memory_format=torch.channels_last
    )
    shapes = torch.linspace(8, min(height, width), config.anchors_per_class, device=device)
    shapes = shapes[None, :, None].expand(num_classes, -1, 2)
    corner = torch.tensor([[0.1, 0.1], [0.3, 0.2], [0.5, 0.5], [0.2, 0.6], [0.6, 0.1]]) * torch.tensor([width, height])
    target = Target(
        boxes=torch.cat((corner, corner + 0.2 * min(height, width)), 1).to(device),
        labels=(torch.arange(5) % num_classes).to(device),
        difficult=torch.zeros(5, dtype=torch.bool, device=device),
        image_id=0,
        original_size=config.image_size,
    )
    targets = [target] * config.batch_size
    return seconds_each(
        lambda: train_step(trainee, optimizer, images, targets, shapes, config, 0), warmup=1, repeats=repeats
    )
