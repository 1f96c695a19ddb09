import json
import math
import re
import sys
from importlib import import_module
from types import SimpleNamespace

import pytest
import torch

from lapnet_core.bench import evaluation, training
from lapnet_core.bench.line import Line, Result, run
from lapnet_core.bench.network import speed
from lapnet_core.bench.table import closing, header, row
from lapnet_core.cli import main
from lapnet_core.config import laptop_scenes
from lapnet_core.detector import Detector
from lapnet_core.peers import method_class


class Clock:
    """A clock that stands still but for `takes`: works that take a given time, one for each call."""

    def __init__(self):
        self.now, self.calls = 100.0, []

    def __call__(self):
        return self.now

    def takes(self, name, *seconds):
        left = iter(seconds)

        def work():
            self.calls.append(name)
            self.now += next(left)

        return work


def test_the_ratio_is_the_median_of_the_turns():
    """The machine is five times as slow in two turns of five, and one turn is disturbed: .5 all the same. A ratio of
    the medians would be 1, a mean of ratios 4.3."""
    clock = Clock()
    ours = clock.takes("ours", 99, 1, 5, 40, 1, 5)
    other = clock.takes("other", 77, 2, 10, 2, 2, 10)
    result = run(Line("a", "b", ours, other, limit=0.5, repeats=5), clock=clock)
    assert (result.ours, result.other, result.repeats) == (5000, 2000, 5)
    assert (result.low, result.ratio, result.high) == (0.5, 0.5, 0.5)
    assert result.holds
    # After the warm-up each is the first one in turn: what the one leaves in the caches is no advantage of the other.
    assert clock.calls == ["ours", "other"] + ["ours", "other", "other", "ours"] * 2 + ["ours", "other"]


def test_quartiles_are_of_the_ratios():
    clock = Clock()
    line = Line("a", "b", clock.takes("ours", 0, 1, 2, 3, 4, 5), clock.takes("other", 0, *[2] * 5), 1.4, repeats=5)
    result = run(line, clock=clock)
    assert (result.low, result.ratio, result.high) == (1.0, 1.5, 2.0)
    assert result.holds is False
    assert run(Line("a", "b", int, int, repeats=1)).holds is None


@pytest.mark.parametrize(("seconds", "turns"), [(0, 3), (6.5, 4), (100, 8), (math.inf, 8)])
def test_no_turn_begins_after_the_time_is_over(seconds, turns):
    clock = Clock()
    line = Line("a", "b", clock.takes("ours", *[1] * 9), clock.takes("other", *[1] * 9), repeats=8)
    assert run(line, seconds, clock).repeats == turns


def test_figures_are_asked_for_once():
    calls = []
    result = run(Line("a", "b", lambda: calls.append(1) or 54, lambda: 50.0, limit=1.15, unit="GMAC"))
    assert result == Result("a", "b", "GMAC", 54, 50, 1.08, 1.08, 1.08, 1, 1.15)
    assert calls == [1]


def result(what="assign", ours=1.234, other=0.9876, limit: float | None = 1.5, unit="ms", repeats=9, against="writing"):
    ratio = ours / other
    return Result(what, against, unit, ours, other, ratio, 0.9 * ratio, 1.1 * ratio, repeats, limit)


def test_the_table_says_what_is_missed():
    assert row(result(), 100).splitlines() == [
        "  assign                                               1.23 ms     1.25 [1.12, 1.37]     1.5 ok",
        "    writing                                            0.988 ms",
    ]
    assert row(result(ours=150, other=0.05), 100).splitlines()[0].endswith("  3000 [2700, 3300]     1.5 MISSED")
    assert row(result(ours=0.0123, other=0.1, limit=None), 100).splitlines()[0].endswith("0.123 [0.111, 0.135]")
    assert (
        row(result(unit="GMAC", ours=54.2, other=50, repeats=1), 100)
        .splitlines()[0]
        .endswith("1.08  " + " " * 16 + "1.5 ok")
    )
    told = [result("a"), result("b", ours=4), result("c", limit=None), result("d", ours=9)]
    assert closing(told, 83.4) == "4 lines in 83 s; 1 of 3 limits hold; MISSED: b; d"


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_a_table_stays_in_its_window(width):
    long = "assign, COCO-512, 80 classes of 10 anchors, both maps written out, with the owner of every single anchor"
    lines = [line for text in (header(width), row(result(long, against=long), width)) for line in text.splitlines()]
    assert max(map(len, lines)) <= max(width, 72)
    words = " ".join(lines).split()
    assert all(words.count(word) >= 2 for word in long.split())


@pytest.fixture
def parts(monkeypatch):
    """Put lines, or what making them raises, in the place of a part."""

    def put(name, *lines):
        def made(quick):
            put.quick = quick
            for line in lines:
                if isinstance(line, BaseException):
                    raise line
                yield line

        monkeypatch.setitem(sys.modules, f"lapnet_core.bench.{name}", SimpleNamespace(lines=made))

    return put


def figures(what, ours, limit: float | None = None):
    return Line(what, "other", lambda: ours, lambda: 2.0, limit, unit="MB")


def test_the_command_tells_and_writes(parts, tmp_path, capsys):
    parts("loss", figures("a", 3.0, 1.2), figures("b", 1.0))
    parts("start", figures("c", 2.0, 1.0))
    file = tmp_path / "bench.json"
    file.write_text("mine")
    assert main(["bench", "start", "loss", "--quick", "--json", str(file)]) == 0
    assert parts.quick is True
    told = capsys.readouterr().out
    assert "3 lines in 0 s; 1 of 2 limits hold; MISSED: a" in told
    assert f"wrote {tmp_path / 'bench-2.json'}, as {file} is taken" in told
    assert f"torch {torch.__version__}" in told
    assert told.index("start") < told.index("\n  c ") < told.index("loss") < told.index("\n  a ")
    assert file.read_text() == "mine"
    made = json.loads((tmp_path / "bench-2.json").read_text())
    assert made["threads"] == torch.get_num_threads()
    assert made["versions"]["torch"] == torch.__version__
    assert (made["quick"], made["complete"], made["left_out"]) == (True, True, {})
    assert [(line["part"], line["what"], line["holds"]) for line in made["lines"]] == [
        ("start", "c", True), ("loss", "a", False), ("loss", "b", None),
    ]  # fmt: skip
    assert made["lines"][1] == {
        "part": "loss", "what": "a", "against": "other", "unit": "MB", "ours": 3.0, "other": 2.0, "ratio": 1.5,
        "low": 1.5, "high": 1.5, "repeats": 1, "limit": 1.2, "holds": False,
    }  # fmt: skip


@pytest.mark.parametrize(("ours", "status"), [(3.0, 1), (2.0, 0)])
def test_strict_ends_with_an_error_where_a_limit_is_missed(parts, ours, status):
    parts("loss", figures("a", ours, 1.2))
    assert main(["bench", "loss", "--strict"]) == status
    assert parts.quick is False


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), ValueError("the two disagree")])
def test_what_was_measured_stays(parts, tmp_path, capsys, stop):
    def broken():
        raise stop

    parts("loss", figures("a", 3.0), Line("b", "other", broken, broken), figures("c", 3.0))
    file = tmp_path / "bench.json"
    assert main(["bench", "loss", "start", "--json", str(file)]) == (130 if isinstance(stop, KeyboardInterrupt) else 1)
    told = capsys.readouterr()
    assert "1 line in 0 s" in told.out
    assert ("interrupted" in told.out) == isinstance(stop, KeyboardInterrupt)
    assert ("the two disagree" in told.err) == isinstance(stop, ValueError)
    made = json.loads(file.read_text())
    assert [line["what"] for line in made["lines"]] == ["a"]
    assert made["complete"] is False


def test_a_part_without_its_package_is_left_out(parts, tmp_path, capsys):
    parts("export", figures("a", 1.0), ModuleNotFoundError("No module", name="onnxruntime"))
    parts("loss", figures("b", 1.0))
    file = tmp_path / "bench.json"
    assert main(["bench", "export", "loss", "--json", str(file)]) == 0
    assert "left out: onnxruntime is not installed" in capsys.readouterr().out
    made = json.loads(file.read_text())
    assert made["left_out"] == {"export": "onnxruntime is not installed"}
    assert [line["what"] for line in made["lines"]] == ["a", "b"]
    parts("loss", ModuleNotFoundError("No module", name="lapnet_core.bench.gone"))  # ours: that is a mistake
    with pytest.raises(ModuleNotFoundError):
        main(["bench", "loss"])


def test_a_place_that_cannot_be_written_is_told_before_anything_is_measured(parts, tmp_path, capsys):
    parts("loss", AssertionError("measured"))
    (tmp_path / "a").touch()
    assert main(["bench", "loss", "--json", str(tmp_path / "a" / "b.json")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_threads(parts):
    seen = []
    parts("loss", Line("a", "b", lambda: seen.append(torch.get_num_threads()) or 1, lambda: 1, unit="MB"))
    before = torch.get_num_threads()
    try:
        assert main(["bench", "loss", "--threads", "1"]) == 0
        assert seen == [1]
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["assignment", "loss", "evaluation", "training", "start", "export"])
def test_the_quick_form_runs(part):
    whats = []
    for line in import_module(f"lapnet_core.bench.{part}").lines(True):
        line.ours()
        line.other()
        whats.append(line.what)
    assert 1 <= len(whats) <= 10


def test_an_evaluation_that_disagrees_is_not_timed(monkeypatch):
    monkeypatch.setattr(evaluation, "CLASSES", 3)
    detections, targets = evaluation.synthetic(40)
    value = evaluation.looped_map(detections, targets)
    assert 0.1 < value < 0.9
    monkeypatch.setattr(evaluation, "synthetic", lambda images: (detections, targets))
    assert next(evaluation.lines(True)).limit is None
    monkeypatch.setattr(evaluation, "looped_map", lambda *_: value + 1e-6)
    with pytest.raises(ValueError, match="disagree"):
        next(evaluation.lines(True))


def test_a_peer_is_timed_as_a_whole():
    method = method_class("retinanet").restore({"num_classes": 2, "backbone": "light"})
    about, told = speed(Detector(method.eval(), ("red", "blue"), (64, 96)), 1).splitlines()
    assert about.startswith("64x96, 2 classes; ")
    assert re.fullmatch(r"\d+\.\d ms an image, \d+\.\d images/s", told)


def test_reading_goes_on_to_the_next_batch(tmp_path):
    read, kept = training.reading(tmp_path, laptop_scenes()), training.reading(tmp_path, laptop_scenes(), keep=1e9)
    first, second = read(), read()
    for batch in (first, second):
        assert kept().images.equal(batch.images)
    assert first.images.shape == second.images.shape == (8, 3, 192, 192)
    assert len(list(tmp_path.glob("*.jpg"))) == 8
    assert sum(len(target["boxes"]) for target in first.targets) > 20
    assert not first.images.equal(second.images)


def test_the_share_of_the_loss_goes_through_it_to_the_outputs():
    config = laptop_scenes().with_options(image_size=(64, 64), batch_size=2)
    line = training.share_of_loss("light", config, 7, 0.1, 3)
    scores, offsets = line.ours()
    assert scores.shape == (2, 7, 10, 8, 8)
    assert scores.abs().min() > 0
    assert 0 < (offsets != 0).float().mean() < 0.5
