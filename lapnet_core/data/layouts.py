"""Which layout a folder has: VOC's and COCO's, and what the others, which are in `yolo_folders`, `others` and
`csv_tables`, have in common."""

import json
import os
import re
import reprlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unicodedata import normalize

from lapnet_core.data.listed import Listed
from lapnet_core.data.paths import OURS, ends, folders_below, located, read_lines
from lapnet_core.data.pictures import ANY_IMAGE
from lapnet_core.data.types import DataError
from lapnet_core.data.voc import parse_xml

SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
SPLITS |= dict.fromkeys(("val", "valid", "validation", "dev", "eval", "evaluation"), "val")
"""What folders and keys are called, and the split that it is."""
THINGS = "(?:images?|imgs?|pictures?|photos?|annotations?|labels?|xmls?|data|dataset|set)"
"""What may stand beside it: train_images, testset."""
HEAD = 4 << 20
"""Bytes of a COCO file in which names of images are looked for, to find their folder."""

# Where the images of a split come from: a place, and the names there; a text is the name of an image set of VOC, and
# None is all that the place has. The place is a folder (VOC, YOLO), that of the annotations and that of the images (VOC
# without lists), a JSON file and the folder of its images (COCO), or what was read of each image, by these names (the
# layouts of `others`).
Source = tuple[Any, str | list[str] | None]


@dataclass(frozen=True)
class Layout:
    """What was found in a folder."""

    kind: str
    """VOC, COCO, YOLO, CVAT, CreateML, LabelMe or CSV."""
    parts: Mapping[str, Sequence[Source]]
    """Where the images of each split come from; "all" where there is none."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What the reader needs besides."""
    notes: tuple[str, ...] = ()
    """What is noteworthy, for the line that says what the data is."""


def voc_with_lists(folder: Path) -> Layout | None:
    """ImageSets/Main with lists of train, val, trainval or test, by whichever of their names; else all the others. Also
    of several such folders in this one. Lists of the objects of a class, such as cat_train, have two columns."""
    parts: dict[str, list[Source]] = {}
    for main in sorted([*folder.glob("ImageSets/Main"), *folder.glob("*/ImageSets/Main")]):
        for path in sorted(main.glob("[!.]*.txt")):
            if not any(len(line.split()) > 1 for line in read_lines(path, "this image set")[:1]):
                split = path.stem if path.stem == "trainval" else split_of(Path(path.stem))
                parts.setdefault(split, []).append((main.parents[1], path.stem))
    left = parts.pop("all") if len(parts) > 1 and "all" in parts else []
    notes = [f"{place.name}/ImageSets/Main/{name}.txt is left out: it is no split" for place, name in left]
    return Layout("VOC", parts, notes=tuple(notes)) if parts else None


def voc_without_lists(folder: Path) -> Layout | None:
    """XML files anywhere, beside the images or in folders of their own; perhaps below train, valid and test."""
    pictures: dict[str, list[Path]] = defaultdict(list)
    annotations: list[Path] = []
    splits: dict[Path, str] = {}  # of each folder
    for place, files in folders_below(folder):
        splits[place] = split_of(place.relative_to(folder))
        annotations += [place / file for file in files if file.lower().endswith(".xml")]
        for file in files:
            stem, suffix = os.path.splitext(file)
            for name in (file, stem) if suffix.lower() in ANY_IMAGE else ():
                pictures[name].append(place / file)
    if not annotations or not pictures:
        return None
    found = {xml: _image_of(xml, pictures, splits) for xml in annotations}
    # one that has no image is missed where the images of its neighbours are
    usual = {xml.parent: images[0].parent for xml, images in found.items() if images}
    parts: dict[str, Any] = {}
    for xml, images in found.items():
        place = images[0].parent if images else usual.get(xml.parent, xml.parent)
        split = splits[place] if splits[xml.parent] == "all" else splits[xml.parent]
        parts.setdefault(split, {}).setdefault((xml.parent, place), []).append(xml.stem)
    notes: list[str] = []
    if outside := outside_of(parts):
        notes.append(f"{sum(map(len, outside.values()))} XML files in the folder of no split are left out")
    if alike := [images for images in found.values() if len(images) > 1]:
        several = f"{alike[0][0].relative_to(folder)} and {alike[0][1].relative_to(folder)}"
        notes.append(f"{len(alike)} XML files may be of several images, such as {several}: the first is taken")
    without = {image for images in pictures.values() for image in images}.difference(*found.values())
    places = {place for pairs in parts.values() for _, place in pairs}
    if left := sum(image.parent in places for image in without):
        notes.append(f"{left} images without an XML file are left out")
    return Layout("VOC", {split: list(pairs.items()) for split, pairs in parts.items()}, notes=tuple(notes))


def _image_of(xml: Path, pictures: Mapping[str, Sequence[Path]], splits: Mapping[Path, str]) -> list[Path]:
    """The image of an XML file, called like it or as its <filename> says, in no folder of another split. Of several the
    one that <filename> and <folder> name, or whose folders are called alike; more than one where nothing tells."""
    split = splits[xml.parent]

    def called(name: str) -> list[Path]:
        return [image for image in pictures.get(name, ()) if split == "all" or splits[image.parent] in (split, "all")]

    found = called(xml.stem)
    if len(found) == 1:
        return found
    name, place = "", ""
    with suppress(DataError):  # it is told when the file is read
        root = parse_xml(xml, "annotation")
        texts = ((root.findtext(tag) or "").strip() for tag in ("filename", "folder"))
        name, place = (ends(text)[-1] if ends(text) else "" for text in texts)
    found = found or called(name)
    own, near = xml.parent, {*xml.parts}
    fits = [(p.name == name, p.parent.name == place, p.parent == own, len({*p.parts} & near)) for p in found]
    return [path for path, fit in zip(found, fits, strict=True) if fit == max(fits)]


def outside_of(parts: dict[str, Any]) -> Any:
    """Of what was found by folders, what lies in the folder of no split where others lie in one: it is the training set
    if there is no other; else it is taken out, and returned."""
    if len(parts) < 2 or "all" not in parts:
        return None
    outside = parts.pop("all")
    if {"train", "trainval"} & set(parts):
        return outside
    parts["train"] = outside
    return None


def coco(folder: Path, described: Path | None = None) -> Layout | None:
    """annotations/instances_*.json with the usual folders of images, _annotations.coco.json in train, valid and test
    (Roboflow), or any JSON of this form beside the images."""
    found = [described] if described else sorted([*folder.glob("*.json"), *folder.glob("*/*.json")])
    found = [file for file in found if file.parent == folder or not (file.parent / OURS).exists()]
    named = [file for file in found if file.name.startswith("instances_") or file.name == "_annotations.coco.json"]
    parts: dict[str, list[Source]] = {}
    places: list[Path] = []  # walked once, and only where there is such a file
    notes: list[str] = []
    # COCO has keypoints and captions beside, in files of the same form
    for file in named or found:
        if not named and (not described and (file.name.startswith("image_info") or not _is_coco(file))):
            continue
        split = split_named(file.relative_to(folder))
        places = places or [place for place, _ in folders_below(folder)]
        parts.setdefault(split, []).append(((file, _coco_images(folder, places, file, split, notes)), None))
    return Layout("COCO", parts, notes=tuple(notes)) if parts else None


def coco_names(file: Path, text: bytes = b"") -> list[str]:
    """The file names of the images in a COCO file, whose text may be known; DataError where it is none."""
    try:
        content = json.loads(text or file.read_bytes())
        lacking = {"images", "annotations", "categories"} - set(content)
        if lacking:
            raise ValueError(f"it lacks {', '.join(sorted(lacking))}")
        return [name for image in content["images"] if isinstance(name := image.get("file_name"), str)]
    except (OSError, ValueError, RecursionError, AttributeError, TypeError) as error:
        raise DataError(f"{file}: this is no JSON file of COCO's form ({error})") from error


def split_of(path: Path) -> str:
    """The split that a folder belongs to, by the first of its parts that is called after one; else "all"."""
    parts = (re.sub(r"^obj_(\w+)_data$|20\d\d$", r"\1", part.lower()) for part in path.parts)  # CVAT's, COCO's
    parts = (re.sub(rf"^{THINGS}[ _-]|[ _-]?{THINGS}$", "", part) for part in parts)
    return next((SPLITS[part] for part in parts if part in SPLITS), "all")


def split_named(file: Path) -> str:
    """The split that a file describes, by the first word in its folders and its name that is called after one; else
    "all"."""
    words = re.findall(r"(?<![a-z])[a-z]+", " ".join([*file.parts[:-1], file.stem]).lower())
    return next(
        (word if word == "trainval" else SPLITS[word] for word in words if word in (*SPLITS, "trainval")), "all"
    )


def _is_coco(file: Path) -> bool:
    try:
        text = file.read_bytes()  # LabelMe's many files hold their photographs: they are not parsed for nothing
        return (b"\0" in text[:8] or b'"categories"' in text) and bool(coco_names(file, text))
    except (OSError, DataError):
        return False


def _coco_images(folder: Path, places: Sequence[Path], file: Path, split: str, notes: list[str]) -> Path:
    """The folder that most images of a COCO file are in; of several, the one that is called after the split, or its
    own, or one called images. Where that does not tell, it is noted."""
    with file.open("rb") as content:
        head = content.read(HEAD).decode("utf-8", "replace")
    found = re.findall(r'"file_name"\s*:\s*("(?:[^"\\]|\\.)*")', head)
    names = []
    for text in found[:: max(1, len(found) // 100)]:
        with suppress(ValueError):  # it is told when the file is read
            names.append(json.loads(text))

    def suits(place: Path) -> tuple[int, bool, bool, bool]:
        inside, own = place.relative_to(folder), place == file.parent
        return len(there[place]), split_of(inside) == split, own, "images" in map(str.lower, inside.parts)

    # names that lead to one file are of images in different folders
    there = {place: {located(name, place) for name in names} - {None} for place in [file.parent, *places]}
    best = max(there, key=suits)
    for other in [place for place in there if suits(place) == suits(best) and not there[place] <= there[best]][:1]:
        both = [place.relative_to(folder).as_posix() for place in (best, other)]
        notes.append(f"the images of {file.name} may be those in {both[0]} or in {both[1]}: the first are taken")
    return best


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
