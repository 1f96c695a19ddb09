import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import voc_ap_per_class

from lapnet_core.evaluate import coco_map, coco_map_from_targets, coco_results, voc_map, write_coco_results

METRICS = ("area", "11point")


def detection(boxes, scores, labels=None):
    labels = [0] * len(boxes) if labels is None else labels
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "scores": torch.tensor(scores, dtype=torch.float32),
        "labels": torch.tensor(labels, dtype=torch.int64),
    }


def target(boxes, difficult=None, labels=None):
    labels = [0] * len(boxes) if labels is None else labels
    made = {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.int64),
    }
    if difficult is not None:
        made["difficult"] = torch.tensor(difficult, dtype=torch.bool)
    return made


def squares(*lefts, size=10):
    return [[x, 0, x + size, size] for x in lefts]


# Few distinct corners and scores, so that equal boxes, equal IoUs, an IoU of exactly 1/2 and equal scores are common.
CORNER = st.integers(0, 4)
BOX = st.tuples(CORNER, CORNER, st.sampled_from([2, 2, 4, 0]), st.integers(1, 4)).map(
    lambda b: [b[0] / 2, b[1] / 2, (b[0] + b[2]) / 2, (b[1] + b[3]) / 2]
)
SCORE, LABEL = st.sampled_from([0.1, 0.25, 0.5, 0.75, 0.9]), st.sampled_from([0, 0, 0, 2])
DETECTIONS = st.lists(st.tuples(BOX, SCORE, LABEL), max_size=8).map(
    lambda rows: detection([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows])
)
TARGETS = st.lists(st.tuples(BOX, st.sampled_from([False, False, True]), LABEL), max_size=5).flatmap(
    lambda rows: st.sampled_from([[r[1] for r in rows], None]).map(
        lambda difficult: target([r[0] for r in rows], difficult, [r[2] for r in rows])
    )
)


class TestVocAgainstOracle:
    @pytest.mark.slow
    @settings(max_examples=400, deadline=None)
    @given(
        st.lists(st.tuples(DETECTIONS, TARGETS), max_size=3), st.sampled_from(METRICS), st.sampled_from([0.5, 0.3, 1.0])
    )
    def test_every_class(self, images, metric, iou_threshold):
        detections, targets = [d for d, _ in images], [t for _, t in images]
        result = voc_map(detections, targets, 3, metric=metric, iou_threshold=iou_threshold)
        expected = voc_ap_per_class(detections, targets, 3, iou_threshold, metric)
        np.testing.assert_allclose(result.ap.numpy(), expected, rtol=0, atol=1e-12)
        present = expected[~np.isnan(expected)]
        assert (
            result.mean_ap == pytest.approx(present.mean(), abs=1e-12) if len(present) else math.isnan(result.mean_ap)
        )

    @pytest.mark.parametrize("metric", METRICS)
    def test_larger_and_unequal_images(self, metric):
        g = torch.Generator().manual_seed(3)

        def boxes(n):
            corner = torch.rand(n, 2, generator=g) * 40
            return torch.cat([corner, corner + 15 + torch.rand(n, 2, generator=g) * 15], 1)

        detections, targets = [], []
        for image in range(12):
            n, d = image % 5 * 3, image % 4 * 12
            labels = torch.randint(2, (n,), generator=g)
            targets.append({"boxes": boxes(n), "labels": labels, "difficult": torch.rand(n, generator=g) < 0.2})
            scores = (torch.rand(d, generator=g) * 20).round() / 20
            detections.append({"boxes": boxes(d), "scores": scores, "labels": torch.randint(2, (d,), generator=g)})
        expected = voc_ap_per_class(detections, targets, 2, 0.5, metric)
        assert (expected > 0.02).all()
        np.testing.assert_allclose(voc_map(detections, targets, 2, metric=metric).ap, expected, rtol=0, atol=1e-12)


class TestVocByHand:
    # Three objects that count. By score: a hit, a duplicate, one ignored, a hit; the second image's object is missed.
    detections = (
        detection(squares(0, 1, 40, 20), [0.9, 0.8, 0.7, 0.6]),
        detection([], []),
    )
    targets = (target(squares(0, 20, 40), [False, False, True]), target(squares(0)))

    def test_area(self):
        result = voc_map(self.detections, self.targets, 1)
        assert result.mean_ap == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3, abs=1e-15)
        assert result.num_objects.tolist() == [3]
        assert result.num_detections.tolist() == [4]

    def test_eleven_points(self):
        # Recall 0, .1, .2, .3 at precision 1; .4, .5, .6 at 2/3; beyond 2/3 nothing.
        result = voc_map(self.detections, self.targets, 1, metric="11point")
        assert result.mean_ap == pytest.approx((4 * 1 + 3 * 2 / 3) / 11, abs=1e-15)

    def test_curves_leave_ignored_detections_out(self):
        result = voc_map(self.detections, self.targets, 1)
        assert result.precision[0].tolist() == pytest.approx([1, 1 / 2, 2 / 3])
        assert result.recall[0].tolist() == pytest.approx([1 / 3, 1 / 3, 2 / 3])

    def test_area_metric_is_monotone_envelope(self):
        # miss, hit, hit: precisions 0, 1/2, 2/3; the envelope lifts the first hit to 2/3.
        found = [detection(squares(80, 0, 20), [0.9, 0.8, 0.7])]
        assert voc_map(found, [target(squares(0, 20))], 1).mean_ap == pytest.approx(2 / 3)

    @pytest.mark.parametrize("hits", range(11))
    def test_recall_levels_are_reached_exactly(self, hits):
        lefts = [20 * k for k in range(10)]
        found = [detection(squares(*lefts[:hits]), [0.9] * hits)]
        result = voc_map(found, [target(squares(*lefts))], 1, metric="11point")
        assert result.mean_ap == pytest.approx((hits + 1) / 11 if hits else 0, abs=1e-15)

    def test_iou_of_exactly_the_threshold_matches(self):
        truth = [target([[0, 0, 10, 10]])]
        assert voc_map([detection([[0, 0, 10, 5]], [0.5])], truth, 1).mean_ap == 1
        assert voc_map([detection([[0, 0, 10, 4.99]], [0.5])], truth, 1).mean_ap == 0
        # 7/10 in float32 is less than the threshold .7
        assert voc_map([detection([[0, 0, 10, 7]], [0.5])], truth, 1, iou_threshold=0.7).mean_ap == 1

    def test_continuous_boxes_are_the_kits_inclusive_pixels(self):
        # Pixels 1..10 and 1..5 of a row: 10 and 5 wide for the kit, IoU 1/2. As x1 = xmin - 1: 0..10 and 0..5.
        assert voc_map([detection([[0, 0, 5, 10]], [1.0])], [target([[0, 0, 10, 10]])], 1).mean_ap == 1

    def test_second_best_object_is_not_taken(self):
        # Both detections overlap the first object most (the second one has IoU 2/3 with the other, free, object).
        found = [detection(squares(0, 1), [0.9, 0.8])]
        result = voc_map(found, [target(squares(0, 3))], 1)
        assert result.recall[0].tolist() == [0.5, 0.5]

    def test_best_object_difficult_hides_second_best(self):
        found = [detection(squares(1, 1), [0.9, 0.8])]
        result = voc_map(found, [target(squares(0, 3), [True, False])], 1)
        assert result.mean_ap == 0
        assert len(result.precision[0]) == 0  # both ignored: a difficult object is never used up
        assert result.num_objects.tolist() == [1]

    def test_false_alarms_below_last_hit_cost_nothing(self):
        found = [detection(squares(0, 50, 70), [0.9, 0.5, 0.4])]
        for metric in METRICS:
            assert voc_map(found, [target(squares(0))], 1, metric=metric).mean_ap == pytest.approx(1)

    def test_equal_scores_keep_image_order_then_row_order(self):
        miss, hit = squares(50), squares(0)
        truth = [target(squares(0)), target([])]
        assert voc_map([detection(hit + miss, [0.5, 0.5]), detection(miss, [0.5])], truth, 1).mean_ap == 1
        assert voc_map([detection(miss + hit, [0.5, 0.5]), detection(miss, [0.5])], truth, 1).mean_ap == 0.5
        found = [detection(miss, [0.5]), detection(hit, [0.5])]
        assert voc_map(found, [target([]), target(squares(0))], 1).mean_ap == 0.5

    def test_images_and_classes_do_not_mix(self):
        found = [detection(squares(0), [0.9], [1]), detection(squares(20), [0.9], [0])]
        truth = [target(squares(0, 20), labels=[0, 1]), target(squares(0), labels=[0])]
        assert voc_map(found, truth, 2).ap.tolist() == [0, 0]


class TestVocResult:
    def test_class_without_objects_is_nan_and_left_out(self):
        found = [detection(squares(0, 0, 0), [0.9, 0.8, 0.7], [0, 1, 2])]
        truth = [target(squares(0, 0), [False, True], [0, 2])]
        result = voc_map(found, truth, 3, class_names=["cat", "unicorn", "only difficult"])
        assert result.ap[0] == 1
        assert result.ap[1:].isnan().all()
        assert result.mean_ap == 1
        assert [len(curve) for curve in (*result.precision, *result.recall)] == [1, 0, 0] * 2
        assert result.num_detections.tolist() == [1, 1, 1]
        lines = str(result).splitlines()
        assert lines[0] == "VOC mean AP at IoU 0.5, area metric: 1.0000"
        assert lines[1] == "over 1 classes (2 without objects left out)"
        assert lines[3].split() == ["cat", "1", "1", "1.0000"]
        assert lines[4].split() == ["unicorn", "0", "1", "nan"]

    def test_nothing_at_all(self):
        for found, truth in (([], []), ([detection([], [])], [target([])])):
            result = voc_map(found, truth, 2)
            assert math.isnan(result.mean_ap)
            assert result.ap.isnan().all()

    def test_no_detection_is_zero(self):
        for metric in METRICS:
            assert voc_map([detection([], [])], [target(squares(0))], 1, metric=metric).mean_ap == 0

    def test_half_precision_and_gradients_are_fine_and_inputs_stay(self):
        found = detection(squares(0, 30), [0.5, 0.75])
        found["boxes"] = found["boxes"].requires_grad_()
        found["scores"] = found["scores"].to(torch.bfloat16)
        before = {name: value.clone() for name, value in found.items()}
        assert voc_map([found], [target(squares(0))], 1).mean_ap == 0.5
        assert all(torch.equal(found[name], before[name]) for name in found)


def broken(sample, **changes):
    return {name: value for name, value in {**sample, **changes}.items() if value is not None}


class TestRefusals:
    good = detection(squares(0, 20), [0.9, 0.8])
    truth = target(squares(0, 20), [False, True])

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"scores": None}, "detections of image 1: no scores"),
            (
                {"boxes": torch.zeros(2, 5)},
                r"image 1: boxes must be float of shape \(N, 4\), not torch.float32 of shape \(2, 5\)",
            ),
            (
                {"boxes": torch.zeros(0)},
                r"image 1: boxes must be float of shape \(N, 4\), not torch.float32 of shape \(0,\)",
            ),
            (
                {"scores": torch.zeros(3)},
                r"image 1: scores must be float of shape \(2\), not torch.float32 of shape \(3,\)",
            ),
            (
                {"labels": torch.zeros(2, 1, dtype=torch.int64)},
                r"image 1: labels must be int of shape \(2\), not torch.int64 of shape \(2, 1\)",
            ),
            ({"labels": torch.zeros(2)}, "image 1: labels must be int"),
            ({"labels": torch.tensor([0, 1])}, r"image 1, row 1: label is not in 0\.\.0: 1"),
            ({"labels": torch.tensor([-1, 0])}, r"image 1, row 0: label is not in 0\.\.0: -1"),
            ({"scores": torch.tensor([0.5, math.nan])}, "image 1, row 1: score is not finite: nan"),
            ({"boxes": torch.tensor([[0, 0, 1, 1], [0, 0, math.inf, 1]])}, "image 1, row 1: box is not finite"),
            ({"boxes": torch.tensor([[0.0, 0, 1, 1], [5, 5, 8, 3]])}, r"image 1, row 1: box is not \(x1, y1, x2, y2\)"),
        ],
    )
    def test_detections(self, changes, message):
        found, truth = [self.good, broken(self.good, **changes)], [self.truth, self.truth]
        for call in (voc_map, coco_map_from_targets):
            with pytest.raises(ValueError, match=message):
                call(found, truth, 1)
        with pytest.raises(ValueError, match=message):
            coco_results(found, [7, 8], [1])

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"labels": None}, "targets of image 1: no labels"),
            ({"difficult": torch.zeros(2)}, "targets of image 1: difficult must be bool"),
            ({"difficult": torch.zeros(1, dtype=torch.bool)}, "targets of image 1: difficult must be bool of shape"),
            ({"labels": torch.tensor([0, 3])}, "targets of image 1, row 1: label"),
            ({"boxes": torch.full((2, 4), math.nan)}, "targets of image 1, row 0: box is not finite"),
        ],
    )
    def test_targets(self, changes, message):
        for call in (voc_map, coco_map_from_targets):
            with pytest.raises(ValueError, match=message):
                call([self.good, self.good], [self.truth, broken(self.truth, **changes)], 1)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"metric": "auc"}, "metric must be"),
            ({"iou_threshold": 0.0}, "iou_threshold must be"),
            ({"iou_threshold": 1.5}, "iou_threshold must be"),
            ({"class_names": ["a", "b"]}, "class_names must be 1 names"),
        ],
    )
    def test_arguments(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            voc_map([self.good], [self.truth], 1, **arguments)

    def test_lengths(self):
        for call in (voc_map, coco_map_from_targets):
            with pytest.raises(ValueError, match="1 images in detections, 0 in targets"):
                call([self.good], [], 1)
        with pytest.raises(ValueError, match="num_classes must be a whole number, at least 1"):
            voc_map([], [], 0)
        with pytest.raises(ValueError, match="class_names must be 1 names"):
            coco_map_from_targets([self.good], [self.truth], 1, class_names=["a", "b"])

    def test_box_without_area_passes_and_matches_nothing(self):
        point = [[5.0, 5, 5, 5]]
        assert voc_map([detection(point, [0.9])], [target(point)], 1).mean_ap == 0


class TestCocoRecords:
    found = (detection([[10, 20, 40.006, 60]], [0.123456789], [1]), detection([], []))

    def test_fields_ids_and_rounding(self):
        assert coco_results(self.found, [139, 285], [1, 90]) == [
            {"image_id": 139, "category_id": 90, "bbox": [10.0, 20.0, 30.01, 40.0], "score": 0.123457}
        ]

    def test_images_keep_their_ids(self):
        records = coco_results([detection([], []), *self.found], np.array([5, 3, 9]).tolist(), [1, 90])
        assert [record["image_id"] for record in records] == [3]

    @pytest.mark.parametrize(
        ("image_ids", "category_ids", "message"),
        [
            ([1], [1, 2], "2 images in detections, 1 image ids"),
            ([1, 1], [1, 2], "image id 1 is given more than once"),
            ([1, 2], [3, 3], "category id 3 is given more than once"),
            ([1, 2], [3], "image 0, row 0: label is not in"),
        ],
    )
    def test_refusals(self, image_ids, category_ids, message):
        with pytest.raises(ValueError, match=message):
            coco_results(self.found, image_ids, category_ids)

    def test_a_label_without_a_category_is_left_out(self):
        found = detection([[0, 0, 9, 9], [10, 20, 40, 60]], [0.9, 0.8], [0, 1])
        records = coco_results([found], [139], [None, 90])
        assert [(record["category_id"], record["score"]) for record in records] == [(90, 0.8)]
        with pytest.raises(ValueError, match="category id 90 is given more than once"):
            coco_results([found], [139], [90, None, 90, None])

    def test_file_is_the_records(self, tmp_path):
        path = tmp_path / "new" / "results.json"
        write_coco_results(path, self.found, [139, 285], [1, 90])
        assert json.loads(path.read_text()) == coco_results(self.found, [139, 285], [1, 90])
        assert os.listdir(path.parent) == ["results.json"]

    def test_a_failed_write_leaves_the_old_file_and_nothing_else(self, tmp_path, monkeypatch):
        path = tmp_path / "results.json"
        path.write_text("old")

        def fail(self, text, encoding):
            with open(self, "w") as file:
                file.write(text[:5])
            raise OSError("disk full")

        with monkeypatch.context() as patch:
            patch.setattr(Path, "write_text", fail)
            with pytest.raises(OSError, match="disk full"):
                write_coco_results(path, self.found, [139, 285], [1, 90])
        assert path.read_text() == "old"
        assert os.listdir(tmp_path) == ["results.json"]


@pytest.fixture
def instances(tmp_path):
    """An instances JSON: categories 7 ("cup"), 3 ("dog") and 5 without objects; a crowd of dogs in image 20."""
    boxes = [(1, 10, 7, (0, 0, 20, 20), 0), (2, 10, 3, (50, 50, 40, 40), 0), (3, 20, 3, (0, 0, 200, 100), 1)]
    dataset = {
        "images": [{"id": 10}, {"id": 20}],
        "categories": [{"id": 3, "name": "dog"}, {"id": 7, "name": "cup"}, {"id": 5, "name": "bus"}],
        "annotations": [
            {"id": i, "image_id": image, "category_id": c, "bbox": list(b), "area": b[2] * b[3], "iscrowd": crowd}
            for i, image, c, b, crowd in boxes
        ],
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(dataset))
    return path


IDS = {"image_ids": [20, 10], "category_ids": [7, 5, 3]}


def _with_none(ids):
    return {**ids, "category_ids": [None, *ids["category_ids"]]}


class TestCocoMap:
    # In image 10 the cup is found and the dog is not; the false dog of image 20 lies in the crowd and is ignored.
    found = (
        detection([[10, 10, 30, 30]], [0.9], [2]),
        detection([[0, 0, 20, 20], [0, 50, 30, 80]], [0.8, 0.7], [0, 2]),
    )

    def test_by_hand_and_in_the_order_of_category_ids(self, instances, capsys):
        result = coco_map(self.found, instances, **IDS)
        assert result.class_names == ("cup", "bus", "dog")
        np.testing.assert_allclose(result.class_ap, [1, np.nan, 0], atol=1e-12)
        expected = {"ap": 0.5, "ap50": 0.5, "ap75": 0.5, "ap_small": 1, "ap_medium": 0, "ar_1": 0.5, "ar_100": 0.5}
        assert {name: getattr(result, name) for name in expected} == pytest.approx(expected)
        assert math.isnan(result.ap_large)
        assert math.isnan(result.ar_large)
        assert capsys.readouterr() == ("", "")
        table = [line.split() for line in str(result).splitlines()]
        assert ["ap50", "0.500"] in table
        assert ["cup", "1.000"] in table
        assert ["bus", "nan"] in table

    def test_a_label_without_a_category_changes_no_other(self, instances, tmp_path):
        more = [{**one, "labels": torch.cat([one["labels"] + 1, torch.zeros(1, dtype=torch.int64)]),
                 "boxes": torch.cat([one["boxes"], one["boxes"][:1]]),
                 "scores": torch.cat([one["scores"], torch.ones(1)])} for one in self.found]  # fmt: skip
        usual, result = coco_map(self.found, instances, **IDS), coco_map(more, instances, **_with_none(IDS))
        assert result.class_ap[0].isnan()
        np.testing.assert_array_equal(result.class_ap[1:], usual.class_ap)
        assert result.class_names[1:] == usual.class_names
        assert (result.ap, result.ar_100) == (usual.ap, usual.ar_100)
        nothing = coco_map(self.found, instances, image_ids=[20, 10], category_ids=[None] * 3)
        assert math.isnan(nothing.ap)
        assert nothing.class_ap.isnan().all()

    def test_iou_thresholds(self, instances):
        # 12/20 of the cup: a match at .5, .55 and .6, so 3 of the 10 thresholds.
        found = [detection([], []), detection([[0, 0, 20, 12]], [0.8])]
        result = coco_map(found, instances, image_ids=[20, 10], category_ids=[7])
        assert (result.ap, result.ap50, result.ap75) == pytest.approx((0.3, 1, 0))
        assert result.class_ap.tolist() == pytest.approx([0.3])

    def test_records_and_file_give_the_same_and_stay_as_they_are(self, instances, tmp_path):
        records = coco_results(self.found, **IDS)
        before = json.dumps(records)
        write_coco_results(tmp_path / "r.json", self.found, **IDS)
        tables = {str(coco_map(r, instances, **IDS)) for r in (self.found, records, tmp_path / "r.json")}
        assert len(tables) == 1
        assert json.dumps(records) == before

    def test_only_the_given_images_and_categories_count(self, instances):
        records = coco_results(self.found, **IDS)
        assert coco_map(records, instances, image_ids=[10], category_ids=[7]).ap == pytest.approx(1)
        assert math.isnan(coco_map(records, instances, image_ids=[20], category_ids=[7, 3]).ap)

    @pytest.mark.parametrize("results", [[], [detection([], []), detection([], [])]])
    def test_no_result_is_zero(self, instances, results):
        result = coco_map(results, instances, **IDS)
        assert (result.ap, result.ap50, result.ar_100) == (0, 0, 0)
        np.testing.assert_array_equal(result.class_ap, [0, np.nan, 0])

    def test_ids_from_0_and_no_areas_change_nothing(self, instances):
        """COCOeval takes a match with the annotation of id 0 for no match; files from tools often number from 0."""
        usual = coco_map(self.found, instances, **IDS)
        content = json.loads(instances.read_text())
        for entry in content["annotations"]:
            entry["id"] -= 1
            del entry["area"]
            if not entry["iscrowd"]:
                del entry["iscrowd"]
        instances.write_text(json.dumps(content))
        assert str(coco_map(self.found, instances, **IDS)) == str(usual)

    @pytest.mark.parametrize("area", [None, math.nan, -400.0, "400", True, math.inf])
    def test_an_area_that_is_none_is_that_of_the_box(self, instances, area):
        """null ended the evaluation after the whole prediction; an object of area -400 did not count."""
        usual = coco_map(self.found, instances, **IDS)
        content = json.loads(instances.read_text())
        for entry in content["annotations"]:
            entry["area"] = area
        instances.write_text(json.dumps(content))
        assert str(coco_map(self.found, instances, **IDS)) == str(usual)

    def test_a_box_beyond_all_numbers_is_passed_over(self, instances):
        usual = coco_map(self.found, instances, **IDS)
        content = json.loads(instances.read_text())
        content["annotations"].append({"id": 9, "image_id": 10, "category_id": 7, "bbox": [0, 0, 10**400, 1]})
        instances.write_text(json.dumps(content))
        assert str(coco_map(self.found, instances, **IDS)) == str(usual)

    def test_records_of_numpys_numbers_and_with_more_in_them(self, instances):
        """pycocotools takes a record with a caption for one without a box."""
        records = coco_results(self.found, **IDS)
        more = [{**r, "score": np.float32(r["score"]), "caption": "a", "segmentation": None} for r in records]
        assert str(coco_map(more, instances, **IDS)) == str(coco_map(records, instances, **IDS))

    def test_refusals(self, instances, tmp_path):
        record = {"image_id": 10, "category_id": 7, "bbox": [0, 0, 1, 1], "score": 0.5}
        for ids, message in (
            ({"image_ids": [10, 11], "category_ids": [7]}, "image id 11 is not in the annotations"),
            ({"image_ids": [10], "category_ids": [1]}, "category id 1 is not in the annotations"),
            ({"image_ids": [10, 10], "category_ids": [7]}, "image id 10 is given more than once"),
        ):
            with pytest.raises(ValueError, match=message):
                coco_map([record], instances, **ids)
        for change, message in (({"image_id": 11}, "image id 11"), ({"category_id": 1}, "category id 1")):
            with pytest.raises(ValueError, match=message):
                coco_map([record | change], instances, **IDS)
        content = json.loads(instances.read_text())
        for entry in content["annotations"]:
            entry["bbox"] = [side / 200 for side in entry["bbox"]]
        (tmp_path / "shares.json").write_text(json.dumps(content))
        with pytest.raises(ValueError, match=r"shares\.json: its boxes are shares of the image, not pixels"):
            coco_map([record], tmp_path / "shares.json", **IDS)
        (tmp_path / "test-dev.json").write_text(json.dumps({"images": [{"id": 10}], "categories": []}))
        with pytest.raises(ValueError, match="no annotations"):
            coco_map([record], tmp_path / "test-dev.json", image_ids=[10], category_ids=[])


class TestCocoFromTargets:
    def test_one_object_found(self):
        # COCOeval would miss a match with an annotation whose id is 0.
        result = coco_map_from_targets([detection(squares(0), [0.9])], [target(squares(0))], 1, class_names=["cell"])
        assert result.ap == pytest.approx(1)
        assert result.class_names == ("cell",)

    def test_difficult_is_a_crowd(self):
        found = [detection(squares(0, 2, 50), [0.9, 0.8, 0.7])]
        counted = coco_map_from_targets(found, [target(squares(0, 50))], 1)
        ignored = coco_map_from_targets(found, [target([*squares(0, 50), [0, 0, 15, 15]], [False, False, True])], 1)
        assert ignored.ap == pytest.approx(1)
        assert counted.ap < 0.9

    def test_small_medium_large_by_box_area(self):
        truth = [target([[0, 0, 31, 31], [100, 0, 140, 40], [200, 0, 300, 100]])]
        found = [detection([[0, 0, 31, 31], [200, 0, 300, 100]], [0.9, 0.9])]
        result = coco_map_from_targets(found, truth, 1)
        assert (result.ar_small, result.ar_medium, result.ar_large) == (1, 0, 1)

    def test_boxes_are_not_rounded(self):
        # Normalised coordinates would not survive a rounding to hundredths.
        result = coco_map_from_targets([detection([[0, 0, 0.004, 0.004]], [0.9])], [target([[0, 0, 0.004, 0.004]])], 1)
        assert result.ap == pytest.approx(1)

    def test_nothing_at_all(self):
        for found, truth in (([detection([], [])], [target([])]), ([], [])):
            result = coco_map_from_targets(found, truth, 2)
            assert math.isnan(result.ap)
            assert result.class_ap.isnan().all()

    def test_agrees_with_voc_where_the_rules_do(self):
        # Objects far apart, each met by one detection or none: only the curve's sampling differs (101 points, all).
        g = torch.Generator().manual_seed(0)
        found, truth = [], []
        for _ in range(10):
            lefts = (torch.arange(12) * 40).tolist()
            truth.append(target(squares(*lefts), labels=torch.randint(2, (12,), generator=g).tolist()))
            shift = torch.randint(0, 6, (12,), generator=g).tolist()
            moved = [left + s for left, s in zip(lefts, shift, strict=True)]
            found.append(detection(squares(*moved), torch.rand(12, generator=g).tolist(), truth[-1]["labels"].tolist()))
        voc = voc_map(found, truth, 2)
        assert 0.2 < voc.mean_ap < 0.9
        assert coco_map_from_targets(found, truth, 2).ap50 == pytest.approx(voc.mean_ap, abs=0.015)


@pytest.mark.data
def test_coco_ground_truth_fed_back_is_perfect():
    root = os.environ.get("LAPNET_DATA") or Path(__file__).parents[3] / "shared" / "data"
    path = Path(root) / "coco_tiny" / "annotations" / "instances_val2017.json"
    if not path.exists():
        pytest.skip(f"no {path}")
    dataset = json.loads(path.read_text())
    image_ids, category_ids = ([entry["id"] for entry in dataset[name]] for name in ("images", "categories"))
    found, present = [], set()
    for image in image_ids:
        objects = [a for a in dataset["annotations"] if a["image_id"] == image and not a["iscrowd"]]
        present |= {a["category_id"] for a in objects}
        boxes = [[x, y, x + w, y + h] for x, y, w, h in (a["bbox"] for a in objects)]
        found.append(detection(boxes, [0.9] * len(boxes), [category_ids.index(a["category_id"]) for a in objects]))
    result = coco_map(found, path, image_ids=image_ids, category_ids=category_ids)
    has_objects = torch.tensor([c in present for c in category_ids])
    assert has_objects.sum() > 40
    np.testing.assert_allclose(result.class_ap[has_objects], 1, atol=1e-9)
    assert result.class_ap[~has_objects].isnan().all()
    assert (result.ap, result.ap50, result.ar_100) == pytest.approx((1, 1, 1))
