"""Ranking metrics (recall, MRR, nDCG, average precision) from ranks that begin at 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

CUTS = (1, 3, 5, 10, 20)
NDCG_CUT = 10


@dataclass(frozen=True, slots=True)
class RelevantRanks:
    """The ranks of a question's right passages in one ranking, ascending, those found; and how many right ones there are."""

    ranks: tuple[int, ...]
    relevant: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """Means over questions, in percent. recall[k]: a right passage stands among the first k."""

    questions: int
    recall: dict[int, float]
    mrr: float
    ndcg: float


def recall(found: RelevantRanks, cut: int) -> float:
    """1.0 when a right passage stands among the first `cut`.

    >>> recall(RelevantRanks((3, 7), 2), 3), recall(RelevantRanks((3, 7), 2), 2)
    (1.0, 0.0)
    """
    return float(bool(found.ranks) and found.ranks[0] <= cut)


def reciprocal_rank(found: RelevantRanks) -> float:
    """1 / rank of the first right passage, 0.0 when none was found.

    >>> reciprocal_rank(RelevantRanks((4,), 1)), reciprocal_rank(RelevantRanks((), 1))
    (0.25, 0.0)
    """
    return 1.0 / found.ranks[0] if found.ranks else 0.0


def ndcg(found: RelevantRanks, cut: int = NDCG_CUT) -> float:
    """Normalised discounted cumulative gain of right or wrong (Järvelin and Kekäläinen 2002): 1.0 with all right ones first.

    >>> ndcg(RelevantRanks((1, 2), 2)), round(ndcg(RelevantRanks((2,), 1)), 4)
    (1.0, 0.6309)
    """
    gained = sum(1.0 / math.log2(rank + 1) for rank in found.ranks if rank <= cut)
    ideal = sum(1.0 / math.log2(rank + 1) for rank in range(1, min(found.relevant, cut) + 1))
    return gained / ideal if ideal else 0.0


def average_precision(found: RelevantRanks) -> float:
    """Mean, over the right passages, of the precision at each one's rank; one that was not found counts 0.

    >>> average_precision(RelevantRanks((1, 3), 2)), average_precision(RelevantRanks((2,), 2))
    (0.8333333333333333, 0.25)
    """
    return sum(place / rank for place, rank in enumerate(found.ranks, start=1)) / found.relevant if found.relevant else 0.0


def ranking(found: Sequence[RelevantRanks]) -> Ranking:
    """The means over several questions, 0.0 of none."""
    count = max(1, len(found))
    return Ranking(
        len(found),
        {cut: 100 * sum(recall(f, cut) for f in found) / count for cut in CUTS},
        100 * sum(map(reciprocal_rank, found)) / count,
        100 * sum(map(ndcg, found)) / count,
    )
