"""The embedded street scenes: determinism, honest boxes, and the imbalance and crowding that they exist for."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.ops import box_iou

from lapnet_core.scenes import SCENE_CLASSES, Scenes, _paint_actors, painters, render_scene, render_situation, vehicles
from lapnet_core.scenes.backdrops import LIGHTS, Camera
from lapnet_core.scenes.layouts import PLACES, SITUATIONS, Stage

SIZE = 192


@pytest.fixture(scope="module")
def targets():
    scenes = Scenes(400, size=(SIZE, SIZE), seed=3)
    return [scenes.target(i) for i in range(len(scenes))]


@pytest.fixture(scope="module")
def labels(targets):
    return torch.cat([target["labels"] for target in targets])


@pytest.fixture(scope="module")
def sides(targets):
    """(G, 2) widths and heights."""
    boxes = torch.cat([target["boxes"].as_subclass(torch.Tensor) for target in targets])
    return boxes[:, 2:] - boxes[:, :2]


def same(a, b):
    return torch.equal(a[0], b[0]) and all(torch.equal(a[1][k], b[1][k]) for k in ("boxes", "labels", "difficult"))


@pytest.mark.slow
def test_a_picture_depends_on_seed_split_and_index_alone():
    first, second = Scenes(6, size=(96, 96), seed=1), Scenes(9, size=(96, 96), seed=1)
    forwards = [first[i] for i in range(6)]
    backwards = [second[i] for i in reversed(range(6))][::-1]
    assert all(same(a, b) for a, b in zip(forwards, backwards, strict=True))
    for other in (Scenes(6, size=(96, 96), seed=2), Scenes(6, size=(96, 96), seed=1, split="val")):
        assert not any(torch.equal(forwards[i][0], other[i][0]) for i in range(6))


def test_neither_reads_nor_moves_the_global_generators():
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    expected = Scenes(2, size=(64, 64))[1]
    state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    assert same(Scenes(2, size=(64, 64))[1], expected)
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_state)


@pytest.mark.parametrize("size", [(192, 320), (320, 192), (128, 128), (97, 131), (33, 40), (700, 660)])
def test_image_and_target_have_the_documented_types_and_shapes(size):
    image, target = Scenes(5, size=size)[4]
    assert isinstance(image, tv_tensors.Image)
    assert isinstance(target["boxes"], tv_tensors.BoundingBoxes)
    assert image.dtype == torch.uint8
    assert image.shape == (3, *size)
    count = len(target["labels"])
    assert target["boxes"].shape == (count, 4)
    assert target["boxes"].dtype == torch.float32
    assert target["boxes"].canvas_size == size
    assert target["labels"].dtype == torch.int64
    assert target["difficult"].dtype == torch.bool
    assert target["difficult"].shape == (count,)
    assert target["image_id"] == 4
    assert target["original_size"] == size


@pytest.mark.slow
def test_the_annotation_alone_equals_that_of_the_item():
    scenes = Scenes(20, size=(96, 128))
    for i in range(20):
        image, target = scenes[i]
        assert same((image, target), (image, scenes.target(i)))


@pytest.mark.parametrize("index", [3, 100, -1])
def test_an_index_outside_is_an_index_error(index):
    scenes = Scenes(3, size=(32, 32))
    with pytest.raises(IndexError, match="outside"):
        scenes[index]
    with pytest.raises(IndexError, match="outside"):
        scenes.target(index)


def test_iterating_ends_and_the_transform_is_applied():
    scenes = Scenes(3, size=(32, 32), transform=lambda image, target: (image.flip(-1), target))
    plain = Scenes(3, size=(32, 32))
    items = [scenes[i] for i in range(len(scenes))]
    assert len(list(plain)) == 3
    assert torch.equal(items[1][0], plain[1][0].flip(-1))


@pytest.mark.slow
def test_boxes_are_inside_the_picture_and_not_empty(targets):
    boxes = torch.cat([target["boxes"].as_subclass(torch.Tensor) for target in targets])
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= SIZE).all()
    assert (boxes[:, 2:] - boxes[:, :2] >= 2).all()


@pytest.mark.slow
def test_some_streets_are_empty(targets):
    empty = sum(len(target["labels"]) == 0 for target in targets)
    assert 1 <= empty <= 0.05 * len(targets)
    assert all(target["boxes"].shape == (0, 4) for target in targets if len(target["labels"]) == 0)


@pytest.mark.slow
def test_classes_are_as_unequal_as_in_voc(labels):
    share = torch.bincount(labels, minlength=len(SCENE_CLASSES)).double() / len(labels)
    shares = dict(zip(SCENE_CLASSES, share.tolist(), strict=True))
    assert 0.38 < shares["person"] < 0.52
    assert 0.17 < shares["car"] < 0.30
    assert 0.012 < shares["bus"] < 0.04
    assert min(shares, key=shares.__getitem__) == "bus"
    assert all(0.02 < shares[name] < 0.13 for name in ("bicycle", "traffic_light", "bird", "dog"))


@pytest.mark.slow
def test_sizes_span_from_a_few_pixels_to_half_of_the_picture(labels, sides):
    assert sides.amin(1).quantile(0.02) < 8
    assert sides.amax(1).max() > 0.6 * SIZE
    assert (sides.amin(1) >= 8).float().mean() > 0.8  # most can be told at this size
    median = {name: sides[labels == c].prod(1).sqrt().median() for c, name in enumerate(SCENE_CLASSES)}
    assert median["traffic_light"] < 0.6 * median["person"]
    assert median["bus"] > 2 * median["person"]


@pytest.mark.slow
def test_shapes_within_a_class_differ(labels, sides):
    aspect = sides[labels == SCENE_CLASSES.index("car")]
    aspect = aspect[:, 0] / aspect[:, 1]
    assert aspect.quantile(0.1) < 1.3 < 2.2 < aspect.quantile(0.9)


@pytest.mark.slow
def test_things_of_one_class_overlap_and_hide_each_other(targets):
    overlapping = total = 0
    for target in targets:
        iou = box_iou(target["boxes"].as_subclass(torch.Tensor), target["boxes"].as_subclass(torch.Tensor))
        alike = target["labels"][:, None] == target["labels"][None]
        rest = iou * (alike & ~torch.eye(len(iou), dtype=torch.bool))
        overlapping += int((rest.amax(1) > 0.1).sum()) if len(iou) else 0
        total += len(iou)
    assert 0.15 < overlapping / total < 0.6
    difficult = torch.cat([target["difficult"] for target in targets]).float().mean()
    assert 0.03 < difficult < 0.15


def stage_of(*actors, size=128):
    """A stage with these (kind, sprite, x, z) on it, seen by a plain camera."""
    camera = Camera(2 * size, 2 * size, horizon=0.9 * size, focal=2.0 * size, eye=2.0, vanish=1.0 * size)
    stage = Stage(np.random.default_rng(0), camera, "square", LIGHTS["noon"], sun=1)
    for kind, sprite, x, z in actors:
        stage.add(kind, sprite, x, z, facing=1)
    return stage


def test_a_box_is_tight_around_the_drawn_shape():
    """Painting a thing on two plain canvases shows which pixels it covers, with no help from the id buffer."""
    rng = np.random.default_rng(5)
    cut = 0
    for _ in range(10):
        for kind, make in (
            ("person", painters.person),
            ("dog", painters.dog),
            ("car", vehicles.car_side),
            ("car", vehicles.car_front),
            ("bus", vehicles.bus_side),
            ("bicycle", vehicles.bicycle),
            ("traffic_light", vehicles.traffic_light),
        ):
            x, z = 8 * rng.random() - 4, 2.5 + 12 * rng.random()  # the frame often cuts it
            stage = stage_of((kind, make(rng), x, z))
            stage.light = replace(LIGHTS["noon"], shadow=0.0)
            canvases = [Image.new("RGB", (256, 256), colour) for colour in ((255, 0, 255), (0, 255, 0))]
            (boxes, labels, _), _ = (_paint_actors(stage, canvas) for canvas in canvases)
            first, second = (np.asarray(canvas) for canvas in canvases)
            ys, xs = np.nonzero((first == second).all(axis=2))
            if len(xs) == 0:  # wholly outside
                assert len(boxes) == 0
                continue
            measured = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]) / 2
            if (measured[2:] - measured[:2]).min() < 2:
                assert len(boxes) == 0
                continue
            assert labels.tolist() == [SCENE_CLASSES.index(kind)]
            np.testing.assert_allclose(boxes[0], measured, atol=1e-6)
            cut += measured[3] == 128 or measured[0] == 0
    assert cut > 10


def test_a_box_stays_whole_behind_an_occluder_and_is_cut_by_the_frame():
    rng = np.random.default_rng(1)
    far, near = painters.person(rng, "stand", 1.8), painters.person(rng, "stand", 1.8)
    alone = _paint_actors(stage_of(("person", far, 0.0, 9.0)), None)[0]
    both = _paint_actors(stage_of(("person", near, 0.35, 8.0), ("person", far, 0.0, 9.0)), None)[0]
    np.testing.assert_array_equal(both[0], alone[0])  # far things come first
    cut = _paint_actors(stage_of(("person", far, 4.5, 9.0)), None)[0]
    assert cut[0, 2] == 128


def test_hidden_things_are_difficult_and_vanish_when_covered():
    rng = np.random.default_rng(2)
    walker, bus = painters.person(rng, "stand", 1.75), vehicles.bus_side(rng)
    shut = _paint_actors(stage_of(("person", walker, 0.0, 12.0), ("bus", bus, 0.0, 11.0)), None)
    assert shut[1].tolist() == [SCENE_CLASSES.index("bus")]
    middle = -bus.width / 2
    flags = []
    for x in np.linspace(-0.5, 0.5, 21):  # the person steps out from behind the bus
        stage = stage_of(("person", walker, x, 12.0), ("bus", bus, middle, 11.0))
        _, labels, difficult = _paint_actors(stage, None)
        flags.append("gone" if len(labels) == 1 else "difficult" if difficult[0] else "plain")
    order = ["gone", "difficult", "plain"]
    assert sorted(flags, key=order.index) == flags
    assert set(flags) == set(order)


@pytest.mark.parametrize("name", list(SITUATIONS))
def test_situations_render(name):
    image, target = render_situation(name, (128, 160), seed=4)
    assert image.shape == (3, 128, 160)
    assert torch.equal(image, render_situation(name, (128, 160), seed=4)[0])
    assert SITUATIONS[name][0] in PLACES
    boxes = target["boxes"].as_subclass(torch.Tensor)
    if name == "two_people_hugging":
        assert target["labels"].tolist() == [0, 0]
        assert box_iou(boxes[:1], boxes[1:]).item() > 0.4
    elif name == "tiny_object":
        assert (boxes[:, 2:] - boxes[:, :2]).amax(1).min() < 0.07 * 160
    else:
        assert len(boxes) >= 5


def test_a_wrong_argument_is_named():
    for name, wrong in (("length", -1), ("size", (0, 64)), ("seed", -1)):
        with pytest.raises(ValueError, match=f"^{name} must be "):
            Scenes(**({"length": 2} | {name: wrong}))
    for given, name in ((("nothing",), "situation"), (("crowd", (0, 9)), "size"), (("crowd", (64, 64), -1), "seed")):
        with pytest.raises(ValueError, match=f"^{name} must be "):
            render_situation(*given)


def test_the_same_scene_at_another_size_has_the_same_layout():
    small = render_scene(np.random.default_rng(11), (128, 128))
    large = render_scene(np.random.default_rng(11), (256, 256))
    assert small[2].tolist() == large[2].tolist()
    np.testing.assert_allclose(2 * small[1], large[1], atol=4)


def test_kept_scenes_are_the_same_and_drawn_once():
    kept, drawn = Scenes(3, size=(64, 64), keep=True), Scenes(3, size=(64, 64))
    assert torch.equal(kept[1][0], drawn[1][0])
    assert kept[1][0] is kept[1][0]
    assert torch.equal(kept[1][1]["boxes"], drawn[1][1]["boxes"])
