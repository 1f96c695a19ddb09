"""Painters of the embedded street scenes, part one: the brush, people and animals, as flat colour shapes in metres.

A painter such as `person(rng)` makes every random choice up front and returns a `Sprite`, whose `draw` only draws. It
draws on a `Brush`, which turns metres into pixels: x to the right of the thing's middle, y upwards from the ground.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]
T = TypeVar("T")

SKINS = [(255, 219, 190), (243, 198, 160), (224, 172, 130), (190, 132, 92), (150, 98, 66), (105, 66, 45), (78, 49, 36)]
HAIRS = [(38, 30, 28), (66, 44, 32), (104, 68, 42), (150, 100, 52), (212, 172, 98), (158, 72, 42), (176, 176, 180)]
TOPS = [
    (214, 69, 65), (232, 126, 74), (240, 180, 76), (247, 214, 128), (92, 148, 98), (58, 124, 122), (74, 134, 186),
    (48, 84, 142), (116, 92, 160), (196, 106, 142), (236, 234, 226), (154, 158, 164), (72, 78, 90), (150, 190, 206),
    (122, 62, 66),
]  # fmt: skip
BOTTOMS = [(44, 58, 92), (62, 84, 122), (52, 54, 62), (96, 92, 90), (146, 124, 96), (196, 180, 150), (84, 66, 58)]
COATS = [(150, 98, 56), (206, 162, 104), (60, 48, 44), (232, 224, 210), (108, 84, 70), (178, 178, 178)]
PLUMES = [(122, 130, 146), (92, 98, 112), (238, 238, 236), (56, 56, 64), (164, 124, 92)]


def pick(rng: np.random.Generator, items: Sequence[T]) -> T:
    """One of `items`; much cheaper than `rng.choice`, which copies them into an array."""
    return items[int(rng.random() * len(items))]


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """The colour at `share` of the way from `a` to `b`."""
    return (
        int(a[0] + (b[0] - a[0]) * share),
        int(a[1] + (b[1] - a[1]) * share),
        int(a[2] + (b[2] - a[2]) * share),
    )


def shade(colour: Colour, amount: float) -> Colour:
    """Lighter for a positive `amount`, darker (towards a cool dark, not black) for a negative one."""
    return mix(colour, (255, 252, 244), amount) if amount > 0 else mix(colour, (18, 20, 38), -amount)


class Brush:
    """A transparent RGBA tile just large enough for one thing, with drawing calls in metres.

    Args:
        foot: (x, y) px on the canvas of the thing's ground point.
        scale: pixels per metre there.
        width, height: extent of the thing in metres, centred on the foot; more is cut off.
        facing: 1, or -1 to mirror left and right.
        sun: -1 or 1, the side in picture coordinates that the light comes from.
        haze: colour and share of the air between the camera and the thing.
    """

    def __init__(
        self, foot: Point, scale: float, width: float, height: float, facing: int, sun: int, haze: tuple[Colour, float]
    ) -> None:
        self.left = math.floor(foot[0] - scale * width / 2) - 2
        self.top = math.floor(foot[1] - scale * height) - 2
        right = math.ceil(foot[0] + scale * width / 2) + 2
        bottom = math.ceil(foot[1] + scale * 0.06) + 2
        self.image = Image.new("RGBA", (right - self.left, bottom - self.top))
        self.pen = ImageDraw.Draw(self.image)
        self.x, self.y = foot[0] - self.left, foot[1] - self.top
        self.scale, self.step = scale, scale * facing
        self.sun = sun * facing
        self.haze, self.thickness = haze

    def ink(self, colour: Colour) -> Colour:
        return mix(colour, self.haze, self.thickness)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        x, y, sx, sy = self.x, self.y, self.step, self.scale
        self.pen.polygon([(x + sx * px, y - sy * py) for px, py in points], fill=self.ink(colour))

    def box(self, x1: float, y1: float, x2: float, y2: float, colour: Colour) -> None:
        self.pen.rectangle(self._corners(x1, y1, x2, y2), fill=self.ink(colour))

    def ellipse(self, cx: float, cy: float, rx: float, ry: float, colour: Colour) -> None:
        self.pen.ellipse(self._corners(cx - rx, cy - ry, cx + rx, cy + ry), fill=self.ink(colour))

    def ring(self, cx: float, cy: float, radius: float, width: float, colour: Colour) -> None:
        corners = self._corners(cx - radius, cy - radius, cx + radius, cy + radius)
        self.pen.ellipse(corners, outline=self.ink(colour), width=max(1, round(width * self.scale)))

    def limb(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """A thick line with round joints and ends."""
        pixels = [(self.x + self.step * px, self.y - self.scale * py) for px, py in points]
        thick, ink = width * self.scale, self.ink(colour)
        self.pen.line(pixels, fill=ink, width=max(1, round(thick)))
        if thick >= 3:
            r = thick / 2 - 0.5
            for px, py in pixels:
                self.pen.ellipse((px - r, py - r, px + r, py + r), fill=ink)

    def _corners(self, x1: float, y1: float, x2: float, y2: float) -> tuple[float, float, float, float]:
        a, b = self.x + self.step * x1, self.x + self.step * x2
        return min(a, b), self.y - self.scale * y2, max(a, b), self.y - self.scale * y1


@dataclass(frozen=True)
class Sprite:
    """A thing with every choice made: its extent in metres (times `unit`) and how to draw it."""

    width: float
    height: float
    draw: Callable[[Brush], None]
    unit: float = 1.0
    shadow: float = 1.0  # width of its ground shadow in metres, times `unit`


def person(rng: np.random.Generator, pose: str | None = None, height: float | None = None) -> Sprite:
    """A person: pose is "walk" (side view), "stand" (front view), "wave", "ride" (on a bicycle) or "hug"."""
    child = pose is None and bool(rng.random() < 0.14)
    height = height or (1.0 + 0.35 * rng.random() if child else 1.55 + 0.35 * rng.random())
    draws = rng.random(8)
    pose = pose or ("walk" if draws[0] < 0.5 else "stand" if draws[0] < 0.92 else "wave")
    skin, hair, top, bottom = pick(rng, SKINS), pick(rng, HAIRS), pick(rng, TOPS), pick(rng, BOTTOMS)
    shoe = pick(rng, [(52, 46, 48), (236, 236, 232), (120, 72, 48)])
    build = 0.9 + 0.35 * draws[1]
    swing = 0.16 + 0.38 * draws[2]
    wear = "trousers" if pose == "ride" or draws[3] < 0.58 else "dress" if draws[3] < 0.74 else "coat"
    wear = "shorts" if draws[3] > 0.9 else wear
    long_hair, hat, bag = draws[4] < 0.4, bool(draws[5] < 0.14), pose not in ("ride", "hug") and draws[6] < 0.28
    bag_colour, hat_colour = pick(rng, TOPS), pick(rng, TOPS)
    side = pose in ("walk", "ride")

    # Skeleton: ((hip, knee, foot), (shoulder, elbow, hand)) for the far and the near side of the body.
    hip, neck = (0.0, 0.90), (0.03 if pose == "walk" else 0.0, 1.42)
    if pose == "ride":
        hip, neck = (-0.2, 1.0), (0.12, 1.47)
        turn = 2 * math.pi * draws[2]
        pedals = [(0.02 + 0.15 * math.cos(turn + t), 0.32 + 0.15 * math.sin(turn + t)) for t in (0.0, math.pi)]
        legs = [(hip, ((hip[0] + p[0]) / 2 + 0.22, (hip[1] + p[1]) / 2 + 0.08), p) for p in pedals]
        arms = [(neck, (0.30, 1.2), (0.47, 1.05))] * 2
    elif pose == "walk":
        legs = [(hip, *_bend(hip, a, b, 0.45, 0.43)) for a, b in ((-swing, 0.35 * draws[7]), (swing, 0.0))]
        arms = [(neck, *_bend(neck, a, -0.3, 0.28, 0.27)) for a in (swing * 0.9, -swing * 0.9)]
    else:
        stance = 0.06 + 0.06 * draws[7]
        legs = [((s * 0.085, 0.9), (s * stance, 0.46), (s * stance, 0.04)) for s in (-1, 1)]
        arms = [((s * 0.19, 1.4), *_bend((s * 0.19, 1.4), s * (0.1 + 0.25 * swing), 0.0, 0.28, 0.27)) for s in (-1, 1)]
        if pose == "wave":
            arms[1] = ((0.19, 1.4), (0.36, 1.52), (0.40, 1.76))
        elif pose == "hug":
            arms = [((0.1, 1.38), (0.34, 1.2), (0.56, 1.28)), ((0.14, 1.36), (0.36, 1.28), (0.6, 1.4))]
    # The lowest foot stands on the ground, whatever the stride.
    drop = 0.0 if pose == "ride" else min(leg[2][1] for leg in legs) - 0.045
    waist = 0.15 * build if side else 0.165 * build
    chest = 0.16 * build if side else 0.215 * build

    def draw(b: Brush) -> None:
        b.y += drop * b.scale
        far = -0.18 if side else 0.0
        sleeve = skin if wear == "shorts" else top
        trouser = bottom if wear in ("trousers", "coat") else skin
        if long_hair:
            b.ellipse(neck[0] - (0.05 if side else 0), neck[1] + 0.07, 0.13, 0.19, hair)
        for i, k in ((0, far), (1, 0.0)):
            if i == 1 and side:
                b.limb(arms[0], 0.105, shade(sleeve, far))
                b.ellipse(*arms[0][2], 0.055, 0.055, shade(skin, far))
            foot = legs[i][2]
            b.limb(legs[i], 0.155 * build if trouser is bottom else 0.115, shade(trouser, k))
            if wear == "shorts":
                b.limb(legs[i][:2], 0.17 * build, shade(bottom, k))
            toe = 0.13 if side else 0.0
            b.limb([foot, (foot[0] + toe, foot[1] - 0.005)], 0.095 if side else 0.12, shade(shoe, k))
        hem = 0.56 if wear in ("dress", "coat") else 0.86
        flare = {"dress": 1.75, "coat": 1.35}.get(wear, 1.0) * waist
        low = (hip[0], hip[1] - 0.9 + hem)
        torso = [
            (neck[0] - chest * 0.7, neck[1] + 0.05),
            (neck[0] + chest * 0.7, neck[1] + 0.05),
            (neck[0] + chest, neck[1] - 0.06),
            (hip[0] + waist, hip[1] + 0.12),
            (low[0] + flare, low[1]),
            (low[0] - flare, low[1]),
            (hip[0] - waist, hip[1] + 0.12),
            (neck[0] - chest, neck[1] - 0.06),
        ]
        b.polygon(torso, top)
        dark = torso[:1] + torso[5:] if b.sun > 0 else torso[1:5]
        inner = 0.35 * waist * (-1 if b.sun > 0 else 1)
        b.polygon([*dark, (low[0] + inner, low[1]), (neck[0] + inner, neck[1])], shade(top, -0.16))
        if bag:
            b.ellipse(*((-0.2, 1.2) if side else (0.24, 0.95)), 0.1, 0.17, bag_colour)
        b.limb([neck, (neck[0] + 0.01, neck[1] + 0.12)], 0.1, shade(skin, -0.15))
        head = (neck[0] + 0.02, neck[1] + 0.19)
        b.ellipse(*head, 0.112, 0.132, skin)
        _face(b, head, hat_colour if hat else hair, side, hat)
        for arm in arms[1:] if side else arms:
            b.limb(arm, 0.11, shade(sleeve, -0.07))
            b.ellipse(*arm[2], 0.058, 0.058, skin)

    width, tall = (1.7 if pose == "hug" else 1.4), (1.95 if pose == "wave" else 1.86)
    return Sprite(width, tall, draw, height / 1.74, shadow=0.75)


def _bend(start: Point, angle: float, bend: float, upper: float, lower: float) -> tuple[Point, Point]:
    """Joint and end of a two-part limb that hangs from `start` at `angle` (radians from straight down)."""
    joint = (start[0] + upper * math.sin(angle), start[1] - upper * math.cos(angle))
    return joint, (joint[0] + lower * math.sin(angle - bend), joint[1] - lower * math.cos(angle - bend))


def _face(b: Brush, head: Point, colour: Colour, side: bool, hat: bool) -> None:
    """Hair or a hat on the upper half of the head, and eyes; seen from the side the hair also covers the back."""
    x, y = head
    first, last = (0.35, 3.4) if side else (0.2, math.pi - 0.2)
    arc = [(math.cos(t) * 0.126, math.sin(t) * 0.146) for t in np.linspace(first, last, 9)]
    if side and not hat:
        arc += [(-0.09, -0.09), (-0.02, 0.02)]
    b.polygon([(x + px, y + py) for px, py in arc], colour)
    if hat:
        b.limb([(x - 0.14, y + 0.05), (x + (0.24 if side else 0.14), y + 0.05)], 0.045, shade(colour, -0.2))
    for eye in (0.07,) if side else (-0.045, 0.045):
        b.ellipse(x + eye, y - 0.01, 0.016, 0.02, (40, 32, 34))


def dog(rng: np.random.Generator) -> Sprite:
    """A dog seen from the side, nose to the right."""
    coat, swing, stout = pick(rng, COATS), 0.06 + 0.1 * rng.random(), 0.85 + 0.4 * rng.random()
    lop, collar, patch = rng.random() < 0.5, pick(rng, TOPS), rng.random() < 0.4

    def draw(b: Brush) -> None:
        for x, s, k in ((-0.26, -1, -0.25), (0.24, 1, -0.25), (-0.28, 1, 0), (0.26, -1, 0)):
            b.limb([(x, 0.32), (x + s * swing, 0.03)], 0.085, shade(coat, k))
        b.limb([(-0.34, 0.42), (-0.5, 0.62), (-0.48, 0.7)], 0.06, coat)
        b.limb([(-0.26, 0.4), (0.24, 0.41)], 0.25 * stout, coat)
        if patch:
            b.ellipse(-0.05, 0.46, 0.14, 0.07, shade(coat, -0.4))
        b.limb([(0.27, 0.45), (0.38, 0.62)], 0.16, coat)
        b.limb([(0.29, 0.5), (0.4, 0.54)], 0.05, collar)
        b.ellipse(0.42, 0.68, 0.12, 0.11, coat)
        b.limb([(0.46, 0.65), (0.59, 0.62)], 0.1, shade(coat, 0.15))
        b.ellipse(0.635, 0.645, 0.03, 0.03, (30, 26, 28))
        ear = [(0.33, 0.76), (0.42, 0.76), (0.34, 0.54)] if lop else [(0.33, 0.74), (0.42, 0.78), (0.35, 0.9)]
        b.polygon(ear, shade(coat, -0.35))
        b.ellipse(0.46, 0.71, 0.02, 0.02, (20, 18, 20))

    return Sprite(1.4, 0.95, draw, 0.65 + 0.6 * rng.random(), shadow=0.9)


def bird(rng: np.random.Generator, flying: bool) -> Sprite:
    """A pigeon, gull or crow, standing or flying, beak to the right."""
    plume, beak, flap = pick(rng, PLUMES), (232, 158, 60), rng.random()

    def stand(b: Brush) -> None:
        for x in (-0.02, 0.05):
            b.limb([(x, 0.14), (x + 0.01, 0.01)], 0.022, beak)
        b.polygon([(-0.12, 0.22), (-0.34, 0.14), (-0.32, 0.2), (-0.1, 0.3)], shade(plume, -0.3))
        b.ellipse(0.0, 0.22, 0.18, 0.105, plume)
        b.ellipse(-0.04, 0.24, 0.14, 0.06, shade(plume, -0.22))
        b.limb([(0.1, 0.26), (0.15, 0.37)], 0.1, shade(plume, -0.1))
        b.ellipse(0.16, 0.39, 0.065, 0.06, shade(plume, -0.1))
        b.polygon([(0.21, 0.41), (0.3, 0.375), (0.21, 0.36)], beak)
        b.ellipse(0.175, 0.4, 0.014, 0.014, (20, 18, 20))

    def fly(b: Brush) -> None:
        tip = 0.5 * flap
        b.polygon([(-0.05, 0.3), (0.12, 0.3), (-0.1, 0.34 + 0.9 * tip), (-0.34, 0.42 + tip)], shade(plume, -0.3))
        b.polygon([(-0.2, 0.3), (-0.42, 0.24), (-0.42, 0.34)], shade(plume, -0.2))
        b.ellipse(0.0, 0.29, 0.23, 0.075, plume)
        b.ellipse(0.22, 0.32, 0.07, 0.06, shade(plume, -0.1))
        b.polygon([(0.28, 0.34), (0.37, 0.31), (0.28, 0.29)], beak)
        b.polygon([(-0.12, 0.28), (0.1, 0.28), (0.06, 0.1 + tip), (-0.16, tip)], shade(plume, 0.15))

    unit = (0.9 + 0.5 * rng.random()) * (1.25 if flying else 1.0)
    return Sprite(1.0, 1.0 if flying else 0.5, fly if flying else stand, unit, shadow=0.4)
