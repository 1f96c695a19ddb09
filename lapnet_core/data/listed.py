"""Images and boxes as other tools list them: what CVAT's XML, CreateML, LabelMe and tables have in common."""

import os
import reprlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from unicodedata import normalize

from tqdm.auto import tqdm

from lapnet_core.data.common import FARTHEST, DetectionDataset, ImageRecord, Objects
from lapnet_core.data.layouts import Layout, Source, outside_of, split_of
from lapnet_core.data.paths import ends, folders_below
from lapnet_core.data.pictures import ANY_IMAGE, read_size, safe_size
from lapnet_core.data.types import DataError, OnError, SkipReport, Transform
from lapnet_core.data.voc import MIN_AREA


class Drawn(NamedTuple):
    """An object as its file has it."""

    name: Any
    box: Sequence[float]
    """(x1, y1, x2, y2) in continuous pixels, finite; shares of the image where the `Listed` says so."""
    how: str = ""
    """A kind of the report: "outline" where this is the box around another shape; "line" where there is no box."""
    difficult: bool = False


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
    inside: str = ""
    """Names the image in a file of several, for messages."""
    hint: str = ""
    """What else to say where the image is missing."""

    @property
    def where(self) -> str:
        """Names the file, and the image in it."""
        return f"{self.file}: {self.inside}" if self.inside else str(self.file)


class ListedDetection(DetectionDataset):
    """Images and boxes of any `Listed`, read and checked at once; images are decoded when asked for.

    As in VOC a box of at most 1 px² is a fault, as what is drawn by hand never is that small: so boxes that are shares
    where pixels are wanted do not pass. An image without a stated size has that of its file; if its EXIF turns it, it
    is a fault, unless it is `upright`: nothing else tells which way it was annotated.

    Args:
        images: what was read of each.
        root: a target's `image_id` is its image's path below this folder.
        what: what an object is called in the file, such as "row".
        upright: as in `DetectionDataset`.
        class_names: the labels in order; an object of another class is a fault. None takes the sorted names found.
        on_error: "raise" stops at the first fault; "skip" leaves out the faulty object or image and counts it.
        transform: called as transform(image, target).

    Raises:
        DataError: a fault under "raise"; under either policy no usable image.
    """

    def __init__(
        self,
        images: Sequence[Listed],
        root: str | Path,
        *,
        what: str = "object",
        upright: bool = False,
        class_names: Sequence[str] | None = None,
        on_error: OnError = "raise",
        transform: Transform | None = None,
    ) -> None:
        report, records, objects = SkipReport(on_error), [], Objects(what)
        for image in tqdm(images, desc="images", unit="image", disable=None):
            try:
                height, width = _size(image, report, upright)
            except DataError as error:
                report.fault("image", str(error))
                report.note("lost", str(error), len(image.objects))
                continue
            for number, entry in image.objects:
                where = f"{image.where}: {what} {number}"
                try:
                    drawn = image.read(entry)
                    name = _class_name(drawn.name, None if drawn.how == "line" else class_names)
                except ValueError as error:
                    report.fault("object", f"{where}: {error}")
                    continue
                if drawn.how:
                    report.note(drawn.how, f"{where} ({name})")
                if drawn.how != "line":
                    scale = (width, height, width, height) if image.shares else (1, 1, 1, 1)
                    box = [side * by for side, by in zip(drawn.box, scale, strict=True)]
                    objects.add(len(records), box, name, drawn.difficult, image.where, number)
            path = Path(str(image.path))
            records.append(ImageRecord(str(path), path.relative_to(root).as_posix(), height, width))
        if not records:
            raise DataError(f"{root}: no usable image. {report.summary()}")
        columns, names = objects.usable(records, class_names, report, MIN_AREA)
        super().__init__(records, *columns, class_names=names, report=report, transform=transform)
        self.upright = upright


def _size(image: Listed, report: SkipReport, upright: bool) -> tuple[int, int]:
    """(height, width) of an image that can be used, as it is stated, or else as it is."""
    if image.problem or image.path is None:
        raise DataError(f"{image.where}: {image.problem}")
    if all(side in (None, "", 0, "0") for side in image.size or ()):
        _, size, turned = read_size(image.path)
        if turned and not upright:
            said = "gives no size, which would tell whether it was annotated upright: add its width and height"
            raise DataError(f"{image.where}: its image {image.path} is turned by its EXIF, and the file {said}")
        if image.size:
            report.note("unsized", f"{image.where}: has no size of {image.path.name}")
        return size
    try:
        height, width = map(float, image.size or ())
        if height % 1 or width % 1 or not safe_size(int(height), int(width)):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        said = f"must be a height and width in pixels that an image can have, not {reprlib.repr(image.size)}"
        raise DataError(f"{image.where}: the size of its image {said}") from None
    return int(height), int(width)


def _class_name(name: Any, known: Sequence[str] | None) -> str:
    if not isinstance(name, str) or not name.strip() or not name.strip().isprintable():
        raise ValueError(f"its class must be a name, not {reprlib.repr(name)}")
    if known is not None and name.strip() not in known:
        raise ValueError(f"the class {name.strip():.80} is none of the training's: {', '.join(known)}")
    return name.strip()


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


def called(name: Any, number: int) -> str:
    """An image of a file in messages, which are of one line."""
    return f"image {name:.200}" if isinstance(name, str) and name and name.isprintable() else f"image {number}"


def below(folder: Path, *suffixes: str) -> list[Path]:
    """The files below a folder with these suffixes, in small letters; regular ones alone, as a pipe would block."""
    found = ((place, name) for place, names in folders_below(folder) for name in names)
    files = [place / name for place, name in found if os.path.splitext(name)[1].lower() in suffixes]
    return [file for file in files if os.path.isfile(file)]


class Pictures:
    """All images below a folder, by what a path of another disk may call them. As only these are ever taken, no name
    leads out of the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inside = {path: steps(str(path.relative_to(folder))) for path in below(folder, *ANY_IMAGE)}
        self.places = {inside[-2:-1] for inside in self.inside.values()}
        stems, names = defaultdict(list), defaultdict(list)
        for path, inside in self.inside.items():
            stems[Path(inside[-1]).stem].append(path)  # some tables have no suffixes
            names[inside[-1]].append(path)
        self.called = {**stems, **names}

    def find(self, image: Listed) -> int:
        """Sets the path of an image, or else its problem: the one of this name; of several that whose folders are
        called alike, or beside the file, or in the folder of this split. It is never one in the folder of another
        split, nor in another folder than the named one if that is there. Returns how many folders are called alike."""
        stated = steps(image.name) if isinstance(image.name, str) else ()
        if image.problem or not stated:
            image.problem = image.problem or f"must name its image, not {reprlib.repr(image.name)}"
            return 0
        splits = {image.split, split_of(Path(*stated[:-1]))} - {"all", "trainval"}
        named = stated[-2:-1] if stated[-2:-1] in self.places else ()
        every, found = self.called.get(stated[-1], []), defaultdict(list)
        for path in every:
            *folders, _ = self.inside[path]
            split = split_of(Path(*folders))
            if (not splits or split == "all" or {split} == splits) and (not named or folders[-1:] == [*named]):
                pairs = list(zip(folders[::-1], stated[-2::-1], strict=False))
                alike = next((n for n, (own, theirs) in enumerate(pairs) if own != theirs), len(pairs))
                found[alike, path.parent == image.file.parent, split in splits].append(path)
        rank, paths = max(found.items(), default=((0, False, False), []))
        if len(paths) == 1:
            image.path = paths[0]
        elif paths:
            image.problem = f"its image {image.name!r:.200} may be {paths[0]} or {paths[1]}: name its folder, too"
        else:
            other = f"; {every[0]} is in another folder" if every else ""
            image.problem = f"its image {reprlib.repr(image.name)} is missing in {self.folder}{other}{image.hint}"
        return rank[0]


def steps(name: str) -> tuple[str, ...]:
    """The folders and the name of a path of any disk, whichever way Unicode writes their accents."""
    return tuple(normalize("NFC", end).split("/")) if (end := next(iter(ends(name)), "")) else ()


def layout(
    kind: str, folder: Path, images: Sequence[Listed], about: Mapping[str, Any], notes: Iterable[str] = ()
) -> Layout:
    """The splits of images that were listed. Where no file says one, the folder of an image tells it."""
    pictures, told = Pictures(folder), list(notes)
    ranks = [pictures.find(image) for image in images]
    if all(image.split == "all" for image in images):
        for image in images:
            image.split = split_of(image.path.relative_to(folder).parent) if image.path else "all"
        # one that is missing has no folder that would tell: so that it is a fault, it goes with the first
        first = next((image.split for image in images if image.split != "all"), "all")
        for image in images:
            image.split = first if image.problem else image.split
    owner: dict[tuple[str, Path], Listed] = {}
    # whose folders are named as they are owns a picture, if another one leads to it, too
    for n in sorted(range(len(images)), key=lambda n: -ranks[n]):
        image = images[n]
        if image.path and (one := owner.setdefault((image.split, image.path), image)) is not image:
            image.problem = f"its image {image.path} is that of {one.where}, too"
    parts: dict[str, dict[str, Listed]] = {}
    for n, image in enumerate(images):
        parts.setdefault(image.split, {})[f"{image.name}#{n}" if image.problem else str(image.path)] = image
    if outside := outside_of(parts):
        files = ", ".join({image.file.name: None for image in outside.values()})
        told.append(f"{len(outside)} images in {files:.200} that are in no split are left out")
    named = {path for _, path in owner}
    if left := [path.name for path in pictures.inside if path not in named]:
        told.append(f"{len(left)} images that no annotation names are left out, such as {left[0]}")
    sources: dict[str, list[Source]] = {split: [(place, list(place))] for split, place in parts.items()}
    return Layout(kind, sources, about, tuple(told))
