"""What training reads: large JPEGs no larger than it needs them, and small data sets only once. Neither changes what a
step sees, but for the pixels of a JPEG that is decoded at a reduced size."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torch import Tensor
from torchvision import tv_tensors
from toys import TINY, Squares

from lapnet_core.data import DataError, Skipped, pictures, train_transform
from lapnet_core.data import memory as memory_module
from lapnet_core.data.common import DetectionDataset, ImageRecord
from lapnet_core.data.memory import BESIDE, MOST, Kept, room_for_images
from lapnet_core.data.pictures import read_picture
from lapnet_core.data.stream import TrainingStream, Transformed
from lapnet_core.data.types import SkipReport
from lapnet_core.scenes import Scenes
from lapnet_core.train import train


@pytest.fixture(autouse=True)
def small_ones_too(monkeypatch):
    monkeypatch.setattr(pictures, "WORTH_REDUCING", 1)


def photograph(height: int, width: int) -> Image.Image:
    """Soft noise with a white square, (width / 4, height / 4) to (width / 2, height / 2)."""
    noise = np.random.default_rng(0).integers(0, 160, (height, width, 3), dtype=np.uint8)
    pixels = np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(4))).copy()
    pixels[height // 4 : height // 2, width // 4 : width // 2] = 255
    return Image.fromarray(pixels)


def data_of(folder: Path, sizes: list[tuple[int, int]], on_error: str = "raise", **options) -> DetectionDataset:
    """A data set of JPEGs of these (height, width), with a box around the square of each."""
    records = []
    for k, (height, width) in enumerate(sizes):
        photograph(height, width).save(folder / f"{k}.jpg", quality=95, **options)
        records.append(ImageRecord(str(folder / f"{k}.jpg"), k, height, width))
    boxes = [[width // 4, height // 4, width // 2, height // 2] for height, width in sizes]
    return DetectionDataset(
        records, np.arange(len(sizes)), np.array(boxes, np.float32), np.zeros(len(sizes), np.int64),
        np.zeros(len(sizes), bool), class_names=("square",), report=SkipReport(on_error), transform=None,
    )  # fmt: skip


@pytest.mark.parametrize(("size", "least", "reduced"), [
    ((600, 800), (75, 100), 8), ((600, 800), (76, 100), 4), ((600, 800), (75, 101), 4), ((600, 800), (150, 200), 4),
    ((600, 800), (300, 300), 2), ((600, 800), (301, 10), 1), ((600, 800), (601, 801), 1), ((601, 803), (75, 100), 8),
])  # fmt: skip
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_a_large_jpeg_is_decoded_no_larger_than_needed(tmp_path, size, least, reduced, options):
    photograph(*size).save(tmp_path / "a.jpg", quality=95, **options)
    found, whole = read_picture(tmp_path / "a.jpg", size, least=least), read_picture(tmp_path / "a.jpg", size)
    assert found.info.get("reduced", 1) == reduced
    assert found.size == (-(-size[1] // reduced), -(-size[0] // reduced))
    assert found.height >= min(least[0], size[0])
    assert "reduced" not in whole.info
    inner = [side // reduced * reduced for side in size]  # whole pixels of the answer
    mean = np.asarray(whole, float)[: inner[0], : inner[1]]
    mean = mean.reshape(inner[0] // reduced, reduced, inner[1] // reduced, reduced, 3).mean((1, 3))
    assert np.abs(np.asarray(found)[: len(mean), : mean.shape[1]] - mean).mean() < 2.5


def test_images_of_less_than_a_megapixel_are_decoded_whole(tmp_path, monkeypatch):
    monkeypatch.undo()
    for size, reduced in (((999, 1000), 1), ((1000, 1000), 8)):
        photograph(*size).save(tmp_path / "a.jpg")
        assert read_picture(tmp_path / "a.jpg", least=(96, 96)).info.get("reduced", 1) == reduced


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_colours_too(tmp_path, mode):
    photograph(80, 160).convert(mode).save(tmp_path / "a.jpg", quality=95)
    found, whole = read_picture(tmp_path / "a.jpg", least=(10, 20)), read_picture(tmp_path / "a.jpg")
    assert (found.mode, found.size, found.info["reduced"]) == ("RGB", (20, 10), 8)
    assert np.abs(np.asarray(whole, float).mean((0, 1)) - np.asarray(found).mean((0, 1))).max() < 1


def test_other_formats_have_no_reduced_size(tmp_path):
    for name in ("a.png", "a.webp", "a.bmp"):
        photograph(80, 160).save(tmp_path / name)
        found = read_picture(tmp_path / name, least=(10, 20))
        assert found.size == (160, 80)
        assert "reduced" not in found.info


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("size", [(160, 240), (161, 243)])
def test_an_image_that_is_turned_upright(tmp_path, orientation, size):
    exif = Image.Exif()
    exif[0x0112] = orientation
    photograph(*size).save(tmp_path / "a.jpg", quality=95, exif=exif)
    whole = read_picture(tmp_path / "a.jpg")
    least = (40, 60) if whole.width > whole.height else (60, 40)
    found = read_picture(tmp_path / "a.jpg", (whole.height, whole.width), least=least)
    by = found.info.get("reduced", 1)
    assert by == (4 if size == (160, 240) else 1)  # what is left at the far end must not come to lie at the near one
    assert found.size == (whole.width // by, whole.height // by)
    small = np.asarray(whole.resize(found.size, Image.Resampling.BOX), float)
    assert np.abs(np.asarray(found) - small).mean() < 2.5


def test_an_annotation_of_another_size_is_refused_as_before(tmp_path):
    photograph(160, 240).save(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="its annotation says 30 x 20"):
        read_picture(tmp_path / "a.jpg", (20, 30), least=(10, 10))


def test_boxes_stay_on_their_objects(tmp_path):
    """The square's edges, from the pixels of the reduced picture."""
    data = data_of(tmp_path, [(603, 805), (478, 640)])
    for index, by in ((0, 4), (1, 2)):
        whole, (image, target) = data[index], data.load(index, (120, 160))
        assert target["original_size"] == whole[1]["original_size"]
        assert torch.equal(whole[1]["boxes"].as_subclass(Tensor) / by, target["boxes"].as_subclass(Tensor))
        assert target["boxes"].canvas_size == image.shape[1:]
        bright = image.min(0).values > 207  # half way
        (columns, rows) = (bright.any(axis).nonzero().flatten() for axis in (0, 1))
        extent = torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        assert (extent - target["boxes"][0]).abs().max() <= 0.6


def test_training_sees_nearly_the_same(tmp_path):
    """By less than a JPEG of quality 90 changes, in the mean; and boxes to the rounding of a size."""
    data, transform = data_of(tmp_path, [(1200, 1600)]), train_transform((96, 128))
    assert transform.largest == (144, 192)
    reduced = Transformed(data, transform)
    assert reduced.least == transform.largest
    for seed in range(20):
        torch.manual_seed(seed)
        image, target = reduced[0]
        torch.manual_seed(seed)
        expected, exactly = transform(*data[0])
        assert (image - expected).abs().mean() * 57 < 3  # 57 of 255 are one
        assert torch.allclose(target["boxes"], exactly["boxes"], atol=0.02)
        assert target["labels"].tolist() == exactly["labels"].tolist()


def test_only_our_own_readers_and_transforms_of_training_reduce(tmp_path):
    data = data_of(tmp_path, [(480, 640)])

    class Mine(DetectionDataset):
        def __getitem__(self, index):
            image, target = super().__getitem__(index)
            return tv_tensors.Image(255 - image), target

    mine = data_of(tmp_path, [(480, 640)])
    mine.__class__ = Mine
    assert Transformed(mine, train_transform((32, 32)), MOST).least is None
    assert Transformed(mine, train_transform((32, 32)), MOST).kept.room == 0
    assert Transformed(data, lambda image, target: (image, target)).least is None
    assert Transformed(data, lambda image, target: (image, target))[0][0].shape == (3, 480, 640)
    assert data[0][0].shape == (3, 480, 640)


def test_a_jpeg_that_ends_too_early_is_read_whole_and_told_once(tmp_path):
    data = data_of(tmp_path, [(480, 640), (480, 640)], on_error="skip")
    for k, cut in ((0, 200), (1, 20_000)):
        content = (tmp_path / f"{k}.jpg").read_bytes()
        (tmp_path / f"{k}.jpg").write_bytes(content[:-cut])
    stream = TrainingStream(Transformed(data, train_transform((32, 32)), MOST), 0)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        seen = [stream[p] for p in range(6)]
    assert len([t for t in told if "ends too early" in str(t.message)]) == 1
    assert data.load(0, (48, 48))[0].shape == (3, 480, 640)
    assert sum(isinstance(sample, Skipped) for sample in seen) == 3
    assert (data.report.counts["truncated"], data.report.counts["image"]) == (1, 1)
    assert len(stream.dataset.kept.samples) == 1


class Counting(Scenes):
    """Scenes that count how often each is drawn."""

    def __init__(self, *args, **options) -> None:
        super().__init__(*args, **options)
        self.drawn = [0] * len(self)

    def _render(self, index):
        self.drawn[index] += 1
        return super()._render(index)


def test_a_small_data_set_is_read_once_and_a_step_sees_the_same():
    scenes, size = Counting(6, size=(48, 64)), 3 * 48 * 64 + BESIDE
    plain = TrainingStream(Transformed(scenes, train_transform((48, 64), color=0.2)), 3)
    expected = [plain[p] for p in range(24)]
    assert scenes.drawn == [4] * 6
    for room, drawn in ((0, 24), (2.5 * size, 2 + 4 * 4), (6 * size, 6)):
        scenes.drawn = [0] * 6
        kept = TrainingStream(Transformed(scenes, train_transform((48, 64), color=0.2), room), 3)
        for (image, target), (image_then, target_then) in zip((kept[p] for p in range(24)), expected, strict=True):
            assert torch.equal(image, image_then)
            assert torch.equal(target["boxes"], target_then["boxes"])
        assert sum(scenes.drawn) == drawn
        assert kept.dataset.kept.room >= 0


def test_a_transform_of_training_leaves_what_it_is_given_as_it_was():
    image, target = Scenes(1, size=(48, 64))[0]
    before = image.clone(), target["boxes"].clone()
    for scale in ((1, 1), (0.5, 1.5)):
        train_transform((48, 64), scale=scale, flip=1, color=0.5)(image, target)
        assert torch.equal(image, before[0])
        assert torch.equal(target["boxes"], before[1])


def test_what_cannot_be_read_is_not_kept():
    kept, answers = Kept(10**6), [Skipped("broken"), Squares(1)[0]]
    assert isinstance(kept.get(0, lambda _: answers[0]), Skipped)
    assert kept.get(0, lambda _: answers[1]) is answers[1]
    assert kept.get(0, lambda _: answers[0]) is answers[1]


@pytest.mark.parametrize(("meminfo", "limit", "used", "expected"), [
    ("MemTotal: 9 kB\nMemAvailable:   8000000 kB\n", "max", "5", 1_024_000_000),
    ("MemTotal: 9 kB\nMemAvailable:  80000000 kB\n", "max", "5", MOST),
    ("MemTotal: 9 kB\nMemAvailable:   8000000 kB\n", "900", "100", 100),  # a container's limit
    ("MemTotal: 9 kB\nMemAvailable:   8000000 kB\n", "900", "1000", 0),
    (None, None, None, MOST / 2),
])  # fmt: skip
def test_room_is_a_share_of_what_is_available(tmp_path, monkeypatch, meminfo, limit, used, expected):
    texts = {"/proc/meminfo": meminfo, "/sys/fs/cgroup/memory.max": limit, "/sys/fs/cgroup/memory.current": used}

    def path(name):
        fake = tmp_path / name.strip("/").replace("/", "-")
        if texts[name] is not None:
            fake.write_text(texts[name])
        return fake

    monkeypatch.setattr(memory_module, "Path", path)
    assert room_for_images() == expected
    assert room_for_images(4) == expected / 4


def test_a_training_keeps_within_its_room_and_is_the_same(tmp_path, monkeypatch):
    """Without room, with room for all, and by worker processes."""
    rooms, reads, states = [], [], []
    data, read = data_of(tmp_path, [(80, 100)] * 3), DetectionDataset._read
    monkeypatch.setattr(DetectionDataset, "_read", lambda self, *which: reads.append(which) or read(self, *which))
    for room, workers in ((0, 0), (MOST, 0), (MOST, 2)):
        monkeypatch.setattr("lapnet_core.train.room_for_images", lambda n, room=room: rooms.append(n) or room / n)
        reads.clear()
        result = train(replace(TINY, workers=workers), data, save=False, progress=False)
        states.append([*result.method.state_dict().values()])
        if not workers:
            assert len(reads) == (3 if room else TINY.steps * TINY.batch_size)
            assert {least for _, least in reads} == {(96, 96)}
    assert rooms == [1, 1, 2]
    for state in states[1:]:
        assert all(torch.equal(a, b) for a, b in zip(states[0], state, strict=True))
