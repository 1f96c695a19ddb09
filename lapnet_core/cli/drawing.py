"""Detections drawn on a picture."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from lapnet_core.data.types import Detection

# Okabe and Ito's colours tell apart for the colour-blind. Text on them is black, but on the dark blue.
COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#FFFFFF")
DARK = "#0072B2"


def draw(image: Image.Image, found: Detection, class_names: Sequence[str]) -> Image.Image:
    """A copy of the image with boxes, class names and scores; the most confident on top."""
    drawn = image.copy()
    pen = ImageDraw.Draw(drawn)
    unit = max(1, round(max(image.size) / 400))  # so that a large picture has readable boxes too
    line, font, height = max(2, unit), _font(8 + 4 * unit), 10 + 5 * unit
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


@lru_cache
def _font(size: int) -> Any:
    return ImageFont.load_default(size=size)
