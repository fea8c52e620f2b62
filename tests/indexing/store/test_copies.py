"""Copies among the documents of an index: stored with the documents, deleted with them, and made for old indexes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from indexing.build import build_index
from indexing.store.copies import copies_among, documents_with_text, twins_of
from indexing.store.corpus_db import IndexFolder
from tests.known import WordEmbedder

REPORT = "The old bridge was opened in 1912. " + " ".join(f"Pier {n} was built of grey stone." for n in "abcdef")
FILES = {"a.txt": REPORT, "b.txt": REPORT, "c.txt": f"{REPORT} Second edition.", "d.txt": "Another text about a mine."}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[IndexFolder]:
    documents = tmp_path / "documents"
    documents.mkdir()
    for name, text in FILES.items():
        (documents / name).write_text(text, encoding="utf-8")
    build_index(documents, tmp_path / "index", embedder=WordEmbedder())  # type: ignore[arg-type]
    with IndexFolder.open(tmp_path / "index", writable=True) as opened:
        yield opened


def ids(folder: IndexFolder) -> dict[str, str]:
    return {source: id for id, source, *_ in folder.document_rows()}


def test_copies_are_found_by_hash_and_by_resemblance(folder: IndexFolder) -> None:
    a, b, c, d = (ids(folder)[name] for name in FILES)
    assert copies_among(folder, [d, c, b, a]) == ((c, b, a),)
    assert copies_among(folder, [a, d, a, "nobody"]) == () == copies_among(folder, [])


def test_the_documents_with_one_text_are_named(folder: IndexFolder) -> None:
    a, b, _, d = (ids(folder)[name] for name in FILES)
    assert documents_with_text(folder, folder.document(a).content_hash) == [(a, "a.txt"), (b, "b.txt")]
    assert documents_with_text(folder, folder.document(d).content_hash) == [(d, "d.txt")]
    with folder.writer():
        folder.delete_documents([a])
    assert documents_with_text(folder, folder.document(b).content_hash) == [(b, "b.txt")]


def test_a_deleted_document_takes_its_sketch_with_it(folder: IndexFolder) -> None:
    a, b, *_ = (ids(folder)[name] for name in FILES)
    with folder.writer():
        folder.delete_documents([a])
    assert copies_among(folder, [a, b]) == ()
    assert folder.connection().execute("SELECT count(*) FROM sketches").fetchone() == (3,)


def test_an_index_of_an_earlier_version_has_copies_too(folder: IndexFolder) -> None:
    a, b, c, _ = (ids(folder)[name] for name in FILES)
    folder.connection().execute("DROP TABLE sketches")
    assert copies_among(folder, [a, b, c]) == ((a, b, c),)


def test_each_passage_has_the_documents_with_the_same_passage(folder: IndexFolder) -> None:
    a, b, *_ = (ids(folder)[name] for name in FILES)
    chunks = folder.chunks(folder.chunk_ids().tolist())
    mine = {chunk.document_id: chunk.id for chunk in chunks}
    named = {"a.txt": ((b, "b.txt"),), "b.txt": ((a, "a.txt"),), "c.txt": (), "d.txt": ()}

    def found(allowed: list[int] | None) -> dict[str, object]:
        ids = None if allowed is None else np.array(sorted(allowed), dtype=np.int64)
        return dict(zip([chunk.source for chunk in chunks], twins_of(folder, chunks, ids), strict=True))

    assert found(None) == named == found([mine[a], mine[b]])
    assert found([mine[a]]) == {**named, "a.txt": ()} and not any(found([]).values())
    folder.connection().execute("UPDATE chunks SET key = 'own' WHERE document_id = ?", (b,))
    assert found(None) == named, "a key that Haystack chose"
    with folder.writer():
        folder.delete_chunks(["own"])
    assert not any(twins_of(folder, [chunk for chunk in chunks if chunk.document_id == a], None))


def test_a_twin_is_found_without_reading_its_other_passages(tmp_path: Path) -> None:
    """A question over copies of a long text took 7 ms more for each passage."""
    text = "\n\n".join(f"Pier {n} was built of grey stone in the year {1000 + n}. " * 9 for n in range(60))
    (tmp_path / "in").mkdir()
    for number in range(5):
        (tmp_path / "in" / f"{number}.txt").write_text(text, encoding="utf-8")
    build_index(tmp_path / "in", tmp_path / "i", embedder=WordEmbedder())  # type: ignore[arg-type]
    with IndexFolder.open(tmp_path / "i") as folder:
        chunk, *others = folder.chunks(folder.chunk_ids().tolist())
        steps: list[int] = []
        folder.connection().set_progress_handler(lambda: steps.append(1), 1)
        assert len(twins_of(folder, [chunk], None)[0]) == 4
        assert len(steps) < len(others)
