"""Finds text of a PDF page that is not what the page shows: codes of glyphs instead of letters."""

from __future__ import annotations

import re

_SHIFT = 29
_WORD = re.compile(r"[^\W\d_]{4,}")
_VOWELS = frozenset("aeiouyàáâãäåæèéêëìíîïòóôõöøùúûüýÿœ")
_FREQUENT = frozenset("etaoinsrl")
_CONSONANTS = re.compile("[bcdfghjklmnpqrstvwxz]{5,}")
_LATIN = re.compile("[A-Za-zÀ-ɏ]+")
_CASE = re.compile("[A-ZÀ-Þ]?[a-zß-ɏ]+|[A-ZÀ-Þ]+")
_NUMBER = re.compile("[(+-]*[0-9][0-9.,:/%)-]*")
_EAST = re.compile("[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3]")
_SPELLED = re.compile("[\u3040-\u30ff\uac00-\ud7a3]")
_COMMON_EAST = re.compile("[のはをにがでと이다는의에을를가은로하고的一是在了有和]")
_WORDS = 20


def is_illegible(text: str, unmapped: int = 0) -> bool:
    """Whether a page's text cannot be read as any language.

    unmapped: characters of fonts without a Unicode map, whose code pdfium gives in place of a letter.

    >>> is_illegible("The bridge opened in 1912."), is_illegible("+HUDXVJHEHU*HPHLQGHYHUZDOWXQJ6SDWHQVWLFKIXU")
    (False, True)
    """
    odd = sum("\ue000" <= c <= "\uf8ff" or c == "\ufffd" or "\x7f" <= c < "\xa0" for c in text)
    if odd > 10 and odd * 4 > len(text):
        return True
    if unmapped > 10 and unmapped * 2 > len(text) and not _is_plausible(text):
        return True
    return _is_shifted(text) or _has_no_words(text)


def _is_plausible(text: str) -> bool:
    """Whether most of a text is words that can be spoken, numbers, or Chinese, Japanese or Korean: codes are often right."""
    words = _LATIN.findall(text)
    good = sum(len(word) for word in words if len(word) > 1 and _VOWELS & set(word.lower()) and _CASE.fullmatch(word))
    good += sum(len(token) for token in text.split() if _NUMBER.fullmatch(token))
    east = len(_EAST.findall(text))
    if east * 5 > 4 * sum(map(str.isalpha, text)) and not _SPELLED.search(text):
        return True
    if len(_COMMON_EAST.findall(text)) * 20 > east:
        good += east
    return good * 2 > sum(not letter.isspace() for letter in text)


def _is_shifted(text: str) -> bool:
    """Whether Latin letters are off by 29, as the glyphs of most TrueType fonts are numbered."""
    letters = [letter for letter in text if "A" <= letter <= "Z" or "a" <= letter <= "z"]
    capitals = sum(letter <= "Z" for letter in letters)
    if len(letters) < 30 or capitals * 10 < 9 * len(letters):
        return False
    meant = [chr(ord(letter) + _SHIFT) for letter in letters]
    return _frequent(meant) > 0.5 > 0.45 > _frequent(letters) and sum(map(str.islower, meant)) * 10 > 8 * len(meant)


def _frequent(letters: list[str]) -> float:
    """The share of letters that are frequent in languages with Latin letters: well over half of most texts."""
    return sum(letter.lower() in _FREQUENT for letter in letters) / len(letters)


def _has_no_words(text: str) -> bool:
    """Whether most Latin words cannot be spoken: without a vowel, or with five consonants in a row."""
    words = [word.lower() for word in _WORD.findall(text[:20_000]) if "a" <= word[0].lower() <= "\u024f"]
    if len(words) < _WORDS:
        return False
    bad = sum(not _VOWELS & set(word) or bool(_CONSONANTS.search(word)) for word in words)
    return bad * 2 > len(words)
