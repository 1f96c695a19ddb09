"""Inference, one image: LapNet beside YOLOv3, RetinaNet and FCOS, its detections beside its network, its fast forms.

All weights are random, since the time does not depend on them. That of suppression depends on how many candidates pass:
thresholds are set so that as many do as on a busy photograph.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.detection import RetinaNet, fcos_resnet50_fpn, retinanet_resnet50_fpn
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from lapnet_core.backbones import Backbone, ConvNormAct
from lapnet_core.bench.line import Line
from lapnet_core.deploy.fast import LAYOUT, as_form, folded, forms_for
from lapnet_core.method import LapNetMethod
from lapnet_core.model import LapNet, YOLOv3Decoder
from lapnet_core.predict import detect
from lapnet_core.processes import pick_device

CLASSES, PER_CLASS, SIZE = 80, 10, 512
PASSING = 1000
"""Candidates of an image that pass."""
LIKE_YOLOV3, LIKE_RETINANET, FASTER, DETECTING = 1.15, 1.0, 0.4, 0.05
"""Limits: the paper's "almost the same computing time"; no slower than a user's usual choice; 2.5 times as fast as
RetinaNet with ResNet-101 at 800 px (fig. 1); the share of the detections in the network's time."""


def lines(quick: bool) -> Iterator[Line]:
    """All networks are in channels_last, which suits them, and in float32 but where a form says otherwise. Beside
    YOLOv3 LapNet is as it was trained; beside what others made, as it is used, its batch normalisation folded."""
    times = 2 if quick else 9
    ours, yolov3 = _ready(LapNet(CLASSES, PER_CLASS, "darknet53")), _ready(YOLOv3(CLASSES))
    name = f"LapNet, DarkNet-53, {CLASSES} classes"
    for size in (SIZE,) if quick else (SIZE, 608):
        pair = [partial(_run, net, _image(size)) for net in (ours, yolov3)]
        what, against = f"{name}, {size} px", f"YOLOv3, {size} px"
        yield Line(what, against, *pair, limit=LIKE_YOLOV3, repeats=times)
        macs = [partial(_macs, work) for work in pair]
        yield Line(what, against, *macs, limit=LIKE_YOLOV3, unit="GMAC")

    image = _image(SIZE)
    network: Callable[[], Any] = partial(_run, ours, image)
    scores, offsets = network()
    shapes = torch.rand(CLASSES, PER_CLASS, 2, device=scores.device) * 200 + 8
    for told, logits in (("few pass", busy(scores)), ("all pass, as before training", scores)):
        work = partial(detect, logits, offsets, shapes)
        yield Line(f"detections from {scores.numel():,} scores, {told}", f"{name}, {SIZE} px", work, network, DETECTING)

    fast = as_form(LAYOUT, folded(LapNetMethod(ours, shapes)))
    whole = partial(fast.detect, image, score_threshold=threshold(scores.sigmoid()))
    others: list[tuple[str, Callable[..., nn.Module], int, float]] = [
        ("RetinaNet, ResNet-50", retinanet_resnet50_fpn, SIZE, LIKE_RETINANET),
        ("FCOS, ResNet-50", fcos_resnet50_fpn, SIZE, LIKE_RETINANET),
        ("RetinaNet, ResNet-101", retinanet_resnet101_fpn, 800, FASTER),
    ]
    for other, make, size, limit in others[:2] if quick else others:
        model = make(weights=None, weights_backbone=None, num_classes=CLASSES, min_size=size, max_size=size)
        theirs = theirs_ready(_ready(model), size)
        what, against = f"{name}, {SIZE} px, folded, to detections", f"torchvision's {other}, {size} px"
        yield Line(what, against, whole, theirs, limit, times)
    yield from forms(quick)


def forms(quick: bool) -> Iterator[Line]:
    """What each step from a light network as it is to its fast form brings, by itself and with those before."""
    for size in (192, SIZE):
        model = _ready(LapNet(20), torch.contiguous_format)
        method = LapNetMethod(model, torch.ones(20, PER_CLASS, 2)).to(pick_device("auto"))
        base = folded(method)
        for form in forms_for(method.device, compiled=not quick):
            try:
                fast: Any = as_form(form, base)
            except RuntimeError:  # no bfloat16 here
                continue
            ours, other = (partial(_run, net, _image(size)) for net in (fast.model, method.model))
            yield Line(f"LapNet, light, {size} px, {form}", "as it is", ours, other, repeats=5 if quick else 31)


class YOLOv3(nn.Module):
    """The network of the paper: DarkNet-53, its decoder, and a convolution more before the outputs of each level. Our
    peer of that name has a feature pyramid instead, as the other peers have."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.backbone = Backbone("darknet53")
        self.decoder = YOLOv3Decoder(self.backbone.widths, 256)
        outputs = 3 * (5 + num_classes)
        self.heads = nn.ModuleList(
            nn.Sequential(ConvNormAct(width, 2 * width), nn.Conv2d(2 * width, outputs, 1))
            for width in self.decoder.widths
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3 * (5 + C), H, W) of the strides 8, 16, 32."""
        return [head(level) for head, level in zip(self.heads, self.decoder(self.backbone(images)), strict=True)]


def retinanet_resnet101_fpn(num_classes: int, min_size: int, max_size: int, **nothing: None) -> nn.Module:
    """As torchvision's RetinaNet with ResNet-50 is put together, whose normalisation is the faster one."""
    backbone = resnet_fpn_backbone(
        backbone_name="resnet101", weights=None, norm_layer=nn.BatchNorm2d, returned_layers=[2, 3, 4],
        extra_blocks=LastLevelP6P7(256, 256),
    )  # fmt: skip
    return RetinaNet(backbone, num_classes, min_size=min_size, max_size=max_size)


def theirs_ready(model: Any, size: int) -> Callable[[], object]:
    """A call of a detector of torchvision, with the threshold that `PASSING` of its scores pass."""
    heads: list[dict[str, Tensor]] = []
    watched = model.head.register_forward_hook(lambda _module, _given, out: heads.append(out))
    work = partial(_run, model, _image(size))
    work()
    watched.remove()
    scores = heads[0]["cls_logits"].sigmoid()
    if "bbox_ctrness" in heads[0]:
        scores = (scores * heads[0]["bbox_ctrness"].sigmoid()).sqrt()
    model.score_thresh = threshold(scores)
    return work


def threshold(scores: Tensor) -> float:
    """What `PASSING` of these probabilities pass."""
    return float(scores.flatten().topk(PASSING + 1).values[-1])


def busy(scores: Tensor) -> Tensor:
    """Scores as on a photograph with ten objects: around each of them all anchors of its class pass."""
    generator = torch.Generator().manual_seed(0)
    out = torch.full_like(scores, -12.0)
    row, column = (torch.arange(side, device=scores.device) for side in scores.shape[3:])
    for label in torch.randperm(CLASSES, generator=generator)[:10]:
        y, x = (torch.rand(2, generator=generator) * torch.tensor(scores.shape[3:])).tolist()
        away = (row[:, None] - y) ** 2 + (column - x) ** 2
        out[:, label] += 13 * torch.exp(-away / 40) * (1 - 0.02 * scores[:, label].sigmoid())
    return out


def _ready(network: nn.Module, layout: torch.memory_format = torch.channels_last) -> Any:
    return network.eval().to(pick_device("auto")).to(memory_format=layout)  # pyright: ignore[reportCallIssue]


def _image(size: int) -> Tensor:
    image = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    return image.to(pick_device("auto")).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def _run(network: nn.Module, image: Tensor) -> Any:
    return network(image)


def _macs(work: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 2e9
