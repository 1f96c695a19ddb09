"""Records what the shipped detector finds on the test scenes: `python -m lapnet_lab.lessons.detections.recording`."""

import json
import sys
from collections.abc import Sequence

from lapnet_core.data import Detection
from lapnet_core.scenes import SCENE_CLASSES, Scenes
from lapnet_lab.lessons.detections.study import RECORDED, recorded_scenes
from lapnet_lab.models import shipped

LEAST, THINNED = 0.02, 0.8
"""Recorded is what has at least this score; of two boxes of a class with a larger IoU only the better, which makes the
file a third as large. A suppression at .5 afterwards leaves nearly what it leaves without."""


def detected(scenes: Scenes) -> list[Detection]:
    """What the shipped detector finds, as it is recorded: hardly suppressed, and not rounded yet."""
    options = {"score_threshold": LEAST, "nms_iou": THINNED, "max_detections": 4000}
    return shipped("scenes").predict_dataset(scenes, progress=False, **options)[0]


def lines(found: Sequence[Detection]) -> list[str]:
    """The lines of the file: one for each class of each scene, best score first, to .1 px and to .0001 of a score.

    What is equal then is lowered by .0001, so that the order stays the detector's.
    """
    written = []
    for k, one in enumerate(found):
        for label in sorted(set(one["labels"].tolist())):
            own, scores = one["labels"] == label, []
            for score in one["scores"][own].double().tolist():
                scores.append(round(min(score, scores[-1] - 1e-4 if scores else 1.0), 4))
            boxes = [[round(side, 1) for side in box] for box in one["boxes"][own].double().tolist()]
            line = {"scene": k, "class": SCENE_CLASSES[label], "scores": scores, "boxes": boxes}
            written.append(json.dumps(line, separators=(",", ":")))
    return written


def main() -> int:
    """Record."""
    written = lines(detected(recorded_scenes()))
    RECORDED.write_text("\n".join(written) + "\n", encoding="utf-8")
    print(f"{RECORDED}: {len(written)} lines, {RECORDED.stat().st_size // 1000} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
