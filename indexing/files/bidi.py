"""Right-to-left text: reading order from places on a line, and texts that are stored reversed, in visual order."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_WORD = re.compile("[\u05d0-\u05ea\u0620-\u065f\u066e-\u06d3\ufb1d-\ufdff\ufe70-\ufefc]{2,}")
_LAST_ONLY = frozenset("ךםןףץةى")
_COMMON = frozenset(
    ["في", "من", "على", "إلى", "هذا", "التي", "الذي", "كان", "است", "این", "که", "از", "برای"]
    + ["שלא", "הוא", "היא", "של", "את", "על", "לא", "גם", "כל", "אני"]
)
_COMMON_BACKWARD = frozenset(word[::-1] for word in _COMMON)
_FORMS = re.compile("[\ufe70-\ufefc]")
# Presentation forms come in the order isolated, final, initial, medial; these are the initial and the final ones.
_INITIAL = frozenset("ﺋﺑﺗﺛﺟﺣﺧﺳﺷﺻﺿﻃﻇﻋﻏﻓﻗﻛﻟﻣﻧﻫﻳ")
_FINAL = frozenset("ﺂﺄﺆﺈﺊﺎﺐﺔﺖﺚﺞﺢﺦﺪﺬﺮﺰﺲﺶﺺﺾﻂﻆﻊﻎﻒﻖﻚﻞﻢﻦﻪﻮﻰﻲ")


def looks_reversed(text: str) -> bool:
    """Whether the right-to-left words of a text are reversed, by final letters, articles and presentation forms.

    >>> looks_reversed("רהנה דיל 1912 תנשב חתפנ רשגה. םירבדה ןמזהו ךרדה לש תא")
    True
    >>> looks_reversed("הגשר נפתח בשנת 1912 ליד הנהר של את. הדברים והזמן והדרך")
    False
    """
    backward = forward = 0
    for match in _WORD.finditer(text, 0, 100_000):
        there, back = _evidence(match.group())
        forward += there
        backward += back
    return backward >= 3 and backward > 2 * forward


def _evidence(word: str) -> tuple[int, int]:
    """(signs that a word is in logical order, signs that it is reversed)."""
    if _FORMS.search(word):
        forward = (word[0] in _INITIAL) + (word[-1] in _FINAL)
        backward = (word[0] in _FINAL) + (word[-1] in _INITIAL)
        return forward, backward
    forward = (word in _COMMON) + (word[-1] in _LAST_ONLY) + (word.startswith("ال") and len(word) > 3)
    backward = (word in _COMMON_BACKWARD) + (word[0] in _LAST_ONLY) + (word.endswith("لا") and len(word) > 4)
    return forward, backward


# -- from places on a line to reading order ----------------------------------------------------------------------------

_CLASSES = {
    "R": "R",
    "AL": "R",
    "L": "L",
    "EN": "N",
    "AN": "N",
    "ES": "-",
    "ET": "%",
    "CS": ",",
    "WS": " ",
    "S": " ",
    "B": " ",
}
_UNIT = 3
_LATIN = re.compile("L(?:.*L)?")
_NUMBER_BEFORE = re.compile("N[^ ]*$")
_NUMBER_AFTER = re.compile("[^ ]*N")
_NUMBER_NEXT = re.compile(" [^ ]*N")
_HEBREW_NUMBER = re.compile("%*N+(?:[-,]N+)*%*")
_ARABIC_NUMBER = re.compile("N+(?:,N+)*")
_OPEN, _CLOSE = "([{«‹<", ")]}»›>"
_MIRROR = str.maketrans(_OPEN + _CLOSE, _CLOSE + _OPEN)


def has_rtl(text: str) -> bool:
    """Whether a text has a letter that is written from right to left."""
    return bool(_RTL_LETTER.search(text))


_RTL_LETTER = re.compile(
    "[\u0590\u05be\u05c0\u05c3\u05c6\u05d0-\u05f4\u0608\u060b\u060d\u061b-\u064a\u066d-\u066f\u0671-\u06d5\u06e5\u06e6\u06ee\u06ef"
    "\u06fa-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001eeff]"
)


def reading_order(glyphs: Sequence[str], *, rtl: bool | None = None) -> list[tuple[int, bool]]:
    """The reading order of glyphs that stand from left to right: (index, whether it is read right-to-left).

    The inverse of the Unicode Bidirectional Algorithm (UAX #9) for one line without explicit controls. rtl: the base
    direction; None takes that of most letters. Some texts look the same in two orders. Then a number belongs to the Latin
    word before it ("Windows 11"), or precedes one as short as a unit ("5 GB").

    >>> "".join("אבג 12 דה"[::-1][at] for at, _ in reading_order("אבג 21 דה"[::-1]))
    'אבג 21 דה'
    """
    classes = "".join(_class(glyph) for glyph in glyphs)
    if "R" not in classes:
        return [(at, False) for at in range(len(glyphs))]
    if rtl is None:
        rtl = classes.count("R") >= classes.count("L")
    if rtl:
        return _from_right(glyphs, classes, 0, len(glyphs))
    order: list[tuple[int, bool]] = []
    at = 0
    for span in re.finditer("R(?:[^L]*R)?", classes):
        order += [(index, False) for index in range(at, span.start())]
        order += _from_right(glyphs, classes, span.start(), span.end())
        at = span.end()
    return order + [(index, False) for index in range(at, len(glyphs))]


def _class(glyph: str) -> str:
    """R, L, N (number), "-", "%" or "," (inside or beside a number), " " or "O" (other)."""
    found = "O"
    for letter in glyph:
        found = _CLASSES.get(unicodedata.bidirectional(letter), "O")
        if found in "RLN":
            break
    return found


def _from_right(glyphs: Sequence[str], classes: str, start: int, end: int) -> list[tuple[int, bool]]:
    """The reading order of a span whose base direction is right-to-left."""
    order: list[tuple[int, bool]] = []
    stop = end
    for gap in reversed([*re.finditer("[^R]+", classes[start:end])]):
        first, last = start + gap.start(), start + gap.end()
        order += [(at, True) for at in range(stop - 1, last - 1, -1)]
        arabic = last < end and unicodedata.bidirectional(glyphs[last][:1]) == "AL"
        order += _between_letters(glyphs, classes, first, last, arabic)
        stop = first
    return order + [(at, True) for at in range(stop - 1, start - 1, -1)]


def _between_letters(glyphs: Sequence[str], classes: str, first: int, last: int, arabic: bool) -> list[tuple[int, bool]]:
    """The reading order of a span without right-to-left letters, inside right-to-left text."""
    order: list[tuple[int, bool]] = []
    stop = last
    for begin, end in reversed(_islands(glyphs, classes, first, last, arabic)):
        order += [(at, True) for at in range(stop - 1, end - 1, -1)]
        order += [(at, False) for at in range(begin, end)]
        stop = begin
    return order + [(at, True) for at in range(stop - 1, first - 1, -1)]


def _islands(glyphs: Sequence[str], classes: str, first: int, last: int, arabic: bool) -> list[tuple[int, int]]:
    """The spans that are read from left to right: Latin words with their numbers, and numbers alone."""
    islands: list[tuple[int, int]] = []
    numbers = _ARABIC_NUMBER if arabic else _HEBREW_NUMBER
    latin = _LATIN.search(classes, first, last)
    if latin is None:
        return [span.span() for span in numbers.finditer(classes, first, last)]
    begin, end = latin.span()
    if number := _NUMBER_BEFORE.search(classes[first:begin]):
        begin = first + number.start()
    long = end - begin > _UNIT or not "".join(glyphs[begin:end]).isalpha()
    if number := _NUMBER_AFTER.match(classes, end, last) or (long and _NUMBER_NEXT.match(classes, end, last)) or None:
        end = number.end()
    islands += [span.span() for span in numbers.finditer(classes, first, begin)]
    islands.append((begin, end))
    islands += [span.span() for span in numbers.finditer(classes, end, last)]
    return islands


def with_brackets_turned(letters: Sequence[str], rtl: Sequence[bool]) -> list[str]:
    """Letters in reading order, with right-to-left brackets mirrored if they then open and close better.

    Fonts differ: some give the bracket that is seen, some the one that is meant.

    >>> "".join(with_brackets_turned(list(")אבג("), [True] * 5))
    '(אבג)'
    """
    at = [index for index, letter in enumerate(letters) if rtl[index] and letter in _OPEN + _CLOSE]
    if not at:
        return list(letters)
    turned = [letter.translate(_MIRROR) if index in set(at) else letter for index, letter in enumerate(letters)]
    return turned if _well_placed(turned, at) > _well_placed(letters, at) else list(letters)


def _well_placed(letters: Sequence[str], places: Sequence[int]) -> int:
    """How many brackets open before a letter and close after one."""
    good, depth = 0, 0
    for at in places:
        before = letters[at - 1] if at else " "
        after = letters[at + 1] if at + 1 < len(letters) else " "
        opens = letters[at] in _OPEN
        good += opens and before.isspace() and not after.isspace()
        good += not opens and not before.isspace() and (after.isspace() or not after.isalnum())
        good += not opens and depth > 0
        depth = max(0, depth + (1 if opens else -1))
    return good
