"""`lapnet predict`."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

# How a picture is written: as a JPEG where it came as one, in a fiftieth of the time that a PNG takes.
JPEG: dict[str, Any] = {"format": "JPEG", "quality": 92, "subsampling": 0}
PNG: dict[str, Any] = {"format": "PNG", "compress_level": 1}


@dataclass(frozen=True)
class Predict:
    """Detections in pictures, videos and what a camera sees: each with boxes drawn, and detections.json.

    A camera goes on until Ctrl-C, which ends a video and the lists properly. Many processes share the pictures under
    torchrun: torchrun --nproc-per-node 4 -m lapnet_core.cli predict RUN FOLDER
    """

    model: Annotated[Path, tyro.conf.Positional]
    """model.safetensors, best.safetensors, or the run folder that holds the first; or what `lapnet export` wrote (ONNX,
    on the processor)."""
    inputs: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Image files, folders of them, video files, or camera:0; what is given twice is looked at once."""
    out: Path = Path("predictions")
    """Folder to write to. Nothing in it is replaced: a name that is taken gets a number."""
    recursive: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Also the folders within a folder, and theirs."""
    format: tuple[Literal["json", "coco", "yolo", "yolo_scores"], ...] = ("json",)
    """What to write, of these: detections.json; COCO's results; YOLO's text files, and the same with scores."""
    coco_images: Path | None = None
    """COCO's instances JSON, or list of test images, whose ids of images and categories --format coco writes. Without
    it they are numbers from 1, which coco_images.json beside the results explains."""
    pictures: bool = True
    """Write pictures and videos with the boxes drawn."""
    score_threshold: float = 0.3
    """What a detection's score has to be above, 0 to 1."""
    batch_size: int = 4
    """Images that the network is given at once; more may be faster on a GPU. One of a camera."""
    fast: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Try on the first images, for some seconds, which form of the model is fastest here, and take that: detections
    hardly differ, and it says by how much."""
    on_error: Literal["raise", "skip"] = "raise"
    """What a file that cannot be read does: stop with an error, or be skipped, counted and reported."""
    device: str = "auto"

    def run(self, given: Sequence[str]) -> int:
        from lapnet_core.deploy.formats import CocoIds, Results
        from lapnet_core.detector import Detector
        from lapnet_core.files import check_writable
        from lapnet_core.inputs import check_number
        from lapnet_core.processes import in_turn, pick_device, processes, stop_signal

        check_number("--score-threshold", self.score_threshold, 0, 1)
        check_number("--batch-size", self.batch_size, 1, whole=True)
        if self.coco_images and "coco" not in self.format:
            raise ValueError("--coco-images is for --format coco")
        new = not self.out.exists() or not any(self.out.iterdir())  # before any process has drawn a picture
        with processes(self.device) as (rank, world), stop_signal() as stopped:
            detector, stop = Detector.load(self.model, pick_device(self.device)), partial(stopped, None)
            pictures, videos = self._sources(told=rank == 0)
            if not pictures and not videos:
                raise ValueError(f"no image in {', '.join(self.inputs) or 'the arguments'}")
            if videos and (world > 1 or self.coco_images):
                why = "is read by one process: leave torchrun out" if world > 1 else f"has no ids in {self.coco_images}"
                raise ValueError(f"{videos[0][0]} {why}")
            if self.fast:
                detector = self._fastest(detector, pictures or videos, told=rank == 0)
            known = CocoIds.read(self.coco_images, pictures, detector.class_names) if self.coco_images else None
            size, began, own = self.batch_size, time.perf_counter(), pictures
            if world > 1:  # whole batches are shared out, so that each is the one that a single process would have
                own = [one for k in range(rank * size, len(own), world * size) for one in own[k : k + size]]
            looked_at = self._shots(own, detector, stop, known.sizes if known else {}, quiet=rank > 0)
            done = self._drawn(looked_at, detector.class_names) if self.pictures else looked_at
            if rank == 0:
                check_writable(self.out / "detections.json")
            if world > 1:
                mine = list(done)
                parts = in_turn([mine[k : k + size] for k in range(0, len(mine), size)])
                done = (shot for part in parts for shot in part)
            if rank > 0:
                return 0
            results = Results(self.out, self.format, detector.class_names, known, new)
            try:
                with results:
                    for shot in done:
                        results.add(shot)
                    for video in videos:
                        if not stop():
                            shots = self._shots([video], detector, stop)
                            self._film(video[1], shots, results, detector.class_names)
            finally:
                for line in results.told(time.perf_counter() - began) if results.written else ():
                    print(line)
            if stop():
                print("stopped by a signal: what was found before is there")
            return 130 if stop() else 0

    def _fastest(self, detector: Any, sources: Sequence[tuple[str, Path]], told: bool) -> Any:
        """The fast form of the detector, as the first images show it."""
        import torch

        from lapnet_core.deploy.fast import fastest
        from lapnet_core.deploy.frames import CAMERA, prepared, shots

        size = 1 if sources[0][0].startswith(CAMERA) else self.batch_size
        given = (prepared(shot, detector) for shot in islice(shots(sources, self.on_error), size))
        first = [image for image in given if image is not None]
        made = fastest(detector, torch.cat(first) if first else None)
        if told:
            print(made.told())
        return made

    def _shots(
        self, sources: Sequence[tuple[str, Path]], detector: Any, stop: Callable[[], bool],
        sizes: Mapping[str, tuple[int, int]] | None = None, quiet: bool = False,
    ) -> Iterator[Any]:  # fmt: skip
        """What the sources show, with detections, until `stop`; an image is let go when the next one is asked for."""
        from tqdm.auto import tqdm

        from lapnet_core.deploy.frames import CAMERA, ahead, detected, shots

        live = any(source.startswith(CAMERA) for source, _ in sources)
        read = shots(sources, self.on_error, sizes)
        found = detected(read, detector, 1 if live else self.batch_size, score_threshold=self.score_threshold)
        total = len(sources)
        with tqdm(desc="predict", unit=" images", total=total, disable=True if quiet or not total else None) as bar:
            for shot in (shot for batch in ahead(found, 1) for shot in batch):
                if stop():
                    return
                if shot.video is not None and shot.frame == 0:
                    bar.total = shot.video.length or None
                    bar.unpause()
                yield shot
                shot.image = shot.video = None
                bar.update(shot.found is not None)

    def _drawn(self, shots: Iterator[Any], class_names: Sequence[str]) -> Iterator[Any]:
        """The same, each with a picture of its detections."""
        from lapnet_core.cli.drawing import draw
        from lapnet_core.files import write_new

        for shot in shots:
            if shot.image is not None:
                suffix, how = (".jpg", JPEG) if shot.name.suffix.lower() in (".jpg", ".jpeg") else (".png", PNG)
                wanted, profile = self.out / shot.name.with_suffix(suffix), shot.image.info.get("icc_profile")
                drawn = draw(shot.image, shot.found, class_names)  # in RGB, which not every profile is for
                profile = profile if profile and profile[16:20] == b"RGB " else None
                picture = write_new(wanted, partial(drawn.save, icc_profile=profile, **how))
                shot.picture = picture.relative_to(self.out).as_posix()
                shot.taken = "" if picture == wanted else f"{wanted} is there, so {picture.name} was written"
            yield shot

    def _film(self, name: Path, shots: Iterator[Any], results: Any, class_names: Sequence[str]) -> None:
        """Adds the frames of a video to the results and, where pictures are wanted, writes them as one again."""
        from lapnet_core.cli.drawing import draw
        from lapnet_core.deploy.frames import VideoWriter
        from lapnet_core.files import write_new, wrote

        def write(part: Path) -> None:
            with VideoWriter(part, first.size, first.video.rate, first.video.aspect) as writer:
                for shot in chain([first], shots):
                    if shot.image is not None:
                        writer.add(draw(shot.image, shot.found, class_names), shot.seconds)
                    results.add(shot)

        for first in shots:
            if self.pictures and first.image is not None:
                wanted = self.out / name.with_suffix(".mp4")
                print(wrote(wanted, write_new(wanted, write)))
            else:
                results.add(first)

    def _sources(self, told: bool) -> tuple[list[tuple[str, Path]], list[tuple[str, Path]]]:
        """Pictures, and videos and cameras: each with what its outputs are called below --out."""
        from lapnet_core.data.paths import folders_below
        from lapnet_core.data.pictures import ANY_IMAGE
        from lapnet_core.deploy.frames import CAMERA, is_video

        pictures: dict[Path, tuple[str, Path]] = {}
        videos: dict[Path, tuple[str, Path]] = {}
        passed_over: list[Path] = []
        for given in self.inputs:
            path = Path(given)
            if given.startswith(CAMERA):
                videos.setdefault(path, (given, Path(re.sub(r"\W+", "-", given))))
            elif path.is_dir():
                here, out = path.resolve(), self.out.resolve()
                if self.pictures and here == out:  # they would be inputs the next time, too
                    raise ValueError(f"--out {self.out} is a folder of inputs: name another, or --no-pictures")
                ours = out if here in out.parents else None  # what an earlier run wrote within is no photograph
                places = folders_below(path) if self.recursive else islice(folders_below(path), 1)
                for file in sorted(place / name for place, names in places for name in names):
                    if ours in file.resolve().parents:
                        continue
                    if is_video(str(file)):
                        passed_over.append(file)
                    elif file.suffix.lower() in ANY_IMAGE:
                        pictures.setdefault(file.absolute(), (str(file), file.relative_to(path)))
            elif not path.is_file():
                raise FileNotFoundError(f"{path} does not exist" + "; a camera is camera:0" * given.isdecimal())
            else:
                (videos if is_video(given) else pictures).setdefault(path.absolute(), (given, Path(path.name)))
        if told and (left := [file for file in passed_over if file.absolute() not in videos]):
            print(f"{len(left)} videos or GIFs in folders are not looked at: name them, as {left[0]}")
        return list(pictures.values()), list(videos.values())
