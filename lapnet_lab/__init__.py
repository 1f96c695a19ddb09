"""The school: what the notebooks use beside `lapnet_core`. It imports the core, never the reverse."""

from lapnet_lab.explorer.widget import Explorer
from lapnet_lab.notebook import Lab, setup
from lapnet_lab.predict import Predict

__all__ = ["Explorer", "Lab", "Predict", "setup"]
