"""Notebook 03: ambiguity and AMS. Analyses against slow loops, figures, panels through their controls, exercises."""

import io
from dataclasses import replace
from itertools import pairwise
from typing import Any

import oracles
import pytest
import torch
from exercises import check_solutions, code_in_folds
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from strategies import scenes
from torchvision import tv_tensors

from lapnet_core.assign import Positives, ams_labels, assign
from lapnet_core.boxes import paired_iou
from lapnet_core.config import TrainConfig
from lapnet_core.losses import LapNetLoss
from lapnet_core.model import LapNet
from lapnet_core.options import LapNetOptions
from lapnet_core.train import train
from lapnet_lab import mine
from lapnet_lab.lessons.ambiguity import figures, study
from lapnet_lab.lessons.ambiguity.exercises import EXERCISES, check, judge
from lapnet_lab.lessons.ambiguity.panels import approach_panel, training_panel, two_people
from lapnet_lab.lessons.ambiguity.study import (
    AMBIGUOUS,
    alike,
    ambiguity_ratio,
    anchor_boxes_at,
    as_batch,
    ask,
    count_ambiguity,
    equal_overlap,
    halfway,
    higher_if_rejected,
    known_scenes,
    labelled,
    per_object,
    rejection_rates,
    spread_points,
    train_recorded,
)

SHAPES = torch.stack((torch.linspace(16, 60, 10), torch.linspace(40, 150, 10)), -1)[None]
IMAGE = torch.randint(0, 255, (3, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


# The ratio.


# The scenes.


def test_the_known_scenes_are_drawn_at_the_size_of_the_network() -> None:
    known = known_scenes((64, 96))
    assert list(known) == ["a hug", "a tight hug", "four people", "a crowd"]
    batch = as_batch(known.values(), (64, 96))
    assert batch.images.shape == (4, 3, 64, 96)
    assert not torch.equal(batch.images[0], batch.images[1])
    for target, (_, own) in zip(batch.targets, known.values(), strict=True):
        assert torch.equal(target["boxes"], own["boxes"])
        assert (own["labels"] == 0).sum() >= 2


@settings(max_examples=40)
@given(scenes())
def test_the_ratio_is_that_of_slow_loops(scene: Any) -> None:
    at = assign(*scene.args()).positives()
    ratio = ambiguity_ratio(at, scene.shapes, scene.boxes, scene.labels, scene.images)
    anchors = anchor_boxes_at(at, scene.shapes)
    for p in range(len(at.flat)):
        own = int(at.object_index[p])
        box = oracles.anchor_box(scene.shapes[at.label[p], at.anchor[p]].tolist(), int(at.row[p]), int(at.column[p]))
        assert anchors[p].tolist() == pytest.approx(list(map(float, box)))
        rivals = [
            oracles.iou(box, scene.boxes[n].tolist())
            for n in range(len(scene.boxes))
            if n != own and scene.labels[n] == scene.labels[own] and scene.images[n] == scene.images[own]
        ]
        mine, best = oracles.iou(box, scene.boxes[own].tolist()), max(rivals, default=0)
        assert ratio[p].item() == pytest.approx(1.0 if best >= mine else best / mine, abs=1e-5)


def test_the_ratio_by_hand() -> None:
    shapes = torch.tensor([[[16.0, 16.0]]])
    boxes = torch.tensor([[0.0, 0.0, 16.0, 16.0], [4.0, 0.0, 20.0, 16.0]])
    at = assign(shapes, (3, 3), boxes, torch.tensor([0, 0])).positives(0.999)
    ratio = ambiguity_ratio(at, shapes, boxes, torch.tensor([0, 0]))
    # The anchor at (12, 4) is [4, 20] x [-4, 12]: of box 1 it shares 16 x 12, of box 0 12 x 12.
    assert ratio[(at.object_index == 1) & (at.column == 1) & (at.row == 0)].tolist() == pytest.approx(
        [(144 / 368) / (192 / 320)]
    )
    assert per_object(at, 2) == at.object_index.bincount(minlength=2).tolist()
    assert per_object(at, 2, torch.ones(len(ratio))) == per_object(at, 2)
    assert per_object(at, 3, torch.full((len(ratio),), 0.79)) == [0, 0, 0]
    alone = ambiguity_ratio(assign(shapes, (3, 3), boxes[:1], torch.tensor([0])).positives(), shapes, boxes[:1],
                            torch.tensor([0]))  # fmt: skip
    assert set(alone.tolist()) == {0.0}


def test_other_classes_and_other_images_are_no_rivals() -> None:
    shapes = torch.full((2, 1, 2), 16.0)
    boxes = torch.tensor([[0.0, 0.0, 16.0, 16.0], [1.0, 0.0, 17.0, 16.0]])
    same, other = torch.tensor([0, 0]), torch.tensor([0, 1])
    for labels, images, rivals in ((same, same, True), (other, same, False), (same, other, False)):
        at = assign(shapes, (3, 3), boxes, labels, images, 2).positives()
        assert bool((ambiguity_ratio(at, shapes, boxes, labels, images) > 0).any()) is rivals


def test_a_rescued_anchor_is_fully_ambiguous() -> None:
    boxes = two_people(0, 0)
    found = assign(SHAPES, (32, 32), boxes, torch.tensor([0, 0]))
    at = found.positives()
    assert found.rescued.tolist() == [False, True]
    assert ambiguity_ratio(at, SHAPES, boxes, torch.tensor([0, 0])).eq(1).all()


@settings(max_examples=40)
@given(scenes(max_images=3))
def test_counting_does_not_depend_on_the_batches(scene: Any) -> None:
    counts = count_ambiguity(scene.shapes, scene.grid, scene.boxes, scene.labels, scene.images)
    at = assign(*scene.args()).positives()
    ratio = ambiguity_ratio(at, scene.shapes, scene.boxes, scene.labels, scene.images)
    size = len(scene.boxes)
    assert counts.positives.tolist() == at.object_index.bincount(minlength=size).tolist()
    assert counts.ambiguous.tolist() == at.object_index[ratio >= AMBIGUOUS].bincount(minlength=size).tolist()
    assert 0 <= counts.share <= 1
    assert bool((counts.touched | ~counts.engulfed).all())
    # The same images far apart: numbers 0, 20, 40 fall into different chunks.
    apart = count_ambiguity(scene.shapes, scene.grid, scene.boxes, scene.labels, scene.images * 20)
    assert torch.equal(apart.ambiguous, counts.ambiguous)
    everyone = torch.ones(size, dtype=torch.bool)
    assert counts.share_among(everyone) == counts.share
    assert counts.share_among(~everyone) == 0
    assert "ambiguous" in str(counts)


def test_each_anchor_of_a_cell_has_a_place_of_its_own_in_it() -> None:
    boxes = torch.tensor([[40.0, 20.0, 90.0, 150.0]])
    at = assign(SHAPES, (32, 32), boxes, torch.tensor([0])).positives(0.2)
    points = spread_points(at)
    assert len(points.unique(dim=0)) == len(points) > 50
    assert torch.equal((points[:, 0] // 8).long(), at.column)
    assert torch.equal((points[:, 1] // 8).long(), at.row)


# Numbers about the rejection.


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 2)), max_size=14))
def test_auc_is_the_share_of_pairs(rows: list[tuple[int, bool, int]]) -> None:
    values = torch.tensor([float(row[0]) for row in rows])
    kept = torch.tensor([row[1] for row in rows], dtype=torch.bool)
    groups = torch.tensor([row[2] for row in rows], dtype=torch.int64)
    for stratum in (None, groups):
        won = [
            (a[0] > b[0]) + 0.5 * (a[0] == b[0])
            for a in rows
            for b in rows
            if not a[1] and b[1] and (stratum is None or a[2] == b[2])
        ]
        found = higher_if_rejected(values, kept, stratum)
        assert found == pytest.approx(sum(won) / len(won)) if won else found != found


def test_rejection_rates_by_hand() -> None:
    overlap = torch.tensor([0.55, 0.60, 0.61, 1.0, 1.0])
    ratio = torch.tensor([0.0, 0.8, 0.79, 1.0, 0.9])
    kept = torch.tensor([False, False, True, True, False])
    rates, numbers = rejection_rates(overlap, ratio, kept, torch.tensor([0.5, 0.6, 1.0]), torch.tensor([0.0, 0.8, 1.0]))
    assert numbers.tolist() == [[1, 1], [1, 2]]
    assert rates.tolist() == [[1.0, 0.0], [1.0, 0.5]]


def test_groups_of_the_comparison(recorded: Any) -> None:
    record = recorded[1]
    at, equal, groups = record.at, equal_overlap(record), alike(record)
    assert record.side.tolist() == pytest.approx([(b[2] - b[0]).item() for b in record.boxes])  # squares
    for group in groups.unique():
        inside = groups == group
        assert len(equal[inside].unique()) == 1
        assert float(at.overlap[inside].max() - at.overlap[inside].min()) <= 0.05
        assert len(at.label[inside].unique()) == 1
    assert (equal == torch.floor(at.overlap.double() * 20)).all()
    # 9 and 11 px are not of similar size, 11 and 15 are.
    boxes = torch.tensor([[0.0, 0, 9, 9], [0, 0, 11, 11], [0, 0, 15, 15]])
    zero = torch.zeros(3, dtype=torch.int64)
    same = Positives(*[zero] * 6, torch.arange(3), torch.ones(3))
    three = replace(record, boxes=boxes, labels=zero, image_index=zero, at=same, ratio=torch.zeros(3))
    first, second, third = alike(three).tolist()
    assert first != second == third


@given(st.floats(0.01, 0.99))
def test_the_tie_of_two_equal_boxes(iou: float) -> None:
    shift = 100 * (1 - iou) / (1 + iou)
    pair = torch.tensor([[0.0, 0.0, 100.0, 50.0], [shift, 0.0, 100 + shift, 50.0]])
    middle = pair.mean(0, keepdim=True)
    between = halfway(torch.tensor([iou]))
    assert paired_iou(pair[:1], pair[1:]).item() == pytest.approx(iou, abs=1e-5)
    assert between.item() == pytest.approx(paired_iou(middle, pair[:1]).item(), abs=1e-5)


# The record of a training.


class Pairs:
    """Two red squares that overlap, somewhere."""

    class_names = ("red",)

    def __init__(self, length: int) -> None:
        self.length, self.transform = length, None

    def __len__(self) -> int:
        return self.length

    def target(self, index: int) -> Any:
        corner = torch.randint(0, 28, (1, 2), generator=torch.Generator().manual_seed(index)).float()
        corner = torch.cat((corner, corner + 6))
        boxes = torch.cat((corner, corner + 24 + index % 3), 1)
        return {
            "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(64, 64)),
            "labels": torch.zeros(2, dtype=torch.int64),
            "difficult": torch.zeros(2, dtype=torch.bool),
            "image_id": index,
            "original_size": (64, 64),
        }

    def __getitem__(self, index: int) -> Any:
        target = self.target(index)
        image = torch.full((3, 64, 64), 90, dtype=torch.uint8)
        for x1, y1, x2, y2 in target["boxes"].int().tolist():
            image[0, y1:y2, x1:x2] = 240
        picture = tv_tensors.Image(image)
        return self.transform(picture, target) if self.transform else (picture, target)


CONFIG = TrainConfig(
    image_size=(64, 64), batch_size=2, steps=5, lapnet=LapNetOptions(anchors_per_class=3), log_every=1, lr=0.05
)


@pytest.fixture(scope="module")
def recorded() -> Any:
    watched = Pairs(40)
    return train_recorded(CONFIG, Pairs(8), [watched[30], watched[31]], every=2, progress=False)


@pytest.mark.slow
def test_recording_does_not_disturb_the_training(recorded: Any) -> None:
    plain = train(CONFIG, Pairs(8), save=False, progress=False)
    states = plain.method.model.state_dict(), recorded[0].method.model.state_dict()
    assert all(torch.equal(a, b) for a, b in zip(states[0].values(), states[1].values(), strict=True))


@pytest.mark.slow
def test_the_record_holds_what_the_loss_sees(recorded: Any) -> None:
    training, record = recorded
    assert [moment.step for moment in record.moments] == [0, 2, 4, 5]
    assert torch.equal(record.ratio, ambiguity_ratio(record.at, record.shapes, record.boxes, record.labels,
                                                      record.image_index))  # fmt: skip
    model = training.method.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    terms = ask(model, record.shapes, record.batch)
    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(terms.positives.flat, record.at.flat)
    assert torch.equal(record.moments[-1].fit, terms.predicted_overlap)
    for moment in record.moments:
        assert torch.equal(moment.kept, ams_labels(record.at.overlap, moment.fit))
        owners = set(record.at.object_index[moment.kept].tolist())
        assert record.starved(moment).tolist() == [n not in owners for n in range(len(record.boxes))]
    torch.manual_seed(CONFIG.seed)
    untrained = LapNet(1, 3)
    assert torch.equal(record.moments[0].fit, ask(untrained, record.shapes, record.batch).predicted_overlap)
    assert not torch.equal(record.moments[1].fit, record.moments[2].fit)


@pytest.mark.slow
def test_the_network_answers_as_in_training(recorded: Any) -> None:
    training, record = recorded
    model = training.method.model
    with torch.no_grad():
        outputs = model.train()(record.batch.images)
    model.eval()
    terms = LapNetLoss(1, 3, overlap="ao")(*outputs, record.shapes, record.batch.targets)
    asked = ask(model, record.shapes, record.batch, overlap="ao")
    assert torch.equal(asked.labels, terms.labels)
    assert len(asked.positives.flat) < len(record.at.flat)
    pono, last = ask(model, record.shapes, record.batch), record.moments[-1]
    assert labelled(pono).tolist() == record.at.object_index[last.kept].tolist()
    assert len(labelled(asked)) == int(asked.labels.sum())


def test_only_lapnet_has_ams() -> None:
    with pytest.raises(TypeError, match="retinanet"):
        train_recorded(replace(CONFIG, method="retinanet"), Pairs(8), [Pairs(1)[0]], every=2, progress=False)


# Figures.

BOXES = torch.tensor([[8.0, 8.0, 30.0, 40.0], [20.0, 12.0, 60.0, 60.0]])
POINTS = torch.tensor([[12.0, 20.0], [28.0, 20.0], [36.0, 44.0], [37.0, 44.0]])
OWNER = torch.tensor([0, 0, 1, 1])
RATIO = torch.tensor([0.0, 0.9, 0.5, 1.0])
KEPT = torch.tensor([True, False, True, False])
TIE = torch.linspace(0, 1, 50)
LINES = {"one": [0.1, 0.2, 0.4], "two": [0.3, 0.2, float("nan")]}
CASES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "anchors": (figures.ambiguous_anchors, (IMAGE, BOXES, POINTS, OWNER, RATIO, 0.8)),
    "no anchors": (figures.ambiguous_anchors, (IMAGE, BOXES[:0], POINTS[:0], OWNER[:0], RATIO[:0], 0.8)),
    "shares": (figures.ambiguity_shares, ([0, 0.5, 1], [3, 1], ("a_b", "c"), [0.1, 0.0])),
    "moments": (figures.ams_moments, (IMAGE, BOXES, POINTS, {"a": KEPT, "b": ~KEPT})),
    "plane": (figures.plane_and_picture, (IMAGE, BOXES, POINTS, RATIO, RATIO, RATIO, KEPT, 0.8, "step 1")),
    "lines": (figures.kept_and_fit, ([0, 5, 10], LINES, LINES)),
    "rejection": (
        figures.rejection_by_overlap,
        ([0.5, 0.6, 0.8, 1.0], LINES, {"one": [20, 9, 10], "two": [10, 10, 0]}),
    ),
    "unlabelled": (
        figures.unlabelled_by_size,
        ([4, 8, 160], torch.tensor([5.0, 8, 9]), {"a": KEPT[:3], "b": [False] * 3}),
    ),
    "approaching": (
        figures.approaching,
        (two_people(8, 0.2), POINTS, OWNER, RATIO, 0.8, [0, 4, 8], [1.0, 0.5, 0.2], 4),
    ),
    "blind spot": (figures.blind_spot, (TIE, halfway(TIE), halfway(TIE) ** 2)),
}


@pytest.mark.parametrize("name", CASES)
def test_figures_are_drawn_and_leave_their_inputs_alone(name: str) -> None:
    draw, arguments = CASES[name]
    tensors = [x for x in arguments if isinstance(x, torch.Tensor)]
    before = [x.clone() for x in tensors]
    figure = draw(*arguments)
    assert isinstance(figure, Figure)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    assert len(file.getvalue()) > 2000
    assert all(torch.equal(a, b) for a, b in zip(before, tensors, strict=True))


def drawn(ax: Any) -> dict[str, int]:
    """Marker name -> points, of the lines with a label."""
    return {line.get_label(): len(line.get_xdata()) for line in ax.lines if not line.get_label().startswith("_")}


def test_moments_mark_what_changed() -> None:
    now = torch.tensor([True, True, False, False])  # was: kept, rejected, kept, rejected
    axes = figures.ams_moments(IMAGE, BOXES, POINTS, {"a": KEPT, "b": now}).axes
    assert drawn(axes[0]) == {"kept": 2, "returned": 0, "rejected": 2, "lost": 0}
    assert drawn(axes[1]) == {"kept": 1, "returned": 1, "rejected": 1, "lost": 1}


def test_objects_are_counted_in_their_bins() -> None:
    (ax,) = figures.unlabelled_by_size(*CASES["unlabelled"][1]).axes
    assert [label.get_text() for label in ax.get_xticklabels()] == ["4 to 8\n(2)", "8 to 160\n(1)"]  # 8 px is below
    assert [bar.get_height() for bar in ax.patches] == [50, 100, 0, 0]
    assert [text.get_text() for text in ax.texts] == ["1", "1", "0", "0"]


def test_small_bins_are_left_out() -> None:
    draw, arguments = CASES["rejection"]
    assert drawn(draw(*arguments).axes[0]) == {"one": 2, "two": 2}


# Panels.


def sweep(panel: Any) -> dict[str, list[str]]:
    """Every control to its least, most and default value; what the panel says at each."""
    said: dict[str, list[str]] = {}
    for name, control in panel.controls.items():
        default = control.value
        if hasattr(control, "options"):
            every = [option[1] if isinstance(option, tuple) else option for option in control.options]
            values = [every[0], every[-1], default]
        else:
            values = [control.min, control.max, default]
        for value in values:
            control.value = value
            assert panel.error == "", (name, value)
            assert len(panel.picture.value) > 2000
            said.setdefault(name, []).append(panel.describe(panel.numbers))
    return said


@pytest.mark.slow
def test_the_approach_panel_follows_every_control() -> None:
    panel = approach_panel(SHAPES)
    start = panel.describe(panel.numbers)
    said = sweep(panel)
    assert all(texts[-1] == start for texts in said.values())
    assert {name: len(set(texts)) for name, texts in said.items()} == {"distance": 3, "smaller": 2, "limit": 3}
    assert "rescued" in said["distance"][0]
    assert "IoU of the two boxes 0.00" in said["distance"][1]

    def ambiguous(**values: float) -> int:
        numbers = panel.compute(**{**{name: c.value for name, c in panel.controls.items()}, **values})
        return int((numbers["ratio"] >= numbers["limit"]).sum())

    assert all(ambiguous(distance=a) >= ambiguous(distance=b) for a, b in pairwise((0, 24, 120)))
    assert ambiguous(distance=120) == 0
    assert ambiguous(distance=8, limit=0.5) > ambiguous(distance=8) > ambiguous(distance=8, limit=0.95)
    assert ambiguous(distance=8, smaller=40) < ambiguous(distance=8)
    bundle = panel._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert data["text/plain"] == start
    assert len(data["image/png"]) > 2000


@pytest.mark.slow
def test_the_training_panel_follows_every_control(recorded: Any) -> None:
    record = recorded[1]
    images = Pairs(40)
    panel = training_panel(record, {"first": images[30][0], "second": images[31][0]})
    said = sweep(panel)
    assert said["scene"][0].split(":")[0] == "step 4, first"
    assert "second" in said["scene"][1]
    assert [text.split(",")[0] for text in said["step"]] == ["step 0", "step 5", "step 4"]
    panel.controls["step"].value = 5
    here = record.at.image == 0
    assert f"kept {int(record.moments[-1].kept[here].sum())} of {int(here.sum())}" in panel.describe(panel.numbers)


# Exercises.

IOUS = torch.tensor([[0.60, 0.54, 0.10], [0.20, 0.25, 0.50], [0.00, 0.45, 0.00]])
TABLE: dict[str, Any] = {
    "owner": torch.tensor([0, 0, 0, 1, 1, 2, 3, 3]),
    "overlap": torch.tensor([1.0, 0.8, 0.6, 1.0, 0.9, 1.0, 1.0, 0.7]),
    "fit": torch.tensor([0.7, 0.7, 0.7, 0.4, 0.5, 0.5, 0.45, 0.7]),
}
GIVEN: dict[str, dict[str, Any]] = {
    "ambiguity_ratio": {"ious": IOUS},
    "two_limits": {"iou": 0.54, "best": 0.60},
    "starved_objects": {**TABLE, "objects": 4},
}
RIGHT: dict[str, Any] = {
    "ambiguity_ratio": [0.9, 0.5, 0.0],
    "two_limits": (0.5556, 0.9259),
    "starved_objects": 3,
}
WRONG = {
    ("ambiguity_ratio", (0.9, 1.25, 0.1)): "anchor 1",
    ("ambiguity_ratio", (1 / 0.9, 2.0, float("inf"))): "turned over",
    ("ambiguity_ratio", (0.06, 0.25, 0.45)): "difference",
    ("two_limits", (0.9259, 0.5556)): "wrong order",
    ("two_limits", (0.5556, 0.5556)): "under AO",
    ("two_limits", (0.9, 0.9259)): "under PONO",
    ("ambiguity_ratio", (1 / 3, 5 / 6, 0.2)): "the anchors of each person",
    ("starved_objects", 6): "rejected anchors",
    ("starved_objects", 4): "at least one",
    ("starved_objects", 1): "do have a label",
    ("starved_objects", 2): "strict",
    ("starved_objects", 0): "ends at the last one",
    ("starved_objects", 5): "not the right number",
}


@pytest.mark.parametrize("name", EXERCISES)
def test_right_answers_pass_and_stubs_are_not_yet_done(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert judge(name, RIGHT[name], **GIVEN[name]).done is True
    check(name, None, **GIVEN[name])
    assert capsys.readouterr().out.startswith("Not yet: ")


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize("answer", ["two", [], {}, object(), torch.zeros(3, 3), float("nan"), [None, 1], (1, 2), -5])
def test_anything_at_all_gets_a_sentence(name: str, answer: Any) -> None:
    verdict = judge(name, answer, **GIVEN[name])
    assert verdict.done is False
    assert len(verdict.message) > 15


@pytest.mark.parametrize(("name", "answer"), WRONG)
def test_wrong_answers_are_told_apart(name: str, answer: Any) -> None:
    verdict = judge(name, answer, **GIVEN[name])
    assert verdict.done is False
    assert WRONG[name, answer] in verdict.message


def test_an_answer_that_counts_the_fed_is_told() -> None:
    few = {"owner": torch.tensor([0, 1, 2]), "overlap": torch.ones(3), "fit": torch.tensor([0.9, 0.9, 0.1])}
    assert judge("starved_objects", 1, **few, objects=3).done is True
    assert "do have" in judge("starved_objects", 2, **few, objects=3).message


def test_the_columns_have_to_be_ranked() -> None:
    assert "listed first" in judge("ambiguity_ratio", [0.5, 2.0], ious=torch.tensor([[0.4, 0.2], [0.3, 0.6]])).message


def test_what_the_solution_says_passes() -> None:
    assert EXERCISES["two_limits"].digits == EXERCISES["ambiguity_ratio"].digits == 2
    assert judge("two_limits", (0.56, 0.93), **GIVEN["two_limits"]).done is True
    assert judge("two_limits", (0.55, 0.93), **GIVEN["two_limits"]).done is False
    assert judge("two_limits", (0.56, 0.92), **GIVEN["two_limits"]).done is False
    assert judge("ambiguity_ratio", (0.90, 0.50, 0), **GIVEN["ambiguity_ratio"]).done is True


def test_the_solutions_in_the_notebook_are_right() -> None:
    known = {"torch": torch, "mine": mine, "ious": IOUS, **TABLE}
    check_solutions("03_ambiguity", EXERCISES, judge, GIVEN.__getitem__, lambda: dict(known))


@pytest.mark.slow
def test_the_code_in_the_fold_runs(recorded: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = code_in_folds("03_ambiguity")
    exec(code, {"study": study, "asked": recorded[1], "kept": recorded[1].moments[-1].kept})
    assert len(capsys.readouterr().out.splitlines()) == 3
