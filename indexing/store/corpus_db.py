"""The corpus database (SQLite), source of truth of an index folder: documents, chunks, vectors and file records.

Everything else in an index folder (FAISS file, keyword index) is derived from it and can be deleted. `sqlite.py` opens the
file and handles transactions. Invariant: chunk ids are never reused, even after deletion; a deleted id leaves a tombstone
with its generation.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexing.arrays import Ids, Matrix
from indexing.documents import Chunk, Document, content_hash
from indexing.errors import DocumentMissing, IndexDamaged
from indexing.store.copies import write_sketch
from indexing.store.filters import Where
from indexing.store.page_words import PageWords, is_recognised, write_page_words
from indexing.store.passage_tokens import write_tokens
from indexing.store.sqlite import Connection, Database
from indexing.store.stored_values import parsed_headings, parsed_meta, parsed_pages, sound_vectors

logger = logging.getLogger(__name__)

TITLE_CHARACTERS = 120
CHUNK_TYPES = (int, str, str, str, str, int, int, str, str)


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A stored chunk: its id (int64, never reused), its key (the id for other systems) and facts of its document.

    recognised: whether the text of its page was recognised from a picture.
    """

    id: int
    key: str
    document_id: str
    source: str
    content_hash: str
    start: int
    end: int
    text: str
    language: str
    page: int | None
    recognised: bool = False


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document to write.

    vectors: float32 [chunks, d] in the order of the chunks; None if not embedded yet. tokens: of each chunk, packed by
    `arrays.pack_tokens`; () if not known. recognised: the words of recognised pages, by page.
    """

    document: Document
    chunks: tuple[Chunk, ...]
    vectors: Matrix | None
    file: str = ""
    keys: tuple[str, ...] = ()
    tokens: tuple[bytes, ...] = ()
    recognised: PageWords = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileRecord:
    """The stored facts of one file, which show whether it has changed. reason: why it was skipped, or ""."""

    source: str
    content_hash: str
    size: int
    mtime_ns: int
    seen_ns: int
    reason: str = ""
    notes: tuple[str, ...] = ()


class IndexFolder(Database):
    """The contents of one index folder. Thread-safe: each thread has its own connection."""

    # -- writing ---------------------------------------------------------------------------------------------------

    def write(self, new: Sequence[NewDocument], files: Iterable[FileRecord] = (), drop: Iterable[str] = ()) -> int:
        """Replace all content of the files in `drop` by `new`, in one transaction. Returns its generation.

        files: the file records to store.
        """
        with self.writing() as (connection, generation):
            for file in drop:
                ids = [row[0] for row in connection.execute("SELECT id FROM documents WHERE file = ?", (file,))]
                self._delete(connection, ids, generation)
            self.forget(connection, drop)
            for item in new:
                self._insert(connection, item, generation)
            connection.executemany(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(f.source, f.content_hash, f.size, f.mtime_ns, f.seen_ns, f.reason, json.dumps(f.notes)) for f in files],
            )
        return generation

    def forget(self, connection: Connection, files: Iterable[str]) -> None:
        connection.executemany("DELETE FROM files WHERE source = ?", [(file,) for file in files])

    def _insert(self, connection: Connection, new: NewDocument, generation: int) -> None:
        d = new.document
        connection.execute(
            "INSERT INTO documents (id, source, file, content_hash, language, pages, headings, meta, length,"
            " generation, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                d.id,
                d.source,
                new.file or d.source,
                d.content_hash,
                d.language,
                json.dumps(d.pages),
                json.dumps(d.headings),
                json.dumps(dict(d.meta), ensure_ascii=False),
                len(d.text),
                generation,
                d.text,
            ),
        )
        write_sketch(connection, d.id, d.text)
        write_page_words(connection, d.id, new.recognised)
        keys = new.keys or tuple(f"{d.id}-{chunk.start}" for chunk in new.chunks)
        blobs: Iterable[bytes | None] = [None] * len(new.chunks)
        if new.vectors is not None:
            blobs = [vector.tobytes() for vector in np.ascontiguousarray(new.vectors, dtype="<f4")]
        connection.executemany(
            'INSERT INTO chunks (key, document_id, start, "end", language, page, generation, text, vector)'
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (key, d.id, c.start, c.end, c.language, c.page, generation, c.text, blob)
                for key, c, blob in zip(keys, new.chunks, blobs, strict=True)
            ],
        )
        if new.tokens:
            write_tokens(connection, keys, new.tokens)

    def delete_documents(self, ids: Iterable[str]) -> int:
        """Delete documents by id, with their chunks, and return how many. Unknown ids are ignored."""
        with self.writing() as (connection, generation):
            return self._delete(connection, list(ids), generation)

    def _delete(self, connection: Connection, ids: Sequence[str], generation: int) -> int:
        deleted = 0
        if ids:
            self.mark_unerased()
        for document in ids:
            connection.execute(
                "INSERT OR REPLACE INTO deleted SELECT id, ? FROM chunks WHERE document_id = ?", (generation, document)
            )
            deleted += connection.execute("DELETE FROM documents WHERE id = ?", (document,)).rowcount
        return deleted

    def delete_chunks(self, keys: Iterable[str]) -> int:
        """Delete chunks by key, and documents without remaining chunks. Returns the number of deleted chunks."""
        with self.writing() as (connection, generation):
            deleted = 0
            self.mark_unerased()
            for key in keys:
                row = _delete_chunk(connection, key, "document_id", generation)
                if row is None:
                    continue
                left = connection.execute("SELECT 1 FROM chunks WHERE document_id = ? LIMIT 1", row).fetchone()
                if left is None:
                    connection.execute("DELETE FROM documents WHERE id = ?", row)
                deleted += 1
        return deleted

    def replace_vectors(self, keys: Sequence[str], vectors: Matrix) -> None:
        """Give chunks (by key) new vectors [n, d]. Each gets a new id, so that no index mixes old and new vectors."""
        columns = 'key, document_id, start, "end", language, page, text'
        with self.writing() as (connection, generation):
            self.mark_unerased()
            for key, vector in zip(keys, np.ascontiguousarray(vectors, dtype="<f4"), strict=True):
                row = _delete_chunk(connection, key, columns, generation)
                if row is None:
                    continue
                connection.execute(
                    f"INSERT INTO chunks ({columns}, generation, vector) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (*row, generation, vector.tobytes()),
                )

    # -- reading ---------------------------------------------------------------------------------------------------

    def document(self, document_id: str) -> Document:
        """The document with this id. Raises DocumentMissing; IndexDamaged if its text is not that of its content hash."""
        row = (
            self.connection()
            .execute(
                "SELECT id, source, content_hash, text, language, pages, headings, meta FROM documents WHERE id = ?",
                (document_id,),
            )
            .fetchone()
        )
        if row is None:
            raise DocumentMissing(f"No document has the id {document_id!r}; `docqa status --documents` lists them.")
        if not isinstance(row[3], str) or content_hash(row[3]) != row[2]:
            raise IndexDamaged(
                f"The text of {row[1]} in the index {self.path} is damaged: it is not that of its content hash; run"
                " `docqa doctor` on the index."
            )
        headings = tuple((h[0], h[1], h[2]) for h in parsed_headings(row[6]))
        return Document(row[0], row[1], row[2], row[3], row[4], parsed_pages(row[5]), headings, parsed_meta(row[7]))

    def headings_above(self, document_id: str, offset: int) -> list[str]:
        """What stands above an offset of a document: its title, and the last heading of each level. Empty if it is gone.

        Without headings, the first line counts if it is short and not the whole text.
        """
        about = "SELECT headings, meta, substr(text, 1, ?) FROM documents WHERE id = ?"
        row = self.connection().execute(about, (TITLE_CHARACTERS + 1, document_id)).fetchone()
        if row is None:
            return []
        path: list[list[int]] = []
        for heading in parsed_headings(row[0]):
            if heading[0] >= offset:
                break
            path = [*(one for one in path if one[2] < heading[2]), heading]
        cut = "SELECT substr(text, ?, ?) FROM documents WHERE id = ?"
        found = [self.connection().execute(cut, (a + 1, b - a, document_id)).fetchone()[0] for a, b, _ in path]
        first, line_end, _ = str(row[2]).lstrip().partition("\n")
        title = parsed_meta(row[1]).get("title")
        return [str(one) for one in (title, *(found or ([first] if line_end else []))) if one]

    def existing(self, ids: Iterable[str]) -> set[str]:
        """Those of these document ids that exist."""
        return self._existing("id", ids)

    def existing_sources(self, sources: Iterable[str]) -> set[str]:
        """Those of these sources that a document has."""
        return self._existing("source", sources)

    def _existing(self, column: str, values: Iterable[str]) -> set[str]:
        sql = f"SELECT {column} FROM documents WHERE {column} IN (SELECT value FROM json_each(?))"
        return {row[0] for row in self.connection().execute(sql, (json.dumps(list(values)),))}

    def document_rows(self) -> Iterator[tuple[str, str, str, int, int]]:
        """(id, source, language, characters, chunks) of every document, by source."""
        yield from self.connection().execute(
            "SELECT d.id, d.source, d.language, d.length, count(c.id) FROM documents AS d"
            " LEFT JOIN chunks AS c ON c.document_id = d.id GROUP BY d.number ORDER BY d.source"
        )

    def chunks(self, ids: Sequence[int]) -> list[StoredChunk]:
        """The chunks with these ids, in this order; deleted ids and unreadable rows are left out."""
        select = (
            'SELECT c.id, c.key, c.document_id, d.source, d.content_hash, c.start, c."end", c.text, c.language, c.page,'
            " CASE WHEN json_valid(d.meta) THEN json_extract(d.meta, '$.recognised_pages') END"
            " FROM chunks AS c JOIN documents AS d ON d.id = c.document_id WHERE c.id IN"
        )
        rows = self.readable_rows(select, list(ids))
        sound = [row for row in rows if tuple(map(type, row))[: len(CHUNK_TYPES)] == CHUNK_TYPES]
        found = {row[0]: StoredChunk(*(*row[:-1], is_recognised(row[-1], row[-2]))) for row in sound}
        return [found[number] for number in ids if number in found]

    def chunk_ids(self, where: Where | None = None, *, after: int = -1) -> Ids:
        """The ids of chunks that match a filter (None: all) and are newer than generation `after`, ascending.

        Documents come first, and their chunks from an index: the rows of chunks, with text and vector, are not read.
        """
        tables = "documents AS d CROSS JOIN chunks AS c" if after < 0 else "chunks AS c JOIN documents AS d"
        sql, values = f"SELECT c.id FROM {tables} ON d.id = c.document_id", list[Any]()
        conditions = [(where.sql, where.values)] if where is not None else []
        if after >= 0:
            conditions.append(("c.generation > ?", (after,)))
        for number, (condition, given) in enumerate(conditions):
            sql += f" {'AND' if number else 'WHERE'} {condition}"
            values += given
        rows = self.connection().execute(sql, values)
        return np.sort(np.fromiter(chain.from_iterable(rows), dtype=np.int64))

    def spread(self, count: int) -> dict[str, list[int]]:
        """Sample up to `count` chunk ids per language, spread over all of them, ascending.

        A language with many chunks gets at least half of `count`. The sample is the same at one generation, and mostly at
        the next: it takes the first id at or after each multiple of a power of two.
        """
        ask = self.connection().execute
        next_language = "SELECT language FROM chunks WHERE language > ? ORDER BY language LIMIT 1"
        next_one = "SELECT id FROM chunks WHERE language = ? AND id >= ? ORDER BY id LIMIT 1"
        last_one = "SELECT id FROM chunks WHERE language = ? ORDER BY id DESC LIMIT 1"
        found: dict[str, list[int]] = {}
        row = ask("SELECT min(language) FROM chunks").fetchone()
        while row is not None and row[0] is not None:
            (language,) = row
            (first,), (last,) = ask(next_one, (language, 0)).fetchone(), ask(last_one, row).fetchone()
            step = 1
            while last // step - first // step + 1 > count:
                step *= 2
            places = [max(first, n * step) for n in range(first // step, last // step + 1)]
            found[language] = sorted({ask(next_one, (language, place)).fetchone()[0] for place in places})
            row = ask(next_language, row).fetchone()
        return found

    def deleted_ids(self, after: int) -> Ids:
        """Ids of chunks deleted after a generation, ascending."""
        rows = self.connection().execute("SELECT id FROM deleted WHERE generation > ? ORDER BY id", (after,))
        return np.fromiter((row[0] for row in rows), dtype=np.int64)

    def texts(self, ids: Ids) -> Iterator[tuple[int, str, str]]:
        """(id, text, language) of chunks, ascending by id, to build keyword segments."""
        for part in _parts(ids):
            for number, text, language in self._by_ids("SELECT id, text, language FROM chunks WHERE id IN", part):
                yield number, text if isinstance(text, str) else "", str(language)

    def documents_of(self, ids: Ids) -> list[tuple[int, str, str]]:
        """(chunk id, id and source of its document) of these chunks, by ascending chunk id; deleted ones are left out."""
        sql = "SELECT c.id, d.id, d.source FROM chunks AS c JOIN documents AS d ON d.id = c.document_id WHERE c.id IN"
        rows = (row for part in _parts(ids) for row in self._by_ids(sql, part))
        return [(number, str(id), str(source)) for number, id, source in rows]

    def has_field(self, name: str) -> bool:
        """Whether any document has a field of this name in its metadata."""
        sql = "SELECT 1 FROM documents WHERE json_type(meta, ?) IS NOT NULL LIMIT 1"
        return self.connection().execute(sql, (f'$."{name}"',)).fetchone() is not None

    def vectors(self, ids: Ids) -> tuple[Ids, Matrix]:
        """The ids that have a sound vector, ascending, and the vectors, float32 [n, d]."""
        dimension = int(self.model["dimension"])
        found: list[int] = []
        blobs: list[bytes] = []
        for part in _parts(ids):
            for number, blob in self._by_ids("SELECT id, vector FROM chunks WHERE vector IS NOT NULL AND id IN", part):
                found.append(number)
                blobs.append(blob)
        return sound_vectors(found, blobs, dimension)

    def _by_ids(self, select: str, ids: NDArray[np.int64]) -> list[Any]:
        """The rows of these ids, ascending by their first column, which is the id."""
        return sorted(self.readable_rows(select, ids.tolist()), key=lambda row: row[0])

    def readable_rows(self, select: str, ids: Sequence[int]) -> list[Any]:
        """The rows of these ids. One that cannot be read is left out, so that a damaged page hides its passages only."""
        try:
            return self.connection().execute(f"{select} ({','.join('?' * len(ids))})", list(ids)).fetchall()
        except IndexDamaged as error:
            if len(ids) < 2:
                logger.warning("a passage of %s cannot be read and is left out: %s", self.path, error)
                return []
        half = len(ids) // 2
        return [*self.readable_rows(select, ids[:half]), *self.readable_rows(select, ids[half:])]

    def file_records(self) -> dict[str, FileRecord]:
        """The stored facts of each indexed or skipped file."""
        rows = self.connection().execute("SELECT * FROM files")
        return {r[0]: FileRecord(r[0], r[1], r[2], r[3], r[4], r[5], tuple(json.loads(r[6]))) for r in rows}

    def counts(self) -> dict[str, Any]:
        """The number of documents, passages and characters, in total and per language."""
        connection = self.connection()
        total = connection.execute("SELECT count(*), coalesce(sum(length), 0) FROM documents").fetchone()
        languages: dict[str, dict[str, int]] = {}
        for language, count in connection.execute("SELECT language, count(*) FROM documents GROUP BY language"):
            languages.setdefault(language, {"documents": 0, "passages": 0})["documents"] = count
        for language, count in connection.execute("SELECT language, count(*) FROM chunks GROUP BY language"):
            languages.setdefault(language, {"documents": 0, "passages": 0})["passages"] = count
        passages = connection.execute("SELECT count(*) FROM chunks").fetchone()[0]
        return {
            "documents": total[0],
            "characters": total[1],
            "passages": passages,
            "languages": dict(sorted(languages.items())),
        }


def _delete_chunk(connection: Connection, key: str, columns: str, generation: int) -> tuple[Any, ...] | None:
    """Delete a chunk and leave a tombstone. Returns its columns, or None if there is no chunk with that key."""
    row = connection.execute(f"SELECT id, {columns} FROM chunks WHERE key = ?", (key,)).fetchone()
    if row is None:
        return None
    connection.execute("INSERT INTO deleted VALUES (?, ?)", (row[0], generation))
    connection.execute("DELETE FROM chunks WHERE id = ?", (row[0],))
    return tuple(row[1:])


def now_ns() -> int:
    return time.time_ns()


def _parts(ids: Ids, size: int = 500) -> Iterator[Ids]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
