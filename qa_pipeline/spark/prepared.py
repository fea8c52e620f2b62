"""Files prepared for an index on executors: bytes -> text -> passages -> vectors, as rows that the driver loads.

A row is a file, of the shape FILE; docs/explanation/spark.md describes it. Text, passages, search terms and vectors are
computed by the functions that `docqa index` uses, so the index is the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexing.arrays import Matrix
from indexing.documents import Chunk, Document
from indexing.errors import IndexMismatch, UnreadableFile
from indexing.files.file_text import FileLimits, FileText
from indexing.files.walk import FileReader, FoundFile, content_hash
from indexing.prepare import BATCH_CHARACTERS, Batch, ReadFile, cut_files
from indexing.settings import ChunkSettings
from indexing.store.bm25 import Segment
from indexing.store.corpus_db import NewDocument
from indexing.store.term_hashes import hashes
from qa_pipeline.spark.batches import take_share
from qa_pipeline.spark.rows import Values, arrow_type

if TYPE_CHECKING:
    from indexing.models.embedder import Embedder

PASSAGE: Values = {
    "start": "int",
    "end": "int",
    "language": "string",
    "page": "int",
    "terms": "binary",
    "vector": "binary",
    "tokens": "binary",
    "sentence_vector": "binary",
}
STORED = ("vector", "tokens", "sentence_vector")
DOCUMENT: Values = {
    "id": "string",
    "source": "string",
    "content_hash": "string",
    "text": "string",
    "language": "string",
    "pages": ["int"],
    "headings": [["int"]],
    "meta": "string",
    "passages": [PASSAGE],
}
FILE: Values = {
    "number": "long",
    "content_hash": "string",
    "reason": "string",
    "keep": "boolean",
    "notes": ["string"],
    "documents": [DOCUMENT],
}


@dataclass(frozen=True, slots=True)
class Model:
    """An embedder that the executors must have: by name, with the driver's fingerprint."""

    name: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class PrepareFiles:
    """Arrow batches with number, source, known (the hash that the index has) and content -> batches of the shape FILE.

    sentences: the embedder of the second tier; None for an index of one tier.
    """

    chunks: ChunkSettings
    limits: FileLimits
    vectors: Model
    sentences: Model | None

    def __call__(self, batches: Iterable[Any]) -> Iterator[Any]:
        import pyarrow as pa

        take_share()
        schema = pa.schema([(name, arrow_type(part)) for name, part in FILE.items()])
        with FileReader(self.limits) as reader:
            waiting: list[tuple[int, ReadFile]] = []
            for batch in batches:
                for row in batch.to_pylist():
                    waiting.append((row["number"], read_bytes(reader, row["content"], row["source"], row["known"])))
                    if sum(len(text.text) for _, read in waiting for text in read.texts) >= BATCH_CHARACTERS:
                        yield pa.RecordBatch.from_pylist(self._rows(waiting), schema=schema)
                        waiting = []
            if waiting:
                yield pa.RecordBatch.from_pylist(self._rows(waiting), schema=schema)

    def _rows(self, files: Sequence[tuple[int, ReadFile]]) -> list[Values]:
        cut = cut_files([read for _, read in files], self.chunks)
        texts = [chunk.text for _, part in cut for new in part for chunk in new.chunks]
        vectors, tokens = _vectors(self.vectors, texts)
        sentences = _vectors(self.sentences, texts)[0] if self.sentences else [None] * len(texts)
        stored = iter(zip(vectors, tokens, sentences, strict=True))
        return [
            {
                "number": number,
                "content_hash": read.hash,
                "reason": read.reason,
                "keep": read.keep,
                "notes": list(read.remarks()),
                "documents": [_document_row(new, stored) for new in part],
            }
            for (number, _), (read, part) in zip(files, cut, strict=True)
        ]


def read_bytes(reader: FileReader, data: bytes | None, source: str, known: str | None) -> ReadFile:
    """A file with its texts or the reason why it has none, as `prepare` reads it from disk.

    known: the hash of the content that the index holds for this file; None if it holds none.
    """
    data = data or b""
    digest = content_hash(data)
    file = FoundFile(Path(source), source, len(data), 0)
    try:
        texts = reader.parse(data, source)
    except UnreadableFile as error:
        keep = digest == known
        return ReadFile(file, digest if keep else "", reason=str(error), keep=keep)
    return ReadFile(file, digest, keep=True) if digest == known else ReadFile(file, digest, tuple(texts))


def _vectors(model: Model, texts: Sequence[str]) -> tuple[list[bytes], list[bytes] | list[None]]:
    """The vectors of passages, each as little-endian float32, and their tokens, packed; None each without token vectors."""
    if not texts:
        return [], []
    vectors, tokens = _embedder(model).passages_with_tokens(texts)
    return [vector.tobytes() for vector in np.ascontiguousarray(vectors, dtype="<f4")], tokens or [None] * len(texts)


@lru_cache(maxsize=2)
def _embedder(model: Model) -> Embedder:
    """The embedder of this process, loaded once. Raises IndexMismatch for another version than the driver's."""
    from indexing.models.embedder import Embedder

    found = Embedder.load(model.name)
    if found.fingerprint != model.fingerprint:
        raise IndexMismatch(f"An executor has another version of the embedder {model.name} than the driver.")
    return found


def _document_row(new: NewDocument, stored: Iterator[tuple[bytes, bytes | None, bytes | None]]) -> Values:
    """stored: vector, tokens and sentence vector of each passage, from which those of this document are taken."""
    document = new.document
    return {
        "id": document.id,
        "source": document.source,
        "content_hash": document.content_hash,
        "text": document.text,
        "language": document.language,
        "pages": list(document.pages),
        "headings": [list(heading) for heading in document.headings],
        "meta": json.dumps(dict(document.meta), ensure_ascii=False),
        "passages": [
            {
                "start": chunk.start,
                "end": chunk.end,
                "language": chunk.language,
                "page": chunk.page,
                "terms": np.asarray(hashes(chunk.text, chunk.language), dtype="<u8").tobytes(),
                **dict(zip(STORED, next(stored), strict=True)),
            }
            for chunk in new.chunks
        ],
    }


# -- on the driver -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LoadedBatch:
    """A batch to write, and the sentence vectors of its passages, float32 [n, d]; None for an index of one tier."""

    batch: Batch
    sentences: Matrix | None


def loaded_batches(rows: Iterable[Any], files: Sequence[FoundFile], dimension: int) -> Iterator[LoadedBatch]:
    """Batches of about BATCH_CHARACTERS characters from rows of the shape FILE, in their order.

    files: the file of each number. dimension: of the vectors.
    """
    waiting: list[Any] = []
    characters = 0
    for row in rows:
        waiting.append(row)
        characters += sum(len(document["text"]) for document in row["documents"])
        if characters >= BATCH_CHARACTERS:
            yield _loaded(waiting, files, dimension)
            waiting, characters = [], 0
    if waiting:
        yield _loaded(waiting, files, dimension)


def _loaded(rows: Sequence[Any], files: Sequence[FoundFile], dimension: int) -> LoadedBatch:
    read = [
        (_read(row, files[row["number"]]), [_new(one, files[row["number"]]) for one in row["documents"]]) for row in rows
    ]
    passages = [passage for row in rows for document in row["documents"] for passage in document["passages"]]
    columns = [np.frombuffer(passage["terms"], dtype="<u8").astype(np.uint64) for passage in passages]
    words = Segment.of_hashes(np.arange(len(passages)), columns, [passage["language"] for passage in passages])
    vectors = _matrix([passage["vector"] for passage in passages]).reshape(len(passages), dimension)
    tokens = [passage["tokens"] for passage in passages]
    deeper = [passage["sentence_vector"] for passage in passages]
    batch = Batch(read, words, vectors, () if None in tokens else [bytes(one) for one in tokens])
    return LoadedBatch(batch, None if not deeper or None in deeper else _matrix(deeper))


def _matrix(vectors: Sequence[bytes]) -> Matrix:
    matrix = np.frombuffer(b"".join(vectors), dtype="<f4").astype(np.float32)
    return matrix.reshape(len(vectors), -1) if vectors else matrix.reshape(0, 0)


def _read(row: Any, file: FoundFile) -> ReadFile:
    notes = tuple(row["notes"])
    return ReadFile(file, row["content_hash"], (FileText("", notes=notes),) if notes else (), row["reason"], row["keep"])


def _new(row: Any, file: FoundFile) -> NewDocument:
    text = row["text"]
    headings = tuple((start, end, level) for start, end, level in row["headings"])
    document = Document(
        row["id"],
        row["source"],
        row["content_hash"],
        text,
        row["language"],
        tuple(row["pages"]),
        headings,
        json.loads(row["meta"]),
    )
    chunks = tuple(
        Chunk(p["start"], p["end"], text[p["start"] : p["end"]], p["language"], p["page"]) for p in row["passages"]
    )
    return NewDocument(document, chunks, None, file.source)
