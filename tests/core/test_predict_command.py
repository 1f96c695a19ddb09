"""`lapnet predict` as people use it: folders, videos, cameras; JSON, COCO and YOLO out."""

import json
import os
import re
import resource
import signal
import sys
import time
import weakref
from fractions import Fraction
from itertools import count
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO

from lapnet_core.cli import drawing, main
from lapnet_core.cli.drawing import draw
from lapnet_core.data import DataError, YoloDetection
from lapnet_core.data.paths import OURS
from lapnet_core.deploy import frames
from lapnet_core.detector import Detector
from lapnet_core.method import LapNetMethod
from lapnet_core.model import LapNet
from lapnet_core.scenes import Scenes

SCENES = Path(__file__).resolve().parents[2] / "lapnet_core/assets/models/scenes.safetensors"
SIZE = (64, 48)
"""Width and height of a small video."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The path of an untrained model of two classes, "red" and "blue"."""
    torch.manual_seed(0)
    shapes = torch.tensor([[[16.0, 16.0], [40.0, 24.0]], [[8.0, 24.0], [60.0, 60.0]]])
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    Detector(LapNetMethod(LapNet(2, 2, widths=(16, 8, 16)), shapes).eval(), ("red", "blue"), (64, 64)).save(path)
    return path


def grey(n, size=SIZE):
    """The frame number n: a grey of its own, with a white corner at the top left."""
    image = Image.new("RGB", size, (40 + 4 * n,) * 3)
    image.paste("white", (0, 0, 16, 16))
    return image


def film(path, length=20, size=SIZE, rate=25, seconds=None, kind="mp4", codec="libx264", picture=grey):
    """Writes a video whose index comes first; `seconds` are the times of its frames."""
    with av.open(str(path), "w", format=kind, options={"movflags": "+faststart"} if kind == "mp4" else {}) as out:
        stream = out.add_stream(codec, rate=rate)
        (stream.width, stream.height), stream.pix_fmt = size, "yuv444p" if size[0] % 2 else "yuv420p"
        stream.codec_context.gop_size = 5
        for n in range(length):
            frame = av.VideoFrame.from_image(picture(n, size))
            if seconds:
                stream.codec_context.time_base = frame.time_base = Fraction(1, 1000)
                frame.pts = round(1000 * seconds[n])
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return str(path)


def watched(path):
    """The frames of a video, their times, and what it says of its rate."""
    with av.open(str(path)) as video:
        stream = video.streams.video[0]
        shown = [(frame.to_image(), float(frame.time)) for frame in video.decode(stream)]
        assert stream.codec_context.pix_fmt == "yuv420p"  # other kinds do not play everywhere
        return [image for image, _ in shown], [at for _, at in shown], float(stream.average_rate)


def predict(model, *args, out, status=0):
    assert main(["predict", str(model), *map(str, args), "--out", str(out)]) == status


def written(out):
    """What is in a folder beside the mark that says whose it is."""
    assert (out / OURS).exists()
    return [file for file in out.iterdir() if file.name != OURS]


def detections(out, name="detections.json"):
    return json.loads((Path(out) / name).read_text())


class TestVideo:
    def test_frames_come_out_as_they_went_in(self, model, tmp_path, capsys):
        clip, out = film(tmp_path / "clip.mp4", rate=Fraction(30000, 1001)), tmp_path / "out"
        predict(model, clip, "--score-threshold", "1", "--batch-size", "3", out=out)
        images, times, rate = watched(out / "clip.mp4")
        assert [round(np.asarray(image)[30, 30].mean()) for image in images] == pytest.approx(
            [40 + 4 * n for n in range(20)], abs=2
        )
        assert times == pytest.approx([n * 1.001 / 30 for n in range(20)], abs=1e-4)
        assert rate == pytest.approx(30 / 1.001, abs=0.01)
        assert images[0].size == SIZE
        assert detections(out) == []
        said = capsys.readouterr().out
        assert f"wrote {out / 'clip.mp4'}" in said
        assert "0 detections in 20 images" in said
        assert "images/s" in said

    def test_each_frame_has_its_detections(self, model, tmp_path):
        clip, out = film(tmp_path / "clip.mp4", 7), tmp_path / "out"
        predict(model, clip, "--score-threshold", "0.005", out=out)
        records, detector = detections(out), Detector.load(model)
        assert set(records[0]) == {"file", "frame", "seconds", "class", "score", "box_xyxy"}
        assert [r["frame"] for r in records] == sorted(r["frame"] for r in records)
        assert {r["frame"]: r["seconds"] for r in records} == {n: pytest.approx(n / 25) for n in range(7)}
        image = next(av.open(clip).decode(video=0)).to_image()
        expected = detector.predict(image, score_threshold=0.005)
        found = [r["box_xyxy"] for r in records if r["frame"] == 0]
        assert torch.tensor(found).allclose(expected["boxes"], atol=0.1)
        assert len(found) > 0
        drawn = watched(out / "clip.mp4")[0][0]
        assert np.abs(np.asarray(drawn).astype(int) - np.asarray(image)).max() > 60  # its boxes

    def test_times_that_are_not_even_are_kept(self, model, tmp_path):
        at = [0.0, 0.1, 0.2, 0.7, 0.75, 1.5]
        predict(model, film(tmp_path / "a.mp4", 6, seconds=at), "--score-threshold", "1", out=tmp_path / "out")
        assert watched(tmp_path / "out" / "a.mp4")[1] == pytest.approx(at, abs=2e-3)

    @pytest.mark.parametrize("degrees", [90, 180, 270])
    def test_a_turned_video_stands_upright(self, model, tmp_path, degrees):
        """What a telephone writes: the frames as its sensor has them, and in the header how they are held."""
        path = tmp_path / "a.mp4"
        film(path, 4)
        content = bytearray(path.read_bytes())
        cosine, sine = ((1, 0), (0, 1), (-1, 0), (0, -1))[degrees // 90]
        numbers = [cosine << 16, sine << 16, 0, -sine << 16, cosine << 16, 0, 0, 0, 1 << 30]
        matrix = content.index(b"tkhd") + 44
        content[matrix : matrix + 36] = b"".join(number.to_bytes(4, "big", signed=True) for number in numbers)
        path.write_bytes(content)
        predict(model, path, "--score-threshold", "1", "--format", "coco", out=tmp_path / "out")
        (image, *_), _, _ = watched(tmp_path / "out" / "a.mp4")
        expected = grey(0).rotate(-degrees, expand=True)  # clockwise, as the header says
        assert image.size == expected.size
        assert np.abs(np.asarray(image).astype(int) - np.asarray(expected)).mean() < 4
        entry = detections(tmp_path / "out", "coco_images.json")["images"][0]
        assert (entry["width"], entry["height"]) == expected.size

    def test_an_odd_size_gets_a_row_and_a_column(self, model, tmp_path):
        clip = film(tmp_path / "a.avi", 4, (65, 47), kind="avi")
        predict(model, clip, "--score-threshold", "1", out=tmp_path / "out")
        images, _, _ = watched(tmp_path / "out" / "a.mp4")
        assert images[0].size == (66, 48)
        assert np.asarray(images[2])[10:40, 30:60].mean() == pytest.approx(48, abs=2)

    @pytest.mark.parametrize("batch", [1, 3])
    def test_few_frames_are_held(self, model, tmp_path, monkeypatch, batch):
        alive, most, real = [], [], frames.Shot

        def shot(*args, **named):
            made = real(*args, **named)
            alive[:] = [one for one in (*alive, weakref.ref(made.image)) if one() is not None]
            most.append(len(alive))
            return made

        monkeypatch.setattr(frames, "Shot", shot)
        clip = film(tmp_path / "a.mp4", 60)
        predict(model, clip, "--batch-size", batch, "--score-threshold", "1", out=tmp_path / "out")
        assert len(most) == 60
        assert max(most) <= 3 * batch + 3

    def test_of_a_video_that_ends_too_early_what_is_there_is_used(self, model, tmp_path, capsys):
        for name, kind, codec in (
            ("a.mp4", "mp4", "libx264"),
            ("b.avi", "avi", "mpeg4"),
            ("c.mkv", "matroska", "libx264"),
        ):
            film(tmp_path / name, 50, kind=kind, codec=codec, picture=noise)
            whole = (tmp_path / name).read_bytes()
            (tmp_path / name).write_bytes(whole[: len(whole) * 6 // 10])
            predict(model, tmp_path / name, "--score-threshold", "1", out=tmp_path / "out")
            said = capsys.readouterr().out
            assert f"1 {frames_not_whole}, first: {tmp_path / name}: this video ends too early" in said, name
            images, _, _ = watched(tmp_path / "out" / Path(name).with_suffix(".mp4"))
            assert 15 < len(images) < 40
            assert f"0 detections in {len(images)} images" in said

    def test_one_that_begins_late_is_whole(self, model, tmp_path, capsys):
        """Matroska says when it ends: one cut out of a longer one was said to lack all that was before it."""
        film(tmp_path / "a.mkv", 10, kind="matroska", seconds=[5 + n / 10 for n in range(10)])
        predict(model, tmp_path / "a.mkv", "--score-threshold", "1", out=tmp_path / "out")
        said = capsys.readouterr().out
        assert "0 detections in 10 images" in said
        assert "too early" not in said

    def test_a_damaged_part_is_passed_over(self, model, tmp_path, capsys):
        path = tmp_path / "a.mp4"
        film(path, 50, picture=noise)
        content = bytearray(path.read_bytes())
        middle = len(content) // 2
        content[middle : middle + len(content) // 10] = np.random.default_rng(0).bytes(len(content) // 10)
        path.write_bytes(content)
        predict(model, path, "--score-threshold", "1", out=tmp_path / "out")
        assert "parts of this video are damaged and were left out" in capsys.readouterr().out
        assert len(watched(tmp_path / "out" / "a.mp4")[0]) > 40

    @pytest.mark.parametrize("case", ["text", "empty", "no index", "sound", "list of addresses", "list", "no frame"])
    def test_what_is_no_video_is_refused_or_skipped(self, model, tmp_path, capsys, case):
        path = tmp_path / "a.mp4"
        NO_VIDEOS[case](path)
        predict(model, path, out=tmp_path / "out", status=1)
        error = capsys.readouterr().err
        assert f"{path}: " in error
        assert error.count("\n") == 1
        image = tmp_path / "b.jpg"
        grey(0).save(image)
        predict(model, path, image, "--on-error", "skip", out=tmp_path / "skipped")
        assert f"1 files skipped, first: {path}: " in capsys.readouterr().out
        assert {file.name for file in written(tmp_path / "skipped")} == {"b.jpg", "detections.json"}

    @pytest.mark.timeout(30)
    def test_a_pipe_is_not_opened(self, tmp_path):
        os.mkfifo(tmp_path / "a.mp4")
        with pytest.raises(DataError, match=r"a\.mp4: cannot read this video \(it is missing, or no regular file\)"):
            next(frames.shots([(str(tmp_path / "a.mp4"), Path("a.mp4"))]))

    def test_nothing_is_replaced(self, model, tmp_path, capsys):
        clip, out = film(tmp_path / "a.mp4", 3), tmp_path
        before = Path(clip).read_bytes()
        for n in (2, 3):
            predict(model, clip, "--format", "json", "coco", "yolo", out=out)
            assert f"wrote {out / f'a-{n}.mp4'}, as {out / 'a.mp4'} is taken" in capsys.readouterr().out
        assert Path(clip).read_bytes() == before
        assert {file.name for file in out.iterdir()} == {  # without a mark: what else is here is the user's
            *("a.mp4", "a-2.mp4", "a-3.mp4", "detections.json", "detections-2.json", "labels", "labels-2"),
            *("coco_results.json", "coco_results-2.json", "coco_images.json", "coco_images-2.json"),
        }

    @pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
    def test_ctrl_c_leaves_a_video_that_plays_and_the_detections_so_far(
        self, model, tmp_path, monkeypatch, capsys, sent
    ):
        turn = count(1)

        def interrupted(image, found, names):
            if next(turn) == 10:
                os.kill(os.getpid(), sent)
            return draw(image, found, names)

        monkeypatch.setattr(drawing, "draw", interrupted)
        clip, out = film(tmp_path / "a.mp4", 40), tmp_path / "out"
        predict(model, clip, "--score-threshold", "0.005", out=out, status=130)
        assert len(watched(out / "a.mp4")[0]) == 10
        assert {r["frame"] for r in detections(out)} == set(range(10))
        assert "stopped by a signal" in capsys.readouterr().out
        assert {file.name for file in written(out)} == {"a.mp4", "detections.json"}

    def test_a_full_disk_is_told_and_the_detections_so_far_are_there(self, model, tmp_path, capsys):
        clip, out = film(tmp_path / "a.mp4", 60, picture=noise), tmp_path / "out"
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, limits[1]))  # bytes of a file
        try:
            predict(model, clip, "--score-threshold", "0.02", out=out, status=1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        captured = capsys.readouterr()
        assert f"cannot be written (File too large); give another place: '{out / 'a.mp4'}'" in captured.err
        assert {file.name for file in written(out)} == {"detections.json"}
        assert isinstance(detections(out), list)

    def test_without_h264_it_is_mpeg4(self, model, tmp_path, monkeypatch):
        monkeypatch.setattr(frames, "ENCODERS", {"mpeg4": {}})
        with pytest.warns(UserWarning, match="MPEG-4, which browsers do not play"):
            predict(model, film(tmp_path / "a.mp4", 8, rate=24), "--score-threshold", "1", out=tmp_path / "out")
        assert len(watched(tmp_path / "out" / "a.mp4")[0]) == 8

    def test_without_the_package_a_sentence_helps(self, model, tmp_path, monkeypatch, capsys):
        clip = film(tmp_path / "a.mp4", 1)
        monkeypatch.setitem(sys.modules, "av", None)
        predict(model, clip, out=tmp_path / "out", status=1)
        assert "lapnet-core[video]" in capsys.readouterr().err

    def test_many_processes_refuse_it(self, model, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr("lapnet_core.processes.join_processes", lambda device: (0, 2))
        predict(model, film(tmp_path / "a.mp4", 1), out=tmp_path / "out", status=1)
        assert "leave torchrun out" in capsys.readouterr().err

    @pytest.mark.slow
    def test_the_shipped_model_follows_a_scene(self, tmp_path):
        """A view wanders over a rendered scene: what is found wanders the other way."""
        from lapnet_core.scenes import Scenes

        scene = Image.fromarray(Scenes(40)[0][0].permute(1, 2, 0).numpy())

        def view(n, size):
            return scene.crop((2 * n, 0, 2 * n + size[0], size[1]))

        clip = film(tmp_path / "a.mp4", 12, (224, 256), picture=view)
        predict(SCENES, clip, "--score-threshold", "0.6", out=tmp_path / "out")
        records = detections(tmp_path / "out")
        seen = [[r for r in records if r["frame"] == n] for n in range(12)]
        assert all(seen)
        first, last = (max(seen[n], key=lambda r: r["score"]) for n in (0, 4))
        same = [r for r in seen[4] if r["class"] == first["class"]]
        moved = min(abs(r["box_xyxy"][2] - first["box_xyxy"][2] + 8) for r in same)
        assert moved < 6
        assert last["score"] > 0.6


frames_not_whole = "files are damaged or end too early and were used as far as they go"


def noise(n, size):
    return Image.fromarray(np.random.default_rng(n).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8))


def without_index(path):
    """As of a camera that lost its power: the index of an MP4 is written last."""
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=25)
        (stream.width, stream.height), stream.pix_fmt = SIZE, "yuv420p"
        for n in range(5):
            out.mux(stream.encode(av.VideoFrame.from_image(grey(n))))
        out.mux(stream.encode(None))
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"moov") - 4])


def sound(path):
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        out.mux([*stream.encode(frame), *stream.encode(None)])


def no_frame(path):
    """An index that names frames, and nothing where they were."""
    film(path, 5)
    content = path.read_bytes()
    start = content.index(b"mdat") + 4
    path.write_bytes(content[:start] + bytes(len(content) - start))


NO_VIDEOS = {
    "text": lambda path: path.write_text("no video"),
    "empty": lambda path: path.write_bytes(b""),
    "no index": without_index,
    "sound": sound,
    "list of addresses": lambda path: path.write_text("#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"),
    "list": lambda path: path.write_text("ffconcat version 1.0\nfile b.mp4\n"),
    "no frame": no_frame,
}


class TestCamera:
    def test_one_that_is_not_there(self, model, tmp_path, capsys):
        for name in ("camera:7", "camera:/dev/null"):
            predict(model, name, out=tmp_path / "out", status=1)
            captured = capsys.readouterr()
            assert f"{name} cannot be used (" in captured.err
            assert captured.out == ""
            assert not list((tmp_path / "out").iterdir())
        predict(model, "0", out=tmp_path / "out", status=1)
        assert "0 does not exist; a camera is camera:0" in capsys.readouterr().err

    def test_it_is_looked_at_until_a_signal(self, model, tmp_path, monkeypatch):
        """In the place of a camera stands FFmpeg's test picture, which goes on for ever, as fast as can be."""
        source = {"file": "testsrc=size=64x48:rate=25", "format": "lavfi"}
        monkeypatch.setattr(frames, "_device", lambda source_: source)
        turn = count(1)

        def interrupted(image, found, names):
            if next(turn) == 6:
                os.kill(os.getpid(), signal.SIGINT)
            return draw(image, found, names)

        monkeypatch.setattr(drawing, "draw", interrupted)
        predict(model, "camera:0", "--score-threshold", "0.005", out=tmp_path / "out", status=130)
        images, times, _ = watched(tmp_path / "out" / "camera-0.mp4")
        assert len(images) == 6
        records = detections(tmp_path / "out")
        assert sorted({r["seconds"] for r in records}) == pytest.approx(times, abs=1e-3)
        numbers = sorted({r["frame"] for r in records})
        assert len(numbers) == 6
        assert numbers[-1] > 5  # those in between came while the network was at work

    def test_the_newest_is_taken_and_the_others_are_let_go(self):
        made = count()

        def slow():
            while True:
                yield next(made)
                time.sleep(0.002)

        seen = []
        for item in frames.newest(slow()):
            seen.append(item)
            if len(seen) == 4:
                break
            time.sleep(0.1)
            assert item <= next(made)
        assert seen == sorted(seen)
        assert seen[-1] > 30

    def test_one_that_falls_silent_or_breaks_is_given_up(self, monkeypatch):
        def broken():
            yield 1
            raise OSError("unplugged")

        taken = frames.newest(broken())
        with pytest.raises(OSError, match="unplugged"):
            list(taken)
        monkeypatch.setattr(frames, "PATIENCE", 0.05)
        with pytest.raises(OSError, match=r"no picture for 0\.05 seconds"):
            next(frames.newest(time.sleep(0.5) or n for n in range(2)))
        assert list(frames.newest(iter([]))) == []


@pytest.fixture
def folder(tmp_path):
    """Six pictures of several sizes and kinds, two of them in a folder of their own, and a file that is none."""
    root = tmp_path / "photos"
    (root / "more").mkdir(parents=True)
    for n, name in enumerate(("a.jpg", "b.png", "c.jpeg", "d.bmp", "more/a.jpg", "more/e.webp")):
        noise(n, (60 + 10 * n, 50)).save(root / name)
    (root / "b2.jpg").write_bytes(b"no image")
    (root / ".hidden.txt").write_text("no image either")
    return root


class TestPictures:
    def test_batches_change_nothing(self, model, folder, tmp_path):
        told = []
        for size in (1, 2, 5):
            out = tmp_path / f"out{size}"
            args = ("--recursive", "--on-error", "skip", "--score-threshold", "0.005", "--batch-size", size)
            predict(model, folder, *args, out=out)
            told.append(detections(out))
        names = ["a.jpg", "b.png", "c.jpeg", "d.bmp", "more/a.jpg", "more/e.webp"]
        for records in told:
            assert list(dict.fromkeys(r["file"] for r in records)) == [str(folder / name) for name in names]
            assert [r["class"] for r in records] == [r["class"] for r in told[0]]
            assert [r["score"] for r in records] == pytest.approx([r["score"] for r in told[0]], abs=2e-4)
            boxes = [[side for r in some for side in r["box_xyxy"]] for some in (records, told[0])]
            assert boxes[0] == pytest.approx(boxes[1], abs=0.05)

    def test_folders_within_it_are_kept_and_the_own_output_is_no_picture(self, model, folder):
        (folder / "b2.jpg").unlink()
        out = folder / "found"
        for n in (1, 2):
            predict(model, folder, "--recursive", "--format", "json", "yolo", "--score-threshold", "0.005", out=out)
            assert {r["file"] for r in detections(out, "detections.json" if n == 1 else "detections-2.json")} == {
                str(file) for file in folder.rglob("*.*") if out not in file.parents and file.name != ".hidden.txt"
            }
        files = {file.relative_to(out).as_posix() for file in out.rglob("*") if file.is_file()}
        drawn = {"a.jpg", "b.png", "c.jpg", "d.png", "more/a.jpg", "more/e.png"}
        assert drawn <= files
        for labels in ("labels", "labels-2"):
            texts = {f"{labels}/{name.rsplit('.')[0]}.txt" for name in drawn}
            assert texts | {f"{labels}/classes.txt"} == {name for name in files if name.startswith(f"{labels}/")}
        predict(model, folder, "--no-pictures", out=folder / "flat")
        assert {file.name for file in written(folder / "flat")} == {"detections.json"}

    def test_what_was_found_before_one_that_cannot_be_read_is_there(self, model, folder, tmp_path, capsys):
        """The pictures were drawn, but of their detections nothing was written, though it had taken an hour."""
        inputs = (folder / "a.jpg", folder / "b.png", folder / "b2.jpg", "--score-threshold", "0.005")
        predict(model, *inputs, "--batch-size", "2", "--format", "json", "yolo", out=tmp_path / "out", status=1)
        said = capsys.readouterr()
        assert "b2.jpg: cannot read this image" in said.err
        assert "detections in 2 images" in said.out
        assert {r["picture"] for r in detections(tmp_path / "out")} == {"a.jpg", "b.png"}
        assert {file.name for file in (tmp_path / "out" / "labels").iterdir()} == {"a.txt", "b.txt", "classes.txt"}
        predict(model, *inputs, "--batch-size", "4", "--format", "json", "yolo", out=tmp_path / "none", status=1)
        assert list((tmp_path / "none").iterdir()) == []

    def test_what_a_mac_and_an_earlier_run_left_is_no_photograph(self, model, folder, tmp_path):
        (folder / "b2.jpg").unlink()
        predict(model, folder, out=folder / "predictions")
        for name in ("._a.jpg", ".b.jpg", "__MACOSX/a.jpg", ".ipynb_checkpoints/a.jpg"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(b"resource fork")
        for n, flags in enumerate(((), ("--recursive",))):
            predict(model, folder, *flags, "--score-threshold", "0.005", out=tmp_path / f"out{n}")
            names = {Path(r["file"]).relative_to(folder).as_posix() for r in detections(tmp_path / f"out{n}")}
            assert names == {"a.jpg", "b.png", "c.jpeg", "d.bmp", *(("more/a.jpg", "more/e.webp") if flags else ())}

    def test_what_is_given_twice_is_looked_at_once(self, model, folder, tmp_path, monkeypatch):
        """Its detections were there twice."""
        monkeypatch.chdir(folder)
        inputs = (
            "a.jpg",
            folder / "more",
            "more/a.jpg",
            "./a.jpg",
            folder / "a.jpg",
            *[film(tmp_path / "v.mp4", 1)] * 2,
        )
        predict(model, *inputs, "--score-threshold", "0.005", "--format", "json", "coco", out="out")
        images = detections("out", "coco_images.json")["images"]
        assert [one["file_name"] for one in images] == ["a.jpg", "a.jpg", "e.webp", "v.mp4"]

    @pytest.mark.parametrize("above", ["photos", "."])
    def test_the_output_may_lie_above_the_pictures(self, model, folder, tmp_path, above):
        """All were taken for the output of an earlier run: no image was found, or only those of other inputs."""
        folder = (folder / "more").rename(folder / "b")
        predict(model, folder, "--score-threshold", "0.005", out=tmp_path / above)
        assert {r["file"] for r in detections(tmp_path / above)} == {str(folder / "a.jpg"), str(folder / "e.webp")}

    def test_a_photograph_that_is_not_read_is_not_passed_over(self, model, folder, tmp_path, capsys):
        (folder / "b2.jpg").rename(folder / "IMG_1.HEIC")
        noise(0, (50, 50)).save(folder / "scan.tif")
        (folder / "clip.gif").write_bytes(b"a video is given by its name")
        assert main(["predict", str(model), str(folder), "--out", str(tmp_path / "out")]) == 1
        assert "IMG_1.HEIC: cannot read this image (it holds no JPEG, PNG, BMP or WebP" in capsys.readouterr().err
        assert main(["predict", str(model), str(folder), "--out", str(tmp_path / "out"), "--on-error", "skip"]) == 0
        told = capsys.readouterr().out
        assert "2 files skipped, first: " in told
        assert f"1 videos or GIFs in folders are not looked at: name them, as {folder / 'clip.gif'}" in told

    def test_only_numbers(self, model, folder, tmp_path):
        args = ("--no-pictures", "--on-error", "skip", "--score-threshold", "0.005", "--format", "yolo_scores")
        predict(model, folder, film(tmp_path / "v.mp4", 2), *args, out=tmp_path / "out")
        files = {file.relative_to(tmp_path / "out").as_posix() for file in (tmp_path / "out").rglob("*.*")}
        names = ("a.txt", "b.txt", "c.txt", "d.txt", "classes.txt", "v_000000.txt", "v_000001.txt")
        assert files == {OURS, *(f"labels_scores/{name}" for name in names)}

    def test_a_colour_profile_stays(self, model, tmp_path):
        profile = b"a profile for " + b"  RGB " + b"profile" * 20
        noise(0, SIZE).save(tmp_path / "a.jpg", icc_profile=profile)
        noise(0, SIZE).save(tmp_path / "b.png", icc_profile=profile)
        # one of another kind would not fit the picture that is drawn, which is in RGB
        noise(0, SIZE).convert("CMYK").save(tmp_path / "c.jpg", icc_profile=profile.replace(b"RGB ", b"CMYK"))
        predict(model, *(tmp_path / name for name in ("a.jpg", "b.png", "c.jpg")), out=tmp_path / "out")
        for name, kept in (("a.jpg", profile), ("b.png", profile), ("c.jpg", None)):
            with Image.open(tmp_path / "out" / name) as image:
                assert image.info.get("icc_profile") == kept

    def test_ctrl_c_keeps_what_was_done(self, model, folder, tmp_path, monkeypatch):
        def interrupted(image, found, names):
            os.kill(os.getpid(), signal.SIGINT)
            return image

        monkeypatch.setattr(drawing, "draw", interrupted)
        predict(model, folder, "--score-threshold", "0.005", "--on-error", "skip", out=tmp_path / "out", status=130)
        assert {r["picture"] for r in detections(tmp_path / "out")} == {"a.jpg"}

    def test_flags_that_do_not_fit(self, model, folder, tmp_path, capsys):
        clip = film(tmp_path / "v.mp4", 1)
        for args, said in (
            ((folder, "--batch-size", "0"), "--batch-size must be a whole number, at least 1"),
            ((folder, "--coco-images", "x.json"), "--coco-images is for --format coco"),
            ((clip, "--format", "coco", "--coco-images", "x.json"), "v.mp4 has no ids in x.json"),
        ):
            predict(model, *args, out=tmp_path / "out", status=1)
            assert said in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


class TestFormats:
    def test_coco_results_are_read_by_pycocotools(self, model, folder, tmp_path):
        out = tmp_path / "out"
        args = ("--on-error", "skip", "--score-threshold", "0.005", "--format", "json", "coco")
        predict(model, folder, film(tmp_path / "v.mp4", 3), *args, out=out)
        truth = COCO(str(out / "coco_images.json"))
        found = truth.loadRes(str(out / "coco_results.json"))
        assert [image["file_name"] for image in truth.loadImgs(truth.getImgIds())] == (
            ["a.jpg", "b.png", "c.jpeg", "d.bmp"] + ["v.mp4"] * 3
        )
        assert truth.loadImgs(7)[0] == {
            "id": 7, "file_name": "v.mp4", "height": 48, "width": 64, "frame": 2, "seconds": 0.08
        }  # fmt: skip
        assert {one["id"]: one["name"] for one in truth.loadCats(truth.getCatIds())} == {1: "red", 2: "blue"}
        records = detections(out)
        assert len(records) == len(found.anns) > 0
        for record, one in zip(records, found.loadAnns(sorted(found.anns)), strict=True):
            x1, y1, x2, y2 = record["box_xyxy"]
            assert one["bbox"] == pytest.approx([x1, y1, x2 - x1, y2 - y1], abs=0.02)
            assert truth.loadCats(one["category_id"])[0]["name"] == record["class"]
            assert one["score"] == pytest.approx(record["score"], abs=1e-4)

    def instances(self, tmp_path, names=("a.jpg", "c.jpeg", "z.jpg"), categories=(("blue", 3), ("cow", 4), ("red", 9))):
        content = {
            "images": [
                {"id": 40 + n, "file_name": name, "width": (60, 80, 10)[n], "height": 50}
                for n, name in enumerate(names)
            ],
            "categories": [{"id": number, "name": name} for name, number in categories],
        }
        file = tmp_path / "instances.json"
        file.write_text(json.dumps(content))
        return file

    def test_ids_of_an_instances_file(self, model, folder, tmp_path):
        args = (folder / "a.jpg", folder / "c.jpeg", "--score-threshold", "0.005", "--format", "json", "coco")
        predict(model, *args, "--coco-images", self.instances(tmp_path), out=tmp_path / "out")
        assert not (tmp_path / "out" / "coco_images.json").exists()
        results, records = detections(tmp_path / "out", "coco_results.json"), detections(tmp_path / "out")
        known = {"a.jpg": 40, "c.jpeg": 41}
        assert [(r["image_id"], r["category_id"]) for r in results] == [
            (known[Path(r["file"]).name], {"red": 9, "blue": 3}[r["class"]]) for r in records
        ]
        assert {r["image_id"] for r in results} == {40, 41}

    @pytest.mark.parametrize("written_as", ["images\\{}", "/home/anna/photos/{}", "photos/{}"])
    def test_an_instances_file_of_another_disk(self, model, folder, tmp_path, written_as):
        """As the readers of train and evaluate take it."""
        file = self.instances(tmp_path)
        content = json.loads(file.read_text())
        for image in content["images"]:
            image["file_name"] = written_as.format(image["file_name"])
        file.write_text(json.dumps(content))
        args = ("--score-threshold", "0.005", "--format", "coco", "--coco-images", file)
        predict(model, folder / "a.jpg", folder / "c.jpeg", *args, out=tmp_path / "out")
        assert {r["image_id"] for r in detections(tmp_path / "out", "coco_results.json")} == {40, 41}

    def test_an_instances_file_that_does_not_fit(self, model, folder, tmp_path, capsys):
        (folder / "b2.jpg").unlink()
        args = ("--format", "coco", "--coco-images", self.instances(tmp_path))
        for inputs, said in (
            ((folder,), "does not list " + str(folder / "b.png")),
            ((folder / "b.png",), "no usable image. It lists none that is asked for: a file_name is the image's path"),
            ((folder / "a.jpg", folder / "more" / "a.jpg"), "would be the same image"),
        ):
            predict(model, *inputs, *args, out=tmp_path / "out", status=1)
            assert said in capsys.readouterr().err
        noise(0, (50, 60)).save(folder / "a.jpg")
        predict(model, folder / "a.jpg", *args, out=tmp_path / "out", status=1)
        assert "its annotation says 60 x 50" in capsys.readouterr().err
        for categories, lacking in (((("cow", 1),), "red, blue"), ((("red", 1),), "blue")):
            args = ("--format", "coco", "--coco-images", self.instances(tmp_path, categories=categories))
            predict(model, folder / "a.jpg", *args, out=tmp_path / "out", status=1)
            assert f"no category named {lacking}; it has" in capsys.readouterr().err

    def test_yolo_labels_are_a_data_set(self, model, folder, tmp_path):
        out = tmp_path / "out"
        predict(
            model, folder / "b.png", folder / "d.bmp", "--format", "json", "yolo", "--score-threshold", "0.005", out=out
        )
        assert (out / "labels" / "classes.txt").read_text() == "red\nblue\n"
        for name in ("b.png", "d.bmp"):
            (tmp_path / name).write_bytes((folder / name).read_bytes())
            text = out / "labels" / Path(name).with_suffix(".txt")
            (tmp_path / text.name).write_bytes(text.read_bytes())
        data = YoloDetection([tmp_path / name for name in ("b.png", "d.bmp")], {0: "red", 1: "blue"}, tmp_path)
        records = detections(out)
        for n, name in enumerate(("b.png", "d.bmp")):
            own = [r for r in records if r["file"].endswith(name)]
            target = data.target(n)
            assert [("red", "blue")[label] for label in target["labels"]] == [r["class"] for r in own]
            assert torch.tensor([r["box_xyxy"] for r in own]).allclose(
                target["boxes"].as_subclass(torch.Tensor), atol=0.02
            )

    def test_yolo_without_detections_is_an_empty_file_and_with_scores_has_six_numbers(self, model, folder, tmp_path):
        for threshold, out in (("1", tmp_path / "none"), ("0.005", tmp_path / "some")):
            args = ("--format", "yolo", "yolo_scores", "--score-threshold", threshold)
            predict(model, folder / "a.jpg", *args, out=out)
        assert (tmp_path / "none" / "labels" / "a.txt").read_text() == ""
        plain = (tmp_path / "some" / "labels" / "a.txt").read_text().splitlines()
        scored = (tmp_path / "some" / "labels_scores" / "a.txt").read_text().splitlines()
        assert [line.rsplit(" ", 1)[0] for line in scored] == plain
        assert all(0.005 <= float(line.split()[5]) <= 1 for line in scored)


def test_a_label_stays_within_the_picture():
    found = {
        "boxes": torch.tensor([[180.0, 0.0, 199.0, 30.0]]), "labels": torch.tensor([4]), "scores": torch.tensor([0.5])
    }  # fmt: skip
    drawn = np.asarray(draw(Image.new("RGB", (200, 100)), found, ["a", "b", "c", "d", "a class with a long name"]))
    blue = (drawn == np.array([0, 0x72, 0xB2])).all(2)
    assert blue[2, :100].any()  # the label, which is longer than from the box to the edge
    assert (drawn[:16] == 255).all(2).any()  # in white on the dark blue


def test_the_fast_form_finds_the_same_and_says_what_was_tried(tmp_path, capsys):
    for n in range(3):
        scene = Scenes(3, size=(192, 192), split="test")[n][0]
        Image.fromarray(scene.permute(1, 2, 0).numpy()).save(tmp_path / f"{n}.png")
    for out, more in (("plain", []), ("fast", ["--fast"])):
        assert main(["predict", str(SCENES), str(tmp_path), "--out", str(tmp_path / out), "--no-pictures", *more]) == 0
    assert re.search(
        r"folded +[\d.]+ ms, [\d.]+ times as fast; [\d.]+% of \d+ detections the same", capsys.readouterr().out
    )
    plain, fast = (
        {
            (Path(one["file"]).name, one["class"], *(round(side / 4) for side in one["box_xyxy"]))
            for one in json.loads((tmp_path / out / "detections.json").read_text())
            if one["score"] > 0.4
        }
        for out in ("plain", "fast")
    )
    assert len(plain) > 5
    assert len(plain & fast) > 0.7 * len(plain)


def test_the_fast_form_of_an_unreadable_first_picture_and_of_a_video(model, tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(b"nothing")
    grey(1).save(tmp_path / "b.png")
    told = ["--no-pictures", "--out", str(tmp_path / "out"), "--fast"]
    assert main(["predict", str(model), str(tmp_path), "--on-error", "skip", "--batch-size", "1", *told]) == 0
    film(tmp_path / "clip.mp4", 6)
    assert main(["predict", str(model), str(tmp_path / "clip.mp4"), *told]) == 0
    assert capsys.readouterr().out.count("as it is") >= 2


def test_letters_of_any_language_are_drawn():
    """Pillow's own font has those of English alone, and a box in the place of each other one."""
    found = {"boxes": torch.tensor([[20.0, 30, 90, 90]]), "scores": torch.tensor([0.5]), "labels": torch.tensor([0])}
    drawn = {name: draw(Image.new("RGB", (120, 100)), found, (name,)).tobytes() for name in ("Ä", "Ö", "ł", "Ж", "A")}
    assert len(set(drawn.values())) == len(drawn)
