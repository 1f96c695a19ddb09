"""What a training sees is a function of (seed, position), and seeds differ in all of it."""

import pytest
import torch
from toys import Squares

from lapnet_core.config import TrainConfig
from lapnet_core.data import train_transform
from lapnet_core.data.stream import AUGMENTATION, ORDER, TrainingStream, Transformed, mixed
from lapnet_core.method import LapNetMethod
from lapnet_core.options import LapNetOptions

SEEDS = (0, 1, 2, 7, 2**24, 2**31, 2**32 - 1)


TARGET = Squares(1).target(0)


class Draws:
    """A data set whose images say what the augmentation draws: the image's number, and two random numbers."""

    class_names: tuple[str, ...] = ("a",)

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int):
        return torch.full((3, 64, 64), index, dtype=torch.uint8), TARGET

    def target(self, index: int):
        raise NotImplementedError


def draws(seed: int, positions: range, length: int = 1) -> list[tuple[float, ...]]:
    """(image, random numbers) at each position."""
    stream = TrainingStream(
        Transformed(Draws(length), lambda image, target: (torch.cat((image[:1, :1, :1], torch.rand(2, 1, 1))), target)),
        seed,
    )
    return [tuple(stream[p][0].flatten().tolist()) for p in positions]


def test_seeds_differ_in_the_augmentation():
    drawn = {seed: tuple(draws(seed, range(20))) for seed in SEEDS}
    assert len(set(drawn.values())) == len(SEEDS)
    numbers = [number for one in drawn.values() for _, *two in one for number in two]
    assert len(set(numbers)) == len(numbers)  # no two positions of no two seeds share a number


def test_seeds_differ_in_the_order():
    orders = {seed: tuple(image for image, *_ in draws(seed, range(64), 64)) for seed in SEEDS}
    assert len(set(orders.values())) == len(SEEDS)
    assert all(sorted(order) == list(range(64)) for order in orders.values())
    epochs = draws(3, range(192), 64)
    assert len({tuple(image for image, *_ in epochs[k : k + 64]) for k in (0, 64, 128)}) == 3


def test_seeds_differ_in_the_weights():
    weights = []
    for seed in SEEDS:
        config = TrainConfig(seed=seed, image_size=(64, 64), lapnet=LapNetOptions(anchors_per_class=2))
        torch.manual_seed(config.seed)
        method = LapNetMethod.create(config, Squares(8), progress=False)
        weights.append(method.model.score_head[-1].weight.flatten()[:4].tolist())
    assert len({tuple(row) for row in weights}) == len(SEEDS)


def test_a_position_is_the_same_whatever_came_before():
    whole = draws(5, range(30), 7)
    assert draws(5, range(20, 30), 7) == whole[20:]
    stream = TrainingStream(Transformed(Squares(7), train_transform((64, 64))), 5)
    torch.manual_seed(1)
    first = stream[13][0]
    state = torch.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(first, stream[13][0])
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)  # and it leaves the global generator alone


def test_all_of_seed_and_purpose_counts():
    many = {mixed(seed, purpose, k) for seed in SEEDS for purpose in (ORDER, AUGMENTATION) for k in range(500)}
    assert len(many) >= len(SEEDS) * 1000 - 5  # of 2^32: hardly two alike
    assert all(0 <= value < 2**32 for value in many)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_torch_would_cut_is_refused(seed: int):
    with pytest.raises(ValueError, match="seed: 0 to"):
        TrainConfig(seed=seed)
