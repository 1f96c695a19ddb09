"""Nothing that was trained is lost or taken for something else: checkpoints, folders, signals, faults on the way."""

import json
import os
import pickle
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from toys import TINY, Squares, Stop, stop_at

from lapnet_core import checkpoint
from lapnet_core.checkpoint import LAST, PREVIOUS, load_checkpoint, save_checkpoint
from lapnet_core.cli import main
from lapnet_core.config import TrainConfig
from lapnet_core.data import DataError, Skipped
from lapnet_core.detector import Detector
from lapnet_core.processes import stop_signal
from lapnet_core.train import train


@pytest.fixture
def half(tmp_path: Path) -> TrainConfig:
    """A training of six steps that broke off after five: last.pt is of step 4, previous.pt of step 2."""
    config = replace(TINY, out=str(tmp_path / "run"))
    with pytest.raises(Stop):
        train(config, Squares(), progress=False, on_step=stop_at(5))
    return config


@pytest.fixture(scope="module")
def whole() -> dict[str, torch.Tensor]:
    """What the training without a break gives."""
    return train(TINY, Squares(), save=False, progress=False).method.state_dict()


def same(state: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return state.keys() == other.keys() and all(torch.equal(state[name], other[name]) for name in state)


def steps_of(config: TrainConfig) -> list[int]:
    return [torch.load(config.run_dir / name, weights_only=True)["step"] for name in (LAST, PREVIOUS)]


def test_two_checkpoints_are_kept(half, whole):
    assert steps_of(half) == [4, 2]
    result = train(half, Squares(), resume=True, progress=False)
    assert same(result.method.state_dict(), whole)
    assert steps_of(half) == [6, 4]
    assert not list(half.run_dir.glob(".*"))


def damage(path: Path, how: str) -> None:
    raw = bytearray(path.read_bytes())
    if how == "bytes":  # in the middle of the largest tensor: torch would load it without a word
        raw[len(raw) // 2 : len(raw) // 2 + 64] = b"\xff" * 64
        path.write_bytes(raw)
    elif how == "cut":
        path.write_bytes(raw[: len(raw) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("no checkpoint")
    elif how == "foreign":
        torch.save({"weights": torch.zeros(3)}, path)
    elif how == "list":
        torch.save([1, 2], path)
    elif how == "pickle":
        path.write_bytes(pickle.dumps({"step": 3}))
    elif how == "code":
        torch.save({"step": 3, "config": os.system}, path)
    elif how == "config":
        content = torch.load(path, weights_only=True)
        torch.save({**content, "config": "{"}, path)
    else:
        path.unlink()
        path.mkdir()


HOW = ["bytes", "cut", "empty", "text", "foreign", "list", "pickle", "code", "folder"]


@pytest.mark.parametrize("how", HOW)
def test_a_damaged_checkpoint_is_passed_over(half, whole, how):
    damage(half.run_dir / LAST, how)
    if how == "folder":
        (half.run_dir / LAST).rmdir()
    with pytest.warns(UserWarning, match=r"going on from previous\.pt, step 2") if how != "folder" else nothing():
        result = train(half, Squares(), resume=True, progress=False)
    assert same(result.method.state_dict(), whole)


def nothing():
    from contextlib import nullcontext

    return nullcontext()


@pytest.mark.parametrize("how", [*HOW, "config"])
def test_where_all_are_damaged_a_sentence_names_them(half, how):
    for name in (LAST, PREVIOUS):
        damage(half.run_dir / name, how)
    with pytest.raises(ValueError, match=r"last\.pt") as error:
        train(half, Squares(), resume=True, progress=False)
    assert "\n" not in str(error.value)


def test_every_damaged_byte_of_a_checkpoint_is_seen_or_harmless(half):
    """Sixty places all over the file: it is refused, or it is loaded with every number as it was."""
    path = half.run_dir / LAST
    raw, intact = path.read_bytes(), load_checkpoint(half.run_dir, half)
    (half.run_dir / PREVIOUS).unlink()
    refused: list[str] = []
    for at in np.linspace(0, len(raw) - 1, 60).astype(int).tolist():
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 0x55]) + raw[at + 1 :])
        try:
            found = load_checkpoint(half.run_dir, half)
        except (ValueError, FileNotFoundError) as error:
            refused.append(str(error))
        else:
            assert same(found["state"], intact["state"])
            assert found["step"] == intact["step"]
    assert len(refused) > 40
    assert all("last.pt" in told for told in refused)


def test_classes_are_part_of_what_is_gone_on_with(half):
    class Others(Squares):
        class_names = ("red", "green")

    class Swapped(Squares):
        class_names = ("blue", "red")

    for data in (Others(), Swapped()):
        with pytest.raises(ValueError, match=r"last\.pt was trained on the classes red, blue; the data has"):
            train(half, data, resume=True, progress=False)

    (half.run_dir / LAST).write_bytes(b"damaged")
    with (
        pytest.warns(UserWarning, match="going on from previous"),
        pytest.raises(ValueError, match=r"previous\.pt was trained on the classes red, blue"),
    ):
        train(half, Others(), resume=True, progress=False)


def test_data_that_has_changed_is_told(half):
    """Images that came or went change the order of all: what follows is another training."""
    with pytest.warns(UserWarning, match=r"last\.pt was trained on 16 images; the data has 15: what follows is not"):
        train(half, Squares(15), resume=True, progress=False)


def test_the_seconds_of_a_log_go_on(half):
    """They are of all parts of a training, as its end says them."""
    saved = torch.load(half.run_dir / LAST, weights_only=True)
    torch.save(saved | {"seconds": 100.0}, half.run_dir / LAST)
    result = train(half, Squares(), resume=True, progress=False)
    assert [line["step"] for line in result.log if line["seconds"] >= 100] == [5, 6]


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(OSError, match=r"cannot be written \(File exists\); give another place.*taken"):
        train(replace(TINY, out=str(tmp_path / "taken")), Squares(), progress=False)
    assert (tmp_path / "taken").read_text() == "mine"


def test_a_log_for_which_there_is_no_room_is_named(tmp_path):
    log = checkpoint.RunLog(tmp_path, TINY, ("red", "blue"), 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.path.stat().st_size + 8, hard))
    try:
        with pytest.raises(OSError, match=r"cannot be written .*log\.jsonl"):
            log.write({"step": 1, "total": 0.5})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_anchors_of_somebody_else_stay(tmp_path):
    (tmp_path / "anchors.json").write_text("mine")
    with pytest.raises(FileExistsError, match=r"anchors\.json is there, and not of this training"):
        train(replace(TINY, out=str(tmp_path)), Squares(), progress=False)
    assert (tmp_path / "anchors.json").read_text() == "mine"


def test_what_is_not_finite_is_not_saved(half):
    content = load_checkpoint(half.run_dir, half)
    before = (half.run_dir / LAST).read_bytes()
    for bad in (float("nan"), float("inf")):
        state = {name: tensor.clone() for name, tensor in content["state"].items()}
        state["model.score_head.1.bias"][0] = bad
        told = r"score_head\.1\.bias is not finite.*kept in .*: last\.pt and previous"
        with pytest.raises(FloatingPointError, match=told):
            save_checkpoint(half.run_dir, half, {**content, "state": state})
    assert (half.run_dir / LAST).read_bytes() == before


def test_a_diverging_training_keeps_its_good_checkpoint(tmp_path):
    """The last update before a checkpoint throws the weights to infinity: the loss of that step was finite."""
    config = replace(TINY, steps=4, save_every=1, out=str(tmp_path))

    def poison(step, method):
        if step == 3:
            with torch.no_grad():
                method.model.offset_head[-1].weight[0] = float("inf")

    with pytest.raises(FloatingPointError, match=r"step 3: .* is not finite, so it is not saved"):
        train(config, Squares(), progress=False, on_step=poison)
    assert steps_of(config) == [2, 1]
    assert not (tmp_path / "model.safetensors").exists()
    assert not train(config, Squares(), resume=True, progress=False).interrupted


@pytest.mark.parametrize("trace", ["last.pt", "previous.pt", "model.safetensors", "best.safetensors"])
def test_a_folder_that_holds_a_training_is_not_overwritten(tmp_path, trace):
    (tmp_path / trace).write_bytes(b"precious")
    with pytest.raises(FileExistsError, match=rf"holds a training .{trace}"):
        train(replace(TINY, out=str(tmp_path)), Squares(), progress=False)
    assert (tmp_path / trace).read_bytes() == b"precious"
    assert [file.name for file in tmp_path.iterdir()] == [trace]


def test_two_trainings_do_not_share_a_folder(tmp_path):
    config, told = replace(TINY, out=str(tmp_path)), []

    def second(step, _method):
        if step == 3:
            for resume in (False, True):
                with pytest.raises(FileExistsError) as error:
                    train(config, Squares(), resume=resume, progress=False)
                told.append(str(error.value))

    train(config, Squares(), progress=False, on_step=second)
    assert f"process {os.getpid()} on " in told[1]
    assert not (tmp_path / ".lock").exists()


def test_the_lock_of_a_killed_process_is_taken_over(half, whole):
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    (half.run_dir / ".lock").write_text(f"{gone.stdout.strip()} on {checkpoint.platform.node()}")
    (half.run_dir / f".{LAST}.{gone.stdout.strip()}.partial").write_bytes(b"left over")
    assert same(train(half, Squares(), resume=True, progress=False).method.state_dict(), whole)
    assert not list(half.run_dir.glob(".*"))
    (half.run_dir / ".lock").write_text("17 on another.machine")
    with pytest.raises(FileExistsError, match=r"17 on another\.machine is training there.*or delete .*run/\.lock"):
        train(half, Squares(), resume=True, progress=False)


def test_a_lock_with_our_own_number_is_of_an_earlier_process(half, whole):
    """In a container that was started anew the number is often the same."""
    (half.run_dir / ".lock").write_text(f"{os.getpid()} on {checkpoint.platform.node()}")
    assert same(train(half, Squares(), resume=True, progress=False).method.state_dict(), whole)


def test_a_lock_that_is_about_to_be_written_counts(half):
    lock = half.run_dir / ".lock"
    lock.touch()
    with pytest.raises(FileExistsError, match="process that has just begun is training there"):
        train(half, Squares(), resume=True, progress=False)
    os.utime(lock, (0, time.time() - 2 * checkpoint.UNWRITTEN))
    with checkpoint.run_folder(half.run_dir, resume=True):
        assert lock.read_text()  # taken over


def test_a_training_that_failed_before_its_first_checkpoint_is_in_nobodys_way(tmp_path):
    config = replace(TINY, out=str(tmp_path))
    for _ in range(2):
        with pytest.raises(Stop):
            train(config, Squares(), progress=False, on_step=stop_at(1))
    assert {path.name for path in tmp_path.iterdir()} == {"anchors.json", "log.jsonl", "failed-log.jsonl"}
    assert len(train(config, Squares(), progress=False).log) > 0
    assert (tmp_path / "failed-log-2.jsonl").exists()


def test_checkpoints_where_there_are_no_links(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    config = replace(TINY, out=str(tmp_path))
    train(config, Squares(), progress=False)
    assert steps_of(config) == [6, 4]


def test_a_signal_that_is_ignored_stays_so():
    """As nohup has it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_signal() as stopped:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stopped(None)
            os.kill(os.getpid(), signal.SIGTERM)
            assert stopped(None)
    finally:
        signal.signal(signal.SIGHUP, before)


class OneIsNoImage(Squares):
    def __getitem__(self, index):
        raise DataError(f"photo{index}.jpg: cannot read this image")


@pytest.mark.slow
def test_an_image_that_a_process_cannot_read_ends_the_training_in_a_line(tmp_path):
    """Without this the process never ended: it waited for one that no signal reaches."""
    script = (
        "from dataclasses import replace\nfrom toys import TINY\nfrom test_checkpoint import OneIsNoImage\n"
        "from lapnet_core.train import train\n"
        f"train(replace(TINY, workers=1, out={str(tmp_path / 'run')!r}), OneIsNoImage(), progress=False)"
    )
    here = Path(__file__).resolve().parent
    path = os.pathsep.join((str(here.parents[1]), str(here), str(here.parent)))
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120,
                           env={**os.environ, "PYTHONPATH": path})  # fmt: skip
    assert ended.returncode == 1
    assert re.search(
        r"^lapnet_core\.data\.types\.DataError: photo\d+\.jpg: cannot read this image$", ended.stderr, re.M
    )
    assert "worker" not in ended.stderr.splitlines()[-1]


def test_a_log_that_was_cut_in_half_is_gone_on_with(half):
    log = half.run_dir / "log.jsonl"
    log.write_bytes(log.read_bytes()[:-30])
    train(half, Squares(), resume=True, progress=False)
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()[1:]] == [1, 2, 3, 4, 5, 6]


def test_an_image_that_cannot_be_read_costs_nothing_that_was_learned(tmp_path):
    class Fragile(Squares):
        broken = True

        def __getitem__(self, index):
            if index == 5 and self.broken:
                raise DataError("photo 5: cannot read this image")
            return super().__getitem__(index)

    config = replace(TINY, steps=12, save_every=100, out=str(tmp_path / "a"))
    intact = train(replace(config, out=str(tmp_path / "b")), Squares(), progress=False)
    with pytest.raises(DataError, match="photo 5"):
        train(config, Fragile(), progress=False)
    at = torch.load(tmp_path / "a" / LAST, weights_only=True)["step"]
    assert at > 0
    Fragile.broken = False
    result = train(replace(config, on_error="skip"), Fragile(), resume=True, progress=False)  # may be set now
    assert same(result.method.state_dict(), intact.method.state_dict())


def test_a_batch_without_a_readable_image_takes_no_step(tmp_path):
    class Faulty(Squares):
        def __getitem__(self, index):
            return Skipped(f"image {index} is broken") if index % 3 == 0 else super().__getitem__(index)

    class Broken(Squares):
        def __getitem__(self, index):
            return Skipped(f"image {index} is broken")

    config, seen = replace(TINY, batch_size=1, steps=12), []
    with pytest.warns(UserWarning, match="images were skipped"):
        train(config, Faulty(), save=False, progress=False, on_step=lambda step, _: seen.append(step))
    assert 0 < len(seen) < 12
    for steps, told in ((8, "no image can be read"), (40, "none of the images can be read; image")):
        with pytest.raises(ValueError, match=told):
            train(replace(config, steps=steps, out=str(tmp_path / str(steps))), Broken(), progress=False)
        assert not (tmp_path / str(steps) / "model.safetensors").exists()


SCRIPT = """
import torch
torch.set_num_threads(1)
from dataclasses import replace
from toys import TINY, Squares
from lapnet_core.train import train
config = replace(TINY, steps=400, save_every=1000, workers={workers}, out={out!r})
class Telling(Squares):
    told = False
    def target(self, index):
        if not Telling.told:  # the anchors are being clustered: long before the first step
            Telling.told = True
            print("started", flush=True)
        return super().target(index)
result = train(config, Telling(), progress=False, on_step=lambda step, _: print(step, flush=True))
print("interrupted" if result.interrupted else "done", flush=True)
"""


def start(tmp_path: Path, workers: int) -> subprocess.Popen[str]:
    """A training in a process group of its own, as a cluster starts one."""
    here = Path(__file__).resolve().parent
    script = SCRIPT.format(workers=workers, out=str(tmp_path))
    path = os.pathsep.join((str(here.parents[1]), str(here.parent)))
    return subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, env={**os.environ, "PYTHONPATH": path, "OMP_WAIT_POLICY": "PASSIVE"},
        preexec_fn=partial(signal.signal, signal.SIGHUP, signal.SIG_DFL),  # else it is ignored where the tests do so
    )  # fmt: skip


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    for told in process.stdout:
        if told.strip() == line:
            return
    raise AssertionError(f"it ended before: {process.communicate()[1]}")


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=["INT", "TERM", "HUP"])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("when", ["started", "3"])
def test_a_signal_to_the_whole_group_saves_what_was_learned(tmp_path, sent, workers, when):
    process = start(tmp_path, workers)
    wait_for(process, when)
    os.killpg(process.pid, sent)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out.strip().splitlines()[-1] == "interrupted"
    saved = torch.load(tmp_path / LAST, weights_only=True)["step"]
    assert saved >= (1 if when == "started" else 3)
    assert not (tmp_path / ".lock").exists()
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.slow
def test_killed_at_random_moments_it_resumes_bit_for_bit(tmp_path):
    """Twelve steps with validations, killed at random moments without a word, and gone on with until they are done."""
    config = replace(TINY, steps=12, save_every=1, val_every=2, ema=0.9, out=str(tmp_path / "run"))
    whole = replace(config, out=str(tmp_path / "whole"))
    uninterrupted = train(whole, Squares(), val_dataset=Squares(), progress=False).method.state_dict()
    random = np.random.default_rng(0)
    script = """
import os, torch
torch.set_num_threads({threads})
from dataclasses import replace
from toys import TINY, Squares
from lapnet_core.train import train
config = replace(TINY, steps=12, save_every=1, val_every=2, ema=0.9, out={out!r})
resume = os.path.exists({out!r} + "/last.pt")
tell = lambda *_: print("step", flush=True)
train(config, Squares(), val_dataset=Squares(), progress=False, resume=resume, on_step=tell)
"""
    here = Path(__file__).resolve().parent
    path = os.pathsep.join((str(here.parents[1]), str(here.parent)))
    kills = int(os.environ.get("LAPNET_KILLS", "3"))
    script = script.format(out=config.out, threads=torch.get_num_threads())
    for _ in range(kills):
        process = subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(float(random.uniform(0, 0.3)))
        process.kill()
        process.communicate()
        for trace in ("log.jsonl",):  # killed before its first checkpoint: the folder is to be used again
            if not (config.run_dir / LAST).exists():
                (config.run_dir / trace).unlink(missing_ok=True)
    resume = (config.run_dir / LAST).exists()
    result = train(config, Squares(), val_dataset=Squares(), resume=resume, progress=False)
    assert same(result.method.state_dict(), uninterrupted)
    assert Detector.load(config.run_dir).class_names == ("red", "blue")
    for model in ("best.safetensors", "model.safetensors"):
        assert (config.run_dir / model).read_bytes() == (whole.run_dir / model).read_bytes()


@pytest.mark.slow
def test_a_full_disk_is_told_and_costs_nothing(tmp_path):
    """On a disk of eight megabytes, where the machine lets us have one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no small disk can be had here: mounting takes a privilege")
    try:
        with pytest.raises(OSError, match=r"last\.pt|No space left"):
            train(replace(TINY, out=str(disk / "run")), Squares(), progress=False)
        assert not list((disk / "run").glob(".*.partial"))
        assert not (disk / "run" / LAST).exists()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


FLAGS = {
    "--momentum": ["nan", "inf", "-0.1", "1"], "--clip-norm": ["-1", "nan", "inf"], "--balance-lr": ["-1", "inf"],
    "--loss-weight-lr": ["-1", "nan"], "--lr": ["nan", "inf", "0", "-1", "1e308"], "--power": ["-1", "nan"],
    "--weight-decay": ["-1", "nan", "inf"], "--warmup": ["-1"], "--color": ["-1", "nan"], "--flip": ["nan", "1.5"],
    "--steps": ["0", "-3"], "--batch-size": ["0"], "--workers": ["-1"], "--seed": ["-1", "4294967296"],
    "--val-every": ["-1"], "--patience": ["-1", "3"], "--ema": ["-0.1", "1", "nan"], "--accumulate": ["0", "3"],
    "--val-split": ["test"], "--save-every": ["0"], "--log-every": ["0"], "--anchors-per-class": ["0"],
    "--device": ["cuda:7", "nonsense", "meta"],
}  # fmt: skip


@pytest.mark.parametrize(("flag", "value"), [(flag, value) for flag, values in FLAGS.items() for value in values])
def test_a_flag_that_makes_no_sense_is_refused_in_a_sentence(flag, value, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--data", "scenes", flag, value]) in (1, 2)  # 2: the flags do not make a config
    error = " ".join(re.sub("[│─╭╮╰╯]", " ", capsys.readouterr().err).split())
    assert flag[2:].replace("-", "_") in error
    assert "Traceback" not in error
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").rglob("*.pt"))


def test_an_enormous_learning_rate_ends_in_a_sentence(tmp_path):
    with pytest.raises(FloatingPointError, match=r"not finite|the loss is"):
        train(replace(TINY, lr=1e6, out=str(tmp_path)), Squares(), progress=False)
    assert not (tmp_path / "model.safetensors").exists()


def test_more_workers_than_cores_are_not_started(monkeypatch):
    from lapnet_core import train as training

    asked = []
    loader = training.DataLoader
    monkeypatch.setattr(training, "DataLoader", lambda *a, **k: asked.append(k["num_workers"]) or loader(*a, **k))
    monkeypatch.setattr(training, "usable_cores", lambda: 1)
    train(replace(TINY, steps=1, workers=1_000_000), Squares(), save=False, progress=False)
    assert asked == [1]
