"""Hybrid retrieval as a Haystack retriever node."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

import msgspec
from haystack import Document
from haystack.nodes import BaseRetriever

from indexing.models.embedder import Embedder
from indexing.store.index import Index
from qa_pipeline.answers import Passage
from qa_pipeline.retrieval.retriever import Retriever
from qa_pipeline.settings import AskSettings


class FusedRetriever(Retriever, BaseRetriever):
    """Retrieves from an index folder; usable in any Haystack pipeline."""

    outgoing_edges = 1

    def __init__(self, index: Index, embedder: Embedder, settings: AskSettings | None = None) -> None:
        BaseRetriever.__init__(self)
        Retriever.__init__(self, index, embedder, settings)
        self.top_k = self.settings.retrieve
        self.document_store = None
        self.scale_score = False

    def retrieve(  # type: ignore[override]
        self, query: str, filters: Any = None, top_k: int | None = None, *_: Any, **__: Any
    ) -> list[Document]:
        """Retrieve passages as Haystack documents: the score is the fused score; offsets and ranks are in meta."""
        found = self.passages(query, self._with(top_k), filters)
        return list(map(as_document, found.passages, found.content_hashes))

    def retrieve_batch(  # type: ignore[override]
        self, queries: list[str], filters: Any = None, top_k: int | None = None, *_: Any, **__: Any
    ) -> list[list[Document]]:
        each = filters if isinstance(filters, list) else [filters] * len(queries)
        return [self.retrieve(query, part, top_k) for query, part in zip(queries, each, strict=True)]

    def _with(self, top_k: int | None) -> AskSettings:
        return self.settings if top_k is None else replace(self.settings, retrieve=top_k)


def as_document(passage: Passage, content_hash: str) -> Document:
    """A passage as a Haystack document, with the id `haystack_id`."""
    meta = {name: value for name, value in msgspec.structs.asdict(passage).items() if name != "text"}
    return Document(
        id=haystack_id(passage),
        content=passage.text,
        score=passage.fused_score,
        meta={**meta, "also_in": list(map(msgspec.structs.asdict, passage.also_in)), "content_hash": content_hash},
    )


def haystack_id(passage: Passage) -> str:
    """The id of a passage among Haystack's documents: `<document id>-<start offset>`."""
    return f"{passage.document_id}-{passage.start}"
