"""With the solutions as functions the own LapNet is the library's: loss, gradients, detections, mAP."""

import io
import time
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import torch
from exercises import check_solutions
from PIL import Image
from torch import Tensor

from lapnet_core.config import tiny_scenes
from lapnet_core.data import collate, eval_transform
from lapnet_core.evaluate import voc_map
from lapnet_core.method import LapNetMethod
from lapnet_core.scenes import SCENE_CLASSES, Scenes
from lapnet_lab import models, records
from lapnet_lab.functions import FUNCTIONS
from lapnet_lab.lessons.your_lapnet import panels, study, thinning
from lapnet_lab.lessons.your_lapnet.exercises import IN_TRAINING, judge
from lapnet_lab.notebook import Lab

SIZE = (96, 96)
solved = {name: exercise.solution for name, exercise in FUNCTIONS.items()}
SCENES = Scenes(24, size=SIZE, keep=True)
CONFIG = replace(tiny_scenes(), image_size=SIZE, steps=4, batch_size=3, lr=0.05)


def batch_of(count):
    resize = eval_transform(SIZE)
    return collate([resize(*SCENES[i]) for i in range(count)])


def both(ams, seed=0):
    config = replace(CONFIG, lapnet=replace(CONFIG.lapnet, ams=ams, balance="learned", anchors_per_class=3))
    own = study.build(config, SCENES, study.Functions(SimpleNamespace()))
    with torch.no_grad():  # as after some training
        generator = torch.Generator().manual_seed(seed)
        for s in (own.criterion.s_loc_anchor, own.criterion.s_cls_anchor):
            s += torch.randn(s.shape, generator=generator)
    return own, LapNetMethod(own.model, own.shapes, own.criterion)


@pytest.mark.parametrize("ams", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_loss_is_the_librarys_and_so_are_its_gradients(ams, seed):
    own, library = both(ams, seed)
    batch = batch_of(4)
    found = {}
    for name, method in (("own", own), ("library", library)):
        method.train().zero_grad()
        losses = method(batch.images, batch.targets)
        losses.total.backward()
        found[name] = losses, [p.grad.clone() for p in (*own.model.parameters(), own.criterion.s_loc)]
    for part, value in found["library"][0].parts.items():
        torch.testing.assert_close(found["own"][0].parts[part], value, rtol=1e-4, atol=1e-6)
    for a, b in zip(found["own"][1], found["library"][1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
    assert own.fit.numel() > 0


def test_a_batch_without_objects_is_fine():
    own, _ = both(True)
    batch = batch_of(2)
    empty = [
        {**t, "boxes": t["boxes"][:0], "labels": t["labels"][:0], "difficult": t["difficult"][:0]}
        for t in batch.targets
    ]
    losses = own.train()(batch.images, empty)
    losses.total.backward()
    assert losses.parts["loc"] == 0


def test_detections_and_map_are_the_librarys(monkeypatch):
    own, library = both(True)
    generator = torch.Generator().manual_seed(0)
    grid = (6, len(SCENE_CLASSES), 3, 12, 12)
    scores = torch.randn(grid, generator=generator) * 2 - 2
    offsets = torch.randn(*grid[:3], 4, *grid[3:], generator=generator) * 0.3
    for method in (own, library):
        monkeypatch.setattr(method, "outputs", lambda _images: (scores, offsets))
    batch = batch_of(6)
    a, b = (method.detect(batch.images, score_threshold=0.01) for method in (own, library))
    for one, other in zip(a, b, strict=True):
        assert torch.equal(one["labels"], other["labels"])
        torch.testing.assert_close(one["boxes"], other["boxes"], rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(one["scores"], other["scores"])
    truth = batch.targets
    hits = [
        {
            "boxes": torch.cat([torch.as_tensor(t["boxes"]).float() + 0.5, d["boxes"][:20]]),
            "scores": torch.cat([torch.linspace(0.3, 0.6, len(t["boxes"])) + 1e-3 * k, d["scores"][:20]]),
            "labels": torch.cat([t["labels"], d["labels"][:20]]),
        }
        for k, (t, d) in enumerate(zip(truth, a, strict=True))
    ]
    mean_ap = voc_map(hits, truth, len(SCENE_CLASSES)).mean_ap
    assert 0.05 < mean_ap < 1
    own_map = study.own_map(hits, truth, len(SCENE_CLASSES), study.Functions(SimpleNamespace()))
    assert own_map == pytest.approx(mean_ap, abs=1e-5)
    assert any(bool(t["difficult"].any()) for t in truth)


def test_a_step_holds_the_weights_of_slots_without_a_positive():
    own, _ = both(False)
    optimizer = torch.optim.SGD(own.model.parameters(), lr=0.1)
    before = own.criterion.s_loc_anchor.detach().clone()
    network = [p.detach().clone() for p in own.model.parameters()]
    study.step(own, optimizer, batch_of(2), CONFIG, 0)
    moved = (own.criterion.s_loc_anchor != before).flatten()
    assert torch.equal(moved, own.has[0])
    assert 0 < int(moved.sum()) < moved.numel()
    assert any(not torch.equal(a, b) for a, b in zip(network, own.model.parameters(), strict=True))


def slow(*arguments):
    started = time.thread_time()
    while time.thread_time() < started + 0.2:
        pass
    return FUNCTIONS["clusters"].solution(*arguments)


def without_gradient(a: Tensor, b: Tensor) -> Tensor:
    return FUNCTIONS["iou"].solution(a.detach(), b.detach())


def in_numpy(a: Tensor, b: Tensor) -> Tensor:
    """Right for its check, in which no tensor has a gradient."""
    return FUNCTIONS["iou"].solution(torch.from_numpy(a.numpy()), torch.from_numpy(b.numpy()))


@pytest.mark.parametrize(
    ("name", "function", "why"),
    [
        ("clusters", slow, "s of one step"), ("iou", without_gradient, "gradient"),
        ("iou", in_numpy, "it stops with RuntimeError: Can't call numpy()"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_with_is_replaced_and_told(name, function, why):
    functions = study.Functions(SimpleNamespace(**{name: function}))
    own = study.build(CONFIG, SCENES, functions)
    optimizer = torch.optim.SGD(own.model.parameters(), lr=0.1)
    for number in range(2):
        study.step(own.train(), optimizer, batch_of(3), CONFIG, number)
        functions.replace_slow()
    assert len(functions.told) == 1
    assert why in functions.told[0]
    assert functions.told[0].startswith(f"{name}:")
    assert functions.used[name] is FUNCTIONS[name].solution


def test_nobody_waits_for_a_slow_function_until_the_step_is_over():
    calls = []

    def very_slow(ious):
        calls.append(ious)
        started = time.thread_time()
        while time.thread_time() < started + 1.2 * study.LONGEST:
            pass
        return FUNCTIONS["clusters"].solution(ious)

    functions = study.Functions(SimpleNamespace(clusters=very_slow))
    own = study.build(CONFIG, SCENES, functions)
    batch = batch_of(4)
    loss = own(batch.images, batch.targets).total
    assert len(calls) == 1
    assert functions.told == ["clusters: it took 0.6 s of one step; the library's goes on in its place."]
    torch.testing.assert_close(own(batch.images, batch.targets).total, loss)
    for _ in range(2):  # outside a training one has time
        functions.seconds["iou"] = 2 * study.LONGEST
        functions.used["iou"] = lambda a, b: FUNCTIONS["iou"].solution(a, b)
        own.assigned(torch.tensor([[10.0, 10, 40, 40]]), own.anchors((12, 12))[0])
    assert len(functions.told) == 1


def test_her_functions_are_called_and_the_others_are_the_librarys():
    calls = []

    def clusters(ious):
        calls.append(ious.shape)
        return FUNCTIONS["clusters"].solution(ious)

    detector, functions = study.learn(CONFIG, SCENES, SimpleNamespace(clusters=clusters), progress=False)
    assert calls
    assert not functions.told
    assert functions.used["pono"] is FUNCTIONS["pono"].solution
    assert detector.class_names == SCENE_CLASSES
    with pytest.raises(AttributeError):
        functions.nothing()


@pytest.mark.parametrize("name", ["iou", "decode", "held_update"])
def test_a_right_function_in_float64_is_trained_with(name):
    def exact(*arguments):
        return FUNCTIONS[name].solution(*arguments).double()

    detector, functions = study.learn(CONFIG, SCENES, SimpleNamespace(**{name: exact}), progress=False)
    assert functions.used[name] is exact
    assert {p.dtype for p in detector.method.parameters()} == {torch.float32}


@pytest.mark.parametrize("progress", [False, True])
def test_while_anchors_are_made_their_steps_are_counted(progress, capsys):
    study.build(CONFIG, SCENES, study.Functions(SimpleNamespace()), progress=progress)
    assert ("anchors of class 1 of 7" in capsys.readouterr().err) == progress


def test_slow_functions_are_told_until_the_next_step():
    functions = study.Functions(SimpleNamespace())
    functions.seconds |= {"pono": study.SLOW + 2, "iou": study.SLOW / 2}
    assert functions.slow() == ["pono took 7 s"]
    functions.replace_slow()
    assert functions.slow() == []


def test_anchors_come_to_rest_and_are_sorted():
    sizes = torch.rand(60, 2, generator=torch.Generator().manual_seed(0)) * 50 + 4
    labels = torch.arange(60) % 2
    functions = study.Functions(SimpleNamespace())
    shapes = study.own_anchors(sizes, labels, 2, 4, functions)
    assert bool((shapes.prod(-1).diff(dim=1) >= 0).all())
    for c in range(2):
        torch.testing.assert_close(functions.kmeans_step(sizes[labels == c], shapes[c]), shapes[c])


def test_the_librarys_map_is_the_record_or_trained_here():
    tiny, laptop = Lab("tiny", False, None), Lab("laptop", False, None)
    assert study.library_map(study.settings(300), SCENES, SCENES, tiny) == records.value("your_lapnet.map")
    assert 0 <= study.library_map(CONFIG, SCENES, Scenes(4, size=SIZE), laptop) <= 1


def test_a_trained_detector_is_read_out_by_the_functions(monkeypatch):
    calls = []

    def decode(offsets, anchors):
        calls.append(len(offsets))
        return FUNCTIONS["decode"].solution(offsets, anchors)

    shipped = models.shipped("scenes")
    own = study.with_functions(shipped, study.Functions(SimpleNamespace(decode=decode)))
    picture, _ = Scenes(3, size=(256, 256), split="test")[2]
    a, b = (detector.predict(picture, score_threshold=0.2) for detector in (own, shipped))
    assert calls
    assert torch.equal(a["labels"], b["labels"])
    torch.testing.assert_close(a["boxes"], b["boxes"], rtol=1e-3, atol=1e-2)


def upload(content, name="cat.png"):
    file = {"name": name, "content": memoryview(content), "type": "image/png", "size": len(content)}
    return ({**file, "last_modified": datetime.now(UTC)},)


def test_a_photograph_of_hers():
    example, _ = Scenes(2, size=(256, 256), split="test")[1]
    panel = panels.photograph_panel({"scenes": models.shipped("scenes")}, example)
    assert panel.error == ""
    assert "picture of 256 x 256 px" in panel.describe(panel.numbers)
    for least in (0.05, 0.95):
        panel.controls["least"].value = least
        assert panel.error == ""
    file = io.BytesIO()
    Image.new("RGB", (1280, 640), "grey").save(file, "PNG")
    panel.controls["upload"].value = upload(file.getvalue())
    assert panel.error == ""
    assert "picture of 640 x 320 px" in panel.describe(panel.numbers)
    panel.controls["upload"].value = upload(b"no picture", "notes.txt")
    assert "notes.txt is no picture" in panel.error


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ({"decode", "pono"}, "decode"), ({"nms"}, "a hundred times"), ({"pono"}, "not called either"),
        ("pono", "a set"), ({"bus"}, "choose from"), (3, "a set"), ({"iou", "pono", "ams_labels"}, "held_update"),
        ({"ams_labels", "held_update"}, "pono is not called"),
    ],
)  # fmt: skip
def test_a_wrong_set_is_told(answer, word):
    verdict = judge("only_in_training", answer)
    assert verdict.done is False
    assert word in verdict.message


BOXES = torch.tensor([[10.0, 10, 30, 30], [12, 10, 32, 30], [11, 12, 31, 32], [60, 60, 80, 90]])
SCORES = torch.tensor([0.9, 0.8, 0.7, 0.3])
TRUE = torch.tensor([[11.0, 11, 31, 31], [60, 60, 80, 90]])


def board(pictures=3):
    """Of pictures that all hold the same, in which the mean of the boxes is right and the first one is 1.4 px off."""
    none = torch.zeros(2, dtype=torch.bool)
    found = {"boxes": BOXES, "scores": SCORES, "labels": torch.zeros(4, dtype=torch.int64)}
    truth = {"boxes": TRUE, "labels": torch.zeros(2, dtype=torch.int64), "difficult": none}
    candidates = thinning.Candidates([found] * pictures, [truth] * pictures)
    return thinning.Board(("box", "other"), candidates, candidates)


def means(boxes, scores):
    return torch.stack([TRUE[0], boxes[3]]), scores[[0, 3]]


def test_a_function_is_measured_beside_nms_on_val_and_then_on_test():
    there = board()
    assert "test " not in str(there).split("test is shown")[0]
    verdict = judge("thin", thinning.by_nms, board=there)
    assert verdict.done is False
    assert f"its AP is {there.nms.ap:.3f}; that of nms is {there.nms.ap:.3f}" in verdict.message
    assert judge("thin", means, board=there).done is True
    assert there.yours.ap == pytest.approx(1)
    lines = str(there).splitlines()
    assert [line.split()[:2] for line in lines[1:-1]] == [
        ["val", "nms"], ["val", "yours"], ["test", "nms"], ["test", "yours"]
    ]  # fmt: skip
    assert lines[1].split()[2:] == lines[3].split()[2:] == [f"{x:.3f}" for x in (there.nms.ap, 1, 1)]
    assert lines[4].split()[2:] == ["1.000"] * 3
    assert "tried on val 2 times" in lines[-1]
    assert judge("thin", lambda boxes, scores: (boxes, scores * 0), board=there).done is False
    assert "test is shown" in str(there)  # the one that was ahead is not hers any more


def test_what_nms_leaves_is_what_a_detector_finds():
    shipped, scenes = models.shipped("scenes"), Scenes(3, size=(160, 160), split="val")
    candidates = thinning.Candidates.of(shipped, scenes)
    for k in range(3):
        usual = shipped.predict(scenes[k][0], score_threshold=thinning.LEAST_SCORE)
        left = thinning._thinned(candidates.found[k], thinning.by_nms, len(SCENE_CLASSES))
        order = left["scores"].argsort(descending=True, stable=True)
        torch.testing.assert_close(left["scores"][order], usual["scores"])
        torch.testing.assert_close(left["boxes"][order], usual["boxes"])
        assert len(candidates.found[k]["scores"]) > 2 * len(usual["scores"])


@pytest.mark.parametrize(
    ("thin", "words"),
    [
        (lambda boxes, _: boxes, "must return two things"), (lambda boxes, _: None, "it returns nothing"),
        (lambda boxes, scores: (boxes[0], scores), r"not (4,) and (4,)"),
        (lambda boxes, scores: (boxes, scores[:1]), r"not (4, 4) and (1,)"),
        (lambda boxes, scores: (boxes / 0, scores), "not finite"), (lambda boxes: boxes, "takes 1 argument"),
        (lambda boxes, scores: (boxes.mean(7), scores), "with IndexError"), (3, "this needs a function"),
        (lambda boxes, scores: ([boxes, scores], scores), "two tensors"),
        (lambda boxes, scores: (boxes[:0], scores[:0]), "its AP is 0.000"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_told(thin, words):
    verdict = judge("thin", thin, board=board())
    assert verdict.done is False
    assert words in verdict.message


def test_a_function_may_change_what_it_is_given():
    there = board()

    def greedy(boxes, scores):
        left = means(boxes, scores)
        boxes *= 0
        scores *= 0
        return left

    for _ in range(2):
        assert judge("thin", greedy, board=there).done is True
    assert "1.000" in str(there).splitlines()[4]
    as_lists = [part.tolist() for part in means(BOXES, SCORES)]
    assert judge("thin", lambda *_: as_lists, board=there).done is True


def test_the_folded_solution_is_right():
    val = thinning.Candidates.of(models.shipped("scenes"), Scenes(60, size=(160, 160), split="val"))
    real = thinning.Board(SCENE_CLASSES, val, val)
    check_solutions(
        "12_your_lapnet", ["only_in_training", "thin"], judge,
        lambda name: {"board": real} if name == "thin" else {}, lambda: {"mine": SimpleNamespace(**solved)},
    )  # fmt: skip
    assert judge("only_in_training", [FUNCTIONS[n].solution for n in sorted(IN_TRAINING)]).done is True
    assert judge("only_in_training", IN_TRAINING - {"iou"}).done is True  # whose nms calls her own iou is right, too
