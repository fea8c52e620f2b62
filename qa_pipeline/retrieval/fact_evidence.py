"""Which facts of a question a passage lacks: numbers, years, months, codes and names that it does not state.

A passage also states what stands about it: its headings, the title of its document, and its source.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from msgspec.structs import replace as with_fields

from indexing.text.facts import Fact, StatedFacts, missing_facts, question_facts
from indexing.text.language_id import detect
from qa_pipeline.answers import Passage
from qa_pipeline.retrieval.evidence import NOTHING, Evidence


@dataclass(frozen=True, slots=True)
class MissingFacts:
    """The facts of a question that a text lacks, in order, and their evidence. missing: as the question writes them."""

    missing: tuple[str, ...]
    numbers: float
    names: float

    def evidence(self, found: Evidence = NOTHING) -> Evidence:
        """The evidence of a passage with what it lacks."""
        return replace(found, numbers=self.numbers, names=self.names)


def facts_missing_in(question: str, asked: str, texts: Sequence[str], language: str) -> MissingFacts:
    """What the texts, taken together, lack. asked: language of the question; language: of the texts."""
    facts = question_facts(question, asked)
    missing = missing_facts(facts, StatedFacts.of(texts, language), asked) if facts else []
    lacked = sum(fact.kind == "name" for fact in missing)
    return MissingFacts(_texts(missing), float(lacked < len(missing)), float(lacked > 0))


def text_evidence(question: str, asked: str, context: str) -> Evidence:
    """The evidence of a text that is given by hand. asked: language of the question."""
    if not question_facts(question, asked):
        return NOTHING
    return facts_missing_in(question, asked, (context,), detect(context).language).evidence()


def passages_with_facts(
    question: str,
    asked: str,
    passages: Sequence[Passage],
    evidence: Sequence[Evidence],
    headings: Callable[[str, int], Sequence[str]],
) -> tuple[tuple[Passage, ...], tuple[Evidence, ...]]:
    """The passages and their evidence with the facts that each lacks.

    asked: language of the question. headings: title and headings above an offset of a document, by id; called only for
    passages that lack a fact themselves.
    """
    if not question_facts(question, asked):
        return tuple(passages), tuple(evidence)
    found = [_missing_in(question, asked, passage, headings) for passage in passages]
    lacking = tuple(with_fields(p, missing=one.missing) for p, one in zip(passages, found, strict=True))
    return lacking, tuple(one.evidence(e) for e, one in zip(evidence, found, strict=True))


def _missing_in(question: str, asked: str, passage: Passage, headings: Callable[[str, int], Sequence[str]]) -> MissingFacts:
    texts = (passage.source, passage.text)
    found = facts_missing_in(question, asked, texts, passage.language)
    if not found.missing:
        return found
    above = headings(passage.document_id, passage.start)
    return facts_missing_in(question, asked, (*above, *texts), passage.language) if above else found


def _texts(facts: Sequence[Fact]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(fact.text for fact in facts))
