"""Every registered method keeps the promises of the seam: one test for all, run on each."""

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image
from torchvision import tv_tensors
from toys import Squares

from lapnet_core.cli import main
from lapnet_core.config import TrainConfig
from lapnet_core.data import collate, eval_transform
from lapnet_core.detector import Detector
from lapnet_core.evaluate import voc_map
from lapnet_core.options import LapNetOptions
from lapnet_core.peers import METHODS, method_class
from lapnet_core.scenes import SCENE_CLASSES, Scenes
from lapnet_core.train import make_optimizer, train, train_step

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
    with pytest.raises(ValueError, match="there are lapnet, retinanet"):
        method_class("nothing")
    with pytest.raises(ValueError, match="method: one of lapnet"):
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


@pytest.mark.slow
def test_it_learns(config):
    """Two squares that two minutes of thought could not confuse."""
    config = replace(
        config, image_size=(64, 64), steps=240, batch_size=4, lr=0.05, warmup=10, scale=(0.9, 1.1),
        lapnet=LapNetOptions(anchors_per_class=3),
    )  # fmt: skip
    detector = train(config, Squares(64), save=False, progress=False).detector
    found, truth, _ = detector.predict_dataset(Squares(16), progress=False)
    # RetinaNet's smallest anchors, 16 px, seldom overlap the blue square of 14 px by half: it is hardly learned.
    assert voc_map(found, truth, 2).mean_ap > {"lapnet": 0.8}.get(config.method, 0.4)


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
    assert (out / "a.png").exists()
    assert main(["train", *flags, "--log-every", "1", "--out", str(run), "--resume"]) == 0
    assert "trained" in capsys.readouterr().out
