"""The vector index against brute force: every kind, with additions, deletions and allowed sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexing.arrays import Ids, Matrix
from indexing.errors import IndexDamaged
from indexing.models.embedder import unit
from indexing.store.faiss_index import VectorIndex, base_ids, grow_base, kind_for, load_base, make_base, save_base

COUNT, DIMENSION = 3_000, 16


@pytest.fixture(scope="module")
def data() -> tuple[Ids, Matrix]:
    random = np.random.default_rng(7)
    centres = random.normal(size=(40, DIMENSION))
    rows = centres[random.integers(0, 40, COUNT)] + 0.6 * random.normal(size=(COUNT, DIMENSION))
    return np.arange(COUNT, dtype=np.int64) * 3 + 5, unit(rows.astype(np.float32))


def make(data: tuple[Ids, Matrix], kind: Any, added: int = 100) -> VectorIndex:
    ids, vectors = data
    base = make_base(ids[:-added], vectors[:-added], kind)  # type: ignore[arg-type]
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
    base = make_base(ids[:10], vectors[:10], "hnsw")
    more = grow_base(base, [(ids[10:20], vectors[10:20])])
    assert base.ntotal == 10 and base_ids(more).tolist() == ids[:20].tolist()


def test_files(data: tuple[Ids, Matrix], tmp_path: Path) -> None:
    ids, vectors = data
    save_base(make_base(ids, vectors, "flat"), tmp_path / "v.faiss")
    base = load_base(tmp_path / "v.faiss")
    assert np.array_equal(base.reconstruct_batch(ids[:5]), vectors[:5])
    (tmp_path / "cut.faiss").write_bytes((tmp_path / "v.faiss").read_bytes()[:500])
    with pytest.raises(IndexDamaged):
        load_base(tmp_path / "cut.faiss")


def test_an_empty_index_finds_nothing() -> None:
    assert VectorIndex(4).search(np.ones(4, np.float32), 3) == []
    assert kind_for("ivfpq", 10) == "flat"
