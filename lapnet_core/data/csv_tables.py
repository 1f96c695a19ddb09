"""Tables of boxes beside images: the columns are told by their names, and a line says how they were understood.

Corners are continuous, 0 at the left edge of the first pixel, as the tools that write and read such tables take them.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lapnet_core.data.layouts import SPLITS, Layout, below, layout, split_named
from lapnet_core.data.listed import Drawn, Listed, all_shares, numbers
from lapnet_core.data.paths import read_text
from lapnet_core.data.pictures import ANY_IMAGE
from lapnet_core.data.types import DataError

# What columns are called, in small letters and without what is neither letter nor digit; of several, the first counts.
IMAGES = ("filename", "imagefilename", "imagename", "filepath", "imagepath", "path", "image", "imageid", "file", "img")
IMAGES += ("imgpath", "imgname", "imagefile")
CLASSES = ("classname", "labelname", "class", "label", "category", "categoryname", "classid", "labelid", "categoryid")
CORNERS = (("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"), ("left", "top", "right", "bottom"))
EXTENTS = (("x", "y", "w", "h"), ("xmin", "ymin", "w", "h"), ("left", "top", "width", "height"))
EXTENTS += (("xmin", "ymin", "width", "height"), ("x", "y", "width", "height"))
TEXT = ("bbox",)
SIZES = (("height", "width"), ("imageheight", "imagewidth"), ("imgheight", "imgwidth"))
OF_SPLITS = ("split", "subset", "set")
CROWDS = ("difficult", "isgroupof", "iscrowd")
HEADLESS = ("path", "x1", "y1", "x2", "y2", "class")
"""The columns of keras-retinanet's tables, which do not name them."""


DESCRIPTIONS = "class-descriptions"
"""In the name of OpenImages' tables of class names."""


class Table:
    """A table and which of its columns are what; `names` of classes are given by what stands there.

    Raises:
        ValueError: that is not certain: a sentence without its subject, the table.
        DataError: it cannot be read.
    """

    def __init__(self, file: Path, names: Mapping[str, str]) -> None:
        rows, delimiter = _rows(file)
        if not rows:
            raise ValueError("is empty")
        self.file, self.names, self.rows, header = (
            file,
            names,
            rows[1:],
            [" ".join(name.split()) for name in rows[0][1]],
        )
        self.headless = Path(header[0]).suffix.lower() in ANY_IMAGE
        if self.headless:
            if len(header) != 6 or not all(re.fullmatch(r"-?[\d.]*", side) for side in header[1:5]):
                raise ValueError(f"names no columns, and is not of the form {', '.join(HEADLESS)}")
            self.rows, header = rows, list(HEADLESS)
        self.header, self.decimal = header, "," if delimiter == ";" else "."  # as Excel writes both
        known = [re.sub(r"[\W_]", "", name.lower()) for name in header]
        form = next((form for form in (*CORNERS, *EXTENTS, TEXT) if all(known.count(name) == 1 for name in form)), ())
        size = next((pair for pair in SIZES if {*pair} <= {*known} - {*form}), ())
        one = [
            next((known.index(name) for name in names if known.count(name) == 1), None)
            for names in (IMAGES, CLASSES, OF_SPLITS, CROWDS)
        ]
        self.image, self.label, self.split, self.crowd = one
        self.box, self.size = [known.index(name) for name in form], [known.index(name) for name in size]
        self.corners = form in CORNERS
        if self.image is None or not form:
            lacks = (
                "four columns such as xmin, ymin, xmax, ymax" if self.image is not None else "a column such as filename"
            )
            raise ValueError(f"lacks {lacks} (it has {', '.join(header):.200})")
        if form == TEXT and not size:
            raise ValueError(
                "does not say whether a bbox is x, y, width, height or two corners: make four columns of it"
            )
        self.shares = all_shares(self._boxes())

    def sides(self, row: Sequence[str]) -> list[str]:
        """The four coordinates of a row as they stand there, all blank where it has no box; ValueError where a field
        is lacking."""
        if len(row) != len(self.header):
            raise ValueError(f"has {len(row)} fields, and not {len(self.header)} as the first line")
        texts = [row[place].strip() for place in self.box]
        texts = re.split(r"[,\s]+", texts[0].strip("[]() ")) if len(texts) == 1 else texts
        return [text.replace(self.decimal, ".") for text in texts]

    def read(self, row: Sequence[str]) -> Drawn:
        """The object of a row; ValueError where it has none that can be read."""
        x, y, *far = numbers(self.sides(row), 4)
        box = (x, y, *far) if self.corners else (x, y, x + far[0], y + far[1])
        crowd = self.crowd is not None and row[self.crowd].strip().lower() in ("1", "true")
        name = "object" if self.label is None else row[self.label]
        return Drawn(self.names.get(name, name), box, difficult=crowd)

    def _boxes(self) -> Iterator[Sequence[float]]:
        for _, row in self.rows:
            with suppress(ValueError):
                yield self.read(row).box

    def told(self) -> str:
        """How it was understood."""
        if self.headless:
            return f"a table that names no columns, taken as {', '.join(HEADLESS)}"
        form = "" if self.corners else "upper left corner, width, height; "
        said = f"boxes from {', '.join(self.header[place] for place in self.box)} ({form}"
        said += "shares of the image), " if self.shares else "pixels), "
        if self.label is not None:
            return f"{said}classes from {self.header[self.label]}"
        return (
            f'{said}all of one class, "object", as no column is called class or label ({", ".join(self.header):.200})'
        )

    def images(self, split: str) -> list[Listed]:
        """Its images, each with its rows; of this split, where no column says another."""
        images: dict[tuple[str, str], Listed] = {}
        for number, row in self.rows:
            fields = [field.strip() for field in row] + [""] * len(self.header)
            name, sides = fields[self.image or 0], [fields[place] for place in self.size]
            own = split if self.split is None else SPLITS.get(fields[self.split].lower(), split)
            size, inside = (sides[0], sides[1]) if sides else None, "" if name else f"row {number}"
            new = Listed(self.file, name, own, self.read, [], size, self.shares, inside=inside)
            image = images.setdefault((own, name or inside), new)
            if any(image.size or ()) and any(size or ()) and image.size != size:
                image.problem = f"row {number} gives {name!r:.200} another size than its first row"
            image.size = size if any(size or ()) else image.size
            # a row without a box says that the image has no objects
            if len(row) != len(self.header) or any(self.sides(row)):
                image.objects.append((number, row))
        return list(images.values())


def _rows(file: Path) -> tuple[list[tuple[int, list[str]]], str]:
    """The rows of a table that are not blank, each with the number of its line, and what divides the fields."""
    text = read_text(file, "this table")
    delimiter = max(",;\t", key=text.lstrip().partition("\n")[0].count)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
        return [(reader.line_num, row) for row in reader if any(field.strip() for field in row)], delimiter
    except csv.Error as error:
        raise DataError(f"{file}: cannot read this table ({error})") from error


def _descriptions(files: Sequence[Path]) -> dict[str, str]:
    """The names of OpenImages' classes by their codes, such as /m/01yrx. A name that two codes have is no name: both
    stay codes."""
    rows = [row for file in files for _, row in _rows(file)[0]]
    names = {row[0]: row[1].strip() for row in rows if len(row) == 2 and row[0].startswith("/")}
    counts = Counter(names.values())
    return {code: name for code, name in names.items() if name and counts[name] == 1}


def tables(folder: Path, described: Path | None = None) -> Layout | None:
    """CSV files anywhere below a folder, one for each split or one for all; also with semicolons or tabs. A table whose
    columns are not known is left out, and told.

    Raises:
        DataError: a table cannot be read, or none has columns that are known.
    """
    images: list[Listed] = []
    left, notes = [], []
    every = below(folder, ".csv")
    names = _descriptions([file for file in every if DESCRIPTIONS in file.name])
    for file in [described] if described else [file for file in every if DESCRIPTIONS not in file.name]:
        place = file.relative_to(folder)
        try:
            table = Table(file, names)
        except DataError:
            raise
        except ValueError as error:
            left.append(f"the table {place} {error}")
            continue
        images += table.images(split_named(place))
        notes.append(table.told())
    if left and not images:
        raise DataError(
            f"{folder}: no annotations that are known, and {left[0]}. Wanted are filename (or image_id), class (or "
            "label), and xmin, ymin, xmax, ymax (or x1, y1, x2, y2; or x, y, w, h, where x, y is the upper left "
            "corner): rename its columns; or export VOC, COCO or YOLO"
        )
    notes += [f"left out, as {said}" for said in left]
    return layout("CSV", folder, images, {"what": "row"}, dict.fromkeys(notes)) if images else None
