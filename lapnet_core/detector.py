"""A trained LapNet with all that it needs to be used: anchors, class names, input size. One safetensors file."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.transforms import v2
from tqdm.auto import tqdm

from lapnet_core.data import Batch, DataError, Target, boxes_to_original, collate, eval_transform
from lapnet_core.data.common import as_boxes
from lapnet_core.data.named import Images
from lapnet_core.files import write_whole
from lapnet_core.model import LapNet
from lapnet_core.predict import Detection, detect

SHAPES_KEY = "anchor_shapes"
_EMPTY_BOX = torch.zeros(0, 4)


@dataclass
class Detector:
    """Model, anchors and names.

    `shapes` (C, A, 2) are in pixels of the network input, whose (height, width) is `image_size`.
    """

    model: LapNet
    shapes: Float[Tensor, "C A 2"]
    class_names: tuple[str, ...]
    image_size: tuple[int, int]
    backbone: str = "light"

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def save(self, path: str | Path) -> None:
        """Write weights, anchors and metadata; atomic, so that an interruption leaves the older file whole."""
        tensors = {f"model.{name}": tensor.contiguous() for name, tensor in self.model.state_dict().items()}
        tensors[SHAPES_KEY] = self.shapes.cpu()
        about = {"class_names": self.class_names, "image_size": self.image_size, "backbone": self.backbone}
        tensors = {name: tensor.cpu() for name, tensor in tensors.items()}
        write_whole(path, lambda part: save_file(tensors, part, metadata={"lapnet": json.dumps(about)}))

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device = "cpu") -> "Detector":
        """Read what `save` wrote.

        Raises:
            FileNotFoundError, ValueError: with the file's name, where it is missing or something else.
        """
        path = Path(path)
        if path.is_dir():
            path = path / "model.safetensors"
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} does not exist; `lapnet train` writes model.safetensors into its run folder"
            )
        try:
            with safe_open(path, "pt") as file:
                about = json.loads((file.metadata() or {})["lapnet"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            shapes = tensors.pop(SHAPES_KEY)
            model = LapNet(shapes.shape[0], shapes.shape[1], about["backbone"])
            model.load_state_dict({name.removeprefix("model."): tensor for name, tensor in tensors.items()})
        except (SafetensorError, KeyError, json.JSONDecodeError, RuntimeError) as error:
            raise ValueError(f"{path} is no LapNet model: {error}") from error
        height, width = about["image_size"]
        return cls(model.to(device).eval(), shapes, tuple(about["class_names"]), (height, width), about["backbone"])

    @torch.no_grad()
    def outputs(
        self, images: Float[Tensor, "B 3 height width"]
    ) -> tuple[Float[Tensor, "B C A H W"], Float[Tensor, "B C A 4 H W"]]:
        """Scores and offsets of normalised images, on the model's device.

        The model is in evaluation mode for the call, whatever its mode before and after.
        """
        training = self.model.training
        self.model.eval()
        try:
            return self.model(images.to(self.device, memory_format=torch.channels_last))
        finally:
            self.model.train(training)

    def detect_images(self, images: Float[Tensor, "B 3 height width"], **options: float) -> list[Detection]:
        """Detections of normalised images of the network's input size, in its pixels, on the CPU.

        Args:
            options: thresholds of `predict.detect`.
        """
        scores, offsets = self.outputs(images)
        found = detect(scores, offsets, self.shapes.to(scores.device), **options)  # pyright: ignore[reportArgumentType]
        return [Detection(boxes=d["boxes"].cpu(), scores=d["scores"].cpu(), labels=d["labels"].cpu()) for d in found]

    def prepare(self, image: UInt8[Tensor, "3 h w"]) -> Float[Tensor, "1 3 height width"]:
        """An RGB image of any size as the network takes it: stretched to its input size, and normalised."""
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
            image = v2.functional.pil_to_tensor(image.convert("RGB"))
        size = (image.shape[1], image.shape[2])
        (found,) = self.detect_images(self.prepare(image), **options)
        return _to_original(found, self.image_size, size)

    def predict_file(self, path: str | Path, **options: float) -> tuple[Image.Image, Detection]:
        """The image in a file, turned upright by its EXIF orientation, and its detections.

        Raises:
            DataError: the file cannot be read as an image.
        """
        try:
            with Image.open(path) as file:
                image = ImageOps.exif_transpose(file).convert("RGB")
        except Exception as error:  # Pillow raises many kinds on damaged files
            raise DataError(f"{path}: cannot read this image ({error})") from error
        return image, self.predict(image, **options)

    def predict_dataset(
        self, dataset: Images, *, batch_size: int = 8, workers: int = 0, progress: bool = True, **options: float
    ) -> tuple[list[Detection], list[Target], list[str]]:
        """Detections of a whole data set, with the targets in the same order, both in pixels of the image files.

        Args:
            dataset: its transform is set for the network's input.
            progress: show a progress bar.
            options: thresholds of `predict.detect`.

        Returns:
            detections, targets, and the messages of images that could not be read and are in neither list.
        """
        self._check_classes(dataset)
        detections: list[Detection] = []
        targets: list[Target] = []
        skipped: list[str] = []
        for batch in self._batches(dataset, batch_size, workers, progress):
            skipped += batch.skipped
            if not len(batch):
                continue
            for found, target in zip(self.detect_images(batch.images, **options), batch.targets, strict=True):
                size = target["original_size"]
                detections.append(_to_original(found, self.image_size, size))
                targets.append({**target, "boxes": boxes_to_original(target["boxes"], self.image_size, size)})
        return detections, targets, skipped

    def _batches(self, dataset: Images, batch_size: int, workers: int, progress: bool) -> Iterator[Batch]:
        before, dataset.transform = dataset.transform, eval_transform(self.image_size)
        try:
            loader = DataLoader(dataset, batch_size, collate_fn=collate, num_workers=workers)  # pyright: ignore
            yield from tqdm(loader, desc="detect", unit="batch", disable=None if progress else True)
        finally:
            dataset.transform = before

    def _check_classes(self, dataset: Images) -> None:
        if tuple(dataset.class_names) != self.class_names:
            raise ValueError(f"the model knows {self.class_names}, the data set has {tuple(dataset.class_names)}")


def _to_original(found: Detection, input_size: tuple[int, int], original_size: tuple[int, int]) -> Detection:
    return {**found, "boxes": boxes_to_original(found["boxes"], input_size, original_size)}
