"""Late interaction (MaxSim): each question token against the passage token most similar to it, across languages.

A passage's vector is the mean of many tokens: it knows what the passage is about, and not whether it has the very thing
that was asked for. An embedder with a vector for each token can look for that, among those found.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from indexing.arrays import Matrix
from indexing.lru_cache import LRUCache
from indexing.models.embedder import Embedder
from indexing.models.static_embeddings import Ids, StaticModel
from indexing.store.index import Snapshot
from qa_pipeline.retrieval.language_bias import LanguageBias

CACHED_PASSAGES = 20_000
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class TokenMatch:
    """How much of a question's tokens a passage has, -1 to 1 as `StaticModel.max_sim`.

    tokens: how many different ones the passage has. language: the passage's.
    """

    share: float
    tokens: int
    language: str


@dataclass(frozen=True, slots=True)
class _Passage:
    tokens: Ids
    language: str


class LateInteraction:
    """Compares a question with passages of one index, token by token. Safe in several threads.

    The tokens of passages are remembered by chunk id, which never comes to mean another text: half a kilobyte each.
    """

    def __init__(self, model: StaticModel) -> None:
        self._model = model
        self._passages: LRUCache[_Passage] = LRUCache(CACHED_PASSAGES)
        self._sampling = threading.Lock()
        self._bias: tuple[int, LanguageBias] | None = None

    @classmethod
    def of(cls, embedder: Embedder) -> LateInteraction | None:
        """None for an embedder that has no vectors of tokens."""
        return None if embedder.tokens is None else cls(embedder.tokens)

    def matches(self, snapshot: Snapshot, question: str, ids: Sequence[int]) -> dict[int, TokenMatch]:
        """What each of these passages matches; those that are gone are left out."""
        matched: dict[int, TokenMatch] = {}
        for first in range(0, len(ids), AT_ONCE):
            found = self._of(snapshot, ids[first : first + AT_ONCE])
            shares = self._model.max_sim(question, [passage.tokens for passage in found.values()]).tolist()
            for (number, passage), share in zip(found.items(), shares, strict=True):
                matched[number] = TokenMatch(share, len(passage.tokens), passage.language)
        return matched

    def language_offsets(self, snapshot: Snapshot, question: str, vector: Matrix) -> dict[str, float]:
        """What to add to the nearness of passages of each language, so that no language has an advantage:
        `LanguageBias.language_offsets`.
        """
        with self._sampling:
            generation, bias = self._bias or (-1, None)
            if bias is None or generation != snapshot.generation:
                bias = LanguageBias.of(self._model, snapshot, bias)
                self._bias = (snapshot.generation, bias)
        return bias.language_offsets(question, vector)

    def _of(self, snapshot: Snapshot, ids: Sequence[int]) -> dict[int, _Passage]:
        known = self._passages.get_many(ids)
        chunks = snapshot.chunks([number for number in ids if number not in known])
        tokens = self._model.distinct([chunk.text for chunk in chunks])
        fresh = {c.id: _Passage(held, c.language) for c, held in zip(chunks, tokens, strict=True)}
        self._passages.put_many(fresh)
        return known | fresh
