"""Citation verification: compares each quotation with its document's text at the offsets, and its content hash.

Damage of the index is left out: a passage that is not its document's text is neither quoted nor shown, and the question
goes on with the others. An answer that is not the text of a sound document is a defect of docqa and ends the question. So is
a store that gives a document with another hash than its text has.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Protocol, TypeVar

from msgspec.structs import replace

from indexing.documents import Document, page_of
from indexing.documents import content_hash as content_hash_of
from indexing.errors import DocqaError, DocumentMissing, IndexDamaged
from indexing.lru_cache import LRUCache
from qa_pipeline.answers import Answer, Passage, WordHit, verify
from qa_pipeline.errors import BrokenCitation

logger = logging.getLogger(__name__)

CACHED_CHARACTERS = 8_000_000

Quotation = TypeVar("Quotation", Answer, Passage, WordHit)


class Documents(Protocol):
    """A store of documents. `document` raises DocumentMissing for an unknown id."""

    def document(self, document_id: str) -> Document: ...

    def existing(self, ids: Iterable[str]) -> set[str]: ...


class Verifier:
    """Compares quotations with the documents of one index. Thread-safe.

    An LRU cache holds documents of up to CACHED_CHARACTERS in all. It needs no invalidation: an id is never reused for
    another text, and `Quotations` asks the store which documents still exist.
    """

    def __init__(self, documents: Documents) -> None:
        self.documents = documents
        self._cache: LRUCache[Document] = LRUCache(CACHED_CHARACTERS, lambda document: len(document.text) + 1)

    def document(self, document_id: str) -> Document:
        """The document of that id. Raises DocumentMissing."""
        document = self._cache.get(document_id)
        if document is None:
            document = self.documents.document(document_id)
            self._cache.put(document_id, document)
        return document

    def quotations(self) -> Quotations:
        """The verification of one question's quotations."""
        return Quotations(self)


class Quotations:
    """Verifies the quotations of one question. It keeps their documents, so even one over the cache's size loads once."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._documents: dict[str, Document] = {}
        self._damaged: set[tuple[str, int, int]] = set()

    def passages(self, passages: Sequence[Passage], content_hashes: Iterable[str]) -> tuple[Passage, ...]:
        """The passages whose document still exists, in order, each verified. Damaged ones are left out, with a log line.

        content_hashes: of each passage's document, at retrieval.
        """
        return tuple(self._verified(passages, content_hashes))

    def answers(self, answers: Sequence[Answer], most: int) -> list[Answer]:
        """The first `most` answers whose document still exists, each verified and with its page.

        Those from a damaged passage or document are left out. Raises BrokenCitation.
        """
        verified = self._verified(answers, (answer.content_hash for answer in answers))
        return [
            replace(answer, page=page_of(self._document(answer.document_id).pages, answer.start))
            for answer in islice(verified, most)
        ]

    def word_hits(self, hits: Sequence[WordHit]) -> list[WordHit]:
        """The hits whose document still exists, in order, each verified. Damaged ones are left out, with a log line."""
        return list(self._verified(hits, (None for _ in hits)))

    def _verified(self, quotations: Sequence[Quotation], content_hashes: Iterable[str | None]) -> Iterator[Quotation]:
        """content_hashes: of each quotation's document, at retrieval; None compares the text alone."""
        existing = self._verifier.documents.existing({quotation.document_id for quotation in quotations})
        for quotation, content_hash in zip(quotations, content_hashes, strict=True):
            if quotation.document_id not in existing:
                continue
            try:
                document = self._document(quotation.document_id)
            except (DocumentMissing, IndexDamaged) as error:
                self._log(quotation, error)
                continue
            passage = quotation.passage if isinstance(quotation, Answer) else quotation
            place = (passage.document_id, passage.start, passage.end)
            if place in self._damaged:
                continue
            try:
                verified = verify(quotation, document, document.content_hash if content_hash is None else content_hash)
            except BrokenCitation as error:
                if isinstance(quotation, Answer) or content_hash_of(document.text) != document.content_hash:
                    raise
                self._damaged.add(place)
                self._log(quotation, error)
                continue
            yield verified

    def _log(self, quotation: Answer | Passage | WordHit, error: DocqaError) -> None:
        if not isinstance(error, DocumentMissing):
            logger.warning("a passage of document %s is damaged and left out: %s", quotation.document_id, error)

    def _document(self, document_id: str) -> Document:
        document = self._documents.get(document_id)
        if document is None:
            document = self._documents[document_id] = self._verifier.document(document_id)
        return document
