"""What stands behind the things of a street scene: the camera, the light, the sky, the facades and the ground.

Everything is drawn at twice the size of the picture and halved at the end, which is what smooths the edges.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from lapnet_core.scenes.painters import Colour, Point, mix, pick, shade

SUPERSAMPLE = 2
WALLS = [
    (206, 164, 132), (186, 112, 88), (222, 204, 172), (168, 140, 124), (232, 218, 198), (156, 166, 172),
    (196, 178, 128), (178, 194, 190), (212, 152, 128), (236, 196, 150),
]  # fmt: skip
AWNINGS = [(196, 72, 66), (70, 124, 116), (226, 168, 72), (72, 96, 146)]


@dataclass(frozen=True)
class Light:
    """A time of day: sky colours from top to horizon, and the tint of the whole picture."""

    sky_top: Colour
    sky_low: Colour
    gain: tuple[float, float, float]  # per channel
    gamma: float  # above 1 darkens the middle tones
    shadow: float  # 0..1, how dark the ground shadows are
    lit: float  # share of lit windows

    @functools.cached_property
    def curve(self) -> list[int]:
        """The tint as a table for `Image.point`: 3 x 256 levels."""
        return [min(255, round(255 * gain * (v / 255) ** self.gamma)) for gain in self.gain for v in range(256)]


LIGHTS = {
    "noon": Light((92, 158, 214), (206, 230, 240), (1.0, 1.0, 1.0), 1.0, 0.42, 0.0),
    "golden": Light((112, 150, 200), (255, 222, 176), (1.05, 0.98, 0.86), 1.05, 0.5, 0.05),
    "overcast": Light((164, 176, 188), (216, 222, 224), (0.95, 0.97, 1.0), 1.12, 0.22, 0.08),
    "dusk": Light((66, 78, 132), (246, 172, 140), (0.86, 0.8, 0.95), 1.3, 0.3, 0.5),
}


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks level along z. Metres in (x right, y up, z away), supersampled pixels out."""

    width: int
    height: int
    horizon: float  # y px of the horizon
    focal: float  # px
    eye: float  # m above the ground
    vanish: float  # x px of the vanishing point

    def scale(self, z: float) -> float:
        """Pixels per metre at distance z."""
        return self.focal / z

    def at(self, x: float, y: float, z: float) -> Point:
        return self.vanish + self.focal * x / z, self.horizon + self.focal * (self.eye - y) / z

    def many(self, xyz: np.ndarray) -> list[list[Point]]:
        """Project (N, K, 3) points to N polygons of K corners."""
        scale = self.focal / xyz[..., 2]
        flat = np.stack([self.vanish + xyz[..., 0] * scale, self.horizon + (self.eye - xyz[..., 1]) * scale], axis=-1)
        return [[tuple(point) for point in polygon] for polygon in flat.tolist()]

    @property
    def nearest(self) -> float:
        """Distance of the ground at the lower edge of the picture."""
        return self.focal * self.eye / (self.height - self.horizon)

    def reach(self, z: float) -> tuple[float, float]:
        """Smallest and largest x in view at distance z."""
        return -self.vanish * z / self.focal, (self.width - self.vanish) * z / self.focal


@functools.cache
def soft_disc() -> Image.Image:
    """A round blurred mask; resized, it is the shadow of everything."""
    mask = Image.new("L", (96, 96))
    ImageDraw.Draw(mask).ellipse((16, 16, 80, 80), fill=255)
    return mask.filter(ImageFilter.GaussianBlur(8))


@functools.cache
def clouds() -> list[Image.Image]:
    """Six cloud masks, drawn once per process from a seed of their own."""
    rng = np.random.default_rng(7)
    masks = []
    for _ in range(6):
        mask = Image.new("L", (256, 96))
        pen = ImageDraw.Draw(mask)
        for x in np.linspace(50, 206, 7):
            r = 14 + 22 * rng.random() * (1 - abs(x - 128) / 130)
            pen.ellipse((x - 1.5 * r, 66 - 1.5 * r, x + 1.5 * r, 66 + 0.5 * r), fill=230)
        masks.append(mask.filter(ImageFilter.GaussianBlur(5)))
    return masks


@functools.cache
def grain() -> Image.Image:
    """A 512 x 512 texture that wraps around, of fine and coarse specks: asphalt, grass and plaster."""
    rng = np.random.default_rng(8)
    total = np.zeros((512, 512), np.float32)
    for cells, weight in ((512, 0.5), (128, 0.8), (32, 1.0)):
        octave = Image.fromarray(rng.random((cells, cells), np.float32)).resize((512, 512), Image.Resampling.BICUBIC)
        total += weight * (np.asarray(octave) - 0.5)
    return Image.fromarray((127 + 90 * total / np.abs(total).max()).clip(0, 255).astype(np.uint8))


@functools.cache
def sensor_noise() -> np.ndarray:
    """A (640, 640, 3) int16 bank of sensor noise, mostly luminance; pictures take windows of it."""
    rng = np.random.default_rng(9)
    noise = 2.1 * rng.standard_normal((640, 640, 1)) + 0.9 * rng.standard_normal((640, 640, 3))
    return np.rint(noise).astype(np.int16)


class Backdrop:
    """Paints everything behind the things onto `canvas`. `sun` is -1 or 1, the side that the light comes from."""

    def __init__(self, rng: np.random.Generator, canvas: Image.Image, camera: Camera, light: Light, sun: int) -> None:
        self.rng, self.canvas, self.camera, self.light, self.sun = rng, canvas, camera, light, sun
        self.pen = ImageDraw.Draw(canvas)

    def paint(self, place: str) -> None:
        """All of it; the layouts put their things on these pavements and roads."""
        self.sky()
        self.skyline()
        if place == "avenue":
            self.ground((176, 168, 158))
            self.strip(-4.6, 4.6, (204, 198, 188))
            self.strip(-4.4, 4.4, (104, 106, 114))
            dashes = np.arange(self.camera.nearest * 0.8, 90, 5.0)
            self.patches(
                np.stack([0 * dashes - 0.07, dashes, 0 * dashes + 0.07, dashes + 2.4], axis=1), (226, 222, 210)
            )
            stripes = np.arange(-4.0, 4.0, 1.0)
            self.patches(np.stack([stripes, 0 * stripes + 9, stripes + 0.5, 0 * stripes + 12], axis=1), (226, 222, 210))
            self.speckle()
            self.street_walls(8.0)
        elif place == "across":
            self.ground((178, 170, 160))
            self.band(17.0, 8.0, (204, 198, 188))
            self.band(16.8, 8.2, (104, 106, 114))
            dashes = np.arange(-30, 30, 3.4)
            self.patches(
                np.stack([dashes, 0 * dashes + 12.3, dashes + 1.7, 0 * dashes + 12.5], axis=1), (226, 222, 210)
            )
            self.speckle()
            self.frontage(20.0)
        elif place == "square":
            self.ground((190, 178, 162))
            joints = np.arange(-40, 40, 2.5)
            self.patches(np.stack([joints, 0 * joints + 1.5, joints + 0.06, 0 * joints + 34], axis=1), (166, 152, 138))
            for z in np.arange(2, 34, 2.5):
                self.band(z, z + 0.06, (166, 152, 138))
            self.speckle()
            self.frontage(34.0)
        else:
            self.hedge((96, 140, 84))
            self.ground((126, 162, 86))
            bend = self.camera.vanish - 0.5 * self.camera.width
            self.strip(-3.0 + bend, 1.0 + bend, (206, 188, 156))
            self.speckle()

    def sky(self) -> None:
        camera, rng = self.camera, self.rng
        rows = max(1, math.ceil(camera.horizon))
        blend = np.linspace(0, 1, rows)[:, None] ** 0.9
        ramp = (1 - blend) * np.array(self.light.sky_top) + blend * np.array(self.light.sky_low)
        column = Image.fromarray(ramp.astype(np.uint8)[:, None])
        self.canvas.paste(column.resize((camera.width, rows), Image.Resampling.NEAREST), (0, 0))
        white = mix((255, 255, 255), self.light.sky_low, 0.35)
        for _ in range(int(rng.random() * 4)):
            wide = int(camera.width * (0.25 + 0.35 * rng.random()))
            mask = pick(rng, clouds()).resize((wide, max(1, wide // 3)), Image.Resampling.BILINEAR)
            place = int(rng.random() * camera.width - wide / 2), int(rng.random() * 0.6 * rows - wide / 12)
            self.canvas.paste(white, place, mask)

    def skyline(self) -> None:
        """Far blocks in the haze, along the whole horizon."""
        x, low, rng = 0.0, self.camera.horizon, self.rng
        unit = self.camera.height / 100
        while x < self.camera.width:
            wide, tall = (5 + 9 * rng.random()) * unit, (3 + 11 * rng.random()) * unit
            tone = mix((112, 124, 146), self.light.sky_low, 0.45 + 0.25 * rng.random())
            self.pen.rectangle((x, low - tall, x + wide, low), fill=tone)
            x += wide * (0.8 + 0.4 * rng.random())

    def hedge(self, colour: Colour) -> None:
        """A line of far trees along the horizon."""
        rng, low, unit = self.rng, self.camera.horizon, self.camera.height / 100
        for tone, lift in ((-0.2, 1.0), (-0.05, 0.55)):
            ink = mix(shade(colour, tone), self.light.sky_low, 0.3)
            x = -2 * unit
            while x < self.camera.width + 4 * unit:
                r = (3.2 + 3.4 * rng.random()) * unit
                self.pen.ellipse((x - r, low - lift * r * 1.5, x + r, low + r * 0.5), fill=ink)
                x += r * 1.2

    def ground(self, colour: Colour) -> None:
        """The plane from the horizon down, paler with distance, with a grain that shrinks with distance."""
        camera = self.camera
        top = math.floor(camera.horizon)
        rows = camera.height - top
        fade = np.exp(-np.arange(rows) / (0.10 * rows))[:, None] * 0.5
        ramp = (1 - fade) * np.array(colour) + fade * np.array(mix(colour, self.light.sky_low, 0.8))
        column = Image.fromarray(ramp.astype(np.uint8)[:, None])
        self.canvas.paste(column.resize((camera.width, rows), Image.Resampling.NEAREST), (0, top))

    def strip(self, x1: float, x2: float, colour: Colour, far: float = 400.0) -> None:
        """A band of ground that runs away from the camera, from x1 to x2 metres."""
        near = self.camera.nearest * 0.9
        corners = [(x1, far), (x2, far), (x2, near), (x1, near)]
        self.pen.polygon([self.camera.at(x, 0.0, z) for x, z in corners], fill=colour)

    def band(self, z1: float, z2: float, colour: Colour) -> None:
        """A band of ground across the picture, from z1 to z2 metres away."""
        y1, y2 = self.camera.at(0.0, 0.0, z1)[1], self.camera.at(0.0, 0.0, z2)[1]
        self.pen.rectangle((0, min(y1, y2), self.camera.width, max(y1, y2)), fill=colour)

    def patches(self, rectangles: np.ndarray, colour: Colour) -> None:
        """Painted ground marks: (N, 4) rectangles x1, z1, x2, z2 in metres."""
        if len(rectangles) == 0:
            return
        corners = rectangles[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
        for polygon in self.camera.many(np.insert(corners, 1, 0.0, axis=2)):
            self.pen.polygon(polygon, fill=colour)

    def speckle(self) -> None:
        """Grain over the ground: a perspective view of the wrapped texture, darkening and lightening it."""
        camera, texture = self.camera, grain()
        top = math.floor(camera.horizon) + 2
        rows = np.arange(top, camera.height, SUPERSAMPLE)
        z = camera.focal * camera.eye / (rows + 0.5 - camera.horizon)
        columns = np.arange(0, camera.width, SUPERSAMPLE) - camera.vanish
        u = (columns[None] * (z[:, None] * (40 / camera.focal)) + 4096 * 512).astype(np.int64) & 511
        v = ((z * 40).astype(np.int64) & 511)[:, None]
        mask = Image.fromarray(np.asarray(texture)[v, u] >> 2).resize(
            (camera.width, camera.height - top), Image.Resampling.BILINEAR
        )
        self.canvas.paste((24, 26, 40), (0, top), mask)

    def street_walls(self, half_width: float) -> None:
        """Houses along both sides of a street that runs away from the camera, far ones first."""
        for side in (-1, 1):
            dark = -0.05 if side != self.sun else -0.24
            z, ends = self.camera.nearest * 0.6, []
            while z < 95:
                length = 7 + 8 * self.rng.random()
                ends.append((z, z + length))
                z += length
            for near, far in reversed(ends):
                floors = 2 + int(3 * self.rng.random())
                self._house(np.array([side * half_width, near]), np.array([side * half_width, far]), floors, dark)

    def frontage(self, z: float) -> None:
        """A row of houses that face the camera at distance z."""
        x, right = self.camera.reach(z)
        x -= 6 * self.rng.random()
        while x < right:
            width = 6 + 7 * self.rng.random()
            self._house(np.array([x, z]), np.array([x + width, z]), 2 + int(3 * self.rng.random()), 0.0)
            x += width

    def _house(self, start: np.ndarray, end: np.ndarray, floors: int, dark: float) -> None:
        """A facade on the ground line from `start` to `end`, (x, z) in metres, with a shop and rows of windows."""
        rng, pen, storey = self.rng, self.pen, 3.1
        distance = float(start[1] + end[1]) / 2
        air = 1 - math.exp(-distance / 110)

        def tone(colour: Colour, change: float = 0.0) -> Colour:
            return mix(shade(colour, dark + change), self.light.sky_low, air)

        def panel(t1: float, y1: float, t2: float, y2: float, colour: Colour) -> None:
            points = [(start + (end - start) * t, y) for t, y in ((t1, y1), (t2, y1), (t2, y2), (t1, y2))]
            pen.polygon([self.camera.at(p[0], y, p[1]) for p, y in points], fill=colour)

        wall, awning = pick(rng, WALLS), pick(rng, AWNINGS)
        length = float(np.abs(end - start).sum())
        top, count = floors * storey + 1.2, max(2, round(length / 2.3))
        panel(0, 0, 1, top, tone(wall))
        panel(0, top - 0.45, 1, top, tone(wall, -0.2))
        panel(0, 0, 1, 3.0, tone(wall, -0.28))
        panel(0.06, 0.5, 0.66, 2.3, tone((64, 84, 96)) if rng.random() > self.light.lit else (255, 220, 150))
        panel(0.76, 0.0, 0.9, 2.4, tone(awning, -0.3))
        if rng.random() < 0.6:
            panel(0.02, 2.25, 0.7, 2.85, tone(awning))
            for i in range(4):
                panel(0.02 + 0.17 * i, 2.25, 0.105 + 0.17 * i, 2.85, tone((240, 232, 218)))
        t = (np.arange(count) + 0.5) / count
        half, rows = 0.5 / length, storey * np.arange(1, floors) + 0.95
        left, low = (grid.ravel() for grid in np.meshgrid(t - half, rows))
        self._panes(start, end, left, low, 2 * half, 1.65, tone(wall, 0.35))
        glass = [tone((92, 118, 138)), tone((116, 146, 162)), tone((255, 222, 150), 0.3)]
        lit = rng.random(len(left))
        which = np.where(lit < self.light.lit, 2, (lit * 97).astype(int) % 2)
        for k in np.unique(which):
            some = which == k
            self._panes(start, end, left[some] + 0.15 * half, low[some] + 0.13, 1.7 * half, 1.4, glass[k])

    def _panes(
        self,
        start: np.ndarray,
        end: np.ndarray,
        left: np.ndarray,
        low: np.ndarray,
        width: float,
        height: float,
        colour: Colour,
    ) -> None:
        """Rectangles on a facade: `left` (share of its length) and `low` (m) are (N,), width and height common."""
        share = left[:, None] + width * np.array([0, 1, 1, 0])
        y = low[:, None] + height * np.array([0, 0, 1, 1])
        ground = start + (end - start) * share[..., None]
        for polygon in self.camera.many(np.stack([ground[..., 0], y, ground[..., 1]], axis=-1)):
            self.pen.polygon(polygon, fill=colour)


def tint(image: Image.Image, light: Light) -> Image.Image:
    """The whole picture in the colour of the light."""
    return image.point(light.curve)
