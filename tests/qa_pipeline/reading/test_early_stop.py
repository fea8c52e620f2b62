"""Lazy reading: the time budget is of reading alone, and reading ahead changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from qa_pipeline.reading import early_stop
from qa_pipeline.reading.early_stop import read_in_order
from qa_pipeline.reading.readings import Reading, Span


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
    for readings in read_in_order(SlowReader(clock), "q", passages, 35.0):
        read = len(readings)
        clock.now += 5.0
    assert read == 4


class AheadReader(SlowReader):
    """Reads several passages at once; the span of passage number n has the margin n."""

    def __init__(self, clock: Clock, at_once: int) -> None:
        super().__init__(clock)
        self.at_once = at_once
        self.calls: list[int] = []

    def read(self, question: str, texts: Sequence[str]) -> list[Reading]:
        self.calls.append(len(texts))
        return [Reading((Span(0, 1, float(text), float(text), 0.5),)) for text in texts]


@pytest.mark.parametrize("margin", [2.0, 5.0, 6.0, 99.0])
def test_reading_ahead_changes_no_result(margin: float) -> None:
    passages: list[Any] = [SimpleNamespace(text=str(n)) for n in range(10)]
    steps: dict[int, list[list[Reading]]] = {}
    for at_once in (1, 2, 4, 16):
        reader = AheadReader(Clock(), at_once)
        lazy, steps[at_once] = read_in_order(reader, "q", passages), list[list[Reading]]()
        for readings in lazy:
            steps[at_once].append(readings)
            if readings[-1].spans[0].margin >= margin:
                break
        read = len(steps[at_once][-1])
        assert read <= sum(reader.calls) < read + at_once or sum(reader.calls) == len(passages)
        assert max(reader.calls) == min(at_once, len(passages))
    assert all(found == steps[1] for found in steps.values())


def test_no_passage_gives_one_empty_step() -> None:
    assert list(read_in_order(AheadReader(Clock(), 4), "q", [])) == [[]]
