"""Every panel in a real JupyterLab, in a small window: it fits, its states can be had by keyboard, it can be read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from browser.jupyterlab import ROOT, command, open_notebook, server, wait_until_idle
from everypanel import PANELS

from lapnet_lab.panel import ARROW

pytestmark = pytest.mark.slow
SCREEN = {"width": 1366, "height": 768}
HEIGHT = 600
"""Pixels that JupyterLab leaves to an output in such a window, and some of the cell's code with it."""
READABLE, VISIBLE = 4.5, 3.0
"""WCAG's least contrasts: of text (1.4.3), and of what shows a control or its focus (1.4.11)."""
FIRST = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests")!r})
import ipywidgets
from everypanel import PANELS
from matplotlib.figure import Figure
from lapnet_lab.panel import FigurePanel
"""
FAULTY = """
faulty = FigurePanel({"x": ipywidgets.IntSlider(1)}, lambda x: 1 / x, str, lambda _: Figure(figsize=(2, 1)))
display(faulty)
faulty.controls["x"].value = 0
"""
# Contrast of text, or of an outline, with the ground that it stands on.
SCRIPT = """() => {
const rgba = (css) => { const v = css.match(/[\\d.]+/g).map(Number); return v.length < 4 ? [...v, 1] : v; };
const over = (top, under) => [0, 1, 2].map((k) => top[k] * top[3] + under[k] * (1 - top[3]));
const ground = (el) => {
  if (!el) return [255, 255, 255];
  const own = rgba(getComputedStyle(el).backgroundColor);
  return own[3] === 1 ? own.slice(0, 3) : over(own, ground(el.parentElement));
};
const luminance = (rgb) => {
  const [r, g, b] = rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
window.contrast = (css, el) => {
  const under = ground(el), [a, b] = [luminance(over(rgba(css), under)), luminance(under)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
};
window.panelOf = (k) => document.querySelector(`.jp-Cell[data-windowed-list-index="${k}"] .lapnet-panel`);
}"""
SHOWN = """([k, n]) => { const button = panelOf(k).querySelectorAll('button:has(.fa-check)')[n];
  return button.classList.contains('lapnet-now') && panelOf(k).querySelector('img').complete; }"""
MEASURE = """(k) => {
  const panel = panelOf(k), image = panel.querySelector('img'), box = (el) => el.getBoundingClientRect();
  return { width: box(panel).width, height: box(panel).height, room: box(panel.parentElement).width,
           shown: [box(image).width, box(image).height], natural: [image.naturalWidth, image.naturalHeight],
           right: Math.max(...[...panel.querySelectorAll('*')].map((el) => box(el).right)) - box(panel).left,
           named: image.title, loaded: image.complete };
}"""
CUT = """(k) => { const pen = document.createElement('canvas').getContext('2d');
  return [...panelOf(k).querySelectorAll('select')].flatMap((menu) => {
    const style = getComputedStyle(menu); pen.font = style.font;
    const room = menu.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    return [...menu.options].map((entry) => entry.text).filter((text) => pen.measureText(text).width > room); }); }"""
TEXTS = """(k) => [...panelOf(k).querySelectorAll('*')]
  .filter((el) => el.tagName !== 'STYLE' && el.offsetParent !== null
                  && [...el.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()))
  .map((el) => [el.textContent.trim().slice(0, 30), contrast(getComputedStyle(el).color, el)])"""
FOCUS = """() => { const el = document.activeElement, style = getComputedStyle(el);
  return { where: el.className, seen: el.matches(':focus-visible'), style: style.outlineStyle,
           width: parseFloat(style.outlineWidth), contrast: contrast(style.outlineColor, panelOf(1)) }; }"""


@pytest.fixture(scope="module")
def lab(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A page with a notebook that has run: a cell for every panel, and one whose panel shows an error."""
    folder: Path = tmp_path_factory.mktemp("panels")
    sources = [FIRST, *(f"PANELS[{name!r}]()" for name in PANELS), FAULTY]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "panels.ipynb")
    page = browser.new_page(viewport=SCREEN)
    page.set_default_timeout(20_000)
    with server(folder) as address:
        open_notebook(page, address, "panels.ipynb")
        page.evaluate(SCRIPT)
        command(page, "notebook:run-all-cells")
        page.wait_for_timeout(1000)
        wait_until_idle(page)
        yield page
        page.close()


def go_to(page: Any, number: int) -> None:
    """Scroll to a cell, whose output may not be on the page before."""
    page.evaluate(
        """(k) => { const notebook = jupyterapp.shell.currentWidget.content;
                    notebook.activeCellIndex = k; notebook.scrollToItem(k, 'start'); }""",
        number,
    )
    page.wait_for_function("(k) => panelOf(k)?.querySelector('img')?.naturalWidth > 0", arg=number)


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_fits_the_screen_in_each_of_its_states(lab: Any, name: str) -> None:
    number = list(PANELS).index(name) + 1
    go_to(lab, number)
    assert lab.evaluate(CUT, number) == [], "entries that their menu cuts"
    buttons = lab.locator(f".jp-Cell[data-windowed-list-index='{number}'] .lapnet-panel button:has(.fa-check)")
    states = buttons.count()
    assert states >= 2 or name == "photograph_panel"
    for k in range(max(1, states)):
        if states:
            buttons.nth(k).click()
            lab.wait_for_function(SHOWN, arg=[number, k])
        found = lab.evaluate(MEASURE, number)
        assert found["shown"] == found["natural"], "a picture is shown as large as it is"
        assert found["height"] <= HEIGHT, (k, found)
        assert max(found["width"], found["right"]) <= found["room"] + 1, found
        assert found["named"]
    if states:
        buttons.first.focus()
        lab.keyboard.press("Enter")
        lab.wait_for_function(SHOWN, arg=[number, 0])


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_text_and_focus_are_seen_in_both_themes(lab: Any, theme: str) -> None:
    lab.evaluate("(theme) => jupyterapp.commands.execute('apputils:change-theme', { theme })", theme)
    light = str("Light" in theme).lower()
    lab.wait_for_function("(is) => document.body.dataset.jpThemeLight === is", arg=light)
    lab.wait_for_timeout(500)
    for number in range(1, len(PANELS) + 2):
        go_to(lab, number)
        texts = lab.evaluate(TEXTS, number)
        faint = [(text, round(ratio, 2)) for text, ratio in texts if ratio < READABLE]
        assert not faint, (number, faint)
    assert any(text.startswith("ZeroDivisionError") for text, _ in texts)
    go_to(lab, 1)
    arrow = lab.evaluate("() => getComputedStyle(panelOf(1).querySelector('select')).backgroundImage")
    assert (ARROW.replace("#", "%23") in arrow) == ("Dark" in theme), arrow  # ipywidgets' own is black in both
    for kind in ("button.jupyter-button", "select", ".noUi-handle"):
        lab.keyboard.press("Shift")  # whoever uses the keyboard is shown where the focus is
        lab.evaluate("(kind) => panelOf(1).querySelector(kind).focus()", kind)
        ring = lab.evaluate(FOCUS)
        assert ring["seen"], (kind, ring)
        assert (ring["style"], ring["width"]) == ("solid", 3), (kind, ring)
        assert ring["contrast"] >= VISIBLE, (kind, ring)
