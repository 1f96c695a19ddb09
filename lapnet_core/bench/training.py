"""A training step: beside that of other detectors and settings, and what share of it the loss and the reading take."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image

from lapnet_core.bench.line import Line
from lapnet_core.config import TrainConfig, laptop_scenes, paper_voc_darknet53, small_photos
from lapnet_core.data import collate, train_transform
from lapnet_core.data.common import DetectionDataset, ImageRecord
from lapnet_core.data.stream import TrainingStream, Transformed
from lapnet_core.data.types import SkipReport
from lapnet_core.timing import MadeUpStep

CLASSES = 6
HEIGHT, WIDTH, OBJECTS = 375, 500, 5
"""Of a photograph, as VOC's are."""
WIDE = (256, 64, 128)
"""Widths behind a large backbone (`model.WIDTHS`)."""
LIGHT, DARKNET = 0.10, 0.05
"""Largest shares of the loss in a step."""


def lines(quick: bool) -> Iterator[Line]:
    """Forward, loss, backward and update on made-up images, with weights that are random: the time is the same."""
    times = 3 if quick else 9
    small = replace(small_photos(), weights="none", batch_size=4 if quick else 8)
    step = MadeUpStep(small, CLASSES)
    size = f"{small.image_size[0]} px, batches of {small.batch_size}"
    others = {
        "torchvision's RetinaNet, same backbone": replace(small, method="retinanet"),
        f"nothing frozen, widths {WIDE}": replace(small, frozen=0, widths=WIDE),
    }
    for against, config in others.items():
        yield Line(f"step, small_photos, {size}", against, step, MadeUpStep(config, CLASSES), repeats=times)
    with TemporaryDirectory() as folder:
        read, kept = reading(Path(folder), small), reading(Path(folder), small, keep=1e9)
        what = f"reading of {small.batch_size} photographs of {WIDTH} x {HEIGHT}, one process"
        yield Line(what, "step, small_photos", read, step, repeats=times)
        what = f"reading of {small.batch_size} photographs kept in memory"
        yield Line(what, "decoded each time", kept, read, repeats=times)
    yield share_of_loss("light", replace(laptop_scenes(), batch_size=small.batch_size), 7, LIGHT, times)
    if not quick:
        batch = (
            7 if torch.cuda.is_available() else 1
        )  # the paper's share of one GPU; a processor is busy with one image
        paper = replace(paper_voc_darknet53(), weights="none", batch_size=batch)
        yield share_of_loss("DarkNet-53", paper, 20, DARKNET, 5)


def share_of_loss(name: str, config: TrainConfig, num_classes: int, limit: float, repeats: int) -> Line:
    """LapNet's loss, forward and backward to scores and offsets, in the step that it is part of."""
    step = MadeUpStep(config, num_classes)
    method: Any = step.method
    with torch.no_grad():
        outputs = [output.requires_grad_() for output in method.model(step.images)]

    def loss() -> object:
        total = method.criterion(*outputs, method.shapes, step.targets).total
        return torch.autograd.grad(total, outputs)

    size = "x".join(map(str, config.image_size))
    return Line(f"loss of {name}, {size}, batch of {config.batch_size}", "the whole step", loss, step, limit, repeats)


def reading(folder: Path, config: TrainConfig, keep: float = 0) -> Callable[[], object]:
    """Decoding, augmentation and collation of the next batch of a training on photographs, which are made up: noise in
    JPEG files of VOC's size, five objects each. `keep` bytes of them stay in memory once they are decoded."""
    generator, records = np.random.default_rng(0), []
    for n in range(config.batch_size):
        coarse = Image.fromarray(generator.integers(0, 255, (47, 63, 3), dtype=np.uint8))
        path = folder / f"{n}.jpg"
        coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(path, "JPEG", quality=88)
        records.append(ImageRecord(str(path), n, HEIGHT, WIDTH))
    image = np.repeat(np.arange(config.batch_size), OBJECTS)
    corner = generator.uniform(0, 200, (len(image), 2))
    boxes = np.concatenate((corner, corner + generator.uniform(20, 175, corner.shape)), 1).astype(np.float32)
    what = {"class_names": [str(c) for c in range(CLASSES)], "report": SkipReport(), "transform": None}
    data = DetectionDataset(records, image, boxes, image % CLASSES, np.zeros(len(image), dtype=bool), **what)
    stream = TrainingStream(Transformed(data, train_transform(config.image_size), keep), config.seed)
    positions = iter(range(1 << 30))
    return lambda: collate([stream[next(positions)] for _ in records])
