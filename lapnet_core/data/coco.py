"""COCO's instances: one JSON file of images, annotations and categories beside a folder of images."""

import json
import reprlib
from collections import defaultdict
from collections.abc import Container, Sequence
from contextlib import suppress
from operator import itemgetter, mul
from pathlib import Path
from typing import Any, TypeGuard

from lapnet_core.data.common import FARTHEST, DetectionDataset, ImageRecord, Object, usable
from lapnet_core.data.download import data_dir as default_data_dir
from lapnet_core.data.listed import all_shares, around, numbers, size_of
from lapnet_core.data.paths import files_in, located, read_text
from lapnet_core.data.types import DataError, Id, OnError, SkipReport, Transform

COCO_CLASSES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich",
    "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed",
    "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven",
    "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
"""COCO 2017's classes in the order of their category ids, which is that of a training's labels; COCO's own files say
this, but a table of boxes does not."""

# Any box of some area is taken: COCO has objects of a few tenths of a pixel.
MIN_AREA = 0.0

# Greater ids are no data: they would only overflow further on.
MAX_ID = 2**63 - 1

# Marks an annotation whose box is that around its polygons.
OUTLINED = "box around polygons"

# So many boxes, and most, that reach beyond their image are no slips.
MANY = 10

# In place of an image's index: it is faulty; it is in another split.
LEFT_OUT, ELSEWHERE = -1, -2


class CocoDetection(DetectionDataset):
    """Images and boxes of a COCO instances file, read and checked at once; images are decoded when asked for.

    A crowd (iscrowd = 1) becomes a difficult object. Images without objects stay, with no box. COCO's (x, y, w, h) is
    continuous already and becomes (x, y, x + w, y + h); in pixels, also where the file has shares, see `are_shares`.
    An object with polygons and no bbox has the box around them. Ids are whole numbers or texts; an annotation's is
    never used, so it may lack, or come twice.

    Attributes:
        category_ids: the category id of each label, for the results file; None where the file has none.
        annotation_file: for pycocotools.
        shares: whether all boxes of the file are shares of the image, which pycocotools would take for pixels.

    Args:
        image_dir: the folder of the images.
        annotation_file: a file like instances_val2017.json.
        class_names: the classes to read, in the order of their labels; objects of other classes are left out, and
            counted as "other". A class that the file has no category of has no object, and is counted as "lacking":
            some tools list only what occurs. None takes all, in the order of their category ids.
        annotated: False reads a file without annotations, such as image_info_test-dev2017.json; it must have all ids.
        only: the file names of the images to read; others, and their objects, are no part of this data set. None: all.
        on_error: "raise" stops at the first fault; "skip" leaves out the faulty object or image and counts it.
        transform: called as transform(image, target).

    Raises:
        DataError: a fault under "raise"; under either policy a file that is no such JSON, faulty categories or none of
            the classes, an unreadable folder, or no usable image.
    """

    def __init__(
        self,
        image_dir: str | Path,
        annotation_file: str | Path,
        *,
        class_names: Sequence[str] | None = None,
        annotated: bool = True,
        only: Container[str] | None = None,
        on_error: OnError = "raise",
        transform: Transform | None = None,
    ) -> None:
        path, report = Path(annotation_file), SkipReport(on_error)
        content = _load(path, ("images", "categories", "annotations") if annotated else ("images", "categories"))
        all_names, names, category_ids = _read_categories(path, content, class_names, annotated, report)
        images, index_of = _read_images(path, content["images"], Path(image_dir), only, report)
        entries = content["annotations"] if annotated else []
        objects = _read_annotations(path, entries, index_of, all_names, set(names), report)
        if shares := are_shares(content["images"], entries):
            report.note("shares", f"{path}: all boxes lie within 0 and 1")
            sides = [(images[one.image].width, images[one.image].height) * 2 for one in objects]
            objects = [one._replace(box=tuple(map(mul, one.box, by))) for one, by in zip(objects, sides, strict=True)]
        del content, entries
        columns, _ = usable(objects, "annotation", images, names, report, MIN_AREA)
        if (beyond := report.counts["clipped"]) > max(MANY, len(objects) / 2):
            why = "COCO has (x, y, width, height) in pixels: are these (x1, y1, x2, y2), or of other images?"
            report.fault("object", f"{path}: {beyond} of {len(objects)} boxes reach beyond their image. {why}")
        super().__init__(images, *columns, class_names=names, report=report, transform=transform)
        self.category_ids: tuple[Any, ...] = category_ids
        self.annotation_file, self.shares = path, shares


def without_polygons(entry: dict[str, Any]) -> dict[str, Any]:
    """Any object of such a file as it is read: the polygons are nine tenths of it, and give a box where it has none."""
    polygons = entry.pop("segmentation", None)
    if polygons and not entry.get("bbox") and type(polygons) is list and {*map(type, polygons)} == {list}:
        with suppress(ValueError):  # then it has no box
            x1, y1, x2, y2 = around([side for polygon in polygons for side in around(numbers(polygon))])
            entry |= {"bbox": [x1, y1, x2 - x1, y2 - y1], OUTLINED: True}
    return entry


def read_json(path: Path) -> Any:
    """What an annotation or results file holds, without its polygons; DataError where it cannot be read."""
    text = read_text(path, "this JSON file")
    try:
        return json.loads(text, object_hook=without_polygons)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot read this JSON file ({error})") from error


def _load(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    """The JSON file as a dict whose `keys` are lists."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: must be an object with {', '.join(keys)}, not a {type(content).__name__}")
    for key in keys:
        if not isinstance(content.get(key), list):
            raise DataError(f"{path}: {key!r} must be there and be a list")
    return content


def _is_id(value: Any) -> TypeGuard[Id]:
    return (type(value) is int and -MAX_ID <= value <= MAX_ID) or (type(value) is str and value != "")


def _read_categories(
    path: Path, content: dict[str, Any], class_names: Sequence[str] | None, annotated: bool, report: SkipReport
) -> tuple[dict[Id, str], list[str], tuple[Id | None, ...]]:
    """All names of the file by category id; names and category ids of the labels 0, 1, ... Of categories of the same
    name the annotated one counts: Roboflow's first is the name of the project, and has no annotation."""
    names: dict[Id, str] = {}
    called: dict[str, list[Id]] = defaultdict(list)
    for number, entry in enumerate(content["categories"], 1):
        if not isinstance(entry, dict) or not _is_id(entry.get("id")) or not isinstance(entry.get("name"), str):
            needs = f"must have an id and a name, not {reprlib.repr(entry)}"
            raise DataError(f"{path}: category number {number} {needs}")
        category, name = entry["id"], entry["name"]
        if not name.isprintable():
            raise DataError(f"{path}: the name of category {category} holds a line break: {name!r:.80}")
        if category in names:
            raise DataError(f"{path}: category {category} ({name}) is there twice")
        if type(category) is not type(next(iter(names), category)):
            raise DataError(f"{path}: category {category!r} ({name}): ids must all be numbers, or all be texts")
        names[category] = name
        called[name].append(category)
    if len(called) < len(names):
        entries = content["annotations"] if isinstance(content.get("annotations"), list) else []
        found = (entry.get("category_id") for entry in entries if isinstance(entry, dict))
        used = {category for category in found if _is_id(category)}
        for name, same in called.items():
            drawn = [category for category in same if category in used]
            if len(drawn) > 1:
                both = f"categories {drawn[0]} and {drawn[1]} are both called {name}"
                raise DataError(f"{path}: {both}, and both have annotations: rename one of them, or merge them")
            called[name] = drawn or same
    ids = dict(sorted(((name, same[-1]) for name, same in called.items()), key=itemgetter(1)))
    wanted = list(ids) if class_names is None else list(class_names)
    unknown = [name for name in wanted if name not in ids]
    if len(unknown) == len(wanted) or (unknown and not annotated):
        add = ": add it to its list of categories, where it needs no object" if unknown else ""
        has = f"it has {', '.join(ids) or 'none'}"
        raise DataError(f"{path}: no category named {', '.join(unknown) or 'at all'}; {has}{add}")
    for name in unknown:
        report.note("lacking", f"{path}: no category named {name}")
    return names, wanted, tuple(map(ids.get, wanted))


def _read_images(
    path: Path, entries: list[Any], folder: Path, only: Container[str] | None, report: SkipReport
) -> tuple[list[ImageRecord], dict[Id, int]]:
    """The usable images, and the index of each image id; LEFT_OUT for an image that is left out."""
    files = files_in(folder)
    images: list[ImageRecord] = []
    index_of: dict[Id, int] = {}
    known: dict[Path, Id] = {}
    for number, entry in enumerate(entries, 1):
        image_id = entry.get("id") if isinstance(entry, dict) else None
        if not _is_id(image_id):
            said = f"must be an object with an id, not {reprlib.repr(image_id)}"
            report.fault("image", f"{path}: image number {number} {said}")
            continue
        if image_id in index_of or type(image_id) is not type(next(iter(index_of), image_id)):
            said = "is there twice" if image_id in index_of else "has an id of another kind: all numbers, or all texts"
            report.fault("image", f"{path}: image {image_id} {said}")
            continue
        if only is not None and str(entry.get("file_name")) not in only:
            index_of[image_id] = ELSEWHERE
            continue
        name, where = entry.get("file_name"), f"{path}: image {image_id}"
        found = located(name, folder, files) if isinstance(name, str) else None
        try:
            if not found:
                said = f"the file {reprlib.repr(name)} is missing in {folder}" if name else "has no file_name"
                raise DataError(f"{where}: {said}")
            if found in known:
                raise DataError(f"{where}: its file is that of image {known[found]}, too: {found}")
            size = size_of(where, found, (entry.get("height"), entry.get("width")), "size", report)
        except DataError as error:
            index_of[image_id] = LEFT_OUT
            report.fault("image", str(error))
            continue
        known[found], index_of[image_id] = image_id, len(images)
        images.append(ImageRecord(str(found), image_id, *size))
    if not images:
        none = "It lists none that is asked for: a file_name is the image's path below the folder that is given"
        raise DataError(f"{path}: no usable image. {report.summary() if report.counts else none}")
    return images, index_of


def _read_annotations(
    path: Path,
    entries: list[Any],
    index_of: dict[Id, int],
    names: dict[Id, str],
    wanted: set[str],
    report: SkipReport,
) -> list[Object]:
    """The annotations of classes that are `wanted`; what is wrong with others is told, as faults of kind "object"."""
    objects: list[Object] = []
    for number, entry in enumerate(entries, 1):
        image_id = entry.get("image_id") if isinstance(entry, dict) else None
        if _is_id(image_id) and index_of.get(image_id) == ELSEWHERE:
            continue
        if problem := _problem(entry, index_of, names):
            report.fault("object", f"{path}: {_title(entry, number, names)}: {problem}")
            continue
        index, name = index_of[entry["image_id"]], names[entry["category_id"]]
        if index < 0 or name not in wanted:
            kind, why = ("lost", "its image is left out") if index < 0 else ("other", "a class not asked for")
            report.note(kind, f"{path}: {_title(entry, number, names)}: {why}")
            continue
        if OUTLINED in entry:
            report.note("outline", f"{path}: {_title(entry, number, names)}")
        x, y, width, height = entry["bbox"]
        box, crowd = (x, y, x + width, y + height), bool(entry.get("iscrowd", 0))
        known_as = entry["id"] if _is_id(entry.get("id")) else f"number {number}"
        objects.append(Object(index, box, name, crowd, path, known_as))
    return objects


def _title(entry: Any, number: int, names: dict[Id, str]) -> str:
    if not isinstance(entry, dict) or not _is_id(entry.get("id")):
        return f"annotation number {number} of the file"
    category = entry.get("category_id")
    name = names.get(category) if _is_id(category) else None
    return f"annotation {entry['id']} ({name or 'no known class'}, number {number} of the file)"


def _problem(entry: Any, index_of: dict[Id, int], names: dict[Id, str]) -> str | None:
    if not isinstance(entry, dict):
        return "must be an object"
    image_id, category, box = entry.get("image_id"), entry.get("category_id"), entry.get("bbox")
    if not _is_id(image_id) or image_id not in index_of:
        return f"there is no image {reprlib.repr(image_id)}"
    if not _is_id(category) or category not in names:
        return f"there is no category {reprlib.repr(category)}"
    if entry.get("iscrowd", 0) not in (0, 1):
        return "iscrowd must be 0 or 1"
    if not _is_box(box):
        return f"bbox must be four finite numbers (x, y, w, h), not {reprlib.repr(box)}"
    if box[2] <= 0 or box[3] <= 0:
        return f"bbox {box} (x, y, w, h) has no extent"
    return None


def _is_box(box: Any) -> TypeGuard[list[float]]:
    # the comparison is false for NaN, and works for integers that are too great for a float
    return type(box) is list and len(box) == 4 and all(type(x) in (int, float) and abs(x) < FARTHEST for x in box)


def are_shares(images: Sequence[Any], annotations: Sequence[Any]) -> bool:
    """Whether all boxes of a file are shares of their images, as Azure writes them: in pixels, all would be within the
    first one. Where no image has more, it is the same."""
    boxes = (entry["bbox"] for entry in annotations if isinstance(entry, dict) and _is_box(entry.get("bbox")))
    sizes = ((image.get("width"), image.get("height")) for image in images if isinstance(image, dict))
    corners = ((x, y, x + w, y + h) for x, y, w, h in boxes)
    return all_shares(corners) and any(size != (1, 1) for size in sizes)


def coco2017(
    split: str,
    data_dir: str | Path | None = None,
    *,
    on_error: OnError = "raise",
    transform: Transform | None = None,
) -> CocoDetection:
    """COCO 2017 where `download` puts it.

    Args:
        split: "train" (118,287 images), "val" (5,000) or "test-dev" (20,288, without annotations).
        data_dir: the folder of all data sets; None takes `download.data_dir()`.
        on_error: as in `CocoDetection`.
        transform: as in `CocoDetection`.

    Raises:
        DataError: it is not there, or has a fault.
        ValueError: another split.
    """
    if split not in ("train", "val", "test-dev"):
        raise ValueError(f'split must be "train", "val" or "test-dev", not {split!r}')
    base = (default_data_dir() if data_dir is None else Path(data_dir)) / "coco"
    if split == "test-dev":
        annotations, images = base / "annotations-test" / "image_info_test-dev2017.json", base / "test2017"
    else:
        annotations, images = base / "annotations" / f"instances_{split}2017.json", base / f"{split}2017"
    return CocoDetection(images, annotations, annotated=split != "test-dev", on_error=on_error, transform=transform)
