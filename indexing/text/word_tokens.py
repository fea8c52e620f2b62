"""The words of a text as search by words sees them: folded, in order, each with its place in the text.

Words are those of the keyword index (`search_terms`): without accents and case, numbers without their separators, and
compounds as their parts. A run of Han, Kana, Hangul, Thai, Lao, Khmer or Myanmar is one word for each character.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import NamedTuple

import regex

from indexing.normal_form import normal_text
from indexing.text.search_terms import (
    BARE_RUNS,
    CLUSTER,
    DENSE,
    FULL_WIDTH,
    MARKED,
    NARROW,
    NOT_PLAIN,
    PLAIN_RUNS,
    SPLIT_AM,
    WORD_BREAK,
    run_keys,
    term_text,
    usual_am,
)

CACHED_RUNS = 200_000
SPACED_NUMBER = regex.compile(r"\d\)?\s\d")


class Token(NamedTuple):
    """A word. joined: it continues an unspaced run. start, end: code points in the text; the parts of a compound share
    the place of the whole."""

    key: str
    joined: bool
    start: int
    end: int


class Keys(NamedTuple):
    """The words of a text without their places. joined: positions of words that continue an unspaced run."""

    keys: list[str]
    joined: AbstractSet[int]


def keys(text: str) -> Keys:
    """The keys of `tokens` of a text, in less time.

    >>> keys("Das Café, 東京都")
    Keys(keys=['das', 'cafe', '東', '京', '都'], joined={3, 4})
    """
    if NOT_PLAIN.search(text) is None:
        return Keys(list(chain.from_iterable(map(_plain_keys, pieces(text)))), frozenset())
    found: list[str] = []
    joined: set[int] = set()
    for run in BARE_RUNS.findall(term_text(text)):
        first = len(found)
        found += cached_keys(run)
        if len(found) > first + 1 and DENSE.match(run):
            joined.update(range(first + 1, len(found)))
    return Keys(found, joined)


def pieces(text: str) -> list[str]:
    """The parts of a text between white space, whose runs are those of the text; the whole text if a number has spaces.

    >>> pieces("a well-known  bridge"), pieces("cost 1 150 pounds")
    (['a', 'well-known', 'bridge'], ['cost 1 150 pounds'])
    """
    return text.split() if SPACED_NUMBER.search(text) is None else [text]


def tokens(text: str) -> list[Token]:
    """The words of a text in order, with their places.

    >>> [(token.key, token.start, token.end) for token in tokens("Das Café, 1.150 m")]
    [('das', 0, 3), ('cafe', 4, 8), ('1150', 10, 15), ('m', 16, 17)]
    """
    if NOT_PLAIN.search(text) is None:
        return [
            Token(key, False, match.start(), match.end())
            for match in PLAIN_RUNS.finditer(text)
            for key in cached_keys(match[0])
        ]
    return list(_bare_tokens(text))


def query_tokens(text: str) -> list[Token]:
    """`tokens` of the words of a query, without those that no text can have."""
    return [token for token in tokens(text) if token.key]


@functools.lru_cache(CACHED_RUNS)
def _plain_keys(piece: str) -> tuple[str, ...]:
    return tuple(key for run in PLAIN_RUNS.findall(piece) for key in run_keys(run))


@functools.lru_cache(CACHED_RUNS)
def cached_keys(run: str) -> tuple[str, ...]:
    """`run_keys`, kept in an LRU cache."""
    return run_keys(run)


def _bare_tokens(text: str) -> Iterator[Token]:
    normal = normal_text(text)
    shown, places = _without_breaks(normal.text)

    def original(start: int, end: int) -> tuple[int, int]:
        return normal.original(places[start], places[end - 1] + 1) if places else normal.original(start, end)

    for match in BARE_RUNS.finditer(shown):
        run, keys = match[0], cached_keys(match[0])
        if DENSE.match(run) is None:
            span = original(match.start(), match.end())
            yield from (Token(key, False, *span) for key in keys)
            continue
        at = match.start()
        for number, (key, length) in enumerate(zip(keys, _lengths(run), strict=True)):
            yield Token(key, number > 0, *original(at, at + length))
            at += length


def _lengths(run: str) -> list[int]:
    """The length of each character of an unspaced run, with its marks."""
    return [1] * len(run) if MARKED.search(run) is None else [len(cluster) for cluster in CLUSTER.findall(run)]


def _without_breaks(text: str) -> tuple[str, list[int]]:
    """A text in normal form as `search_terms.term_text` leaves it, and the place of each character; [] if none moved."""
    if FULL_WIDTH.search(text):
        text = text.translate(NARROW)
    places: list[int] = []
    if WORD_BREAK in text:
        places = [at for at, sign in enumerate(text) if sign != WORD_BREAK]
        text = text.replace(WORD_BREAK, "")
    if SPLIT_AM.search(text) is None:
        return text, places
    places = places or list(range(len(text)))
    parts: list[str] = []
    kept: list[int] = []
    last = 0
    for match in SPLIT_AM.finditer(text):
        made = usual_am(match)
        parts += [text[last : match.start()], made]
        kept += places[last : match.start()]
        kept += [*places[match.start() : match.start() + len(made) - 1], places[match.end() - 1]]
        last = match.end()
    return "".join([*parts, text[last:]]), kept + places[last:]
