"""What public functions are handed, checked before anything is computed: one sentence that names the argument.

Shapes and dtypes cost nothing. Values are looked at where they are few, all in one `bool`, as a GPU is waited for.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

FARTHEST = 1e9
"""Greater coordinates and sides, in pixels, are no data: they would only overflow."""


def shown(value: Any) -> str:
    """A wrong value as a message repeats it: in one line, and short."""
    return " ".join(repr(value).split())[:80]


def check_number(name: str, value: Any, least: float, most: float = math.inf, *, whole: bool = False) -> None:
    """ValueError unless least <= value <= most, which nan is not; with `whole` an integer."""
    kind: Any = Integral if whole else Real
    if isinstance(value, bool) or not isinstance(value, kind) or not least <= value <= most:
        span = f"at least {least}" if most == math.inf else f"from {least} to {most}"
        raise ValueError(f"{name} must be a {'whole ' if whole else ''}number, {span}, not {shown(value)}")


def check_choice(name: str, value: Any, choices: Iterable[str | bool]) -> None:
    """ValueError unless `value` is one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, not {shown(value)}")


def check_size(name: str, size: Any, multiple: int = 1, most: float = math.inf) -> None:
    """ValueError unless `size` is (height, width), both multiples of `multiple`."""
    if not isinstance(size, Sequence) or len(size) != 2:
        raise ValueError(f"{name} must be (height, width), not {shown(size)}")
    for side in size:
        check_number(name, side, multiple, most, whole=True)
        if side % multiple:
            raise ValueError(f"{name} must be multiples of {multiple}, not {shown(size)}")


def check_tensor(
    name: str, value: Any, shape: Sequence[int | str], kind: str = "float", device: torch.device | None = None,
    where: str = "",
) -> None:  # fmt: skip
    """ValueError unless `value` is a tensor of this shape (a letter stands for any number), kind ("float", "int" or
    "bool") and device; the message begins with `where`."""
    if not isinstance(value, Tensor):
        raise ValueError(f"{where}{name} must be a tensor, not {type(value).__name__}")
    has, dtype = value.shape, value.dtype
    fits = has == shape or (
        len(has) == len(shape) and all(isinstance(n, str) or n == m for n, m in zip(shape, has, strict=True))
    )
    real = "float" if dtype.is_floating_point else "bool" if dtype == torch.bool else "int"
    if not fits or real != kind or dtype.is_complex:
        wanted = ", ".join(map(str, shape))
        raise ValueError(f"{where}{name} must be {kind} of shape ({wanted}), not {dtype} of shape {tuple(has)}")
    if device is not None and value.device != device:
        raise ValueError(f"{where}{name} is on {value.device}, the others on {device}: move all to one device")


def check_outputs(scores: Any, offsets: Any, shapes: Any, grid: Sequence[int | str] = ("C", "A")) -> None:
    """ValueError unless scores [B, C, A, H, W], offsets [B, C, A, 4, H, W] and shapes [C, A, 2] belong together."""
    check_tensor("scores", scores, ("B", *grid, "H", "W"))
    batch, classes, anchors, *size = scores.shape
    check_tensor("offsets", offsets, (batch, classes, anchors, 4, *size), device=scores.device)
    check_tensor("shapes", shapes, (classes, anchors, 2), device=scores.device)


def check_normalised(name: str, images: Tensor) -> None:
    """ValueError unless the values are as `transforms.eval_transform` makes them: those lie in -2.2..2.7."""
    low, high = images.aminmax()
    if not (low >= -10 and high <= 10):
        raise ValueError(f"{name} must be normalised, as `eval_transform` does it; they span {low:g} to {high:g}")


def check_thresholds(score_threshold: float, nms_iou: float, candidates: int, max_detections: int) -> None:
    """ValueError unless these are what `predict.detect` takes."""
    check_number("score_threshold", score_threshold, 0, 1)
    check_number("nms_iou", nms_iou, 0, 1)
    check_number("candidates", candidates, 1, whole=True)
    check_number("max_detections", max_detections, 1, whole=True)


def check_list(name: str, value: Any) -> None:
    """ValueError unless `value` is a list, or the like."""
    if isinstance(value, Mapping | str) or not isinstance(value, Sequence):
        raise ValueError(f"{name} must be a list with an entry for each image, not {type(value).__name__}")


def check_images(what: str, samples: Any, images: int | None = None, *, key: str = "difficult") -> None:
    """ValueError unless `samples` are `Target`s, or with the key "scores" `Detection`s, one for each of the images."""
    check_list(what, samples)
    if images not in (None, len(samples)):
        raise ValueError(f"{images} images but {len(samples)} {what}")
    needed = ("boxes", "labels", key) if key == "scores" else ("boxes", "labels")
    device = None
    for n, sample in enumerate(samples):
        check_sample(f"{what} of image {n}: ", sample, needed, key, device)
        device = sample["boxes"].device


def check_sample(
    where: str, sample: Any, needed: Iterable[str], key: str = "difficult", device: torch.device | None = None
) -> None:
    """ValueError, which begins with `where`, unless `sample` is a dict with what is needed, its boxes `xyxy`, and as
    many labels and, where there are any, values of `key`."""
    if not isinstance(sample, Mapping):
        raise ValueError(f"{where}must be a dict of tensors, not {type(sample).__name__}")
    for name in needed:
        if name not in sample:
            raise ValueError(f"{where}no {name}")
    boxes = sample["boxes"]
    check_tensor("boxes", boxes, ("N", 4), "float", device, where)
    if getattr(getattr(boxes, "format", None), "name", "XYXY") != "XYXY":
        raise ValueError(f"{where}boxes must be XYXY, not {boxes.format.name}")
    rows = boxes.shape[:1]
    check_tensor("labels", sample["labels"], rows, "int", boxes.device, where)
    if key in sample:
        check_tensor(key, sample[key], rows, "float" if key == "scores" else "bool", boxes.device, where)


def check_objects(
    boxes: Tensor, labels: Tensor, image_index: Tensor, classes: int, num_images: int, shapes: Tensor | None = None
) -> None:
    """ValueError by number for an object that no image can have, or for a (w, h) in `shapes` that no anchor can."""
    problems = {
        f"label is not in 0..{classes - 1}": (labels < 0) | (labels >= classes),
        f"image index is not in 0..{num_images - 1}": (image_index < 0) | (image_index >= num_images),
        f"box is not finite, or beyond {FARTHEST:g} px": ~(boxes.abs() <= FARTHEST).all(-1),  # so it is with NaN
        "box has no area (x2 <= x1 or y2 <= y1)": ~(boxes[:, 2:] > boxes[:, :2]).all(-1),
    }
    wrong = torch.stack(list(problems.values())).any()
    if not bool(wrong if shapes is None else wrong | ~sizes(shapes).all()):
        return
    if shapes is not None:
        refuse_sizes(shapes)
    what, bad = next((what, bad) for what, bad in problems.items() if bool(bad.any()))
    n = int(bad.nonzero()[0])
    told = f"box {boxes[n].tolist()}, label {int(labels[n])}"
    raise ValueError(f"object {n} of image {int(image_index[n])}: {what}; {told}")


def sizes(shapes: Tensor) -> Tensor:
    """Which sides of (w, h) are positive and finite."""
    return (shapes > 0) & (shapes <= FARTHEST)


def refuse_sizes(shapes: Tensor) -> None:
    """ValueError by class and anchor for the first (w, h) that is no size."""
    for c, a in (~sizes(shapes).all(-1)).nonzero().tolist():
        raise ValueError(f"shapes[{c}, {a}] must be positive and finite, in pixels, not {shapes[c, a].tolist()}")
