"""Child processes that speak in messages of bytes over one socket, their standard input, framed by `multiprocessing`.

A child is a fresh interpreter: no fork, so threads and locks of ours are not copied. Nothing is unpickled here; who trusts
a child may do so.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path


class ChildProcess:
    """An interpreter that runs `code`, as of `code_to_serve`, and the connection to it. env: variables set for it."""

    def __init__(self, code: str, env: Mapping[str, str] | None = None) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-c", code, *import_path()],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                close_fds=True,
                env={**os.environ, **(env or {})},
            )
        self.connection = Connection(ours.detach())

    def close(self) -> None:
        """End the process."""
        self.connection.close()
        self.process.kill()
        self.process.wait()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Kill the process where the block takes longer, which ends its waiting for the child; then raise TimeoutError.

        So the limit holds for all that is sent and received in the block, also where half a message came.
        """
        late = threading.Event()

        def end() -> None:
            late.set()
            self.process.kill()

        timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), end)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (OSError, EOFError):
            if late.is_set():
                raise TimeoutError from None
            raise
        finally:
            timer.cancel()
            timer.join()
        if late.is_set():
            raise TimeoutError


def code_to_serve(module: str) -> str:
    """What the interpreter of a child runs: `serve()` of a module, found where we find it."""
    return f"import sys; sys.path[:] = sys.argv[1:]; from {module} import serve; serve()"


def parent() -> Connection:
    """In a child: the connection to the process that started it."""
    return Connection(os.dup(0))


def import_path() -> list[str]:
    """Where a child finds its modules: where we do, never the current folder, which may hold the documents."""
    root = str(Path(__file__).resolve().parents[1])
    path = [entry for entry in sys.path if entry and os.path.isabs(entry)]
    return path if root in path else [*path, root]
