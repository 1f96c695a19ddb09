"""Texts state what is recorded, records are complete, and the paper's tables are the paper's."""

import csv
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from lapnet_lab import records
from lapnet_lab.lessons.balance.panels import BALANCES
from lapnet_lab.records import paper_table, render, stale, value, written

ROOT = Path(__file__).resolve().parents[2]
PAPER = Path(os.environ.get("LAPNET_PAPER") or ROOT.parent / "shared" / "paper" / "lapnet.txt")
NAMES = sorted(path.stem for path in (ROOT / "data" / "records").glob("*.json"))
TEXTS = [ROOT / "README.md", ROOT / "data" / "README.md", *sorted((ROOT / "notebooks").glob("[0-9]*.py"))]
TABLES = sorted(path.stem for path in (ROOT / "data" / "paper").glob("*.csv"))

TOY = {
    "measured": {
        "trained": {
            "command": "lapnet train", "seed": 0, "machine": "two cores", "date": "2026-11-23", "runs": 1,
            "values": {
                "map": {"value": {"1": 0.27, "10": 0.425}, "unit": "mAP", "format": ".2"},
                "lost": {"value": 478, "unit": "objects", "format": ","},
                "all": {"value": 12032, "unit": "objects", "format": ","},
            },
        },
    },
    "tables": {
        "map": {
            "columns": ["", "A = 1", "{toy.all}"],
            "rows": [["PONO", "{toy.map.1}", "**{toy.lost/toy.all:.1%}**"]],
        },
    },
}  # fmt: skip
LINES = ["<!-- records: toy.map -->", "| | A = 1 | 12,032 |", "| --- | --- | --- |", "| PONO | .27 | **4.0 %** |"]
LINES += ["<!-- /records -->", "", "With one shape <!--record toy.map.1-->.27<!--/record--> is left, it says, which is"]
LINES += ["less (<!--record toy.map.10-->.42<!--/record-->,<!--record toy.lost/toy.all:.1%-->4.0 %<!--/record-->), and"]
LINES += ["<!-- records: toy.map -->", *LINES[1:5]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with TOY, and the paper's tables."""
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "toy.json").write_text(json.dumps(TOY))
    shutil.copytree(ROOT / "data" / "paper", tmp_path / "paper")
    return tmp_path


@pytest.fixture(params=["", "# "], ids=["plain", "in comments"])
def text(request: pytest.FixtureRequest) -> str:
    """LINES, as they stand in a README, or in a notebook's .py."""
    return "".join(f"{request.param}{line}".rstrip() + "\n" for line in LINES)


def test_a_right_text_stays(text: str, data: Path) -> None:
    assert render(text, data) == text


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("| .27 |", "| .28 |"),
        ("4.0 %", "4.1 %"),
        ("12,032", "12 032"),
        ("1-->.27<", "1-->.37<"),
        ("1-->.27<", "1--><"),
        ("-->.42<", "-->.43<"),
        ("-->4.0 %<", "-->4 %<"),
    ],
)
def test_a_changed_digit_is_found_and_mended(text: str, data: Path, right: str, wrong: str) -> None:
    path = data / "text.md"
    path.write_text(text.replace(right, wrong, 1))
    assert path.read_text() != text
    removed, added = stale(path, data)
    assert wrong in removed
    assert right in added
    assert stale(path, data, write=True) == [removed, added]
    assert path.read_text() == text
    assert stale(path, data) == []


@pytest.mark.parametrize("lines", [[1], [3], [1, 2, 3]])
def test_a_table_is_made_whole(text: str, data: Path, lines: list[int]) -> None:
    kept = [line for k, line in enumerate(text.splitlines()) if k not in lines]
    assert render("\n".join([*kept, ""]), data) == text


def test_what_is_not_marked_stays(data: Path) -> None:
    text = "mAP .99\n<!-- a remark -->\n| a | {toy.lost} |\n"
    assert render(text, data) == text


@pytest.mark.parametrize(
    "text",
    [
        "<!-- records: toy.map -->\n| a |\n",
        "<!-- records: toy.map -->\n| a |\n<!-- records: toy.map -->\n| a |\n<!-- /records -->\n",
        "# <!-- records: toy.map -->\n# | a |\n<!-- /records -->\n",
        "<!-- records: toy -->\n| a |\n<!-- /records -->\n",
        "it is <!--record toy.lost-->478",
        "it is <!--record toy.lost--> 478\n<!--/record-->",
        "it is <!-- record toy.lost -->478<!--/record-->",
        "it is 478<!--/record-->",
    ],
)
def test_a_broken_mark_is_an_error(data: Path, text: str) -> None:
    with pytest.raises(ValueError, match="not closed, or misspelt"):
        render(text, data)


@pytest.mark.parametrize("before", ["", "# ", "- ", "#   1. ", "> "])
def test_a_mark_does_not_begin_a_line(data: Path, before: str) -> None:
    """Markdown would take the line as HTML, and end the paragraph."""
    mark = "<!--record toy.lost-->478<!--/record--> objects\n"
    with pytest.raises(ValueError, match="must not begin a line"):
        render(f"text\n{before}{mark}", data)
    assert render(f"text\n{before}of {mark}", data) == f"text\n{before}of {mark}"


def test_formats(data: Path) -> None:
    assert written("toy.map.10", data) == ".42"  # to even, as Python rounds
    assert written("toy.map.10:.3f", data) == "0.425"
    assert written("toy.map.10:.0%", data) == "42 %"
    assert written("toy.lost/toy.all:.3", data) == ".040"
    assert written("toy.lost+toy.all", data) == "12,510"
    assert written("toy.lost+toy.lost/toy.all:.1%", data) == "7.9 %"
    assert written("paper.table_2a.pono.yes.map", data) == "81.7"
    assert written("paper.table_2b.focal.map:.0f", data) == "71"
    assert value("toy.map.1", data) == 0.27
    assert value("paper.table_3.YoloV3-608.ap", data) == 33.0


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("toy.map", r"toy\.json: 'map' is missing"),
        ("toy.map.3", r"toy\.json: 'map\.3' is missing"),
        ("toy.lost/toy.any:.3", r"toy\.json: 'any' is missing"),
        ("toy.lost/toy.all", "a ratio needs a format"),
        ("paper.table_2a.pono.map", r"table_2a\.csv: not one number in 'map'"),
        ("paper.table_2a.pono.yes.mAP", r"table_2a\.csv: not one number in 'mAP'"),
        ("paper.table_2b.learned.loss", r"table_2b\.csv: not one number in 'loss'"),
        ("paper.table_1.YOLOv2.cat", r"table_1\.csv: not one number in 'cat'"),
    ],
)
def test_a_wrong_reference_names_the_file(data: Path, reference: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        written(reference, data)
    path = data / "text.md"
    path.write_text(f"it is <!--record {reference}-->1<!--/record-->\n")
    with pytest.raises(ValueError, match=rf"text\.md: .*{said}"):
        stale(path, data)


def test_what_is_not_there_says_why(tmp_path: Path) -> None:
    for look in (lambda: paper_table("table_1", tmp_path), lambda: value("toy.lost", tmp_path)):
        with pytest.raises(FileNotFoundError, match="part of the repository, not of an installed lapnet_lab"):
            look()


def broken(damage: Any, data: Path) -> Path:
    file = json.loads(json.dumps(TOY))
    damage(file, file["measured"]["trained"], file["measured"]["trained"]["values"]["map"])
    (data / "records" / "toy.json").write_text(json.dumps(file))
    return data


@pytest.mark.parametrize("name", ["command", "seed", "machine", "date", "runs", "values"])
def test_a_missing_field_of_a_run_is_an_error(data: Path, name: str) -> None:
    with pytest.raises(ValueError, match=rf"toy\.json: trained: '{name}' is missing"):
        records.load("toy", broken(lambda file, run, given: run.pop(name), data))


@pytest.mark.parametrize("name", ["value", "unit", "format"])
def test_a_missing_field_of_a_value_is_an_error(data: Path, name: str) -> None:
    with pytest.raises(ValueError, match=rf"toy\.json: trained\.map: '{name}' is missing"):
        records.load("toy", broken(lambda file, run, given: given.pop(name), data))


@pytest.mark.parametrize(
    ("said", "damage"),
    [
        ("'tables' is missing", lambda file, run, given: file.pop("tables")),
        ("trained: 'machine' cannot be ''", lambda file, run, given: run.update(machine="")),
        ("trained: 'runs' cannot be '1'", lambda file, run, given: run.update(runs="1")),
        (r"trained: what is \['sed'\]\?", lambda file, run, given: run.update(sed=1)),
        (r"trained\.map: what is \['units'\]\?", lambda file, run, given: given.update(units="px")),
        (r"trained\.map\.1 stands", lambda file, run, given: given["value"].update({"1": "0.27"})),
        (r"again\.map\.1 stands there twice", lambda file, run, given: file["measured"].update(again=run)),
        ("map: 'rows' is missing", lambda file, run, given: file["tables"]["map"].pop("rows")),
        ("map has rows of different lengths", lambda file, run, given: file["tables"]["map"]["rows"][0].pop()),
    ],
)
def test_other_damage_is_an_error(data: Path, said: str, damage: Any) -> None:
    with pytest.raises(ValueError, match=rf"toy\.json: {said}"):
        records.load("toy", broken(damage, data))


def test_an_unknown_table_is_an_error(data: Path) -> None:
    with pytest.raises(ValueError, match=r"toy\.json: no table 'ap'"):
        render("<!-- records: toy.ap -->\n<!-- /records -->\n", data)


# What is recorded.


@pytest.mark.parametrize("name", NAMES)
def test_a_record_file_is_complete(name: str) -> None:
    values, tables = records.load(name)
    assert values or tables
    for key, record in values.items():
        assert re.fullmatch(r"2\d{3}-\d\d(-\d\d)?", record.run["date"]), key
        assert record.run["runs"] >= (0 if "estimate" in record.run["command"] else 1), key
        seeds = record.run["seed"] if isinstance(record.run["seed"], list) else [record.run["seed"]]
        assert all(seed is None or isinstance(seed, int) for seed in seeds), key
        assert re.search(r"\d", written(f"{name}.{key}")), key
    for key in tables:
        table = render(f"<!-- records: {name}.{key} -->\n<!-- /records -->\n")
        assert "{" not in table.replace("^{", ""), key


@pytest.mark.parametrize("name", NAMES)
def test_an_estimate_is_called_one(name: str) -> None:
    for row in [row for table in records.load(name)[1].values() for row in table]:
        for cell in row:
            for found in re.findall(r"\{(\w+)\.([\w.]+)", cell):
                estimated = found[0] != "paper" and records.load(found[0])[0][found[1]].run["runs"] == 0
                assert estimated == ("estimate" in cell), cell


@pytest.mark.parametrize("path", TEXTS, ids=[path.stem for path in TEXTS])
def test_no_text_states_another_number(path: Path) -> None:
    assert stale(path) == []


def test_readme_takes_its_figures_from_the_records(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    measured = text.split("## Measured")[1].split("\n## ")[0]
    rendered = r"<!-- records: .*?<!-- /records -->|<!--record .*?<!--/record-->"
    outside = re.sub(rendered, "", measured, flags=re.DOTALL)
    assert "<!-- records: readme.measured -->" in measured
    assert not re.search(r"\.\d|\d %", re.sub(r"torch [\d.]+ and [\d.]+", "", outside)), outside
    (tmp_path / "README.md").write_text(text.replace("22.2 %", "22.3 %"), "utf-8")
    assert len(stale(tmp_path / "README.md")) == 2


def test_totals_are_the_sums_of_their_parts() -> None:
    values, _ = records.load("pono")
    for what in ("objects", "missed", "rescued"):
        for data in ("voc", "coco"):
            parts = [values[f"{data}_{what}.{side}"].value for side in (0, 8, 16, 32, 64, 128)]
            assert values[f"{data}_{what}.all"].value == sum(parts), (data, what)


def test_the_recorded_ap_is_that_of_the_recorded_runs() -> None:
    with (ROOT / "data" / "runs" / "balance_scenes.csv").open(encoding="utf-8", newline="") as file:
        runs = [run for run in csv.DictReader(file) if run["steps"] == "400"]
    for key, record in records.load("balance")[0].items():
        found = re.fullmatch(r"(?:ap|map)_(\w+?)(?:\.(\w+))?", key)
        if found:
            name = {"light": "traffic_light", "ones": "mean"}.get(found[1], found[1])
            balance = found[2] or "ones"
            ap = [float(run["ap"]) for run in runs if (run["balance"], run["class"]) == (balance, name)]
            assert len(ap) == record.run["runs"], key
            assert record.value == round(sum(ap) / len(ap), 2), key


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "text.md"
    path.write_text("mAP <!--record paper.table_2a.pono.yes.map-->81.6<!--/record-->\n")
    for option, code, says, left in (
        (["--check"], 1, "+mAP", "81.6"),
        ([], 0, "+mAP", "81.7"),
        (["--check"], 0, "1 texts state what is recorded", "81.7"),
    ):
        monkeypatch.setattr(sys, "argv", ["records", *option, str(path)])
        assert records.main() == code
        assert says in capsys.readouterr().out
        assert left in path.read_text()
    for text, said in ((None, "gone.md"), ("a <!--record paper.table_9.a.b-->1<!--/record-->", "table_9")):
        damaged = tmp_path / "gone.md"
        if text:
            damaged.write_text(text)
        monkeypatch.setattr(sys, "argv", ["records", "--check", str(damaged)])
        assert records.main() == 1
        assert said in capsys.readouterr().err


def test_a_record_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    for content in (b'{"measured": {},', b"\xff"):
        (tmp_path / "records" / "toy.json").write_bytes(content)
        with pytest.raises(ValueError, match=r"toy\.json: is no JSON"):
            records.load("toy", tmp_path)


# What the paper says.

REGIONS = {
    "table_1": ("over all pixels without any", "Table 1. Results"),
    "table_2a": ("LapNet gives the best results.", "λloc λcls"),
    "table_2b": ("(a) yes 78.4 81.7", "(b)"),
    "table_3": ("mentioned in Table 3 for information. However,", "Table 3. LapNet results"),
}
"""Between which words of the text a table is."""
TOGETHER = ("mbike", "person", "plant", "sheep")
"""These columns of table 1 came row by row."""


@pytest.fixture(scope="module")
def paper() -> str:
    """The paper's text in one line."""
    if not PAPER.is_file():
        pytest.skip(f"no text of the paper at {PAPER}; LAPNET_PAPER may name it")
    return " ".join(PAPER.read_text("utf-8").split())


def words_of(name: str, paper: str) -> list[str]:
    first, last = REGIONS[name]
    assert paper.count(first) == 1
    return paper.split(first)[1].split(last)[0].split()


def cells_of(name: str) -> list[dict[str, str]]:
    with (ROOT / "data" / "paper" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def runs_of(name: str, rows: list[dict[str, str]]) -> list[list[str]]:
    """What has to stand in the text one after the other: columns, within a group of table 3."""

    def column(key: str, group: str | None = None) -> list[str]:
        return [row[key] for row in rows if row[key] and group in (None, row.get("group"))]

    if name == "table_2a":
        return [[key, *(row["map"] for row in rows if row["ams"] == key)] for key in ("no", "yes")]
    if name == "table_2b":
        weights = [[row[key] for key in row if key.startswith("lambda")] for row in rows]
        weights[3].reverse()  # the text has "1 1" before "learned learned"; a sentence says which is which, see below
        return [[cell for row in weights for cell in row], ["Loss", *column("loss")], ["mAP", *column("map")]]
    if name == "table_3":
        groups = dict.fromkeys(row["group"] for row in rows)
        return [column(key, group) for group in groups for key in rows[0] if key.startswith("ap")]
    together = [[row[key] for key in TOGETHER] for row in rows if row["mbike"]]
    methods = ["method", *(row["method"] + row["reference"] for row in rows)]
    single = [column(key) for key in list(rows[0])[5:] if key not in TOGETHER]
    return [methods, ["backbone", *column("backbone")], ["mAP", *column("map")], *single, *together]


def not_in_the_text(name: str, rows: list[dict[str, str]], words: list[str]) -> list[list[str]]:
    """The runs that are not there."""
    if name == "table_3":
        words = [word for word in words if re.fullmatch(r"\d+\.\d", word)]  # backbones stand between the numbers
    text = " ".join(["", *words, ""])
    return [run for run in runs_of(name, rows) if f" {' '.join(run)} " not in text]


@pytest.mark.parametrize("name", REGIONS)
def test_the_paper_s_tables_are_the_paper_s(name: str, paper: str) -> None:
    rows, words = cells_of(name), words_of(name, paper)
    assert not_in_the_text(name, rows, words) == []
    numbers = {(k, key): cell for k, row in enumerate(rows) for key, cell in row.items() if re.search(r"\d\.\d", cell)}
    assert len(numbers) == {"table_1": 11 + 20 * 10, "table_2a": 4, "table_2b": 5, "table_3": 6 * 19}[name]
    for (k, key), cell in numbers.items():  # each of them, with another last digit, is missed
        wrong = [*rows[:k], {**rows[k], key: cell[:-1] + str((int(cell[-1]) + 1) % 10)}, *rows[k + 1 :]]
        assert not_in_the_text(name, wrong, words), (k, key)


def test_table_3_has_the_paper_s_names(paper: str) -> None:
    words, rows = " ".join(words_of("table_3", paper)), cells_of("table_3")
    two, others = [row for row in rows if row["group"] == "two-stage"], [r for r in rows if r["group"] != "two-stage"]
    ways = [f"{row['method'].removeprefix('Faster R-CNN ')} {row['reference']}" for row in two]
    assert " ".join([*ways, "backbone", *(row["backbone"] for row in two)]) in words
    assert words.startswith("method " + "Faster R-CNN Faster R-CNN Two-stage Faster R-CNN Faster R-CNN AP")
    for group in ("slow single-stage", "fast single-stage"):
        at = -1
        for name in [f"{row['method']} {row['reference']}".strip() for row in others if row["group"] == group]:
            assert (at := words.find(name, at + 1)) > 0, name
    slow, fast = ([row for row in others if row["group"].startswith(kind)] for kind in ("slow", "fast"))
    assert " ".join(f"{row['backbone']} {row['ap']}" for row in slow) in words
    assert " ".join(row["backbone"] for row in fast) in words


def test_classes_of_table_1_average_to_its_map() -> None:
    """So the row without classes is the right one."""
    for row in paper_table("table_1"):
        classes = [cell for cell in list(row.values())[5:] if cell != ""]
        assert len(classes) == (0 if row["method"] == "YOLOv2" else 20)
        allowed = 0.16 if row["method"] == "DSSD513" else 0.07
        assert not classes or abs(sum(classes) / 20 - row["map"]) < allowed, row["method"]


def test_sentences_quote_the_tables(paper: str) -> None:
    ao, ao_ams, pono, pono_ams = (row["map"] for row in paper_table("table_2a"))
    balance = {row["balance"]: row["map"] for row in paper_table("table_2b")}
    coco = {(row["method"], row["backbone"][:9]): row["ap"] for row in paper_table("table_3")}
    best = coco["Lapnet-608", "DarkNet-5"]
    assert f"PONO than with absolute overlap ({pono} vs {ao})" in paper
    assert f"Combining ambiguity management with AO decreases the mAP ({ao_ams} vs {ao})" in paper
    assert f"Combining PONO and ambiguity management gives the best result ({pono_ams} vs {pono})" in paper
    assert f"({coco['Lapnet-512', 'DarkNet-5']} of mAP vs {coco['YoloV3-608', 'DarkNet-5']})" in paper
    less = [best - coco[method, "ResNet-10"] for method in ("RetinaNet-800", "FCOS-800")]
    assert f"LapNet is less accurate ({less[0]:.1f} to {less[1]:.1f} in mAP) but is 2.5x faster" in paper
    more = [coco[method, "ResNeXt-3"] - best for method in ("RetinaNet-800", "FCOS-800")]
    assert f"outperforming LapNet by {more[0]:.1f} and {more[1]:.1f} points" in paper
    least = coco["Lapnet-512", "DarkNet-5"] - max(coco["RetinaNet-500", kind] for kind in ("ResNet-50", "ResNet-10"))
    assert f"(+{least:.1f} in mAP at least" in paper
    # The rows of table 2b, in words.
    constant, loss = (
        next(row for row in paper_table("table_2b") if row["balance"] == name) for name in ("retina", "loss")
    )
    assert "we give the constant value λcls = R" in paper
    assert constant["lambda_cls"] == "R"
    assert "The fourth line of Table 2b shows that when using only automatic loss weights" in paper
    assert [loss["lambda_loc"], loss["lambda_cls"], loss["lambda_loc_ca"]] == ["learned", "learned", "1"]
    assert balance["ones"] < balance["focal"] < balance["retina"] < balance["loss"] < balance["learned"]
    # One detector, three tables.
    assert value("paper.table_1.LapNet512.DarkNet-53.map") == balance["learned"] == pono_ams


def test_balances_are_the_rows_of_table_2b() -> None:
    assert [row["balance"] for row in paper_table("table_2b")] == list(BALANCES)


def test_figure_1_has_no_more_than_the_text(paper: str) -> None:
    for limit in (
        "We only plot detectors with a computing time less than 200 ms",
        "processing time per image less than 100 ms",
    ):
        assert limit in paper
    listed = [row for row in paper_table("table_3") if row["group"] != "two-stage"]
    figure = paper_table("figure_1")
    for row, table in zip(figure, listed, strict=True):
        assert [row[key] for key in ("method", "backbone", "ap")] == [
            table[key] for key in ("method", "backbone", "ap")
        ]
        if table["group"] == "fast single-stage":
            assert (row["ms_from"], row["ms_below"]) == ("", 100)
        else:
            assert (row["ms_from"], row["ms_below"]) == (100, 200 if row["shown"] == "yes" else "")
        assert (row["shown"] == "no") == ("ResNeXt" in str(row["backbone"]))
    assert re.search(r"ResNeXt-101 .* we do not consider them in the speed/accuracy trade-off analysis", paper)
    named = {str(row["method"]) for row in figure if row["shown"] == "yes"}
    assert named == {"RetinaNet-500", "RetinaNet-800", "FCOS-800", "YoloV3-608", "Lapnet-512", "Lapnet-608"}


def test_the_paper_s_readme_lists_its_tables() -> None:
    text = (ROOT / "data" / "paper" / "README.md").read_text("utf-8")
    assert sorted(re.findall(r"^\| `(\w+)\.csv`", text, re.MULTILINE)) == TABLES
