"""Checks of the corpus database: one sentence for each problem. Damage is a finding and never ends a check."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from indexing.documents import content_hash
from indexing.errors import IndexFolderError
from indexing.store.corpus_db import IndexFolder
from indexing.store.stored_values import is_unit

SHOWN = 20


def database_problems(folder: IndexFolder) -> Iterator[str]:
    """Violated invariants of the database itself, one sentence each; of one kind, SHOWN and a count of the others."""
    for check in (_structure, _orphans, _facts, _documents, _passages, _vectors):
        yield from _at_most(_guarded(check, folder))


def damaged_files(folder: IndexFolder) -> list[str]:
    """The files (sources) with a document or passage whose text or rows break an invariant, ascending."""
    bad: set[str] = set()
    rows = "SELECT number, file, text, content_hash, pages, headings, meta, length FROM documents"
    for _, file, *row in _rows(folder, rows):
        if _document_faults(*row):
            bad.add(str(file))
    sql = 'SELECT d.file, c.start, c."end", c.text, d.text FROM documents AS d JOIN chunks AS c ON c.document_id = d.id'
    for file, start, end, text, whole in _rows(folder, sql):
        if not _is_slice(whole, start, end, text):
            bad.add(str(file))
    bad |= {
        str(row[0])
        for row in _rows(
            folder, "SELECT d.file FROM chunks AS c JOIN deleted USING (id) JOIN documents AS d ON d.id = c.document_id"
        )
    }
    return sorted(bad)


def damaged_vectors(folder: IndexFolder) -> list[int]:
    """Ids of passages whose stored vector is no unit vector of the right dimension, ascending."""
    dimension = int(folder.model["dimension"])
    rows = _rows(folder, "SELECT id, vector FROM chunks WHERE vector IS NOT NULL ORDER BY id")
    return [number for number, blob in rows if not _is_unit(blob, dimension)]


def is_whole(folder: IndexFolder) -> bool:
    """Whether SQLite finds the file's structure sound."""
    try:
        return bool(folder.connection().execute("PRAGMA integrity_check(1)").fetchone() == ("ok",))
    except IndexFolderError:
        return False


def _guarded(check: Any, folder: IndexFolder) -> Iterator[str]:
    try:
        yield from check(folder)
    except IndexFolderError as error:
        yield str(error)


def _at_most(problems: Iterable[str]) -> Iterator[str]:
    number = 0
    for number, problem in enumerate(problems, start=1):
        if number <= SHOWN:
            yield problem
    if number > SHOWN:
        yield f"{number - SHOWN:,} more problems like the last."


def _rows(folder: IndexFolder, sql: str, values: tuple[Any, ...] = ()) -> Iterator[Any]:
    yield from folder.connection().execute(sql, values)


def _structure(folder: IndexFolder) -> Iterator[str]:
    for (line,) in _rows(folder, "PRAGMA integrity_check"):
        if line != "ok":
            yield f"The database is damaged: {' '.join(str(line).split())}."


def _orphans(folder: IndexFolder) -> Iterator[str]:
    for row in _rows(folder, "PRAGMA foreign_key_check"):
        yield f"A row of {row[0]} belongs to a document that is not there."


def _facts(folder: IndexFolder) -> Iterator[str]:
    for read in (lambda: folder.settings, lambda: folder.model, folder.generation):
        try:
            read()
        except IndexFolderError as error:
            yield str(error)
    newest = max(
        (
            row[0]
            for table in ("documents", "chunks", "deleted")
            for row in _rows(folder, f"SELECT max(generation) FROM {table}")
            if isinstance(row[0], int)
        ),
        default=0,
    )
    if newest > folder.generation():
        yield f"Rows of generation {newest} are in an index of generation {folder.generation()}."


def _documents(folder: IndexFolder) -> Iterator[str]:
    rows = "SELECT number, id, text, content_hash, pages, headings, meta, length FROM documents"
    for _, name, *row in _rows(folder, rows):
        for fault in _document_faults(*row):
            yield f"{fault} (document {name})."


def _document_faults(text: Any, digest: Any, pages: Any, headings: Any, meta: Any, length: Any) -> list[str]:
    """What is wrong with a stored document, without its name."""
    if not isinstance(text, str) or content_hash(text) != digest:
        return ["The text of a document is not the text its content hash was made from"]
    faults = [
        f"The {name} of a document are damaged"
        for name, stored, kind in (("pages", pages, list), ("headings", headings, list), ("meta fields", meta, dict))
        if not isinstance(_json(stored), kind)
    ]
    found = _json(pages)
    if isinstance(found, list) and not all(isinstance(p, int) and 0 <= p <= len(text) for p in found):
        faults.append("The pages of a document are not offsets of its text")
    if length != len(text):
        faults.append("The length of a document is not that of its text")
    return faults


def _json(stored: Any) -> Any:
    try:
        return json.loads(stored)
    except (ValueError, TypeError):
        return None


def _passages(folder: IndexFolder) -> Iterator[str]:
    """Passages that differ from their document, whose text is loaded once for all of them."""
    for document, whole in _rows(folder, "SELECT id, text FROM documents"):
        rows = _rows(folder, 'SELECT id, start, "end", text FROM chunks WHERE document_id = ?', (document,))
        for number, start, end, text in rows:
            if not _is_slice(whole, start, end, text):
                yield f"Passage {number} is not the text of its document from {start} to {end}."
    for (number,) in _rows(folder, "SELECT id FROM chunks WHERE id IN (SELECT id FROM deleted)"):
        yield f"Passage {number} is both there and deleted."


def _is_slice(whole: Any, start: Any, end: Any, text: Any) -> bool:
    if not (isinstance(whole, str) and type(start) is int and type(end) is int and isinstance(text, str)):
        return False
    return bool(text) and start >= 0 and whole[start:end] == text


def _vectors(folder: IndexFolder) -> Iterator[str]:
    damaged = damaged_vectors(folder)
    if damaged:
        yield f"{len(damaged)} vectors are not of unit length or damaged (the first: passage {damaged[0]})."


def _is_unit(blob: Any, dimension: int) -> bool:
    if not isinstance(blob, bytes) or len(blob) != 4 * dimension:
        return False
    return is_unit(np.frombuffer(blob, dtype="<f4"))
