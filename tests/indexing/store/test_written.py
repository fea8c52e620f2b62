"""Postings and vectors of a run: the same index however much is kept in memory, and memory that does not grow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from indexing.build import build_index
from indexing.store import bm25, written
from indexing.store.bm25 import ARRAYS, Segment
from indexing.store.index import Index
from indexing.store.written import WrittenPassages
from tests.known import WordEmbedder


def segment(first: int, count: int, seed: int) -> Segment:
    """The postings of `count` passages from id `first` on, of 30 words each."""
    drawn = np.random.default_rng(seed).integers(0, 200, (count, 30))
    return Segment.build([(first + at, [f"w{word}" for word in row]) for at, row in enumerate(drawn)])


def arrays(found: Segment) -> list[list[int]]:
    return [getattr(found, name).tolist() for name in ARRAYS]


def test_a_merge_in_ranges_of_terms_is_that_of_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    segments = [segment(1 + 20 * number, 20, number) for number in range(5)]
    for dead in (np.empty(0, np.int64), np.array([1, 2, 41, 60, 99, 100]), np.arange(1, 101)):
        whole = Segment.merge(segments, dead)
        with monkeypatch.context() as small:
            small.setattr(bm25, "MERGED_AT_ONCE", 50)
            assert arrays(Segment.merge(segments, dead)) == arrays(whole)
    built = Segment.merge([segment(1, 20, 0)], np.empty(0, np.int64))
    assert arrays(built) == arrays(segment(1, 20, 0))


def test_postings_move_to_a_file_and_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written, "SPILL_POSTINGS", 1_000)
    monkeypatch.setattr(written, "KEPT_VECTORS", 150)
    kept, parts, vectors = WrittenPassages(tmp_path), [], np.ones((20, 4), np.float32)
    for number in range(10):
        part = segment(1 + 20 * number, 20, number)
        parts.append(part)
        kept.add(part.ids, part, vectors)
    assert len(kept._spilled) == 5 and not kept._words
    assert all(isinstance(one.rows, np.memmap) for one in kept._spilled)
    assert list(tmp_path.iterdir()) == []
    words, matrix = kept.take()
    assert matrix is None and arrays(words) == arrays(Segment.merge(parts, np.empty(0, np.int64)))
    assert arrays(kept.take()[0]) == arrays(bm25.EMPTY)
    kept.add(parts[0].ids, parts[0], vectors)
    words, matrix = kept.take()
    assert words.ids.tolist() == parts[0].ids.tolist() and matrix is not None and matrix.shape == (20, 4)


def test_postings_stay_in_memory_where_no_file_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **named: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(written, "SPILL_POSTINGS", 100)
    monkeypatch.setattr("tempfile.TemporaryFile", full)
    kept = WrittenPassages(tmp_path)
    parts = [segment(1 + 20 * number, 20, number) for number in range(3)]
    for part in parts:
        kept.add(part.ids, part, np.ones((20, 4), np.float32))
    assert arrays(kept.take()[0]) == arrays(Segment.merge(parts, np.empty(0, np.int64)))


def test_an_index_is_the_same_however_much_of_a_run_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    for number in range(30):
        words = " ".join(f"word{(number * at) % 50}" for at in range(1, 40))
        (tmp_path / "in" / f"{number:02d}.txt").write_text(f"Pier {number} is {number + 10} metres deep. {words}.")
    monkeypatch.setattr("indexing.prepare.BATCH_CHARACTERS", 500)
    build_index(tmp_path / "in", tmp_path / "kept", embedder=WordEmbedder())  # type: ignore[arg-type]
    monkeypatch.setattr(written, "SPILL_POSTINGS", 40)
    monkeypatch.setattr(written, "KEPT_VECTORS", 3)
    monkeypatch.setattr(bm25, "MERGED_AT_ONCE", 60)
    monkeypatch.setattr("indexing.store.vector_column.PART", 7)
    build_index(tmp_path / "in", tmp_path / "spilled", embedder=WordEmbedder())  # type: ignore[arg-type]
    with Index.open(tmp_path / "kept") as one, Index.open(tmp_path / "spilled") as other:
        assert arrays(one._state.keywords.segments[0]) == arrays(other._state.keywords.segments[0])
        assert one._state.vectors.ids().tolist() == other._state.vectors.ids().tolist()
        for vector in one.folder.vectors(one.folder.chunk_ids())[1]:
            assert one._state.vectors.search(vector, 5) == other._state.vectors.search(vector, 5)
        assert list(other.problems()) == []
    names = {path.name.partition("-")[0] for path in (tmp_path / "spilled").iterdir()}
    assert names <= {"corpus.db", "derived.json", "keywords", "vectors", "writer.lock"}
