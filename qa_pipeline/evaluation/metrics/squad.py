"""Exact match and F1 of the SQuAD scripts, 1.1 (Rajpurkar et al. 2016) and 2.0 (Rajpurkar et al. 2018).

Both compare lower-cased text without ASCII punctuation, without the English articles, with white space made single; a
word is what stands between white space, in every language. XQuAD and TyDiQA-GoldP are scored by the 1.1 script. The two
scripts differ:

    nothing on both sides    1.1: F1 0 (and exact match 1); 2.0: F1 1
    right answers that are nothing once compared (".")    2.0 leaves them out; 1.1 keeps them
    no right answer          2.0: an empty answer is right; 1.1 knows no such question, and here the same is done
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

ARTICLES = re.compile(r"\b(?:a|an|the)\b")
NO_PUNCTUATION = dict.fromkeys(map(ord, string.punctuation))


def words(text: str) -> list[str]:
    """What an answer is compared by.

    >>> words("The Normans' (a  people)")
    ['normans', 'people']
    """
    return ARTICLES.sub(" ", text.lower().translate(NO_PUNCTUATION)).split()


def squad1(given: str, wanted: Sequence[str]) -> tuple[float, float]:
    """(exact match, F1), each the best over the right answers, by the rules of SQuAD 1.1.

    >>> squad1("in the year 1912", ["1912", "year 1912"])
    (0.0, 0.8)
    """
    return best(words(given), [words(text) for text in wanted], overlap) if wanted else no_answer_scores(given)


def squad2(given: str, wanted: Sequence[str]) -> tuple[float, float]:
    """(exact match, F1), each the best over the right answers, by the rules of SQuAD 2.0.

    >>> squad2("", []), squad2("the", []), squad2("Mara", [])
    ((1.0, 1.0), (1.0, 1.0), (0.0, 0.0))
    """
    golds = [gold for gold in map(words, wanted) if gold] or [[]]
    return best(words(given), golds, lambda a, b: overlap(a, b) if a and b else float(a == b))


def best(given: list[str], golds: Sequence[list[str]], f1: Callable[[list[str], list[str]], float]) -> tuple[float, float]:
    """(exact match, F1) of words against the nearest of several right answers, each by itself."""
    return max(float(given == gold) for gold in golds), max(f1(given, gold) for gold in golds)


def overlap(given: list[str], gold: list[str]) -> float:
    """Harmonic mean of precision and recall of words, each counted as often as it stands; 0.0 when none is shared."""
    same = sum((Counter(given) & Counter(gold)).values())
    if not same:
        return 0.0
    precision, recall = same / len(given), same / len(gold)
    return 2 * precision * recall / (precision + recall)


def no_answer_scores(given: str) -> tuple[float, float]:
    """Where there is no right answer, only the empty one is right."""
    return float(not given), float(not given)
