"""What a user can hand to the public functions by mistake, and the sentence that answers.

The cases run in a process of their own, without the checks of types that tests put on every function: users have none.
"""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from torchvision import tv_tensors

from lapnet_core.anchors import AnchorFile, cluster_anchors
from lapnet_core.assign import ams_labels, assign
from lapnet_core.backbones import Backbone
from lapnet_core.config import TrainConfig
from lapnet_core.data import eval_transform, train_transform
from lapnet_core.data.named import object_sizes
from lapnet_core.detector import Detector
from lapnet_core.evaluate import coco_map, coco_map_from_targets, coco_results, voc_map
from lapnet_core.losses import LapNetLoss
from lapnet_core.method import LapNetMethod
from lapnet_core.model import LapNet
from lapnet_core.options import LapNetOptions
from lapnet_core.peers import method_class
from lapnet_core.predict import detect
from lapnet_core.train import train

NAN, INF = math.nan, math.inf
SHAPES = torch.tensor([[[16.0, 16.0], [40.0, 24.0]], [[8.0, 24.0], [60.0, 60.0]]])
BOXES = torch.tensor([[2.0, 3, 19, 22], [8, 8, 30, 30], [1, 2, 12, 29]])
LABELS = torch.tensor([0, 0, 1])


def changed(tensor, *at, to):
    tensor = tensor.clone()
    tensor[at] = to
    return tensor


def bad_shapes(tensor=SHAPES):
    """(name, shapes, word of the message) that no network's scores go with."""
    return [
        ("nan", changed(tensor, 0, 1, to=NAN), r"shapes[0, 1]"),
        ("infinite", changed(tensor, 1, 0, 1, to=INF), r"shapes[1, 0]"),
        ("zero", changed(tensor, 0, 0, 0, to=0.0), r"shapes[0, 0]"),
        ("negative", -tensor, r"shapes[0, 0]"),
        ("classes", torch.cat((tensor, tensor)), "shapes must"),
        ("anchors", tensor[:, :1], "shapes must"),
        ("rank", tensor[0], "shapes must"),
        ("integers", tensor.long(), "shapes must be float"),
        ("a list", tensor.tolist(), "shapes must be a tensor"),
        ("another device", tensor.to("meta"), "shapes is on meta"),
    ]


def of_assign():
    good = {"shapes": SHAPES, "grid_size": (4, 4), "boxes": BOXES, "labels": LABELS}
    wrong = {
        "overlap": ({"overlap": "xyz"}, "overlap must"),
        "overlap none": ({"overlap": None}, "overlap must"),
        "stride 0": ({"stride": 0}, "stride must"),
        "stride nan": ({"stride": NAN}, "stride must"),
        "stride of a string": ({"stride": "8"}, "stride must"),
        "grid of floats": ({"grid_size": (4.0, 4.0)}, "grid_size must"),
        "grid of one": ({"grid_size": (4,)}, "grid_size must"),
        "grid of none": ({"grid_size": (0, 4)}, "grid_size must"),
        "grid a number": ({"grid_size": 4}, "grid_size must"),
        "grid negative": ({"grid_size": (-4, 4)}, "grid_size must"),
        "num_images 0": ({"num_images": 0}, "image index"),
        "num_images -1": ({"num_images": -1}, "num_images must"),
        "num_images 1.0": ({"num_images": 1.0}, "num_images must"),
        "boxes of five": ({"boxes": torch.zeros(3, 5)}, "boxes must"),
        "boxes of integers": ({"boxes": BOXES.long()}, "boxes must be float"),
        "boxes of rank 1": ({"boxes": BOXES[0]}, "boxes must"),
        "boxes as an array": ({"boxes": BOXES.numpy()}, "boxes must be a tensor"),
        "boxes of 1e30": ({"boxes": changed(BOXES, 1, 3, to=1e30)}, "object 1 of image 0: box"),
        "labels of floats": ({"labels": LABELS.float()}, "labels must be int"),
        "labels of flags": ({"labels": LABELS.bool()}, "labels must be int"),
        "labels too few": ({"labels": LABELS[:2]}, "labels must"),
        "labels of rank 2": ({"labels": LABELS[:, None]}, "labels must"),
        "labels as a list": ({"labels": [0, 0, 1]}, "labels must be a tensor"),
        "labels negative": ({"labels": LABELS - 1}, "label is not in"),
        "labels elsewhere": ({"labels": LABELS.to("meta")}, "labels is on meta"),
        "images of floats": ({"image_index": LABELS.float(), "num_images": 2}, "image_index must be int"),
        "images too few": ({"image_index": LABELS[:1], "num_images": 2}, "image_index must"),
        "images as flags": ({"image_index": LABELS.bool(), "num_images": 2}, "image_index must be int"),
        "boxes elsewhere": ({"boxes": BOXES.to("meta")}, "boxes is on meta"),
        "shapes of one class": ({"shapes": SHAPES[:1]}, "label is not in 0..0"),
        "rescue": ({"rescue": "no"}, "rescue must"),
    }
    wrong |= {f"shapes {name}": ({"shapes": shapes}, why) for name, shapes, why in bad_shapes()
              if name not in ("classes", "anchors", "another device")}  # fmt: skip
    for name, (change, why) in wrong.items():
        yield f"assign: {name}", lambda change=change: assign(**(good | change)), why
    found = assign(**good)
    for threshold in (NAN, -0.1, 1.5, "0.5", None):
        yield f"positives: {threshold}", lambda t=threshold: found.positives(t), "threshold must"
        yield f"ams_labels: {threshold}", lambda t=threshold: ams_labels(torch.ones(2), torch.ones(2), t), "threshold"


def target(**changes):
    one = {"boxes": BOXES, "labels": LABELS, "difficult": torch.tensor([False, False, True])}
    return {name: value for name, value in {**one, **changes}.items() if value is not None}


BAD_TARGETS = {
    "difficult as int64": (
        [target(difficult=torch.tensor([0, 0, 1]))] * 2,
        "targets of image 0: difficult must be bool",
    ),
    "difficult as floats": ([target(difficult=torch.zeros(3))] * 2, "targets of image 0: difficult must be bool"),
    "difficult too short": (
        [target(), target(difficult=torch.zeros(1, dtype=torch.bool))],
        "targets of image 1: difficult",
    ),
    "difficult as a list": (
        [target(), target(difficult=[False] * 3)],
        "targets of image 1: difficult must be a tensor",
    ),
    "no boxes": ([target(), target(boxes=None)], "targets of image 1"),
    "no labels": ([target(labels=None), target()], "targets of image 0"),
    "boxes of five": ([target(boxes=torch.zeros(3, 5)), target()], "targets of image 0: boxes must"),
    "boxes of integers": ([target(boxes=BOXES.int()), target()], "targets of image 0: boxes must be float"),
    "boxes as a list": ([target(boxes=BOXES.tolist()), target()], "targets of image 0: boxes must be a tensor"),
    "boxes as xywh": (
        [target(), target(boxes=tv_tensors.BoundingBoxes(BOXES, format="XYWH", canvas_size=(64, 64)))],
        "targets of image 1: boxes must be XYXY",
    ),
    "boxes nan": ([target(), target(boxes=changed(BOXES, 1, 2, to=NAN))], "object 3 of image 1: box is not finite"),
    "boxes without area": ([target(), target(boxes=BOXES[:, [2, 1, 0, 3]])], "object 2 of image 1: box has no area"),
    "labels of floats": ([target(labels=LABELS.float()), target()], "targets of image 0: labels must be int"),
    "labels too many": (
        [target(labels=torch.zeros(4, dtype=torch.int64)), target()],
        "targets of image 0: labels must",
    ),
    "labels from 1": ([target(labels=LABELS + 1, difficult=None), target()], "object 2 of image 0: label"),
    "labels from -1": ([target(), target(labels=LABELS - 1)], "object 2 of image 1: label"),
    "a tuple in a list": ([target(), (BOXES, LABELS)], "targets of image 1"),
    "one dict": (target(), "targets must be a list"),
    "a generator": ((target() for _ in range(2)), "targets must be a list"),
    "too few": ([target()], "2 images but 1 targets"),
    "elsewhere": ([target(), target(boxes=BOXES.to("meta"))], "targets of image 1: boxes is on meta"),
}


SCORES, OFFSETS = torch.zeros(2, 2, 2, 4, 4), torch.zeros(2, 2, 2, 4, 4, 4)


def bad_outputs():
    """(name, changed arguments, word of the message) of whatever takes scores, offsets and shapes."""
    return [
        ("scores of rank 4", {"scores": SCORES[0]}, "scores must"),
        ("scores of integers", {"scores": SCORES.long()}, "scores must be float"),
        ("scores as an array", {"scores": SCORES.numpy()}, "scores must be a tensor"),
        ("offsets of rank 5", {"offsets": OFFSETS[:, :, :, 0]}, "offsets must"),
        ("offsets of another grid", {"offsets": OFFSETS[..., :3]}, "offsets must"),
        ("offsets of fewer images", {"offsets": OFFSETS[:1]}, "offsets must"),
        ("offsets last", {"offsets": OFFSETS.permute(0, 1, 2, 4, 5, 3)[:, :, :, :3]}, "offsets must"),
        ("offsets of another class", {"offsets": OFFSETS[:, :1]}, "offsets must"),
        ("offsets elsewhere", {"offsets": OFFSETS.to("meta")}, "offsets is on meta"),
        *((f"shapes {name}", {"shapes": shapes}, why) for name, shapes, why in bad_shapes()),
    ]


def of_losses():
    for name, options, why in (
        ("balance", {"balance": "xyz"}, "balance must"),
        ("overlap", {"overlap": "xyz"}, "overlap must"),
        ("classes", {"num_classes": 0}, "num_classes must"),
        ("half a class", {"num_classes": 2.5}, "num_classes must"),
        ("anchors", {"per_class": -1}, "per_class must"),
        ("stride", {"stride": 0}, "stride must"),
        ("ams", {"ams": "no"}, "ams must"),
        ("rescue", {"rescue": None}, "rescue must"),
    ):
        yield f"LapNetLoss: {name}", lambda o=options: LapNetLoss(**({"num_classes": 2, "per_class": 2} | o)), why
    loss = LapNetLoss(2, 2)
    good = {"scores": SCORES, "offsets": OFFSETS, "shapes": SHAPES, "targets": [target()] * 2}
    for name, (targets, why) in BAD_TARGETS.items():
        yield f"LapNetLoss: targets: {name}", lambda t=targets: loss(**(good | {"targets": t})), why
    for name, change, why in bad_outputs():
        yield f"LapNetLoss: {name}", lambda c=change: loss(**(good | c)), why
    for name, made in (("classes", LapNetLoss(1, 2)), ("anchors", LapNetLoss(2, 1))):
        yield f"LapNetLoss: of other {name}", lambda made=made: made(**good), "scores must"


BAD_THRESHOLDS = [
    ("score_threshold", value) for value in (NAN, INF, -0.1, 1.5, "0.3", None, True)
] + [
    ("nms_iou", value) for value in (NAN, -0.5, 1.01, "x")
] + [
    (name, value) for name in ("candidates", "max_detections") for value in (0, -1, 2.5, NAN, "7", None)
]  # fmt: skip


def of_detect():
    good = {"scores": SCORES, "offsets": OFFSETS, "shapes": SHAPES}
    for name, value in [*BAD_THRESHOLDS, ("stride", 0), ("stride", 8.0), ("stride", NAN)]:
        yield f"detect: {name} {value}", lambda n=name, v=value: detect(**good, **{n: v}), f"{name} must"
    for name, change, why in bad_outputs():
        yield f"detect: {name}", lambda c=change: detect(**(good | c)), why
    for name, change in (
        ("a nan score", {"scores": changed(SCORES, 1, 0, 0, 2, 2, to=NAN)}),
        ("only nan scores", {"scores": SCORES + NAN}),
        ("a nan offset", {"offsets": changed(OFFSETS, 0, 1, 1, 2, 0, 0, to=NAN)}),
        ("an infinite offset", {"offsets": changed(OFFSETS, 0, 1, 1, 0, 0, 0, to=INF)}),
    ):
        yield f"detect: {name}", lambda c=change: detect(**(good | c)), "not finite"


def detectors():
    torch.manual_seed(0)
    method = LapNetMethod(LapNet(2, 2, widths=(16, 8, 16)), SHAPES)
    retina = method_class("retinanet").restore({"num_classes": 2, "backbone": "light"})
    return Detector(method.eval(), ("a", "b"), (64, 64)), Detector(retina.eval(), ("a", "b"), (64, 64))


def of_detectors():
    for detector in detectors():
        kind = detector.method.name
        picture = torch.randint(0, 256, (3, 40, 50), dtype=torch.uint8)
        ready = detector.prepare(picture)
        for name, image in (
            ("0..255 as floats", picture.float()),
            ("0..1", picture / 255),
            ("int64", picture.long()),
            ("a batch", picture[None]),
            ("grey", picture[:1]),
            ("channels last", picture.permute(1, 2, 0)),
            ("an array", picture.numpy()),
            ("no pixel", picture[:, :0]),
            ("a path", "a.jpg"),
            ("none", None),
        ):
            yield f"{kind}: predict: {name}", lambda d=detector, i=image: d.predict(i), "image must"
        for name, images in (
            ("0..255", picture[None].float()[..., :32, :32].repeat(1, 1, 2, 2)),
            ("int64", ready.long()),
            ("uint8", torch.zeros(1, 3, 64, 64, dtype=torch.uint8)),
            ("one image", ready[0]),
            ("grey", ready[:, :1]),
            ("another size", torch.zeros(1, 3, 96, 64)),
            ("no multiple of 32", torch.zeros(1, 3, 70, 64)),
            ("nan", changed(ready, 0, 1, 5, 7, to=NAN)),
            ("infinite", changed(ready, 0, 1, 0, 0, to=INF)),
            ("an array", ready.numpy()),
            ("a list", [ready[0]]),
        ):
            yield f"{kind}: detect_images: {name}", lambda d=detector, i=images: d.detect_images(i), "images must"
        for name, value in BAD_THRESHOLDS:
            call = lambda d=detector, n=name, v=value, i=picture: d.predict(i, **{n: v})  # noqa: E731
            yield f"{kind}: {name} {value}", call, f"{name} must"
        if kind == "retinanet":
            for name, (targets, why) in BAD_TARGETS.items():
                images = ready.repeat(2, 1, 1, 1)
                yield f"{kind}: targets: {name}", lambda d=detector, i=images, t=targets: d.method.loss(i, t), why
    lapnet = detectors()[0].method
    for name, names, size, why in (
        ("too few names", ("a",), (64, 64), "class_names"),
        ("a string", "ab", (64, 64), "class_names"),
        ("twice", ("a", "a"), (64, 64), "class_names"),
        ("numbers", (1, 2), (64, 64), "class_names"),
        ("size of 70", ("a", "b"), (70, 64), "image_size"),
        ("size of one", ("a", "b"), (64,), "image_size"),
        ("size of floats", ("a", "b"), (64.0, 64), "image_size"),
        ("size 0", ("a", "b"), (0, 64), "image_size"),
    ):
        yield f"Detector: {name}", lambda n=names, s=size: Detector(lapnet, n, s), why


def found(**changes):
    one = {"boxes": BOXES, "scores": torch.tensor([0.9, 0.5, 0.1]), "labels": LABELS}
    return {name: value for name, value in {**one, **changes}.items() if value is not None}


def of_evaluation():
    metrics = {"voc": voc_map, "coco": coco_map_from_targets}
    samples = {
        "difficult as int64": (found(), target(difficult=torch.tensor([0, 0, 1])), "difficult must be bool"),
        "labels of floats": (found(labels=LABELS.float()), target(), "labels must be int"),
        "labels out of range": (found(labels=LABELS + 1), target(), "label is not in 0..1"),
        "scores nan": (found(scores=torch.tensor([0.9, NAN, 0.1])), target(), "score is not finite"),
        "scores of integers": (found(scores=LABELS), target(), "scores must be float"),
        "scores of flags": (found(scores=LABELS.bool()), target(), "scores must be float"),
        "scores of rank 2": (found(scores=torch.zeros(3, 2)), target(), "scores must be"),
        "boxes of flags": (found(boxes=BOXES.bool()), target(), "boxes must"),
        "boxes as an array": (found(boxes=BOXES.numpy()), target(), "boxes must be a tensor"),
        "boxes as a list": (found(), target(boxes=BOXES.tolist()), "boxes must be a tensor"),
        "labels as a list": (found(), target(labels=[0, 0, 1]), "labels must be a tensor"),
        "boxes nan": (found(), target(boxes=BOXES * NAN), "box is not finite"),
        "boxes as xywh": (
            found(), target(boxes=tv_tensors.BoundingBoxes(BOXES, format="CXCYWH", canvas_size=(64, 64))), "XYXY",
        ),
        "a tuple": ((BOXES, LABELS), target(), "detections of image 0: must be a dict"),
        "none": (found(), None, "targets of image 0: must be a dict"),
    }  # fmt: skip
    for kind, metric in metrics.items():
        for name, (a, b, why) in samples.items():
            yield f"{kind}: {name}", lambda m=metric, a=a, b=b: m([a], [b], 2), why
        for name, arguments, why in (
            ("other lengths", ([found()], [], 2), "1 images in detections"),
            ("no class", ([found()], [target()], 0), "num_classes must"),
            ("half a class", ([found()], [target()], 2.5), "num_classes must"),
            ("one dict", (found(), target(), 2), "detections must be a list"),
            ("a generator", ((found() for _ in "a"), [target()], 2), "detections must be a list"),
        ):
            yield f"{kind}: {name}", lambda m=metric, a=arguments: m(*a), why
        yield (
            f"{kind}: names",
            lambda m=metric: m([found()], [target()], 2, class_names=["a"]),
            "class_names must be 2 names",
        )
        yield f"{kind}: a string", lambda m=metric: m([found()], [target()], 2, class_names="ab"), "class_names must"
    for value in (NAN, 0, -1, 1.5, "0.5", None):
        call = lambda v=value: voc_map([found()], [target()], 2, iou_threshold=v)  # noqa: E731
        yield f"voc: iou_threshold {value}", call, "iou_threshold must"
    for value in ("xyz", None, 11):
        yield f"voc: metric {value}", lambda v=value: voc_map([found()], [target()], 2, metric=v), "metric"
    yield from of_coco_files()


def instances(**changes):
    content = {
        "images": [{"id": 10}, {"id": 20}],
        "categories": [{"id": 3, "name": "dog"}, {"id": 7, "name": "cup"}],
        "annotations": [{"id": 1, "image_id": 10, "category_id": 3, "bbox": [0, 0, 9, 9], "area": 81, "iscrowd": 0}],
    }
    return {**content, **changes}


def of_coco_files():
    written = Path(sys.argv[-1])
    ids = {"image_ids": [10, 20], "category_ids": [3, 7]}
    record = {"image_id": 10, "category_id": 3, "bbox": [0, 0, 9, 9], "score": 0.5}

    def run(results, content, **changes):
        file = written / "instances.json"
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        coco_map(results, file, **(ids | changes))

    for name, content in (
        ("no JSON", "{"),
        ("a list", []),
        ("no images", instances(images=None)),
        ("no categories", instances(categories=None)),
        ("annotations are no list", instances(annotations={})),
        ("nested without end", "[" * 100_000),
    ):
        yield f"coco file: {name}", lambda c=content: run([record], c), "instances.json"
    yield "coco file: missing", lambda: coco_map([record], written / "none.json", **ids), "none.json"
    yield "coco file: a folder", lambda: coco_map([record], written, **ids), "no regular file"
    yield "coco file: images are numbers", lambda: run([record], instances(images=[1, 2])), "image id 10 is not in"
    for name, change in (
        ("no bbox", {"bbox": None}), ("bbox of three", {"bbox": [0, 0, 1]}), ("bbox nan", {"bbox": [0, 0, NAN, 1]}),
        ("bbox of text", {"bbox": "abcd"}), ("bbox turned", {"bbox": [5, 5, -4, 4]}), ("score nan", {"score": NAN}),
        ("score of text", {"score": "high"}), ("no score", {"score": None}), ("score a flag", {"score": True}),
    ):  # fmt: skip
        broken = {key: value for key, value in {**record, **change}.items() if value is not None}
        yield f"coco records: {name}", lambda b=broken: run([record, b], instances()), "result 1"
    for name, records in (("numbers", [1, 2]), ("text", "records"), ("none", None), ("a dict", {"image_id": 1})):
        yield f"coco records: {name}", lambda r=records: run(r, instances()), ""
    for name, text in (("no JSON", "{"), ("a number", "3"), ("missing", None), ("a dict", "{}")):
        file = written / f"results {name}.json"

        def read(file=file, text=text):
            if text is not None:
                file.write_text(text)
            run(file, instances())

        yield f"coco results file: {name}", read, file.name
    for name, change, why in (
        ("ids of text", {"image_ids": ["10", "20"]}, "image id"),
        ("ids of floats", {"image_ids": [10.5, 20]}, "image id"),
        ("no such id", {"image_ids": [11]}, "image id 11"),
        ("twice", {"category_ids": [3, 3]}, "category id 3"),
    ):
        yield f"coco: {name}", lambda c=change: run([record], instances(), **c), why
    yield "coco results: ids", lambda: coco_results([found()], [1.5], [3, 7]), "image id"


def of_models():
    """A saved model whose metadata, or whose state, is not what it was."""
    detector = detectors()[0]
    state = {name: tensor.contiguous() for name, tensor in detector.method.state_dict().items()}
    good = {"method": "lapnet", "class_names": ["a", "b"], "image_size": [64, 64], "about": detector.method.about()}
    none = object()

    def load(about, tensors=state, metadata=None):
        file = Path(sys.argv[-1]) / "model.safetensors"
        text = about if isinstance(about, str) else json.dumps(about)
        save_file(tensors, file, metadata={"lapnet": text} if metadata is None else metadata)
        Detector.load(file)

    def without(values, key):
        return {name: value for name, value in values.items() if name != key}

    forms = {
        "method": [none, "nothing", "retinanet", 3, None, [], {}],
        "class_names": [none, "ab", ["a"], ["a", "b", "c"], ["a", "a"], [1, 2], [], None, 2, {"a": 0, "b": 1},
                        [["a"], "b"]],
        "image_size": [none, [64], [64, 64, 3], [70, 64], [0, 64], [-64, 64], ["64", 64], [64.5, 64], [True, 64], None,
                       64, "64", [3.2e12, 64], [32 * 10**9, 64], {}],
        "about": [none, {}, None, 7, "text", []],
    }  # fmt: skip
    for key, values in forms.items():
        for n, value in enumerate(values):
            about = without(good, key) if value is none else {**good, key: value}
            yield f"model: {key} {n}", lambda a=about: load(a), "model.safetensors"
    inner = {
        "num_classes": [none, 3, 1, 0, -1, "2", 2.5, None, 10**7, 10**12, 2**70],
        "per_class": [none, 3, 0, -2, "2", None, 10**8, 2**63],
        "backbone": [none, "nothing", "resnet18", 5, None, [], "../light"],
        "widths": [[16], [16, 8, 16, 4], [16, 8, 32], ["a", "b", "c"], 5, [0, 0, 0], [-1, 8, 16], [10**6] * 3,
                   {"a": 1}],
        "depth": [2, 0, -1, "4", 2.5, 10**9, None],
        "loss": [5, {"balance": "xyz"}, {"nothing": 1}, {"overlap": 3}, {"ams": "no"}, {"stride": 0}, None, [1]],
    }  # fmt: skip
    for key, values in inner.items():
        for n, value in enumerate(values):
            about = without(good["about"], key) if value is none else {**good["about"], key: value}
            yield f"model: about {key} {n}", lambda a=about: load({**good, "about": a}), "model.safetensors"
    for name, text in (
        ("no JSON", "{"),
        ("a list", "[]"),
        ("a number", "3"),
        ("null", "null"),
        ("deep", "[" * 100_000),
    ):
        yield f"model: metadata: {name}", lambda t=text: load(t), "model.safetensors"
    yield "model: no metadata", lambda: load(good, metadata={}), "model.safetensors"
    yield "model: others' metadata", lambda: load(good, metadata={"format": "pt"}), "model.safetensors"
    weight = next(name for name, tensor in state.items() if tensor.ndim == 4)
    for name, change in (
        ("nan", changed(state[weight], 0, 0, 0, 0, to=NAN)),
        ("infinite", changed(state[weight], 0, 0, 0, 0, to=-INF)),
        ("cut", state[weight][:-1].contiguous()),
        ("integers", state[weight].long()),
        ("transposed", state[weight].transpose(0, 1).contiguous()),
    ):
        yield f"model: a weight {name}", lambda c=change: load(good, {**state, weight: c}), weight
    yield "model: a weight gone", lambda: load(good, without(state, weight)), weight
    yield "model: one too many", lambda: load(good, {**state, "more": torch.zeros(2)}), "more"
    yield "model: no tensor", lambda: load(good, {}), "model.safetensors"
    old = {"backbone": "light", "class_names": ["a", "b"], "image_size": [64, 64]}
    yield "model: of version 0.1, no anchors", lambda: load(old), "anchor_shapes"
    flat = {**state, "anchor_shapes": torch.ones(4)}
    yield "model: of version 0.1, flat anchors", lambda: load(old, flat), "model.safetensors"
    for name, content in (("empty", b""), ("text", b"nonsense"), ("a long header", b"\xff" * 8), ("cut", None)):

        def read(content=content):
            file = Path(sys.argv[-1]) / "model.safetensors"
            detector.save(file)
            file.write_bytes(file.read_bytes()[:-9] if content is None else content)
            Detector.load(file)

        yield f"model: file: {name}", read, "model.safetensors"
    yield "model: no file", lambda: Detector.load("nowhere.safetensors"), "nowhere.safetensors"
    broken = detectors()[0]
    next(broken.method.parameters()).data.fill_(NAN)
    yield "model: nan is not saved", lambda: broken.save(Path(sys.argv[-1]) / "nan.safetensors"), "is not finite"


def of_configs():
    """What a notebook or a script can write where the commands have flags."""
    for field, values in {
        "on_error": ("skp", "", None, True),
        "widths": ((64, 32), (), (64, 32, 64, 5), (64.0, 32, 64), [64, 32, 64], 64, "abc", (64, -1, 3)),
        "image_size": ([64, 64], 64, (64,), (64, 64, 3), (64.0, 64), ("64", 64), (70, 64)),
        "steps": (4.0, "4", None, True, NAN, 0),
        "batch_size": (2.0, "2"),
        "lr": ("0.1", None, True, NAN, INF, -1.0),
        "scale": ([0.5, 1.5], (1.0,), 1.0, (1.5, 0.5)),
        "amp": ("no", 1, None),
        "out": (Path("runs"), None),
        "data": (Path("scenes"), 5),
        "backbone": (None, 5),
        "val_split": (None, "test"),
        "method": (None, "lapnett"),
        "lapnet": (None, {}, {"ams": False}),
    }.items():
        for value in values:
            yield f"config: {field} {value!r}", lambda f=field, v=value: TrainConfig(**{f: v}), field
    for field, values in {
        "overlap": ("iou", None, []),
        "balance": ("learnt", None),
        "ams_rule": ("papers",),
        "ams": ("no", None, 1),
        "rescue": ("no", None),
        "anchors_per_class": (0, 2.5, "3", None, True),
        "depth": (0, 17, 2.5, "3", None, True),
        "ams_from": (2.0, "0.5", None),
        "balance_lr": (-1.0, NAN, "1"),
        "anchors": (Path("anchors.json"), None),
    }.items():
        for value in values:
            yield f"options: {field} {value!r}", lambda f=field, v=value: LapNetOptions(**{f: v}), field
    one_cell = {"batch_size": 2, "accumulate": 2, "image_size": (32, 32)}
    yield "config: parts of one cell", lambda: TrainConfig(**one_cell), "more than one cell"


def of_networks():
    for name, options, why in (
        ("no class", {"num_classes": 0}, "num_classes must"),
        ("half a class", {"num_classes": 2.5}, "num_classes must"),
        ("no anchor", {"per_class": 0}, "per_class must"),
        ("two widths", {"widths": (64, 32)}, "widths must"),
        ("no width", {"widths": ()}, "widths must"),
        ("a width below 0", {"widths": (64, -32, 64)}, "widths must"),
        ("a width in floats", {"widths": (64, 32.0, 64)}, "widths must"),
        ("no convolution", {"depth": 0}, "depth must"),
        ("convolutions without end", {"depth": 10**9}, "depth must"),
        ("the stages of a ViT", {"backbone": "vit_tiny_patch16_224"}, "strides [16, 16, 16]"),
    ):
        yield f"LapNet: {name}", lambda o=options: LapNet(**({"num_classes": 2, "per_class": 2} | o)), why
    model = LapNet(2, 2, widths=(16, 8, 16))
    for name, images in (
        ("bytes", torch.zeros(1, 3, 64, 64, dtype=torch.uint8)),
        ("grey", torch.zeros(1, 1, 64, 64)),
        ("one image", torch.zeros(3, 64, 64)),
        ("60 pixels", torch.zeros(1, 3, 60, 64)),
    ):
        yield f"LapNet: images: {name}", lambda i=images: model(i), "images "
    small = torch.zeros(1, 3, 64, 64)
    for name in ("botnet26t_256", "coat_tiny", "dla34"):  # for one size of image; for another stride than they state
        yield f"Backbone: {name}", lambda n=name: Backbone(n)(small), name


def of_anchors():
    sizes, labels = torch.tensor([[4.0, 9], [30, 20], [8, 8]]), torch.tensor([0, 1, 0])
    good = {"sizes": sizes, "labels": labels, "num_classes": 2, "per_class": 2}
    for name, change, why in (
        ("boxes", {"sizes": torch.cat((sizes, sizes), 1)}, "sizes must be float of shape (G, 2)"),
        ("integers", {"sizes": sizes.long()}, "sizes must be float"),
        ("a list", {"sizes": sizes.tolist()}, "sizes must be a tensor"),
        ("fewer labels", {"labels": labels[:2]}, "labels must be int of shape (3)"),
        ("labels of floats", {"labels": labels.float()}, "labels must be int"),
        ("labels from 1", {"labels": labels + 1}, "labels span 1..2"),
        ("no class", {"num_classes": 0}, "num_classes must"),
        ("half an anchor", {"per_class": 2.5}, "per_class must"),
        ("a seed beyond 32 bits", {"seed": 2**63}, "seed must"),
        ("a size of 0", {"sizes": changed(sizes, 1, 0, to=0.0)}, "object 1 has size"),
    ):
        yield f"cluster_anchors: {name}", lambda c=change: cluster_anchors(**(good | c)), why

    def load():
        file = Path(sys.argv[-1]) / "anchors.json"
        file.write_text(json.dumps({"anchors": {"a": [[1, 2]]}}))
        AnchorFile.load(file)

    yield "AnchorFile: no input size", load, 'anchors.json is no anchor file: it lacks "input_size"'


class Own:
    """A data set as a user writes it: images of 48 x 80 pixels, with plain tensors, and what is changed of them."""

    class_names = ("a", "b")

    def __init__(self, image=None, **changes):
        self.image, self.changes = image, changes

    def __len__(self):
        return 4

    def target(self, index):
        boxes = torch.tensor([[2.0, 3, 19, 22], [40, 8, 79, 40]]) + index
        one = {"boxes": boxes, "labels": torch.tensor([0, 1]), "difficult": torch.zeros(2, dtype=torch.bool)}
        one |= {"image_id": index, "original_size": (48, 80)} | (self.changes if index == 2 else {})
        return {name: value for name, value in one.items() if value is not None}

    def __getitem__(self, index):
        image = torch.randint(0, 256, (3, 48, 80), dtype=torch.uint8)
        return (self.image(image) if self.image and index == 2 else image), self.target(index)


OWN = TrainConfig(
    image_size=(64, 64), batch_size=4, steps=1, flip=1.0, device="cpu", lapnet=LapNetOptions(anchors_per_class=2)
)


def of_own_data():
    box = torch.tensor([[2.0, 3, 19, 22], [40, 8, 79, 40]])
    for name, changes, why in (
        ("integers", {"boxes": box.long()}, "boxes must be float"),
        ("an array", {"boxes": box.numpy()}, "boxes must be a tensor"),
        ("xywh", {"boxes": tv_tensors.BoundingBoxes(box, format="XYWH", canvas_size=(48, 80))}, "boxes must be XYXY"),
        ("of no area", {"boxes": changed(box, 1, 2, to=40.0)}, "has no area in the image of 48x80"),
        ("nan", {"boxes": changed(box, 1, 2, to=NAN)}, "has no area in the image"),
        ("beside the image", {"boxes": box + 80}, "has no area in the image"),
        ("shares", {"boxes": box / 80}, "in one pixel: give pixels"),
        ("labels of floats", {"labels": torch.tensor([0.0, 1.0])}, "labels must be int"),
        ("no difficult", {"difficult": None}, "no difficult"),
        ("no original_size", {"original_size": None}, "no original_size"),
    ):
        for what, call in (
            ("object_sizes", lambda c=changes: object_sizes(Own(**c), (64, 64), False)),
            ("train", lambda c=changes: train(OWN, Own(**c), save=False, progress=False)),
            ("predict", lambda c=changes: detectors()[0].predict_dataset(Own(**c), progress=False)),
        ):
            yield f"own data: {what}: boxes {name}", call, why
            yield f"own data: {what}: boxes {name}: which", call, "target of image 2: "
    for name, data in (
        ("floats", Own(lambda image: image / 255)),
        ("grey", Own(lambda image: image[:1])),
        ("an array", Own(lambda image: image.numpy())),
        ("width first", Own(lambda image: image.permute(0, 2, 1))),
        ("another size than is stated", Own(original_size=(80, 90))),
    ):
        for what, call in (
            ("train", lambda d=data: train(OWN, d, save=False, progress=False)),
            ("predict", lambda d=data: detectors()[0].predict_dataset(d, progress=False)),
        ):
            yield f"own data: {what}: image {name}", call, "image 2 must be uint8 RGB, (3, "
    for name, data, why in (("a list", [Own()[0]], "no class_names"), ("no target", Bare(), "no target")):
        yield f"own data: train: {name}", lambda d=data: train(OWN, d, save=False, progress=False), why
        yield f"own data: predict: {name}", lambda d=data: detectors()[0].predict_dataset(d, progress=False), why
    ready = eval_transform((64, 64))
    for name, transform, why in (
        ("of another size", eval_transform((96, 64)), "image must be float of shape (3, 64, 64)"),
        ("not normalised", lambda i, t: (ready(i, t)[0] * 255, t), "must be normalised"),
        ("nan", lambda i, t: (ready(i, t)[0] * NAN, t), "must be normalised"),
        ("without difficult", lambda i, t: (ready(i, t)[0], {**t, "difficult": [False]}), "difficult must be a tensor"),
    ):
        call = lambda t=transform: train(OWN, Own(), transform=t, save=False, progress=False)  # noqa: E731
        yield f"own transform: {name}", call, why
    for name, size in (("one number", 64), ("floats", (64.0, 64)), ("none", (0, 64))):
        for transform in (train_transform, eval_transform):
            yield f"{transform.__name__}: {name}", lambda s=size, t=transform: t(s), "size must"
    yield "Detector.load: device", lambda: Detector.load("model.safetensors", "gpu"), 'device "gpu" cannot be used'


class Bare:
    class_names = ("a", "b")

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return Own()[index]


def cases():
    parts = (
        of_assign, of_losses, of_detect, of_detectors, of_evaluation, of_models, of_configs, of_networks, of_anchors,
        of_own_data,
    )  # fmt: skip
    for part in parts:
        yield from part()


def outcome(call):
    """The kind of an error and its message; ok where there is none."""
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "ok"


if __name__ == "__main__":
    print(json.dumps({name: outcome(call) for name, call, _ in cases()}))


WHYS = {name: why for name, _, why in cases()}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coco")
    command = [sys.executable, __file__, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", WHYS)
def test_a_mistake_is_answered_by_one_sentence(outcomes, name):
    kind, _, message = outcomes[name].partition(": ")
    known = ("ValueError", "DataError", "FloatingPointError", "FileNotFoundError", "IsADirectoryError")
    assert kind in known, outcomes[name]
    assert WHYS[name] in message
    assert "\n" not in message
    assert len(message) < 500


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([64, 2**70, 1e300])
    | st.floats()
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = (
    "method",
    "class_names",
    "image_size",
    "about",
    "num_classes",
    "per_class",
    "backbone",
    "widths",
    "depth",
    "loss",
    "balance",
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    file = tmp_path_factory.mktemp("model") / "model.safetensors"
    detectors()[0].save(file)
    return file


@pytest.mark.slow
@given(st.sampled_from(KEYS), JSON)
@settings(max_examples=150)
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_any_metadata_load_or_are_refused_by_the_name_of_the_file(saved, key, value):
    with safe_open(saved, "pt") as file:
        about = json.loads(file.metadata()["lapnet"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    inner = about["about"]
    (about if key in about else inner if key in inner else inner["loss"])[key] = value
    broken = saved.with_name("broken.safetensors")
    save_file(tensors, broken, metadata={"lapnet": json.dumps(about)})
    kind, _, message = outcome(
        lambda: Detector.load(broken).predict(torch.zeros(3, 20, 30, dtype=torch.uint8))
    ).partition(": ")
    assert kind in ("ok", "ValueError"), message
    assert kind == "ok" or str(broken) in message


@given(st.sampled_from(["image_id", "category_id", "bbox", "score", "more"]), JSON)
@settings(max_examples=150)
def test_any_records_are_evaluated_or_refused(saved, key, value):
    file = saved.with_name("instances.json")
    file.write_text(json.dumps(instances()))
    results = saved.with_name("results.json")
    records = [{"image_id": 10, "category_id": 3, "bbox": [0, 0, 9, 9], "score": 0.5, key: value}]
    results.write_text(json.dumps(records))
    for handed in (results, records):
        kind, _, message = outcome(
            lambda handed=handed: coco_map(handed, file, image_ids=[10, 20], category_ids=[3, 7])
        ).partition(": ")
        assert kind in ("ok", "ValueError"), message
        assert "\n" not in message


@given(
    st.sampled_from(["images", "categories", "annotations"]),
    st.sampled_from(["id", "image_id", "category_id", "bbox", "area", "iscrowd", "name", ""]),
    JSON,
)
@settings(max_examples=150)
def test_any_annotations_are_evaluated_or_refused(saved, part, key, value):
    content = instances()
    if key:
        content[part].append({**content[part][0], "id": 30, key: value})
    else:
        content[part] = value
    file = saved.with_name("instances.json")
    file.write_text(json.dumps(content))
    record = {"image_id": 10, "category_id": 3, "bbox": [0, 0, 9, 9], "score": 0.5}
    kind, _, message = outcome(lambda: coco_map([record], file, image_ids=[10], category_ids=[3])).partition(": ")
    assert kind in ("ok", "ValueError"), message
    assert "\n" not in message
