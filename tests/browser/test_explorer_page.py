"""The explorer's JavaScript in Chromium, against a stub of the model with the real Python behind it."""

from typing import Any

import pytest
import torch
from browser.explorer import SHAPES, drag, middle, pick, screen_scale, shifted
from browser.stub import Stub

from lapnet_core.detector import Detector
from lapnet_core.method import LapNetMethod
from lapnet_core.model import LapNet
from lapnet_core.scenes import SCENE_CLASSES
from lapnet_lab.explorer.widget import Explorer

pytestmark = pytest.mark.slow  # a browser is started
VIRIDIS_ENDS = ([68, 1, 84], [253, 231, 37])


@pytest.fixture
def hug(page: Any) -> Stub:
    return Stub(page, first=Explorer.situation("two_people_hugging", SHAPES))


def test_the_map_has_the_colours_of_the_numbers(hug: Stub) -> None:
    hug.settle()
    pixels = hug.pixels()
    maps = hug.explorers["first"].maps
    assert maps
    assert len(pixels) == 32 * 32
    best, none = int(maps.pono.argmax()), int(maps.pono.argmin())
    assert float(maps.pono.max()) == 1
    assert float(maps.pono.min()) == 0
    for cell, color in ((none, VIRIDIS_ENDS[0]), (best, VIRIDIS_ENDS[1])):
        assert all(abs(a - b) <= 3 for a, b in zip(pixels[cell][:3], color, strict=True))


def test_dragging_a_box_moves_it_and_paints_the_new_map(hug: Stub) -> None:
    before, boxes = hug.pixels(), hug.explorers["first"].boxes
    unit = screen_scale(hug)
    pick(hug.page, 0)
    drag(hug.page, middle(hug.page, ".lx-grip"), (-60 * unit, -30 * unit))
    hug.settle()
    explorer = hug.explorers["first"]
    assert explorer.boxes[0] == pytest.approx(shifted(boxes[0], (-60, -30, -60, -30)), abs=1)
    assert explorer.boxes[1] == boxes[1]
    assert hug.pixels() != before
    label = hug.page.locator("g.lx-object").first.get_attribute("aria-label")
    x, y = (int(side + 0.5) for side in explorer.boxes[0][:2])  # JavaScript rounds a half up
    assert f"at {x}, {y}. " in label
    assert hug.explorers["first"].objects[0]["positives_pono"] == int(
        hug.page.locator(".lx tbody tr").first.locator("td").nth(5).inner_text()
    )


@pytest.mark.parametrize(
    ("handle", "by", "grown"),
    [
        (4, (20, 10), (0, 0, 20, 10)),
        (0, (-15, -5), (-15, -5, 0, 0)),
        (3, (12, 40), (0, 0, 12, 0)),
        (1, (9, -8), (0, -8, 0, 0)),
    ],
)
def test_handles_resize(hug: Stub, handle: int, by: tuple[int, int], grown: tuple[int, ...]) -> None:
    box, unit = hug.explorers["first"].boxes[1], screen_scale(hug)
    selector = f"g.lx-object:nth-child(2) > rect:nth-of-type({4 + handle})"
    hug.page.locator("g.lx-object").nth(1).focus()
    drag(hug.page, middle(hug.page, selector), (by[0] * unit, by[1] * unit))
    hug.settle()
    assert hug.explorers["first"].boxes[1] == pytest.approx(shifted(box, grown), abs=1)


def test_a_box_stays_inside_and_never_turns_over(hug: Stub) -> None:
    pick(hug.page, 0)
    drag(hug.page, middle(hug.page, ".lx-grip"), (-2000, -2000))
    hug.settle()
    assert hug.explorers["first"].boxes[0][:2] == [0, 0]
    hug.page.locator("g.lx-object").first.focus()
    drag(hug.page, middle(hug.page, "g.lx-object:first-child > rect:nth-of-type(8)"), (-2000, -2000))
    hug.settle()
    x1, y1, x2, y2 = hug.explorers["first"].boxes[0]
    assert 0 < x2 - x1 <= 4
    assert 0 < y2 - y1 <= 4
    assert hug.explorers["first"].error == ""


def test_drawing_on_empty_ground_adds_an_object_of_the_class_shown(hug: Stub) -> None:
    frame, unit = hug.page.locator(".lx-objects-layer svg").bounding_box(), screen_scale(hug)
    drag(hug.page, (frame["x"] + 10 * unit, frame["y"] + 20 * unit), (40 * unit, 50 * unit))
    hug.settle()
    explorer = hug.explorers["first"]
    assert explorer.boxes[2] == pytest.approx([10, 20, 50, 70], abs=1.5)
    assert explorer.labels == [0, 0, 0]
    assert hug.page.locator(".lx tbody tr").count() == 3


def test_everything_works_by_keyboard(hug: Stub) -> None:
    page, explorer = hug.page, hug.explorers["first"]
    x1, y1, x2, y2 = explorer.boxes[0]
    page.locator("g.lx-object").first.focus()
    hug.settle()
    assert explorer.selected == 0
    for keys, expected in (
        ("ArrowRight", (x1 + 1, y1, x2 + 1, y2)),
        ("ArrowUp", (x1 + 1, y1 - 1, x2 + 1, y2 - 1)),
        ("Control+ArrowLeft", (x1 - 7, y1 - 1, x2 - 7, y2 - 1)),
        ("Shift+ArrowRight", (x1 - 7, y1 - 1, x2 - 6, y2 - 1)),
        ("Shift+ArrowUp", (x1 - 7, y1 - 1, x2 - 6, y2 - 2)),
    ):
        page.keyboard.press(keys)
        hug.settle()
        assert explorer.boxes[0] == pytest.approx(expected), keys
    page.keyboard.press("c")
    hug.settle()
    assert (explorer.labels, explorer.label) == ([1, 0], 1)
    page.keyboard.press("n")
    hug.settle()
    assert explorer.labels == [1, 0, 1]
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("object 3, car")
    page.keyboard.press("Delete")
    hug.settle()
    assert explorer.labels == [1, 0]
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement !== document.body")


def test_keys_do_not_reach_the_notebook(hug: Stub) -> None:
    hug.page.evaluate("window.heard = []; document.addEventListener('keydown', (event) => heard.push(event.key))")
    hug.page.locator("g.lx-object").first.focus()
    for key in ("Delete", "a", "c", "Escape"):
        hug.page.keyboard.press(key)
    assert hug.page.evaluate("heard") == []
    assert (
        hug.page.locator(".lx").get_attribute("data-lm-suppress-shortcuts") == "true"
    )  # for JupyterLab, which captures


def test_picking_an_object_lights_its_cluster(hug: Stub) -> None:
    before, maps = hug.pixels(), hug.explorers["first"].maps
    hug.page.locator(".lx tbody tr").nth(1).click()
    hug.settle()
    after = hug.pixels()
    assert maps
    owner = maps.object_index.flatten().tolist()
    mine = [k for k in range(1024) if owner[k] == 1]
    others = [k for k in range(1024) if owner[k] != 1]
    assert all(after[k][3] < before[k][3] for k in others)
    same = sum(after[k] == before[k] for k in mine)
    assert same > 0.6 * len(mine)  # all but those under the white border
    assert hug.page.locator(".lx tbody tr").nth(1).get_attribute("aria-selected") == "true"
    hug.page.locator(".lx tbody tr").nth(1).click()
    hug.settle()
    assert hug.pixels() == before


def test_looking_at_a_cell_draws_its_anchor_and_tells_its_numbers(hug: Stub) -> None:
    maps, page = hug.explorers["first"].maps, hug.page
    assert maps
    frame = page.locator(".lx-map svg").bounding_box()
    row, column = 20, 15
    cell = frame["width"] / 32
    page.mouse.move(frame["x"] + (column + 0.5) * cell, frame["y"] + (row + 0.5) * cell)
    page.wait_for_function("document.querySelector('.lx-cell').innerText.includes('Row 20, column 15')")
    text = page.locator(".lx-cell").inner_text()
    shape = int(maps.anchor[row, column])
    w, h = SHAPES[0, shape].tolist()
    assert f"shape {shape + 1}, {w:.0f} × {h:.0f} px" in text
    assert f"belongs to object {int(maps.object_index[row, column]) + 1}" in text
    assert f"AO {float(maps.ao[row, column]):.2f}" in text
    assert f"PONO {float(maps.pono[row, column]):.2f}" in text
    for selector in (".lx-map .lx-anchor", ".lx-objects-layer .lx-anchor"):
        anchor = page.locator(selector)
        assert float(anchor.get_attribute("width")) == pytest.approx(w)
        assert float(anchor.get_attribute("x")) == pytest.approx((column + 0.5) * 8 - w / 2)
    page.locator(".lx-map svg").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('.lx-cell').innerText.includes('column 16')")
    page.mouse.click(*middle(page, ".lx-map svg"))
    hug.settle()
    assert hug.explorers["first"].selected == int(maps.object_index[16, 16])


def test_every_control_reaches_python(hug: Stub) -> None:
    page, explorer = hug.page, hug.explorers["first"]
    for layer in ("ao", "clusters", "positives", "pono"):
        before = hug.pixels()
        page.locator(f"button[data-layer={layer}]").click()
        hug.settle()
        assert explorer.layer == layer
        assert hug.pixels() != before
        assert page.locator(f"button[data-layer={layer}]").get_attribute("aria-checked") == "true"
    for name, (position, low, high) in {"threshold": (0, 0, 1), "size": (1, 0.25, 4)}.items():
        slider = page.locator("input[type=range]").nth(position)
        slider.focus()
        for key, expected in (("Home", low), ("End", high)):
            page.keyboard.press(key)
            hug.settle()
            assert getattr(explorer, name) == pytest.approx(expected)
            assert explorer.error == ""
    page.get_by_label("class", exact=True).select_option("1")
    hug.settle()
    assert explorer.label == 1
    page.get_by_label("anchor", exact=True).select_option("3")
    hug.settle()
    assert explorer.anchor == 3


def test_presets_and_starting_again(hug: Stub) -> None:
    page, explorer = hug.page, hug.explorers["first"]
    page.get_by_label("situation").select_option("nested_boxes")
    hug.settle()
    page.wait_for_function("document.querySelectorAll('g.lx-object').length === 2")
    assert explorer.preset == "nested_boxes"
    boxes = explorer.boxes
    assert page.locator(".lx-about").inner_text() == explorer.about
    drag(page, middle(page, ".lx-grip"), (-90, 0))
    hug.settle()
    assert explorer.boxes != boxes
    page.get_by_role("button", name="Start again").click()
    hug.settle()
    assert explorer.boxes == boxes
    x, y = (float(page.locator(".lx-box").first.get_attribute(name)) for name in ("x", "y"))
    assert [x, y] == pytest.approx(boxes[0][:2])


def test_buttons_add_delete_and_reclass(hug: Stub) -> None:
    page, explorer = hug.page, hug.explorers["first"]
    assert page.get_by_role("button", name="Delete").is_disabled()
    page.get_by_role("button", name="New").click()
    hug.settle()
    assert len(explorer.boxes) == 3
    page.get_by_label("its class").select_option("2")
    hug.settle()
    assert explorer.labels == [0, 0, 2]
    page.get_by_role("button", name="Delete").click()
    hug.settle()
    assert explorer.labels == [0, 0]
    for _ in range(2):
        page.locator("g.lx-object").first.focus()
        page.keyboard.press("Delete")
        hug.settle()
    assert (explorer.boxes, explorer.error) == ([], "")
    assert page.locator("g.lx-object").count() == 0


def test_while_python_is_busy_the_box_moves_and_nothing_is_lost(hug: Stub) -> None:
    page, explorer = hug.page, hug.explorers["first"]
    page.evaluate("models.first.delay = 2500")
    frames = int(page.locator(".lx").get_attribute("data-frames"))
    pick(page, 0)
    drag(page, middle(page, ".lx-grip"), (-100, 0), steps=25)
    assert int(page.locator(".lx").get_attribute("data-frames")) > frames + 5
    assert len(hug.sent) <= 1  # one update under way; the others are merged
    page.wait_for_function("document.querySelector('.lx-notice').innerText.includes('No answer from Python yet')")
    hug.settle()
    page.evaluate("models.first.delay = 0")
    page.wait_for_function("document.querySelector('.lx-notice').innerText === ''")
    hug.settle()
    shown = float(page.locator(".lx-box").first.get_attribute("x"))
    assert explorer.boxes[0][0] == pytest.approx(shown, abs=0.06)


def test_an_exception_in_python_is_shown_and_forgotten(hug: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    page, explorer = hug.page, hug.explorers["first"]
    with monkeypatch.context() as patch:
        patch.setattr(explorer, "compute", lambda: 1 / 0)
        page.locator("g.lx-object").first.focus()
        page.keyboard.press("ArrowLeft")
        page.wait_for_function("document.querySelector('.lx-error').innerText.includes('ZeroDivisionError')")
        assert len(hug.pixels()) == 1024
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("document.querySelector('.lx-error').innerText === ''")
    assert explorer.error == ""


def test_after_a_restart_of_the_kernel_it_says_so(hug: Stub) -> None:
    page = hug.page
    page.evaluate("models.first.answers = false")
    page.locator("g.lx-object").first.focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("document.querySelector('.lx-notice').innerText.includes('run this cell again')")
    page.evaluate("models.first.dead = true")
    x = float(page.locator(".lx-box").first.get_attribute("x"))
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("(x) => Number(document.querySelector('.lx-box').getAttribute('x')) === x - 1", arg=x)


def test_two_copies_and_two_views(page: Any) -> None:
    stub = Stub(
        page, first=Explorer.situation("two_people_hugging", SHAPES), second=Explorer.situation("crowd", SHAPES)
    )
    stub.settle("second")
    before = stub.pixels("second")
    drag(page, middle(page, "#first .lx-grip"), (-60, -30))
    stub.settle("first")
    assert stub.pixels("second") == before
    assert {name for name, _ in stub.sent} == {"first"}
    # The same explorer shown a second time: both views follow.
    page.evaluate(
        "() => { stops.second(); widget.render({ model: models.first, el: document.getElementById('second') }); }"
    )
    page.wait_for_function("document.querySelectorAll('#second g.lx-object').length === 2")
    drag(page, middle(page, "#first .lx-grip"), (40, 10))
    stub.settle("first")
    xs = [float(page.locator(f"#{name} .lx-box").first.get_attribute("x")) for name in ("first", "second")]
    assert xs[0] == pytest.approx(xs[1], abs=0.06)
    assert stub.pixels("first") == stub.pixels("second")


def test_without_an_image(page: Any) -> None:
    stub = Stub(page, first=Explorer(None, torch.tensor([[10.0, 10.0, 90.0, 200.0]]), torch.tensor([0]), SHAPES[:1]))
    stub.settle()
    assert page.locator(".lx img:visible").count() == 0
    assert any(pixel[:3] == VIRIDIS_ENDS[1] for pixel in stub.pixels())
    assert page.get_by_label("situation").is_hidden()  # the presets are those of the embedded scenes


def test_with_a_model_there_are_fit_product_and_ams(page: Any) -> None:
    torch.manual_seed(0)
    detector = Detector(LapNetMethod(LapNet(len(SCENE_CLASSES), 4), SHAPES / 2), tuple(SCENE_CLASSES), (128, 128))
    stub = Stub(page, first=Explorer.situation("two_people_hugging", detector=detector, layer="ams"))
    stub.settle()
    maps = stub.explorers["first"].maps
    assert maps
    positive, product = maps.pono.flatten() > 0.5, (maps.pono * maps.fit).flatten() > 0.5
    pixels = stub.pixels()
    rejected = [k for k in range(256) if positive[k] and not product[k]]
    assert rejected
    assert all(abs(pixels[k][0] - pixels[k][2]) < 8 for k in rejected)  # grey
    assert all(pixels[k][3] == 0 for k in range(256) if not positive[k])
    cell = rejected[0]
    frame = page.locator(".lx-map svg").bounding_box()
    side = frame["width"] / 16
    page.mouse.move(frame["x"] + (cell % 16 + 0.5) * side, frame["y"] + (cell // 16 + 0.5) * side)
    page.wait_for_function("document.querySelector('.lx-cell').innerText.includes('rejected by AMS')")
    assert f"Ô {float(maps.fit.flatten()[cell]):.2f}" in page.locator(".lx-cell").inner_text()
    assert page.locator(".lx tbody tr").first.locator("td").nth(6).inner_text() == str(maps.objects[0].kept)


def test_a_view_that_is_closed_leaves_nothing_running(hug: Stub) -> None:
    hug.page.evaluate("stops.first()")
    assert hug.page.locator(".lx").count() == 0
    assert hug.page.evaluate("Object.values(models.first.listeners).every((list) => list.length === 0)")
