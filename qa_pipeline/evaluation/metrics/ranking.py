"""Ranking metrics (recall, MRR, nDCG, average precision) from 1-based ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

CUTS = (1, 3, 5, 10, 20)
NDCG_CUT = 10


@dataclass(frozen=True, slots=True)
class RelevantRanks:
    """Ascending ranks of the right passages in one ranking, and how many right passages there are, found or not."""

    ranks: tuple[int, ...]
    relevant: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """Means over questions, in percent. recall[k]: share of questions with a right passage among the first k."""

    questions: int
    recall: dict[int, float]
    mrr: float
    ndcg: float


def recall(found: RelevantRanks, cut: int) -> float:
    """1.0 if a right passage is among the first `cut`, else 0.0.

    >>> recall(RelevantRanks((3, 7), 2), 3), recall(RelevantRanks((3, 7), 2), 2)
    (1.0, 0.0)
    """
    return float(bool(found.ranks) and found.ranks[0] <= cut)


def reciprocal_rank(found: RelevantRanks) -> float:
    """1 / rank of the first right passage, 0.0 if none was found.

    >>> reciprocal_rank(RelevantRanks((4,), 1)), reciprocal_rank(RelevantRanks((), 1))
    (0.25, 0.0)
    """
    return 1.0 / found.ranks[0] if found.ranks else 0.0


def ndcg(found: RelevantRanks, cut: int = NDCG_CUT) -> float:
    """nDCG with binary relevance (Järvelin and Kekäläinen 2002): 1.0 if all right passages come first.

    >>> ndcg(RelevantRanks((1, 2), 2)), round(ndcg(RelevantRanks((2,), 1)), 4)
    (1.0, 0.6309)
    """
    gained = sum(1.0 / math.log2(rank + 1) for rank in found.ranks if rank <= cut)
    ideal = sum(1.0 / math.log2(rank + 1) for rank in range(1, min(found.relevant, cut) + 1))
    return gained / ideal if ideal else 0.0


def average_precision(found: RelevantRanks) -> float:
    """Mean over the right passages of the precision at their rank; a passage that was not found counts 0.

    >>> average_precision(RelevantRanks((1, 3), 2)), average_precision(RelevantRanks((2,), 2))
    (0.8333333333333333, 0.25)
    """
    return sum(place / rank for place, rank in enumerate(found.ranks, start=1)) / found.relevant if found.relevant else 0.0


def ranking(found: Sequence[RelevantRanks]) -> Ranking:
    """The means over questions, 0.0 without questions."""
    count = max(1, len(found))
    return Ranking(
        len(found),
        {cut: 100 * sum(recall(f, cut) for f in found) / count for cut in CUTS},
        100 * sum(map(reciprocal_rank, found)) / count,
        100 * sum(map(ndcg, found)) / count,
    )
