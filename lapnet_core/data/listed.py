"""Images and boxes as files list them: what the readers of VOC, YOLO, CVAT, CreateML, LabelMe and tables share."""

import reprlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from lapnet_core.data.common import FARTHEST, DetectionDataset, ImageRecord, Object, usable
from lapnet_core.data.pictures import read_size, safe_size
from lapnet_core.data.types import DataError, OnError, SkipReport, Transform

# A box of a single pixel is a click without a drag. BCCD has two such "red blood cells"; no VOC object is that small.
MIN_AREA = 1.0

# Shares lie in 0..1. What rounding or a polygon drawn over the border adds is cut; more is no share.
BEYOND = 0.01


class Drawn(NamedTuple):
    """An object as its file has it."""

    name: Any
    box: Sequence[float]
    """(x1, y1, x2, y2) in continuous pixels, finite; shares of the image where the `Listed` says so."""
    how: str = ""
    """A kind of the report: "outline" where this is the box around another shape; "line" where there is no box."""
    difficult: bool = False
    problem: str = ""
    """Why it cannot be used, where its name can be read and belongs into the message."""


@dataclass
class Listed:
    """What a file says of one image; nothing of it is checked before a split is opened."""

    file: Path
    name: Any
    """What the file calls the image."""
    split: str
    read: Callable[[Any], Drawn]
    """Reads one of the objects, or raises a ValueError that says what is wrong with it."""
    objects: list[tuple[int, Any]] = field(default_factory=list)
    """Each with its number, for messages."""
    size: tuple[Any, Any] | None = None
    """(height, width) as the file has them; None: its format has no sizes."""
    shares: bool = False
    """Whether boxes are shares of the image, 0 to 1."""
    problem: str = ""
    """Why the image cannot be used."""
    path: Path | None = None
    image_id: str = ""
    """Of the target, where it is not the path below the folder of all."""
    inside: str = ""
    """Names the image in a file of several, for messages."""
    hint: str = ""
    """What else to say where the image is missing."""
    note: tuple[str, str] | None = None
    """A kind of the report and a message, told where the image is used."""

    @property
    def where(self) -> str:
        """Names the file, and the image in it."""
        return f"{self.file}: {self.inside}" if self.inside else str(self.file)


class ListedDetection(DetectionDataset):
    """Images and boxes of any `Listed`, read and checked at once; images are decoded when asked for.

    A box of at most `min_area` is a fault, by default 1 px², as what is drawn by hand never is that small: so boxes
    that are shares where pixels are wanted do not pass. An image without a stated size has that of its file; if its
    EXIF turns it, it is a fault, unless it is `upright`: nothing else tells which way it was annotated.

    Args:
        images: what was read of each.
        root: a target's `image_id` is its image's path below this folder; also names the data in messages.
        what: what an object is called in the file, such as "row".
        sized: what the size of an image is called there.
        upright: as in `DetectionDataset`.
        known: the classes that the data may have. An object of one that is not in `class_names` is then counted as
            "other"; where it is empty, such an object is a fault.
        min_area: as in `common.usable`.
        class_names: the labels in order. None takes the sorted names found.
        on_error: "raise" stops at the first fault; "skip" leaves out the faulty object or image and counts it.
        transform: called as transform(image, target).

    Raises:
        DataError: a fault under "raise"; under either policy no usable image, or no class.
    """

    def __init__(
        self,
        images: Iterable[Listed],
        root: str | Path,
        *,
        what: str = "object",
        sized: str = "",
        upright: bool = False,
        known: Collection[str] = (),
        min_area: float = MIN_AREA,
        class_names: Sequence[str] | None = None,
        on_error: OnError = "raise",
        transform: Transform | None = None,
    ) -> None:
        report, records = SkipReport(on_error), []
        objects: list[Object] = []
        owner: dict[str, str] = {}
        for image in images:
            try:
                if image.problem or image.path is None:
                    raise DataError(f"{image.where}: {image.problem}")
                height, width = size_of(image.where, image.path, image.size, sized, report, upright)
                path = Path(str(image.path))
                if str(path) in owner:
                    raise DataError(f"{image.where}: its image {path} is that of {owner[str(path)]}, too")
            except DataError as error:
                report.fault("image", str(error))
                report.note("lost", str(error), len(image.objects))
                continue
            owner[str(path)] = image.where
            if image.note:
                report.note(*image.note)
            scale = (width, height, width, height) if image.shares else (1, 1, 1, 1)
            for number, entry in image.objects:
                where = f"{image.where}: {what} {number}"
                try:
                    drawn = image.read(entry)
                    name = _class_name(drawn.name)
                    where = f"{where} ({name})"
                    asked = class_names is None or name in class_names or drawn.how == "line"
                    if drawn.problem or not (asked or known):
                        others = f"the class is none of the training's: {', '.join(class_names or ())}"
                        raise ValueError(drawn.problem or others)
                except ValueError as error:
                    report.fault("object", f"{where}: {error}")
                    continue
                if not asked:
                    report.note("other", f"{where}: a class not asked for")
                    continue
                if drawn.how:
                    report.note(drawn.how, where)
                if drawn.how != "line":
                    box = [side * by for side, by in zip(drawn.box, scale, strict=True)]
                    objects.append(Object(len(records), box, name, drawn.difficult, image.where, number))
            below = path.relative_to(root) if path.is_relative_to(root) else path
            records.append(ImageRecord(str(path), image.image_id or below.as_posix(), height, width))
        if not records:
            raise DataError(f"{root}: no usable image. {report.summary()}")
        columns, names = usable(objects, what, records, class_names, report, min_area)
        if not names:
            raise DataError(f"{root}: no image has a usable object, so there are no classes. {report.summary()}")
        super().__init__(records, *columns, class_names=names, report=report, transform=transform)
        self.upright = upright


def size_of(
    where: str, path: Path, stated: Sequence[Any] | None, sized: str, report: SkipReport, upright: bool = False
) -> tuple[int, int]:
    """(height, width) of an image that can be used, as it is stated, or else as it is; see `ListedDetection`."""
    if all(side in (None, "", 0, "0") for side in stated or ()):
        _, size, turned = read_size(path)
        if turned and not upright:
            said = f"which would tell whether {path.name} was annotated upright: add its width and height"
            turns = f"{path} is turned by its EXIF, and the file gives no size"
            raise DataError(f"{where}: has no {sized or 'size'}, {said} ({turns})")
        if stated:
            report.note("unsized", f"{where}: has no {sized or f'size of {path.name}'}")
        return size
    try:
        height, width = map(float, stated or ())
        if height % 1 or width % 1 or not safe_size(int(height), int(width)):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        said = f"must be a height and width in pixels that an image can have, not {reprlib.repr(stated)}"
        raise DataError(f"{where}: {sized or 'the size of its image'} {said}") from None
    return int(height), int(width)


def _class_name(name: Any) -> str:
    name = name.strip() if isinstance(name, str) else name
    if not isinstance(name, str) or not name or not name.isprintable():
        raise ValueError(f"its class must be a name, not {reprlib.repr(name)}")
    return name


def all_shares(boxes: Iterable[Sequence[float]]) -> bool:
    """Whether all boxes (x1, y1, x2, y2), and there are some, are shares of their images: in pixels, all would be
    within the first one."""
    inside = (min(x1, y1) >= -BEYOND and max(x2, y2) <= 1 + BEYOND for x1, y1, x2, y2 in boxes)
    return next(inside, False) and all(inside)


def numbers(values: Iterable[Any], count: int | None = None) -> list[float]:
    """Coordinates as numbers, as many as wanted.

    Raises:
        ValueError: they are no such numbers, in a sentence.
    """
    values = list(values)
    try:
        found = [FARTHEST if isinstance(value, bool) else float(value) for value in values]
    except (TypeError, ValueError, OverflowError):
        found = [FARTHEST]
    if count not in (None, len(values)) or not all(abs(value) < FARTHEST for value in found):  # so it is with NaN
        raise ValueError(f"must have {count or 'coordinates that are'} numbers, not {reprlib.repr(values)}")
    return found


def around(sides: Sequence[float]) -> list[float]:
    """The box (x1, y1, x2, y2) around points x, y, x, y, ...; ValueError where there is no pair of them."""
    if len(sides) < 4 or len(sides) % 2:
        raise ValueError(f"has {len(sides)} coordinates: they must be points x, y, and two at least")
    return [min(sides[::2]), min(sides[1::2]), max(sides[::2]), max(sides[1::2])]
