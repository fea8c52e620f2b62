"""The vector index against brute force: every kind, with additions, deletions and allowed sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexing.arrays import Ids, Matrix
from indexing.errors import IndexDamaged
from indexing.models.embedder import unit
from indexing.settings import VectorKind
from indexing.store import faiss_index
from indexing.store.faiss_index import VectorIndex, base_ids, grow_base, kind_for, load_base, make_base, save_base
from indexing.store.vector_column import VectorColumn

COUNT, DIMENSION = 3_000, 16


@pytest.fixture(scope="module")
def data() -> tuple[Ids, Matrix]:
    random = np.random.default_rng(7)
    centres = random.normal(size=(40, DIMENSION))
    rows = centres[random.integers(0, 40, COUNT)] + 0.6 * random.normal(size=(COUNT, DIMENSION))
    return np.arange(COUNT, dtype=np.int64) * 3 + 5, unit(rows.astype(np.float32))


def make(data: tuple[Ids, Matrix], kind: Any, added: int = 100) -> VectorIndex:
    ids, vectors = data
    base = make_base([(ids[:-added], vectors[:-added])], kind, len(ids) - added, vectors)
    return VectorIndex(
        DIMENSION,
        base,
        kind,
        ids[-added:],
        vectors[-added:],
        dead=ids[::7],  # type: ignore[arg-type]
        exact=lambda wanted: vectors[(wanted - 5) // 3],
    )


def brute(data: tuple[Ids, Matrix], query: Matrix, live: Ids, top_k: int) -> list[int]:
    ids, vectors = data
    keep = np.isin(ids, live)
    order = np.argsort(-(vectors[keep] @ query), kind="stable")[:top_k]
    return [int(number) for number in ids[keep][order]]


@pytest.mark.parametrize("kind", ["flat", "hnsw", "ivfpq"])
def test_against_brute_force(data: tuple[Ids, Matrix], kind: str) -> None:
    index = make(data, kind)
    ids = data[0]
    for allowed in (None, ids[:1500], ids[1::40], ids[:0]):
        live = np.setdiff1d(ids if allowed is None else allowed, index.dead)
        hits = 0
        for query in unit(np.random.default_rng(3).normal(size=(40, DIMENSION)).astype(np.float32)):
            found = index.search(query, 10, allowed)
            wanted = brute(data, query, live, 10)
            assert {number for number, _ in found} <= set(live.tolist())
            assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
            assert len(found) == len(wanted)
            hits += len({number for number, _ in found} & set(wanted))
        exact = kind == "flat" or (allowed is not None and len(allowed) < 1000)
        assert hits == 40 * min(10, len(live)) if exact else hits >= 0.9 * 400, (kind, hits)


def test_scores_are_inner_products(data: tuple[Ids, Matrix]) -> None:
    ids, vectors = data
    for number, score in make(data, "flat").search(vectors[1], 5):
        assert score == pytest.approx(float(vectors[(number - 5) // 3] @ vectors[1]), abs=1e-5)
    assert make(data, "flat").search(vectors[1], 1)[0][0] == ids[1]


def test_ids_are_those_alive(data: tuple[Ids, Matrix]) -> None:
    index = make(data, "flat")
    assert index.ids().tolist() == np.setdiff1d(data[0], index.dead).tolist()


def test_growing_leaves_the_original(data: tuple[Ids, Matrix]) -> None:
    ids, vectors = data
    base = make_base([(ids[:10], vectors[:10])], "hnsw", 10, vectors)
    more = grow_base(base, ids[10:20], vectors[10:20])
    assert base.ntotal == 10 and base_ids(more).tolist() == ids[:20].tolist()


@pytest.mark.parametrize("kind", ["flat", "hnsw", "ivfpq"])
def test_a_base_is_built_from_parts(data: tuple[Ids, Matrix], kind: VectorKind) -> None:
    ids, vectors = data
    parts = [(ids[start : start + 700], vectors[start : start + 700]) for start in range(0, COUNT, 700)]
    base = make_base(parts, kind, COUNT, vectors)
    assert base.ntotal == COUNT and np.array_equal(base_ids(base), ids)
    scores, found = base.search(vectors[:50], 1)
    near = found[:, 0] == ids[:50]
    assert near.all() if kind == "flat" else near.mean() >= 0.9
    if kind != "ivfpq":
        assert np.array_equal(base.reconstruct_batch(ids[::301]), vectors[::301])


def column(data: tuple[Ids, Matrix], kind: VectorKind, asked: list[int]) -> VectorColumn:
    """A column of which each fourth passage has no vector."""
    ids, vectors = data

    def fetch(wanted: Ids) -> tuple[Ids, Matrix]:
        asked.append(len(wanted))
        kept = wanted[(wanted - 5) // 3 % 4 > 0]
        return kept, vectors[(kept - 5) // 3]

    return VectorColumn("vectors", DIMENSION, kind, fetch)


def test_a_column_is_rebuilt_part_by_part(data: tuple[Ids, Matrix], monkeypatch: pytest.MonkeyPatch) -> None:
    ids, vectors = data
    monkeypatch.setattr("indexing.store.vector_column.PART", 500)
    asked: list[int] = []
    rebuilt = column(data, "flat", asked).rebuilt(ids)
    assert asked == [500] * 6
    assert rebuilt.ids().tolist() == ids[np.arange(COUNT) % 4 > 0].tolist()
    assert rebuilt.search(vectors[1], 1)[0][0] == ids[1]
    asked.clear()
    assert column(data, "flat", asked).rebuilt(ids, ids, vectors).ids().tolist() == ids.tolist() and not asked
    assert column(data, "flat", asked).rebuilt(ids[:1]).base is None


def test_the_kind_of_a_rebuilt_column_is_that_of_its_vectors(
    data: tuple[Ids, Matrix], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("FLAT_UP_TO", 2_500), ("TRAINABLE", 2_000)):
        monkeypatch.setattr(faiss_index, name, value)
    assert column(data, "auto", []).rebuilt(data[0]).kind == "flat"
    monkeypatch.setattr(faiss_index, "FLAT_UP_TO", 2_000)
    assert column(data, "auto", []).rebuilt(data[0]).kind == "hnsw"
    coded = column(data, "ivfpq", []).rebuilt(data[0])
    assert coded.kind == "ivfpq" and coded.base.ntotal == COUNT * 3 // 4
    monkeypatch.setattr(faiss_index, "TRAINABLE", 2_500)
    assert column(data, "ivfpq", []).rebuilt(data[0]).kind == "flat"


def test_files(data: tuple[Ids, Matrix], tmp_path: Path) -> None:
    ids, vectors = data
    save_base(make_base([(ids, vectors)], "flat", len(ids), vectors), tmp_path / "v.faiss")
    base = load_base(tmp_path / "v.faiss")
    assert np.array_equal(base.reconstruct_batch(ids[:5]), vectors[:5])
    (tmp_path / "cut.faiss").write_bytes((tmp_path / "v.faiss").read_bytes()[:500])
    with pytest.raises(IndexDamaged):
        load_base(tmp_path / "cut.faiss")


def test_an_empty_index_finds_nothing() -> None:
    assert VectorIndex(4).search(np.ones(4, np.float32), 3) == []
    assert kind_for("ivfpq", 10) == "flat"
