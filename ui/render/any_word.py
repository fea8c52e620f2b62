"""A question as a search by words: passages with any of its words."""

from __future__ import annotations

import re

OPERATORS = ("and", "or", "not")
# Scripts without spaces: Thai, Lao, Myanmar, Khmer, Kana, Han. Their runs are searched by pairs of characters.
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
PARTS = re.compile(rf"[{UNSPACED}]+|[^\W{UNSPACED}]+(?:[-'’.,][^\W{UNSPACED}]+)*")


def any_word(question: str, most: int = 40) -> str:
    """A query for passages with any word of a question; "" if it has none.

    >>> any_word("When was (Kestrel) Bridge opened: AND how?"), any_word("東京都は?")
    ('When OR was OR Kestrel OR Bridge OR opened OR and OR how', '東京 OR 京都 OR 都は')
    """
    words = [word for part in PARTS.findall(question) for word in _words(part)]
    return " OR ".join(list(dict.fromkeys(words))[:most])


def _words(part: str) -> list[str]:
    if re.match(f"[{UNSPACED}]", part):
        return [part[at : at + 2] for at in range(max(1, len(part) - 1))]
    return [part.lower() if part.lower() in OPERATORS else part]
