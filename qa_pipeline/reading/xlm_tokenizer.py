"""XLM tokenization with character offsets.

XLM's tokenizer is slow and gives no offsets. So a text is first split into units: words between white space, or single
characters with their marks in scripts without spaces. Where a unit's tokens spell it letter by letter, each token gets
exact offsets. Where the tokenizer rewrote the unit, each token gets the offsets of the whole unit. Training scripts also
tokenise passages word by word.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import regex

WITHOUT_SPACES = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
LONGEST_UNIT = 100
CACHED_UNITS = 1 << 16
WORD_END = "</w>"

_UNIT = regex.compile(
    rf"{WITHOUT_SPACES}[\p{{M}}\u0e33\u0eb3]{{0,20}}"
    rf"|(?:(?!{WITHOUT_SPACES})[^\s\x1c-\x1f\x85]){{1,{LONGEST_UNIT}}}"
)


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a text: token n has the id ids[n] and covers text[starts[n]:ends[n]], without white space."""

    ids: tuple[int, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]


class XlmTokens:
    """The tokenizer of a model folder. Thread-safe; its only state is a bounded LRU cache."""

    def __init__(self, folder: Path) -> None:
        from transformers import XLMTokenizer

        self.tokenizer: Any = XLMTokenizer.from_pretrained(str(folder), local_files_only=True)
        self.tokenizer.cache = _EmptyCache()
        self._unit = lru_cache(maxsize=CACHED_UNITS)(self._tokens_of_unit)

    def tokens(self, text: str) -> Tokens:
        """All tokens of a text, in order; none for a text of only white space and control characters."""
        ids: list[int] = []
        starts: list[int] = []
        ends: list[int] = []
        for at, unit in units(text):
            known = self._unit(unit)
            ids += known.ids
            starts += [at + start for start in known.starts]
            ends += [at + end for end in known.ends]
        return Tokens(tuple(ids), tuple(starts), tuple(ends))

    def _tokens_of_unit(self, unit: str) -> Tokens:
        pieces: list[str] = self.tokenizer.tokenize(unit, split_special_tokens=True)
        ids: list[int] = self.tokenizer.convert_tokens_to_ids(pieces)
        bare = [piece.removesuffix(WORD_END) for piece in pieces]
        places = places_of(bare, [self._spelled(character) for character in unit])
        return Tokens(tuple(ids), tuple(start for start, _ in places), tuple(end for _, end in places))

    def _spelled(self, character: str) -> str:
        """One character as the tokenizer normalises it: ASCII punctuation, lower case, no accent; may be empty."""
        from transformers.models.xlm import tokenization_xlm

        xlm: Any = tokenization_xlm
        plain = "".join(xlm.remove_non_printing_char(xlm.replace_unicode_punct(character)).split())
        if plain and self.tokenizer.do_lowercase_and_remove_accent:
            return "".join(xlm.lowercase_and_remove_accent([plain]))
        return str(plain)


def units(text: str) -> list[tuple[int, str]]:
    """(start, unit) of the units in which a text is tokenised, in order; they cover everything but white space.

    >>> units("It is 橋は, ok")
    [(0, 'It'), (3, 'is'), (6, '橋'), (7, 'は'), (8, ','), (10, 'ok')]
    """
    return [(found.start(), found.group()) for found in _UNIT.finditer(text)]


def places_of(pieces: list[str], letters: list[str]) -> list[tuple[int, int]]:
    """(start, end) of the characters that each piece covers. letters: the normalised form of each character of the unit.

    A character with an empty form belongs to the piece before it. Pieces that do not spell the letters cover the whole
    unit.

    >>> places_of(["caf", "e", "."], ["c", "a", "f", "e", "", "."])
    [(0, 3), (3, 5), (5, 6)]
    >>> places_of(["..", "."], ["…"])
    [(0, 1), (0, 1)]
    """
    if "".join(pieces) != "".join(letters):
        return [(0, len(letters))] * len(pieces)
    owner = [n for n, letter in enumerate(letters) for _ in letter]
    result: list[tuple[int, int]] = []
    at = 0
    for piece in pieces:
        start, end = owner[at], owner[at + len(piece) - 1] + 1
        while end < len(letters) and not letters[end]:
            end += 1
        result.append((start, end))
        at += len(piece)
    return result


class _EmptyCache(dict[str, str]):
    """Replaces the tokenizer's own cache of words, which is unbounded."""

    def __setitem__(self, word: str, pieces: str) -> None:
        pass
