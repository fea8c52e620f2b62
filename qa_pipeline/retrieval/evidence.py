"""Retrieval evidence of a passage: its dense score, and its share of the BM25 upper bound."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Evidence:
    """The retrieval scores of one passage; None where a score was not computed.

    dense_score: cosine to the question, plus MaxSim and the other terms of `dense_score` where the embedder is static. A
    passage outside the dense ranking takes the score of the ranking's last passage.
    words: BM25 divided by its upper bound, 0 to 1.
    """

    dense_score: float | None = None
    words: float | None = None


NOTHING = Evidence()
