"""08_weights: which balance weights a training learned, and why some of them never come to rest."""
