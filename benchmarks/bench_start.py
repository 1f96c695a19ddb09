"""How long the commands take to answer before they do anything: `lapnet --help` and the like, as whole processes.

Beside them the bare interpreter, and the import of torch, which is what a command that imports first would cost.
Medians of whole processes; the ratios to the interpreter are what to quote.
"""

import subprocess
import sys
import sysconfig
from pathlib import Path

from lapnet_core.timing import seconds_each

LAPNET = Path(sysconfig.get_path("scripts")) / "lapnet"
WANTED = {"lapnet --help": 0.4, "lapnet train --help": 1.5}
"""Seconds."""


def seconds(*command: str) -> float:
    """Median wall time of a process."""
    return seconds_each(lambda: subprocess.run(command, capture_output=True, check=True), repeats=7)


def main() -> None:
    bare = seconds(sys.executable, "-c", "pass")
    print(f"{'python -c pass':24} {bare:5.2f} s")
    for words in ("lapnet --version", "lapnet --help", "lapnet train --help", "lapnet predict --help"):
        took = seconds(str(LAPNET), *words.split()[1:])
        wanted = f"   wanted: under {WANTED[words]} s" if words in WANTED else ""
        print(f"{words:24} {took:5.2f} s   {took / bare:5.1f} times the interpreter{wanted}")
    took = seconds(sys.executable, "-c", "import torch, timm")
    print(f"{'import torch, timm':24} {took:5.2f} s   {took / bare:5.1f} times the interpreter")


if __name__ == "__main__":
    main()
