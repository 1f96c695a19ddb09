"""Transforms against geometry worked out here, and collation, also through worker processes."""

import math
import pickle

import pytest
import torch
from torch.utils.data import DataLoader
from torchvision import tv_tensors

from lapnet_core.data import (
    Skipped,
    Target,
    boxes_to_original,
    collate,
    denormalize,
    eval_transform,
    flatten_targets,
    train_transform,
)
from lapnet_core.data.transforms import MEAN, MIN_KEPT_AREA, STD


@pytest.fixture(autouse=True)
def one_thread():
    """As in a DataLoader's worker: several threads on images this small only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


SIZE = (48, 64)  # of the network's input; the images below are 60 x 100


def target_of(boxes: list, difficult: list | None = None, labels: list | None = None) -> Target:
    plain = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return Target(
        boxes=tv_tensors.BoundingBoxes(plain, format="XYXY", canvas_size=(60, 100)),
        labels=torch.tensor(range(len(boxes)) if labels is None else labels, dtype=torch.int64),
        difficult=torch.tensor([False] * len(boxes) if difficult is None else difficult, dtype=torch.bool),
        image_id="a",
        original_size=(60, 100),
    )


def random_image(seed: int = 0) -> tv_tensors.Image:
    generator = torch.Generator().manual_seed(seed)
    return tv_tensors.Image(torch.randint(0, 256, (3, 60, 100), generator=generator, dtype=torch.uint8))


GRID = [[x, y, x + 12, y + 9] for y in range(2, 50, 12) for x in range(3, 85, 16)]


def test_evaluation_stretches_and_normalises():
    target = target_of([[10, 6, 50, 30]], [True], [4])
    colour = torch.tensor([0, 128, 255], dtype=torch.uint8)
    image = tv_tensors.Image(colour.view(3, 1, 1).expand(3, 60, 100).clone())
    result, moved = eval_transform(SIZE)(image, target)
    assert result.shape == (3, *SIZE)
    assert result.dtype == torch.float32
    expected = (colour / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    assert torch.allclose(result.amax((1, 2)), expected, atol=1e-5)
    assert torch.allclose(result.amin((1, 2)), expected, atol=1e-5)
    assert torch.allclose(moved["boxes"], torch.tensor([[6.4, 4.8, 32, 24]]))
    assert moved["labels"].tolist() == [4]
    assert moved["difficult"].tolist() == [True]
    assert (moved["image_id"], moved["original_size"]) == ("a", (60, 100))
    assert torch.allclose(boxes_to_original(moved["boxes"], SIZE, (60, 100)), target["boxes"], atol=1e-4)


def test_evaluation_drops_nothing_and_takes_no_objects():
    tiny = target_of([[10, 6, 10.01, 6.01]])
    assert eval_transform((8, 8))(random_image(), tiny)[1]["boxes"].shape == (1, 4)
    assert eval_transform((8, 8))(random_image(), target_of([]))[1]["boxes"].shape == (0, 4)


def test_denormalize_undoes_the_normalisation():
    image = random_image()
    result, _ = eval_transform((60, 100))(image, target_of([]))
    assert torch.equal(denormalize(result), image)
    assert torch.equal(denormalize(torch.stack([result, result]))[1], image)


def test_training_without_randomness_is_evaluation():
    image, target = random_image(), target_of(GRID)
    result, moved = train_transform(SIZE, scale=(1, 1), flip=0)(image, target)
    expected, expected_target = eval_transform(SIZE)(image, target)
    assert torch.equal(result, expected)
    assert torch.allclose(moved["boxes"], expected_target["boxes"])
    assert torch.equal(moved["labels"], target["labels"])


def test_a_certain_flip_mirrors_image_and_boxes():
    image, target = random_image(), target_of(GRID)
    result, moved = train_transform(SIZE, scale=(1, 1), flip=1)(image, target)
    expected, expected_target = eval_transform(SIZE)(image, target)
    assert torch.equal(result, expected.flip(-1))
    x1, y1, x2, y2 = expected_target["boxes"].unbind(-1)
    mirrored = torch.stack([SIZE[1] - x2, y1, SIZE[1] - x1, y2], -1)
    assert torch.allclose(moved["boxes"], mirrored, atol=1e-4)


def test_boxes_stay_on_their_objects():
    # A bright object on black: wherever it goes, its box has to go.
    box = (30, 20, 70, 45)
    image = tv_tensors.Image(torch.zeros(3, 60, 100, dtype=torch.uint8))
    image[:, box[1] : box[3], box[0] : box[2]] = 255
    transform = train_transform(SIZE)
    seen = 0
    for seed in range(60):
        torch.manual_seed(seed)
        result, moved = transform(image, target_of([box]))
        assert result.shape == (3, *SIZE)
        bright = (denormalize(result) > 150).all(0)  # the padding is about 120
        if len(moved["boxes"]) == 0:
            assert bright.sum() < MIN_KEPT_AREA * (0.4 * 64 * 1.5) * (25 / 60 * 48 * 1.5)
            continue
        ys, xs = torch.nonzero(bright, as_tuple=True)
        extent = torch.stack([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        assert (moved["boxes"][0] - extent).abs().max() <= 1
        seen += 1
    assert seen > 40


def test_the_scale_is_log_uniform_and_the_padding_has_the_mean_colour():
    image = tv_tensors.Image(torch.zeros(3, 60, 100, dtype=torch.uint8))
    transform = train_transform((180, 300), scale=(0.1, 1.0), flip=0)
    factors = []
    for seed in range(200):
        torch.manual_seed(seed)
        result, moved = transform(image, target_of([[40, 20, 60, 40]]))
        width = (moved["boxes"][0, 2] - moved["boxes"][0, 0]).item()
        factors.append(width / 60)
        outside = (denormalize(result) != 0).all(0)
        assert abs(1 - outside.float().mean().item() - factors[-1] ** 2) < 0.02
        mean = torch.tensor([round(255 * mean) for mean in MEAN]).view(3, 1)
        assert (denormalize(result)[:, outside] == mean).all()
    factors = torch.tensor(factors)
    assert 0.095 < factors.min() < 0.12
    assert 0.9 < factors.max() <= 1.001
    assert abs(factors.log10().mean() + 0.5) < 0.06  # the middle between 0.1 and 1, in logarithms


def test_the_rule_for_cut_objects():
    # Rebuild the crop from one object that is whole, then judge every object by a loop.
    transform = train_transform(SIZE, scale=(1.7, 1.7), flip=0)
    target = target_of(GRID, difficult=[n % 3 == 0 for n in range(len(GRID))])
    scaled = [round(48 * 1.7), round(64 * 1.7)]
    factor = torch.tensor([scaled[1] / 100, scaled[0] / 60] * 2)
    full = torch.tensor(GRID, dtype=torch.float32) * factor
    cut = dropped = 0
    for seed in range(25):
        torch.manual_seed(seed)
        _, moved = transform(random_image(), target)
        whole = [
            (label, box)
            for label, box in zip(moved["labels"].tolist(), moved["boxes"], strict=True)
            if box.min() > 0.01 and box[2] < SIZE[1] - 0.01 and box[3] < SIZE[0] - 0.01
        ]
        shift = (whole[0][1] - full[whole[0][0]])[:2].repeat(2)
        expected = {}
        for label, box in enumerate(full + shift):
            limits = torch.tensor([SIZE[1], SIZE[0]] * 2)
            clipped = torch.minimum(box.clamp(min=0), limits)
            share = ((clipped[2:] - clipped[:2]).prod() / (box[2:] - box[:2]).prod()).item()
            if share >= MIN_KEPT_AREA:
                expected[label] = clipped
                cut += share < 0.99
            elif share > 0:
                dropped += 1
        assert moved["labels"].tolist() == list(expected)
        assert torch.allclose(moved["boxes"].as_subclass(torch.Tensor), torch.stack([*expected.values()]), atol=1e-3)
        assert moved["difficult"].tolist() == [label % 3 == 0 for label in expected]
    assert cut > 20
    assert dropped > 10


def test_training_without_objects():
    result, moved = train_transform(SIZE)(random_image(), target_of([]))
    assert result.shape == (3, *SIZE)
    assert (moved["boxes"].shape, moved["labels"].shape, moved["difficult"].shape) == ((0, 4), (0,), (0,))


def test_a_seed_decides_everything():
    def once(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return train_transform(SIZE, color=0.4)(random_image(), target_of(GRID))[0]

    assert torch.equal(once(1), once(1))
    assert not torch.equal(once(1), once(2))


def test_colour_changes_pixels_and_no_box():
    image, target = random_image(), target_of(GRID)
    plain, plain_target = train_transform(SIZE, scale=(1, 1), flip=0)(image, target)
    jittered, moved = train_transform(SIZE, scale=(1, 1), flip=0, color=0.5)(image, target)
    assert (plain - jittered).abs().mean() > 0.01
    assert torch.equal(plain_target["boxes"], moved["boxes"])


@pytest.mark.parametrize("scale", [(0, 1), (1.5, 0.5), (-1, 1), (1, float("inf"))])
def test_impossible_scales(scale):
    with pytest.raises(ValueError, match="scale"):
        train_transform(SIZE, scale=scale)


@pytest.mark.parametrize("make", [train_transform, eval_transform])
def test_impossible_sizes(make):
    with pytest.raises(ValueError, match="size"):
        make((0, 64))


class Few:
    """Five samples; number 3 cannot be loaded."""

    def __init__(self, transform) -> None:
        self.transform = transform

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int):
        if index == 3:
            return Skipped("number 3 is broken")
        return self.transform(random_image(index), target_of(GRID[:index], [n == 0 for n in range(index)]))


def check_batch(batch) -> None:
    assert type(batch.images) is torch.Tensor
    assert batch.images.shape == (4, 3, *SIZE)
    assert len(batch) == 4
    assert batch.skipped == ("number 3 is broken",)
    assert [len(target["boxes"]) for target in batch.targets] == [0, 1, 2, 4]
    assert all(type(target["boxes"]) is torch.Tensor for target in batch.targets)
    boxes, labels, image_index = flatten_targets(batch.targets)
    assert image_index.tolist() == [2, 3, 3, 3]
    assert labels.tolist() == [1, 1, 2, 3]
    assert torch.equal(boxes[0], batch.targets[2]["boxes"][1])
    boxes, labels, image_index = flatten_targets(batch.targets, include_difficult=True)
    assert image_index.tolist() == [1, 2, 2, 3, 3, 3, 3]
    assert boxes.shape == (7, 4)


def test_a_batch_survives_collation_moving_and_pickling():
    data = Few(eval_transform(SIZE))
    batch = collate([data[index] for index in range(5)])
    check_batch(batch)
    check_batch(pickle.loads(pickle.dumps(batch)))
    check_batch(batch.to("cpu", non_blocking=True))
    assert batch.to("meta").targets[3]["boxes"].device.type == "meta"
    assert batch.targets[3]["image_id"] == "a"
    assert pickle.loads(pickle.dumps(batch)).targets[3]["original_size"] == (60, 100)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="page-locked memory needs CUDA")
def test_a_batch_can_be_pinned():
    batch = next(iter(DataLoader(Few(eval_transform(SIZE)), batch_size=5, collate_fn=collate, pin_memory=True)))
    check_batch(batch)
    assert batch.images.is_pinned()
    assert batch.targets[3]["boxes"].is_pinned()


def test_batches_of_nothing():
    batch = collate([Skipped("a"), Skipped("b")])
    assert batch.images.shape == (0, 3, 0, 0)
    assert (batch.targets, batch.skipped) == ([], ("a", "b"))
    assert pickle.loads(pickle.dumps(batch)).skipped == ("a", "b")
    boxes, labels, image_index = flatten_targets(batch.targets)
    assert (boxes.shape, labels.shape, image_index.shape) == ((0, 4), (0,), (0,))
    empty = collate([(torch.zeros(3, 8, 8), target_of([]))])
    assert flatten_targets(empty.targets)[0].shape == (0, 4)
    assert empty.to("cpu").targets[0]["boxes"].shape == (0, 4)


def test_images_that_cannot_be_stacked():
    float_image = torch.zeros(3, 8, 8)
    with pytest.raises(ValueError, match="one size"):
        collate([(float_image, target_of([])), (torch.zeros(3, 8, 9), target_of([]))])
    with pytest.raises(ValueError, match="float32"):
        collate([(random_image(), target_of([]))])


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # a machine may have a single core
def test_worker_processes_are_reproducible():
    def epoch() -> list:
        seed = torch.Generator().manual_seed(5)
        data = Few(train_transform(SIZE))
        return list(DataLoader(data, batch_size=2, num_workers=2, collate_fn=collate, generator=seed))

    first, second = epoch(), epoch()
    assert [batch.skipped for batch in first] == [(), ("number 3 is broken",), ()]
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.images, other.images)
        for a, b in zip(one.targets, other.targets, strict=True):
            assert torch.equal(a["boxes"], b["boxes"])
    check = train_transform(SIZE)(random_image(0), target_of([]))[0]
    assert not torch.equal(first[0].images[0], check)  # the seed, and nothing fixed, decides


@pytest.mark.parametrize("what", [{"flip": -0.1}, {"flip": 2}, {"flip": math.nan}, {"color": -1}, {"color": math.nan},
                                  {"color": math.inf}, {"scale": (math.nan, 1)}, {"scale": (1, math.inf)}])  # fmt: skip
def test_strengths_that_are_none_are_named(what):
    with pytest.raises(ValueError, match=next(iter(what))):
        train_transform((8, 8), **what)


@pytest.mark.parametrize("difficult", [torch.zeros(1), torch.zeros(1, dtype=torch.int64), torch.zeros(2) > 1])
def test_difficult_that_is_not_one_bool_an_object_is_named(difficult):
    target = {"boxes": torch.zeros(1, 4), "labels": torch.zeros(1, dtype=torch.int64), "difficult": difficult}
    with pytest.raises(ValueError, match='"difficult" must be one bool an object'):
        flatten_targets.__wrapped__([target])
