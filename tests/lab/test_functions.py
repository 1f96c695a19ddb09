"""The functions that a learner writes: what they solve is what the library does."""

import ast
import importlib
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from strategies import quarters, scenes
from torch import Tensor
from torchvision.ops import box_iou
from torchvision.ops import nms as torchvision_nms

from lapnet_core import anchors, boxes
from lapnet_core import assign as assigning
from lapnet_core.config import TrainConfig
from lapnet_core.evaluate.voc import voc_map
from lapnet_core.losses import LapNetLoss
from lapnet_core.step import learning_rate as library_learning_rate
from lapnet_lab import compare, mine
from lapnet_lab.exercise import FunctionExercise
from lapnet_lab.functions import ALL, FUNCTIONS
from lapnet_lab.tries import kind, try_out

SOLVED: dict[str, Any] = {exercise.name: exercise.solution for exercise in ALL}
every = pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.name)


def numbers(low: float = 0.0, high: float = 1.0) -> st.SearchStrategy[float]:
    return st.floats(low, high, width=32)


@st.composite
def xyxy(draw: st.DrawFn, least: int = 0, most: int = 6) -> Tensor:
    found = []
    for _ in range(draw(st.integers(least, most))):
        x, y, w, h = draw(quarters(-4, 20)), draw(quarters(-4, 20)), draw(quarters(0.25, 12)), draw(quarters(0.25, 12))
        found.append([x, y, x + w, y + h])
    return torch.tensor(found).view(-1, 4)


@st.composite
def iou_maps(draw: st.DrawFn) -> Tensor:
    objects, count = draw(st.integers(1, 5)), draw(st.integers(1, 8))
    value = st.one_of(st.sampled_from([0.0, 0.0, 0.25, 0.5]), numbers())
    return torch.tensor(draw(st.lists(value, min_size=objects * count, max_size=objects * count))).view(objects, count)


def test_they_are_fourteen_in_the_order_of_the_notebooks() -> None:
    assert list(FUNCTIONS) == [
        "iou", "kmeans_step", "clusters", "pono", "rescue", "ams_labels", "weighted_cross_entropy", "held_update",
        "decode", "nms", "match", "average_precision", "learning_rate", "balanced_loss",
    ]  # fmt: skip


@every
def test_the_solution_is_right_by_its_own_check(exercise: FunctionExercise) -> None:
    assert try_out(exercise, exercise.solution) is None


@every
def test_the_examples_are_small_and_differ(exercise: FunctionExercise) -> None:
    examples = exercise.examples(torch.Generator().manual_seed(0))
    sizes = [sum(v.numel() if isinstance(v, Tensor) else 1 for v in example) for example in examples]
    assert 12 <= len(examples) <= 60
    assert max(sizes) <= 60
    assert all(kind(exercise.solution(*example), exercise.solution(*example)) == "" for example in examples)
    answers = {compare.written(exercise.solution(*example)) for example in examples}
    assert len(answers) > 6


@every
def test_the_stub_has_the_contract_and_nothing_behind_it(exercise: FunctionExercise) -> None:
    (function,) = ast.parse(exercise.stub()).body
    assert isinstance(function, ast.FunctionDef)
    contract = ast.get_docstring(function)
    assert contract is not None
    assert "returns: " in contract
    assert len(function.body) == 2
    assert len(exercise.stub()) < len(exercise.source())
    for argument in function.args.args:
        assert f"\n{argument.arg}: " in contract
        assert argument.annotation is not None
    assert not list(set(contract.split()) & {"TODO", "FIXME"})


@every
def test_the_text_folds_both_hints_and_the_solution(exercise: FunctionExercise) -> None:
    before, *folds = exercise.text("1").split("<details>")
    assert exercise.task in before
    assert f"`{exercise.name}`" in exercise.task or exercise.name == "kmeans_step" or exercise.name == "held_update"
    assert [fold.split("</summary>")[0] for fold in folds] == [
        "<summary>Hint", "<summary>Second hint", "<summary>Solution"
    ]  # fmt: skip
    for fold, inside in zip(folds, (*exercise.hints, exercise.source()), strict=True):
        assert inside in fold
        assert inside not in before
    assert 1 <= exercise.difficulty <= 3
    assert 1 <= exercise.minutes <= 30


@pytest.mark.slow
@every
def test_each_mistake_leads_on_by_a_question_and_is_drawn(exercise: FunctionExercise) -> None:
    sentences = list(dict.fromkeys(mistake.says for mistake in exercise.mistakes))
    assert len(sentences) >= 4
    for sentence in sentences:
        assert "?" in sentence
        assert sentence[0].islower() or sentence[0].isdigit()
    drawn: list[Figure] = []
    for mistake in exercise.mistakes:
        found = try_out(exercise, mistake.wrong)
        assert found is not None
        assert found.message == mistake.says
        assert found.example is not None
        assert compare.in_words(exercise, found.example, found.expected, found.got).count("\n") >= 2
        if found.got is not None and not kind(found.expected, found.got) and len(drawn) < 3:
            figure = (exercise.draw or compare.side_by_side)(found.example, found.expected, found.got)
            drawn += [figure] if figure is not None else []
    if exercise.draw is not None:
        assert len(drawn) >= 2
        drawn[-1].canvas.draw()


@pytest.mark.slow
def test_what_cannot_be_drawn_is_left_out() -> None:
    for name in ("iou", "decode", "nms", "kmeans_step", "average_precision", "clusters", "pono", "rescue"):
        exercise = FUNCTIONS[name]
        assert exercise.draw is not None
        for example in exercise.examples(torch.Generator().manual_seed(0))[::4]:
            right = exercise.solution(*example)
            strange = [right] if not isinstance(right, Tensor) else [right, right.double() * 1e9 + 7]
            if isinstance(right, Tensor) and right.is_floating_point():
                strange += [torch.full_like(right, torch.nan), torch.full_like(right, torch.inf)]
            for got in strange:
                exercise.draw(example, right, got)


def test_the_solutions_are_kept_as_a_learners_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAPNET_MINE", str(tmp_path))
    mine.forget()
    try:
        mine.write_solutions(tmp_path)
        assert {mine.whose(name) for name in FUNCTIONS} == {"yours"}
        assert mine.table().count("yours") == len(ALL)
        for name in FUNCTIONS:
            text = (tmp_path / f"{name}.py").read_text(encoding="utf-8")
            assert "lapnet" not in text
            imports = [line for line in text.splitlines() if line.startswith(("import", "from"))]
            assert set(imports) <= {"import torch", "import math", "from torch import Tensor"}
    finally:
        mine.forget()


# What the library does with the same arguments.


@given(xyxy(), xyxy())
def test_iou_is_box_iou(a: Tensor, b: Tensor) -> None:
    assert torch.allclose(SOLVED["iou"](a, b), box_iou(a, b))
    if len(a) == len(b):
        assert torch.allclose(SOLVED["iou"](a, b).diagonal(), boxes.paired_iou(a, b))


@given(st.integers(0, 99), st.integers(3, 30), st.integers(1, 4))
def test_a_step_of_k_means_is_one_of_the_librarys(seed: int, count: int, k: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    sizes = (torch.randn(count, 2, generator=generator).exp() * 20).double()
    states = [s for s in anchors.kmeans_steps(sizes, k, generator) if len(s.centers) == k]
    for before, after in pairwise(states):
        if len(before.nearest.unique()) == k:  # no centre is empty: that is ours
            assert torch.allclose(SOLVED["kmeans_step"](sizes, before.centers), after.centers)


def test_an_empty_center_stays() -> None:
    sizes, centers = torch.tensor([[4.0, 4.0], [6.0, 6.0]]), torch.tensor([[5.0, 5.0], [90.0, 90.0]])
    assert SOLVED["kmeans_step"](sizes, centers).tolist() == [[5.0, 5.0], [90.0, 90.0]]


def one_plane(scene: Any) -> Any:
    """The objects of a scene that compete with each other, or nothing."""
    together = (scene.labels == scene.labels[0]) & (scene.images == scene.images[0]) if len(scene.labels) else None
    return None if together is None else (scene.shapes[scene.labels[0]], scene.grid, scene.boxes[together])


@given(scenes(), st.booleans())
def test_clusters_rescue_and_pono_are_the_librarys_assignment(scene: Any, saves: bool) -> None:
    found = one_plane(scene)
    assume(found is not None)
    shapes, grid, objects = found
    ious = boxes.grid_iou(shapes.expand(len(objects), -1, -1), objects, grid).flatten(1)
    owner = SOLVED["clusters"](ious)
    if saves:
        owner = SOLVED["rescue"](ious, owner)
        # Where an object touches no free anchor the library goes on with GIoU.
        assume(all(bool((owner == n).any()) for n in range(len(objects))))
    labels = torch.zeros(len(objects), dtype=torch.int64)
    library = assigning.assign(shapes[None], grid, objects, labels, rescue=saves)
    assert torch.equal(owner, library.object_index.flatten())
    assert torch.allclose(SOLVED["pono"](ious, owner), library.overlap.flatten())


@given(iou_maps())
def test_a_rescue_takes_nothing_that_is_needed(ious: Tensor) -> None:
    before = SOLVED["clusters"](ious)
    after = SOLVED["rescue"](ious, before)
    moved = (before != after).nonzero().flatten().tolist()
    assert len({int(after[n]) for n in moved}) == len(moved)
    for n in range(len(ious)):
        if (before == n).any():
            best = torch.where(before == n, ious[n], 0).argmax()
            assert after[best] == n
    for n in moved:
        assert not (before == after[n]).any()
        assert ious[after[n], n] > 0


@given(st.lists(st.tuples(*[numbers(-3, 8)] * 4, *[numbers(0.5, 90)] * 2), max_size=5))
def test_decode_is_the_librarys_on_its_grid(rows: list[tuple[float, ...]]) -> None:
    values = torch.tensor(rows).view(-1, 6)
    places = torch.arange(2 * len(rows)).view(-1, 2)
    center = (places.flip(1) + 0.5) * boxes.STRIDE
    own = SOLVED["decode"](values[:, :4], torch.cat([center, values[:, 4:]], dim=1))
    library = boxes.decode(values[:, :4], values[:, 4:], places[:, 0], places[:, 1])
    assert torch.allclose(own, library, rtol=1e-4, atol=1e-3)


def test_the_largest_box_is_the_librarys() -> None:
    assert math.isclose(boxes.MAX_LOG_SCALE, 4.135167, abs_tol=1e-6)


@given(st.lists(st.tuples(numbers(), numbers()), max_size=9))
def test_ams_is_the_librarys(pairs: list[tuple[float, float]]) -> None:
    overlap, fit = torch.tensor(pairs).view(-1, 2).unbind(1)
    assert torch.equal(SOLVED["ams_labels"](overlap, fit), assigning.ams_labels(overlap, fit))


@given(st.integers(0, 50))
def test_the_weighted_cross_entropy_is_a_part_of_the_librarys_loss(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    shapes = torch.tensor([[[12.0, 12.0], [20.0, 10.0]], [[16.0, 30.0], [8.0, 8.0]]])
    loss = LapNetLoss(2, 2)
    with torch.no_grad():
        for s in loss.parameters():
            s.copy_(torch.randn(s.shape, generator=generator))
    scores = torch.randn(1, 2, 2, 3, 3, generator=generator) * 5
    offsets = torch.randn(1, 2, 2, 4, 3, 3, generator=generator) * 0.1
    target = {"boxes": torch.tensor([[3.0, 2.0, 14.0, 13.0]]), "labels": torch.tensor([seed % 2])}
    terms = loss(scores, offsets, shapes, [target])
    weights = (-loss.s_cls_anchor).exp().flatten().detach()
    own = SOLVED["weighted_cross_entropy"](scores.view(4, 9), terms.labels.view(4, 9), weights)
    assert torch.allclose(own * (-loss.s_cls).exp(), terms.cls)


@given(st.integers(0, 50))
def test_the_whole_loss_is_the_librarys(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    shapes = torch.tensor([[[12.0, 12.0], [20.0, 10.0]], [[16.0, 30.0], [8.0, 8.0]]])
    loss = LapNetLoss(2, 2, ams=bool(seed % 2))
    with torch.no_grad():
        for s in loss.parameters():
            s.copy_(torch.randn(s.shape, generator=generator))
    scores = torch.randn(1, 2, 2, 3, 3, generator=generator) * 5
    offsets = torch.randn(1, 2, 2, 4, 3, 3, generator=generator) * 0.1
    some = torch.tensor([[3.0, 2.0, 14.0, 13.0], [1.0, 4.0, 9.0, 24.0]])[: seed % 3]
    terms = loss(scores, offsets, shapes, [{"boxes": some, "labels": torch.tensor([1, 0])[: seed % 3]}])
    s_loc, s_cls = loss.s_loc_anchor.flatten(), loss.s_cls_anchor.flatten()
    inner = SOLVED["weighted_cross_entropy"](scores.view(4, 9), terms.labels.view(4, 9), (-s_cls).exp())
    at = terms.positives
    own = SOLVED["balanced_loss"](
        terms.predicted_overlap, at.label * 2 + at.anchor, inner, torch.stack([loss.s_loc, loss.s_cls]),
        torch.stack([s_loc, s_cls]),
    )  # fmt: skip
    assert torch.allclose(own, torch.stack([terms.loc, terms.cls, terms.reg]), rtol=1e-4)


@given(st.integers(0, 30))
def test_a_held_step_is_that_of_the_librarys_optimizer(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    loss = LapNetLoss(2, 3)
    loss.hold_without_positives(optimizer := torch.optim.SGD(loss.parameters(), lr=0.3))
    before, gradient = loss.s_cls_anchor.detach().clone(), torch.randn(2, 3, generator=generator)
    loss.s_cls_anchor.grad = gradient.clone()
    loss.seen_cls |= torch.rand(2, 3, generator=generator) < 0.5
    seen = loss.seen_cls.flatten().clone()
    optimizer.step()
    own = SOLVED["held_update"](before.flatten(), gradient.flatten(), seen, 0.3)
    assert torch.allclose(own, loss.s_cls_anchor.detach().flatten())
    assert torch.equal(own[~seen], before.flatten()[~seen])


@given(xyxy(most=9), st.sampled_from([0.25, 0.5, 0.75, 1.0]), st.randoms(use_true_random=False))
def test_nms_is_torchvisions(found: Tensor, threshold: float, random: Any) -> None:
    scores = torch.tensor(random.sample(range(100), len(found)), dtype=torch.float32)
    assert torch.equal(SOLVED["nms"](found, scores, threshold), torchvision_nms(found, scores, threshold))


@given(xyxy(most=7), xyxy(most=4), st.sampled_from([0.25, 0.5, 0.75]))
def test_match_and_average_precision_are_vocs(found: Tensor, objects: Tensor, threshold: float) -> None:
    scores = 1 - torch.arange(len(found)) / 10
    labels, real = torch.zeros(len(found), dtype=torch.int64), torch.zeros(len(objects), dtype=torch.int64)
    detections: Any = [{"boxes": found, "scores": scores, "labels": labels}]
    targets: Any = [{"boxes": objects, "labels": real}]
    library = voc_map(detections, targets, 1, iou_threshold=threshold)
    hits = SOLVED["match"](box_iou(found.double(), objects.double()), threshold)
    if len(objects) == 0:
        assert not hits.any()
        return
    assert torch.equal(hits.cumsum(0) / len(objects), library.recall[0].float())
    assert math.isclose(SOLVED["average_precision"](hits, len(objects)), float(library.ap[0]), abs_tol=1e-6)


@given(st.integers(1, 500), st.floats(0, 1), st.floats(1e-4, 2), st.floats(0.1, 4))
def test_the_learning_rate_is_the_librarys(steps: int, done: float, base: float, power: float) -> None:
    step = int(done * steps)
    config = TrainConfig(steps=steps, lr=base, power=power, warmup=0)
    own = SOLVED["learning_rate"](step, steps, base, power)
    assert math.isclose(own, library_learning_rate(config, step), rel_tol=1e-9, abs_tol=1e-12)


def test_a_module_of_functions_is_imported_without_the_others() -> None:
    for topic in ("geometry", "clustering", "overlap", "losses", "schedule", "detections", "precision", "total"):
        module = importlib.import_module(f"lapnet_lab.functions.{topic}")
        assert module.__doc__
        assert "notebook" in module.__doc__
