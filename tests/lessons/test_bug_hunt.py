"""Each patient has its fault and no other, and is told apart; the mended functions are judged by what they do."""

from itertools import combinations

import numpy as np
import pytest
import torch
from exercises import check_solutions
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits

from lapnet_core.scenes import SCENE_CLASSES
from lapnet_lab.lessons.bug_hunt import figures, panels, patients, study
from lapnet_lab.lessons.bug_hunt.exercises import EXERCISES, judge

SHAPES = torch.tensor([[12.0, 24.0], [24.0, 60.0], [40.0, 110.0]])


def maps(letter, situation="crowd", threshold=0.5):
    image, boxes = study.people(situation)
    return study.examine(letter, boxes, image, SHAPES, threshold)


def test_a_is_right_for_the_luckiest_object_only():
    crowd, alone = maps("A"), maps("A", "tiny_object")
    assert max(study.peaks(crowd)) == 1 > 0.9 > min(study.peaks(crowd))
    torch.testing.assert_close(alone.overlap, alone.library)
    assert int(maps("A", threshold=0.7).positive.sum()) < int(crowd.positive.sum())


def test_d_has_the_librarys_map_and_one_threshold():
    at_half, above = maps("D"), maps("D", threshold=0.8)
    torch.testing.assert_close(at_half.overlap, at_half.library)
    assert torch.equal(at_half.positive, at_half.library > 0.5)
    assert torch.equal(at_half.positive, above.positive)
    assert int((above.library > 0.8).sum()) < int(above.positive.sum())


def test_f_lies_half_a_cell_away():
    found = maps("F")
    assert all(3 < shift < 5.5 for shift in study.displacement(found))
    for other in "AD":  # A is darker on one side, and not moved
        assert study.displacement(maps(other)) == pytest.approx((0, 0), abs=1e-3)
    assert max(study.peaks(found)) <= 1


def test_b_suppresses_across_classes_and_is_right_within_one():
    found = study.rider()
    assert found.library == [0, 1, 3]
    assert found.patient == [0, 3]
    same = torch.zeros_like(found.labels)
    assert sorted(patients.nms_b(found.boxes, found.scores, same, 0.5).tolist()) == [0, 3]
    apart = patients.nms_b(found.boxes[[2, 3]], found.scores[[2, 3]], found.labels[[2, 3]], 0.5)
    assert apart.tolist() == [1, 0]  # by falling score


def test_c_moves_on_without_a_positive():
    courses = study.weight_course(steps=100, seen=10)
    assert courses["held"][10] == courses["held"][-1]
    assert courses["C"][-1] < courses["C"][10] - 0.5
    s = torch.ones(1)
    moved, velocity = patients.update_c(s, torch.full((1,), 0.5), torch.zeros(1), 0.1)
    assert moved.item() == pytest.approx(0.95)
    assert velocity.item() == 0.5


def test_e_lets_the_boxes_go():
    ill, well = study.small_training(patients.loss_e), study.small_training(patients.healthy_loss)
    assert ill.loss[-1] < ill.loss[0]
    assert well.loss[-1] < well.loss[0]
    assert ill.fit[-1] < ill.fit[0] < well.fit[-1]


@pytest.mark.parametrize("letter", study.TRUTH)
def test_every_diagnosis_is_judged(letter):
    name = f"patient_{letter.lower()}"
    said = {cause: judge(name, cause) for cause in study.CAUSES}
    assert [cause for cause, verdict in said.items() if verdict.done] == [study.TRUTH[letter]]
    wrong = {str(verdict) for verdict in said.values() if not verdict.done}
    assert len(wrong) == len(study.CAUSES) - 1
    for nonsense in ("bug", 3, ["picture"], object()):
        assert judge(name, nonsense).done is False
    assert judge(name, None).done is None
    assert f"_{letter.lower()}(" in study.source(letter)
    assert set(study.WOULD) == set(study.CAUSES)


def loop_update(s, gradient, velocity, has_positive, rate):
    out = s.clone()
    velocity = velocity * 0.9 + gradient
    for k in range(len(s)):
        if has_positive[k]:
            out[k] = s[k] - rate * velocity[k]
    return out, velocity * has_positive


def forgets_momentum(s, gradient, velocity, has_positive, rate):
    return torch.where(has_positive, s - rate * gradient, s), velocity


def stays_everywhere(s, gradient, velocity, has_positive, rate):
    return s, velocity


def only_s(s, gradient, velocity, has_positive, rate):
    return torch.where(has_positive, s, s)


def unmended(s, gradient, velocity, has_positive, rate):
    return patients.update_c(s, gradient, velocity, rate)


def in_place_update(s, gradient, velocity, has_positive, rate):
    velocity.mul_(0.9).add_(gradient)
    s[has_positive] -= rate * velocity[has_positive]
    return [s, velocity]


def double_update(s, gradient, velocity, has_positive, rate):
    velocity = 0.9 * velocity + gradient
    return np.where(has_positive, (s - rate * velocity).double(), s.double()), velocity.numpy()


def old_velocity(s, gradient, velocity, has_positive, rate):
    return loop_update(s, gradient, velocity, has_positive, rate)[0], velocity


def where_it_pulls(s, gradient, velocity, has_positive, rate):
    return loop_update(s, gradient, velocity, gradient != 0, rate)


def test_the_mended_update():
    for right in (loop_update, in_place_update, double_update):
        assert judge("mended_update", right).done is True
    wrong = {forgets_momentum: "momentum", stays_everywhere: "as C's did", only_s: "two results", unmended: "velocity"}
    wrong[old_velocity] = "hand on"
    wrong[where_it_pulls] = "ask `has_positive`"
    wrong[lambda *given: loop_update(*given)[::-1]] = "changed places"
    for function, word in wrong.items():
        verdict = judge("mended_update", function)
        assert verdict.done is False
        assert word in verdict.message


def by_hand(score, overlap, predicted_iou):
    total = ((1 - predicted_iou) ** 2).mean()
    for k in range(len(score)):
        label = float(overlap[k] * predicted_iou[k] > 0.5)
        total = total + 4 * binary_cross_entropy(score[k].sigmoid(), torch.tensor(label)) / len(score)
    return total


def in_double(score, overlap, predicted_iou):
    label = (overlap * predicted_iou.detach() > 0.5).double()
    return ((1 - predicted_iou) ** 2).mean() + 4 * binary_cross_entropy_with_logits(score.double(), label)


def soft(score, overlap, predicted_iou):
    label = (overlap * predicted_iou).detach()
    return ((1 - predicted_iou) ** 2).mean() + 4 * binary_cross_entropy_with_logits(score, label)


def detached_everywhere(score, overlap, predicted_iou):
    fit = predicted_iou.detach()
    return ((1 - fit) ** 2).mean() + 4 * binary_cross_entropy_with_logits(score, (overlap * fit > 0.5).float())


def without_score(score, overlap, predicted_iou):
    return by_hand(score.detach(), overlap, predicted_iou)


def tied(score, overlap, predicted_iou):
    label = (overlap * predicted_iou.detach() >= 0.5).float()
    return ((1 - predicted_iou) ** 2).mean() + 4 * binary_cross_entropy_with_logits(score, label)


def without_factor(score, overlap, predicted_iou):
    label = (overlap * predicted_iou.detach() > 0.5).float()
    return ((1 - predicted_iou) ** 2).mean() + binary_cross_entropy_with_logits(score, label)


def test_the_mended_loss():
    assert judge("mended_loss", by_hand).done is True
    assert judge("mended_loss", in_double).done is True
    assert judge("mended_loss", patients.healthy_loss).done is True
    wrong = {patients.loss_e: "E's own", soft: "it is soft", without_factor: "the value is not", tied: "strict"}
    wrong |= {detached_everywhere: "predicted_iou is not trained", without_score: "score is not trained"}
    wrong |= {(lambda s, o, p: 1.0): "one number through which", (lambda s, o, p: s): "one number through which"}
    for function, word in wrong.items():
        verdict = judge("mended_loss", function)
        assert verdict.done is False
        assert word in verdict.message


def test_the_folded_solutions_are_right():
    order = [
        "patient_a",
        "patient_d",
        "patient_f",
        "patient_b",
        "patient_c",
        "mended_update",
        "patient_e",
        "mended_loss",
    ]
    assert set(order) == set(EXERCISES)
    check_solutions("11_bug_hunt", order, judge, lambda _: {}, lambda: {"torch": torch})


def test_every_control_of_the_examination():
    panel = panels.examination(SHAPES)
    for name in panel.states:
        panel.show(name)
        assert panel.error == ""
    for situation in panels.SITUATIONS:
        panel.controls["situation"].value = situation
        for threshold in (0.1, 0.9):
            panel.controls["threshold"].value = threshold
            assert panel.error == ""
    assert "positives above 0.9" in panel.describe(panel.numbers)


def test_the_figures_draw():
    found = {"E": study.small_training(patients.loss_e, steps=3)}
    for figure in (
        figures.beside(maps("A"), "A"),
        figures.suppressed(study.rider(), SCENE_CLASSES),
        figures.courses(study.weight_course(), 10),
        figures.trainings(found),
    ):
        assert isinstance(figure, Figure)


def test_the_names_of_all_detections_can_be_read():
    figure = figures.suppressed(study.rider(), SCENE_CLASSES)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for ax, count in zip(figure.axes, (5, 2, 3), strict=True):
        shown = [text.get_window_extent(canvas.get_renderer()) for text in ax.texts]
        assert len(shown) == count
        assert not [pair for pair in combinations(shown, 2) if pair[0].overlaps(pair[1])]
        assert all(ax.bbox.y1 >= name.y1 for name in shown), "below the title"


def test_a_name_that_is_missing_is_named():
    def pasted(score, overlap, predicted_iou):
        return no_such_name(score)  # pyright: ignore[reportUndefinedVariable]

    said = str(judge("mended_loss", pasted))
    assert "it stops in line 2, `return no_such_name(score)" in said
    assert "NameError: name 'no_such_name' is not defined." in said
