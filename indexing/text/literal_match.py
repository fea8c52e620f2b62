"""Tells of most texts whether they have a phrase, without analysing them into words.

A phrase has two patterns, each certain on one side. Where `written` is found, the words of the text have the phrase:
each word stands in a spelling that `run_keys` folds to its key, between white space or simple punctuation. Where
`anywhere` is not found in a simple text, a word of the phrase is missing: its letters occur at most within longer
words. Other texts are analysed.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import regex

from indexing.text.identifiers import APOSTROPHES, LONGEST
from indexing.text.search_terms import DENSE, UNSPACED, run_keys
from indexing.text.word_tokens import SPACED_NUMBER, Token

CACHED_PHRASES = 1_000
LETTERS = tuple(
    range(first, last)
    for first, last in ((0x41, 0x250), (0x370, 0x530), (0x5D0, 0x5F0), (0x620, 0x700), (0x900, 0xE00), (0x1E00, 0x2000))
)
CHARACTERS = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\uac00-\ud7a3]+", regex.V1)
BEFORE, BETWEEN = r"(?<![^\s(\[\"«„“])", r"\s+"
PUNCTUATION = r"[.,;:!?)\]\"»“”،؛؟।॥]*+"
AFTER = rf"(?={PUNCTUATION}(?:\s|$))"
BEFORE_NUMBER = r"(?<!\S)(?<![\d)]\s)"
AFTER_NUMBER = r"(?=[.,;:!?]*+(?:\s++[^\d\s]|\s*+$))"
NO_MARK = r"(?![\p{M}\p{Cf}\u1100-\u11ff\ua960-\ua97f\ud7b0-\ud7ff\uff9e\uff9f])"
INSIDE = rf"[[\p{{L}}\p{{M}}]--{UNSPACED}]"
ENDS = rf"(?:(?!{INSIDE})|(?=\p{{Lu}}))"
# Latin, Greek and Cyrillic without marks, Hebrew without points, Arabic, Indic, Han, Kana and Hangul; nothing invisible.
IGNORED = "[\u0640\u064b-\u065f\u0670\u093c\u09bc\u0a3c\u0abc]"
HAS_IGNORED = re.compile(IGNORED)
NOT_SIMPLE = re.compile(
    "[^\u0000-\u00ac\u00ae-\u02ba\u02bd-\u02ff\u0370-\u0482\u048a-\u052f\u05d0-\u05ea\u060c-\u060f\u061b\u061f-\u06d5"
    "\u0900-\u0dff\u1e00-\u1fff"
    "\u2000-\u200a\u2010-\u2029\u202f-\u205f\u20a0-\u20bf\u2190-\u21ff\u3000-\u3098\u309d-\u30ff\u4e00-\u9fff\uac00-\ud7a3]"
)


class Patterns(NamedTuple):
    """What is certain of a phrase, None where nothing is. ignoring: `anywhere` steps over marks that are dropped."""

    written: regex.Pattern[str] | None
    anywhere: regex.Pattern[str] | None = None
    ignoring: bool = False

    def occurs(self, text: str) -> bool | None:
        """Whether the phrase occurs in a text; None if that takes an analysis."""
        if self.written is not None and self.written.search(text):
            return True
        if self.anywhere is None or self.anywhere.search(text) or not _is_simple(text):
            return None
        return False if self.ignoring or HAS_IGNORED.search(text) is None else None


@functools.lru_cache(CACHED_PHRASES)
def patterns(words: tuple[Token, ...], prefix: bool) -> Patterns:
    """The patterns of a phrase. prefix: the last word may go on.

    >>> found = patterns((Token("old", False, 0, 3), Token("cafe", False, 4, 8)), False)
    >>> found.occurs("The Old Café, too"), found.occurs("The old cafés, too"), found.occurs("The old-café")
    (True, False, None)
    """
    if len(words) == 1 and DENSE.match(words[0].key) or any(word.joined for word in words):
        return Patterns(None if prefix else _unspaced(words))
    if any(DENSE.match(word.key) for word in words):
        return Patterns(None)
    last = len(words) - 1
    written = [_written(word.key, prefix and at == last) for at, word in enumerate(words)]
    certain = regex.compile(BETWEEN.join(written)) if all(written) else None
    longest = max((word.key for word in words if word.key.isalpha()), key=len, default="")
    return Patterns(certain) if prefix or not longest else Patterns(certain, *_anywhere(longest))


def _written(key: str, prefix: bool) -> str:
    """The spellings of a word that certainly have its key, with what stands around them; "" if there is none."""
    if len(key) > LONGEST // 2 or run_keys(key) != (key,):
        return ""
    if key.isascii() and key.isdigit():
        return "" if prefix else f"{BEFORE_NUMBER}{key}{AFTER_NUMBER}"
    signs = [_signs(letter) for letter in key]
    if not all(signs) or unicodedata.category(key[0])[0] == "M" or (prefix and not key.isascii()):
        return ""
    first, rest = signs[0], [[sign for sign in each if not sign.isupper()] for each in signs[1:]]
    more = "[a-z]*+" if prefix else ""
    return f"{BEFORE}{_one_of(first)}{''.join(map(_one_of, rest))}{more}{AFTER}"


def _anywhere(key: str) -> tuple[regex.Pattern[str] | None, bool]:
    """A word of letters in any case, where it could be a word of its own; and whether dropped marks may be in it."""
    signs = [_signs(letter) for letter in key]
    if not all(signs) or len(key) > LONGEST // 2:
        return None, False
    ignoring = any("\u0600" <= letter < "\u0e00" for letter in key)
    marks = f"{IGNORED}*+" if ignoring else ""
    begins = rf"(?:(?<!{INSIDE}){marks}|(?=\p{{Lu}}))"
    return regex.compile(f"{begins}{''.join(_one_of(each) + marks for each in signs)}{ENDS}", regex.V1), ignoring


def _one_of(signs: Sequence[str]) -> str:
    return f"[{''.join(signs)}]"


def _unspaced(words: Sequence[Token]) -> regex.Pattern[str] | None:
    """Characters of Han, Kana or Hangul side by side."""
    run, one_run = "".join(word.key for word in words), not words[0].joined and all(word.joined for word in words[1:])
    if not one_run or not CHARACTERS.fullmatch(run) or run_keys(run) != tuple(word.key for word in words):
        return None
    return regex.compile(regex.escape(run) + NO_MARK)


def _signs(letter: str) -> list[str]:
    """The signs that are folded to a letter of a key; a kept mark stands for itself."""
    if unicodedata.category(letter)[0] == "M":
        return [letter]
    return _folded_to()[0].get(letter, [])


def _is_simple(text: str) -> bool:
    """Whether each letter of a text's words is folded to one letter, without regard to the others."""
    return NOT_SIMPLE.search(text) is None and SPACED_NUMBER.search(text) is None and not _folded_to()[1].search(text)


@functools.cache
def _folded_to() -> tuple[Mapping[str, list[str]], regex.Pattern[str]]:
    """(letter of a key -> the letters that are folded to it, a pattern of the letters that become several or none)."""
    single: dict[str, list[str]] = defaultdict(list)
    other: list[str] = []
    for code in (code for part in LETTERS for code in part):
        letter = chr(code)
        if unicodedata.category(letter) not in ("Lu", "Ll", "Lt", "Lo"):
            continue
        key = "".join(run_keys(letter))
        if len(key) == 1 == len(letter.lower()) and letter not in APOSTROPHES:
            single[key].append(letter)
        else:
            other.append(letter)
    return single, regex.compile(f"[{''.join(other)}]")
