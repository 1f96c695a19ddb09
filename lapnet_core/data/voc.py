"""PASCAL VOC, and any data set in its layout: a folder with Annotations, ImageSets/Main and JPEGImages."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml import DefusedXmlException, ElementTree

from lapnet_core.data.common import FARTHEST, DetectionDataset, ImageRecord, clip_boxes, files_in, safe_name
from lapnet_core.data.download import data_dir as default_data_dir
from lapnet_core.data.pictures import read_size, safe_size
from lapnet_core.data.types import DataError, OnError, SkipReport, Transform

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

# VOC counts pixels from 1 and includes the last one: a box over the whole of a 640 x 480 image is (1, 1, 640, 480).
# In continuous coordinates that is (0, 0, 640, 480), so the least corner moves by one and the greatest stays.
ORIGIN = 1.0

# A box of a single pixel is a click without a drag. BCCD has two such "red blood cells"; no VOC object is that small.
MIN_AREA = 1.0

Root = str | Path

# Where own data in this layout keeps its files: in these, else beside each other, else in whatever folder has some.
ANNOTATION_FOLDERS = ("Annotations", "annotations", "annots", "labels", "xmls", "xml", "")
IMAGE_FOLDERS = ("JPEGImages", "images", "Images", "imgs", "")
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".JPG", ".JPEG", ".PNG")


class VOCDetection(DetectionDataset):
    """Images and boxes in the layout of PASCAL VOC, read and checked at once; images are decoded when asked for.

    A target's `image_id` is the name in the image set (behind its folder's, where an earlier folder has the same), its
    labels index `class_names`. A `difficult` that is absent counts as 0. An image listed twice is a fault (its first
    mention stays), as image ids have to be unique. Where an annotation has no size, that of the image is taken, and
    counted as "unsized".

    Args:
        root: the folder that holds Annotations, ImageSets and JPEGImages (officially VOCdevkit/VOC2007), or a sequence
            of (folder, image set) pairs, which are read one after the other. What lies elsewhere is found, too; see
            `voc_folders`.
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
        root: Root | Sequence[tuple[Root, str | Sequence[str]]],
        image_set: str | Sequence[str] = "trainval",
        *,
        class_names: Sequence[str] | None = VOC_CLASSES,
        on_error: OnError = "raise",
        transform: Transform | None = None,
    ) -> None:
        report = SkipReport(on_error)
        labels = None if class_names is None else {name: label for label, name in enumerate(class_names)}
        pairs = [(root, image_set)] if isinstance(root, str | Path) else root
        images: list[ImageRecord] = []
        found = _Objects()
        seen: set[tuple[Path, str]] = set()
        ids: set[str] = set()
        for folder, listed in pairs:
            folder = Path(folder)
            annotations, pictures = voc_folders(folder)
            files = files_in(pictures)
            for name in _read_image_set(folder, listed, report):
                if (folder, name) in seen:
                    report.fault("image", f"{folder}: image {name} is listed twice")
                    continue
                seen.add((folder, name))
                annotation = annotations / f"{name}.xml"
                root_element = None
                try:
                    root_element = _parse_xml(annotation)
                    image = _read_record(root_element, annotation, pictures, name, files, report)
                except DataError as error:
                    report.fault("image", str(error))
                    lost = 0 if root_element is None else len(root_element.findall("object"))
                    report.note("lost", str(error), lost)
                    continue
                found.read(root_element, annotation, len(images), labels, report)
                images.append(image if name not in ids else image._replace(image_id=f"{folder.name}/{name}"))
                ids.add(name)
        where = " and ".join(str(pair[0]) for pair in pairs)
        if not images:
            raise DataError(f"{where}: no usable image. {report.summary()}")
        index = np.array(found.image_index, dtype=np.int64)
        sizes = np.array([(image.height, image.width) for image in images], dtype=np.int64)[index]
        corners = np.array(found.corners, dtype=np.float64).reshape(-1, 4) - (ORIGIN, ORIGIN, 0, 0)
        boxes, usable = clip_boxes(corners, sizes, report, found.describe, min_area=MIN_AREA)
        names = [name for name, use in zip(found.names, usable, strict=True) if use]
        if labels is None:
            if not names:
                raise DataError(f"{where}: no image has a usable object, so there are no classes. {report.summary()}")
            labels = {name: label for label, name in enumerate(sorted(set(names)))}
        super().__init__(
            images,
            index[usable],
            boxes[usable],
            np.array([labels[name] for name in names], dtype=np.int64),
            np.array(found.difficult, dtype=bool)[usable],
            class_names=class_names or list(labels),
            report=report,
            transform=transform,
        )


class _Objects:
    """The objects of all images as columns, with what is needed to name each one in a message."""

    def __init__(self) -> None:
        self.image_index: list[int] = []
        self.corners: list[list[float]] = []
        self.names: list[str] = []
        self.difficult: list[bool] = []
        self.origin: list[tuple[Path, int]] = []

    def describe(self, row: int) -> str:
        path, number = self.origin[row]
        return f"{path}: object {number} ({self.names[row]})"

    def read(
        self, root: Element, path: Path, image_index: int, labels: dict[str, int] | None, report: SkipReport
    ) -> None:
        """Appends the objects of one annotation; those that cannot be read are faults of kind "object"."""
        for number, element in enumerate(root.findall("object"), 1):
            name = (element.findtext("name") or "").strip()
            where = f"{path}: object {number} ({' '.join(name.split()) or 'no class name'})"
            try:
                if not name or not name.isprintable():
                    raise DataError(f"{where}: has {'a line break in its' if name else 'no'} class name")
                if labels is not None and name not in labels:
                    raise DataError(f"{where}: the class is none of {', '.join(labels)}")
                corners, difficult = _read_corners(element, where), _read_difficult(element, where)
            except DataError as error:
                report.fault("object", str(error))
                continue
            self.image_index.append(image_index)
            self.corners.append(corners)
            self.names.append(name)
            self.difficult.append(difficult)
            self.origin.append((path, number))


def voc_folders(folder: Path) -> tuple[Path, Path]:
    """The folder of the annotations and that of the images: VOC's, or those of own data that differs in the names."""
    others = sorted(entry for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []
    annotations = [*(folder / name for name in ANNOTATION_FOLDERS if (folder / name).is_dir()), *others]
    images = [*(folder / name for name in IMAGE_FOLDERS if (folder / name).is_dir()), *others]
    with_xml = (place for place in annotations if next(place.glob("*.xml"), None))
    with_images = (place for place in images if any(next(place.glob(f"*{end}"), None) for end in SUFFIXES))
    return next(with_xml, folder / "Annotations"), next(with_images, folder / "JPEGImages")


def _read_image_set(folder: Path, image_set: str | Sequence[str], report: SkipReport) -> list[str]:
    path, lines = folder, image_set
    if isinstance(image_set, str):
        path = folder / "ImageSets" / "Main" / f"{image_set}.txt"
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: cannot read this image set ({error})") from error
    names = []
    for number, line in enumerate(lines, 1):
        name = line.strip()
        if name and not safe_name(name):
            report.fault("image", f"{path}: line {number}: {name!r} would lead out of the folder")
        elif name:
            names.append(name)
    return names


def _parse_xml(path: Path) -> Element:
    try:
        if not os.path.isfile(path):  # a pipe would block
            raise DataError(f"{path}: cannot read this annotation (it is missing, or no regular file)")
        return ElementTree.fromstring(path.read_bytes())
    except DefusedXmlException as error:
        raise DataError(f"{path}: entities and external references are not allowed ({error})") from error
    except (OSError, ParseError, ValueError, LookupError) as error:  # the last two: encodings that are wrong or unknown
        raise DataError(f"{path}: cannot read this annotation ({error})") from error


def _read_record(
    root: Element, path: Path, folder: Path, name: str, files: set[str], report: SkipReport
) -> ImageRecord:
    """Finds the image of an annotation: named like it, with the suffix of <filename>, or else with any."""
    filename = (root.findtext("filename") or "").strip()
    own = PurePosixPath(filename).suffix  # the rest is where it lay on the annotator's disk
    candidates = [name + suffix for suffix in (own or ".jpg", *SUFFIXES) if safe_name(name + suffix)]
    image = next((file for file in candidates if file in files or os.path.isfile(folder / file)), None)
    if image is None:
        raise DataError(f"{path}: its image {folder / candidates[0]} is missing")
    texts = [(root.findtext(f"size/{side}") or "").strip() for side in ("height", "width")]
    if set(texts) <= {"", "0"}:  # some tools write none
        stored, upright = read_size(folder / image)
        if stored != upright:
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
    for side in ("xmin", "ymin", "xmax", "ymax"):
        text = element.findtext(f"bndbox/{side}")
        try:
            value = float(text or "")  # a few annotations of VOC2012 have decimals
        except ValueError:
            value = FARTHEST
        if not abs(value) < FARTHEST:  # so it is with NaN
            raise DataError(f"{where}: <{side}> is {text!r:.60}, not a coordinate in pixels")
        corners.append(value)
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
