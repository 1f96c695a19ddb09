"""Losses that one sees while the network learns."""

from IPython.display import display

from lapnet_core.method import Method
from lapnet_lab.lessons.start.figures import loss_curves


class LiveLosses:
    """What `train.train` calls after each step: notes `method.progress()`, and draws it ten times on the way.

    Args:
        steps: of the whole training.
        times: how often the curves are drawn.

    It takes its place in the notebook when it is made.
    """

    def __init__(self, steps: int, times: int = 10) -> None:
        self.steps, self.every = steps, max(1, steps // times)
        self.log: list[dict[str, float]] = []
        """A line for each step: its number, then loc, cls, overlap and the others of `method.progress()`."""
        self.place = display("the first steps ...", display_id=True)

    def __call__(self, step: int, method: Method) -> None:
        self.log.append({"step": step, **method.progress()})
        if step % self.every == 0 and self.place is not None:  # None: outside a notebook
            self.place.update(loss_curves(self.log, self.steps))
