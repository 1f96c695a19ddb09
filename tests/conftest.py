"""Shapes and types in signatures are enforced in tests: jaxtyping's hook with beartype, set before the first import."""

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

install_import_hook(["lapnet_core", "lapnet_lab"], "typecheck.check")

import torch  # noqa: E402
from hypothesis import settings  # noqa: E402

torch.set_num_threads(2)
# Timing belongs to benchmarks; a slow machine must not turn a property red. Examples are the same in every run.
settings.register_profile("lapnet", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("lapnet")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def find_data() -> Path | None:
    """LAPNET_DATA, or ../shared/data beside the checkout."""
    folder = Path(os.environ["LAPNET_DATA"]) if os.environ.get("LAPNET_DATA") else SHARED
    return folder if (folder / "bccd").is_dir() else None


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with bccd/, coco_tiny/ and boxes/."""
    folder = find_data()
    if folder is None:
        pytest.skip("no real data: set LAPNET_DATA to a folder with bccd/, coco_tiny/ and boxes/")
    return folder
