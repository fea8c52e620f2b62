"""The stop rule's time budget is of reading alone."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from qa_pipeline.reading import early_stop
from qa_pipeline.reading.early_stop import StopRule, read_until_sure
from qa_pipeline.reading.readings import Reading


class Clock:
    """A clock in seconds that only its users advance."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class SlowReader:
    """Takes ten milliseconds for a passage."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def read(self, question: str, texts: Sequence[str]) -> list[Reading]:
        self.clock.now += 0.010
        return [Reading(()) for _ in texts]


def test_the_budget_counts_reading_and_not_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(early_stop, "time", clock)
    passages: list[Any] = [SimpleNamespace(text="x")] * 10
    read = 0
    for readings in read_until_sure(SlowReader(clock), "q", passages, StopRule(budget_ms=35.0)):
        read = len(readings)
        clock.now += 5.0
    assert read == 4
