"""YOLOv3 against its slow twin, and what it alone promises. What every method promises is in test_peers."""

import math
from dataclasses import dataclass

import oracles
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import boxes, quarters
from toys import Squares

from lapnet_core.anchors import cluster_anchors
from lapnet_core.config import TrainConfig
from lapnet_core.data.named import object_sizes
from lapnet_core.peers import yolov3
from lapnet_core.peers.yolov3 import YOLOv3Method, assign, decode, overlapping, slots, yolo_losses

SHAPES = torch.tensor([[8.0, 8], [12, 20], [20, 12], [30, 30], [24, 48], [48, 24], [60, 60], [50, 100], [100, 50]])
CLASSES = 3


@dataclass
class Picture:
    """A batch for YOLOv3: shapes (9, 2), (height, width), and of each image its objects, (box, label)."""

    shapes: list
    size: tuple
    objects: list

    def tensors(self):
        return [
            {
                "boxes": torch.tensor([b for b, _ in mine]).view(-1, 4),
                "labels": torch.tensor([label for _, label in mine], dtype=torch.int64),
            }
            for mine in self.objects
        ]


@st.composite
def pictures(draw):
    size = (32 * draw(st.integers(1, 2)), 32 * draw(st.integers(1, 3)))
    shapes = draw(st.lists(st.tuples(quarters(2, 90), quarters(2, 90)), min_size=9, max_size=9))
    objects = []
    for _ in range(draw(st.integers(1, 3))):
        mine = []
        for _ in range(draw(st.integers(0, 4))):
            again = mine and draw(st.booleans())  # the same box: two objects with one slot
            box = draw(st.sampled_from(mine))[0] if again else draw(boxes((size[0] // 8, size[1] // 8)))
            mine.append((box, draw(st.integers(0, CLASSES - 1))))
        objects.append(mine)
    return Picture([list(shape) for shape in shapes], size, objects)


def said(picture, seed=0):
    """Something for each slot."""
    count = len(oracles.yolo_slots(picture.size))
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(picture.objects), count, 5 + CLASSES, generator=generator) * 0.7


@given(pictures())
@settings(max_examples=60)
def test_the_slots_of_objects_are_the_oracle_s(picture):
    shapes = torch.tensor(picture.shapes)
    every = [b for mine in picture.objects for b, _ in mine]
    image = torch.tensor([n for n, mine in enumerate(picture.objects) for _ in mine], dtype=torch.int64)
    answers = assign(shapes, picture.size, torch.tensor(every).view(-1, 4), image)
    expected = [oracles.yolo_answers(picture.shapes, picture.size, [b for b, _ in mine]) for mine in picture.objects]
    assert answers.slot.tolist() == [slot for mine in expected for slot in mine]
    owner = [slot not in mine[k + 1 :] for mine in expected for k, slot in enumerate(mine)]
    assert answers.owner.tolist() == owner


@given(pictures(), st.integers(0, 1000))
@settings(max_examples=60)
def test_every_loss_is_the_oracle_s(picture, seed):
    raw = said(picture, seed)
    got = yolo_losses(raw, torch.tensor(picture.shapes), picture.size, picture.tensors())
    expected, close = oracles.yolo_losses(raw.tolist(), picture.shapes, picture.size, picture.objects)
    assert list(got) == list(expected)
    for name, value in expected.items():
        if name != "objectness" or close > 1e-5:  # within rounding of the threshold it may fall on either side
            assert got[name].item() == pytest.approx(value, rel=1e-4, abs=1e-5), name


@given(pictures(), st.integers(0, 1000))
@settings(max_examples=30)
def test_predicted_boxes_are_the_oracle_s(picture, seed):
    raw = said(picture, seed)[..., :4] * 3
    got = decode(raw, slots(torch.tensor(picture.shapes), picture.size))
    for one, boxes_of in zip(raw.tolist(), got.tolist(), strict=True):
        for values, box, (anchor, *where) in zip(one, boxes_of, oracles.yolo_slots(picture.size), strict=True):
            expected = oracles.yolo_decode(values, picture.shapes[anchor], *where)
            assert box == pytest.approx(expected, rel=1e-4, abs=1e-3)


def test_a_size_beyond_every_image_stays_finite():
    raw = torch.full((1, 3 * (16 + 4 + 1), 4), 500.0, requires_grad=True)
    boxes_of = decode(raw, slots(SHAPES, (32, 32)))
    boxes_of.sum().backward()
    assert bool(boxes_of.isfinite().all())
    assert bool(raw.grad.isfinite().all())


def one(*objects):
    """A 64x64 image with objects (box, label)."""
    return Picture(SHAPES.tolist(), (64, 64), [list(objects)])


def test_the_gradient_is_darknet_s():
    """Place said minus place wanted, on the logit; the same for the logarithms of the sides; times 2 - share."""
    box = [10.0, 18.0, 40.0, 50.0]  # anchor 3, 30x30, of stride 16: cell (2, 1), where its middle is (25, 34)
    picture = one((box, 1))
    raw = said(picture).requires_grad_()
    (slot,) = oracles.yolo_answers(picture.shapes, picture.size, [box])
    assert oracles.yolo_slots((64, 64))[slot] == (3, 16, 2, 1)
    yolo_losses(raw, SHAPES, picture.size, picture.tensors())["box"].backward()
    value = raw.detach()[0, slot]
    wanted = torch.tensor([25 / 16 - 1, 34 / 16 - 2, math.log(30 / 30), math.log(32 / 30)])
    weight = 2 - 30 * 32 / 64**2
    expected = weight * (torch.cat((value[:2].sigmoid(), value[2:4])) - wanted)
    torch.testing.assert_close(raw.grad[0, slot, :4], expected)
    others = raw.grad.clone()
    others[0, slot, :4] = 0
    assert not bool(others.any())


def test_two_objects_in_one_slot_the_last_has_the_box_and_both_have_their_class():
    first, last = ([10.0, 18.0, 40.0, 48.0], 0), ([11.0, 19.0, 41.0, 49.0], 2)
    picture = one(first, last)
    raw = said(picture)
    got = yolo_losses(raw, SHAPES, picture.size, picture.tensors())
    alone = yolo_losses(raw, SHAPES, picture.size, one(last).tensors())
    assert torch.equal(got["box"], alone["box"])
    (slot,) = {*oracles.yolo_answers(picture.shapes, picture.size, [first[0], last[0]])}
    logits, labels = raw[0, slot, 5:], torch.tensor([1.0, 0, 1])
    both = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="sum")
    torch.testing.assert_close(got["classification"], both)


def test_a_good_prediction_that_does_not_answer_is_no_background():
    """Objectness is pulled up where a slot answers, left alone where it overlaps by over half, else pulled down."""
    picture = one(([16.0, 16.0, 46.0, 46.0], 0))  # 30x30, stride 16, its middle in cell (1, 1)
    raw = torch.full((1, len(oracles.yolo_slots((64, 64))), 5 + CLASSES), 0.0)
    raw[0, :, 2:4] = -4.0  # tiny boxes all over
    every = oracles.yolo_slots((64, 64))
    answers, neighbour = every.index((3, 16, 1, 1)), every.index((3, 16, 1, 2))
    raw[0, neighbour, :4] = torch.tensor([-9.0, 0.0, 0.0, 0.0])  # 30x30 about (32, 24): IoU 30*23/(2*900 - 690) = .62
    raw[0, answers, :4] = torch.tensor([9.0, 9, 0, 0])  # 30x30 about (32, 32): good, too, but this one answers
    raw.requires_grad_()
    near = overlapping(decode(raw.detach()[..., :4], slots(SHAPES, (64, 64))), [torch.tensor([[16.0, 16, 46, 46]])])
    assert near.nonzero().tolist() == [[0, answers], [0, neighbour]]
    yolo_losses(raw, SHAPES, picture.size, picture.tensors())["objectness"].backward()
    pull = raw.grad[0, :, 4]
    assert pull[answers] < 0
    assert pull[neighbour] == 0
    assert (pull > 0).sum() == len(every) - 2


@pytest.mark.parametrize("box", [[-40.0, -30, -10, -4], [60.0, 60, 80, 90], [64.0, 0, 72, 8], [-500.0, -500, 600, 700]])
def test_an_object_outside_of_the_image_has_the_nearest_cell(box):
    picture = one((box, 0))
    raw = said(picture).requires_grad_()
    got = yolo_losses(raw, SHAPES, picture.size, picture.tensors())
    sum(got.values()).backward()
    assert all(bool(part.isfinite()) for part in got.values())
    assert bool(raw.grad.isfinite().all())


def test_an_image_without_objects_is_background():
    picture = one()
    got = yolo_losses(said(picture), SHAPES, picture.size, picture.tensors())
    assert got["box"] == got["classification"] == 0
    assert got["objectness"] > 0


def test_the_anchors_are_of_all_classes_together():
    data = Squares(32)
    method = YOLOv3Method.create(TrainConfig(image_size=(64, 64), seed=3), data, progress=False)
    sizes, labels = object_sizes(data, (64, 64), progress=False)
    assert torch.equal(method.shapes, cluster_anchors(sizes, torch.zeros_like(labels), 1, 9, 3)[0])
    assert bool((method.shapes.prod(1).diff() >= 0).all())


def test_a_score_is_objectness_times_probability(monkeypatch):
    method = YOLOv3Method(CLASSES)
    method.shapes.copy_(SHAPES)
    every = oracles.yolo_slots((64, 64))
    raw = torch.full((1, len(every), 5 + CLASSES), -20.0)
    chosen = every.index((3, 16, 1, 2))
    raw[0, chosen] = torch.tensor([0.0, 0, 0, 0, 1.0, -20, 2.0, 0.5])
    monkeypatch.setattr(method, "raw", lambda images: raw)
    (found,) = method.detect(torch.zeros(1, 3, 64, 64))
    assert found["labels"].tolist() == [1, 2]
    expected = torch.tensor([1.0]).sigmoid() * torch.tensor([2.0, 0.5]).sigmoid()
    torch.testing.assert_close(found["scores"], expected)
    torch.testing.assert_close(found["boxes"], torch.tensor([[25.0, 9, 55, 39]] * 2))
    for place in ((0, chosen, 5), (0, chosen, 2)):
        damaged = raw.clone()
        damaged[place] = torch.nan
        monkeypatch.setattr(method, "raw", lambda images, damaged=damaged: damaged)
        with pytest.raises(ValueError, match="not finite"):
            method.detect(torch.zeros(1, 3, 64, 64))


def test_before_training_every_slot_is_unlikely():
    torch.manual_seed(0)
    said_of = YOLOv3Method(CLASSES).eval().raw(torch.randn(1, 3, 64, 64))
    assert said_of.shape == (1, len(oracles.yolo_slots((64, 64))), 5 + CLASSES)
    assert said_of[..., 4].sigmoid().mean().item() == pytest.approx(yolov3.PRIOR, abs=0.01)
