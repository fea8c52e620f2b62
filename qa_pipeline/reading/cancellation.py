"""When the work of a request must stop: its client has gone, its time is spent, or the service stops.

The work itself asks, by `check`, between windows and between passages. It runs in a thread pool with the context of its
request, so no argument is passed down. Without a request, as in the terminal, `check` never raises.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import ContextVar

from indexing.errors import DocqaError
from qa_pipeline.errors import OutOfTime


class WorkToken:
    """The right of one request to go on. Thread-safe. seconds: the time it has; None for no limit."""

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds
        self._guard = threading.Lock()
        self._until = None if seconds is None else time.monotonic() + seconds
        self._error: DocqaError | None = None
        self._then: dict[object, Callable[[], object]] = {}

    def renew(self) -> None:
        """Give it its time once more, for the next question of a batch."""
        self._until = None if self.seconds is None else time.monotonic() + self.seconds

    def cancel(self, error: DocqaError) -> None:
        """End the work at its next `check`, which raises `error`. The first error stays."""
        with self._guard:
            if self._error is not None:
                return
            self._error = error
            then = list(self._then.values())
        for call in then:
            call()

    def on_cancel(self, key: object, call: Callable[[], object]) -> None:
        """Call it when the work is cancelled, or at once if it is already. `forget` takes it back."""
        with self._guard:
            if self._error is None:
                self._then[key] = call
                return
        call()

    def forget(self, key: object) -> None:
        """Take back a call of `on_cancel`."""
        with self._guard:
            self._then.pop(key, None)

    @property
    def error(self) -> DocqaError | None:
        """Why the work must stop; None while it may go on."""
        if self._error is None and self._until is not None and time.monotonic() > self._until:
            return OutOfTime(
                f"The request took longer than the {self.seconds:g} seconds it has; ask for less, or raise --deadline-s."
            )
        return self._error

    def check(self) -> None:
        """Raises the reason if the work must stop."""
        error = self.error
        if error is not None:
            raise error


CURRENT: ContextVar[WorkToken | None] = ContextVar("docqa-work", default=None)


def check() -> None:
    """Raises ClientGone, OutOfTime or TooBusy if the work of this request must stop."""
    token = CURRENT.get()
    if token is not None:
        token.check()
