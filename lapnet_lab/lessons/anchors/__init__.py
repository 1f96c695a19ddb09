"""01_anchors: shapes clustered per class."""
