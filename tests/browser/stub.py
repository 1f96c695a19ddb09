"""An explorer in a page without Jupyter: the real JavaScript, a stub of the widget's model, and the real Python."""

import base64
from pathlib import Path
from typing import Any

from lapnet_lab.explorer.page import Page
from lapnet_lab.explorer.widget import Explorer

HERE = Path(__file__).parent
SENT_BACK = (
    "reply", "boxes", "labels", "label", "anchor", "layer", "threshold", "size", "picture", "extent", "about",
    "selected", "preset", "presets", "class_names", "shapes",
)  # fmt: skip


def encoded(value: Any) -> Any:
    """A trait for JSON; `decoded` is the way back."""
    if isinstance(value, bytes):
        return {"__bytes__": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {name: encoded(part) for name, part in value.items()}
    return value


def decoded(value: Any) -> Any:
    if isinstance(value, dict) and "__bytes__" in value:
        return memoryview(base64.b64decode(value["__bytes__"]))  # as Jupyter hands it over
    return value


def state_of(explorer: Explorer) -> dict[str, Any]:
    """All that the browser gets when the widget is shown."""
    names = [name for name, trait in Page.class_own_traits().items() if trait.metadata.get("sync")]
    return {name: encoded(getattr(explorer, name)) for name in names}


class Stub:
    """One or two explorers, by the ids of their elements: "first" and "second".

    `page.evaluate("models.first")` is the model, and `sent` all that was sent to Python.
    """

    def __init__(self, page: Any, **explorers: Explorer) -> None:
        self.page, self.explorers = page, explorers
        self.sent: list[tuple[str, dict[str, Any]]] = []
        page.expose_function("python", self._python)
        html = (HERE / "stub.html").read_text(encoding="utf-8")
        page.set_content(html.replace("/* WIDGET */", Explorer._esm.replace("export default", "window.widget =")))
        page.add_style_tag(content=Explorer._css)
        page.wait_for_function("window.widget")
        for name, explorer in explorers.items():
            page.evaluate("([name, state]) => start(name, state)", [name, state_of(explorer)])
        page.wait_for_function("document.querySelector('.lx').dataset.frames > 0")

    def _python(self, name: str, sent: dict[str, Any]) -> dict[str, Any]:
        sent = {trait: decoded(value) for trait, value in sent.items()}
        self.sent.append((name, sent))
        explorer = self.explorers[name]
        before = {trait: getattr(explorer, trait) for trait in SENT_BACK}
        explorer._handle_msg(
            {"content": {"data": {"method": "update", "state": sent, "buffer_paths": []}}, "buffers": []}
        )
        after = {trait: getattr(explorer, trait) for trait in SENT_BACK}
        return {
            trait: encoded(value)
            for trait, value in after.items()
            if value != before[trait] and sent.get(trait) != value
        }

    def settle(self, name: str = "first") -> None:
        """Wait until Python has answered all, and all is drawn."""
        self.page.wait_for_function(
            """(name) => models[name].get("reply").seq >= models[name].get("seq")
              && !Object.keys(models[name].changed).length""",
            arg=name,
        )
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def pixels(self, name: str = "first") -> list[list[int]]:
        """[r, g, b, alpha] in the middle of each cell of the map, row by row."""
        return self.page.evaluate(
            """(name) => {
              const canvas = document.querySelector(`#${name} canvas`);
              const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
              const cells = [];
              for (let y = 2; y < canvas.height; y += 8)
                for (let x = 2; x < canvas.width; x += 8) {
                  const k = 4 * (y * canvas.width + x);
                  cells.push([...data.slice(k, k + 4)]);
                }
              return cells;
            }""",
            name,
        )
