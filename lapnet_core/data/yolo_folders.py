"""YOLO's folders: a .yaml with class names and paths, which are often wrong, or a list of class names."""

import os
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lapnet_core.data.layouts import SPLITS, Layout, Source, below, outside_of, split_of
from lapnet_core.data.paths import ends, folders_below, located, read_lines, read_text
from lapnet_core.data.pictures import ANY_IMAGE
from lapnet_core.data.types import DataError
from lapnet_core.data.yolo import label_file

CLASS_FILES = ("classes.txt", "_darknet.labels")
"""Lists of class names, in the order of their numbers; and whatever ends in .names."""
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
    files = [described] if described else [file for file in dict.fromkeys(known) if file.is_file()]
    read = {file: _load_yaml(file, must=file in (described, *known[:2])) for file in files}
    # a description of a network has the number of classes alone
    file = max(read, key=lambda file: ("names" in read[file], "nc" in read[file], "train" in read[file]), default=None)
    if file is None or not {"names", "nc"} & set(content := read[file]):
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
        for path in paths:
            if images := _given(folder, str(content.get("path", "")), path, split):
                parts.setdefault(split, []).append((folder, images))
                continue
            why = f"no images are in {path}, nor beside {file.name}"
            if split == "train":
                raise DataError(f"{file}: {key}: {why}: correct the path")
            notes.append(f"its {key} is left out, as {why}")
    notes += _orphans(folder)
    return Layout("YOLO", parts or _sources(folder, notes), about, tuple(notes))


def yolo_without_yaml(folder: Path) -> Layout | None:
    """Label files in the usual folders, with class names in classes.txt or obj.names.

    Raises:
        DataError: there are label files, and no class names.
    """
    notes: list[str] = []
    parts = _sources(folder, notes)
    if not any(
        label_file(Path(image)) for sources in parts.values() for _, images in sources for image in images or ()
    ):
        return None
    below = (place / name for place, files in folders_below(folder) for name in files)
    listed = [file for file in below if file.name in CLASS_FILES or file.name.endswith(".names")]
    # blank lines count, but at the end: to leave one out would give all later classes another name
    listings = {file: read_text(file, "these class names").rstrip().splitlines() for file in listed}
    listings = {file: [name.strip() for name in names] for file, names in listings.items()}
    if not listings:
        raise DataError(
            f"{folder}: there are label files of YOLO, but no class names: write {folder / 'data.yaml'}, with a "
            'line as "names: [cat, dog]"'
        )
    file, names = max(listings.items(), key=lambda listing: len(listing[1]))
    for other, called in listings.items():
        if "" in called:
            raise DataError(
                f"{other}: line {called.index('') + 1} is blank, and so a class without a name: give it one"
            )
        if called != names[: len(called)]:  # LabelImg writes one for each folder
            raise DataError(f"{other} and {file} call the same numbers by different classes: make them agree")
    return Layout("YOLO", parts, {"names": _class_names(file, {"names": names})}, tuple(notes))


def _orphans(folder: Path) -> list[str]:
    """A note on label files that no image has."""
    used = {label_file(Path(image)) for image in _images(folder, folder)} - {None}
    places = {file.parent for file in used if file and file.parent.name.lower() != "images"}
    left = [file for file in below(folder, ".txt") if "labels" in map(str.lower, file.relative_to(folder).parts)]
    left = [file for file in left if file not in used and file.name not in CLASS_FILES and file.parent in places]
    return [f"{len(left)} label files without an image are left out, such as {left[0]}"] if left else []


def _sources(folder: Path, notes: list[str]) -> dict[str, list[Source]]:
    """The images of each split by the folders that they are in; where there are such, no others. One of which no image
    has labels is none, as are a few pictures to try, or those that a training has drawn."""
    parts = _by_folders(folder)
    bare = {split for split, images in parts.items() if not any(label_file(Path(image)) for image in images)}
    for split in bare if len(bare) < len(parts) else ():
        notes.append(f"{len(parts.pop(split))} images in folders of {split} are left out, as none has labels")
    if outside := outside_of(parts):
        notes.append(f"{len(outside)} images in the folder of no split are left out")
    return {split: [(folder, images)] for split, images in parts.items()}


def _by_folders(folder: Path) -> dict[str, list[str]]:
    parts: dict[str, list[str]] = {}
    for image in _images(folder, folder):
        parts.setdefault(split_of(Path(image).relative_to(folder).parent), []).append(image)
    return parts


def _load_yaml(file: Path, must: bool) -> dict[Any, Any]:
    """A .yaml whose values are texts, lists and mappings: so `no` stays the name of a class and becomes no boolean."""
    try:
        if file.stat().st_size > MAX_YAML:
            raise ValueError("it is too long")
        content = yaml.load(read_text(file, "it"), Loader=yaml.BaseLoader)
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


def _given(folder: Path, base: str, entry: str, split: str) -> list[str]:
    """The images that a path of the .yaml leads to: as it stands, or by what its end names beside the .yaml; else those
    that are in the folders of this split."""
    base, entry = base.replace("\\", "/"), entry.replace("\\", "/")
    named = [folder / end for end in ends(entry) if split_of(Path(end)) == split_of(Path(entry))]
    places = [folder / base / entry, folder / entry, *named]
    if entry.startswith("../"):  # Roboflow's, which mean folders beside the .yaml: above it may lie another data set
        places = [*named, *places]
    place = next((place for place in places if os.path.isfile(place) or _below_or_beside(place, folder)), None)
    return (_images(place, folder) if place else []) or _by_folders(folder).get(split, [])


def _below_or_beside(place: Path, folder: Path) -> bool:
    """Whether this is a folder, and none that the data set lies in: that would hold more, up to all of the disk."""
    if not os.path.isdir(place):
        return False
    place, folder = Path(os.path.realpath(place)), Path(os.path.realpath(folder))
    return place == folder or not folder.is_relative_to(place)


def _images(place: Path, folder: Path) -> list[str]:
    """The images below a folder, or those that a list names: below the list, or below the folder by what its end names
    there."""
    if place.is_dir():
        below = [inner / name for inner, files in folders_below(place) for name in files]
        return sorted(str(file) for file in below if file.suffix.lower() in ANY_IMAGE)
    lines = [line.replace("\\", "/") for line in read_lines(place, "this list of images")]
    listed = [(place.parent / line, located(line, folder)) for line in lines]
    return [str(beside if beside.is_file() else found or beside) for beside, found in listed]
