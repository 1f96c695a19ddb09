"""PASCAL VOC, and any data set in its layout: a folder with Annotations, ImageSets/Main and JPEGImages."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException, ElementTree

from lapnet_core.data.common import FARTHEST
from lapnet_core.data.download import data_dir as default_data_dir
from lapnet_core.data.listed import Drawn, Listed, ListedDetection
from lapnet_core.data.paths import ends, files_in, read_text, safe_name
from lapnet_core.data.pictures import ANY_IMAGE, SUFFIXES
from lapnet_core.data.types import DataError, OnError, Transform

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

# VOC counts pixels from 1 and includes the last one: a box over the whole of a 640 x 480 image is (1, 1, 640, 480).
# In continuous coordinates that is (0, 0, 640, 480), so the least corner moves by one and the greatest stays.
ORIGIN = {"xmin": 1.0, "ymin": 1.0, "xmax": 0.0, "ymax": 0.0}

Root = str | Path

# A folder in VOC's layout, or that of the annotations and that of the images.
Place = Root | tuple[Path, Path]


class VOCDetection(ListedDetection):
    """Images and boxes in the layout of PASCAL VOC, read and checked at once; images are decoded when asked for.

    A target's `image_id` is the name in the image set (behind its folder's, where an earlier folder has the same), its
    labels index `class_names`. A `difficult` that is absent counts as 0. An image listed twice is a fault (its first
    mention stays), as image ids have to be unique.

    Args:
        root: the folder that holds Annotations, ImageSets and JPEGImages (officially VOCdevkit/VOC2007), or a sequence
            of (folder, image set) pairs, which are read one after the other. In place of a folder, that of
            the annotations and that of the images, by whatever name.
        image_set: which list in ImageSets/Main, or the names themselves; not used where `root` is a sequence.
        class_names: as in `ListedDetection`, and so are the others: hand the names of the training set to the test set,
            which may lack a class.

    Raises:
        DataError: as there; under either policy an unreadable image set or folder.
    """

    def __init__(
        self,
        root: Root | Sequence[tuple[Place, str | Sequence[str]]],
        image_set: str | Sequence[str] = "trainval",
        *,
        class_names: Sequence[str] | None = VOC_CLASSES,
        known: Collection[str] = (),
        on_error: OnError = "raise",
        transform: Transform | None = None,
    ) -> None:
        pairs = [(root, image_set)] if isinstance(root, str | Path) else root
        where = " and ".join(str(place) for place, _ in pairs)
        how = {"class_names": class_names, "known": known, "on_error": on_error, "transform": transform}
        super().__init__(_listed(pairs), where, sized="<size>", **how)


def _listed(pairs: Sequence[tuple[Place, str | Sequence[str]]]) -> Iterator[Listed]:
    """What the annotations of image sets say, one after the other."""
    seen: set[Path] = set()
    ids: set[str] = set()
    for place, names in pairs:
        own = place if isinstance(place, tuple) else (Path(place) / "Annotations", Path(place) / "JPEGImages")
        (annotations, pictures), folder = own, own[0] if own is place else Path(str(place))
        files = files_in(pictures)
        called = {Path(file).stem: file for file in sorted(files) if Path(file).suffix.lower() in ANY_IMAGE}
        path, lines = folder, names
        if isinstance(names, str):
            path = folder / "ImageSets" / "Main" / f"{names}.txt"
            lines = read_text(path, "this image set").splitlines()
        for number, name in enumerate(map(str.strip, lines), 1):
            if not name:
                continue
            if not safe_name(name):
                problem = f"{name!r} would lead out of the folder"
                yield Listed(path, name, "", _drawn, problem=problem, inside=f"line {number}")
                continue
            suffix = Path(name).suffix  # some lists have those of the images
            bare = name.removesuffix(suffix) if suffix.lower() in ANY_IMAGE else name
            places = {annotations / f"{one}{end}": one for one in (name, bare) for end in (".xml", ".XML")}
            annotation = next((place for place in places if os.path.isfile(place)), annotations / f"{name}.xml")
            name = places[annotation]
            if annotation in seen:
                yield Listed(folder, name, "", _drawn, problem=f"image {name} is listed twice")
                continue
            seen.add(annotation)
            image = _read(annotation, pictures, name, files, called)
            if not image.problem:
                free = (own for own in (name, f"{folder.name}/{name}") if own not in ids)
                image.image_id = next(free, str(image.path))
                ids.add(image.image_id)
            yield image


def _read(annotation: Path, folder: Path, name: str, files: set[str], called: Mapping[str, str]) -> Listed:
    """What an annotation says. Its image is named like it, with the suffix of <filename>, or else with any; or like
    <filename> itself, without the folder where it lay on the annotator's disk. `called`: an image in the folder by its
    stem."""
    image = Listed(annotation, name, "", _drawn)
    try:
        root = parse_xml(annotation, "annotation")
    except DataError as error:
        image.problem = str(error).removeprefix(f"{annotation}: ")
        return image
    image.objects = list(enumerate(root.findall("object"), 1))
    height, width = ((root.findtext(f"size/{side}") or "").strip() for side in ("height", "width"))
    image.size = height, width
    filename = (ends((root.findtext("filename") or "").strip()) or [""])[-1]
    suffixes = (PurePosixPath(filename).suffix or ".jpg", *sorted(SUFFIXES))
    candidates = [name + suffixes[0], called.get(name, ""), *(name + suffix for suffix in suffixes), filename]
    candidates = [file for file in candidates if safe_name(file)]
    found = next((file for file in candidates if file in files or os.path.isfile(folder / file)), None)
    if found:
        image.path = folder / found
    else:
        image.problem = f"its image {folder / candidates[0]} is missing"
    return image


def _drawn(element: Element) -> Drawn:
    name = (element.findtext("name") or "").strip()
    shown = " ".join(name.split()) or "no class name"
    try:
        if not name or not name.isprintable():
            raise ValueError(f"has {'a line break in its' if name else 'no'} class name")
        difficult = (element.findtext("difficult") or "0").strip()
        if difficult not in ("0", "1"):
            raise ValueError(f"<difficult> is {difficult!r}, neither 0 nor 1")
        return Drawn(name, _corners(element), difficult=difficult == "1")
    except ValueError as error:
        return Drawn(shown, (), problem=str(error))


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


def _corners(element: Element) -> list[float]:
    corners = []
    for side, origin in ORIGIN.items():
        text = element.findtext(f"bndbox/{side}")
        try:
            value = float(text or "")  # a few annotations of VOC2012 have decimals
        except ValueError:
            value = FARTHEST
        if not abs(value) < FARTHEST:  # so it is with NaN
            raise ValueError(f"<{side}> is {text!r:.60}, not a coordinate in pixels")
        corners.append(value - origin)
    return corners


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
