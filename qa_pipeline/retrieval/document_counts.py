"""Counts the passages that match a search by words, by document."""

from __future__ import annotations

import threading

import numpy as np

from indexing.arrays import Ids
from indexing.store.corpus_db import IndexFolder
from qa_pipeline.answers import DocumentHits

UNKNOWN, LOST = -1, -2


class DocumentCounts:
    """The documents of the passages of one generation, each looked up once. Thread-safe."""

    def __init__(self, folder: IndexFolder, ids: Ids) -> None:
        """ids: of all passages of the generation, ascending."""
        self._folder, self._ids = folder, ids
        self._guard = threading.Lock()
        self._number = np.full(len(ids), UNKNOWN, np.int32)
        self._documents: list[tuple[str, str]] = []
        self._places: dict[str, int] = {}

    def of(self, ids: Ids, most: int) -> tuple[int, list[DocumentHits]]:
        """The number of documents of some of the passages (ascending ids), and those with the most of them, at most `most`.

        Documents with equally many come in the order of their first passage.
        """
        rows = np.searchsorted(self._ids, ids)
        with self._guard:
            self._look_up(rows[self._number[rows] == UNKNOWN])
            numbers = self._number[rows]
        numbers, first, counts = np.unique(numbers[numbers >= 0], return_index=True, return_counts=True)
        order = np.lexsort((first, -counts))[:most].tolist()
        documents = [(*self._documents[numbers[at]], int(counts[at])) for at in order]
        return len(numbers), [DocumentHits(id, source, count) for id, source, count in documents]

    def _look_up(self, rows: Ids) -> None:
        if not len(rows):
            return
        self._number[rows] = LOST
        found = self._folder.documents_of(self._ids[rows])
        for _, document, source in found:
            if document not in self._places:
                self._places[document] = len(self._documents)
                self._documents.append((document, source))
        places = [self._places[document] for _, document, _ in found]
        self._number[np.searchsorted(self._ids, [number for number, _, _ in found])] = places
