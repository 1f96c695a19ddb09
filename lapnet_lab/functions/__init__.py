"""The functions that a learner writes, in the order of the notebooks. `lapnet_lab.mine` builds a detector of them.

Each is a `FunctionExercise` with its own module-level solution: plain code that a student could have written. What the
library does with the same arguments is tested against it.
"""

from lapnet_lab.exercise import FunctionExercise
from lapnet_lab.functions.clustering import KMEANS_STEP
from lapnet_lab.functions.detections import MATCH, NMS
from lapnet_lab.functions.geometry import DECODE, IOU
from lapnet_lab.functions.losses import AMS_LABELS, HELD_UPDATE, WEIGHTED_CROSS_ENTROPY
from lapnet_lab.functions.overlap import CLUSTERS, PONO, RESCUE
from lapnet_lab.functions.precision import AVERAGE_PRECISION
from lapnet_lab.functions.schedule import LEARNING_RATE
from lapnet_lab.functions.total import BALANCED_LOSS

ALL: tuple[FunctionExercise, ...] = (
    IOU, KMEANS_STEP, CLUSTERS, PONO, RESCUE, AMS_LABELS, WEIGHTED_CROSS_ENTROPY, HELD_UPDATE, DECODE, NMS, MATCH,
    AVERAGE_PRECISION, LEARNING_RATE, BALANCED_LOSS,
)  # fmt: skip
FUNCTIONS = {exercise.name: exercise for exercise in ALL}
