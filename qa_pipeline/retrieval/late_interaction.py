"""Late interaction (MaxSim): each question token against the passage token most similar to it, across languages.

A passage's vector is the mean of many tokens: it represents the topic, but not whether the passage has the one thing that
was asked for. An embedder with one vector per token can check that, for the passages found.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from indexing.arrays import Matrix
from indexing.lru_cache import LRUCache
from indexing.models.embedder import Embedder
from indexing.models.static_embeddings import Ids, StaticModel
from indexing.normal_form import normal_form
from indexing.store.snapshot import Snapshot
from qa_pipeline.retrieval.language_bias import LanguageBias, tokens_of

CACHED_PASSAGES = 20_000
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class TokenMatch:
    """The MaxSim of a question and one passage.

    share: MaxSim, -1 to 1 (`StaticModel.max_sim`). tokens: number of distinct tokens. language: of the passage.
    """

    share: float
    tokens: int
    language: str


@dataclass(frozen=True, slots=True)
class _Passage:
    tokens: Ids
    language: str


class LateInteraction:
    """Computes MaxSim between a question and passages of one index. Thread-safe.

    An LRU cache holds the tokens of passages by chunk id, about 512 bytes each. It needs no invalidation: a chunk id is
    never reused for another text.
    """

    def __init__(self, model: StaticModel) -> None:
        self._model = model
        self._passages: LRUCache[_Passage] = LRUCache(CACHED_PASSAGES)
        self._sampling = threading.Lock()
        self._bias: tuple[int, LanguageBias] | None = None

    @classmethod
    def of(cls, embedder: Embedder) -> LateInteraction | None:
        """None for an embedder without token vectors."""
        return None if embedder.tokens is None else cls(embedder.tokens)

    def matches(self, snapshot: Snapshot, question: str, ids: Sequence[int]) -> dict[int, TokenMatch]:
        """The MaxSim of each of these passages; passages that no longer exist are left out."""
        matched: dict[int, TokenMatch] = {}
        for first in range(0, len(ids), AT_ONCE):
            found = self._of(snapshot, ids[first : first + AT_ONCE])
            shares = self._model.max_sim(normal_form(question), [passage.tokens for passage in found.values()]).tolist()
            for (number, passage), share in zip(found.items(), shares, strict=True):
                matched[number] = TokenMatch(share, len(passage.tokens), passage.language)
        return matched

    def language_offsets(self, snapshot: Snapshot, question: str, vector: Matrix) -> dict[str, float]:
        """`LanguageBias.language_offsets`, with the bias estimated once for each generation."""
        with self._sampling:
            generation, bias = self._bias or (-1, None)
            if bias is None or generation != snapshot.generation:
                bias = LanguageBias.of(self._model, snapshot, bias)
                self._bias = (snapshot.generation, bias)
        return bias.language_offsets(question, vector)

    def _of(self, snapshot: Snapshot, ids: Sequence[int]) -> dict[int, _Passage]:
        known = self._passages.get_many(ids)
        found = tokens_of(self._model, snapshot, [number for number in ids if number not in known])
        fresh = {number: _Passage(tokens, language) for number, (language, tokens) in found.items()}
        self._passages.put_many(fresh)
        return known | fresh
