"""Splits that we make where data brings none: a function of the file names alone."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import Any

from lapnet_core.files import write_whole

SHARES = {"train": 0.70, "val": 0.15, "test": 0.15}
"""Of data without any split."""
HELD_OUT = {"train": 0.85, "val": 0.15}
"""Of training data that has no validation split beside it."""
FEW = 10
"""Where more names than that share a stem, on average, as front.jpg of each subject, their folder counts, too."""


def make_split(names: Sequence[str], shares: Mapping[str, float] = SHARES) -> dict[str, list[str]]:
    """Deals images out by a hash of their names: the same on every machine, and an image that is added moves no other.

    Only the file's name without folder and suffix counts, and without what Roboflow appends to copies that it
    augmented, so that copies of one photograph stay together.

    Args:
        names: file names or paths, each once; the order is kept within each split.
        shares: of each split, adding up to 1. As far as there are names, none is left empty, the first ones least of
            all: the fullest one gives its last by hash, and copies with it.
    """
    keys = {name: _parts(name) for name in names}
    inside = len({stem for _, stem in keys.values()}) * FEW < len(keys)
    places = {name: _place("/".join(key) if inside else key[1]) for name, key in keys.items()}
    limits = list(accumulate(shares.values()))[:-1]
    dealt = {split: [] for split in shares}
    for name in names:
        dealt[list(shares)[sum(places[name] >= limit for limit in limits)]].append(name)
    for split in list(shares)[: len(names)]:
        if not dealt[split]:
            giver = max(reversed(dealt.values()), key=len)
            last = max(places[name] for name in giver)
            given = [name for name in giver if places[name] == last]
            given = given if len(given) < len(giver) else [max(giver)]
            giver[:] = [name for name in giver if name not in given]
            dealt[split] += given
    return dealt


def _parts(name: str) -> tuple[str, str]:
    """The last folder of a path, and the stem."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.parent.name, re.sub(r"\.rf\.\w+$", "", path.stem)


def _place(text: str) -> float:
    """Where a name stands between 0 and 1."""
    text = re.sub("[\ud800-\udc7f\udd00-\udfff]", "?", text)  # JSON can hold such, but no file is called so
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:8], "big") / 2**64


@dataclass(frozen=True)
class SplitFile:
    """The names of every split that we made, for the folder of a run."""

    made_by: str
    names: Mapping[str, Sequence[str]]

    def to_json(self) -> str:
        """One list for each split, and what the data is."""
        return json.dumps({"made_by": self.made_by, **self.names}, indent=1) + "\n"

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        write_whole(path, lambda part: part.write_text(self.to_json(), encoding="utf-8"))


def split_files(dataset: Any) -> dict[str, SplitFile]:
    """split.json, for a run's folder; nothing where the data set has splits of its own."""
    names = getattr(dataset, "made_splits", None)
    return {"split.json": SplitFile(dataset.source, names)} if names else {}
