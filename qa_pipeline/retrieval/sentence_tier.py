"""The dense ranking by sentence vectors, in an index whose second tier has been begun.

A sentence encoder finds passages in other languages far better than token vectors do, but it takes time when indexing.
So passages that have no sentence vector yet are ranked by their token vectors (`retriever`).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexing.arrays import Matrix
from indexing.models.embedder import Embedder
from indexing.store.filters import Filter
from indexing.store.snapshot import Snapshot
from qa_pipeline.retrieval.language_bias import SAMPLE, offsets

OTHERS = 60


@dataclass(frozen=True, slots=True)
class SentenceBias:
    """The language bias of sentence vectors. vectors: mean of the sampled passages of each language, [languages, d]."""

    sampled: Mapping[str, Sequence[int]]
    languages: tuple[str, ...]
    vectors: Matrix
    counts: tuple[int, ...]

    @classmethod
    def of(cls, snapshot: Snapshot) -> SentenceBias:
        """Sample at most `language_bias.SAMPLE` passages of each language that have a sentence vector."""
        sampled = snapshot.index.folder.spread(SAMPLE)
        languages, means, counts = [], [], []
        for language, ids in sampled.items() if len(sampled) > 1 else ():
            there, vectors = snapshot.index.sentences.vectors(np.array(ids, dtype=np.int64))
            if len(there):
                languages.append(language)
                means.append(vectors.mean(axis=0))
                counts.append(len(there))
        return cls(sampled, tuple(languages), np.stack(means) if means else np.empty((0, 0), np.float32), tuple(counts))

    def language_offsets(self, vector: Matrix) -> dict[str, float]:
        """The offset to add to the cosines of each language (`language_bias.offsets`); {} for an index of one language."""
        if len(self.languages) < 2:
            return {}
        level: NDArray[np.float64] = (self.vectors @ vector).astype(np.float64)
        found = offsets(level, np.array(self.counts))
        return dict(zip(self.languages, found.tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class FoundSentences:
    """The passages found for one question by sentence vectors.

    vector: of the question, [d]. offsets: of each language (`SentenceBias`). near, others: (id, cosine) of the nearest
    passages, and of the nearest in other languages than the question's; best first.
    """

    snapshot: Snapshot
    vector: Matrix
    offsets: Mapping[str, float]
    near: Sequence[tuple[int, float]]
    others: Sequence[tuple[int, float]]

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(dict(self.near) | dict(self.others))

    def scores(self, languages: Mapping[int, str]) -> dict[int, float]:
        """cosine + offset of the passage's language, for those passages that have a sentence vector.

        languages: of the passages asked for, by id. All of them may be seen: they come from filtered rankings.
        """
        asked = np.array(sorted(languages), dtype=np.int64)
        cosines = self.snapshot.sentence_cosines(self.vector, asked)
        return {number: cosine + self.offsets.get(languages[number], 0.0) for number, cosine in cosines.items()}


class SentenceTier:
    """Ranks passages by sentence vectors. Thread-safe; the encoder is loaded at the first question that can use it."""

    def __init__(self, embedder: Embedder) -> None:
        """embedder: of the first tier."""
        self._first = embedder
        self._guard = threading.Lock()
        self._bias: tuple[int, SentenceBias] | None = None

    @classmethod
    def of(cls, embedder: Embedder) -> SentenceTier | None:
        """None for an embedder without a second tier."""
        return cls(embedder) if getattr(embedder, "second_tier", "") else None

    def search(
        self,
        snapshot: Snapshot,
        question: str,
        language: str,
        depth: int,
        filters: Filter | None = None,
        sample: Snapshot | None = None,
    ) -> FoundSentences | None:
        """The `depth` passages nearest to a question; None where no passage has a sentence vector of this model.

        The nearest passages in other languages than the question's are candidates too, as those of its own crowd them out.
        sample: the snapshot that the language bias is estimated from; None is this one. Raises FilterError, ModelError.
        """
        if snapshot.sentence_model is None:
            return None
        encoder = self._first.sentence_embedder()
        if encoder is None or encoder.fingerprint != snapshot.sentence_model:
            return None
        vector = encoder.questions([question])[0]
        by_language = self._offsets(sample or snapshot, vector)
        near = snapshot.nearest_sentences(vector, depth, filters)
        others = snapshot.nearest_sentences_elsewhere(vector, language, OTHERS, filters) if by_language else []
        return FoundSentences(snapshot, vector, by_language, near, others)

    def _offsets(self, snapshot: Snapshot, vector: Matrix) -> dict[str, float]:
        """`SentenceBias.language_offsets`, with the bias estimated once for each generation."""
        with self._guard:
            generation, bias = self._bias or (-1, None)
            if bias is None or generation != snapshot.generation:
                bias = SentenceBias.of(snapshot)
                self._bias = (snapshot.generation, bias)
        return bias.language_offsets(vector)
