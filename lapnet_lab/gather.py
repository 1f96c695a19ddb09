"""The objects of a whole data set, and the ways through them that studies share."""

from collections.abc import Iterator
from typing import NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor

from lapnet_core.anchors import cluster_anchors
from lapnet_core.data import flatten_targets
from lapnet_core.data.box_table import BoxTable
from lapnet_core.data.named import Images


class Objects(NamedTuple):
    """The objects of many images in one row, as `assign.assign` takes them. Difficult ones are left out."""

    boxes: Float[Tensor, "G 4"]
    labels: Int[Tensor, " G"]
    image_index: Int[Tensor, " G"]


def objects(dataset: Images, count: int | None = None, size: tuple[int, int] | None = None) -> Objects:
    """All objects of a data set, or of its first `count` images; boxes `xyxy` in pixels of the images as they are, or
    of a network's input of `size` (height, width)."""
    targets = [dataset.target(i) for i in range(len(dataset) if count is None else count)]
    found = Objects(*flatten_targets(targets))
    if size is None:
        return found
    stretch = found.boxes.new_tensor([[size[1] / w, size[0] / h] * 2 for h, w in (t["original_size"] for t in targets)])
    return found._replace(boxes=found.boxes * stretch[found.image_index])


def sizes(boxes: Float[Tensor, "G 4"]) -> Float[Tensor, "G 2"]:
    """(w, h) of `xyxy` boxes."""
    return boxes[:, 2:] - boxes[:, :2]


def table(dataset: Images) -> BoxTable:
    """All objects of a data set as a table of boxes."""
    found, names = objects(dataset), tuple(dataset.class_names)
    return BoxTable(*found, names, len(dataset), dropped=0)


IMAGES_AT_ONCE = 16
"""So many images are assigned together. It changes the memory that a study needs, and nothing else."""


def table_anchors(table: BoxTable, scale: float, per_class: int = 10, seed: int = 0) -> Float[Tensor, "C A 2"]:
    """Anchors clustered on the boxes of a table, in pixels of the network input (original pixels times `scale`)."""
    own = sizes(table.boxes) * scale
    return cluster_anchors(own, table.labels, len(table.class_names), per_class, seed, table.class_names)


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
