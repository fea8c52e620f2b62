"""`Document` and `Chunk`: the two values that indexing stores.

Invariants, each tested:
    document.text is the parser's output, verbatim; every offset in the system counts its code points.
    document.text[chunk.start:chunk.end] == chunk.text, and chunk.text is never empty.
    a document's id is a hash of its source and text, so one id never identifies two texts.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Document:
    """The text of one file, or of one record of a file.

    source: path inside the folder, "/" between parts; files of many records append "#record".
    content_hash: BLAKE2b-128 of `text` in UTF-8, hex. Every answer carries it, so that a citation can be checked.
    pages: start offset of each page, ascending from 0; () for formats without pages.
    headings: (start, end, level) of each heading, ascending.
    """

    id: str
    source: str
    content_hash: str
    text: str
    language: str
    pages: tuple[int, ...] = ()
    headings: tuple[tuple[int, int, int], ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    def page_of(self, offset: int) -> int | None:
        """The 1-based page that contains `offset`; None for formats without pages."""
        return page_of(self.pages, offset)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A retrievable passage: an exact slice of its document. page: 1-based, None without pages."""

    start: int
    end: int
    text: str
    language: str
    page: int | None = None


def page_of(pages: tuple[int, ...], offset: int) -> int | None:
    """The 1-based page that contains `offset`, given the pages' start offsets.

    >>> page_of((0, 100, 250), 100), page_of((), 5)
    (2, None)
    """
    return bisect_right(pages, offset) if pages else None


def content_hash(text: str) -> str:
    """BLAKE2b-128 of the text in UTF-8, 32 hex digits.

    >>> content_hash("Orsund")
    'f5346de448c6b39e645ef7232dec2e8e'
    """
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def document_id(source: str, text: str) -> str:
    """BLAKE2b-128 of the source, a zero byte and the text: 32 hex digits, the same on every machine."""
    digest = hashlib.blake2b(source.encode("utf-8", "surrogatepass"), digest_size=16)
    digest.update(b"\0")
    digest.update(text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
