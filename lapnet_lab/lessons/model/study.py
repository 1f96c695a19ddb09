"""LapNet taken apart: the maps between its parts and what each part costs (fig. 2), and where gradients run (fig. 4).

A multiply-accumulate (MAC) is one multiplication with its addition, in a convolution; papers call it one operation, or
two. Normalisation, activation and resizing are left out, as is usual.
"""

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lapnet_core.assign import assign
from lapnet_core.data import Batch, Target, data_dir, eval_transform
from lapnet_core.data.named import open_dataset
from lapnet_core.losses import LapNetLoss, LossTerms
from lapnet_core.model import LapNet
from lapnet_core.timing import seconds_each

PARTS = {
    "backbone": "backbone", "decoder": "decoder", "level convolutions": "levels", "score head": "score_head",
    "offset head": "offset_head",
}  # fmt: skip
"""What the parts of fig. 2 are called -> attribute of `LapNet`. Resizing and concatenation lie before the heads."""

BACKBONES = ("light", "darknet53", "inception_resnet_v2")
"""Ours for two cores, and the paper's two."""
YOLOV3_MACS_416 = 65.86e9 / 2
"""YOLOv3-416 with 80 classes is published with 65.86 billion operations (Redmon & Farhadi, 2018), two to a MAC."""


NETWORKS = {
    "DarkNet-53, 416 px, 80 classes": ("darknet53", (416, 416), 80),
    "DarkNet-53, 512 px, 20 classes": ("darknet53", (512, 512), 20),
    "DarkNet-53, 512 px, 80 classes": ("darknet53", (512, 512), 80),
    "DarkNet-53, 608 px, 80 classes": ("darknet53", (608, 608), 80),
    "Inception-ResNet-v2, 512 px, 20": ("inception_resnet_v2", (512, 512), 20),
    "light, 512 px, 20 classes": ("light", (512, 512), 20),
}
"""The paper's networks and the light one -> what `anatomy` asks for: backbone, (height, width), number of classes."""

PHOTOGRAPH = 1
"""Which of coco_tiny's photographs is shown."""


def photograph(otherwise: Float[Tensor, "3 height width"]) -> Float[Tensor, "3 height width"]:
    """A photograph of coco_tiny, normalised and of that size, where the data folder has it."""
    if not (data_dir() / "coco_tiny").is_dir():
        return otherwise
    height, width = otherwise.shape[1:]
    photographs = open_dataset("coco_tiny", "val", transform=eval_transform((height, width)))
    image, _ = photographs[PHOTOGRAPH]  # pyright: ignore[reportGeneralTypeIssues]
    return image


def yolov3_macs(size: int) -> float:
    """MACs of YOLOv3 (DarkNet-53, 80 classes) on a square image of `size` pixels, from the published number."""
    return YOLOV3_MACS_416 * (size / 416) ** 2


def named_maps(model: LapNet, images: Float[Tensor, "B 3 height width"]) -> dict[str, Tensor]:
    """Run the network once and keep what flows between the parts of fig. 2.

    Returns:
        "image"; "C3" "C4" "C5" of the backbone; "P3" "P4" "P5" of the decoder; "L3" "L4" "L5" behind the four level
        convolutions; "fused", which both heads read; "scores" [B, C, A, H, W] and "offsets" [B, C, A, 4, H, W]. In this
        order.
    """
    found: dict[str, Tensor] = {"image": images}

    def three(letter: str) -> Callable[..., None]:
        return lambda _module, _inputs, maps: found.update({f"{letter}{k + 3}": x for k, x in enumerate(maps)})

    def one(name: str) -> Callable[..., None]:
        return lambda _module, _inputs, x: found.update({name: x})

    hooks = [model.backbone.register_forward_hook(three("C")), model.decoder.register_forward_hook(three("P"))]
    hooks += [level.register_forward_hook(one(f"L{k + 3}")) for k, level in enumerate(model.levels)]
    hooks.append(model.score_head.register_forward_pre_hook(lambda _module, inputs: found.update(fused=inputs[0])))
    try:
        found["scores"], found["offsets"] = model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return found


@contextmanager
def counting_macs(module: nn.Module) -> Iterator[dict[str, int]]:
    """MACs of every convolution and linear layer, from what runs inside the block: name of the layer -> count."""
    counts: dict[str, int] = {}

    def count(name: str) -> Callable[..., None]:
        def hook(layer: Any, _inputs: Any, output: Tensor) -> None:
            # Each output number is a sum of as many products as one output channel has weights.
            counts[name] = counts.get(name, 0) + output.numel() * layer.weight[0].numel()

        return hook

    layers = {name: x for name, x in module.named_modules() if isinstance(x, nn.Conv2d | nn.Linear)}
    hooks = [layer.register_forward_hook(count(name)) for name, layer in layers.items()]
    try:
        yield counts
    finally:
        for hook in hooks:
            hook.remove()


@dataclass(frozen=True)
class Part:
    """One part of fig. 2."""

    name: str
    parameters: int
    macs: int


@dataclass(frozen=True)
class Anatomy:
    """What one image meets on its way through a LapNet."""

    backbone: str
    image_size: tuple[int, int]
    num_classes: int
    per_class: int
    maps: Mapping[str, tuple[int, ...]]
    """As in `named_maps`, without the batch: (channels, height, width); (C, A, H, W) and (C, A, 4, H, W) at the end."""
    stacks: Mapping[str, str]
    """Convolutions that lead to a map: "L3" -> "4 × 3×3"."""
    parts: tuple[Part, ...]
    """In the order of PARTS."""

    @property
    def parameters(self) -> int:
        """Trainable numbers of the whole network."""
        return sum(part.parameters for part in self.parts)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the whole network for one image."""
        return sum(part.macs for part in self.parts)

    @property
    def macs_by_part(self) -> dict[str, int]:
        """Name of a part -> its multiply-accumulates."""
        return {part.name: part.macs for part in self.parts}


def _stack(module: nn.Module) -> str:
    kernels = Counter("×".join(map(str, x.kernel_size)) for x in module.modules() if isinstance(x, nn.Conv2d))
    return " + ".join(f"{count} × {kernel}" for kernel, count in kernels.items())


@cache
def anatomy(
    backbone: str = "light",
    image_size: tuple[int, int] = (512, 512),
    num_classes: int = 20,
    per_class: int = 10,
    widths: tuple[int, int, int] | None = None,
) -> Anatomy:
    """Shapes, parameters and MACs of a LapNet, from one run with hooks; nothing is looked up in a table.

    The run is on PyTorch's "meta" device: tensors with a shape and no content, so that the largest network takes a
    second and no memory, and no weights are drawn or fetched.

    Args:
        image_size: (height, width), multiples of 32.
        widths: (decoder, level, head) channels in the place of `model.WIDTHS[backbone]`.
    """
    with torch.device("meta"), torch.no_grad():
        model = LapNet(num_classes, per_class, backbone, widths=widths).eval()
        with counting_macs(model) as counts:
            maps = named_maps(model, torch.zeros(1, 3, *image_size))
    stacks = {f"L{k + 3}": _stack(level) for k, level in enumerate(model.levels)}
    stacks |= {"scores": _stack(model.score_head), "offsets": _stack(model.offset_head)}
    parts = [
        Part(
            name,
            sum(p.numel() for p in getattr(model, attribute).parameters()),
            sum(n for layer, n in counts.items() if layer.startswith(f"{attribute}.")),
        )
        for name, attribute in PARTS.items()
    ]
    shapes = {name: tuple(x.shape[1:]) for name, x in maps.items()}
    return Anatomy(backbone, image_size, num_classes, per_class, shapes, stacks, tuple(parts))


@torch.no_grad()
def part_seconds(model: LapNet, images: Float[Tensor, "B 3 height width"], repeats: int = 3) -> dict[str, float]:
    """Median wall time in seconds of each part, alone, in the order of PARTS."""
    maps = named_maps(model, images)
    c345, p345, fused = [maps[f"C{k}"] for k in (3, 4, 5)], [maps[f"P{k}"] for k in (3, 4, 5)], maps["fused"]
    work: dict[str, Callable[[], object]] = {
        "backbone": lambda: model.backbone(images),
        "decoder": lambda: model.decoder(c345),
        "level convolutions": lambda: [level(p) for level, p in zip(model.levels, p345, strict=True)],
        "score head": lambda: model.score_head(fused),
        "offset head": lambda: model.offset_head(fused),
    }
    return {part: seconds_each(work[part], repeats=repeats) for part in PARTS}


def first_positive(
    shapes: Float[Tensor, "C A 2"], grid_size: tuple[int, int], target: Target
) -> tuple[Float[Tensor, "4"], Float[Tensor, "2"], tuple[int, int]]:
    """The largest object of an image, and the first of its positives, row by row: not a very good one.

    Returns:
        the object, `xyxy` in pixels; (w, h) of the anchor; (row, column) of its cell.
    """
    boxes, labels = target["boxes"].as_subclass(Tensor), target["labels"]
    n = int((boxes[:, 2:] - boxes[:, :2]).prod(-1).argmax())
    found = assign(shapes, grid_size, boxes, labels).positives()
    at = (found.object_index == n).nonzero().flatten()[0]
    return boxes[n], shapes[found.label[at], found.anchor[at]], (int(found.row[at]), int(found.column[at]))


class FirstStep(NamedTuple):
    """The classification loss of a batch, and the norm of its gradient over the whole network."""

    loss: float
    gradient: float


def first_step(model: LapNet, batch: Batch, shapes: Float[Tensor, "C A 2"]) -> FirstStep:
    """What a network meets first, with all balance weights 1."""
    terms = LapNetLoss(*shapes.shape[:2], balance="ones")(*model(batch.images), shapes, batch.targets)
    gradients = torch.autograd.grad(terms.cls, list(model.parameters()), allow_unused=True)
    norm = torch.stack([g.norm() for g in gradients if g is not None]).norm()
    return FirstStep(terms.cls.item(), norm.item())


def with_score_bias(model: LapNet, bias: float) -> LapNet:
    """A copy whose scores start elsewhere: the bias of the score head's last convolution."""
    other = copy.deepcopy(model)
    nn.init.constant_(other.score_head[-1].bias, bias)  # pyright: ignore[reportArgumentType]
    return other


def gradient_routes(terms: LossTerms, outputs: Mapping[str, Tensor]) -> dict[tuple[str, str], float]:
    """Where back-propagation runs (the red arrows of fig. 4): norm of the gradient of each loss at each output.

    Args:
        outputs: "scores" and "offsets", as they went into the loss.

    Returns:
        ("loc" or "cls", name of the output) -> norm; 0 where nothing flows.
    """
    norms = {}
    for loss in ("loc", "cls"):
        found = torch.autograd.grad(getattr(terms, loss), list(outputs.values()), retain_graph=True, allow_unused=True)
        for name, gradient in zip(outputs, found, strict=True):
            norms[loss, name] = 0.0 if gradient is None else gradient.norm().item()
    return norms


def flow_texts(
    images: Float[Tensor, "B 3 height width"],
    scores: Float[Tensor, "B C A H W"],
    offsets: Float[Tensor, "B C A 4 H W"],
    shapes: Float[Tensor, "C A 2"],
    terms: LossTerms,
) -> dict[str, str]:
    """What stands in the nodes of fig. 4 for one batch: each thing's name, its shape, and a number or two."""
    at, fit = terms.positives, terms.predicted_overlap
    count, kept = len(at.flat), int(terms.labels.sum())

    def text(name: str, tensor: Tensor, *more: str) -> str:
        return "\n".join((name, " × ".join(map(str, tensor.shape)), *more))

    return {
        "image": text("images", images),
        "network": "LapNet\n(fig. 2)",
        "scores": text("scores", scores, f"mean P̂ {scores.sigmoid().mean().item():.3f}"),
        "offsets": text("offsets", offsets),
        "anchors": text("anchors, (w, h)", shapes, f"{scores[0].numel()} an image"),
        "objects": f"objects\n{terms.object_count} boxes\nand classes",
        "boxes": f"predicted boxes\n{count} × 4\nwhere O > 0.5",
        "O": text("O, PONO (eq. 1)", scores, f"{count} with O > 0.5"),
        "Ô": f"Ô, IoU with object\n{count} numbers\nmean {fit.mean().item():.2f}",
        "P": f"P = [O · Ô > 0.5]\n(eq. 3, AMS)\n{kept} of {count} kept",
        "loc": f"localisation\neqs. 2, 5\n{terms.loc.item():.3f}",
        "reg": f"regularisation\neq. 7\n{terms.reg.item():.2f}",
        "cls": f"classification\neqs. 4, 6\n{terms.cls.item():.4f}",
        "total": f"total loss\n{terms.total.item():.2f}",
    }


def as_table(rows: Mapping[str, Mapping[str, int]]) -> str:
    """Lines of text with aligned columns: title of a row -> title of a column -> number."""
    columns = next(iter(rows.values()))
    first, widths = max(map(len, rows)), [max(6, len(column) + 2) for column in columns]  # a small window is not wider
    lines = [" " * first + "".join(f"{column:>{width}}" for column, width in zip(columns, widths, strict=True))]
    for row, each in rows.items():
        numbers = zip(each.values(), widths, strict=True)
        lines.append(f"{row:{first}}" + "".join(f"{number:{width}}" for number, width in numbers))
    return "\n".join(lines)
