"""How rare positives are: among the anchors of each grid (c, a), on drawn scenes and on photographs."""

from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lapnet_core.assign import assign
from lapnet_core.boxes import STRIDE
from lapnet_lab.gather import IMAGES_AT_ONCE, few_images, table_anchors
from lapnet_lab.photographs import INPUT, photographs


def positives_per_grid(
    shapes: Float[Tensor, "C A 2"],
    grid_size: tuple[int, int],
    boxes: Float[Tensor, "G 4"],
    labels: Int[Tensor, " G"],
    image_index: Int[Tensor, " G"],
    num_images: int,
    at_once: int = IMAGES_AT_ONCE,
) -> Int[Tensor, "C A"]:
    """How many anchors with O > 0.5 each grid (c, a) has over all images; arguments as of `assign.assign`.

    Args:
        at_once: images that are assigned together; it changes the memory that is needed, and nothing else.
    """
    counts = torch.zeros(shapes.shape[:2], dtype=torch.int64)
    for _, batch in few_images(boxes, labels, image_index, num_images, at_once):
        at = assign(shapes, grid_size, *batch).positives()
        counts += (at.label * counts.shape[1] + at.anchor).bincount(minlength=counts.numel()).view(counts.shape)
    return counts


def one_in_on_voc(folder: Path | None, images: int = 500) -> dict[str, float]:
    """In how many anchors one is positive on photographs: "all", then each class, the rarest first.

    Args:
        folder: of LAPNET_DATA. images: so many of VOC 2007+2012 trainval are counted, with anchors of all of it, at the
            paper's 512 pixels.

    Returns:
        Nothing where the folder has no boxes/.
    """
    if folder is None or not (folder / "boxes").is_dir():
        return {}
    voc, scale = photographs("VOC07+12", folder)
    here, size = voc.image_index < images, INPUT // STRIDE
    flat = voc.boxes[here] * scale, voc.labels[here], voc.image_index[here]
    counts = positives_per_grid(table_anchors(voc, scale), (size, size), *flat, images)
    per_grid, by_class = images * size * size, counts.sum(1)
    rare = {voc.class_names[c]: per_grid * counts.shape[1] / int(by_class[c]) for c in by_class.argsort().tolist()}
    return {"all": per_grid * counts.numel() / int(counts.sum()), **rare}
