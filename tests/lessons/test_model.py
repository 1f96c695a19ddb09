"""Notebook 05: the network taken apart, against counts and gradients made the slow way; figures, panels, exercises."""

import io
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from exercises import check_solutions, code_in_folds
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision import tv_tensors

from lapnet_core import model
from lapnet_core.assign import assign
from lapnet_core.backbones import Backbone
from lapnet_core.data import Target, collate, eval_transform
from lapnet_core.losses import LapNetLoss
from lapnet_core.model import LapNet
from lapnet_core.scenes import Scenes
from lapnet_lab.lessons.model import diagrams, figures, panels, receptive, study
from lapnet_lab.lessons.model.exercises import EXERCISES, check, judge
from lapnet_lab.lessons.model.study import PARTS


@pytest.fixture(scope="module")
def net() -> LapNet:
    torch.manual_seed(0)
    return LapNet(3, 4).eval()


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for ax in figure.axes for text in ax.texts)


def drawn(figure: Figure) -> bool:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return len(file.getvalue()) > 2000


# Maps and costs


def test_the_maps_are_those_of_the_parts_run_by_hand(net: LapNet) -> None:
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        maps = study.named_maps(net, images)
        c345 = net.backbone(images)
        p345 = net.decoder(c345)
        l345 = [level(p) for level, p in zip(net.levels, p345, strict=True)]
        scores, offsets = net(images)
    by_hand = dict(zip(maps, [images, *c345, *p345, *l345, net.fuse(images), scores, offsets], strict=True))
    assert list(maps) == ["image", "C3", "C4", "C5", "P3", "P4", "P5", "L3", "L4", "L5", "fused", "scores", "offsets"]
    for name, values in by_hand.items():
        torch.testing.assert_close(maps[name], values)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["light", "darknet53", "inception_resnet_v2"])
def test_the_counter_agrees_with_pytorchs(backbone: str) -> None:
    with torch.device("meta"):
        network = LapNet(20, 10, backbone).eval()
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, 96, 64, device="meta"))
    found = study.anatomy(backbone, (96, 64), 20)
    assert found.macs * 2 == counter.get_total_flops()
    flops = counter.get_flop_counts()
    for part in found.parts:
        if part.name != "level convolutions":  # a list is no call of its own
            assert part.macs * 2 == sum(flops[f"LapNet.{PARTS[part.name]}"].values())
    assert found.parameters == sum(p.numel() for p in network.parameters())
    assert [part.name for part in found.parts] == list(PARTS)


def test_a_convolution_counted_with_fingers() -> None:
    layer = nn.Conv2d(2, 3, 3, stride=2, padding=1)
    with study.counting_macs(layer) as macs:
        layer(torch.zeros(1, 2, 8, 6))
    assert macs == {"": 3 * 4 * 3 * 2 * 3 * 3}
    layer(torch.zeros(1, 2, 8, 6))
    assert sum(macs.values()) == 3 * 4 * 3 * 2 * 3 * 3, "counts after the block, too"


@pytest.mark.slow
def test_the_papers_computing_time_in_operations() -> None:
    ours = study.anatomy("darknet53", (512, 512), 80)
    assert study.yolov3_macs(512) == pytest.approx(49.88e9, rel=1e-3)
    assert ours.macs / study.yolov3_macs(512) == pytest.approx(1.0916, abs=1e-3)  # the paper's "same", 1.15 at most
    wide = study.anatomy("darknet53", (512, 512), 80, 10, (256, 256, 256))
    assert round(wide.macs / 1e9, 1) == 90.6
    assert study.anatomy("darknet53", (512, 512), 80) == ours


def test_other_widths_change_the_figure() -> None:
    """The numbers of fig. 2 come from a run: change the network, and the drawing changes."""
    shown = []
    for widths in (None, (64, 48, 80)):
        found = study.anatomy("light", (128, 64), 5, 4, widths)
        parameters = {part.name: part.parameters for part in found.parts}
        assert list(found.macs_by_part) == list(PARTS)
        assert sum(found.macs_by_part.values()) == found.macs
        figure = diagrams.architecture(found.maps, found.stacks, found.macs_by_part, parameters)
        assert drawn(figure)
        shown.append(texts(figure))
    for text in shown:
        assert "C3: 64 × 16 × 8" in text
        assert "scores: 5·4 × 16 × 8" in text
        assert "offsets: 5·4·4 × 16 × 8" in text
        assert text.count("4 × 3×3") == 5
    assert "L4: 32 × 8 × 4" in shown[0]
    assert "fused: 96 × 16 × 8" in shown[0]
    assert "L4: 48 × 8 × 4" in shown[1]
    assert "fused: 144 × 16 × 8" in shown[1]


def test_another_architecture_changes_the_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    def three(inputs: int, outputs: int, depth: int) -> nn.Sequential:
        return nn.Sequential(*(nn.Conv2d(inputs if k == 0 else outputs, outputs, 5, padding=2) for k in range(3)))

    monkeypatch.setattr(model, "stack", three)
    found = study.anatomy.__wrapped__("light", (64, 64), 2, 3)
    assert found.stacks["L3"] == "3 × 5×5"
    assert found.stacks["scores"] == "3 × 5×5 + 1 × 1×1"


def test_part_seconds(net: LapNet) -> None:
    seconds = study.part_seconds(net, torch.zeros(1, 3, 64, 64), repeats=1)
    assert list(seconds) == list(PARTS)
    assert all(each > 0 for each in seconds.values())


def test_the_compared_networks_are_what_they_are_called() -> None:
    for name, (backbone, size, classes) in study.NETWORKS.items():
        assert name.startswith({"darknet53": "DarkNet-53", "light": "light"}.get(backbone, "Inception-ResNet-v2"))
        assert f"{size[0]} px, {classes}" in name
        assert size[0] == size[1]


def test_a_table_of_numbers() -> None:
    lines = study.as_table({"one": {"C3": 63, "scores": 719}, "another": {"C3": 7, "scores": 8}}).split("\n")
    assert [line.split() for line in lines] == [["C3", "scores"], ["one", "63", "719"], ["another", "7", "8"]]
    assert len({len(line) for line in lines}) == 1


@pytest.mark.data
def test_the_photograph_is_shown_where_it_is(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = torch.zeros(3, 64, 96)
    monkeypatch.setenv("LAPNET_DATA", str(real_data))
    image = study.photograph(otherwise=scene)
    assert image.shape == scene.shape
    assert image.std() > 0.5


def test_without_photographs_the_scene_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = torch.zeros(3, 64, 96)
    monkeypatch.setenv("LAPNET_DATA", str(tmp_path))
    assert study.photograph(otherwise=scene) is scene


# Receptive fields


def positive(network: nn.Module) -> nn.Module:
    """All weights positive, so that no influence cancels another."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
    return network


def test_the_reach_is_where_the_gradient_is_not_zero() -> None:
    """The oracle: back-propagate from one column of a map, and look which pixels get something."""
    network = positive(LapNet(1, 1).double().eval())
    images = torch.ones(1, 3, 32, 128, dtype=torch.float64, requires_grad=True)
    maps = study.named_maps(network, images)
    reach = receptive.follow(lambda x: study.named_maps(LapNet(1, 1).to("meta").eval(), x), 128, 32)
    for name, column in (
        ("C3", 7),
        ("C4", 0),
        ("C4", 5),
        ("P3", 1),
        ("P3", 14),
        ("L5", 0),
        ("fused", 0),
        ("scores", 15),
    ):
        (gradient,) = torch.autograd.grad(maps[name][..., column].sum(), images, retain_graph=True)
        touched = gradient.abs().sum((0, 1, 2)).nonzero().flatten()
        found = reach[name].first[column], reach[name].last[column]
        assert (int(found[0]), int(found[1])) == (int(touched[0]), int(touched[-1])), name


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 3, 5, stride=2, padding=1, dilation=2),
        nn.MaxPool2d(3, 2, 1),
        nn.AvgPool2d(2),
        nn.Upsample(scale_factor=3, mode="nearest"),
        nn.Upsample(scale_factor=4, mode="bilinear"),
        nn.Conv2d(3, 3, (1, 3), padding=(0, 1)),
    ],
    ids=str,
)
def test_each_operation_reads_what_its_gradient_says(layer: nn.Module) -> None:
    image = torch.rand(1, 3, 24, 24, requires_grad=True)
    out = positive(layer)(image)
    reach = receptive.follow(lambda x: {"out": layer.to("meta")(x)}, 24, 24)["out"]
    assert len(reach.width) == out.shape[-1]
    for cell in range(out.shape[-1]):
        (gradient,) = torch.autograd.grad(out[..., cell].sum(), image, retain_graph=True)
        columns = gradient.abs().sum((0, 1, 2)).nonzero().flatten()
        if isinstance(layer, nn.MaxPool2d):  # which of its columns wins depends on the image
            assert int(reach.first[cell]) <= int(columns[0])
            assert int(columns[-1]) <= int(reach.last[cell])
        else:
            assert (int(reach.first[cell]), int(reach.last[cell])) == (int(columns[0]), int(columns[-1]))


@pytest.mark.slow
def test_receptive_fields_of_the_literature() -> None:
    """DarkNet-53's is 725 pixels; the recurrence r += (k - 1) j gives the light backbone's."""
    assert receptive.receptive_fields("darknet53")["C5"] == 725
    light, r, j, sides = receptive.receptive_fields("light"), 1, 1, []
    for stage in LapNet(1, 1).backbone.encoder.stages:  # pyright: ignore
        for layer in stage.modules():
            if isinstance(layer, nn.Conv2d):
                r, j = r + (layer.kernel_size[0] - 1) * j, j * layer.stride[0]
        sides.append(r)
    assert [light[name] for name in ("C3", "C4", "C5")] == sides[2:]
    only = receptive.receptive_fields("light", 0)
    assert only["scores"] == 63 + 16 + 64 + 64  # C3; 3x3 of the decoder; four of the level; four of the head
    assert "C5" not in only


def test_what_is_not_local_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="cannot be followed through the operation mean"):
        receptive.follow(lambda x: {"mean": x.mean((2, 3), keepdim=True)}, 64, 64)


@pytest.mark.slow
def test_padding_makes_inception_look_at_its_anchors() -> None:
    with torch.device("meta"):
        raw = timm.create_model("inception_resnet_v2", features_only=True, out_indices=(2, 3, 4)).eval()
        padded = Backbone("inception_resnet_v2").eval()
    assert [len(x.width) for x in receptive.follow(raw, 512, 96).values()] == [61, 30, 14]
    assert [len(x.width) for x in receptive.follow(padded, 512, 96).values()] == [64, 32, 16]
    center = receptive.follow(padded, 1024, 96)["C3"].center
    off = center - (torch.arange(128) + 0.5) * 8
    assert off[40:80].unique().tolist() == [-3.5]
    cells, beside = receptive.beside_anchors(padded, 512)
    assert cells == [64, 32, 16]
    assert beside.tolist() == [-3.5] * 3
    cells, beside = receptive.beside_anchors(raw, 512)
    assert cells == [61, 30, 14]
    center = receptive.follow(raw, 1024, 96)["C3"].center  # of the cells of an unpadded map, 8 pixels apart
    (first,) = (center - 8 * torch.arange(len(center)))[40:80].unique()  # where cell 0 would look
    own = torch.tensor([(k + 0.5) * 61 / 64 - 0.5 for k in (0, 32, 63)])
    torch.testing.assert_close(beside, first + 8 * own - torch.tensor([4.0, 260.0, 508.0]))


@pytest.mark.slow
def test_sight_is_both_fields_through_each_map(net: LapNet) -> None:
    images = torch.randn(1, 3, 64, 64)
    found = receptive.sight(net, images)
    assert [way.split()[0] for way in found] == ["all", "C3", "C4", "C5"]
    for (field, side), only in zip(found.values(), (None, 0, 1, 2), strict=True):
        assert torch.equal(field, receptive.input_gradient(net, images, only))
        assert side == receptive.receptive_fields("light", only)["scores"]


def test_the_gradient_and_its_squares(net: LapNet) -> None:
    images = torch.randn(2, 3, 64, 64)
    field = receptive.input_gradient(net, images)
    row, column, cell = 33, 38, 4  # the central cell of 8 x 8
    again = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(net(again)[0][..., cell, cell].sum(), again)
    energy = gradient.abs().sum(1).mean(0)
    torch.testing.assert_close(field, energy / energy.sum())
    assert field[row, column] > 0

    flat = torch.full((64, 64), 1 / 64**2)
    assert receptive.side_with(0.05, flat) == 16  # 256 of 4096 pixels are 6 %
    assert receptive.side_with(0.07, flat) == 32
    assert receptive.side_with(1.1, flat) == 128


def test_only_one_map_is_let_through(net: LapNet) -> None:
    images = torch.randn(1, 3, 256, 256)
    away = ((torch.arange(256) + 0.5) - 132).abs() > (207 + 8) / 2  # beyond the receptive field through C3
    outside = [receptive.input_gradient(net, images, level)[away].sum().item() for level in (0, None)]
    assert outside[0] == 0
    assert outside[1] > 0.01
    assert not net.backbone._forward_hooks


def test_shifts(net: LapNet) -> None:
    torch.manual_seed(1)
    strip = torch.randn(3, 32, 1024)
    errors = receptive.shift_errors(net, strip, [4, 8, 16, 32], {"C3": 8, "C4": 16, "C5": 32, "scores": 8}, 376)
    exact = {name: [e < 1e-3 for e in values] for name, values in errors.items()}
    assert receptive.exact_shifts([4, 8, 16, 32], errors)["C4"] == [16, 32]
    assert exact == {
        "C3": [False, True, True, True],
        "C4": [False, False, True, True],
        "C5": [False, False, False, True],
        "scores": [False, False, False, True],
    }
    still, moved = (study.named_maps(net, strip[None, :, :, a : a + 992])["C3"][0] for a in (32, 28))
    inner = still[:, :, 47:-48]
    gap = min((moved[:, :, 47 + k : 76 + k] - still[:, :, 47:76]).square().mean() for k in (0, 1))
    assert errors["C3"][0] == pytest.approx((gap / inner.var(-1, correction=0).mean()).sqrt().item(), rel=0.1)
    assert drawn(figures.shift_curves([4, 8, 16, 32], {"one": errors, "two": errors}))


# The first step


def test_the_first_step_by_a_loop(net: LapNet) -> None:
    scenes = Scenes(2, size=(64, 64), transform=eval_transform((64, 64)))
    batch = collate([scenes[i] for i in range(2)])
    for target in batch.targets:
        target["labels"] %= 3
    shapes = torch.tensor([[[12.0, 20.0], [24.0, 40.0], [8.0, 8.0], [40.0, 20.0]]]).expand(3, 4, 2)
    born, silent = (
        study.first_step(net, batch, shapes),
        study.first_step(study.with_score_bias(net, 0.0), batch, shapes),
    )
    scores, offsets = net(batch.images)
    labels = LapNetLoss(3, 4)(scores, offsets, shapes, batch.targets).labels
    entropy = nn.functional.binary_cross_entropy_with_logits(scores, labels.float())
    entropy.backward()
    squares = sum(p.grad.square().sum().item() for p in net.parameters() if p.grad is not None)
    net.zero_grad(set_to_none=True)
    assert born.loss == pytest.approx(entropy.item(), rel=1e-4)
    assert born.gradient == pytest.approx(squares**0.5, rel=1e-3)
    assert silent.loss == pytest.approx(0.69, abs=0.1)
    assert silent.gradient > 10 * born.gradient
    assert net.score_head[-1].bias[0].item() == pytest.approx(-4.595, abs=1e-3)  # pyright: ignore


def test_the_first_positive_of_the_largest_object() -> None:
    shapes = torch.tensor([[[16.0, 16.0], [32.0, 32.0]], [[24.0, 48.0], [48.0, 24.0]]])
    boxes = torch.tensor([[0.0, 0, 16, 16], [10, 20, 60, 46], [40, 8, 56, 24]])
    target = Target(
        boxes=tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(64, 64)),  # pyright: ignore
        labels=torch.tensor([0, 1, 0]), difficult=torch.zeros(3, dtype=torch.bool), image_id=0, original_size=(64, 64),
    )  # fmt: skip
    box, shape, cell = study.first_positive(shapes, (8, 8), target)
    assert box.tolist() == [10, 20, 60, 46]
    assert type(box) is torch.Tensor
    assert shape.tolist() == [48, 24]
    found = assign(shapes, (8, 8), boxes, target["labels"])
    places = [(r, c) for r in range(8) for c in range(8) if found.overlap[0, 1, 1, r, c] > 0.5]
    assert cell == places[0]


# One step (fig. 4)


@pytest.fixture(scope="module")
def step() -> tuple[Any, ...]:
    torch.manual_seed(0)
    network, loss = LapNet(7, 2), LapNetLoss(7, 2)
    scenes = Scenes(2, size=(64, 64), transform=eval_transform((64, 64)))
    batch = collate([scenes[i] for i in range(2)])
    shapes = torch.tensor([[[12.0, 20.0], [24.0, 40.0]]]).expand(7, 2, 2)
    scores, offsets = network(batch.images)
    return batch.images, scores, offsets, shapes, loss(scores, offsets, shapes, batch.targets)


def test_gradients_run_where_the_paper_draws_them_red(step: tuple[Any, ...]) -> None:
    _, scores, offsets, _, terms = step
    routes = study.gradient_routes(terms, {"scores": scores, "offsets": offsets})
    assert {route for route, norm in routes.items() if norm} == {("loc", "offsets"), ("cls", "scores")}
    (slow,) = torch.autograd.grad(terms.cls, scores, retain_graph=True)
    assert routes["cls", "scores"] == pytest.approx(slow.norm().item())


def test_the_flow_shows_the_batch(step: tuple[Any, ...]) -> None:
    images, scores, offsets, shapes, terms = step
    shown = study.flow_texts(images, scores, offsets, shapes, terms)
    assert "2 × 3 × 64 × 64" in shown["image"]
    assert "2 × 7 × 2 × 4 × 8 × 8" in shown["offsets"]
    assert shown["O"].endswith(f"{len(terms.positives.flat)} with O > 0.5")
    assert f"{int(terms.labels.sum())} of {len(terms.positives.flat)}" in shown["P"]
    assert shown["total"].endswith(f"{terms.total.item():.2f}")
    routes = study.gradient_routes(terms, {"scores": scores, "offsets": offsets})
    figure = diagrams.training_flow(shown, routes)
    assert drawn(figure)

    def red(drawing: Figure) -> int:
        arrows = [t.arrow_patch for t in drawing.axes[0].texts if getattr(t, "arrow_patch", None)]  # pyright: ignore
        return sum(arrow.get_linewidth() > 2 for arrow in arrows)

    assert red(figure) == 8
    assert red(diagrams.training_flow(shown, dict.fromkeys(routes, 0.0))) == 0
    assert red(diagrams.training_flow(shown, {**routes, ("cls", "offsets"): 1.0})) == 10


# Panels


def panel(name: str) -> panels.FigurePanel:
    image = torch.zeros(3, 96, 96, dtype=torch.uint8)
    if name == "architecture":
        return panels.architecture_panel()
    if name == "width":
        return panels.width_panel()
    if name == "offset":
        box, shape = torch.tensor([20.0, 20.0, 60.0, 70.0]), torch.tensor([24.0, 40.0])
        return panels.offset_panel(image, box, shape, (5, 4))
    hill = torch.exp(-((torch.arange(96.0) - 52) ** 2) / 800)
    fields = {"all": (torch.full((96, 96), 1 / 96**2), 719), "C3": (hill[:, None] * hill / hill.sum() ** 2, 48)}
    shapes = torch.tensor([[[8.0, 16.0], [40.0, 60.0]], [[90.0, 20.0], [300.0, 400.0]]])
    return panels.receptive_panel(image, fields, shapes, ("person", "traffic_light"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["architecture", "width", "offset", "receptive"])
def test_every_control_to_its_ends(name: str) -> None:
    shown = panel(name)
    first = shown.describe(shown.numbers)
    for control in shown.controls.values():
        default, seen = control.value, {first}
        ends = [control.min, control.max] if hasattr(control, "min") else [value for _, value in pairs(control)]
        for value in [*ends, default]:
            control.value = value
            assert shown.error == ""
            seen.add(shown.describe(shown.numbers))
        assert len(seen) == len({*ends, default}), control.description
        assert shown.describe(shown.numbers) == first
    if name in ("offset", "receptive"):  # the others' further states are slow to draw
        assert shown._repr_mimebundle_()[0]["text/plain"] == first


def pairs(control: Any) -> list[tuple[str, Any]]:
    return [option if isinstance(option, tuple) else (option, option) for option in control.options]


def test_the_offset_panel_decodes() -> None:
    shown = panel("offset")
    torch.testing.assert_close(shown.numbers["moved"], torch.tensor([24.0, 24.0, 48.0, 64.0]))
    shown.controls["dx"].value = 0.5
    torch.testing.assert_close(shown.numbers["moved"], torch.tensor([36.0, 24.0, 60.0, 64.0]))
    assert f"Ô = {24 * 40 / 2000:.2f}" in shown.text.value
    assert "loss (1 - Ô)² = 0.270" in shown.text.value


def test_the_receptive_panel_counts_what_fits() -> None:
    shown = panel("receptive")
    assert shown.numbers["fit"]["can see"] == 2
    shown.controls["through"].value = "C3"
    assert shown.numbers["fit"]["can see"] == 1
    (left, _) = shown.draw(shown.numbers).axes
    sides = [patch.get_width() for patch in left.patches if isinstance(patch, Rectangle)]
    assert sides == list(shown.numbers["squares"].values())
    assert sides[0] == 48


def test_the_other_figures() -> None:
    maps = {"C3": torch.rand(6, 8, 8), "C5": torch.rand(6, 2, 2)}
    assert len(figures.feature_maps(torch.zeros(3, 64, 64), maps).axes) == 13
    parts = {part: 1e9 * (k + 1) for k, part in enumerate(PARTS)}
    bars = diagrams.cost_bars({"a": parts, "b": parts}, ("YOLOv3", 5e9))
    assert drawn(bars)
    assert texts(bars).split() == ["15.0", "15.0"]


# Exercises

GIVEN: dict[str, dict[str, Any]] = {
    "sees": {"before": 63, "stride": 8},
    "one_more_class": {"num_classes": 20, "image_size": (512, 512)},
}
RIGHT: dict[str, Any] = {"sees": 127, "one_more_class": 26_214_400}
WRONG = [
    ("sees", 64, "on top"),
    ("sees", 71, "cells as pixels"),
    ("sees", 159, "not three cells but two"),
    ("sees", 1000, "too much"),
    ("sees", 80, "too little"),
    ("one_more_class", 6450, "parameters"),
    ("one_more_class", 6400, "parameters"),
    ("one_more_class", 5_242_880, "score head alone"),
    ("one_more_class", 20_971_520, "offset head alone"),
    ("one_more_class", 2_621_440, "ten anchors"),
    ("one_more_class", 26.2144, "millions"),
    ("one_more_class", 7, "differs"),
]


@pytest.mark.parametrize("name", EXERCISES)
def test_right_answers_and_stubs(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert judge(name, RIGHT[name], **GIVEN[name]).done is True
    for stub in (None, ...):
        check(name, stub, **GIVEN[name])
        assert capsys.readouterr().out.startswith("Not yet: ")


@pytest.mark.parametrize(("name", "answer", "words"), WRONG)
def test_wrong_answers_are_told_apart(name: str, answer: Any, words: str) -> None:
    verdict = judge(name, answer, **GIVEN[name])
    assert verdict.done is False
    assert words in verdict.message


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize(
    "answer", ["twelve", [], {}, object(), torch.zeros(3, 3), float("nan"), [None, 1], -5, True, ""]
)
def test_anything_at_all_gets_a_sentence(name: str, answer: Any) -> None:
    verdict = judge(name, answer, **GIVEN[name])
    assert verdict.done is False
    assert len(verdict.message) > 15


def test_the_solutions_in_the_notebook_are_right() -> None:
    check_solutions("05_model", EXERCISES, judge, GIVEN.__getitem__)


def test_what_the_solution_says_passes() -> None:
    assert EXERCISES["one_more_class"].digits == 2
    assert judge("one_more_class", 26e6, **GIVEN["one_more_class"]).done is True
    for wrong in (25e6, 27e6):
        assert judge("one_more_class", wrong, **GIVEN["one_more_class"]).done is False


@pytest.mark.slow
def test_the_code_in_the_folds_runs(capsys: pytest.CaptureFixture[str]) -> None:
    codes = code_in_folds("05_model")
    scenes = Scenes(2, size=(64, 64), transform=eval_transform((64, 64)))
    batch, shapes = collate([scenes[i] for i in range(2)]), torch.rand(7, 10, 2) * 40 + 8
    torch.manual_seed(0)
    seven = LapNet(7).eval()
    known = {"torch": torch, "study": study, "receptive": receptive}
    assert len(codes) == 2
    for code in codes:
        exec(code, {**known, "net": seven, "batch": batch, "shapes": shapes})
        assert capsys.readouterr().out
