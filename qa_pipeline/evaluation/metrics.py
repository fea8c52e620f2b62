"""Exact match and F1 of answers, aware of languages, as MLQA scores them (Lewis et al. 2020, section 4).

Against the SQuAD 1.1 script: punctuation is every Unicode punctuation mark, articles are those of the answer's language,
and in Chinese, Japanese and Thai text every Han, Kana or Thai character is a token of its own, so that a partial match
counts. Always name this scorer beside its figures.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

ARTICLES = {
    "en": r"\b(?:a|an|the)\b",
    "es": r"\b(?:un|una|unos|unas|el|la|los|las)\b",
    "de": r"\b(?:ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "vi": r"\b(?:của|là|cái|chiếc|những)\b",
    "ar": r"\bال",
}
BY_CHARACTER = ("zh", "ja", "th")
UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")


def tokens(text: str, language: str) -> list[str]:
    """The tokens an answer is compared by.

    >>> tokens("The Salt Constitution!", "en"), tokens("北京。", "zh")
    (['salt', 'constitution'], ['北', '京'])
    """
    lowered = text.lower()
    bare = "".join(" " if _is_mark(character) else character for character in lowered)
    if language in ARTICLES:
        bare = re.sub(ARTICLES[language], " ", bare)
    if language in BY_CHARACTER:
        bare = UNSPACED.sub(lambda match: f" {match.group()} ", bare)
    return bare.split()


def exact_match(given: str, wanted: Sequence[str], language: str) -> float:
    """1.0 when an answer has the tokens of one of the right answers, else 0.0; no right answer: 1.0 for an empty one."""
    if not wanted:
        return float(not given)
    return max(float(tokens(given, language) == tokens(answer, language)) for answer in wanted)


def f1(given: str, wanted: Sequence[str], language: str) -> float:
    """The best overlap of tokens with one of the right answers, harmonic mean of precision and recall, in [0, 1].

    >>> round(f1("in 1912", ["1912"], "en"), 3)
    0.667
    """
    if not wanted:
        return float(not given)
    return max(_overlap(tokens(given, language), tokens(answer, language)) for answer in wanted)


def _overlap(given: list[str], wanted: list[str]) -> float:
    if not given or not wanted:
        return float(given == wanted)
    same = sum((Counter(given) & Counter(wanted)).values())
    return 2 * same / (len(given) + len(wanted))


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("P")
