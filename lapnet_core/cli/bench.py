"""`lapnet bench`."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Bench:
    """Speed of inference on this machine: LapNet's network, and detections from its outputs."""

    backbone: str = "light"
    image_size: tuple[int, int] = (512, 512)
    """(height, width) of the network input in pixels."""
    num_classes: int = 20
    repeats: int = 5
    device: str = "auto"

    def run(self, given: Sequence[str]) -> int:
        import torch

        from lapnet_core.inputs import check_number
        from lapnet_core.model import LapNet
        from lapnet_core.predict import detect
        from lapnet_core.processes import pick_device
        from lapnet_core.timing import seconds_each

        check_number("--num-classes", self.num_classes, 1, whole=True)
        check_number("--repeats", self.repeats, 1, whole=True)
        device = pick_device(self.device)
        model = LapNet(self.num_classes, backbone=self.backbone).to(device).to(memory_format=torch.channels_last).eval()
        images = torch.zeros(1, 3, *self.image_size, device=device).contiguous(memory_format=torch.channels_last)
        shapes = torch.full((self.num_classes, model.per_class, 2), 32.0, device=device)
        with torch.no_grad():
            scores, offsets = model(images)
            network = seconds_each(lambda: model(images), repeats=self.repeats)
            post = seconds_each(lambda: detect(scores, offsets, shapes), repeats=self.repeats)
        size = "x".join(map(str, self.image_size))
        print(f"{self.backbone} {size}, {self.num_classes} classes, {device}, median of {self.repeats}")
        print(f"network {network * 1e3:.1f} ms, detections {post * 1e3:.1f} ms, {1 / (network + post):.1f} images/s")
        return 0
