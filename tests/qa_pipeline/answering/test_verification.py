"""What leaves is its document's text at its offsets, with its document's hash; checked once, for every entry point."""

from __future__ import annotations

from collections.abc import Sequence
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


def test_a_document_deleted_while_it_was_read_gives_no_answer(path: Path) -> None:
    """Unless it was verified before: then the quotation is of the generation that was asked."""
    settings = AskSettings(thorough=True)
    best = pipeline_of(path).ask(QUESTION, settings).answers[0]
    pipeline = pipeline_of(path, Deleting(path, best.document_id))

    class Forgetful(Verifier):
        def document(self, document_id: str) -> Document:
            return self._documents.document(document_id)

    pipeline.verifier = Forgetful(pipeline.index.folder)
    reply = pipeline.ask(QUESTION, settings)
    assert best.document_id not in {answer.document_id for answer in reply.answers}
    assert bool(reply.answers) != reply.no_answer.is_no_answer
