"""Tables of boxes beside images: the columns are told by their names, and a line says how they were understood."""

import csv
import io
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lapnet_core.data.layouts import SPLITS, Layout, split_named
from lapnet_core.data.listed import Drawn, Listed, below, layout, numbers
from lapnet_core.data.paths import read_text
from lapnet_core.data.pictures import ANY_IMAGE
from lapnet_core.data.types import DataError
from lapnet_core.data.yolo import BEYOND

# By what columns are called, in small letters and without what is neither letter nor digit; the first that is there.
IMAGES = ("filename", "imagefilename", "imagename", "filepath", "imagepath", "path", "image", "imageid", "file", "img")
CLASSES = ("classname", "labelname", "class", "label", "category", "categoryname", "classid", "labelid", "categoryid")
CORNERS = (("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"), ("left", "top", "right", "bottom"))
TEXT = ("bbox",)
BOXES = (*CORNERS, ("x", "y", "w", "h"), ("xmin", "ymin", "w", "h"), ("left", "top", "width", "height"))
BOXES += (("xmin", "ymin", "width", "height"), ("x", "y", "width", "height"), TEXT)
SIZES = (("height", "width"), ("imageheight", "imagewidth"), ("imgheight", "imgwidth"))
OF_SPLITS = ("split", "subset", "set")
CROWDS = ("difficult", "isgroupof", "iscrowd")
HEADLESS = ("path", "x1", "y1", "x2", "y2", "class")
"""What keras-retinanet's tables have, whose first line is a box."""


@dataclass(frozen=True)
class Columns:
    """Which columns of a table are what, by their places."""

    count: int
    image: int
    box: Sequence[int]
    """Two corners, or the upper left one, width and height; or a text of these four."""
    corners: bool
    label: int | None
    crowd: int | None
    split: int | None
    size: Sequence[int]
    decimal: str
    told: str
    """How they were understood."""

    def sides(self, row: Sequence[str]) -> list[str]:
        """The four coordinates of a row as they stand there, all blank where it has no box."""
        if len(row) != self.count:
            raise ValueError(f"has {len(row)} fields, and not {self.count} as the first line")
        texts = [row[place].strip() for place in self.box]
        texts = re.split(r"[,\s]+", texts[0].strip("[]() ")) if len(texts) == 1 else texts
        return [text.replace(self.decimal, ".") for text in texts]

    def read(self, row: Sequence[str]) -> Drawn:
        """The object of a row; ValueError where it has none that can be read."""
        x, y, *far = numbers(self.sides(row), 4)
        box = (x, y, *far) if self.corners else (x, y, x + far[0], y + far[1])
        crowd = self.crowd is not None and row[self.crowd].strip().lower() in ("1", "true")
        return Drawn("object" if self.label is None else row[self.label], box, difficult=crowd)


def tables(folder: Path, described: Path | None = None) -> Layout | None:
    """CSV files anywhere below a folder, one for each split or one for all; also with semicolons or tabs. A table whose
    columns are not known is left out, and told.

    Raises:
        DataError: a table cannot be read, or none has columns that are known.
    """
    images: list[Listed] = []
    left, notes = [], []
    for file in [described] if described else below(folder, ".csv"):
        text = read_text(file, "this table")
        delimiter = max(",;\t", key=text.lstrip().partition("\n")[0].count)
        try:
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
            rows = [(reader.line_num, row) for row in reader if any(field.strip() for field in row)]
            header = rows[0][1] if rows else []
            headless = Path(header[0]).suffix.lower() in ANY_IMAGE if header else False
            if headless and not (len(header) == 6 and all(re.fullmatch(r"-?[\d.]*", side) for side in header[1:5])):
                raise ValueError(f"has no line of column names, and is not of the form {', '.join(HEADLESS)}")
            columns = _columns([*HEADLESS] if headless else header, "," if delimiter == ";" else ".")
        except csv.Error as error:
            raise DataError(f"{file}: cannot read this table ({error})") from error
        except ValueError as error:
            left.append(f"{file.relative_to(folder)} {error}")
            continue
        rows = rows if headless else rows[1:]
        shares = _are_shares(columns, [row for _, row in rows])
        told = f"{columns.told}, in {'shares of the image' if shares else 'pixels'}"
        notes.append(f"no line of column names, taken as {', '.join(HEADLESS)}" if headless else told)
        images += _listed(file, split_named(file.relative_to(folder)), columns, rows, shares)
    if left and not images:
        raise DataError(
            f"{folder}: no annotations that are known: the table {left[0]}. Its first line must have the columns "
            "filename (or image_id), class (or label), and xmin, ymin, xmax, ymax (or x1, y1, x2, y2; or x, y, w, h "
            "from the upper left corner): rename them; or export VOC, COCO or YOLO"
        )
    notes += [f"left out: the table {said}" for said in left]
    return layout("CSV", folder, images, {"what": "row"}, dict.fromkeys(notes)) if images else None


def _columns(header: Sequence[str], decimal: str) -> Columns:
    """Raises ValueError where it is not certain which are what."""
    known = [re.sub(r"[\W_]", "", name.lower()) for name in header]

    def place(names: Sequence[str]) -> int | None:
        return next((known.index(name) for name in names if known.count(name) == 1), None)

    image, label = place(IMAGES), place(CLASSES)
    form = next((form for form in BOXES if all(known.count(name) == 1 for name in form)), None)
    if image is None or form is None:
        lacking = "is empty" if not header else f"has the columns {', '.join(header):.200}"
        raise ValueError(
            f"{lacking}, and none {'of a box' if image is not None else 'that names an image'} that is known"
        )
    size = next((pair for pair in SIZES if {*pair} <= {*known} - {*form}), ())
    if form == TEXT and not size:
        raise ValueError("does not say whether its bbox is x, y, width, height or two corners: make four columns of it")
    told = f"boxes from {', '.join(header[known.index(name)] for name in form)}"
    told += "" if form in CORNERS else " (the upper left corner, width, height)"
    if label is None:
        told += f', all of a class "object", as none of {", ".join(header)} is called class or label'
    box, sizes = [known.index(name) for name in form], [known.index(name) for name in size]
    how = (box, form in CORNERS, label, place(CROWDS), place(OF_SPLITS), sizes)
    return Columns(len(header), image, *how, decimal, told)


def _are_shares(columns: Columns, rows: Sequence[Sequence[str]]) -> bool:
    """Whether all boxes are shares of the image: in pixels, all would be within the first one."""
    found = False
    for row in rows:
        with suppress(ValueError):
            if not all(-BEYOND <= side <= 1 + BEYOND for side in numbers(columns.sides(row), 4)):
                return False
            found = True
    return found


def _listed(
    file: Path, split: str, columns: Columns, rows: Sequence[tuple[int, Sequence[str]]], shares: bool
) -> list[Listed]:
    """The images of a table, each with its rows."""
    images: dict[tuple[str, str], Listed] = {}
    for number, row in rows:
        fields = [field.strip() for field in row] + [""] * columns.count
        name, height_width = fields[columns.image], [fields[place] for place in columns.size]
        own = SPLITS.get(fields[columns.split].lower(), split) if columns.split is not None else split
        size = (height_width[0], height_width[1]) if height_width else None
        new = Listed(file, name, own, columns.read, [], size, shares, inside="" if name else f"row {number}")
        image = images.setdefault((own, name or new.inside), new)
        if image.size != size:
            image.problem = f"row {number} gives another size of {name} than the first of its rows"
        # a row without a box says that the image has no objects
        if len(row) != columns.count or any(columns.sides(row)):
            image.objects.append((number, row))
    return list(images.values())
