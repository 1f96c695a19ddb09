"""The recorded trainings of the ablations, data/runs, one a line: read, and found by what they were trained with."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lapnet_lab.records import DATA

RUNS = DATA / "runs" / "ablations_voc_animals.jsonl"
BLOOD = DATA / "runs" / "ablations_bccd.jsonl"


def runs(path: Path = RUNS) -> list[dict[str, Any]]:
    """Every recorded training, one a line of the file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def options(run: Mapping[str, Any]) -> dict[str, Any]:
    """What a run's config tells, LapNet's own beside the rest."""
    config = dict(run["config"])
    return config | (config.pop("lapnet", None) or {} if config["method"] == "lapnet" else {})


def matching(wanted: Mapping[str, Any], among: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """The runs that have what is wanted as far as they tell it, one a seed, the last that was recorded.

    A peer has none of LapNet's options, whatever is wanted of them.
    """
    found: dict[int, Mapping[str, Any]] = {}
    for run in among:
        told = options(run)
        if all(told.get(key, value) == value for key, value in wanted.items()):
            found[run["seed"]] = run
    return tuple(found[seed] for seed in sorted(found))
