"""`lapnet evaluate`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro


@dataclass(frozen=True)
class Evaluate:
    """Mean average precision of a trained model on one split: VOC's both metrics, COCO's on COCO."""

    model: Annotated[Path, tyro.conf.Positional]
    """model.safetensors, or the run folder that holds it."""
    data: str
    """As in `lapnet train`."""
    split: str = "test"
    on_error: Literal["raise", "skip"] = "raise"
    """What a faulty annotation or image does: stop with an error, or be skipped, counted and reported."""
    batch_size: int = 8
    workers: int = 0
    device: str = "auto"
    json: Path | None = None
    """Write the figures here."""
    results: Path | None = None
    """Write COCO's results JSON here (COCO only), as the test-dev server takes it."""

    def run(self, given: Sequence[str]) -> int:
        from lapnet_core.data import CocoDetection
        from lapnet_core.data.named import open_dataset
        from lapnet_core.detector import Detector
        from lapnet_core.evaluate import coco_map, voc_map, write_coco_results
        from lapnet_core.processes import pick_device

        detector = Detector.load(self.model, pick_device(self.device))
        names = detector.class_names
        dataset = open_dataset(
            self.data, self.split, image_size=detector.image_size, class_names=names, on_error=self.on_error
        )
        detections, targets, skipped = detector.predict_dataset(
            dataset, batch_size=self.batch_size, workers=self.workers
        )
        figures: dict[str, Any] = {
            "model": str(self.model), "data": self.data, "split": self.split, "images": len(targets)
        }  # fmt: skip
        ids: list[Any] = [target["image_id"] for target in targets]
        if self.results is not None:
            if not isinstance(dataset, CocoDetection):
                raise ValueError(f"--results writes COCO's format; {self.data} is not COCO")
            write_coco_results(self.results, detections, ids, dataset.category_ids)
            print(f"wrote {self.results}")
        annotated = any(len(target["labels"]) for target in targets)  # COCO's test-dev is not
        if annotated:
            for metric in ("area", "11point"):
                result = voc_map(detections, targets, len(names), metric=metric, class_names=names)
                print(result if metric == "area" else f"11-point metric: {result.mean_ap:.4f}")
                figures[f"voc_{metric}"] = result.mean_ap
                figures[f"voc_{metric}_per_class"] = dict(zip(names, result.ap.tolist(), strict=True))
        if isinstance(dataset, CocoDetection) and annotated:
            measured = coco_map(detections, dataset.annotation_file, image_ids=ids, category_ids=dataset.category_ids)
            print(measured)
            figures["coco_ap"], figures["coco_ap50"] = measured.ap, measured.ap50
        if skipped:
            print(f"{len(skipped)} images could not be read and are left out, first: {skipped[0]}")
            figures["skipped"] = len(skipped)
        if self.json is not None:
            self.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        return 0
