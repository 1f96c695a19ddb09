"""PASCAL VOC, and any data set in its layout: a folder with Annotations, ImageSets/Main and JPEGImages."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException, ElementTree

from lapnet_core.data.common import FARTHEST, DetectionDataset, ImageRecord, Objects
from lapnet_core.data.download import data_dir as default_data_dir
from lapnet_core.data.paths import ends, files_in, read_text, safe_name
from lapnet_core.data.pictures import ANY_IMAGE, SUFFIXES, read_size, safe_size
from lapnet_core.data.types import DataError, OnError, SkipReport, Transform

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

# VOC counts pixels from 1 and includes the last one: a box over the whole of a 640 x 480 image is (1, 1, 640, 480).
# In continuous coordinates that is (0, 0, 640, 480), so the least corner moves by one and the greatest stays.
ORIGIN = {"xmin": 1.0, "ymin": 1.0, "xmax": 0.0, "ymax": 0.0}

# A box of a single pixel is a click without a drag. BCCD has two such "red blood cells"; no VOC object is that small.
MIN_AREA = 1.0

Root = str | Path

# A folder in VOC's layout, or that of the annotations and that of the images.
Place = Root | tuple[Path, Path]


class VOCDetection(DetectionDataset):
    """Images and boxes in the layout of PASCAL VOC, read and checked at once; images are decoded when asked for.

    A target's `image_id` is the name in the image set (behind its folder's, where an earlier folder has the same), its
    labels index `class_names`. A `difficult` that is absent counts as 0. An image listed twice is a fault (its first
    mention stays), as image ids have to be unique. Where an annotation has no size, that of the image is taken, and
    counted as "unsized".

    Args:
        root: the folder that holds Annotations, ImageSets and JPEGImages (officially VOCdevkit/VOC2007), or a sequence
            of (folder, image set) pairs, which are read one after the other. In place of a folder, that of
            the annotations and that of the images, by whatever name.
        image_set: which list in ImageSets/Main, or the names themselves; not used where `root` is a sequence.
        class_names: the labels in order; an object of another class is a fault. None takes the sorted names found in
            this image set: hand the names of the training set to the test set, which may lack a class.
        on_error: "raise" stops at the first fault; "skip" leaves out the faulty object or image and counts it.
        transform: called as transform(image, target).

    Raises:
        DataError: a fault under "raise"; under either policy an unreadable image set or folder, or no usable image.
    """

    def __init__(
        self,
        root: Root | Sequence[tuple[Place, str | Sequence[str]]],
        image_set: str | Sequence[str] = "trainval",
        *,
        class_names: Sequence[str] | None = VOC_CLASSES,
        on_error: OnError = "raise",
        transform: Transform | None = None,
    ) -> None:
        report = SkipReport(on_error)
        pairs = [(root, image_set)] if isinstance(root, str | Path) else root
        images: list[ImageRecord] = []
        found = Objects("object")
        seen: set[Path] = set()
        annotated: dict[str, Path] = {}
        ids: set[str] = set()
        for place, listed in pairs:
            own = place if isinstance(place, tuple) else (Path(place) / "Annotations", Path(place) / "JPEGImages")
            (annotations, pictures), folder = own, own[0] if own is place else Path(str(place))
            files = files_in(pictures)
            called = {Path(file).stem: file for file in sorted(files) if Path(file).suffix.lower() in ANY_IMAGE}
            for name in _read_image_set(folder, listed, report):
                annotation = annotations / f"{name}.xml"
                if annotation in seen:
                    report.fault("image", f"{folder}: image {name} is listed twice")
                    continue
                seen.add(annotation)
                root_element = None
                try:
                    root_element = parse_xml(annotation, "annotation")
                    image = _read_record(root_element, annotation, pictures, name, files, called, report)
                    if image.path in annotated:
                        raise DataError(f"{annotation}: its image {image.path} is that of {annotated[image.path]}, too")
                except DataError as error:
                    report.fault("image", str(error))
                    lost = 0 if root_element is None else len(root_element.findall("object"))
                    report.note("lost", str(error), lost)
                    continue
                _read_objects(root_element, annotation, len(images), class_names, found, report)
                annotated[image.path] = annotation
                free = (own for own in (name, f"{folder.name}/{name}", image.path) if own not in ids)
                images.append(image._replace(image_id=next(free)))
                ids.add(str(images[-1].image_id))
        where = " and ".join(str(place) for place, _ in pairs)
        if not images:
            raise DataError(f"{where}: no usable image. {report.summary()}")
        columns, names = found.usable(images, class_names, report, MIN_AREA)
        if not names:
            raise DataError(f"{where}: no image has a usable object, so there are no classes. {report.summary()}")
        super().__init__(images, *columns, class_names=names, report=report, transform=transform)


def _read_objects(
    root: Element, path: Path, index: int, class_names: Sequence[str] | None, found: Objects, report: SkipReport
) -> None:
    """Adds the objects of one annotation to those that are found; what cannot be read is a fault of kind "object"."""
    for number, element in enumerate(root.findall("object"), 1):
        name = (element.findtext("name") or "").strip()
        where = f"{path}: object {number} ({' '.join(name.split()) or 'no class name'})"
        try:
            if not name or not name.isprintable():
                raise DataError(f"{where}: has {'a line break in its' if name else 'no'} class name")
            if class_names is not None and name not in class_names:
                raise DataError(f"{where}: the class is none of the training's: {', '.join(class_names)}")
            found.add(index, _read_corners(element, where), name, _read_difficult(element, where), path, number)
        except DataError as error:
            report.fault("object", str(error))


def _read_image_set(folder: Path, image_set: str | Sequence[str], report: SkipReport) -> list[str]:
    path, lines = folder, image_set
    if isinstance(image_set, str):
        path = folder / "ImageSets" / "Main" / f"{image_set}.txt"
        lines = read_text(path, "this image set").splitlines()
    names = []
    for number, line in enumerate(lines, 1):
        name = line.strip()
        if name and not safe_name(name):
            report.fault("image", f"{path}: line {number}: {name!r} would lead out of the folder")
        elif name:
            names.append(name)
    return names


def parse_xml(path: Path, tag: str) -> Element:
    """The root of an XML file; DataError where it is none, or no such element."""
    try:
        if not os.path.isfile(path):  # a pipe would block
            raise OSError("it is missing, or no regular file")
        root = ElementTree.fromstring(path.read_bytes().lstrip())
    except DefusedXmlException as error:
        raise DataError(f"{path}: entities and external references are not allowed ({error})") from error
    except (OSError, ParseError, ValueError, LookupError) as error:  # the last two: encodings that are wrong or unknown
        raise DataError(f"{path}: cannot read this annotation ({error})") from error
    if root.tag != tag:
        raise DataError(f"{path}: holds <{root.tag:.40}> and not <{tag}>")
    return root


def _read_record(
    root: Element, path: Path, folder: Path, name: str, files: set[str], called: Mapping[str, str], report: SkipReport
) -> ImageRecord:
    """Finds the image of an annotation: named like it, with the suffix of <filename>, or else with any; or <filename>
    itself, without the folder where it lay on the annotator's disk. `called`: an image in the folder by its stem."""
    filename = (ends((root.findtext("filename") or "").strip()) or [""])[-1]
    suffixes = (PurePosixPath(filename).suffix or ".jpg", *sorted(SUFFIXES))
    candidates = [name + suffixes[0], called.get(name, ""), *(name + suffix for suffix in suffixes), filename]
    candidates = [file for file in candidates if safe_name(file)]
    image = next((file for file in candidates if file in files or os.path.isfile(folder / file)), None)
    if image is None:
        raise DataError(f"{path}: its image {folder / candidates[0]} is missing")
    texts = [(root.findtext(f"size/{side}") or "").strip() for side in ("height", "width")]
    if set(texts) <= {"", "0"}:  # some tools write none
        stored, _, turned = read_size(folder / image)
        if turned:
            raise DataError(f"{path}: has no <size>, which would tell whether {image} was annotated upright: add it")
        report.note("unsized", f"{path}: has no <size>")
        return ImageRecord(str(folder / image), name, *stored)
    try:
        height, width = map(int, texts)
    except ValueError:
        height = width = 0
    if not safe_size(height, width):
        raise DataError(f"{path}: <size> must give a width and a height in pixels that an image can have")
    return ImageRecord(str(folder / image), name, height, width)


def _read_corners(element: Element, where: str) -> list[float]:
    corners = []
    for side, origin in ORIGIN.items():
        text = element.findtext(f"bndbox/{side}")
        try:
            value = float(text or "")  # a few annotations of VOC2012 have decimals
        except ValueError:
            value = FARTHEST
        if not abs(value) < FARTHEST:  # so it is with NaN
            raise DataError(f"{where}: <{side}> is {text!r:.60}, not a coordinate in pixels")
        corners.append(value - origin)
    return corners


def _read_difficult(element: Element, where: str) -> bool:
    text = (element.findtext("difficult") or "0").strip()
    if text not in ("0", "1"):
        raise DataError(f"{where}: <difficult> is {text!r}, neither 0 nor 1")
    return text == "1"


VOC_PARTS = {split: tuple((year, split) for year in (2007, 2012)) for split in ("trainval", "train", "val")}
VOC_PARTS["test"] = ((2007, "test"),)
"""Which image sets make a split, as the VOC papers have it: trainval of both years, 16,551 images, to train on, test of
2007, 4,952 images, to report. train and val are the halves of trainval as the challenge made them: choose on val."""


def voc0712(
    split: str, data_dir: Root | None = None, *, on_error: OnError = "raise", transform: Transform | None = None
) -> VOCDetection:
    """VOC 2007 and 2012.

    Args:
        split: of VOC_PARTS.
        data_dir: the folder of all data sets; None takes `download.data_dir()`. Both what `download` unpacks and the
            official VOCdevkit are found in it.
        on_error: as in `VOCDetection`.
        transform: as in `VOCDetection`.

    Raises:
        DataError: there is no such split, or a part is not there, or has a fault.
    """
    if split not in VOC_PARTS:
        raise DataError(
            f'voc has no split "{split}"; give --split trainval (2007 and 2012, as the paper), train or val (its '
            "halves) or test (2007)"
        )
    parts = [(_find_voc(data_dir, year, image_set), image_set) for year, image_set in VOC_PARTS[split]]
    return VOCDetection(parts, on_error=on_error, transform=transform)


def _find_voc(data_dir: Root | None, year: int, image_set: str) -> Path:
    base = default_data_dir() if data_dir is None else Path(data_dir)
    archive = "test" if image_set == "test" else "trainval"
    places = [base / "voc" / f"VOC{year}-{archive}", base / "VOCdevkit" / f"VOC{year}"]
    for place in places:
        if (place / "ImageSets" / "Main" / f"{image_set}.txt").is_file():
            return place
    tried = " or ".join(str(place) for place in places)
    raise DataError(f"{tried}: no {image_set} set of VOC{year} here; get it by `lapnet data get voc{year}-{archive}`")
