"""Child processes that exchange byte messages over one socket, their standard input, framed by `multiprocessing`.

A child is a fresh interpreter, not a fork, so it copies no threads or locks. Nothing is unpickled here; callers that
trust a child may unpickle its messages.
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
    """An interpreter that runs `code` (see `code_to_serve`), and the connection to it. env: extra variables."""

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
        """Run a block with a time limit: kill the process after `seconds`, then raise TimeoutError.

        Killing ends any wait for the child. So the limit covers everything in the block, even half-received messages.
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
    """Python code that runs `serve()` of a module in a child, with the parent's import path."""
    return f"import sys; sys.path[:] = sys.argv[1:]; from {module} import serve; serve()"


def parent() -> Connection:
    """Called in a child: the connection to the parent process."""
    return Connection(os.dup(0))


def import_path() -> list[str]:
    """The import path of a child: the parent's, without the current folder, which may contain the documents."""
    root = str(Path(__file__).resolve().parents[1])
    path = [entry for entry in sys.path if entry and os.path.isabs(entry)]
    return path if root in path else [*path, root]
