"""The words of recognised pages with their places, stored beside their documents, and deleted with them.

They stand in a table of their own, which an index without recognised pages lacks.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from indexing.errors import IndexDamaged
from indexing.ocr.words import PlacedWord, words_of_rows
from indexing.store.sqlite import Connection, Database

PageWords = Mapping[int, tuple[PlacedWord, ...]]
"""Words by page, from 1; their places are code points in the text of the page."""

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS page_words (document_id TEXT NOT NULL REFERENCES documents (id) ON DELETE CASCADE,"
    " page INTEGER NOT NULL, words BLOB NOT NULL, PRIMARY KEY (document_id, page)) WITHOUT ROWID"
)
EXISTS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'page_words'"


def write_page_words(connection: Connection, document_id: str, words: PageWords) -> None:
    """Store the words of a document that is in the database, within the caller's transaction."""
    if not words:
        return
    connection.execute(SCHEMA)
    connection.executemany(
        "INSERT INTO page_words VALUES (?, ?, ?)", [(document_id, page, _packed(of)) for page, of in sorted(words.items())]
    )


def rename_page_words(connection: Connection, before: str, after: str) -> None:
    """Give the words of a document its new id, within the caller's transaction."""
    if connection.execute(EXISTS).fetchone():
        connection.execute("UPDATE page_words SET document_id = ? WHERE document_id = ?", (after, before))


def page_words(folder: Database, document_id: str, page: int, length: int) -> tuple[PlacedWord, ...] | None:
    """The words of a page, from 1; None if it was not recognised, or its words are damaged.

    length: of the page's text, in code points.
    """
    ask = folder.connection().execute
    try:
        if ask(EXISTS).fetchone() is None:
            return None
        row = ask("SELECT words FROM page_words WHERE document_id = ? AND page = ?", (document_id, page)).fetchone()
        return None if row is None else words_of_rows(json.loads(zlib.decompress(row[0])), length)
    except (IndexDamaged, ValueError, TypeError, zlib.error):
        return None


def is_recognised(pages: object, page: int | None) -> bool:
    """Whether a page is one of `recognised_pages`, a field of a document's meta such as "1–3, 7".

    >>> is_recognised("1–3, 7", 2), is_recognised("1–3, 7", 5), is_recognised(None, 1)
    (True, False, False)
    """
    if not isinstance(pages, str) or page is None:
        return False
    for part in pages.split(", "):
        first, _, last = part.partition("–")
        if first.isdecimal() and (last or first).isdecimal() and int(first) <= page <= int(last or first):
            return True
    return False


def _packed(words: tuple[PlacedWord, ...]) -> bytes:
    rows: list[list[Any]] = [
        [word.start, word.end, *(round(side, 5) for side in word.box), round(word.confidence, 3)] for word in words
    ]
    return zlib.compress(json.dumps(rows, separators=(",", ":")).encode())
