"""Boxes of a data set without its images."""

import csv
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lapnet_core.data.common import FARTHEST

LONGEST_LINE = 10_000
"""Characters; a box has about fifty. A file of a few kilobytes can hold gigabytes of one line."""


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
        FileNotFoundError: there is no such file.
        OSError: it cannot be read.
        ValueError: a row that is not of this form, by file and line; no gzipped text, or no row at all.
    """
    names: list[str] = []
    corners: list[tuple[float, ...]] = []
    images: dict[str, int] = {}
    index: list[int] = []
    for line, row in _rows(path):
        try:
            box = tuple(float(row[side]) for side in ("xmin", "ymin", "xmax", "ymax"))
            name, image = row["class"], row["image_id"]
            # the comparison is false for NaN; None is the name of fields beyond the columns
            if (
                not name
                or not name.isprintable()
                or not image
                or None in row
                or not all(abs(side) < FARTHEST for side in box)
            ):
                raise ValueError("a name is missing, a field too many, or a number none of pixels")
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: row {line} is no box: {row!r:.300}") from error
        names.append(name)
        index.append(images.setdefault(image, len(images)))
        corners.append(box)
    if not corners:
        raise ValueError(f"{path}: no boxes")
    known = class_names or tuple(sorted(set(names)))
    position = {name: label for label, name in enumerate(known)}
    if len(position) < len(known):
        raise ValueError(f"class_names: a name is there twice in {', '.join(known)}")
    if set(names) - set(known):
        unknown = ", ".join(sorted(set(names) - set(known)))
        raise ValueError(f"{path}: unknown classes {unknown:.300}; known are {', '.join(known)}")
    boxes = torch.tensor(corners).view(-1, 4)
    if one_based:
        boxes[:, :2] -= 1
    usable = (boxes[:, 2:] > boxes[:, :2]).all(1)
    labels = torch.tensor([position[name] for name in names], dtype=torch.int64)
    return BoxTable(
        boxes[usable], labels[usable], torch.tensor(index)[usable], known, len(images), int((~usable).sum())
    )


def _lines(file: TextIOWrapper) -> Iterator[str]:
    while line := file.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise csv.Error(f"a line has more than {LONGEST_LINE} characters")
        yield line


def _rows(path: str | Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            reader = csv.DictReader(_lines(file))
            for row in reader:
                yield reader.line_num, row
    except (gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: this is no table of boxes in gzipped UTF-8 ({error})") from error
