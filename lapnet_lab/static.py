"""What stands in a widget's place where widgets cannot be shown: a picture, and text for strict nbval to compare."""

import io
from typing import Any

from matplotlib.figure import Figure
from PIL import Image


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


def with_picture(bundle: Any, text: str, png: bytes) -> Any:
    """The mime bundle of a widget with its text and its picture; a notebook reader shows the richest that it can."""
    data, *metadata = bundle if isinstance(bundle, tuple) else (bundle,)
    data = {**data, "text/plain": text, "image/png": png}
    return (data, *metadata) if metadata else data
