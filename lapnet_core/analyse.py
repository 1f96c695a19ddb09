"""Studies of assignment and speed: numbers out, no drawing."""

import csv
import gzip
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lapnet_core.anchors import cluster_anchors
from lapnet_core.assign import POSITIVE_THRESHOLD, assign
from lapnet_core.boxes import STRIDE, area
from lapnet_core.config import TrainConfig
from lapnet_core.data import Target
from lapnet_core.losses import LapNetLoss
from lapnet_core.model import LapNet
from lapnet_core.processes import pick_device
from lapnet_core.train import Trainee, make_optimizer, train_step

SMALL_AREA = 32.0**2
"""COCO's limit of a small object, in square pixels of the original image."""

IMAGES_AT_ONCE = 16


@dataclass(frozen=True)
class BoxTable:
    """The boxes of a data set without its images."""

    boxes: Float[Tensor, "G 4"]
    """`xyxy`, continuous, in pixels of the original images."""
    labels: Int[Tensor, " G"]
    image_index: Int[Tensor, " G"]
    class_names: tuple[str, ...]
    num_images: int
    dropped: int
    """Rows without area, left out."""


def read_boxes(path: str | Path, *, one_based: bool, class_names: tuple[str, ...] | None = None) -> BoxTable:
    """Read a CSV (gzip) with the columns image_id, class, xmin, ymin, xmax, ymax.

    Args:
        one_based: VOC's pixels, inclusive and counted from 1; COCO's are continuous and start at 0.
        class_names: order of the labels; None sorts the names found.

    Raises:
        ValueError: a row that is not of this form, by file and line.
    """
    names: list[str] = []
    corners: list[tuple[float, ...]] = []
    images: dict[str, int] = {}
    index: list[int] = []
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            try:
                box = tuple(float(row[side]) for side in ("xmin", "ymin", "xmax", "ymax"))
                names.append(row["class"])
                index.append(images.setdefault(row["image_id"], len(images)))
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{path}: row {len(corners) + 2} is no box: {row}") from error
            corners.append(box)
    known = class_names or tuple(sorted(set(names)))
    position = {name: label for label, name in enumerate(known)}
    if set(names) - set(known):
        raise ValueError(f"{path}: unknown classes {sorted(set(names) - set(known))}")
    boxes = torch.tensor(corners).view(-1, 4)
    if one_based:
        boxes[:, :2] -= 1
    usable = (boxes[:, 2:] > boxes[:, :2]).all(1)
    labels = torch.tensor([position[name] for name in names], dtype=torch.int64)
    return BoxTable(
        boxes[usable], labels[usable], torch.tensor(index)[usable], known, len(images), int((~usable).sum())
    )


@dataclass(frozen=True)
class Coverage:
    """How many objects are left without any positive anchor (overlap > 0.5)."""

    objects: int
    small: int
    """Objects under SMALL_AREA."""
    missed_ao: int
    missed_ao_small: int
    missed_pono: int
    """With the rescue."""
    rescued: int
    """Objects with an empty cluster: what PONO misses without the rescue."""

    @property
    def share_missed_ao(self) -> float:
        """Share of all objects, 0 to 1."""
        return self.missed_ao / max(1, self.objects)

    @property
    def share_missed_ao_small(self) -> float:
        """Share of the small objects, 0 to 1."""
        return self.missed_ao_small / max(1, self.small)

    def __str__(self) -> str:
        return (
            f"{self.objects} objects, {self.small} of them under 32x32 px. Left without a positive anchor: "
            f"AO {self.missed_ao} ({self.share_missed_ao:.1%}; of the small ones {self.share_missed_ao_small:.1%}), "
            f"PONO {self.missed_pono}, after {self.rescued} rescues"
        )


def coverage(
    table: BoxTable, shapes: Float[Tensor, "C A 2"], grid_size: tuple[int, int], scale: float, stride: int = STRIDE
) -> Coverage:
    """Assign every image of a table by AO and by PONO, and count the objects that no anchor is positive for.

    Args:
        shapes: anchors, in pixels of the network input.
        grid_size: (H, W) cells.
        scale: pixels of the network input per pixel of the original images.
    """
    missed = {"ao": 0, "pono": 0}
    missed_small = rescued = 0
    boxes = table.boxes * scale
    small = area(table.boxes) < SMALL_AREA
    for first in range(0, table.num_images, IMAGES_AT_ONCE):
        here = (table.image_index >= first) & (table.image_index < first + IMAGES_AT_ONCE)
        if not bool(here.any()):
            continue
        batch = boxes[here], table.labels[here], table.image_index[here] - first, IMAGES_AT_ONCE
        for overlap in ("ao", "pono"):
            result = assign(shapes, grid_size, *batch, stride=stride, overlap=overlap)
            lost = result.peaks <= POSITIVE_THRESHOLD
            missed[overlap] += int(lost.sum())
            if overlap == "ao":
                missed_small += int((lost & small[here]).sum())
                rescued += int(result.rescued.sum())
    return Coverage(len(boxes), int(small.sum()), missed["ao"], missed_small, missed["pono"], rescued)


def table_anchors(table: BoxTable, scale: float, per_class: int = 10, seed: int = 0) -> Float[Tensor, "C A 2"]:
    """Anchors clustered on the boxes of a table, in pixels of the network input (original pixels times `scale`)."""
    sizes = (table.boxes[:, 2:] - table.boxes[:, :2]) * scale
    return cluster_anchors(sizes, table.labels, len(table.class_names), per_class, seed, table.class_names)


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
