"""Every panel of every lesson, made of little, in seconds: for what must hold for each of them."""

import ast
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch

from lapnet_core import anchors
from lapnet_core.config import tiny_scenes
from lapnet_core.scenes import SCENE_CLASSES, Scenes
from lapnet_lab import gather, models
from lapnet_lab.lessons.ablations import panels as ablations
from lapnet_lab.lessons.ambiguity import panels as ambiguity
from lapnet_lab.lessons.ambiguity import study as ambiguity_study
from lapnet_lab.lessons.anchors import panels as anchor_panels
from lapnet_lab.lessons.balance import panels as balance
from lapnet_lab.lessons.bug_hunt import panels as bug_hunt
from lapnet_lab.lessons.detections import panels as detections
from lapnet_lab.lessons.detections import study as detections_study
from lapnet_lab.lessons.model import panels as model
from lapnet_lab.lessons.model.receptive import WAYS
from lapnet_lab.lessons.pono import panels as pono
from lapnet_lab.lessons.speed_accuracy import panels as speed_accuracy
from lapnet_lab.lessons.speed_accuracy import study as speed_study
from lapnet_lab.lessons.training import panels as training
from lapnet_lab.lessons.training import study as training_study
from lapnet_lab.lessons.weights import panels as weights
from lapnet_lab.lessons.weights import study as weights_study
from lapnet_lab.lessons.your_lapnet import panels as your_lapnet
from lapnet_lab.panel import FigurePanel

LESSONS = Path(__file__).resolve().parents[1] / "lapnet_lab" / "lessons"


@cache
def objects() -> Any:
    """Boxes of 60 drawn scenes, 256 px."""
    return gather.objects(Scenes(60, size=(256, 256)))


@cache
def shapes() -> Any:
    found = objects()
    return anchors.cluster_anchors(gather.sizes(found.boxes), found.labels, len(SCENE_CLASSES))


def _training_panel() -> FigurePanel:
    size = (128, 128)
    settings = tiny_scenes().with_options(image_size=size, steps=4, batch_size=2)
    known = ambiguity_study.known_scenes(size)
    _, record = ambiguity_study.train_recorded(
        settings, Scenes(8, size=size, keep=True), list(known.values()), every=2, progress=False
    )
    return ambiguity.training_panel(record, {name: image for name, (image, _) in known.items()})


def _offset_panel() -> FigurePanel:
    image, target = Scenes(4, size=(256, 256))[0]
    box = target["boxes"][0]
    x1, y1, x2, y2 = box.tolist()
    return model.offset_panel(image, box, (box[2:] - box[:2]) * 0.8, (int((y1 + y2) / 16), int((x1 + x2) / 16)))


def _receptive_panel() -> FigurePanel:
    image, _ = Scenes(4, size=(384, 384))[0]
    hills = (torch.exp(-((torch.arange(384.0) - 196) ** 2) / width) for width in (20000, 4000, 8000, 9000))
    fields = {way: (hill[:, None] * hill / hill.sum() ** 2, 719) for way, hill in zip(WAYS, hills, strict=True)}
    return model.receptive_panel(image, fields, shapes() * 1.5, SCENE_CLASSES)


def _growth_panel() -> FigurePanel:
    scenes = Scenes(100, size=models.shipped("scenes").image_size, split="test")
    shown: dict[int, Any] = {i: scenes[i] for i in (17, 36, 85)}
    images, targets = ({i: both[k] for i, both in shown.items()} for k in (0, 1))
    snapshots: Any = training_study.snapshots()
    return training.growth_panel(snapshots, images, targets, SCENE_CLASSES)


@cache
def _detected() -> Any:
    """The scenes of lesson 06, what was found in them before suppression and after, and their objects."""
    scenes, raw = detections_study.recorded_scenes(), detections_study.recorded()
    return scenes, raw, detections_study.suppressed(raw), [scenes.target(k) for k in range(len(scenes))]


def _threshold_panel() -> FigurePanel:
    scenes, _, found, _ = _detected()
    return detections.threshold_panel({k: scenes[k] for k in (24, 12, 34)}, found)


def _suppression_panel() -> FigurePanel:
    scenes, raw, _, targets = _detected()
    return detections.suppression_panel(scenes[34], 34, raw, targets)


def _photograph_panel() -> FigurePanel:
    image, _ = Scenes(4, size=(256, 256))[0]
    return your_lapnet.photograph_panel({"shipped": models.shipped("scenes")}, image)


PANELS: dict[str, Callable[[], FigurePanel]] = {
    "kmeans_panel": lambda: anchor_panels.kmeans_panel(
        gather.sizes(objects().boxes), objects().labels, SCENE_CLASSES, "person"
    ),
    "shift_panel": pono.shift_panel,
    "save_ao_panel": lambda: pono.save_ao_panel(
        gather.table(Scenes(60, size=(256, 256))), shapes(), (256, 256), [0, 12, 16, 24, 32, 48, 256]
    ),
    "approach_panel": lambda: ambiguity.approach_panel(shapes()),
    "training_panel": _training_panel,
    "one_weight_panel": balance.one_weight_panel,
    "gradient_panel": balance.gradient_panel,
    "architecture_panel": model.architecture_panel,
    "width_panel": model.width_panel,
    "offset_panel": _offset_panel,
    "receptive_panel": _receptive_panel,
    "threshold_panel": _threshold_panel,
    "suppression_panel": _suppression_panel,
    "curve_panel": lambda: detections.curve_panel(*_detected()[2:]),
    "growth_panel": _growth_panel,
    "average_panel": training.average_panel,
    "over_time_panel": lambda: weights.over_time_panel(weights_study.recorded()),
    "results_panel": ablations.results_panel,
    "plane_panel": lambda: speed_accuracy.plane_panel(speed_study.lines_of()),
    "examination": lambda: bug_hunt.examination(shapes()[SCENE_CLASSES.index("person")]),
    "photograph_panel": _photograph_panel,
}
"""Name of the function -> the panel, as large as in its notebook."""


def missing() -> set[str]:
    """Functions of the lessons that make a panel and are not in PANELS."""
    made = set()
    for file in LESSONS.glob("*/panels.py"):
        for node in ast.parse(file.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.returns and ast.unparse(node.returns) == "FigurePanel":
                made.add(node.name)
    return made ^ set(PANELS)
