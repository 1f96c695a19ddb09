"""What was found, in the formats that others read: JSON, COCO's results, YOLO's text files."""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any

from torchvision.ops import box_convert

from lapnet_core.data import CocoDetection, DataError, Detection, Id
from lapnet_core.data.paths import OURS, ends
from lapnet_core.deploy.frames import Shot
from lapnet_core.evaluate import coco_results
from lapnet_core.files import write_new, wrote

NOTES = {
    "taken": "names were taken",
    "mended": "files are damaged or end too early and were used as far as they go",
    "skipped": "files skipped",
}
IN_MEMORY = 1 << 24
"""Bytes of a list that wait in memory; a longer one does so on the disk."""


@dataclass(frozen=True)
class CocoIds:
    """What an instances JSON calls pictures and classes: image ids and (height, width) by source, category ids by
    label."""

    images: dict[str, Id]
    sizes: dict[str, tuple[int, int]]
    categories: tuple[Id, ...]

    @classmethod
    def read(cls, file: Path, pictures: Sequence[tuple[str, Path]], class_names: Sequence[str]) -> "CocoIds":
        """Of (source, name) of pictures, whose names the file lists; it may be a list of images without annotations.

        Raises:
            DataError: the file cannot be used, lacks a class or one of the pictures, or two of them are one of its.
        """
        images: dict[str, Id] = {}
        sizes: dict[str, tuple[int, int]] = {}
        categories: tuple[Id, ...] = ()
        for root in sorted({Path(source).parents[len(name.parts) - 1] for source, name in pictures}):
            own = {name.as_posix(): source for source, name in pictures if root / name == Path(source)}
            listed = CocoDetection(root, file, class_names=class_names, annotated=False, only=_Known(own))
            categories = listed.category_ids
            for n in range(len(listed)):
                source, target = own[Path(listed.file(n)).relative_to(root).as_posix()], listed.target(n)
                images[source], sizes[source] = target["image_id"], target["original_size"]
        if missing := [source for source, _ in pictures if source not in images]:
            raise DataError(f"{file} does not list {missing[0]}, and {len(missing)} in all: leave them out")
        if len(set(images.values())) < len(images):
            raise DataError(
                f"{file}: pictures of the same name in two folders would be the same image: take one folder"
            )
        return cls(images, sizes, categories)


class _Known(dict[str, str]):
    """Names of pictures, in which one as a COCO file writes it is found, whichever folders of another disk it names."""

    def __contains__(self, name: object) -> bool:
        return any(dict.__contains__(self, end) for end in ends(str(name)))


class Results:
    """Files of detections, one shot after the other, so that a long video needs no memory; a `with`, at whose end they
    have their names, also where an OSError or a DataError ends it after some were added. A name that is taken gets a
    number. Where nothing was added before an error, nothing is left.

    Args:
        folder: where to; it is there.
        formats: "json": detections.json, a record a detection. "coco": coco_results.json, as pycocotools' `loadRes`
            takes it, and, without `known`, coco_images.json, which explains its ids and which `COCO` takes. "yolo": a
            text file a shot, `class cx cy w h` in shares of the image, in a new folder with classes.txt; "yolo_scores"
            has the score as a sixth number, which labelling tools do not take.
        known: COCO's ids. None: images and categories are numbered from 1.
        new: whether nothing but the results is in the folder, so that it may be marked as OURS.

    Attributes:
        written: what was, in a sentence each.
    """

    def __init__(
        self, folder: Path, formats: Sequence[str], class_names: Sequence[str], known: CocoIds | None = None,
        new: bool = False,
    ) -> None:  # fmt: skip
        self.detections, self.images, self.written, self._names = 0, 0, list[str](), class_names
        self._notes: dict[str, tuple[int, str]] = {}
        self._known, self._mark = known, folder / OURS if new else None
        self._categories = known.categories if known else range(1, len(class_names) + 1)
        categories = [{"id": number, "name": name} for number, name in enumerate(class_names, 1)]
        starts = {"detections": "["} if "json" in formats else {}
        starts |= {"coco_results": "["} if "coco" in formats else {}
        if "coco" in formats and known is None:
            starts["coco_images"] = f'{{"categories": {json.dumps(categories)}, "annotations": [], "images": ['
        self._lists = {name: _List(folder / f"{name}.json", start) for name, start in starts.items()}
        kinds = [name for name in ("yolo", "yolo_scores") if name in formats]
        self._texts = {kind: _new_folder(folder / kind.replace("yolo", "labels")) for kind in kinds}
        for texts in self._texts.values():
            (texts / "classes.txt").write_text("".join(f"{name}\n" for name in class_names), encoding="utf-8")

    def add(self, shot: Shot) -> None:
        """Write down a shot that was looked at, or why it could not be."""
        for kind in NOTES:
            if text := getattr(shot, kind):
                self._note(kind, text)
        if (found := shot.found) is None:
            return
        if self._mark and not self.images:
            self._mark.touch()
        self.images += 1
        self.detections += len(found["labels"])
        frame = {} if shot.frame is None else {"frame": shot.frame, "seconds": round(shot.seconds, 4)}
        image_id = self._known.images[shot.source] if self._known else self.images
        about = {"file": shot.source} | frame | ({"picture": shot.picture} if shot.picture else {})
        size = {"height": shot.size[0], "width": shot.size[1]}
        for name, records in self._lists.items():
            if name == "detections":
                records.add({**about, **one} for one in self._records(found))
            elif name == "coco_results":
                records.add(coco_results([found], [image_id], self._categories))
            else:
                records.add([{"id": image_id, "file_name": shot.name.as_posix(), **size, **frame}])
        for kind, folder in self._texts.items():
            text = yolo_lines(found, shot.size, scores=kind == "yolo_scores")
            number = "" if shot.frame is None else f"_{shot.frame:06}"
            wanted = folder / shot.name.with_name(f"{shot.name.stem}{number}.txt")
            if (written := write_new(wanted, lambda part, text=text: part.write_text(text))) != wanted:
                self._note("taken", f"{wanted} is there, so {written.name} was written")

    def told(self, seconds: float) -> list[str]:
        """What came of it in so many seconds, line by line."""
        first = f"{self.detections} detections in {self.images} images, {self.images / seconds:.1f} images/s"
        noted = [f"{count} {NOTES[kind]}, first: {text}" for kind, (count, text) in self._notes.items()]
        return [first, *self.written, *noted]

    def _records(self, found: Detection) -> list[dict[str, Any]]:
        columns = (found[name].tolist() for name in ("labels", "scores", "boxes"))
        return [
            {"class": self._names[label], "score": round(score, 4), "box_xyxy": [round(side, 2) for side in box]}
            for label, score, box in zip(*columns, strict=True)
        ]

    def _note(self, kind: str, text: str) -> None:
        count, first = self._notes.get(kind, (0, text))
        self._notes[kind] = count + 1, first

    def __enter__(self) -> "Results":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None or (issubclass(kind, OSError | DataError) and self.images):
                self.written = [wrote(one.path, one.write()) for one in self._lists.values()]
                self.written += [f"wrote {folder}" for folder in self._texts.values()]
            elif not self.images:
                for folder in self._texts.values():  # or the next run's labels were in labels-2, beside none
                    (folder / "classes.txt").unlink(missing_ok=True)
                    with suppress(OSError):
                        folder.rmdir()
        finally:
            for one in self._lists.values():
                one.file.close()


class _List:
    """A JSON list, a record a line, that gets its name when it is whole."""

    def __init__(self, path: Path, start: str) -> None:
        self.path, self._end, self._before = path, "]}" if start.startswith("{") else "]", "\n"
        self.file = SpooledTemporaryFile(IN_MEMORY, dir=str(path.parent))  # noqa: SIM115
        self.file.write(start.encode())

    def add(self, records: Iterable[Mapping[str, Any]]) -> None:
        for record in records:
            self.file.write((self._before + json.dumps(record, allow_nan=False)).encode())
            self._before = ",\n"

    def write(self) -> Path:
        self.file.write(f"\n{self._end}\n".encode())
        return write_new(self.path, self._copy)

    def _copy(self, part: Path) -> None:
        self.file.seek(0)
        with part.open("wb") as there:
            shutil.copyfileobj(self.file, there)


def _new_folder(wanted: Path) -> Path:
    """A folder that was not there: labels, or labels-2, and so on."""
    for n in count(1):
        folder = wanted if n == 1 else wanted.with_name(f"{wanted.name}-{n}")
        with suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise AssertionError


def yolo_lines(found: Detection, size: tuple[int, int], scores: bool) -> str:
    """A line a detection: class, centre, width and height in shares of an image of (height, width), and, where asked
    for, the score."""
    shares = (found["boxes"] / found["boxes"].new_tensor([size[1], size[0], size[1], size[0]])).clamp(0, 1)
    rows = zip(
        found["labels"].tolist(), box_convert(shares, "xyxy", "cxcywh").tolist(), found["scores"].tolist(), strict=True
    )
    return "".join(
        f"{label} {x:.6f} {y:.6f} {w:.6f} {h:.6f}{f' {score:.4f}' if scores else ''}\n"
        for label, (x, y, w, h), score in rows
    )
