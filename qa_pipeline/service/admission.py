"""Admission control: bounds how many questions are read at once and how many wait; refuses the rest.

Questions are CPU-bound, so they run in a thread pool of bounded size, never on the event loop. Each runs with the context of
its request (`cancellation`). So it stops when its client has gone, when its time is spent, or when the service stops.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

from qa_pipeline.errors import TooBusy
from qa_pipeline.reading.cancellation import CURRENT, WorkToken

T = TypeVar("T")

SHARE = 0.1
LONGEST_RETRY_S = 60
RECENT_S = 10.0
STOPPING = "The service is shutting down; ask again in a moment."


class Admission:
    """A pool of `at_once` threads with a queue of `waiting` further single questions. Thread-safe.

    Batches have places of their own: each has one question in the pool at a time, and at most `batches` are in flight, of
    one key at most `key_batches`. So no number of batches fills the queue of single questions.
    """

    def __init__(self, at_once: int, waiting: int, batches: int | None = None, key_batches: int = 2) -> None:
        self.at_once = at_once
        self.waiting = waiting
        self.batches = max(1, waiting // 2) if batches is None else batches
        self.key_batches = key_batches
        self.refused = 0
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="docqa-read")
        self._guard = threading.Lock()
        self._inside = 0
        self._single = 0
        self._running = 0
        self._usual_s = 0.1
        self._batches: Counter[str] = Counter()
        self._held: Counter[str] = Counter()
        self._refusals: deque[float] = deque(maxlen=10_000)
        self._tokens: set[WorkToken] = set()
        self._stopped = False

    # -- single questions ------------------------------------------------------------------------------------------

    def submit(self, work: Callable[[], T], *, bounded: bool = True) -> Future[T]:
        """Queue work for the pool, first in, first out. Raises TooBusy if the queue is full, or at shutdown.

        bounded: False for work that was admitted before as a whole, such as the next question of a batch; it has a place of
        its own. Work whose request is cancelled leaves the queue at once; its future raises the reason.
        """
        token = CURRENT.get() or WorkToken()
        token.check()
        with self._guard:
            if self._stopped:
                raise TooBusy(STOPPING, 5)
            if bounded and self._single >= self.at_once + self.waiting:
                raise self._refusal("Too many questions are waiting; ask again in a moment.")
            self._inside += 1
            self._single += bounded
            self._tokens.add(token)
        task: _Task[T] = _Task(token, work)
        task.future.add_done_callback(lambda _: self._left(token, bounded))
        try:
            self._threads.submit(self._timed, task)
        except RuntimeError:
            task.future.set_exception(TooBusy(STOPPING, 5))
            raise TooBusy(STOPPING, 5) from None
        token.on_cancel(task, task.give_up)
        task.future.add_done_callback(lambda _: token.forget(task))
        return task.future

    async def run(self, work: Callable[[], T], *, bounded: bool = True) -> T:
        """Run work in the pool and await its result. Raises TooBusy and the errors of `work`."""
        return await asyncio.wrap_future(self.submit(work, bounded=bounded))

    # -- batches ---------------------------------------------------------------------------------------------------

    @contextmanager
    def batch(self, key: str = "") -> Iterator[None]:
        """A place for a batch for the duration of the block. key: whose it is. Raises TooBusy."""
        with self._guard:
            if self._stopped:
                raise TooBusy(STOPPING, 5)
            if self._batches[key] >= self.key_batches:
                raise self._refusal(f"{self.key_batches} batches of this key are being answered; send the next one later.")
            if self._batches.total() >= self.batches:
                raise self._refusal("Too many batches are being answered; send this one later.")
            self._batches[key] += 1
        try:
            yield
        finally:
            with self._guard:
                self._batches[key] -= 1
                self._batches += Counter()

    # -- bytes -----------------------------------------------------------------------------------------------------

    @contextmanager
    def holding(self, whose: str, count: int, most: int) -> Iterator[None]:
        """Hold so many bytes for the duration of the block: `most` of one key together, but always those of one request.

        Raises TooBusy.
        """
        with self._guard:
            if self._held[whose] and self._held[whose] + count > most:
                raise self._refusal(
                    f"Requests of this key hold {most:,} bytes already; send this one when they are answered."
                )
            self._held[whose] += count
        try:
            yield
        finally:
            with self._guard:
                self._held[whose] -= count
                self._held += Counter()

    # -- state -----------------------------------------------------------------------------------------------------

    def running(self) -> int:
        """Number of tasks that run now."""
        return self._running

    def queued(self) -> int:
        """Number of tasks that wait."""
        return max(0, self._inside - self._running)

    def close(self, wait_s: float | None = None) -> None:
        """Accept no more work. Admitted work has `wait_s` seconds to finish (None: any time), then it is cancelled."""
        with self._guard:
            self._stopped = True
        until = None if wait_s is None else time.monotonic() + wait_s
        while self._inside and (until is None or time.monotonic() < until):
            time.sleep(0.02)
        self.cancel_all()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def cancel_all(self) -> None:
        """End all admitted work at its next step."""
        with self._guard:
            tokens = list(self._tokens)
        for token in tokens:
            token.cancel(TooBusy(STOPPING, 5))

    def _timed(self, task: _Task[T]) -> None:
        if not task.take():
            return
        with self._guard:
            self._running += 1
        began = time.monotonic()
        result: T | None = None
        error: BaseException | None = None
        try:
            task.token.check()
            result = task.context.run(task.work)
        except BaseException as raised:
            error = raised
        with self._guard:
            self._running -= 1
            if error is None:
                self._usual_s += SHARE * (time.monotonic() - began - self._usual_s)
        if error is None:
            task.future.set_result(result)  # type: ignore[arg-type]
        else:
            task.future.set_exception(error)

    def _left(self, token: WorkToken, bounded: bool) -> None:
        with self._guard:
            self._inside -= 1
            self._single -= bounded
            self._tokens.discard(token)

    def _refusal(self, message: str) -> TooBusy:
        """The refusal, with the seconds until the queue, and those refused lately, are through; drawn around it.

        The caller holds the lock.
        """
        now = time.monotonic()
        self.refused += 1
        self._refusals.append(now)
        while now - self._refusals[0] > RECENT_S:
            self._refusals.popleft()
        seconds = self._usual_s * (self._inside + len(self._refusals)) / self.at_once * random.uniform(0.5, 1.5)
        return TooBusy(message, max(1, min(LONGEST_RETRY_S, math.ceil(seconds))))


class _Task(Generic[T]):
    """One piece of work in the pool: taken once, by a thread to run it or by its token to end it while it waits."""

    def __init__(self, token: WorkToken, work: Callable[[], T]) -> None:
        self.token = token
        self.work = work
        self.context = contextvars.copy_context()
        self.future: Future[T] = Future()
        self._guard = threading.Lock()
        self._taken = False

    def take(self) -> bool:
        """Whether the caller may complete the future, which then counts as running."""
        with self._guard:
            if self._taken:
                return False
            self._taken = True
        return self.future.set_running_or_notify_cancel()

    def give_up(self) -> None:
        """End the work with its token's reason, if no thread has taken it."""
        if self.take():
            self.future.set_exception(self.token.error or TooBusy(STOPPING, 5))
