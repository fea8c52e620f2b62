"""Which processes of a home are alive: each holds the lock of a file of its own as long as it runs.

The kernel releases the lock when the process ends, however it ends. No clock is read, so none that is set can mislead.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from indexing.errors import os_reason
from qa_pipeline.errors import HomeFolderError
from qa_pipeline.service.service_db import new_id

SUFFIX = ".lock"
STARTING = "starting"
STARTING_S = 10.0


class ProcessLocks:
    """The locks in one folder. Thread-safe. Raises HomeFolderError where the folder cannot be written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._guard = threading.Lock()
        self._own: tuple[str, FileLock] | None = None

    def own(self) -> str:
        """The id of this process, whose lock it holds from the first call on. Files of processes that ended are removed."""
        with self._guard:
            if self._own is None:
                try:
                    self._folder.mkdir(exist_ok=True)
                    # One process starts at a time, so that no other removes a file before its lock is held.
                    with FileLock(str(self._folder / STARTING), timeout=STARTING_S, thread_local=False):
                        id = new_id()
                        lock = FileLock(str(self._path(id)), timeout=0, thread_local=False)
                        lock.acquire()
                        for path in {*self._folder.glob(f"*{SUFFIX}")} - {self._path(id)}:
                            with suppress(OSError):
                                _is_held(path)
                except OSError as error:
                    raise HomeFolderError(f"The lock of this process cannot be written ({os_reason(error)}).") from error
                self._own = id, lock
            return self._own[0]

    def is_alive(self, id: str) -> bool:
        """Whether the process of an id runs. The file of one that ended is removed."""
        with self._guard:
            if self._own is not None and self._own[0] == id:
                return True
        path = self._path(id)
        if not id.isalnum() or not path.exists():
            return False
        try:
            return _is_held(path)
        except OSError as error:
            raise HomeFolderError(f"The lock of a process cannot be read ({os_reason(error)}).") from error

    def close(self) -> None:
        """Give up the lock, at the end of the process; `own` then gives a new id."""
        with self._guard:
            if self._own is not None:
                id, lock = self._own
                self._own = None
                lock.release()
                _remove(self._path(id))

    def _path(self, id: str) -> Path:
        return self._folder / f"{id}{SUFFIX}"


def _is_held(path: Path) -> bool:
    """Whether a process holds the lock of a file; the file is removed if none does. Raises OSError."""
    try:
        with FileLock(str(path), timeout=0, thread_local=False):
            pass
    except Timeout:
        return True
    _remove(path)
    return False


def _remove(path: Path) -> None:
    """Remove a file whose lock was released: Windows removes no file that is open. Another process may do the same."""
    with suppress(OSError):
        path.unlink()
