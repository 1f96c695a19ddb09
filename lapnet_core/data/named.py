"""The data sets that have a name: what `--data` takes."""

from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from lapnet_core.data.checked import check_dataset, check_target, ours
from lapnet_core.data.coco import coco2017
from lapnet_core.data.download import data_dir
from lapnet_core.data.own import OwnData, find
from lapnet_core.data.types import DataError, OnError, Sample, Skipped, Target, Transform
from lapnet_core.data.voc import VOC_PARTS, voc0712
from lapnet_core.scenes import Scenes

SCENE_COUNTS = {"train": 4000, "val": 300, "test": 300}
"""Pictures per split of the embedded scenes."""
NAMED = {"scenes": tuple(SCENE_COUNTS), "voc": tuple(VOC_PARTS), "coco": ("train", "val", "test-dev")}
"""The splits of data that is known by its name, whatever folder is called so."""


@runtime_checkable
class Images(Protocol):
    """What training and evaluation ask of a data set: images as they are (uint8), and targets without their images.
    A data set of your own is checked as it is read (`checked`)."""

    class_names: tuple[str, ...]

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Sample | Skipped: ...
    def target(self, index: int, /) -> Target: ...


def object_sizes(
    dataset: Images, image_size: tuple[int, int], progress: bool = True
) -> tuple[Float[Tensor, "G 2"], Int[Tensor, " G"]]:
    """(w, h) in pixels of the network input, and labels, of a training set's objects that are not difficult.

    A data set that has `sizes_from`, as it takes long to make them, gives those of about so many images, evenly chosen.
    """
    check_dataset(dataset)
    known, stride = ours(dataset), max(1, -(-len(dataset) // getattr(dataset, "sizes_from", len(dataset) or 1)))
    sizes, labels = [torch.zeros(0, 2)], [torch.zeros(0, dtype=torch.int64)]
    for i in tqdm(range(0, len(dataset), stride), desc="sizes", unit="image", disable=None if progress else True):
        target = dataset.target(i)
        if not known:
            check_target(target, i)
        height, width = target["original_size"]
        boxes = target["boxes"].as_subclass(Tensor)[~target["difficult"]]
        scale = boxes.new_tensor([image_size[1] / width, image_size[0] / height])
        sizes.append((boxes[:, 2:] - boxes[:, :2]) * scale)
        labels.append(target["labels"][~target["difficult"]])
    return torch.cat(sizes), torch.cat(labels)


def open_dataset(
    name: str,
    split: str,
    *,
    image_size: tuple[int, int] = (192, 192),
    class_names: tuple[str, ...] | None = None,
    on_error: OnError = "raise",
    transform: Transform | None = None,
) -> Images:
    """One split of a named data set.

    Args:
        name: "scenes" (embedded); "voc" or "coco" as `download` puts them; or a folder, by its path or under
            `download.data_dir()`, in any layout that `own.find` knows.
        split: train, val, trainval or test, as far as the data has it, or as `own.find` makes it.
        image_size: (height, width) in pixels that scenes are rendered at; images from files keep their own size.
        class_names: order of the labels where the data itself fixes none (folders): hand those of the training split
            to the others. None: the classes found, sorted by name (COCO and YOLO: by number).

    Raises:
        DataError: the data is not there, or faulty with on_error="raise".
    """
    if name == "scenes":
        if split not in SCENE_COUNTS:
            raise DataError(f'scenes have no split "{split}"; give --split {" or --split ".join(SCENE_COUNTS)}')
        return Scenes(SCENE_COUNTS[split], size=image_size, split=split, transform=transform)
    folder = data_dir()
    if name == "voc":
        return voc0712(split, folder, on_error=on_error, transform=transform)
    if name == "coco":
        return coco2017(split, folder, on_error=on_error, transform=transform)
    return own_data(name).open(split, class_names=class_names, on_error=on_error, transform=transform)


def splits_of(name: str) -> tuple[str, ...]:
    """The splits that a data set has, as `open_dataset` takes them. DataError where there is no such data."""
    return NAMED[name] if name in NAMED else own_data(name).splits


def own_data(name: str) -> OwnData:
    """What the folder of this path, or of this name under `download.data_dir()`, holds; DataError where it is none."""
    own = Path(name).expanduser()
    root = own if own.exists() else data_dir() / name
    if not name or not root.exists():
        raise DataError(
            f'data "{name}": there is no {own}{f" and no {root}" * (root != own)}. Give --data the path of a folder '
            "with images and their annotations (VOC, COCO, YOLO or others), fetch public data with `lapnet data get`, "
            "or set LAPNET_DATA to the folder that holds it. `--data scenes` needs no files"
        )
    return find(root)
