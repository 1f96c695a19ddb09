"""From the pixels of a file to the network's input, with the boxes; and back."""

import math

import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from lapnet_core.data.common import as_boxes
from lapnet_core.data.types import Target
from lapnet_core.inputs import check_size

# Of ImageNet, in RGB and in [0, 1]: what the pretrained backbones were trained with.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
MEANS, STDS = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)

# Of an object that the random crop cuts, less than this share of its area is no example of its class: it is dropped.
MIN_KEPT_AREA = 0.25


class TrainTransform:
    """Random scale, crop, flip and colour; see `train_transform`."""

    def __init__(self, size: tuple[int, int], scale: tuple[float, float], flip: float, color: float) -> None:
        self.size, self.scale, self.flip = size, scale, flip
        self.blank = torch.tensor([round(255 * mean) for mean in MEAN], dtype=torch.uint8).repeat(*size, 1)
        self.jitter = v2.ColorJitter(brightness=color, contrast=color, saturation=color) if color else None

    @property
    def largest(self) -> tuple[int, int]:
        """(height, width) in pixels that an image is stretched to at most: no more of it is seen."""
        height, width = _scaled(self.size, self.scale[1])
        return height, width

    def __call__(
        self, image: UInt8[tv_tensors.Image, "3 H W"], target: Target
    ) -> tuple[Float32[Tensor, "3 h w"], Target]:
        """Transforms one sample. Objects that lie outside the crop, or keep too little of themselves, are gone."""
        low, high = self.scale
        scaled = _scaled(self.size, low * (high / low) ** torch.rand(()).item())
        resized, boxes = _stretched(image, target, scaled)
        whole = _areas(boxes)
        (above, top), (before, left) = (_window(*sides) for sides in zip(scaled, self.size, strict=True))
        (height, width), y, x = self.size, top - above, left - before
        window = resized[:, max(0, y) : y + height, max(0, x) : x + width]
        if window.shape[1:] != self.size:
            inside, window = window, self.blank.clone().permute(2, 0, 1)
            window[:, -y : inside.shape[1] - y, -x : inside.shape[2] - x] = inside
        boxes = boxes + torch.tensor([before, above] * 2) - torch.tensor([left, top] * 2)
        boxes = torch.minimum(boxes.clamp(min=0), torch.tensor([width, height] * 2))
        if torch.rand(1) < self.flip:
            window, (x1, y1, x2, y2) = window.flip(-1), boxes.unbind(-1)
            boxes = torch.stack((width - x2, y1, width - x1, y2), -1)
        keep = (_areas(boxes) > 0) & (_areas(boxes) >= MIN_KEPT_AREA * whole)
        kept: Target = {
            **target,
            "boxes": as_boxes(boxes[keep], self.size),
            "labels": target["labels"][keep],
            "difficult": target["difficult"][keep],
        }
        return _to_input(self.jitter(window) if self.jitter else window), kept


def train_transform(
    size: tuple[int, int],
    *,
    scale: tuple[float | int, float | int] = (0.5, 1.5),
    flip: float | int = 0.5,
    color: float | int = 0.0,
) -> TrainTransform:
    """The augmentation of training: random scale and horizontal flip, as in the paper, and a crop to one size.

    The image is stretched once, from the file's pixels to `size` times a random factor, so at factor 1 exactly as
    `eval_transform` does. Then a window of `size` is cut at a random place, the image padded with ImageNet's mean
    colour where it is smaller. An object that keeps less than `MIN_KEPT_AREA` of its area is dropped, also from the
    labels. Random numbers come from torch's global generator, which a DataLoader seeds in each worker.

    Args:
        size: (height, width) of the network's input, px.
        scale: least and greatest factor; log-uniform between them. (1, 1) turns it off.
        flip: probability of the flip.
        color: strength of the jitter of brightness, contrast and saturation; 0 turns it off.

    Returns:
        A callable (image (3, H, W) uint8, target) -> (image (3, *size) float32 normalised, target), for
        `DetectionDataset.transform`.
    """
    check_size("size", size)
    if not 0 < scale[0] <= scale[1] < math.inf:
        raise ValueError(f"scale must be 0 < least <= greatest, not {scale}")
    if not 0 <= flip <= 1 or not 0 <= color < math.inf:
        raise ValueError(f"flip must be in 0..1 and color finite and not negative, not {flip} and {color}")
    return TrainTransform(size, (float(scale[0]), float(scale[1])), float(flip), float(color))


class EvalTransform:
    """What `eval_transform` returns."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size

    def __call__(self, image: UInt8[Tensor, "3 H W"], target: Target) -> tuple[Float32[Tensor, "3 h w"], Target]:
        resized, boxes = _stretched(image, target, self.size)
        return _to_input(resized), {**target, "boxes": as_boxes(boxes, self.size)}


def eval_transform(size: tuple[int, int]) -> EvalTransform:
    """Stretches the image to `size` (height, width) in px and normalises it; no object is dropped.

    Returns:
        A callable as that of `train_transform`, without anything random.
    """
    check_size("size", size)
    return EvalTransform(size)


def denormalize(images: Float[Tensor, "*B 3 H W"]) -> UInt8[Tensor, "*B 3 H W"]:
    """Undoes the normalisation of network inputs, for drawing: RGB, 0 to 255."""
    return ((images * STDS.to(images.device) + MEANS.to(images.device)) * 255).round().clamp(0, 255).to(torch.uint8)


def boxes_to_original(
    boxes: Float[Tensor, "*N 4"], input_size: tuple[int, int], original_size: tuple[int, int]
) -> Float[Tensor, "*N 4"]:
    """Undoes the stretch of `eval_transform` on boxes.

    Args:
        boxes: (..., 4) xyxy in pixels of the network's input.
        input_size: (height, width) of the network's input.
        original_size: (height, width) of the image file, as in `Target`.

    Returns:
        (..., 4) xyxy in pixels of the file, not clipped to it.
    """
    (from_height, from_width), (to_height, to_width) = input_size, original_size
    x, y = to_width / from_width, to_height / from_height
    return boxes * boxes.new_tensor([x, y, x, y])


def _scaled(size: tuple[int, int], factor: float) -> tuple[int, int]:
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _stretched(
    image: UInt8[Tensor, "3 H W"], target: Target, size: tuple[int, int]
) -> tuple[UInt8[Tensor, "3 h w"], Float32[Tensor, "G 4"]]:
    """The pixels and the boxes of an image, as plain tensors, stretched to `size`."""
    (height, width), pixels = image.shape[1:], image.as_subclass(Tensor)
    ratios = torch.tensor([size[1] / width, size[0] / height] * 2)
    return v2.functional.resize(pixels, list(size), antialias=True), target["boxes"].as_subclass(Tensor) * ratios


def _window(length: int, size: int) -> tuple[int, int]:
    """How much is padded at both ends of a side of this length where it is shorter than `size`, and where a window of
    `size` begins on it."""
    padding = max(0, size - length)
    room = length + 2 * padding - size
    return padding, int(torch.randint(0, room + 1, ())) if room else 0


def _to_input(image: UInt8[Tensor, "3 H W"]) -> Float32[Tensor, "3 H W"]:
    # Channel by channel it is three times as fast as on pixels whose three channels lie together.
    return image.contiguous().to(torch.float32).mul_(1 / 255).sub_(MEANS).div_(STDS)


def _areas(boxes: Tensor) -> Tensor:
    x1, y1, x2, y2 = boxes.unbind(-1)
    return (x2 - x1) * (y2 - y1)
