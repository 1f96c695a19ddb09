"""`lapnet data check`: what it finds in small folders with known faults, and its coverage beside slow loops."""

import re

import pytest
import torch
from PIL import Image

from lapnet_core.cli import main
from lapnet_core.cli.check import _positives
from lapnet_core.data.named import open_dataset

WIDTH, HEIGHT = 96, 64


def voc_folder(root, images, split):
    for part in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / part).mkdir(parents=True, exist_ok=True)
    for n, (name, objects) in enumerate(images.items()):
        Image.new("RGB", (WIDTH, HEIGHT), (n * 20, len(split) * 20, 9)).save(root / "JPEGImages" / f"{name}.jpg")
        boxes = "".join(
            f"<object><name>{kind}</name><bndbox><xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin><xmax>{x2}</xmax>"
            f"<ymax>{y2}</ymax></bndbox></object>"
            for kind, (x1, y1, x2, y2) in objects
        )
        size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
        (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{size}{boxes}</annotation>")
    (root / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(images))


SMALL, LARGE = (10, 10, 16, 15), (5, 5, 90, 60)


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "photos"
    train = {f"t{n}": [("cat", (n, 4, 40 + n, 40)), ("dog", SMALL), ("dog", LARGE)] for n in range(6)}
    voc_folder(root, train, "train")
    voc_folder(root, {"v0": [("cat", LARGE)], "v1": []}, "val")
    return root


def test_data_without_a_fault(photos, capsys):
    assert main(["data", "check", str(photos)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("photos: VOC, 2 classes, train 6 / val 2 / trainval 8 images\n")
    assert "train: 6 images, 0 of them without objects; 18 objects, 0 difficult" in said
    assert "val: 2 images, 1 of them without objects; 1 objects" in said
    assert "1 sizes (width x height), namely 96 x 64 (6)" in said
    assert re.search(r"^cat +6 +1   ", said, re.MULTILINE)
    assert re.search(r"^dog +12 +0   ", said, re.MULTILINE)
    assert said.endswith("no fault\n")


def test_what_makes_a_test_worthless_is_said_without_decoding_too(photos, capsys):
    lists = photos / "ImageSets" / "Main"
    (lists / "test.txt").write_text("\n".join(["v0", *(lists / "train.txt").read_text().split()[:2]]))
    text = (photos / "Annotations" / "v0.xml").read_text()
    (photos / "Annotations" / "v1.xml").write_text(text.replace("cat", "bird"))
    assert main(["data", "check", "--quick", str(photos)]) == 1
    said = capsys.readouterr().out
    for note in ("2 images of test are in train, too", "1 images of test are in val, too"):
        assert said.count(note) == 3, said  # what the data is, where it shows, and what comes of it
    assert "2 images of test are in train, too: what is measured on them says little\n" in said


def test_classes_that_are_spelled_nearly_alike_are_told(photos, capsys):
    path = photos / "Annotations" / "t1.xml"
    path.write_text(path.read_text().replace("<name>dog", "<name>Dog_"))
    assert main(["data", "check", str(photos), "--quick"]) == 0
    said = capsys.readouterr().out
    assert said.endswith("but 'Dog_' and 'dog' are classes by themselves: is it a slip? Then call them alike\n")


def test_every_fault_is_named_and_counted(photos, capsys):
    (photos / "Annotations" / "t0.xml").write_text("<annotation>")
    text = (photos / "Annotations" / "t1.xml").read_text()
    (photos / "Annotations" / "t1.xml").write_text(text.replace("<xmax>16</xmax>", "<xmax>1</xmax>"))
    (photos / "JPEGImages" / "t2.jpg").write_bytes(b"no image")
    jpeg = (photos / "JPEGImages" / "t3.jpg").read_bytes()
    (photos / "JPEGImages" / "t3.jpg").write_bytes(jpeg[:-5])
    (photos / "JPEGImages" / "v1.jpg").write_bytes((photos / "JPEGImages" / "t4.jpg").read_bytes())
    (photos / "Annotations" / "v0.xml").write_text(
        (photos / "Annotations" / "v0.xml").read_text().replace("cat", "bird")
    )
    text = (photos / "Annotations" / "t5.xml").read_text()
    dog = text[text.index("<object><name>dog") : text.index("<object><name>dog", text.index("dog") + 20)]
    (photos / "Annotations" / "t5.xml").write_text(text.replace("</annotation>", f"{dog}</annotation>"))
    assert main(["data", "check", str(photos)]) == 1
    said = capsys.readouterr().out
    assert "2 images left out:\n" in said
    assert re.search(r"t0\.xml: cannot read this annotation", said)
    assert re.search(r"t2\.jpg: cannot read this image", said)
    assert re.search(r"1 objects left out:\n +.*t1\.xml: object 2 \(dog\): box", said)
    assert "3 objects lost with their image" in said
    assert re.search(
        r"1 JPEGs that end too early, used as far as they go:\n +.*t3\.jpg: this JPEG ends too early", said
    )
    assert re.search(r"1 objects that are there twice, the same class and box:\n +t5: dog at \(10.0", said)
    assert re.search(r"1 images of val are in train, too, byte for byte: .*t4\.jpg = .*v1\.jpg", said)
    assert re.search(r"v0\.xml: object 1 \(bird\): the class is none of the training's: cat, dog", said)
    assert "4 faults: correct them, or leave them out by --on-error skip\n" in said
    assert said.endswith("but 1 images of val are in train, too: what is measured on them says little\n")
    assert main(["data", "check", str(photos), "--quick", "--show", "0"]) == 1
    said = capsys.readouterr().out
    assert "3 faults" in said  # the image that is none is not opened
    assert "t0.xml" not in said


def test_a_split_that_cannot_be_used_hides_no_other(photos, capsys):
    """A test set without annotations stopped it with a line of error."""
    Image.new("RGB", (WIDTH, HEIGHT)).save(photos / "JPEGImages" / "x0.jpg")
    (photos / "ImageSets" / "Main" / "test.txt").write_text("x0")
    assert main(["data", "check", str(photos)]) == 1
    said = capsys.readouterr().out
    assert "\ntrain: 6 images, 0 of them without objects; 18 objects" in said
    assert "\nval: 2 images, " in said
    line = next(line for line in said.splitlines() if line.startswith("test: cannot be used, --on-error skip or not"))
    assert "x0.xml" in line
    assert line.endswith("; it cannot be evaluated, and a training works without it")
    assert re.search(r"^dog +12 +0   ", said, re.MULTILINE)
    assert "\nPONO" in said
    assert "\n1 faults: correct them" in said
    (photos / "ImageSets" / "Main" / "val.txt").write_text("x0")
    assert main(["data", "check", str(photos), "--quick"]) == 1
    said = capsys.readouterr().out
    assert "\nval: cannot be used" in said
    assert said.count("a training works without it") == 1
    assert "\n2 faults: correct them" in said


def test_a_test_set_of_yolo_without_labels(tmp_path, capsys):
    for split in ("train", "val", "test"):
        (tmp_path / "images" / split).mkdir(parents=True)
        Image.new("RGB", (WIDTH, HEIGHT), (len(split), 0, 9)).save(tmp_path / "images" / split / f"{split}.jpg")
        if split != "test":
            (tmp_path / "labels" / split).mkdir(parents=True)
            (tmp_path / "labels" / split / f"{split}.txt").write_text("0 .5 .5 .4 .4\n")
    lines = "".join(f"{split}: images/{split}\n" for split in ("train", "val", "test"))
    (tmp_path / "data.yaml").write_text(lines + "names: [cat]\n")
    assert main(["data", "check", str(tmp_path), "--quick"]) == 1
    said = capsys.readouterr().out
    assert re.search(r"^test: cannot be used, .*none of 1 images has a label file; .*works without it$", said, re.M)
    assert re.search(r"^cat +1 +1   ", said, re.MULTILINE)


def test_where_no_split_can_be_used_the_first_one_is_the_error(photos, capsys):
    for path in (photos / "Annotations").iterdir():
        path.write_text("<annotation>")
    assert main(["data", "check", str(photos)]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("lapnet data: train: cannot be used, --on-error skip or not: ")
    assert said.err.count("\n") == 1
    assert not said.out


def test_the_coverage_is_that_of_the_anchors_that_a_training_gets(photos, capsys):
    assert main(["data", "check", str(photos), "--image-size", "64", "90"]) == 1
    assert "image_size: multiples of 32" in capsys.readouterr().err
    assert main(["data", "check", str(photos), "--image-size", "64", "96", "--per-class", "1"]) == 0
    said = capsys.readouterr().out
    data = open_dataset(str(photos), "train")
    shapes = torch.tensor([[[40.0, 36.0]], [[45.0, 30.0]]])
    boxes, ao, pono, rescued = _positives(data, shapes, (64, 96))
    assert len(boxes) == len(ao) == len(pono) == len(rescued) == 18
    small = (boxes[:, 2:] - boxes[:, :2]).prod(1) < 32**2
    assert small.sum() == 6
    assert (ao[small] == 0).all()  # a 6 x 5 object beside a 45 x 30 anchor
    assert (pono > 0).all()
    assert re.search(r"AO +\d+ \([\d.]+%\) +6 \(100.0%\)", said)
    assert re.search(r"PONO +0 \(0.0%\) +0 \(0.0%\)", said)


def test_what_cannot_be_checked_is_said(tmp_path, capsys):
    assert main(["data", "check", "scenes"]) == 1
    assert "drawn by the code" in capsys.readouterr().err
    assert main(["data", "check", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "no annotations that are known" in error
    assert error.count("\n") == 1
    assert main(["data", "check", "nowhere"]) == 1
    assert "Give --data the path" in capsys.readouterr().err


@pytest.mark.slow
def test_bccd(real_data, monkeypatch, capsys):
    monkeypatch.setenv("LAPNET_DATA", str(real_data))
    assert main(["data", "check", "bccd", "--quick"]) == 1
    said = capsys.readouterr().out
    assert "bccd: VOC, 3 classes, train 205 / val 87 / trainval 292 / test 72 images" in said
    assert re.search(r"^Platelets +209 +83 +69 ", said, re.MULTILINE)
    assert "BloodImage_00343.xml: object 4 (RBC)" in said
    assert "2 faults" in said
