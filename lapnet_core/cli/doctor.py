"""`lapnet doctor`: what this machine has, what it can run, and how long that takes, measured here."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lapnet_core.config import PRESETS, TrainConfig

MINUTE, HOUR, DAY = 60, 3600, 86400
LAB_PACKAGES = ("jupyterlab", "ipywidgets", "matplotlib", "plotly", "anywidget")
DATA_FOLDERS = ("bccd", "coco_tiny", "voc_animals", "voc", "VOCdevkit", "coco")
TRIED = {"laptop_scenes": 7, "laptop_bccd": 3, "small_photos": 6, "paper_voc_darknet53": 20}
"""Presets that are timed, with their number of classes."""
WORTH_IT = 1.15
"""From this gain on bfloat16 is taken: less is within what two timings differ by."""


@dataclass(frozen=True)
class Doctor:
    """What this machine has, what it can run, and how long that takes."""

    quick: bool = False
    """Leave the timing out."""

    def run(self, given: Sequence[str]) -> int:
        print(report(self.quick))
        return 0


def duration(seconds: float) -> str:
    """A length of time as a person says it."""
    for unit, name in ((DAY, "days"), (HOUR, "hours"), (MINUTE, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} seconds"


def machine() -> list[str]:
    """One line each about Python, packages, processor, GPU, memory, disk and data."""
    import torch

    from lapnet_core.data.download import data_dir

    lines = [
        f"Python {platform.python_version()} at {sys.executable}",
        f"torch {torch.__version__}, torchvision {importlib.metadata.version('torchvision')}, "
        f"timm {importlib.metadata.version('timm')}",
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads in use",
    ]
    if torch.cuda.is_available():
        for k in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(k)
            lines.append(f"GPU {k}: {about.name}, {about.total_memory / 2**30:.0f} GiB")
    else:
        lines.append("no GPU: training runs on the processor")
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        lines.append(f"memory {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB")
    folder = data_dir()
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    problem = "" if folder.is_dir() else ", which is no folder" if folder.exists() else ", which is not there"
    lines.append(f"data in {folder}{problem}: {shutil.disk_usage(existing).free / 2**30:.0f} GiB free")
    found = [name for name in DATA_FOLDERS if (folder / name).is_dir()]
    lines.append(f"data sets there: {', '.join(found) or 'none'}; scenes need none")
    missing = [name for name in LAB_PACKAGES if importlib.util.find_spec(name) is None]
    lines.append(
        f"notebooks: missing {', '.join(missing)} (pip install 'lapnet-core[lab]')" if missing else "notebooks: ready"
    )
    return lines


def training_time(config: TrainConfig, num_classes: int) -> tuple[float, float]:
    """(seconds of a step, seconds of the whole training). A large backbone is timed with one image, and scaled."""
    from lapnet_core.timing import step_seconds

    batch = 1 if config.backbone == "darknet53" else config.batch_size
    tried = replace(config, batch_size=batch, weights="none")
    per_step = step_seconds(tried, num_classes, repeats=2) * config.batch_size / batch
    return per_step, per_step * config.steps


def report(quick: bool = False) -> str:
    """The whole report. `quick` leaves the timing out."""
    from lapnet_core.timing import bfloat16_gain

    lines = ["This machine", *(f"  {line}" for line in machine())]
    if not quick:
        lines.append("Training, as timed just now on made-up images (reading data comes on top)")
        times = {name: training_time(PRESETS[name](), classes) for name, classes in TRIED.items()}
        for name, (per_step, total) in times.items():
            config = PRESETS[name]()
            size, speed = "x".join(map(str, config.image_size)), config.batch_size / per_step
            told = f"  {name:20} {size:8} {config.steps:7} steps of {per_step:7.2f} s, {speed:6.1f} images/s"
            lines.append(f"{told}: {duration(total)}")
        for name in sorted({"laptop_scenes", "small_photos"} & set(TRIED)):
            config = replace(PRESETS[name](), weights="none")
            gain = bfloat16_gain(config, TRIED[name])
            verdict = "bfloat16 pays, and `lapnet train` takes it" if gain > WORTH_IT else "bfloat16 does not pay"
            lines.append(f"  {config.backbone} with --amp: {gain:.2f} times as fast; {verdict}")
    lines.append(f"Presets: {', '.join(PRESETS)}")
    return "\n".join(lines)
