"""From samples to a batch. Images are stacked; the objects stay ragged, without padding."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from lapnet_core.data.types import Sample, Skipped, Target


@dataclass(frozen=True)
class Batch:
    """What a DataLoader with `collate` yields.

    images: (B, 3, H, W) float32, normalised. targets: B of them, boxes as plain tensors in pixels of `images`.
    skipped: messages of the samples that could not be loaded and are not among the B.
    """

    images: Float32[Tensor, "B 3 H W"]
    targets: list[Target]
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.targets)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """The same batch with every tensor on `device`."""
        return self._moved(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory; a DataLoader with `pin_memory=True` calls it."""
        return self._moved(lambda tensor: tensor.pin_memory())

    def _moved(self, move: Callable[[Tensor], Tensor]) -> "Batch":
        # The objects move as four tensors, not as three for each image.
        images, boxes, labels, difficult, *rest = self._packed()
        return _unpack(move(images), move(boxes), move(labels), move(difficult), *rest)

    def __reduce__(self) -> tuple[Any, ...]:
        # A worker sends a batch through one open file for each tensor: packed, that is four and not three per image.
        return _unpack, self._packed()

    def _packed(self) -> tuple[Any, ...]:
        boxes = torch.cat([torch.zeros(0, 4, device=self.images.device), *(target["boxes"] for target in self.targets)])
        labels = [target["labels"] for target in self.targets]
        difficult = [target["difficult"] for target in self.targets]
        counts = [len(part) for part in labels]
        names = [(target["image_id"], target["original_size"]) for target in self.targets]
        return self.images, boxes, _join(labels, torch.int64), _join(difficult, torch.bool), counts, names, self.skipped


def _join(parts: list[Tensor], dtype: torch.dtype) -> Tensor:
    return torch.cat(parts) if parts else torch.zeros(0, dtype=dtype)


def _unpack(
    images: Tensor,
    boxes: Tensor,
    labels: Tensor,
    difficult: Tensor,
    counts: list[int],
    names: list[tuple[int | str, tuple[int, int]]],
    skipped: tuple[str, ...],
) -> Batch:
    parts = zip(boxes.split(counts), labels.split(counts), difficult.split(counts), names, strict=True)
    targets = [
        Target(boxes=box, labels=label, difficult=hard, image_id=image_id, original_size=size)
        for box, label, hard, (image_id, size) in parts
    ]
    return Batch(images, targets, skipped)


def collate(samples: Sequence[Sample | Skipped]) -> Batch:
    """Stacks samples of one size; for a DataLoader's `collate_fn`.

    Args:
        samples: transformed (image, target) pairs; a `Skipped` leaves only its message.

    Returns:
        The batch; where all were skipped, its images are (0, 3, 0, 0).

    Raises:
        ValueError: the images are not float32 or not of one size, as without a transform.
    """
    skipped = tuple(sample.message for sample in samples if isinstance(sample, Skipped))
    usable = [sample for sample in samples if not isinstance(sample, Skipped)]
    kinds = {(tuple(image.shape), image.dtype) for image, _ in usable}
    if len(kinds) > 1 or any(dtype != torch.float32 for _, dtype in kinds):
        raise ValueError(
            "collate needs float32 images of one size: give the data set train_transform(size) or eval_transform(size);"
            f" it got {sorted(str(kind) for kind in kinds)}"
        )
    images = torch.stack([image.as_subclass(Tensor) for image, _ in usable]) if usable else torch.zeros(0, 3, 0, 0)
    targets: list[Target] = [{**target, "boxes": target["boxes"].as_subclass(Tensor).float()} for _, target in usable]
    return Batch(images, targets, skipped)


def flatten_targets(
    targets: Sequence[Target], *, include_difficult: bool = False
) -> tuple[Float32[Tensor, "G 4"], Int64[Tensor, " G"], Int64[Tensor, " G"]]:
    """The objects of a batch in one row, as `assign` takes them.

    Args:
        targets: of the images of a batch, in order.
        include_difficult: difficult objects are left out unless this is True, as they are not trained on. A target
            without that key has none.

    Returns:
        boxes (G, 4) xyxy px, labels (G,), and image_index (G,), the place of each object's image in the batch; on the
        device of the targets.

    Raises:
        ValueError: "difficult" is not bool: of integers, ~ would make everything difficult.
    """
    if not targets:
        return torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)
    boxes = torch.cat([target["boxes"].as_subclass(Tensor) for target in targets])
    labels = torch.cat([target["labels"] for target in targets])
    counts = torch.tensor([len(target["labels"]) for target in targets])
    image_index = torch.repeat_interleave(counts).to(labels.device)
    if include_difficult:
        return boxes, labels, image_index
    # Targets made by hand for the loss may leave "difficult" out, as in torchvision: then none is.
    nothing = torch.zeros_like(labels, dtype=torch.bool).split(counts.tolist())
    difficult = torch.cat([target.get("difficult", none) for target, none in zip(targets, nothing, strict=True)])
    if difficult.dtype != torch.bool or len(difficult) != len(labels):
        raise ValueError(f'"difficult" must be one bool an object, not {len(difficult)} {difficult.dtype}')
    use = ~difficult
    return boxes[use], labels[use], image_index[use]
