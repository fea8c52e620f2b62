"""The LRU cache does what a plain list of entries does, and no thread sees it otherwise."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from indexing.lru_cache import LRUCache

CAPACITY = 10
keys = st.integers(0, 5)
values = st.text("x", max_size=12)


class Model(RuleBasedStateMachine):
    """The same calls of a cache and of a list of (key, value), the least recently used first."""

    def __init__(self) -> None:
        super().__init__()
        self.cache: LRUCache[str] = LRUCache(CAPACITY, len)
        self.entries: list[tuple[int, str]] = []
        self.hits = self.misses = 0

    @rule(key=keys)
    def get(self, key: int) -> None:
        assert self.cache.get(key) == self._get(key)

    @rule(several=st.lists(keys, max_size=8))
    def get_many(self, several: list[int]) -> None:
        found = self.cache.get_many(several)
        expected = {key: value for key in several if (value := self._get(key)) is not None}
        assert found == expected and list(found) == list(expected)

    @rule(key=keys, value=values)
    def put(self, key: int, value: str) -> None:
        self.cache.put(key, value)
        self._put({key: value})

    @rule(several=st.dictionaries(keys, values, max_size=5))
    def put_many(self, several: dict[int, str]) -> None:
        self.cache.put_many(several)
        self._put(several)

    @rule()
    def clear(self) -> None:
        self.cache.clear()
        self.entries = []

    @invariant()
    def same(self) -> None:
        assert list(self.cache._values.items()) == self.entries
        assert self.cache._used == sum(len(value) for _, value in self.entries) <= CAPACITY
        assert self.cache.facts() == {"entries": len(self.entries), "hits": self.hits, "misses": self.misses}
        assert len(self.cache) == len(self.entries)

    def _get(self, key: int) -> str | None:
        found = next((entry for entry in self.entries if entry[0] == key), None)
        if found is None:
            self.misses += 1
            return None
        self.hits += 1
        self.entries = [entry for entry in self.entries if entry[0] != key] + [found]
        return found[1]

    def _put(self, several: dict[int, str]) -> None:
        for key, value in several.items():
            self.entries = [entry for entry in self.entries if entry[0] != key]
            if len(value) <= CAPACITY:
                self.entries.append((key, value))
        while sum(len(value) for _, value in self.entries) > CAPACITY:
            self.entries.pop(0)


TestModel = Model.TestCase


def test_the_least_recently_used_goes_first() -> None:
    cache: LRUCache[str] = LRUCache(2)
    cache.put("a", "1")
    cache.put("b", "2")
    cache.get("a")
    cache.put("c", "3")
    assert cache.get("b") is None and cache.get("a") == "1" and cache.get("c") == "3"
    cache.put("a", "4")
    assert cache.get("a") == "4"


@pytest.mark.parametrize("capacity", [0, 3])
def test_what_is_larger_than_the_room_is_not_kept_and_evicts_nothing(capacity: int) -> None:
    cache: LRUCache[str] = LRUCache(capacity, len)
    cache.put("a", "x" * capacity)
    cache.put("b", "x" * (capacity + 1))
    assert cache.get("a") == "x" * capacity and cache.get("b") is None


@given(st.integers(0, 40), st.integers(1, 12))
def test_many_more_than_there_is_room_for_leave_the_last(count: int, capacity: int) -> None:
    cache: LRUCache[int] = LRUCache(capacity)
    cache.put_many({n: n for n in range(count)})
    assert list(cache.get_many(range(count))) == list(range(count))[-capacity:]


def test_threads_share_a_cache() -> None:
    cache: LRUCache[str] = LRUCache(50, len)
    start = threading.Barrier(4)

    def work(seed: int) -> None:
        start.wait()
        for n in range(2_000):
            key = (n * seed) % 17
            assert cache.get(key) in (None, "x" * key)
            cache.put(key, "x" * key)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, (1, 3, 5, 7)))
    assert cache._used == sum(map(len, cache._values.values())) <= 50
    assert cache.facts()["hits"] + cache.facts()["misses"] == 8_000
