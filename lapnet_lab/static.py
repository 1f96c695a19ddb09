"""What stands in a widget's place where widgets cannot be shown: a picture, and text for strict nbval to compare."""

import io
from typing import Any

from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

ADVICE = "A still picture. Run this cell, in Jupyter, to use it."
"""Stands above the picture, since nothing but the picture is shown on GitHub or in a notebook that was only opened."""
STRIP, TEXT = 24, 13  # pixels


def as_png(image: Image.Image) -> bytes:
    """The file of a picture."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def figure_png(figure: Figure) -> bytes:
    """The file of a figure."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def with_picture(bundle: Any, text: str, png: bytes, alt: str = "") -> tuple[dict[str, Any], dict[str, Any]]:
    """The mime bundle of a widget with its text and its picture; a notebook reader shows the richest that it can.

    Args:
        bundle: of the widget itself, with or without metadata.
        text: what is to be read, and what strict nbval compares.
        alt: what the picture shows, in a line; the first of the text when left out.

    Returns:
        Data and metadata.
    """
    data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
    said = alt or next(filter(None, map(str.strip, text.splitlines())), "a widget")
    data = {**data, "text/plain": text, "image/png": advised(png)}
    return data, {**metadata, "image/png": {"alt": f"{ADVICE} {said}"}}


def advised(png: bytes) -> bytes:
    """A picture under the advice to run its cell."""
    with Image.open(io.BytesIO(png)) as image:
        whole = Image.new("RGB", (image.width, image.height + STRIP), "white")
        whole.paste(image.convert("RGB"), (0, STRIP))
    draw = ImageDraw.Draw(whole)
    font, room = ImageFont.load_default(TEXT), image.width - 8
    if (long := draw.textlength(ADVICE, font)) > room:
        font = ImageFont.load_default(max(6, TEXT * room / long))
    draw.text((4, 4), ADVICE, "#444", font)
    return as_png(whole)


def told(problem: Exception) -> str:
    """An exception as a widget says it: our own ValueErrors are sentences; what nobody foresaw has its type."""
    return str(problem) if isinstance(problem, ValueError) and str(problem) else f"{type(problem).__name__}: {problem}"
