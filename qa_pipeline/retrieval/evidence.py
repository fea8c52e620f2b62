"""Evidence of a passage beside its reading: its dense scores, its share of the BM25 upper bound, and facts it lacks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Evidence:
    """The retrieval scores of one passage, None where a score was not computed; and which facts of the question it lacks.

    dense_score: cosine to the question, plus MaxSim and the other terms of `dense_score` where the embedder is static. A
    passage outside the dense ranking takes the score of the ranking's last passage.
    sentences: cosine of the second tier's vectors, plus the offset of the passage's language, and `retriever.ELSEWHERE`
    where that is not the question's. `retriever.estimated` gives that of a passage without a sentence vector.
    words: BM25 divided by its upper bound, 0 to 1.
    numbers: 1 if the passage lacks a number, year, month or code of the question, else 0. names: 1 if it lacks a name of
    the question, else 0.
    """

    dense_score: float | None = None
    words: float | None = None
    numbers: float = 0.0
    names: float = 0.0
    sentences: float | None = None


NOTHING = Evidence()
