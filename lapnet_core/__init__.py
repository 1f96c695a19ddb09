"""LapNet (Chabot, Pham, Chaouch, 2019) in PyTorch. Read the modules in the order boxes, anchors, assign, model, losses."""

__version__ = "0.1.0"
