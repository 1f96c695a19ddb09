"""`lapnet ablate`."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from lapnet_core.config import PRESETS, preset_for


@dataclass(frozen=True)
class Ablate:
    """Tables of the paper and ours on your data: 2a, 2b, peers, ... over seeds, with intervals.

    Can be stopped and gone on with by the same command; started twice, two processes share the queue.
    """

    tables: Annotated[tuple[str, ...], tyro.conf.Positional] = field(default=())
    """Which (none: what there is)."""
    data: str = "voc_animals"
    """As in `lapnet train`; it needs a split for validation and one for tests."""
    preset: str = ""
    """As in `lapnet train`; empty: what suits --data."""
    seeds: int = 3
    """Runs of each row."""
    steps: int = 0
    """Steps of each; 0: the preset's."""
    split: str = "train"
    """What is trained on; val is for choosing, test is reported."""
    on_error: Literal["raise", "skip"] | None = None
    """As in `lapnet train`; none: the preset's."""
    metric: Literal["ap50", "ap75"] = "ap50"
    """What is shown."""
    threads: int = 0
    """Threads of each training; results differ in their last digits with them. 0: all cores."""
    out: Path = Path("runs/ablations")
    """results.jsonl and a folder for each run."""
    show: bool = False
    """Only show what has run."""

    def run(self, given: Sequence[str]) -> int:
        import torch

        from lapnet_core.ablate import ONLY_VAL, TABLES, ablate, jobs, results, table
        from lapnet_core.inputs import check_number

        if not self.tables:
            for name, rows in TABLES.items():
                print(f"{name}: {'; '.join(rows)}")
            return 0
        for name, least in (("seeds", 1), ("steps", 0), ("threads", 0)):
            check_number(f"--{name}", getattr(self, name), least, whole=True)
        if self.preset and self.preset not in PRESETS:
            raise ValueError(f'no preset is called "{self.preset}"; there are {", ".join(PRESETS)}')
        if self.threads:
            torch.set_num_threads(self.threads)
        start = PRESETS[self.preset]() if self.preset else preset_for(self.data)
        start = replace(start, data=self.data, split=self.split, on_error=self.on_error or start.on_error)
        base = replace(start, steps=self.steps or start.steps)
        queue = jobs(self.tables, base, self.seeds, self.out)
        whole = self.show or ablate(queue, self.out)
        lines = results(self.out)
        for name in self.tables:
            on = "val in %" if name in ONLY_VAL else "test in %, 95 % interval"
            print(f"\n{name} on {base.data}, {base.steps} steps: {self.metric} on {on}")
            if not (rows := table(name, lines, base, self.metric)):
                print(f"  nothing of it has run in {self.out}")
            for row in rows:
                low, high = row["interval"]
                text = f"  {row['row']:28}"
                if row["seeds"]:
                    text += f" {100 * row[self.metric]:5.1f}"
                    text += f"  [{100 * low:.1f}, {100 * high:.1f}]" if name not in ONLY_VAL else ""
                if row["difference"]:
                    ends = (100 * x for x in row["difference"])
                    text += "  {:+.1f} to {:+.1f} against {}".format(*ends, f'"{row["against"]}"')
                of = f"{row['diverged']} of {row['seeds'] + row['diverged']} diverged"
                print(f"{text}  ({row['seeds']} seeds{', ' + of if row['diverged'] else ''})")
        if not whole:
            print(f"stopped; go on with: lapnet {shlex.join(given)}")
            return 130
        return 0
