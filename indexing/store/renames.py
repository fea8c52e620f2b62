"""Gives the documents of moved files their new places. Passages keep their ids, so every vector and index stays as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping

from indexing.documents import document_id
from indexing.store.copies import EXISTS
from indexing.store.corpus_db import FileRecord, IndexFolder
from indexing.store.page_words import rename_page_words
from indexing.store.sqlite import Connection
from indexing.store.stored_values import parsed_meta


def rename_files(folder: IndexFolder, moves: Mapping[str, FileRecord]) -> None:
    """Move files in one transaction. moves: the new file record of each file by its old source.

    Ids of documents and keys of passages follow the source, as if the files were indexed there. The caller holds
    `writer()`.
    """
    with folder.writing() as (connection, _):
        connection.execute("PRAGMA defer_foreign_keys=ON")
        sketched = connection.execute(EXISTS).fetchone() is not None
        for old, record in moves.items():
            _rename(connection, old, record.source, sketched)
            folder.forget(connection, [old])
            connection.execute(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    record.source,
                    record.content_hash,
                    record.size,
                    record.mtime_ns,
                    record.seen_ns,
                    record.reason,
                    json.dumps(record.notes),
                ),
            )


def _rename(connection: Connection, old: str, new: str, sketched: bool) -> None:
    """Rename the documents of one file. sketched: whether the index has sketches of its documents."""
    rows = connection.execute("SELECT id, source, text, meta FROM documents WHERE file = ?", (old,)).fetchall()
    for before, source, text, meta in rows:
        moved = new + source[len(old) :]
        after = document_id(moved, text)
        if source.startswith(f"{old}/"):
            meta = _with_parent(meta, old, new)
        connection.execute(
            "UPDATE documents SET id = ?, source = ?, file = ?, meta = ? WHERE id = ?", (after, moved, new, meta, before)
        )
        connection.execute(
            "UPDATE chunks SET document_id = ?, key = ? || substr(key, ?) WHERE document_id = ?",
            (after, after, len(before) + 1, before),
        )
        rename_page_words(connection, before, after)
        if sketched:
            connection.execute("UPDATE sketches SET document_id = ? WHERE document_id = ?", (after, before))


def _with_parent(meta: str, old: str, new: str) -> str:
    """The stored meta of a file inside a file, whose `parent` is the moved file or a place in it."""
    values = parsed_meta(meta)
    parent = values.get("parent")
    if not isinstance(parent, str) or not f"{parent}/".startswith(f"{old}/"):
        return meta
    return json.dumps({**values, "parent": new + parent[len(old) :]}, ensure_ascii=False)


def counts_of_file(folder: IndexFolder, file: str) -> tuple[int, int]:
    """The numbers of documents and passages of a file."""
    row = (
        folder.connection()
        .execute(
            "SELECT count(DISTINCT d.id), count(c.id) FROM documents AS d"
            " LEFT JOIN chunks AS c ON c.document_id = d.id WHERE d.file = ?",
            (file,),
        )
        .fetchone()
    )
    return int(row[0]), int(row[1])
