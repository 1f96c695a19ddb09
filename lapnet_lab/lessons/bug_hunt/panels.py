"""The examination of the assigners."""

import ipywidgets
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from lapnet_lab.lessons.bug_hunt import figures, study
from lapnet_lab.panel import FigurePanel

SITUATIONS = ("two_people_hugging", "crowd", "tiny_object")


def examination(shapes: Float[Tensor, "A 2"]) -> FigurePanel:
    """Choose a patient, a picture and a threshold: its map and positives beside the library's map.

    Args:
        shapes: (w, h) of the anchors of a person, in pixels.
    """
    controls = {
        "letter": ipywidgets.ToggleButtons(
            options=list(study.ASSIGNERS),
            description="patient",
            style={"button_width": "50px"},
            layout={"width": "260px"},  # else the buttons stand beneath their name
        ),
        "situation": ipywidgets.Dropdown(options=SITUATIONS, value="crowd", description="picture"),
        "threshold": ipywidgets.FloatSlider(
            value=0.5, min=0.1, max=0.9, step=0.1, description="threshold", continuous_update=False
        ),
    }

    def compute(letter: str, situation: str, threshold: float) -> tuple[str, study.Maps]:
        image, boxes = study.people(situation)
        return letter, study.examine(letter, boxes, image, shapes, threshold)

    def describe(found: tuple[str, study.Maps]) -> str:
        letter, maps = found
        peaks = study.peaks(maps)
        x, y = (round(shift, 1) + 0.0 for shift in study.displacement(maps))  # no -0.0
        return (
            f"patient {letter}: largest O of the {len(peaks)} objects {min(peaks):.2f} to {max(peaks):.2f}; "
            f"{int(maps.positive.sum())} positives above {maps.threshold:g}, "
            f"the library has {int((maps.library > maps.threshold).sum())}.\n"
            f"Each object scaled to 1, its map lies {x:.1f} px to the right of the library's, and {y:.1f} px down."
        )

    def draw(found: tuple[str, study.Maps]) -> Figure:
        letter, maps = found
        return figures.beside(maps, letter)

    states = {
        "A": {},
        "D": {"letter": "D"},
        "D, threshold 0.8": {"letter": "D", "threshold": 0.8},
        "F": {"letter": "F"},
    }
    return FigurePanel(controls, compute, describe, draw, states)
