"""Samples in: data sets, transforms and collation. A data set yields (image, target); see `Target`.

The function `download.download` is not repeated here, as it would hide its module.
"""

from lapnet_core.data.coco import COCO_CLASSES, CocoDetection, coco2017
from lapnet_core.data.collate import Batch, collate, flatten_targets
from lapnet_core.data.common import DetectionDataset
from lapnet_core.data.download import DOWNLOADS, Download, DownloadError, data_dir
from lapnet_core.data.transforms import boxes_to_original, denormalize, eval_transform, train_transform
from lapnet_core.data.types import DataError, Detection, Id, Sample, Skipped, SkipReport, Target, Transform
from lapnet_core.data.voc import VOC_CLASSES, VOCDetection, voc0712
from lapnet_core.data.yolo import YoloDetection

__all__ = [
    "DOWNLOADS", "COCO_CLASSES", "VOC_CLASSES", "Batch", "CocoDetection", "DataError", "Detection",
    "DetectionDataset", "Download", "DownloadError", "Id", "Sample", "SkipReport", "Skipped", "Target", "Transform",
    "VOCDetection", "YoloDetection", "boxes_to_original", "coco2017", "collate", "data_dir", "denormalize",
    "eval_transform", "flatten_targets", "train_transform", "voc0712",
]  # fmt: skip
