"""The school: what the notebooks use beside `lapnet_core`. It imports the core, never the reverse."""

from lapnet_lab.explorer.widget import Explorer
from lapnet_lab.notebook import Lab, setup
from lapnet_lab.predict import Predict
from lapnet_lab.printed import aligned, listed

__all__ = ["Explorer", "Lab", "Predict", "aligned", "listed", "setup"]
