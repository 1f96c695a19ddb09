"""The numbers of the explorer: objects and anchors in, maps of one class out. All of them come from `lapnet_core`."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from lapnet_core.assign import POSITIVE_THRESHOLD, Assignment, ams_labels, assign
from lapnet_core.boxes import STRIDE, decode, paired_iou
from lapnet_core.detector import Detector
from lapnet_core.method import LapNetMethod

LAYERS = {
    "ao": "overlap, AO",
    "clusters": "clusters",
    "pono": "normalised, PONO",
    "positives": "positives",
    "fit": "fit Ô",
    "product": "product O · Ô",
    "ams": "kept by AMS",
}
"""What the map can show. The last three need a trained model."""
TRAINED = ("fit", "product", "ams")


@dataclass(frozen=True)
class Prediction:
    """The offsets that a trained model returns for one image, and the anchors to which they belong."""

    offsets: Float[Tensor, "C A 4 H W"]
    shapes: Float[Tensor, "C A 2"]


@dataclass(frozen=True)
class ObjectNumbers:
    """What became of one object."""

    best_iou: float
    """AO of its best anchor; where it was rescued, of the anchor that it was given, and 0 where none was left."""
    cluster: int
    """Anchors that belong to it under PONO, of all shapes and cells."""
    positives_ao: int
    positives_pono: int
    rescued: bool
    kept: int | None
    """Positives with O * O_hat above the threshold; None without a model."""


@dataclass(frozen=True)
class Maps:
    """The maps of one class, for one anchor shape or for the best one of each cell.

    ao, pono: IoU and O of the anchor with the object that it belongs to; 0 where it belongs to none. fit: O_hat, the
    IoU of the predicted box with that object, 0 where there is none or no model.
    """

    ao: Float[Tensor, "H W"]
    pono: Float[Tensor, "H W"]
    fit: Float[Tensor, "H W"]
    object_index: Int[Tensor, "H W"]
    """Which object, -1 for none."""
    anchor: Int[Tensor, "H W"]
    """Which shape the values of a cell are those of."""
    objects: tuple[ObjectNumbers, ...]


def predict_offsets(detector: Detector, image: UInt8[Tensor, "3 h w"]) -> Prediction:
    """What the model returns for an image of its input size; the maps then depend on the boxes alone."""
    method = lapnet_of(detector)
    _, offsets = method.outputs(detector.prepare(image).to(detector.device))
    return Prediction(offsets[0].float().cpu(), method.shapes.cpu())


def lapnet_of(detector: Detector) -> LapNetMethod:
    """The LapNet in a detector; ValueError where it holds another method, which has no maps to explore."""
    if not isinstance(detector.method, LapNetMethod):
        raise ValueError(f"the explorer shows LapNet's maps; this detector is a {detector.method.name}")
    return detector.method


def explore(
    shapes: Float[Tensor, "C A 2"],
    grid_size: tuple[int, int],
    boxes: Float[Tensor, "G 4"],
    labels: Int[Tensor, " G"],
    *,
    label: int,
    anchor: int | None = None,
    rank: str = "pono",
    threshold: float = POSITIVE_THRESHOLD,
    prediction: Prediction | None = None,
    stride: int = STRIDE,
) -> Maps:
    """Assign the anchors of one image, and look at the maps of one class.

    Args:
        shapes: (w, h) in pixels, as the sliders left them.
        boxes, labels: the objects, `xyxy` in pixels.
        label: the class to look at.
        anchor: its shape to look at; None takes in each cell the shape with the largest value of `rank`.
        rank: a key of `LAYERS`. The first two rank by AO, those of a model by O * O_hat, the others by O.
        threshold: of positives, and of AMS.
        prediction: what a trained model says about the image.

    Raises:
        ValueError: a box without area, or a label, class, anchor or layer that does not exist.
    """
    classes, per_class, _ = shapes.shape
    if not 0 <= label < classes:
        raise ValueError(f"there is no class {label}; there are {classes}, from 0")
    if anchor is not None and not 0 <= anchor < per_class:
        raise ValueError(f"there is no anchor shape {anchor}; there are {per_class}, from 0")
    if rank not in LAYERS or (rank in TRAINED and prediction is None):
        raise ValueError(f'there is no map "{rank}"' + ("; it needs a trained model" if rank in TRAINED else ""))
    plain = assign(shapes, grid_size, boxes, labels, stride=stride, overlap="ao")
    normalised = assign(shapes, grid_size, boxes, labels, stride=stride)
    count = len(boxes)
    kept = torch.zeros(count, dtype=torch.int64)
    at = normalised.positives(threshold)
    if prediction is not None:
        predicted = decode(
            prediction.offsets[at.label, at.anchor, :, at.row, at.column],
            prediction.shapes[at.label, at.anchor], at.row, at.column, stride,
        )  # fmt: skip
        fits = ams_labels(at.overlap, paired_iou(predicted, boxes[at.object_index]), threshold)
        kept = at.object_index[fits].bincount(minlength=count)
    above = plain.positives(threshold).object_index.bincount(minlength=count)
    numbers = zip(
        _best(plain.peaks, normalised, shapes, boxes, labels, stride),
        normalised.plane_object[normalised.plane_object >= 0].bincount(minlength=count).tolist(),
        above.tolist(),
        at.object_index.bincount(minlength=count).tolist(),
        normalised.rescued.tolist(),
        kept.tolist() if prediction is not None else [None] * count,
        strict=True,
    )

    ao, pono, owner = (_plane(normalised.planes, values, label, fill, per_class, grid_size) for values, fill in (
        (plain.plane_overlap, 0.0), (normalised.plane_overlap, 0.0), (normalised.plane_object, -1)))  # fmt: skip
    fit = _fit(prediction, boxes, owner, label, stride) if prediction is not None else torch.zeros_like(pono)
    if anchor is None:
        ranked = ao if rank in ("ao", "clusters") else pono * fit if rank in TRAINED else pono
        which = ranked.argmax(0, keepdim=True)
    else:
        which = torch.full((1, *grid_size), anchor)
    ao, pono, fit, owner = (values.gather(0, which)[0] for values in (ao, pono, fit, owner))
    return Maps(ao, pono, fit, owner, which[0], tuple(ObjectNumbers(*line) for line in numbers))


def _best(
    peaks: Float[Tensor, " G"],
    normalised: Assignment,
    shapes: Float[Tensor, "C A 2"],
    boxes: Float[Tensor, "G 4"],
    labels: Int[Tensor, " G"],
    stride: int,
) -> list[float]:
    """The peaks of AO, and in place of a rescued object's 0 its IoU with the one anchor that it was given."""
    best = peaks.tolist()
    for n in normalised.rescued.nonzero().flatten().tolist():
        for _, anchor, row, column in (normalised.plane_object == n).nonzero().tolist():
            size = shapes[labels[n], anchor]
            centre = size.new_tensor([column + 0.5, row + 0.5]) * stride
            best[n] = paired_iou(torch.cat((centre - size / 2, centre + size / 2))[None], boxes[n][None].float()).item()
    return best


def _plane(
    planes: Int[Tensor, " S"],
    values: Tensor,
    label: int,
    fill: float,
    per_class: int,
    grid_size: tuple[int, int],
) -> Tensor:
    """The (A, H, W) plane of a class, of one image's assignment; `fill` everywhere for a class without objects."""
    (here,) = (planes == label).nonzero(as_tuple=True)
    return values[here[0]] if len(here) else values.new_full((per_class, *grid_size), fill)


def _fit(
    prediction: Prediction, boxes: Float[Tensor, "G 4"], owner: Int[Tensor, "A H W"], label: int, stride: int
) -> Float[Tensor, "A H W"]:
    """O_hat of every assigned anchor of a class: IoU of its predicted box with its object."""
    fit = torch.zeros(owner.shape)
    anchor, row, column = (owner >= 0).nonzero(as_tuple=True)
    offsets = prediction.offsets[label, anchor, :, row, column]
    predicted = decode(offsets, prediction.shapes[label, anchor], row, column, stride)
    fit[anchor, row, column] = paired_iou(predicted, boxes[owner[anchor, row, column]])
    return fit
