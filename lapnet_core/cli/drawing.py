"""Detections drawn on a picture."""

from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from lapnet_core.data.types import Detection

# Okabe and Ito's colours tell apart for the colour-blind.
COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#FFFFFF")


def draw(image: Image.Image, found: Detection, class_names: Sequence[str]) -> Image.Image:
    """A copy of the image with boxes, class names and scores; the most confident on top."""
    drawn = image.copy()
    pen = ImageDraw.Draw(drawn)
    unit = max(1, round(max(image.size) / 400))  # line width, so that a large photograph has readable boxes too
    font: Any = ImageFont.load_default(size=8 + 4 * unit)
    for n in reversed(range(len(found["labels"]))):
        label = int(found["labels"][n])
        color = COLORS[label % len(COLORS)]
        x1, y1, x2, y2 = found["boxes"][n].tolist()
        pen.rectangle((x1, y1, x2, y2), outline=color, width=unit)
        text = f"{class_names[label]} {float(found['scores'][n]):.2f}"
        corner = (x1, max(0, y1 - 1.3 * font.size))  # above the box, so that small objects stay visible
        pen.rectangle(pen.textbbox(corner, text, font=font), fill=color)
        pen.text(corner, text, fill="black", font=font)
    return drawn
