"""Boxes of photographs: the tables of PASCAL VOC and COCO in the folder that LAPNET_DATA names, without pictures."""

from pathlib import Path

from lapnet_core.data.box_table import BoxTable, read_boxes

INPUT = 512
"""Long side of the paper's network input, in pixels."""
TABLES = {
    "VOC07+12": ("voc0712_trainval", True, 500),
    "VOC07 test": ("voc07_test", True, 500),
    "COCO val2017": ("coco_val2017", False, 640),
}
"""Name -> file in boxes/, whether its pixels count from 1, and the length that all images are taken to have."""


def photographs(name: str, folder: Path, class_names: tuple[str, ...] | None = None) -> tuple[BoxTable, float]:
    """The boxes of one of `TABLES`, in pixels of the original images, and pixels of the network input per such pixel.

    Args:
        folder: of the data, as `Lab.data`; the tables are in its boxes/.
        class_names: order of the labels; None sorts the names found.

    Raises:
        FileNotFoundError: the table is not there.
    """
    file, one_based, longest = TABLES[name]
    table = read_boxes(Path(folder, "boxes", f"{file}.csv.gz"), one_based=one_based, class_names=class_names)
    return table, INPUT / longest
