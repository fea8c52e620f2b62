"""Exact match and F1 of the SQuAD scripts, 1.1 (Rajpurkar et al. 2016) and 2.0 (Rajpurkar et al. 2018).

Both compare lower-cased text without ASCII punctuation and English articles. Words are separated by white space, in
every language. The 1.1 script also scores XQuAD and TyDiQA-GoldP. The two scripts differ:

    case                                     1.1                            2.0
    both sides empty after normalisation     F1 0, exact match 1            F1 1, exact match 1
    right answers empty after normalisation  kept                           left out
    no right answer                          undefined; here as in 2.0      an empty answer is right
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

ARTICLES = re.compile(r"\b(?:a|an|the)\b")
NO_PUNCTUATION = dict.fromkeys(map(ord, string.punctuation))


def words(text: str) -> list[str]:
    """The normalised words by which answers are compared.

    >>> words("The Normans' (a  people)")
    ['normans', 'people']
    """
    return ARTICLES.sub(" ", text.lower().translate(NO_PUNCTUATION)).split()


def squad1(given: str, wanted: Sequence[str]) -> tuple[float, float]:
    """(exact match, F1) of SQuAD 1.1, each the maximum over the right answers.

    >>> squad1("in the year 1912", ["1912", "year 1912"])
    (0.0, 0.8)
    """
    return best(words(given), [words(text) for text in wanted], overlap) if wanted else no_answer_scores(given)


def squad2(given: str, wanted: Sequence[str]) -> tuple[float, float]:
    """(exact match, F1) of SQuAD 2.0, each the maximum over the right answers.

    >>> squad2("", []), squad2("the", []), squad2("Mara", [])
    ((1.0, 1.0), (1.0, 1.0), (0.0, 0.0))
    """
    golds = [gold for gold in map(words, wanted) if gold] or [[]]
    return best(words(given), golds, lambda a, b: overlap(a, b) if a and b else float(a == b))


def best(given: list[str], golds: Sequence[list[str]], f1: Callable[[list[str], list[str]], float]) -> tuple[float, float]:
    """(exact match, F1) of tokens, each the maximum over several right answers."""
    return max(float(given == gold) for gold in golds), max(f1(given, gold) for gold in golds)


def overlap(given: list[str], gold: list[str]) -> float:
    """F1 of two token lists, counting repeated tokens; 0.0 if they share none."""
    same = sum((Counter(given) & Counter(gold)).values())
    if not same:
        return 0.0
    precision, recall = same / len(given), same / len(gold)
    return 2 * precision * recall / (precision + recall)


def no_answer_scores(given: str) -> tuple[float, float]:
    """(exact match, F1) of an unanswerable question: only the empty answer is right."""
    return float(not given), float(not given)
