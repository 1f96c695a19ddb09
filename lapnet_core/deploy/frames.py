"""Pictures one after the other: image files, videos and cameras, through a detector, and videos out again."""

import os
import sys
import time
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any, Literal, TypeVar

import torch
from PIL import Image
from torchvision.transforms import v2

from lapnet_core.data import DataError, Detection, boxes_to_original
from lapnet_core.data.pictures import read_picture
from lapnet_core.detector import Detector

T = TypeVar("T")
CAMERA = "camera:"
"""How a camera is named: camera:0, or camera: and what the system calls it."""
VIDEO_SUFFIXES = {
    *(".mp4", ".m4v", ".mov", ".3gp", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv"),
    *(".flv", ".ogv", ".gif"),
}
# Other readers of FFmpeg are never reached, whatever a file holds: a list of addresses would be followed.
VIDEO_FORMATS = "mov,matroska,avi,mpeg,mpegts,asf,flv,ogg,gif"
ENCODERS: dict[str, dict[str, str]] = {"libx264": {"preset": "veryfast", "crf": "20"}, "libopenh264": {}, "mpeg4": {}}
"""The first that FFmpeg was built with: H.264 plays in browsers and slides, MPEG-4 in players; with their options."""
TICKS = 60_000
"""Parts of a second in which a video tells its times; MPEG-4 allows no more than 65,535."""
TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
"""Anticlockwise, as PyAV tells how a frame is shown."""
PATIENCE = 10.0
"""Seconds without a picture after which a camera is given up."""


@dataclass
class Shot:
    """A picture of a file, or a frame of a video, on its way; each station writes down what it did.

    Attributes:
        source: the file, or the camera.
        name: what files about it are called, below the folder that was asked for.
        image: upright RGB. None: it could not be read, or is no longer needed.
        size: its (height, width) in pixels.
        found: its detections, in its own pixels.
        frame: the number of a frame, from 0. None: a picture.
        seconds: of a frame, since the first.
        video: what it is a frame of.
        picture: the file with its detections, below the folder of all of them.
        taken, skipped, mended: where that file's name was taken; why it cannot be read; what of it was used.
    """

    source: str
    name: Path
    image: Image.Image | None = None
    size: tuple[int, int] = (0, 0)
    found: Detection | None = None
    frame: int | None = None
    seconds: float = 0.0
    video: "Video | None" = None
    picture: str = ""
    taken: str = ""
    skipped: str = ""
    mended: str = ""


def ahead(items: Iterable[T], limit: int) -> Iterator[T]:
    """The items in their order, made by a thread of their own, `limit` of them before they are asked for."""
    iterator, end = iter(items), object()
    pool = ThreadPoolExecutor(1)
    try:
        waiting = deque(pool.submit(next, iterator, end) for _ in range(limit))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(pool.submit(next, iterator, end))
            yield item  # pyright: ignore[reportReturnType]
    finally:
        pool.shutdown(cancel_futures=True)


def newest(items: Iterable[T]) -> Iterator[T]:
    """Of the items that a thread makes always the last one: no camera waits for a slow network. OSError where none
    comes for PATIENCE seconds."""
    queue: Queue[tuple[T] | Exception | None] = Queue()
    over = Event()

    def fill() -> None:
        last = None
        try:
            for item in items:
                if over.is_set():
                    return
                with suppress(Empty):
                    queue.get_nowait()
                queue.put((item,))
        except Exception as error:
            last = error
        queue.put(last)

    Thread(target=fill, daemon=True).start()
    try:
        while (entry := queue.get(timeout=PATIENCE)) is not None:
            if isinstance(entry, Exception):
                raise entry
            yield entry[0]
    except Empty:
        raise OSError(f"the camera gave no picture for {PATIENCE:g} seconds") from None
    finally:
        over.set()


def is_video(source: str) -> bool:
    """Whether it is called as a video file or a camera is."""
    return source.startswith(CAMERA) or Path(source).suffix.lower() in VIDEO_SUFFIXES


def shots(
    sources: Iterable[tuple[str, Path]], on_error: Literal["raise", "skip"] = "raise",
    sizes: Mapping[str, tuple[int, int]] | None = None,
) -> Iterator[Shot]:  # fmt: skip
    """What each (source, name) shows: one shot of an image file, all of a video.

    Args:
        on_error: what a source that cannot be read does: "raise" a DataError, or be one shot that says so.
        sizes: (height, width) that annotations give of an image file, as in `read_picture`.
    """
    for source, name in sources:
        try:
            if is_video(source):
                yield from Video(source, name)
                continue
            image = read_picture(source, (sizes or {}).get(source))
            yield Shot(source, name, image, (image.height, image.width), mended=image.info.get("truncated", ""))
        except DataError as error:
            if on_error == "raise":
                raise DataError(f"{error} (--on-error skip goes on with the others)") from error
            yield Shot(source, name, skipped=str(error))


def detected(shots: Iterable[Shot], detector: Detector, batch_size: int, **options: float) -> Iterator[list[Shot]]:
    """The same shots in batches, with their detections. Up to `batch_size` more are read meanwhile.

    Args:
        options: thresholds of `predict.detect`.
    """
    ready = ahead(((shot, prepared(shot, detector)) for shot in shots), batch_size)
    while batch := list(islice(ready, batch_size)):
        inputs = [inputs for _, inputs in batch if inputs is not None]
        found = iter(detector.detect_images(torch.cat(inputs), **options) if inputs else ())
        for shot, one in batch:
            if one is not None:
                inside = next(found)
                shot.found = {**inside, "boxes": boxes_to_original(inside["boxes"], detector.image_size, shot.size)}
        yield [shot for shot, _ in batch]


def prepared(shot: Shot, detector: Detector) -> torch.Tensor | None:
    """What `Detector.detect_images` takes of a shot; None of one that could not be read."""
    return None if shot.image is None else detector.prepare(v2.functional.pil_to_tensor(shot.image))


class Video:
    """The shots of a video file, or of a camera, upright and in their order; of a file that is damaged or ends too
    early as far as it goes, with a last shot, without an image, that says so.

    Attributes:
        length: how many frames a file says that it has; 0: it says nothing.
        rate: frames per second, on average.
        aspect: width to height of a pixel, as displayed.

    Raises:
        DataError: a file that cannot be read, or, while it is read, that has no frame.
        OSError: a camera that is not there, or stops.
        ValueError: PyAV is not there.
    """

    def __init__(self, source: str, name: Path) -> None:
        self.source, self.name, self.live = source, name, source.startswith(CAMERA)
        av = self._av = _pyav()
        try:
            if not self.live and not os.path.isfile(source):  # a pipe would block
                raise ValueError("it is missing, or no regular file")
            allowed = {"format_whitelist": VIDEO_FORMATS, "protocol_whitelist": "file"}
            where = {"file": os.path.abspath(source), "options": allowed} if not self.live else _device(source)
            self._container: Any = av.open(**where)
            if not self._container.streams.video:
                raise ValueError("there is no video in it")
        except (av.FFmpegError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            if self.live:
                raise OSError(f"{source} cannot be used ({reason}): is it connected, and free for us?") from error
            raise DataError(f"{source}: cannot read this video ({reason})") from error
        self._stream = self._container.streams.video[0]
        self.rate = min(_fraction(self._stream.average_rate or self._stream.guessed_rate or 25), Fraction(240))
        self.aspect = self._aspect = _fraction(self._stream.sample_aspect_ratio or 1)
        self.length = 0 if self.live else int(self._stream.frames)
        self._damaged = 0

    def __iter__(self) -> Iterator[Shot]:
        first, seconds, number = None, 0.0, -1
        for number, frame in newest(self._frames()) if self.live else self._frames():
            at = float(number / self.rate) if frame.time is None else float(frame.time)
            first = at if first is None else first
            seconds = at - first
            image: Image.Image = frame.to_image()
            if (turn := frame.rotation % 360) in TURNS:
                image = image.transpose(TURNS[turn])
                self.aspect = 1 / self._aspect if turn != 180 else self._aspect
            yield Shot(self.source, self.name, image, (image.height, image.width), None, number, seconds, self)
        if first is None:
            raise DataError(f"{self.source}: no frame of this video can be read")
        if not self.live and (missing := self._missing(number + 1, seconds + float(1 / self.rate), first)):
            yield Shot(self.source, self.name, mended=f"{self.source}: {missing}")

    def _frames(self) -> Iterator[tuple[int, Any]]:
        """Numbers and frames of PyAV; packets that cannot be decoded are passed over and counted."""
        packets, number = self._container.demux(self._stream), 0
        while True:
            try:
                packet = next(packets, None)
                frames = [] if packet is None else packet.decode()
            except BlockingIOError:  # a camera has nothing new; what raised has ended
                time.sleep(0.005)
                packets = self._container.demux(self._stream)
                continue
            except self._av.FFmpegError as error:
                if self.live:
                    raise OSError(f"{self.source} stopped ({error.strerror})") from error
                self._damaged += 1
                continue
            if packet is None:
                return
            for frame in frames:
                yield number, frame
                number += 1

    def _missing(self, frames: int, seconds: float, first: float) -> str:
        """What a sentence says of a file of which so much was read, from `first` on; empty where that is all."""
        own = (self._stream.duration or 0) * _fraction(self._stream.time_base)
        told = float(own) or (self._container.duration or 0) / 1e6
        if "matroska" in self._container.format.name:  # it says when it ends, and need not begin at 0
            told -= max(0.0, first)
        # Not by their number in MOV and MP4, which may hide some of them.
        by_number = "mov" not in self._container.format.name and frames < 0.98 * self.length
        if by_number or seconds < told - max(0.5, 3 / float(self.rate)):
            whole = f"{self.length} frames" if by_number else f"{told:.1f} seconds"
            return f"this video ends too early: {frames} frames, {seconds:.1f} seconds, of its {whole} were used"
        return f"{self._damaged} parts of this video are damaged and were left out" if self._damaged else ""


class VideoWriter:
    """An MP4 of frames with their times, without sound; a `with`, at whose end it is whole.

    Args:
        path: where to; replaced.
        size: (height, width) of the frames; others are stretched to it. A row or column is added where it is odd.
        rate, aspect: as of a `Video`.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, size: tuple[int, int], rate: Fraction, aspect: Fraction) -> None:
        av = self._av = _pyav()
        encoder = next(name for name in ENCODERS if name in av.codecs_available)
        if encoder == "mpeg4":
            warnings.warn("FFmpeg has no H.264 here: the video is MPEG-4, which browsers do not play", stacklevel=2)
        self._size, self._last = (size[1], size[0]), -1
        self._even = (size[1] + size[1] % 2, size[0] + size[0] % 2)
        with _writing(av):
            self._container: Any = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
            stream = self._stream = self._container.add_stream(encoder, rate=rate, options=ENCODERS[encoder])
        (stream.width, stream.height), stream.pix_fmt = self._even, "yuv420p"
        context = stream.codec_context
        context.time_base, context.sample_aspect_ratio = Fraction(1, TICKS), aspect
        context.color_primaries = context.color_trc = context.colorspace = context.color_range = 1  # BT.709, limited
        if "crf" not in ENCODERS[encoder]:
            stream.bit_rate = int(self._even[0] * self._even[1] * min(float(rate), 60.0) / 8)

    def add(self, image: Image.Image, seconds: float) -> None:
        """Append an RGB image that is shown `seconds` after the first."""
        image = image if image.size == self._size else image.resize(self._size)
        frame = self._av.VideoFrame.from_image(image.crop((0, 0, *self._even)))
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        self._last = max(self._last + 1, round(seconds * TICKS))
        frame.pts, frame.time_base = self._last, Fraction(1, TICKS)
        with _writing(self._av):
            self._container.mux(self._stream.encode(frame))

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            with _writing(self._av):
                try:
                    self._container.mux(self._stream.encode(None))
                finally:
                    self._container.close()
        except OSError:
            if kind is None:  # otherwise the first error is the one to tell
                raise


def _pyav() -> Any:
    try:
        import av
    except ImportError as error:
        raise ValueError(
            f'videos and cameras need PyAV, which is not there ({error}): pip install "av>=17", or lapnet-core[video]'
        ) from error
    return av


@contextmanager
def _writing(av: Any) -> Iterator[None]:
    """FFmpeg's errors as OSError, so that whoever writes the file names it."""
    try:
        yield
    except av.FFmpegError as error:
        raise OSError(error.errno, error.strerror) from error


def _fraction(number: Any) -> Fraction:
    """PyAV's own kind of fraction, from version 19 on, as Python's."""
    return Fraction(number.numerator, number.denominator)


def _device(source: str) -> dict[str, Any]:
    """What PyAV opens for a camera."""
    name = source.removeprefix(CAMERA)
    if sys.platform == "darwin":  # its cameras know no 29.97, which FFmpeg asks for
        return {"file": f"{name}:none", "format": "avfoundation", "options": {"framerate": "30"}}
    if sys.platform == "win32":
        from av.device import enumerate_input_devices

        known = [device.name for device in enumerate_input_devices("dshow") if "video" in device.media_types]
        name = dict(enumerate(known)).get(int(name), name) if name.isdecimal() else name
        return {"file": f"video={name}", "format": "dshow"}
    return {"file": f"/dev/video{name}" if name.isdecimal() else name, "format": "v4l2"}
