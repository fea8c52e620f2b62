"""Answer groups: equal answers of several documents are merged, with their support counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ui.client.schemas import Answer
from ui.render.answer_key import key_of

HIGH, MEDIUM = 0.75, 0.4


@dataclass(frozen=True, slots=True)
class AnswerGroup:
    """One answer text and all its occurrences, by descending score; never empty."""

    places: tuple[Answer, ...]

    @property
    def best(self) -> Answer:
        return self.places[0]

    @property
    def documents(self) -> int:
        """Number of documents with this answer."""
        return len({place.document_id for place in self.places})

    @property
    def languages(self) -> dict[str, int]:
        """Number of documents with this answer, by language."""
        seen = dict.fromkeys((place.language, place.document_id) for place in self.places)
        counts: dict[str, int] = {}
        for language, _ in seen:
            counts[language] = counts.get(language, 0) + 1
        return counts


def group_answers(answers: Iterable[Answer]) -> list[AnswerGroup]:
    """Groups equal answers, ordered by the best score of each group."""
    groups: dict[str, list[Answer]] = {}
    for answer in sorted(answers, key=lambda answer: -answer.score):
        groups.setdefault(key_of(answer.text), []).append(answer)
    return [AnswerGroup(tuple(group)) for group in groups.values()]


def by_language(said: Sequence[AnswerGroup]) -> dict[str, list[AnswerGroup]]:
    """Answer groups by language of their best occurrence, in the same order."""
    groups: dict[str, list[AnswerGroup]] = {}
    for one in said:
        groups.setdefault(one.best.language, []).append(one)
    return groups


def competing_answers(said: Sequence[AnswerGroup], most: int = 4) -> list[tuple[int, str]]:
    """(documents, text) of the most frequent answers, if several documents give different answers; else []."""
    if len(said) < 2 or len({place.document_id for one in said for place in one.places}) < 2:
        return []
    ranked = sorted(said, key=lambda one: (-one.documents, -one.best.score))
    return [(one.documents, one.best.text) for one in ranked[:most]]


def documents_say(count: int, *, first: bool = True) -> str:
    """
    >>> documents_say(3), documents_say(1, first=False)
    ('3 documents say', '1 says')
    """
    noun = " document" if first else ""
    return f"{count:,}{noun} says" if count == 1 else f"{count:,}{noun}{'s' if first else ''} say"


def confidence(score: float) -> str:
    """A score in words, from its value rounded to two decimals.

    >>> confidence(0.9), confidence(0.746), confidence(0.1)
    ('high', 'high', 'low')
    """
    score = round(score, 2)
    return "high" if score >= HIGH else "medium" if score >= MEDIUM else "low"
