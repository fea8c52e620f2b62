"""Citation verification: compares each quotation with its document's text at the offsets, and its content hash."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from msgspec.structs import replace

from indexing.documents import Document, page_of
from indexing.errors import DocumentMissing
from indexing.lru_cache import LRUCache
from qa_pipeline.answers import Answer, Passage, verify

CACHED_CHARACTERS = 8_000_000

Quotation = TypeVar("Quotation", Answer, Passage)


class Documents(Protocol):
    """A store of documents. Raises DocumentMissing for an unknown id."""

    def document(self, document_id: str) -> Document: ...


class Verifier:
    """Compares quotations with the documents of one index. Thread-safe.

    An LRU cache holds documents of up to CACHED_CHARACTERS in all. It needs no invalidation: an id is never reused for
    another text.
    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._cache: LRUCache[Document] = LRUCache(CACHED_CHARACTERS, lambda document: len(document.text) + 1)

    def document(self, document_id: str) -> Document:
        """The document of that id. Raises DocumentMissing."""
        document = self._cache.get(document_id)
        if document is None:
            document = self._documents.document(document_id)
            self._cache.put(document_id, document)
        return document

    def passages(self, passages: Iterable[Passage], content_hashes: Iterable[str]) -> tuple[Passage, ...]:
        """The passages whose document still exists, in order, each verified. Raises BrokenCitation.

        content_hashes: of each passage's document, at retrieval.
        """
        return tuple(self._verified(zip(passages, content_hashes, strict=True)))

    def answers(self, answers: Iterable[Answer]) -> list[Answer]:
        """The answers whose document still exists, in order, each verified and with its page. Raises BrokenCitation."""
        return [
            replace(answer, page=page_of(self.document(answer.document_id).pages, answer.start))
            for answer in self._verified((answer, answer.content_hash) for answer in answers)
        ]

    def _verified(self, quotations: Iterable[tuple[Quotation, str]]) -> Iterator[Quotation]:
        for quotation, content_hash in quotations:
            try:
                document = self.document(quotation.document_id)
            except DocumentMissing:
                continue
            yield verify(quotation, document, content_hash)
