"""YOLO's labels: beside each image a text file, a line an object: its class, then the box in shares of the image."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tqdm.auto import tqdm

from lapnet_core.data.listed import BEYOND, Drawn, Listed, ListedDetection, around
from lapnet_core.data.paths import read_text
from lapnet_core.data.types import DataError, OnError, Transform


class YoloDetection(ListedDetection):
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
            takes all, in the order of their numbers. This and the others as in `ListedDetection`.

    Raises:
        DataError: as there; under either policy no label file at all.
    """

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
        names = {number: names[number].strip() for number in sorted(names)}
        known = list(names.values())
        how = {"what": "line", "upright": True, "known": known, "min_area": 0.0}
        how |= {"class_names": known if class_names is None else class_names, "on_error": on_error}
        super().__init__(_listed(images, names, keypoints), root, transform=transform, **how)
        if self.report.counts["unlabelled"] == len(self):
            raise DataError(
                f"{root}: none of {len(self)} images has a label file; for {self.file(0)} there should be "
                f"{label_places(Path(self.file(0)))[0]}"
            )


def _listed(images: Sequence[str | Path], names: Mapping[int, str], keypoints: bool) -> Iterator[Listed]:
    """What the label file of each image says."""

    def drawn(line: str) -> Drawn:
        return read_line(line, names, keypoints)

    seen: set[Path] = set()
    for path in tqdm(list(map(Path, images)), desc="labels", unit="image", disable=None):
        labels = label_file(path)
        image = Listed(labels or path, path.name, "", drawn, shares=True, path=path)
        if path in seen:
            image = Listed(path, path.name, "", drawn, problem="this image is listed twice")
        elif labels is None:
            image.note = "unlabelled", f"{path}: there is no {path.stem}.txt in labels/ or beside it"
        else:
            try:
                lines = read_text(labels, "these labels").splitlines()
                image.objects = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
            except DataError as error:
                image.problem = str(error).removeprefix(f"{labels}: ")
        seen.add(path)
        yield image


def read_line(line: str, names: Mapping[int, str], keypoints: bool = False) -> Drawn:
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
        raise ValueError(f"class {first:.20} is none of {min(names)} to {max(names)}, as `names` has them")
    if keypoints:
        numbers = numbers[:4]
    if len(numbers) < 4 or len(numbers) % 2:
        raise ValueError(f"has {len(rest)} numbers after its class: 4 are a box, an even number from 6 on a polygon")
    if wrong := [value for value in numbers if not -BEYOND <= value <= 1 + BEYOND]:  # so it is with NaN
        raise ValueError(f"the numbers must be shares of the image, 0 to 1, not pixels; {wrong[0]:g} is none")
    if len(numbers) > 4:
        return Drawn(names[int(number)], around(numbers))
    x, y, width, height = numbers
    return Drawn(names[int(number)], (x - width / 2, y - height / 2, x + width / 2, y + height / 2))


def label_places(image: Path) -> list[Path]:
    """Where the labels of an image may be: below `labels` in place of the last `images`, and beside it."""
    beside, parts = image.with_suffix(".txt"), image.parent.parts
    last = max((n for n, part in enumerate(parts) if part.lower() == "images"), default=None)
    names = ("labels", "Labels") if last is not None else ()
    return [*(Path(*parts[:last], name, *parts[(last or 0) + 1 :]) / beside.name for name in names), beside]


def label_file(image: Path) -> Path | None:
    """The label file of an image, or None."""
    return next((place for place in label_places(image) if place.is_file()), None)
