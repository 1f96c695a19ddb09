"""The explorer without a browser: its numbers are those of `lapnet_core`, every control works, nothing breaks it."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lapnet_core.assign import assign
from lapnet_core.boxes import decode, paired_iou
from lapnet_core.data.transforms import eval_transform
from lapnet_core.detector import Detector
from lapnet_core.method import LapNetMethod
from lapnet_core.model import LapNet
from lapnet_core.scenes import SCENE_CLASSES
from lapnet_core.timing import seconds_each
from lapnet_lab.explorer.maps import LAYERS, TRAINED, explore, predict_offsets
from lapnet_lab.explorer.presets import ABOUT, preset
from lapnet_lab.explorer.state import SIZE_RANGE
from lapnet_lab.explorer.widget import Explorer
from lapnet_lab.models import ANIMALS, shipped

CLASSES, SHAPES_EACH = len(SCENE_CLASSES), 4
SIDES = torch.tensor([12.0, 30.0, 60.0, 120.0])
SHAPES = torch.stack((SIDES, 1.6 * SIDES), -1)[None].repeat(CLASSES, 1, 1)
CONTROLS: dict[str, tuple[Any, Any, Any]] = {  # least, most, default
    "label": (0, CLASSES - 1, 0),
    "anchor": (-1, SHAPES_EACH - 1, -1),
    "threshold": (0.0, 1.0, 0.5),
    "size": (*SIZE_RANGE, 1.0),
    "selected": (-1, 1, -1),
}


@pytest.fixture(scope="module")
def detector() -> Detector:
    torch.manual_seed(0)
    return Detector(LapNetMethod(LapNet(CLASSES, SHAPES_EACH), SHAPES / 2), tuple(SCENE_CLASSES), (128, 128))


@pytest.fixture
def hug() -> Explorer:
    return Explorer.situation("two_people_hugging", SHAPES)


def read(explorer: Explorer) -> dict[str, np.ndarray]:
    """The maps as the browser reads them."""
    values = np.frombuffer(explorer.reply["maps"], np.float32).reshape(5, *explorer.reply["grid"])
    return dict(zip(("ao", "pono", "fit", "owner", "anchor"), values, strict=True))


@pytest.mark.parametrize("anchor", [None, 2])
def test_maps_are_those_of_assign(anchor: int | None) -> None:
    chosen = preset("crowd")
    maps = explore(SHAPES, (32, 32), chosen.boxes, chosen.labels, label=0, anchor=anchor)
    ao = assign(SHAPES, (32, 32), chosen.boxes, chosen.labels, overlap="ao")
    pono = assign(SHAPES, (32, 32), chosen.boxes, chosen.labels)
    for i, j in ((0, 0), (14, 5), (20, 12), (22, 20), (31, 31)):
        a = int(pono.overlap[0, 0, :, i, j].argmax()) if anchor is None else anchor
        assert maps.anchor[i, j] == a
        assert maps.ao[i, j] == ao.overlap[0, 0, a, i, j]
        assert maps.pono[i, j] == pono.overlap[0, 0, a, i, j]
        assert maps.object_index[i, j] == pono.object_index[0, 0, a, i, j]
    for n, numbers in enumerate(maps.objects):
        mine = pono.object_index == n
        assert numbers.cluster == mine.sum()
        assert numbers.positives_pono == (pono.overlap[mine] > 0.5).sum()
        assert numbers.positives_ao == (ao.overlap[ao.object_index == n] > 0.5).sum()
        assert numbers.best_iou == pytest.approx(float(ao.overlap[ao.object_index == n].max()))
        assert numbers.kept is None


@pytest.mark.parametrize("rank", ["ao", "clusters", "pono", "positives"])
def test_the_best_shape_is_ranked_by_what_is_shown(rank: str) -> None:
    chosen = preset("two_people_hugging")
    best = explore(SHAPES, (32, 32), chosen.boxes, chosen.labels, label=0, rank=rank)
    each = [explore(SHAPES, (32, 32), chosen.boxes, chosen.labels, label=0, anchor=a) for a in range(SHAPES_EACH)]
    name = "ao" if rank in ("ao", "clusters") else "pono"
    expected = torch.stack([getattr(maps, name) for maps in each]).amax(0)
    assert torch.equal(getattr(best, name), expected)


def test_a_model_gives_fit_and_what_ams_keeps(detector: Detector) -> None:
    chosen = preset("two_people_hugging", (128, 128))
    prediction, shapes = predict_offsets(detector, chosen.image), detector.method.shapes
    maps = explore(
        shapes,
        (16, 16),
        chosen.boxes,
        chosen.labels,
        label=0,
        anchor=2,
        prediction=prediction,
        rank="ams",
    )
    nothing: Any = {"boxes": chosen.boxes, "labels": chosen.labels}
    pixels, _ = eval_transform((128, 128))(chosen.image, nothing)  # pyright: ignore[reportArgumentType]
    with torch.no_grad():
        _, offsets = detector.method.model.eval()(pixels[None])
    for i, j in ((7, 7), (9, 8), (3, 2)):
        owner = int(maps.object_index[i, j])
        box = decode(
            offsets[0, 0, 2, :, i, j][None], detector.method.shapes[0, 2][None], torch.tensor([i]), torch.tensor([j])
        )
        truth = paired_iou(box, chosen.boxes[owner][None]).item() if owner >= 0 else 0.0
        assert maps.fit[i, j].item() == pytest.approx(truth, abs=1e-5)
    kept = torch.zeros(len(chosen.boxes), dtype=torch.int64)
    for a in range(SHAPES_EACH):
        one = explore(
            detector.method.shapes, (16, 16), chosen.boxes, chosen.labels, label=0, anchor=a, prediction=prediction
        )
        at = (one.pono > 0.5) & (one.pono * one.fit > 0.5)
        kept += one.object_index[at].bincount(minlength=len(kept))
    assert [numbers.kept for numbers in maps.objects] == kept.tolist()


@pytest.mark.parametrize("name", CONTROLS)
def test_every_control_works_at_its_ends(hug: Explorer, name: str) -> None:
    seen = []
    for value in CONTROLS[name]:
        setattr(hug, name, value)
        assert hug.error == ""
        assert hug.reply["error"] == ""
        assert hug.reply["threshold"] == hug.threshold
        seen.append((hug.reply["maps"], [entry["positives_pono"] for entry in hug.objects]))
    if name == "selected":
        assert seen[0] == seen[1]  # it lights up what is there
    else:
        assert seen[0] != seen[1]
    assert seen[2] == (hug.reply["maps"], [entry["positives_pono"] for entry in hug.objects])


def test_every_layer_and_preset_works(detector: Detector) -> None:
    explorer = Explorer.situation("tiny_object", detector=detector)
    assert [name for name, _ in explorer.layers] == list(LAYERS)
    for layer in LAYERS:
        explorer.layer = layer
        assert (explorer.error, explorer.reply["layer"]) == ("", layer)
    for name, about in ABOUT.items():
        explorer.preset = name
        assert (explorer.error, explorer.about) == ("", about)
        assert len(explorer.objects) == len(preset(name).boxes)
        assert all(entry["kept"] is not None for entry in explorer.objects)
        assert explorer.extent == [128, 128]


def test_layers_of_a_model_are_not_offered_without_one(hug: Explorer) -> None:
    assert not {name for name, _ in hug.layers} & set(TRAINED)
    hug.layer = "ams"
    assert "trained model" in hug.error
    hug.layer = "pono"
    assert hug.error == ""


def test_the_situations_are_those_of_the_paper() -> None:
    missed = Explorer.situation("tiny_object", SHAPES).objects[0]
    assert (missed["class"], missed["positives_ao"]) == ("bird", 0)
    assert missed["positives_pono"] > 0
    first, second = Explorer.situation("equal_boxes", SHAPES).objects
    assert first["box"] == second["box"]
    assert (first["rescued"], second["rescued"]) == (False, True)
    assert second["positives_pono"] == 1
    outer, inner = (entry["box"] for entry in Explorer.situation("nested_boxes", SHAPES).objects)
    assert all(a <= b for a, b in zip(outer[:2], inner[:2], strict=True))
    assert all(a >= b for a, b in zip(outer[2:], inner[2:], strict=True))


def test_an_object_is_moved_added_reclassed_and_deleted(hug: Explorer) -> None:
    before = read(hug)["pono"].copy()
    hug.boxes = [[20.0, 20.0, 60.0, 90.0], hug.boxes[1]]
    after = read(hug)
    assert after["pono"][6, 4] > 0.4 > before[6, 4]
    assert after["owner"][6, 4] == 0
    hug.set_objects(torch.tensor([*hug.boxes, [100.0, 10.0, 140.0, 40.0]]), torch.tensor([0, 0, 1]))
    assert [entry["class"] for entry in hug.objects] == ["person", "person", "car"]
    hug.labels = [0, 2, 1]
    assert hug.objects[1]["class"] == "bicycle"
    hug.set_objects(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    assert (hug.objects, hug.error) == ([], "")
    assert not read(hug)["pono"].any()
    assert (read(hug)["owner"] == -1).all()


def test_the_anchor_size_is_a_factor_on_all_shapes(hug: Explorer) -> None:
    hug.size = 2.0
    doubled = explore(2 * SHAPES, (32, 32), torch.tensor(hug.boxes), torch.tensor(hug.labels), label=0)
    np.testing.assert_array_equal(read(hug)["ao"], doubled.ao.numpy())


def message(explorer: Explorer, **state: Any) -> None:
    """What the browser sends."""
    explorer._handle_msg({"content": {"data": {"method": "update", "state": state, "buffer_paths": []}}, "buffers": []})


def test_every_update_is_acknowledged_also_after_an_error(hug: Explorer) -> None:
    good, labels = [list(box) for box in hug.boxes], list(hug.labels)
    message(hug, boxes=[[10, 10, 5, 50]], labels=[0], seq=1)
    assert hug.reply["seq"] == 1
    assert hug.reply["error"]
    assert len(hug.reply["maps"]) == 5 * 32 * 32 * 4  # the last good ones stay
    message(hug, boxes=good[:1], labels=[0, 0], seq=2)
    assert (hug.reply["seq"], hug.reply["error"]) == (2, "1 boxes, but 2 classes for them")
    message(hug, boxes=good, labels=labels, seq=3)
    assert (hug.reply["seq"], hug.reply["error"]) == (3, "")
    message(hug, label=99, seq=4)
    assert "no class 99" in hug.reply["error"]
    message(hug, label=0, seq=5)
    assert hug.reply["error"] == ""


def test_an_update_is_computed_once(hug: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    whole = hug.compute
    monkeypatch.setattr(hug, "compute", lambda: calls.append(1) or whole())
    message(hug, boxes=[[10, 10, 50, 90]], labels=[1], label=1, threshold=0.3, size=1.5, seq=1)
    assert len(calls) == 1


def test_a_preset_that_does_not_exist_is_told_and_forgotten(hug: Explorer) -> None:
    message(hug, preset="nonsense", seq=1)
    assert (hug.reply["seq"], "no preset" in hug.reply["error"]) == (1, True)
    message(hug, preset="crowd", seq=2)
    assert (hug.reply["seq"], hug.reply["error"]) == (2, "")


def test_start_again_brings_the_objects_back(hug: Explorer) -> None:
    boxes = [list(box) for box in hug.boxes]
    message(hug, boxes=[[10, 10, 50, 90]], labels=[1], seq=1)
    message(hug, resets=1, seq=2)
    assert (hug.boxes, hug.labels) == (boxes, [0, 0])


def test_two_explorers_do_not_know_each_other(hug: Explorer) -> None:
    other = Explorer.situation("two_people_hugging", SHAPES)
    before = other.reply["maps"]
    hug.boxes = [[20.0, 20.0, 60.0, 90.0], hug.boxes[1]]
    assert other.reply["maps"] == before != hug.reply["maps"]


def test_callbacks_of_another_thread_do_not_mix(hug: Explorer) -> None:
    """JupyterLab may serve the widget in a thread beside the running cell."""

    def drag(start: float, first: int) -> None:
        for k in range(15):
            message(hug, boxes=[[start, 20.0 + k, start + 40, 90.0 + k]], labels=[0], seq=first + k)

    threads = [threading.Thread(target=drag, args=(20.0 + 90 * k, 100 * k)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hug.threshold = 0.4
    assert hug.error == ""
    truth = explore(SHAPES, (32, 32), torch.tensor(hug.boxes), torch.tensor(hug.labels), label=hug.label, threshold=0.4)
    np.testing.assert_array_equal(read(hug)["pono"], truth.pono.numpy())


def test_without_an_image_there_is_a_ground() -> None:
    explorer = Explorer(None, torch.tensor([[10.0, 10.0, 90.0, 200.0]]), torch.tensor([0]), SHAPES[:1], ["thing"])
    assert (explorer.picture, explorer.extent, explorer.grid_size) == (b"", [256, 256], (32, 32))
    assert explorer.presets == []
    assert explorer.objects[0]["positives_pono"] > 0
    assert explorer._static_picture().startswith(b"\x89PNG")


def test_a_picture_whose_sides_are_no_multiples_of_the_stride() -> None:
    image = torch.zeros(3, 101, 150, dtype=torch.uint8)
    explorer = Explorer(image, torch.tensor([[140.0, 90.0, 150.0, 101.0]]), torch.tensor([0]), SHAPES[:1])
    assert explorer.grid_size == (13, 19)
    assert read(explorer)["owner"][12, 18] == 0


def test_an_image_is_brought_to_the_size_of_the_model(detector: Detector) -> None:
    boxes = torch.tensor([[32.0, 64.0, 128.0, 256.0]])
    explorer = Explorer(torch.zeros(3, 256, 512, dtype=torch.uint8), boxes, torch.tensor([0]), detector=detector)
    assert explorer.extent == [128, 128]
    assert explorer.boxes == [[8.0, 32.0, 32.0, 128.0]]


def test_wrong_arguments_are_named() -> None:
    boxes, labels = torch.tensor([[10.0, 10.0, 90.0, 200.0]]), torch.tensor([0])
    with pytest.raises(ValueError, match="leave shapes and detector out, or the model"):
        Explorer(None, boxes, labels, SHAPES, model="scenes")
    with pytest.raises(ValueError, match="there are scenes, photographs"):
        Explorer(model="birds")
    with pytest.raises(ValueError, match="2 class names for the anchors of 1"):
        Explorer(None, boxes, labels, SHAPES[:1], ["a", "b"])
    with pytest.raises(RuntimeError, match="no class 3"):  # a notebook's cell fails; it does not show a dead widget
        Explorer(None, boxes, labels, SHAPES[:1], ["a"], label=3)._repr_mimebundle_()


def test_without_anything_it_opens_with_a_trained_model() -> None:
    explorer = Explorer()
    assert explorer.preset == next(iter(ABOUT))
    assert explorer.class_names == list(SCENE_CLASSES)
    assert [name for name, _ in explorer.layers] == list(LAYERS)
    assert set(ABOUT) <= set(explorer.presets)
    assert torch.equal(torch.tensor(explorer.shapes), shipped("scenes").method.state_dict()["shapes"])
    assert max(entry["kept"] for entry in explorer.objects) > 0  # it was trained, and its boxes fit
    assert Explorer.situation("crowd").extent == [192, 192]
    boxes = torch.tensor([[10.0, 10.0, 90.0, 200.0]])
    given = Explorer(None, boxes, torch.tensor([0]))
    assert (given.preset, given.boxes) == ("", [[7.5, 7.5, 67.5, 150.0]])


def test_shapes_or_a_detector_come_without_a_shipped_model(detector: Detector, hug: Explorer) -> None:
    for explorer in (hug, Explorer.situation("crowd", detector=detector)):
        assert explorer.presets == list(ABOUT)


def voc_animals(folder: Path) -> None:
    """Three pictures of 60 x 40 pixels, each with a dog and a sheep."""
    for part in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / part).mkdir(parents=True)
    box = "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>"
    for name in "abc":
        Image.new("RGB", (60, 40), (90, 120, 60)).save(folder / "JPEGImages" / f"{name}.jpg")
        objects = [f"<name>dog</name>{box.format(2, 3, 30, 32)}", f"<name>sheep</name>{box.format(31, 11, 60, 40)}"]
        about = f"<filename>{name}.jpg</filename><size><width>60</width><height>40</height><depth>3</depth></size>"
        each = "".join(f"<object>{text}</object>" for text in objects)
        (folder / "Annotations" / f"{name}.xml").write_text(f"<annotation>{about}{each}</annotation>")
    (folder / "ImageSets" / "Main" / "val.txt").write_text("a\nb\nc\n")
    (folder / "ImageSets" / "Main" / "train.txt").write_text("a\n")


def test_photographs_are_offered_where_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAPNET_DATA", str(tmp_path))
    assert Explorer().presets == list(ABOUT)
    assert Explorer(model="photographs").boxes == []  # an empty ground, its classes
    with pytest.raises(ValueError, match="LAPNET_DATA"):
        Explorer(preset="photograph_1")
    voc_animals(tmp_path / "voc_animals")
    explorer = Explorer()
    assert explorer.presets[: len(ABOUT)] == list(ABOUT)
    explorer.preset = "photograph_1"
    assert explorer.error == ""
    assert explorer.class_names == list(ANIMALS)
    assert torch.equal(torch.tensor(explorer.shapes), shipped("photographs").method.state_dict()["shapes"])
    assert [(entry["class"], entry["kept"] is None) for entry in explorer.objects] == [("dog", False), ("sheep", False)]
    assert explorer.boxes[0] == [3.2, 9.6, 96.0, 153.6]  # VOC's pixels from 1, on 60 x 40, now on 192 x 192
    assert "dog, sheep" in explorer.about
    explorer.preset = "photograph_8"
    assert "only 3 of voc_animals" in explorer.error
    explorer.preset = "crowd"
    assert explorer.error == ""
    assert explorer.class_names == list(SCENE_CLASSES)


def test_an_update_costs_little_more_than_its_two_assignments() -> None:
    """A ratio in one process, since machines differ; benchmarks/bench_explorer.py measures in a browser."""
    chosen = preset("two_people_hugging", (512, 512))
    shapes = SHAPES.repeat(1, 3, 1)[:, :10]
    explorer = Explorer(chosen.image, chosen.boxes, chosen.labels, shapes, SCENE_CLASSES)

    def update() -> None:
        explorer.boxes = [[explorer.boxes[0][0] + 0.1, *explorer.boxes[0][1:]], explorer.boxes[1]]

    def assignments() -> None:
        for overlap in ("ao", "pono"):
            assign(shapes, (64, 64), chosen.boxes, chosen.labels, overlap=overlap)

    ratio = seconds_each(update, repeats=9) / seconds_each(assignments, repeats=9)
    assert explorer.error == ""
    assert ratio < 8
