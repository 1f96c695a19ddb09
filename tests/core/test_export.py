"""An exported detector is the detector: the same detections, from a file that is data. And files that are not ours."""

import io
import json
import math
import os
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import lapnet_core
from lapnet_core.bench import export as bench
from lapnet_core.cli import main
from lapnet_core.data.transforms import denormalize
from lapnet_core.deploy import export
from lapnet_core.deploy.exported import KEY, load_package
from lapnet_core.detector import Detector
from lapnet_core.peers import METHODS, method_class
from lapnet_core.predict import suppress
from lapnet_core.scenes import Scenes

SCENES = Path(lapnet_core.__file__).parent / "assets" / "models" / "scenes.safetensors"
SCORE, PIXELS = 1e-5, 1e-2
"""By how much detections may differ: measured 7e-7 and 4e-5 px on the shipped detector, whose scores go up to 1."""
SMALL = {"num_classes": 2, "per_class": 1, "backbone": "light", "widths": [16, 8, 16]}
slow = pytest.mark.slow


@pytest.fixture(scope="module")
def detector():
    return Detector.load(SCENES)


@pytest.fixture(scope="module")
def files(detector, tmp_path_factory):
    """The shipped detector as ONNX: whole, as the command writes it, raw, and with halved weights."""
    folder = tmp_path_factory.mktemp("exported")
    (folder / "taken.onnx").write_text("mine")
    with redirect_stdout(io.StringIO()) as told:
        assert main(["export", str(SCENES), "--out", str(folder / "taken.onnx")]) == 0
    (folder / "told.txt").write_text(told.getvalue())
    (folder / "taken-2.onnx").rename(folder / "whole.onnx")
    (folder / "raw.onnx").write_bytes(export.to_onnx(detector, raw=True))
    model = onnx.load(folder / "whole.onnx")
    export._halve(onnx, model.graph)
    onnx.checker.check_model(model, full_check=True)
    (folder / "half.onnx").write_bytes(model.SerializeToString())
    return folder


def as_images(kind, seed, size=(192, 192)):
    """uint8 (3, height, width), of many kinds."""
    generator = torch.Generator().manual_seed(seed)
    if kind == "noise":
        return torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8)
    if kind == "plain":
        return torch.randint(0, 256, (3, 1, 1), generator=generator, dtype=torch.uint8).expand(3, *size).contiguous()
    if kind == "smooth":
        coarse = torch.rand(1, 3, 4, 4, generator=generator)
        return (torch.nn.functional.interpolate(coarse, size, mode="bilinear")[0] * 255).to(torch.uint8)
    return Scenes(seed + 1, size=size, split="test")[seed][0]


def unmatched(found, other):
    """How many detections have no partner among the others: same class, and score and box within the tolerance."""
    same = found["labels"][:, None] == other["labels"]
    same &= (found["scores"][:, None] - other["scores"]).abs() <= SCORE
    return int((~(same & ((found["boxes"][:, None] - other["boxes"]).abs().amax(-1) <= PIXELS)).any(1)).sum())


def assert_same(found, other):
    """All have partners, but for one in fifty where there are many: a score or an IoU that lies on the threshold to the
    last digit may fall to either side of it."""
    allowed = max(len(found["scores"]), len(other["scores"])) // 50
    assert unmatched(found, other) <= allowed
    assert unmatched(other, found) <= allowed
    # Logits are in order; of two that are nearly equal, onnxruntime's sigmoid may round the better one down.
    assert bool((other["scores"].diff() <= 1e-6).all())
    assert [x.dtype for x in other.values()] == [torch.float32, torch.float32, torch.int64]


options = st.fixed_dictionaries(
    {},
    optional={
        "score_threshold": st.sampled_from([0.0, 0.0001, 0.01, 0.3, 0.9, 1.0]),
        "nms_iou": st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]),
        "candidates": st.sampled_from([1, 50, 1000, 4000]),
        "max_detections": st.sampled_from([1, 10, 100, 5000]),
    },
)


@slow
@settings(max_examples=25)
@given(
    kinds=st.lists(st.sampled_from(["noise", "plain", "smooth", "scene"]), min_size=1, max_size=3),
    seed=st.integers(0, 200), chosen=options, form=st.sampled_from(["whole", "raw"]),
)  # fmt: skip
def test_onnxruntime_gives_the_same_detections(kinds, seed, chosen, form, detector, files):
    exported = Detector.load(files / f"{form}.onnx")
    batch = torch.cat([detector.prepare(as_images(kind, seed + k)) for k, kind in enumerate(kinds)])
    expected = detector.detect_images(batch, **chosen)
    found = exported.detect_images(batch, **chosen)
    assert len(found) == len(expected) == len(kinds)
    for a, b in zip(expected, found, strict=True):
        assert_same(a, b)


@slow
def test_it_is_a_detector_as_any(detector, files, tmp_path):
    """An image of any size, a file, a data set; also where nothing is found."""
    exported = Detector.load(files / "whole.onnx")
    assert (exported.class_names, exported.image_size) == (detector.class_names, detector.image_size)
    assert exported.method.about() == detector.method.about()
    assert exported.device == torch.device("cpu")
    Image.fromarray(as_images("scene", 3, (240, 400)).permute(1, 2, 0).numpy()).save(tmp_path / "a.png")
    for chosen in ({}, {"score_threshold": 0.3}):
        (_, a), (_, b) = (one.predict_file(tmp_path / "a.png", **chosen) for one in (detector, exported))
        assert len(a["scores"]) > 2
        assert_same(a, b)
    nothing = exported.predict(Image.open(tmp_path / "a.png"), score_threshold=1.0)
    assert [tuple(x.shape) for x in nothing.values()] == [(0, 4), (0,), (0,)]
    data = Scenes(3, size=(192, 192), split="test")
    each = (one.predict_dataset(data, batch_size=2, progress=False)[0] for one in (detector, exported))
    for a, b in zip(*each, strict=True):
        assert_same(a, b)
    assert exported.detect_images(torch.zeros(0, 3, 192, 192)) == []


@slow
def test_half_the_size_and_hardly_another_detection(detector, files):
    sizes = {name: (files / f"{name}.onnx").stat().st_size for name in ("whole", "raw", "half")}
    assert sizes["whole"] < 6e6  # the light model, all of it
    assert sizes["half"] < 0.52 * sizes["whole"]
    image = as_images("scene", 5)
    whole, half = (Detector.load(files / f"{n}.onnx").predict(image, score_threshold=0.35) for n in ("whole", "half"))
    assert len(whole["scores"]) > 3
    assert torch.equal(whole["labels"], half["labels"])
    torch.testing.assert_close(whole["scores"], half["scores"], atol=2e-3, rtol=0)
    torch.testing.assert_close(whole["boxes"], half["boxes"], atol=0.2, rtol=0)


@slow
@pytest.mark.parametrize("name", ["whole", "raw"])
def test_the_file_tells_what_it_is(name, detector, files):
    """All that another program needs, and nothing of the machine that wrote it."""
    content = (files / f"{name}.onnx").read_bytes()
    for own in (str(Path.cwd()), "site-packages", ".py", "stack_trace"):
        assert own.encode() not in content
    session = onnxruntime.InferenceSession(content)
    told = json.loads(session.get_modelmeta().custom_metadata_map[KEY])
    assert tuple(told["class_names"]) == detector.class_names
    assert told["image_size"] == [192, 192]
    assert told["method"] == "lapnet"
    assert told["version"] == lapnet_core.__version__
    assert torch.equal(torch.tensor(told["anchors"]), detector.method.shapes)
    assert told["options"] == {"score_threshold": 0.001, "nms_iou": 0.5, "candidates": 4000, "max_detections": 300}
    pixels = torch.stack([as_images("scene", k) for k in range(3)]).numpy()
    outputs = dict(zip([o.name for o in session.get_outputs()], session.run(None, {"images": pixels}), strict=True))
    if name == "raw":
        assert {key: x.shape for key, x in outputs.items()} == {
            "boxes": (3, 4000, 4), "scores": (3, 4000), "labels": (3, 4000),
        }  # fmt: skip
    else:
        assert set(outputs) == {"boxes", "scores", "labels", "image_index"}
        assert sorted(outputs["image_index"]) == list(outputs["image_index"])
        assert set(outputs["image_index"]) == {0, 1, 2}
        (few,) = session.run(["scores"], {"images": pixels, "max_detections": np.array([2])})
        assert len(few) == 6
        assert {x.name for x in session.get_overridable_initializers()} >= set(told["options"])
    boxes = outputs["boxes"]
    assert boxes.min() >= 0
    assert boxes.max() <= 192


@slow
@pytest.mark.parametrize("name", ["whole", "raw"])
def test_wrong_options_and_damage_are_told(name, detector, files, tmp_path):
    exported = Detector.load(files / f"{name}.onnx")
    image = as_images("scene", 1)
    for wrong, why in (
        ({"candidates": 4001}, "candidates: .* gives the best 4000"),
        ({"score_threshold": -0.1}, "score_threshold"),
        ({"nms_iou": math.nan}, "nms_iou"),
        ({"max_detections": 0}, "max_detections"),
    ):
        with pytest.raises(ValueError, match=why):
            exported.predict(image, **wrong)
    with pytest.raises(TypeError, match="colour"):
        exported.predict(image, colour=1)
    with pytest.raises(ValueError, match="copy the file"):
        exported.save(tmp_path / "again.safetensors")
    with pytest.raises(ValueError, match="no loss"):
        exported.method.loss(torch.zeros(1, 3, 192, 192), [])
    with pytest.raises(ValueError, match="exported already"):
        export.to_onnx(exported)
    model = onnx.load(files / f"{name}.onnx")
    place, weight = next((n, x) for n, x in enumerate(model.graph.initializer) if len(x.dims) == 4)
    values = numpy_helper.to_array(weight)
    for value, why in ((math.nan, "is not finite"), (1e38, "not finite: the model is damaged")):
        model.graph.initializer[place].CopyFrom(numpy_helper.from_array(np.full_like(values, value), weight.name))
        (tmp_path / "damaged.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(ValueError, match=why):
            Detector.load(tmp_path / "damaged.onnx").predict(image)


@slow
def test_yolov3_and_another_size(tmp_path):
    """The other method that can be exported, of another form; and a size that it was not trained at."""
    torch.manual_seed(0)
    method = method_class("yolov3").restore({"num_classes": 3, "backbone": "light", "width": 16})
    method.shapes.copy_(torch.linspace(6, 90, 9)[:, None].expand(9, 2))
    for head in method.heads:  # so that it finds something
        head[-1].weight.data *= 30
    trained = Detector(method.eval(), ("a", "b", "c"), (64, 64))
    detector = replace(trained, image_size=(64, 96))
    (tmp_path / "yolo.onnx").write_bytes(export.to_onnx(detector))
    exported = Detector.load(tmp_path / "yolo.onnx")
    assert exported.image_size == (64, 96)
    for k, kind in enumerate(("noise", "smooth", "plain")):
        image = as_images(kind, k, (64, 96))
        for chosen in ({}, {"score_threshold": 0.0, "candidates": 1000}, {"score_threshold": 0.3, "nms_iou": 0.2}):
            found = detector.predict(image, **chosen)
            assert_same(found, exported.predict(image, **chosen))
            assert len(found["scores"]) > 5 or chosen


def test_methods_that_cannot_be_exported_say_so():
    for name in set(METHODS) - set(export.CANDIDATES):
        method = method_class(name).restore({"num_classes": 2, "backbone": "light", "width": 32})
        for write in (export.to_onnx, export.to_torchscript):
            with pytest.raises(ValueError, match=f"{name} cannot be exported.*lapnet and yolov3 can"):
                write(Detector(method, ("a", "b"), (64, 64)))


@slow
@pytest.mark.filterwarnings(r"ignore:`torch\.jit\.")
def test_torchscript(detector, tmp_path):
    """The same detections, in whole and raw; options that act; names and anchors; and no `Detector` reads it."""
    content, raw = export.to_torchscript(detector), export.to_torchscript(detector, raw=True)
    assert str(Path.cwd()).encode() not in content
    extra = {KEY: ""}
    whole = torch.jit.load(io.BytesIO(content), _extra_files=extra)
    told = json.loads(extra[KEY])
    assert tuple(told["class_names"]) == detector.class_names
    assert torch.equal(torch.tensor(told["anchors"]), detector.method.shapes)
    pixels = torch.stack([as_images(kind, 7) for kind in ("scene", "noise", "plain")])
    for count in (1, 3):
        batch = torch.cat([detector.prepare(image) for image in pixels[:count]])
        for chosen in ((), (0.3,), (0.01, 0.2, 7), (1.0,)):
            boxes, scores, labels, image_index = whole(pixels[:count], *chosen)
            names = ("score_threshold", "nms_iou", "max_detections")
            expected = detector.detect_images(batch, **dict(zip(names, chosen, strict=False)))
            for n, one in enumerate(expected):
                own = image_index == n
                assert_same(one, {"boxes": boxes[own], "scores": scores[own], "labels": labels[own]})
    boxes, scores, labels = torch.jit.load(io.BytesIO(raw))(pixels)
    assert (boxes.shape, scores.shape, labels.shape) == ((3, 4000, 4), (3, 4000), (3, 4000))
    for name in ("model.torchscript", "model.pt", "model.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name} .*could run a program.*lapnet reads"):
            Detector.load(tmp_path / name)


@slow
def test_the_commands(files, tmp_path, monkeypatch):
    """export, then predict and evaluate with what it wrote. Nothing is replaced."""
    assert (files / "taken.onnx").read_text() == "mine"
    told = (files / "told.txt").read_text()
    taken = files / "taken.onnx"
    assert told.startswith(f"wrote {taken.with_stem('taken-2')}, as {taken} is taken, 5.5 MB: 192x192 px, person, car")
    assert f"next: lapnet predict {taken.with_stem('taken-2')} IMAGES" in told
    monkeypatch.chdir(tmp_path)
    for n in range(2):
        Image.fromarray(as_images("scene", n, (192, 256)).permute(1, 2, 0).numpy()).save(f"{n}.png")
    found = []
    for model in (SCENES, files / "whole.onnx"):
        out = tmp_path / f"of_{model.stem}"
        assert main(["predict", str(model), "0.png", "1.png", "--out", str(out), "--device", "cpu"]) == 0
        found.append(json.loads((out / "detections.json").read_text()))
    assert len(found[0]) > 5
    assert [one["class"] for one in found[0]] == [one["class"] for one in found[1]]
    for a, b in zip(*found, strict=True):
        assert a["box_xyxy"] == pytest.approx(b["box_xyxy"], abs=0.02)
        assert a["score"] == pytest.approx(b["score"], abs=1e-3)
    few = Scenes(6, size=(192, 192), split="val")
    monkeypatch.setattr("lapnet_core.data.named.open_dataset", lambda *_, **__: few)
    figures = []
    for model in (SCENES, files / "whole.onnx"):
        out = tmp_path / f"{model.stem}.json"
        assert (
            main(["evaluate", str(model), "--data", "scenes", "--split", "val", "--device", "cpu", "--json", str(out)])
            == 0
        )
        figures.append(json.loads(out.read_text())["voc_area"])
    assert figures[0] > 0.1
    assert figures[0] == pytest.approx(figures[1], abs=0.005)


@slow
def test_the_benchmark_compares_what_is_the_same(files, monkeypatch):
    monkeypatch.setattr(bench, "to_onnx", lambda _: (files / "whole.onnx").read_bytes())
    lines = list(bench.lines(quick=True))
    assert [line.what for line in lines] == [f"onnxruntime, light, 192 px, scores above {x}" for x in (0.3, 0.001)]
    for line in lines:
        ours, other = line.ours(), line.other()
        assert_same(other, ours)
        with pytest.raises(ValueError, match="disagree"):
            bench.check_same(ours, {**other, "scores": other["scores"] * 0.99})
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModuleNotFoundError) as told:
        next(bench.lines(quick=True))
    assert told.value.name == "onnxruntime"  # by which `lapnet bench` leaves the part out


@slow
def test_onnxruntime_tells_its_maker_nothing(files, tmp_path):
    """What it has to tell waits in a database in the home folder, beside a number that it gives the machine."""
    said = ("CI", "XDG_CACHE_HOME", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS")
    env = {name: value for name, value in os.environ.items() if name not in said} | {"HOME": str(tmp_path)}
    code = "import sys; from lapnet_core.detector import Detector; Detector.load(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(files / "whole.onnx")], env=env, check=True)
    assert not list(tmp_path.rglob("*onnxruntime*"))


def test_mistakes_in_the_flags_are_told(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for flags, why in (
        (["--out", "model.bin"], "must end in .onnx"),
        (["--format", "torchscript", "--out", "model.onnx"], "of TorchScript must not end in .onnx"),
        (["--format", "torchscript", "--half"], "--half is for --format onnx"),
        (["--image-size", "100", "100"], "multiples of 32"),
    ):
        assert main(["export", str(SCENES), *flags]) == 1
        assert why in capsys.readouterr().err
    assert main(["export", "nowhere.safetensors"]) == 1
    assert "nowhere.safetensors does not exist" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_file_has_the_models_name_and_lies_here(tmp_path, capsys, monkeypatch):
    """That of the run folder, where it is one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(export, "to_onnx", lambda *_: b"onnx")
    monkeypatch.setattr(export, "to_torchscript", lambda *_: b"script")
    (tmp_path / "run.v2").mkdir()
    (tmp_path / "run.v2" / "model.safetensors").write_bytes(SCENES.read_bytes())
    assert main(["export", "run.v2"]) == 0
    assert main(["export", str(SCENES), "--format", "torchscript"]) == 0
    assert 'next: import torch, torchvision; model = torch.jit.load("scenes.torchscript")' in capsys.readouterr().out
    assert (tmp_path / "run.v2.onnx").read_bytes() == b"onnx"
    assert (tmp_path / "scenes.torchscript").read_bytes() == b"script"


def test_without_its_packages_a_sentence_helps(detector, tmp_path, monkeypatch):
    for name in ("onnx", "onnxruntime", "onnxscript"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            with pytest.raises(ValueError, match=rf"needs {name} .*pip install 'lapnet-core\[export\]'"):
                load_package(name)
            if name != "onnxruntime":
                with pytest.raises(ValueError, match=r"lapnet-core\[export\]"):
                    export.to_onnx(detector)
            if name != "onnxscript":  # for which nothing is read
                (tmp_path / "a.onnx").write_bytes(made().SerializeToString())
                with pytest.raises(ValueError, match=r"a\.onnx.*lapnet-core\[export\]"):
                    Detector.load(tmp_path / "a.onnx")


def candidates(seed, batch, count):
    """Boxes (B, K, 4) that crowd, with coordinates of which each IoU is exact, some without an area; scores (B, K),
    best first and many equal; labels (B, K); as `Candidates` gives them."""
    generator = torch.Generator().manual_seed(seed)

    def whole(most, *shape):
        return torch.randint(0, most, (batch, count, *shape), generator=generator)

    corner, side = whole(12, 2) / 4, whole(16, 2) / 4
    scores = (whole(9) / 8).sort(1, descending=True).values
    return torch.cat((corner, corner + side), -1), scores * (side > 0).all(-1), whole(3)


@pytest.fixture(scope="module")
def suppression():
    graph = onnx.parser.parse_graph(export.SUPPRESSION)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(model.SerializeToString())


@settings(max_examples=100)
@given(
    seed=st.integers(0, 2**32 - 1), batch=st.integers(1, 3), count=st.integers(1, 24),
    threshold=st.sampled_from([0.0, 0.125, 0.3, 1.0]), iou=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    considered=st.integers(1, 30), most=st.integers(1, 12),
)  # fmt: skip
def test_suppression_is_ours(suppression, seed, batch, count, threshold, iou, considered, most):
    """ONNX's graph and `predict.suppress` keep the same, to the last digit, ties and all."""
    boxes, scores, labels = candidates(seed, batch, count)
    given_ = {"all_boxes": boxes, "all_scores": scores, "all_labels": labels, "classes": torch.arange(3)[:, None]}
    given_ |= {"score_threshold": torch.tensor([threshold]), "nms_iou": torch.tensor([iou])}
    given_ |= {"candidates": torch.tensor([considered]), "max_detections": torch.tensor([most])}
    outputs = suppression.run(None, {name: value.numpy() for name, value in given_.items()})
    *found, image_index = map(torch.from_numpy, outputs)
    assert torch.equal(image_index, image_index.sort().values)
    for n in range(len(boxes)):
        passing = scores[n, :considered] > threshold
        own = (x[n, :considered][passing] for x in (boxes, scores, labels))
        expected = suppress(*own, (1000, 1000), iou, most)
        for name, value in zip(("boxes", "scores", "labels"), found, strict=True):
            assert torch.equal(expected[name], value[image_index == n])


def test_candidates_are_fewer_where_there_are_no_more():
    """topk of more than there is; and each class's best anchors of all, whatever the batch."""
    torch.manual_seed(0)
    method = method_class("lapnet").restore(SMALL)
    method.shapes.fill_(20)
    graph = export.candidates_of(Detector(method, ("a", "b"), (32, 64)))
    boxes, scores, labels = graph(torch.zeros(3, 3, 32, 64, dtype=torch.uint8))
    assert (boxes.shape, scores.shape) == ((3, 64, 4), (3, 64))
    assert sorted(labels[1].tolist()) == [0] * 32 + [1] * 32
    assert next(iter(method.parameters())).requires_grad  # the detector's own stay as they were


ABOUT = {
    "version": "0", "method": "lapnet", "about": {"num_classes": 2}, "class_names": ["a", "b"], "image_size": [32, 64],
    "raw": False, "anchors": [],
    "options": {"score_threshold": 0.001, "nms_iou": 0.5, "candidates": 10, "max_detections": 10},
}  # fmt: skip
OUTPUTS = {
    "boxes": np.array([[1, 2, 11, 12], [0, 0, 5, 5]], np.float32), "scores": np.array([0.9, 0.5], np.float32),
    "labels": np.array([0, 1]), "image_index": np.array([0, 0]),
}  # fmt: skip


def made(about=ABOUT, outputs=OUTPUTS, images=(TensorProto.UINT8, ["batch", 3, 32, 64]), more=()):
    """A model that says the same of every image, as no network is needed where a reader is tested."""
    nodes = [helper.make_node("Constant", [], [name], value=numpy_helper.from_array(x)) for name, x in outputs.items()]
    kinds = {name: helper.np_dtype_to_tensor_dtype(x.dtype) for name, x in outputs.items()}
    results = [helper.make_tensor_value_info(name, kinds[name], x.shape) for name, x in outputs.items()]
    single, whole = np.array([0.5], np.float32), np.array([5])
    each = {"score_threshold": single, "nms_iou": single, "candidates": whole, "max_detections": whole}
    flags = [numpy_helper.from_array(value, name) for name, value in each.items()]
    inputs = [helper.make_tensor_value_info("images", *images)]
    inputs += [helper.make_tensor_value_info(flag.name, flag.data_type, [1]) for flag in flags]
    graph = helper.make_graph([*nodes, *more], "made", inputs, results, flags)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, {KEY: about if isinstance(about, str) else json.dumps(about)})
    return model


def read(folder, model):
    (folder / "m.onnx").write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return Detector.load(folder / "m.onnx")


def test_a_made_one_is_read(tmp_path):
    """And onnxruntime is handed the graph alone, no settings that its metadata might hold."""
    detector = read(tmp_path, made())
    assert detector.predict(torch.zeros(3, 32, 64, dtype=torch.uint8))["labels"].tolist() == [0, 1]
    assert detector.method.session.get_modelmeta().custom_metadata_map == {}


BAD_ABOUT = {
    "none": "", "no JSON": "{", "a list": "[]", "deep": "[" * 100_000, "a number": "3", "null": "null",
    **{f"no {key}": {k: v for k, v in ABOUT.items() if k != key}
       for key in ("about", "class_names", "image_size", "raw", "options")},
    "one name": {**ABOUT, "class_names": ["a"]}, "three names": {**ABOUT, "class_names": ["a", "b", "c"]},
    "names alike": {**ABOUT, "class_names": ["a", "a"]}, "numbers": {**ABOUT, "class_names": [1, 2]},
    "escape": {**ABOUT, "class_names": ["a", "\x1b[2J"]}, "names text": {**ABOUT, "class_names": "ab"},
    "size": {**ABOUT, "image_size": [33, 64]}, "sizes": {**ABOUT, "image_size": [32, 64, 3]},
    "size 0": {**ABOUT, "image_size": [0, 64]}, "size text": {**ABOUT, "image_size": ["32", 64]},
    "huge": {**ABOUT, "image_size": [32 * 10**9, 64]}, "other": {**ABOUT, "image_size": [64, 64]},
    "raw": {**ABOUT, "raw": 1}, "raw that is not": {**ABOUT, "raw": True},
    "classes": {**ABOUT, "about": {"num_classes": -1}}, "no classes": {**ABOUT, "about": {}},
    "options": {**ABOUT, "options": {}}, "threshold": {**ABOUT, "options": {**ABOUT["options"], "nms_iou": 2}},
    "option text": {**ABOUT, "options": {**ABOUT["options"], "candidates": "9"}},
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_ABOUT)
def test_metadata_that_cannot_be(name, tmp_path):
    with pytest.raises(ValueError, match=r"m\.onnx"):
        read(tmp_path, made(BAD_ABOUT[name])).predict(torch.zeros(3, 32, 64, dtype=torch.uint8))


def outside(tmp_path):
    """A tensor that lies in a file of somebody else's."""
    (tmp_path / "secret").write_bytes(bytes(16))
    tensor = TensorProto(name="far", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="secret")
    return tensor


def hostile(tmp_path):
    """Files that reach for more than they should, and why each is refused."""
    model = made()
    model.graph.initializer.append(outside(tmp_path))
    yield model, "another file"
    yield made(more=[helper.make_node("Constant", [], ["far"], value=outside(tmp_path))]), "another file"
    model = made()
    sparse = model.graph.sparse_initializer.add(dims=[4])
    sparse.values.CopyFrom(outside(tmp_path))
    yield model, "another file"
    body = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "body", [], [])
    yield made(more=[helper.make_node("If", ["c"], ["z"], then_branch=body, else_branch=body)]), "loops, branches"
    yield made(more=[helper.make_node("Anything", ["images"], ["z"], domain="com.stranger")]), "com.stranger"
    model = made()
    model.functions.add(name="f", domain="own")
    yield model, "functions"
    model = made()
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, math.inf], np.float32), "w"))
    yield model, "w' is not finite"
    yield made(more=[helper.make_node("Nothing", ["images"], ["z"])]), r"m\.onnx"
    yield made(images=(TensorProto.FLOAT, ["batch", 3, 32, 64])), "not images of 32x64"
    yield made(images=(TensorProto.UINT8, ["batch", 3, 64, 64])), "not images of 32x64"
    yield made(outputs={k: v for k, v in OUTPUTS.items() if k != "labels"}), "no labels"
    model = made()
    del model.metadata_props[:]
    yield model, "`lapnet export` did not write it"
    whole = made().SerializeToString()
    yield whole[: len(whole) // 2], r"m\.onnx"
    yield b"", r"m\.onnx"
    yield b"ORTM nonsense" * 9, r"m\.onnx"
    yield Path(SCENES).read_bytes()[:5000], r"m\.onnx"


def test_files_of_strangers(tmp_path):
    reasons = []
    for model, why in hostile(tmp_path):
        with pytest.raises(ValueError, match=why) as told:
            read(tmp_path, model)
        assert "m.onnx is no LapNet model that can be used: " in str(told.value)
        assert "\n" not in str(told.value)
        reasons.append(str(told.value))
    assert len(reasons) == 16


BAD_OUTPUTS = {
    "scores": np.array([0.9], np.float32), "boxes": np.zeros((2, 5), np.float32), "labels": np.array([0, 2]),
    "image_index": np.array([0, 1]), "scores that are nan": np.array([0.9, math.nan], np.float32),
    "labels below": np.array([-1, 0]), "labels of a kind": np.array([0.0, 1.0], np.float32),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_OUTPUTS)
def test_outputs_that_are_no_detections(name, tmp_path):
    detector = read(tmp_path, made(outputs={**OUTPUTS, name.split()[0]: BAD_OUTPUTS[name]}))
    with pytest.raises(ValueError, match=r"m\.onnx"):
        detector.predict(torch.zeros(3, 32, 64, dtype=torch.uint8))


def test_options_that_the_file_does_not_take_are_told(tmp_path):
    model = made()
    inputs = [value for value in model.graph.input if value.name != "nms_iou"]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    detector = read(tmp_path, model)
    with pytest.raises(ValueError, match=r"m\.onnx cannot be run.*nms_iou"):
        detector.predict(torch.zeros(3, 32, 64, dtype=torch.uint8), nms_iou=0.3)


def test_a_device_that_onnxruntime_lacks_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("lapnet_core.detector.pick_device", torch.device)  # as where torch has it
    (tmp_path / "m.onnx").write_bytes(made().SerializeToString())
    with pytest.warns(UserWarning, match=r"m\.onnx runs on the processor"):
        assert Detector.load(tmp_path / "m.onnx", "meta").device == torch.device("cpu")


def test_pixels_come_back_as_they_were():
    """What `Detector` normalises is what the file is given: every value of a byte, exactly."""
    image = torch.arange(256, dtype=torch.uint8).repeat(3, 4).view(3, 32, 32)
    detector = Detector(method_class("lapnet").restore(SMALL), ("a", "b"), (32, 32))
    assert torch.equal(denormalize(detector.prepare(image))[0], image)
