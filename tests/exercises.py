"""The exercises of a notebook as they stand in its text."""

import re
from pathlib import Path

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


def exercises_of(notebook: str) -> list[tuple[str, str, str]]:
    """(code of the folded solution, name of the check, variable that it looks at) of each exercise, in order."""
    text = re.sub(r"^# ?", "", (NOTEBOOKS / f"{notebook}.py").read_text(encoding="utf-8"), flags=re.MULTILINE)
    solutions = re.findall(r"<summary>Solution</summary>.*?```python\n(.*?)```", text, flags=re.DOTALL)
    checks = re.findall(r'^check\("(\w+)", (\w+)', text, flags=re.MULTILINE)
    assert len(solutions) == len(checks)
    return [(solution, *check) for solution, check in zip(solutions, checks, strict=True)]
