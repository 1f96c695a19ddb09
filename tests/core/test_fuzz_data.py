"""Readers of data on mutated files: whatever a file holds, the answer is a data set that can be used, or one error with
the file's name; under "skip" nothing goes uncounted. LAPNET_FUZZ=5000 tries so many examples of each, drawn anew."""

import contextlib
import csv
import gzip
import io
import json
import math
import os
import xml.etree.ElementTree as plain
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from defusedxml import ElementTree
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from lapnet_core.anchors import AnchorFile
from lapnet_core.data import CocoDetection, DataError, Skipped, VOCDetection
from lapnet_core.data.box_table import read_boxes
from lapnet_core.data.own import find
from lapnet_core.data.pictures import read_picture
from lapnet_core.data.yolo import YoloDetection

EXAMPLES = int(os.environ.get("LAPNET_FUZZ", "0"))
fuzz = settings(
    max_examples=EXAMPLES or 150,
    derandomize=not EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
WIDTH, HEIGHT = 40, 30
policies = st.sampled_from(["raise", "skip"])


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


NASTY_NUMBERS = [0, -1, 1, 0.5, -0.0, 5e-324, 1e-30, 1e30, 1e308, 10**30, 10**400, 2**24 + 1, 2**31, 2**63, 2**64, 1e9]
NASTY_NUMBERS += [-(10**30), 16777217.5, 178956971, math.nan, math.inf, -math.inf]
NASTY_TEXTS = ["", " ", "x", "nan", "inf", "-1", "0", "1_0", "0x10", "１２", "1e999", "9" * 400, "9" * 5000, "1e-320"]
NASTY_TEXTS += [
    "../../etc/passwd",
    "/etc/passwd",
    "x" * 5000,
    "x" * 5000 + ".jpg",
    "ü" * 200,
    "a\nb",
    "true",
    "a.jpg/b",
]
NASTY_NAMES = ["\0", "\ud800", "\udcff.jpg"]  # JSON can hold them, XML cannot
nasty = st.sampled_from(
    [None, True, False, [], {}, [[]], nested(300), *NASTY_NUMBERS, *NASTY_TEXTS, *NASTY_NAMES]
) | st.floats() | st.integers() | st.text(max_size=4)  # fmt: skip
places = st.integers(0, 10**6)


@st.composite
def mutated_bytes(draw, whole: bytes) -> bytes:
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["flip", "flip", "insert", "truncate", "double", "delete"]))
        at = draw(places) % (len(content) + 1)
        to = min(len(content), at + draw(st.integers(1, 40)))
        if kind == "flip" and at < len(content):
            content[at] ^= draw(st.integers(1, 255))
        elif kind == "insert":
            content[at:at] = draw(st.binary(min_size=1, max_size=6))
        elif kind == "truncate":
            del content[at:]
        elif kind == "double":
            content[at:at] = content[at:to]
        else:
            del content[at:to]
    return bytes(content)


def containers(value) -> list:
    """All lists and objects inside a piece of JSON."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    found = [one for part in inner if isinstance(part, list | dict) for one in containers(part)]
    return [value, *found]


@st.composite
def mutated_json(draw, whole: dict) -> str:
    content = deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        shallow = [one for one in containers(content) if one and len(str(one)) < 10_000]
        if not shallow:
            break
        container = shallow[draw(places) % len(shallow)]
        keys = list(container) if isinstance(container, dict) else range(len(container))
        key = keys[draw(places) % len(keys)]
        kind = draw(st.sampled_from(["replace", "replace", "delete", "double", "swap"]))
        if kind == "replace":
            container[key] = draw(nasty)
        elif kind == "delete":
            del container[key]
        elif kind == "double" and isinstance(container, list):
            container.insert(key, deepcopy(container[key]))
        elif kind == "swap":
            other = keys[draw(places) % len(keys)]
            container[key], container[other] = container[other], container[key]
    return json.dumps(content)


@st.composite
def mutated_xml(draw, whole: bytes) -> bytes:
    root = plain.fromstring(whole)
    for _ in range(draw(st.integers(1, 3))):
        parents = [element for element in root.iter() if len(element)]
        if not parents:
            break
        parent = parents[draw(places) % len(parents)]
        at = draw(places) % len(parent)
        kind = draw(st.sampled_from(["text", "text", "delete", "double", "rename", "deep"]))
        if kind == "text":
            parent[at].text = draw(st.sampled_from([*NASTY_TEXTS, *map(str, NASTY_NUMBERS)]) | st.floats().map(str))
        elif kind == "delete":
            parent.remove(parent[at])
        elif kind == "double":
            parent.insert(at, deepcopy(parent[at]))
        elif kind == "rename":
            parent[at].tag = draw(st.sampled_from(["object", "size", "bndbox", "name", "xmin", "filename", "x"]))
        else:
            for _ in range(50):
                parent.append(plain.Element(parent.tag))
                parent = parent[-1]
    return plain.tostring(root)


@contextlib.contextmanager
def told(place):
    """Only errors that the command tells in one sentence, and with the file's name in it."""
    caught = None
    try:
        yield
    except (ValueError, OSError) as error:
        caught = error
    assert caught is None or isinstance(caught, OSError) or type(caught) in (ValueError, DataError), repr(caught)
    assert caught is None or str(place) in str(caught)


def check(data) -> int:
    """Every target holds what training and evaluation take for granted. Returns the number of objects."""
    for index in range(len(data)):
        target = data.target(index)
        height, width = target["original_size"]
        boxes = target["boxes"].as_subclass(torch.Tensor)
        x1, y1, x2, y2 = boxes.double().unbind(-1)
        assert boxes.isfinite().all()
        assert ((x1 >= 0) & (x1 < x2) & (x2 <= width) & (y1 >= 0) & (y1 < y2) & (y2 <= height)).all()
        assert ((boxes[:, 2:] - boxes[:, :2]).prod(1) > 0).all()
        assert ((target["labels"] >= 0) & (target["labels"] < len(data.class_names))).all()
        assert len(target["labels"]) == len(target["difficult"]) == len(boxes)
    ids = [data.target(index)["image_id"] for index in range(len(data))]
    assert len(set(ids)) == len(ids)
    assert len(data) > 0
    return sum(len(data.target(index)["labels"]) for index in range(len(data)))


def check_images(data) -> None:
    """An image of another size than its annotation says is never handed on."""
    for index in range(len(data)):
        with contextlib.suppress(DataError):
            sample = data[index]
            assert isinstance(sample, Skipped) == (data.target(index)["original_size"] != (HEIGHT, WIDTH))


def voc_object(name: str, box: tuple) -> str:
    sides = "".join(f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name><difficult>0</difficult><bndbox>{sides}</bndbox></object>"


ANNOTATION = (
    f"<annotation><filename>a.jpg</filename><size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    f"{voc_object('dog', (1, 1, 40, 30))}{voc_object('cat', (5, 6, 20, 25.5))}</annotation>"
).encode()
IMAGE_SET = b"a\nb\nc\n"


@pytest.fixture(scope="module")
def voc(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("voc")
    for folder in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (root / folder).mkdir(parents=True)
    for name in "abc":
        Image.new("RGB", (WIDTH, HEIGHT)).save(root / "JPEGImages" / f"{name}.jpg")
        (root / "Annotations" / f"{name}.xml").write_bytes(ANNOTATION)
    (root / "ImageSets" / "Main" / "trainval.txt").write_bytes(IMAGE_SET)
    return root


def objects_in(annotation: Path) -> int:
    try:
        return len(ElementTree.fromstring(annotation.read_bytes()).findall("object"))
    except Exception:
        return 0


@fuzz
@given(annotation=mutated_xml(ANNOTATION) | mutated_bytes(ANNOTATION), policy=policies, classes=st.booleans())
@example(annotation=b"<a>" * 100_000 + b"</a>" * 100_000, policy="skip", classes=True)
@example(annotation=b"\xff\xfe" + ANNOTATION.decode().encode("utf-16-le"), policy="raise", classes=True)
def test_voc_annotations(voc, annotation, policy, classes):
    changed = voc / "Annotations" / "a.xml"
    changed.write_bytes(annotation)
    with told(changed):
        data = VOCDetection(voc, class_names=("cat", "dog") if classes else None, on_error=policy)
        counts, everything = data.report.counts, 4 + objects_in(changed)
        assert len(data) + counts["image"] == 3
        assert check(data) + counts["object"] + counts["lost"] == everything
        assert policy == "skip" or not counts["image"] + counts["object"] + counts["lost"]
        check_images(data)


@fuzz
@given(listed=mutated_bytes(IMAGE_SET), policy=policies)
def test_voc_image_sets(voc, listed, policy):
    (voc / "Annotations" / "a.xml").write_bytes(ANNOTATION)
    (voc / "ImageSets" / "Main" / "fuzz.txt").write_bytes(listed)
    with told(voc):
        data = VOCDetection(voc, "fuzz", on_error=policy)
        check(data)
        assert len(data) + data.report.counts["image"] == sum(bool(x.strip()) for x in listed.decode().splitlines())


def coco_content() -> dict:
    boxes = [[0, 0, 40, 30], [1.5, 2.5, 10, 20], [30, 20, 10.01, 10]]
    return {
        "info": {"year": 2017},
        "images": [{"id": n, "file_name": f"{n}.jpg", "width": WIDTH, "height": HEIGHT} for n in (1, 2, 3)],
        "categories": [{"id": n, "name": name} for n, name in ((1, "cat"), (2, "dog"), (7, "cow"))],
        "annotations": [
            {"id": n, "image_id": 1 + n % 2, "category_id": (1, 2, 7)[n % 3], "bbox": box, "iscrowd": n % 2, "area": 9}
            for n, box in enumerate(boxes)
        ],
    }


COCO = json.dumps(coco_content()).encode()


@pytest.fixture(scope="module")
def coco(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("coco")
    for n in (1, 2, 3):
        Image.new("RGB", (WIDTH, HEIGHT)).save(folder / f"{n}.jpg")
    return folder


@fuzz
@given(
    text=mutated_json(coco_content()).map(str.encode) | mutated_bytes(COCO),
    policy=policies,
    classes=st.sampled_from([None, ("dog", "cat")]),
)
@example(
    text=b'{"images": ' + b"[" * 900 + b"]" * 900 + b', "categories": [], "annotations": []}',
    policy="skip",
    classes=None,
)
def test_coco_annotations(coco, text, policy, classes):
    path = coco / "instances.json"
    path.write_bytes(text)
    with told(path):
        data = CocoDetection(coco, path, class_names=classes, on_error=policy)
        counts, content = data.report.counts, json.loads(text)
        assert len(data) + counts["image"] == len(content["images"])
        kept = check(data)
        assert kept + counts["object"] + counts["lost"] + counts["other"] == len(content["annotations"])
        assert policy == "skip" or not counts["image"] + counts["object"] + counts["lost"]
        check_images(data)
        assert classes is None or data.class_names == classes


ROWS = "image_id,class,xmin,ymin,xmax,ymax\n7,dog,1,1,10,20\n7,cat,5,5,8,9\n9,dog,3,4,3,4.25\n"


@st.composite
def mutated_rows(draw) -> bytes:
    rows = [row.split(",") for row in ROWS.splitlines()]
    for _ in range(draw(st.integers(1, 3))):
        row = rows[draw(places) % len(rows)]
        row[draw(places) % len(row)] = draw(
            st.sampled_from([*NASTY_TEXTS, *map(str, NASTY_NUMBERS), '"', '"a,b"', "a,b"])
        )
    return "\n".join(",".join(row) for row in rows).encode() + b"\n"


@fuzz
@given(
    packed=mutated_rows().map(gzip.compress)
    | mutated_bytes(ROWS.encode()).map(gzip.compress)
    | mutated_bytes(gzip.compress(ROWS.encode(), mtime=0)),
    one_based=st.booleans(),
)
@example(packed=gzip.compress((ROWS + "9,dog,3,4,inf,9\n").encode()), one_based=True)
@example(packed=gzip.compress((ROWS + "9,dog,-1e39,4,5,9\n").encode()), one_based=True)  # fmt: skip
def test_tables_of_boxes(tmp_path, packed, one_based):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(packed)
    with told(path):
        table = read_boxes(path, one_based=one_based)
        rows = list(csv.DictReader(io.StringIO(gzip.decompress(packed).decode(), newline="")))
        assert len(table.boxes) + table.dropped == len(rows)
        assert table.boxes.isfinite().all()
        assert (table.boxes[:, 2:] > table.boxes[:, :2]).all()
        assert len(table.labels) == len(table.image_index) == len(table.boxes)
        assert {table.class_names[label] for label in table.labels} <= {row["class"] for row in rows}


ANCHORS = {"made_by": "x", "input_size": [64, 96], "anchors": {"cat": [[1.5, 2], [30, 40]], "dog": [[3, 4], [5, 6]]}}


@fuzz
@given(text=mutated_json(ANCHORS).map(str.encode) | mutated_bytes(json.dumps(ANCHORS).encode()))
def test_anchor_files(tmp_path, text):
    path = tmp_path / "anchors.json"
    path.write_bytes(text)
    with told(path):
        made = AnchorFile.load(path)
        assert made.shapes.isfinite().all()
        assert (made.shapes > 0).all()
        assert len(made.class_names) == len(made.shapes) == len(json.loads(text)["anchors"]) > 0
        made.save(path)
        again = AnchorFile.load(path)
        assert (again.class_names, again.input_size) == (made.class_names, made.input_size)
        assert again.shapes == pytest.approx(made.shapes, rel=0.006)


def encoded(name: str) -> bytes:
    file = io.BytesIO()
    picture = Image.effect_noise((WIDTH, HEIGHT), 80).convert("RGB")
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(file, name, **({} if name == "BMP" else {"exif": exif}))
    return file.getvalue()


IMAGES = {name: encoded(name) for name in ("JPEG", "PNG", "BMP", "WEBP")}


@fuzz
@given(content=st.sampled_from(sorted(IMAGES)).flatmap(lambda name: mutated_bytes(IMAGES[name])))
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of damaged EXIF
def test_image_files(tmp_path, content):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with told(path):
        assert read_picture(path, (HEIGHT, WIDTH)).size == (WIDTH, HEIGHT)
    with told(path):
        picture = read_picture(path)
        assert picture.mode == "RGB"
        assert min(picture.size) > 0


LABELS = b"0 0.5 0.5 0.25 0.5\n2 0.1 0.2 0.3 0.2 0.3 0.6 0.15 0.4\n1 0.9 0.95 0.2 0.1\n"
numbers = st.sampled_from([*NASTY_TEXTS, *map(str, NASTY_NUMBERS), "0.5", "1.005", "-0.01", "1.02"])


@st.composite
def mutated_labels(draw) -> bytes:
    rows = [row.split() for row in LABELS.decode().splitlines()]
    for _ in range(draw(st.integers(1, 3))):
        row = rows[draw(places) % len(rows)]
        row[draw(places) % len(row)] = draw(numbers)
    return "\n".join(" ".join(row) for row in rows).encode()


@pytest.fixture(scope="module")
def yolo(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("yolo")
    for folder in ("images", "labels"):
        (root / folder).mkdir()
    for name in "abc":
        Image.new("RGB", (WIDTH, HEIGHT)).save(root / "images" / f"{name}.jpg")
        (root / "labels" / f"{name}.txt").write_bytes(LABELS)
    return root


@fuzz
@given(labels=mutated_labels() | mutated_bytes(LABELS), policy=policies, keypoints=st.booleans())
@example(labels=b"\xef\xbb\xbf0 .5 .5 .1 .1\r\n", policy="raise", keypoints=False)
def test_yolo_labels(yolo, labels, policy, keypoints):
    changed = yolo / "labels" / "a.txt"
    changed.write_bytes(labels)
    with told(changed):
        images = [yolo / "images" / f"{name}.jpg" for name in "abc"]
        names = {0: "cat", 1: "dog", 2: "cow"}
        data = YoloDetection(images, names, yolo, keypoints=keypoints, on_error=policy)
        try:
            rows = sum(bool(line.strip()) for line in labels.decode("utf-8-sig").splitlines())
        except UnicodeDecodeError:
            rows = 0
        counts = data.report.counts
        assert check(data) + counts["object"] + counts["lost"] == rows + 6
        assert len(data) + counts["image"] == 3
        assert policy == "skip" or not counts["image"] + counts["object"] + counts["lost"]


DESCRIBED = b"path: ../data\ntrain: images\nval: [images/val]\ntest:\nnc: 3\nnames: {0: cat, 1: dog, 2: no}\n"
YAML_BOMB = b"a: &a [x, x]\nb: &b [*a, *a]\nnames: &c [*b, *b]\ntrain: [*c, *c]\n"


@fuzz
@given(text=mutated_bytes(DESCRIBED) | st.text(max_size=60).map(str.encode))
@example(text=YAML_BOMB)
@example(text=b"names: " + b"[" * 5000)
@example(text=b"names: [a]\ntrain: " + b"x" * 5000)
@example(text=b"names: &n [*n]")
@example(text=b"names: [a]\ntrain: /dev/zero\nval: .\n")
@example(text=b"names: [a]\ntrain: ['', /]\n")
@example(text=b"names: !!python/object/apply:os.system [ls]\n")
def test_yolo_descriptions(yolo, text):
    for name in "abc":
        (yolo / "labels" / f"{name}.txt").write_bytes(b"0 .5 .5 .1 .1\n")
    path = yolo / "data.yaml"
    path.write_bytes(text)
    with told(yolo):
        found = find(yolo)
        for split in found.splits:
            check(found.open(split))


SHAPES = [
    {"label": "cat", "points": [[1, 2], [30, 20]], "shape_type": "rectangle"},
    {"label": "dog", "points": [[1, 2], [30, 20.5], [7, 25]], "shape_type": "polygon"},
    {"label": "dog", "points": [[10, 12], [13, 8]], "shape_type": "circle"},
    {"label": "eye", "points": [[10, 12]], "shape_type": "point"},
]
LABELME = {"shapes": SHAPES, "imagePath": "a.jpg", "imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH}
CREATEML = [
    {
        "image": f"{name}.jpg",
        "annotations": [
            {"label": label, "coordinates": {"x": 15, "y": 12.5, "width": 20, "height": 9}} for label in ("cat", "dog")
        ],
    }
    for name in "abc"
]
CVAT = (
    "<annotations>"
    + "".join(
        f'<image id="0" name="{name}.jpg" subset="train" width="{WIDTH}" height="{HEIGHT}">'
        '<box label="cat" xtl="1" ytl="2" xbr="30" ybr="20.5" rotation="10"/>'
        '<polygon label="dog" points="1,2;30,20.5;7,25"/><points label="dog" points="1,2"/></image>'
        for name in "abc"
    )
    + "</annotations>"
).encode()
ROWS_OF_A = b"a.jpg,40,30,cat,1,2,30,20\na.jpg,40,30,dog,1,2,30,20\n"
TABLE = b"filename,width,height,class,xmin,ymin,xmax,ymax\n" + ROWS_OF_A + b"b.jpg,,,,,,,\n"
BARE = b"/x/a.jpg,1,2,30,20,cat\nb.jpg,,,,,\nc.jpg,5,6,7,8,dog\n"
WHEAT = b'image_id,width,height,bbox\na,40,30,"[1.0, 2.0, 20.0, 10.0]"\nb,40,30,"[1.0, 2.0, 20.0, 10.0]"\n'


@pytest.fixture(scope="module")
def listed(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("listed")
    for name in "abc":
        Image.new("RGB", (WIDTH, HEIGHT)).save(root / f"{name}.jpg")
    return root


def read_listed(root: Path, name: str, content: bytes, policy) -> None:
    """Every image and every object is in use or counted, in each split."""
    (root / name).write_bytes(content)
    try:
        with told(root):
            found = find(root)
            for split in (
                found.splits if found.layout.kind != "VOC" else ()
            ):  # which any XML file but CVAT's is taken for
                listed = [place[key] for place, keys in found.layout.parts[split] for key in keys or ()]
                with told(root):
                    data = found.open(split, on_error=policy)
                    counts = data.report.counts
                    assert len(data) + counts["image"] == len(listed)
                    everything = sum(len(image.objects) for image in listed)
                    assert check(data) + counts["object"] + counts["lost"] + counts["line"] == everything
                    assert policy == "skip" or not counts["image"] + counts["object"] + counts["lost"]
                    check_images(data)
    finally:
        (root / name).unlink()


@fuzz
@given(text=mutated_bytes(TABLE) | mutated_bytes(BARE) | mutated_bytes(WHEAT) | mutated_rows(), policy=policies)
@example(text=b"a.jpg,1,2,3,4,cat\n" + b'"' + b"x" * 200_000, policy="skip")
@example(text=TABLE + b'a.jpg,40,30,"ca\nt",1,2,3,4\n', policy="skip")
@example(text=b'"file\nname",x1,y1,x2,y2\na.jpg,1,2,3,4', policy="raise")
def test_tables_of_other_tools(listed, text, policy):
    read_listed(listed, "t.csv", text, policy)


@fuzz
@given(content=mutated_json({"all": CREATEML}), policy=policies)
def test_createml(listed, content, policy):
    read_listed(listed, "c.json", json.dumps(json.loads(content).get("all")).encode(), policy)


@fuzz
@given(content=mutated_json(LABELME), policy=policies)
def test_labelme(listed, content, policy):
    read_listed(listed, "a.json", content.encode(), policy)


@fuzz
@given(content=mutated_bytes(CVAT) | mutated_xml(CVAT), policy=policies)
def test_cvat(listed, content, policy):
    read_listed(listed, "annotations.xml", content, policy)
