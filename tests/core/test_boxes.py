import math

import oracles
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import boxes, quarters

from lapnet_core.boxes import MAX_LOG_SCALE, area, decode, grid_giou, grid_iou, paired_iou, shape_iou

GRID = (3, 5)


@given(st.lists(st.tuples(boxes(GRID), boxes(GRID)), min_size=1, max_size=8))
def test_paired_iou_is_the_oracle(pairs):
    a, b = (torch.tensor([p[k] for p in pairs]) for k in (0, 1))
    expected = [oracles.iou(x, y) for x, y in pairs]
    assert paired_iou(a, b).tolist() == pytest.approx(expected, abs=1e-6)
    assert torch.equal(paired_iou(a, b), paired_iou(b, a))


@given(boxes(GRID), st.lists(st.tuples(quarters(0.5, 60), quarters(0.5, 60)), min_size=1, max_size=3))
def test_grid_iou_and_giou_are_the_oracle(box, shapes):
    shape, one = torch.tensor(shapes), torch.tensor(box)
    iou, giou = grid_iou(shape[None], one[None], GRID)[0], grid_giou(shape, one, GRID)
    for a, size in enumerate(shapes):
        for i in range(GRID[0]):
            for j in range(GRID[1]):
                anchor = oracles.anchor_box(size, i, j)
                assert iou[a, i, j] == oracles.iou(anchor, box, oracles.F)
                assert giou[a, i, j].item() == pytest.approx(oracles.giou(anchor, box), abs=1e-5)


@given(st.lists(st.tuples(quarters(0.5, 60), quarters(0.5, 60)), min_size=1, max_size=4))
def test_shape_iou_is_the_oracle(sizes):
    got = shape_iou(torch.tensor(sizes), torch.tensor(sizes))
    assert got.flatten().tolist() == pytest.approx([oracles.centred_iou(a, b) for a in sizes for b in sizes], abs=1e-6)


def test_areas_and_boxes_without_area():
    assert area(torch.tensor([[0.0, 0, 2, 3], [2, 2, 1, 1]])).tolist() == [6, 0]
    nothing = torch.zeros(1, 4, requires_grad=True)
    value = paired_iou(nothing, torch.zeros(1, 4))
    value.sum().backward()
    assert value.item() == 0
    assert nothing.grad is not None
    assert bool(nothing.grad.isfinite().all())


@given(
    st.tuples(*[st.floats(-3, 3)] * 2, *[st.floats(-5, 200)] * 2),
    st.tuples(quarters(1, 60), quarters(1, 60)),
    st.integers(0, 7),
    st.integers(0, 7),
)
def test_decode_is_the_oracle_and_never_overflows(offset, shape, i, j):
    got = decode(torch.tensor([offset]), torch.tensor([shape]), torch.tensor([i]), torch.tensor([j]))[0]
    assert got.tolist() == pytest.approx(oracles.decode(offset, shape, i, j), rel=1e-4, abs=1e-3)


def test_zero_offsets_give_the_anchor_and_the_clamp_is_at_62_5():
    here = torch.tensor([2]), torch.tensor([3])
    box = decode(torch.zeros(1, 4), torch.tensor([[10.0, 4.0]]), *here)[0]
    assert box.tolist() == [23, 18, 33, 22]
    wide = decode(torch.tensor([[0, 0, 1000.0, 0]]), torch.tensor([[10.0, 4.0]]), *here)[0]
    assert (wide[2] - wide[0]).item() == pytest.approx(625)
    assert math.exp(MAX_LOG_SCALE) == pytest.approx(62.5)


def test_sides_whose_areas_are_0_in_float32_have_no_overlap():
    side = torch.full((1, 1, 2), 1e-30)
    assert grid_iou(side, torch.tensor([[0.0, 0, 1e-30, 1e-30]]), (2, 2)).flatten().tolist() == [0] * 4


def test_gradient_of_the_overlap_in_double_precision():
    generator = torch.Generator().manual_seed(0)
    offsets = (torch.rand(12, 4, generator=generator, dtype=torch.float64) - 0.5).requires_grad_()
    shapes = torch.rand(12, 2, generator=generator, dtype=torch.float64) * 30 + 4
    rows, columns = torch.arange(12) % 3, torch.arange(12) % 4
    target = torch.rand(12, 4, generator=generator, dtype=torch.float64) * 16
    target[:, 2:] += 17

    def overlap(x):
        return paired_iou(decode(x, shapes, rows, columns), target)

    assert torch.autograd.gradcheck(overlap, (offsets,))


def test_half_precision_comes_out_as_float32():
    box = decode(
        torch.zeros(1, 4, dtype=torch.bfloat16), torch.tensor([[9.0, 3.0]]), torch.tensor([0]), torch.tensor([0])
    )
    assert box.dtype == torch.float32
