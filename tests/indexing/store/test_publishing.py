"""Derived files of a large index: merged on disk, read in slices, and of use while HNSW is still being made."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.arrays import Ids, Matrix, mapped_array
from indexing.build import build_index
from indexing.errors import DiskFull, IndexDamaged
from indexing.settings import IndexSettings
from indexing.store import faiss_index, postings_merge, vector_column
from indexing.store.bm25 import ARRAYS, Segment
from indexing.store.corpus_db import IndexFolder
from indexing.store.derived_files import MANIFEST, DerivedFiles
from indexing.store.faiss_index import VectorIndex, base_ids
from indexing.store.index import Index
from indexing.store.postings_merge import SegmentSpool, merge_into
from indexing.store.vector_column import VectorColumn
from tests.known import WordEmbedder

EMBEDDER: Any = WordEmbedder()
FILES = 12


class Stopped(Exception):
    pass


def segments_of(parts: list[list[list[str]]]) -> list[Segment]:
    """A segment of each part; ids ascend by three over all of them."""
    number, found = 0, []
    for part in parts:
        found.append(Segment.build([(3 * (number + at), words) for at, words in enumerate(part)]))
        number += len(part)
    return found


WORDS = st.lists(st.sampled_from(["a", "bridge", "zebra", "橋", "of", "the"]), max_size=6)


@given(st.lists(st.lists(WORDS, max_size=5), max_size=5), st.sets(st.integers(0, 60)), st.integers(1, 9))
def test_a_merge_on_disk_is_the_merge(parts: list[list[list[str]]], dead: set[int], at_once: int) -> None:
    import tempfile

    segments, gone = segments_of(parts), np.array(sorted(dead), dtype=np.int64)
    wanted = Segment.merge(segments, gone)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(postings_merge, "MERGED_AT_ONCE", at_once)
        merge_into(Path(folder) / "k.npz", segments, gone)
        for mapped in (False, True):
            found = Segment.load(Path(folder) / "k.npz", mapped=mapped)
            for name in ARRAYS:
                np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
                assert getattr(found, name).dtype == getattr(wanted, name).dtype
        assert [path.name for path in Path(folder).iterdir()] == ["k.npz"]


def test_spooled_segments_leave_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postings_merge, "SPOOLED", 20)
    parts = segments_of([[["bridge", f"w{number}"]] * 4 for number in range(9)])
    spool = SegmentSpool(tmp_path)
    for part in parts:
        spool.add(part)
    held = spool.segments()
    assert 1 < len(held) < len(parts)
    merged, wanted = Segment.merge(held, held[0].ids[:0]), Segment.merge(parts, held[0].ids[:0])
    assert all(np.array_equal(getattr(merged, name), getattr(wanted, name)) for name in ARRAYS)
    spool.close()
    assert spool.segments() == [] and list(tmp_path.iterdir()) == []


def test_an_array_that_is_not_in_the_file_is_not_mapped(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "packed.npz", rows=np.arange(9))
    with pytest.raises(ValueError, match="compressed"):
        mapped_array(tmp_path / "packed.npz", "rows")
    Segment.build([(1, ["a", "b"])]).save(tmp_path / "k.npz")
    content = (tmp_path / "k.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(IndexDamaged, match="cannot be read"):
        Segment.load(tmp_path / "cut.npz", mapped=True)


def test_vectors_are_read_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never all at once, whatever becomes of them; but ivfpq is trained on a sample."""
    monkeypatch.setattr(vector_column, "SLICE", 50)
    vectors = np.eye(8, dtype=np.float32)[np.arange(1_000) % 8]
    asked: list[int] = []

    def fetch(ids: Ids) -> tuple[Ids, Matrix]:
        asked.append(len(ids))
        return ids, vectors[ids]

    ids = np.arange(1_000)
    for kind in ("flat", "hnsw"):
        column = VectorColumn("vectors", 8, kind, fetch)  # type: ignore[arg-type]
        made = column.published(VectorIndex(8), ids[:900], ids[:0])
        more = column.published(made, ids[900:], ids[:100])
        assert np.array_equal(more.ids(), ids[100:]) and not len(more.added_ids)
        assert max(asked) == 50 and sum(asked) >= 1_000


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number:02}.txt").write_text(f"The tower number {number} has the bell{number}.")
    return folder


@pytest.fixture
def slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """HNSW grows passage by passage, and is published after each."""
    monkeypatch.setattr(vector_column, "SLICE", 1)
    monkeypatch.setattr(faiss_index, "CHECKPOINT_S", -1.0)


def stopped_after(turns: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Publishing stops after so many of FAISS's slices, as if the process had ended."""
    whole = faiss_index.grow

    def grow(base: Any, slices: Any, saved: Any = None) -> None:
        def some() -> Iterator[Any]:
            for number, one in enumerate(slices):
                if number == turns:
                    raise Stopped
                yield one

        whole(base, some(), saved)

    monkeypatch.setattr(faiss_index, "grow", grow)
    return lambda: monkeypatch.setattr(faiss_index, "grow", whole)


def nearest(path: Path) -> list[list[tuple[str, float]]]:
    """(source, score) of the nearest passages of each bell."""
    with Index.open(path) as index, index.snapshot() as snapshot:
        found = []
        for number in range(FILES):
            hits = snapshot.nearest(EMBEDDER.questions([f"bell{number}"])[0], 5)
            sources = {chunk.id: chunk.source for chunk in snapshot.chunks([id for id, _ in hits])}
            found.append([(sources[id], round(score, 5)) for id, score in hits])
        return found


def index_it(documents: Path, path: Path) -> None:
    build_index(documents, path, IndexSettings(embedder=EMBEDDER.name, vectors="hnsw"), embedder=EMBEDDER)


@pytest.mark.usefixtures("slices")
def test_a_stopped_build_of_hnsw_is_searched_and_goes_on(
    documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index_it(documents, tmp_path / "whole")
    resume = stopped_after(7, monkeypatch)
    with pytest.raises(Stopped):
        index_it(documents, tmp_path / "index")
    manifest = json.loads((tmp_path / "index" / MANIFEST).read_text())
    assert "vectors" not in manifest, "an earlier docqa does not take the part for all"
    assert nearest(tmp_path / "index") == nearest(tmp_path / "whole")
    with Index.open(tmp_path / "index") as index, index.snapshot() as snapshot:
        assert 0 < snapshot.state.vectors.base.ntotal < FILES
        assert snapshot.best("bell7", "en", 3)
    resume()
    monkeypatch.setattr(faiss_index, "build_base", lambda *_: pytest.fail("HNSW began again"))
    index_it(documents, tmp_path / "index")
    manifest = json.loads((tmp_path / "index" / MANIFEST).read_text())
    assert manifest["vectors"] and "partial" not in manifest
    with Index.open(tmp_path / "index") as index, index.snapshot() as snapshot:
        assert len(base_ids(snapshot.state.vectors.base)) == FILES and snapshot.state.vectors.kind == "hnsw"
        assert list(index.problems()) == []
    assert nearest(tmp_path / "index") == nearest(tmp_path / "whole")
    assert len(list((tmp_path / "index").glob("vectors-*.faiss"))) == 1


@pytest.mark.usefixtures("slices")
def test_what_was_deleted_is_not_in_a_part(documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index_it(documents, tmp_path / "index")
    (documents / "03.txt").unlink()
    for number in range(FILES, FILES + 6):
        (documents / f"{number:02}.txt").write_text(f"The tower number {number} has the bell{number}.")
    resume = stopped_after(4, monkeypatch)
    with pytest.raises(Stopped):
        index_it(documents, tmp_path / "index")
    assert json.loads((tmp_path / "index" / MANIFEST).read_text())["partial"]
    assert all(source != "03.txt" for hits in nearest(tmp_path / "index") for source, _ in hits)
    resume()
    index_it(documents, tmp_path / "index")
    with Index.open(tmp_path / "index") as index:
        assert list(index.problems()) == []
    assert all(source != "03.txt" for hits in nearest(tmp_path / "index") for source, _ in hits)


def test_a_reader_builds_no_hnsw(documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without derived files it searches exactly: making HNSW of a million passages takes twenty minutes."""
    index_it(documents, tmp_path / "index")
    before = nearest(tmp_path / "index")
    (tmp_path / "index" / MANIFEST).unlink()
    with Index.open(tmp_path / "index") as index, index.snapshot() as snapshot:
        assert snapshot.state.vectors.kind == "flat"
    assert nearest(tmp_path / "index") == before


def test_the_vectors_of_an_opened_index_stay_in_its_file(documents: Path, tmp_path: Path) -> None:
    """Those of HNSW. numpy computes with the vectors of a flat index, which must be aligned for that."""
    for kind in ("flat", "hnsw"):
        settings = IndexSettings(embedder=EMBEDDER.name, vectors=kind)  # type: ignore[arg-type]
        build_index(documents, tmp_path / kind, settings, embedder=EMBEDDER)
        with Index.open(tmp_path / kind) as index, index.snapshot() as snapshot:
            assert faiss_index._is_mapped(snapshot.state.vectors.base) == (kind == "hnsw")
            rows = snapshot.state.vectors.rows
            assert kind == "hnsw" or (rows is not None and rows.vectors.flags.aligned)
            assert isinstance(snapshot.state.keywords.segments[0].rows, np.memmap)


def derived(index: Path) -> set[str]:
    return {path.name for path in index.iterdir() if path.suffix in (".faiss", ".npz")}


def test_a_full_disk_keeps_no_files_of_the_try_that_failed(
    documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the next try finds less room than the first."""
    index_it(documents, tmp_path / "index")
    before, save = derived(tmp_path / "index"), faiss_index.save_base

    def full(base: Any, path: Path) -> None:
        save(base, path)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(faiss_index, "save_base", full)
    (documents / "00.txt").write_text("The tower is gone.")
    with pytest.raises(DiskFull):
        index_it(documents, tmp_path / "index")
    assert derived(tmp_path / "index") == before
    monkeypatch.undo()
    index_it(documents, tmp_path / "index")
    assert len(derived(tmp_path / "index")) == 3


@pytest.mark.parametrize("manifest", [None, "{", "[]", '{"keywords": 3, "sentences": []}'])
def test_files_of_a_killed_process_go_before_new_ones_are_written(
    documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manifest: str | None
) -> None:
    index_it(documents, tmp_path / "index")
    left, write = tmp_path / "index" / "keywords-spool-0.npz", DerivedFiles.keywords
    left.write_bytes(b"postings")
    if manifest is not None:
        (tmp_path / "index" / MANIFEST).write_text(manifest)
    seen: list[bool] = []

    def keywords(files: DerivedFiles, *given: Any) -> Segment:
        seen.append(left.exists())
        return write(files, *given)

    monkeypatch.setattr(DerivedFiles, "keywords", keywords)
    with Index.open(tmp_path / "index", writable=True) as index, index.folder.writer():
        index.publish()
        assert seen == [False] and list(index.problems()) == []


def test_files_that_are_replaced_while_they_are_read_are_read_again(
    documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While HNSW is made that is every two minutes, and a reader that read all vectors instead would need minutes."""
    index_it(documents, tmp_path / "index")
    before, load = nearest(tmp_path / "index"), faiss_index.load_base

    def replaced(path: Path, mapped: bool = False) -> Any:
        monkeypatch.setattr(faiss_index, "load_base", load)
        with Index.open(tmp_path / "index", writable=True) as index, index.folder.writer():
            index.publish()
        return load(path, mapped)

    monkeypatch.setattr(faiss_index, "load_base", replaced)
    with Index.open(tmp_path / "index") as index, index.snapshot() as snapshot:
        assert snapshot.state.vectors.kind == "hnsw", "not rebuilt"
    assert nearest(tmp_path / "index") == before


def test_postings_that_cannot_be_spooled_are_made_from_the_texts(
    documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full for a moment costs time only."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SegmentSpool, "add", full)
    index_it_without_publishing = Index.publish
    monkeypatch.setattr(
        Index, "publish", lambda self, **how: (monkeypatch.undo(), index_it_without_publishing(self, **how))[1]
    )
    index_it(documents, tmp_path / "index")
    with Index.open(tmp_path / "index") as index, index.snapshot() as snapshot:
        assert snapshot.best("bell7", "en", 3) and list(index.problems()) == []
    with IndexFolder.open(tmp_path / "index") as folder:
        assert folder.counts()["passages"] == FILES
