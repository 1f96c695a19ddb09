"""Downloads from a small server on this machine: whole, resumed, wrong, hostile, interrupted."""

import contextlib
import hashlib
import http.server
import io
import os
import shutil
import socket
import subprocess
import tarfile
import threading
import time
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from lapnet_core.data import download as module
from lapnet_core.data.download import DISK_MARGIN, DOWNLOADS, Download, DownloadError, data_dir, download

PAGE = b"<!DOCTYPE html><html>Sign in to this network</html>"
FILES = {"set/ImageSets/a.txt": b"a\n", "set/Images/a.jpg": bytes(range(256)) * 800}


class Server(http.server.ThreadingHTTPServer):
    """Serves `files` by path. `behaviour`: "ranges", "no ranges", "cut" (breaks off once), "no length" (so that nobody
    knows where it ends), "drip" and "drip headers" (a byte every now and then) or a status such as 503."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.behaviour: str | int = "ranges"
        self.requests: list[tuple[str, str | None]] = []
        self.page_headers: dict[str, str] = {}
        self.pages: set[str] = set()  # paths where a page comes with status 200
        self.stop = threading.Event()

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
        if self.path in server.pages:
            self.page()
            return
        if body is None or isinstance(server.behaviour, int):
            self.send_error(404 if body is None else server.behaviour)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.behaviour != "no ranges" else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if server.behaviour == "drip headers":
            self.drip(b"X-Header: " + b"x" * 10_000)
            return
        if server.behaviour != "no length":
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        if server.behaviour == "drip":
            self.drip(body[start:])
            return
        if server.behaviour == "cut":
            server.behaviour = "ranges"
            self.wfile.write(body[start : start + (len(body) - start) // 2])
            return
        self.wfile.write(body[start:])

    def page(self) -> None:
        self.send_response(200)
        for name, value in self.server.page_headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(PAGE)

    def drip(self, body: bytes) -> None:
        with contextlib.suppress(OSError):
            self.wfile.flush()
            for at in range(len(body)):
                self.wfile.write(body[at : at + 1])
                if self.server.stop.wait(0.05):
                    return


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.stop.set()
    server.shutdown()
    thread.join()
    server.server_close()


def zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in files.items():
            packed.writestr(zipfile.ZipInfo(name), content)  # of 1980: twice the same files are the same bytes
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
        DownloadError, match=rf"the file there has {len(body)} bytes, toy has {len(body) + difference}\."
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


KINDS_OF_PAGE = {
    "html": {"Content-Type": "text/html; charset=utf-8"},
    "html with its length": {"Content-Type": "text/html", "Content-Length": str(len(PAGE))},
    "a type that says nothing": {"Content-Type": "application/octet-stream", "Content-Length": str(len(PAGE))},
    "neither type nor length": {},
}


@pytest.mark.parametrize("kind", KINDS_OF_PAGE)
@pytest.mark.parametrize("checked", [True, False])
def test_a_page_at_the_first_address_does_not_poison_the_second(server, tmp_path, kind, checked):
    entry = offer(server, zip_of(FILES))
    entry = offer(
        server, zip_of(FILES), urls=(server.url("a/set.zip"), server.url("b/set.zip"), entry.urls[0]),
        checksum=entry.checksum if checked else None,
    )  # fmt: skip
    server.pages, server.page_headers = {"/a/set.zip", "/b/set.zip"}, KINDS_OF_PAGE[kind]
    for _ in range(2):
        assert (get(entry, tmp_path) / "Images" / "a.jpg").read_bytes() == FILES["set/Images/a.jpg"]
        assert [path.name for path in (tmp_path / "downloads").iterdir()] == ["set.zip"]
        assert server.requests == [("/a/set.zip", None), ("/b/set.zip", None), ("/set.zip", None)]
        shutil.rmtree(tmp_path / "toys")


@pytest.mark.parametrize("kind", KINDS_OF_PAGE)
def test_a_page_everywhere_leaves_nothing(server, tmp_path, kind):
    entry = offer(server, zip_of(FILES))
    server.pages, server.page_headers = {"/set.zip"}, KINDS_OF_PAGE[kind]
    with pytest.raises(DownloadError, match=r"the file there has \d+ bytes|ended at \d+ of"):
        get(entry, tmp_path)
    assert sum(path.stat().st_size for path in (tmp_path / "downloads").iterdir()) == 0
    server.pages = set()
    assert get(entry, tmp_path).is_dir()


@pytest.mark.parametrize("size", [len(PAGE), None])
def test_what_an_earlier_call_left_may_be_wrong(server, tmp_path, size):
    """A piece, or the whole size, of something else: the right address is not blamed for it."""
    entry = offer(server, zip_of(FILES))
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "set.zip.part").write_bytes((PAGE * 9999)[: size or entry.size])
    assert get(entry, tmp_path).is_dir()
    assert server.requests[-1] == ("/set.zip", None)


def test_wrong_bytes_of_the_right_size_cost_that_address_only(server, tmp_path):
    entry = offer(server, zip_of(FILES))
    server.files["bad/set.zip"] = bytes(entry.size)
    entry = Download(**{**vars(entry), "urls": (server.url("bad/set.zip"), *entry.urls)})
    assert get(entry, tmp_path).is_dir()
    assert [path for path, _ in server.requests] == ["/bad/set.zip", "/set.zip"]


def test_a_server_that_does_not_say_how_much_comes(server, tmp_path):
    server.behaviour = "no length"
    assert get(offer(server, zip_of(FILES)), tmp_path).is_dir()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("how", ["drip", "drip headers"])
def test_a_server_that_sends_next_to_nothing_is_given_up(server, tmp_path, how, monkeypatch):
    monkeypatch.setattr(module, "WINDOW", 0.4)
    entry = offer(server, zip_of(FILES))
    server.behaviour = how
    begin = time.monotonic()
    with pytest.raises(DownloadError, match=r"set\.zip: only \d+ bytes came in 0\.4 s.*Try again"):
        get(entry, tmp_path)
    assert time.monotonic() - begin < module.ATTEMPTS * 0.4 + 10
    server.behaviour = "ranges"
    assert get(entry, tmp_path).is_dir()  # what came is kept and continued
    assert (server.requests[-1][1] is not None) == (how == "drip")


def test_an_archive_of_another_checksum_that_was_put_there_is_not_replaced(server, tmp_path):
    entry = offer(server, zip_of(FILES))
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "set.zip").write_bytes(bytes(entry.size))
    with pytest.raises(DownloadError, match=r"downloads/set\.zip is another one.*move it away"):
        get(entry, tmp_path)
    assert (tmp_path / "downloads" / "set.zip").read_bytes() == bytes(entry.size)
    assert server.requests == []


def test_what_a_killed_unpacking_left_is_removed_by_the_next_run(server, tmp_path, monkeypatch):
    entry = offer(server, zip_of(FILES))
    folders, whole = [], zipfile.ZipFile.extractall
    monkeypatch.setattr(
        zipfile.ZipFile, "extractall", lambda self, path: (folders.append(Path(path).name), whole(self, path))
    )
    process = subprocess.Popen(["true"])
    process.wait()
    shutil.rmtree(get(entry, tmp_path))
    orphan = folders[0].replace(f"-{os.getpid()}-", f"-{process.pid}-")
    assert orphan != folders[0]
    (tmp_path / "toys" / orphan / "set").mkdir(parents=True)
    (tmp_path / "toys" / orphan / "set" / "file").write_bytes(bytes(1000))
    host = socket.gethostname()
    kept = [
        f".unpack-{host}-{os.getpid()}-abc",  # a living process
        f".unpack-{host}-1-abc",  # another user's, perhaps
        f".unpack-another{host}-{process.pid}-abc",  # another machine's
        ".unpack-abc",
        "mine",
    ]
    for name in kept:
        (tmp_path / "toys" / name).mkdir()
    assert get(entry, tmp_path).is_dir()
    assert left_behind(tmp_path) == sorted([*kept, "set"])
    (tmp_path / "toys" / orphan).mkdir()
    get(entry, tmp_path)  # also where there is nothing more to do
    assert left_behind(tmp_path) == sorted([*kept, "set"])


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
        hosts = {url.split("/")[2] for url in entry.urls}
        assert len(hosts) == len(entry.urls) >= (3 if name.startswith("voc") else 1)  # Oxford's is down now and then
    assert len({entry.folder for entry in DOWNLOADS.values()}) == len(DOWNLOADS)
    with pytest.raises(KeyError, match="voc2007-test"):
        download("voc1999")


def test_a_data_folder_that_is_a_file_is_told_with_what_helps(server, tmp_path):
    (tmp_path / "taken").write_text("mine")
    entry = offer(server, zip_of(FILES), "set.zip")
    with pytest.raises(OSError, match=r"cannot be written .*another place: .*taken"):
        get(entry, tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "mine"


def test_the_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("LAPNET_DATA", str(tmp_path))
    assert data_dir() == tmp_path
    monkeypatch.setenv("LAPNET_DATA", "")
    assert data_dir() == Path(__file__).parents[2] / "data"
