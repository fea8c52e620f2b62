"""Hybrid retrieval: dense and BM25 rankings, fused by their scores.

Both rankings come from one generation of the index. Filters restrict the candidates before ranking, so no result has to be
discarded afterwards.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Protocol

from indexing.arrays import Matrix
from indexing.deepen import coverage
from indexing.models.embedder import Embedder
from indexing.store.copies import Twins, copies_among, twins_of
from indexing.store.corpus_db import StoredChunk
from indexing.store.filters import Filter
from indexing.store.index import Index
from indexing.store.snapshot import Snapshot
from indexing.text.language_id import UNKNOWN, detect_question
from qa_pipeline.answers import DocumentName, Passage
from qa_pipeline.retrieval.candidates import OTHERS, Candidates, Ranking, Tiers, best_of, candidates
from qa_pipeline.retrieval.dense_score import dense_score
from qa_pipeline.retrieval.evidence import Evidence
from qa_pipeline.retrieval.fact_evidence import passages_with_facts
from qa_pipeline.retrieval.sentence_tier import OTHERS as OTHER_SENTENCES
from qa_pipeline.settings import AskSettings

if TYPE_CHECKING:
    from qa_pipeline.retrieval.word_search import WordSearcher

Found = tuple[StoredChunk, "FusedHit"]

TRANSLATED = 0.25
TOKEN_SHARE = 8.0
TWO_TIERS = 2.0
DEEPEST = 1_000  # how deep rankings are taken where copies fill them
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
    """The rankings of one index, as in `combine`. vector, language: of the question."""
    return combine([candidates(snapshot, tiers, question, vector, language, settings, filters)], language, settings)


def combine(parts: Sequence[Candidates], language: str, settings: AskSettings) -> Rankings:
    """The rankings of a question from what an index has for it, or the parts of one. language: of the question.

    With late interaction, each passage found in either ranking scores `dense_score` plus the offset of its language. A
    passage that vector search did not find takes the cosine of the last one it found.

    With sentence vectors, the dense score is `both_tiers`, and counts `TWO_TIERS` times as much against BM25.

    The `OTHERS` nearest passages in languages other than the question's are always candidates, if the index has several
    languages and its vector index is exact. `fuse` takes `TRANSLATED` times the MaxSim of such a passage as its word match.
    """
    nearest = best_of([part.nearest for part in parts], settings.depth)
    keyword = best_of([part.keyword for part in parts], settings.depth)
    ceiling = max((part.ceiling for part in parts), default=0.0)
    if not nearest or all(part.matches is None for part in parts):
        by_meaning = [number for number, _ in nearest]
        return Rankings(by_meaning, nearest, keyword, ceiling, fuse(nearest, keyword, ceiling, settings))
    language_offsets = next(part.offsets for part in parts if part.matches is not None)
    last = nearest[-1][1]
    cosines = dict(nearest) | dict(best_of([part.others for part in parts], OTHERS))
    found = [part.sentences for part in parts if part.sentences is not None]
    near_sentences = [
        *best_of([one.near for one in found], settings.depth),
        *best_of([one.others for one in found], OTHER_SENTENCES),
    ]
    sought = dict.fromkeys((*cosines, *(number for number, _ in keyword), *(number for number, _ in near_sentences)))
    held = {number: match for part in parts for number, match in (part.matches or {}).items()}
    matches = {number: held[number] for number in sought if number in held}
    tokens = {
        number: dense_score(cosines.get(number, last), m.share, m.tokens) + language_offsets.get(m.language, 0.0)
        for number, m in matches.items()
    }
    translated = {
        number: TRANSLATED * max(0.0, m.share) for number, m in matches.items() if m.language not in (language, UNKNOWN)
    }
    if not found:
        dense = _sorted(tokens)
        by_meaning = [number for number, _ in dense if number in cosines]
        fused = fuse(dense, keyword, ceiling, settings, translated)
        return Rankings(by_meaning, dense, keyword, ceiling, fused)
    scores = {number: score for one in found for number, score in one.scores.items() if number in matches}
    sentences = estimated(tokens, scores)
    dense = _sorted(both_tiers(tokens, sentences))
    near = cosines.keys() | dict(near_sentences).keys()
    by_meaning = [number for number, _ in dense if number in near]
    heavier = replace(settings, dense_weight=TWO_TIERS * settings.dense_weight)
    fused = fuse(dense, keyword, ceiling, heavier, translated)
    return Rankings(by_meaning, dense, keyword, ceiling, fused, tokens, sentences)


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


class Headings(Protocol):
    """What is needed of the folder, or folders, of an index (`IndexFolder.headings_above`)."""

    def headings_above(self, document_id: str, offset: int) -> list[str]: ...


def retrieved(
    ranked: Rankings,
    found: Sequence[Found],
    twins: Sequence[Twins],
    question: str,
    language: str,
    settings: AskSettings,
    folder: Headings,
    generation: int,
    embed_ms: float,
    retrieve_ms: Callable[[], float],
    deepened: float | None,
    copies: tuple[tuple[str, ...], ...],
) -> RetrievedPassages:
    """The passages of a reply with their evidence. found: best first, as in `distinct`. twins: `twins_of` for each.

    language: of the question. retrieve_ms: called when all is done. The others are those of `RetrievedPassages`.
    """
    passages = tuple(
        _passage(chunk, item, rank, also) for rank, ((chunk, item), also) in enumerate(zip(found, twins, strict=True), 1)
    )
    hashes = tuple(chunk.content_hash for chunk, _ in found)
    how = tuple(ranked.evidence(item, settings, _alike(chunk.language, language)) for chunk, item in found)
    passages, how = passages_with_facts(question, language, passages, how, folder.headings_above)
    return RetrievedPassages(passages, hashes, how, language, generation, embed_ms, retrieve_ms(), deepened, copies)


def _ms_since(began: float) -> float:
    return 1e3 * (time.perf_counter() - began)


class Retriever:
    """Retrieves from an index folder."""

    def __init__(self, index: Index, embedder: Embedder, settings: AskSettings | None = None) -> None:
        self.index = index
        self.embedder = embedder
        self.tiers = Tiers.of(embedder)
        self.settings = settings or AskSettings()
        self._known = _Generation()

    @cached_property
    def words(self) -> WordSearcher:
        """Search by words, which most questions do not need: so it is imported when it is used."""
        from qa_pipeline.retrieval.word_search import WordSearcher

        return WordSearcher(self.index)

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
            ranked, found = self._ranked(snapshot, question, vector, language, settings, filters)
            generation, deepened = snapshot.generation, self._about(snapshot.generation).deepened
            folder = self.index.folder
            copies = copies_among(folder, [chunk.document_id for chunk, _ in found])
            twins = twins_of(folder, [chunk for chunk, _ in found], snapshot.allowed(filters))
        embed_ms, spent = 1e3 * (embedded - began), partial(_ms_since, embedded)
        return retrieved(
            ranked, found, twins, question, language, settings, folder, generation, embed_ms, spent, deepened, copies
        )

    def _ranked(
        self, snapshot: Snapshot, question: str, vector: Matrix, language: str, settings: AskSettings, filters: Filter | None
    ) -> tuple[Rankings, list[Found]]:
        """The rankings, and the best passages without those that repeat another one.

        Where copies of one text fill the rankings, they are taken once more, down to DEEPEST.
        """

        def found_at(depth: int) -> tuple[Rankings, list[Found]]:
            ranked = rank(snapshot, self.tiers, question, vector, language, replace(settings, depth=depth), filters)
            return ranked, distinct(ranked.fused, snapshot.chunks, settings.retrieve)

        ranked, found = found_at(settings.depth)
        repeated = len(found) < min(settings.retrieve, len(ranked.fused))
        if repeated and settings.depth <= len(ranked.fused) and settings.depth < DEEPEST:
            return found_at(DEEPEST)
        return ranked, found

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


def distinct(fused: Sequence[FusedHit], chunks: Callable[[list[int]], Iterable[StoredChunk]], most: int) -> list[Found]:
    """The first `most` passages of a ranking, without those of documents that have the text of another one.

    chunks: gives passages by id; those that are gone are left out.
    """
    found: list[Found] = []
    seen: set[tuple[str, int, int]] = set()
    for start in range(0, len(fused), most):
        part = fused[start : start + most]
        loaded = {chunk.id: chunk for chunk in chunks([item.id for item in part])}
        for item in part:
            chunk = loaded.get(item.id)
            if chunk is None or (place := (chunk.content_hash, chunk.start, chunk.end)) in seen:
                continue
            seen.add(place)
            found.append((chunk, item))
            if len(found) == most:
                return found
    return found


def _alike(one: str, other: str) -> bool:
    """Whether words of one language can be those of the other: the same, or one is not known."""
    return one == other or UNKNOWN in (one, other)


def _passage(chunk: StoredChunk, item: FusedHit, rank: int, also_in: Twins) -> Passage:
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
        also_in=tuple(DocumentName(id, source) for id, source in also_in),
        recognised=chunk.recognised,
    )
