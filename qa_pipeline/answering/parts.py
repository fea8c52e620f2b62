"""`PartsAnswerer`: answers from an index in parts, given the candidates of each part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from indexing.models.embedder import Embedder
from indexing.models.registry import resolve
from indexing.store.filters import Filter
from qa_pipeline.answering.ask import AnsweringModels, ask_stream
from qa_pipeline.answering.calibration import calibration_of
from qa_pipeline.answering.verification import Verifier
from qa_pipeline.answers import Reply
from qa_pipeline.reading.early_stop import read_in_order
from qa_pipeline.reading.load import load_reader
from qa_pipeline.reading.readings import PassageReader, Reading
from qa_pipeline.retrieval.candidates import Candidates
from qa_pipeline.retrieval.parts import PartsRetriever
from qa_pipeline.retrieval.retriever import RetrievedPassages
from qa_pipeline.settings import AskSettings, question_text

if TYPE_CHECKING:
    from typing_extensions import Self


class PartsAnswerer:
    """Answers questions whose candidates were gathered elsewhere. Thread-safe."""

    def __init__(self, retriever: PartsRetriever, reader: PassageReader, models: AnsweringModels) -> None:
        self.retriever, self.reader, self.models = retriever, reader, models
        self.verifier = Verifier(retriever.folders)

    @classmethod
    def open(cls, path: Path, reader: str, precision: str = "auto") -> Self:
        """Open a folder of parts with the reader of that name. Raises IndexMissing, IndexMismatch, ModelError."""
        retriever, model = PartsRetriever.open(path), resolve(reader, "reader")
        embedder = Embedder.load(retriever.folders.parts.embedder)
        calibration = calibration_of(model).with_embedder(embedder.dense_score_name)
        loaded = load_reader(model, precision=precision)
        return cls(retriever, loaded, AnsweringModels(embedder.name, model.name, calibration))

    def ask(self, question: str, found: Sequence[Candidates], settings: AskSettings, filters: Filter | None = None) -> Reply:
        """The reply of `Answerer.ask` for the whole index. found: of each part, in order. Raises SettingError.

        filters: with which the candidates were found.
        """
        question = question_text(question)

        def run() -> tuple[RetrievedPassages, Iterator[list[Reading]]]:
            passages = self.retriever.passages(question, found, settings, filters)
            return passages, read_in_order(self.reader, question, passages.passages, settings.budget_ms)

        *_, last = ask_stream(question, run, settings, self.models, self.verifier, progress=False)
        assert last.reply is not None
        return last.reply
