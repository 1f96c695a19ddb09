"""What a training leaves on the disk: log.jsonl, anchors.json, last.pt. A file is replaced as a whole or not at all."""

import json
import os
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lapnet_core.anchors import AnchorFile
from lapnet_core.config import TrainConfig
from lapnet_core.detector import Detector
from lapnet_core.files import write_whole

MAY_CHANGE = ("out", "workers", "device", "save_every", "log_every")
"""Fields of the config that may differ when a training is resumed; none of them changes the result."""


class RunLog:
    """log.jsonl: a header line with the config and the machine, then a line every `log_every` steps.

    `lines` holds what is kept of an earlier part of the training: the lines up to step `first`; those after it belong
    to steps that are about to be repeated.
    """

    def __init__(self, folder: Path, config: TrainConfig, detector: Detector, first: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "log.jsonl"
        self.lines: list[dict[str, Any]] = []
        if first and self.path.exists():
            earlier = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()[1:]]
            self.lines = [line for line in earlier if line["step"] <= first]
        header = {
            "config": json.loads(config.to_json()),
            "class_names": detector.class_names,
            "torch": torch.__version__,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        }
        text = "".join(json.dumps(line) + "\n" for line in [header, *self.lines])
        write_whole(self.path, lambda part: part.write_text(text, encoding="utf-8"))
        made = AnchorFile(detector.class_names, detector.image_size, detector.shapes, "lapnet train")
        made.save(folder / "anchors.json")

    def write(self, line: dict[str, Any]) -> None:
        """Append one line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def save_checkpoint(path: Path, config: TrainConfig, content: dict[str, Any]) -> None:
    """Write `content` (tensors and plain values) with the config that it belongs to."""
    write_whole(path, lambda part: torch.save({**content, "config": config.to_json()}, part))


def load_checkpoint(path: Path, config: TrainConfig) -> dict[str, Any]:
    """What `save_checkpoint` wrote. Tensors only: a file from a stranger cannot run code.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it belongs to another config, by the fields that differ.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: there is nothing to resume")
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    saved = TrainConfig.from_json(content["config"])
    same = replace(saved, **{name: getattr(config, name) for name in MAY_CHANGE})
    if same != config:
        differing = {name: value for name, value in vars(same).items() if value != getattr(config, name)}
        told = ", ".join(f"{name} ({value}, not {getattr(config, name)})" for name, value in differing.items())
        raise ValueError(f"{path} was trained with another {told}")
    return content
