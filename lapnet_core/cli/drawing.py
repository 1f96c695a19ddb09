"""Detections drawn on a picture."""

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from lapnet_core.data.types import Detection

# Okabe and Ito's colours tell apart for the colour-blind. Text on them is black, but on the dark blue.
COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#FFFFFF")
DARK = "#0072B2"
FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial Unicode.ttf", "arial.ttf", "Arial.ttf")
"""Of Linux, macOS and Windows, that have more than the letters of English."""


def draw(image: Image.Image, found: Detection, class_names: Sequence[str]) -> Image.Image:
    """A copy of the image with boxes, class names and scores; the most confident on top."""
    drawn = image.copy()
    pen = ImageDraw.Draw(drawn)
    unit = max(1, round(max(image.size) / 400))  # so that a large picture has readable boxes too
    line, font, height = max(2, unit), _font(8 + 4 * unit, "".join(class_names).isascii()), 10 + 5 * unit
    for n in reversed(range(len(found["labels"]))):
        label = int(found["labels"][n])
        color = COLORS[label % len(COLORS)]
        x1, y1, x2, y2 = found["boxes"][n].tolist()
        if unit > 1:  # a rim, as a box may lie on its own colour
            pen.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline="black", width=line + 2)
        pen.rectangle((x1, y1, x2, y2), outline=color, width=line)
        text = f"{class_names[label]} {float(found['scores'][n]):.2f}"
        width = font.getlength(text) + 2 * unit
        # Above the box, so that small objects stay visible, but within the picture.
        left, top = max(0.0, min(x1, image.width - width)), max(0.0, y1 - height)
        pen.rectangle((left, top, left + width, top + height), fill=color)
        ink = "white" if color == DARK else "black"
        pen.text((left + unit, top + height / 2), text, fill=ink, font=font, anchor="lm")
    return drawn


CROP, CAPTION, COLUMNS = 150, 32, 8


def contact_sheet(crops: Sequence[tuple[Image.Image, str]]) -> Image.Image:
    """Square pictures in rows, each with its caption of two lines below."""
    rows = -(-len(crops) // COLUMNS)
    sheet = Image.new("RGB", (min(len(crops), COLUMNS) * CROP, rows * (CROP + CAPTION)), "white")
    pen, font = ImageDraw.Draw(sheet), _font(12, all(caption.isascii() for _, caption in crops))
    for n, (crop, caption) in enumerate(crops):
        left, top = n % COLUMNS * CROP, n // COLUMNS * (CROP + CAPTION)
        sheet.paste(crop.resize((CROP - 4, CROP - 4)), (left + 2, top + 2))
        for k, line in enumerate(caption.split("\n")):
            while font.getlength(line) > CROP - 6:
                line = f"...{line[4:]}"
            pen.text((left + 3, top + CROP + 15 * k), line, fill="black", font=font)
    return sheet


def cropped(image: Image.Image, box: Sequence[float], others: Sequence[Sequence[float]]) -> Image.Image:
    """A square part of the image about a box, which is drawn in vermilion, the others in blue."""
    shown = image.copy()
    pen = ImageDraw.Draw(shown)
    x1, y1, x2, y2 = box
    side = min(round(max(x2 - x1, y2 - y1, 8) * 1.8), *image.size)
    line = max(1, round(side / 80))
    for other, color in [*((other, COLORS[1]) for other in others), (box, COLORS[5])]:
        pen.rectangle(tuple(other), outline=color, width=line)
    left = min(max(0, round((x1 + x2 - side) / 2)), image.width - side)
    top = min(max(0, round((y1 + y2 - side) / 2)), image.height - side)
    return shown.crop((left, top, left + side, top + side))


@lru_cache
def _font(size: int, plain: bool) -> Any:
    """Pillow's own, which has the letters of English alone; for others that of the system, or of matplotlib."""
    if not plain:
        there = find_spec("matplotlib")
        beside = Path(there.origin).parent if there and there.origin else Path()
        for name in (*FONTS, str(beside / "mpl-data/fonts/ttf/DejaVuSans.ttf")):
            with suppress(OSError):
                return ImageFont.truetype(name, size)
    return ImageFont.load_default(size=size)
