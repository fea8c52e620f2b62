"""A thread-safe LRU cache with a size function and hit counts."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class Remembered(Generic[Value]):
    """Values by key, the least recently used forgotten first. room: how much is kept; weight: what a value takes of it."""

    def __init__(self, room: int, weight: Callable[[Value], int] = lambda _: 1) -> None:
        self._room = room
        self._weight = weight
        self._guard = threading.Lock()
        self._values: OrderedDict[Any, Value] = OrderedDict()
        self._used = 0
        self.hits = 0
        self.misses = 0

    def get(self, key: Any) -> Value | None:
        """What was put there, or None."""
        with self._guard:
            value = self._values.get(key)
            if value is None:
                self.misses += 1
            else:
                self.hits += 1
                self._values.move_to_end(key)
            return value

    def put(self, key: Any, value: Value) -> None:
        """Keep a value, unless it alone takes more than the room there is."""
        weight = self._weight(value)
        with self._guard:
            if weight > self._room or key in self._values:
                return
            self._values[key] = value
            self._used += weight
            while self._used > self._room:
                self._used -= self._weight(self._values.popitem(last=False)[1])

    def clear(self) -> None:
        """Forget everything."""
        with self._guard:
            self._values.clear()
            self._used = 0

    def facts(self) -> dict[str, int]:
        """{"entries", "hits", "misses"}."""
        with self._guard:
            return {"entries": len(self._values), "hits": self.hits, "misses": self.misses}
