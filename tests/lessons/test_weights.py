"""Notebook 08: the laws of the drift against plain loops, the recorded runs, charts, the panel, exercises."""

import json
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from exercises import check_solutions
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from lapnet_core.ablate import Watch
from lapnet_core.losses import Balance
from lapnet_lab.charts import PLOTLY, Chart, rounded
from lapnet_lab.lessons.weights import drift, exercises, figures, panels, study
from lapnet_lab.lessons.weights.exercises import EXERCISES, check, judge
from lapnet_lab.lessons.weights.study import LOSSES, Run

RUNS = study.recorded()


def loop(
    balance: str, losses: np.ndarray, has: np.ndarray, rate: float, ratio: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """s, s[c, a] and the sum of all parts before each step: eqs. 5 to 7 in plain Python, one grid after the other.

    losses, has: (steps, grids), the loss of each grid before weights, and whether it has a positive.
    """
    grids = losses.shape[1]
    s, s_anchor = 1.0, [1.0] * grids
    said, said_anchor, sums = [], [], []
    for loss, active in zip(losses, has, strict=True):
        parts = [math.exp(-s - s_anchor[g]) * loss[g] for g in range(grids)]
        said.append(s)
        said_anchor.append(list(s_anchor))
        sums.append(sum(parts))
        pull = [1 / grids - parts[g] if active[g] else 0.0 for g in range(grids)]
        s -= rate * (sum(pull) if balance == "steady" else 1 - sum(parts))
        s_anchor = [s_anchor[g] - rate * grids * ratio * pull[g] for g in range(grids)]
    return np.array(said), np.array(said_anchor), np.array(sums)


def test_the_share_of_active_batches_is_of_those_that_were_watched() -> None:
    """A training that was gone on with in its last quarter was watched from there on only."""
    criterion = drift.toy_loss("learned")
    shape = criterion.s_loc_anchor.shape
    everywhere = torch.ones(shape).nonzero().unbind(1)
    positives = SimpleNamespace(label=everywhere[0], anchor=everywhere[1])
    method: Any = SimpleNamespace(
        criterion=criterion, terms=SimpleNamespace(positives=positives), shapes=torch.ones(*shape, 2)
    )
    for first in (1, 90):
        watch = Watch(100)
        for step in range(first, 101):
            Watch.__call__.__wrapped__(watch, step, method)
        told = {"class_names": ["a"] * shape[0], **watch.told}
        assert told["of_batches"] == min(25, 101 - first)
        assert (study.run_of("mine", told).active == 1).all()


# The toy and the laws


def test_the_toy_has_a_positive_in_every_grid_of_the_classes_that_are_there() -> None:
    for classes in ((0,), (1,), (0, 1)):
        terms = drift.ToyBatch(classes).terms(drift.toy_loss("learned"))
        assert drift.active(terms).all(1).tolist() == [c in classes for c in range(drift.CLASSES)]
        assert drift.active(terms).any(1).tolist() == [c in classes for c in range(drift.CLASSES)]
        assert terms.total.dtype == torch.float64


@pytest.mark.parametrize("balance", ["learned", "steady"])
def test_a_walk_is_the_loop(balance: Balance) -> None:
    """The localisation, whose held grids have no loss; the loss of a grid is read off the first step."""
    pattern = ((0, 1), (0,), (1,))
    path = drift.walk(balance, pattern, steps=9, rate=0.2, ratio=0.5)
    losses, has = np.zeros((9, 4)), np.zeros((9, 4), dtype=bool)
    for step in range(9):
        terms = drift.ToyBatch(pattern[step % 3]).terms(drift.toy_loss("learned"))
        has[step] = drift.active(terms).flatten().numpy()
        grid = terms.positives.label * 2 + terms.positives.anchor
        each = (1 - terms.predicted_overlap) ** 2 / len(grid)
        losses[step] = torch.zeros(4, dtype=each.dtype).index_add(0, grid, each).numpy()
    s, s_anchor, sums = loop(balance, losses, has, 0.2, 0.5)
    np.testing.assert_allclose(path.s["loc"][:-1], s)
    np.testing.assert_allclose(path.s_anchor["loc"][:-1].reshape(9, 4), s_anchor)
    np.testing.assert_allclose(path.loc, sums)
    np.testing.assert_allclose(path.product("loc", 1, 0)[:-1], np.exp(-s - s_anchor[:, 2]))


def batches(steps: int, shares: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random batches: each grid has a positive with its own probability, and then a loss around its own."""
    random = np.random.default_rng(seed)
    has = random.random((steps, len(shares))) < shares
    return has * random.lognormal(0, 0.3, (steps, len(shares))) * np.geomspace(0.01, 1, len(shares)), has


@pytest.mark.parametrize("ratio", [1.0, 1 / 8, 2.0])
def test_the_sum_at_rest_and_how_loud_each_grid_is(ratio: float) -> None:
    """Eight grids, one of which never comes; the formulas against the mean of a long loop."""
    shares = np.array([0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0, 0.0])
    losses, has = batches(60_000, shares, 0)
    s, s_anchor, sums = loop("learned", losses, has, 0.02, ratio)
    late = slice(20_000, None)
    active = has[late].mean()
    rest = drift.sum_at_rest(active, 7 / 8, ratio)
    assert sums[late].mean() == pytest.approx(rest, abs=0.01)
    parts = np.exp(-s[:, None] - s_anchor) * losses
    own = has[late].mean(0)[:7]
    loud = 8 * parts[late].sum(0)[:7] / has[late].sum(0)[:7]
    np.testing.assert_allclose(loud, 1 + (1 - rest) / (ratio * own), rtol=0.05)
    assert s[20_000] - s[-1] == pytest.approx(0.02 * 40_000 * (1 - rest), rel=0.03)


def test_how_loud_a_grid_is_where_all_come_back() -> None:
    shares = np.array([0.1, 0.3, 0.5, 0.9])
    losses, has = batches(40_000, shares, 1)
    s, s_anchor, sums = loop("learned", losses, has, 0.02)
    parts, own = (np.exp(-s[:, None] - s_anchor) * losses)[10_000:], has[10_000:].mean(0)
    loud = 4 * parts.sum(0) / has[10_000:].sum(0)
    np.testing.assert_allclose(loud, drift.too_loud(own, own.mean()), rtol=0.05)
    assert s[10_000] - s[-1] == pytest.approx(drift.climb(0.02 * 30_000, own.mean()), rel=0.03)
    still, still_anchor, sums = loop("steady", losses, has, 0.02)
    parts = (np.exp(-still[:, None] - still_anchor) * losses)[10_000:]
    np.testing.assert_allclose(4 * parts.sum(0) / has[10_000:].sum(0), 1, rtol=0.05)
    assert sums[10_000:].mean() == pytest.approx(own.mean(), rel=0.03)


def test_held_grids_with_a_background_are_heard_in_the_classification() -> None:
    """What they add is missing in the drift; one that never comes back ends it, and has the say."""
    shares = np.array([0.2, 0.4, 0.6, 0.8])
    losses, has = batches(40_000, shares, 2)
    losses = losses + 0.05 * np.geomspace(0.01, 1, 4) * ~has
    s, s_anchor, sums = loop("learned", losses, has, 0.02)
    parts, own = (np.exp(-s[:, None] - s_anchor) * losses)[10_000:], has[10_000:].mean(0)
    held = (parts * ~has[10_000:]).sum(1).mean()
    assert held > 0.02
    assert sums[10_000:].mean() == pytest.approx((1 + own.mean() + held) / 2, rel=0.02)
    loud = 4 * (parts * has[10_000:]).sum(0) / has[10_000:].sum(0)
    np.testing.assert_allclose(loud, drift.too_loud(own, own.mean(), held), rtol=0.05)
    gaps = s - s_anchor.mean(1)
    assert gaps[10_000] - gaps[-1] == pytest.approx(0.02 * 30_000 * (1 - own.mean() - held), rel=0.02)
    has[:, 0] = False
    s, s_anchor, sums = loop("learned", losses, has, 0.02)
    assert sums[-5_000:].mean() == pytest.approx(1, abs=0.01)
    assert (np.exp(-s - s_anchor[:, 0]) * losses[:, 0])[-5_000:].mean() > 0.2
    assert abs(s[-5_000] - s[-1]) < 0.5


def test_special_cases_of_the_sum() -> None:
    assert drift.sum_at_rest(1.0) == 1
    for k in (1, 3, 7):
        assert drift.sum_at_rest(k / 8, k / 8) == pytest.approx(2 * k / (8 + k)), "always the same k grids"
    assert drift.too_loud(np.ones(1), 1.0) == 1
    assert drift.climb(50, 1.0) == 0


@drawn(st.integers(0, 10_000), st.floats(0.1, 4.0))
@settings(max_examples=20, deadline=None)
def test_the_gap_falls_by_a_law_and_steady_keeps_it(seed: int, ratio: float) -> None:
    losses, has = batches(40, np.array([0.1, 0.5, 0.8, 0.3, 1.0]), seed)
    for balance, kept in (("learned", False), ("steady", True)):
        s, s_anchor, _ = loop(balance, losses, has, 0.05, ratio)
        gaps = (s - 1) - (s_anchor - 1).mean(1) / ratio
        falls = 0.05 * (1 - has.mean(1))[:-1] * (not kept)
        np.testing.assert_allclose(np.diff(gaps), -falls, atol=1e-12)


def test_the_step_of_the_exercise_is_the_librarys() -> None:
    loss = drift.toy_loss("steady")
    torch.nn.init.normal_(loss.s_cls_anchor, generator=torch.Generator().manual_seed(0))
    for s, s_anchor in ((loss.s_loc, loss.s_loc_anchor), (loss.s_cls, loss.s_cls_anchor)):
        terms = drift.ToyBatch((1,)).terms(loss)
        loss.zero_grad()
        terms.total.backward()
        has = drift.active(terms)
        assert s.grad is not None
        assert s_anchor.grad is not None
        part = torch.where(has, 1 / 4 - s_anchor.grad, 7.0)  # what a held grid adds must not matter
        losses = part * (s + s_anchor).exp()
        one, all_ = drift.steady_step(s.item(), s_anchor.detach(), losses.detach(), has, 0.3, 0.7)
        assert one == pytest.approx((s - 0.3 * s.grad).item())
        torch.testing.assert_close(all_, (s_anchor - 0.7 * s_anchor.grad).detach())


# The recorded runs


def test_the_runs_are_what_they_are_called() -> None:
    assert list(RUNS) == ["learned, AMS", "learned", "steady", "steady, 4500 steps"]
    for name, run in RUNS.items():
        assert (run.steps[-1] == 4500) == name.endswith("4500 steps")
        assert run.area.shape == run.active.shape == (6, 10)
        assert (run.active > 0).all()
        assert (run.active <= 1).all()
        assert (np.diff(run.area, axis=1) > 0).all(), "anchors stand in the order of their area"
        for which in LOSSES:
            assert run.s_anchor[which].shape == (len(run.steps), 6, 10)
            lam, weights = np.exp(-run.s[which][3]), np.exp(-run.s_anchor[which][3])
            np.testing.assert_allclose(run.products(which, 3), lam * weights)
    assert study.objects(RUNS["steady"]).sum() == 4503


SHALLOW = study.recorded(names=("steady, depth 1", "even, depth 1"))


def test_even_has_the_loss_of_each_grid_count_as_often_as_the_others() -> None:
    """Its products are the steady ones, in the same batches, times mean(p) / p, as far as the networks' losses agree;
    and so the rarer class has the larger weights, which is the paper's second claim."""
    quiet, even = SHALLOW.values()
    np.testing.assert_array_equal(quiet.active, even.active)
    for which in LOSSES:
        found = np.log(even.products(which) / quiet.products(which))
        wanted = np.log(even.active.mean() / even.active)
        assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.9
        assert np.polyfit(wanted.ravel(), found.ravel(), 1)[0] == pytest.approx(1, abs=0.25)
    count = study.objects(quiet)
    ranks = [study.rank_correlation(count, study.at_equal_area(run, "cls").height) for run in (quiet, even)]
    assert abs(ranks[0]) < 0.5
    assert ranks[1] < -0.9


def test_who_is_seldom_heard_gains_by_an_even_say() -> None:
    quiet = SHALLOW["steady, depth 1"]
    before, after = (study.by_class(rule) for rule in ("steady", "even"))
    for name in ("cow", "sheep"):
        assert after[name] > before[name] + 5
    for name in ("dog", "cat"):
        assert after[name] < before[name]
    head, *lines = figures.heard_and_found(quiet, {"a": before, "b": after}).splitlines()
    assert head.endswith("AP50 under a and b")
    order = [line.split()[0] for line in lines]
    assert [quiet.class_names[c] for c in quiet.active.mean(1).argsort()] == order
    parts = [float(line.split()[2]) for line in lines]
    assert np.mean(parts) == pytest.approx(1, abs=0.01)
    assert parts == sorted(parts)
    assert f"{before['cow']:.1f} -> {after['cow']:.1f}" in lines[order.index("cow")]


def test_the_laws_hold_on_photographs() -> None:
    for name in ("steady", "steady, 4500 steps"):
        for which in LOSSES:
            assert np.abs(study.gap(RUNS[name], which)).max() < 0.003
            s, law, _ = study.by_the_law(RUNS[name], which)
            assert s == pytest.approx(law, abs=0.003)
    assert study.loss_rates(study.config_of(RUNS["steady"]), 6)[1] == pytest.approx(1)
    assert study.loss_rates(study.config_of(RUNS["steady, 4500 steps"]), 6)[1] == pytest.approx(5 / 9)
    run = RUNS["learned"]
    np.testing.assert_allclose(study.gap(run, "loc")[5:], study.predicted_gap(run)[5:], rtol=0.01)
    assert study.held_share(run) == pytest.approx(0.10, abs=0.01)
    for wanted, found in study.loudness(run, RUNS["steady"]).values():
        assert np.exp(np.abs(np.log(found / wanted)).mean()) < 1.06


@drawn(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=3, max_size=9))
@settings(deadline=None)
def test_the_rank_correlation_by_a_loop(pairs: list[tuple[int, int]]) -> None:
    a, b = zip(*pairs, strict=True)

    def ranks(values: tuple[int, ...]) -> list[float]:
        return [sum(x < y for x in values) + (1 + sum(x == y for x in values)) / 2 for y in values]

    if len(set(a)) > 1 and len(set(b)) > 1:
        assert study.rank_correlation(a, b) == pytest.approx(np.corrcoef(ranks(a), ranks(b))[0, 1])


def planted(slope: float, height: np.ndarray) -> Run:
    run = RUNS["steady"]
    s = slope * np.log(run.area) - np.log(height)[:, None]
    told = {which: np.stack([s - 3, s]) for which in LOSSES}
    return Run(
        "planted",
        run.class_names,
        run.shapes,
        run.steps[:2],
        {which: run.s[which][:2] for which in LOSSES},
        told,
        run.active,
    )


def test_equal_area_finds_what_was_planted() -> None:
    height = np.array([2.0, 1, 1, 0.5, 4, 0.25])
    fit = study.at_equal_area(planted(0.7, height), "cls")
    assert fit.slope == pytest.approx(0.7)
    np.testing.assert_allclose(fit.height, height)
    assert fit.explained == pytest.approx(1)


def test_the_papers_claims_as_the_notebook_tells_them() -> None:
    count = study.objects(RUNS["learned, AMS"])
    rank = {(name, which): study.rank_correlation(count, study.at_equal_area(run, which).height)
            for name, run in RUNS.items() for which in LOSSES}  # fmt: skip
    assert rank["learned, AMS", "cls"] == pytest.approx(-1)
    assert all(rank[name, which] < -0.6 for name in ("learned, AMS", "learned") for which in LOSSES)
    assert all(rank[name, which] > -0.5 for name in ("steady", "steady, 4500 steps") for which in LOSSES)


def test_precision_has_the_seeds_and_pairs_the_draws() -> None:
    found = study.precision(False, "ap75")
    assert [len(each.each) for each in found.values()] == [3, 3, 3]
    for seed in range(3):
        assert found["difference"].each[seed] == pytest.approx(found["steady"].each[seed] - found["learned"].each[seed])
    for each in found.values():
        assert each.low < each.mean < each.high
    assert found["difference"].low < 0 < found["difference"].high
    assert study.precision(True, "ap50")["difference"].high < 0
    assert [log["loc"][-1] > 1e5 for log in study.loss_weights("learned", ams=False)] == [True] * 3


def test_climbs_by_hand() -> None:
    """The paper: 120,000 steps of .005 (1 - t)^.9, all weights with one rate, so that rho is 1 / 200."""
    found = study.climbs(0.5)["the paper's on VOC, plain steps"]
    assert math.log(found) == pytest.approx(0.005 * 120_000 / 1.9 * 0.5 / 201, rel=1e-3)


@pytest.mark.slow
def test_a_training_of_ones_own_is_watched() -> None:
    run = study.train_watched("steady", steps=30, images=24)
    assert run.steps[-1] == 30
    assert run.area.shape == run.active.shape == (7, 10)
    assert json.dumps(figures.weights_by_area(run, ("person",), "")._repr_mimebundle_()[0][PLOTLY])


# Charts and the panel


def drawn_by(chart: Chart) -> Any:
    """The figure, for a type checker that does not know plotly."""
    return chart.figure


def test_numbers_of_charts_are_rounded() -> None:
    assert rounded(np.array([[1.23456, 0.000123456], [98765.4, 0]])) == [1.235, 0.0001235, 98770.0, 0.0]


def test_charts_hold_the_numbers_and_can_be_filtered() -> None:
    run = RUNS["learned, AMS"]
    shown = drawn_by(figures.weights_by_area(run, ("dog", "cow"), "text"))
    assert len(shown.data) == 12
    assert sum(trace.visible is True for trace in shown.data) == 4
    dog = next(trace for trace in shown.data if trace.name == "dog, localisation")
    weights = run.weights("loc")
    expected = weights[2] / np.exp(np.log(weights).mean())
    np.testing.assert_allclose(dog.y, expected, rtol=1e-3)
    assert list(shown.layout.xaxis.tickvals) == [300, 1000, 3000, 10000, 30000]
    assert list(shown.layout.yaxis.ticktext) == ["0.2", "0.5", "1", "2", "5", "10"]
    logs = {rule: study.loss_weights(rule, ams=False) for rule in ("learned", "steady")}
    shown = drawn_by(figures.loss_weights(logs, ""))
    assert len(shown.data) == 12
    assert len({trace.legendgroup for trace in shown.data}) == 4
    assert shown.layout.yaxis.type == "log"
    path = drift.walk("learned", ((0,),), steps=6)
    lines = drawn_by(figures.walks({"learned": path}, "")).data
    assert list(lines[2].x) == [0, 3, 6]
    np.testing.assert_allclose(np.multiply(lines[0].y, lines[1].y), lines[2].y, rtol=2e-3)


def test_charts_of_grids_say_what_they_show() -> None:
    pairs = study.loudness(RUNS["learned"], RUNS["steady"])
    chart = figures.loudness(pairs, RUNS["learned"])
    assert "1.30 to 3.22 predicted, 1.27 to 3.31 recorded; mean error 3%" in chart.text
    assert len(drawn_by(chart).data[1].x) == 60
    assert drawn_by(chart).data[1].text[10] == "cow, 17 × 19 px"
    assert len(json.dumps(chart._repr_mimebundle_()[0][PLOTLY])) < 20_000


@pytest.mark.slow
def test_the_panel_follows_every_control() -> None:
    panel = panels.over_time_panel(RUNS)
    said = {panel.describe(panel.numbers)}
    for name, control in panel.controls.items():
        options = [option[1] if isinstance(option, tuple) else option for option in control.options]
        for value in (options[0], options[-1], control.value):
            control.value = value
            assert panel.error == "", name
            said.add(panel.describe(panel.numbers))
    assert len(said) >= 6
    assert panel._static_picture().startswith(b"\x89PNG")


def test_the_panel_at_a_moment() -> None:
    panel = panels.over_time_panel(RUNS, classes=("sheep", "sheep"))
    panel.controls["run"].value, panel.controls["which"].value, panel.controls["at"].value = "steady", "loc", 0
    assert panel.numbers.at == 0
    told = panel.describe(panel.numbers)
    assert told.startswith("steady, localisation, after 50 steps: λ 0.518")
    assert told.count("sheep") == 1


# Exercises

GIVEN: dict[str, dict[str, Any]] = {
    "sum_at_rest": {"grids": 12, "active": 3}, "too_loud": {"own": 1 / 8, "mean": 1 / 4}, "steady_step": {},
}  # fmt: skip
RIGHT = {"sum_at_rest": 0.625, "too_loud": 4, "steady_step": drift.steady_step}


@pytest.mark.parametrize("name", EXERCISES)
def test_right_answers_pass_and_stubs_wait(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert judge(name, RIGHT[name], **GIVEN[name]).done is True
    check(name, None, **GIVEN[name])
    assert capsys.readouterr().out.startswith("Not yet: ")


def test_the_step_as_the_notebook_hands_it_out_is_not_begun() -> None:
    def step(s: Any, s_anchor: Any, losses: Any, has: Any, rate: Any, anchor_rate: Any) -> Any:
        """A gradient step, with nothing but this behind it."""

    assert judge("steady_step", step).done is None


@pytest.mark.parametrize("name", [name for name, exercise in EXERCISES.items() if exercise.digits])
def test_the_solution_so_rounded_is_right(name: str) -> None:
    digits = EXERCISES[name].digits
    for nudge in (-1e-12, 1e-12):  # 0.625 becomes .62 or .63
        rounded = float(f"{RIGHT[name] * (1 + nudge):.{digits}g}")
        assert judge(name, rounded, **GIVEN[name]).done is True


ODD = (
    "x",
    [],
    {},
    object(),
    torch.zeros(3),
    -5,
    0,
    1e9,
    float("nan"),
    (1, 2, 3),
    lambda *_: 1,
    lambda *_: (1, "x"),
    max,
)


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize("answer", ODD)
def test_anything_at_all_gets_a_sentence(name: str, answer: Any) -> None:
    verdict = judge(name, answer, **GIVEN[name])
    assert verdict.done is False
    assert len(verdict.message) > 15


@pytest.mark.parametrize(
    ("name", "answer", "reason"),
    [
        ("sum_at_rest", 0.4, "never had a positive"),
        ("sum_at_rest", 0.25, "anchor weights want"),
        ("sum_at_rest", 1, "this is what the loss weight wants"),
        ("sum_at_rest", 0.5, "it is not where they meet"),
        ("sum_at_rest", 2, "does not lie between"),
        ("too_loud", 3, "*too* loud"),
        ("too_loud", 2.5, "mean share"),
        ("too_loud", 7, "half of what"),
        ("too_loud", 1, "too quiet"),
        ("too_loud", 20, "too loud"),
    ],
)
def test_wrong_numbers_are_told_apart(name: str, answer: float, reason: str) -> None:
    assert reason in judge(name, answer, **GIVEN[name]).message


@pytest.mark.parametrize("mistake", exercises.MISTAKES)
def test_wrong_steps_are_told_apart(mistake: Any) -> None:
    assert exercises.MISTAKES[mistake] in judge("steady_step", mistake).message


def step_with(how: str) -> Any:
    def step(
        s: float, s_anchor: torch.Tensor, losses: torch.Tensor, has: torch.Tensor, rate: float, other: float
    ) -> Any:
        part = torch.exp(-(s + s_anchor)) * losses
        gradient = torch.where(has, 1 / has.numel() - part, 0)
        if how == "product":
            gradient = (1 / has.numel() - part) * has
        if how == "in place":
            return s - rate * gradient.sum(), s_anchor.sub_(other * gradient)
        if how == "only s":
            return s - rate * gradient.sum() * 1.001, s_anchor - other * gradient
        if how == "only s_anchor":
            return s - rate * gradient.sum(), s_anchor - other * gradient * 1.001
        return s - rate * gradient.sum(), s_anchor - other * gradient

    return step


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("product", "choose with torch.where"),
        ("in place", "changes its arguments"),
        ("only s", "s is not what"),
        ("only s_anchor", "s_anchor is not what"),
        ("", "all there is"),
    ],
)
def test_steps_that_nearly_work(how: str, reason: str) -> None:
    assert reason in judge("steady_step", step_with(how)).message


def test_the_solutions_in_the_notebook_are_right() -> None:
    check_solutions("08_weights", EXERCISES, judge, GIVEN.__getitem__, lambda: {"torch": torch})
