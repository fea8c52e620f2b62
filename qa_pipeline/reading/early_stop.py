"""Early stopping: the reader reads passages in fused order until an answer is confident or the time budget is spent."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qa_pipeline.answers import Passage, Stopped
from qa_pipeline.reading.readings import PassageReader, Reading
from qa_pipeline.retrieval.variants import is_settled

FEW, MORE_FOR_FEW = 3, 2.5


@dataclass(frozen=True, slots=True)
class StopRule:
    """When reading stops before the last passage: at a span with this margin, or when the time budget is spent.

    margin: in logits; it counts only once `at_least` passages are read. budget_ms: milliseconds.
    With fewer than FEW passages read, the margin must be larger by MORE_FOR_FEW logits. The best answer is often in the
    second or third passage, and few readings say little about the others.
    """

    margin: float = math.inf
    at_least: int = 1
    budget_ms: float = math.inf

    def why(self, readings: Sequence[Reading], passages: Sequence[Passage]) -> Stopped:
        """Why reading ended after these readings of the passages."""
        if len(readings) >= len(passages):
            return "all"
        return "sure" if self.is_sure(readings, passages) else "budget"

    def is_sure(self, readings: Sequence[Reading], passages: Sequence[Passage]) -> bool:
        """Whether the readings have a span with the required margin, in a passage that states the question's facts.

        All variants of that passage must have been read.
        """
        wanted = self.margin + (MORE_FOR_FEW if len(readings) < FEW else 0.0)
        sure = [n for n, reading in enumerate(readings) if any(span.margin >= wanted for span in reading.spans)]
        return len(readings) >= self.at_least and any(is_settled(n, passages, len(readings)) for n in sure)


def read_until_sure(
    reader: PassageReader, question: str, passages: Sequence[Passage], stop: StopRule
) -> Iterator[list[Reading]]:
    """Yield the list of all readings so far after each passage, in fused order. Yields at least one list.

    A reader that computes several passages at once reads that many ahead. A passage behind a confident answer is left out
    all the same, so the result does not depend on the number of cores. The time budget counts only the reader's time.
    """
    spent, ahead = 0.0, max(1, getattr(reader, "at_once", 1))
    readings: list[Reading] = []
    waiting: list[Reading] = []
    while True:
        if not waiting:
            began = time.perf_counter()
            waiting = reader.read(question, [passage.text for passage in passages[len(readings) :][:ahead]])
            spent += 1e3 * (time.perf_counter() - began)
        readings, waiting = [*readings, *waiting[:1]], waiting[1:]
        yield readings
        if len(readings) >= len(passages) or stop.is_sure(readings, passages) or (spent >= stop.budget_ms and not waiting):
            return
