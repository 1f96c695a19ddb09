"""Inputs for hypothesis. Coordinates are multiples of 1/4 px, so that areas are exact in float32 and equal overlaps are
exactly equal: the code and its oracle then agree to the last bit, ties included."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st


@dataclass
class Scene:
    """A batch for `assign`: shapes (C, A, 2), grid (H, W), boxes (G, 4), labels, images (G,), number of images."""

    shapes: torch.Tensor
    grid: tuple[int, int]
    boxes: torch.Tensor
    labels: torch.Tensor
    images: torch.Tensor
    num_images: int

    def args(self):
        return self.shapes, self.grid, self.boxes, self.labels, self.images, self.num_images

    def plain(self):
        return (
            self.shapes.tolist(),
            self.grid,
            self.boxes.tolist(),
            self.labels.tolist(),
            self.images.tolist(),
            self.num_images,
        )


def quarters(low: float, high: float):
    return st.integers(round(low * 4), round(high * 4)).map(lambda q: q / 4)


@st.composite
def boxes(draw, grid, stride=8):
    """A box: usual, 1 px, on or over the border, or outside the grid altogether."""
    height, width = grid[0] * stride, grid[1] * stride
    side = st.one_of(st.just(1.0), quarters(0.25, 12), quarters(0.25, max(height, width) * 1.5))
    w, h = draw(side), draw(side)
    x = draw(st.one_of(st.just(0.0), st.just(width - w), quarters(-w, width)))
    y = draw(st.one_of(st.just(0.0), st.just(height - h), quarters(-h, height)))
    return [x, y, x + w, y + h]


@st.composite
def scenes(draw, max_images=3, max_objects=6, max_grid=4):
    grid = (draw(st.integers(1, max_grid)), draw(st.integers(1, max_grid)))
    classes, anchors = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    num_images = draw(st.sampled_from([1, 1, 2, max_images]))
    side = quarters(0.5, 40)
    shapes = [[[draw(side), draw(side)] for _ in range(anchors)] for _ in range(classes)]
    found = []
    for _ in range(draw(st.integers(0, max_objects))):
        kind = draw(st.sampled_from(["new", "new", "equal", "nested", "new class"])) if found else "new"
        if kind == "new":
            found.append((draw(boxes(grid)), draw(st.integers(0, classes - 1)), draw(st.integers(0, num_images - 1))))
            continue
        box, label, image = draw(st.sampled_from(found))
        if kind == "nested":
            x1, y1, x2, y2 = box
            box = [x1 - 0.5, y1 - 0.25, x2 + 0.25, y2 + 0.5]
        found.append((box, draw(st.integers(0, classes - 1)) if kind == "new class" else label, image))
    return Scene(
        torch.tensor(shapes),
        grid,
        torch.tensor([f[0] for f in found]).view(-1, 4),
        torch.tensor([f[1] for f in found], dtype=torch.int64),
        torch.tensor([f[2] for f in found], dtype=torch.int64),
        num_images,
    )


@st.composite
def crowds(draw, max_objects=40):
    """A scene whose objects are of one class and one of two images, many of them equal or nested."""
    grid = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    side = quarters(0.5, 24)
    shapes = torch.tensor([[[draw(side), draw(side)] for _ in range(2)] for _ in range(2)])
    some = draw(st.lists(boxes(grid), min_size=1, max_size=12))
    moved = st.builds(
        lambda box, by: [box[0] - by, box[1], box[2], box[3] + by], st.sampled_from(some), quarters(0, 0.5)
    )
    found = torch.tensor(draw(st.lists(moved, min_size=1, max_size=max_objects)))
    label = torch.full((len(found),), draw(st.integers(0, 1)))
    return Scene(shapes, grid, found, label, torch.ones_like(label), 2)
