"""Turns files into batches of documents with language, passages and search terms: all work before the database write."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from indexing.arrays import Matrix
from indexing.documents import Chunk, Document, content_hash, document_id
from indexing.errors import RefusedFile, UnreadableFile
from indexing.files.file_text import FileText
from indexing.files.walk import FileReader, FoundFile, file_hash
from indexing.models.word_tokenizer import count_tokens
from indexing.settings import ChunkSettings
from indexing.store.bm25 import Segment
from indexing.store.corpus_db import FileRecord, NewDocument
from indexing.store.term_hashes import hashes
from indexing.text.chunks import cut
from indexing.text.language_id import UNKNOWN, detect_all

BATCH_CHARACTERS = 400_000
BATCH_SECONDS = 3.0
CHUNK_LANGUAGE_CONFIDENCE = 0.9
CHUNK_LANGUAGE_LENGTH = 80
GLANCE = 100
GLANCED_CHARACTERS, PROSE_LETTERS = 1_000, 200


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file with its texts, or the reason why it has none. keep: the index keeps its current content for this file.

    A mailbox comes in parts. size: the bytes of it that are read so far, whose hash is `hash`; share: those of this part.
    begun: earlier parts stay in the index; done: no part follows. With a reason, reading ended behind those parts.
    again: the next run reads the file, also if it has not changed by then.
    unread: pages to recognise first; such a file is read again (`indexing.scans`), and not written before.
    """

    file: FoundFile
    hash: str
    texts: tuple[FileText, ...] = ()
    reason: str = ""
    keep: bool = False
    size: int = -1
    share: int = -1
    begun: bool = False
    done: bool = True
    notes: tuple[str, ...] = ()
    again: bool = False
    unread: int = 0

    def remarks(self) -> tuple[str, ...]:
        """The remarks on the whole file and on its texts."""
        return (*self.notes, *(note for text in self.texts for note in text.notes))

    def progress(self) -> int:
        """The bytes of the file that are done with this part."""
        return self.file.size if self.share < 0 else self.share


Embed = Callable[[Sequence[str]], tuple[Matrix, list[bytes]]]
"""Computes the vectors of passages, float32 [n, d], and their tokens, packed as they are stored."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Parsed files with their chunked documents, and the search terms and vectors of all passages, in passage order.

    words: search terms as a BM25 segment, with passages numbered from 0.
    vectors: float32 [passages, d]; None if not embedded yet. tokens: as in `NewDocument`, of all passages.
    """

    files: list[tuple[ReadFile, list[NewDocument]]]
    words: Segment
    vectors: Matrix | None = None
    tokens: Sequence[bytes] = ()


def prepare_batches(
    reader: FileReader,
    files: Iterable[FoundFile],
    known: Mapping[str, FileRecord],
    settings: ChunkSettings,
    embed: Embed | None = None,
) -> Iterator[Batch]:
    """Read, chunk and analyse files, in batches of about BATCH_CHARACTERS characters or BATCH_SECONDS seconds.

    embed: computes the passages' vectors and tokens; None leaves embedding to the caller.
    """
    yield from batches_of(read_files(reader, files, known), settings, embed)


def batches_of(reads: Iterable[ReadFile], settings: ChunkSettings, embed: Embed | None = None) -> Iterator[Batch]:
    """Chunk and analyse files that are read, in batches as `prepare_batches`."""
    batch: list[ReadFile] = []
    characters, began = 0, time.monotonic()
    for read in reads:
        batch.append(read)
        characters += sum(len(text.text) for text in read.texts)
        if characters >= BATCH_CHARACTERS or time.monotonic() - began > BATCH_SECONDS:
            yield _batch(batch, settings, embed)
            batch, characters, began = [], 0, time.monotonic()
    if batch:
        yield _batch(batch, settings, embed)


def read_files(reader: FileReader, files: Iterable[FoundFile], known: Mapping[str, FileRecord]) -> Iterator[ReadFile]:
    """The texts of each file, or the reason why it has none; keep=True for files with new times but the same content."""
    for file in files:
        record = known.get(file.source)
        if reader.is_mailbox(file):
            yield from _read_mailbox(reader, file, record)
        else:
            yield read_file(reader, file, record)


def read_file(reader: FileReader, file: FoundFile, record: FileRecord | None) -> ReadFile:
    """The texts of a file, or the reason why it has none. record: what the index has of it."""
    try:
        texts, digest = reader.read(file)
    except UnreadableFile as error:
        digest, same = _hash_of(file, record)
        return ReadFile(file, digest, reason=str(error), keep=same, again=isinstance(error, RefusedFile))
    if record is not None and record.content_hash == digest and not record.reason:
        return ReadFile(file, digest, keep=True)
    if unread := sum(len(text.unread) for text in texts):
        return ReadFile(file, digest, unread=unread)
    return ReadFile(file, digest, tuple(texts))


def _read_mailbox(reader: FileReader, file: FoundFile, record: FileRecord | None) -> Iterator[ReadFile]:
    """The messages of a mailbox in parts. What the index holds of its beginning is not read again."""
    known = (record.size, record.content_hash) if record is not None and not record.reason else (0, "")
    before, digest, written = known[0], "", False
    try:
        for part in reader.read_mailbox(file, known, record.notes if record else ()):
            if part.last and part.begun and not part.texts and part.size == known[0]:
                yield ReadFile(file, part.digest, keep=True)
                return
            before = before if part.begun else 0
            yield ReadFile(
                file,
                part.digest,
                part.texts,
                size=part.size if not part.last else -1,
                share=part.size - before if not part.last else max(0, file.size - before),
                begun=part.begun,
                done=part.last,
                notes=part.notes,
            )
            before, digest, written = part.size, part.digest, True
    except UnreadableFile as error:
        keep = written or (record is not None and not record.reason)
        again = isinstance(error, RefusedFile)
        yield ReadFile(file, digest, reason=str(error), keep=keep, size=before, begun=written, again=again)


def _hash_of(file: FoundFile, record: FileRecord | None) -> tuple[str, bool]:
    """The hash of a file without readable text, and whether the index still holds the text of that content.

    A file of which the index holds no text, or text of another size, is not read for it: it may be a disk image.
    """
    if record is None or record.reason:
        return "", False
    try:
        digest = file_hash(file.path) if record.size == file.size else ""
    except OSError:
        return "", True
    return digest, digest == record.content_hash


# -- from texts to passages --------------------------------------------------------------------------------------------


def _batch(read: Sequence[ReadFile], settings: ChunkSettings, embed: Embed | None) -> Batch:
    """Chunk the files and compute the search terms of the passages; with `embed`, also their vectors."""
    files = cut_files(read, settings)
    chunks = [chunk for _, part in files for new in part for chunk in new.chunks]
    columns = [hashes(chunk.text, chunk.language) for chunk in chunks]
    words = Segment.of_hashes(np.arange(len(chunks)), columns, [chunk.language for chunk in chunks])
    vectors, tokens = (None, ()) if embed is None else embed([chunk.text for chunk in chunks])
    return Batch(files, words, vectors, tokens)


def cut_files(batch: Sequence[ReadFile], settings: ChunkSettings) -> list[tuple[ReadFile, list[NewDocument]]]:
    """Turn every text of the batch into a document with passages. One call counts the tokens of all sentences."""
    documents = _documents(batch)
    made = iter(passages_of([document for part in documents for document in part], settings))
    return [
        (
            _with_remark(read, part),
            [
                NewDocument(document, next(made), None, read.file.source, recognised=text.recognised)
                for document, text in zip(part, read.texts, strict=True)
            ],
        )
        for read, part in zip(batch, documents, strict=True)
    ]


def _with_remark(read: ReadFile, documents: Sequence[Document]) -> ReadFile:
    """The file, with a remark if the language of a text is not known. Messages of a mailbox are too short to say it."""
    unknown = sum(document.language == UNKNOWN and _is_prose(document.text) for document in documents)
    if not unknown or read.share >= 0:
        return read
    many = f" of {unknown:,} of {len(documents):,} texts in it" if len(documents) > 1 else ""
    return replace(read, notes=(*read.notes, f"language{many} not known: found by its words alone"))


def _is_prose(text: str) -> bool:
    """Whether a third of a text's begin is letters (others may be vowel signs), and enough of them to tell a language."""
    letters = sum(map(str.isalpha, text[:GLANCED_CHARACTERS]))
    return letters >= PROSE_LETTERS and 3 * letters > len(text[:GLANCED_CHARACTERS])


def passages_of(documents: Sequence[Document], settings: ChunkSettings) -> list[tuple[Chunk, ...]]:
    """The passages of each document, with their languages and pages."""
    spans = cut(documents, count_tokens, settings)
    languages = iter(_chunk_languages(documents, spans))
    return [_chunks(document, places, languages) for document, places in zip(documents, spans, strict=True)]


def _documents(batch: Sequence[ReadFile]) -> list[list[Document]]:
    """The texts of each file as documents, with detected languages."""
    found = iter(detect_all([text.text for read in batch for text in read.texts]))
    return [[_document(read.file.source, text, next(found).language) for text in read.texts] for read in batch]


def _document(file: str, text: FileText, language: str) -> Document:
    """The text of a file or record as a document."""
    place = f"{file}/{text.member}" if text.member else file
    source = f"{place}#{text.record}" if text.record else place
    return Document(
        id=document_id(source, text.text),
        source=source,
        content_hash=content_hash(text.text),
        text=text.text,
        language=language,
        pages=text.pages,
        headings=text.headings,
        meta=dict(text.meta),
    )


def _chunks(document: Document, spans: Sequence[tuple[int, int]], languages: Iterator[str]) -> tuple[Chunk, ...]:
    """The chunks of a document, each with its page and language."""
    return tuple(Chunk(a, b, document.text[a:b], next(languages), document.page_of(a)) for a, b in spans)


def _chunk_languages(documents: Sequence[Document], spans: Sequence[Sequence[tuple[int, int]]]) -> list[str]:
    """The language of every chunk: its document's, unless the chunk is long and clearly in another language.

    A check of GLANCE characters from the middle comes first. Only where it disagrees is the whole chunk classified.
    """
    texts = [
        (document, document.text[a:b] if len(places) > 1 and b - a >= CHUNK_LANGUAGE_LENGTH else "")
        for document, places in zip(documents, spans, strict=True)
        for a, b in places
    ]
    languages = [document.language for document, _ in texts]
    glanced = [at for at, (_, text) in enumerate(texts) if len(text) > GLANCE]
    glances = detect_all([_middle(texts[at][1]) for at in glanced])
    agreed = {at for at, found in zip(glanced, glances, strict=True) if found.language == languages[at]}
    judged = [at for at, (_, text) in enumerate(texts) if text and at not in agreed]
    for at, found in zip(judged, detect_all([texts[at][1] for at in judged]), strict=True):
        if found.confidence >= CHUNK_LANGUAGE_CONFIDENCE:
            languages[at] = found.language
    return languages


def _middle(text: str) -> str:
    begin = (len(text) - GLANCE) // 2
    return text[begin : begin + GLANCE]
