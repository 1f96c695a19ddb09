import gzip

import oracles
import pytest
import torch
from hypothesis import given, settings
from strategies import Scene, scenes

from lapnet_core.data import VOC_CLASSES
from lapnet_core.data.box_table import BoxTable, read_boxes
from lapnet_lab.coverage import coverage, object_coverage
from lapnet_lab.gather import table_anchors
from lapnet_lab.lessons.pono.study import inside_another, shifted_object

HEADER = "image_id,class,xmin,ymin,xmax,ymax\n"


def table(tmp_path, rows, **how):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress((HEADER + rows).encode()))
    return read_boxes(path, **how)


def test_reading_boxes(tmp_path):
    rows = "7,dog,1,1,10,20\n7,cat,5,5,5,9\n9,dog,3,4,30,40\n"
    voc, coco = table(tmp_path, rows, one_based=True), table(tmp_path, rows, one_based=False)
    assert voc.boxes[0].tolist() == [0, 0, 10, 20]
    assert (voc.num_images, voc.class_names, voc.dropped) == (2, ("cat", "dog"), 0)
    assert (len(coco.boxes), coco.dropped) == (2, 1)  # no width in continuous pixels
    assert coco.image_index.tolist() == [0, 1]
    with pytest.raises(ValueError, match="row 3 is no box"):
        table(tmp_path, "7,dog,1,1,10,20\n7,dog,1,x,10,20\n", one_based=True)
    with pytest.raises(ValueError, match="unknown classes"):
        table(tmp_path, rows, one_based=True, class_names=("dog",))


def test_coverage_counts_what_a_threshold_misses(tmp_path):
    # With anchors of 32 px only, a box of 8 px has IoU 1/16: AO misses it, PONO does not. Of twins one is rescued.
    rows = "a,dog,17,17,48,48\na,dog,100,100,107,107\nb,dog,9,9,40,40\nb,dog,9,9,40,40\n"
    found = coverage(table(tmp_path, rows, one_based=True), torch.full((1, 1, 2), 32.0), (16, 16), 1.0)
    assert (found.objects, found.small) == (4, 1)
    assert (found.missed_ao, found.missed_ao_small) == (2, 1)  # the small one, and one of the twins
    assert (found.missed_pono, found.rescued) == (0, 1)
    assert "AO 2 (50.0%" in str(found)


def table_of(scene: Scene) -> BoxTable:
    names = tuple(map(str, range(len(scene.shapes))))
    return BoxTable(scene.boxes, scene.labels, scene.images, names, scene.num_images, dropped=0)


@settings(max_examples=60)
@given(scenes())
def test_every_object_is_counted_as_plain_loops_count_it(scene: Scene):
    found = object_coverage(table_of(scene), scene.shapes, scene.grid, ao_thresholds=(0.2, 0.6))
    plain, owner, empty = oracles.assign(*scene.plain(), overlap="ao")
    pono, pono_owner, _ = oracles.assign(*scene.plain())
    for n in range(len(scene.boxes)):
        ious = [value for value, whose in zip(plain.flat, owner.flat, strict=True) if whose == n]
        ranked = [value for value, whose in zip(pono.flat, pono_owner.flat, strict=True) if whose == n]
        assert found.ao_peak[n] == max(ious, default=0)
        assert found.ao_positives[n] == sum(value > 0.5 for value in ious)
        assert found.pono_positives[n] == sum(value > 0.5 for value in ranked)
        assert bool(found.rescued[n]) == bool(empty[n])
        for threshold in (0.2, 0.6):
            assert found.with_ao_threshold(threshold).ao_positives[n] == sum(value > threshold for value in ious)


def test_more_images_than_fit_in_one_go_and_images_without_objects():
    images = torch.tensor([0, 3, 15, 16, 40])
    boxes = torch.tensor([[8.0, 8, 24, 24]]).expand(5, 4) + torch.arange(5.0)[:, None]
    table = BoxTable(boxes, torch.zeros(5, dtype=torch.int64), images, ("thing",), 45, dropped=0)
    shapes = torch.tensor([[[16.0, 16]]])
    found = object_coverage(table, shapes, (6, 6))
    for n in range(5):
        one = BoxTable(boxes[n : n + 1], table.labels[:1], torch.zeros(1, dtype=torch.int64), ("thing",), 1, 0)
        alone = object_coverage(one, shapes, (6, 6))
        assert (found.ao_peak[n], found.ao_positives[n]) == (alone.ao_peak[0], alone.ao_positives[0])
        assert found.pono_positives[n] == alone.pono_positives[0]
    none = object_coverage(BoxTable(boxes[:0], table.labels[:0], images[:0], ("thing",), 3, 0), shapes, (6, 6))
    assert none.total().objects == 0
    assert none.by_side([0, 8, 16]).objects.tolist() == [0, 0]


def test_bins_hold_every_object_once():
    side = torch.tensor([4.0, 8, 8, 15, 16, 40])
    corner = torch.tensor([[8.0, 8]]).expand(6, 2)
    boxes = torch.cat((corner, corner + side[:, None]), 1)
    table = BoxTable(boxes, torch.zeros(6, dtype=torch.int64), torch.arange(6), ("thing",), 6, dropped=0)
    found = object_coverage(table, torch.tensor([[[16.0, 16]]]), (6, 6), scale=0.5)
    assert found.side.tolist() == [2, 4, 4, 7.5, 8, 20]  # on the input, at half the size
    bins = found.by_side([3, 4, 8, 9])  # a limit counts above it; what lies beyond counts in the end bins
    assert bins.objects.tolist() == [1, 3, 2]
    assert bins.missed_ao.sum() == found.total().missed_ao > 0
    assert bins.missed_pono.tolist() == [0, 0, 0]
    middle = found.pono_positives[1:4].float()
    assert bins.positives_pono[1].tolist() == middle.quantile(torch.tensor([0.25, 0.5, 0.75])).tolist()
    assert found.by_side([0, 1, 2, 3]).positives_ao[0].isnan().all()


def test_a_shifted_object_has_the_overlap_that_geometry_gives_it():
    shifts = torch.tensor([[0.0, 0], [4, 0], [4, 4], [8, 0]])
    found = shifted_object((16, 16), shifts, torch.tensor([[16.0, 16]]))
    one, two = 12 * 16, 12 * 12  # px² shared when off by 4 in x, and in x and y
    expected = [1, one / (512 - one), two / (512 - two), 1]
    assert found.ao_peak.tolist() == pytest.approx(expected)
    assert found.ao_positives.tolist() == [1, 2, 0, 1]
    assert found.pono_positives[2] == 4


def test_boxes_inside_others():
    boxes = torch.tensor([[0.0, 0, 20, 20], [5, 5, 10, 10], [15, 15, 25, 25], [5, 5, 10, 10], [0, 0, 20, 20]])
    labels, images = torch.tensor([0, 0, 0, 1, 0]), torch.tensor([0, 0, 0, 0, 1])
    table = BoxTable(boxes, labels, images, ("a", "b"), 2, dropped=0)
    every = torch.ones(5, dtype=torch.bool)
    assert inside_another(table, every).tolist() == [False, True, False, False, False]
    assert not inside_another(table, ~every).any()


@pytest.mark.data
def test_no_object_of_voc_is_missed(real_data):
    boxes = read_boxes(real_data / "boxes" / "voc07_test.csv.gz", one_based=True, class_names=VOC_CLASSES)
    assert (len(boxes.boxes), boxes.num_images) == (12032, 4952)
    few = boxes.image_index < 320
    part = type(boxes)(boxes.boxes[few], boxes.labels[few], boxes.image_index[few], boxes.class_names, 320, 0)
    found = coverage(part, table_anchors(boxes, 512 / 500), (64, 64), 512 / 500)
    assert found.missed_pono == 0
    assert found.rescued <= 1
    assert 0.01 < found.share_missed_ao < 0.1
    assert found.share_missed_ao_small > 3 * found.share_missed_ao
