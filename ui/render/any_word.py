"""A question as a search by words: passages with any of its words."""

from __future__ import annotations

import re
import unicodedata

OPERATORS = ("and", "or", "not")
JOINING = "-'’.,"
JOINERS = "\u200c\u200d"
# Scripts without spaces: Thai, Lao, Myanmar, Khmer, Kana, Han. Their runs are searched by pairs of characters.
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
PARTS = re.compile(rf"[{UNSPACED}]+|[^\s{UNSPACED}]+")


def any_word(question: str, most: int = 40) -> str:
    """A query for passages with any word of a question; "" if it has none.

    >>> any_word("When was (Kestrel) Bridge opened: AND how?"), any_word("東京都は?")
    ('When OR was OR Kestrel OR Bridge OR opened OR and OR how', '東京 OR 京都 OR 都は')
    """
    shown = "".join(sign if sign in JOINING or _is_part(sign) else " " for sign in question)
    parts = (part.strip(JOINING) for part in PARTS.findall(shown))
    words = [word for part in parts if any(map(str.isalnum, part)) for word in _words(part)]
    return " OR ".join(list(dict.fromkeys(words))[:most])


def _is_part(sign: str) -> bool:
    """Whether a character is part of a word: a letter, number, mark or joiner."""
    return sign in JOINERS or unicodedata.category(sign)[0] in "LMN"


def _words(part: str) -> list[str]:
    if re.match(f"[{UNSPACED}]", part):
        signs = _with_marks(part)
        return ["".join(signs[at : at + 2]) for at in range(max(1, len(signs) - 1))]
    return [part.lower() if part.lower() in OPERATORS else part]


def _with_marks(run: str) -> list[str]:
    """The characters of a run, each with the marks behind it."""
    signs: list[str] = []
    for sign in run:
        if signs and unicodedata.category(sign)[0] == "M":
            signs[-1] += sign
        else:
            signs.append(sign)
    return signs
