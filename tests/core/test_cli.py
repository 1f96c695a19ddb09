import gzip
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from toys import voc_folder

from lapnet_core.anchors import AnchorFile, cluster_anchors
from lapnet_core.checkpoint import LAST, PREVIOUS, began_with
from lapnet_core.cli import doctor, main
from lapnet_core.cli.train import with_bfloat16
from lapnet_core.config import TrainConfig
from lapnet_core.data import named
from lapnet_core.data.types import DataError
from lapnet_core.detector import Detector
from lapnet_core.files import write_new, write_whole
from lapnet_core.method import LapNetMethod
from lapnet_core.model import LapNet
from lapnet_core.scenes import SCENE_CLASSES, Scenes

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def few_sizes():
    """Anchors of sixty scenes: drawing the usual six hundred takes longer than these trainings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scenes, "sizes_from", 60)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder with a model of two steps on scenes."""
    folder = tmp_path_factory.mktemp("runs") / "scenes"
    args = [
        "--steps",
        "2",
        "--batch-size",
        "2",
        "--image-size",
        "64",
        "64",
        "--anchors-per-class",
        "2",
        "--log-every",
        "1",
    ]
    assert main(["train", "--data", "scenes", *args, "--out", str(folder)]) == 0
    return folder


def test_train_writes_model_log_anchors_and_checkpoint(run):
    assert {f.name for f in run.iterdir()} == {"model.safetensors", "log.jsonl", "anchors.json", "last.pt"}
    header, *lines = (json.loads(line) for line in (run / "log.jsonl").read_text().splitlines())
    assert header["config"]["steps"] == 2
    assert [line["step"] for line in lines] == [1, 2]


def test_a_second_training_is_refused_in_one_line(run, capsys):
    assert main(["train", "--data=scenes", "--warmup=3000", "--out", str(run)]) == 1
    captured = capsys.readouterr()
    late = "the learning rate never reaches 0.02 (--warmup 0 begins with it)"
    assert captured.out.startswith(f"the warm-up of 3000 steps is longer than the training: {late}\n")
    assert "--resume goes on" in captured.err
    assert "Traceback" not in captured.err


def test_predict_draws_and_writes_json(run, tmp_path, capsys):
    for name, size in (("a", (80, 60)), ("b", (200, 100))):
        Image.new("RGB", size, "gray").save(tmp_path / f"{name}.jpg")
    (tmp_path / "c.png").write_bytes(b"no image")
    out = tmp_path / "out"
    assert main(["predict", str(run), str(tmp_path), "--out", str(out)]) == 1
    assert "c.png: cannot read this image" in capsys.readouterr().err
    args = ["predict", str(run), str(tmp_path), "--out", str(out), "--on-error", "skip", "--score-threshold", "0.005"]
    assert main(args) == 0
    assert "1 files skipped" in capsys.readouterr().out
    records = json.loads((out / "detections.json").read_text())
    assert {r["class"] for r in records} <= set(SCENE_CLASSES)
    assert all(0 <= r["box_xyxy"][0] < r["box_xyxy"][2] <= 200 for r in records)
    with Image.open(out / "b.jpg") as drawn:
        assert drawn.size == (200, 100)


def test_anchors_writes_a_file_that_train_takes(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(named.SCENE_COUNTS, "val", 80)
    file = tmp_path / "a.json"
    args = ["--image-size", "64", "64", "--per-class", "2"]
    assert main(["anchors", "--data", "scenes", "--split", "val", "--out", str(file), *args]) == 0
    assert "average IoU 0." in capsys.readouterr().out
    train = ["--steps", "1", "--batch-size", "1", "--image-size", "96", "64", "--anchors-per-class", "2"]
    assert main(["train", *train, "--anchors", str(file), "--out", str(tmp_path / "run")]) == 0
    for size in (("100", "70"), ("0", "64")):  # what a training refuses
        assert main(["anchors", "--data", "scenes", "--split", "val", "--image-size", *size]) == 1
        assert "image_size: multiples of 32" in capsys.readouterr().err
    made = json.loads((tmp_path / "run" / "anchors.json").read_text())
    given = json.loads(file.read_text())
    assert made["anchors"]["car"][0][1] == pytest.approx(1.5 * given["anchors"]["car"][0][1], abs=0.02)


@pytest.fixture
def table(tmp_path, monkeypatch):
    """LAPNET_DATA with a small table of boxes: 40 of a dog, 40 of a cat twice as large, and one without width."""
    rows = [f"{n},dog,1,1,{10 + n},{20 + n}\n{n},cat,1,1,{20 + 2 * n},{40 + 2 * n}\n" for n in range(40)]
    text = "image_id,class,xmin,ymin,xmax,ymax\n" + "".join(rows) + "40,dog,7,1,3,9\n"
    (tmp_path / "boxes").mkdir()
    (tmp_path / "boxes" / "t.csv.gz").write_bytes(gzip.compress(text.encode()))
    monkeypatch.setenv("LAPNET_DATA", str(tmp_path))
    return "boxes/t.csv.gz"


def test_anchors_of_a_table_of_boxes(table, tmp_path, capsys):
    file = tmp_path / "a.json"
    flags = ["--one-based", "--scale", "2", "--per-class", "3", "--seed", "4", "--image-size", "256", "512"]
    assert main(["anchors", "--data", table, *flags, "--out", str(file)]) == 0
    told = capsys.readouterr().out
    assert "1 boxes without area are left out" in told
    assert "all                   80 objects, average IoU 0." in told
    made = AnchorFile.load(file)
    assert (made.class_names, made.input_size) == (("cat", "dog"), (256, 512))
    assert (
        made.made_by
        == f"lapnet anchors --data {table} --one-based --scale 2.0 --image-size 256 512 --per-class 3 --seed 4"
    )
    side = torch.arange(40.0)
    dogs = 2 * torch.stack((10 + side, 20 + side), 1)  # inclusive from 1: (1, 1, 10, 20) is 10 x 20
    cats = 2 * torch.stack((20 + 2 * side, 40 + 2 * side), 1)
    labels = torch.arange(80) // 40
    expected = cluster_anchors(torch.cat((cats, dogs)), labels, 2, 3, seed=4)
    assert torch.allclose(made.shapes, expected, atol=0.006)
    # COCO's way: continuous, one pixel less each way; a path that is itself a file needs no LAPNET_DATA
    capsys.readouterr()
    args = ["anchors", "--data", str(tmp_path / table), "--scale", "2", "--per-class", "1", "--out", str(file)]
    assert main(args) == 0
    assert f"wrote {tmp_path / 'a-2.json'}, as {file} is taken" in capsys.readouterr().out
    assert AnchorFile.load(file).shapes.shape[1] == 3
    assert AnchorFile.load(tmp_path / "a-2.json").shapes[1, 0].tolist() == pytest.approx(
        (dogs.mean(0) - 2).tolist(), abs=0.006
    )


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], "takes --scale"),
        (["--scale", "0"], "takes --scale"),
        (["--scale", "inf"], "takes --scale"),
        (["--scale", "2", "--split", "train"], "has no splits"),
        (["--scale", "2", "--classes", "voc"], "class 0 (aeroplane) has no object"),
    ],
)
def test_a_table_is_refused_in_one_line(table, flags, told, tmp_path, capsys):
    assert main(["anchors", "--data", table, *flags, "--out", str(tmp_path / "a.json")]) == 1
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "a.json").exists()


def test_what_belongs_to_a_table_is_refused_elsewhere(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LAPNET_DATA", str(tmp_path))
    for flags in (["--scale", "2"], ["--one-based"], ["--classes", "coco"]):
        assert main(["anchors", "--data", "scenes", *flags]) == 1
        assert f"{' '.join(flags)[:9]}" in capsys.readouterr().err
    assert main(["anchors", "--data", "nowhere.csv.gz", "--scale", "1"]) == 1
    assert str(tmp_path / "nowhere.csv.gz") in capsys.readouterr().err
    whole = gzip.compress(b"image_id,class,xmin,ymin,xmax,ymax\n" + b"a,dog,1,1,9,9\n" * 500)
    for content in (
        b"no gzip",
        whole[:-20],
        gzip.compress(b"\xff\xfe\n"),
        gzip.compress(b"a,b\n1,2\n"),
        gzip.compress(b""),
    ):
        (tmp_path / "bad.csv.gz").write_bytes(content)
        assert main(["anchors", "--data", "bad.csv.gz", "--scale", "1"]) == 1
        assert "bad.csv.gz: " in capsys.readouterr().err


def test_anchors_takes_the_split_that_is_trained_on(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(named, "open_dataset", lambda name, split, **_: asked.append((name, split)) or Scenes(20))
    for data in ("scenes", "coco", "voc", "own/folder"):
        args = ["--data", data, "--per-class", "2", "--image-size", "64", "64", "--out", str(tmp_path / "a.json")]
        assert main(["anchors", *args]) == 0
    assert asked == [("scenes", "train"), ("coco", "train"), ("voc", "trainval"), ("own/folder", "train")]
    assert " --split trainval " in AnchorFile.load(tmp_path / "a-3.json").made_by


@pytest.mark.data
def test_the_whole_chain_on_photographs_in_voc_layout(real_data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LAPNET_DATA", str(real_data))
    out = tmp_path / "run"
    args = ["--steps", "2", "--batch-size", "2", "--image-size", "96", "128", "--save-every", "1"]
    assert main(["train", "--data", "bccd", *args, "--out", str(out)]) == 0
    figures = tmp_path / "figures.json"
    assert main(["evaluate", str(out), "--data", "bccd", "--split", "test", "--json", str(figures)]) == 0
    told = json.loads(figures.read_text())
    assert told["images"] == 72
    assert set(told["voc_area_per_class"]) == {"RBC", "WBC", "Platelets"}
    assert "11-point metric" in capsys.readouterr().out


@pytest.mark.data
def test_the_whole_chain_on_coco(real_data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LAPNET_DATA", str(real_data))
    out = tmp_path / "run"
    train = ["train", "--data", "coco_tiny", "--steps", "1", "--batch-size", "2"]
    assert main([*train, "--image-size", "64", "64", "--out", str(out)]) == 0
    results = tmp_path / "results.json"
    args = ["--data", "coco_tiny", "--split", "val", "--results", str(results)]
    assert main(["evaluate", str(out), *args]) == 0
    assert set(json.loads(results.read_text())[0]) == {"image_id", "category_id", "bbox", "score"}
    assert "COCO" in capsys.readouterr().out


def processor_with(monkeypatch, names, gain=1.5):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda has=name in names: has, raising=False)
    monkeypatch.setattr("lapnet_core.timing.bfloat16_gain", lambda config, num_classes, repeats: gain)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_bfloat16_is_taken_where_it_pays(monkeypatch):
    long = TrainConfig(steps=2000)
    for names in (["_is_avx512_bf16_supported"], ["_is_amx_tile_supported"], []):
        processor_with(monkeypatch, names)
        config, said = with_bfloat16(long)
        assert config == replace(long, amp=bool(names))
        assert ("1.5 times as fast" in said) == ("--no-amp" in said) == bool(names)
    processor_with(monkeypatch, ["_is_amx_tile_supported"])
    for other in ({"amp": True}, {"steps": 999}, {"device": "cuda"}, {"device": "cuda:1"}, {"method": "fcos"}):
        assert with_bfloat16(replace(long, **other)) == (replace(long, **other), "")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert with_bfloat16(long) == (long, "")
    monkeypatch.delenv("WORLD_SIZE")
    processor_with(monkeypatch, ["_is_amx_tile_supported"], gain=1.1)
    assert with_bfloat16(long) == (long, "")
    processor_with(monkeypatch, ["_is_amx_tile_supported"])
    monkeypatch.setattr("lapnet_core.timing.bfloat16_gain", pytest.fail)  # what takes seconds comes after
    with pytest.raises(DataError, match="there is no nothing"):
        with_bfloat16(replace(long, data="nothing"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert with_bfloat16(long) == (long, "")


def test_a_training_goes_on_as_it_began(monkeypatch, tmp_path, capsys):
    """In bfloat16 or not, whatever this machine is good at now."""
    monkeypatch.setattr("lapnet_core.cli.train.LONG", 2)
    args = ["train", "--steps", "2", "--batch-size", "2", "--image-size", "64", "64", "--out"]
    ran = {}
    for name, gain, more in (("half", 1.5, []), ("plain", 1.5, ["--no-amp"]), ("slow", 1.0, [])):
        processor_with(monkeypatch, ["_is_amx_tile_supported"], gain)
        assert main([*args, str(tmp_path / name), *more]) == 0
        ran[name] = began_with(tmp_path / name)["amp"]
        assert ("in bfloat16, 1.5 times" in capsys.readouterr().out) == ran[name]
        processor_with(monkeypatch, [] if ran[name] else ["_is_amx_tile_supported"])
        assert main([*args, str(tmp_path / name), *more, "--resume"]) == 0
        assert began_with(tmp_path / name)["amp"] == ran[name]
    assert ran == {"half": True, "plain": False, "slow": False}
    assert main([*args, str(tmp_path / "half"), "--no-amp", "--resume"]) == 1
    assert "another amp (True, not False)" in capsys.readouterr().err


def test_a_full_memory_is_told_in_a_line(tmp_path, monkeypatch, capsys):
    def full(*_args, **_options):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB\nmore")

    monkeypatch.setattr("lapnet_core.train.train_step", full)
    assert main(["train", "--steps", "1", "--batch-size", "2", "--image-size", "64", "64", "--out", str(tmp_path)]) == 1
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith("lapnet train: the memory is full: take a smaller --batch-size")
    assert told.endswith("(CUDA out of memory. Tried to allocate 20.00 MiB)")


def test_usage_and_mistakes(capsys, tmp_path, monkeypatch):
    assert main([]) == 2
    assert main(["--help"]) == 0
    assert main(["train", "--preset", "nothing"]) == 1
    assert "there are tiny_scenes, laptop_scenes" in capsys.readouterr().err
    monkeypatch.setenv("LAPNET_DATA", str(tmp_path))
    for data in ("voc", "coco", "coco_tiny", "bccd", "nowhere"):
        assert main(["train", "--data", data, "--steps", "1", "--out", str(tmp_path / "x")]) == 1, data
        assert str(tmp_path) in capsys.readouterr().err
    assert main(["data", "get", "everything"]) == 1
    assert main(["data"]) == 0
    assert "voc2007-trainval" in capsys.readouterr().out
    assert main(["predict", str(tmp_path), str(tmp_path)]) == 1
    assert not (tmp_path / "x").exists()


def test_doctor_tells_what_is_wrong_with_the_data_folder(capsys, monkeypatch, tmp_path):
    (tmp_path / "a file").touch()
    (tmp_path / "there" / "VOCdevkit").mkdir(parents=True)
    for name, told in (
        ("nowhere", "nowhere, which is not there: "), ("a file", "a file, which is no folder: "), ("there", "there: "),
    ):  # fmt: skip
        monkeypatch.setenv("LAPNET_DATA", str(tmp_path / name))
        assert main(["doctor", "--quick"]) == 0
        said = capsys.readouterr().out
        assert f"data in {tmp_path / told}" in said
        assert ("data sets there: VOCdevkit;" in said) == (name == "there")


def test_doctor_and_bench(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "TRIED", {"laptop_scenes": doctor.TRIED["laptop_scenes"]})
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    assert f"torch {torch.__version__}" in told
    assert "1500 steps of" in told
    assert re.search(r"light with --amp: \d+\.\d\d times as fast; bfloat16 (pays|does not pay)", told)
    assert [doctor.duration(s) for s in (5, 150, 7300, 900_000)] == ["5 seconds", "2 minutes", "2 hours", "10 days"]
    assert main(["bench", "--backbone", "light", "--image-size", "64", "96", "--repeats", "1"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("light, 64x96, 20 classes; ")
    assert re.search(
        r"^network \d+\.\d ms, detections \d+\.\d ms, together \d+\.\d ms an image, \d+\.\d images/s$", told, re.M
    )


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    """The path of an untrained model of two classes, "red" and "blue"."""
    torch.manual_seed(0)
    shapes = torch.tensor([[[16.0, 16.0], [40.0, 24.0]], [[8.0, 24.0], [60.0, 60.0]]])
    method = LapNetMethod(LapNet(2, 2, widths=(16, 8, 16)), shapes)
    path = tmp_path_factory.mktemp("squares") / "model.safetensors"
    Detector(method.eval(), ("red", "blue"), (64, 64)).save(path)
    return path


def test_bench_times_a_trained_model(squares, capsys):
    assert main(["bench", "--model", str(squares), "--repeats", "1", "--threads", str(torch.get_num_threads())]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"{squares}, 64x64, 2 classes; ")
    assert told.endswith(" images/s\n")


GOOD, FLAT = (4, 4, 40, 40), (9, 9, 7, 30)


def told(capsys):
    """What a command that failed said: one line."""
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert error.count("\n") == 1, error
    return error


def everything(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def test_predictions_replace_no_file(squares, tmp_path, capsys):
    """`--out` is the folder of the photographs: they, and whatever else lies there, stay as they are."""
    for name in ("a.png", "b.jpg", "b.bmp"):
        Image.new("RGB", (50, 40), "red").save(tmp_path / name)
    (tmp_path / "detections.json").write_text("mine")
    before = everything(tmp_path)
    files = [str(tmp_path / name) for name in ("a.png", "b.jpg", "b.bmp")]
    args = ["predict", str(squares), *files, "--out", str(tmp_path), "--score-threshold", "0"]
    assert main(args) == 0
    said = capsys.readouterr().out
    assert "2 names were taken, first: " in said
    assert "a-2.png" in said
    after = everything(tmp_path)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"a-2.png", "b-2.jpg", "b.png", "detections-2.json"}
    records = json.loads((tmp_path / "detections-2.json").read_text())
    assert {(r["file"], r["picture"]) for r in records} == set(zip(files, ("a-2.png", "b-2.jpg", "b.png"), strict=True))
    assert main(args) == 0  # a second run keeps the first one's
    again = everything(tmp_path)
    assert {name: again[name] for name in after} == after
    assert set(again) - set(after) == {"a-3.png", "b-3.jpg", "b-2.png", "detections-3.json"}
    folder = ["predict", str(squares), str(tmp_path / "." / ""), "--out", str(tmp_path)]
    assert main(folder) == 1  # they would be photographs the next time
    assert "is a folder of inputs" in capsys.readouterr().err
    assert everything(tmp_path) == again
    assert main([*folder, "--no-pictures"]) == 0


def test_figures_replace_no_file(squares, tmp_path, capsys):
    data = voc_folder(tmp_path / "data", {"a": [("red", GOOD)], "b": []})
    figures = tmp_path / "figures.json"
    figures.write_text("mine")
    args = ["evaluate", str(squares), "--data", data, "--json", str(figures)]
    assert main(args) == 0
    assert f"wrote {tmp_path / 'figures-2.json'}, as {figures} is taken" in capsys.readouterr().out
    assert main(args) == 0
    assert figures.read_text() == "mine"
    assert {file.name for file in tmp_path.iterdir()} == {"data", "figures.json", "figures-2.json", "figures-3.json"}


def test_a_class_without_objects_is_null(squares, tmp_path):
    data = voc_folder(tmp_path / "data", {"a": [("red", GOOD)]})
    figures = tmp_path / "new" / "figures.json"
    assert main(["evaluate", str(squares), "--data", data, "--json", str(figures)]) == 0

    def refuse(constant):
        raise AssertionError(constant)

    figures = json.loads(figures.read_text(), parse_constant=refuse)
    assert figures["voc_area_per_class"]["blue"] is None
    assert 0 <= figures["voc_area_per_class"]["red"] <= 1


@pytest.mark.parametrize("workers", ["0", "2"])
def test_what_evaluation_leaves_out_is_said(squares, tmp_path, capsys, workers):
    objects = [("red", GOOD), ("blue", GOOD), ("red", FLAT), ("green", GOOD)]
    root = tmp_path / "data"
    data = voc_folder(root, {"a": objects, "b": [("blue", GOOD)] * 3, "c": [("red", (1, 1, 90, 90))], "d": []})
    (root / "JPEGImages" / "b.jpg").write_bytes(b"no image")
    (root / "Annotations" / "d.xml").write_text("<no xml")
    figures = tmp_path / "figures.json"
    args = ["evaluate", str(squares), "--data", data, "--workers", workers, "--json", str(figures)]
    assert main(args) == 1
    assert "green" in told(capsys)
    assert main([*args, "--on-error", "skip"]) == 0
    said = capsys.readouterr().out
    for part in (
        "2 images left out",
        "2 objects left out",
        "3 objects lost",
        "1 boxes clipped",
        "b.jpg",
        "d.xml",
        "green",
    ):
        assert part in said, part
    written = json.loads(figures.read_text())
    assert written["left_out"] == {"image": 2, "object": 2, "lost": 3, "clipped": 1}
    assert written["images"] == 2
    assert set(written["left_out_first"]) == set(written["left_out"])
    assert any("b.jpg" in message for message in written["left_out_first"]["image"])


def coco_folder(root, names, objects, split="val", annotations=None):
    """A folder coco_tiny with one picture; `objects` are (category, box x y w h)."""
    (root / "coco_tiny" / f"{split}2017").mkdir(parents=True)
    (root / "coco_tiny" / "annotations").mkdir()
    Image.new("RGB", (64, 64)).save(root / "coco_tiny" / f"{split}2017" / "1.jpg")
    content = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 64, "height": 64}],
        "categories": [{"id": n, "name": name} for n, name in enumerate(names)],
        "annotations": annotations
        or [{"id": n, "image_id": 1, "category_id": c, "bbox": list(box)} for n, (c, box) in enumerate(objects)],
    }
    (root / "coco_tiny" / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(content))


@pytest.mark.parametrize("policy", ["raise", "skip"])
def test_a_model_of_other_classes_is_refused(squares, tmp_path, monkeypatch, capsys, policy):
    """Both lists are named, whether the data's classes are fixed, found in its files, or a part of COCO's."""
    monkeypatch.setenv("LAPNET_DATA", str(tmp_path))
    args = ["evaluate", str(squares), "--on-error", policy, "--data"]
    cells = voc_folder(tmp_path / "cells", {"a": [("RBC", GOOD), ("WBC", GOOD)]})
    for data, split, classes in (("scenes", "test", SCENE_CLASSES), (cells, "test", ("RBC", "WBC"))):
        assert main([*args, data, "--split", split]) == 1, data
        error = told(capsys)
        assert f"{squares} knows the classes red, blue; {data}" in error
        assert ", ".join(classes) in error
    coco_folder(tmp_path, ["dog", "cat", "cow"], [(0, (1, 1, 20, 20)), (2, (5, 5, 30, 30))])
    assert main([*args, "coco_tiny", "--split", "val"]) == 1
    error = told(capsys)
    assert "red, blue" in error
    assert "dog, cow" in error


@pytest.mark.parametrize("policy", ["raise", "skip"])
def test_coco_whose_objects_are_all_of_other_classes(squares, tmp_path, monkeypatch, capsys, policy):
    """Its list has the model's classes, its pictures have not: nothing was printed, and the status was 0."""
    monkeypatch.setenv("LAPNET_DATA", str(tmp_path))
    coco_folder(tmp_path, ["red", "blue", "cow"], [(2, (5, 5, 30, 30))])
    assert main(["evaluate", str(squares), "--data", "coco_tiny", "--split", "val", "--on-error", policy]) == 1
    error = told(capsys)
    assert "red, blue" in error
    assert "has cow" in error


def test_coco_with_some_objects_of_other_classes_says_so(squares, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LAPNET_DATA", str(tmp_path))
    coco_folder(tmp_path, ["red", "blue", "cow"], [(0, (1, 1, 30, 30)), (2, (5, 5, 30, 30))])
    figures = tmp_path / "figures.json"
    assert main(["evaluate", str(squares), "--data", "coco_tiny", "--split", "val", "--json", str(figures)]) == 0
    assert "1 objects of classes that were not asked for" in capsys.readouterr().out
    assert json.loads(figures.read_text())["left_out"] == {"other": 1}


def test_coco_that_lists_only_the_classes_that_occur(squares, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LAPNET_DATA", str(tmp_path))
    coco_folder(tmp_path, ["blue", "cow"], [(0, (1, 1, 30, 30))])
    figures, results = tmp_path / "figures.json", tmp_path / "results.json"
    files = ["--json", str(figures), "--results", str(results)]
    assert main(["evaluate", str(squares), "--data", "coco_tiny", "--split", "val", *files]) == 0
    said = capsys.readouterr().out
    assert "1 classes that their file has no category of: " in said
    assert "instances_val2017.json: no category named red." in said
    assert re.search(r"ap by class\nred +nan\nblue +[01]\.\d{3}\n", said)
    told = json.loads(figures.read_text())
    assert told["left_out"] == {"lacking": 1}
    assert told["coco_ap50"] is not None
    assert {record["category_id"] for record in json.loads(results.read_text())} == {0}


def test_coco_of_boxes_in_shares_is_measured_in_pixels(squares, tmp_path, monkeypatch, capsys):
    """pycocotools would take the file's own for boxes of a part of a pixel."""
    figures = []
    for name, side in (("pixels", 1), ("shares", 64)):
        (tmp_path / name).mkdir()
        monkeypatch.setenv("LAPNET_DATA", str(tmp_path / name))
        boxes = [(0, (1, 1, 30, 30)), (1, (32, 32, 30, 30)), (0, (0, 0, 64, 64))]
        coco_folder(tmp_path / name, ["red", "blue"], [(c, [x / side for x in box]) for c, box in boxes])
        written = tmp_path / f"{name}.json"
        assert main(["evaluate", str(squares), "--data", "coco_tiny", "--split", "val", "--json", str(written)]) == 0
        said = capsys.readouterr().out
        assert ("1 files of boxes in shares of the image" in said) == (name == "shares")
        figures.append(json.loads(written.read_text()))
    assert figures[0]["coco_ap50"] > 0
    for key in ("coco_ap", "coco_ap50", "voc_area"):
        assert figures[1][key] == pytest.approx(figures[0][key], abs=1e-3), key


def test_coco_with_annotations_that_are_skipped(squares, tmp_path, monkeypatch, capsys):
    """pycocotools reads the file itself: a faulty annotation was a KeyError after the whole prediction."""
    monkeypatch.setenv("LAPNET_DATA", str(tmp_path))
    good = {"id": 0, "image_id": 1, "category_id": 0, "bbox": [2, 2, 30, 30]}
    bad = [
        {**good, "id": 1, "bbox": None},
        {**good, "id": 2, "bbox": "1234"},
        {"id": 3},
        7,
        {**good, "bbox": [0, 0, 9, 0]},
    ]
    coco_folder(tmp_path, ["red", "blue"], [], annotations=[good, *bad, {**good, "bbox": [30, 30, 9, 9]}])
    figures = tmp_path / "figures.json"
    args = ["evaluate", str(squares), "--data", "coco_tiny", "--split", "val", "--json", str(figures)]
    assert main([*args, "--on-error", "skip"]) == 0
    assert "5 objects left out" in capsys.readouterr().out
    assert json.loads(figures.read_text())["left_out"] == {"object": 5}


@pytest.mark.parametrize("split", ["val", "test"])
def test_nothing_to_measure_is_an_error(squares, tmp_path, capsys, split):
    data = voc_folder(tmp_path / "data", {"a": [], "b": []}, split)
    assert main(["evaluate", str(squares), "--data", data, "--split", split]) == 1
    assert data in told(capsys)
    data = voc_folder(tmp_path / "data", {"a": [("red", GOOD)]}, split)
    (tmp_path / "data" / "JPEGImages" / "a.jpg").write_bytes(b"no image")
    assert main(["evaluate", str(squares), "--data", data, "--split", split, "--on-error", "skip"]) == 1
    captured = capsys.readouterr()
    assert "none of the images can be read" in captured.err
    assert "a.jpg" in captured.err


@pytest.mark.parametrize("value", ["1.5", "-0.1", "nan", "inf", "-inf"])
def test_a_score_threshold_out_of_range(squares, tmp_path, capsys, value):
    Image.new("RGB", (50, 40)).save(tmp_path / "a.png")
    out = tmp_path / "out"
    args = ["predict", str(squares), str(tmp_path / "a.png"), "--out", str(out), f"--score-threshold={value}"]
    assert main(args) == 1
    assert "score-threshold must be a number, from 0 to 1" in told(capsys)
    assert not out.exists()


@pytest.mark.parametrize("value", ["0", "1"])
def test_a_score_threshold_at_its_ends(squares, tmp_path, value):
    Image.new("RGB", (50, 40)).save(tmp_path / "a.png")
    out = tmp_path / "out"
    assert main(["predict", str(squares), str(tmp_path / "a.png"), "--out", str(out), "--score-threshold", value]) == 0
    assert bool(json.loads((out / "detections.json").read_text())) == (value == "0")


def test_places_that_cannot_be_written(squares, tmp_path, capsys):
    """Said before the work, by name."""
    data = voc_folder(tmp_path / "data", {"a": [("red", GOOD)]})
    picture, taken = tmp_path / "data" / "JPEGImages" / "a.jpg", tmp_path / "taken"
    taken.write_text("mine")
    for place in (taken, taken / "deeper", tmp_path / ("x" * 300), Path("/proc/nothing")):
        assert main(["predict", str(squares), str(picture), "--out", str(place)]) == 1
        assert str(place) in told(capsys)
        assert main(["evaluate", str(squares), "--data", data, "--json", str(place / "figures.json")]) == 1
        assert str(place) in told(capsys)
    assert taken.read_text() == "mine"
    assert main(["evaluate", str(squares), "--data", data, "--results", str(tmp_path / "r.json")]) == 1
    assert "--results writes COCO's format" in told(capsys)


def test_models_and_images_that_are_none(squares, tmp_path, capsys):
    empty, folder = tmp_path / "empty", tmp_path / "a.jpg"
    empty.mkdir(), folder.mkdir()
    for args, said in (
        (["predict", str(squares), str(empty)], f"no image in {empty}"),
        (["predict", str(squares), str(tmp_path)], f"no image in {tmp_path}"),  # its a.jpg is a folder
        (["predict", str(squares), str(tmp_path / "none.jpg")], "none.jpg does not exist"),
        (["predict", str(empty), str(empty)], str(empty / "model.safetensors")),
        (["predict", str(tmp_path / "m"), str(empty)], "m does not exist"),
        (["evaluate", str(empty), "--data", "scenes"], str(empty / "model.safetensors")),
        (["evaluate", str(squares), "--data", "nowhere"], "nowhere"),
        (["bench", "--backbone", "light", "--repeats", "0"], "--repeats must"),
        (["bench", "--backbone", "light", "--num-classes", "0"], "--num-classes must"),
        (["bench", "--backbone", "light", "--image-size", "70", "64"], "multiples of 32"),
        (["bench", "--backbone", "light", "--model", str(squares)], "give one of --model and --backbone"),
        (["bench", "--model", str(tmp_path / "m")], "m does not exist"),
        (["bench", "--model", str(squares), "--num-classes", "3"], "a trained model has its own"),
        (["bench", "loss", "--model", str(squares)], "--model times one network; PARTS go without it"),
        (["bench", "--backbone", "light", "--json", "a.json"], "--backbone times one network; --json goes without it"),
        (["bench", "--num-classes", "0"], "--num-classes goes with --model or --backbone"),
        (["bench", "--repeats", "3"], "--repeats goes with --model or --backbone"),
        (["bench", "--threads", "-1"], "--threads must"),
    ):
        assert main([*args, *(["--out", str(tmp_path / "out")] if args[0] == "predict" else [])]) == 1
        assert said in told(capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:3", "nothing"])
def test_a_device_that_is_not_there(squares, tmp_path, capsys, device):
    for args in (["predict", str(squares), str(tmp_path)], ["evaluate", str(squares), "--data", "scenes"],
                 ["bench", "--model", str(squares)]):  # fmt: skip
        assert main([*args, "--device", device]) == 1
        assert f'device "{device}" cannot be used here' in told(capsys)


class TestWriting:
    def test_a_name_is_taken_by_one_of_many_writers(self, tmp_path):
        def write(n):
            return write_new(tmp_path / "a.txt", lambda part: part.write_text(str(n)))

        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(write, range(20)))
        assert {file.name for file in made} == {"a.txt", *(f"a-{n}.txt" for n in range(2, 21))}
        assert [file.read_text() for file in made] == [str(n) for n in range(20)]
        assert len(everything(tmp_path)) == 20

    def test_links_and_folders_are_names_that_are_taken(self, tmp_path):
        (tmp_path / "a.txt").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "a-2.txt").mkdir()
        assert write_new(tmp_path / "a.txt", lambda part: part.write_text("x")).name == "a-3.txt"
        assert not (tmp_path / "elsewhere").exists()

    @pytest.mark.parametrize("way", [write_whole, write_new])
    def test_the_bytes_are_on_the_disk_before_the_name_and_the_folder_after(self, tmp_path, monkeypatch, way):
        seen = []
        sync, replace = os.fsync, os.replace
        monkeypatch.setattr(os, "fsync", lambda file: (seen.append(os.readlink(f"/proc/self/fd/{file}")), sync(file)))
        monkeypatch.setattr(os, "replace", lambda a, b: (seen.append("rename"), replace(a, b)))
        way(tmp_path / "a.txt", lambda part: part.write_text("x"))
        assert len(seen) == 3
        assert seen[0].endswith(".partial")
        assert seen[1:] == ["rename", str(tmp_path)]
        assert {file.name for file in tmp_path.iterdir()} == {"a.txt"}

    @pytest.mark.parametrize("way", [write_whole, write_new])
    def test_a_full_disk_is_named_and_leaves_the_older_file(self, tmp_path, way):
        path = tmp_path / "a.txt"
        path.write_text("old")

        def full(part):
            part.write_text("half")
            raise OSError(28, "No space left on device", str(part))

        with pytest.raises(OSError, match=r"No space left on device.*a\.txt") as caught:
            way(path, full)
        assert caught.value.errno == 28
        assert everything(tmp_path) == {"a.txt": b"old"}

    @pytest.mark.parametrize("letter", ["é" * 125, "𝄞" * 62])
    def test_a_name_that_is_as_long_as_can_be(self, tmp_path, letter):
        name = letter + ".png"
        assert write_new(tmp_path / name, lambda part: part.write_text("x")).name == name

    def test_what_a_killed_process_was_writing_is_removed(self, tmp_path):
        code = (
            "import os, signal; from pathlib import Path; from lapnet_core.files import write_new\n"
            f"write_new({str(tmp_path / 'a.txt')!r}, "
            "lambda part: (part.write_text('half'), os.kill(os.getpid(), signal.SIGKILL)))"
        )
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
        (left,) = tmp_path.iterdir()
        others = [
            left.with_name(re.sub("@.*", "@another.partial", left.name)),  # its process can be alive there
            left.with_name(re.sub(r"\d+-", f"{os.getpid()}-", left.name)),
            left.with_name(".mine.partial"),
        ]
        for file in others:
            file.write_text("mine")
        write_new(tmp_path / "b.txt", lambda part: part.write_text("x"))
        assert {file.name for file in tmp_path.iterdir()} == {"b.txt", *(file.name for file in others)}


@pytest.mark.skipif(os.name != "posix", reason="pipes of Windows end otherwise")
def test_a_reader_that_has_seen_enough_is_no_error():
    """As `lapnet doctor | head -1`, where the rest finds nobody: without a word on stderr."""
    command = "import sys; from lapnet_core.cli import main; sys.exit(main(['doctor', '--quick']))"
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run([sys.executable, "-c", command], stdout=writes, stderr=subprocess.PIPE, text=True)
    os.close(writes)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_run_knows_its_own_flags(tmp_path, capsys):
    """`--resume --out RUN` needs no other, and those that are given count."""
    flags = [
        "--backbone",
        "light",
        "--image-size",
        "64",
        "64",
        "--batch-size",
        "2",
        "--lr",
        "0.03",
        "--save-every",
        "2",
    ]
    start = ["train", "--data", "scenes", *flags, "--anchors-per-class", "3", "--steps", "4"]
    assert main([*start, "--out", str(tmp_path / "whole")]) == 0
    assert main([*start, "--out", str(tmp_path / "half")]) == 0
    for name in ("model.safetensors", LAST):  # as after a kill behind step 2
        (tmp_path / "half" / name).unlink(missing_ok=True)
    assert (tmp_path / "half" / PREVIOUS).exists()
    assert main(["train", "--resume", "--out", str(tmp_path / "half"), "--lr", "0.04"]) == 1
    assert "lr" in capsys.readouterr().err
    assert main(["train", "--resume", "--out", str(tmp_path / "half")]) == 0
    half, whole = (Detector.load(tmp_path / name).method.state_dict() for name in ("half", "whole"))
    assert all(torch.equal(half[name], whole[name]) for name in whole)
