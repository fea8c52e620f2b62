"""Builds an index from a folder of documents. Read `build_index` first: it is the whole pipeline.

Indexing is incremental. An unchanged file is neither read nor embedded again, and a deleted file leaves the index. Each
batch of files is one transaction, so an interrupted run (even by kill -9) resumes after the last batch. No file stops a
run: the report lists every file, with the reason if it is skipped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np

from indexing.arrays import Matrix
from indexing.changed_files import (
    KnownFiles,
    files_to_read,
    refuse_another_folder,
    remove_gone,
    rename_moved,
    scans_to_read,
)
from indexing.errors import IndexMismatch
from indexing.files.file_text import FileLimits
from indexing.files.recognition import OcrPlan, plan_here
from indexing.files.walk import FoundFile, find_files
from indexing.models.embedder import Embedder
from indexing.ocr.page_cache import FOLDER as PAGES
from indexing.ocr.page_cache import clear_pages
from indexing.ocr.settings import OcrSettings
from indexing.prepare import Batch, ReadFile
from indexing.report import FileReport, Report
from indexing.scans import ScanRun, Tell
from indexing.settings import IndexSettings
from indexing.store.corpus_db import FileRecord, IndexFolder, NewDocument, now_ns
from indexing.store.index import Index
from indexing.store.sentence_vectors import SentenceVectors, second_tier
from indexing.store.sqlite import DATABASE
from indexing.workers import prefetch_batches

FIRST_SLICE = 64
SLICE_S = 1.0

Progress = Callable[[FileReport, int, int], None]
Embedding = Callable[[int, int, int], None]
Prepared = AbstractContextManager[Iterator[Batch]]
Prepare = Callable[[IndexFolder, Sequence[FoundFile], KnownFiles], Prepared]
"""Called with the index, the files to read and the known files; gives their batches, each written before the next."""


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
    ocr: OcrSettings | None = None,
    recognising: Tell | None = None,
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
    ocr: how text in pictures is recognised; None recognises it where an engine is installed.
    recognising: called before the first page is recognised, and about twice a second then.
    Raises SettingError, IndexFolderError and ModelError with their subclasses; never for a single bad file.
    """
    limits, found = limits or FileLimits(), list(find_files(documents))
    embedder = embedder or Embedder.load(embedder_name(into, settings))
    static = getattr(embedder, "static", None)
    plan = plan_here(ocr)
    scans = ScanRun(plan, into / PAGES, recognising)
    embed = None if static is None else embedder.passages_with_tokens

    def prepare(folder: IndexFolder, changed: Sequence[FoundFile], known: KnownFiles) -> Prepared:
        chosen = replace(limits, hidden_text=folder.settings.hidden_text)
        return prefetch_batches(changed, known, chosen, folder.settings.chunks, embed, static, scans)

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
        everything=everything,
        only=only,
        ocr=plan,
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
    everything: bool = False,
    only: Collection[str] | None = None,
    ocr: OcrPlan | None = None,
) -> Report:
    """As `build_index`, for files found anywhere: they are all that the index shall hold, sorted by source.

    documents: where they were found, as the index stores it. prepare: gives the batches of the files to be read.
    """
    began = time.monotonic()
    found = [file for file in found if only is None or file.source in only]
    folder = _open_or_create(into, settings, embedder)
    limits = replace(limits, hidden_text=folder.settings.hidden_text)
    with folder, folder.writer():
        folder.add_filter_indexes()
        index = Index(folder)
        moved = {} if only is not None else {file.source: file for file in rename_moved(folder, found)}
        known = folder.file_records()
        if not emptied and only is None:
            refuse_another_folder(folder, documents, found, known)
        removed = dict(remove_gone(folder, found, known)) if only is None else {}
        reports = removed | moved
        here = [file for file in found if file.source not in moved]
        again = scans_to_read(folder, known, ocr)
        known |= again
        changed, unchanged = files_to_read(folder, here, known, limits, everything, again)
        twins = _twins_of(known, {*removed, *(file.source for file in changed)})
        for report in (*moved.values(), *unchanged):
            reports[report.source] = _with_twin(report, known[report.source].content_hash, twins)
        done, total = sum(f.size for f in found) - sum(f.size for f in changed), sum(f.size for f in found)
        tell = embedding or (lambda passages, done, total: None)
        embedded = 0
        parts: dict[str, FileReport] = {}
        tell(embedded, done, total)
        with prepare(folder, changed, known) as batches:
            for batch in batches:
                vectors = _vectors(embedder, batch, partial(_tell_share, tell, embedded, done, total, _size(batch)))
                embedded += len(vectors)
                for (read, _), part in zip(batch.files, _write(index, batch, vectors, known), strict=True):
                    report = _sum(parts.pop(part.source, None), part)
                    done += read.progress()
                    if not read.done:
                        parts[report.source] = report
                        continue
                    reports[report.source] = _with_twin(report, read.hash, twins)
                    if progress:
                        progress(reports[report.source], done, total)
                tell(embedded, done, total)
        _store_run(folder, documents, limits, ocr)
        deepened_next = bool(second_tier(folder) and index.sentences.missing(1))
        state = index.publish(words_later=deepened_next)
        erased = folder.erase_deleted()
        erased = clear_pages(into / PAGES) and erased
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
    if settings is not None and settings.hidden_text != folder.settings.hidden_text:
        read = "holds" if folder.settings.hidden_text else "is without"
        folder.close()
        raise IndexMismatch(
            f"The index in {into} {read} hidden and struck-out text; index into a new folder to change that."
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


def _store_run(folder: IndexFolder, documents: str, limits: FileLimits, ocr: OcrPlan | None) -> None:
    facts = {"limits": asdict(limits), "documents": documents}
    if ocr is not None and ocr.active:
        facts["ocr"] = ocr.key
    if any(folder.fact_or(name, None) != value for name, value in facts.items()):
        folder.store_facts(facts)


# -- writing -----------------------------------------------------------------------------------------------------------


def _twins_of(known: KnownFiles, but: Collection[str]) -> dict[str, str]:
    """The first file (source) of each content that the index holds, by its hash; without the files in `but`."""
    kept = {source: record for source, record in known.items() if not record.reason and source not in but}
    return {kept[source].content_hash: source for source in sorted(kept, reverse=True)}


def _with_twin(report: FileReport, content_hash: str, twins: dict[str, str]) -> FileReport:
    """The report of a file that is in the index, with a note if an earlier one has its content. Its content joins `twins`.

    The note is not stored: it ends when the other file changes or goes.
    """
    twin = report.source if report.status == "skipped" else twins.setdefault(content_hash, report.source)
    return report if twin == report.source else replace(report, notes=(*report.notes, f"the same content as {twin}"))


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


def _write(index: Index, batch: Batch, vectors: Matrix, known: KnownFiles) -> list[FileReport]:
    """Write a batch in one transaction. Returns the reports on its files, which are on disk now."""
    documents = [document for _, part in batch.files for document in part]
    generation = index.folder.write(
        _with_vectors(documents, vectors, batch.tokens),
        files=[_record(read, known.get(read.file.source)) for read, _ in batch.files],
        drop=[read.file.source for read, _ in batch.files if not read.keep and not read.begun],
    )
    index.keep_written(generation, batch.words)
    return [_file_report(read, part, known.get(read.file.source)) for read, part in batch.files]


def _with_vectors(documents: Sequence[NewDocument], vectors: Matrix, tokens: Sequence[bytes]) -> list[NewDocument]:
    result, at = [], 0
    for document in documents:
        end = at + len(document.chunks)
        part, mine = vectors[at:end], tuple(tokens[at:end])
        result.append(replace(document, vectors=part, tokens=mine))
        at = end
    return result


def _record(read: ReadFile, before: FileRecord | None) -> FileRecord:
    file = read.file
    if not read.done or (read.reason and read.begun):  # No file has this time, so the next run goes on from here.
        return FileRecord(file.source, read.hash, read.size, 0, now_ns(), "", read.remarks())
    mtime_ns = 0 if read.again else file.mtime_ns
    if read.keep and before is not None:
        return FileRecord(file.source, before.content_hash, file.size, mtime_ns, now_ns(), "", before.notes)
    return FileRecord(file.source, read.hash, file.size, mtime_ns, now_ns(), read.reason, read.remarks())


def _sum(before: FileReport | None, report: FileReport) -> FileReport:
    """The report of a file with that of its earlier parts."""
    if before is None or report.status == "skipped":
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
