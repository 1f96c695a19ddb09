"""The panel of lesson 09: the reader picks a table, a metric and what objects count."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ipywidgets
from matplotlib.figure import Figure

from lapnet_core.ablate import SIZES
from lapnet_lab.charts import still
from lapnet_lab.lessons.ablations import figures, study
from lapnet_lab.panel import FigurePanel
from lapnet_lab.runs import METRICS, Row

HIGHEST = 390
"""Pixels of the figure: with controls and words above it, it has to fit a small screen."""
WIDE = {"style": {"description_width": "initial"}, "layout": {"width": "320px"}}


@dataclass(frozen=True)
class Picked:
    """What the reader has asked for, and what is shown: a size or a class at AP50 alone."""

    title: str
    rows: Mapping[str, Row]
    metric: str
    objects: str
    note: str = ""
    """Where something else is shown than was asked for."""


LENGTHS = (study.STEPS, study.LONG)


def tables() -> dict[str, Mapping[str, Row]]:
    """What the panel offers: title -> rows."""
    return {
        "2a: assignment and AMS": study.table("2a"),
        "2b: balance": study.table("2b"),
        "rules of AMS": study.table("ams"),
        "the say of the classification": study.table("cls_weight"),
        "depth of the stacks": study.table("depth"),
        f"the same, {study.LONG} steps": study.table("depth", study.LONG),
        "an even say": study.table("even"),
        f"an even say, {study.LONG} steps": study.table("even", study.LONG),
        **{f"AMS, an even say, {steps} steps": study.table("even, AMS", steps) for steps in LENGTHS},
        "anchors a class": study.table("anchors"),
        f"anchors a class, {study.LONG} steps": study.table("anchors", study.LONG),
        f"three times the steps ({study.LONG})": study.table("schedule", study.LONG),
        **{f"2a on blood cells, {steps} steps": study.blood("2a", steps) for steps in study.BLOOD_SCHEDULES},
        f"2b on blood cells, {study.BLOOD_STEPS} steps": study.blood("2b"),
        "LapNet and the peers": study.peers(),
    }


def results_panel() -> FigurePanel:
    """Table, metric, objects."""
    offered = {title: rows for title, rows in tables().items() if rows}
    classes = dict.fromkeys(name for rows in offered.values() for row in rows.values() for name in row.class_names)
    controls = {
        "table": ipywidgets.Dropdown(options=list(offered), description="table", **WIDE),
        "metric": ipywidgets.Dropdown(
            options=[(name, key) for key, name in METRICS.items()], description="metric", **WIDE
        ),
        "objects": ipywidgets.Dropdown(options=["all", *SIZES, *classes], description="size or class", **WIDE),
    }

    def compute(table: str, metric: str, objects: str) -> Picked:
        rows = offered[table]
        if not all(objects in ("all", *SIZES, *row.class_names) for row in rows.values()):
            return Picked(table, rows, metric, "all", f"\n({objects}: not in these images; this is all objects.)")
        if objects == "all" or metric == "ap50":
            return Picked(table, rows, metric, objects)
        said = f"\n({METRICS[metric]} was measured over all objects alone; this is AP50.)"
        return Picked(table, rows, "ap50", objects, said)

    def describe(picked: Picked) -> str:
        head = f"{picked.title}: {METRICS[picked.metric]} on test, %, objects: {picked.objects}"
        return f"{head}\n{figures.described(picked.rows, picked.metric, picked.objects)}{picked.note}"

    def draw(picked: Picked) -> Figure:
        what = f"{METRICS[picked.metric]}, {picked.objects} objects" if picked.objects == "all" else picked.objects
        rows = figures.rows_of(picked.rows, picked.metric, picked.objects, f"{picked.title}; {what}")
        layout: Any = rows.layout
        return still(rows.update_layout(height=min(layout.height, HIGHEST)))

    names = list(offered)
    states = {
        "table 2a": {},
        "rules of AMS, AP75": {"table": names[2], "metric": "ap75"},
        "LapNet and the peers, sheep": {"table": names[-1], "objects": "sheep"},
    }
    return FigurePanel(controls, compute, describe, draw, states, beside=True)
