"""The vocabulary of passages: their words by their beginning, and its pairs of unspaced characters by either character.

The keyword index stores hashes of terms, which cannot be searched by a part. Passages that the file of word positions lacks
need a vocabulary. It is collected from their texts, in memory, at the first search that needs it. Later ones add the
passages written since. Words of deleted passages may remain; the keyword index has no passage for them.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import chain, islice

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
from indexing.text.word_tokens import pieces

TEXTS_AT_ONCE = 10_000


class Vocabulary:
    """The words of one index folder. Thread-safe."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._covered: Ids = np.empty(0, np.int64)
        self._words: Sequence[str] = ()
        self._holding: dict[str, set[str]] = {}

    def update(self, folder: IndexFolder, ids: Ids) -> Vocabulary:
        """Add the words of those of these passages (ascending ids) that it lacks. Returns itself."""
        with self._guard:
            new = np.setdiff1d(ids, self._covered, assume_unique=True)
            if len(new):
                self._add(folder, new)
                self._covered = np.union1d(self._covered, new)
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
        words, pairs = set(self._words), set[tuple[str, ...]]()
        seen: set[str] = set()
        texts = (text for _, text, _ in folder.texts(ids))
        while part := list(islice(texts, TEXTS_AT_ONCE)):
            runs = _runs(part) - seen
            dense = {run for run in runs if DENSE.match(run)}
            seen |= runs - dense
            for run in dense:
                clusters = CLUSTER.findall(run) if MARKED.search(run) else run
                pairs.update(zip(clusters, clusters[1:], strict=False) if len(clusters) > 1 else [tuple(clusters)])
        words.update(key for run in seen for key in run_keys(run))
        self._words = sorted(words)
        for pair in pairs:
            for key in {key for cluster in pair for key in run_keys(cluster)}:
                self._holding.setdefault(key, set()).update(terms_of_pair("".join(pair)))


def _runs(texts: Iterable[str]) -> set[str]:
    """The runs of texts. A text repeats most of its words, so its distinct pieces are taken apart, not the text."""
    plain, other = set[str](), set[str]()
    for text in texts:
        if NOT_PLAIN.search(text) is None:
            plain.update(pieces(text))
        else:
            other.update(pieces(term_text(text)))
    return {*chain.from_iterable(map(PLAIN_RUNS.findall, plain)), *chain.from_iterable(map(BARE_RUNS.findall, other))}
