"""Record the losses that tests/core/test_identical.py holds: `python tests/record_losses.py`, after a change that is
meant to change them (of the seeds, say), and never after a refactoring."""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "core"), str(HERE.parent)]
os.environ.setdefault("LAPNET_DATA", str(HERE.parents[1] / "shared" / "data"))
torch.set_num_threads(2)

from test_identical import BCCD, RECORD_FILE, SCENES, VARIANTS, losses_of, processor  # noqa: E402


def main() -> None:
    recorded = {}
    for data, config in (("scenes", SCENES), ("bccd", BCCD)):
        for name, changes in VARIANTS.items():
            recorded[f"{data} {name}"] = losses_of(config.with_options(**changes))
            print(data, name, float.fromhex(recorded[f"{data} {name}"][-1][0]))
    head = {
        "processor": processor(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "recorded": f"{datetime.now(UTC):%Y-%m-%d}; " + " ".join(sys.argv[1:]),
    }
    rows = {name: ",\n   ".join(map(json.dumps, losses)) for name, losses in recorded.items()}
    body = ",\n".join(f"  {json.dumps(name)}: [\n   {text}\n  ]" for name, text in rows.items())
    lines = "".join(f" {json.dumps(key)}: {json.dumps(value)},\n" for key, value in head.items())
    Path(RECORD_FILE).write_text(f'{{\n{lines} "losses": {{\n{body}\n }}\n}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
