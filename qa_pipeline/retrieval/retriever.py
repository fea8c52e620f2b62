"""Hybrid retrieval: dense and BM25 rankings, fused by their scores.

Both rankings come from one generation of the index and obey the same filter before they are made, so nothing has to be
thrown away afterwards.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from indexing.arrays import Matrix
from indexing.models.embedder import Embedder
from indexing.store.corpus_db import StoredChunk
from indexing.store.filters import Filter
from indexing.store.index import Index, Snapshot
from indexing.text.language_id import detect_question
from qa_pipeline.answers import Passage
from qa_pipeline.retrieval.dense_score import dense_score
from qa_pipeline.retrieval.evidence import Evidence
from qa_pipeline.retrieval.late_interaction import LateInteraction
from qa_pipeline.settings import AskSettings

Ranking = Sequence[tuple[int, float]]

TRANSLATED = 0.25
OTHERS = 10


@dataclass(frozen=True, slots=True)
class RetrievedPassages:
    """The passages for a question, best first, how each was found, the generation they are from, and milliseconds spent.

    content_hashes: of each passage's document.
    """

    passages: tuple[Passage, ...]
    content_hashes: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    language: str
    generation: int
    embed_ms: float
    retrieve_ms: float


@dataclass(frozen=True, slots=True)
class FusedHit:
    """One passage's place in the rankings; ranks begin at 1."""

    id: int
    score: float
    dense: tuple[int, float] | None
    keyword: tuple[int, float] | None


def fuse(
    dense: Ranking, keyword: Ranking, ceiling: float, settings: AskSettings, translated: Mapping[int, float] | None = None
) -> list[FusedHit]:
    """A weighted sum of both scores, each brought to 0..1, best first; equal scores by ascending id.

    score(p) = dense_weight * (near(p) - near(last)) / (near(first) - near(last))
             + keyword_weight * hypot(BM25(p) / ceiling, translated(p));
    a ranking without p adds nothing. ceiling: what BM25 cannot reach for this question. translated: what a passage in
    another language, of which the question's own words cannot be expected, has of them in that one, 0 to 1.

    The dense score is spread over what was found, as its size says little and differs from embedder to embedder. BM25 is
    measured by the question itself: where passages have few of its words, as those in another language do, words count for
    little, and where one has most of them, for more than the dense score can. That is the convex combination of Bruch, Gai
    and Ingber (2023, "An Analysis of Fusion Functions for Hybrid Retrieval"), who normalise by what a score can be at least;
    here BM25 by what it can be at most.

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
    """How an item of `fuse` was found; the other arguments are those of `fuse`.

    alike: it is in the question's language; words of another one cannot be expected to be the question's.
    """
    near = item.dense[1] if item.dense else (dense[-1][1] if dense else None)
    has_words = alike and settings.keyword_weight and ceiling
    return Evidence(near, (item.keyword[1] / ceiling if item.keyword else 0.0) if has_words else None)


@dataclass(frozen=True, slots=True)
class Rankings:
    """What was found for a question before it was cut to length.

    by_meaning: ids of those that the vectors found, nearest first. dense: (id, dense score), best first; ceiling: as of
    `fuse`.
    """

    by_meaning: list[int]
    dense: Ranking
    keyword: Ranking
    ceiling: float
    fused: list[FusedHit]

    def evidence(self, item: FusedHit, settings: AskSettings, alike: bool) -> Evidence:
        """As the function of that name."""
        return evidence(item, self.dense, self.ceiling, settings, alike)


def rank(
    snapshot: Snapshot,
    late_interaction: LateInteraction | None,
    question: str,
    vector: Matrix,
    language: str,
    settings: AskSettings,
    filters: Filter | None = None,
) -> Rankings:
    """The best `settings.depth` by meaning and by words, and both fused. vector, language: the question's.

    With late interaction, whatever was found in either way is as near as `dense_score` says of its cosine and what it
    matches of the question's tokens, and how far its language is `language_offsets` for nothing is added, so that all
    languages are on one level; one that is not among the nearest has the cosine of the last of them. Where passages of
    another language are, the nearest `OTHERS` of these are always looked at. Of such a passage `TRANSLATED` of the match
    stands for the words, which cannot be the question's there.
    """
    nearest: Ranking = snapshot.nearest(vector, settings.depth, filters) if settings.dense_weight else []
    words = snapshot.weigh(question, language)
    keyword: Ranking = snapshot.find(words, settings.depth, filters) if settings.keyword_weight else []
    if not nearest or late_interaction is None:
        by_meaning = [number for number, _ in nearest]
        return Rankings(by_meaning, nearest, keyword, words.ceiling, fuse(nearest, keyword, words.ceiling, settings))
    language_offsets, last = late_interaction.language_offsets(snapshot, question, vector), nearest[-1][1]
    others = snapshot.nearest_elsewhere(vector, language, OTHERS, filters) if language_offsets else []
    cosines = dict(nearest) | dict(others)
    matches = late_interaction.matches(snapshot, question, list(cosines | dict(keyword)))
    near = [
        (number, dense_score(cosines.get(number, last), m.share, m.tokens) + language_offsets.get(m.language, 0.0))
        for number, m in matches.items()
    ]
    dense = sorted(near, key=lambda item: (-item[1], item[0]))
    translated = {number: TRANSLATED * max(0.0, m.share) for number, m in matches.items() if m.language != language}
    by_meaning = [number for number, _ in dense if number in cosines]
    return Rankings(by_meaning, dense, keyword, words.ceiling, fuse(dense, keyword, words.ceiling, settings, translated))


class Retriever:
    """Retrieves from an index folder."""

    def __init__(self, index: Index, embedder: Embedder, settings: AskSettings | None = None) -> None:
        self.index = index
        self.embedder = embedder
        self.late_interaction = LateInteraction.of(embedder)
        self.settings = settings or AskSettings()
        self._languages: tuple[int, tuple[str, ...]] = (-1, ())

    def passages(
        self, question: str, settings: AskSettings | None = None, filters: Filter | None = None
    ) -> RetrievedPassages:
        """The best `settings.retrieve` passages. Raises FilterError for a filter that cannot be honoured."""
        settings = settings or self.settings
        began = time.perf_counter()
        vector = self.embedder.questions([question])[0]
        embedded = time.perf_counter()
        with self.index.snapshot() as snapshot:
            language = detect_question(question, self._among(snapshot.generation))
            ranked = rank(snapshot, self.late_interaction, question, vector, language, settings, filters)
            fused = ranked.fused[: settings.retrieve]
            chunks = {chunk.id: chunk for chunk in snapshot.chunks([item.id for item in fused])}
            generation = snapshot.generation
        found = [(chunks[item.id], item) for item in fused if item.id in chunks]
        passages = tuple(_passage(chunk, item, rank) for rank, (chunk, item) in enumerate(found, start=1))
        hashes = tuple(chunk.content_hash for chunk, _ in found)
        how = tuple(ranked.evidence(item, settings, chunk.language == language) for chunk, item in found)
        done = time.perf_counter()
        return RetrievedPassages(
            passages, hashes, how, language, generation, 1e3 * (embedded - began), 1e3 * (done - embedded)
        )

    def _among(self, generation: int) -> tuple[str, ...]:
        """The languages of the index, counted once per generation."""
        known, languages = self._languages
        if known != generation:
            languages = tuple(self.index.folder.counts()["languages"])
            self._languages = (generation, languages)
        return languages


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
    )
