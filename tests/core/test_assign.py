from unittest.mock import patch

import oracles
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import Scene, crowds, scenes

import lapnet_core.assign as module
from lapnet_core.assign import Assignment, ams_labels, assign, normalized


def in_windows(*args, **how) -> Assignment:
    """`assign` as it goes about a crowd, however few the objects."""
    with patch.multiple(module, CROWD=0, WINDOW_COST=0):
        return assign(*args, **how)


def check(scene: Scene, way=assign, **how):
    got = way(*scene.args(), **how)
    overlap, owner, empty = oracles.assign(*scene.plain(), **how)
    assert torch.equal(got.object_index, torch.from_numpy(owner))
    assert torch.equal(got.overlap, torch.from_numpy(overlap))
    assert torch.equal(got.rescued, torch.from_numpy(empty))
    return got


@given(scenes(), st.sampled_from(["pono", "ao"]), st.booleans(), st.sampled_from([assign, in_windows]))
@settings(max_examples=500)
def test_assignment_is_the_oracle_bit_by_bit(scene, overlap, rescue, way):
    check(scene, way, overlap=overlap, rescue=rescue)


@given(crowds(), st.sampled_from(["pono", "ao"]), st.booleans(), st.sampled_from([assign, in_windows]))
@settings(max_examples=60)
def test_many_objects_of_one_class_are_the_oracle_bit_by_bit(scene, overlap, rescue, way):
    check(scene, way, overlap=overlap, rescue=rescue)


def anywhere(seed, count, grid, spread=1.0):
    """Boxes that are not multiples of anything, in and around the grid, some of them equal, in 2 images, 3 classes."""
    g = torch.Generator().manual_seed(seed)
    middle = (torch.rand(count, 2, generator=g) * 1.6 - 0.3) * torch.tensor(grid[::-1]) * 8 * spread
    half = torch.rand(count, 2, generator=g) ** 3 * 90 + 0.01
    boxes = torch.cat((middle - half, middle + half), 1)
    boxes[count // 2 :: 7] = boxes[: len(boxes[count // 2 :: 7])]
    shapes = torch.rand(3, 4, 2, generator=g) ** 2 * 90 + 0.5
    return shapes, grid, boxes, *(torch.randint(0, n, (count,), generator=g) for n in (3, 2)), 2


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("stride", [1, 8, 13])
def test_both_ways_are_one_where_float32_rounds(seed, stride):
    """Far from zero, and with sides that are no multiple of anything, as data has them: windows miss no anchor."""
    shapes, grid, boxes, *rest = anywhere(seed, 60, ((9, 14), (16, 16), (1, 31))[seed % 3])
    far = (0, 0, 3e4, 1e7)[seed % 4]  # coordinates and sides that no image has
    boxes[::3, 2] += far
    boxes[::4, 1] -= far
    shapes[0, 0] += 2 * far
    for how in ({}, {"overlap": "ao"}, {"rescue": False}):
        first, second = (way(shapes, grid, boxes, *rest, stride=stride, **how) for way in (assign, in_windows))
        assert torch.equal(first.overlap, second.overlap)
        assert torch.equal(first.object_index, second.object_index)
        assert torch.equal(first.rescued, second.rescued)


def test_which_way_is_taken(monkeypatch):
    """Windows for a crowd of small objects; whole planes for few objects, and for large ones."""
    taken = []
    how = module._compete_in_windows
    monkeypatch.setattr(module, "_compete_in_windows", lambda *args: taken.append(len(args[1])) or how(*args))
    shapes, labels = torch.full((1, 2, 2), 16.0), torch.zeros(40, dtype=torch.int64)
    corner = torch.arange(80).view(40, 2) * 3.0
    for side, count in ((9, 40), (9, 20), (300, 40)):
        assign(shapes, (32, 32), torch.cat((corner, corner + side), 1)[:count], labels[:count])
    assert taken == [40]


@given(scenes(max_images=8, max_objects=12))
@settings(max_examples=200)
def test_properties_that_hold_on_every_input(scene):
    got = assign(*scene.args())
    overlap, owner = got.overlap, got.object_index
    assert overlap.shape == (scene.num_images, *scene.shapes.shape[:2], *scene.grid)
    assert overlap.dtype == torch.float32
    assert bool(((overlap >= 0) & (overlap <= 1)).all())
    assert torch.equal(overlap > 0, owner >= 0)
    # An anchor belongs to an object of its own image and class.
    b, c = torch.meshgrid(torch.arange(scene.num_images), torch.arange(len(scene.shapes)), indexing="ij")
    assigned = owner >= 0
    image = b[:, :, None, None, None].expand_as(owner)[assigned]
    label = c[:, :, None, None, None].expand_as(owner)[assigned]
    assert torch.equal(scene.images[owner[assigned]], image)
    assert torch.equal(scene.labels[owner[assigned]], label)
    # No object is missed, as long as its class has at least as many anchors as objects.
    per_plane = scene.shapes.shape[1] * scene.grid[0] * scene.grid[1]
    for n in range(len(scene.boxes)):
        rivals = int(((scene.labels == scene.labels[n]) & (scene.images == scene.images[n])).sum())
        if rivals <= per_plane:
            assert bool((overlap[owner == n] == 1).any())


@given(scenes(), st.randoms(use_true_random=False))
def test_permuting_the_objects_permutes_the_result(scene, random):
    # Ties go to the object listed first, so a permutation may move them: compare where no two overlaps are equal.
    first = assign(*scene.args(), overlap="ao")
    order = list(range(len(scene.boxes)))
    random.shuffle(order)
    order = torch.tensor(order, dtype=torch.int64)
    permuted = Scene(
        scene.shapes, scene.grid, scene.boxes[order], scene.labels[order], scene.images[order], scene.num_images
    )
    second = assign(*permuted.args(), overlap="ao")
    assert torch.equal(first.overlap, second.overlap)
    back = torch.where(second.object_index >= 0, torch.cat((order, order.new_tensor([-1])))[second.object_index], -1)
    assume(torch.equal(first.object_index, back))  # no tie decided differently
    pono, pono2 = assign(*scene.args(), rescue=False), assign(*permuted.args(), rescue=False)
    assert torch.equal(pono.overlap, pono2.overlap)
    assert torch.equal(pono.rescued[order], pono2.rescued)


@given(scenes())
def test_rescue_changes_nothing_where_no_cluster_is_empty(scene):
    literal, rescued = assign(*scene.args(), rescue=False), assign(*scene.args())
    assert torch.equal(literal.rescued, rescued.rescued)
    if not bool(rescued.rescued.any()):
        assert torch.equal(literal.overlap, rescued.overlap)
        assert torch.equal(literal.object_index, rescued.object_index)
    else:
        # It only ever hands single anchors to the rescued; all other values stay.
        changed = literal.object_index != rescued.object_index
        assert bool(rescued.rescued[rescued.object_index[changed]].all())
        assert torch.equal(literal.overlap[~changed], rescued.overlap[~changed])


SHAPES = torch.tensor([[[16.0, 16.0], [32.0, 16.0]], [[8.0, 24.0], [60.0, 60.0]]])


def one_image(boxes, labels, **how):
    return assign(SHAPES, (6, 8), torch.tensor(boxes).view(-1, 4), torch.tensor(labels, dtype=torch.int64), **how)


def test_no_object_at_all():
    got = assign(SHAPES, (6, 8), torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), num_images=3)
    assert got.overlap.shape == (3, 2, 2, 6, 8)
    assert float(got.overlap.abs().sum()) == 0
    assert bool((got.object_index == -1).all())
    assert len(got.positives().flat) == 0
    assert got.rescued.shape == (0,)


def test_an_image_without_objects_beside_one_with():
    boxes = torch.tensor([[4.0, 4, 20, 20]])
    got = assign(SHAPES, (6, 8), boxes, torch.tensor([0]), torch.tensor([1]), 3)
    assert got.overlap.sum((1, 2, 3, 4)).gt(0).tolist() == [False, True, False]


def test_one_object_with_its_exact_anchor():
    got = one_image([[8.0, 16, 40, 32]], [0])  # 32 x 16 around the centre (24, 24), between four cells
    best = (got.overlap == 1).nonzero()
    assert best[:, 2].eq(1).all()
    assert len(best) == 4
    assert not got.rescued.any()


def test_two_equal_boxes_share_and_the_literal_paper_loses_one():
    pair = [[10.0, 10, 26, 26]] * 2
    literal = one_image(pair, [0, 0], rescue=False)
    assert literal.rescued.tolist() == [False, True]
    assert not bool((literal.object_index == 1).any())
    saved = one_image(pair, [0, 0])
    assert saved.rescued.tolist() == [False, True]
    assert int((saved.object_index == 1).sum()) == 1
    assert saved.overlap[saved.object_index == 1].tolist() == [1.0]
    assert float(saved.overlap[saved.object_index == 0].max()) == 1.0


def test_equal_boxes_of_different_classes_do_not_compete():
    assert not one_image([[10.0, 10, 26, 26]] * 2, [0, 1]).rescued.any()


@pytest.mark.parametrize("box", [[8.0, 8, 9, 9], [-30.0, -30, -20, -20], [63.5, 47.5, 64.5, 48.5]])
def test_a_box_that_touches_no_anchor_is_rescued(box):
    shapes = torch.full((1, 1, 2), 2.0)
    got = assign(shapes, (6, 8), torch.tensor([box]), torch.tensor([0]))
    assert got.rescued.tolist() == [True]
    assert got.overlap.max() == 1
    assert int((got.overlap > 0).sum()) == 1


def test_300_objects_of_one_class_and_more_objects_than_anchors():
    generator = torch.Generator().manual_seed(3)
    corner = torch.rand(300, 2, generator=generator) * 200
    crowd = torch.cat((corner, corner + torch.rand(300, 2, generator=generator) * 40 + 1), 1)
    crowd[150:] = crowd[:150]  # half of them twins
    got = assign(SHAPES, (32, 32), crowd, torch.zeros(300, dtype=torch.int64))
    assert bool((got.peaks == 1).all())
    assert bool(got.rescued[150:].all())
    few = assign(SHAPES[:1, :1], (2, 2), crowd[:1].repeat(6, 1) * 0.05, torch.zeros(6, dtype=torch.int64))
    assert int((few.overlap == 1).sum()) == 4  # four anchors for six objects: four are served


def test_a_crowd_with_twins():
    """Each twin takes an anchor of its own, and nobody's best."""
    g = torch.Generator().manual_seed(0)
    corner = torch.rand(60, 2, generator=g) * 100
    boxes = torch.cat((corner, corner + 6 + torch.rand(60, 2, generator=g) * 20), 1)
    boxes = torch.cat((boxes, boxes[:10]))
    shapes = torch.rand(1, 10, 2, generator=g) * 30 + 4
    got, literal = (
        in_windows(shapes, (16, 16), boxes, torch.zeros(70, dtype=torch.int64), rescue=r) for r in (True, False)
    )
    assert bool(got.rescued[60:].all())
    assert bool((got.peaks == 1).all())
    assert torch.equal(literal.peaks == 1, ~literal.rescued)
    kept = (literal.overlap == 1) & (got.object_index == literal.object_index)
    assert set(got.object_index[kept].tolist()) == set((~got.rescued).nonzero().flatten().tolist())


def test_normalized_divides_by_the_peak_of_the_owner():
    iou, owner = torch.tensor([[0.5, 0.25, 0.0], [0.3, 0.0, 0.6]]), torch.tensor([[1, 1, -1], [0, -1, 0]])
    expected = torch.tensor([[1.0, 0.5, 0.0], [0.5, 0.0, 1.0]])
    for shape in ((2, 1, 1, 3), (2, 3, 1)):  # any number of planes, or one
        got = normalized(iou.view(shape), owner.view(shape), torch.tensor([0.6, 0.5]))
        assert torch.equal(got, expected.view(shape))


def test_ao_is_not_divided_and_positives_are_above_the_threshold():
    got = one_image([[11.0, 11, 30, 30]], [0], overlap="ao")
    assert 0.5 < float(got.overlap.max()) < 1
    found = got.positives(0.5)
    assert torch.equal(got.overlap.flatten()[found.flat], found.overlap)
    assert len(found.flat) == int((got.overlap > 0.5).sum())
    at = (found.image, found.label, found.anchor, found.row, found.column)
    assert torch.equal(got.overlap[at], found.overlap)
    assert torch.equal(got.object_index[at], found.object_index)


def test_an_overlap_of_exactly_one_half_is_not_positive():
    got = assign(
        torch.full((1, 1, 2), 16.0), (1, 1), torch.tensor([[-4.0, -4, 4, 12]]), torch.tensor([0]), overlap="ao"
    )
    assert got.overlap.item() == 0.5
    assert len(got.positives().flat) == 0
    assert len(got.positives(0.4999).flat) == 1


def test_input_that_cannot_be_right_is_named():
    with pytest.raises(ValueError, match="object 1 of image 0: label"):
        one_image([[0.0, 0, 4, 4]] * 2, [0, 2])
    with pytest.raises(ValueError, match="object 0 of image 0: box has no area"):
        one_image([[4.0, 0, 4, 4]], [0])
    with pytest.raises(ValueError, match="not finite"):
        one_image([[0.0, 0, float("nan"), 4]], [0])
    with pytest.raises(ValueError, match="image index"):
        assign(SHAPES, (2, 2), torch.tensor([[0.0, 0, 4, 4]]), torch.tensor([0]), torch.tensor([1]), 1)


def test_ams_is_strict_and_carries_no_gradient():
    overlap, predicted = torch.tensor([1.0, 1.0, 0.7, 0.9]), torch.tensor([0.5, 0.51, 0.7, 0.9], requires_grad=True)
    labels = ams_labels(overlap, predicted)
    assert labels.tolist() == [False, True, False, True]
    assert not labels.requires_grad
