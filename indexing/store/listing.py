"""Filtered lists of documents, with facet counts and source files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from indexing.errors import DocumentMissing, FilterError
from indexing.store.corpus_db import IndexFolder
from indexing.store.filters import COLUMNS, Filter, Where, path_condition, where
from indexing.store.stored_values import parsed_meta, parsed_pages

# Damaged meta counts as none.
META = "CASE WHEN json_valid(d.meta) THEN d.meta ELSE '{}' END"

DATE = f"CASE json_type({META}, '$.date') WHEN 'text' THEN json_extract({META}, '$.date') END"
YEAR = "[0-9][0-9][0-9][0-9]*"

FACETS = {
    "language": "d.language",
    "type": f"coalesce(CAST(json_extract({META}, '$.file_type') AS TEXT), '')",
    "folder": "CASE WHEN instr(d.file, '/') THEN substr(d.file, 1, instr(d.file, '/') - 1) ELSE '' END",
    "year": f"CASE WHEN {DATE} GLOB '{YEAR}' THEN substr({DATE}, 1, 4) ELSE '' END",
}
FACET_VALUES = 1_000
FIELD_VALUES = 40
FIELDS = 50
# Scalar meta values and their text; lists and null are excluded.
SCALAR = "j.type IN ('text', 'integer', 'real', 'true', 'false')"
WRITTEN = "CASE WHEN j.type IN ('true', 'false') THEN j.type ELSE CAST(j.value AS TEXT) END"

GIVEN = "(SELECT value FROM json_each(?))"
HAS_FIELD = (
    f"EXISTS (SELECT 1 FROM json_each({META}) AS j, json_each(?) AS w WHERE {SCALAR}"
    f" AND j.key = json_extract(w.value, '$[0]') AND {WRITTEN} = json_extract(w.value, '$[1]'))"
)


@dataclass(frozen=True, slots=True)
class ListingQuery:
    """Conditions on documents. None means no condition; of several values, any may match.

    folder: the first folder of a file's path, "" for none. ids: of documents.
    source: as `$path` of a filter. pattern: a glob on the source.
    year: the first four digits of the field `date`, "" for none.
    meta: (field, value as text) pairs; of the same field, any value may match.
    excluded: by facet (a key of FACETS), values that no document may have. excluded_meta: pairs that none may have.
    since, until: bounds of the field `date`; until includes every date that begins with it.
    allowed: a filter on fields of documents (`document_condition`), a security boundary that holds for every count.
    """

    language: str | Sequence[str] | None = None
    type: str | Sequence[str] | None = None
    folder: str | Sequence[str] | None = None
    year: str | Sequence[str] | None = None
    source: str | None = None
    pattern: str | None = None
    ids: Sequence[str] | None = None
    meta: Sequence[tuple[str, str]] = ()
    excluded: Mapping[str, Sequence[str]] = field(default_factory=dict)
    excluded_meta: Sequence[tuple[str, str]] = ()
    since: str = ""
    until: str = ""
    allowed: Filter | None = None


class ListedDocument(Struct, frozen=True):
    """A document without its text. pages: number of pages, 0 for formats without; passages: number of chunks.

    file: the uploaded file that holds it, which may hold others too.
    """

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
    file: str


class Listing(Struct, frozen=True):
    """A page of the documents, sorted by source, with the total count and the value counts of each facet.

    fields: the number of documents in the folder with each meta field, most frequent first.
    meta: value counts of meta fields usable as facets: at most FIELD_VALUES distinct values, some of them shared.
    Both are empty unless requested.
    """

    total: int
    documents: tuple[ListedDocument, ...]
    facets: dict[str, dict[str, int]]
    fields: dict[str, int]
    meta: dict[str, dict[str, int]]


def list_documents(
    folder: IndexFolder, wanted: ListingQuery, offset: int = 0, limit: int = 50, *, fields: bool = False
) -> Listing:
    """List documents by source. All counts come from one generation.

    The counts of a facet ignore the condition on that facet, so they show which other values could be chosen.
    """
    with folder.reading() as connection:
        sql, values = _where(wanted)
        total = connection.execute(f"SELECT count(*) FROM documents AS d {sql}", values).fetchone()[0]
        columns = f"d.id, d.source, d.language, {FACETS['type']}, {FACETS['folder']}, d.length, d.pages, d.meta, d.file"
        rows = connection.execute(
            f"SELECT {columns}, (SELECT count(*) FROM chunks AS c WHERE c.document_id = d.id) FROM documents AS d {sql}"
            " ORDER BY d.source LIMIT ? OFFSET ?",
            (*values, limit, offset),
        ).fetchall()
        facets = {name: _counts(connection, name, wanted) for name in FACETS}
        found, meta = _fields(connection, wanted) if fields else ({}, {})
    return Listing(total, tuple(map(_listed, rows)), facets, found, meta)


def file_of(folder: IndexFolder, document_id: str) -> tuple[str, int]:
    """The file of a document, and the number of documents from that file. Raises DocumentMissing."""
    row = (
        folder.connection()
        .execute(
            "SELECT file, (SELECT count(*) FROM documents WHERE file = d.file) FROM documents AS d WHERE id = ?",
            (document_id,),
        )
        .fetchone()
    )
    if row is None:
        raise missing_document(document_id)
    return str(row[0]), int(row[1])


def missing_document(document_id: str) -> DocumentMissing:
    """The error for an id that no document has, or none that the caller may see."""
    return DocumentMissing(f"No document has the id {document_id[:80]!r}; list the documents to see which there are.")


def document_condition(filters: Filter) -> Where:
    """A filter as a condition on documents. Raises FilterError, also for fields of passages (language, page)."""
    found = where(filters)
    assert found is not None
    sql = found.sql.replace(COLUMNS["document_id"], "d.id")
    if "c." in re.sub(r"'[^']*'", "", sql):
        raise FilterError("This filter must name fields of documents; language and page are fields of passages.")
    return Where(sql, found.values)


def visible(folder: IndexFolder, ids: Iterable[str], filters: Filter) -> set[str]:
    """Those of these document ids that a filter on documents allows."""
    condition, wanted = document_condition(filters), json.dumps(list(ids))
    sql = f"SELECT d.id FROM documents AS d WHERE d.id IN {GIVEN} AND {condition.sql}"
    return {row[0] for row in folder.connection().execute(sql, (wanted, *condition.values))}


def whole_file_visible(folder: IndexFolder, document_id: str, filters: Filter) -> bool:
    """Whether a filter allows every document of the file of this document. False for an unknown document.

    Also False for a file with files inside, such as an archive: some of them may not be indexed.
    """
    sql = "SELECT id, source, file FROM documents WHERE file = (SELECT file FROM documents WHERE id = ?)"
    rows = folder.connection().execute(sql, (document_id,)).fetchall()
    ids = {id for id, _, _ in rows}
    inside = any(source.startswith(f"{file}/") for _, source, file in rows)
    return bool(ids) and not inside and visible(folder, ids, filters) == ids


def visible_counts(folder: IndexFolder, filters: Filter) -> dict[str, Any]:
    """`IndexFolder.counts` of the documents that a filter allows, with the generation."""
    condition = document_condition(filters)
    languages: dict[str, dict[str, int]] = {}
    tables = {"documents": "documents AS d", "passages": "chunks AS c JOIN documents AS d ON d.id = c.document_id"}
    with folder.reading() as connection:
        for name, table in tables.items():
            column = "d.language" if name == "documents" else "c.language"
            sql = f"SELECT {column}, count(*) FROM {table} WHERE {condition.sql} GROUP BY 1"
            for language, count in connection.execute(sql, condition.values):
                languages.setdefault(language, {"documents": 0, "passages": 0})[name] = count
        generation = folder.generation()
    totals = {name: sum(counts[name] for counts in languages.values()) for name in tables}
    return {**totals, "languages": dict(sorted(languages.items())), "generation": generation}


def _where(wanted: ListingQuery, without: str = "", without_field: str = "") -> tuple[str, tuple[str, ...]]:
    """The WHERE clause, without the conditions on the facet `without` and the meta field `without_field`."""
    tests = [(f"{FACETS[name]} IN {GIVEN}", _many(getattr(wanted, name))) for name in FACETS if name != without]
    tests += [(f"{FACETS[name]} NOT IN {GIVEN}", _many(some)) for name, some in wanted.excluded.items() if name != without]
    tests += [(f"d.id IN {GIVEN}", _many(wanted.ids))]
    for test, pairs in ((HAS_FIELD, wanted.meta), (f"NOT {HAS_FIELD}", wanted.excluded_meta)):
        for name in dict.fromkeys(name for name, _ in pairs if name != without_field):
            tests.append((test, json.dumps([[name, text] for each, text in pairs if each == name])))
    tests += [("d.source GLOB ?", wanted.pattern), (f"{DATE} >= ?", wanted.since or None)]
    tests += [(f"{DATE} < ?", f"{wanted.until}\uffff" if wanted.until else None)]
    chosen = [Where(test, (value,)) for test, value in tests if value is not None]
    chosen += [path_condition(wanted.source)] if wanted.source is not None else []
    chosen += [document_condition(wanted.allowed)] if wanted.allowed is not None else []
    sql = " AND ".join(condition.sql for condition in chosen)
    return f"WHERE {sql}" if sql else "", tuple(value for condition in chosen for value in condition.values)


def _many(values: str | Sequence[str] | None) -> str | None:
    """Encode one or several values as the parameter of GIVEN."""
    return None if values is None else json.dumps([values] if isinstance(values, str) else list(values))


def _fields(connection: Any, wanted: ListingQuery) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """The number of documents with each meta field, and the value counts of fields usable as facets."""
    sql, values = _where(ListingQuery(allowed=wanted.allowed))
    rows = connection.execute(
        f"SELECT j.key, count(*) AS n, count(DISTINCT {WRITTEN}) FROM documents AS d, json_each({META}) AS j"
        f" {sql or 'WHERE 1'} AND {SCALAR} GROUP BY j.key ORDER BY n DESC, j.key LIMIT ?",
        (*values, FIELDS),
    ).fetchall()
    telling = [name for name, count, different in rows if different <= FIELD_VALUES and different < count]
    chosen = {name for name, _ in (*wanted.meta, *wanted.excluded_meta)}
    found = _values(connection, wanted, [name for name in telling if name not in chosen])
    for name in telling:
        if name in chosen:
            found |= _values(connection, wanted, [name], without=name)
    return {name: count for name, count, _ in rows}, {name: found.get(name, {}) for name in telling}


def _values(connection: Any, wanted: ListingQuery, names: Sequence[str], without: str = "") -> dict[str, dict[str, int]]:
    """The number of documents with each value of these meta fields, most frequent first."""
    sql, values = _where(wanted, without_field=without)
    rows = connection.execute(
        f"SELECT j.key, {WRITTEN} AS value, count(*) AS n FROM documents AS d, json_each({META}) AS j"
        f" {sql or 'WHERE 1'} AND {SCALAR} AND j.key IN {GIVEN} GROUP BY j.key, value ORDER BY n DESC, value",
        (*values, json.dumps(names)),
    )
    counts: dict[str, dict[str, int]] = {}
    for name, value, count in rows:
        counts.setdefault(str(name), {})[str(value)] = int(count)
    return counts


def _counts(connection: Any, name: str, wanted: ListingQuery) -> dict[str, int]:
    """The number of documents with each value of a facet, most frequent first."""
    sql, values = _where(wanted, without=name)
    rows = connection.execute(
        f"SELECT {FACETS[name]} AS value, count(*) AS n FROM documents AS d {sql} GROUP BY value ORDER BY n DESC, value"
        f" LIMIT {FACET_VALUES}",
        values,
    )
    return {str(value): int(count) for value, count in rows}


def _listed(row: Sequence[Any]) -> ListedDocument:
    id, source, language, kind, folder, length, pages, meta, file, passages = row
    facts = parsed_meta(meta)
    title = facts.get("title", "")
    return ListedDocument(
        id,
        source,
        language,
        kind,
        folder,
        length,
        passages,
        len(parsed_pages(pages)),
        title if isinstance(title, str) else str(title),
        facts,
        file,
    )
