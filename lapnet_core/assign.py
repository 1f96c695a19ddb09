"""Which anchor is trained on which object: AO and PONO maps, clusters, the rescue (paper 3.2), and AMS (3.3).

Objects of a whole batch come flat and ragged: `boxes` (G, 4), `labels` (G,), `image_index` (G,). An anchor competes
for the objects of its own image and class only, so a plane (image, class) without an object is never computed.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lapnet_core.boxes import STRIDE, grid_giou, grid_iou
from lapnet_core.inputs import check_choice, check_number, check_objects, check_size, check_tensor
from lapnet_core.options import AmsRule, Overlap

POSITIVE_THRESHOLD = 0.5
"""An anchor is positive for the localisation where O > 0.5, for the score where O * O_hat > 0.5 (`ams_labels`)."""


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
        dense[self.planes] = planes
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

    planes, plane_of = torch.unique(image_index * classes + labels, return_inverse=True)
    # Round 0 below fills every plane; only a batch without objects, which has no plane, keeps these.
    best = boxes.new_empty((len(planes), anchors, height, width))
    owner = torch.empty(best.shape, dtype=torch.int64, device=boxes.device)
    # Objects of different planes do not compete. Round r compares the r-th object of every plane with the best so far,
    # in one batch; strictly greater, so the first listed wins a tie. The dense anchors x objects matrix never exists.
    for number, objects in enumerate(_rounds(plane_of)):
        where, ids = plane_of[objects], objects[:, None, None, None]
        iou = grid_iou(shapes[labels[objects]], boxes[objects], grid_size, stride)
        if number == 0:  # one object in every plane, in the planes' order, and nothing to beat yet
            best, owner = iou, torch.where(iou > 0, ids, -1)
        else:
            previous = best[where]
            owner[where] = torch.where(iou > previous, ids, owner[where])
            best[where] = torch.maximum(iou, previous)

    peak = _cluster_peaks(best, owner, len(boxes))
    empty = peak == 0
    if overlap == "pono":
        if rescue and bool(empty.any()):
            _rescue(best, owner, peak, shapes, boxes, labels, plane_of, stride)
        best = normalized(best, owner, peak)
    return Assignment((num_images, classes, anchors, height, width), planes, best, owner, empty)


def normalized(
    iou: Float[Tensor, "S A H W"], owner: Int[Tensor, "S A H W"], peak: Float[Tensor, " G"]
) -> Float[Tensor, "S A H W"]:
    """Per-Object Normalized Overlap (eq. 1): O = IoU / max IoU over the cluster that the anchor belongs to.

    Args:
        iou: of each anchor with its object.
        owner: that object; below 0 where an anchor belongs to nobody, and there O is 0.
        peak: the largest IoU in each object's cluster.
    """
    of_cluster = peak[owner.clamp(min=0)]
    return torch.where(owner >= 0, iou / of_cluster, 0)


def _rounds(plane_of: Int[Tensor, " G"]) -> list[Int[Tensor, " _"]]:
    """Part r has the r-th listed object of every plane that has so many, ordered by plane."""
    by_plane = plane_of.argsort(stable=True)
    counts = plane_of.bincount()
    starts = counts.cumsum(0) - counts
    rank = torch.arange(len(by_plane), device=by_plane.device) - starts[plane_of[by_plane]]
    return list(by_plane[rank.argsort(stable=True)].split(rank.bincount().tolist()))


def _cluster_peaks(best: Tensor, owner: Tensor, objects: int) -> Float[Tensor, " G"]:
    """The largest IoU in each object's cluster; 0 for an empty cluster."""
    # One bin more than objects takes the anchors that belong to nobody (-1).
    peaks = best.new_zeros(objects + 1)
    bins = torch.where(owner < 0, objects, owner)
    return peaks.scatter_reduce_(0, bins.flatten(), best.flatten(), "amax")[:objects]


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
        for rival in ((plane_of == plane) & (peak > 0)).nonzero().flatten().tolist():
            taken[torch.where(owners == rival, ious, 0).argmax()] = True
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
