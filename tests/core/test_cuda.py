"""The same numbers on CUDA as on the CPU. Runs where there is a GPU."""

import pytest
import torch

from lapnet_core.assign import assign
from lapnet_core.losses import LapNetLoss
from lapnet_core.predict import detect

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")


def batch(device):
    generator = torch.Generator().manual_seed(0)
    shapes = torch.rand(5, 4, 2, generator=generator) * 100 + 8
    corner = torch.rand(40, 2, generator=generator) * 100
    boxes = torch.cat((corner, corner + torch.rand(40, 2, generator=generator) * 50 + 1), 1)
    boxes[20] = boxes[3]  # one rescue at least
    labels, images = torch.randint(0, 5, (40,), generator=generator), torch.arange(40) // 10
    labels[20], images[20] = labels[3], images[3]
    scores = torch.randn(4, 5, 4, 16, 16, generator=generator)
    offsets = torch.randn(4, 5, 4, 4, 16, 16, generator=generator) * 0.3
    return [x.to(device) for x in (shapes, boxes, labels, images, scores, offsets)]


def results(device):
    shapes, boxes, labels, images, scores, offsets = batch(device)
    assignment = assign(shapes, (16, 16), boxes, labels, images, 4)
    targets = [
        {
            "boxes": boxes[images == b],
            "labels": labels[images == b],
            "difficult": torch.zeros(int((images == b).sum()), dtype=torch.bool, device=device),
            "image_id": b,
            "original_size": (128, 128),
        }
        for b in range(4)
    ]
    scores.requires_grad_()
    terms = LapNetLoss(5, 4).to(device)(scores, offsets, shapes, targets)
    terms.total.backward()
    found = detect(scores.detach(), offsets, shapes)
    return [
        assignment.overlap,
        assignment.object_index,
        terms.total,
        scores.grad,
        found[0]["boxes"],
        found[0]["scores"],
    ]


def test_cuda_gives_the_numbers_of_the_cpu():
    for cpu, cuda in zip(results("cpu"), results("cuda"), strict=True):
        torch.testing.assert_close(cuda.cpu(), cpu, rtol=1e-4, atol=1e-5)
