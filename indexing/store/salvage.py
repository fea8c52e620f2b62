"""Reads what is left of a damaged corpus database: from a copy, row by row, around the pages that cannot be read.

The damaged folder itself is never changed. Only documents whose text is that of their content hash or id count as saved.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import numpy as np

from indexing.arrays import Matrix
from indexing.documents import Chunk, Document, content_hash, document_id
from indexing.errors import IndexFolderError
from indexing.store.checked_sqlite import CheckedConnection
from indexing.store.corpus_db import FileRecord
from indexing.store.schema import PAGE_SIZE
from indexing.store.sqlite import DATABASE
from indexing.store.stored_values import is_unit, parsed_headings, parsed_meta, parsed_pages

MAGIC = b"SQLite format 3\0"
FIRST_PAGE_SIZE = 4096  # of an index of an earlier docqa; later ones have PAGE_SIZE
TREE_PAGES = (2, 5, 10, 13)
STEPS = 2_000_000

COLUMNS = "number, id, source, file, content_hash, language, pages, headings, meta, text"


@dataclass(frozen=True, slots=True)
class SavedDocument:
    """A document that could be read, and the file it is of.

    chunks: its passages, with keys and vectors, if all of them could be read; else None. A damaged vector is None.
    """

    document: Document
    file: str
    chunks: tuple[tuple[str, Chunk, Matrix | None], ...] | None


@contextmanager
def open_wreck(path: Path) -> Iterator[Wreck]:
    """A copy of the database in the index folder `path`, opened as far as it can be. Raises IndexFolderError, OSError."""
    with tempfile.TemporaryDirectory(prefix=f"{path.name}-", dir=path.absolute().parent) as folder:
        copy = Path(folder) / DATABASE
        shutil.copyfile(path / DATABASE, copy)
        log = path / f"{DATABASE}-wal"
        if log.is_file():
            shutil.copyfile(log, Path(folder) / log.name)
        _mend_header(copy)
        connection = CheckedConnection.open(path, f"file:{quote(str(copy.absolute()))}?mode=rw", 1.0)
        try:
            connection.execute("PRAGMA cell_size_check=ON")
            yield Wreck(connection)
        finally:
            connection.close()


def _mend_header(database: Path) -> None:
    """Write the fields of the first page's header that are the same in every corpus database, and the count of pages.

    A last page that was cut is filled with zeros. Source: "The Database Header" in SQLite's file format.
    """
    size = database.stat().st_size
    if size < 2 * FIRST_PAGE_SIZE:
        return
    with database.open("r+b") as file:
        head = bytearray(file.read(100))
        if bytes(head[:16]) == MAGIC and int.from_bytes(head[16:18], "big") in (1, *(2**n for n in range(9, 16))):
            page = int.from_bytes(head[16:18], "big")
        else:
            page = _page_size(file)
        page = 65536 if page == 1 else page
        head[:16] = MAGIC
        head[16:24] = (1 if page == 65536 else page).to_bytes(2, "big") + bytes((2, 2, 0, 64, 32, 32))
        pages = -(-size // page)
        head[28:32] = pages.to_bytes(4, "big")
        head[44:48] = (4).to_bytes(4, "big")
        head[56:60] = (1).to_bytes(4, "big")
        head[92:96] = head[24:28]
        file.seek(0)
        file.write(head)
        file.truncate(pages * page)


def _page_size(file: BinaryIO) -> int:
    """The page size of a corpus database without its header: that at which the first pages are those of a tree."""
    kinds = []
    for number in (1, 2, 3):
        file.seek(number * FIRST_PAGE_SIZE)
        kinds.append(file.read(1)[:1])
    return FIRST_PAGE_SIZE if all(kind and kind[0] in TREE_PAGES for kind in kinds) else PAGE_SIZE


class Wreck:
    """What can be read of a damaged database. `numbers_lost` is filled by `documents`."""

    def __init__(self, connection: CheckedConnection) -> None:
        self._connection = connection
        self.numbers_lost: list[int] = []

    def facts(self) -> dict[str, Any]:
        """The rows of `meta` that can be read and parsed."""
        found: dict[str, Any] = {}
        for name in ("settings", "model", "generation", "limits", "documents"):
            try:
                row = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
                if row is not None:
                    found[name] = json.loads(row[0])
            except (IndexFolderError, ValueError, TypeError):
                continue
        return found

    def documents(self) -> Iterator[SavedDocument]:
        """Every document whose text can be read and verified, by its number."""
        saved: set[int] = set()
        files = [record.source for record in self.files()]
        for row in self._rows("documents", "number", COLUMNS):
            document = _verified(row)
            if document is not None:
                saved.add(row[0])
                yield SavedDocument(document, _file_of(document.source, str(row[3]), files), self._chunks(document))
        self.numbers_lost = [number for number in self._numbers() if number not in saved]

    def lost(self) -> tuple[list[str], bool]:
        """The files of the documents that `documents` could not save, and whether every one of them could be named."""
        files: set[str] = set()
        complete = self._index_readable
        for number in self.numbers_lost:
            try:
                sql = "SELECT file FROM documents INDEXED BY documents_file WHERE number = ?"
                row = self._connection.execute(sql, (number,)).fetchone()
            except IndexFolderError:
                row = None
            if row is None or not isinstance(row[0], str):
                complete = False
            else:
                files.add(row[0])
        return sorted(files), complete

    def files(self) -> list[FileRecord]:
        """The stored facts of files that can be read."""
        found = []
        try:
            for row in self._connection.execute("SELECT * FROM files"):
                kinds = [type(value) for value in row]
                if kinds == [str, str, int, int, int, str, str]:
                    found.append(FileRecord(row[0], row[1], row[2], row[3], row[4], row[5], tuple(json.loads(row[6]))))
        except (IndexFolderError, ValueError, TypeError):
            pass
        return found

    _index_readable = True

    def _numbers(self) -> list[int]:
        """The numbers of all documents by the index on their files, which does not need their rows."""
        sql = "SELECT number FROM documents INDEXED BY documents_file ORDER BY file"
        found: list[int] = []
        try:
            for (number,) in self._connection.execute(sql):
                found.append(number)
        except IndexFolderError:
            self._index_readable = False
        return found

    def _rows(self, table: str, key: str, columns: str) -> Iterator[Any]:
        """The rows of a table by key: from the front and from the back to the first damage, one by one in between."""
        front: int | None = None
        select = f"SELECT {columns} FROM {table}"
        try:
            for row in self._connection.execute(f"{select} ORDER BY {key}"):
                front = row[0]
                yield row
            return
        except IndexFolderError:
            pass
        back: int | None = None
        rows: list[Any] = []
        try:
            for row in self._connection.execute(f"{select} WHERE {key} > ? ORDER BY {key} DESC", (front or 0,)):
                back = row[0]
                rows.append(row)
        except IndexFolderError:
            pass
        known = self._numbers()
        last = back if back is not None else max(known, default=front or 0) + 1
        first = (front or 0) + 1
        between = range(first, last) if last - first < STEPS else [n for n in sorted(known) if first <= n < last]
        for number in between:
            try:
                row = self._connection.execute(f"{select} WHERE {key} = ?", (number,)).fetchone()
            except IndexFolderError:
                continue
            if row is not None:
                yield row
        yield from reversed(rows)

    def _chunks(self, document: Document) -> tuple[tuple[str, Chunk, Matrix | None], ...] | None:
        sql = 'SELECT key, start, "end", text, language, page, vector FROM chunks WHERE document_id = ? ORDER BY start'
        try:
            rows = self._connection.execute(sql, (document.id,)).fetchall()
        except IndexFolderError:
            return None
        for key, start, end, text, language, _, _ in rows:
            if [type(value) for value in (key, start, end, text, language)] != [str, int, int, str, str]:
                return None
            if not text or document.text[start:end] != text:
                return None
        return tuple((key, Chunk(a, b, text, lang, page), _vector(v)) for key, a, b, text, lang, page, v in rows) or None


def _verified(row: Any) -> Document | None:
    _, id, source, file, digest, language, pages, headings, meta, text = row
    if not all(isinstance(value, str) for value in (id, source, language, text)):
        return None
    proven = document_id(source, text) == id
    if not proven and (content_hash(text) != digest or not _is_inside(source, str(file))):
        return None
    digest = content_hash(text) if proven else digest
    marks = tuple((h[0], h[1], h[2]) for h in parsed_headings(headings))
    return Document(id, source, digest, text, language, parsed_pages(pages), marks, parsed_meta(meta))


def _file_of(source: str, file: str, files: Sequence[str]) -> str:
    """The file of a verified source: the stored one, or if that is damaged, the one of `files` that the source is in."""
    if _is_inside(source, file):
        return file
    return max((one for one in files if _is_inside(source, one)), key=len, default=source)


def _is_inside(source: str, file: str) -> bool:
    """Whether a source is that of a file, or of a record or member of it; if not, one of the two is damaged."""
    rest = source.removeprefix(file)
    return source == file or (len(rest) < len(source) and rest[0] in "/#")


def _vector(blob: Any) -> Matrix | None:
    """The unit vector in a blob; None if it is damaged."""
    if not isinstance(blob, bytes) or len(blob) % 4 or not blob:
        return None
    vector = np.frombuffer(blob, dtype="<f4").astype(np.float32)
    return vector if is_unit(vector) else None
