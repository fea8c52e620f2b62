"""Language-aware exact match and F1, as MLQA's script computes them (Lewis et al. 2020, section 4).

Differences from SQuAD 1.1:

- Punctuation is every Unicode and every ASCII punctuation mark.
- Articles are those of the answer's language; in Arabic the article's letters are removed everywhere.
- In Chinese every Han character is a token, so that a partial match counts.

The script covers the seven languages of MLQA. Here other languages have no articles, and Japanese and Thai are split by
character, as Chinese is. MLQA has no unanswerable questions; here an empty answer is right for them. Always report
figures with the scorer's name, `mlqa`.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Sequence

from qa_pipeline.evaluation.metrics.squad import best, no_answer_scores, overlap

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
    """Table for str.translate that deletes punctuation; filled lazily."""

    def __missing__(self, code: int) -> int | None:
        mark = unicodedata.category(chr(code)).startswith("P") or chr(code) in string.punctuation
        self[code] = None if mark else code
        return self[code]


_marks = _Marks()


def tokens(text: str, language: str) -> list[str]:
    """The normalised tokens by which answers are compared.

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
    """(exact match, F1), each the maximum over the right answers."""
    if not wanted:
        return no_answer_scores(given)
    return best(tokens(given, language), [tokens(text, language) for text in wanted], overlap)


def exact_match(given: str, wanted: Sequence[str], language: str) -> float:
    """1.0 if the answer's tokens equal those of a right answer, else 0.0; if there is none, 1.0 for an empty answer."""
    return mlqa(given, wanted, language)[0]


def f1(given: str, wanted: Sequence[str], language: str) -> float:
    """Token F1, the maximum over the right answers, in [0, 1].

    >>> round(f1("in 1912", ["1912"], "en"), 3)
    0.667
    """
    return mlqa(given, wanted, language)[1]
