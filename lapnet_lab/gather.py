"""The objects of a whole data set, and the ways through them that studies share."""

from collections.abc import Iterator

from jaxtyping import Bool, Float, Int
from torch import Tensor

from lapnet_core.anchors import cluster_anchors
from lapnet_core.data.tables import BoxTable

IMAGES_AT_ONCE = 16
"""So many images are assigned together. It changes the memory that a study needs, and nothing else."""


def table_anchors(table: BoxTable, scale: float, per_class: int = 10, seed: int = 0) -> Float[Tensor, "C A 2"]:
    """Anchors clustered on the boxes of a table, in pixels of the network input (original pixels times `scale`)."""
    sizes = (table.boxes[:, 2:] - table.boxes[:, :2]) * scale
    return cluster_anchors(sizes, table.labels, len(table.class_names), per_class, seed, table.class_names)


def few_images(
    boxes: Float[Tensor, "G 4"],
    labels: Int[Tensor, " G"],
    image_index: Int[Tensor, " G"],
    num_images: int,
    at_once: int = IMAGES_AT_ONCE,
) -> Iterator[tuple[Bool[Tensor, " G"], tuple[Tensor, Tensor, Tensor, int]]]:
    """The objects of many images in parts that fit into memory.

    Yields:
        (which objects, (boxes, labels, image_index, num_images) of these as `assign.assign` takes them), for `at_once`
        images after the other, also where they hold no object.
    """
    for first in range(0, num_images, at_once):
        here = (image_index >= first) & (image_index < first + at_once)
        yield here, (boxes[here], labels[here], image_index[here] - first, at_once)
