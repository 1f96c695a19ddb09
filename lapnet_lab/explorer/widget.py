"""The explorer: an image with objects that one drags, and beside it the map of a class, computed anew while one drags.

The browser (explorer.js) draws and handles mouse and keyboard; Python computes, with the functions that train LapNet.
State travels in traits. The browser counts its updates in `seq`, and `reply` acknowledges the last one that was worked
through, after an error too, so that the browser never has more than one update under way. What replaces the objects as
a whole comes as a `command`: a line that was pasted, a photograph, a step of the browser's undo to another picture.
"""

import threading
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor

from lapnet_core.detector import Detector
from lapnet_core.scenes import SCENE_CLASSES
from lapnet_lab.explorer import presets
from lapnet_lab.explorer import state as states
from lapnet_lab.explorer.maps import LAYERS, TRAINED, Maps, Prediction, explore, lapnet_of, predict_offsets
from lapnet_lab.explorer.page import Page
from lapnet_lab.explorer.stock import Start, Stock
from lapnet_lab.explorer.strip import explorer_strip
from lapnet_lab.models import shipped
from lapnet_lab.static import as_png, figure_png, told, with_picture

NO_IMAGE = (256, 256)


class Explorer(Page):
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
        extent: (height, width) in pixels of the ground where there is no image.

    A photograph of the learner's own can be dropped on it. It is shown at the size of the picture before it, with its
    aspect kept and grey bars beside it, and with the model that knows photographs where that comes with the package.

    `explorer.line` is all this as one line of Python, `Explorer.state(...)`, which a cell executes.
    `explorer.objects` are the numbers of the objects, `explorer.maps` the maps; both follow what is dragged.
    """

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
        extent: tuple[int, int] = NO_IMAGE,
    ) -> None:
        self._lock = threading.RLock()
        self._done: Any = None
        self._fault = ""  # of the last start
        self._refused = ""  # what was wrong with the command that is worked through
        self._obeyed: Any = None  # the last command
        self.maps: Maps | None = None
        self.error = ""
        """What went wrong in the last update; empty where nothing did."""
        self._prediction: Prediction | None = None
        if model and (shapes is not None or detector is not None):
            raise ValueError("model is a detector with its own shapes: leave shapes and detector out, or the model")
        model = model or ("scenes" if shapes is None and detector is None else "")
        if model:
            detector = shipped(model)
            if image is None and boxes is None and not preset:
                preset = next(iter(presets.ABOUT if model == "scenes" else presets.photographs()), "")
        boxes = torch.zeros(0, 4) if boxes is None else boxes
        labels = torch.zeros(0, dtype=torch.int64) if labels is None else labels
        self._shapes = (lapnet_of(detector).shapes if shapes is None and detector else shapes).detach().cpu().float()  # pyright: ignore
        names = tuple(class_names or (detector.class_names if detector else map(str, range(len(self._shapes)))))
        if len(names) != len(self._shapes):
            raise ValueError(f"{len(names)} class names for the anchors of {len(self._shapes)} classes")
        given = presets.Preset(image, boxes.detach().cpu().float(), labels.detach().cpu(), about)
        self._stock = Stock(given, extent, model, detector)
        super().__init__(
            class_names=list(names),
            shapes=self._shapes.tolist(),
            layers=[[name, title] for name, title in LAYERS.items() if detector or name not in TRAINED],
            presets=self._stock.names(names),
            anchor=-1 if anchor is None else anchor,
            layer=layer,
            threshold=threshold,
            size=size,
            preset=preset,
        )
        self._ground = (preset, self.resets)
        self._begin(preset, self._stock.start(preset))
        if label is not None:
            self.label = label
        self._answer()
        state = ["boxes", "labels", "label", "anchor", "layer", "threshold", "size", "seq"]
        self.observe(self._update, [*state, "preset", "resets", "command"])

    @classmethod
    def situation(cls, name: str, shapes: Float[Tensor, "C A 2"] | None = None, **options: Any) -> "Explorer":
        """One of `presets.ABOUT`, with the classes of the embedded scenes; options as those of the class."""
        chosen = presets.preset(name)
        return cls(chosen.image, chosen.boxes, chosen.labels, shapes, SCENE_CLASSES, preset=name, **options)

    @classmethod
    def state(
        cls,
        *,
        boxes: Sequence[Sequence[float]] = (),
        classes: Sequence[str | int] = (),
        preset: str = "",
        extent: Sequence[int] = NO_IMAGE,
        model: str = "",
        shapes: Sequence[Any] | None = None,
        class_names: Sequence[str] | None = None,
        **options: Any,
    ) -> "Explorer":
        """An explorer from lists and names, as `line` writes them.

        Args:
            boxes, classes: the objects, in pixels of the picture that is shown, and their classes by name.
            options: those of the class; `label` is a name, too.

        Raises:
            ValueError: what is not possible, in a sentence.
        """
        view = {name: options.pop(name) for name in states.VIEW if name in options}
        if shapes is None and options.get("detector") is None:
            options["model"] = model or "scenes"
        anchors = None if shapes is None else torch.tensor(shapes, dtype=torch.float32)
        nothing = (torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
        size = (int(extent[0]), int(extent[1]))
        explorer = cls(
            options.pop("image", None), *nothing, anchors, class_names, preset=preset, extent=size, **options
        )
        explorer._apply({"boxes": boxes, "classes": classes, **view})
        if not preset:  # "start again" brings these objects back
            stock = explorer._stock
            image = None if stock.given.image is None else explorer._image
            objects = torch.tensor(explorer.boxes).view(-1, 4), torch.tensor(explorer.labels, dtype=torch.int64)
            stock.given, stock.empty = presets.Preset(image, *objects, explorer.about), explorer._size
        return explorer

    @property
    def line(self) -> str:
        """All this as one line of Python: `Explorer.state(...)`."""
        return self.reply.get("line", "")

    @property
    def grid_size(self) -> tuple[int, int]:
        """(H, W) cells, enough to cover the image."""
        height, width = self.extent
        return -(-height // self.stride), -(-width // self.stride)

    @property
    def _class_name(self) -> str:
        return self.class_names[self.label]

    @property
    def _size(self) -> tuple[int, int]:
        return self.extent[0], self.extent[1]

    @property
    def objects(self) -> list[dict[str, Any]]:
        """One dict an object: its class, its box and its `maps.ObjectNumbers`."""
        return self.reply.get("objects", [])

    def set_objects(self, boxes: Float[Tensor, "G 4"], labels: Int[Tensor, " G"]) -> None:
        """Other objects, both at once."""
        with self.hold_sync(), self.hold_trait_notifications():
            self.boxes, self.labels, self.selected = boxes.tolist(), labels.tolist(), -1

    def _begin(self, name: str, start: Start, objects: states.Objects | None = None, **view: Any) -> None:
        """Show a picture with its objects, or with others, all at once."""
        objects = objects or start.objects
        shown = torch.full((3, *start.size), 128, dtype=torch.uint8) if start.image is None else start.image
        prediction = predict_offsets(start.detector, shown) if start.detector is not None else None
        with self.hold_sync(), self.hold_trait_notifications():
            self._image, self._prediction, self._detector = shown, prediction, start.detector
            if start.model and start.detector is not None:
                self._shapes = lapnet_of(start.detector).shapes.detach().cpu().float()
                self.class_names, self.shapes = list(start.detector.class_names), self._shapes.tolist()
            self._model = start.model
            self.preset, self._ground = name, (name, self.resets)
            self.picture = b"" if start.image is None else as_png(Image.fromarray(shown.permute(1, 2, 0).numpy()))
            self.extent, self.about = list(start.size), start.about
            self.boxes, self.labels, self.selected = objects.boxes, objects.labels, -1
            self.label = objects.labels[0] if objects.labels else 0
            for trait, value in view.items():
                setattr(self, trait, value)

    def _update(self, _change: Any = None) -> None:
        """Do what is new, and answer. Traits that change together call this once each; the first call does the work."""
        with self._lock:  # a callback may come in a thread of its own, beside a running cell
            if (self.preset, self.resets) != self._ground:
                self._ground, self._fault = (self.preset, self.resets), ""
                try:
                    self._begin(self.preset, self._stock.start(self.preset))
                except Exception as problem:  # an unknown preset, a model that fails on the image
                    self._fault, self._done = told(problem), None
            if self.command != self._obeyed:
                self._obeyed = self.command
                try:
                    self._obey(self.command)
                except Exception as problem:  # a faulty line, a file that is no picture
                    self._refused = told(problem)
                    self._done = None
                self.upload = b""
            self._answer()
            self._refused = ""

    def _obey(self, command: dict[str, Any]) -> None:
        """Carry a command of the browser out, or raise and change nothing."""
        kind = command.get("kind")
        if kind == "paste":
            self._apply(states.read_line(str(command["text"])))
        elif kind == "photograph":
            about = str(command["name"])[:80], tuple(command["size"])
            name = self._stock.keep(presets.own_photograph(bytes(self.upload), self._size, *about))
            self.presets = self._stock.names(self.class_names)
            self._begin(name, self._stock.start(name))
        elif kind == "show":
            name = str(command["preset"])
            start = self._stock.start(name)
            names = self._names(start)
            self._begin(name, start, states.checked_objects(command["boxes"], command["labels"], names, start.size))
        else:
            raise ValueError(f"There is no command {kind!r}.")

    def _apply(self, values: dict[str, Any]) -> None:
        """What a line says: its objects, its picture where it names one, and how the map is looked at."""
        name = states.checked_preset(values.get("preset", self.preset), self.presets)
        start = self._stock.start(name)
        names = self._names(start)
        states.check_anchors(values, {"model": start.model, "class_names": names, "shapes": _short(self._shapes)})
        objects = states.checked_objects(values.get("boxes", ()), values.get("classes", ()), names, start.size)
        view = states.checked_view(values, names, len(self.shapes[0]), [layer for layer, _ in self.layers])
        self._begin(name, start, objects, **view)

    def _names(self, start: Start) -> list[str]:
        """The classes once that is shown."""
        return list(start.detector.class_names) if start.model and start.detector else self.class_names

    def _answer(self) -> None:
        """Compute, and acknowledge."""
        with self._lock:
            view = (self.label, self.anchor, self.layer, self.threshold, self.size)
            state = (self.seq, [list(box) for box in self.boxes], list(self.labels), view)
            if state == self._done:
                return
            self._done = state
            try:
                self.maps = self.compute()
                message, self.error = self._message(self.maps), self._fault
            except Exception as problem:  # shown in the widget, which stays usable
                message, self.error = dict(self.reply), told(problem)
            self.reply = {**message, "seq": self.seq, "error": self.error, "refused": self._refused}

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
            "line": self._line(),
            "objects": [
                {"class": self.class_names[label], "box": list(box), **vars(numbers)}
                for label, box, numbers in zip(self.labels, self.boxes, maps.objects, strict=True)
            ],
        }

    def _line(self) -> str:
        is_own = self.preset.startswith(presets.OWN)
        picture = {"preset": self.preset} if self.preset and not is_own else {"extent": list(self.extent)}
        values = {"boxes": self.boxes, "classes": [self.class_names[label] for label in self.labels], **picture}
        if not self._model:
            values |= {"class_names": self.class_names, "shapes": _short(self._shapes)}
        elif "extent" in picture:
            values["model"] = self._model
        if self.label != (self.labels[0] if self.labels else 0):
            values["label"] = self._class_name
        values |= {"anchor": None if self.anchor < 0 else self.anchor, "layer": self.layer}
        values |= {"threshold": self.threshold, "size": self.size}
        missing = ["your photograph"] if is_own else []
        missing += ["image=..."] if not self.preset and self._stock.given.image is not None else []
        missing += ["detector=..."] if self._detector is not None and not self._model else []
        return states.line_of(values, f"without {', '.join(missing)}" if missing else "")

    def describe(self) -> str:
        """The numbers in words."""
        shape = "the best shape in each cell" if self.anchor < 0 else f"shape {self.anchor + 1}"
        lines = [f"explorer: {LAYERS[self.layer]}; class {self._class_name}, {shape}; {self.threshold:g}"]
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
        classes = ", ".join(entry["class"] for entry in self.objects) or "no object"
        alt = f"The explorer as a row of pictures: {classes}; AO, clusters, PONO and positives of {self._class_name}."
        return with_picture(super()._repr_mimebundle_(**kwargs), self.describe(), self._static_picture(), alt)


def _short(shapes: Float[Tensor, "C A 2"]) -> list[Any]:
    """The anchors with as few digits as give the same float32 again."""
    return [[[float(str(side)) for side in shape] for shape in each] for each in shapes.numpy()]
