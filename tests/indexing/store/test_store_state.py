"""The store against a naive in-memory model: random writes, overwrites, deletes, filters, reopens and crashes.

A crash is the real thing in small: the process's view of the folder is dropped without closing, and a write transaction
that was under way is never committed. What the model holds is what was acknowledged.
"""

from __future__ import annotations

import gc
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from indexing.documents import Chunk, Document, content_hash, document_id
from indexing.settings import IndexSettings
from indexing.store.bm25 import KeywordIndex, Segment
from indexing.store.corpus_db import FileRecord, IndexFolder, NewDocument
from indexing.store.index import Index
from indexing.text.search_terms import terms
from tests.known import WordEmbedder

WORDS = ["red", "blue", "stone", "river", "水", "ไทย", "горá"]
LANGUAGES = ["en", "de", "ja"]
EMBEDDER = WordEmbedder(8)

texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)
sources = st.sampled_from([f"f{n}.txt" for n in range(6)])


def new_document(source: str, parts: list[str], language: str) -> NewDocument:
    text = "\n".join(parts)
    chunks, at = [], 0
    for part in parts:
        chunks.append(Chunk(at, at + len(part), part, language))
        at += len(part) + 1
    document = Document(document_id(source, text), source, content_hash(text), text, language, meta={"n": len(parts)})
    return NewDocument(document, tuple(chunks), EMBEDDER.passages(parts), source)


class StoreMachine(RuleBasedStateMachine):
    """Rules are what can happen to a folder; the invariants are its laws."""

    ids: Bundle[str] = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.path = self.root / "index"
        IndexFolder.create(self.path, IndexSettings(embedder="words"), EMBEDDER.facts()).close()
        self.index = Index.open(self.path, writable=True)
        self.model: dict[str, NewDocument] = {}
        self.text_of_id: dict[int, tuple[str, str]] = {}
        self.generation = 0

    def teardown(self) -> None:
        self.index.close()
        shutil.rmtree(self.root)

    @rule(
        files=st.dictionaries(sources, st.lists(texts, min_size=1, max_size=4), min_size=1, max_size=3),
        language=st.sampled_from(LANGUAGES),
    )
    def write(self, files: dict[str, list[str]], language: str) -> None:
        new = [new_document(source, parts, language) for source, parts in files.items()]
        with self.index.folder.writer():
            records = [FileRecord(source, "h", 1, 1, 1) for source in files]
            self.generation = self.index.folder.write(new, records, drop=list(files))
        self.model.update({item.document.source: item for item in new})

    @rule(source=sources)
    def delete(self, source: str) -> None:
        ids = [self.model[source].document.id] if source in self.model else ["absent"]
        with self.index.folder.writer():
            assert self.index.folder.delete_documents(ids) == (source in self.model)
        self.generation += 1
        self.model.pop(source, None)

    @rule(source=sources, parts=st.lists(texts, min_size=1, max_size=2))
    def fail_in_the_middle_of_a_write(self, source: str, parts: list[str]) -> None:
        """A batch whose last document cannot be written leaves nothing of the others behind."""
        good = new_document(source, parts, "en")
        broken = NewDocument(good.document, good.chunks, good.vectors, "other.txt")
        with self.index.folder.writer():
            try:
                self.index.folder.write([good, broken], drop=[source])
            except Exception:
                return
        raise AssertionError("a repeated document id was accepted")

    @rule()
    def publish(self) -> None:
        with self.index.folder.writer():
            self.index.publish()

    @rule()
    def reopen(self) -> None:
        self.index.close()
        self.index = Index.open(self.path, writable=True)

    @rule(parts=st.lists(texts, min_size=1, max_size=3))
    def crash(self, parts: list[str]) -> None:
        """Stop inside a transaction; a copy of the folder as it lies on disk is what the next process finds."""
        connection = self.index.folder.connection()
        connection.execute("BEGIN IMMEDIATE")
        self.index.folder._insert(connection, new_document("never.txt", parts, "en"), self.generation + 1)
        copy = self.root / "after"
        shutil.copytree(self.path, copy)
        connection.execute("ROLLBACK")
        self.index.close()
        shutil.rmtree(self.path)
        copy.rename(self.path)
        self.index = Index.open(self.path, writable=True)

    @rule(damage=st.sampled_from(["vectors-*.faiss", "keywords-*.npz", "words-*.npz", "derived.json"]), cut=st.booleans())
    def damage_a_derived_file(self, damage: str, cut: bool) -> None:
        self.index.close()
        for path in self.path.glob(damage):
            path.write_bytes(path.read_bytes()[:50]) if cut else path.unlink()
        self.index = Index.open(self.path, writable=True)

    @invariant()
    def the_truth_is_the_model(self) -> None:
        rows = {row[1]: row[0] for row in self.index.folder.document_rows()}
        assert rows == {source: item.document.id for source, item in self.model.items()}
        for item in self.model.values():
            assert self.index.folder.document(item.document.id).text == item.document.text

    @invariant()
    def an_id_never_returns_another_text(self) -> None:
        for chunk in self.index.folder.chunks(self.index.folder.chunk_ids().tolist()):
            assert self.text_of_id.setdefault(chunk.id, (chunk.document_id, chunk.text)) == (chunk.document_id, chunk.text)
            assert self.model[chunk.source].document.text[chunk.start : chunk.end] == chunk.text

    @invariant()
    def searching_is_brute_force_over_the_model(self) -> None:
        query = EMBEDDER.questions(["red stone"])[0]
        every: list[dict[str, Any] | None] = [
            None,
            {"language": "de"},
            {"source": {"$glob": "f[0-2]*"}},
            {"n": {"$gte": 2}},
            {"language": "xx"},
        ]
        for filters in every:
            with self.index.snapshot() as snapshot:
                assert snapshot.generation == self.generation
                near = snapshot.nearest(query, 50, filters)
                best = snapshot.best("red stone 水", "en", 50, filters)
                allowed = self._allowed(filters)
                chunks = {chunk.id: chunk for chunk in snapshot.chunks(sorted({n for n, _ in near + best}))}
            assert {(chunks[n].source, chunks[n].start) for n, _ in near} == set(allowed)
            for number, score in near:
                wanted = allowed[chunks[number].source, chunks[number].start]
                assert np.isclose(score, float(EMBEDDER.passages([wanted])[0] @ query), atol=1e-5)
            scores = {(chunks[n].source, chunks[n].start): round(s, 9) for n, s in best}
            assert scores == self._bm25(set(allowed))

    def _allowed(self, filters: dict[str, object] | None) -> dict[tuple[str, int], str]:
        """(source, start) -> text of every chunk a filter lets through, read naively."""
        tests = {
            None: lambda item: True,
            "language": lambda item: item.document.language == filters["language"],  # type: ignore[index]
            "source": lambda item: item.document.source[1] in "012",
            "n": lambda item: item.document.meta["n"] >= 2,
        }
        test = tests[next(iter(filters)) if filters else None]
        return {(i.document.source, c.start): c.text for i in self.model.values() if test(i) for c in i.chunks}

    def _bm25(self, allowed: set[tuple[str, int]]) -> dict[tuple[str, int], float]:
        """(source, start) -> BM25 from an index built afresh; statistics over everything, results among the allowed."""
        chunks = [(item.document.source, chunk) for item in self.model.values() for chunk in item.chunks]
        rows = [(n, terms(chunk.text, chunk.language)) for n, (_, chunk) in enumerate(chunks)]
        fresh = KeywordIndex.of([Segment.build(rows, [chunk.language for _, chunk in chunks])])
        asked = fresh.weigh(terms("red stone 水", "en"), "en")
        found = {(chunks[n][0], chunks[n][1].start): score for n, score in fresh.find(asked, 1000)}
        return {place: round(score, 9) for place, score in found.items() if place in allowed}

    @invariant()
    def doctor_finds_no_fault_in_the_truth(self) -> None:
        of_a_cache = ("derived files", "positions of words cannot be used")
        problems = (line for line in self.index.problems() if not any(words in line for words in of_a_cache))
        assert list(problems) == []


StoreMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=18, deadline=None)
test_store_machine = StoreMachine.TestCase


def test_a_closed_index_leaves_no_log_behind_after_a_refused_write() -> None:
    """A cursor that an error keeps would hold the database open until garbage is collected."""
    machine = StoreMachine()
    machine.write(files={"f0.txt": ["red stone"]}, language="en")
    gc.disable()
    try:
        machine.fail_in_the_middle_of_a_write(source="f1.txt", parts=["red"])
        machine.index.close()
        assert [path.name for path in machine.path.glob("corpus.db*")] == ["corpus.db"]
    finally:
        gc.enable()
        machine.teardown()
