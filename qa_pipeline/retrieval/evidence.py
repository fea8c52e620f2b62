"""Retrieval evidence of a passage: its dense score, and its share of the question's words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Evidence:
    """How a passage was found. dense_score: cosine to the question, that of the last one found where it is not among them,
    and what it matches of the question's tokens where the embedder tells that. words: its BM25 score as a share of what it
    can be at most, 0 to 1. None: nobody looked.
    """

    dense_score: float | None = None
    words: float | None = None


NOTHING = Evidence()
