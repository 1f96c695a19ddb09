"""The trained detectors that come with the package; MODELS.md beside them says how each was made, and its terms."""

from functools import cache
from pathlib import Path

import lapnet_core
from lapnet_core.data.named import Images, open_dataset
from lapnet_core.detector import Detector

FOLDER = Path(lapnet_core.__file__).parent / "assets" / "models"
SHIPPED = ("scenes", "photographs")
"""Their names: street scenes as `lapnet_core.scenes` draws them; photographs of people and five animals."""
PHOTOGRAPHS = "voc_animals"
"""The data set that the second was trained on; its photographs do not come with the package."""
ANIMALS = ("cat", "cow", "dog", "horse", "person", "sheep")


def path_of(name: str) -> Path:
    """The file of a shipped detector; `lapnet predict` and `lapnet evaluate` take it, too.

    Raises:
        ValueError: there is no such detector.
    """
    if name not in SHIPPED:
        raise ValueError(f'no detector called "{name}" comes with the package; there are {", ".join(SHIPPED)}')
    return FOLDER / f"{name}.safetensors"


@cache
def shipped(name: str) -> Detector:
    """A shipped detector, on the CPU; read when it is first asked for, and then the same one. Do not train it.

    Raises:
        ValueError: there is no such detector.
    """
    return Detector.load(path_of(name))


def unseen_photographs(folder: Path | None) -> Images | None:
    """Photographs that the shipped detector was not trained on, with the names of its classes; None where there are
    none.

    Args:
        folder: of the data, as `Lab.data`.
    """
    if folder is None or not (folder / PHOTOGRAPHS).is_dir():
        return None
    return open_dataset(str(folder / PHOTOGRAPHS), "val", class_names=ANIMALS)
