"""How well two orders agree."""

from collections.abc import Sequence

import numpy as np


def rank_correlation(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> float:
    """Spearman's: 1 where both rise together, -1 where one falls as the other rises; equal values share their rank."""
    ranks = [_ranks(np.asarray(values, dtype=float)) for values in (a, b)]
    return float(np.corrcoef(ranks)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    return (last - (counts - 1) / 2)[inverse]
