"""Copies among the documents of an index: stored with the documents, deleted with them, and made for old indexes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from indexing.build import build_index
from indexing.store.copies import copies_among, documents_with_text
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
