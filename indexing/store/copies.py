"""Which documents of an index are copies of each other, by sketches that are stored with them.

Sketches stand in a table of their own, which an index of an earlier docqa lacks. There the sketch of a document is computed
from its text when it is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from indexing.arrays import Ids
from indexing.store.sqlite import Connection, Database
from indexing.text.text_sketch import copies, sketch

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS sketches (document_id TEXT PRIMARY KEY REFERENCES documents (id) ON DELETE CASCADE,"
    " sketch BLOB NOT NULL) WITHOUT ROWID"
)
BY_CONTENT = "CREATE INDEX IF NOT EXISTS documents_content ON documents (content_hash)"
INDEXED = "SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = 'documents_content'"
TWINS = (
    "SELECT c.id, d.id, d.source FROM documents AS d JOIN chunks AS c ON c.document_id = d.id"
    ' WHERE d.content_hash = ? AND c.start = ? AND c."end" = ? AND d.id <> ? ORDER BY d.source LIMIT ?'
)
MOST_LOOKED_AT, MOST_NAMED = 1_000, 100
EXISTS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'sketches'"
GIVEN = "(SELECT value FROM json_each(?))"


class StoredChunk(Protocol):
    """What is needed of `corpus_db.StoredChunk`."""

    @property
    def document_id(self) -> str: ...
    @property
    def content_hash(self) -> str: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


def write_sketch(connection: Connection, document_id: str, text: str) -> None:
    """Store the sketch of a document that is in the database, within the caller's transaction."""
    connection.execute(BY_CONTENT)
    connection.execute(SCHEMA)
    connection.execute("INSERT INTO sketches VALUES (?, ?)", (document_id, sketch(text)))


def twins_of(folder: Database, chunk: StoredChunk, allowed: Ids | None) -> tuple[tuple[str, str], ...]:
    """(document id, source) of the other documents with the same text, by source; at most MOST_NAMED.

    allowed: ids of passages, ascending; only documents whose same passage is among them are named. None: every document.
    An index that no docqa has written to since this was possible names none.
    """
    connection = folder.connection()
    if connection.execute(INDEXED).fetchone() is None:
        return ()
    place = (chunk.content_hash, chunk.start, chunk.end, chunk.document_id, MOST_LOOKED_AT)
    rows = connection.execute(TWINS, place).fetchall()
    if allowed is not None:
        named = np.isin(np.array([row[0] for row in rows], dtype=np.int64), allowed)
        rows = [row for row, may in zip(rows, named, strict=True) if may]
    return tuple((id, source) for _, id, source in rows[:MOST_NAMED])


def documents_with_text(folder: Database, content_hash: str) -> list[tuple[str, str]]:
    """(document id, source) of all documents whose text has this hash, by source."""
    rows = "SELECT id, source FROM documents WHERE content_hash = ? ORDER BY source"
    return [(str(id), str(source)) for id, source in folder.connection().execute(rows, (content_hash,))]


def copies_among(folder: Database, document_ids: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """The groups of these documents whose texts are copies, as in `text_sketch.copies`; unknown ids are left out."""
    ids = list(dict.fromkeys(document_ids))
    return copies(sketches_of(folder, ids)) if len(ids) > 1 else ()


def sketches_of(folder: Database, ids: Sequence[str]) -> dict[str, tuple[str, bytes]]:
    """Content hash and sketch of each of these documents, in their order; unknown ids are left out."""
    with folder.reading() as connection:
        hashes = dict(connection.execute(f"SELECT id, content_hash FROM documents WHERE id IN {GIVEN}", [json.dumps(ids)]))
        stored: dict[str, bytes] = {}
        if connection.execute(EXISTS).fetchone():
            rows = connection.execute(
                f"SELECT document_id, sketch FROM sketches WHERE document_id IN {GIVEN}", [json.dumps(ids)]
            )
            stored = dict(rows)
        for id in hashes.keys() - stored.keys():
            (text,) = connection.execute("SELECT text FROM documents WHERE id = ?", (id,)).fetchone()
            stored[id] = sketch(text)
    return {id: (hashes[id], stored[id]) for id in ids if id in hashes}
