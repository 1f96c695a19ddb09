"""What the VOC and the COCO reader share: safe names, decoding, the rules for boxes, and the data set itself."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64, UInt8
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from lapnet_core.data.types import DataError, Sample, Skipped, SkipReport, Target, Transform

# COCO writes its boxes with two decimals, so that x + w may pass the border by a rounding error. Up to this many
# pixels a box is cut at the border without a word; beyond it, the cut is counted in the report as "clipped".
EDGE_TOLERANCE = 0.02

# Other decoders of Pillow are never reached, whatever a file's name says.
IMAGE_FORMATS = ("JPEG", "PNG", "BMP", "WEBP")

# Beyond, Pillow takes an image for a decompression bomb. A side has to stay exact in float32, as boxes are.
MAX_PIXELS = 178_956_970
MAX_SIDE = 1 << 24

# Greater coordinates are no data: they would only overflow further on.
FARTHEST = 1e9


class ImageRecord(NamedTuple):
    """Where an image lies, what the annotations call it, and the size in pixels that they give."""

    path: str
    image_id: int | str
    height: int
    width: int


def as_boxes(boxes: Float32[Tensor, "G 4"], size: tuple[int, int]) -> Float32[tv_tensors.BoundingBoxes, "G 4"]:
    """Marks (G, 4) xyxy boxes as lying in an image of this (height, width), so that transforms move them with it."""
    return tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=size)  # pyright: ignore[reportCallIssue]


def safe_name(name: str) -> bool:
    """Whether a file name taken from the data stays inside the folder that it is joined to."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and not set(name) & set("\\:\0")


def safe_size(height: int, width: int) -> bool:
    """Whether an image can have this size, in pixels."""
    return 0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE and height * width <= MAX_PIXELS


def files_in(folder: Path) -> set[str]:
    """The names of the files directly in a folder, read once: cheaper than asking for each of 118,000 images.

    Raises:
        DataError: the folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except OSError as error:
        raise DataError(f"{folder}: cannot read this folder of images ({error.strerror})") from error


def read_image(path: str | Path, size: tuple[int, int]) -> UInt8[tv_tensors.Image, "3 H W"]:
    """An annotated image as a tensor: `read_picture` with the (height, width) that its annotation gives."""
    return v2.functional.to_image(read_picture(path, size))


def read_picture(path: str | Path, size: tuple[int, int] | None = None) -> Image.Image:
    """Decodes an image file to RGB, 8 bits per channel: the one reader of training, evaluation and prediction.

    Grey, palette and CMYK images are converted, transparency is dropped, and of 16 bits the upper 8 are kept.

    Args:
        path: JPEG, PNG, BMP or WebP, told by content. Anything but a regular file is not even opened: a pipe would
            block.
        size: (height, width) that the annotations give; it is compared before anything is decoded, and an EXIF
            orientation is NOT applied, as the boxes of VOC and COCO were drawn on the stored pixels. None: there is no
            annotation, any size will do, and the image is turned upright.

    Raises:
        DataError: the file is missing, is no such image, is damaged, has no or too many pixels, or another size.
    """
    if not os.path.isfile(path):
        raise DataError(f"{path}: cannot read this image (it is missing, or no regular file)")
    try:
        with Image.open(path, formats=IMAGE_FORMATS) as image:
            found = (image.height, image.width)
            fits = safe_size(*found) and size in (None, found)
            upright = ImageOps.exif_transpose(image) if fits and size is None else image
            picture = to_rgb(upright) if fits else None
    except (
        Exception
    ) as error:  # on damaged files Pillow raises OSError, SyntaxError, ValueError, struct.error and others
        raise DataError(f"{path}: cannot read this image ({error})") from error
    if picture is None:
        said = "which no image can have"
        if size is not None:
            said = f"its annotation says {size[1]} x {size[0]}, so that its boxes cannot be trusted"
        raise DataError(f"{path}: the image is {found[1]} x {found[0]} (width x height), {said}")
    return picture


def to_rgb(image: Image.Image) -> Image.Image:
    """Any image of Pillow as 8-bit RGB."""
    if image.mode.startswith("I"):  # 16-bit grey: "I;16", or "I" in older versions of Pillow; convert() would saturate
        grey = np.asarray(image).clip(0, 65535) >> 8
        image = Image.fromarray(grey.astype(np.uint8))
    elif image.mode == "P":  # by way of RGBA, as a palette may hold transparency
        image = image.convert("RGBA")
    return image.convert("RGB")


def clip_boxes(
    boxes: Float64[np.ndarray, "G 4"],
    sizes: Int64[np.ndarray, "G 2"],
    report: SkipReport,
    describe: Callable[[int], str],
    *,
    min_area: float,
) -> tuple[Float32[np.ndarray, "G 4"], Bool[np.ndarray, " G"]]:
    """Cuts boxes at the border of their image and finds those that are unusable.

    A box that passes the border by more than `EDGE_TOLERANCE` pixels is noted as "clipped"; one that has not more than
    `min_area` left (so also one outside, or turned inside out) is a fault of kind "object".

    Args:
        boxes: (G, 4) xyxy in continuous pixels, finite.
        sizes: (G, 2) height and width of each box's image.
        report: takes the faults and the notes, and raises under the policy "raise".
        describe: names the file and the object of a row, for messages.
        min_area: in square pixels.

    Returns:
        (G, 4) the clipped boxes, and (G,) which of them are usable.
    """
    border = sizes[:, [1, 0, 1, 0]]
    clipped = boxes.clip(0, border).astype(np.float32)  # before the test: float32 decides whether an extent is left
    sides = clipped[:, 2:] - clipped[:, :2]
    usable = (sides > 0).all(axis=1) & (sides.prod(axis=1) > min_area)
    beyond = np.maximum(-boxes, boxes - border).max(axis=1, initial=0) > EDGE_TOLERANCE
    for row in map(int, np.flatnonzero(~usable | beyond)):
        numbers = ", ".join(f"{value:g}" for value in boxes[row])
        box = f"box ({numbers}) (x1, y1, x2, y2; continuous) of the {sizes[row, 1]} x {sizes[row, 0]} image"
        if usable[row]:
            report.note("clipped", f"{describe(row)}: {box} reaches beyond it")
        else:
            report.fault("object", f"{describe(row)}: {box} must cover more than {min_area:g} px² inside it")
    return clipped, usable


class DetectionDataset(Dataset[Sample | Skipped]):
    """Images with boxes. The objects of all images lie in flat arrays, so that worker processes share their memory.

    Attributes:
        class_names: names of the labels 0, 1, ...
        transform: called as transform(image, target); None hands on the image as uint8.
        report: what was left out or clipped. What a worker process of a DataLoader skips is counted in its own copy:
            take the messages of a `Batch` there.
    """

    def __init__(
        self,
        images: Sequence[ImageRecord],
        image_index: Int64[np.ndarray, " G"],
        boxes: Float32[np.ndarray, "G 4"],
        labels: Int64[np.ndarray, " G"],
        difficult: Bool[np.ndarray, " G"],
        *,
        class_names: Sequence[str],
        report: SkipReport,
        transform: Transform | None,
    ) -> None:
        if len(set(class_names)) < len(class_names):
            raise ValueError(f"class_names: a name is there twice in {', '.join(class_names)}")
        order = np.argsort(image_index, kind="stable")
        self._images = list(images)
        self._first = np.searchsorted(image_index[order], np.arange(len(images) + 1))
        self._boxes = torch.from_numpy(boxes[order])
        self._labels = torch.from_numpy(labels[order])
        self._difficult = torch.from_numpy(difficult[order])
        self._unreadable: set[int] = set()
        self.class_names: tuple[str, ...] = tuple(class_names)
        self.report = report
        self.transform = transform

    def __len__(self) -> int:
        return len(self._images)

    def target(self, index: int) -> Target:
        """The annotation alone, before any transform; the image is not opened.

        The tensors are copies: changing them leaves the data set as it is.
        """
        record = self._images[index]
        index = range(len(self))[index]
        objects = slice(int(self._first[index]), int(self._first[index + 1]))
        size = (record.height, record.width)
        return Target(
            boxes=as_boxes(self._boxes[objects].clone(), size),
            labels=self._labels[objects].clone(),
            difficult=self._difficult[objects].clone(),
            image_id=record.image_id,
            original_size=size,
        )

    def __getitem__(self, index: int) -> Sample | Skipped:
        """The image as (3, H, W) uint8 RGB with its target, both transformed if there is a transform.

        Raises:
            DataError: the image cannot be read or has another size than its annotation says; under
                `on_error="skip"` the answer is a `Skipped` instead.
        """
        target = self.target(index)
        try:
            image = read_image(self._images[index].path, target["original_size"])
        except DataError as error:
            index = range(len(self))[index]
            if index not in self._unreadable:  # counted once, however many epochs there are
                self.report.fault("image", str(error))
                self.report.note("lost", str(error), len(target["labels"]))
                self._unreadable.add(index)
            return Skipped(str(error))
        return (image, target) if self.transform is None else self.transform(image, target)
