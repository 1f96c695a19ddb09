"""The functions that a learner writes, in the order of the notebooks. `lapnet_lab.mine` builds a detector of them.

Each is a `FunctionExercise` with its own module-level solution: plain code that a student could have written. What the
library does with the same arguments is tested against it.
"""

from lapnet_lab.exercise import FunctionExercise
from lapnet_lab.functions.overlap import CLUSTERS, PONO

ALL: tuple[FunctionExercise, ...] = (CLUSTERS, PONO)
FUNCTIONS = {exercise.name: exercise for exercise in ALL}
