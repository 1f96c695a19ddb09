"""Widgets for notebooks: the explorer on anywidget, and panels on ipywidgets. Each is state -> numbers -> picture."""

from lapnet_core.widgets.panel import FigurePanel

__all__ = ["FigurePanel"]
