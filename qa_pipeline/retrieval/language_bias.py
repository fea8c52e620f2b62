"""Per-language similarity bias, estimated from a sample of passages, and the offsets that remove it.

Nearly every passage in the question's language scores higher than an answer in another language: it shares function words,
script and style with the question. The bias is the mean dense score of a sample of passages of each language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexing.arrays import Matrix
from indexing.lru_cache import LRUCache
from indexing.models.static_embeddings import Ids, StaticModel
from indexing.normal_form import normal_form
from indexing.store.passage_tokens import languages_and_tokens
from indexing.store.snapshot import Snapshot
from qa_pipeline.retrieval.dense_score import length_penalty

SAMPLE = 32
DOUBT = 8
CACHED_TOKENS = 50_000
BATCH_TOKENS = 8  # a constant batch size, as BLAS may sum in another order for fewer


@dataclass(frozen=True, slots=True)
class LanguageSample:
    """Sampled passages of one language: the mean of their vectors [d], and the distinct token ids of each."""

    vector: Matrix
    tokens: tuple[Ids, ...]


def tokens_of(model: StaticModel, snapshot: Snapshot, ids: Sequence[int]) -> dict[int, tuple[str, Ids]]:
    """Language and distinct tokens of passages, by id, those that no longer exist left out: as stored, else computed."""
    stored = languages_and_tokens(snapshot.index.folder, ids, model.vocabulary)
    found = {number: (language, tokens) for number, (language, tokens) in stored.items() if tokens is not None}
    chunks = snapshot.chunks([number for number in stored if number not in found])
    made = model.distinct([normal_form(chunk.text) for chunk in chunks])
    fresh = {chunk.id: (chunk.language, tokens) for chunk, tokens in zip(chunks, made, strict=True)}
    return {number: both[number] for both in [found | fresh] for number in ids if number in both}


def offsets(level: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """max(bias) - bias for each language, float64 [languages].

        bias(l) = (counts(l) * level(l) + 8 * mean over all samples) / (counts(l) + 8)

    level: the mean score of the sampled passages of each language. So a language with few is shrunk towards the mean of all.
    """
    whole = float(level @ counts) / int(counts.sum())
    bias = (level * counts + whole * DOUBT) / (counts + DOUBT)
    result: NDArray[np.float64] = bias.max() - bias
    return result


class LanguageBias:
    """Estimates the language bias of one index. Thread-safe.

    An LRU cache holds each token's mean maximum cosine per language (8 bytes each), as questions share most tokens.
    sampled: ids of the sampled passages by language. They stay the same from most generations to the next.
    """

    def __init__(
        self, model: StaticModel, sampled: Mapping[str, Sequence[int]], samples: Mapping[str, LanguageSample]
    ) -> None:
        self.sampled = sampled
        self._model = model
        self._languages = tuple(samples)
        self._vectors = np.stack([one.vector for one in samples.values()]) if samples else np.empty((0, model.dimension))
        self._by_chance = np.array([np.mean([length_penalty(len(ids)) for ids in one.tokens]) for one in samples.values()])
        self._counts = np.array([len(one.tokens) for one in samples.values()])
        self._held = [ids for one in samples.values() for ids in one.tokens]
        self._max_cosines: LRUCache[NDArray[np.float64]] = LRUCache(CACHED_TOKENS)

    @classmethod
    def of(cls, model: StaticModel, snapshot: Snapshot, before: LanguageBias | None = None) -> LanguageBias:
        """Sample at most `SAMPLE` passages of each language, spread over the index.

        before: the estimate of an earlier generation; it is returned if its sample is the same.
        """
        folder = snapshot.index.folder
        sampled, samples = folder.spread(SAMPLE), {}
        if before is not None and before.sampled == sampled:
            return before
        for language, ids in sampled.items() if len(sampled) > 1 else ():
            there, vectors = folder.vectors(np.array(ids, dtype=np.int64))
            if len(there):
                held = tokens_of(model, snapshot, there.tolist()).values()
                samples[language] = LanguageSample(vectors.mean(axis=0), tuple(tokens for _, tokens in held))
        return cls(model, sampled, samples)

    def language_offsets(self, question: str, vector: Matrix) -> dict[str, float]:
        """The offset to add to the dense scores of each language, at least 0; {} for an index of one language.

            offset(q, l) = max over languages m of bias(q, m) - bias(q, l)
            bias(q, l) = (n * mean dense score of the n sampled passages of l + 8 * mean over all samples) / (n + 8)

        So the bias of a language with few sampled passages is shrunk towards the mean of all languages.
        """
        if len(self._languages) < 2:
            return {}
        asked = self._model.tokens(normal_form(question))
        weights = self._model.weights(asked).astype(np.float64)
        matched = weights @ self._mean_max_cosine(asked) / (float(weights.sum()) or 1.0) if len(asked) else 0.0
        level = self._vectors @ vector + matched - self._by_chance
        return dict(zip(self._languages, offsets(level, self._counts).tolist(), strict=True))

    def _mean_max_cosine(self, asked: Ids) -> NDArray[np.float64]:
        """For each token, the mean of its maximum cosine in each sampled passage, per language: float64 [k, languages]."""
        tokens = asked.tolist()
        known = self._max_cosines.get_many(dict.fromkeys(tokens))
        unknown = sorted(set(tokens) - known.keys())
        for start in range(0, len(unknown), BATCH_TOKENS):
            some = unknown[start : start + BATCH_TOKENS]
            ids = np.array((some + some[:1] * BATCH_TOKENS)[:BATCH_TOKENS], dtype=np.int32)
            sums = np.add.reduceat(self._model.max_cosines(ids, self._held), np.cumsum(self._counts) - self._counts, axis=0)
            known.update(zip(some, map(np.copy, sums.T / self._counts), strict=False))
        self._max_cosines.put_many({token: known[token] for token in unknown})
        return np.stack([known[token] for token in tokens])
