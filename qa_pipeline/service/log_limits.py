"""Rate limit of repeated log lines, so that no condition that repeats fills the disk."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

LINES = 10
SECONDS = 60.0
KNOWN = 1_000


class RepeatedLines(logging.Filter):
    """Lets LINES lines of one message and level pass in SECONDS seconds; the next one then says how many were left out.

    Lines below WARNING, such as those of requests, always pass. Thread-safe.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._guard = threading.Lock()
        self._known: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        key = (record.name, record.levelno, str(record.msg))
        with self._guard:
            if len(self._known) > KNOWN and key not in self._known:
                self._known.clear()
            began, count = self._known.get(key, (self._clock(), 0))
            if self._clock() - began < SECONDS:
                self._known[key] = (began, count + 1)
                return count < LINES
            self._known[key] = (self._clock(), 1)
        if count > LINES:
            record.msg, record.args = f"{record.getMessage()} ({count - LINES:,} lines like this were left out)", ()
        return True
