"""A trained detector as one file for other runtimes: images in, detections out. ONNX, or TorchScript.

The file takes `images`, uint8 [batch, 3, height, width], RGB as they are: the normalisation is inside, so that nobody
can get it wrong, and the type refuses floats, of which 0..1 and 0..255 cannot be told apart. The batch is of any size,
height and width are those of the detector. Boxes are `xyxy` in pixels of these images, clipped to them. It gives

- detections: boxes (D, 4), scores (D,), labels (D,), image_index (D,), image after image, best first: what is found in
  a batch, without padding, as ONNX's own NonMaxSuppression has it; or
- `raw`: boxes [batch, K, 4], scores [batch, K], labels [batch, K], the best K candidates of each image before
  suppression, best first: for runtimes that bring their own, or that want outputs of fixed shape. All anchors, as other
  detectors export them, would be 3.28 million boxes for COCO at 512 px; suppression looks at the best few thousand of
  them. A candidate that lies outside of the image altogether has score 0.

Whatever cannot be computed (a damaged model) comes out as a score that is nan, never as "nothing found".
"""

import copy
import io
import json
import warnings
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from types import ModuleType
from typing import Any, no_type_check
from zipfile import ZipFile

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.jit._trace import TracerWarning
from torchvision.ops import batched_nms

from lapnet_core import __version__
from lapnet_core.boxes import STRIDE, decode
from lapnet_core.data.transforms import MEANS, STDS
from lapnet_core.deploy.exported import KEY, OPTIONS, load_package
from lapnet_core.detector import Detector
from lapnet_core.method import LapNetMethod, Method
from lapnet_core.peers import yolov3
from lapnet_core.peers.peer import Peer
from lapnet_core.predict import detect

Best = tuple[Float[Tensor, "B K 4"], Float[Tensor, "B K"], Int[Tensor, "B K"]]
"""Boxes, probabilities and labels of the candidates of each image, best first; the boxes not clipped yet."""


class Candidates(nn.Module):
    """What a method has for each image before suppression, for a batch at once: no loop over images, no shape that
    depends on values, so that it is one graph. `best` is the method's own.

    Args:
        method: on the CPU, in evaluation mode.
        image_size: (height, width) in pixels.
    """

    mean: Tensor
    std: Tensor
    of_four: Tensor

    def __init__(self, method: Any, image_size: tuple[int, int], count: int) -> None:
        super().__init__()
        self.method, self.image_size, self.count = method, image_size, count
        for name, value in (("mean", MEANS), ("std", STDS)):
            self.register_buffer(name, value.clone())
        self.register_buffer("of_four", torch.arange(4))

    @abstractmethod
    def best(self, images: Float[Tensor, "B 3 height width"]) -> Best:
        """The best `count` candidates, fewer where there are no more, of normalised images."""

    def forward(self, images: UInt8[Tensor, "B 3 height width"]) -> Best:
        boxes, scores, labels = self.best((images.float() * (1 / 255) - self.mean) / self.std)  # as `eval_transform`
        height, width = self.image_size
        clipped = boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)
        boxes = torch.stack(clipped, -1).flatten(-2)
        return boxes, scores * (boxes[..., 2:] > boxes[..., :2]).all(-1), labels


class LapNetCandidates(Candidates):
    """As `predict.detect` takes them."""

    def best(self, images: Float[Tensor, "B 3 height width"]) -> Best:
        scores, offsets = self.method.model(images)
        _, _, anchors, height, width = scores.shape
        cells, logits = height * width, scores.flatten(1)
        best, index = logits.topk(min(self.count, logits.shape[1]))
        slot, cell = index // cells, index % cells
        places = (slot * (4 * cells) + cell)[..., None] + self.of_four * cells
        chosen = offsets.flatten(1).gather(1, places.flatten(1)).view(-1, 4)
        shapes = self.method.shapes.flatten(0, 1)[slot.flatten()]
        boxes = decode(chosen, shapes, cell.flatten() // width, cell.flatten() % width, STRIDE).view(*best.shape, 4)
        damage = 0 * (logits.sum(1, keepdim=True) + chosen.view_as(boxes).sum(-1))  # 0, or nan
        return boxes, best.sigmoid() + damage, slot // anchors


class YOLOv3Candidates(Candidates):
    """As `YOLOv3Method.found` takes them."""

    corner: Tensor
    stride: Tensor
    anchor: Tensor

    def __init__(self, method: Any, image_size: tuple[int, int], count: int) -> None:
        super().__init__(method, image_size, count)
        for name, value in yolov3.slots(method.shapes, image_size)._asdict().items():
            self.register_buffer(name, value, persistent=False)

    def best(self, images: Float[Tensor, "B 3 height width"]) -> Best:
        raw, classes = self.method.raw(images), self.method.num_classes
        probability = (raw[..., 4:5].sigmoid() * raw[..., 5:].sigmoid()).flatten(1)
        best, index = probability.topk(min(self.count, probability.shape[1]))
        slot = index // classes
        said = raw[..., :4].gather(1, slot[..., None].expand(-1, -1, 4))
        boxes = yolov3.decode(said, yolov3.Slots(self.corner[slot], self.stride[slot], self.anchor[slot]))
        return boxes, best + 0 * (probability.sum(1, keepdim=True) + said.sum(-1)), index % classes


CANDIDATES: dict[str, type[Candidates]] = {"lapnet": LapNetCandidates, "yolov3": YOLOv3Candidates}
"""What can be exported, by the name of the method."""


def candidates_of(detector: Detector) -> Candidates:
    """The graph up to suppression.

    Raises:
        ValueError: the method is none of `CANDIDATES`, by its name.
    """
    name = detector.method.name
    if name not in CANDIDATES:
        if name == "exported":
            raise ValueError("this model is exported already: take the one that it was made of")
        raise ValueError(f"{name} cannot be exported: it works image by image; {' and '.join(CANDIDATES)} can")
    method = copy.deepcopy(detector.method).cpu().eval().requires_grad_(False)
    return CANDIDATES[name](method, detector.image_size, int(options_of(method)["candidates"])).eval()


def options_of(method: Method) -> dict[str, float]:
    """The options of `Method.detect` with their defaults."""
    if isinstance(method, LapNetMethod):
        return {name: signature(detect).parameters[name].default for name in OPTIONS}
    assert isinstance(method, Peer)
    return dict(method.options)


def about(detector: Detector, raw: bool) -> dict[str, Any]:
    """What is written with an exported detector, plain values: one JSON text under the key "lapnet"."""
    method: Any = detector.method
    return {
        "version": __version__,
        "method": method.name,
        "about": method.about(),
        "class_names": detector.class_names,
        "image_size": detector.image_size,
        "anchors": method.shapes.tolist(),
        "raw": raw,
        "options": options_of(method),
    }


SUPPRESSION = """suppression (
  float[batch, K, 4] all_boxes, float[batch, K] all_scores, int64[batch, K] all_labels,
  float[1] score_threshold, float[1] nms_iou, int64[1] candidates, int64[1] max_detections, int64[C, 1] classes
) => (float[D, 4] boxes, float[D] scores, int64[D] labels, int64[D] image_index) {
  zero = Constant <value_int = 0> ()
  one = Constant <value_int = 1> ()
  first = Constant <value_ints = [0]> ()
  second = Constant <value_ints = [1]> ()
  image_and_candidate = Constant <value_ints = [0, 2]> ()
  never = Constant <value_float = -1.0> ()
  always = Constant <value_float = 2.0> ()
  size = Shape (all_scores)
  count = Gather (size, one)
  rank = Range (zero, count, one)
  considered = Less (rank, candidates)
  damaged = IsNaN (all_scores)
  told = Where (damaged, always, all_scores)
  rated = Where (considered, told, never)
  label = Unsqueeze (all_labels, second)
  own = Equal (label, classes)
  score = Unsqueeze (rated, second)
  by_class = Where (own, score, never)
  picked = NonMaxSuppression (all_boxes, by_class, max_detections, nms_iou, score_threshold)
  place = Gather <axis = 1> (picked, image_and_candidate)
  length = Shape <end = 1> (picked)
  ones = ConstantOfShape <value = int64[1] {1}> (length)
  zeros = ConstantOfShape <value = int64[1] {0}> (size)
  kept = ScatterND (zeros, place, ones)
  number = CumSum (kept, one)
  few = LessOrEqual (number, max_detections)
  is_kept = Cast <to = 9> (kept)
  given = And (is_kept, few)
  axes_first = NonZero (given)
  found = Transpose <perm = [1, 0]> (axes_first)
  boxes = GatherND (all_boxes, found)
  scores = GatherND (all_scores, found)
  labels = GatherND (all_labels, found)
  image = Gather <axis = 1> (found, first)
  image_index = Squeeze (image, second)
}"""
"""`predict.suppress` for a batch, of candidates that come best first, as ONNX writes it. Each class has its own scores,
those of other classes lie below every threshold, so that no box has to be moved out of another class's way. What stays
is marked in its place, so that it comes out image after image and best first. The options are inputs that may be left
out."""


def to_onnx(detector: Detector, raw: bool = False, half: bool = False) -> bytes:
    """A detector as an ONNX file, see the top of this file. Options of detections, `score_threshold`, `nms_iou`,
    `candidates` and `max_detections`, are inputs of shape (1,) that may be left out.

    Args:
        raw: candidates instead of detections.
        half: weights of convolutions as float16, half the size; computed in float32 all the same.

    Raises:
        ValueError: the method cannot be exported; packages are missing, by the extra that brings them.
    """
    onnx = load_package("onnx")
    load_package("onnxscript")
    module = candidates_of(detector)
    outputs = ("boxes", "scores", "labels")
    program: Any = torch.onnx.export(
        module,
        (torch.zeros(2, 3, *detector.image_size, dtype=torch.uint8),),
        input_names=["images"],
        output_names=list(outputs if raw else (f"all_{name}" for name in outputs)),
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        verbose=False,
    )
    model = program.model_proto
    for part in (*model.graph.node, *model.graph.input, *model.graph.output, model.graph):
        del part.metadata_props[:]  # the exporter notes the place of each line of code on this machine
    del model.graph.value_info[:]
    if not raw:
        _add_suppression(onnx, model.graph, detector)
    if half:
        _halve(onnx, model.graph)
    model.producer_name, model.producer_version = "lapnet", __version__
    onnx.helper.set_model_props(model, {KEY: json.dumps(about(detector, raw))})
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _add_suppression(onnx: ModuleType, graph: Any, detector: Detector) -> None:
    """Candidates in, detections out."""
    part, options = onnx.parser.parse_graph(SUPPRESSION), options_of(detector.method)
    kinds = {value.name: value.type.tensor_type.elem_type for value in part.input}
    classes = list(range(len(detector.class_names)))
    graph.node.extend(part.node)
    graph.input.extend(value for value in part.input if value.name in OPTIONS)
    graph.initializer.append(onnx.helper.make_tensor("classes", kinds["classes"], (len(classes), 1), classes))
    graph.initializer.extend(onnx.helper.make_tensor(n, kinds[n], (1,), [value]) for n, value in options.items())
    del graph.output[:]
    graph.output.extend(part.output)


def _halve(onnx: ModuleType, graph: Any) -> None:
    """Weights of convolutions as float16, each made float32 by a node of its own."""
    casts, single = [], onnx.TensorProto.FLOAT
    for tensor in graph.initializer:
        if len(tensor.dims) == 4 and tensor.data_type == single:
            values, name = onnx.numpy_helper.to_array(tensor), tensor.name
            tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype("float16"), f"{name}.half"))
            casts.append(onnx.helper.make_node("Cast", [tensor.name], [name], to=single))
    for cast in reversed(casts):
        graph.node.insert(0, cast)


class Detections(nn.Module):
    """Candidates in, detections out, for TorchScript, which compiles it: see the top of this file."""

    def __init__(self, candidates: nn.Module) -> None:
        super().__init__()
        self.candidates = candidates

    @no_type_check  # the compiler reads this text itself
    def forward(
        self, images: Tensor, score_threshold: float = 0.001, nms_iou: float = 0.5, max_detections: int = 300
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        boxes, scores, labels = self.candidates(images)
        found_image, found_place = [], []
        for image in range(len(images)):
            place = (~(scores[image] <= score_threshold)).nonzero().flatten()
            kept = batched_nms(boxes[image, place], scores[image, place], labels[image, place], nms_iou)
            found_place.append(place[kept.sort()[0][:max_detections]])
            found_image.append(torch.full_like(found_place[-1], image))
        image_index, place = torch.cat(found_image), torch.cat(found_place)
        return boxes[image_index, place], scores[image_index, place], labels[image_index, place], image_index


def to_torchscript(detector: Detector, raw: bool = False) -> bytes:
    """A detector as a TorchScript file, see the top of this file; score_threshold, nms_iou and max_detections are
    arguments with defaults. What `about` tells is in the extra file "lapnet". A program, which runs where it is loaded:
    for one's own use, and never read by `Detector.load`.

    Raises:
        ValueError: the method cannot be exported.
    """
    module, file = candidates_of(detector), io.BytesIO()
    with _deprecated_all_the_same(), torch.no_grad():
        traced: Any = torch.jit.trace(module, torch.zeros(2, 3, *detector.image_size, dtype=torch.uint8))
        script = traced if raw else torch.jit.script(Detections(traced))
        torch.jit.save(script, file, _extra_files={KEY: json.dumps(about(detector, raw))})
    told = io.BytesIO()
    with ZipFile(file) as parts, ZipFile(told, "w") as kept:
        for part in parts.infolist():
            if not part.filename.endswith(".debug_pkl"):  # the place of each line of code on this machine
                kept.writestr(part, parts.read(part))
    return told.getvalue()


@contextmanager
def _deprecated_all_the_same() -> Iterator[None]:
    """TorchScript, of which torch says that it is on its way out, and a tracer that tells of checks of shapes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.")
        warnings.filterwarnings("ignore", category=TracerWarning)
        yield
