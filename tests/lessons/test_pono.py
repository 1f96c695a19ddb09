"""Notebook 02: its figures, its panels with every control at both ends, and its exercises."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from drawing import drive
from exercises import check_solutions
from matplotlib.figure import Figure

from lapnet_core.anchors import anchor_boxes
from lapnet_core.assign import assign
from lapnet_core.data.box_table import BoxTable
from lapnet_lab.coverage import SideBins, object_coverage
from lapnet_lab.lessons.pono import figures, study
from lapnet_lab.lessons.pono.exercises import EXERCISES, check, judge
from lapnet_lab.lessons.pono.panels import save_ao_panel, shift_panel
from lapnet_lab.lessons.pono.study import shifted_object

IMAGE = torch.randint(0, 255, (3, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
BOXES = torch.tensor([[8.0, 8.0, 30.0, 40.0], [20.0, 12.0, 60.0, 60.0]])
MAPS = torch.linspace(0, 1, 2 * 3 * 96).view(2, 3, 8, 12)
OWNERS = torch.tensor([-1, 0, 1]).repeat(64).view(2, 8, 12)
POINTS = torch.tensor([[12.0, 20.0], [28.0, 20.0]])
QUARTILES = torch.tensor([[0.0, 1, 2], [torch.nan] * 3])
BINS = SideBins(
    torch.tensor([0.0, 8, 16]), torch.tensor([4, 0]), torch.tensor([1, 0]), torch.tensor([0, 0]), torch.tensor([0, 0]),
    QUARTILES, QUARTILES + 1,
)  # fmt: skip
LAID = anchor_boxes(torch.tensor([[[8.0, 20], [16, 40]]]), (8, 12))[0]
GROUPS = {"small": [0.5, 1.0], "large": [0.0, 0.25]}

CASES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "anchors": (figures.anchors_on_grid, (IMAGE, LAID, [(2, range(4)), (0, [1])], ("a", "b"), (0, 0, 40, 40))),
    "grid": (figures.overlap_grid, (IMAGE, MAPS, [BOXES, BOXES[:1], BOXES[:0]], ("r", "s"), ("a", "b", "c"))),
    "grid with stars": (figures.overlap_grid, (IMAGE, MAPS[:1, :1], [BOXES], [""], ["a"], [POINTS], (0, 0, 40, 40))),
    "clusters": (figures.cluster_row, (IMAGE, OWNERS, [BOXES, BOXES], ("a", "b"), [POINTS, POINTS[:0]])),
    "strip": (figures.strip, (torch.tensor([[2.0, 0, 12, 8]]), torch.tensor([[0.0, 0, 8, 8], [8, 0, 16, 8]]))),
    "by side": (figures.coverage_by_side, (BINS, "t")),
    "over factor": (
        figures.coverage_over_factor, ([0.5, 2], {"AO": [0.2, 1], "PONO": [0, 0]}, {"AO": [1, 0], "PONO": [2, 9]}, "x"),
    ),
    "over shift": (figures.coverage_over_shift, ([0, 4], [1, 0.4], {"AO": [1, 0], "PONO": [1, 4]}, "t")),
    "over threshold": (figures.coverage_over_threshold, ([0.3, 0.5], GROUPS, GROUPS, {"small": 5, "large": 80})),
    "iou": (figures.iou_of_positives, ({"small": torch.tensor([0.12, 0.13, 0.6, 1]), "large": torch.zeros(0)},)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_figure_renders(name: str) -> None:
    draw, arguments = CASES[name]
    figure = draw(*arguments)
    assert isinstance(figure, Figure)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    assert len(file.getvalue()) > 2000


def test_figures_show_the_numbers_that_they_are_given() -> None:
    left, right = figures.coverage_by_side(*CASES["by side"][1]).axes
    assert [bar.get_height() for bar in left.patches] == [25, 0, 0, 0]  # 1 of 4; no object, no share
    assert [text.get_text() for text in left.texts] == ["1", "0", "0", "0"]
    assert [label.get_text() for label in left.get_xticklabels()] == ["0–8\n4", "8–16\n0"]
    assert right.get_yscale() == "symlog"
    left, right = figures.coverage_over_factor(*CASES["over factor"][1]).axes
    assert [list(np.asarray(line.get_ydata())) for line in left.lines] == [[20, 100], [0, 0]]
    assert [list(np.asarray(line.get_ydata())) for line in right.lines] == [[1, 0], [2, 9]]
    steps = figures.iou_of_positives(*CASES["iou"][1]).axes[0].patches
    shares = np.asarray(steps[0].get_data().values)
    assert shares[[2, 12, 19]].tolist() == [50, 25, 25]
    assert shares.sum() == 100
    assert not np.any(steps[1].get_data().values)
    few, one = figures.anchors_on_grid(*CASES["anchors"][1]).axes
    corners = {patch.get_xy() for patch in few.patches}  # centres at (4, 20), (12, 20), ...
    assert corners == {(8 * k, 10) for k in range(4)}
    assert {patch.get_xy() for patch in one.patches} == {(4, -16)}
    first, second = figures.cluster_row(*CASES["clusters"][1]).axes
    shown = np.ma.asarray(first.images[1].get_array())
    assert shown.mask.sum() == 32  # nobody's anchors are left out
    assert len(first.lines) == 1
    assert len(second.lines) == 1


@pytest.mark.slow
def test_the_shift_panel_at_all_its_ends() -> None:
    panel = shift_panel()
    assert panel.error == ""
    said = drive(
        panel,
        {"width": [4, 16, 96], "height": [4, 96], "factor": [0.5, 1.0, 2.0], "direction": ["to the right", "down"]},
    )
    assert "none at 3 of 9 places" in said["width", 16]
    assert "PONO: 1 to 4 positives, none at 0" in said["width", 16]
    # An anchor of twice the sides has a quarter of the IoU wherever the object lies inside it.
    assert "Best IoU 0.25 to 0.25" in said["factor", 2.0]
    assert "none at 9 of 9" in said["factor", 2.0]
    assert said["direction", "to the right"] == said["direction", "down"]  # a square object, a square grid
    assert len(set(said.values())) == 6  # 4 x 16 px is as 16 x 4 px, and the two directions are the same
    # A panel that is displayed carries its text and a picture.
    bundle = panel._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert data["text/plain"] == panel.describe(panel.numbers)


@pytest.fixture(scope="module")
def table() -> BoxTable:
    """Twenty images with an object of 8, 12, ... 84 px each, displaced by a pixel more in each."""
    side = torch.arange(20.0) * 4 + 8
    corner = torch.arange(20.0)[:, None].expand(20, 2) + 20
    boxes = torch.cat((corner, corner + side[:, None]), 1)
    return BoxTable(boxes, torch.zeros(20, dtype=torch.int64), torch.arange(20), ("thing",), 20, dropped=0)


@pytest.mark.slow
def test_the_panel_that_turns_ao_s_screws(table: BoxTable) -> None:
    shapes = torch.tensor([[[12.0, 12], [24, 24], [48, 48]]])
    panel = save_ao_panel(table, shapes, (128, 128), [0, 16, 48, 128])
    assert panel.error == ""
    missed = {}
    for name, values in {"threshold": [0.1, 0.5, 0.7], "stride": [4, 8, 16], "factor": [0.5, 1.0, 2.0]}.items():
        first = panel.controls[name].value
        for value in values:
            panel.controls[name].value = value
            assert panel.error == "", (name, value)
            missed[name, value] = int(panel.numbers.missed_ao.sum())
            assert int(panel.numbers.missed_pono.sum()) == 0
        panel.controls[name].value = first
    assert missed["threshold", 0.1] == 0 < missed["threshold", 0.5] < missed["threshold", 0.7]
    assert missed["stride", 4] <= missed["stride", 8] <= missed["stride", 16]
    for factor in (0.5, 1.0, 2.0):
        assert missed["factor", factor] == int(object_coverage(table, factor * shapes, (16, 16)).missed_ao.sum())
    assert missed["factor", 0.5] > missed["factor", 1.0] == missed["threshold", 0.5]
    panel.controls["threshold"].value = 0.7
    assert f"AO misses {missed['threshold', 0.7]} " in panel.text.value
    assert "<pre" in panel.text.value


# ---- study ----------------------------------------------------------------------------------------------------------


def test_the_first_images_are_assigned_as_they_are_alone(table: BoxTable) -> None:
    first = study.first_images(table, 3)
    assert (len(first.boxes), first.num_images) == (3, 3)
    whole, part = (object_coverage(each, torch.tensor([[[24.0, 24]]]), (16, 16)) for each in (table, first))
    assert torch.equal(whole.ao_peak[:3], part.ao_peak)


def test_one_map_in_numbers() -> None:
    """A row of five cells, worked by hand in the notebook."""
    found = assign(SQUARE, (1, 5), ROW, torch.zeros(3, dtype=torch.int64))
    assert study.clusters_and_positives(found) == ([1, 2, 1], [1, 2, 1])
    assert study.peak_points(found)[0].tolist() == [[4, 4], [20, 4], [36, 4]]
    assert torch.equal(study.all_peaks([found])[0], study.peak_points(found)[0])
    assert study.best_owners([found, found]).tolist() == [[[0, 1, 1, -1, 2]]] * 2
    lines = study.table_by_hand(anchor_boxes(SQUARE, (1, 5))[0, 0, 0], ROW, found).splitlines()
    assert lines[0].split()[:6] == ["anchor", "IoU", "with", "object", "0,", "1,"]
    assert lines[2].split() == ["1", "0.250", "0.375", "0.000", "1", "0.656"]
    assert lines[4].split() == ["3", "0.000", "0.000", "0.000", "nobody", "0.000"]


def test_the_best_shape_of_a_cell_decides_whose_it_is() -> None:
    found = assign(SHAPES[None], (16, 16), PEOPLE, torch.zeros(3, dtype=torch.int64))
    owners = study.best_owners([found])[0]
    for row, column in ((6, 5), (9, 5), (12, 5), (0, 15)):
        best = found.overlap[0, 0, :, row, column].argmax()
        assert owners[row, column] == found.object_index[0, 0, best, row, column]
    points = study.peak_points(found)
    assert len(points) == 3
    assert sum(map(len, points)) >= 3


def test_what_ao_and_pono_do_to_groups(table: BoxTable) -> None:
    shapes = torch.tensor([[[12.0, 12], [24, 24], [48, 48]]])
    whole = object_coverage(table, shapes, (16, 16), ao_thresholds=(0.3, 0.7))
    turned = [whole.with_ao_threshold(threshold) for threshold in (0.3, 0.7)]
    groups = study.size_groups(whole.side)
    assert [int(which.sum()) for which in groups.values()] == [2, 8, 10]
    found = study.by_group(turned, groups)
    for name, which in groups.items():
        assert found.missed[name] == [one.missed_ao[which].float().mean().item() for one in turned]
        assert found.positives[name] == [one.ao_positives[which].float().median().item() for one in turned]
        assert found.pono[name] == whole.pono_positives[which].float().median()
    assert study.shares_missed(turned)["PONO"] == [0, 0]
    assert study.median_positives([whole])["PONO"] == [whole.pono_positives.float().median()]


def test_the_corners_of_eq_1() -> None:
    titles, pairs, rescues = study.corner_cases(PERSON)
    assert len(titles) == len(pairs) == len(rescues) == 4
    found = [assign(SHAPES[None], (32, 32), pair, torch.tensor([0, 0]), rescue=rescue)
             for pair, rescue in zip(pairs, rescues, strict=True)]  # fmt: skip
    assert [one.rescued.tolist() for one in found] == [[False, True], [False, True], [False, False], [False, False]]
    positives = [study.clusters_and_positives(one)[1] for one in found]
    assert positives[0][1] == 0
    assert positives[1] == [positives[0][0] - 1, 1]
    assert positives[3][0] == positives[3][1]
    assert bool((pairs[2][1] <= pairs[2][0]).all())
    lines = study.corners_in_words(titles, found).splitlines()
    assert lines[1].startswith(titles[1])
    assert lines[1].endswith(f"positives {positives[1]}, rescued [False, True]")


def test_who_lies_inside_another() -> None:
    boxes = torch.tensor([[0.0, 0, 20, 20], [5, 5, 10, 10], [5, 5, 10, 10], [15, 15, 25, 25], [5, 5, 10, 10]])
    images, labels = torch.tensor([0, 0, 0, 0, 1]), torch.tensor([0, 0, 1, 0, 0])
    crowd = BoxTable(boxes, labels, images, ("a", "b"), 2, dropped=0)
    assert study.inside_another(crowd, torch.ones(5, dtype=torch.bool)).tolist() == [False, True, False, False, False]
    assert not study.inside_another(crowd, torch.zeros(5, dtype=torch.bool)).any()


# ---- exercises -------------------------------------------------------------------------------------------------------

SHAPES = torch.tensor([[8.0, 20], [16, 40], [40, 90]])
PEOPLE = torch.tensor([[40.0, 40, 50, 64], [47, 41, 57, 66], [20, 30, 70, 120]])
PERSON = torch.tensor([[40.0, 24, 90, 130]])
ROW = torch.tensor([[0.0, 0, 12, 8], [10, 0, 24, 8], [33, 2, 37, 6]])
SQUARE = torch.tensor([[[8.0, 8.0]]])
GIVEN: dict[str, dict[str, Any]] = {
    "by_hand": {"objects": ROW, "anchors": anchor_boxes(SQUARE, (1, 5))[0, 0, 0]},
    "safe_side": {},
}


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize("answer", ["x", [], {}, object(), torch.zeros(3), -5, 0, 1e9, float("nan"), (1, 2, 3), True])
def test_anything_at_all_gets_a_sentence(name: str, answer: Any) -> None:
    verdict = judge(name, answer, **GIVEN[name])
    assert verdict.done is False
    assert len(verdict.message) > 15


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ([0.667, 0.375, 0.571, 0, 0.25], "by what does eq. 1 divide"),
        ([1, 0.656, 1, 1, 1], "anchor 3 overlaps nobody"),
        ([1, 0.375, 1, 0, 1], "anchor 1 is the first that is off"),
        ([1, 0.64, 1, 0, 1], "anchor 1 is the first that is off"),
        ([1, 1, 0, 1], "the O of 5 anchors, a list of numbers; what came has the shape (4,)"),
    ],
)
def test_an_o_by_hand_that_is_off_is_told(answer: list[float], word: str) -> None:
    verdict = judge("by_hand", answer, **GIVEN["by_hand"])
    assert verdict.done is False
    assert word in verdict.message


def test_two_digits_by_hand_are_enough() -> None:
    assert judge("by_hand", [1, 0.66, 1, 0, 1], **GIVEN["by_hand"]).done is True


def test_the_safe_side_as_the_task_asks_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert "square root" in judge("safe_side", 4 / (1 - 2 / 3)).message
    check("safe_side", None)
    assert capsys.readouterr().out.startswith("Not yet: ")
    exact = 4 / (1 - (2 / 3) ** 0.5)
    assert all(
        judge("safe_side", side).done for side in (exact, 21.75, float(f"{exact:.{EXERCISES['safe_side'].digits}g}"))
    )
    assert judge("safe_side", 22.1).done is False


def test_wrong_sides_are_told_apart() -> None:
    assert "x only" in judge("safe_side", 12).message
    assert "half a cell" in judge("safe_side", 43.6).message
    assert "is 0.391" in judge("safe_side", 16).message
    assert "is 0.503; you want 0.500" in judge("safe_side", 22).message


def test_the_safe_side_is_what_a_search_finds() -> None:
    """The formula of the solution, against moving squares over a cell in half pixels."""
    steps = torch.arange(9.0)
    everywhere = torch.cartesian_prod(steps, steps)
    for side, lost in ((14, True), (18, True), (21, True), (22, False), (26, False)):
        found = shifted_object((side, side), everywhere, torch.tensor([[float(side)] * 2]), grid_size=(8, 8))
        assert bool(found.missed_ao.any()) == lost, side
        assert bool(found.missed_ao[everywhere.tolist().index([4, 4])]) == lost  # the corner of four cells


def test_the_solutions_in_the_notebook_are_right() -> None:
    check_solutions("02_pono", EXERCISES, judge, lambda name: GIVEN[name])
