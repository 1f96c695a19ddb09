import gzip
import json

import pytest
import torch
from PIL import Image

from lapnet_core.anchors import AnchorFile, cluster_anchors
from lapnet_core.cli import doctor, main
from lapnet_core.data import named
from lapnet_core.scenes import SCENE_CLASSES, Scenes


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
    assert main(["train", "--data=scenes", "--out", str(run)]) == 1
    captured = capsys.readouterr()
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
    with Image.open(out / "b.png") as drawn:
        assert drawn.size == (200, 100)


def test_anchors_writes_a_file_that_train_takes(tmp_path, capsys):
    file = tmp_path / "a.json"
    args = ["--image-size", "64", "64", "--per-class", "2"]
    assert main(["anchors", "--data", "scenes", "--split", "val", "--out", str(file), *args]) == 0
    assert "average IoU 0." in capsys.readouterr().out
    train = ["--steps", "1", "--batch-size", "1", "--image-size", "96", "64", "--anchors-per-class", "2"]
    assert main(["train", *train, "--anchors", str(file), "--out", str(tmp_path / "run")]) == 0
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
    assert (
        main(["anchors", "--data", str(tmp_path / table), "--scale", "2", "--per-class", "1", "--out", str(file)]) == 0
    )
    assert AnchorFile.load(file).shapes[1, 0].tolist() == pytest.approx((dogs.mean(0) - 2).tolist(), abs=0.006)


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
    assert asked == [("scenes", "train"), ("coco", "train"), ("voc", "trainval"), ("own/folder", "trainval")]
    assert " --split trainval " in AnchorFile.load(tmp_path / "a.json").made_by


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


def test_doctor_and_bench(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "TRIED", {"laptop_scenes": doctor.TRIED["laptop_scenes"]})
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    assert f"torch {torch.__version__}" in told
    assert "1500 steps of" in told
    assert [doctor.duration(s) for s in (5, 150, 7300, 900_000)] == ["5 seconds", "2 minutes", "2 hours", "10 days"]
    assert main(["bench", "--image-size", "64", "64", "--repeats", "1"]) == 0
    assert "images/s" in capsys.readouterr().out
