"""What the tests of the explorer's page share: its anchors, and a hand on the mouse."""

from typing import Any

import torch
from browser.stub import Stub

from lapnet_core.scenes import SCENE_CLASSES

SIDES = torch.tensor([12.0, 30.0, 60.0, 120.0])
SHAPES = torch.stack((SIDES, 1.6 * SIDES), -1)[None].repeat(len(SCENE_CLASSES), 1, 1)


def middle(page: Any, selector: str) -> tuple[float, float]:
    frame = page.locator(selector).first.bounding_box()
    return frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2


def drag(page: Any, start: tuple[float, float], by: tuple[float, float], steps: int = 4) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(start[0] + by[0], start[1] + by[1], steps=steps)
    page.mouse.up()


def pick(page: Any, n: int) -> None:
    """Select an object, so that of boxes on top of each other the mouse takes this one."""
    page.locator("g.lx-object").nth(n).focus()


def screen_scale(stub: Stub) -> float:
    """Screen pixels of a pixel of the image."""
    frame = stub.page.locator(".lx-objects-layer svg").first.bounding_box()
    return frame["width"] / stub.explorers["first"].extent[1]


def shifted(box: list[float], by: tuple[int, ...]) -> list[float]:
    return [a + b for a, b in zip(box, by, strict=True)]
