"""Boxes of photographs are read as their data set counts pixels."""

import gzip
from pathlib import Path

import pytest

from lapnet_lab.photographs import TABLES, photographs

ROWS = "image_id,class,xmin,ymin,xmax,ymax\na,dog,11,21,30,40\nb,cat,1,1,5,5\n"


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_read_as_its_set_counts(name: str, tmp_path: Path) -> None:
    file, one_based, longest = TABLES[name]
    (tmp_path / "boxes").mkdir()
    (tmp_path / "boxes" / f"{file}.csv.gz").write_bytes(gzip.compress(ROWS.encode()))
    table, scale = photographs(name, tmp_path)
    assert table.class_names == ("cat", "dog")
    assert table.boxes[0].tolist() == ([10, 20, 30, 40] if one_based else [11, 21, 30, 40])
    assert scale * longest == 512
    assert photographs(name, tmp_path, ("dog", "cat"))[0].labels.tolist() == [0, 1]


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="voc07_test"):
        photographs("VOC07 test", tmp_path)
