"""YOLO's folders: a .yaml with class names and paths, which are often wrong, or a list of class names."""

import os
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lapnet_core.data.layouts import SPLITS, SUFFIXES, Layout, Source, folder_names, split_folders
from lapnet_core.data.types import DataError
from lapnet_core.data.yolo import label_file

MAX_YAML = 1 << 20
"""Bytes; a description of a data set has a few hundred."""


def yolo(folder: Path, described: Path | None = None) -> Layout | None:
    """What data.yaml, dataset.yaml or another .yaml with class names describes.

    A path in it may be wrong: then what its end names beside the .yaml is taken, or the usual folder of this split. A
    val or test that is not there is noted; a train that is not there is an error.

    Raises:
        DataError: the .yaml cannot be read, has no usable names, or its train is not there.
    """
    known = [folder / "data.yaml", folder / "dataset.yaml", *sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])]
    for file in [described] if described else [file for file in known if file.is_file()]:
        content = _load_yaml(file, must=file in (described, *known[:2]))
        if "names" in content or "nc" in content:
            break
    else:
        if described:
            raise DataError(f"{described}: this describes no data set of YOLO, which has `names`")
        return None
    about = {"names": _class_names(file, content), "keypoints": "kpt_shape" in content}
    parts: dict[str, list[Source]] = {}
    notes: list[str] = []
    for key, split in SPLITS.items():
        entries = content.get(key) or []
        paths = [entries] if isinstance(entries, str) else entries
        if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            raise DataError(
                f"{file}: {key} must be a folder or a list of images, or several, not {reprlib.repr(paths)}"
            )
        places = [_resolve(folder, str(content.get("path", "")), path, split) for path in paths]
        images = [image for place in places if place for image in _images(place, folder)]
        for path, place in zip(paths, places, strict=True):
            if place is None or not images:
                why = f"no images are in {path}, nor beside {file.name}"
                if split == "train":
                    raise DataError(f"{file}: {key}: {why}: correct the path")
                notes.append(f"its {key} is left out, as {why}")
        if images:
            parts.setdefault(split, []).append((folder, images))
    return Layout("YOLO", parts or _by_folders(folder), about, tuple(notes))


def yolo_without_yaml(folder: Path) -> Layout | None:
    """Label files in the usual folders, with class names in classes.txt or obj.names.

    Raises:
        DataError: there are label files, and no class names.
    """
    parts = _by_folders(folder)
    if not any(
        label_file(Path(image)) for sources in parts.values() for _, images in sources for image in images or ()
    ):
        return None
    places = [base / name for base in (folder, folder / "labels") for name in ("classes.txt", "obj.names")]
    file = next(filter(Path.is_file, places), None)
    if file is None:
        raise DataError(
            f"{folder}: there are label files of YOLO, but no class names: write {folder / 'data.yaml'}, with a "
            'line as "names: [cat, dog]"'
        )
    lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    names = [line.strip() for line in lines if line.strip()]
    return Layout("YOLO", parts, {"names": _class_names(file, {"names": names})})


def files_below(folder: Path) -> list[Path]:
    """All files below a folder but hidden ones; links to other folders are not followed."""
    return [Path(base, name) for base, _, names in os.walk(folder) for name in names if not name.startswith(".")]


def _by_folders(folder: Path) -> dict[str, list[Source]]:
    """The images of each split in train/images, images/train or train; else all that there are."""
    parts: dict[str, list[Source]] = {}
    for place in [*split_folders(folder), *split_folders(folder / "images")]:
        if images := _images(place, folder):
            parts.setdefault(SPLITS[place.name.lower()], []).append((folder, images))
    return parts or {"all": [(folder, _images(folder, folder))]}


def _load_yaml(file: Path, must: bool) -> dict[Any, Any]:
    """A .yaml whose values are texts, lists and mappings: so `no` stays the name of a class and becomes no boolean."""
    try:
        if file.stat().st_size > MAX_YAML:
            raise ValueError("it is too long")
        content = yaml.load(file.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader)
        if isinstance(content, dict):
            return content
        raise ValueError("it must be a mapping, with `names`")
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        if must:
            raise DataError(f"{file}: cannot read this YAML file ({' '.join(str(error).split()):.300})") from error
        return {}


def _class_names(file: Path, content: Mapping[str, Any]) -> dict[int, str]:
    """Class names by number, from a list, a mapping, or their count."""
    names, count = content.get("names"), content.get("nc")
    count = count if isinstance(count, str) else ""
    if not names and count.isascii() and count.isdecimal() and 0 < int(count[:5]) < 10_000:
        return {number: f"class {number}" for number in range(int(count))}
    pairs = (
        list(names.items()) if isinstance(names, dict) else list(enumerate(names)) if isinstance(names, list) else []
    )
    usable = all(
        str(key).isdecimal() and len(str(key)) < 6 and isinstance(name, str) and name and name.isprintable()
        for key, name in pairs
    )
    found = {int(key): name for key, name in pairs} if usable else {}
    if not found or len(found) < len(pairs) or len(set(found.values())) < len(pairs):
        raise DataError(f"{file}: `names` must be a list of different class names, or a mapping from their numbers")
    if count and count != str(len(pairs)):
        raise DataError(f"{file}: nc is {count:.20}, but there are {len(pairs)} names: make them agree")
    return found


def _resolve(folder: Path, base: str, entry: str, split: str) -> Path | None:
    """Where a path of the .yaml leads: as it stands, or what its end names beside the .yaml, or the usual folder."""
    steps = [step for step in Path(entry).parts if step not in ("..", ".", "/")]
    ends = [steps[n:] for n in range(len(steps))]
    of_split = [end for end in ends if any(SPLITS.get(s.lower().removesuffix("2017")) == split for s in end)]
    usual = [steps for name in folder_names(split) for steps in ([name, "images"], ["images", name])]
    # "images" alone may hold the other splits, too
    others = [end for end in ends if end != ["images"] or len(steps) == 1]
    tried = [folder / base / entry, folder / entry, *(folder.joinpath(*end) for end in (*of_split, *usual, *others))]
    return next((place for place in tried if os.path.isfile(place) or _below_or_beside(place, folder)), None)


def _below_or_beside(place: Path, folder: Path) -> bool:
    """Whether this is a folder, and none that the data set lies in: that would hold more, up to all of the disk."""
    if not os.path.isdir(place):
        return False
    place, folder = Path(os.path.realpath(place)), Path(os.path.realpath(folder))
    return place == folder or not folder.is_relative_to(place)


def _images(place: Path, folder: Path) -> list[str]:
    """The images below a folder, or those that a list names."""
    if place.is_dir():
        return sorted(str(file) for file in files_below(place) if file.suffix.lower() in SUFFIXES)
    try:
        lines = [line.strip() for line in place.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{place}: cannot read this list of images ({error})") from error
    return [_listed(line, place, folder) for line in lines if line]


def _listed(line: str, place: Path, folder: Path) -> str:
    """The image of a line: below the list, below the folder, or what its end names there."""
    steps = [step for step in Path(line).parts if step not in ("..", ".", "/")]
    tried = [place.parent / line, folder / line, *(folder.joinpath(*steps[n:]) for n in range(len(steps)))]
    return str(next((path for path in tried if os.path.isfile(path)), tried[0]))
