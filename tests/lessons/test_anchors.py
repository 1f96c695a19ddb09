"""Notebook 01: k-means as steps, its study, figures, panel and exercises, and the anchor files that ship."""

import io
import math
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import oracles
import pytest
import torch
from exercises import check_solutions
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from lapnet_core import anchors
from lapnet_core.boxes import shape_iou
from lapnet_core.cli import main
from lapnet_core.config import TrainConfig
from lapnet_core.data import COCO_CLASSES, VOC_CLASSES, CocoDetection, flatten_targets
from lapnet_core.method import find_anchors
from lapnet_core.scenes import SCENE_CLASSES, Scenes
from lapnet_lab import pictures
from lapnet_lab.lessons.anchors import figures, study
from lapnet_lab.lessons.anchors.exercises import EXERCISES, judge
from lapnet_lab.lessons.anchors.panels import kmeans_panel

ROOT = Path(__file__).resolve().parents[2]
README = (anchors.ASSETS / "README.md").read_text(encoding="utf-8")
FILES = {
    "voc0712_512": ["boxes/voc0712_trainval.csv.gz", "--classes", "voc", "--one-based", "--scale", "1.024"],
    "coco_512": ["boxes/coco_val2017.csv.gz", "--classes", "coco", "--scale", "0.8"],
}


@pytest.fixture(scope="module")
def boxes() -> tuple[Tensor, Tensor]:
    """Sizes and classes of the objects of 40 scenes."""
    scenes = Scenes(40, size=(256, 256))
    found, labels, _ = flatten_targets([scenes.target(i) for i in range(40)])
    return found[:, 2:] - found[:, :2], labels


def kmeans_before_it_had_steps(sizes: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """k-means as it was written when it only returned its result: the same draws, the same sums."""
    centers = sizes[torch.randint(len(sizes), (1,), generator=generator)]
    while len(centers) < k:
        distance = (1 - shape_iou(sizes, centers)).amin(1).clamp(min=0)
        centers = torch.cat((centers, sizes[torch.multinomial(distance**2, 1, generator=generator)]))
    nearest = None
    for _ in range(300):
        iou = shape_iou(sizes, centers)
        previous, nearest = nearest, iou.argmax(1)
        if previous is not None and torch.equal(previous, nearest):
            break
        for j in range(k):
            members = sizes[nearest == j]
            centers[j] = members.mean(0) if len(members) else sizes[iou.amax(1).argmin()]
    return centers


@pytest.mark.parametrize("seed", range(8))
def test_the_last_step_is_bit_for_bit_what_kmeans_returned_before(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    few = torch.randint(1, 9, (30, 2), generator=generator).double()  # many ties, lost centres
    many = torch.rand(300, 2, generator=generator, dtype=torch.float64) * 90 + 1
    for sizes, k in ((few, 3), (few, 9), (many, 4), (many, 12)):
        expected = kmeans_before_it_had_steps(sizes, k, torch.Generator().manual_seed(seed))
        assert torch.equal(anchors.kmeans(sizes, k, torch.Generator().manual_seed(seed)), expected)


def test_every_step_is_what_the_one_before_says(boxes: tuple[Tensor, Tensor]) -> None:
    sizes, labels = boxes
    own = sizes[labels == 0].double()[:60]
    states = list(anchors.kmeans_steps(own, 4, torch.Generator().manual_seed(3)))
    assert [len(state.centers) for state in states[:4]] == [1, 2, 3, 4]
    assert len(states) > 6
    for before, after in pairwise(states[:4]):  # the seeding moves nothing, and draws boxes
        assert torch.equal(after.centers[:-1], before.centers)
        assert bool((own == after.centers[-1]).all(1).any())
    for state in states:  # each box is with the centre of its highest IoU, by plain arithmetic
        for size, chosen in zip(own.tolist(), state.nearest.tolist(), strict=True):
            ious = [oracles.centred_iou(size, center) for center in state.centers.tolist()]
            assert ious[chosen] == pytest.approx(max(ious), abs=1e-6)
    for before, after in pairwise(states[3:]):  # a centre moves to the mean of its boxes
        for j in range(4):
            members = [size for size, n in zip(own.tolist(), before.nearest.tolist(), strict=True) if n == j]
            mean = [math.fsum(side) / len(members) for side in zip(*members, strict=True)]
            assert after.centers[j].tolist() == pytest.approx(mean)
    assert torch.equal(states[-1].nearest, states[-2].nearest)
    assert not any(torch.equal(a.nearest, b.nearest) for a, b in pairwise(states[3:-1]))


def test_a_lost_centre_starts_again_at_the_box_that_is_served_worst() -> None:
    sizes = torch.tensor([[10.0, 10], [11, 11], [90, 5]])
    near = shape_iou(sizes, torch.tensor([[10.0, 10], [500, 500]]))
    assert near.argmax(1).tolist() == [0, 0, 0]
    moved = anchors.next_centers(sizes, near)
    assert moved[0].tolist() == pytest.approx([37, 26 / 3])
    assert moved[1].tolist() == [90, 5]


def test_more_centres_than_sizes_is_one_filled_state() -> None:
    sizes = torch.tensor([[4.0, 8], [4, 8], [20, 10]])
    (state,) = anchors.kmeans_steps(sizes, 5, torch.Generator())
    assert torch.equal(state.centers, anchors.kmeans(sizes, 5, torch.Generator()))
    assert (len(state.centers), state.centers[state.nearest].tolist()) == (5, sizes.tolist())
    run = study.trace(sizes, 5)
    assert (run.seeded, len(run.moves), run.average_iou.tolist()) == (0, 0, [1])


def test_a_trace_is_the_run_of_cluster_anchors(boxes: tuple[Tensor, Tensor]) -> None:
    sizes, labels = boxes
    shapes = anchors.cluster_anchors(sizes, labels, 7, 6, seed=2)
    for c in range(7):
        run = study.trace(sizes[labels == c], 6, seed=2, label=c)
        result = run.result[run.result.prod(-1).argsort(stable=True)].float()
        assert torch.equal(result, shapes[c])
        ious = [max(oracles.centred_iou(s, a) for a in run.result.tolist()) for s in sizes[labels == c].tolist()]
        assert run.average_iou[-1].item() == pytest.approx(sum(ious) / len(ious), abs=1e-5)
        assert len(run.moves) == len(run.states) - 1 - run.seeded


def test_the_mean_may_make_it_worse_and_descent_counts_that(boxes: tuple[Tensor, Tensor]) -> None:
    sizes, labels = boxes
    counted = study.descent(sizes, labels, 7, 5, range(3))
    runs = [study.trace(sizes[labels == c], 5, seed, c) for c in range(7) for seed in range(3)]
    steps = [run.average_iou[run.seeded :].tolist() for run in runs]
    changes = [b - a for run in steps for a, b in pairwise(run)]
    assert counted.moves == len(changes)
    assert counted.falls == sum(change < -1e-9 for change in changes) > 0
    assert counted.largest_fall == pytest.approx(-min(changes))
    assert counted.runs_past_best == sum(max(run.average_iou.tolist()) > run.average_iou[-1] + 1e-9 for run in runs) > 0
    assert counted.final.flatten().tolist() == pytest.approx([run[-1] for run in steps])
    assert f"{counted.falls} moves made the average IoU worse" in str(counted)
    same = torch.full((4, 2), 7.0)
    assert study.descent(same, torch.zeros(4, dtype=torch.int64), 1, 3, [0]).largest_fall == 0


def test_euclid_is_euclid() -> None:
    a, b = torch.tensor([[3.0, 4], [10, 10]]), torch.tensor([[0.0, 0], [10, 11]])
    expected = [1 - 5, 1 - math.hypot(7, 7), 1 - math.hypot(10, 10), 1 - 1]
    assert study.euclidean(a, b).flatten().tolist() == pytest.approx(expected)
    # Its k-means never gets worse by its own measure: the mean is the minimiser of squared distances.
    sizes = torch.rand(200, 2, generator=torch.Generator().manual_seed(0)) * 100 + 1
    run = study.trace(sizes, 6, similarity=study.euclidean)
    squares = [float(((sizes - s.centers[s.nearest]) ** 2).sum()) for s in run.states[run.seeded :]]
    assert len(squares) > 3
    assert all(after <= before + 1e-6 for before, after in pairwise(squares))


def test_distance_maps_are_indexed_by_row_and_column() -> None:
    axis = torch.tensor([5.0, 10, 40])
    maps = study.distance_maps(axis, torch.tensor([[10.0, 40], [5, 5]]))
    for r, reference in enumerate(((10, 40), (5, 5))):
        for row in range(3):
            for column in range(3):
                iou = oracles.centred_iou((axis[column].item(), axis[row].item()), reference)
                assert maps[r, row, column].item() == pytest.approx(1 - iou, abs=1e-6)


@pytest.mark.parametrize("shared", [False, True])
def test_a_sweep_measures_every_object(boxes: tuple[Tensor, Tensor], shared: bool) -> None:
    sizes, labels = boxes
    found = study.sweep(sizes, labels, 7, [1, 4], shared=shared)
    for k, count in enumerate((1, 4)):
        if shared:
            everything = torch.zeros_like(labels)
            shapes = anchors.cluster_anchors(sizes, everything, 1, count).tolist() * 7
        else:
            shapes = anchors.cluster_anchors(sizes, labels, 7, count).tolist()
        pairs = zip(sizes.tolist(), labels.tolist(), strict=True)
        best = [(c, max(oracles.centred_iou(size, shape) for shape in shapes[c])) for size, c in pairs]
        assert found.average[k].item() == pytest.approx(sum(iou for _, iou in best) / len(best), abs=1e-5)
        assert found.below[k].item() == pytest.approx(sum(iou <= 0.5 for _, iou in best) / len(best), abs=1e-6)
        for c in range(7):
            own = [iou for label, iou in best if label == c]
            assert found.by_class[k, c].item() == pytest.approx(sum(own) / len(own), abs=1e-5)
    assert found.counts == (1, 4)
    assert found.average[1] > found.average[0] + 0.1


def test_a_trace_is_printed_step_by_step(boxes: tuple[Tensor, Tensor]) -> None:
    sizes, labels = boxes
    run = study.trace(sizes[labels == 0], 3)
    lines = str(run).splitlines()
    assert len(lines) == len(run.states)
    seeded, moved = len(lines) - len(run.moves), len(run.moves)
    assert [line[9:15].strip() for line in lines] == ["seeded"] * seeded + [f"move {k + 1}" for k in range(moved)]
    assert [line.split(" centres")[0][-1] for line in lines] == [str(min(k + 1, 3)) for k in range(len(lines))]
    for line, quality, (before, after) in zip(
        lines[1:], run.average_iou[1:].tolist(), pairwise(run.states), strict=True
    ):
        changed = sum(a != b for a, b in zip(before.nearest.tolist(), after.nearest.tolist(), strict=True))
        assert line.endswith(f"average IoU {quality:.3f}, {changed:3} boxes changed")
    assert lines[0].endswith("  0 boxes changed")


def test_small_boxes_are_counted_apart() -> None:
    sizes = torch.tensor([[10.0, 10], [6, 24], [30, 30], [24, 24]])
    assert study.is_small(sizes, 24).tolist() == [True, True, False, False]
    choices = [torch.tensor([[10.0, 10], [30, 30]]), torch.tensor([[12.0, 12], [10, 10]])]
    found = study.served(sizes, choices, below=24)
    best = [[max(oracles.centred_iou(s, c) for c in own.tolist()) for s in sizes.tolist()] for own in choices]
    assert found.small == pytest.approx(sum(one[0] + one[1] for one in best) / 4)
    assert found.others == pytest.approx(sum(one[2] + one[3] for one in best) / 4)
    assert found.small_centers == 1.5
    assert found.lost == pytest.approx(sum(iou < 0.5 for one in best for iou in one) / 8)
    assert str(found).startswith(
        f"average IoU: small {found.small:.2f}, others {found.others:.2f}; 1.5 centres below 24"
    )


def test_a_row_has_a_column_for_each_value() -> None:
    assert study.row("A", (1, 20), "5") == f"{'A':14}     1     20"
    assert study.row("lost", [0.5, 0.042], "5.1%") == f"{'lost':14} 50.0%   4.2%"


def test_no_tables_no_real_boxes(tmp_path: Path) -> None:
    assert study.real_sizes(None) == {} == study.real_sizes(tmp_path)


@pytest.mark.data
def test_real_boxes_are_read_at_the_size_of_the_input(real_data: Path) -> None:
    found = study.real_sizes(real_data)
    assert {name: (len(one.sizes), one.num_classes) for name, one in found.items()} == {
        "VOC07+12": (40058, 20), "COCO val": (36780, 80)
    }  # fmt: skip
    for name, one in found.items():
        assert one.sizes.max() <= 512 + 1, name
        assert one.sizes.max() > 500, name
        assert int(one.labels.max()) == one.num_classes - 1


# Figures


SIZES = torch.tensor([[8.0, 16], [12, 30], [40, 20], [60, 50]])
QUALITY = [0.3, 0.4, 0.45, 0.44]
AXIS = torch.linspace(4, 80, 12)
MAPS = torch.stack([AXIS[None] + AXIS[:, None], AXIS[None] * AXIS[:, None]])
PATHS = [SIZES[:2], SIZES[2:3]]
CASES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "sizes": (figures.size_plane, ({"a": {"dog": SIZES, "cat": SIZES[:1]}, "b": {"cat": SIZES[1:]}},)),
    "distances": (figures.distance_plane, (AXIS, {"sum": MAPS}, {"sum": (30, 60)}, SIZES[:2])),
    "state": (figures.kmeans_state, (SIZES, [0, 0, 1, 1], PATHS, AXIS, torch.zeros(12, 12), QUALITY, 2, 1)),
    "curves": (figures.iou_curves, ([QUALITY, QUALITY[:2]], "two seeds", 1)),
    "by class": (figures.values_by_class, (("dog", "hot_dog"), {"a": [0.1, 0.2], "b": [[0.3, 0.4]] * 2}, "IoU")),
    "counts": (figures.quality_by_count, ({"a": ([1, 2], [0.3, 0.5])}, {"b": ([1, 2], [0.5, 0.1])}, 2)),
}


@pytest.mark.parametrize("name", CASES)
def test_figures_render(name: str) -> None:
    draw, arguments = CASES[name]
    figure = draw(*arguments)
    assert isinstance(figure, Figure)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    assert len(file.getvalue()) > 5000


def test_a_group_has_one_colour_in_every_panel() -> None:
    left, right = figures.size_plane({"a": {"dog": SIZES, "cat": SIZES}, "b": {"cat": SIZES}}).axes
    colors = {(k, line.get_label()): line.get_color() for k, ax in enumerate((left, right)) for line in ax.lines}
    assert colors[0, "cat"] == colors[1, "cat"] != colors[0, "dog"]


def test_curves_and_marks_stand_where_the_numbers_say() -> None:
    plane, curve = figures.kmeans_state(SIZES, [0, 0, 1, 1], PATHS, AXIS, torch.zeros(12, 12), QUALITY, 2, 1).axes
    assert [line.get_ydata()[-1] for line in plane.lines if line.get_marker() == "o"] == [30, 20]
    assert [float(line.get_ydata()[0]) for line in curve.lines if line.get_marker() == "o"] == [0.45]
    assert curve.get_title(loc="left") == "average IoU: 0.450"
    shapes = pictures.anchor_shapes(SIZES[None], ["dog"]).axes[0]
    drawn = {(p.get_width(), p.get_height()) for p in shapes.patches if isinstance(p, Rectangle)}
    assert drawn == {tuple(size) for size in SIZES.tolist()}
    _, lost = figures.quality_by_count({"a": ([1], [0.3])}, {"b": ([1, 2], [0.5, 0.1])}, 2).axes
    assert [y for line in lost.lines if line.get_label() == "b" for y in line.get_ydata()] == [50, 10]


# The panel


def test_the_panel_walks_through_k_means(boxes: tuple[Tensor, Tensor]) -> None:
    sizes, labels = boxes
    panel = kmeans_panel(sizes, labels, SCENE_CLASSES, "person", k=4)
    seen = []
    for step in (0, 3, 4, 60):
        panel.controls["step"].value = step
        assert panel.error == ""
        view = panel.numbers
        assert f"{view.quality:.3f}" in panel.text.value
        assert torch.equal(view.cells, shape_iou_cells(view.axis, view.run.states[view.at].centers))
        for j, path in enumerate(view.paths):
            assert torch.equal(path[-1], view.run.states[view.at].centers[j])
        seen.append((view.at, len(view.paths), view.finished))
    last = len(panel.numbers.run.states) - 1
    assert seen == [(0, 1, False), (3, 4, False), (4, 4, False), (last, 4, True)]
    assert panel.numbers.changed == 0  # nothing changes in the last step
    bundle = panel._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert data["text/plain"].startswith(f"person, {int((labels == 0).sum())} boxes; step {last} of {last} (")


def shape_iou_cells(axis: Tensor, centers: Tensor) -> Tensor:
    """The centre of the highest IoU for each size of the plane, column by column."""
    columns = [shape_iou(torch.stack((w.expand(len(axis)), axis), 1), centers).argmax(1) for w in axis]
    return torch.stack(columns, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "extremes"), [("k", (1, 12)), ("seed", (0, 19)), ("step", (0, 60)), ("name", None)])
def test_every_control_works_from_end_to_end(boxes: tuple[Tensor, Tensor], name: str, extremes: Any) -> None:
    panel = kmeans_panel(*boxes, SCENE_CLASSES, "person")
    panel.controls["step"].value = 60
    control, told = panel.controls[name], {panel.text.value}
    start = control.value
    for value in extremes or ("bus", "traffic_light"):
        control.value = value
        assert panel.error == ""
        told.add(panel.text.value)
    if extremes:
        assert (control.min, control.max) == extremes
    control.value = start
    assert panel.text.value in told
    assert len(told) >= 2


# Exercises


def given(name: str, boxes: tuple[Tensor, Tensor]) -> dict[str, Any]:
    everyone = {"sizes": boxes[0], "labels": boxes[1], "label": 0, "least": 0.75}
    return {"centred_iou": {"a": (40, 80), "b": (60, 60)}, "enough_shapes": everyone}[name]


@pytest.mark.parametrize("name", EXERCISES)
def test_stubs_and_nonsense_get_a_sentence(name: str, boxes: tuple[Tensor, Tensor]) -> None:
    assert str(judge(name, None, **given(name, boxes))).startswith("Not yet: ")
    for answer in ("x", [], {}, object(), torch.zeros(3, 3), float("nan"), float("inf"), lambda: 0, -1, 0, True, 1e9):
        verdict = judge(name, answer, **given(name, boxes))
        assert verdict.done is False, answer
        assert len(verdict.message) > 15


def test_answers_are_told_apart(boxes: tuple[Tensor, Tensor]) -> None:
    def say(name: str, answer: Any) -> str:
        return str(judge(name, answer, **given(name, boxes)))

    assert say("centred_iou", 2400 / 4400).startswith("Correct")
    assert EXERCISES["centred_iou"].digits == 2
    assert say("centred_iou", float(f"{2400 / 4400:.2g}")).startswith("Correct")
    assert "distance" in say("centred_iou", 2000 / 4400)
    assert "twice" in say("centred_iou", 2400 / 6800)
    assert "divide" in say("centred_iou", 2400)
    assert "2400 square pixels" in say("centred_iou", 0.7)
    fits = [float(anchors.average_iou(*boxes, anchors.cluster_anchors(*boxes, 7, k))[0]) for k in range(1, 9)]
    enough = next(k for k, fit in enumerate(fits, 1) if fit >= 0.75)
    assert say("enough_shapes", enough).startswith("Correct")
    assert "below 0.75" in say("enough_shapes", enough - 1)
    assert "fewer would do" in say("enough_shapes", enough + 1)
    assert "whole number" in say("enough_shapes", 4.5)


def test_the_solutions_in_the_notebook_are_right(boxes: tuple[Tensor, Tensor]) -> None:
    start = {"study": study, "sizes": boxes[0], "classes": boxes[1]}
    check_solutions("01_anchors", EXERCISES, judge, lambda name: given(name, boxes), lambda: dict(start))


# The anchor files that ship


@pytest.mark.parametrize(("name", "order"), [("voc0712_512", VOC_CLASSES), ("coco_512", COCO_CLASSES)], ids=FILES)
def test_shipped_anchors_are_usable(name: str, order: tuple[str, ...]) -> None:
    file = anchors.AnchorFile.load(name)
    assert file.class_names == order
    assert file.input_size == (512, 512)
    assert file.shapes.shape == (len(order), 10, 2)
    assert bool((file.shapes > 0).all())
    assert bool((file.shapes <= 512).all())
    areas = file.shapes.prod(-1)
    assert bool((areas[:, 1:] >= areas[:, :-1] - 0.01 * 1024).all())  # sorted before they were rounded to 0.01 px
    assert len({tuple(shape) for shape in file.shapes.flatten(0, 1).tolist()}) > 9 * len(order)
    assert file.made_by.startswith(f"lapnet anchors --data {' '.join(FILES[name])}")
    assert f"`{name}.json`" in README
    # `lapnet train --anchors` takes it for a data set of these classes, at any size, and for no other.
    config = TrainConfig(data="voc", image_size=(256, 512)).with_options(anchors=name)
    data = Scenes(1)
    data.class_names = order
    taken = find_anchors(config, data)
    assert torch.allclose(taken, file.shapes * torch.tensor([1.0, 0.5]))
    with pytest.raises(ValueError, match="the training needs"):
        find_anchors(config, Scenes(1))


@pytest.mark.data
@pytest.mark.parametrize("name", FILES)
def test_shipped_anchors_are_made_again(
    name: str, real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAPNET_DATA", str(real_data))
    assert main(["anchors", "--data", *FILES[name], "--out", str(tmp_path / "new.json")]) == 0
    made, shipped = (anchors.AnchorFile.load(file) for file in (tmp_path / "new.json", name))
    assert (made.class_names, made.input_size, made.made_by) == (
        shipped.class_names, shipped.input_size, shipped.made_by
    )  # fmt: skip
    assert torch.allclose(made.shapes, shipped.shapes, rtol=0, atol=0.011)  # a last digit may round the other way
    row = next(line for line in README.splitlines() if f"`{name}.json`" in line)
    told = re.search(r"all +(\d+) objects, average IoU 0(\.\d+); mean of the classes 0(\.\d+)", capsys.readouterr().out)
    assert told
    assert f"| {told[2]} | {told[3]} |" in row
    assert f"{int(told[1]):,}".replace(",", " ") in row


@pytest.mark.data
def test_coco_s_classes_are_in_the_order_of_its_own_file(real_data: Path) -> None:
    folder = real_data / "coco_tiny"
    data = CocoDetection(folder / "val2017", folder / "annotations" / "instances_val2017.json")
    assert tuple(data.class_names) == COCO_CLASSES


def test_who_has_changed_what_the_check_starts_from_is_asked_about_it() -> None:
    sizes, labels = torch.rand(12, 2) + 1, torch.arange(12) % 3
    verdict = judge("enough_shapes", 2, sizes=sizes[labels == 0], labels=labels, label=0, least=0.75)
    assert verdict.done is False
    assert "(sizes, labels) as its cell made it?" in verdict.message
