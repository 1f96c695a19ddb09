"""What a training leaves on the disk: log.jsonl, last.pt, previous.pt, the best model, TensorBoard's files. A file is
replaced as a whole or not at all."""

import json
import os
import platform
import shutil
import time
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lapnet_core.config import TrainConfig
from lapnet_core.files import alive, naming, not_finite, write_new, write_whole

LAST, PREVIOUS = "last.pt", "previous.pt"
"""The newest checkpoint, and the one before it: where the newest is damaged, a training goes on from there."""
BEST = "best.safetensors"
"""The best model by validation, beside model.safetensors, the last one."""
LOG = "log.jsonl"
TRACES = (LAST, PREVIOUS, LOG, "model.safetensors", BEST)
"""Files that tell that a folder holds a training."""
MAY_CHANGE = (
    *("out", "workers", "device", "save_every", "log_every", "on_error"),
    *("tensorboard", "val_every", "patience"),  # the training itself is the same without them
)
"""Fields of the config that may differ when a training is resumed."""
UNWRITTEN = 60.0
"""Seconds in which a lock without a name is taken for one that is about to be written."""


@contextmanager
def run_folder(folder: Path, resume: bool) -> Iterator[None]:
    """The folder of a training for as long as it runs: two at once would end with the files of one of them.

    Raises:
        FileExistsError: it holds a training and `resume` is False, if one that came as far as a checkpoint; or a
            training is at work in it, by its process.
    """
    found = [name for name in TRACES if (folder / name).exists()]
    if found and not resume and found != [LOG]:
        raise FileExistsError(
            f"{folder} holds a training ({', '.join(found)}): --resume goes on with it, --out takes another folder"
        )
    ours = not folder.exists()
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lock, own = folder / ".lock", f"{os.getpid()} on {platform.node()}"
    while True:
        try:
            with lock.open("x", encoding="utf-8") as file:
                file.write(own)
            break
        except FileExistsError:
            if owner := _owner(folder):
                raise FileExistsError(
                    f"{folder}: process {owner} is training there; wait for it, take another folder with --out, or "
                    f"delete {lock} if you know that it has ended"
                ) from None
            lock.unlink(missing_ok=True)  # of a process that was killed
    _HELD.add(lock.resolve())
    try:
        for left in folder.glob(".*.partial"):  # of a killed process, since nobody else writes here now
            left.unlink(missing_ok=True)
        if found == [LOG] and not resume:  # it failed before its first checkpoint: there is nothing to go on with
            write_new(folder / f"failed-{LOG}", partial(os.replace, folder / LOG))
        yield
    finally:
        _HELD.discard(lock.resolve())
        lock.unlink(missing_ok=True)
        if ours and not any(folder.iterdir()):  # it came to nothing
            folder.rmdir()


_HELD: set[Path] = set()
"""Locks of this process. Another with its number is of an earlier process: in a container it is often the same."""


def _owner(folder: Path) -> str:
    """The process that is at work in a folder, as its lock names it; empty where there is none."""
    lock = folder / ".lock"
    try:
        owner, age = lock.read_text(encoding="utf-8"), time.time() - lock.stat().st_mtime
    except FileNotFoundError:
        return ""
    pid, _, host = owner.partition(" on ")
    if not host:  # made, and not written yet
        return "that has just begun" if age < UNWRITTEN else ""
    if host != platform.node() or not pid.isdigit():  # of one on another machine nobody here can tell: it counts
        return owner
    at_work = lock.resolve() in _HELD if int(pid) == os.getpid() else alive(int(pid))
    return owner if at_work else ""


class RunLog:
    """log.jsonl: a header line with the config and the machine, then a line every `log_every` steps and one for each
    validation. TensorBoard gets the same numbers where the config says so.

    `lines` holds what is kept of an earlier part of the training: the lines up to step `first`, and the validations up
    to step `validated`; those after it are about to be repeated. A line that was cut in half, as on a full disk, ends
    what is kept.
    """

    def __init__(
        self, folder: Path, config: TrainConfig, class_names: tuple[str, ...], first: int, validated: int = 0
    ) -> None:
        self.path = folder / LOG
        self.lines: list[dict[str, Any]] = [
            line for line in _kept(self.path) if line["step"] <= (validated if "val_map" in line else first)
        ]
        header = {
            "config": json.loads(config.to_json()),
            "class_names": class_names,
            "torch": torch.__version__,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        }
        text = "".join(json.dumps(line) + "\n" for line in [header, *self.lines])
        write_whole(self.path, lambda part: part.write_text(text, encoding="utf-8"))
        self.board: Any = None
        if config.tensorboard:
            known = (folder / "tensorboard").exists()
            # What an earlier part wrote of the steps to come is taken back.
            self.board = tensorboard()(folder / "tensorboard", purge_step=first + 1 if known else None)
            for line in () if known else self.lines:
                self._draw(line)

    def write(self, line: dict[str, Any]) -> None:
        """Append one line."""
        with naming(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self._draw(line)

    def _draw(self, line: dict[str, Any]) -> None:
        for name in set(line) - {"step"} if self.board else ():
            self.board.add_scalar(name, line[name], line["step"])

    def close(self) -> None:
        """Write what TensorBoard has not been given yet."""
        if self.board:
            self.board.close()


def tensorboard() -> Any:
    """TensorBoard's writer; ValueError, with what helps, where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ValueError(
            f"tensorboard: the package is not there ({error}); pip install tensorboard, or leave --tensorboard out"
        ) from error
    return SummaryWriter


def _kept(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log up to the first that is none; its header is no line."""
    if not path.exists():
        return
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines()[1:]:
        try:
            line = json.loads(text)
        except ValueError:
            return
        if not isinstance(line, dict) or not isinstance(line.get("step"), int):
            return
        yield line


def began_with(folder: Path) -> dict[str, Any]:
    """The config that the log of a run names, as JSON has it; empty where there is none that can be read."""
    try:
        with (folder / LOG).open(encoding="utf-8") as file:
            return dict(json.loads(file.readline())["config"])
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def write_beside(folder: Path, files: dict[str, Any], fresh: bool) -> None:
    """Write what a method wants to have in the run folder, `Method.files`.

    Raises:
        FileExistsError: another file of that name is there before a fresh training.
    """
    for name, file in files.items():
        path = folder / name
        if fresh and path.exists() and path.read_bytes() != file.to_json().encode():
            raise FileExistsError(f"{path} is there, and not of this training: --out takes another folder")
        file.save(path)


def save_checkpoint(folder: Path, config: TrainConfig, content: dict[str, Any]) -> None:
    """Write `content` (tensors and plain values) with the config that it belongs to as last.pt; what was last.pt
    becomes previous.pt.

    Raises:
        FloatingPointError: a value of the state is not finite; the older checkpoints stay.
        OSError: it cannot be written, by the file's name; the older ones stay.
    """
    if wrong := not_finite(content["state"]) or not_finite(content.get("average") or {}):
        kept = " and ".join(name for name in (LAST, PREVIOUS) if (folder / name).exists()) or "nothing"
        raise FloatingPointError(
            f"step {content['step']}: {wrong} is not finite, so it is not saved; kept in {folder}: {kept}. "
            "Try a smaller lr, warmup or clip_norm"
        )

    def write(part: Path) -> None:
        try:
            torch.save({**content, "config": config.to_json()}, part)
        except RuntimeError as error:  # how torch tells of a full disk
            raise OSError(
                f"{folder / LAST} cannot be written ({str(error).splitlines()[0]}); is the disk full?"
            ) from error
        if (folder / LAST).exists():  # a link beside it, so that there is a last.pt at every moment
            link = folder / f".{PREVIOUS}.{os.getpid()}.partial"
            link.unlink(missing_ok=True)
            try:
                os.link(folder / LAST, link)
            except OSError:  # exFAT and some shares have no links
                shutil.copyfile(folder / LAST, link)
            os.replace(link, folder / PREVIOUS)

    write_whole(folder / LAST, write)


def load_checkpoint(folder: Path, config: TrainConfig) -> dict[str, Any]:
    """What `save_checkpoint` wrote last; or before that, with a warning, where the newest file is damaged. "file" is
    which one it was. Tensors only: a file from a stranger cannot run code.

    Raises:
        FileNotFoundError: there is none.
        ValueError: all are damaged, by name; or they belong to another config, by the fields that differ.
    """
    problems: list[str] = []
    for path in (folder / LAST, folder / PREVIOUS):
        if not path.exists():
            continue
        try:
            content = _read(path)
        except ValueError as error:
            problems.append(str(error))
            continue
        if problems:
            told = f"{problems[0]}; going on from {path.name}, step {content['step']}"
            warnings.warn(told, stacklevel=2)
        return {**_of_this_training(path, content, config), "file": str(path)}
    if problems:
        raise ValueError(f"{'; '.join(problems)}: start again in another folder, with --out")
    raise FileNotFoundError(f"{folder / LAST} does not exist: there is nothing to resume")


def _read(path: Path) -> dict[str, Any]:
    """A checkpoint whose bytes are those that were written: the file is a zip, which keeps a checksum of each part."""
    try:
        with zipfile.ZipFile(path) as parts:
            if damaged := parts.testzip():
                raise ValueError(f"its part {damaged} is not what was written")
        content = torch.load(path, map_location="cpu", weights_only=True)
        known = {"step", "config", "optimizer"} | (
            {"trainee", "shapes"} if "trainee" in content else {"state", "about"}
        )
        if missing := known - set(content):
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    except Exception as error:  # damaged bytes make pickle, zipfile and torch raise nearly anything
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ValueError(f"{path} is damaged, or no checkpoint of ours ({reason})") from error
    return content


def _of_this_training(path: Path, content: dict[str, Any], config: TrainConfig) -> dict[str, Any]:
    try:
        saved = TrainConfig.from_json(content["config"])
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: its config cannot be read ({error})") from error
    same = replace(saved, **{name: getattr(config, name) for name in MAY_CHANGE})
    if same != config:
        was, is_now = _flat(same), _flat(config)
        told = ", ".join(f"{name} ({was[name]}, not {is_now[name]})" for name in was if was[name] != is_now[name])
        raise ValueError(f"{path} was trained with another {told}")
    return _of_version_0_1(content, saved) if "trainee" in content else content


def check_data(content: dict[str, Any], class_names: tuple[str, ...], images: int) -> None:
    """ValueError where a checkpoint was trained on other classes, or on the same in another order; a warning where it
    was on another number of images."""
    if "class_names" in content:
        saved = tuple(content["class_names"])
        same, told = saved == class_names, f"the classes {', '.join(saved)}"
    else:  # version 0.1 kept their number alone
        count = content["about"]["num_classes"]
        same, told = count == len(class_names), f"{count} classes"
    if not same:
        raise ValueError(f"{content['file']} was trained on {told}; the data has {', '.join(class_names)}")
    if (before := content.get("images", images)) != images:
        said = f"{content['file']} was trained on {before} images; the data has {images}"
        warnings.warn(f"{said}: what follows is not the training that was begun", stacklevel=2)


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
