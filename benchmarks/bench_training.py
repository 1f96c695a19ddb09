"""A training step at 192 px, batches of 8: where its time goes, what a small decoder and frozen stages save, and the
same step of torchvision's RetinaNet around the same backbone. The ratios are of one process, and are what to quote.

Photographs are made up (noise in JPEG files of 320 x 240, as large as VOC's are), so that reading them counts too.
"""

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional

from lapnet_core.assign import assign
from lapnet_core.config import TrainConfig, small_photos
from lapnet_core.data import collate, train_transform
from lapnet_core.data.collate import flatten_targets
from lapnet_core.data.common import as_boxes
from lapnet_core.peers import method_class
from lapnet_core.step import make_optimizer, train_step
from lapnet_core.timing import MadeUp, machine_name, seconds_each

CLASSES, BATCH = 6, 8


def photographs() -> list[bytes]:
    """JPEG files as a data set holds them."""
    generator = np.random.default_rng(0)
    files = []
    for _ in range(BATCH):
        coarse = Image.fromarray(generator.integers(0, 255, (30, 40, 3), dtype=np.uint8))
        file = io.BytesIO()
        coarse.resize((320, 240), Image.Resampling.BICUBIC).save(file, "JPEG", quality=88)
        files.append(file.getvalue())
    return files


def read(config: TrainConfig, files: list[bytes]) -> Callable[[], object]:
    """Decoding, augmentation and collation of a batch."""
    augment, data = train_transform(config.image_size), MadeUp(CLASSES, (240, 320))

    def work() -> object:
        samples = []
        for file in files:
            pixels = functional.pil_to_tensor(Image.open(io.BytesIO(file)).convert("RGB"))
            target = data.target(0)
            target["boxes"] = as_boxes(target["boxes"], (240, 320))
            samples.append(augment(tv_tensors.Image(pixels), target))
        return collate(samples)

    return work


def step(config: TrainConfig) -> dict[str, float]:
    """Seconds of a step and of its parts."""
    data = MadeUp(CLASSES, config.image_size)
    torch.manual_seed(0)
    method = method_class(config.method).create(config, data, progress=False)
    method = method.to(memory_format=torch.channels_last).train()
    optimizer = make_optimizer(method, replace(config, lr=1e-6))
    images = torch.randn(BATCH, 3, *config.image_size).contiguous(memory_format=torch.channels_last)
    targets = [data.target(0)] * BATCH
    parts = {"step": seconds_each(lambda: train_step(method, optimizer, images, targets, replace(config, lr=1e-6), 0))}
    if config.method == "lapnet":
        network: torch.nn.Module = method.model  # pyright: ignore[reportAssignmentType]
        parts["forward"] = seconds_each(lambda: network(images))
        with torch.no_grad():
            scores, offsets = network(images)
        shapes, criterion = method.shapes, method.criterion
        boxes, labels, image = flatten_targets(targets)
        grid = (scores.shape[3], scores.shape[4])
        parts["loss"] = seconds_each(lambda: criterion(scores, offsets, shapes, targets))  # pyright: ignore
        parts["of it assignment"] = seconds_each(lambda: assign(shapes, grid, boxes, labels, image, BATCH))  # pyright: ignore
    return parts


def main() -> None:
    base = replace(small_photos(), weights="none")
    print(f"{machine_name()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    reading = seconds_each(read(base, photographs()))
    rows = {
        "small_photos": base,
        "nothing frozen": replace(base, frozen=0),
        "the default widths": replace(base, widths=(256, 64, 128)),
        "both": replace(base, frozen=0, widths=(256, 64, 128)),
        "light, from scratch": replace(base, backbone="light", frozen=0),
        "RetinaNet (torchvision)": replace(base, method="retinanet"),
    }
    times = {name: step(config) for name, config in rows.items()}
    first = times["small_photos"]
    print(f"{'':26} {'step':>8} {'images/s':>9} {'ratio':>6}   (with reading: {1000 * reading:.0f} ms a batch)")
    for name, parts in times.items():
        speed = BATCH / (parts["step"] + reading)
        print(f"{name:26} {1000 * parts['step']:5.0f} ms {speed:9.1f} {parts['step'] / first['step']:6.2f}")
    whole = first["step"] + reading
    shares = {"reading": reading, "forward": first["forward"], "loss": first["loss"]}
    shares["backward and update"] = whole - sum(shares.values())
    told = ", ".join(f"{name} {seconds / whole:.0%}" for name, seconds in shares.items())
    print(f"small_photos: {told}; assignment alone {first['of it assignment'] / whole:.1%}")


if __name__ == "__main__":
    main()
