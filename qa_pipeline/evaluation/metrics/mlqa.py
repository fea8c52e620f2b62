"""Language-aware exact match and F1, as MLQA's script computes them (Lewis et al. 2020, section 4).

Against SQuAD 1.1: punctuation is every Unicode punctuation mark and ASCII's, articles are those of the answer's language
(in Arabic the letters of the article wherever they stand), and in Chinese text every Han character is a token of its own,
so that a partial match counts. The script knows the seven languages of MLQA; others have no articles here, and Japanese
and Thai are split by character as Chinese is. A question without right answers, which MLQA does not have, is answered
rightly by an empty answer. Always name this scorer, `mlqa`, beside its figures.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Sequence

from qa_pipeline.evaluation.metrics.squad import best, overlap, silence

ARTICLES = {
    "en": re.compile(r"\b(?:a|an|the)\b"),
    "es": re.compile(r"\b(?:un|una|unos|unas|el|la|los|las)\b"),
    "de": re.compile(r"\b(?:ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b"),
    "vi": re.compile(r"\b(?:của|là|cái|chiếc|những)\b"),
    "ar": re.compile("ال"),
}
UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
BY_CHARACTER = {"zh": re.compile("[\u4e00-\u9fa5]"), "ja": UNSPACED, "th": UNSPACED}


class _Marks(dict[int, int | None]):
    """For str.translate: a punctuation mark -> nothing, any other character -> itself; filled as characters are met."""

    def __missing__(self, code: int) -> int | None:
        mark = unicodedata.category(chr(code)).startswith("P") or chr(code) in string.punctuation
        self[code] = None if mark else code
        return self[code]


_marks = _Marks()


def tokens(text: str, language: str) -> list[str]:
    """The tokens an answer is compared by.

    >>> tokens("The Salt-Constitution!", "en"), tokens("北京 FC。", "zh")
    (['saltconstitution'], ['北', '京', 'fc'])
    """
    bare = text.lower().translate(_marks)
    if language in ARTICLES:
        bare = ARTICLES[language].sub(" ", bare)
    if language in BY_CHARACTER:
        bare = BY_CHARACTER[language].sub(r" \g<0> ", bare)
    return bare.split()


def mlqa(given: str, wanted: Sequence[str], language: str) -> tuple[float, float]:
    """(exact match, F1), each the best over the right answers."""
    if not wanted:
        return silence(given)
    return best(tokens(given, language), [tokens(text, language) for text in wanted], overlap)


def exact_match(given: str, wanted: Sequence[str], language: str) -> float:
    """1.0 when an answer has the tokens of one of the right answers, else 0.0; no right answer: 1.0 for an empty one."""
    return mlqa(given, wanted, language)[0]


def f1(given: str, wanted: Sequence[str], language: str) -> float:
    """The best overlap of tokens with one of the right answers, harmonic mean of precision and recall, in [0, 1].

    >>> round(f1("in 1912", ["1912"], "en"), 3)
    0.667
    """
    return mlqa(given, wanted, language)[1]
