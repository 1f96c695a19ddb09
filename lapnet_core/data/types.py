"""What is handed on: the target and the detection of an image, the sample of a data set, and how faults are told."""

from collections import Counter
from collections.abc import Callable
from typing import ClassVar, Literal, TypedDict

from jaxtyping import Bool, Float, Int64, Num
from torch import Tensor
from torchvision import tv_tensors

OnError = Literal["raise", "skip"]

# Counts in a report stay exact; of the messages only so many are kept, so that a hostile file cannot fill the memory.
MESSAGES_KEPT = 1000


class Target(TypedDict):
    """The objects of one image.

    boxes: (G, 4) float32, xyxy in pixels of the image beside it, continuous: the left edge of the first pixel is 0
    and the right edge of the last is the width. A `BoundingBoxes` until collation, a plain tensor in a batch.
    labels: (G,) int64 from 0. difficult: (G,) bool; such objects are neither trained on nor counted in evaluation.
    image_id: what the annotations call the image. original_size: (height, width) of the image file, in pixels.
    """

    boxes: tv_tensors.BoundingBoxes | Float[Tensor, "G 4"]
    labels: Int64[Tensor, " G"]
    difficult: Bool[Tensor, " G"]
    image_id: int | str
    original_size: tuple[int, int]


class Detection(TypedDict):
    """What a detector found in one image, best first.

    boxes: (D, 4) float32, xyxy in pixels. scores: (D,) float32 in 0..1. labels: (D,) int64 from 0.
    """

    boxes: Float[Tensor, "D 4"]
    scores: Float[Tensor, " D"]
    labels: Int64[Tensor, " D"]


Id = int | str
"""Of an image or a category, as its file has it; COCO's own are numbers."""

# The image is uint8 RGB as it comes from a data set, float32 after the transforms.
Sample = tuple[Num[Tensor, "3 H W"], Target]

# Called with the image (3, H, W) uint8 and its target.
Transform = Callable[[tv_tensors.Image, Target], Sample]


class DataError(ValueError):
    """Data that cannot be used. The message names the file and, where it applies, the object and its class."""


class Skipped:
    """Stands in for a sample whose image turned out to be unusable when it was loaded (`on_error="skip"`)."""

    def __init__(self, message: str) -> None:
        self.message = message

    def __repr__(self) -> str:
        return f"Skipped({self.message!r})"


class SkipReport:
    """What a data set left out or changed, counted by kind.

    The kinds are those of TOLD. "image", "object" and "lost" come of faults; the others are no error under either
    policy. What is in use, "object", "lost", "other" and "line" add up to all objects of the files that could be read.

    Args:
        on_error: "raise" makes `fault` raise at once, "skip" makes it count.
    """

    TOLD: ClassVar[dict[str, str]] = {
        "image": "images left out",
        "object": "objects left out",
        "lost": "objects lost with their image",
        "other": "objects of classes that were not asked for",
        "clipped": "boxes clipped to their image",
        "truncated": "JPEGs that end too early, used as far as they go",
        "turned": "images taken upright, as their EXIF says; nothing tells whether they were annotated so",
        "upright": "images drawn upright, as boxes show, whose size is stated as stored; they are taken upright",
        "unlabelled": "images without a label file, taken as without objects",
        "unsized": "annotations without an image size; that of the image is taken",
        "outline": "outlines and rotated boxes, taken as the boxes around them",
        "line": "points, lines and cuboids, which have no box and are left out",
        "lacking": "classes that their file has no category of: they have no objects, nor results in COCO's form",
        "shares": "files of boxes in shares of the image; they are made pixels, in which COCO's results are, too",
        "double": "objects that are there twice, the same class and box",
    }

    def __init__(self, on_error: OnError = "raise") -> None:
        if on_error not in ("raise", "skip"):
            raise ValueError(f'on_error must be "raise" or "skip", not {on_error!r}')
        self.on_error: OnError = on_error
        self.source = ""
        self.counts: Counter[str] = Counter()
        self.messages: dict[str, list[str]] = {}

    def fault(self, kind: str, message: str) -> None:
        """Counts a fault of this kind, or raises it as `DataError` under the policy "raise"."""
        if self.on_error == "raise":
            raise DataError(f"{message} (--on-error skip leaves such out, and counts them)")
        self.note(kind, message)

    def note(self, kind: str, message: str, count: int = 1) -> None:
        """Counts something, or so many of it, that is no error under either policy."""
        if not count:
            return
        self.counts[kind] += count
        kept = self.messages.setdefault(kind, [])
        if len(kept) < MESSAGES_KEPT:
            kept.append(message)

    def add(self, other: "SkipReport") -> None:
        """Counts what another report has counted."""
        self.counts += other.counts
        for kind, messages in other.messages.items():
            kept = self.messages.setdefault(kind, [])
            kept += messages[: MESSAGES_KEPT - len(kept)]

    def summary(self, limit: int = 3) -> str:
        """What the data is, in a line of its own; then how much of each kind, with `limit` messages of each at most."""
        said = f"{self.source}\n" if self.source else ""
        if not self.counts:
            return f"{said}Every image and every object is in use; no box was clipped."
        parts = []
        for kind in sorted(self.counts):
            count, messages = self.counts[kind], self.messages[kind][:limit]
            more = f"; and {count - len(messages)} more" if count > len(messages) else ""
            parts.append(f"{count} {self.TOLD.get(kind, kind)}: " + "; ".join(messages) + more + ".")
        return said + " ".join(parts)

    def __repr__(self) -> str:
        return f"SkipReport({dict(self.counts)})"
