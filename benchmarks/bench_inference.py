"""Inference at 512 px, one image, from pixels to detections: LapNet beside torchvision's RetinaNet with ResNet-50.

Random weights, since the time does not depend on them; both classify 80 classes and suppress overlaps. The ratios are
of one process, and are what to quote.
"""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.detection import retinanet_resnet50_fpn

from lapnet_core.model import LapNet
from lapnet_core.predict import detect
from lapnet_core.timing import seconds_each

CLASSES, SIZE = 80, 512


class LapNetDetections(nn.Module):
    """Network and detections in one call, as torchvision's detectors are."""

    def __init__(self, backbone: str) -> None:
        super().__init__()
        self.network = LapNet(CLASSES, backbone=backbone)
        self.shapes = torch.rand(CLASSES, 10, 2) * 200 + 8

    def forward(self, images: torch.Tensor) -> object:
        """Detections of a batch."""
        scores, offsets = self.network(images)
        return detect(scores, offsets, self.shapes, score_threshold=0.05)  # RetinaNet's default


@torch.no_grad()
def main() -> None:
    torch.manual_seed(0)
    images = torch.rand(1, 3, SIZE, SIZE)
    retinanet = retinanet_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=CLASSES, min_size=SIZE, max_size=SIZE
    )
    models = {
        "RetinaNet, ResNet-50 (torchvision)": retinanet,
        "LapNet, DarkNet-53": LapNetDetections("darknet53"),
        "LapNet, light": LapNetDetections("light"),
    }
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, {SIZE} px, {CLASSES} classes")
    reference = 0.0
    for name, model in models.items():
        model.eval()
        with FlopCounterMode(display=False) as counter:
            model(images)
        seconds = seconds_each(lambda model=model: model(images), repeats=5)
        reference = reference or seconds
        macs = counter.get_total_flops() / 2e9
        print(f"{name:36} {seconds * 1e3:7.0f} ms  {macs:6.1f} GMAC  {seconds / reference:5.2f} times RetinaNet's time")


if __name__ == "__main__":
    main()
