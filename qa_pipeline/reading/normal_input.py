"""Reading in normal form: the reader sees `indexing.normal_form`, and its spans are of the texts as they were given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from indexing.normal_form import NormalText, normal_form, normal_text
from qa_pipeline.reading.readings import Reading, Span

ReadPairs = Callable[[Sequence[tuple[str, str]]], list[Reading]]


def read_in_normal_form(read: ReadPairs, pairs: Sequence[tuple[str, str]]) -> list[Reading]:
    """The readings of (question, text) pairs. read: reads pairs in normal form. Offsets are of the given texts."""
    normal = [normal_text(text) for _, text in pairs]
    readings = read([(normal_form(question), made.text) for (question, _), made in zip(pairs, normal, strict=True)])
    return [
        reading if made.starts is None else Reading(tuple(_spans(reading, made)))
        for reading, made in zip(readings, normal, strict=True)
    ]


def _spans(reading: Reading, made: NormalText) -> Iterator[Span]:
    """The spans in the original text, in order; the first of those that become equal."""
    seen: set[tuple[int, int]] = set()
    for span in reading.spans:
        place = made.original(span.start, span.end)
        if place not in seen:
            seen.add(place)
            yield replace(span, start=place[0], end=place[1])
