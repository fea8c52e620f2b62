"""Admission control: bounds how many questions are read at once and how many wait; refuses the rest.

Questions are CPU-bound, so they run in a thread pool of bounded size, never on the event loop.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from qa_pipeline.errors import TooBusy

T = TypeVar("T")

SHARE = 0.1
LONGEST_RETRY_S = 60


class Admission:
    """A pool of `at_once` threads with a queue of `waiting` further tasks. Thread-safe."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self.at_once = at_once
        self.waiting = waiting
        self.refused = 0
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="docqa-read")
        self._guard = threading.Lock()
        self._inside = 0
        self._running = 0
        self._usual_s = 0.1

    def submit(self, work: Callable[[], T], *, bounded: bool = True) -> Future[T]:
        """Queue work for the pool, first in, first out. Raises TooBusy if the queue is full, or at shutdown.

        bounded: False for work that was admitted before as a whole, such as the next question of a batch; it may exceed the
        queue's limit.
        """
        with self._guard:
            if bounded and self._inside >= self.at_once + self.waiting:
                self.refused += 1
                raise TooBusy("Too many questions are waiting; ask again in a moment.", self._retry_after())
            self._inside += 1
        try:
            future = self._threads.submit(self._timed, work)
        except RuntimeError:
            self._left()
            raise TooBusy("The service is shutting down; ask again in a moment.", 5) from None
        future.add_done_callback(self._left)
        return future

    async def run(self, work: Callable[[], T], *, bounded: bool = True) -> T:
        """Run work in the pool and await its result. Raises TooBusy and the errors of `work`."""
        return await asyncio.wrap_future(self.submit(work, bounded=bounded))

    def running(self) -> int:
        """Number of tasks that run now."""
        return self._running

    def queued(self) -> int:
        """Number of tasks that wait."""
        return max(0, self._inside - self._running)

    def close(self) -> None:
        """Accept no more work, and finish the admitted work."""
        self._threads.shutdown(wait=True)

    def _timed(self, work: Callable[[], T]) -> T:
        with self._guard:
            self._running += 1
        began = time.monotonic()
        try:
            return work()
        finally:
            with self._guard:
                self._running -= 1
                self._usual_s += SHARE * (time.monotonic() - began - self._usual_s)

    def _left(self, _: object = None) -> None:
        with self._guard:
            self._inside -= 1

    def _retry_after(self) -> int:
        """Estimated seconds until half of a full queue is done."""
        return max(1, min(LONGEST_RETRY_S, math.ceil(self._usual_s * self.waiting / self.at_once / 2)))
