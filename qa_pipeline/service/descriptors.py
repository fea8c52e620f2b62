"""The limit of open files of this process, raised as far as the system allows."""

from __future__ import annotations

import contextlib
import sys

WANTED = 65_536
FILES_OF_CONNECTION = 3
RESERVED = 256


def raise_limit() -> int:
    """Raise the soft limit of open files to the hard one, at most WANTED. Returns the limit; 0 where there is none."""
    if sys.platform == "win32":
        return 0
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return _limit()


def fitting(wanted: int, threads: int) -> int:
    """How many corpora can be open at once, at most `wanted`, at least one, if `threads` threads use each of them.

    Each thread has a connection to a corpus, of FILES_OF_CONNECTION files: the database, its log and its shared memory.
    """
    limit = _limit()
    return wanted if not limit else max(1, min(wanted, (limit - RESERVED) // (FILES_OF_CONNECTION * threads)))


def _limit() -> int:
    if sys.platform == "win32":
        return 0
    import resource

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 0 if soft == resource.RLIM_INFINITY else soft
