"""Where each word of some passages stands: a positional index, which proves matches without reading a text.

All words of all passages form one stream of positions. Between two passages GAP positions stay empty, so that no phrase and
no NEAR reaches from one into the other. The words are those of `word_tokens.keys`. They are sorted, so those with one
beginning stand side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from indexing.arrays import Ids, mapped_array
from indexing.errors import IndexDamaged
from indexing.text.word_numbers import Numbers, WordNumbers
from indexing.text.word_query import MOST_DISTANCE, Near, Phrase

GAP = MOST_DISTANCE + 28
MOST_IN_32_BITS = 2**31

Mask = NDArray[np.bool_]
Positions = NDArray[Any]


@dataclass(frozen=True, slots=True)
class WordPositions:
    """The words of some passages. Immutable.

    ids:      int64 [n], ascending passage ids
    firsts:   int64 [n + 1], the position of each passage's first word, and the first position after all
    letters:  uint8 [b], the distinct words in UTF-8, in order, one after the other
    ends:     int64 [w + 1], where each word begins in `letters`, and the end
    starts:   int64 [w + 1], where each word's places begin
    places:   uint32 or int64 [p], twice the position, and 1 more if the word continues an unspaced run; ascending in a word
    """

    ids: Ids
    firsts: NDArray[np.int64]
    letters: NDArray[np.uint8]
    ends: NDArray[np.int64]
    starts: NDArray[np.int64]
    places: Positions

    @classmethod
    def build(cls, passages: Iterable[tuple[int, str]]) -> WordPositions:
        """Build from (id, text) pairs with ascending ids."""
        numbers = WordNumbers()
        ids, columns = list[int](), list[Numbers]()
        for number, text in passages:
            ids.append(number)
            columns.append(numbers.of(text))
        counts = np.fromiter(map(len, columns), np.int64, len(columns))
        firsts = GAP + ends_of(counts + GAP)
        words = sorted(numbers.words)
        rank = np.empty(len(words), np.int64)
        rank[np.fromiter(map(numbers.words.__getitem__, words), np.int64, len(words))] = np.arange(len(words))
        stream = np.concatenate([np.empty(0, np.uint32), *columns])
        of_words = rank[stream >> 1]
        moved = np.repeat(firsts[:-1] - (np.cumsum(counts) - counts), counts)
        places = 2 * (np.arange(len(stream)) + moved) + (stream & 1)
        order = np.argsort(of_words, kind="stable")
        return cls(
            np.array(ids, np.int64),
            firsts,
            *packed(words),
            starts=ends_of(np.bincount(of_words, minlength=len(words))),
            places=places[order].astype(place_type(int(firsts[-1]))),
        )

    @classmethod
    def load(cls, path: Path) -> WordPositions:
        """Open what `word_file.write` wrote; large arrays stay in the file. Raises IndexDamaged if it is something else."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                kept = {name: arrays[name] for name in ARRAYS if name not in MAPPED}
            return cls(**kept, **{name: np.asarray(mapped_array(path, name)) for name in MAPPED})
        except (OSError, ValueError, KeyError, EOFError, BadZipFile, SystemError) as error:
            raise IndexDamaged(f"The positions of words {path.name} cannot be read ({error}).") from error

    # -- words -----------------------------------------------------------------------------------------------------

    def words(self) -> list[str]:
        """All distinct words, in order."""
        letters, ends = self.letters.tobytes(), self.ends.tolist()
        return [letters[a:b].decode("utf-8", "surrogatepass") for a, b in zip(ends, ends[1:], strict=False)]

    def beginning(self, prefix: str) -> list[str]:
        """The words that begin with a folded prefix, in order."""
        return [self._word(number).decode("utf-8", "surrogatepass") for number in self._range(prefix, True)]

    def _word(self, number: int) -> bytes:
        return self.letters[self.ends[number] : self.ends[number + 1]].tobytes()

    def _range(self, key: str, prefix: bool) -> range:
        """The numbers of the word, or of the words that begin so."""
        wanted = key.encode("utf-8", "surrogatepass")
        first = self._bisect(wanted)
        if prefix:
            return range(first, self._bisect(wanted + b"\xff"))
        return range(first, first + (first < len(self.starts) - 1 and self._word(first) == wanted))

    def _bisect(self, wanted: bytes) -> int:
        low, high = 0, len(self.starts) - 1
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._word(middle) < wanted else (low, middle)
        return low

    # -- matches ---------------------------------------------------------------------------------------------------

    def having(self, phrase: Phrase) -> Mask:
        """Of each passage [n], whether the phrase occurs in it."""
        if len(phrase.words) == 1:
            return self._passages(self._places(phrase.words[0].key, phrase.prefix) >> 1)
        return self._passages(self._beginnings(phrase))

    def near(self, node: Near) -> Mask:
        """Of each passage [n], whether both phrases occur at most `by` words apart, without overlap."""
        left, right = self._beginnings(node.left), self._beginnings(node.right)
        after, before = left + len(node.left.words), left - len(node.right.words)
        found = _any_between(right, after, after + node.by) | _any_between(right, before - node.by, before)
        return self._passages(left[found])

    def _passages(self, positions: Positions) -> Mask:
        found = np.zeros(len(self.ids), bool)
        found[np.searchsorted(self.firsts, positions, side="right") - 1] = True
        return found

    def _places(self, key: str, prefix: bool) -> Positions:
        """The places of a word, ascending."""
        numbers = self._range(key, prefix)
        found = np.asarray(self.places[self.starts[numbers.start] : self.starts[numbers.stop]])
        return np.sort(found) if len(numbers) > 1 else found

    def _beginnings(self, phrase: Phrase) -> NDArray[np.int64]:
        """The positions at which a phrase occurs, ascending. The rarest word is first, the others are looked for there."""
        last = len(phrase.words) - 1
        places = [self._places(word.key, phrase.prefix and at == last) for at, word in enumerate(phrase.words)]
        found: NDArray[np.int64] | None = None
        for at in sorted(range(last + 1), key=lambda at: len(places[at])):
            there, is_joined = places[at], at > 0 and phrase.words[at].joined
            if found is None:
                found = (there[there & 1 == 1] if is_joined else there).astype(np.int64) // 2 - at
                found = found[found >= 0]
            elif len(found):
                found = found[_occur(there, found + at, is_joined)]
        assert found is not None, "a phrase has a word"
        return found


def _occur(places: Positions, positions: NDArray[np.int64], joined: bool) -> Mask:
    """Whether each of these positions is among the places, and continues an unspaced run if `joined`."""
    if not len(places):
        return np.zeros(len(positions), bool)
    wanted = (2 * positions + joined).astype(places.dtype)
    at = np.minimum(np.searchsorted(places, wanted), len(places) - 1)
    there = places[at]
    return np.asarray(there == wanted if joined else there >> 1 == wanted >> 1)


def _any_between(ordered: NDArray[np.int64], low: NDArray[np.int64], high: NDArray[np.int64]) -> Mask:
    """Whether any of the ordered positions is in each of the ranges, ends included."""
    return np.searchsorted(ordered, low) < np.searchsorted(ordered, high, side="right")


def packed(words: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Letters and ends of words in order."""
    parts = [word.encode("utf-8", "surrogatepass") for word in words]
    ends = ends_of(np.fromiter(map(len, parts), np.int64, len(parts)))
    return np.frombuffer(b"".join(parts), np.uint8), ends


def ends_of(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def place_type(positions: int) -> type[np.generic]:
    """The type of the places of a stream of so many positions."""
    return np.uint32 if positions < MOST_IN_32_BITS else np.int64


def rows_of(firsts: NDArray[np.int64], places: Positions) -> NDArray[np.int64]:
    """The passage of each place."""
    return np.searchsorted(firsts, places.astype(np.int64) >> 1, side="right") - 1


ARRAYS = tuple(field.name for field in fields(WordPositions))
MAPPED = ("letters", "places")
