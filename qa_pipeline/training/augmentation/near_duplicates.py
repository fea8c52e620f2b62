"""Near-duplicate detection of questions: MinHash over contexts, shingles over questions.

Shingles are character 4-grams of the lower-cased text without white space, so scripts without spaces work too. MinHash
(Broder 1997): the probability that two texts share the minimum hash is the Jaccard index of their shingles.
"""

from __future__ import annotations

import zlib
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

SHINGLE = 4
BANDS, ROWS = 16, 4
ALIKE = 0.8
FEW = 200


class NearDuplicateIndex:
    """An index of examples. Near duplicates have equal answers, and similar contexts and questions."""

    def __init__(self, seed: int = 1) -> None:
        draw = np.random.default_rng(seed)
        self._by = draw.integers(1, 2**63, BANDS * ROWS, dtype=np.uint64) | np.uint64(1)
        self._plus = draw.integers(0, 2**63, BANDS * ROWS, dtype=np.uint64)
        self._contexts: dict[str, int] = {}
        self._marks: list[NDArray[np.uint64]] = []
        self._bands: defaultdict[tuple[int, bytes], list[int]] = defaultdict(list)
        self._asked: defaultdict[tuple[int, str], list[frozenset[str]]] = defaultdict(list)

    def is_new(self, question: str, context: str, answer: str = "") -> bool:
        """Whether no near duplicate is indexed; if so, adds the example.

        The answers are compared too, as one word can make another question with another answer.
        """
        place = self._place(context), answer
        mine = shingles(question)
        if any(jaccard(mine, other) >= ALIKE for other in self._asked[place]):
            return False
        self._asked[place].append(mine)
        return True

    def _place(self, context: str) -> int:
        """The id of the first indexed context similar to this one, else a new id."""
        if context not in self._contexts:
            mark = self._mark(context)
            keys = [(n, band.tobytes()) for n, band in enumerate(mark.reshape(BANDS, ROWS))]
            likely = dict.fromkeys(number for key in keys for number in self._bands[key][:FEW])
            near = (number for number in likely if (self._marks[number] == mark).mean() >= ALIKE)
            number = next(near, len(self._marks))
            if number == len(self._marks):
                self._marks.append(mark)
                for key in keys:
                    self._bands[key].append(number)
            self._contexts[context] = number
        return self._contexts[context]

    def _mark(self, text: str) -> NDArray[np.uint64]:
        """MinHash signature: the minimum under each function x * by + plus, upper half, uint64 [64]."""
        hashes = np.array([zlib.crc32(part.encode("utf-8", "surrogatepass")) for part in sorted(shingles(text))], np.uint64)
        found: NDArray[np.uint64] = ((hashes[:, None] * self._by + self._plus) >> np.uint64(32)).min(axis=0)
        return found


def shingles(text: str) -> frozenset[str]:
    """Character 4-grams; a shorter text is one shingle.

    >>> sorted(shingles("A bird"))
    ['abir', 'bird']
    """
    bare = "".join(text.lower().split())
    return frozenset(bare[n : n + SHINGLE] for n in range(max(1, len(bare) - SHINGLE + 1)))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard index: size of the intersection over size of the union, 0 to 1."""
    return len(one & other) / len(one | other)
