"""The vocabulary of an index: its words by their beginning, and its pairs of unspaced characters by either character.

The keyword index stores hashes of terms, which cannot be searched by a part. The vocabulary is collected from the texts of
the passages, in memory, at the first search that needs it. Later ones add the passages written since. Words of deleted
passages may remain; the keyword index has no passage for them.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from indexing.arrays import Ids
from indexing.store.corpus_db import IndexFolder
from indexing.text.search_terms import (
    BARE_RUNS,
    CLUSTER,
    DENSE,
    MARKED,
    NOT_PLAIN,
    PLAIN_RUNS,
    run_keys,
    term_text,
    terms_of_pair,
)


class Vocabulary:
    """The words of one index folder. Thread-safe."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._last = self._generation = -1
        self._runs: set[str] = set()
        self._pairs: set[tuple[str, ...]] = set()
        self._words: Sequence[str] = ()
        self._holding: dict[str, set[str]] = {}

    def update(self, folder: IndexFolder) -> Vocabulary:
        """Add the words of passages that are new since the last update. Returns itself."""
        with self._guard, folder.reading():
            generation = folder.generation()
            if generation == self._generation:
                return self
            ids = folder.chunk_ids()
            new = ids[np.searchsorted(ids, self._last, side="right") :]
            if len(new):
                self._add(folder, new)
                self._last = int(new[-1])
            self._generation = generation
        return self

    def words(self, prefix: str) -> list[str]:
        """The words that begin with a folded prefix, in order."""
        words = self._words
        first = bisect_left(words, prefix)
        last = bisect_left(words, prefix + "\U0010ffff", first)
        return list(words[first:last])

    def pairs(self, character: str) -> set[str]:
        """The terms of unspaced runs that hold this folded character."""
        return self._holding.get(character, set())

    def _add(self, folder: IndexFolder, ids: Ids) -> None:
        runs, pairs = set[str](), set[tuple[str, ...]]()
        for _, text, _ in folder.texts(ids):
            if NOT_PLAIN.search(text) is None:
                runs.update(PLAIN_RUNS.findall(text))
                continue
            for run in BARE_RUNS.findall(term_text(text)):
                if DENSE.match(run) is None:
                    runs.add(run)
                    continue
                clusters = CLUSTER.findall(run) if MARKED.search(run) else run
                pairs.update(zip(clusters, clusters[1:], strict=False) if len(clusters) > 1 else [tuple(clusters)])
        self._words = sorted({*self._words, *(key for run in runs - self._runs for key in run_keys(run))})
        for pair in pairs - self._pairs:
            for key in {key for cluster in pair for key in run_keys(cluster)}:
                self._holding.setdefault(key, set()).update(terms_of_pair("".join(pair)))
        self._runs |= runs
        self._pairs |= pairs
