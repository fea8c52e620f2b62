"""The LRU cache of everything that is worked out once: bounded, thread-safe, and counting its hits."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class LRUCache(Generic[Value]):
    """Values by key, none of them None; the least recently used is evicted first. Thread-safe.

    capacity: the largest sum of sizes; size: of one value (1). A value larger than the room is not kept.
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
        """What was put there, or None."""
        return self.get_many([key]).get(key)

    def get_many(self, keys: Iterable[Key]) -> dict[Key, Value]:
        """What was put there for these keys, in their order; those not in the cache are left out."""
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

    def put(self, key: Any, value: Value) -> None:
        """Keep a value, in place of an older one of that key."""
        self.put_many({key: value})

    def put_many(self, values: Mapping[Any, Value]) -> None:
        """Keep these values; the last one counts as used last."""
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
        """Remove everything; the counts stay."""
        with self._guard:
            self._values.clear()
            self._used = 0

    def facts(self) -> dict[str, int]:
        """{"entries", "hits", "misses"}."""
        with self._guard:
            return {"entries": len(self._values), "hits": self.hits, "misses": self.misses}
