"""What is trained and on what; recorded runs, and numbers read off their logs."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lapnet_core.boxes import paired_iou
from lapnet_core.config import PRESETS, TrainConfig, preset_for, tiny_scenes
from lapnet_core.data import Detection, Target
from lapnet_core.data.named import Images, open_dataset, splits_of
from lapnet_core.options import LapNetOptions
from lapnet_core.scenes import Scenes
from lapnet_core.validation import decay_after
from lapnet_lab.records import DATA

Line = dict[str, Any]
"""Of a log: its step, and either the numbers of `Method.progress` or `val_map`."""
TINY_STEPS, TINY_SIZE, TINY_SCENES, TINY_HELD = 200, 96, 240, 60


def plan(data: str, tier: str, out: Path | str = "") -> TrainConfig:
    """The preset of the data, with four validations on the way where the data has something to validate on.

    The tiny tier trains so few steps that they are seen, not that they suffice: of the scenes small ones.

    Args:
        data: scenes, bccd, voc, coco, or a folder of photographs; as `TrainConfig.data`.
        out: folder of the run.
    """
    config = preset_for(data)
    if tier == "tiny" and data == "scenes":
        config = replace(tiny_scenes(), image_size=(TINY_SIZE, TINY_SIZE))
    if tier == "tiny":
        config = replace(config, steps=TINY_STEPS, log_every=10)
    if "val" in splits_of(data):  # where the preset trains on trainval, too: one wants to see how it is getting on
        config = replace(config, split="train", val_every=config.steps // 4)
    return replace(config, out=str(out))


def open_images(config: TrainConfig, tier: str) -> tuple[Images, Images | None]:
    """What is trained on, and what is validated on. In the tiny tier a few scenes, which are kept once they are drawn:
    drawing takes as long as learning."""
    if tier == "tiny" and config.data == "scenes":
        few = {"train": TINY_SCENES, "val": TINY_HELD}
        train, held = (Scenes(n, size=config.image_size, split=split, keep=True) for split, n in few.items())
        return train, held
    given: Any = {"image_size": config.image_size, "on_error": config.on_error}
    dataset = open_dataset(config.data, config.split, **given)
    if not config.val_every:
        return dataset, None
    names = tuple(dataset.class_names)
    return dataset, open_dataset(config.data, config.val_split, class_names=names, **given)


def shipped_config() -> TrainConfig:
    """What the shipped detector of the scenes was trained by."""
    return tiny_scenes().with_options(
        image_size=(192, 192), steps=2200, val_every=200, save_every=100, ams=False, balance="steady"
    )


LONGEST = 96
"""Letters of a command's line, before it goes on in the next."""


def command(config: TrainConfig) -> str:
    """The command line that trains what the config says, with as few flags as it takes."""
    starts = {f"--preset {name}": preset() for name, preset in PRESETS.items()}
    starts[f"--data {shlex.quote(config.data)}"] = preset_for(config.data)
    start, *flags = min(([start, *_flags(config, begin)] for start, begin in starts.items()), key=len)
    lines = [f"lapnet train {start}"]
    for flag in flags:
        if len(lines[-1]) + len(flag) < LONGEST:
            lines[-1] += f" {flag}"
        else:
            lines.append(f"    {flag}")
    return " \\\n".join(lines)


def _flags(config: TrainConfig, start: TrainConfig) -> list[str]:
    pairs = [(config, start, TrainConfig), (config.lapnet, start.lapnet, LapNetOptions)]
    flags = []
    for new, old, kind in pairs:
        for name in (field.name for field in fields(kind) if field.name != "lapnet"):
            value, flag = getattr(new, name), name.replace("_", "-")
            if value == getattr(old, name):
                continue
            if isinstance(value, bool):
                flags.append(f"--{flag}" if value else f"--no-{flag}")
            else:
                values = value if isinstance(value, tuple) else (value,)
                flags.append(f"--{flag} {' '.join(shlex.quote(str(part)) for part in values)}")
    return flags


def runs(name: str, data: Path = DATA) -> dict[str, list[Line]]:
    """The recorded logs of data/runs/training_NAME.jsonl, by run."""
    found: dict[str, list[Line]] = {}
    for text in (data / "runs" / f"training_{name}.jsonl").read_text("utf-8").splitlines():
        line = json.loads(text)
        found.setdefault(line.pop("run"), []).append(line)
    return found


def column(log: Sequence[Line], name: str) -> tuple[list[int], list[float]]:
    """(Steps, values) of the lines that have a number of that name."""
    lines = [line for line in log if name in line]
    return [line["step"] for line in lines], [line[name] for line in lines]


def smoothed(values: Sequence[float], over: int = 5) -> list[float]:
    """Each value with those before it, at most `over` of them: their mean."""
    return [sum(part) / len(part) for k in range(len(values)) if (part := values[max(0, k - over + 1) : k + 1])]


def wander(steps: int = 400, falling: bool = False, rate: float = 0.1, seed: int = 0) -> list[float]:
    """One weight that noisy gradients pull from 0 to 1, before the first step and after each: a training as a toy.

    falling: whether the rate falls to zero, as LapNet's does, or stays.
    """
    noise = torch.randn(steps, generator=torch.Generator().manual_seed(seed)).tolist()
    path = [0.0]
    for step, stray in enumerate(noise):
        path.append(path[-1] - rate * (1 - falling * step / steps) * (path[-1] - 1 + stray))
    return path


def averaged(path: Sequence[float], decay: float, gently: bool = True) -> list[float]:
    """The moving average of a path, as `--ema` has it.

    gently: the decay starts small and rises, as the library's (`validation.decay_after`); else it is the same from the
        first step on.
    """
    average = [path[0]]
    for step, value in enumerate(path[1:], 1):
        d = decay_after(step, decay) if gently else decay
        average.append(d * average[-1] + (1 - d) * value)
    return average


class Stop(NamedTuple):
    """Where a training ends by patience."""

    ended: int
    """Step of its last validation."""
    best: int
    """Step of the best one until then."""
    val_map: float
    """... and its mAP."""


def stop(steps: Sequence[int], maps: Sequence[float], patience: int) -> Stop:
    """Where `patience` ends a training that is validated at `steps` with the results `maps`; 0 never does."""
    best, stale = 0, 0
    for k, value in enumerate(maps):
        best, stale = (k, 0) if k == 0 or value > maps[best] else (best, stale + 1)
        if 0 < patience <= stale:
            return Stop(steps[k], steps[best], maps[best])
    return Stop(steps[-1], steps[best], maps[best])


class Hits(NamedTuple):
    """What detections are worth on one picture."""

    found: int
    """Objects with a detection of their class and an IoU of at least .5."""
    objects: int
    false: int
    """Detections that are left over: of nothing, of another class, of an object that was found before."""


def hits(detection: Detection | Mapping[str, Tensor], target: Target) -> Hits:
    """Detections, the most confident first, take the free object of their class that they overlap most."""
    free, count = torch.ones(len(target["boxes"]), dtype=torch.bool), 0
    for k in detection["scores"].argsort(descending=True).tolist():
        possible = free & (target["labels"] == detection["labels"][k])
        if not possible.any():
            continue
        truth = target["boxes"].as_subclass(Tensor).float()
        overlap = paired_iou(detection["boxes"][k].expand_as(truth).float(), truth) * possible
        if overlap.max() >= 0.5:
            free[overlap.argmax()] = False
            count += 1
    return Hits(count, len(free), len(detection["scores"]) - count)


def confident(detection: Mapping[str, Any], threshold: float) -> Detection:
    """The detections with at least that score, as tensors."""
    scores = torch.as_tensor(detection["scores"], dtype=torch.float32)
    keep = scores >= threshold
    boxes = torch.as_tensor(detection["boxes"], dtype=torch.float32).view(-1, 4)
    labels = torch.as_tensor(detection["labels"], dtype=torch.int64)
    return Detection(boxes=boxes[keep], scores=scores[keep], labels=labels[keep])


def snapshots(data: Path = DATA) -> dict[int, dict[int, Line]]:
    """What the shipped detector of the scenes found while it was trained: step -> test scene -> detections."""
    found: dict[int, dict[int, Line]] = {}
    for line in runs("snapshots", data)["scenes"]:
        found.setdefault(line["step"], {})[line["scene"]] = line
    return found
