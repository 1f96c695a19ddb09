"""Everything that a training depends on, in one frozen dataclass; presets are functions."""

import json
import math
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from lapnet_core.options import LapNetOptions, check_types, told
from lapnet_core.peers import METHODS


@dataclass(frozen=True)
class TrainConfig:
    """One training, from the data to the last step. `lapnet train --help` shows these as flags."""

    method: Annotated[str, tyro.conf.arg(help=f"The detector: {', '.join(METHODS)}.")] = "lapnet"
    """The detector, by its name in `peers.METHODS`."""
    data: str = "scenes"
    """scenes, voc, coco, or a folder of photographs with annotations (VOC, COCO, YOLO, CVAT, CreateML, LabelMe, CSV) by
    its path or its name in LAPNET_DATA; `lapnet data check` looks through it."""
    split: str = "train"
    """The part of the data that is trained on: train, or trainval where the data has it."""
    on_error: Literal["raise", "skip"] = "raise"
    """What a faulty annotation or image does: stop with an error, or be skipped, counted and reported."""
    image_size: tuple[int, int] = (192, 192)
    """(height, width) of the network input in pixels, multiples of 32. Images are stretched to it."""
    backbone: str = "light"
    """light, darknet53, inception_resnet_v2, or any timm model with maps at strides 8, 16 and 32."""
    weights: str = "none"
    """Start of the backbone: none, imagenet, a file or a URL."""
    frozen: int = 0
    """So many stages of the backbone do not learn: 2 freezes all up to stride 4. For pretrained weights."""
    widths: tuple[int, int, int] | None = None
    """(decoder, level, head) channels behind the backbone; none takes those that fit it (`model.WIDTHS`)."""
    lapnet: LapNetOptions = field(default_factory=LapNetOptions)
    """What only LapNet has."""

    batch_size: int = 8
    """Images per step, over all processes."""
    steps: int = 2000
    """Optimiser steps."""
    lr: float = 0.005
    """Initial learning rate; it falls to zero as (1 - step/steps)^power."""
    momentum: float = 0.9
    power: float = 0.9
    weight_decay: float = 0.0005
    """On convolution weights only; paper is silent, this is DarkNet's. Never on a balance weight, a bias or a norm."""
    warmup: int = 0
    """Steps over which the learning rate rises from zero. Paper is silent: none."""
    clip_norm: float = 0.0
    """Gradients of the network are clipped to this norm; 0 turns it off."""
    scale: tuple[float, float] = (0.5, 1.5)
    """Random scale of an image about the network input (paper 4; range is ours)."""
    color: float = 0.0
    """Strength of random brightness, contrast and saturation; the paper has none."""
    flip: float = 0.5
    """Probability of a horizontal flip."""

    seed: int = 0
    workers: int = 0
    """Processes that load images beside the training. The result does not depend on it."""
    device: str = "auto"
    """auto takes CUDA where there is one."""
    amp: bool = False
    """bfloat16 autocast of the network; the losses stay float32. `lapnet train` turns it on by itself where it pays."""
    out: str = ""
    """Folder of the run; empty: runs/<data>-<backbone>-<seed>, with the method where it is not lapnet."""
    save_every: int = 500
    """Steps between checkpoints."""
    log_every: int = 20
    """Steps between lines of the log."""
    tensorboard: bool = False
    """Write the log's numbers for TensorBoard, too, into the run folder."""

    val_every: int = 0
    """Steps between validations, mAP on val_split; the best model so far is kept as best.safetensors. 0: none."""
    val_split: str = "val"
    """The part of the data that is validated on: none that is trained on, and never test."""
    patience: int = 0
    """End after so many validations, one after the other, that brought nothing better. 0: never."""
    ema: float = 0.0
    """Validate and save a moving average of the weights with this decay, such as .999. 0: the weights themselves."""
    accumulate: int = 1
    """Parts that a batch goes through the network in, one after the other, where memory is short. Losses count their
    objects by part, and are averaged."""

    def __post_init__(self) -> None:
        check_types(self)
        height, width = self.image_size
        checks = {
            "image_size: multiples of 32": height % 32 == 0 and width % 32 == 0 and height > 0 and width > 0,
            "batch_size, steps, save_every, log_every, accumulate: at least 1": min(
                self.batch_size, self.steps, self.save_every, self.log_every, self.accumulate
            )
            >= 1,
            "batch_size, accumulate: a batch must fall into equal parts": self.batch_size % max(1, self.accumulate)
            == 0,
            "image_size, batch_size, accumulate: batch normalisation needs more than one cell of 32 px in a part": (
                height * width * self.batch_size > self.accumulate * 32 * 32
            ),
            f"method: one of {', '.join(METHODS)}": self.method in METHODS,
            "frozen: 0 to 5 stages": 0 <= self.frozen <= 5,
            "widths: at least 1": self.widths is None or min(self.widths) >= 1,
            "seed: 0 to 2^32 - 1, as torch's generator takes it": 0 <= self.seed < 2**32,
            "lr: above 0, at most a million": 0 < self.lr <= 1e6,
            "momentum: 0 or more, below 1": 0 <= self.momentum < 1,
            "power, weight_decay, warmup, clip_norm, color, workers: not below 0": min(
                self.power, self.weight_decay, self.warmup, self.clip_norm, self.color, self.workers
            )
            >= 0,
            f"{infinite(self)}: finite": not infinite(self),
            "val_every, patience: not below 0": min(self.val_every, self.patience) >= 0,
            "patience, val_every: patience counts validations, so it needs --val-every": bool(
                self.val_every or not self.patience
            ),
            "val_split: not test, which is for `lapnet evaluate` when all is decided": not self.val_split.startswith(
                "test"
            ),
            "split, val_split: validation needs images that are not trained on; train on --split train": not (
                self.val_every and parts_of(self.split) & parts_of(self.val_split)
            ),
            "ema: 0 or more, below 1": 0 <= self.ema < 1,
            "scale: 0 < low <= high": 0 < self.scale[0] <= self.scale[1],
            "flip: 0 to 1": 0 <= self.flip <= 1,
        }
        for rule, holds in checks.items():
            if not holds:
                raise ValueError(f"config: {rule}; got {told(self, rule)}")

    @property
    def run_dir(self) -> Path:
        """Folder of the run."""
        data, method = Path(self.data).expanduser().resolve().name, "" if self.method == "lapnet" else f"{self.method}-"
        return Path(self.out or f"runs/{data}-{method}{self.backbone}-{self.seed}")

    def with_options(self, **changes: Any) -> "TrainConfig":
        """A copy with other values, of this config's fields or of `lapnet`'s; TypeError for any other name."""
        nested = {field.name for field in fields(LapNetOptions)} & set(changes)
        own = {name: value for name, value in changes.items() if name not in nested}
        return replace(self, lapnet=replace(self.lapnet, **{name: changes[name] for name in nested}), **own)

    def to_json(self) -> str:
        """As JSON; `from_json` reads it back."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "TrainConfig":
        """ValueError for a field that this version does not know."""
        values: dict[str, Any] = json.loads(text)
        # Until version 0.1 LapNet's switches lay beside the others.
        nested = {field.name: values.pop(field.name) for field in fields(LapNetOptions) if field.name in values}
        nested |= values.pop("lapnet", {})
        unknown = (set(values) - {field.name for field in fields(cls)}) | (
            set(nested) - {field.name for field in fields(LapNetOptions)}
        )
        if unknown:
            raise ValueError(f"config has unknown fields {sorted(unknown)}: it was written by another version")
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**given, lapnet=LapNetOptions(**nested))


def parts_of(split: str) -> set[str]:
    """The splits whose images a split has."""
    return {"train", "val"} if split == "trainval" else {split}


def infinite(options: object) -> str:
    """The first field that holds a number which is infinite or NaN, alone or in a pair; empty where there is none."""
    for name, value in vars(options).items():
        for x in value if isinstance(value, tuple) else (value,):
            if isinstance(x, float) and not math.isfinite(x):
                return name
    return ""


def laptop_scenes() -> TrainConfig:
    """The embedded scenes, minutes on two CPU cores."""
    return TrainConfig(
        data="scenes", image_size=(192, 192), batch_size=8, steps=1500, lr=0.02, warmup=50, clip_norm=10.0
    )


def tiny_scenes() -> TrainConfig:
    """The embedded scenes in about a minute on two CPU cores: the training of the first notebook, chosen on val."""
    return replace(
        laptop_scenes(), image_size=(160, 160), steps=640, lr=0.1, warmup=0, clip_norm=1.0, scale=(0.8, 1.25)
    )


def laptop_bccd() -> TrainConfig:
    """BCCD blood cells from scratch, under 20 minutes on two CPU cores. Two of its boxes are single pixels: skipped.

    Size, steps and lr were chosen by training on BCCD's train and looking at its val; test played no part.
    """
    return TrainConfig(
        data="bccd", split="trainval", on_error="skip", image_size=(224, 288), batch_size=8, steps=2500, lr=0.05,
        warmup=100, clip_norm=10.0,
    )  # fmt: skip


def small_photos() -> TrainConfig:
    """Photographs of one's own: a small backbone from ImageNet weights, 192 px, under half an hour on two cores.

    Assignment, balance, lr and depth are the best of those tried on voc_animals' val (`lapnet ablate`, data/runs): PONO
    with AMS that begins gently, as the paper's starves small objects on schedules of this length; one convolution in
    each stack, where the paper's four would still be learning; and learned weights that do not drift, and give what is
    seldom seen an even say. With a third of the steps this AMS costs AP50 as much as it gains AP75.
    """
    return TrainConfig(
        image_size=(192, 192), backbone="tf_efficientnet_lite0", weights="imagenet", frozen=2, batch_size=8, steps=4500,
        lr=0.04, warmup=100, clip_norm=10.0, val_every=500,
        lapnet=LapNetOptions(balance="even", ams_rule="annealed", depth=1),
    )  # fmt: skip


def paper_voc_darknet53() -> TrainConfig:
    """Paper 4.1: VOC 2007+2012 trainval, 512 px, 120K iterations, 4 GPUs with a global batch of 28."""
    return TrainConfig(
        data="voc", split="trainval", image_size=(512, 512), backbone="darknet53", weights="imagenet", batch_size=28,
        steps=120_000, lr=0.005, workers=8, save_every=5000, log_every=50,
        lapnet=LapNetOptions(balance_lr=1.0, loss_weight_lr=1.0),
    )  # fmt: skip


def paper_voc_inception_resnet_v2() -> TrainConfig:
    """Paper 4.1 with Inception-ResNet-v2: a global batch of 16."""
    return replace(paper_voc_darknet53(), backbone="inception_resnet_v2", batch_size=16)


def paper_coco_darknet53() -> TrainConfig:
    """Paper 4.2: COCO 2017, 512 px, 500K iterations. Two of its 860,001 boxes have no height: skipped and reported."""
    return replace(paper_voc_darknet53(), data="coco", split="train", steps=500_000, on_error="skip")


def paper_coco_darknet53_608() -> TrainConfig:
    """Paper 4.2: COCO 2017 at 608 px."""
    return replace(paper_coco_darknet53(), image_size=(608, 608))


PRESETS = {
    preset.__name__: preset
    for preset in (
        tiny_scenes, laptop_scenes, laptop_bccd, small_photos, paper_voc_darknet53, paper_voc_inception_resnet_v2,
        paper_coco_darknet53, paper_coco_darknet53_608,
    )
}  # fmt: skip


def preset_for(data: str) -> TrainConfig:
    """Where `lapnet train --data DATA` starts from."""
    match data:
        case "scenes":
            return laptop_scenes()
        case "voc":
            return paper_voc_darknet53()
        case "coco":
            return paper_coco_darknet53()
        case "bccd":
            return laptop_bccd()
        case _:
            return replace(small_photos(), data=data)
