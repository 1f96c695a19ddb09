"""The one check of what evaluation is handed, whichever metric asks; it also lays all images end to end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class FlatBoxes:
    """The boxes of all images in one run of rows, image after image, each image's own order kept.

    boxes: (N, 4) float64 xyxy px. labels, images: (N,) int64. values: (N,) scores (float64) or difficult flags (bool).
    """

    boxes: np.ndarray
    labels: np.ndarray
    images: np.ndarray
    values: np.ndarray

    def take(self, rows: np.ndarray) -> "FlatBoxes":
        """The rows asked for, in that order."""
        return FlatBoxes(self.boxes[rows], self.labels[rows], self.images[rows], self.values[rows])


def flatten_images(samples: Sequence[Mapping[str, Tensor]], num_classes: int, *, key: str) -> FlatBoxes:
    """Checks detections (``key="scores"``) or targets (``key="difficult"``) and lays all images end to end.

    Raises:
        ValueError: naming the image and, where there is one, the row: a missing entry, a wrong shape or dtype, a label
            outside 0..num_classes-1, a box or score that is not finite, a box with x2 < x1 or y2 < y1 (a box of no
            area passes: COCO has some).
    """
    what = "detections" if key == "scores" else "targets"
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for image, sample in enumerate(samples):
        required = ("boxes", "labels", "scores") if key == "scores" else ("boxes", "labels")
        if missing := [name for name in required if name not in sample]:
            raise ValueError(f"{what} of image {image}: no {' and no '.join(missing)}")
        boxes, labels = sample["boxes"].detach(), sample["labels"].detach()
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise ValueError(f"{what} of image {image}: boxes must have shape (N, 4), not {tuple(boxes.shape)}")
        values = sample[key].detach() if key in sample else torch.zeros_like(labels, dtype=torch.bool)
        for name, column in (("labels", labels), (key, values)):
            if column.shape != boxes.shape[:1]:
                raise ValueError(
                    f"{what} of image {image}: {len(boxes)} boxes, but {name} has shape {tuple(column.shape)}"
                )
        if labels.is_floating_point() or labels.dtype == torch.bool:
            raise ValueError(f"{what} of image {image}: labels must be integers, not {labels.dtype}")
        if key == "difficult" and values.dtype != torch.bool:
            raise ValueError(f"{what} of image {image}: difficult must be bool, not {values.dtype}")
        parts.append((boxes, labels, values))

    empty = (torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.bool))
    boxes, labels, values = (torch.cat(column).cpu() for column in zip(*(parts or [empty]), strict=True))
    sizes = [len(part[0]) for part in parts]
    first_row = np.cumsum([0, *sizes])
    flat = FlatBoxes(
        boxes=boxes.double().numpy(),
        labels=labels.long().numpy(),
        images=np.repeat(np.arange(len(parts)), sizes),
        values=(values.double() if key == "scores" else values).numpy(),
    )

    def refuse(wrong: Any, why: str, shown: np.ndarray) -> None:
        if wrong.any():
            row = int(wrong.argmax())
            image = int(flat.images[row])
            raise ValueError(f"{what} of image {image}, row {row - first_row[image]}: {why}: {shown[row].tolist()}")

    refuse(~np.isfinite(flat.boxes).all(1), "box is not finite", flat.boxes)
    refuse(
        (flat.boxes[:, 2:] < flat.boxes[:, :2]).any(1),
        "box is not (x1, y1, x2, y2) with x1 <= x2, y1 <= y2",
        flat.boxes,
    )
    refuse(~np.isfinite(flat.values), "score is not finite", flat.values)
    refuse((flat.labels < 0) | (flat.labels >= num_classes), f"label is not in 0..{num_classes - 1}", flat.labels)
    return flat
