"""Panel of notebook 08: the learned weights at every recorded moment of a training."""

from collections.abc import Mapping
from dataclasses import dataclass

import ipywidgets
from matplotlib.figure import Figure

from lapnet_lab.lessons.weights import figures
from lapnet_lab.lessons.weights.study import LOSSES, Run, Which, rank_correlation
from lapnet_lab.panel import FigurePanel

WIDE = {"style": {"description_width": "initial"}}
NARROW = {**WIDE, "layout": {"width": "150px"}}


@dataclass(frozen=True, eq=False)
class Moment:
    """What is asked for: a run, a loss, the number of the recorded time, and the two classes that stand out."""

    run: Run
    which: Which
    at: int
    classes: tuple[str, str]


def over_time_panel(runs: Mapping[str, Run], classes: tuple[str, str] = ("dog", "cow")) -> FigurePanel:
    """Weights against area, with a slider over time; of any of the runs, and any two of its classes.

    Args:
        runs: by name; all have the same classes and equally many recorded times.
        classes: that stand out at first.
    """
    first = next(iter(runs.values()))
    names, last = list(first.class_names), min(len(run.steps) for run in runs.values()) - 1
    controls = {
        "at": ipywidgets.SelectionSlider(
            options=[(f"{(k + 1) / (last + 1):.0%}", k) for k in range(last + 1)], value=last,
            description="of the training", layout={"width": "380px"}, **WIDE,
        ),
        "run": ipywidgets.Dropdown(options=list(runs), description="run", layout={"width": "260px"}, **WIDE),
        "which": ipywidgets.Dropdown(
            options=[(name, which) for which, name in LOSSES.items()], value="cls", description="loss",
            layout={"width": "210px"}, **WIDE,
        ),
        "one": ipywidgets.Dropdown(options=names, value=classes[0], description="class", **NARROW),
        "other": ipywidgets.Dropdown(options=names, value=classes[1], description="and", **NARROW),
    }  # fmt: skip

    def compute(at: int, run: str, which: Which, one: str, other: str) -> Moment:
        return Moment(runs[run], which, at, (one, other))

    def describe(moment: Moment) -> str:
        run, which, at = moment.run, moment.which, moment.at
        weight, product = run.weights(which, at), run.products(which, at)
        lam = (product / weight).mean()
        words = [f"{run.name}, {LOSSES[which]}, after {run.steps[at]} steps: λ {lam:.3g}"]
        for name in dict.fromkeys(moment.classes):
            c = run.class_names.index(name)
            words.append(
                f"{name}: λ[c, a] {weight[c].min():.2g} to {weight[c].max():.2g}, with λ {product[c].min():.2g} to "
                f"{product[c].max():.2g}; rank correlation with area {rank_correlation(run.area[c], weight[c]):.2f}"
            )
        return "\n".join(words)

    def draw(moment: Moment) -> Figure:
        return figures.moment(moment.run, moment.which, moment.at, moment.classes)

    one, *_, other = runs
    states = {
        f"{one}: the end": {},
        f"{other}: the end": {"run": other},
        f"{one}: the beginning": {"at": 0},
    }
    return FigurePanel(controls, compute, describe, draw, states)
