import copy
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import TINY, Squares

from lapnet_core.anchors import AnchorFile
from lapnet_core.backbones import Backbone, _WideDepthwise
from lapnet_core.config import PRESETS, TrainConfig, preset_for
from lapnet_core.data import DataError, Skipped
from lapnet_core.detector import Detector, note_of
from lapnet_core.evaluate import voc_map
from lapnet_core.method import MAX_S_STEP, LapNetMethod, balance_multipliers, find_anchors
from lapnet_core.model import LapNet
from lapnet_core.scenes import Scenes
from lapnet_core.step import learning_rate, make_optimizer, train_step
from lapnet_core.train import train

ROOT = Path(__file__).resolve().parents[2]


def untrained(side=16.0):
    """An untrained LapNet for two classes with three anchors each, all of one size."""
    return LapNetMethod(LapNet(2, 3), torch.full((2, 3, 2), side))


def same_weights(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_it_learns():
    config = replace(TINY, steps=160, batch_size=4, lr=0.05, warmup=10, clip_norm=10.0, scale=(0.9, 1.1), log_every=20)
    result = train(config, Squares(64), save=False, progress=False)
    detections, targets, skipped = result.detector.predict_dataset(Squares(16), progress=False)
    assert skipped == []
    assert voc_map(detections, targets, 2).mean_ap > 0.8
    assert result.log[-1]["predicted_iou"] > result.log[0]["predicted_iou"]


@pytest.mark.parametrize("balance", ["ones", "retina", "focal", "loss", "learned", "even"])
def test_every_row_of_table_2b_trains(balance):
    result = train(TINY.with_options(balance=balance), Squares(), save=False, progress=False)
    assert result.log[-1]["step"] == TINY.steps
    start = {
        name: float(p.requires_grad) for name, p in result.method.criterion.named_parameters()
    }  # constants: lambda = e^0
    learned = {name for name, p in result.method.criterion.named_parameters() if bool((p != start[name]).any())}
    loss_weights, anchor_weights = {"s_loc", "s_cls"}, {"s_loc_anchor", "s_cls_anchor"}
    both = loss_weights | anchor_weights
    assert learned == {"learned": both, "even": both, "loss": loss_weights}.get(balance, set())


@pytest.mark.parametrize("options", [{}, {"balance": "even"}, {"backbone": "fasternet_t2"}])
def test_a_resumed_training_is_the_uninterrupted_one(tmp_path, options):
    """Whatever the balance keeps beside its weights, and whatever a backbone draws: this one has stochastic depth."""
    handler = signal.getsignal(signal.SIGINT)
    tiny = TINY.with_options(**options)
    whole = train(replace(tiny, out=str(tmp_path / "a")), Squares(), progress=False)

    def interrupt(step, _):
        if step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    half = replace(tiny, out=str(tmp_path / "b"))
    stopped = train(half, Squares(), progress=False, on_step=interrupt)
    assert stopped.interrupted
    assert not (tmp_path / "b" / "model.safetensors").exists()
    resumed = train(replace(half, workers=1), Squares(), resume=True, progress=False)
    assert not resumed.interrupted
    assert same_weights(whole.method, resumed.method)
    strip = [{k: v for k, v in line.items() if k != "seconds"} for line in whole.log]
    assert [{k: v for k, v in line.items() if k != "seconds"} for line in resumed.log] == strip
    lines = [json.loads(line) for line in (tmp_path / "b" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines[1:]] == [1, 2, 3, 4, 5, 6]
    assert lines[0]["config"]["steps"] == 6
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_second_ctrl_c_breaks_off_and_the_checkpoint_is_whole(tmp_path):
    def twice(step, _):
        if step == 3:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    config = replace(TINY, out=str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        train(config, Squares(), progress=False, on_step=twice)
    resumed = train(config, Squares(), resume=True, progress=False)
    assert [line["step"] for line in resumed.log] == [1, 2, 3, 4, 5, 6]


def test_nothing_trained_is_overwritten(tmp_path):
    config = replace(TINY, steps=1, out=str(tmp_path))
    train(config, Squares(), progress=False)
    with pytest.raises(FileExistsError, match="--resume goes on"):
        train(config, Squares(), progress=False)
    with pytest.raises(ValueError, match="another lr"):
        train(replace(config, lr=0.5), Squares(), resume=True, progress=False)
    with pytest.raises(FileNotFoundError, match="nothing to resume"):
        train(replace(config, out=str(tmp_path / "none")), Squares(), resume=True, progress=False)


def test_a_model_comes_back_from_its_file(tmp_path):
    result = train(replace(TINY, steps=2, out=str(tmp_path)), Squares(), progress=False)
    back = Detector.load(tmp_path)
    assert same_weights(back.method, result.method)
    assert (back.class_names, back.image_size) == (("red", "blue"), (64, 64))
    image = Squares()[3][0]
    a, b = (d.predict(image, score_threshold=0.0) for d in (result.detector, back))
    assert torch.equal(a["boxes"], b["boxes"])
    assert AnchorFile.load(tmp_path / "anchors.json").shapes == pytest.approx(back.method.shapes, abs=0.01)
    (tmp_path / "broken.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"broken\.safetensors is no LapNet model"):
        Detector.load(tmp_path / "broken.safetensors")
    with pytest.raises(FileNotFoundError, match="lapnet train"):
        Detector.load(tmp_path / "nowhere")


def test_the_balance_weights_of_the_loss_play_no_part_in_prediction(tmp_path):
    result = train(replace(TINY, steps=2, out=str(tmp_path)), Squares(), progress=False)
    image = Squares()[3][0]
    before = result.detector.predict(image, score_threshold=0.0)
    for s in result.method.criterion.parameters():
        s.data += 5
    assert torch.equal(before["scores"], result.detector.predict(image, score_threshold=0.0)["scores"])


def test_predictions_come_in_the_pixels_of_the_image():
    detector = Detector(untrained(20.0).eval(), ("red", "blue"), (64, 64))
    small = detector.predict(torch.zeros(3, 64, 64, dtype=torch.uint8), score_threshold=0.0)
    large = detector.predict(torch.zeros(3, 128, 320, dtype=torch.uint8), score_threshold=0.0)
    torch.testing.assert_close(small["boxes"] * torch.tensor([5.0, 2, 5, 2]), large["boxes"], rtol=1e-3, atol=1e-2)
    with pytest.raises(ValueError, match="the model knows"):
        detector.predict_dataset(Scenes(2, size=(64, 64)), progress=False)


def test_halves_take_half_the_place_and_are_read_as_floats(tmp_path):
    detector = Detector(untrained(20.0).eval(), ("red", "blue"), (64, 64))
    detector.save(tmp_path / "whole.safetensors")
    detector.save(tmp_path / "half.safetensors", note={"why": "small"}, half=True)
    assert note_of(tmp_path / "half.safetensors") == {"why": "small"}
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("half", "whole")]
    assert sizes[0] < 0.6 * sizes[1]
    loaded = Detector.load(tmp_path / "half.safetensors")
    for name, tensor in detector.method.state_dict().items():
        read = loaded.method.state_dict()[name]
        assert read.dtype == tensor.dtype
        assert torch.equal(read, tensor.half().float() if tensor.ndim == 4 else tensor), name
    image = Squares()[0][0]
    found, exact = (each.predict(image, score_threshold=0.0) for each in (loaded, detector))
    torch.testing.assert_close(found["scores"][:5], exact["scores"][:5], rtol=0, atol=5e-3)


def test_a_weight_too_large_for_a_half_is_not_saved(tmp_path):
    detector = Detector(untrained(20.0).eval(), ("red", "blue"), (64, 64))
    with torch.no_grad():
        detector.method.model.offset_head[-1].weight[0] = 1e6
    with pytest.raises(FloatingPointError, match=r"offset_head.*not finite"):
        detector.save(tmp_path / "half.safetensors", half=True)
    assert not (tmp_path / "half.safetensors").exists()


def test_predictions_are_those_of_evaluation_mode_and_leave_the_mode_alone():
    detector = Detector(untrained(20.0).eval(), ("red", "blue"), (64, 64))
    image = Squares()[0][0]
    expected = detector.predict(image, score_threshold=0.0)
    detector.method.train()
    assert torch.equal(detector.predict(image, score_threshold=0.0)["scores"], expected["scores"])
    assert detector.method.model.training


def test_unreadable_images_are_skipped_counted_and_told():
    class Faulty(Squares):
        def __getitem__(self, index):
            return Skipped(f"image {index} is broken") if index % 4 == 0 else super().__getitem__(index)

    with pytest.warns(UserWarning, match=r"images were skipped, first: image \d+ is broken"):
        result = train(replace(TINY, steps=8), Faulty(), save=False, progress=False)
    assert 1 <= len(result.skipped) <= 4
    detections, targets, skipped = result.detector.predict_dataset(Faulty(), progress=False)
    assert (len(detections), len(targets), len(skipped)) == (12, 12, 4)


def test_a_loss_that_is_not_finite_stops_before_it_reaches_the_weights(tmp_path):
    config = replace(TINY, out=str(tmp_path))

    def poison(step, terms):
        if step == 3:
            raise RuntimeError("never reached")

    dataset = Squares()
    dataset.target = lambda index: (_ for _ in ()).throw(DataError("image 3: unreadable"))
    with pytest.raises(DataError, match="image 3"):
        train(config, dataset, progress=False, on_step=poison)
    assert not (tmp_path / "last.pt").exists()
    with pytest.raises(FloatingPointError, match=r"the loss is nan.*smaller lr"):
        train(replace(config, lr=1e6), Squares(), save=False, progress=False)


def test_a_balance_weight_changes_by_no_more_than_the_factor_e_in_a_step():
    """One rare positive under a large weight: without the limit s would rise by hundreds, and stay there."""
    config = replace(TINY, steps=100, lr=0.1)
    method = LapNetMethod(LapNet(2, 3), torch.tensor([[[14.0, 14], [24, 24], [40, 40]]] * 2)).train()
    with torch.no_grad():
        method.criterion.s_cls_anchor.fill_(-12.0)  # lambda = 160,000
    optimizer = make_optimizer(method, config)
    before = [p.detach().clone() for p in method.criterion.parameters()]
    image, target = Squares()[0]
    losses = train_step(method, optimizer, image[None] / 255, [target], config, 0)
    changes = [(p - b).abs().max().item() for p, b in zip(method.criterion.parameters(), before, strict=True)]
    assert losses.parts["cls"].item() > 100
    assert max(changes) == pytest.approx(MAX_S_STEP, abs=1e-5)


def gradients(method):
    return {name: p.grad.clone() for name, p in method.named_parameters() if p.grad is not None}


def fixed_batch():
    samples = [Squares()[index] for index in range(5)]
    images = torch.stack([image.float() for image, _ in samples]) / 255
    return images, [target for _, target in samples]


def test_a_batch_in_parts_is_the_mean_of_their_losses():
    """Five images in two parts, 2 and 3: the step is that on 2/5 of the one loss and 3/5 of the other."""
    torch.manual_seed(0)
    images, targets = fixed_batch()
    method = untrained(20.0).train()
    start = {name: value.clone() for name, value in method.state_dict().items()}
    config, between = replace(TINY, batch_size=4, accumulate=2), []
    optimizer = make_optimizer(method, config)
    optimizer.step = lambda: None
    losses = train_step(method, optimizer, images, targets, config, 0, lambda: between.append(method.progress()))
    found, own = gradients(method), [*between, method.progress()]
    assert [one["objects"] for one in own] == [4, 6]

    method.load_state_dict(start)
    method.zero_grad()
    parts = [method(images[a:b], targets[a:b]) for a, b in ((0, 2), (2, 5))]
    (0.4 * parts[0].total + 0.6 * parts[1].total).backward()
    for name, gradient in gradients(method).items():
        torch.testing.assert_close(found[name], gradient)
    torch.testing.assert_close(losses.total, 0.4 * parts[0].total + 0.6 * parts[1].total)
    torch.testing.assert_close(losses.parts["cls"], 0.4 * parts[0].parts["cls"] + 0.6 * parts[1].parts["cls"])


def test_a_balance_weight_is_held_where_no_part_has_a_positive():
    """Class 0 in the first part alone, class 1 in none: its weights stay, whatever momentum they have."""
    torch.manual_seed(0)
    images, targets = fixed_batch()
    images, targets = images[:4], targets[:4]
    for n, target in enumerate(targets):
        keep = slice(0, 1) if n < 2 else slice(0, 0)
        targets[n] = {**target, **{name: target[name][keep] for name in ("boxes", "labels", "difficult")}}
    method = untrained(24.0).train()
    loss, config = method.criterion, replace(TINY, batch_size=4, accumulate=2, lr=0.1)
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.1, momentum=0.9)
    for group in optimizer.param_groups:
        group |= {"multiplier": 1.0, "max_step": 1.0}
        for parameter in group["params"]:
            optimizer.state[parameter]["momentum_buffer"] = torch.ones_like(parameter)
    loss.hold_without_positives(optimizer)
    before = loss.s_loc_anchor.detach().clone()
    train_step(method, optimizer, images, targets, config, 0)
    assert torch.equal(loss.s_loc_anchor[1], before[1])
    assert bool((loss.s_loc_anchor[0] != before[0]).any())
    assert not bool(loss.seen_loc.any())


def test_the_log_counts_what_all_parts_have():
    whole, parts = (
        train(replace(TINY, steps=1, batch_size=4, accumulate=k), Squares(), save=False, progress=False).log[0]
        for k in (1, 2)
    )
    assert parts["objects"] == whole["objects"] == 8
    assert parts["loc"] != whole["loc"]


def test_groups_of_the_optimiser():
    method = untrained()
    optimizer = make_optimizer(method, replace(TINY, weight_decay=0.1))
    weights, plain, loss_weights, anchor_weights = optimizer.param_groups
    assert weights["weight_decay"] == 0.1
    assert [g["weight_decay"] for g in (plain, loss_weights, anchor_weights)] == [0, 0, 0]
    assert [g["momentum"] for g in optimizer.param_groups] == [0.9, 0.9, 0, 0]
    assert all(p.ndim > 1 for p in weights["params"])
    assert sum(len(g["params"]) for g in optimizer.param_groups) == len(list(method.parameters()))


def test_schedules():
    config = replace(TINY, steps=100, lr=0.1, warmup=4)
    assert [learning_rate(config, k) for k in (0, 3, 50)] == pytest.approx([0.025, 0.1 * 0.97**0.9, 0.1 * 0.5**0.9])
    assert learning_rate(config, 99) < 0.002
    # C*A / (lr * T): 2 classes, 3 anchors, T = 10 steps; and the paper's own schedules are left alone.
    assert balance_multipliers(config, 2) == pytest.approx((6 / (0.1 * 10), 1.0))
    assert balance_multipliers(PRESETS["paper_voc_darknet53"](), 20) == (1.0, 1.0)
    assert balance_multipliers(PRESETS["paper_coco_darknet53"](), 80) == (1.0, 1.0)


def test_configs_come_back_and_mistakes_are_named(tmp_path):
    for preset in PRESETS.values():
        assert TrainConfig.from_json(preset().to_json()) == preset()
    assert preset_for("voc").batch_size == 28
    assert preset_for("mine").data == "mine"
    with pytest.raises(ValueError, match="multiples of 32"):
        replace(TINY, image_size=(60, 64))
    with pytest.raises(ValueError, match="unknown fields"):
        TrainConfig.from_json('{"colour": 1}')
    AnchorFile(("a",), (64, 64), torch.ones(1, 3, 2)).save(tmp_path / "a.json")
    with pytest.raises(ValueError, match=r"a\.json has 3 anchors each"):
        find_anchors(TINY.with_options(anchors=str(tmp_path / "a.json")), Squares())
    AnchorFile(("red", "blue"), (32, 128), torch.ones(2, 3, 2) * 4).save(tmp_path / "b.json")
    assert find_anchors(TINY.with_options(anchors=str(tmp_path / "b.json")), Squares())[0, 0].tolist() == [2, 8]


def test_training_works_outside_the_main_thread():
    done = []
    thread = threading.Thread(
        target=lambda: done.append(train(replace(TINY, steps=1), Squares(), save=False, progress=False))
    )
    thread.start()
    thread.join()
    assert len(done) == 1


def test_two_processes_train_by_torchrun(tmp_path):
    """DDP with gloo on the CPU: one log, one model."""
    args = ["train", "--data", "scenes", "--image-size", "64", "64", "--batch-size", "4", "--anchors-per-class", "2"]
    args += ["--log-every", "1", "--device", "cpu", "--out", str(tmp_path / "run")]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}

    command = [*torchrun, "-m", "lapnet_core.cli", *args, "--steps", "3"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "each normalises its own share of a batch" in done.stderr
    header, *lines = map(json.loads, (tmp_path / "run" / "log.jsonl").read_text().splitlines())
    assert [line["step"] for line in lines] == [1, 2, 3]
    # The log is of both: the first step sees the same images, objects and untrained network as that of one process.
    config = replace(TrainConfig.from_json(json.dumps(header["config"])), steps=1, out="")
    (alone,) = train(config, save=False, progress=False).log
    for count in ("objects", "positives_loc", "rescued"):
        assert lines[0][count] == alone[count], count
    assert Detector.load(tmp_path / "run").class_names[0] == "person"


@pytest.mark.parametrize("frozen", [0, 2])
def test_depthwise_convolutions_with_a_stride_that_learn_are_float32_under_autocast(frozen):
    """On a processor their gradients in bfloat16 would take most of a step."""
    network = Backbone("tf_efficientnet_lite0", frozen=frozen).train()
    seen = {}
    for name, conv in network.encoder.named_modules():
        if isinstance(conv, torch.nn.Conv2d):
            conv.register_forward_hook(lambda conv, _, out, name=name: seen.update({name: (conv, out.dtype)}))
    images = torch.randn(2, 3, 64, 64)
    plain = network.eval()(images)
    copied = copy.deepcopy(network)
    assert all(torch.equal(a, b) for a, b in zip(copied(images), plain, strict=True))
    with torch.autocast("cpu", torch.bfloat16):
        half = network(images)
    held = [conv.groups > 1 and conv.weight.requires_grad and conv.stride != (1, 1) for conv, _ in seen.values()]
    assert [dtype for _, dtype in seen.values()] == [torch.float32 if x else torch.bfloat16 for x in held]
    assert any(held)
    for a, b in zip(plain, half, strict=True):
        assert (a - b).norm() < 0.05 * a.norm()
    sum(level.float().square().mean() for level in half).backward()
    by_half = [p.grad for p in network.parameters() if p.requires_grad]
    sum(level.square().mean() for level in copied(images)).backward()
    for grad, plain_grad in zip(by_half, (p.grad for p in copied.parameters() if p.requires_grad), strict=True):
        assert (grad - plain_grad).norm() <= 0.3 * plain_grad.norm() + 1e-6  # rounding; a wrong one is at 1 or more
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        network(images)
    assert {dtype for _, dtype in seen.values()} == {torch.bfloat16}


@settings(max_examples=30, deadline=None)
@given(
    images=st.integers(1, 3), channels=st.integers(1, 4), size=st.tuples(st.integers(5, 9), st.integers(5, 9)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)), data=st.data(),
)  # fmt: skip
def test_the_gradients_of_a_wide_depthwise_convolution_are_those_of_autograd(images, channels, size, kernel, data):
    padding = tuple(data.draw(st.integers(0, side - 1)) for side in kernel)
    draw = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    x = torch.randn(images, channels, *size, dtype=torch.float64, generator=draw).requires_grad_()
    weight = torch.randn(channels, 1, *kernel, dtype=torch.float64, generator=draw).requires_grad_()
    theirs = torch.nn.functional.conv2d(x, weight, padding=padding, groups=channels)
    ours = _WideDepthwise.apply(x, weight, padding)
    assert torch.equal(ours, theirs)
    back = torch.randn(theirs.shape, dtype=torch.float64, generator=draw)
    pairs = [torch.autograd.grad(out, (x, weight), back) for out in (ours, theirs)]
    for one, other in zip(*pairs, strict=True):
        torch.testing.assert_close(one, other)
