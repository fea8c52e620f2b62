"""Token lexicon: translation probabilities between the tokens of two languages, learned by IBM Model 1."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexing.errors import UnreadableFile
from qa_pipeline.datasets.examples import read_text
from qa_pipeline.training.alignment import ibm_model1
from qa_pipeline.training.alignment.ibm_model1 import RaggedSentences, to_ragged
from qa_pipeline.training.alignment.word_dictionary import parallel_files, sentence_pairs

SHORTEST, LONGEST = 3, 64
TEXTS_AT_ONCE = 4_096
LIKELY = 0.02
SEEN = 0.3
CHOICES = 4
ENOUGH = 0.1


Encode = Callable[[Sequence[str]], list[Sequence[int]]]


@dataclass(frozen=True, slots=True)
class Bitext:
    """Tokenized sentence pairs of two languages, aligned by row."""

    one: str
    other: str
    ones: RaggedSentences
    others: RaggedSentences


@dataclass(frozen=True, slots=True)
class Choices:
    """Substitutes for each token. ids: int32 [V, 4]; known: whether a token has any, bool [V].

    upto: cumulative probabilities of the substitutes, float32 [V, 4], rising to 1.
    """

    ids: NDArray[np.int32]
    upto: NDArray[np.float32]
    known: NDArray[np.bool_]

    def switch(self, tokens: NDArray[np.integer[Any]], share: float, draw: np.random.Generator) -> NDArray[np.int32]:
        """Code-switches tokens: each token with substitutes is replaced with probability `share`."""
        hit = self.known[tokens] & (draw.random(len(tokens)) < share)
        chosen = (draw.random(len(tokens))[:, None] > self.upto[tokens]).sum(1).clip(0, CHOICES - 1)
        return np.where(hit, self.ids[tokens, chosen], tokens).astype(np.int32)


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Token pairs of two languages, sorted by `key` = one * V + other, int64 [n]. size: V, the vocabulary size.

    forth: P(other | one); back: P(one | other); both float32 [n]. seen: co-occurrences in sentence pairs, int64 [n].
    """

    size: int
    key: NDArray[np.int64]
    forth: NDArray[np.float32]
    back: NDArray[np.float32]
    seen: NDArray[np.int64]

    def choices(self) -> tuple[Choices, Choices]:
        """Substitutes for tokens of `one` from `other`, and for tokens of `other` from `one`."""
        one, other = self.key // self.size, self.key % self.size
        return _choices(self.size, one, other, self.forth), _choices(self.size, other, one, self.back)


def bitexts(folder: Path, encode: Encode, seed: int, most: int | None = None) -> Iterator[Bitext]:
    """For each parallel file of the folder, a random sample of at most `most` pairs, each side 3 to 64 tokens long.

    Raises SettingError, UnreadableFile.
    """
    for n, (path, one, other) in enumerate(parallel_files(folder)):
        pairs = list(sentence_pairs(path))
        found = _bitext(one, other, pairs, encode, np.random.default_rng([seed, n]).permutation(len(pairs))[:most])
        if found is not None:
            yield found


def other_bitexts(folder: Path, encode: Encode, fewest: int) -> Iterator[Bitext]:
    """The pairs of the optional file x-x.tsv (plain, .xz, .gz), for language pairs with at least `fewest` pairs.

    A line has two language codes and two sentences. Raises UnreadableFile.
    """
    grouped: defaultdict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for path in sorted(folder.glob("x-x.tsv*")):
        for number, line in enumerate(read_text(path).splitlines(), start=1):
            columns = line.split("\t")
            if len(columns) != 4:
                raise UnreadableFile(f"{path.name}, line {number}, has {len(columns)} columns; it must have four.")
            grouped[columns[0], columns[1]].append((columns[2], columns[3]))
    for (one, other), pairs in sorted(grouped.items()):
        found = _bitext(one, other, pairs, encode, np.arange(len(pairs))) if len(pairs) >= fewest else None
        if found is not None:
            yield found


def _bitext(
    one: str, other: str, pairs: Sequence[tuple[str, str]], encode: Encode, rows: NDArray[np.int64]
) -> Bitext | None:
    """The chosen pairs without those with a too short or too long side; None if none is left."""
    drawn = [pairs[row] for row in sorted(rows.tolist())]
    sides = [_tokens(encode, [pair[side] for pair in drawn]) for side in (0, 1)]
    kept = [both for both in zip(*sides, strict=True) if all(SHORTEST <= len(side) <= LONGEST for side in both)]
    return Bitext(one, other, to_ragged([a for a, _ in kept]), to_ragged([b for _, b in kept])) if kept else None


def lexicon(pairs: Bitext, size: int) -> Lexicon:
    """Learns a lexicon from pairs that are likely translations in at least one direction. size: of the vocabulary."""
    links = ibm_model1.links(pairs.ones, pairs.others)
    forth, back = ibm_model1.forward_probabilities(links), ibm_model1.backward_probabilities(links)
    sure = (links.seen >= 2) & (np.maximum(forth, back) >= LIKELY) & (links.seen * np.minimum(forth, back) >= SEEN)
    key = links.one[sure] * size + links.other[sure]
    order = np.argsort(key)
    likely, likely_back = (chance[sure][order].astype(np.float32) for chance in (forth, back))
    return Lexicon(size, key[order], likely, likely_back, links.seen[sure][order])


def _tokens(encode: Encode, texts: Sequence[str]) -> list[Sequence[int]]:
    found: list[Sequence[int]] = []
    for at in range(0, len(texts), TEXTS_AT_ONCE):
        found += encode(texts[at : at + TEXTS_AT_ONCE])
    return found


def _choices(size: int, source: NDArray[np.int64], target: NDArray[np.int64], chance: NDArray[np.float32]) -> Choices:
    """The four most probable substitutes of each source token."""
    order = np.lexsort((-chance, source))
    source, target, chance = source[order], target[order], chance[order]
    rank = np.arange(len(source)) - np.searchsorted(source, source)
    top = (rank < CHOICES) & (chance >= LIKELY)
    ids = np.tile(np.arange(size, dtype=np.int32)[:, None], (1, CHOICES))
    chances = np.zeros((size, CHOICES), dtype=np.float32)
    ids[source[top], rank[top]] = target[top]
    chances[source[top], rank[top]] = chance[top]
    upto = np.cumsum(chances, axis=1)
    whole = upto[:, -1]
    return Choices(ids, (upto / np.maximum(whole, 1e-9)[:, None]).astype(np.float32), whole >= ENOUGH)
