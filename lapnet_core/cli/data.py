"""`lapnet data`: list what can be downloaded, and get it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from tyro.conf import Positional, arg, subcommand


@dataclass(frozen=True)
class List:
    """What can be downloaded, and where it goes."""

    def run(self) -> None:
        from lapnet_core.data.download import DOWNLOADS, data_dir

        print(f"data folder: {data_dir()} (LAPNET_DATA names another)")
        for name, entry in DOWNLOADS.items():
            print(f"  {name:18} {entry.size / 1e9:5.1f} GB")


@dataclass(frozen=True)
class Get:
    """Download data sets by name: lapnet data get voc2007-test."""

    names: Annotated[tuple[str, ...], Positional]

    def run(self) -> None:
        from lapnet_core.data.download import DOWNLOADS, download

        if not self.names or set(self.names) - set(DOWNLOADS):
            raise ValueError(f"expected: lapnet data get NAME ..., with names among {', '.join(DOWNLOADS)}")
        for name in self.names:
            print(f"{name}: {download(name)}")


@dataclass(frozen=True)
class Data:
    """List what can be downloaded, or get it: lapnet data get voc2007-test."""

    verb: Annotated[Annotated[List, subcommand("list")] | Annotated[Get, subcommand("get")], arg(name="")] = field(
        default_factory=List
    )

    def run(self, given: Sequence[str]) -> int:
        self.verb.run()
        return 0
