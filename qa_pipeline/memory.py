"""What the C library keeps of memory that was freed: less of it, where that library is glibc; elsewhere nothing is done.

glibc gives threads heaps of their own, up to eight for each core, and a heap gives nothing back below its last piece in use.
A service has a dozen threads that do the same work in turn, so each heap comes to hold the most that this work ever took.
"""

from __future__ import annotations

import ctypes
import os
import platform

M_ARENA_MAX = -8
HEAPS = 2
OWN_CHOICE = ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES", "LD_PRELOAD")


def few_heaps() -> bool:
    """Have at most HEAPS heaps from now on; whether that was done. Not where a person has chosen another way."""
    library = None if any(os.environ.get(name) for name in OWN_CHOICE) else _glibc()
    return library is not None and bool(library.mallopt(M_ARENA_MAX, HEAPS))


def give_back() -> bool:
    """Give the system what is free in every heap; whether there was any."""
    library = _glibc()
    return library is not None and bool(library.malloc_trim(0))


def _glibc() -> ctypes.CDLL | None:
    if platform.libc_ver()[0] != "glibc":
        return None
    try:
        library = ctypes.CDLL(None)
        library.mallopt.argtypes, library.malloc_trim.argtypes = (ctypes.c_int, ctypes.c_int), (ctypes.c_size_t,)
    except (OSError, AttributeError):
        return None
    return library
