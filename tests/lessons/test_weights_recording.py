"""The recorder of notebook 08 against slow loops over batches, slots and anchors."""

import itertools
import math
from typing import Any

import numpy as np
import oracles
import pytest
import torch
from hypothesis import Phase, settings
from hypothesis import given as drawn
from hypothesis import strategies as st
from strategies import Scene, scenes

from lapnet_core.data import Target
from lapnet_core.losses import Balance, LapNetLoss, LossTerms
from lapnet_core.method import LapNetMethod
from lapnet_core.model import LapNet
from lapnet_lab.lessons.weights import recording
from lapnet_lab.lessons.weights.recording import Comebacks, Recorder, parts_of


def targets_of(scene: Scene) -> list[Target]:
    found = []
    for b in range(scene.num_images):
        own = scene.images == b
        none = torch.zeros(int(own.sum()), dtype=torch.bool)
        found.append(Target(boxes=scene.boxes[own], labels=scene.labels[own], difficult=none, image_id=b,
                            original_size=(64, 64)))  # fmt: skip
    return found


def outputs(scene: Scene, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    size = (scene.num_images, *scene.shapes.shape[:2])
    scores = torch.randn(*size, *scene.grid, generator=generator) * 3
    return scores, torch.randn(*size, 4, *scene.grid, generator=generator) * 0.4


def slow_parts(scores: torch.Tensor, terms: LossTerms, ignore: bool) -> dict[str, np.ndarray]:
    """Loss of each slot before weights, anchor by anchor."""
    images, classes, anchors, height, width = scores.shape
    loc, ones, background = (np.zeros((classes, anchors)) for _ in range(3))
    at = terms.positives
    where = [at.image, at.label, at.anchor, at.row, at.column]
    positives = {tuple(int(x[n]) for x in where): n for n in range(len(at.flat))}
    for b, c, a, i, j in np.ndindex(images, classes, anchors, height, width):
        n, x = positives.get((b, c, a, i, j)), scores[b, c, a, i, j].item()
        if n is not None:
            loc[c, a] += (1 - terms.predicted_overlap[n].item()) ** 2 / len(positives)
        if n is not None and terms.positive[n]:
            ones[c, a] += oracles.cross_entropy(x, 1) / scores.numel()
        elif n is None or not ignore:
            background[c, a] += oracles.cross_entropy(x, 0) / scores.numel()
    return {"loc": loc, "ones": ones, "background": background}


@drawn(
    scenes(),
    st.integers(0, 1000),
    st.sampled_from(["learned", "steady"]),
    st.booleans(),
    st.sampled_from(["paper", "ignore"]),
)
@settings(max_examples=50, phases=(Phase.explicit, Phase.generate))
def test_the_parts_are_those_of_the_loops_and_add_up(
    scene: Scene, seed: int, balance: Balance, ams: bool, rule: Any
) -> None:
    loss = LapNetLoss(*scene.shapes.shape[:2], balance=balance, ams=ams, ams_rule=rule)
    generator = torch.Generator().manual_seed(seed)
    for s in loss.parameters():
        s.data = torch.randn(s.shape, generator=generator)
    scores, offsets = outputs(scene, seed)
    terms = loss(scores, offsets, scene.shapes, targets_of(scene))
    parts = parts_of(loss, scores, terms)
    for name, table in slow_parts(scores, terms, rule == "ignore").items():
        np.testing.assert_allclose(getattr(parts, name), table, rtol=1e-4, atol=1e-6)
    lam, each = [[x.numpy() for x in pair] for pair in (loss.loss_weights, loss.anchor_weights)]
    assert lam[0] * (each[0] * parts.loc).sum() == pytest.approx(terms.loc.item(), rel=1e-4, abs=1e-6)
    assert lam[1] * (each[1] * (parts.ones + parts.background)).sum() == pytest.approx(terms.cls.item(), rel=1e-4)
    assert (parts.has["cls"] == terms.labels.any(4).any(3).any(0).numpy()).all()
    assert not parts.ones[~parts.has["cls"]].any(), "all that a held slot adds is background"
    assert not parts.loc[~parts.has["loc"]].any()


def slow_comebacks(s: np.ndarray, weighted: np.ndarray, has: np.ndarray, first: int) -> dict[int, list[list[float]]]:
    """Bin -> (loudness, share of what is active, rise) of each comeback, slot by slot."""
    batches, slots = has.shape
    found: dict[int, list[list[float]]] = {}
    for slot in range(slots):
        seen = [t for t in range(batches) if has[t, slot]]
        for before, now in itertools.pairwise(seen):
            if now >= first:
                active = [weighted[now, other] for other in range(slots) if has[now, other]]
                row = [slots * weighted[now, slot], len(active) * weighted[now, slot] / sum(active)]
                found.setdefault(2 ** int(math.log2(now - before)), []).append([*row, s[before + 1] - s[now]])
    return found


@drawn(st.integers(0, 10_000), st.integers(0, 20))
@settings(max_examples=40)
def test_comebacks_are_those_of_the_loops(seed: int, first: int) -> None:
    random = np.random.default_rng(seed)
    batches, slots = 40, 6
    has = random.random((batches, slots)) < random.random(slots) * random.random(slots)
    s, weighted = random.normal(size=batches).cumsum() / 4, random.random((batches, slots)) + 0.01
    heard = Comebacks((2, 3))
    for t in range(batches):
        heard.hear(s[t], weighted[t].reshape(2, 3), has[t].reshape(2, 3), t >= first)
    wanted = slow_comebacks(s, weighted, has, first)
    assert [row[0] for row in heard.told] == sorted(wanted)
    for start, count, loud, share, rise in heard.told:
        rows = np.array(wanted[int(start)])
        assert count == len(rows)
        np.testing.assert_allclose([loud, share, math.log(rise)], rows.mean(0), atol=1e-9)
    for slot in range(slots):
        seen = [t for t in range(batches) if has[t, slot]]
        gaps = [(now - before, now) for before, now in itertools.pairwise(seen) if now >= first]
        longest = max((gap for gap, _ in gaps), default=0)
        assert heard.longest.flat[slot] == longest
        if gaps:
            now = next(now for gap, now in gaps if gap == longest)
            assert heard.loud.flat[slot] == pytest.approx(slots * weighted[now, slot])


def scene_of(random: torch.Generator) -> Scene:
    """Two images with up to two objects of three classes, which fit two sizes of anchors."""
    count = int(torch.randint(0, 3, (), generator=random))
    corner = torch.rand(count, 2, generator=random) * 30
    side = torch.tensor([16.0, 30.0])[torch.randint(0, 2, (count, 1), generator=random)]
    shapes = torch.tensor([16.0, 30.0])[None, :, None].expand(3, 2, 2).clone()
    labels, images = torch.randint(0, 3, (count,), generator=random), torch.arange(count)
    return Scene(shapes, (8, 8), torch.cat((corner, corner + side), 1), labels, images, 2)


@pytest.mark.parametrize("balance", ["learned", "steady"])
def test_a_training_of_the_weights_is_told_as_the_loops_have_it(balance: Balance) -> None:
    steps, random = 120, torch.Generator().manual_seed(3)
    loss = LapNetLoss(3, 2, balance=balance, ams=False)
    lapnet = LapNetMethod(LapNet(3, 2), scene_of(random).shapes, loss)
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.5)
    recorder = Recorder(steps)
    heard: list[dict[str, Any]] = []
    for step in range(1, steps + 1):
        scene = scene_of(random)
        scores, offsets = outputs(scene, step)
        before = {name: s.detach().double().numpy().copy() for name, s in loss.named_parameters()}
        terms = loss(scores, offsets, scene.shapes, targets_of(scene))
        if step > 1:
            heard.append({"has": terms.labels.any(4).any(3).any(0).numpy(), "s": before,
                          **slow_parts(scores, terms, False)})  # fmt: skip
        optimizer.zero_grad()
        terms.total.backward()
        optimizer.step()
        recorder(step, lapnet)
    told = recorder.told
    assert told["steps"] == list(range(4, 121, 4))
    for look, last in enumerate(told["steps"]):
        kinds, loc, active = np.zeros(3), 0.0, 0.0
        batches = heard[max(0, last - 5) : last - 1]
        for batch in batches:
            s, has = batch["s"], batch["has"]
            lam = np.exp(-s["s_cls"] - s["s_cls_anchor"])
            for c, a in np.ndindex(3, 2):
                kinds[0] += lam[c, a] * batch["ones"][c, a]
                kinds[1 if has[c, a] else 2] += lam[c, a] * batch["background"][c, a]
                loc += np.exp(-s["s_loc"] - s["s_loc_anchor"][c, a]) * batch["loc"][c, a]
                active += has[c, a] / 6
        np.testing.assert_allclose(told["cls_of"][look], kinds / len(batches), rtol=1e-3)
        assert told["loc"][look] == pytest.approx(loc / len(batches), rel=1e-3, abs=1e-6)
        np.testing.assert_allclose(told["active"][look], active / len(batches), rtol=1e-3)
    late = heard[89:]
    assert told["batches"] == len(late) == 30
    for c, a in np.ndindex(3, 2):
        active, held = [b for b in late if b["has"][c, a]], [b for b in late if not b["has"][c, a]]
        assert told["seen_cls"][c][a] == told["seen_loc"][c][a] == len(active)
        wanted = {
            "mean_loc": [b["loc"][c, a] for b in active],
            "mean_cls": [b["ones"][c, a] + b["background"][c, a] for b in active],
            "mean_held": [b["background"][c, a] for b in held],
        }
        for name, values in wanted.items():
            assert told[name][c][a] == pytest.approx(np.mean(values) if values else 0, rel=1e-3), name
    np.testing.assert_allclose(told["weight_cls"], np.exp(-loss.s_cls_anchor.detach().numpy()), rtol=1e-3)
    assert told["s_loc"][-1] == pytest.approx(loss.s_loc.item(), rel=1e-3)
    for which in ("loc", "cls"):
        s = np.array([float(b["s"][f"s_{which}"]) for b in heard])
        raw = [b["loc"] if which == "loc" else b["ones"] + b["background"] for b in heard]
        anchor = [b["s"][f"s_{which}_anchor"] for b in heard]
        weighted = np.stack([np.exp(-one - many) * part for one, many, part in zip(s, anchor, raw, strict=True)])
        has = np.stack([b["has"] for b in heard])
        loops = slow_comebacks(s, weighted.reshape(-1, 6), has.reshape(-1, 6), 11)  # batch 13 is after a tenth
        assert [row[0] for row in told[f"back_{which}"]] == sorted(loops)
        for start, count, loud, share, rise in told[f"back_{which}"]:
            rows = np.array(loops[int(start)])
            np.testing.assert_allclose([count, loud, share, math.log(rise)], [len(rows), *rows.mean(0)],
                                       rtol=2e-3, atol=1e-3)  # fmt: skip


def test_nothing_is_heard_after_the_end_and_nothing_changes() -> None:
    """The hook goes with the last step; a training that is listened to moves as one that is not."""
    ends = []
    for listened in (True, False):
        random = torch.Generator().manual_seed(0)
        loss = LapNetLoss(3, 2, balance="learned")
        lapnet = LapNetMethod(LapNet(3, 2), scene_of(random).shapes, loss)
        optimizer, recorder = torch.optim.SGD(loss.parameters(), lr=0.5), Recorder(6)
        for step in range(1, 7):
            scene = scene_of(random)
            loss(*outputs(scene, step), scene.shapes, targets_of(scene)).total.backward()
            optimizer.step()
            if listened:
                recorder(step, lapnet)
        assert not loss._forward_hooks
        ends.append([s.detach().clone() for s in loss.parameters()])
    for one, other in zip(*ends, strict=True):
        assert torch.equal(one, other)


def test_the_recorded_trainings_are_those_of_the_tables() -> None:
    found = recording.configs()
    assert list(found) == ["learned", "steady", "learned, batch 2", "steady, batch 2"]
    for name, config in found.items():
        rule, small = name.partition(", ")[::2]
        options = config.lapnet
        assert (options.balance, options.ams, options.overlap) == (rule, False, "pono")
        assert (config.split, config.seed, config.backbone) == ("train", 0, "tf_efficientnet_lite0")
        assert (config.steps, config.batch_size, config.lr) == ((1000, 2, 0.01) if small else (1500, 8, 0.04))
