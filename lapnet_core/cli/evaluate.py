"""`lapnet evaluate`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro


@dataclass(frozen=True)
class Evaluate:
    """Mean average precision of a trained model on one split: VOC's both metrics, COCO's on COCO.

    Many processes share the work under torchrun: torchrun --nproc-per-node 4 -m lapnet_core.cli evaluate RUN --data voc
    """

    model: Annotated[Path, tyro.conf.Positional]
    """model.safetensors, best.safetensors, or the run folder that holds the first; or what `lapnet export` wrote (ONNX,
    on the processor)."""
    data: str
    """As in `lapnet train`."""
    split: str = ""
    """Empty: test, or where the data has none, val."""
    on_error: Literal["raise", "skip"] = "raise"
    """What a faulty annotation or image does: stop with an error, or be skipped, counted and reported."""
    batch_size: int = 8
    workers: int = 0
    device: str = "auto"
    json: Path | None = None
    """Write the figures here; a name that is taken gets a number."""
    results: Path | None = None
    """Write COCO's results JSON here (COCO only), as the test-dev server takes it; likewise."""
    doubts: Path | None = None
    """Write a picture here (PNG) of objects that the annotations may lack or call by another name; likewise."""

    def run(self, given: Sequence[str]) -> int:
        from tqdm.auto import tqdm

        from lapnet_core.data import CocoDetection
        from lapnet_core.data.named import splits_of
        from lapnet_core.detector import Detector, joined
        from lapnet_core.files import check_writable
        from lapnet_core.inputs import check_number
        from lapnet_core.processes import in_turn, pick_device, processes, usable_cores

        check_number("--batch-size", self.batch_size, 1, whole=True)
        if not self.split:
            return replace(self, split="test" if "test" in splits_of(self.data) else "val").run(given)
        with processes(self.device) as (rank, world):
            detector = Detector.load(self.model, pick_device(self.device))
            dataset = self._dataset(detector)
            if self.results is not None and not isinstance(dataset, CocoDetection):
                raise ValueError(
                    f"--results writes COCO's format; {self.data}, {self.split} is no single file of COCO's"
                )
            for path in filter(None, (self.json, self.results, self.doubts) if rank == 0 else ()):
                check_writable(path)
            workers, share = min(self.workers, usable_cores()), -(-len(dataset) // (self.batch_size * world))
            batches = detector.predict_batches(dataset, self.batch_size, workers, rank, world)
            own = list(tqdm(batches, desc="detect", unit="batch", total=share, disable=None if rank == 0 else True))
            found = joined(in_turn(own))
            faulty = getattr(dataset, "faulty", None)
            for others in in_turn([faulty]) if faulty is not None else ():
                faulty |= others
            if rank == 0:
                self._report(detector.class_names, dataset, *found)
        return 0

    def _report(self, names: tuple[str, ...], dataset: Any, detections: Any, targets: Any, skipped: list[str]) -> None:
        """Say and write what was measured."""
        from lapnet_core.cli.doubting import hint, said, write_sheet
        from lapnet_core.data import CocoDetection, SkipReport
        from lapnet_core.evaluate import coco_map, coco_map_from_targets, voc_map, write_coco_results
        from lapnet_core.evaluate.doubts import doubts
        from lapnet_core.files import write_new, wrote

        report: SkipReport = getattr(dataset, "report", SkipReport())
        if report.source or report.counts:
            print(report.summary())
        if self.split == "val":
            print("on val: a training on trainval has seen these images")
        if not targets:
            raise ValueError(f"{self.data}, {self.split}: none of the images can be read; first: {skipped[0]}")
        figures: dict[str, Any] = {
            "model": str(self.model), "data": self.data, "split": self.split, "images": len(targets),
            "skipped": len(skipped), "left_out": report.counts,
            "left_out_first": {kind: messages[:3] for kind, messages in report.messages.items()},
        }  # fmt: skip
        ids: list[Any] = [target["image_id"] for target in targets]
        if self.results is not None and isinstance(dataset, CocoDetection):
            print(wrote(self.results, write_coco_results(self.results, detections, ids, dataset.category_ids)))
        annotated = any(len(target["labels"]) for target in targets)  # COCO's test-dev is not
        for metric in ("area", "11point") if annotated else ():
            result = voc_map(detections, targets, len(names), metric=metric, class_names=names)
            print(result if metric == "area" else f"11-point metric: {result.mean_ap:.4f}")
            figures[f"voc_{metric}"] = _number(result.mean_ap)
            figures[f"voc_{metric}_per_class"] = dict(zip(names, map(_number, result.ap.tolist()), strict=True))
        if isinstance(dataset, CocoDetection) and annotated:
            if dataset.shares:  # the file's boxes are no pixels, those of the targets are
                coco = coco_map_from_targets(detections, targets, len(names))
            else:
                coco = coco_map(detections, dataset.annotation_file, image_ids=ids, category_ids=dataset.category_ids)
            print(replace(coco, class_names=names))  # the file need not name all of them
            figures["coco_ap"], figures["coco_ap50"] = _number(coco.ap), _number(coco.ap50)
        doubted = doubts(detections, targets, len(names)) if annotated else []
        if self.doubts is not None and annotated:
            print(*said(names, doubted, detections, targets, figures["voc_area"]), sep="\n")
            print(write_sheet(self.doubts, dataset, names, doubted, targets) if doubted else "no picture is written")
        elif line := "--doubts: no image is annotated here" if self.doubts else hint(doubted, targets):
            print(line)
        if self.json is not None:
            text = json.dumps(figures, indent=1, allow_nan=False) + "\n"
            print(wrote(self.json, write_new(self.json, lambda part: part.write_text(text, encoding="utf-8"))))

    def _dataset(self, detector: Any) -> Any:
        """The data with the model's labels; ValueError where it has other classes, or nothing to measure."""
        from lapnet_core.data import DataError
        from lapnet_core.data.named import open_dataset

        names = known = detector.class_names
        where, size = (self.data, self.split), detector.image_size
        problem = ValueError(f"{self.data}, {self.split}: no image has an object, so that there is nothing to measure")
        try:
            dataset = open_dataset(*where, image_size=size, class_names=names, on_error=self.on_error)
            known = tuple(dataset.class_names)
            objects = self.results is not None or any(len(dataset.target(i)["labels"]) for i in range(len(dataset)))
            if known == names and objects:
                return dataset
        except DataError as error:
            problem = error
        has = open_dataset(*where, image_size=size, on_error="skip").class_names
        if known == names and set(has) <= set(names):
            raise problem
        raise ValueError(
            f"{self.model} knows the classes {', '.join(names)}; {self.data}, {self.split}, has {', '.join(has)}: "
            "evaluate on what it was trained on (--on-error skip leaves objects of other classes out and counts them)"
        ) from problem


def _number(value: float) -> float | None:
    """JSON has no nan, which a class without an object has."""
    return value if value == value else None
