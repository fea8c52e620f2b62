"""Deleted text is gone from the disk: at the end of the run, beside readers, and after a compaction."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from indexing.build import build_index
from indexing.store.index import Index
from indexing.store.sqlite import DATABASE
from tests.known import WordEmbedder

EMBEDDER = WordEmbedder()
SECRET = "Zanzibarine"


def holds(path: Path, word: str) -> set[str]:
    """The files of a folder in whose bytes a word stands."""
    return {file.name for file in path.rglob("*") if file.is_file() and word.encode() in file.read_bytes()}


@pytest.mark.parametrize("how", ["removed", "changed"])
def test_deleted_text_is_gone_from_disk_when_the_run_ends(path: Path, corpus: Path, how: str) -> None:
    """Also while a reader has the index open, which keeps SQLite's log alive."""
    (corpus / "secret.txt").write_text(f"{SECRET} is the word. " * 400)
    build_index(corpus, path, embedder=EMBEDDER)  # type: ignore[arg-type]
    assert holds(path, SECRET)
    with Index.open(path) as reader, reader.snapshot():
        pass
    with Index.open(path) as reader:
        if how == "removed":
            (corpus / "secret.txt").unlink()
        else:
            (corpus / "secret.txt").write_text("Nothing any more.")
        build_index(corpus, path, embedder=EMBEDDER)  # type: ignore[arg-type]
        assert holds(path, SECRET) == set()
        with reader.snapshot() as snapshot:
            assert snapshot.best(SECRET, "en", 5) == []


def test_what_a_reader_kept_on_disk_is_erased_by_the_next_run(
    path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when nothing changed since; the run that could not erase says so, and waits for two seconds only."""
    monkeypatch.setattr("indexing.store.sqlite.ERASE_WAIT_S", 0.05)
    (corpus / "secret.txt").write_text(f"{SECRET} is the word. " * 400)
    assert build_index(corpus, path, embedder=EMBEDDER).erased  # type: ignore[arg-type]
    (corpus / "secret.txt").unlink()
    with Index.open(path) as reader:
        with reader.folder.reading():
            reader.folder.counts()
            assert not build_index(corpus, path, embedder=EMBEDDER).erased  # type: ignore[arg-type]
            assert holds(path, SECRET)
        assert build_index(corpus, path, embedder=EMBEDDER).erased  # type: ignore[arg-type]
        assert holds(path, SECRET) == set()


def test_a_run_without_deletions_does_not_wait_for_readers(
    path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexing.store.sqlite.ERASE_WAIT_S", 0.0)
    (corpus / "broken.pdf").write_bytes(b"%PDF-1.4 no page")
    with Index.open(path) as reader, reader.folder.reading():
        reader.folder.counts()
        for _ in range(2):
            report = build_index(corpus, path, embedder=EMBEDDER)  # type: ignore[arg-type]
            assert report.erased and report.count("skipped") == 1


def test_compaction_takes_what_older_versions_left_on_disk(path: Path, corpus: Path) -> None:
    """A version without secure_delete left deleted text in free pages of the database."""
    connection = sqlite3.connect(path / DATABASE, isolation_level=None)
    connection.execute("PRAGMA secure_delete=OFF")
    connection.execute("CREATE TABLE old (text TEXT)")
    connection.executemany("INSERT INTO old VALUES (?)", [(f"{SECRET} {n} " * 200,) for n in range(50)])
    connection.execute("DROP TABLE old")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    assert holds(path, SECRET) == {DATABASE}
    with Index.open(path, writable=True) as index:
        before = index.folder.size()
        assert index.compact() and index.folder.size() < before
        assert holds(path, SECRET) == set() and list(index.problems()) == []


def test_a_compaction_beside_a_question_says_so_and_loses_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexing.store.sqlite.WAIT_S", 0.1)
    with Index.open(path) as reader, reader.snapshot() as snapshot, Index.open(path, writable=True) as index:
        assert index.compact() is False
        assert snapshot.best("bridge", "en", 5) and list(index.problems()) == []
    with Index.open(path, writable=True) as index:
        assert index.compact()
