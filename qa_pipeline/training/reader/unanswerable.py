"""Unanswerable questions from hard negatives: nearby passages that do not answer the question.

Passages near the question's own in its file are mostly of the same article. The candidates do not contain the answer.
The one with the highest word overlap with the question is chosen, weighted by rarity as in BM25.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from indexing.text.search_terms import terms
from qa_pipeline.datasets.examples import Example

REACH = 16


def unanswerable(examples: Sequence[Example], share: float, seed: int) -> list[Example]:
    """One more, unanswerable example for that share of the answerable questions, sampled, if they have a hard negative."""
    if not share:
        return []
    draw = random.Random(seed)
    chosen = [example for example in examples if example.golds and draw.random() < share]
    places = _Passages(examples)
    found = [(example, places.near(example)) for example in chosen]
    return [replace(one, id=f"{one.id}:silent", context=passage, golds=()) for one, passage in found if passage is not None]


class _Passages:
    """The passages of each file and language in order, with their terms, computed lazily."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self._order: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        for example in examples:
            passages = self._order[example.origin, example.language]
            passages.setdefault(example.context, len(passages))
        self._texts = {key: list(passages) for key, passages in self._order.items()}
        self._terms: dict[str, frozenset[str]] = {}

    def near(self, example: Example) -> str | None:
        """The hard negative of an example, None if there is none."""
        key = (example.origin, example.language)
        texts, at = self._texts[key], self._order[key][example.context]
        around = [*texts[max(0, at - REACH) : at], *texts[at + 1 : at + 1 + REACH]]
        answers = [gold.text.strip().casefold() for gold in example.golds]
        others = [text for text in around if not any(answer in text.casefold() for answer in answers)]
        asked = set(terms(example.question, example.question_language))
        shared = {text: asked & self._of(text, example.language) for text in others}
        rare = Counter(term for found in shared.values() for term in found)
        weight = {term: math.log(1 + len(others) / count) for term, count in rare.items()}
        return max(others, key=lambda text: sum(weight[term] for term in sorted(shared[text])), default=None)

    def _of(self, text: str, language: str) -> frozenset[str]:
        if text not in self._terms:
            self._terms[text] = frozenset(terms(text, language))
        return self._terms[text]
