"""Numbers in, matplotlib figure out. Nothing is computed here beyond where a line goes; one style for every figure."""

from lapnet_core.figures.ambiguity import ambiguity
from lapnet_core.figures.clustering import anchor_shapes
from lapnet_core.figures.overlap import missed_by_area, pono_story
from lapnet_core.figures.pictures import draw_boxes, gallery, map_strip, one_anchor
from lapnet_core.figures.style import PALETTE, STYLE, color
from lapnet_core.figures.training import loss_curves, precision_by_class, weights_vs_area

__all__ = [
    "PALETTE",
    "STYLE",
    "ambiguity",
    "anchor_shapes",
    "color",
    "draw_boxes",
    "gallery",
    "loss_curves",
    "map_strip",
    "missed_by_area",
    "one_anchor",
    "pono_story",
    "precision_by_class",
    "weights_vs_area",
]
