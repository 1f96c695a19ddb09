"""The lines of `lapnet bench assignment` and `loss`: they can be run, and what disagrees is not timed."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from lapnet_core.anchors import anchor_boxes
from lapnet_core.bench import assignment, loss
from lapnet_core.bench.line import Line, run
from lapnet_core.losses import LapNetLoss

SMALL = replace(
    assignment.COCO, name="small", classes=3, cells=16, labels=(0, 0, 2), images=(0, 0, 0), object_side=60.0
)
PAIR = replace(SMALL, images=(0, 1, 1))
CROWD = replace(SMALL, labels=(1,) * 40, images=(0,) * 40, anchor_side=10.0, object_side=10.0)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for part in (assignment, loss):
        monkeypatch.setattr(part, "COCO", SMALL)
        monkeypatch.setattr(part, "OTHERS", (PAIR,))
    monkeypatch.setattr(assignment, "AERIAL", CROWD)


@pytest.mark.parametrize("quick", [True, False])
def test_lines_of_assignment_run(quick):
    found = list(assignment.lines(quick))
    assert [line.limit for line in found] == [1.5] * (2 if quick else 3) + [None] * (2 if quick else 3)
    for line in found:
        assert run(replace(line, repeats=2)).ratio > 0


@pytest.mark.parametrize("quick", [True, False])
def test_lines_of_the_loss_run(quick):
    found = list(loss.lines(quick))
    assert [(line.unit, line.limit) for line in found] == ([("ms", 1.3)] * 3 + [("MB", None)]) * (1 if quick else 2)
    for line in found:
        result = run(replace(line, repeats=2))
        assert result.ratio > 0
        if line.unit == "MB":
            assert result.ratio < 0.5  # the dense form holds far more


def test_a_line_of_another_result_is_refused(monkeypatch):
    monkeypatch.setattr(assignment, "write", lambda result: (result.overlap, result.object_index.clamp(min=0)))
    with pytest.raises(ValueError, match="disagree"):
        next(iter(assignment.lines(True)))
    monkeypatch.setattr(loss, "POSITIVE_THRESHOLD", 0.6)
    with pytest.raises(ValueError, match="dense form disagree"):
        list(loss.lines(True))


def test_the_maps_by_box_iou_are_those_of_assign_and_a_wrong_one_is_seen():
    shapes, grid, boxes, labels, *_ = SMALL.args
    ours, anchors = assignment.maps(*SMALL.args), anchor_boxes(shapes, grid)
    assignment.check_same(ours, assignment.by_box_iou(boxes, labels, anchors))
    for wrong in (anchors + 1, anchors.flip(0)):
        with pytest.raises(ValueError, match="disagree"):
            assignment.check_same(ours, assignment.by_box_iou(boxes, labels, wrong))


def test_gradients_of_the_dense_form_are_ours():
    shapes, *_ = PAIR.args
    scores, offsets = loss.outputs(PAIR)
    plain = LapNetLoss(*shapes.shape[:2], balance="ones")
    ours = partial(loss.total, plain, shapes, loss.targets_of(PAIR), scores, offsets)
    dense = partial(loss.dense_loss, PAIR, scores, offsets)
    for a, b in zip(*(loss.backward(work, scores, offsets) for work in (ours, dense)), strict=True):
        torch.testing.assert_close(a, b)
        assert a.abs().sum() > 0


def test_memory_counts_what_is_there_at_once():
    def work():
        first = torch.zeros(1_000_000)  # 4 MB
        second = first + 1
        del first
        return second.double()  # 4 + 8 MB

    assert loss.peak_memory(work) == pytest.approx(12, abs=0.1)
    line = Line("a", "b", lambda: loss.peak_memory(work), lambda: 6.0, unit="MB")
    assert run(line).ratio == pytest.approx(2, abs=0.02)
