"""Notebook 09: the recorded runs by table against loops, intervals and verdicts, charts, the panel, the exercises."""

import json
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
from exercises import check_solutions, check_stub

from lapnet_core import ablate, config
from lapnet_core.evaluate.bootstrap import interval
from lapnet_lab import charts, records
from lapnet_lab.lessons.ablations import figures, panels, stated, study
from lapnet_lab.lessons.ablations.exercises import EXERCISES, TRIALS, check, judge
from lapnet_lab.lessons.ablations.study import Try
from lapnet_lab.runs import RESAMPLED, Difference, Row

RUNS = study.runs()


def run(
    seed: int, ap50: float, ap75: float = 0.1, draws: Sequence[float] = (), positives: Sequence[int] = (),
    **options: Any,
) -> dict[str, Any]:  # fmt: skip
    """A line of results as `lapnet ablate` writes it."""
    method, lr, steps = options.pop("method", "lapnet"), options.pop("lr", 0.04), options.pop("steps", study.STEPS)
    measured = {"ap50": ap50, "ap75": ap75, "ap": ap75, "small": 0.01, "medium": 0.2, "large": 0.3}
    measured |= {"per_class": {"cat": ap50, "sheep": ap75}}
    log = [{"step": 10 * (k + 1), "positives_loc": 100, "positives_cls": n} for k, n in enumerate(positives)]
    lapnet = {**ablate.PAPER, **options}
    return {
        "key": "", "data": "voc_animals", "seed": seed, "log": log,
        "config": {"method": method, "lr": lr, "steps": steps} | ({"lapnet": lapnet} if method == "lapnet" else {}),
        "val": measured, "test": measured | {"replicates": {"ap50": list(draws), "ap75": list(draws)}},
    }  # fmt: skip


# The recorded runs


def test_the_recorded_runs_are_whole() -> None:
    tested = [line for line in RUNS if "test" in line]
    assert len(tested) >= 54
    assert all("ap50" in line["val"] for line in RUNS)
    for line in tested:
        for metric in RESAMPLED:
            drawn = line["test"]["replicates"][metric]
            assert len(drawn) == 200
            assert abs(np.mean(drawn) - line["test"][metric]) < 0.03
        assert set(line["test"]["per_class"]) == {"cat", "cow", "dog", "horse", "person", "sheep"}
        assert line["log"][-1]["step"] <= line["config"]["steps"]


def test_the_runs_on_blood_cells_are_whole_and_in_the_order_of_the_paper() -> None:
    lines = study.runs(study.BLOOD)
    assert {line["data"] for line in lines} == {"bccd"}
    assert {line["test"]["images"] for line in lines} == {72}
    found = study.blood("2a")
    assert [row.seeds for row in found.values()] == [(0, 1, 2)] * 4
    assert found["PONO"].class_names == ("Platelets", "RBC", "WBC")
    order = ["PONO, AMS", "PONO", "AO", "AO, AMS"]
    for seed in range(3):
        assert sorted(found, key=lambda name: -found[name].values()[seed]) == order
    for steps in study.BLOOD_SCHEDULES:
        shorter = study.blood("2a", steps)
        assert [shorter[name].seeds for name in order[:2]] == [(0, 1, 2)] * 2
        assert {run["config"]["steps"] for row in shorter.values() for run in row.runs} == {steps}


@pytest.mark.parametrize("name", ["2a", "2b", "ams"])
def test_rows_are_found_as_by_a_loop(name: str) -> None:
    found = study.table(name)
    assert found
    for label, wanted in ablate.TABLES[name].items():
        by_hand = {}
        for line in RUNS:
            told = line["config"]
            if told["method"] != "lapnet" or told["steps"] != 1500 or told["lr"] != 0.04:
                continue
            if all(told["lapnet"].get(key, value) == value for key, value in wanted.items()):
                by_hand[line["seed"]] = line["test"]["ap50"]
        assert (label in found) == bool(by_hand)
        if by_hand:
            assert found[label].seeds == tuple(sorted(by_hand))
            assert found[label].values().tolist() == [by_hand[seed] for seed in sorted(by_hand)]


@pytest.mark.parametrize(("name", "steps"), [("2a", study.STEPS), ("ams", study.STEPS), ("schedule", study.LONG)])
def test_rows_are_those_of_lapnet_ablate(name: str, steps: int) -> None:
    base = config.small_photos().with_options(data="voc_animals", steps=steps, lr=ablate.TUNED["lapnet"])
    theirs = ablate.table(name, RUNS, base)
    ours = study.table(name, steps)
    assert [(row["row"], row["seeds"]) for row in theirs] == [(row.name, len(row.runs)) for row in ours.values()]
    for row in theirs:
        assert row["ap50"] == pytest.approx(ours[row["row"]].mean())
        assert row["interval"] == pytest.approx(ours[row["row"]].interval(), abs=0.008)


def test_of_two_runs_of_a_seed_the_last_counts_and_untested_ones_do_not() -> None:
    lines = [run(0, 0.1, draws=[0.1] * 4), run(1, 0.3, draws=[0.3] * 4), run(0, 0.2, draws=[0.2] * 4)]
    tuning = run(2, 0.9)
    del tuning["test"]
    other_rate, longer = run(3, 0.9, draws=[0.9], lr=0.02), run(4, 0.9, draws=[0.9], steps=9)
    found = study.table("2a", among=[*lines, tuning, other_rate, longer])
    assert list(found) == ["PONO, AMS"]
    assert found["PONO, AMS"].values().tolist() == [0.2, 0.3]


def test_peers_say_where_nothing_was_chosen() -> None:
    lines = [run(0, 0.4, draws=[0.4], balance="even", ams=False, depth=1)]
    lines += [run(0, 0.3, draws=[0.3], method="ssd", lr=lr) for lr in (0.005, 0.01)]
    lines += [run(0, 0.2, draws=[0.2], method="retinanet", lr=ablate.TUNED["retinanet"])]
    found = study.peers(lines)
    assert [row.name for row in found.values()] == ["LapNet (ours)", "RetinaNet (not tuned)", "SSD"]
    assert study.tries("ssd", lines) == [Try(0.005, 0.3, 0.3), Try(0.01, 0.3, 0.3)]
    assert study.tries("fcos", lines) == []


def test_what_a_row_tells() -> None:
    row = Row("x", (run(0, 0.4, 0.2), run(1, 0.5, 0.1)))
    assert row.values().tolist() == [0.4, 0.5]
    assert row.values(objects="sheep").tolist() == [0.2, 0.1]
    assert row.values(objects="large").tolist() == [0.3, 0.3]
    with pytest.raises(ValueError, match=r"at IoU \.5 alone"):
        row.values("ap75", "sheep")
    assert study.apart(row, Row("y", (run(0, 0.6), run(1, 0.7))), "cat")
    assert not study.apart(row, Row("y", (run(0, 0.45), run(1, 0.7))), "cat")


def test_the_kept_share_by_hand() -> None:
    steps, share = study.kept(Row("x", (run(0, 0.4, positives=(10, 50)), run(1, 0.4, positives=(30, 70)))))
    assert steps == [10, 20]
    assert share.tolist() == pytest.approx([0.2, 0.6])


# Intervals and verdicts


def test_a_difference_is_paired_by_the_photographs() -> None:
    """Two rows with the same luck differ by the same in every draw, however wide either is."""
    luck = np.random.default_rng(0).normal(0, 0.1, 200)
    a, b = (Row(name, (run(0, level, draws=(level + luck).tolist()),)) for name, level in (("a", 0.5), ("b", 0.4)))
    gap = study.difference(a, b)
    assert (gap.low, gap.high) == pytest.approx((0.1, 0.1))
    low, high = a.interval()
    assert high - low > 0.3


@pytest.mark.slow
def test_a_difference_by_a_slow_loop() -> None:
    a, b = study.table("2a")["PONO"], study.table("2a")["AO"]
    rng, drawn = np.random.default_rng(5), []
    for r in range(200):
        for _ in range(40):
            of_a = np.mean([a.replicates()[s, r] for s in rng.integers(0, 3, 3)])
            of_b = np.mean([b.replicates()[s, r] for s in rng.integers(0, 3, 3)])
            drawn.append(of_a - of_b)
    gap = study.difference(a, b)
    assert (gap.low, gap.high) == pytest.approx(interval(np.array(drawn)), abs=0.003)
    assert gap.mean == pytest.approx(np.mean(a.values()) - np.mean(b.values()))


@pytest.mark.parametrize(
    ("low", "high", "seeds", "claim", "said"),
    [
        (0.02, 0.05, (3, 3), "more", "reproduced"),
        (0.02, 0.05, (3, 3), "less", "refuted"),
        (-0.05, -0.02, (3, 2), "more", "refuted"),
        (-0.05, -0.02, (3, 2), "less", "reproduced"),
        (-0.01, 0.05, (3, 3), "more", "undecided here"),
        (0.001, 0.05, (3, 3), "more", "undecided here"),  # the end is nearer to 0 than it is known
        (0.02, 0.05, (3, 1), "more", "undecided here"),
        (0.0, 0.0, (3, 3), "more", "undecided here"),
    ],
)
def test_verdicts(low: float, high: float, seeds: tuple[int, int], claim: Any, said: str) -> None:
    assert Difference((low + high) / 2, low, high, seeds).verdict(claim) == said


def test_a_difference_in_words() -> None:
    assert str(Difference(0.051, 0.0234, -0.0789, (3, 3))) == "+5.1 [+2.3, -7.9]"


# What the text states


@pytest.mark.slow
def test_the_record_is_what_the_runs_say() -> None:
    """Red after new runs: python -m lapnet_lab.lessons.ablations.stated, then build the notebook."""
    file = json.loads(stated.RECORDS.read_text("utf-8"))
    assert stated.updated(file) == file


@pytest.mark.slow
def test_the_closing_table_has_a_verdict_for_each_claim() -> None:
    table = records.load("ablations")[1]["verdicts"]
    known = {*stated.differences("ap50", stated.rows())}
    for prefix, steps in stated.CELLS.items():
        known |= {prefix + name for name in stated.differences("ap50", stated.blood_rows(steps))}
    wanted = [claim for claim, _, name, _ in stated.claims() if name in known]
    assert [row[0] for row in table[1:]] == wanted
    said = {row[0]: row[3] for row in table[1:]}
    assert {word.split(":")[0] for word in said.values()} <= {"reproduced", "refuted", "undecided here"}
    assert said["PONO is above AO (2a)"] == "reproduced"
    assert said["AMS gains with PONO (2a)"] == "refuted"
    above = stated.differences("ap50", stated.rows())["over_yolov3"].verdict()
    turned = {"reproduced": "refuted", "refuted": "reproduced"}.get(above, above)
    assert said["but not at AP50 (3)"] == turned, "the paper itself has YOLOv3 above"
    assert said["PONO is above AO, on blood cells, 23 epochs"] == "undecided here"
    assert said["AMS gains with PONO there, 4.5 epochs"] == "refuted"
    assert said["12 epochs"] == said["23 epochs, at AP75"] == "reproduced"


def test_how_far_a_row_is_above_others_is_told_line_by_line() -> None:
    rows = study.peers()
    others = study.without(rows, "lapnet")
    told = figures.against(rows["lapnet"], others).splitlines()
    assert len(told) == 2 * len(others)
    for line, row in zip(told, others.values(), strict=False):
        gap = study.difference(rows["lapnet"], row)
        assert line.startswith(f"AP50  against {row.name}")
        assert str(gap) in line
        assert line.endswith({"reproduced": "above", "refuted": "below"}.get(gap.verdict(), "undecided"))


def test_a_peer_that_was_not_tuned_gets_no_verdict() -> None:
    gap = Difference(0.3, 0.2, 0.4, (3, 3))
    assert stated.verdict("over_retinanet", gap, Row("RetinaNet (not tuned)", ())).startswith("undecided here: ")
    assert stated.verdict("over_retinanet", gap, Row("RetinaNet", ())) == "reproduced"
    once = Difference(0.3, 0.2, 0.4, (3, 1))
    assert stated.verdict("over_retinanet", once, Row("RetinaNet", ())) == "undecided here: one seed"


@pytest.mark.slow
def test_the_record_is_written_where_it_is_asked(tmp_path: Any) -> None:
    path = tmp_path / "ablations.json"
    file = json.loads(stated.RECORDS.read_text("utf-8"))
    file["measured"]["trained"]["values"] = {}
    path.write_text(json.dumps(file))
    stated.main(path)
    assert path.read_text("utf-8") == stated.RECORDS.read_text("utf-8")


# Charts and the panel


def numbers_of(chart: charts.Chart) -> list[Any]:
    return [json.loads(json.dumps(trace)) for trace in chart._repr_mimebundle_()[0][charts.PLOTLY]["data"]]


@pytest.mark.slow
def test_charts_have_the_numbers_that_they_are_given() -> None:
    rows = study.table("2a")
    mean, seeds = numbers_of(figures.forest(rows))
    assert mean["x"] == [round(100 * row.mean(), 1) for row in rows.values()]
    for k, row in enumerate(rows.values()):
        low, high = row.interval()
        assert mean["x"][k] - mean["error_x"]["arrayminus"][k] == pytest.approx(100 * low, abs=0.11)
        assert mean["x"][k] + mean["error_x"]["array"][k] == pytest.approx(100 * high, abs=0.11)
    assert len(seeds["x"]) == sum(len(row.runs) for row in rows.values())
    assert "error_x" not in numbers_of(figures.forest(rows, objects="cat"))[0], "no draws were recorded for classes"

    (first, *_) = numbers_of(figures.by_objects(rows, ("small", "sheep"), "title"))
    values = rows["AO"].values(objects="sheep")
    assert first["y"][1] + first["error_y"]["array"][1] == pytest.approx(100 * values.max(), abs=0.11)
    assert first["y"][1] - first["error_y"]["arrayminus"][1] == pytest.approx(100 * values.min(), abs=0.11)

    paired, unpaired = numbers_of(figures.spread({"paired": [0.01] * 3, "unpaired": [-0.02, 0.01, 0.03]}, "title"))
    assert sum(paired["y"]) == sum(unpaired["y"]) == 3
    assert max(paired["y"]) == 3


def test_rows_beside_a_base_are_told_at_both_metrics() -> None:
    rows = {name: Row(name, (run(0, ap, draws=[ap]),)) for name, ap in (("none", 0.4), ("paper's", 0.3), ("late", 0.5))}
    gap = study.difference(rows["paper's"], rows["none"])
    assert figures.beside(rows, "none", ("paper",)).split("  ")[1] == "paper's"
    assert str(gap) in figures.beside(rows, "none", ("paper",))
    assert len(figures.beside(rows, "none", ("paper", "late", "other")).splitlines()) == 2


@pytest.mark.slow
def test_every_chart_is_light_and_the_same_twice() -> None:
    ams, long = study.table("ams"), study.table("schedule", study.LONG)
    tried = {"LapNet": study.tries("lapnet"), "none": []}
    makes = (
        lambda: figures.forest(ams, "ap75", title="title"),
        lambda: figures.kept_shares({name: row for name, row in ams.items() if name != "none"}),
        lambda: figures.over_schedules({study.STEPS: ams, study.LONG: long}),
        lambda: figures.by_objects(ams, study.class_names(), "title"),
        lambda: figures.two_metrics(study.peers()),
        lambda: figures.learning_rates(tried),
    )
    for make in makes:
        one, two = make()._repr_mimebundle_()[0], make()._repr_mimebundle_()[0]
        assert one[charts.PLOTLY] == two[charts.PLOTLY]
        assert one["text/plain"]
        assert len(json.dumps(one[charts.PLOTLY])) < 12_000
        assert one["image/png"].startswith(b"\x89PNG")


def test_a_rule_has_one_colour_in_every_chart() -> None:
    some, all_rules = figures.looks(["paper's", "none"]), figures.looks(ablate.TABLES["ams"])
    assert some["paper's"] == all_rules["paper's"]
    mixed = figures.looks(["PONO, AMS (2a)", *ablate.TABLES["ams"]])
    assert len({color for color, *_ in mixed.values()}) == len(mixed)
    assert len({color for color, *_ in figures.looks("abcdefgh").values()}) == len(figures.COLORS) == 8


@pytest.mark.slow
def test_the_panel_follows_every_control() -> None:
    panel = panels.results_panel()
    assert panel.error == ""
    first = panel.describe(panel.numbers)
    for name in ("table", "metric", "objects"):
        control: Any = panel.controls[name]
        said = set()
        before = control.value
        for option in control.options:
            control.value = option[1] if isinstance(option, tuple) else option
            assert panel.error == "", panel.error
            said.add(panel.describe(panel.numbers))
        assert len(said) == len(control.options)
        control.value = before
    assert panel.describe(panel.numbers) == first
    for state in panel.states:
        panel.show(state)
        assert panel.error == ""


@pytest.mark.slow
def test_the_panel_says_where_it_shows_something_else() -> None:
    panel = panels.results_panel()
    panel.controls["metric"].value, panel.controls["objects"].value = "ap75", "sheep"
    assert "AP75 was measured over all objects alone; this is AP50" in panel.describe(panel.numbers)
    assert panel.numbers.rows["PONO"].mean(objects="sheep") == pytest.approx(
        np.mean([line["test"]["per_class"]["sheep"] for line in panel.numbers.rows["PONO"].runs])
    )
    panel.controls["table"].value = f"2a on blood cells, {study.BLOOD_STEPS} steps"
    assert panel.error == ""
    assert "(sheep: not in these images; this is all objects.)" in panel.describe(panel.numbers)
    panel.controls["objects"].value = "Platelets"
    assert "AP75 was measured" in panel.describe(panel.numbers)


# Exercises


def paired(a: np.ndarray, b: np.ndarray) -> Any:
    return np.quantile(a.mean(0) - b.mean(0), (0.025, 0.975))


def choose(tries: Sequence[Try]) -> tuple[float, bool]:
    known = [t for t in tries if not math.isnan(t.val)]
    best = max(known, key=lambda t: t.val)
    return best.lr, best.lr in (min(t.lr for t in tries), max(t.lr for t in tries))


GIVEN: dict[str, dict[str, Any]] = {
    "paired": {},
    "choose": {},
    "better_classes": {
        "ours": study.peers()["lapnet"], "theirs": study.peers()["ssd"], "names": study.class_names(),
    },
}  # fmt: skip
WINS = {
    name
    for name in study.class_names()
    if study.peers()["lapnet"].values(objects=name).min() > study.peers()["ssd"].values(objects=name).max()
}
RIGHT: dict[str, Any] = {"paired": paired, "choose": choose, "better_classes": WINS}


@pytest.mark.parametrize("name", EXERCISES)
def test_right_answers_pass(name: str) -> None:
    assert judge(name, RIGHT[name], **GIVEN[name]).done is True


@pytest.mark.parametrize("name", EXERCISES)
def test_a_stub_is_not_yet_done(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    check_stub(partial(check, name, **GIVEN[name]), capsys)


def changes_its_input(a: Any, *rest: Any) -> Any:
    a[0] = a[-1]
    return (0.0, 1.0)


def fails(*given: Any) -> Any:
    raise KeyError("nothing here")


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize(
    "answer",
    [
        1, "cat", {}, object(), [None], float("nan"), {"cat", "unicorn"}, print, len, fails, changes_its_input,
        lambda: None, lambda *given: "x", lambda *given: (1, 2, 3), lambda *given: (math.nan, math.inf), type,
    ],
)  # fmt: skip
def test_anything_at_all_gets_a_sentence(name: str, answer: Any) -> None:
    verdict = judge(name, answer, **GIVEN[name])
    assert verdict.done is False
    assert str(verdict).startswith("Not quite: ")
    assert "Traceback" not in str(verdict)


@pytest.mark.parametrize("method", ["linear", "lower", "higher", "nearest", "midpoint"])
def test_a_quantile_may_be_read_off_between_two_draws_in_any_way(method: Any) -> None:
    answer = lambda a, b: np.quantile(a.mean(0) - b.mean(0), (0.025, 0.975), method=method)  # noqa: E731
    assert judge("paired", answer).done is True


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (paired(np.zeros((1, 2)), np.zeros((1, 2))), "needs a function"),
        (lambda a, b: paired(b, a), "how far b is above"),
        (lambda a, b: paired(a, b)[::-1], "changed places"),
        (lambda a, b: 100 * paired(a, b), "in percent"),
        (lambda a, b: np.quantile(a.mean(0) - b.mean(0), (0.05, 0.95)), "90 %"),
        (lambda a, b: np.quantile(a.mean(0), (0.025, 0.975)) - np.quantile(b.mean(0), (0.025, 0.975)), "two quantiles"),
        (lambda a, b: np.quantile(a.mean(0), (0.025, 0.975)) - np.quantile(b.mean(0), (0.975, 0.025)), "pairing away"),
        (lambda a, b: np.quantile(np.sort(a.mean(0)) - np.sort(b.mean(0)), (0.025, 0.975)), "you sort"),
        (lambda a, b: np.quantile(a - b, (0.025, 0.975)), "average over the seeds"),
        (lambda a, b: (a.min(), b.max()), "with 3 and 3 seeds it gives"),
        (fails, "KeyError"),
        (changes_its_input, "changes its arguments"),
        (lambda a: a, "it is called as paired_interval(a, b)"),
    ],
)
def test_wrong_intervals_are_told_apart(answer: Any, why: str) -> None:
    assert why in str(judge("paired", answer))


def of_val(tries: Sequence[Try]) -> Try:
    return max((t for t in tries if not math.isnan(t.val)), key=lambda t: t.val)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda tries: (max(tries, key=lambda t: t.test).lr, False), "best on *test*"),
        (lambda tries: (max(tries, key=lambda t: t.val).lr, choose(tries)[1]), "ended in nan"),
        (lambda tries: (of_val(tries).lr, of_val(tries) in (tries[0], tries[-1])), "the smallest or the largest rate"),
        (lambda tries: (of_val(tries).lr, False), "0.005 is the smallest"),
        (lambda tries: (tries[1].lr, False), "it takes 0.005, not 0.01"),
        (lambda tries: tries.sort(key=lambda t: t.lr) or choose(tries), "changes its arguments"),
        (lambda tries: of_val(tries).lr, "(learning rate, whether at the edge)"),
    ],
)
def test_wrong_choices_are_told_apart(answer: Any, why: str) -> None:
    assert why in str(judge("choose", answer))


def test_the_hidden_tries_tell_val_from_test() -> None:
    several = [tried for tried in TRIALS.values() if len(tried) > 1]
    assert any(of_val(tried) != max(tried, key=lambda t: t.test) for tried in several)
    assert {choose(tried)[1] for tried in TRIALS.values()} == {True, False}


def test_wrong_classes_are_told_apart() -> None:
    given = GIVEN["better_classes"]
    names = set(study.class_names())
    above = {name for name in names if given["ours"].mean(objects=name) > given["theirs"].mean(objects=name)}
    below = {name for name in names - above if study.apart(given["ours"], given["theirs"], name)}
    assert "is above, in every seed" in str(judge("better_classes", below, **given))
    assert "not cow" in str(judge("better_classes", {*WINS, "cow"}, **given))
    assert f"{len(WINS)} classes are wanted" in str(judge("better_classes", set(list(WINS)[:1]), **given))


def test_the_solutions_in_the_notebook_are_right() -> None:
    known = {"np": np, "peers": study.peers(), "classes": study.class_names()}
    check_solutions("09_ablations", EXERCISES, judge, GIVEN.__getitem__, known.copy)
