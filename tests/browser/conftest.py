from collections.abc import Iterator
from typing import Any

import pytest
from browser.chromium import NoBrowser, chromium, required


@pytest.fixture(scope="module")  # no longer: its event loop would stand in the way of tests that run one of their own
def browser() -> Iterator[Any]:
    """Chromium, or the reason why these tests are skipped."""
    try:
        running = chromium()
        found = running.__enter__()
    except NoBrowser as reason:
        if required():
            raise
        pytest.skip(str(reason))
    yield found
    running.__exit__(None, None, None)


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A fresh page; an exception of its JavaScript fails the test."""
    errors: list[str] = []
    page = browser.new_page(viewport={"width": 1060, "height": 950})
    page.set_default_timeout(20_000)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close()
    assert not errors
