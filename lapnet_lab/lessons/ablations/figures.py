"""Charts of lesson 09: rows with intervals, by size, by class, over the schedule; the numbers in percent, rounded."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from lapnet_core.ablate import TABLES
from lapnet_lab.charts import Chart, chart, mark, percent
from lapnet_lab.lessons.ablations import study
from lapnet_lab.lessons.ablations.study import Try
from lapnet_lab.runs import METRICS, RESAMPLED, Row
from lapnet_lab.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION

COLORS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK, GREY)
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x")
DASHES = ("solid", "dash", "dot", "dashdot")
COLUMN = 30
"""Width of a row's name in the texts."""


def looks(names: Iterable[str]) -> dict[str, tuple[str, str, str]]:
    """(Colour, symbol, dash) of each: a rule of AMS has its own in every chart, the others take what is left."""
    names, rules = list(names), list(TABLES["ams"])
    others = [name for name in names if name not in rules]
    first = len(rules) if len(others) < len(names) else 0
    places = {name: rules.index(name) for name in names if name in rules}
    places |= {name: first + k for k, name in enumerate(others)}
    return {name: (COLORS[k % 8], SYMBOLS[k % 5], DASHES[k % 4]) for name, k in places.items()}


def _bars(rows: Sequence[Row], metric: str) -> dict[str, Any]:
    """Intervals around the means, for plotly."""
    ends = np.array([row.interval(metric) for row in rows])
    means = np.array([row.mean(metric) for row in rows])
    below, above = percent(means - ends[:, 0]), percent(ends[:, 1] - means)
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1.6, "width": 4}


def rows_of(rows: Mapping[str, Row], metric: str = "ap50", objects: str = "all", title: str = "") -> go.Figure:
    """A line for each row: the mean, its interval where the photographs were drawn again, and each seed."""
    listed, of_all = list(rows.values()), objects == "all" and metric in RESAMPLED
    ticks = [f"{row.name} ({_seeds(row)})" for row in listed]
    means = percent([row.mean(metric, objects) for row in listed])
    what = METRICS[metric] if objects == "all" else f"{METRICS[metric]} of {objects}"
    points = [(row.name, k, seed, value) for k, row in enumerate(listed)
              for seed, value in zip(row.seeds, percent(row.values(metric, objects)), strict=True)]  # fmt: skip
    traces = [
        go.Scatter(
            x=means, y=list(range(len(listed))), name="mean, 95 %" if of_all else "mean", mode="markers",
            error_x=_bars(listed, metric) if of_all else None, marker={"color": BLUE, "size": 11, "symbol": "diamond"},
            text=ticks, hovertemplate="%{text}: %{x} %<extra></extra>",
        ),
        go.Scatter(
            x=[value for *_, value in points], y=[k + 0.28 for _, k, *_ in points], name="a seed", mode="markers",
            marker={"color": VERMILLION, "size": 7, "symbol": "circle-open"},
            text=[f"{name}, seed {seed}" for name, _, seed, _ in points],
            hovertemplate="%{text}: %{x} %<extra></extra>",
        ),
    ]  # fmt: skip
    return chart(
        traces, title=title or what, x=f"{what} on test, %", height=110 + 46 * len(listed), xaxis_rangemode="tozero",
        yaxis_tickvals=list(range(len(listed))), yaxis_ticktext=ticks, yaxis_range=[len(listed) - 0.4, -0.6],
        yaxis_zeroline=False,
    )  # fmt: skip


def _seeds(row: Row) -> str:
    return "1 seed" if len(row.runs) == 1 else f"{len(row.runs)} seeds"


def described(rows: Mapping[str, Row], metric: str = "ap50", objects: str = "all") -> str:
    """The same in words: one line a row."""
    lines = []
    for row in rows.values():
        text = f"{row.name:{COLUMN}}{100 * row.mean(metric, objects):5.1f}"
        if objects == "all" and metric in RESAMPLED:
            text += "  [{:.1f}, {:.1f}]".format(*(100 * end for end in row.interval(metric)))
        lines.append(f"{text}  ({_seeds(row)})")
    return "\n".join(lines)


def against(first: Row, others: Mapping[str, Row]) -> str:
    """How far a row is above others, at both metrics: one line each."""
    lines = []
    for metric in RESAMPLED:
        for row in others.values():
            gap = study.difference(first, row, metric)
            word = {"reproduced": "above", "refuted": "below"}.get(gap.verdict(), "undecided")
            lines.append(f"{METRICS[metric]}  against {row.name:{COLUMN}} {gap!s:22} {word}")
    return "\n".join(lines)


def beside(rows: Mapping[str, Row], base: str, begin: tuple[str, ...]) -> str:
    """How far the rows whose names `begin` so are above the row `base`, at both metrics: a line each."""
    lines = []
    for name, row in rows.items():
        if name.startswith(begin):
            gaps = {METRICS[metric]: study.difference(row, rows[base], metric) for metric in RESAMPLED}
            lines.append(
                f"  {name:{COLUMN}}" + "  ".join(f"{title} {gap!s:20}" for title, gap in gaps.items()).rstrip()
            )
    return "\n".join(lines)


def forest(rows: Mapping[str, Row], metric: str = "ap50", objects: str = "all", title: str = "") -> Chart:
    """`rows_of` with its text."""
    return Chart(rows_of(rows, metric, objects, title), described(rows, metric, objects))


def spread(drawn: Mapping[str, ArrayLike], title: str, bins: int = 24) -> Chart:
    """How often each value comes among draws, in points; one line for each kind of draw."""
    points = {name: 100 * np.asarray(values, dtype=float) for name, values in drawn.items()}
    low, high = min(v.min() for v in points.values()), max(v.max() for v in points.values())
    edges = np.linspace(np.floor(low), np.ceil(high), bins + 1)
    middles = np.round((edges[1:] + edges[:-1]) / 2, 2).tolist()
    traces, text = [], []
    for k, (name, values) in enumerate(points.items()):
        counts = np.histogram(values, edges)[0].tolist()
        ends = np.quantile(values, (0.025, 0.975))
        text.append(f"{name:10} 95 % from {ends[0]:+.1f} to {ends[1]:+.1f} points")
        look = {"color": COLORS[k], "dash": DASHES[k], "shape": "hvh", "width": 2}
        shown = "%{x} points: %{y} draws<extra>" + name + "</extra>"
        traces.append(go.Scatter(x=middles, y=counts, name=name, mode="lines", line=look, hovertemplate=shown))
    return Chart(chart(traces, title=title, x="difference, points", y="draws", height=330), "\n".join(text))


def lines(
    curves: Mapping[str, tuple[Sequence[float], ArrayLike]], *, title: str, x: str, y: str, text: str = "",
    bars: Mapping[str, Any] | None = None, **layout: Any,
) -> Chart:  # fmt: skip
    """Curves by name, y from 0 to 1 shown in percent; the legend switches them off and on."""
    look = looks(curves)
    traces = [
        go.Scatter(
            x=list(steps), y=percent(values), name=name, mode="lines+markers", error_y=(bars or {}).get(name),
            line={"color": look[name][0], "dash": look[name][2], "width": 2},
            marker=mark(*look[name][:2], 8),
            hovertemplate="%{x}: %{y} %<extra>" + name + "</extra>",
        )
        for name, (steps, values) in curves.items()
    ]  # fmt: skip
    return Chart(chart(traces, title=title, x=x, y=y, **layout), text)


def kept_shares(rows: Mapping[str, Row]) -> Chart:
    """The share of positive anchors that AMS leaves to the classification, over the training."""
    curves = {name: study.kept(row) for name, row in rows.items()}
    text = "\n".join(
        f"{name:{COLUMN}}{v[0]:4.0%} at step {s[0]}, {v[-1]:4.0%} at step {s[-1]}" for name, (s, v) in curves.items()
    )
    return lines(
        curves, title="positive anchors that AMS keeps, by rule", x="step", y="kept, %", yaxis_range=[0, 104],
        text=text, height=400,
    )  # fmt: skip


def over_schedules(tables: Mapping[int, Mapping[str, Row]], metric: str = "ap50") -> Chart:
    """Rows that ran on several schedules: steps against the metric, with intervals."""
    shortest = tables[min(tables)]
    shared = [name for name in shortest if all(name in rows for rows in tables.values())]
    each = {name: [tables[steps][name] for steps in sorted(tables)] for name in shared}
    curves = {name: (sorted(tables), [row.mean(metric) for row in found]) for name, found in each.items()}
    text = "\n".join(
        f"{name:{COLUMN}}" + ", ".join(f"{100 * row.mean(metric):.1f} ({_seeds(row)})" for row in found)
        for name, found in each.items()
    )
    return lines(
        curves, title=f"{METRICS[metric]} by the length of the training", x="steps", y=f"{METRICS[metric]} on test, %",
        text=text, bars={name: _bars(found, metric) for name, found in each.items()}, xaxis_tickvals=sorted(tables),
        xaxis_range=[0, 1.08 * max(tables)],
    )  # fmt: skip


def by_objects(rows: Mapping[str, Row], groups: Sequence[str], title: str) -> Chart:
    """AP50 of each row for sizes or classes: the mean, and a bar from the least seed to the best."""
    look = looks(row.name for row in rows.values())
    traces, text = [], [f"{'':{COLUMN}}" + "".join(f"{name:>9}" for name in groups)]
    width = 0.6 / max(1, len(rows))
    for k, row in enumerate(rows.values()):
        seeds = [row.values(objects=group) for group in groups]
        means = np.array([values.mean() for values in seeds])
        above = percent([values.max() - mean for values, mean in zip(seeds, means, strict=True)])
        below = percent([mean - values.min() for values, mean in zip(seeds, means, strict=True)])
        text.append(f"{row.name:{COLUMN}}" + "".join(f"{value:9.1f}" for value in 100 * means))
        traces.append(
            go.Scatter(
                x=[round(i + (k - (len(rows) - 1) / 2) * width, 3) for i in range(len(groups))], y=percent(means),
                name=f"{row.name}, {_seeds(row)}", mode="markers", text=list(groups),
                error_y={"type": "data", "symmetric": False, "array": above, "arrayminus": below, "width": 3},
                marker=mark(*look[row.name][:2]),
                hovertemplate="%{text}: %{y} %<extra>" + row.name + "</extra>",
            )
        )  # fmt: skip
    return Chart(
        chart(traces, title=title, x="", y="AP50 on test, %", height=400, xaxis_tickvals=list(range(len(groups))),
              xaxis_ticktext=list(groups), yaxis_rangemode="tozero"),
        "\n".join(text),
    )  # fmt: skip


def two_metrics(rows: Mapping[str, Row], title: str = "LapNet and the peers") -> Chart:
    """AP50 against AP75, an interval either way."""
    look = looks(row.name for row in rows.values())
    traces = [
        go.Scatter(
            x=percent([row.mean("ap50")]), y=percent([row.mean("ap75")]), name=f"{row.name}, {_seeds(row)}",
            mode="markers", error_x=_bars([row], "ap50"), error_y=_bars([row], "ap75"),
            marker=mark(*look[row.name][:2], 12),
            hovertemplate="AP50 %{x} %, AP75 %{y} %<extra>" + row.name + "</extra>",
        )
        for row in rows.values()
    ]  # fmt: skip
    found = rows.values()
    text = "\n".join(
        f"{row.name:{COLUMN}}AP50 {100 * row.mean():5.1f}, AP75 {100 * row.mean('ap75'):5.1f}" for row in found
    )
    return Chart(chart(traces, title=title, x="AP50 on test, %", y="AP75 on test, %", height=420), text)


def learning_rates(tried: Mapping[str, Sequence[Try]]) -> Chart:
    """AP50 on val over the learning rates, from seed 0."""
    curves = {name: ([t.lr for t in found], [t.val for t in found]) for name, found in tried.items() if found}
    best = {name: max(found, key=lambda t: t.val) for name, found in tried.items() if found}
    text = "\n".join(
        f"{name:{COLUMN}}{len(tried[name])} tried, best on val: {t.lr:g} ({100 * t.val:.1f})"
        for name, t in best.items()
    )
    rates = sorted({t.lr for found in tried.values() for t in found})
    return lines(
        curves, title="what each method reached on val, seed 0", x="learning rate", y="AP50 on val, %", text=text,
        xaxis_type="log", xaxis_tickvals=rates, xaxis_ticktext=[f"{rate:g}" for rate in rates],
        yaxis_rangemode="tozero",
    )  # fmt: skip
