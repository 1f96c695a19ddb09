"""Shapes and types in signatures are enforced in tests: jaxtyping's hook with beartype, set before the first import."""

import gc
import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

gc.disable()  # until the tests begin: what is imported stays, and to look through it again and again takes seconds
install_import_hook(["lapnet_core", "lapnet_lab"], "typecheck.check")

import torch  # noqa: E402
from hypothesis import settings  # noqa: E402

# One where OMP_NUM_THREADS says so: `make quick` and `make test` run processes side by side.
torch.set_num_threads(min(2, torch.get_num_threads()))
# Timing belongs to benchmarks; a slow machine must not turn a property red. Examples are the same in every run.
settings.register_profile("lapnet", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("lapnet")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def find_data() -> Path | None:
    """LAPNET_DATA, or ../shared/data beside the checkout."""
    folder = Path(os.environ["LAPNET_DATA"]) if os.environ.get("LAPNET_DATA") else SHARED
    return folder if (folder / "bccd").is_dir() else None


SLOW = (
    "tests/core/test_checkpoint.py::test_",
    "tests/core/test_cli.py::test_a_second_training_is_refused_in_one_line",
    "tests/core/test_cli.py::test_anchors_",
    "tests/core/test_cli.py::test_doctor_and_bench",
    "tests/core/test_cli.py::test_predict_",
    "tests/core/test_cli.py::test_the_whole_chain_",
    "tests/core/test_cli.py::test_train_",
    "tests/core/test_fuzz_data.py::test_",
    "tests/core/test_identical.py::test_",
    "tests/core/test_inputs.py::test_a_mistake_is_answered_",
    "tests/core/test_losses.py::test_gradient_against_finite_differences_",
    "tests/core/test_losses.py::test_two_processes_",
    "tests/core/test_model.py::test_a_cell_looks_at_its_own_place[darknet53]",
    "tests/core/test_model.py::test_a_cell_looks_at_its_own_place[inception_resnet_v2]",
    "tests/core/test_model.py::test_inception_gets_the_mean_and_deviation_",
    "tests/core/test_model.py::test_pretrained_weights_come_from_a_url_or_a_file",
    "tests/core/test_model.py::test_shapes_for_every_backbone[size0-darknet53]",
    "tests/core/test_model.py::test_shapes_for_every_backbone[size0-inception_resnet_v2]",
    "tests/core/test_model.py::test_shapes_for_every_backbone[size1-darknet53]",
    "tests/core/test_model.py::test_shapes_for_every_backbone[size1-inception_resnet_v2]",
    "tests/core/test_model.py::test_weights_that_do_not_fit_are_told",
    "tests/core/test_peers.py::test_a_training_is_resumed_",
    "tests/core/test_peers.py::test_the_commands_work_with_the_peer",
    "tests/core/test_train.py::test_a_resumed_training_",
    "tests/core/test_train.py::test_every_row_of_table_2b_trains",
    "tests/core/test_train.py::test_it_learns",
    "tests/core/test_train.py::test_two_processes_",
    "tests/test_house.py::test_the_core_imports_without_",
    "tests/test_wheel.py::test_",
)
"""How the names of tests begin that are `slow` and do not say so themselves."""


LONG = (
    "tests/notebooks/test_notebooks.py::test_outputs_are_reproduced",
    "tests/notebooks/test_notebooks.py::test_a_changed_",
    "tests/test_mutations.py",
    "tests/test_wheel.py",
)
"""How the names of tests begin that each take up to minutes, in programs of their own: workers do not end with them."""
WORKERS = 4
"""The most that `-n auto` starts: each holds about 1 GB, and what it tests in another process as much again."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One for each core that we may use."""
    from lapnet_core.processes import usable_cores

    return min(WORKERS, usable_cores())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks what SLOW names. The first of several workers begins with what LONG names; the others begin elsewhere."""
    for item in items:
        if item.nodeid.startswith(SLOW):
            item.add_marker("slow")
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not item.nodeid.startswith(LONG))


@pytest.fixture(autouse=True)
def on_the_cpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a GPU is tested as one without, so that what is compared to the bit is the same everywhere; but
    for the tests that are about CUDA."""
    if "cuda" not in request.keywords and torch.cuda.is_available():
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # of the programs that a test starts


def pytest_collection_finish() -> None:
    """From here on garbage is collected, of what the tests make."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with bccd/, coco_tiny/ and boxes/."""
    folder = find_data()
    if folder is None:
        pytest.skip("no real data: set LAPNET_DATA to a folder with bccd/, coco_tiny/ and boxes/")
    return folder
