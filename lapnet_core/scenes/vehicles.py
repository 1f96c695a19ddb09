"""Painters of the embedded street scenes, part two: vehicles, and what stands in a street."""

from collections.abc import Sequence

import numpy as np

from lapnet_core.scenes.painters import TOPS, Brush, Colour, Point, Sprite, pick, shade

CARS = [
    (196, 52, 48), (232, 232, 230), (52, 58, 68), (140, 148, 158), (46, 92, 152), (88, 150, 190), (66, 118, 92),
    (236, 186, 70), (222, 118, 58), (122, 48, 58), (188, 176, 152),
]  # fmt: skip
BUSES = [(206, 58, 50), (244, 182, 58), (44, 110, 168), (62, 142, 96), (230, 230, 224)]
LEAVES = [(84, 138, 76), (104, 154, 78), (68, 120, 84), (150, 160, 74), (196, 138, 62)]
GLASS, TYRE, METAL = (150, 190, 206), (38, 40, 46), (176, 182, 188)


def car_side(rng: np.random.Generator) -> Sprite:
    """A car seen from the side, nose to the right."""
    paint = pick(rng, CARS)
    style = pick(rng, ["sedan", "sedan", "hatch", "hatch", "van"])
    length = {"sedan": 4.6, "hatch": 3.9, "van": 4.9}[style] * (0.95 + 0.1 * rng.random())
    profile, window = {
        "sedan": (
            [(-0.5, 0.72), (-0.47, 0.93), (-0.32, 0.98), (-0.17, 1.38), (-0.08, 1.45), (0.08, 1.44), (0.24, 1.0)],
            [(-0.26, 0.98), (-0.145, 1.35), (0.07, 1.36), (0.2, 0.98)],
        ),
        "hatch": (
            [(-0.5, 0.75), (-0.48, 1.02), (-0.41, 1.42), (-0.33, 1.52), (0.06, 1.5), (0.24, 1.02)],
            [(-0.42, 1.02), (-0.36, 1.4), (0.05, 1.42), (0.2, 1.02)],
        ),
        "van": (
            [(-0.5, 0.8), (-0.49, 1.78), (-0.46, 1.9), (0.18, 1.88), (0.34, 1.14)],
            [(-0.06, 1.16), (-0.06, 1.7), (0.16, 1.7), (0.29, 1.16)],
        ),
    }[style]
    nose = [(0.44, 0.92), (0.495, 0.76), (0.5, 0.36), (-0.5, 0.36)]

    def draw(b: Brush) -> None:
        def at(points: Sequence[Point]) -> list[Point]:
            return [(x * length, y) for x, y in points]

        b.box(-0.44 * length, 0.18, 0.44 * length, 0.42, shade(TYRE, -0.3))
        b.polygon(at([*profile, *nose]), paint)
        b.polygon(at([(-0.5, 0.58), (0.5, 0.56), (0.5, 0.3), (-0.5, 0.3)]), shade(paint, -0.2))
        b.polygon(at([(-0.48, 0.9), (0.46, 0.86), (0.48, 0.8), (-0.49, 0.84)]), shade(paint, 0.25))
        b.polygon(at(window), shade(GLASS, -0.35))
        (x0, y0), (x1, y1), (x2, y2), (x3, _) = window
        b.polygon(at([(x0 + 0.08, y0), (x1 + 0.12, y1), (x1 + 0.06, y1), (x0 + 0.02, y0)]), shade(GLASS, 0.1))
        middle = (x1 + x2) / 2
        b.box(middle * length - 0.05, y0, middle * length + 0.05, max(y1, y2), paint)
        b.limb(at([(middle, y0), (middle, 0.42)]), 0.03, shade(paint, -0.35))
        b.limb(at([(x3, y0), (x3 + 0.01, 0.5)]), 0.03, shade(paint, -0.35))
        b.box((middle - 0.06) * length, 0.84, (middle - 0.02) * length, 0.89, shade(paint, -0.45))
        b.ellipse(0.475 * length, 0.74, 0.11, 0.07, (255, 244, 200))
        b.box(-0.5 * length, 0.72, -0.475 * length, 0.88, (206, 44, 40))
        for x in (-0.31 * length, 0.31 * length):
            b.ellipse(x, 0.36, 0.41, 0.41, shade(paint, -0.6))
            b.ellipse(x, 0.33, 0.33, 0.33, TYRE)
            b.ellipse(x, 0.33, 0.18, 0.18, METAL)
            b.ellipse(x, 0.33, 0.07, 0.07, shade(METAL, -0.4))

    return Sprite(length + 0.2, 2.0, draw, shadow=length * 1.02)


def car_front(rng: np.random.Generator) -> Sprite:
    """A car seen from the front or, as often, from behind."""
    paint, rear = pick(rng, CARS), rng.random() < 0.5
    high = 1.75 if rng.random() < 0.25 else 1.42 + 0.1 * rng.random()
    half = 0.88 + 0.06 * rng.random()

    def draw(b: Brush) -> None:
        def mirror(points: Sequence[Point]) -> list[Point]:
            return [*points, *[(-x, y) for x, y in reversed(points)]]

        for s in (-1, 1):
            b.box(s * (half - 0.3), 0.0, s * (half - 0.06), 0.42, TYRE)
            b.ellipse(s * (half + 0.03), 0.98, 0.09, 0.07, shade(paint, -0.25))
        b.box(-half + 0.1, 0.18, half - 0.1, 0.4, shade(TYRE, -0.2))
        b.polygon(mirror([(-half * 0.94, 0.28), (-half, 0.45), (-half, 0.82), (-half * 0.9, 0.95)]), paint)
        roof = [(-half * 0.88, 0.92), (-half * 0.72, high - 0.1), (-half * 0.55, high), (0.0, high + 0.02)]
        b.polygon(mirror(roof), paint)
        b.polygon(mirror([(-half * 0.78, 0.97), (-half * 0.64, high - 0.11)]), shade(GLASS, -0.35))
        b.polygon([(0.0, 0.97), (0.12, high - 0.11), (0.36, high - 0.11), (0.24, 0.97)], shade(GLASS, 0.05))
        b.box(-half, 0.3, half, 0.46, shade(paint, -0.25))
        b.polygon(mirror([(-half * 0.9, 0.93), (-half * 0.84, 0.88)]), shade(paint, 0.3))
        if rear:
            for s in (-1, 1):
                b.box(s * (half - 0.26), 0.62, s * (half - 0.02), 0.82, (200, 38, 40))
            b.limb([(-half * 0.7, 0.6), (half * 0.7, 0.6)], 0.025, shade(paint, -0.4))
        else:
            b.box(-0.42, 0.5, 0.42, 0.68, shade(TYRE, 0.08))
            for s in (-1, 1):
                b.ellipse(s * (half - 0.2), 0.7, 0.16, 0.1, (255, 246, 210))
        b.box(-0.24, 0.38, 0.24, 0.49, (244, 242, 228))

    return Sprite(2 * half + 0.3, high + 0.1, draw, shadow=2.0)


def bus_side(rng: np.random.Generator) -> Sprite:
    """A city bus seen from the side, nose to the right."""
    paint, length = pick(rng, BUSES), 9.0 + 2.5 * rng.random()
    panes = int(length / 1.45)

    def draw(b: Brush) -> None:
        half = length / 2
        b.box(-half + 0.3, 0.2, half - 0.3, 0.5, TYRE)
        b.polygon([(-half, 0.4), (-half, 2.9), (-half + 0.2, 3.1), (half - 0.4, 3.1), (half, 2.7), (half, 0.4)], paint)
        b.box(-half, 0.4, half, 0.72, shade(paint, -0.3))
        b.box(-half, 1.18, half, 1.3, shade(paint, 0.55))
        b.box(-half + 0.15, 2.92, half - 0.5, 3.02, shade(paint, 0.3))
        pitch = (length - 0.5) / panes
        for i in range(panes):
            x = -half + 0.3 + i * pitch
            door = i in (panes - 1, panes // 2)
            b.box(x, 0.5 if door else 1.45, x + pitch - 0.14, 2.62, shade(GLASS, -0.4 if i % 3 else -0.25))
            if door:
                b.limb([(x + pitch / 2 - 0.07, 0.5), (x + pitch / 2 - 0.07, 2.6)], 0.07, shade(paint, -0.3))
        b.box(half - 3.2, 2.68, half - 1.2, 2.9, (40, 40, 40))
        b.limb([(half - 3.0, 2.79), (half - 1.5, 2.79)], 0.1, (255, 190, 70))
        for x in (-half * 0.58, half * 0.56):
            b.ellipse(x, 0.53, 0.57, 0.57, shade(paint, -0.55))
            b.ellipse(x, 0.47, 0.47, 0.47, TYRE)
            b.ellipse(x, 0.47, 0.25, 0.25, METAL)
        b.ellipse(half - 0.12, 0.82, 0.1, 0.13, (255, 246, 210))

    return Sprite(length + 0.2, 3.2, draw, shadow=length)


def bus_front(rng: np.random.Generator) -> Sprite:
    """A city bus seen from the front."""
    paint = pick(rng, BUSES)

    def draw(b: Brush) -> None:
        for s in (-1, 1):
            b.box(s * 0.7, 0.0, s * 1.1, 0.5, TYRE)
            b.limb([(s * 1.2, 2.7), (s * 1.42, 2.5), (s * 1.42, 2.1)], 0.1, TYRE)
        b.polygon([(-1.25, 0.3), (-1.25, 2.9), (-1.1, 3.1), (1.1, 3.1), (1.25, 2.9), (1.25, 0.3)], paint)
        b.box(-1.25, 0.3, 1.25, 0.55, shade(paint, -0.35))
        b.box(-1.12, 1.2, 1.12, 2.6, shade(GLASS, -0.4))
        b.polygon([(-0.7, 1.2), (-0.2, 2.6), (0.25, 2.6), (-0.25, 1.2)], shade(GLASS, -0.1))
        b.box(-0.03, 1.2, 0.03, 2.6, shade(paint, -0.3))
        b.box(-0.85, 2.68, 0.85, 2.98, (40, 40, 40))
        b.limb([(-0.6, 2.83), (0.6, 2.83)], 0.12, (255, 190, 70))
        for s in (-1, 1):
            b.ellipse(s * 0.95, 0.82, 0.18, 0.13, (255, 246, 210))
        b.box(-0.3, 0.62, 0.3, 0.76, (244, 242, 228))

    return Sprite(3.1, 3.2, draw, shadow=2.8)


def bicycle(rng: np.random.Generator) -> Sprite:
    """A bicycle seen from the side, front wheel to the right."""
    paint, basket = pick(rng, TOPS[:9]), rng.random() < 0.3

    def draw(b: Brush) -> None:
        hub_back, hub_front, crank, seat, stem = (-0.53, 0.35), (0.53, 0.35), (0.0, 0.34), (-0.2, 0.86), (0.4, 0.88)
        for x, y in (hub_back, hub_front):
            b.ring(x, y, 0.35, 0.06, TYRE)
            b.ring(x, y, 0.29, 0.02, METAL)
            b.ellipse(x, y, 0.05, 0.05, METAL)
        b.limb([hub_back, crank, seat, hub_back], 0.055, paint)
        b.limb([crank, (0.42, 0.74), (-0.17, 0.78)], 0.06, paint)
        b.limb([hub_front, stem, (0.38, 1.02), (0.5, 1.06)], 0.055, shade(paint, -0.1))
        b.limb([(-0.32, 0.93), (-0.1, 0.93)], 0.08, TYRE)
        b.limb([(-0.2, 0.93), seat], 0.05, METAL)
        b.ring(*crank, 0.1, 0.04, METAL)
        if basket:
            b.polygon([(0.5, 0.98), (0.86, 0.98), (0.8, 0.72), (0.54, 0.72)], (176, 132, 84))

    return Sprite(1.9, 1.2, draw, 0.95 + 0.15 * rng.random(), shadow=1.7)


def traffic_light(rng: np.random.Generator) -> Sprite:
    """The head of a traffic light; its pole is an occluder of its own (`post`)."""
    lit = int(rng.random() * 3)

    def draw(b: Brush) -> None:
        b.box(-0.24, 0.02, 0.24, 1.08, (34, 38, 40))
        b.box(-0.19, 0.06, 0.19, 1.04, (58, 62, 62))
        for i, glow in enumerate([(64, 214, 130), (255, 186, 60), (246, 66, 58)]):
            y = 0.22 + 0.33 * i
            b.ellipse(0.0, y, 0.14, 0.14, glow if i == lit else shade(glow, -0.72))
            if i == lit:
                b.ellipse(-0.03, y + 0.04, 0.05, 0.05, shade(glow, 0.6))

    return Sprite(0.6, 1.2, draw)


def post(height: float, colour: Colour = (74, 80, 86), lamp: bool = False) -> Sprite:
    """A bare post, or a street lamp."""

    def draw(b: Brush) -> None:
        b.box(-0.06, 0.0, 0.06, height, colour)
        b.box(-0.11, 0.0, 0.11, 0.35, shade(colour, -0.15))
        b.box(0.01, 0.35, 0.06, height, shade(colour, 0.15))
        if lamp:
            b.limb([(0.0, height), (0.7, height + 0.25)], 0.08, colour)
            b.limb([(0.65, height + 0.2), (1.05, height + 0.2)], 0.16, (255, 236, 176))

    return Sprite(2.6, height + 0.5, draw, shadow=0.4)


def bollard() -> Sprite:
    def draw(b: Brush) -> None:
        b.limb([(0.0, 0.08), (0.0, 0.85)], 0.2, (44, 62, 66))
        b.box(-0.1, 0.62, 0.1, 0.72, (236, 232, 224))

    return Sprite(0.4, 1.0, draw, shadow=0.4)


def tree(rng: np.random.Generator) -> Sprite:
    """A street tree: trunk and a crown of overlapping discs, dark below and light on top."""
    leaf, height = pick(rng, LEAVES), 4.5 + 2.5 * rng.random()
    jitter = rng.random((7, 3))

    def draw(b: Brush) -> None:
        b.polygon([(-0.2, 0.0), (-0.11, height * 0.6), (0.11, height * 0.6), (0.2, 0.0)], (104, 78, 60))
        b.polygon([(0.02, 0.0), (0.02, height * 0.6), (0.11, height * 0.6), (0.2, 0.0)], (86, 64, 52))
        for tone, up, size in ((-0.22, 0.0, 1.0), (0.0, 0.25, 0.85), (0.16, 0.6, 0.5)):
            for i, (dx, dy, dr) in enumerate(jitter):
                x = (i / 6 - 0.5) * 2.4 * size + (dx - 0.5) * 0.6 + 0.3 * b.sun * up
                r = (0.62 + 0.35 * dr) * size
                b.ellipse(x, height * 0.72 + up + (dy - 0.3) * 1.3 * size, r, r, shade(leaf, tone))

    return Sprite(4.8, height + 2.4, draw, shadow=2.6)
