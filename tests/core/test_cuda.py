"""A GPU: the same numbers as on the CPU, trainings that go on, and its own fast forms. Runs where there is one."""

import pytest
import torch

from lapnet_core.assign import assign
from lapnet_core.config import laptop_scenes
from lapnet_core.data import eval_transform
from lapnet_core.deploy.fast import GRAPH, HALF, ON_CUDA, PLAIN, as_form, differences, fastest, folded
from lapnet_core.detector import Detector
from lapnet_core.losses import LapNetLoss
from lapnet_core.peers import METHODS
from lapnet_core.predict import detect
from lapnet_core.scenes import Scenes
from lapnet_core.train import train

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


def batch(device):
    generator = torch.Generator().manual_seed(0)
    shapes = torch.rand(5, 4, 2, generator=generator) * 100 + 8
    corner = torch.rand(40, 2, generator=generator) * 100
    boxes = torch.cat((corner, corner + torch.rand(40, 2, generator=generator) * 50 + 1), 1)
    boxes[20] = boxes[3]  # one rescue at least
    labels, images = torch.randint(0, 5, (40,), generator=generator), torch.arange(40) // 10
    labels[20], images[20] = labels[3], images[3]
    scores = torch.randn(4, 5, 4, 16, 16, generator=generator)
    offsets = torch.randn(4, 5, 4, 4, 16, 16, generator=generator) * 0.3
    return [x.to(device) for x in (shapes, boxes, labels, images, scores, offsets)]


def results(device):
    shapes, boxes, labels, images, scores, offsets = batch(device)
    assignment = assign(shapes, (16, 16), boxes, labels, images, 4)
    targets = [
        {
            "boxes": boxes[images == b],
            "labels": labels[images == b],
            "difficult": torch.zeros(int((images == b).sum()), dtype=torch.bool, device=device),
            "image_id": b,
            "original_size": (128, 128),
        }
        for b in range(4)
    ]
    scores.requires_grad_()
    terms = LapNetLoss(5, 4).to(device)(scores, offsets, shapes, targets)
    terms.total.backward()
    found = detect(scores.detach(), offsets, shapes)
    return [
        assignment.overlap,
        assignment.object_index,
        terms.total,
        scores.grad,
        found[0]["boxes"],
        found[0]["scores"],
    ]


def test_cuda_gives_the_numbers_of_the_cpu():
    for cpu, cuda in zip(results("cpu"), results("cuda"), strict=True):
        torch.testing.assert_close(cuda.cpu(), cpu, rtol=1e-4, atol=1e-5)


def small(method, **options):
    """A training of seconds."""
    return laptop_scenes().with_options(
        method=method, image_size=(96, 96), steps=6, batch_size=4, log_every=1, val_every=3, save_every=3, workers=0,
        **options,
    )  # fmt: skip


def scenes(split="train"):
    return Scenes(16, size=(96, 96), split=split, keep=True)


def photographs(count):
    """As a network takes them."""
    return torch.stack([eval_transform((96, 96))(*scenes("test")[k])[0] for k in range(count)])


@pytest.mark.parametrize("amp", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_a_training_with_validation_average_and_bfloat16(method, amp, tmp_path):
    config = small(method, amp=amp, ema=0.9, device="cuda", out=str(tmp_path / "run"))
    done = train(config, scenes(), val_dataset=scenes("val"), progress=False)
    assert done.detector.device.type == "cuda"
    assert [line["step"] for line in done.log if "total" in line] == [1, 2, 3, 4, 5, 6]
    assert [line["step"] for line in done.log if "val_map" in line] == [3, 6]
    images = photographs(2)
    loaded = Detector.load(tmp_path / "run" / "model.safetensors")  # on the CPU
    there, here = done.detector.detect_images(images), loaded.detect_images(images)
    for one, other in zip(there, here, strict=True):
        assert one["scores"][:5].cpu().tolist() == pytest.approx(other["scores"][:5].tolist(), abs=0.01)


@pytest.mark.parametrize("method", METHODS)
def test_a_training_that_stopped_goes_on_as_if_it_had_not(method, tmp_path):
    def end(name, stop):
        config = small(method, device="cuda", out=str(tmp_path / name))

        def halt(step, _):
            if step == stop:
                raise KeyboardInterrupt

        if stop:
            with pytest.raises(KeyboardInterrupt):
                train(config, scenes(), val_dataset=scenes("val"), progress=False, on_step=halt)
        return train(config, scenes(), val_dataset=scenes("val"), progress=False, resume=bool(stop)).log[-2]

    whole, parts = end("whole", 0), end("parts", 4)
    assert whole["step"] == parts["step"] == 6
    assert parts["total"] == pytest.approx(whole["total"], rel=0.05)  # kernels of CUDA add in any order


@pytest.fixture(scope="module")
def trained():
    config = small("lapnet", device="cuda").with_options(steps=60, val_every=0, lr=0.1)
    images = photographs(3)
    return train(config, scenes(), progress=False, save=False).detector, images


@pytest.mark.parametrize("form", ON_CUDA)
@pytest.mark.parametrize("method", METHODS)
def test_a_graph_finds_the_same_whatever_came_before(method, form):
    config = small(method, device="cuda").with_options(val_every=0)
    detector = train(config, scenes(), progress=False, save=False).detector
    made = as_form(form, folded(detector.method))
    images = photographs(3).cuda()
    atol = 0.05 if HALF in form else 1e-3
    kept = []
    for batch in (images[:1], images, images[1:2], images[:1]):
        for one, other in zip(made.detect(batch), detector.method.detect(batch), strict=True):
            assert one["scores"][:5].tolist() == pytest.approx(other["scores"][:5].tolist(), abs=atol)
        kept.append(made.detect(batch)[0]["scores"].clone())
    assert torch.equal(kept[0], kept[3])


def test_the_fastest_form_on_a_gpu_is_a_graph(trained):
    detector, images = trained
    made = fastest(detector, images[:1], seconds=0.5)
    assert {one.form for one in made.tried} >= {PLAIN, *ON_CUDA}
    assert GRAPH in made.form
    assert differences("", detector.detect_images(images[:1]), made.detect_images(images[:1])).same > 0.9
