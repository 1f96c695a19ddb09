"""`lapnet anchors`: the anchors of a data set, or of a table of its boxes, as a file."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from lapnet_core.config import preset_for


@dataclass(frozen=True)
class Anchors:
    """Cluster the anchors of a data set (paper 3.1) into a JSON file for `lapnet train --anchors`.

    Where only the boxes are at hand, a table of them will do: --data boxes/voc0712_trainval.csv.gz --classes voc
    --one-based --scale 1.024
    """

    data: str
    """As in `lapnet train`; or a table of boxes, a file .csv.gz with the columns image_id, class, xmin, ymin, xmax,
    ymax, which is looked for in LAPNET_DATA, too."""
    split: str = ""
    """Empty: what `lapnet train` trains on. A table has no splits."""
    out: Path = Path("anchors.json")
    """A name that is taken gets a number."""
    image_size: tuple[int, int] = (512, 512)
    """(height, width) of the network input in pixels, multiples of 32."""
    per_class: int = 10
    seed: int = 0
    on_error: Literal["raise", "skip"] = "raise"
    classes: Literal["found", "voc", "coco"] = "found"
    """Of a table: the order of the classes. A training takes anchors in the order of its own data only. found: the
    names in the table, sorted."""
    one_based: bool = False
    """Of a table: pixels count from 1 and the last one is included, as VOC's."""
    scale: float | None = None
    """Of a table, which holds no image sizes: pixels of the network input per pixel of the table, for example 512/500
    for VOC and 512/640 for COCO at 512."""

    def run(self, given: Sequence[str]) -> int:
        """Write the file, print how well its shapes fit.

        Raises:
            ValueError: a flag is missing, or does not go with this data; a faulty table; a class without objects.
            OSError: no such table, or the file cannot be written.
        """
        from lapnet_core.anchors import AnchorFile, average_iou, cluster_anchors
        from lapnet_core.files import write_new, wrote

        height, width = replace(preset_for(self.data), image_size=self.image_size).image_size  # what a training takes
        names, sizes, labels, how = (_of_table if self.data.endswith(".csv.gz") else _of_images)(self)
        shapes = cluster_anchors(sizes, labels, len(names), self.per_class, self.seed, names)
        made_by = (
            f"lapnet anchors --data {shlex.quote(self.data)} {how} --image-size {height} {width} "
            f"--per-class {self.per_class} --seed {self.seed}"
        )
        made = AnchorFile(names, self.image_size, shapes, made_by).to_json()
        counts, fits = labels.bincount(minlength=len(names)), average_iou(sizes, labels, shapes)
        for name, count, fit in zip(names, counts.tolist(), fits.tolist(), strict=True):
            print(f"{name:16} {count:7} objects, average IoU {fit:.3f}")
        everything = (fits * counts).sum() / counts.sum()
        print(f"{'all':16} {len(sizes):7} objects, average IoU {everything:.3f}; mean of the classes {fits.mean():.3f}")
        print(wrote(self.out, write_new(self.out, lambda part: part.write_text(made, encoding="utf-8"))))
        return 0

    @property
    def of_table(self) -> str:
        """The flags that only a table of boxes takes, as far as they are given."""
        return shlex.join(
            ["--classes", self.classes] * (self.classes != "found")
            + ["--one-based"] * self.one_based
            + ["--scale", str(self.scale)] * (self.scale is not None)
        )


def _of_images(args: Anchors) -> tuple[tuple[str, ...], Any, Any, str]:
    """Class names, (w, h) in pixels of the network input, labels, and the flags that say how."""
    from lapnet_core.data.named import object_sizes, open_dataset

    if args.of_table:
        raise ValueError(f"{args.of_table}: only a table of boxes, --data FILE.csv.gz, takes this")
    split = args.split or preset_for(args.data).split
    dataset = open_dataset(args.data, split, image_size=args.image_size, on_error=args.on_error)
    return tuple(dataset.class_names), *object_sizes(dataset, args.image_size), f"--split {split}"


def _of_table(args: Anchors) -> tuple[tuple[str, ...], Any, Any, str]:
    """The same of a table of boxes."""
    from lapnet_core.data import COCO_CLASSES, VOC_CLASSES, data_dir
    from lapnet_core.data.box_table import read_boxes

    if args.split:
        raise ValueError(f"--split {args.split}: a table of boxes has no splits")
    if args.scale is None or not 0 < args.scale < math.inf:
        raise ValueError(
            f"{args.data} holds no image sizes, so it takes --scale, the pixels of the network input per pixel of the "
            f"table, above 0 (VOC at 512: 512/500 = 1.024; COCO: 512/640 = 0.8), not {args.scale}"
        )
    own = Path(args.data).expanduser()
    path = own if own.is_file() else data_dir() / args.data
    order = {"found": None, "voc": VOC_CLASSES, "coco": COCO_CLASSES}[args.classes]
    table = read_boxes(path, one_based=args.one_based, class_names=order)
    if table.dropped:
        print(f"{table.dropped} boxes without area are left out")
    return table.class_names, (table.boxes[:, 2:] - table.boxes[:, :2]) * args.scale, table.labels, args.of_table
