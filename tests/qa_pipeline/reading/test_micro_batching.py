"""Calls that wait run as one: every item once, in its caller's order, nobody held up by another's long list."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_pipeline.reading.micro_batching import MicroBatcher


def doubled(items: list[int]) -> list[int]:
    return [2 * item for item in items]


@given(st.lists(st.integers(1, 9), max_size=40), st.integers(1, 20))
def test_every_item_has_its_result_within_the_budget(items: list[int], budget: int) -> None:
    batches: list[list[int]] = []

    def work(batch: list[int]) -> list[int]:
        batches.append(batch)
        return doubled(batch)

    together = MicroBatcher(work, lambda item: item, budget)
    assert together(items) == doubled(items)
    assert sum(batches, []) == items
    assert all(len(batch) == 1 or sum(batch) <= budget for batch in batches) and together.batches == len(batches)


def test_many_callers_get_their_own() -> None:
    running: list[int] = []

    def work(batch: list[int]) -> list[int]:
        running.append(1)
        assert len(running) == 1, "two batches at once"
        running.clear()
        return doubled(batch)

    together = MicroBatcher(work, lambda _: 1, 7)
    asked = [list(range(n, n + 30)) for n in range(0, 600, 30)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(together, asked)) == [doubled(items) for items in asked]


class Gate:
    """Work that waits, so that a test decides who comes meanwhile."""

    def __init__(self) -> None:
        self.open, self.entered, self.batches = threading.Event(), threading.Event(), []  # type: ignore[var-annotated]

    def __call__(self, batch: list[int]) -> list[int]:
        self.batches.append(batch)
        self.entered.set()
        assert self.open.wait(120)
        return doubled(batch)


def waiting(together: MicroBatcher[int, int], callers: int) -> None:
    """Until so many callers wait; fails after two minutes."""
    until = time.monotonic() + 120
    while len(together._calls) < callers:
        assert time.monotonic() < until, "nobody came to wait"
        time.sleep(0.001)


def test_who_waits_is_taken_along_and_in_turn() -> None:
    gate = Gate()
    together = MicroBatcher(gate, lambda _: 1, 4)
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(together, [0])
        assert gate.entered.wait(120)
        long = threads.submit(together, [1, 2, 3, 4, 5, 6])
        waiting(together, 1)
        short = threads.submit(together, [7, 8])
        waiting(together, 2)
        gate.open.set()
        assert first.result(120) == [0] and long.result(120) == [2, 4, 6, 8, 10, 12] and short.result(120) == [14, 16]
    assert gate.batches == [[0], [1, 7, 2, 8], [3, 4, 5, 6]]
    assert together.shared == 1


def test_an_error_is_told_to_whom_it_concerns_and_to_nobody_else() -> None:
    def work(batch: list[int]) -> list[int]:
        if 13 in batch:
            raise ValueError("thirteen")
        return doubled(batch)

    together = MicroBatcher(work, lambda _: 1, 2)
    with pytest.raises(ValueError, match="thirteen"):
        together([1, 2, 13, 4, 5])
    assert together([5]) == [10] and together([]) == []


def test_as_many_batches_run_at_once_as_allowed() -> None:
    """With two allowed, a caller does not wait for another's small batch; a third one does."""
    together_now, most, guard = 0, 0, threading.Lock()
    both = threading.Barrier(2, timeout=60)

    def work(batch: list[int]) -> list[int]:
        nonlocal together_now, most
        with guard:
            together_now += 1
            most = max(most, together_now)
        if batch[0] < 2:
            both.wait()
        with guard:
            together_now -= 1
        return doubled(batch)

    batcher = MicroBatcher(work, lambda _: 1, 1, at_once=2)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(batcher, [[0], [1]])) == [[0], [2]]
        assert list(threads.map(batcher, [[n, n + 1] for n in range(2, 60)])) == [[2 * n, 2 * n + 2] for n in range(2, 60)]
    assert most == 2 and not batcher.busy
