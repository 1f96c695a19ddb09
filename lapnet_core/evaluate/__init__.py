"""Mean average precision: PASCAL VOC's, and COCO's through pycocotools. A dict per image, as in torchvision."""

from lapnet_core.evaluate.coco import CocoResult, coco_map, coco_map_from_targets, coco_results, write_coco_results
from lapnet_core.evaluate.voc import VocResult, voc_map

__all__ = [
    "CocoResult", "VocResult", "coco_map", "coco_map_from_targets", "coco_results", "voc_map", "write_coco_results",
]  # fmt: skip
