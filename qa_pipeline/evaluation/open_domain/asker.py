"""Open-domain evaluation: the contexts are the corpus, and each question must retrieve its own context.

Entry point: `OpenAsker.ask`.

Every question is asked twice in the corpus of its context's language. "present" searches the whole corpus; "absent"
excludes the question's own context, and the right reply is "no answer". All retrieved passages are read, as in
`docqa ask --thorough`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from indexing.store.corpus_db import StoredChunk
from indexing.store.filters import Filter
from indexing.text.language_id import detect_question
from qa_pipeline.answering.span_boundaries import whole_span
from qa_pipeline.answering.verdict import best_score, candidates, decide
from qa_pipeline.datasets.examples import Example
from qa_pipeline.evaluation.metrics.mlqa import f1
from qa_pipeline.evaluation.metrics.ranking import RelevantRanks
from qa_pipeline.evaluation.open_domain.corpus import Corpus
from qa_pipeline.evaluation.runs.predictions import Prediction
from qa_pipeline.reading.readings import read_pairs
from qa_pipeline.retrieval.candidates import Tiers
from qa_pipeline.retrieval.evidence import Evidence
from qa_pipeline.retrieval.fact_evidence import facts_missing_in
from qa_pipeline.retrieval.retriever import rank

if TYPE_CHECKING:
    from indexing.models.embedder import Embedder
    from indexing.store.snapshot import Snapshot
    from qa_pipeline.answering.calibration import Calibration
    from qa_pipeline.reading.readings import PassageReader, Reading

Vector = NDArray[np.float32]
Row = tuple["StoredChunk", "Reading", Evidence]

RIGHT = 0.5
DEPTH = 100
SYSTEMS = ("dense", "keyword", "fused")
AT_A_TIME = 16


@dataclass(frozen=True, slots=True)
class OpenReply:
    """A reply over several passages. best: text of the best span; given: the answer, "" for "no answer".

    gap: margin of the best span with its retriever evidence, None without a span; no_answer: the no-answer score.
    """

    best: str
    gap: float | None
    no_answer: float
    given: str


@dataclass(frozen=True, slots=True)
class ReadPassage:
    """A passage as retrieved and read. gap: margin of its best span, None without a span; `nearness`: dense score.

    words: share of the BM25 upper bound. right: whether the span is right; own: whether it is of the question's own context.
    numbers, names: what it lacks of the question, as in `Evidence`; sentences: as there.
    """

    gap: float | None
    nearness: float | None
    words: float | None
    right: bool
    own: bool
    numbers: float = 0.0
    names: float = 0.0
    sentences: float | None = None

    @property
    def evidence(self) -> Evidence:
        return Evidence(self.nearness, self.words, self.numbers, self.names, self.sentences)


@dataclass(frozen=True, slots=True)
class ReadQuestion:
    """The passages read for a question, by rank. language: of the question; answerable: the corpus has its answer."""

    passages: tuple[ReadPassage, ...]
    answerable: bool
    language: str


@dataclass(frozen=True, slots=True)
class OpenPrediction:
    """One question. present: asked in the whole corpus; absent: asked in the corpus without its own context.

    ranks: of the right passages, by system. across: their ranks in the fused ranking of other languages' corpora.
    read: the passages of both, by rank. The first `retrieve` are those of present. The first `retrieve` that are not of the
    question's own context are those of absent.
    """

    present: Prediction
    absent: OpenReply
    relevant: int
    ranks: Mapping[str, tuple[int, ...]]
    across: Mapping[str, tuple[int, ...]]
    across_relevant: Mapping[str, int]
    read: tuple[ReadPassage, ...] = ()
    retrieve: int = 0

    def asked(self) -> tuple[ReadQuestion, ...]:
        """The passages read for present, and for absent if the question has an answer."""
        language = self.present.question_language
        whole = ReadQuestion(self.read[: self.retrieve], bool(self.present.wanted), language)
        if not whole.answerable:
            return (whole,)
        return whole, ReadQuestion(tuple(one for one in self.read if not one.own)[: self.retrieve], False, language)

    def found(self, system: str) -> RelevantRanks:
        return RelevantRanks(self.ranks[system], self.relevant)

    def as_dict(self) -> dict[str, Any]:
        beside = {name: value for name, value in asdict(self).items() if name != "present"}
        return {**self.present.as_dict(), **beside}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> OpenPrediction:
        ranks, across = ({name: tuple(r) for name, r in values[key].items()} for key in ("ranks", "across"))
        absent = OpenReply(**values["absent"])
        read = tuple(ReadPassage(**one) for one in values.get("read", ()))
        return cls(
            Prediction.from_dict(values),
            absent,
            values["relevant"],
            ranks,
            across,
            values["across_relevant"],
            read,
            values.get("retrieve", 0),
        )


@dataclass(frozen=True, slots=True)
class Parallel:
    """The translations of each question: id -> language of the context -> example."""

    examples: Mapping[str, Mapping[str, Example]]

    @classmethod
    def of(cls, examples: Sequence[Example]) -> Parallel:
        found: dict[str, dict[str, Example]] = {}
        for example in examples:
            found.setdefault(example.id, {})[example.language] = example
        return cls(found)


class OpenAsker:
    """Asks questions in a corpus of their contexts."""

    def __init__(
        self,
        corpus: Corpus,
        embedder: Embedder,
        reader: PassageReader,
        calibration_for: Callable[[str], Calibration],
        *,
        retrieve: int = 10,
        parallel: Parallel | None = None,
    ) -> None:
        self.corpus = corpus
        self.embedder = embedder
        self.tiers = Tiers.of(embedder)
        self.reader = reader
        self.calibration_for = calibration_for
        self.retrieve = retrieve
        self.parallel = parallel
        self._languages = sorted({language for language, _ in corpus.sources})

    def ask(self, examples: Sequence[Example]) -> Iterator[list[OpenPrediction]]:
        """Predictions for all examples in order, in batches of AT_A_TIME."""
        for first in range(0, len(examples), AT_A_TIME):
            part = examples[first : first + AT_A_TIME]
            vectors = self.embedder.questions([example.question for example in part])
            with self.corpus.index.snapshot() as snapshot:
                ranked = [self._ranked(snapshot, e, v, e.language) for e, v in zip(part, vectors, strict=True)]
                across = [self._across(snapshot, e, v) for e, v in zip(part, vectors, strict=True)]
                chunks = [self._chunks(snapshot, e, r.rankings["fused"]) for e, r in zip(part, ranked, strict=True)]
            readings = self._read(part, chunks)
            yield [self._predict(*row) for row in zip(part, ranked, across, chunks, readings, strict=True)]

    # -- retrieval -------------------------------------------------------------------------------------------------

    def _ranked(self, snapshot: Snapshot, example: Example, vector: Vector, language: str) -> QuestionRankings:
        return rank_question(snapshot, self.tiers, example.question, vector, language, self._languages)

    def _across(self, snapshot: Snapshot, example: Example, vector: Vector) -> dict[str, tuple[list[int], tuple[int, ...]]]:
        """For each other language of a parallel set: the fused ranking in its corpus, and the right passages there."""
        if self.parallel is None:
            return {}
        others = self.parallel.examples[example.id]
        return {
            language: (self._ranked(snapshot, example, vector, language).rankings["fused"], self.corpus.right(other))
            for language, other in sorted(others.items())
            if language != example.language and other.golds
        }

    def _chunks(self, snapshot: Snapshot, example: Example, fused: Sequence[int]) -> list[StoredChunk]:
        """The passages to read for present and for absent: `retrieve` passages each, by rank."""
        own = self.corpus.sources[example.language, example.context]
        found = snapshot.chunks(fused[: 2 * self.retrieve + len(self.corpus.passages[own])])
        others = [chunk for chunk in found if chunk.source != own][: self.retrieve]
        return [chunk for n, chunk in enumerate(found) if n < self.retrieve or chunk in others]

    # -- reading ---------------------------------------------------------------------------------------------------

    def _read(self, examples: Sequence[Example], chunks: Sequence[Sequence[StoredChunk]]) -> list[list[Reading]]:
        pairs = [(e.question, chunk.text) for e, found in zip(examples, chunks, strict=True) for chunk in found]
        readings = iter(read_pairs(self.reader, pairs))
        return [[next(readings) for _ in found] for found in chunks]

    def _predict(
        self,
        example: Example,
        ranked: QuestionRankings,
        across: Mapping[str, tuple[list[int], tuple[int, ...]]],
        chunks: Sequence[StoredChunk],
        readings: Sequence[Reading],
    ) -> OpenPrediction:
        calibration = self.calibration_for(example.question_language)
        own = self.corpus.sources[example.language, example.context]
        rows = [
            (chunk, reading, _with_facts(example, chunk, ranked.evidence(chunk)))
            for chunk, reading in zip(chunks, readings, strict=True)
        ]
        said = reply(rows[: self.retrieve], calibration)
        absent = reply([row for row in rows if row[0].source != own][: self.retrieve], calibration)
        right = self.corpus.right(example)
        present = Prediction(
            example.origin,
            example.id,
            example.language,
            example.question_language,
            example.wanted,
            said.given,
            said.best,
            0,
            0,
            said.gap,
            said.no_answer,
        )
        return OpenPrediction(
            present,
            absent,
            len(right),
            {name: ranks(ranking, right) for name, ranking in ranked.rankings.items()},
            {language: ranks(ranking, wanted) for language, (ranking, wanted) in across.items()},
            {language: len(wanted) for language, (_, wanted) in across.items()},
            tuple(_read(row, example, own) for row in rows),
            self.retrieve,
        )


def _read(row: Row, example: Example, own: str) -> ReadPassage:
    chunk, reading, found = row
    span = reading.spans[0] if reading.spans else None
    said = chunk.text[slice(*whole_span(chunk.text, span.start, span.end))] if span else ""
    right = bool(span and example.wanted) and f1(said, example.wanted, example.language) >= RIGHT
    return ReadPassage(
        round(float(span.margin), 4) if span else None,
        _short(found.dense_score),
        _short(found.words),
        right,
        chunk.source == own,
        found.numbers,
        _short(found.names) or 0.0,
        _short(found.sentences),
    )


def _with_facts(example: Example, chunk: StoredChunk, found: Evidence) -> Evidence:
    """The evidence with the facts of the question that the passage lacks."""
    return facts_missing_in(example.question, example.question_language, (chunk.text,), chunk.language).evidence(found)


def _short(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)


@dataclass(frozen=True, slots=True)
class QuestionRankings:
    """A question's rankings (chunk ids by rank, per system), and the retriever evidence of each passage."""

    rankings: dict[str, list[int]]
    evidence: Callable[[StoredChunk], Evidence]


def rank_question(
    snapshot: Snapshot,
    tiers: Tiers,
    question: str,
    vector: Vector,
    language: str,
    languages: Sequence[str],
) -> QuestionRankings:
    """Ranks the corpus of `language` for a question. languages: those among which the question's language is detected."""
    from qa_pipeline.settings import AskSettings

    only: Filter = {"source": {"$glob": f"{language}/*"}}
    asked_in = detect_question(question, languages)
    settings = AskSettings(depth=DEPTH)
    found = rank(snapshot, tiers, question, vector, asked_in, settings, only)
    fused = {item.id: item for item in found.fused}
    rankings = {"dense": found.by_meaning, "keyword": [id for id, _ in found.keyword], "fused": list(fused)}
    return QuestionRankings(rankings, lambda chunk: found.evidence(fused[chunk.id], settings, chunk.language == asked_in))


def ranks(ranking: Sequence[int], right: Sequence[int]) -> tuple[int, ...]:
    """The 1-based ranks of the right passages."""
    wanted = set(right)
    return tuple(rank for rank, id in enumerate(ranking, start=1) if id in wanted)


def reply(rows: Sequence[Row], calibration: Calibration) -> OpenReply:
    """The reply with the span of the largest margin plus evidence over all passages; the earlier span of a tie."""
    texts = [chunk.text if reading.spans else "" for chunk, reading, _ in rows]
    evidence = [evidence for _, _, evidence in rows]
    found = candidates([reading for _, reading, _ in rows], texts, calibration, evidence)
    verdict = decide(best_score(found), calibration.threshold)
    if not found:
        return OpenReply("", None, verdict.score, "")
    span = found[0]
    best = rows[span.passage][0].text[span.start : span.end]
    return OpenReply(best, round(float(span.margin), 4), round(verdict.score, 6), "" if verdict.is_no_answer else best)
