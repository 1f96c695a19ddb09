"""`lapnet data`: list what can be downloaded, get it, and check data of one's own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from tyro.conf import Positional, arg, subcommand

from lapnet_core.cli.check import Check


@dataclass(frozen=True)
class List:
    """What can be downloaded, and where it goes."""

    def run(self) -> int:
        from lapnet_core.data.download import DOWNLOADS, data_dir

        print(f"data folder: {data_dir()} (LAPNET_DATA names another)")
        for name, entry in DOWNLOADS.items():
            print(f"  {name:18} {entry.size / 1e9:5.1f} GB")
        return 0


@dataclass(frozen=True)
class Get:
    """Download data sets by name: lapnet data get voc2007-test."""

    names: Annotated[tuple[str, ...], Positional]

    def run(self) -> int:
        from lapnet_core.data.download import DOWNLOADS, download

        if not self.names or set(self.names) - set(DOWNLOADS):
            raise ValueError(f"expected: lapnet data get NAME ..., with names among {', '.join(DOWNLOADS)}")
        for name in self.names:
            print(f"{name}: {download(name)}")
        return 0


@dataclass(frozen=True)
class Data:
    """List what can be downloaded, get it (lapnet data get voc2007-test), or look through data (lapnet data check
    FOLDER)."""

    verb: Annotated[
        Annotated[List, subcommand("list")] | Annotated[Get, subcommand("get")] | Annotated[Check, subcommand("check")],
        arg(name=""),
    ] = field(default_factory=List)

    def run(self, given: Sequence[str]) -> int:
        return self.verb.run()
