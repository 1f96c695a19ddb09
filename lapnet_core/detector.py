"""A trained method with all that it needs to be used: its form, class names, input size. One safetensors file."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.transforms import v2
from tqdm.auto import tqdm

from lapnet_core.data import Batch, Detection, Target, boxes_to_original, collate, eval_transform
from lapnet_core.data.common import as_boxes
from lapnet_core.data.named import Images
from lapnet_core.data.pictures import read_picture, to_rgb
from lapnet_core.data.stream import Transformed
from lapnet_core.files import not_finite, write_whole
from lapnet_core.inputs import check_images, check_normalised, check_number, check_size, check_tensor, shown
from lapnet_core.losses import LapNetLoss
from lapnet_core.method import Method
from lapnet_core.peers import method_class
from lapnet_core.processes import pick_device, read_ahead

_EMPTY_BOX = torch.zeros(0, 4)
Predicted = tuple[list[Detection], list[Target], list[str]]
"""Detections, targets in the same order, and the messages of images that could not be read and are in neither."""


@dataclass
class Detector:
    """A trained method with its class names and the (height, width) of its input in pixels; ValueError where these
    are not its."""

    method: Method
    class_names: tuple[str, ...]
    image_size: tuple[int, int]

    def __post_init__(self) -> None:
        names, classes = self.class_names, self.method.about()["num_classes"]
        texts = isinstance(names, tuple) and all(isinstance(name, str) for name in names)
        if not texts or len(set(names)) != len(names) or len(names) != classes:
            raise ValueError(f"class_names must be {classes} different names, one a class, not {shown(names)}")
        check_size("image_size", self.image_size, 32, 1 << 14)  # more is a damaged file

    @property
    def device(self) -> torch.device:
        """Where the method is."""
        return self.method.device

    def save(self, path: str | Path, note: dict[str, Any] | None = None, half: bool = False) -> None:
        """Write state and metadata; atomic, so that an interruption leaves the older file whole, as does a
        FloatingPointError where the state is not finite. `note`, plain values, is what `note_of` reads. `half` writes
        weights of convolutions as float16, half the size; `load` makes float32 of them; detections hardly differ."""
        tensors = {name: tensor.cpu().contiguous() for name, tensor in self.method.state_dict().items()}
        if half:
            tensors = {name: tensor.half() if tensor.ndim == 4 else tensor for name, tensor in tensors.items()}
        about = {"method": self.method.name, "class_names": self.class_names, "image_size": self.image_size}
        about |= {"about": self.method.about(), "note": note or {}}
        if wrong := not_finite(tensors):
            raise FloatingPointError(f"{wrong} is not finite, so that {path} is not written")
        write_whole(path, lambda part: part.write_bytes(save(tensors, metadata={"lapnet": json.dumps(about)})))

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device = "cpu") -> "Detector":
        """Read what `save` wrote, or `lapnet export` as ONNX. Both are data: nothing of a file is run as a program.

        Raises:
            OSError, ValueError: with the file's name, where it is missing, something else, or not finite.
            ValueError: there is no such device.
        """
        path, device = Path(path), pick_device(str(device))
        if path.is_dir():
            path = path / "model.safetensors"
        if not path.is_file():
            best = path.with_name("best.safetensors")
            helps = f"; {best} does" if best.is_file() else ""
            raise FileNotFoundError(
                f"{path} does not exist{helps}; `lapnet train` writes model.safetensors into its run folder"
            )
        try:
            if path.suffix.lower() == ".onnx":
                from lapnet_core.deploy.exported import read_exported

                return cls(*read_exported(path, device))
            if is_zipfile(path):  # TorchScript, or a pickle of torch
                raise ValueError(
                    "loading it could run a program that somebody put into it; lapnet reads .safetensors and .onnx, "
                    "which are data (`lapnet export` writes TorchScript for your own use elsewhere)"
                )
            with safe_open(path, "pt") as file:
                about = json.loads((file.metadata() or {})["lapnet"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if "about" not in about:
                about, tensors = _of_version_0_1(about, tensors)
            if wrong := not_finite(tensors):
                raise ValueError(f"its {wrong} is not finite; train it again, with a smaller lr")
            kind = method_class(about["method"])
            with torch.device("meta"):  # costs no memory, whatever the metadata ask for
                kind.restore(about["about"]).load_state_dict(tensors, assign=True)
            method = kind.restore(about["about"])
            method.load_state_dict(tensors)
            names, size = (tuple(x) if isinstance(x, list) else x for x in (about["class_names"], about["image_size"]))
            detector = cls(method.eval(), names, size)
        except Exception as error:  # on foreign files safetensors, JSON and torch raise nearly anything
            reason = f"it lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:300]
            raise ValueError(f"{path} is no LapNet model that can be used: {reason}") from error
        method.to(device)
        return detector

    def detect_images(self, images: Float[Tensor, "B 3 height width"], **options: float) -> list[Detection]:
        """Detections of normalised images of the network's input size, in its pixels, on the CPU.

        Args:
            options: thresholds of `predict.detect`.

        Raises:
            ValueError: another shape or dtype, or not normalised as far as that is seen at no cost; a wrong option.
        """
        check_tensor("images", images, ("B", 3, *self.image_size))
        if images.device.type == "cpu" and len(images):
            check_normalised("images", images if self.device.type == "cpu" else images[..., ::16, ::16])
        found = self.method.detect(images.to(self.device, torch.float32, memory_format=torch.channels_last), **options)
        check_images("detections", found, len(images), key="scores")
        return [Detection(boxes=d["boxes"].cpu(), scores=d["scores"].cpu(), labels=d["labels"].cpu()) for d in found]

    def prepare(self, image: UInt8[Tensor, "3 h w"]) -> Float[Tensor, "1 3 height width"]:
        """An RGB image of any size as the network takes it: stretched to its input size, and normalised.

        Raises:
            ValueError: it is no such image. Floats are refused, as 0..255 and 0..1 cannot be told apart.
        """
        shape, dtype = tuple(getattr(image, "shape", ())), getattr(image, "dtype", type(image))
        if len(shape) != 3 or shape[0] != 3 or 0 in shape or dtype != torch.uint8:
            raise ValueError(f"image must be a tensor (3, height, width) of uint8 RGB with pixels, not {shape} {dtype}")
        size = (image.shape[1], image.shape[2])
        nothing = Target(
            boxes=as_boxes(_EMPTY_BOX, size),
            labels=torch.zeros(0, dtype=torch.int64),
            difficult=torch.zeros(0, dtype=torch.bool),
            image_id=0,
            original_size=size,
        )
        return collate([eval_transform(self.image_size)(tv_tensors.Image(image), nothing)]).images

    def predict(self, image: UInt8[Tensor, "3 h w"] | Image.Image, **options: float) -> Detection:
        """Detections of one image of any size, RGB, in that image's own pixels. `options` as in `predict.detect`."""
        if isinstance(image, Image.Image):
            if image.mode in ("I", "F"):  # nothing tells which of their numbers are black and white
                raise ValueError(f"image must have 8 bits a channel, not Pillow's mode {image.mode}: make it uint8")
            image = v2.functional.pil_to_tensor(to_rgb(image))
        (found,) = self.detect_images(self.prepare(image), **options)
        return _to_original(found, self.image_size, (image.shape[1], image.shape[2]))

    def predict_file(self, path: str | Path, **options: float) -> tuple[Image.Image, Detection]:
        """The image in a file, turned upright by its EXIF orientation, and its detections.

        Raises:
            DataError: the file cannot be read as an image; see `read_picture`.
        """
        image = read_picture(path)
        return image, self.predict(image, **options)

    def predict_dataset(
        self, dataset: Images, *, batch_size: int = 8, workers: int = 0, progress: bool = True, **options: float
    ) -> tuple[list[Detection], list[Target], list[str]]:
        """Detections of a whole data set, with the targets in the same order, both in pixels of the image files.

        Args:
            dataset: its images as they are.
            progress: show a progress bar.
            options: thresholds of `predict.detect`.

        Returns:
            detections, targets, and the messages of images that could not be read and are in neither list.
        """
        batches = self.predict_batches(dataset, batch_size, workers, **options)  # pyright: ignore[reportArgumentType]
        count = -(-len(dataset) // max(1, batch_size))
        return joined(list(tqdm(batches, desc="detect", unit="batch", total=count, disable=None if progress else True)))

    def predict_batches(
        self, dataset: Images, batch_size: int = 8, workers: int = 0, rank: int = 0, world: int = 1, **options: float
    ) -> Iterator[Predicted]:
        """What `predict_dataset` joins, batch by batch; process `rank` of `world` does every world-th batch.

        Whole batches are shared out, so that each is the batch that one process alone would have: the last digits of
        what a network computes depend on how many images it is given.
        """
        check_number("batch_size", batch_size, 1, whole=True)
        transformed = Transformed(dataset, eval_transform(self.image_size))
        self._check_classes(dataset)
        starts = range(rank * batch_size, len(dataset), world * batch_size)
        loader = DataLoader(
            transformed,
            batch_sampler=[range(k, min(k + batch_size, len(dataset))) for k in starts],  # pyright: ignore
            collate_fn=collate,
            num_workers=workers,
        )
        for batch in read_ahead(loader):
            yield self._predicted(batch, options)

    def _predicted(self, batch: Batch, options: dict[str, float]) -> Predicted:
        detections: list[Detection] = []
        targets: list[Target] = []
        for found, target in zip(
            self.detect_images(batch.images, **options) if len(batch) else (), batch.targets, strict=True
        ):
            size = target["original_size"]
            detections.append(_to_original(found, self.image_size, size))
            targets.append({**target, "boxes": boxes_to_original(target["boxes"], self.image_size, size)})
        return detections, targets, list(batch.skipped)

    def _check_classes(self, dataset: Images) -> None:
        if tuple(dataset.class_names) != self.class_names:
            raise ValueError(f"the model knows {self.class_names}, the data set has {tuple(dataset.class_names)}")


def joined(batches: Sequence[Predicted]) -> Predicted:
    """Of many batches, in their order, as of one."""
    everything: Predicted = ([], [], [])
    for batch in batches:
        for whole, part in zip(everything, batch, strict=True):
            whole.extend(part)  # pyright: ignore[reportArgumentType]
    return everything


def note_of(path: str | Path) -> dict[str, Any]:
    """The note that `Detector.save` wrote with a model; empty where there is none, or no such file."""
    try:
        with safe_open(path, "pt") as file:
            return dict(json.loads((file.metadata() or {})["lapnet"])["note"])
    except Exception:  # on foreign files safetensors and JSON raise nearly anything
        return {}


def _to_original(found: Detection, input_size: tuple[int, int], original_size: tuple[int, int]) -> Detection:
    return {**found, "boxes": boxes_to_original(found["boxes"], input_size, original_size)}


def _of_version_0_1(about: dict[str, Any], tensors: dict[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A model of version 0.1, which held a LapNet's network and anchors and no balance weights, as today's."""
    shapes = tensors.pop("anchor_shapes")
    classes, anchors, _ = shapes.shape
    blank = {f"criterion.{name}": value for name, value in LapNetLoss(classes, anchors).state_dict().items()}
    form = {"num_classes": classes, "per_class": anchors, "backbone": about["backbone"]}
    return {**about, "method": "lapnet", "about": form}, {**blank, **tensors, "shapes": shapes}
