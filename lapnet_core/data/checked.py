"""What a data set of the user's own gives, checked as it is read: ours have checked theirs."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors

from lapnet_core.data.common import DetectionDataset, as_boxes
from lapnet_core.data.types import DataError, Sample, Target
from lapnet_core.inputs import check_normalised, check_sample, check_tensor
from lapnet_core.scenes import Scenes


def ours(dataset: object) -> bool:
    """Whether a data set is of this package: its images are always the same, and its targets have been checked."""
    return getattr(type(dataset), "__getitem__", None) in (DetectionDataset.__getitem__, Scenes.__getitem__)


def check_dataset(dataset: Any) -> None:
    """DataError, by what is missing, where this is no data set as `named.Images` says."""
    lacks = [name for name in ("class_names", "__len__", "__getitem__", "target") if not hasattr(dataset, name)]
    if lacks:
        raise DataError(
            f"{type(dataset).__name__} is no data set: it has no {lacks[0]} (lapnet_core.data.named.Images)"
        )


def check_target(target: Target, index: int) -> None:
    """DataError unless image `index` can have this target."""
    where = f"target of image {index}: "
    check_sample(where, target, Target.__annotations__)
    height, width = target["original_size"]
    boxes = target["boxes"].as_subclass(Tensor)
    low, high = boxes[:, :2], boxes[:, 2:]
    seen = ((low < high) & (high > 0) & (low < boxes.new_tensor([width, height]))).all(1)  # NaN is none of it
    if not bool(seen.all()):
        told = boxes[~seen][0].tolist()
        raise DataError(f"{where}box {told} has no area in the image of {height}x{width} pixels (height, width)")
    if len(boxes) and bool(boxes.amax() <= 1):
        raise DataError(f"{where}all its boxes lie in one pixel: give pixels, not shares of the image")


def checked(sample: tuple[Any, Target], index: int) -> Sample:
    """Image `index` and its target as torchvision's types, as those of ours are: of plain tensors its transforms would
    turn the image and leave the boxes.

    Raises:
        DataError: the image is not uint8 RGB, not of the size that its target states, or cannot have that target.
    """
    image, target = sample
    check_target(target, index)
    due, has = (3, *target["original_size"]), tuple(getattr(image, "shape", ()))
    kind = image.dtype if isinstance(image, Tensor) else type(image).__name__
    if kind != torch.uint8 or has != due:
        raise DataError(f"image {index} must be uint8 RGB, {due} as its target's original_size says, not {kind} {has}")
    boxes = as_boxes(target["boxes"].as_subclass(Tensor), target["original_size"])
    return tv_tensors.Image(image), {**target, "boxes": boxes}


def by_own(transform: Callable[..., Any], size: tuple[int, int]) -> Callable[..., Sample]:
    """A transform of the user's, which raises a ValueError where it makes nothing for a network of this input size."""
    return partial(_by_own, transform, size)  # which other processes can be sent


def _by_own(transform: Callable[..., Any], size: tuple[int, int], image: Tensor, target: Target) -> Sample:
    image, target = transform(image, target)
    check_tensor("image", image, (3, *size), where="what the transform makes: ")
    check_normalised("images that the transform makes", image)
    check_sample("what the transform makes: ", target, Target.__annotations__)
    return image, target
