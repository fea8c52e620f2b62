"""Freed memory goes back to the system: fewer heaps, and nothing kept of an index job. Each in a process of its own."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has heaps for threads and malloc_trim")

HEAPS = """
import ctypes, sys, threading
from qa_pipeline.reading.malloc import few_heaps
done = few_heaps() if sys.argv[1] == "few" else False
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.open_memstream.restype = ctypes.c_void_p
together = threading.Barrier(8)
def work():
    together.wait()
    for _ in range(200):
        libc.malloc(1000)
    together.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
text, size = ctypes.c_char_p(), ctypes.c_size_t()
stream = ctypes.c_void_p(libc.open_memstream(ctypes.byref(text), ctypes.byref(size)))
libc.malloc_info(0, stream), libc.fclose(stream)
print(done, text.value.count(b"<heap nr"))
"""
GIVEN_BACK = """
import ctypes
from qa_pipeline.reading.malloc import give_back
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
pieces = [libc.malloc(50_000) for _ in range(2_000)]
for piece in pieces:
    ctypes.memset(piece, 1, 50_000)
for piece in pieces[:-1]:
    libc.free(piece)
before = resident()
give_back()
print(before - resident())
"""


def said(script: str, *arguments: str, **environment: str) -> list[str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_", "LD_PRELOAD"))}
    command = [sys.executable, "-c", script, *arguments]
    run = subprocess.run(command, cwd=ROOT, env={**kept, **environment}, capture_output=True, text=True, check=True)
    return run.stdout.split()


@glibc
def test_a_service_has_two_heaps() -> None:
    many, few = said(HEAPS, "many"), said(HEAPS, "few")
    assert few == ["True", "2"] and int(many[1]) > 2


@glibc
def test_who_chooses_otherwise_has_it_so() -> None:
    assert said(HEAPS, "few", MALLOC_ARENA_MAX="5") == ["False", "5"]


@glibc
@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="this system does not say what a process holds")
def test_what_is_free_goes_back() -> None:
    assert int(said(GIVEN_BACK)[0]) > 50_000_000
