import json
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import doubts as slow_doubts
from PIL import Image, ImageColor
from toys import voc_folder

from lapnet_core.cli import main
from lapnet_core.cli.doubting import said
from lapnet_core.cli.drawing import CAPTION, COLORS, CROP, cropped
from lapnet_core.detector import Detector
from lapnet_core.evaluate import voc_map
from lapnet_core.evaluate.doubts import doubts, without
from lapnet_core.method import LapNetMethod
from lapnet_core.model import LapNet

CORNERS = st.tuples(*[st.integers(0, 5)] * 2, *[st.integers(0, 6)] * 2).map(
    lambda c: (c[0], c[1], c[0] + c[2], c[1] + c[3])
)
LABELS = st.integers(0, 2)


def made(rows, second, third):
    """Rows of a box and two values, as a detector or a data set has them; of each value its name and its type."""
    boxes, *columns = ([row[k] for row in rows] for k in range(3))
    values = {name: torch.tensor(c, dtype=kind) for (name, kind), c in zip((second, third), columns, strict=True)}
    return {"boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), **values}


def detection(rows):
    return made(rows, ("scores", torch.float32), ("labels", torch.int64))


def target(rows):
    return made(rows, ("labels", torch.int64), ("difficult", torch.bool))


DETECTIONS = st.lists(st.tuples(CORNERS, st.sampled_from([0.25, 0.5, 0.75, 1.0]), LABELS), max_size=6).map(detection)
TARGETS = st.lists(st.tuples(CORNERS, LABELS, st.booleans()), max_size=5).map(target)


@given(st.lists(st.tuples(DETECTIONS, TARGETS), max_size=3), st.sampled_from([0.0, 0.5, 1.0]))
def test_against_the_slow_form(images, sure):
    detections, targets = [d for d, _ in images], [t for _, t in images]
    found = doubts(detections, targets, 3, sure=sure)
    expected = slow_doubts(detections, targets, sure)
    assert sorted((d.image, d.row, d.annotated) for d in found) == expected
    assert [d.score for d in found] == sorted((d.score for d in found), reverse=True)
    for doubt in found:
        own = detections[doubt.image]
        assert (doubt.score, doubt.label) == (own["scores"][doubt.row], own["labels"][doubt.row])
        assert torch.equal(doubt.box, own["boxes"][doubt.row])
    kept = without(detections, found)
    assert sum(len(d["scores"]) for d in detections) - sum(len(d["scores"]) for d in kept) == len(found)


FAR, NEAR, OBJECT = (50, 50, 60, 60), (11, 10, 21, 20), (10, 10, 20, 20)


@pytest.mark.parametrize(
    ("detected", "annotated", "expected"),
    [
        ([(FAR, 0.9, 0)], [(OBJECT, 0, False)], [(0, None)]),
        ([(FAR, 0.4, 0)], [(OBJECT, 0, False)], []),  # not sure
        ([(NEAR, 0.9, 0)], [(OBJECT, 0, False)], []),
        ([(NEAR, 0.9, 1)], [(OBJECT, 0, False)], [(0, 0)]),
        ([(NEAR, 0.9, 1), (OBJECT, 0.6, 0)], [(OBJECT, 0, False)], []),  # the right class is seen, too
        ([(NEAR, 0.9, 1), (OBJECT, 0.4, 0)], [(OBJECT, 0, False)], [(0, 0)]),  # but not surely
        ([(NEAR, 0.9, 1)], [(OBJECT, 0, True)], []),
        ([((4, 4, 5, 5), 0.9, 0)], [((0, 0, 90, 90), 0, True)], []),  # within a crowd
        ([((4, 4, 5, 5), 0.9, 0)], [((0, 0, 90, 90), 0, False)], [(0, None)]),
        ([(FAR, 0.9, 1)], [], [(0, None)]),
        ([], [(OBJECT, 0, False)], []),
    ],
)
def test_one_image(detected, annotated, expected):
    found = doubts([detection(detected)], [target(annotated)], 2)
    assert [(doubt.row, doubt.annotated) for doubt in found] == expected


def test_an_overlooked_object_costs_precision():
    found, annotated = [detection([(FAR, 0.9, 0), (OBJECT, 0.8, 0)])], [target([(OBJECT, 0, False)])]
    assert voc_map(found, annotated, 1).mean_ap == 0.5
    assert voc_map(without(found, doubts(found, annotated, 1)), annotated, 1).mean_ap == 1


@pytest.mark.parametrize(
    ("detections", "targets", "options", "message"),
    [
        ([], [target([])], {}, "0 images in detections, 1 in targets"),
        ([detection([(OBJECT, 0.9, 2)])], [target([])], {}, "detections of image 0, row 0: label"),
        ([detection([(OBJECT, 0.9, 0)])], [target([((5, 5, 1, 1), 0, False)])], {}, "targets of image 0, row 0"),
        ([], [], {"sure": 1.5}, "sure"),
        ([], [], {"sure": float("nan")}, "sure"),
    ],
)
def test_what_cannot_be_compared_is_refused(detections, targets, options, message):
    with pytest.raises(ValueError, match=message):
        doubts(detections, targets, 2, **options)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four photographs with an object, another one, none and none; the first is no image."""
    root = tmp_path_factory.mktemp("doubts") / "data"
    voc_folder(root, {"a": [("red", (4, 4, 40, 40))], "b": [("blue", (2, 2, 60, 60))], "c": [], "d": []})
    (root / "JPEGImages" / "a.jpg").write_bytes(b"no image")
    return root


def trained(path, bias):
    """A model of two classes, small boxes everywhere, all with one score."""
    torch.manual_seed(0)
    model = LapNet(2, 1, widths=(16, 8, 16))
    with torch.no_grad():
        model.score_head[1].weight.zero_()
        model.score_head[1].bias.fill_(bias)
    method = LapNetMethod(model, torch.tensor([[[6.0, 6.0]], [[40.0, 40.0]]]))
    Detector(method.eval(), ("red", "blue"), (64, 64)).save(path)
    return str(path)


@pytest.mark.slow
def test_a_sheet_of_what_is_in_doubt(data, tmp_path, capsys):
    sure, sheet = trained(tmp_path / "sure.safetensors", 3.0), tmp_path / "sheet.png"
    args = ["evaluate", sure, "--data", str(data), "--on-error", "skip"]
    assert main(args) == 0
    assert re.search(r"\d+ sure detections are on no object.*: --doubts FILE\.png", capsys.readouterr().out)
    sheet.write_text("mine")
    assert main([*args, "--doubts", str(sheet)]) == 0
    told = capsys.readouterr().out
    number = int(re.search(r"on no object, (\d+): red \(\d+\)", told)[1])
    assert number > 64
    assert re.search(r"cost \d+\.\d points of mAP \(it would be [01]\.\d{4}\)", told)
    assert re.search(r"in \d of 3 images, most in", told)
    written = tmp_path / "sheet-2.png"
    assert f"wrote {written}, as {sheet} is taken: the 64 surest of " in told
    with Image.open(written) as picture:
        assert picture.size == (8 * CROP, 8 * (CROP + CAPTION))
        colors = {color for _, color in picture.convert("RGB").getcolors(1 << 20)}
        assert {ImageColor.getrgb(COLORS[1]), ImageColor.getrgb(COLORS[5])} <= colors


@pytest.mark.slow
def test_nothing_in_doubt_writes_nothing(data, tmp_path, monkeypatch, capsys):
    unsure = trained(tmp_path / "unsure.safetensors", -3.0)
    args = ["evaluate", unsure, "--data", str(data), "--on-error", "skip"]
    assert main([*args, "--doubts", str(tmp_path / "sheet.png")]) == 0
    told = capsys.readouterr().out
    assert "a score of at least 0.5: none\nno picture is written" in told
    assert not (tmp_path / "sheet.png").exists()
    assert main(args) == 0
    assert "--doubts" not in capsys.readouterr().out
    place = tmp_path / "coco" / "test2017"
    place.mkdir(parents=True)
    Image.new("RGB", (64, 64)).save(place / "a.png")
    listed = {"images": [{"id": 1, "file_name": "a.png", "height": 64, "width": 64}]}
    listed["categories"] = [{"id": 1, "name": "red"}, {"id": 2, "name": "blue"}]
    (tmp_path / "coco" / "annotations-test").mkdir()
    (tmp_path / "coco" / "annotations-test" / "image_info_test-dev2017.json").write_text(json.dumps(listed))
    monkeypatch.setenv("LAPNET_DATA", str(tmp_path))
    args = ["evaluate", unsure, "--data", "coco", "--split", "test-dev", "--results", str(tmp_path / "results.json")]
    assert main([*args, "--doubts", str(tmp_path / "sheet.png")]) == 0
    assert "--doubts: no image is annotated here" in capsys.readouterr().out


def test_what_is_said_without_a_map():
    """Where all objects are difficult there is none."""
    found, annotated = [detection([(FAR, 0.9, 0)])], [target([(OBJECT, 0, True)]) | {"image_id": "a"}]
    lines = said(("red",), doubts(found, annotated, 1), found, annotated, None)
    assert lines[1:] == ["  on no object, 1: red (1)", "  in 1 of 1 images, most in a (1)"]


def test_a_crop_lies_within_the_image_and_shows_its_box():
    image = Image.new("RGB", (100, 60), "gray")
    for box in ((0, 0, 8, 8), (90, 50, 100, 60), (0, 0, 100, 60), (40, 20, 41, 22)):
        crop = cropped(image, box, [(0, 0, 50, 30)])
        assert crop.width == crop.height <= 60
        colors = {color for _, color in crop.getcolors(10_000)}
        assert ImageColor.getrgb(COLORS[5]) in colors
        assert (0, 0, 0) not in colors
