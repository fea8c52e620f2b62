"""`QAPipeline`: an index folder and a reader as one Haystack Pipeline that answers questions.

Read `QAPipeline.ask`. `answering.ask` turns the spans that the pipeline finds into a reply.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from indexing.errors import DocqaError, IndexMismatch, SettingError
from indexing.models.embedder import Embedder
from indexing.models.registry import resolve
from indexing.store.corpus_db import IndexFolder
from indexing.store.filters import Filter
from indexing.store.index import Index
from qa_pipeline.answering.ask import AnsweringModels, Step, ask_stream, search_reply
from qa_pipeline.answering.calibration import UNCALIBRATED, Calibration, calibration_of
from qa_pipeline.answering.verification import Verifier
from qa_pipeline.answers import Reply
from qa_pipeline.haystack.load import load_reader
from qa_pipeline.haystack.nodes import haystack_pipeline
from qa_pipeline.haystack.retriever import FusedRetriever
from qa_pipeline.reading.early_stop import StopRule
from qa_pipeline.reading.readings import PassageReader, Reading
from qa_pipeline.retrieval.retriever import RetrievedPassages
from qa_pipeline.settings import AskSettings, question_text


class QAPipeline:
    """Answers questions from one index folder. Thread-safe; a question changes no state but caches."""

    def __init__(
        self,
        index: Index,
        embedder: Embedder,
        reader: PassageReader | None,
        *,
        reader_name: str = "",
        calibration: Calibration = UNCALIBRATED,
        settings: AskSettings | None = None,
    ) -> None:
        if embedder.fingerprint != index.folder.model["fingerprint"]:
            raise IndexMismatch(
                f"The index in {index.folder.path} was made with another version of {index.folder.model['name']} than"
                " the one on this machine; index the documents again, or restore the old model."
            )
        self.index = index
        self.embedder = embedder
        self.retriever = FusedRetriever(index, embedder, settings)
        self.reader = reader
        self.settings = settings or AskSettings()
        self.models = AnsweringModels(embedder.name, reader_name, calibration.with_embedder(embedder.dense_score_name))
        self.verifier = Verifier(index.folder)
        self.pipeline: Any = None if reader is None else haystack_pipeline(self.retriever, reader)

    @classmethod
    def open(
        cls, index: Path, reader: str | None, settings: AskSettings | None = None, precision: str = "auto"
    ) -> QAPipeline:
        """Open an index folder with the reader of that name (None: passages only) and the index's own embedder."""
        with IndexFolder.open(index) as folder:
            embedder = str(folder.model["name"])
        model = resolve(reader, "reader") if reader is not None else None
        return cls(
            Index.open(index),
            Embedder.load(embedder),
            load_reader(model, precision=precision) if model else None,
            reader_name=model.name if model else "",
            settings=settings,
            calibration=calibration_of(model) if model else UNCALIBRATED,
        )

    def ask(self, question: str, settings: AskSettings | None = None, filters: Filter | None = None) -> Reply:
        """Answer a question. The reply has the closest passages, also when it has no answer.

        Raises SettingError for an empty or overlong question, FilterError for a filter that cannot be honoured.
        """
        *_, last = self._steps(question, settings, filters, progress=False)
        assert last.reply is not None
        return last.reply

    def stream(self, question: str, settings: AskSettings | None = None, filters: Filter | None = None) -> Iterator[Step]:
        """`ask` as a stream: first the passages, then one step per passage read; the last step has the reply.

        Raises the errors of `ask`, before the first step.
        """
        return self._steps(question, settings, filters, progress=True)

    def _steps(
        self, question: str, settings: AskSettings | None, filters: Filter | None, *, progress: bool
    ) -> Iterator[Step]:
        question, settings = question_text(question), settings or self.settings
        stop = self._stop(settings)
        parameters = {"Retriever": {"settings": settings, "filters": filters}, "Reader": {"stop": stop}}
        run = partial(self._run, question, parameters)
        return ask_stream(question, run, settings, stop, self.models, self.verifier, progress=progress)

    def search(self, question: str, settings: AskSettings | None = None, filters: Filter | None = None) -> Reply:
        """Retrieve the closest passages without running the reader; the reply has no answers."""
        question, settings = question_text(question), settings or self.settings
        return search_reply(
            question, lambda: self.retriever.passages(question, settings, filters), self.models, self.verifier
        )

    def _stop(self, settings: AskSettings) -> StopRule:
        """The stop rule of a question with these settings."""
        margin = math.inf if settings.thorough else self.models.calibration.stop_margin
        return StopRule(margin, settings.read_at_least, math.inf if settings.budget_ms is None else settings.budget_ms)

    def _run(self, question: str, parameters: dict[str, Any]) -> tuple[RetrievedPassages, Iterator[list[Reading]]]:
        """Run the Haystack pipeline. Haystack wraps the errors of its nodes; errors of docqa are unwrapped here."""
        if self.pipeline is None:
            raise SettingError("This index was opened without a reader; it can be searched, not asked.")
        try:
            result: dict[str, Any] = self.pipeline.run(query=question, params=parameters)
        except Exception as error:
            if isinstance(error.__cause__, DocqaError):
                raise error.__cause__ from None
            raise
        return result["retrieved"], result["readings"]
