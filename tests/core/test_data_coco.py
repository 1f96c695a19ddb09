"""The COCO reader against pycocotools on real files, and what it says about faulty ones."""

import contextlib
import copy
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO

from lapnet_core.data import CocoDetection, DataError, Skipped, coco2017
from lapnet_core.data.coco import are_shares
from lapnet_core.evaluate import CocoResult, coco_map

CATEGORIES = [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}, {"id": 90, "name": "toothbrush"}]


def image_entry(number: int) -> dict:
    return {"id": number, "file_name": f"{number}.jpg", "width": 40, "height": 30}


def annotation(number: int, image: int, category: int, box: list, **more) -> dict:
    entry = {"id": number, "image_id": image, "category_id": category, "bbox": box, "iscrowd": 0, **more}
    return {**entry, "segmentation": [[1, 2, 3, 4]], "area": 1.0}


def content() -> dict:
    return {
        "images": [image_entry(7), image_entry(5), image_entry(6)],
        "categories": copy.deepcopy(CATEGORIES),
        "annotations": [
            annotation(100, 5, 18, [1.5, 2, 10.25, 5]),
            annotation(101, 7, 90, [0, 0, 40, 30], iscrowd=1),
            annotation(102, 5, 3, [3, 4, 5, 6]),
        ],
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with 5.jpg, 6.jpg and 7.jpg."""
    path = tmp_path_factory.mktemp("images")
    for number in (5, 6, 7):
        Image.new("RGB", (40, 30), (number, 0, 0)).save(path / f"{number}.jpg")
    return path


def write(path: Path, data: object) -> Path:
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


@pytest.fixture
def read(folder, tmp_path):
    return lambda data, **options: CocoDetection(folder, write(tmp_path / "instances.json", data), **options)


def test_boxes_labels_and_crowds(read, tmp_path):
    data = read(content())
    assert data.class_names == ("car", "dog", "toothbrush")
    assert data.category_ids == (3, 18, 90)
    assert data.annotation_file == tmp_path / "instances.json"
    assert [data.target(i)["image_id"] for i in range(len(data))] == [7, 5, 6]
    crowd, two, none = (data.target(i) for i in range(3))
    assert crowd["difficult"].tolist() == [True]
    assert two["boxes"].tolist() == [[1.5, 2, 11.75, 7], [3, 4, 8, 10]]
    assert two["labels"].tolist() == [1, 0]
    assert two["difficult"].tolist() == [False, False]
    assert none["boxes"].shape == (0, 4)
    image, target = data[1]
    assert image.shape == (3, 30, 40)
    assert target["original_size"] == (30, 40)
    assert data.report.counts == {}


def test_a_choice_of_classes_sets_the_labels(read):
    data = read(content(), class_names=["toothbrush", "car"])
    assert data.category_ids == (90, 3)
    assert [data.target(i)["labels"].tolist() for i in range(3)] == [[0], [1], []]
    assert data.report.counts == {"other": 1}
    assert "annotation 100 (dog, number 1 of the file): a class not asked for" in data.report.summary()
    with pytest.raises(ValueError, match="class_names: a name is there twice"):
        read(content(), class_names=["car", "dog", "car"])


def test_a_class_without_a_category_has_no_objects_and_is_told(read):
    """Some tools list only the categories that occur in a file."""
    data = read(content(), class_names=["yak", "car"])
    assert (data.class_names, data.category_ids) == (("yak", "car"), (None, 3))
    assert [data.target(i)["labels"].tolist() for i in range(3)] == [[], [1], []]
    assert data.report.counts == {"other": 2, "lacking": 1}
    assert "instances.json: no category named yak." in data.report.summary()
    # of none of the classes there is nothing to read; without annotations the ids are all that is wanted
    for names, annotated in ((["yak"], True), (["yak", "gnu"], True), (["yak", "car"], False)):
        with pytest.raises(DataError, match=r"no category named yak.*; it has car, dog, toothbrush: add it"):
            read(content(), class_names=names, annotated=annotated, on_error="skip")


@pytest.mark.parametrize("first", [True, False])
def test_of_categories_of_one_name_the_annotated_one_counts(read, first):
    """Roboflow's root is the name of the project, and has no annotation."""
    root, data = {"id": 0, "name": "car", "supercategory": "none"}, content()
    data["categories"] = [root, *CATEGORIES] if first else [*CATEGORIES, root]
    found, usual = read(data), read(content())
    assert (found.class_names, found.category_ids) == (usual.class_names, usual.category_ids)
    assert [found.target(i)["labels"].tolist() for i in range(3)] == [[2], [1, 0], []]
    assert found.report.counts == {}
    assert read(data, class_names=["car"], annotated=False).category_ids == (3,)  # annotations tell it there, too
    data["annotations"] = data["annotations"][:2]  # neither has one
    assert read(data, class_names=["dog", "car"]).class_names == ("dog", "car")


def in_shares(data: dict) -> dict:
    data = copy.deepcopy(data)
    size = {image["id"]: (image["width"], image["height"]) * 2 for image in data["images"]}
    for one in data["annotations"]:
        one["bbox"] = [side / by for side, by in zip(one["bbox"], size[one["image_id"]], strict=True)]
    return data


def test_boxes_that_are_shares_of_the_image_are_read_as_such(read):
    """Azure's are; in pixels each would be within the first one."""
    found, usual = read(in_shares(content())), read(content())
    assert (found.shares, usual.shares) == (True, False)
    for index in range(3):
        assert found.target(index)["boxes"].numpy() == pytest.approx(usual.target(index)["boxes"].numpy(), rel=1e-6)
        assert found.target(index)["labels"].tolist() == usual.target(index)["labels"].tolist()
    assert found.report.counts == {"shares": 1}
    assert "1 files of boxes in shares of the image; they are made pixels" in found.report.summary()
    assert "instances.json: all boxes lie within 0 and 1." in found.report.summary()


def test_one_box_of_pixels_makes_all_of_them_pixels(read):
    """Whichever images and classes are asked for, so that two splits of a file agree."""
    data = in_shares(content())
    data["annotations"][2]["bbox"] = [3, 4, 5, 6]
    for options in ({}, {"only": {"7.jpg"}}, {"class_names": ["dog", "toothbrush"]}):
        found = read(data, **options)
        assert not found.shares
        assert found.target(0)["boxes"].tolist() == [[0, 0, 1, 1]]
        assert "shares" not in found.report.counts


def test_what_tells_shares_from_pixels():
    size = [{"id": 1, "width": 40, "height": 30}]
    for box, expected in (
        ([0, 0, 1, 1], True), ([0.5, 0.5, 0.505, 0.5], True), ([0.5, 0.5, 0.52, 0.5], False),
        ([0.5, 0.5, 0.5, 0.52], False), ([-0.02, 0, 0.5, 0.5], False), ([0, -0.02, 0.5, 0.5], False),
        ([0, 0, float("nan"), 0], False), ("text", False), (None, False),
    ):  # fmt: skip
        assert are_shares(size, [{"bbox": box}]) == expected, box
    assert are_shares(size, [{"bbox": [0, 0, 1, 1]}, {"bbox": None}, 7])
    assert not are_shares(size, [])
    assert not are_shares([{"id": 1, "width": 1, "height": 1}, 7], [{"bbox": [0, 0, 1, 1]}])


def entry(number: int, **changes) -> dict:
    return {**annotation(number, 5, 18, [1, 2, 3, 4]), **changes}


def without(data: dict, key: str) -> dict:
    return {name: value for name, value in data.items() if name != key}


def nested(depth: int) -> list:
    """JSON that is read, but that str() gives up on from a few frames further down."""
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


ANNOTATION_FAULTS = {
    "deep": (entry(9, bbox=nested(400)), "bbox must be four finite numbers"),
    "deep category": (entry(9, category_id=nested(400)), "there is no category"),
    "no object": ("text", "annotation number 2 of the file: must be an object"),
    "unknown image": (entry(9, image_id=4), r"annotation 9 \(dog, .*there is no image 4"),
    "no image": (without(entry(9), "image_id"), "there is no image None"),
    "unknown category": (entry(9, category_id=4), "annotation 9 .*there is no category 4"),
    "category is a list": (entry(9, category_id=[18]), r"there is no category \[18\]"),
    "crowd": (entry(9, iscrowd=2), "iscrowd must be 0 or 1"),
    "no box": (without(without(entry(9), "bbox"), "segmentation"), "bbox must be four finite numbers"),
    "no box, run lengths": (entry(9, bbox=None, segmentation={"counts": [1]}), "bbox must be four finite numbers"),
    "no box, one point": (entry(9, bbox=[], segmentation=[[1, 2]]), "bbox must be four finite numbers"),
    "no box, half a point": (entry(9, bbox=None, segmentation=[[1, 2, 3]]), "bbox must be four finite numbers"),
    "no box, twice half a point": (
        entry(9, bbox=None, segmentation=[[1, 2, 3], [4, 5, 6, 7, 8]]),
        "bbox must be four finite numbers",
    ),
    "no box, no polygon": (entry(9, bbox=None, segmentation=[1, 2, 3, 4]), "bbox must be four finite numbers"),
    "no box, polygons of text": (entry(9, bbox=None, segmentation=["12", "34"]), "bbox must be four finite numbers"),
    "no box, a flat polygon": (entry(9, bbox=None, segmentation=[[1, 2, 5, 2]]), "has no extent"),
    "three numbers": (entry(9, bbox=[1, 2, 3]), "bbox must be four finite numbers"),
    "text": (entry(9, bbox=[1, 2, "3", 4]), "bbox must be four finite numbers"),
    "boolean": (entry(9, bbox=[1, 2, True, 4]), "bbox must be four finite numbers"),
    "not a number": (entry(9, bbox=[1, 2, float("nan"), 4]), "bbox must be four finite numbers"),
    "infinite": (entry(9, bbox=[1, float("-inf"), 3, 4]), "bbox must be four finite numbers"),
    "huge": (entry(9, bbox=[1, 2, 10**400, 4]), "bbox must be four finite numbers"),
    "no width": (entry(9, bbox=[1, 2, 0, 4]), r"annotation 9 \(dog, .*has no extent"),
    "negative height": (entry(9, bbox=[1, 20, 3, -4]), "has no extent"),
    "outside": (entry(9, bbox=[41, 2, 3, 4]), r"annotation 9 \(dog\): box \(41, 2, 44, 6\)"),
    "vanishing width": (entry(9, bbox=[30, 2, 1e-9, 4]), r"annotation 9 \(dog\): box"),
}


@pytest.mark.parametrize("fault", ANNOTATION_FAULTS)
def test_a_faulty_annotation_is_named_or_skipped_alone(read, fault):
    faulty, message = ANNOTATION_FAULTS[fault]
    data = content()
    data["annotations"].insert(1, faulty)
    with pytest.raises(DataError, match=r"instances\.json: .*" + message):
        read(data)
    skipping, clean = read(data, on_error="skip"), read(content())
    assert skipping.report.counts == {"object": 1}
    for index in range(3):
        assert skipping.target(index)["boxes"].tolist() == clean.target(index)["boxes"].tolist()
        assert skipping.target(index)["labels"].tolist() == clean.target(index)["labels"].tolist()


def perfect(data: CocoDetection) -> list[dict]:
    """Every object as a detection, less certain from one to the next."""
    found = [data.target(i) for i in range(len(data))]
    return [
        {"boxes": one["boxes"], "labels": one["labels"], "scores": 1 / (2 + torch.arange(len(one["labels"])))}
        for one in found
    ]


def measured(data: CocoDetection, detections: list[dict]) -> CocoResult:
    ids = [data.target(i)["image_id"] for i in range(len(data))]
    return coco_map(detections, data.annotation_file, image_ids=ids, category_ids=data.category_ids)


@pytest.mark.parametrize("ids", ["none", "the same", "text", "true", "of the image"])
def test_an_annotation_needs_no_id_of_its_own(read, ids):
    """Nothing is known by it, and whoever writes a converter forgets it, or takes the image's."""
    data, usual = content(), read(content())
    detections, expected = perfect(usual), measured(usual, perfect(usual))
    for one in data["annotations"]:
        one["id"] = {"none": None, "the same": 4, "text": "a", "true": True, "of the image": one["image_id"]}[ids]
        if ids == "none":
            del one["id"]
    found = read(data)
    assert found.report.counts == {}
    for index in range(3):
        assert found.target(index)["boxes"].tolist() == usual.target(index)["boxes"].tolist()
    assert str(measured(found, detections)) == str(expected)
    assert expected.ap50 == pytest.approx(1)
    data["annotations"][0]["bbox"][0] = 60
    said = "annotation 4 " if ids == "the same" else "annotation number 1 " if ids in ("none", "true") else ""
    with pytest.raises(DataError, match=rf"instances\.json: {said}.*\(dog"):
        read(data)


def test_ids_of_images_and_categories_may_be_texts(read, tmp_path):
    data, usual = content(), read(content())
    tries = (perfect(usual), perfect(usual)[::-1])
    expected = [str(measured(usual, detections)) for detections in tries]
    for one in data["images"]:
        one["id"] = f"image {one['id']}"
    for one in data["categories"]:
        one["id"] = f"k{one['id']:02}"
    for one in data["annotations"]:
        one |= {"image_id": f"image {one['image_id']}", "category_id": f"k{one['category_id']:02}"}
    found = read(data)
    assert (found.class_names, found.category_ids) == (usual.class_names, ("k03", "k18", "k90"))
    assert [found.target(i)["image_id"] for i in range(3)] == ["image 7", "image 5", "image 6"]
    assert found.target(1)["labels"].tolist() == [1, 0]
    assert [str(measured(found, detections)) for detections in tries] == expected
    data["images"][2]["id"] = 6  # COCOeval would take numbers among texts for texts, and not find them
    with pytest.raises(ValueError, match="image ids must all be whole numbers, or all be texts"):
        coco_map(perfect(usual), found.annotation_file, image_ids=["image 7", "image 5", 6], category_ids=["k03"] * 3)
    with pytest.raises(DataError, match="image 6 has an id of another kind"):
        read(data)
    assert read(data, on_error="skip").report.counts == {"image": 1}
    data["categories"][1]["id"] = 3
    with pytest.raises(DataError, match=r"category 3 \(car\): ids must all be numbers, or all be texts"):
        read(data, on_error="skip")


@pytest.mark.parametrize("nothing", [{"file_name": "6.jpg"}, {"id": None}, None, 4])
def test_an_image_without_an_id_is_skipped_and_the_others_are_measured(read, nothing):
    data, usual = content(), read(content())
    detections = perfect(usual)[:2]
    image_ids = [usual.target(i)["image_id"] for i in range(2)]
    expected = coco_map(detections, usual.annotation_file, image_ids=image_ids, category_ids=usual.category_ids)
    data["images"][2] = nothing
    found = read(data, on_error="skip")
    assert found.report.counts == {"image": 1}
    assert str(measured(found, detections)) == str(expected)


def test_polygons_without_a_box_have_that_around_them(read):
    data, usual = content(), read(content())
    expected = str(measured(usual, perfect(usual)))
    for one, points in zip(
        data["annotations"], ([[1.5, 2, 5, 7], [4, 4, 11.75, 3]], None, [[3, 10, 8, 4]]), strict=True
    ):
        if points:
            one["segmentation"] = points
            one["bbox"] = []
    del data["annotations"][2]["bbox"]
    found = read(data)
    assert found.target(1)["boxes"].tolist() == usual.target(1)["boxes"].tolist()
    assert found.report.counts == {"outline": 2}
    assert "annotation 100 (dog, number 1 of the file)" in found.report.summary()
    assert str(measured(found, perfect(usual))) == expected


IMAGE_FAULTS = {
    "no object": (3, "image number 3 must be an object"),
    "id is a list": ({**image_entry(6), "id": [6]}, "image number 3 must be"),
    "id too great": ({**image_entry(6), "id": 2**70}, "image number 3 must be"),
    "there twice": (image_entry(5), "image 5 is there twice"),
    "no name": (without(image_entry(6), "file_name"), "image 6: has no file_name"),
    "path": ({**image_entry(6), "file_name": "../../etc/passwd"}, "image 6: the file '../../etc/passwd' is missing in"),
    "absolute path": ({**image_entry(6), "file_name": "/etc/passwd"}, "image 6: the file '/etc/passwd' is missing in"),
    "backslashes": ({**image_entry(6), "file_name": "..\\8.jpg"}, "image 6: the file .* is missing in"),
    "a file that another has": ({**image_entry(6), "file_name": "5.jpg"}, "image 6: its file is that of image 5, too"),
    "no such file": ({**image_entry(6), "file_name": "8.jpg"}, r"image 6: the file '8\.jpg' is missing in"),
    "height zero": (
        {**image_entry(6), "height": 0},
        r"image 6: size must be a height and width in pixels.*, not \(0, 40\)",
    ),
    "no width": (without(image_entry(6), "width"), r"image 6: size must be .*, not \(30, None\)"),
    "width is text": ({**image_entry(6), "width": "forty"}, "image 6: size must be"),
    "half a pixel": ({**image_entry(6), "width": 39.5}, "image 6: size must be"),
    "width is huge": ({**image_entry(6), "width": 10**400}, "image 6: size must be"),
    "as many pixels as no image": ({**image_entry(6), "width": 2**24, "height": 11}, "image 6: size must be"),
    "overlong name": ({**image_entry(6), "file_name": "6" * 5000}, r"image 6: the file .* is missing"),
    "deep": ({**image_entry(6), "width": nested(400)}, "image 6: size must be"),
}


@pytest.mark.parametrize("fault", IMAGE_FAULTS)
def test_a_faulty_image_is_named_or_skipped_as_a_whole(read, fault):
    faulty, message = IMAGE_FAULTS[fault]
    data = content()
    data["images"][2] = faulty
    with pytest.raises(DataError, match=r"instances\.json: " + message):
        read(data)
    skipping = read(data, on_error="skip")
    assert [skipping.target(i)["image_id"] for i in range(len(skipping))] == [7, 5]
    assert [len(skipping.target(i)["labels"]) for i in range(2)] == [1, 2]
    assert skipping.report.counts == {"image": 1}


def test_annotations_of_a_skipped_image_are_counted_as_lost_with_it(read):
    data = content()
    data["images"][1]["file_name"] = "lost.jpg"
    skipping = read(data, on_error="skip")
    assert skipping.report.counts == {"image": 1, "lost": 2}
    assert "2 objects lost with their image" in skipping.report.summary()
    assert [len(skipping.target(i)["labels"]) for i in range(len(skipping))] == [1, 0]


def changed(key: str, value: object) -> dict:
    return {**content(), key: value}


FILE_FAULTS = {
    "no JSON": ("{", "cannot read this JSON"),
    "empty": ("", "cannot read this JSON"),
    "deep": ("[" * 100_000 + "]" * 100_000, "cannot read this JSON"),
    "endless number": ('{"images": ' + "9" * 5000 + "}", "cannot read this JSON"),
    "list": ([], "must be an object with images, categories, annotations, not a list"),
    "no images": (without(content(), "images"), "'images' must be there"),
    "no annotations": (without(content(), "annotations"), "'annotations' must be there"),
    "annotations by id": (changed("annotations", {"1": {}}), "'annotations' must be there and be a list"),
    "category text": (changed("categories", ["dog"]), "category number 1 must have"),
    "category without name": (changed("categories", [{"id": 1}]), "category number 1 must have"),
    "category id twice": (changed("categories", [*CATEGORIES, {"id": 3, "name": "x"}]), r"category 3 \(x\) is there"),
    "category name twice": (
        {
            **changed("categories", [*CATEGORIES, {"id": 4, "name": "car"}]),
            "annotations": [annotation(1, 5, 3, [3, 4, 5, 6]), annotation(2, 5, 4, [1, 2, 3, 4])],
        },
        "categories 3 and 4 are both called car, and both have annotations: rename one of them, or merge them",
    ),
    "no categories": (changed("categories", []), "no category named at all"),
    "no image at all": (changed("images", []), "no usable image"),
}


@pytest.mark.parametrize("policy", ["raise", "skip"])
@pytest.mark.parametrize("fault", FILE_FAULTS)
def test_a_faulty_file_is_an_error_under_either_policy(read, fault, policy):
    data, message = FILE_FAULTS[fault]
    with pytest.raises(DataError, match=r"instances\.json: " + message):
        read(data, on_error=policy)


def test_a_missing_file_or_folder(folder, tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(DataError, match=r"pipe\.json: cannot read this JSON file \(no regular file\)"):
        CocoDetection(folder, tmp_path / "pipe.json")
    with pytest.raises(DataError, match=r"none\.json: cannot read"):
        CocoDetection(folder, tmp_path / "none.json")
    with pytest.raises(DataError, match="nowhere: cannot read this folder"):
        CocoDetection(tmp_path / "nowhere", write(tmp_path / "instances.json", content()))


def test_boxes_beyond_the_border_are_cut_and_counted(read):
    data = content()
    data["annotations"] = [
        annotation(1, 5, 3, [-2, 0, 10, 10]),
        annotation(2, 5, 3, [30, 20, 10.01, 10.01]),  # rounding
        annotation(3, 5, 18, [30, 20, 10, 11]),
    ]
    found = read(data)
    assert found.target(1)["boxes"].tolist() == [[0, 0, 8, 10], [30, 20, 40, 30], [30, 20, 40, 30]]
    assert found.report.counts == {"clipped": 2}
    assert "annotation 1 (car)" in found.report.summary()
    assert "annotation 3 (dog)" in found.report.summary()


def test_most_boxes_beyond_their_images_are_a_fault_of_the_file(read):
    data = content()
    corners = [[20 + k, 10, 36, 28] for k in range(15)]  # x2 and y2 in place of width and height
    data["annotations"] = [annotation(k, 5, 3, box) for k, box in enumerate(corners, 1)]
    with pytest.raises(DataError, match=r"15 of 15 boxes reach .* are these \(x1, y1, x2, y2\)"):
        read(data)
    assert read(data, on_error="skip").report.counts == {"clipped": 15, "object": 1}


def test_images_without_a_size_have_that_of_their_files(read):
    data = content()
    right = read(data)
    for image in data["images"]:
        del image["width"], image["height"]
    found = read(data)
    assert found.report.counts["unsized"] == len(found) == len(right)
    for k in range(len(found)):
        assert found.target(k)["original_size"] == right.target(k)["original_size"]
        assert found.target(k)["boxes"].tolist() == right.target(k)["boxes"].tolist()


def test_a_damaged_image_file(tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "5.jpg")
    instances = write(tmp_path / "x.json", {"images": [image_entry(5)], "categories": CATEGORIES, "annotations": []})
    (tmp_path / "5.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"5\.jpg: cannot read"):
        CocoDetection(tmp_path, instances)[0]
    assert isinstance(CocoDetection(tmp_path, instances, on_error="skip")[0], Skipped)


def test_coco2017_is_found_where_download_puts_it(tmp_path):
    for split in ("train2017", "test2017"):
        (tmp_path / "coco" / split).mkdir(parents=True)
        Image.new("RGB", (40, 30)).save(tmp_path / "coco" / split / "5.jpg")
    for part in ("annotations", "annotations-test"):
        (tmp_path / "coco" / part).mkdir()
    only = {"images": [image_entry(5)], "categories": CATEGORIES}
    write(tmp_path / "coco/annotations/instances_train2017.json", {**only, "annotations": [entry(1)]})
    write(tmp_path / "coco/annotations-test/image_info_test-dev2017.json", only)
    assert len(coco2017("train", tmp_path).target(0)["labels"]) == 1
    test = coco2017("test-dev", tmp_path)
    assert len(test.target(0)["labels"]) == 0
    assert test[0][0].shape == (3, 30, 40)
    with pytest.raises(DataError, match=r"instances_val2017\.json"):
        coco2017("val", tmp_path)
    with pytest.raises(ValueError, match="split"):
        coco2017("test", tmp_path)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.sampled_from([5, 18, 10**400]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
places = st.sampled_from([("images", k) for k in ("id", "file_name", "width")])
places |= st.sampled_from([("categories", k) for k in ("id", "name")])
places |= st.sampled_from([("annotations", k) for k in ("id", "image_id", "category_id", "bbox", "iscrowd")])


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=places, value=anything, policy=st.sampled_from(["raise", "skip"]))
def test_whatever_a_field_holds_the_answer_is_a_data_set_or_a_data_error(read, place, value, policy):
    data = content()
    data[place[0]][0][place[1]] = value
    with contextlib.suppress(DataError):  # any other exception fails the test
        found = read(data, on_error=policy)
        for index in range(len(found)):
            x1, y1, x2, y2 = found.target(index)["boxes"].unbind(-1)
            assert ((x1 >= 0) & (x1 < x2) & (x2 <= 40) & (y1 >= 0) & (y1 < y2) & (y2 <= 30)).all()


@pytest.mark.data
@pytest.mark.parametrize("split", ["train2017", "val2017"])
def test_real_annotations_agree_with_pycocotools(real_data, split):
    root = real_data / "coco_tiny"
    data = CocoDetection(root / split, root / "annotations" / f"instances_{split}.json")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(data.annotation_file))
    assert (len(data), len(data.class_names)) == (80, 80)
    assert data.report.counts == {}
    assert [truth.cats[category]["name"] for category in data.category_ids] == list(data.class_names)
    objects = 0
    for index in range(len(data)):
        image, target = data[index]
        expected = truth.loadAnns(truth.getAnnIds(imgIds=[target["image_id"]]))
        boxes = np.array([entry["bbox"] for entry in expected]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        assert np.abs(target["boxes"].numpy() - boxes).max(initial=0) < 1e-3 + 0.02
        assert [data.category_ids[label] for label in target["labels"]] == [entry["category_id"] for entry in expected]
        assert target["difficult"].tolist() == [bool(entry["iscrowd"]) for entry in expected]
        assert tuple(image.shape[1:]) == target["original_size"]
        objects += len(expected)
    assert objects == len(truth.anns)
