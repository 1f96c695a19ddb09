"""Photographs that EXIF turns or mirrors: a box lies on what it was drawn around, or it is said that nothing tells."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from lapnet_core.cli import main
from lapnet_core.data import CocoDetection, DataError
from lapnet_core.data.named import open_dataset
from lapnet_core.data.own import find
from lapnet_core.data.pictures import read_picture, read_size
from lapnet_core.data.stream import Transformed, mended

BACK = dict(zip(range(2, 9), (
    Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180, Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_90, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_270,
), strict=True))  # fmt: skip
"""What makes the stored picture of the upright one, by EXIF's orientation."""
ALL, FLAT, SQUARE = range(1, 9), (60, 40), (40, 40)
BOX = (5, 6, 25, 24)
CASES = [*((orientation, FLAT) for orientation in ALL), (6, SQUARE), (7, SQUARE)]
FEW = [(1, FLAT), (3, FLAT), (6, FLAT), (6, SQUARE)]
TELLS = [(orientation, size) for orientation, size in CASES if orientation == 1 or (orientation > 4 and size == FLAT)]


def photo(path: Path, orientation: int, size=FLAT, **options) -> tuple[tuple[int, int], tuple[int, ...]]:
    """Saves a picture that, upright, has this size (w, h) and a bright BOX. Returns the size as it is stored, and where
    the box is there."""
    upright = Image.new("RGB", size)
    upright.paste((255, 255, 255), BOX)
    stored = upright.transpose(BACK[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    stored.save(path, exif=exif, **options)
    return stored.size, stored.getbbox()


def yolo(root, size, box):
    (w, h), (x1, y1, x2, y2) = size, box
    write(root / "train" / "a.txt", f"0 {(x1 + x2) / 2 / w} {(y1 + y2) / 2 / h} {(x2 - x1) / w} {(y2 - y1) / h}")
    write(root / "data.yaml", "names: [cat]\ntrain: train\nval: train\n")


def labelme(root, size, box):
    shape = {"label": "cat", "points": [box[:2], box[2:]], "shape_type": "rectangle"}
    width, height = size or (None, None)
    about = {"imagePath": "a.jpg", "imageWidth": width, "imageHeight": height}
    write(root / "train" / "a.json", json.dumps(about | {"shapes": [shape]}))


def cvat(root, size, box):
    sides = " ".join(f'{side}="{at}"' for side, at in zip(("xtl", "ytl", "xbr", "ybr"), box, strict=True))
    about = 'width="{}" height="{}"'.format(*size) if size else ""
    shape = f'<image id="0" name="train/a.jpg" {about}><box label="cat" {sides}/></image>'
    write(root / "annotations.xml", f"<annotations>{shape}</annotations>")


def voc(root, size, box):
    corners = zip(("xmin", "ymin", "xmax", "ymax"), (box[0] + 1, box[1] + 1, *box[2:]), strict=True)
    sides = "".join(f"<{side}>{at}</{side}>" for side, at in corners)
    about = "<size><width>{}</width><height>{}</height></size>".format(*size) if size else ""
    shape = f"<object><name>cat</name><bndbox>{sides}</bndbox></object>"
    write(root / "train" / "a.xml", f"<annotation>{about}{shape}</annotation>")


def coco(root, size, box):
    image = {"id": 1, "file_name": "a.jpg", "width": size[0], "height": size[1]}
    one = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [*box[:2], box[2] - box[0], box[3] - box[1]]}
    content = {"images": [image], "categories": [{"id": 1, "name": "cat"}], "annotations": [one]}
    write(root / "train" / "_annotations.coco.json", json.dumps(content))


def table(root, size, box):
    about = ",".join(map(str, size or ("", "")))
    head = "filename,width,height,class,xmin,ymin,xmax,ymax"
    write(root / "train" / "_annotations.csv", f"{head}\na.jpg,{about},cat,{','.join(map(str, box))}\n")


def createml(root, _, box):
    x, y, far, low = box
    where = {"x": (x + far) / 2, "y": (y + low) / 2, "width": far - x, "height": low - y}
    one = {"image": "a.jpg", "annotations": [{"label": "cat", "coordinates": where}]}
    write(root / "train" / "_annotations.createml.json", json.dumps([one]))


def write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def read(root, box):
    """The data, of which it is seen that its one box is this one, and lies on what is bright."""
    data = open_dataset(str(root), find(root).splits[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image, target = data[0]
    assert image.shape[1:] == target["original_size"]
    assert target["boxes"].tolist() == [pytest.approx(box, abs=1e-3)]
    x1, y1, x2, y2 = box
    inside = np.zeros(image.shape[1:], bool)
    inside[y1:y2, x1:x2] = True
    assert ((image[0].numpy() > 128) == inside).mean() > 0.98
    return data


@pytest.mark.parametrize(("orientation", "size"), CASES)
@pytest.mark.parametrize("kind", [yolo, labelme, cvat])
def test_what_is_drawn_upright_is_read_upright(tmp_path, kind, orientation, size):
    photo(tmp_path / "train" / "a.jpg", orientation, size, quality=95)
    kind(tmp_path, size, BOX)
    assert read(tmp_path, BOX).report.counts == {}


@pytest.mark.parametrize(("orientation", "size"), CASES)
@pytest.mark.parametrize("kind", [voc, coco, table])
def test_where_the_size_does_not_tell_it_is_taken_upright_and_counted(tmp_path, kind, orientation, size):
    photo(tmp_path / "train" / "a.jpg", orientation, size, quality=95)
    kind(tmp_path, size, BOX)
    data = read(tmp_path, BOX)
    assert data.report.counts == ({} if (orientation, size) in TELLS else {"turned": 1})
    assert ("1 images taken upright, as their EXIF says; nothing tells" in data.report.summary()) == bool(
        data.report.counts
    )


@pytest.mark.parametrize(("orientation", "size"), TELLS)
@pytest.mark.parametrize("kind", [voc, coco, table, labelme, cvat])
def test_a_size_of_the_stored_picture_alone_tells_that_it_was_annotated_as_stored(tmp_path, kind, orientation, size):
    stored, box = photo(tmp_path / "train" / "a.jpg", orientation, size, quality=95)
    kind(tmp_path, stored, box)
    assert read(tmp_path, box).report.counts == {}


def sized_as_stored(root, boxes: dict, orientation=6):
    """Label Studio's COCO: the size is that of the stored picture, the boxes are those of the upright one."""
    content = {"images": [], "categories": [{"id": 1, "name": "cat"}], "annotations": []}
    for n, (name, (x1, y1, x2, y2)) in enumerate(boxes.items(), 1):
        (width, height), _ = photo(root / "images" / name, orientation if "turned" in name else 1)
        content["images"].append({"id": n, "file_name": f"images/{name}", "width": width, "height": height})
        one = {"id": n, "image_id": n, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
        content["annotations"].append(one)
    write(root / "result.json", json.dumps(content))
    return CocoDetection(root, root / "result.json")


def test_boxes_beyond_the_stored_picture_tell_that_they_were_drawn_on_the_upright_one(tmp_path):
    far = (45, 6, 58, 24)  # the stored picture is 40 wide, the upright one 60
    data = sized_as_stored(tmp_path, {"turned0.jpg": far, "turned1.jpg": BOX, "b.jpg": BOX})
    assert data.report.counts == {"upright": 2}
    assert "turned1.jpg: stored as 40 x 60 (width x height)" in data.report.summary()
    for n, box in enumerate((far, BOX, BOX)):
        image, target = data[n]
        assert image.shape[1:] == target["original_size"] == (40, 60)
        assert target["boxes"].tolist() == [list(box)]
    x1, y1, x2, y2 = BOX
    assert data[1][0][:, y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].min() > 128  # the box lies on what is bright
    other = tmp_path / "other"  # of which one image only fits as it is stored: each has to tell it of itself
    data = sized_as_stored(other, {"turned0.jpg": far, "turned1.jpg": BOX, "turned2.jpg": (5, 6, 25, 55)})
    assert [data.target(n)["original_size"] for n in range(3)] == [(40, 60), (60, 40), (60, 40)]
    assert data.report.counts == {"upright": 1}


@pytest.mark.parametrize("far", [(10, 6, 40.5, 24), (45, 6, 70, 24)])
def test_a_slip_of_the_hand_or_a_box_beyond_both_turns_nothing(tmp_path, far):
    if far[0] > 40:
        with pytest.raises(DataError, match=r"box \(45, 6, 70, 24\) .* of the 40 x 60 image must cover"):
            sized_as_stored(tmp_path, {"turned0.jpg": far, "turned1.jpg": BOX})
    else:
        data = sized_as_stored(tmp_path, {"turned0.jpg": far, "turned1.jpg": BOX})
        assert data.report.counts == {"clipped": 1}
        assert data.target(1)["original_size"] == (60, 40)


@pytest.mark.parametrize(("orientation", "size"), FEW)
@pytest.mark.parametrize(("kind", "counts"), [(voc, {"unsized": 1}), (table, {"unsized": 1}), (createml, {})])
def test_without_a_size_nothing_tells(tmp_path, kind, counts, orientation, size):
    photo(tmp_path / "train" / "a.jpg", orientation, size, quality=95)
    kind(tmp_path, None, BOX)
    if orientation == 1:
        assert read(tmp_path, BOX).report.counts == counts
    else:
        with pytest.raises(DataError, match=r"size>?, which would tell whether .* was annotated upright: add "):
            open_dataset(str(tmp_path), "trainval")


@pytest.mark.parametrize(("orientation", "size"), FEW)
@pytest.mark.parametrize("kind", [labelme, cvat])
def test_labelme_and_cvat_need_no_size(tmp_path, kind, orientation, size):
    photo(tmp_path / "train" / "a.jpg", orientation, size, quality=95)
    kind(tmp_path, None, BOX)
    assert read(tmp_path, BOX).report.counts == {"unsized": 1}


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_the_tag_tells_and_not_the_size(tmp_path, name):
    for orientation, size in CASES:
        stored, _ = photo(tmp_path / name, orientation, size)
        assert read_size(tmp_path / name) == (stored[::-1], size[::-1], orientation > 1)


def test_it_is_told_in_a_loop_a_training_and_a_check(tmp_path, capsys):
    photo(tmp_path / "train" / "a.jpg", 3)
    voc(tmp_path, FLAT, BOX)
    data = open_dataset(str(tmp_path), "trainval")
    with pytest.warns(UserWarning, match=r"a\.jpg: taken upright, as its EXIF says, though nothing tells .* is used"):
        Transformed(data, lambda *sample: sample)[0]
    assert mended(data).startswith("1 images taken upright, as their EXIF says; nothing tells whether they were")
    assert main(["data", "check", str(tmp_path)]) == 0
    assert "1 images taken upright, as their EXIF says" in capsys.readouterr().out


def test_exif_that_is_damaged_turns_nothing(tmp_path):
    photo(tmp_path / "a.jpg", 1)
    content = (tmp_path / "a.jpg").read_bytes()
    at = content.index(b"Exif\0\0") + 6
    (tmp_path / "a.jpg").write_bytes(content[:at] + b"XXXX" + content[at + 4 :])
    for size in (None, FLAT[::-1]):
        assert read_picture(tmp_path / "a.jpg", size).size == FLAT


def test_texts_of_a_png_are_no_words_of_the_reader(tmp_path):
    texts = PngImagePlugin.PngInfo()
    for key in ("reduced", "truncated", "turned"):
        texts.add_text(key, "8")
    photo(tmp_path / "a.png", 1, pnginfo=texts)
    assert not {"reduced", "truncated", "turned"} & read_picture(tmp_path / "a.png", FLAT[::-1]).info.keys()
