import oracles
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import Scene, scenes

from lapnet_core.assign import ams_labels, assign


def check(scene: Scene, **how):
    got = assign(*scene.args(), **how)
    overlap, owner, empty = oracles.assign(*scene.plain(), **how)
    assert torch.equal(got.object_index, torch.from_numpy(owner))
    assert torch.equal(got.overlap, torch.from_numpy(overlap))
    assert torch.equal(got.rescued, torch.from_numpy(empty))
    return got


@given(scenes(), st.sampled_from(["pono", "ao"]), st.booleans())
@settings(max_examples=300)
def test_assignment_is_the_oracle_bit_by_bit(scene, overlap, rescue):
    check(scene, overlap=overlap, rescue=rescue)


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
