"""Hybrid retrieval: dense and BM25 rankings, fused by their scores.

Both rankings come from one generation of the index. Filters restrict the candidates before ranking, so no result has to be
discarded afterwards.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from indexing.arrays import Matrix
from indexing.deepen import coverage
from indexing.models.embedder import Embedder
from indexing.store.copies import copies_among
from indexing.store.corpus_db import StoredChunk
from indexing.store.filters import Filter
from indexing.store.index import Index
from indexing.store.snapshot import Snapshot
from indexing.text.language_id import UNKNOWN, detect_question
from qa_pipeline.answers import Passage
from qa_pipeline.retrieval.dense_score import dense_score
from qa_pipeline.retrieval.evidence import Evidence
from qa_pipeline.retrieval.fact_evidence import passages_with_facts
from qa_pipeline.retrieval.late_interaction import LateInteraction
from qa_pipeline.retrieval.sentence_tier import FoundSentences, SentenceTier
from qa_pipeline.retrieval.word_search import WordSearcher
from qa_pipeline.settings import AskSettings

Ranking = Sequence[tuple[int, float]]

TRANSLATED = 0.25
OTHERS = 10
TOKEN_SHARE = 8.0
TWO_TIERS = 2.0
ELSEWHERE = 0.02  # how much lower the candidates' sentence scores are in other languages, on held-out training sets


@dataclass(frozen=True, slots=True)
class RetrievedPassages:
    """The passages for a question, best first, from one generation of the index.

    content_hashes, evidence: one for each passage; the hash is its document's. language: of the question.
    embed_ms, retrieve_ms: milliseconds spent. deepened, copies: see `Reply`.
    """

    passages: tuple[Passage, ...]
    content_hashes: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    language: str
    generation: int
    embed_ms: float
    retrieve_ms: float
    deepened: float | None = None
    copies: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class FusedHit:
    """One passage after fusion. score: fused. dense, keyword: (rank, score) in that ranking; ranks begin at 1."""

    id: int
    score: float
    dense: tuple[int, float] | None
    keyword: tuple[int, float] | None


def fuse(
    dense: Ranking, keyword: Ranking, ceiling: float, settings: AskSettings, translated: Mapping[int, float] | None = None
) -> list[FusedHit]:
    """Linear score fusion: the weighted sum of both scores, each normalised to 0..1. Best first; ties by ascending id.

        score(p) = dense_weight * (dense(p) - dense(last)) / (dense(first) - dense(last))
                 + keyword_weight * hypot(BM25(p) / ceiling, translated(p))

    A ranking without p adds nothing. ceiling: the BM25 upper bound of this question. translated: the cross-lingual word
    match by passage id, 0 to 1, for passages in another language. BM25 cannot find the question's words in those.

    The dense score gets min-max normalisation, as its scale differs between embedders. BM25 is divided by its upper bound.
    So words count little where passages have few of the question's words, as in another language. Where a passage has most
    of them, they count more than the dense score can.

    Source: the convex combination of Bruch, Gai and Ingber (2023, "An Analysis of Fusion Functions for Hybrid Retrieval").
    They normalise by the lower bound of a score; here BM25 is normalised by its upper bound.

    >>> [f.id for f in fuse([(7, 0.9), (8, 0.8), (9, 0.1)], [(8, 3.1)], 5.0, AskSettings())]
    [8, 7, 9]
    """
    first, last = (dense[0][1], dense[-1][1]) if dense else (0.0, 0.0)
    spread, most, other = first - last or 1.0, ceiling or 1.0, translated or {}
    places: dict[int, list[tuple[int, float] | None]] = {}
    for column, ranking in enumerate((dense, keyword)):
        for rank, (number, score) in enumerate(ranking, start=1):
            places.setdefault(number, [None, None])[column] = (rank, score)
    fused = [
        FusedHit(
            number,
            (settings.dense_weight * (near[1] - last) / spread if near else 0.0)
            + settings.keyword_weight * math.hypot(words[1] / most if words else 0.0, other.get(number, 0.0)),
            near,
            words,
        )
        for number, (near, words) in places.items()
    ]
    return sorted(fused, key=lambda item: (-item.score, item.id))


def evidence(item: FusedHit, dense: Ranking, ceiling: float, settings: AskSettings, alike: bool = True) -> Evidence:
    """The retrieval evidence of an item of `fuse`; the other arguments are those of `fuse`.

    alike: the passage is in the question's language. Otherwise `words` is None, as BM25 cannot match across languages.
    """
    near = item.dense[1] if item.dense else (dense[-1][1] if dense else None)
    has_words = alike and settings.keyword_weight and ceiling
    return Evidence(near, (item.keyword[1] / ceiling if item.keyword else 0.0) if has_words else None)


@dataclass(frozen=True, slots=True)
class Rankings:
    """The rankings of one question before truncation.

    by_meaning: ids of the passages found by vector search, by falling dense score. dense, keyword: (id, score), best first.
    ceiling: the BM25 upper bound, as in `fuse`. tokens, sentences: the dense scores by token vectors alone and by sentence
    vectors alone (`estimated`), where there are two tiers.
    """

    by_meaning: list[int]
    dense: Ranking
    keyword: Ranking
    ceiling: float
    fused: list[FusedHit]
    tokens: Mapping[int, float] | None = None
    sentences: Mapping[int, float] = field(default_factory=dict)

    def evidence(self, item: FusedHit, settings: AskSettings, alike: bool) -> Evidence:
        """See the function `evidence`. With two tiers, `dense_score` is that of the token vectors, as with one."""
        if self.tokens is None:
            return evidence(item, self.dense, self.ceiling, settings, alike)
        by_tokens = replace(item, dense=(0, self.tokens[item.id]))
        found = evidence(by_tokens, self.dense, self.ceiling, settings, alike)
        near = self.sentences.get(item.id)
        return replace(found, sentences=near if near is None or alike else near + ELSEWHERE)


def rank(
    snapshot: Snapshot,
    tiers: Tiers,
    question: str,
    vector: Matrix,
    language: str,
    settings: AskSettings,
    filters: Filter | None = None,
) -> Rankings:
    """The best `settings.depth` passages by vector search and by BM25, and their fusion. vector, language: of the question.

    With late interaction, each passage found in either ranking scores `dense_score` plus the offset of its language. A
    passage that vector search did not find takes the cosine of the last one it found.

    With sentence vectors, the dense score is `both_tiers`, and counts `TWO_TIERS` times as much against BM25.

    The `OTHERS` nearest passages in languages other than the question's are always candidates, if the index has several
    languages and its vector index is exact. `fuse` takes `TRANSLATED` times the MaxSim of such a passage as its word match.
    """
    nearest: Ranking = snapshot.nearest(vector, settings.depth, filters) if settings.dense_weight else []
    words = snapshot.weigh(question, language)
    keyword: Ranking = snapshot.find(words, settings.depth, filters) if settings.keyword_weight else []
    late_interaction = tiers.late_interaction
    if not nearest or late_interaction is None:
        by_meaning = [number for number, _ in nearest]
        return Rankings(by_meaning, nearest, keyword, words.ceiling, fuse(nearest, keyword, words.ceiling, settings))
    language_offsets, last = late_interaction.language_offsets(snapshot, question, vector), nearest[-1][1]
    others = snapshot.nearest_elsewhere(vector, language, OTHERS, filters) if language_offsets else []
    found = tiers.sentences(snapshot, question, language, settings.depth, filters)
    cosines = dict(nearest) | dict(others)
    sought = dict.fromkeys((*cosines, *(number for number, _ in keyword), *(found.ids if found else ())))
    matches = late_interaction.matches(snapshot, question, list(sought))
    tokens = {
        number: dense_score(cosines.get(number, last), m.share, m.tokens) + language_offsets.get(m.language, 0.0)
        for number, m in matches.items()
    }
    translated = {
        number: TRANSLATED * max(0.0, m.share) for number, m in matches.items() if m.language not in (language, UNKNOWN)
    }
    if found is None:
        dense = _sorted(tokens)
        by_meaning = [number for number, _ in dense if number in cosines]
        fused = fuse(dense, keyword, words.ceiling, settings, translated)
        return Rankings(by_meaning, dense, keyword, words.ceiling, fused)
    sentences = estimated(tokens, found.scores({number: m.language for number, m in matches.items()}))
    dense = _sorted(both_tiers(tokens, sentences))
    near = cosines.keys() | set(found.ids)
    by_meaning = [number for number, _ in dense if number in near]
    heavier = replace(settings, dense_weight=TWO_TIERS * settings.dense_weight)
    fused = fuse(dense, keyword, words.ceiling, heavier, translated)
    return Rankings(by_meaning, dense, keyword, words.ceiling, fused, tokens, sentences)


def estimated(tokens: Mapping[int, float], sentences: Mapping[int, float]) -> dict[int, float]:
    """The sentence score of every passage: an estimate for those without a sentence vector; {} if none has one.

    The estimate is the token score, scaled from the range of token scores to that of sentence scores. So while an index is
    deepened, no passage gains by lacking its vector.
    tokens, sentences: the scores of each tier by passage, offsets of the language included.

    >>> {number: round(score, 3) for number, score in estimated({1: 1.0, 2: 0.6, 3: 0.8}, {1: 0.9, 2: 0.8}).items()}
    {1: 0.9, 2: 0.8, 3: 0.85}
    """
    if not tokens or not sentences:
        return {}
    low, high = min(tokens.values()), max(tokens.values())
    worst, best = min(sentences.values()), max(sentences.values())
    scale = (best - worst) / ((high - low) or 1.0)
    return {number: sentences.get(number, worst + scale * (score - low)) for number, score in tokens.items()}


def both_tiers(tokens: Mapping[int, float], sentences: Mapping[int, float]) -> dict[int, float]:
    """The dense score of passages in an index of two tiers: sentence score + token score / 8.

    sentences: of every passage (`estimated`), or empty; then the token scores count alone.
    """
    if not sentences:
        return dict(tokens)
    return {number: sentences[number] + score / TOKEN_SHARE for number, score in tokens.items()}


def _sorted(scores: Mapping[int, float]) -> list[tuple[int, float]]:
    """(id, score), best first; ties by ascending id."""
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


@dataclass(frozen=True, slots=True)
class Tiers:
    """What an embedder offers beside its vectors: late interaction over tokens, and a second tier; None without."""

    late_interaction: LateInteraction | None = None
    sentence_tier: SentenceTier | None = None

    @classmethod
    def of(cls, embedder: Embedder) -> Tiers:
        return cls(LateInteraction.of(embedder), SentenceTier.of(embedder))

    def sentences(
        self, snapshot: Snapshot, question: str, language: str, depth: int, filters: Filter | None
    ) -> FoundSentences | None:
        """`SentenceTier.search`; None without a second tier."""
        tier = self.sentence_tier
        return None if tier is None else tier.search(snapshot, question, language, depth, filters)


class Retriever:
    """Retrieves from an index folder."""

    def __init__(self, index: Index, embedder: Embedder, settings: AskSettings | None = None) -> None:
        self.index = index
        self.embedder = embedder
        self.tiers = Tiers.of(embedder)
        self.words = WordSearcher(index)
        self.settings = settings or AskSettings()
        self._known = _Generation()

    def passages(
        self, question: str, settings: AskSettings | None = None, filters: Filter | None = None
    ) -> RetrievedPassages:
        """Retrieve the best `settings.retrieve` passages. Raises FilterError for a filter that cannot be honoured.

        Raises SettingError for words of a field that no document has.
        """
        settings = settings or self.settings
        began = time.perf_counter()
        vector = self.embedder.questions([question])[0]
        embedded = time.perf_counter()
        with self.index.snapshot() as snapshot:
            if settings.words:
                snapshot = self.words.within(snapshot, settings.words, filters)
            language = detect_question(question, self._about(snapshot.generation).languages)
            ranked = rank(snapshot, self.tiers, question, vector, language, settings, filters)
            fused = ranked.fused[: settings.retrieve]
            chunks = {chunk.id: chunk for chunk in snapshot.chunks([item.id for item in fused])}
            generation, deepened = snapshot.generation, self._about(snapshot.generation).deepened
            copies = copies_among(self.index.folder, [chunk.document_id for chunk in chunks.values()])
        found = [(chunks[item.id], item) for item in fused if item.id in chunks]
        passages = tuple(_passage(chunk, item, rank) for rank, (chunk, item) in enumerate(found, start=1))
        hashes = tuple(chunk.content_hash for chunk, _ in found)
        how = tuple(ranked.evidence(item, settings, _alike(chunk.language, language)) for chunk, item in found)
        passages, how = passages_with_facts(question, language, passages, how, self.index.folder.headings_above)
        done = time.perf_counter()
        embed_ms, retrieve_ms = 1e3 * (embedded - began), 1e3 * (done - embedded)
        return RetrievedPassages(passages, hashes, how, language, generation, embed_ms, retrieve_ms, deepened, copies)

    def _about(self, generation: int) -> _Generation:
        """Languages and coverage of the index, counted once per generation."""
        if self._known.number != generation:
            folder = self.index.folder
            self._known = _Generation(generation, tuple(folder.counts()["languages"]), coverage(folder))
        return self._known


@dataclass(frozen=True, slots=True)
class _Generation:
    number: int = -1
    languages: tuple[str, ...] = ()
    deepened: float | None = None


def _alike(one: str, other: str) -> bool:
    """Whether words of one language can be those of the other: the same, or one is not known."""
    return one == other or UNKNOWN in (one, other)


def _passage(chunk: StoredChunk, item: FusedHit, rank: int) -> Passage:
    dense_rank, dense_score = item.dense or (None, None)
    keyword_rank, keyword_score = item.keyword or (None, None)
    return Passage(
        chunk.document_id,
        chunk.source,
        chunk.page,
        chunk.language,
        chunk.start,
        chunk.end,
        chunk.text,
        dense_rank,
        dense_score,
        keyword_rank,
        keyword_score,
        rank,
        item.score,
        recognised=chunk.recognised,
    )
