"""Early stopping: passages are read in fused order until an answer is sure or the time budget is spent."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qa_pipeline.answers import Passage, Stopped
from qa_pipeline.reading.readings import PassageReader, Reading

FEW, MORE_FOR_FEW = 3, 2.5


@dataclass(frozen=True, slots=True)
class StopRule:
    """When reading ends before the last passage: at a margin, once `at_least` are read, or when the time is spent.

    While fewer than FEW passages are read the margin must be larger, by MORE_FOR_FEW logits: the best answer of a question
    is often in the second or third passage, and little is known of how good the others are.
    """

    margin: float = math.inf
    at_least: int = 1
    budget_ms: float = math.inf

    def why(self, readings: Sequence[Reading], passages: int) -> Stopped:
        """Why the reading of these ended."""
        if len(readings) >= passages:
            return "all"
        return "sure" if self.is_sure(readings) else "budget"

    def is_sure(self, readings: Sequence[Reading]) -> bool:
        """Whether one of the readings gave an answer that the reader is sure of."""
        wanted = self.margin + (MORE_FOR_FEW if len(readings) < FEW else 0.0)
        margins = (span.margin for reading in readings for span in reading.spans)
        return len(readings) >= self.at_least and any(margin >= wanted for margin in margins)


def read_until_sure(
    reader: PassageReader, question: str, passages: Sequence[Passage], stop: StopRule
) -> Iterator[list[Reading]]:
    """The readings of the first passages, after each one of them, in fused order; at least one list."""
    began = time.perf_counter()
    readings: list[Reading] = []
    while True:
        readings = [*readings, *reader.read(question, [passage.text for passage in passages[len(readings) :][:1]])]
        yield readings
        spent = 1e3 * (time.perf_counter() - began)
        if len(readings) >= len(passages) or stop.is_sure(readings) or spent >= stop.budget_ms:
            return
