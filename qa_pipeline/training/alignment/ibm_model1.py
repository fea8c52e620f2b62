"""IBM Model 1 word alignment, in both directions (Brown et al. 1993).

Source: Brown, Della Pietra, Della Pietra and Mercer 1993, "The mathematics of statistical machine translation". Each word
of one side is the translation of one word of the other, and all alignments are equally likely a priori.
Expectation-maximisation estimates the translation probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class RaggedSentences:
    """Sentences of word ids in CSR layout. words: int64 [words]; begins: offsets, int64 [sentences + 1]."""

    words: NDArray[np.int64]
    begins: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.begins)

    def __getitem__(self, n: int) -> NDArray[np.int64]:
        return self.words[self.begins[n] : self.begins[n + 1]]

    def __len__(self) -> int:
        return len(self.begins) - 1


@dataclass(frozen=True, slots=True)
class Links:
    """All possible alignment links. pair: index of the link's word pair; here, there: word position on each side.

    one, other: the words of each pair; seen: number of links of each pair. All int64.
    """

    pair: NDArray[np.int64]
    here: NDArray[np.int64]
    there: NDArray[np.int64]
    one: NDArray[np.int64]
    other: NDArray[np.int64]
    seen: NDArray[np.int64]


def to_ragged(sentences: Sequence[Sequence[int]]) -> RaggedSentences:
    """
    >>> to_ragged([[3, 4], [5]]).begins.tolist()
    [0, 2, 3]
    """
    lengths = np.array([len(sentence) for sentence in sentences], dtype=np.int64)
    words = np.fromiter((word for sentence in sentences for word in sentence), np.int64, int(lengths.sum()))
    return RaggedSentences(words, np.concatenate([[0], np.cumsum(lengths)]))


def places(ones: RaggedSentences, others: RaggedSentences) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Word positions of each link on either side: the product of the positions of both sentences of a pair."""
    here, there = ones.lengths, others.lengths
    sizes = here * there
    sentence = np.repeat(np.arange(len(sizes)), sizes)
    within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return ones.begins[sentence] + within // there[sentence], others.begins[sentence] + within % there[sentence]


def links(ones: RaggedSentences, others: RaggedSentences) -> Links:
    """The links of sentence pairs, given in the same order on both sides; no sentence may be empty."""
    here, there = places(ones, others)
    width = int(others.words.max()) + 1
    unique, pair, seen = np.unique(ones.words[here] * width + others.words[there], return_inverse=True, return_counts=True)
    return Links(pair, here, there, unique // width, unique % width, seen)


def forward_probabilities(found: Links) -> NDArray[np.float64]:
    """P(other | one) of each word pair."""
    return _probabilities(found.pair, found.there, found.one)


def backward_probabilities(found: Links) -> NDArray[np.float64]:
    """P(one | other) of each word pair."""
    return _probabilities(found.pair, found.here, found.other)


def _probabilities(pair: NDArray[np.int64], told: NDArray[np.int64], teller: NDArray[np.int64]) -> NDArray[np.float64]:
    """EM estimate of P(told | teller) of each word pair.

    told: position of the generated word of each link; teller: conditioning word of each pair.
    """
    likely = np.ones(len(teller))
    for _ in range(ROUNDS):
        share = likely[pair]
        share /= np.bincount(told, share)[told]
        counts = np.bincount(pair, share, len(teller))
        likely = counts / np.bincount(teller, counts)[teller]
    return likely
