"""Returns freed heap memory to the system where the C library is glibc.

glibc gives threads heaps of their own, up to eight for each core, and a heap gives nothing back below its last piece in use.
A service has a dozen threads that do the same work in turn, so each heap comes to hold the most that this work ever took.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform

M_ARENA_MAX = -8
MADV_DONTNEED = 4
HEAPS = 2
PAGE = mmap.PAGESIZE
OWN_CHOICE = ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES", "LD_PRELOAD")


def few_heaps() -> bool:
    """Have at most HEAPS heaps from now on; whether that was done. Not where a person has chosen another way."""
    library = None if any(os.environ.get(name) for name in OWN_CHOICE) else _glibc()
    return library is not None and bool(library.mallopt(M_ARENA_MAX, HEAPS))


def give_back() -> bool:
    """Give the system what is free in every heap; whether there was any."""
    library = _glibc()
    return library is not None and bool(library.malloc_trim(0))


def drop(address: int, size: int) -> None:
    """Give the whole pages in a piece of memory back; what they held must not be read again. Pages of a mapped file are free
    to be read anew from it."""
    library = _glibc()
    if library is not None:
        first, last = -(-address // PAGE) * PAGE, (address + size) // PAGE * PAGE
        if last > first:
            library.madvise(first, last - first, MADV_DONTNEED)


def _glibc() -> ctypes.CDLL | None:
    if platform.libc_ver()[0] != "glibc":
        return None
    try:
        library = ctypes.CDLL(None)
        library.mallopt.argtypes, library.malloc_trim.argtypes = (ctypes.c_int, ctypes.c_int), (ctypes.c_size_t,)
        library.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    except (OSError, AttributeError):
        return None
    return library
