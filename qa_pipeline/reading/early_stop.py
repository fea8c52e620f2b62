"""Lazy reading: the reader reads passages in fused order, until the caller stops or the time budget is spent.

Whether an answer is sure enough to stop is decided where "no answer" is decided, in `answering.verdict`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from qa_pipeline.answers import Passage
from qa_pipeline.reading.cancellation import check
from qa_pipeline.reading.readings import PassageReader, Reading


def read_in_order(
    reader: PassageReader, question: str, passages: Sequence[Passage], budget_ms: float | None = None
) -> Iterator[list[Reading]]:
    """Yield the list of all readings so far after each passage, in fused order. Yields at least one list.

    A reader that computes several passages at once reads that many ahead. They are yielded one by one all the same, so
    the caller's decision does not depend on the number of cores. budget_ms: milliseconds of the reader's time; when they
    are spent, no further passage begins; None: no limit. Raises the errors of `cancellation.check` between passages.
    """
    spent, ahead = 0.0, max(1, getattr(reader, "at_once", 1))
    readings: list[Reading] = []
    waiting: list[Reading] = []
    while True:
        check()
        if not waiting:
            began = time.perf_counter()
            waiting = reader.read(question, [passage.text for passage in passages[len(readings) :][:ahead]])
            spent += 1e3 * (time.perf_counter() - began)
        readings, waiting = [*readings, *waiting[:1]], waiting[1:]
        yield readings
        if len(readings) >= len(passages) or (budget_ms is not None and spent >= budget_ms and not waiting):
            return
