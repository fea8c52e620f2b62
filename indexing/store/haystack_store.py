"""The index folder as a Haystack 1.x document store.

A Haystack document is one docqa chunk. `write_documents` stores each as a document with one chunk. Filters follow
Haystack's notation and are resolved in SQL before the search (see `filters`). Ids are the caller's. Vectors have unit
length and are compared by cosine. A folder has one corpus, so any other name for `index` raises SettingError.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

import numpy as np
from haystack import Document as HaystackDocument
from haystack import Label
from haystack.document_stores import KeywordDocumentStore
from haystack.errors import DuplicateDocumentError
from scipy.special import expit

from indexing.documents import Chunk, Document, content_hash
from indexing.errors import FilterError, SettingError
from indexing.models.embedder import unit
from indexing.settings import IndexSettings
from indexing.store.corpus_db import IndexFolder, NewDocument, StoredChunk
from indexing.store.filters import Filter, where
from indexing.store.index import Index
from indexing.store.sqlite import DATABASE
from indexing.text.language_id import detect, detect_question

logger = logging.getLogger(__name__)

WRITTEN = "haystack:"
BM25_SCALE = 8.0


class DocqaDocumentStore(KeywordDocumentStore):
    """A Haystack document store over an index folder. Errors are docqa's own, one sentence each."""

    def __init__(self, path: str, embedding_dim: int = 384, similarity: str = "cosine") -> None:
        """Open the folder at `path`, or create an index there for vectors of `embedding_dim` dimensions."""
        super().__init__()
        if similarity not in ("cosine", "dot_product"):
            raise SettingError(f"similarity is {similarity!r}; vectors of unit length know cosine and dot_product.")
        self.similarity = similarity
        self.index = "document"
        self.label_index = "label"
        self.duplicate_documents = "overwrite"
        folder = Path(path)
        if not (folder / DATABASE).is_file():
            model = {"name": "external", "fingerprint": "external", "dimension": int(embedding_dim)}
            IndexFolder.create(folder, IndexSettings(embedder="external"), model).close()
        self._opened = Index.open(folder, writable=True)
        self.embedding_dim = int(self._folder.model["dimension"])

    @property
    def _folder(self) -> IndexFolder:
        return self._opened.folder

    def close(self) -> None:
        self._opened.close()

    def publish(self) -> None:
        """Write the derived files now, so that the next opening does not have to rebuild their content."""
        with self._folder.writer(wait=30.0):
            self._opened.publish()

    # -- writing ---------------------------------------------------------------------------------------------------

    def write_documents(  # type: ignore[override]
        self,
        documents: Sequence[dict[str, Any] | HaystackDocument],
        index: str | None = None,
        batch_size: int = 10_000,
        duplicate_documents: str | None = None,
        headers: Any = None,
    ) -> None:
        """Write all documents in one transaction. duplicate_documents: overwrite (default), skip or fail, by id."""
        self._only_index(index)
        policy = duplicate_documents or self.duplicate_documents
        if policy not in self.duplicate_documents_options:
            raise SettingError(f"duplicate_documents is {policy!r}; use skip, overwrite or fail.")
        given: dict[str, HaystackDocument] = {}
        for item in documents:
            document = HaystackDocument.from_dict(item, field_map={}) if isinstance(item, dict) else item
            if policy == "fail" and document.id in given:
                raise DuplicateDocumentError(f"The id {document.id!r} is given twice.")
            if policy != "skip" or document.id not in given:
                given[document.id] = document
        new = [self._new(document) for document in given.values() if _text(document)]
        with self._folder.writer(wait=30.0):
            known = self._known([document.document.id for document in new])
            if policy == "fail" and known:
                raise DuplicateDocumentError(f"Documents with these ids are already there: {', '.join(sorted(known)[:5])}.")
            kept = [item for item in new if item.document.id not in known] if policy == "skip" else new
            self._folder.write(kept, drop=[item.file for item in kept])

    def _new(self, document: HaystackDocument) -> NewDocument:
        """Convert a Haystack document to a document with a single chunk."""
        text, meta = _text(document), dict(document.meta or {})
        try:
            f"{document.id}{text}{json.dumps(meta, ensure_ascii=False)}".encode()
        except UnicodeEncodeError as error:
            raise SettingError(f"Document {document.id!r} holds half of a character (a lone surrogate).") from error
        except (TypeError, ValueError) as error:
            raise SettingError(f"The meta of document {document.id!r} is not plain data ({error}).") from error
        given = meta.get("language")
        language = given if isinstance(given, str) else detect(text).language
        vectors = None if document.embedding is None else self._unit([document.embedding])
        file = f"{WRITTEN}{document.id}"
        return NewDocument(
            Document(document.id, file, content_hash(text), text, language, meta=meta),
            (Chunk(0, len(text), text, language),),
            vectors,
            file,
            (document.id,),
        )

    def _unit(self, vectors: Sequence[Any]) -> Any:
        matrix = np.asarray(vectors, dtype=np.float32)
        if matrix.ndim != 2 or matrix.shape[1] != self.embedding_dim:
            raise SettingError(
                f"An embedding has shape {matrix.shape[1:]}; this index holds vectors of {self.embedding_dim} numbers."
            )
        return unit(matrix)

    def _known(self, ids: Sequence[str]) -> set[str]:
        sql = "SELECT key FROM chunks WHERE key IN (SELECT value FROM json_each(?))"
        return {row[0] for row in self._folder.connection().execute(sql, (json.dumps(list(ids)),))}

    def update_embeddings(
        self,
        retriever: Any,
        index: str | None = None,
        filters: Filter | None = None,
        update_existing_embeddings: bool = True,
        batch_size: int = 10_000,
        headers: Any = None,
    ) -> None:
        """Embed the documents with a Haystack retriever, batch by batch; each batch is one transaction."""
        self._only_index(index)
        if batch_size < 1:
            raise SettingError("batch_size must be 1 or more.")
        keys = [chunk.key for chunk in self._chunks(filters)]
        if not update_existing_embeddings:
            rows = self._folder.connection().execute("SELECT key FROM chunks WHERE vector IS NULL")
            missing = {row[0] for row in rows}
            keys = [key for key in keys if key in missing]
        with self._folder.writer(wait=30.0):
            for at in range(0, len(keys), batch_size):
                part = self.get_documents_by_id(keys[at : at + batch_size])
                vectors = self._unit(list(retriever.embed_documents(part)))
                self._folder.replace_vectors([document.id for document in part], vectors)

    def update_document_meta(self, id: str, meta: dict[str, Any], index: str | None = None) -> None:
        """Replace the meta of a document that was written by this store."""
        self._only_index(index)
        document = self.get_document_by_id(id, return_embedding=True)
        if document is None:
            raise SettingError(f"There is no document {id!r}.")
        document.meta = meta
        self.write_documents([document], duplicate_documents="overwrite")

    def delete_documents(
        self,
        index: str | None = None,
        ids: list[str] | None = None,
        filters: Filter | None = None,
        headers: Any = None,
    ) -> None:
        """Delete by ids, by a filter, or the `ids` that match the filter. With neither, delete everything.

        An empty filter is refused, since "{}" is more often a mistake than a request to delete everything.
        """
        self._only_index(index)
        if filters is not None and not filters:
            raise FilterError("An empty filter would delete every document; leave filters out if that is meant.")
        keys = [chunk.key for chunk in self._chunks(filters)]
        if ids is not None:
            wanted = set(ids)
            keys = [key for key in keys if key in wanted]
        with self._folder.writer(wait=30.0):
            self._folder.delete_chunks(keys)
            if not self._folder.erase_deleted():
                logger.warning("the index is in use; what was deleted stays on disk until the next deletion or index run")

    def delete_all_documents(self, index: str | None = None, filters: Filter | None = None, headers: Any = None) -> None:
        self.delete_documents(index, None, filters, headers)

    def delete_index(self, index: str) -> None:
        self._only_index(index)
        self.delete_documents()

    # -- reading ---------------------------------------------------------------------------------------------------

    def get_document_by_id(  # type: ignore[override]
        self, id: str, index: str | None = None, headers: Any = None, return_embedding: bool = False
    ) -> HaystackDocument | None:
        found = self.get_documents_by_id([id], index, return_embedding=return_embedding)
        return found[0] if found else None

    def get_documents_by_id(  # type: ignore[override]
        self,
        ids: list[str],
        index: str | None = None,
        batch_size: int = 10_000,
        headers: Any = None,
        return_embedding: bool = False,
    ) -> list[HaystackDocument]:
        """The documents with these ids, in this order; unknown ids are left out."""
        self._only_index(index)
        with self._folder.reading() as connection:
            sql = "SELECT key, id FROM chunks WHERE key IN (SELECT value FROM json_each(?))"
            numbers = dict(connection.execute(sql, (json.dumps(list(ids)),)).fetchall())
            chunks = self._stored([numbers[key] for key in dict.fromkeys(ids) if key in numbers])
            return self._documents(chunks, return_embedding)

    def get_all_documents(  # type: ignore[override]
        self,
        index: str | None = None,
        filters: Filter | None = None,
        return_embedding: bool | None = None,
        batch_size: int = 10_000,
        headers: Any = None,
    ) -> list[HaystackDocument]:
        return list(self.get_all_documents_generator(index, filters, return_embedding, batch_size))

    def get_all_documents_generator(  # type: ignore[override]
        self,
        index: str | None = None,
        filters: Filter | None = None,
        return_embedding: bool | None = None,
        batch_size: int = 10_000,
        headers: Any = None,
    ) -> Generator[HaystackDocument, None, None]:
        """Every document that matches a filter, in the order of writing."""
        self._only_index(index)
        ids = self._folder.chunk_ids(where(filters)).tolist()
        for at in range(0, len(ids), batch_size):
            with self._folder.reading():
                documents = self._documents(self._stored(ids[at : at + batch_size]), bool(return_embedding))
            yield from documents

    def get_document_count(  # type: ignore[override]
        self,
        filters: Filter | None = None,
        index: str | None = None,
        only_documents_without_embedding: bool = False,
        headers: Any = None,
    ) -> int:
        self._only_index(index)
        ids = self._folder.chunk_ids(where(filters))
        return len(ids) - (len(self._folder.vectors(ids)[0]) if only_documents_without_embedding else 0)

    def get_embedding_count(self, index: str | None = None, filters: Filter | None = None) -> int:
        self._only_index(index)
        return len(self._folder.vectors(self._folder.chunk_ids(where(filters)))[0])

    def _chunks(self, filters: Filter | None) -> list[StoredChunk]:
        return self._stored(self._folder.chunk_ids(where(filters)).tolist())

    def _stored(self, ids: Sequence[int]) -> list[StoredChunk]:
        found: list[StoredChunk] = []
        for at in range(0, len(ids), 500):
            found += self._folder.chunks(ids[at : at + 500])
        return found

    def _documents(
        self, chunks: Sequence[StoredChunk], embedded: bool = False, scores: dict[int, float] | None = None
    ) -> list[HaystackDocument]:
        """Convert chunks to Haystack documents. Those written by this store keep exactly the meta they came with."""
        vectors: dict[int, Any] = {}
        if embedded:
            ids, matrix = self._folder.vectors(np.sort(np.array([chunk.id for chunk in chunks], dtype=np.int64)))
            vectors = dict(zip(ids.tolist(), matrix, strict=True))
        metas = self._metas(chunk.document_id for chunk in chunks)
        return [
            HaystackDocument(
                id=chunk.key,
                content=chunk.text,
                content_type="text",
                embedding=vectors.get(chunk.id),
                meta=metas[chunk.document_id] if chunk.source.startswith(WRITTEN) else _meta(chunk, metas),
                score=scores.get(chunk.id) if scores else None,
            )
            for chunk in chunks
        ]

    def _metas(self, documents: Iterable[str]) -> dict[str, dict[str, Any]]:
        sql = "SELECT id, meta FROM documents WHERE id IN (SELECT value FROM json_each(?))"
        rows = self._folder.connection().execute(sql, (json.dumps(list(set(documents))),))
        return {row[0]: json.loads(row[1]) for row in rows}

    # -- searching -------------------------------------------------------------------------------------------------

    def query(  # type: ignore[override]
        self,
        query: str | None,
        filters: Filter | None = None,
        top_k: int = 10,
        custom_query: str | None = None,
        index: str | None = None,
        headers: Any = None,
        all_terms_must_match: bool = False,
        scale_score: bool = True,
    ) -> list[HaystackDocument]:
        """The best documents by BM25. scale_score: return the logistic function of score / 8 instead of the score."""
        self._only_index(index)
        if custom_query is not None:
            raise SettingError("custom_query is a notation of other stores; use query and filters.")
        if not query:
            return []
        with self._opened.snapshot() as snapshot:
            found = snapshot.best(query, detect_question(query), top_k, filters, all_terms_must_match)
            scores = {n: float(expit(score / BM25_SCALE)) if scale_score else score for n, score in found}
            return self._documents(snapshot.chunks([number for number, _ in found]), scores=scores)

    def query_batch(  # type: ignore[override]
        self,
        queries: list[str],
        filters: Any = None,
        top_k: int = 10,
        custom_query: str | None = None,
        index: str | None = None,
        headers: Any = None,
        all_terms_must_match: bool = False,
        scale_score: bool = True,
    ) -> list[list[HaystackDocument]]:
        each = filters if isinstance(filters, list) else [filters] * len(queries)
        return [
            self.query(query, part, top_k, custom_query, index, headers, all_terms_must_match, scale_score)
            for query, part in zip(queries, each, strict=True)
        ]

    def query_by_embedding(  # type: ignore[override]
        self,
        query_emb: Any,
        filters: Filter | None = None,
        top_k: int = 10,
        index: str | None = None,
        return_embedding: bool | None = None,
        headers: Any = None,
        scale_score: bool = True,
    ) -> list[HaystackDocument]:
        """The nearest documents by cosine. scale_score: return (cosine + 1) / 2 instead of the cosine."""
        self._only_index(index)
        vector = self._unit([np.asarray(query_emb, dtype=np.float32).reshape(-1)])[0]
        with self._opened.snapshot() as snapshot:
            found = snapshot.nearest(vector, top_k, filters)
            scores = {n: (score + 1) / 2 if scale_score else score for n, score in found}
            chunks = snapshot.chunks([number for number, _ in found])
            return self._documents(chunks, bool(return_embedding), scores)

    # -- labels ----------------------------------------------------------------------------------------------------

    def write_labels(self, labels: Any, index: str | None = None, headers: Any = None) -> None:
        """Store labels; a label with an existing id replaces the old one."""
        made = [Label.from_dict(label) if isinstance(label, dict) else label for label in labels]
        with self._folder.writer(wait=30.0), self._folder.writing() as (connection, _):
            connection.executemany(
                "INSERT OR REPLACE INTO labels VALUES (?, ?)", [(label.id, label.to_json()) for label in made]
            )

    def get_all_labels(self, index: str | None = None, filters: Any = None, headers: Any = None) -> list[Label]:  # type: ignore[override]
        if filters:
            raise FilterError("Labels cannot be filtered here; take them all and choose.")
        rows: sqlite3.Cursor = self._folder.connection().execute("SELECT label FROM labels ORDER BY id")
        return [Label.from_json(row[0]) for row in rows]

    def get_label_count(self, index: str | None = None, headers: Any = None) -> int:
        return len(self.get_all_labels())

    def delete_labels(
        self, index: str | None = None, ids: list[str] | None = None, filters: Any = None, headers: Any = None
    ) -> None:
        if filters:
            raise FilterError("Labels cannot be filtered here; name their ids.")
        chosen = [label.id for label in self.get_all_labels()] if ids is None else ids
        with self._folder.writer(wait=30.0), self._folder.writing() as (connection, _):
            connection.executemany("DELETE FROM labels WHERE id = ?", [(number,) for number in chosen])

    def _create_document_field_map(self) -> dict[str, str]:
        return {}

    def _only_index(self, index: str | None) -> None:
        if index not in (None, self.index):
            raise SettingError(f"This store holds one corpus, not an index named {index!r}; use another folder for it.")


def _text(document: HaystackDocument) -> str:
    """The text of a Haystack document; "" for an empty one, with a warning in the log."""
    if document.content_type != "text" or not isinstance(document.content, str):
        raise SettingError(f"Document {document.id!r} is a {document.content_type}; this store keeps text.")
    if not document.content:
        logger.warning("document %r has no text and is not kept", document.id)
    return document.content


def _meta(chunk: StoredChunk, metas: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The meta of a chunk for Haystack nodes: its document's meta, and its position."""
    place = {
        "name": chunk.source,
        "source": chunk.source,
        "document_id": chunk.document_id,
        "start": chunk.start,
        "end": chunk.end,
        "language": chunk.language,
        "page": chunk.page,
        "content_hash": chunk.content_hash,
    }
    return {**metas[chunk.document_id], **place}
