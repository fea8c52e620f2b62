"""The threads of this process for inference: how many, and one pool that all models share.

Each thread runs one input at a time on one core. So nothing spins while it waits, and a busy process beside takes its share
without stopping the others.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TypeVar

from indexing.errors import SettingError

Item = TypeVar("Item")
Result = TypeVar("Result")

VARIABLE = "DOCQA_THREADS"
CGROUP = Path("/sys/fs/cgroup")
MOST = 256
_guard = threading.Lock()
_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}


def thread_count() -> int:
    """DOCQA_THREADS, else the cores that this process may use, by affinity and cgroup. Raises SettingError."""
    asked = os.environ.get(VARIABLE, "").strip()
    if not asked:
        return min(MOST, _cores())
    if not (asked.isascii() and asked.isdigit() and len(asked) < 6 and 1 <= int(asked) <= MOST):
        raise SettingError(f"{VARIABLE} is {asked!r}; it must be a number from 1 to {MOST}.")
    return int(asked)


def _cores() -> int:
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(CGROUP)
    return max(1, allowed if quota == math.inf else min(allowed, math.ceil(quota)))


@cache
def _quota(cgroup: Path) -> float:
    """The cores that the control group grants (version 2, then 1); infinity without a limit. Read once a process."""
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = " ".join((cgroup / file).read_text("ascii") for file in files).split()
            if quota not in ("max", "-1"):
                return int(quota) / int(period)
        except (OSError, ValueError):
            continue
    return math.inf


def parallel(run: Callable[[Item], Result], items: Sequence[Item], size: Callable[[Item], int]) -> list[Result]:
    """`run` of each item, in order; as many at once as there are threads, the largest first."""
    count = thread_count()
    if count == 1 or len(items) == 1:
        return [run(item) for item in items]
    order = sorted(range(len(items)), key=lambda at: -size(items[at]))
    found = dict(zip(order, _pool(count).map(run, [items[at] for at in order]), strict=True))
    return [found[at] for at in range(len(items))]


def _pool(count: int) -> ThreadPoolExecutor:
    """The pool of this process; a forked child gets its own."""
    key = os.getpid(), count
    with _guard:
        if key not in _pools:
            _pools[key] = ThreadPoolExecutor(count, thread_name_prefix="docqa")
        return _pools[key]
