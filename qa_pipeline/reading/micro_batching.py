"""Micro-batching: calls that wait for one model run as one batch, without a background thread.

A caller that finds the model free collects the waiting items of all callers round-robin, up to a budget, and runs them. So a
caller waits for the running batch and then for its share of the next ones, however many items another caller has.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from indexing.errors import DocqaError
from qa_pipeline.reading.cancellation import check

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Call(Generic[Item, Result]):
    """One caller's items: indices of those not yet in a batch, and the results so far."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.waiting = deque(range(len(items)))
        self.results: list[Result | None] = [None] * len(items)
        self.missing = len(items)
        self.error: BaseException | None = None


class MicroBatcher(Generic[Item, Result]):
    """Runs `work` on batches of items from any thread; at most `at_once` calls of `work` run at a time.

    size: cost of an item. budget: maximum total cost of a batch; a batch has at least one item.
    """

    def __init__(
        self,
        work: Callable[[list[Item]], Sequence[Result]],
        size: Callable[[Item], int],
        budget: int,
        at_once: int = 1,
    ) -> None:
        self._work = work
        self._at_once = at_once
        self._size = size
        self._budget = budget
        self._changed = threading.Condition()
        self._calls: deque[_Call[Item, Result]] = deque()
        self._running = 0
        self.batches = 0
        self.shared = 0

    def __call__(self, items: Sequence[Item]) -> list[Result]:
        """Return the result of each item, in order. Raises the error of `work` for any batch with one of these items.

        Between batches it asks whether the request may go on (`cancellation.check`); else its waiting items are dropped.
        """
        call: _Call[Item, Result] = _Call(items)
        with self._changed:
            if items:
                self._calls.append(call)
            while call.missing and call.error is None:
                try:
                    check()
                except DocqaError as error:
                    call.error = error
                    break
                if call.waiting and self._running < self._at_once:
                    self._run_one()
                else:
                    self._changed.wait()
            if call.error is not None:
                call.waiting.clear()
                raise call.error
        return call.results  # type: ignore[return-value]

    @property
    def busy(self) -> bool:
        """Whether a batch is running now."""
        return self._running > 0

    def _run_one(self) -> None:
        """Run the next batch. The caller holds the lock, which is released while `work` runs."""
        batch = self._take()
        self._running += 1
        self._changed.release()
        results: Sequence[Result] = ()
        error: BaseException | None = None
        try:
            results = self._work([call.items[at] for call, at in batch])
        except BaseException as raised:
            error = raised
        finally:
            self._changed.acquire()
            self._running -= 1
            self.batches += 1
            self.shared += len({id(call) for call, _ in batch}) > 1
            self._give(batch, results, error)
            self._changed.notify_all()

    def _take(self) -> list[tuple[_Call[Item, Result], int]]:
        """The items of the next batch, round-robin over the callers until the budget is full."""
        batch: list[tuple[_Call[Item, Result], int]] = []
        room = self._budget
        while self._calls:
            call = self._calls.popleft()
            if not call.waiting:
                continue
            size = self._size(call.items[call.waiting[0]])
            if batch and size > room:
                self._calls.appendleft(call)
                break
            room -= size
            batch.append((call, call.waiting.popleft()))
            if call.waiting:
                self._calls.append(call)
        return batch

    def _give(
        self, batch: Sequence[tuple[_Call[Item, Result], int]], results: Sequence[Result], error: BaseException | None
    ) -> None:
        for n, (call, at) in enumerate(batch):
            call.missing -= 1
            if error is not None:
                call.error = error
            else:
                call.results[at] = results[n]
