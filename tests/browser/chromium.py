"""A Chromium for the tests: one that is installed, or the one that Playwright fetched."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Root, the only user in many containers, cannot have the sandbox; neither is there a GPU to draw with.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]


class NoBrowser(Exception):
    """Why there is none."""


@contextmanager
def chromium() -> Iterator[Any]:
    """A running browser, headless."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        fetched = playwright.chromium.executable_path
        found = next(filter(None, map(shutil.which, NAMES)), fetched if Path(fetched).exists() else None)
        if found is None:
            raise NoBrowser(f"no browser: none of {', '.join(NAMES)}; `make browser` installs one")
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


def required() -> bool:
    """CI has to run these tests; elsewhere they skip where there is no browser."""
    return os.environ.get("CI", "") not in ("", "0", "false")
