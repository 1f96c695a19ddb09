"""k-means on box sizes, one step after the other (paper 3.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import ipywidgets
import torch
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from torch import Tensor

from lapnet_lab.lessons.anchors.figures import kmeans_state
from lapnet_lab.lessons.anchors.study import Trace, distance_maps, trace
from lapnet_lab.panel import FigurePanel

MOST_CENTERS, MOST_SEEDS, MOST_STEPS = 12, 20, 60
RESOLUTION = 110
"""Points along each side of the coloured plane; more makes the sliders slow."""


@dataclass(frozen=True)
class KMeansView:
    """What the panel shows."""

    name: str
    sizes: Float[Tensor, "n 2"]
    run: Trace
    at: int
    """Number of the state; the last one where the slider is beyond it."""
    axis: Float[Tensor, " N"]
    cells: Int[Tensor, "N N"]
    """Number of the nearest centre for the size (axis[column], axis[row])."""
    paths: list[Tensor]
    """For each centre (t, 2), its places so far."""
    changed: int
    """Boxes that are nearest to another centre than one state before."""

    @property
    def quality(self) -> float:
        """Average IoU of the state."""
        return float(self.run.average_iou[self.at])

    @property
    def finished(self) -> bool:
        """Whether this is the last state."""
        return self.at == len(self.run.states) - 1


def kmeans_view(name: str, sizes: Float[Tensor, "n 2"], run: Trace, step: int) -> KMeansView:
    """State number `step` of a run; the last one where the run has fewer."""
    at = min(step, len(run.states) - 1)
    low, high = sizes.min().item() / 1.2, sizes.max().item() * 1.2
    axis = low * (high / low) ** torch.linspace(0, 1, RESOLUTION, dtype=torch.float64)
    state = run.states[at]
    cells = distance_maps(axis, state.centers).argmin(0)
    so_far = [earlier.centers for earlier in run.states[: at + 1]]
    paths = [torch.stack([places[j] for places in so_far if len(places) > j]) for j in range(len(state.centers))]
    changed = int((state.nearest != run.states[at - 1].nearest).sum()) if at else 0
    return KMeansView(name, sizes, run, at, axis, cells, paths, changed)


def describe_kmeans(view: KMeansView) -> str:
    """The state in two lines."""
    run, centers = view.run, view.run.states[view.at].centers
    moves = view.at - run.seeded
    kind = f"{moves} moves" if moves >= 0 else f"seeding, {len(centers)} of {len(run.result)} centres"
    end = ", finished" if view.finished else ""
    return (
        f"{view.name}, {len(view.sizes)} boxes; step {view.at} of {len(run.states) - 1} ({kind}{end})\n"
        f"average IoU {view.quality:.3f}; {view.changed} boxes have another centre than one step before"
    )


def kmeans_panel(
    sizes: Float[Tensor, "G 2"], labels: Int[Tensor, " G"], class_names: Sequence[str], name: str, k: int = 5
) -> FigurePanel:
    """k-means on the sizes of one class, with sliders for the step, the number of centres k and the seed.

    Args:
        sizes: (w, h) in pixels.
        name: the class that is shown first; k: its number of centres.
    """
    own = {title: sizes[labels == c].to(torch.float64) for c, title in enumerate(class_names)}

    @lru_cache(maxsize=256)
    def run(name: str, k: int, seed: int) -> Trace:
        return trace(own[name], k, seed, list(class_names).index(name))

    def compute(name: str, k: int, seed: int, step: int) -> KMeansView:
        return kmeans_view(name, own[name], run(name, k, seed), step)

    wide = {"style": {"description_width": "initial"}}
    controls = {
        "name": ipywidgets.Dropdown(options=list(class_names), value=name, description="class", **wide),
        "k": ipywidgets.IntSlider(value=k, min=1, max=MOST_CENTERS, description="centres k", **wide),
        "seed": ipywidgets.IntSlider(value=0, min=0, max=MOST_SEEDS - 1, description="seed", **wide),
        "step": ipywidgets.IntSlider(value=0, min=0, max=MOST_STEPS, description="step", **wide),
    }
    states = {"first centre": {}, "end of the seeding": {"step": k - 1}, "last step": {"step": MOST_STEPS}}
    return FigurePanel(controls, compute, describe_kmeans, draw_kmeans, states)


def draw_kmeans(view: KMeansView) -> Figure:
    """The plane of sizes beside the average IoU of every step."""
    state = view.run.states[view.at]
    quality = view.run.average_iou
    return kmeans_state(view.sizes, state.nearest, view.paths, view.axis, view.cells, quality, view.at, view.run.seeded)
