"""Bilingual word dictionary from parallel sentences: IBM Model 1 in both directions, symmetrised.

It contains pairs that are each other's best translation (`ibm_model1`) and occur at least `FEWEST` times.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import regex
from numpy.typing import NDArray

from indexing.errors import SettingError, UnreadableFile
from indexing.models.registry import builtin_tokenizer
from qa_pipeline.datasets.examples import read_text
from qa_pipeline.training.alignment import ibm_model1
from qa_pipeline.training.alignment.ibm_model1 import to_ragged

NAME = re.compile(r"(?P<one>[a-z]{2,3})-(?P<other>[a-z]{2,3})\.tsv(\.xz|\.gz)?")
WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+(?:['’\-][\p{L}\p{M}\p{N}]+)*")
UNSPACED = ("zh", "ja", "th", "lo", "km", "my")
FEWEST = 3
SUREST = 0.1
LONGEST = 40
SENTENCES = 40_000


@dataclass(frozen=True, slots=True)
class Dictionary:
    """Lower-case word -> translation. Invariant: no word maps to itself or to an empty string."""

    source: str
    target: str
    words: Mapping[str, str]


def spans(text: str, language: str) -> list[tuple[int, int]]:
    """Spans of the words of a text; in scripts without spaces, of the built-in tokenizer's tokens.

    >>> spans("It's 4 p.m.", "en")
    [(0, 4), (5, 6), (7, 8), (9, 10)]
    """
    if language not in UNSPACED:
        return [found.span() for found in WORD.finditer(text)]
    return [
        (at + begin, at + end)
        for at, chunk in ((found.start(), found.group()) for found in WORD.finditer(text))
        for begin, end in _pieces(chunk)
    ]


@lru_cache(maxsize=1 << 15)
def _pieces(chunk: str) -> tuple[tuple[int, int], ...]:
    """Token spans in order without overlap; two tokens that share a character (a Thai vowel written as two) are merged."""
    found: list[tuple[int, int]] = []
    for begin, end in builtin_tokenizer().encode(chunk, add_special_tokens=False).offsets:
        if found and begin < found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        elif begin < end:
            found.append((begin, end))
    return tuple(found)


def dictionaries(folder: Path, languages: Sequence[str] = ()) -> list[Dictionary]:
    """Both directions of every file aa-bb.tsv (plain, .xz, .gz) in the folder, one sentence pair a line.

    languages: only files with one of these; () for all. Raises SettingError if there is none.
    """
    return [
        found for path, *names in parallel_files(folder, languages) for found in learn_dictionary(_sentences(path), *names)
    ]


def parallel_files(folder: Path, languages: Sequence[str] = ()) -> list[tuple[Path, str, str]]:
    """The files aa-bb.tsv (plain, .xz, .gz) in the folder with their two languages, only those with one of `languages`.

    Raises SettingError if there is none.
    """
    names = [(path, NAME.fullmatch(path.name)) for path in sorted(folder.glob("*.tsv*"))]
    found = [(path, name["one"], name["other"]) for path, name in names if name]
    found = [file for file in found if not languages or set(file[1:]) & set(languages)]
    if not found:
        raise SettingError(f"{folder} holds no parallel sentences: files named en-de.tsv or en-de.tsv.xz, two columns.")
    return found


def learn_dictionary(pairs: Sequence[tuple[str, str]], one: str, other: str) -> tuple[Dictionary, Dictionary]:
    """Learns the dictionaries from `one` to `other` and back from sentence pairs."""
    sides = [
        [[text[a:b].lower() for a, b in spans(text, language)] for text in column]
        for column, language in ((tuple(p[0] for p in pairs), one), (tuple(p[1] for p in pairs), other))
    ]
    kept = [(a, b) for a, b in zip(*sides, strict=True) if 0 < len(a) <= LONGEST and 0 < len(b) <= LONGEST]
    both = _agreed([a for a, _ in kept], [b for _, b in kept])
    forth = {a: b for a, b in both if a != b}
    back = {b: a for a, b in both if a != b}
    return Dictionary(one, other, forth), Dictionary(other, one, back)


def _agreed(ones: list[list[str]], others: list[list[str]]) -> list[tuple[str, str]]:
    """The word pairs that are each other's best translation."""
    if not ones:
        return []
    names, numbered = zip(*(_numbered(side) for side in (ones, others)), strict=True)
    links = ibm_model1.links(*(to_ragged(side) for side in numbered))
    forth, back = ibm_model1.forward_probabilities(links), ibm_model1.backward_probabilities(links)
    sure = (links.seen >= FEWEST) & (forth >= SUREST) & (back >= SUREST)
    score = np.where(sure, forth * back, 0.0)
    best = sure & (score >= _top(score, links.one)) & (score >= _top(score, links.other))
    rows = sorted(np.flatnonzero(best).tolist(), key=lambda n: -score[n])
    return _once([(names[0][links.one[n]], names[1][links.other[n]]) for n in rows])


def _numbered(side: list[list[str]]) -> tuple[list[str], list[list[int]]]:
    known: dict[str, int] = {}
    numbers = [[known.setdefault(word, len(known)) for word in sentence] for sentence in side]
    return list(known), numbers


def _top(score: NDArray[np.float64], word: NDArray[np.int64]) -> NDArray[np.float64]:
    """For each pair, the maximum score over all pairs of its word."""
    best = np.zeros(int(word.max()) + 1)
    np.maximum.at(best, word, score)
    found: NDArray[np.float64] = best[word]
    return found


def _once(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Keeps a pair only if both of its words are new."""
    seen: tuple[set[str], set[str]] = (set(), set())
    kept: list[tuple[str, str]] = []
    for one, other in pairs:
        if one not in seen[0] and other not in seen[1]:
            kept.append((one, other))
            seen[0].add(one)
            seen[1].add(other)
    return kept


def _sentences(path: Path) -> list[tuple[str, str]]:
    return list(sentence_pairs(path))[:SENTENCES]


def sentence_pairs(path: Path) -> Iterator[tuple[str, str]]:
    """The two columns of each line. Raises UnreadableFile."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            columns = line.rstrip("\r").split("\t")
            if len(columns) != 2:
                raise UnreadableFile(f"{path.name}, line {number}, has {len(columns)} columns; it must have two sentences.")
            yield columns[0], columns[1]


def by_source(found: Sequence[Dictionary]) -> dict[str, list[Dictionary]]:
    """Non-empty dictionaries by source language."""
    grouped: defaultdict[str, list[Dictionary]] = defaultdict(list)
    for dictionary in found:
        if dictionary.words:
            grouped[dictionary.source].append(dictionary)
    return dict(grouped)
