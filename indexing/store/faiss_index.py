"""FAISS vector index: flat, HNSW or IVF-PQ, with an optional set of allowed ids.

An index is an immutable FAISS base from disk, the few vectors added since (searched exactly, in numpy), and the ids
deleted since. Vectors are float32 of unit length (zero for texts without content). The score is the inner product.

Kinds: `flat` is exact. `hnsw` (M 32, efConstruction 200, efSearch 128) and `ivfpq` (with exact re-ranking) are
approximate, for corpora where flat is too slow. Questions restricted to few ids, and all over a flat base, get exact
results.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexing.arrays import Ids, Matrix, top_scores
from indexing.atomic_files import write_error
from indexing.errors import IndexDamaged
from indexing.settings import VectorKind

Fetch = Callable[[Ids], Matrix]
Slices = Iterable[tuple[Ids, Matrix]]
Sample = Callable[[int], Matrix]
Saved = Callable[[Any], None]

FLAT_UP_TO = 200_000
HNSW_UP_TO = 5_000_000
EXACT_UP_TO = 20_000
TRAINABLE = 39 * 256
TRAINED = 64  # vectors a list of ivfpq is trained on
CHECKPOINT_S = 120.0
EF_SEARCH = 128
RERANK = 20


def _faiss() -> Any:
    """Import FAISS when first needed. It is typed Any, since its stubs lack its own classes."""
    import faiss

    return faiss


def kind_for(kind: VectorKind, count: int) -> VectorKind:
    """The kind of index for `count` vectors: as configured, or by size for `auto`; flat if too few to train ivfpq.

    >>> kind_for("auto", 10_000), kind_for("auto", 1_000_000), kind_for("auto", 50_000_000)
    ('flat', 'hnsw', 'ivfpq')
    """
    if kind == "ivfpq" and count < TRAINABLE:
        return "flat"
    if kind != "auto":
        return kind
    return "flat" if count <= FLAT_UP_TO else "hnsw" if count <= HNSW_UP_TO else "ivfpq"


def make_base(ids: Ids, vectors: Matrix, kind: VectorKind) -> Any:
    """Build a FAISS `IndexIDMap2` of this kind (not `auto`) over ids [n] and vectors [n, d]."""
    return build_base(int(vectors.shape[1]), kind, len(ids), [(ids, vectors)], lambda most: vectors)


def build_base(
    dimension: int, kind: VectorKind, count: int, slices: Slices, sample: Sample, saved: Saved | None = None
) -> Any:
    """Build a FAISS `IndexIDMap2` of this kind (not `auto`) from slices of ids [n] and vectors [n, d]: `count` in all.

    sample: gives at most so many vectors to train ivfpq. saved: see `grow`.
    """
    faiss = _faiss()
    if kind == "flat":
        inner = faiss.IndexFlatIP(dimension)
        _reserve(inner.codes, 4 * dimension * count)
    elif kind == "hnsw":
        inner = faiss.IndexHNSWFlat(dimension, 32, faiss.METRIC_INNER_PRODUCT)
        inner.hnsw.efConstruction = 200
        _reserve(faiss.downcast_index(inner.storage).codes, 4 * dimension * count)
    else:
        inner = _ivfpq(dimension, count)
        inner.train(np.ascontiguousarray(sample(max(TRAINABLE, TRAINED * inner.nlist))))
    index = faiss.IndexIDMap2(inner)
    inner.this.own(False)
    index.own_fields = True
    grow(index, slices, saved if kind == "hnsw" else None)
    return index


def _reserve(codes: Any, size: int) -> None:
    """Give a vector of bytes room once, since growing it by halves needs up to three times the memory."""
    codes.resize(size)
    codes.resize(0)


def grow(base: Any, slices: Slices, saved: Saved | None = None) -> None:
    """Add slices of ids [n] and vectors [n, d] to a FAISS index.

    saved: called with the index about every CHECKPOINT_S seconds, so that an interrupted run keeps what it has.
    """
    began = time.monotonic()
    for ids, vectors in slices:
        if saved is not None and time.monotonic() - began > CHECKPOINT_S:
            saved(base)
            began = time.monotonic()
        if len(ids):
            base.add_with_ids(np.ascontiguousarray(vectors), np.ascontiguousarray(ids))


def _ivfpq(dimension: int, count: int) -> Any:
    faiss = _faiss()
    lists = max(1, min(int(4 * count**0.5), count // 40))
    parts = next(parts for parts in (48, 32, 24, 16, 8, 4, 2, 1) if dimension % parts == 0)
    bits = 8 if count >= TRAINABLE else 6
    quantizer = faiss.IndexFlatIP(dimension)
    inner = faiss.IndexIVFPQ(quantizer, dimension, lists, parts, bits, faiss.METRIC_INNER_PRODUCT)
    quantizer.this.own(False)
    inner.own_fields = True
    inner.nprobe = max(1, lists // 4)
    return inner


def grow_base(base: Any, slices: Slices, saved: Saved | None = None) -> Any:
    """A copy of a FAISS index with vectors added; the original is unchanged. slices, saved: as in `grow`."""
    faiss = _faiss()
    copy = faiss.deserialize_index(faiss.serialize_index(base)) if _is_mapped(base) else faiss.clone_index(base)
    grow(copy, slices, saved)
    return copy


def _is_mapped(base: Any) -> bool:
    """Whether the vectors are those of a mapped file. FAISS ends the process when such an index is added to."""
    inner = _faiss().downcast_index(base.index)
    inner = _faiss().downcast_index(inner.storage) if hasattr(inner, "storage") else inner
    return hasattr(inner, "codes") and not inner.codes.is_owned


def save_base(base: Any, path: Path) -> None:
    """Write a FAISS file. Raises OSError, also for what FAISS says without an error number."""
    faiss = _faiss()
    try:
        faiss.write_index(base, str(path))
    except RuntimeError as error:
        number = write_error(path.parent) or errno.EIO
        raise OSError(number, os.strerror(number)) from error


def load_base(path: Path, mapped: bool = False) -> Any:
    """Read a FAISS file, whose checksum the caller has verified. Raises IndexDamaged if FAISS refuses it.

    mapped: leave the vectors in the file; the system reads them when needed, and may drop them from memory.
    """
    faiss = _faiss()
    try:
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mapped else 0)
    except RuntimeError as error:
        raise IndexDamaged(f"The vector index {path.name} cannot be read by FAISS.") from error


def base_ids(base: Any) -> Ids:
    """The ids inside a FAISS `IndexIDMap2`, int64 [n]."""
    faiss = _faiss()
    return np.array(faiss.vector_to_array(base.id_map), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Rows:
    """The contents of a flat base without a copy: vectors[order[i]] has ids[i], and ids ascend."""

    ids: Ids
    order: NDArray[np.int64]
    vectors: Matrix

    @classmethod
    def of(cls, base: Any) -> Rows:
        """The rows of an `IndexIDMap2` over an `IndexFlatIP`. The base must outlive them."""
        faiss = _faiss()
        ids, flat = base_ids(base), faiss.downcast_index(base.index)
        order = np.argsort(ids, kind="stable")
        vectors = faiss.rev_swig_ptr(flat.get_xb(), flat.ntotal * flat.d).reshape(flat.ntotal, flat.d)
        return cls(ids[order], order, vectors)

    def scores(self, query: Matrix, allowed: Ids) -> tuple[Ids, NDArray[np.float64]]:
        """The present ids among `allowed` (ascending), and their inner products with the query."""
        at = np.searchsorted(self.ids, allowed)
        at = at[self.ids[np.minimum(at, len(self.ids) - 1)] == allowed]
        chosen = self.order[at]
        many = 4 * len(chosen) > len(self.ids)
        scores = (self.vectors @ query)[chosen] if many else self.vectors[chosen] @ query
        return self.ids[at], scores.astype(np.float64)


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """A FAISS base, the vectors added since, and the ids deleted since. Immutable.

    exact: returns the stored vectors of ids; needed if the base holds only approximations.
    """

    dimension: int
    base: Any = None
    kind: VectorKind = "flat"
    added_ids: Ids = field(default_factory=lambda: np.empty(0, np.int64))
    added: Matrix = field(default_factory=lambda: np.empty((0, 0), np.float32))
    dead: Ids = field(default_factory=lambda: np.empty(0, np.int64))
    exact: Fetch | None = None
    rows: Rows | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.kind == "flat" and self.base is not None and self.base.ntotal:
            object.__setattr__(self, "rows", Rows.of(self.base))

    def ids(self) -> Ids:
        """The ids that are not deleted, ascending."""
        parts = [self.added_ids] + ([base_ids(self.base)] if self.base is not None else [])
        return np.setdiff1d(np.concatenate(parts), self.dead)

    def search(self, query: Matrix, top_k: int, allowed: Ids | None = None) -> list[tuple[int, float]]:
        """The nearest `top_k` (id, inner product) to query [d], best first, equal ones by ascending id.

        allowed: None = every passage; an array (possibly empty) = only these ids.
        """
        if top_k <= 0 or (allowed is not None and not len(allowed)):
            return []
        query = np.ascontiguousarray(query, dtype=np.float32).reshape(self.dimension)
        found = [self._search_added(query, allowed), self._search_base(query, top_k, allowed)]
        ids = np.concatenate([ids for ids, _ in found])
        scores = np.concatenate([scores for _, scores in found])
        return top_scores(ids, scores, top_k)

    def _search_added(self, query: Matrix, allowed: Ids | None) -> tuple[Ids, NDArray[np.float64]]:
        if not len(self.added_ids):
            return self.added_ids, np.empty(0)
        keep = ~np.isin(self.added_ids, self.dead)
        if allowed is not None:
            keep &= np.isin(self.added_ids, allowed)
        return self.added_ids[keep], (self.added[keep] @ query).astype(np.float64)

    def _search_base(self, query: Matrix, top_k: int, allowed: Ids | None) -> tuple[Ids, NDArray[np.float64]]:
        if self.base is None or not self.base.ntotal:
            return np.empty(0, np.int64), np.empty(0)
        if allowed is not None:
            allowed = np.setdiff1d(allowed, self.dead, assume_unique=True) if len(self.dead) else allowed
            if self.rows is not None:
                return self.rows.scores(query, allowed)
            if len(allowed) <= EXACT_UP_TO or len(allowed) * 20 < self.base.ntotal:
                return self._score_exactly(query, np.intersect1d(allowed, base_ids(self.base)))
        reach = top_k * RERANK if self.kind == "ivfpq" else top_k
        scores, ids = self.base.search(
            query.reshape(1, -1), min(reach, self.base.ntotal), params=self._parameters(allowed, reach)
        )
        found = np.array(ids[0][ids[0] >= 0], dtype=np.int64)
        if self.kind == "ivfpq":
            return self._score_exactly(query, found)
        return found, scores[0][ids[0] >= 0].astype(np.float64)

    def _score_exactly(self, query: Matrix, ids: Ids) -> tuple[Ids, NDArray[np.float64]]:
        if not len(ids):
            return ids, np.empty(0)
        if self.kind == "ivfpq" and self.exact is not None:
            vectors = self.exact(ids)
        else:
            vectors = self.base.reconstruct_batch(np.ascontiguousarray(ids))
        return ids, (vectors @ query).astype(np.float64)

    def _parameters(self, allowed: Ids | None, reach: int) -> Any:
        """FAISS search parameters that restrict the search to allowed or not deleted ids."""
        faiss = _faiss()
        options: dict[str, Any] = {}
        if allowed is not None:
            options["sel"] = faiss.IDSelectorBatch(allowed)
        elif len(self.dead):
            options["sel"] = faiss.IDSelectorNot(faiss.IDSelectorBatch(self.dead))
        if self.kind == "hnsw":
            return faiss.SearchParametersHNSW(efSearch=max(EF_SEARCH, 2 * reach), **options)
        if self.kind == "ivfpq":
            return faiss.SearchParametersIVF(nprobe=faiss.downcast_index(self.base.index).nprobe, **options)
        return faiss.SearchParameters(**options) if options else None
