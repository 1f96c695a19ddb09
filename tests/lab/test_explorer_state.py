"""The explorer's state: as a line of Python, as a photograph of one's own, as a still picture."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import lapnet_lab
from lapnet_core.boxes import paired_iou
from lapnet_core.detector import Detector
from lapnet_core.method import LapNetMethod
from lapnet_core.model import LapNet
from lapnet_core.scenes import SCENE_CLASSES
from lapnet_lab.explorer import presets
from lapnet_lab.explorer.state import MOST_OBJECTS, read_line
from lapnet_lab.explorer.widget import Explorer
from lapnet_lab.models import ANIMALS

SIDES = torch.tensor([12.3, 30.0, 60.0, 120.0])
SHAPES = torch.stack((SIDES, 1.6 * SIDES), -1)[None].repeat(len(SCENE_CLASSES), 1, 1)
TRAITS = (
    "boxes",
    "labels",
    "label",
    "anchor",
    "layer",
    "threshold",
    "size",
    "preset",
    "extent",
    "class_names",
    "shapes",
)


@pytest.fixture
def hug() -> Explorer:
    return Explorer.situation("two_people_hugging", SHAPES)


def message(explorer: Explorer, **state: Any) -> None:
    """What the browser sends."""
    explorer._handle_msg({"content": {"data": {"method": "update", "state": state, "buffer_paths": []}}, "buffers": []})


def order(explorer: Explorer, **command: Any) -> str:
    """A command of the browser, and why it was refused."""
    number, upload = explorer.seq + 1, command.pop("upload", None)
    message(explorer, **({"upload": upload} if upload else {}), command={**command, "seq": number}, seq=number)
    assert explorer.reply["seq"] == number
    return explorer.reply["refused"]


def state(explorer: Explorer) -> dict[str, Any]:
    return {name: getattr(explorer, name) for name in TRAITS} | {"maps": explorer.reply["maps"]}


def executed(line: str) -> Explorer:
    """The explorer of a cell that holds nothing but the line."""
    assert "\n" not in line
    return eval(line, {"Explorer": lapnet_lab.Explorer})


def changed(explorer: Explorer) -> Explorer:
    """As somebody leaves it who has played with it."""
    first = explorer.boxes[0]
    explorer.set_objects(torch.tensor([[3.0, 4.5, 40.3, 60.7], first]), torch.tensor([1, 0]))
    explorer.threshold, explorer.size, explorer.anchor, explorer.layer = 0.3, 2**0.35, 2, "ao"
    explorer.label = 0
    return explorer


BOX = torch.tensor([[10.0, 10.0, 90.0, 200.0]])
EXPLORERS = {
    "shipped": lambda: Explorer(preset="crowd", layer="product"),
    "played with": lambda: changed(Explorer(preset="two_people_hugging")),
    "anchors of its own": lambda: changed(Explorer.situation("tiny_object", SHAPES)),
    "no image": lambda: Explorer(None, BOX, torch.tensor([0]), SHAPES[:1], ['a "b"']),
    "no objects": lambda: Explorer(None, None, None, SHAPES, SCENE_CLASSES, extent=(100, 150), label=2),
    "objects for the shipped model": lambda: Explorer(None, BOX, torch.tensor([1])),
}


@pytest.mark.parametrize("name", EXPLORERS)
def test_the_line_makes_the_same_explorer_and_can_be_pasted_back(name: str) -> None:
    explorer = EXPLORERS[name]()
    assert explorer.error == ""
    line, wanted = explorer.line, state(explorer)
    again = executed(line)
    assert state(again) == wanted
    assert again.line == line
    message(again, resets=again.resets + 1, seq=1)
    if not explorer.preset:
        assert (again.boxes, again.labels) == (explorer.boxes, explorer.labels)  # "start again" starts with the line
    explorer.set_objects(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    explorer.threshold, explorer.layer = 0.9, "clusters"
    assert order(explorer, kind="paste", text=f"  {line}\n") == ""
    assert state(explorer) == wanted


def test_a_line_goes_over_to_its_situation() -> None:
    line = changed(Explorer(preset="crowd")).line
    explorer = Explorer(preset="tiny_object")
    assert order(explorer, kind="paste", text=line) == ""
    assert (explorer.preset, explorer.about) == ("crowd", presets.ABOUT["crowd"])
    assert explorer.line == line


def test_a_written_line_may_be_short() -> None:
    explorer = Explorer.state(boxes=[[20, 30, 90, 120]], classes=["car"])
    assert (explorer.boxes, explorer.labels) == ([[20.0, 30.0, 90.0, 120.0]], [SCENE_CLASSES.index("car")])
    with pytest.raises(ValueError, match="no class 'cat' here; there are person"):
        Explorer.state(boxes=[[20, 30, 90, 120]], classes=["cat"])


FAULTY = {
    "": "no line of Python",
    "Explorer.state(": "no line of Python",
    "hello": "no state of an explorer",
    "Explorer(boxes=[])": "no state of an explorer",
    "print(Explorer.state())": "no state of an explorer",
    "Explorer.state([[1, 2, 3, 4]])": "has its name before it",
    "Explorer.state(**{'boxes': []})": "has its name before it",
    "Explorer.state(boxes=__import__('os').listdir())": "boxes has to be written out in numbers",
    "Explorer.state(boxes=[[1, 2, 3, 4]] * 3, classes=['person'] * 3)": "boxes has to be written out",
    "Explorer.state(boxes=5)": "boxes has to be a list",
    "Explorer.state(boxes=[[1, 2, 3, 4]])": "1 boxes, but 0 classes",
    "Explorer.state(boxes=[[1, 2, 3]], classes=['person'])": "Box 1 has to be four numbers",
    "Explorer.state(boxes=[[1, 2, True, 4]], classes=['person'])": "Box 1 has to be four numbers",
    "Explorer.state(boxes=[[0, 0, 1e999, 9]], classes=['person'])": "Box 1 has to be four numbers",
    "Explorer.state(boxes=[[9, 0, 9, 9]], classes=['person'])": "Box 1, [9, 0, 9, 9], has no area",
    "Explorer.state(boxes=[[0, 0, 9, 900]], classes=['person'])": "has no area in the picture of 256 x 256",
    "Explorer.state(boxes=[[0, 0, 9, 9]], classes=['unicorn'])": "no class 'unicorn' here; there are person",
    "Explorer.state(boxes=[[0, 0, 9, 9]], classes=[99])": "no class 99",
    "Explorer.state(preset='moon')": "no situation 'moon'",
    "Explorer.state(threshold=2)": "threshold is 2; it has to be 0 to 1",
    "Explorer.state(layer='ams')": "needs a trained model",
    "Explorer.state(layer=['ao'])": "layer is ['ao']",
    "Explorer.state(anchor=4)": "None or 0 to 3",
    "Explorer.state(size='big')": "0.25 to 4",
    "Explorer.state(label='unicorn')": "no class 'unicorn'",
    "Explorer.state(colour='red')": "has no colour",
    "Explorer.state(model='scenes')": "another model",
    "Explorer.state(shapes=[[[1, 2]]])": "other anchors",
    f"Explorer.state(boxes={[[0, 0, 9, 9]] * (MOST_OBJECTS + 1)}, classes={[0] * (MOST_OBJECTS + 1)})": "are the most",
    f"Explorer.state(boxes={'[' * 5000})": "no line of Python",
    "x" * 300_000: "300000 characters",
}


@pytest.mark.parametrize("text", FAULTY, ids=lambda text: text[:50])
def test_a_faulty_line_gives_a_sentence_and_changes_nothing(hug: Explorer, text: str) -> None:
    before = state(changed(hug))
    assert FAULTY[text] in order(hug, kind="paste", text=text)
    assert state(hug) == before
    assert hug.error == ""
    message(hug, threshold=0.4, seq=hug.seq + 1)
    assert hug.reply["refused"] == ""  # it is told once


def test_a_line_is_read_and_never_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []
    monkeypatch.setattr("builtins.print", lambda *_: ran.append(1))
    with pytest.raises(ValueError, match="written out"):
        read_line("Explorer.state(boxes=print('x'))")
    assert not ran
    assert read_line("lapnet_lab.Explorer.state(label='a')  # a comment") == {"label": "a"}


def test_what_no_line_can_hold_stands_in_its_comment() -> None:
    torch.manual_seed(0)
    detector = Detector(LapNetMethod(LapNet(len(SCENE_CLASSES), 4), SHAPES / 2), tuple(SCENE_CLASSES), (128, 128))
    image = torch.zeros(3, 128, 128, dtype=torch.uint8)
    box = torch.tensor([[10.0, 10.0, 90.0, 100.0]])
    explorer = Explorer(image, box, torch.tensor([0]), detector=detector, layer="ao")
    assert explorer.line.endswith("  # without image=..., detector=...")
    again = executed(explorer.line)
    assert (again.boxes, again.shapes, again.extent) == (explorer.boxes, explorer.shapes, explorer.extent)
    explorer.layer = "ams"
    named = {"Explorer": Explorer, "image": image, "detector": detector}
    whole = eval(explorer.line.split("  #")[0][:-1] + ", image=image, detector=detector)", named)
    assert state(whole) == state(explorer)


def png(width: int, height: int, color: tuple[int, int, int] = (200, 30, 40)) -> memoryview:
    file = io.BytesIO()
    Image.new("RGB", (width, height), color).save(file, "PNG")
    return memoryview(file.getvalue())  # as Jupyter hands it over


def test_a_photograph_of_ones_own_is_shown_and_the_map_goes_on(hug: Explorer) -> None:
    assert order(hug, kind="photograph", name="dog.jpg", size=[4000, 3000], upload=png(256, 256)) == ""
    assert (hug.preset, hug.boxes, hug.error, bytes(hug.upload)) == ("my_photograph_1", [], "", b"")
    assert '"dog.jpg", 4000 x 3000 pixels' in hug.about
    assert hug.presets[-1] == "my_photograph_1"
    assert tuple(hug._image[:, 5, 5].tolist()) == (200, 30, 40)
    message(hug, boxes=[[10, 10, 90, 100]], labels=[1], label=1, seq=hug.seq + 1)
    assert hug.objects[0]["positives_pono"] > 0
    assert hug.line.endswith("# without your photograph")
    hug.preset = "crowd"
    hug.preset = "my_photograph_1"  # one can come back to it
    assert tuple(hug._image[:, 5, 5].tolist()) == (200, 30, 40)


def test_a_shipped_explorer_shows_photographs_with_the_model_that_knows_them() -> None:
    explorer = Explorer(preset="crowd")
    assert order(explorer, kind="photograph", name="a.png", size=[192, 192], upload=png(192, 192)) == ""
    assert explorer.class_names == list(ANIMALS)
    boxes, labels = [[10, 10, 90, 100]], [ANIMALS.index("dog")]
    message(explorer, boxes=boxes, labels=labels, seq=explorer.seq + 1)
    assert explorer.objects[0]["class"] == "dog"
    # A step of undo goes back to the other picture, and to the objects as they were there.
    assert order(explorer, kind="show", preset="crowd", boxes=[[10, 10, 90, 100]], labels=[0]) == ""
    assert (explorer.preset, explorer.class_names) == ("crowd", list(SCENE_CLASSES))
    assert order(explorer, kind="show", preset="my_photograph_1", boxes=boxes, labels=labels) == ""
    assert (explorer.labels, explorer.class_names) == (labels, list(ANIMALS))


@pytest.mark.parametrize(
    ("upload", "told"),
    [
        (memoryview(b"GIF89a nonsense"), "is no picture"),
        (memoryview(bytes(png(256, 256))[:60]), "is no picture"),
        (png(255, 256), "has 255 x 256 pixels, not 256 x 256"),
        (memoryview(bytes(presets.MOST_BYTES + 1)), "16 MB is the most"),
    ],
)
def test_what_is_no_picture_is_refused(hug: Explorer, upload: memoryview, told: str) -> None:
    before = state(hug)
    assert told in order(hug, kind="photograph", name="notes.txt", size=[1, 1], upload=upload)
    assert state(hug) == before
    assert hug.presets == list(presets.ABOUT)
    assert "no command" in order(hug, kind="fly")


def test_the_oldest_photographs_go(hug: Explorer) -> None:
    for _ in range(presets.MOST_OWN + 2):
        order(hug, kind="photograph", name="a", size=[1, 1], upload=png(256, 256))
    assert [name for name in hug.presets if name.startswith(presets.OWN)] == [
        f"my_photograph_{k}" for k in range(3, 11)
    ]


def test_a_rescued_object_has_the_iou_of_the_anchor_that_it_was_given() -> None:
    explorer = Explorer.situation("equal_boxes", SHAPES, anchor=None)
    rescued = explorer.objects[1]
    assert rescued["rescued"]
    assert 0 < rescued["best_iou"] < explorer.objects[0]["best_iou"] + 1e-6
    found = []
    for anchor in range(len(SIDES)):  # the one cell of all maps that is the second object's
        explorer.anchor = anchor
        values = np.frombuffer(explorer.reply["maps"], np.float32).reshape(5, *explorer.reply["grid"])
        for row, column in zip(*np.nonzero(values[3] == 1), strict=True):
            middle = 8 * torch.tensor([column + 0.5, row + 0.5])
            side = SHAPES[explorer.label, anchor]
            box = torch.cat((middle - side / 2, middle + side / 2))[None].float()
            found.append(paired_iou(box, torch.tensor(rescued["box"])[None]).item())
    assert found == [pytest.approx(rescued["best_iou"], abs=1e-5)]
    assert "best IoU 0.00" not in explorer.describe()


def test_where_no_widget_can_be_shown_there_are_a_picture_and_text(hug: Explorer) -> None:
    data, metadata = hug._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG")
    assert data["text/plain"].splitlines()[1].startswith("1 person 74 x 15")
    assert "application/vnd.jupyter.widget-view+json" in data
    assert "person, person; AO, clusters, PONO and positives of person" in metadata["image/png"]["alt"]
