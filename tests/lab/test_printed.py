"""Printed pairs and rows: nothing of Python's in them, and columns that stand beneath each other."""

from lapnet_lab import aligned, listed


def test_pairs_stand_on_a_line() -> None:
    assert listed({"AO": 3, "AO, AMS": 2}) == "AO: 3; AO, AMS: 2"
    assert listed({1500: -20.34, 4500: 0.5}, "+.1f") == "1500: -20.3; 4500: +0.5"
    assert listed({}) == ""


def test_rows_have_columns() -> None:
    assert aligned({"": ["cat", "sheep"], "objects": [1033, 4], "AP": ["0.44", "-"]}) == (
        "          cat  sheep\nobjects  1033      4\nAP       0.44      -"
    )
    assert aligned({"O": [0.5, 1.0], "needed": [1.0, 0.5]}, ".2f") == "O       0.50  1.00\nneeded  1.00  0.50"


def test_a_row_of_words_widens_no_column() -> None:
    assert aligned({"small": "cats and dogs", "n": [1, 2]}) == "small  cats and dogs\nn      1  2"


def test_a_short_row_and_none() -> None:
    assert aligned({"a": [1, 22], "b": [333]}) == "a    1  22\nb  333"
    assert aligned({"a": [], "b": [1]}) == "a\nb  1"
    assert aligned({}) == ""
