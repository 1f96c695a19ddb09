"""Charts of lesson 10: the paper's figure as far as its text tells it, ours, fronts, sizes, and the clock."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from lapnet_lab.charts import Chart, chart, mark, percent, rounded
from lapnet_lab.lessons.speed_accuracy.measuring import Speed
from lapnet_lab.lessons.speed_accuracy.study import (
    AGAINST,
    CALLED,
    METRICS,
    Point,
    best_size,
    front,
    front_shares,
    of_kind,
)
from lapnet_lab.records import paper_table
from lapnet_lab.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION

LOOKS = dict(
    zip(
        CALLED.values(),
        ((BLUE, "circle"), (SKY, "circle-open"), (VERMILLION, "square"), (GREEN, "diamond"), (PURPLE, "triangle-up"),
         (ORANGE, "x"), (BLACK, "square"), (BLUE, "diamond")),
        strict=True,
    )
)  # fmt: skip
"""Name -> (colour, symbol), in every chart."""
LONGEST = 200
"""Milliseconds: the paper plots only detectors below."""
OF_PAPER = {"Lapnet": BLUE, "YoloV": VERMILLION, "RetinaNet": GREEN, "FCOS": PURPLE, "SSD": ORANGE, "DSSD": ORANGE}
"""How the names of a family begin -> its colour; those of one family differ by their symbols."""
SYMBOLS = ("circle", "square", "diamond", "triangle-up")
DIGITS = 3
"""Significant ones of the numbers in charts."""
COLUMN = 16
TICKS = ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8))
"""Of a logarithmic axis, in each decade: the second where the first leaves too few."""
MAIN = (
    ("ap50", "ms"), ("ap75", "ms"), ("ap50", "single"), ("ap75", "single"), ("ap50", "batch"), ("ap75", "batch"),
    ("ap50", "gmacs"), ("ap75", "gmacs"),
)  # fmt: skip
"""What the menu of the main chart offers."""


def band(row: Mapping[str, Any]) -> tuple[float, float]:
    """(From, to) in milliseconds: where a detector of fig. 1 lies, as far as the paper's text says it."""
    return row["ms_from"] or 0.0, row["ms_below"] or LONGEST


def paper_looks(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(Colour of its family, symbol) of each row of fig. 1; no two are the same."""
    looks: list[tuple[str, str]] = []
    for row in rows:
        colour = next((c for start, c in OF_PAPER.items() if str(row["method"]).startswith(start)), GREY)
        looks.append((colour, SYMBOLS[sum(colour == other for other, _ in looks)]))
    return looks


def paper_figure() -> Chart:
    """Fig. 1 of the paper: each method is a bar as long as the text leaves its time open."""
    rows = sorted(paper_table("figure_1"), key=lambda row: -float(row["ap"]))
    traces, text = [], []
    for k, (row, (colour, symbol)) in enumerate(zip(rows, paper_looks(rows), strict=True)):
        low, high = band(row)
        name = f"{row['method']}, {row['backbone']}"
        covered = any((other["ap"], *band(other)) == (row["ap"], low, high) for other in rows[k + 1 :])
        words = (
            f"below {high:g} ms" if not low else f"{low:g} to {high:g} ms" if row["ms_below"] else f"from {low:g} ms"
        )
        told = {"yes": "", "no": "; not plotted there", "not said": ""}[str(row["shown"])]
        traces.append(
            go.Scatter(
                x=[low, high], y=[row["ap"]] * 2, name=name, mode="lines+markers",
                line={"color": colour, "width": 3, "dash": "dot" if row["shown"] == "no" else "solid"},
                marker=mark(colour, symbol, 14 if covered else 9),  # equal ones: it looks out beneath the other
                hovertemplate=f"{name}: AP {row['ap']}, {words}{told}<extra></extra>",
            )
        )  # fmt: skip
        text.append(f"{name:38}AP {row['ap']:4}  {words}{told}")
    figure = chart(
        traces, title="the paper's fig. 1, as far as its text tells it: COCO test-dev, TITAN X", height=430,
        x="ms an image: somewhere on the bar", y="AP (mean over IoU .5 to .95), %", xaxis_range=[-4, LONGEST + 4],
    )  # fmt: skip
    return Chart(figure, "\n".join(text))


def _hover(point: Point) -> str:
    parts = [f"<b>{point.label} px</b>, {point.machine}"]
    for metric, title in METRICS.items():
        low, high = percent(point.accuracy["interval"][metric])
        parts.append(f"{title} {100 * point.accuracy[metric]:.1f} % [{low}, {high}]")
    speed = point.speed
    parts.append(f"{speed.ms:.1f} ms one at a time [{speed.low:.1f}, {speed.high:.1f}]")
    parts.append(f"{speed.images_per_second:.0f} images/s in batches of 8")
    parts.append(f"{speed.gmacs:.2f} GMAC, {speed.post:.0%} of the time after the last layer")
    return "<br>".join(parts)


def _bars(found: Sequence[Point], metric: str) -> dict[str, Any]:
    ends = [point.accuracy["interval"][metric] for point in found]
    above = percent([high - point.accuracy[metric] for (_, high), point in zip(ends, found, strict=True)])
    below = percent([point.accuracy[metric] - low for (low, _), point in zip(ends, found, strict=True)])
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 0.8, "width": 2}


def _axis(found: Sequence[Point], against: str) -> dict[str, Any]:
    """The title, range and ticks of a logarithmic axis."""
    values = [point.at(against) for point in found]
    low, high = min(values) / 1.15, max(values) * 1.15
    ticks: list[float] = []
    for steps in TICKS:
        ticks = [k * 10.0**e for e in range(-2, 5) for k in steps if low <= k * 10.0**e <= high]
        if len(ticks) >= 4:
            break
    return {
        "title": AGAINST[against], "range": [round(float(np.log10(end)), 3) for end in (low, high)],
        "ticks": ticks, "texts": [f"{tick:g}" for tick in ticks],
    }  # fmt: skip


def plane_of(
    found: Sequence[Point], metric: str = "ap50", against: str = "ms", title: str = "", menu: bool = True,
    intervals: bool = False,
) -> go.Figure:  # fmt: skip
    """Accuracy against a cost: a line for each detector, through its sizes, and the front; machines side by side.

    Args:
        menu: offers every pair of MAIN, without a kernel.
        intervals: 95 % of the draws of the photographs, around each point.
    """
    machines = list(dict.fromkeys(point.machine for point in found))
    groups = [
        (m, name, of_kind([p for p in found if p.machine == m], name)) for m in machines for name in CALLED.values()
    ]
    groups = [group for group in groups if group[2]]
    fronts = {pair: [front([p for p in found if p.machine == m], *pair) for m in machines]
              for pair in (MAIN if menu else ((metric, against),))}  # fmt: skip
    traces = []
    for machine, name, own in groups:
        first = machine == machines[0]
        traces.append(
            go.Scatter(
                x=rounded([p.at(against) for p in own], DIGITS), y=percent([p.accuracy[metric] for p in own]),
                name=name if first else f"{name}, {machine.short}", mode="lines+markers",
                error_y=_bars(own, metric) if intervals else None,
                **_look(name, "solid" if first else "dash"), text=[_hover(p) for p in own],
                hovertemplate="%{text}<extra></extra>",
            )
        )  # fmt: skip
    for machine, own in zip(machines, fronts[metric, against], strict=True):
        traces.append(
            go.Scatter(
                x=rounded([p.at(against) for p in own], DIGITS), y=percent([p.accuracy[metric] for p in own]),
                name="the front" if machine == machines[0] else f"the front, {machine.short}", mode="lines",
                line={"color": BLACK, "width": 2, "dash": "dot"}, hoverinfo="skip",
            )
        )  # fmt: skip
    axis = _axis(found, against)
    figure = chart(
        traces, title=title, x=axis["title"], y=_ordinate(found, metric), height=440, xaxis_type="log",
        xaxis_range=axis["range"], xaxis_tickvals=axis["ticks"], xaxis_ticktext=axis["texts"],
    )  # fmt: skip
    if menu:
        figure.update_layout(
            updatemenus=[_menu(found, groups, fronts, (metric, against))], margin={"t": 84}, title_y=0.98,
            title_yanchor="top",
        )  # fmt: skip
    return figure


def _look(name: str, dash: str | None = None) -> dict[str, Any]:
    """Line and marker of a detector."""
    colour, symbol = LOOKS[name]
    return {
        "line": {"color": colour, "width": 1.5} | ({"dash": dash} if dash else {}),
        "marker": mark(colour, symbol),
    }


def _ordinate(found: Sequence[Point], metric: str) -> str:
    """What is on the vertical axis."""
    (data,) = {point.accuracy["data"] for point in found}
    return f"{METRICS[metric]} on the test of {data}, %"


def _menu(found: Sequence[Point], groups: Sequence[Any], fronts: Mapping[Any, Any], now: tuple[str, str]) -> Any:
    """The pairs of MAIN, each with the numbers of all traces: plotly changes them without a kernel."""
    buttons = []
    for metric, against in MAIN:
        axis = _axis(found, against)
        each = [own for _, _, own in groups] + list(fronts[metric, against])
        buttons.append(
            {
                "label": f"{METRICS[metric]} against {AGAINST[against]}", "method": "update",
                "args": [
                    {"x": [rounded([p.at(against) for p in own], DIGITS) for own in each],
                     "y": [percent([p.accuracy[metric] for p in own]) for own in each]},
                    {"xaxis.title.text": axis["title"], "xaxis.range": axis["range"], "xaxis.tickvals": axis["ticks"],
                     "xaxis.ticktext": axis["texts"], "yaxis.title.text": _ordinate(found, metric)},
                ],
            }
        )  # fmt: skip
    return {"buttons": buttons, "active": MAIN.index(now), "x": 0, "xanchor": "left", "y": 1.14, "yanchor": "top",
            "showactive": True, "bgcolor": "white"}  # fmt: skip


def described(found: Sequence[Point], metric: str = "ap50", against: str = "ms") -> str:
    """A line for each detector: cost and accuracy of each size, and a star on what is on the front."""
    stars = {(p.machine, p.label) for m in {p.machine for p in found}
             for p in front([q for q in found if q.machine == m], metric, against)}  # fmt: skip
    sizes = sorted({point.size for point in found})
    lines = [f"{'px':{COLUMN}}" + "".join(f"{size:>12}" for size in sizes)]
    machines = list(dict.fromkeys(point.machine for point in found))
    for machine in machines:
        lines += [f"[{machine}]"] if len(machines) > 1 else []
        for name in CALLED.values():
            own = {p.size: p for p in found if p.name == name and p.machine == machine}
            cells = []
            for size in sizes:
                point = own.get(size)
                star = "*" if point and (machine, point.label) in stars else " "
                cell = f"{point.at(against):.3g}: {100 * point.accuracy[metric]:.1f}{star}" if point else "- "
                cells.append(f"{cell:>12}")
            if own:
                lines.append(f"{name:{COLUMN}}" + "".join(cells))
    return "\n".join(lines)


def plane(
    found: Sequence[Point], metric: str = "ap50", against: str = "ms", title: str = "", intervals: bool = False
) -> Chart:
    """`plane_of` with its text."""
    figure = plane_of(found, metric, against, title, intervals=intervals)
    head = f"{AGAINST[against]}: {METRICS[metric]} in %; * nothing beats it"
    return Chart(figure, f"{head}\n{described(found, metric, against)}")


def over_sizes(found: Sequence[Point], metric: str = "ap50") -> Chart:
    """What each reaches by the size of its input."""
    traces, text = [], []
    for name in LOOKS:
        if not (own := of_kind(found, name)):
            continue
        traces.append(
            go.Scatter(
                x=[p.size for p in own], y=percent([p.accuracy[metric] for p in own]), name=name, mode="lines+markers",
                error_y=_bars(own, metric), **_look(name),
                hovertemplate="%{x} px: %{y} %<extra>" + name + "</extra>",
            )
        )  # fmt: skip
        text.append(f"{name:{COLUMN}}most at {best_size(found, name, metric)} px")
    sizes = sorted({point.size for point in found})
    figure = chart(
        traces, title="trained at 192 px, tested at others", x="side of the input, px", y=_ordinate(found, metric),
        xaxis_tickvals=sizes, yaxis_rangemode="tozero", height=400,
    )  # fmt: skip
    return Chart(figure, "\n".join(text))


def clock(found: Sequence[Point]) -> Chart:
    """Operations against time, of each detector at each size."""
    traces, text = [], []
    for name in LOOKS:
        if not (own := of_kind(found, name)):
            continue
        traces.append(
            go.Scatter(
                x=rounded([p.speed.gmacs for p in own], DIGITS), y=rounded([p.ms for p in own], DIGITS), name=name,
                mode="lines+markers", **_look(name), text=[_hover(p) for p in own],
                hovertemplate="%{text}<extra></extra>",
            )
        )  # fmt: skip
        rates = [p.speed.gmacs / p.ms * 1e3 for p in own]
        text.append(
            f"{name:{COLUMN}}{own[0].speed.gmacs:5.2f} to {own[-1].speed.gmacs:5.2f} GMAC, {own[0].ms:5.1f} to "
            f"{own[-1].ms:5.1f} ms: {rates[0]:4.0f} to {rates[-1]:4.0f} GMAC/s"
        )
    figure = chart(
        traces, title="multiplications are not time", x=AGAINST["gmacs"], y=AGAINST["ms"], height=400,
        xaxis_rangemode="tozero", yaxis_rangemode="tozero",
    )  # fmt: skip
    return Chart(figure, "\n".join(text))


def timed(found: Sequence[Point]) -> str:
    """The clock in words: alone, in batches, and what comes after the last layer."""
    lines = [f"{'':{COLUMN + 6}}{'ms alone':>10}{'images/s':>10}{'in 8s':>8}{'gain':>7}{'after the last layer':>22}"]
    for p in found:
        one, eight = p.at("single"), p.at("batch")
        lines.append(
            f"{p.name:{COLUMN}}{p.size:>4}  {p.ms:10.1f}{one:10.1f}{eight:8.1f}{eight / one:7.2f}{p.speed.post:22.0%}"
        )
    return "\n".join(lines)


def shares(found: Sequence[Point], least: float = 0.1) -> str:
    """In which share of the draws of the photographs each point is on the front, of those that are so often on one."""
    of_metric = {title: front_shares(found, metric) for metric, title in METRICS.items()}
    lines = [f"{'on the front of':20}" + "".join(f"{title:>8}" for title in of_metric)]
    for point in found:
        own = [share[point.label] for share in of_metric.values()]
        if max(own) >= least:
            lines.append(f"{point.label:20}" + "".join(f"{share:8.0%}" for share in own))
    return "\n".join(lines)


def speeds_text(found: Sequence[Speed]) -> str:
    """Milliseconds of one image, by name and size."""
    sizes = sorted({one.size for one in found})
    lines = [f"{'ms an image':{COLUMN}}" + "".join(f"{size:>8}" for size in sizes)]
    for kind, name in CALLED.items():
        own = {one.size: one for one in found if (one.method, one.backbone) == kind}
        if own:
            lines.append(f"{name:{COLUMN}}" + "".join(f"{own[s].ms:8.1f}" if s in own else f"{'-':>8}" for s in sizes))
    return "\n".join(lines)


def beside_table_3(found: Mapping[str, Point]) -> str:
    """Some rows of the paper's table 3, and ours under them: other data, size, schedule and metric."""
    lines = [f"{'the paper, COCO test-dev':42}{'AP':>6}{'AP50':>7}{'AP75':>7}"]
    for row in paper_table("table_3"):
        if str(row["method"]).startswith(("SSD", "RetinaNet-500", "FCOS", "YoloV3", "Lapnet")):
            name = f"{row['method']}, {row['backbone']}"
            lines.append(f"{name:42}{row['ap']:6.1f}{row['ap50']:7.1f}{row['ap75']:7.1f}")
    lines += ["", "ours, voc_animals' test at 192 px"]
    for name, p in found.items():
        lines.append(f"{name:42}{100 * p.accuracy['ap']:6.1f}{100 * p.ap50:7.1f}{100 * p.ap75:7.1f}")
    return "\n".join(lines)


def beside_table_1(found: Mapping[str, Point], classes: Sequence[str]) -> str:
    """Table 1's classes that voc_animals has, of some methods; ours have other photographs, and no such column."""
    lines = [f"{'the paper, VOC 2007 test':26}" + "".join(f"{name:>8}" for name in classes) + f"{'mean':>8}"]
    for row in paper_table("table_1"):
        if row["aero"] == "" or row["family"] != "single-stage":
            continue
        values = [float(row[name]) for name in classes]
        name = f"{row['method']}, {row['backbone']}"
        lines.append(f"{name:26}" + "".join(f"{v:8.1f}" for v in values) + f"{sum(values) / len(values):8.1f}")
    lines += ["", "ours, voc_animals' test at 192 px"]
    for name, p in found.items():
        values = [100 * p.accuracy["per_class"][c] for c in classes]
        lines.append(f"{name:26}" + "".join(f"{v:8.1f}" for v in values) + f"{sum(values) / len(values):8.1f}")
    return "\n".join(lines)
