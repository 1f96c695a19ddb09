"""The fast form of a detector: the same detections, and the detector as it was."""

import copy

import pytest
import torch
from torch import nn

from lapnet_core.deploy import fast
from lapnet_core.deploy.fast import (
    COMPILED,
    FOLDED,
    FORMS,
    HALF,
    LAYOUT,
    PLAIN,
    Fast,
    as_form,
    differences,
    fastest,
    folded,
)
from lapnet_core.detector import Detector
from lapnet_core.method import LapNetMethod
from lapnet_core.model import LapNet
from lapnet_core.peers import METHODS, method_class
from lapnet_core.scenes import Scenes

BACKBONES = ("light", "tf_efficientnet_lite0", "darknet53", "inception_resnet_v2", "resnet50", "densenet121")
SHIPPED = fast.__file__.replace("deploy/fast.py", "assets/models/scenes.safetensors")


def trained(method):
    """With statistics and weights of batch normalisation as no network begins with."""
    generator = torch.Generator().manual_seed(0)
    for module in method.modules():
        if isinstance(module, nn.BatchNorm2d):
            size = module.running_mean.shape
            module.running_mean.copy_(torch.randn(size, generator=generator) * 0.1)
            module.running_var.copy_(torch.rand(size, generator=generator) + 0.5)
            module.weight.data.copy_(torch.rand(size, generator=generator) + 0.5)
            module.bias.data.copy_(torch.randn(size, generator=generator) * 0.1)
    return method.eval()


def norms(module):
    return [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]


def state(method):
    return {name: value.clone() for name, value in method.state_dict().items()}


@pytest.fixture(scope="module")
def scenes():
    """A detector that finds something, and images in which it does."""
    detector = Detector.load(SHIPPED)
    pictures = Scenes(2, seed=1)
    return detector, torch.cat([detector.prepare(torch.as_tensor(pictures[k][0])) for k in range(2)])


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_normalisation_behind_a_convolution_is_folded_and_nothing_changes(backbone):
    torch.manual_seed(0)
    method = trained(LapNetMethod(LapNet(3, 2, backbone), torch.full((3, 2, 2), 30.0)))
    before, images = state(method), torch.randn(1, 3, 64, 96)
    fused = folded(method)
    for ours, theirs in zip(fused.outputs(images), method.outputs(images), strict=True):
        assert ours.shape == theirs.shape
        assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()
    # DenseNet's normalisations stand before their convolutions, and some read what others read too.
    assert bool(norms(fused)) == (backbone == "densenet121")
    assert len(norms(fused)) < len(norms(method))
    assert all(torch.equal(before[name], value) for name, value in method.state_dict().items())


@pytest.mark.parametrize("name", [name for name in METHODS if name != "lapnet"])
@pytest.mark.parametrize("backbone", ["light", "tf_efficientnet_lite0"])
def test_the_peers_find_the_same_when_folded(name, backbone):
    torch.manual_seed(0)
    method = trained(method_class(name).restore({"num_classes": 3, "backbone": backbone}))
    images = torch.randn(2, 3, 64, 64)
    fused = folded(method)
    assert not norms(fused)
    for ours, theirs in zip(fused.detect(images), method.detect(images), strict=True):
        assert len(ours["scores"]) == len(theirs["scores"]) > 0
        torch.testing.assert_close(ours["scores"], theirs["scores"], atol=1e-4, rtol=1e-3)


class Shared(LapNetMethod):
    """One convolution of the first level's stack is read by its normalisation, and a second time."""

    def outputs(self, images):
        stack = self.model.levels[0]
        first = stack[0]
        twice = first[0].register_forward_hook(lambda _module, _given, out: self.kept.append(out + 1))
        try:
            return super().outputs(images)
        finally:
            twice.remove()


def test_a_convolution_that_something_else_reads_too_is_left_alone():
    torch.manual_seed(0)
    method = trained(Shared(LapNet(3, 2), torch.full((3, 2, 2), 30.0)))
    method.kept = []
    fused = folded(method)
    (left,) = norms(fused)
    assert left is fused.model.levels[0][0][1]


def test_the_fastest_form_finds_the_same_and_the_detector_stays(scenes):
    detector, images = scenes
    before, module = state(detector.method), detector.method
    found = detector.detect_images(images, score_threshold=0.3)
    made = fastest(detector, images, seconds=0)
    assert [one.form for one in made.tried] == [PLAIN, FOLDED, LAYOUT, HALF]
    assert made.form != PLAIN
    assert not norms(made.method)
    assert (made.class_names, made.image_size) == (detector.class_names, detector.image_size)
    for one in made.tried[1:3]:
        assert (one.refused, one.same) == ("", 1.0)
        assert one.seen >= sum(2 * len(each["scores"]) for each in found) > 4
        assert one.scores < 1e-3
        assert one.boxes > 0.99
    told = differences("", detector.detect_images(images), made.detect_images(images))
    assert told.same >= fast.SAME
    assert detector.method is module
    assert all(torch.equal(before[name], value) for name, value in detector.method.state_dict().items())
    assert norms(detector.method)
    assert made.told().count("<- taken") == 1
    assert made.told().splitlines()[1].startswith("folded")


def test_a_backbone_of_one_size_is_folded_in_an_image_of_it():
    torch.manual_seed(0)
    method = trained(LapNetMethod(LapNet(2, 2, "efficientformerv2_s0"), torch.full((2, 2, 2), 30.0)))
    made = fastest(Detector(method, ("a", "b"), (224, 224)), seconds=0)
    assert len(norms(made.method)) < len(norms(method))


def test_a_fast_form_is_not_saved(scenes, tmp_path):
    made = Fast(scenes[0].method, scenes[0].class_names, scenes[0].image_size, FOLDED)
    with pytest.raises(ValueError, match="but the detector that it was made of"):
        made.save(tmp_path / "fast.safetensors")
    assert not list(tmp_path.iterdir())


def spoiled(monkeypatch, change, only=HALF):
    """Forms of this name get `change(method)`, and take no time at all."""
    made = fast.as_form

    def spoil(form, base):
        method = copy.deepcopy(base) if form == only else made(form, base)
        if form == only:
            change(method)
        return method

    def times(works, seconds):
        return {name: 1e-9 if name == only else 1.0 for name in works}

    monkeypatch.setattr(fast, "as_form", spoil)
    monkeypatch.setattr(fast, "timed", times)


def test_a_faster_form_that_finds_something_else_is_refused(scenes, monkeypatch):
    detector, images = scenes
    spoiled(monkeypatch, lambda method: method.model.score_head[-1].bias.data.add_(0.4))
    made = fastest(detector, images)
    assert made.form == FOLDED
    assert made.tried[3].refused == "it finds something else"
    assert made.tried[3].scores > fast.SCORES
    assert "not taken: it finds something else" in made.told()


def test_a_faster_form_that_finds_the_same_is_taken(scenes, monkeypatch):
    detector, images = scenes
    spoiled(monkeypatch, lambda method: method.model.score_head[-1].bias.data.add_(1e-3))
    assert fastest(detector, images).form == HALF


def test_bfloat16_is_not_taken_where_nothing_could_be_compared(scenes, monkeypatch):
    detector, images = scenes
    spoiled(monkeypatch, lambda method: None)
    made = fastest(detector, torch.zeros_like(images))
    assert made.form == FOLDED
    assert "give images with objects" in made.tried[3].refused


def test_a_gain_that_two_timings_may_differ_by_changes_nothing(scenes, monkeypatch):
    detector, images = scenes
    monkeypatch.setattr(fast, "timed", lambda works, seconds: {name: 1 - 0.01 * n for n, name in enumerate(works)})
    assert fastest(detector, images).form == FOLDED


def test_a_processor_without_bfloat16_is_told_before_a_network_runs_in_it(scenes, monkeypatch):
    detector, images = scenes
    own = fast.timed
    monkeypatch.setattr(fast, "timed", lambda w, s, *pick: {"a": 1.0, "b": 90.0} if pick else own(w, s))
    made = fastest(detector, images, seconds=0)
    assert made.form in (FOLDED, LAYOUT)
    assert made.tried[3].refused == "on this processor a convolution in bfloat16 takes 90.0 times as long"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (type("InvalidCxxCompiler", (RuntimeError,), {})("no working one"), "needs a C++ compiler, and there is none"),
        (OSError("Python.h:\n no such file"), "Python.h: no such file"),
        (NotImplementedError(), "NotImplementedError"),
    ],
)
def test_where_nothing_can_be_compiled_the_others_are_tried(scenes, monkeypatch, error, sentence):
    detector, images = scenes

    def impossible(self, *args, **options):
        raise error

    monkeypatch.setattr(nn.Module, "compile", impossible)
    made = fastest(detector, images, compiled=True, seconds=0)
    assert [one.form for one in made.tried[1:]] == list(FORMS)
    assert made.form not in (PLAIN, *FORMS[3:])
    for one in made.tried[4:]:
        assert sentence in one.refused


def test_every_network_of_a_method_is_compiled(monkeypatch):
    seen = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, **options: seen.append(type(self).__name__))
    for name in ("lapnet", "yolov3", "faster_rcnn"):
        about = {"num_classes": 2, "backbone": "light", "per_class": 2}
        as_form(COMPILED, method_class(name).restore(about))
    assert seen == ["LapNet", "Pyramid", *["Sequential"] * 3, "Pyramid", "RPNHead"]


def test_bfloat16_is_used_inside_and_float32_comes_out(scenes):
    detector, images = scenes
    half = as_form(HALF, folded(detector.method))
    seen = []
    half.model.score_head[0][1][0].register_forward_hook(lambda _module, _given, out: seen.append(out.dtype))
    scores, offsets = half.outputs(images)
    assert seen == [torch.bfloat16]
    assert (scores.dtype, offsets.dtype) == (torch.float32, torch.float32)


def one(boxes, scores, labels):
    return {"boxes": torch.tensor(boxes).view(-1, 4), "scores": torch.tensor(scores), "labels": torch.tensor(labels)}


def test_differences_are_of_both_sides_and_of_what_is_seen():
    box = [0.0, 0, 10, 10]
    before, after = one([*box, *box], [0.8, 0.2], [0, 1]), one([0, 0, 10, 8.0], [0.78], [0])
    told = differences("", [before], [after])
    assert (told.seen, told.same) == (2, 0.0)  # an IoU of .8 is too small
    assert told.scores == pytest.approx(0.02, abs=1e-6)
    assert told.boxes == pytest.approx(0.8, abs=1e-6)
    nobody = differences("", [before], [one([], [], torch.zeros(0, dtype=torch.int64).tolist())])
    assert (nobody.seen, nobody.same, nobody.boxes) == (1, 0.0, 0.0)
    assert nobody.scores == pytest.approx(0.8, abs=1e-6)
    assert differences("", [before], [before]).same == 1.0
    nothing = differences("", [one(box, [0.1], [0])], [one(box, [0.2], [0])])
    assert (nothing.seen, nothing.same) == (0, 1.0)


def test_images_of_another_size_are_refused(scenes):
    with pytest.raises(ValueError, match="images must be"):
        fastest(scenes[0], torch.zeros(1, 3, 64, 64))


def test_what_has_no_convolutions_is_refused(scenes):
    detector, images = scenes
    without = copy.deepcopy(detector)
    without.method.modules = lambda: iter(())
    with pytest.raises(ValueError, match="an exported model has no fast form"):
        fastest(without, images)
