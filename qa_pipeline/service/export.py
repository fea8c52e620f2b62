"""Exports of an index in open formats: its documents as JSON lines, and the files that they were read from.

    TO/documents.jsonl   a document a line: id, source, file, hash, language, pages, headings, meta, text, places of passages
    TO/originals/        the files, by their sources; those that have changed since, or are gone, are named in the report
    TO/export.json       format, embedder, filter and counts; written last

`docqa index TO/originals` gives the same ids and texts; `docqa index TO/documents.jsonl` the same texts, with other sources.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from indexing.atomic_files import make_folder, open_atomic, pieces_of, store
from indexing.errors import IndexFolderError, SettingError
from indexing.files.walk import file_hash, find_files
from indexing.repair import documents_folder
from indexing.store.corpus_db import IndexFolder
from indexing.store.filters import Filter, Where
from indexing.store.listing import document_condition, whole_file_visible

FORMAT = 1
DOCUMENTS, ORIGINALS, FACTS = "documents.jsonl", "originals", "export.json"
EVERYTHING = Where("1")
MAIL_PARTS = ("cur", "new")
"""What a folder of a Maildir, such as .Sent, must have to be one; other files in hidden folders are not indexed."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export holds.

    missing: files (sources) whose original is gone, has changed, is not allowed as a whole, or would replace another one.
    """

    documents: int
    passages: int
    originals: int
    missing: tuple[str, ...]


def export(
    index: Path, to: Path, filters: Filter | None = None, *, documents: Path | None = None, progress: Progress | None = None
) -> Exported:
    """Write the documents that `filters` allow, and their originals, into the new folder `to`.

    documents: where the originals are; None takes the folder that was indexed, or the service's. A damaged document ends it.
    Raises IndexMissing, IndexDamaged, FilterError; SettingError where `to` holds files; OSError.
    """
    with IndexFolder.open(index) as folder, folder.reading():
        condition = EVERYTHING if filters is None else document_condition(filters)
        if to.exists() and (not to.is_dir() or any(to.iterdir())):
            raise SettingError(f"{to} holds files; name a new or empty folder for the export.")
        make_folder(to, 0o700)
        files: dict[str, str] = {}
        count = passages = 0
        ids = _ids(folder, condition)
        with open_atomic(to / DOCUMENTS, 0o600) as out:
            for count, id in enumerate(ids, start=1):
                row = _row(folder, id)
                out.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
                passages += len(row["passages"])
                files.setdefault(row["file"], id)
                if progress:
                    progress(count, len(ids))
        allowed = [file for file, id in files.items() if filters is None or whole_file_visible(folder, id, filters)]
        origin = documents_folder(index, documents or folder.fact_or("documents", None))
        copied = set(_copied(folder, origin, allowed, to / ORIGINALS)) if origin is not None else set()
        done = Exported(count, passages, len(copied), tuple(sorted(files.keys() - copied)))
        facts = {
            "format": FORMAT,
            "embedder": folder.model["name"],
            "settings": folder.settings.as_dict(),
            "filter": filters,
        }
        store(to / FACTS, json.dumps(facts | asdict(done), ensure_ascii=False, indent=1).encode("utf-8"), 0o600)
    return done


def _ids(folder: IndexFolder, condition: Where) -> list[str]:
    sql = f"SELECT d.id FROM documents AS d WHERE {condition.sql} ORDER BY d.source"
    return [row[0] for row in folder.connection().execute(sql, condition.values)]


def _row(folder: IndexFolder, id: str) -> dict[str, Any]:
    """A document as it is exported. Raises IndexDamaged where its text is not that of its content hash."""
    document = folder.document(id)
    ask = folder.connection().execute
    file = ask("SELECT file FROM documents WHERE id = ?", (id,)).fetchone()[0]
    places = 'SELECT key, start, "end", language, page FROM chunks WHERE document_id = ? ORDER BY start'
    names = ("id", "start", "end", "language", "page")
    return {
        "docqa_export": FORMAT,
        "id": document.id,
        "source": document.source,
        "file": file,
        "content_hash": document.content_hash,
        "language": document.language,
        "pages": document.pages,
        "headings": document.headings,
        "meta": dict(document.meta),
        "text": document.text,
        "passages": [dict(zip(names, row, strict=True)) for row in ask(places, (id,))],
    }


def _copied(folder: IndexFolder, origin: Path, files: list[str], to: Path) -> Iterator[str]:
    """Copy the originals that are what was indexed, found as indexing finds them. Yields their sources."""
    records, found = folder.file_records(), _found(origin)
    for file in files:
        path, target = found.get(file), to / file
        # A disk without letter case, which the new folder may be on, has one file for two names.
        if path is None or file not in records or target.exists() or file_hash(path) != records[file].content_hash:
            continue
        is_mail = target.parent.parent.name.startswith(".")
        for part in MAIL_PARTS if is_mail else (target.parent.name,):
            make_folder(target.parent.with_name(part), 0o700)
        with open_atomic(target, 0o600) as out:
            for piece in pieces_of(path):
                out.write(piece)
        yield file


def _found(origin: Path) -> dict[str, Path]:
    """The files of a folder, or a file alone, by their sources; none if it cannot be opened."""
    try:
        return {file.source: file.path for file in find_files(origin)}
    except IndexFolderError:
        return {}
