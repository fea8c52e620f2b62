"""Returns freed heap memory to the operating system, where the C library is glibc.

glibc gives threads separate heaps (arenas), up to eight per core. A heap returns no memory below its highest block in use.
A service has a dozen threads that do the same work in turn, so each heap grows to the peak of that work.
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
    """Limit glibc to HEAPS heaps. Returns whether it did; it does not if OWN_CHOICE variables configure the allocator."""
    library = None if any(os.environ.get(name) for name in OWN_CHOICE) else _glibc()
    return library is not None and bool(library.mallopt(M_ARENA_MAX, HEAPS))


def give_back() -> bool:
    """Return the free memory of every heap to the system (`malloc_trim`). Returns whether any was returned."""
    library = _glibc()
    return library is not None and bool(library.malloc_trim(0))


def drop(address: int, size: int) -> None:
    """Return the whole pages within a block of memory to the system (`MADV_DONTNEED`); their content is lost.

    Pages of a mapped file may be read again: the system reloads them from the file.
    """
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
