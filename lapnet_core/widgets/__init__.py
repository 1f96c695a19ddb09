"""Widgets for notebooks: the explorer on anywidget, and panels on ipywidgets. Each is state -> numbers -> picture."""

from lapnet_core.widgets.ambiguity import approach_panel, training_panel
from lapnet_core.widgets.balance import gradient_panel, one_weight_panel
from lapnet_core.widgets.clustering import kmeans_panel
from lapnet_core.widgets.explorer import Explorer
from lapnet_core.widgets.network import architecture_panel, offset_panel, receptive_panel, width_panel
from lapnet_core.widgets.overlap import save_ao_panel, shift_panel
from lapnet_core.widgets.panel import FigurePanel

__all__ = [
    "Explorer",
    "FigurePanel",
    "approach_panel",
    "architecture_panel",
    "gradient_panel",
    "kmeans_panel",
    "offset_panel",
    "one_weight_panel",
    "receptive_panel",
    "save_ao_panel",
    "shift_panel",
    "training_panel",
    "width_panel",
]
