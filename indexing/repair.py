"""Finds damage in an index and repairs it: `docqa doctor`.

`repair_index` repairs in place where SQLite's structure is sound or can be reindexed. Otherwise it saves what can be read
into a new folder, and leaves the damaged one as it is. Nothing is ever guessed: a text that is not that of its content hash
is removed, read again from its file if that is there, and named.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from indexing.arrays import Matrix
from indexing.build import build_index
from indexing.documents import Chunk, Document
from indexing.errors import DocqaError, IndexDamaged, IndexFolderError, ModelError, SettingError
from indexing.files.file_text import FileLimits
from indexing.models.embedder import Embedder
from indexing.prepare import passages_of
from indexing.settings import IndexSettings
from indexing.store.corpus_db import IndexFolder, NewDocument
from indexing.store.database_checks import damaged_vectors, database_problems, is_whole
from indexing.store.index import Index
from indexing.store.salvage import SavedDocument, Wreck, open_wreck
from indexing.store.sentence_vectors import SentenceVectors

AT_ONCE = 64
Load = Callable[[str], Embedder]


@dataclass(frozen=True, slots=True)
class Repaired:
    """The result of a repair.

    removed: files whose damaged documents were removed. read_again: those of them that were read again from their files.
    embedded: passages that got a new vector. into: the new folder of a salvage, None for a repair in place.
    saved: documents in that folder. lost: files of documents that could not be saved; named: whether all have a name.
    left: problems that remain.
    """

    removed: tuple[str, ...] = ()
    read_again: tuple[str, ...] = ()
    embedded: int = 0
    into: Path | None = None
    saved: int = 0
    lost: tuple[str, ...] = ()
    named: bool = True
    left: tuple[str, ...] = field(default=())


def diagnose(path: Path) -> list[str]:
    """All problems of the index in `path`, one sentence each. Raises IndexMissing and IndexMismatch only."""
    try:
        with IndexFolder.open(path) as folder:
            return list(_problems(folder))
    except IndexDamaged as error:
        return [str(error)]


def _problems(folder: IndexFolder) -> Iterator[str]:
    try:
        index = Index(folder)
    except IndexFolderError as error:
        found = list(database_problems(folder))
        yield from found if found else [str(error)]
        return
    yield from index.problems()


def repair_index(
    path: Path,
    *,
    documents: Path | None = None,
    into: Path | None = None,
    embedder: Embedder | None = None,
) -> Repaired:
    """Repair the index in `path`.

    documents: the folder its files were read from; None takes the stored one if it is there.
    into: the new folder if the database cannot be repaired in place; None is the index's name with `-salvaged`.
    embedder: of new vectors; None loads the index's own when it is needed.
    Raises IndexMissing, IndexMismatch, IndexBusy, IndexFolderError (nothing can be read, or `into` exists) and ModelError.
    """

    def load(name: str) -> Embedder:
        return embedder or Embedder.load(name)

    try:
        done = _repaired_in_place(path, load)
    except IndexDamaged:
        return _salvaged(path, into or path.absolute().with_name(f"{path.absolute().name}-salvaged"), documents, load)
    again = _read_again(path, done.removed, documents, load)
    return replace(done, read_again=again, left=tuple(diagnose(path)))


# -- in place ----------------------------------------------------------------------------------------------------------


def _repaired_in_place(path: Path, load: Load) -> Repaired:
    """Raises IndexDamaged if the structure of the database is broken beyond its SQL indexes."""
    with IndexFolder.open(path, writable=True) as folder, folder.writer():
        if not is_whole(folder) and not folder.reindex(partial(is_whole, folder)):
            raise IndexDamaged(f"The database of the index in {path} cannot be repaired in place.")
        model, _ = folder.model, folder.settings
        _remove_orphans(folder)
        SentenceVectors(folder).drop_damaged()
    with Index.open(path, writable=True) as index:
        bad = {*damaged_vectors(index.folder), *index.differing()}
        removed = index.repair()
        with index.folder.writer():
            embedded = _embedded(index, bad, load, str(model["name"]), str(model["fingerprint"]))
            index.publish()
            index.folder.erase_deleted()
    return Repaired(removed=tuple(removed), embedded=embedded)


def _remove_orphans(folder: IndexFolder) -> None:
    """Delete chunks whose document is gone, and raise the generation to that of the newest row."""
    ask = folder.connection().execute
    newest = max(ask(f"SELECT max(generation) FROM {t}").fetchone()[0] or 0 for t in ("documents", "chunks", "deleted"))
    if newest > folder.generation():
        folder.store_facts({"generation": newest})
    orphans = "document_id NOT IN (SELECT id FROM documents)"
    if ask(f"SELECT 1 FROM chunks WHERE {orphans}").fetchone() is None:
        return
    with folder.writing() as (connection, generation):
        folder.mark_unerased()
        connection.execute(f"INSERT OR REPLACE INTO deleted SELECT id, ? FROM chunks WHERE {orphans}", (generation,))
        connection.execute(f"DELETE FROM chunks WHERE {orphans}")


def _embedded(index: Index, bad: set[int], load: Load, name: str, fingerprint: str) -> int:
    """Give passages with a damaged or missing vector a new one, if the model is on this machine. Returns how many."""
    folder = index.folder
    every = folder.chunk_ids()
    missing = np.setdiff1d(every, folder.vectors(every)[0])
    wanted = sorted({*(int(number) for number in missing), *(bad & set(every.tolist()))})
    if not wanted:
        return 0
    try:
        embedder = load(name)
    except ModelError:
        return 0
    if embedder.fingerprint != fingerprint:
        return 0
    for start in range(0, len(wanted), AT_ONCE):
        chunks = folder.chunks(wanted[start : start + AT_ONCE])
        folder.replace_vectors([chunk.key for chunk in chunks], embedder.passages([chunk.text for chunk in chunks]))
    return len(wanted)


def _read_again(path: Path, files: Sequence[str], documents: Path | None, load: Load) -> tuple[str, ...]:
    """Index the files again from the folder of the documents, where they are there. Returns those that were read."""
    if not files:
        return ()
    with IndexFolder.open(path) as folder:
        name = str(folder.model["name"])
        origin = documents or documents_folder(path, folder.fact_or("documents", None))
        limits = _limits(folder.fact_or("limits", None))
    if origin is None:
        return ()
    try:
        report = build_index(origin, path, limits=limits, embedder=load(name), only=files)
    except (IndexFolderError, ModelError):
        return ()
    return tuple(file.source for file in report.files if file.source in files and file.status in ("indexed", "updated"))


def documents_folder(path: Path, stored: object) -> Path | None:
    """The folder of the documents: the stored one, or `documents` beside the index, as in a service's home."""
    beside = path.absolute().parent / "documents"
    folders = [Path(stored)] if isinstance(stored, str | Path) else []
    folders += [beside] if (beside.parent / "corpus.json").is_file() else []
    return next((folder for folder in folders if folder.exists()), None)


def _limits(stored: object) -> FileLimits:
    try:
        return FileLimits(**stored) if isinstance(stored, dict) else FileLimits()
    except (TypeError, DocqaError):
        return FileLimits()


# -- into a new folder -------------------------------------------------------------------------------------------------


def _salvaged(path: Path, into: Path, documents: Path | None, load: Load) -> Repaired:
    """Save what can be read of a damaged index into the new folder `into`."""
    with open_wreck(path) as wreck:
        facts = wreck.facts()
        name = str((facts.get("model") or {}).get("name", ""))
        try:
            settings = IndexSettings.from_dict(facts["settings"])
        except (KeyError, TypeError, ValueError, AttributeError, DocqaError):
            settings = IndexSettings(embedder=name or "builtin")
        name = name or settings.embedder
        embedder = load(name)
        if into.exists():
            raise SettingError(f"{into} exists already; remove it, or name another folder with --into.")
        with IndexFolder.create(into, settings, embedder.facts()) as folder, folder.writer():
            saved, files = _copy(wreck, folder, settings, embedder)
            lost, named = wreck.lost()
            if named:
                kept = [record for record in wreck.files() if record.source not in lost]
                known = {record.source for record in kept}
                folder.write([], files=[record for record in kept if record.reason or record.source in files])
                lost = sorted({*lost, *(r.source for r in kept if not r.reason and r.source not in files)} - (files - known))
            folder.store_facts({key: facts[key] for key in ("limits", "documents") if key in facts})
            Index(folder).publish()
    again = _read_again(into, lost, documents, load)
    if not saved and not again:
        shutil.rmtree(into)
        raise IndexDamaged(f"Nothing can be read of the index in {path}; index the documents into a new folder.")
    gone = tuple(file for file in lost if file not in again)
    left = (f"The index in {path} is damaged beyond repair; {into} holds what could be saved of it.",)
    return Repaired((), again, 0, into, saved, gone, named, (*left, *diagnose(into)))


def _copy(wreck: Wreck, folder: IndexFolder, settings: IndexSettings, embedder: Embedder) -> tuple[int, set[str]]:
    """Write every readable document. Returns how many, and the files they are of."""
    saved, files, batch = 0, set[str](), list[SavedDocument]()
    sources = set[str]()

    def write() -> None:
        nonlocal saved
        folder.write(_new(batch, settings, embedder))
        saved += len(batch)
        batch.clear()

    for found in wreck.documents():
        if found.document.source in sources:
            continue
        sources.add(found.document.source)
        files.add(found.file)
        batch.append(found)
        if len(batch) == AT_ONCE:
            write()
    write()
    return saved, files


def _new(batch: Sequence[SavedDocument], settings: IndexSettings, embedder: Embedder) -> list[NewDocument]:
    """The documents with passages and vectors: the stored ones, or new ones where they could not be read."""
    anew = [found.document for found in batch if found.chunks is None]
    cut = iter(passages_of(anew, settings.chunks))
    rows: list[tuple[SavedDocument, list[tuple[str, Chunk, Matrix | None]]]] = []
    for found in batch:
        if found.chunks is None:
            rows.append((found, [(f"{found.document.id}-{chunk.start}", chunk, None) for chunk in next(cut)]))
        else:
            rows.append((found, list(found.chunks)))
    wanted = [chunk.text for _, part in rows for _, chunk, vector in part if not _fits(vector, embedder)]
    made = iter(embedder.passages(wanted) if wanted else ())
    return [_document(found.document, found.file, part, made, embedder) for found, part in rows]


def _fits(vector: Matrix | None, embedder: Embedder) -> bool:
    return vector is not None and vector.shape == (embedder.dimension,)


def _document(
    document: Document,
    file: str,
    part: Sequence[tuple[str, Chunk, Matrix | None]],
    made: Iterator[Any],
    embedder: Embedder,
) -> NewDocument:
    vectors = [vector if _fits(vector, embedder) else next(made) for _, _, vector in part]
    matrix = np.array(vectors, dtype=np.float32).reshape(len(vectors), embedder.dimension)
    return NewDocument(document, tuple(chunk for _, chunk, _ in part), matrix, file, tuple(key for key, _, _ in part))
