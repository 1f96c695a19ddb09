"""What a training leaves on the disk: log.jsonl and last.pt. A file is replaced as a whole or not at all."""

import json
import os
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lapnet_core.config import TrainConfig
from lapnet_core.files import write_whole

MAY_CHANGE = ("out", "workers", "device", "save_every", "log_every")
"""Fields of the config that may differ when a training is resumed; none of them changes the result."""


class RunLog:
    """log.jsonl: a header line with the config and the machine, then a line every `log_every` steps.

    `lines` holds what is kept of an earlier part of the training: the lines up to step `first`; those after it belong
    to steps that are about to be repeated.
    """

    def __init__(self, folder: Path, config: TrainConfig, class_names: tuple[str, ...], first: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "log.jsonl"
        self.lines: list[dict[str, Any]] = []
        if first and self.path.exists():
            earlier = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()[1:]]
            self.lines = [line for line in earlier if line["step"] <= first]
        header = {
            "config": json.loads(config.to_json()),
            "class_names": class_names,
            "torch": torch.__version__,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        }
        text = "".join(json.dumps(line) + "\n" for line in [header, *self.lines])
        write_whole(self.path, lambda part: part.write_text(text, encoding="utf-8"))

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
        was, is_now = _flat(same), _flat(config)
        told = ", ".join(f"{name} ({was[name]}, not {is_now[name]})" for name in was if was[name] != is_now[name])
        raise ValueError(f"{path} was trained with another {told}")
    return _of_version_0_1(content, saved) if "trainee" in content else content


def _flat(config: TrainConfig) -> dict[str, Any]:
    """Every field by its own name, LapNet's too."""
    return {**{name: value for name, value in vars(config).items() if name != "lapnet"}, **vars(config.lapnet)}


def _of_version_0_1(content: dict[str, Any], config: TrainConfig) -> dict[str, Any]:
    """A checkpoint of version 0.1, which knew LapNet alone, as today's."""
    state = {
        name.replace("loss.", "criterion.", 1) if name.startswith("loss.") else name: tensor
        for name, tensor in content["trainee"].items()
    }
    classes, anchors, _ = content["shapes"].shape
    loss = {name: getattr(config.lapnet, name) for name in ("balance", "ams", "overlap", "rescue")}
    about = {"num_classes": classes, "per_class": anchors, "backbone": config.backbone, "loss": loss}
    return {**content, "about": about, "state": {**state, "shapes": content["shapes"]}}
