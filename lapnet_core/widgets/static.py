"""What stands in a widget's place where widgets cannot be shown: a picture, and text for strict nbval to compare."""

from typing import Any


def with_picture(bundle: Any, text: str, png: bytes) -> Any:
    """The mime bundle of a widget with its text and its picture; a notebook reader shows the richest that it can."""
    data, *metadata = bundle if isinstance(bundle, tuple) else (bundle,)
    data = {**data, "text/plain": text, "image/png": png}
    return (data, *metadata) if metadata else data
