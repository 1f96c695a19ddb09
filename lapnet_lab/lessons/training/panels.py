"""A training that one sees while it runs, and what a network found on its way."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ipywidgets
from IPython.display import display
from jaxtyping import UInt8
from torch import Tensor

from lapnet_core.config import TrainConfig
from lapnet_core.data import Detection, Target
from lapnet_core.detector import Detector
from lapnet_core.method import Method
from lapnet_lab.lessons.training.figures import average_of_a_weight, live, with_boxes
from lapnet_lab.lessons.training.study import Line, averaged, confident, hits, wander
from lapnet_lab.panel import FigurePanel

SUREST = 6
"""So many boxes are drawn on the live picture: an untrained network is sure of nothing, and would cover it."""
DECAYS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
LAST = 100
"""Steps at the end of the toy over which a distance is averaged."""


class LiveTraining:
    """What `train.train` calls after each step: notes `method.progress()`, and at times looks at a picture and draws.

    Args:
        config: of the training. Its folder is where the validations are read from, `log.jsonl`.
        image: the picture, uint8, of any size.
        times: how often it is drawn.

    It takes its place in the notebook when it is made.
    """

    def __init__(
        self, config: TrainConfig, image: UInt8[Tensor, "3 h w"], class_names: Sequence[str], times: int = 10
    ) -> None:
        self.config, self.image, self.names = config, image, tuple(class_names)
        self.every = max(1, config.steps // times)
        self.log: list[Line] = []
        """A line for each step: its number, then those of `method.progress()`."""
        self.seen: dict[int, Detection] = {}
        """Step -> detections on the picture."""
        self.place = display("the first steps ...", display_id=True)

    def __call__(self, step: int, method: Method) -> None:
        self.log.append({"step": step, **method.progress()})
        if step % self.every and step != self.config.steps:
            return
        detector = Detector(method, self.names, self.config.image_size)
        self.seen[step] = detector.predict(self.image, score_threshold=0.0, max_detections=SUREST)
        self.draw()

    def draw(self) -> None:
        """Draw what is known now. The last validation comes after the last step: call this once more at the end."""
        if self.place is not None and self.seen:  # None: outside a notebook
            found = self.seen[max(self.seen)]
            self.place.update(live(self.log, self.maps(), self.config.steps, self.image, found, self.names))

    def maps(self) -> list[Line]:
        """The validations so far."""
        return validations(self.config.run_dir)


def validations(folder: Path) -> list[Line]:
    """The lines with `val_map` of the log in a run folder; a training writes them as it goes."""
    path = folder / "log.jsonl"
    lines = path.read_text("utf-8").splitlines()[1:] if path.exists() else []
    return [line for text in lines if "val_map" in (line := json.loads(text))]


def growth_panel(
    snapshots: Mapping[int, Mapping[int, Any]],
    images: Mapping[int, UInt8[Tensor, "3 h w"]],
    targets: Mapping[int, Target],
    names: Sequence[str],
    threshold: float = 0.3,
) -> FigurePanel:
    """What a network found at each of some steps, on the same pictures.

    Args:
        snapshots: step -> picture -> detections, as `study.snapshots`.
        images, targets: by picture.
    """

    def compute(step: int, threshold: float) -> dict[str, Any]:
        found = [confident(snapshots[step][scene], threshold) for scene in images]
        marks = [hits(each, targets[scene]) for each, scene in zip(found, images, strict=True)]
        return {"step": step, "threshold": threshold, "found": found, "marks": marks}

    def describe(numbers: Mapping[str, Any]) -> str:
        each = [f"{m.found} of {m.objects} objects, {m.false} false" for m in numbers["marks"]]
        return f"step {numbers['step']}, scores from {numbers['threshold']:.2f} on: " + "; ".join(each)

    def draw(numbers: Mapping[str, Any]) -> Any:
        titles = [f"step {numbers['step']}: {m.found} of {m.objects}, {m.false} false" for m in numbers["marks"]]
        return with_boxes(list(images.values()), numbers["found"], names, titles)

    steps = sorted(snapshots)
    controls = {
        "step": ipywidgets.SelectionSlider(options=steps, value=steps[-1], description="step"),
        "threshold": ipywidgets.FloatSlider(threshold, min=0.05, max=0.95, step=0.05, description="score from"),
    }
    early, middle = {"step": steps[0]}, {"step": min(steps, key=lambda step: abs(step - steps[-1] / 2))}
    return FigurePanel(
        controls, compute, describe, draw, {"first look": early, "halfway": middle, "after training": {}}
    )


def average_panel() -> FigurePanel:
    """A weight that noise moves about, and its moving average (`--ema`)."""

    def compute(decay: float, gently: bool, falling: bool) -> dict[str, Any]:
        path = wander(falling=falling)
        return {"decay": decay, "path": path, "average": averaged(path, decay, gently)}

    def describe(numbers: Mapping[str, Any]) -> str:
        both = (numbers[name][-LAST:] for name in ("path", "average"))
        weight, average = (sum(abs(value - 1) for value in values) / LAST for values in both)
        decay = numbers["decay"]
        return f"d = {decay}: over the last {LAST} steps the weight is {weight:.2f} off, its average {average:.2f}"

    def draw(numbers: Mapping[str, Any]) -> Any:
        return average_of_a_weight(numbers["path"], numbers["average"])

    controls = {
        "decay": ipywidgets.SelectionSlider(options=DECAYS, value=0.5, description="decay d"),
        "gently": ipywidgets.Checkbox(True, description="d starts small", indent=False, layout={"width": "auto"}),
        "falling": ipywidgets.Checkbox(False, description="rate falls to 0", indent=False, layout={"width": "auto"}),
    }
    states = {
        "short memory": {},
        "long memory": {"decay": 0.999, "gently": False},
        "long memory, d starts small": {"decay": 0.999},
        "falling rate": {"falling": True},
    }
    return FigurePanel(controls, compute, describe, draw, states)
