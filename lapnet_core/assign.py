"""Which anchor is trained on which object: AO and PONO maps, clusters, the rescue (paper 3.2), and AMS (3.3).

Objects of a whole batch come flat and ragged: `boxes` (G, 4), `labels` (G,), `image_index` (G,). An anchor competes
for the objects of its own image and class only, so a plane (image, class) without an object is never computed.
"""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import get_args

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lapnet_core.boxes import STRIDE, both_areas, grid_giou, grid_iou, grid_sides, iou_of, shared_length
from lapnet_core.inputs import check_choice, check_number, check_objects, check_size, check_tensor
from lapnet_core.options import AmsRule, Overlap

POSITIVE_THRESHOLD = 0.5
"""An anchor is positive for the localisation where O > 0.5, for the score where O * O_hat > 0.5 (`ams_labels`)."""

CROWD, WINDOW_COST = 24, 12
"""From so many rivals on, only the cells that an object can touch are looked at (`_compete_in_windows`), if that pays:
a cell costs so many times as much there as on a whole plane."""


@dataclass(frozen=True)
class Positives:
    """The P anchors with overlap above the threshold, in the order of the flattened [B, C, A, H, W] map."""

    flat: Int[Tensor, " P"]
    """Index into the flattened [B, C, A, H, W] map."""
    image: Int[Tensor, " P"]
    label: Int[Tensor, " P"]
    anchor: Int[Tensor, " P"]
    row: Int[Tensor, " P"]
    column: Int[Tensor, " P"]
    object_index: Int[Tensor, " P"]
    overlap: Float[Tensor, " P"]


@dataclass(frozen=True)
class Assignment:
    """Result of `assign`. Only the S planes (image, class) that hold an object are stored."""

    shape: tuple[int, int, int, int, int]
    """(B, C, A, H, W)."""
    planes: Int[Tensor, " S"]
    """b * C + c of each stored plane, ascending."""
    plane_overlap: Float[Tensor, "S A H W"]
    plane_object: Int[Tensor, "S A H W"]
    rescued: Bool[Tensor, " G"]
    """Which objects had an empty cluster. With overlap="pono" and rescue=True they were given an anchor."""

    @cached_property
    def overlap(self) -> Float[Tensor, "B C A H W"]:
        """The map O (PONO) or the plain overlap (AO); 0 where nothing is assigned."""
        return self._dense(self.plane_overlap, 0)

    @cached_property
    def object_index(self) -> Int[Tensor, "B C A H W"]:
        """Index of the object that each anchor belongs to, into the flat objects; -1 where none."""
        return self._dense(self.plane_object, -1)

    @property
    def peaks(self) -> Float[Tensor, " G"]:
        """The largest overlap among each object's anchors: 1 under PONO, the best IoU under AO, 0 for a missed one."""
        return _cluster_peaks(self.plane_overlap, self.plane_object, len(self.rescued))

    def _dense(self, planes: Tensor, fill: int) -> Tensor:
        batch, classes, *rest = self.shape
        dense = planes.new_full((batch * classes, *rest), fill)
        for where, plane in zip(self.planes.tolist(), planes, strict=True):  # faster than by a tensor of indices
            dense[where] = plane
        return dense.view(self.shape)

    def positives(self, threshold: float = POSITIVE_THRESHOLD) -> Positives:
        """The anchors with overlap > threshold, which is in 0..1."""
        check_number("threshold", threshold, 0, 1)
        _, classes, anchors, height, width = self.shape
        found = (self.plane_overlap > threshold).nonzero()
        plane, anchor, row, column = found.unbind(1)
        which = self.planes[plane]
        here = (plane, anchor, row, column)
        return Positives(
            flat=((which * anchors + anchor) * height + row) * width + column,
            image=which // classes, label=which % classes, anchor=anchor, row=row, column=column,
            object_index=self.plane_object[here], overlap=self.plane_overlap[here],
        )  # fmt: skip


def ams_labels(
    overlap: Float[Tensor, " P"], predicted_overlap: Float[Tensor, " P"], threshold: float = POSITIVE_THRESHOLD, *,
    object_index: Int[Tensor, " P"] | None = None, rule: AmsRule = "paper", share: float = 1.0,
) -> Bool[Tensor, " P"]:  # fmt: skip
    """Ambiguity Management Strategy (eq. 3): P = 1 where O * O_hat > 0.5. A label: nothing flows back through it.

    Args:
        overlap, predicted_overlap: O and O_hat of the anchors that are positive for the localisation.
        object_index: the object that each belongs to; the rule "relative" needs it.
        rule: "paper" as above; "ignore" gives the same labels, and the loss leaves the rejected anchors out instead of
            calling them background. While the network fits nothing well, the paper's rule leaves many an object without
            any positive, and trains its anchors as background; two more of ours mend that. "annealed": O * O_hat^share
            > 0.5, from no rejection to the paper's as the training goes on. "relative": O * O_hat over its maximum in
            the object's cluster, so that each object keeps its best anchor, as PONO promises before AMS.
        share: how much of the training is done, 0 to 1.
    """
    check_number("threshold", threshold, 0, 1)
    fit = predicted_overlap.detach()
    value = overlap * (fit**share if rule == "annealed" else fit)
    if rule == "relative" and len(value):
        if object_index is None:
            raise ValueError('ams_labels: the rule "relative" needs object_index')
        best = value.new_zeros(int(object_index.max()) + 1).scatter_reduce_(0, object_index, value, "amax")
        value = torch.where(best[object_index] > 0, value / best[object_index], overlap)
    return value > threshold


@torch.no_grad()
def assign(
    shapes: Float[Tensor, "C A 2"], grid_size: tuple[int, int], boxes: Float[Tensor, "G 4"], labels: Int[Tensor, " G"],
    image_index: Int[Tensor, " G"] | None = None, num_images: int = 1, *,
    stride: int = STRIDE, overlap: Overlap = "pono", rescue: bool = True,
) -> Assignment:  # fmt: skip
    """Assign every anchor of a batch to at most one object of its own class, and measure the overlap (paper 3.2).

    Args:
        shapes: (w, h) of the anchors in pixels, as `anchors.cluster_anchors` gives them.
        grid_size: (H, W) cells of the output map.
        boxes: `xyxy` objects in pixels of the network input, of all images one after the other.
        labels: class of each object, from 0.
        image_index: image of each object, 0 <= index < num_images; all in image 0 when left out.
        num_images: B.
        stride: pixels per cell.
        overlap: "pono" divides by the largest IoU of the object's cluster (`normalized`); "ao" leaves the IoU as it is.
        rescue: what becomes of an object whose every anchor overlaps another object of its class more (its cluster is
            empty: equal or nested boxes), or that touches no anchor at all. The paper passes over it. True: the object
            takes its own best free anchor, where O is 1. An anchor is free if it is not the best anchor of another
            object, so a rescue never takes an object's last or best anchor. "Best" is by IoU, and by generalised IoU
            where no free anchor touches the object. False: the literal paper; the object is missed. AO, the baseline,
            is never rescued.

    An anchor belongs to the object of highest IoU if that is above 0, the first listed where several are equal.

    Returns:
        Assignment, with maps of shape [B, C, A, H, W]; float32 on the device of `shapes`, without gradient.

    Raises:
        ValueError: a label or an image index out of range, or a box without area or not finite, by its number; shapes
            that are not positive and finite; anything of another shape, dtype or device, by its name.
    """
    check_tensor("shapes", shapes, ("C", "A", 2))
    check_tensor("boxes", boxes, ("G", 4), device=shapes.device)
    check_tensor("labels", labels, (len(boxes),), "int", shapes.device)
    image_index = torch.zeros_like(labels) if image_index is None else image_index
    check_tensor("image_index", image_index, (len(boxes),), "int", shapes.device)
    check_size("grid_size", grid_size)
    check_number("num_images", num_images, 0, whole=True)
    check_number("stride", stride, 1, whole=True)
    check_choice("overlap", overlap, get_args(Overlap))
    check_choice("rescue", rescue, (True, False))
    shapes, boxes = shapes.detach().float(), boxes.detach().float()
    labels, image_index = labels.long(), image_index.long()
    classes, anchors, _ = shapes.shape
    height, width = grid_size
    check_objects(boxes, labels, image_index, classes, num_images, shapes)

    # Objects of different planes do not compete. In each plane the first listed meets its rivals.
    planes, plane_of = torch.unique(image_index * classes + labels, return_inverse=True)
    listed_first, rivals = [-1] * len(planes), []
    for n, plane in enumerate(plane_of.tolist()):
        if listed_first[plane] < 0:
            listed_first[plane] = n
        else:
            rivals.append((n, plane))
    first, contested = plane_of.new_tensor(listed_first), sorted({plane for _, plane in rivals})
    best, owner = _compete(shapes[labels], boxes, plane_of, first, rivals, grid_size, stride)

    peak = best.new_zeros(len(boxes)).index_copy_(0, first, best.amax((1, 2, 3)))  # right for an object without rivals
    for plane in contested:
        peak = torch.where(plane_of == plane, _cluster_peaks(best[plane], owner[plane], len(boxes)), peak)
    empty = peak == 0
    if overlap == "pono":
        if rescue and bool(empty.any()):
            _rescue(best, owner, peak, shapes, boxes, labels, plane_of, stride)
        iou, divisor = best, torch.where(peak > 0, peak, 1)[first]
        best = iou / divisor[:, None, None, None]
        for plane in contested:
            best[plane] = normalized(iou[plane], owner[plane], peak)
    return Assignment((num_images, classes, anchors, height, width), planes, best, owner, empty)


def normalized(
    iou: Float[Tensor, "*S A H W"], owner: Int[Tensor, "*S A H W"], peak: Float[Tensor, " G"]
) -> Float[Tensor, "*S A H W"]:
    """Per-Object Normalized Overlap (eq. 1): O = IoU / max IoU over the cluster that the anchor belongs to.

    Args:
        iou: of each anchor with its object.
        owner: that object; -1 where an anchor belongs to nobody, and there O is 0.
        peak: the largest IoU in each object's cluster.
    """
    of_cluster = F.pad(peak, (1, 0), value=torch.inf).index_select(0, (owner + 1).flatten())
    return iou / of_cluster.view_as(iou)


def _compete(
    shapes: Float[Tensor, "G A 2"], boxes: Float[Tensor, "G 4"], plane_of: Int[Tensor, " G"],
    first: Int[Tensor, " S"], rivals: list[tuple[int, int]], grid_size: tuple[int, int], stride: int,
) -> tuple[Float[Tensor, "S A H W"], Int[Tensor, "S A H W"]]:  # fmt: skip
    """Best IoU of each anchor, and the object that it is with: -1 where it is 0, the first listed of equals.

    First the object that is `first` in each plane, all planes at once; then each of the others, `rivals` as (object,
    plane) in their order, against what its plane has so far. The dense anchors x objects matrix never exists.
    """
    size = (len(first), shapes.shape[1], *grid_size)
    if len(rivals) >= CROWD:
        begin, count = _windows(shapes, boxes, grid_size, stride)
        if WINDOW_COST * int(count.prod(-1).sum()) < len(rivals) * prod(size[1:]):
            return _compete_in_windows(shapes, boxes, plane_of, begin, count, size, stride)
    down, across, areas = grid_sides(shapes, boxes, grid_size, stride)
    best = iou_of(down[first] * across[first], areas[first])
    # Numbers from 1 in float32, exact up to 2^24: torch.where over int64 would cost as much as all the rest.
    number = torch.arange(1, len(boxes) + 1, device=boxes.device, dtype=best.dtype)
    owner = best.sign().mul_(number[first][:, None, None, None])
    wins = best.new_empty(size[1:])
    for n, plane in rivals:
        iou, so_far = iou_of(down[n] * across[n], areas[n]), best[plane]
        torch.gt(iou, so_far, out=wins)  # 1 or 0
        owner[plane].lerp_(number[n], wins)
        torch.maximum(iou, so_far, out=so_far)
    return best, owner.sub_(1).int().long()  # by way of int32, for which processors have an instruction


def _windows(
    shapes: Float[Tensor, "G A 2"], boxes: Float[Tensor, "G 4"], grid_size: tuple[int, int], stride: int
) -> tuple[Int[Tensor, "G A 2"], Int[Tensor, "G A 2"]]:
    """First cell, and number of cells, in x and in y, where an anchor can share anything with its object."""
    half, low, high = shapes / 2, boxes[:, None, :2], boxes[:, None, 2:]
    # Coordinates are rounded in float32. A cell too many is harmless, as its IoU is 0.
    slack = (low.abs() + high.abs() + half) * 1e-6
    begin = ((low - half - slack) / stride - 0.5).ceil().clamp(min=0)
    end = ((high + half + slack) / stride + 0.5).floor().minimum(shapes.new_tensor(grid_size[::-1]))
    return begin.long(), (end - begin).clamp(min=0).long()


def _compete_in_windows(
    shapes: Float[Tensor, "G A 2"], boxes: Float[Tensor, "G 4"], plane_of: Int[Tensor, " G"],
    begin: Int[Tensor, "G A 2"], count: Int[Tensor, "G A 2"], size: tuple[int, int, int, int], stride: int,
) -> tuple[Float[Tensor, "S A H W"], Int[Tensor, "S A H W"]]:  # fmt: skip
    """`_compete` for many objects that are small beside the grid: only the cells of their windows are looked at.

    A pair is (object, anchor), a line is one row of its window. Step k compares the k-th cell of all lines that are so
    long. In each anchor the largest key stays: the bits of the IoU, which order as numbers >= 0 do, above the object's
    number counted from the end, so that the first listed wins a tie.
    """
    _, anchors, height, width = size
    pairs = count[..., 0].flatten().argsort(descending=True)  # the longest lines first: those of a step are a prefix
    which, anchor = pairs // anchors, pairs % anchors

    def both_axes(x: Tensor) -> tuple[Tensor, ...]:
        return x.permute(2, 0, 1).flatten(1)[:, pairs].unbind()

    (begin_x, begin_y), (columns, rows), (half_x, half_y) = both_axes(begin), both_axes(count), both_axes(shapes / 2)
    x1, y1, x2, y2 = boxes.T[:, which].unbind()
    until = rows.cumsum(0)
    pair = torch.repeat_interleave(rows)  # of each line

    def of_lines(x: Tensor) -> Tensor:
        return x.index_select(0, pair)

    row = torch.arange(len(pair), device=pair.device) + of_lines(begin_y - until + rows)
    down = shared_length((row.float() + 0.5) * stride, of_lines(half_y), of_lines(y1), of_lines(y2))
    cell = row * width + of_lines((plane_of[which] * anchors + anchor) * height * width + begin_x)
    areas, priority = of_lines(both_areas(shapes, boxes).flatten()[pairs]), of_lines(len(boxes) - which)
    keys = cell.new_zeros(size)
    so_long = len(pairs) - columns.bincount().cumsum(0)[:-1]  # pairs whose lines have more than k cells
    for k, (some, lines) in enumerate(zip(so_long.tolist(), until[so_long - 1].tolist(), strict=True)):
        center = (begin_x[:some].float() + (k + 0.5)) * stride
        across = shared_length(center, half_x[:some], x1[:some], x2[:some])
        iou = iou_of(down[:lines] * across.index_select(0, pair[:lines]), areas[:lines])
        key = (iou.view(torch.int32).long() << 32).add_(priority[:lines])
        keys.view(-1).scatter_reduce_(0, cell[:lines] + k, key, "amax")
    best = (keys >> 32).int().view(torch.float32)
    return best, torch.where(best > 0, len(boxes) - (keys & 0xFFFFFFFF), -1)


def _cluster_peaks(best: Tensor, owner: Tensor, objects: int) -> Float[Tensor, " G"]:
    """The largest IoU in each object's cluster; 0 for an empty cluster."""
    # One bin more than objects, the first, takes the anchors that belong to nobody (-1).
    return best.new_zeros(objects + 1).scatter_reduce_(0, (owner + 1).flatten(), best.flatten(), "amax")[1:]


def _rescue(
    best: Float[Tensor, "S A H W"], owner: Int[Tensor, "S A H W"], peak: Float[Tensor, " G"],
    shapes: Float[Tensor, "C A 2"], boxes: Float[Tensor, "G 4"], labels: Int[Tensor, " G"],
    plane_of: Int[Tensor, " G"], stride: int,
) -> None:  # fmt: skip
    """Give each object with an empty cluster its own best free anchor, in place. Rare, so one object at a time."""
    missed = (peak == 0).nonzero().flatten()
    for plane in plane_of[missed].unique().tolist():
        ious, owners = best[plane].view(-1), owner[plane].view(-1)
        taken = torch.zeros_like(owners, dtype=torch.bool)
        at_peak = ((owners >= 0) & (ious == peak[owners])).nonzero().flatten()
        its_best = owners.new_full(peak.shape, len(owners)).scatter_reduce_(0, owners[at_peak], at_peak, "amin")
        taken[its_best[its_best < len(owners)]] = True
        for n in missed[plane_of[missed] == plane].tolist():
            if bool(taken.all()):
                break  # more objects than anchors: nothing is left to give
            shape, box, grid_size = shapes[labels[n]], boxes[n], (best.shape[2], best.shape[3])
            own = grid_iou(shape[None], box[None], grid_size, stride).flatten()
            rank = torch.where(taken, 0, own)
            if not bool(rank.any()):
                rank = torch.where(taken, -torch.inf, grid_giou(shape, box, grid_size, stride).flatten())
            claimed = int(rank.argmax())
            taken[claimed] = True
            owners[claimed] = n
            # An anchor that does not touch the object still has to be its peak: any positive value becomes O = 1.
            ious[claimed] = peak[n] = own[claimed].clamp(min=torch.finfo(own.dtype).tiny)
