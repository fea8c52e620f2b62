"""What leaves is its document's text at its offsets, with its document's hash; checked once, for every entry point."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from indexing.build import build_index
from indexing.documents import Document
from indexing.store.corpus_db import IndexFolder
from indexing.store.index import Index
from qa_pipeline.answering import verification
from qa_pipeline.answering.verification import Verifier
from qa_pipeline.answers import verify
from qa_pipeline.errors import BrokenCitation
from qa_pipeline.pipeline import QAPipeline
from qa_pipeline.reading.readings import Reading
from qa_pipeline.settings import AskSettings
from tests.known import SCRIPTS, Altered, WordEmbedder, WordReader

EMBEDDER: Any = WordEmbedder()
QUESTION = "When was the bridge opened in?"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "c").mkdir()
    for code, text in SCRIPTS.items():
        (tmp_path / "c" / f"{code}.txt").write_bytes(text.encode())
    (tmp_path / "c" / "bridge.txt").write_text("The bridge was opened in 1912. It is long.\n")
    (tmp_path / "c" / "other.txt").write_text("Another bridge was opened in 1950. It is short.\n")
    build_index(tmp_path / "c", tmp_path / "i", embedder=EMBEDDER)
    return tmp_path / "i"


def pipeline_of(path: Path, reader: Any = None) -> QAPipeline:
    return QAPipeline(Index.open(path), EMBEDDER, reader or WordReader())


class Counting:
    """Documents of a folder, with the ids that were loaded."""

    def __init__(self, folder: IndexFolder) -> None:
        self.folder, self.loaded = folder, list[str]()

    def document(self, document_id: str) -> Document:
        self.loaded.append(document_id)
        return self.folder.document(document_id)

    def existing(self, ids: Iterable[str]) -> set[str]:
        return self.folder.existing(ids)


def test_a_quotation_is_text_offsets_and_hash(path: Path) -> None:
    pipeline = pipeline_of(path)
    good = pipeline.ask(QUESTION).answers[0]
    document = pipeline.index.folder.document(good.document_id)
    known = document.content_hash
    assert good.content_hash == known and verify(good, document, known) is good
    assert verify(good.passage, document, known) is good.passage
    changes: list[dict[str, Any]] = [
        {"start": good.start + 1},
        {"text": "1913"},
        {"text": "", "end": good.start},
    ]
    for change in changes:
        with pytest.raises(BrokenCitation):
            verify(replace(good, **change), document, known)
    with pytest.raises(BrokenCitation):
        verify(good, document, "0" * 32)
    with pytest.raises(BrokenCitation):
        verify(good.passage, document, "0" * 32)


@pytest.mark.parametrize("field", ["text", "content_hash"])
def test_a_broken_citation_ends_the_question(path: Path, field: str) -> None:
    pipeline = pipeline_of(path)
    pipeline.verifier = Verifier(Altered(pipeline.index.folder, "1912", "1913", field))
    for ask in (pipeline.ask, pipeline.search):
        with pytest.raises(BrokenCitation, match="docqa doctor"):
            ask(QUESTION, AskSettings(thorough=True))


def test_each_document_is_loaded_once_however_often_it_is_quoted(path: Path) -> None:
    pipeline = pipeline_of(path)
    counting = Counting(pipeline.index.folder)
    pipeline.verifier = Verifier(counting)
    for _ in range(3):
        assert pipeline.ask(QUESTION, AskSettings(thorough=True)).answers
    assert counting.loaded and len(counting.loaded) == len(set(counting.loaded))


def test_the_documents_kept_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "CACHED_CHARACTERS", 100)
    with IndexFolder.open(path) as folder:
        counting = Counting(folder)
        verifier = Verifier(counting)
        ids = [row[0] for row in folder.document_rows()]
        for id in ids * 2:
            assert verifier.document(id) == folder.document(id)
        assert len(counting.loaded) > len(ids), "not all of them fit"


class Deleting(WordReader):
    """Deletes a document while it reads."""

    def __init__(self, path: Path, document: str) -> None:
        super().__init__()
        self.path, self.document = path, document

    def read(self, question: str, texts: Sequence[str]) -> list[Reading]:
        with IndexFolder.open(self.path, writable=True) as folder, folder.writer():
            folder.delete_documents([self.document])
        return super().read(question, texts)


@pytest.mark.parametrize("streaming", [False, True])
def test_a_document_deleted_while_it_was_read_is_not_quoted(path: Path, streaming: bool) -> None:
    settings = AskSettings(thorough=True)
    best = pipeline_of(path).ask(QUESTION, settings).answers[0]
    pipeline = pipeline_of(path, Deleting(path, best.document_id))
    reply = list(pipeline.stream(QUESTION, settings))[-1].reply if streaming else pipeline.ask(QUESTION, settings)
    assert reply is not None
    quoted = {answer.document_id for answer in reply.answers} | {passage.document_id for passage in reply.passages}
    assert quoted and best.document_id not in quoted
    assert bool(reply.answers) != reply.no_answer.is_no_answer


def test_a_question_verifies_only_what_it_sends(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, after the last reading; the stream verifies at each step."""
    verified: list[str] = []

    def counting(quotation: Any, *rest: Any) -> Any:
        verified.append(type(quotation).__name__)
        return verify(quotation, *rest)

    monkeypatch.setattr(verification, "verify", counting)
    pipeline, settings = pipeline_of(path), AskSettings(thorough=True, top_k=1)
    reply = pipeline.ask(QUESTION, settings)
    assert reply.passages_read > 2 and len(reply.answers) == 1
    assert verified.count("Answer") == 1
    verified.clear()
    steps = list(pipeline.stream(QUESTION, settings))
    assert [step.read for step in steps] == [*range(reply.passages_read + 1), reply.passages_read]
    assert verified.count("Answer") > 2


def test_a_document_over_the_cache_is_loaded_once_a_question(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "CACHED_CHARACTERS", 0)
    pipeline = pipeline_of(path)
    counting = Counting(pipeline.index.folder)
    pipeline.verifier = Verifier(counting)
    list(pipeline.stream(QUESTION, AskSettings(thorough=True)))
    assert counting.loaded and len(counting.loaded) == len(set(counting.loaded))


def test_a_damaged_passage_is_left_out_and_fails_no_question(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its row, or its document's: the question goes on with the other passages."""
    best = pipeline_of(path).ask(QUESTION, AskSettings(thorough=True)).answers[0]
    assert "1912" in best.text
    for statement in ("UPDATE chunks SET text = text || 'x'", "UPDATE documents SET text = CAST(x'ff' AS TEXT)"):
        connection = sqlite3.connect(path / "corpus.db")
        connection.execute(f"{statement} WHERE {'document_id' if 'chunks' in statement else 'id'} = ?", (best.document_id,))
        connection.commit()
        connection.close()
        pipeline = pipeline_of(path)
        for reply in (
            pipeline.ask(QUESTION, AskSettings(thorough=True)),
            pipeline.search(QUESTION, AskSettings(thorough=True)),
            [step.reply for step in pipeline.stream(QUESTION, AskSettings(thorough=True))][-1],
        ):
            assert reply is not None and reply.passages
            quoted = {answer.document_id for answer in reply.answers} | {p.document_id for p in reply.passages}
            assert best.document_id not in quoted
        found = {hit.document_id for hit in pipeline.search_words("bridge OR opened OR 19*", limit=50).hits}
        assert found and best.document_id not in found
        assert "damaged and left out" in caplog.text
        caplog.clear()
