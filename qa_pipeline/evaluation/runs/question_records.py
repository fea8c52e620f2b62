"""Question records of a run: the question, and the parts of its context needed for error analysis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qa_pipeline.datasets.examples import NOWHERE, Example
from qa_pipeline.evaluation.runs.predictions import Prediction

AROUND, LONGEST, NEAR = 160, 600, 40

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class QuestionRecord:
    """right: spans of the right answers; pieces: (start, text) of the context around them and around the best span.

    Invariant: context[start : start + len(text)] == text for every piece. Offsets are code points of the context.
    """

    origin: str
    id: str
    question: str
    right: tuple[Span, ...] = ()
    pieces: tuple[tuple[int, str], ...] = ()

    @classmethod
    def of(cls, example: Example, found: Span | None = None) -> QuestionRecord:
        """found: the reader's best span, None if unknown."""
        right = dict.fromkeys((g.start, g.start + len(g.text)) for g in example.golds if g.start != NOWHERE)
        spans = [*right, *([found] if found else [])]
        return cls(example.origin, example.id, example.question, tuple(right), tuple(pieces(example.context, spans)))

    @classmethod
    def from_dict(cls, line: Mapping[str, Any]) -> QuestionRecord:
        """From a line of questions.jsonl. Raises KeyError, TypeError, ValueError for an invalid line."""
        right = tuple((int(start), int(end)) for start, end in line.get("right", ()))
        kept = tuple((int(start), str(text)) for start, text in line.get("pieces", ()))
        return cls(str(line["origin"]), str(line["id"]), str(line["question"]), right, kept)


def pieces(context: str, spans: Iterable[Span]) -> Iterator[tuple[int, str]]:
    """(start, text) of the context around each span; touching pieces are merged, and very long spans truncated.

    >>> list(pieces("a" * 500 + " b " + "c" * 500, [(501, 502)])) == [(341, "a" * 159 + " b " + "c" * 159)]
    True
    """
    last = 0
    edges = sorted((max(0, start - AROUND), min(len(context), end + AROUND, start + LONGEST)) for start, end in spans)
    joined: list[Span] = []
    for start, end in edges:
        if joined and start <= last:
            joined[-1] = (joined[-1][0], max(end, last))
        else:
            joined.append((start, end))
        last = joined[-1][1]
    for start, end in joined:
        start, end = _to_words(context, start, end)
        yield start, context[start:end]


def _to_words(context: str, start: int, end: int) -> Span:
    """The piece without partial words at its ends, if that removes few characters."""
    first = context.find(" ", start, start + NEAR) if start else -1
    last = context.rfind(" ", end - NEAR, end) if end < len(context) else -1
    return (start if first < 0 else first + 1), (end if last < 0 else last)


def question_record(examples: Sequence[Example], predictions: Iterable[Prediction] = ()) -> Iterator[QuestionRecord]:
    """Records of all questions; with predictions, also the context around their best spans."""
    found = {p.key: (p.start, p.end) for p in predictions if p.best}
    return (QuestionRecord.of(example, found.get((example.origin, example.id))) for example in examples)
