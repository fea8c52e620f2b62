"""Answer groups: equal answers of several documents are merged, with their support counted.

Support counts texts, not files: copies of one text are one source. It counts confident occurrences only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ui.client.schemas import Answer, Passage
from ui.render.answer_key import key_of

HIGH, MEDIUM = 0.75, 0.4


@dataclass(frozen=True, slots=True)
class AnswerGroup:
    """One answer text and all its occurrences, by descending score; never empty. originals: as in `Reply`."""

    places: tuple[Answer, ...]
    originals: Mapping[str, str] = field(default_factory=dict)

    @property
    def best(self) -> Answer:
        return self.places[0]

    @property
    def sources(self) -> frozenset[str]:
        """Ids of the documents that give this answer with high confidence, one for each text."""
        return frozenset(self.original(place) for place in self.places if confidence(place.score) == "high")

    @property
    def documents(self) -> int:
        """Number of independent documents with this answer; at least that of the best occurrence."""
        return max(1, len(self.sources))

    @property
    def languages(self) -> dict[str, int]:
        """Number of independent documents with this answer, by language."""
        seen: dict[str, str] = {}
        for place in self.places:
            if self.original(place) in self.sources:
                seen.setdefault(self.original(place), place.language)
        counts: dict[str, int] = {}
        for language in seen.values():
            counts[language] = counts.get(language, 0) + 1
        return counts

    def original(self, place: Answer) -> str:
        """The id of the first document with the text of this occurrence's document."""
        return self.originals.get(place.document_id, place.document_id)


def group_answers(answers: Iterable[Answer], originals: Mapping[str, str] | None = None) -> list[AnswerGroup]:
    """Groups equal answers, ordered by the best score of each group."""
    groups: dict[str, list[Answer]] = {}
    for answer in sorted(answers, key=lambda answer: -answer.score):
        groups.setdefault(key_of(answer.text), []).append(answer)
    return [AnswerGroup(tuple(group), originals or {}) for group in groups.values()]


def group_passages(passages: Iterable[Passage], originals: Mapping[str, str]) -> list[list[Passage]]:
    """Groups passages of copied documents that have the same text, ignoring white space; the order stays."""
    groups: dict[tuple[str, str], list[Passage]] = {}
    for passage in passages:
        key = originals.get(passage.document_id, ""), " ".join(passage.text.split())
        groups.setdefault(key if key[0] else (passage.document_id, f"{passage.start}"), []).append(passage)
    return list(groups.values())


def by_language(said: Sequence[AnswerGroup]) -> dict[str, list[AnswerGroup]]:
    """Answer groups by language of their best occurrence, in the same order."""
    groups: dict[str, list[AnswerGroup]] = {}
    for one in said:
        groups.setdefault(one.best.language, []).append(one)
    return groups


def competing_answers(said: Sequence[AnswerGroup], most: int = 4) -> list[tuple[int, str]]:
    """(documents, text) of the confident answers, best first, if independent documents give different ones; else []."""
    sure = sorted((one for one in said if one.sources), key=lambda one: -one.best.score)
    if len(sure) < 2 or len(frozenset[str]().union(*(one.sources for one in sure))) < 2:
        return []
    return [(one.documents, one.best.text) for one in sure[:most]]


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
