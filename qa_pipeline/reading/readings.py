"""Values of reading: `Span` and `ReaderTask`, and the protocol of a reader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

BATCH_TOKENS = 2_560


@dataclass(frozen=True, slots=True)
class Span:
    """A possible answer in one text: text[start:end]. score: its logits, margin: over those of "no answer" beside it."""

    start: int
    end: int
    score: float
    margin: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What one text says to a question: spans by falling margin (none for a text without tokens)."""

    spans: tuple[Span, ...] = ()


class PassageReader(Protocol):
    """Something that reads: `Reader`, and `XlmReader` for the one architecture FARM does not know."""

    def read(self, question: str, texts: Sequence[str]) -> list[Reading]: ...


def read_pairs(reader: PassageReader, pairs: Sequence[tuple[str, str]]) -> list[Reading]:
    """What each text says to its question; in one go where the reader can."""
    read_all: Callable[[Sequence[tuple[str, str]]], list[Reading]] | None = getattr(reader, "read_pairs", None)
    if read_all is not None:
        return read_all(pairs)
    return [reader.read(question, [text])[0] for question, text in pairs]
