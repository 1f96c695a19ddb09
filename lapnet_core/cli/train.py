"""`lapnet train`."""

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from lapnet_core.cli.doctor import WORTH_IT, duration
from lapnet_core.config import PRESETS, TrainConfig, preset_for


def about_presets() -> str:
    """The help of --preset: each one in a line, the first of its docstring."""
    lines = (f"{name}: {(preset.__doc__ or '').splitlines()[0]}" for name, preset in PRESETS.items())
    return "\n\n".join(("Where the other flags start from; empty: what suits --data.", *lines))


@dataclass(frozen=True)
class Train:
    """Train a detector: --data scenes | bccd | voc | coco | coco_tiny | FOLDER, or --preset NAME."""

    preset: Annotated[str, tyro.conf.arg(help=about_presets())] = ""
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Go on with the run in --out, which knows the other flags."""
    config: TrainConfig = field(default_factory=TrainConfig)

    def run(self, given: Sequence[str]) -> int:
        from lapnet_core.train import train

        config, said = self.config, ""
        if not {"--amp", "--no-amp"} & set(given):
            config, said = with_bfloat16(config, self.resume)
        if config.warmup > config.steps and not self.resume:
            late = f"the learning rate never reaches {config.lr:g} (--warmup 0 begins with it)"
            print(f"the warm-up of {config.warmup} steps is longer than the training: {late}")
        if said:
            print(said)
        result = train(config, resume=self.resume)
        again = given if self.resume else [*given, "--resume"]
        told = [f"stopped; go on with: lapnet {shlex.join(again)}"] if result.interrupted else closing(result)
        if os.environ.get("RANK", "0") == "0":  # under torchrun one of them tells
            print("\n".join(told))
        return 130 if result.interrupted else 0


LONG = 1000
"""Steps from which on a training is long enough to find out what makes it shorter."""


def with_bfloat16(config: TrainConfig, resume: bool = False) -> tuple[TrainConfig, str]:
    """The config with `amp` where nobody has asked for it or against it, and what is said about it.

    A training that goes on has what it began with. Another is in bfloat16 where it is a long one of LapNet in one
    process on a processor with bfloat16, and its steps are `WORTH_IT` times as fast so, here and now. It costs nothing
    that could be seen: on photographs AP50 .402 on val as against .403, on blood cells .888 on test as against .888,
    three seeds each. `lapnet_core.train` and `lapnet ablate` never choose by themselves, so that their numbers do not
    depend on what a machine is good at.
    """
    import torch

    from lapnet_core.checkpoint import began_with

    if resume:
        return replace(config, amp=began_with(config.run_dir).get("amp", config.amp)), ""
    on_gpu = config.device.startswith("cuda") or (config.device == "auto" and torch.cuda.is_available())
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # torch has no public name for them
    has_it = any(getattr(torch.cpu, name, bool)() for name in asked)
    together = os.environ.get("WORLD_SIZE", "1") != "1"
    if config.amp or on_gpu or not has_it or together or config.steps < LONG or config.method != "lapnet":
        return config, ""
    from lapnet_core.data.named import splits_of
    from lapnet_core.timing import bfloat16_gain

    splits_of(config.data)  # data that is not there is told before, not some seconds later
    fit = 8 * 192**2 // (config.image_size[0] * config.image_size[1])  # a few seconds, whatever is trained
    tried = replace(config, weights="none", batch_size=max(1, min(config.batch_size, fit)), accumulate=1)
    gain = bfloat16_gain(tried, num_classes=20, repeats=3)
    if gain <= WORTH_IT:
        return config, ""
    told = f"in bfloat16, {gain:.1f} times as fast on this processor and as accurate; --no-amp trains in float32"
    return replace(config, amp=True), told


def closing(result: Any) -> list[str]:
    """What is said at the end of a training: what came of it, where it is, what next. `result` is a `Training`."""
    from lapnet_core.checkpoint import BEST
    from lapnet_core.detector import note_of

    config, took = result.config, duration(result.seconds)
    last, best = config.run_dir / "model.safetensors", config.run_dir / BEST
    validations = [line["val_map"] for line in result.log if "val_map" in line]
    if validations and (note := note_of(best)):
        use, worth = best, f"best mAP on {config.val_split} {note['val_map']:.3f}, at step {note['step']}: {best}"
        if validations[-1] < note["val_map"]:
            worth += f" (the last state, {last.name}, has {validations[-1]:.3f})"
    else:
        beside = {"log.jsonl", *result.method.files(result.detector.class_names, config.image_size)}
        use, worth = last, f"{last}; beside it {', '.join(sorted(beside))}"
    model, data = shlex.quote(str(use)), shlex.quote(config.data)
    return [
        f"trained in {took}; {worth}",
        f"next: lapnet evaluate {model} --data {data}, or lapnet predict {model} IMAGES",
    ]


@dataclass(frozen=True)
class Start:
    """The flags that decide what the others are by default."""

    preset: str = ""
    data: str = ""
    out: str = ""
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


def start_of(given: Sequence[str]) -> TrainConfig:
    """The config that the flags of `lapnet train` change: the preset's, or what suits the data; where a run is gone on
    with, its own.

    Raises:
        ValueError: there is no such preset.
    """
    if list(given[:1]) != ["train"]:
        return TrainConfig()
    try:
        start, _ = tyro.cli(Start, args=given[1:], return_unknown_args=True, add_help=False, console_outputs=False)
    except SystemExit:  # a flag without its value: the whole parser says so, with its own help
        start = Start()
    if start.resume and start.out and not (start.preset or start.data):
        from lapnet_core.checkpoint import began_with

        if began := began_with(Path(start.out)):
            return TrainConfig.from_json(json.dumps(began))
    if start.preset and start.preset not in PRESETS:
        raise ValueError(f'no preset is called "{start.preset}"; there are {", ".join(PRESETS)}')
    return PRESETS[start.preset]() if start.preset else preset_for(start.data or "scenes")
