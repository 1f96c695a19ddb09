"""Per-class anchors by k-means on box sizes (paper 3.1), and the grid they are laid on."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lapnet_core.boxes import STRIDE, cell_centers, shape_iou
from lapnet_core.files import write_whole
from lapnet_core.inputs import check_number, check_tensor

MAX_ITERATIONS = 300
ASSETS = Path(__file__).parent / "assets" / "anchors"
LARGEST = 1 << 24
"""Pixels; greater sides of an anchor or an input are no data."""
FILL_FACTOR = 1.25
"""Paper is silent on a class with fewer than A distinct sizes: each of its sizes is an anchor, and the rest are these
sizes times FILL_FACTOR, 1/FILL_FACTOR, FILL_FACTOR**2, ... A mere copy of an anchor would add nothing."""
DISTINCT = 1e-3
"""Sizes are distinct if a side differs by more than this share: less is rounding, from shares of an image to pixels."""
MOST = 50_000
"""Of a class with more objects so many are clustered, drawn at random; COCO has 260,000 people."""


def cluster_anchors(
    sizes: Float[Tensor, "G 2"], labels: Int[Tensor, " G"], num_classes: int, per_class: int = 10, seed: int = 0,
    class_names: Sequence[str] | None = None,
) -> Float[Tensor, "C A 2"]:  # fmt: skip
    """Cluster the (w, h) of each class's objects with YOLOv2's k-means: distance 1 - IoU of boxes with one centre.

    Args:
        sizes: (w, h) in pixels of the network input, that is after the resize.
        labels: class of each object, from 0.
        num_classes, per_class: C and A.
        seed: the result is the same for the same seed, whatever else has drawn random numbers.
        class_names: only for the error messages.

    Returns:
        (w, h) of A anchors per class, sorted by area.

    Raises:
        ValueError: a class without objects, a size that is not positive and finite, or a label out of range; no anchor;
            anything of another shape or dtype, by its name.
    """
    for name, count in (("num_classes", num_classes), ("per_class", per_class)):
        check_number(name, count, 1, whole=True)
    check_number("seed", seed, 0, 2**32 - 1, whole=True)
    check_tensor("sizes", sizes, ("G", 2))
    check_tensor("labels", labels, (len(sizes),), "int", sizes.device)
    if len(sizes) and not bool(((sizes > 0) & sizes.isfinite()).all()):
        n = int((~((sizes > 0) & sizes.isfinite()).all(-1)).nonzero()[0])
        raise ValueError(f"object {n} has size {sizes[n].tolist()}; both sides have to be positive and finite")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise ValueError(f"labels span {int(labels.min())}..{int(labels.max())}, expected 0..{num_classes - 1}")
    shapes = []
    for c in range(num_classes):
        own = sizes[labels == c].detach().to("cpu", torch.float64)
        if not len(own):
            name = f"{c} ({class_names[c]})" if class_names else str(c)
            raise ValueError(f"class {name} has no object to cluster anchors from: leave the class out, or add data")
        generator = class_generator(seed, c)
        some = own[torch.randperm(len(own), generator=generator)[:MOST]] if len(own) > MOST else own
        centers = kmeans(some, per_class, generator)
        shapes.append(centers[centers.prod(-1).argsort(stable=True)])
    return torch.stack(shapes).to(torch.float32)


class KMeansState(NamedTuple):
    """Where k-means stands: the centres, and for each box the centre that it is nearest to."""

    centers: Float[Tensor, "j 2"]
    """Fewer than k while they are being seeded."""
    nearest: Int[Tensor, " n"]


def kmeans_steps(
    sizes: Float[Tensor, "n 2"], k: int, generator: torch.Generator,
    similarity: Callable[[Tensor, Tensor], Tensor] = shape_iou,
) -> Iterator[KMeansState]:  # fmt: skip
    """k-means, one state after the other: the seeding as in k-means++, a centre more each time, then the iterations.

    Args:
        sizes: (w, h).
        k: number of centres. Where there are no more distinct sizes than that, the only state is the filled one.
        generator: all that is random comes from it.
        similarity: (n, 2), (k, 2) -> (n, k), one minus the distance; YOLOv2's is the IoU.

    Yields:
        States; the last one is the result. There each centre is the mean (w, h) of the boxes that are nearest to it.
    """
    distinct = _unlike(sizes.unique(dim=0), k + 1)
    if len(distinct) <= k:
        filled = _fill(distinct, k)
        yield KMeansState(filled, similarity(sizes, filled).argmax(1))
        return
    centers = sizes[torch.randint(len(sizes), (1,), generator=generator)]
    while len(centers) < k:
        near = similarity(sizes, centers)
        yield KMeansState(centers, near.argmax(1))
        distance = (1 - near).amin(1).clamp(min=0)
        centers = torch.cat((centers, sizes[torch.multinomial(distance**2, 1, generator=generator)]))
    nearest = None
    for _ in range(MAX_ITERATIONS + 1):
        near = similarity(sizes, centers)
        previous, nearest = nearest, near.argmax(1)
        yield KMeansState(centers, nearest)
        if previous is not None and torch.equal(previous, nearest):
            return
        centers = next_centers(sizes, near)


def next_centers(sizes: Float[Tensor, "n 2"], near: Float[Tensor, "n k"]) -> Float[Tensor, "k 2"]:
    """The mean (w, h) of the boxes that are nearest to each centre, given how near each box is to each centre."""
    nearest = near.argmax(1)
    clusters = [sizes[nearest == j] for j in range(near.shape[1])]
    # A centre that lost all its boxes starts again at the box that is served worst.
    return torch.stack([own.mean(0) if len(own) else sizes[near.amax(1).argmin()] for own in clusters])


def kmeans(sizes: Float[Tensor, "n 2"], k: int, generator: torch.Generator) -> Float[Tensor, "k 2"]:
    """k-means with distance 1 - IoU; seeded as k-means++, a centre is the mean (w, h) of its cluster."""
    *_, last = kmeans_steps(sizes, k, generator)
    return last.centers


def class_generator(seed: int, label: int) -> torch.Generator:
    """What is random in the clustering of one class, the same whatever the other classes draw."""
    return torch.Generator().manual_seed(seed * 1_000_003 + label)


def _fill(distinct: Float[Tensor, "d 2"], k: int) -> Float[Tensor, "k 2"]:
    """k shapes from d <= k distinct ones; see FILL_FACTOR."""
    shapes, power = distinct, 0
    while len(shapes) < k:
        power = -power if power > 0 else 1 - power  # 1, -1, 2, -2, ...
        shapes = _unlike(torch.cat((shapes, distinct * FILL_FACTOR**power)), k)
    return shapes


def _unlike(sizes: Float[Tensor, "n 2"], most: int) -> Float[Tensor, "d 2"]:
    """The first of all that are alike, in their order, and no more than `most`; see DISTINCT."""
    found = []
    while len(sizes) and len(found) < most:
        found.append(sizes[0])
        sizes = sizes[((sizes / sizes[0]).log().abs() > DISTINCT).any(1)]
    return torch.stack(found) if found else sizes


def average_iou(
    sizes: Float[Tensor, "G 2"], labels: Int[Tensor, " G"], shapes: Float[Tensor, "C A 2"]
) -> Float[Tensor, " C"]:
    """Mean over each class's objects of the IoU with the class's best anchor, centres aligned; nan without objects."""
    means = [shape_iou(sizes[labels == c], anchors).amax(1).mean() for c, anchors in enumerate(shapes)]
    return torch.stack(means)


def anchor_boxes(
    shapes: Float[Tensor, "C A 2"], grid_size: tuple[int, int], stride: int = STRIDE
) -> Float[Tensor, "C A H W 4"]:
    """Every anchor as an `xyxy` box in pixels, centred at ((j + 0.5) * stride, (i + 0.5) * stride) in cell (i, j).

    For tests and figures only: assignment, loss and prediction never need the dense grid.
    """
    y = cell_centers(grid_size[0], stride, shapes.device)
    x = cell_centers(grid_size[1], stride, shapes.device)
    center = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
    half = shapes[:, :, None, None] / 2
    return torch.cat((center - half, center + half), -1)


@dataclass(frozen=True)
class AnchorFile:
    """Anchors with what is needed to use them: made by `lapnet anchors`, read by `lapnet train --anchors FILE`.

    Some lie in the package, and are found by their name: voc0712_512 and coco_512 (assets/anchors/README.md).

    Raises:
        ValueError: there is no class, one is there twice, has no shapes or another number of them; a side or an input
            that is not positive, or no number of pixels.
    """

    class_names: tuple[str, ...]
    input_size: tuple[int, int]
    """(height, width) of the network input that the shapes are for, in pixels."""
    shapes: Float[Tensor, "C A 2"]
    made_by: str = ""

    def __post_init__(self) -> None:
        names, form = self.class_names, tuple(self.shapes.shape)
        if len(form) != 3 or form[2] != 2 or 0 in form or form[0] != len(names):
            raise ValueError(f"anchors have shape {form}, expected (classes, anchors, 2) with {len(names)} classes")
        if not bool(((self.shapes > 0) & (self.shapes <= LARGEST)).all()):  # NaN is neither
            raise ValueError(f"anchors must be positive, finite and of at most {LARGEST} pixels")
        if len(set(names)) < len(names):
            raise ValueError("a class is there twice")
        if len(self.input_size) != 2 or not all(type(side) is int and 0 < side <= LARGEST for side in self.input_size):
            raise ValueError(f"input_size must be (height, width) in pixels, not {str(self.input_size)[:60]}")

    def save(self, path: str | Path) -> None:
        """Write `to_json` as a whole or not at all."""
        write_whole(path, lambda part: part.write_text(self.to_json(), encoding="utf-8"))

    def to_json(self) -> str:
        """As JSON, a class on each line, rounded to a hundredth of a pixel, below a pixel to three digits."""
        shapes = [[[_rounded(side) for side in shape] for shape in anchors] for anchors in self.shapes.tolist()]
        classes = dict(zip(self.class_names, shapes, strict=True))
        lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(own)}" for name, own in classes.items())
        head = f' "made_by": {json.dumps(self.made_by)},\n "input_size": {json.dumps(self.input_size)},\n'
        return f'{{\n{head} "anchors": {{\n{lines}\n }}\n}}\n'

    @classmethod
    def load(cls, path: str | Path) -> "AnchorFile":
        """Read what `save` wrote, or anchors of the package by their name.

        Raises:
            ValueError: names the file where it is something else.
            OSError: there is neither such a file nor such a name, or it cannot be read.
        """
        shipped = ASSETS / f"{path}.json"
        if not Path(path).exists():
            if not shipped.is_file():
                names = ", ".join(sorted(file.stem for file in ASSETS.glob("*.json")))
                raise FileNotFoundError(f"{path}: no such anchor file, and no anchors of that name; there are {names}")
            path = shipped
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"), object_pairs_hook=_distinct)
            if not isinstance(content, dict) or not isinstance(content.get("anchors"), dict):
                raise ValueError('expected an object with "input_size" and "anchors", by class')
            own = list(content["anchors"].values())
            if not all(type(side) in (int, float) for shapes in own for shape in shapes for side in shape):
                raise ValueError("an anchor must be two numbers, width and height")
            if "input_size" not in content:
                raise ValueError('it lacks "input_size", (height, width) of the network input in pixels')
            height, width = content["input_size"]
            made_by = str(content.get("made_by", ""))
            return cls(tuple(content["anchors"]), (height, width), torch.tensor(own, dtype=torch.float32), made_by)
        except (ValueError, KeyError, TypeError, RuntimeError, OverflowError) as error:  # RuntimeError: too deep
            raise ValueError(f"{path} is no anchor file: {error}") from error


def _rounded(side: float) -> float:
    return round(side, 2) if side >= 1 else float(f"{side:.3g}")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name is there twice")
    return dict(pairs)
