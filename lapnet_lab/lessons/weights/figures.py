"""Learned weights: charts to hover over, filter and zoom into, and the picture of one moment for the panel."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float
from matplotlib.figure import Figure

from lapnet_lab.charts import Chart, chart, mark, rounded
from lapnet_lab.lessons.weights.drift import Walk
from lapnet_lab.lessons.weights.slots import KINDS, Slots
from lapnet_lab.lessons.weights.study import LOSSES, Run, Which
from lapnet_lab.printed import aligned
from lapnet_lab.style import BLACK, BLUE, GREY, ORANGE, VERMILLION, color, panel_row, styled

RULE = {"learned": VERMILLION, "steady": BLUE}
"""Colour of the paper's rule, and of ours."""
SYMBOLS = {"loc": "circle-open", "cls": "square"}
DASH = {"loc": "dash", "cls": "solid"}
MARKERS = "os^Dv<>"


def weights_by_area(run: Run, shown: Sequence[str], text: str) -> Chart:
    """Fig. 6 of the paper: lambda[c, a] against the area of the anchor, over the geometric mean of all of its loss.

    Args:
        shown: classes that are drawn at first; a click in the legend shows the others.
    """
    traces = []
    relatives = {which: run.weights(which) / np.exp(np.log(run.weights(which)).mean()) for which in LOSSES}
    for which, loss in LOSSES.items():
        relative = relatives[which]
        for c, name in enumerate(run.class_names):
            sizes = [f"{w:.0f} × {h:.0f} px" for w, h in run.shapes[c]]
            traces.append(
                go.Scatter(
                    x=rounded(run.area[c]), y=rounded(relative[c]), text=sizes, name=f"{name}, {loss}",
                    mode="lines+markers", line={"color": color(c), "dash": DASH[which], "width": 2},
                    marker=mark(color(c), SYMBOLS[which], 8),
                    visible=True if name in shown else "legendonly",
                    hovertemplate="%{text}: %{y:.2f}<extra>%{fullData.name}</extra>",
                )
            )  # fmt: skip
    axes = {**_log_axis("x", _ticks(run.area, (1, 3))), **_log_axis("y", _ticks(relatives.values(), (1, 2, 5)))}
    title = f"{run.name}: weight of an anchor, over the mean of its loss"
    return Chart(chart(traces, title=title, x="area of the anchor, px²", y="λ[c, a] / mean", height=420, **axes), text)


def loss_weights(runs: Mapping[str, Sequence[Mapping[str, Sequence[float]]]], text: str) -> Chart:
    """lambda_loc and lambda_cls over the steps; each rule has the logs of its seeds, as `study.loss_weights` has them.

    A click in the legend takes the seeds of a rule and loss away together.
    """
    traces = []
    for rule, seeds in runs.items():
        for which in LOSSES:
            name = f"{rule}, λ_{which}"
            for seed, log in enumerate(seeds):
                traces.append(
                    go.Scatter(
                        x=list(log["step"]), y=rounded(log[which]), mode="lines", name=name, legendgroup=name,
                        showlegend=seed == 0, line={"color": RULE[rule], "dash": DASH[which], "width": 1.8},
                        hovertemplate=f"step %{{x}}: %{{y:.3g}}<extra>{name}, seed {seed}</extra>",
                    )
                )  # fmt: skip
    title = "the two loss weights while LapNet trains on photographs, three seeds"
    return Chart(chart(traces, title=title, x="step", y="λ", height=400, yaxis_type="log"), text)


def walks(paths: Mapping[str, Walk], text: str) -> Chart:
    """lambda_loc, one lambda_loc[c, a], and their product, under each rule, on the toy."""
    traces = []
    for rule, path in paths.items():
        lam, weight = np.exp(-path.s["loc"]), np.exp(-path.s_anchor["loc"][:, 0, 0])
        lines = (("λ_loc", lam, "dash"), ("λ_loc[0, 0]", weight, "dot"), ("their product", lam * weight, "solid"))
        for name, values, dash in lines:
            steps = list(range(0, len(values), 3))
            traces.append(
                go.Scatter(
                    x=steps, y=rounded(values[steps]), mode="lines", name=f"{rule}: {name}",
                    line={"color": RULE[rule], "dash": dash, "width": 2},
                    hovertemplate="step %{x}: %{y:.3g}<extra>%{fullData.name}</extra>",
                )
            )  # fmt: skip
    title = "toy: each batch holds one of two classes, in turn"
    return Chart(chart(traces, title=title, x="step", y="weight", height=400, yaxis_type="log"), text)


def loudness(pairs: Mapping[str, tuple[Any, Any]], run: Run) -> Chart:
    """How many times too loud each grid is: by the formula, and as recorded; `study.loudness` has the pairs."""
    lines = []
    for name, (wanted, found) in pairs.items():
        error = np.exp(np.abs(np.log(found / wanted)).mean()) - 1
        ends = f"{wanted.min():.2f} to {wanted.max():.2f} predicted, {found.min():.2f} to {found.max():.2f} recorded"
        lines.append(f"{name}: {ends}; mean error {error:.0%}")
    looks = dict(zip(pairs, ((BLUE, "circle-open"), (ORANGE, "square")), strict=True))
    return _compared(
        pairs, run, "\n".join(lines), title="how many times too loud: a dot is a grid", x="predicted",
        y="recorded: learned / steady", looks=looks, ticks=(1.2, 1.5, 2, 2.5, 3, 3.5),
    )  # fmt: skip


def who_has_the_say(runs: Mapping[str, Slots], shown: Sequence[str]) -> Chart:
    """Share of the classification loss by whose it is, over the training.

    Args:
        shown: the runs that are drawn; of the others, held grids, which a click in the legend shows.
    """
    lines, traces = [], []
    for name, run in runs.items():
        lines.append(f"{name}: " + ", ".join(f"{kind} {x:.0%}" for kind, x in zip(KINDS, run.late, strict=True)))
        kinds = list(zip(KINDS, ("dot", "dash", "solid"), run.shares.T, strict=True))
        for kind, dash, share in kinds if name in shown else kinds[2:]:
            traces.append(
                go.Scatter(
                    x=rounded(100 * run.steps / run.steps[-1], 3), y=rounded(100 * share, 3), mode="lines",
                    name=f"{name}: {kind}", visible=True if name in shown else "legendonly",
                    line={"color": RULE[name.partition(",")[0]], "dash": dash if name in shown else "dashdot",
                          "width": 2},
                    hovertemplate="after %{x:.0f} %: %{y:.0f} %<extra>%{fullData.name}</extra>",
                )
            )  # fmt: skip
    title = "who has the say in the classification loss"
    figure = chart(traces, title=title, x="% of the training", y="% of Lcls", height=400, yaxis_range=[0, 100])
    return Chart(figure, "second half of the training\n" + "\n".join(lines))


def came_back(runs: Mapping[str, Slots], which: Which) -> str:
    """How loud a grid is when it comes back, and how far its weight rose, by how long it was away."""
    each = {name: run.back[which] for name, run in runs.items()}
    away = sorted({least for back in each.values() for least in back[:, 0]})
    rows = {"absent for so many batches or more": [f"{least:.0f}" for least in away]}
    for name, back in each.items():
        for told, column in (("loudness", 2), ("how far the weight rose", 4)):
            values = dict(zip(back[:, 0], back[:, column], strict=True))
            rows[f"{name}: {told}"] = [f"{values[least]:.2f}" if least in values else "-" for least in away]
    return aligned(rows)


def beside_one_over_s(runs: Mapping[str, Slots], which: Which) -> Chart:
    """The product of each grid against 1 / (C*A*S), where S is what the same run measured; grids that are seldom seen
    stand out. Left out are those that the last quarter never saw."""
    points, looks, wanted, lines = {}, {}, {}, []
    for name, run in runs.items():
        asked, product, rare = run.asked(which), run.product[which], run.rare(which)
        for label, mask in ((name, ~rare), (f"{name}, seen seldom", rare & (run.seen[which] > 0))):
            if mask.any():
                points[label], wanted[label] = (asked, product), mask
                looks[label] = (RULE[name.partition(",")[0]], "diamond" if mask[rare].any() else "circle-open")
                mean = np.exp(np.log(product[mask] / asked[mask]).mean())
                lines.append(f"{label}: {int(mask.sum())} grids, {mean:.2f} times 1 / (CA S), geometric mean")
    run = next(iter(runs.values()))
    ticks = [digit * 10.0**power for power in range(4) for digit in (1, 3)]
    return _compared(
        points, run, "\n".join(lines), title=f"{LOSSES[which]}: a dot is a grid", x="1 / (CA S)", y="λ · λ[c, a]",
        looks=looks, ticks=ticks, wanted=wanted,
    )  # fmt: skip


def _compared(
    points: Mapping[str, tuple[Any, Any]], run: Run | Slots, text: str, *, title: str, x: str, y: str,
    looks: Mapping[str, tuple[str, str]], ticks: Sequence[float], wanted: Mapping[str, Any] | None = None,
) -> Chart:  # fmt: skip
    """Two numbers of each grid against each other, on logarithmic axes, with the line on which they are equal.

    Args:
        points: name -> (x, y), each (C, A). looks: name -> colour and symbol. ticks: on both axes.
        wanted: name -> which grids are drawn; all without.
    """
    names = [
        f"{n}, {w:.0f} × {h:.0f} px" for n, sizes in zip(run.class_names, run.shapes, strict=True) for w, h in sizes
    ]
    masks = {name: np.ravel(wanted[name]) if wanted else np.full(len(names), True) for name in points}
    drawn = {name: [np.ravel(each)[masks[name]] for each in pair] for name, pair in points.items()}
    every = np.concatenate([each for pair in drawn.values() for each in pair])
    ends = rounded([every.min() * 0.9, every.max() * 1.1])
    traces = [go.Scatter(x=ends, y=ends, mode="lines", name="equal", line={"color": BLACK, "width": 1, "dash": "dot"})]
    for name, (across, up) in drawn.items():
        traces.append(
            go.Scatter(
                x=rounded(across), y=rounded(up), text=list(compress(names, masks[name])), name=name, mode="markers",
                marker=mark(*looks[name], 7),
                hovertemplate="%{text}: %{x:.3g}, %{y:.3g}<extra>%{fullData.name}</extra>",
            )
        )  # fmt: skip
    axes = {**_log_axis("x", ticks), **_log_axis("y", ticks)}
    return Chart(chart(traces, title=title, x=x, y=y, height=430, **axes), text)


def _log_axis(letter: str, ticks: Sequence[float]) -> dict[str, Any]:
    axis = {"type": "log", "tickvals": list(ticks), "ticktext": [f"{tick:,g}" for tick in ticks]}
    return {f"{letter}axis_{name}": value for name, value in axis.items()}


def _ticks(values: Iterable[Any], leading: Sequence[int]) -> list[float]:
    """1, 2 and 5, or so, times each power of ten, as far as the values go."""
    every = np.concatenate([np.ravel(each) for each in values])
    ticks = [float(f"{digit}e{power}") for power in range(-6, 9) for digit in leading]
    return [tick for tick in ticks if every.min() <= tick <= every.max()]


@styled
def moment(run: Run, which: Which, at: int, wanted: Sequence[str]) -> Figure:
    """One recorded moment: what the loss gives each grid, and the two factors of it over the training.

    Args:
        wanted: the classes that stand out.
    """
    figure, (left, right) = panel_row(2, 4.6, 3.5)
    products = np.stack([run.products(which, t) for t in range(len(run.steps))])
    for c, name in enumerate(run.class_names):
        out = name in wanted
        shade = color(c) if out else "#cfcfcf"
        left.plot(run.area[c], products[at, c], marker=MARKERS[c % 7], ms=5, lw=1.8 if out else 1, color=shade,
                  zorder=3 if out else 2, label=name if out else None)  # fmt: skip
        if out:
            mean = np.exp(np.log(np.exp(-run.s_anchor[which][:, c])).mean(-1))
            right.plot(run.steps, mean, color=color(c), label=f"λ[c, a], mean of {name}")
            right.plot(run.steps, np.exp(np.log(products[:, c]).mean(-1)), color=color(c), ls="--", lw=1.4,
                       label="its product with λ")  # fmt: skip
    lam = np.exp(-run.s[which])
    right.plot(run.steps, lam, color=BLACK, lw=2.2, label="λ of the loss")
    right.axvline(run.steps[at], color=GREY, lw=1)
    left.set(xscale="log", yscale="log", xlabel="area of the anchor, px²", ylim=_range(products),
             title=f"λ · λ[c, a] after {run.steps[at]} steps")  # fmt: skip
    right.set(yscale="log", xlabel="step", xlim=(0, run.steps[-1]), title="over the whole training")
    left.legend(fontsize=8.5)
    right.legend(fontsize=7.5, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.suptitle(f"{run.name}: {LOSSES[which]}", fontsize=10.5)
    return figure


def _range(values: Float[np.ndarray, "..."]) -> tuple[float, float]:
    return float(values.min() / 1.3), float(values.max() * 1.3)


def heard_and_found(run: Run, found: Mapping[str, Mapping[str, float]]) -> str:
    """A line for each class, the most seldom first: in how many batches a grid of it has a positive; its part of the
    training under "steady", 1 where all are alike; and what `found` has of it under two rules."""
    heard = run.active.mean(1)
    before, after = found.values()
    lines = [f"{'class':7} {'heard in':>9} {'its part':>9}   AP50 under {' and '.join(found)}"]
    for c in heard.argsort():
        name = run.class_names[c]
        part = f"{heard[c] / heard.mean():.2f}"
        lines.append(f"{name:7} {heard[c]:9.0%} {part:>9}   {before[name]:.1f} -> {after[name]:.1f}")
    return "\n".join(lines)
