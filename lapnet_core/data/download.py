"""Fetches and unpacks the public data sets: resumed after an interruption, checked, and never left half-unpacked."""

import os
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import pooch
from tqdm import tqdm

ATTEMPTS = 3  # at each address, resuming where the last one broke off
TIMEOUT = 30.0  # seconds without a byte
CHUNK = 1 << 20  # bytes
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


_OXFORD = "http://host.robots.ox.ac.uk/pascal/VOC"
_MIRROR = "http://pjreddie.com/media/files"
_COCO = "http://images.cocodataset.org"


def _voc(year: int, part: str, archive: str, size: int, md5: str) -> Download:
    return Download(
        name=f"voc{year}-{part}",
        urls=(f"{_OXFORD}/voc{year}/{archive}", f"{_MIRROR}/{archive}"),
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
    that the data set's folder is complete whenever it exists.

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
    archive.parent.mkdir(parents=True, exist_ok=True)
    fetch: Any = _resuming(archive, what.size, progress)  # Any: pooch annotates its downloaders wrongly
    failures: dict[str, str] = {}
    wrong: set[str] = set()
    for url in what.urls * ATTEMPTS:
        if url in wrong:  # another attempt there would get the same file
            continue
        try:
            pooch.retrieve(url, what.checksum, fname=archive.name, path=archive.parent, downloader=fetch)
            break
        except ValueError as error:  # what pooch raises on a mismatch
            failures[url] = f"the checksum does not match ({error})"
            wrong.add(url)
        except (OSError, HTTPException) as error:
            failures[url] = str(error)
    else:
        reasons = "; ".join(f"{url}: {reason}" for url, reason in failures.items())
        raise DownloadError(
            f"could not fetch {what.name}: {reasons}. Try again, which resumes; or get the file by other means and put"
            f" it at {archive}."
        )
    if _size(archive) != what.size:
        raise DownloadError(f"{archive} has {_size(archive)} bytes, {what.name} has {what.size}: move it away")


def _resuming(archive: Path, size: int, progress: bool) -> Callable[[str, str, Any], None]:
    """A downloader for pooch that writes to `archive`.part, and continues such a file if there is one."""

    def fetch(url: str, output_file: str, _pooch: Any) -> None:
        part = _part(archive)
        if _size(part) > size:
            part.unlink()  # of some other file
        if _size(part) < size:
            with part.open("ab") as file:
                _transfer(url, file, size, progress)
        if _size(part) != size:
            found = _size(part)
            if found > size:
                part.unlink()
            raise OSError(f"the transfer ended at {found} of {size} bytes")
        os.replace(part, output_file)

    return fetch


def _transfer(url: str, file: BinaryIO, size: int, progress: bool) -> None:
    """Appends the rest of `url` to an open file; starts again where the server cannot resume."""
    start = file.tell()
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        if start and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            file.seek(0)
            file.truncate()
            start = 0
        with tqdm(
            total=size, initial=start, unit="B", unit_scale=True, desc=PurePosixPath(url).name, disable=not progress
        ) as bar:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
                if file.tell() > size:
                    break


def _unpack(what: Download, archive: Path, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    print(f"Unpacking {archive.name} to {folder}")
    # Beside its place, hence on the same disk: so the rename is one step. An interruption removes the folder.
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=folder.parent) as temporary:
        try:
            _extract(what, archive, temporary)
        except DownloadError:
            raise
        except (OSError, EOFError, RuntimeError, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
            raise DownloadError(f"{archive}: cannot be unpacked safely ({error})") from error
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
        raise DownloadError(f"{folder} should hold {what.name} but lacks {', '.join(lacking) or 'everything'}")


def _check_disk(folder: Path, needed: int, name: str) -> None:
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed + DISK_MARGIN:
        raise DownloadError(
            f"{name} needs {needed / 1e9:.2f} GB and {DISK_MARGIN / 1e9:.2f} GB to spare, {folder} has"
            f" {free / 1e9:.2f} GB free: make room, or name another disk in LAPNET_DATA"
        )


def _part(archive: Path) -> Path:
    return archive.with_name(archive.name + ".part")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
