"""Postings and vectors that this process wrote since the last update of its index, so that it need not read them again.

Memory is bounded, however much a run writes: postings move to a file beside the index, which vanishes with the process,
and vectors beyond the first ones are read from the database.
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import fields, replace
from pathlib import Path
from typing import IO

import numpy as np

from indexing.arrays import Ids, Matrix
from indexing.store.bm25 import Segment

logger = logging.getLogger(__name__)

SPILL_POSTINGS = 2_000_000
KEPT_VECTORS = 20_000
NO_IDS: Ids = np.empty(0, np.int64)


class WrittenPassages:
    """The passages that transactions of this process added, in the order of their ids. Not thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clear()

    def _clear(self) -> None:
        self._words: list[Segment] = []
        self._spilled: list[Segment] = []
        self._postings = 0
        self._vectors: list[Matrix] | None = []

    def add(self, ids: Ids, words: Segment, vectors: Matrix) -> None:
        """Add the passages of one transaction. words: numbered from 0; vectors: float32 [n, d]; both in the order of ids."""
        self._words.append(replace(words, ids=ids))
        self._postings += len(words.rows)
        if self._vectors is not None:
            self._vectors.append(vectors)
            if sum(map(len, self._vectors)) > KEPT_VECTORS:
                self._vectors = None
        if self._postings >= SPILL_POSTINGS:
            self._spill()

    def take(self) -> tuple[Segment, Matrix | None]:
        """The postings of all passages, and their vectors, None if they were too many. Nothing is kept."""
        words = Segment.merge([*self._spilled, *self._words], NO_IDS)
        vectors = np.concatenate(self._vectors) if self._vectors else None
        self._clear()
        return words, vectors

    def _spill(self) -> None:
        """Move the postings to a file. They stay in memory if the disk is full."""
        merged = Segment.merge(self._words, NO_IDS)
        try:
            with tempfile.TemporaryFile(dir=self._folder) as file:
                merged = on_disk(merged, file)
        except OSError as error:
            logger.warning("Postings stay in memory, since they cannot be written beside the index (%s).", error.strerror)
        self._spilled.append(merged)
        self._words, self._postings = [], 0


def on_disk(segment: Segment, file: IO[bytes]) -> Segment:
    """The segment with its arrays mapped from a file, to which they are written. Raises OSError."""
    arrays = {field.name: getattr(segment, field.name) for field in fields(Segment)}
    places = {}
    for name, array in arrays.items():
        file.write(b"\0" * (-file.tell() % 8))
        places[name] = file.tell()
        file.write(memoryview(array).cast("B") if len(array) else b"")
    file.flush()
    return Segment(**{name: _mapped(file, array, places[name]) for name, array in arrays.items()})


def _mapped(file: IO[bytes], array: np.ndarray, place: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.memmap(file, dtype=array.dtype, mode="r", offset=place, shape=array.shape) if len(array) else array
