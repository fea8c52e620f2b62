"""Passages per second and time left of an indexing run."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

WINDOW_S = 30.0
LEAST_S = 1.0


class IndexingSpeed:
    """Measures a run from its progress. A mean over the last WINDOW_S seconds gives the rate of passages.

    The time left is extrapolated from the bytes of files done since the first update, which counts those done before.
    passages, done, total: as of the last update; they never fall. clock: monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._samples: deque[tuple[float, int]] = deque()
        self._began, self._before = clock(), 0
        self.passages = self.done = self.total = 0

    def update(self, passages: int, done: int, total: int) -> None:
        """passages: embedded in this run. done: bytes of the files that are done, and of parts of others. total: of all."""
        now = self._clock()
        if not self._samples:
            self._began, self._before = now, done
        self.passages, self.done, self.total = max(passages, self.passages), max(done, self.done), total
        self._samples.append((now, self.passages))
        while len(self._samples) > 2 and now - self._samples[1][0] >= WINDOW_S:
            self._samples.popleft()

    @property
    def per_second(self) -> float | None:
        """Passages per second; None in the first LEAST_S seconds."""
        if not self._samples or self._clock() - self._samples[0][0] < LEAST_S:
            return None
        began, before = self._samples[0]
        return (self.passages - before) / (self._clock() - began)

    @property
    def seconds_left(self) -> float | None:
        """The time until all bytes are done; None in the first LEAST_S seconds, and while none are done."""
        seconds, done = self._clock() - self._began, self.done - self._before
        if seconds < LEAST_S or done <= 0:
            return None
        return seconds * max(0, self.total - self.done) / done

    def words(self) -> str:
        """Rate and time left for people, such as "41 passages/s, 3 min left"; "" while neither is known."""
        rate, left = self.per_second, self.seconds_left
        parts = [f"{rate:,.0f} passages/s" if rate >= 10 else f"{rate:.1f} passages/s"] if rate else []
        return ", ".join([*parts, *([f"{duration(left)} left"] if left else [])])


def duration(seconds: float) -> str:
    """A duration in one or two units.

    >>> duration(0.4), duration(59.7), duration(200), duration(7_500)
    ('1 s', '1 min', '3 min', '2 h 5 min')
    """
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
