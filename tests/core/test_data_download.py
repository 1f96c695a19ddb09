"""Downloads from a small server on this machine: whole, resumed, wrong, hostile, interrupted."""

import hashlib
import http.server
import io
import shutil
import tarfile
import threading
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from lapnet_core.data.download import DISK_MARGIN, DOWNLOADS, Download, DownloadError, data_dir, download

FILES = {"set/ImageSets/a.txt": b"a\n", "set/Images/a.jpg": bytes(range(256)) * 800}


class Server(http.server.ThreadingHTTPServer):
    """Serves `files` by path. `behaviour`: "ranges", "no ranges", "cut" (breaks off once) or a status such as 503."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.behaviour: str | int = "ranges"
        self.requests: list[tuple[str, str | None]] = []

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_args) -> None:
        pass

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range")
        server.requests.append((self.path, wanted))
        body = server.files.get(self.path.lstrip("/"))
        if body is None or isinstance(server.behaviour, int):
            self.send_error(404 if body is None else server.behaviour)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.behaviour != "no ranges" else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        if server.behaviour == "cut":
            server.behaviour = "ranges"
            self.wfile.write(body[start : start + (len(body) - start) // 2])
            return
        self.wfile.write(body[start:])


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return buffer.getvalue()


def tar_of(files: dict[str, bytes], **members: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))
        for entry in members.values():
            packed.addfile(entry)
    return buffer.getvalue()


def offer(server: Server, body: bytes, name: str = "set.zip", **changes) -> Download:
    server.files[name] = body
    entry = {
        "name": "toy",
        "urls": (server.url(name),),
        "size": len(body),
        "unpacked": len(body),
        "checksum": "sha256:" + hashlib.sha256(body).hexdigest(),
        "inside": "set",
        "folder": "toys/set",
        "expects": ("ImageSets/a.txt",),
    }
    return Download(**{**entry, **changes})


def get(entry: Download, folder: Path) -> Path:
    return download(entry, folder, progress=False)


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("toys/*"))


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_download_is_unpacked_and_kept_and_not_repeated(server, tmp_path, kind):
    entry = offer(server, zip_of(FILES) if kind == "zip" else tar_of(FILES), f"set.{kind}")
    folder = get(entry, tmp_path)
    assert folder == tmp_path / "toys" / "set"
    assert (folder / "Images" / "a.jpg").read_bytes() == FILES["set/Images/a.jpg"]
    assert left_behind(tmp_path) == ["set"]
    assert [path.name for path in (tmp_path / "downloads").iterdir()] == [f"set.{kind}"]
    assert get(entry, tmp_path) == folder
    assert len(server.requests) == 1
    shutil.rmtree(folder)  # the archive is still there
    assert (get(entry, tmp_path) / "ImageSets" / "a.txt").is_file()
    assert len(server.requests) == 1


def test_the_progress_bar_counts_bytes(server, tmp_path, capsys):
    entry = offer(server, zip_of(FILES))
    download(entry, tmp_path)
    assert "100%" in capsys.readouterr().err


def test_a_transfer_that_breaks_off_is_resumed(server, tmp_path):
    entry = offer(server, zip_of(FILES))
    server.behaviour = "cut"
    assert (get(entry, tmp_path) / "Images" / "a.jpg").read_bytes() == FILES["set/Images/a.jpg"]
    assert server.requests == [("/set.zip", None), ("/set.zip", f"bytes={entry.size // 2}-")]


def test_what_an_earlier_call_left_is_continued(server, tmp_path):
    entry = offer(server, zip_of(FILES))
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "set.zip.part").write_bytes(server.files["set.zip"][:1000])
    get(entry, tmp_path)
    assert server.requests == [("/set.zip", "bytes=1000-")]


@pytest.mark.parametrize("size", [1000, 10**7])
def test_a_server_that_cannot_resume_and_a_part_that_is_too_great(server, tmp_path, size):
    entry = offer(server, zip_of(FILES))
    server.behaviour = "no ranges"
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "set.zip.part").write_bytes(b"x" * size)
    assert (get(entry, tmp_path) / "ImageSets" / "a.txt").read_bytes() == b"a\n"
    assert len(server.requests) == 1


def test_a_wrong_checksum_leaves_nothing(server, tmp_path):
    entry = offer(server, zip_of(FILES), checksum="md5:" + "0" * 32)
    with pytest.raises(DownloadError, match=r"could not fetch toy.*checksum does not match"):
        get(entry, tmp_path)
    assert len(server.requests) == 1  # the same file would come again
    assert list((tmp_path / "downloads").iterdir()) == []
    assert not (tmp_path / "toys").exists()


@pytest.mark.parametrize("difference", [-3, 3])
def test_a_wrong_size_is_told_also_without_a_checksum(server, tmp_path, difference, capsys):
    body = zip_of(FILES)
    entry = offer(server, body, size=len(body) + difference, checksum=None)
    with pytest.raises(
        DownloadError, match=rf"the transfer ended at {len(body)} of {len(body) + difference} bytes|HTTP"
    ):
        get(entry, tmp_path)
    assert "No checksum of toy is published" in capsys.readouterr().out
    assert not (tmp_path / "downloads" / "set.zip").exists()


def test_without_a_checksum_the_size_suffices(server, tmp_path):
    assert get(offer(server, zip_of(FILES), checksum=None), tmp_path).is_dir()


def test_an_archive_put_there_by_hand_is_taken_or_named(server, tmp_path):
    entry = offer(server, zip_of(FILES), checksum=None)
    (tmp_path / "downloads").mkdir()
    archive = tmp_path / "downloads" / "set.zip"
    archive.write_bytes(b"something else")
    with pytest.raises(DownloadError, match=r"set\.zip has 14 bytes, toy has \d+: move it away"):
        get(entry, tmp_path)
    assert archive.read_bytes() == b"something else"
    archive.write_bytes(server.files["set.zip"])
    assert get(entry, tmp_path).is_dir()
    assert server.requests == []


@pytest.mark.parametrize("status", [404, 503])
def test_a_server_error_is_told_with_what_to_do(server, tmp_path, status):
    entry = offer(server, zip_of(FILES))
    server.behaviour = status
    with pytest.raises(DownloadError, match=rf"set\.zip: .*{status}.*Try again.*put it at .*downloads/set\.zip"):
        get(entry, tmp_path)
    assert not (tmp_path / "downloads" / "set.zip").exists()


def test_the_second_address_is_tried(server, tmp_path):
    entry = offer(server, zip_of(FILES))
    entry = Download(**{**vars(entry), "urls": (server.url("gone/set.zip"), *entry.urls)})
    assert get(entry, tmp_path).is_dir()
    assert [path for path, _ in server.requests] == ["/gone/set.zip", "/set.zip"]


def test_nobody_answers(tmp_path):
    idle = Server()
    entry = offer(idle, zip_of(FILES))
    idle.server_close()
    with pytest.raises(DownloadError, match="refused"):
        get(entry, tmp_path)


def link(name: str, target: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    return entry


HOSTILE = {
    "zip traversal": ("set.zip", lambda: zip_of({**FILES, "../../evil": b"x"})),
    "zip absolute": ("set.zip", lambda: zip_of({**FILES, "/tmp/evil": b"x"})),
    "tar traversal": ("set.tar", lambda: tar_of({**FILES, "../../evil": b"x"})),
    "tar link outside": ("set.tar", lambda: tar_of(FILES, link=link("set/link", "/etc/passwd"))),
    "tar device": ("set.tar", lambda: tar_of(FILES, device=device())),
    "damaged zip": ("set.zip", lambda: zip_of(FILES)[:-40]),
    "damaged content": ("set.zip", lambda: zip_of(FILES).replace(bytes(range(256)), bytes(256), 1)),
    "neither": ("set.zip", lambda: b"hello"),
}


def device() -> tarfile.TarInfo:
    entry = tarfile.TarInfo("set/null")
    entry.type, entry.devmajor, entry.devminor = tarfile.CHRTYPE, 1, 3
    return entry


@pytest.mark.parametrize("case", HOSTILE)
def test_an_unsafe_or_damaged_archive_is_refused_as_a_whole(server, tmp_path, case):
    name, body = HOSTILE[case]
    data = tmp_path / "deep" / "data"
    with pytest.raises(DownloadError, match="cannot be unpacked safely"):
        get(offer(server, body(), name), data)
    assert left_behind(data) == []
    assert sorted(path.name for path in data.iterdir()) == ["downloads", "toys"]
    assert not list(tmp_path.rglob("evil"))


def test_an_archive_of_something_else(server, tmp_path):
    entry = offer(server, zip_of({"set/readme": b""}))
    with pytest.raises(DownloadError, match=r"lacks ImageSets/a\.txt"):
        get(entry, tmp_path)
    assert left_behind(tmp_path) == []


def test_an_incomplete_folder_of_that_name_is_named_and_left_alone(server, tmp_path):
    (tmp_path / "toys" / "set").mkdir(parents=True)
    with pytest.raises(DownloadError, match=r"toys/set should hold toy but lacks ImageSets/a\.txt"):
        get(offer(server, zip_of(FILES)), tmp_path)
    assert server.requests == []


def test_an_interruption_leaves_nothing_half_unpacked(server, tmp_path, monkeypatch):
    entry = offer(server, zip_of(FILES))
    whole = zipfile.ZipFile.extractall

    def interrupted(self, path) -> None:
        whole(self, path)
        raise KeyboardInterrupt

    monkeypatch.setattr(zipfile.ZipFile, "extractall", interrupted)
    with pytest.raises(KeyboardInterrupt):
        get(entry, tmp_path)
    assert left_behind(tmp_path) == []
    monkeypatch.undo()
    assert get(entry, tmp_path).is_dir()
    assert len(server.requests) == 1  # the finished download was kept


def test_a_full_disk_is_told_before_anything_is_fetched(server, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 9, 10**6))
    with pytest.raises(DownloadError, match=r"toy needs .* GB free: make room"):
        get(offer(server, zip_of(FILES)), tmp_path / "new")
    assert server.requests == []
    assert not (tmp_path / "new").exists()


def test_an_archive_that_grows_beyond_the_disk_is_refused(server, tmp_path, monkeypatch):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("set/ImageSets/a.txt", bytes(5_000_000))
    entry = offer(server, packed.getvalue())  # a few kilobytes
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 9, DISK_MARGIN + 1_000_000))
    with pytest.raises(DownloadError, match=r"toy needs .* GB free: make room"):
        get(entry, tmp_path)
    assert left_behind(tmp_path) == []


def test_data_sets_that_are_known():
    assert {"voc2007-trainval", "voc2007-test", "voc2012-trainval", "coco2017-train"} <= set(DOWNLOADS)
    for name, entry in DOWNLOADS.items():
        assert entry.name == name
        assert entry.unpacked >= entry.size
        algorithm, digest = entry.checksum.split(":")
        assert len(digest) == {"md5": 32, "sha256": 64}[algorithm]
        assert all(url.endswith("/" + entry.archive) for url in entry.urls)
    assert len({entry.folder for entry in DOWNLOADS.values()}) == len(DOWNLOADS)
    with pytest.raises(KeyError, match="voc2007-test"):
        download("voc1999")


def test_the_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("LAPNET_DATA", str(tmp_path))
    assert data_dir() == tmp_path
    monkeypatch.setenv("LAPNET_DATA", "")
    assert data_dir() == Path(__file__).parents[2] / "data"
