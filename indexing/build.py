"""Builds an index from a folder of documents. Read `build_index` first: it is the whole pipeline.

Indexing is incremental. An unchanged file is neither read nor embedded again, and a deleted file leaves the index. Each
batch of files is one transaction, so an interrupted run (even by kill -9) resumes after the last batch. No file stops a
run: the report lists every file, with the reason if it is skipped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from indexing.arrays import Matrix
from indexing.errors import IndexFolderError, IndexMismatch
from indexing.files.file_text import FileLimits
from indexing.files.walk import FoundFile, find_files
from indexing.files.walk import content_hash as file_hash
from indexing.models.embedder import Embedder
from indexing.prepare import Batch, ReadFile
from indexing.settings import IndexSettings
from indexing.store.corpus_db import FileRecord, IndexFolder, NewDocument, now_ns
from indexing.store.index import Index
from indexing.store.renames import counts_of_file, rename_files
from indexing.store.sentence_vectors import SentenceVectors
from indexing.store.sqlite import DATABASE
from indexing.workers import prefetch_batches

RACY_NS = 2_000_000_000
CLOCK_NS = 20_000_000
"""File times advance in steps of the kernel's clock, at most this long."""

KnownFiles = Mapping[str, FileRecord]
FIRST_SLICE = 64
SLICE_S = 1.0

Progress = Callable[["FileReport", int, int], None]
Embedding = Callable[[int, int, int], None]


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
    everything: bool = False,
    only: Collection[str] | None = None,
) -> Report:
    """Index every readable file below `documents` into the folder `into`, or bring that index up to date.

    settings: of a new index. For an existing index they must equal its stored settings; None uses those. Its tiers may
        change from `both` to `token`, which drops the sentence vectors, and back.
    progress: called after each file with its report, the bytes done and the bytes of all files.
    embedding: called with the passages embedded in this run, the bytes done and the bytes of all files: at the start, about
        once a second of embedding, and after each batch. A batch counts in proportion to its embedded passages.
    only: read these files (sources) alone, whether or not they changed, and remove none; None is all files.
    emptied: allow that none of the files known before is left; by default such a folder is refused.
    everything: read every file again and compare its content, also where size and times are those known.
    Raises SettingError, IndexFolderError and ModelError with their subclasses; never for a single bad file.
    """
    began = time.monotonic()
    found = [file for file in find_files(documents) if only is None or file.source in only]
    embedder = embedder or Embedder.load(_embedder_name(into, settings))
    folder = _open_or_create(into, settings, embedder)
    with folder, folder.writer():
        index = Index(folder)
        moved = {} if only is not None else {file.source: file for file in _moved(folder, found, limits or FileLimits())}
        known = folder.file_records()
        if not emptied and only is None:
            _refuse_another_folder(folder, documents, found, known)
        removed = dict(_removed(folder, found, known)) if only is None else {}
        reports = removed | moved
        here = [file for file in found if file.source not in moved]
        changed, unchanged = _compare(folder, here, known, limits or FileLimits(), everything)
        reports.update((report.source, report) for report in unchanged)
        done, total = sum(f.size for f in found) - sum(f.size for f in changed), sum(f.size for f in found)
        tell = embedding or (lambda passages, done, total: None)
        embedded = 0
        parts: dict[str, FileReport] = {}
        tell(embedded, done, total)
        static = getattr(embedder, "static", None)
        twins = {
            record.content_hash: source
            for source, record in sorted(known.items(), reverse=True)
            if not record.reason and source not in removed
        }
        with prefetch_batches(
            changed,
            known,
            limits or FileLimits(),
            folder.settings.chunks,
            None if static is None else embedder.passages_with_tokens,
            static,
        ) as batches:
            for prepared in batches:
                batch = _with_twins(prepared, twins)
                vectors = _vectors(embedder, batch, partial(_tell_share, tell, embedded, done, total, _size(batch)))
                embedded += len(vectors)
                for report, size, whole in _write(index, batch, vectors, known):
                    reports[report.source] = _sum(parts.pop(report.source, None), report)
                    done += size
                    if not whole:
                        parts[report.source] = reports[report.source]
                    elif progress:
                        progress(reports[report.source], done, total)
                tell(embedded, done, total)
        _store_run(folder, documents, limits or FileLimits())
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


def _embedder_name(into: Path, settings: IndexSettings | None) -> str:
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


def _refuse_another_folder(folder: IndexFolder, documents: Path, found: Sequence[FoundFile], known: KnownFiles) -> None:
    """Raise IndexFolderError if none of the indexed files is found, so a wrong or unmounted folder empties no index."""
    if known and not any(file.source in known for file in found):
        raise IndexFolderError(
            f"None of the {len(known)} files in the index {folder.path} is in {documents} (wrong folder, or not"
            " mounted?); nothing was changed. `docqa index --emptied` removes them and goes on."
        )


def _moved(folder: IndexFolder, found: Sequence[FoundFile], limits: FileLimits) -> list[FileReport]:
    """Rename the documents of files that have another place now, and report them; passages keep their vectors.

    A file has moved if it is new, an indexed one is gone, and both have the same content and the same ending.
    """
    known, here = folder.file_records(), {file.source for file in found}
    gone = [record for source, record in known.items() if source not in here and not record.reason and record.content_hash]
    sizes = {record.size for record in gone}
    by_content = {(record.content_hash, PurePosixPath(record.source).suffix.lower()): record for record in gone}
    moves: dict[str, FileRecord] = {}
    for file in found:
        if file.source in known or file.size not in sizes or file.size > limits.max_bytes:
            continue
        with suppress(OSError):
            key = (file_hash(file.path.read_bytes()), PurePosixPath(file.source).suffix.lower())
            if (before := by_content.pop(key, None)) is not None:
                moves[before.source] = replace(before, source=file.source, mtime_ns=file.mtime_ns, seen_ns=now_ns())
    if moves:
        rename_files(folder, moves)
    return [_move_report(folder, old, record) for old, record in moves.items()]


def _move_report(folder: IndexFolder, old: str, record: FileRecord) -> FileReport:
    documents, passages = counts_of_file(folder, record.source)
    return FileReport(record.source, "updated", "", (*record.notes, f"moved from {old}"), documents, passages)


def _removed(folder: IndexFolder, found: Sequence[FoundFile], known: KnownFiles) -> list[tuple[str, FileReport]]:
    """Delete the documents of files that are no longer in the folder."""
    here = {file.source for file in found}
    gone = sorted(source for source in known if source not in here)
    if gone:
        folder.write([], drop=gone)
    return [(source, FileReport(source, "removed")) for source in gone]


def _compare(
    folder: IndexFolder, found: Sequence[FoundFile], known: KnownFiles, limits: FileLimits, everything: bool
) -> tuple[list[FoundFile], list[FileReport]]:
    """The files to read, and reports on the others, which have kept size and time and were not touched since."""
    same_limits = folder.fact_or("limits", None) == asdict(limits)
    changed: list[FoundFile] = []
    unchanged: list[FileReport] = []
    for file in found:
        record = known.get(file.source)
        same = record is not None and (record.size, record.mtime_ns) == (file.size, file.mtime_ns)
        settled = record is not None and max(file.mtime_ns + RACY_NS, file.ctime_ns + CLOCK_NS) < record.seen_ns
        if everything or record is None or not same or not settled or (record.reason and not same_limits):
            changed.append(file)
        else:
            status = "skipped" if record.reason else "unchanged"
            unchanged.append(FileReport(file.source, status, record.reason, record.notes))
    return changed, unchanged


def _store_run(folder: IndexFolder, documents: Path, limits: FileLimits) -> None:
    facts = {"limits": asdict(limits), "documents": str(documents.absolute())}
    if any(folder.fact_or(name, None) != value for name, value in facts.items()):
        folder.store_facts(facts)


# -- writing -----------------------------------------------------------------------------------------------------------


def _with_twins(batch: Batch, twins: dict[str, str]) -> Batch:
    """Note on each file with the content of another one. twins: the first file of each content; files are added to it."""
    files = []
    for read, documents in batch.files:
        source = read.file.source
        twin = twins.setdefault(read.hash, source) if read.texts else source
        if twin != source:
            first = replace(read.texts[0], notes=(*read.texts[0].notes, f"the same content as {twin}"))
            read = replace(read, texts=(first, *read.texts[1:]))
        files.append((read, documents))
    return Batch(files, batch.words, batch.vectors)


def _size(batch: Batch) -> int:
    return sum(read.progress() for read, _ in batch.files)


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


def _write(index: Index, batch: Batch, vectors: Matrix, known: KnownFiles) -> list[tuple[FileReport, int, bool]]:
    """Write a batch in one transaction. Returns (report, bytes, whether the file is done) of what is on disk now."""
    documents = [document for _, part in batch.files for document in part]
    generation = index.folder.write(
        _with_vectors(documents, vectors, batch.tokens),
        files=[_record(read, known.get(read.file.source)) for read, _ in batch.files],
        drop=[read.file.source for read, _ in batch.files if not read.keep and not read.begun],
    )
    index.keep_written(generation, batch.words, vectors)
    return [
        (_file_report(read, part, known.get(read.file.source)), read.progress(), read.done) for read, part in batch.files
    ]


def _with_vectors(documents: Sequence[NewDocument], vectors: Matrix, tokens: Sequence[bytes]) -> list[NewDocument]:
    result, at = [], 0
    for document in documents:
        end = at + len(document.chunks)
        part, mine = vectors[at:end], tuple(tokens[at:end])
        result.append(NewDocument(document.document, document.chunks, part, document.file, tokens=mine))
        at = end
    return result


def _record(read: ReadFile, before: FileRecord | None) -> FileRecord:
    file = read.file
    if read.keep and before is not None:
        return FileRecord(file.source, before.content_hash, file.size, file.mtime_ns, now_ns(), "", before.notes)
    if not read.done:  # No file has this time, so the next run goes on if this one ends here.
        return FileRecord(file.source, read.hash, read.size, 0, now_ns(), "", read.remarks())
    return FileRecord(file.source, read.hash, file.size, file.mtime_ns, now_ns(), read.reason, read.remarks())


def _sum(before: FileReport | None, report: FileReport) -> FileReport:
    """The report of a file with that of its earlier parts."""
    if before is None:
        return report
    documents, passages = before.documents + report.documents, before.passages + report.passages
    return replace(report, status=before.status, documents=documents, passages=passages)


def _file_report(read: ReadFile, documents: Sequence[NewDocument], before: FileRecord | None) -> FileReport:
    notes = read.remarks()
    if read.reason:
        kept = " (what was indexed of it before is kept)" if read.keep else ""
        return FileReport(read.file.source, "skipped", read.reason + kept)
    if read.keep:
        return FileReport(read.file.source, "unchanged", "", before.notes if before else ())
    status = "indexed" if before is None or before.reason else "updated"
    passages = sum(len(document.chunks) for document in documents)
    return FileReport(read.file.source, status, "", notes, len(documents), passages)
