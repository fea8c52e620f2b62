"""The patterns of numbers, and of what stands in front of them and behind them, made from the tables of `number_affixes`.

Patterns that end with `$` are searched in the text up to a number, with `endpos`; the others match at a number's end.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import regex

from qa_pipeline.answering import number_affixes as table
from qa_pipeline.answering.number_affixes import any_of

SPACE = r"[ \u00a0\u2007\u2009\u202f]"
BIDI = r"[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]"
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Hangul}ー"
"""Scripts in which another word may follow without a space, and Hangul, where particles do."""

LETTER = rf"[\p{{L}}\p{{M}}\p{{N}}--[{UNSPACED}]]"
WORD_ENDS = rf"(?:(?<=[{UNSPACED}\p{{M}}])|(?<=[\p{{L}}\p{{N}}\p{{P}}\p{{S}}])(?!{LETTER}))"


class Pattern:
    """A pattern that is compiled at its first use, since compiling all of them takes a quarter of a second.

    Its methods are those of `regex.Pattern`.
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    @cached_property
    def _compiled(self) -> regex.Pattern[str]:
        return regex.compile(self._pattern, regex.V1)

    def match(self, text: str, start: int = 0, end: int | None = None) -> regex.Match[str] | None:
        return self._compiled.match(text, start, end)

    def fullmatch(self, text: str, start: int = 0, end: int | None = None) -> regex.Match[str] | None:
        return self._compiled.fullmatch(text, start, end)

    def search(self, text: str, start: int = 0, end: int | None = None) -> regex.Match[str] | None:
        return self._compiled.search(text, start, end)

    def finditer(self, text: str, start: int = 0, end: int | None = None) -> Iterator[regex.Match[str]]:
        found: Iterator[regex.Match[str]] = self._compiled.finditer(text, start, end)
        return found


def _word(*tables: str, fold: bool = False) -> str:
    """An entry of the tables as a whole word. fold: in any case."""
    return rf"{'(?i:' if fold else '(?:'}{any_of(*tables)}){WORD_ENDS}"


# -- numbers -----------------------------------------------------------------------------------------------------------

_SEPARATORS = r".,٫٬'’·．:\u00a0\u2009\u202f"
_GROUP = r"[.,٬'’\u00a0\u2009\u202f]"

SEPARATED = Pattern(rf"\d+(?:[{_SEPARATORS}]\d+)*")
"""Digits with single separators: a number, or a list, a date, a score."""

GROUPED = Pattern(rf"\d{{1,3}}({_GROUP})\d{{3}}(?:\1\d{{3}})*(?:[.,٫]\d+)?|\d{{1,2}}(?:,\d{{2}})*,\d{{3}}(?:\.\d+)?")
DECIMAL = Pattern(r"\d+[.,٫·．]\d+")
CLOCK = Pattern(r"\d{1,2}:\d{2}(?::\d{2})?")
VERSION = Pattern(r"\d+(?:\.\d+){2,}")
DATE = Pattern(r"\d{1,2}\.\d{1,2}\.\d{2,4}|\d{4}\.\d{1,2}\.\d{1,2}")
TWO_YEARS = Pattern(r"[12]\d{3}[.,][12]\d{3}")
YEAR = Pattern(r"[12]\d{3}")

_NUMBER = rf"\d+(?:[{_SEPARATORS}]\d+)*[½¼¾⅓⅔⅛]?"
NUMBER = Pattern(_NUMBER)
PARTED = Pattern(r"\d[.,٫٬]\d")
_SIGNS = any_of(table.PLUS, table.ACCOUNTING_MINUS, table.DASHES)
BEGINS_WITH_NUMBER = Pattern(
    rf"{BIDI}*{_SIGNS}?(?:(?:\p{{Sc}}|{any_of(table.CURRENCY_MARKS_BEFORE, table.CURRENCY_CODES)}){SPACE}?)?{_SIGNS}?"
    rf"{BIDI}*[.,]?(?:\d|[{table.NUMERALS}])"
)
"""A span may have its currency or its sign already, and lack the other."""
LAST_NUMBER = Pattern(rf"(?<!{LETTER}|_)(?<!{LETTER}[-‐]){_NUMBER}$")
LAST_NUMERAL = Pattern(rf"[{table.NUMERALS}](?:[{table.NUMERALS}点點・]*[{table.NUMERALS}])?$")
INSIDE_HAN_WORD = Pattern(rf"(?!{table.ORDINAL})\p{{Han}}")

# -- behind a number ---------------------------------------------------------------------------------------------------

POWER = Pattern(
    rf"{SPACE}?[×x·⋅*]{SPACE}?10(?:\^?[-−]?\d+|[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)|[⁰¹²³⁴⁵⁶⁷⁸⁹]+|{SPACE}?(?:±|\+/[-−]){SPACE}?{_NUMBER}"
)
"""A power of ten, an exponent, or a tolerance."""

_RIGHT_TO_LEFT = r"[\p{Arabic}\p{Hebrew}]"
RIGHT_TO_LEFT = Pattern(_RIGHT_TO_LEFT)
MINUS_BEHIND = Pattern(rf"{BIDI}*(?:−|[-–](?={BIDI}*(?:{SPACE}?[°%٪℃]|{SPACE}?{_RIGHT_TO_LEFT}|[.،,]|$)))")

_MAGNITUDE = rf"{SPACE}?{_word(table.MAGNITUDES, fold=True)}"
_MORE_DIGITS = rf"(?<=[{UNSPACED}]){SPACE}?\d[\d,.]*(?={SPACE}?{any_of(table.MAGNITUDES)})"
MAGNITUDE = Pattern(rf"(?:{_MAGNITUDE}(?:{_MORE_DIGITS})?)+")
"""One magnitude, or several with digits between them (3万5千)."""

PERCENT = Pattern(rf"{SPACE}?(?:{any_of(table.PERCENT_SIGNS)}|{_word(table.PERCENT_WORDS, fold=True)})")
DEGREE = Pattern(rf"{SPACE}?{_word(table.DEGREES)}")
CURRENCY = Pattern(
    rf"{SPACE}?(?:\p{{Sc}}(?!{SPACE}?\d)|{_word(table.CURRENCY_CODES, table.CURRENCY_MARKS_BEHIND)}"
    rf"|(?:{any_of(table.COUNTRIES)}{SPACE})?{_word(table.CURRENCY_WORDS, fold=True)})"
)
_SYMBOL = rf"{any_of(table.SYMBOLS)}(?:\^?-?[23²³])?{WORD_ENDS}"
UNIT = Pattern(
    rf"{SPACE}?(?:{_SYMBOL}(?:[/·⋅*]{_SYMBOL}|/{SPACE}?\d+{SPACE}?{_SYMBOL})*|{_word(table.UNIT_WORDS, fold=True)})"
)
TIME = Pattern(rf"{SPACE}?{_word(table.TIMES)}")
COUNTER = Pattern(rf"{SPACE}?{_word(table.COUNTERS)}")
MEASURES = (MAGNITUDE, PERCENT, DEGREE, CURRENCY, UNIT, TIME, COUNTER)
"""In the order in which they follow a number; each may be absent."""

BEHIND_YEARS = Pattern(rf"{SPACE}{any_of(table.BEHIND_YEARS)}")

# -- in front of a number ----------------------------------------------------------------------------------------------

CURRENCY_BEFORE = Pattern(
    rf"(?:(?<!{LETTER}){any_of(table.CURRENCY_MARKS_BEFORE, table.CURRENCY_CODES)}|\p{{Sc}}){SPACE}?{BIDI}*$"
)
PREFIX = Pattern(rf"(?:{any_of(table.RATIOS)}|(?<![\p{{L}}\p{{N}}])[%٪％]|{table.ORDINAL}{SPACE}?)$")
COMPARISON = Pattern(rf"{any_of(table.COMPARISONS)}{SPACE}?{BIDI}*$")
SIGN = Pattern(rf"(?:\+/[-−]{SPACE}?|[±∓−]{SPACE}?|{_SIGNS}){BIDI}*$")
SIGN_WORD = Pattern(rf"(?i)(?<!{LETTER}){any_of(table.SIGN_WORDS)}{SPACE}?$")
SIGN_WORD_OF_DEGREES = Pattern(
    rf"(?i)(?<!\b{any_of(table.LESS)}{SPACE})(?<!{LETTER}){any_of(table.SIGN_WORDS_OF_DEGREES)}{SPACE}$"
)
NUMBER_BEFORE = Pattern(r"\d\s?$")
MEASURED_NUMBER_BEFORE = Pattern(r"\d[%°\p{Sc}]?\s$")
DECIMAL_BEFORE = Pattern(r"\d[.,٫]\d+[%°]?\s$")
CELL_BEGINS = Pattern(r"(?:^|[\t\n|]|\s\s)\s?$")
TAG = Pattern(r"<[^<>\s][^<>\n]*$")

# -- parentheses -------------------------------------------------------------------------------------------------------

IN_PARENTHESES = Pattern(rf"(?:\p{{Sc}}{SPACE}?)?({_NUMBER})")
MONEY_BEFORE = Pattern(rf"(?:\p{{Sc}}|{any_of(table.CURRENCY_CODES)}){SPACE}?$")
REFERENCE_BEFORE = Pattern(rf"(?i)(?<!{LETTER}){any_of(table.REFERENCES)}\.?\s?$")
VERB_BEFORE = Pattern(rf"(?i)(?:[:=|]|(?<!{LETTER}){any_of(table.VERBS)})\s?$")
