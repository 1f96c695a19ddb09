"""The `lapnet` command: one file per subcommand here, and this one to choose among them.

Nothing heavy is imported before a command runs, so that help and mistakes answer at once.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated

import tyro
from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, OmitSubcommandPrefixes, arg, subcommand

from lapnet_core import __version__
from lapnet_core.cli.ablate import Ablate
from lapnet_core.cli.anchors import Anchors
from lapnet_core.cli.bench import Bench
from lapnet_core.cli.data import Data
from lapnet_core.cli.doctor import Doctor
from lapnet_core.cli.evaluate import Evaluate
from lapnet_core.cli.export import Export
from lapnet_core.cli.predict import Predict
from lapnet_core.cli.train import Train, start_of


@dataclass(frozen=True)
class Help:
    """Show what the commands are."""

    def run(self, given: Sequence[str]) -> int:
        with suppress(SystemExit):
            _parse(["--help"])
        return 0 if given else 2


@dataclass(frozen=True)
class Version:
    """Show the version."""

    def run(self, given: Sequence[str]) -> int:
        print(f"lapnet {__version__}")
        return 0


Command = Train | Evaluate | Predict | Export | Ablate | Anchors | Data | Bench | Doctor | Version | Help


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0, 1 for an error that is told in one line, 2 for a mistake in the
    flags, 130 for Ctrl-C, 141 where nobody reads what it says."""
    given = list(sys.argv[1:] if argv is None else argv)
    name = f"lapnet {given[0]}" if given else "lapnet"
    try:
        status = _parse(given).run(given)
        sys.stdout.flush()
        return status
    except SystemExit as stop:  # help, or flags that tyro does not take; it has said what there is to say
        return stop.code if isinstance(stop.code, int) else 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever reads it, as `head`, has seen enough; Python would complain once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, FloatingPointError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError" and "allocate memory" not in str(error):
            raise
        said = "the memory is full: take a smaller --batch-size or --image-size; `lapnet train` has --accumulate, too"
        print(f"{name}: {said} ({str(error).splitlines()[0]})", file=sys.stderr)
        return 1


def _parse(given: list[str]) -> Command:
    start = start_of(given)

    @dataclass(frozen=True)
    class Lapnet:
        """LapNet: train, evaluate and use a dense object detector. `lapnet COMMAND --help` says more."""

        command: Annotated[
            Annotated[Train, subcommand("train", default=Train(config=start))]
            | Annotated[Evaluate, subcommand("evaluate")]
            | Annotated[Predict, subcommand("predict")]
            | Annotated[Export, subcommand("export")]
            | Annotated[Ablate, subcommand("ablate")]
            | Annotated[Anchors, subcommand("anchors")]
            | Annotated[Data, subcommand("data")]
            | Annotated[Bench, subcommand("bench")]
            | Annotated[Doctor, subcommand("doctor")]
            | Annotated[Version, subcommand("version")]
            | Annotated[Help, subcommand("help")],
            arg(name=""),
        ] = field(default_factory=Help)
        version: Annotated[bool, FlagCreatePairsOff] = False
        """Show the version."""

    chosen = tyro.cli(Lapnet, prog="lapnet", args=given, config=(OmitArgPrefixes, OmitSubcommandPrefixes))
    return Version() if chosen.version else chosen.command
