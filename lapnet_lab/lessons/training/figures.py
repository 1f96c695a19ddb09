"""Curves of trainings to read numbers off (plotly), and pictures with what a network finds (matplotlib)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from lapnet_core.config import TrainConfig
from lapnet_core.step import learning_rate
from lapnet_lab.charts import Chart, chart
from lapnet_lab.lessons.training.study import Line, Stop, column, smoothed
from lapnet_lab.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    add_boxes,
    panel_row,
    picture,
    styled,
)

LOOKS = ((BLUE, "solid"), (VERMILLION, "dash"), (GREEN, "dot"), (PURPLE, "dashdot"), (ORANGE, "solid"), (SKY, "dash"))
"""Of the curves of one chart, in order."""
LOSSES = {"loc": "localisation loss", "cls": "classification loss", "predicted_iou": "mean Ô"}
WEIGHTS = {"lam_loc": "λ of localisation", "lam_cls": "λ of classification"}


def _curve(name: str, x: Sequence[float], y: Sequence[float], index: int, points: bool = False) -> go.Scatter:
    shade, dash = LOOKS[index % len(LOOKS)]
    mode = "lines+markers" if points else "lines"
    values = [float(f"{value:.4g}") for value in y]
    return go.Scatter(
        x=list(x), y=values, name=name, mode=mode, line={"color": shade, "dash": dash, "width": 2}, marker={"size": 6}
    )


def _log_axis(values: Sequence[float]) -> dict[str, Any]:
    """A logarithmic axis with marks at 1, 2 and 5 of each power of ten that is reached."""
    ticks = [float(f"{m}e{power}") for power in range(-12, 13) for m in (1, 2, 5)]
    ticks = [tick for tick in ticks if min(values) <= tick <= max(values)]
    return {"yaxis_type": "log", "yaxis_tickvals": ticks, "yaxis_ticktext": [f"{tick:g}" for tick in ticks]}


def schedules(configs: Mapping[str, TrainConfig], points: int = 61) -> Chart:
    """The learning rate of each config over its steps."""
    traces, told = [], []
    for k, (name, config) in enumerate(configs.items()):
        steps = sorted({round(share * (config.steps - 1)) for share in np.linspace(0, 1, points).tolist()})
        rates = [learning_rate(config, step) for step in steps]
        traces.append(_curve(name, steps, rates, k))
        told.append(f"{name}: first {rates[0]:.4f}, highest {max(rates):.4f}, last {rates[-1]:.6f}")
    return Chart(chart(traces, title="learning rate", x="step", yaxis_tickformat=".3f"), "\n".join(told))


def curves(log: Sequence[Line], names: Mapping[str, str], title: str, log_scale: bool = False) -> Chart:
    """Columns of one log, each smoothed over five of its lines; the legend shows and hides them."""
    traces, told = [], []
    for k, (name, title_of) in enumerate(names.items()):
        steps, values = column(log, name)
        traces.append(_curve(title_of, steps, smoothed(values), k))
        told.append(f"{title_of}: first {values[0]:.2f}, last {values[-1]:.2f}")
    axis: Any = _log_axis([y for trace in traces for y in trace.y]) if log_scale else {}
    return Chart(chart(traces, title=title, x="step", **axis), "\n".join(told))


def map_chart(named: Mapping[str, tuple[Sequence[int], Sequence[float]]], stops: Mapping[str, Stop] = {}) -> Chart:
    """mAP over the steps.

    Args:
        named: name -> (steps, mAP).
        stops: marked where they end, the first in the colour of the first curve.
    """
    traces, told = [], []
    for k, (name, (steps, values)) in enumerate(named.items()):
        traces.append(_curve(name, steps, values, k, points=True))
        best = int(np.argmax(values))
        told.append(f"{name}: best {values[best]:.3f} at step {steps[best]}, last {values[-1]:.3f}")
    for k, (name, stop) in enumerate(stops.items()):
        mark = {"symbol": "x", "size": 13, "color": LOOKS[k % len(LOOKS)][0]}
        at = go.Scatter(x=[stop.ended], y=[round(stop.val_map, 4)], name=name, mode="markers", marker=mark)
        traces.append(at)
    figure = chart(traces, title="mAP at IoU .5", x="step", yaxis_rangemode="tozero")
    return Chart(figure, "\n".join(told))


def compared(logs: Mapping[str, Sequence[Line]], name: str, title: str, log_scale: bool = False) -> Chart:
    """One column of several logs."""
    traces, told = [], []
    for k, (run, log) in enumerate(logs.items()):
        steps, values = column(log, name)
        traces.append(_curve(run, steps, values, k))
        told.append(f"{run}: first {values[0]:.3g}, last {values[-1]:.3g}")
    axis: Any = _log_axis([y for trace in traces for y in trace.y]) if log_scale else {}
    return Chart(chart(traces, title=title, x="step", height=320, **axis), "\n".join(told))


@styled
def with_boxes(
    images: Sequence[ArrayLike], found: Sequence[Mapping[str, Any]], names: Sequence[str], titles: Sequence[str]
) -> Figure:
    """Pictures in a row, each with its boxes.

    Args:
        found: for each picture boxes (G, 4), labels (G,) and, where there are some, scores (G,).
    """
    figure, axes = panel_row(len(images), 3.05, 3.35)
    for ax, image, each, title in zip(axes, images, found, titles, strict=True):
        picture(ax, image, title)
        add_boxes(ax, each["boxes"], each["labels"], names, each.get("scores"), width=1.5)
    return figure


@styled
def live(
    log: Sequence[Line], maps: Sequence[Line], steps: int, image: ArrayLike, found: Mapping[str, Any],
    names: Sequence[str],
) -> Figure:  # fmt: skip
    """A training that runs: losses, fit, mAP so far, and what it finds on one picture now.

    Args:
        maps: the lines of the log with `val_map`.
        steps: right end of the axes.
    """
    figure, axes = panel_row(4, 3.0, 3.0)
    series = (("loc", "localisation", BLUE, "-"), ("cls", "classification", VERMILLION, "--"))
    for name, title, shade, dash in series:
        at, values = column(log, name)
        axes[0].plot(at, smoothed(values), dash, color=shade, label=title)
    axes[0].legend(fontsize=8)
    at, values = column(log, "predicted_iou")
    axes[1].plot(at, smoothed(values), color=GREEN)
    at, values = column(maps, "val_map")
    axes[2].plot(at, values, "o-", color=PURPLE)
    axes[1].set_ylim(0, 1)
    axes[2].set_ylim(0, max(0.1, 1.15 * max(values, default=0.0)))
    for ax, title in zip(axes, ("losses, weighted by λ", "mean Ô of the positives", "mAP on val"), strict=False):
        ax.set(title=title, xlabel="step", xlim=(0, steps))
    picture(axes[3], image, f"step {log[-1]['step'] if log else 0}: surest boxes")
    add_boxes(axes[3], found["boxes"], found["labels"], names, found["scores"], width=1.5)
    return figure


@styled
def average_of_a_weight(path: Sequence[float], average: Sequence[float]) -> Figure:
    """A weight on its way from 0 to 1, step by step, and its moving average."""
    figure, (ax,) = panel_row(1, 8.2, 2.9)
    ax.axhline(1, color=BLACK, lw=1, ls=":", label="where it should be")
    ax.plot(path, color=SKY, lw=0.9, label="the weight")
    ax.plot(average, color=VERMILLION, lw=2.4, label="its average")
    ax.set(xlabel="step", xlim=(0, len(path) - 1), ylim=(-0.1, 2.2))
    ax.legend(ncols=3, loc="upper right")
    return figure
