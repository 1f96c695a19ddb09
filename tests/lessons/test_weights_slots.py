"""Notebook 08: who has the say, and the weights beside 1/S, as recorded; and the charts of them."""

from typing import Any

import numpy as np
import pytest

from lapnet_lab.charts import Chart
from lapnet_lab.lessons.weights import drift, figures, slots
from lapnet_lab.lessons.weights.slots import KINDS, slots_of


def told(name: str = "learned") -> dict[str, Any]:
    """A training of two slots: one at its place; one seldom seen, and twice too loud."""
    same = {"mean": [[0.5, 0.25]], "weight": [[1.0, 4.0]], "seen": [[40, 2]], "back": [[1, 9, 1.0, 0.9, 1.0]]}
    each = {f"{key}_{which}": value for key, value in same.items() for which in ("loc", "cls")}
    return {
        "run": name, "class_names": ["cat"], "shapes": [[[10, 20], [30, 40]]], "steps": [1, 2, 3, 4], "batches": 40,
        "cls_of": [[1, 1, 2], [1, 2, 1], [2, 1, 1], [3, 1, 0]], "active": [[0.1, 0.2]] * 4, "longest_cls": [[1, 30]],
        "s_loc": [1.0, 0.0], "s_cls": [1.0, 0.0], **each,
    }  # fmt: skip


def drawn_by(chart: Chart) -> Any:
    """The figure, for a type checker that does not know plotly."""
    return chart.figure


def test_a_line_of_the_record_is_read() -> None:
    run = slots_of(told())
    np.testing.assert_allclose(run.shares, [[0.25, 0.25, 0.5], [0.25, 0.5, 0.25], [0.5, 0.25, 0.25], [0.75, 0.25, 0]])
    np.testing.assert_allclose(run.late, [5 / 8, 2 / 8, 1 / 8])
    np.testing.assert_allclose(run.asked("loc"), [[1, 2]])
    np.testing.assert_allclose(run.product["cls"], [[1, 4]])
    assert run.rare().tolist() == [[False, True]]
    assert run.active.tolist() == [0.2] * 4
    assert run.longest.tolist() == [[1, 30]]
    never = told()
    never["seen_cls"], never["back_cls"] = [[40, 0]], []
    run = slots_of(never)
    assert np.isnan(run.asked("cls")).tolist() == [[False, True]], "who was never seen asks for nothing"
    assert run.back["cls"].shape == (0, 5)
    assert len(drawn_by(figures.beside_one_over_s({"learned": run}, "cls")).data) == 2


def test_the_chart_of_the_say_has_a_line_for_each_kind() -> None:
    runs = {name: slots_of(told(name)) for name in ("learned", "steady", "steady, batch 2")}
    shown = figures.who_has_the_say(runs, ("learned", "steady"))
    assert "learned: positives 62%, background of active grids 25%, background of held grids 12%" in shown.text
    traces = drawn_by(shown).data
    assert [trace.name for trace in traces[:3]] == [f"learned: {kind}" for kind in KINDS]
    assert len(traces) == 7
    assert traces[6].name == "steady, batch 2: background of held grids"
    assert [trace.visible for trace in traces] == [True] * 6 + ["legendonly"]
    assert list(traces[2].y) == [50, 25, 25, 0]
    assert traces[0].line.color != traces[3].line.color == traces[6].line.color


def test_who_comes_back_is_told_in_columns() -> None:
    longer = told()
    longer["back_cls"] = [[1, 9, 1.0, 0.9, 1.0], [2, 3, 1.5, 1.2, 1.25]]
    text = figures.came_back({"learned": slots_of(longer), "steady": slots_of(told())}, "cls")
    head, *rows = (line.split() for line in text.splitlines())
    assert head[-2:] == ["1", "2"]
    assert [row[0] for row in rows] == ["learned:", "learned:", "steady:", "steady:"]
    assert [row[-2:] for row in rows] == [["1.00", "1.50"], ["1.00", "1.25"], ["1.00", "-"], ["1.00", "-"]]


def test_the_chart_beside_one_over_s_marks_the_seldom_ones() -> None:
    shown = figures.beside_one_over_s({"learned": slots_of(told())}, "cls")
    assert "learned: 1 grids, 1.00 times" in shown.text
    assert "learned, seen seldom: 1 grids, 2.00 times" in shown.text
    line, often, seldom = drawn_by(shown).data
    assert (list(often.x), list(often.y), list(often.text)) == ([1], [1], ["cat, 10 × 20 px"])
    assert (list(seldom.x), list(seldom.y), list(seldom.text)) == ([2], [4], ["cat, 30 × 40 px"])
    assert often.marker.symbol != seldom.marker.symbol
    assert line.x[0] < 1 < 4 < line.x[1]


RUNS = slots.recorded()


def test_the_record_is_what_the_notebook_tells_of_it() -> None:
    """Held grids do not have most of the say; under "learned" the seldom ones come back far too loud, under "steady"
    they are too quiet still, and the others are where they should be."""
    drifting, still = RUNS["learned, batch 2"], RUNS["steady, batch 2"]
    assert RUNS["learned"].steps[-1] == 1500
    assert drifting.steps[-1] == 990, "thirty looks of 33 steps"
    for run in (drifting, still):
        assert 0.2 < run.late[2] < 0.3
        assert run.active.mean() == pytest.approx(1 / 6, abs=0.02)
        assert run.longest.max() > 100, "a tenth of the run"
        assert int(run.rare().sum()) == 20
    assert RUNS["learned"].late[2] < 0.15
    assert not RUNS["learned"].rare().any()
    for which in ("loc", "cls"):
        loud = {run.name: dict(zip(run.back[which][:, 0], run.back[which][:, 2], strict=True)) for run in RUNS.values()}
        assert loud[drifting.name][64] > 25 > 4 > loud["learned"][16]
        assert loud[still.name][64] < 0.7
        times = {run.name: np.log(run.product[which] / run.asked(which)) for run in (drifting, still)}
        rare = still.rare(which)
        assert np.exp(times[drifting.name][rare].mean()) > 5
        assert np.exp(times[still.name][~rare].mean()) == pytest.approx(0.98, abs=0.03)
        wished = np.log(drift.too_loud(drifting.seen[which], float(drifting.seen[which].mean())))
        assert np.corrcoef(wished.ravel(), times[drifting.name].ravel())[0, 1] > 0.98, "the law of section 4"
