"""The VOC reader: its conventions, and what it says about faulty data. Also decoding, which COCO shares."""

import os
import pickle
import re
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from lapnet_core.data import (
    VOC_CLASSES,
    DataError,
    Skipped,
    VOCDetection,
    collate,
    eval_transform,
    voc0712,
)
from lapnet_core.data.named import open_dataset, splits_of

WIDTH, HEIGHT = 40, 30
GOOD = ("cat", (5, 6, 20, 25))


def box_xml(corners: tuple) -> str:
    sides = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    return "<bndbox>" + "".join(f"<{side}>{value}</{side}>" for side, value in sides) + "</bndbox>"


def object_xml(name: str, corners: tuple, difficult: int | str = 0) -> str:
    return f"<object><name>{name}</name><difficult>{difficult}</difficult>{box_xml(corners)}</object>"


SIZE = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"


def write_image(root: Path, name: str, objects: str, *, head: str = SIZE, listed: str = "trainval") -> None:
    """One image with its annotation, appended to an image set."""
    for folder in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{head}{objects}</annotation>")
    Image.new("RGB", (WIDTH, HEIGHT), (10, 200, 30)).save(root / "JPEGImages" / f"{name}.jpg")
    with (root / "ImageSets" / "Main" / f"{listed}.txt").open("a") as file:
        file.write(name + "\n")


def test_boxes_of_voc_count_from_one_and_include_the_last_pixel(tmp_path):
    whole = object_xml("dog", (1, 1, WIDTH, HEIGHT), 1)
    write_image(tmp_path, "a", object_xml("cat", (5, 6, 20, 25)) + whole)
    write_image(tmp_path, "b", "")
    data = VOCDetection(tmp_path)
    image, target = data[0]
    assert image.shape == (3, HEIGHT, WIDTH)
    assert image.dtype == torch.uint8
    assert (image.float().mean((1, 2)) - torch.tensor([10.0, 200, 30])).abs().max() < 4  # RGB, not BGR
    assert target["boxes"].tolist() == [[4, 5, 20, 25], [0, 0, WIDTH, HEIGHT]]
    assert target["boxes"].dtype == torch.float32
    assert target["boxes"].canvas_size == (HEIGHT, WIDTH)
    assert [VOC_CLASSES[label] for label in target["labels"]] == ["cat", "dog"]
    assert target["difficult"].tolist() == [False, True]
    assert (target["image_id"], target["original_size"]) == ("a", (HEIGHT, WIDTH))
    empty = data.target(1)
    assert (empty["boxes"].shape, empty["labels"].shape, empty["difficult"].shape) == ((0, 4), (0,), (0,))


def test_official_classes_are_twenty_in_alphabetical_order():
    assert len(VOC_CLASSES) == 20
    assert list(VOC_CLASSES) == sorted(VOC_CLASSES)


def test_parts_of_an_object_are_not_its_box(tmp_path):
    part = f"<part><name>head</name>{box_xml((1, 1, 3, 3))}</part>"
    write_image(tmp_path, "a", f"<object><name>person</name>{part}{box_xml((5, 6, 20, 25.5))}</object>")
    target = VOCDetection(tmp_path).target(0)
    assert target["boxes"].tolist() == [[4, 5, 20, 25.5]]
    assert target["difficult"].tolist() == [False]


def test_names_are_inferred_sorted_or_taken_in_the_order_given(tmp_path):
    write_image(tmp_path, "a", object_xml("zebra", GOOD[1]) + object_xml("ant", GOOD[1]))
    inferred = VOCDetection(tmp_path, class_names=None)
    assert inferred.class_names == ("ant", "zebra")
    assert inferred.target(0)["labels"].tolist() == [1, 0]
    given = VOCDetection(tmp_path, class_names=["zebra", "yak", "ant"])
    assert given.class_names == ("zebra", "yak", "ant")
    assert given.target(0)["labels"].tolist() == [0, 2]


def test_a_class_of_faulty_objects_alone_is_not_inferred(tmp_path):
    write_image(tmp_path, "a", object_xml("ant", GOOD[1]) + object_xml("bee", (9, 9, 9, 9)))
    assert VOCDetection(tmp_path, class_names=None, on_error="skip").class_names == ("ant",)


def test_names_cannot_be_inferred_without_an_object_nor_be_given_twice(tmp_path):
    write_image(tmp_path, "a", "")
    with pytest.raises(DataError, match="no image has a usable object, so there are no classes"):
        VOCDetection(tmp_path, class_names=None)
    assert len(VOCDetection(tmp_path)) == 1
    with pytest.raises(ValueError, match="class_names: a name is there twice"):
        VOCDetection(tmp_path, class_names=["cat", "dog", "cat"])


def test_several_folders_are_read_one_after_the_other(tmp_path):
    write_image(tmp_path / "07", "x", object_xml(*GOOD))
    write_image(tmp_path / "12", "y", object_xml("dog", GOOD[1]) * 2, listed="train")
    data = VOCDetection([(tmp_path / "07", "trainval"), (tmp_path / "12", "train")])
    assert [data.target(i)["image_id"] for i in range(len(data))] == ["x", "y"]
    assert [len(data.target(i)["labels"]) for i in range(2)] == [1, 2]
    with pytest.raises(DataError, match="x is listed twice"):
        VOCDetection([(tmp_path / "07", "trainval"), (tmp_path / "07", "trainval")])


OBJECT_FAULTS = {
    "no name": (f"<object>{box_xml(GOOD[1])}</object>", "no class name"),
    "unknown class": (object_xml("unicorn", GOOD[1]), r"\(unicorn\): the class is none of"),
    "a word": (object_xml("cat", ("left", 6, 20, 25)), r"\(cat\): <xmin> is 'left'"),
    "not a number": (object_xml("cat", (5, "nan", 20, 25)), "<ymin> is 'nan'"),
    "infinite": (object_xml("cat", (5, 6, "1e999", 25)), "<xmax> is '1e999'"),
    "no box": ("<object><name>cat</name></object>", "<xmin> is None"),
    "inside out": (object_xml("cat", (20, 6, 5, 25)), r"\(cat\): box \(19, 5, 5, 25\)"),
    "inside out twice": (object_xml("cat", (20, 25, 5, 6)), r"\(cat\): box"),
    "one pixel": (object_xml("cat", (9, 9, 9, 9)), "more than 1 px² inside"),
    "huge": (object_xml("cat", (5, 6, "9" * 400, 25)), "<xmax> is '999"),
    "outside": (object_xml("cat", (WIDTH + 2, 6, WIDTH + 9, 25)), "of the 40 x 30 image"),
    "difficult": (object_xml("cat", GOOD[1], "maybe"), "<difficult> is 'maybe'"),
}


@pytest.mark.parametrize("fault", OBJECT_FAULTS)
def test_a_faulty_object_is_named_or_skipped_alone(tmp_path, fault):
    xml, message = OBJECT_FAULTS[fault]
    write_image(tmp_path, "a", object_xml("dog", GOOD[1]) + xml + object_xml("cow", GOOD[1]))
    with pytest.raises(DataError, match=r"a\.xml: object 2 .*" + message):
        VOCDetection(tmp_path)
    data = VOCDetection(tmp_path, on_error="skip")
    assert [VOC_CLASSES[label] for label in data.target(0)["labels"]] == ["dog", "cow"]
    assert data.report.counts == {"object": 1}
    assert "1 objects left out" in data.report.summary()
    assert "a.xml: object 2" in data.report.summary()


BOMB = '<!DOCTYPE b [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><annotation>&b;</annotation>'
EXTERNAL = '<!DOCTYPE b [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation>&a;</annotation>'
IMAGE_FAULTS = {
    "missing annotation": (lambda root: (root / "Annotations/bad.xml").unlink(), r"bad\.xml: cannot read"),
    "no XML": (lambda root: (root / "Annotations/bad.xml").write_text("<annotation>"), r"bad\.xml: cannot read"),
    "empty": (lambda root: (root / "Annotations/bad.xml").write_text(""), r"bad\.xml: cannot read"),
    "missing annotation, said once": (
        lambda root: (root / "Annotations/bad.xml").unlink(),
        r"bad\.xml: cannot read this annotation \(it is missing, or no regular file\)",
    ),
    "encoding": (
        lambda root: (root / "Annotations/bad.xml").write_bytes(b"<?xml version='1.0' encoding='klingon'?><a/>"),
        r"bad\.xml: cannot read",
    ),
    "entity bomb": (lambda root: (root / "Annotations/bad.xml").write_text(BOMB), r"bad\.xml: entities"),
    "external entity": (lambda root: (root / "Annotations/bad.xml").write_text(EXTERNAL), r"bad\.xml: entities"),
    "missing image": (lambda root: (root / "JPEGImages/bad.jpg").unlink(), r"bad\.jpg is missing"),
    "half a size": (
        lambda root: (root / "Annotations/bad.xml").write_text(
            f"<annotation>{SIZE.replace('height', 'h')}</annotation>"
        ),
        r"bad\.xml: <size>",
    ),
    "size zero": (
        lambda root: write_image(root, "bad", "", head=SIZE.replace(str(WIDTH), "0"), listed="other"),
        r"bad\.xml: <size>",
    ),
    "size huge": (
        lambda root: write_image(root, "bad", "", head=SIZE.replace(str(WIDTH), "1" + "0" * 30), listed="other"),
        r"bad\.xml: <size>",
    ),
    "annotation is a pipe": (
        lambda root: ((root / "Annotations/bad.xml").unlink(), os.mkfifo(root / "Annotations/bad.xml")),
        r"bad\.xml: cannot read this annotation",
    ),
    "annotation is a folder": (
        lambda root: ((root / "Annotations/bad.xml").unlink(), (root / "Annotations/bad.xml").mkdir()),
        r"bad\.xml: cannot read this annotation",
    ),
    "image is a pipe": (
        lambda root: ((root / "JPEGImages/bad.jpg").unlink(), os.mkfifo(root / "JPEGImages/bad.jpg")),
        r"bad\.jpg is missing",
    ),
    "overlong name": (
        lambda root: (root / "ImageSets/Main/trainval.txt").write_text("a\n" + "x" * 5000 + "\nb\n"),
        r"xxx\.xml: cannot read this annotation",
    ),
    "overlong suffix": (
        lambda root: (
            write_image(root, "bad", "", head=SIZE + "<filename>x." + "y" * 5000 + "</filename>", listed="other")
            or (root / "JPEGImages/bad.jpg").unlink()
        ),
        r"yyy is missing",
    ),
    "path in the list": (
        lambda root: (root / "ImageSets/Main/trainval.txt").write_text("a\n../../../etc/passwd\nb\n"),
        r"trainval\.txt: line 2: '../../../etc/passwd' would lead out",
    ),
    "absolute path in the list": (
        lambda root: (root / "ImageSets/Main/trainval.txt").write_text("a\n/etc/passwd\nb\n"),
        r"trainval\.txt: line 2",
    ),
    "listed twice": (
        lambda root: (root / "ImageSets/Main/trainval.txt").write_text("a\nb\na\n"),
        "image a is listed twice",
    ),
}


@pytest.mark.parametrize("fault", IMAGE_FAULTS)
def test_a_faulty_image_is_named_or_skipped_as_a_whole(tmp_path, fault):
    damage, message = IMAGE_FAULTS[fault]
    for name in ("a", "bad", "b"):
        write_image(tmp_path, name, object_xml(*GOOD))
    damage(tmp_path)
    with pytest.raises(DataError, match=message):
        VOCDetection(tmp_path)
    data = VOCDetection(tmp_path, on_error="skip")
    assert [data.target(i)["image_id"] for i in range(len(data))] == ["a", "b"]
    assert [len(data.target(i)["labels"]) for i in range(2)] == [1, 1]
    lost = data.report.counts.pop("lost", 0)  # where its annotation can be read, its object is counted too
    assert lost == (fault in ("missing image", "image is a pipe"))
    assert data.report.counts == {"image": 1}


def test_without_an_image_set_or_a_usable_image_there_is_no_data_set(tmp_path):
    write_image(tmp_path, "a", "")
    with pytest.raises(DataError, match=r"val\.txt: cannot read this image set"):
        VOCDetection(tmp_path, "val", on_error="skip")
    (tmp_path / "Annotations" / "a.xml").unlink()
    with pytest.raises(DataError, match=r"no usable image.*a\.xml"):
        VOCDetection(tmp_path, on_error="skip")
    with pytest.raises(DataError, match="cannot read this folder"):
        VOCDetection(tmp_path / "nowhere")
    with pytest.raises((ValueError, TypeError), match="on_error"):  # TypeError where signatures are enforced
        VOCDetection(tmp_path, on_error="ignore")


def test_a_box_beyond_the_border_is_cut_and_counted(tmp_path):
    beyond = [(0, 1, 10, 10), (1, 1, WIDTH + 5, 10), (1, 0.99, WIDTH + 0.01, 10)]
    write_image(tmp_path, "a", "".join(object_xml("cat", corners) for corners in beyond))
    data = VOCDetection(tmp_path)
    assert data.target(0)["boxes"].tolist() == [[0, 0, 10, 10], [0, 0, WIDTH, 10], [0, 0, WIDTH, 10]]
    assert data.report.counts == {"clipped": 2}  # the third is a rounding error
    assert "object 2 (cat)" in data.report.summary()


def damaged_png() -> bytes:
    """A PNG that says it is 60,000 pixels wide and high."""
    head = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


FILE_FAULTS = {
    "zero bytes": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:400]),
    "text": lambda path: path.write_text("no picture"),
    "vanished": lambda path: path.unlink(),
    "folder": lambda path: (path.unlink(), path.mkdir()),
    "another size": lambda path: Image.new("RGB", (HEIGHT, WIDTH)).save(path),
    "another format": lambda path: Image.new("RGB", (WIDTH, HEIGHT)).save(path, "TIFF"),
    "decompression bomb": lambda path: path.write_bytes(damaged_png()),
}


@pytest.mark.parametrize("fault", FILE_FAULTS)
def test_an_unusable_image_file_raises_or_gives_skipped(tmp_path, fault):
    write_image(tmp_path, "a", object_xml(*GOOD))
    strict, lenient = VOCDetection(tmp_path), VOCDetection(tmp_path, on_error="skip", transform=eval_transform((8, 8)))
    FILE_FAULTS[fault](tmp_path / "JPEGImages" / "a.jpg")
    with pytest.raises(DataError, match=r"a\.jpg: (cannot read this image|the image is 30 x 40)"):
        strict[0]
    for _ in range(2):
        sample = lenient[0]
        assert isinstance(sample, Skipped)
        assert "a.jpg" in sample.message
    assert lenient.report.counts == {"image": 1, "lost": 1}
    assert lenient.target(0)["labels"].tolist() == [VOC_CLASSES.index("cat")]  # needs no image


def test_every_kind_of_image_becomes_rgb(tmp_path):
    grey = np.linspace(0, 255, WIDTH).round().astype(np.uint8)[None].repeat(HEIGHT, 0)
    rgb = Image.fromarray(np.stack([grey, 255 - grey, grey // 2], -1))
    deep = Image.fromarray((grey.astype(np.uint16) << 8) + 255)
    palette = rgb.quantize(256)
    see_through = rgb.quantize(4)
    see_through.info["transparency"] = bytes([0, 128, 255, 255])
    kinds = {
        "L": (Image.fromarray(grey), np.stack([grey] * 3)),
        "LA": (Image.fromarray(grey).convert("LA"), np.stack([grey] * 3)),
        "I;16": (deep, np.stack([grey] * 3)),
        "RGBA": (Image.merge("RGBA", [*rgb.split(), Image.new("L", rgb.size, 7)]), np.asarray(rgb).transpose(2, 0, 1)),
        "P": (palette, np.asarray(palette.convert("RGB")).transpose(2, 0, 1)),
        "P with transparency": (see_through, np.asarray(see_through.convert("RGBA"))[..., :3].transpose(2, 0, 1)),
        "1": (Image.fromarray(grey > 99), np.stack([grey > 99] * 3) * 255),
    }
    for kind in kinds:
        write_image(tmp_path, kind, "", head=SIZE + "<filename>x.png</filename>")
        kinds[kind][0].save(tmp_path / "JPEGImages" / f"{kind}.png")
    data = VOCDetection(tmp_path)
    for index, (kind, (_, expected)) in enumerate(kinds.items()):
        image, _ = data[index]
        assert image.shape == (3, HEIGHT, WIDTH)
        assert np.array_equal(image.numpy(), expected), kind


def test_cmyk_becomes_rgb_and_exif_orientation_is_not_applied(tmp_path):
    write_image(tmp_path, "cmyk", "")
    write_image(tmp_path, "turned", "")
    Image.new("CMYK", (WIDTH, HEIGHT), (255, 0, 0, 0)).save(tmp_path / "JPEGImages" / "cmyk.jpg")
    half = Image.new("RGB", (WIDTH, HEIGHT))
    half.paste((255, 255, 255), (0, 0, WIDTH // 2, HEIGHT))
    exif = half.getexif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    half.save(tmp_path / "JPEGImages" / "turned.jpg", exif=exif)
    data = VOCDetection(tmp_path)
    assert (data[0][0].float().mean((1, 2)) - torch.tensor([0.0, 255, 255])).abs().max() < 4
    turned = data[1][0]
    assert turned.shape == (3, HEIGHT, WIDTH)
    assert turned[:, :, : WIDTH // 2 - 2].min() > 200
    assert turned[:, :, WIDTH // 2 + 2 :].max() < 50


def test_indexing_copies_and_pickling(tmp_path):
    for name in "ab":
        write_image(tmp_path, name, object_xml(*GOOD))
    data = VOCDetection(tmp_path)
    assert data.target(-1)["image_id"] == "b"
    assert data[-1][1]["boxes"].tolist() == data.target(1)["boxes"].tolist()
    with pytest.raises(IndexError):
        data.target(2)
    data.target(0)["boxes"].zero_()
    assert data.target(0)["boxes"].tolist() == [[4, 5, 20, 25]]
    copy = pickle.loads(pickle.dumps(data))
    assert copy.target(1)["boxes"].tolist() == data.target(1)["boxes"].tolist()
    assert copy.class_names == data.class_names


def test_official_and_downloaded_folders_are_found(tmp_path):
    for number, place in enumerate(("voc/VOC2007-trainval", "VOCdevkit/VOC2012", "VOCdevkit/VOC2007")):
        write_image(tmp_path / place, f"{number}", object_xml(*GOOD), listed="test" if number == 2 else "trainval")
    assert [voc0712("trainval", tmp_path).target(i)["image_id"] for i in range(2)] == ["0", "1"]
    assert voc0712("test", tmp_path).target(0)["image_id"] == "2"
    with pytest.raises(DataError, match="lapnet data get voc2007-test"):
        voc0712("test", tmp_path / "elsewhere")


def test_voc_has_a_val_split_to_choose_by(tmp_path, monkeypatch):
    """The halves of trainval lie in the archives of trainval; nothing of one is in the other, or in test."""
    for year, place in ((2007, "VOC2007-trainval"), (2012, "VOC2012-trainval")):
        for part in ("train", "val"):
            write_image(tmp_path / "voc" / place, f"{year}{part}", object_xml(*GOOD), listed=part)
    monkeypatch.setenv("LAPNET_DATA", str(tmp_path))
    for part in ("train", "val"):
        data = open_dataset("voc", part)
        assert [data.target(i)["image_id"] for i in range(len(data))] == [f"2007{part}", f"2012{part}"]
    assert splits_of("voc") == ("trainval", "train", "val", "test")
    with pytest.raises(DataError, match='no split "test-dev"; give --split trainval'):
        open_dataset("voc", "test-dev")
    with pytest.raises(DataError, match=r"VOC2007-test.*lapnet data get voc2007-test"):
        open_dataset("voc", "test")


@pytest.mark.data
def test_bccd_has_two_cells_of_one_pixel_and_loads_without_them(real_data):
    bccd = real_data / "bccd"
    with pytest.raises(DataError, match=r"BloodImage_00338\.xml: object 13 \(RBC\)"):
        VOCDetection(bccd, class_names=None)
    data = VOCDetection(bccd, class_names=None, on_error="skip")
    test = VOCDetection(bccd, "test", class_names=data.class_names)
    assert data.class_names == ("Platelets", "RBC", "WBC")
    assert (len(data), len(test)) == (292, 72)
    assert data.report.counts == {"object": 2}
    assert "BloodImage_00343.xml: object 4 (RBC)" in data.report.summary()
    labels = torch.cat([part.target(i)["labels"] for part in (data, test) for i in range(len(part))])
    assert labels.bincount().tolist() == [361, 4155 - 2, 372]
    for part in (data, test):
        for index in range(len(part)):
            image, target = part[index]
            assert image.shape == (3, 480, 640)
            x1, y1, x2, y2 = target["boxes"].unbind(-1)
            assert ((x1 >= 0) & (x1 < x2) & (x2 <= 640) & (y1 >= 0) & (y1 < y2) & (y2 <= 480)).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_what_worker_processes_skip_and_mend_is_in_the_report(tmp_path, workers):
    for name in "abcd":
        write_image(tmp_path, name, object_xml(*GOOD))
    whole = tmp_path / "JPEGImages" / "a.jpg"
    whole.write_bytes(whole.read_bytes()[:-3])
    (tmp_path / "JPEGImages" / "c.jpg").write_bytes(b"no image")
    data = VOCDetection(tmp_path, on_error="skip", transform=eval_transform((32, 32)))
    loader = DataLoader(data, 1, collate_fn=collate, num_workers=workers)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert [len(batch) for _ in range(2) for batch in loader] == [1, 1, 0, 1] * 2
    if not workers:  # theirs are on their own standard error
        assert re.search(r"a\.jpg: this JPEG ends too early: something of its last rows is lost", str(told[0].message))
        assert len(told) == 1
    assert data.report.counts == {"image": 1, "lost": 1, "truncated": 1}
    assert data.report.counts == {"image": 1, "lost": 1, "truncated": 1}
    assert "1 JPEGs that end too early, used as far as they go: " in data.report.summary()


def test_an_error_names_the_flag_that_goes_on(tmp_path):
    write_image(tmp_path, "a", object_xml("cat", (9, 9, 9, 9)))
    with pytest.raises(DataError, match=r"--on-error skip leaves such out, and counts them"):
        VOCDetection(tmp_path)


def test_a_name_with_a_line_break_is_no_class(tmp_path):
    write_image(tmp_path, "a", object_xml("cat\nrow", GOOD[1]) + object_xml(*GOOD))
    with pytest.raises(DataError, match=r"a\.xml: object 1 .*line break"):
        VOCDetection(tmp_path, class_names=None)
    assert VOCDetection(tmp_path, class_names=None, on_error="skip").class_names == ("cat",)
    with pytest.raises(ValueError, match=r"'a\\nb' holds a line break"):
        VOCDetection(tmp_path, class_names=["cat", "a\nb"], on_error="skip")


@pytest.mark.parametrize("head", ["", "<size><width>0</width><height>0</height></size>"])
def test_without_a_size_that_of_the_image_is_taken_and_counted(tmp_path, head):
    write_image(tmp_path, "a", object_xml(*GOOD), head=head)
    data = VOCDetection(tmp_path)
    assert data.target(0)["original_size"] == (HEIGHT, WIDTH)
    assert data.report.counts == {"unsized": 1}
    assert isinstance(data[0], tuple)
    image = Image.new("RGB", (WIDTH, HEIGHT))
    exif = image.getexif()
    exif[0x0112] = 8
    image.save(tmp_path / "JPEGImages" / "a.jpg", exif=exif)
    with pytest.raises(
        DataError, match=r"a\.xml: has no <size>, which would tell whether a\.jpg was annotated upright"
    ):
        VOCDetection(tmp_path)


@pytest.mark.parametrize("filename", ["../../x.png", "/home/me/x.png", "C:\\pictures\\x.png", "x", "", ".."])
def test_of_a_filename_only_the_suffix_counts(tmp_path, filename):
    write_image(tmp_path, "a", object_xml(*GOOD), head=f"{SIZE}<filename>{filename}</filename>")
    assert VOCDetection(tmp_path)[0][0].shape == (3, HEIGHT, WIDTH)
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "JPEGImages" / "a.png")
    assert VOCDetection(tmp_path).file(0).endswith("a.png" if "png" in filename else "a.jpg")
