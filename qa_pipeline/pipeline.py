"""Question -> retrieve -> read -> reply: a Haystack Pipeline of two nodes, and the reply made of what they say.

Read `QAPipeline.ask`. Whether the documents answer at all is decided once, over the whole question: the best span of
all passages against "no answer", never passage by passage.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from indexing.documents import page_of
from indexing.errors import DocqaError, DocumentMissing, IndexMismatch
from indexing.models.embedder import Embedder
from indexing.models.registry import resolve
from indexing.store.corpus_db import IndexFolder
from indexing.store.filters import Filter
from indexing.store.index import Index
from qa_pipeline.answering.calibration import NEVER, UNCALIBRATED, Calibration, calibration_of
from qa_pipeline.answering.verdict import answers_of, decide
from qa_pipeline.answers import Answer, NoAnswer, Passage, Reply, Timings, verified
from qa_pipeline.haystack.load import load_reader
from qa_pipeline.haystack.nodes import two_nodes
from qa_pipeline.haystack.retriever import FusedRetriever
from qa_pipeline.reading.early_stop import HowRead, Stop, read_in_steps
from qa_pipeline.reading.readings import ReadsPassages
from qa_pipeline.retrieval.retriever import Retrieved
from qa_pipeline.settings import AskSettings, question_text


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
        self.pipeline: Any = None if reader is None else two_nodes(self.retriever, reader)

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


@dataclass(frozen=True, slots=True)
class Step:
    """How far a question is. answers: best first, of the `read` passages read so far; reply: with the last step only."""

    passages: tuple[Passage, ...]
    answers: tuple[Answer, ...] = ()
    read: int = 0
    reply: Reply | None = None


def ask_in_steps(
    pipeline: QAPipeline, reader: ReadsPassages, question: str, settings: AskSettings, filters: Filter | None = None
) -> Iterator[Step]:
    """First the passages, then a step for each few of them read, in fused order; the last step has the reply.

    Raises SettingError, FilterError, before the first step.
    """
    began = time.perf_counter()
    question = question_text(question)
    retrieved = pipeline.retriever.passages(question, settings, filters)
    passages = retrieved.passages
    last = Step(passages)
    yield last
    read_ms, at = 0.0, time.perf_counter()
    stop, readings = pipeline.stop(settings), []
    for readings in read_in_steps(reader, question, passages, stop):
        read_ms += 1e3 * (time.perf_counter() - at)
        answers = pipeline.checked(answers_of(retrieved, readings, pipeline.calibration.of(retrieved.language)))
        verdict = decide(answers, pipeline.threshold_for(settings, retrieved.language))
        given = () if verdict.is_no_answer else tuple(answers[: settings.top_k])
        last = Step(passages, given, len(readings))
        yield last
        at = time.perf_counter()
    read = HowRead(read_ms, last.read, stop.why(readings, len(passages)))
    reply = pipeline.reply_of(question, retrieved, given, verdict, began, read)
    yield Step(passages, given, last.read, reply)
