"""Which documents of an index are copies of each other, by sketches that are stored with them.

Sketches stand in a table of their own, which an index of an earlier docqa lacks. There the sketch of a document is computed
from its text when it is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from indexing.store.sqlite import Connection, Database
from indexing.text.text_sketch import copies, sketch

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS sketches (document_id TEXT PRIMARY KEY REFERENCES documents (id) ON DELETE CASCADE,"
    " sketch BLOB NOT NULL) WITHOUT ROWID"
)
EXISTS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'sketches'"
GIVEN = "(SELECT value FROM json_each(?))"


def write_sketch(connection: Connection, document_id: str, text: str) -> None:
    """Store the sketch of a document that is in the database, within the caller's transaction."""
    connection.execute(SCHEMA)
    connection.execute("INSERT INTO sketches VALUES (?, ?)", (document_id, sketch(text)))


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
