"""Notebook 00: what its figures show is what the core computed; its exercises tell right answers from wrong ones."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from drawing import draws_and_leaves_everything_else_alone
from exercises import NOTEBOOKS, check_solutions
from matplotlib.figure import Figure

from lapnet_core.anchors import anchor_boxes
from lapnet_core.assign import assign
from lapnet_core.method import LapNetMethod
from lapnet_core.model import LapNet
from lapnet_lab import pictures
from lapnet_lab.lessons.start import figures, panels, study
from lapnet_lab.lessons.start.exercises import EXERCISES, check, judge

IMAGE = torch.randint(0, 255, (3, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
BOXES = torch.tensor([[8.0, 8.0, 30.0, 40.0], [20.0, 12.0, 60.0, 60.0]])
LABELS = torch.tensor([0, 1])
NAMES = ("person", "traffic_light")
SHAPES = torch.tensor([[[8.0, 16.0], [16.0, 32.0]], [[20.0, 10.0], [40.0, 20.0]]])
MAP = torch.linspace(0, 1, 96).view(8, 12)
POINTS = torch.tensor([[12.0, 20.0], [28.0, 20.0], [36.0, 44.0]])
OWNERS, KEPT = torch.tensor([0, 0, 1]), torch.tensor([True, False, True])
LOG = [{"step": s, "loc": 1 / s, "cls": 2 / s, "predicted_iou": 1 - 1 / s} for s in range(1, 41)]
FOUND = {"boxes": BOXES, "labels": LABELS, "scores": torch.tensor([0.9, 0.4])}
NOTHING = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
WEIGHTS = {"one": torch.rand(2, 2) + 0.1, "two": torch.rand(2, 2) + 0.1}

# Figures

CASES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "gallery": (pictures.gallery, ([IMAGE, IMAGE], {"before": [NOTHING, NOTHING], "after": [FOUND, NOTHING]}, NAMES)),
    "one anchor": (figures.one_anchor, (IMAGE, (2, 3), BOXES, [0.2, 0.7], BOXES[0], 8)),
    "anchor apart": (figures.one_anchor, (IMAGE, (2, 3), BOXES[:1] + 60, [0.0], BOXES[0], 8)),
    "maps": (
        figures.map_strip,
        (IMAGE, [MAP, MAP], ("a", "b", "c"), BOXES, [POINTS, POINTS[:0]], [None, None, (0, 0, 20, 20)]),
    ),
    "maps alone": (figures.map_strip, (IMAGE, [MAP], ("a", "b"))),
    "pono": (figures.pono_story, (IMAGE, BOXES, BOXES, torch.full((8, 12), -1), MAP, MAP, POINTS[:2])),
    "ambiguity": (figures.ambiguity, (IMAGE, BOXES, {"all": (POINTS, OWNERS, KEPT), "none": (POINTS[:0], [], [])})),
    "missed": (figures.missed_by_area, ([0, 8, 16], [4, 0], [1, 0])),
    "losses": (figures.loss_curves, (LOG, 100)),
    "first losses": (figures.loss_curves, (LOG[:1],)),
    "precision": (figures.precision_by_class, (NAMES, [0.5, float("nan")], [3, 0], "mAP")),
    "weights": (figures.weights_vs_area, (SHAPES, WEIGHTS, NAMES)),
}


@pytest.mark.parametrize("name", CASES)
def test_draws_and_leaves_everything_else_alone(name: str) -> None:
    draws_and_leaves_everything_else_alone(*CASES[name])


def test_excused_anchors_are_crosses() -> None:
    axes = figures.ambiguity(IMAGE, BOXES, {"all": (POINTS, OWNERS, KEPT)}).axes
    drawn = {line.get_marker(): len(np.asarray(line.get_xdata())) for line in axes[1].lines}
    assert drawn == {"x": 1, "o": 1, "s": 1}


def test_weights_are_drawn_against_the_area() -> None:
    ax = figures.weights_vs_area(SHAPES, WEIGHTS, NAMES).axes[0]
    assert [line.get_label() for line in ax.lines] == ["person", "traffic light"]
    np.testing.assert_allclose(ax.lines[1].get_xdata(), [200, 800])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), WEIGHTS["one"][1])


# Numbers


def test_classes_are_counted_by_name() -> None:
    assert study.counts(torch.tensor([1, 1, 0, 1]), ("dog", "cat", "bus")) == {"dog": 1, "cat": 3, "bus": 0}
    assert study.counts(torch.zeros(0, dtype=torch.int64), ("dog",)) == {"dog": 0}


def test_centres_are_those_of_the_anchor_boxes() -> None:
    at = assign(SHAPES, (8, 12), BOXES, LABELS).positives()
    assert len(at.row) > 3
    grid = anchor_boxes(SHAPES, (8, 12))[at.label, at.anchor, at.row, at.column]
    assert torch.equal(study.centers(at), (grid[:, :2] + grid[:, 2:]) / 2)


def test_pono_maps_show_the_best_anchor_of_each_cell() -> None:
    labels = torch.zeros(2, dtype=torch.int64)
    plain, pono = (assign(SHAPES[:1], (8, 12), BOXES, labels, overlap=kind) for kind in ("ao", "pono"))
    maps = study.pono_maps(plain, pono)
    for row in range(8):
        for column in range(12):
            ranked = pono.overlap[0, 0, :, row, column].tolist()
            assert maps.pono[row, column] == max(ranked)
            assert maps.overlap[row, column] == max(plain.overlap[0, 0, :, row, column].tolist())
            assert maps.clusters[row, column] == pono.object_index[0, 0, ranked.index(max(ranked)), row, column]
    ones = (pono.overlap[0, 0] > 0.9999).nonzero().tolist()
    assert {tuple(star) for star in maps.peaks.tolist()} == {(8.0 * c + 4, 8.0 * r + 4) for _, r, c in ones}
    assert {0, 1} <= set(maps.clusters.unique().tolist())


def test_sides_fall_into_their_bins() -> None:
    sizes = torch.tensor([[2.0, 2], [8, 8], [4, 16], [16, 16], [20, 20], [300, 300]])
    missed = torch.tensor([True, True, False, False, True, False])
    found = study.by_side(sizes, missed, (4, 8, 16, 256))
    assert found.total.tolist() == [1, 2, 3]
    assert found.missed.tolist() == [1, 1, 1]


class Told(LapNetMethod):
    """One that has its n-th losses ready."""

    told = 0

    def progress(self) -> dict[str, float]:
        self.told += 1
        return {"loc": self.told, "cls": 2 * self.told, "predicted_iou": 1 / self.told, "reg": 0.0}


class Place:
    """Where a notebook would show something."""

    def __init__(self) -> None:
        self.shown: list[Any] = []

    def update(self, figure: Any) -> None:
        self.shown.append(figure)


@pytest.mark.parametrize(("steps", "drawn"), [(40, 10), (3, 3)])
def test_live_losses_note_every_step_and_draw_now_and_then(
    monkeypatch: pytest.MonkeyPatch, steps: int, drawn: int
) -> None:
    place, started = Place(), []
    monkeypatch.setattr(panels, "display", lambda text, display_id: started.append(text) or place)
    watch, method = panels.LiveLosses(steps), Told(LapNet(1, 1), torch.ones(1, 1, 2))
    for step in range(1, steps + 1):
        watch(step, method)
    assert started == ["the first steps ..."]
    assert [line["step"] for line in watch.log] == list(range(1, steps + 1))
    assert watch.log[1] == {"step": 2, "loc": 2, "cls": 4, "predicted_iou": 0.5, "reg": 0.0}
    assert len(place.shown) == drawn
    assert all(isinstance(figure, Figure) for figure in place.shown)


# Exercises


GIVEN = {"cell_center": {"row": 3, "column": 5}, "least_fit": {"overlap": 0.8}}
RIGHT = {"cell_center": (44, 28), "least_fit": 0.625}


@pytest.mark.parametrize("name", EXERCISES)
def test_right_answers_pass(name: str) -> None:
    verdict = judge(name, RIGHT[name], **GIVEN[name])
    assert verdict.done is True
    assert str(verdict).startswith("Correct: ")


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize("stub", [None, ...])
def test_a_stub_is_not_yet_done(name: str, stub: Any, capsys: pytest.CaptureFixture[str]) -> None:
    check(name, stub, **GIVEN[name])
    assert capsys.readouterr().out.startswith("Not yet: ")


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize(
    "answer",
    [
        "twelve",
        [],
        {},
        object(),
        torch.zeros(3, 3, 3),
        float("nan"),
        [None, 1],
        lambda x: x,
        (1, 2, 3),
        -5,
        True,
        "",
        {1},
    ],
)
def test_anything_at_all_gets_a_sentence(name: str, answer: Any) -> None:
    verdict = judge(name, answer, **GIVEN[name])
    assert verdict.done is False
    assert len(verdict.message) > 15


def test_wrong_answers_are_told_apart() -> None:
    cell = GIVEN["cell_center"]
    assert "wrong order" in judge("cell_center", (28, 44), **cell).message
    assert "corner" in judge("cell_center", (40, 24), **cell).message
    for in_cells in ((5, 3), (5.5, 3.5), (3.5, 5.5)):
        assert "how many pixels" in judge("cell_center", in_cells, **cell).message
    assert "below" in judge("least_fit", 0.5, overlap=0.8).message
    assert "above" in judge("least_fit", 0.8, overlap=0.8).message


def test_two_digits_are_enough() -> None:
    assert all(judge("least_fit", value, overlap=0.8).done for value in (0.62, 0.625, 0.63))
    assert not any(judge("least_fit", value, overlap=0.8).done for value in (0.61, 0.64))


def test_unknown_exercises_and_missing_inputs_do_not_raise() -> None:
    assert "cell_center" in judge("nonsense", 1).message
    assert judge("cell_center", (44, 28)).done is False


def test_the_solutions_in_the_notebook_are_right() -> None:
    check_solutions("00_start_here", EXERCISES, judge, lambda name: GIVEN[name])


def test_the_glossary_is_found_from_both_notebooks() -> None:
    """`lapnet_lab/open.py` makes it the one that lies beside her copies."""
    for path in (NOTEBOOKS / "00_start_here.ipynb", NOTEBOOKS / "solved" / "00_start_here.ipynb"):
        (link,) = set(re.findall(r"\(([./]+docs/glossary\.md)\)", path.read_text("utf-8")))
        assert (path.parent / link).is_file()


def test_the_way_on_names_every_notebook() -> None:
    start = NOTEBOOKS / "00_start_here.py"
    way_on = start.read_text("utf-8").partition("## Where to go next")[2]
    others = {path.stem for path in NOTEBOOKS.glob("[0-9]*.py")} - {start.stem}
    assert len(others) >= 12
    assert set(re.findall(r"\[(\w+)\]\(\1\.ipynb\)", way_on)) == others
