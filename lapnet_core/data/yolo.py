"""YOLO's labels: beside each image a text file, a line an object: its class, then the box in shares of the image."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm.auto import tqdm

from lapnet_core.data.common import DetectionDataset, ImageRecord, Objects
from lapnet_core.data.paths import read_text
from lapnet_core.data.pictures import read_size
from lapnet_core.data.types import DataError, OnError, SkipReport, Transform

# As in COCO, any box of some area is taken.
MIN_AREA = 0.0

# Shares lie in 0..1. What rounding or a polygon drawn over the border adds is cut; more is no share.
BEYOND = 0.01


class YoloDetection(DetectionDataset):
    """Images with YOLO's labels, read and checked at once; images are decoded when asked for, upright.

    A line is `class x_center y_center width height`, or `class x1 y1 x2 y2 x3 y3 ...`, a polygon of which the bounding
    box is taken; all but the class are shares of the upright image's width and height. An image without a label file
    has no objects, as the format says; it is counted as "unlabelled".

    Args:
        images: their paths. The labels of .../images/.../a.jpg are in .../labels/.../a.txt, or else beside it.
        names: class names by the numbers in the files.
        root: a target's `image_id` is its image's path below this folder.
        keypoints: further numbers after the box are keypoints and not a polygon.
        class_names: the classes to read, in the order of their labels; objects of others are counted as "other". None
            takes all, in the order of their numbers.
        on_error: "raise" stops at the first fault; "skip" leaves out the faulty object or image and counts it.
        transform: called as transform(image, target).

    Raises:
        DataError: a fault under "raise"; under either policy no image that can be read, or no label file at all.
    """

    upright = True

    def __init__(
        self,
        images: Sequence[str | Path],
        names: Mapping[int, str],
        root: str | Path,
        *,
        keypoints: bool = False,
        class_names: Sequence[str] | None = None,
        on_error: OnError = "raise",
        transform: Transform | None = None,
    ) -> None:
        report, known = SkipReport(on_error), [names[number] for number in sorted(names)]
        wanted = known if class_names is None else class_names
        records: list[ImageRecord] = []
        objects = Objects("line")
        seen: set[Path] = set()
        for path in tqdm(list(map(Path, images)), desc="labels", unit="image", disable=None):
            source = label_file(path)
            lines: list[str] = []
            try:
                if path in seen:
                    raise DataError(f"{path}: this image is listed twice")
                seen.add(path)
                lines = read_text(source, "these labels").splitlines() if source else []
                height, width = read_size(path)[1]
            except DataError as error:
                report.fault("image", str(error))
                report.note("lost", str(error), sum(bool(line.strip()) for line in lines))
                continue
            if source is None:
                report.note("unlabelled", f"{path}: there is no {path.stem}.txt in labels/ or beside it")
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                where = f"{source}: line {number}"
                try:
                    name, box = read_line(line, names, keypoints)
                except ValueError as error:
                    report.fault("object", f"{where}: {error}")
                    continue
                if name not in wanted:
                    report.note("other", f"{where} ({name}): a class not asked for")
                    continue
                corners = [share * side for share, side in zip(box, (width, height) * 2, strict=True)]
                objects.add(len(records), corners, name, False, Path(source or path), number)
            records.append(ImageRecord(str(path), _below(path, root), height, width))
        if not records:
            raise DataError(f"{root}: no usable image. {report.summary()}")
        if report.counts["unlabelled"] == len(records):
            raise DataError(
                f"{root}: none of {len(records)} images has a label file; for {records[0].path} there should be "
                f"{label_places(Path(records[0].path))[0]}"
            )
        columns, found = objects.usable(records, wanted, report, MIN_AREA)
        super().__init__(records, *columns, class_names=found, report=report, transform=transform)


def read_line(line: str, names: Mapping[int, str], keypoints: bool = False) -> tuple[str, list[float]]:
    """The class and the box (x1, y1, x2, y2), in shares of the image, of one line of a label file.

    Raises:
        ValueError: what is wrong with it, in a sentence.
    """
    first, *rest = line.split()
    try:
        number, numbers = float(first), [float(text) for text in rest]
    except ValueError:
        raise ValueError(f"must be a class and numbers, not {line.strip()!r:.80}") from None
    if number not in names:
        raise ValueError(f"class {first:.20} is none of 0 to {max(names)}, as `names` has them")
    if keypoints:
        numbers = numbers[:4]
    if len(numbers) < 4 or len(numbers) % 2:
        raise ValueError(f"has {len(rest)} numbers after its class: 4 are a box, an even number from 6 on a polygon")
    if wrong := [value for value in numbers if not -BEYOND <= value <= 1 + BEYOND]:  # so it is with NaN
        raise ValueError(f"the numbers must be shares of the image, 0 to 1, not pixels; {wrong[0]:g} is none")
    if len(numbers) > 4:
        return names[int(number)], [min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])]
    x, y, width, height = numbers
    return names[int(number)], [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def label_places(image: Path) -> list[Path]:
    """Where the labels of an image may be: below `labels` in place of the last `images`, and beside it."""
    beside, parts = image.with_suffix(".txt"), list(image.parent.parts)
    if "images" not in parts:
        return [beside]
    parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return [Path(*parts) / beside.name, beside]


def label_file(image: Path) -> Path | None:
    """The label file of an image, or None."""
    return next((place for place in label_places(image) if place.is_file()), None)


def _below(path: Path, root: str | Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
