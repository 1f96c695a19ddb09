"""The first cell of every notebook."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from lapnet_lab import alt

TIERS = ("tiny", "laptop", "full")


@dataclass(frozen=True)
class Lab:
    """How this notebook runs.

    tier: tiny (offline, two cores, under 90 s), laptop (minutes to an hour) or full (GPUs, the paper's schedule).
    progress: whether long jobs show a progress bar. data: the folder of LAPNET_DATA, None where it is not set.
    """

    tier: str
    progress: bool
    data: Path | None

    def choose(self, tiny: object, laptop: object, full: object = None) -> object:
        """The value for this tier; what is not given for `full` is that of `laptop`."""
        return {"tiny": tiny, "laptop": laptop, "full": laptop if full is None else full}[self.tier]


def setup(threads: int = 2) -> Lab:
    """Tier, threads, progress bars and figures (with words for those who hear them), in one call; prints the tier.

    Args:
        threads: of torch. Two cores are what the recorded outputs were made on; small tensors are faster with one.

    Raises:
        ValueError: LAPNET_TIER names no tier.
    """
    tier = os.environ.get("LAPNET_TIER", "tiny")
    if tier not in TIERS:
        raise ValueError(
            f'LAPNET_TIER is "{tier}"; there are {", ".join(TIERS)}. Set it to one of them before JupyterLab starts '
            f"(LAPNET_TIER=tiny make lab), or in a cell above this one: import os; os.environ['LAPNET_TIER'] = 'tiny'"
        )
    torch.set_num_threads(threads)
    try:  # figures are shown where they stand, as pictures
        from IPython.core.getipython import get_ipython

        if shell := get_ipython():
            shell.run_line_magic("matplotlib", "inline")
            alt.figure_alts(shell)  # after it: it sets how figures are drawn
    except ImportError:
        pass
    folder = os.environ.get("LAPNET_DATA")
    print(f"tier {tier}")
    return Lab(tier, "TQDM_DISABLE" not in os.environ, Path(folder).expanduser() if folder else None)
