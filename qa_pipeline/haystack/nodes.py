"""Haystack nodes for retrieval and reading, and the pipeline of both."""

from __future__ import annotations

import os
from typing import Any

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

from haystack import Pipeline
from haystack.nodes import BaseComponent

from qa_pipeline.haystack.retriever import FusedRetriever
from qa_pipeline.reading.early_stop import StopRule, read_until_sure
from qa_pipeline.reading.readings import PassageReader
from qa_pipeline.retrieval.retriever import RetrievedPassages
from qa_pipeline.settings import AskSettings


def haystack_pipeline(retriever: FusedRetriever, reader: PassageReader) -> Pipeline:
    """The pipeline: question -> passages -> readings."""
    pipeline = Pipeline()
    pipeline.add_node(RetrieverNode(retriever), "Retriever", ["Query"])
    pipeline.add_node(ReaderNode(reader), "Reader", ["Retriever"])
    return pipeline


class RetrieverNode(BaseComponent):
    """Node: question -> passages."""

    outgoing_edges = 1

    def __init__(self, retriever: FusedRetriever) -> None:
        super().__init__()
        self.retriever = retriever

    def run(self, query: str, settings: AskSettings, filters: Any = None) -> tuple[dict[str, Any], str]:  # type: ignore[override]
        return {"retrieved": self.retriever.passages(query, settings, filters)}, "output_1"

    def run_batch(self, *_: Any, **__: Any) -> Any:
        raise TypeError("Ask one question at a time; QAPipeline.ask may be called from several threads.")


class ReaderNode(BaseComponent):
    """Node: question and passages -> readings, as the lazy iterator of `read_until_sure`."""

    outgoing_edges = 1

    def __init__(self, reader: PassageReader) -> None:
        super().__init__()
        self.reader = reader

    def run(self, query: str, retrieved: RetrievedPassages, stop: StopRule) -> tuple[dict[str, Any], str]:  # type: ignore[override]
        readings = read_until_sure(self.reader, query, retrieved.passages, stop)
        return {"retrieved": retrieved, "readings": readings}, "output_1"

    def run_batch(self, *_: Any, **__: Any) -> Any:
        raise TypeError("Ask one question at a time; QAPipeline.ask may be called from several threads.")
