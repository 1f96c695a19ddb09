"""LapNet (Chabot, Pham, Chaouch, 2019) in PyTorch. Read boxes, anchors, assign, losses, model in this order."""

__version__ = "0.1.0"
