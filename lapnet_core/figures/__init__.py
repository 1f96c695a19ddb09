"""Numbers in, matplotlib figure out. Nothing is computed here beyond where a line goes; one style for every figure."""

from lapnet_core.figures.ambiguity import (
    ambiguity,
    ambiguity_shares,
    ambiguous_anchors,
    ams_moments,
    approaching,
    blind_spot,
    kept_and_fit,
    plane_and_picture,
    rejection_by_overlap,
    unlabelled_by_size,
)
from lapnet_core.figures.balance import (
    gradient_shares,
    number_tables,
    positives_by_grid,
    settling,
    table_2b,
    weight_paths,
)
from lapnet_core.figures.clustering import (
    anchor_shapes,
    distance_plane,
    iou_curves,
    kmeans_state,
    quality_by_count,
    size_plane,
    values_by_class,
)
from lapnet_core.figures.coverage import (
    coverage_by_side,
    coverage_over_factor,
    coverage_over_shift,
    coverage_over_threshold,
    iou_of_positives,
    missed_by_area,
)
from lapnet_core.figures.explorer import explorer_strip
from lapnet_core.figures.network import architecture, cost_bars, feature_maps, moved_anchor, training_flow
from lapnet_core.figures.overlap import anchors_on_grid, cluster_row, overlap_grid, pono_story, strip
from lapnet_core.figures.pictures import draw_boxes, gallery, map_strip, one_anchor
from lapnet_core.figures.receptive import receptive_field, shift_curves
from lapnet_core.figures.style import HEAT_RGB, PALETTE, STYLE, color
from lapnet_core.figures.training import loss_curves, precision_by_class, weights_vs_area

__all__ = [
    "HEAT_RGB",
    "PALETTE",
    "STYLE",
    "ambiguity",
    "ambiguity_shares",
    "ambiguous_anchors",
    "ams_moments",
    "anchor_shapes",
    "anchors_on_grid",
    "approaching",
    "blind_spot",
    "architecture",
    "cluster_row",
    "color",
    "cost_bars",
    "coverage_by_side",
    "coverage_over_factor",
    "coverage_over_shift",
    "coverage_over_threshold",
    "distance_plane",
    "draw_boxes",
    "explorer_strip",
    "feature_maps",
    "gallery",
    "gradient_shares",
    "iou_of_positives",
    "iou_curves",
    "kmeans_state",
    "kept_and_fit",
    "loss_curves",
    "map_strip",
    "missed_by_area",
    "moved_anchor",
    "number_tables",
    "one_anchor",
    "overlap_grid",
    "plane_and_picture",
    "pono_story",
    "positives_by_grid",
    "precision_by_class",
    "quality_by_count",
    "receptive_field",
    "settling",
    "shift_curves",
    "size_plane",
    "rejection_by_overlap",
    "strip",
    "table_2b",
    "training_flow",
    "weight_paths",
    "unlabelled_by_size",
    "values_by_class",
    "weights_vs_area",
]
