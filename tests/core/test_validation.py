"""What a training watches itself by changes nothing of it, survives every stop, and keeps the best."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from toys import TINY, Squares, Stop, stop_at

from lapnet_core.anchors import AnchorFile
from lapnet_core.checkpoint import BEST, LAST
from lapnet_core.cli import main
from lapnet_core.config import TrainConfig
from lapnet_core.data import DataError, Skipped, SkipReport, named
from lapnet_core.detector import Detector, note_of
from lapnet_core.evaluate import voc_map
from lapnet_core.scenes import SCENE_CLASSES, Scenes
from lapnet_core.train import Training, train
from lapnet_core.validation import Average, Best, Validation

ROOT = Path(__file__).resolve().parents[2]
VAL = Squares(20)
WATCHED = replace(TINY, val_every=2, ema=0.9)


def same(state: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return state.keys() == other.keys() and all(torch.equal(state[name], other[name]) for name in state)


class Images(Squares):
    """Squares that do something when an image is asked for."""

    def __init__(self, length: int, at: int, act) -> None:
        super().__init__(length)
        self.at, self.act = at, act

    def __getitem__(self, index: int):
        return (self.act() if index == self.at else None) or super().__getitem__(index)


def run(config: TrainConfig, **options) -> Training:
    return train(config, Squares(), val_dataset=VAL, progress=False, **options)


def without_seconds(lines: list[dict]) -> list[dict]:
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def validations(result: Training) -> dict[int, float]:
    return {line["step"]: line["val_map"] for line in result.log if "val_map" in line}


def plain(value):
    """Tensors as lists, so that == compares all of them."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def everything_of(folder: Path) -> dict:
    """All that a run folder holds, but for times."""
    last = plain(torch.load(folder / LAST, weights_only=True))
    last["config"] = json.loads(last["config"]) | {"out": ""}
    assert {"state", "average", "optimizer", "best"} <= set(last)
    del last["seconds"]
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()[1:]]
    models = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    return {"last": last, "log": without_seconds(lines), **models}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The folder of a training with validation and average, without a break."""
    config = replace(WATCHED, out=str(tmp_path_factory.mktemp("whole")))
    run(config)
    return config.run_dir


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_validation_changes_no_bit_of_a_training(workers):
    plain = train(TINY, Squares(), save=False, progress=False)
    for changes in ({"val_every": 2}, {"val_every": 1, "ema": 0.5}):
        states = []
        config = replace(TINY, workers=workers, **changes)
        watched = run(config, save=False, on_step=lambda _, m, states=states: states.append(m.state_dict()))
        assert same(states[-1], plain.method.state_dict())
        assert without_seconds([x for x in watched.log if "val_map" not in x]) == without_seconds(plain.log)
        assert list(validations(watched)) == list(range(config.val_every, 7, config.val_every))


def test_a_validation_leaves_random_numbers_and_modes_alone():
    method = train(replace(TINY, steps=1), Squares(), save=False, progress=False).method.train()
    detector = Detector(method, ("red", "blue"), (64, 64))
    before, seed = {k: v.clone() for k, v in method.state_dict().items()}, torch.get_rng_state()
    config = replace(TINY, val_every=1)
    watch = Validation(config, VAL, Best(), torch.device("cpu"), 0, 1, progress=False)
    assert watch.measure(detector, lambda _: False) is not None
    assert torch.equal(torch.get_rng_state(), seed)
    assert same(method.state_dict(), before)
    assert all(module.training for module in method.modules())


@pytest.mark.slow
def test_the_best_model_is_kept_beside_the_last(tmp_path, monkeypatch):
    """The numbers are set, the models are those of their steps; what the file says is what evaluation gives."""
    told = iter([0.2, 0.5, 0.4])
    states: dict[int, dict] = {}
    measure = Validation.measure

    def measured(self, detector, stopped):
        states[len(states)] = {k: v.clone() for k, v in detector.method.state_dict().items()}
        assert measure(self, detector, stopped) is not None
        return next(told), []

    monkeypatch.setattr(Validation, "measure", measured)
    result = run(replace(WATCHED, out=str(tmp_path)))
    assert validations(result) == {2: 0.2, 4: 0.5, 6: 0.4}
    assert (result.best.val_map, result.best.step, result.best.stale) == (0.5, 4, 1)
    assert note_of(tmp_path / BEST) == {"val_map": 0.5, "step": 4}
    best, last = Detector.load(tmp_path / BEST).method, Detector.load(tmp_path).method
    assert same(best.state_dict(), states[1])
    assert same(last.state_dict(), states[2])
    assert not same(best.state_dict(), last.state_dict())


@pytest.mark.slow
def test_what_is_logged_is_what_evaluation_gives(whole):
    detector, note = Detector.load(whole / BEST), note_of(whole / BEST)
    detections, targets, _ = detector.predict_dataset(VAL, progress=False)
    assert note["val_map"] == voc_map(detections, targets, 2).mean_ap
    assert everything_of(whole)["log"][-1].keys() == {"step", "val_map"}


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_a_resumed_training_is_the_uninterrupted_one(tmp_path, whole, step):
    """Weights, average, momenta, log, best and last model: to the bit."""
    config = replace(WATCHED, out=str(tmp_path))
    interrupted = run(config, on_step=lambda k, _: os.kill(os.getpid(), signal.SIGINT) if k == step else None)
    assert interrupted.interrupted
    assert not run(config, resume=True).interrupted
    assert everything_of(tmp_path) == everything_of(whole)


@pytest.mark.slow
@pytest.mark.parametrize("at", [0, 19])
def test_a_signal_during_a_validation_stops_at_once_and_loses_nothing(tmp_path, whole, at):
    seen = []
    val = Images(20, at, lambda: os.kill(os.getpid(), signal.SIGTERM))
    val.target = lambda index: (seen.append(index), Squares.target(val, index))[1]
    config = replace(WATCHED, save_every=100, out=str(tmp_path))
    stopped = train(config, Squares(), val_dataset=val, progress=False)
    assert stopped.interrupted
    assert len(seen) - 1 == (8 if at == 0 else 20)  # the batch that it came in was the last
    assert torch.load(tmp_path / LAST, weights_only=True)["step"] == 2
    assert not (tmp_path / BEST).exists()
    run(replace(config, save_every=2), resume=True)
    assert everything_of(tmp_path)["log"] == everything_of(whole)["log"]
    assert (tmp_path / BEST).read_bytes() == (whole / BEST).read_bytes()


@pytest.mark.slow
def test_a_signal_during_the_last_validation(tmp_path, whole):
    count = iter(range(100))
    val = Images(20, 9, lambda: os.kill(os.getpid(), signal.SIGINT) if next(count) == 2 else None)
    config = replace(WATCHED, out=str(tmp_path))
    assert train(config, Squares(), val_dataset=val, progress=False).interrupted
    assert not (tmp_path / "model.safetensors").exists()
    run(config, resume=True)
    assert everything_of(tmp_path) == everything_of(whole)


@pytest.mark.slow
def test_killed_between_the_checkpoint_and_the_best_model(tmp_path, whole, monkeypatch):
    config, keep = replace(WATCHED, out=str(tmp_path)), Validation.keep
    best = note_of(whole / BEST)["step"]

    def killed(self, *args):
        if self.best.step == best:
            raise Stop
        keep(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Validation, "keep", killed)
        with pytest.raises(Stop):
            run(config)
    run(config, resume=True)
    assert everything_of(tmp_path) == everything_of(whole)


@pytest.mark.slow
def test_gone_on_with_from_the_older_checkpoint(tmp_path, whole):
    config = replace(WATCHED, out=str(tmp_path))
    with pytest.raises(Stop):
        run(config, on_step=stop_at(5))
    (tmp_path / LAST).write_bytes((tmp_path / LAST).read_bytes()[:1000])
    with pytest.warns(UserWarning, match=r"going on from previous\.pt"):
        run(config, resume=True)
    assert everything_of(tmp_path) == everything_of(whole)


def test_a_better_model_is_not_replaced(tmp_path, whole):
    detector, path = Detector.load(whole), tmp_path / BEST
    watch = Validation(WATCHED, VAL, Best(), torch.device("cpu"), 0, 1, progress=False)
    for step, (val_map, better) in enumerate([(0.0, True), (0.0, False), (0.3, True), (0.2, False), (0.3, False)], 1):
        assert watch.note(step, val_map) is better
    watch.keep(detector, path)
    assert note_of(path) == {"val_map": 0.3, "step": 3}
    earlier = Validation(WATCHED, VAL, Best(0.1, 2, 0, 2), torch.device("cpu"), 0, 1, progress=False)
    earlier.keep(detector, path)
    assert note_of(path) == {"val_map": 0.3, "step": 3}
    path.write_bytes(b"nonsense")
    assert note_of(path) == {}
    earlier.keep(detector, path)
    assert note_of(path) == {"val_map": 0.1, "step": 2}


@pytest.mark.slow
def test_patience(tmp_path, monkeypatch, capsys):
    told = {1: 0.1, 2: 0.3, 3: 0.2, 4: 0.3, 5: 0.4, 6: 0.1}
    measured = []

    def measure(self, detector, stopped):
        measured.append(self.best.validated + 1)
        return told[measured[-1]], []

    monkeypatch.setattr(Validation, "measure", measure)
    config = replace(TINY, val_every=1, patience=2, out=str(tmp_path))
    result = train(config, Squares(), val_dataset=VAL)
    assert not result.interrupted
    assert list(validations(result)) == [1, 2, 3, 4]
    said = "stopped at step 4 of 6: 2 validations, one after the other, brought nothing better than step 2"
    assert said in capsys.readouterr().out
    assert (tmp_path / "model.safetensors").exists()
    assert torch.load(tmp_path / LAST, weights_only=True)["step"] == 4
    again = train(config, Squares(), val_dataset=VAL, resume=True)
    assert said in capsys.readouterr().out
    assert len(measured) == 4
    assert list(validations(again)) == [1, 2, 3, 4]
    longer = run(replace(config, patience=3), resume=True)
    assert list(validations(longer)) == [1, 2, 3, 4, 5, 6]
    assert note_of(tmp_path / BEST) == {"val_map": 0.4, "step": 5}


@pytest.mark.slow
def test_validation_may_be_switched_on_and_off_later(tmp_path):
    config = replace(TINY, out=str(tmp_path))
    with pytest.raises(Stop):
        train(config, Squares(), progress=False, on_step=stop_at(3))
    with pytest.raises(Stop):
        run(replace(config, val_every=1), resume=True, on_step=stop_at(5))
    best = note_of(tmp_path / BEST)
    assert best["step"] in (2, 3, 4)
    result = train(config, Squares(), progress=False, resume=True)
    assert result.best.step == best["step"]
    assert torch.load(tmp_path / LAST, weights_only=True)["best"]["step"] == best["step"]
    assert list(validations(result)) == [2, 3, 4]
    with pytest.raises(ValueError, match="another ema"):
        run(replace(config, ema=0.5), resume=True)


@pytest.mark.slow
def test_the_average_is_what_its_equation_says():
    expected, states = {}, []

    def note(step, method):
        weight = min(0.6, (1 + step) / (10 + step))
        for name, value in method.state_dict().items():
            new = value.clone()
            if value.is_floating_point():
                new = weight * expected[name] + (1 - weight) * value if step > 1 else new
            expected[name] = new
        states.append({name: value.clone() for name, value in method.state_dict().items()})

    result = train(
        replace(TINY, ema=0.6, steps=30, save_every=100), Squares(), save=False, progress=False, on_step=note
    )
    found, last = result.method.state_dict(), states[-1]
    # It began at the untrained state, which has been forgotten by now.
    moved = {name for name in last if not torch.equal(last[name], states[0][name])}
    assert any("running_var" in name for name in moved)
    for name in found:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-3, atol=1e-4)
    assert all(torch.equal(found[name], last[name]) for name in found if name not in moved)
    assert not same(found, last)
    counts = [name for name in found if name.endswith("num_batches_tracked")]
    assert counts
    assert all(int(found[name]) == 30 for name in counts)


def test_the_average_begins_at_once():
    method = train(replace(TINY, steps=1), Squares(), save=False, progress=False).method
    average = Average(method, 0.999)
    start = {name: value.clone() for name, value in method.state_dict().items()}
    with torch.no_grad():
        for parameter in method.parameters():
            parameter += 1
    average.update(method, 1)  # min(.999, 2 / 11)
    for name, _ in method.named_parameters():
        torch.testing.assert_close(average.method.get_parameter(name), start[name] + 9 / 11)
    assert not average.method.training


@pytest.mark.slow
def test_an_image_that_cannot_be_read_costs_nothing_that_was_learned(tmp_path):
    broken = DataError("photo 3: cannot read this image")
    config = replace(WATCHED, save_every=100, out=str(tmp_path))

    def fail():
        raise broken

    with pytest.raises(DataError, match="photo 3"):
        train(config, Squares(), val_dataset=Images(20, 3, fail), progress=False)
    assert torch.load(tmp_path / LAST, weights_only=True)["step"] == 2
    left_out = Images(20, 3, lambda: Skipped("photo 3 is left out"))
    with pytest.warns(UserWarning, match="1 images were skipped, first: photo 3 is left out"):
        result = train(config, Squares(), val_dataset=left_out, resume=True, progress=False)
    assert list(validations(result)) == [2, 4, 6]
    nothing = Squares()
    nothing.__class__ = type("Nothing", (Squares,), {"__getitem__": lambda *_: Skipped("a.jpg")})
    with pytest.raises(ValueError, match=r"no image to validate on that has an object can be read; a\.jpg"):
        train(WATCHED, Squares(), val_dataset=nothing, save=False, progress=False)


def test_what_is_not_finite_is_not_validated(tmp_path):
    def poison(step, method):
        if step == 4:
            with torch.no_grad():
                method.model.offset_head[-1].weight[0] = float("inf")

    config = replace(TINY, val_every=2, out=str(tmp_path), save_every=100)
    with pytest.raises(FloatingPointError, match="not finite"):
        run(config, on_step=poison)
    assert torch.load(tmp_path / LAST, weights_only=True)["step"] == 2
    assert note_of(tmp_path / BEST)["step"] == 2


def test_what_is_left_out_of_the_images_validated_on_is_said(capsys):
    left_out = Squares(4)
    left_out.report = SkipReport("skip")
    left_out.report.source = "squares: 4 images"
    options = {"best": Best(), "device": torch.device("cpu"), "rank": 0, "world": 1}
    Validation(WATCHED, left_out, progress=True, **options)
    assert capsys.readouterr().out == ""
    left_out.report.note("other", "a.json: annotation 3 (yak)", 2)
    Validation(WATCHED, left_out, progress=False, **options)
    assert capsys.readouterr().out == ""
    Validation(WATCHED, left_out, progress=True, **options)
    said = "2 objects of classes that were not asked for: a.json: annotation 3 (yak); and 1 more."
    assert capsys.readouterr().out == f"val, which is validated on: {said}\n"


def test_what_is_validated_on_has_to_fit():
    class Others(Squares):
        class_names = ("red", "green")

    class Difficult(Squares):
        def target(self, index):
            return {**super().target(index), "difficult": torch.ones(2, dtype=torch.bool)}

    for data, told in (
        (None, "`val_dataset` has to come with it"),
        (Others(), "has the classes"),
        (Difficult(), "no image has an object that counts"),
    ):
        with pytest.raises(ValueError, match=told):
            train(WATCHED, Squares(), val_dataset=data, save=False, progress=False)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"val_split": "test"}, "val_split: not test"),
        ({"val_every": 5, "split": "trainval"}, "train on --split train"),
        ({"val_every": 5, "split": "val"}, "not trained on"),
        ({"val_every": 5, "val_split": "trainval"}, "not trained on"),
        ({"patience": 3}, "needs --val-every"),
        ({"batch_size": 6, "accumulate": 4}, "equal parts"),
    ],
)
def test_configs_that_make_no_sense(changes, told):
    with pytest.raises(ValueError, match=told):
        TrainConfig(**changes)


def test_configs_of_before_are_read():
    older = json.loads(TrainConfig().to_json())
    for name in ("val_every", "val_split", "patience", "ema", "accumulate", "tensorboard"):
        del older[name]
    assert TrainConfig.from_json(json.dumps(older)) == TrainConfig()


@pytest.mark.slow
def test_tensorboard_has_what_the_log_has(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = replace(WATCHED, tensorboard=True, out=str(tmp_path))
    with pytest.raises(Stop):
        run(config, on_step=stop_at(5))
    result = run(config, resume=True)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    for name in ("total", "loc", "val_map", "lr"):
        drawn = [(event.step, event.value) for event in events.Scalars(name)]
        logged = [(line["step"], line[name]) for line in result.log if name in line]
        assert [step for step, _ in drawn] == [step for step, _ in logged], name
        assert [value for _, value in drawn] == pytest.approx([value for _, value in logged])


@pytest.mark.slow
def test_tensorboard_begun_later_has_the_whole_log(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = replace(WATCHED, out=str(tmp_path))
    with pytest.raises(Stop):
        run(config, on_step=stop_at(5))
    run(replace(config, tensorboard=True), resume=True)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("total")] == [1, 2, 3, 4, 5, 6]


def test_without_tensorboard_a_sentence_helps(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match="pip install tensorboard"):
        run(replace(TINY, tensorboard=True, out=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_end_says_what_came_of_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(named.SCENE_COUNTS, "val", 12)
    monkeypatch.setattr(Scenes, "sizes_from", 80)
    flags = ["train", "--data", "scenes", "--steps", "2", "--batch-size", "2", "--image-size", "64", "64"]
    folder = tmp_path / "run"
    assert main([*flags, "--val-every", "1", "--out", str(folder)]) == 0
    told, following = capsys.readouterr().out.splitlines()[-2:]
    note = note_of(folder / BEST)
    assert re.fullmatch(
        rf"trained in \d+ (seconds|minutes); best mAP on val {note['val_map']:.3f}, at step {note['step']}: "
        rf"{folder / BEST}( .the last state.*)?",
        told,
    )
    assert f"lapnet evaluate {folder / BEST} --data scenes" in following
    assert main([*flags, "--out", str(tmp_path / "plain")]) == 0
    told, following = capsys.readouterr().out.splitlines()[-2:]
    assert f"{tmp_path / 'plain' / 'model.safetensors'}; beside it anchors.json, log.jsonl" in told
    assert f"lapnet predict {tmp_path / 'plain' / 'model.safetensors'} " in following


def by_torchrun(*flags: str, cwd: Path = ROOT) -> str:
    """The output of a command in two processes."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1", "PYTHONPATH": str(ROOT)}
    command = [*torchrun, "-m", "lapnet_core.cli", *flags]
    done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_two_processes_validate_as_one(tmp_path):
    """The best model's mAP, of both processes together, is what one process finds; the average and parts go along."""
    anchors = str(tmp_path / "anchors.json")  # test_train.py has two processes that cluster theirs
    shapes = torch.tensor([[10.0, 20.0], [24.0, 16.0]]).expand(len(SCENE_CLASSES), 2, 2)
    AnchorFile(SCENE_CLASSES, (64, 64), shapes).save(anchors)
    out = by_torchrun(
        *("train", "--data", "scenes", "--image-size", "64", "64", "--batch-size", "8", "--anchors-per-class", "2"),
        *("--steps", "4", "--log-every", "1", "--val-every", "2", "--ema", ".5", "--accumulate", "2", "--lr", ".05"),
        *("--device", "cpu", "--anchors", anchors, "--out", str(tmp_path / "run")),
    )
    assert out.count("trained in") == 1
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()[1:]]
    assert [line["step"] for line in lines] == [1, 2, 2, 3, 4, 4]
    note = note_of(tmp_path / "run" / BEST)
    figures = tmp_path / "figures.json"
    best = str(tmp_path / "run" / BEST)
    assert main(["evaluate", best, "--data", "scenes", "--split", "val", "--json", str(figures)]) == 0
    assert json.loads(figures.read_text())["voc_area"] == note["val_map"]
    # All parts in both processes see the objects of the batch.
    config = TrainConfig(
        data="scenes", image_size=(64, 64), batch_size=8, steps=1, log_every=1, device="cpu"
    ).with_options(anchors_per_class=2, anchors=anchors)
    (alone,) = train(config, save=False, progress=False).log
    assert lines[0]["objects"] == alone["objects"]


@pytest.mark.slow
def test_two_processes_evaluate_and_predict_as_one(tmp_path, whole):
    """The same figures exactly; the same detections in the same order, and a picture for each file."""
    root = tmp_path / "data"
    for part in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / part).mkdir(parents=True)
    for k in range(21):
        Image.effect_noise((64, 64), 20 + 5 * k).convert("RGB").save(root / "JPEGImages" / f"{k:02}.jpg")
        objects = "".join(
            f"<object><name>{name}</name><bndbox><xmin>{3 + k}</xmin><ymin>4</ymin><xmax>40</xmax><ymax>{y}</ymax>"
            "</bndbox></object>"
            for name, y in (("red", 40), ("blue", 60))
        )
        text = f"<annotation><size><width>64</width><height>64</height></size>{objects}</annotation>"
        (root / "Annotations" / f"{k:02}.xml").write_text(text)
    (root / "ImageSets" / "Main" / "test.txt").write_text("\n".join(f"{k:02}" for k in range(21)))
    data = str(root)
    (root / "JPEGImages" / "11.jpg").write_bytes(b"no image")
    model, told = str(whole / BEST), []
    for name, command in (("one", lambda *flags: main(flags)), ("two", by_torchrun)):
        figures = tmp_path / f"{name}.json"
        command("evaluate", model, "--data", data, "--on-error", "skip", "--json", str(figures), "--batch-size", "4")
        out = tmp_path / name
        command("predict", model, str(root / "JPEGImages"), "--out", str(out), "--on-error", "skip",
                "--score-threshold", "0.01")  # fmt: skip
        records = json.loads((out / "detections.json").read_text())
        told.append((json.loads(figures.read_text()), records, {file.name for file in out.iterdir()}))
    assert told[0] == told[1]
    assert told[0][0]["left_out"]["image"] == 1
    assert len(told[0][1]) > 20
    assert len(told[0][2]) == 22  # with the mark of the folder
