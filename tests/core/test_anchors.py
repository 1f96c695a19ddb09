import oracles
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lapnet_core import anchors
from lapnet_core.anchors import DISTINCT, AnchorFile, anchor_boxes, average_iou, cluster_anchors

sizes_strategy = st.lists(st.tuples(st.integers(1, 200), st.integers(1, 200)), min_size=1, max_size=40)


@given(sizes_strategy, st.integers(1, 12))
@settings(max_examples=80)
def test_every_class_gets_usable_distinct_shapes_sorted_by_area(sizes, k):
    t = torch.tensor(sizes, dtype=torch.float32)
    shapes = cluster_anchors(t, torch.zeros(len(t), dtype=torch.int64), 1, k)
    assert shapes.shape == (1, k, 2)
    assert bool((shapes > 0).all())
    areas = shapes[0].prod(-1)
    assert torch.equal(areas, areas.sort().values)
    ratios = (shapes[0] / shapes[0][:, None]).log().abs().amax(-1).fill_diagonal_(1)
    distinct = t.unique(dim=0)
    if len(distinct) <= k:  # each size is served perfectly, and what is filled in is another than all others
        assert k == 1 or float(ratios.min()) > 0.9 * DISTINCT
        assert average_iou(t, torch.zeros(len(t), dtype=torch.int64), shapes).item() == pytest.approx(1, abs=1e-6)


def test_rounding_makes_no_distinct_sizes():
    """24 px, from shares of images to pixels and back: five numbers, or twelve, but one size."""
    sides = 24 + torch.arange(60).reshape(30, 2) % 12 * 1e-5
    assert len(sides.unique(dim=0)) > 5
    none = torch.zeros(len(sides), dtype=torch.int64)
    same = cluster_anchors(torch.full((30, 2), 24.0), none, 1, 5)
    torch.testing.assert_close(cluster_anchors(sides, none, 1, 5), same, atol=1e-3, rtol=0)
    assert float(same[0, :, 0].diff().min()) > 1


def test_of_a_large_class_so_many_are_drawn_at_random(monkeypatch):
    """In any order of the images: here each second object is large."""
    sizes = torch.tensor([[10.0, 10], [40, 40]]).repeat(300, 1) * (1 + torch.rand(600, 1) / 10)
    none = torch.zeros(len(sizes), dtype=torch.int64)
    monkeypatch.setattr(anchors, "MOST", 100)
    few, again = (cluster_anchors(sizes, none, 1, 2) for _ in range(2))
    assert torch.equal(few, again)
    monkeypatch.setattr(anchors, "MOST", 600)
    all_of_them = cluster_anchors(sizes, none, 1, 2)
    assert not torch.equal(few, all_of_them)
    torch.testing.assert_close(few, all_of_them, rtol=0.05, atol=0)


@given(sizes_strategy.filter(lambda s: len(set(s)) > 4), st.integers(0, 5))
@settings(max_examples=60)
def test_k_means_has_converged(sizes, seed):
    """The definition of the result: every centre is the mean of the boxes that are nearest to it by 1 - IoU."""
    t = torch.tensor(sizes, dtype=torch.float32)
    shapes = cluster_anchors(t, torch.zeros(len(t), dtype=torch.int64), 1, 3, seed)[0].tolist()
    ious = [[oracles.centred_iou(size, shape) for shape in shapes] for size in sizes]
    if any(sorted(row)[-1] - sorted(row)[-2] < 1e-5 for row in ious):
        return  # a tie: either side is right
    nearest = [max(range(3), key=row.__getitem__) for row in ious]
    for j, shape in enumerate(shapes):
        members = [sizes[n] for n in range(len(sizes)) if nearest[n] == j]
        assert members
        for axis in (0, 1):
            assert shape[axis] == pytest.approx(sum(m[axis] for m in members) / len(members), rel=1e-4)


def test_classes_are_clustered_apart_and_a_seed_fixes_the_result():
    generator = torch.Generator().manual_seed(0)
    sizes = torch.rand(400, 2, generator=generator) * 50 + 1
    labels = torch.arange(400) % 2
    sizes[labels == 1] *= 4
    first = cluster_anchors(sizes, labels, 2, 10, seed=3)
    torch.manual_seed(99)  # the global generator plays no part
    assert torch.equal(first, cluster_anchors(sizes, labels, 2, 10, seed=3))
    assert torch.equal(first[0], cluster_anchors(sizes[labels == 0], labels[labels == 0], 1, 10, seed=3)[0])
    assert first[1].mean() > 2 * first[0].mean()
    single = cluster_anchors(sizes, labels, 2, 1)
    mean = sizes[labels == 0].mean(0)
    assert single[0, 0].tolist() == pytest.approx(mean.tolist(), rel=1e-5)
    assert bool((average_iou(sizes, labels, first) > average_iou(sizes, labels, single)).all())


def test_bad_input_is_named():
    sizes, labels = torch.ones(2, 2), torch.tensor([0, 2])
    with pytest.raises(ValueError, match=r"class 1 \(cat\) has no object"):
        cluster_anchors(sizes, labels, 3, class_names=["dog", "cat", "cow"])
    with pytest.raises(ValueError, match=r"labels span 0\.\.2"):
        cluster_anchors(sizes, labels, 2)
    with pytest.raises(ValueError, match="object 1 has size"):
        cluster_anchors(torch.tensor([[1.0, 1], [0, 5]]), labels, 3)


def test_the_grid_is_centred_on_the_cells():
    shapes = torch.tensor([[[6.0, 4.0], [10.0, 20.0]]])
    boxes = anchor_boxes(shapes, (2, 3))
    assert boxes.shape == (1, 2, 2, 3, 4)
    for a in range(2):
        for i in range(2):
            for j in range(3):
                assert boxes[0, a, i, j].tolist() == list(oracles.anchor_box(shapes[0, a].tolist(), i, j))


def test_an_anchor_file_comes_back_and_anything_else_is_refused(tmp_path):
    shapes = torch.tensor([[[6.0, 4.25]], [[10.0, 20.5]]])
    AnchorFile(("a", "b"), (64, 96), shapes, "a test").save(tmp_path / "x.json")
    back = AnchorFile.load(tmp_path / "x.json")
    assert (back.class_names, back.input_size, back.made_by) == (("a", "b"), (64, 96), "a test")
    assert torch.equal(back.shapes, shapes)
    for text in (
        "",
        "[]",
        '{"anchors": {"a": [[1, -2]]}, "input_size": [1, 2]}',
        '{"anchors": {"a": 3}, "input_size": [1, 2]}',
    ):
        (tmp_path / "y.json").write_text(text)
        with pytest.raises(ValueError, match=r"y\.json is no anchor file"):
            AnchorFile.load(tmp_path / "y.json")


@pytest.mark.parametrize("side", [1e-30, 1e-4, 0.01, 0.0149, 0.994, 1.0, 1.006, 1234.567, 2.0**24])
def test_the_smallest_and_the_greatest_shapes_come_back(tmp_path, side):
    shapes = torch.full((1, 2, 2), side)
    AnchorFile(("a",), (64, 64), shapes).save(tmp_path / "x.json")
    assert AnchorFile.load(tmp_path / "x.json").shapes == pytest.approx(shapes, rel=0.006)


NO_ANCHORS = {
    "nan": ({"shapes": torch.full((2, 1, 2), float("nan"))}, "must be positive, finite"),
    "infinite": ({"shapes": torch.full((2, 1, 2), float("inf"))}, "must be positive, finite"),
    "zero": ({"shapes": torch.zeros(2, 1, 2)}, "must be positive"),
    "too great": ({"shapes": torch.full((2, 1, 2), 1e9)}, "at most 16777216 pixels"),
    "no anchor": ({"shapes": torch.ones(2, 0, 2)}, r"shape \(2, 0, 2\), expected"),
    "other classes": ({"shapes": torch.ones(3, 1, 2)}, "with 2 classes"),
    "twice": ({"class_names": ("a", "a")}, "a class is there twice"),
    "no input": ({"input_size": (0, 64)}, r"input_size must be \(height, width\)"),
}


@pytest.mark.parametrize("case", NO_ANCHORS)
def test_what_cannot_be_read_back_is_not_made(case):
    changes, message = NO_ANCHORS[case]
    with pytest.raises(ValueError, match=message):
        AnchorFile(**{"class_names": ("a", "b"), "input_size": (64, 64), "shapes": torch.ones(2, 1, 2), **changes})


ANCHORS_LEFT = ('{"anchors": {"a": [[1, 2]]}, "input_size": ', "}")
DAMAGED = {
    **{size: size.join(ANCHORS_LEFT) for size in (
        "3", "[1]", '"64"', "[1.5, 2]", "[true, 2]", "[0, 2]", "[-1, 2]", "[NaN, 2]", "[Infinity, 1]", "[1, 2, 3]",
        "{}", "null", '["64", "64"]', "[1" + "0" * 30 + ", 2]")},
    **{own: f'{{"anchors": {{"a": {own}}}, "input_size": [64, 64]}}' for own in (
        "[]", "[[]]", "[[1]]", "[[1, 2, 3]]", "[[1, 2], [3]]", "[[1, NaN]]", "[[1, 1e999]]", "[[1, 1e39]]", "{}",
        "[[1, true]]", '[["1", 2]]', '"ab"', "null", "[[1, 1e-60]]", "[[1, 1" + "0" * 400 + "]]", "[{}]", "[[{}, 1]]",
        "[" * 500 + "]" * 500)},
    "twice": '{"anchors": {"a": [[1, 2]], "a": [[3, 4]]}, "input_size": [64, 64]}',
    "ragged": '{"anchors": {"a": [[1, 2]], "b": [[3, 4], [5, 6]]}, "input_size": [64, 64]}',
    "none": '{"anchors": {}, "input_size": [64, 64]}',
    "list": '{"anchors": [[[1, 2]]], "input_size": [64, 64]}',
    "deep": "[" * 100_000 + "]" * 100_000,
    "endless number": "9" * 5000,
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_anchor_file_is_named(tmp_path, case):
    (tmp_path / "x.json").write_text(DAMAGED[case])
    with pytest.raises(ValueError, match=r"x\.json is no anchor file: "):
        AnchorFile.load(tmp_path / "x.json")


def test_an_anchor_file_that_is_no_file(tmp_path):
    for path, message in ((tmp_path, str(tmp_path)), ("voc0712_5", "voc0712_5: no such"), ("a\0b", "no such anchor")):
        with pytest.raises(OSError, match=message):
            AnchorFile.load(path)
    with pytest.raises(OSError, match="xxx"):
        AnchorFile.load("x" * 5000)


@pytest.mark.parametrize("count", [0, -1])
def test_no_anchor_at_all_is_refused(count):
    """It gave one a class, as if one had been asked for."""
    with pytest.raises(ValueError, match=f"per_class must be a whole number, at least 1, not {count}"):
        cluster_anchors(torch.tensor([[10.0, 20.0], [30.0, 20.0]]), torch.tensor([0, 0]), 1, count)
