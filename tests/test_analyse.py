import gzip

import pytest
import torch

from lapnet_core.analyse import coverage, read_boxes, table_anchors
from lapnet_core.data import VOC_CLASSES

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


@pytest.mark.data
def test_no_object_of_voc_is_missed(real_data):
    boxes = read_boxes(real_data / "boxes" / "voc07_test.csv.gz", one_based=True, class_names=VOC_CLASSES)
    assert (len(boxes.boxes), boxes.num_images) == (12032, 4952)
    few = boxes.image_index < 800
    part = type(boxes)(boxes.boxes[few], boxes.labels[few], boxes.image_index[few], boxes.class_names, 800, 0)
    found = coverage(part, table_anchors(boxes, 512 / 500), (64, 64), 512 / 500)
    assert found.missed_pono == 0
    assert found.rescued <= 1
    assert 0.01 < found.share_missed_ao < 0.1
    assert found.share_missed_ao_small > 3 * found.share_missed_ao
