"""`lapnet train`."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import tyro

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

        result = train(self.config, resume=self.resume)
        if result.interrupted:
            again = given if self.resume else [*given, "--resume"]
            print(f"stopped; go on with: lapnet {shlex.join(again)}")
            return 130
        others = ", ".join(
            sorted({"log.jsonl", *result.method.files(result.detector.class_names, self.config.image_size)})
        )
        print(f"trained: {self.config.run_dir / 'model.safetensors'}; beside it {others}")
        return 0


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
