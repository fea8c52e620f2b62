"""Child processes that exchange byte messages over one socket, their standard input, framed by `multiprocessing`.

A child is a fresh interpreter, not a fork, so it copies no threads or locks. Nothing is unpickled here; callers that
trust a child may unpickle its messages.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000


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
        self._watchdog = _Watchdog(self.process)

    def close(self) -> None:
        """End the process."""
        self._watchdog.close()
        self.connection.close()
        self.process.kill()
        self.process.wait()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Run a block with a time limit: kill the process after `seconds`, then raise TimeoutError. Blocks do not nest.

        Killing ends any wait for the child. So the limit covers everything in the block, even half-received messages.
        """
        self._watchdog.start(seconds)
        try:
            yield
        except (OSError, EOFError):
            if self._watchdog.stop():
                raise TimeoutError from None
            raise
        finally:
            late = self._watchdog.stop()
        if late:
            raise TimeoutError


class _Watchdog:
    """Kills a process at a deadline.

    One thread serves many deadlines, as starting one for each small message costs more than the message. It looks again
    at the deadline it waited for, and ends if there is none then.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._deadline: float | None = None
        self._wakes = 0.0
        self._late = False

    def start(self, seconds: float) -> None:
        """Set the deadline."""
        with self._changed:
            self._late = False
            self._deadline = time.monotonic() + seconds
            if self._thread is None:
                self._wakes = self._deadline
                self._thread = threading.Thread(target=self._watch, daemon=True)
                self._thread.start()
            elif self._deadline < self._wakes:
                self._changed.notify()

    def stop(self) -> bool:
        """Remove the deadline. Returns whether it has passed and the process was killed."""
        with self._changed:
            self._deadline = None
            return self._late

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._deadline = None
            thread = self._thread
            self._changed.notify()
        if thread is not None:
            thread.join()

    def _watch(self) -> None:
        with self._changed:
            while self._deadline is not None and not self._late:
                self._wakes = self._deadline
                left = self._deadline - time.monotonic()
                if left > 0:
                    self._changed.wait(min(left, threading.TIMEOUT_MAX))
                else:
                    self._late = True
                    self._process.kill()
            self._thread = None


def code_to_serve(module: str) -> str:
    """Python code that runs `serve()` of a module in a child, with the parent's import path."""
    return f"import sys; sys.path[:] = sys.argv[1:]; from {module} import serve; serve()"


def parent() -> Connection:
    """Called in a child: the connection to the parent process."""
    return Connection(os.dup(0))


def bounded(seconds: float, file_bytes: int | None = None) -> Callable[[], None]:
    """For `preexec_fn` of another program: it gets `seconds` of CPU time, and on Linux it is killed when its parent dies.

    On Linux it has no network either, where the system lets a process have a network namespace of its own: a document may
    name addresses that the program would load. file_bytes: the size of each file that it writes. All of it holds for its
    children, too.
    """
    import resource
    import signal

    mine, most = os.getpid(), int(seconds) + 2
    linux = ctypes.CDLL(None) if sys.platform == "linux" else None
    end_with_parent, unshare = getattr(linux, "prctl", None), getattr(linux, "unshare", None)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (most, most))
        if file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
        if end_with_parent is not None:
            end_with_parent(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != mine:
                os._exit(1)
        if unshare is not None and unshare(_CLONE_NEWNET):
            unshare(_CLONE_NEWUSER | _CLONE_NEWNET)

    return limit


def import_path() -> list[str]:
    """The import path of a child: the parent's, without the current folder, which may contain the documents."""
    root = str(Path(__file__).resolve().parents[1])
    path = [entry for entry in sys.path if entry and os.path.isabs(entry)]
    return path if root in path else [*path, root]
