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
# The same passage of a document has the key of its place, or one of its own; then all passages of the document are read.
BY_KEY = "SELECT c.id FROM chunks AS c WHERE c.key = d.id || '-' || :start AND c.\"end\" = :end"
BY_PLACE = 'SELECT c.id FROM chunks AS c WHERE c.document_id = d.id AND c.start = :start AND c."end" = :end'
TWINS = (
    f"SELECT coalesce(({BY_KEY}), ({BY_PLACE})), d.id, d.source FROM documents AS d"
    " WHERE d.content_hash = :hash AND d.id <> :id ORDER BY d.source LIMIT :most"
)
MOST_LOOKED_AT, MOST_NAMED = 1_000, 100
EXISTS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'sketches'"
GIVEN = "(SELECT value FROM json_each(?))"

Twins = tuple[tuple[str, str], ...]
"""(document id, source) of documents."""


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


def twins_of(folder: Database, chunks: Sequence[StoredChunk], allowed: Ids | None) -> list[Twins]:
    """For each passage, the other documents with the same text, by source; at most MOST_NAMED.

    allowed: ids of passages, ascending; only documents whose same passage is among them are named. None: every document.
    An index that no docqa has written to since this was possible names none.
    """
    connection = folder.connection()
    if connection.execute(INDEXED).fetchone() is None:
        return [()] * len(chunks)
    return [_twins(connection, chunk, allowed) for chunk in chunks]


def _twins(connection: Connection, chunk: StoredChunk, allowed: Ids | None) -> Twins:
    place = {"hash": chunk.content_hash, "start": chunk.start, "end": chunk.end, "id": chunk.document_id}
    rows = [row for row in connection.execute(TWINS, place | {"most": MOST_LOOKED_AT}) if row[0] is not None]
    if allowed is not None:
        ids = np.array([row[0] for row in rows], dtype=np.int64)
        named = np.searchsorted(allowed, ids, "right") > np.searchsorted(allowed, ids)
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
