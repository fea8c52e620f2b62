"""Array types of vector and keyword search, and top-k selection of scored ids."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

Ids = NDArray[np.int64]
Scores = NDArray[np.float64]


def top_scores(ids: Ids, scores: Scores, top_k: int) -> list[tuple[int, float]]:
    """The `top_k` highest (id, score), best first, equal scores by ascending id.

    >>> top_scores(np.array([3, 1, 2]), np.array([0.5, 0.5, 0.9]), 2)
    [(2, 0.9), (1, 0.5)]
    """
    if len(ids) > top_k:
        threshold = np.partition(scores, len(scores) - top_k)[len(scores) - top_k]
        keep = scores >= threshold
        ids, scores = ids[keep], scores[keep]
    order = np.lexsort((ids, -scores))[:top_k]
    return [(int(ids[i]), float(scores[i])) for i in order]
