"""BM25 inverted index over numpy arrays, with an optional set of allowed ids.

An index is a list of immutable segments (a large base from disk, small deltas since) and the ids deleted since then.
Statistics (document frequency, mean length) cover all passages that are not deleted, in all segments. So scores equal
those of a freshly built index, after any deletions and additions.

Score of a passage p for a question q (Robertson & Zaragoza 2009, with Lucene's always-positive idf):

    sum over t in q of  idf(t) * tf(t,p) * (k1 + 1) / (tf(t,p) + k1 * (1 - b + b * |p| / mean|p|))
    idf(t) = ln(1 + (N - df(t) + 0.5) / (df(t) + 0.5)),  k1 = 1.2, b = 0.75

In a multilingual corpus every word of a rare language has a high idf, even "the" and "is". Its passages would come first
for uninformative words. So if the question's language is known and has at least 10 passages, idf(t) is the smaller of two
values: over all passages, and over those of the language. If the language is wrong, no word is common in its passages, so
the first value applies.

Terms are stored as 64-bit hashes only. 10 million distinct terms collide with probability 3e-6. A collision can only add a
keyword match, never break a filter.
"""

from __future__ import annotations

import functools
import hashlib
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Protocol
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from indexing.arrays import Ids, Scores, mapped_array, top_scores
from indexing.errors import IndexDamaged

K1 = 1.2
B = 0.75
FEWEST = 10
EXTRA_WEIGHT = 0.5
FEW = 8

Hashes = NDArray[np.uint64]
Postings = tuple[NDArray[np.int32], NDArray[np.uint16]]


def term_digest(term: str) -> bytes:
    """BLAKE2b of the term, 8 bytes: the same on every machine and in every process."""
    return hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def term_hash(term: str) -> int:
    """`term_digest` as a number, little endian."""
    return int.from_bytes(term_digest(term), "little")


@functools.cache
def language_code(language: str) -> int:
    """A 32-bit number of a language: the same on every machine and in every process."""
    return zlib.crc32(language.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, slots=True)
class Segment:
    """Postings of some passages. Immutable.

    ids:      int64 [n], ascending passage ids
    lengths:  int32 [n], number of terms of each passage
    terms:    uint64 [t], ascending hashes
    starts:   int64 [t + 1], where each term's postings begin
    rows:     int32 [p], rows of `ids` that hold the term, ascending within a term
    counts:   uint16 [p], the term's count in the passage (at most 65,535)
    languages: uint32 [n], `language_code` of each passage's language
    """

    ids: Ids
    lengths: NDArray[np.int32]
    terms: NDArray[np.uint64]
    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    counts: NDArray[np.uint16]
    languages: NDArray[np.uint32]

    @classmethod
    def build(cls, passages: Iterable[tuple[int, Sequence[str]]], languages: Sequence[str] = ()) -> Segment:
        """Build from (id, terms) pairs with ascending ids, and the language of each; without languages, all have ""."""
        hashes = _Hashes()
        ids: list[int] = []
        columns: list[Hashes] = []
        for passage_id, terms in passages:
            ids.append(passage_id)
            columns.append(np.fromiter(map(hashes.__getitem__, terms), dtype=np.uint64, count=len(terms)))
        return cls.of_hashes(np.array(ids, dtype=np.int64), columns, languages or [""] * len(ids))

    @classmethod
    def of_hashes(cls, ids: Ids, columns: Sequence[Hashes], languages: Sequence[str]) -> Segment:
        """Build from ascending ids, each passage's term hashes (uint64, with repetitions), and each one's language."""
        n = max(len(ids), 1)
        lengths = np.fromiter(map(len, columns), dtype=np.int32, count=len(columns))
        terms, number_of = np.unique(np.concatenate([NONE, *columns]), return_inverse=True)
        row_of = np.repeat(np.arange(len(ids), dtype=np.int64), lengths)
        pairs, counts = np.unique(number_of.astype(np.int64) * n + row_of, return_counts=True)
        starts = np.searchsorted(pairs, np.arange(len(terms) + 1, dtype=np.int64) * n)
        return cls(
            ids=ids,
            lengths=lengths,
            terms=terms,
            starts=starts.astype(np.int64),
            rows=(pairs % n).astype(np.int32),
            counts=np.minimum(counts, 65_535).astype(np.uint16),
            languages=np.fromiter(map(language_code, languages), dtype=np.uint32, count=len(ids)),
        )

    @classmethod
    def merge(cls, segments: Sequence[Segment], dead: Ids) -> Segment:
        """Merge segments without the ids in `dead`. Each segment's ids must be above those of the previous one."""
        if not segments:
            return EMPTY
        ids = np.concatenate([segment.ids for segment in segments])
        assert np.all(ids[1:] > ids[:-1]), "segments out of order"
        alive = ~np.isin(ids, dead)
        place = np.cumsum(alive) - 1
        first = np.cumsum([0, *(len(segment.ids) for segment in segments)])
        rows = np.concatenate([place[at : at + len(s.ids)][s.rows] for s, at in zip(segments, first, strict=False)])
        counts = np.concatenate([segment.counts for segment in segments])
        hashes = np.concatenate([segment.terms for segment in segments])
        sizes = np.concatenate([np.diff(segment.starts) for segment in segments])
        if not alive.all():
            keep = np.concatenate([alive[at : at + len(s.ids)][s.rows] for s, at in zip(segments, first, strict=False)])
            sizes = np.bincount(np.repeat(np.arange(len(sizes)), sizes)[keep], minlength=len(sizes))
            rows, counts = rows[keep], counts[keep]
            hashes, sizes = hashes[sizes > 0], sizes[sizes > 0]
        lengths = np.concatenate([segment.lengths for segment in segments])[alive]
        terms, starts, order = _in_order(hashes, sizes)
        return cls(
            ids=ids[alive],
            lengths=lengths,
            terms=terms,
            starts=starts,
            rows=rows[order].astype(np.int32),
            counts=counts[order],
            languages=np.concatenate([segment.languages for segment in segments])[alive],
        )

    def postings(self, hashed: int) -> Postings:
        """The rows and counts of one term; empty arrays if no passage has it."""
        at = int(np.searchsorted(self.terms, np.uint64(hashed)))
        if at == len(self.terms) or int(self.terms[at]) != hashed:
            return self.rows[:0], self.counts[:0]
        span = slice(int(self.starts[at]), int(self.starts[at + 1]))
        return self.rows[span], self.counts[span]

    def save(self, path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, **{name: getattr(self, name) for name in ARRAYS})

    @classmethod
    def load(cls, path: Path, mapped: bool = False) -> Segment:
        """Read what `save` wrote. Raises IndexDamaged if it is something else.

        mapped: leave rows and counts in the file; the system reads them when needed, and may drop them from memory.

        numpy parses the header of an array with `ast`. In CPython up to 3.11.7 another thread that parses can disturb that,
        with a SystemError (gh-106905); the next try succeeds.
        """
        for tries_left in reversed(range(TRIES)):
            try:
                with np.load(path, allow_pickle=False) as arrays:
                    left = {name: mapped_array(path, name) for name in MAPPED if mapped}
                    return cls(**{name: left[name] if name in left else arrays[name] for name in ARRAYS})
            except (OSError, ValueError, KeyError, EOFError, BadZipFile, SystemError) as error:
                if not isinstance(error, SystemError) or not tries_left:
                    raise IndexDamaged(f"The keyword index {path.name} cannot be read ({error}).") from error
        raise AssertionError("the last try returns or raises")


def _among(ids: Ids, allowed: Ids) -> NDArray[np.bool_]:
    """Which of the ascending ids are allowed. A few allowed ones are looked up, without a pass over all ids."""
    if len(allowed) * FEW > len(ids):
        return np.isin(ids, allowed)
    found, at = np.zeros(len(ids), bool), np.searchsorted(ids, allowed)
    at = at[at < len(ids)]
    found[at[np.isin(ids[at], allowed)]] = True
    return found


class _Hashes(dict[str, int]):
    """The hash of each term, computed on first use."""

    def __missing__(self, term: str) -> int:
        made = self[term] = term_hash(term)
        return made


def _in_order(hashes: Hashes, sizes: NDArray[np.int64]) -> tuple[Hashes, NDArray[np.int64], NDArray[np.int64]]:
    """Group runs of postings by term: the distinct terms, the start of each one's postings, and the reordering.

    hashes, sizes: the term and length of each run, in storage order; runs of the same term keep their order.
    """
    by_term = np.argsort(hashes, kind="stable")
    hashes, lengths = hashes[by_term], sizes[by_term]
    begins, ends = (np.cumsum(sizes) - sizes)[by_term], np.cumsum(lengths)
    order = np.repeat(begins - (ends - lengths), lengths) + np.arange(int(sizes.sum()))
    new = np.flatnonzero(np.concatenate([[True], hashes[1:] != hashes[:-1]])[: len(hashes)])
    return hashes[new], np.append((ends - lengths)[new], len(order)).astype(np.int64), order


TRIES = 5
ARRAYS = tuple(field.name for field in fields(Segment))
MAPPED = ("rows", "counts")
NONE: Hashes = np.empty(0, np.uint64)
EMPTY = Segment.build([])


@dataclass(frozen=True, slots=True)
class SegmentStatistics:
    """The statistics of segments, without deleted passages."""

    segments: tuple[Segment, ...]
    alive: tuple[NDArray[np.bool_], ...]
    _masks: dict[int, list[NDArray[np.bool_]]] = field(default_factory=dict)

    def passages(self, language: int | None) -> int:
        return sum(int(among.sum()) for among in self._among(language))

    def words(self) -> int:
        return sum(int(s.lengths[alive].sum()) for s, alive in zip(self.segments, self.alive, strict=True))

    def frequency(self, hashed: int, language: int | None) -> int:
        among = zip(self.segments, self._among(language), strict=True)
        return sum(int(part[segment.postings(hashed)[0]].sum()) for segment, part in among)

    def _among(self, language: int | None) -> Sequence[NDArray[np.bool_]]:
        if language is None:
            return self.alive
        if language not in self._masks:
            pairs = zip(self.segments, self.alive, strict=True)
            self._masks[language] = [alive & (segment.languages == language) for segment, alive in pairs]
        return self._masks[language]


WeightedTerm = tuple[float, float, list[Postings]]
"""Weight, idf and postings in each segment."""


@dataclass(frozen=True, slots=True)
class WeightedQuery:
    """A question's distinct terms in an index: each one's weight, idf, and postings in each segment.

    terms: the main terms; the weight is the count in the question. extra: other readings of its numbers and identifiers
    that the index has, with EXTRA_WEIGHT times the count.
    ceiling: the BM25 upper bound, (k1 + 1) * sum of weight * idf; 0.0 without terms. A passage's score divided by it is the
    share of the question's words, weighted by rarity, that the passage has.
    """

    terms: tuple[WeightedTerm, ...]
    extra: tuple[WeightedTerm, ...] = ()

    @property
    def ceiling(self) -> float:
        return sum(weight * idf for weight, idf, _ in (*self.terms, *self.extra)) * (K1 + 1)


class Statistics(Protocol):
    """The BM25 statistics of all parts of an index. A language is its `language_code`; None is all of them."""

    def passages(self, language: int | None) -> int: ...

    def words(self) -> int: ...

    def frequency(self, hashed: int, language: int | None) -> int: ...


@dataclass(frozen=True, slots=True)
class KeywordIndex:
    """Segments and the ids deleted since they were made. Immutable.

    statistics: of the whole index, if this is a part of one; None: those of the segments.
    """

    segments: tuple[Segment, ...] = ()
    dead: Ids = field(default_factory=lambda: np.empty(0, np.int64))
    _alive: tuple[NDArray[np.bool_], ...] = ()
    statistics: Statistics | None = None

    @classmethod
    def of(cls, segments: Iterable[Segment], dead: Ids | None = None) -> KeywordIndex:
        """An index over `segments` without the ids in `dead`."""
        kept = tuple(segment for segment in segments if len(segment.ids))
        gone = np.unique(dead) if dead is not None else np.empty(0, np.int64)
        return cls(kept, gone, tuple(~np.isin(segment.ids, gone) for segment in kept))

    def __len__(self) -> int:
        return int(sum(int(alive.sum()) for alive in self._alive))

    def ids(self) -> Ids:
        """The ids that are not deleted, ascending."""
        parts = [segment.ids[alive] for segment, alive in zip(self.segments, self._alive, strict=True)]
        return np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64)

    def holding(self, terms: Iterable[str]) -> Ids:
        """The ids of passages with at least one of these terms, ascending."""
        hashed = [term_hash(term) for term in dict.fromkeys(terms)]
        parts = [np.empty(0, np.int64)]
        for segment, alive in zip(self.segments, self._alive, strict=True):
            rows = np.unique(np.concatenate([segment.rows[:0], *(segment.postings(one)[0] for one in hashed)]))
            parts.append(segment.ids[rows[alive[rows]]])
        return np.sort(np.concatenate(parts))

    def elsewhere(self, language: str) -> Ids:
        """The ids of passages in other languages, ascending."""
        code = language_code(language)
        parts = [s.ids[alive & (s.languages != code)] for s, alive in zip(self.segments, self._alive, strict=True)]
        return np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64)

    def search(
        self, terms: Sequence[str], top_k: int, allowed: Ids | None = None, all_terms: bool = False
    ) -> list[tuple[int, float]]:
        """`find` for the terms of a question whose language is not known."""
        return self.find(self.weigh(terms), top_k, allowed, all_terms)

    def weigh(self, terms: Sequence[str], language: str = "", extra: Sequence[str] = ()) -> WeightedQuery:
        """Weigh the terms of a question. language: of the question, "" if not known. extra: as in `question_terms`."""
        statistics = self.statistics or SegmentStatistics(self.segments, self._alive)
        code = language_code(language)
        among = [None, code] if language and statistics.passages(code) >= FEWEST else [None]
        totals = [statistics.passages(which) for which in among]

        def weighed(term: str) -> tuple[float, list[Postings], bool]:
            hashed = term_hash(term)
            postings = [segment.postings(hashed) for segment in self.segments]
            dfs = [statistics.frequency(hashed, which) for which in among]
            idfs = [np.log1p((total - df + 0.5) / (df + 0.5)) for total, df in zip(totals, dfs, strict=True)]
            return float(min(idfs)), postings, dfs[0] > 0

        main = [(count, *weighed(term)) for term, count in Counter(terms).items()]
        others = [(EXTRA_WEIGHT * count, *weighed(term)) for term, count in Counter(extra).items() if term not in terms]
        return WeightedQuery(
            tuple((weight, idf, postings) for weight, idf, postings, _ in main),
            tuple((weight, idf, postings) for weight, idf, postings, there in others if there),
        )

    def find(
        self, question: WeightedQuery, top_k: int, allowed: Ids | None = None, all_terms: bool = False
    ) -> list[tuple[int, float]]:
        """The best `top_k` (id, BM25 score > 0), best first, equal scores by ascending id.

        allowed: None = every passage; an array (possibly empty) = only these ids.
        all_terms: only passages that have every main term of the question.
        """
        total = len(self)
        if not total or not question.terms or top_k <= 0 or (allowed is not None and not len(allowed)):
            return []
        scores, matched = self._scores(question)
        found_ids: list[Ids] = []
        found_scores: list[Scores] = []
        for segment, alive, score, match in zip(self.segments, self._alive, scores, matched, strict=True):
            keep = alive & (match == len(question.terms) if all_terms else score > 0)
            if allowed is not None:
                keep &= _among(segment.ids, allowed)
            found_ids.append(segment.ids[keep])
            found_scores.append(score[keep])
        return top_scores(np.concatenate(found_ids), np.concatenate(found_scores), top_k)

    def _scores(self, question: WeightedQuery) -> tuple[list[Scores], list[NDArray[np.int32]]]:
        """The BM25 score of every row of every segment, and each row's number of matching distinct main terms."""
        statistics = self.statistics or SegmentStatistics(self.segments, self._alive)
        mean = max(statistics.words() / max(1, statistics.passages(None)), 1e-9)
        scores = [np.zeros(len(segment.ids)) for segment in self.segments]
        matched = [np.zeros(len(segment.ids), dtype=np.int32) for segment in self.segments]
        for place, (weight, idf, found) in enumerate((*question.terms, *question.extra)):
            for n, (segment, (rows, counts)) in enumerate(zip(self.segments, found, strict=True)):
                tf = counts.astype(np.float64)
                norm = K1 * (1 - B + B * segment.lengths[rows] / mean)
                scores[n][rows] += weight * idf * tf * (K1 + 1) / (tf + norm)
                if place < len(question.terms):
                    matched[n][rows] += 1
        return scores, matched
