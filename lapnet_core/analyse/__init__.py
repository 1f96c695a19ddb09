"""Studies of anchors, assignment, losses and speed: numbers out, no drawing."""

from lapnet_core.analyse.coverage import SMALL_AREA, Coverage, coverage
from lapnet_core.analyse.speed import seconds_each, step_seconds
from lapnet_core.analyse.tables import BoxTable, read_boxes, table_anchors

__all__ = [
    "SMALL_AREA",
    "BoxTable",
    "Coverage",
    "coverage",
    "read_boxes",
    "seconds_each",
    "step_seconds",
    "table_anchors",
]
