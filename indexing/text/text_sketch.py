"""Sketches of texts, which tell copies from independent texts: the bottom-k sketch of MinHash.

A sketch holds the SIZE smallest hashes of a text's shingles. Shingles are runs of SHINGLE characters without white space, so
scripts without spaces work too. Two sketches estimate the Jaccard index of their texts: the share of the SIZE smallest
hashes of both that each has (Broder 1997, "On the resemblance and containment of documents"). The standard error at 0.8 is
0.035. Texts of at most SIZE different shingles are compared exactly.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

SHINGLE = 5
SIZE = 128
COPY = 0.8
# So many times a shingle may occur on average before all hashes of a text are sorted.
REPEATED = 64

FACTOR = np.uint64(0x9E3779B97F4A7C15)
MIXERS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


def sketch(text: str) -> bytes:
    """The sketch of a text: at most SIZE hashes, uint32 little endian, ascending; b"" for a text without letters.

    >>> sketch("A text.") == sketch("a  TEXT."), len(sketch("A text."))
    (True, 8)
    """
    shown = "".join(unicodedata.normalize("NFKC", text).casefold().split())
    codes = np.frombuffer(shown.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    if not len(codes):
        return b""
    hashes = _mixed(_shingles(codes))
    smallest = hashes if len(hashes) <= REPEATED * SIZE else np.partition(hashes, REPEATED * SIZE)[: REPEATED * SIZE]
    found = np.unique(smallest)
    if len(found) < SIZE and len(smallest) < len(hashes):
        found = np.unique(hashes)
    return np.unique((found >> np.uint64(32)).astype("<u4"))[:SIZE].tobytes()


def resemblance(one: bytes, other: bytes) -> float:
    """The estimated Jaccard index of two sketched texts, 0 to 1; 0 where either is empty.

    >>> resemblance(sketch("The bridge opened."), sketch("The bridge opened!")) > 0.8
    True
    """
    left, right = np.frombuffer(one, dtype="<u4"), np.frombuffer(other, dtype="<u4")
    both = np.union1d(left, right)[:SIZE]
    if not len(left) or not len(right):
        return 0.0
    return float(np.isin(both, np.intersect1d(left, right, assume_unique=True), assume_unique=True).mean())


def copies(sketches: Mapping[str, tuple[str, bytes]]) -> tuple[tuple[str, ...], ...]:
    """The groups of ids whose texts are copies: equal content hashes, or a resemblance of at least COPY.

    sketches: (content hash, sketch) by id. Groups of one are left out; groups and ids are in the order given.

    >>> copies({"a": ("1", b""), "b": ("2", b""), "c": ("1", b"")})
    (('a', 'c'),)
    """
    groups: list[list[str]] = []
    hashes = {id: frozenset(np.frombuffer(mine, dtype="<u4").tolist()) for id, (_, mine) in sketches.items()}

    def are_copies(one: str, other: str) -> bool:
        (hashed, mine), (other_hashed, others) = sketches[one], sketches[other]
        if hashed == other_hashed:
            return True
        # The resemblance is at most this; few pairs are so close, and sets compare many times as fast.
        most = len(hashes[one] & hashes[other]) / (max(len(hashes[one]), len(hashes[other])) or 1)
        return most >= COPY and resemblance(mine, others) >= COPY

    for id in sketches:
        for group in groups:
            if any(are_copies(id, other) for other in group):
                group.append(id)
                break
        else:
            groups.append([id])
    return tuple(tuple(group) for group in groups if len(group) > 1)


def _shingles(codes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One number for each run of SHINGLE codes; a shorter text is one run."""
    width = min(SHINGLE, len(codes))
    found = np.zeros(len(codes) - width + 1, dtype=np.uint64)
    for at in range(width):
        found = found * FACTOR + codes[at : at + len(found)] + np.uint64(1)
    return found


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014), which spreads numbers evenly over 64 bits."""
    for shift, factor in MIXERS:
        numbers = (numbers ^ (numbers >> np.uint64(shift))) * np.uint64(factor)
    mixed: NDArray[np.uint64] = numbers ^ (numbers >> np.uint64(31))
    return mixed
