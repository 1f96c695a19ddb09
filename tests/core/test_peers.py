"""Every registered method keeps the promises of the seam: one test for all, run on each."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import tv_tensors
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou
from toys import Squares

from lapnet_core.backbones import STRIDES
from lapnet_core.cli import main
from lapnet_core.config import TrainConfig
from lapnet_core.data import collate, eval_transform
from lapnet_core.detector import Detector
from lapnet_core.evaluate import voc_map
from lapnet_core.options import LapNetOptions
from lapnet_core.peers import METHODS, method_class
from lapnet_core.peers.peer import Pyramid
from lapnet_core.peers.torchvision import LEVELS, CentredRegions, DefaultBoxes
from lapnet_core.scenes import SCENE_CLASSES, Scenes
from lapnet_core.step import make_optimizer, train_step
from lapnet_core.train import train

SIZE = (64, 96)
CONFIG = TrainConfig(
    image_size=SIZE, batch_size=2, steps=4, log_every=1, save_every=2, lr=0.01, clip_norm=5.0,
    lapnet=LapNetOptions(anchors_per_class=2),
)  # fmt: skip
SCENES = Scenes(8, size=SIZE, keep=True)


@pytest.fixture(params=METHODS)
def config(request: pytest.FixtureRequest) -> TrainConfig:
    return replace(CONFIG, method=request.param)


def fresh(config: TrainConfig):
    torch.manual_seed(0)
    return method_class(config.method).create(config, SCENES, progress=False)


@pytest.fixture
def batch():
    resize = eval_transform(SIZE)
    return collate([resize(*SCENES[i]) for i in range(3)])


def test_the_names_are_their_own(config):
    assert method_class(config.method).name == config.method
    with pytest.raises(ValueError, match=f"there are {', '.join(METHODS)}"):
        method_class("nothing")
    with pytest.raises(ValueError, match=f"method: one of {', '.join(METHODS)}"):
        replace(config, method="nothing")


def test_losses_are_what_their_parts_add_up_to(config, batch):
    method = fresh(config).train()
    losses = method(batch.images, batch.targets)
    assert losses.total.shape == ()
    torch.testing.assert_close(losses.total, torch.stack(list(losses.parts.values())).sum())
    losses.total.backward()
    assert all(bool(p.grad.isfinite().all()) for p in method.parameters() if p.grad is not None)
    told = method.progress()
    assert len(told) >= 2
    assert all(isinstance(value, int | float) for value in told.values())
    json.dumps(told)


def test_difficult_objects_and_images_without_any(config, batch):
    """A difficult object changes no loss of an image; an image without objects, or a batch without any, has one."""
    method = fresh(config).eval()
    first = batch.targets[0]
    extra = torch.tensor([[4.0, 4.0, 40.0, 40.0]])
    more = {
        **first,
        "boxes": torch.cat((first["boxes"], extra)),
        "labels": torch.cat((first["labels"], torch.tensor([1]))),
        "difficult": torch.cat((first["difficult"], torch.tensor([True]))),
    }
    a, b = (method.loss(batch.images[:1], [target]).total for target in (first, more))
    assert torch.equal(a, b)
    c = method.loss(batch.images[:1], [{**more, "difficult": torch.zeros_like(more["difficult"])}]).total
    assert not torch.equal(a, c)
    nothing = {**first, "boxes": torch.zeros(0, 4), "labels": first["labels"][:0], "difficult": first["difficult"][:0]}
    empty = method.loss(batch.images[:2], [nothing, nothing])
    assert bool(empty.total.isfinite())


def test_neither_losses_nor_detections_depend_on_what_was_asked_before(config, batch):
    method = fresh(config).eval()
    found = method.detect(batch.images, score_threshold=0.0, max_detections=20)
    loss = method.loss(batch.images, batch.targets).total
    again = method.detect(batch.images, score_threshold=0.0, max_detections=20)
    assert not method.training
    assert all(torch.equal(a["scores"], b["scores"]) for a, b in zip(found, again, strict=True))
    assert torch.equal(loss, method.loss(batch.images, batch.targets).total)
    method.train()
    trained = method.detect(batch.images, score_threshold=0.0, max_detections=20)  # in evaluation mode all the same
    assert method.training
    assert all(module.training for module in method.modules())
    assert all(torch.equal(a["scores"], b["scores"]) for a, b in zip(found, trained, strict=True))


def test_detections_are_those_of_images(config, batch):
    method = fresh(config)
    found = method.detect(batch.images, score_threshold=0.0, nms_iou=0.5, candidates=50, max_detections=7)
    assert len(found) == 3
    for one in found:
        assert set(one) == {"boxes", "scores", "labels"}
        assert 0 < len(one["scores"]) <= 7
        assert torch.equal(one["scores"], one["scores"].sort(descending=True).values)
        assert bool((one["boxes"][:, 2:] >= one["boxes"][:, :2]).all())
        assert one["boxes"].min() >= 0
        assert one["boxes"][:, 2].max() <= SIZE[1]
        assert one["boxes"][:, 3].max() <= SIZE[0]
        assert 0 <= one["labels"].min() <= one["labels"].max() < len(SCENE_CLASSES)
        assert not one["scores"].requires_grad
    assert all(len(one["scores"]) == 0 for one in method.detect(batch.images, score_threshold=0.999))
    with pytest.raises(TypeError):
        method.detect(batch.images, colour=1.0)


def test_every_parameter_is_in_one_group(config):
    method = fresh(config)
    groups = method.parameter_groups(config)
    listed = [id(p) for group in groups for p in group["params"]]
    assert len(listed) == len(set(listed))
    assert set(listed) == {id(p) for p in method.parameters()}
    assert all({"multiplier", "max_step"} <= set(group) for group in groups)


def test_a_step_changes_the_network(config, batch):
    method = fresh(config).train()
    optimizer = make_optimizer(method, config)
    before = [p.detach().clone() for p in method.parameters() if p.requires_grad]
    train_step(method, optimizer, batch.images, batch.targets, config, 0)
    moved = [
        not torch.equal(a, b) for a, b in zip(before, (p for p in method.parameters() if p.requires_grad), strict=True)
    ]
    assert sum(moved) > 0.9 * len(moved)


def test_what_about_tells_is_enough_to_make_it_again(config):
    method = fresh(config)
    again = method_class(config.method).restore(json.loads(json.dumps(method.about())))
    again.load_state_dict(method.state_dict())
    assert again.about() == method.about()


def test_a_training_is_resumed_bit_for_bit_and_loads(config, tmp_path):
    whole = train(replace(config, out=str(tmp_path / "a")), SCENES, progress=False)
    half = replace(config, out=str(tmp_path / "b"))

    class Stop(Exception):
        pass

    def stop(step, _method):
        if step == 3:
            raise Stop

    with pytest.raises(Stop):
        train(half, SCENES, progress=False, on_step=stop)
    resumed = train(half, SCENES, resume=True, progress=False)
    states = whole.method.state_dict(), resumed.method.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    back = Detector.load(tmp_path / "b")
    image = SCENES[3][0]
    a, b = (d.predict(image, score_threshold=0.0) for d in (whole.detector, back))
    assert torch.equal(a["boxes"], b["boxes"])


def test_a_data_set_with_a_transform_of_its_own_is_refused(config):
    with pytest.raises(ValueError, match="a transform of its own"):
        train(config, Scenes(4, size=SIZE, transform=eval_transform(SIZE)), save=False, progress=False)


def test_augmentation_can_be_given(config):
    seen = []

    def mine(image, target):
        seen.append(type(image) is tv_tensors.Image and image.dtype == torch.uint8)
        return eval_transform(SIZE)(image, target)

    train(replace(config, steps=1), SCENES, transform=mine, save=False, progress=False)
    assert seen == [True, True]


def test_what_is_drawn_is_no_one_elses(config, batch):
    """A loss is a function of the state: it takes nothing from torch's global generator, and leaves it as it was."""
    method = fresh(config).eval()
    totals = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        totals.append(method.loss(batch.images, batch.targets).total)
        assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(*totals)


def test_in_evaluation_mode_a_loss_changes_nothing(config, batch):
    method = fresh(config).eval()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    method.loss(batch.images, batch.targets)
    assert all(torch.equal(before[name], value) for name, value in method.state_dict().items())


@pytest.mark.slow
def test_each_option_of_detect_does_what_it_says(config, batch):
    config = replace(config, steps=8)
    method = fresh(config).train()
    images = torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    optimizer = make_optimizer(method, config)
    for step in range(config.steps):  # so that boxes overlap and scores differ
        train_step(method, optimizer, batch.images, batch.targets, config, step)

    def found(**options):
        return method.detect(images, **{"score_threshold": 0, "candidates": 9999, "max_detections": 9999, **options})[0]

    every = found()
    scores = every["scores"]
    middle = (scores[0] + scores[-1]).item() / 2
    high = found(score_threshold=middle)["scores"]  # its boxes may be others where scores are equal
    assert 0 < len(high) < len(scores)
    assert scores[0] == high[0] >= high[-1] > middle
    assert torch.equal(found(max_detections=5)["scores"], scores[:5])
    assert 0 < len(found(candidates=1)["scores"]) < len(found(candidates=20)["scores"]) < len(scores)
    assert len(found(nms_iou=1.0)["scores"]) > len(scores)
    apart = found(nms_iou=0.0)
    assert 0 < len(apart["scores"]) < len(scores)
    overlap = box_iou(apart["boxes"], apart["boxes"]).fill_diagonal_(0)
    assert overlap[apart["labels"][:, None] == apart["labels"]].max() == 0


def test_images_that_are_not_finite_are_refused(config, batch):
    images = batch.images.clone()
    images[1, 0, 5, 7] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        fresh(config).detect(images)


def test_frozen_stages_and_widths(config, batch):
    """Frozen stages learn nothing, also where a training is resumed; the first of the widths is the pyramid's."""
    narrow = replace(config, widths=(32, 16, 32), frozen=2)
    method, full = fresh(narrow).train(), fresh(config)
    assert sum(p.numel() for p in method.parameters()) < sum(p.numel() for p in full.parameters())
    again = method_class(config.method).restore(json.loads(json.dumps(method.about())))
    again.load_state_dict(method.state_dict())
    again.train()
    still = [name for name, p in method.named_parameters() if not p.requires_grad]
    assert still
    assert all(not p.requires_grad for name, p in again.named_parameters() if name in still)
    groups = again.parameter_groups(narrow)
    assert not {id(p) for name, p in again.named_parameters() if name in still} & {
        id(p) for group in groups for p in group["params"]
    }
    before = {name: value.clone() for name, value in again.state_dict().items()}
    train_step(again, make_optimizer(again, narrow), batch.images, batch.targets, narrow, 0)
    after = again.state_dict()
    backbone = still[0].split("encoder.")[0] + "encoder."
    first = [name for name in after if name.startswith((f"{backbone}stages.0.", f"{backbone}stages.1."))]
    assert any(name.endswith("running_mean") for name in first)
    assert all(torch.equal(before[name], after[name]) for name in first)


def test_autocast_gives_float_losses_and_finite_gradients(config):
    """At 64 px P6 is one cell, on which a bfloat16 convolution of oneDNN goes wrong."""
    resize = eval_transform((64, 64))
    small = collate([resize(*Squares(2)[i]) for i in range(2)])
    method = fresh(config).train()
    for _ in range(3):
        method.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            losses = method(small.images, small.targets)
        losses.total.backward()
        assert {part.dtype for part in losses.parts.values()} == {torch.float32}
        assert all(bool(p.grad.isfinite().all()) for p in method.parameters() if p.grad is not None)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_on_cuda_it_is_as_on_the_cpu(config, batch):
    """Losses agree where nothing is drawn at random; everything stays on the device."""
    method = fresh(config).eval()
    here = method.loss(batch.images, batch.targets)
    there = batch.to("cuda")
    losses = method.to("cuda").loss(there.images, there.targets)
    if not hasattr(method, "draws"):
        torch.testing.assert_close(losses.total.cpu(), here.total, rtol=1e-3, atol=1e-4)
    losses.total.backward()
    assert all(bool(p.grad.isfinite().all()) for p in method.parameters() if p.grad is not None)
    for found in method.detect(there.images, score_threshold=0.0):
        assert {value.device.type for value in found.values()} == {"cuda"}


@pytest.mark.parametrize("name", [name for name in METHODS if name != "lapnet"])
def test_a_peer_of_version_0_1_has_neither_width_nor_frozen(name):
    method = method_class(name).restore({"num_classes": 2, "backbone": "light"})
    about = method.about()
    as_the_library = {"base": 2, "depth": 4, "pairs": 3, "normalised": False, "image_size": None, "centred": False}
    assert all(about.pop(key, value) == value for key, value in as_the_library.items())
    assert about == {"num_classes": 2, "backbone": "light", "frozen": 0, "width": 64}


@pytest.mark.parametrize(("name", "in_octave"), [("retinanet", 3), ("faster_rcnn", 1)])
def test_anchors_have_four_strides_and_those_of_version_0_1_two(name, in_octave):
    """And the level that a region is looked at on goes with them: 224 px, of version 0.1 112."""
    made = method_class(name).create(replace(CONFIG, method=name), SCENES, progress=False)
    old = method_class(name).restore({"num_classes": 2, "backbone": "light"})
    again = method_class(name).restore(made.about())
    for method, base in ((made, 4), (old, 2), (again, 4)):
        model: Any = method.model
        generator = model.anchor_generator if name == "retinanet" else model.rpn.anchor_generator
        expected = [[round(base * 2 ** (level + k / in_octave)) for k in range(in_octave)] for level in range(3, 8)]
        assert [list(sizes) for sizes in generator.sizes] == expected
        if name == "faster_rcnn":
            pooling = model.roi_heads.box_roi_pool
            assert (pooling.canonical_scale if method is old else pooling.level_of.s0) == 56 * base


@pytest.mark.parametrize("name", ["retinanet", "fcos", "faster_rcnn"])
@pytest.mark.parametrize("size", [(64, 96), (160, 160), (224, 100)])
def test_anchors_and_points_lie_in_the_middle_of_cells_at_any_size(name, size):
    """As those of the other detectors do; a model that was saved before keeps its own."""
    new = fresh(replace(CONFIG, method=name))
    for method in (new, method_class(name).restore({k: v for k, v in new.about().items() if k != "centred"})):
        model: Any = method.model
        generator = model.rpn.anchor_generator if name == "faster_rcnn" else model.anchor_generator
        grids = [tuple(-(-side // stride) for side in size) for stride in LEVELS]
        maps = [torch.zeros(1, 1, *grid) for grid in grids]
        (found,) = generator(ImageList(torch.zeros(1, 3, *size), [size]), maps)
        kinds = generator.num_anchors_per_location()
        levels = found.split([h * w * kind for (h, w), kind in zip(grids, kinds, strict=True)])
        for level, (height, width), stride, kind in zip(levels, grids, LEVELS, kinds, strict=True):
            centres = ((level[:, :2] + level[:, 2:]) / 2).view(height, width, kind, 2)
            step = (stride, stride) if method is new else (size[0] // height, size[1] // width)
            for k, j in ((0, 0), (height - 1, width - 1)):
                half = 0.5 if method is new else 0.0
                expected = torch.tensor([(j + half) * step[1], (k + half) * step[0]]).expand(kind, 2)
                torch.testing.assert_close(centres[k, j], expected, rtol=0, atol=0.51)  # their sides are rounded


def test_regions_are_read_where_the_cells_look():
    """A map that says at each cell where its middle is, read in a region: the middles of the region's bins."""
    pooling = CentredRegions(4)
    maps = {}
    for stride in STRIDES:
        centre = (torch.arange(512 // stride) + 0.5) * stride
        y, x = torch.meshgrid(centre, centre, indexing="ij")
        maps[str(stride)] = torch.stack((x, y)).expand(2, 2, *x.shape)
    boxes = [torch.tensor([[40.0, 60, 110, 102], [16, 40, 296, 432]]), torch.tensor([[30.0, 30, 480, 480]])]
    assert pooling.level_of(boxes).tolist() == [0, 1, 2]
    for (x1, y1, x2, y2), read in zip(torch.cat(boxes).tolist(), pooling(maps, boxes, None), strict=True):
        bins = (torch.arange(7) + 0.5) / 7
        x, y = x1 + bins * (x2 - x1), y1 + bins * (y2 - y1)
        torch.testing.assert_close(read, torch.stack((x.expand(7, 7), y[:, None].expand(7, 7))), rtol=0, atol=1e-3)


def test_the_pyramid_of_ssd_is_normalised_and_the_others_are_not(config):
    method = fresh(config)
    if method.name == "lapnet":
        return
    pyramid = next(module for module in method.modules() if isinstance(module, Pyramid))
    norms = [module for module in pyramid.fpn.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == (6 if method.name == "ssd" else 0)
    again = method_class(method.name).restore(method.about())
    again.load_state_dict(method.state_dict())


@pytest.mark.parametrize("seed", range(6))
def test_every_side_of_fcos_learns_from_the_first_step(seed, batch):
    torch.manual_seed(seed)
    method = method_class("fcos").restore({"num_classes": len(SCENE_CLASSES), "backbone": "light"})
    method.loss(batch.images, batch.targets).total.backward()
    assert bool((method.model.head.regression_head.bbox_reg.bias.grad != 0).all())


def test_as_much_of_retinanets_loss_as_of_fcos_reaches_the_backbone(batch):
    """Both have a focal loss, with the same prior, behind as many convolutions."""
    reached = {}
    for name in ("retinanet", "fcos"):
        method = fresh(replace(CONFIG, method=name)).train()
        method.loss(batch.images, batch.targets).parts["classification"].backward()
        inside = [p.grad.norm() for n, p in method.named_parameters() if ".encoder." in n and p.grad is not None]
        reached[name] = torch.stack(inside).norm()
    assert reached["retinanet"] > reached["fcos"] / 4


def test_a_retinanet_without_norm_stays_one_and_one_with_it_takes_any_width(batch):
    """Models that were trained before its heads had a norm are read, and go on learning."""
    old = method_class("retinanet").restore({"num_classes": len(SCENE_CLASSES), "backbone": "light"})
    again = method_class("retinanet").restore(json.loads(json.dumps(old.about())))
    again.load_state_dict(old.state_dict())
    odd = fresh(replace(CONFIG, method="retinanet", widths=(24, 16, 32)))
    for method, norms in ((again, 0), (odd, 2)):
        assert sum(isinstance(module, torch.nn.GroupNorm) for module in method.modules()) == norms
        method.loss(batch.images, batch.targets).total.backward()


@pytest.mark.parametrize(("name", "key", "few", "many"), [("retinanet", "depth", 1, 4), ("fcos", "depth", 1, 4),
                                                          ("yolov3", "pairs", 3, 7)])  # fmt: skip
def test_a_model_with_more_convolutions_in_its_head_stays_one(name, key, few, many, batch):
    """As they were saved before that number was told; a new one has one, or one pair and the output."""
    new = fresh(replace(CONFIG, method=name)).eval()
    old = method_class(name).restore({about: value for about, value in new.about().items() if about != key}).eval()
    for method, count in ((new, few), (old, many)):
        heads = method.heads if name == "yolov3" else [half.conv for half in method.model.head.children()]
        for head in heads:
            assert sum(isinstance(module, torch.nn.Conv2d) for module in head.modules()) == count
        again = method_class(name).restore(json.loads(json.dumps(method.about()))).eval()
        again.load_state_dict(method.state_dict())
        for a, b in zip(again.detect(batch.images), method.detect(batch.images), strict=True):
            assert torch.equal(a["scores"], b["scores"])


def test_faster_rcnn_draws_anew_in_each_step_of_a_training(batch):
    method = method_class("faster_rcnn").restore({"num_classes": len(SCENE_CLASSES), "backbone": "light"})
    before = int(method.draws)
    for training in (True, False, True):
        method.train(training).loss(batch.images, batch.targets)
    assert int(method.draws) == before + 2


@pytest.mark.slow
def test_it_learns(config):
    """Two squares that two minutes of thought could not confuse."""
    # A step of two stages takes four times as long. RetinaNet's smallest anchors, 16 px, seldom overlap the blue square
    # of 14 px by half: it hardly learns that one. LapNet has to learn both; processors differ by .2 after 160 steps.
    steps, least = {"lapnet": (240, 0.6), "faster_rcnn": (60, 0.4)}.get(config.method, (160, 0.3))
    config = replace(
        config, image_size=(64, 64), steps=steps, batch_size=4, lr=0.05, warmup=10, scale=(0.9, 1.1),
        lapnet=LapNetOptions(anchors_per_class=3),
    )  # fmt: skip
    detector = train(config, Squares(64), save=False, progress=False).detector
    found, truth, _ = detector.predict_dataset(Squares(16), progress=False)
    assert voc_map(found, truth, 2).mean_ap > least


def test_the_commands_work_with_the_peer(tmp_path, capsys):
    run = tmp_path / "run"
    flags = ["--method", "retinanet", "--steps", "2", "--batch-size", "2", "--image-size", "64", "64"]
    assert main(["train", *flags, "--log-every", "1", "--out", str(run)]) == 0
    assert {file.name for file in run.iterdir()} == {"model.safetensors", "log.jsonl", "last.pt"}
    line = json.loads((run / "log.jsonl").read_text().splitlines()[-1])
    assert {"step", "total", "classification", "bbox_regression", "lr", "seconds"} == set(line)
    Image.new("RGB", (90, 60), "gray").save(tmp_path / "a.jpg")
    out = tmp_path / "out"
    assert main(["predict", str(run), str(tmp_path / "a.jpg"), "--out", str(out), "--score-threshold", "0"]) == 0
    assert (out / "a.jpg").exists()
    assert main(["train", *flags, "--log-every", "1", "--out", str(run), "--resume"]) == 0
    assert "trained" in capsys.readouterr().out


@pytest.mark.parametrize("size", [(192, 192), (64, 96), (160, 224), (300, 520)])
def test_default_boxes_are_the_librarys_at_the_trained_size(size):
    ratios, scales = [[2], [2, 3], [2, 3], [2, 3], [2]], [0.07, 0.15, 0.33, 0.55, 0.8, 1.05]
    ours, theirs = DefaultBoxes(ratios, scales=scales), DefaultBoxGenerator(ratios, scales=scales)
    grids = [[-(-side // stride) for side in size] for stride in LEVELS]
    assert torch.equal(ours._grid_default_boxes(grids, size), theirs._grid_default_boxes(grids, size))
    ours.trained = size
    torch.testing.assert_close(ours._grid_default_boxes(grids, size), theirs._grid_default_boxes(grids, size))


def test_default_boxes_stay_as_they_are_in_pixels():
    """A cell has the boxes that it had in training: the same sides, at the same distance from the corner."""
    boxes = DefaultBoxes([[2]] * 5, scales=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    boxes.trained, large = (64, 96), (128, 320)
    found = {}
    for size in (boxes.trained, large):
        grids = [[-(-side // stride) for side in size] for stride in LEVELS]
        pixels = boxes._grid_default_boxes(grids, size) * torch.tensor([size[1], size[0]] * 2)
        ends = [4 * sum(h * w for h, w in grids[: k + 1]) for k in range(5)]
        levels = [part.view(*grid, 4, 4) for part, grid in zip(pixels.tensor_split(ends[:-1]), grids, strict=True)]
        found[size] = levels
    for small, wide in zip(found[boxes.trained], found[large], strict=True):
        torch.testing.assert_close(wide[: small.shape[0], : small.shape[1]], small)
        assert (wide[..., 2:] == wide[0, 0, :, 2:]).all()


def test_ssd_remembers_the_size_that_it_was_trained_at(tmp_path):
    config = replace(CONFIG, method="ssd")
    method = fresh(config)
    Detector(method, SCENE_CLASSES, SIZE).save(tmp_path / "ssd.safetensors")
    loaded = Detector.load(tmp_path / "ssd.safetensors").method
    assert loaded.model.anchor_generator.trained == method.model.anchor_generator.trained == SIZE
    old = {name: value for name, value in method.about().items() if name != "image_size"}
    assert method_class("ssd").restore(old).model.anchor_generator.trained is None
