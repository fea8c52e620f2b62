"""A number as a whole, and the power, magnitude, currency and unit behind it."""

from __future__ import annotations

import regex

from qa_pipeline.answering.number_affixes import NUMERALS
from qa_pipeline.answering.number_patterns import (
    BEHIND_YEARS,
    CLOCK,
    DATE,
    DECIMAL,
    GROUPED,
    INSIDE_HAN_WORD,
    LAST_NUMBER,
    LAST_NUMERAL,
    MEASURES,
    MINUS_BEHIND,
    POWER,
    RIGHT_TO_LEFT,
    SEPARATED,
    TIME,
    TWO_YEARS,
    UNIT,
    VERSION,
    YEAR,
)
from qa_pipeline.answering.word_boundaries import inside_word, is_particle, kind, word_end

REACH = 40
"""Code points around a border in which a number and what belongs to it are looked for."""


# -- a number as a whole -----------------------------------------------------------------------------------------------


def whole_number(text: str, at: int) -> tuple[int, int]:
    """The number that a border before text[at] would cut, else (at, at)."""
    if not 0 < at < len(text):
        return at, at
    if text[at - 1] in NUMERALS and text[at] in NUMERALS:
        return _run(text, at)
    if not (text[at - 1].isdecimal() or text[at].isdecimal()):
        return at, at
    first, last = max(0, at - REACH), min(len(text), at + REACH)
    for found in SEPARATED.finditer(text, first, last):
        is_whole = (found.start() > first or first == 0) and (found.end() < last or last == len(text))
        if found.start() < at < found.end() and is_whole and _is_one_number(found[0]):
            return found.start(), found.end()
    return at, at


def _is_one_number(chunk: str) -> bool:
    """Whether digits with separators are one number, and no list, date or score."""
    if chunk.isdecimal() or any(pattern.fullmatch(chunk) for pattern in (GROUPED, CLOCK)):
        return True
    if DECIMAL.fullmatch(chunk):
        return TWO_YEARS.fullmatch(chunk) is None
    return VERSION.fullmatch(chunk) is not None and DATE.fullmatch(chunk) is None


def _run(text: str, at: int) -> tuple[int, int]:
    first = last = at
    while first > 0 and text[first - 1] in NUMERALS:
        first -= 1
    while last < len(text) and text[last] in NUMERALS:
        last += 1
    return first, last


# -- behind a number ---------------------------------------------------------------------------------------------------


def with_measure(text: str, start: int, end: int) -> int:
    """The end of a span that ends with a number: behind the number's power, magnitude, currency and unit."""
    number = _last_number(text, start, end) if text[end - 1].isnumeric() else None
    if number is None or text[end : end + 1].isdecimal():
        return end
    power = POWER.match(text, end)
    at = power.end() if power else end
    if _is_right_to_left(text, start) and (minus := MINUS_BEHIND.match(text, at)):
        at = minus.end()
    return behind(text, at, number[0])


def _last_number(text: str, start: int, end: int) -> regex.Match[str] | None:
    """The number at the end of a span; None for digits of a code, and for a Han numeral inside a word (唯一)."""
    number = LAST_NUMBER.search(text, max(start, end - REACH), end)
    if number is None:
        number = LAST_NUMERAL.search(text, max(start, end - REACH), end)
        if number and number.start() > start and INSIDE_HAN_WORD.match(text[number.start() - 1]):
            return None
    return number


def behind(text: str, at: int, number: str) -> int:
    """The end of the magnitude, percentage, currency and units that stand at `at`, behind a number."""
    is_year = YEAR.fullmatch(number) is not None
    for pattern in MEASURES:
        found = pattern.match(text, at)
        if found is None or not _is_measure(text, found, is_year and pattern in (UNIT, TIME)):
            continue
        at = found.end()
    return at


def _is_measure(text: str, found: regex.Match[str], after_year: bool) -> bool:
    """Whether a match is a measure, and not a year's era or the beginning of another word."""
    if after_year and (found.re is TIME or BEHIND_YEARS.fullmatch(found[0])):
        return False
    if kind(text[found.end() - 1]) == "hangul":
        rest = text[found.end() : word_end(text, found.end())]
        return not rest or is_particle(rest)
    return not _inside_thai(text, found.end())


def _inside_thai(text: str, at: int) -> bool:
    return inside_word(text, at) and kind(text[at]) in ("mark", "unspaced") and not text[at].isdecimal()


def _is_right_to_left(text: str, start: int) -> bool:
    """Whether the last letter before a span is Arabic or Hebrew."""
    letter = next((c for c in reversed(text[max(0, start - REACH) : start]) if c.isalpha()), "")
    return RIGHT_TO_LEFT.match(letter) is not None
