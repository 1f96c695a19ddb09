"""The explorer's toolbar in Chromium: undo and redo, the state as a line, photographs, and the keyboard."""

import io
from typing import Any

import pytest
from browser.explorer import SHAPES, drag, middle, pick, screen_scale
from browser.stub import Stub
from PIL import Image

from lapnet_lab.explorer.widget import Explorer

pytestmark = pytest.mark.slow  # a browser is started
FOCUS = "document.activeElement.textContent || document.activeElement.getAttribute('aria-label')"
DROP = """([text, name, type]) => {
  const files = new DataTransfer();
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  files.items.add(new File([bytes], name, { type }));
  const svg = document.querySelector(".lx-map svg");
  const fire = (kind) => svg.dispatchEvent(
    new DragEvent(kind, { dataTransfer: files, bubbles: true, cancelable: true }));
  return [fire("dragover"), fire("drop")];  // false: the browser does not leave the page for the file
}"""


@pytest.fixture
def hug(page: Any) -> Stub:
    return Stub(page, first=Explorer.situation("two_people_hugging", SHAPES))


def press(stub: Stub, name: str) -> None:
    stub.page.get_by_role("button", name=name, exact=True).click()
    stub.settle()


def disabled(stub: Stub, name: str) -> bool:
    return stub.page.get_by_role("button", name=name, exact=True).is_disabled()


def error(stub: Stub) -> str:
    return stub.page.locator(".lx-error").inner_text()


def test_a_drag_is_one_step_of_undo(hug: Stub) -> None:
    explorer, unit = hug.explorers["first"], screen_scale(hug)
    boxes = [explorer.boxes]
    assert disabled(hug, "Undo")
    assert disabled(hug, "Redo")
    for by in ((-60, -30), (10, 40)):
        pick(hug.page, 0)
        drag(hug.page, middle(hug.page, ".lx-grip"), (by[0] * unit, by[1] * unit), steps=12)
        hug.settle()
        boxes.append(explorer.boxes)
    hug.page.mouse.click(*middle(hug.page, ".lx-grip"))  # a click moves nothing, and is no step
    for expected in (boxes[1], boxes[0]):
        press(hug, "Undo")
        assert explorer.boxes == expected
    assert disabled(hug, "Undo")
    pick(hug.page, 1)
    for keys, expected in (
        ("Control+Shift+Z", boxes[1]),
        ("Control+y", boxes[2]),
        ("Control+z", boxes[1]),
        ("Control+z", boxes[0]),
    ):
        hug.page.keyboard.press(keys)
        hug.settle()
        assert explorer.boxes == expected, keys
    assert explorer.error == ""


def test_undo_brings_back_what_was_deleted_added_and_reclassed(hug: Stub) -> None:
    page, explorer = hug.page, hug.explorers["first"]
    start = (explorer.boxes, explorer.labels)
    pick(page, 0)
    page.keyboard.press("Delete")
    hug.settle()
    page.keyboard.press("c")
    hug.settle()
    press(hug, "New")
    hug.settle()
    assert (len(explorer.boxes), explorer.labels) == (2, [1, 1])
    for expected in ([1], [0], [0, 0]):
        press(hug, "Undo")
        assert explorer.labels == expected
    assert (explorer.boxes, explorer.labels) == start
    page.locator("g.lx-object").nth(1).focus()
    page.keyboard.down("ArrowRight")
    for _ in range(5):
        page.keyboard.down("ArrowRight")  # held down: one step
    page.keyboard.up("ArrowRight")
    hug.settle()
    assert explorer.boxes[1][0] == pytest.approx(start[0][1][0] + 6)
    page.keyboard.press("Control+z")
    hug.settle()
    assert explorer.boxes == start[0]


def test_undo_goes_back_to_the_situation_before(hug: Stub) -> None:
    page, explorer = hug.page, hug.explorers["first"]
    drag(page, middle(page, ".lx-grip"), (-60, -30))
    hug.settle()
    mine = explorer.boxes
    page.get_by_label("situation").select_option("crowd")
    hug.settle()
    crowd = explorer.boxes
    assert explorer.preset == "crowd"
    press(hug, "Start again")  # changes nothing, and is no step
    press(hug, "Undo")
    assert (explorer.preset, explorer.boxes) == ("two_people_hugging", mine)
    assert page.locator("g.lx-object").count() == 2
    press(hug, "Redo")
    assert (explorer.preset, explorer.boxes) == ("crowd", crowd)
    assert page.get_by_label("situation").input_value() == "crowd"


def test_the_state_is_copied_and_pasted(hug: Stub) -> None:
    page, explorer = hug.page, hug.explorers["first"]
    page.evaluate(
        """() => Object.defineProperty(navigator, "clipboard", { configurable: true, value: {
             writeText: async (text) => { window.copied = text; } } })"""
    )
    page.evaluate("models.first.delay = 400")
    drag(page, middle(page, ".lx-grip"), (-60, -30))
    page.get_by_role("button", name="Copy state").click()  # while an answer is under way: what is then the state
    page.wait_for_function("window.copied")
    page.evaluate("models.first.delay = 0")
    hug.settle()
    line, boxes = page.evaluate("copied"), explorer.boxes
    assert line == explorer.line
    assert eval(line, {"Explorer": Explorer}).boxes == boxes
    assert "one line of Python" in page.locator(".lx-notice").inner_text()
    press(hug, "Start again")
    assert explorer.boxes != boxes
    press(hug, "Paste state")
    page.keyboard.insert_text(line)
    page.keyboard.press("Enter")
    hug.settle()
    assert explorer.boxes == boxes
    assert float(page.locator(".lx-box").first.get_attribute("x")) == pytest.approx(boxes[0][0])
    assert page.evaluate(FOCUS) == "Paste state"
    press(hug, "Undo")
    assert explorer.boxes != boxes


def test_a_faulty_paste_is_told_and_changes_nothing(hug: Stub) -> None:
    page, explorer = hug.page, hug.explorers["first"]
    boxes = explorer.boxes
    for text, told in (
        ("import os", "no line of Python"),
        ("Explorer.state(boxes=[[1, 2]], classes=[0])", "four numbers"),
    ):
        press(hug, "Paste state")
        page.keyboard.insert_text(text)
        press(hug, "Apply")
        assert told in error(hug)
        assert explorer.boxes == boxes
        assert page.locator("g.lx-object").count() == 2
        assert disabled(hug, "Undo")
    pick(page, 0)
    page.keyboard.press("ArrowRight")
    hug.settle()
    assert error(hug) == ""


def test_without_a_clipboard_the_line_is_shown(hug: Stub) -> None:
    page = hug.page
    page.evaluate("() => Object.defineProperty(navigator, 'clipboard', { configurable: true, value: undefined })")
    press(hug, "Copy state")
    field = page.locator(".lx-line input")
    assert field.input_value() == hug.explorers["first"].line
    assert page.evaluate("getSelection().toString() || document.activeElement.selectionEnd > 20")
    page.keyboard.press("Escape")
    assert field.is_hidden()
    assert page.evaluate(FOCUS) == "Copy state"


def file(width: int, height: int, kind: str = "JPEG") -> bytes:
    """A picture, red on its left half, blue on its right."""
    image = Image.new("RGB", (width, height), (0, 0, 250))
    image.paste((250, 0, 0), (0, 0, width // 2, height))
    made = io.BytesIO()
    image.save(made, kind)
    return made.getvalue()


def test_a_photograph_is_chosen_and_fitted_in(hug: Stub) -> None:
    page, explorer = hug.page, hug.explorers["first"]
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Photograph…").click()
    chooser.value.set_files([{"name": "two.jpg", "mimeType": "image/jpeg", "buffer": file(1200, 600)}])
    page.wait_for_function("models.first.get('preset') === 'my_photograph_1'")
    hug.settle()
    assert explorer.extent == [256, 256]
    for (y, x), color in {
        (128, 40): (250, 0, 0),
        (128, 220): (0, 0, 250),
        (30, 40): (128,) * 3,
        (230, 9): (128,) * 3,
    }.items():
        assert explorer._image[:, y, x].tolist() == pytest.approx(list(color), abs=6)
    assert "1200 x 600" in page.locator(".lx-about").inner_text()
    assert page.locator("g.lx-object").count() == 0
    frame, unit = page.locator(".lx-objects-layer svg").bounding_box(), screen_scale(hug)
    drag(page, (frame["x"] + 50 * unit, frame["y"] + 80 * unit), (60 * unit, 70 * unit))
    hug.settle()
    assert explorer.objects[0]["positives_pono"] > 0  # the map goes on
    for _ in range(2):
        press(hug, "Undo")
    assert (explorer.preset, len(explorer.boxes)) == ("two_people_hugging", 2)


def test_a_photograph_is_dropped(hug: Stub) -> None:
    import base64

    page, explorer = hug.page, hug.explorers["first"]
    answers = page.evaluate(DROP, [base64.b64encode(file(300, 900, "PNG")).decode(), "tall.png", "image/png"])
    assert answers == [False, False]
    page.wait_for_function("models.first.get('preset') === 'my_photograph_1'")
    hug.settle()
    assert explorer._image[:, 100, 20].tolist() == [128] * 3
    assert page.get_by_label("situation").locator("option").last.inner_text() == "my photograph 1"
    # What is no picture gets a sentence.
    page.evaluate(DROP, [base64.b64encode(b"hello").decode(), "notes.txt", "text/plain"])
    page.wait_for_function("document.querySelector('.lx-error').textContent.includes('“notes.txt” is no picture')")
    assert explorer.preset == "my_photograph_1"


def test_a_file_that_is_too_large_is_not_read(hug: Stub) -> None:
    hug.page.evaluate(
        """() => { const files = new DataTransfer();
          files.items.add(new File([new Uint8Array(41e6)], "huge.jpg", { type: "image/jpeg" }));
          document.querySelector(".lx").dispatchEvent(
            new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true })); }"""
    )
    hug.page.wait_for_function("document.querySelector('.lx-error').textContent.includes('40 MB is the most')")
    assert hug.sent == []


def test_every_tool_is_reached_and_named_by_keyboard(hug: Stub) -> None:
    page = hug.page
    pick(page, 0)
    page.keyboard.press("ArrowRight")
    hug.settle()
    tools = page.locator(".lx-tools button:enabled, .lx-tools select:enabled")
    names = [tool.get_attribute("aria-label") or tool.inner_text() for tool in tools.all()]
    assert names == ["New", "Delete", "its class", "Undo", "Start again", "Copy state", "Paste state", "Photograph…"]
    tools.first.focus()
    reached = [page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.innerText")]
    for _ in names[1:]:
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.innerText")
        )
        ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert ring == "solid"
    assert reached == names
