"""Which objects are left without a positive anchor, object by object (paper 3.2)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lapnet_core.assign import Assignment
from lapnet_core.boxes import STRIDE, paired_iou
from lapnet_core.data.box_table import BoxTable
from lapnet_lab.coverage import ObjectCoverage, object_coverage

PEAK = 0.9999
"""From here on an O counts as 1: the best anchor of its cluster, or one that is as good."""


def shifted_object(
    size: tuple[float, float],
    shifts: Float[Tensor, "S 2"],
    shapes: Float[Tensor, "A 2"],
    grid_size: tuple[int, int] = (32, 32),
    stride: int = STRIDE,
) -> ObjectCoverage:
    """One object at several places of the grid, as if each were an image of its own.

    Args:
        size: (w, h) of the object in pixels.
        shifts: (x, y) in pixels from the centre of a cell in the middle of the grid.
        shapes: (w, h) of the anchors.

    Returns:
        ObjectCoverage with one entry a shift.
    """
    middle = torch.tensor([(cells // 2 + 0.5) * stride for cells in grid_size[::-1]])
    half = torch.tensor(size) / 2
    center = middle + shifts
    number = len(shifts)
    table = BoxTable(torch.cat((center - half, center + half), 1), torch.zeros(number, dtype=torch.int64),
                     torch.arange(number), ("object",), number, dropped=0)  # fmt: skip
    return object_coverage(table, shapes[None], grid_size, stride=stride)


def inside_another(table: BoxTable, which: Bool[Tensor, " G"]) -> Bool[Tensor, " G"]:
    """Those of the objects `which` whose box lies inside (or equals) another one of their image and class."""
    found = torch.zeros_like(which)
    for n in which.nonzero().flatten().tolist():
        rival = (table.image_index == table.image_index[n]) & (table.labels == table.labels[n])
        rival[n] = False
        others, own = table.boxes[rival], table.boxes[n]
        found[n] = ((others[:, :2] <= own[:2]) & (others[:, 2:] >= own[2:])).all(1).any()
    return found


def first_images(table: BoxTable, count: int) -> BoxTable:
    """The objects of a table's first images; its objects have to be ordered by image."""
    number = int((table.image_index < count).sum())
    return BoxTable(table.boxes[:number], table.labels[:number], table.image_index[:number], table.class_names,
                    count, dropped=0)  # fmt: skip


# ---- one map --------------------------------------------------------------------------------------------------------


def peak_points(found: Assignment, stride: int = STRIDE) -> list[Float[Tensor, "_ 2"]]:
    """For each anchor shape the centres (x, y) in pixels of its anchors with O = 1, of one image with one class."""
    at = found.positives(PEAK)
    centers = (torch.stack((at.column, at.row), -1) + 0.5) * stride
    return [centers[at.anchor == k] for k in range(found.shape[2])]


def all_peaks(found: Sequence[Assignment], stride: int = STRIDE) -> list[Float[Tensor, "_ 2"]]:
    """For each assignment the `peak_points` of all its shapes."""
    return [torch.cat(peak_points(one, stride)) for one in found]


def best_owners(found: Sequence[Assignment]) -> Int[Tensor, "K H W"]:
    """For each of K assignments (one image, one class) the object of every cell's anchor of largest O; -1: none."""
    owners = [one.object_index[0, 0].gather(0, one.overlap[0, 0].argmax(0)[None])[0] for one in found]
    return torch.stack(owners)


def clusters_and_positives(found: Assignment) -> tuple[list[int], list[int]]:
    """Of each object the anchors in its cluster, and those with O > 0.5."""
    number = len(found.rescued)
    owner = found.object_index[found.object_index >= 0]
    each = owner, found.positives().object_index
    return each[0].bincount(minlength=number).tolist(), each[1].bincount(minlength=number).tolist()


def table_by_hand(anchors: Float[Tensor, "K 4"], boxes: Float[Tensor, "G 4"], found: Assignment) -> str:
    """A line for each anchor: its IoU with every object, to whom it belongs, and its O.

    Args:
        anchors, boxes: `xyxy` in pixels.
        found: one image, one class, one shape on a grid of K cells.
    """
    lines = [f"anchor   IoU with object {', '.join(map(str, range(len(boxes))))}   belongs to      O"]
    owners, overlaps = found.object_index.flatten().tolist(), found.overlap.flatten().tolist()
    for k, (anchor, owner, overlap) in enumerate(zip(anchors, owners, overlaps, strict=True)):
        ious = "  ".join(f"{iou:.3f}" for iou in paired_iou(anchor.expand(len(boxes), 4), boxes).tolist())
        lines.append(f"{k:4}         {ious:24} {'nobody' if owner < 0 else str(owner):^10}  {overlap:.3f}")
    return "\n".join(lines)


def corners_in_words(titles: Sequence[str], results: Sequence[Assignment]) -> str:
    """A line for each corner case: anchors in the clusters, those with O > 0.5, and which objects were rescued."""
    lines = []
    for title, result in zip(titles, results, strict=True):
        members, positives = clusters_and_positives(result)
        lines.append(f"{title:26} clusters {members}, positives {positives}, rescued {result.rescued.tolist()}")
    return "\n".join(lines)


# ---- many objects ---------------------------------------------------------------------------------------------------


def shares_missed(
    found: Sequence[ObjectCoverage], which: Bool[Tensor, " G"] | slice = slice(None)
) -> dict[str, list[float]]:
    """The share of the objects `which` that each coverage misses, 0 to 1, by criterion ("AO", "PONO")."""
    missed = {"AO": [one.missed_ao for one in found], "PONO": [one.missed_pono for one in found]}
    return {name: [lost[which].float().mean().item() for lost in each] for name, each in missed.items()}


def median_positives(
    found: Sequence[ObjectCoverage], which: Bool[Tensor, " G"] | slice = slice(None)
) -> dict[str, list[float]]:
    """The median positives of the objects `which` in each coverage, by criterion ("AO", "PONO")."""
    counts = {"AO": [one.ao_positives for one in found], "PONO": [one.pono_positives for one in found]}
    return {name: [own[which].float().median().item() for own in each] for name, each in counts.items()}


def size_groups(side: Float[Tensor, " G"]) -> dict[str, Bool[Tensor, " G"]]:
    """Three groups of objects by their side in pixels: name -> which."""
    return {"below 16 px": side < 16, "16 to 48 px": (side >= 16) & (side < 48), "48 px and more": side >= 48}


class Thresholds(NamedTuple):
    """What several thresholds of AO do to groups of objects, as `figures.coverage_over_threshold` draws it."""

    missed: dict[str, list[float]]
    """Group -> the share that AO misses at each threshold, 0 to 1."""
    positives: dict[str, list[float]]
    """Group -> the median positives of an object under AO at each threshold."""
    pono: dict[str, float]
    """Group -> its median positives under PONO, whose threshold stays."""


def by_group(found: Sequence[ObjectCoverage], groups: Mapping[str, Bool[Tensor, " G"]]) -> Thresholds:
    """The same objects under several thresholds of AO, group by group."""
    counts = {name: median_positives(found, which) for name, which in groups.items()}
    return Thresholds(
        {name: shares_missed(found, which)["AO"] for name, which in groups.items()},
        {name: own["AO"] for name, own in counts.items()},
        {name: own["PONO"][0] for name, own in counts.items()},
    )


class Corners(NamedTuple):
    """Pairs of objects that strain eq. 1."""

    titles: list[str]
    pairs: list[Float[Tensor, "2 4"]]
    """`xyxy` in pixels."""
    rescues: list[bool]
    """Whether an empty cluster is given an anchor."""


def corner_cases(person: Float[Tensor, "1 4"]) -> Corners:
    """Two equal boxes, without the rescue and with it; a person and their upper body; two mirror images."""
    upper = person.clone()  # head and chest, in a box of their own
    upper[:, 3] = person[:, 1] + 0.55 * (person[:, 3] - person[:, 1])
    mirror = torch.tensor([[56.0, 110, 88, 200], [112, 110, 144, 200]])  # 12 px to either side of a column of centres
    equal, nested = torch.cat((person, person)), torch.cat((person, upper))
    titles = ["equal, eq. 1 as it stands", "equal, with the rescue", "nested", "mirror images"]
    return Corners(titles, [equal, equal, nested, mirror], [False, True, True, True])
