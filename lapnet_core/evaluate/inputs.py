"""The one check of what evaluation is handed, whichever metric asks; it also lays all images end to end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lapnet_core.inputs import check_images, check_list, check_number, shown


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


def names_of(detections: Any, targets: Any, num_classes: int, class_names: Sequence[str] | None) -> tuple[str, ...]:
    """The names, "0", "1", ... by default; ValueError where images or classes are not as many on both sides."""
    check_list("detections", detections)
    check_list("targets", targets)
    if len(detections) != len(targets):
        raise ValueError(f"{len(detections)} images in detections, {len(targets)} in targets")
    check_number("num_classes", num_classes, 1, whole=True)
    names = tuple(str(c) for c in range(num_classes)) if class_names is None else class_names
    if isinstance(names, str) or len(names) != num_classes:
        raise ValueError(f"class_names must be {num_classes} names, not {shown(names)}")
    return tuple(names)


def flatten_images(samples: Sequence[Mapping[str, Any]], num_classes: int, *, key: str) -> FlatBoxes:
    """Checks detections (``key="scores"``) or targets (``key="difficult"``) and lays all images end to end.

    Raises:
        ValueError: naming the image and, where there is one, the row: a missing entry, a wrong shape or dtype, a label
            outside 0..num_classes-1, a box or score that is not finite, a box with x2 < x1 or y2 < y1 (a box of no
            area passes: COCO has some).
    """
    what = "detections" if key == "scores" else "targets"
    check_images(what, samples, key=key)
    check_number("num_classes", num_classes, 1, whole=True)
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for sample in samples:
        values = sample[key] if key in sample else torch.zeros_like(sample["labels"], dtype=torch.bool)
        parts.append((sample["boxes"], sample["labels"], values))
    empty = (torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.bool))
    boxes, labels, values = (torch.cat(column).detach().cpu() for column in zip(*(parts or [empty]), strict=True))
    sizes = [part[0].shape[0] for part in parts]
    first_row = np.cumsum([0, *sizes])
    flat = FlatBoxes(
        boxes=boxes.double().numpy(),
        labels=labels.long().numpy(),
        images=np.repeat(np.arange(len(parts)), sizes),
        values=(values.double() if key == "scores" else values).numpy(),
    )

    def refuse(wrong: Any, why: str, values: np.ndarray) -> None:
        if wrong.any():
            row = int(wrong.argmax())
            image = int(flat.images[row])
            raise ValueError(f"{what} of image {image}, row {row - first_row[image]}: {why}: {values[row].tolist()}")

    refuse(~np.isfinite(flat.boxes).all(1), "box is not finite", flat.boxes)
    turned = (flat.boxes[:, 2:] < flat.boxes[:, :2]).any(1)
    refuse(turned, "box is not (x1, y1, x2, y2) with x1 <= x2, y1 <= y2", flat.boxes)
    refuse(~np.isfinite(flat.values), "score is not finite", flat.values)
    refuse((flat.labels < 0) | (flat.labels >= num_classes), f"label is not in 0..{num_classes - 1}", flat.labels)
    return flat
