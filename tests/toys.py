"""Data sets small enough to be learned in seconds, and a training that is over in one."""

import torch
from PIL import Image
from torchvision import tv_tensors

from lapnet_core.config import TrainConfig
from lapnet_core.options import LapNetOptions

TINY = TrainConfig(
    image_size=(64, 64), batch_size=2, steps=6, log_every=1, save_every=2, lr=0.01,
    lapnet=LapNetOptions(anchors_per_class=3),
)  # fmt: skip


class Stop(Exception):
    """Ends a training from within."""


def stop_at(last: int):
    """An `on_step` that does so after step `last`."""

    def stop(step, _method):
        if step == last:
            raise Stop

    return stop


class Squares:
    """Two classes that two minutes of thought could not confuse: a red square, and a smaller blue one."""

    class_names: tuple[str, ...] = ("red", "blue")

    def __init__(self, length=16):
        self.length = length

    def __len__(self):
        return self.length

    def target(self, index):
        generator = torch.Generator().manual_seed(index)
        corner = torch.randint(0, 36, (2, 2), generator=generator).float()
        side = torch.tensor([[24.0], [14.0]])
        return {
            "boxes": tv_tensors.BoundingBoxes(
                torch.cat((corner, corner + side), 1), format="XYXY", canvas_size=(64, 64)
            ),
            "labels": torch.tensor([0, 1]),
            "difficult": torch.zeros(2, dtype=torch.bool),
            "image_id": index,
            "original_size": (64, 64),
        }

    def __getitem__(self, index):
        target = self.target(index)
        image = torch.full((3, 64, 64), 90, dtype=torch.uint8)
        for channel, box in zip((0, 2), target["boxes"].int().tolist(), strict=True):
            image[:, box[1] : box[3], box[0] : box[2]] = 20
            image[channel, box[1] : box[3], box[0] : box[2]] = 240
        return tv_tensors.Image(image), target


def voc_folder(root, images, split="test"):
    """A folder in VOC layout; `images` maps names to lists of (class, (x1, y1, x2, y2)), pictures of 64 x 64."""
    for part in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / part).mkdir(parents=True, exist_ok=True)
    for name, objects in images.items():
        Image.new("RGB", (64, 64), "gray").save(root / "JPEGImages" / f"{name}.jpg")
        listed = "".join(
            f"<object><name>{kind}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
            "</bndbox></object>"
            for kind, (x1, y1, x2, y2) in objects
        )
        text = f"<annotation><size><width>64</width><height>64</height></size>{listed}</annotation>"
        (root / "Annotations" / f"{name}.xml").write_text(text)
    (root / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(images))
    return str(root)
