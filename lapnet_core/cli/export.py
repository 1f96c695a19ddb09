"""`lapnet export`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import FlagCreatePairsOff


@dataclass(frozen=True)
class Export:
    """A trained model as one file for other runtimes, image in, detections out: ONNX, or TorchScript.

    The file takes uint8 RGB images [batch, 3, height, width]; the normalisation is inside. It gives boxes (xyxy in
    their pixels), scores, labels and the image that each belongs to; class names and anchors are in its metadata, as
    JSON under "lapnet". `lapnet predict` and `lapnet evaluate` take an ONNX file as they take any model.
    """

    model: Annotated[Path, tyro.conf.Positional]
    """model.safetensors, best.safetensors, or the run folder that holds the first."""
    format: Literal["onnx", "torchscript"] = "onnx"
    """TorchScript is a program: for your own use where torch is, and not read by lapnet."""
    out: Path | None = None
    """File to write; a name that is taken gets a number. Left out: the model's name, in this folder."""
    image_size: tuple[int, int] | None = None
    """(height, width) of the images in pixels, multiples of 32. Left out: as the model was trained."""
    raw: Annotated[bool, FlagCreatePairsOff] = False
    """Without suppression: boxes, scores and labels of the best candidates of each image, outputs of fixed shape, for
    runtimes that suppress themselves."""
    half: Annotated[bool, FlagCreatePairsOff] = False
    """Weights of convolutions as float16: half the file, detections hardly differ (ONNX only)."""

    def run(self, given: Sequence[str]) -> int:
        from lapnet_core.deploy.export import to_onnx, to_torchscript
        from lapnet_core.detector import Detector
        from lapnet_core.files import check_writable, write_new, wrote

        onnx, suffix = self.format == "onnx", f".{self.format}"
        if self.half and not onnx:
            raise ValueError("--half is for --format onnx")
        model = self.model.resolve()
        out = self.out or Path(f"{model.name if model.is_dir() else model.stem}{suffix}")
        if onnx != (out.suffix.lower() == ".onnx"):
            must = "must" if onnx else "of TorchScript must not"
            raise ValueError(f"--out {out}: the name {must} end in .onnx, by which lapnet and others know such a file")
        detector = Detector.load(self.model)
        if self.image_size is not None:
            detector = replace(detector, image_size=self.image_size)
        check_writable(out)
        content = to_onnx(detector, self.raw, self.half) if onnx else to_torchscript(detector, self.raw)
        written = write_new(out, lambda part: part.write_bytes(content))
        size = "x".join(map(str, detector.image_size))
        print(f"{wrote(out, written)}, {len(content) / 1e6:.1f} MB: {size} px, {', '.join(detector.class_names)}")
        loading = f'import torch, torchvision; model = torch.jit.load("{written}")'
        print("next:", f"lapnet predict {written} IMAGES" if onnx else loading)
        return 0
