"""Logins of the page: a random token for each person who entered a key. The key itself stays in this process."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

COOKIE = "docqa_login"
HOURS = 12
MOST = 10_000


class Logins:
    """Keys by token, for `seconds` after the last use; at most MOST, the longest unused go first. Thread-safe."""

    def __init__(self, seconds: float = HOURS * 3_600, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._guard = threading.Lock()
        self._kept: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def add(self, key: str) -> str:
        """A new token for a key.

        >>> logins = Logins()
        >>> logins.key(logins.add("docqa_1")), logins.key("other")
        ('docqa_1', '')
        """
        token = secrets.token_urlsafe(32)
        with self._guard:
            self._kept[token] = (self._clock() + self._seconds, key)
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)
        return token

    def key(self, token: str) -> str:
        """The key of a token; "" for one that is unknown or has expired."""
        with self._guard:
            until, key = self._kept.pop(token, (0.0, ""))
            if not key or until < self._clock():
                return ""
            self._kept[token] = (self._clock() + self._seconds, key)
            return key

    def remove(self, token: str) -> None:
        """End a login."""
        with self._guard:
            self._kept.pop(token, None)


LOGINS = Logins()
