import oracles
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lapnet_core.boxes import decode
from lapnet_core.predict import FIRST, PART, best_scores, detect, suppress

SHAPES = torch.tensor([[[16.0, 16.0], [40.0, 24.0]], [[8.0, 24.0], [60.0, 60.0]]])


@given(st.integers(0, 10_000), st.sampled_from([0.3, 0.5, 0.7]), st.sampled_from([0.0, 0.05, 0.5]))
@settings(max_examples=60)
def test_detections_are_the_oracle(seed, nms_iou, threshold):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(2, 2, 2, 3, 4, generator=generator) * 2
    offsets = torch.randn(2, 2, 2, 4, 3, 4, generator=generator) * 0.3
    got = detect(scores, offsets, SHAPES, score_threshold=threshold, nms_iou=nms_iou, max_detections=1000)
    for b in range(2):
        boxes, probability, labels = [], [], []
        for c in range(2):
            for a in range(2):
                for i in range(3):
                    for j in range(4):
                        p = torch.sigmoid(scores[b, c, a, i, j]).item()
                        box = oracles.decode(offsets[b, c, a, :, i, j].tolist(), SHAPES[c, a].tolist(), i, j)
                        box = [min(max(v, 0), limit) for v, limit in zip(box, (32, 24, 32, 24), strict=True)]
                        if p > threshold and box[2] > box[0] and box[3] > box[1]:
                            boxes.append(box), probability.append(p), labels.append(c)
        ious = [oracles.iou(x, y) for k, x in enumerate(boxes) for y in boxes[:k]]
        if any(abs(v - nms_iou) < 1e-4 for v in ious):
            return  # within rounding of the limit either answer is right
        kept = oracles.nms(boxes, probability, labels, nms_iou)
        assert got[b]["labels"].tolist() == [labels[n] for n in kept]
        assert got[b]["scores"].tolist() == pytest.approx([probability[n] for n in kept], abs=1e-5)
        torch.testing.assert_close(
            got[b]["boxes"], torch.tensor([boxes[n] for n in kept]).view(-1, 4), atol=1e-3, rtol=1e-4
        )


def test_limits_and_nothing_found():
    scores, offsets = torch.full((1, 2, 2, 3, 4), 3.0), torch.zeros(1, 2, 2, 4, 3, 4)
    (found,) = detect(scores, offsets, SHAPES, nms_iou=1.0, candidates=7, max_detections=5)
    assert len(found["boxes"]) == 5
    (nothing,) = detect(-scores, offsets, SHAPES, score_threshold=0.5)
    assert [tuple(x.shape) for x in nothing.values()] == [(0, 4), (0,), (0,)]


def test_a_score_in_bfloat16_is_compared_with_the_threshold_itself():
    """In bfloat16 the default one, -6.9068, is rounded to this score."""
    scores = torch.full((1, 2, 2, 3, 4), -20.0, dtype=torch.bfloat16)
    scores[0, 1, 0, 2, 1] = -6.90625
    for exact in (scores, scores.float()):
        (found,) = detect(exact, torch.zeros(1, 2, 2, 4, 3, 4), SHAPES, score_threshold=0.001)
        assert found["labels"].tolist() == [1]


def test_one_anchor_becomes_one_box():
    scores = torch.full((1, 2, 2, 3, 4), -20.0)
    scores[0, 1, 0, 2, 1] = 4
    offsets = torch.zeros(1, 2, 2, 4, 3, 4)
    offsets[0, 1, 0, :, 2, 1] = torch.tensor([0.25, -0.5, 0.1, -0.2])
    (found,) = detect(scores, offsets, SHAPES)
    expected = decode(offsets[0, 1, 0, :, 2, 1][None], SHAPES[1, :1], torch.tensor([2]), torch.tensor([1]))
    torch.testing.assert_close(found["boxes"], expected.clamp(min=0).minimum(torch.tensor([32.0, 24, 32, 24])))
    assert found["labels"].tolist() == [1]


@given(
    st.integers(0, 10_000), st.integers(1, 12), st.sampled_from([-9.0, -0.5, 0.0, 3.0]), st.booleans(), st.booleans(),
    st.sampled_from([torch.float32, torch.bfloat16]),
)  # fmt: skip
@settings(max_examples=150)
def test_the_best_scores_are_topk_of_all_that_pass(seed, candidates, threshold, tied, channels_last, dtype):
    """To the order of equal scores, and with the bar that rises: 64 times the candidates are less than a part."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(1, 5 * PART // 2, 4, 5, generator=generator)
    scores -= 9 * torch.rand(scores.shape[:2], generator=generator)[..., None, None].round()  # half of the grids
    scores = ((2 * scores).round() / 2 if tied else scores).to(dtype)
    scores = scores.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    best, place = best_scores(scores.unflatten(1, (-1, 5))[0], threshold, candidates)
    logits = scores.flatten().float()
    passing = (logits > threshold).nonzero().flatten()
    wanted, order = logits[passing].topk(min(candidates, len(passing)))
    assert torch.equal(best, wanted)
    assert torch.equal(place, passing[order])


@pytest.mark.parametrize("where", [0, 63 * 20, 64 * 20, 64 * 150 * 20 - 1])
def test_a_score_that_is_no_number_is_among_the_best_wherever_it_is(where):
    scores = torch.randn(64 * 150 * 20, generator=torch.Generator().manual_seed(0))
    scores[where] = torch.nan
    best, place = best_scores(scores.view(64, 150, 4, 5), -9.0, 7)
    assert best[0].isnan()
    assert place[0] == where


@pytest.mark.parametrize("covered", [True, False])
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("most", [300, FIRST + 100])
def test_suppression_of_the_first_alone_changes_nothing(covered, classes, most):
    """Many candidates on a few objects, or each on its own; equal scores stay in the order in which they come."""
    generator = torch.Generator().manual_seed(most)
    count = FIRST + 200
    corner = (20.0 if covered else 400.0) * torch.rand(count, 2, generator=generator)
    boxes = torch.cat((corner, corner + 12), 1)
    scores = (torch.rand(count, generator=generator) * 40).round().sort(descending=True).values / 40
    labels = torch.randint(0, classes, (count,), generator=generator)
    found = suppress(boxes, scores, labels, (512, 512), 0.5, most)
    kept = torch.tensor(oracles.nms(boxes.tolist(), scores.tolist(), labels.tolist(), 0.5)[:most])
    assert len(kept) == most or covered or most > 300
    for name, all_of_it in (("boxes", boxes), ("scores", scores), ("labels", labels)):
        assert torch.equal(found[name], all_of_it[kept]), name
