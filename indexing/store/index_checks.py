"""Checks of the derived indexes against the database, one sentence for each problem."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from indexing.arrays import Ids, Matrix
from indexing.store.bm25 import ARRAYS, KeywordIndex, Segment
from indexing.store.faiss_index import VectorIndex, base_ids
from indexing.store.word_file import restricted
from indexing.store.word_positions import ARRAYS as WORD_ARRAYS
from indexing.store.word_positions import WordPositions


def keyword_problems(keywords: KeywordIndex, ids: Ids, expected: Segment) -> Iterator[str]:
    """Whether the postings of some passages differ from `expected`, those of their texts."""
    if not len(ids):
        return
    inside = np.concatenate([segment.ids for segment in keywords.segments] or [ids[:0]])
    kept = Segment.merge(keywords.segments, np.setdiff1d(inside, ids))
    if not all(np.array_equal(getattr(expected, name), getattr(kept, name)) for name in ARRAYS):
        yield "The keyword index holds other terms than the passages have."


def word_problems(words: WordPositions, passages: Sequence[tuple[int, str]]) -> Iterator[str]:
    """Whether the positions of words differ from those of these texts, given as (id, text) with ascending ids."""
    known = set(words.ids.tolist())
    expected = WordPositions.build((number, text) for number, text in passages if number in known)
    kept = restricted(words, expected.ids)
    if not all(np.array_equal(getattr(expected, name), getattr(kept, name)) for name in WORD_ARRAYS):
        yield "The positions of words are others than the passages have."


def vector_problems(vectors: VectorIndex, ids: Ids, matrix: Matrix, name: str) -> Iterator[str]:
    """Differences of a vector index from the database's ids [n] and vectors [n, d], one sentence each. name: in them."""
    if not np.array_equal(vectors.ids(), ids):
        yield f"The {name} does not hold the passages of the database."
        return
    wrong = different_vectors(vectors, ids, matrix)
    if len(wrong):
        yield f"{len(wrong)} vectors of the {name} are not the database's (the first: passage {wrong[0]})."


def different_vectors(vectors: VectorIndex, ids: Ids, matrix: Matrix) -> Ids:
    """The ids whose vectors in the base of a vector index are not those of `matrix` [n, d]; none without an exact copy."""
    if vectors.base is None or vectors.kind == "ivfpq":
        return ids[:0]
    in_base = np.isin(ids, base_ids(vectors.base))
    kept = vectors.base.reconstruct_batch(np.ascontiguousarray(ids[in_base]))
    wrong: Ids = ids[in_base][~np.all(kept == matrix[in_base], axis=1)]
    return wrong
