"""What the readers share: the rules for boxes, and the data set itself."""

import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from lapnet_core.data.pictures import read_picture, read_size
from lapnet_core.data.types import DataError, Id, Sample, Skipped, SkipReport, Target, Transform

# COCO writes its boxes with two decimals, so that x + w may pass the border by a rounding error. Up to this many
# pixels a box is cut at the border without a word; beyond it, the cut is counted in the report as "clipped".
EDGE_TOLERANCE = 0.02

# Greater coordinates are no data: they would only overflow further on.
FARTHEST = 1e9

# Beyond a side by more than this share of it a box was not drawn on a picture of this size: no hand slips so far.
SLIP = 0.02


class ImageRecord(NamedTuple):
    """Where an image lies, what the annotations call it, and the size in pixels that they give."""

    path: str
    image_id: Id
    height: int
    width: int


def as_boxes(boxes: Float32[Tensor, "G 4"], size: tuple[int, int]) -> Float32[tv_tensors.BoundingBoxes, "G 4"]:
    """Marks (G, 4) xyxy boxes as lying in an image of this (height, width), so that transforms move them with it."""
    return tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=size)  # pyright: ignore[reportCallIssue]


class Object(NamedTuple):
    """An object as it was read: the index of its image, its box (xyxy, continuous px, finite) and class, and the file
    and number that name it in messages."""

    image: int
    box: Sequence[float]
    name: str
    difficult: bool
    file: Path | str
    number: int | str


def usable(
    objects: Sequence[Object],
    what: str,
    images: list[ImageRecord],
    class_names: Sequence[str] | None,
    report: SkipReport,
    min_area: float,
) -> tuple[tuple[Any, Any, Any, Any], Sequence[str]]:
    """Image index, box, label and difficulty of the objects that can be used, as columns; and the class names: where
    none are given, those that are found, sorted.

    Boxes are cut at the border of their image. One that passes it by more than `EDGE_TOLERANCE` pixels is noted as
    "clipped"; one that has not more than `min_area` px² left (so also one outside, or turned inside out) is a fault of
    kind "object". `what` is what an object is called in its file, such as "line". Sizes of images are mended (`_turn`).
    """
    index = np.array([one.image for one in objects], dtype=np.int64)
    boxes = np.array([one.box for one in objects], dtype=np.float64).reshape(-1, 4)
    _turn(images, index, boxes, report)
    sizes = _sizes(images)[index]
    border = sizes[:, [1, 0, 1, 0]]
    clipped = boxes.clip(0, border).astype(np.float32)  # before the test: float32 decides whether an extent is left
    sides = clipped[:, 2:] - clipped[:, :2]
    use = (sides > 0).all(axis=1) & (sides.prod(axis=1) > min_area)
    beyond = np.maximum(-boxes, boxes - border).max(axis=1, initial=0) > EDGE_TOLERANCE
    for row in map(int, np.flatnonzero(~use | beyond)):
        one, numbers = objects[row], ", ".join(f"{value:g}" for value in boxes[row])
        box = f"box ({numbers}) (x1, y1, x2, y2; continuous) of the {sizes[row, 1]} x {sizes[row, 0]} image"
        where = f"{one.file}: {what} {one.number} ({one.name}): {box}"
        if use[row]:
            report.note("clipped", f"{where} reaches beyond it")
        else:
            report.fault("object", f"{where} must cover more than {min_area:g} px² inside it")
    kept = [one for one, usable in zip(objects, use, strict=True) if usable]
    names = class_names or sorted({one.name for one in kept})
    label_of = {name: label for label, name in enumerate(names)}
    labels = np.array([label_of[one.name] for one in kept], dtype=np.int64)
    return (index[use], clipped[use], labels, np.array([one.difficult for one in kept], dtype=bool)), names


def _sizes(images: Sequence[ImageRecord]) -> Int64[np.ndarray, "N 2"]:
    return np.array([(image.height, image.width) for image in images], dtype=np.int64).reshape(-1, 2)


def _turn(images: list[ImageRecord], index: np.ndarray, boxes: np.ndarray, report: SkipReport) -> None:
    """Turns stated sizes that are those of the stored pictures, though EXIF turns these by a quarter and their boxes
    were drawn upright, as Label Studio's COCO has it. A box that is beyond the stated size and within the upright one
    tells. It tells it of all images of the data, unless one is there whose boxes only fit as it is stored."""

    def turned(which: Any) -> list[int]:
        return [n for n in np.flatnonzero(which).tolist() if _is_turned(images[n])]

    sizes, farthest = _sizes(images), np.zeros((len(images), 2))
    np.maximum.at(farthest, index, boxes[:, [3, 2]])
    stored, upright = ((farthest <= sides * (1 + SLIP)).all(1) for sides in (sizes, sizes[:, ::-1]))
    found = turned(upright & ~stored)
    if found and not turned(stored & ~upright):
        found = turned(upright)
    for n in found:
        path, _, height, width = images[n]
        images[n] = images[n]._replace(height=width, width=height)
        report.note("upright", f"{path}: stored as {width} x {height} (width x height)")


def _is_turned(image: ImageRecord) -> bool:
    """Whether the size of an image is that of the stored picture and not of the upright one."""
    with suppress(DataError):  # it is told when the image is read
        stored, upright, _ = read_size(image.path)
        return (image.height, image.width) == stored != upright
    return False


class DetectionDataset(Dataset[Sample | Skipped]):
    """Images with boxes. The objects of all images lie in flat arrays, so that worker processes share their memory.

    Attributes:
        class_names: names of the labels 0, 1, ...
        transform: called as transform(image, target); None hands on the image as uint8.
        upright: whether what annotated it is known to show images upright. Else one that is taken upright though its
            size does not tell (see `read_picture`) is counted as "turned".
        made_splits: the names of every split, where the data has none and we made it.
    """

    upright: bool = False
    made_splits: Mapping[str, Sequence[str]] | None = None

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
        if unusable := [name for name in class_names if not name.isprintable()]:
            raise ValueError(f"class_names: {unusable[0]!r} holds a line break or another character without a shape")
        order = np.argsort(image_index, kind="stable")
        self._images = list(images)
        self._first = np.searchsorted(image_index[order], np.arange(len(images) + 1))
        self._boxes = torch.from_numpy(boxes[order])
        self._labels = torch.from_numpy(labels[order])
        self._difficult = torch.from_numpy(difficult[order])
        # Which images turned out to be faulty, shared with the processes that load them; and which are in the report.
        self._faulty = torch.zeros(len(images), dtype=torch.bool).share_memory_()
        self._told: set[int] = set()
        self._report = report
        self.class_names: tuple[str, ...] = tuple(class_names)
        self.transform = transform

    def __len__(self) -> int:
        return len(self._images)

    def file(self, index: int) -> str:
        """The path of an image."""
        return self._images[index].path

    def drop_unused(self) -> list[int]:
        """Leaves out the classes without an object. Returns which labels stay; they become 0, 1, ..."""
        used, labels = self._labels.unique(return_inverse=True)
        self._labels, self.class_names = labels, tuple(self.class_names[label] for label in used.tolist())
        return used.tolist()

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

    @property
    def source(self) -> str:
        """What the data is and how it is split, in a line; empty where the name says it all."""
        return self._report.source

    @property
    def report(self) -> SkipReport:
        """What was left out, clipped or mended so far; also in the worker processes of a DataLoader."""
        for index in set(self._faulty.nonzero().flatten().tolist()) - self._told:
            self._tell(index)
        return self._report

    @property
    def faulty(self) -> Tensor:
        """Whether each image has turned out to be faulty: shared with the processes of a DataLoader; `report` counts
        what is set here from elsewhere, too."""
        return self._faulty

    def _tell(self, index: int) -> None:
        """Puts an image that is faulty into the report, once however many epochs there are."""
        self._faulty[index] = True
        self._told.add(index)
        objects = int(self._first[index + 1] - self._first[index])
        try:
            info = self._read(index, (1, 1)).info  # a JPEG as small as it can be: there may be many that are turned
            for kind in {"truncated", "turned"} & info.keys():
                self._report.note(kind, info[kind])
        except DataError as error:
            self._report.note("image", str(error))
            self._report.note("lost", str(error), objects)

    def _read(self, index: int, least: tuple[int, int] | None = None) -> Image.Image:
        record = self._images[index]
        picture = read_picture(record.path, (record.height, record.width), least=least)
        if self.upright:
            picture.info.pop("turned", None)
        return picture

    def __getitem__(self, index: int) -> Sample | Skipped:
        """The image as (3, H, W) uint8 RGB with its target, both transformed if there is a transform. A JPEG that ends
        a little too early is used, and so is an image that may be annotated as it is stored; the first one gives a
        warning, and `report` counts all.

        Raises:
            DataError: the image cannot be read or has another size than its annotation says; under
                `on_error="skip"` the answer is a `Skipped` instead.
        """
        sample = self.load(index)
        return sample if self.transform is None or isinstance(sample, Skipped) else self.transform(*sample)  # pyright: ignore

    def load(self, index: int, least: tuple[int, int] | None = None) -> Sample | Skipped:
        """As `self[index]` without a transform, the image no larger than it has to be to have `least` pixels, (height,
        width); see `read_picture`. Its boxes are in its pixels, and `original_size` stays that of the file."""
        index = range(len(self))[index]
        target = self.target(index)
        try:
            picture = self._read(index, least)
        except DataError as error:
            if self._report.on_error == "raise":
                self._report.fault("image", str(error))
            if index not in self._told:
                self._tell(index)
            return Skipped(str(error))
        if told := picture.info.get("truncated", picture.info.get("turned")):
            if not bool(self._faulty.any()):
                warnings.warn(f"{told}; it is used, and others like it are counted without a word", stacklevel=3)
            if index not in self._told:
                self._tell(index)
        if (reduced := picture.info.get("reduced", 1)) > 1:
            target["boxes"] = as_boxes(target["boxes"].as_subclass(Tensor) / reduced, (picture.height, picture.width))
        return v2.functional.to_image(picture), target


def join(parts: Sequence[DetectionDataset]) -> DetectionDataset:
    """Data sets of the same classes one after the other. An `image_id` that two of them use gets a number before it.

    Raises:
        DataError: two of them have the same image.
    """
    if len(parts) == 1:
        return parts[0]
    records = [record for part in parts for record in part._images]
    paths = [os.path.realpath(record.path) for record in records]
    if len(set(paths)) < len(paths):
        twice = Counter(paths).most_common(1)[0][0]
        raise DataError(f"{twice}: this image is in two of the parts that are read as one: list it in one of them")
    if len({record.image_id for record in records}) < len(records):
        records = [r._replace(image_id=f"{n}/{r.image_id}") for n, part in enumerate(parts) for r in part._images]
    counts = np.concatenate([np.diff(part._first) for part in parts])
    report = SkipReport(parts[0]._report.on_error)
    for part in parts:
        report.add(part._report)
    columns = zip(*((part._boxes, part._labels, part._difficult) for part in parts), strict=True)
    objects = np.repeat(np.arange(len(records)), counts), *(torch.cat(column).numpy() for column in columns)
    how: dict[str, Any] = {"class_names": parts[0].class_names, "transform": parts[0].transform}
    joined = DetectionDataset(records, *objects, report=report, **how)
    joined.upright = parts[0].upright
    return joined
