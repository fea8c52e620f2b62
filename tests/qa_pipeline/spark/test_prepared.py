"""Files as rows for an index, without Spark: what is loaded from a row is what `docqa index` prepares of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from indexing.errors import IndexMismatch
from indexing.files.file_text import FileLimits
from indexing.files.walk import FileReader, FoundFile, content_hash, find_files, source_of
from indexing.models.embedder import Embedder
from indexing.prepare import prepare_batches
from indexing.settings import ChunkSettings
from qa_pipeline.spark import prepared
from qa_pipeline.spark.prepared import FILE, Model, PrepareFiles, loaded_batches, read_bytes
from qa_pipeline.spark.rows import arrow_type
from tests.known import SCRIPTS

LIMITS, CHUNKS = FileLimits(), ChunkSettings(tokens=40)


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder.load("builtin")


@pytest.fixture
def files(tmp_path: Path) -> list[FoundFile]:
    for n, (language, text) in enumerate(SCRIPTS.items()):
        (tmp_path / f"{language}.md").write_text(f"# Title {n}\n\n" + "\n\n".join([text] * 5), "utf-8")
    (tmp_path / "rows.csv").write_text("a,b\nOne long text here.,Another one.\nTwo.,Three.\n", "utf-8")
    (tmp_path / "noise.pdf").write_bytes(b"%PDF-1.7 " + bytes(range(256)))
    (tmp_path / "page.html").write_text("<title>T</title><h1>Vorn</h1><p>Der Berg ist hoch.", "utf-8")
    return list(find_files(tmp_path))


def through_arrow(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    schema = pa.schema([(name, arrow_type(part)) for name, part in FILE.items()])
    found: list[dict[str, Any]] = pa.RecordBatch.from_pylist(rows, schema=schema).to_pylist()
    return found


def test_what_is_loaded_is_what_is_prepared_here(files: list[FoundFile], embedder: Embedder) -> None:
    model = Model("builtin", embedder.fingerprint)
    with FileReader(LIMITS) as reader:
        read = [(n, read_bytes(reader, file.path.read_bytes(), file.source, None)) for n, file in enumerate(files)]
        wanted = list(prepare_batches(reader, files, {}, CHUNKS, embedder.passages_with_tokens))
    for deeper in (None, model):
        rows = through_arrow(PrepareFiles(CHUNKS, LIMITS, model, deeper)._rows(read))
        (loaded,) = loaded_batches(rows, files, embedder.dimension)
        (batch,) = wanted
        for (ours, documents), (theirs, others) in zip(loaded.batch.files, batch.files, strict=True):
            assert documents == others
            assert (ours.file, ours.hash, ours.reason, ours.keep) == (theirs.file, theirs.hash, theirs.reason, theirs.keep)
            assert ours.remarks() == theirs.remarks()
        assert loaded.batch.vectors is not None and batch.vectors is not None
        assert np.array_equal(loaded.batch.vectors, batch.vectors)
        assert list(loaded.batch.tokens) == list(batch.tokens) and all(batch.tokens)
        for name in ("ids", "lengths", "terms", "starts", "rows", "counts", "languages"):
            assert np.array_equal(getattr(loaded.batch.words, name), getattr(batch.words, name))
        assert (loaded.sentences is None) == (deeper is None)
        assert loaded.sentences is None or np.array_equal(loaded.sentences, batch.vectors)


def test_loading_goes_in_parts_and_loses_nothing(
    files: list[FoundFile], embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FileReader(LIMITS) as reader:
        read = [(n, read_bytes(reader, file.path.read_bytes(), file.source, None)) for n, file in enumerate(files)]
    rows = through_arrow(PrepareFiles(CHUNKS, LIMITS, Model("builtin", embedder.fingerprint), None)._rows(read))
    monkeypatch.setattr(prepared, "BATCH_CHARACTERS", 500)
    parts = list(loaded_batches(rows, files, embedder.dimension))
    assert len(parts) > 3
    assert [one.file for part in parts for one, _ in part.batch.files] == files
    assert list(loaded_batches([], files, embedder.dimension)) == []


def test_a_file_is_kept_where_the_index_has_its_content() -> None:
    data = b"Some text in English."
    with FileReader(LIMITS) as reader:
        same, other = (read_bytes(reader, data, "a.txt", known) for known in (content_hash(data), "0" * 32))
        assert same.keep and not same.texts and not other.keep and other.texts[0].text == data.decode()
        for wrong in (None, b"", b"PK\x03\x04 no archive"):
            found = read_bytes(reader, wrong, "a.docx", None)
            assert found.reason and not found.keep and not found.texts
        assert read_bytes(reader, b"", "a.txt", content_hash(b"")).keep


def test_another_version_of_the_embedder_is_refused() -> None:
    with pytest.raises(IndexMismatch, match="another version"):
        prepared._embedder(Model("builtin", "0" * 32))


def test_sources_are_those_of_the_walk(tmp_path: Path) -> None:
    for name in ("a#1.txt", "e\u0301.txt", "b#2", "100%25"):
        (tmp_path / name).write_text("x", "utf-8")
    found = {file.source for file in find_files(tmp_path)}
    assert {source_of(path.name) for path in tmp_path.iterdir()} == found
