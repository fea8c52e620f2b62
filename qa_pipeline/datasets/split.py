"""Train/test split: equally many test questions per language, no paragraph on both sides.

A group goes to one side as a whole. These belong to one group:

- the questions of one paragraph;
- paragraphs that share a long sentence (two windows of one article);
- translations of one paragraph in parallel files, aligned by id or by title and position.

If the test set takes only some questions of a group, the others are left out of both sides.
"""

from __future__ import annotations

import os
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

from indexing.errors import SettingError
from qa_pipeline.datasets.examples import Example

SENTENCE_END = re.compile(r"(?<=[.!?।؟。！？])\s*|\n+")
PREFIX = re.compile(r".*[-_.:/]")
LONG_SENTENCE = 60
WIDESPREAD = 5
PARALLEL_SHARE = 0.5
CONSISTENT_SHARE = 0.95
COUNTER = re.compile(r"[\d\W_]{1,12}")
NUMBER = re.compile(r"\d{2,18}")
THOUSANDS = re.compile(r"(?<=\d)[.,'\u00a0\u2009\u202f\u066c](?=\d{3}(?!\d))")
FEWEST_NUMBERS = 2
SHARED_NUMBERS = 0.4

Paragraph = TypeVar("Paragraph", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Division:
    """Invariant: no group of `groups` has examples in both train and test; test has equally many of each language."""

    train: tuple[Example, ...]
    test: tuple[Example, ...]
    left_out: int


def divide(examples: Sequence[Example], per_language: int, seed: int) -> Division:
    """Splits deterministically for the same examples and seed. Raises SettingError if a language has too few questions."""
    found = Counter(example.language for example in examples)
    few = {language: count for language, count in found.items() if count < per_language}
    if few:
        language, count = min(few.items(), key=lambda item: (item[1], item[0]))
        raise SettingError(
            f"Language {language} has {count:,} questions, fewer than the {per_language:,} asked for the test."
        )
    need = dict.fromkeys(found, per_language)
    train: list[int] = []
    test: list[int] = []
    for group in _order(examples, groups(examples), per_language, seed):
        if any(need[examples[n].language] for n in group):
            test += _taken(examples, group, need)
        else:
            train += group
    chosen = tuple(examples[n] for n in sorted(train)), tuple(examples[n] for n in sorted(test))
    return Division(*chosen, left_out=len(examples) - len(train) - len(test))


def groups(examples: Sequence[Example]) -> list[list[int]]:
    """Indices of examples that must stay on one side, group by group, ordered by the first index of each group."""
    paragraph = _Paragraphs(examples)
    sets = _Sets(len(paragraph.contexts))
    for a, b in (*paragraph.of_shared_sentences(), *paragraph.of_parallel_files()):
        sets.join(a, b)
    found: defaultdict[int, list[int]] = defaultdict(list)
    for n, number in enumerate(paragraph.of_example):
        found[sets.root(number)].append(n)
    return list(found.values())


def by_language(examples: Sequence[Example]) -> dict[str, list[Example]]:
    """The examples of each language, ordered by language code."""
    found: defaultdict[str, list[Example]] = defaultdict(list)
    for example in examples:
        found[example.language].append(example)
    return dict(sorted(found.items()))


def _order(examples: Sequence[Example], found: list[list[int]], per_language: int, seed: int) -> list[list[int]]:
    """Shuffled groups; those with more questions of a language than the test needs come last, so that few are left out."""
    order = found.copy()
    random.Random(seed).shuffle(order)
    return sorted(order, key=lambda group: max(Counter(examples[n].language for n in group).values()) > per_language)


def _taken(examples: Sequence[Example], group: Sequence[int], need: dict[str, int]) -> list[int]:
    """The members of a group that the test still needs; decrements `need`."""
    taken: list[int] = []
    for n in group:
        if need[examples[n].language]:
            need[examples[n].language] -= 1
            taken.append(n)
    return taken


class _Sets:
    """Disjoint sets of numbers (union-find with path halving)."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def root(self, number: int) -> int:
        parent = self._parent
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    def join(self, a: int, b: int) -> None:
        first, second = sorted((self.root(a), self.root(b)))
        self._parent[second] = first


class _Paragraphs:
    """Numbers the contexts; contexts that differ only in white space share a number."""

    def __init__(self, examples: Sequence[Example]) -> None:
        numbers: dict[str, int] = {}
        self.of_example = [numbers.setdefault(" ".join(e.context.split()), len(numbers)) for e in examples]
        self.contexts = list(numbers)
        self._ids: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self._titles: defaultdict[str, dict[str, dict[int, None]]] = defaultdict(dict)
        self._language: dict[str, str] = {}
        for example, number in zip(examples, self.of_example, strict=True):
            file = f"{example.origin}\0{example.language}\0{example.question_language}"
            self._ids[file][example.id] = number
            self._language[file] = example.language
            if example.title:
                self._titles[file].setdefault(example.title, {})[number] = None

    def of_shared_sentences(self) -> Iterator[tuple[int, int]]:
        """Pairs of paragraphs with a long sentence in common; widespread sentences (a notice, a menu) are ignored."""
        holders: defaultdict[str, list[int]] = defaultdict(list)
        for number, context in enumerate(self.contexts):
            for sentence in set(SENTENCE_END.split(context)):
                if len(sentence) >= LONG_SENTENCE:
                    holders[sentence].append(number)
        for numbers in holders.values():
            if len(numbers) <= WIDESPREAD:
                yield from ((numbers[0], other) for other in numbers[1:])

    def of_parallel_files(self) -> Iterator[tuple[int, int]]:
        """Pairs of equal paragraphs in parallel files (translations, or one text with questions in two languages)."""
        for one, other in combinations(self._ids, 2):
            yield from _by_id(self._ids[one], self._ids[other], self.contexts.__getitem__)
            if self._language[one] != self._language[other]:
                yield from _by_title(self._titles[one], self._titles[other])


def _by_id(one: Mapping[str, int], other: Mapping[str, int], text: Callable[[int], str]) -> Iterator[tuple[int, int]]:
    for a, b in ((one, other), (_without_prefix(one), _without_prefix(other))):
        yield from {(a[id], b[id]) for id in parallel_ids(a, b, text)}


def _without_prefix(numbers: Mapping[str, int]) -> dict[str, int]:
    """The ids without their common prefix up to a dash, dot or colon, so that squad-fi-12 matches squad-en-12."""
    same = PREFIX.match(os.path.commonprefix(list(numbers)))
    return {id[same.end() if same else 0 :]: number for id, number in numbers.items()}


def parallel_ids(
    one: Mapping[str, Paragraph], other: Mapping[str, Paragraph], text: Callable[[Paragraph], str] = str
) -> list[str]:
    """The ids shared by two parallel files, given each id's paragraph; [] if the files are not parallel.

    Files are parallel if most ids are shared and lead to the same pairs of paragraphs. Plain counters (1, 2, 3) seldom do.
    If they do, the paragraphs must share numbers as translations do. text: the text of a paragraph.
    """
    few, many = sorted((one, other), key=len)
    shared = [id for id in few if id in many]
    if len(shared) < PARALLEL_SHARE * len(few):
        return []
    pairs = {(one[id], other[id]) for id in shared}
    distinct = min(len({a for a, _ in pairs}), len({b for _, b in pairs}))
    if distinct < CONSISTENT_SHARE * len(pairs):
        return []
    counted = all(COUNTER.fullmatch(id) for id in shared)
    return [] if counted and _numbers_differ([(text(a), text(b)) for a, b in pairs]) else shared


def _numbers_differ(pairs: Iterable[tuple[str, str]]) -> bool:
    """Whether texts that have numbers share too few to be translations of one another; False where none have numbers.

    >>> _numbers_differ([("Built in 1912, 84 m high", "١٩١٢ ,84")]), _numbers_differ([("1912, 84", "1777, 2314")])
    (False, True)
    """
    shares = [
        len(a & b) / min(len(a), len(b))
        for a, b in ((_numbers(one), _numbers(other)) for one, other in pairs)
        if min(len(a), len(b)) >= FEWEST_NUMBERS
    ]
    return bool(shares) and sum(shares) < SHARED_NUMBERS * len(shares)


def _numbers(text: str) -> set[int]:
    """The numbers of two digits and more, in any script, without separators of thousands."""
    return {int(found) for found in NUMBER.findall(THOUSANDS.sub("", text))}


def _by_title(one: Mapping[str, Mapping[int, None]], other: Mapping[str, Mapping[int, None]]) -> Iterator[tuple[int, int]]:
    """Pairs paragraphs by position in articles with the same title and number of paragraphs."""
    for title, numbers in one.items():
        if len(numbers) == len(other.get(title, ())):
            yield from zip(numbers, other[title], strict=True)
