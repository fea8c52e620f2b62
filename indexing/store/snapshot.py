"""What a question sees of an index: the searchable indexes at one generation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from indexing.arrays import Ids, Matrix
from indexing.store.bm25 import KeywordIndex, WeightedQuery
from indexing.store.corpus_db import IndexFolder, StoredChunk
from indexing.store.faiss_index import VectorIndex
from indexing.store.filters import Filter
from indexing.store.sentence_vectors import SentenceVectors
from indexing.text.search_terms import question_terms


class OpenedIndex(Protocol):
    """What a snapshot needs of its index (`index.Index`)."""

    folder: IndexFolder
    sentences: SentenceVectors

    def allowed(self, generation: int, filters: Filter | None) -> Ids | None: ...


@dataclass(frozen=True, slots=True)
class State:
    """The searchable indexes at one generation. Immutable; a later generation is a new state.

    sentences: the sentence vectors of the second tier, whose model began at generation `since`; None before it began.
    """

    generation: int
    vectors: VectorIndex
    keywords: KeywordIndex
    sentences: VectorIndex | None = None
    since: int = -1


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A consistent view of one generation; valid only inside `Index.snapshot()`.

    within: only these passages are searched, ascending ids; None for all.
    """

    index: OpenedIndex
    state: State
    within: Ids | None = None

    @property
    def generation(self) -> int:
        return self.state.generation

    def nearest(self, query: Matrix, top_k: int, filters: Filter | None = None) -> list[tuple[int, float]]:
        """The passages nearest to a unit vector [d]: (id, inner product), best first."""
        return self.state.vectors.search(query, top_k, self.allowed(filters))

    def nearest_elsewhere(
        self, query: Matrix, language: str, top_k: int, filters: Filter | None = None
    ) -> list[tuple[int, float]]:
        """`nearest` among the passages in other languages, which those of the question's language can crowd out.

        Returns [] for HNSW and IVF-PQ, where so broad a filter makes the search slow.
        """
        return self._elsewhere(self.state.vectors, query, language, top_k, filters)

    def _elsewhere(
        self, vectors: VectorIndex, query: Matrix, language: str, top_k: int, filters: Filter | None
    ) -> list[tuple[int, float]]:
        if vectors.kind != "flat":
            return []
        others, allowed = self.state.keywords.elsewhere(language), self.allowed(filters)
        among = others if allowed is None else np.intersect1d(others, allowed, assume_unique=True)
        return vectors.search(query, top_k, among)

    @property
    def sentence_model(self) -> str | None:
        """The fingerprint of the model of the sentence vectors; None where there are none."""
        model = self.index.sentences.model() if self.state.sentences is not None else None
        return None if model is None else str(model["fingerprint"])

    def nearest_sentences(self, query: Matrix, top_k: int, filters: Filter | None = None) -> list[tuple[int, float]]:
        """The passages whose sentence vectors are nearest to a unit vector [d]: (id, inner product), best first."""
        found = self.state.sentences
        return [] if found is None else found.search(query, top_k, self.allowed(filters))

    def nearest_sentences_elsewhere(
        self, query: Matrix, language: str, top_k: int, filters: Filter | None = None
    ) -> list[tuple[int, float]]:
        """`nearest_elsewhere` by sentence vectors."""
        found = self.state.sentences
        return [] if found is None else self._elsewhere(found, query, language, top_k, filters)

    def sentence_cosines(self, query: Matrix, ids: Ids) -> dict[int, float]:
        """The inner products of a unit vector [d] with the sentence vectors of these passages, where they have one."""
        found = self.state.sentences
        return {} if found is None else dict(found.search(query, len(ids), ids))

    def best(
        self, question: str, language: str, top_k: int, filters: Filter | None = None, all_terms: bool = False
    ) -> list[tuple[int, float]]:
        """The best passages by BM25: (id, score), best first."""
        return self.find(self.weigh(question, language), top_k, filters, all_terms)

    def weigh(self, question: str, language: str) -> WeightedQuery:
        """The question's terms with their weights."""
        main, extra = question_terms(question, language)
        return self.state.keywords.weigh(main, language, extra)

    def find(
        self, question: WeightedQuery, top_k: int, filters: Filter | None = None, all_terms: bool = False
    ) -> list[tuple[int, float]]:
        """The best passages by BM25 for weighed terms: (id, score), best first."""
        return self.state.keywords.find(question, top_k, self.allowed(filters), all_terms)

    def chunks(self, ids: Sequence[int]) -> list[StoredChunk]:
        return self.index.folder.chunks(ids)

    def allowed(self, filters: Filter | None) -> Ids | None:
        """The ids that may be found, ascending: those that match the filter and are in `within`; None for all."""
        allowed = self.index.allowed(self.state.generation, filters)
        if self.within is None or allowed is None:
            return allowed if self.within is None else self.within
        return np.intersect1d(allowed, self.within, assume_unique=True)
