"""Exercise checks: right answers pass, wrong ones get a reason, nothing raises; the notebook's solutions are right."""

from typing import Any

import pytest
import torch
from exercises import exercises_of

from lapnet_core.assign import assign
from lapnet_core.scenes import SCENE_CLASSES
from lapnet_lab.lessons.start.exercises import EXERCISES, check, judge


@pytest.fixture(scope="module")
def tiny() -> dict[str, Any]:
    """The small bird and the person of the notebook's scene."""
    boxes = torch.tensor([[74.5, 126.0, 85.5, 133.5], [170.5, 109.5, 237.0, 222.5]])
    labels = torch.tensor([SCENE_CLASSES.index("bird"), SCENE_CLASSES.index("person")])
    side = torch.linspace(8, 80, 10)[None].expand(len(SCENE_CLASSES), 10)
    return {"shapes": torch.stack((side, side * 1.3), -1), "grid_size": (32, 32), "boxes": boxes, "labels": labels}


def given(name: str, tiny: dict[str, Any]) -> dict[str, Any]:
    return {"cell_center": {"row": 3, "column": 5}, "pono": {**tiny, "number": 0}, "least_fit": {"overlap": 0.8}}[name]


def right(name: str, tiny: dict[str, Any]) -> Any:
    plain = assign(**tiny, overlap="ao")
    bird = torch.where(plain.object_index == 0, plain.overlap, 0)
    return {"cell_center": (44, 28), "pono": bird / bird.max(), "least_fit": 0.625}[name]


@pytest.mark.parametrize("name", EXERCISES)
def test_right_answers_pass(name: str, tiny: dict[str, Any]) -> None:
    verdict = judge(name, right(name, tiny), **given(name, tiny))
    assert verdict.done is True
    assert str(verdict).startswith("Correct: ")


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize("stub", [None, ...])
def test_a_stub_is_not_yet_done(name: str, stub: Any, tiny: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    check(name, stub, **given(name, tiny))
    assert capsys.readouterr().out.startswith("Not yet: ")


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize(
    "answer",
    [
        "twelve",
        [],
        {},
        object(),
        torch.zeros(3, 3, 3),
        float("nan"),
        [None, 1],
        lambda x: x,
        (1, 2, 3),
        -5,
        True,
        "",
        {1},
    ],
)
def test_anything_at_all_gets_a_sentence(name: str, answer: Any, tiny: dict[str, Any]) -> None:
    verdict = judge(name, answer, **given(name, tiny))
    assert verdict.done is False
    assert len(verdict.message) > 15


def test_wrong_answers_are_told_apart(tiny: dict[str, Any]) -> None:
    cell = given("cell_center", tiny)
    assert "wrong order" in judge("cell_center", (28, 44), **cell).message
    assert "corner" in judge("cell_center", (40, 24), **cell).message
    assert "below" in judge("least_fit", 0.5, overlap=0.8).message
    assert "above" in judge("least_fit", 0.8, overlap=0.8).message
    pono, truth = given("pono", tiny), right("pono", tiny)
    plain = assign(**tiny, overlap="ao")
    assert "outside the cluster" in judge("pono", plain.overlap / plain.overlap.max(), **pono).message
    assert "divided" in judge("pono", truth / 2, **pono).message
    assert "differ" in judge("pono", truth.sqrt(), **pono).message


def test_unknown_exercises_and_missing_inputs_do_not_raise() -> None:
    assert "cell_center" in judge("nonsense", 1).message
    assert judge("cell_center", (44, 28)).done is False


def test_the_solutions_in_the_notebook_are_right(tiny: dict[str, Any]) -> None:
    exercises = exercises_of("00_start_here")
    assert [name for _, name, _ in exercises] == list(EXERCISES)
    for solution, name, variable in exercises:
        names: dict[str, Any] = {"torch": torch, "ao": assign(**tiny, overlap="ao"), "bird": 0}
        exec(solution, names)
        assert judge(name, names[variable], **given(name, tiny)).done is True, name
