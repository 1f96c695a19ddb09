"""An exported detector in onnxruntime beside the same one in PyTorch: image in, detections out, on as many threads."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path

import lapnet_core
from lapnet_core.bench.line import Line
from lapnet_core.data import Detection
from lapnet_core.deploy.export import to_onnx
from lapnet_core.detector import Detector
from lapnet_core.scenes import Scenes

MODEL = Path(lapnet_core.__file__).parent / "assets" / "models" / "scenes.safetensors"
SCORE = 1e-4
"""By how much a score may differ."""


def lines(quick: bool) -> Iterator[Line]:
    """The light detector that ships, at the 192 px that it was trained at, and at 512 px.

    Raises:
        ModuleNotFoundError: a package of the extra "export" is not installed.
    """
    for package in ("onnx", "onnxruntime", "onnxscript"):
        import_module(package)
    for side in (192,) if quick else (192, 512):
        detector = replace(Detector.load(MODEL), image_size=(side, side))
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "scenes.onnx"
            file.write_bytes(to_onnx(detector))
            exported = Detector.load(file)
        image, _ = Scenes(1, size=(side, side), split="test")[0]
        for threshold in (0.3, 0.001):  # as `lapnet predict` and `lapnet evaluate` ask
            ours, other = (one.predict(image, score_threshold=threshold) for one in (exported, detector))
            check_same(ours, other)
            yield Line(
                f"onnxruntime, light, {side} px, scores above {threshold}",
                f"PyTorch, the same {len(other['scores'])} detections",
                partial(exported.predict, image, score_threshold=threshold),
                partial(detector.predict, image, score_threshold=threshold),
                repeats=15 if quick else 31,
            )


def check_same(ours: Detection, other: Detection) -> None:
    """ValueError where two do not find the same: their scores, but for the weakest, which may be suppressed or not as
    the last digit falls."""
    a, b = ours["scores"], other["scores"]
    most = len(b) - len(b) // 20
    if abs(len(a) - len(b)) > len(b) // 20 or bool(((a[:most] - b[:most]).abs() > SCORE).any()):
        raise ValueError(f"onnxruntime and PyTorch disagree: {len(a)} and {len(b)} detections")
