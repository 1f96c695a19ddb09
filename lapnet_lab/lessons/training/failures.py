"""Trainings that fail on purpose, each in one way. `python -m lapnet_lab.lessons.training.failures` repeats them, and
writes what they log to data/runs/training_failures.jsonl."""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from lapnet_core.anchors import AnchorFile, cluster_anchors
from lapnet_core.assign import assign
from lapnet_core.boxes import STRIDE
from lapnet_core.config import TrainConfig, tiny_scenes
from lapnet_core.data import Target
from lapnet_core.data.named import Images, object_sizes
from lapnet_core.detector import Detector
from lapnet_core.evaluate import voc_map
from lapnet_core.method import Method
from lapnet_core.options import Overlap
from lapnet_core.scenes import SCENE_CLASSES, Scenes
from lapnet_core.train import train
from lapnet_lab import gather
from lapnet_lab.lessons.training.study import Line, column, runs
from lapnet_lab.records import DATA


@dataclass(frozen=True)
class Case:
    """One way to fail."""

    about: str
    steps: int
    size: int = 96
    scenes: int = 64
    """To train on."""
    held: int = 40
    """To validate on; 0: those that are trained on."""
    shift: int = 0
    """The labels of those to validate on are so many classes further."""
    scale: float = 1.0
    """Factor on the anchors' sides."""
    changes: dict[str, Any] = field(default_factory=dict)
    """Of the config."""


STILL = {"scale": (1.0, 1.0), "flip": 0.0}
CASES = {
    "rate": Case(
        "The learning rate is three hundred times too high, and gradients are not clipped.",
        60, changes={"lr": 30.0, "clip_norm": 0.0},
    ),
    "anchors": Case(
        "The anchors are in pixels of photographs sixteen times as large, and AO wants an IoU above .5.",
        60, scale=16.0, changes={"overlap": "ao"},
    ),
    "classes": Case(
        "The classes of val are listed in another order. (It is made of the training scenes: it should be easy.)",
        300, scenes=24, held=0, shift=1, changes=STILL,
    ),
    "overfitting": Case("24 scenes, not augmented, many times over.", 480, scenes=24, held=100, changes=STILL),
}  # fmt: skip


class Relabelled:
    """A data set whose labels say the class that stands `shift` further in the list."""

    def __init__(self, dataset: Images, shift: int) -> None:
        self.dataset, self.shift, self.class_names = dataset, shift, tuple(dataset.class_names)

    def __len__(self) -> int:
        return len(self.dataset)

    def target(self, index: int) -> Target:
        """The annotation."""
        target = self.dataset.target(index)
        return {**target, "labels": (target["labels"] + self.shift) % len(self.class_names)}

    def __getitem__(self, index: int) -> Any:
        image, _ = self.dataset[index]  # pyright: ignore[reportGeneralTypeIssues]
        return image, self.target(index)


@contextmanager
def anchors_of(dataset: Images, size: tuple[int, int], scale: float) -> Iterator[str]:
    """A file of the anchors of a data set, all of them larger by a factor."""
    names = tuple(dataset.class_names)
    shapes = cluster_anchors(*object_sizes(dataset, size, progress=False), len(names), class_names=names)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "anchors.json"
        AnchorFile(names, size, shapes * scale, "lapnet_lab.lessons.training.failures").save(path)
        yield str(path)


def run(name: str, steps: int | None = None) -> tuple[list[Line], str]:
    """(The log of one of `CASES`, why `train` gave up; empty where it did not). The lines also have `train_map`, the
    mAP on the training scenes, where they have `val_map`.

    Args:
        steps: end after so many; the schedule stays that of the case.
    """
    case = CASES[name]
    size = (case.size, case.size)
    scenes = Scenes(case.scenes, size=size, keep=True)
    held: Any = Scenes(case.held, size=size, split="val", keep=True) if case.held else Relabelled(scenes, case.shift)
    lines: list[Line] = []
    with anchors_of(scenes, size, case.scale) as anchors:
        config = tiny_scenes().with_options(
            image_size=size, steps=case.steps, anchors=anchors, ams=False, balance="steady", log_every=1, **case.changes
        )

        def watch(step: int, method: Method) -> None:
            lines.append({"step": step, **method.progress()})
            if step % (case.steps // 12) == 0:
                detector = Detector(method, SCENE_CLASSES, size)
                lines.append({"step": step, "val_map": _map(detector, held), "train_map": _map(detector, scenes)})
            if step == steps:
                raise _Enough

        try:
            with suppress(_Enough):
                train(config, scenes, save=False, progress=False, on_step=watch)
        except FloatingPointError as error:
            return lines, str(error)
    return lines, ""


def positives(dataset: Images, config: TrainConfig, anchors: str, overlap: Overlap, images: int = 8) -> tuple[int, int]:
    """(Objects, positive anchors) of the first images of a data set, at the input size of a config.

    Args:
        anchors: a file of anchors.
        images: so many, as far as there are.
    """
    height, width = config.image_size
    shapes, grid = AnchorFile.load(anchors).shapes, (height // STRIDE, width // STRIDE)
    images = min(images, len(dataset))
    found = gather.objects(dataset, images, config.image_size)
    at = assign(shapes, grid, *found, images, overlap=overlap, rescue=False).positives()
    return len(found.labels), len(at.flat)


def mistakes(targets: Sequence[Target], num_classes: int, size: int) -> dict[str, list[Target]]:
    """Annotations as they are, and as they come out of three mistakes of whoever wrote them down.

    Args:
        size: of the images, in pixels.
    """

    def changed(label: int = 0, box: Callable[[torch.Tensor], torch.Tensor] = lambda b: b) -> list[Target]:
        return [
            {**t, "labels": (t["labels"] + label) % num_classes, "boxes": box(t["boxes"].as_subclass(torch.Tensor))}
            for t in targets
        ]

    return {
        "as they are": changed(),
        "classes in another order": changed(label=1),
        "boxes of larger images": changed(box=lambda b: b * 2),
        "boxes from 0 to 1": changed(box=lambda b: b / size),
    }


PATIENTS = {"A": "classes", "B": "rate", "C": "overfitting", "D": "anchors"}
"""Which log of exercise 2 is of which of `CASES`."""


def patients() -> dict[str, list[Line]]:
    """The recorded logs by the names that hide what they are of."""
    logs = runs("failures")
    return {letter: logs[name] for letter, name in PATIENTS.items()}


def summary(log: Sequence[Line]) -> str:
    """The ends of a log in a line: positives, fit, mAP."""
    told = []
    for name, digits in (("positives_loc", 0), ("predicted_iou", 2), ("train_map", 2), ("val_map", 2)):
        _, values = column(log, name)
        told.append(f"{name} {values[0]:.{digits}f} to {values[-1]:.{digits}f}")
    return ", ".join(told)


class _Enough(Exception):
    pass


def _map(detector: Detector, dataset: Images) -> float:
    found, targets, _ = detector.predict_dataset(dataset, progress=False)
    return voc_map(found, targets, len(detector.class_names)).mean_ap


def short(lines: list[Line], count: int = 30) -> list[Line]:
    """About so many of the lines, and all with mAP; few digits."""
    stride = max(1, max(line["step"] for line in lines) // count)
    kept = [line for line in lines if "val_map" in line or line["step"] % stride == 0 or line["step"] == 1]
    return [{k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in line.items()} for line in kept]


def main() -> None:
    """Repeat all of them."""
    torch.set_num_threads(1)
    logs = {name: short(run(name)[0]) for name in CASES}
    text = "".join(json.dumps({"run": name, **line}) + "\n" for name, log in logs.items() for line in log)
    (DATA / "runs" / "training_failures.jsonl").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
