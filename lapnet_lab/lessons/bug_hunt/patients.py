"""Six patients. Each has one fault that somebody has really shipped; the functions are written as their authors would
have written them, with honest names and no comment at the fault. `study` has the healthy ones beside them.

Readers of this file know the answers.
"""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits
from torchvision.ops import box_iou
from torchvision.ops import nms as torchvision_nms


def assigner_a(shapes: Tensor, rows: int, columns: int, boxes: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    y = (torch.arange(rows) + 0.5) * 8
    x = (torch.arange(columns) + 0.5) * 8
    y, x = torch.meshgrid(y, x, indexing="ij")
    center = torch.stack([x, y], dim=-1)
    half = shapes[:, None, None] / 2
    anchors = torch.cat([center - half, center + half], dim=-1)
    best = box_iou(boxes, anchors.reshape(-1, 4)).amax(0)
    overlap = best / best.max()
    overlap = overlap.reshape(anchors.shape[:3])
    return overlap, overlap > threshold


def nms_b(boxes: Tensor, scores: Tensor, labels: Tensor, threshold: float) -> Tensor:
    order = scores.argsort(descending=True)
    boxes, labels = boxes[order], labels[order]
    keep = torchvision_nms(boxes, scores[order], threshold)
    return order[keep]


def update_c(s: Tensor, gradient: Tensor, velocity: Tensor, rate: float) -> tuple[Tensor, Tensor]:
    # The gradient of a slot without a positive is exactly 0.
    velocity = 0.9 * velocity + gradient
    return s - rate * velocity, velocity


def assigner_d(shapes: Tensor, rows: int, columns: int, boxes: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    y = (torch.arange(rows) + 0.5) * 8
    x = (torch.arange(columns) + 0.5) * 8
    y, x = torch.meshgrid(y, x, indexing="ij")
    center = torch.stack([x, y], dim=-1)
    half = shapes[:, None, None] / 2
    anchors = torch.cat([center - half, center + half], dim=-1)
    best, owner = box_iou(boxes, anchors.reshape(-1, 4)).max(0)
    peak = torch.stack([best[owner == n].max() for n in range(len(boxes))])
    overlap = (best / peak[owner]).reshape(anchors.shape[:3])
    return overlap, overlap > 0.5


def loss_e(score: Tensor, overlap: Tensor, predicted_iou: Tensor) -> Tensor:
    localisation = ((1 - predicted_iou) ** 2).mean()
    label = overlap * predicted_iou
    classification = binary_cross_entropy(score.sigmoid(), label.clamp(0, 1))
    return localisation + 4 * classification


def assigner_f(shapes: Tensor, rows: int, columns: int, boxes: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    y = torch.arange(rows) * 8.0
    x = torch.arange(columns) * 8.0
    y, x = torch.meshgrid(y, x, indexing="ij")
    center = torch.stack([x, y], dim=-1)
    half = shapes[:, None, None] / 2
    anchors = torch.cat([center - half, center + half], dim=-1)
    best, owner = box_iou(boxes, anchors.reshape(-1, 4)).max(0)
    peak = torch.stack([best[owner == n].max() for n in range(len(boxes))])
    overlap = (best / peak[owner]).reshape(anchors.shape[:3])
    return overlap, overlap > threshold


def healthy_loss(score: Tensor, overlap: Tensor, predicted_iou: Tensor) -> Tensor:
    """As `loss_e`, with the label of AMS (eq. 3)."""
    localisation = ((1 - predicted_iou) ** 2).mean()
    label = (overlap * predicted_iou.detach() > 0.5).float()
    return localisation + 4 * binary_cross_entropy_with_logits(score, label)
