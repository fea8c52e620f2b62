"""Question -> retrieve -> read -> reply: a Haystack Pipeline of two nodes, and the reply made of what they say.

Read `QAPipeline.ask`. Whether the documents answer at all is decided once, over the whole question: the best span of
all passages against "no answer", never passage by passage.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

from haystack import Pipeline
from haystack.nodes import BaseComponent

from indexing.documents import page_of
from indexing.embed import Embedder, nearness_name
from indexing.errors import DocqaError, DocumentMissing, IndexMismatch
from indexing.filters import Filter
from indexing.folder import IndexFolder
from indexing.index import Index
from indexing.language import detect_question
from indexing.models import ModelFolder, resolve
from indexing.presets import BUILTIN, Preset
from qa_pipeline import calibrations
from qa_pipeline.answers import Answer, NoAnswer, Passage, Reply, Timings, verified
from qa_pipeline.calibrations import Known
from qa_pipeline.lift import NOTHING, Evidence, Lift
from qa_pipeline.reader import Reading, ReadsPassages, load_reader
from qa_pipeline.retrieval import FusedRetriever, Retrieved
from qa_pipeline.settings import AskSettings, question_text


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a reader's gaps mean: the probability that its best span is right is logistic(sharp * (gap - shift)).

    threshold: "no answer" when 1 - that probability is above it. stop_gap: a span this far (logits) above "no answer" is
    seldom beaten by passages further down the ranking, so reading stops there; docs/cli.md tells what that costs.
    scope: "language" (learned from questions in one language), "pooled" (from several together), "none" (not learned).
    lift: what is added to a gap for how its passage was found. languages: by question language, what holds for it instead.
    found: what holds instead for passages that were found by the embedder of its lift; this is for texts given by hand.
    """

    sharp: float = 1.0
    shift: float = 0.0
    threshold: float = 0.5
    stop_gap: float = 4.6
    scope: str = "none"
    lift: Lift | None = None
    languages: Mapping[str, Calibration] = field(default_factory=dict)
    found: Calibration | None = None

    def of(self, language: str) -> Calibration:
        """What holds for questions in a language: its own, else this."""
        return self.languages.get(language, self)

    def with_embedder(self, nearness: str) -> Calibration:
        """What holds for passages found with the embedder of that nearness: this, where nothing was learned with it."""
        lift = self.found.lift if self.found else None
        return self.found if self.found and lift and lift.embedder == nearness else self

    def lifted(self, gap: float, found: Evidence = NOTHING) -> float:
        """The gap of a span in a passage that was found so; in logits."""
        return gap if self.lift is None else gap + self.lift.of(found)

    def probability(self, gap: float) -> float:
        """How sure the reader is of a span, in [0, 1].

        >>> Calibration(shift=3.0).probability(3.0)
        0.5
        """
        return 1.0 / (1.0 + math.exp(-max(-500.0, min(500.0, self.sharp * (gap - self.shift)))))


UNCALIBRATED = Calibration()
NEVER = Calibration(threshold=1.0)


def calibration_of(model: ModelFolder) -> Calibration:
    """What is known of a reader: what `docqa calibrate` learned of it, else its preset's figures.

    One that never learned to say "no answer" never says it, unless it was calibrated.
    """
    preset = model.preset
    base = UNCALIBRATED
    if preset is not None and not preset.knows_no_answer:
        base = NEVER
    elif preset is not None and preset.calibration:
        sharp, shift, threshold, stop_gap = preset.calibration
        base = Calibration(sharp, shift, threshold, stop_gap, "pooled", found=_own_found(preset))
    known = calibrations.load(model)
    if known is None:
        return base
    found = _made(known.found, base.stop_gap) if known.found else None
    return replace(_made(known, base.stop_gap), found=found)


def _made(known: Known, stop_gap: float) -> Calibration:
    languages = {name: Calibration(*numbers, stop_gap, "language", known.lift) for name, numbers in known.languages.items()}
    return Calibration(*known.pooled, stop_gap, "pooled", known.lift, languages)


def _own_found(preset: Preset) -> Calibration | None:
    """What a preset knows of passages that the built-in embedder found."""
    if not preset.found:
        return None
    sharp, shift, threshold, near, words, nearness, share = preset.found
    lift = Lift(near, words, Evidence(nearness, share), nearness_name(resolve(BUILTIN, "embedder").fingerprint, static=True))
    return Calibration(sharp, shift, threshold, preset.calibration[3], "pooled", lift)


FEW, MORE_FOR_FEW = 3, 2.5


@dataclass(frozen=True, slots=True)
class Stop:
    """When reading ends before the last passage: at a gap, once `at_least` are read, or when the time is spent.

    While fewer than FEW passages are read the gap must be larger, by MORE_FOR_FEW logits: the best answer of a question is
    often in the second or third passage, and little is known of how good the others are.
    """

    gap: float = math.inf
    at_least: int = 1
    budget_ms: float = math.inf

    def why(self, readings: Sequence[Reading], passages: int) -> str:
        """Why the reading of these ended, one of "all", "sure", "budget"."""
        if len(readings) >= passages:
            return "all"
        return "sure" if self.is_sure(readings) else "budget"

    def is_sure(self, readings: Sequence[Reading]) -> bool:
        """Whether one of the readings gave an answer that the reader is sure of."""
        wanted = self.gap + (MORE_FOR_FEW if len(readings) < FEW else 0.0)
        gaps = (span.gap for reading in readings for span in reading.spans)
        return len(readings) >= self.at_least and any(gap >= wanted for gap in gaps)


@dataclass(frozen=True, slots=True)
class HowRead:
    """How long the reading of a question took (ms), of how many passages, and why it ended there."""

    ms: float = 0.0
    passages: int = 0
    stopped: str = "all"


class Retrieve(BaseComponent):
    """Node: question -> passages."""

    outgoing_edges = 1

    def __init__(self, retriever: FusedRetriever) -> None:
        super().__init__()
        self.retriever = retriever

    def run(self, query: str, settings: AskSettings, filters: Any = None) -> tuple[dict[str, Any], str]:  # type: ignore[override]
        return {"retrieved": self.retriever.passages(query, settings, filters)}, "output_1"

    def run_batch(self, *_: Any, **__: Any) -> Any:
        raise TypeError("Ask one question at a time; QAPipeline.ask may be called from several threads.")


class Read(BaseComponent):
    """Node: question and passages -> what each passage says."""

    outgoing_edges = 1

    def __init__(self, reader: ReadsPassages) -> None:
        super().__init__()
        self.reader = reader

    def run(self, query: str, retrieved: Retrieved, stop: Stop) -> tuple[dict[str, Any], str]:  # type: ignore[override]
        began = time.perf_counter()
        steps = read_in_steps(self.reader, query, retrieved.passages, stop)
        readings = list(steps)[-1]
        return {"retrieved": retrieved, "readings": readings, "read_ms": 1e3 * (time.perf_counter() - began)}, "output_1"

    def run_batch(self, *_: Any, **__: Any) -> Any:
        raise TypeError("Ask one question at a time; QAPipeline.ask may be called from several threads.")


class QAPipeline:
    """Answers questions from one index folder. Safe to ask from several threads; a question changes nothing."""

    def __init__(
        self, index: Index, embedder: Embedder, reader: ReadsPassages | None, *, reader_name: str = "",
        calibration: Calibration = UNCALIBRATED, settings: AskSettings | None = None,
    ) -> None:  # fmt: skip
        if embedder.fingerprint != index.folder.model["fingerprint"]:
            raise IndexMismatch(
                f"The index in {index.folder.path} was made with another version of {index.folder.model['name']} than"
                " the one on this machine; index the documents anew, or bring the old model back."
            )
        self.index = index
        self.embedder = embedder
        self.retriever = FusedRetriever(index, embedder, settings)
        self.reader = reader
        self.reader_name = reader_name
        self.settings = settings or AskSettings()
        self.calibration = calibration.with_embedder(embedder.nearness)
        self.pipeline: Any = None
        if reader is not None:
            self.pipeline = Pipeline()
            self.pipeline.add_node(Retrieve(self.retriever), "Retriever", ["Query"])
            self.pipeline.add_node(Read(reader), "Reader", ["Retriever"])

    @classmethod
    def open(
        cls, index: Path, reader: str | None, settings: AskSettings | None = None, precision: str = "auto"
    ) -> QAPipeline:  # fmt: skip
        """Open an index folder with the reader of that name (None: passages only) and the index's own embedder."""
        with IndexFolder.open(index) as folder:
            embedder = str(folder.model["name"])
        model = resolve(reader, "reader") if reader is not None else None
        return cls(
            Index.open(index), Embedder.load(embedder), load_reader(model, precision=precision) if model else None,
            reader_name=model.name if model else "", settings=settings,
            calibration=calibration_of(model) if model else UNCALIBRATED,
        )  # fmt: skip

    def ask(self, question: str, settings: AskSettings | None = None, filters: Filter | None = None) -> Reply:
        """The answers to a question, or that there is none, with the closest passages either way.

        Raises SettingError for an empty or overlong question, FilterError for a filter that cannot be honoured.
        """
        began = time.perf_counter()
        question, settings = question_text(question), settings or self.settings
        stop = self.stop(settings)
        parameters = {"Retriever": {"settings": settings, "filters": filters}, "Reader": {"stop": stop}}
        result = self._run(question, parameters)
        retrieved: Retrieved = result["retrieved"]
        answers = self.checked(answers_of(retrieved, result["readings"], self.calibration.of(retrieved.language)))
        verdict = decide(answers, self.threshold_for(settings, retrieved.language))
        given = () if verdict.is_no_answer else tuple(answers[: settings.top_k])
        read = HowRead(
            float(result["read_ms"]), len(result["readings"]), stop.why(result["readings"], len(retrieved.passages))
        )
        return self.reply_of(question, retrieved, given, verdict, began, read)

    def stop(self, settings: AskSettings) -> Stop:
        """When the reading of a question ends."""
        gap = math.inf if settings.thorough else self.calibration.stop_gap
        return Stop(gap, settings.read_at_least, math.inf if settings.budget_ms is None else settings.budget_ms)

    def threshold_for(self, settings: AskSettings, language: str) -> float:
        """The no-answer threshold of a question in a language: the one asked for, else the reader's."""
        own = self.calibration.of(language).threshold
        return own if settings.no_answer_threshold is None else settings.no_answer_threshold

    def search(self, question: str, settings: AskSettings | None = None, filters: Filter | None = None) -> Reply:
        """The closest passages only; nothing is read, so nothing is answered."""
        began = time.perf_counter()
        question = question_text(question)
        retrieved = self.retriever.passages(question, settings or self.settings, filters)
        return self.reply_of(question, retrieved, (), NoAnswer(0.0, NEVER.threshold, False), began, HowRead())

    def _run(self, question: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Run the Haystack pipeline; it wraps every error of a node, ours come out as they were raised."""
        try:
            result: dict[str, Any] = self.pipeline.run(query=question, params=parameters)
        except Exception as error:
            if isinstance(error.__cause__, DocqaError):
                raise error.__cause__ from None
            raise
        return result

    def reply_of(
        self, question: str, retrieved: Retrieved, answers: tuple[Answer, ...], verdict: NoAnswer, began: float,
        read: HowRead,
    ) -> Reply:  # fmt: skip
        """Everything of one question as it leaves. began: `time.perf_counter()` when it was asked."""
        total = 1e3 * (time.perf_counter() - began)
        timings = Timings(*(round(ms, 2) for ms in (retrieved.embed_ms, retrieved.retrieve_ms, read.ms, total)))
        return Reply(
            question, retrieved.language, answers, retrieved.passages, verdict, timings, self.embedder.name,
            self.reader_name, retrieved.generation, read.passages, read.stopped,
            self.calibration.of(retrieved.language).scope,
        )  # fmt: skip

    def checked(self, answers: Sequence[Answer]) -> list[Answer]:
        """The answers with their page, each compared with the document itself; those of a document gone are left out."""
        documents: dict[str, Any] = {}
        checked: list[Answer] = []
        for answer in answers:
            if answer.document_id not in documents:
                try:
                    documents[answer.document_id] = self.index.folder.document(answer.document_id)
                except DocumentMissing:
                    documents[answer.document_id] = None
            document = documents[answer.document_id]
            if document is not None:
                verified(answer, documents.__getitem__)
                checked.append(replace(answer, page=page_of(document.pages, answer.start)))
        return checked


def decide(answers: Sequence[Answer], threshold: float) -> NoAnswer:
    """No answer when the best answer's score leaves more than `threshold` to "no answer"."""
    score = 1.0 - max((answer.score for answer in answers), default=0.0)
    return NoAnswer(score, threshold, score > threshold or not answers)


def read_in_steps(
    reader: ReadsPassages, question: str, passages: Sequence[Passage], stop: Stop
) -> Iterator[list[Reading]]:  # fmt: skip
    """The readings of the first passages, after each one of them, in fused order; at least one list."""
    began = time.perf_counter()
    readings: list[Reading] = []
    while True:
        readings = [*readings, *reader.read(question, [passage.text for passage in passages[len(readings) :][:1]])]
        yield readings
        spent = 1e3 * (time.perf_counter() - began)
        if len(readings) >= len(passages) or stop.is_sure(readings) or spent >= stop.budget_ms:
            return


def answers_of(retrieved: Retrieved, readings: Sequence[Reading], calibration: Calibration) -> list[Answer]:
    """All spans of the passages read in document offsets, best first; of those that overlap in a document the best."""
    found = [
        Answer(
            passage.text[span.start : span.end], passage.start + span.start, passage.start + span.end,
            calibration.probability(calibration.lifted(span.gap, how)), passage.document_id, passage.source, passage.page,
            passage.language, passage.content_hash, passage,
        )
        for passage, how, reading in zip(retrieved.passages, retrieved.evidence, readings, strict=False)
        for span in reading.spans
    ]  # fmt: skip
    found.sort(key=lambda answer: (-answer.score, answer.passage.fused_rank, answer.start))
    return distinct(found)


def distinct(answers: Sequence[Answer]) -> list[Answer]:
    """Of answers that overlap in the same document, the first; the order stays."""
    kept: list[Answer] = []
    for answer in answers:
        if not any(
            other.document_id == answer.document_id and other.start < answer.end and answer.start < other.end
            for other in kept
        ):
            kept.append(answer)
    return kept


def read_one(
    reader: ReadsPassages, question: str, context: str, calibration: Calibration = UNCALIBRATED
) -> dict[str, Any]:  # fmt: skip
    """One text, no index: {"answer", "start", "end", "score"}, the shape of the model cards; "" when it does not say."""
    calibration = calibration.of(detect_question(question, tuple(calibration.languages)))
    spans = reader.read(question, [context])[0].spans
    best = spans[0] if spans else None
    score = calibration.probability(best.gap) if best else 0.0
    if best is None or 1.0 - score > calibration.threshold:
        return {"answer": "", "start": 0, "end": 0, "score": 1.0 - score}
    return {"answer": context[best.start : best.end], "start": best.start, "end": best.end, "score": score}
