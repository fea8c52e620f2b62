"""Normal form of a text for models and search terms, with offsets into the original.

Documents keep their text as it was read. Models and search terms see its normal form.

- It is composed (NFC). Hangul, Vietnamese and Indic letters are one code point where Unicode has one.
- Half-width kana and Hangul have their usual width, composed with their voicing marks.
- Invisible characters are removed: Unicode's default-ignorable code points, such as soft hyphens and bidi marks.

Joiners stay where they change spelling or shape, as in Persian, Indic scripts and emoji. A zero-width space stays between
Thai, Lao, Khmer and Myanmar letters, where it separates words.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SELECTORS = "\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"
IGNORED = (
    f"\u00ad\u034f\u061c\u17b4\u17b5\u180e\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff{SELECTORS}"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff"
)
WORDS_UNMARKED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
JOINERS_IDLE = "0-9A-Za-z\u00c0-\u024f\u0300-\u05ff\u1100-\u11ff\u1e00-\u1fff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3"
HALF_WIDTH = "\uff61-\uffdc\u3164"
CONTINUING = f"{IGNORED}\u0300-\u036f\u1160-\u11ff\u200b-\u200d\u3099\u309a\ud7b0-\ud7fb\uff9e\uff9f\uffa0-\uffdc"

INVISIBLE = re.compile(f"[{IGNORED}]")
IDLE = re.compile(f"(?<=[{JOINERS_IDLE}])[\u200b-\u200d]+|(?<![{WORDS_UNMARKED}])\u200b")
UNUSUAL = re.compile(f"[{IGNORED}\u200b-\u200d{HALF_WIDTH}]")
SELECTOR = re.compile(f"[{SELECTORS}]")
INVISIBLE_END = re.compile(f"[{IGNORED}\u200b]+$")
COMBINES = re.compile(f"[{CONTINUING}]")
WIDTH = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFF61, 0xFFDD)} | {0xFFA0: " ", 0x3164: " "}


@dataclass(frozen=True, slots=True)
class NormalText:
    """A text in normal form. Its character n comes from the original's characters starts[n] up to ends[n].

    starts, ends: int32 [len(text)], neither falls; None where the text was in normal form already.
    """

    text: str
    starts: NDArray[np.int32] | None = None
    ends: NDArray[np.int32] | None = None

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The span of the original from which text[start:end] comes, in code points; whole composed characters only.

        An empty span becomes an empty one.
        """
        if self.starts is None or self.ends is None:
            return start, end
        if end <= start:
            begin = int(self.starts[start]) if start < len(self.starts) else int(self.ends[-1]) if len(self.ends) else 0
            return begin, begin
        return int(self.starts[start]), int(self.ends[end - 1])


def is_normal(text: str) -> bool:
    """Whether `normal_form` leaves a text as it is, or only joiners could be removed. Fast."""
    return text.isascii() or (UNUSUAL.search(text) is None and unicodedata.is_normalized("NFC", text))


def normal_form(text: str) -> str:
    """The normal form of a text.

    >>> normal_form("Cafe\\u0301 wi\\u00addth ｶﾞｽ")
    'Café width ガス'
    """
    return text if is_normal(text) else _normal(text)


def normal_text(text: str) -> NormalText:
    """The normal form of a text, with offsets.

    >>> found = normal_text("wi\\u00addth e\\u0301")
    >>> found.text, found.original(0, 5), found.original(6, 7)
    ('width é', (0, 6), (7, 9))
    """
    if is_normal(text):
        return NormalText(text)
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for begin, end in _segments(text):
        piece = text[begin:end]
        made = _normal(piece)
        parts.append(made)
        if made == piece and end - begin == 1:
            starts.append(begin)
            ends.append(end)
        else:
            starts += [begin] * len(made)
            ends += [begin + _visible(piece, made)] * len(made)
    return NormalText("".join(parts), np.array(starts, dtype=np.int32), np.array(ends, dtype=np.int32))


def _normal(text: str) -> str:
    composed = unicodedata.normalize("NFC", INVISIBLE.sub("", text).translate(WIDTH))
    return unicodedata.normalize("NFC", IDLE.sub("", composed))


def _segments(text: str) -> list[tuple[int, int]]:
    """(start, end) of the shortest pieces whose normal forms, joined, are the normal form of the text."""
    borders = [at for at, character in enumerate(text) if at == 0 or not _combines(character)]
    return list(zip(borders, [*borders[1:], len(text)], strict=True))


def _combines(character: str) -> bool:
    """Whether a character may combine with its predecessor, or vanish behind it."""
    if character < "\u00ad":
        return False
    return unicodedata.category(character)[0] == "M" or COMBINES.match(character) is not None


def _visible(piece: str, made: str) -> int:
    """The length of a piece without invisible characters at its end; a variation selector belongs to its character.

    made: the normal form of the piece.
    """
    end = INVISIBLE_END.search(piece)
    if end is None or end.start() == 0 or made.endswith("\u200b"):
        return len(piece)
    selectors = [end.start() + found.end() for found in SELECTOR.finditer(end.group())]
    return selectors[-1] if selectors else end.start()
