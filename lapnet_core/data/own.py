"""Own data as it comes: which layout a folder has, which splits, and what is said of it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lapnet_core.data.coco import CocoDetection
from lapnet_core.data.common import DetectionDataset, join
from lapnet_core.data.csv_tables import tables
from lapnet_core.data.layouts import Layout, Source, coco, coco_names, voc_with_lists, voc_without_lists
from lapnet_core.data.listed import ListedDetection
from lapnet_core.data.others import createml, cvat, labelme
from lapnet_core.data.paths import HIDDEN, OURS, folders_below, read_lines
from lapnet_core.data.splits import HELD_OUT, SHARES, make_split
from lapnet_core.data.types import DataError, OnError, Transform
from lapnet_core.data.voc import VOCDetection
from lapnet_core.data.yolo import YoloDetection
from lapnet_core.data.yolo_folders import yolo, yolo_without_yaml

DESCRIBES = {".yaml": (yolo,), ".yml": (yolo,), ".csv": (tables,), ".xml": (cvat,), ".json": (createml, labelme, coco)}
"""By the suffix of a file that --data names, what it may be."""
MAX_COUNTED = 100 << 20
"""Bytes of a JSON file beyond which its images are not counted for the line that says what the data is."""


@dataclass(frozen=True)
class OwnData:
    """A folder of images and annotations, told apart, with the splits that it has and those that we made."""

    folder: Path
    layout: Layout
    made: Mapping[str, Sequence[str]] | None = None
    """The names of each split, where we made it."""

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits."""
        return tuple(self.layout.parts)

    def line(self) -> str:
        """How many images each split has, and what is noteworthy."""
        counted, kind = [], self.layout.kind
        for split, sources in self.layout.parts.items():
            files = [place[0] for place, names in sources if kind == "COCO" and names is None]
            slow = any(file.stat().st_size > MAX_COUNTED for file in files)
            counted.append(split if slow else f"{split} {sum(len(_names(kind, source)) for source in sources)}")
        return "; ".join((f"{' / '.join(counted)} images", *self.layout.notes))

    def open(
        self,
        split: str,
        *,
        class_names: Sequence[str] | None = None,
        on_error: OnError = "raise",
        transform: Transform | None = None,
    ) -> DetectionDataset:
        """One split. Without `class_names` those of it that have an object, in the data's own order (COCO, YOLO) or
        sorted.

        Raises:
            DataError: there is no such split, or it is faulty.
        """
        kind, parts = self.layout.kind, self.layout.parts
        if split not in parts:
            has = " or ".join(f"--split {name}" for name in parts)
            raise DataError(f'{self.folder}: there is no split "{split}"; give {has}')
        options: dict[str, Any] = {"class_names": class_names, "on_error": on_error, "transform": transform}
        if self.made and kind not in ("YOLO", "COCO"):  # whose files name all classes
            options["known"] = class_names or ()  # that our split gave the training none of a class is no fault of hers
        if kind == "VOC":
            data = VOCDetection([(place, names or ()) for place, names in parts[split]], **options)
        elif kind == "YOLO":
            images = [name for _, names in parts[split] for name in names or ()]
            data = YoloDetection(images, root=self.folder, **self.layout.about, **options)
        elif kind == "COCO":
            opened: list[DetectionDataset] = []
            for (file, images), names in parts[split]:
                options["class_names"] = opened[0].class_names if opened else class_names
                opened.append(CocoDetection(images, file, only=None if names is None else set(names), **options))
            data = join(opened)
        else:
            listed = [place[name] for place, names in parts[split] for name in names or ()]
            data = ListedDetection(listed, self.folder, **self.layout.about, **options)
        every = len(data.class_names)
        if class_names is None:
            kept = data.drop_unused()
            if not kept:
                raise DataError(f"{self.folder}, {split}: no image has a usable object. {data.report.summary()}")
            if isinstance(data, CocoDetection):
                data.category_ids = tuple(data.category_ids[label] for label in kept)
        classes = f"{every} classes"
        if len(data.class_names) < every:
            classes = f"{len(data.class_names)} of its {classes} (the others have no object in {split})"
        data.report.source = f"{self.folder.resolve().name}: {kind}, {classes}, {self.line()}"
        data.made_splits = self.made
        return data


def find(path: Path) -> OwnData:
    """What a folder holds, or a folder in it where it holds nothing else; or what a file of `DESCRIBES` describes.

    In this order: image sets of VOC; a .yaml with class names (YOLO); COCO's JSON; CVAT's XML; XML files beside images
    or in a folder of their own; label files of YOLO with classes.txt or obj.names; CreateML's and LabelMe's JSON;
    tables. Without a split, or with a training set alone, `splits.make_split` makes one; without a validation set, one
    is held out of the training set.

    Raises:
        DataError: there is nothing of this kind, or what describes it is faulty.
    """
    try:
        if not path.is_dir():
            folder = path.parents[path.parent.name == "annotations"]  # COCO's, beside its folders of images
            for look in DESCRIBES.get(path.suffix.lower(), ()) if path.is_file() else ():
                if found := look(folder, path):
                    return _with_all_splits(folder, found)
            said = "a .yaml of YOLO, a .json of COCO, CreateML or LabelMe, an .xml of CVAT or a .csv"
            raise DataError(f"{path}: --data takes a folder, {said}")
        places = [path]  # an archive is often unpacked into a folder of its own name
        while len(inner := _folders(places[-1])) == 1 and not inner[0].is_symlink():
            places += inner
        looks = [(look, place) for place in places for look in (voc_with_lists, yolo, coco)]
        rest = (cvat, voc_without_lists, yolo_without_yaml, createml, labelme, tables)
        for look, place in (*looks, *((look, path) for look in rest)):
            if found := look(place):
                return _with_all_splits(place, found)
    except OSError as error:
        raise DataError(f"{path}: cannot read this folder ({error})") from error
    endings = Counter(Path(file).suffix.lower() for _, files in folders_below(path) for file in files)
    held = ", ".join(f"{n} {end or 'without suffix'}" for end, n in endings.most_common(4)) or "nothing"
    raise DataError(
        f"{path}: no annotations that are known. It holds {held}; wanted are VOC's XML files (in Annotations, or "
        "beside the images), COCO's JSON, or YOLO's label files (in labels for those in images, or beside the images) "
        "with a data.yaml; or else JSON of CreateML or LabelMe, CVAT's XML, or a table (CSV). Anything else has to be "
        "exported as one of these, or converted, as by Datumaro. --data takes the folder, unpacked, that holds both "
        "images and annotations"
    )


def _folders(folder: Path) -> list[Path]:
    inside = (place for place in folder.iterdir() if place.is_dir() and not place.name.startswith(HIDDEN))
    return [place for place in inside if not (place / OURS).exists()]


def _with_all_splits(folder: Path, found: Layout) -> OwnData:
    """Adds a split where there is none, a validation set where there is none, and trainval."""
    parts = dict(found.parts)
    whole = next((name for name in ("all", "trainval", "train") if name in parts), "")
    if len(parts) == 1 and whole in ("all", "train"):
        shares = SHARES
    elif whole and "val" not in parts and not {"train", "trainval"} <= set(parts):
        shares = HELD_OUT
    else:
        shares = {}
    notes, made = found.notes, None
    if shares:
        given = parts.pop(whole)
        named = [(place, _names(found.kind, (place, names))) for place, names in given]
        every = [name for _, names in named for name in names]
        alike = len(set(every)) < len(every)  # two folders have images of one name

        def key(place: Any, name: str) -> str:
            return _below(folder, place, name) if alike else name

        made = make_split(list(dict.fromkeys(key(place, name) for place, names in named for name in names)), shares)
        split_of = {name: split for split, names in made.items() for name in names}
        for split in made:
            parts[split] = _picked(named, lambda place, name, split=split: split_of[key(place, name)] == split)
        percent = "/".join(f"{100 * share:.0f}" for share in shares.values())
        how = "split made by us" if shares is SHARES else f"val held out of {whole} by us"
        notes += (f"{how}, {percent} % by a hash of the file names: an image that is added moves no other",)
        if shares is HELD_OUT:
            parts["trainval"] = given
    own = {split: _images(found.kind, sources) for split, sources in found.parts.items() if len(found.parts) > 1}
    pairs = (("train", "val"), ("train", "test"), ("trainval", "test"), ("val", "test"))
    shared = {pair: own.get(pair[0], set()) & own.get(pair[1], set()) for pair in pairs}
    notes += tuple(f"{len(again)} images of {b} are in {a}, too" for (a, b), again in shared.items() if again)
    if "trainval" not in parts and {"train", "val"} <= set(parts):
        added, twice = parts["val"], shared["train", "val"]
        if twice:
            named = [(place, _names(found.kind, (place, names))) for place, names in added]
            added = _picked(named, lambda place, name: (_where(place), name) not in twice)
        parts["trainval"] = [*parts["train"], *added]
    order = dict.fromkeys([name for name in ("train", "val", "trainval", "test") if name in parts] + list(parts))
    parts = {split: parts[split] for split in order if any(names != [] for _, names in parts[split])}
    return OwnData(folder, replace(found, parts=parts, notes=notes), made)


def _picked(named: Sequence[tuple[Any, list[str]]], wanted: Callable[[Any, str], bool]) -> list[Source]:
    """Sources with those of their names that are `wanted`; without those of which none is."""
    picked = ((place, [name for name in names if wanted(place, name)]) for place, names in named)
    return [(place, names) for place, names in picked if names]


def _images(kind: str, sources: Sequence[Source]) -> set[tuple[str, str]]:
    """The images of a split, by their folder and name; without those of files that take long to read."""
    quick = [(place, names) for place, names in sources if kind != "COCO" or place[0].stat().st_size <= MAX_COUNTED]
    return {(_where(place), name) for place, names in quick for name in _names(kind, (place, names))}


def _where(place: Any) -> str:
    """The folder of images; of the layouts whose names are paths there is none."""
    return str(place[1]) if isinstance(place, tuple) else str(place) if isinstance(place, Path) else ""


def _below(folder: Path, place: Any, name: str) -> str:
    """A name behind that of its folder, or of the file that it stands in."""
    inner = place[0] if isinstance(place, tuple) else place
    return f"{inner.relative_to(folder).as_posix()}/{name}" if isinstance(inner, Path) else name


def _names(kind: str, source: Source) -> list[str]:
    """The names of the images of a source."""
    place, names = source
    if isinstance(names, list):
        return names
    if kind == "COCO":
        return coco_names(place[0])
    return list(dict.fromkeys(read_lines(place / "ImageSets" / "Main" / f"{names}.txt", "this image set")))
