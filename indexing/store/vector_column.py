"""One column of vectors of an index folder, with its FAISS file: rebuilt, advanced by changes, and published.

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
from indexing.store.faiss_index import Saved, VectorIndex

REBUILD_SHARE = 0.3
SLICE = 8_192
NO_IDS: Ids = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class VectorColumn:
    """name: beginning of the file's name. fetch: ids -> those with a vector, ascending, and the vectors [n, d].

    kind: the kind of FAISS index, as configured.
    """

    name: str
    dimension: int
    kind: VectorKind
    fetch: Callable[[Ids], tuple[Ids, Matrix]]

    def load(self, path: Path | None, entry: dict[str, Any], mapped: bool = False) -> VectorIndex:
        """The index in a verified FAISS file (None: no base). entry: its kind and dead ids. Raises IndexDamaged.

        mapped: as in `load_base`.
        """
        base = None if path is None else faiss_file.load_base(path, mapped)
        if base is not None and base.d != self.dimension:
            raise IndexDamaged("the vector index has another dimension than the model")
        dead = np.array(entry["dead"], dtype=np.int64)
        return VectorIndex(dimension=self.dimension, base=base, kind=entry["kind"], dead=dead, exact=self._exact)

    def rebuilt(self, ids: Ids) -> VectorIndex:
        """A new base of these passages' vectors. It is exact, since building another takes long; `published` builds that."""
        return self._built(ids, "flat", None)

    def _built(self, ids: Ids, kind: VectorKind, saved: Saved | None) -> VectorIndex:
        def sample(most: int) -> Matrix:
            return self.fetch(ids[:: -(-len(ids) // most)])[1]

        base = None
        if len(ids):
            base = faiss_file.build_base(self.dimension, kind, len(ids), self._slices(ids), sample, saved)
        return VectorIndex(self.dimension, base if base is not None and base.ntotal else None, kind, exact=self._exact)

    def _slices(self, ids: Ids) -> Iterator[tuple[Ids, Matrix]]:
        for start in range(0, len(ids), SLICE):
            yield self.fetch(ids[start : start + SLICE])

    def missing(self, index: VectorIndex, ids: Ids) -> tuple[Ids, Matrix]:
        """Those of `ids` that the index does not hold but that have a vector, and their vectors."""
        return self.fetch(np.setdiff1d(np.setdiff1d(ids, index.ids()), index.dead))

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

    def published(
        self, index: VectorIndex, fresh: Ids, gone: Ids, partial: Callable[[Any, Ids], None] | None = None
    ) -> VectorIndex:
        """The index with `fresh` passages and all additions in its base, and without the deleted ones `gone`.

        Vectors are read in slices. partial: called with an HNSW base in the making and the ids in it that are dead.
        """
        base = index.base

        def saved(made: Any) -> None:
            if partial is not None:
                partial(made, np.setdiff1d(faiss_file.base_ids(made), alive))

        held = NO_IDS if base is None else faiss_file.base_ids(base)
        new = np.setdiff1d(np.concatenate([index.added_ids, fresh]), gone)
        dead = np.intersect1d(np.union1d(index.dead, gone), held)
        alive = np.union1d(np.setdiff1d(held, dead), new)
        count = len(alive)
        kind = faiss_file.kind_for(self.kind, count)
        same = base is not None and kind == index.kind
        if same and not len(new) and (not len(dead) or kind != "flat"):
            return VectorIndex(self.dimension, base, kind, dead=dead, exact=self._exact)
        changed = len(dead) + (len(new) if kind == "ivfpq" else 0)
        if not same or kind == "flat" or changed > REBUILD_SHARE * count:
            return self._built(alive, kind, saved)
        return VectorIndex(
            self.dimension, faiss_file.grow_base(base, self._slices(new), saved), kind, dead=dead, exact=self._exact
        )

    def _exact(self, ids: Ids) -> Matrix:
        return self.fetch(ids)[1]
