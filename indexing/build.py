"""The whole way from a folder of documents to an index, once: read `build_index` first.

Incremental by content: a file that has not changed is neither read nor embedded again, one that is gone from the folder
goes from the index. Each batch of files is one transaction, so a run that is stopped, also by kill -9, goes on from the
last batch when it is started again. No file stops the run: each ends in the report, with the reason where it is skipped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from indexing.chunks import cut, page_of_chunk
from indexing.documents import Chunk, Document, content_hash, document_id
from indexing.embed import Embedder
from indexing.errors import IndexFolderError, IndexMismatch, UnreadableFile
from indexing.files import FileLimits, FileReader, FileText, FoundFile, find_files
from indexing.files import content_hash as file_hash
from indexing.folder import DATABASE, FileRecord, IndexFolder, NewDocument, now_ns
from indexing.index import Index
from indexing.language import detect
from indexing.models import builtin_tokenizer
from indexing.settings import ChunkSettings, IndexSettings

BATCH_PASSAGES = 1_024
BATCH_SECONDS = 3.0
RACY_NS = 2_000_000_000
CHUNK_LANGUAGE_CONFIDENCE = 0.9
CHUNK_LANGUAGE_LENGTH = 80

Progress = Callable[["FileReport", int, int], None]


@dataclass(frozen=True, slots=True)
class FileReport:
    """What became of one file. status: indexed, updated, unchanged, removed, skipped (then `reason` says why)."""

    source: str
    status: str
    reason: str = ""
    notes: tuple[str, ...] = ()
    documents: int = 0
    passages: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did: every file once, by source."""

    files: tuple[FileReport, ...]
    generation: int
    seconds: float
    embedder: str
    documents: int
    passages: int
    languages: dict[str, dict[str, int]]

    def count(self, status: str) -> int:
        return sum(file.status == status for file in self.files)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Read:
    """A file with its texts, or with the reason why it has none."""

    file: FoundFile
    hash: str
    texts: tuple[FileText, ...] = ()
    reason: str = ""
    keep: bool = False


def build_index(
    documents: Path,
    into: Path,
    settings: IndexSettings | None = None,
    *,
    limits: FileLimits | None = None,
    progress: Progress | None = None,
    embedder: Embedder | None = None,
) -> Report:
    """Index every readable file below `documents` into the folder `into`, or bring that index up to date.

    settings: for a new index; for an existing one they must agree with what is kept in it, None takes what is kept.
    progress: called after each file with its report, the bytes done and the bytes of all files.
    Raises SettingError, IndexFolderError and its kinds, ModelError and its kinds; never for a single bad file.
    """
    began = time.monotonic()
    found = list(find_files(documents))
    embedder = embedder or Embedder.load(_embedder_name(into, settings))
    folder = _open_or_create(into, settings, embedder)
    with folder, folder.writer():
        index = Index(folder)
        _refuse_another_folder(folder, documents, found)
        reports = dict(_removed(folder, found))
        changed, unchanged = _compare(folder, found, limits or FileLimits())
        reports.update((report.source, report) for report in unchanged)
        done, total = sum(f.size for f in found) - sum(f.size for f in changed), sum(f.size for f in found)
        with FileReader(limits or FileLimits()) as reader:
            for batch in _batches(_read(reader, changed, folder.file_records()), folder.settings.chunks):
                written = _write(folder, embedder, batch)
                index.refresh()
                for report, size in written:
                    reports[report.source] = report
                    done += size
                    if progress:
                        progress(report, done, total)
        _remember_run(folder, documents, limits or FileLimits())
        state = index.publish()
        counts = folder.counts()
    return Report(
        tuple(reports[source] for source in sorted(reports)), state.generation, time.monotonic() - began,
        embedder.name, counts["documents"], counts["passages"], counts["languages"],
    )  # fmt: skip


# -- what is to be done ------------------------------------------------------------------------------------------------


def _embedder_name(into: Path, settings: IndexSettings | None) -> str:
    """The embedder to load: the one an existing index was made with, else the one asked for."""
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
    return folder


def _refuse_another_folder(folder: IndexFolder, documents: Path, found: Sequence[FoundFile]) -> None:
    """A wrong or unmounted folder must not empty an index: some file must be known when the index has any."""
    known = folder.file_records()
    if known and not any(file.source in known for file in found):
        raise IndexFolderError(
            f"None of the {len(known)} files in the index {folder.path} is in {documents} (wrong folder, or not"
            " mounted?); nothing was changed. Remove the index folder to start anew."
        )


def _removed(folder: IndexFolder, found: Sequence[FoundFile]) -> list[tuple[str, FileReport]]:
    """Take out the documents of files that are gone from the folder."""
    here = {file.source for file in found}
    gone = sorted(source for source in folder.file_records() if source not in here)
    if gone:
        folder.write([], drop=gone)
    return [(source, FileReport(source, "removed")) for source in gone]


def _compare(
    folder: IndexFolder, found: Sequence[FoundFile], limits: FileLimits
) -> tuple[list[FoundFile], list[FileReport]]:
    """The files to read, and reports on those whose size and time say they are as they were."""
    known = folder.file_records()
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


def _remember_run(folder: IndexFolder, documents: Path, limits: FileLimits) -> None:
    facts = {"limits": asdict(limits), "documents": str(documents.absolute())}
    if any(folder.fact_or(name, None) != value for name, value in facts.items()):
        folder.remember(facts)


# -- from files to passages --------------------------------------------------------------------------------------------


def _read(reader: FileReader, files: Iterable[FoundFile], known: dict[str, FileRecord]) -> Iterator[_Read]:
    """Each file's texts, or the reason why it has none; a file touched but not changed is only remembered."""
    for file in files:
        record = known.get(file.source)
        try:
            texts, digest = reader.read(file)
        except UnreadableFile as error:
            digest, same = _hash_of(file, record)
            yield _Read(file, digest, reason=str(error), keep=same)
            continue
        if record is not None and record.content_hash == digest and not record.reason:
            yield _Read(file, digest, keep=True)
        else:
            yield _Read(file, digest, tuple(texts))


def _hash_of(file: FoundFile, record: FileRecord | None) -> tuple[str, bool]:
    """The hash of a file that could not be read as text, and whether what the index has of it is still its content."""
    try:
        digest = file_hash(file.path.read_bytes())
    except OSError:
        return "", record is not None and not record.reason
    return digest, record is not None and record.content_hash == digest and not record.reason


def _batches(reads: Iterable[_Read], settings: ChunkSettings) -> Iterator[list[tuple[_Read, list[NewDocument]]]]:
    """Files with their documents cut into chunks, in batches of about BATCH_PASSAGES passages or BATCH_SECONDS."""
    batch: list[tuple[_Read, list[NewDocument]]] = []
    passages, began = 0, time.monotonic()
    for read in reads:
        documents = [_cut(_document(read.file.source, text), read.file.source, settings) for text in read.texts]
        batch.append((read, documents))
        passages += sum(len(document.chunks) for document in documents)
        if passages >= BATCH_PASSAGES or time.monotonic() - began > BATCH_SECONDS:
            yield batch
            batch, passages, began = [], 0, time.monotonic()
    if batch:
        yield batch


def _document(file: str, text: FileText) -> Document:
    """A file's (or record's) text as a document, with its language."""
    source = f"{file}#{text.record}" if text.record else file
    return Document(
        id=document_id(source, text.text), source=source, content_hash=content_hash(text.text), text=text.text,
        language=detect(text.text).language, pages=text.pages, headings=text.headings, meta=dict(text.meta),
    )  # fmt: skip


def _cut(document: Document, file: str, settings: ChunkSettings) -> NewDocument:
    """The document with its chunks, each with its own page and language."""
    spans = cut(document.text, document.language, count_tokens, settings, document.pages, document.headings)
    chunks = tuple(
        Chunk(
            start, end, document.text[start:end], _chunk_language(document, start, end, len(spans)),
            page_of_chunk(document.pages, start),
        )
        for start, end in spans
    )  # fmt: skip
    return NewDocument(document, chunks, None, file)


def _chunk_language(document: Document, start: int, end: int, chunks: int) -> str:
    """The document's language, unless the chunk is long enough and clearly in another."""
    if chunks == 1 or end - start < CHUNK_LANGUAGE_LENGTH:
        return document.language
    found = detect(document.text[start:end])
    return found.language if found.confidence >= CHUNK_LANGUAGE_CONFIDENCE else document.language


def count_tokens(texts: Sequence[str]) -> list[int]:
    """How many tokens of the built-in tokenizer each text has, without special tokens."""
    return [len(encoding) for encoding in builtin_tokenizer().encode_batch_fast(list(texts), add_special_tokens=False)]


# -- into the store ----------------------------------------------------------------------------------------------------


def _write(
    folder: IndexFolder, embedder: Embedder, batch: Sequence[tuple[_Read, Sequence[NewDocument]]]
) -> list[tuple[FileReport, int]]:
    """Embed a batch and write it in one transaction. What is returned is on disk."""
    known = folder.file_records()
    documents = _embedded(embedder, [document for _, part in batch for document in part])
    folder.write(
        documents,
        files=[_record(read, known.get(read.file.source)) for read, _ in batch],
        drop=[read.file.source for read, _ in batch if not read.keep],
    )
    return [(_file_report(read, part, known.get(read.file.source)), read.file.size) for read, part in batch]


def _embedded(embedder: Embedder, documents: Sequence[NewDocument]) -> list[NewDocument]:
    vectors = embedder.passages([chunk.text for document in documents for chunk in document.chunks])
    result, at = [], 0
    for document in documents:
        part = vectors[at : at + len(document.chunks)]
        result.append(NewDocument(document.document, document.chunks, part, document.file))
        at += len(document.chunks)
    return result


def _record(read: _Read, before: FileRecord | None) -> FileRecord:
    notes = tuple(note for text in read.texts for note in text.notes)
    if read.keep and before is not None:
        return FileRecord(
            read.file.source, before.content_hash, read.file.size, read.file.mtime_ns, now_ns(), "", before.notes
        )
    return FileRecord(read.file.source, read.hash, read.file.size, read.file.mtime_ns, now_ns(), read.reason, notes)


def _file_report(read: _Read, documents: Sequence[NewDocument], before: FileRecord | None) -> FileReport:
    notes = tuple(note for text in read.texts for note in text.notes)
    if read.reason:
        kept = " (what was indexed of it before is kept)" if read.keep else ""
        return FileReport(read.file.source, "skipped", read.reason + kept)
    if read.keep:
        return FileReport(read.file.source, "unchanged", "", before.notes if before else ())
    status = "indexed" if before is None or before.reason else "updated"
    passages = sum(len(document.chunks) for document in documents)
    return FileReport(read.file.source, status, "", notes, len(documents), passages)
