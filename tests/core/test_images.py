"""One reader of image files for training, evaluation and prediction: what it takes, and what it never opens."""

import io
import os
import re
import struct
import subprocess
import zlib

import numpy as np
import pytest
import torch
from PIL import EpsImagePlugin, Image, ImageFile, ImageOps

from lapnet_core.data import DataError
from lapnet_core.data.pictures import MAX_PIXELS, read_picture
from lapnet_core.detector import Detector
from lapnet_core.peers import method_class

HEIGHT, WIDTH = 30, 40


@pytest.fixture(scope="module")
def detector() -> Detector:
    torch.manual_seed(0)
    form = {"num_classes": 1, "per_class": 1, "backbone": "light"}
    method = method_class("lapnet").restore(form).eval()
    method.shapes.fill_(16)
    return Detector(method, ("thing",), (64, 64))


def png(width: int, height: int, depth: int = 8, colour: int = 2, rows: bytes = b"") -> bytes:
    """A PNG of any size that it says it has."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


EPS = f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 {WIDTH} {HEIGHT}\n%%EndComments\nshowpage\n%%EOF\n".encode()


def other_format(name: str):
    return lambda path: Image.new("RGB", (WIDTH, HEIGHT)).save(path, name)


NO_IMAGES = {
    "eps": lambda path: path.write_bytes(EPS),
    **{name: other_format(name) for name in ("TIFF", "GIF", "PPM", "PDF", "ICO", "JPEG2000", "TGA", "DDS", "SGI")},
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no picture"),
    "page": lambda path: path.write_text("<!DOCTYPE html><html></html>"),
    "missing": lambda path: None,
    "folder": lambda path: path.mkdir(),
    "pipe": lambda path: os.mkfifo(path),
    "device": lambda path: path.symlink_to("/dev/zero"),
    "terminal": lambda path: path.symlink_to("/dev/tty"),
    "loop": lambda path: path.symlink_to(path),
    "no pixels": lambda path: path.write_bytes(png(0, 0)),
    "no height": lambda path: path.write_bytes(png(WIDTH, 0)),
    "no width, as BMP": lambda path: path.write_bytes(bmp(0, HEIGHT)),
    "no height, as BMP": lambda path: path.write_bytes(bmp(WIDTH, 0)),
    "bomb": lambda path: path.write_bytes(png(60_000, 60_000)),
    "bomb of one bit": lambda path: path.write_bytes(png(60_000, 60_000, 1, 0, bytes(7501 * 60_000 // 100))),
    "long bomb": lambda path: path.write_bytes(png(2**25, 5, 1, 0)),
}


def bmp(width: int, height: int) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + head


@pytest.mark.timeout(30)
@pytest.mark.parametrize("case", NO_IMAGES)
def test_whatever_is_no_image_of_ours_is_refused_by_all_three(detector, tmp_path, case):
    path = tmp_path / "a.jpg"
    NO_IMAGES[case](path)
    reads = [
        lambda: read_picture(path, (HEIGHT, WIDTH)),
        lambda: read_picture(path),
        lambda: detector.predict_file(path),
    ]
    for read in reads:
        with pytest.raises(
            DataError,
            match=r"a\.jpg: (cannot read this image|the image is .*(no image can|its annotation))",
        ):
            read()


@pytest.mark.parametrize("name", ["x" * 5000 + ".jpg", "a\0b.jpg", "\ud800.jpg"])
def test_names_that_no_file_can_have(detector, name):
    with pytest.raises(DataError, match="cannot read this image"):
        detector.predict_file(name)


def test_the_bound_on_pixels_is_ours_and_holds_where_the_user_lifted_pillows(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    (tmp_path / "a.png").write_bytes(png(20_000, MAX_PIXELS // 20_000 + 1, 1, 0))
    with pytest.raises(DataError, match=r"a\.png: the image is 20000 x .* which no image can have"):
        read_picture(tmp_path / "a.png")


def test_no_other_program_is_started_for_an_eps(detector, tmp_path, monkeypatch):
    """Ghostscript is found by its name: one of ours in its place says that it was started."""
    started, fake, picture = tmp_path / "started", tmp_path / "bin" / "gs", tmp_path / "a.jpg"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\necho $0 >> {started}\nexit 1\n")
    fake.chmod(0o755)
    picture.write_bytes(EPS)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    with pytest.raises(DataError, match=r"a\.jpg: cannot read this image"):
        detector.predict_file(picture)
    assert not started.exists()
    with pytest.raises((OSError, subprocess.CalledProcessError)), Image.open(picture) as file:
        file.load()
    assert started.exists()  # so it would have been seen


def gradient() -> np.ndarray:
    return np.linspace(0, 255, WIDTH).round().astype(np.uint8)[None].repeat(HEIGHT, 0)


def test_sixteen_bits_are_the_same_everywhere(detector, tmp_path):
    grey = gradient()
    Image.fromarray((grey.astype(np.uint16) << 8) + 200).save(tmp_path / "deep.png")
    Image.fromarray(grey).save(tmp_path / "flat.png")
    annotated = np.asarray(read_picture(tmp_path / "deep.png", (HEIGHT, WIDTH)))
    assert np.array_equal(annotated[..., 0], grey)
    deep, found = detector.predict_file(tmp_path / "deep.png", score_threshold=0.0)
    flat, expected = detector.predict_file(tmp_path / "flat.png", score_threshold=0.0)
    assert np.array_equal(np.asarray(deep), np.asarray(flat))
    assert np.array_equal(np.asarray(deep), annotated)
    with Image.open(tmp_path / "deep.png") as file:
        given = detector.predict(file, score_threshold=0.0)
    for other in (expected, given):
        assert torch.equal(found["scores"], other["scores"])
        assert torch.equal(found["boxes"], other["boxes"])


@pytest.mark.parametrize("orientation", range(10))  # 0 and 9 are none
def test_prediction_turns_an_image_upright(detector, tmp_path, orientation):
    grey = gradient()
    grey[: HEIGHT // 2] //= 2
    image = Image.fromarray(np.stack([grey, 255 - grey, grey // 2], -1))
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    turned, found = detector.predict_file(tmp_path / "a.png", score_threshold=0.0)
    with Image.open(tmp_path / "a.png") as file:
        expected = ImageOps.exif_transpose(file).convert("RGB")
    assert np.array_equal(np.asarray(turned), np.asarray(expected))
    assert turned.size == ((HEIGHT, WIDTH) if 5 <= orientation <= 8 else (WIDTH, HEIGHT))
    assert len(found["scores"])


BAD_TENSORS = {
    "float": torch.zeros(3, 8, 8),
    "int64": torch.zeros(3, 8, 8, dtype=torch.int64),
    "grey": torch.zeros(1, 8, 8, dtype=torch.uint8),
    "channels last": torch.zeros(8, 8, 3, dtype=torch.uint8),
    "batch": torch.zeros(1, 3, 8, 8, dtype=torch.uint8),
    "no pixels": torch.zeros(3, 0, 8, dtype=torch.uint8),
    "array": np.zeros((3, 8, 8), dtype=np.uint8),
    "path": "a.jpg",
}


@pytest.mark.parametrize("case", BAD_TENSORS)
def test_what_is_no_uint8_image_is_named(detector, case):
    with pytest.raises(ValueError, match=r"image must be a tensor \(3, height, width\) of uint8 RGB"):
        Detector.prepare.__wrapped__(detector, BAD_TENSORS[case])


@pytest.mark.parametrize("mode", ["I", "F"])
def test_numbers_without_a_white_are_no_picture(detector, mode):
    """Of 0 to 255, or 0 to 1, black was made without a word, and nothing was found in it."""
    with pytest.raises(ValueError, match=f"8 bits a channel, not Pillow's mode {mode}"):
        detector.predict(Image.new("L", (8, 8), 200).convert(mode))


def jpeg(path, cut: int = 0, **options) -> bytes:
    """A JPEG of noise without its last bytes."""
    file = io.BytesIO()
    noise = np.random.default_rng(0).normal(90, 40, (120, 160, 3)).clip(0, 255).astype(np.uint8)
    Image.fromarray(noise).save(file, "JPEG", quality=90, **options)
    path.write_bytes(file.getvalue()[: len(file.getvalue()) - cut])
    return file.getvalue()


WAYS = {"baseline": {}, "restarts": {"restart_marker_rows": 1}, "full colour": {"subsampling": 0}}


@pytest.mark.parametrize("way", [*WAYS, "progressive"])
@pytest.mark.parametrize("cut", [3, 10, 100])
def test_a_jpeg_that_ends_a_little_too_early_is_used_and_said(detector, tmp_path, way, cut):
    path = tmp_path / "a.jpg"
    whole = Image.open(io.BytesIO(jpeg(path, cut, **WAYS.get(way, {"progressive": True}))))
    for size in (None, (120, 160)):
        found = read_picture(path, size)
        assert re.search(
            r"a\.jpg: this JPEG ends too early: something of its last rows is lost", found.info["truncated"]
        )
        assert np.array_equal(np.asarray(found)[:96], np.asarray(whole)[:96]) or way == "progressive"
        assert np.abs(np.asarray(found).astype(int) - np.asarray(whole)).mean() < 2
    assert "truncated" in detector.predict_file(path)[0].info
    assert "truncated" not in read_picture_of(whole, tmp_path).info


def read_picture_of(image, folder):
    image.save(folder / "whole.jpg")
    return read_picture(folder / "whole.jpg")


@pytest.mark.parametrize("share", [0.25, 0.6, 0.9])
def test_a_jpeg_that_lacks_more_is_none(tmp_path, share):
    path = tmp_path / "a.jpg"
    for options in (*WAYS.values(), *([{"progressive": True}] if share > 0.5 else [])):  # a third is but the last bit
        jpeg(path, int(share * len(jpeg(path, **options))), **options)
        with pytest.raises(DataError, match=r"a\.jpg: cannot read this image"):
            read_picture(path)
    jpeg(path, int(share * len(jpeg(path))))
    with pytest.raises(DataError, match=r"it ends too early: \d+ of its 120 rows are missing; get the file anew"):
        read_picture(path, (120, 160))


def test_pillows_switch_is_left_alone(tmp_path):
    jpeg(tmp_path / "a.jpg", 10)
    read_picture(tmp_path / "a.jpg")
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    Image.new("RGB", (160, 120)).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:-30])
    with pytest.raises(DataError, match="cannot read"):
        read_picture(tmp_path / "a.png")


def test_an_annotation_of_the_upright_picture_turns_it(tmp_path):
    image = Image.fromarray(np.stack([gradient()] * 3, -1))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.png", exif=exif)
    upright = np.asarray(image.transpose(Image.Transpose.ROTATE_270))
    assert np.array_equal(np.asarray(read_picture(tmp_path / "a.png", (WIDTH, HEIGHT))), upright)
    assert np.array_equal(np.asarray(read_picture(tmp_path / "a.png", (HEIGHT, WIDTH))), np.asarray(image))
    image.save(tmp_path / "b.png")
    with pytest.raises(DataError, match="its annotation says 30 x 40"):
        read_picture(tmp_path / "b.png", (WIDTH, HEIGHT))
