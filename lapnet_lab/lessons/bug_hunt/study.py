"""What one measures on a patient, beside what a healthy one gives."""

import inspect
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torchvision.ops import batched_nms

from lapnet_core.assign import assign
from lapnet_core.data import flatten_targets
from lapnet_core.scenes import render_situation
from lapnet_lab.lessons.bug_hunt import patients

ASSIGNERS = {"A": patients.assigner_a, "D": patients.assigner_d, "F": patients.assigner_f}
CAUSES = {
    "threshold": "the threshold that is handed over is not used",
    "centre": "anchors sit on the corners of the cells, not on their centres",
    "picture": "the overlap is divided by the largest of the picture, not of the object",
    "label": "the label carries a gradient",
    "classes": "boxes of different classes suppress each other",
    "unseen": "weights move in steps that have no positive for them",
    "rescue": "objects with an empty cluster are not rescued",
    "order": "boxes are suppressed in the order in which they come, not by score",
    "sign": "a gradient is followed uphill",
    "format": "boxes are taken for (centre, size) where they are corners",
}
"""What may be the matter, by a word for it; more than there are patients."""
TRUTH = {"A": "picture", "B": "classes", "C": "unseen", "D": "threshold", "E": "label", "F": "centre"}
WOULD = {
    "threshold": "positives would stay the same wherever you set the threshold",
    "centre": "every map would lie half a cell, 4 px, to the right and down",
    "picture": "the best object of the picture would be right, and the others too dark",
    "label": "the predicted IoU itself would sink while the loss falls",
    "classes": "a box would go because of a stronger one of another class",
    "unseen": "a weight would go on moving after its last positive",
    "rescue": "only the second of two equal boxes would suffer",
    "order": "a weak box that comes first would stay in place of a strong one",
    "sign": "the loss would rise from the first step on",
    "format": "maps would be nowhere near their objects",
}
"""What each cause would look like."""


class Maps(NamedTuple):
    """One class of a picture as an assigner and as the library see it."""

    image: Tensor
    boxes: Float[Tensor, "G 4"]
    overlap: Float[Tensor, "A H W"]
    positive: Bool[Tensor, "A H W"]
    library: Float[Tensor, "A H W"]
    owner: Int[Tensor, "A H W"]
    """The object that each anchor belongs to, by the library; -1 where nobody."""
    threshold: float


def examine(
    letter: str, boxes: Float[Tensor, "G 4"], image: Tensor, shapes: Float[Tensor, "A 2"], threshold: float = 0.5
) -> Maps:
    """Maps of a patient that is an assigner; objects of one class in a picture of 8 px cells."""
    rows, columns = image.shape[1] // 8, image.shape[2] // 8
    overlap, positive = ASSIGNERS[letter](shapes, rows, columns, boxes, threshold)
    labels = torch.zeros(len(boxes), dtype=torch.int64)
    library = assign(shapes[None], (rows, columns), boxes, labels)
    return Maps(image, boxes, overlap, positive, library.overlap[0, 0], library.object_index[0, 0], threshold)


def people(situation: str) -> tuple[Tensor, Float[Tensor, "G 4"]]:
    """A picture and the boxes of its people."""
    image, target = render_situation(situation)
    boxes, labels, _ = flatten_targets([target])
    return torch.as_tensor(image), boxes[labels == 0]


def peaks(maps: Maps) -> list[float]:
    """The largest O of the patient in each object's cluster; the library says which anchors these are."""
    return [maps.overlap[maps.owner == n].max().item() for n in range(len(maps.boxes))]


def displacement(maps: Maps) -> tuple[float, float]:
    """(x, y) in pixels by which the patient's map lies beside the library's. Every object counts the same: each is
    scaled by its own peak first, or a map that is darker on one side would seem to be moved to the other."""
    scaled = maps.overlap.clone()
    for n, peak in enumerate(peaks(maps)):
        scaled[maps.owner == n] /= peak
    (x, y), (library_x, library_y) = map(_centre_of_mass, (scaled, maps.library))
    return x - library_x, y - library_y


def _centre_of_mass(overlap: Float[Tensor, "A H W"]) -> tuple[float, float]:
    """(x, y) in pixels of a map, as if the cells' centres carried it."""
    weight = overlap.amax(0)
    y, x = torch.meshgrid(*((torch.arange(n) + 0.5) * 8 for n in weight.shape), indexing="ij")
    return ((weight * x).sum() / weight.sum()).item(), ((weight * y).sum() / weight.sum()).item()


class Suppressed(NamedTuple):
    """What is left of the detections after suppression."""

    boxes: Float[Tensor, "D 4"]
    scores: Float[Tensor, " D"]
    labels: Int[Tensor, " D"]
    patient: list[int]
    library: list[int]


def rider() -> Suppressed:
    """Five detections of somebody on a bicycle, with a second person beside, and what B and the library keep."""
    boxes = torch.tensor(
        [[80.0, 40, 130, 170], [78, 60, 134, 176], [82, 42, 131, 168], [150, 60, 190, 170], [79, 62, 135, 178]]
    )
    scores, labels = torch.tensor([0.9, 0.85, 0.6, 0.8, 0.5]), torch.tensor([0, 2, 0, 0, 2])
    kept = patients.nms_b(boxes, scores, labels, 0.5)
    library = batched_nms(boxes, scores, labels, 0.5)
    return Suppressed(boxes, scores, labels, sorted(kept.tolist()), sorted(library.tolist()))


def weight_course(steps: int = 100, seen: int = 10, rate: float = 0.05) -> dict[str, list[float]]:
    """s of a slot that has a positive in the first steps only: as C moves it, and held."""
    courses: dict[str, list[float]] = {"C": [1.0], "held": [1.0]}
    s, velocity, held = torch.ones(1), torch.zeros(1), torch.ones(1)
    for step in range(steps):
        has = step < seen
        gradient = torch.full((1,), 0.4 if has else 0.0)
        s, velocity = patients.update_c(s, gradient, velocity, rate)
        held = held - rate * gradient if has else held
        courses["C"].append(s.item())
        courses["held"].append(held.item())
    return courses


class Course(NamedTuple):
    """Of a small training: the loss, and the mean predicted IoU, after each step."""

    loss: list[float]
    fit: list[float]


def small_training(loss: Callable[..., Tensor], steps: int = 200, rate: float = 0.1) -> Course:
    """Six anchors of one object, with scores and fits that gradient descent may choose freely."""
    overlap = torch.tensor([1.0, 0.9, 0.8, 0.7, 0.6, 0.55])
    score = torch.full((6,), -3.0, requires_grad=True)
    raw = torch.full((6,), 0.4, requires_grad=True)  # predicted IoU = sigmoid(raw), 0.6 at first
    found = Course([], [])
    optimizer = torch.optim.SGD([score, raw], lr=rate)
    for _ in range(steps):
        fit = raw.sigmoid()
        value = loss(score, overlap, fit)
        found.loss.append(value.item())
        found.fit.append(fit.mean().item())
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return found


def source(letter: str) -> str:
    """The code of a patient."""
    (function,) = [
        value
        for name, value in vars(patients).items()
        if callable(value) and name.endswith(f"_{letter.lower()}") and value.__module__ == patients.__name__
    ]
    return inspect.getsource(function).rstrip()
