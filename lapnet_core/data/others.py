"""Layouts of other tools: CVAT's own XML, Apple's CreateML, LabelMe; tables are in `csv_tables`."""

import json
import math
import re
import reprlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from lapnet_core.data.layouts import SPLITS, Layout, below, called, layout, split_named, split_of, steps
from lapnet_core.data.listed import Drawn, Listed, around, numbers
from lapnet_core.data.paths import read_text
from lapnet_core.data.types import DataError
from lapnet_core.data.voc import parse_xml

LINES = ("point", "points", "line", "linestrip", "polyline", "cuboid", "skeleton")
"""Shapes of LabelMe and CVAT that have no box."""
OBJECTS = {"annotations", "annotation"}
"""What CreateML calls the objects of an image, by its version."""
UNREADABLE = "cannot read this JSON file, which is empty, cut off, or not in UTF-8"
SHAPES = {"what": "shape", "upright": True}
"""Of LabelMe and CVAT, which turn a picture by its EXIF and write its size as they show it."""
HEAD = 4096
"""Bytes in which an XML file has its first element, and a JSON file its first character."""


def cvat(folder: Path, described: Path | None = None) -> Layout | None:
    """annotations.xml with all images, as "CVAT for images" is exported, also of a project with subsets.

    Raises:
        DataError: such a file cannot be read, or is of a video.
    """
    files = [described] if described else []
    for file in [] if described else below(folder, ".xml"):
        first = re.search(rb"<([A-Za-z]\w*)", _head(file))
        if first and first[1] == b"annotation":
            return None  # VOC's
        files += [file] if first and first[1] == b"annotations" else []
    images = []
    for file in files:
        root = parse_xml(file, "annotations")
        if root.find("track") is not None:
            said = 'its boxes are tracks ("CVAT for video"), which belong to no image files'
            raise DataError(f'{file}: {said}: export "CVAT for images", or VOC, with the images')
        for number, element in enumerate(root.findall("image"), 1):
            name = element.get("name", "")
            split = SPLITS.get(element.get("subset", "").lower()) or split_of(Path(*steps(name)[:-1]))
            split = split_named(file.relative_to(folder)) if split == "all" else split
            objects = [(n, shape) for n, shape in enumerate(element, 1) if shape.tag != "tag"]
            size, inside = (element.get("height", ""), element.get("width", "")), called(name, number)
            images.append(Listed(file, name, split, _of_cvat, objects, size, inside=inside))
    return layout("CVAT", folder, images, SHAPES) if images else None


def _of_cvat(shape: Element) -> Drawn:
    name, have = shape.get("label"), shape.attrib
    if shape.tag in LINES:
        return Drawn(name, (), "line")
    angle = math.radians(numbers([have.get("rotation", 0)])[0])
    turn = abs(math.cos(angle)), abs(math.sin(angle))
    if shape.tag == "polygon":
        return Drawn(name, around(numbers(re.split("[,;]", have.get("points", "")))), "outline")
    if shape.tag == "mask":
        x, y, width, height = numbers([have.get(side) for side in ("left", "top", "width", "height")])
        return Drawn(name, (x, y, x + width, y + height), "outline")
    if shape.tag == "ellipse":
        x, y, *radii = numbers([have.get(side) for side in ("cx", "cy", "rx", "ry")])
        half = [math.hypot(radii[n] * turn[0], radii[1 - n] * turn[1]) for n in (0, 1)]
    elif shape.tag == "box":
        box = numbers([have.get(side) for side in ("xtl", "ytl", "xbr", "ybr")])
        if not angle:
            return Drawn(name, box)
        x, y, *radii = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, (box[2] - box[0]) / 2, (box[3] - box[1]) / 2
        half = [radii[n] * turn[0] + radii[1 - n] * turn[1] for n in (0, 1)]
    else:
        raise ValueError(f"<{shape.tag:.40}> is no shape that is known")
    return Drawn(name, (x - half[0], y - half[1], x + half[0], y + half[1]), "outline")


def createml(folder: Path, described: Path | None = None) -> Layout | None:
    """A JSON list of images, such as _annotations.createml.json in train, valid and test.

    Raises:
        DataError: beside such a file is one that cannot be read.
    """
    images: list[Listed] = []
    broken = None
    for file, content in _json([described] if described else below(folder, ".json"), b"["):
        broken = file if content is None else broken
        entries = [entry if isinstance(entry, dict) else {} for entry in content or ()]
        if not any(entry.keys() & {"image", "imagefilename"} and entry.keys() & OBJECTS for entry in entries):
            continue
        for number, entry in enumerate(entries, 1):
            name, split = entry.get("image", entry.get("imagefilename")), split_named(file.relative_to(folder))
            objects = entry.get("annotations", entry.get("annotation"))
            problem = "" if isinstance(objects, list) else "its annotations must be a list"
            found = list(enumerate(objects, 1)) if isinstance(objects, list) else []
            images.append(Listed(file, name, split, _of_createml, found, problem=problem, inside=called(name, number)))
    if images and broken:
        raise DataError(f"{broken}: {UNREADABLE}: export it anew, or move it away")
    return layout("CreateML", folder, images, {"what": "annotation"}) if images else None


def _of_createml(annotation: Any) -> Drawn:
    box = annotation.get("coordinates") if isinstance(annotation, dict) else None
    if not isinstance(box, dict):
        raise ValueError("must have coordinates, with the x and y of the centre, width and height")
    x, y, width, height = numbers([box.get(side) for side in ("x", "y", "width", "height")])
    return Drawn(annotation.get("label"), (x - width / 2, y - height / 2, x + width / 2, y + height / 2))


def labelme(folder: Path, described: Path | None = None) -> Layout | None:
    """A JSON file for each image, beside it or elsewhere; one that cannot be read is a fault."""
    images, broken, others = [], [], 0
    for file, content in _json([described] if described else below(folder, ".json"), b"{"):
        split = split_of(file.relative_to(folder).parent)
        if content is None:
            broken.append(Listed(file, file.stem, split, _of_labelme, problem=UNREADABLE))
        elif isinstance(content, dict) and "imagePath" in content and isinstance(content.get("shapes"), list):
            objects, size = enumerate(content["shapes"], 1), (content.get("imageHeight"), content.get("imageWidth"))
            hint = "; the copy inside, imageData, is not read" if content.get("imageData") else ""
            images.append(Listed(file, content["imagePath"], split, _of_labelme, list(objects), size, hint=hint))
        else:
            others += 1
    if not images:
        return None
    notes = [f"{others} JSON files that are not LabelMe's are left out"] if others else []
    return layout("LabelMe", folder, [*images, *broken], SHAPES, notes)


def _of_labelme(shape: Any) -> Drawn:
    points = shape.get("points") if isinstance(shape, dict) else None
    if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
        raise ValueError("must be a shape with a list of points x, y")
    name, kind = shape.get("label"), shape.get("shape_type") or "polygon"
    if kind in LINES:
        return Drawn(name, (), "line")
    sides = numbers([side for point in points for side in point])
    if kind == "rectangle":
        return Drawn(name, around(sides))
    if kind == "circle" and len(sides) == 4:
        radius = math.dist(sides[:2], sides[2:])
        return Drawn(name, around([side + by for by in (-radius, radius) for side in sides[:2]]), "outline")
    if kind in ("polygon", "rotation", "mask"):
        return Drawn(name, around(sides), "outline")
    raise ValueError(f"{reprlib.repr(kind)} of {len(points)} points is no shape that is known")


def _json(files: list[Path], first: bytes) -> Iterator[tuple[Path, Any]]:
    """JSON files of a list or of an object, by their `first` character, and what they hold; those that are empty or
    cannot be read with None."""
    for file in files:
        if _head(file).lstrip(b"\xef\xbb\xbf\xfe\xff\0 \t\r\n")[:1] in (b"", first):
            try:
                yield file, json.loads(read_text(file, "this JSON file"), object_hook=_without_picture)
            except (ValueError, RecursionError):
                yield file, None


def _head(file: Path) -> bytes:
    """Of a file that cannot be read, nothing: that is told where it is wanted."""
    with suppress(OSError), file.open("rb") as content:
        return content.read(HEAD)
    return b""


def _without_picture(entry: dict[str, Any]) -> dict[str, Any]:
    # LabelMe writes the photograph into its file, too: dropped as it is read, it needs no memory
    return entry | {"imageData": True} if entry.get("imageData") else entry
