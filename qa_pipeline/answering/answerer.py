"""`Answerer`: an index folder and a reader that answer questions, by plain function calls.

Read `Answerer.ask`. It imports neither Haystack nor torch; `pipeline.QAPipeline` is the same as a Haystack Pipeline.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from indexing.errors import IndexMismatch, SettingError
from indexing.models.embedder import Embedder
from indexing.models.registry import resolve
from indexing.store.corpus_db import IndexFolder
from indexing.store.filters import Filter
from indexing.store.index import Index
from qa_pipeline.answering.ask import AnsweringModels, Step, ask_stream, search_reply
from qa_pipeline.answering.calibration import UNCALIBRATED, Calibration, calibration_of
from qa_pipeline.answering.verification import Verifier
from qa_pipeline.answers import Reply, WordHits
from qa_pipeline.reading.early_stop import read_in_order
from qa_pipeline.reading.load import load_reader
from qa_pipeline.reading.readings import PassageReader, Reading
from qa_pipeline.retrieval.retriever import RetrievedPassages, Retriever
from qa_pipeline.settings import AskSettings, question_text

if TYPE_CHECKING:
    from typing_extensions import Self


class Answerer:
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
        check_embedder(index, embedder)
        self.index = index
        self.embedder = embedder
        self.reader = reader
        self.settings = settings or AskSettings()
        self.retriever = self._retriever()
        self.models = AnsweringModels(embedder.name, reader_name, calibration.with_embedder(embedder.dense_score_name))
        self.verifier = Verifier(index.folder)

    @classmethod
    def open(cls, index: Path, reader: str | None, settings: AskSettings | None = None, precision: str = "auto") -> Self:
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

    def search(self, question: str, settings: AskSettings | None = None, filters: Filter | None = None) -> Reply:
        """Retrieve the closest passages without running the reader; the reply has no answers."""
        question, settings = question_text(question), settings or self.settings
        return search_reply(
            question, lambda: self.retriever.passages(question, settings, filters), self.models, self.verifier
        )

    def search_words(self, words: str, filters: Filter | None = None, offset: int = 0, limit: int = 10) -> WordHits:
        """The passages that match a query of `indexing.text.word_query`: all are counted, `limit` of them are returned.

        Raises SettingError for another query, FilterError, BrokenCitation.
        """
        found = self.retriever.words.search(words, filters, offset, limit)
        return replace(found, hits=tuple(self.verifier.quotations().word_hits(found.hits)))

    def _steps(
        self, question: str, settings: AskSettings | None, filters: Filter | None, *, progress: bool
    ) -> Iterator[Step]:
        question, settings = question_text(question), settings or self.settings
        if self.reader is None:
            raise SettingError("This index was opened without a reader; it can be searched, not asked.")
        run = partial(self._run, question, settings, filters)
        return ask_stream(question, run, settings, self.models, self.verifier, progress=progress)

    def _retriever(self) -> Retriever:
        return Retriever(self.index, self.embedder, self.settings)

    def _run(
        self, question: str, settings: AskSettings, filters: Filter | None
    ) -> tuple[RetrievedPassages, Iterator[list[Reading]]]:
        """Retrieve, and read lazily."""
        assert self.reader is not None
        retrieved = self.retriever.passages(question, settings, filters)
        return retrieved, read_in_order(self.reader, question, retrieved.passages, settings.budget_ms)


def check_embedder(index: Index, embedder: Embedder) -> None:
    """Raises IndexMismatch if the index was made with another version of the embedder."""
    if embedder.fingerprint != index.folder.model["fingerprint"]:
        raise IndexMismatch(
            f"The index in {index.folder.path} was made with another version of {index.folder.model['name']} than"
            " the one on this machine; index the documents again, or restore the old model."
        )
