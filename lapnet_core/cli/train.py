"""`lapnet train`."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import tyro

from lapnet_core.cli.doctor import duration
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
    """Go on with the run in --out."""
    config: TrainConfig = field(default_factory=TrainConfig)

    def run(self, given: Sequence[str]) -> int:
        from lapnet_core.train import train

        if hint := bfloat16_hint(self.config):
            print(hint)
        result = train(self.config, resume=self.resume)
        again = given if self.resume else [*given, "--resume"]
        told = [f"stopped; go on with: lapnet {shlex.join(again)}"] if result.interrupted else closing(result)
        if os.environ.get("RANK", "0") == "0":  # under torchrun one of them tells
            print("\n".join(told))
        return 130 if result.interrupted else 0


LONG = 1000
"""Steps from which on a training is long enough for a word on how to make it shorter."""


def bfloat16_hint(config: TrainConfig) -> str:
    """What is said before a long training in float32 on a processor that has bfloat16; else nothing. On voc_animals it
    costs nothing that could be seen, AP50 .402 on val as against .403, three seeds each; but as a default it would let
    a training's numbers depend on the machine."""
    import torch

    on_gpu = config.device.startswith("cuda") or (config.device == "auto" and torch.cuda.is_available())
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # torch has no public name for them
    if config.amp or on_gpu or config.steps < LONG or os.environ.get("RANK", "0") != "0":
        return ""
    if not any(getattr(torch.cpu, name, bool)() for name in asked):
        return ""
    return "this processor has bfloat16: --amp may be faster (`lapnet doctor` times it), and is as accurate"


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
    """The two flags that decide what the others are by default."""

    preset: str = ""
    data: str = ""


def start_of(given: Sequence[str]) -> TrainConfig:
    """The config that the flags of `lapnet train` change: the preset's, or what suits the data.

    Raises:
        ValueError: there is no such preset.
    """
    if list(given[:1]) != ["train"]:
        return TrainConfig()
    try:
        start, _ = tyro.cli(Start, args=given[1:], return_unknown_args=True, add_help=False, console_outputs=False)
    except SystemExit:  # a flag without its value: the whole parser says so, with its own help
        start = Start()
    if start.preset and start.preset not in PRESETS:
        raise ValueError(f'no preset is called "{start.preset}"; there are {", ".join(PRESETS)}')
    return PRESETS[start.preset]() if start.preset else preset_for(start.data or "scenes")
