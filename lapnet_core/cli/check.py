"""`lapnet data check`: what is faulty in a data set and where, what it holds, and whom its anchors would miss."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from tyro.conf import FlagCreatePairsOff, Positional

from lapnet_core.config import preset_for

FAULTS = ("image", "object")
"""What `lapnet train` stops at; everything else is only told."""
SMALL = 32
"""Pixels of the network input: a side of objects that are called small, 4 x 4 cells of the grid."""
AT_ONCE = 16
"""So many images are assigned together; it changes the memory that this takes, and nothing else."""


@dataclass(frozen=True)
class Check:
    """Look through a data set before a training: lapnet data check FOLDER. Status 1 where something is faulty."""

    data: Annotated[str, Positional]
    """As in `lapnet train`."""
    image_size: tuple[int, int] | None = None
    """(height, width) of the network input in pixels; by default that of the preset that `lapnet train` starts from."""
    per_class: int = 10
    """Anchors per class."""
    show: int = 10
    """So many messages of each kind."""
    quick: Annotated[bool, FlagCreatePairsOff] = False
    """Look at the annotations alone, and decode no image."""

    def run(self) -> int:
        """Print what was found.

        Raises:
            ValueError: no split can be used, or the data is drawn and not read.
        """
        from lapnet_core.data import DataError, DetectionDataset
        from lapnet_core.data.named import NAMED, open_dataset, own_data

        start = preset_for(self.data)
        size = replace(start, image_size=self.image_size or start.image_size).image_size  # what a training takes
        own = None if self.data in NAMED else own_data(self.data)  # once, as large tables and lists take long
        every = own.splits if own else NAMED[self.data]
        parts: dict[str, DetectionDataset] = {}
        names, unusable = None, list[str]()  # the names of the first, which a training hands to the others
        for split in every if "train" not in every else [name for name in every if name != "trainval"]:
            try:
                how: dict[str, Any] = {"class_names": names, "on_error": "skip"}
                data = own.open(split, **how) if own else open_dataset(self.data, split, **how)
                if not isinstance(data, DetectionDataset):
                    raise ValueError(f"{self.data}: these images are drawn by the code, there is nothing to check")
                parts[split], names = data, data.class_names
            except DataError as error:
                test = "; it cannot be evaluated, and a training works without it" if split == "test" else ""
                unusable.append(f"\n{split}: cannot be used, --on-error skip or not: {error}{test}\n")
        if not parts:
            raise DataError(unusable[0].strip())
        if source := next(iter(parts.values())).source:
            print(source)
        digests = {split: (_paths if self.quick else _decode)(split, data) for split, data in parts.items()}
        faults = sum(self._say(split, data) for split, data in parts.items()) + len(unusable)
        print("".join(unusable), end="")
        doubts = _say_copies(digests) + _say_classes(parts, size)
        self._say_anchors(next(iter(parts)), next(iter(parts.values())), size)
        print(
            f"{faults} faults: correct them, or leave them out by --on-error skip"
            if faults
            else f"no fault{' in the annotations; the images were not decoded' if self.quick else ''}"
        )
        for doubt in doubts:
            print(f"but {doubt}")
        return int(faults > 0)

    def _say(self, split: str, data: Any) -> int:
        """A split's images and objects, and what its report has. Returns the number of faults."""
        targets = [data.target(index) for index in range(len(data))]
        objects = sum(len(target["labels"]) for target in targets)
        difficult = sum(int(target["difficult"].sum()) for target in targets)
        empty = sum(not len(target["labels"]) for target in targets)
        sizes = Counter("{1} x {0}".format(*target["original_size"]) for target in targets)
        common = ", ".join(f"{size} ({count})" for size, count in sizes.most_common(3))
        print(
            f"\n{split}: {len(data)} images, {empty} of them without objects; {objects} objects, {difficult} difficult"
        )
        print(f"  {len(sizes)} sizes (width x height), {'most often' if len(sizes) > 3 else 'namely'} {common}")
        twice = Counter(
            (str(target["image_id"]), data.class_names[label], tuple(box))
            for target in targets
            for label, box in zip(target["labels"].tolist(), target["boxes"].tolist(), strict=True)
        )
        for (image, name, box), count in twice.items():
            if count > 1:
                data.report.note("double", f"{image}: {name} at {tuple(round(x, 1) for x in box)}", count - 1)
        for kind, count in sorted(data.report.counts.items()):
            messages = data.report.messages[kind]
            print(f"  {count} {data.report.TOLD.get(kind, kind)}:")
            for message in messages[: self.show]:
                print(f"    {message}")
            if len(messages) > self.show:
                print(f"    and more (--show {len(messages)} shows {len(messages)})")
        return sum(data.report.counts[kind] for kind in FAULTS)

    def _say_anchors(self, split: str, data: Any, size: tuple[int, int]) -> None:
        """Whom the anchors that this split would get leave without a positive one, under AO and under PONO."""
        from lapnet_core.anchors import average_iou, cluster_anchors
        from lapnet_core.boxes import area
        from lapnet_core.data.named import object_sizes

        sizes, labels = object_sizes(data, size)
        known = labels.unique().tolist()
        shapes = cluster_anchors(sizes, labels, len(data.class_names), self.per_class, 0, data.class_names)
        fit = float((average_iou(sizes, labels, shapes) * labels.bincount(minlength=len(shapes))).sum() / len(labels))
        boxes, ao, pono, rescued = _positives(data, shapes, size)
        small = area(boxes) < SMALL**2
        few = int(small.sum())
        print(
            f"\nanchors: {self.per_class} for each of {len(known)} classes, clustered on {split}; average IoU {fit:.3f}"
        )
        print(
            f"{split}, objects without a positive anchor (overlap > .5); small: area under {SMALL} x {SMALL} px there"
        )
        print(f"{'':6}{f'of {len(boxes)}':>16}{f'of {few} small':>20}")
        saved = f"  {int(rescued.sum())} saved by a rescue"
        for name, missed, end in (("AO", ao == 0, ""), ("PONO", pono == 0, saved)):
            counts = (int(missed.sum()), len(boxes)), (int((missed & small).sum()), few)
            print(f"{name:6}{_share(*counts[0]):>16}{_share(*counts[1]):>20}{end}")


def _share(count: int, whole: int) -> str:
    return f"{count} ({count / max(1, whole):.1%})"


def _decode(split: str, data: Any) -> dict[str, list[str]]:
    """Loads every image, so that the report has the faulty ones. Returns the files by a digest of their bytes."""
    import hashlib
    import warnings
    from pathlib import Path

    from tqdm.auto import tqdm

    files = defaultdict(list)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is all in the report
        for index in tqdm(range(len(data)), desc=split, unit="image", disable=None):
            if isinstance(data[index], tuple):
                files[hashlib.blake2b(Path(data.file(index)).read_bytes()).hexdigest()].append(data.file(index))
    return files


def _paths(_split: str, data: Any) -> dict[str, list[str]]:
    """The files by their paths, for those who do not want to read them."""
    return {data.file(index): [data.file(index)] for index in range(len(data))}


def _say_copies(digests: Mapping[str, Mapping[str, list[str]]]) -> list[str]:
    """Images that are there twice, in one split or, which makes a test worthless, in two: returns these."""
    doubts = []
    for split, files in digests.items():
        if same := [found for found in files.values() if len(found) > 1]:
            print(f"\n{split}: {len(same)} images are there more than once, byte for byte: {' = '.join(same[0][:3])}")
        for other in list(digests)[: list(digests).index(split)]:
            if same := sorted(files.keys() & digests[other].keys()):
                pair = f"{digests[other][same[0]][0]} = {files[same[0]][0]}"
                both = f"{len(same)} images of {split} are in {other}, too"
                print(f"\n{both}, byte for byte: {pair}")
                doubts.append(f"{both}: what is measured on them says little")
    return doubts


def _say_classes(parts: Mapping[str, Any], size: tuple[int, int]) -> list[str]:
    """A row a class: its objects in each split, and their sides at the network input. Returns sentences on what is of
    no class of the first split, and on classes that are spelled nearly alike."""
    import torch

    from lapnet_core.data.named import object_sizes

    measured = {split: object_sizes(data, size, progress=False) for split, data in parts.items()}
    names = next(iter(parts.values())).class_names
    width = max(map(len, (*names, "class")))
    columns = "".join(f"{split:>9}" for split in parts)
    print(
        f"\n{'class':{width}}{columns}   side (sqrt(w h)) in px of the {size[1]} x {size[0]} input: 5 %, median, 95 %"
    )
    for label, name in enumerate(names):
        found = [sizes[labels == label] for sizes, labels in measured.values()]
        sides = torch.cat(found).prod(1).sqrt()
        quantiles = sides.quantile(torch.tensor([0.05, 0.5, 0.95])).tolist() if len(sides) else []
        lacking = "" if len(found[0]) else f"  none in {next(iter(parts))}!"
        counts = "".join(f"{len(sizes):9}" for sizes in found)
        print(f"{name:{width}}{counts}   {' / '.join(f'{x:.0f}' for x in quantiles)}{lacking}")
    other = {split: data.report.counts["other"] for split, data in parts.items() if data.report.counts["other"]}
    few = " and ".join(f"{count} objects of {split}" for split, count in other.items())
    doubts = [f"{few} are of classes that {next(iter(parts))} has none of: nothing can learn them"] if other else []
    spelled = defaultdict(list)
    for name in names:
        spelled["".join(filter(str.isalnum, name.casefold())) or name].append(name)
    same = (" and ".join(map(repr, alike)) for alike in spelled.values() if len(alike) > 1)
    return doubts + [f"{alike} are classes by themselves: is it a slip? Then call them alike" for alike in same]


def _positives(data: Any, shapes: Any, size: tuple[int, int]) -> tuple[Any, Any, Any, Any]:
    """The G boxes of a data set at the network input; positives of each under AO and PONO; whether it was rescued."""
    import torch
    from tqdm.auto import tqdm

    from lapnet_core.assign import assign
    from lapnet_core.boxes import STRIDE
    from lapnet_core.data import flatten_targets

    grid = (size[0] // STRIDE, size[1] // STRIDE)
    found = []
    for first in tqdm(range(0, len(data), AT_ONCE), desc="anchors", unit=f"{AT_ONCE} images", disable=None):
        targets = [data.target(index) for index in range(first, min(first + AT_ONCE, len(data)))]
        boxes, labels, index = flatten_targets(targets)
        stretch = torch.tensor([[size[1] / w, size[0] / h] * 2 for h, w in (t["original_size"] for t in targets)])
        boxes = boxes * stretch[index]
        both = [assign(shapes, grid, boxes, labels, index, len(targets), overlap=o) for o in ("ao", "pono")]
        counts = [one.positives().object_index.bincount(minlength=len(boxes)) for one in both]
        found.append((boxes, *counts, both[1].rescued))
    boxes, ao, pono, rescued = (torch.cat(column) for column in zip(*found, strict=True))
    return boxes, ao, pono, rescued
