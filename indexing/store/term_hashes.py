"""Hashes of search terms: `search_terms.terms` through `bm25.term_hash`, each word folded and hashed once.

Words repeat in a corpus, so their hashes are cached by language, up to CACHED_TERMS. A test checks that the hashes are
those of the terms, whatever is in the cache.
"""

from __future__ import annotations

import threading
from operator import add

import numpy as np

from indexing.store.bm25 import Hashes, term_digest
from indexing.text.search_terms import (
    BARE_RUNS,
    CLUSTER,
    DENSE,
    MARKED,
    NOT_PLAIN,
    PLAIN_RUNS,
    POSITIONAL,
    han_numbers,
    run_parts,
    term_text,
    terms_of_pair,
)

CACHED_TERMS = 400_000

_local = threading.local()


def hashes(text: str, language: str) -> Hashes:
    """The hash of each search term of a text, uint64, in order, with repetitions.

    >>> hashes("the bridge", "en").tobytes() == term_digest("the") + term_digest("bridge") + term_digest("bridg")
    True
    """
    known = _runs_of(language)
    if NOT_PLAIN.search(text) is None:
        return np.frombuffer(b"".join(map(known.__getitem__, PLAIN_RUNS.findall(text))), dtype="<u8")
    runs = BARE_RUNS.findall(term_text(text))
    found = [known[run] if run in known or not DENSE.match(run) else _of_pairs(run) for run in runs]
    return np.frombuffer(b"".join(found), dtype="<u8")


class _Runs(dict[str, bytes]):
    """Cache of the hashes of a language's words and numbers, filled on first use."""

    def __init__(self, language: str) -> None:
        self.language = language

    def __missing__(self, run: str) -> bytes:
        main, extra = run_parts(run, self.language)
        made = self[run] = _hashed(main + extra if extra else main)
        return made


class _Pairs(dict[str, bytes]):
    """The same for bigrams of unspaced characters, in any language. Separate, since a bigram of digits is not a number."""

    def __missing__(self, pair: str) -> bytes:
        made = self[pair] = _hashed(terms_of_pair(pair))
        return made


def _hashed(terms: tuple[str, ...]) -> bytes:
    return b"".join(map(term_digest, terms))


def _runs_of(language: str) -> _Runs:
    """The cache of a language's words, per thread and bounded."""
    languages: dict[str, _Runs] | None = getattr(_local, "runs", None)
    if languages is None or sum(map(len, languages.values())) > CACHED_TERMS:
        languages = _local.runs = {}
    if language not in languages:
        languages[language] = _Runs(language)
    return languages[language]


def _of_pairs(run: str) -> bytes:
    """The hashes of an unspaced run: of its overlapping bigrams with their marks, or of its single character."""
    known: _Pairs | None = getattr(_local, "pairs", None)
    if known is None or len(known) > CACHED_TERMS:
        known = _local.pairs = _Pairs()
    clusters = CLUSTER.findall(run) if MARKED.search(run) else run
    pairs = map(add, clusters, clusters[1:]) if len(clusters) > 1 else clusters
    made = b"".join(map(known.__getitem__, pairs))
    return made if POSITIONAL.search(run) is None else made + _hashed(han_numbers(run))
