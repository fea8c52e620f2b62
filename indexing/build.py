"""Builds an index from a folder of documents. Read `build_index` first: it is the whole pipeline.

Indexing is incremental. An unchanged file is neither read nor embedded again, and a deleted file leaves the index. Each
batch of files is one transaction, so an interrupted run (even by kill -9) resumes after the last batch. No file stops a
run: the report lists every file, with the reason if it is skipped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from indexing.arrays import Matrix
from indexing.errors import IndexFolderError, IndexMismatch
from indexing.files.file_text import FileLimits
from indexing.files.walk import FoundFile, find_files
from indexing.models.embedder import Embedder
from indexing.prepare import Batch, ReadFile
from indexing.settings import IndexSettings
from indexing.store.corpus_db import FileRecord, IndexFolder, NewDocument, now_ns
from indexing.store.index import Index
from indexing.store.sentence_vectors import SentenceVectors
from indexing.store.sqlite import DATABASE
from indexing.workers import prefetch_batches

RACY_NS = 2_000_000_000

KnownFiles = Mapping[str, FileRecord]
FIRST_SLICE = 64
SLICE_S = 1.0

Progress = Callable[["FileReport", int, int], None]
Embedding = Callable[[int, int, int], None]
Prepared = AbstractContextManager[Iterator[Batch]]
Prepare = Callable[[IndexFolder, Sequence[FoundFile], KnownFiles], Prepared]
"""Called with the index, the files to read and the known files; gives their batches, each written before the next."""


@dataclass(frozen=True, slots=True)
class FileReport:
    """The result of one file. status: indexed, updated, unchanged, removed or skipped (`reason` says why)."""

    source: str
    status: str
    reason: str = ""
    notes: tuple[str, ...] = ()
    documents: int = 0
    passages: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a run: every file once, by source.

    erased: whether everything deleted is gone from the disk; False if readers kept the index in use.
    """

    files: tuple[FileReport, ...]
    generation: int
    seconds: float
    embedder: str
    documents: int
    passages: int
    languages: dict[str, dict[str, int]]
    erased: bool = True

    def count(self, status: str) -> int:
        return sum(file.status == status for file in self.files)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def build_index(
    documents: Path,
    into: Path,
    settings: IndexSettings | None = None,
    *,
    limits: FileLimits | None = None,
    progress: Progress | None = None,
    embedding: Embedding | None = None,
    embedder: Embedder | None = None,
    emptied: bool = False,
) -> Report:
    """Index every readable file below `documents` into the folder `into`, or bring that index up to date.

    settings: of a new index. For an existing index they must equal its stored settings; None uses those. Its tiers may
        change from `both` to `token`, which drops the sentence vectors, and back.
    progress: called after each file with its report, the bytes done and the bytes of all files.
    embedding: called with the passages embedded in this run, the bytes done and the bytes of all files: at the start, about
        once a second of embedding, and after each batch. A batch counts in proportion to its embedded passages.
    emptied: allow that none of the files known before is left; by default such a folder is refused.
    Raises SettingError, IndexFolderError and ModelError with their subclasses; never for a single bad file.
    """
    limits, found = limits or FileLimits(), list(find_files(documents))
    embedder = embedder or Embedder.load(embedder_name(into, settings))
    static = getattr(embedder, "static", None)
    embed = None if static is None else embedder.passages

    def prepare(folder: IndexFolder, changed: Sequence[FoundFile], known: KnownFiles) -> Prepared:
        return prefetch_batches(changed, known, limits, folder.settings.chunks, embed, static)

    return index_files(
        found,
        str(documents.absolute()),
        into,
        prepare,
        settings,
        limits=limits,
        embedder=embedder,
        progress=progress,
        embedding=embedding,
        emptied=emptied,
    )


def index_files(
    found: Sequence[FoundFile],
    documents: str,
    into: Path,
    prepare: Prepare,
    settings: IndexSettings | None = None,
    *,
    limits: FileLimits,
    embedder: Embedder,
    progress: Progress | None = None,
    embedding: Embedding | None = None,
    emptied: bool = False,
) -> Report:
    """As `build_index`, for files found anywhere: they are all that the index shall hold, sorted by source.

    documents: where they were found, as the index stores it. prepare: gives the batches of the files to be read.
    """
    began = time.monotonic()
    folder = _open_or_create(into, settings, embedder)
    with folder, folder.writer():
        index, known = Index(folder), folder.file_records()
        if not emptied:
            _refuse_another_folder(folder, documents, found, known)
        reports = dict(_removed(folder, found, known))
        changed, unchanged = _compare(folder, found, known, limits)
        reports.update((report.source, report) for report in unchanged)
        done, total = sum(f.size for f in found) - sum(f.size for f in changed), sum(f.size for f in found)
        tell = embedding or (lambda passages, done, total: None)
        embedded = 0
        tell(embedded, done, total)
        with prepare(folder, changed, known) as batches:
            for batch in batches:
                vectors = _vectors(embedder, batch, partial(_tell_share, tell, embedded, done, total, _size(batch)))
                embedded += len(vectors)
                for report, size in _write(index, batch, vectors, known):
                    reports[report.source] = report
                    done += size
                    if progress:
                        progress(report, done, total)
                tell(embedded, done, total)
        _store_run(folder, documents, limits)
        state = index.publish()
        erased = folder.erase_deleted()
        counts = folder.counts()
    return Report(
        tuple(reports[source] for source in sorted(reports)),
        state.generation,
        time.monotonic() - began,
        embedder.name,
        counts["documents"],
        counts["passages"],
        counts["languages"],
        erased,
    )


# -- deciding what to index --------------------------------------------------------------------------------------------


def embedder_name(into: Path, settings: IndexSettings | None) -> str:
    """The embedder to load: that of the existing index, else the requested one."""
    if not (into / DATABASE).is_file():
        return (settings or IndexSettings()).embedder
    with IndexFolder.open(into) as folder:
        kept = str(folder.model["name"])
        if settings is not None and settings.embedder not in (kept, folder.settings.embedder):
            raise IndexMismatch(
                f"The index in {into} holds vectors of {kept}; it cannot be continued with {settings.embedder}."
                " Leave --embedder out, or index into a new folder."
            )
        return kept


def _open_or_create(into: Path, settings: IndexSettings | None, embedder: Embedder) -> IndexFolder:
    if not (into / DATABASE).is_file():
        return IndexFolder.create(into, settings or IndexSettings(embedder=embedder.name), embedder.facts())
    folder = IndexFolder.open(into, writable=True)
    kept = folder.model
    if kept["fingerprint"] != embedder.fingerprint:
        folder.close()
        raise IndexMismatch(
            f"The index in {into} was made with another version of {kept['name']} than the one on this machine;"
            " its vectors cannot be mixed. Index into a new folder, or bring the old model back."
        )
    if settings is not None and settings.chunks != folder.settings.chunks:
        folder.close()
        raise IndexMismatch(
            f"The index in {into} was cut into passages of {folder.settings.chunks.tokens} tokens; index into a new"
            " folder to cut otherwise."
        )
    if settings is not None and settings.tiers != folder.settings.tiers:
        _change_tiers(folder, settings)
    return folder


def _change_tiers(folder: IndexFolder, settings: IndexSettings) -> None:
    """Store other tiers of vectors. Raises IndexMismatch between an index of token vectors and one of sentence vectors."""
    if "sentence" in (settings.tiers, folder.settings.tiers):
        folder.close()
        raise IndexMismatch(
            f"The index in {folder.path} holds vectors of {folder.model['name']}; index into a new folder to change to"
            " or from sentence vectors alone."
        )
    with folder.writer():
        if settings.tiers == "token":
            SentenceVectors(folder).drop()
        folder.change_settings(replace(folder.settings, tiers=settings.tiers))


def _refuse_another_folder(folder: IndexFolder, documents: str, found: Sequence[FoundFile], known: KnownFiles) -> None:
    """Raise IndexFolderError if none of the indexed files is found, so a wrong or unmounted folder empties no index."""
    if known and not any(file.source in known for file in found):
        raise IndexFolderError(
            f"None of the {len(known)} files in the index {folder.path} is in {documents} (wrong folder, or not"
            " mounted?); nothing was changed. Remove the index folder to begin again."
        )


def _removed(folder: IndexFolder, found: Sequence[FoundFile], known: KnownFiles) -> list[tuple[str, FileReport]]:
    """Delete the documents of files that are no longer in the folder."""
    here = {file.source for file in found}
    gone = sorted(source for source in known if source not in here)
    if gone:
        folder.write([], drop=gone)
    return [(source, FileReport(source, "removed")) for source in gone]


def _compare(
    folder: IndexFolder, found: Sequence[FoundFile], known: KnownFiles, limits: FileLimits
) -> tuple[list[FoundFile], list[FileReport]]:
    """The files to read, and reports on the others, whose size and modification time are unchanged."""
    same_limits = folder.fact_or("limits", None) == asdict(limits)
    changed: list[FoundFile] = []
    unchanged: list[FileReport] = []
    for file in found:
        record = known.get(file.source)
        same = record is not None and (record.size, record.mtime_ns) == (file.size, file.mtime_ns)
        settled = record is not None and file.mtime_ns + RACY_NS < record.seen_ns
        if record is None or not same or not settled or (record.reason and not same_limits):
            changed.append(file)
        else:
            status = "skipped" if record.reason else "unchanged"
            unchanged.append(FileReport(file.source, status, record.reason, record.notes))
    return changed, unchanged


def _store_run(folder: IndexFolder, documents: str, limits: FileLimits) -> None:
    facts = {"limits": asdict(limits), "documents": documents}
    if any(folder.fact_or(name, None) != value for name, value in facts.items()):
        folder.store_facts(facts)


# -- writing -----------------------------------------------------------------------------------------------------------


def _size(batch: Batch) -> int:
    return sum(read.file.size for read, _ in batch.files)


def _tell_share(tell: Embedding, embedded: int, done: int, total: int, size: int, passages: int, of: int) -> None:
    """Report `passages` out of `of` of a batch of `size` bytes."""
    tell(embedded + passages, done + size * passages // of, total)


def _vectors(embedder: Embedder, batch: Batch, tell: Callable[[int, int], None]) -> Matrix:
    """The vectors of a batch, computed in slices of about SLICE_S seconds unless they are there already."""
    if batch.vectors is not None:
        return batch.vectors
    texts = [chunk.text for _, part in batch.files for document in part for chunk in document.chunks]
    slices: list[Matrix] = []
    at, size = 0, FIRST_SLICE
    while at < len(texts) or not slices:
        began = time.monotonic()
        slices.append(embedder.passages(texts[at : at + size]))
        at += len(slices[-1])
        if texts:
            tell(at, len(texts))
        size = max(FIRST_SLICE, int(size * min(2.0, SLICE_S / max(time.monotonic() - began, SLICE_S / 4))))
    return np.concatenate(slices)


def _write(index: Index, batch: Batch, vectors: Matrix, known: KnownFiles) -> list[tuple[FileReport, int]]:
    """Write a batch in one transaction. The returned reports are of files on disk."""
    documents = [document for _, part in batch.files for document in part]
    generation = index.folder.write(
        _with_vectors(documents, vectors),
        files=[_record(read, known.get(read.file.source)) for read, _ in batch.files],
        drop=[read.file.source for read, _ in batch.files if not read.keep],
    )
    index.keep_written(generation, batch.words, vectors)
    return [(_file_report(read, part, known.get(read.file.source)), read.file.size) for read, part in batch.files]


def _with_vectors(documents: Sequence[NewDocument], vectors: Matrix) -> list[NewDocument]:
    result, at = [], 0
    for document in documents:
        part = vectors[at : at + len(document.chunks)]
        result.append(NewDocument(document.document, document.chunks, part, document.file))
        at += len(document.chunks)
    return result


def _record(read: ReadFile, before: FileRecord | None) -> FileRecord:
    notes = tuple(note for text in read.texts for note in text.notes)
    if read.keep and before is not None:
        return FileRecord(
            read.file.source, before.content_hash, read.file.size, read.file.mtime_ns, now_ns(), "", before.notes
        )
    return FileRecord(read.file.source, read.hash, read.file.size, read.file.mtime_ns, now_ns(), read.reason, notes)


def _file_report(read: ReadFile, documents: Sequence[NewDocument], before: FileRecord | None) -> FileReport:
    notes = tuple(note for text in read.texts for note in text.notes)
    if read.reason:
        kept = " (what was indexed of it before is kept)" if read.keep else ""
        return FileReport(read.file.source, "skipped", read.reason + kept)
    if read.keep:
        return FileReport(read.file.source, "unchanged", "", before.notes if before else ())
    status = "indexed" if before is None or before.reason else "updated"
    passages = sum(len(document.chunks) for document in documents)
    return FileReport(read.file.source, status, "", notes, len(documents), passages)
