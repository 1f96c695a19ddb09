"""`lapnet predict`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


@dataclass(frozen=True)
class Predict:
    """Detections in image files: a picture with boxes each, and detections.json.

    Many processes share the files under torchrun: torchrun --nproc-per-node 4 -m lapnet_core.cli predict RUN FOLDER
    """

    model: Annotated[Path, tyro.conf.Positional]
    """model.safetensors, best.safetensors, or the run folder that holds the first."""
    images: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Image files, or folders of them."""
    out: Path = Path("predictions")
    """Folder to write to. Nothing in it is replaced: a name that is taken gets a number."""
    score_threshold: float = 0.3
    on_error: Literal["raise", "skip"] = "raise"
    """What a file that cannot be read does: stop with an error, or be skipped, counted and reported."""
    device: str = "auto"

    def run(self, given: Sequence[str]) -> int:
        from tqdm.auto import tqdm

        from lapnet_core.detector import Detector
        from lapnet_core.files import check_writable, write_new
        from lapnet_core.inputs import check_number
        from lapnet_core.processes import in_turn, pick_device, processes

        check_number("--score-threshold", self.score_threshold, 0, 1)
        with processes(self.device) as (rank, world):
            detector = Detector.load(self.model, pick_device(self.device))
            files = [file for path in self.images for file in _image_files(path)]
            if not files:
                raise ValueError(f"no image in {', '.join(map(str, self.images)) or 'the arguments'}")
            if rank == 0:
                check_writable(self.out / "detections.json")
            hidden = None if rank == 0 else True
            own = [
                self._of(file, detector)
                for file in tqdm(files[rank::world], desc="predict", unit="image", disable=hidden)
            ]
            done = in_turn(own)
        if rank == 0:
            records = [record for one in done for record in one.records]
            named = ("taken", "skipped", "mended")
            taken, skipped, mended = ([text for one in done if (text := getattr(one, name))] for name in named)
            text = json.dumps(records, indent=1) + "\n"
            written = write_new(self.out / "detections.json", lambda part: part.write_text(text, encoding="utf-8"))
            print(f"{len(records)} detections in {len(files) - len(skipped)} images: {written}")
            if taken:
                print(f"{len(taken)} names were taken, first: {taken[0]}")
            if mended:
                print(f"{len(mended)} files end too early and were used as far as they go, first: {mended[0]}")
            if skipped:
                print(f"{len(skipped)} files skipped, first: {skipped[0]}")
        return 0

    def _of(self, file: Path, detector: Any) -> "Done":
        """Detect in one file and write its picture."""
        from lapnet_core.cli.drawing import draw
        from lapnet_core.data import DataError
        from lapnet_core.files import write_new

        try:
            image, found = detector.predict_file(file, score_threshold=self.score_threshold)
        except DataError as error:
            if self.on_error == "raise":
                raise DataError(f"{error} (--on-error skip goes on with the others)") from error
            return Done([], skipped=str(error))
        drawn, wanted = draw(image, found, detector.class_names), self.out / f"{file.stem}.png"
        picture = write_new(wanted, partial(drawn.save, format="PNG"))
        records = []
        for box, score, label in zip(*(found[name].tolist() for name in ("boxes", "scores", "labels")), strict=True):
            box = [round(side, 2) for side in box]
            one = {"file": str(file), "picture": picture.name, "class": detector.class_names[label]}
            records.append({**one, "score": round(score, 4), "box_xyxy": box})
        taken = "" if picture == wanted else f"{wanted} is there, so {picture.name} was written"
        return Done(records, taken=taken, mended=image.info.get("truncated", ""))


@dataclass(frozen=True)
class Done:
    """What one file came to."""

    records: list[dict[str, Any]]
    """Its detections, as detections.json has them."""
    taken: str = ""
    """Where the picture's name was taken."""
    skipped: str = ""
    """Why the file could not be read."""
    mended: str = ""
    """What of a file that ends too early was used."""


def _image_files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and not file.is_dir())
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    return [path]
