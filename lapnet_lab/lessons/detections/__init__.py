"""06_detections: from scores to boxes, and to one number."""
