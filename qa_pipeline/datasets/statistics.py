"""Statistics of question sets by language: counts, and mean tokens of paragraphs, questions and answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qa_pipeline.datasets.examples import Example
from qa_pipeline.datasets.token_counts import counter


@dataclass(frozen=True, slots=True)
class LanguageStats:
    """One language of a set. Tokens are means as `token_counts` counts them, 0.0 of nothing.

    A paragraph counts once in each file.
    """

    language: str
    paragraphs: int
    questions: int
    unanswerable: int
    answers: int
    paragraph_tokens: float
    question_tokens: float
    answer_tokens: float


def statistics(examples: Sequence[Example]) -> list[LanguageStats]:
    """One row per language of contexts, sorted. Questions are tokenized in their own language."""
    return [
        _of_language(language, [example for example in examples if example.language == language])
        for language in sorted({example.language for example in examples})
    ]


def _of_language(language: str, examples: Sequence[Example]) -> LanguageStats:
    paragraphs = list(dict.fromkeys((example.origin, example.context) for example in examples))
    answers = [answer for example in examples for answer in example.wanted]
    count = counter(language)
    return LanguageStats(
        language,
        len(paragraphs),
        len(examples),
        sum(example.is_impossible for example in examples),
        len(answers),
        _mean(count(context) for _, context in paragraphs),
        _mean(counter(example.question_language)(example.question) for example in examples),
        _mean(map(count, answers)),
    )


def _mean(counts: Iterable[int]) -> float:
    values = list(counts)
    return sum(values) / len(values) if values else 0.0
