"""Values of reading: `Span` and `Reading`, and the protocol of a reader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

BATCH_TOKENS = 2_560


@dataclass(frozen=True, slots=True)
class Span:
    """A candidate answer in one text: text[start:end], in code points.

    score: sum of its start and end logits, or of log-probabilities with XLM's beam head. confidence: in [0, 1].
    margin: score minus that of "no answer" in the same window.
    """

    start: int
    end: int
    score: float
    margin: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Reading:
    """The reader's result for one text: spans by falling margin; none for a text without tokens."""

    spans: tuple[Span, ...] = ()


class PassageReader(Protocol):
    """The protocol of `Reader`, and of `XlmReader` for the architecture that FARM does not support."""

    def read(self, question: str, texts: Sequence[str]) -> list[Reading]: ...


def read_pairs(reader: PassageReader, pairs: Sequence[tuple[str, str]]) -> list[Reading]:
    """The reading of each (question, text) pair, in order; in one batch where the reader supports it."""
    read_all: Callable[[Sequence[tuple[str, str]]], list[Reading]] | None = getattr(reader, "read_pairs", None)
    if read_all is not None:
        return read_all(pairs)
    return [reader.read(question, [text])[0] for question, text in pairs]
