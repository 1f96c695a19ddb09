"""The fast form of a trained detector: batch normalisation folded into the convolutions, and what else pays here.

Whether a memory layout, bfloat16 or compiling helps depends on processor, network and input size. So the forms are
timed in turn, and the fastest is taken that finds what the detector finds.
"""

import copy
import inspect
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torchvision.ops import box_iou

from lapnet_core.data.types import Detection
from lapnet_core.detector import Detector
from lapnet_core.inputs import check_number
from lapnet_core.method import Method

PLAIN, FOLDED, LAYOUT, HALF, COMPILED = "as it is", "folded", "channels_last", "bfloat16", "compiled"
GRAPH = "CUDA graph"
SIMPLE, ON_CUDA = (FOLDED, LAYOUT, HALF), (GRAPH, f"{HALF}, {GRAPH}")
FORMS = (*SIMPLE, COMPILED, f"{HALF}, {COMPILED}")
"""From simple to elaborate. All are folded, all but the first channels_last; ON_CUDA follows SIMPLE on a GPU."""
WORTH_IT = 1.05
"""A form has to be so many times as fast as any simpler one: less is within what two timings differ by."""
HOPELESS = 4
"""Where one convolution takes so many times as long in bfloat16, no network is tried in it: it might take minutes."""
SEEN, SCORES, BOXES, SAME = 0.3, 0.05, 0.9, 0.95
"""Two forms find the same if of the detections that score SEEN or more in either, as `lapnet predict` draws them, a
share of SAME is also in the other: of that class, with a score within SCORES, an IoU of BOXES at least. In a crowd any
rounding decides which of two boxes suppresses the other, so that not all are."""


@dataclass(frozen=True)
class Tried:
    """What a form came to, beside the detector as it is: median seconds of a batch, from images to detections; how many
    detections of both were compared (`seen`), and which share is in the other form too (`same`). A partner is the box
    of that class in the other form with the largest IoU: by how much scores differ from the partner's at most, and the
    least IoU (0 where there is none). `refused` says why a form is not taken, however fast."""

    form: str
    seconds: float = math.nan
    seen: int = 0
    same: float = 1.0
    scores: float = 0.0
    boxes: float = 1.0
    refused: str = ""


@dataclass
class Fast(Detector):
    """A detector in the form that was fastest here; `print(fast.told())` says what was tried."""

    form: str = PLAIN
    tried: tuple[Tried, ...] = ()

    def told(self) -> str:
        """A line for each form that was tried."""
        lines = []
        for one in self.tried:
            told = f"{one.form:20}"
            if one.seconds > 0:
                told += f"{one.seconds * 1e3:8.1f} ms, {self.tried[0].seconds / one.seconds:.2f} times as fast"
            if one.seen:
                told += f"; {one.same:.1%} of {one.seen} detections the same, "
                told += f"scores within {one.scores:.3f}, boxes from IoU {one.boxes:.3f} on"
            told += f"; not taken: {one.refused}" if one.refused else ""
            lines.append(told + (" <- taken" if one.form == self.form else ""))
        return "\n".join(lines)

    def save(self, path: str | Path, note: dict[str, Any] | None = None, half: bool = False) -> None:
        """ValueError: its layers are not those that `load` makes."""
        raise ValueError(f"{path} is not written: a fast form cannot be saved, but the detector that it was made of")


def fastest(
    detector: Detector, images: Float[Tensor, "B 3 height width"] | None = None, *, compiled: bool = False,
    seconds: float = 5.0,
) -> Fast:  # fmt: skip
    """The form of a detector that is fastest on its device, with the threads of now. The detector stays as it is.

    Args:
        images: as `Detector.detect_images` takes them, as many as will be handed over at a time, with objects in them:
            bfloat16 is taken only where detections can be compared. None makes one up, which may have none.
        compiled: also try torch.compile, which takes minutes, and again for the first batch of another size.
        seconds: how long the forms are timed, but each three times.

    Raises:
        ValueError: images of another size, or not normalised; an exported model.
    """
    check_number("seconds", seconds, 0)
    if not any(isinstance(module, nn.Conv2d) for module in detector.method.modules()):
        raise ValueError("an exported model has no fast form here: onnxruntime has made its own already")
    if images is None:
        height, width = detector.image_size
        clouds = torch.randn(1, 3, height // 32, width // 32, generator=torch.Generator().manual_seed(0))
        images = F.interpolate(clouds, size=detector.image_size, mode="bilinear")
    found, base = detector.detect_images(images), folded(detector.method, detector.image_size)
    able, tried = {PLAIN: detector}, {PLAIN: Tried(PLAIN)}
    for form in forms_for(detector.device, compiled):
        try:
            made = replace(detector, method=as_form(form, base))
            tried[form] = differences(form, found, made.detect_images(images))
        except Exception as error:  # compilers raise nearly anything
            tried[form] = Tried(form, refused=_reason(error))
        else:
            able[form] = made
    times = timed({form: partial(made.detect_images, images) for form, made in able.items()}, seconds)
    taken, bound = PLAIN, math.inf  # folding costs nothing, so that it need not prove to be faster
    for form in able:
        one = tried[form] = replace(tried[form], seconds=times[form])
        if one.same < SAME:
            tried[form] = replace(one, refused="it finds something else")
        elif HALF in form and not one.seen:
            tried[form] = replace(one, refused="nothing was detected that could be compared; give images with objects")
        elif form != PLAIN and one.seconds * WORTH_IT < bound:
            taken, bound = form, one.seconds
    return Fast(able[taken].method, detector.class_names, detector.image_size, taken, tuple(tried.values()))


def forms_for(device: torch.device, compiled: bool) -> tuple[str, ...]:
    """What can be tried on a device, from simple to elaborate."""
    return (*SIMPLE, *(ON_CUDA if device.type == "cuda" else ()), *(FORMS[len(SIMPLE) :] if compiled else ()))


def timed(
    works: Mapping[str, Callable[[], object]], seconds: float, pick: Callable[[list[float]], float] = median
) -> dict[str, float]:
    """Median seconds of each, in turn, so that a machine that is busy for a while slows all of them."""
    times: dict[str, list[float]] = {name: [] for name in works}
    begun, turns = time.perf_counter(), 0
    while turns < 3 or time.perf_counter() - begun < seconds:
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if torch.cuda.is_initialized():
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - start)
        turns += 1
    return {name: pick(own) for name, own in times.items()}


def differences(form: str, before: list[Detection], after: list[Detection]) -> Tried:
    """How far two forms' detections of the same images are from each other."""
    same, scores, boxes = [], [0.0], [1.0]
    for one, other in (*zip(before, after, strict=True), *zip(after, before, strict=True)):
        seen = one["scores"] >= SEEN
        iou = box_iou(one["boxes"][seen], other["boxes"]) * (one["labels"][seen, None] == other["labels"])
        apart = (one["scores"][seen, None] - other["scores"]).abs()
        same += ((iou >= BOXES) & (apart <= SCORES)).any(1).tolist()
        best, partner = F.pad(iou, (1, 0)).max(1)  # one before all others, for nobody
        scores += torch.cat((one["scores"][seen, None], apart), 1).gather(1, partner[:, None])[:, 0].tolist()
        boxes += best.tolist()
    return Tried(form, math.nan, len(same), sum(same) / len(same) if same else 1.0, max(scores), min(boxes))


def as_form(form: str, base: Method) -> Method:
    """A copy of a folded method in one of `FORMS`, or of `ON_CUDA`.

    Raises:
        RuntimeError: the processor has no bfloat16.
    """
    method = copy.deepcopy(base)
    if HALF in form and method.device.type == "cpu":
        image, weight = torch.ones(1, 64, 16, 16), torch.ones(64, 64, 3, 3)
        both = (torch.float, torch.bfloat16)
        works = {str(kind): partial(F.conv2d, image.to(kind), weight.to(kind)) for kind in both}
        full, half = timed(works, 0.1, min).values()
        if half > HOPELESS * full:
            raise RuntimeError(f"on this processor a convolution in bfloat16 takes {half / full:.1f} times as long")
    for network in networks(method.to(memory_format=torch.channels_last) if form != FOLDED else method):
        if HALF in form:
            network.forward = partial(_in_bfloat16, network.forward, method.device.type)
        if GRAPH in form:
            network.forward = Graphed(network.forward)
        if COMPILED in form:
            network.compile(options={"freezing": True})  # weights in oneDNN's own layout; without it nothing is gained
    return method


def networks(module: nn.Module) -> Iterator[nn.Module]:
    """The modules of a method that convolve and do nothing else; what is around them depends on their results."""
    for child in module.children():
        if any(isinstance(part, nn.Conv2d) for part in child.modules()):
            whole = isinstance(child, nn.ModuleList) or "targets" in inspect.signature(child.forward).parameters
            yield from networks(child) if whole else (child,)


def _in_bfloat16(forward: Callable[..., Any], device: str, *given: Any) -> Any:
    """Convolutions in bfloat16; what comes out is float32, as boxes need it."""
    with torch.autocast(device, torch.bfloat16):
        out = forward(*given)
    return tree_map(lambda x: x.float() if isinstance(x, Tensor) else x, out)


class Graphed:
    """A network whose kernels are started all at once: a CUDA graph for each shape of what it is given. One image
    leaves a GPU waiting for Python, which starts some hundred kernels one by one."""

    def __init__(self, forward: Callable[..., Any]) -> None:
        self.forward = forward
        self.made: dict[Any, tuple[torch.cuda.CUDAGraph, list[Tensor], Any]] = {}

    def __call__(self, *given: Any) -> Any:
        leaves = tree_leaves(given)
        kind = tuple((x.shape, x.stride(), x.dtype) for x in leaves)
        if kind not in self.made:
            self.made[kind] = self.captured(given)
        graph, places, out = self.made[kind]
        for place, x in zip(places, leaves, strict=True):
            place.copy_(x)
        graph.replay()
        return tree_map(torch.clone, out)  # the next replay writes into `out`

    def captured(self, given: Any) -> tuple[torch.cuda.CUDAGraph, list[Tensor], Any]:
        """The graph, where it reads, and where it writes."""
        given = tree_map(torch.clone, given)
        graph, aside = torch.cuda.CUDAGraph(), torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):  # libraries choose and set up what they do in the first calls
            for _ in range(3):
                self.forward(*given)
        torch.cuda.current_stream().wait_stream(aside)
        with torch.cuda.graph(graph):
            out = self.forward(*given)
        return graph, tree_leaves(given), out


def _reason(error: Exception) -> str:
    if "CxxCompiler" in f"{type(error).__name__} {error}":
        return "torch.compile needs a C++ compiler, and there is none: install g++, clang, or Visual Studio on Windows"
    return " ".join(str(error).split())[:160] or type(error).__name__


def folded(method: Method, image_size: tuple[int, int] = (64, 64)) -> Method:
    """A copy, in evaluation mode, where each batch normalisation that reads one convolution and is its only reader is
    folded into it: exact up to rounding. Which these are is watched during a detection, in an image of a size that the
    backbone takes, not guessed from names."""
    method = copy.deepcopy(method).eval()
    modules = list(method.named_modules(remove_duplicate=False))
    owners: dict[int, Any] = {id(module.weight): module for _, module in modules if isinstance(module, nn.Conv2d)}
    kinds = (nn.BatchNorm2d, BatchNormAct2d)
    owners |= {id(module.running_mean): module for _, module in modules if type(module) in kinds}
    with torch.no_grad(), Trace(owners) as trace:
        method.detect(torch.zeros(1, 3, *image_size, device=method.device))
    for norm, (conv, *more) in trace.inputs.items():
        if conv is None or more or trace.readers[conv] != {norm}:
            continue
        values = (conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
        exact: Any = [x.double() if isinstance(x, Tensor) else x for x in values]
        fused = fuse_conv_bn_weights(*exact)
        conv.weight, conv.bias = (nn.Parameter(x.to(conv.weight.dtype), requires_grad=False) for x in fused)
        for name in [name for name, module in modules if module is norm]:
            place, _, own = name.rpartition(".")
            setattr(method.get_submodule(place), own, getattr(norm, "act", nn.Identity()))
    return method


class Trace(TorchDispatchMode):
    """Watches a computation: which normalisations, or others, read what a convolution makes.

    Args:
        owners: by the id of a convolution's weight, or of a normalisation's running mean, that module.
    """

    def __init__(self, owners: dict[int, Any]) -> None:
        super().__init__()
        self.owners, self.held = owners, []
        self.made: dict[int, nn.Conv2d] = {}
        self.readers: dict[Any, set[Any]] = defaultdict(set)  # of a convolution; None for what is no normalisation
        self.inputs: dict[Any, set[Any]] = defaultdict(set)  # of a normalisation; None for what no convolution made

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        read = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        owner = next((self.owners[id(x)] for x in read if id(x) in self.owners), None)
        conv, norm = (owner, None) if isinstance(owner, nn.Conv2d) else (None, owner)
        for x in read:
            if id(x) in self.made:
                self.readers[self.made[id(x)]].add(norm)
        if norm is not None:
            self.inputs[norm].add(self.made.get(id(read[0])))
        if conv is not None:
            self.made[id(out)] = conv
        self.held.append((read, out))  # so that no other tensor gets their ids
        return out
