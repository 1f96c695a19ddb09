"""What a researcher puts in place of ours, from Python: an assigner, a loss, a detector, a data set, a transform."""

from dataclasses import replace

import pytest
import torch
from torchvision.transforms import v2
from toys import TINY, Squares

from lapnet_core.assign import Assignment
from lapnet_core.data.stream import Transformed
from lapnet_core.detector import Detector
from lapnet_core.losses import LapNetLoss
from lapnet_core.method import LapNetMethod
from lapnet_core.model import LapNet
from lapnet_core.peers import METHODS, method_class
from lapnet_core.predict import detect
from lapnet_core.train import train


class CentreLoss(LapNetLoss):
    """All anchors of the cell that an object's centre lies in are its positives."""

    def assigned(self, shapes, grid_size, boxes, labels, image_index, num_images):
        (classes, anchors, _), (height, width) = shapes.shape, grid_size
        overlap = torch.zeros(num_images, classes, anchors, height, width)
        owner = torch.full(overlap.shape, -1)
        centre = ((boxes[:, :2] + boxes[:, 2:]) / 2 / self.stride).long()
        for n, (column, row) in enumerate(centre.tolist()):
            overlap[image_index[n], labels[n], :, row, column] = 1
            owner[image_index[n], labels[n], :, row, column] = n
        planes = torch.arange(num_images * classes)
        missed = torch.tensor([not bool((owner == n).any()) for n in range(len(boxes))])
        return Assignment(tuple(overlap.shape), planes, overlap.flatten(0, 1), owner.flatten(0, 1), missed)


def test_an_assigner_that_mixes_up_objects_is_told():
    """The last object of the batch stood in for -1, and a map of another grid was read at other places."""

    class Wrong(CentreLoss):
        def assigned(self, *given):
            right = super().assigned(*given)
            return replace(right, **self.change(right))

    box = torch.tensor([[2.0, 2, 12, 12]])
    targets = [{"boxes": box, "labels": torch.tensor([k])} for k in (1, 0)]
    scores, offsets, shapes = torch.zeros(2, 2, 3, 4, 4), torch.zeros(2, 2, 3, 4, 4, 4), torch.full((2, 3, 2), 9.0)
    for change, why in (
        (lambda a: {}, ""),
        (lambda a: {"plane_object": a.plane_object * 0 - 1}, "class 1, anchor 0 has object -1"),
        (lambda a: {"plane_object": a.plane_object * 0 + 2}, "has object 2"),
        (lambda a: {"plane_object": a.plane_object.clamp(max=0)}, "image 1, class 0, anchor 0 has object 0"),
        (lambda a: {"shape": (2, 2, 3, 2, 8)}, "the maps are of shape"),
    ):
        loss = Wrong(2, 3)
        loss.change = change
        if not why:
            assert len(loss(scores, offsets, shapes, targets).positives.flat) == 6
            continue
        with pytest.raises(ValueError, match=f"assigned: .*{why}"):
            loss(scores, offsets, shapes, targets)


class Centre(LapNetMethod):
    name = "centre"
    loss_class = CentreLoss


class Renamed(Centre):
    """Its name is still "centre"."""


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(METHODS, "centre", f"{__name__}:Centre")
    monkeypatch.setitem(METHODS, "renamed", f"{__name__}:Renamed")
    monkeypatch.setattr("lapnet_core.peers.import_module", lambda _: __import__("types").SimpleNamespace(**globals()))


@pytest.mark.slow
def test_an_assigner_of_ones_own_is_trained_with_saved_and_gone_on_with(registered, tmp_path):
    """It went on with PONO where only `create` had been overridden, and nothing said so."""
    config = replace(TINY, method="centre", out=str(tmp_path), steps=4)
    positives = [train(config, Squares(), progress=False).log[-1]["positives_loc"]]
    (tmp_path / "model.safetensors").unlink()
    found = train(replace(config, method="centre"), Squares(), progress=False, resume=True)
    assert isinstance(found.method, Centre)
    assert isinstance(found.method.criterion, CentreLoss)
    assert positives == [2 * 2 * 3]  # images, objects, anchors
    assert isinstance(Detector.load(tmp_path).method.criterion, CentreLoss)


def test_a_method_under_another_name_than_its_own_is_refused(registered):
    """What it saved could not be loaded, or as another detector."""
    with pytest.raises(ValueError, match='Renamed as "renamed", but its own `name` is "centre"'):
        method_class("renamed")


def test_a_peer_that_gives_too_few_detections_is_told():
    class Few(LapNetMethod):
        def detect(self, images, **options):
            return super().detect(images, **options)[:1]

    detector = Detector(Few(LapNet(2, 3), torch.full((2, 3, 2), 9.0)).eval(), ("a", "b"), (64, 64))
    with pytest.raises(ValueError, match="2 images but 1 detections"):
        detector.detect_images(torch.zeros(2, 3, 64, 64))


def test_images_may_have_any_precision():
    detector = Detector(LapNetMethod(LapNet(2, 3), torch.full((2, 3, 2), 9.0)).eval(), ("a", "b"), (64, 64))
    images = torch.rand(1, 3, 64, 64)
    (wanted,), (found,) = (detector.detect_images(one, score_threshold=0.0) for one in (images, images.double()))
    assert all(torch.equal(found[name], wanted[name]) for name in ("boxes", "scores", "labels"))


class Plain(Squares):
    """Its boxes and images are plain tensors, as in many a data set that is written by hand."""

    def target(self, index):
        target = super().target(index)
        return {**target, "boxes": target["boxes"].as_subclass(torch.Tensor)}

    def __getitem__(self, index):
        image, _ = super().__getitem__(index)
        return image.as_subclass(torch.Tensor), self.target(index)


def test_transforms_of_torchvision_turn_plain_boxes_too():
    """They turned the image alone: its objects lay on the other side."""
    flip = v2.RandomHorizontalFlip(1.0)
    image, target = Transformed(Plain(), flip)[3]
    expected, mirrored = flip(*Squares()[3])
    assert torch.equal(image, expected)
    assert torch.equal(target["boxes"], mirrored["boxes"])
    assert not torch.equal(target["boxes"], Plain().target(3)["boxes"])


def test_in_double_precision_detections_are_found_too():
    scores, offsets = torch.randn(1, 2, 3, 4, 4), torch.randn(1, 2, 3, 4, 4, 4)
    shapes = torch.full((2, 3, 2), 9.0)
    (single,), (double,) = detect(scores, offsets, shapes), detect(scores.double(), offsets.double(), shapes.double())
    for name, value in single.items():
        assert double[name].dtype == value.dtype
        torch.testing.assert_close(double[name], value)


@pytest.mark.slow
def test_a_training_on_test_says_what_that_means():
    with pytest.warns(UserWarning, match="trains on test"):
        train(replace(TINY, split="test", steps=1), save=False, progress=False)
