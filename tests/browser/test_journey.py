"""One journey in a real JupyterLab: open notebook 02, run all, drag a box, see the map change, read the new numbers."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from browser.jupyterlab import ROOT, command, open_notebook, server, wait_until_idle

ROW = "document.querySelector('.lx tbody tr')"
NOTICE = "document.querySelector('.lx-notice').innerText"
CANVAS = "() => document.querySelector('.lx canvas').toDataURL()"


def first_row(page: Any) -> list[str]:
    """Numbers of the first object, as they stand in the table."""
    return page.locator(".lx tbody tr").first.locator("td").all_inner_texts()


@pytest.mark.slow
def test_a_student_drags_a_box_in_notebook_02(page: Any, tmp_path: Path) -> None:
    folder = tmp_path / "notebooks"
    folder.mkdir()
    shutil.copy(ROOT / "notebooks" / "02_pono.ipynb", folder)
    page.set_viewport_size({"width": 1400, "height": 1300})
    with server(folder) as address:
        open_notebook(page, address, "02_pono.ipynb")
        assert page.locator(".lx").count() == 0  # before the first run a picture stands in its place
        assert page.locator(".jp-OutputArea-output img").count() > 0
        command(page, "notebook:run-all-cells")
        page.wait_for_selector(".lx g.lx-object", timeout=180_000)
        wait_until_idle(page)
        assert page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
        page.locator(".lx").scroll_into_view_if_needed()
        page.locator("g.lx-object").first.focus()
        before, picture = first_row(page), page.evaluate(CANVAS)
        handle = page.locator("g.lx-object:first-child > rect:nth-of-type(8)").bounding_box()  # bottom right
        x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 60, y + 40, steps=10)
        page.mouse.up()
        page.wait_for_function(f"(old) => {ROW}.cells[1].innerText !== old", arg=before[1])
        page.wait_for_function("() => Number(document.querySelector('.lx').dataset.answered) > 0")
        page.wait_for_timeout(500)
        after = first_row(page)
        assert page.evaluate(CANVAS) != picture
        old, new = ([float(side) for side in row[1].split(" × ")] for row in (before, after))
        assert new[0] > old[0]
        assert new[1] > old[1]
        assert after[2:6] != before[2:6]
        assert page.locator(".lx-error").inner_text() == ""
        # The kernel is restarted: the box can still be dragged, and the explorer says why the map stays.
        page.evaluate("() => { jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart(); }")
        page.wait_for_timeout(1000)
        page.wait_for_function("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'")
        if page.locator("g.lx-object").count():
            page.locator("g.lx-object").first.focus()
            page.keyboard.press("ArrowLeft")
            page.wait_for_function(
                "() => document.querySelector('.lx-notice').innerText.includes('run this cell again')"
            )
        command(page, "notebook:run-all-cells")
        page.wait_for_timeout(2000)
        wait_until_idle(page)
        page.wait_for_selector(".lx g.lx-object")
        page.locator("g.lx-object").first.focus()
        page.keyboard.press("Shift+ArrowRight")
        page.wait_for_function("() => Number(document.querySelector('.lx').dataset.answered) > 0")
        assert page.locator(".lx-notice").inner_text() == ""
