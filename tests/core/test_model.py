import functools
import http.server
import math
import threading
import warnings

import pytest
import timm
import torch

from lapnet_core import backbones
from lapnet_core.backbones import Backbone, packaged_weights
from lapnet_core.model import PRIOR, LapNet
from lapnet_core.processes import synchronised


@pytest.mark.parametrize("backbone", ["light", "darknet53", "inception_resnet_v2", "resnet18", "mobilenetv3_small_100"])
@pytest.mark.parametrize("size", [(64, 96), (128, 32)])
def test_shapes_for_every_backbone(backbone, size):
    model = LapNet(3, 4, backbone).eval()
    with torch.no_grad():
        scores, offsets = model(torch.randn(2, 3, *size))
    assert scores.shape == (2, 3, 4, size[0] // 8, size[1] // 8)
    assert offsets.shape == (2, 3, 4, 4, size[0] // 8, size[1] // 8)


@pytest.mark.parametrize("backbone", ["light", "darknet53", "inception_resnet_v2"])
def test_a_cell_looks_at_its_own_place(backbone):
    """The gradient of C3 at one cell is centred at the place that its anchors assume, to the half cell that every
    network with padded, strided 3x3 convolutions is off. All filters are averages, so that chance plays no part."""
    torch.manual_seed(0)
    encoder = Backbone(backbone).eval()
    for module in encoder.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.constant_(module.weight, 1 / module.weight[0].numel())
    images = torch.rand(1, 3, 256, 256).add(2.5).requires_grad_()  # positive after any normalisation
    encoder(images)[0][0, :, 16, 12].sum().backward()
    assert images.grad is not None
    energy, where = images.grad.sum((0, 1)), torch.arange(256) + 0.5
    assert (energy.sum(1) @ where / energy.sum()).item() == pytest.approx(16.5 * 8, abs=5)
    assert (energy.sum(0) @ where / energy.sum()).item() == pytest.approx(12.5 * 8, abs=5)


def test_scores_start_at_the_prior_and_boxes_at_the_anchors():
    torch.manual_seed(0)
    with torch.no_grad():
        scores, offsets = LapNet(3, 10).train()(torch.randn(2, 3, 64, 64))
    assert scores.sigmoid().mean().item() == pytest.approx(PRIOR, rel=0.2)
    assert offsets.abs().mean().item() < 0.2


def test_the_outputs_do_not_depend_on_the_mode():
    model = LapNet(2, 3)
    for mode in (True, False):
        out = model.train(mode)(torch.zeros(2, 3, 32, 32))
        assert [tuple(x.shape) for x in out] == [(2, 2, 3, 4, 4), (2, 2, 3, 4, 4, 4)]


def test_bad_sizes_and_names_are_said():
    with pytest.raises(ValueError, match="48x32; height and width have to be multiples of 32"):
        LapNet(2, 3)(torch.zeros(1, 3, 48, 32))
    with pytest.raises(ValueError, match=r'no backbone is called "darknet"; try light, .*darknet'):
        LapNet(2, 3, "darknet")
    with pytest.raises(ValueError, match="needs"):
        Backbone("vit_tiny_patch16_224")
    with pytest.raises(ValueError, match="no weights are published"):
        Backbone("light", "some.pth")


def test_inception_gets_the_mean_and_deviation_that_it_was_trained_with():
    encoder = Backbone("inception_resnet_v2")
    white = (torch.ones(3) - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    own = white.view(3, 1, 1) * encoder.scale + encoder.shift
    torch.testing.assert_close(own, torch.ones(3, 1, 1))  # (1 - .5) / .5
    images = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        got, expected = encoder.eval()(images)[0], encoder.encoder(images * encoder.scale + encoder.shift)[0]
        assert not torch.equal(got, encoder.encoder(images)[0])
    torch.testing.assert_close(got, expected)


@pytest.fixture
def server(tmp_path):
    """Files of tmp_path over HTTP on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path))
    ) as http_server:
        threading.Thread(target=http_server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http_server.server_address[1]}"
        http_server.shutdown()


def test_pretrained_weights_come_from_a_url_or_a_file(server, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    torch.manual_seed(1)
    source = timm.create_model("resnet18")
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    for where in (f"{server}/weights.pth", str(tmp_path / "weights.pth")):
        encoder = Backbone("resnet18", where).encoder
        torch.testing.assert_close(encoder.conv1.weight, source.conv1.weight)
        torch.testing.assert_close(encoder.layer4[1].conv2.weight, source.layer4[1].conv2.weight)
    with pytest.raises(Exception, match=r"404|missing\.pth"):
        Backbone("resnet18", f"{server}/missing.pth")


def test_imagenet_weights_that_cannot_be_had_are_a_notice_not_an_end(monkeypatch):
    def offline(name, *args, pretrained=False, **how):
        if pretrained:
            raise OSError("no route to the hub")
        return create(name, *args, **how)

    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.warns(UserWarning, match="trains from scratch: no route to the hub"):
        Backbone("resnet18", "imagenet")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Backbone("light", "imagenet")  # has none, and needs no notice


def test_the_prior_is_a_probability():
    bias = LapNet(2, 3).score_head[-1].bias
    assert torch.sigmoid(bias).tolist() == pytest.approx([PRIOR] * 6)
    assert math.isclose(PRIOR, 0.01)


def test_weights_that_do_not_fit_are_told(tmp_path):
    """Under other names timm passes over them without a word: an error. Some of them: counted and said."""
    state, file = timm.create_model("resnet18").state_dict(), tmp_path / "w.pth"
    for foreign in ({f"foo.{key}": value for key, value in state.items()}, {"x": torch.zeros(1)}):
        torch.save(foreign, file)
        with pytest.raises(ValueError, match=r"w\.pth: 0 of the 20 convolutions are in it, so"):
            Backbone("resnet18", str(file))
    torch.save({key: value for key, value in state.items() if not key.startswith("layer4")}, file)
    with pytest.warns(UserWarning, match=r"w\.pth: 15 of the 20 convolutions are in it; not: layer4"):
        backbone = Backbone("resnet18", str(file))
    assert torch.equal(backbone.encoder.state_dict()["conv1.weight"], state["conv1.weight"])
    for content in (b"", b"nonsense", b"PK\x03\x04"):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"w\.pth: these weights cannot be loaded"):
            Backbone("resnet18", str(file))
    with pytest.raises(ValueError, match=r"none\.pth: these weights cannot be loaded"):
        Backbone("resnet18", str(tmp_path / "none.pth"))


@pytest.mark.parametrize("name", ["light", "resnet18", "tf_efficientnet_lite0"])
def test_frozen_stages_do_not_learn_and_their_normalisation_stays(name):
    backbone = Backbone(name, frozen=2).train()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in backbone.parameters() if p.requires_grad], lr=0.1)
    sum(level.square().mean() for level in backbone(torch.randn(2, 3, 64, 64))).backward()
    optimizer.step()
    changed = {key for key, value in backbone.state_dict().items() if not torch.equal(value, before[key])}
    frozen = {f"encoder.{n}" for n, p in backbone.encoder.named_parameters() if not p.requires_grad}
    assert frozen
    assert not changed & frozen
    learning = [n for n, p in backbone.named_parameters() if p.requires_grad]
    assert set(learning) & changed
    normalisation = {k for k in changed if "running" in k}
    assert normalisation
    frozen_parts = {n.rsplit(".", 1)[0] for n in frozen}
    assert not {k for k in normalisation if k.rsplit(".", 1)[0] in frozen_parts}


@pytest.mark.parametrize("name", ["light", "tf_efficientnet_lite0", "darknet53"])
def test_synchronised_normalisation_is_the_same_network(name):
    """timm's layers of BatchNorm have the activation in them, which torch's own conversion would drop."""
    backbone = Backbone(name, frozen=2 if name == "tf_efficientnet_lite0" else 0).eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = backbone(images)
        keys, converted = list(backbone.state_dict()), synchronised(backbone)
        for one, other in zip(before, converted(images), strict=True):
            assert torch.equal(one, other)
    assert list(converted.state_dict()) == keys
    norms = [module for module in converted.modules() if isinstance(module, torch.nn.SyncBatchNorm)]
    assert norms
    converted.train()
    assert all(norm.training == norm.weight.requires_grad for norm in norms)


@pytest.mark.parametrize("name", ["light", "hrnet_w18_small"])
def test_what_no_map_depends_on_does_not_learn_under_ddp(name):
    backbone = Backbone(name)
    backbone.freeze_unused((64, 64))
    sum(level.square().sum() for level in backbone.train()(torch.rand(2, 3, 64, 64))).backward()
    idle = {name for name, parameter in backbone.named_parameters() if parameter.grad is None}
    assert idle == {name for name, parameter in backbone.named_parameters() if not parameter.requires_grad}
    assert bool(idle) == (name != "light")


def test_what_has_no_such_stages_is_not_frozen():
    with pytest.raises(ValueError, match="6 stages end at stride 64"):
        Backbone("light", frozen=6)


def test_the_package_s_weights_are_taken_without_a_network(monkeypatch):
    """Its tensors in timm's order: the encoder's first convolution is the file's first tensor."""
    file = packaged_weights("tf_efficientnet_lite0")
    assert file is not None, "`make env` installs the extra `pretrained`"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    theirs = torch.load(file, weights_only=True)
    encoder = Backbone("tf_efficientnet_lite0", "imagenet").encoder
    assert torch.equal(encoder.conv_stem.weight, theirs["_conv_stem.weight"])
    assert torch.equal(encoder.blocks[1][0].bn2.running_var, theirs["_blocks.1._bn1.running_var"])
    assert encoder.conv_stem.weight.std() > 0.2  # trained: timm's own start is narrower


def test_a_package_with_other_tensors_is_refused(monkeypatch, tmp_path):
    torch.save({"a": torch.zeros(2)}, tmp_path / "other.pth")
    monkeypatch.setattr(backbones, "packaged_weights", lambda name: tmp_path / "other.pth")
    with pytest.raises(ValueError, match="its tensors are not those of tf_efficientnet_lite0"):
        Backbone("tf_efficientnet_lite0", "imagenet")
    (tmp_path / "other.pth").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="install its package again"):
        Backbone("tf_efficientnet_lite0", "imagenet")


def test_attention_of_another_size_is_told():
    """timm builds it for 224 px; what torch says of its tensors names neither."""
    with pytest.raises(ValueError, match=r"efficientformer_l1 does not take images of 64x96 .*: take another backbone"):
        Backbone("efficientformer_l1").eval()(torch.zeros(1, 3, 64, 96))
