"""Which layout a folder of images and annotations has: VOC's and COCO's; YOLO's are in `yolo_folders`."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lapnet_core.data.types import DataError
from lapnet_core.data.voc import voc_folders

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""What folders and keys are called, and the split that it is."""
HEAD = 4 << 20
"""Bytes of a COCO file in which names of images are looked for, to find their folder."""

# Where the images of a split come from: a place, and the names there; a text is the name of an image set of VOC, and
# None is all that the place has. The place is a folder (VOC, YOLO), or a JSON file and the folder of its images (COCO).
Source = tuple[Any, str | list[str] | None]


@dataclass(frozen=True)
class Layout:
    """What was found in a folder."""

    kind: str
    """VOC, COCO or YOLO."""
    parts: Mapping[str, Sequence[Source]]
    """Where the images of each split come from; "all" where there is none."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What the reader needs besides."""
    notes: tuple[str, ...] = ()
    """What is noteworthy, for the line that says what the data is."""


def voc_with_lists(folder: Path) -> Layout | None:
    """ImageSets/Main with train, val, trainval or test; or with one list of another name."""
    lists = {path.stem: path for path in sorted((folder / "ImageSets" / "Main").glob("*.txt"))}
    if not lists:
        return None
    # VOC has a list for each class besides, such as cat_train
    known: dict[str, list[Source]] = {n: [(folder, n)] for n in ("train", "val", "trainval", "test") if n in lists}
    return Layout("VOC", known or {"all": [(folder, name) for name in list(lists)[:1]]})


def voc_without_lists(folder: Path) -> Layout | None:
    """XML files in a folder of their own or beside the images; perhaps in train, valid and test."""
    parts: dict[str, list[Source]] = {}
    pictures = 0
    for place in [*split_folders(folder), folder]:
        if place == folder and parts:
            break
        annotations, images = voc_folders(place)
        names = sorted(file.stem for file in annotations.glob("[!.]*.xml"))
        if names and images.is_dir():
            split = "all" if place == folder else SPLITS[place.name.lower()]
            parts.setdefault(split, []).append((place, names))
            pictures += sum(file.suffix.lower() in SUFFIXES for file in images.glob("[!.]*"))
    without = pictures - sum(len(names or ()) for sources in parts.values() for _, names in sources)
    notes = (f"{without} images without an XML file are left out",) if without > 0 else ()
    return Layout("VOC", parts, notes=notes) if parts else None


def coco(folder: Path, described: Path | None = None) -> Layout | None:
    """annotations/instances_*.json with the usual folders of images, _annotations.coco.json in train, valid and test
    (Roboflow), or any JSON of this form beside the images."""
    found = [described] if described else sorted([*folder.glob("*.json"), *folder.glob("*/*.json")])
    named = [file for file in found if file.name.startswith("instances_") or file.name == "_annotations.coco.json"]
    parts: dict[str, list[Source]] = {}
    # COCO has keypoints and captions beside, in files of the same form
    for file in named or found:
        if not named and (not described and (file.name.startswith("image_info") or not _is_coco(file))):
            continue
        inner = "" if file.parent == folder else file.parent.name
        words = re.findall(r"(?<![a-z])[a-z]+", f"{inner} {file.stem}".lower())
        splits = [word if word == "trainval" else SPLITS[word] for word in words if word in (*SPLITS, "trainval")]
        split = splits[0] if splits else "all"
        parts.setdefault(split, []).append(((file, _coco_images(folder, file, split)), None))
    return Layout("COCO", parts) if parts else None


def coco_names(file: Path) -> list[str]:
    """The file names of the images in a COCO file; DataError where it is none."""
    try:
        content = json.loads(file.read_bytes())
        lacking = {"images", "annotations", "categories"} - set(content)
        if lacking:
            raise ValueError(f"it lacks {', '.join(sorted(lacking))}")
        return [name for image in content["images"] if isinstance(name := image.get("file_name"), str)]
    except (OSError, ValueError, RecursionError, AttributeError, TypeError) as error:
        raise DataError(f"{file}: this is no JSON file of COCO's form ({error})") from error


def split_folders(folder: Path) -> list[Path]:
    """train, val, test, by whichever of their names, as far as they are there."""
    inner = sorted(folder.iterdir()) if folder.is_dir() else []
    return [entry for entry in inner if entry.name.lower() in SPLITS and entry.is_dir()]


def folder_names(split: str) -> list[str]:
    """What the folder of a split may be called."""
    return [name for name, meant in SPLITS.items() if meant == split] or [split]


def _is_coco(file: Path) -> bool:
    try:
        return bool(coco_names(file))
    except DataError:
        return False


def _coco_images(folder: Path, file: Path, split: str) -> Path:
    """The folder that most images of a COCO file are in."""
    inner = [f"{name}{year}" for name in folder_names(split) for year in ("", "2017", "2014")]
    bases = [file.parent, file.parent / "images", *(folder / "images" / name for name in ("", *inner))]
    bases += [folder / name for name in ("", *inner, "data", "JPEGImages")]
    with file.open("rb") as content:
        head = content.read(HEAD).decode("utf-8", "replace")
    names = [name.replace("\\/", "/") for name in re.findall(r'"file_name"\s*:\s*"([^"]+)"', head)]
    names = names[:: max(1, len(names) // 100)]
    return max(filter(Path.is_dir, bases), key=lambda base: sum(os.path.isfile(base / name) for name in names))
