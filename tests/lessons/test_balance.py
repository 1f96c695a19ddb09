"""The balance study against slow loops, its panels driven from end to end, the exercises of notebook 04."""

import csv
import gzip
import io
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import oracles
import pytest
import torch
from exercises import check_solutions, code_in_folds
from matplotlib.figure import Figure

from lapnet_core import config, losses, method
from lapnet_core.assign import assign
from lapnet_core.data import flatten_targets
from lapnet_core.losses import LapNetLoss
from lapnet_core.scenes import SCENE_CLASSES, Scenes
from lapnet_core.step import learning_rate
from lapnet_lab import gather, records
from lapnet_lab.lessons.balance import figures, fixed, panels, rarity, study
from lapnet_lab.lessons.balance.exercises import EXERCISES, check, judge
from lapnet_lab.lessons.balance.fixed import TOY_CLASSES
from lapnet_lab.lessons.balance.panels import STEPS
from lapnet_lab.lessons.balance.study import BALANCES
from lapnet_lab.photographs import photographs

ROOT = Path(__file__).resolve().parents[2]
RUNS = ROOT / "data" / "runs" / "balance_scenes.csv"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """These tensors are small: a second thread would only wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def toy() -> fixed.FixedBatch:
    return fixed.toy_batch((3, 2, 1), images=2)


@pytest.fixture(scope="module")
def without() -> fixed.FixedBatch:
    """The same without the last class."""
    return fixed.toy_batch((3, 2, 0), images=2)


def fresh(**options: Any) -> LapNetLoss:
    return LapNetLoss(3, 4, ams=False, **options)


def grid_losses(batch: fixed.FixedBatch) -> torch.Tensor:
    """S[c, a] of eq. 4, number by number."""
    labels = batch.terms(fresh()).labels
    sums = torch.zeros(3, 4, dtype=torch.float64)
    for place in np.ndindex(*labels.shape):
        sums[place[1], place[2]] += oracles.cross_entropy(batch.scores[place].item(), labels[place].item())
    return sums


# One weight


@pytest.mark.parametrize("loss", [0.01, 1.0, 20.0])
@pytest.mark.parametrize("start", [0.3, 3.0])
def test_one_weight_takes_the_steps_of_pytorch(loss: float, start: float) -> None:
    direct, by_s = study.one_weight(loss, 0.02, start, 30)
    lam = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    s = torch.tensor(-math.log(start), dtype=torch.float64, requires_grad=True)
    descent = torch.optim.SGD([lam, s], lr=0.02)
    for k in range(31):
        assert by_s[k] == pytest.approx((-s).exp().item(), rel=1e-9)
        if all(value > 0 for value in direct[: k + 1]):
            assert direct[k] == pytest.approx(lam.item(), rel=1e-9)
        total = lam * loss + (1 / lam).log() + (-s).exp() * loss + s
        descent.zero_grad()
        total.backward()
        descent.step()
    if (loss, start) == (20.0, 3.0):
        assert math.isnan(direct[-1])


def test_descent_on_a_function() -> None:
    path = study.descend(lambda x: (x - 3) ** 2, start=1.0, lr=0.25, steps=3)
    assert path == [(0, 1.0, 4.0), (1, 2.0, 1.0), (2, 2.5, 0.25), (3, 2.75, 0.0625)]
    by_s = study.one_weight(20.0, 0.02, 3.0, 30)[1]
    steps = study.descend(lambda s: (-s).exp() * 20 + s, start=-math.log(3), lr=0.02, steps=30)
    np.testing.assert_allclose([math.exp(-s) for _, s, _ in steps], by_s, rtol=1e-4)


def test_a_weight_settles_at_one_over_its_loss_and_a_limit_on_its_steps_is_kept() -> None:
    for loss in (1e-4, 0.5, 90.0):
        assert study.one_weight(loss, 0.1, 1.0, 500)[1][-1] == pytest.approx(1 / loss, rel=1e-6)
    thrown = study.one_weight(1.0, 0.1, 1000.0, 3)[1]
    assert thrown[1] < 1e-30
    limited = study.one_weight(1.0, 0.1, 1000.0, 3, max_step=1.0)[1]
    assert limited[1] == pytest.approx(1000 / math.e)
    assert math.isfinite(study.one_weight(1e2, 1.0, 1e3, 200)[1][-1])


def test_a_step_moves_the_slots_that_have_a_positive(without: fixed.FixedBatch) -> None:
    loss = fresh()
    study.one_step(loss, without, lr=0.1)
    moved = loss.s_cls_anchor.detach() != losses.INITIAL_S
    assert moved.all(1).tolist() == [True, True, False]
    assert not moved[2].any()


# The toy


def test_the_toy_is_as_asked(toy: fixed.FixedBatch) -> None:
    labels = torch.cat([target["labels"] for target in toy.targets])
    assert labels.bincount().tolist() == [12, 8, 4]
    positive = toy.terms(fresh()).labels
    assert bool((positive.sum((0, 3, 4)) > 0).all())
    torch.testing.assert_close(toy.scores.sigmoid()[positive], torch.full((int(positive.sum()),), 0.3))
    torch.testing.assert_close(toy.scores.sigmoid()[~positive], torch.full((int((~positive).sum()),), 0.002))
    for target in toy.targets:
        assert bool((target["boxes"] >= 0).all())
        assert bool((target["boxes"] <= fixed.TOY_SIZE).all())
    faded = toy.with_background(0.1)
    torch.testing.assert_close(faded.scores.sigmoid()[~positive], torch.full((int((~positive).sum()),), 0.1))
    assert torch.equal(faded.scores[positive], toy.scores[positive])


def test_other_classes_keep_their_objects_where_one_grows() -> None:
    few, many = (fixed.toy_batch((3, 2, n), images=2).targets for n in (0, 5))
    for a, b in zip(few, many, strict=True):
        assert torch.equal(a["boxes"], b["boxes"][b["labels"] < 2])


def test_positives_are_counted_as_by_a_loop(toy: fixed.FixedBatch) -> None:
    flat = flatten_targets(toy.targets)
    expected = toy.terms(fresh()).labels.sum((0, 3, 4))
    for at_once in (1, 2, 16):
        assert torch.equal(rarity.positives_per_grid(toy.shapes, (32, 32), *flat, 2, at_once), expected)
    nothing = rarity.positives_per_grid(toy.shapes, (32, 32), *(x[:0] for x in flat), 2)
    assert int(nothing.sum()) == 0


def test_photographs_are_counted_as_by_hand(tmp_path: Path) -> None:
    assert rarity.one_in_on_voc(None) == rarity.one_in_on_voc(tmp_path) == {}
    (tmp_path / "boxes").mkdir()
    rows = ["image_id,class,xmin,ymin,xmax,ymax"]
    for n in range(30):  # three images; a cat of another size each, and every third object a dog
        name, size = ("dog", 200 + 5 * n) if n % 3 == 2 else ("cat", 40 + 5 * n)
        rows.append(f"{n // 10},{name},11,21,{10 + size},{20 + size}")
    (tmp_path / "boxes" / "voc0712_trainval.csv.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    found = rarity.one_in_on_voc(tmp_path, images=2)
    assert set(list(found)[1:]) == {"cat", "dog"}
    assert found["all"] == pytest.approx(2 / (1 / found["cat"] + 1 / found["dog"]))  # as many anchors of either
    assert list(found.values())[1:] == sorted((found["cat"], found["dog"]), reverse=True)

    voc, scale = photographs("VOC07+12", tmp_path)
    here = voc.image_index < 2
    flat = voc.boxes[here] * scale, voc.labels[here], voc.image_index[here]
    at = assign(gather.table_anchors(voc, scale), (64, 64), *flat, 2).positives()
    assert found["cat"] == pytest.approx(2 * 64 * 64 * 10 / int((at.label == 0).sum()))


# Where the weights settle


def test_parts_are_what_each_grid_adds(toy: fixed.FixedBatch) -> None:
    loss = fresh()
    torch.nn.init.normal_(loss.s_cls_anchor)
    torch.nn.init.constant_(loss.s_cls, 0.3)
    weights = loss.loss_weights[1] * loss.anchor_weights[1]
    expected = (weights * grid_losses(toy) / toy.scores.numel()).float()
    loc, cls = study.parts(loss, toy)
    torch.testing.assert_close(cls, expected, rtol=1e-3, atol=1e-6)
    assert cls.sum().item() == pytest.approx(toy.terms(loss).cls.item(), rel=1e-4)
    assert loc.sum().item() == pytest.approx(toy.terms(loss).loc.item(), rel=1e-4)


def test_parts_of_held_grids_are_unknown(without: fixed.FixedBatch) -> None:
    for part in study.parts(fresh(), without):
        assert bool(part[2].isnan().all())
        assert not bool(part[:2].isnan().any())
    literal = study.parts(study.EveryGridMoves(3, 4, ams=False), without)[1]
    assert bool((literal > 0).all())


def test_rest_is_where_steps_lead_and_what_the_formula_says(toy: fixed.FixedBatch) -> None:
    walked, put = fresh(), fresh()
    path = study.settle(walked, toy, 60, 0.3, 12)
    study.put_at_rest(put, toy)
    torch.testing.assert_close(path.part[-1], torch.ones(3, 4), rtol=1e-3, atol=0)
    assert not bool(path.part.isnan().any())
    for loc_or_cls in range(2):
        products = [loss.loss_weights[loc_or_cls] * loss.anchor_weights[loc_or_cls] for loss in (walked, put)]
        torch.testing.assert_close(*products, rtol=5e-3, atol=0)
    formula = toy.scores.numel() / (12 * grid_losses(toy))
    torch.testing.assert_close((put.loss_weights[1] * put.anchor_weights[1]).double(), formula, rtol=2e-3, atol=0)
    assert path.lam.shape == (61,)
    assert path.lam[0].item() == pytest.approx(math.exp(-1))
    assert toy.terms(put).cls.item() == pytest.approx(1, abs=1e-3)
    assert toy.terms(put).loc.item() == pytest.approx(1, abs=1e-3)


def test_a_path_of_one_grid(toy: fixed.FixedBatch, without: fixed.FixedBatch) -> None:
    path = study.settle(fresh(), [toy, without, toy], 2, 0.1, 12)
    weight, product = path.grid(2, 1)
    assert torch.equal(weight, path.lam_anchor[:, 2, 1])
    assert product.tolist() == [(path.lam[k] * path.lam_anchor[k, 2, 1]).item() for k in range(3)]
    assert path.part[:, 2].isnan().all(-1).tolist() == [False, True, False]
    same = study.settle(fresh(), lambda step: without if step == 1 else toy, 2, 0.1, 12)
    assert torch.equal(same.lam_anchor, path.lam_anchor)


def test_rest_of_the_other_rows(toy: fixed.FixedBatch, without: fixed.FixedBatch) -> None:
    two = fresh(balance="loss")
    study.put_at_rest(two, toy)
    assert toy.terms(two).cls.item() == pytest.approx(1, abs=1e-4)
    assert toy.terms(two).loc.item() == pytest.approx(1, abs=1e-4)
    assert bool((two.s_cls_anchor == 0).all())
    fixed = fresh(balance="retina")
    study.put_at_rest(fixed, toy)
    assert all(bool((s == 0).all()) for s in fixed.parameters())
    held = fresh()
    study.put_at_rest(held, without)
    assert bool((held.s_cls_anchor[2] == losses.INITIAL_S).all())
    assert bool((held.s_cls_anchor[:2] != losses.INITIAL_S).all())


def test_at_rest_the_network_minimises_a_mean_of_logarithms(toy: fixed.FixedBatch) -> None:
    loss = fresh()
    study.put_at_rest(loss, toy)
    scores = toy.scores.clone().requires_grad_()
    ours = torch.autograd.grad(toy.with_scores(scores).terms(loss).cls, scores)[0]
    sums = losses.classification_loss(scores, toy.terms(loss).labels, "learned").sum((0, 3, 4))
    theirs = torch.autograd.grad(sums.log().mean(), scores)[0]
    torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=1e-7)


def test_an_empty_grid_explodes_literally_and_is_held_by_the_rule(without: fixed.FixedBatch) -> None:
    fading = [without.with_background(0.01 * math.exp(-k / 10)) for k in range(41)]
    weights = []
    for kind in (study.EveryGridMoves, LapNetLoss):
        loss = kind(3, 4, ams=False)
        weights.append(study.settle(loss, fading.__getitem__, 40, 0.2, 12).lam_anchor[:, 2])
    assert bool((weights[0][-1] > 20).all())
    assert torch.equal(weights[1], weights[1][:1].expand_as(weights[1]))


# How long it takes


@pytest.mark.parametrize("multiplier", [2.0, 6.0])
def test_the_time_to_settle_is_the_rule(toy: fixed.FixedBatch, multiplier: float) -> None:
    rule = 12 / (0.3 * multiplier)
    assert study.steps_to_settle(toy, 0.3, multiplier) == pytest.approx(rule, abs=1.5)
    with pytest.raises(RuntimeError, match="not settled after 2 steps"):
        study.steps_to_settle(toy, 0.3, multiplier, limit=2)


def test_e_folds_are_the_sum_of_the_steps() -> None:
    settings = replace(config.tiny_scenes(), steps=50)
    multiplier, _ = method.balance_multipliers(settings, 7)
    by_hand = 0.0
    for step in range(50):
        by_hand += learning_rate(settings, step) * multiplier / 70
    assert study.e_folds(settings, 7) == pytest.approx(by_hand)
    assert study.e_folds(settings, 7, momentum=0.9) == pytest.approx(10 * by_hand)
    assert study.e_folds(config.paper_voc_darknet53(), 20) == pytest.approx(
        method.balance_multipliers(config.paper_voc_darknet53(), 20)[0] * 0.005 * 120_000 / 1.9 / 200, rel=1e-3
    )


@pytest.mark.slow
def test_schedules_can_be_asked() -> None:
    folds = {name: study.e_folds(*schedule) for name, schedule in study.schedules().items()}
    slow, momentum, once, rule = folds.values()
    assert momentum == pytest.approx(10 * slow)
    assert rule == pytest.approx(once * method.balance_multipliers(config.tiny_scenes(), len(SCENE_CLASSES))[0])
    assert "rule" in list(folds)[3]


def test_zero_gradients_are_not_enough_and_holding_is(toy: fixed.FixedBatch, without: fixed.FixedBatch) -> None:
    makers = {
        "plain": lambda p: torch.optim.SGD(p, lr=0.1),
        "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
        "decay": lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.05),
        "Adam": lambda p: torch.optim.Adam(p, lr=0.01),
    }
    drift = {
        name: [study.drift_without_positives(make, toy, without, hold=hold, steps=5) for hold in (False, True)]
        for name, make in makers.items()
    }
    assert drift["plain"] == [0, 0]
    for name in ("momentum", "decay", "Adam"):
        assert drift[name][0] > 0.01
        assert drift[name][1] == 0


# Who is heard


@pytest.mark.parametrize("kind", BALANCES)
def test_pull_is_the_sum_of_derivatives(kind: Any) -> None:
    batch = fixed.toy_batch((2, 1, 1), images=1)
    found = study.pull(kind, batch)
    loss = fresh(balance=kind)
    study.put_at_rest(loss, batch)
    labels = batch.terms(loss).labels
    n, positives = batch.scores.numel(), int(labels.sum())
    scale = n / positives if kind in ("retina", "focal") else loss.loss_weights[1].item()
    expected = np.zeros((2, 3, 4))
    for place in np.ndindex(*labels.shape):
        p, label = torch.sigmoid(batch.scores[place].double()).item(), bool(labels[place])
        if kind == "focal":
            x = batch.scores[place].item()
            slope = (oracles.focal(x + 1e-4, label) - oracles.focal(x - 1e-4, label)) / 2e-4
        else:
            slope = p - label
        weight = loss.anchor_weights[1][place[1], place[2]].item()
        expected[int(label), place[1], place[2]] += abs(slope) * weight * scale / n
    np.testing.assert_allclose(found.negative, expected[0], rtol=2e-3)
    np.testing.assert_allclose(found.positive, expected[1], rtol=2e-3)
    assert found.scores == pytest.approx(expected.sum(), rel=2e-3)
    assert found.offsets > 0


# Figures and panels


@pytest.mark.slow
def test_figures_are_drawn_with_what_they_were_given(toy: fixed.FixedBatch) -> None:
    counts = torch.tensor([[5, 40], [0, 0]])
    shapes = torch.tensor([[[8.0, 16.0], [16.0, 32.0]], [[20.0, 10.0], [40.0, 20.0]]])
    lines = {"a": [1.0, 2.0, float("nan")], "b": [3.0, 2.0, 1.0]}
    drawn = [
        figures.positives_by_grid(counts, shapes, ("person", "traffic_light"), 100),
        figures.weight_paths({"one": lines}, rest=1.0),
        figures.weight_paths({"one": lines, "two": {"b": [1.0]}}),
        figures.settling(torch.rand(5, 3, 4) + 0.1, torch.rand(5, 3, 4) + 0.1, TOY_CLASSES, list("abcd")),
        figures.number_tables({"t": counts, "u": [[1.0, float("nan")]] * 2}, ("x", "y"), ("1", "2"), "{:.0f}"),
        figures.gradient_shares(("r", "q"), [1, 0.1], {"p": (("a", "b"), [[0.5, 0.5], [0.1, 0.9]])}, "title"),
        figures.table_2b(dict.fromkeys(BALANCES, 50.0), {"ones": [0.05, 0.07]}, BALANCES),
        figures.weight_and_product({"a": ([1.0, 2.0], [3.0, 4.0])}, "one"),
    ]
    for figure in drawn:
        assert isinstance(figure, Figure)
        file = io.BytesIO()
        figure.savefig(file, format="png")
        assert len(file.getvalue()) > 2000
    assert [text.get_text() for text in drawn[0].axes[0].texts] == ["none", "1 in 4"]
    assert any(line.get_marker() == "X" for line in drawn[1].axes[0].lines)
    assert [text.get_text() for text in drawn[4].axes[0].texts] == ["5", "40", "0", "0"]
    assert [bar.get_width() for bar in drawn[5].axes[1].patches] == pytest.approx([0.5, 0.1, 0.5, 0.9])
    assert [bar.get_width() for bar in drawn[6].axes[1].patches] == [pytest.approx(6.0)]
    np.testing.assert_allclose(drawn[6].axes[1].lines[0].get_xdata(), [5.0, 7.0])
    assert [list(ax.lines[0].get_ydata()) for ax in drawn[7].axes] == [[1, 2], [3, 4]]
    assert drawn[7].axes[0].get_title("left") == "one"


def ends(control: Any) -> list[Any]:
    """A control's least, most and default value."""
    if isinstance(control.value, bool):
        return [True, False]
    base = getattr(control, "base", None)
    low, high = (base**control.min, base**control.max) if base else (control.min, control.max)
    return [low, high, control.value]


@pytest.mark.slow
@pytest.mark.parametrize("make", [panels.one_weight_panel, panels.gradient_panel])
def test_panels_follow_every_control(make: Any) -> None:
    panel = make()
    assert panel.error == ""
    first = panel.describe(panel.numbers)
    for control in panel.controls.values():
        said = set()
        for value in ends(control):
            control.value = value
            assert panel.error == "", panel.error
            said.add(panel.describe(panel.numbers))
            assert "nan" not in panel.describe(panel.numbers).replace("its loss is nan", "")
        assert panel.describe(panel.numbers) == first
        assert len(said) >= 2 or control.description.startswith("a step"), control.description
    for state in panel.states:
        panel.show(state)
        assert panel.error == ""
    assert panel.describe(panel.numbers) != first


@pytest.mark.slow
def test_the_panel_of_one_weight_tells_what_happened() -> None:
    panel = panels.one_weight_panel()
    lost = panel.numbers.lost
    assert lost is not None
    assert panel.numbers.direct[lost - 1] > 0
    assert f"negative after {lost} steps" in panel.describe(panel.numbers)
    panel.controls["start"].value, panel.controls["loss"].value, panel.controls["lr"].value = 1000.0, 1.0, 0.1
    thrown = panel.numbers.by_s[1]
    panel.controls["limit"].value = True
    assert thrown < 1e-30 < panel.numbers.by_s[1]
    assert panel.numbers.lost is None
    assert len(panel.numbers.direct) == STEPS + 1


@pytest.mark.slow
def test_the_panel_of_shares_adds_up_and_follows() -> None:
    panel = panels.gradient_panel()
    shares = panel.numbers
    rows = list(BALANCES)
    for share in (shares.positives, shares.classes, shares.anchors):
        torch.testing.assert_close(share.sum(1), torch.ones(5))
    assert shares.size[rows.index("retina")] == 1
    for share in (shares.positives, shares.classes, shares.anchors):  # one number for all cannot change a share
        for same in ("retina", "loss"):
            torch.testing.assert_close(share[rows.index(same)], share[rows.index("ones")], rtol=1e-4, atol=1e-6)
    learned, retina = (shares.classes[rows.index(kind), 2] for kind in ("learned", "retina"))
    assert learned > 3 * retina
    panel.controls["rare"].value = 16
    assert panel.numbers.classes[rows.index("retina"), 2] > 3 * retina
    panel.controls["negative"].value = 1e-4
    torch.testing.assert_close(panel.numbers.classes[rows.index("learned")], torch.full((3,), 1 / 3), rtol=0.03, atol=0)


# Trainings


@pytest.mark.slow
def test_a_training_is_scored_per_class() -> None:
    settings = config.tiny_scenes().with_options(image_size=(64, 64), steps=2, batch_size=2, anchors_per_class=2)
    lesson, exam = Scenes(40, size=(64, 64), keep=True), Scenes(4, size=(64, 64), split="test")
    rows = study.train_and_score(settings, lesson, exam)
    assert [row["class"] for row in rows] == [*SCENE_CLASSES, "mean"]
    assert all(tuple(row) == study.RUN_COLUMNS for row in rows)
    counts = flatten_targets([exam.target(i) for i in range(4)])[1].bincount(minlength=7)
    assert [row["objects"] for row in rows] == [*counts.tolist(), int(counts.sum())]
    there = [row["ap"] for row in rows[:-1] if row["objects"]]
    assert rows[-1]["ap"] == pytest.approx(sum(there) / len(there))


@pytest.mark.slow
def test_the_recorded_runs_are_whole() -> None:
    with open(RUNS, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == study.RUN_COLUMNS
    runs: dict[tuple[str, ...], dict[str, float]] = {}
    for row in rows:
        runs.setdefault((row["steps"], row["balance"], row["seed"]), {})[row["class"]] = float(row["ap"])
    assert {run for run in runs if run[0] == "400"} == {("400", kind, seed) for kind in BALANCES for seed in "012"}
    for ap in runs.values():
        assert set(ap) == {*SCENE_CLASSES, "mean"}
        assert ap["mean"] == pytest.approx(sum(ap[name] for name in SCENE_CLASSES) / 7, abs=1e-4)
    assert len({(row["class"], row["objects"]) for row in rows}) == 8
    exam = gather.objects(Scenes(200, size=(160, 160), split="test")).labels.bincount()  # what the notebook counts
    objects = {row["class"]: int(row["objects"]) for row in rows}
    assert [objects[name] for name in SCENE_CLASSES] == exam.tolist()


def test_recorded_runs_are_read_by_row_and_class() -> None:
    found = study.recorded_ap(steps=400)
    assert list(BALANCES) == list(study.table_2b())  # in the paper's order
    assert set(found) == set(BALANCES)
    with open(RUNS, encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["steps"], row["balance"]) == ("400", "focal")]
    for name in (*SCENE_CLASSES, "mean"):
        assert found["focal"][name] == [float(row["ap"]) for row in rows if row["class"] == name]
    assert study.table_2b()["loss"] == records.value("paper.table_2b.loss.map")


# Exercises


@pytest.fixture(scope="module")
def given(toy: fixed.FixedBatch) -> dict[str, dict[str, Any]]:
    return {
        "settled_weight": {"loss": 0.004},
        "equal_say": {"batch": toy},
    }


def right(name: str, toy: fixed.FixedBatch) -> Any:
    return {
        "settled_weight": (math.log(0.004), 250),
        "equal_say": 3 / grid_losses(toy),
    }[name]


@pytest.mark.parametrize("name", EXERCISES)
def test_right_answers_pass(name: str, toy: fixed.FixedBatch, given: dict[str, Any]) -> None:
    verdict = judge(name, right(name, toy), **given[name])
    assert verdict.done is True, verdict


@pytest.mark.parametrize("name", EXERCISES)
def test_a_stub_is_not_yet_done(name: str, given: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    check(name, None, **given[name])
    assert capsys.readouterr().out.startswith("Not yet: ")


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize(
    "answer",
    ["twelve", [], {}, object(), torch.zeros(3, 4), torch.full((3, 4), torch.nan), torch.full((3, 4), torch.inf),
     float("nan"), float("inf"), [None, 1], lambda x: x, (1, 2, 3), (0, 0), -5, 0, True, "", {1}],
)  # fmt: skip
def test_anything_at_all_gets_a_sentence(name: str, answer: Any, given: dict[str, Any]) -> None:
    verdict = judge(name, answer, **given[name])
    assert verdict.done is False
    assert len(verdict.message) > 15
    assert "could not read" not in verdict.message


def test_wrong_answers_are_told_apart(toy: fixed.FixedBatch, given: dict[str, Any]) -> None:
    def said(name: str, answer: Any) -> str:
        return judge(name, answer, **given[name]).message

    assert "sign" in said("settled_weight", (5.52, 250))
    assert "s is right" in said("settled_weight", (-5.52, 0.004))
    assert "λ is right" in said("settled_weight", (1, 250))
    assert "λ · L = 0.4" in said("settled_weight", (1, 100))
    assert "small weight" in said("equal_say", grid_losses(toy))
    assert "quietest" in said("equal_say", torch.ones(3, 4))
    assert "above 0" in said("equal_say", -torch.ones(3, 4))


def test_what_the_solution_says_passes(given: dict[str, Any]) -> None:
    assert EXERCISES["settled_weight"].digits == 3
    assert judge("settled_weight", (-5.52, 250), **given["settled_weight"]).done is True
    assert judge("settled_weight", (-5.7, 250), **given["settled_weight"]).done is False


@pytest.mark.slow
def test_the_solutions_in_the_notebook_are_right(toy: fixed.FixedBatch, given: dict[str, Any]) -> None:
    known = {"torch": torch, "math": math, "grid_loss": grid_losses(toy)}
    check_solutions("04_balance", EXERCISES, judge, given.__getitem__, lambda: dict(known))


@pytest.mark.slow
def test_the_code_in_the_folds_runs(
    toy: fixed.FixedBatch, without: fixed.FixedBatch, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = code_in_folds("04_balance")
    assert len(codes) == 3
    for code in codes:
        exec(code, {"torch": torch, "losses": losses, "study": study, "toy": toy, "without": without})
        assert capsys.readouterr().out
