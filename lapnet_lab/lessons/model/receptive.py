"""How far a cell of a map sees: the theoretical and the effective receptive field, and what a shifted image does."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from lapnet_core.boxes import STRIDE
from lapnet_core.model import LapNet
from lapnet_lab.lessons.model.study import named_maps

WAYS = {"all three maps": None, "C3 alone": 0, "C4 alone": 1, "C5 alone": 2}
"""Through which maps of the backbone one looks -> `only` of `only_through`."""
EXACT = 1e-3
"""Below this, an error of `shift_errors` is rounding."""


@dataclass(frozen=True)
class Reach:
    """The input columns that each of the W columns of a map depends on, through whatever path, as far as they exist."""

    first: Int[Tensor, " W"]
    last: Int[Tensor, " W"]

    @property
    def width(self) -> Int[Tensor, " W"]:
        """Pixels from the first to the last."""
        return self.last - self.first + 1

    @property
    def center(self) -> Float[Tensor, " W"]:
        """Middle between the two, in pixels, continuous as boxes are."""
        return (self.first + self.last + 1) / 2


class _Follow(TorchDispatchMode):
    """Watches every operation of a run and keeps the reach of its result: the usual recurrence for receptive fields,
    column by column, so that branches, skips, padding and resizing need no thought."""

    def __init__(self) -> None:
        super().__init__()
        self.reach = WeakTensorKeyDictionary()

    def start(self, image: Tensor) -> None:
        columns = torch.arange(image.shape[-1], device="cpu")
        self.reach[image] = Reach(columns, columns)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        result = out[0] if isinstance(out, tuple | list) else out
        operands = [x for arg in args for x in (arg if isinstance(arg, tuple | list) else (arg,))]
        known = [self.reach[x] for x in operands if isinstance(x, Tensor) and x in self.reach]
        if known and isinstance(result, Tensor):
            taps = _taps(func.overloadpacket.__name__, args, len(known[0].first), result.shape[-1])
            read = [_read(reach, taps) for reach in known]
            first = torch.stack([x.first for x in read]).amin(0)
            self.reach[result] = Reach(first, torch.stack([x.last for x in read]).amax(0))
        return out


def _taps(operation: str, args: Any, inputs: int, outputs: int) -> Int[Tensor, "outputs _"]:
    """The input columns that each output column of an operation reads; those outside 0..inputs-1 are padding."""
    out = torch.arange(outputs, device="cpu")[:, None]
    if operation == "convolution":
        _, weight, _, stride, padding, dilation = args[:6]
        kernel, stride, padding, dilation = weight.shape[-1], stride[-1], padding[-1], dilation[-1]
    elif "pool2d" in operation and "adaptive" not in operation:
        kernel, stride, padding, dilation = args[1][-1], (args[2] or args[1])[-1], 0, 1
        padding = args[3][-1] if len(args) > 3 else 0
    elif operation == "upsample_nearest2d":
        return out * inputs // outputs
    elif operation == "upsample_bilinear2d":  # align_corners=False; the two nearest cell centres
        lower = ((out + 0.5) * inputs / outputs - 0.5).floor().long()
        return torch.cat((lower, lower + 1), 1)
    elif inputs == outputs:  # activation, normalisation, sum, concatenation, view
        return out
    else:
        raise NotImplementedError(f"the receptive field cannot be followed through the operation {operation}")
    return out * stride - padding + torch.arange(kernel, device="cpu") * dilation


def _read(reach: Reach, taps: Tensor) -> Reach:
    inside = (taps >= 0) & (taps < len(reach.first))
    index = taps.clamp(0, len(reach.first) - 1)
    far = torch.iinfo(torch.int64).max
    first = torch.where(inside, reach.first[index], far).amin(1)
    return Reach(first, torch.where(inside, reach.last[index], -1).amax(1))


def follow(
    run: Callable[[Tensor], Mapping[str, Tensor] | Sequence[Tensor]], width: int = 4096, height: int = 64
) -> dict[str, Reach]:
    """How far each cell of every map sees, along a row of the image.

    Args:
        run: images -> maps by name, of a network on the meta device, such as `partial(named_maps, model)`; or a
            backbone, whose list of maps is taken for C3, C4, C5. A map that no pixel reaches is left out of the result.
        width, height: of the image in pixels. Where a cell should not meet the border, wider than it can see.

    Raises:
        NotImplementedError: the network has an operation that is not local, such as a mean over the image.
    """
    mode = _Follow()
    with torch.no_grad(), mode:
        image = torch.zeros(1, 3, height, width, device="meta")
        mode.start(image)
        maps = run(image)
    if not isinstance(maps, Mapping):
        maps = {f"C{k + 3}": x for k, x in enumerate(maps)}
    return {name: mode.reach[x] for name, x in maps.items() if x in mode.reach}


@contextmanager
def only_through(model: LapNet, level: int | None) -> Iterator[None]:
    """Let only C3, C4 or C5 (level 0, 1 or 2) leave the backbone inside the block, the others as zeros; None: all."""

    def mute(_module: Any, _inputs: Any, maps: list[Tensor]) -> list[Tensor]:
        return [x if level in (None, k) else torch.zeros(x.shape, device=x.device) for k, x in enumerate(maps)]

    hook = model.backbone.register_forward_hook(mute)
    try:
        yield
    finally:
        hook.remove()


@cache
def receptive_fields(backbone: str = "light", only: int | None = None) -> dict[str, int]:
    """Side in pixels of the square that a cell of each map of `named_maps` can see: the theoretical receptive field.

    The largest over the cells in the middle of a wide image: cells of one map differ by a little, since a cell of a
    coarse map lies beneath several of a fine one.

    Args:
        only: as in `only_through`. Maps that no pixel reaches are left out.
    """
    with torch.device("meta"):
        model = LapNet(1, 1, backbone).eval()
    with only_through(model, only):
        reach = follow(lambda images: named_maps(model, images), width=16384)
    return {name: int(x.width[len(x.width) * 7 // 16 : len(x.width) * 9 // 16].max()) for name, x in reach.items()}


def input_gradient(
    model: LapNet, images: Float[Tensor, "B 3 height width"], only: int | None = None
) -> Float[Tensor, "height width"]:
    """The effective receptive field: how much the central cell's scores depend on each pixel (Luo et al., 2016).

    Args:
        model: in evaluation mode.
        only: as in `only_through`.

    Returns:
        |d scores / d pixel|, summed over the colours, averaged over the images, divided by its sum.
    """

    images = images.detach().clone().requires_grad_()
    with only_through(model, only):
        scores, _ = model(images)
    row, column = scores.shape[3] // 2, scores.shape[4] // 2
    (gradient,) = torch.autograd.grad(scores[..., row, column].sum(), images)
    energy = gradient.abs().sum(1).mean(0)
    return energy / energy.sum()


def sight(
    model: LapNet, images: Float[Tensor, "B 3 height width"]
) -> dict[str, tuple[Float[Tensor, "height width"], int]]:
    """How far the central cell looks, and how far it can see, through all maps of the backbone and through each alone.

    Returns:
        WAYS -> (`input_gradient`, side in pixels of the theoretical receptive field of the scores).
    """
    name = model.backbone.name
    return {
        way: (input_gradient(model, images, only), receptive_fields(name, only)["scores"]) for way, only in WAYS.items()
    }


def beside_anchors(backbone: Callable[[Tensor], Sequence[Tensor]], size: int) -> tuple[list[int], Float[Tensor, "3"]]:
    """Whether the cells of C3 look where anchors lie, once it is stretched to the cells that there should be.

    Args:
        backbone: a network on the meta device. size: of the image, in pixels.

    Returns:
        cells in a row of C3, C4 and C5; pixels from the anchors' centres to the middle of what C3 sees, for the cells
        at the left, in the middle and at the right.
    """
    found = {width: follow(backbone, width, height=96) for width in (size, 8 * size)}
    cells = [len(level.width) for level in found[size].values()]
    wide = found[8 * size]["C3"].center  # wide: in its middle the border plays no part
    first = wide[len(wide) // 2] - len(wide) // 2 * STRIDE  # where cell 0 would look
    wanted = size // STRIDE
    at = torch.tensor([0, wanted // 2, wanted - 1]) + 0.5
    stretched = at * cells[0] / wanted - 0.5  # where the cells that should be there find theirs in the map
    return cells, first + stretched * STRIDE - at * STRIDE


def exact_shifts(shifts: Sequence[int], errors: Mapping[str, Sequence[float]]) -> dict[str, list[int]]:
    """The shifts that move a map exactly, of those that `shift_errors` was asked about."""
    return {
        name: [shift for shift, error in zip(shifts, values, strict=True) if error < EXACT]
        for name, values in errors.items()
    }


def side_with(share: float, field: Float[Tensor, "height width"], step: int = 16) -> int:
    """Side in pixels, a multiple of `step`, of the smallest square about the central cell that holds a share of it."""
    row, column = ((n // STRIDE // 2) * STRIDE + STRIDE // 2 for n in field.shape)
    for half in range(step // 2, max(field.shape) + step, step // 2):
        inside = field[max(0, row - half) : row + half, max(0, column - half) : column + half]
        if inside.sum() >= share:
            return 2 * half
    return 2 * max(field.shape)


@torch.no_grad()
def shift_errors(
    model: LapNet,
    image: Float[Tensor, "3 height width"],
    shifts: Sequence[int],
    maps: Mapping[str, int],
    margin: int,
) -> dict[str, list[float]]:
    """How much a map of the shifted image differs from the shifted map: 0 is exact equivariance.

    Args:
        model: in evaluation mode.
        image: at least max(shifts) + 2 * margin wide.
        shifts: in pixels, to the right.
        maps: names of `named_maps` -> stride. A shift of s pixels is compared with s/stride cells; where that is no
            whole number, with the better of the two nearest.
        margin: pixels at either side that are left out, as the border's padding shows there.

    Returns:
        for each map and shift the root mean square difference, relative to the map's deviation over the places.
    """
    width = (image.shape[-1] - max(shifts)) // 32 * 32
    last = image.shape[-1] - width

    def view(shift: int) -> dict[str, Tensor]:
        return named_maps(model, image[None, :, :, last - shift : last - shift + width])

    still, errors = view(0), {name: [] for name in maps}
    for shift in shifts:
        moved = view(shift)
        for name, stride in maps.items():
            edge, trials = -(-margin // stride), []
            cells = still[name].shape[-1]
            for whole in {shift // stride, -(-shift // stride)}:
                inner = still[name][..., edge : cells - edge - whole]
                gap = moved[name][..., edge + whole : cells - edge] - inner
                trials.append((gap.square().mean() / inner.var(-1, correction=0).mean()).sqrt().item())
            errors[name].append(min(trials))
    return errors
