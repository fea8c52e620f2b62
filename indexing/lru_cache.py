"""Thread-safe LRU cache with a size limit and hit counts."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class LRUCache(Generic[Value]):
    """Values by key. The least recently used entry is evicted first. Values must not be None. Thread-safe.

    capacity: the largest sum of sizes. size: the size of a value (default 1). A value over the capacity is not stored.
    """

    def __init__(self, capacity: int, size: Callable[[Value], int] = lambda _: 1) -> None:
        self._capacity = capacity
        self._size = size
        self._guard = threading.Lock()
        self._values: OrderedDict[Any, Value] = OrderedDict()
        self._used = 0
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Any) -> Value | None:
        """The value of a key, or None."""
        return self.get_many([key]).get(key)

    def get_many(self, keys: Iterable[Key]) -> dict[Key, Value]:
        """The values of these keys, in their order; missing keys are left out."""
        found: dict[Key, Value] = {}
        with self._guard:
            for key in keys:
                value = self._values.get(key)
                if value is None:
                    self.misses += 1
                else:
                    self.hits += 1
                    self._values.move_to_end(key)
                    found[key] = value
        return found

    def values(self) -> list[Value]:
        """All values, the least recently used first."""
        with self._guard:
            return list(self._values.values())

    def put(self, key: Any, value: Value) -> None:
        """Store a value, replacing an older one of that key."""
        self.put_many({key: value})

    def put_many(self, values: Mapping[Any, Value]) -> None:
        """Store several values; the last one becomes the most recently used."""
        with self._guard:
            for key, value in values.items():
                self._remove(key)
                size = self._size(value)
                if size <= self._capacity:
                    self._values[key] = value
                    self._used += size
            while self._used > self._capacity:
                self._remove(next(iter(self._values)))

    def _remove(self, key: Any) -> None:
        if key in self._values:
            self._used -= self._size(self._values.pop(key))

    def clear(self) -> None:
        """Remove all entries; the hit counts stay."""
        with self._guard:
            self._values.clear()
            self._used = 0

    def facts(self) -> dict[str, int]:
        """{"entries", "hits", "misses"}."""
        with self._guard:
            return {"entries": len(self._values), "hits": self.hits, "misses": self.misses}
