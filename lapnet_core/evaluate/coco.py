"""COCO metrics and results files, through pycocotools itself."""

import contextlib
import io
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from lapnet_core.data.coco import are_shares, read_json
from lapnet_core.data.types import Detection, Id, Target
from lapnet_core.evaluate.inputs import flatten_images, names_of
from lapnet_core.files import write_new
from lapnet_core.inputs import FARTHEST, check_list, shown

# A hundredth of a pixel is what COCO's own annotations carry; six decimals of a score keep a test-dev file small.
BOX_DECIMALS, SCORE_DECIMALS = 2, 6


@dataclass(frozen=True, eq=False)
class CocoResult:
    """COCO's twelve figures, each in 0..1, nan where COCOeval gives -1 because no object qualifies.

    ap is the mean over IoU .50:.05:.95; ap50 and ap75 are at one IoU; small, medium and large are by object area,
    parted at 32^2 and 96^2 px. ar_N is the mean recall with N detections per image and class. class_ap is `ap` per
    class, (C,) float64, in the order of `class_names`.
    """

    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    ar_1: float
    ar_10: float
    ar_100: float
    ar_small: float
    ar_medium: float
    ar_large: float
    class_ap: Float[Tensor, "C"]
    class_names: tuple[str, ...]

    def __str__(self) -> str:
        names = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
        names += ("ar_1", "ar_10", "ar_100", "ar_small", "ar_medium", "ar_large")
        rows = [(name, getattr(self, name)) for name in names]
        rows += list(zip(self.class_names, self.class_ap.tolist(), strict=True))
        width = max(len(name) for name, _ in rows)
        lines = [f"{name:<{width}}  {value:6.3f}" for name, value in rows]
        return "\n".join(["COCO, box", *lines[:12], "ap by class", *lines[12:]])


def coco_results(
    detections: Sequence[Detection], image_ids: Sequence[Id], category_ids: Sequence[Id | None]
) -> list[dict[str, Any]]:
    """Detections as COCO results records: {image_id, category_id, bbox, score}.

    Args:
        detections: one per image: boxes (D, 4) xyxy px of the ORIGINAL image (not of the network's input), scores (D,),
            labels (D,) int64.
        image_ids: COCO's id of each image, in the order of `detections`.
        category_ids: (C) COCO's id of each label: label 0 is `category_ids[0]`. None: detections of it are left out.

    Returns:
        Records image after image; bbox is (x, y, width, height) px to a hundredth, score to six decimals.

    Raises:
        ValueError: lengths differ, an id comes twice, or what `flatten_images` refuses.
    """
    return _records(detections, image_ids, category_ids, rounded=True)


def write_coco_results(
    path: str | Path, detections: Sequence[Detection], image_ids: Sequence[Id], category_ids: Sequence[Id | None]
) -> Path:
    """Writes `coco_results(...)` as the JSON that COCO's evaluation server takes (zip it as its page asks).

    Replaces nothing, see `files.write_new`; returns where it is. For the arguments and errors see `coco_results`.
    """
    records = coco_results(detections, image_ids, category_ids)
    text = json.dumps(records, separators=(",", ":"), allow_nan=False)
    return write_new(path, lambda part: part.write_text(text, encoding="utf-8"))


def coco_map(
    results: str | Path | Sequence[Mapping[str, Any]],
    annotation_file: str | Path,
    *,
    image_ids: Sequence[Id],
    category_ids: Sequence[Id | None],
) -> CocoResult:
    """COCO's metrics by pycocotools against an instances JSON.

    Args:
        results: detections in the order of `image_ids` (as for `coco_results`, which also rounds them here, so that the
            figures are those of the file), or COCO results records, or a results file. No record at all gives zeros.
        annotation_file: a COCO instances JSON with annotations.
        image_ids, category_ids: what is evaluated; results on others that the file knows are left out. `class_ap`
            follows `category_ids`, and is nan for None.

    Raises:
        ValueError: an id that the annotation file lacks or that comes twice, a file without annotations or of boxes in
            shares of the image, a record that is none by its number, or what `coco_results` refuses.
    """
    in_file = isinstance(results, str | Path)
    records: Any = read_json(Path(results)) if in_file else results
    check_list(str(results) if in_file else "results", records)
    if len(records) and isinstance(records[0], Mapping) and "boxes" in records[0]:
        records = coco_results(records, image_ids, category_ids)
    else:
        check_records(records, str(results) if in_file else "results")
    return _run_cocoeval(_truth(Path(annotation_file)), records, image_ids, category_ids)


def check_records(records: Sequence[Any], source: str) -> None:
    """ValueError by number for one that is no COCO results record."""
    for n, record in enumerate(records):
        named = isinstance(record, Mapping) and _has_ids(record, "image_id", "category_id")
        if not named or not _is_box(record.get("bbox")) or not _is_box([record.get("score"), 0, 0, 0]):
            needs = "image_id, category_id, bbox (x, y, width, height) and score, all finite"
            raise ValueError(f"{source}: result {n} must be a dict with {needs}, not {shown(record)}")


def _truth(path: Path) -> COCO:
    """What a file annotates, without entries that nothing can be told of. An object without extent, which training with
    on_error "skip" leaves out, is one that is missed, as pycocotools has it.

    Numbered anew from 1, as COCOeval takes a match with the annotation of id 0 for no match, and some files have none.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
        raise ValueError(f"{path} has no annotations (a test set's image list?)")
    kept: list[dict[str, Any]] = []
    try:
        if not all(_has_ids(entry, "id") for entry in content["categories"]):
            raise KeyError("id")
        content["images"] = [one for one in content["images"] if isinstance(one, dict) and _has_ids(one, "id")]
        for entry in content["annotations"]:
            usable = isinstance(entry, dict) and _has_ids(entry, "image_id", "category_id")
            if usable and _is_box(entry.get("bbox")) and entry.get("iscrowd", 0) in (0, 1):
                area = entry.get("area")  # pycocotools would stop at null, and pass over an object of less than none
                area = area if _is_box([0, 0, 0, area]) else entry["bbox"][2] * entry["bbox"][3]
                kept.append({"iscrowd": 0, **entry, "area": area, "id": len(kept) + 1})
        truth = _coco_of({**content, "annotations": kept})
        shares = are_shares(content["images"], content["annotations"])
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: its images, categories or annotations are not as COCO's ({error!r})") from error
    if shares:
        raise ValueError(f"{path}: its boxes are shares of the image, not pixels; coco_map_from_targets measures there")
    return truth


def _has_ids(entry: Mapping[str, Any], *names: str) -> bool:
    return all(isinstance(entry.get(name), Integral | str) and not isinstance(entry[name], bool) for name in names)


def _is_box(box: Any) -> bool:
    four = isinstance(box, Sequence) and len(box) == 4 and not any(isinstance(x, bool) for x in box)
    return four and all(isinstance(x, Real) and abs(x) <= FARTHEST for x in box) and min(box[2:]) >= 0  # pyright: ignore


def coco_map_from_targets(
    detections: Sequence[Detection], targets: Sequence[Target], num_classes: int, *,
    class_names: Sequence[str] | None = None,
) -> CocoResult:  # fmt: skip
    """COCO's metrics on any data set: an in-memory COCO ground truth is built from the targets.

    Both sequences hold one entry per image, in the same order and pixel frame; boxes xyxy px, used unrounded. A
    difficult object becomes a COCO crowd: not counted, and detections that lie mostly inside it are ignored (by COCO's
    rule, intersection over the DETECTION's area; more lenient than VOC's). There are no masks here, so an object's area
    is its box's: the small, medium and large figures are not comparable with COCO's own, which go by mask area.

    Raises:
        ValueError: lengths differ, `class_names` is not C long, or what `flatten_images` refuses.
    """
    names = names_of(detections, targets, num_classes, class_names)
    image_ids, category_ids = range(1, len(targets) + 1), range(1, num_classes + 1)
    objects = flatten_images(targets, num_classes, key="difficult")
    columns = [column.tolist() for column in (objects.images, objects.labels, objects.boxes, objects.values)]
    dataset = {
        "images": [{"id": i} for i in image_ids],
        "categories": [{"id": i, "name": name} for i, name in zip(category_ids, names, strict=True)],
        # Ids start at 1: COCOeval takes a match with the annotation of id 0 for no match.
        "annotations": [
            {"id": i, "image_id": image + 1, "category_id": label + 1, "bbox": [x1, y1, x2 - x1, y2 - y1],
             "area": (x2 - x1) * (y2 - y1), "iscrowd": int(difficult)}
            for i, (image, label, (x1, y1, x2, y2), difficult) in enumerate(zip(*columns, strict=True), 1)
        ],
    }  # fmt: skip
    records = _records(detections, image_ids, category_ids, rounded=False)
    return _run_cocoeval(_coco_of(dataset), records, image_ids, category_ids)


def _records(
    detections: Sequence[Detection], image_ids: Sequence[Id], category_ids: Sequence[Id | None], *, rounded: bool
) -> list[dict[str, Any]]:
    if len(detections) != len(image_ids):
        raise ValueError(f"{len(detections)} images in detections, {len(image_ids)} image ids")
    images, known = _distinct(image_ids, "image"), iter(_distinct(_given(category_ids), "category"))
    categories = [None if category is None else next(known) for category in category_ids]
    flat = flatten_images(detections, len(category_ids), key="scores")
    xywh = np.concatenate([flat.boxes[:, :2], flat.boxes[:, 2:] - flat.boxes[:, :2]], axis=1)
    scores = flat.values
    if rounded:
        xywh, scores = xywh.round(BOX_DECIMALS), scores.round(SCORE_DECIMALS)
    return [
        {"image_id": images[image], "category_id": categories[label], "bbox": box, "score": score}
        for image, label, box, score in zip(
            flat.images.tolist(), flat.labels.tolist(), xywh.tolist(), scores.tolist(), strict=True
        )
        if categories[label] is not None
    ]


def _coco_of(dataset: Any) -> COCO:
    """pycocotools' COCO on a dictionary laid out as an instances JSON."""
    coco = COCO()
    coco.dataset = dataset
    with _quiet():
        coco.createIndex()
    return coco


def _given(category_ids: Sequence[Id | None]) -> list[Id]:
    return [category for category in category_ids if category is not None]


def _distinct(ids: Sequence[Id], what: str) -> list[Id]:
    """The ids as plain ints (numpy's are not JSON) or as texts; refused if one comes twice, as its detections would be
    merged, or if they are some of each, as COCOeval would not find them."""
    if wrong := [i for i in ids if isinstance(i, bool) or not isinstance(i, Integral | str)]:
        raise ValueError(f"{what} id must be a whole number or a text, not {shown(wrong[0])}")
    plain = [i if isinstance(i, str) else int(i) for i in ids]
    if len({type(i) for i in plain}) > 1:
        raise ValueError(f"{what} ids must all be whole numbers, or all be texts")
    if len(set(plain)) != len(plain):
        twin = next(i for n, i in enumerate(plain) if i in plain[:n])
        raise ValueError(f"{what} id {twin} is given more than once")
    return plain


def _run_cocoeval(
    truth: Any, records: Sequence[Mapping[str, Any]], image_ids: Sequence[Id], category_ids: Sequence[Id | None]
) -> CocoResult:
    images, categories = _distinct(image_ids, "image"), _distinct(_given(category_ids), "category")
    for what, ids, known in (("image", images, truth.imgs), ("category", categories, truth.cats)):
        named = set(ids) | {record[f"{what}_id"] for record in records}
        if unknown := sorted(named - set(known), key=str):
            raise ValueError(f"{what} id {unknown[0]} is not in the annotations ({len(unknown)} such)")
    truth.dataset.setdefault("info", {})  # some releases' loadRes fails without
    with _quiet():
        # loadRes writes into the records, takes one with a caption for no box, and fails on an empty list.
        plain = [{name: r[name] for name in ("image_id", "category_id", "bbox", "score")} for r in records]
        found = truth.loadRes(plain) if plain else _coco_of(truth.dataset | {"annotations": []})
        run = COCOeval(truth, found, "bbox")
        run.params.imgIds, run.params.catIds = images, categories  # pyright: ignore[reportAttributeAccessIssue]
        run.evaluate()
        run.accumulate()
        run.summarize()
    stats = [float(value) if value >= 0 else float("nan") for value in run.stats]
    # precision: (IoU, recall, category, area range, detections per image); all areas and 100 detections. COCOeval sorts
    # the categories by id.
    precision = run.eval["precision"][:, :, :, 0, -1]
    by_id: dict[Id | None, float] = {None: float("nan")}
    for k, category in enumerate(sorted(categories)):
        valid = precision[:, :, k][precision[:, :, k] > -1]
        by_id[category] = float(valid.mean()) if valid.size else float("nan")
    return CocoResult(
        *stats,
        class_ap=torch.tensor([by_id[i] for i in category_ids], dtype=torch.float64),
        class_names=tuple(str(truth.cats.get(i, {}).get("name", i)) for i in category_ids),
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Drops what pycocotools prints, and the deprecations that its older releases raise with newer numpy."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
