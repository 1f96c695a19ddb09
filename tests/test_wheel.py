"""The wheel works as others will install it: in an environment of its own, away from the clone."""

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import lapnet_core

ROOT = Path(__file__).resolve().parents[1]
# What `pip install` would bring takes minutes and gigabytes; these are the same packages, lent by this environment.
FILES = ("pyproject.toml", "README.md", "LICENSE")
LENT = sysconfig.get_paths()["purelib"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built from a copy of what is in the repository."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "lapnet_core", "lapnet_lab", *FILES],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in listed:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "setuptools" in done.stderr and "No matching distribution" in done.stderr:
        pytest.skip("no network: setuptools cannot be fetched to build the wheel")
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(bin folder of an environment with the wheel, an empty folder to work in)."""
    home = tmp_path_factory.mktemp("home")
    venv.create(home / "env", with_pip=False)
    binaries = home / "env" / "bin"
    site = next((home / "env" / "lib").glob("python*/site-packages"))
    command = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(binaries / "python"),
        "install",
        "--quiet",
        "--no-deps",
        str(wheel),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # The dependencies are lent, the project is not: its editable install is a finder in a .pth, which is not read here.
    (site / "lent.pth").write_text(f"{LENT}\n")
    work = home / "work"
    work.mkdir()
    return binaries, work


def run(installed: tuple[Path, Path], *command: str) -> str:
    """Run a program of the environment; its output, and a failure where it fails."""
    binaries, work = installed
    kept = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV", "LAPNET_DATA")
    }
    done = subprocess.run(
        [str(binaries / command[0]), *command[1:]],
        cwd=work, env={**kept, "TQDM_DISABLE": "1", "OMP_WAIT_POLICY": "PASSIVE"},
        capture_output=True, text=True, check=False, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_everything_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for needed in (
        "lapnet_core/py.typed", "lapnet_lab/py.typed", "lapnet_core/assets/anchors/voc0712_512.json",
        "lapnet_core/assets/anchors/coco_512.json", "lapnet_core/assets/models/scenes.safetensors",
        "lapnet_core/assets/models/photographs.safetensors", "lapnet_core/peers/torchvision.py",
        "lapnet_core/cli/train.py",
        "lapnet_core/scenes/painters.py", "lapnet_lab/explorer/explorer.js", "lapnet_lab/explorer/explorer.css",
        "lapnet_lab/lessons/pono/study.py",
    ):  # fmt: skip
        assert needed in names, needed
    modules = {
        path.relative_to(ROOT).as_posix()
        for part in ("lapnet_core", "lapnet_lab")
        for path in (ROOT / part).rglob("*.py")
    }
    assert modules <= set(names)
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"lapnet_core", "lapnet_lab"}
    metadata = next(zipfile.ZipFile(wheel).read(name).decode() for name in names if name.endswith("METADATA"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "License-Expression: Apache-2.0" in metadata
    assert "Project-URL: Paper, " in metadata
    assert all(f"Provides-Extra: {extra}" in metadata for extra in project["optional-dependencies"])
    assert f"\nVersion: {lapnet_core.__version__}\n" in metadata


@pytest.mark.slow
def test_it_is_this_wheel_that_runs(installed: tuple[Path, Path]) -> None:
    told = run(
        installed, "python", "-c", "import lapnet_core, lapnet_lab; print(lapnet_core.__file__, lapnet_lab.__file__)"
    )
    assert all(str(installed[0].parent) in path for path in told.split())
    assert run(installed, "lapnet", "--version").startswith("lapnet ")


@pytest.mark.slow
def test_doctor(installed: tuple[Path, Path]) -> None:
    told = run(installed, "lapnet", "doctor", "--quick")
    assert "scenes need none" in told
    assert str(installed[1]) in told  # data is looked for beside the user, not in site-packages


@pytest.mark.slow
def test_five_steps_on_scenes(installed: tuple[Path, Path]) -> None:
    flags = ["--steps", "5", "--batch-size", "2", "--image-size", "64", "64", "--log-every", "1", "--out", "five"]
    assert "trained" in run(installed, "lapnet", "train", "--data", "scenes", *flags)
    lines = (installed[1] / "five" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines[1:]] == [1, 2, 3, 4, 5]


@pytest.mark.slow
def test_anchors_by_name(installed: tuple[Path, Path]) -> None:
    """Of the package's own; a training takes them where the classes are the same, and says so where they are not."""
    code = "from lapnet_core.anchors import AnchorFile; print(AnchorFile.load('voc0712_512').shapes.shape)"
    assert "[20, 10, 2]" in run(installed, "python", "-c", code)
    binaries, work = installed
    command = [str(binaries / "lapnet"), "train", "--anchors", "voc0712_512", "--steps", "1", "--out", "named"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "voc0712_512 has 10 anchors each for ('aeroplane'" in done.stderr
    done = subprocess.run(
        [*command[:3], "nothing", *command[4:]], cwd=work, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "there are coco_512, voc0712_512" in done.stderr


@pytest.mark.slow
def test_the_explorer_brings_its_scripts(installed: tuple[Path, Path]) -> None:
    code = """
from lapnet_lab import Explorer
import torch
box = torch.tensor([[10.0, 10.0, 60.0, 90.0]])
explorer = Explorer(None, box, torch.tensor([0]), torch.full((1, 2, 2), 40.0), ("thing",))
print("paintMap" in explorer._esm, ".lx-bar" in explorer._css, explorer.maps.objects[0].rescued)
"""
    assert run(installed, "python", "-c", code).split() == ["True", "True", "False"]
