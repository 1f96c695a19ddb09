import math
import os

import numpy as np
import oracles
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import Scene, scenes
from torch.utils._python_dispatch import TorchDispatchMode

from lapnet_core.config import TrainConfig
from lapnet_core.losses import CrossEntropySums, LapNetLoss, classification_loss
from lapnet_core.method import LapNetMethod
from lapnet_core.model import LapNet
from lapnet_core.options import LapNetOptions

BALANCES = ["learned", "loss", "retina", "focal", "ones", "steady", "even"]
RULES = ["paper", "annealed", "relative", "ignore"]


def target(boxes, labels, difficult=None):
    labels = torch.as_tensor(labels, dtype=torch.int64)
    return {
        "boxes": torch.as_tensor(boxes, dtype=torch.float32).view(-1, 4),
        "labels": labels,
        "difficult": torch.zeros(len(labels), dtype=torch.bool) if difficult is None else torch.tensor(difficult),
        "image_id": 0,
        "original_size": (64, 64),
    }


def targets_of(scene: Scene):
    return [target(scene.boxes[scene.images == b], scene.labels[scene.images == b]) for b in range(scene.num_images)]


def outputs(scene: Scene, seed: int, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    size = (scene.num_images, *scene.shapes.shape[:2])
    scores = torch.randn(*size, *scene.grid, generator=generator, dtype=dtype) * 3
    offsets = torch.randn(*size, 4, *scene.grid, generator=generator, dtype=dtype) * 0.4
    return scores, offsets


@given(
    scenes(max_images=8),
    st.integers(0, 1000),
    st.sampled_from(BALANCES),
    st.booleans(),
    st.sampled_from(["pono", "ao"]),
    st.sampled_from(RULES),
    st.sampled_from([0.0, 0.4, 1.0]),
    st.sampled_from([1.0, 0.3, 4.0]),
)
@settings(max_examples=200)
def test_every_term_is_the_oracle(scene, seed, balance, ams, overlap, rule, share, cls_weight):
    how = {"balance": balance, "ams": ams, "overlap": overlap, "cls_weight": cls_weight}
    loss = LapNetLoss(*scene.shapes.shape[:2], ams_rule=rule, **how)
    generator = torch.Generator().manual_seed(seed)
    if balance == "even":
        loss.batches += 10 ** (seed % 4)
        loss.heard.copy_(torch.rand(loss.heard.shape, generator=generator).mul(loss.batches + 1).floor())
    if balance in ("learned", "steady", "even"):
        for s in loss.parameters():
            s.data = torch.randn(s.shape, generator=generator)
    scores, offsets = outputs(scene, seed)
    order = scene.images.argsort(stable=True)
    args = (scene.boxes[order].tolist(), scene.labels[order].tolist(), scene.images[order].tolist())
    s = (loss.s_loc.item(), loss.s_cls.item(), loss.s_loc_anchor.tolist(), loss.s_cls_anchor.tolist())
    if balance == "even":
        how |= {"heard": loss.heard.tolist(), "batches": int(loss.batches)}
    expected = oracles.losses(
        scores.numpy(), offsets.numpy(), scene.shapes.tolist(), *args, s, rule=rule, share=share, **how
    )
    got = loss(scores, offsets, scene.shapes, targets_of(scene), share)
    # A product within rounding of the threshold may fall on either side.
    at = got.positives
    value = at.overlap * got.predicted_overlap ** (share if rule == "annealed" else 1)
    if rule == "relative" and len(value):
        best = torch.stack([value[at.object_index == n].max() for n in at.object_index])
        value = torch.where(best > 0, value / best, at.overlap)
    close = ams and bool(((value - 0.5).abs() < 1e-5).any())
    if not close:
        assert np.array_equal(got.labels.numpy(), expected["P"])
        assert len(at.flat) == expected["n_loc"]
        for name in ("loc", "cls", "reg", "total"):
            assert getattr(got, name).item() == pytest.approx(expected[name], rel=2e-4, abs=1e-5), name


@given(scenes(), st.integers(0, 1000), st.sampled_from(BALANCES))
@settings(max_examples=60)
def test_gradients_are_finite_everywhere(scene, seed, balance):
    loss = LapNetLoss(*scene.shapes.shape[:2], balance=balance)
    scores, offsets = (x.requires_grad_() for x in outputs(scene, seed))
    with torch.no_grad():
        offsets *= 40  # far beyond any clamp
        scores *= 30
    loss(scores, offsets, scene.shapes, targets_of(scene)).total.backward()
    for x in (scores, offsets, *loss.parameters()):
        assert x.grad is None or bool(x.grad.isfinite().all())


SHAPES = torch.tensor([[[16.0, 16.0], [40.0, 24.0]], [[8.0, 24.0], [60.0, 60.0]]])


def fixed(dtype=torch.float32):
    scene = Scene(
        SHAPES, (4, 4), torch.tensor([[2.0, 3, 19, 22], [8, 8, 30, 30], [1, 2, 12, 29]]),
        torch.tensor([0, 0, 1]), torch.tensor([0, 0, 1]), 2,
    )  # fmt: skip
    return scene, *outputs(scene, 5, dtype)


@pytest.mark.parametrize("balance", BALANCES)
def test_gradient_against_finite_differences_in_double_precision(balance):
    scene, scores, offsets = fixed(torch.float64)
    offsets = offsets * 0.1
    loss = LapNetLoss(2, 2, balance=balance).double().eval()  # in training "even" counts each call as a batch

    def total(scores, offsets, *s):
        return torch.func.functional_call(
            loss, dict(zip(names, s, strict=True)), (scores, offsets, SHAPES, targets_of(scene))
        ).total

    names = [name for name, p in loss.named_parameters() if p.requires_grad]
    inputs = [scores.requires_grad_(), offsets.requires_grad_()]
    assert bool(loss(scores, offsets, SHAPES, targets_of(scene)).labels.any())
    s = [p.detach().clone() for name, p in loss.named_parameters() if name in names]
    assert torch.autograd.gradcheck(lambda a, b: total(a, b, *s), inputs)


@given(
    st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 4), st.integers(1, 20), st.integers(1, 20)),
    st.integers(0, 1000),
    st.booleans(),
    st.sampled_from([torch.float32, torch.float64]),
)
@settings(max_examples=100)
def test_sums_without_dense_labels_are_the_cross_entropy_to_the_bit(size, seed, channels_last, dtype):
    """Eq. 4 spelled out, and autograd's gradient of it; also where the scores lie in memory as a convolution's do."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(size, generator=generator, dtype=dtype) * 8
    if channels_last:
        scores = scores.flatten(1, 2).contiguous(memory_format=torch.channels_last).unflatten(1, size[1:3])
    kind = torch.randint(0, 8, size, generator=generator)  # 0: label 1, 1: left out
    weight = torch.randn(size[1:3], generator=generator, dtype=dtype)
    ones, left_out = ((kind == k).nonzero().T for k in (0, 1))
    plain, ours = (scores.clone().requires_grad_() for _ in range(2))
    per_anchor = classification_loss(plain, kind == 0, "learned")
    expected = (
        per_anchor.flatten().index_fill(0, (kind == 1).flatten().nonzero().flatten(), 0).view(size).sum((0, 3, 4))
    )
    got = CrossEntropySums.apply(ours, ones, left_out)
    assert torch.equal(got, expected)
    for sums in (expected, got):
        (sums * weight).sum().backward()
    assert torch.equal(ours.grad, plain.grad)


def test_the_dense_work_of_the_loss_makes_no_labels():
    """Nothing as large as the scores is made beside what the cross-entropy itself needs: no targets, no labels."""
    scene, scores, offsets = fixed()
    made = set()

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            if any(getattr(x, "shape", None) == scores.shape for x in (out if isinstance(out, tuple) else (out,))):
                made.add(func.name())
            return out

    with Watch():
        LapNetLoss(2, 2)(scores, offsets, SHAPES, targets_of(scene))
    assert made == {"aten::log_sigmoid_forward", "aten::sub.out", "aten::index_put_"}


def test_gradient_of_the_weights_is_the_derivative_of_eqs_5_to_7():
    scene, scores, offsets = fixed(torch.float64)
    offsets = offsets * 0.1
    loss = LapNetLoss(2, 2).double()
    terms = loss(scores, offsets, SHAPES, targets_of(scene))
    terms.total.backward()
    assert loss.s_loc.grad.item() == pytest.approx(1 - terms.loc.item())
    assert loss.s_cls.grad.item() == pytest.approx(1 - terms.cls.item())
    lam = math.exp(-1) ** 2
    at = terms.positives
    for c in range(2):
        for a in range(2):
            mine = (at.label == c) & (at.anchor == a)
            if bool(mine.any()):
                part = lam * ((1 - terms.predicted_overlap[mine]) ** 2).sum() / len(at.flat)
                assert loss.s_loc_anchor.grad[c, a].item() == pytest.approx(1 / 4 - part.item(), abs=1e-7)
            else:
                assert loss.s_loc_anchor.grad[c, a] == 0
            if bool(terms.labels[:, c, a].any()):
                entropy = sum(
                    oracles.cross_entropy(x, p)
                    for x, p in zip(
                        scores[:, c, a].flatten().tolist(), terms.labels[:, c, a].flatten().tolist(), strict=True
                    )
                )
                assert loss.s_cls_anchor.grad[c, a].item() == pytest.approx(1 / 4 - lam * entropy / scores.numel())
            else:
                assert loss.s_cls_anchor.grad[c, a] == 0


def test_no_gradient_flows_through_the_labels():
    scene, scores, offsets = fixed()
    offsets = (offsets * 0.1).requires_grad_()
    terms = LapNetLoss(2, 2)(scores, offsets, SHAPES, targets_of(scene))
    assert bool(terms.labels.any())
    assert torch.autograd.grad(terms.cls, offsets, allow_unused=True, retain_graph=True)[0] is None
    assert torch.autograd.grad(terms.loc, offsets)[0].abs().sum() > 0


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
        lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.1),
    ],
)
def test_weights_without_a_positive_do_not_move_after_ten_momentum_steps(make):
    scene, scores, offsets = fixed()
    offsets = offsets * 0
    loss = LapNetLoss(2, 2)
    optimizer = make(loss.parameters())
    loss.hold_without_positives(optimizer)

    def step(targets):
        optimizer.zero_grad()
        terms = loss(scores, offsets, SHAPES, targets)
        terms.total.backward()
        optimizer.step()
        at = terms.positives
        has_loc = torch.zeros(2, 2, dtype=torch.bool)
        has_loc[at.label, at.anchor] = True
        return has_loc, terms.labels.sum((0, 3, 4)) > 0

    everything = [target([[4.0, 4, 20, 20], [2, 2, 44, 28], [8, 0, 16, 24], [0, 0, 60, 60]], [0, 0, 1, 1])] * 2
    has_loc, has_cls = step(everything)
    assert bool(has_loc.all())
    for _ in range(10):  # momentum and adaptive state build up on every grid
        step(everything)
    before = loss.s_loc_anchor.detach().clone(), loss.s_cls_anchor.detach().clone()
    assert bool((before[0] != 1).all())
    for _ in range(10):
        has_loc, has_cls = step(targets_of(scene)[1:] * 2)  # class 1 only
    assert not bool(has_loc[0].any())
    assert torch.equal(loss.s_loc_anchor[~has_loc], before[0][~has_loc])
    assert torch.equal(loss.s_cls_anchor[~has_cls], before[1][~has_cls])
    assert bool((loss.s_loc_anchor[has_loc] != before[0][has_loc]).all())


def test_a_batch_without_objects_trains_the_scores_only():
    loss = LapNetLoss(2, 2)
    scores, offsets = torch.zeros(2, 2, 2, 3, 3, requires_grad=True), torch.zeros(2, 2, 2, 4, 3, 3, requires_grad=True)
    terms = loss(scores, offsets, SHAPES, [target([], [])] * 2)
    terms.total.backward()
    assert terms.loc.item() == 0
    assert terms.cls.item() == pytest.approx(math.exp(-2) * math.log(2))
    assert scores.grad.min() > 0
    assert offsets.grad.abs().sum() == 0
    assert loss.s_loc_anchor.grad.abs().sum() == 0


def test_difficult_objects_are_not_trained_on():
    scores, offsets = torch.zeros(1, 2, 2, 4, 4), torch.zeros(1, 2, 2, 4, 4, 4)
    boxes = [[2.0, 3, 19, 22], [8, 8, 30, 30]]
    both = LapNetLoss(2, 2)(scores, offsets, SHAPES, [target(boxes, [0, 1], [False, True])])
    one = LapNetLoss(2, 2)(scores, offsets, SHAPES, [target(boxes[:1], [0])])
    assert both.total.item() == one.total.item()
    assert both.object_count == 1
    plain = {"boxes": torch.tensor(boxes[:1]), "labels": torch.tensor([0])}  # a dict as torchvision's detectors take it
    assert LapNetLoss(2, 2)(scores, offsets, SHAPES, [plain]).total.item() == one.total.item()


def test_losses_are_float32_under_autocast():
    scene, scores, offsets = fixed()
    plain = LapNetLoss(2, 2)(scores.bfloat16(), offsets.bfloat16(), SHAPES, targets_of(scene))
    with torch.autocast("cpu", torch.bfloat16):
        cast = LapNetLoss(2, 2)(scores.bfloat16(), offsets.bfloat16(), SHAPES, targets_of(scene))
    assert cast.total.dtype == torch.float32
    assert cast.total.item() == plain.total.item()


def test_wrong_use_is_said():
    with pytest.raises(ValueError, match="2 images but 1 targets"):
        LapNetLoss(2, 2)(torch.zeros(2, 2, 2, 1, 1), torch.zeros(2, 2, 2, 4, 1, 1), SHAPES, [target([], [])])


def test_weights_do_not_enter_what_the_model_returns():
    loss = LapNetLoss(2, 2)
    assert [tuple(w.shape) for w in (*loss.loss_weights, *loss.anchor_weights)] == [(), (), (2, 2), (2, 2)]
    assert loss.anchor_weights[0][0, 0].item() == pytest.approx(math.exp(-1))


def _worker(rank, world, port, folder):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=world)
    gradients = _gradients(slice(rank, rank + 1))
    for g in gradients:
        dist.all_reduce(g)
        g /= world  # what DDP does
    if rank == 0:
        torch.save(gradients, folder)
    dist.destroy_process_group()


def _gradients(part):
    scene, scores, offsets = fixed()
    weight = torch.ones((), requires_grad=True)  # stands for the network
    loss = LapNetLoss(2, 2)
    loss(scores[part] * weight, offsets[part] * weight, SHAPES, targets_of(scene)[part]).total.backward()
    return [weight.grad, *(p.grad for p in loss.parameters())]


@pytest.mark.parametrize("balance", BALANCES)
def test_the_say_of_the_classification(balance):
    """`cls_weight` times the gradient for the scores and their weights: so the optimum of every weight stays."""
    scene, scores, offsets = fixed(torch.float64)
    found = {}
    for weight in (1.0, 4.0):
        loss = LapNetLoss(2, 2, balance=balance, cls_weight=weight).double()
        given = scores.clone().requires_grad_(), offsets.clone().requires_grad_()
        loss(*given, SHAPES, targets_of(scene)).total.backward()
        of_s = {name: s.grad for name, s in loss.named_parameters() if s.grad is not None}
        found[weight] = {"scores": given[0].grad, "offsets": given[1].grad} | of_s
    assert found[1.0]["scores"].any()
    assert found[1.0]["offsets"].any()
    for name, grad in found[1.0].items():
        torch.testing.assert_close(found[4.0][name], grad * (4 if name == "scores" or "cls" in name else 1))


def test_two_processes_have_the_gradient_of_one(tmp_path):
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    mp.spawn(_worker, (2, port, str(tmp_path / "g.pt")), nprocs=2)
    for got, expected in zip(torch.load(tmp_path / "g.pt"), _gradients(slice(None)), strict=True):
        torch.testing.assert_close(got, expected)


def holding(scene, label):
    """The targets of a batch that knows one of the classes."""
    targets = targets_of(scene)
    for target in targets:
        keep = target["labels"] == label
        target.update({key: target[key][keep] for key in ("boxes", "labels", "difficult")})
    return targets


def moved(balance, batches, steps, lr=0.01):
    """s after plain steps on the weights alone, over batches that hold only some of the grids, in turn."""
    config = TrainConfig(steps=1000, lr=lr, lapnet=LapNetOptions(balance=balance, balance_lr=4 / lr * 0.05,
                         loss_weight_lr=1 / lr * 0.05))  # fmt: skip
    scene, scores, offsets = fixed()
    method = LapNetMethod(LapNet(2, 2), SHAPES, LapNetLoss(2, 2, balance=balance))
    loss = method.criterion
    groups = [dict(g, lr=lr * g["multiplier"]) for g in method.parameter_groups(config)[2:]]
    optimizer = torch.optim.SGD(groups, lr=lr)
    for step in range(steps):
        optimizer.zero_grad()
        loss(scores, offsets * 0.1, SHAPES, holding(scene, batches[step % len(batches)])).total.backward()
        optimizer.step()
    return loss


@pytest.mark.slow
def test_learned_weights_drift_and_steady_ones_do_not():
    """Batches that hold one class of two at a time: the paper's rule lifts lambda_loc for ever, ours stands still."""
    drifting = [moved("learned", [0, 1], steps).s_loc.item() for steps in (150, 300, 600)]
    assert drifting[0] - drifting[1] > 0.4
    assert drifting[1] - drifting[2] > 0.8
    steady = [moved("steady", [0, 1], steps) for steps in (300, 600)]
    for name, s in steady[0].named_parameters():
        torch.testing.assert_close(s, dict(steady[1].named_parameters())[name], rtol=0, atol=0.02)


@pytest.mark.slow
@given(st.lists(st.integers(0, 1), min_size=1, max_size=6))
@settings(max_examples=10, deadline=None)
def test_a_steady_loss_weight_stays_the_geometric_mean_of_its_anchor_weights(batches):
    """Plain steps conserve s_loc / rate - sum of s[c, a] / rate, whichever grids each batch holds."""
    loss = moved("steady", batches, 30)
    assert loss.s_loc.item() != 1
    assert loss.s_loc.item() == pytest.approx(loss.s_loc_anchor.mean().item(), abs=1e-4)
    assert loss.s_cls.item() == pytest.approx(loss.s_cls_anchor.mean().item(), abs=1e-4)


@pytest.mark.slow
def test_the_equilibrium_of_steady_weights_is_an_equal_part_for_each_active_grid():
    loss = moved("steady", [0], 800)
    loss.zero_grad()
    scene, scores, offsets = fixed()
    terms = loss(scores, offsets * 0.1, SHAPES, holding(scene, 0))
    terms.total.backward()
    assert 0 < len(set(terms.positives.anchor.tolist())) < 4
    for s in loss.parameters():
        torch.testing.assert_close(s.grad, torch.zeros_like(s), rtol=0, atol=2e-3)
    assert terms.loc.item() == pytest.approx(len(set(terms.positives.anchor.tolist())) / 4, abs=2e-3)


def parts(loss, label):
    """(sum of lambda * L over the grids of a class, how many have a positive) of the localisation, in a batch that
    holds this class alone, with the loss as after training."""
    scene, scores, offsets = fixed()
    terms = loss.eval()(scores, offsets * 0.1, SHAPES, holding(scene, label))
    return terms.loc.item(), len(set(terms.positives.anchor.tolist()))


@pytest.mark.slow
@pytest.mark.parametrize("balance", ["steady", "even"])
def test_a_seldom_class_has_the_same_say_under_even(balance):
    """One batch of four holds the second class: over the training its grids have a third of the others' part under
    "steady", and the same under "even"."""
    loss = moved(balance, [0, 0, 0, 1], 1600)
    (often, grids), (seldom, fewer) = parts(loss, 0), parts(loss, 1)
    say = (1 * seldom / fewer) / (3 * often / grids)
    assert say == pytest.approx(1 / 3 if balance == "steady" else 1, rel=0.05)
    law = (loss.s_loc.item(), loss.s_loc_anchor.mean().item())
    assert law[0] == pytest.approx(law[1], abs=1e-3)  # even is steady in all else


def test_no_grid_wishes_for_more_than_ten_times_its_part():
    loss = LapNetLoss(2, 3, balance="even")
    loss.batches += 10_000
    loss.heard += 10_000
    loss.heard[:, 1, 2] = 0
    wish = loss.eval()._wishes(*torch.zeros(2, 2, 3, dtype=torch.bool))
    for which in wish:
        assert which[1, 2] == 10
        torch.testing.assert_close(which[0], torch.full((3,), 5 / 6), rtol=1e-3, atol=0)


def test_ams_begins_when_it_is_told_to():
    scene, scores, offsets = fixed()
    late = LapNetLoss(2, 2, ams_from=0.5)
    told = [late(scores, offsets, SHAPES, targets_of(scene), share).labels.sum().item() for share in (0.0, 0.49, 0.5)]
    without = LapNetLoss(2, 2, ams=False)(scores, offsets, SHAPES, targets_of(scene)).labels.sum().item()
    paper = LapNetLoss(2, 2)(scores, offsets, SHAPES, targets_of(scene)).labels.sum().item()
    assert told == [without, without, paper]
    assert paper < without


@given(scenes(max_images=4), st.integers(0, 1000))
@settings(max_examples=40)
def test_relative_ams_leaves_no_object_without_a_positive(scene, seed):
    scores, offsets = outputs(scene, seed)
    terms = LapNetLoss(*scene.shapes.shape[:2], ams_rule="relative")(scores, offsets, scene.shapes, targets_of(scene))
    at = terms.positives
    kept = at.object_index[terms.labels.view(-1)[at.flat]]
    assert set(kept.tolist()) == set(at.object_index.tolist())
