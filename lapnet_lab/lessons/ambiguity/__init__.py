"""03_ambiguity: which anchors AMS excuses."""
