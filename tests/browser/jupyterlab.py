"""A real JupyterLab, with a page of Chromium in it."""

import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
STARTED = re.compile(r"http://(?:localhost|127\.0\.0\.1):(\d+)/lab")
IDLE = "jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"


@contextmanager
def server(folder: Path, patience: float = 90) -> Iterator[str]:
    """The address of a notebook `{name}` in a JupyterLab over a folder."""
    token = secrets.token_hex(16)
    command = [
        sys.executable, "-m", "jupyter", "lab", "--no-browser", "--port=0", f"--IdentityProvider.token={token}",
        "--LabApp.expose_app_in_browser=True", f"--notebook-dir={folder}",
        *(["--allow-root"] if os.geteuid() == 0 else []),
    ]  # fmt: skip
    environment = {
        **os.environ,
        "TQDM_DISABLE": "1",
        "LAPNET_TIER": "tiny",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        "JUPYTER_CONFIG_DIR": str(folder / ".jupyter"),
        "JUPYTER_CONFIG_PATH": str(ROOT / "lapnet_lab" / "jupyter"),  # as in `make lab`
        "JUPYTER_RUNTIME_DIR": str(folder / ".runtime"),
    }
    log = folder / "server.log"
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=file, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + patience
        while not (found := STARTED.search(log.read_text())):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")
            time.sleep(0.2)
        yield f"http://localhost:{found[1]}/lab/tree/{{name}}?token={token}"
    finally:
        process.terminate()
        process.wait(20)


def open_notebook(page: Any, address: str, name: str) -> None:
    """Open it, and wait for its kernel."""
    page.goto(address.format(name=name))
    page.wait_for_selector(".jp-Notebook", timeout=90_000)
    page.wait_for_function(f"() => window.{IDLE}", timeout=90_000)


def command(page: Any, name: str) -> None:
    """One of JupyterLab's commands; not waited for, as it ends with the last cell that it runs."""
    page.evaluate("(name) => { jupyterapp.commands.execute(name); }", name)


def wait_until_idle(page: Any, timeout: float = 180_000) -> None:
    """Until no cell runs or waits."""
    page.wait_for_timeout(500)
    page.wait_for_function(
        f"""() => window.{IDLE} && ![...document.querySelectorAll('.jp-InputPrompt')]
                .some((prompt) => prompt.innerText.includes('[*]'))""",
        timeout=timeout,
    )
