"""The explorer: an image with objects that one drags, and beside it the map of a class, computed anew while one drags.

The browser (explorer.js) draws and handles mouse and keyboard; Python computes, with the functions that train LapNet.
State travels in traits. The browser counts its updates in `seq`, and `reply` acknowledges the last one that was worked
through, after an error too, so that the browser never has more than one update under way.
"""

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import torch
import traitlets
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from lapnet_core.boxes import STRIDE
from lapnet_core.detector import Detector
from lapnet_core.scenes import SCENE_CLASSES
from lapnet_lab.explorer import presets
from lapnet_lab.explorer.maps import LAYERS, TRAINED, Maps, Prediction, explore, lapnet_of, predict_offsets
from lapnet_lab.explorer.strip import explorer_strip
from lapnet_lab.models import shipped
from lapnet_lab.static import as_png, figure_png, with_picture
from lapnet_lab.style import HEAT_RGB, PALETTE

HERE = Path(__file__).parent
SIZE_RANGE = (0.25, 4.0)
"""Limits of the factor on the anchors' sides."""
NO_IMAGE = (256, 256)
SENT_BY_BROWSER = {"sync": True, "echo_update": False}
"""Traits that the browser changes while one drags. It knows what it sent: an echo would only cost time."""
SCRIPTS = ("explorer_draw", "explorer_page", "explorer_boxes", "explorer")
"""Parts of one module, the one that exports last; a widget is sent to the browser as one text."""
COLORS = f"const PALETTE = {json.dumps(PALETTE)};\nconst HEAT = {json.dumps(HEAT_RGB)};"
"""The colours of the figures, for the browser."""


class Explorer(anywidget.AnyWidget):
    """Objects to move, resize, add, delete and re-class, and the map of a class and anchor shape that follows.

    Args:
        image: uint8 (3, H, W) RGB, or None for an empty ground.
        boxes, labels: objects, `xyxy` in pixels of the image, classes from 0.
        shapes: (C, A, 2), (w, h) of the anchors in pixels of the image.
        class_names: of the C classes.
        detector: a trained LapNet. Image and objects are then resized to its input, and `shapes` may be left out.
        model: name of a detector that comes with the package, `models.SHIPPED`; "scenes" where neither shapes nor a
            detector is given. Where LAPNET_DATA holds `voc_animals`, one can go on to photographs, and to their model.
        label: class shown; that of the first object when left out.
        anchor: index of the shape shown, or None for the best shape in each cell.
        layer: a key of `maps.LAYERS`: ao, clusters, pono, positives, and with a detector fit, product, ams.
        threshold: of the positives, 0..1.
        size: factor on the sides of all anchors, 0.25..4.

    `explorer.objects` are the numbers of the objects, `explorer.maps` the maps; both follow what is dragged.
    """

    _esm = "\n".join((COLORS, *((HERE / f"{part}.js").read_text("utf-8") for part in SCRIPTS)))
    _css = (HERE / "explorer.css").read_text("utf-8")

    picture = traitlets.Bytes().tag(sync=True)
    """PNG; empty without an image."""
    extent = traitlets.List(traitlets.Int()).tag(sync=True)
    """[height, width] in pixels."""
    stride = traitlets.Int(STRIDE).tag(sync=True)
    class_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    shapes = traitlets.List().tag(sync=True)
    layers = traitlets.List().tag(sync=True)
    """[name, title] of what can be shown."""
    presets = traitlets.List(traitlets.Unicode()).tag(sync=True)
    about = traitlets.Unicode().tag(sync=True)

    boxes = traitlets.List().tag(**SENT_BY_BROWSER)
    labels = traitlets.List(traitlets.Int()).tag(**SENT_BY_BROWSER)
    label = traitlets.Int(0).tag(**SENT_BY_BROWSER)
    anchor = traitlets.Int(-1).tag(**SENT_BY_BROWSER)
    """-1 is the best shape in each cell."""
    layer = traitlets.Enum(tuple(LAYERS), "pono").tag(**SENT_BY_BROWSER)
    threshold = traitlets.Float(0.5, min=0.0, max=1.0).tag(**SENT_BY_BROWSER)
    size = traitlets.Float(1.0, min=SIZE_RANGE[0], max=SIZE_RANGE[1]).tag(**SENT_BY_BROWSER)
    selected = traitlets.Int(-1).tag(**SENT_BY_BROWSER)
    """Object whose cluster lights up; -1 for none."""
    preset = traitlets.Unicode("").tag(**SENT_BY_BROWSER)
    """A situation of `presets.ABOUT`; empty is what was given."""
    resets = traitlets.Int(0).tag(**SENT_BY_BROWSER)
    """Counts the presses of "start again"."""

    seq = traitlets.Int(0).tag(**SENT_BY_BROWSER)
    reply = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        image: UInt8[Tensor, "3 h w"] | None = None,
        boxes: Float[Tensor, "G 4"] | None = None,
        labels: Int[Tensor, " G"] | None = None,
        shapes: Float[Tensor, "C A 2"] | None = None,
        class_names: Sequence[str] | None = None,
        *,
        detector: Detector | None = None,
        model: str = "",
        label: int | None = None,
        anchor: int | None = None,
        layer: str = "pono",
        threshold: float = 0.5,
        size: float = 1.0,
        preset: str = "",
        about: str = "",
    ) -> None:
        self._lock = threading.RLock()
        self._done: Any = None
        self._fault = ""  # of the last start
        self.maps: Maps | None = None
        self.error = ""
        """What went wrong in the last update; empty where nothing did."""
        self._prediction: Prediction | None = None
        if model and (shapes is not None or detector is not None):
            raise ValueError("model is a detector with its own shapes: leave shapes and detector out, or the model")
        self._shipped = model or ("scenes" if shapes is None and detector is None else "")
        """The shipped model that shows what is given; empty where shapes or a detector came with it."""
        if self._shipped:
            detector = shipped(self._shipped)
            if image is None and boxes is None and not preset:
                preset = next(iter(presets.ABOUT if self._shipped == "scenes" else presets.photographs()), "")
        self._detector = detector
        boxes = torch.zeros(0, 4) if boxes is None else boxes
        labels = torch.zeros(0, dtype=torch.int64) if labels is None else labels
        self._shapes = (lapnet_of(detector).shapes if shapes is None and detector else shapes).detach().cpu().float()  # pyright: ignore
        names = tuple(class_names or (detector.class_names if detector else map(str, range(len(self._shapes)))))
        if len(names) != len(self._shapes):
            raise ValueError(f"{len(names)} class names for the anchors of {len(self._shapes)} classes")
        self._given = (image, boxes.detach().cpu().float(), labels.detach().cpu(), about)
        super().__init__(
            class_names=list(names),
            shapes=self._shapes.tolist(),
            layers=[[name, title] for name, title in LAYERS.items() if detector or name not in TRAINED],
            presets=self._presets(names),
            anchor=-1 if anchor is None else anchor,
            layer=layer,
            threshold=threshold,
            size=size,
            preset=preset,
        )
        self._start()
        if label is not None:
            self.label = label
        self._answer()
        state = ["boxes", "labels", "label", "anchor", "layer", "threshold", "size", "seq"]
        self.observe(self._answer, state)
        self.observe(self._restart, ["preset", "resets"])

    def _presets(self, names: Sequence[str]) -> list[str]:
        """What one can go on to: situations for the classes of the scenes, and with a shipped model photographs too."""
        situations = list(presets.ABOUT) if self._shipped or names == tuple(SCENE_CLASSES) else []
        return situations + (presets.photographs() if self._shipped else [])

    def _use(self, model: str) -> None:
        """Go over to another shipped model, with its classes and its anchors."""
        detector = shipped(model)
        if detector is self._detector:
            return
        self._detector, self._shapes = detector, lapnet_of(detector).shapes.detach().cpu().float()
        self.class_names, self.shapes = list(detector.class_names), self._shapes.tolist()

    @classmethod
    def situation(cls, name: str, shapes: Float[Tensor, "C A 2"] | None = None, **options: Any) -> "Explorer":
        """One of `presets.ABOUT`, with the classes of the embedded scenes; options as those of the class."""
        chosen = presets.preset(name)
        return cls(chosen.image, chosen.boxes, chosen.labels, shapes, SCENE_CLASSES, preset=name, **options)

    @property
    def grid_size(self) -> tuple[int, int]:
        """(H, W) cells, enough to cover the image."""
        height, width = self.extent
        return -(-height // self.stride), -(-width // self.stride)

    @property
    def objects(self) -> list[dict[str, Any]]:
        """One dict an object: its class, its box and its `maps.ObjectNumbers`."""
        return self.reply.get("objects", [])

    def set_objects(self, boxes: Float[Tensor, "G 4"], labels: Int[Tensor, " G"]) -> None:
        """Other objects, both at once."""
        with self.hold_sync(), self.hold_trait_notifications():
            self.boxes, self.labels, self.selected = boxes.tolist(), labels.tolist(), -1

    def _start(self) -> None:
        """The image and the objects of `preset`, as they were in the beginning."""
        image, boxes, labels, about = self._given
        model = self._shipped
        if self.preset:
            is_photograph = self.preset.startswith(presets.PHOTOGRAPH)
            chosen = presets.photograph(self.preset) if is_photograph else presets.preset(self.preset)
            image, boxes, labels, about = chosen.image, chosen.boxes, chosen.labels, chosen.about
            model = "photographs" if is_photograph else "scenes"
        if self._shipped:
            self._use(model)
        size = (int(image.shape[1]), int(image.shape[2])) if image is not None else NO_IMAGE
        if self._detector is not None and size != self._detector.image_size:
            height, width = self._detector.image_size
            boxes = boxes * boxes.new_tensor([width / size[1], height / size[0]] * 2)
            size = (height, width)
            image = None if image is None else v2.functional.resize(image, [height, width], antialias=True)
        blank = torch.full((3, *size), 128, dtype=torch.uint8)
        shown = blank if image is None else torch.as_tensor(image)
        self._prediction = predict_offsets(self._detector, shown) if self._detector is not None else None
        self._image = shown
        with self.hold_sync(), self.hold_trait_notifications():
            self.picture = b"" if image is None else as_png(Image.fromarray(shown.permute(1, 2, 0).numpy()))
            self.extent, self.about = list(size), about
            self.boxes = [[round(side, 1) for side in box] for box in boxes.tolist()]
            self.labels, self.selected = labels.tolist(), -1
            self.label = int(labels[0]) if len(labels) else 0

    def _restart(self, _change: Any = None) -> None:
        with self._lock:
            try:
                self._start()
                self._fault = ""
            except Exception as problem:  # an unknown preset, a model that fails on the image
                self._fault = _told(problem)
            self._done = None
            self._answer()

    def _answer(self, _change: Any = None) -> None:
        """Compute, and acknowledge. Traits that change together call this once each; the first call does the work."""
        with self._lock:  # a callback may come in a thread of its own, beside a running cell
            view = (self.label, self.anchor, self.layer, self.threshold, self.size)
            state = (self.seq, [list(box) for box in self.boxes], list(self.labels), view)
            if state == self._done:
                return
            self._done = state
            try:
                self.maps = self.compute()
                message, self.error = self._message(self.maps), self._fault
            except Exception as problem:  # shown in the widget, which stays usable
                message, self.error = self.reply, _told(problem)
            self.reply = {**message, "seq": self.seq, "error": self.error}

    def compute(self) -> Maps:
        """The maps of the present state."""
        if len(self.boxes) != len(self.labels):
            raise ValueError(f"{len(self.boxes)} boxes, but {len(self.labels)} classes for them")
        return explore(
            self._shapes * self.size,
            self.grid_size,
            torch.tensor(self.boxes, dtype=torch.float32).view(-1, 4),
            torch.tensor(self.labels, dtype=torch.int64),
            label=self.label,
            anchor=None if self.anchor < 0 else self.anchor,
            rank=self.layer,
            threshold=self.threshold,
            prediction=self._prediction,
            stride=self.stride,
        )

    def _message(self, maps: Maps) -> dict[str, Any]:
        values = torch.stack((maps.ao, maps.pono, maps.fit, maps.object_index.float(), maps.anchor.float()))
        height, width = maps.ao.shape
        return {
            "grid": [height, width],
            "layer": self.layer,
            "threshold": self.threshold,
            "maps": values.contiguous().numpy().tobytes(),
            "objects": [
                {"class": self.class_names[label], "box": list(box), **vars(numbers)}
                for label, box, numbers in zip(self.labels, self.boxes, maps.objects, strict=True)
            ],
        }

    def describe(self) -> str:
        """The numbers in words."""
        shape = "the best shape in each cell" if self.anchor < 0 else f"shape {self.anchor + 1}"
        lines = [f"explorer: {LAYERS[self.layer]}; class {self.class_names[self.label]}, {shape}; {self.threshold:g}"]
        for number, entry in enumerate(self.objects, 1):
            x1, y1, x2, y2 = entry["box"]
            kept = "" if entry["kept"] is None else f", kept by AMS {entry['kept']}"
            lines.append(
                f"{number} {entry['class']} {x2 - x1:.0f} x {y2 - y1:.0f} px: best IoU {entry['best_iou']:.2f}, "
                f"positives by AO {entry['positives_ao']}, by PONO {entry['positives_pono']}{kept}"
                + (", rescued" if entry["rescued"] else "")
            )
        return "\n".join(lines)

    def _static_picture(self) -> bytes:
        maps = self.maps
        assert maps is not None  # there is an error otherwise, and this is not called
        product = (maps.pono * maps.fit) if self._prediction is not None else None
        figure = explorer_strip(
            self._image, self.boxes, self.labels, self.class_names, maps.ao, maps.object_index, maps.pono,
            self.threshold, product, self.stride,
        )  # fmt: skip
        return figure_png(figure)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        if self.error:  # no silent widget in a notebook that runs in CI
            raise RuntimeError(self.error)
        return with_picture(super()._repr_mimebundle_(**kwargs), self.describe(), self._static_picture())


def _told(problem: Exception) -> str:
    return f"{type(problem).__name__}: {problem}"
