"""The embedded data set: street scenes rendered from a seed, so that everything runs offline.

The scenes have what the paper is about. Classes are as unequal in number and in size as those of PASCAL VOC, people
stand in crowds that hide each other, cars are parked in rows, and a class has boxes of many shapes.

A scene is a ground plane seen by a level camera: things stand on it and shrink with distance. They are painted from
back to front, twice: in colour, and as numbers into a buffer that then tells how much of each is still visible.

Boxes are xyxy in continuous pixels: tight around the part of the painted shape that lies within the frame, as if
nothing stood before it (amodal). They are measured on painted pixels, to half a pixel, never taken from the layout.
A thing is not listed where others hide all but 8 % of what the frame would show of it, or if its box is a sliver of
less than 2 pixels. It is difficult if less than 25 % of the whole shape is visible, hidden or cut off by the frame, or
less than 16 pixels.
"""

import math
import zlib

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from PIL import Image
from torch.utils.data import Dataset
from torchvision import tv_tensors

from lapnet_core.data.memory import Kept
from lapnet_core.data.types import Sample, Target, Transform
from lapnet_core.inputs import check_choice, check_number, check_size
from lapnet_core.scenes.backdrops import LIGHTS, SUPERSAMPLE, Backdrop, Camera, sensor_noise, soft_disc, tint
from lapnet_core.scenes.layouts import PLACES, SITUATIONS, Actor, Stage, any_street
from lapnet_core.scenes.painters import Brush, pick

Annotation = tuple[Float[np.ndarray, "G 4"], Int64[np.ndarray, "G"], Bool[np.ndarray, "G"]]

SCENE_CLASSES: tuple[str, ...] = ("person", "car", "bicycle", "traffic_light", "bird", "dog", "bus")
LEAST_VISIBLE = 0.08  # share of the shape within the frame; below it a thing is not listed
LEAST_SIDE = 2  # px, of a listed box
DIFFICULT_VISIBLE = 0.25  # share of the whole shape
DIFFICULT_PIXELS = 16  # visible pixels of the final picture


def render_scene(
    rng: np.random.Generator, size: tuple[int, int], situation: str | None = None
) -> tuple[UInt8[np.ndarray, "H W 3"], Float[np.ndarray, "G 4"], Int64[np.ndarray, "G"], Bool[np.ndarray, "G"]]:
    """Draw one scene; all its randomness comes from `rng`.

    Args:
        size: (height, width) of the picture in pixels.
        situation: a key of `SITUATIONS`, or None for any street scene.

    Returns:
        The picture (RGB); boxes xyxy in px, float32; labels, indices into `SCENE_CLASSES`; difficult. Far things first.
    """
    stage, look = _set_stage(rng, size, situation)
    canvas = Image.new("RGB", (stage.camera.width, stage.camera.height))
    Backdrop(look, canvas, stage.camera, stage.light, stage.sun).paint(stage.place)
    annotation = _paint_actors(stage, canvas)
    picture = np.asarray(tint(canvas.reduce(SUPERSAMPLE), stage.light), dtype=np.int16)
    bank = sensor_noise()
    rows, columns = (int(look.random() * len(bank)) + np.arange(n) for n in size)
    noise = bank.take(rows, axis=0, mode="wrap").take(columns, axis=1, mode="wrap")
    return np.clip(picture + noise, 0, 255).astype(np.uint8), *annotation


def _set_stage(
    rng: np.random.Generator, size: tuple[int, int], situation: str | None
) -> tuple[Stage, np.random.Generator]:
    """Choose camera, light and place and put everything on it. The second generator is for the looks of the backdrop:
    with one of its own, annotations can be had without painting it."""
    look = np.random.default_rng(int(rng.random() * 2**53))
    height, width = (SUPERSAMPLE * n for n in size)
    eye, horizon, vanish = (rng.random() for _ in range(3))
    place, light = pick(rng, PLACES), pick(rng, list(LIGHTS))
    fill = any_street
    if situation is not None:
        place, light, eye, fill = SITUATIONS[situation]
        horizon, vanish = 0.5, 0.5
    camera = Camera(
        width,
        height,
        horizon=height * (0.36 + 0.12 * horizon),
        focal=1.05 * height,
        eye=1.6 + 1.6 * eye**2,
        vanish=width * (0.5 + 0.2 * (vanish - 0.5) * (place == "avenue")),
    )
    stage = Stage(rng, camera, place, LIGHTS[light], sun=-1 if rng.random() < 0.5 else 1)
    fill(stage)
    return stage, look


def _paint_actors(stage: Stage, canvas: Image.Image | None) -> Annotation:
    """Paint the shadows, then the things from far to near; without a canvas, measure only.

    `ids` has at each pixel 0, or 1 + the number of the listed thing that was painted there last.
    """
    camera = stage.camera
    actors = sorted(stage.actors, key=lambda actor: -actor.z)
    if canvas is not None:
        for actor in actors:
            _paint_shadow(stage, actor, canvas)
    ids = Image.new("L", (camera.width, camera.height))
    boxes: list[tuple[float, float, float, float]] = []
    labels: list[int] = []
    whole: list[int] = []
    framed: list[int] = []
    for actor in actors:
        sprite = actor.sprite
        foot = camera.at(actor.x, actor.lift, actor.z)
        scale = camera.scale(actor.z) * sprite.unit
        air = 0.75 * (1 - math.exp(-actor.z / 110))
        haze = (stage.light.sky_low, air)
        if abs(foot[0] - camera.width / 2) > camera.width / 2 + scale * sprite.width / 2:
            continue
        brush = Brush(foot, scale, sprite.width, sprite.height, actor.facing, stage.sun, haze)
        sprite.draw(brush)
        if canvas is not None:
            canvas.paste(brush.image, (brush.left, brush.top), brush.image)
        shape = brush.image.getchannel("A")
        number = 0
        if actor.kind is not None and len(boxes) < 255:  # as many numbers as a byte has; crowds stay far below
            left, top = max(brush.left, 0), max(brush.top, 0)
            right, bottom = min(brush.left + shape.width, camera.width), min(brush.top + shape.height, camera.height)
            moved = (left - brush.left, top - brush.top, right - brush.left, bottom - brush.top)
            inside = shape.crop(moved) if right > left and bottom > top else Image.new("L", (1, 1))
            x1, y1, x2, y2 = inside.getbbox() or (0, 0, 0, 0)
            if min(x2 - x1, y2 - y1) >= LEAST_SIDE * SUPERSAMPLE:
                boxes.append((x1 + left, y1 + top, x2 + left, y2 + top))
                labels.append(SCENE_CLASSES.index(actor.kind))
                whole.append(shape.histogram()[255])
                framed.append(inside.histogram()[255])
                number = len(boxes)
        ids.paste(number, (brush.left, brush.top), shape)
    seen = np.array(ids.histogram()[1 : len(boxes) + 1], dtype=np.float64)
    hidden = seen < DIFFICULT_VISIBLE * np.array(whole, dtype=np.float64)
    difficult = hidden | (seen < DIFFICULT_PIXELS * SUPERSAMPLE**2)
    listed = seen >= LEAST_VISIBLE * np.array(framed, dtype=np.float64)
    pixels = np.array(boxes, dtype=np.float32).reshape(-1, 4) / SUPERSAMPLE
    return pixels[listed], np.array(labels, dtype=np.int64)[listed], difficult[listed]


def _paint_shadow(stage: Stage, actor: Actor, canvas: Image.Image) -> None:
    """A soft ellipse on the ground, drawn out to the side away from the sun."""
    camera, sprite = stage.camera, actor.sprite
    if actor.lift > 0:
        return
    scale = camera.scale(actor.z) * sprite.unit
    length = sprite.shadow + 0.25 * sprite.height
    wide, tall = round(1.45 * length * scale), round(1.1 * scale * min(1.0, camera.eye / actor.z + 0.08))
    if wide < 3 or tall < 2:
        return
    x, y = camera.at(actor.x, 0.0, actor.z)
    x -= stage.sun * 0.2 * sprite.height * scale
    if abs(x - camera.width / 2) > camera.width / 2 + wide:
        return
    mask = soft_disc().resize((wide, tall), Image.Resampling.BILINEAR).point(lambda v: int(v * stage.light.shadow))
    canvas.paste((22, 22, 44), (round(x - wide / 2), round(y - tall / 2)), mask)


def render_situation(
    name: str, size: tuple[int, int] = (256, 256), seed: int = 0
) -> tuple[UInt8[torch.Tensor, "3 H W"], Target]:
    """A picture of a named situation, a key of `SITUATIONS`, for figures; its target's image_id is the seed.

    Raises:
        ValueError: there is no such situation, or a size or seed is none; by its name.
    """
    check_choice("situation", name, SITUATIONS)
    check_size("size", size)
    check_number("seed", seed, 0, whole=True)
    picture, *annotation = render_scene(_generator(seed, name, 0), size, name)
    return _image(picture), _target((annotation[0], annotation[1], annotation[2]), size, seed)


def _generator(seed: int, split: str, index: int) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(split.encode()), index])


def _image(picture: UInt8[np.ndarray, "H W 3"]) -> tv_tensors.Image:
    return tv_tensors.Image(torch.from_numpy(picture).permute(2, 0, 1).contiguous())


def _target(annotation: Annotation, size: tuple[int, int], image_id: int) -> Target:
    boxes, labels, difficult = annotation
    return {
        "boxes": tv_tensors.BoundingBoxes(torch.from_numpy(boxes), format="XYXY", canvas_size=size),  # pyright: ignore
        "labels": torch.from_numpy(labels),
        "difficult": torch.from_numpy(difficult),
        "image_id": image_id,
        "original_size": size,
    }


class Scenes(Dataset):
    """Street scenes: item i depends on (seed, split, i, size) alone, whatever was asked for before.

    The same i at another size of the same aspect shows the same scene. Items are `(image, target)`: an image uint8
    (3, H, W) RGB, and a dict of boxes (G, 4) float32 xyxy px, labels (G,) int64 from 0, difficult (G,) bool,
    image_id and original_size (H, W). G may be 0.

    Args:
        length: number of pictures; they are rendered when asked for.
        size: (height, width) in pixels.
        seed: not negative.
        split: any name; each has its own pictures.
        transform: called as `transform(image, target)`, returns both.
        keep: hold every picture in memory once it is drawn (75 KB each at 160 px); drawing takes about as long as
            a small network takes to learn from it.

    Raises:
        ValueError: length, size or seed is none; by its name.
    """

    class_names: tuple[str, ...] = SCENE_CLASSES
    sizes_from = 600
    """For `data.named.object_sizes`. Rendering costs more than reading: 600 scenes give thousands of sizes."""

    def __init__(
        self,
        length: int,
        *,
        size: tuple[int, int] = (256, 256),
        seed: int = 0,
        split: str = "train",
        transform: Transform | None = None,
        keep: bool = False,
    ) -> None:
        check_number("length", length, 0, whole=True)
        check_size("size", size)
        check_number("seed", seed, 0, whole=True)
        self.length, self.size, self.seed, self.split = length, (int(size[0]), int(size[1])), seed, split
        self.transform = transform
        self._kept = Kept(math.inf if keep else 0)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        image, target = self._kept.get(index, self._render)  # pyright: ignore[reportGeneralTypeIssues]: none is skipped
        return (image, target) if self.transform is None else self.transform(image, target)  # pyright: ignore

    def target(self, index: int) -> Target:
        """The annotation of item `index` before any transform, at half the cost: nothing but the shapes is painted."""
        stage, _ = _set_stage(self._generator(index), self.size, None)
        return _target(_paint_actors(stage, None), self.size, index)

    def _render(self, index: int) -> tuple[tv_tensors.Image, Target]:
        picture, boxes, labels, difficult = render_scene(self._generator(index), self.size)
        return _image(picture), _target((boxes, labels, difficult), self.size, index)

    def _generator(self, index: int) -> np.random.Generator:
        # A list or an iterator over the data set ends with this IndexError.
        if not 0 <= index < self.length:
            raise IndexError(f"index {index} is outside a data set of {self.length} scenes")
        return _generator(self.seed, self.split, index)
