"""How fast detectors are: all of them, at all sizes, by turns in one process, so that a busy machine slows each.

What is timed is what `Detector.detect_images` does, from normalised pixels to detections. Reading and resizing a
photograph are not in it.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm.auto import tqdm

from lapnet_core.ablate import OURS
from lapnet_core.config import small_photos
from lapnet_core.data import collate, eval_transform
from lapnet_core.detector import Detector
from lapnet_core.peers import METHODS, method_class
from lapnet_core.scenes import Scenes
from lapnet_core.timing import MadeUp

SIZES = (128, 160, 192, 224, 256)
"""Sides of the square input in pixels."""
BATCH = 8
TURNS = 15
"""After one to warm up."""
BATCH_TURNS = 5
SMALL = "tf_efficientnet_lite0"
"""The small backbone: LapNet's and every peer's."""
KINDS = (("lapnet", SMALL), ("lapnet", "light"), *((method, SMALL) for method in METHODS if method != "lapnet"))
"""(Method, backbone) of what is compared."""
Weights = Literal["trained", "random"]


@dataclass(frozen=True)
class Contestant:
    """A detector at one size, the side of its square input in pixels."""

    detector: Detector
    size: int
    weights: Weights

    @property
    def kind(self) -> tuple[str, str]:
        """(Method, backbone)."""
        return kind_of(self.detector)


@dataclass(frozen=True)
class Speed:
    """What a contestant came to: medians over the turns.

    ms: of one image alone; low and high are the quartiles.
    images_per_second: in batches of BATCH.
    post: share of the time of one image that goes by after the last layer with weights: decoding, suppression.
    gmacs: billion multiplications of one image, in convolutions and products of matrices.
    """

    method: str
    backbone: str
    size: int
    weights: Weights
    ms: float
    low: float
    high: float
    images_per_second: float
    post: float
    gmacs: float
    turns: int

    def line(self) -> dict[str, Any]:
        """With four digits, as it is recorded."""
        return {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in asdict(self).items()}


def kind_of(detector: Detector) -> tuple[str, str]:
    """(Method, backbone)."""
    return detector.method.name, detector.method.about()["backbone"]


def at_size(detector: Detector, size: int) -> Detector:
    """The same network, asked for square images of another size. Anchors stay as they are in pixels, but for SSD's,
    which are shares of the image.

    Raises:
        ValueError: it was trained on images that are not square.
    """
    height, width = detector.image_size
    if height != width:
        raise ValueError(f"it was trained at {height} × {width} px; only square inputs are compared here")
    return Detector(detector.method, detector.class_names, (size, size))


def contestants(detectors: Sequence[Detector], sizes: Sequence[int], weights: Weights) -> list[Contestant]:
    """Each detector at each size."""
    return [Contestant(at_size(one, size), size, weights) for one in detectors for size in sizes]


def untrained(kind: tuple[str, str], num_classes: int = 6) -> Detector:
    """One of KINDS with random weights, as a training of small photographs starts, without a download."""
    method, backbone = kind
    data = MadeUp(num_classes, (192, 192))
    config = small_photos().with_options(**{**OURS, "method": method, "backbone": backbone, "weights": "none"})
    made = method_class(method).create(config.with_options(frozen=0), data, progress=False)
    return Detector(made.eval(), data.class_names, data.image_size)


def drawn(size: int) -> Float[Tensor, "B 3 size size"]:
    """A batch of drawn scenes, for who has no photographs."""
    scenes = Scenes(BATCH, size=(size, size), transform=eval_transform((size, size)))
    return collate([scenes[k] for k in range(BATCH)]).images


def measure(
    contestants: Sequence[Contestant],
    images: Mapping[int, Float[Tensor, "B 3 size size"]],
    turns: int = TURNS,
    batch_turns: int = BATCH_TURNS,
    *,
    progress: bool = False,
) -> list[Speed]:
    """Time them all.

    Args:
        images: of each size a batch of BATCH; a turn of single images takes the next of it.
        turns: of single images. batch_turns: of batches. Either after one more, which does not count.
    """
    with torch.no_grad():
        last = [_last_layer(one.detector, images[one.size][:1]) for one in contestants]
        gmacs = [_gmacs(one.detector, images[one.size][:1]) for one in contestants]
        bar = tqdm(total=len(contestants) * (turns + batch_turns + 2), unit="call", disable=None if progress else True)
        with bar:
            single = _by_turns(contestants, last, lambda one, k: images[one.size][k % BATCH][None], turns, bar.update)
            batched = _by_turns(contestants, last, lambda one, _: images[one.size], batch_turns, bar.update)
    speeds = []
    for one, alone, together, operations in zip(contestants, single, batched, gmacs, strict=True):
        each = [1e3 * whole for whole, _ in alone]
        low, _, high = quantiles(each, n=4, method="inclusive") if len(each) > 1 else each * 3
        method, backbone = one.kind
        speeds.append(
            Speed(
                method, backbone, one.size, one.weights, median(each), low, high,
                images_per_second=BATCH / median(whole for whole, _ in together),
                post=median(after / whole for whole, after in alone), gmacs=operations, turns=turns,
            )
        )  # fmt: skip
    return speeds


def _by_turns(
    contestants: Sequence[Contestant],
    last: Sequence[nn.Module],
    given: Callable[[Contestant, int], Tensor],
    turns: int,
    told: Callable[[], object],
) -> list[list[tuple[float, float]]]:
    """Of each contestant (seconds of a call, of them after its last layer), turn by turn; the first is left out."""
    found: list[list[tuple[float, float]]] = [[] for _ in contestants]
    for turn in range(turns + 1):
        for one, layer, times in zip(contestants, last, found, strict=True):
            batch = given(one, turn)
            with _clock(layer, one.detector.device) as clock:
                start = _now(one.detector.device)
                one.detector.detect_images(batch)
                end = _now(one.detector.device)
            if turn:
                times.append((end - start, end - clock[-1]))
            told()
    return found


@contextmanager
def _clock(layer: nn.Module, device: torch.device) -> Iterator[list[float]]:
    """The times at which a layer was done."""
    times: list[float] = []
    hook = layer.register_forward_hook(lambda *_: times.append(_now(device)))
    try:
        yield times
    finally:
        hook.remove()


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def _last_layer(detector: Detector, image: Tensor) -> nn.Module:
    """The layer with weights that is called last."""
    called: list[nn.Module] = []
    layers = [layer for layer in detector.method.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(lambda layer, *_: called.append(layer)) for layer in layers]
    try:
        detector.detect_images(image)
    finally:
        for hook in hooks:
            hook.remove()
    return called[-1]


def _gmacs(detector: Detector, image: Tensor) -> float:
    with FlopCounterMode(display=False) as counter:
        detector.detect_images(image)
    return counter.get_total_flops() / 2e9
