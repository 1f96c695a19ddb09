"""The speed of one network on this machine."""

import torch

from lapnet_core.bench.table import counted
from lapnet_core.detector import Detector
from lapnet_core.method import LapNetMethod
from lapnet_core.model import LapNet
from lapnet_core.predict import detect
from lapnet_core.timing import machine_name, seconds_each


def untrained(backbone: str, num_classes: int, image_size: tuple[int, int], device: torch.device) -> Detector:
    """A LapNet that has learned nothing, which takes as long as one that has."""
    model = LapNet(num_classes, backbone=backbone)
    method = LapNetMethod(model, torch.full((num_classes, model.per_class, 2), 32.0))
    return Detector(method.to(device).eval(), tuple(map(str, range(num_classes))), image_size)


def speed(detector: Detector, repeats: int) -> str:
    """Time of an image from the network's input to its detections, and images per second."""
    method, size, device = detector.method, detector.image_size, detector.device
    method.to(memory_format=torch.channels_last)
    images = torch.randn(1, 3, *size, device=device).contiguous(memory_format=torch.channels_last)
    if isinstance(method, LapNetMethod):
        scores, offsets = method.outputs(images)
        network = seconds_each(lambda: method.outputs(images), repeats=repeats)
        found = seconds_each(lambda: detect(scores, offsets, method.shapes), repeats=repeats)
        told, whole = f"network {1e3 * network:.1f} ms, detections {1e3 * found:.1f} ms, together ", network + found
    else:
        told, whole = "", seconds_each(lambda: method.detect(images), repeats=repeats)
    where = machine_name(device.type)
    if device.type == "cpu":
        where += f", {counted(torch.get_num_threads(), 'thread')}"
    about = f"{'x'.join(map(str, size))}, {len(detector.class_names)} classes; {where}; median of {repeats}"
    return f"{about}\n{told}{1e3 * whole:.1f} ms an image, {1 / whole:.1f} images/s"
