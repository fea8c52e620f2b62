"""One column of vectors of an index folder, with its FAISS file: rebuilt, advanced by changes, folded and stored.

An index has one column, or two: the vectors of its embedder, and the sentence vectors of the second tier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from indexing.arrays import Ids, Matrix
from indexing.errors import IndexDamaged
from indexing.settings import VectorKind
from indexing.store import faiss_index as faiss_file
from indexing.store.faiss_index import VectorIndex

REBUILD_SHARE = 0.3
PART = 10_000


@dataclass(frozen=True, slots=True)
class VectorColumn:
    """name: beginning of the file's name. fetch: ids -> those with a vector, ascending, and the vectors [n, d].

    kind: the kind of FAISS index, as configured.
    """

    name: str
    dimension: int
    kind: VectorKind
    fetch: Callable[[Ids], tuple[Ids, Matrix]]

    def load(self, path: Path | None, entry: dict[str, Any]) -> VectorIndex:
        """The index in a verified FAISS file (None: no base). entry: its kind and dead ids. Raises IndexDamaged."""
        base = None if path is None else faiss_file.load_base(path)
        if base is not None and base.d != self.dimension:
            raise IndexDamaged("the vector index has another dimension than the model")
        dead = np.array(entry["dead"], dtype=np.int64)
        return VectorIndex(dimension=self.dimension, base=base, kind=entry["kind"], dead=dead, exact=self._exact)

    def rebuilt(self, ids: Ids, found: Ids | None = None, matrix: Matrix | None = None) -> VectorIndex:
        """A new base of these passages' vectors. `found` and `matrix` are used if they cover exactly `ids`.

        Otherwise the vectors come from the database, PART at a time; passages without one are left out.
        """
        if found is not None and matrix is not None and np.array_equal(found, ids):
            return self._based(ids, matrix)
        count = len(ids)
        made = self._based(ids, None)
        left = 0 if made.base is None else made.base.ntotal
        if left < count and faiss_file.kind_for(self.kind, left) != made.kind:
            return self._based(*self.fetch(ids))
        return made

    def _based(self, ids: Ids, matrix: Matrix | None) -> VectorIndex:
        """An index with a base of the vectors of `ids`, [n, d]; None: those of the database."""
        kind = faiss_file.kind_for(self.kind, len(ids))
        base = None
        if len(ids):
            sample = self._sample(ids, kind) if matrix is None else matrix
            kind = kind if kind != "ivfpq" or len(sample) >= faiss_file.TRAINABLE else "flat"
            base = faiss_file.make_base(self._parts(ids) if matrix is None else [(ids, matrix)], kind, len(ids), sample)
        base = base if base is not None and base.ntotal else None
        return VectorIndex(dimension=self.dimension, base=base, kind=kind, exact=self._exact)

    def _sample(self, ids: Ids, kind: VectorKind) -> Matrix:
        """Vectors [m, d] for ivfpq to learn from, evenly spread; none for the other kinds."""
        if kind != "ivfpq":
            return np.empty((0, self.dimension), np.float32)
        chosen = np.unique(np.linspace(0, len(ids) - 1, faiss_file.sample_size(len(ids))).astype(np.int64))
        return self.fetch(ids[chosen])[1]

    def _parts(self, ids: Ids) -> Iterator[tuple[Ids, Matrix]]:
        for start in range(0, len(ids), PART):
            yield self.fetch(ids[start : start + PART])

    def advanced(self, index: VectorIndex, ids: Ids, matrix: Matrix, gone: Ids) -> VectorIndex:
        """With vectors [n, d] added, and without the deleted passages `gone`."""
        alive = ~np.isin(index.added_ids, gone)
        return VectorIndex(
            dimension=self.dimension,
            base=index.base,
            kind=index.kind,
            added_ids=np.concatenate([index.added_ids[alive], ids]),
            added=np.concatenate([index.added.reshape(-1, self.dimension)[alive], matrix.reshape(-1, self.dimension)]),
            dead=np.union1d(index.dead, gone),
            exact=self._exact,
        )

    def overgrown(self, index: VectorIndex, new: int) -> bool:
        """Whether `new` more additions are so many that a new base is better than searching them one by one."""
        base = 0 if index.base is None else index.base.ntotal
        return len(index.added_ids) + new > max(2 * faiss_file.EXACT_UP_TO, base)

    def folded(self, index: VectorIndex) -> VectorIndex:
        """The same vectors with all additions merged into the base, and deletions too where that is cheap."""
        if index.base is not None and not len(index.added_ids) and not len(index.dead):
            return index
        ids = index.ids()
        changed = len(index.added_ids) + len(index.dead)
        kind = faiss_file.kind_for(self.kind, len(ids))
        if index.base is None or kind != index.kind or kind == "flat" or changed > REBUILD_SHARE * len(ids):
            return self.rebuilt(ids, index.added_ids, index.added)
        base = faiss_file.grow_base(index.base, index.added_ids, index.added)
        dead = np.intersect1d(index.dead, faiss_file.base_ids(base))
        return VectorIndex(self.dimension, base, kind, dead=dead, exact=self._exact)

    def _exact(self, ids: Ids) -> Matrix:
        return self.fetch(ids)[1]
