"""The second tier of an index: sentence vectors, computed after the passages are searchable by their token vectors.

`docqa index` deepens in the same run, the service in a job that gives way to questions. The newest passages come first.
Each batch is one transaction under the writer lock, which is free in between. So a run can be stopped at any moment (even
by kill -9), another writer never waits long, and the next run continues.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexing.arrays import Matrix
from indexing.errors import IndexMismatch
from indexing.models.embedder import Embedder
from indexing.models.registry import resolve
from indexing.store.corpus_db import IndexFolder, StoredChunk
from indexing.store.index import Index
from indexing.store.sentence_vectors import SentenceVectors, second_tier

BATCH = 256
AT_ONCE = 32
LOCK_S = 600.0
PUBLISH_S = 300.0

Progress = Callable[[int, int], None]
"""Called with the passages done and all passages, some times in a batch. It may wait, or raise to stop the run."""


@dataclass(frozen=True, slots=True)
class Deepened:
    """The result of a run. deepened: passages with a sentence vector, of `passages`; added: vectors of this run."""

    deepened: int
    passages: int
    added: int
    seconds: float


def coverage(folder: IndexFolder) -> float | None:
    """The share of an index's passages that have a sentence vector, 0 to 1; None if it has one tier."""
    if not second_tier(folder):
        return None
    deepened, passages = SentenceVectors(folder).coverage()
    return deepened / passages if passages else 1.0


def deepen_index(
    path: Path, *, embedder: Embedder | None = None, progress: Progress | None = None, lock_s: float = LOCK_S
) -> Deepened:
    """Give every passage of the index in `path` its sentence vector, and write the derived files.

    embedder: of the second tier; None loads it if a passage lacks its vector.
    lock_s: seconds to wait for another writer at each batch.
    Raises IndexMismatch for an index of one tier; IndexBusy, IndexFolderError and ModelError with their subclasses.
    """
    began = time.monotonic()
    with IndexFolder.open(path) as folder:
        name, tier = second_tier(folder), SentenceVectors(folder)
        if not name:
            raise IndexMismatch(f"The index in {path} has one tier of vectors, so there is nothing to deepen.")
        model, known = embedder or resolve(name, "embedder"), tier.model()
        if known is not None and known["fingerprint"] == model.fingerprint and not tier.missing(1):
            return Deepened(*tier.coverage(), 0, time.monotonic() - began)
    embedder = embedder or Embedder.load(name)
    with Index.open(path, writable=True) as index:
        tier = SentenceVectors(index.folder)
        with index.folder.writer(lock_s):
            tier.begin(embedder.facts())
        added, published = 0, time.monotonic()
        while ids := tier.missing(BATCH):
            chunks = index.folder.chunks(ids)
            vectors = _encoded(embedder, chunks, tier.coverage(), progress)
            with index.folder.writer(lock_s):
                added += tier.write([chunk.id for chunk in chunks], vectors)
                if time.monotonic() - published > PUBLISH_S:
                    index.publish()
                    published = time.monotonic()
        with index.folder.writer(lock_s):
            index.publish()
        return Deepened(*tier.coverage(), added, time.monotonic() - began)


def _encoded(
    embedder: Embedder, chunks: Sequence[StoredChunk], coverage: tuple[int, int], progress: Progress | None
) -> Matrix:
    """The vectors of passages, float32 [n, d]; `progress` is called after every AT_ONCE of them.

    coverage: of the index before them.
    """
    parts = []
    for start in range(0, len(chunks), AT_ONCE):
        parts.append(embedder.passages([chunk.text for chunk in chunks[start : start + AT_ONCE]]))
        if progress:
            progress(coverage[0] + min(start + AT_ONCE, len(chunks)), coverage[1])
    return np.concatenate(parts)
