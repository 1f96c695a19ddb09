"""What stands where in a street scene: the stage, the layouts of its places, and the situations made for figures."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from lapnet_core.scenes import painters as paint
from lapnet_core.scenes import vehicles as street
from lapnet_core.scenes.backdrops import Camera, Light
from lapnet_core.scenes.painters import Sprite, pick

PLACES = ("avenue", "across", "square", "park")


@dataclass(frozen=True)
class Actor:
    """A thing in its place: metres right of the camera, metres away, metres above the ground."""

    sprite: Sprite
    x: float
    z: float
    kind: str | None = None  # one of SCENE_CLASSES; None for a mere occluder
    facing: int = 1
    lift: float = 0.0


@dataclass
class Stage:
    """A scene while it is being laid out."""

    rng: np.random.Generator
    camera: Camera
    place: str  # one of PLACES
    light: Light
    sun: int
    actors: list[Actor] = field(default_factory=list)

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.rng.random()

    def depth(self, near: float, far: float) -> float:
        """A distance, uniform in its logarithm: as many things twice as near as twice as far."""
        return near * (far / near) ** self.rng.random()

    def inside(self, z: float, margin: float = 0.0) -> float:
        """Some x in view at distance z; a negative margin (in metres) lets things stick out of the picture."""
        left, right = self.camera.reach(z)
        return self.between(left + margin, right - margin)

    def add(self, kind: str | None, sprite: Sprite, x: float, z: float, *, facing: int = 0, lift: float = 0.0) -> None:
        """Put a thing in its place; facing 0 leaves left or right to chance."""
        facing = facing or (1 if self.chance(0.5) else -1)
        self.actors.append(Actor(sprite, x, z, kind, facing, lift))

    # Groups of things.

    def people(self, x: float, z: float, count: int, spread: float = 0.42) -> None:
        """A group around (x, z), shoulder to shoulder: `spread` metres of street per head."""
        for i in range(count):
            side = (i - (count - 1) / 2) * spread
            self.add("person", paint.person(self.rng), x + side + self.between(-0.25, 0.25), z + self.between(-1, 1))

    def cyclist(self, x: float, z: float) -> None:
        facing = 1 if self.chance(0.5) else -1
        self.add("bicycle", street.bicycle(self.rng), x, z, facing=facing)
        self.add("person", paint.person(self.rng, "ride", 1.74), x, z - 0.01, facing=facing)

    def bicycle(self, x: float, z: float) -> None:
        self.add("bicycle", street.bicycle(self.rng), x, z)

    def dog_walker(self, x: float, z: float) -> None:
        facing = 1 if self.chance(0.5) else -1
        self.add("person", paint.person(self.rng, "walk"), x, z, facing=facing)
        self.add("dog", paint.dog(self.rng), x + facing * self.between(0.5, 1.1), z - 0.2, facing=facing)

    def signal(self, x: float, z: float) -> None:
        self.add(None, street.post(2.6), x, z)
        self.add("traffic_light", street.traffic_light(self.rng), x, z - 0.01, lift=2.2)

    def birds(self) -> None:
        """A few birds in the air, or pecking on the ground near the camera."""
        flying = self.chance(0.5)
        z = self.depth(1.2, 4) * self.camera.nearest * (0.9 if flying else 0.75)
        x, lift = self.inside(z), self.between(0.2, 0.62) * self.camera.horizon / self.camera.scale(z)
        for _ in range(1 + int(3.5 * self.rng.random())):
            up = self.camera.eye + lift * self.between(0.6, 1.2) if flying else 0.0
            sprite = paint.bird(self.rng, flying)
            self.add("bird", sprite, x + self.between(-1.2, 1.2), z + self.between(-0.6, 0.6), lift=up)


# Layouts. The numbers are chosen for the class shares and the sizes that tests/test_scenes.py asks for.


def any_street(stage: Stage) -> None:
    """Any scene: the things of its place, then people, then what may happen anywhere."""
    near = stage.camera.nearest
    if stage.chance(0.015):
        return  # an empty street
    {"avenue": _avenue, "across": _across, "square": _square, "park": _square}[stage.place](stage)
    if stage.chance(0.2):
        stage.birds()
    if stage.chance(0.2):
        z = stage.depth(near * 0.9, near * 5)
        stage.dog_walker(stage.inside(z), z)
    if stage.chance(0.14):  # something very near, often cut off by the frame
        z = near * stage.between(0.5, 0.85)
        kind = stage.rng.random()
        if kind < 0.4:
            stage.people(stage.inside(z), z, 1)
        elif kind < 0.7:
            stage.cyclist(stage.inside(z), z)
        else:
            stage.add("dog", paint.dog(stage.rng), stage.inside(z), z)


def _avenue(stage: Stage) -> None:
    near = stage.camera.nearest
    for side in (-1, 1):
        if stage.chance(0.7):
            _parked_front(stage, side * 3.3, near * stage.between(1.1, 2), 34)
        for z in np.arange(near * stage.between(0.9, 1.6), 45, stage.between(9, 13)):
            stage.add(None, street.tree(stage.rng) if stage.chance(0.5) else street.post(5, lamp=True), side * 5.1, z)
        for _ in range(int(stage.between(0, 2.6))):
            z = stage.depth(near * 1.1, 34)
            stage.people(side * stage.between(5.4, 7.4), z, 1 + int(3 * stage.rng.random() ** 2))
        if stage.chance(0.36):
            stage.signal(side * 4.7, pick(stage.rng, [8.6, 12.4]))
            stage.signal(side * 4.7, 17.0)
        if stage.chance(0.2):
            stage.add("bicycle", street.bicycle(stage.rng), side * stage.between(5.6, 7.4), stage.depth(near, 20))
    if stage.chance(0.4):  # the zebra crossing
        for _ in range(1 + int(4 * stage.rng.random())):
            stage.add("person", paint.person(stage.rng, "walk"), stage.between(-4, 4), stage.between(9, 12))
    if stage.chance(0.3):
        stage.cyclist(stage.between(-2.5, 2.5), stage.depth(near * 1.2, 20))
    if stage.chance(0.32):
        stage.add("bus", street.bus_front(stage.rng), pick(stage.rng, [-1.5, 1.5]), stage.depth(near * 1.2, 40))
    elif stage.chance(0.5):
        stage.add("car", street.car_front(stage.rng), pick(stage.rng, [-1.4, 1.4]), stage.depth(near * 1.1, 40))


def _parked_front(stage: Stage, x: float, start: float, end: float, chance: float = 0.7) -> None:
    """A row of cars one behind the other, seen from the front or from behind."""
    z = start
    while z < end:
        if stage.chance(chance):
            stage.add("car", street.car_front(stage.rng), x + stage.between(-0.15, 0.15), z, facing=1)
        z += stage.between(5.2, 6.4)


def _parked_side(stage: Stage, z: float, gap: float, chance: float) -> None:
    """A row of cars nose to tail, seen from the side."""
    left, right = stage.camera.reach(z)
    x, facing = left - stage.between(0, 4), 1 if stage.chance(0.5) else -1
    while x < right:
        sprite = street.car_side(stage.rng)
        if stage.chance(chance):
            stage.add("car", sprite, x + sprite.width / 2, z + stage.between(-0.1, 0.1), facing=facing)
        x += sprite.width + stage.between(0.2, gap)


def _across(stage: Stage) -> None:
    near = stage.camera.nearest
    if stage.chance(0.75):
        _parked_side(stage, 15.8, 1.5, 0.65)
    if stage.chance(0.3):
        z = stage.between(9.8, 13)
        stage.add("bus", street.bus_side(stage.rng), stage.inside(z), z)
    elif stage.chance(0.6):
        z = stage.between(9.5, 13.5)
        stage.add("car", street.car_side(stage.rng), stage.inside(z), z)
    for _ in range(int(stage.between(0.5, 3.5))):
        z = stage.between(17.6, 19.3)
        stage.people(stage.inside(z), z, 1 + int(3 * stage.rng.random() ** 2))
    for _ in range(int(stage.between(0, 2.6))):
        z = stage.depth(near * 0.85, 7.6)
        stage.people(stage.inside(z), z, 1 + int(3 * stage.rng.random() ** 2), 0.5)
    for x in np.arange(-16, 16, stage.between(6, 9)):
        if stage.chance(0.5):
            stage.add(None, street.tree(stage.rng) if stage.chance(0.6) else street.post(5, lamp=True), x, 17.2)
    if stage.chance(0.35):
        for x in np.arange(-6, 6, 1.6):
            stage.add(None, street.bollard(), x, 7.9)
    if stage.chance(0.55):
        stage.signal(stage.inside(7.8, 1), 7.8)
        stage.signal(stage.inside(17.2, 1), 17.2)
    if stage.chance(0.4):
        z = stage.between(8.6, 11)
        stage.cyclist(stage.inside(z), z)
    if stage.chance(0.3):
        for i in range(1 + int(3 * stage.rng.random())):
            stage.add("bicycle", street.bicycle(stage.rng), stage.inside(17.5) + 0.8 * i, 17.5 - 0.05 * i)


def _square(stage: Stage) -> None:
    """A square or a park: crowds, dogs and bicycles, now and then a car."""
    near, green = stage.camera.nearest, stage.place == "park"
    if stage.chance(0.45):
        z = stage.depth(near * 1.2, 14)
        stage.people(stage.inside(z, 0.3), z, 3 + int(4 * stage.rng.random()))
    for _ in range(int(stage.between(0.5, 2.6))):
        z = stage.depth(near * 0.8, 24)
        stage.people(stage.inside(z), z, 1 + int(3 * stage.rng.random() ** 2))
    for _ in range(int(stage.between(0, 4 if green else 2))):
        z = stage.depth(near * 1.5, 30)
        thing = street.tree(stage.rng) if green or stage.chance(0.4) else street.post(4.5, lamp=True)
        stage.add(None, thing, stage.inside(z), z)
    for _ in range(int(stage.between(0, 2.2))):
        z = stage.depth(near, 18)
        (stage.cyclist if stage.chance(0.6) else stage.bicycle)(stage.inside(z), z)
    if stage.chance(0.2):
        z = stage.depth(near, 14)
        stage.add("dog", paint.dog(stage.rng), stage.inside(z), z)
    if stage.chance(0.3):
        stage.birds()
    if not green and stage.chance(0.35):
        for _ in range(1 + int(2 * stage.rng.random())):
            z = stage.between(16, 30)
            stage.add("car", pick(stage.rng, [street.car_side, street.car_front])(stage.rng), stage.inside(z), z)


# Situations for figures: (place, light, camera height 0..1, layout).


def _busy(stage: Stage) -> None:
    near = stage.camera.nearest
    _avenue(stage)
    stage.people(-6.2, 2.6 * near, 3)
    stage.dog_walker(stage.between(1.2, 2.2), 1.35 * near)
    stage.cyclist(-1.6, 2.0 * near)
    _parked_front(stage, 3.3, 2.2 * near, 34)


def _hugging(stage: Stage) -> None:
    z = 1.12 * stage.camera.nearest
    stage.add("person", paint.person(stage.rng, "hug", 1.78), -0.24, z, facing=1)
    stage.add("person", paint.person(stage.rng, "hug", 1.68), 0.24, z - 0.05, facing=-1)
    stage.add(None, street.tree(stage.rng), 3.2, 4 * z)


def _tiny(stage: Stage) -> None:
    stage.add("bird", paint.bird(stage.rng, flying=False), -3.2, 18.0)
    stage.add("person", paint.person(stage.rng, "walk", 1.75), 1.2, 1.3 * stage.camera.nearest, facing=-1)
    stage.add(None, street.post(4.5, lamp=True), 4.6, 14.0)


def _crowd(stage: Stage) -> None:
    near = stage.camera.nearest
    for z, count in ((9.0, 9), (6.6, 7), (1.25 * near, 4)):
        stage.people(stage.between(-0.5, 0.5), max(z, 1.3 * near), count, 0.62)


def _rows(stage: Stage) -> None:
    near = stage.camera.nearest
    for side in (-1, 1):
        _parked_front(stage, side * 3.2, (1.5 + 0.2 * side) * near, 40, 0.95)
        stage.add(None, street.tree(stage.rng), side * 5.4, 3.5 * near)


SITUATIONS: dict[str, tuple[str, str, float, Callable[[Stage], None]]] = {
    "street": ("avenue", "golden", 0.5, _busy),
    "two_people_hugging": ("park", "golden", 0.0, _hugging),
    "tiny_object": ("square", "noon", 0.3, _tiny),
    "crowd": ("square", "overcast", 0.4, _crowd),
    "parked_cars": ("avenue", "noon", 0.6, _rows),
}
