"""Navigation between hits in a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ui.client.schemas import Reply
from ui.render.highlight import ANSWER, FOUND, PASSAGE, Mark

WINDOW = 40_000
HERE = "here"
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Hits:
    """Marks in text order, and the spans to step through."""

    marks: tuple[Mark, ...]
    steps: tuple[Span, ...]

    def at(self, span: Span | None) -> int | None:
        """The 0-based step of a span; None if it is not a step."""
        return self.steps.index(span) if span in self.steps else None

    def next(self, span: Span | None, by: int) -> Span | None:
        """The step after (by=1) or before (by=-1) a span, cyclically; None without steps.

        >>> hits = Hits((), ((3, 5), (8, 9)))
        >>> hits.next((3, 5), 1), hits.next((8, 9), 1), hits.next((6, 7), -1), hits.next(None, 1)
        ((8, 9), (3, 5), (3, 5), (3, 5))
        """
        if not self.steps:
            return None
        if span is None:
            return self.steps[0 if by > 0 else -1]
        if by > 0:
            return next((step for step in self.steps if step > span), self.steps[0])
        return next((step for step in reversed(self.steps) if step < span), self.steps[-1])


def hits_of(reply: Reply | None, document_id: str, found: Sequence[Span] | None, span: Span | None) -> Hits:
    """Marks for the reply's answers and passages in this document, for search hits, and for the current span.

    Steps are the search hits if the user searched, else answers and passages.
    """
    answers = [(one.start, one.end) for one in (reply.answers if reply else ()) if one.document_id == document_id]
    passages = [(one.start, one.end) for one in (reply.passages if reply else ()) if one.document_id == document_id]
    marks = [Mark(*one, PASSAGE) for one in passages] + [Mark(*one, ANSWER) for one in answers]
    marks += [Mark(*one, FOUND) for one in found or ()]
    marks += [Mark(*span, HERE, "docqa-here")] if span else []
    steps = found if found is not None else {*answers, *passages, *([span] if span else [])}
    return Hits(tuple(sorted(marks, key=lambda mark: (mark.start, mark.end))), tuple(sorted(steps)))


def window(length: int, span: Span | None, first: int | None, size: int = WINDOW) -> Span:
    """The slice of a long text to show, from `first` or around the span; a short text is shown whole.

    >>> window(100, (90, 95), None), window(100_000, (90_000, 90_010), None), window(100_000, None, 70_000)
    ((0, 100), (60000, 100000), (60000, 100000))
    """
    if length <= size:
        return 0, length
    middle = first if first is not None else (span[0] - size // 2 if span else 0)
    start = max(0, min(middle, length - size))
    return start, start + size


def page_of(pages: Sequence[int], place: int) -> int:
    """The 1-based page that contains an offset.

    >>> page_of([0, 10, 20], 9), page_of([0, 10, 20], 10)
    (1, 2)
    """
    return max(1, sum(1 for begin in pages if begin <= place))
