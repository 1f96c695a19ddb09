"""A detector that `deploy.export` wrote as ONNX, behind the seam: `Detector` runs it as it runs any method.

A file of a stranger is data. What it may hold is checked before anything is run: plain operators of ONNX, no other
libraries' ones, no loops or functions, and no tensor that lies in another file, which would be read into the graph. It
may still ask for more memory or time than there is.
"""

import json
import os
import warnings
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import torch
from jaxtyping import Float
from torch import Tensor

from lapnet_core.data.transforms import denormalize
from lapnet_core.data.types import Detection
from lapnet_core.inputs import check_number, check_size, check_thresholds, shown
from lapnet_core.method import Losses, Method
from lapnet_core.predict import suppress

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
"""From 1.29 on onnxruntime tells its maker of each model that it loads, unless this is set before it is imported."""
KEY = "lapnet"
"""Where an exported file keeps what is to be known of it, as JSON."""
OPTIONS = ("score_threshold", "nms_iou", "candidates", "max_detections")
"""Of `Method.detect`."""
DETECTIONS, CANDIDATES = ("boxes", "scores", "labels", "image_index"), ("boxes", "scores", "labels")
"""Outputs of a file, and of one that is raw."""


def load_package(name: str) -> Any:
    """A package of the extra "export"; ValueError, with what helps, where it is not installed."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ValueError(f"ONNX needs {name} ({error}); pip install 'lapnet-core[export]'") from error


class ExportedMethod(Method):
    """Detections by onnxruntime. It cannot be trained, or saved another time.

    Args:
        session: onnxruntime's.
        about: the file's, checked.
        source: the file, for messages.
    """

    name = "exported"

    def __init__(self, session: Any, about: dict[str, Any], source: str) -> None:
        super().__init__()
        self.session, self.told, self.source = session, about, source

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")  # what goes in and comes out

    @classmethod
    def create(cls, *_: Any, **__: Any) -> NoReturn:
        raise ValueError("an exported model cannot be trained")

    @classmethod
    def restore(cls, about: dict[str, Any]) -> NoReturn:
        raise ValueError("an exported model is read from its own file")

    def loss(self, images: Tensor, targets: Sequence[Any]) -> Losses:
        raise ValueError(f"{self.source} is exported and has no loss; train the model that it was made of")

    def state_dict(self, *_: Any, **__: Any) -> NoReturn:
        raise ValueError(f"{self.source} is exported and not written again: copy the file")

    def about(self) -> dict[str, Any]:
        return self.told["about"]

    def detect(self, images: Float[Tensor, "B 3 height width"], **options: float) -> list[Detection]:
        """See `Method.detect`. The file takes whole pixel values: images that were no uint8 images are rounded.

        Raises:
            TypeError: an option of another name.
            ValueError: an option out of its range, or more candidates than the file gives; the file gives something
                else than detections, or what is not finite.
        """
        if unknown := set(options) - set(OPTIONS):
            raise TypeError(f"{self.source} knows no option {', '.join(sorted(unknown))}")
        used: Any = self.told["options"] | options
        check_thresholds(**used)
        if used["candidates"] > self.told["options"]["candidates"]:
            most = self.told["options"]["candidates"]
            raise ValueError(f"candidates: {self.source} gives the best {most} of an image, not {used['candidates']}")
        pixels = denormalize(images.cpu()).contiguous()
        found = list(self._of_candidates(pixels, **used) if self.told["raw"] else self._of_detections(pixels, **used))
        if any(not bool(one[name].isfinite().all()) for one in found for name in ("boxes", "scores")):
            raise ValueError(f"{self.source}: detections are not finite: the model is damaged")
        return found

    def _of_detections(self, pixels: Tensor, **options: Any) -> Iterator[Detection]:
        kinds = {name: torch.float32 if name in ("score_threshold", "nms_iou") else torch.int64 for name in OPTIONS}
        given = {name: torch.tensor([value], dtype=kinds[name]).numpy() for name, value in options.items()}
        boxes, scores, labels, image_index = self._run(DETECTIONS, pixels, given)
        self._check(image_index, len(pixels), "image_index")
        for n in range(len(pixels)):
            own = image_index == n
            yield Detection(boxes=boxes[own], scores=scores[own], labels=labels[own])

    def _of_candidates(
        self, pixels: Tensor, score_threshold: float, nms_iou: float, candidates: int, max_detections: int
    ) -> Iterator[Detection]:
        outputs = self._run(CANDIDATES, pixels, {})
        if len(outputs[0]) != len(pixels):
            raise ValueError(f"{self.source}: {len(pixels)} images went in, {len(outputs[0])} came out")
        for boxes, scores, labels in zip(*(output[:, :candidates] for output in outputs), strict=True):
            passing = (scores <= score_threshold).logical_not_()  # not >: nan passes
            size = (pixels.shape[2], pixels.shape[3])
            yield suppress(boxes[passing], scores[passing], labels[passing], size, nms_iou, max_detections)

    def _run(self, names: Sequence[str], pixels: Tensor, options: dict[str, Any]) -> list[Tensor]:
        """Outputs by name, of the dtype and shape that is due; labels are those of classes."""
        try:
            results = self.session.run(list(names), {"images": pixels.numpy(), **options})
        except Exception as error:  # onnxruntime has exceptions of its own, one a status
            raise ValueError(f"{self.source} cannot be run: {shown(str(error))}") from error
        outputs, shape = [torch.from_numpy(result) for result in results], results[1].shape
        for name, output in zip(names, outputs, strict=True):
            dtype = torch.float32 if name in ("boxes", "scores") else torch.int64
            wanted = (*shape, 4) if name == "boxes" else shape
            if output.dtype != dtype or output.shape != wanted or len(shape) != 1 + self.told["raw"]:
                raise ValueError(f"{self.source}: {name} came as {output.dtype} of shape {tuple(output.shape)}")
        self._check(outputs[2], self.told["about"]["num_classes"], "labels")
        return outputs

    def _check(self, values: Tensor, count: int, name: str) -> None:
        if values.numel() and not 0 <= int(values.min()) <= int(values.max()) < count:
            raise ValueError(f"{self.source}: {name} are not all in 0..{count - 1}")


def read_exported(
    path: Path, device: str | torch.device = "cpu"
) -> tuple[ExportedMethod, tuple[str, ...], tuple[int, int]]:
    """What `Detector` takes, of a file that `export.to_onnx` wrote. It runs on the processor; where the device is
    another one, a warning says so.

    Raises:
        Exception: nearly any, where the file is something else; `Detector.load` tells it with the file's name.
        ValueError: onnx or onnxruntime is not installed.
    """
    onnx, runtime = load_package("onnx"), load_package("onnxruntime")
    if torch.device(device).type != "cpu":
        warnings.warn(f"{path} runs on the processor, not on {device}", stacklevel=3)
    model = onnx.load_model_from_string(path.read_bytes())
    told = _about({entry.key: entry.value for entry in model.metadata_props})
    check_plain(onnx, model)
    del model.metadata_props[:]  # onnxruntime can be told to take settings from them
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
    # Of the graph that was checked, not of the file's bytes, which another reader might take for something else.
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    size = told["image_size"]
    form = [(value.name, value.type, value.shape[1:]) for value in session.get_inputs()]
    if form != [("images", "tensor(uint8)", [3, *size])]:
        raise ValueError(f"it takes {shown(form)}, not images of {size[0]}x{size[1]} px")
    if missing := set(CANDIDATES if told["raw"] else DETECTIONS) - {value.name for value in session.get_outputs()}:
        raise ValueError(f"it gives no {', '.join(sorted(missing))}")
    return ExportedMethod(session, told, str(path)), tuple(told["class_names"]), (size[0], size[1])


def _about(properties: dict[str, str]) -> dict[str, Any]:
    """The file's metadata, of the kinds that are due; `Detector` checks names and size further."""
    if KEY not in properties:
        raise ValueError("it is ONNX, but `lapnet export` did not write it: its metadata say nothing of classes")
    told = json.loads(properties[KEY])
    kinds = {"about": dict, "class_names": list, "image_size": list, "raw": bool, "options": dict}
    for name, kind in kinds.items():
        if not isinstance(told, dict) or not isinstance(told.get(name), kind):
            raise ValueError(f"its metadata have no {name}")
    check_size("image_size", told["image_size"], 32)
    if set(told["options"]) != set(OPTIONS):
        raise ValueError(f"its metadata have the options {shown(list(told['options']))}")
    check_thresholds(**told["options"])
    if unusable := [name for name in told["class_names"] if not isinstance(name, str) or not name.isprintable()]:
        raise ValueError(f"class names must be printable text, not {shown(unusable)}")
    check_number("num_classes", told["about"].get("num_classes"), 1, whole=True)
    return told


def check_plain(onnx: Any, model: Any) -> None:
    """ValueError unless a model is one graph of ONNX's own operators with all its tensors in it, finite: nothing in it
    can reach for a file or a library, or go round in a loop."""
    graphs = 0
    for part in _parts(model):
        kind = type(part).__name__
        graphs += kind == "GraphProto"
        if graphs > 1 or kind in ("FunctionProto", "TrainingInfoProto"):
            raise ValueError("it holds loops, branches or functions, which no exported detector has")
        if kind == "NodeProto" and part.domain not in ("", "ai.onnx"):
            raise ValueError(f"it asks for the operators {shown(part.domain)}, which are not ONNX's own")
        if kind == "TensorProto" and (part.data_location or part.external_data):
            raise ValueError(f"its tensor {shown(part.name)} lies in another file, which is not read")
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype.kind == "f" and not bool(torch.from_numpy(values.copy()).isfinite().all()):
            raise ValueError(f"its {shown(tensor.name)} is not finite")


def _parts(message: Any) -> Iterator[Any]:
    """A message of protobuf and all in it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in [value] if hasattr(value, "ListFields") else value:
                yield from _parts(inner)
