"""docs/claims.md says what data/claims.toml says, and everything that a claim names is there."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from lapnet_lab import claims

ROOT = Path(__file__).resolve().parents[1]
CLAIMS = claims.load()
PAGE = ROOT / "docs" / "claims.md"


def test_everything_that_a_claim_names_is_there() -> None:
    assert claims.problems(CLAIMS) == []


def test_the_page_is_rendered() -> None:
    """`python -m lapnet_lab.claims` writes it."""
    assert PAGE.read_text("utf-8") == claims.render(CLAIMS)


def test_every_section_and_status_has_claims() -> None:
    assert {claim.section for claim in CLAIMS} == set(claims.SECTIONS)
    assert {claim.status for claim in CLAIMS} == set(claims.STATUS)
    assert [*dict.fromkeys(claim.section for claim in CLAIMS)] == list(claims.SECTIONS)  # in the paper's order


def test_every_table_and_figure_of_results_has_a_claim() -> None:
    places = " ".join(claim.place for claim in CLAIMS)
    for place in ("table 1", "table 2a", "table 2b", "table 3", "fig. 1", "fig. 3", "fig. 4", "fig. 5", "fig. 6"):
        assert place in places, place


def test_every_notebook_about_the_method_teaches_a_claim() -> None:
    taught = {claim.taught.partition(": ")[0] for claim in CLAIMS}
    topics = ("anchors", "pono", "ambiguity", "balance", "model", "training", "weights", "ablations")
    assert {name[3:] for name in taught} >= set(topics)


def test_the_counts_at_the_top_are_those_of_the_tables() -> None:
    text = PAGE.read_text("utf-8")
    for status in claims.STATUS:
        (counted,) = re.findall(rf"^\| \*\*{status}\*\* \| (\d+) \|", text, re.MULTILINE)
        assert int(counted) == len(re.findall(rf"^\| <a id.*\| {status} \|", text, re.MULTILINE)), status
    assert f"{len(CLAIMS)} sentences" in text


def test_every_link_of_the_page_leads_somewhere() -> None:
    text = PAGE.read_text("utf-8")
    found = [link for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text) if not link.startswith("https://")]
    assert len(found) > 2 * len(CLAIMS)
    assert [link for link in set(found) if not (PAGE.parent / link).exists()] == []


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What claims are checked against."""
    root = tmp_path_factory.mktemp("copy")
    for pattern in ("data/claims.toml", "data/records/*.json", "data/paper/*.csv", "notebooks/*.py", "README.md",
                    "tests/**/test_*.py"):  # fmt: skip
        for path in ROOT.glob(pattern):
            (root / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, root / path.relative_to(ROOT))
    return root


def test_the_copy_alone_is_right(copy: Path) -> None:
    assert claims.problems(claims.load(copy), copy) == []


ONE = "pono-over-ao"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('status = "at small scale only"', 'status = "nearly"', "'nearly' is no status"),
        ('section = "4.1"', 'section = "4.7"', "the paper has no section '4.7'"),
        ("09_ablations: 2. Table 2a", "09_ablations: 3. Table 2a", "has no heading '3. Table 2a: PONO and AMS'"),
        ("09_ablations: 2. Table 2a", "09_ablation: 2. Table 2a", "there is no notebooks/09_ablation.py"),
        ('"ablations.pono_over_ao.mean", ', '"ablations.pono_over_oa.mean", ', "'pono_over_oa.mean' is missing"),
        ("README.md: On photographs", "README.md: On paintings", "README.md has no heading 'On paintings'"),
        ("::test_the_record_is_what", "::test_no_record_is_what", "has no test test_no_record_is_what_the_runs_say"),
        ("lessons/test_ablations.py", "lessons/test_ablation.py", "there is no tests/lessons/test_ablation.py"),
        ("{ablations.pono_over_ao_75.low}", "{ablations.pono_over_ao_75.lo}", "'pono_over_ao_75.lo' is missing"),
        ("{ablations.pono_over_ao_75.low}", "-1.3", "'saw' states [-1.3,, which no record holds"),
        ('quote = "PONO', 'quote = "' + "word " * 12 + "PONO", "a quote has one to 12 words"),
        ('quote = "PONO is a better criterion"', 'quote = ""', "a quote has one to 12 words"),
        ("blood_pono_over_ao.high}].", "blood_pono_over_ao.high}]", "ends with a full stop"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_the_claim(copy: Path, tmp_path: Path, old: str, new: str, said: str) -> None:
    text = (ROOT / "data" / "claims.toml").read_text("utf-8")
    before, start, rest = text.partition(f'id = "{ONE}"')
    this, end, after = rest.partition("[[claim]]")
    assert old in this
    whole = before + start + this.replace(old, new) + end + after
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "claims.toml").write_text(whole, "utf-8")
    found = claims.problems(claims.load(tmp_path), copy)
    assert found
    assert all(line.startswith(f"claim '{ONE}': ") for line in found)
    assert said in found[0]


@pytest.mark.slow
def test_a_renamed_heading_test_or_record_is_seen(copy: Path, tmp_path: Path) -> None:
    """What the names lead to may change, too; then all claims that name it are told."""
    root = shutil.copytree(copy, tmp_path / "root")

    def changed(file: str, old: str, new: str) -> list[str]:
        path = root / file
        kept = path.read_text("utf-8")
        assert old in kept
        path.write_text(kept.replace(old, new), "utf-8")
        claims.tests.cache_clear()
        found = claims.problems(claims.load(root), root)
        path.write_text(kept, "utf-8")
        claims.tests.cache_clear()
        return found

    assert "the nearest is '9. Real data'" in changed("notebooks/02_pono.py", "## 9. Real boxes", "## 9. Real data")[0]
    renamed = changed("tests/core/test_assign.py", "def test_properties_that_hold", "def test_properties_which_hold")
    assert len(renamed) == sum("test_properties_that_hold" in shown for claim in CLAIMS for shown in claim.shown) > 0
    assert changed("data/records/ablations.json", '"over_ssd_75"', '"above_ssd_75"')[0].startswith("claim 'above-ssd'")
    shorter = changed("notebooks/08_weights.py", "rank correlation with area", "rank correlation")
    assert shorter[0].endswith("prints 'rank correlation with area' any more: edit 'shown'")
    commented = changed("notebooks/02_pono.py", 'print(f"PONO > 0.5: ', '# print(f"PONO > 0.5: ')
    assert commented[0].startswith("claim 'pono-threshold': no code of notebooks/02_pono.py prints")
    assert changed("README.md", "### On photographs", "### Photographs")
    (root / "notebooks" / "08_weights.py").unlink()
    gone = claims.problems(claims.load(root), root)
    assert any("what 08_weights prints, but there is no notebooks/08_weights.py" in line for line in gone)
    assert any("it is taught in '08_weights" in line for line in gone)


def test_an_id_stands_once() -> None:
    (found,) = claims.problems([*CLAIMS, CLAIMS[0]])
    assert found == f"claim '{CLAIMS[0].id}': there are several of this id"


def test_a_claim_that_nothing_shows_was_not_tried() -> None:
    tried = claims.Claim(**{**vars(CLAIMS[0]), "shown": ()})
    assert claims.problems([tried]) == [f"claim '{tried.id}': nothing shows it, so it cannot be 'reproduced'"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("status =", "state =", "state, status is missing, or is no field of a claim"),
        ("shown = []", 'shown = "nothing"', "'shown' is a list of strings"),
        ("place = ", "place = 1 #", "every other field a string"),
    ],
)
def test_a_claim_has_its_fields(tmp_path: Path, old: str, new: str, said: str) -> None:
    (tmp_path / "data").mkdir()
    text = (ROOT / "data" / "claims.toml").read_text("utf-8")
    (tmp_path / "data" / "claims.toml").write_text(text.replace(f"\n{old}", f"\n{new}"), "utf-8")
    with pytest.raises(ValueError, match=re.escape(said)):
        claims.load(tmp_path)


def test_a_file_that_is_no_toml_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "claims.toml").write_text("[[claim]\n")
    with pytest.raises(ValueError, match=r"claims\.toml: is no TOML"):
        claims.load(tmp_path)
    monkeypatch.setattr(claims, "load", lambda: claims.records.load("nothing", tmp_path))
    monkeypatch.setattr(sys, "argv", ["claims"])
    assert claims.main() == 1
    assert "nothing.json is not there" in capsys.readouterr().err


def test_the_command_line(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = shutil.copytree(copy, tmp_path / "root")
    (root / "docs").mkdir()
    here = [claims.load(root), claims.problems(CLAIMS, root), claims.render(CLAIMS, root)]
    monkeypatch.setattr(claims, "ROOT", root)
    for name, given in zip(("load", "problems", "render"), here, strict=True):
        monkeypatch.setattr(claims, name, lambda *_, given=given: given)
    page = root / "docs" / "claims.md"
    monkeypatch.setattr(sys, "argv", ["claims", "--check"])
    assert claims.main() == 1
    assert "is not what data/claims.toml says" in capsys.readouterr().out
    assert not page.exists()
    monkeypatch.setattr(sys, "argv", ["claims"])
    assert claims.main() == 0
    assert page.read_text("utf-8") == PAGE.read_text("utf-8")
    page.write_text(page.read_text("utf-8").replace("reproduced", "refuted", 1), "utf-8")
    monkeypatch.setattr(sys, "argv", ["claims", "--check"])
    assert claims.main() == 1
    monkeypatch.setattr(claims, "problems", lambda *_: ["claim 'x': wrong"])
    assert claims.main() == 1
    assert "claim 'x': wrong" in capsys.readouterr().out
