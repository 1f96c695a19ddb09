"""The one reader of image files, for training, evaluation and prediction."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lapnet_core.data.types import DataError

# Other decoders of Pillow are never reached, whatever a file's name says.
IMAGE_FORMATS = ("JPEG", "PNG", "BMP", "WEBP")

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
"""Of images that are read."""
ANY_IMAGE = SUFFIXES | {".gif", ".tif", ".tiff", ".heic", ".heif", ".avif"}
"""Of images, also of those that are not read: an annotated one is a fault and not overlooked."""

# Beyond, Pillow takes an image for a decompression bomb. A side has to stay exact in float32, as boxes are.
MAX_PIXELS = 178_956_970
MAX_SIDE = 1 << 24

# A JPEG whose end is missing is used if so much of its rows is there, and counted: every real collection has one.
MIN_ROWS = 0.9

# Smaller images are decoded whole in a few milliseconds, so those of VOC and COCO are always the same to the bit.
WORTH_REDUCING = 1_000_000

END_OF_IMAGE = b"\xff\xd9"
ORIENTATION = 0x0112


def safe_size(height: int, width: int) -> bool:
    """Whether an image can have this size, in pixels."""
    return 0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE and height * width <= MAX_PIXELS


def read_picture(
    path: str | Path,
    size: tuple[int, int] | None = None,
    *,
    least: tuple[int, int] | None = None,
) -> Image.Image:
    """Decodes an image file to RGB, 8 bits per channel: the one reader of training, evaluation and prediction.

    Grey, palette and CMYK images are converted, transparency is dropped, and of 16 bits the upper 8 are kept. Of a JPEG
    that ends too early, at least MIN_ROWS of whose rows are there, the others are grey; `info["truncated"]` of the
    answer is then a sentence that says so.

    Args:
        path: JPEG, PNG, BMP or WebP, told by content. Anything but a regular file is not even opened: a pipe would
            block.
        size: (height, width) that the annotations give; it is compared before anything is decoded. None: there is no
            annotation, any size will do, and the image is turned upright. Where EXIF turns it, the size tells whether
            boxes were drawn on the upright picture or on the stored one. If it fits both (half a turn, a mirror, a
            square), the image is taken upright, as nearly every tool shows it: LabelImg, LabelMe, and whatever runs in
            a browser; `info["turned"]` of the answer is then a sentence that says so.
        least: (height, width) in pixels of the answer that are enough. A JPEG is then decoded at a half, a quarter or
            an eighth of its size where that leaves as much, if it has WORTH_REDUCING pixels: in a fraction of the time.
            By how much is in `info["reduced"]`: a place (x, y) of the file is (x / reduced, y / reduced) of the answer.

    Raises:
        DataError: the file is missing, is no such image, is damaged, has no or too many pixels, or another size.
    """
    with _opened(path) as image:
        stored = (image.height, image.width)
        upright, turns = upright_size(image) if size in (None, stored, stored[::-1]) else (stored, False)
        turn = turns and size in (None, upright)
        shown = upright if turn else stored
        if size not in (None, shown):
            said = f"its annotation says {size[1]} x {size[0]}, so that its boxes cannot be trusted"
            raise DataError(f"{path}: the image is {stored[1]} x {stored[0]} (width x height), {said}")
        reduced = _reduction(stored, (least[1], least[0]) if shown != stored else least, turn) if least else 1
        if reduced > 1:
            image.draft(None, (stored[1] // reduced, stored[0] // reduced))
        loaded, told = _loaded(path, image)
        picture = to_rgb(ImageOps.exif_transpose(loaded) if turn else loaded)
    for key in ("reduced", "truncated", "turned"):  # a PNG may hold texts of any name
        picture.info.pop(key, None)
    if picture.size[0] * picture.size[1] < stored[0] * stored[1]:  # no other format than JPEG has this
        picture.info["reduced"] = reduced
    if told:
        picture.info["truncated"] = f"{path}: {told}"
    if turn and size == stored:
        said = "taken upright, as its EXIF says, though nothing tells whether it was annotated so"
        picture.info["turned"] = f"{path}: {said}"
    return picture


def read_size(path: str | Path) -> tuple[tuple[int, int], tuple[int, int], bool]:
    """(height, width) as an image is stored, and what `upright_size` says of it; no JPEG is decoded.

    Raises:
        DataError: as in `read_picture`, as far as that is seen.
    """
    with _opened(path) as image:
        return (image.height, image.width), *upright_size(image)


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    """An image of a size that images can have; what then goes wrong with it is a DataError, too."""
    try:
        if not os.path.isfile(path):  # a pipe would block
            raise OSError("it is missing, or no regular file")
        with Image.open(path, formats=IMAGE_FORMATS) as image:
            if not safe_size(image.height, image.width):
                said = f"the image is {image.width} x {image.height} (width x height), which no image can have"
                raise DataError(f"{path}: {said}")
            yield image
    except DataError:
        raise
    except Exception as error:  # on damaged files Pillow raises OSError, SyntaxError, ValueError, struct.error, others
        raise DataError(f"{path}: cannot read this image ({_why(error)})") from error


def _why(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it holds no JPEG, PNG, BMP or WebP, whatever its name says; HEIC, TIFF and GIF have to be converted"
    return str(error)


def upright_size(image: Image.Image) -> tuple[tuple[int, int], bool]:
    """(height, width) of an opened image once its EXIF orientation is applied, and whether that changes the picture at
    all: half a turn, a mirror, or a turn of a square leaves the size as it is. Damaged EXIF changes nothing."""
    if image.format == "PNG":
        image.load()  # its EXIF may be behind its pixels, whose faults are none of the EXIF
    try:
        tag = image.getexif().get(ORIENTATION)
    except Exception:  # Pillow raises SyntaxError, struct.error, others
        tag = None
    return ((image.width, image.height) if tag in (5, 6, 7, 8) else (image.height, image.width)), tag in range(2, 9)


def _reduction(found: tuple[int, int], least: tuple[int, int], turn: bool) -> int:
    """The largest of JPEG's reductions that leaves `least`. One that does not divide the sides leaves part of a pixel
    at their far end, which an image that is turned must not have: it would come to lie at the near end."""
    for by in (8, 4, 2) if found[0] * found[1] >= WORTH_REDUCING else ():
        whole = not turn or found[0] % by == found[1] % by == 0
        if found[0] // by >= least[0] and found[1] // by >= least[1] and whole:
            return by
    return 1


def _loaded(path: str | Path, image: Image.Image) -> tuple[Image.Image, str]:
    """The image with its pixels, and a sentence where its end is missing; OSError where too much is."""
    try:
        image.load()
        return image, ""
    except OSError as error:
        if image.format != "JPEG" or "truncated" not in str(error):
            raise
        content = Path(path).read_bytes()
        # With an end of its own it is decoded as far as it goes, without Pillow's switch, which is for all threads.
        ended = Image.open(io.BytesIO(content + END_OF_IMAGE), formats=("JPEG",))
        ended.load()
        if ended.mode not in ("L", "RGB") or (ended.info.get("progressive") and not _but_for_the_last_bit(content)):
            raise
    decoded = (np.asarray(ended) != 128).reshape(ended.height, -1).any(1)  # what is not decoded is mid-grey
    rows = int(np.flatnonzero(decoded).max(initial=-1)) + 1
    missing = ended.height - rows
    if rows < MIN_ROWS * ended.height:
        raise OSError(f"it ends too early: {missing} of its {ended.height} rows are missing; get the file anew")
    lost = (
        f"the lowest {missing} of its {ended.height} rows are grey" if missing else "something of its last rows is lost"
    )
    return ended, f"this JPEG ends too early: {lost}"


def _but_for_the_last_bit(progressive: bytes) -> bool:
    """Whether the last scan of a progressive JPEG that ends too early refines coefficients by their lowest bit, so
    that every other scan, and with it all that an eye sees, is there."""
    start = progressive.rfind(b"\xff\xda")
    first_coefficient, _, bits = progressive[start + 5 + 2 * progressive[start + 4] :][:3]
    return first_coefficient > 0 and bits == 0x10


def to_rgb(image: Image.Image) -> Image.Image:
    """Any image of Pillow as 8-bit RGB."""
    if image.mode.startswith("I"):  # 16-bit grey: "I;16", or "I" in older versions of Pillow; convert() would saturate
        grey = np.asarray(image).clip(0, 65535) >> 8
        image = Image.fromarray(grey.astype(np.uint8))
    elif image.mode == "P":  # by way of RGBA, as a palette may hold transparency
        image = image.convert("RGBA")
    return image.convert("RGB")
