"""Tables of boxes: what is no row is named by its line, whatever it holds."""

import gzip
import tracemalloc

import pytest

from lapnet_core.data.box_table import read_boxes

HEADER = "image_id,class,xmin,ymin,xmax,ymax\n"
GOOD = "7,dog,1,1,10,20\n"


def table(tmp_path, text: str | bytes, **how):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(text if isinstance(text, bytes) else text.encode()))
    return read_boxes(path, **{"one_based": False, **how})


BAD_ROWS = {
    "a word": "7,dog,1,x,10,20",
    "nan": "7,dog,1,nan,10,20",
    "infinite": "7,dog,1,1,inf,20",
    "overflowing": "7,dog,1,1,1e999,20",
    "too great for float32": "7,dog,1,1,1e39,20",
    "huge": "7,dog,1,1," + "9" * 400 + ",20",
    "far outside": "7,dog,-1e12,1,10,20",
    "too short": "7,dog,1,1,10",
    "too long": "7,dog,1,1,10,20,30",
    "no class": "7,,1,1,10,20",
    "no image": ",dog,1,1,10,20",
    "comma in the class": "7,traffic,light,1,1,10,20",
    "quote": '7,"dog,1,1,10,20',
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_row_that_is_no_box_is_named_by_its_line(tmp_path, case):
    with pytest.raises(ValueError, match=r"t\.csv\.gz: row [45] is no box") as caught:
        table(tmp_path, f"{HEADER}{GOOD}\n{BAD_ROWS[case]}\n{GOOD}")
    assert len(str(caught.value)) < 600


NO_TABLES = {
    "empty": (b"", "no boxes"),
    "header alone": (HEADER, "no boxes"),
    "other columns": ("a,b\n1,2\n", "row 2 is no box"),
    "no header": (GOOD * 2, "row 2 is no box"),
    "binary": (bytes(range(256)), "no table of boxes"),
    "long field": (HEADER + "7," + "x" * 200_000 + ",1,1,2,2\n", "no table of boxes"),
    "page": ("<!DOCTYPE html>\n<html>\n", "row 2 is no box"),
}


@pytest.mark.parametrize("case", NO_TABLES)
def test_what_is_no_table_is_named(tmp_path, case):
    text, message = NO_TABLES[case]
    with pytest.raises(ValueError, match=r"t\.csv\.gz: .*" + message):
        table(tmp_path, text)


def test_files_that_are_no_gzip_or_not_there(tmp_path):
    (tmp_path / "plain.csv.gz").write_text(HEADER + GOOD)
    with pytest.raises(ValueError, match=r"plain\.csv\.gz: this is no table"):
        read_boxes(tmp_path / "plain.csv.gz", one_based=True)
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress((HEADER + GOOD * 999).encode())[:-9])
    with pytest.raises(ValueError, match=r"cut\.csv\.gz: this is no table"):
        read_boxes(tmp_path / "cut.csv.gz", one_based=True)
    for name in ("none.csv.gz", ".", "x" * 5000):
        with pytest.raises(OSError, match=r"none\.csv\.gz|Is a directory.*/|xxx"):
            read_boxes(tmp_path / name, one_based=True)


def test_names_given_twice(tmp_path):
    with pytest.raises(ValueError, match="class_names: a name is there twice"):
        table(tmp_path, HEADER + GOOD, class_names=("dog", "cat", "dog"))


def test_a_bomb_on_one_line_is_given_up_before_it_is_unpacked(tmp_path):
    path = tmp_path / "t.csv.gz"
    with gzip.open(path, "wb") as file:
        file.write(b"image_id,class,xmin,ymin,xmax,ymax\n1,cat,1,1,9,9\n")
        for _ in range(64):
            file.write(b"9" * (1 << 20))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"t\.csv\.gz: this is no table .*a line has more than 10000 characters"):
        read_boxes(path, one_based=True)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
