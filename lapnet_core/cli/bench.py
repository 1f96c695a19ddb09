"""`lapnet bench`."""

import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional

from lapnet_core.bench import PARTS, Part

LONGEST = {True: 4.0, False: 60.0}
"""Seconds after which a line takes no further turn, quick and not."""


@dataclass(frozen=True)
class Bench:
    """LapNet's parts beside what one would take instead: lapnet bench --quick takes under 2 minutes on two cores.

    Or images/s of one network: lapnet bench --model runs/mine, or --backbone darknet53 for one that is not trained.
    """

    parts: Annotated[tuple[Part, ...], Positional] = field(default=())
    """Which to measure; none: all."""
    quick: Annotated[bool, FlagCreatePairsOff] = False
    """Smaller and shorter."""
    json: Path | None = None
    """Write all figures, machine and versions here; a name that is taken gets a number."""
    threads: int = 0
    """Threads of torch. 0: as many as it takes by itself."""
    strict: Annotated[bool, FlagCreatePairsOff] = False
    """End with status 1 where a limit is missed."""
    model: Path | None = None
    """A trained model: model.safetensors, best.safetensors, or the run folder that holds the first; or what
    `lapnet export` wrote (ONNX)."""
    backbone: str = ""
    """An untrained LapNet with this backbone: light, darknet53, or any that `lapnet train` takes."""
    image_size: tuple[int, int] | None = None
    """Of one network: (height, width) of its input in pixels; none: the model's own, or 512 512."""
    num_classes: int | None = None
    """Of an untrained LapNet; none: 20."""
    repeats: int | None = None
    """Of one network; none: 5."""
    device: str | None = None
    """Of one network; none: CUDA where there is one."""

    def run(self, given: Sequence[str]) -> int:
        import torch

        from lapnet_core.inputs import check_number

        check_number("--threads", self.threads, 0, whole=True)
        one = " or ".join(_given(self, "model", "backbone"))
        lines = _given(self, "quick", "json", "strict")
        details = _given(self, "image_size", "num_classes", "repeats", "device")
        if self.model and self.backbone:
            raise ValueError("give one of --model and --backbone")
        if one and self.parts:
            raise ValueError(f"{one} times one network; PARTS go without it")
        if one and lines:
            raise ValueError(f"{one} times one network; {lines[0]} goes without it")
        if details and not one:
            raise ValueError(f"{details[0]} goes with --model or --backbone")
        if self.model and self.num_classes is not None:
            raise ValueError("--num-classes goes with --backbone; a trained model has its own")
        if self.threads:
            torch.set_num_threads(self.threads)
        return self._network() if one else self._lines()

    def _lines(self) -> int:
        """Measure the parts; what was measured is told and written also where it is broken off."""
        from lapnet_core.bench.line import Result, run
        from lapnet_core.bench.table import about, as_json, closing, header, opening, row
        from lapnet_core.files import check_writable, write_new, wrote

        if self.json:
            check_writable(self.json)
        here, start, ended = about(), time.monotonic(), False
        width = min(120, shutil.get_terminal_size((100, 24)).columns)
        clear = "\x1b[2K" if sys.stdout.isatty() else ""  # of the line of a terminal: what is measured stands there
        results: list[tuple[str, Result]] = []
        left_out: dict[str, str] = {}
        print(f"{opening(here)}\n\n{header(width)}")
        try:
            for part in self.parts or PARTS:
                print(f"\n{part}", flush=True)
                try:
                    for line in import_module(f"lapnet_core.bench.{part}").lines(self.quick):
                        if clear:
                            print(f"{clear}  {line.what} ..."[:width], end="\r", flush=True)
                        results.append((part, run(line, LONGEST[self.quick])))
                        print(clear + row(results[-1][1], width), flush=True)
                except ModuleNotFoundError as error:
                    if (error.name or "lapnet_core").startswith("lapnet_core"):
                        raise
                    left_out[part] = f"{error.name} is not installed"
                    print(f"  left out: {left_out[part]}")
            ended = True
        except KeyboardInterrupt:
            print(f"{clear}interrupted")
        finally:
            print("\n" + closing([result for _, result in results], time.monotonic() - start))
            if self.json:
                about_it = {**here, "quick": self.quick, "complete": ended, "left_out": left_out}
                text = json.dumps({**about_it, "lines": [as_json(part, one) for part, one in results]}, indent=1) + "\n"
                print(wrote(self.json, write_new(self.json, lambda file: file.write_text(text, encoding="utf-8"))))
        missed = any(result.holds is False for _, result in results)
        return int(self.strict and missed) if ended else 130

    def _network(self) -> int:
        """Time one network from its input to its detections."""
        from lapnet_core.bench.network import speed, untrained
        from lapnet_core.detector import Detector
        from lapnet_core.inputs import check_number
        from lapnet_core.processes import pick_device

        classes = 20 if self.num_classes is None else self.num_classes
        repeats = 5 if self.repeats is None else self.repeats
        check_number("--num-classes", classes, 1, whole=True)
        check_number("--repeats", repeats, 1, whole=True)
        device = pick_device(self.device or "auto")
        if self.model:
            detector = Detector.load(self.model, device)
            detector = replace(detector, image_size=self.image_size or detector.image_size)
        else:
            detector = untrained(self.backbone, classes, self.image_size or (512, 512), device)
        print(f"{self.model or self.backbone}, {speed(detector, repeats)}")
        return 0


def _given(command: Bench, *names: str) -> list[str]:
    """Those of the flags that are not as by default, as they are written."""
    return [f"--{name.replace('_', '-')}" for name in names if getattr(command, name) != getattr(Bench, name)]
