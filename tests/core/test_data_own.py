"""Own data as it comes: the same photographs in every layout give the same targets, and a line says what was found."""

import io
import json
import random
import shutil
import warnings
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lapnet_core.cli import main
from lapnet_core.config import TrainConfig
from lapnet_core.data import DataError
from lapnet_core.data.named import open_dataset
from lapnet_core.data.own import find
from lapnet_core.data.pictures import SUFFIXES
from lapnet_core.data.splits import HELD_OUT, SHARES, make_split, split_files
from lapnet_core.data.voc import VOCDetection
from lapnet_core.deploy.formats import Results
from lapnet_core.deploy.frames import Shot

CLASSES = ("cat", "dog", "no")  # to YAML, the third is a boolean
SIZES = {f"photo{n:02}": (40 + n, 30 + 2 * n) for n in range(12)}
"""(width, height) of each photograph."""
SPLIT = {name: ("train", "train", "train", "val", "test", "train")[n % 6] for n, name in enumerate(SIZES)}


def objects(name: str) -> list[tuple[int, tuple[int, int, int, int]]]:
    """(class, (x1, y1, x2, y2)) of a photograph; one has none."""
    n = int(name[-2:])
    return [(k % 3, (k + 1, 2 + k, 12 + n + k, 20 + k)) for k in range(n % 3 + 1)] if n != 5 else []


def picture(path: Path, name: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", SIZES[name], (int(name[-2:]) * 9, 80, 30)).save(path)


def xml(path: Path, name: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = SIZES[name]
    boxes = "".join(
        f"<object><name>{CLASSES[c]}</name><bndbox><xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin><xmax>{x2}</xmax>"
        f"<ymax>{y2}</ymax></bndbox></object>"
        for c, (x1, y1, x2, y2) in objects(name)
    )
    path.write_text(f"<annotation><size><width>{width}</width><height>{height}</height></size>{boxes}</annotation>")


def labels(path: Path, name: str, polygons: bool = False) -> None:
    width, height = SIZES[name]
    lines = []
    for c, (x1, y1, x2, y2) in objects(name):
        corners = (x1 / width, y1 / height, x2 / width, y2 / height)
        numbers = [(corners[0] + corners[2]) / 2, (corners[1] + corners[3]) / 2]
        numbers += [corners[2] - corners[0], corners[3] - corners[1]]
        if polygons:
            (a, b, c2, d) = corners
            numbers = [a, (b + d) / 2, (a + c2) / 2, b, c2, (b + d) / 2, (a + c2) / 2, d]
        lines.append(" ".join([str(c), *(f"{number:.9f}" for number in numbers)]))
    if lines or name != "photo05":  # an image without objects has no file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\r\n\n")


def coco(path: Path, names: list[str], folder: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [(n, c, box) for n, name in enumerate(names) for c, box in objects(name)]
    content = {
        "images": [
            {"id": n, "file_name": f"{folder}{name}.jpg", "width": SIZES[name][0], "height": SIZES[name][1]}
            for n, name in enumerate(names)
        ],
        # Roboflow's first category is the name of the project, and has no object
        "categories": [{"id": 0, "name": "things"}, *({"id": 3 * n + 1, "name": x} for n, x in enumerate(CLASSES))],
        "annotations": [
            {"id": k, "image_id": n, "category_id": 3 * c + 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "area": 1}
            for k, (n, c, (x1, y1, x2, y2)) in enumerate(rows)
        ],
    }
    path.write_text(json.dumps(content))


def of(split: str) -> list[str]:
    return [name for name in SIZES if SPLIT[name] == split]


def voc(root, lists=("train", "val", "test"), images="JPEGImages", annotations="Annotations"):
    for name in SIZES:
        picture(root / images / f"{name}.jpg", name)
        xml(root / annotations / f"{name}.xml", name)
    for split in lists:
        (root / "ImageSets" / "Main").mkdir(parents=True, exist_ok=True)
        names = of(split) if split in ("train", "val", "test") else list(SIZES)
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(names))


def xml_by_split(root):
    for name, split in SPLIT.items():
        folder = root / ("valid" if split == "val" else split)
        picture(folder / f"{name}.jpg", name)
        xml(folder / f"{name}.xml", name)


def coco_official(root):
    for split in ("train", "val", "test"):
        coco(root / "annotations" / f"instances_{split}2017.json", of(split))
        (root / "annotations" / f"captions_{split}2017.json").write_text('{"images": [], "annotations": []}')
        for name in of(split):
            picture(root / f"{split}2017" / f"{name}.jpg", name)


def coco_one_folder(root):
    for split in ("train", "val", "test"):
        coco(root / "annotations" / f"instances_{split}.json", of(split))
    for name in SIZES:
        picture(root / "images" / f"{name}.jpg", name)


def roboflow_coco(root):
    for split, folder in (("train", "train"), ("val", "valid"), ("test", "test")):
        coco(root / folder / "_annotations.coco.json", of(split))
        for name in of(split):
            picture(root / folder / f"{name}.jpg", name)


def coco_alone(root, images="", where="result.json", inside=""):
    coco(root / where, list(SIZES), inside)
    for name in SIZES:
        picture(root / images / f"{name}.jpg", name)


DESCRIBED = "names: [cat, dog, no]\nnc: 3\n"


def yolo(
    root, form="images/{}", about="train: images/train\nval: images/val\ntest: images/test\n", val="val", **options
):
    for name, split in SPLIT.items():
        place = form.format(val if split == "val" else split)
        picture(root / place / f"{name}.jpg", name)
        labels(root / place.replace("images", "labels") / f"{name}.txt", name, **options)
    if about is not None:
        (root / "data.yaml").write_text(about + DESCRIBED)


ROBOFLOW = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n"
ELSEWHERE = "path: /content/drive/photos\ntrain: images/train\nval: images/val\ntest: images/test\n"
FARTHER = "train: /home/someone/set/images/train/\nval: /home/someone/set/images/val\ntest: C:/images/test\n"


def yolo_lists(root):
    yolo(root, about="train: train.txt\nval: ./val.txt\ntest: [test.txt]\n")
    for split in ("train", "val", "test"):
        lines = [f"{('', './', 'data/somewhere/')[n % 3]}images/{split}/{name}.jpg" for n, name in enumerate(of(split))]
        (root / f"{split}.txt").write_text("\n".join(lines) + "\n")


def yolo_flat(root, names="classes.txt", images="images"):
    for name in SIZES:
        picture(root / images / f"{name}.jpg", name)
        labels(root / images.replace("images", "labels") / f"{name}.txt", name)
    (root / names).write_text("cat\ndog\nno\n" if names.endswith("txt") else DESCRIBED)


def nested(root):
    roboflow_coco(root / "photos.v1" / "export")
    (root / "__MACOSX").mkdir()


def of_a_mac(root):
    voc(root, ())
    for name in ("Annotations/._photo00.xml", "JPEGImages/._photo00.jpg", ".DS_Store"):
        (root / name).write_bytes(b"\0\5\x16\7")


def voc_of_cvat(root, lists):
    """CVAT has a list of each class besides."""
    voc(root, ())
    main = root / "ImageSets" / "Main"
    main.mkdir(parents=True)
    for name, images in lists.items():
        (main / f"{name}.txt").write_text("\n".join(images) + "\n")
        for c in CLASSES:
            (main / f"{c}_{name}.txt").write_text("".join(f"{image}  {-1 if c == 'cat' else 1}\n" for image in images))


def tasks(root):
    for part, names in (("task_1", list(SIZES)[::2]), ("task_2", list(SIZES)[1::2])):
        for name in names:
            picture(root / part / "JPEGImages" / f"{name}.jpg", name)
            xml(root / part / "Annotations" / f"{name}.xml", name)
        (root / part / "ImageSets" / "Main").mkdir(parents=True)
        (root / part / "ImageSets" / "Main" / "default.txt").write_text("\n".join(names))


def xml_by_split_in(root, images, annotations, val="val"):
    for name, split in SPLIT.items():
        folder = val if split == "val" else split
        picture(root / images.format(folder) / f"{name}.jpg", name)
        xml(root / annotations.format(folder) / f"{name}.xml", name)


def coco_of_cvat(root):
    for split, folder in (("train", "Train"), ("val", "Validation"), ("test", "Test")):
        coco(root / "annotations" / f"instances_{folder}.json", of(split))
        for name in of(split):
            picture(root / "images" / folder / f"{name}.jpg", name)
            # of the same name in another split: the folder that is called alike is the right one
            picture(root / "images" / ("Test" if split == "train" else "Train") / f"{name}.jpg", "photo00")


def class_names_in_each(root, form, name):
    yolo(root, form, about=None)
    for split in ("train", "val", "test"):
        place = root / form.format(split).replace("images", "labels") / name
        place.write_text("cat\ndog\nno\n" if split == "val" else "cat \r\ndog\r\nno\r\n\r\n")


def windows(root):
    yolo(root, about="path: C:\\Users\\anna\\photos\ntrain: train.txt\nval: images\\val\ntest: images\\test\n")
    (root / "train.txt").write_text(
        "".join(f"C:\\photos\\images\\train\\{name}.jpg\r\n" for name in of("train")), "utf-16"
    )


def linked(root):
    """The photographs are on another disk, which has a link back."""
    yolo_flat(root.parent / "disk")
    for part in ("images", "labels", "classes.txt"):
        (root / part).symlink_to(root.parent / "disk" / part)
    (root.parent / "disk" / "images" / "back").symlink_to(root)
    (root.parent / "disk" / "images" / "up").symlink_to(root.parent)


def beside_a_readme(root):
    coco_alone(root / "photos" / "photos", "images")
    (root / "README.md").write_text("Photographs")


def coco_of_numbers_with_points(root):
    coco_alone(root)
    content = json.loads((root / "result.json").read_text())
    for image in content["images"]:
        image["width"] = float(image["width"])
    for annotation in content["annotations"]:
        annotation["iscrowd"] = False
    (root / "result.json").write_text("\ufeff" + json.dumps(content))


def by_split(root, form, write):
    """What `write` makes of the names of each split, and the photographs."""
    for split, folder in (("train", "train"), ("val", "valid"), ("test", "test")):
        for name in of(split):
            picture(root / form.format(folder) / f"{name}.jpg", name)
        write(root, folder, of(split))


def table(root, folder, names):
    rows = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
    for name in names:
        size = ",".join(map(str, SIZES[name]))
        rows += [f"{name}.jpg,{size},{CLASSES[c]},{','.join(map(str, box))}" for c, box in objects(name)] or [
            f"{name}.jpg,{size},,,,,"
        ]
    (root / folder / "_annotations.csv").write_text("\n".join(rows))


def createml(root, folder, names):
    content = []
    for name in names:
        boxes = [(c, (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1) for c, (x1, y1, x2, y2) in objects(name)]
        found = [
            {"label": CLASSES[c], "coordinates": dict(zip(("x", "y", "width", "height"), box, strict=True))}
            for c, *box in boxes
        ]
        content.append({"image": f"{name}.jpg", "annotations": found})
    (root / folder / "_annotations.createml.json").write_text(json.dumps(content))


def labelme(root, folder, names):
    for name in names:
        shapes = [
            {"label": CLASSES[c], "points": [[x2, y1], [x1, y2]], "shape_type": "rectangle"}
            for c, (x1, y1, x2, y2) in objects(name)
        ]
        width, height = SIZES[name]
        content = {"shapes": shapes, "imagePath": f"C:\\d\\{name}.jpg", "imageWidth": width, "imageHeight": height}
        (root / folder / f"{name}.json").write_text(json.dumps(content))


def cvat(root, folder, names):
    file = root / "annotations.xml"
    text = file.read_text() if file.exists() else "<annotations><version>1.1</version></annotations>"
    for name in names:
        boxes = "".join(
            f'<box label="{CLASSES[c]}" xtl="{x1}.00" ytl="{y1}.00" xbr="{x2}.00" ybr="{y2}.00" z_order="0"/>'
            for c, (x1, y1, x2, y2) in objects(name)
        )
        size = 'width="{}" height="{}"'.format(*SIZES[name])
        image = f'<image id="1" name="{name}.jpg" subset="{folder.title()}" {size}>{boxes}</image>'
        text = text.replace("</annotations>", f"{image}</annotations>")
    file.write_text(text)


WITH_SPLITS = {
    "tables of Roboflow": lambda root: by_split(root, "{}", table),
    "CreateML of Roboflow": lambda root: by_split(root, "{}", createml),
    "LabelMe": lambda root: by_split(root, "{}", labelme),
    "CVAT's own": lambda root: by_split(root, "images", cvat),
    "VOC": voc,
    "VOC of CVAT": lambda root: voc_of_cvat(
        root, {"Train": of("train"), "Validation": of("val"), "Test": of("test")}),
    "XML in folders by split": lambda root: xml_by_split_in(root, "images/{}", "annotations/{}"),
    "XML in splits by folder": lambda root: xml_by_split_in(root, "{}/pictures", "{}/xmls"),
    "XML, dev": lambda root: xml_by_split_in(root, "{}", "{}", "dev"),
    "COCO of CVAT": coco_of_cvat,
    "YOLO Darknet of Roboflow": lambda root: class_names_in_each(root, "{}", "_darknet.labels"),
    "YOLO, classes.txt in each folder": lambda root: class_names_in_each(root, "images/{}", "classes.txt"),
    "YOLO of Windows": windows,
    "XML by split": xml_by_split,
    "COCO": coco_official,
    "COCO, one folder": coco_one_folder,
    "COCO of Roboflow": roboflow_coco,
    "COCO in a folder in a folder": nested,
    "YOLO": yolo,
    "YOLO without paths": lambda root: yolo(root, about=""),
    "YOLO, names by number": lambda root: (yolo(root), (root / "data.yaml").write_text(
        "train: images/train\nval: images/val\ntest: images/test\nnames:\n  0: cat\n  1: dog\n  2: no\n")),
    "YOLO, polygons": lambda root: yolo(root, polygons=True),
    "YOLO of Roboflow": lambda root: yolo(root, "{}/images", ROBOFLOW, val="valid"),
    "YOLO, paths of elsewhere": lambda root: yolo(root, about=ELSEWHERE),
    "YOLO, absolute paths": lambda root: yolo(root, about=FARTHER),
    "YOLO, labels beside": lambda root: yolo(root, "{}", "train: train\nval: val\ntest: test\n"),
    "YOLO, lists": yolo_lists,
    "YOLO, another name": lambda root: (yolo(root), (root / "data.yaml").rename(root / "my.yml")),
    "YOLO, classes.txt": lambda root: (yolo(root, about=None), (root / "classes.txt").write_text("cat\ndog\nno\n")),
}  # fmt: skip
WITHOUT = {
    "VOC": lambda root: voc(root, ()),
    "VOC of CVAT": lambda root: voc_of_cvat(root, {"default": SIZES}),
    "VOC of CVAT, tasks": tasks,
    "XML in folders in folders": lambda root: voc(root, (), "set/Bilder/1", "set/Rahmen/1"),
    "beside a README": beside_a_readme,
    "COCO of CVAT in default": lambda root: coco_alone(root, "images/default", "annotations/instances_default.json"),
    "COCO of Windows": lambda root: coco_alone(root, "images/cam", inside="cam\\"),
    "COCO of Label Studio": lambda root: coco_alone(root, "images", inside="../../label-studio/data/media/upload/1/"),
    "COCO of elsewhere": lambda root: coco_alone(root, "images", inside="/home/anna/photos/"),
    "COCO, numbers with points": coco_of_numbers_with_points,
    "YOLO, linked": linked,
    "VOC of a Mac": of_a_mac,
    "VOC, one list": lambda root: voc(root, ("default",)),
    "XML in other folders": lambda root: voc(root, (), "images", "annots"),
    "XML in folders of any name": lambda root: voc(root, (), "Bilder", "Rahmen"),
    "XML beside": lambda root: voc(root, (), "", ""),
    "COCO beside": coco_alone,
    "COCO of CVAT": lambda root: coco_alone(root, "images", "annotations/instances_default.json"),
    "COCO with folders in its names": lambda root: coco_alone(root, "images/2024", inside="images/2024/"),
    "YOLO": yolo_flat,
    "YOLO, one file of names": lambda root: yolo_flat(root, "data.yaml"),
    "YOLO, all in one": lambda root: yolo_flat(root, images=""),
}


def stem(name: str) -> str:
    return Path(name.replace("\\", "/")).stem


def targets(data) -> dict[str, list]:
    found = {}
    for index in range(len(data)):
        image, target = data[index]
        name = Path(str(data._images[index].path)).stem
        assert image.shape == (3, *SIZES[name][::-1])
        rows = zip(target["labels"].tolist(), target["boxes"].tolist(), strict=True)
        found[name] = sorted((data.class_names[label], tuple(round(side, 3) for side in box)) for label, box in rows)
    assert len({data.target(index)["image_id"] for index in range(len(data))}) == len(data)
    return found


def expected(names) -> dict[str, list]:
    return {name: sorted((CLASSES[c], tuple(map(float, box))) for c, box in objects(name)) for name in names}


def digest(root: Path) -> dict:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("layout", WITH_SPLITS)
def test_every_layout_with_splits_gives_the_same_targets(tmp_path, layout):
    root = tmp_path / "photos"
    root.mkdir()
    WITH_SPLITS[layout](root)
    before = digest(root)
    for split in ("train", "val", "test"):
        data = open_dataset(str(root), split)
        assert targets(data) == expected(of(split))
        assert split_files(data) == {}
        assert "train 8 / val 2 / trainval 10 / test 2 images" in data.source
        assert "by us" not in data.source
    assert "\n" not in data.source
    train = open_dataset(str(root), "train")
    assert train.class_names == CLASSES
    both = open_dataset(str(root), "trainval", class_names=train.class_names)
    assert targets(both) == expected(of("train") + of("val"))
    assert digest(root) == before  # nothing of the user's is touched


@pytest.mark.parametrize("layout", [*WITH_SPLITS, *WITHOUT])
def test_what_lapnet_predict_wrote_into_the_folder_is_no_data(tmp_path, layout):
    """Pictures with boxes drawn on, under the names of the photographs, and files that look like annotations."""
    root = tmp_path / "photos"
    root.mkdir()
    {**WITHOUT, **WITH_SPLITS}[layout](root)
    splits = ("train", "val", "test")
    before = {split: targets(open_dataset(str(root), split, class_names=CLASSES)) for split in splits}
    out = root / "predictions"
    pictures = [path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES]
    out.mkdir()
    with Results(out, ("json", "coco", "yolo"), ("cat", "dog"), new=True) as results:
        for path in pictures:
            shot = Shot(str(path), path.relative_to(root), size=(30, 40))
            shot.found = {name: torch.zeros(shape) for name, shape in (("boxes", (0, 4)), ("scores", 0))}
            shot.found["labels"] = torch.zeros(0, dtype=torch.int64)
            results.add(shot)
    for path in pictures:
        (out / path.relative_to(root)).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(out / path.relative_to(root))
    assert {"coco_images.json", "detections.json", "labels"} <= {path.name for path in out.iterdir()}
    assert {split: targets(open_dataset(str(root), split, class_names=CLASSES)) for split in splits} == before


@pytest.mark.parametrize("layout", WITHOUT)
def test_every_layout_without_splits_gets_the_same_one(tmp_path, layout):
    root = tmp_path / "photos"
    root.mkdir()
    WITHOUT[layout](root)
    made = {split: sorted(names) for split, names in make_split(list(SIZES)).items()}
    for split, names in made.items():
        data = open_dataset(str(root), split, class_names=CLASSES)
        assert targets(data) == expected(names)
        assert set(data.report.counts) <= {"unlabelled"}  # objects of other splits are not lost
        assert {n: sorted(stem(x) for x in found) for n, found in data.made_splits.items()} == made
        assert "split made by us, 70/15/15 % by a hash of the file names" in data.source
    data = open_dataset(str(root), "trainval", class_names=CLASSES)
    assert targets(data) == expected(made["train"] + made["val"])
    (file,) = split_files(data).values()
    file.save(tmp_path / "run" / "split.json")
    written = json.loads((tmp_path / "run" / "split.json").read_text())
    assert written.pop("made_by") == data.source
    assert {n: sorted(stem(x) for x in found) for n, found in written.items()} == made


def test_an_xml_file_may_be_called_otherwise_than_its_image(tmp_path):
    voc(tmp_path, (), "images", "annotations")
    for n, name in enumerate(SIZES):
        text = (tmp_path / "annotations" / f"{name}.xml").read_text()
        text = text.replace("<annotation>", f"<annotation><filename>C:\\photos\\{name}.jpg</filename>")
        (tmp_path / "annotations" / f"{name}.xml").unlink()
        (tmp_path / "annotations" / f"a{n}.xml").write_text(text)
    found = {}
    for split in ("train", "val", "test"):
        found |= targets(open_dataset(str(tmp_path), split, class_names=CLASSES))
    assert found == expected(SIZES)
    (tmp_path / "annotations" / "copy.xml").write_text(text)
    said = r"annotations/\w+\.xml: its image .*photo11\.jpg is that of .*annotations/\w+\.xml, too"
    with pytest.raises(DataError, match=said):
        VOCDetection([((tmp_path / "annotations", tmp_path / "images"), ["a11", "copy"])], class_names=CLASSES)


def test_xml_that_is_in_no_split_is_said(tmp_path):
    xml_by_split(tmp_path)
    picture(tmp_path / "more" / "photo00.jpg", "photo00")
    xml(tmp_path / "more" / "photo00.xml", "photo00")
    data = open_dataset(str(tmp_path), "train")
    assert "test 2 images; 1 XML files in the folder of no split are left out" in data.source
    assert targets(data) == expected(of("train"))


@pytest.mark.parametrize("suffix", [".tif", ".HEIC", ".gif"])
def test_an_annotated_image_that_is_not_read_is_a_fault(tmp_path, suffix):
    yolo_flat(tmp_path)
    name = make_split(list(SIZES))["train"][0]
    path = tmp_path / "images" / f"{name}.jpg"
    if suffix == ".HEIC":
        path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    else:
        Image.open(path).save(path, {".tif": "TIFF", ".gif": "GIF"}[suffix])
    path.rename(path.with_suffix(suffix))
    said = rf"{name}\{suffix}: cannot read this image \(it holds no JPEG, PNG, BMP or WebP, .*have to be converted"
    with pytest.raises(DataError, match=said):
        open_dataset(str(tmp_path), "train")
    data = open_dataset(str(tmp_path), "train", class_names=CLASSES, on_error="skip")
    assert data.report.counts["image"] == 1
    assert data.report.counts["lost"] == len(objects(name))


def test_class_names_that_disagree_are_refused(tmp_path):
    class_names_in_each(tmp_path, "images/{}", "classes.txt")
    (tmp_path / "labels" / "val" / "classes.txt").write_text("cat\ndog\n")  # LabelImg's, before there was a third
    assert open_dataset(str(tmp_path), "train").class_names == CLASSES
    (tmp_path / "labels" / "val" / "classes.txt").write_text("dog\ncat\n")
    with pytest.raises(DataError, match=r"labels/val/classes\.txt and .* call the same numbers by different classes"):
        open_dataset(str(tmp_path), "train")
    (tmp_path / "labels" / "val" / "classes.txt").write_bytes("Kätzchen\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"classes\.txt: cannot read these class names .*save it as UTF-8"):
        open_dataset(str(tmp_path), "train")


def test_names_with_accents_are_found_whichever_way_they_are_written(tmp_path):
    names = [f"größe{n}.jpg" for n in range(4)]
    content = {
        "images": [
            {"id": n, "file_name": normalize("NFC", name), "width": 40, "height": 30} for n, name in enumerate(names)
        ],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": n, "image_id": n, "category_id": 1, "bbox": [1, 2, 3, 4 + n]} for n in range(4)],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    (tmp_path / "images").mkdir()
    for name in names:  # as a Mac writes them
        (tmp_path / "images" / normalize("NFD", name)).write_bytes(PNG)
    data = [open_dataset(str(tmp_path), split) for split in ("train", "val", "test")]
    assert sum(len(part[n][1]["boxes"]) for part in data for n in range(len(part))) == 4


def test_a_validation_set_is_held_out_where_there_is_none(tmp_path):
    voc(tmp_path, ("train", "test"))
    held = make_split(of("train"), HELD_OUT)
    for split in ("train", "val"):
        assert targets(open_dataset(str(tmp_path), split, class_names=CLASSES)) == expected(held[split])
    data = open_dataset(str(tmp_path), "trainval")
    assert targets(data) == expected(of("train"))
    assert "val held out of train by us, 85/15 %" in data.source
    assert targets(open_dataset(str(tmp_path), "test", class_names=CLASSES)) == expected(of("test"))


def test_lists_of_the_users_stay_as_they_are(tmp_path):
    voc(tmp_path, ("trainval",))
    assert targets(open_dataset(str(tmp_path), "trainval")) == expected(SIZES)
    assert "val held out of trainval by us" in open_dataset(str(tmp_path), "train").source
    with pytest.raises(DataError, match='no split "test"; give --split train or --split val or --split trainval'):
        open_dataset(str(tmp_path), "test")


names = st.lists(st.text("abc01/_. ", min_size=1, max_size=8), unique=True, max_size=40)


@given(names, names)
@settings(max_examples=60)
def test_a_split_is_a_function_of_each_name_alone(some, more):
    dealt = make_split(some)
    assert sorted(name for found in dealt.values() for name in found) == sorted(some)
    assert all(list(dealt.values())[: len(some)])
    shuffled = random.Random(0).sample(some, len(some))
    assert {split: set(found) for split, found in make_split(shuffled).items()} == {s: set(f) for s, f in dealt.items()}
    large = make_split([*map(str, range(100)), *(set(some) | set(more))])
    larger = make_split([*map(str, range(200)), *(set(some) | set(more))])
    for split in SHARES:
        assert set(large[split]) <= set(larger[split])


def test_names_that_no_file_can_have_are_dealt_out():
    names = ["a.jpg", "\ud800.jpg", "\udcff.jpg"]
    assert sorted(name for found in make_split(names).values() for name in found) == names


def test_a_split_has_its_shares_and_copies_stay_together():
    dealt = make_split([f"IMG_{n}.jpg" for n in range(10_000)])
    for split, share in SHARES.items():
        assert len(dealt[split]) == pytest.approx(10_000 * share, abs=150)
    copies = make_split([f"photo{n}_jpg.rf.{k}{'a' * 30}.jpg" for n in range(100) for k in range(3)])
    for found in copies.values():
        assert len(found) == 3 * len({name.split(".rf.")[0] for name in found})


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30)).save(file, "PNG")
    return file.getvalue()


PNG = png()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, r"no annotations that are known. It holds nothing; .*--data takes the folder"),
        ({"a.jpg": "x", "b.jpg": "x", "notes.md": "x"}, r"It holds 2 \.jpg, 1 \.md"),
        ({"data.yaml": "names: [a, b"}, r"data\.yaml: cannot read this YAML file"),
        ({"data.yaml": "- a"}, r"data\.yaml: cannot read this YAML file .*mapping"),
        ({"data.yaml": "names: [a, a]"}, "list of different class names"),
        ({"data.yaml": "names: {0: a, 00: b}"}, "list of different class names"),
        ({"data.yaml": "names: {x: a}"}, "list of different class names"),
        ({"data.yaml": 'names: ["a\\nb"]'}, "list of different class names"),
        ({"data.yaml": "names: [[a]]"}, "list of different class names"),
        ({"data.yaml": "names: [a]\nnc: 2"}, "nc is 2, but there are 1 names"),
        ({"data.yaml": "names: [a]\ntrain: {a: b}"}, "train must be a folder or a list"),
        (
            {"data.yaml": "names: [a]\ntrain: ../train/images"},
            r"data.yaml: train: no images are in \.\./train/images, nor beside data.yaml: correct the path",
        ),
        ({"data.yaml": "names: [a]", "a.jpg": "x", "a.txt": "0 .5 .5 .1 .1"}, "no usable image|cannot read this image"),
        ({"data.yaml": "names: [a]", "images/a.png": PNG}, r"none of 1 images has a label file; .*labels/a\.txt"),
        ({"images/a.jpg": "x", "labels/a.txt": "0 .5 .5 .1 .1"}, "no class names: write .*data.yaml"),
        (
            {"a.jpg": "x", "notes.xml": "<project/>"},
            "notes.xml: holds <project> and not <annotation>",
        ),
        ({"photos.zip": "x"}, r"It holds 1 \.zip; .* converted, as by Datumaro\. --data takes the folder, unpacked"),
        ({"a.json": '{"images": [{"file_name": "a.jpg"}], "annotations": []}'}, "no annotations that are known"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, content, fault):
    for name, text in (content or {}).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=fault):
        open_dataset(str(tmp_path), "train")


def test_a_test_set_that_the_yaml_only_names_is_noted(tmp_path):
    yolo(tmp_path, "{}/images", ROBOFLOW, val="valid")
    shutil.rmtree(tmp_path / "test")
    data = open_dataset(str(tmp_path), "train")
    assert (
        "train 8 / val 2 / trainval 10 images; its test is left out, as no images are in ../test/images" in data.source
    )
    with pytest.raises(DataError, match='no split "test"'):
        open_dataset(str(tmp_path), "test")


def test_images_of_train_never_stand_for_a_val_that_is_not_there(tmp_path):
    yolo(tmp_path, about="train: images/train\nval: ../valid/images\n")
    shutil.rmtree(tmp_path / "images" / "val")
    data = open_dataset(str(tmp_path), "val", class_names=CLASSES)
    assert "its val is left out, as no images are in ../valid/images, nor beside data.yaml" in data.source
    assert "split made by us" in data.source
    assert set(targets(data)) == set(make_split(of("train"))["val"])


def test_images_of_one_name_in_two_folders_are_two(tmp_path):
    for folder in ("train", "valid"):
        picture(tmp_path / folder / "photo03.jpg", "photo03")
        xml(tmp_path / folder / "photo03.xml", "photo03")
    data = open_dataset(str(tmp_path), "trainval")
    assert [data.target(n)["image_id"] for n in range(2)] == ["photo03", "valid/photo03"]


def test_the_same_images_for_train_and_val_are_said(tmp_path):
    yolo_flat(tmp_path, "data.yaml")
    (tmp_path / "data.yaml").write_text("train: images\nval: images\n" + DESCRIBED)
    data = open_dataset(str(tmp_path), "trainval")
    assert len(data) == 12
    assert "train 12 / val 12 / trainval 12 images; 12 images of val are in train, too" in data.source


def test_boxes_in_pixels_are_said_where_no_box_is_left(tmp_path):
    yolo_flat(tmp_path)
    for path in (tmp_path / "labels").glob("photo*"):
        path.write_text("0 30 20 10 10\n")
    with pytest.raises(DataError, match=r"no image has a usable object\. .* the numbers must be shares of the image"):
        open_dataset(str(tmp_path), "train", on_error="skip")


def test_a_file_can_be_named_too(tmp_path):
    yolo(tmp_path)
    coco(tmp_path / "few.json", of("test"))
    assert targets(open_dataset(str(tmp_path / "data.yaml"), "val", class_names=CLASSES)) == expected(of("val"))
    for name in of("test"):
        picture(tmp_path / f"{name}.jpg", name)
    assert find(tmp_path / "few.json").layout.kind == "COCO"
    with pytest.raises(
        DataError, match=r"takes a folder, a \.yaml of YOLO, a \.json of COCO, CreateML or LabelMe, an \.xml"
    ):
        open_dataset(str(tmp_path / "photo04.jpg"), "train")
    with pytest.raises(DataError, match=r'data "nothing": there is no nothing and no .*nothing\. Give --data the path'):
        open_dataset("nothing", "train")


def test_classes_without_an_object_are_no_classes(tmp_path):
    coco_one_folder(tmp_path)
    data = open_dataset(str(tmp_path), "train")
    assert data.class_names == CLASSES  # without "things"
    assert ": COCO, 3 of its 4 classes (the others have no object in train), train 8 / " in data.source
    assert data.category_ids == (1, 4, 7)
    assert torch.equal(data._labels.unique(), torch.arange(3))


def test_a_val_of_coco_that_lists_only_what_occurs(tmp_path):
    coco_one_folder(tmp_path)
    file = tmp_path / "annotations" / "instances_val.json"
    content = json.loads(file.read_text())
    one = content["annotations"][0]["category_id"]
    content["annotations"] = [entry for entry in content["annotations"] if entry["category_id"] == one]
    content["categories"] = [entry for entry in content["categories"] if entry["id"] == one]
    file.write_text(json.dumps(content))
    train, val = open_dataset(str(tmp_path), "train"), open_dataset(str(tmp_path), "val", class_names=CLASSES)
    assert val.category_ids == tuple(number if number == one else None for number in (1, 4, 7))
    assert {val.category_ids[label] for label in val._labels.tolist()} == {one}
    assert val.report.counts == {"lacking": 2}
    both = open_dataset(str(tmp_path), "trainval", class_names=train.class_names)
    assert len(both._labels) == len(train._labels) + len(val._labels)


def test_images_that_are_in_two_parts_are_said_and_in_trainval_once(tmp_path):
    coco_one_folder(tmp_path)
    coco(tmp_path / "annotations" / "instances_val.json", [*of("train")[:1], *of("val")])
    data = open_dataset(str(tmp_path), "trainval")
    assert len(data) == len(of("train")) + len(of("val"))
    assert "; 1 images of val are in train, too" in data.source
    voc(tmp_path / "voc")
    lists = tmp_path / "voc" / "ImageSets" / "Main"
    (lists / "test.txt").write_text("\n".join([*of("test"), *of("train")[:2]]))
    assert "; 2 images of test are in train, too" in find(tmp_path / "voc").line()
    (lists / "val.txt").unlink()
    assert "; 2 images of test are in train, too" in find(tmp_path / "voc").line(), "also where we hold a val out"


def halves(root: Path, place, write) -> None:
    """Two photographs of each name: in `place`(which, name)."""
    for n, name in enumerate(SIZES):
        for which in ("left", "right"):
            image = root / place(which, n)
            picture(image, name)
            write(image, name)


@pytest.mark.parametrize("kind", ["VOC", "YOLO", "COCO"])
def test_images_of_one_name_in_two_folders_are_in_one_split_each(tmp_path, kind):
    """By two cameras: the split is by their folders, too, as soon as few names are different."""

    def place(which, n):
        return f"{which}{n:02}/image.jpg" if kind != "YOLO" else f"images/{which}{n:02}/image.jpg"

    def write(image, name):
        if kind == "VOC":
            xml(image.with_suffix(".xml"), name)
        elif kind == "YOLO":
            labels(tmp_path / "labels" / image.parent.name / "image.txt", name)

    halves(tmp_path, place, write)
    if kind == "YOLO":
        (tmp_path / "data.yaml").write_text(f"names: {[*CLASSES]}")
    elif kind == "COCO":
        for which in ("left", "right"):
            for n, name in enumerate(SIZES):
                coco(tmp_path / f"{which}{n:02}" / "labels.json", [name])
                text = (tmp_path / f"{which}{n:02}" / "labels.json").read_text()
                (tmp_path / f"{which}{n:02}" / "labels.json").write_text(text.replace(name, "image"))
    own = find(tmp_path)
    opened = {split: own.open(split) for split in ("train", "val", "test")}
    files = {split: {data.file(k) for k in range(len(data))} for split, data in opened.items()}
    assert sum(map(len, files.values())) == 24 == len(set().union(*files.values()))
    assert len(files["train"]) < 22, "the names alone would put all into one"
    assert sum(map(len, own.made.values())) == 24 == len({name for names in own.made.values() for name in names})


def test_folders_and_lists_that_are_called_after_a_split_in_other_words(tmp_path):
    for name, split in SPLIT.items():
        picture(tmp_path / "a" / f"{split}_images" / f"{name}.jpg", name)
        xml(tmp_path / "a" / f"{split}_annotations" / f"{name}.xml", name)
    voc(tmp_path / "b", ("train",))
    lists = tmp_path / "b" / "ImageSets" / "Main"
    (lists / "Testing.txt").write_text("\n".join(f"{name}.jpg" for name in of("test")))
    (lists / "new_train.txt").write_text("\n".join(of("val")))
    (lists / "cat_train.txt").write_text("\n".join(f"{name} -1" for name in of("train")))
    for folder in ("a", "b"):
        assert targets(open_dataset(str(tmp_path / folder), "test")) == expected(of("test"))
    assert find(tmp_path / "a").splits == ("train", "val", "trainval", "test")
    assert "new_train.txt is left out: it is no split" in find(tmp_path / "b").line()
    assert "cat_train" not in find(tmp_path / "b").line()


def test_names_of_a_list_may_have_folders_and_suffixes(tmp_path):
    names = [f"north/{name}" for name in SIZES]
    for name in SIZES:
        picture(tmp_path / "JPEGImages" / "north" / f"{name}.jpg", name)
        xml(tmp_path / "Annotations" / "north" / f"{name}.XML", name)
    data = VOCDetection([(tmp_path, names)], class_names=CLASSES)
    suffixed = VOCDetection([(tmp_path, [f"{name}.jpg" for name in names])], class_names=CLASSES)
    for one in (data, suffixed):
        assert [one.target(k)["image_id"] for k in range(len(one))] == names
        assert "/JPEGImages/north/" in one.file(0)


def test_coco_takes_the_photographs_and_never_those_of_another_folder(tmp_path):
    for name in SIZES:
        picture(tmp_path / "a" / "images" / f"{name}.jpg", name)
        picture(tmp_path / "a" / "drawn" / f"{name}.jpg", name)
        picture(tmp_path / "b" / "images" / "north" / f"{name}.jpg", name)
    coco(tmp_path / "a" / "annotations" / "all.json", list(SIZES))
    coco(tmp_path / "b" / "all.json", list(SIZES), "north/")
    content = json.loads((tmp_path / "b" / "all.json").read_text())
    south = [{**image, "id": image["id"] + 100, "file_name": image["file_name"].replace("north", "south")}
             for image in content["images"]]  # fmt: skip
    (tmp_path / "b" / "all.json").write_text(json.dumps({**content, "images": [*south, *content["images"]]}))
    assert "/images/" in open_dataset(str(tmp_path / "a"), "train").file(0)
    with pytest.raises(DataError, match=r"south/photo\d\d\.jpg' is missing in .*b/images"):
        open_dataset(str(tmp_path / "b"), "train")
    for name in SIZES:
        picture(tmp_path / "c" / "one" / f"{name}.jpg", name)
        picture(tmp_path / "c" / "two" / f"{name}.jpg", name)
    coco(tmp_path / "c" / "all.json", list(SIZES))
    assert "the images of all.json may be those in one or in two: the first are taken" in find(tmp_path / "c").line()


def test_a_class_that_our_split_took_from_the_training_is_no_fault(tmp_path):
    voc(tmp_path, ())
    made = find(tmp_path).made
    assert made
    for name in made["test"]:
        path = tmp_path / "Annotations" / f"{name}.xml"
        path.write_text(path.read_text().replace("<name>cat<", "<name>yak<"))
    names = open_dataset(str(tmp_path), "train").class_names
    data = open_dataset(str(tmp_path), "test", class_names=names)
    assert data.report.counts["other"] > 0
    assert "yak" not in data.class_names


def test_yolo_with_capitals_stray_files_and_labels_that_nobody_has(tmp_path):
    for name in SIZES:
        picture(tmp_path / "Images" / f"{name}.jpg", name)
        labels(tmp_path / "Labels" / f"{name}.txt", name)
    (tmp_path / "a_network.yaml").write_text("nc: 80\ndepth_multiple: 0.33\n")
    (tmp_path / "mine.yaml").write_text(f"names: {[*CLASSES]}\n")
    labels(tmp_path / "Labels" / "lost.txt", "photo01")
    labels(tmp_path / "Labels" / "classes.txt", "photo01")
    own = find(tmp_path)
    found = [own.open(split) for split in ("train", "val", "test")]
    assert sum(len(data) for data in found) == len(SIZES)
    assert set(found[0].class_names) <= set(CLASSES)
    assert "1 label files without an image are left out, such as" in own.line()
    assert "lost.txt" in own.line()


def test_a_folder_that_is_called_test_is_no_split_by_its_name_alone(tmp_path):
    voc(tmp_path, ())
    picture(tmp_path / "test" / "photo00.jpg", "photo00")
    assert "split made by us" in open_dataset(str(tmp_path), "train").source


def named(path, **tags):
    """Writes tags into an XML file."""
    told = "".join(f"<{tag}>{text}</{tag}>" for tag, text in tags.items())
    path.write_text(path.read_text().replace("<annotation>", f"<annotation>{told}"))


@pytest.mark.parametrize(("place", "suffix"), [("annotations/trimaps", ".png"), ("drawn", ".jpg")])
def test_pictures_beside_the_photographs_are_not_taken_for_them(tmp_path, place, suffix):
    """Masks, as Oxford-IIIT Pet has them, and copies with boxes drawn."""
    voc(tmp_path, (), "photos", "annotations/xmls")
    for name in SIZES:
        picture(tmp_path / place / f"{name}{suffix}", name)
        named(tmp_path / "annotations" / "xmls" / f"{name}.xml", filename=f"{name}.jpg", folder="C:\\my photos\\photos")
    layout = find(tmp_path).layout
    assert {images for sources in layout.parts.values() for (_, images), _ in sources} == {tmp_path / "photos"}
    assert not any("left out" in note or "several" in note for note in layout.notes)


def test_of_images_that_nothing_tells_apart_it_is_said_which_is_taken(tmp_path):
    voc(tmp_path, (), "photos", "xml")
    for name in of("train"):
        picture(tmp_path / "drawn" / f"{name}.jpg", name)
    said = "8 XML files may be of several images, such as drawn/photo00.jpg and photos/photo00.jpg: the first is taken"
    assert said in find(tmp_path).line()


@pytest.mark.parametrize("folders", ["images/{}", "{}/photos"])
def test_one_folder_of_xml_may_be_of_images_in_several(tmp_path, folders):
    for name, split in SPLIT.items():
        picture(tmp_path / folders.format("valid" if split == "val" else split) / f"{name}.jpg", name)
        xml(tmp_path / "annotations" / f"{name}.xml", name)
    for split in ("train", "val", "test"):
        assert targets(open_dataset(str(tmp_path), split, class_names=CLASSES)) == expected(of(split))


def test_images_of_classes_in_folders_of_their_own(tmp_path):
    for name in SIZES:
        picture(tmp_path / "images" / CLASSES[int(name[-2:]) % 2] / f"{name}.jpg", name)
        xml(tmp_path / "annotations" / f"{name}.xml", name)
    found = {}
    for split in ("train", "val", "test"):
        found |= targets(open_dataset(str(tmp_path), split, class_names=CLASSES))
    assert found == expected(SIZES)


def test_an_image_of_another_split_never_stands_for_one_that_is_missing(tmp_path):
    for split in ("train", "valid"):
        for name in list(SIZES)[:4]:
            picture(tmp_path / split / "images" / f"{name}.jpg", name)
            xml(tmp_path / split / "annotations" / f"{name}.xml", name)
    (tmp_path / "valid" / "images" / "photo02.jpg").unlink()
    with pytest.raises(
        DataError, match=r"valid/annotations/photo02\.xml: its image .*valid/images/photo02\.jpg is missing"
    ):
        open_dataset(str(tmp_path), "val", class_names=CLASSES)
    data = open_dataset(str(tmp_path), "val", class_names=CLASSES, on_error="skip")
    assert {Path(data.file(n)).parent for n in range(len(data))} == {tmp_path / "valid" / "images"}


def test_pictures_to_try_and_drawn_ones_are_no_split(tmp_path):
    yolo_flat(tmp_path)
    picture(tmp_path / "test" / "demo.jpg", "photo00")
    picture(tmp_path / "runs" / "detect" / "train" / "val_batch0_pred.jpg", "photo01")
    data = open_dataset(str(tmp_path), "train")
    assert "split made by us" in data.source
    assert "1 images in folders of test are left out, as none has labels" in data.source
    assert "1 images in folders of train are left out, as none has labels" in data.source
    assert set(targets(data)) == set(make_split(list(SIZES))["train"])


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("make", [yolo_flat, lambda root: voc(root, ())])
def test_what_lies_beside_a_val_or_test_is_the_training_set(tmp_path, make, split):
    make(tmp_path)
    if (tmp_path / "labels").exists():
        for folder, end in (("images", "jpg"), ("labels", "txt")):
            (tmp_path / split / folder).mkdir(parents=True)
            (tmp_path / folder / f"photo03.{end}").rename(tmp_path / split / folder / f"photo03.{end}")
    else:
        (tmp_path / split).mkdir()
        (tmp_path / "Annotations" / "photo03.xml").rename(tmp_path / split / "photo03.xml")
        (tmp_path / "JPEGImages" / "photo03.jpg").rename(tmp_path / split / "photo03.jpg")
    others = [name for name in SIZES if name != "photo03"]
    assert targets(open_dataset(str(tmp_path), split, class_names=CLASSES)) == expected(["photo03"])
    split = "train" if split == "val" else "trainval"  # of which val is held out
    assert targets(open_dataset(str(tmp_path), split, class_names=CLASSES)) == expected(others)


def test_a_path_of_roboflow_never_leads_into_the_data_set_above(tmp_path):
    yolo(tmp_path, "{}/images", None)
    for name in SIZES:
        picture(tmp_path / "new" / "train" / "images" / f"new{name}.jpg", name)
        labels(tmp_path / "new" / "train" / "labels" / f"new{name}.txt", name)
    (tmp_path / "new" / "data.yaml").write_text(ROBOFLOW + DESCRIBED)
    data = open_dataset(str(tmp_path / "new"), "trainval", class_names=CLASSES)
    assert len(data) == 12
    assert all(Path(data.file(n)).name.startswith("new") for n in range(12))


def test_the_subsets_of_cvat_are_splits(tmp_path):
    for name, split in SPLIT.items():
        place = tmp_path / f"obj_{'Validation' if split == 'val' else split}_data"
        picture(place / f"{name}.jpg", name)
        labels(place / f"{name}.txt", name)
    (tmp_path / "obj.names").write_text("cat\ndog\nno\n")
    for split in ("train", "val", "test"):
        assert targets(open_dataset(str(tmp_path), split, class_names=CLASSES)) == expected(of(split))


def test_a_blank_line_among_class_names_moves_no_class(tmp_path):
    yolo_flat(tmp_path)
    (tmp_path / "classes.txt").write_text("cat\n\ndog\nno\n")
    with pytest.raises(DataError, match=r"classes\.txt: line 2 is blank, and so a class without a name"):
        open_dataset(str(tmp_path), "train")
    (tmp_path / "classes.txt").write_text("cat\ndog \nno\n\n \n")
    assert open_dataset(str(tmp_path), "train").class_names == CLASSES


def test_images_without_xml_are_said(tmp_path):
    voc(tmp_path, ())
    (tmp_path / "Annotations" / "photo03.xml").unlink()
    assert "1 images without an XML file are left out" in open_dataset(str(tmp_path), "train").source


@pytest.mark.parametrize("orientation", [3, 6])  # half a turn is not seen by the size
def test_yolo_is_read_upright(tmp_path, orientation):
    yolo_flat(tmp_path)
    stored = Image.fromarray(np.arange(40 * 30, dtype=np.uint8).reshape(30, 40))
    exif = stored.getexif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "images" / "photo00.png", exif=exif)
    (tmp_path / "images" / "photo00.jpg").unlink()
    split = next(split for split, found in make_split(list(SIZES)).items() if "photo00" in found)
    data = open_dataset(str(tmp_path), split, class_names=CLASSES)
    index = [Path(record.path).stem for record in data._images].index("photo00")
    image, target = data[index]
    upright = np.rot90(np.asarray(stored), {3: 2, 6: -1}[orientation])
    assert tuple(image.shape[1:]) == target["original_size"] == upright.shape
    assert np.array_equal(image[0].numpy(), upright)
    x1, y1, x2, y2 = objects("photo00")[0][1]
    height, width = upright.shape
    scaled = [x1 * width / 40, y1 * height / 30, x2 * width / 40, y2 * height / 30]
    assert target["boxes"][0].tolist() == pytest.approx(scaled, rel=1e-5)


@pytest.mark.slow
def test_a_training_says_what_it_trains_on_and_writes_the_split_down(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yolo_flat(tmp_path / "photos")
    before = digest(tmp_path / "photos")
    small = ["--backbone", "light", "--weights", "none", "--frozen", "0", "--image-size", "64", "64", "--steps", "1"]
    assert main(["train", "--data", "photos", *small, "--out", "run"]) == 0
    assert (
        "photos: YOLO, 3 classes, train 10 / val 1 / trainval 11 / test 1 images; split made by us"
        in capsys.readouterr().out
    )
    written = json.loads((tmp_path / "run" / "split.json").read_text())
    made = make_split(list(SIZES))
    assert {split: sorted(Path(name).stem for name in written[split]) for split in made} == {
        s: sorted(n) for s, n in made.items()
    }
    assert digest(tmp_path / "photos") == before


def test_one_photograph_is_not_validated_on(tmp_path, capsys):
    picture(tmp_path / "photo04.jpg", "photo04")
    xml(tmp_path / "photo04.xml", "photo04")
    small = ["--backbone", "light", "--weights", "none", "--frozen", "0", "--out", str(tmp_path / "run")]
    assert main(["train", "--data", str(tmp_path), *small]) == 1
    assert ", val: there are no images to validate on; train without, by --val-every 0" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_training_counts_the_images_that_end_too_early(tmp_path, capsys, workers):
    yolo_flat(tmp_path / "photos")
    for name in make_split(list(SIZES))["train"][:3]:
        path = tmp_path / "photos" / "images" / f"{name}.jpg"
        path.write_bytes(path.read_bytes()[:-4])
    small = ["--backbone", "light", "--weights", "none", "--frozen", "0", "--image-size", "64", "64", "--steps", "3"]
    more = ["--workers", workers, "--out", str(tmp_path / "run")]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert main(["train", "--data", str(tmp_path / "photos"), *small, *more]) == 0
    said = [str(one.message) for one in told]
    assert sum("3 images end too early and were used as far as they go, first: " in one for one in said) == 1


@pytest.mark.slow
def test_evaluate_takes_val_where_there_is_no_test_and_predict_counts_what_ends_too_early(tmp_path, capsys):
    yolo(tmp_path / "photos", about="train: images/train\nval: images/val\n")
    small = ["--backbone", "light", "--weights", "none", "--frozen", "0", "--image-size", "64", "64", "--steps", "1"]
    assert main(["train", "--data", str(tmp_path / "photos"), *small, "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    evaluate = ["evaluate", str(tmp_path / "run"), "--data", str(tmp_path / "photos")]
    assert main([*evaluate, "--json", str(tmp_path / "figures.json")]) == 0
    said = capsys.readouterr().out
    assert "photos: YOLO, 3 classes, train 8 / val 2 / trainval 10 images\n" in said
    assert "on val: a training on trainval has seen these images" in said
    assert json.loads((tmp_path / "figures.json").read_text())["split"] == "val"
    assert main([*evaluate, "--split", "test"]) == 1
    assert 'no split "test"; give --split train or --split val' in capsys.readouterr().err
    path = tmp_path / "photos" / "images" / "val" / "photo03.jpg"
    path.write_bytes(path.read_bytes()[:-4])
    assert main(["predict", str(tmp_path / "run"), str(path), "--out", str(tmp_path / "out")]) == 0
    assert "1 files are damaged or end too early and were used as far as they go, first: " in capsys.readouterr().out
    path.write_bytes(b"")
    assert main(["predict", str(tmp_path / "run"), str(path), "--out", str(tmp_path / "out")]) == 1
    assert "--on-error skip goes on with the others" in capsys.readouterr().err


def test_a_coco_file_in_its_usual_place_is_named(tmp_path):
    coco_official(tmp_path)
    (file,) = (tmp_path / "annotations").glob("instances_train*.json")
    found: dict = {}
    for split in ("train", "val", "test"):  # made of the one file that was named
        found |= targets(open_dataset(str(file), split, class_names=CLASSES))
    assert found == expected(of("train"))


def test_an_empty_name_is_no_folder(tmp_path, monkeypatch):
    voc(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match='data ""'):
        open_dataset("", "train")
    assert open_dataset(".", "train").source.startswith(f"{tmp_path.name}: VOC")
    assert TrainConfig(data=".").run_dir.name.startswith(f"{tmp_path.name}-")


def test_names_that_begin_with_one_are_told_as_they_are(tmp_path):
    yolo(tmp_path)
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: {1: cat, 2: dog, 3: no}\n")
    with pytest.raises(DataError, match="class 0 is none of 1 to 3, as `names` has them"):
        open_dataset(str(tmp_path), "train")
