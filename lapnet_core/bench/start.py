"""How long commands take to answer before they do anything, as whole processes."""

import subprocess
import sys
from collections.abc import Iterator

from lapnet_core.bench.line import Line

COMMANDS = (("train", "--help"), ("--help",), ("predict", "--help"))
"""The one with most flags first."""
HALF = 0.5
"""Of that time at most."""


def lines(quick: bool) -> Iterator[Line]:
    """Beside the import of torch, which is what a command would take that imports first and asks later."""
    for words in COMMANDS[:1] if quick else COMMANDS:
        yield Line(
            " ".join(("lapnet", *words)),
            'python -c "import torch"',
            lambda words=words: _run("-m", "lapnet_core.cli", *words),
            lambda: _run("-c", "import torch"),
            limit=HALF,
            repeats=3 if quick else 9,
        )


def _run(*arguments: str) -> None:
    subprocess.run((sys.executable, *arguments), capture_output=True, check=True)
