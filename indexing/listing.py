"""What documents an index folder holds: lists with filters, how many there are of each kind, and which file each is from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from indexing.errors import DocumentMissing
from indexing.folder import IndexFolder

FACETS = {
    "language": "d.language",
    "type": "coalesce(CAST(json_extract(d.meta, '$.file_type') AS TEXT), '')",
    "folder": "CASE WHEN instr(d.file, '/') THEN substr(d.file, 1, instr(d.file, '/') - 1) ELSE '' END",
}
FACET_VALUES = 1_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which documents: None takes all. folder: the first folder of a file's path, "" for none; source: a glob pattern."""

    language: str | None = None
    type: str | None = None
    folder: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A document without its text. pages: how many, 0 for formats without pages; passages: chunks it was cut into."""

    id: str
    source: str
    language: str
    type: str
    folder: str
    characters: int
    passages: int
    pages: int
    title: str
    meta: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Listing:
    """Some documents by source, how many there are in all, and counts of each facet among what the others leave."""

    total: int
    documents: tuple[Listed, ...]
    facets: dict[str, dict[str, int]]


def list_documents(folder: IndexFolder, wanted: Wanted, offset: int = 0, limit: int = 50) -> Listing:
    """Documents by source, all counts from one generation.

    A facet is counted without its own condition, so that what else could be chosen is seen.
    """
    with folder.reading() as connection:
        sql, values = _where(wanted)
        total = connection.execute(f"SELECT count(*) FROM documents AS d {sql}", values).fetchone()[0]
        columns = f"d.id, d.source, d.language, {FACETS['type']}, {FACETS['folder']}, d.length, d.pages, d.meta"
        rows = connection.execute(
            f"SELECT {columns}, (SELECT count(*) FROM chunks AS c WHERE c.document_id = d.id) FROM documents AS d {sql}"
            " ORDER BY d.source LIMIT ? OFFSET ?",
            (*values, limit, offset),
        ).fetchall()
        facets = {name: _counts(connection, name, wanted) for name in FACETS}
    return Listing(total, tuple(map(_listed, rows)), facets)


def file_of(folder: IndexFolder, document_id: str) -> tuple[str, int]:
    """The file a document is from, and how many documents are from it. Raises DocumentMissing."""
    row = folder.connection().execute(
        "SELECT file, (SELECT count(*) FROM documents WHERE file = d.file) FROM documents AS d WHERE id = ?", (document_id,)
    ).fetchone()  # fmt: skip
    if row is None:
        raise DocumentMissing(f"No document has the id {document_id[:80]!r}; list the documents to see which there are.")
    return str(row[0]), int(row[1])


def _where(wanted: Wanted, without: str = "") -> tuple[str, tuple[str, ...]]:
    chosen = {name: getattr(wanted, name) for name in FACETS if name != without}
    tests = [(f"{FACETS[name]} = ?", value) for name, value in chosen.items() if value is not None]
    if wanted.source is not None:
        tests.append(("d.source GLOB ?", wanted.source))
    sql = " AND ".join(test for test, _ in tests)
    return f"WHERE {sql}" if sql else "", tuple(value for _, value in tests)


def _counts(connection: Any, name: str, wanted: Wanted) -> dict[str, int]:
    """How many documents of each value of a facet, the most frequent first."""
    sql, values = _where(wanted, without=name)
    rows = connection.execute(
        f"SELECT {FACETS[name]} AS value, count(*) AS n FROM documents AS d {sql} GROUP BY value ORDER BY n DESC, value"
        f" LIMIT {FACET_VALUES}",
        values,
    )
    return {str(value): int(count) for value, count in rows}


def _listed(row: Sequence[Any]) -> Listed:
    id, source, language, kind, folder, length, pages, meta, passages = row
    facts = json.loads(meta)
    title = facts.get("title", "")
    return Listed(
        id, source, language, kind, folder, length, passages, len(json.loads(pages)),
        title if isinstance(title, str) else str(title), facts,
    )  # fmt: skip
