"""`QAPipeline`: an index folder and a reader as one Haystack Pipeline that answers questions.

It answers as `answering.answerer.Answerer` does, and holds the same steps as nodes of a Haystack Pipeline.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from indexing.models.embedder import Embedder
from indexing.store.filters import Filter
from indexing.store.index import Index
from qa_pipeline.answering.answerer import Answerer
from qa_pipeline.answering.calibration import UNCALIBRATED, Calibration
from qa_pipeline.haystack.nodes import Question, haystack_pipeline, run_pipeline
from qa_pipeline.haystack.retriever import FusedRetriever
from qa_pipeline.reading.readings import PassageReader, Reading
from qa_pipeline.retrieval.retriever import RetrievedPassages
from qa_pipeline.settings import AskSettings


class QAPipeline(Answerer):
    """An Answerer whose retrieval and reading are a Haystack Pipeline.

    pipeline: one of `haystack.nodes.load_pipeline`, which may be shared; by default a retriever and a reader.
    """

    retriever: FusedRetriever

    def __init__(
        self,
        index: Index,
        embedder: Embedder,
        reader: PassageReader | None,
        *,
        reader_name: str = "",
        calibration: Calibration = UNCALIBRATED,
        settings: AskSettings | None = None,
        pipeline: Any = None,
    ) -> None:
        super().__init__(index, embedder, reader, reader_name=reader_name, calibration=calibration, settings=settings)
        self.pipeline: Any = pipeline or haystack_pipeline()

    def _retriever(self) -> FusedRetriever:
        return FusedRetriever(self.index, self.embedder, self.settings)

    def _run(
        self, question: str, settings: AskSettings, filters: Filter | None
    ) -> tuple[RetrievedPassages, Iterator[list[Reading]]]:
        """Run the Haystack pipeline."""
        asked = Question(self.retriever, settings, filters, reader=self.reader)
        return run_pipeline(self.pipeline, question, asked)
